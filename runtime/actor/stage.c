// One round, and the roads a message takes from a sender to a mailbox.
//
//   actor_tell ─► stage_route ─► resolve (cache, directory) ─► faults ─┬─► a mailbox of this stage
//                                                                      ├─► a link's carry
//                                                                      └─► host.send (another port)
#include "runtime/actor/stage_inner.h"
#include "runtime/base/log.h"

enum {
    ROUTES_SPARE = 256, // cached addresses beside twice those that live
    TICK_EVERY = 16,    // messages between two looks at the round's time budget
    REORDER_US_MAX = 10 * 1000,
};

// ---- queues of actors --------------------------------------------------------------------------

static void queue_push(actor_list_t *q, actor_t *a) {
    assert(!a->queue);
    a->queue = q;
    a->queue_prev = q->last;
    a->queue_next = NULL;
    if (q->last)
        q->last->queue_next = a;
    else
        q->first = a;
    q->last = a;
}

void queue_remove(actor_t *a) {
    actor_list_t *q = a->queue;
    if (!q) return;
    if (a->queue_prev)
        a->queue_prev->queue_next = a->queue_next;
    else
        q->first = a->queue_next;
    if (a->queue_next)
        a->queue_next->queue_prev = a->queue_prev;
    else
        q->last = a->queue_prev;
    a->queue = NULL;
    a->queue_prev = a->queue_next = NULL;
}

static actor_t *queue_pop(actor_list_t *q) {
    actor_t *a = q->first;
    if (a) queue_remove(a);
    return a;
}

void stage_enqueue(stage_t *s, actor_t *a) {
    if (!a->queue && !a->paused) queue_push(&s->ready, a);
}

void stage_touch(stage_t *s, actor_t *a) {
    if (a->touched) return;
    a->touched = true;
    a->arena = s->arenas.len ? s->arenas.at[--s->arenas.len] : NEW(arena_t);
    vec_push(&s->touched, a);
}

// ---- calls into an actor -----------------------------------------------------------------------

static uint64_t new_word(stage_t *s) { return rng_next(&s->rng); }

uint64_t stage_new_trace(stage_t *s) {
    uint64_t word = new_word(s);
    return word ? word : 1;
}

void stage_call_begin(stage_t *s, actor_t *a, uint64_t trace_id) {
    s->running = a;
    atomic_store_explicit(&s->called, a->def, memory_order_relaxed);
    s->trace_id = trace_id;
    a->trace_id = trace_id;
}

void stage_call_end(stage_t *s, actor_t *a) {
    int64_t now = s->options.host.tick_us(s->options.host.arg);
    int64_t spent = now - s->tick_us;
    s->tick_us = now;
    a->handling_us += (uint64_t)spent;
    if (spent > CALL_US_MAX) {
        a->overruns++;
        s->counts.overruns++;
    }
    s->running = NULL;
    if (a->exiting) life_end(s, a);
}

// ---- dead ends ---------------------------------------------------------------------------------

void stage_dead_letter(stage_t *s, envelope_t **env, const char *why) {
    envelope_t *e = x_steal(env);
    s->counts.dead_letters++;
    log_debug("bus", "dead letter %s from %s to %s: %s", envelope_type(e), e->from->text,
              e->to->text, why);
    if (s->options.dead_letters)
        dead_letters_add(s->options.dead_letters, e, why, s->clocks.wall_ms);
    envelope_destroy(&e);
}

void stage_refuse(stage_t *s, envelope_t **env, err_t err, const char *why) {
    if (!(*env)->is_ask) {
        stage_dead_letter(s, env, why);
        return;
    }
    envelope_t *e = x_steal(env);
    Actor__Failure failure = {PROTOBUF_C_MESSAGE_INIT(&actor__failure__descriptor)};
    failure.err = err;
    failure.why = (char *)why;
    envelope_t *back = envelope_new();
    back->to = name_ref(e->from);
    back->from = name_ref(e->to);
    back->to_incarnation = e->from_incarnation;
    back->from_incarnation = e->to_incarnation;
    back->in_reply_to = e->id;
    back->trace_id = e->trace_id;
    back->type = &actor__failure__descriptor;
    back->body = msg_blob(&failure.base);
    back->is_kits = back->control = true;
    back->sent_us = s->clocks.monotonic_us;
    s->counts.refused++;
    envelope_destroy(&e);
    stage_route(s, NULL, back->to->text, &back);
}

