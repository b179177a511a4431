// store_actor - a member of the store: consensus, state machine, watches.
//
//     asks ─► proposals ─► raft ─► disk actor (append, sync) ─► committed ─► mvcc ─► answers
//          └► reads ─────► raft (ReadIndex) ───────────────────────────────► mvcc ─► answers
//                                                                            └─► watches
//
// One round is one append and one sync: handlers collect, settle proposes everything at once.
// Acknowledged means synced. A bare "store" reaches the leader, once it has committed an entry of
// its own term. A member that is alone elects itself when it has read its log.
//
// Accepts (from "apiserver", "admin"): store.TxnRequest, RangeRequest, WatchRequest (a stream),
// CompactRequest, LeaseGrant, LeaseKeepAlive, LeaseRevoke, LeaseQuery; StatusRequest also from
// "cli". A RangeRequest or LeaseQuery of an administrator and any wish about members may be sent to
// any member: who does not lead passes it on. Errors: ERR_NOT_LEADER, ERR_UNAVAILABLE (no leader
// yet), ERR_INVALID, ERR_TOO_LARGE, ERR_OVERLOADED, and what the state machine refuses with
// (store/mvcc/mvcc.h).
#pragma once
#include "runtime/actor/kit.h"
#include "runtime/io/config.h"
#include "store/mvcc/kv.h"

typedef struct {
    const char *data_dir; // its database lies in data_dir/db
    const char *member;   // name of this member, the actor's own name
    kv_t *kv; // the backend of the state machine, the caller's; NULL: RocksDB in data_dir/db
    // Whom the cluster began with, this member among them; empty: it alone. Once a configuration
    // stands in the log, that rules.
    config_strings_t members;
    // The member that is the witness: it votes and keeps entries, but applies nothing and serves
    // nobody. NULL: there is none.
    const char *witness;
    bool join;                   // begins as nobody's member, and waits until the others add it
    int64_t election_timeout_ms; // 0: RAFT_ELECTION_TIMEOUT_DEFAULT_MS
    int64_t heartbeat_ms;        // 0: RAFT_HEARTBEAT_DEFAULT_MS
    // Reads without a round of heartbeats, by read lease (docs/store.md). Without it a member
    // promises no lease either, so it serves when a majority has it.
    bool lease_reads;
    // History older than this may be compacted away by the leader; 0: 10 minutes; < 0: never.
    int64_t history_keep_ms;
    // … but never the newest so many revisions; 0: STORE_HISTORY_KEEP_REVISIONS.
    int64_t history_keep_revisions;
    // The log is cut each time it has grown by so much; 0: STORE_LOG_CUT_BYTES.
    int64_t log_cut_bytes;
    // Up to so much the log is kept for members that lag; 0: STORE_LOG_FOR_PEERS_BYTES.
    int64_t log_for_peers_bytes;
} store_args_t;

enum {
    STORE_HISTORY_KEEP_MS = 10 * 60 * 1000,
    STORE_HISTORY_KEEP_REVISIONS = 10 * 1000,
    STORE_LOG_CUT_BYTES = 8 << 20,
    STORE_LOG_STEPS_MAX = 6, // of log_cut_bytes: past that the state machine is flushed
    // The log is kept this long, and while a member was heard within so much, for who needs it …
    STORE_LOG_FOR_PEERS_BYTES = 128 << 20,
    STORE_LOG_FOR_PEERS_MS = 30 * 1000, // … later it gets a snapshot
    STORE_PROPOSALS_MAX = 16 * 1024,    // not yet applied; more is ERR_OVERLOADED
    STORE_PROPOSAL_BYTES_MAX = 64 << 20,
    STORE_READS_MAX = 16 * 1024,
    STORE_WATCHERS_MAX = 16 * 1024,
    STORE_CHUNK_BYTES = 512 * 1024, // of one watch message, about
};

extern const actor_def_t store_actor;
extern const config_field_t store_config[]; // kind: Store
