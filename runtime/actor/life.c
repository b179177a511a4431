// Birth, death and what comes after.
//
//   STARTING ──ok──► ALIVE ──kill, exit(reason)──► STOPPING ──► BACKOFF ──alarm──► STARTING
//      │ failed        │                               │
//      │               └──stop, exit(NULL)─────────────┴──► DONE (freed at the round's end)
//      └──first start: DONE, the spawner is told; later ones: BACKOFF
//
// One actor_t lives through all of an address' lives; what belongs to one life (state, mailbox,
// desk, incarnation) is dropped with it. Children end before their parent and never outlive it: a
// parent that is started again spawns them again.
#include "runtime/actor/stage_inner.h"
#include "runtime/base/log.h"
#include <unistd.h>

enum {
    RESTARTS_MAX_DEFAULT = 10,
    WINDOW_DEFAULT_MS = 10 * 1000,
    BACKOFF_STEP_MS = 50,
    BACKOFF_MAX_DEFAULT_MS = 5 * 1000,
};

static restart_policy_t policy_of(const restart_policy_t *given) {
    restart_policy_t p = given ? *given : (restart_policy_t){0};
    if (!p.restarts_max) p.restarts_max = RESTARTS_MAX_DEFAULT;
    if (!p.window_ms) p.window_ms = WINDOW_DEFAULT_MS;
    if (!p.backoff_max_ms) p.backoff_max_ms = BACKOFF_MAX_DEFAULT_MS;
    return p;
}

// ---- telling the directory ---------------------------------------------------------------------

static void tell_directory(stage_t *s, const actor_t *a) {
    directory_set(s->options.directory, &(place_t){.address = a->name,
                                                   .incarnation = a->incarnation,
                                                   .ready = a->ready,
                                                   .leader = a->leader,
                                                   .epoch = a->epoch,
                                                   .port = s->options.port});
}

void actor_set_ready(actor_t *me, bool ready) {
    if (me->ready == ready) return;
    me->ready = ready;
    if (me->life == LIFE_ALIVE) tell_directory(me->stage, me);
}

void actor_set_leader(actor_t *me, bool leader, uint64_t epoch) {
    if (me->leader == leader && me->epoch == epoch) return;
    me->leader = leader;
    me->epoch = epoch;
    if (me->life == LIFE_ALIVE) tell_directory(me->stage, me);
}

// ---- birth -------------------------------------------------------------------------------------

static void set_exit_reason(actor_t *a, const char *reason) {
    free(a->exit_reason);
    a->exit_reason = str_dup(reason);
}

static err_t call_start(stage_t *s, actor_t *a, why_t *why) {
    actor_t *outer = s->running; // a parent's handler may spawn: its call goes on afterwards
    uint64_t outer_trace = s->trace_id;
    s->running = a;
    atomic_store_explicit(&s->called, a->def, memory_order_relaxed);
    s->trace_id = a->trace_id = stage_new_trace(s);
    err_t err = a->def->start ? a->def->start(a, a->args, why) : ERR_OK;
    s->running = outer;
    s->trace_id = outer_trace;
    return err;
}

// One life begins. On failure the half-started state is gone again.
static err_t be_born(stage_t *s, actor_t *a, why_t *why) {
    assert(!a->state && !a->desk && !a->first);
    a->life = LIFE_STARTING;
    a->incarnation =
        directory_next_incarnation(s->options.directory, a->name->text, s->clocks.wall_ms);
    a->state = mem_new(a->def->state_size ? a->def->state_size : 1);
    a->ready = !a->def->starts_unready;
    a->leader = false;
    a->epoch = 0;
    a->last_id = 0;
    a->exiting = a->again = false;
    a->gateway = NULL;
    a->born_us = s->clocks.monotonic_us;
    a->started_wall_ms = s->clocks.wall_ms;
    s->version++;
    stage_touch(s, a);
    // Known before it says its first word, or an answer to that finds nobody at this address;
    // unready until start has said how it went.
    bool ready = a->ready;
    a->ready = false;
    tell_directory(s, a);
    a->ready = ready;
    err_t err = call_start(s, a, why);
    if (err) return err;
    a->life = LIFE_ALIVE;
    tell_directory(s, a);
    if (a->exiting) life_end(s, a);
    return ERR_OK;
}

static void family_join(actor_t *parent, actor_t *a) {
    a->parent = parent;
    if (!parent) return;
    a->sibling_prev = parent->child_last;
    if (parent->child_last) parent->child_last->sibling_next = a;
    parent->child_last = a;
}

static void family_leave(actor_t *a) {
    if (!a->parent) return;
    if (a->sibling_next)
        a->sibling_next->sibling_prev = a->sibling_prev;
    else
        a->parent->child_last = a->sibling_prev;
    if (a->sibling_prev) a->sibling_prev->sibling_next = a->sibling_next;
    a->parent = a->sibling_prev = a->sibling_next = NULL;
}