// ---- resolving ---------------------------------------------------------------------------------

static void route_done(route_t *r) {
    place_done(&r->place);
    for (size_t i = 0; i < r->choices_len; i++) place_done(&r->choices[i]);
    free(r->choices);
    r->choices = NULL;
    r->choices_len = 0;
    r->local = NULL;
}

static void routes_clear(stage_t *s) {
    size_t at = 0;
    void *route;
    while (map_next(&s->routes, &at, NULL, &route)) {
        route_done(route);
        free(route);
    }
    map_done(&s->routes);
}

// Every command line that came and went has left an address behind. Between rounds, when nobody
// holds a route.
static void routes_trim(stage_t *s) {
    if (map_len(&s->routes) < s->routes_max) return;
    s->routes_max = ROUTES_SPARE + 2 * directory_len(s->options.directory);
    if (map_len(&s->routes) >= s->routes_max) routes_clear(s);
}

static void route_refresh(stage_t *s, route_t *r, const char *text) {
    r->directory_version = directory_version(s->options.directory);
    r->stage_version = s->version;
    route_done(r);
    r->is_role = !strchr(text, '/');
    if (r->is_role) {
        r->choices_len =
            directory_resolve(s->options.directory, text, s->options.port, &r->choices);
        return;
    }
    actor_t *local = map_get(&s->actors, text);
    if (local && (local->life == LIFE_ALIVE || local->life == LIFE_STARTING)) {
        r->local = local;
        r->place = (place_t){.address = name_ref(local->name),
                             .incarnation = local->incarnation,
                             .port = s->options.port};
    } else {
        directory_find(s->options.directory, text, &r->place);
    }
}

static route_t *route_of(stage_t *s, const char *text) {
    route_t *r = map_get(&s->routes, text);
    if (!r) {
        r = NEW(route_t);
        map_put(&s->routes, text, r);
    } else if (r->stage_version == s->version &&
               r->directory_version == directory_version(s->options.directory)) {
        return r;
    }
    route_refresh(s, r, text);
    return r;
}

const route_t *stage_resolve(stage_t *s, const char *to) {
    // Addresses are also made of what strangers say ("kubelet/" and a node's name): nobody has one
    // this long, and it is not worth a place in the cache.
    static const route_t nobody;
    if (strnlen(to, ADDRESS_MAX + 1) > ADDRESS_MAX) return &nobody;
    route_t *r = route_of(s, to);
    if (!r->is_role || !r->choices_len) return r;
    const place_t *choice = &r->choices[r->turn++ % r->choices_len];
    return route_of(s, choice->address->text);
}

bool route_known(const route_t *route) { return route->place.address; }

// ---- into a mailbox ----------------------------------------------------------------------------

static bool is_bounded(const envelope_t *env) {
    return env->in_reply_to == 0 && !env->push && !env->is_kits;
}

static void mailbox_push(stage_t *s, actor_t *a, envelope_t **env) {
    envelope_t *e = x_steal(env);
    if (is_bounded(e)) a->bounded++;
    e->next = NULL;
    if (a->last)
        a->last->next = e;
    else
        a->first = e;
    a->last = e;
    a->depth++;
    stage_enqueue(s, a);
}

static envelope_t *mailbox_pop(actor_t *a) {
    envelope_t *e = a->first;
    a->first = e->next;
    if (!a->first) a->last = NULL;
    e->next = NULL;
    a->depth--;
    if (is_bounded(e)) a->bounded--;
    return e;
}

// The oldest tell gives way; false: all that waits are asks.
static bool drop_oldest_tell(stage_t *s, actor_t *a) {
    envelope_t *before = NULL;
    for (envelope_t *e = a->first; e; before = e, e = e->next) {
        if (!is_bounded(e) || e->is_ask) continue;
        *(before ? &before->next : &a->first) = e->next;
        if (a->last == e) a->last = before;
        a->depth--;
        a->bounded--;
        if (a->due > a->depth) a->due = a->depth;
        a->dead_letters++;
        stage_dead_letter(s, &e, "mailbox full, the oldest gives way");
        return true;
    }
    return false;
}

