// The cluster of test_cluster under a bad network: messages lost, late, doubled and cut off, two
// API servers that clients change between, processes that die or stop, clocks that go wrong. What
// is wished for comes about.
#include "k8s/coordination_v1.pb-c.h"
#include "tests/support/cluster.h"
#include "tests/support/leaks.h"
#include "tests/support/seeds.h"
#include <criterion/criterion.h>

static const Actor__FaultRule__Kind kinds[] = {
    ACTOR__FAULT_RULE__KIND__DROP,      ACTOR__FAULT_RULE__KIND__DELAY,
    ACTOR__FAULT_RULE__KIND__DUPLICATE, ACTOR__FAULT_RULE__KIND__REORDER,
    ACTOR__FAULT_RULE__KIND__PARTITION,
};

static const char *one_of(rng_t *rng, const char *const *list, size_t len) {
    return list[rng_below(rng, len)];
}
#define ONE_OF(rng, list) one_of((rng), (list), LENGTH_OF(list))

static void add_fault(api_rig_t *rig, int i) {
    static const char *const ends[] = {"scheduler/*",  "controllers/*", "apiserver/m1",
                                       "apiserver/m2", "kubelet/*",     "kubelet/node-1",
                                       "apiserver/*"};
    rng_t *rng = sim_rng(rig->sim);
    Actor__FaultRule rule = ACTOR__FAULT_RULE__INIT;
    rule.name = arena_printf(&rig->arena, "fault-%d", i);
    rule.from = ONE_OF(rng, ends);
    rule.to = ONE_OF(rng, ends);
    rule.kind = kinds[rng_below(rng, LENGTH_OF(kinds))];
    rule.probability = rng_chance(rng, 0.5) ? 0.05 : 0.5;
    rule.delay_ms = 20;
    rule.jitter_ms = 200;
    rule.both_ways = rng_chance(rng, 0.5);
    sim_set_fault(rig->sim, &rule);
}

// A process stops for a while, or is gone for a while; clocks go wrong.
typedef struct {
    const char *process;
    bool paused, crashed;
} trouble_t;

static trouble_t begin_trouble(api_rig_t *rig) {
    static const char *const processes[] = {"control-m1", "control-m2", "api", "node-1", "node-3"};
    rng_t *rng = sim_rng(rig->sim);
    trouble_t t = {.process = ONE_OF(rng, processes)};
    t.paused = rng_chance(rng, 0.4);
    t.crashed = !t.paused && rng_chance(rng, 0.4);
    if (t.paused) sim_pause(rig->sim, t.process, true);
    if (t.crashed) sim_crash_process(rig->sim, t.process);
    if (rng_chance(rng, 0.2)) {
        double drift = 1.0 + (rng_unit(rng) - 0.5) / 5;
        sim_skew(rig->sim, ONE_OF(rng, processes), rng_between(rng, -5000, 5000), drift);
    }
    return t;
}

static void end_trouble(api_rig_t *rig, const trouble_t *t) {
    if (t->paused) sim_pause(rig->sim, t->process, false);
    if (t->crashed) sim_restart_process(rig->sim, t->process);
}

static void scenario(uint64_t seed, uint64_t *ret_hash) {
    static const char *const victims[] = {"scheduler/m1",   "scheduler/m2", "controllers/m1",
                                          "controllers/m2", "apiserver/m1", "apiserver/m2",
                                          "kubelet/node-2"};
    static const char *const wishes[] = {CLUSTER_WEB("nginx", "5"), CLUSTER_WEB("nginx:2", "8"),
                                         CLUSTER_WEB("nginx:3", "2"), CLUSTER_WEB("nginx", "0")};
    api_rig_t *rig = cluster_new(seed, 4);
    cluster_add_master(rig, "m2", true);
    rng_t *rng = sim_rng(rig->sim);
    rig_create(rig, CLUSTER_WEB("nginx", "4"));
    for (int round = 0; round < 6; round++) {
        for (uint64_t i = rng_below(rng, 3); i > 0; i--) add_fault(rig, round * 10 + (int)i);
        sim_run_for(rig->sim, rng_between(rng, 50, 1500));
        if (rng_chance(rng, 0.5)) sim_kill(rig->sim, ONE_OF(rng, victims), "scenario");
        trouble_t trouble = begin_trouble(rig);
        if (rng_chance(rng, 0.3)) fake_store_lose_answers(rig->store, 2);
        sim_run_for(rig->sim, rng_between(rng, 50, 1500));
        end_trouble(rig, &trouble);
        if (rng_chance(rng, 0.5)) {
            sim_clear_faults(rig->sim);
            cluster_all_back(rig);
            rig_apply(rig, ONE_OF(rng, wishes));
        }
    }
    sim_clear_faults(rig->sim);
    fake_store_lose_answers(rig->store, 0);
    cluster_all_back(rig);
    rig_apply(rig, CLUSTER_WEB("nginx:final", "6"));
    cluster_expect_ready(rig, "web", 6);
    sim_run_for(rig->sim, 5000);
    cr_assert_eq(fake_store_count(rig->store, "/registry/pods/default/"), 6, "seed %llu",
                 (unsigned long long)seed);
    cluster_check(rig);
    *ret_hash = sim_trace_hash(rig->sim);
    rig_destroy(&rig);
}

