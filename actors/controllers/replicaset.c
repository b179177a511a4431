// replicaset - keeps as many pods of a template as a ReplicaSet wants. A key is "ns/name".
#include "actors/controllers/adoption.h"
#include "actors/controllers/replicaset_plan.h"
#include "actors/controllers/rows.h"

// What is remembered of a set between two syncs.
typedef struct {
    VEC(char *) names_kept; // creations whose outcome is unknown
    char *create_failure;   // why the last creation was refused
    adopter_t adopter;
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
    for (size_t i = 0; i < m->names_kept.len; i++) free(m->names_kept.at[i]);
    vec_done(&m->names_kept);
    free(m->create_failure);
    adopter_done(&m->adopter);
    free(m);
}

// ---- what touches a set ------------------------------------------------------------------------

static void on_set(void *arg, const record_t *was, const record_t *is) {
    controller_touch_record(arg, is ? is : was);
}

static const Meta__LabelSelector *selector_of(const ProtobufCMessage *set) {
    const Apps__ReplicaSetSpec *spec = ((const Apps__ReplicaSet *)set)->spec;
    return spec ? spec->selector : NULL;
}
static const adoption_t pods_of_sets = {FOLLOWED_REPLICA_SETS, FOLLOWED_PODS, selector_of};

// Would a set see no difference between these two states of a pod? Most changes are like that: a
// pod gets its node, a container its id.
static bool is_alike(const record_t *was, const record_t *is) {
    const Core__Pod *a = RECORD_AS(Core__Pod, was), *b = RECORD_AS(Core__Pod, is);
    const Meta__ObjectMeta *ma = object_meta_read(was->object), *mb = object_meta_read(is->object);
    return streq(was->uid, is->uid) && pod_ready_since_ms(a) == pod_ready_since_ms(b) &&
           pod_has_ended(a) == pod_has_ended(b) &&
           !ma->deletiontimestamp == !mb->deletiontimestamp && object_labels_equal(ma, mb) &&
           object_owners_equal(ma, mb);
}

static void on_pod(void *arg, const record_t *was, const record_t *is) {
    if (was && is && is_alike(was, is)) return;
    if (was) adoption_touch(arg, &pods_of_sets, was);
    if (is) adoption_touch(arg, &pods_of_sets, is);
}

static void start(controller_t *c) {
    informer_subscribe(controller_follow(c, FOLLOWED_REPLICA_SETS), on_set, c);
    informer_subscribe(controller_follow(c, FOLLOWED_PODS), on_pod, c);
}

// ---- sync --------------------------------------------------------------------------------------

static void perform(controller_t *c, const Apps__ReplicaSet *set, memory_t *m,
                    const replicaset_plan_t *plan) {
    adoption_begin(&m->adopter);
    for (size_t i = 0; i < plan->actions_len; i++) {
        const replicaset_action_t *a = &plan->actions[i];
        const Meta__ObjectMeta *meta = a->pod ? object_meta_read(&a->pod->base) : NULL;
        switch (a->kind) {
        case REPLICASET_CREATE:
            controller_create(c, followed_kind(FOLLOWED_PODS), &a->made->base);
            break;
        case REPLICASET_DELETE:
            controller_delete(c, followed_kind(FOLLOWED_PODS), meta->namespace_, meta->name,
                              &(api_delete_options_t){.uid = meta->uid});
            break;
        case REPLICASET_RELEASE:
            adoption_release(c, &pods_of_sets, &set->base, &a->pod->base);
            break;
        case REPLICASET_ADOPT:
            adoption_take(c, &pods_of_sets, &m->adopter, &set->base, &a->pod->base);
            break;
        }
    }
}

static void add_pods(arena_t *arena, records_t pods, const char *ns, const Core__Pod **list,
                     size_t *len) {
    for (size_t i = 0; i < pods.len; i++)
        if (streq(pods.at[i]->namespace_, ns)) list[(*len)++] = RECORD_AS(Core__Pod, pods.at[i]);
}

static void drop_name(memory_t *m, const char *name) {
    for (size_t i = 0; i < m->names_kept.len; i++) {
        if (!streq(m->names_kept.at[i], name)) continue;
        free(m->names_kept.at[i]);
        vec_swap_remove(&m->names_kept, i);
        return;
    }
}

// Those that turned out to have been made.
static void drop_known_names(controller_t *c, memory_t *m, const char *ns) {
    for (size_t i = m->names_kept.len; i-- > 0;)
        if (informer_get(controller_follow(c, FOLLOWED_PODS), ns, m->names_kept.at[i]))
            drop_name(m, m->names_kept.at[i]);
}

