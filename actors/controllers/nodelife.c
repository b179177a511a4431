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
#include "runtime/base/log.h"

enum { JOIN_PAUSE_MS = 500, UNHEARD_MAX_MS = 10 * 1000 };

typedef enum { VOICE_UNKNOWN, VOICE_HEARD, VOICE_SILENT } voice_t;
// What is known of a node beside its object.
typedef struct {
    voice_t voice;
    char *zone; // where it is counted; NULL: its object is not known (yet)
    bool is_ready;
    bool is_away; // silent or not ready, as it is counted
    int64_t away_since_ms;
    bool has_turn;        // it may be given up; a write that fails is repeated without another turn
    int64_t turn_wall_ms; // since when
} life_t;

typedef struct {
    map_t lives;                // node -> life_t *
    int64_t listening_since_ms; // 0: nobody tells
    int64_t joined_ms;          // when a node was last heard for the first time
    zones_t zones;
    bool all_are_away;   // as it was told
    uint64_t turns_seen; // of the zones
} state_t;

static zone_limits_t limits_of(controller_t *c) {
    const controllers_args_t *args = controller_args(c);
    return (zone_limits_t){.rate_milli = args->eviction_rate_milli,
                           .rate_disrupted_milli = args->eviction_rate_disrupted_milli,
                           .burst = args->eviction_burst,
                           .large_zone = args->large_zone,
                           .unhealthy_percent = args->unhealthy_zone_percent};
}

static life_t *life_of(controller_t *c, const char *node) {
    map_t *lives = &((state_t *)controller_state(c))->lives;
    life_t *life = map_get(lives, node);
    if (!life) {
        life = NEW(life_t);
        map_put(lives, node, life);
    }
    return life;
}

static void count(controller_t *c, life_t *life) {
    bool is_away = life->voice == VOICE_SILENT || !life->is_ready;
    if (!life->zone || is_away == life->is_away) return;
    int64_t now_ms = actor_now_ms(controller_actor(c));
    life->is_away = is_away;
    life->away_since_ms = now_ms;
    life->has_turn = false;
    state_t *state = controller_state(c);
    zones_count(&state->zones, life->zone, 0, is_away ? 1 : -1, now_ms);
}

static void leave_zone(controller_t *c, life_t *life) {
    state_t *state = controller_state(c);
    if (life->zone)
        zones_count(&state->zones, life->zone, -1, -life->is_away,
                    actor_now_ms(controller_actor(c)));
    free(life->zone);
    life->zone = NULL;
}

static void count_node(controller_t *c, const record_t *r) {
    state_t *state = controller_state(c);
    life_t *life = life_of(c, r->name);
    life->is_ready = nodelife_is_ready(RECORD_AS(Core__Node, r));
    arena_t arena = {0};
    const char *zone = zone_key(RECORD_AS(Core__Node, r), &arena);
    if (!life->zone || !streq(life->zone, zone)) {
        leave_zone(c, life);
        life->zone = str_dup(zone);
        zones_count(&state->zones, zone, 1, life->is_away, actor_now_ms(controller_actor(c)));
    }
    arena_done(&arena);
    count(c, life);
}

static void forget_node(controller_t *c, const char *name) {
    life_t *life = map_remove(&((state_t *)controller_state(c))->lives, name);
    if (!life) return;
    leave_zone(c, life);
    free(life);
}

static void touch_all(controller_t *c, int64_t delay_ms) {
    records_t nodes = informer_all(controller_follow(c, FOLLOWED_NODES));
    for (size_t i = 0; i < nodes.len; i++) controller_touch_after(c, nodes.at[i]->key, delay_ms);
}

// After nodes were counted: what that means for those that are not looked at by themselves.
static void look_at_zones(controller_t *c) {
    state_t *state = controller_state(c);
    bool all_are_away = zones_all_are_away(&state->zones);
    if (state->zones.turns == state->turns_seen && all_are_away == state->all_are_away) return;
    state->turns_seen = state->zones.turns;
    if (all_are_away != state->all_are_away) {
        state->all_are_away = all_are_away;
        log_info(actor_address(controller_actor(c)), "%s",
                 state->all_are_away ? "every node is away: no pods are sent away"
                                     : "some nodes are back");
    }
    touch_all(c, 0);
}

