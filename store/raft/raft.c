// Life, the dispatch of events, and what all parts of the core share.
#include "store/raft/raft_state.h"

// ---- members ------------------------------------------------------------------------------------
const raft_member_t *raft_config_find(const raft_config_t *c, raft_id_t id) {
    for (size_t i = 0; i < c->len; i++)
        if (c->members[i].id == id) return &c->members[i];
    return NULL;
}

size_t raft_config_voters(const raft_config_t *c) {
    size_t voters = 0;
    for (size_t i = 0; i < c->len; i++) voters += c->members[i].role == RAFT_MEMBER_VOTER;
    return voters;
}

static bool is_voter_of(const raft_config_t *c, raft_id_t id) {
    const raft_member_t *member = raft_config_find(c, id);
    return member && member->role == RAFT_MEMBER_VOTER;
}

bool raft_config_can_follow(const raft_config_t *from, const raft_config_t *to) {
    if (to->len == 0 || to->len > RAFT_MEMBERS_MAX || raft_config_voters(to) == 0) return false;
    size_t differ = 0;
    for (size_t i = 0; i < to->len; i++) {
        raft_id_t id = to->members[i].id;
        if (id == 0 || raft_config_find(to, id) != &to->members[i]) return false;
        differ += is_voter_of(to, id) != is_voter_of(from, id);
    }
    for (size_t i = 0; i < from->len; i++)
        if (!raft_config_find(to, from->members[i].id))
            differ += is_voter_of(from, from->members[i].id);
    return differ <= 1; // any two majorities overlap (dissertation §4.1)
}

const raft_config_t *raft_config_now(const raft_t *r) {
    return &r->configs.at[r->configs.len - 1].config;
}
bool raft_is_voter(const raft_t *r, raft_id_t id) { return is_voter_of(raft_config_now(r), id); }
size_t raft_quorum(const raft_t *r) { return raft_config_voters(raft_config_now(r)) / 2 + 1; }

peer_t *raft_find_peer(raft_t *r, raft_id_t id) {
    for (size_t i = 0; i < r->peers.len; i++)
        if (r->peers.at[i].id == id) return &r->peers.at[i];
    return NULL;
}

// Keep what is known of those who stay. A newcomer is probed with the log's last entry (the one
// that names it): there is always something to send, and its answer says where it stands.
static void sync_peers(raft_t *r) {
    const raft_config_t *config = raft_config_now(r);
    for (size_t i = r->peers.len; i-- > 0;)
        if (!raft_config_find(config, r->peers.at[i].id)) vec_remove(&r->peers, i);
    for (size_t i = 0; i < config->len; i++) {
        raft_id_t id = config->members[i].id;
        if (id == r->id || raft_find_peer(r, id)) continue;
        raft_index_t next = r->trail.last > 0 ? r->trail.last : 1;
        vec_push(&r->peers, ((peer_t){.id = id, .next = next, .heard_ms = r->now_ms}));
    }
}

void raft_configs_push(raft_t *r, raft_index_t index, const raft_config_t *config) {
    vec_push(&r->configs, ((config_at_t){index, *config}));
    sync_peers(r);
}

void raft_configs_truncate(raft_t *r, raft_index_t from) {
    size_t before = r->configs.len;
    while (r->configs.len > 1 && r->configs.at[r->configs.len - 1].index >= from) r->configs.len--;
    if (r->configs.len != before) sync_peers(r);
}

// ---- out ----------------------------------------------------------------------------------------
static void out_reset(raft_out_t *out) {
    raft_out_t kept = *out;
    *out = (raft_out_t){0};
    out->messages.at = kept.messages.at;
    out->messages.cap = kept.messages.cap;
    out->reads.at = kept.reads.at;
    out->reads.cap = kept.reads.cap;
}

void raft_out_done(raft_out_t *out) {
    vec_done(&out->messages);
    vec_done(&out->reads);
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
    if (r->hard_changed || out->append_len || out->truncate_from) {
        out->write = ++r->write_last;
        out->has_hard = r->hard_changed;
        out->hard = r->hard;
        if (r->hard_changed) r->write_hard = out->write;
        vec_push(&r->writes,
                 ((write_t){out->write, r->trail.last, r->hard_changed ? r->hard.term : 0}));
        r->hard_changed = false;
    }
    date_messages(r);
    out->apply_to = raft_apply_limit(r);
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
    if (r->role == RAFT_LEADER) raft_advance_commit(r);
}

