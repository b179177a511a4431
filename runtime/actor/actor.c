// What actors do with messages: asks with deadlines, answers, callers, timers, counters.
#include "runtime/actor/stage_inner.h"
#include "runtime/api/msg.h"
#include "runtime/base/log.h"

// ---- itself ------------------------------------------------------------------------------------

void *actor_state(actor_t *me) { return me->state; }
arena_t *actor_arena(actor_t *me) {
    assert(me->arena);
    return me->arena;
}
const char *actor_address(const actor_t *me) { return me->name->text; }
const char *actor_name(const actor_t *me) { return me->name->text + me->name->role_len + 1; }
uint64_t actor_incarnation(const actor_t *me) { return me->incarnation; }
int64_t actor_now_ms(const actor_t *me) { return me->stage->clocks.monotonic_us / 1000; }
int64_t actor_now_us(const actor_t *me) { return me->stage->clocks.monotonic_us; }
int64_t actor_boottime_ms(const actor_t *me) {
    const stage_host_t *host = &me->stage->options.host;
    return host->boottime_ms(host->arg);
}
int64_t actor_wall_ms(const actor_t *me) { return me->stage->clocks.wall_ms; }
rng_t *actor_rng(actor_t *me) { return &me->stage->rng; }
void actor_set_trace(actor_t *me, uint64_t trace_id) { me->stage->trace_id = trace_id; }
uint32_t actor_port(const actor_t *me) { return me->stage->options.port; }
name_t *actor_full_name(const actor_t *me) { return me->name; }
directory_t *actor_directory(const actor_t *me) { return me->stage->options.directory; }
stage_t *actor_stage(const actor_t *me) { return me->stage; }

void actor_set_gateway(actor_t *me, const gateway_t *gateway) {
    assert(!me->gateway && gateway);
    me->gateway = gateway;
    if (gateway->carry || gateway->changed) vec_push(&me->stage->gateways, me);
}

void actor_settle_again(actor_t *me) {
    me->again = true;
    stage_enqueue(me->stage, me);
}

bool actor_is_known(const actor_t *me, const char *address) {
    return route_known(stage_resolve(me->stage, address));
}

typedef struct {
    void (*each)(void *arg, const char *address, const char *process);
    void *arg;
} known_t;

static void known_one(void *arg, const place_t *place) {
    const known_t *k = arg;
    k->each(k->arg, place->address->text, place->process ? place->process->text : "");
}

void actor_each_known(const actor_t *me, const char *role,
                      void (*each)(void *arg, const char *address, const char *process),
                      void *arg) {
    known_t known = {each, arg};
    directory_each_of(me->stage->options.directory, role, known_one, &known);
}

desk_t *actor_desk(actor_t *a) {
    if (!a->desk) a->desk = NEW(desk_t);
    return a->desk;
}

// ---- packing and unpacking ---------------------------------------------------------------------

blob_t *msg_blob(const ProtobufCMessage *body) {
    size_t size = protobuf_c_message_get_packed_size(body);
    blob_t *blob = blob_new(size);
    protobuf_c_message_pack(body, blob->at);
    return blob;
}

// What came from another process is scanned first; what this process packed is known to be sound.
static void *unpack(arena_t *arena, const ProtobufCMessageDescriptor *type, const envelope_t *env) {
    if (!env->principal) return msg_unpack_own(arena, type, blob_bytes(env->body));
    void *body;
    return msg_unpack(arena, type, blob_bytes(env->body), &body, NULL) ? NULL : body;
}

void *actor_unpack_kits(actor_t *a, const envelope_t *env) {
    return unpack(a->arena, env->type, env);
}

// ---- a row of the table ------------------------------------------------------------------------

static bool word_in(const char *words, const char *word, size_t len) {
    for (const char *at = words; *at;) {
        size_t size = strcspn(at, " ");
        if (size == len && memcmp(at, word, len) == 0) return true;
        at += size;
        at += strspn(at, " ");
    }
    return false;
}

static bool may_send(const handler_t *row, const envelope_t *env) {
    if (!row->from || env->is_kits) return true;
    const name_t *from = env->from;
    if (word_in(row->from, from->text, from->role_len)) return true;
    // The process itself and tests pass everywhere, but never across a process border.
    return !env->principal && word_in("system test", from->text, from->role_len);
}

