// A cluster in the simulator: API server on a store in memory, scheduler, controllers, nodes. What
// is asked for comes about, whoever dies on the way; the same seed gives the same run.
#include "actors/controllers/controllers_actor.h"
#include "actors/scheduler/scheduler_actor.h"
#include "k8s/apps_v1.pb-c.h"
#include "tests/support/api_rig.h"
#include "tests/support/fake_kubelet.h"
#include "tests/support/leaks.h"
#include <criterion/criterion.h>

enum { DEADLINE_MS = 60 * 1000 };

typedef struct {
    api_rig_t *rig;
    const char *deployment;
    int ready;
} wish_t;

static api_rig_t *cluster(uint64_t seed, int nodes) {
    api_rig_t *rig = rig_new(seed);
    sim_set_latency(rig->sim, 50, 500);
    why_t why;
    cr_assert_eq(sim_spawn(rig->sim, "m1", "control", &scheduler_actor, "m1", NULL, &why), ERR_OK);
    cr_assert_eq(sim_spawn(rig->sim, "m1", "control", &controllers_actor, "m1", NULL, &why),
                 ERR_OK);
    for (int i = 1; i <= nodes; i++) {
        const char *name = arena_printf(&rig->arena, "node-%d", i);
        cr_assert_eq(sim_spawn(rig->sim, name, name, &fake_kubelet_actor, name, NULL, &why),
                     ERR_OK);
    }
    return rig;
}

// Looks without a message: the store's own bytes, decoded.
static bool is_ready(void *arg) {
    wish_t *wish = arg;
    arena_t arena = {0};
    const kind_t *k = kind_find("apps", "v1", "Deployment");
    const blob_t *value =
        fake_store_blob(wish->rig->store,
                        arena_printf(&arena, "/registry/deployments/default/%s", wish->deployment));
    const Apps__Deployment *d = value ? object_decode_stored(&arena, k, blob_bytes(value)) : NULL;
    bool ready = d && d->status && d->status->observedgeneration == d->metadata->generation &&
                 d->status->availablereplicas == wish->ready &&
                 d->status->replicas == wish->ready && d->status->updatedreplicas == wish->ready;
    arena_done(&arena);
    return ready;
}

static void expect_ready(api_rig_t *rig, const char *deployment, int ready) {
    wish_t wish = {rig, deployment, ready};
    bool reached = sim_run_until(rig->sim, is_ready, &wish, DEADLINE_MS);
    rig_get(rig, "apps/v1", "Deployment", "default", deployment);
    text_t json = {.arena = &rig->arena};
    if (rig->obj) json_write_object(rig->kind, rig->obj, &json);
    cr_assert(reached, "%s", text_str(&json));
}

#define WEB(image, replicas)                                                                    \
    "{kind: Deployment, apiVersion: apps/v1, metadata: {name: web}, spec: {replicas: " replicas \
    ", selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, "        \
    "spec: {containers: [{name: c, image: " image "}]}}}}"

Test(cluster, a_deployment_comes_up_scales_rolls_and_goes_back)
{
    api_rig_t *rig = cluster(1, 3);
    cr_assert_str_eq(rig_create(rig, WEB("nginx", "3")), "CREATED");
    expect_ready(rig, "web", 3);
    cr_assert_str_eq(rig_apply(rig, WEB("nginx", "5")), "CONFIGURED");
    expect_ready(rig, "web", 5);
    cr_assert_str_eq(rig_apply(rig, WEB("nginx:2", "5")), "CONFIGURED");
    expect_ready(rig, "web", 5);
    cr_assert_eq(fake_store_count(rig->store, "/registry/replicasets/default/"), 2);
    cr_assert_str_eq(rig_apply(rig, WEB("nginx", "2")), "CONFIGURED");
    expect_ready(rig, "web", 2);
    cr_assert_eq(fake_store_count(rig->store, "/registry/replicasets/default/"), 2);
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

Test(cluster, every_node_gets_its_pod_range)
{
    api_rig_t *rig = cluster(2, 3);
    sim_run_for(rig->sim, 3000);
    for (int i = 1; i <= 3; i++) {
        cr_assert_str_eq(rig_get(rig, "v1", "Node", "", arena_printf(&rig->arena, "node-%d", i)),
                         "UNCHANGED");
        cr_assert_eq(strncmp(rig_field(rig, "spec.podCIDR"), "10.244.", 7), 0);
        cr_assert_str_eq(rig_field(rig, "spec.podCIDRs[0]"), rig_field(rig, "spec.podCIDR"));
    }
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}
