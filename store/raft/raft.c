// Life, the dispatch of events, and what all parts of the core share.
#include "store/raft/raft_state.h"

// ---- out ----------------------------------------------------------------------------------------
static void out_reset(raft_out_t *out) {
    raft_out_t kept = *out;
    *out = (raft_out_t){0};
    out->messages.at = kept.messages.at;
    out->messages.cap = kept.messages.cap;
    out->reads.at = kept.reads.at;
    out->reads.cap = kept.reads.cap;
    out->snapshots.at = kept.snapshots.at;
    out->snapshots.cap = kept.snapshots.cap;
}

void raft_out_done(raft_out_t *out) {
    vec_done(&out->messages);
    vec_done(&out->reads);
    vec_done(&out->snapshots);
}

void raft_refuse(raft_t *r, err_t err, const char *why) {
    r->out->refused = err;
    r->out->why = why;
}

raft_message_t *raft_send(raft_t *r, raft_message_type_t type, raft_id_t to) {
    vec_push(&r->out->messages,
             ((raft_message_t){.type = type, .from = r->id, .to = to, .term = r->hard.term}));
    return &r->out->messages.at[r->out->messages.len - 1];
}

void raft_log_append(raft_t *r, raft_term_t term, uint64_t count) {
    if (r->out->append_len == 0) r->out->append_first = r->trail.last + 1;
    r->out->append_len += count;
    trail_append(&r->trail, term, count);
}

void raft_log_truncate(raft_t *r, raft_index_t from) {
    assert(from > r->commit); // what is committed stays (state machine safety, §3.6.3)
    trail_truncate(&r->trail, from);
    raft_configs_truncate(r, from);
    r->out->truncate_from = from;
    if (r->durable >= from) r->durable = from - 1;
    if (r->agreed >= from) r->agreed = from - 1;
    for (size_t i = 0; i < r->writes.len; i++)
        if (r->writes.at[i].last >= from) r->writes.at[i].last = from - 1;
}

// Which messages wait for which write. What promises something (a vote, entries kept) waits for
// the newest write; an answer that only tells our term waits for the write that has the term.
static void date_messages(raft_t *r) {
    for (size_t i = 0; i < r->out->messages.len; i++) {
        raft_message_t *m = &r->out->messages.at[i];
        uint64_t needed = 0;
        switch (m->type) {
        case RAFT_VOTE:
        case RAFT_VOTE_REPLY:
        case RAFT_APPEND_REPLY: needed = r->write_last; break;
        case RAFT_HEARTBEAT_REPLY:
        case RAFT_PRE_VOTE_REPLY: needed = r->write_hard; break;
        default: break;
        }
        m->after_write = needed > r->write_synced ? needed : 0;
    }
}

static void finish(raft_t *r) {
    raft_out_t *out = r->out;
    if (r->hard_changed || out->append_len || out->truncate_from || out->begin_after) {
        out->write = ++r->write_last;
        out->has_hard = r->hard_changed;
        out->hard = r->hard;
        if (r->hard_changed) r->write_hard = out->write;
        vec_push(&r->writes, ((write_t){out->write, r->trail.last, r->now_ms}));
        r->hard_changed = false;
    }
    date_messages(r);
    out->apply_to = r->witness ? 0 : raft_apply_limit(r);
}

// ---- events -------------------------------------------------------------------------------------
static void on_synced(raft_t *r, uint64_t write) {
    assert(write <= r->write_last);
    size_t done = 0;
    while (done < r->writes.len && r->writes.at[done].number <= write) {
        if (r->writes.at[done].last > r->durable) r->durable = r->writes.at[done].last;
        done++;
    }
    if (done)
        memmove(r->writes.at, r->writes.at + done, (r->writes.len - done) * sizeof *r->writes.at);
    r->writes.len -= done;
    if (write > r->write_synced) r->write_synced = write;
    if (r->role == RAFT_CANDIDATE) raft_count_votes(r); // our own vote may count now
    raft_advance_commit(r);
}

static void on_tick(raft_t *r) {
    if (r->role == RAFT_LEADER) {
        raft_consider_heir(r);
        if (r->now_ms >= r->election_deadline_ms) raft_check_quorum(r);
        if (r->role == RAFT_LEADER && r->now_ms >= r->heartbeat_deadline_ms) {
            raft_heartbeat(r);
            raft_weigh_witness(r);
        }
        return;
    }
    if (r->now_ms < r->election_deadline_ms) return;
    if (raft_is_voter(r, r->id))
        raft_pre_campaign(r);
    else
        raft_reset_election(r);
}

