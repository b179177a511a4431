#include "store/raft/trail.h"

void trail_init(trail_t *t, raft_index_t base, raft_term_t base_term) {
    *t = (trail_t){.base = base, .last = base, .base_term = base_term};
}

void trail_done(trail_t *t) { vec_done(&t->runs); }

// The run that holds `index`, which lies in (base, last].
static const trail_run_t *run_of(const trail_t *t, raft_index_t index) {
    assert(index > t->base && index <= t->last);
    size_t low = 0, high = t->runs.len;
    while (high - low > 1) {
        size_t middle = (low + high) / 2;
        if (t->runs.at[middle].first <= index)
            low = middle;
        else
            high = middle;
    }
    assert(t->runs.at[low].first <= index);
    return &t->runs.at[low];
}

raft_term_t trail_term(const trail_t *t, raft_index_t index) {
    if (index == t->base) return t->base_term;
    if (index < t->base || index > t->last) return 0;
    return run_of(t, index)->term;
}

raft_term_t trail_last_term(const trail_t *t) { return trail_term(t, t->last); }

void trail_append(trail_t *t, raft_term_t term, uint64_t count) {
    assert(term >= trail_last_term(t));
    if (count == 0) return;
    if (t->last == t->base || term > trail_last_term(t))
        vec_push(&t->runs, ((trail_run_t){t->last + 1, term}));
    t->last += count;
}

void trail_truncate(trail_t *t, raft_index_t from) {
    assert(from > t->base);
    if (from > t->last) return;
    t->last = from - 1;
    while (t->runs.len && t->runs.at[t->runs.len - 1].first > t->last) t->runs.len--;
}

void trail_cut(trail_t *t, raft_index_t up_to) {
    assert(up_to >= t->base && up_to <= t->last);
    t->base_term = trail_term(t, up_to);
    t->base = up_to;
    size_t gone = 0;
    while (gone < t->runs.len) {
        raft_index_t end = gone + 1 < t->runs.len ? t->runs.at[gone + 1].first - 1 : t->last;
        if (end > up_to) break;
        gone++;
    }
    if (gone) memmove(t->runs.at, t->runs.at + gone, (t->runs.len - gone) * sizeof *t->runs.at);
    t->runs.len -= gone;
    if (t->runs.len && t->runs.at[0].first <= up_to) t->runs.at[0].first = up_to + 1;
}

raft_index_t trail_find(const trail_t *t, raft_index_t index, raft_term_t term) {
    if (index > t->last) index = t->last;
    while (index > t->base && trail_term(t, index) > term) index = run_of(t, index)->first - 1;
    return index > t->base ? index : t->base;
}
