// The leader's side: heartbeats, what their answers tell, and stepping down without a majority.
#include "store/raft/raft_state.h"

void raft_heartbeat(raft_t *r) {
    r->round_last++;
    r->round_sent_ms[r->round_last % ROUNDS_KEPT] = r->now_ms;
    r->heartbeat_deadline_ms = r->now_ms + r->heartbeat_ms;
    raft_learn_everywhere(r);
    for (size_t i = 0; i < r->peers.len; i++) {
        const peer_t *peer = &r->peers.at[i];
        raft_message_t *m = raft_send(r, RAFT_HEARTBEAT, peer->id);
        // Not past its match: its log may differ behind that.
        m->commit = r->commit < peer->match ? r->commit : peer->match;
        m->round = r->round_last;
        m->everywhere = r->everywhere;
    }
    // A read waits for a round that began after it.
    for (size_t i = 0; i < r->reads.len; i++)
        if (r->reads.at[i].round == 0) r->reads.at[i].round = r->round_last;
}

static void take_round(raft_t *r, peer_t *peer, const raft_message_t *m) {
    if (m->round > r->round_last || m->round <= peer->round) return;
    peer->round = m->round;
    peer->received = m->last_index;
    peer->full = m->full;
    if (r->round_last - m->round < ROUNDS_KEPT)
        peer->lease_until_ms =
            raft_lease_end_ms(r, r->round_sent_ms[m->round % ROUNDS_KEPT], m->promise_ms);
}

// Was something sent before the last answer that has not arrived at this one? Then it is sent
// again, one probe first. What has arrived, but is not yet synced, is only waited for.
static bool has_lost_something(const peer_t *peer, raft_index_t has) {
    if (has != peer->had_at_beat) return false;
    return peer->state == RAFT_PEER_PROBE || has + 1 < peer->next;
}

void raft_recv_heartbeat_reply(raft_t *r, const raft_message_t *m) {
    peer_t *peer = r->role == RAFT_LEADER ? raft_find_peer(r, m->from) : NULL;
    if (!peer) return;
    peer->heard_ms = r->now_ms;
    take_round(r, peer, m);
    if (m->match_index > peer->match && m->match_index <= r->trail.last)
        raft_take_match(r, peer, m->match_index);
    raft_index_t has = peer->received > peer->match ? peer->received : peer->match;
    if (has_lost_something(peer, has)) {
        if (peer->state == RAFT_PEER_STREAM) raft_step_back(r, peer, has + 1);
        peer->waiting = false;
    }
    peer->had_at_beat = has;
    raft_send_to(r, peer);
    raft_advance_reads(r);
    raft_finish_transfer(r, peer);
    raft_advance_commit(r); // last: it may end our leadership
}

void raft_check_quorum(raft_t *r) {
    size_t heard = raft_is_voter(r, r->id) ? 1 : 0;
    for (size_t i = 0; i < r->peers.len; i++)
        if (raft_is_voter(r, r->peers.at[i].id))
            heard += r->now_ms - r->peers.at[i].heard_ms <= r->election_timeout_ms;
    r->election_deadline_ms = r->now_ms + r->election_timeout_ms;
    if (heard < raft_quorum(r)) raft_become_follower(r, r->hard.term, 0);
}