// A message of a newer term makes us a follower of that term, with two exceptions: a pre-vote only
// asks, and a vote while a leader is heard disturbs nobody (§4.2.3).
static bool accept_newer_term(raft_t *r, const raft_message_t *m) {
    if (m->type == RAFT_PRE_VOTE) return true;
    if (m->type == RAFT_PRE_VOTE_REPLY && m->ok) return true; // bears the term we asked about
    bool unasked = m->type == RAFT_VOTE && !m->transfer;
    if (unasked && (raft_hears_leader(r) || raft_is_bound(r))) return false;
    bool from_leader = m->type == RAFT_APPEND || m->type == RAFT_HEARTBEAT;
    raft_become_follower(r, m->term, from_leader ? m->from : 0);
    return true;
}

// A message of an older term is answered only where the answer helps its sender to catch up.
static void answer_older_term(raft_t *r, const raft_message_t *m) {
    if (m->type == RAFT_APPEND || m->type == RAFT_HEARTBEAT) {
        raft_message_t *reply = raft_send(r, RAFT_APPEND_REPLY, m->from);
        reply->prev_index = m->prev_index;
        reply->hint_index = r->trail.last;
        reply->hint_term = trail_last_term(&r->trail);
    } else if (m->type == RAFT_PRE_VOTE) {
        raft_send(r, RAFT_PRE_VOTE_REPLY, m->from);
    }
}

static void on_message(raft_t *r, const raft_message_t *m) {
    if (m->to != r->id || m->from == r->id || m->from == 0) return;
    if (m->term > r->hard.term && !accept_newer_term(r, m)) return;
    if (m->term < r->hard.term) {
        answer_older_term(r, m);
        return;
    }
    switch (m->type) {
    case RAFT_PRE_VOTE: raft_recv_pre_vote(r, m); break;
    case RAFT_VOTE: raft_recv_vote(r, m); break;
    case RAFT_PRE_VOTE_REPLY:
    case RAFT_VOTE_REPLY: raft_recv_vote_reply(r, m); break;
    case RAFT_APPEND: raft_recv_append(r, m); break;
    case RAFT_APPEND_REPLY: raft_recv_append_reply(r, m); break;
    case RAFT_HEARTBEAT: raft_recv_heartbeat(r, m); break;
    case RAFT_HEARTBEAT_REPLY: raft_recv_heartbeat_reply(r, m); break;
    case RAFT_TIMEOUT_NOW: raft_recv_timeout_now(r); break;
    }
}

void raft_step(raft_t *raft, const raft_event_t *event, raft_out_t *out) {
    assert(raft && event && out);
    assert(event->now_ms >= raft->now_ms);
    raft_role_t role = raft->role;
    raft_term_t term = raft->hard.term;
    raft_id_t leader = raft->leader;
    raft_index_t config_index = raft_config_index(raft);
    out_reset(out);
    raft->out = out;
    raft->now_ms = event->now_ms;
    raft->dice = event->dice;
    switch (event->type) {
    case RAFT_EVENT_TICK: on_tick(raft); break;
    case RAFT_EVENT_MESSAGE: on_message(raft, event->message); break;
    case RAFT_EVENT_SYNCED: on_synced(raft, event->write); break;
    case RAFT_EVENT_PROPOSE: raft_propose(raft, event->entries, event->entries_len); break;
    case RAFT_EVENT_READ: raft_read(raft, event->read); break;
    case RAFT_EVENT_TRANSFER: raft_transfer(raft, event->transfer_to); break;
    case RAFT_EVENT_CUT: raft_cut(raft, event->cut_to); break;
    case RAFT_EVENT_INSTALLED: raft_installed(raft, &event->installed); break;
    case RAFT_EVENT_SUSPECT: raft_suspect(raft, event->suspect); break;
    case RAFT_EVENT_SNAPSHOT_ENDED: raft_snapshot_ended(raft, event->snapshot_to); break;
    }
    finish(raft);
    out->role_changed = role != raft->role || term != raft->hard.term || leader != raft->leader;
    out->config_changed = config_index != raft_config_index(raft);
    raft->out = NULL;
    raft_check(raft);
}

// ---- life ---------------------------------------------------------------------------------------
static void take_options(raft_t *r, const raft_options_t *o) {
    r->id = o->id;
    r->election_timeout_ms =
        o->election_timeout_ms ? o->election_timeout_ms : RAFT_ELECTION_TIMEOUT_DEFAULT_MS;
    r->heartbeat_ms = o->heartbeat_ms ? o->heartbeat_ms : RAFT_HEARTBEAT_DEFAULT_MS;
    assert(r->heartbeat_ms < r->election_timeout_ms);
    r->disk_stuck_ms = o->disk_stuck_ms ? o->disk_stuck_ms : RAFT_DISK_STUCK_DEFAULT_MS;
    r->drift_percent = o->drift_percent ? o->drift_percent : RAFT_DRIFT_DEFAULT_PERCENT;
    r->lease_reads = o->lease_reads;
    r->witness = o->witness;
    r->witness_entries_max =
        o->witness_entries_max ? o->witness_entries_max : RAFT_WITNESS_ENTRIES_DEFAULT;
    r->canary = o->canary;
}

