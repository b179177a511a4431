// nodelife_plan - what a node's silence and its conditions mean for it and for its pods.
//
// Pure, one node at a time. A node that is not heard is of unknown condition; conditions become
// taints; a taint that repels running pods (NoExecute) sends them away when their toleration ends.
//
//      heard ──silent──► Ready=Unknown ──► taint unreachable ──► pods leave when they tolerate no
//      longer
//        ▲                                  (Ready=False: taint not-ready, the same)
//        └── the kubelet itself says Ready=True again ──► taints go, evictions are called off
//
// When nodes may be given up at all is for nodelife_zones to say.
#pragma once
#include "actors/controllers/nodelife_zones.h"
#include "runtime/base/text.h"

typedef enum { NODE_HEARD, NODE_SILENT } node_voice_t;

typedef struct {
    const Core__Node *node;
    node_voice_t voice;
    repel_t repel; // may NoExecute be set now, may it stand?
    int64_t
        repelled_ms; // wall: since when, to the millisecond; 0: only the taint knows, in seconds
    const Core__Pod *const *pods; // on this node, sorted by name
    size_t pods_len;
    int64_t now_wall_ms;
} nodelife_view_t;

typedef struct {
    Core__NodeStatus *status; // to be written; NULL: as it is
    Core__Taint **taints;     // to be written, all of them; has_taints
    size_t taints_len;
    bool has_taints;
    bool wants_to_repel;       // NoExecute is due, but may not be set now
    bool became_not_ready;     // an event is due
    const Core__Pod **unready; // pods to be marked not ready: nobody can vouch for them
    size_t unready_len;
    const Core__Pod **evicted; // pods to be deleted
    size_t evicted_len;
    int64_t again_in_ms; // next eviction; INT64_MAX: none
} nodelife_plan_t;

void nodelife_plan(const nodelife_view_t *view, arena_t *arena, nodelife_plan_t *ret_plan);
void nodelife_plan_print(const nodelife_plan_t *plan, text_t *out);

// Ready is neither False nor Unknown.
bool nodelife_is_ready(const Core__Node *node);
