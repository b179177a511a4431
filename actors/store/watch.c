// Watches: one cursor per watcher, moved only by what was sent.
//
// Each settle sends to every watcher what lies between its cursor and the newest applied revision,
// as far as its credit goes. Nothing is queued per watcher: the history is the queue, and a slow
// watcher costs a cursor. Gap-free and in order by construction; a cursor that compaction overtook
// ends its stream with ERR_COMPACTED. What many watchers want at once is read and packed once.
#include "actors/store/store_inner.h"
#include "runtime/api/msg.h"

enum { CHUNKS_PER_ROUND_MAX = 4096 };

// What was read and packed last in this round: the next watcher mostly wants the same.
typedef struct {
    revision_t from;
    uint32_t from_sub;
    bool has;
    changes_t changes;
    const watcher_t *packed_for; // same range and flags: the same bytes
    blob_t *blob;                // owned; NULL: nothing in it for such a watcher
} round_t;

static bool is_same_wish(const watcher_t *a, const watcher_t *b) {
    return bytes_eq(a->key, b->key) && bytes_eq(a->end, b->end) && a->no_put == b->no_put &&
           a->no_delete == b->no_delete && a->want_previous == b->want_previous;
}

static bool wants(const watcher_t *w, const change_t *change) {
    if (change->head.deleted ? w->no_delete : w->no_put) return false;
    return mvcc_in_range(change->key, (ProtobufCBinaryData){w->key.len, (uint8_t *)w->key.at},
                         (ProtobufCBinaryData){w->end.len, (uint8_t *)w->end.at});
}

static Store__KeyValue *kv_of(arena_t *arena, const change_t *change) {
    Store__KeyValue *kv = ARENA_NEW(arena, Store__KeyValue);
    *kv = (Store__KeyValue){.base = PROTOBUF_C_MESSAGE_INIT(&store__key_value__descriptor)};
    kv->key = (ProtobufCBinaryData){change->key.len, (uint8_t *)change->key.at};
    kv->mod_revision = change->head.mod;
    if (change->head.deleted) return kv;
    kv->create_revision = change->head.create;
    kv->version = change->head.version;
    kv->lease = change->head.lease;
    kv->value = (ProtobufCBinaryData){change->value.len, (uint8_t *)change->value.at};
    return kv;
}

static err_t add_event(store_t *s, arena_t *arena, const watcher_t *w, const change_t *change,
                       Store__WatchEvents *out, why_t *why) {
    Store__Event *event = ARENA_NEW(arena, Store__Event);
    *event = (Store__Event){.base = PROTOBUF_C_MESSAGE_INIT(&store__event__descriptor)};
    event->deleted = change->head.deleted;
    event->kv = kv_of(arena, change);
    out->events[out->n_events++] = event;
    if (!w->want_previous) return ERR_OK;
    bool found = false;
    change_t before;
    err_t err =
        mvcc_get_at(s->mvcc, arena, change->key, change->head.mod - 1, &found, &before, why);
    if (err == ERR_OK && found) event->previous = kv_of(arena, &before);
    return err;
}

// The chunk that takes a watcher like `w` over the round's changes; NULL: nothing in them for it.
static err_t pack(actor_t *me, const watcher_t *w, const changes_t *changes, blob_t **ret_blob,
                  why_t *why) {
    store_t *s = actor_state(me);
    arena_t *arena = actor_arena(me);
    Store__WatchEvents out = PROTOBUF_C_MESSAGE_INIT(&store__watch_events__descriptor);
    out.events = ARENA_ARRAY(arena, Store__Event *, changes->len + 1);
    *ret_blob = NULL;
    for (size_t i = 0; i < changes->len; i++) {
        if (!wants(w, &changes->changes[i])) continue;
        err_t err = add_event(s, arena, w, &changes->changes[i], &out, why);
        if (err != ERR_OK) return err;
    }
    out.fragment = changes->next_sub > 0;
    out.revision = changes->next - (out.fragment ? 0 : 1);
    out.compact_revision = mvcc_meta(s->mvcc)->compacted;
    if (out.n_events) *ret_blob = msg_blob(&out.base);
    return ERR_OK;
}

