// store_inner - what the files of the store actor share; nobody outside actors/store includes it.
#pragma once
#include "actors/store/entries.h"
#include "actors/store/store_actor.h"
#include "runtime/base/map.h"
#include "runtime/base/vec.h"
#include "store/lessor.h"
#include "store/machine.h"
#include "store/raft/raft.h"
#include "troupe/raft.pb-c.h"

typedef enum {
    STORE_WAITING_FOR_DISK, // DiskRecover asked
    STORE_LOADING,          // DiskRead asked: entries behind the applied one
    STORE_RUNNING,
} store_phase_t;

// Another member, by the name that some configuration gave it. Kept also when it is removed.
typedef struct {
    raft_id_t id;
    char *name, *address; // owned; "store/NAME"
    // The leader's: what it is to get (peers.c).
    VEC(raft_message_t) queue; // APPENDs that wait for contents or for room
    raft_index_t end;          // last entry that was queued or sent
    VEC(struct {
        raft_index_t last;
        uint64_t bytes;
    })
    sent; // not yet acknowledged
    uint64_t sent_bytes;
    int64_t progress_ms;           // when something was sent or acknowledged last
    struct snapshot_out *snapshot; // on its way to it; owned; NULL: none
    uint64_t read_ask;             // contents are being read back from the log; 0: nothing
} member_t;

// A snapshot that is coming in.
typedef struct {
    uint64_t id, next; // id 0: none
    raft_index_t index;
    raft_term_t term;
} snapshot_in_t;

// An administrator's request that this member passed on to another.
typedef struct {
    uint64_t ask;
    caller_t *caller; // owned
} forward_t;

// How far a member of a new folder has come back; rejoin.c.
typedef enum { REJOIN_NO, REJOIN_OUT, REJOIN_IN, REJOIN_CATCHING_UP } rejoin_t;

// A message that promises what is not durable yet.
typedef struct {
    uint64_t after_write;
    raft_message_t message; // without entries
} held_message_t;

// A read that waits for its turn.
typedef struct {
    const ProtobufCMessageDescriptor *type;
    blob_t *body;       // owned reference
    caller_t *caller;   // owned
    uint64_t number;    // raft's; ascending
    raft_index_t index; // may be served once this is applied; 0: not known yet
} pending_read_t;

typedef struct {
    uint64_t stream; // the kit's handle
    blob_t *names;   // owned; key and end point into it
    bytes_t key, end;
    bool no_put, no_delete, want_previous;
    bool created; // the first chunk has been sent
    bool wants_progress;
    revision_t next;   // first revision not yet sent …
    uint32_t next_sub; // … from this change of it on
    int64_t progress_interval_ms, progress_due_ms;
} watcher_t;

enum { SYNC_SAMPLES = 512 };
enum {
    TIMER_RAFT = 1,
    TIMER_RETRY,
    TIMER_LEASES,
    TIMER_PROGRESS,
    TIMER_HISTORY,
    TIMER_SNAPSHOT,
    TIMER_STALLED,
    TIMER_SLOW_DISK,
    TIMER_REJOIN,
};
enum { TAG_RECOVER = 1, TAG_READ, TAG_PEER, TAG_FORWARD, TAG_REJOIN };

