// Transactions: compares, then one of two lists of operations, nested ones within.
#include "runtime/api/msg.h"
#include "runtime/base/canary.h"
#include "store/mvcc/mvcc_state.h"

// ---- before it enters the log -------------------------------------------------------------------
typedef struct {
    size_t ops;
    bool writes;
} tally_t;

static err_t check_key(ProtobufCBinaryData key, ProtobufCBinaryData end, why_t *why) {
    if (key.len == 0 && end.len == 0) return why_set(why, ERR_INVALID, "the key is empty");
    if (key.len > MVCC_KEY_BYTES_MAX || end.len > MVCC_KEY_BYTES_MAX)
        return why_set(why, ERR_TOO_LARGE, "a key of %zu bytes; at most %d",
                       key.len > end.len ? key.len : end.len, MVCC_KEY_BYTES_MAX);
    return ERR_OK;
}

static err_t check_put(const Store__PutOp *put, why_t *why) {
    if (put->value.len > MVCC_VALUE_BYTES_MAX)
        return why_set(why, ERR_TOO_LARGE, "a value of %zu bytes; at most %d", put->value.len,
                       MVCC_VALUE_BYTES_MAX);
    if (put->lease < 0) return why_set(why, ERR_INVALID, "lease %lld", (long long)put->lease);
    return check_key(put->key, (ProtobufCBinaryData){0}, why);
}

err_t mvcc_check_range(const Store__RangeRequest *range, why_t *why) {
    if ((unsigned)range->sort > STORE__RANGE_REQUEST__SORT__VALUE)
        return why_set(why, ERR_INVALID, "unknown sort %d", range->sort);
    if (range->limit < 0 || range->revision < 0)
        return why_set(why, ERR_INVALID, "a negative limit or revision");
    return check_key(range->key, range->range_end, why);
}

static err_t check_txn(const Store__TxnRequest *txn, int depth, tally_t *tally, why_t *why);

static err_t check_ops(Store__Op *const *ops, size_t len, int depth, tally_t *tally, why_t *why) {
    for (size_t i = 0; i < len; i++) {
        const Store__Op *op = ops[i];
        err_t err = ERR_OK;
        if (++tally->ops > MVCC_TXN_OPS_MAX)
            return why_set(why, ERR_TOO_LARGE, "more than %d operations", MVCC_TXN_OPS_MAX);
        switch (op->op_case) {
        case STORE__OP__OP_PUT:
            tally->writes = true;
            err = check_put(op->put, why);
            break;
        case STORE__OP__OP_DELETE:
            tally->writes = true;
            err = check_key(op->delete_->key, op->delete_->range_end, why);
            break;
        case STORE__OP__OP_RANGE: err = mvcc_check_range(op->range, why); break;
        case STORE__OP__OP_TXN: err = check_txn(op->txn, depth + 1, tally, why); break;
        default: err = why_set(why, ERR_INVALID, "an operation of no known sort");
        }
        if (err != ERR_OK) return why_wrap(why, err, "operation %zu", i);
    }
    return ERR_OK;
}

static err_t check_txn(const Store__TxnRequest *txn, int depth, tally_t *tally, why_t *why) {
    if (depth > MVCC_TXN_DEPTH_MAX)
        return why_set(why, ERR_TOO_LARGE, "transactions nested deeper than %d",
                       MVCC_TXN_DEPTH_MAX);
    tally->ops += txn->n_compares;
    for (size_t i = 0; i < txn->n_compares; i++) {
        const Store__Compare *c = txn->compares[i];
        if ((unsigned)c->target > STORE__COMPARE__TARGET__LEASE ||
            (unsigned)c->result > STORE__COMPARE__RESULT__GREATER)
            return why_set(why, ERR_INVALID, "compare %zu is of no known sort", i);
        err_t err = check_key(c->key, c->range_end, why);
        if (err != ERR_OK) return why_wrap(why, err, "compare %zu", i);
    }
    err_t err = check_ops(txn->then, txn->n_then, depth, tally, why);
    return err == ERR_OK ? check_ops(txn->else_, txn->n_else_, depth, tally, why) : err;
}