// The 1st, 2nd, 4th, 8th … of something that a stranger may repeat without end.
bool is_worth_a_line(uint32_t count) { return (count & (count - 1)) == 0; }

void stage_place(stage_t *s, actor_t *a, envelope_t **env) {
    envelope_t *e = *env;
    if (a->life != LIFE_ALIVE && a->life != LIFE_STARTING) {
        stage_refuse(s, env, ERR_UNAVAILABLE, "the actor is not running");
        return;
    }
    if (e->to_incarnation && e->to_incarnation != a->incarnation) {
        stage_refuse(s, env, ERR_UNAVAILABLE, "the actor was started anew");
        return;
    }
    if (e->is_late && !actor_bears_reorder(a->def, e)) {
        stage_dead_letter(s, env, "overtaken or repeated by a fault");
        return;
    }
    size_t max = a->def->mailbox_max ? a->def->mailbox_max : MAILBOX_MAX_DEFAULT;
    if (is_bounded(e) && a->bounded >= max) {
        bool room =
            a->def->when_full == MAILBOX_FULL_DROP_OLDEST && !e->is_ask && drop_oldest_tell(s, a);
        if (!room) {
            if (!e->is_ask && is_worth_a_line(++a->dead_letters))
                log_warn(a->name->text, "mailbox is full (%zu): %s from %s is dropped, %u by now",
                         max, envelope_type(e), e->from->text, a->dead_letters);
            stage_refuse(s, env, ERR_OVERLOADED, "mailbox is full");
            return;
        }
    }
    mailbox_push(s, a, env);
}

void stage_self(stage_t *s, actor_t *a, name_t *from, uint64_t in_reply_to,
                const ProtobufCMessage *body) {
    envelope_t *e = envelope_new();
    e->to = name_ref(a->name);
    e->from = name_ref(from);
    e->to_incarnation = a->incarnation;
    e->in_reply_to = in_reply_to;
    e->type = body->descriptor;
    e->body = msg_blob(body);
    e->is_kits = true;
    e->trace_id = s->trace_id;
    e->sent_us = s->clocks.monotonic_us;
    mailbox_push(s, a, &e);
}

// ---- faults ------------------------------------------------------------------------------------

typedef struct {
    alarm_t alarm;
    envelope_t *env; // owned
} delayed_t;

static void hold_back(stage_t *s, envelope_t **env, int64_t until_us) {
    delayed_t *d = NEW(delayed_t);
    alarm_init(&d->alarm, ALARM_DELAYED, d, 0);
    d->env = x_steal(env);
    s->delayed++;
    alarms_set(&s->alarms, &d->alarm, until_us);
}

// First in, first out also under a delay with jitter: nothing of a pair arrives before what was
// sent earlier. Returns when this one may go.
static int64_t keep_order(stage_t *s, const envelope_t *env, int64_t delay_us) {
    char *pair = str_printf("%s %s", env->from->text, env->to->text);
    int64_t *last = map_get(&s->delays, pair);
    int64_t due = s->clocks.monotonic_us + delay_us;
    if (last && *last > due) due = *last;
    if (delay_us && !last) {
        last = NEW(int64_t);
        map_put(&s->delays, pair, last);
    }
    if (last) *last = due;
    free(pair);
    return due;
}

static void delays_clear(stage_t *s) {
    size_t at = 0;
    void *last;
    while (map_next(&s->delays, &at, NULL, &last)) free(last);
    map_done(&s->delays);
}

// True: the fault has taken the message.
static bool fault_on_send(stage_t *s, envelope_t **env, const name_t *to_process) {
    fault_verdict_t v = {0};
    fault_place_t at = {or_empty(s->options.process), to_process ? to_process->text : NULL,
                        s->clocks.monotonic_us};
    if (faults_any(s->options.faults)) v = faults_on_send(s->options.faults, *env, &at, &s->rng);
    if (v.drop) {
        stage_dead_letter(s, env, "dropped by a fault");
        return true;
    }
    int64_t due = keep_order(s, *env, v.delay_us);
    if (due <= s->clocks.monotonic_us) return false;
    hold_back(s, env, due);
    return true;
}

