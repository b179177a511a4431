// Elections: pre-vote, vote, and what makes a member step down.
//
//                 timeout              pre-votes           votes, own one durable
//     FOLLOWER ─────────► PRE_CANDIDATE ───────► CANDIDATE ────────► LEADER
//        ▲                      │                    │                 │
//        └──── a leader speaks, or a newer term ─────┴── or no quorum ─┘
#include "store/raft/raft_state.h"

void raft_reset_election(raft_t *r) {
    // Spread over [T, 2T): two members rarely stand at once (§3.4).
    int64_t spread = (int64_t)(r->dice % (uint64_t)r->election_timeout_ms);
    r->election_deadline_ms = r->now_ms + r->election_timeout_ms + spread;
    // A witness lets those go first that have something to serve.
    if (r->witness) r->election_deadline_ms += r->election_timeout_ms;
}

bool raft_hears_leader(const raft_t *r) {
    if (r->role == RAFT_LEADER) return true; // check-quorum takes the role away in time
    if (r->canary == RAFT_CANARY_VOTE_DURING_LEASE) return false;
    return r->leader && r->has_heard_leader &&
           r->now_ms - r->leader_heard_ms < r->election_timeout_ms;
}

// Whoever is connected to a leader that dies knows it long before the timeout. Standing early
// disturbs nobody: a leader that lives is still heard by those who would have to grant the
// pre-vote. What was promised to it (raft_is_bound) stands.
void raft_suspect(raft_t *r, raft_id_t leader) {
    if (r->role != RAFT_FOLLOWER || leader == 0 || r->leader != leader) return;
    r->has_heard_leader = false;
    int64_t early_ms = r->now_ms + (int64_t)(r->dice % (uint64_t)r->heartbeat_ms);
    if (early_ms < r->election_deadline_ms) r->election_deadline_ms = early_ms;
}

void raft_become_follower(raft_t *r, raft_term_t term, raft_id_t leader) {
    assert(term >= r->hard.term);
    if (term > r->hard.term) {
        r->hard = (raft_hard_t){.term = term};
        r->hard_changed = true;
        r->agreed = 0;
    }
    if (r->role == RAFT_LEADER) raft_fail_reads(r);
    r->role = RAFT_FOLLOWER;
    r->leader = leader;
    r->transfer_to = 0;
    raft_reset_election(r);
}

static void begin_votes(raft_t *r) {
    for (size_t i = 0; i < r->peers.len; i++)
        r->peers.at[i].granted = r->peers.at[i].answered = false;
    raft_reset_election(r);
}

static void ask_for_votes(raft_t *r, raft_message_type_t type, raft_term_t term, bool transfer) {
    for (size_t i = 0; i < r->peers.len; i++) {
        if (!raft_is_voter(r, r->peers.at[i].id)) continue;
        raft_message_t *m = raft_send(r, type, r->peers.at[i].id);
        m->term = term;
        m->last_index = r->trail.last;
        m->last_term = trail_last_term(&r->trail);
        m->transfer = transfer;
    }
}

void raft_pre_campaign(raft_t *r) {
    r->role = RAFT_PRE_CANDIDATE;
    r->leader = 0;
    begin_votes(r);
    ask_for_votes(r, RAFT_PRE_VOTE, r->hard.term + 1, false);
    raft_count_votes(r);
}

void raft_campaign(raft_t *r, bool transfer) {
    assert(r->role != RAFT_LEADER);
    r->role = RAFT_CANDIDATE;
    r->leader = 0;
    r->hard = (raft_hard_t){.term = r->hard.term + 1, .vote = r->id};
    r->hard_changed = true;
    r->agreed = 0;
    begin_votes(r);
    ask_for_votes(r, RAFT_VOTE, r->hard.term, transfer);
}

// Our own vote counts when it is durable: after a crash we must not vote again in this term.
static bool own_vote_is_durable(const raft_t *r) {
    return !r->hard_changed && r->write_hard <= r->write_synced;
}

void raft_count_votes(raft_t *r) {
    size_t granted = 0, refused = 0, voters = raft_config_voters(raft_config_now(r));
    if (raft_is_voter(r, r->id)) granted += r->role == RAFT_PRE_CANDIDATE || own_vote_is_durable(r);
    for (size_t i = 0; i < r->peers.len; i++) {
        const peer_t *peer = &r->peers.at[i];
        if (!raft_is_voter(r, peer->id) || !peer->answered) continue;
        granted += peer->granted;
        refused += !peer->granted;
    }
    if (granted >= raft_quorum(r)) {
        if (r->role == RAFT_PRE_CANDIDATE)
            raft_campaign(r, false);
        else
            raft_lead(r);
    } else if (voters - refused < raft_quorum(r)) {
        raft_become_follower(r, r->hard.term, 0); // lost: wait for the winner
    }
}

// §3.6.1: the voter refuses whose log is behind its own.
static bool is_up_to_date(const raft_t *r, const raft_message_t *m) {
    raft_term_t last_term = trail_last_term(&r->trail);
    if (m->last_term != last_term) return m->last_term > last_term;
    return m->last_index >= r->trail.last;
}

void raft_recv_pre_vote(raft_t *r, const raft_message_t *m) {
    bool ok =
        m->term > r->hard.term && is_up_to_date(r, m) && !raft_hears_leader(r) && !raft_is_bound(r);
    raft_message_t *reply = raft_send(r, RAFT_PRE_VOTE_REPLY, m->from);
    reply->ok = ok;
    if (ok) reply->term = m->term;
}

void raft_recv_vote(raft_t *r, const raft_message_t *m) {
    assert(m->term == r->hard.term);
    bool free_to_vote = r->hard.vote == m->from || (r->hard.vote == 0 && r->leader == 0);
    bool ok = free_to_vote && is_up_to_date(r, m) && (m->transfer || !raft_is_bound(r));
    if (ok && r->hard.vote == 0) {
        r->hard.vote = m->from;
        r->hard_changed = true;
    }
    if (ok) raft_reset_election(r); // give the one we voted for its time
    raft_send(r, RAFT_VOTE_REPLY, m->from)->ok = ok;
}

void raft_recv_vote_reply(raft_t *r, const raft_message_t *m) {
    bool pre = m->type == RAFT_PRE_VOTE_REPLY;
    if (pre ? r->role != RAFT_PRE_CANDIDATE : r->role != RAFT_CANDIDATE) return;
    if (pre && m->ok && m->term != r->hard.term + 1) return; // of an earlier try
    peer_t *peer = raft_find_peer(r, m->from);
    if (!peer) return;
    peer->answered = true;
    peer->granted = m->ok;
    raft_count_votes(r);
}

void raft_recv_timeout_now(raft_t *r) {
    if (r->role == RAFT_LEADER || r->witness || !raft_is_voter(r, r->id)) return;
    raft_campaign(r, true);
}
