// Streams: an opening ask, then numbered chunks under a cumulative credit, one way or both.
//
//   opener                                   server
//     │ ask, stream_window = W  ───────────►  │ actor_stream_accept(push window P)
//     │ ◄─────────────── StreamCredit(push, P)│ (accepted: the opening's deadline is off)
//     │ ◄──── chunk 1 … chunk n ≤ W ──────────│ actor_stream_send
//     │ StreamCredit(up to handled + W) ────► │ once half a window is handled
//     │ push chunk 1 … ≤ P ─────────────────► │ actor_push; credited the same way
//     │ ◄──────────── StreamEnd(number n + 1) │ or StreamCancel the other way
//     │ StreamPing, every few seconds ──────► │ answered only if something is amiss
//
// A credit is the highest chunk number that its receiver takes, so a lost credit is healed by the
// next. A chunk or end whose number is not the expected one is a gap: the opener's stream ends
// with ERR_GAP, the server hears StreamGone.
//
// Behind a last message nothing comes that could show its loss, so the opener says now and then how
// far it is. The ping travels in the lane of the pushes, its answer in that of the chunks, hence
// behind all that was sent before it:
//
//     lost                       the ping says          and the server
//     opener's credit, cancel    it, again; nothing     goes on; its next chunk is answered by one
//     server's end               a stream it has not    answers with an end (ERR_GAP)
//     last chunk                 less than it has sent  answers with the number of its next: a gap
//     last push                  more than has come     ends it, as at any gap
//     server's credit            less than it gave      says it again, the same answer
#include "runtime/actor/stage_inner.h"
#include "runtime/base/hash.h"

// What it heals is rare; what it costs, every open stream pays.
enum { PING_EVERY_US = 3 * 1000 * 1000 };

static uint64_t stream_key(const char *opener, uint64_t incarnation, uint64_t ask_id) {
    uint64_t ids[2] = {incarnation, ask_id};
    uint64_t hash = hash_fnv64a_more(HASH_FNV64_START, opener, strlen(opener));
    return hash_fnv64a_more(hash, ids, sizeof ids);
}

static stream_t *stream_find(const actor_t *a, const name_t *opener, uint64_t incarnation,
                             uint64_t ask_id) {
    if (!a->desk) return NULL;
    stream_t *st =
        imap_get(&a->desk->streams_by_key, stream_key(opener->text, incarnation, ask_id));
    while (st && !(st->ask_id == ask_id && st->opener_incarnation == incarnation &&
                   name_eq(st->opener, opener)))
        st = st->next;
    return st;
}

static stream_t *stream_of(const actor_t *me, uint64_t handle) {
    return me->desk ? imap_get(&me->desk->streams, handle) : NULL;
}

static void stream_destroy(actor_t *a, stream_t *st) {
    imap_remove(&a->desk->streams, st->handle);
    stream_t *first = imap_get(&a->desk->streams_by_key, st->key);
    if (first == st) {
        if (st->next)
            imap_put(&a->desk->streams_by_key, st->key, st->next);
        else
            imap_remove(&a->desk->streams_by_key, st->key);
    } else {
        while (first->next != st) first = first->next;
        first->next = st->next;
    }
    --*stage_awaited(a->stage, st->opener);
    name_unref(&st->opener);
    free(st);
}

static void send_to(actor_t *me, name_t *to, uint64_t incarnation, envelope_t **env) {
    (*env)->to = name_ref(to);
    (*env)->to_incarnation = incarnation;
    stage_route(me->stage, me, to->text, env);
}

static envelope_t *kit_envelope(actor_t *me, const ProtobufCMessage *body) {
    envelope_t *e = envelope_from(me, body->descriptor, msg_blob(body));
    e->is_kits = e->control = true;
    return e;
}

static uint64_t credit_step(uint32_t window) { return window > 1 ? window / 2 : 1; }

// ---- server ------------------------------------------------------------------------------------

static envelope_t *stream_answer(actor_t *me, const stream_t *st,
                                 const ProtobufCMessageDescriptor *type, blob_t *body) {
    envelope_t *e = envelope_from(me, type, body);
    e->in_reply_to = st->ask_id;
    return e;
}