static const handler_t *row_of(const actor_def_t *def, const envelope_t *env) {
    if (!def->handlers) return NULL;
    if (env->type) {
        for (const handler_t *row = def->handlers; row->type; row++)
            if (row->type == env->type) return row;
        return NULL;
    }
    for (const handler_t *row = def->handlers; row->type; row++)
        if (streq(row->type->name, env->type_name->text)) return row;
    return NULL;
}

bool actor_bears_reorder(const actor_def_t *def, const envelope_t *env) {
    const handler_t *row = row_of(def, env);
    return row && row->bears_reorder;
}

static message_t message_of(const envelope_t *env, uint64_t tag, uint64_t stream) {
    return (message_t){
        .to = env->to->text,
        .from = env->from->text,
        .type = envelope_type(env),
        .id = env->id,
        .in_reply_to = env->in_reply_to,
        .tag = tag,
        .deadline_ms = (env->deadline_us + 999) / 1000,
        .trace_id = env->trace_id,
        .epoch = env->epoch,
        .from_incarnation = env->from_incarnation,
        .stream = stream,
        .stream_seq = env->stream_seq,
        .stream_window = env->stream_window,
        .principal = env->principal ? env->principal->text : NULL,
        .body = env->body,
    };
}

// A credit names the stream by the other side's number: give it ours. A goodbye, which the kit
// itself made, has ours already.
static void name_stream(message_t *msg, void *body) {
    const ProtobufCMessage *base = body;
    if (base->descriptor == &actor__stream_credit__descriptor)
        ((Actor__StreamCredit *)body)->stream = msg->stream ? msg->stream : msg->in_reply_to;
    else if (base->descriptor == &actor__stream_gone__descriptor)
        msg->stream = ((Actor__StreamGone *)body)->stream;
}

bool actor_call_row(stage_t *s, actor_t *a, const envelope_t *env, uint64_t tag, uint64_t stream,
                    err_t *ret_err) {
    message_t msg = message_of(env, tag, stream);
    if (a->gateway && a->gateway->raw) {
        a->gateway->raw(a, &msg);
        return true;
    }
    const handler_t *row = row_of(a->def, env);
    if (!row || !may_send(row, env)) {
        *ret_err = row ? ERR_FORBIDDEN : ERR_UNHANDLED;
        return false;
    }
    void *body = unpack(a->arena, row->type, env);
    if (!body) {
        *ret_err = ERR_MALFORMED;
        return false;
    }
    if (env->is_kits) name_stream(&msg, body);
    row->handle(a, &msg, body);
    return true;
}

// ---- sending -----------------------------------------------------------------------------------

// Does it travel on the control lane? The sender's own table says so for what peers of one role
// send each other (raft); the kit's own messages always do.
static bool is_control(const actor_def_t *def, const ProtobufCMessageDescriptor *type) {
    for (const handler_t *row = def->handlers; row && row->type; row++)
        if (row->type == type) return row->control;
    return false;
}

envelope_t *envelope_from(actor_t *me, const ProtobufCMessageDescriptor *type, blob_t *body) {
    stage_t *s = me->stage;
    envelope_t *e = envelope_new();
    e->from = name_ref(me->name);
    e->from_incarnation = me->incarnation;
    e->id = ++me->last_id;
    e->trace_id = s->trace_id;
    e->epoch = me->epoch;
    e->type = type;
    e->body = body;
    e->control = is_control(me->def, type);
    e->sent_us = s->clocks.monotonic_us;
    return e;
}

void actor_tell_blob(actor_t *me, const char *to, const ProtobufCMessageDescriptor *type,
                     blob_t *body) {
    envelope_t *e = envelope_from(me, type, blob_ref(body));
    if (envelope_bytes(e) > MESSAGE_MAX_BYTES) {
        e->to = name_cut(to);
        stage_dead_letter(me->stage, &e, "the message is too large");
        return;
    }
    stage_route(me->stage, me, to, &e);
}

void actor_tell(actor_t *me, const char *to, const ProtobufCMessage *body) {
    blob_t *blob = msg_blob(body);
    actor_tell_blob(me, to, body->descriptor, blob);
    blob_unref(&blob);
}

