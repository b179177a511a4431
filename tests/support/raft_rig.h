// raft_rig - Raft cores on a table: a model disk, a model state machine and a shell for each, and
// one net between them. Scripts (raft_script.h) and dice (raft_sim.h) move them.
//
// After every step the run is held to Raft's promises (dissertation, figure 3.2): election safety,
// log matching, leader completeness, state machine safety; and to the store's: what is committed is
// on the disks of a majority, nothing is applied before it is durable, no leader has a lease when
// another commits, a linearizable read sees every entry that was committed before it began.
#pragma once
#include "runtime/base/text.h"
#include "store/raft/raft.h"

enum { RIG_IDS = 20, RIG_TERMS_MAX = 1 << 14 };

typedef struct {
    raft_term_t term;
    raft_entry_kind_t kind;
    uint64_t value;
    raft_config_t config;
} slot_t;
typedef VEC(slot_t) slots_t; // entry i at [i - 1]; below the base of the log: nothing

typedef struct {
    raft_term_t term, prev_term;
    uint64_t value;
} seen_entry_t;
typedef VEC(seen_entry_t) seen_entries_t;

// What a state machine is: how far it has come, and what it is made of.
typedef struct {
    raft_index_t index;
    raft_term_t term;
    uint64_t hash; // of all values applied
    raft_config_t config;
    raft_index_t config_index;
} machine_state_t;

typedef struct {
    uint64_t number;
    bool has_hard;
    raft_hard_t hard;
    raft_index_t truncate_from, begin_after;
    raft_term_t begin_term;
    slots_t entries;
    int64_t due_ms; // raft_sim's
} pending_write_t;

typedef struct {
    raft_message_t m;
    slots_t entries;
    int64_t due_ms; // raft_sim's
} letter_t;

typedef struct {
    raft_id_t from, to;
    machine_state_t state;
    raft_hard_t hard;      // of the sender; nobody should look at it
    uint64_t life_of_from; // only that life of the sender hears how it ended
    int64_t due_ms;        // raft_sim's
} stream_t;

// Planted bugs of the shell; those of the core are raft_canary_t.
typedef enum {
    SHELL_IS_SOUND,
    SHELL_VOTE_NOT_SYNCED,        // a vote is told before it is durable
    SHELL_APPEND_NOT_SYNCED,      // so is an entry
    SHELL_SNAPSHOT_HAS_TERM,      // term and vote are taken from a snapshot
    SHELL_APPLIES_BEYOND_DURABLE, // what is committed is applied, whether it is on disk or not
} shell_canary_t;

typedef struct {
    bool exists, alive, cut, disk_held, witness;
    int64_t clock_ppm, clock_offset_ms; // its clock against the true one
    bool promises_nothing;              // lease_reads is off, whatever the others have
    int64_t paused_until_ms;            // raft_sim's
    int64_t restart_ms;                 // raft_sim's
    uint64_t life;
    raft_hard_t promised; // the newest hard state that was ever durable
    raft_t *raft;
    raft_out_t out;
    slots_t log; // as the core sees it
    machine_state_t live;
    raft_index_t commit_seen;
    VEC(pending_write_t) writes;
    VEC(letter_t) waiting; // for a write
    // What a crash leaves:
    raft_hard_t hard;
    slots_t disk;
    raft_index_t base; // cut away up to here
    raft_term_t base_term;
    machine_state_t flushed;
} rig_member_t;

typedef struct {
    uint64_t read;
    raft_index_t at_least;
} open_read_t;

typedef struct rig rig_t;
struct rig {
    int64_t now_ms;
    uint64_t values, read_last, steps;
    uint64_t hash; // of everything that was said: a run's fingerprint
    rig_member_t members[RIG_IDS];
    raft_options_t options; // for all: time-outs, lease, canary
    shell_canary_t canary;
    VEC(letter_t) net;
    VEC(stream_t) streams;
    VEC(open_read_t) reads;
    size_t reads_done;
    slots_t committed;             // what the cluster has promised, by index …
    VEC(raft_term_t) committed_in; // … by the leader of this term …
    VEC(uint64_t) hashes;          // … and what a state machine is made of then
    VEC(seen_entries_t) seen;      // by index: every entry that was ever in a log
    raft_id_t leader_of[RIG_TERMS_MAX];
    text_t trace; // unless quiet
    text_t fault;
    bool quiet;
    uint64_t (*dice)(rig_t *);         // NULL: a counter
    void (*post)(rig_t *, letter_t);   // taken; NULL: into the net
    void (*wrote)(rig_t *, raft_id_t); // a write was begun: its newest
    uint64_t dice_count;
};

void rig_init(rig_t *rig);
void rig_done(rig_t *rig);
void rig_say(rig_t *rig, const char *fmt, ...) PRINTF_LIKE(2, 3);
void rig_fault(rig_t *rig, const char *fmt, ...) PRINTF_LIKE(2, 3); // the first one stays

// A member with an empty disk. `config`: what it begins with; NULL: it is to join.
void rig_add(rig_t *rig, raft_id_t id, const raft_config_t *config, bool witness);
void rig_start(rig_t *rig, raft_id_t id);
// Power is cut: of the writes that are not synced the first `whole` are on the disk, and of the
// next one the first `records` records.
void rig_crash(rig_t *rig, raft_id_t id, size_t whole, size_t records);
int64_t rig_clock_ms(const rig_t *rig, raft_id_t id);

void rig_tick(rig_t *rig, raft_id_t id);
bool rig_is_due(const rig_t *rig, raft_id_t id);
void rig_sync(rig_t *rig, raft_id_t id);                // the oldest write
void rig_hand_over(rig_t *rig, const letter_t *letter); // or lose it
void rig_propose(rig_t *rig, raft_id_t id, size_t count, const raft_config_t *config);
void rig_read(rig_t *rig, raft_id_t id);
void rig_transfer(rig_t *rig, raft_id_t id, raft_id_t to);
void rig_flush(rig_t *rig, raft_id_t id); // the state machine, to the disk
void rig_cut(rig_t *rig, raft_id_t id, raft_index_t index);
void rig_end_stream(rig_t *rig, const stream_t *stream, bool arrived);
void rig_free_letter(letter_t *letter);
slots_t rig_copy_slots(const slot_t *at, size_t len);
