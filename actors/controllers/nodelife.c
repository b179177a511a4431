// nodelife - watches over the nodes: who is silent, what that means for it and its pods. A key is a
// node's name.
//
// The API servers hear the nodes and say who has fallen silent (WatchNodeAges). A node that no API
// server has ever mentioned is given node_unheard_after_ms from the stream's beginning, so that a
// new API server does not make every node silent; more while others are still being heard for the
// first time (a machine under load, a thousand nodes that come back), UNHEARD_MAX_MS at most. While
// the stream is away nothing is decided.
#include "actors/controllers/nodelife_plan.h"
#include "actors/controllers/rows.h"

enum { MOST_PERCENT = 55, JOIN_PAUSE_MS = 500, UNHEARD_MAX_MS = 10 * 1000 };

typedef struct {
    map_t voices;               // node -> (void *)(VOICE_…)
    int64_t listening_since_ms; // 0: nobody tells
    int64_t joined_ms;          // when a node was last heard for the first time
    size_t away;                // as of counted_us
    int64_t counted_us;
    int64_t repelled_ms; // the last NoExecute while most nodes are away
} state_t;
enum { VOICE_HEARD = 1, VOICE_SILENT = 2 };

static void on_node(void *arg, const record_t *was, const record_t *is) {
    controller_t *c = arg;
    if (!is) map_remove(&((state_t *)controller_state(c))->voices, was->name);
    const kind_t *kind = followed_kind(FOLLOWED_NODES);
    if (is && !was && controller_leads(c))
        controller_event(c, kind, is->object, EVENT_NORMAL, "RegisteredNode",
                         "Node %s event: Registered Node %s in Controller", is->name, is->name);
    controller_touch_record(c, is ? is : was);
}

static void on_pod(void *arg, const record_t *was, const record_t *is) {
    const Core__Pod *pod = is ? RECORD_AS(Core__Pod, is) : NULL;
    // Only what was bound after its node was tainted needs another look.
    if (pod && pod->spec && !is_empty(pod->spec->nodename)) {
        const record_t *node =
            informer_get(controller_follow(arg, FOLLOWED_NODES), "", pod->spec->nodename);
        if (node && RECORD_AS(Core__Node, node)->spec &&
            RECORD_AS(Core__Node, node)->spec->n_taints)
            controller_touch_record(arg, node);
    }
}

static void start(controller_t *c) {
    informer_subscribe(controller_follow(c, FOLLOWED_NODES), on_node, c);
    informer_subscribe(controller_follow(c, FOLLOWED_PODS), on_pod, c);
}

static void touch_all(controller_t *c, int64_t delay_ms) {
    records_t nodes = informer_all(controller_follow(c, FOLLOWED_NODES));
    for (size_t i = 0; i < nodes.len; i++) controller_touch_after(c, nodes.at[i]->key, delay_ms);
}

static void on_ages(controller_t *c, const Api__NodeAges *ages) {
    state_t *state = controller_state(c);
    if (!ages) { // the stream begins or ends
        map_done(&state->voices);
        state->voices = (map_t){0};
        state->listening_since_ms =
            controller_hears_nodes(c) ? actor_now_ms(controller_actor(c)) : 0;
        if (state->listening_since_ms) touch_all(c, controller_args(c)->node_unheard_after_ms + 1);
        return;
    }
    for (size_t i = 0; i < ages->n_ages; i++) {
        uintptr_t voice = ages->ages[i]->silent ? VOICE_SILENT : VOICE_HEARD;
        if (!map_get(&state->voices, ages->ages[i]->node))
            state->joined_ms = actor_now_ms(controller_actor(c));
        map_put(&state->voices, ages->ages[i]->node, (void *)voice);
        controller_touch(c, ages->ages[i]->node);
    }
}

