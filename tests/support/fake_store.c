#include "tests/support/fake_store.h"
#include "runtime/base/vec.h"
#include "troupe/store.pb-c.h"

typedef struct {
    char *key;
    blob_t *value; // NULL: deleted
    int64_t revision, create, version, lease;
} change_t;

struct fake_store {
    VEC(change_t) log; // every change ever, in order
    VEC(size_t) now;   // what stands: indexes into log, by key
    int64_t revision, compacted;
    int64_t last_lease;
    int lose;
    bool deletes_lost;
};

// ---- what it holds ------------------------------------------------------------------------------
fake_store_t *fake_store_new(void) {
    fake_store_t *s = NEW(fake_store_t);
    s->revision = 1;
    return s;
}

void fake_store_destroy(fake_store_t **store) {
    fake_store_t *s = x_steal(store);
    if (!s) return;
    for (size_t i = 0; i < s->log.len; i++) {
        free(s->log.at[i].key);
        blob_unref(&s->log.at[i].value);
    }
    vec_done(&s->log);
    vec_done(&s->now);
    free(s);
}

static size_t place(const fake_store_t *s, const char *key) {
    size_t low = 0, high = s->now.len;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (strcmp(s->log.at[s->now.at[mid]].key, key) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static const change_t *find(const fake_store_t *s, const char *key) {
    size_t i = place(s, key);
    return i < s->now.len && streq(s->log.at[s->now.at[i]].key, key) ? &s->log.at[s->now.at[i]]
                                                                     : NULL;
}

// One change of `revision`; value NULL deletes.
static void change(fake_store_t *s, const char *key, const void *value, size_t len, int64_t lease,
                   int64_t revision) {
    const change_t *was = find(s, key);
    if (!value && !was) return;
    change_t one = {.key = str_dup(key), .revision = revision, .lease = lease};
    one.value = value ? blob_from(value, len) : NULL;
    one.create = was && value ? was->create : revision;
    one.version = was ? was->version + 1 : 1;
    size_t i = place(s, key);
    bool stands = was != NULL;
    vec_push(&s->log, one);
    size_t index = s->log.len - 1;
    if (value && stands)
        s->now.at[i] = index;
    else if (value)
        vec_insert(&s->now, i, index);
    else
        vec_remove(&s->now, i);
}

int64_t fake_store_revision(const fake_store_t *s) { return s->revision; }
void fake_store_compact(fake_store_t *s, int64_t revision) { s->compacted = revision; }
void fake_store_lose_answers(fake_store_t *s, int n) {
    s->lose = n;
    s->deletes_lost = false;
}
void fake_store_lose_and_delete(fake_store_t *s, int n) {
    s->lose = n;
    s->deletes_lost = true;
}
void fake_store_put(fake_store_t *s, const char *key, const char *value) {
    change(s, key, value, strlen(value), 0, ++s->revision);
}

const char *fake_store_value(const fake_store_t *s, const char *key) {
    const change_t *one = find(s, key);
    return one ? (const char *)one->value->at : NULL;
}

const blob_t *fake_store_blob(const fake_store_t *s, const char *key) {
    const change_t *one = find(s, key);
    return one ? one->value : NULL;
}

size_t fake_store_count(const fake_store_t *s, const char *prefix) {
    size_t count = 0;
    for (size_t i = 0; i < s->now.len; i++)
        count += has_prefix(s->log.at[s->now.at[i]].key, prefix);
    return count;
}

// ---- the actor ----------------------------------------------------------------------------------
typedef struct {
    uint64_t stream;
    char *key, *end;
    size_t at;
    int64_t told;
    bool owes_progress;
} follower_t;
typedef struct {
    fake_store_t *store;
    VEC(follower_t) followers;
} state_t;

static char *text_of(ProtobufCBinaryData data) {
    return str_dup_n((const char *)data.data, data.len);
}
static ProtobufCBinaryData data_of(const char *text) {
    return (ProtobufCBinaryData){strlen(text), (uint8_t *)text};
}

static Store__KeyValue *kv_of(arena_t *arena, const change_t *one) {
    Store__KeyValue *kv = arena_alloc(arena, sizeof *kv);
    *kv = (Store__KeyValue)STORE__KEY_VALUE__INIT;
    kv->key = data_of(one->key);
    kv->mod_revision = one->revision;
    if (!one->value) return kv;
    kv->create_revision = one->create;
    kv->version = one->version;
    kv->lease = one->lease;
    kv->value = (ProtobufCBinaryData){one->value->len, one->value->at};
    return kv;
}

static bool in_range(const char *key, const char *from, const char *end) {
    return *end ? strcmp(key, from) >= 0 && strcmp(key, end) < 0 : streq(key, from);
}

// The newest change of a key up to `revision`, or NULL.
static const change_t *as_of(const fake_store_t *s, size_t i, int64_t revision) {
    const change_t *one = &s->log.at[s->now.at[i]];
    return one->revision <= revision ? one : NULL;
}

static int by_key(const void *a, const void *b) {
    return strcmp((*(const change_t *const *)a)->key, (*(const change_t *const *)b)->key);
}

// Everything of the range as of an older revision: the log played up to there.
static size_t past(arena_t *arena, const fake_store_t *s, const char *from, const char *end,
                   int64_t revision, const change_t ***ret) {
    const change_t **all = ARENA_ARRAY(arena, const change_t *, s->log.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < s->log.len; i++) {
        const change_t *one = &s->log.at[i];
        if (one->revision > revision || !in_range(one->key, from, end)) continue;
        size_t j = 0;
        while (j < len && !streq(all[j]->key, one->key)) j++;
        all[j] = one;
        if (j == len) len++;
    }
    size_t kept = 0;
    for (size_t i = 0; i < len; i++)
        if (all[i]->value) all[kept++] = all[i];
    if (kept > 1) qsort(all, kept, sizeof *all, by_key);
    *ret = all;
    return kept;
}

static err_t range(arena_t *arena, const fake_store_t *s, const Store__RangeRequest *ask,
                   Store__RangeReply *reply) {
    *reply = (Store__RangeReply)STORE__RANGE_REPLY__INIT;
    reply->revision = s->revision;
    if (ask->revision && ask->revision < s->compacted) return ERR_COMPACTED;
    if (ask->revision > s->revision) return ERR_FUTURE_REVISION;
    char *from = text_of(ask->key), *end = text_of(ask->range_end);
    const change_t **found;
    size_t len;
    if (ask->revision && ask->revision < s->revision) {
        len = past(arena, s, from, end, ask->revision, &found);
    } else {
        found = ARENA_ARRAY(arena, const change_t *, s->now.len + 1);
        len = 0;
        for (size_t i = 0; i < s->now.len; i++)
            if (in_range(s->log.at[s->now.at[i]].key, from, end))
                found[len++] = as_of(s, i, s->revision);
    }
    size_t max = ask->limit > 0 && (size_t)ask->limit < len ? (size_t)ask->limit : len;
    reply->more = max < len;
    reply->count = (int64_t)len;
    reply->kvs = ARENA_ARRAY(arena, Store__KeyValue *, max + 1);
    for (size_t i = 0; i < max; i++) reply->kvs[reply->n_kvs++] = kv_of(arena, found[i]);
    free(from);
    free(end);
    return ERR_OK;
}

static void on_range(actor_t *me, const message_t *msg, const void *body) {
    state_t *state = actor_state(me);
    Store__RangeReply reply;
    err_t err = range(actor_arena(me), state->store, body, &reply);
    if (err)
        actor_fail(me, msg, err, err_text(err));
    else
        actor_reply(me, msg, &reply.base);
}

static bool holds(const fake_store_t *s, const Store__Compare *c) {
    char *key = text_of(c->key);
    const change_t *one = find(s, key);
    free(key);
    int order = 0;
    int64_t number = 0;
    switch (c->target) {
    case STORE__COMPARE__TARGET__VERSION: number = one ? one->version : 0; break;
    case STORE__COMPARE__TARGET__CREATE: number = one ? one->create : 0; break;
    case STORE__COMPARE__TARGET__MOD: number = one ? one->revision : 0; break;
    case STORE__COMPARE__TARGET__LEASE: number = one ? one->lease : 0; break;
    default: break;
    }
    if (c->target == STORE__COMPARE__TARGET__VALUE)
        order = bytes_cmp(one ? blob_bytes(one->value) : (bytes_t){0},
                          (bytes_t){c->value.data, c->value.len});
    else
        order = number < c->number ? -1 : number > c->number;
    switch (c->result) {
    case STORE__COMPARE__RESULT__EQUAL: return order == 0;
    case STORE__COMPARE__RESULT__NOT_EQUAL: return order != 0;
    case STORE__COMPARE__RESULT__LESS: return order < 0;
    default: return order > 0;
    }
}

static Store__OpReply *run_op(arena_t *arena, fake_store_t *s, const Store__Op *op,
                              int64_t revision) {
    Store__OpReply *reply = arena_alloc(arena, sizeof *reply);
    *reply = (Store__OpReply)STORE__OP_REPLY__INIT;
    if (op->op_case == STORE__OP__OP_RANGE) {
        reply->reply_case = STORE__OP_REPLY__REPLY_RANGE;
        reply->range = arena_alloc(arena, sizeof *reply->range);
        err_t err = range(arena, s, op->range, reply->range);
        assert(err == ERR_OK);
        return reply;
    }
    bool is_put = op->op_case == STORE__OP__OP_PUT;
    char *key = text_of(is_put ? op->put->key : op->delete_->key);
    if (is_put)
        change(s, key, op->put->value.data ? op->put->value.data : (uint8_t *)"",
               op->put->value.len, op->put->lease, revision);
    else
        change(s, key, NULL, 0, 0, revision);
    free(key);
    if (is_put) {
        static const Store__PutReply done = STORE__PUT_REPLY__INIT;
        reply->reply_case = STORE__OP_REPLY__REPLY_PUT;
        reply->put = arena_dup(arena, &done, sizeof done);
    } else {
        static const Store__DeleteReply done = STORE__DELETE_REPLY__INIT;
        reply->reply_case = STORE__OP_REPLY__REPLY_DELETE;
        reply->delete_ = arena_dup(arena, &done, sizeof done);
    }
    return reply;
}

static void delete_again(fake_store_t *s, Store__Op **ops, size_t len) {
    s->revision++;
    for (size_t i = 0; i < len; i++) {
        if (ops[i]->op_case != STORE__OP__OP_PUT) continue;
        char *key = text_of(ops[i]->put->key);
        change(s, key, NULL, 0, 0, s->revision);
        free(key);
    }
}

static void on_txn(actor_t *me, const message_t *msg, const void *body) {
    fake_store_t *s = ((state_t *)actor_state(me))->store;
    arena_t *arena = actor_arena(me);
    const Store__TxnRequest *txn = body;
    if (txn->epoch_key.len) {
        char *key = text_of(txn->epoch_key);
        const char *epoch = fake_store_value(s, key);
        free(key);
        if (!epoch || !streq(epoch, arena_printf(arena, "%llu", (unsigned long long)txn->epoch))) {
            actor_fail(me, msg, ERR_DEPOSED, err_text(ERR_DEPOSED));
            return;
        }
    }
    bool all = true, writes = false;
    for (size_t i = 0; i < txn->n_compares; i++) all = all && holds(s, txn->compares[i]);
    Store__Op **ops = all ? txn->then : txn->else_;
    size_t len = all ? txn->n_then : txn->n_else_;
    for (size_t i = 0; i < len; i++) writes = writes || ops[i]->op_case != STORE__OP__OP_RANGE;
    if (writes) s->revision++;
    Store__TxnReply reply = STORE__TXN_REPLY__INIT;
    reply.succeeded = all;
    reply.revision = s->revision;
    reply.replies = ARENA_ARRAY(arena, Store__OpReply *, len + 1);
    for (size_t i = 0; i < len; i++)
        reply.replies[reply.n_replies++] = run_op(arena, s, ops[i], s->revision);
    if (!writes || s->lose == 0) {
        actor_reply(me, msg, &reply.base);
        return;
    }
    s->lose--;
    if (s->deletes_lost) delete_again(s, ops, len);
}

static void on_lease(actor_t *me, const message_t *msg, const void *body) {
    const Store__LeaseGrant *grant = body;
    Store__LeaseReply reply = STORE__LEASE_REPLY__INIT;
    reply.id = ++((state_t *)actor_state(me))->store->last_lease;
    reply.ttl_ms = reply.granted_ttl_ms = grant->ttl_ms;
    actor_timer(me, (uint64_t)reply.id, grant->ttl_ms);
    actor_reply(me, msg, &reply.base);
}

static void on_timer(actor_t *me, uint64_t lease) {
    fake_store_t *s = ((state_t *)actor_state(me))->store;
    int64_t revision = s->revision + 1;
    for (size_t i = 0; i < s->now.len;) {
        const change_t *one = &s->log.at[s->now.at[i]];
        if (one->lease != (int64_t)lease) {
            i++;
            continue;
        }
        char *key = str_dup(one->key);
        s->revision = revision;
        change(s, key, NULL, 0, 0, revision);
        free(key);
    }
}

// ---- watches ------------------------------------------------------------------------------------
static void on_watch(actor_t *me, const message_t *msg, const void *body) {
    state_t *state = actor_state(me);
    fake_store_t *s = state->store;
    const Store__WatchRequest *ask = body;
    if (ask->from_revision && ask->from_revision <= s->compacted) {
        actor_fail(me, msg, ERR_COMPACTED, err_text(ERR_COMPACTED));
        return;
    }
    follower_t one = {.stream = actor_stream_accept(me, msg, 16),
                      .key = text_of(ask->key),
                      .end = text_of(ask->range_end)};
    int64_t from = ask->from_revision ? ask->from_revision : s->revision + 1;
    while (one.at < s->log.len && s->log.at[one.at].revision < from) one.at++;
    one.told = from - 1;
    vec_push(&state->followers, one);
    Store__WatchEvents created = STORE__WATCH_EVENTS__INIT;
    created.created = true;
    created.revision = from - 1;
    actor_stream_send(me, one.stream, &created.base);
}

static follower_t *follower_of(state_t *state, uint64_t stream) {
    for (size_t i = 0; i < state->followers.len; i++)
        if (state->followers.at[i].stream == stream) return &state->followers.at[i];
    return NULL;
}

static void on_progress(actor_t *me, const message_t *msg, const void *body) {
    follower_t *one = follower_of(actor_state(me), msg->stream);
    if (one) one->owes_progress = true;
}

static void on_credit(actor_t *me, const message_t *msg, const void *body) {}

static void on_gone(actor_t *me, const message_t *msg, const void *body) {
    state_t *state = actor_state(me);
    follower_t *one = follower_of(state, ((const Actor__StreamGone *)body)->stream);
    if (!one) return;
    free(one->key);
    free(one->end);
    *one = state->followers.at[--state->followers.len];
}

enum { REVISIONS_PER_CHUNK = 16 };

static bool feed(actor_t *me, follower_t *one) {
    const fake_store_t *s = ((state_t *)actor_state(me))->store;
    arena_t *arena = actor_arena(me);
    Store__WatchEvents events = STORE__WATCH_EVENTS__INIT;
    events.events = ARENA_ARRAY(arena, Store__Event *, s->log.len - one->at + 1);
    int64_t last = 0;
    for (int revisions = 0; one->at < s->log.len; one->at++) {
        const change_t *ch = &s->log.at[one->at];
        if (ch->revision != last && revisions++ == REVISIONS_PER_CHUNK) break;
        last = ch->revision;
        if (!in_range(ch->key, one->key, one->end)) continue;
        Store__Event *event = arena_alloc(arena, sizeof *event);
        *event = (Store__Event)STORE__EVENT__INIT;
        event->deleted = !ch->value;
        event->kv = kv_of(arena, ch);
        events.events[events.n_events++] = event;
    }
    events.revision = one->at < s->log.len ? last : s->revision;
    if (events.n_events == 0 && !one->owes_progress) return false;
    one->owes_progress = false;
    actor_stream_send(me, one->stream, &events.base);
    return true;
}

static void settle(actor_t *me) {
    state_t *state = actor_state(me);
    for (size_t i = 0; i < state->followers.len; i++)
        while (actor_stream_credit(me, state->followers.at[i].stream) &&
               feed(me, &state->followers.at[i])) {}
}

// ---- life ---------------------------------------------------------------------------------------
static err_t start(actor_t *me, const void *args, why_t *why) {
    ((state_t *)actor_state(me))->store = (fake_store_t *)args;
    return ERR_OK;
}

static void stop(actor_t *me) {
    state_t *state = actor_state(me);
    for (size_t i = 0; i < state->followers.len; i++) {
        free(state->followers.at[i].key);
        free(state->followers.at[i].end);
    }
    vec_done(&state->followers);
}

static const handler_t handlers[] = {
    {&store__range_request__descriptor, on_range},
    {&store__txn_request__descriptor, on_txn},
    {&store__watch_request__descriptor, on_watch},
    {&store__watch_progress__descriptor, on_progress},
    {&store__lease_grant__descriptor, on_lease},
    {&actor__stream_gone__descriptor, on_gone},
    {&actor__stream_credit__descriptor, on_credit},
    {NULL},
};

const actor_def_t fake_store_actor = {
    .role = "store",
    .state_size = sizeof(state_t),
    .start = start,
    .handlers = handlers,
    .settle = settle,
    .on_timer = on_timer,
    .stop = stop,
};
