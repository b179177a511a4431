// The witness: a voter without a state machine, so that two servers and a small third survive the
// loss of one. docs/store.md has the argument; in short:
//
//     all full voters there    an entry is committed by full voters alone
//     one is away              the witness's word counts: it has the entry on its disk
//     it comes back            whoever leads brings it up to date, the witness too if it must
//
// For that the witness keeps every entry that some full voter lacks. At its limit it takes no more
// (raft_is_full): nothing is committed then until the full voter is back or removed.
#include "store/raft/raft_state.h"

// Silence of this many heartbeats, or so long no progress, makes a full voter one that is away.
enum { AWAY_HEARTBEATS = 2 };

bool raft_counts(const raft_t *r, raft_id_t id) {
    const raft_member_t *member = raft_config_find(raft_config_now(r), id);
    if (!member) return false;
    switch (member->role) {
    case RAFT_MEMBER_VOTER: return true;
    case RAFT_MEMBER_LEARNER: return r->canary == RAFT_CANARY_LEARNER_COUNTS;
    case RAFT_MEMBER_WITNESS: return r->witness || r->witness_counts;
    }
    return false;
}

void raft_weigh_witness(raft_t *r) {
    assert(r->role == RAFT_LEADER);
    if (!raft_config_witness(raft_config_now(r))) return;
    int64_t patience_ms = AWAY_HEARTBEATS * r->heartbeat_ms;
    bool away = r->trail.last > r->commit && r->now_ms - r->commit_moved_ms > patience_ms;
    bool all_there = true;
    size_t full = raft_is_full_voter(r, r->id);
    for (size_t i = 0; i < r->peers.len; i++) {
        const peer_t *peer = &r->peers.at[i];
        if (!raft_is_full_voter(r, peer->id)) continue;
        full++;
        away |= r->now_ms - peer->heard_ms > patience_ms;
        all_there &= peer->match >= r->commit;
    }
    if (away || full < raft_quorum(r))
        r->witness_counts = true;
    else if (all_there)
        r->witness_counts = false;
    raft_advance_commit(r);
}

// Only under a committed configuration: one that is taken back must not have hidden a member.
void raft_learn_everywhere(raft_t *r) {
    if (r->configs.at[r->configs.len - 1].index > r->commit) return;
    raft_index_t least = r->commit;
    if (raft_is_full_voter(r, r->id) && r->durable < least) least = r->durable;
    for (size_t i = 0; i < r->peers.len; i++) {
        const peer_t *peer = &r->peers.at[i];
        if (raft_is_full_voter(r, peer->id) && peer->match < least) least = peer->match;
    }
    if (least > r->everywhere) r->everywhere = least;
}

uint64_t raft_witness_room(const raft_t *r, uint64_t wanted) {
    uint64_t kept = r->trail.last - r->trail.base;
    if (!r->witness) return wanted;
    if (kept >= r->witness_entries_max) return 0;
    uint64_t room = r->witness_entries_max - kept;
    return wanted < room ? wanted : room;
}

bool raft_is_full(const raft_t *r) {
    return r->witness && r->trail.last - r->trail.base >= r->witness_entries_max;
}
