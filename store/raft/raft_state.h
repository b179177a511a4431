// raft_state - what the files of the core share; nobody outside store/raft includes it.
#pragma once
#include "store/raft/raft.h"

// What a leader keeps per other member.
//
//     PROBE ──ok──► STREAM ──refused, or something sent does not arrive──► PROBE
//       │ next ≤ base: the entries are gone
//       ▼
//     SNAPSHOT ──match ≥ base, or the shell says it ended──► STREAM, PROBE
typedef struct {
    raft_id_t id;
    raft_peer_state_t state;
    raft_index_t match;       // known to be durable there
    raft_index_t next;        // first entry not yet sent
    raft_index_t received;    // its log agrees up to there, synced or not, as of the last beat
    raft_index_t had_at_beat; // match and received when the last heartbeat was answered
    bool waiting;             // PROBE: one append is out
    bool full;                // the witness takes no more
    int64_t heard_ms;         // last answer of this term
    uint64_t round;           // newest heartbeat round answered …
    int64_t lease_until_ms;   // … and until when it votes for nobody else; 0: it promised nothing
    bool granted, answered;   // in this election
} peer_t;

typedef struct {
    raft_index_t index; // its entry
    raft_config_t config;
} config_at_t;

typedef struct {
    uint64_t number;
    raft_index_t last; // of the log after it; clipped when a later write truncates
    int64_t since_ms;
} write_t;

typedef struct {
    uint64_t read;
    raft_index_t index;
    uint64_t round; // heartbeat round that proves leadership; 0: not begun
} read_t;

enum { ROUNDS_KEPT = 64 }; // of heartbeats whose sending time is known

struct raft {
    raft_id_t id;
    int64_t election_timeout_ms, heartbeat_ms, disk_stuck_ms;
    bool lease_reads;
    int64_t drift_percent;
    bool witness;
    uint64_t witness_entries_max;
    raft_canary_t canary;

    raft_role_t role;
    raft_hard_t hard;
    raft_id_t leader;
    trail_t trail;
    raft_index_t commit;
    raft_index_t durable;     // our own log is synced up to here
    raft_index_t agreed;      // follower: agrees with the log of this term's leader up to here
    raft_index_t everywhere;  // every full voter's log is durable up to here
    VEC(config_at_t) configs; // in the log, oldest first; the last one is in force

    uint64_t write_last; // number of the newest write handed out
    uint64_t write_synced;
    uint64_t write_hard; // newest write with a hard state in it
    VEC(write_t) writes; // not yet synced

    int64_t election_deadline_ms;  // follower, candidate: election; leader: check of the quorum
    int64_t heartbeat_deadline_ms; // leader
    int64_t leader_heard_ms;       // follower: when the leader spoke last
    bool has_heard_leader;
    int64_t bound_until_ms; // follower: our copy of a leader's lease; no vote before

    VEC(peer_t) peers; // everybody else in the configuration in force
    VEC(read_t) reads;
    uint64_t round_last;                // newest heartbeat round
    int64_t round_sent_ms[ROUNDS_KEPT]; // by number modulo
    bool lease_given_up;                // leader: somebody was asked to stand in this term
    bool witness_counts;                // leader: some full voter is away
    int64_t commit_moved_ms;            // leader: last progress, or begin of waiting for it
    raft_id_t transfer_to;
    int64_t transfer_deadline_ms;
    int64_t hand_over_after_ms; // leader: not before this does it look for an heir again

    // Of the step under way:
    int64_t now_ms;
    uint64_t dice;
    bool hard_changed;
    raft_out_t *out;
};

// ---- raft.c -------------------------------------------------------------------------------------
raft_message_t *raft_send(raft_t *r, raft_message_type_t type, raft_id_t to); // zeroed but for head
void raft_log_append(raft_t *r, raft_term_t term, uint64_t count);
void raft_log_truncate(raft_t *r, raft_index_t from);
void raft_refuse(raft_t *r, err_t err, const char *why); // what the event asks for