static ask_t *ask_new(actor_t *me, envelope_t *e, const char *to, int64_t timeout_ms,
                      uint64_t tag) {
    stage_t *s = me->stage;
    const route_t *r = stage_resolve(s, to);
    ask_t *ask = NEW(ask_t);
    alarm_init(&ask->alarm, ALARM_ASK, me, e->id);
    ask->id = e->id;
    ask->tag = tag;
    ask->trace_id = s->trace_id;
    ask->to = route_known(r) ? name_ref(r->place.address) : name_cut(to);
    ++*stage_awaited(s, ask->to);
    ask->to_incarnation = r->place.incarnation;
    if (!strchr(to, '/') && r->place.leader) ask->led_epoch = r->place.epoch;
    imap_put(&actor_desk(me)->asks, ask->id, ask);
    alarms_set(&s->alarms, &ask->alarm, s->clocks.monotonic_us + timeout_ms * 1000);
    e->to = name_ref(ask->to);
    e->to_incarnation = ask->to_incarnation;
    e->is_ask = true;
    e->deadline_us = ask->alarm.at_us;
    return ask;
}

static uint64_t ask_send(actor_t *me, envelope_t **env) {
    uint64_t id = (*env)->id;
    if (envelope_bytes(*env) > MESSAGE_MAX_BYTES)
        stage_refuse(me->stage, env, ERR_TOO_LARGE, "the message is too large");
    else
        stage_route(me->stage, me, (*env)->to->text, env);
    return id;
}

uint64_t actor_ask_blob(actor_t *me, const char *to, const ProtobufCMessageDescriptor *type,
                        blob_t *body, int64_t timeout_ms, uint64_t tag) {
    assert(timeout_ms > 0);
    envelope_t *e = envelope_from(me, type, blob_ref(body));
    ask_new(me, e, to, timeout_ms, tag);
    return ask_send(me, &e);
}

uint64_t actor_ask(actor_t *me, const char *to, const ProtobufCMessage *body, int64_t timeout_ms,
                   uint64_t tag) {
    blob_t *blob = msg_blob(body);
    uint64_t id = actor_ask_blob(me, to, body->descriptor, blob, timeout_ms, tag);
    blob_unref(&blob);
    return id;
}

uint64_t actor_open(actor_t *me, const char *to, const ProtobufCMessage *body, uint32_t window,
                    uint64_t tag) {
    assert(window > 0);
    envelope_t *e = envelope_from(me, body->descriptor, msg_blob(body));
    e->stream_window = window;
    ask_t *ask = ask_new(me, e, to, ASK_TIMEOUT_DEFAULT_MS, tag);
    ask->is_stream = true;
    ask->window = window;
    ask->credited = window;
    ask->next_seq = 1;
    return ask_send(me, &e);
}

void ask_destroy(stage_t *s, ask_t *ask) {
    alarms_cancel(&s->alarms, &ask->alarm);
    if (ask->accepted) stream_forget(s, ask);
    --*stage_awaited(s, ask->to);
    name_unref(&ask->to);
    free(ask);
}

void actor_forget(actor_t *me, uint64_t ask_id) {
    ask_t *ask = me->desk ? imap_get(&me->desk->asks, ask_id) : NULL;
    if (!ask) return;
    imap_remove(&me->desk->asks, ask_id);
    ask_destroy(me->stage, ask);
}

// ---- answering ---------------------------------------------------------------------------------

struct caller {
    name_t *address, *principal; // owned
    uint64_t incarnation, id, trace_id, epoch;
    int64_t deadline_us;
};

static bool wants_answer(const message_t *msg) {
    return msg->id && !msg->in_reply_to && (msg->deadline_ms || msg->stream_window);
}

// id 0: a tell; nobody waits, and whatever is answered goes nowhere. No assert: whether a request
// comes as an ask is up to its sender, who may be a stranger.
static caller_t caller_of(const message_t *msg) {
    return (caller_t){.incarnation = msg->from_incarnation,
                      .id = wants_answer(msg) ? msg->id : 0,
                      .trace_id = msg->trace_id,
                      .epoch = msg->epoch,
                      .deadline_us = msg->deadline_ms * 1000};
}

caller_t *actor_keep_caller(actor_t *me, const message_t *msg) {
    caller_t *caller = NEW(caller_t);
    *caller = caller_of(msg);
    caller->address = name_new(msg->from);
    caller->principal = msg->principal ? name_new(msg->principal) : NULL;
    return caller;
}

