// nodeipam_plan - which part of the cluster's pod range each node gets.
//
// Pure. A node without a range gets the lowest part that no node holds; a part comes free when its
// node object is gone. A node keeps what it has, even outside the range.
#pragma once
#include "runtime/base/arena.h"
#include "runtime/base/text.h"
#include "runtime/base/why.h"

enum { NODEIPAM_BURST_MAX = 256 }; // ranges given out by one plan; the next plan goes on

typedef struct {
    uint32_t base; // host byte order
    int bits;
} range4_t;
err_t range4_parse(const char *text, range4_t *ret_range,
                   why_t *why) MUST_USE; // "10.244.0.0/16"; ERR_MALFORMED
const char *range4_print(arena_t *arena, range4_t range);

typedef struct {
    const char *name;
    const char *range; // spec.podCIDR; "": none yet
} nodeipam_node_t;
typedef struct {
    range4_t range;
    int node_bits;                // > range.bits
    const nodeipam_node_t *nodes; // sorted by name
    size_t nodes_len;
} nodeipam_view_t;

typedef struct {
    const char *node;
    const char *range; // NULL: nothing is left
} nodeipam_action_t;
typedef struct {
    nodeipam_action_t *actions;
    size_t actions_len;
    bool cut; // NODEIPAM_BURST_MAX reached: plan again
} nodeipam_plan_t;
void nodeipam_plan(const nodeipam_view_t *view, arena_t *arena, nodeipam_plan_t *ret_plan);
void nodeipam_plan_print(const nodeipam_plan_t *plan, text_t *out);
