#include "actors/store/store_actor.h"
#include "actors/store/disk_actor.h"
#include "actors/store/store_inner.h"
#include "runtime/api/msg.h"
#include "runtime/base/log.h"
#include "runtime/io/files.h"
#include "store/rocks.h"

enum { DISK_RETRY_MS = 5 };

// ---- taking requests ----------------------------------------------------------------------------
void store_die(actor_t *me, err_t err, const char *why) {
    store_t *s = actor_state(me);
    if (s->stopping) return;
    s->stopping = true;
    log_error(actor_address(me), "%s: %s", err_text(err), why);
    actor_exit(me, why);
}

void store_propose(actor_t *me, uint8_t kind, blob_t *data, caller_t *caller) {
    store_t *s = actor_state(me);
    s->proposal_bytes += data ? data->len : 0;
    vec_push(&s->proposals, ((entry_t){.kind = kind, .data = data, .caller = caller}));
}

// May a request be taken now? Answers it itself if not.
void store_refuse_follower(actor_t *me, const message_t *msg) {
    store_t *s = actor_state(me);
    const char *leader = store_member_name(s, raft_leader(s->raft));
    if (s->is_removed)
        actor_fail(me, msg, ERR_NOT_LEADER, "this member was removed from the cluster");
    else if (is_empty(leader) || raft_leader(s->raft) == s->id)
        actor_fail(me, msg, ERR_NOT_LEADER, "this member does not lead, and knows of no leader");
    else
        actor_fail(me, msg, ERR_NOT_LEADER,
                   arena_printf(actor_arena(me), "this member does not lead; %s does", leader));
}

static bool admit(actor_t *me, const message_t *msg) {
    store_t *s = actor_state(me);
    if (s->phase != STORE_RUNNING || s->stopping) {
        actor_fail(me, msg, ERR_UNAVAILABLE, "the store is starting");
        return false;
    }
    if (!s->led) {
        store_refuse_follower(me, msg);
        return false;
    }
    size_t under_way = s->proposals.len + entries_waiting(&s->entries);
    if (under_way >= STORE_PROPOSALS_MAX || s->reads.len >= STORE_READS_MAX ||
        s->proposal_bytes + s->entries.waiting_bytes >= STORE_PROPOSAL_BYTES_MAX) {
        actor_fail(me, msg, ERR_OVERLOADED, "too many requests are under way");
        return false;
    }
    return true;
}

// The same for the disk: it may be full.
static bool admit_space(actor_t *me, const message_t *msg, bool shrinks) {
    why_t why;
    if (store_has_space(me, shrinks, &why)) return true;
    actor_fail(me, msg, ERR_DISK_FULL, why.text);
    return false;
}

static void take_read(actor_t *me, const message_t *msg, const ProtobufCMessageDescriptor *type) {
    store_t *s = actor_state(me);
    vec_push(&s->reads, ((pending_read_t){.type = type,
                                          .body = blob_ref(msg->body),
                                          .caller = actor_keep_caller(me, msg),
                                          .number = s->read_last}));
}

static void on_txn(actor_t *me, const message_t *msg, const void *body) {
    const Store__TxnRequest *txn = body;
    if (!admit(me, msg)) return;
    why_t why;
    err_t err = mvcc_check_txn(txn, &why);
    if (err == ERR_OK && msg->body->len > MVCC_TXN_BYTES_MAX)
        err = why_set(&why, ERR_TOO_LARGE, "a transaction of %zu bytes; at most %d", msg->body->len,
                      MVCC_TXN_BYTES_MAX);
    if (err != ERR_OK)
        actor_fail(me, msg, err, why.text);
    else if (mvcc_txn_is_read_only(txn))
        take_read(me, msg, &store__txn_request__descriptor);
    else if (admit_space(me, msg, mvcc_txn_only_deletes(txn)))
        store_propose(me, MACHINE_TXN, blob_ref(msg->body), actor_keep_caller(me, msg));
}

// API servers look for the leader themselves; people ask whom they reach.
static bool admit_read(actor_t *me, const message_t *msg, const void *body) {
    store_t *s = actor_state(me);
    bool passes = s->phase == STORE_RUNNING && !s->stopping && !s->led;
    if (!passes || !has_prefix(msg->from, "admin/")) return admit(me, msg);
    store_pass_to_leader(me, msg, body);
    return false;
}

static void on_range(actor_t *me, const message_t *msg, const void *body) {
    if (!admit_read(me, msg, body)) return;
    why_t why;
    err_t err = mvcc_check_range(body, &why);
    if (err != ERR_OK)
        actor_fail(me, msg, err, why.text);
    else
        take_read(me, msg, &store__range_request__descriptor);
}

