// raft - consensus as a pure function: raft_step(state, event) -> what to do.
//
// No clock, no dice, no socket, no disk: time and dice come in the event, everything to be done
// goes out as data. The core knows the trail of the log (indexes and terms), never the contents.
// After Ongaro's dissertation (2014): §3 elections, replication, commit rule; §4.1 membership, one
// change at a time; §4.2.3 and §9.6 pre-vote with check-quorum; §3.10 leader transfer; §5
// snapshots; §6.4 ReadIndex and leases. docs/store.md argues for the lease and for the witness.
//
// What the shell promises, for each raft_out_t, in the order of events:
//   1. Writes reach the disk in the order of their numbers: hard state, then what goes (begin_after
//      or truncate_from), then entries, as one unit. When write n and all before it are durable:
//      RAFT_EVENT_SYNCED{n}. A write that failed is never retried: the member stops, and starts
//      again from its disk.
//   2. A message with after_write == n leaves only when write n is durable; 0: at once, before
//      the write too (a leader's appends overlap with its own sync, dissertation §10.2.1).
//      Messages may be lost, repeated, delayed and overtake each other.
//   3. Entries up to apply_to may be applied; apply_to never goes back.
//   4. reads: an answer per RAFT_EVENT_READ, sooner or later, unless the member stops.
//   5. snapshots: each peer named there gets a snapshot streamed, beside the core. Until the shell
//      says RAFT_EVENT_SNAPSHOT_ENDED nothing else but heartbeats is sent to it, and the log
//      behind the snapshot should be kept, else it soon needs another. The receiving shell asks
//      raft_wants_snapshot when the stream is complete; if so it makes the state machine that of
//      the snapshot, durably, and then says RAFT_EVENT_INSTALLED, without another step between
//      question and event. Term and vote are never part of a snapshot: a member could vote twice.
// An event's now_ms must be read for that very event (CLOCK_BOOTTIME): lease_reads stand on it.
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
    RAFT_DISK_STUCK_DEFAULT_MS = 1000,
    RAFT_DRIFT_DEFAULT_PERCENT = 10,
    RAFT_PROMOTE_LAG_MAX = 1024, // entries that a learner may lack when it is promoted
    RAFT_WITNESS_ENTRIES_DEFAULT = 1 << 20,
};

// ---- members ------------------------------------------------------------------------------------
typedef enum {
    RAFT_MEMBER_VOTER,
    RAFT_MEMBER_LEARNER, // gets entries, but counts in no quorum
    RAFT_MEMBER_WITNESS, // votes and keeps entries, but applies nothing; at most one
} raft_member_role_t;
typedef struct {
    raft_id_t id;
    raft_member_role_t role;
} raft_member_t;
typedef struct {
    raft_member_t members[RAFT_MEMBERS_MAX];
    size_t len;
} raft_config_t;
const raft_member_t *raft_config_find(const raft_config_t *c, raft_id_t id);
size_t raft_config_voters(const raft_config_t *c);                // with the witness
const raft_member_t *raft_config_witness(const raft_config_t *c); // NULL: none
// Is it a configuration at all: 1 to 9 members, none twice, a voter, at most one witness?
bool raft_config_is_valid(const raft_config_t *c);
// May `to` follow `from`: valid, at most one voter of difference, and nobody both voter and
// witness?
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
    RAFT_APPEND,       // entries (prev_index, prev_index + entries_len]
    RAFT_APPEND_REPLY, // ok: match_index, full; else hint_index and hint_term
    RAFT_HEARTBEAT,    // commit (never past what the follower is known to have), round, everywhere
    RAFT_HEARTBEAT_REPLY, // round, full, promise; last_index (agrees to there), match_index (and is
                          // durable)
    RAFT_TIMEOUT_NOW,     // leader transfer: stand for election at once
} raft_message_type_t;

typedef struct {
    raft_message_type_t type;
    raft_id_t from, to;
    raft_term_t term;
    bool ok;
    bool transfer;           // VOTE: the leader itself wants this election
    raft_index_t last_index; // VOTE, PRE_VOTE, HEARTBEAT_REPLY
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
    raft_index_t everywhere; // every voter but the witness has its log durable up to here
    bool full;               // the witness takes no more
    int64_t promise_ms;      // HEARTBEAT_REPLY: no vote for another for so long
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
    RAFT_EVENT_INSTALLED,
    RAFT_EVENT_SNAPSHOT_ENDED,
    RAFT_EVENT_SUSPECT,
} raft_event_type_t;

