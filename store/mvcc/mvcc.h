// mvcc - the state machine: keys with a history, one revision counter for all of them.
//
// Pure semantics over the kv port: what a committed entry does, and what a reader sees at which
// revision. Deterministic: the same entries give the same state to the byte, whatever the backend.
//
//     apply: mvcc_txn, mvcc_lease_*, mvcc_compact …   each whole or not at all
//            mvcc_entry_done(index)                   after each
//            mvcc_commit                              one kv write for all of them
//     read:  mvcc_range, mvcc_changes                 what is committed
//
// Until mvcc_commit the changes are seen only by the applying side. A commit carries the applied
// index, so that after a crash the log is replayed from exactly there.
//
// Values are opaque. A transaction takes one revision if it changed anything. Times are not known
// here: a lease ends when an entry says so.
#pragma once
#include "runtime/base/why.h"
#include "store/mvcc/keys.h"
#include "store/mvcc/kv.h"
#include "troupe/store.pb-c.h"

enum {
    MVCC_KEY_BYTES_MAX = 4096,
    MVCC_VALUE_BYTES_MAX = 1536 * 1024, // etcd's own limit for a request
    MVCC_TXN_BYTES_MAX = 4 << 20,       // packed
    MVCC_TXN_OPS_MAX = 4096,            // compares and operations, nested ones too
    MVCC_TXN_DEPTH_MAX = 8,
    MVCC_RANGE_BYTES_MAX = 4 << 20,    // of one reply; more = true beyond
    MVCC_PENDING_OPS_MAX = 16 * 1024,  // commit by itself past this
    MVCC_LEASE_TTL_MS_MAX = INT32_MAX, // 24 days
};

typedef struct mvcc mvcc_t;

// ERR_CORRUPT, ERR_IO. The kv is borrowed and outlives it.
err_t mvcc_open(kv_t *kv, mvcc_t **ret_mvcc, why_t *why) MUST_USE;
void mvcc_destroy(mvcc_t **mvcc); // what is not committed is dropped

// ---- questions ----------------------------------------------------------------------------------
const meta_t *mvcc_meta(const mvcc_t *mvcc); // committed and pending together
// The applied index that a crash would leave: the log is needed from there on.
err_t mvcc_flushed(mvcc_t *mvcc, meta_t *ret_meta, why_t *why) MUST_USE;

// Is it well formed? Done before it enters the log: limits, empty keys, unknown values.
// ERR_INVALID, ERR_TOO_LARGE.
err_t mvcc_check_txn(const Store__TxnRequest *txn, why_t *why) MUST_USE;
err_t mvcc_check_range(const Store__RangeRequest *range, why_t *why) MUST_USE;
bool mvcc_txn_is_read_only(const Store__TxnRequest *txn);
bool mvcc_txn_only_deletes(const Store__TxnRequest *txn); // whatever its compares say

// ---- applying -----------------------------------------------------------------------------------
// ERR_DEPOSED: the epoch is not this one; ERR_COMPACTED, ERR_FUTURE_REVISION: of a range in it;
// ERR_NOT_FOUND: no such lease; ERR_INVALID: a key is changed twice. Nothing is changed then. Other
// errors are the disk's: the member must stop. The reply is the arena's.
err_t mvcc_txn(mvcc_t *mvcc, arena_t *arena, const Store__TxnRequest *txn,
               Store__TxnReply **ret_reply, why_t *why) MUST_USE;
bool mvcc_is_refusal(err_t err); // an answer of the state machine, not a broken disk

err_t mvcc_lease_grant(mvcc_t *mvcc, int64_t lease, int64_t ttl_ms,
                       why_t *why) MUST_USE; // ERR_EXISTS
