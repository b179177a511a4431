// podgc_plan - which pods go because nobody else will remove them.
//
// Pure. Three kinds: pods of a node that is gone (a live look said so); pods that are to be deleted
// and were never placed; finished pods past a number, the oldest first.
#pragma once
#include "runtime/actor/informer.h"

typedef struct {
    const record_t **gone; // to be removed at once, in order; in the arena
    size_t gone_len;
    bool look; // read the node live before anything is removed
} podgc_plan_t;

// `is_here`: the caches know the node. `is_gone`: a live look did not find it.
void podgc_plan_node(records_t pods, bool is_here, bool is_gone, arena_t *arena,
                     podgc_plan_t *ret_plan);
bool podgc_is_stuck(const record_t *pod);
void podgc_plan_finished(records_t pods, size_t finished_max, arena_t *arena,
                         podgc_plan_t *ret_plan); // 0: any number