err_t mvcc_check_txn(const Store__TxnRequest *txn, why_t *why) {
    tally_t tally = {0};
    return check_txn(txn, 1, &tally, why);
}

static bool has_op(const Store__TxnRequest *txn, Store__Op__OpCase wanted) {
    Store__Op **lists[] = {txn->then, txn->else_};
    size_t lens[] = {txn->n_then, txn->n_else_};
    for (size_t list = 0; list < 2; list++) {
        for (size_t i = 0; i < lens[list]; i++) {
            const Store__Op *op = lists[list][i];
            if (op->op_case == wanted) return true;
            if (op->op_case == STORE__OP__OP_TXN && has_op(op->txn, wanted)) return true;
        }
    }
    return false;
}

bool mvcc_txn_only_deletes(const Store__TxnRequest *txn) { return !has_op(txn, STORE__OP__OP_PUT); }
bool mvcc_txn_is_read_only(const Store__TxnRequest *txn) {
    return mvcc_txn_only_deletes(txn) && !has_op(txn, STORE__OP__OP_DELETE);
}

// Does it look at more than single keys? Then walks must see the entries before it.
static bool walks(const Store__TxnRequest *txn) {
    for (size_t i = 0; i < txn->n_compares; i++)
        if (txn->compares[i]->range_end.len) return true;
    Store__Op **lists[] = {txn->then, txn->else_};
    size_t lens[] = {txn->n_then, txn->n_else_};
    for (size_t list = 0; list < 2; list++) {
        for (size_t i = 0; i < lens[list]; i++) {
            const Store__Op *op = lists[list][i];
            if (op->op_case == STORE__OP__OP_RANGE) return true;
            if (op->op_case == STORE__OP__OP_DELETE && op->delete_->range_end.len) return true;
            if (op->op_case == STORE__OP__OP_TXN && walks(op->txn)) return true;
        }
    }
    return false;
}

// ---- compares -----------------------------------------------------------------------------------
typedef struct {
    mvcc_t *m;
    arena_t *arena;
    const Store__Compare *compare;
    bool holds;
    err_t err;
    why_t *why;
} comparing_t;

static bool order_holds(Store__Compare__Result result, int order) {
    switch (result) {
    case STORE__COMPARE__RESULT__EQUAL: return order == 0;
    case STORE__COMPARE__RESULT__NOT_EQUAL: return order != 0;
    case STORE__COMPARE__RESULT__LESS: return order < 0;
    default: return order > 0;
    }
}

static int number_order(int64_t a, int64_t b) { return (a > b) - (a < b); }

static bool compare_key(void *arg, bytes_t key, const head_t *head) {
    comparing_t *c = arg;
    int order = 0;
    switch (c->compare->target) {
    case STORE__COMPARE__TARGET__VERSION:
        order = number_order(head->version, c->compare->number);
        break;
    case STORE__COMPARE__TARGET__CREATE:
        order = number_order(head->create, c->compare->number);
        break;
    case STORE__COMPARE__TARGET__MOD: order = number_order(head->mod, c->compare->number); break;
    case STORE__COMPARE__TARGET__LEASE:
        order = number_order(head->lease, c->compare->number);
        break;
    default: {
        bytes_t value = {0};
        // A value compare fails for a key that is not there, as etcd's does.
        if (head->version == 0) {
            c->holds = false;
            return false;
        }
        c->err = mvcc_value(c->m, c->arena, key, head, &value, c->why);
        if (c->err != ERR_OK) return false;
        order = bytes_cmp(value, bytes_of(c->compare->value));
    }
    }
    c->holds = order_holds(c->compare->result, order);
    return c->holds;
}

typedef struct {
    bytes_t key;
    head_t head;
} keyed_head_t;
typedef struct {
    arena_t *arena;
    VEC(keyed_head_t) heads;
} gather_t;

static bool gather(void *arg, bytes_t key, const head_t *head) {
    gather_t *g = arg;
    vec_push(&g->heads,
             ((keyed_head_t){{arena_dup(g->arena, key.at, key.len + 1), key.len}, *head}));
    return true;
}

