// The leader's side: proposals, appends, the commit rule.
#include "store/raft/raft_state.h"

// ---- appends ------------------------------------------------------------------------------------
static void send_append(raft_t *r, peer_t *peer) {
    raft_index_t prev = peer->next - 1;
    if (prev < r->trail.base) {
        raft_need_snapshot(r, peer);
        return;
    }
    uint64_t count = r->trail.last - prev;
    if (count > RAFT_APPEND_ENTRIES_MAX) count = RAFT_APPEND_ENTRIES_MAX;
    raft_message_t *m = raft_send(r, RAFT_APPEND, peer->id);
    m->prev_index = prev;
    m->prev_term = trail_term(&r->trail, prev);
    m->entries_len = count;
    m->commit = r->commit;
    if (peer->state == RAFT_PEER_PROBE)
        peer->waiting = true;
    else
        peer->next += count;
}

static bool may_send(const raft_t *r, const peer_t *peer) {
    if (peer->next > r->trail.last || peer->full) return false;
    switch (peer->state) {
    case RAFT_PEER_PROBE: return !peer->waiting;
    case RAFT_PEER_STREAM: return peer->next - peer->match <= RAFT_UNACKED_ENTRIES_MAX;
    case RAFT_PEER_SNAPSHOT: return false;
    }
    return false;
}

void raft_send_to(raft_t *r, peer_t *peer) {
    do {
        if (!may_send(r, peer)) return;
        send_append(r, peer);
    } while (peer->state == RAFT_PEER_STREAM);
}

static void send_appends(raft_t *r) {
    for (size_t i = 0; i < r->peers.len; i++) raft_send_to(r, &r->peers.at[i]);
}

// ---- proposals ----------------------------------------------------------------------------------
void raft_propose(raft_t *r, const raft_entry_t *entries, uint64_t len) {
    if (len == 0) return;
    if (r->role != RAFT_LEADER || r->witness) {
        raft_refuse(r, ERR_NOT_LEADER, "this member does not lead");
        return;
    }
    if (r->transfer_to) {
        raft_refuse(r, ERR_NOT_LEADER, "leadership is being handed over");
        return;
    }
    for (uint64_t i = 0; i < len; i++) {
        if (entries[i].kind != RAFT_ENTRY_CONFIG) continue;
        if (len != 1)
            raft_refuse(r, ERR_INVALID, "a change of members is proposed by itself");
        else if (raft_may_change_members(r, entries[i].config))
            continue;
        return;
    }
    if (r->trail.last == r->commit) r->commit_moved_ms = r->now_ms; // begin of the wait
    raft_log_append(r, r->hard.term, len);
    r->out->append_term = r->hard.term;
    // A configuration is in force from the moment it stands in the log (§4.1).
    if (entries[0].kind == RAFT_ENTRY_CONFIG)
        raft_configs_push(r, r->trail.last, entries[0].config);
    send_appends(r);
}

void raft_lead(raft_t *r) {
    assert(r->role == RAFT_CANDIDATE);
    r->role = RAFT_LEADER;
    r->leader = r->id;
    r->election_deadline_ms = r->now_ms + r->election_timeout_ms;
    r->commit_moved_ms = r->now_ms;
    r->hand_over_after_ms = 0;
    r->lease_given_up = false;
    r->witness_counts = true; // whoever led is away, as far as anybody knows
    for (size_t i = 0; i < r->peers.len; i++) {
        raft_id_t id = r->peers.at[i].id;
        r->peers.at[i] = (peer_t){.id = id, .next = r->trail.last + 1, .heard_ms = r->now_ms};
    }
    // An entry of the new term at once: through it everything before becomes committed, and only
    // then does the leader know the commit index (§3.6.2, §6.4).
    raft_log_append(r, r->hard.term, 1);
    r->out->append_noop = true;
    r->out->append_term = r->hard.term;
    send_appends(r);
    raft_heartbeat(r);
}