static void credit_pushes(actor_t *me, const stream_t *st, uint64_t next_chunk) {
    Actor__StreamCredit credit = {PROTOBUF_C_MESSAGE_INIT(&actor__stream_credit__descriptor)};
    credit.stream = st->ask_id;
    credit.up_to = st->push_credited;
    credit.push = true;
    envelope_t *e = kit_envelope(me, &credit.base);
    e->in_reply_to = st->ask_id;
    e->stream_seq = next_chunk;
    e->control = !next_chunk; // behind the chunks
    send_to(me, st->opener, st->opener_incarnation, &e);
}

static void give_push_credit(actor_t *me, stream_t *st) {
    uint64_t take_up_to = st->push_next - 1 + st->push_window;
    if (st->pushes_held || take_up_to - st->push_credited < credit_step(st->push_window)) return;
    st->push_credited = take_up_to;
    credit_pushes(me, st, 0);
}

void actor_push_hold(actor_t *me, uint64_t handle, bool held) {
    stream_t *st = stream_of(me, handle);
    if (!st || st->pushes_held == held) return;
    st->pushes_held = held;
    give_push_credit(me, st);
}

uint64_t actor_stream_accept(actor_t *me, const message_t *msg, uint32_t push_window) {
    if (!msg->stream_window) {
        actor_fail(me, msg, ERR_BAD_REQUEST, "this is a stream: open it as one");
        return 0;
    }
    desk_t *desk = actor_desk(me);
    stream_t *st = NEW(stream_t);
    st->handle = ++desk->last_stream;
    st->key = stream_key(msg->from, msg->from_incarnation, msg->id);
    st->opener = name_new(msg->from);
    ++*stage_awaited(me->stage, st->opener);
    st->opener_incarnation = msg->from_incarnation;
    st->ask_id = msg->id;
    st->trace_id = msg->trace_id;
    st->up_to = msg->stream_window;
    st->push_window = st->push_credited = push_window;
    st->push_next = 1;
    st->next = imap_get(&desk->streams_by_key, st->key);
    imap_put(&desk->streams_by_key, st->key, st);
    imap_put(&desk->streams, st->handle, st);
    credit_pushes(me, st, 0);
    return st->handle;
}

uint32_t actor_stream_credit(const actor_t *me, uint64_t handle) {
    const stream_t *st = stream_of(me, handle);
    if (!st || st->up_to <= st->sent) return 0;
    uint64_t room = st->up_to - st->sent;
    return room < UINT32_MAX ? (uint32_t)room : UINT32_MAX;
}

bool actor_stream_send_blob(actor_t *me, uint64_t handle, const ProtobufCMessageDescriptor *type,
                            blob_t *body) {
    if (!actor_stream_credit(me, handle)) return false;
    stream_t *st = stream_of(me, handle);
    envelope_t *e = stream_answer(me, st, type, blob_ref(body));
    e->stream_seq = ++st->sent;
    send_to(me, st->opener, st->opener_incarnation, &e);
    return true;
}

bool actor_stream_send(actor_t *me, uint64_t handle, const ProtobufCMessage *body) {
    if (!actor_stream_credit(me, handle)) return false;
    blob_t *blob = msg_blob(body);
    bool sent = actor_stream_send_blob(me, handle, body->descriptor, blob);
    blob_unref(&blob);
    return sent;
}

void actor_stream_end_status(actor_t *me, uint64_t handle, err_t err, const char *why,
                             bytes_t status) {
    stream_t *st = stream_of(me, handle);
    if (!st) return;
    Actor__StreamEnd end = {PROTOBUF_C_MESSAGE_INIT(&actor__stream_end__descriptor)};
    end.err = err;
    end.why = (char *)(why ? why : err ? err_text(err) : "");
    end.status = (ProtobufCBinaryData){status.len, (uint8_t *)status.at};
    envelope_t *e = stream_answer(me, st, end.base.descriptor, msg_blob(&end.base));
    e->stream_seq = st->sent + 1; // so that a lost last chunk shows
    send_to(me, st->opener, st->opener_incarnation, &e);
    stream_destroy(me, st);
}

void actor_stream_end(actor_t *me, uint64_t handle, err_t err, const char *why) {
    actor_stream_end_status(me, handle, err, why, (bytes_t){0});
}

