// A cluster in the simulator: API server on a store in memory, scheduler, controllers, nodes. What
// is asked for comes about, whoever dies on the way; the same seed gives the same run.
#include "tests/support/cluster.h"
#include "tests/support/leaks.h"
#include "tests/support/seeds.h"
#include <criterion/criterion.h>

typedef struct {
    api_rig_t *rig;
    int pods;
} wish_t;

#define WEB CLUSTER_WEB

Test(cluster, a_deployment_comes_up_scales_rolls_and_goes_back)
{
    api_rig_t *rig = cluster_new(1, 3);
    cr_assert_str_eq(rig_create(rig, WEB("nginx", "3")), "CREATED");
    cluster_expect_ready(rig, "web", 3);
    cr_assert_str_eq(rig_apply(rig, WEB("nginx", "5")), "CONFIGURED");
    cluster_expect_ready(rig, "web", 5);
    cr_assert_str_eq(rig_apply(rig, WEB("nginx:2", "5")), "CONFIGURED");
    cluster_expect_ready(rig, "web", 5);
    cr_assert_eq(fake_store_count(rig->store, "/registry/replicasets/default/"), 2);
    cr_assert_str_eq(rig_apply(rig, WEB("nginx", "2")), "CONFIGURED");
    cluster_expect_ready(rig, "web", 2);
    cr_assert_eq(fake_store_count(rig->store, "/registry/replicasets/default/"), 2);
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

Test(cluster, every_node_gets_its_pod_range)
{
    api_rig_t *rig = cluster_new(2, 3);
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

static bool serves_two(void *arg) {
    wish_t *wish = arg;
    arena_t arena = {0};
    const Core__Endpoints *e =
        cluster_stored(wish->rig, &arena, "", "v1", "Endpoints", "/registry/endpoints/default/web");
    bool so = e && e->n_subsets == 1 && e->subsets[0]->n_addresses == 2 &&
              !e->subsets[0]->n_notreadyaddresses;
    arena_done(&arena);
    return so;
}

Test(cluster, a_service_finds_its_pods_and_then_nothing_moves)
{
    api_rig_t *rig = cluster_new(3, 2);
    cr_assert_str_eq(rig_create(rig, WEB("nginx", "2")), "CREATED");
    cr_assert_str_eq(
        rig_create(rig, "{kind: Service, apiVersion: v1, metadata: {name: web}, spec: {selector: "
                        "{app: web}, ports: [{port: 80, targetPort: 8080}]}}"),
        "CREATED");
    cluster_expect_ready(rig, "web", 2);
    wish_t wish = {rig, 2};
    cr_assert(sim_run_until(rig->sim, serves_two, &wish, CLUSTER_DEADLINE_MS));
    sim_run_for(rig->sim, 3000);
    int64_t before = fake_store_revision(rig->store);
    sim_run_for(rig->sim, 20 * 1000);
    cr_assert_eq(fake_store_revision(rig->store), before, "something writes for ever");
    cr_assert_str_eq(rig_delete(rig, "v1", "Service", "default", "web"), "DELETED");
    sim_run_for(rig->sim, 3000);
    cr_assert_eq(fake_store_count(rig->store, "/registry/endpoints/default/web"), 0);
    cr_assert_eq(fake_store_count(rig->store, "/registry/endpointslices/default/web"), 0);
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

// The answer of the store is lost, and the controller has changed the object before it is asked
// again: it is its own creation that the API server finds.
Test(cluster, a_creation_whose_answer_was_lost_does_not_collide_with_itself)
{
    api_rig_t *rig = cluster_new(4, 1);
    sim_run_for(rig->sim, 3000);
    fake_store_lose_answers(rig->store, 1);
    cr_assert_str_eq(rig_create(rig, WEB("nginx", "2")), "CREATED");
    cr_assert_str_eq(rig_field(rig, "metadata.annotations[deployment.kubernetes.io/revision]"), "1",
                     "changed meanwhile: else this tests nothing");
    cluster_expect_ready(rig, "web", 2);
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

// Whoever is killed, whenever: what is wished for comes about, and no pod runs twice.
static void storm(uint64_t seed, uint64_t *ret_hash) {
    api_rig_t *rig = cluster_new(seed, 3);
    rng_t *rng = sim_rng(rig->sim);
    static const char *const victims[] = {"scheduler/m1", "controllers/m1", "apiserver/m1",
                                          "kubelet/node-1"};
    sim_run_for(rig->sim, rng_between(rng, 0, 400));
    for (int i = 0; i < 3 && !streq(rig_create(rig, WEB("nginx", "4")), "CREATED"); i++)
        rig_wait_ready(rig);
    for (int i = 0; i < 12; i++) {
        sim_run_for(rig->sim, rng_between(rng, 1, 1500));
        if (rng_chance(rng, 0.2)) fake_store_lose_answers(rig->store, 1);
        sim_kill(rig->sim, victims[rng_below(rng, LENGTH_OF(victims))], "storm");
        if (i == 6) {
            cluster_all_back(rig);
            rig_apply(rig, WEB("nginx:2", "3"));
        }
    }
    fake_store_lose_answers(rig->store, 0);
    cluster_all_back(rig);
    rig_apply(rig, WEB("nginx:2", "3"));
    cluster_expect_ready(rig, "web", 3);
    sim_run_for(rig->sim, 5000);
    cr_assert_eq(fake_store_count(rig->store, "/registry/pods/default/"), 3, "seed %llu",
                 (unsigned long long)seed);
    *ret_hash = sim_trace_hash(rig->sim);
    rig_destroy(&rig);
}

Test(cluster, survives_a_storm_of_kills)
{
    for (uint64_t seed = seed_first(10), left = seeds_count(6); left--; seed++) {
        uint64_t hash;
        storm(seed, &hash);
    }
    ASSERT_NO_LEAKS();
}

Test(cluster, the_same_seed_gives_the_same_run)
{
    uint64_t one, two, other;
    storm(42, &one);
    storm(42, &two);
    storm(43, &other);
    cr_assert_eq(one, two);
    cr_assert_neq(one, other);
    ASSERT_NO_LEAKS();
}

static bool is_not_ready(void *arg) {
    const wish_t *wish = arg;
    return !cluster_is_ready(wish->rig, "web", wish->pods);
}

static bool is_unknown(void *arg) {
    wish_t *wish = arg;
    arena_t arena = {0};
    const Core__Node *node =
        cluster_stored(wish->rig, &arena, "", "v1", "Node", "/registry/nodes/node-1");
    bool so = false;
    for (size_t i = 0; node && i < node->status->n_conditions; i++)
        so |= streq(node->status->conditions[i]->type, "Ready") &&
              streq(node->status->conditions[i]->status, "Unknown");
    arena_done(&arena);
    return so;
}

Test(cluster, pods_of_a_dead_node_come_up_elsewhere)
{
    api_rig_t *rig = cluster_new(4, 3);
    cr_assert_str_eq(rig_create(rig, WEB("nginx", "6")), "CREATED");
    cluster_expect_ready(rig, "web", 6);
    wish_t wish = {rig, 6};
    int64_t dead_ms = sim_now_ms(rig->sim);
    sim_crash_process(rig->sim, "node-1");
    cr_assert(sim_run_until(rig->sim, is_unknown, &wish, CLUSTER_DEADLINE_MS));
    cr_assert_leq(sim_now_ms(rig->sim) - dead_ms, 1000, "noticed after %lld ms",
                  (long long)(sim_now_ms(rig->sim) - dead_ms));
    cr_assert(sim_run_until(rig->sim, is_not_ready, &wish, CLUSTER_DEADLINE_MS));
    cluster_expect_ready(rig, "web", 6);
    cr_assert_leq(sim_now_ms(rig->sim) - dead_ms, 3500, "replaced after %lld ms",
                  (long long)(sim_now_ms(rig->sim) - dead_ms));
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

// ---- many nodes at once ------------------------------------------------------------------------

static const char *node_name(api_rig_t *rig, int i) {
    return arena_printf(&rig->arena, "node-%d", i);
}

static const char *names_of(api_rig_t *rig, const char *api_version, const char *kind) {
    Api__List all = API__LIST__INIT;
    Api__Resource resource = rig_resource(rig, api_version, kind, "default", "");
    all.resource = &resource;
    return rig_list(rig, api_version, kind, &all);
}
static const char *pods_of(api_rig_t *rig) { return names_of(rig, "v1", "Pod"); }

static int given_up(api_rig_t *rig, int first, int last) {
    arena_t arena = {0};
    int n = 0;
    for (int i = first; i <= last; i++) {
        const char *key = arena_printf(&arena, "/registry/nodes/node-%d", i);
        const Core__Node *node = cluster_stored(rig, &arena, "", "v1", "Node", key);
        for (size_t t = 0; t < node->spec->n_taints; t++)
            n += streq(node->spec->taints[t]->effect, "NoExecute");
    }
    arena_done(&arena);
    return n;
}

Test(cluster, while_most_of_a_small_zone_is_away_its_pods_stay)
{
    api_rig_t *rig = cluster_new(20, 6);
    cr_assert_str_eq(rig_create(rig, WEB("nginx", "12")), "CREATED");
    cluster_expect_ready(rig, "web", 12);
    const char *pods = pods_of(rig);
    // The others are missed when the first two have been given up: that is called off.
    for (int i = 1; i <= 2; i++) sim_crash_process(rig->sim, node_name(rig, i));
    sim_run_for(rig->sim, 800);
    for (int i = 3; i <= 4; i++) sim_crash_process(rig->sim, node_name(rig, i));
    sim_run_for(rig->sim, 600);
    cr_assert_eq(given_up(rig, 1, 6), 2, "else this tests nothing");
    sim_run_for(rig->sim, 30 * 1000);
    cr_assert_str_eq(pods_of(rig), pods);
    cr_assert_eq(given_up(rig, 1, 6), 0);
    // Two of six are no disruption any more.
    for (int i = 1; i <= 2; i++) sim_restart_process(rig->sim, node_name(rig, i));
    cluster_expect_ready(rig, "web", 12);
    cr_assert_eq(given_up(rig, 3, 4), 2);
    cr_assert_eq(given_up(rig, 1, 2) + given_up(rig, 5, 6), 0);
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

// A zone's power: its nodes are given up, two at once and one every ten seconds.
Test(cluster, a_zone_that_is_gone_is_emptied_slowly)
{
    api_rig_t *rig = cluster_new(21, 8);
    cr_assert_str_eq(rig_create(rig, WEB("nginx", "16")), "CREATED");
    cluster_expect_ready(rig, "web", 16);
    for (int i = 1; i <= 8; i++)
        rig_patch(
            rig, "v1", "Node", "", node_name(rig, i), "", API__PATCH__TYPE__MERGE,
            arena_printf(&rig->arena,
                         "{\"metadata\":{\"labels\":{\"topology.kubernetes.io/zone\":\"%s\"}}}",
                         i <= 4 ? "a" : "b"));
    sim_run_for(rig->sim, 1000);
    for (int i = 5; i <= 8; i++) sim_crash_process(rig->sim, node_name(rig, i));
    sim_run_for(rig->sim, 5 * 1000);
    cr_assert_eq(given_up(rig, 5, 8), 2);
    sim_run_for(rig->sim, 10 * 1000);
    cr_assert_eq(given_up(rig, 5, 8), 3);
    sim_run_for(rig->sim, 10 * 1000);
    cr_assert_eq(given_up(rig, 5, 8), 4);
    cluster_expect_ready(rig, "web", 16);
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

// It is we who do not hear: no pod is sent away, and none when the nodes are back one by one.
Test(cluster, while_every_node_is_silent_no_pod_is_sent_away)
{
    api_rig_t *rig = cluster_new(22, 4);
    cr_assert_str_eq(rig_create(rig, WEB("nginx", "8")), "CREATED");
    cluster_expect_ready(rig, "web", 8);
    const char *pods = pods_of(rig);
    wish_t wish = {rig, 8};
    for (int i = 1; i <= 4; i++) {
        sim_pause(rig->sim, node_name(rig, i), true);
        sim_run_for(rig->sim, 50);
    }
    cr_assert(sim_run_until(rig->sim, is_not_ready, &wish, CLUSTER_DEADLINE_MS));
    sim_run_for(rig->sim, 20 * 1000);
    for (int i = 1; i <= 4; i++) {
        sim_pause(rig->sim, node_name(rig, i), false);
        sim_run_for(rig->sim, 300);
    }
    cluster_expect_ready(rig, "web", 8);
    cr_assert_str_eq(pods_of(rig), pods);
    cr_assert_eq(given_up(rig, 1, 4), 0);
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

// What one API server hears, all know.
Test(cluster, a_node_is_suspect_only_when_no_api_server_hears_it)
{
    api_rig_t *rig = cluster_new(23, 2);
    cluster_add_master(rig, "m2", true);
    cluster_add_master(rig, "m3", true);
    cr_assert_str_eq(rig_create(rig, WEB("nginx", "2")), "CREATED");
    cluster_expect_ready(rig, "web", 2);
    wish_t wish = {rig, 2};
    Actor__FaultRule deaf = ACTOR__FAULT_RULE__INIT;
    deaf.from = "kubelet/node-1";
    deaf.type = "troupe.api.NodeAlive";
    static const char *const servers[] = {"apiserver/m1", "apiserver/m2", "apiserver/m3"};
    for (size_t i = 0; i < LENGTH_OF(servers); i++) {
        deaf.name = deaf.to = (char *)servers[i];
        sim_set_fault(rig->sim, &deaf);
        cr_assert_not(sim_run_until(rig->sim, is_unknown, &wish, 10 * 1000), "only %s is deaf",
                      servers[i]);
        sim_clear_faults(rig->sim);
    }
    deaf.name = deaf.to = "apiserver/*";
    sim_set_fault(rig->sim, &deaf);
    cr_assert(sim_run_until(rig->sim, is_unknown, &wish, 1500));
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

static bool namespace_is_gone(void *arg) {
    return !fake_store_blob(((api_rig_t *)arg)->store, "/registry/namespaces/team");
}

Test(cluster, a_deleted_namespace_takes_everything_with_it)
{
    api_rig_t *rig = cluster_new(5, 2);
    cr_assert_str_eq(rig_create(rig, "{kind: Namespace, apiVersion: v1, metadata: {name: team}}"),
                     "CREATED");
    cr_assert_str_eq(
        rig_create(rig, "{kind: ConfigMap, apiVersion: v1, metadata: {name: c, namespace: team}}"),
        "CREATED");
    cr_assert_str_eq(rig_create(rig, "{kind: Pod, apiVersion: v1, metadata: {name: p, namespace: "
                                     "team}, spec: {containers: [{name: c, image: i}]}}"),
                     "CREATED");
    sim_run_for(rig->sim, 1000);
    cr_assert_str_eq(rig_get(rig, "v1", "ServiceAccount", "team", "default"), "UNCHANGED");
    rig_delete(rig, "v1", "Namespace", "", "team");
    cr_assert(sim_run_until(rig->sim, namespace_is_gone, rig, CLUSTER_DEADLINE_MS));
    cr_assert_eq(fake_store_count(rig->store, "/registry/pods/team/"), 0);
    cr_assert_eq(fake_store_count(rig->store, "/registry/configmaps/team/"), 0);
    cr_assert_eq(fake_store_count(rig->store, "/registry/serviceaccounts/team/"), 0);
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

static bool nothing_is_left(void *arg) {
    api_rig_t *rig = arg;
    return !fake_store_count(rig->store, "/registry/deployments/default/") &&
           !fake_store_count(rig->store, "/registry/replicasets/default/") &&
           !fake_store_count(rig->store, "/registry/pods/default/");
}

Test(cluster, what_a_deployment_owns_goes_with_it)
{
    static const char *const ways[] = {"Background", "Foreground"};
    for (size_t i = 0; i < LENGTH_OF(ways); i++) {
        api_rig_t *rig = cluster_new(6 + i, 2);
        cr_assert_str_eq(rig_create(rig, WEB("nginx", "3")), "CREATED");
        cluster_expect_ready(rig, "web", 3);
        Api__Delete options = API__DELETE__INIT;
        options.propagation = ways[i];
        rig_delete_with(rig, "apps/v1", "Deployment", "default", "web", &options);
        cr_assert(sim_run_until(rig->sim, nothing_is_left, rig, CLUSTER_DEADLINE_MS), "%s",
                  ways[i]);
        rig_destroy(&rig);
    }
    ASSERT_NO_LEAKS();
}

Test(cluster, orphans_stay)
{
    api_rig_t *rig = cluster_new(8, 2);
    cr_assert_str_eq(rig_create(rig, WEB("nginx", "3")), "CREATED");
    cluster_expect_ready(rig, "web", 3);
    Api__Delete options = API__DELETE__INIT;
    options.propagation = "Orphan";
    rig_delete_with(rig, "apps/v1", "Deployment", "default", "web", &options);
    sim_run_for(rig->sim, 5000);
    cr_assert_eq(fake_store_count(rig->store, "/registry/deployments/default/"), 0);
    cr_assert_eq(fake_store_count(rig->store, "/registry/replicasets/default/"), 1);
    cr_assert_eq(fake_store_count(rig->store, "/registry/pods/default/"), 3);
    // A deployment of the same face takes the set in again.
    cr_assert_str_eq(rig_create(rig, WEB("nginx", "3")), "CREATED");
    cluster_expect_ready(rig, "web", 3);
    cr_assert_eq(fake_store_count(rig->store, "/registry/replicasets/default/"), 1);
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

Test(cluster, a_new_set_takes_the_pods_of_its_predecessor_in)
{
    api_rig_t *rig = cluster_new(9, 2);
    cr_assert_str_eq(rig_create(rig, WEB("nginx", "3")), "CREATED");
    cluster_expect_ready(rig, "web", 3);
    const char *pods = pods_of(rig);
    const char *set = names_of(rig, "apps/v1", "ReplicaSet");
    Api__Delete options = API__DELETE__INIT;
    options.propagation = "Orphan";
    rig_delete_with(rig, "apps/v1", "ReplicaSet", "default", set, &options);
    sim_run_for(rig->sim, 5000);
    cluster_expect_ready(rig, "web", 3);
    cr_assert_str_eq(pods_of(rig), pods);
    // One that its label leaves is let go, and another made.
    const char *one = arena_strndup(&rig->arena, pods, strcspn(pods, " "));
    rig_patch(rig, "v1", "Pod", "default", one, "", API__PATCH__TYPE__MERGE,
              "{\"metadata\":{\"labels\":{\"app\":\"other\"}}}");
    sim_run_for(rig->sim, 5000);
    cluster_expect_ready(rig, "web", 3);
    cr_assert_eq(fake_store_count(rig->store, "/registry/pods/default/"), 4);
    cr_assert_str_eq(rig_get(rig, "v1", "Pod", "default", one), "UNCHANGED");
    cr_assert_str_eq(rig_field(rig, "metadata.ownerReferences[0].uid"), "");
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

static bool all_pods_bound(void *arg) {
    wish_t *wish = arg;
    arena_t arena = {0};
    size_t bound = 0;
    for (int i = 0; i < wish->pods; i++) {
        const blob_t *value =
            fake_store_blob(wish->rig->store,
                            arena_printf(&arena, "/registry/pods/default/late-%d", i));
        const Core__Pod *pod =
            value ? object_decode_stored(&arena, kind_find("", "v1", "Pod"), blob_bytes(value))
                  : NULL;
        bound += pod && !is_empty(pod->spec->nodename);
    }
    arena_done(&arena);
    return bound == (size_t)wish->pods;
}

// The process with the leaders is gone for good: how long until the standbys do their work?
Test(cluster, standbys_take_over_within_half_a_second)
{
    api_rig_t *rig = cluster_new(9, 2);
    cluster_add_master(rig, "m2", false);
    cr_assert_str_eq(rig_create(rig, WEB("nginx", "2")), "CREATED");
    cluster_expect_ready(rig, "web", 2);
    sim_run_for(rig->sim, 2000);
    sim_crash_process(rig->sim, "control-m1");
    int64_t dead_ms = sim_now_ms(rig->sim);
    cr_assert_str_eq(rig_create(rig, "{kind: Pod, apiVersion: v1, metadata: {name: late-0}, spec: "
                                     "{containers: [{name: c, image: i}]}}"),
                     "CREATED");
    wish_t wish = {rig, 1};
    cr_assert(sim_run_until(rig->sim, all_pods_bound, &wish, CLUSTER_DEADLINE_MS));
    int64_t took_ms = sim_now_ms(rig->sim) - dead_ms;
    cr_assert_leq(took_ms, 500, "the scheduler was away for %lld ms", (long long)took_ms);
    cr_assert_str_eq(rig_apply(rig, WEB("nginx", "4")), "CONFIGURED");
    cluster_expect_ready(rig, "web", 4);
    // The old leaders come back as standbys.
    sim_restart_process(rig->sim, "control-m1");
    sim_run_for(rig->sim, 3000);
    cr_assert_str_eq(rig_apply(rig, WEB("nginx:2", "3")), "CONFIGURED");
    cluster_expect_ready(rig, "web", 3);
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

// An isolated leader goes on believing; the one that took over is the one that writes.
Test(cluster, an_isolated_leader_does_no_harm)
{
    api_rig_t *rig = cluster_new(10, 2);
    cluster_add_master(rig, "m2", false);
    cr_assert_str_eq(rig_create(rig, WEB("nginx", "2")), "CREATED");
    cluster_expect_ready(rig, "web", 2);
    Actor__FaultRule cut = ACTOR__FAULT_RULE__INIT;
    cut.name = "cut";
    cut.from = "*/m1";
    cut.to = "apiserver/*";
    cut.kind = ACTOR__FAULT_RULE__KIND__PARTITION;
    cut.both_ways = false;
    for (int round = 0; round < 3; round++) {
        static const char *const roles[] = {"scheduler/m1", "controllers/m1"};
        for (size_t i = 0; i < LENGTH_OF(roles); i++) {
            cut.name = roles[i];
            cut.from = roles[i];
            sim_set_fault(rig->sim, &cut);
        }
        sim_run_for(rig->sim, 1500);
        rig_apply(rig, round % 2 ? WEB("nginx", "5") : WEB("nginx:2", "3"));
        sim_run_for(rig->sim, 700);
        sim_clear_faults(rig->sim);
        sim_run_for(rig->sim, 700);
    }
    cluster_expect_ready(rig, "web", 3);
    sim_run_for(rig->sim, 3000);
    cr_assert_eq(fake_store_count(rig->store, "/registry/pods/default/"), 3);
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

Test(cluster, each_step_of_a_rollout_is_told_once)
{
    api_rig_t *rig = cluster_new(13, 3);
    cr_assert_str_eq(rig_create(rig, WEB("nginx", "2")), "CREATED");
    cluster_expect_ready(rig, "web", 2);
    rig_apply(rig, WEB("nginx", "3"));
    cluster_expect_ready(rig, "web", 3);
    Api__List all = API__LIST__INIT;
    Api__Resource resource = rig_resource(rig, "v1", "Event", "default", "");
    all.resource = &resource;
    rig_list(rig, "v1", "Event", &all);
    text_t seen = {.arena = &rig->arena};
    for (size_t i = 0; i < rig->list->n_items; i++) {
        bytes_t raw = {rig->list->items[i].data, rig->list->items[i].len};
        const Core__Event *event = msg_unpack_own(&rig->arena, &core__event__descriptor, raw);
        if (!streq(event->involvedobject->kind, "Deployment")) continue;
        const char *set = strstr(event->message, "web-");
        text_addf(&seen, "%s %.*s… %s x%d\n", event->reason, (int)(set - event->message),
                  event->message, strstr(set, "from"), event->count);
    }
    cr_assert_str_eq(text_str(&seen),
                     "ScalingReplicaSet Scaled up replica set … from 0 to 2 x1\n"
                     "ScalingReplicaSet Scaled up replica set … from 2 to 3 x1\n",
                     "%s", text_str(&seen));
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}
