// The trail against the plainest model there is: an array of terms.
#include "runtime/base/rng.h"
#include "store/raft/trail.h"
#include "tests/support/leaks.h"

enum { LEN_MAX = 200 };
typedef struct {
    raft_term_t terms[LEN_MAX + 1];
    raft_index_t base, last;
} model_t;

static void same(const trail_t *t, const model_t *m, uint64_t seed) {
    cr_assert_eq(t->base, m->base);
    cr_assert_eq(t->last, m->last);
    for (raft_index_t i = 0; i <= LEN_MAX; i++) {
        raft_term_t expect = i < m->base || i > m->last ? 0 : m->terms[i];
        cr_assert_eq(trail_term(t, i), expect, "seed %llu, entry %llu", (unsigned long long)seed,
                     (unsigned long long)i);
    }
}

static raft_index_t find(const model_t *m, raft_index_t index, raft_term_t term) {
    if (index > m->last) index = m->last;
    while (index > m->base && m->terms[index] > term) index--;
    return index > m->base ? index : m->base;
}

Test(trail, does_what_an_array_does)
{
    for (uint64_t seed = 1; seed <= 200; seed++) {
        rng_t rng;
        rng_init(&rng, seed);
        trail_t t;
        model_t m = {0};
        trail_init(&t, 0, 0);
        for (int step = 0; step < 60; step++) {
            raft_term_t last_term = m.last ? m.terms[m.last] : 0;
            raft_index_t at = m.base + rng_below(&rng, m.last - m.base + 1);
            switch (rng_below(&rng, 4)) {
            case 0:
            case 1: {
                raft_term_t term = last_term + rng_below(&rng, 3) + (last_term == 0);
                uint64_t count = rng_below(&rng, 6);
                if (m.last + count > LEN_MAX) break;
                trail_append(&t, term, count);
                for (uint64_t i = 0; i < count; i++) m.terms[++m.last] = term;
                break;
            }
            case 2:
                trail_truncate(&t, at + 1);
                m.last = at;
                break;
            case 3:
                if (!rng_chance(&rng, 0.3)) break;
                trail_cut(&t, at);
                m.base = at;
                break;
            }
            same(&t, &m, seed);
            raft_index_t index = m.base + rng_below(&rng, 10);
            raft_term_t term = rng_below(&rng, last_term + 2);
            cr_assert_eq(trail_find(&t, index, term), find(&m, index, term), "seed %llu",
                         (unsigned long long)seed);
        }
        trail_done(&t);
    }
    ASSERT_NO_LEAKS();
}