static void end_life(stage_t *s, actor_t *a, const char *reason, bool tell);
static void bury(stage_t *s, actor_t *a);

err_t stage_spawn(stage_t *s, actor_t *parent, const actor_def_t *def, const char *name,
                  const void *args, const restart_policy_t *policy, actor_t **ret_actor,
                  why_t *why) {
    char *address = str_printf("%s/%s", def->role, name);
    if (strlen(address) >= ADDRESS_MAX || map_get(&s->actors, address)) {
        err_t err = strlen(address) >= ADDRESS_MAX ? ERR_TOO_LARGE : ERR_EXISTS;
        why_set(why, err, "spawn %.64s: %s", address, err_text(err));
        free(address);
        return err;
    }
    actor_t *a = NEW(actor_t);
    a->stage = s;
    a->def = def;
    a->args = args;
    a->name = name_new(address);
    a->policy = policy_of(policy);
    alarm_init(&a->restart, ALARM_RESTART, a, 0);
    if (!parent) {
        a->restarts = s->options.restarts;
        set_exit_reason(a, s->options.last_reason);
    }
    map_put(&s->actors, address, a);
    a->order_at = s->order.len;
    vec_push(&s->order, a);
    family_join(parent, a);
    free(address);
    err_t err = be_born(s, a, why);
    if (err) {
        why_wrap(why, err, "start %s", a->name->text);
        end_life(s, a, "start failed", true);
        bury(s, a);
        return err;
    }
    if (ret_actor) *ret_actor = a;
    return ERR_OK;
}

// ---- death -------------------------------------------------------------------------------------

static void drop_mailbox(stage_t *s, actor_t *a) {
    while (a->first) {
        envelope_t *env = a->first;
        a->first = env->next;
        if (!env->is_kits) a->dead_letters++;
        // Who asked is told by the notice of this death, wherever he is.
        stage_dead_letter(s, &env, "its receiver died");
    }
    a->last = NULL;
    a->depth = a->bounded = a->due = 0;
}

static void stop_children(stage_t *s, actor_t *a, const char *reason, bool tell) {
    while (a->child_last) {
        actor_t *child = a->child_last;
        end_life(s, child, reason, tell);
        bury(s, child);
    }
}

static void forget_gateway(stage_t *s, const actor_t *a) {
    for (size_t i = s->gateways.len; i-- > 0;)
        if (s->gateways.at[i] == a) vec_remove(&s->gateways, i);
}

// One life ends: children first, then its own stop; nothing of it stays but the address.
static void end_life(stage_t *s, actor_t *a, const char *reason, bool tell) {
    if (!a->state) return; // dead already: in back-off
    stop_children(s, a, "its parent ended", tell);
    a->life = LIFE_STOPPING;
    a->exiting = false;
    actor_t *outer = s->running;
    s->running = a;
    stage_touch(s, a); // stop may use the arena
    if (a->def->stop) a->def->stop(a);
    s->running = outer;
    stop_children(s, a, "its parent ended", tell); // a stop that spawned: end those too
    drop_mailbox(s, a);
    queue_remove(a);
    if (a->gateway) forget_gateway(s, a);
    a->gateway = NULL;
    actor_clear_desk(s, a);
    free(a->state);
    a->state = NULL;
    a->leader = a->ready = false;
    s->version++;
    if (tell) directory_gone(s->options.directory, a->name->text, a->incarnation, reason);
}

static void bury(stage_t *s, actor_t *a) {
    a->life = LIFE_DONE;
    alarms_cancel(&s->alarms, &a->restart);
    queue_remove(a);
    family_leave(a);
    map_remove(&s->actors, a->name->text);
    s->order.at[a->order_at] = NULL;
    s->dead_order++;
    s->version++;
    vec_push(&s->buried, a);
}

static void compact_order(stage_t *s) {
    if (s->dead_order * 2 <= s->order.len) return;
    size_t len = 0;
    for (size_t i = 0; i < s->order.len; i++) {
        actor_t *a = s->order.at[i];
        if (!a) continue;
        a->order_at = len;
        s->order.at[len++] = a;
    }
    s->order.len = len;
    s->dead_order = 0;
}

void life_sweep(stage_t *s) {
    if (!s->buried.len) return;
    for (size_t i = 0; i < s->buried.len; i++) {
        actor_t *a = s->buried.at[i];
        free(a->exit_reason);
        name_unref(&a->name);
        free(a);
    }
    vec_reset(&s->buried);
    compact_order(s);
}

void stage_stop(stage_t *s, actor_t *a, const char *reason) {
    if (a->life == LIFE_DONE) return;
    end_life(s, a, reason, true);
    bury(s, a);
}