static void fault_on_arrival(stage_t *s, actor_t *a, envelope_t **env) {
    fault_place_t at = {or_empty(s->options.process), NULL, s->clocks.monotonic_us};
    fault_verdict_t v = faults_on_arrival(s->options.faults, *env, &at, &s->rng);
    if (v.duplicate) {
        envelope_t *twin = envelope_dup(*env);
        twin->is_late = true;
        stage_place(s, a, &twin);
    }
    if (v.reorder) {
        (*env)->is_late = true;
        hold_back(s, env, s->clocks.monotonic_us + rng_between(&s->rng, 1, REORDER_US_MAX));
        return;
    }
    stage_place(s, a, env);
}

// ---- routing -----------------------------------------------------------------------------------

static void arrive(stage_t *s, actor_t *a, envelope_t **env) {
    if (faults_any(s->options.faults))
        fault_on_arrival(s, a, env);
    else
        stage_place(s, a, env);
}

static void carry(stage_t *s, envelope_t **env) {
    actor_t *link = map_get(&s->actors, (*env)->via->text);
    if (!link || link->life != LIFE_ALIVE || !link->gateway) {
        stage_refuse(s, env, ERR_UNAVAILABLE, "the link is down");
        return;
    }
    actor_t *sender = s->running;
    uint64_t trace = s->trace_id;
    stage_touch(s, link);
    stage_enqueue(s, link); // its settle flushes what it took
    s->running = link;
    err_t err = link->gateway->carry(link, env);
    s->running = sender;
    s->trace_id = trace;
    if (err) stage_refuse(s, env, err, "the link does not take it");
}

// The address is final and faults have had their say.
static void forward(stage_t *s, envelope_t **env) {
    const route_t *r = route_of(s, (*env)->to->text);
    if (!route_known(r)) {
        stage_refuse(s, env, ERR_UNAVAILABLE, "nobody is known at this address");
    } else if (r->local) {
        arrive(s, r->local, env);
    } else {
        if (r->place.link && !(*env)->via) (*env)->via = name_ref(r->place.link);
        if (r->place.port == s->options.port && (*env)->via)
            carry(s, env);
        else if (!s->options.host.send(s->options.host.arg, r->place.port, env))
            stage_refuse(s, env, ERR_OVERLOADED, "too much is waiting for that dispatcher");
    }
}

void stage_route(stage_t *s, actor_t *from, const char *to, envelope_t **env) {
    envelope_t *e = *env;
    if (from && from->life != LIFE_ALIVE && from->life != LIFE_STARTING) {
        envelope_destroy(env);
        return;
    }
    const route_t *r = stage_resolve(s, to);
    if (!e->to) e->to = route_known(r) ? name_ref(r->place.address) : name_cut(to);
    if (!route_known(r)) {
        stage_refuse(s, env, ERR_UNAVAILABLE, "nobody is known at this address");
        return;
    }
    if (!e->to_incarnation) e->to_incarnation = r->place.incarnation;
    if ((faults_any(s->options.faults) || s->delayed) && fault_on_send(s, env, r->place.process))
        return;
    if (r->local && !faults_any(s->options.faults))
        stage_place(s, r->local, env);
    else
        forward(s, env);
}

void stage_deliver(stage_t *s, envelope_t **env) {
    if ((*env)->via) {
        carry(s, env);
        return;
    }
    actor_t *a = map_get(&s->actors, (*env)->to->text);
    if (a)
        arrive(s, a, env);
    else
        stage_refuse(s, env, ERR_UNAVAILABLE, "nobody is known at this address");
}

// ---- notices -----------------------------------------------------------------------------------

