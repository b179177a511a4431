// Ranges: walking the index at a revision.
#include "runtime/api/msg.h"
#include "store/mvcc/mvcc_state.h"

static bool is_open_end(bytes_t end) { return end.len == 1 && end.at[0] == 0; }

bool mvcc_in_range(bytes_t key, ProtobufCBinaryData from, ProtobufCBinaryData end) {
    if (end.len == 0) return bytes_eq(key, bytes_of(from));
    if (bytes_cmp(key, bytes_of(from)) < 0) return false;
    return is_open_end(bytes_of(end)) || bytes_cmp(key, bytes_of(end)) < 0;
}

// ---- the walk -----------------------------------------------------------------------------------
// What is committed, key by key: out of memory where the newest state of all keys is asked for,
// else by the kv's cursor.
typedef struct {
    bool has;
    bytes_t key; // the arena's, or that of an entry in memory
    head_t head; // the newest at or before the revision
} step_t;

static bool is_past(const walk_range_t *range, bytes_t key) {
    if (is_open_end(range->end)) return false;
    return range->end.len ? bytes_cmp(key, range->end) >= 0 : !bytes_eq(key, range->from);
}

// The cursor stands on an entry that may be newer than wanted, or belong to a key that is done.
static err_t next_in_kv(mvcc_t *m, arena_t *arena, const walk_range_t *range, const bytes_t *done,
                        step_t *ret_step, why_t *why) {
    bytes_t key, value;
    *ret_step = (step_t){0};
    err_t err = ERR_OK;
    while (err == ERR_OK && kv_here(m->kv, &key, &value) && key.at[0] == KEYS_INDEX) {
        step_t step = {.has = true};
        if (!keys_get_index(arena, key, value, &step.key, &step.head))
            return why_set(why, ERR_CORRUPT, "an index entry cannot be read");
        if (is_past(range, step.key)) return ERR_OK;
        bool again = done && bytes_eq(step.key, *done);
        if (!again && step.head.mod <= range->revision) {
            step.key.at = arena_dup(arena, step.key.at, step.key.len + 1);
            *ret_step = step;
            return ERR_OK;
        }
        err = kv_next(m->kv, why);
    }
    return err;
}

// The first pending change of the range at or behind position `at`.
static const change_t *next_pending(const mvcc_t *m, const walk_range_t *range, size_t *at) {
    for (; range->with_txn && *at < m->txn.len; (*at)++) {
        const change_t *change = &m->txn.at[*at].change;
        if (mvcc_in_range(change->key, data_of(range->from), data_of(range->end))) return change;
    }
    return NULL;
}

// What is committed, and over it what the transaction under way has changed.
typedef struct {
    mvcc_t *m;
    const walk_range_t *range;
    bool in_memory;
    order_place_t place;
    arena_t arena, spare; // keys of this step and of the one before
    step_t step;
    size_t at; // next of the transaction's changes
} walk_t;

static void step_in_memory(walk_t *w) {
    const heads_entry_t *entry = order_at(&w->m->heads.order, w->place);
    w->step = (step_t){0};
    if (!entry || is_past(w->range, heads_entry_key(entry))) return;
    w->step = (step_t){true, heads_entry_key(entry), entry->head};
    w->place = order_next(&w->m->heads.order, w->place);
}

static err_t walk_begin(walk_t *w, why_t *why) {
    const walk_range_t *range = w->range;
    w->in_memory = mvcc_heads_tell(w->m, range->revision);
    if (w->in_memory && range->end.len == 0) { // one key: by its hash
        w->step = (step_t){.key = range->from};
        w->step.has = heads_get(&w->m->heads, range->from, &w->step.head);
        w->place.chunk = w->m->heads.order.chunks.len;
        return ERR_OK;
    }
    if (w->in_memory) {
        w->place = order_seek(&w->m->heads.order, range->from);
        step_in_memory(w);
        return ERR_OK;
    }
    bytes_t from = keys_index_prefix(&w->arena, range->from, range->end.len == 0);
    err_t err = kv_seek(w->m->kv, from, why);
    return err == ERR_OK ? next_in_kv(w->m, &w->arena, range, NULL, &w->step, why) : err;
}

static err_t walk_on(walk_t *w, why_t *why) {
    if (w->in_memory) {
        step_in_memory(w);
        return ERR_OK;
    }
    step_t next;
    err_t err = next_in_kv(w->m, &w->spare, w->range, &w->step.key, &next, why);
    w->step = next;
    arena_t kept = w->arena;
    w->arena = w->spare;
    w->spare = kept;
    arena_clear(&w->spare);
    return err;
}

