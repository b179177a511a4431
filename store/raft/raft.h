// raft - consensus as a pure function: raft_step(state, event) -> what to do.
//
// No clock, no dice, no socket, no disk: time and dice come in the event, everything to be done
// goes out as data. The core knows the trail of the log (indexes and terms), never the contents.
// After Ongaro's dissertation (2014): §3 elections, replication, commit rule; §4.1 membership, one
// change at a time; §4.2.3 and §9.6 pre-vote with check-quorum; §3.10 leader transfer; §6.4
// ReadIndex.
//
// What the shell promises, for each raft_out_t, in the order of events:
//   1. Writes reach the disk in the order of their numbers: hard state, then truncation, then
//      entries, as one unit. When write n and all before it are durable: RAFT_EVENT_SYNCED{n}.
//      A write that failed is never retried: the member stops, and starts again from its disk.
//   2. A message with after_write == n leaves only when write n is durable; 0: at once, before
//      the write too (a leader's appends overlap with its own sync, dissertation §10.2.1).
//      Messages may be lost, repeated, delayed and overtake each other.
//   3. Entries up to apply_to may be applied; apply_to never goes back.
//   4. reads: an answer per RAFT_EVENT_READ, sooner or later, unless the member stops.
// The shell calls raft_step with RAFT_EVENT_TICK at raft_deadline_ms, or soon after.
#pragma once
#include "runtime/base/text.h"
#include "runtime/base/why.h"
#include "store/raft/trail.h"

typedef uint64_t raft_id_t; // of a member; 0: nobody

enum {
    RAFT_MEMBERS_MAX = 9,
    RAFT_APPEND_ENTRIES_MAX = 1024,       // in one message; the shell may cut it further by bytes
    RAFT_UNACKED_ENTRIES_MAX = 16 * 1024, // sent to one follower ahead of its answers
    RAFT_ELECTION_TIMEOUT_DEFAULT_MS = 250,
    RAFT_HEARTBEAT_DEFAULT_MS = 50,
};

// ---- members ------------------------------------------------------------------------------------
typedef enum { RAFT_MEMBER_VOTER, RAFT_MEMBER_LEARNER } raft_member_role_t;
typedef struct {
    raft_id_t id;
    raft_member_role_t role; // a learner gets entries, but counts in no quorum
} raft_member_t;
typedef struct {
    raft_member_t members[RAFT_MEMBERS_MAX];
    size_t len;
} raft_config_t;
const raft_member_t *raft_config_find(const raft_config_t *c, raft_id_t id);
size_t raft_config_voters(const raft_config_t *c);
// May `to` follow `from`: non-empty, no id twice, and at most one voter of difference?
bool raft_config_can_follow(const raft_config_t *from, const raft_config_t *to);

// ---- what is durable ----------------------------------------------------------------------------
typedef struct {
    raft_term_t term;
    raft_id_t vote;
} raft_hard_t;

typedef enum { RAFT_ENTRY_NORMAL, RAFT_ENTRY_NOOP, RAFT_ENTRY_CONFIG } raft_entry_kind_t;
// An entry as the core sees it. The contents stay with the shell, under the same position in the
// event's array.
typedef struct {
    raft_term_t term; // PROPOSE: ignored
    raft_entry_kind_t kind;
    const raft_config_t *config; // RAFT_ENTRY_CONFIG; borrowed for the step
} raft_entry_t;

// ---- messages -----------------------------------------------------------------------------------
typedef enum {
    RAFT_PRE_VOTE,       // term: the one it would start
    RAFT_PRE_VOTE_REPLY, // ok; granted ones bear the asked term
    RAFT_VOTE,
    RAFT_VOTE_REPLY,
    RAFT_APPEND,          // entries (prev_index, prev_index + entries_len]
    RAFT_APPEND_REPLY,    // ok: match_index; else hint_index and hint_term
    RAFT_HEARTBEAT,       // commit (never past what the follower is known to have), round
    RAFT_HEARTBEAT_REPLY, // round
    RAFT_TIMEOUT_NOW,     // leader transfer: stand for election at once
} raft_message_type_t;

typedef struct {
    raft_message_type_t type;
    raft_id_t from, to;
    raft_term_t term;
    bool ok;
    bool transfer;           // VOTE: the leader itself wants this election
    raft_index_t last_index; // VOTE, PRE_VOTE
    raft_term_t last_term;
    raft_index_t prev_index; // APPEND; APPEND_REPLY: the append's
    raft_term_t prev_term;
    uint64_t entries_len;
    const raft_entry_t *entries; // APPEND, in an event only; borrowed
    raft_index_t commit;
    raft_index_t match_index;
    raft_index_t hint_index; // largest index at which the logs may agree …
    raft_term_t hint_term;   // … and the term there
    uint64_t round;          // of heartbeats, for reads
    uint64_t after_write;    // out only; see 2 above
} raft_message_t;

