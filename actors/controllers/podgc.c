// podgc - removes pods that nobody else will: on nodes that are gone, never placed but to be
// deleted, and finished ones past a number. Keys: "node NAME", "pod NS/NAME", "finished".
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
    if (!*node && object_meta_read(is->object)->deletiontimestamp)
        controller_touch(arg, arena_printf(arena, POD "%s", is->key));
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

static void sync_node(controller_t *c, const char *name) {
    state_t *state = controller_state(c);
    if (informer_get(controller_follow(c, FOLLOWED_NODES), "", name)) return;
    records_t pods = informer_by(controller_follow(c, FOLLOWED_PODS), INDEX_NODE, name);
    if (!pods.len) {
        map_remove(&state->gone, name);
        return;
    }
    if (!map_get(&state->gone, name)) {
        controller_get(c, followed_kind(FOLLOWED_NODES), "", name);
        return;
    }
    for (size_t i = 0; i < pods.len; i++) remove_now(c, pods.at[i]);
}

static int by_age(const void *va, const void *vb) {
    const record_t *a = *(const record_t *const *)va, *b = *(const record_t *const *)vb;
    int64_t at_a = time_wall_ms(object_meta_read(a->object)->creationtimestamp);
    int64_t at_b = time_wall_ms(object_meta_read(b->object)->creationtimestamp);
    if (at_a != at_b) return at_a < at_b ? -1 : 1;
    return strcmp(a->key, b->key);
}

static void sync_finished(controller_t *c) {
    records_t all = informer_all(controller_follow(c, FOLLOWED_PODS));
    const record_t **ended = ARENA_ARRAY(controller_arena(c), const record_t *, all.len + 1);
    size_t len = 0, max = (size_t)controller_args(c)->pod_gc_finished_max;
    for (size_t i = 0; i < all.len; i++)
        if (pod_has_ended(RECORD_AS(Core__Pod, all.at[i]))) ended[len++] = all.at[i];
    if (!max || len <= max) return;
    qsort(ended, len, sizeof *ended, by_age);
    for (size_t i = 0; i < len - max; i++) remove_now(c, ended[i]);
}

static void sync(controller_t *c, const char *key) {
    if (has_prefix(key, NODE)) {
        sync_node(c, key + strlen(NODE));
    } else if (has_prefix(key, POD)) {
        const record_t *r =
            informer_get_key(controller_follow(c, FOLLOWED_PODS), key + strlen(POD));
        const Core__Pod *pod = r ? RECORD_AS(Core__Pod, r) : NULL;
        bool is_stuck = pod && object_meta_read(r->object)->deletiontimestamp &&
                        (!pod->spec || is_empty(pod->spec->nodename));
        if (is_stuck) remove_now(c, r);
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
    .state_size = sizeof(state_t),
    .start = start,
    .sync = sync,
    .outcome = outcome,
    .stop = stop,
};