static void call_kits_row(stage_t *s, actor_t *a, const envelope_t *like, uint64_t tag,
                          uint64_t handle, const ProtobufCMessage *body) {
    envelope_t e = *like;
    e.type = body->descriptor;
    e.body = msg_blob(body);
    e.is_kits = true;
    e.stream_seq = 0;
    err_t ignored; // no such row: the actor polls its credit, or does not care
    actor_call_row(s, a, &e, tag, handle, &ignored);
    blob_unref(&e.body);
}

static void take_credit(stage_t *s, actor_t *a, const envelope_t *env, stream_t *st,
                        uint64_t up_to) {
    if (up_to <= st->up_to) return;
    st->up_to = up_to;
    Actor__StreamCredit credit = {PROTOBUF_C_MESSAGE_INIT(&actor__stream_credit__descriptor)};
    credit.up_to = up_to;
    call_kits_row(s, a, env, 0, st->handle, &credit.base);
}

void stream_on_credit(stage_t *s, actor_t *a, const envelope_t *env) {
    Actor__StreamCredit *credit = actor_unpack_kits(a, env);
    stream_t *st = credit ? stream_find(a, env->from, env->from_incarnation, credit->stream) : NULL;
    if (st) take_credit(s, a, env, st, credit->up_to);
}

static void say_gone(stage_t *s, actor_t *a, stream_t *st, err_t err, const char *why) {
    Actor__StreamGone gone = {PROTOBUF_C_MESSAGE_INIT(&actor__stream_gone__descriptor)};
    gone.stream = st->handle;
    gone.err = err;
    gone.why = (char *)why;
    stage_self(s, a, st->opener, 0, &gone.base);
    stream_destroy(a, st);
}

void stream_on_cancel(stage_t *s, actor_t *a, const envelope_t *env) {
    Actor__StreamCancel *cancel = actor_unpack_kits(a, env);
    stream_t *st = cancel ? stream_find(a, env->from, env->from_incarnation, cancel->stream) : NULL;
    if (st) say_gone(s, a, st, ERR_CANCELLED, err_text(ERR_CANCELLED));
}

// To an opener whose stream is none of ours, or not any more.
static void say_ended(actor_t *a, const envelope_t *env, uint64_t ask_id) {
    Actor__StreamEnd end = {PROTOBUF_C_MESSAGE_INIT(&actor__stream_end__descriptor)};
    end.err = ERR_GAP;
    end.why = (char *)err_text(ERR_GAP);
    envelope_t *e = envelope_from(a, end.base.descriptor, msg_blob(&end.base));
    e->in_reply_to = ask_id;
    e->is_kits = true;
    send_to(a, env->from, env->from_incarnation, &e);
}

static void break_off(stage_t *s, actor_t *a, stream_t *st, const envelope_t *env) {
    uint64_t ask_id = st->ask_id;
    say_gone(s, a, st, ERR_GAP, err_text(ERR_GAP));
    say_ended(a, env, ask_id);
}

void stream_on_push(stage_t *s, actor_t *a, const envelope_t *env) {
    stream_t *st = stream_find(a, env->from, env->from_incarnation, env->in_reply_to);
    if (!st || env->stream_seq < st->push_next) return; // it ended here, or a repetition
    if (env->stream_seq > st->push_next || env->stream_seq > st->push_credited) {
        break_off(s, a, st, env);
        return;
    }
    st->push_next++;
    uint64_t handle = st->handle;
    err_t err = ERR_OK;
    if (!actor_call_row(s, a, env, 0, handle, &err))
        actor_stream_end(a, handle, err, "no row for this chunk");
    st = stream_of(a, handle); // its handler may have ended it
    if (!st || a->exiting) return;
    give_push_credit(a, st);
}

void stream_on_ping(stage_t *s, actor_t *a, const envelope_t *env) {
    Actor__StreamPing *ping = actor_unpack_kits(a, env);
    if (!ping) return;
    stream_t *st = stream_find(a, env->from, env->from_incarnation, ping->stream);
    if (!st) {
        say_ended(a, env, ping->stream);
    } else if (ping->pushed >= st->push_next) {
        break_off(s, a, st, env);
    } else {
        if (ping->taken < st->sent || ping->push_up_to < st->push_credited)
            credit_pushes(a, st, st->sent + 1);
        take_credit(s, a, env, st, ping->up_to);
    }
}