// False: nothing is known that would allow a decision.
static bool voice_of(controller_t *c, const record_t *node, node_voice_t *ret_voice) {
    const state_t *state = controller_state(c);
    if (!state->listening_since_ms) return false;
    uintptr_t voice = (uintptr_t)map_get(&state->voices, node->name);
    *ret_voice = voice == VOICE_SILENT ? NODE_SILENT : NODE_HEARD;
    if (voice) return true;
    int64_t now_ms = actor_now_ms(controller_actor(c));
    int64_t since_ms = state->listening_since_ms;
    // A node that registers later has its own time to be heard.
    int64_t age_ms = actor_wall_ms(controller_actor(c)) -
                     time_wall_ms(object_meta_read(node->object)->creationtimestamp);
    if (now_ms - age_ms > since_ms) since_ms = now_ms - age_ms;
    int64_t after_ms = controller_args(c)->node_unheard_after_ms;
    if (after_ms < UNHEARD_MAX_MS) {
        int64_t joined_after_ms = state->joined_ms + JOIN_PAUSE_MS - since_ms;
        if (joined_after_ms > after_ms) after_ms = joined_after_ms;
        if (after_ms > UNHEARD_MAX_MS) after_ms = UNHEARD_MAX_MS;
    }
    int64_t left_ms = since_ms + after_ms - now_ms;
    if (left_ms >= 0) {
        controller_touch_after(c, node->key, left_ms + 1);
        return false;
    }
    *ret_voice = NODE_SILENT;
    return true;
}

// Nodes that are silent or not ready, counted once a round.
static size_t count_away(controller_t *c, records_t nodes) {
    state_t *state = controller_state(c);
    int64_t now_us = actor_now_us(controller_actor(c));
    if (state->counted_us == now_us) return state->away;
    state->counted_us = now_us;
    state->away = 0;
    for (size_t i = 0; i < nodes.len; i++) {
        uintptr_t voice = (uintptr_t)map_get(&state->voices, nodes.at[i]->name);
        state->away +=
            voice == VOICE_SILENT || !nodelife_is_ready(RECORD_AS(Core__Node, nodes.at[i]));
    }
    return state->away;
}

// While most nodes seem to be away the fault is likelier in the middle than in each of them: pods
// are then sent away slowly, and not at all when every node is away.
static bool may_repel(controller_t *c, int64_t *ret_wait_ms) {
    state_t *state = controller_state(c);
    records_t nodes = informer_all(controller_follow(c, FOLLOWED_NODES));
    size_t away = count_away(c, nodes);
    *ret_wait_ms = 1000;
    if (away == nodes.len) return false;
    if (away * 100 < nodes.len * MOST_PERCENT) return true;
    int64_t now_ms = actor_now_ms(controller_actor(c));
    int64_t pause_ms = 1000 * 1000 / controller_args(c)->evictions_per_second_milli;
    if (state->repelled_ms && now_ms - state->repelled_ms < pause_ms) {
        *ret_wait_ms = pause_ms - (now_ms - state->repelled_ms);
        return false;
    }
    state->repelled_ms = now_ms;
    return true;
}

// ---- effects -----------------------------------------------------------------------------------

static void write_taints(controller_t *c, const record_t *r, const nodelife_plan_t *plan) {
    text_t json = {.arena = controller_arena(c)};
    text_add(&json, "{\"spec\":{\"taints\":");
    if (!plan->taints_len) text_add(&json, "null");
    for (size_t i = 0; i < plan->taints_len; i++) {
        text_add(&json, i ? "," : "[");
        json_write_msg(&plan->taints[i]->base, &json);
    }
    text_add(&json, plan->taints_len ? "]}}" : "}}");
    // At the revision it was planned for, unless this very sync moves it on by its status: then the
    // next sync comes for the taints.
    controller_patch(c, followed_kind(FOLLOWED_NODES), "", r->name, NULL, text_str(&json),
                     r->revision);
}