err_t mvcc_walk(mvcc_t *m, const walk_range_t *range, visit_t *visit, void *arg, why_t *why) {
    walk_t w = {.m = m, .range = range};
    err_t err = walk_begin(&w, why);
    bool more = true;
    while (err == ERR_OK && more) {
        const change_t *pending = next_pending(m, range, &w.at);
        if (!w.step.has && !pending) break;
        int order = !w.step.has ? 1 : !pending ? -1 : bytes_cmp(w.step.key, pending->key);
        if (order < 0)
            more = w.step.head.deleted || visit(arg, w.step.key, &w.step.head);
        else
            more = pending->head.deleted || visit(arg, pending->key, &pending->head);
        if (order >= 0) w.at++;
        if (order <= 0 && more) err = walk_on(&w, why);
    }
    arena_done(&w.arena);
    arena_done(&w.spare);
    return err;
}

enum { BATCH_FIRST = 8 };

// ---- the request --------------------------------------------------------------------------------
typedef struct {
    bytes_t key;
    head_t head;
} found_t;
typedef struct {
    mvcc_t *m;
    arena_t *arena;
    VEC(found_t) found;
    int64_t keep_max; // keys to keep; INT64_MAX: all
    bool go_on;       // count past them
    int64_t count;
    bool more;
} collect_t;

static bool collect(void *arg, bytes_t key, const head_t *head) {
    collect_t *c = arg;
    c->count++;
    if ((int64_t)c->found.len < c->keep_max) {
        bytes_t copy = {arena_dup(c->arena, key.at, key.len + 1), key.len};
        vec_push(&c->found, ((found_t){copy, *head}));
        return true;
    }
    c->more = true;
    return c->go_on;
}

Store__KeyValue *mvcc_kv_of(arena_t *arena, const change_t *change, bool with_value) {
    Store__KeyValue *kv = MSG_NEW(arena, Store__KeyValue, store__key_value__descriptor);
    kv->key = data_of(change->key);
    kv->mod_revision = change->head.mod;
    if (change->head.deleted) return kv;
    kv->create_revision = change->head.create;
    kv->version = change->head.version;
    kv->lease = change->head.lease;
    if (with_value) kv->value = data_of(change->value);
    return kv;
}

typedef struct {
    Store__RangeRequest__Sort sort;
    bool descending;
} sorting_t;

static int by_order(const void *a, const void *b, void *arg) {
    const Store__KeyValue *x = *(Store__KeyValue *const *)a, *y = *(Store__KeyValue *const *)b;
    const sorting_t *o = arg;
    int64_t p = 0, q = 0;
    int order = 0;
    switch (o->sort) {
    case STORE__RANGE_REQUEST__SORT__VERSION: p = x->version, q = y->version; break;
    case STORE__RANGE_REQUEST__SORT__CREATE: p = x->create_revision, q = y->create_revision; break;
    case STORE__RANGE_REQUEST__SORT__MOD: p = x->mod_revision, q = y->mod_revision; break;
    case STORE__RANGE_REQUEST__SORT__VALUE:
        order = bytes_cmp(bytes_of(x->value), bytes_of(y->value));
        break;
    default: break;
    }
    if (order == 0) order = (p > q) - (p < q);
    if (order == 0) order = bytes_cmp(bytes_of(x->key), bytes_of(y->key));
    return o->descending ? -order : order;
}

// How many values are read at once: as many as will fit, if they are as large as those before.
static size_t batch_of(size_t left, size_t len, size_t bytes) {
    size_t room = bytes < MVCC_RANGE_BYTES_MAX ? MVCC_RANGE_BYTES_MAX - bytes : 0;
    size_t fit = len ? room / (bytes / len + 1) + 1 : BATCH_FIRST;
    if (fit > KV_GET_MANY_MAX) fit = KV_GET_MANY_MAX;
    return left < fit ? left : fit;
}

static err_t read_batch(mvcc_t *m, arena_t *arena, const found_t *found, size_t len, bool values,
                        change_t *changes, why_t *why) {
    for (size_t i = 0; i < len; i++)
        changes[i] = (change_t){.head = found[i].head, .key = found[i].key};
    if (!values) return ERR_OK;
    if (m->ops.len == 0) return mvcc_values(m, arena, changes, len, why);
    err_t err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < len; i++)
        err = mvcc_value(m, arena, changes[i].key, &changes[i].head, &changes[i].value, why);
    return err;
}