bool stage_drained(const actor_t *a) { return !a->depth; }

void stage_stop_all(stage_t *s, const char *reason) {
    for (size_t i = s->order.len; i-- > 0;)
        if (i < s->order.len && s->order.at[i]) stage_stop(s, s->order.at[i], reason);
}

// ---- supervision -------------------------------------------------------------------------------

static int64_t backoff_ms(const actor_t *a) {
    if (a->streak <= 1) return a->policy.backoff_first_ms;
    int64_t wait = BACKOFF_STEP_MS;
    for (uint32_t i = 2; i < a->streak && wait < a->policy.backoff_max_ms; i++) wait *= 2;
    return wait < a->policy.backoff_max_ms ? wait : a->policy.backoff_max_ms;
}

// Counts one crash against the budget; false: the budget is used up.
static bool within_budget(stage_t *s, actor_t *a) {
    int64_t now = s->clocks.monotonic_us, window = a->policy.window_ms * 1000;
    if (now - a->born_us > window) a->streak = 0; // it lived long: this is a new trouble
    if (now - a->window_us > window) {
        a->window_us = now;
        a->window_restarts = 0;
    }
    a->streak++;
    return ++a->window_restarts <= a->policy.restarts_max;
}

// Its supervisor cannot help any more: the parent crashes with it, under the root the process ends.
static void escalate(stage_t *s, actor_t *a) {
    char *reason =
        str_printf("%s used up its restarts: %s", a->name->text, or_empty(a->exit_reason));
    log_error(a->name->text, "%s", reason);
    actor_t *parent = a->parent;
    bury(s, a);
    if (!parent) {
        s->options.host.exhausted(s->options.host.arg, reason);
    } else if (parent->life == LIFE_ALIVE) {
        assert(!s->running); // a child dies after a call of its own, never within its parent's
        set_exit_reason(parent, reason);
        life_end(s, parent);
    }
    free(reason);
}

// Does b share the fate of a, its sibling (or a itself)?
static bool is_in_group(const actor_t *a, const actor_t *b) {
    if (!b || b->parent != a->parent) return false;
    if (!a->parent && b->policy.strategy != a->policy.strategy) return false;
    return a->policy.strategy == SUPERVISE_ONE_FOR_ALL || b->order_at >= a->order_at;
}

// The siblings that fall with a end, last started first, and all start again in their old order.
static void restart_group(stage_t *s, actor_t *a, int64_t at_us) {
    char *reason = str_printf("%s died", a->name->text);
    for (size_t i = s->order.len; i-- > 0;) {
        actor_t *b = i < s->order.len ? s->order.at[i] : NULL;
        if (b == a || !is_in_group(a, b) || !b->state) continue;
        set_exit_reason(b, reason);
        b->paused = false;
        end_life(s, b, reason, true);
        b->life = LIFE_BACKOFF;
        b->restarts++;
    }
    free(reason);
    for (size_t i = 0; i < s->order.len; i++)
        if (is_in_group(a, s->order.at[i])) alarms_set(&s->alarms, &s->order.at[i]->restart, at_us);
}

static void crashed(stage_t *s, actor_t *a, bool counts) {
    a->life = LIFE_BACKOFF;
    a->restarts++;
    int64_t wait_ms = 0;
    if (counts) {
        if (!within_budget(s, a)) {
            escalate(s, a);
            return;
        }
        wait_ms = backoff_ms(a);
    }
    int64_t at_us = s->clocks.monotonic_us + wait_ms * 1000;
    if (a->policy.strategy == SUPERVISE_ONE_FOR_ONE)
        alarms_set(&s->alarms, &a->restart, at_us);
    else
        restart_group(s, a, at_us);
}

void life_restart(stage_t *s, actor_t *a) {
    why_t why = {0};
    err_t err = be_born(s, a, &why);
    if (!err) {
        log_info(a->name->text, "started again (%s)", or_empty(a->exit_reason));
        return;
    }
    log_warn(a->name->text, "start failed: %s", why.text);
    set_exit_reason(a, why.text);
    end_life(s, a, "start failed", true);
    crashed(s, a, true);
}

void life_end(stage_t *s, actor_t *a) {
    char *reason = str_dup(a->exit_reason); // end_life may outlive the actor's own copy
    end_life(s, a, reason ? reason : "done", true);
    if (reason) {
        log_warn(a->name->text, "ended: %s", reason);
        crashed(s, a, true);
    } else {
        bury(s, a);
    }
    free(reason);
}

void actor_exit(actor_t *me, const char *reason) {
    assert(me->stage->running == me);
    if (me->exiting) return;
    me->exiting = true;
    set_exit_reason(me, reason);
}

