// Cut logs, and snapshots to those who need what was cut away (§5). The contents are streamed by
// the shells; the core knows who needs one, and what having one means.
#include "store/raft/raft_state.h"

void raft_cut(raft_t *r, raft_index_t up_to) {
    assert(up_to <= raft_cut_limit(r));
    if (up_to <= r->trail.base) return;
    trail_cut(&r->trail, up_to);
    // The configuration in force at the new base stays as the oldest.
    while (r->configs.len > 1 && r->configs.at[1].index <= up_to) vec_remove(&r->configs, 0);
}

raft_index_t raft_cut_limit(const raft_t *r) {
    raft_index_t limit = r->commit < r->durable ? r->commit : r->durable;
    // A witness keeps what some full voter lacks: it may be the only one to bring it.
    if (r->witness && r->everywhere < limit) limit = r->everywhere;
    return limit > r->trail.base ? limit : r->trail.base;
}

// ---- the leader's side --------------------------------------------------------------------------
void raft_need_snapshot(raft_t *r, peer_t *peer) {
    peer->state = RAFT_PEER_SNAPSHOT;
    if (!r->witness) vec_push(&r->out->snapshots, peer->id);
}

void raft_snapshot_ended(raft_t *r, raft_id_t to) {
    peer_t *peer = r->role == RAFT_LEADER ? raft_find_peer(r, to) : NULL;
    if (!peer || peer->state != RAFT_PEER_SNAPSHOT) return;
    // Ask where it stands with the oldest entry there is; its answer decides. Nothing is sent
    // before the next heartbeat is answered: a peer that is gone must not cause one stream after
    // the other.
    raft_step_back(r, peer, r->trail.base + 1);
    peer->waiting = true;
}

// ---- the follower's side ------------------------------------------------------------------------
bool raft_wants_snapshot(const raft_t *r, raft_index_t index, raft_term_t term) {
    return r->role != RAFT_LEADER && index > raft_apply_limit(r) && index > r->trail.base &&
           term <= r->hard.term && term > 0;
}

// The log begins anew: what it held disagrees with the snapshot, or ends before it.
static void begin_log(raft_t *r, const raft_installed_t *snapshot) {
    trail_done(&r->trail);
    trail_init(&r->trail, snapshot->index, snapshot->term);
    raft_configs_begin(r, snapshot->config_index, snapshot->config);
    for (size_t i = 0; i < r->writes.len; i++)
        if (r->writes.at[i].last > snapshot->index) r->writes.at[i].last = snapshot->index;
    r->durable = snapshot->index;
    r->agreed = 0;
    r->out->begin_after = snapshot->index;
    r->out->begin_term = snapshot->term;
}

void raft_installed(raft_t *r, const raft_installed_t *snapshot) {
    assert(raft_wants_snapshot(r, snapshot->index, snapshot->term));
    assert(snapshot->config_index <= snapshot->index);
    bool agrees = trail_term(&r->trail, snapshot->index) == snapshot->term;
    if (!agrees) begin_log(r, snapshot);
    // What is committed is part of the log, whoever keeps the bytes.
    if (snapshot->index > r->durable) r->durable = snapshot->index;
    if (snapshot->index > r->commit) r->commit = snapshot->index;
    if (agrees && !r->witness) raft_cut(r, snapshot->index);
    if (r->leader == 0) return;
    raft_message_t *reply = raft_send(r, RAFT_APPEND_REPLY, r->leader);
    reply->ok = true;
    reply->prev_index = reply->match_index = snapshot->index;
}
