// The leader's side: proposals, appends, the commit rule, heartbeats.
#include "store/raft/raft_state.h"

void raft_lead(raft_t *r) {
    assert(r->role == RAFT_CANDIDATE);
    r->role = RAFT_LEADER;
    r->leader = r->id;
    r->election_deadline_ms = r->now_ms + r->election_timeout_ms;
    for (size_t i = 0; i < r->peers.len; i++) {
        raft_id_t id = r->peers.at[i].id;
        r->peers.at[i] = (peer_t){.id = id, .next = r->trail.last + 1, .heard_ms = r->now_ms};
    }
    // An entry of the new term at once: through it everything before becomes committed, and only
    // then does the leader know the commit index (§3.6.2, §6.4).
    raft_log_append(r, r->hard.term, 1);
    r->out->append_noop = true;
    r->out->append_term = r->hard.term;
    raft_send_appends(r);
    raft_heartbeat(r);
}

// ---- proposals ----------------------------------------------------------------------------------
static bool config_is_allowed(const raft_t *r, const raft_entry_t *entries, uint64_t len) {
    // One change at a time, and only after an entry of this term is committed (§4.1 and the
    // erratum of 2015).
    if (len != 1 || !raft_is_settled(r)) return false;
    if (r->configs.at[r->configs.len - 1].index > r->commit) return false;
    return raft_config_can_follow(raft_config_now(r), entries[0].config);
}

void raft_propose(raft_t *r, const raft_entry_t *entries, uint64_t len) {
    if (len == 0) return;
    if (r->role != RAFT_LEADER || r->transfer_to) {
        r->out->refused = ERR_NOT_LEADER;
        return;
    }
    for (uint64_t i = 0; i < len; i++) {
        if (entries[i].kind != RAFT_ENTRY_CONFIG) continue;
        if (!config_is_allowed(r, entries, len)) {
            r->out->refused = ERR_CONFLICT;
            return;
        }
    }
    raft_log_append(r, r->hard.term, len);
    r->out->append_term = r->hard.term;
    // A configuration is in force from the moment it stands in the log (§4.1).
    if (entries[0].kind == RAFT_ENTRY_CONFIG)
        raft_configs_push(r, r->trail.last, entries[0].config);
    raft_send_appends(r);
}

// ---- appends ------------------------------------------------------------------------------------
static void send_append(raft_t *r, peer_t *peer) {
    raft_index_t prev = peer->next - 1;
    if (prev < r->trail.base) {
        peer->state = PEER_SNAPSHOT;
        r->out->snapshot_for = peer->id;
        return;
    }
    uint64_t count = r->trail.last - prev;
    if (count > RAFT_APPEND_ENTRIES_MAX) count = RAFT_APPEND_ENTRIES_MAX;
    raft_message_t *m = raft_send(r, RAFT_APPEND, peer->id);
    m->prev_index = prev;
    m->prev_term = trail_term(&r->trail, prev);
    m->entries_len = count;
    m->commit = r->commit;
    if (peer->state == PEER_PROBE)
        peer->waiting = true;
    else
        peer->next += count;
}

static bool may_send(const raft_t *r, const peer_t *peer) {
    if (peer->next > r->trail.last) return false;
    switch (peer->state) {
    case PEER_PROBE: return !peer->waiting;
    case PEER_STREAM: return peer->next - peer->match <= RAFT_UNACKED_ENTRIES_MAX;
    case PEER_SNAPSHOT: return false;
    }
    return false;
}

static void send_to(raft_t *r, peer_t *peer) {
    do {
        if (!may_send(r, peer)) return;
        send_append(r, peer);
    } while (peer->state == PEER_STREAM);
}

void raft_send_appends(raft_t *r) {
    for (size_t i = 0; i < r->peers.len; i++) send_to(r, &r->peers.at[i]);
}

static int by_index_down(const void *a, const void *b) {
    raft_index_t x = *(const raft_index_t *)a, y = *(const raft_index_t *)b;
    return (x < y) - (x > y);
}

void raft_advance_commit(raft_t *r) {
    raft_index_t match[RAFT_MEMBERS_MAX];
    size_t len = 0;
    if (raft_is_voter(r, r->id)) match[len++] = r->durable;
    for (size_t i = 0; i < r->peers.len; i++)
        if (raft_is_voter(r, r->peers.at[i].id)) match[len++] = r->peers.at[i].match;
    qsort(match, len, sizeof *match, by_index_down);
    raft_index_t index = match[raft_quorum(r) - 1];
    // §3.6.2, figure 8: never by counting copies of an older term's entry.
    if (index <= r->commit || trail_term(&r->trail, index) != r->hard.term) return;
    r->commit = index;
    raft_advance_reads(r);
    // A leader that is no voter any more has served until here (§4.2.2).
    if (!raft_is_voter(r, r->id) && r->configs.at[r->configs.len - 1].index <= r->commit)
        raft_become_follower(r, r->hard.term, 0);
}