// ---- commit ---------------------------------------------------------------------------------------
static int by_index_down(const void *a, const void *b) {
    raft_index_t x = *(const raft_index_t *)a, y = *(const raft_index_t *)b;
    return (x < y) - (x > y);
}

// Members without a say in this quorum stand in the count with nothing.
static raft_index_t majority_match(const raft_t *r) {
    raft_index_t match[RAFT_MEMBERS_MAX + 1] = {0};
    size_t len = 0;
    if (raft_counts(r, r->id)) match[len++] = r->durable;
    for (size_t i = 0; i < r->peers.len; i++)
        if (raft_counts(r, r->peers.at[i].id)) match[len++] = r->peers.at[i].match;
    qsort(match, len, sizeof *match, by_index_down);
    return match[raft_quorum(r) - 1];
}

void raft_advance_commit(raft_t *r) {
    if (r->role != RAFT_LEADER) return;
    raft_index_t index = majority_match(r);
    if (index <= r->commit) return;
    // §3.6.2, figure 8: never by counting copies of an older term's entry.
    if (trail_term(&r->trail, index) != r->hard.term && r->canary != RAFT_CANARY_OLD_TERM_COMMIT)
        return;
    r->commit = index;
    r->commit_moved_ms = r->now_ms;
    raft_advance_reads(r);
    // A leader that is no voter any more has served until here (§4.2.2).
    if (raft_is_voter(r, r->id) || r->configs.at[r->configs.len - 1].index > r->commit) return;
    raft_hand_over_at_once(r);
    raft_become_follower(r, r->hard.term, 0);
}

void raft_step_back(raft_t *r, peer_t *peer, raft_index_t next) {
    peer->next = next <= peer->match ? peer->match + 1 : next;
    peer->state = RAFT_PEER_PROBE;
    peer->waiting = false;
}

void raft_take_match(raft_t *r, peer_t *peer, raft_index_t match) {
    assert(match <= r->trail.last);
    if (match > peer->match) peer->match = match;
    if (peer->next <= peer->match) peer->next = peer->match + 1;
    // Until it has a snapshot that reaches our log there is nothing to send.
    if (peer->state == RAFT_PEER_SNAPSHOT && peer->match >= r->trail.base)
        raft_step_back(r, peer, peer->match + 1);
}

static void take_refusal(raft_t *r, peer_t *peer, const raft_message_t *m) {
    if (peer->state == RAFT_PEER_SNAPSHOT) return;
    // Late news: what it refuses has been accepted, or is not what the probe asks.
    if (m->prev_index <= peer->match) return;
    if (peer->state == RAFT_PEER_PROBE && m->prev_index != peer->next - 1) return;
    // Skip a whole term at a time: where could our log agree with what it has (§3.5)?
    raft_index_t agree = trail_find(&r->trail, m->hint_index, m->hint_term);
    bool is_cut = m->hint_index < r->trail.base || trail_term(&r->trail, agree) > m->hint_term;
    raft_step_back(r, peer, is_cut ? r->trail.base : agree + 1);
    raft_send_to(r, peer);
}

void raft_recv_append_reply(raft_t *r, const raft_message_t *m) {
    peer_t *peer = r->role == RAFT_LEADER ? raft_find_peer(r, m->from) : NULL;
    if (!peer) return;
    peer->heard_ms = r->now_ms;
    if (!m->ok) {
        take_refusal(r, peer, m);
        return;
    }
    if (m->match_index > r->trail.last) return; // nothing of ours
    raft_take_match(r, peer, m->match_index);
    peer->full = m->full;
    if (m->full) {
        raft_step_back(r, peer, peer->match + 1); // for when a heartbeat's answer says it has room
    } else if (peer->state == RAFT_PEER_PROBE && m->match_index == peer->match) {
        peer->state = RAFT_PEER_STREAM;
        peer->next = peer->match + 1;
    }
    raft_send_to(r, peer);
    raft_finish_transfer(r, peer);
    if (r->witness) raft_consider_heir(r);
    raft_advance_commit(r); // last: it may end our leadership
}