static void answer(actor_t *me, const caller_t *to, const char *address,
                   const ProtobufCMessageDescriptor *type, blob_t **body) {
    if (!to->id) {
        blob_unref(body);
        return;
    }
    envelope_t *e = envelope_from(me, type, x_steal(body));
    e->to = to->address ? name_ref(to->address) : name_new(address);
    e->to_incarnation = to->incarnation;
    e->in_reply_to = to->id;
    e->trace_id = to->trace_id;
    if (envelope_bytes(e) > MESSAGE_MAX_BYTES) {
        log_warn(me->name->text, "answer %s of %zu bytes is too large", type->name,
                 envelope_bytes(e));
        Actor__Failure failure = {PROTOBUF_C_MESSAGE_INIT(&actor__failure__descriptor)};
        failure.err = ERR_TOO_LARGE;
        failure.why = "the answer is too large";
        blob_unref(&e->body);
        e->body = msg_blob(&failure.base);
        e->type = failure.base.descriptor;
    }
    stage_route(me->stage, me, e->to->text, &e);
}

void actor_reply(actor_t *me, const message_t *msg, const ProtobufCMessage *body) {
    caller_t caller = caller_of(msg);
    answer(me, &caller, msg->from, body->descriptor, &(blob_t *){msg_blob(body)});
}

static blob_t *failure_blob(err_t err, const char *why, bytes_t status) {
    Actor__Failure failure = {PROTOBUF_C_MESSAGE_INIT(&actor__failure__descriptor)};
    failure.err = err;
    failure.why = (char *)(why ? why : err_text(err));
    failure.status = (ProtobufCBinaryData){status.len, (uint8_t *)status.at};
    return msg_blob(&failure.base);
}

void actor_fail_status(actor_t *me, const message_t *msg, err_t err, const char *why,
                       bytes_t status) {
    caller_t caller = caller_of(msg);
    answer(me, &caller, msg->from, &actor__failure__descriptor,
           &(blob_t *){failure_blob(err, why, status)});
}

void actor_fail(actor_t *me, const message_t *msg, err_t err, const char *why) {
    actor_fail_status(me, msg, err, why, (bytes_t){0});
}

void caller_reply_blob(actor_t *me, caller_t **caller, const ProtobufCMessageDescriptor *type,
                       blob_t *body) {
    assert(*caller);
    answer(me, *caller, NULL, type, &(blob_t *){blob_ref(body)});
    caller_drop(caller);
}

void caller_reply(actor_t *me, caller_t **caller, const ProtobufCMessage *body) {
    blob_t *blob = msg_blob(body);
    caller_reply_blob(me, caller, body->descriptor, blob);
    blob_unref(&blob);
}

void caller_fail_status(actor_t *me, caller_t **caller, err_t err, const char *why,
                        bytes_t status) {
    blob_t *blob = failure_blob(err, why, status);
    caller_reply_blob(me, caller, &actor__failure__descriptor, blob);
    blob_unref(&blob);
}

void caller_fail(actor_t *me, caller_t **caller, err_t err, const char *why) {
    caller_fail_status(me, caller, err, why, (bytes_t){0});
}

void caller_drop(caller_t **caller) {
    caller_t *old = x_steal(caller);
    if (!old) return;
    name_unref(&old->address);
    name_unref(&old->principal);
    free(old);
}

int64_t caller_deadline_ms(const caller_t *c) { return c->deadline_us / 1000; }
const char *caller_address(const caller_t *c) { return c->address->text; }
const char *caller_principal(const caller_t *c) { return c->principal ? c->principal->text : NULL; }
uint64_t caller_trace_id(const caller_t *c) { return c->trace_id; }
uint64_t caller_epoch(const caller_t *c) { return c->epoch; }

// ---- for links ---------------------------------------------------------------------------------

// The kit's own types, which a link knows by name only. Down, Up and Gone never cross a border:
// each process says them to its own actors.
static const ProtobufCMessageDescriptor *const kit_types[] = {
    &actor__failure__descriptor,     &actor__stream_credit__descriptor,
    &actor__stream_end__descriptor,  &actor__stream_cancel__descriptor,
    &actor__stream_ping__descriptor,
};
static const ProtobufCMessageDescriptor *const local_types[] = {
    &actor__down__descriptor,
    &actor__up__descriptor,
    &actor__stream_gone__descriptor,
};

