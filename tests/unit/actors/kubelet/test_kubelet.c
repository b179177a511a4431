// kubelet/NODE in the simulator, with the real API server: a node registers, pods run on it, crash,
// are deleted; the kubelet dies and adopts.
#include "actors/kubelet/kubelet.h"
#include "support/leaks.h"
#include "tests/support/api_rig.h"
#include "troupe/node.pb-c.h"

typedef struct {
    api_rig_t *rig;
    kubelet_args_t args;
} bench_t;

static void bench_open(bench_t *b, const kubelet_args_t *args) {
    *b = (bench_t){.rig = rig_new(7)};
    b->args = args ? *args : (kubelet_args_t){0};
    b->args.simulated = true;
    b->args.pod_range = "10.244.3.0/24";
    why_t why;
    cr_assert_eq(sim_spawn(b->rig->sim, "n1", "n1", &kubelet_actor, "n1", &b->args, &why), ERR_OK,
                 "%s", why.text);
}
static void bench_close(bench_t *b) {
    rig_destroy(&b->rig);
    ASSERT_NO_LEAKS();
}

static const char *field(bench_t *b, const char *kind, const char *name, const char *path) {
    const char *ns = streq(kind, "Node") ? NULL : "default";
    const char *outcome = rig_get(b->rig, "v1", kind, ns, name);
    return b->rig->err ? outcome : rig_field(b->rig, path);
}
// Runs until the field has the value; at most a virtual minute.
static void wait_for(bench_t *b, const char *kind, const char *name, const char *path,
                     const char *wanted) {
    const char *is = "";
    for (int i = 0; i < 600; i++) {
        is = field(b, kind, name, path);
        if (streq(is, wanted)) return;
        rig_run(b->rig, 100);
    }
    cr_assert_fail("%s %s: %s is \"%s\", not \"%s\"", kind, name, path, is, wanted);
}
#define POD(name, extra)                                                                  \
    "{kind: Pod, apiVersion: v1, metadata: {name: " name "}, spec: {nodeName: n1, " extra \
    "containers: [{name: c, image: nginx}]}}"

Test(kubelet, a_node_registers_and_becomes_ready)
{
    bench_t b;
    bench_open(&b, NULL);
    wait_for(&b, "Node", "n1", "status.conditions[3].status", "True");
    cr_expect_str_eq(rig_field(b.rig, "status.conditions[3].reason"), "KubeletReady");
    cr_expect_str_eq(rig_field(b.rig, "spec.podCIDR"), "10.244.3.0/24");
    cr_expect_str_eq(rig_field(b.rig, "status.nodeInfo.containerRuntimeVersion"),
                     "sim://" TROUPE_VERSION);
    bench_close(&b);
}

Test(kubelet, a_pod_runs_with_an_address_of_the_nodes_range)
{
    bench_t b;
    bench_open(&b, NULL);
    cr_expect_str_eq(rig_create(b.rig, POD("a", "")), "CREATED");
    wait_for(&b, "Pod", "a", "status.phase", "Running");
    cr_expect_str_eq(rig_field(b.rig, "status.podIP"), "10.244.3.2");
    cr_expect_str_eq(rig_field(b.rig, "status.containerStatuses[0].ready"), "true");
    cr_expect_str_eq(rig_field(b.rig, "status.conditions[2].type"), "Ready");
    cr_expect_str_eq(rig_field(b.rig, "status.conditions[2].status"), "True");
    cr_expect_str_eq(rig_field(b.rig, "status.qosClass"), "BestEffort");
    bench_close(&b);
}

Test(kubelet, a_deleted_pod_leaves_in_two_steps)
{
    bench_t b;
    bench_open(&b, NULL);
    cr_expect_str_eq(rig_create(b.rig, POD("a", "")), "CREATED");
    wait_for(&b, "Pod", "a", "status.phase", "Running");
    cr_expect_str_eq(rig_delete(b.rig, "v1", "Pod", "default", "a"), "DELETING");
    wait_for(&b, "Pod", "a", "status.phase", "pods \"a\" not found");
    bench_close(&b);
}

