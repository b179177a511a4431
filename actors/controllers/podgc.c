// podgc - performs podgc_plan. Keys: "node NAME", "pod NS/NAME", "finished".
#include "actors/controllers/podgc_plan.h"
#include "actors/controllers/rows.h"

enum { QUARANTINE_MS = 40 * 1000 }; // a node that registers anew finds its pods
#define NODE     "node "
#define POD      "pod "
#define FINISHED "finished"

typedef struct {
    map_t gone;
} state_t; // nodes that a live look did not find

static void on_node(void *arg, const record_t *was, const record_t *is) {
    state_t *state = controller_state(arg);
    if (is)
        map_remove(&state->gone, is->name);
    else
        controller_touch_after(arg, arena_printf(controller_arena(arg), NODE "%s", was->name),
                               QUARANTINE_MS);
}

static void on_pod(void *arg, const record_t *was, const record_t *is) {
    if (!is) return;
    const Core__Pod *pod = RECORD_AS(Core__Pod, is);
    const char *node = pod->spec ? or_empty(pod->spec->nodename) : "";
    arena_t *arena = controller_arena(arg);
    if (*node && !was && !informer_get(controller_follow(arg, FOLLOWED_NODES), "", node))
        controller_touch_after(arg, arena_printf(arena, NODE "%s", node), QUARANTINE_MS);
    if (podgc_is_stuck(is)) controller_touch(arg, arena_printf(arena, POD "%s", is->key));
    if (pod_has_ended(pod)) controller_touch(arg, FINISHED);
}

static void start(controller_t *c) {
    informer_subscribe(controller_follow(c, FOLLOWED_NODES), on_node, c);
    informer_subscribe(controller_follow(c, FOLLOWED_PODS), on_pod, c);
}

static void remove_now(controller_t *c, const record_t *r) {
    controller_delete(c, followed_kind(FOLLOWED_PODS), r->namespace_, r->name,
                      &(api_delete_options_t){.uid = r->uid, .has_grace = true});
}

static void remove_all(controller_t *c, const podgc_plan_t *plan) {
    for (size_t i = 0; i < plan->gone_len; i++) remove_now(c, plan->gone[i]);
}

static void sync_node(controller_t *c, const char *name) {
    state_t *state = controller_state(c);
    records_t pods = informer_by(controller_follow(c, FOLLOWED_PODS), INDEX_NODE, name);
    bool is_here = informer_get(controller_follow(c, FOLLOWED_NODES), "", name);
    podgc_plan_t plan;
    podgc_plan_node(pods, is_here, map_get(&state->gone, name), controller_arena(c), &plan);
    if (plan.look) controller_get(c, followed_kind(FOLLOWED_NODES), "", name);
    remove_all(c, &plan);
    if (!pods.len) map_remove(&state->gone, name);
}

static void sync_finished(controller_t *c) {
    podgc_plan_t plan;
    podgc_plan_finished(informer_all(controller_follow(c, FOLLOWED_PODS)),
                        (size_t)controller_args(c)->pod_gc_finished_max, controller_arena(c),
                        &plan);
    remove_all(c, &plan);
}

static void sync(controller_t *c, const char *key) {
    if (has_prefix(key, NODE)) {
        sync_node(c, key + strlen(NODE));
    } else if (has_prefix(key, POD)) {
        const record_t *r =
            informer_get_key(controller_follow(c, FOLLOWED_PODS), key + strlen(POD));
        if (r && podgc_is_stuck(r)) remove_now(c, r);
    } else {
        assert(streq(key, FINISHED));
        sync_finished(c);
    }
}

static void outcome(controller_t *c, const write_t *w, const ProtobufCMessage *obj,
                    const api_failure_t *failure) {
    if (w->verb != WRITE_GET || !failure || failure->err != ERR_NOT_FOUND) return;
    map_put(&((state_t *)controller_state(c))->gone, w->name, (void *)1);
    controller_touch(c, w->key);
}

static void stop(controller_t *c) { map_done(&((state_t *)controller_state(c))->gone); }

const controller_def_t podgc_controller = {
    .name = "pod-garbage-collector",
    .needs = NEEDS(NODES) | NEEDS(PODS),
    .state_size = sizeof(state_t),
    .start = start,
    .sync = sync,
    .outcome = outcome,
    .stop = stop,
};