typedef struct {
    const store_args_t *args;
    char *disk; // address of our disk actor; owned
    store_phase_t phase;
    uint64_t disk_ask;            // what is asked of the disk while starting; 0: nothing
    bool stopping;                // actor_exit was called: nothing more is done
    Raftpb__DiskState disk_state; // runs not used after start

    kv_t *kv;
    mvcc_t *mvcc;
    raft_t *raft;
    raft_out_t out;
    raft_options_t raft_options;
    trail_t trail;       // of the log, while starting
    raft_index_t loaded; // newest entry read while starting

    raft_id_t id;
    VEC(member_t) members;    // all but ourselves
    VEC(held_message_t) held; // ascending writes
    snapshot_in_t incoming;
    VEC(forward_t) forwards;
    uint64_t snapshots; // sent so far
    bool joins;         // its first configuration is not ours to make
    rejoin_t rejoin;
    uint64_t rejoin_ask; // 0: nothing is asked
    bool is_removed;     // the others have gone on without us

    VEC(entry_t) proposals; // of this round
    uint64_t proposal_bytes;
    entries_t entries;
    VEC(pending_read_t) reads;
    uint64_t read_last;
    raft_index_t apply_to;
    bool led; // settled leadership has been announced

    lessor_t lessor;
    VEC(watcher_t) watchers;

    struct {
        int64_t at_ms;
        revision_t revision;
    } history_mark; // revision as of then
    bool prune_more;
    uint64_t flush_asked; // log bytes when the flushed index was last looked at
    uint64_t log_bytes;
    raft_index_t cut_to;

    struct {
        bool full;         // what makes the store larger is refused
        char *why;         // owned
        uint64_t log_room; // bytes the log can take without another file, as of the last answer
        bool stalled;      // what is applied waits in memory for the database to have room
        uint64_t write;    // newest one given to the disk …
        int64_t unanswered_since_ms; // … and since when one waits; 0: none
    } disk_space;

    uint32_t sync_us[SYNC_SAMPLES]; // newest samples, a ring
    uint64_t syncs;
} store_t;

static inline bool store_is_witness(const store_t *s) {
    return s->args->witness && streq(s->args->witness, s->args->member);
}

// Raft's clock: read for each event, as read leases stand on it.
static inline int64_t store_raft_ms(const actor_t *me) { return actor_boottime_ms(me); }

// What it said in an earlier life is lost to it: it must not speak as who it was.
static inline bool store_is_deaf(const store_t *s) {
    return s->rejoin == REJOIN_OUT || s->rejoin == REJOIN_IN;
}

static inline bool store_leads(const store_t *s) {
    return s->phase == STORE_RUNNING && raft_is_settled(s->raft);
}

// ---- store_actor.c ------------------------------------------------------------------------------
void store_die(actor_t *me, err_t err, const char *why);
void store_propose(actor_t *me, uint8_t kind, blob_t *data, caller_t *caller); // both taken
void store_refuse_follower(actor_t *me, const message_t *msg);                 // names the leader

// ---- consensus.c --------------------------------------------------------------------------------
void store_ask_disk(actor_t *me);
void store_on_disk_state(actor_t *me, const message_t *msg, const void *body);
void store_on_disk_entries(actor_t *me, const message_t *msg, const void *body);
void store_on_disk_synced(actor_t *me, const message_t *msg, const void *body);
void store_on_disk_failed(actor_t *me, const message_t *msg, const void *body);
void store_tick(actor_t *me);
void store_propose_all(actor_t *me);
void store_propose_config(actor_t *me, blob_t *packed, const raft_config_t *config,
                          caller_t *caller); // packed and caller taken
void store_begin_reads(actor_t *me);
void store_keep_log_short(actor_t *me);

void store_step(actor_t *me, const raft_event_t *event, const Raftpb__Message *source);
raft_event_t store_event(actor_t *me, raft_event_type_t type);

// ---- peers.c ------------------------------------------------------------------------------------
void store_on_message(actor_t *me, const message_t *msg, const void *body);
void store_on_append(actor_t *me, const message_t *msg, const void *body);
void store_on_not_member(actor_t *me, const message_t *msg, const void *body);
void store_on_peer_entries(actor_t *me, const message_t *msg, const Raftpb__DiskEntries *read);
void store_on_peer_read_failed(actor_t *me, const message_t *msg);
void store_send_messages(actor_t *me);                   // what the core's last step says
void store_release_messages(actor_t *me, uint64_t upto); // this write is durable
void store_drop_appends(store_t *s);                     // we lead no more
void store_on_peer_down(actor_t *me, const char *address);