Test(kubelet, many_pods_run_and_go)
{
    bench_t b;
    bench_open(&b, NULL);
    arena_t arena = {0};
    for (int i = 0; i < 50; i++)
        cr_expect_str_eq(rig_create(b.rig, arena_printf(&arena, POD("p%d", ""), i)), "CREATED");
    for (int i = 0; i < 50; i++)
        wait_for(&b, "Pod", arena_printf(&arena, "p%d", i), "status.phase", "Running");
    for (int i = 0; i < 50; i++)
        rig_delete(b.rig, "v1", "Pod", "default", arena_printf(&arena, "p%d", i));
    for (int i = 0; i < 50; i++)
        wait_for(&b, "Pod", arena_printf(&arena, "p%d", i), "status.phase",
                 arena_printf(&arena, "pods \"p%d\" not found", i));
    arena_done(&arena);
    bench_close(&b);
}

Test(kubelet, a_crashing_container_is_restarted_and_counted)
{
    bench_t b;
    bench_open(&b, &(kubelet_args_t){.sim_crash = 1});
    cr_expect_str_eq(rig_create(b.rig, POD("a", "")), "CREATED");
    wait_for(&b, "Pod", "a", "status.containerStatuses[0].restartCount", "1");
    wait_for(&b, "Pod", "a", "status.containerStatuses[0].state.waiting.reason",
             "CrashLoopBackOff");
    cr_expect_str_eq(rig_field(b.rig, "status.containerStatuses[0].lastState.terminated.exitCode"),
                     "1");
    cr_expect_str_eq(rig_field(b.rig, "status.phase"), "Running");
    wait_for(&b, "Pod", "a", "status.containerStatuses[0].restartCount", "2");
    bench_close(&b);
}

Test(kubelet, a_pod_that_may_not_restart_fails)
{
    bench_t b;
    bench_open(&b, &(kubelet_args_t){.sim_crash = 1});
    cr_expect_str_eq(rig_create(b.rig, POD("a", "restartPolicy: Never, ")), "CREATED");
    wait_for(&b, "Pod", "a", "status.phase", "Failed");
    cr_expect_str_eq(rig_field(b.rig, "status.containerStatuses[0].restartCount"), "");
    cr_expect_str_eq(rig_field(b.rig, "status.containerStatuses[0].state.terminated.exitCode"),
                     "1");
    bench_close(&b);
}

// Both events of an end come before its status shows it, and no third one follows. The next look
// at everything is two minutes away, later than wait_for waits.
Test(kubelet, an_end_that_shows_later_than_it_is_told_is_not_missed)
{
    bench_t b;
    bench_open(&b, &(kubelet_args_t){.sim_crash = 1, .sim_exit_ms = 3000});
    cr_expect_str_eq(rig_create(b.rig, POD("a", "restartPolicy: Never, ")), "CREATED");
    wait_for(&b, "Pod", "a", "status.phase", "Failed");
    cr_expect_str_eq(rig_field(b.rig, "status.containerStatuses[0].state.terminated.exitCode"),
                     "1");
    bench_close(&b);
}

Test(kubelet, a_pod_actor_that_dies_goes_on_with_what_runs)
{
    bench_t b;
    bench_open(&b, NULL);
    cr_expect_str_eq(rig_create(b.rig, POD("a", "")), "CREATED");
    wait_for(&b, "Pod", "a", "status.phase", "Running");
    char *address = str_printf("pod/default.a.%s", rig_field(b.rig, "metadata.uid"));
    char *id = str_dup(rig_field(b.rig, "status.containerStatuses[0].containerID"));
    sim_kill(b.rig->sim, address, "test");
    rig_run(b.rig, 5000);
    cr_expect_str_eq(field(&b, "Pod", "a", "status.phase"), "Running");
    cr_expect_str_eq(rig_field(b.rig, "status.containerStatuses[0].containerID"), id);
    // It is still the pod's master.
    rig_delete(b.rig, "v1", "Pod", "default", "a");
    wait_for(&b, "Pod", "a", "status.phase", "pods \"a\" not found");
    free(address);
    free(id);
    bench_close(&b);
}