void actor_inject(actor_t *link, envelope_t **env) {
    stage_t *s = link->stage;
    envelope_t *e = *env;
    if (!e->type) {
        for (size_t i = 0; i < LENGTH_OF(local_types); i++)
            if (streq(e->type_name->text, local_types[i]->name)) {
                stage_dead_letter(s, env, "this type does not cross a process border");
                return;
            }
        for (size_t i = 0; i < LENGTH_OF(kit_types); i++)
            if (streq(e->type_name->text, kit_types[i]->name)) e->type = kit_types[i];
        if (e->type) name_unref(&e->type_name);
    }
    e->is_kits = e->type == &actor__stream_credit__descriptor ||
                 e->type == &actor__stream_cancel__descriptor ||
                 e->type == &actor__stream_ping__descriptor;
    e->sent_us = s->clocks.monotonic_us;
    name_t *to = e->to; // perhaps a bare role: what it means is decided here
    if (to->role_len == to->len) e->to = NULL;
    stage_route(s, NULL, to->text, env);
    if (to->role_len == to->len) name_unref(&to);
}

void actor_fail_back(actor_t *me, envelope_t **env, err_t err, const char *why) {
    stage_refuse(me->stage, env, err, why);
}

// ---- handling ----------------------------------------------------------------------------------

static bool is_failure(const envelope_t *env) { return env->type == &actor__failure__descriptor; }

static void deliver_failure(stage_t *s, actor_t *a, const envelope_t *like, uint64_t tag, err_t err,
                            const char *why) {
    envelope_t e = *like;
    e.type = &actor__failure__descriptor;
    e.body = failure_blob(err, why, (bytes_t){0});
    e.is_kits = true;
    err_t ignored;
    actor_call_row(s, a, &e, tag, 0, &ignored); // no Failure row: the actor does not care
    blob_unref(&e.body);
}

// The outcome of an ask (or of an opening that failed): exactly one.
static void on_outcome(stage_t *s, actor_t *a, ask_t *ask, const envelope_t *env) {
    uint64_t tag = ask->tag;
    bool is_stream = ask->is_stream;
    // The server may have accepted, and the news of it be lost.
    if (is_stream && ask->expired && is_failure(env)) stream_tell_cancel(a, ask);
    imap_remove(&a->desk->asks, ask->id);
    ask_destroy(s, ask);
    err_t err = ERR_OK;
    if (actor_call_row(s, a, env, tag, 0, &err)) return;
    if (is_failure(env)) {
        if (is_stream) stream_refused(s, a, env, tag);
        return;
    }
    char *why = str_printf("%s takes no %s from %s: %s", a->name->text, envelope_type(env),
                           env->from->text, err_text(err));
    deliver_failure(s, a, env, tag, err, why);
    free(why);
}

// Who was asked; of a bare role that the other process resolved, any instance.
static bool may_answer(const ask_t *ask, const name_t *from) {
    if (ask->to->len != ask->to->role_len) return name_eq(ask->to, from);
    return name_eq(ask->to, from) || (from->role_len == ask->to->len &&
                                      memcmp(from->text, ask->to->text, from->role_len) == 0);
}

static void on_answer(stage_t *s, actor_t *a, const envelope_t *env) {
    ask_t *ask = a->desk ? imap_get(&a->desk->asks, env->in_reply_to) : NULL;
    // An earlier life of the asker had other asks under the same numbers.
    if (env->to_incarnation && env->to_incarnation != a->incarnation) return;
    if (!ask && env->stream_seq) stream_on_unwanted(a, env);
    if (!ask || !may_answer(ask, env->from)) return; // too late, or not who was asked
    if (ask->is_stream &&
        (env->stream_seq || ask->accepted || env->type == &actor__stream_credit__descriptor))
        stream_on_answer(s, a, ask, env);
    else
        on_outcome(s, a, ask, env);
}

static void on_request(stage_t *s, actor_t *a, const envelope_t *env) {
    if (env->deadline_us && env->deadline_us <= s->clocks.monotonic_us) return; // its asker gave up
    err_t err = ERR_OK;
    if (actor_call_row(s, a, env, 0, 0, &err)) return;
    if (env->is_kits) return; // Down, Up for an actor without such a row
    char *why = str_printf("%s takes no %s from %s: %s", a->name->text, envelope_type(env),
                           env->from->text, err_text(err));
    if (env->is_ask) {
        message_t msg = message_of(env, 0, 0);
        actor_fail(a, &msg, err, why);
    } else {
        s->counts.dead_letters++;
        if (is_worth_a_line(++a->dead_letters)) log_warn("bus", "%s", why);
    }
    free(why);
}

