// Leader transfer (§3.10): proposals stop, the heir gets what it lacks, then the word to stand at
// once. If that takes too long the leader goes on as before.
//
// A leader hands over by itself when it is a witness (it has nothing to serve), when its disk is
// stuck while a follower's is not, and when it has removed itself.
#include "store/raft/raft_state.h"

static void begin_transfer(raft_t *r, const peer_t *heir) {
    r->transfer_to = heir->id;
    r->transfer_deadline_ms = r->now_ms + r->election_timeout_ms;
    raft_finish_transfer(r, heir);
}

void raft_transfer(raft_t *r, raft_id_t to) {
    const peer_t *peer = raft_find_peer(r, to);
    if (r->role != RAFT_LEADER)
        raft_refuse(r, ERR_NOT_LEADER, "only the leader can hand over");
    else if (to == r->id)
        raft_refuse(r, ERR_EXISTS, "it leads already");
    else if (!peer || !raft_is_full_voter(r, to))
        raft_refuse(r, ERR_NOT_FOUND, "no such voter with a state machine");
    else
        begin_transfer(r, peer);
}

static void ask_to_stand(raft_t *r, raft_id_t id) {
    // Whoever votes now does so before its copy of our lease ends: there is none any more. The word
    // may arrive late, so for the rest of this term there will be none.
    if (r->canary != RAFT_CANARY_LEASE_AFTER_TRANSFER) r->lease_given_up = true;
    raft_send(r, RAFT_TIMEOUT_NOW, id);
}

void raft_finish_transfer(raft_t *r, const peer_t *peer) {
    if (r->role != RAFT_LEADER || r->transfer_to != peer->id || peer->match != r->trail.last)
        return;
    ask_to_stand(r, peer->id);
}

// The full voter that has most and was heard of lately.
static const peer_t *heir(const raft_t *r) {
    const peer_t *best = NULL;
    for (size_t i = 0; i < r->peers.len; i++) {
        const peer_t *peer = &r->peers.at[i];
        if (!raft_is_full_voter(r, peer->id) || peer->match == 0) continue;
        if (r->now_ms - peer->heard_ms > r->election_timeout_ms) continue;
        if (!best || peer->match > best->match) best = peer;
    }
    return best;
}

void raft_hand_over_at_once(raft_t *r) {
    const peer_t *to = heir(r);
    if (to && to->match == r->trail.last) ask_to_stand(r, to->id);
}

int64_t raft_hand_over_due_ms(const raft_t *r) {
    if (r->transfer_to) return r->transfer_deadline_ms;
    int64_t due = INT64_MAX;
    if (r->witness)
        due = r->hand_over_after_ms;
    else if (r->writes.len)
        due = r->writes.at[0].since_ms + r->disk_stuck_ms;
    return due != INT64_MAX && due < r->hand_over_after_ms ? r->hand_over_after_ms : due;
}

void raft_consider_heir(raft_t *r) {
    assert(r->role == RAFT_LEADER);
    if (r->now_ms < raft_hand_over_due_ms(r)) return;
    r->transfer_to = 0; // too late: go on, and try again
    bool stuck = r->writes.len && r->now_ms - r->writes.at[0].since_ms >= r->disk_stuck_ms;
    const peer_t *to = r->witness || stuck ? heir(r) : NULL;
    if (to && !r->witness && to->match <= r->durable) to = NULL; // no better than ourselves
    r->hand_over_after_ms = r->now_ms + (to ? r->election_timeout_ms : r->heartbeat_ms);
    if (to) begin_transfer(r, to);
}
