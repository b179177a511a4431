// deployment - rolls a Deployment's ReplicaSets from one template to the next. A key is "ns/name".
#include "actors/controllers/adoption.h"
#include "actors/controllers/deployment_plan.h"
#include "actors/controllers/rows.h"

// A set whose number of pods is being changed: told as an event when it has worked.
typedef struct {
    char *set;
    int32_t from, to;
} resize_t;

// What is remembered of a deployment between two syncs.
typedef struct {
    int32_t collisions;      // names that turned out to be strangers', not yet in the status
    int32_t collisions_base; // status.collisionCount they were counted on
    adopter_t adopter;
    VEC(resize_t) resizes; // asked for, outcome unknown
} memory_t;
typedef struct {
    map_t of;
} state_t; // key -> memory_t

static memory_t *memory_of(controller_t *c, const char *key) {
    state_t *state = controller_state(c);
    memory_t *m = map_get(&state->of, key);
    if (m) return m;
    m = NEW(memory_t);
    map_put(&state->of, key, m);
    return m;
}

static void forget(controller_t *c, const char *key) {
    memory_t *m = map_remove(&((state_t *)controller_state(c))->of, key);
    if (!m) return;
    adopter_done(&m->adopter);
    for (size_t i = 0; i < m->resizes.len; i++) free(m->resizes.at[i].set);
    vec_done(&m->resizes);
    free(m);
}

// ---- what touches a deployment -----------------------------------------------------------------

static void on_deployment(void *arg, const record_t *was, const record_t *is) {
    controller_touch_record(arg, is ? is : was);
}

static const Meta__LabelSelector *selector_of(const ProtobufCMessage *deployment) {
    const Apps__DeploymentSpec *spec = ((const Apps__Deployment *)deployment)->spec;
    return spec ? spec->selector : NULL;
}
static const adoption_t sets_of_deployments = {FOLLOWED_DEPLOYMENTS, FOLLOWED_REPLICA_SETS,
                                               selector_of};

static void on_set(void *arg, const record_t *was, const record_t *is) {
    if (was) adoption_touch(arg, &sets_of_deployments, was);
    if (is) adoption_touch(arg, &sets_of_deployments, is);
}

// Recreate waits for the last old pod: its going touches the deployment.
static void on_pod(void *arg, const record_t *was, const record_t *is) {
    if (is || !was) return;
    const Meta__OwnerReference *owner = owner_that_controls(object_meta_read(was->object));
    if (!owner_is(owner, "apps", "ReplicaSet")) return;
    const record_t *set =
        informer_get(controller_follow(arg, FOLLOWED_REPLICA_SETS), was->namespace_, owner->name);
    if (set) adoption_touch(arg, &sets_of_deployments, set);
}

static void start(controller_t *c) {
    informer_subscribe(controller_follow(c, FOLLOWED_DEPLOYMENTS), on_deployment, c);
    informer_subscribe(controller_follow(c, FOLLOWED_REPLICA_SETS), on_set, c);
    informer_subscribe(controller_follow(c, FOLLOWED_PODS), on_pod, c);
}

// ---- sync --------------------------------------------------------------------------------------

static void remember_resize(memory_t *m, const char *set, int32_t from, int32_t to) {
    if (from != to) vec_push(&m->resizes, ((resize_t){str_dup(set), from, to}));
}

static void tell_resize(controller_t *c, const write_t *w, memory_t *m, bool worked) {
    const record_t *d = informer_get_key(controller_follow(c, FOLLOWED_DEPLOYMENTS), w->key);
    for (size_t i = m->resizes.len; i-- > 0;) {
        resize_t resize = m->resizes.at[i];
        if (!streq(resize.set, w->name)) continue;
        if (worked && d)
            controller_event(c, followed_kind(FOLLOWED_DEPLOYMENTS), d->object, EVENT_NORMAL,
                             "ScalingReplicaSet", "Scaled %s replica set %s from %d to %d",
                             resize.to > resize.from ? "up" : "down", resize.set, resize.from,
                             resize.to);
        free(resize.set);
        vec_swap_remove(&m->resizes, i);
    }
}

