#include "runtime/actor/system_actor.h"
#include "runtime/actor/burner.h"
#include "runtime/actor/moves.h"
#include "runtime/api/msg.h"
#include "runtime/base/log.h"
#include "runtime/base/map.h"
#include "runtime/base/vec.h"
#include "runtime/io/files.h"
#include <signal.h>
#include <unistd.h>

enum {
    TAG_EXPIRE = 1, // timers
    TAG_DIE,
    TAG_DRAIN,
    DIE_MS = 20, // after the answer has left
    DRAIN_LOOK_MS = 2,
    DRAIN_MAX_MS = 1500, // a mailbox that is never empty is left as it is
};
static_assert((int)DRAIN_MAX_MS < (int)STEWARD_TIMEOUT_MS, "who retires an actor answers in time");

// ---- state -------------------------------------------------------------------------------------

// A question passed on to every steward of this process.
typedef struct {
    caller_t *caller; // owned
    const ProtobufCMessageDescriptor *reply;
    bool any;        // the first good answer is the answer; else all are joined
    size_t left;     // stewards that have not answered yet
    uint8_t *joined; // owned; packed messages one after another are one message
    size_t joined_len;
} round_trip_t;

typedef struct {
    const system_args_t *args;
    imap_t trips; // tag -> round_trip_t
    uint64_t last_tag;
    moves_t moves;
    burner_t *burner; // owned
    int death;        // signal that ends this process at TAG_DIE
} system_t;

static void trip_destroy(system_t *self, uint64_t tag) {
    round_trip_t *t = imap_remove(&self->trips, tag);
    if (!t) return;
    caller_drop(&t->caller);
    free(t->joined);
    free(t);
}

// ---- system: asking the stewards ---------------------------------------------------------------

typedef struct {
    arena_t *arena;
    VEC(const char *) names;
} stewards_t;

static void note_steward(void *arg, const place_t *place) {
    stewards_t *found = arg;
    if (place->link || !has_prefix(place->address->text, "steward/")) return;
    const char *name = arena_strdup(found->arena, place->address->text);
    vec_push(&found->names, name);
}

size_t system_ask_stewards(actor_t *me, const ProtobufCMessage *body, uint64_t tag) {
    stewards_t found = {.arena = actor_arena(me)};
    directory_each(actor_directory(me), note_steward, &found);
    blob_t *packed = msg_blob(body);
    for (size_t i = 0; i < found.names.len; i++)
        actor_ask_blob(me, found.names.at[i], body->descriptor, packed, STEWARD_TIMEOUT_MS, tag);
    blob_unref(&packed);
    size_t len = found.names.len;
    vec_done(&found.names);
    return len;
}

static void ask_stewards(actor_t *me, const message_t *msg, const void *body,
                         const ProtobufCMessageDescriptor *reply, bool any) {
    system_t *self = actor_state(me);
    round_trip_t *t = NEW(round_trip_t);
    uint64_t tag = ++self->last_tag;
    imap_put(&self->trips, tag, t);
    *t = (round_trip_t){actor_keep_caller(me, msg), reply, any};
    t->left = system_ask_stewards(me, body, tag);
}

static void join(round_trip_t *t, const blob_t *body) {
    if (!body || !body->len) return;
    t->joined = mem_resize(t->joined, t->joined_len + body->len);
    memcpy(t->joined + t->joined_len, body->at, body->len);
    t->joined_len += body->len;
}

static void finish(actor_t *me, uint64_t tag, round_trip_t *t) {
    blob_t *body = blob_from(t->joined ? t->joined : (const uint8_t *)"", t->joined_len);
    caller_reply_blob(me, &t->caller, t->reply, body);
    blob_unref(&body);
    trip_destroy(actor_state(me), tag);
}

static void on_steward(actor_t *me, const message_t *msg, const void *body) {
    system_t *self = actor_state(me);
    round_trip_t *t = imap_get(&self->trips, msg->tag);
    if (MOVES_TAG(msg->tag))
        moves_on_answer(&self->moves, me, self->args->options, msg->tag, ERR_OK, NULL);
    if (!t) return;
    join(t, msg->body);
    if (--t->left == 0 || t->any) finish(me, msg->tag, t);
}