static void on_tick(raft_t *r) {
    if (r->role == RAFT_LEADER) {
        if (r->transfer_to && r->now_ms >= r->transfer_deadline_ms) r->transfer_to = 0;
        if (r->now_ms >= r->election_deadline_ms) raft_check_quorum(r);
        if (r->role == RAFT_LEADER && r->now_ms >= r->heartbeat_deadline_ms) raft_heartbeat(r);
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
    if (m->type == RAFT_VOTE && !m->transfer && raft_hears_leader(r)) return false;
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

static void on_cut(raft_t *r, raft_index_t up_to) {
    assert(up_to <= raft_apply_limit(r));
    if (up_to <= r->trail.base) return;
    trail_cut(&r->trail, up_to);
    // The configuration in force at the new base stays as the oldest.
    while (r->configs.len > 1 && r->configs.at[1].index <= up_to) vec_remove(&r->configs, 0);
}

void raft_step(raft_t *raft, const raft_event_t *event, raft_out_t *out) {
    assert(raft && event && out);
    assert(event->now_ms >= raft->now_ms);
    raft_role_t role = raft->role;
    raft_term_t term = raft->hard.term;
    raft_id_t leader = raft->leader;
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
    case RAFT_EVENT_CUT: on_cut(raft, event->cut_to); break;
    }
    finish(raft);
    out->role_changed = role != raft->role || term != raft->hard.term || leader != raft->leader;
    raft->out = NULL;
    raft_check(raft);
}

// ---- life ---------------------------------------------------------------------------------------
raft_t *raft_new(const raft_options_t *options, int64_t now_ms, uint64_t dice) {
    assert(options->id && options->trail);
    assert(options->applied <= options->trail->last && options->applied >= options->trail->base);
    raft_t *r = NEW(raft_t);
    r->id = options->id;
    r->election_timeout_ms = options->election_timeout_ms ? options->election_timeout_ms
                                                          : RAFT_ELECTION_TIMEOUT_DEFAULT_MS;
    r->heartbeat_ms = options->heartbeat_ms ? options->heartbeat_ms : RAFT_HEARTBEAT_DEFAULT_MS;
    assert(r->heartbeat_ms < r->election_timeout_ms);
    r->hard = options->hard;
    trail_init(&r->trail, options->trail->base, options->trail->base_term);
    for (size_t i = 0; i < options->trail->runs.len; i++) {
        bool is_last = i + 1 == options->trail->runs.len;
        raft_index_t end =
            is_last ? options->trail->last : options->trail->runs.at[i + 1].first - 1;
        trail_append(&r->trail, options->trail->runs.at[i].term, end - r->trail.last);
    }
    r->commit = options->applied;
    r->durable = r->trail.last;
    r->now_ms = now_ms;
    r->dice = dice;
    if (options->config_index > options->applied && options->config_before.len)
        raft_configs_push(r, 0, &options->config_before);
    raft_configs_push(r, options->config_index, &options->config);
    raft_reset_election(r);
    // Alone there is nobody to wait for: stand at the first tick.
    if (raft_is_voter(r, r->id) && raft_quorum(r) == 1) r->election_deadline_ms = now_ms;
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
    if (raft->transfer_to && raft->transfer_deadline_ms < due) due = raft->transfer_deadline_ms;
    return due;
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

bool raft_peer(const raft_t *raft, raft_id_t id, raft_peer_view_t *ret_view) {
    for (size_t i = 0; raft->role == RAFT_LEADER && i < raft->peers.len; i++) {
        const peer_t *peer = &raft->peers.at[i];
        if (peer->id != id) continue;
        *ret_view = (raft_peer_view_t){peer->match, peer->next, peer->heard_ms};
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
    assert(raft->durable <= raft->trail.last);
    assert(trail_last_term(&raft->trail) <= raft->hard.term);
    assert(raft->role != RAFT_LEADER || raft->leader == raft->id);
    assert(raft->role != RAFT_CANDIDATE || raft->hard.vote == raft->id);
    assert(raft->write_synced <= raft->write_last);
    assert(raft->configs.len > 0);
    assert(raft->transfer_to == 0 || raft->role == RAFT_LEADER);
}