// Seen by a watch of its own: not for a moment.
Test(kubelet, a_node_whose_kubelet_starts_again_stays_ready)
{
    bench_t b;
    bench_open(&b, NULL);
    wait_for(&b, "Node", "n1", "status.conditions[3].status", "True");
    rig_watch_t watch = {.api_version = "v1",
                         .kind = "Node",
                         .from_revision = b.rig->revision,
                         .resumes = true,
                         .shows = "status.conditions[3].status"};
    rig_watcher_t *nodes = rig_watch(b.rig, "nodes", &watch);
    // As containerd does, the new runtime takes a moment before it says how it is.
    Actor__FaultRule slow = {PROTOBUF_C_MESSAGE_INIT(&actor__fault_rule__descriptor)};
    slow.name = "slow";
    slow.kind = ACTOR__FAULT_RULE__KIND__DELAY;
    slow.from = "runtime/n1";
    slow.probability = 1;
    slow.delay_ms = 300;
    sim_set_fault(b.rig->sim, &slow);
    for (int i = 0; i < 3; i++) {
        sim_kill(b.rig->sim, "kubelet/n1", "test");
        rig_run(b.rig, 7000);
    }
    const char *seen = rig_seen(nodes);
    cr_expect(!strstr(seen, "False") && !strstr(seen, "Unknown"), "%s", seen);
    rig_destroy(&b.rig);
    rig_watcher_free(&nodes);
    ASSERT_NO_LEAKS();
}

#define UNREADY "{\"status\": {\"conditions\": [{\"type\": \"Ready\", \"status\": \"False\"}]}}"
Test(kubelet, a_pod_that_was_given_up_while_its_node_was_silent_is_ready_again)
{
    bench_t b;
    bench_open(&b, NULL);
    cr_expect_str_eq(rig_create(b.rig, POD("a", "")), "CREATED");
    wait_for(&b, "Pod", "a", "status.conditions[2].status", "True");
    rig_patch(b.rig, "v1", "Pod", "default", "a", "status", API__PATCH__TYPE__STRATEGIC, UNREADY);
    cr_expect_str_eq(rig_field(b.rig, "status.conditions[2].status"), "False");
    wait_for(&b, "Pod", "a", "status.conditions[2].status", "True");
    bench_close(&b);
}

Test(kubelet, a_runtime_that_dies_loses_a_simulated_pod_which_is_made_anew)
{
    bench_t b;
    bench_open(&b, NULL);
    cr_expect_str_eq(rig_create(b.rig, POD("a", "")), "CREATED");
    wait_for(&b, "Pod", "a", "status.phase", "Running");
    sim_kill(b.rig->sim, "runtime/n1", "test");
    wait_for(&b, "Pod", "a", "status.containerStatuses[0].restartCount", "1");
    wait_for(&b, "Pod", "a", "status.containerStatuses[0].ready", "true");
    bench_close(&b);
}

// Tells the pod actor to look at the runtime.
static void look_now(bench_t *b) {
    arena_t arena = {0};
    rig_get(b->rig, "v1", "Pod", "default", "a");
    Node__PodLook look = {.base.descriptor = &node__pod_look__descriptor};
    sim_tell(b->rig->sim, "kubelet/n1",
             arena_printf(&arena, "pod/default.a.%s", rig_field(b->rig, "metadata.uid")),
             &look.base);
    arena_done(&arena);
}