void actor_handle(stage_t *s, actor_t *a, envelope_t *env) {
    if (env->push)
        stream_on_push(s, a, env);
    else if (env->in_reply_to)
        on_answer(s, a, env);
    else if (env->type == &actor__stream_credit__descriptor)
        stream_on_credit(s, a, env);
    else if (env->type == &actor__stream_cancel__descriptor)
        stream_on_cancel(s, a, env);
    else if (env->type == &actor__stream_ping__descriptor)
        stream_on_ping(s, a, env);
    else
        on_request(s, a, env);
}

// ---- timers and deadlines ----------------------------------------------------------------------

static void timer_at(actor_t *me, uint64_t tag, int64_t due_us) {
    desk_t *desk = actor_desk(me);
    alarm_t *alarm = imap_get(&desk->timers, tag);
    if (!alarm) {
        alarm = NEW(alarm_t);
        alarm_init(alarm, ALARM_TIMER, me, tag);
        imap_put(&desk->timers, tag, alarm);
    }
    alarms_set(&me->stage->alarms, alarm, due_us);
}

void actor_timer(actor_t *me, uint64_t tag, int64_t delay_ms) {
    timer_at(me, tag, me->stage->clocks.monotonic_us + (delay_ms > 0 ? delay_ms : 0) * 1000);
}

void actor_beat(actor_t *me, uint64_t tag, int64_t period_ms) {
    assert(period_ms > 0);
    timer_at(me, tag, (me->stage->clocks.monotonic_us / (period_ms * 1000) + 1) * period_ms * 1000);
}

void actor_timer_cancel(actor_t *me, uint64_t tag) {
    alarm_t *alarm = me->desk ? imap_remove(&me->desk->timers, tag) : NULL;
    if (!alarm) return;
    alarms_cancel(&me->stage->alarms, alarm);
    free(alarm);
}

static void fail_ask(stage_t *s, actor_t *a, const ask_t *ask, err_t err, const char *why) {
    Actor__Failure failure = {PROTOBUF_C_MESSAGE_INIT(&actor__failure__descriptor)};
    Actor__StreamEnd end = {PROTOBUF_C_MESSAGE_INIT(&actor__stream_end__descriptor)};
    failure.err = end.err = err;
    failure.why = end.why = (char *)why;
    uint64_t outer = s->trace_id;
    s->trace_id = ask->trace_id;
    stage_self(s, a, ask->to, ask->id, ask->accepted ? &end.base : &failure.base);
    s->trace_id = outer;
}

void actor_alarm(stage_t *s, actor_t *a, alarm_t *alarm) {
    if (alarm->kind == ALARM_ASK) {
        // Through the mailbox: an answer that already waits there wins.
        ask_t *ask = imap_get(&a->desk->asks, alarm->key);
        ask->expired = true;
        fail_ask(s, a, ask, ERR_TIMEOUT, err_text(ERR_TIMEOUT));
        return;
    }
    if (a->paused) return; // it stays in its table, off: actor_resume_timers
    uint64_t tag = alarm->key;
    int64_t begun = s->tick_us;
    imap_remove(&a->desk->timers, tag);
    free(alarm);
    stage_touch(s, a);
    stage_call_begin(s, a, stage_new_trace(s));
    if (a->def->on_timer) a->def->on_timer(a, tag);
    stage_call_end(s, a);
    s->options.host.hop(s->options.host.arg, a, NULL, tag, begun, s->tick_us);
}

// What rang while the actor was paused rings now.
void actor_resume_timers(stage_t *s, actor_t *a) {
    size_t at = 0;
    void *value;
    while (a->desk && imap_next(&a->desk->timers, &at, NULL, &value)) {
        alarm_t *alarm = value;
        if (alarm->slot == ALARM_OFF) alarms_set(&s->alarms, alarm, alarm->at_us);
    }
}