static void perform(controller_t *c, const Apps__Deployment *d, memory_t *m,
                    const deployment_plan_t *plan) {
    const kind_t *kind = followed_kind(FOLLOWED_REPLICA_SETS);
    const char *ns = d->metadata->namespace_;
    adoption_begin(&m->adopter);
    for (size_t i = 0; i < plan->actions_len; i++) {
        const deployment_action_t *a = &plan->actions[i];
        switch (a->kind) {
        case DEPLOYMENT_CREATE:
            controller_create(c, kind, &a->made->base);
            remember_resize(m, a->made->metadata->name, 0, a->to);
            break;
        case DEPLOYMENT_PATCH:
            controller_patch(c, kind, ns, a->set->metadata->name, NULL, a->json,
                             object_revision(&a->set->base));
            remember_resize(m, a->set->metadata->name, a->from, a->to);
            break;
        case DEPLOYMENT_DELETE:
            controller_delete(c, kind, ns, a->set->metadata->name,
                              &(api_delete_options_t){.uid = a->set->metadata->uid,
                                                      .revision = object_revision(&a->set->base)});
            break;
        case DEPLOYMENT_ANNOTATE:
            controller_patch(c, followed_kind(FOLLOWED_DEPLOYMENTS), ns, d->metadata->name, NULL,
                             a->json, 0);
            break;
        case DEPLOYMENT_RELEASE:
            adoption_release(c, &sets_of_deployments, &d->base, &a->set->base);
            break;
        case DEPLOYMENT_ADOPT:
            adoption_take(c, &sets_of_deployments, &m->adopter, &d->base, &a->set->base);
            break;
        }
    }
}

// Pods that run under sets other than the one with the present template.
static size_t count_old_pods(controller_t *c, const Apps__Deployment *d, const char *uid) {
    records_t sets =
        informer_by(controller_follow(c, FOLLOWED_REPLICA_SETS), INDEX_CONTROLLER, uid);
    size_t len = 0;
    for (size_t i = 0; i < sets.len; i++) {
        const Apps__ReplicaSet *set = RECORD_AS(Apps__ReplicaSet, sets.at[i]);
        if (set->spec && deployment_templates_equal(set->spec->template_, d->spec->template_))
            continue;
        records_t pods =
            informer_by(controller_follow(c, FOLLOWED_PODS), INDEX_CONTROLLER, sets.at[i]->uid);
        for (size_t j = 0; j < pods.len; j++)
            len += !pod_has_ended(RECORD_AS(Core__Pod, pods.at[j]));
    }
    return len;
}

static void add_sets(records_t from, const char *ns, const Apps__ReplicaSet **list, size_t *len) {
    for (size_t i = 0; i < from.len; i++)
        if (streq(from.at[i]->namespace_, ns))
            list[(*len)++] = RECORD_AS(Apps__ReplicaSet, from.at[i]);
}