static void tell_watchers(stage_t *s, const notice_t *n) {
    const watchers_t *w = map_get(&s->watchers, n->place.address->text);
    for (size_t i = 0; w && i < w->watchers.len; i++) {
        watcher_t *watcher = &w->watchers.at[i];
        actor_t *a = watcher->actor;
        if (n->place.incarnation < watcher->up) continue; // news of an earlier life
        if (n->gone) {
            Actor__Down down = {PROTOBUF_C_MESSAGE_INIT(&actor__down__descriptor)};
            down.address = n->place.address->text;
            down.incarnation = n->place.incarnation;
            down.reason = (char *)or_empty(n->reason);
            stage_self(s, a, n->place.address, 0, &down.base);
            // When only its link was down, it comes back as the same incarnation: Up then, too.
            watcher->up = n->place.incarnation ? n->place.incarnation - 1 : 0;
        } else if (n->place.incarnation > watcher->up) {
            watcher->up = n->place.incarnation;
            Actor__Up up = {PROTOBUF_C_MESSAGE_INIT(&actor__up__descriptor)};
            up.address = n->place.address->text;
            up.incarnation = n->place.incarnation;
            stage_self(s, a, n->place.address, 0, &up.base);
        }
    }
}

void stage_notice(stage_t *s, const notice_t *n) {
    tell_watchers(s, n);
    bool matters = n->gone ? *stage_awaited(s, n->place.address) > 0 : n->place.leader;
    for (size_t i = 0; matters && i < s->order.len; i++)
        if (s->order.at[i] && s->order.at[i]->desk) actor_notice(s, s->order.at[i], n);
    for (size_t i = 0; i < s->gateways.len; i++) {
        actor_t *link = s->gateways.at[i];
        if (link->life != LIFE_ALIVE || !link->gateway->changed) continue;
        stage_touch(s, link);
        stage_enqueue(s, link);
        stage_call_begin(s, link, 0);
        link->gateway->changed(link, n);
        stage_call_end(s, link);
    }
}

// ---- the round ---------------------------------------------------------------------------------

void stage_begin(stage_t *s) {
    routes_trim(s);
    s->options.host.clocks(s->options.host.arg, &s->clocks);
    s->tick_us = s->options.host.tick_us(s->options.host.arg);
    atomic_store_explicit(&s->round_since_us, s->tick_us, memory_order_relaxed);
}

const actor_def_t *stage_at_work(const stage_t *s, int64_t *ret_since_us) {
    *ret_since_us = atomic_load_explicit(&s->round_since_us, memory_order_relaxed);
    return *ret_since_us ? atomic_load_explicit(&s->called, memory_order_relaxed) : NULL;
}

void stage_fd(stage_t *s, actor_t *a, int fd, uint32_t epoll_events) {
    if (a->life != LIFE_ALIVE || a->paused || !a->def->on_fd) return;
    stage_touch(s, a);
    stage_call_begin(s, a, stage_new_trace(s));
    a->def->on_fd(a, fd, epoll_events);
    stage_call_end(s, a);
}

static void ring(stage_t *s, alarm_t *alarm) {
    if (alarm->kind == ALARM_DELAYED) {
        delayed_t *d = alarm->owner;
        envelope_t *env = d->env;
        bool late = env->is_late;
        free(d);
        s->delayed--;
        actor_t *local = map_get(&s->actors, env->to->text);
        if (late && local)
            stage_place(s, local, &env);
        else
            forward(s, &env);
        if (!s->delayed) delays_clear(s);
    } else if (alarm->kind == ALARM_PING) {
        stream_ping_all(s);
    } else if (alarm->kind == ALARM_RESTART) {
        life_restart(s, alarm->owner);
    } else {
        actor_alarm(s, alarm->owner, alarm);
    }
}

// Only what was set before this round: a timer of 0 ms that sets itself again must not starve us.
static void run_alarms(stage_t *s) {
    uint64_t until = s->alarms.last_order;
    alarm_t *first;
    while ((first = alarms_first(&s->alarms)) && first->at_us <= s->clocks.monotonic_us &&
           first->order <= until) {
        alarms_cancel(&s->alarms, first);
        ring(s, first);
    }
}

static void run_message(stage_t *s, actor_t *a) {
    envelope_t *env = mailbox_pop(a);
    int64_t begun = s->tick_us;
    int64_t waited = s->clocks.monotonic_us - env->sent_us;
    a->wait_us = (a->wait_us * 7 + (waited > 0 ? (uint64_t)waited : 0)) / 8;
    a->messages++;
    s->counts.messages++;
    stage_call_begin(s, a, env->trace_id);
    actor_handle(s, a, env);
    stage_call_end(s, a);
    s->options.host.hop(s->options.host.arg, a, env, 0, begun, s->tick_us);
    envelope_destroy(&env);
}