static int number_order(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

// Will the news of `n` keep this ask from its outcome? Whoever was asked is gone; or the ask was
// for a role's leader, and another one leads now: the old one may hang, or lie behind a partition,
// for long.
static bool is_futile(const ask_t *ask, const notice_t *n) {
    if (n->gone)
        return name_eq(ask->to, n->place.address) && ask->to_incarnation <= n->place.incarnation;
    return ask->led_epoch && n->place.epoch > ask->led_epoch &&
           ask->to->role_len == n->place.address->role_len &&
           memcmp(ask->to->text, n->place.address->text, ask->to->role_len) == 0;
}

void actor_notice(stage_t *s, actor_t *a, const notice_t *n) {
    VEC(uint64_t) ids = {0}; // sorted: the order of outcomes is not the hash's
    size_t at = 0;
    uint64_t id;
    void *value;
    while (imap_next(&a->desk->asks, &at, &id, &value)) {
        if (is_futile(value, n)) vec_push(&ids, id);
    }
    if (ids.len > 1) qsort(ids.at, ids.len, sizeof *ids.at, number_order);
    for (size_t i = 0; i < ids.len; i++)
        fail_ask(s, a, imap_get(&a->desk->asks, ids.at[i]), ERR_UNAVAILABLE,
                 n->gone ? or_empty(n->reason) : "another one leads now");
    vec_done(&ids);
    if (n->gone) stream_on_gone(s, a, n);
}

// ---- files -------------------------------------------------------------------------------------

static void host_watch(actor_t *me, int fd, uint32_t events) {
    me->stage->options.host.watch_fd(me->stage->options.host.arg, me, fd, events);
}

void actor_watch_fd(actor_t *me, int fd, uint32_t epoll_events) {
    assert(epoll_events && me->def->on_fd);
    desk_t *desk = actor_desk(me);
    size_t i = 0;
    while (i < desk->fds.len && desk->fds.at[i].fd != fd) i++;
    if (i == desk->fds.len) vec_push(&desk->fds, ((watched_fd_t){.fd = fd}));
    desk->fds.at[i].events = epoll_events;
    if (!me->paused) host_watch(me, fd, epoll_events);
}

void actor_unwatch_fd(actor_t *me, int fd) {
    for (size_t i = 0; me->desk && i < me->desk->fds.len; i++) {
        if (me->desk->fds.at[i].fd != fd) continue;
        vec_swap_remove(&me->desk->fds, i);
        host_watch(me, fd, 0);
        return;
    }
}

// A paused actor's files would ring without end.
void actor_pause_fds(actor_t *a, bool paused) {
    for (size_t i = 0; a->desk && i < a->desk->fds.len; i++)
        host_watch(a, a->desk->fds.at[i].fd, paused ? 0 : a->desk->fds.at[i].events);
}

// ---- counting ----------------------------------------------------------------------------------

static counter_t *counter_of(actor_t *me, const char *metric, bool is_gauge) {
    desk_t *desk = actor_desk(me);
    for (size_t i = 0; i < desk->counters.len; i++)
        if (streq(desk->counters.at[i].metric, metric)) return &desk->counters.at[i];
    vec_push(&desk->counters, ((counter_t){.metric = str_dup(metric), .is_gauge = is_gauge}));
    return &desk->counters.at[desk->counters.len - 1];
}

void actor_count(actor_t *me, const char *metric, int64_t add) {
    counter_of(me, metric, false)->value += add;
}
void actor_gauge(actor_t *me, const char *metric, int64_t value) {
    counter_of(me, metric, true)->value = value;
}

// ---- the end of a life -------------------------------------------------------------------------

void actor_clear_desk(stage_t *s, actor_t *a) {
    desk_t *desk = a->desk;
    if (!desk) return;
    size_t at = 0;
    void *value;
    while (imap_next(&desk->asks, &at, NULL, &value)) ask_destroy(s, value);
    imap_done(&desk->asks);
    at = 0;
    while (imap_next(&desk->timers, &at, NULL, &value)) {
        alarms_cancel(&s->alarms, value);
        free(value);
    }
    imap_done(&desk->timers);
    stream_clear(a);
    while (desk->watched.len) {
        char *address = str_dup(desk->watched.at[desk->watched.len - 1]->text);
        actor_demonitor(a, address);
        free(address);
    }
    while (desk->fds.len) actor_unwatch_fd(a, desk->fds.at[desk->fds.len - 1].fd);
    vec_done(&desk->watched);
    for (size_t i = 0; i < desk->counters.len; i++) free(desk->counters.at[i].metric);
    vec_done(&desk->counters);
    vec_done(&desk->fds);
    free(desk);
    a->desk = NULL;
}