static void on_failure(actor_t *me, const message_t *msg, const void *body) {
    system_t *self = actor_state(me);
    const Actor__Failure *failure = body;
    round_trip_t *t = imap_get(&self->trips, msg->tag);
    if (MOVES_TAG(msg->tag))
        moves_on_answer(&self->moves, me, self->args->options, msg->tag, (err_t)failure->err,
                        failure->why);
    if (!t || --t->left > 0) return;
    if (!t->any) { // a steward is missing: what the others said still holds
        finish(me, msg->tag, t);
        return;
    }
    caller_fail(me, &t->caller, (err_t)failure->err, failure->why);
    trip_destroy(self, msg->tag);
}

static void on_list(actor_t *me, const message_t *msg, const void *body) {
    ask_stewards(me, msg, body, &actor__actor_infos__descriptor, false);
}
static void on_metrics(actor_t *me, const message_t *msg, const void *body) {
    ask_stewards(me, msg, body, &actor__metrics__descriptor, false);
}
static void on_kill_or_pause(actor_t *me, const message_t *msg, const void *body) {
    ask_stewards(me, msg, body, &actor__done__descriptor, true);
}

// ---- system: what it knows itself --------------------------------------------------------------

static void reply_done(actor_t *me, const message_t *msg) {
    Actor__Done done = {PROTOBUF_C_MESSAGE_INIT(&actor__done__descriptor)};
    actor_reply(me, msg, &done.base);
}

static void on_dead_letters(actor_t *me, const message_t *msg, const void *body) {
    const system_t *self = actor_state(me);
    Actor__DeadLetters letters = {PROTOBUF_C_MESSAGE_INIT(&actor__dead_letters__descriptor)};
    dead_letters_list(self->args->dead_letters, self->args->process, actor_arena(me), &letters);
    actor_reply(me, msg, &letters.base);
}

static void on_move(actor_t *me, const message_t *msg, const void *body) {
    system_t *self = actor_state(me);
    moves_on_order(&self->moves, me, self->args->options, msg, body);
}

// ---- system: faults ----------------------------------------------------------------------------

static void tell_stewards(actor_t *me, const ProtobufCMessage *body) {
    stewards_t found = {.arena = actor_arena(me)};
    directory_each(actor_directory(me), note_steward, &found);
    for (size_t i = 0; i < found.names.len; i++) actor_tell(me, found.names.at[i], body);
    vec_done(&found.names);
}

static void pause_actor(actor_t *me, const char *address, bool resume) {
    Actor__PauseActor pause = {PROTOBUF_C_MESSAGE_INIT(&actor__pause_actor__descriptor)};
    pause.address = (char *)address;
    pause.resume = resume;
    tell_stewards(me, &pause.base);
}

static void undone(void *arg, const Actor__FaultRule *rule) {
    if (rule->kind == ACTOR__FAULT_RULE__KIND__PAUSE) pause_actor(arg, rule->target, true);
}

// What the faults that are on add up to for the process; then sleeps until the next one ends.
static void apply_faults(actor_t *me) {
    system_t *self = actor_state(me);
    faults_t *faults = self->args->faults;
    int64_t next_us = faults_expire(faults, actor_now_us(me), undone, me);
    Actor__Faults on = {PROTOBUF_C_MESSAGE_INIT(&actor__faults__descriptor)};
    faults_list(faults, actor_now_us(me), actor_arena(me), &on);
    int64_t delay_ms = 0, skew_ms = 0;
    bool is_full = false;
    double share = 0;
    for (size_t i = 0; i < on.n_rules; i++) {
        const Actor__FaultRule *r = on.rules[i];
        if (r->kind == ACTOR__FAULT_RULE__KIND__DISK_SLOW) delay_ms += r->delay_ms;
        if (r->kind == ACTOR__FAULT_RULE__KIND__DISK_FULL) is_full = true;
        if (r->kind == ACTOR__FAULT_RULE__KIND__SKEW) skew_ms += r->skew_ms;
        if (r->kind == ACTOR__FAULT_RULE__KIND__CPU)
            share += r->probability > 0 ? r->probability : 1;
    }
    files_real_set_faults(delay_ms * 1000, is_full);
    faults_set_skew(faults, skew_ms);
    burner_set(&self->burner, share);
    if (next_us < INT64_MAX) actor_timer(me, TAG_EXPIRE, (next_us - actor_now_us(me)) / 1000 + 1);
}