static bool budget_left(stage_t *s, size_t done, int64_t begun_us) {
    if (done >= ROUND_MESSAGES_MAX) return false;
    return done % TICK_EVERY || s->tick_us - begun_us < ROUND_US_MAX;
}

static void run_messages(stage_t *s) {
    int64_t begun = s->tick_us;
    size_t done = 0;
    actor_t *a;
    while ((a = queue_pop(&s->ready))) {
        a->due = a->depth;
        queue_push(&s->serving, a);
    }
    bool within = true;
    while (within && (a = queue_pop(&s->serving))) {
        stage_touch(s, a);
        while (a->due && a->life == LIFE_ALIVE && !a->paused &&
               (within = budget_left(s, done, begun))) {
            a->due--;
            done++;
            run_message(s, a);
        }
        if (a->life == LIFE_ALIVE && a->depth) stage_enqueue(s, a);
    }
    // Over budget: the others go on in the next round.
    while ((a = queue_pop(&s->serving))) stage_enqueue(s, a);
}

static void run_settles(stage_t *s) {
    for (size_t i = 0; i < s->touched.len; i++) { // a send may touch a link: it settles last
        actor_t *a = s->touched.at[i];
        a->again = false;
        if (a->life == LIFE_ALIVE && a->def->settle && !a->paused) {
            stage_call_begin(s, a, a->trace_id ? a->trace_id : stage_new_trace(s));
            a->def->settle(a);
            stage_call_end(s, a);
        } else if (a->life == LIFE_ALIVE && a->exiting) {
            life_end(s, a); // it said so while another's call ran: a link's carry
        }
    }
}

static void lend_back(stage_t *s) {
    for (size_t i = 0; i < s->touched.len; i++) {
        actor_t *a = s->touched.at[i];
        a->touched = false;
        arena_clear(a->arena);
        vec_push(&s->arenas, a->arena);
        a->arena = NULL;
    }
    vec_reset(&s->touched);
}

void stage_run(stage_t *s) {
    run_alarms(s);
    run_messages(s);
    run_settles(s);
    lend_back(s);
    life_sweep(s);
    atomic_store_explicit(&s->round_since_us, 0, memory_order_relaxed);
}

bool stage_is_busy(const stage_t *s) { return s->ready.first; }

int64_t stage_next_us(const stage_t *s) {
    const alarm_t *first = alarms_first(&s->alarms);
    return first ? first->at_us : INT64_MAX;
}

// ---- life of the stage -------------------------------------------------------------------------

stage_t *stage_new(const stage_options_t *options) {
    stage_t *s = NEW(stage_t);
    s->options = *options;
    rng_init(&s->rng, options->seed);
    alarm_init(&s->ping, ALARM_PING, NULL, 0);
    stage_begin(s);
    return s;
}

static void drop_delayed(stage_t *s) {
    alarm_t *first;
    while ((first = alarms_first(&s->alarms))) {
        alarms_cancel(&s->alarms, first);
        if (first->kind != ALARM_DELAYED) continue;
        delayed_t *d = first->owner;
        envelope_destroy(&d->env);
        free(d);
    }
}

void stage_destroy(stage_t **stage) {
    stage_t *s = x_steal(stage);
    if (!s) return;
    stage_begin(s);
    stage_stop_all(s, "the process ends");
    lend_back(s);
    life_sweep(s);
    drop_delayed(s);
    delays_clear(s);
    alarms_done(&s->alarms);
    routes_clear(s);
    assert(map_len(&s->actors) == 0 && map_len(&s->watchers) == 0);
    map_done(&s->actors);
    map_done(&s->watchers);
    for (size_t i = 0; i < s->arenas.len; i++) {
        arena_done(s->arenas.at[i]);
        free(s->arenas.at[i]);
    }
    vec_done(&s->arenas);
    vec_done(&s->order);
    vec_done(&s->touched);
    vec_done(&s->buried);
    vec_done(&s->gateways);
    vec_done(&s->streams);
    free(s);
}

stage_counts_t stage_counts(const stage_t *s) { return s->counts; }
