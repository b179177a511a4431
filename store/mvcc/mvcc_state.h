// mvcc_state - what the files of the state machine share; nobody outside store/mvcc includes it.
#pragma once
#include "runtime/base/vec.h"
#include "store/mvcc/heads.h"
#include "store/mvcc/mvcc.h"

// Newest state of keys that the kv does not show yet, sorted by key.
typedef struct {
    change_t change; // the batch's arena
} pending_t;
typedef VEC(pending_t) pendings_t;

struct mvcc {
    kv_t *kv;
    meta_t meta; // with what is pending; applied_index: the last entry that is whole in ops
    heads_t heads;
    arena_t batch;      // memory of everything below; cleared by the commit
    VEC(kv_op_t) ops;   // the next kv write
    pendings_t pending; // keys changed by entries since the last commit
    pendings_t txn;     // keys changed by the transaction under way
    size_t txn_ops;     // ops before it: to undo it
    uint32_t sub;       // next change of the transaction under way
};

static inline bytes_t bytes_of(ProtobufCBinaryData data) { return (bytes_t){data.data, data.len}; }
static inline ProtobufCBinaryData data_of(bytes_t bytes) {
    return (ProtobufCBinaryData){bytes.len, (uint8_t *)bytes.at};
}

// ---- mvcc.c -------------------------------------------------------------------------------------
void mvcc_put_op(mvcc_t *m, bytes_t key, bytes_t value);
void mvcc_delete_op(mvcc_t *m, bytes_t key);
const pending_t *mvcc_pending(const pendings_t *pendings, bytes_t key);
// Do the heads in memory say all that was committed up to this revision, so that no look into the
// kv is needed?
static inline bool mvcc_heads_tell(const mvcc_t *m, revision_t revision) {
    return !m->heads.has_lost && m->pending.len == 0 && revision >= m->meta.revision;
}
// Newest state of a key for the applying side. found: it is there, and not deleted.
err_t mvcc_head(mvcc_t *m, arena_t *arena, bytes_t key, bool *ret_found, head_t *ret_head,
                why_t *why);
err_t mvcc_value(mvcc_t *m, arena_t *arena, bytes_t key, const head_t *head, bytes_t *ret_value,
                 why_t *why);
// Values of committed heads: keys[i] as of heads[i]; at most KV_GET_MANY_MAX. Nothing is pending.
err_t mvcc_values(mvcc_t *m, arena_t *arena, change_t *changes, size_t len, why_t *why);
// What is whole so far becomes visible to walks.
err_t mvcc_write_pending(mvcc_t *m, why_t *why);
// A transaction's frame: begin; changes; end(keep).
void mvcc_begin(mvcc_t *m);
void mvcc_end(mvcc_t *m, bool keep);
err_t mvcc_put(mvcc_t *m, bytes_t key, bytes_t value, int64_t lease, const head_t *before,
               why_t *why);
err_t mvcc_delete(mvcc_t *m, bytes_t key, const head_t *before, why_t *why);
err_t mvcc_has_lease(mvcc_t *m, arena_t *arena, int64_t lease, bool *ret_has, why_t *why);

// ---- range.c ------------------------------------------------------------------------------------
typedef struct {
    bytes_t from, end;   // end.len 0: only `from`; end "\0": all from `from` on
    revision_t revision; // heads at or before it
    bool with_txn;       // and what the transaction under way has changed
} walk_range_t;
// Calls `visit` for each key of the range in order, until it returns false. The head may be
// borrowed for the call only; the key too.
typedef bool visit_t(void *arg, bytes_t key, const head_t *head);
err_t mvcc_walk(mvcc_t *m, const walk_range_t *range, visit_t *visit, void *arg, why_t *why);
err_t mvcc_range_in_txn(mvcc_t *m, arena_t *arena, const Store__RangeRequest *range, bool in_txn,
                        Store__RangeReply **ret_reply, why_t *why);
Store__KeyValue *mvcc_kv_of(arena_t *arena, const change_t *change, bool with_value);