// Simulator, three masters, seed 1: the sandbox that was being made showed up as not ready, was
// stopped as if it were dead, and the container that had just started in it began anew.
Test(kubelet, a_look_while_a_sandbox_is_made_does_not_take_it_for_a_dead_one)
{
    bench_t b;
    bench_open(&b, NULL);
    wait_for(&b, "Node", "n1", "status.conditions[3].status", "True");
    rig_run(b.rig, 5000);
    cr_expect_str_eq(rig_create(b.rig, POD("a", "")), "CREATED");
    for (int i = 0; i < 30; i++) {
        rig_run(b.rig, 5);
        look_now(&b);
    }
    wait_for(&b, "Pod", "a", "status.phase", "Running");
    rig_run(b.rig, 5000);
    cr_expect_str_eq(field(&b, "Pod", "a", "status.containerStatuses[0].restartCount"), "");
    bench_close(&b);
}

Test(kubelet, a_kubelet_that_starts_again_adopts_what_runs)
{
    bench_t b = {.rig = rig_new(7)};
    arena_t arena = {0};
    b.args = (kubelet_args_t){.simulated = true, .has_runtime = true, .pod_range = "10.244.3.0/24"};
    kubelet_args_t runtime = kubelet_args_filled(&arena, &b.args, "n1");
    why_t why;
    cr_assert_eq(sim_spawn(b.rig->sim, "n1", "n1", &runtime_sim_actor, "n1", &runtime, &why), 0);
    cr_assert_eq(sim_spawn(b.rig->sim, "n1", "n1", &kubelet_actor, "n1", &b.args, &why), 0);
    cr_expect_str_eq(rig_create(b.rig, POD("a", "")), "CREATED");
    wait_for(&b, "Pod", "a", "status.containerStatuses[0].ready", "true");
    const char *id =
        arena_strdup(&arena, rig_field(b.rig, "status.containerStatuses[0].containerID"));
    sim_kill(b.rig->sim, "kubelet/n1", "test");
    rig_run(b.rig, 5000);
    cr_expect_str_eq(field(&b, "Pod", "a", "status.containerStatuses[0].containerID"), id);
    cr_expect_str_eq(rig_field(b.rig, "status.containerStatuses[0].restartCount"), "");
    arena_done(&arena);
    bench_close(&b);
}

Test(kubelet, faults_of_the_runtime_are_survived)
{
    bench_t b;
    bench_open(&b, &(kubelet_args_t){.sim_fault = 0.3});
    arena_t arena = {0};
    for (int i = 0; i < 10; i++)
        cr_expect_str_eq(rig_create(b.rig, arena_printf(&arena, POD("p%d", ""), i)), "CREATED");
    for (int i = 0; i < 10; i++) {
        const char *name = arena_printf(&arena, "p%d", i);
        for (int tries = 0; tries < 20 && !streq(field(&b, "Pod", name, "status.phase"), "Running");
             tries++)
            rig_run(b.rig, 30000);
        cr_expect_str_eq(field(&b, "Pod", name, "status.phase"), "Running");
    }
    arena_done(&arena);
    bench_close(&b);
}

Test(kubelet, an_init_container_that_does_not_end_holds_the_pod_back)
{
    bench_t b;
    bench_open(&b, NULL);
    cr_expect_str_eq(rig_create(b.rig, POD("a", "initContainers: [{name: i, image: busybox}], ")),
                     "CREATED");
    wait_for(&b, "Pod", "a", "status.initContainerStatuses[0].started", "true");
    rig_run(b.rig, 10000);
    cr_expect_str_eq(field(&b, "Pod", "a", "status.phase"), "Pending");
    cr_expect_str_eq(rig_field(b.rig, "status.containerStatuses[0].state.waiting.reason"),
                     "PodInitializing");
    cr_expect_str_eq(rig_field(b.rig, "status.conditions[1].message"),
                     "containers with incomplete status: [i]");
    bench_close(&b);
}