// ---- snapshots.c --------------------------------------------------------------------------------
void store_begin_snapshot(actor_t *me, raft_id_t to);
void store_drop_snapshots(store_t *s);
void store_drop_snapshot(member_t *to);
raft_index_t store_snapshot_index(const member_t *to);
void store_snapshot_progress(const member_t *to, uint64_t *ret_sent, uint64_t *ret_total);
void store_look_after_snapshots(actor_t *me); // its timer
uint64_t store_installed_index(actor_t *me);  // of the snapshot we last got; 0: none
void store_on_snapshot_chunk(actor_t *me, const message_t *msg, const void *body);
void store_on_snapshot_ack(actor_t *me, const message_t *msg, const void *body);

// ---- members.c ----------------------------------------------------------------------------------
member_t *store_member(store_t *s, raft_id_t id); // NULL: unknown, or ourselves
const char *store_member_name(store_t *s, raft_id_t id);
void store_know_member(actor_t *me, const char *name);
void store_forget_members(store_t *s);
// The configuration of a packed entry; its names are known from then on.
err_t store_learn_config(actor_t *me, bytes_t packed, raft_config_t *ret_config,
                         why_t *why) MUST_USE;
err_t store_first_config(actor_t *me, raft_config_t *ret_config, why_t *why) MUST_USE;
Store__MemberReply *store_member_reply(actor_t *me); // the arena's
raft_id_t store_best_successor(actor_t *me);
const char *store_role_text(raft_member_role_t role);
void store_fill_members(actor_t *me, Store__PeerStatus ***ret_members, size_t *ret_len);
void store_on_member_list(actor_t *me, const message_t *msg, const void *body);
void store_on_member_add(actor_t *me, const message_t *msg, const void *body);
void store_on_member_promote(actor_t *me, const message_t *msg, const void *body);
void store_on_member_remove(actor_t *me, const message_t *msg, const void *body);
// An administrator's request, to who leads or to whom it names; the answer goes back to who asked.
void store_pass_to_leader(actor_t *me, const message_t *msg, const ProtobufCMessage *body);
void store_pass_to_member(actor_t *me, const message_t *msg, const ProtobufCMessage *body,
                          const char *name);
void store_on_forward_reply(actor_t *me, const message_t *msg, const void *body);
void store_on_forward_failed(actor_t *me, const message_t *msg, const Actor__Failure *failure);
void store_on_transfer(actor_t *me, const message_t *msg, const void *body);

// ---- rejoin.c -----------------------------------------------------------------------------------
void store_begin_rejoin(actor_t *me, bool is_empty); // the log and the state machine are
void store_go_on_rejoining(actor_t *me);             // TIMER_REJOIN
void store_on_rejoin_answer(actor_t *me, err_t err);

// ---- apply.c ------------------------------------------------------------------------------------
void store_apply(actor_t *me);
void store_serve_reads(actor_t *me);
void store_expire_leases(actor_t *me);
void store_keep_history(actor_t *me, bool by_timer);

// ---- space.c ------------------------------------------------------------------------------------
void store_on_disk_space(actor_t *me, const message_t *msg, const void *body);
// May this grow the store, or shrink it, now? False: the disk is full, `why` says so.
bool store_has_space(actor_t *me, bool shrinks, why_t *why);
// An error of the state machine's database. True: it had no room; it is tried again by itself.
bool store_stalls(actor_t *me, err_t err, const char *why);
bool store_is_stalled(actor_t *me); // tries, when it is
void store_note_write(actor_t *me, uint64_t write);
void store_note_synced(actor_t *me, uint64_t write, uint64_t log_room);
void store_look_at_disk(actor_t *me); // TIMER_SLOW_DISK
void store_add_alarms(actor_t *me, Store__StatusReply *reply);

// ---- watch.c ------------------------------------------------------------------------------------
void store_on_watch(actor_t *me, const message_t *msg, const void *body);
void store_on_watch_progress(actor_t *me, const message_t *msg, const void *body);
void store_on_stream_gone(actor_t *me, const message_t *msg, const void *body);
void store_flush_watches(actor_t *me);
void store_end_watches(actor_t *me, err_t err, const char *why);