static void sync(controller_t *c, const char *key) {
    const record_t *r = informer_get_key(controller_follow(c, FOLLOWED_REPLICA_SETS), key);
    if (!r) {
        forget(c, key);
        return;
    }
    const Apps__ReplicaSet *set = RECORD_AS(Apps__ReplicaSet, r);
    if (!set->spec) return;
    arena_t *arena = controller_arena(c);
    memory_t *m = memory_of(c, key);
    drop_known_names(c, m, r->namespace_);
    records_t own = informer_by(controller_follow(c, FOLLOWED_PODS), INDEX_CONTROLLER, r->uid);
    records_t orphans = informer_by(controller_follow(c, FOLLOWED_PODS), INDEX_CONTROLLER, "");
    const Core__Pod **pods = ARENA_ARRAY(arena, const Core__Pod *, own.len + orphans.len + 1);
    replicaset_view_t view = {
        .set = set,
        .pods = pods,
        .now_wall_ms = actor_wall_ms(controller_actor(c)),
        .seed = rng_next(actor_rng(controller_actor(c))),
        .names_kept = (const char *const *)m->names_kept.at,
        .names_kept_len = m->names_kept.len,
        .create_max = m->create_failure ? 1 : REPLICASET_BURST_MAX,
        .create_failure = m->create_failure,
    };
    add_pods(arena, own, r->namespace_, pods, &view.pods_len);
    add_pods(arena, orphans, r->namespace_, pods, &view.pods_len);
    replicaset_plan_t plan;
    replicaset_plan(&view, arena, &plan);
    perform(c, set, m, &plan);
    if (plan.status) {
        Apps__ReplicaSet *changed = MSG_NEW(arena, Apps__ReplicaSet, apps__replica_set__descriptor);
        *changed = *set;
        changed->status = plan.status;
        controller_update(c, followed_kind(FOLLOWED_REPLICA_SETS), "status", &changed->base);
    }
    if (plan.cut) controller_touch(c, key);
    if (plan.again_in_ms < INT64_MAX) controller_touch_after(c, key, plan.again_in_ms);
}

// ---- outcomes ----------------------------------------------------------------------------------

static void on_created(controller_t *c, const write_t *w, memory_t *m, const record_t *set,
                       const api_failure_t *failure) {
    drop_name(m, w->name);
    free(m->create_failure);
    m->create_failure = NULL;
    if (failure && failure->is_unknown) vec_push(&m->names_kept, str_dup(w->name));
    if (failure) m->create_failure = str_dup(failure->why);
    if (!set) return;
    const kind_t *kind = followed_kind(FOLLOWED_REPLICA_SETS);
    if (failure)
        controller_event(c, kind, set->object, EVENT_WARNING, "FailedCreate", "Error creating: %s",
                         failure->why);
    else
        controller_event(c, kind, set->object, EVENT_NORMAL, "SuccessfulCreate", "Created pod: %s",
                         w->name);
}

static void on_deleted(controller_t *c, const write_t *w, const record_t *set,
                       const api_failure_t *failure) {
    const kind_t *kind = followed_kind(FOLLOWED_REPLICA_SETS);
    if (!set || (failure && failure->err == ERR_NOT_FOUND)) return;
    if (failure)
        controller_event(c, kind, set->object, EVENT_WARNING, "FailedDelete", "Error deleting: %s",
                         failure->why);
    else
        controller_event(c, kind, set->object, EVENT_NORMAL, "SuccessfulDelete", "Deleted pod: %s",
                         w->name);
}

static void outcome(controller_t *c, const write_t *w, const ProtobufCMessage *obj,
                    const api_failure_t *failure) {
    const record_t *set = informer_get_key(controller_follow(c, FOLLOWED_REPLICA_SETS), w->key);
    memory_t *m = map_get(&((state_t *)controller_state(c))->of, w->key);
    assert(m); // a key is forgotten by its sync alone, which waits for every outcome
    if (w->kind == followed_kind(FOLLOWED_PODS) && w->verb == WRITE_CREATE)
        on_created(c, w, m, set, failure);
    if (w->kind == followed_kind(FOLLOWED_PODS) && w->verb == WRITE_DELETE)
        on_deleted(c, w, set, failure);
    adoption_heard(c, &pods_of_sets, &m->adopter, w, failure ? NULL : obj);
}

static void stop(controller_t *c) {
    state_t *state = controller_state(c);
    size_t at = 0;
    const char *key;
    void *value;
    while (map_next(&state->of, &at, &key, &value)) forget(c, key);
    map_done(&state->of);
}

const controller_def_t replicaset_controller = {
    .name = "replicaset-controller",
    .needs = NEEDS(REPLICA_SETS) | NEEDS(PODS),
    .state_size = sizeof(state_t),
    .start = start,
    .sync = sync,
    .outcome = outcome,
    .stop = stop,
};
