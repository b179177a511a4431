// trail - the shape of a log without its contents: which term each entry has.
//
// Kept as runs of equal terms, so that a log of a million entries is a handful of numbers. The
// core decides on the trail alone; the entries themselves stay with the shell.
//
//     base 4(t1)  5 5 5 | 7 7          runs: {5, t1} {8, t7}
//                 t1      t7
#pragma once
#include "runtime/base/check.h"
#include "runtime/base/vec.h"

typedef uint64_t raft_term_t;
typedef uint64_t raft_index_t; // of an entry, from 1; 0: before the first

typedef struct {
    raft_index_t first;
    raft_term_t term;
} trail_run_t;

typedef struct {
    raft_index_t base, last; // entries are (base, last]; everything up to base is cut away
    raft_term_t base_term;
    VEC(trail_run_t) runs; // by first index; terms strictly ascending
} trail_t;

void trail_init(trail_t *t, raft_index_t base, raft_term_t base_term);
void trail_done(trail_t *t);
// Term of the entry at `index`; 0 where it is unknown (cut away, or past the end) or index is 0.
raft_term_t trail_term(const trail_t *t, raft_index_t index);
raft_term_t trail_last_term(const trail_t *t);
void trail_append(trail_t *t, raft_term_t term, uint64_t count); // term >= the last one's
void trail_truncate(trail_t *t, raft_index_t from);              // drops from..last; from > base
void trail_cut(trail_t *t, raft_index_t up_to);                  // new base; base <= up_to <= last
// Largest index <= `index` whose term is <= `term`, not below base.
raft_index_t trail_find(const trail_t *t, raft_index_t index, raft_term_t term);
