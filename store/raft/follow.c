// The follower's side: taking entries over, cutting off what disagrees.
#include "store/raft/raft_state.h"

static void hear_leader(raft_t *r, raft_id_t leader) {
    assert(r->role != RAFT_LEADER); // two leaders of one term would break election safety (§3.4)
    if (r->role != RAFT_FOLLOWER) raft_become_follower(r, r->hard.term, leader);
    r->leader = leader;
    r->leader_heard_ms = r->now_ms;
    r->has_heard_leader = true;
    raft_reset_election(r);
}

static void learn_commit(raft_t *r, raft_index_t commit) {
    if (commit > r->trail.last) commit = r->trail.last;
    if (commit > r->commit) r->commit = commit;
}

// Tell where the logs may still agree: the last entry at or below `prev` whose term is not above
// the one the leader has there. Whole terms are skipped that way.
static void refuse(raft_t *r, const raft_message_t *m) {
    raft_message_t *reply = raft_send(r, RAFT_APPEND_REPLY, m->from);
    reply->prev_index = m->prev_index;
    reply->hint_index = trail_find(&r->trail, m->prev_index, m->prev_term);
    reply->hint_term = trail_term(&r->trail, reply->hint_index);
}

// Append entries[from ..], whose first belongs at `index`.
static void take_over(raft_t *r, const raft_message_t *m, uint64_t from, raft_index_t index) {
    if (index <= r->trail.last) raft_log_truncate(r, index);
    r->out->append_from = from;
    for (uint64_t i = from; i < m->entries_len; i++) {
        raft_log_append(r, m->entries[i].term, 1);
        if (m->entries[i].kind == RAFT_ENTRY_CONFIG)
            raft_configs_push(r, r->trail.last, m->entries[i].config);
    }
}

// A peer's entries must be of ascending terms up to the leader's: else it is not Raft that speaks.
static bool entries_make_sense(const raft_message_t *m) {
    raft_term_t term = m->prev_term;
    for (uint64_t i = 0; i < m->entries_len; i++) {
        if (m->entries[i].term < term || m->entries[i].term > m->term) return false;
        term = m->entries[i].term;
    }
    return m->entries_len <= RAFT_APPEND_ENTRIES_MAX && m->prev_index <= UINT64_MAX / 2;
}

void raft_recv_append(raft_t *r, const raft_message_t *m) {
    if (r->role == RAFT_LEADER || !entries_make_sense(m)) return;
    hear_leader(r, m->from);
    // Up to our commit index the logs agree without looking (leader completeness).
    bool agrees =
        m->prev_index <= r->commit ||
        (m->prev_index <= r->trail.last && trail_term(&r->trail, m->prev_index) == m->prev_term);
    if (!agrees) {
        refuse(r, m);
        return;
    }
    raft_index_t last = m->prev_index + m->entries_len;
    for (uint64_t i = 0; i < m->entries_len; i++) {
        raft_index_t index = m->prev_index + 1 + i;
        if (index <= r->commit) continue;
        if (index <= r->trail.last && trail_term(&r->trail, index) == m->entries[i].term) continue;
        take_over(r, m, i, index);
        break;
    }
    learn_commit(r, m->commit < last ? m->commit : last);
    raft_message_t *reply = raft_send(r, RAFT_APPEND_REPLY, m->from);
    reply->ok = true;
    reply->prev_index = m->prev_index;
    reply->match_index = last > r->commit ? last : r->commit;
}

void raft_recv_heartbeat(raft_t *r, const raft_message_t *m) {
    if (r->role == RAFT_LEADER) return;
    hear_leader(r, m->from);
    learn_commit(r, m->commit);
    raft_send(r, RAFT_HEARTBEAT_REPLY, m->from)->round = m->round;
}