// At once, and not kept.
static void strike(actor_t *me, const Actor__FaultRule *r) {
    system_t *self = actor_state(me);
    Actor__KillActor kill = {PROTOBUF_C_MESSAGE_INIT(&actor__kill_actor__descriptor)};
    kill.address = (char *)r->target;
    kill.reason = arena_printf(actor_arena(me), "chaos %s", or_empty(r->name));
    if (r->kind == ACTOR__FAULT_RULE__KIND__CRASH) kill.how = ACTOR__KILL_ACTOR__HOW__CRASH;
    if (r->kind == ACTOR__FAULT_RULE__KIND__HANG) kill.how = ACTOR__KILL_ACTOR__HOW__HANG;
    if (!is_empty(r->target)) {
        tell_stewards(me, &kill.base);
        return;
    }
    self->death = r->kind == ACTOR__FAULT_RULE__KIND__CRASH ? SIGSEGV : SIGKILL;
    actor_timer(me, TAG_DIE, DIE_MS);
}

static err_t begin_fault(actor_t *me, const Actor__FaultRule *r, why_t *why) {
    system_t *self = actor_state(me);
    const process_options_t *o = self->args->options;
    bool pauses = r->kind == ACTOR__FAULT_RULE__KIND__PAUSE;
    if (r->kind >= ACTOR__FAULT_RULE__KIND__KILL) {
        strike(me, r);
        return ERR_OK;
    }
    if (pauses && is_empty(r->target)) {
        if (!o->tell_parent || !r->for_ms)
            return why_set(why, ERR_BAD_REQUEST, "nobody above this process could resume it");
        o->tell_parent(o->tell_parent_arg, "pause", arena_printf(actor_arena(me), "%u", r->for_ms));
        return ERR_OK;
    }
    if (!faults_set(self->args->faults, r, actor_now_us(me)))
        return why_set(why, ERR_EXHAUSTED, "more than %d fault rules", FAULT_RULES_MAX);
    if (pauses) pause_actor(me, r->target, false);
    return ERR_OK;
}

static void on_set_faults(actor_t *me, const message_t *msg, const void *body) {
    const Actor__SetFaults *set = body;
    why_t why;
    err_t err = ERR_OK;
    for (size_t i = 0; i < set->n_rules && !err; i++) err = begin_fault(me, set->rules[i], &why);
    apply_faults(me);
    if (err)
        actor_fail(me, msg, err, why.text);
    else
        reply_done(me, msg);
}

static void on_clear_faults(actor_t *me, const message_t *msg, const void *body) {
    const system_t *self = actor_state(me);
    const Actor__ClearFaults *clear = body;
    for (size_t i = 0; i < clear->n_names; i++)
        faults_clear(self->args->faults, clear->names[i], undone, me);
    if (!clear->n_names) faults_clear(self->args->faults, NULL, undone, me);
    apply_faults(me);
    reply_done(me, msg);
}

static void on_list_faults(actor_t *me, const message_t *msg, const void *body) {
    const system_t *self = actor_state(me);
    Actor__Faults faults = {PROTOBUF_C_MESSAGE_INIT(&actor__faults__descriptor)};
    faults_list(self->args->faults, actor_now_us(me), actor_arena(me), &faults);
    for (size_t i = 0; i < faults.n_rules; i++) faults.rules[i]->process = self->args->process;
    actor_reply(me, msg, &faults.base);
}

static void die_of(int signal_number) {
    signal(signal_number, SIG_DFL);
    kill(getpid(), signal_number);
}

static void system_timer(actor_t *me, uint64_t tag) {
    const system_t *self = actor_state(me);
    if (tag == TAG_DIE) die_of(self->death);
    apply_faults(me);
}

static void on_trace(actor_t *me, const message_t *msg, const void *body) {
    const system_t *self = actor_state(me);
    const Actor__TraceQuery *query = body;
    Actor__TraceHops hops = {PROTOBUF_C_MESSAGE_INIT(&actor__trace_hops__descriptor)};
    trace_query(self->args->trace, query->last ? 0 : query->trace_id, self->args->process,
                actor_arena(me), &hops);
    actor_reply(me, msg, &hops.base);
}