static void mark_unready(controller_t *c, const Core__Pod *pod) {
    arena_t *arena = controller_arena(c);
    Core__Pod *changed = MSG_NEW(arena, Core__Pod, core__pod__descriptor);
    *changed = *pod;
    changed->status = msg_dup(arena, &pod->status->base);
    for (size_t i = 0; i < changed->status->n_conditions; i++) {
        Core__PodCondition *condition = changed->status->conditions[i];
        if (!streq(or_empty(condition->type), "Ready")) continue;
        condition->status = "False";
        condition->lasttransitiontime = time_new(arena, actor_wall_ms(controller_actor(c)));
    }
    controller_update(c, followed_kind(FOLLOWED_PODS), "status", &changed->base);
    controller_event(c, followed_kind(FOLLOWED_PODS), &pod->base, EVENT_WARNING, "NodeNotReady",
                     "Node is not ready");
}

static void evict(controller_t *c, const Core__Pod *pod) {
    const Meta__ObjectMeta *meta = object_meta_read(&pod->base);
    controller_event(c, followed_kind(FOLLOWED_PODS), &pod->base, EVENT_NORMAL,
                     "TaintManagerEviction", "Marking for deletion Pod %s/%s", meta->namespace_,
                     meta->name);
    controller_delete(c, followed_kind(FOLLOWED_PODS), meta->namespace_, meta->name,
                      &(api_delete_options_t){.uid = meta->uid});
}

static void sync(controller_t *c, const char *key) {
    const record_t *r = informer_get_key(controller_follow(c, FOLLOWED_NODES), key);
    nodelife_view_t view = {.now_wall_ms = actor_wall_ms(controller_actor(c))};
    if (!r || !voice_of(c, r, &view.voice)) return;
    arena_t *arena = controller_arena(c);
    records_t pods = informer_by(controller_follow(c, FOLLOWED_PODS), INDEX_NODE, r->name);
    const Core__Pod **list = ARENA_ARRAY(arena, const Core__Pod *, pods.len + 1);
    for (size_t i = 0; i < pods.len; i++) list[i] = RECORD_AS(Core__Pod, pods.at[i]);
    view.node = RECORD_AS(Core__Node, r);
    view.pods = list;
    view.pods_len = pods.len;
    nodelife_plan_t plan;
    nodelife_plan(&view, arena, &plan);
    int64_t wait_ms = INT64_MAX;
    if (plan.wants_to_repel && may_repel(c, &wait_ms)) {
        view.may_repel = true;
        nodelife_plan(&view, arena, &plan);
        wait_ms = INT64_MAX;
    }
    const kind_t *kind = followed_kind(FOLLOWED_NODES);
    if (plan.became_not_ready)
        controller_event(c, kind, r->object, EVENT_NORMAL, "NodeNotReady",
                         "Node %s status is now: NodeNotReady", r->name);
    if (plan.status) {
        Core__Node *changed = MSG_NEW(arena, Core__Node, core__node__descriptor);
        *changed = *view.node;
        changed->status = plan.status;
        controller_update(c, kind, "status", &changed->base);
        return; // one write of the node at a time; its answer brings the key back
    }
    if (plan.has_taints) write_taints(c, r, &plan);
    for (size_t i = 0; i < plan.unready_len; i++) mark_unready(c, plan.unready[i]);
    for (size_t i = 0; i < plan.evicted_len; i++) evict(c, plan.evicted[i]);
    if (plan.again_in_ms < wait_ms) wait_ms = plan.again_in_ms;
    if (wait_ms < INT64_MAX) controller_touch_after(c, key, wait_ms);
}

static void stop(controller_t *c) { map_done(&((state_t *)controller_state(c))->voices); }

const controller_def_t nodelife_controller = {
    .name = "node-controller",
    .needs = NEEDS(NODES) | NEEDS(PODS),
    .state_size = sizeof(state_t),
    .start = start,
    .sync = sync,
    .on_ages = on_ages,
    .stop = stop,
};