static void step_back(raft_t *r, peer_t *peer, raft_index_t next) {
    peer->next = next <= peer->match ? peer->match + 1 : next;
    peer->state = PEER_PROBE;
    peer->waiting = false;
}

static void finish_transfer(raft_t *r, const peer_t *peer) {
    if (r->transfer_to == peer->id && peer->match == r->trail.last)
        raft_send(r, RAFT_TIMEOUT_NOW, peer->id);
}

void raft_recv_append_reply(raft_t *r, const raft_message_t *m) {
    peer_t *peer = r->role == RAFT_LEADER ? raft_find_peer(r, m->from) : NULL;
    if (!peer) return;
    peer->heard_ms = r->now_ms;
    if (!m->ok) {
        // Late news: what it refuses has been accepted, or is not what the probe asks.
        if (m->prev_index <= peer->match) return;
        if (peer->state == PEER_PROBE && m->prev_index != peer->next - 1) return;
        // Skip a whole term at a time: where could our log agree with what it has (§3.5)?
        raft_index_t agree = trail_find(&r->trail, m->hint_index, m->hint_term);
        bool is_cut = m->hint_index < r->trail.base || trail_term(&r->trail, agree) > m->hint_term;
        step_back(r, peer, is_cut ? r->trail.base : agree + 1);
        send_to(r, peer);
        return;
    }
    if (m->match_index > r->trail.last) return; // nothing of ours
    if (m->match_index > peer->match) peer->match = m->match_index;
    if (peer->next <= peer->match) peer->next = peer->match + 1;
    if (peer->state != PEER_STREAM) {
        peer->state = PEER_STREAM;
        peer->next = peer->match + 1;
    }
    raft_advance_commit(r);
    if (r->role != RAFT_LEADER) return;
    send_to(r, peer);
    finish_transfer(r, peer);
}

// ---- heartbeats ---------------------------------------------------------------------------------
void raft_heartbeat(raft_t *r) {
    r->round_last++;
    r->heartbeat_deadline_ms = r->now_ms + r->heartbeat_ms;
    for (size_t i = 0; i < r->peers.len; i++) {
        const peer_t *peer = &r->peers.at[i];
        raft_message_t *m = raft_send(r, RAFT_HEARTBEAT, peer->id);
        // Not past its match: its log may differ behind that.
        m->commit = r->commit < peer->match ? r->commit : peer->match;
        m->round = r->round_last;
    }
    // A read waits for a round that began after it.
    for (size_t i = 0; i < r->reads.len; i++)
        if (r->reads.at[i].round == 0 && raft_is_settled(r)) r->reads.at[i].round = r->round_last;
}

void raft_recv_heartbeat_reply(raft_t *r, const raft_message_t *m) {
    peer_t *peer = r->role == RAFT_LEADER ? raft_find_peer(r, m->from) : NULL;
    if (!peer) return;
    peer->heard_ms = r->now_ms;
    if (m->round > peer->round) peer->round = m->round;
    // Appends may have been lost on the way: no progress since the last beat although entries are
    // out means that they are sent again, one probe first.
    bool stuck = peer->match == peer->match_at_beat && peer->match < r->trail.last;
    peer->match_at_beat = peer->match;
    if (peer->state == PEER_SNAPSHOT && peer->next > r->trail.base)
        step_back(r, peer, peer->next);
    else if (stuck && peer->state == PEER_STREAM)
        step_back(r, peer, peer->match + 1);
    else if (stuck)
        peer->waiting = false;
    send_to(r, peer);
    raft_advance_reads(r);
}

void raft_check_quorum(raft_t *r) {
    size_t heard = raft_is_voter(r, r->id) ? 1 : 0;
    for (size_t i = 0; i < r->peers.len; i++)
        if (raft_is_voter(r, r->peers.at[i].id))
            heard += r->now_ms - r->peers.at[i].heard_ms <= r->election_timeout_ms;
    r->election_deadline_ms = r->now_ms + r->election_timeout_ms;
    if (heard < raft_quorum(r)) raft_become_follower(r, r->hard.term, 0);
}

// ---- leader transfer (§3.10) --------------------------------------------------------------------
void raft_transfer(raft_t *r, raft_id_t to) {
    peer_t *peer = raft_find_peer(r, to);
    if (r->role != RAFT_LEADER)
        r->out->refused = ERR_NOT_LEADER;
    else if (!peer || !raft_is_voter(r, to))
        r->out->refused = ERR_NOT_FOUND;
    if (r->out->refused != ERR_OK) return;
    r->transfer_to = to;
    r->transfer_deadline_ms = r->now_ms + r->election_timeout_ms;
    finish_transfer(r, peer);
}