static int handle_order(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

void stream_on_gone(stage_t *s, actor_t *a, const notice_t *gone) {
    VEC(uint64_t) handles = {0};
    size_t at = 0;
    uint64_t handle;
    void *value;
    while (imap_next(&a->desk->streams, &at, &handle, &value)) {
        const stream_t *st = value;
        if (name_eq(st->opener, gone->place.address) &&
            st->opener_incarnation <= gone->place.incarnation)
            vec_push(&handles, handle);
    }
    if (handles.len > 1) qsort(handles.at, handles.len, sizeof *handles.at, handle_order);
    for (size_t i = 0; i < handles.len; i++)
        say_gone(s, a, stream_of(a, handles.at[i]), ERR_UNAVAILABLE, or_empty(gone->reason));
    vec_done(&handles);
}

void stream_clear(actor_t *a) {
    size_t at = 0;
    void *value;
    while (imap_next(&a->desk->streams, &at, NULL, &value)) {
        stream_t *st = value;
        --*stage_awaited(a->stage, st->opener);
        name_unref(&st->opener);
        free(st);
    }
    imap_done(&a->desk->streams);
    imap_done(&a->desk->streams_by_key);
}

// ---- opener ------------------------------------------------------------------------------------

void stream_tell_cancel(actor_t *me, const ask_t *ask) {
    Actor__StreamCancel cancel = {PROTOBUF_C_MESSAGE_INIT(&actor__stream_cancel__descriptor)};
    cancel.stream = ask->id;
    envelope_t *e = kit_envelope(me, &cancel.base);
    send_to(me, ask->to, ask->to_incarnation, &e);
}

void actor_cancel(actor_t *me, uint64_t ask_id) {
    ask_t *ask = me->desk ? imap_get(&me->desk->asks, ask_id) : NULL;
    if (!ask) return;
    if (ask->is_stream) stream_tell_cancel(me, ask);
    actor_forget(me, ask_id);
}

bool actor_push(actor_t *me, uint64_t ask_id, const ProtobufCMessage *body) {
    ask_t *ask = me->desk ? imap_get(&me->desk->asks, ask_id) : NULL;
    if (!ask || ask->pushed >= ask->push_up_to) return false;
    envelope_t *e = envelope_from(me, body->descriptor, msg_blob(body));
    e->in_reply_to = ask_id;
    e->push = true;
    e->stream_seq = ++ask->pushed;
    send_to(me, ask->to, ask->to_incarnation, &e);
    return true;
}

// The stream is over: its end, as the server or we ourselves say it, reaches the StreamEnd row.
static void on_end(stage_t *s, actor_t *a, uint64_t ask_id, const envelope_t *env) {
    uint64_t tag = ((ask_t *)imap_get(&a->desk->asks, ask_id))->tag;
    actor_forget(a, ask_id);
    err_t ignored;
    actor_call_row(s, a, env, tag, 0, &ignored);
}

static void call_end_row(stage_t *s, actor_t *a, const envelope_t *like, uint64_t tag, err_t err,
                         const char *why) {
    Actor__StreamEnd end = {PROTOBUF_C_MESSAGE_INIT(&actor__stream_end__descriptor)};
    end.err = err;
    end.why = (char *)why;
    call_kits_row(s, a, like, tag, 0, &end.base);
}

void stream_refused(stage_t *s, actor_t *a, const envelope_t *env, uint64_t tag) {
    const Actor__Failure *failure = actor_unpack_kits(a, env);
    if (failure) call_end_row(s, a, env, tag, failure->err, failure->why);
}

static void end_ourselves(stage_t *s, actor_t *a, ask_t *ask, const envelope_t *like, err_t err,
                          const char *why) {
    stream_tell_cancel(a, ask);
    uint64_t tag = ask->tag;
    actor_forget(a, ask->id);
    call_end_row(s, a, like, tag, err, why);
}

static void give_credit(actor_t *me, ask_t *ask) {
    if (ask->held) return;
    uint64_t take_up_to = ask->next_seq - 1 + ask->window;
    if (take_up_to - ask->credited < credit_step(ask->window)) return;
    ask->credited = take_up_to;
    Actor__StreamCredit credit = {PROTOBUF_C_MESSAGE_INIT(&actor__stream_credit__descriptor)};
    credit.stream = ask->id;
    credit.up_to = take_up_to;
    envelope_t *e = kit_envelope(me, &credit.base);
    send_to(me, ask->to, ask->to_incarnation, &e);
}

void actor_stream_hold(actor_t *me, uint64_t ask_id, bool held) {
    ask_t *ask = me->desk ? imap_get(&me->desk->asks, ask_id) : NULL;
    if (!ask || !ask->is_stream || ask->held == held) return;
    ask->held = held;
    give_credit(me, ask);
}

static void on_push_credit(stage_t *s, actor_t *a, ask_t *ask, const envelope_t *env) {
    Actor__StreamCredit *credit = actor_unpack_kits(a, env);
    if (!credit || credit->up_to <= ask->push_up_to) return;
    ask->push_up_to = credit->up_to;
    err_t ignored;
    actor_call_row(s, a, env, ask->tag, 0, &ignored);
}

static void on_chunk(stage_t *s, actor_t *a, ask_t *ask, const envelope_t *env) {
    uint64_t id = ask->id;
    ask->next_seq++;
    err_t err = ERR_OK;
    bool taken = actor_call_row(s, a, env, ask->tag, 0, &err);
    ask = imap_get(&a->desk->asks, id); // its handler may have cancelled
    if (!ask || a->exiting) return;
    if (taken)
        give_credit(a, ask);
    else
        end_ourselves(s, a, ask, env, err, "no row for this chunk");
}

// ---- pings -------------------------------------------------------------------------------------

static void ping(stage_t *s, const ask_t *ask) {
    actor_t *a = ask->alarm.owner;
    // Of a bare role that another process resolved, anyone might answer.
    if (a->paused || a->life != LIFE_ALIVE || ask->to->len == ask->to->role_len) return;
    Actor__StreamPing body = {PROTOBUF_C_MESSAGE_INIT(&actor__stream_ping__descriptor)};
    body.stream = ask->id;
    body.taken = ask->next_seq - 1;
    body.up_to = ask->credited;
    body.pushed = ask->pushed;
    body.push_up_to = ask->push_up_to;
    envelope_t *e = kit_envelope(a, &body.base);
    e->control = false; // behind the pushes
    send_to(a, ask->to, ask->to_incarnation, &e);
}

void stream_ping_all(stage_t *s) {
    s->trace_id = stage_new_trace(s);
    for (size_t i = 0; i < s->streams.len; i++) ping(s, s->streams.at[i]);
    alarms_set(&s->alarms, &s->ping, s->clocks.monotonic_us + PING_EVERY_US);
}

static void accepted(stage_t *s, ask_t *ask) {
    if (ask->accepted) return;
    ask->accepted = true;
    alarms_cancel(&s->alarms, &ask->alarm);
    ask->stream_at = s->streams.len;
    vec_push(&s->streams, ask);
    if (s->ping.slot == ALARM_OFF)
        alarms_set(&s->alarms, &s->ping, s->clocks.monotonic_us + PING_EVERY_US);
}

void stream_forget(stage_t *s, ask_t *ask) {
    ask_t *last = s->streams.at[s->streams.len - 1];
    s->streams.at[ask->stream_at] = last;
    last->stream_at = ask->stream_at;
    if (!--s->streams.len) alarms_cancel(&s->alarms, &s->ping);
}

void stream_on_unwanted(actor_t *a, const envelope_t *env) {
    if (env->type == &actor__stream_end__descriptor ||
        env->type == &actor__stream_credit__descriptor)
        return;
    ask_t ask = {.id = env->in_reply_to, .to = env->from, .to_incarnation = env->from_incarnation};
    stream_tell_cancel(a, &ask);
}

// ---- what the server says ----------------------------------------------------------------------

void stream_on_answer(stage_t *s, actor_t *a, ask_t *ask, const envelope_t *env) {
    bool is_credit = env->type == &actor__stream_credit__descriptor;
    accepted(s, ask);
    if (!env->stream_seq && is_credit)
        on_push_credit(s, a, ask, env);
    else if (!env->stream_seq) // a failure, or an end that no chunk precedes
        on_end(s, a, ask->id, env);
    else if (env->stream_seq < ask->next_seq)
        return; // a repetition
    else if (env->stream_seq > ask->next_seq)
        end_ourselves(s, a, ask, env, ERR_GAP, err_text(ERR_GAP));
    else if (is_credit)
        on_push_credit(s, a, ask, env);
    else if (env->type == &actor__stream_end__descriptor)
        on_end(s, a, ask->id, env);
    else
        on_chunk(s, a, ask, env);
}