static err_t read_round(actor_t *me, const watcher_t *w, round_t *round, why_t *why) {
    store_t *s = actor_state(me);
    if (round->has && round->from == w->next && round->from_sub == w->next_sub) return ERR_OK;
    blob_unref(&round->blob);
    *round = (round_t){.from = w->next, .from_sub = w->next_sub};
    err_t err = mvcc_changes(s->mvcc, actor_arena(me), w->next, w->next_sub, STORE_CHUNK_BYTES,
                             &round->changes, why);
    round->has = err == ERR_OK;
    return err;
}

static bool send_created(actor_t *me, watcher_t *w) {
    store_t *s = actor_state(me);
    Store__WatchEvents out = PROTOBUF_C_MESSAGE_INIT(&store__watch_events__descriptor);
    out.created = true;
    out.revision = w->next - 1;
    out.compact_revision = mvcc_meta(s->mvcc)->compacted;
    w->created = actor_stream_send(me, w->stream, &out.base);
    return w->created;
}

// All that w may get now. ERR_COMPACTED ends its stream; other errors are the disk's.
static err_t advance(actor_t *me, watcher_t *w, round_t *round, size_t *budget, why_t *why) {
    store_t *s = actor_state(me);
    revision_t now = mvcc_meta(s->mvcc)->revision;
    if (!w->created && !send_created(me, w)) return ERR_OK;
    while (w->next <= now && *budget && actor_stream_credit(me, w->stream)) {
        err_t err = read_round(me, w, round, why);
        if (err == ERR_OK && (!round->packed_for || !is_same_wish(round->packed_for, w))) {
            blob_unref(&round->blob);
            round->packed_for = w;
            err = pack(me, w, &round->changes, &round->blob, why);
        }
        if (err != ERR_OK) return err;
        if (round->blob) {
            bool sent = actor_stream_send_blob(me, w->stream, &store__watch_events__descriptor,
                                               round->blob);
            assert(sent); // there was credit
            w->progress_due_ms = actor_now_ms(me) + w->progress_interval_ms;
            (*budget)--;
        }
        w->next = round->changes.next;
        w->next_sub = round->changes.next_sub;
    }
    return ERR_OK;
}

// A mark that says how far the watcher has seen; only when it has seen everything.
static void send_progress(actor_t *me, watcher_t *w) {
    store_t *s = actor_state(me);
    bool due = w->progress_interval_ms && actor_now_ms(me) >= w->progress_due_ms;
    if (!(due || w->wants_progress) || !w->created) return;
    if (w->next <= mvcc_meta(s->mvcc)->revision || !actor_stream_credit(me, w->stream)) return;
    Store__WatchEvents out = PROTOBUF_C_MESSAGE_INIT(&store__watch_events__descriptor);
    out.revision = w->next - 1;
    out.compact_revision = mvcc_meta(s->mvcc)->compacted;
    if (!actor_stream_send(me, w->stream, &out.base)) return;
    w->wants_progress = false;
    w->progress_due_ms = actor_now_ms(me) + w->progress_interval_ms;
}

static void drop_watcher(store_t *s, size_t i) {
    blob_unref(&s->watchers.at[i].names);
    vec_remove(&s->watchers, i);
}

static void set_progress_timer(actor_t *me) {
    store_t *s = actor_state(me);
    int64_t due = INT64_MAX;
    for (size_t i = 0; i < s->watchers.len; i++) {
        const watcher_t *w = &s->watchers.at[i];
        if (w->progress_interval_ms && w->progress_due_ms < due) due = w->progress_due_ms;
    }
    if (due == INT64_MAX) return;
    int64_t wait = due - actor_now_ms(me);
    actor_timer(me, TIMER_PROGRESS, wait > 0 ? wait : 1);
}

