// The follower's side: taking entries over, cutting off what disagrees.
#include "store/raft/raft_state.h"

static void hear_leader(raft_t *r, raft_id_t leader) {
    assert(r->role != RAFT_LEADER); // two leaders of one term would break election safety (§3.4)
    if (r->role != RAFT_FOLLOWER) raft_become_follower(r, r->hard.term, leader);
    r->leader = leader;
    r->leader_heard_ms = r->now_ms;
    r->has_heard_leader = true;
    raft_bind(r);
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

// Append the entries from index to last.
static void take_over(raft_t *r, const raft_message_t *m, raft_index_t index, raft_index_t last) {
    if (index <= r->trail.last) raft_log_truncate(r, index);
    r->out->append_from = index - m->prev_index - 1;
    for (; index <= last; index++) {
        const raft_entry_t *entry = &m->entries[index - m->prev_index - 1];
        raft_log_append(r, entry->term, 1);
        if (entry->kind == RAFT_ENTRY_CONFIG) raft_configs_push(r, index, entry->config);
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
    // A witness at its limit takes what it has room for; what it has already needs none.
    raft_index_t last = m->prev_index + m->entries_len;
    if (last > r->trail.last) last = r->trail.last + raft_witness_room(r, last - r->trail.last);
    for (raft_index_t index = m->prev_index + 1; index <= last; index++) {
        raft_term_t term = m->entries[index - m->prev_index - 1].term;
        if (index <= r->commit) continue;
        if (index <= r->trail.last && trail_term(&r->trail, index) == term) continue;
        take_over(r, m, index, last);
        break;
    }
    if (last > r->agreed) r->agreed = last;
    learn_commit(r, m->commit < last ? m->commit : last);
    raft_message_t *reply = raft_send(r, RAFT_APPEND_REPLY, m->from);
    reply->ok = true;
    reply->prev_index = m->prev_index;
    reply->match_index = last > r->commit ? last : r->commit;
    reply->full = raft_is_full(r);
}

void raft_recv_heartbeat(raft_t *r, const raft_message_t *m) {
    if (r->role == RAFT_LEADER) return;
    hear_leader(r, m->from);
    learn_commit(r, m->commit);
    if (m->everywhere > r->everywhere) r->everywhere = m->everywhere;
    // What is committed stands in the leader's log too (leader completeness).
    raft_index_t agreed = r->agreed > r->commit ? r->agreed : r->commit;
    raft_message_t *reply = raft_send(r, RAFT_HEARTBEAT_REPLY, m->from);
    reply->promise_ms = raft_promise_ms(r);
    reply->round = m->round;
    reply->full = raft_is_full(r);
    reply->last_index = agreed;
    reply->match_index = agreed < r->durable ? agreed : r->durable;
}
