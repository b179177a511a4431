// ReadIndex (§6.4): a read is answered with the commit index of its arrival, once a majority has
// answered a heartbeat that was sent after it. Reads that arrive together share the round. A leader
// with a lease (lease.c) needs no round.
#include "store/raft/raft_state.h"

static void answer(raft_t *r, const read_t *read, bool ok) {
    vec_push(&r->out->reads, ((raft_read_done_t){read->read, read->index, ok}));
}

// The newest round that a majority has answered.
static uint64_t proven_round(const raft_t *r) {
    uint64_t rounds[RAFT_MEMBERS_MAX];
    size_t len = 0;
    if (raft_is_voter(r, r->id)) rounds[len++] = r->round_last;
    for (size_t i = 0; i < r->peers.len; i++)
        if (raft_is_voter(r, r->peers.at[i].id)) rounds[len++] = r->peers.at[i].round;
    size_t quorum = raft_quorum(r);
    uint64_t best = 0;
    for (size_t i = 0; i < len; i++) {
        size_t have = 0;
        for (size_t j = 0; j < len; j++) have += rounds[j] >= rounds[i];
        if (have >= quorum && rounds[i] > best) best = rounds[i];
    }
    return best;
}

void raft_advance_reads(raft_t *r) {
    if (!raft_is_settled(r) || r->reads.len == 0) return;
    uint64_t proven = proven_round(r);
    bool by_lease = raft_has_lease(r, r->now_ms) || r->canary == RAFT_CANARY_READ_WITHOUT_ROUND;
    bool alone = raft_quorum(r) == 1 && raft_is_voter(r, r->id);
    size_t kept = 0;
    bool waiting = false, under_way = false;
    for (size_t i = 0; i < r->reads.len; i++) {
        read_t *read = &r->reads.at[i];
        if (read->index == 0) read->index = r->commit; // came before the term's first commit
        if (alone || by_lease || (read->round && read->round <= proven)) {
            answer(r, read, true);
            continue;
        }
        waiting |= read->round == 0;
        under_way |= read->round != 0;
        r->reads.at[kept++] = *read;
    }
    r->reads.len = kept;
    if (waiting && !under_way) raft_heartbeat(r);
}

void raft_read(raft_t *r, uint64_t read) {
    if (r->role != RAFT_LEADER || r->witness) {
        answer(r, &(read_t){.read = read}, false);
        return;
    }
    vec_push(&r->reads, ((read_t){.read = read, .index = raft_is_settled(r) ? r->commit : 0}));
    raft_advance_reads(r);
}

void raft_fail_reads(raft_t *r) {
    for (size_t i = 0; i < r->reads.len; i++) answer(r, &r->reads.at[i], false);
    vec_reset(&r->reads);
}