// ---- system: life ------------------------------------------------------------------------------

static err_t system_start(actor_t *me, const void *args, why_t *why) {
    ((system_t *)actor_state(me))->args = args;
    apply_faults(me); // those set before it was killed still end in time
    return ERR_OK;
}

static void system_stop(actor_t *me) {
    system_t *self = actor_state(me);
    size_t at = 0;
    uint64_t tag;
    while (imap_next(&self->trips, &at, &tag, NULL)) trip_destroy(self, tag);
    imap_done(&self->trips);
    moves_done(&self->moves);
    burner_set(&self->burner, 0);
}

#define WHO_ASKS "apiserver gateway cli admin chaos system"
static const handler_t system_rows[] = {
    {&actor__list_actors__descriptor, on_list, WHO_ASKS},
    {&actor__get_metrics__descriptor, on_metrics, WHO_ASKS},
    {&actor__kill_actor__descriptor, on_kill_or_pause, WHO_ASKS},
    {&actor__pause_actor__descriptor, on_kill_or_pause, WHO_ASKS},
    {&actor__move_actor__descriptor, on_move, WHO_ASKS},
    {&actor__set_faults__descriptor, on_set_faults, WHO_ASKS},
    {&actor__clear_faults__descriptor, on_clear_faults, WHO_ASKS},
    {&actor__list_faults__descriptor, on_list_faults, WHO_ASKS},
    {&actor__trace_query__descriptor, on_trace, WHO_ASKS},
    {&actor__list_dead_letters__descriptor, on_dead_letters, WHO_ASKS},
    {&actor__actor_infos__descriptor, on_steward, "steward"},
    {&actor__metrics__descriptor, on_steward, "steward"},
    {&actor__done__descriptor, on_steward, "steward system"},
    {&actor__failure__descriptor, on_failure},
    {0},
};

const actor_def_t system_actor = {
    .role = "system",
    .state_size = sizeof(system_t),
    .start = system_start,
    .handlers = system_rows,
    .on_timer = system_timer,
    .stop = system_stop,
};

// ---- steward -----------------------------------------------------------------------------------

static void steward_list(actor_t *me, const message_t *msg, const void *body) {
    Actor__ActorInfos infos = {PROTOBUF_C_MESSAGE_INIT(&actor__actor_infos__descriptor)};
    stage_list(actor_stage(me), actor_arena(me), &infos);
    actor_reply(me, msg, &infos.base);
}

typedef struct {
    arena_t *arena;
    const char *process;
    VEC(Actor__Metric *) metrics;
} metrics_t;

static void note_metric(void *arg, const char *address, const char *name, bool is_gauge,
                        int64_t value) {
    metrics_t *m = arg;
    Actor__Metric *metric = MSG_NEW(m->arena, Actor__Metric, actor__metric__descriptor);
    metric->actor = arena_strdup(m->arena, address);
    metric->name = arena_strdup(m->arena, name);
    metric->process = m->process;
    metric->is_gauge = is_gauge;
    metric->value = value;
    vec_push(&m->metrics, metric);
}

static void steward_metrics(actor_t *me, const message_t *msg, const void *body) {
    const char *name = actor_name(me); // PROCESS/DISPATCHER
    arena_t *arena = actor_arena(me);
    metrics_t m = {arena, arena_strndup(arena, name, (size_t)(strrchr(name, '/') - name))};
    stage_each_metric(actor_stage(me), note_metric, &m);
    Actor__Metrics reply = {PROTOBUF_C_MESSAGE_INIT(&actor__metrics__descriptor)};
    reply.n_metrics = m.metrics.len;
    reply.metrics = m.metrics.at;
    actor_reply(me, msg, &reply.base);
    vec_done(&m.metrics);
}

static actor_t *wanted(actor_t *me, const message_t *msg, const char *address) {
    actor_t *found = stage_find(actor_stage(me), address);
    if (!found) {
        char *why = str_printf("no actor is called %s", address);
        actor_fail(me, msg, ERR_NOT_FOUND, why);
        free(why);
    }
    return found;
}