// ---- members.c ----------------------------------------------------------------------------------
peer_t *raft_find_peer(raft_t *r, raft_id_t id);
const raft_config_t *raft_config_now(const raft_t *r);
bool raft_is_voter(const raft_t *r, raft_id_t id); // the witness too
bool raft_is_full_voter(const raft_t *r, raft_id_t id);
size_t raft_quorum(const raft_t *r);
void raft_configs_push(raft_t *r, raft_index_t index, const raft_config_t *config);
void raft_configs_truncate(raft_t *r, raft_index_t from);
void raft_configs_begin(raft_t *r, raft_index_t index, const raft_config_t *config);
bool raft_may_change_members(raft_t *r, const raft_config_t *to); // else it has refused

// ---- election.c ---------------------------------------------------------------------------------
void raft_reset_election(raft_t *r);
void raft_become_follower(raft_t *r, raft_term_t term, raft_id_t leader);
void raft_campaign(raft_t *r, bool transfer); // skips the pre-vote on a leader's word
void raft_pre_campaign(raft_t *r);
void raft_count_votes(raft_t *r);
void raft_suspect(raft_t *r, raft_id_t leader);
bool raft_hears_leader(const raft_t *r); // within the shortest election timeout
void raft_recv_vote(raft_t *r, const raft_message_t *m);
void raft_recv_pre_vote(raft_t *r, const raft_message_t *m);
void raft_recv_vote_reply(raft_t *r, const raft_message_t *m);
void raft_recv_timeout_now(raft_t *r);

// ---- replication.c: the leader's side -----------------------------------------------------------
void raft_lead(raft_t *r);
void raft_propose(raft_t *r, const raft_entry_t *entries, uint64_t len);
void raft_send_to(raft_t *r, peer_t *peer);
void raft_advance_commit(raft_t *r);
void raft_recv_append_reply(raft_t *r, const raft_message_t *m);
void raft_step_back(raft_t *r, peer_t *peer, raft_index_t next);
void raft_take_match(raft_t *r, peer_t *peer, raft_index_t match);

// ---- heartbeat.c: the leader's side -------------------------------------------------------------
void raft_heartbeat(raft_t *r);
void raft_check_quorum(raft_t *r);
void raft_recv_heartbeat_reply(raft_t *r, const raft_message_t *m);

// ---- transfer.c ---------------------------------------------------------------------------------
void raft_transfer(raft_t *r, raft_id_t to);
void raft_finish_transfer(raft_t *r, const peer_t *peer); // once the peer has everything
void raft_hand_over_at_once(raft_t *r);                   // to whoever has everything, if anybody
void raft_consider_heir(raft_t *r);                       // a witness, or a stuck disk
int64_t raft_hand_over_due_ms(const raft_t *r);

// ---- follow.c: the follower's side --------------------------------------------------------------
void raft_recv_append(raft_t *r, const raft_message_t *m);
void raft_recv_heartbeat(raft_t *r, const raft_message_t *m);

// ---- snapshot.c ---------------------------------------------------------------------------------
void raft_cut(raft_t *r, raft_index_t up_to);
void raft_installed(raft_t *r, const raft_installed_t *snapshot);
void raft_snapshot_ended(raft_t *r, raft_id_t to);
void raft_need_snapshot(raft_t *r, peer_t *peer);

// ---- read.c -------------------------------------------------------------------------------------
void raft_read(raft_t *r, uint64_t read);
void raft_advance_reads(raft_t *r);
void raft_fail_reads(raft_t *r);

// ---- lease.c ------------------------------------------------------------------------------------
int64_t raft_promise_ms(const raft_t *r); // to a leader that is heard
int64_t raft_lease_end_ms(const raft_t *r, int64_t sent_ms, int64_t promise_ms);
void raft_bind(raft_t *r);           // a leader spoke: no vote for as long as it may count on us
bool raft_is_bound(const raft_t *r); // may not vote, but on the leader's own word

// ---- witness.c ----------------------------------------------------------------------------------
bool raft_counts(const raft_t *r, raft_id_t id); // does its acknowledgement, in a quorum?
void raft_weigh_witness(raft_t *r);              // each beat: is somebody away?
void raft_learn_everywhere(raft_t *r);           // leader, each beat
uint64_t raft_witness_room(const raft_t *r, uint64_t wanted); // entries it may still take