// ---- events -------------------------------------------------------------------------------------
typedef enum {
    RAFT_EVENT_TICK,
    RAFT_EVENT_MESSAGE,
    RAFT_EVENT_SYNCED,
    RAFT_EVENT_PROPOSE,
    RAFT_EVENT_READ,
    RAFT_EVENT_TRANSFER,
    RAFT_EVENT_CUT,
} raft_event_type_t;

typedef struct {
    raft_event_type_t type;
    int64_t now_ms; // monotonic, never going back
    uint64_t dice;  // 64 fresh random bits
    union {
        const raft_message_t *message; // MESSAGE
        uint64_t write;                // SYNCED: this write and all before it
        struct {                       // PROPOSE: all of them, in this order, or none
            const raft_entry_t *entries;
            uint64_t entries_len;
        };
        uint64_t read;         // READ: the shell's number for it
        raft_id_t transfer_to; // TRANSFER
        raft_index_t cut_to;   // CUT: the log now begins after this applied index
    };
} raft_event_t;

typedef struct {
    uint64_t read;
    raft_index_t index; // may be served once this is applied
    bool ok;            // false: not the leader (any more)
} raft_read_done_t;

// Memory is kept from step to step; raft_out_done frees it. Contents hold until the next step.
typedef struct {
    // 1. to the disk
    uint64_t write; // number of this write; 0: nothing to write
    bool has_hard;
    raft_hard_t hard;
    raft_index_t truncate_from; // 0: none; else drop from here on first
    raft_index_t append_first;  // index of the first new entry
    uint64_t append_len;        // 0: none
    uint64_t append_from;       // position of the first in the event's entries
    raft_term_t append_term;    // PROPOSE and no-op: term of all; received: see the event
    bool append_noop;           // the one new entry is the leader's own RAFT_ENTRY_NOOP
    // 2. to the peers
    VEC(raft_message_t) messages;
    // 3. to the state machine
    raft_index_t apply_to;
    // 4. to the readers
    VEC(raft_read_done_t) reads;
    // 5. for the shell
    err_t refused;          // PROPOSE, TRANSFER: nothing was done, and this is why
    raft_id_t snapshot_for; // this peer needs entries that are cut away; 0: nobody
    bool role_changed;      // role, term or leader differ from before the step
} raft_out_t;
void raft_out_done(raft_out_t *out);

// ---- the core -----------------------------------------------------------------------------------
typedef struct raft raft_t;
typedef enum { RAFT_FOLLOWER, RAFT_PRE_CANDIDATE, RAFT_CANDIDATE, RAFT_LEADER } raft_role_t;

typedef struct {
    raft_id_t id;
    int64_t election_timeout_ms; // 0: the default; an election starts after 1 to 2 times this
    int64_t heartbeat_ms;        // 0: the default
    // What the disk said:
    raft_hard_t hard;
    const trail_t *trail;        // copied; everything in it is durable
    raft_config_t config;        // the newest in the log, or the one to begin with
    raft_index_t config_index;   // its entry; 0: to begin with
    raft_config_t config_before; // the one before it, in force again should its entry be truncated
    raft_index_t applied;        // <= trail's last: is known to be committed
} raft_options_t;

raft_t *raft_new(const raft_options_t *options, int64_t now_ms, uint64_t dice) MUST_USE;
void raft_destroy(raft_t **raft);
void raft_step(raft_t *raft, const raft_event_t *event, raft_out_t *out);

// ---- questions ----------------------------------------------------------------------------------
int64_t raft_deadline_ms(const raft_t *raft); // when the next TICK is due
raft_role_t raft_role(const raft_t *raft);
raft_term_t raft_term(const raft_t *raft);
raft_id_t raft_leader(const raft_t *raft); // 0: unknown
raft_index_t raft_commit(const raft_t *raft);
raft_index_t raft_apply_limit(const raft_t *raft); // min(commit, durable here)
const trail_t *raft_trail(const raft_t *raft);
const raft_config_t *raft_config(const raft_t *raft);
// What a leader knows of a follower; false: it knows nothing of it.
typedef struct {
    raft_index_t match, next;
    int64_t heard_ms;
} raft_peer_view_t;
bool raft_peer(const raft_t *raft, raft_id_t id, raft_peer_view_t *ret_view);
// Has a leader committed an entry of its own term, so that its commit index is the cluster's?
bool raft_is_settled(const raft_t *raft);

void raft_print(const raft_t *raft, text_t *out);                    // one line
void raft_message_print(const raft_message_t *message, text_t *out); // one line
void raft_check(const raft_t *raft);                                 // asserts the invariants