static void take_trail(raft_t *r, const trail_t *trail) {
    trail_init(&r->trail, trail->base, trail->base_term);
    for (size_t i = 0; i < trail->runs.len; i++) {
        bool is_last = i + 1 == trail->runs.len;
        raft_index_t end = is_last ? trail->last : trail->runs.at[i + 1].first - 1;
        trail_append(&r->trail, trail->runs.at[i].term, end - r->trail.last);
    }
}

raft_t *raft_new(const raft_options_t *options, int64_t now_ms, uint64_t dice) {
    assert(options->id && options->trail);
    assert(options->applied <= options->trail->last && options->applied >= options->trail->base);
    raft_t *r = NEW(raft_t);
    take_options(r, options);
    take_trail(r, options->trail);
    r->hard = options->hard;
    r->commit = options->applied;
    r->durable = r->trail.last;
    r->now_ms = now_ms;
    r->dice = dice;
    if (options->config_index > options->applied && options->config_before.len)
        raft_configs_push(r, 0, &options->config_before);
    raft_configs_push(r, options->config_index, &options->config);
    raft_reset_election(r);
    // Alone there is nobody to wait for: stand at the first tick. Unless there were others: one of
    // them may count on what we promised before we stopped.
    bool first_alone = options->config_index == 0 && options->config.len == 1;
    if (!first_alone) raft_bind(r);
    if (raft_is_voter(r, r->id) && raft_quorum(r) == 1 && !raft_is_bound(r))
        r->election_deadline_ms = now_ms;
    raft_check(r);
    return r;
}

void raft_destroy(raft_t **raft) {
    raft_t *r = x_steal(raft);
    if (!r) return;
    trail_done(&r->trail);
    vec_done(&r->configs);
    vec_done(&r->writes);
    vec_done(&r->peers);
    vec_done(&r->reads);
    free(r);
}

// ---- questions ----------------------------------------------------------------------------------
int64_t raft_deadline_ms(const raft_t *raft) {
    if (raft->role != RAFT_LEADER) return raft->election_deadline_ms;
    if (raft->peers.len == 0) return INT64_MAX; // nobody to beat to, no quorum to lose
    int64_t due = raft->election_deadline_ms;
    if (raft->heartbeat_deadline_ms < due) due = raft->heartbeat_deadline_ms;
    int64_t hand_over_ms = raft_hand_over_due_ms(raft);
    return hand_over_ms < due ? hand_over_ms : due;
}

raft_role_t raft_role(const raft_t *raft) { return raft->role; }
raft_term_t raft_term(const raft_t *raft) { return raft->hard.term; }
raft_id_t raft_leader(const raft_t *raft) { return raft->leader; }
raft_index_t raft_commit(const raft_t *raft) { return raft->commit; }
raft_index_t raft_apply_limit(const raft_t *raft) {
    return raft->commit < raft->durable ? raft->commit : raft->durable;
}
const trail_t *raft_trail(const raft_t *raft) { return &raft->trail; }
const raft_config_t *raft_config(const raft_t *raft) { return raft_config_now(raft); }
raft_index_t raft_config_index(const raft_t *raft) {
    return raft->configs.at[raft->configs.len - 1].index;
}
raft_id_t raft_transferee(const raft_t *raft) { return raft->transfer_to; }

bool raft_peer(const raft_t *raft, raft_id_t id, raft_peer_view_t *ret_view) {
    for (size_t i = 0; raft->role == RAFT_LEADER && i < raft->peers.len; i++) {
        const peer_t *peer = &raft->peers.at[i];
        if (peer->id != id) continue;
        *ret_view =
            (raft_peer_view_t){peer->state, peer->match, peer->next, peer->heard_ms, peer->full};
        return true;
    }
    return false;
}

bool raft_is_settled(const raft_t *raft) {
    return raft->role == RAFT_LEADER && trail_term(&raft->trail, raft->commit) == raft->hard.term;
}

void raft_check(const raft_t *raft) {
    assert(raft->commit <= raft->trail.last);
    assert(raft->commit >= raft->trail.base);
    assert(raft->durable <= raft->trail.last && raft->durable >= raft->trail.base);
    assert(raft->agreed <= raft->trail.last);
    assert(trail_last_term(&raft->trail) <= raft->hard.term);
    assert(raft->role != RAFT_LEADER || raft->leader == raft->id);
    assert(raft->role != RAFT_CANDIDATE || raft->hard.vote == raft->id);
    assert(raft->write_synced <= raft->write_last);
    assert(raft->configs.len > 0);
    assert(raft->transfer_to == 0 || raft->role == RAFT_LEADER);
}