void store_flush_watches(actor_t *me) {
    store_t *s = actor_state(me);
    if (!s->led || s->watchers.len == 0) return;
    round_t round = {0};
    size_t budget = CHUNKS_PER_ROUND_MAX;
    for (size_t i = 0; i < s->watchers.len;) {
        watcher_t *w = &s->watchers.at[i];
        why_t why;
        err_t err = advance(me, w, &round, &budget, &why);
        if (err == ERR_OK) {
            send_progress(me, w);
            i++;
            continue;
        }
        if (err != ERR_COMPACTED) {
            store_die(me, err, why.text);
            break;
        }
        actor_stream_end(me, w->stream, err, why.text);
        round.packed_for = NULL; // the array moves
        blob_unref(&round.blob);
        drop_watcher(s, i);
    }
    blob_unref(&round.blob);
    if (budget == 0) actor_settle_again(me);
    set_progress_timer(me);
}

void store_end_watches(actor_t *me, err_t err, const char *why) {
    store_t *s = actor_state(me);
    while (s->watchers.len) {
        actor_stream_end(me, s->watchers.at[s->watchers.len - 1].stream, err, why);
        drop_watcher(s, s->watchers.len - 1);
    }
}

// ---- handlers -----------------------------------------------------------------------------------
void store_on_watch(actor_t *me, const message_t *msg, const void *body) {
    store_t *s = actor_state(me);
    const Store__WatchRequest *request = body;
    if (msg->stream_window == 0) {
        actor_fail(me, msg, ERR_BAD_REQUEST, "a watch is opened as a stream");
        return;
    }
    if (!s->led) {
        actor_fail(me, msg, ERR_NOT_LEADER, "this member does not lead");
        return;
    }
    if (s->watchers.len >= STORE_WATCHERS_MAX) {
        actor_fail(me, msg, ERR_OVERLOADED, "too many watches");
        return;
    }
    if (request->from_revision < 0 || (request->key.len == 0 && request->range_end.len == 0)) {
        actor_fail(me, msg, ERR_INVALID, "a watch needs a key, and no negative revision");
        return;
    }
    watcher_t w = {
        .names = blob_new(request->key.len + request->range_end.len),
        .no_put = request->no_put,
        .no_delete = request->no_delete,
        .want_previous = request->want_previous,
        .next = request->from_revision ? request->from_revision : mvcc_meta(s->mvcc)->revision + 1,
        .progress_interval_ms = request->progress_interval_ms,
        .progress_due_ms = actor_now_ms(me) + request->progress_interval_ms,
    };
    if (request->key.len) memcpy(w.names->at, request->key.data, request->key.len);
    if (request->range_end.len)
        memcpy(w.names->at + request->key.len, request->range_end.data, request->range_end.len);
    w.key = (bytes_t){w.names->at, request->key.len};
    w.end = (bytes_t){w.names->at + request->key.len, request->range_end.len};
    w.stream = actor_stream_accept(me, msg, 16);
    vec_push(&s->watchers, w);
}

static watcher_t *watcher_of(store_t *s, uint64_t stream) {
    for (size_t i = 0; i < s->watchers.len; i++)
        if (s->watchers.at[i].stream == stream) return &s->watchers.at[i];
    return NULL;
}

void store_on_watch_progress(actor_t *me, const message_t *msg, const void *body) {
    watcher_t *w = watcher_of(actor_state(me), msg->stream);
    if (w) w->wants_progress = true;
}

void store_on_stream_gone(actor_t *me, const message_t *msg, const void *body) {
    store_t *s = actor_state(me);
    const Actor__StreamGone *gone = body;
    watcher_t *w = watcher_of(s, gone->stream);
    if (w) drop_watcher(s, (size_t)(w - s->watchers.at));
}
