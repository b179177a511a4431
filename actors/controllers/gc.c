// gc - collects what its owners left behind. A key is a uid.
#include "actors/controllers/gc_plan.h"
#include "actors/controllers/rows.h"

typedef struct {
    gc_graph_t graph;
} state_t;

static void touch(void *arg, const char *uid) { controller_touch(arg, uid); }

static void on_change(void *arg, const kind_t *kind, const record_t *was, const record_t *is) {
    state_t *state = controller_state(arg);
    gc_graph_change(&state->graph, kind, was, is, touch, arg);
}

static void start(controller_t *c) { controller_follow_all(c, on_change, c); }

static void perform(controller_t *c, const gc_action_t *a) {
    const record_t *r = a->on->record;
    switch (a->verb) {
    case GC_LOOK:
        controller_get(c, a->owner_kind, a->owner_kind->namespaced ? r->namespace_ : "",
                       or_empty(a->owner->name));
        break;
    case GC_DELETE:
        controller_delete(c, a->on->kind, r->namespace_, r->name,
                          &(api_delete_options_t){.uid = r->uid,
                                                  .revision = r->revision,
                                                  .propagation = a->propagation});
        break;
    case GC_PATCH:
        controller_patch(c, a->on->kind, r->namespace_, r->name, NULL, a->json, r->revision);
        break;
    case GC_NOTHING: break;
    }
}

static void sync(controller_t *c, const char *key) {
    state_t *state = controller_state(c);
    gc_plan_t plan;
    gc_plan(&state->graph, key, controller_arena(c), &plan);
    for (size_t i = 0; i < plan.actions_len; i++) perform(c, &plan.actions[i]);
}

// A live look at an owner: every reference of the object to that kind and name is settled by it.
static void outcome(controller_t *c, const write_t *w, const ProtobufCMessage *obj,
                    const api_failure_t *failure) {
    state_t *state = controller_state(c);
    const gc_node_t *n = map_get(&state->graph.nodes, w->key);
    if (w->verb != WRITE_GET || !n || !n->record) return;
    if (failure && failure->err != ERR_NOT_FOUND) return;
    const char *found = obj ? or_empty(object_meta_read(obj)->uid) : "";
    const Meta__ObjectMeta *meta = object_meta_read(n->record->object);
    for (size_t i = 0; i < meta->n_ownerreferences; i++) {
        const Meta__OwnerReference *ref = meta->ownerreferences[i];
        const kind_t *kind = kind_by_api_version(or_empty(ref->apiversion), or_empty(ref->kind));
        bool is_meant = kind == w->kind && streq(or_empty(ref->name), w->name);
        if (!is_meant) continue;
        if (!streq(found, or_empty(ref->uid)))
            gc_graph_set_absent(&state->graph, or_empty(ref->uid));
    }
    // Found after all: the cache is behind, and its event will settle it.
    if (failure || !*found)
        controller_touch(c, w->key);
    else
        controller_touch_after(c, w->key, 1000);
}

static void stop(controller_t *c) { gc_graph_done(&((state_t *)controller_state(c))->graph); }

const controller_def_t gc_controller = {
    .name = "garbage-collector-controller",
    .state_size = sizeof(state_t),
    .start = start,
    .sync = sync,
    .outcome = outcome,
    .stop = stop,
};