// Its keys go with it, in one revision. ERR_NOT_FOUND.
err_t mvcc_lease_revoke(mvcc_t *mvcc, int64_t lease, why_t *why) MUST_USE;
// History at or before `revision` may be forgotten, but for what is still current there.
// ERR_COMPACTED, ERR_FUTURE_REVISION.
err_t mvcc_compact(mvcc_t *mvcc, revision_t revision, why_t *why) MUST_USE;
// Who the members are (packed raft.Config), as of entry `index`.
void mvcc_note_config(mvcc_t *mvcc, uint64_t index, bytes_t packed);
void mvcc_set_cluster_id(mvcc_t *mvcc, uint64_t cluster_id);
// All of the entry `index` is applied. Then the next, or the commit.
void mvcc_entry_done(mvcc_t *mvcc, uint64_t index, uint64_t term);
// ERR_DISK_FULL: what is pending stays so, and may be committed when there is room; until then
// reads do not show it. Then nothing is to be pruned.
err_t mvcc_commit(mvcc_t *mvcc, why_t *why) MUST_USE;

// Forget what compaction allowed, at most `changes_max` changes looked at; more: there is more to
// do. Not part of the replicated state: each member does it when it has time.
err_t mvcc_prune(mvcc_t *mvcc, size_t changes_max, bool *ret_more, why_t *why) MUST_USE;

// The newest configuration applied; ret_packed->at NULL: none was ever in the log.
err_t mvcc_config(mvcc_t *mvcc, arena_t *arena, bytes_t *ret_packed, why_t *why) MUST_USE;

// ---- reading ------------------------------------------------------------------------------------
err_t mvcc_range(mvcc_t *mvcc, arena_t *arena, const Store__RangeRequest *range,
                 Store__RangeReply **ret_reply, why_t *why) MUST_USE;
// The changes of revisions [from, revision], in order, until bytes_max is passed; whole revisions
// unless a single one is larger than that (then from_sub goes on inside it). Keys and values are
// the arena's. ERR_COMPACTED.
typedef struct {
    change_t *changes;
    size_t len;
    revision_t next; // first revision not in it, or gone on with at next_sub
    uint32_t next_sub;
} changes_t;
err_t mvcc_changes(mvcc_t *mvcc, arena_t *arena, revision_t from, uint32_t from_sub,
                   size_t bytes_max, changes_t *ret_changes, why_t *why) MUST_USE;
// The key as it was at `revision`; found = false: it was not there, or that is forgotten.
err_t mvcc_get_at(mvcc_t *mvcc, arena_t *arena, bytes_t key, revision_t revision, bool *ret_found,
                  change_t *ret_change, why_t *why) MUST_USE;
// All leases, or one's keys; arrays are the arena's.
typedef struct {
    int64_t id, ttl_ms;
} lease_info_t;
err_t mvcc_leases(mvcc_t *mvcc, arena_t *arena, lease_info_t **ret_leases, size_t *ret_len,
                  why_t *why) MUST_USE;
err_t mvcc_lease_keys(mvcc_t *mvcc, arena_t *arena, int64_t lease, bytes_t **ret_keys,
                      size_t *ret_len, why_t *why) MUST_USE;

// Does `key` lie in the range that (from, end) names, as in store.proto?
bool mvcc_in_range(bytes_t key, ProtobufCBinaryData from, ProtobufCBinaryData end);
// Reads everything and asserts nothing: ERR_CORRUPT with what is wrong. Index and changes say the
// same, the history of each key is whole, leases and their keys know each other.
typedef struct {
    uint64_t keys, changes, leases;
    void (*progress)(void *arg, uint64_t changes); // now and then; may be NULL
    void *arg;
} mvcc_tally_t;
err_t mvcc_verify(mvcc_t *mvcc, mvcc_tally_t *tally, why_t *why) MUST_USE; // tally may be NULL

// ---- beginning a new cluster from an old state (restore, recovery) ------------------------------
// A current key as a snapshot has it; `number` is unique among all imported. Then mvcc_commit now
// and then. ERR_INVALID: no such key can be.
err_t mvcc_import(mvcc_t *mvcc, const Store__KeyValue *kv, uint32_t number, why_t *why) MUST_USE;
typedef struct {
    revision_t revision; // at or above what it was; all at or before it is compacted
    bool nothing_to_prune;
    uint64_t cluster_id;
    uint64_t index, term; // as if this entry had been applied last, a configuration …
    bytes_t config;       // … namely this packed raft.Config
} mvcc_anew_t;
void mvcc_begin_anew(mvcc_t *mvcc, const mvcc_anew_t *anew); // then mvcc_commit