static err_t gather_range(mvcc_t *m, arena_t *arena, ProtobufCBinaryData key,
                          ProtobufCBinaryData end, gather_t *g, why_t *why) {
    g->arena = arena;
    walk_range_t range = {bytes_of(key), bytes_of(end), INT64_MAX, true};
    return mvcc_walk(m, &range, gather, g, why);
}

static err_t one_compare(mvcc_t *m, arena_t *arena, const Store__Compare *compare, bool *ret_holds,
                         why_t *why) {
    comparing_t c = {m, arena, compare, true, ERR_OK, why};
    if (compare->range_end.len == 0) {
        head_t head;
        bool found;
        err_t err = mvcc_head(m, arena, bytes_of(compare->key), &found, &head, why);
        if (err != ERR_OK) return err;
        compare_key(&c, bytes_of(compare->key), &head);
    } else {
        // Gathered first: reading values would move the cursor of the walk.
        gather_t g = {0};
        err_t err = gather_range(m, arena, compare->key, compare->range_end, &g, why);
        for (size_t i = 0; err == ERR_OK && i < g.heads.len; i++)
            if (!compare_key(&c, g.heads.at[i].key, &g.heads.at[i].head)) break;
        vec_done(&g.heads);
        if (err != ERR_OK) return err;
    }
    *ret_holds = c.holds;
    return c.err;
}

// ---- operations ---------------------------------------------------------------------------------
static err_t run_txn(mvcc_t *m, arena_t *arena, const Store__TxnRequest *txn,
                     Store__TxnReply **ret_reply, why_t *why);

static err_t previous_of(mvcc_t *m, arena_t *arena, bytes_t key, const head_t *head,
                         Store__KeyValue **ret_kv, why_t *why) {
    change_t change = {.head = *head, .key = key};
    err_t err = mvcc_value(m, arena, key, head, &change.value, why);
    if (err == ERR_OK) *ret_kv = mvcc_kv_of(arena, &change, true);
    return err;
}

static err_t run_put(mvcc_t *m, arena_t *arena, const Store__PutOp *put, Store__OpReply *reply,
                     why_t *why) {
    head_t before;
    bool found;
    bytes_t key = bytes_of(put->key);
    err_t err = mvcc_head(m, arena, key, &found, &before, why);
    int64_t lease = put->keep_lease ? before.lease : put->lease;
    if (err == ERR_OK && put->lease && !put->keep_lease) {
        bool has = false;
        err = mvcc_has_lease(m, arena, lease, &has, why);
        if (err == ERR_OK && !has)
            err = why_set(why, ERR_NOT_FOUND, "there is no lease %lld", (long long)lease);
    }
    if (err != ERR_OK) return err;
    reply->reply_case = STORE__OP_REPLY__REPLY_PUT;
    reply->put = MSG_NEW(arena, Store__PutReply, store__put_reply__descriptor);
    if (put->want_previous && found) {
        err = previous_of(m, arena, key, &before, &reply->put->previous, why);
        if (err != ERR_OK) return err;
    }
    return mvcc_put(m, key, bytes_of(put->value), lease, &before, why);
}

static err_t run_delete(mvcc_t *m, arena_t *arena, const Store__DeleteOp *op, Store__OpReply *reply,
                        why_t *why) {
    gather_t g = {.arena = arena};
    err_t err = ERR_OK;
    if (op->range_end.len)
        err = gather_range(m, arena, op->key, op->range_end, &g, why);
    else {
        head_t head;
        bool found = false;
        err = mvcc_head(m, arena, bytes_of(op->key), &found, &head, why);
        if (err == ERR_OK && found) vec_push(&g.heads, ((keyed_head_t){bytes_of(op->key), head}));
    }
    Store__DeleteReply *out = MSG_NEW(arena, Store__DeleteReply, store__delete_reply__descriptor);
    out->previous = ARENA_ARRAY(arena, Store__KeyValue *, g.heads.len + 1);
    for (size_t i = 0; i < g.heads.len && err == ERR_OK; i++) {
        const keyed_head_t *at = &g.heads.at[i];
        if (op->want_previous)
            err = previous_of(m, arena, at->key, &at->head, &out->previous[out->n_previous++], why);
        if (err == ERR_OK) err = mvcc_delete(m, at->key, &at->head, why);
    }
    out->deleted = (int64_t)g.heads.len;
    vec_done(&g.heads);
    reply->reply_case = STORE__OP_REPLY__REPLY_DELETE;
    reply->delete_ = out;
    return err;
}