// As a wild pointer would; after the answer has left.
static void crash(actor_t *me, const char *reason) {
    log_warn("steward", "crashes on purpose: %s", reason);
    actor_timer(me, TAG_DIE, DIE_MS);
}

static void steward_kill(actor_t *me, const message_t *msg, const void *body) {
    const Actor__KillActor *kill = body;
    actor_t *victim = wanted(me, msg, kill->address);
    if (!victim) return;
    reply_done(me, msg);
    const char *reason = is_empty(kill->reason) ? "killed" : kill->reason;
    if (kill->how == ACTOR__KILL_ACTOR__HOW__CRASH)
        crash(me, reason);
    else if (kill->how == ACTOR__KILL_ACTOR__HOW__HANG)
        stage_hang(actor_stage(me), victim);
    else
        stage_kill(actor_stage(me), victim, reason);
}

static void steward_pause(actor_t *me, const message_t *msg, const void *body) {
    const Actor__PauseActor *pause = body;
    actor_t *found = wanted(me, msg, pause->address);
    if (!found) return;
    if (found == me) {
        actor_fail(me, msg, ERR_BAD_REQUEST, "a paused steward could not resume anybody");
        return;
    }
    stage_pause(actor_stage(me), found, !pause->resume);
    reply_done(me, msg);
}

// ---- steward: actors that leave ----------------------------------------------------------------

typedef struct {
    char *address;    // owned
    caller_t *caller; // owned
    int64_t deadline_ms;
} leaver_t;

typedef struct {
    VEC(leaver_t) leavers;
} steward_t;

static void leaver_done(leaver_t *l) {
    free(l->address);
    caller_drop(&l->caller);
}

// What it has in its mailbox it still handles; what comes later finds it at its next place.
static void drain(actor_t *me) {
    steward_t *self = actor_state(me);
    for (size_t i = self->leavers.len; i-- > 0;) {
        leaver_t *l = &self->leavers.at[i];
        actor_t *leaver = stage_find(actor_stage(me), l->address);
        if (leaver && !stage_drained(leaver) && actor_now_ms(me) < l->deadline_ms) continue;
        if (leaver) stage_stop(actor_stage(me), leaver, "moved");
        Actor__Done done = {PROTOBUF_C_MESSAGE_INIT(&actor__done__descriptor)};
        caller_reply(me, &l->caller, &done.base);
        leaver_done(l);
        vec_swap_remove(&self->leavers, i);
    }
    if (self->leavers.len) actor_timer(me, TAG_DRAIN, DRAIN_LOOK_MS);
}

static void steward_retire(actor_t *me, const message_t *msg, const void *body) {
    steward_t *self = actor_state(me);
    actor_t *leaver = wanted(me, msg, ((const Actor__RetireActor *)body)->address);
    if (!leaver) return;
    leaver_t l = {str_dup(actor_address(leaver)), actor_keep_caller(me, msg),
                  actor_now_ms(me) + DRAIN_MAX_MS};
    vec_push(&self->leavers, l);
    actor_set_ready(leaver, false); // a bare role means others from now on
    actor_timer(me, TAG_DRAIN, DRAIN_LOOK_MS);
}

static void steward_timer(actor_t *me, uint64_t tag) {
    if (tag == TAG_DRAIN)
        drain(me);
    else
        die_of(SIGSEGV);
}

static void steward_stop(actor_t *me) {
    steward_t *self = actor_state(me);
    for (size_t i = 0; i < self->leavers.len; i++) leaver_done(&self->leavers.at[i]);
    vec_done(&self->leavers);
}

static const handler_t steward_rows[] = {
    {&actor__list_actors__descriptor, steward_list, "system"},
    {&actor__get_metrics__descriptor, steward_metrics, "system"},
    {&actor__kill_actor__descriptor, steward_kill, "system"},
    {&actor__pause_actor__descriptor, steward_pause, "system"},
    {&actor__retire_actor__descriptor, steward_retire, "system"},
    {0},
};

const actor_def_t steward_actor = {
    .role = "steward",
    .state_size = sizeof(steward_t),
    .handlers = steward_rows,
    .on_timer = steward_timer,
    .stop = steward_stop,
};