static void on_compact(actor_t *me, const message_t *msg, const void *body) {
    if (!admit(me, msg) || !admit_space(me, msg, true)) return;
    store_propose(me, MACHINE_COMPACT, blob_ref(msg->body), actor_keep_caller(me, msg));
}

static void on_lease_grant(actor_t *me, const message_t *msg, const void *body) {
    const Store__LeaseGrant *request = body;
    if (!admit(me, msg) || !admit_space(me, msg, false)) return;
    if (request->ttl_ms <= 0 || request->ttl_ms > MVCC_LEASE_TTL_MS_MAX || request->id < 0) {
        actor_fail(me, msg, ERR_INVALID, "a lease needs a time to live of 1 ms to 24 days");
        return;
    }
    Store__LeaseGrant chosen = *request;
    // Positive, and not the small numbers that people choose.
    if (!chosen.id) chosen.id = (int64_t)(rng_next(actor_rng(me)) >> 1 | 1ll << 32);
    store_propose(me, MACHINE_LEASE_GRANT, msg_blob(&chosen.base), actor_keep_caller(me, msg));
}

static void on_lease_revoke(actor_t *me, const message_t *msg, const void *body) {
    if (!admit(me, msg) || !admit_space(me, msg, true)) return;
    store_propose(me, MACHINE_LEASE_REVOKE, blob_ref(msg->body), actor_keep_caller(me, msg));
}

// Not an entry: times are the leader's, and a new leader gives every lease its full time again. But
// answered like a read, by who still leads: a leader that was stopped meanwhile must not promise
// time that its successor does not know of.
static void on_lease_keep_alive(actor_t *me, const message_t *msg, const void *body) {
    if (admit(me, msg)) take_read(me, msg, &store__lease_keep_alive__descriptor);
}

static void on_lease_query(actor_t *me, const message_t *msg, const void *body) {
    if (admit_read(me, msg, body)) take_read(me, msg, &store__lease_query__descriptor);
}

