// store_inner - what the files of the store actor share; nobody outside actors/store includes it.
#pragma once
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

// Something to be put into the log, and an entry of it that is not applied yet.
typedef struct {
    raft_index_t index;
    raft_term_t term;
    uint8_t kind;     // machine_kind_t
    blob_t *data;     // owned reference; NULL: none
    caller_t *caller; // owned; NULL: nobody waits
} entry_t;

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
enum { TIMER_RAFT = 1, TIMER_RETRY, TIMER_LEASES, TIMER_PROGRESS, TIMER_HISTORY };
enum { TAG_RECOVER = 1, TAG_READ };

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
    trail_t trail; // of the log, while starting

    VEC(entry_t) proposals; // of this round
    VEC(entry_t) entries;   // (applied, last], from entries_head on
    size_t entries_head;
    uint64_t proposal_bytes; // in both
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

    uint32_t sync_us[SYNC_SAMPLES]; // newest samples, a ring
    uint64_t syncs;
} store_t;

static inline bool store_leads(const store_t *s) {
    return s->phase == STORE_RUNNING && raft_is_settled(s->raft);
}

// ---- store_actor.c ------------------------------------------------------------------------------
void store_die(actor_t *me, err_t err, const char *why);
void store_propose(actor_t *me, uint8_t kind, blob_t *data, caller_t *caller); // both taken

// ---- consensus.c --------------------------------------------------------------------------------
void store_ask_disk(actor_t *me);
void store_on_disk_state(actor_t *me, const message_t *msg, const void *body);
void store_on_disk_entries(actor_t *me, const message_t *msg, const void *body);
void store_on_disk_synced(actor_t *me, const message_t *msg, const void *body);
void store_on_disk_failed(actor_t *me, const message_t *msg, const void *body);
void store_tick(actor_t *me);
void store_propose_all(actor_t *me);
void store_begin_reads(actor_t *me);
void store_keep_log_short(actor_t *me);

// ---- apply.c ------------------------------------------------------------------------------------
void store_apply(actor_t *me);
void store_serve_reads(actor_t *me);
void store_expire_leases(actor_t *me);
void store_keep_history(actor_t *me, bool by_timer);

// ---- watch.c ------------------------------------------------------------------------------------
void store_on_watch(actor_t *me, const message_t *msg, const void *body);
void store_on_watch_progress(actor_t *me, const message_t *msg, const void *body);
void store_on_stream_gone(actor_t *me, const message_t *msg, const void *body);
void store_flush_watches(actor_t *me);
void store_end_watches(actor_t *me, err_t err, const char *why);