// The state machine is that of a snapshot now: all that was committed up to index.
typedef struct {
    raft_index_t index;
    raft_term_t term;            // of the entry at index
    const raft_config_t *config; // in force at index; borrowed for the step
    raft_index_t config_index;   // its entry; <= index
} raft_installed_t;

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
        uint64_t read;              // READ: the shell's number for it
        raft_id_t transfer_to;      // TRANSFER
        raft_index_t cut_to;        // CUT: the log begins after this index now; <= raft_cut_limit
        raft_installed_t installed; // INSTALLED; raft_wants_snapshot said yes
        raft_id_t suspect;          // SUSPECT: its connection broke; not a proof of anything
        raft_id_t snapshot_to; // SNAPSHOT_ENDED: arrived, failed or given up, the peer will tell
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
    raft_index_t begin_after;   // 0: no; else drop the whole log, it begins after this entry …
    raft_term_t begin_term;     // … of this term
    raft_index_t append_first;  // index of the first new entry
    uint64_t append_len;        // 0: none
    uint64_t append_from;       // position of the first in the event's entries
    raft_term_t append_term;    // PROPOSE and no-op: term of all; received: see the event
    bool append_noop;           // the one new entry is the leader's own RAFT_ENTRY_NOOP
    // 2. to the peers
    VEC(raft_message_t) messages;
    // 3. to the state machine
    raft_index_t apply_to; // a witness: always 0
    // 4. to the readers
    VEC(raft_read_done_t) reads;
    // 5. for the shell
    err_t refused;            // PROPOSE, TRANSFER: nothing was done …
    const char *why;          // … and this is why; static
    VEC(raft_id_t) snapshots; // these peers need entries that are cut away: stream to each
    bool role_changed;        // role, term or leader differ from before the step
    bool config_changed;      // another configuration is in force than before the step
} raft_out_t;
void raft_out_done(raft_out_t *out);

// ---- the core -----------------------------------------------------------------------------------
typedef struct raft raft_t;
typedef enum { RAFT_FOLLOWER, RAFT_PRE_CANDIDATE, RAFT_CANDIDATE, RAFT_LEADER } raft_role_t;

// Planted bugs, for tests only: a checker that cannot see them checks nothing.
typedef enum {
    RAFT_CANARY_NONE,
    RAFT_CANARY_OLD_TERM_COMMIT,      // counts copies of an older term's entry (figure 8)
    RAFT_CANARY_LEARNER_COUNTS,       // a learner's acknowledgement counts
    RAFT_CANARY_TWO_VOTERS,           // any change of members at any time
    RAFT_CANARY_READ_WITHOUT_ROUND,   // a leader answers reads on its own word
    RAFT_CANARY_VOTE_DURING_LEASE,    // votes are given whatever was promised to a leader
    RAFT_CANARY_LEASE_AFTER_TRANSFER, // a leader keeps its lease while it hands over
} raft_canary_t;

typedef struct {
    raft_id_t id;
    int64_t election_timeout_ms; // 0: the default; an election starts after 1 to 2 times this
    int64_t heartbeat_ms;        // 0: the default
    int64_t disk_stuck_ms;       // 0: the default; a leader whose write takes longer hands over
    // Reads without a round of heartbeats, while a majority has promised it. Who promises does not
    // vote for so long after its start: without lease_reads a member promises nothing. Between two
    // members' clocks the faster one gains at most drift_percent (0: the default).
    bool lease_reads;
    int64_t drift_percent;
    bool witness;                 // this member has no state machine; its configurations say so too
    uint64_t witness_entries_max; // 0: the default; it takes no more than so many
    raft_canary_t canary;
    // What the disk said:
    raft_hard_t hard;
    const trail_t *trail;        // copied; everything in it is durable
    raft_config_t config;        // the newest in the log, or the one to begin with; none: to join
    raft_index_t config_index;   // its entry; 0: to begin with
    raft_config_t config_before; // the one before it, in force again should its entry be truncated
    raft_index_t applied;        // known to be committed; in the trail. A witness: the trail's base
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
raft_index_t raft_config_index(const raft_t *raft);
// The log may be cut up to here, and by a full member up to what its state machine has durably.
raft_index_t raft_cut_limit(const raft_t *raft);
// Would a snapshot up to this entry bring the member forward? One of a term that the member has not
// seen is nobody's: false.
bool raft_wants_snapshot(const raft_t *raft, raft_index_t index, raft_term_t term);
// May reads be answered without a round now (lease_reads)? For status and tests.
bool raft_has_lease(const raft_t *raft, int64_t now_ms);
raft_id_t raft_transferee(const raft_t *raft); // to whom leadership is being handed over; 0: nobody
// What a leader knows of a follower; false: it knows nothing of it.
typedef enum { RAFT_PEER_PROBE, RAFT_PEER_STREAM, RAFT_PEER_SNAPSHOT } raft_peer_state_t;
typedef struct {
    raft_peer_state_t state;
    raft_index_t match, next;
    int64_t heard_ms;
    bool full; // a witness that keeps what some member lacks, and takes no more: an alarm
} raft_peer_view_t;
bool raft_peer(const raft_t *raft, raft_id_t id, raft_peer_view_t *ret_view);
// A witness: does it refuse entries because it keeps too many already?
bool raft_is_full(const raft_t *raft);
// Has a leader committed an entry of its own term, so that its commit index is the cluster's?
bool raft_is_settled(const raft_t *raft);

void raft_print(const raft_t *raft, text_t *out);                    // one line
void raft_message_print(const raft_message_t *message, text_t *out); // one line
void raft_check(const raft_t *raft);                                 // asserts the invariants
