// Who belongs to the cluster: configurations, one change at a time (§4.1), and what a leader knows
// of the others.
#include "store/raft/raft_state.h"

// ---- configurations -----------------------------------------------------------------------------
const raft_member_t *raft_config_find(const raft_config_t *c, raft_id_t id) {
    for (size_t i = 0; i < c->len; i++)
        if (c->members[i].id == id) return &c->members[i];
    return NULL;
}

static bool is_voter_of(const raft_config_t *c, raft_id_t id) {
    const raft_member_t *member = raft_config_find(c, id);
    return member && member->role != RAFT_MEMBER_LEARNER;
}

size_t raft_config_voters(const raft_config_t *c) {
    size_t voters = 0;
    for (size_t i = 0; i < c->len; i++) voters += c->members[i].role != RAFT_MEMBER_LEARNER;
    return voters;
}

const raft_member_t *raft_config_witness(const raft_config_t *c) {
    for (size_t i = 0; i < c->len; i++)
        if (c->members[i].role == RAFT_MEMBER_WITNESS) return &c->members[i];
    return NULL;
}

bool raft_config_is_valid(const raft_config_t *c) {
    size_t of_role[RAFT_MEMBER_WITNESS + 1] = {0};
    if (c->len == 0 || c->len > RAFT_MEMBERS_MAX) return false;
    for (size_t i = 0; i < c->len; i++) {
        const raft_member_t *m = &c->members[i];
        if (m->id == 0 || raft_config_find(c, m->id) != m) return false;
        if ((unsigned)m->role > RAFT_MEMBER_WITNESS) return false;
        of_role[m->role]++;
    }
    return of_role[RAFT_MEMBER_VOTER] > 0 && of_role[RAFT_MEMBER_WITNESS] <= 1;
}

bool raft_config_can_follow(const raft_config_t *from, const raft_config_t *to) {
    if (!raft_config_is_valid(to)) return false;
    size_t differ = 0;
    for (size_t i = 0; i < to->len; i++) {
        const raft_member_t *now = &to->members[i], *was = raft_config_find(from, now->id);
        // One with a state machine does not lose it by a word, nor does the other get one.
        bool witness = now->role == RAFT_MEMBER_WITNESS;
        if (was && witness != (was->role == RAFT_MEMBER_WITNESS)) return false;
        differ += is_voter_of(to, now->id) != is_voter_of(from, now->id);
    }
    for (size_t i = 0; i < from->len; i++)
        if (!raft_config_find(to, from->members[i].id))
            differ += is_voter_of(from, from->members[i].id);
    return differ <= 1; // any two majorities overlap (dissertation §4.1)
}

// ---- the one in force ---------------------------------------------------------------------------
const raft_config_t *raft_config_now(const raft_t *r) {
    return &r->configs.at[r->configs.len - 1].config;
}
bool raft_is_voter(const raft_t *r, raft_id_t id) { return is_voter_of(raft_config_now(r), id); }
bool raft_is_full_voter(const raft_t *r, raft_id_t id) {
    const raft_member_t *member = raft_config_find(raft_config_now(r), id);
    return member && member->role == RAFT_MEMBER_VOTER;
}
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

void raft_configs_begin(raft_t *r, raft_index_t index, const raft_config_t *config) {
    raft_config_t copy = *config;
    vec_reset(&r->configs);
    raft_configs_push(r, index, &copy);
}

// ---- changes ------------------------------------------------------------------------------------
// A new voter must not make the cluster wait for it (§4.2.1). Beside a witness it must have all
// that is committed: the witness may have cut that away.
static bool is_caught_up(raft_t *r, raft_id_t id) {
    if (id == r->id) return true;
    const peer_t *peer = raft_find_peer(r, id);
    bool witness = raft_config_witness(raft_config_now(r)) != NULL;
    raft_index_t lag_max = witness ? 0 : RAFT_PROMOTE_LAG_MAX;
    return peer && peer->match > 0 && peer->match + lag_max >= r->commit;
}

bool raft_may_change_members(raft_t *r, const raft_config_t *to) {
    if (r->canary == RAFT_CANARY_TWO_VOTERS) return true;
    // Only after an entry of this term is committed (§4.1 and the erratum of 2015).
    if (!raft_is_settled(r)) {
        raft_refuse(r, ERR_UNAVAILABLE, "the leader has not committed an entry of its term yet");
        return false;
    }
    if (r->configs.at[r->configs.len - 1].index > r->commit) {
        raft_refuse(r, ERR_CONFLICT, "another change of members is under way");
        return false;
    }
    if (!raft_config_can_follow(raft_config_now(r), to)) {
        raft_refuse(r, ERR_INVALID, "a change is of one voter at a time, with a voter left");
        return false;
    }
    for (size_t i = 0; i < to->len; i++) {
        const raft_member_t *m = &to->members[i];
        if (m->role != RAFT_MEMBER_VOTER || raft_is_voter(r, m->id)) continue;
        if (is_caught_up(r, m->id)) continue;
        raft_refuse(r, ERR_UNAVAILABLE, "a new voter must be a learner that has caught up");
        return false;
    }
    return true;
}