// Put key-values into the reply until it is full; what does not fit is `more`.
static err_t fill(mvcc_t *m, arena_t *arena, const Store__RangeRequest *range, collect_t *c,
                  Store__RangeReply *reply, why_t *why) {
    bool sorted = range->sort != STORE__RANGE_REQUEST__SORT__KEY || range->descending;
    bool values = !range->keys_only || range->sort == STORE__RANGE_REQUEST__SORT__VALUE;
    reply->kvs = ARENA_ARRAY(arena, Store__KeyValue *, c->found.len + 1);
    size_t bytes = 0, read = 0;
    change_t changes[KV_GET_MANY_MAX];
    for (size_t i = 0, at = 0; i < c->found.len; i++, at++) {
        if (at == read) { // the next ones, at once
            read = batch_of(c->found.len - i, i, bytes);
            err_t err = read_batch(m, arena, &c->found.at[i], read, values, changes, why);
            if (err != ERR_OK) return err;
            at = 0;
        }
        const change_t change = changes[at];
        bytes += change.key.len + change.value.len + 32;
        if (bytes > MVCC_RANGE_BYTES_MAX && reply->n_kvs) {
            if (sorted)
                return why_set(why, ERR_TOO_LARGE,
                               "a sorted range of more than %d bytes; set a limit",
                               MVCC_RANGE_BYTES_MAX);
            reply->more = true;
            break;
        }
        reply->kvs[reply->n_kvs++] = mvcc_kv_of(arena, &change, values);
    }
    if (!sorted) return ERR_OK;
    sorting_t order = {range->sort, range->descending};
    qsort_r(reply->kvs, reply->n_kvs, sizeof *reply->kvs, by_order, &order);
    if (range->limit > 0 && (int64_t)reply->n_kvs > range->limit) {
        reply->n_kvs = (size_t)range->limit;
        reply->more = true;
    }
    for (size_t i = 0; range->keys_only && i < reply->n_kvs; i++)
        reply->kvs[i]->value = (ProtobufCBinaryData){0};
    return ERR_OK;
}

err_t mvcc_range_in_txn(mvcc_t *m, arena_t *arena, const Store__RangeRequest *range, bool in_txn,
                        Store__RangeReply **ret_reply, why_t *why) {
    revision_t now = m->meta.revision + (in_txn && m->sub ? 1 : 0);
    revision_t at = range->revision ? range->revision : now;
    if (at > now)
        return why_set(why, ERR_FUTURE_REVISION, "revision %lld is in the future of %lld",
                       (long long)at, (long long)now);
    if (at < m->meta.compacted)
        return why_set(why, ERR_COMPACTED, "revision %lld is compacted; the oldest kept is %lld",
                       (long long)at, (long long)m->meta.compacted);
    bool sorted = range->sort != STORE__RANGE_REQUEST__SORT__KEY || range->descending;
    collect_t c = {.m = m, .arena = arena, .keep_max = INT64_MAX};
    if (range->count_only)
        c.keep_max = 0;
    else if (range->limit > 0 && !sorted)
        c.keep_max = range->limit;
    bool wants_count = range->count_only || range->want_count;
    // A count needs no walk where all keys are in memory and the transaction has changed none.
    bool by_order =
        wants_count && mvcc_heads_tell(m, at) && m->txn.len == 0 && range->range_end.len;
    c.go_on = wants_count && !by_order;
    walk_range_t walk = {bytes_of(range->key), bytes_of(range->range_end), at, in_txn && at == now};
    Store__RangeReply *reply = MSG_NEW(arena, Store__RangeReply, store__range_reply__descriptor);
    err_t err = mvcc_walk(m, &walk, collect, &c, why);
    reply->revision = now;
    reply->more = c.more && !range->count_only;
    if (err == ERR_OK && !range->count_only) err = fill(m, arena, range, &c, reply, why);
    if (by_order) c.count = (int64_t)order_count(&m->heads.order, walk.from, walk.end);
    reply->count = wants_count ? c.count : (int64_t)reply->n_kvs;
    vec_done(&c.found);
    if (err == ERR_OK) *ret_reply = reply;
    return err;
}

err_t mvcc_range(mvcc_t *m, arena_t *arena, const Store__RangeRequest *range,
                 Store__RangeReply **ret_reply, why_t *why) {
    assert(m->ops.len == 0); // readers come between commits
    return mvcc_range_in_txn(m, arena, range, false, ret_reply, why);
}