static void on_node(void *arg, const record_t *was, const record_t *is) {
    controller_t *c = arg;
    if (is)
        count_node(c, is);
    else
        forget_node(c, was->name);
    look_at_zones(c);
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
    ((state_t *)controller_state(c))->zones.limits = limits_of(c);
    informer_subscribe(controller_follow(c, FOLLOWED_NODES), on_node, c);
    informer_subscribe(controller_follow(c, FOLLOWED_PODS), on_pod, c);
}

// What was told before counts no more.
static void forget_voices(controller_t *c) {
    map_t *lives = &((state_t *)controller_state(c))->lives;
    size_t at = 0;
    const char *name;
    void *value;
    while (map_next(lives, &at, &name, &value)) {
        ((life_t *)value)->voice = VOICE_UNKNOWN;
        count(c, value);
    }
}

static void on_ages(controller_t *c, const Api__NodeAges *ages) {
    state_t *state = controller_state(c);
    int64_t now_ms = actor_now_ms(controller_actor(c));
    if (!ages) { // the stream begins or ends
        forget_voices(c);
        look_at_zones(c);
        state->listening_since_ms = controller_hears_nodes(c) ? now_ms : 0;
        if (state->listening_since_ms) touch_all(c, controller_args(c)->node_unheard_after_ms + 1);
        return;
    }
    for (size_t i = 0; i < ages->n_ages; i++) {
        life_t *life = life_of(c, ages->ages[i]->node);
        if (life->voice == VOICE_UNKNOWN) state->joined_ms = now_ms;
        life->voice = ages->ages[i]->silent ? VOICE_SILENT : VOICE_HEARD;
        count(c, life);
        controller_touch(c, ages->ages[i]->node);
    }
    look_at_zones(c);
}

// False: nothing is known that would allow a decision.
static bool voice_of(controller_t *c, const record_t *node, node_voice_t *ret_voice) {
    const state_t *state = controller_state(c);
    if (!state->listening_since_ms) return false;
    voice_t voice = life_of(c, node->name)->voice;
    *ret_voice = voice == VOICE_SILENT ? NODE_SILENT : NODE_HEARD;
    if (voice != VOICE_UNKNOWN) return true;
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

// Asked for a turn or not: what may be done about a node that is away. *ret_wait_ms: when to ask
// again, INT64_MAX: no need to.
static repel_t repel_of(controller_t *c, life_t *life, bool wants_turn, int64_t *ret_wait_ms) {
    state_t *state = controller_state(c);
    *ret_wait_ms = INT64_MAX;
    if (life->zone && zones_hold(&state->zones, life->zone)) {
        life->has_turn = false;
        return REPEL_OFF;
    }
    if (life->has_turn) return REPEL_NOW;
    if (!wants_turn) return REPEL_LATER;
    int64_t now_ms = actor_now_ms(controller_actor(c));
    repel_t repel =
        zones_repel(&state->zones, life->zone, now_ms - life->away_since_ms, now_ms, ret_wait_ms);
    life->has_turn = repel == REPEL_NOW;
    if (life->has_turn) life->turn_wall_ms = actor_wall_ms(controller_actor(c));
    return repel;
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
    int64_t wait_ms;
    life_t *life = life_of(c, r->name);
    view.repel = repel_of(c, life, false, &wait_ms);
    view.repelled_ms = life->has_turn ? life->turn_wall_ms : 0;
    nodelife_plan(&view, arena, &plan);
    if (plan.wants_to_repel && !plan.status) {
        view.repel = repel_of(c, life, true, &wait_ms);
        view.repelled_ms = life->has_turn ? life->turn_wall_ms : 0;
        nodelife_plan(&view, arena, &plan);
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

static void stop(controller_t *c) {
    state_t *state = controller_state(c);
    size_t at = 0;
    const char *name;
    void *value;
    while (map_next(&state->lives, &at, &name, &value)) {
        free(((life_t *)value)->zone);
        free(value);
    }
    map_done(&state->lives);
    zones_done(&state->zones);
}

const controller_def_t nodelife_controller = {
    .name = "node-controller",
    .needs = NEEDS(NODES) | NEEDS(PODS),
    .state_size = sizeof(state_t),
    .start = start,
    .sync = sync,
    .on_ages = on_ages,
    .stop = stop,
};