static err_t run_op(mvcc_t *m, arena_t *arena, const Store__Op *op, Store__OpReply *reply,
                    why_t *why) {
    switch (op->op_case) {
    case STORE__OP__OP_PUT: return run_put(m, arena, op->put, reply, why);
    case STORE__OP__OP_DELETE: return run_delete(m, arena, op->delete_, reply, why);
    case STORE__OP__OP_RANGE:
        reply->reply_case = STORE__OP_REPLY__REPLY_RANGE;
        return mvcc_range_in_txn(m, arena, op->range, true, &reply->range, why);
    case STORE__OP__OP_TXN:
        reply->reply_case = STORE__OP_REPLY__REPLY_TXN;
        return run_txn(m, arena, op->txn, &reply->txn, why);
    default: return why_set(why, ERR_INVALID, "an operation of no known sort");
    }
}

static err_t run_txn(mvcc_t *m, arena_t *arena, const Store__TxnRequest *txn,
                     Store__TxnReply **ret_reply, why_t *why) {
    bool holds = true;
    for (size_t i = 0; i < txn->n_compares && holds; i++) {
        err_t err = one_compare(m, arena, txn->compares[i], &holds, why);
        if (err != ERR_OK) return err;
    }
    Store__Op **ops = holds ? txn->then : txn->else_;
    size_t len = holds ? txn->n_then : txn->n_else_;
    Store__TxnReply *reply = MSG_NEW(arena, Store__TxnReply, store__txn_reply__descriptor);
    reply->succeeded = holds;
    reply->replies = ARENA_ARRAY(arena, Store__OpReply *, len + 1);
    for (size_t i = 0; i < len; i++) {
        Store__OpReply *out = MSG_NEW(arena, Store__OpReply, store__op_reply__descriptor);
        reply->replies[reply->n_replies++] = out;
        err_t err = run_op(m, arena, ops[i], out, why);
        if (err != ERR_OK) return err;
    }
    reply->revision = m->meta.revision + (m->sub ? 1 : 0);
    *ret_reply = reply;
    return ERR_OK;
}

// A leader's fence: the check and the write are one step (ARCHITECTURE, principle 6).
static err_t check_epoch(mvcc_t *m, arena_t *arena, const Store__TxnRequest *txn, why_t *why) {
    if (txn->epoch_key.len == 0 || CANARY(STORE_SKIPS_FENCE)) return ERR_OK;
    head_t head;
    bool found;
    bytes_t value = {0};
    err_t err = mvcc_head(m, arena, bytes_of(txn->epoch_key), &found, &head, why);
    if (err == ERR_OK && found)
        err = mvcc_value(m, arena, bytes_of(txn->epoch_key), &head, &value, why);
    if (err != ERR_OK) return err;
    char wanted[24];
    int len = snprintf(wanted, sizeof wanted, "%llu", (unsigned long long)txn->epoch);
    if (found && bytes_eq(value, (bytes_t){(const uint8_t *)wanted, (size_t)len})) return ERR_OK;
    return why_set(why, ERR_DEPOSED, "epoch %s is over: %.*s is %.*s", wanted,
                   (int)txn->epoch_key.len, (const char *)txn->epoch_key.data,
                   (int)(value.len < 24 ? value.len : 24), value.len ? (const char *)value.at : "");
}

err_t mvcc_txn(mvcc_t *m, arena_t *arena, const Store__TxnRequest *txn, Store__TxnReply **ret_reply,
               why_t *why) {
    err_t err = ERR_OK;
    if (m->ops.len > MVCC_PENDING_OPS_MAX || (m->ops.len && walks(txn)))
        err = mvcc_write_pending(m, why);
    if (err != ERR_OK) return err;
    mvcc_begin(m);
    err = check_epoch(m, arena, txn, why);
    if (err == ERR_OK) err = run_txn(m, arena, txn, ret_reply, why);
    mvcc_end(m, err == ERR_OK);
    return err;
}