void stage_kill(stage_t *s, actor_t *a, const char *reason) {
    if (a->life == LIFE_BACKOFF) { // a kill in back-off is a start at once
        alarms_set(&s->alarms, &a->restart, s->clocks.monotonic_us);
        return;
    }
    if (a->life != LIFE_ALIVE) return;
    if (s->running == a) { // it kills itself: after this call
        actor_exit(a, reason);
        return;
    }
    set_exit_reason(a, reason);
    a->paused = false;
    end_life(s, a, or_empty(reason), true);
    crashed(s, a, false);
}

void stage_hang(stage_t *s, actor_t *a) {
    atomic_store_explicit(&s->called, a->def, memory_order_relaxed);
    for (;;) pause();
}

void stage_pause(stage_t *s, actor_t *a, bool paused) {
    if (a->paused == paused) return;
    a->paused = paused;
    actor_pause_fds(a, paused);
    if (paused) {
        queue_remove(a);
        return;
    }
    actor_resume_timers(s, a);
    if (a->depth || a->again) stage_enqueue(s, a);
}

void stage_crash(stage_t *s) {
    for (size_t i = s->order.len; i-- > 0;) {
        if (i >= s->order.len || !s->order.at[i]) continue;
        actor_t *a = s->order.at[i];
        set_exit_reason(a, "the process crashed");
        end_life(s, a, "the process crashed", true);
        alarms_cancel(&s->alarms, &a->restart);
        if (a->parent)
            bury(s, a);
        else
            a->life = LIFE_BACKOFF;
    }
}

void stage_revive(stage_t *s) {
    for (size_t i = 0, len = s->order.len; i < len; i++)
        if (s->order.at[i] && !s->order.at[i]->parent && s->order.at[i]->life == LIFE_BACKOFF) {
            s->order.at[i]->window_restarts = s->order.at[i]->streak = 0; // a new process
            life_restart(s, s->order.at[i]);
        }
}

// ---- children ----------------------------------------------------------------------------------

err_t actor_spawn(actor_t *me, const actor_def_t *def, const char *name, const void *args,
                  why_t *why) {
    return stage_spawn(me->stage, me, def, name, args, &me->def->children, NULL, why);
}

void actor_stop_child(actor_t *me, const char *address) {
    actor_t *child = map_get(&me->stage->actors, address);
    if (child && child->parent == me) stage_stop(me->stage, child, "stopped by its parent");
}

actor_t *stage_find(const stage_t *s, const char *address) { return map_get(&s->actors, address); }

// ---- monitors ----------------------------------------------------------------------------------

static bool is_watching(const watchers_t *w, const actor_t *me) {
    for (size_t i = 0; i < w->watchers.len; i++)
        if (w->watchers.at[i].actor == me) return true;
    return false;
}

void actor_monitor(actor_t *me, const char *address) {
    stage_t *s = me->stage;
    name_t *name =
        name_cut(address); // the tables' key as well: whatever was said, it can be undone
    watchers_t *w = map_get(&s->watchers, name->text);
    if (w && is_watching(w, me)) {
        name_unref(&name);
        return;
    }
    if (!w) {
        w = NEW(watchers_t);
        map_put(&s->watchers, name->text, w);
    }
    vec_push(&actor_desk(me)->watched, name);
    const route_t *r = stage_resolve(s, address);
    vec_push(&w->watchers, ((watcher_t){me, route_known(r) ? r->place.incarnation : 0}));
    if (route_known(r)) {
        Actor__Up up = {PROTOBUF_C_MESSAGE_INIT(&actor__up__descriptor)};
        up.address = name->text;
        up.incarnation = r->place.incarnation;
        stage_self(s, me, name, 0, &up.base);
    } else {
        Actor__Down down = {PROTOBUF_C_MESSAGE_INIT(&actor__down__descriptor)};
        down.address = name->text;
        down.reason = "nobody is known at this address";
        stage_self(s, me, name, 0, &down.base);
    }
}

static void unwatch(stage_t *s, const actor_t *me, const char *address) {
    watchers_t *w = map_get(&s->watchers, address);
    if (!w) return;
    for (size_t i = w->watchers.len; i-- > 0;)
        if (w->watchers.at[i].actor == me) vec_remove(&w->watchers, i);
    if (w->watchers.len) return;
    vec_done(&w->watchers);
    map_remove(&s->watchers, address);
    free(w);
}

void actor_demonitor(actor_t *me, const char *address) {
    if (!me->desk) return;
    for (size_t i = me->desk->watched.len; i-- > 0;) {
        name_t *name = me->desk->watched.at[i];
        if (strncmp(name->text, address, ADDRESS_MAX) != 0) continue;
        unwatch(me->stage, me, name->text);
        vec_swap_remove(&me->desk->watched, i);
        name_unref(&name);
    }
}