Test(cluster_faults, the_wish_comes_about_when_the_faults_stop)
{
    for (uint64_t seed = seed_first(100), left = seeds_count(8); left--; seed++) {
        uint64_t hash;
        scenario(seed, &hash);
    }
    ASSERT_NO_LEAKS();
}

Test(cluster_faults, the_same_seed_gives_the_same_run)
{
    uint64_t one, two;
    scenario(200, &one);
    scenario(200, &two);
    cr_assert_eq(one, two);
    ASSERT_NO_LEAKS();
}

static bool late_pods_are_gone(void *arg) {
    return !fake_store_blob(((api_rig_t *)arg)->store, "/registry/pods/default/lone");
}

Test(cluster_faults, pods_of_a_node_that_was_removed_are_collected)
{
    api_rig_t *rig = cluster_new(7, 2);
    cr_assert_str_eq(
        rig_create(rig,
                   "{kind: Pod, apiVersion: v1, metadata: {name: lone}, spec: {nodeName: node-1, "
                   "tolerations: [{operator: Exists}], containers: [{name: c, image: i}]}}"),
        "CREATED");
    sim_run_for(rig->sim, 1000);
    sim_crash_process(rig->sim, "node-1");
    sim_run_for(rig->sim, 3000);
    rig_delete(rig, "v1", "Node", "", "node-1");
    sim_run_for(rig->sim, 20 * 1000);
    cr_assert_not(late_pods_are_gone(rig), "the node may yet come back");
    cr_assert(sim_run_until(rig->sim, late_pods_are_gone, rig, CLUSTER_DEADLINE_MS));
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}
Test(cluster_faults, two_api_servers_agree_on_who_leads)
{
    api_rig_t *rig = cluster_new(11, 2);
    cluster_add_master(rig, "m2", true);
    sim_run_for(rig->sim, 3000);
    arena_t arena = {0};
    const char *before =
        arena_strdup(&arena, fake_store_value(rig->store, "/troupe/epoch/scheduler"));
    sim_run_for(rig->sim, 30 * 1000);
    cr_assert_str_eq(fake_store_value(rig->store, "/troupe/epoch/scheduler"), before);
    arena_done(&arena);
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

static const char *leader_stored(api_rig_t *rig, const char *role) {
    const char *key = arena_printf(&rig->arena, "/registry/leases/kube-system/%s", role);
    const Coordination__Lease *lease =
        cluster_stored(rig, &rig->arena, "coordination.k8s.io", "v1", "Lease", key);
    cr_assert_not_null(lease, "%s", key);
    return lease->spec->holderidentity;
}

// Two candidates, each with an API server of its own, find the leader silent at once: one wins, and
// the loser's API server knows whom to listen to. The old leader goes on as a standby.
Test(cluster_faults, a_stopped_leader_is_replaced_once)
{
    static const char *const roles[] = {"scheduler", "controllers"};
    api_rig_t *rig = cluster_new(14, 1);
    cluster_add_master(rig, "m2", true);
    cluster_add_master(rig, "m3", true);
    sim_run_for(rig->sim, 3000);
    for (int i = 0; i < 20; i++) {
        const char *role = roles[i % 2], *key = arena_printf(&rig->arena, "/troupe/epoch/%s", role);
        int64_t epoch = atoll(fake_store_value(rig->store, key));
        const char *leader = leader_stored(rig, role);
        const char *process = arena_printf(&rig->arena, "control-%s", strchr(leader, '/') + 1);
        sim_pause(rig->sim, process, true);
        sim_run_for(rig->sim, 2500);
        cr_expect_str_neq(leader_stored(rig, role), leader);
        sim_pause(rig->sim, process, false);
        sim_run_for(rig->sim, 2500);
        cr_expect_eq(atoll(fake_store_value(rig->store, key)), epoch + 1, "%s, round %d", leader,
                     i);
    }
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

// Two masters do not reach each other, but both reach the third.
Test(cluster_faults, a_leader_that_any_api_server_hears_stays)
{
    static const char *const pairs[][2] = {{"*/m1", "*/m2"}, {"*/m2", "*/m3"}, {"*/m1", "*/m3"}};
    api_rig_t *rig = cluster_new(15, 1);
    cluster_add_master(rig, "m2", true);
    cluster_add_master(rig, "m3", true);
    sim_run_for(rig->sim, 3000);
    const char *before =
        arena_strdup(&rig->arena, fake_store_value(rig->store, "/troupe/epoch/scheduler"));
    for (size_t i = 0; i < LENGTH_OF(pairs); i++) {
        Actor__FaultRule cut = ACTOR__FAULT_RULE__INIT;
        cut.name = "cut";
        cut.kind = ACTOR__FAULT_RULE__KIND__PARTITION;
        cut.from = (char *)pairs[i][0];
        cut.to = (char *)pairs[i][1];
        cut.both_ways = true;
        sim_set_fault(rig->sim, &cut);
        sim_run_for(rig->sim, 10 * 1000);
        sim_clear_faults(rig->sim);
        cr_expect_str_eq(fake_store_value(rig->store, "/troupe/epoch/scheduler"), before, "%s, %s",
                         pairs[i][0], pairs[i][1]);
    }
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

static bool somebody_is_tainted(api_rig_t *rig, arena_t *arena, int nodes) {
    for (int i = 1; i <= nodes; i++) {
        const char *key = arena_printf(arena, "/registry/nodes/node-%d", i);
        const Core__Node *node = cluster_stored(rig, arena, "", "v1", "Node", key);
        cr_assert_not_null(node, "%s", key);
        if (node->spec && node->spec->n_taints) return true;
    }
    return false;
}

// Whichever API server a node speaks to and whichever the controllers listen to.
Test(cluster_faults, no_node_falls_silent_when_the_controllers_move)
{
    api_rig_t *rig = cluster_new(12, 3);
    cluster_add_master(rig, "m2", true);
    sim_run_for(rig->sim, 3000);
    sim_crash_process(rig->sim, "control-m1");
    arena_t arena = {0};
    for (int i = 0; i < 30; i++) {
        sim_run_for(rig->sim, 1000);
        cr_assert_not(somebody_is_tainted(rig, &arena, 3), "after %d s", i + 1);
    }
    arena_done(&arena);
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

// Nobody remembers when it was last heard.
Test(cluster_faults, a_node_that_died_with_the_control_plane_is_noticed_and_no_other)
{
    api_rig_t *rig = cluster_new(13, 3);
    sim_run_for(rig->sim, 3000);
    arena_t arena = {0};
    sim_crash_process(rig->sim, "node-1");
    sim_kill(rig->sim, "apiserver/m1", "test");
    sim_kill(rig->sim, "controllers/m1", "test");
    sim_run_for(rig->sim, 1000);
    cr_expect_not(somebody_is_tainted(rig, &arena, 3), "it may yet be on its way");
    sim_run_for(rig->sim, 1000);
    cr_expect(somebody_is_tainted(rig, &arena, 1), "two seconds are enough");
    cr_assert_str_eq(rig_delete(rig, "v1", "Node", "", "node-1"), "DELETED");
    sim_run_for(rig->sim, 12 * 1000);
    for (int i = 2; i <= 3; i++) {
        const Core__Node *node = cluster_stored(rig, &arena, "", "v1", "Node",
                                                arena_printf(&arena, "/registry/nodes/node-%d", i));
        cr_expect(!node->spec || !node->spec->n_taints, "node-%d", i);
    }
    arena_done(&arena);
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}
