// nodeipam - gives each node its part of the pod range. One key: the plan needs all nodes.
#include "actors/controllers/controller.h"
#include "actors/controllers/nodeipam_plan.h"
#include "actors/controllers/rows.h"

#define KEY "nodes"

typedef struct {
    map_t told; // names of the nodes that wait, and were told so; the value means nothing
} state_t;

static const char *range_of(const record_t *r) {
    const Core__Node *node = RECORD_AS(Core__Node, r);
    return node->spec ? or_empty(node->spec->podcidr) : "";
}

static void on_node(void *arg, const record_t *was, const record_t *is) {
    state_t *state = controller_state(arg);
    if (!is || *range_of(is)) map_remove(&state->told, (is ? is : was)->name);
    // A node that goes frees its part, perhaps for one that waits.
    if (!is || !*range_of(is)) controller_touch(arg, KEY);
}

static void start(controller_t *c) {
    if (controller_args(c)->allocate_node_ranges)
        informer_subscribe(controller_follow(c, FOLLOWED_NODES), on_node, c);
}

static void perform(controller_t *c, const nodeipam_action_t *action) {
    const kind_t *kind = followed_kind(FOLLOWED_NODES);
    const record_t *r = informer_get(controller_follow(c, FOLLOWED_NODES), "", action->node);
    assert(r);
    if (!action->range) {
        state_t *state = controller_state(c);
        if (map_get(&state->told, action->node)) return;
        map_put(&state->told, action->node, state);
        controller_event(c, kind, r->object, EVENT_NORMAL, "CIDRNotAvailable",
                         "Node %s status is now: CIDRNotAvailable", action->node);
        return;
    }
    const char *json =
        arena_printf(controller_arena(c), "{\"spec\":{\"podCIDR\":\"%s\",\"podCIDRs\":[\"%s\"]}}",
                     action->range, action->range);
    // With the node's revision as precondition: a node made anew under the same name is another.
    controller_patch(c, kind, "", action->node, NULL, json, r->revision);
}

static void sync(controller_t *c, const char *key) {
    arena_t *arena = controller_arena(c);
    nodeipam_view_t view = {.node_bits = (int)controller_args(c)->node_range_bits};
    err_t err = range4_parse(controller_args(c)->pod_range, &view.range, NULL);
    assert(err == ERR_OK); // the shell does not start with another
    records_t all = informer_all(controller_follow(c, FOLLOWED_NODES));
    nodeipam_node_t *nodes = ARENA_ARRAY(arena, nodeipam_node_t, all.len);
    for (size_t i = 0; i < all.len; i++)
        nodes[i] = (nodeipam_node_t){all.at[i]->name, range_of(all.at[i])};
    view.nodes = nodes;
    view.nodes_len = all.len;
    nodeipam_plan_t plan;
    nodeipam_plan(&view, arena, &plan);
    for (size_t i = 0; i < plan.actions_len; i++) perform(c, &plan.actions[i]);
    if (plan.cut) controller_touch(c, key);
}

static void stop(controller_t *c) { map_done(&((state_t *)controller_state(c))->told); }

const controller_def_t nodeipam_controller = {.name = "node-controller",
                                              .needs = NEEDS(NODES),
                                              .state_size = sizeof(state_t),
                                              .start = start,
                                              .sync = sync,
                                              .stop = stop};
