// Leases (§6.4.1): a leader that a majority has answered may read on its own word for a while, as
// none of them will vote for another before.
//
//     leader    ├─ beat sent ──── lease: T ÷ (1 + drift) ────┤
//     follower       ├─ heard ──────────── bound: T ───────────────┤
//
// The leader's span begins earlier and is shorter by any clock, so it ends first.
#include "store/raft/raft_state.h"

void raft_bind(raft_t *r) {
    if (r->lease_ms) r->bound_until_ms = r->now_ms + r->election_timeout_ms;
}

bool raft_is_bound(const raft_t *r) {
    return r->now_ms < r->bound_until_ms && r->canary != RAFT_CANARY_VOTE_DURING_LEASE;
}

// When the newest heartbeat was sent that a quorum has answered, ourselves included; 0: none was.
static int64_t quorum_acked_ms(const raft_t *r) {
    int64_t acked[RAFT_MEMBERS_MAX] = {0};
    size_t len = 0, quorum = raft_quorum(r);
    if (raft_is_voter(r, r->id)) acked[len++] = r->now_ms;
    for (size_t i = 0; i < r->peers.len; i++)
        if (raft_is_voter(r, r->peers.at[i].id)) acked[len++] = r->peers.at[i].acked_ms;
    int64_t best = 0;
    for (size_t i = 0; i < len; i++) {
        size_t have = 0;
        for (size_t j = 0; j < len; j++) have += acked[j] >= acked[i];
        if (have >= quorum && acked[i] > best) best = acked[i];
    }
    return best;
}

bool raft_has_lease(const raft_t *r, int64_t now_ms) {
    if (!r->lease_ms || r->lease_given_up || !raft_is_settled(r)) return false;
    int64_t acked_ms = quorum_acked_ms(r);
    return acked_ms > 0 && now_ms < acked_ms + r->lease_ms;
}
