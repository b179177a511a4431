#include "tests/support/cluster.h"
#include "actors/controllers/controllers_actor.h"
#include "actors/scheduler/scheduler_actor.h"
#include "runtime/actor/informers_actor.h"
#include "runtime/api/quantity.h"
#include "runtime/base/map.h"
#include "tests/support/fake_kubelet.h"
#include <criterion/criterion.h>

api_rig_t *cluster_new(uint64_t seed, int nodes) {
    apiserver_args_t args = apiserver_args_default;
    args.default_toleration_seconds = 1;
    api_rig_t *rig = rig_new_with(seed, &args);
    sim_set_latency(rig->sim, 50, 500);
    cluster_add_master(rig, "m1", false);
    why_t why;
    for (int i = 1; i <= nodes; i++) {
        const char *name = arena_printf(&rig->arena, "node-%d", i);
        cr_assert_eq(sim_spawn(rig->sim, name, name, &fake_kubelet_actor, name, NULL, &why),
                     ERR_OK);
    }
    return rig;
}

void cluster_add_master(api_rig_t *rig, const char *name, bool with_api) {
    why_t why;
    const char *control = arena_printf(&rig->arena, "control-%s", name);
    cr_assert_eq(sim_spawn(rig->sim, name, control, &informers_actor, name, NULL, &why), ERR_OK);
    cr_assert_eq(sim_spawn(rig->sim, name, control, &scheduler_actor, name, NULL, &why), ERR_OK);
    cr_assert_eq(sim_spawn(rig->sim, name, control, &controllers_actor, name, NULL, &why), ERR_OK);
    // In one process, as masters are: each part speaks to the API server beside it.
    if (with_api)
        cr_assert_eq(sim_spawn(rig->sim, name, control, &apiserver_actor, name, &rig->args, &why),
                     ERR_OK);
}

void *cluster_stored(api_rig_t *rig, arena_t *arena, const char *group, const char *version,
                     const char *kind, const char *key) {
    const blob_t *value = fake_store_blob(rig->store, key);
    return value ? object_decode_stored(arena, kind_find(group, version, kind), blob_bytes(value))
                 : NULL;
}

bool cluster_is_ready(api_rig_t *rig, const char *deployment, int pods) {
    arena_t arena = {0};
    const char *key = arena_printf(&arena, "/registry/deployments/default/%s", deployment);
    const Apps__Deployment *d = cluster_stored(rig, &arena, "apps", "v1", "Deployment", key);
    const Apps__DeploymentStatus *s = d ? d->status : NULL;
    bool ready = s && s->observedgeneration == d->metadata->generation &&
                 s->availablereplicas == pods && s->replicas == pods && s->updatedreplicas == pods;
    arena_done(&arena);
    return ready;
}

typedef struct {
    api_rig_t *rig;
    const char *deployment;
    int pods;
} wish_t;
static bool wish_is_true(void *arg) {
    const wish_t *wish = arg;
    return cluster_is_ready(wish->rig, wish->deployment, wish->pods);
}

void cluster_expect_ready(api_rig_t *rig, const char *deployment, int pods) {
    wish_t wish = {rig, deployment, pods};
    if (sim_run_until(rig->sim, wish_is_true, &wish, CLUSTER_DEADLINE_MS)) return;
    rig_get(rig, "apps/v1", "Deployment", "default", deployment);
    text_t json = {.arena = &rig->arena};
    if (rig->obj) json_write_object(rig->kind, rig->obj, &json);
    cr_assert_fail("%s has no %d pods: %s", deployment, pods, text_str(&json));
}

void cluster_all_back(api_rig_t *rig) {
    sim_run_for(rig->sim, 6000);
    rig_wait_ready(rig);
}

void cluster_check(api_rig_t *rig) {
    Api__List all = API__LIST__INIT;
    Api__Resource resource = rig_resource(rig, "v1", "Pod", "default", "");
    all.resource = &resource;
    rig_list(rig, "v1", "Pod", &all);
    map_t milli = {0};
    for (size_t i = 0; i < rig->list->n_items; i++) {
        bytes_t raw = {rig->list->items[i].data, rig->list->items[i].len};
        const Core__Pod *pod = msg_unpack_own(&rig->arena, &core__pod__descriptor, raw);
        cr_assert_not_null(pod);
        const Core__ResourceRequirements *r = pod->spec->containers[0]->resources;
        quantity_t cpu = {0};
        if (r && r->n_requests)
            cr_assert_eq(quantity_parse(r->requests[0]->value->string, &cpu), ERR_OK);
        if (is_empty(pod->spec->nodename)) continue;
        uintptr_t used =
            (uintptr_t)map_get(&milli, pod->spec->nodename) + (uintptr_t)quantity_milli(cpu);
        cr_assert_leq(used, 4000, "%s has more than it can hold", pod->spec->nodename);
        if (used) map_put(&milli, pod->spec->nodename, (void *)used);
    }
    map_done(&milli);
}
