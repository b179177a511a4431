// Leases (§6.4.1): a leader that a majority has answered may read on its own word for a while, as
// none of them will vote for another before.
//
//     leader    ├─ beat sent ──── lease: T ÷ (1 + drift) ────┤
//     follower       ├─ heard ──────────── bound: T ───────────────┤
//
// T is the follower's election time-out; its answers say it, and nothing without lease_reads.
// The leader's span begins earlier and is shorter by any clock, so it ends first.
#include "store/raft/raft_state.h"

int64_t raft_promise_ms(const raft_t *r) { return r->lease_reads ? r->election_timeout_ms : 0; }

void raft_bind(raft_t *r) {
    if (r->lease_reads) r->bound_until_ms = r->now_ms + raft_promise_ms(r);
}

bool raft_is_bound(const raft_t *r) {
    return r->now_ms < r->bound_until_ms && r->canary != RAFT_CANARY_VOTE_DURING_LEASE;
}

// Of a promise in answer to what was sent then: not the leader's own T counts, but that of who
// promised. Both ends read their clocks in whole milliseconds: two less.
int64_t raft_lease_end_ms(const raft_t *r, int64_t sent_ms, int64_t promise_ms) {
    if (promise_ms > r->election_timeout_ms) promise_ms = r->election_timeout_ms;
    return promise_ms <= 0 ? 0 : sent_ms + promise_ms * 100 / (100 + r->drift_percent) - 2;
}

bool raft_has_lease(const raft_t *r, int64_t now_ms) {
    if (!r->lease_reads || r->lease_given_up || !raft_is_settled(r)) return false;
    size_t bound = raft_is_voter(r, r->id);
    for (size_t i = 0; i < r->peers.len; i++)
        bound += raft_is_voter(r, r->peers.at[i].id) && now_ms < r->peers.at[i].lease_until_ms;
    return bound >= raft_quorum(r);
}