static int by_size(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void fill_sync_times(actor_t *me, Store__StatusReply *reply) {
    store_t *s = actor_state(me);
    size_t len = s->syncs < SYNC_SAMPLES ? (size_t)s->syncs : SYNC_SAMPLES;
    if (len == 0) return;
    uint32_t *sorted = arena_dup(actor_arena(me), s->sync_us, len * sizeof *sorted);
    qsort(sorted, len, sizeof *sorted, by_size);
    reply->sync_p50_us = sorted[len / 2];
    reply->sync_p99_us = sorted[len * 99 / 100];
}

static void on_status(actor_t *me, const message_t *msg, const void *body) {
    store_t *s = actor_state(me);
    const Store__StatusRequest *request = body;
    if (!is_empty(request->member) && !streq(request->member, s->args->member)) {
        store_pass_to_member(me, msg, body, request->member);
        return;
    }
    Store__StatusReply *reply =
        MSG_NEW(actor_arena(me), Store__StatusReply, store__status_reply__descriptor);
    const meta_t *meta = mvcc_meta(s->mvcc);
    reply->member = s->args->member;
    reply->cluster_id = meta->cluster_id;
    reply->applied_index = meta->applied_index;
    reply->revision = meta->revision;
    reply->compact_revision = meta->compacted;
    reply->log_bytes = s->log_bytes;
    reply->db_bytes = kv_disk_bytes(s->kv);
    if (s->raft) {
        reply->term = raft_term(s->raft);
        reply->commit_index = raft_commit(s->raft);
        reply->last_index = raft_trail(s->raft)->last;
        reply->leader = arena_strdup(actor_arena(me), store_member_name(s, raft_leader(s->raft)));
        store_fill_members(me, &reply->peers, &reply->n_peers);
        const raft_member_t *self = raft_config_find(raft_config(s->raft), s->id);
        reply->read_lease = raft_has_lease(s->raft, store_raft_ms(me));
        reply->role = self && !s->is_removed ? store_role_text(self->role)
                      : s->joins             ? "joining"
                                             : "removed";
    }
    fill_sync_times(me, reply);
    store_add_alarms(me, reply);
    actor_reply(me, msg, &reply->base);
}

static void on_failure(actor_t *me, const message_t *msg, const void *body) {
    store_t *s = actor_state(me);
    const Actor__Failure *failure = body;
    if (msg->tag == TAG_PEER) store_on_peer_read_failed(me, msg);
    if (msg->tag == TAG_FORWARD) store_on_forward_failed(me, msg, failure);
    if (msg->tag == TAG_REJOIN) store_on_rejoin_answer(me, (err_t)failure->err);
    if (msg->in_reply_to != s->disk_ask) return;
    s->disk_ask = 0;
    if (s->phase == STORE_WAITING_FOR_DISK && err_is_retryable((err_t)failure->err))
        actor_timer(me, TIMER_RETRY, DISK_RETRY_MS); // it starts beside us
    else
        store_die(me, (err_t)failure->err, failure->why);
}

static void on_down(actor_t *me, const message_t *msg, const void *body) {
    store_t *s = actor_state(me);
    const Actor__Down *down = body;
    if (!streq(down->address, s->disk)) {
        store_on_peer_down(me, down->address);
        return;
    }
    // What it had not synced is in doubt: begin again from what the log says.
    if (s->phase != STORE_WAITING_FOR_DISK)
        store_die(me, ERR_UNAVAILABLE, "the disk actor is gone");
}

static void on_up(actor_t *me, const message_t *msg, const void *body) {
    store_t *s = actor_state(me);
    if (s->phase == STORE_WAITING_FOR_DISK) store_ask_disk(me);
}

static void on_stream_credit(actor_t *me, const message_t *msg, const void *body) {
    // Being touched is all: settle goes on where the credit had ended.
}

// ---- settle -------------------------------------------------------------------------------------
static void settle(actor_t *me) {
    store_t *s = actor_state(me);
    if (s->phase != STORE_RUNNING || s->stopping) return;
    store_tick(me);
    store_expire_leases(me);
    store_propose_all(me);
    store_begin_reads(me);
    if (store_is_stalled(me)) return;
    store_apply(me);
    if (s->stopping || s->disk_space.stalled) return;
    store_serve_reads(me);
    store_flush_watches(me);
    if (s->stopping) return;
    store_keep_history(me, false);
    if (!s->stopping) store_keep_log_short(me);
}

static void on_timer(actor_t *me, uint64_t tag) {
    store_t *s = actor_state(me);
    if (tag == TIMER_RETRY && s->phase == STORE_WAITING_FOR_DISK) store_ask_disk(me);
    if (tag == TIMER_HISTORY && s->phase == STORE_RUNNING && !s->stopping)
        store_keep_history(me, true);
    if (tag == TIMER_SLOW_DISK) store_look_at_disk(me);
    if (tag == TIMER_SNAPSHOT && s->phase == STORE_RUNNING && !s->stopping)
        store_look_after_snapshots(me);
    if (tag == TIMER_REJOIN && !s->stopping) store_go_on_rejoining(me);
    // The others only wake settle.
}

// ---- life ---------------------------------------------------------------------------------------
static err_t open_kv(store_t *s, why_t *why) {
    if (s->args->kv) {
        s->kv = s->args->kv;
        return ERR_OK;
    }
    CLEANUP(free_charp) char *dir = str_printf("%s/db", s->args->data_dir);
    err_t err = files_make_dir(files_real(), dir, why);
    if (err != ERR_OK) return err;
    return rocks_open(dir, &s->kv, why);
}

static err_t start(actor_t *me, const void *args, why_t *why) {
    store_t *s = actor_state(me);
    s->args = args;
    s->joins = s->args->join;
    assert(!is_empty(s->args->member) && (s->args->kv || !is_empty(s->args->data_dir)));
    s->id = store_member_id(s->args->member);
    s->disk = str_printf("disk/%s", s->args->member);
    err_t err = open_kv(s, why);
    if (err == ERR_OK) err = mvcc_open(s->kv, &s->mvcc, why);
    if (err != ERR_OK) return err;
    actor_monitor(me, s->disk);
    store_ask_disk(me);
    return ERR_OK;
}

static void stop(actor_t *me) {
    store_t *s = actor_state(me);
    for (size_t i = 0; i < s->proposals.len; i++) entry_done(&s->proposals.at[i]);
    entries_done(&s->entries);
    store_forget_members(s);
    for (size_t i = 0; i < s->reads.len; i++) {
        caller_drop(&s->reads.at[i].caller);
        blob_unref(&s->reads.at[i].body);
    }
    for (size_t i = 0; i < s->watchers.len; i++) blob_unref(&s->watchers.at[i].names);
    vec_done(&s->proposals);
    vec_done(&s->held);
    vec_done(&s->reads);
    vec_done(&s->watchers);
    lessor_done(&s->lessor);
    trail_done(&s->trail);
    raft_out_done(&s->out);
    raft_destroy(&s->raft);
    mvcc_destroy(&s->mvcc);
    if (s->kv != s->args->kv) kv_destroy(&s->kv);
    free(s->disk_space.why);
    free(s->disk);
}

#define CLIENTS "apiserver admin"
#define ADMINS  "admin cli store" // "store": another member passes on what it was asked
static const handler_t handlers[] = {
    {&store__txn_request__descriptor, on_txn, CLIENTS},
    {&store__range_request__descriptor, on_range, CLIENTS " store"},
    {&store__watch_request__descriptor, store_on_watch, CLIENTS},
    {&store__watch_progress__descriptor, store_on_watch_progress, CLIENTS},
    {&store__compact_request__descriptor, on_compact, CLIENTS},
    {&store__lease_grant__descriptor, on_lease_grant, CLIENTS},
    {&store__lease_keep_alive__descriptor, on_lease_keep_alive, CLIENTS},
    {&store__lease_revoke__descriptor, on_lease_revoke, CLIENTS},
    {&store__lease_query__descriptor, on_lease_query, CLIENTS " store"},
    {&store__status_request__descriptor, on_status, CLIENTS " cli store"},
    {&store__member_list__descriptor, store_on_member_list, ADMINS},
    {&store__member_add__descriptor, store_on_member_add, ADMINS},
    {&store__member_promote__descriptor, store_on_member_promote, ADMINS},
    {&store__member_remove__descriptor, store_on_member_remove, ADMINS},
    {&store__leader_transfer__descriptor, store_on_transfer, ADMINS},
    {&store__member_reply__descriptor, store_on_forward_reply, "store"},
    {&store__range_reply__descriptor, store_on_forward_reply, "store"},
    {&store__lease_reply__descriptor, store_on_forward_reply, "store"},
    {&store__status_reply__descriptor, store_on_forward_reply, "store"},
    {&raftpb__message__descriptor, store_on_message, "store", .control = true,
     .bears_reorder = true},
    {&raftpb__append__descriptor, store_on_append, "store", .bears_reorder = true},
    {&raftpb__snapshot_chunk__descriptor, store_on_snapshot_chunk, "store", .bears_reorder = true},
    {&raftpb__snapshot_ack__descriptor, store_on_snapshot_ack, "store", .bears_reorder = true},
    {&raftpb__not_member__descriptor, store_on_not_member, "store"},
    {&raftpb__disk_state__descriptor, store_on_disk_state, "disk"},
    {&raftpb__disk_entries__descriptor, store_on_disk_entries, "disk"},
    {&raftpb__disk_synced__descriptor, store_on_disk_synced, "disk"},
    {&raftpb__disk_space__descriptor, store_on_disk_space, "disk"},
    {&raftpb__disk_failed__descriptor, store_on_disk_failed, "disk"},
    {&actor__failure__descriptor, on_failure, NULL},
    {&actor__down__descriptor, on_down, NULL},
    {&actor__up__descriptor, on_up, NULL},
    {&actor__stream_credit__descriptor, on_stream_credit, NULL},
    {&actor__stream_gone__descriptor, store_on_stream_gone, NULL},
    {0},
};

const config_field_t store_config[] = {
    {"dataDir", CONFIG_STRING, offsetof(store_args_t, data_dir), 0, 0, "folder of the database"},
    {"member", CONFIG_STRING, offsetof(store_args_t, member), 0, 0, "name of this member"},
    {"members", CONFIG_STRINGS, offsetof(store_args_t, members), 0, 0,
     "members that the cluster begins with; none: this one alone"},
    {"witness", CONFIG_STRING, offsetof(store_args_t, witness), 0, 0,
     "the member that votes and keeps entries but holds no keys"},
    {"join", CONFIG_BOOL, offsetof(store_args_t, join), 0, 0,
     "a new member of a cluster that exists: waits until it is added"},
    {"electionTimeout", CONFIG_DURATION_MS, offsetof(store_args_t, election_timeout_ms), 10,
     60 * 1000, "silence of the leader that starts an election"},
    {"heartbeat", CONFIG_DURATION_MS, offsetof(store_args_t, heartbeat_ms), 1, 10 * 1000,
     "how often a leader speaks"},
    {"leaseReads", CONFIG_BOOL, offsetof(store_args_t, lease_reads), 0, 0,
     "the leader reads without asking the others, for as long as they promise to elect nobody"},
    {"historyKeep", CONFIG_DURATION_MS, offsetof(store_args_t, history_keep_ms), 1000, INT64_MAX,
     "history older than this may be compacted"},
    {"historyKeepRevisions", CONFIG_INT, offsetof(store_args_t, history_keep_revisions), 1,
     INT64_MAX, "but never the newest so many revisions"},
    {"logCut", CONFIG_BYTES, offsetof(store_args_t, log_cut_bytes), 1 << 20, 1 << 30,
     "the log is cut each time it has grown by so much"},
    {"logForPeers", CONFIG_BYTES, offsetof(store_args_t, log_for_peers_bytes), 1 << 20, INT64_MAX,
     "so much log is kept for a member that lags; then it gets a snapshot"},
    {NULL},
};

const actor_def_t store_actor = {
    .role = "store",
    .state_size = sizeof(store_t),
    .start = start,
    .handlers = handlers,
    .settle = settle,
    .on_timer = on_timer,
    .stop = stop,
    .mailbox_max = 32 * 1024,
    .starts_unready = true,
};