static void sync(controller_t *c, const char *key) {
    const record_t *r = informer_get_key(controller_follow(c, FOLLOWED_DEPLOYMENTS), key);
    if (!r) {
        forget(c, key);
        return;
    }
    const Apps__Deployment *d = RECORD_AS(Apps__Deployment, r);
    if (!d->spec) return;
    arena_t *arena = controller_arena(c);
    memory_t *m = memory_of(c, key);
    int32_t counted = d->status ? d->status->collisioncount : 0;
    if (counted != m->collisions_base) m->collisions = 0; // they are in the status by now
    m->collisions_base = counted;
    informer_t *all = controller_follow(c, FOLLOWED_REPLICA_SETS);
    records_t own = informer_by(all, INDEX_CONTROLLER, r->uid),
              orphans = informer_by(all, INDEX_CONTROLLER, "");
    const Apps__ReplicaSet **sets =
        ARENA_ARRAY(arena, const Apps__ReplicaSet *, own.len + orphans.len + 1);
    deployment_view_t view = {
        .deployment = d,
        .sets = sets,
        .old_pods_len = count_old_pods(c, d, r->uid),
        .collisions = m->collisions,
        .now_wall_ms = actor_wall_ms(controller_actor(c)),
    };
    add_sets(own, r->namespace_, sets, &view.sets_len);
    add_sets(orphans, r->namespace_, sets, &view.sets_len);
    deployment_plan_t plan;
    deployment_plan(&view, arena, &plan);
    if (plan.selects_all)
        controller_event(
            c, followed_kind(FOLLOWED_DEPLOYMENTS), r->object, EVENT_WARNING, "SelectingAll",
            "This deployment is selecting all pods. A non-empty selector is required.");
    perform(c, d, m, &plan);
    if (plan.status) {
        Apps__Deployment *changed = MSG_NEW(arena, Apps__Deployment, apps__deployment__descriptor);
        *changed = *d;
        changed->status = plan.status;
        controller_update(c, followed_kind(FOLLOWED_DEPLOYMENTS), "status", &changed->base);
    }
    if (plan.again_in_ms < INT64_MAX) controller_touch_after(c, key, plan.again_in_ms);
}

// ---- outcomes ----------------------------------------------------------------------------------

// The name was taken: by this very set of ours (an earlier creation whose answer was lost), or by a
// stranger, and then another name is tried.
static void on_taken(controller_t *c, const write_t *w, memory_t *m, const ProtobufCMessage *set) {
    const record_t *r = informer_get_key(controller_follow(c, FOLLOWED_DEPLOYMENTS), w->key);
    if (!r) return;
    const Meta__OwnerReference *owner = owner_that_controls(object_meta_read(set));
    bool ours = owner && streq(or_empty(owner->uid), r->uid) &&
                deployment_templates_equal(((const Apps__ReplicaSet *)set)->spec->template_,
                                           RECORD_AS(Apps__Deployment, r)->spec->template_);
    if (!ours) m->collisions++;
    controller_touch(c, w->key);
}

static void outcome(controller_t *c, const write_t *w, const ProtobufCMessage *obj,
                    const api_failure_t *failure) {
    memory_t *m = map_get(&((state_t *)controller_state(c))->of, w->key);
    assert(m); // a key is forgotten by its sync alone, which waits for every outcome
    bool is_set = w->kind == followed_kind(FOLLOWED_REPLICA_SETS);
    if (is_set && (w->verb == WRITE_CREATE || w->verb == WRITE_PATCH))
        tell_resize(c, w, m, !failure);
    if (w->verb == WRITE_CREATE && failure) {
        if (failure->err == ERR_EXISTS) controller_look(c, w);
        const record_t *r = informer_get_key(controller_follow(c, FOLLOWED_DEPLOYMENTS), w->key);
        if (r && failure->err != ERR_EXISTS && !failure->is_unknown)
            controller_event(c, followed_kind(FOLLOWED_DEPLOYMENTS), r->object, EVENT_WARNING,
                             "ReplicaSetCreateError", "Failed to create new replica set \"%s\": %s",
                             w->name, failure->why);
    } else if (w->verb == WRITE_GET && is_set && obj) {
        on_taken(c, w, m, obj);
    } else {
        adoption_heard(c, &sets_of_deployments, &m->adopter, w, obj);
    }
}

static void stop(controller_t *c) {
    state_t *state = controller_state(c);
    size_t at = 0;
    const char *key;
    void *value;
    while (map_next(&state->of, &at, &key, &value)) forget(c, key);
    map_done(&state->of);
}

const controller_def_t deployment_controller = {
    .name = "deployment-controller",
    .needs = NEEDS(DEPLOYMENTS) | NEEDS(REPLICA_SETS) | NEEDS(PODS),
    .state_size = sizeof(state_t),
    .start = start,
    .sync = sync,
    .outcome = outcome,
    .stop = stop,
};
