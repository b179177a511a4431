// raft_state - what the files of the core share; nobody outside store/raft includes it.
#pragma once
#include "store/raft/raft.h"

// What a leader keeps per other member.
//
//     PROBE ──ok──► STREAM ──refused, or no progress between two heartbeats──► PROBE
//       │ next ≤ base: the entries are gone
//       ▼
//     SNAPSHOT ──a heartbeat's answer while next > base──► PROBE
typedef enum { PEER_PROBE, PEER_STREAM, PEER_SNAPSHOT } peer_state_t;
typedef struct {
    raft_id_t id;
    peer_state_t state;
    raft_index_t match;         // known to be durable there
    raft_index_t next;          // first entry not yet sent
    raft_index_t match_at_beat; // match when the last heartbeat was answered
    bool waiting;               // PROBE: one append is out
    int64_t heard_ms;           // last answer of this term
    uint64_t round;             // newest heartbeat round answered
    bool granted, answered;     // in this election
} peer_t;

typedef struct {
    raft_index_t index; // its entry
    raft_config_t config;
} config_at_t;

typedef struct {
    uint64_t number;
    raft_index_t last; // of the log after it; clipped when a later write truncates
    raft_term_t term;  // hard state in it: our vote counts when it is durable
} write_t;

typedef struct {
    uint64_t read;
    raft_index_t index;
    uint64_t round; // heartbeat round that proves leadership; 0: not begun
} read_t;

struct raft {
    raft_id_t id;
    int64_t election_timeout_ms, heartbeat_ms;

    raft_role_t role;
    raft_hard_t hard;
    raft_id_t leader;
    trail_t trail;
    raft_index_t commit;
    raft_index_t durable;     // our own log is synced up to here
    VEC(config_at_t) configs; // in the log, oldest first; the last one is in force

    uint64_t write_last; // number of the newest write handed out
    uint64_t write_synced;
    uint64_t write_hard; // newest write with a hard state in it
    VEC(write_t) writes; // not yet synced

    int64_t election_deadline_ms;  // follower, candidate: election; leader: check of the quorum
    int64_t heartbeat_deadline_ms; // leader
    int64_t leader_heard_ms;       // follower: when the leader spoke last
    bool has_heard_leader;

    VEC(peer_t) peers; // everybody else in the configuration in force
    VEC(read_t) reads;
    uint64_t round_last; // newest heartbeat round
    raft_id_t transfer_to;
    int64_t transfer_deadline_ms;

    // Of the step under way:
    int64_t now_ms;
    uint64_t dice;
    bool hard_changed;
    raft_out_t *out;
};

// ---- raft.c -------------------------------------------------------------------------------------
raft_message_t *raft_send(raft_t *r, raft_message_type_t type, raft_id_t to); // zeroed but for head
peer_t *raft_find_peer(raft_t *r, raft_id_t id);
const raft_config_t *raft_config_now(const raft_t *r);
bool raft_is_voter(const raft_t *r, raft_id_t id);
size_t raft_quorum(const raft_t *r);
void raft_configs_push(raft_t *r, raft_index_t index, const raft_config_t *config);
void raft_configs_truncate(raft_t *r, raft_index_t from);
void raft_log_append(raft_t *r, raft_term_t term, uint64_t count);
void raft_log_truncate(raft_t *r, raft_index_t from);

// ---- election.c ---------------------------------------------------------------------------------
void raft_reset_election(raft_t *r);
void raft_become_follower(raft_t *r, raft_term_t term, raft_id_t leader);
void raft_campaign(raft_t *r, bool transfer); // skips the pre-vote on a leader's word
void raft_pre_campaign(raft_t *r);
void raft_count_votes(raft_t *r);
bool raft_hears_leader(const raft_t *r); // within the shortest election timeout
void raft_recv_vote(raft_t *r, const raft_message_t *m);
void raft_recv_pre_vote(raft_t *r, const raft_message_t *m);
void raft_recv_vote_reply(raft_t *r, const raft_message_t *m);
void raft_recv_timeout_now(raft_t *r);

// ---- replication.c: the leader's side -----------------------------------------------------------
void raft_lead(raft_t *r);
void raft_propose(raft_t *r, const raft_entry_t *entries, uint64_t len);
void raft_send_appends(raft_t *r);
void raft_heartbeat(raft_t *r);
void raft_check_quorum(raft_t *r);
void raft_advance_commit(raft_t *r);
void raft_recv_append_reply(raft_t *r, const raft_message_t *m);
void raft_recv_heartbeat_reply(raft_t *r, const raft_message_t *m);
void raft_transfer(raft_t *r, raft_id_t to);

// ---- follow.c: the follower's side --------------------------------------------------------------
void raft_recv_append(raft_t *r, const raft_message_t *m);
void raft_recv_heartbeat(raft_t *r, const raft_message_t *m);

// ---- read.c -------------------------------------------------------------------------------------
void raft_read(raft_t *r, uint64_t read);
void raft_advance_reads(raft_t *r);
void raft_fail_reads(raft_t *r);
