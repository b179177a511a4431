// sched_core: nodes and pods go in as objects, the plan comes out as text.
#include "actors/scheduler/sched_core.h"
#include "runtime/base/rng.h"
#include "tests/support/build.h"
#include "tests/support/leaks.h"
#include <criterion/criterion.h>
#include <signal.h>

typedef struct {
    arena_t arena;
    sched_t *s;
    int64_t now_ms;
} world_t;

static world_t new_world(void) { return (world_t){.s = sched_new("")}; }

static void end_world(world_t *w) {
    sched_check(w->s);
    sched_destroy(&w->s);
    arena_done(&w->arena);
}

// Every node of the tests has 4 cpus, 8Gi and room for 10 pods unless `more` says otherwise.
static void node(world_t *w, const char *name, const char *more) {
    Core__Node *n = build(
        &w->arena, &core__node__descriptor,
        "status.allocatable[cpu]=4; status.allocatable[memory]=8Gi; status.allocatable[pods]=10");
    build_into(&w->arena, n, arena_printf(&w->arena, "metadata.name=%s; %s", name, more));
    sched_node_set(w->s, n);
}

static Core__Pod *pod(world_t *w, const char *name, const char *more) {
    Core__Pod *p = build(&w->arena, &core__pod__descriptor,
                         "metadata.namespace=default; spec.containers[0].name=c");
    build_into(&w->arena, p,
               arena_printf(&w->arena, "metadata.name=%s; metadata.uid=uid-%s; %s", name, name,
                            more));
    sched_pod_set(w->s, p, w->now_ms);
    return p;
}

static const char *plan(world_t *w) {
    sched_plan_t out;
    sched_plan(w->s, w->now_ms, 100, &w->arena, &out);
    text_t text = {.arena = &w->arena};
    sched_plan_print(&out, &text);
    sched_check(w->s);
    return text_str(&text);
}

#define EXPECT_PLAN(w, expected)                        \
    do {                                                \
        const char *got_ = plan(w);                     \
        cr_assert_str_eq(got_, (expected), "%s", got_); \
    } while (0)

#define CPU(amount) "spec.containers[0].resources.requests[cpu]=" amount ";"

// One pod against one node: which rule says what.
typedef struct {
    const char *name, *node, *pod, *expected;
} row_t;
#define NO(reason, preemption)                                    \
    "Unschedulable default/p: 0/1 nodes are available: 1 " reason \
    ". preemption: 0/1 nodes are available: 1 " preemption ".\n"
#define VICTIMS "No preemption victims found for incoming pod"
#define USELESS "Preemption is not helpful for scheduling"
static const row_t rows[] = {
    {"a plain pod goes to a plain node", "", "", "bind default/p to n\n"},
    {"too much cpu for the node ever", "", CPU("5"), NO("Insufficient cpu", USELESS)},
    {"no room for pods", "status.allocatable[pods]=0", "", NO("Too many pods", VICTIMS)},
    {"a resource that the node lacks", "",
     "spec.containers[0].resources.requests[example.com/gpu]=1",
     NO("Insufficient example.com/gpu", USELESS)},
    {"a resource that the node has", "status.allocatable[example.com/gpu]=1",
     "spec.containers[0].resources.requests[example.com/gpu]=1", "bind default/p to n\n"},
    {"init containers count by their largest", "",
     "spec.initContainers[0].resources.requests[cpu]=5", NO("Insufficient cpu", USELESS)},
    {"an init container that stays counts beside the others", "",
     CPU("3") "spec.initContainers[0].resources.requests[cpu]=2; "
              "spec.initContainers[0].restartPolicy=Always",
     NO("Insufficient cpu", USELESS)},
    {"cordoned", "spec.unschedulable=true", "", NO("node(s) were unschedulable", USELESS)},
    {"cordoned, and tolerated", "spec.unschedulable=true",
     "spec.tolerations[0].key=node.kubernetes.io/unschedulable; "
     "spec.tolerations[0].operator=Exists",
     "bind default/p to n\n"},
    {"a taint without value",
     "spec.taints[0].key=node-role.kubernetes.io/control-plane; spec.taints[0].effect=NoSchedule",
     "", NO("node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }", USELESS)},
    {"a taint with value",
     "spec.taints[0].key=a; spec.taints[0].value=b; spec.taints[0].effect=NoExecute", "",
     NO("node(s) had untolerated taint {a: b}", USELESS)},
    {"a taint that is tolerated by value",
     "spec.taints[0].key=a; spec.taints[0].value=b; spec.taints[0].effect=NoSchedule",
     "spec.tolerations[0].key=a; spec.tolerations[0].value=b", "bind default/p to n\n"},
    {"a toleration of another value",
     "spec.taints[0].key=a; spec.taints[0].value=b; spec.taints[0].effect=NoSchedule",
     "spec.tolerations[0].key=a; spec.tolerations[0].value=c",
     NO("node(s) had untolerated taint {a: b}", USELESS)},
    {"a toleration of everything", "spec.taints[0].key=a; spec.taints[0].effect=NoSchedule",
     "spec.tolerations[0].operator=Exists", "bind default/p to n\n"},
    {"a taint that only prefers is no hindrance",
     "spec.taints[0].key=a; spec.taints[0].effect=PreferNoSchedule", "", "bind default/p to n\n"},
    {"a node selector that fits", "metadata.labels[disk]=ssd", "spec.nodeSelector[disk]=ssd",
     "bind default/p to n\n"},
    {"a node selector that does not", "metadata.labels[disk]=hdd", "spec.nodeSelector[disk]=ssd",
     NO("node(s) didn't match Pod's node affinity/selector", USELESS)},
#define TERM                                                                                       \
    "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[" \
    "0]."
    {"affinity: In", "metadata.labels[zone]=b",
     TERM "matchExpressions[0].key=zone;" TERM "matchExpressions[0].operator=In;" TERM
          "matchExpressions[0].values[0]=a;" TERM "matchExpressions[0].values[1]=b",
     "bind default/p to n\n"},
    {"affinity: NotIn holds for a node without the label", "",
     TERM "matchExpressions[0].key=zone;" TERM "matchExpressions[0].operator=NotIn;" TERM
          "matchExpressions[0].values[0]=a",
     "bind default/p to n\n"},
    {"affinity: Gt", "metadata.labels[cores]=8",
     TERM "matchExpressions[0].key=cores;" TERM "matchExpressions[0].operator=Gt;" TERM
          "matchExpressions[0].values[0]=8",
     NO("node(s) didn't match Pod's node affinity/selector", USELESS)},
    {"affinity: by the node's name", "",
     TERM "matchFields[0].key=metadata.name;" TERM "matchFields[0].operator=In;" TERM
          "matchFields[0].values[0]=n",
     "bind default/p to n\n"},
    {"gates hold a pod back", "", "spec.schedulingGates[0].name=g",
     "SchedulingGated default/p: Scheduling is blocked due to non-empty scheduling gates\n"},
    {"another scheduler's pod is none of ours", "", "spec.schedulerName=other", "nothing to do\n"},
    {"a pod that is being deleted is not placed", "", "metadata.deletionTimestamp=5",
     "nothing to do\n"},
    {"a finished pod is not placed", "", "status.phase=Failed", "nothing to do\n"},
};

Test(sched_core, one_pod_one_node)
{
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        world_t w = new_world();
        node(&w, "n", rows[i].node);
        pod(&w, "p", rows[i].pod);
        const char *got = plan(&w);
        cr_expect_str_eq(got, rows[i].expected, "%s: %s", rows[i].name, got);
        end_world(&w);
    }
    ASSERT_NO_LEAKS();
}

Test(sched_core, reasons_are_counted_and_sorted_as_text)
{
    world_t w = new_world();
    node(&w, "n1", "status.allocatable[cpu]=1");
    node(&w, "n2", "spec.taints[0].key=a; spec.taints[0].effect=NoSchedule");
    node(&w, "n3", "spec.taints[0].key=a; spec.taints[0].effect=NoSchedule");
    pod(&w, "p", CPU("2"));
    EXPECT_PLAN(
        &w,
        "Unschedulable default/p: 0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had "
        "untolerated taint {a: }. preemption: 0/3 nodes are available: 3 Preemption is not helpful "
        "for scheduling.\n");
    end_world(&w);
    ASSERT_NO_LEAKS();
}

Test(sched_core, without_nodes_it_says_so)
{
    world_t w = new_world();
    pod(&w, "p", "");
    EXPECT_PLAN(&w, "Unschedulable default/p: no nodes available to schedule pods\n");
    EXPECT_PLAN(&w, "nothing to do\n");
    end_world(&w);
    ASSERT_NO_LEAKS();
}

Test(sched_core, assumed_pods_take_room_before_anybody_confirms)
{
    world_t w = new_world();
    node(&w, "n", "");
    pod(&w, "a", CPU("3"));
    EXPECT_PLAN(&w, "bind default/a to n\n");
    pod(&w, "b", CPU("3"));
    EXPECT_PLAN(&w, "Unschedulable default/b: 0/1 nodes are available: 1 Insufficient cpu. "
                    "preemption: 0/1 nodes "
                    "are available: 1 No preemption victims found for incoming pod.\n");
    sched_unbound(w.s, "default", "a", 0);
    EXPECT_PLAN(&w, "bind default/b to n\n");
    end_world(&w);
    ASSERT_NO_LEAKS();
}

Test(sched_core, a_failed_binding_is_tried_again_after_its_back_off)
{
    world_t w = new_world();
    node(&w, "n", "");
    pod(&w, "p", "");
    EXPECT_PLAN(&w, "bind default/p to n\n");
    sched_unbound(w.s, "default", "p", 0);
    sched_plan_t out;
    sched_plan(w.s, 0, 10, &w.arena, &out);
    cr_assert_eq(out.actions_len, 0);
    cr_assert_eq(out.wake_ms, SCHED_BACKOFF_FIRST_MS);
    w.now_ms = SCHED_BACKOFF_FIRST_MS;
    EXPECT_PLAN(&w, "bind default/p to n\n");
    sched_bound(w.s, "default", "p");
    sched_unbound(w.s, "default", "p", 0); // too late: it is bound
    cr_assert_eq(sched_pending_len(w.s), 0);
    end_world(&w);
    ASSERT_NO_LEAKS();
}

Test(sched_core, what_waits_is_looked_at_again_when_room_comes)
{
    world_t w = new_world();
    node(&w, "n", "");
    pod(&w, "old", CPU("3") "spec.nodeName=n");
    pod(&w, "new", CPU("3"));
    plan(&w);
    EXPECT_PLAN(&w, "nothing to do\n");
    sched_pod_remove(w.s, "default", "old");
    EXPECT_PLAN(&w, "bind default/new to n\n");
    end_world(&w);
    ASSERT_NO_LEAKS();
}

Test(sched_core, a_finished_pod_gives_its_room_back)
{
    world_t w = new_world();
    node(&w, "n", "");
    pod(&w, "old", CPU("3") "spec.nodeName=n");
    pod(&w, "new", CPU("3"));
    plan(&w);
    pod(&w, "old", CPU("3") "spec.nodeName=n; status.phase=Succeeded");
    EXPECT_PLAN(&w, "bind default/new to n\n");
    end_world(&w);
    ASSERT_NO_LEAKS();
}

Test(sched_core, pods_of_one_template_spread)
{
    world_t w = new_world();
    node(&w, "n1", "");
    node(&w, "n2", "");
    for (int i = 0; i < 4; i++)
        pod(&w, arena_printf(&w.arena, "p%d", i),
            "metadata.ownerReferences[0].uid=rs; metadata.ownerReferences[0].controller=true");
    EXPECT_PLAN(&w, "bind default/p0 to n1\nbind default/p1 to n2\nbind default/p2 to n1\nbind "
                    "default/p3 to n2\n");
    end_world(&w);
    ASSERT_NO_LEAKS();
}

Test(sched_core, the_emptier_node_wins)
{
    world_t w = new_world();
    node(&w, "n1", "");
    node(&w, "n2", "");
    pod(&w, "big", CPU("2") "spec.nodeName=n1");
    pod(&w, "p", "");
    EXPECT_PLAN(&w, "bind default/p to n2\n");
    end_world(&w);
    ASSERT_NO_LEAKS();
}

Test(sched_core, host_ports_collide_by_address_and_protocol)
{
    world_t w = new_world();
    node(&w, "n", "");
    pod(&w, "a",
        "spec.nodeName=n; spec.containers[0].ports[0].hostPort=80; "
        "spec.containers[0].ports[0].hostIP=10.0.0.1");
    pod(&w, "b",
        "spec.containers[0].ports[0].hostPort=80; spec.containers[0].ports[0].hostIP=10.0.0.2");
    pod(&w, "c",
        "spec.containers[0].ports[0].hostPort=80; spec.containers[0].ports[0].protocol=UDP");
    pod(&w, "d", "spec.containers[0].ports[0].hostPort=80");
    EXPECT_PLAN(
        &w,
        "bind default/b to n\nbind default/c to n\nUnschedulable default/d: 0/1 nodes are "
        "available: "
        "1 node(s) didn't have free ports for the requested pod ports. preemption: 0/1 nodes are "
        "available: 1 No preemption victims found for incoming pod.\n");
    end_world(&w);
    ASSERT_NO_LEAKS();
}

Test(sched_core, higher_priority_goes_first_then_who_came_first)
{
    world_t w = new_world();
    node(&w, "n", "");
    pod(&w, "low", CPU("1"));
    pod(&w, "low2", CPU("1"));
    pod(&w, "high", CPU("1") "spec.priority=100");
    EXPECT_PLAN(&w, "bind default/high to n\nbind default/low to n\nbind default/low2 to n\n");
    end_world(&w);
    ASSERT_NO_LEAKS();
}

Test(sched_core, a_pod_made_anew_under_its_old_name_is_another)
{
    world_t w = new_world();
    node(&w, "n", "");
    pod(&w, "p", CPU("3"));
    EXPECT_PLAN(&w, "bind default/p to n\n");
    pod(&w, "p", CPU("3") "metadata.uid=another");
    EXPECT_PLAN(&w, "bind default/p to n\n");
    end_world(&w);
    ASSERT_NO_LEAKS();
}

Test(sched_core, a_pod_of_a_node_not_seen_yet_is_counted_when_it_comes)
{
    world_t w = new_world();
    pod(&w, "old", CPU("3") "spec.nodeName=n");
    pod(&w, "new", CPU("3"));
    EXPECT_PLAN(&w, "Unschedulable default/new: no nodes available to schedule pods\n");
    node(&w, "n", "");
    w.now_ms += SCHED_EXPLAIN_AGAIN_MS;
    EXPECT_PLAN(&w, "Unschedulable default/new: 0/1 nodes are available: 1 Insufficient cpu. "
                    "preemption: 0/1 nodes "
                    "are available: 1 No preemption victims found for incoming pod.\n");
    sched_node_remove(w.s, "n");
    node(&w, "n", "status.allocatable[cpu]=6");
    EXPECT_PLAN(&w, "bind default/new to n\n");
    end_world(&w);
    ASSERT_NO_LEAKS();
}

Test(sched_core, reasons_are_not_told_again_and_again)
{
    world_t w = new_world();
    node(&w, "n1", "");
    pod(&w, "p", CPU("9"));
    plan(&w);
    node(&w, "n2", "");
    sched_plan_t out;
    sched_plan(w.s, 1, 10, &w.arena, &out);
    cr_assert_eq(out.actions_len, 0);
    cr_assert_eq(out.wake_ms, SCHED_EXPLAIN_AGAIN_MS);
    w.now_ms = out.wake_ms;
    EXPECT_PLAN(&w, "Unschedulable default/p: 0/2 nodes are available: 2 Insufficient cpu. "
                    "preemption: 0/2 nodes "
                    "are available: 2 Preemption is not helpful for scheduling.\n");
    end_world(&w);
    ASSERT_NO_LEAKS();
}

Test(sched_core, a_plan_is_bounded_and_goes_on)
{
    world_t w = new_world();
    node(&w, "n", "status.allocatable[pods]=100");
    for (int i = 0; i < 25; i++) pod(&w, arena_printf(&w.arena, "p%02d", i), "");
    size_t bound = 0;
    for (int round = 0; round < 3; round++) {
        sched_plan_t out;
        sched_plan(w.s, 0, 10, &w.arena, &out);
        bound += out.actions_len;
        cr_assert_eq(out.cut, round < 2);
    }
    cr_assert_eq(bound, 25);
    end_world(&w);
    ASSERT_NO_LEAKS();
}

#define NEAR(kind, key, app)                                                                    \
    "spec.affinity." kind ".requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey=" key \
    ";"                                                                                         \
    "spec.affinity." kind                                                                       \
    ".requiredDuringSchedulingIgnoredDuringExecution[0].labelSelector.matchLabels[app]=" app ";"
#define HOST(name, zone) "metadata.labels[host]=" name "; metadata.labels[zone]=" zone ";"
#define APP(app)         "metadata.labels[app]=" app ";"

Test(sched_core, pods_that_avoid_each_other_go_to_nodes_of_their_own)
{
    world_t w = new_world();
    node(&w, "n1", HOST("n1", "a"));
    node(&w, "n2", HOST("n2", "a"));
    for (int i = 0; i < 3; i++)
        pod(&w, arena_printf(&w.arena, "p%d", i),
            APP("web") NEAR("podAntiAffinity", "host", "web"));
    EXPECT_PLAN(&w, "bind default/p0 to n1\nbind default/p1 to n2\n"
                    "Unschedulable default/p2: 0/2 nodes are available: 2 node(s) didn't match pod "
                    "anti-affinity "
                    "rules. preemption: 0/2 nodes are available: 2 No preemption victims found for "
                    "incoming pod.\n");
    sched_pod_remove(w.s, "default", "p0");
    EXPECT_PLAN(&w, "bind default/p2 to n1\n");
    end_world(&w);
    ASSERT_NO_LEAKS();
}

Test(sched_core, a_pod_that_avoids_others_is_avoided_by_them)
{
    world_t w = new_world();
    node(&w, "n1", HOST("n1", "a"));
    pod(&w, "lonely", "spec.nodeName=n1;" NEAR("podAntiAffinity", "zone", "web"));
    pod(&w, "web", APP("web"));
    pod(&w, "db", APP("db"));
    EXPECT_PLAN(&w, "bind default/db to n1\nUnschedulable default/web: 0/1 nodes are available: 1 "
                    "node(s) didn't "
                    "satisfy existing pods anti-affinity rules. preemption: 0/1 nodes are "
                    "available: 1 No preemption "
                    "victims found for incoming pod.\n");
    sched_pod_remove(w.s, "default", "lonely");
    EXPECT_PLAN(&w, "bind default/web to n1\n");
    end_world(&w);
    ASSERT_NO_LEAKS();
}

Test(sched_core, a_pod_goes_where_its_friends_are_and_waits_for_them)
{
    world_t w = new_world();
    node(&w, "n1", HOST("n1", "a"));
    node(&w, "n2", HOST("n2", "b"));
    node(&w, "n3", HOST("n3", "b"));
    pod(&w, "web", APP("web") NEAR("podAffinity", "zone", "cache"));
    EXPECT_PLAN(
        &w, "Unschedulable default/web: 0/3 nodes are available: 3 node(s) didn't match pod "
            "affinity rules. "
            "preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.\n");
    pod(&w, "cache", APP("cache") "spec.nodeName=n2");
    pod(&w, "filler", CPU("3") "spec.nodeName=n2");
    EXPECT_PLAN(&w, "bind default/web to n3\n");
    end_world(&w);
    ASSERT_NO_LEAKS();
}

Test(sched_core, the_first_of_a_group_that_seeks_itself_may_go_anywhere)
{
    world_t w = new_world();
    node(&w, "n1", HOST("n1", "a"));
    node(&w, "n2", HOST("n2", "b"));
    pod(&w, "p0", APP("web") NEAR("podAffinity", "zone", "web"));
    pod(&w, "p1", APP("web") NEAR("podAffinity", "zone", "web"));
    EXPECT_PLAN(&w, "bind default/p0 to n1\nbind default/p1 to n1\n");
    end_world(&w);
    ASSERT_NO_LEAKS();
}

#define SPREAD(key, skew)                                                \
    "spec.topologySpreadConstraints[0].topologyKey=" key                 \
    "; spec.topologySpreadConstraints[0].maxSkew=" skew ";"              \
    "spec.topologySpreadConstraints[0].whenUnsatisfiable=DoNotSchedule;" \
    "spec.topologySpreadConstraints[0].labelSelector.matchLabels[app]=web;"

Test(sched_core, spreading_holds_the_skew)
{
    world_t w = new_world();
    node(&w, "n1", HOST("n1", "a"));
    node(&w, "n2", HOST("n2", "a"));
    node(&w, "n3", HOST("n3", "b") "status.allocatable[pods]=1");
    node(&w, "n4", "");
    for (int i = 0; i < 4; i++)
        pod(&w, arena_printf(&w.arena, "p%d", i), APP("web") SPREAD("zone", "1"));
    EXPECT_PLAN(&w, "bind default/p0 to n1\nbind default/p1 to n3\nbind default/p2 to n2\n"
                    "Unschedulable default/p3: 0/4 nodes are available: 1 Too many pods, 1 node(s) "
                    "didn't match pod "
                    "topology spread constraints (missing required label), 2 node(s) didn't match "
                    "pod topology spread "
                    "constraints. preemption: 0/4 nodes are available: 1 Preemption is not helpful "
                    "for scheduling, 3 "
                    "No preemption victims found for incoming pod.\n");
    end_world(&w);
    ASSERT_NO_LEAKS();
}

Test(sched_core, preferred_company_decides_between_equal_nodes)
{
    world_t w = new_world();
    node(&w, "n1", HOST("n1", "a"));
    node(&w, "n2", HOST("n2", "b"));
    pod(&w, "cache", APP("cache") "spec.nodeName=n2");
#define WISH "spec.affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution[0]."
    pod(&w, "web",
        WISH "weight=100;" WISH "podAffinityTerm.topologyKey=zone;" WISH
             "podAffinityTerm.labelSelector.matchLabels[app]=cache");
    EXPECT_PLAN(&w, "bind default/web to n2\n");
    end_world(&w);
    ASSERT_NO_LEAKS();
}

// Whatever comes and goes, in whatever order: sums hold, trees agree with a fresh look, no node
// gets more than it has, and what fits is placed in the end.
Test(sched_core, random_histories_keep_the_books)
{
    static const char *const kinds[] = {"",
                                        CPU("500m"),
                                        CPU("1"),
                                        CPU("2") "spec.priority=10",
                                        "spec.containers[0].ports[0].hostPort=80",
                                        "spec.nodeSelector[a]=b",
                                        APP("web") NEAR("podAntiAffinity", "host", "web"),
                                        APP("web") SPREAD("host", "1"),
                                        NEAR("podAffinity", "host", "web")};
    for (uint64_t seed = 1; seed <= 60; seed++) {
        world_t w = new_world();
        rng_t rng;
        rng_init(&rng, seed);
        for (int step = 0; step < 150; step++) {
            const char *n = arena_printf(&w.arena, "n%llu", (unsigned long long)rng_below(&rng, 6));
            const char *p =
                arena_printf(&w.arena, "p%llu", (unsigned long long)rng_below(&rng, 30));
            w.now_ms += rng_between(&rng, 0, 500);
            switch (rng_below(&rng, 8)) {
            case 0:
                node(&w, n,
                     rng_chance(&rng, 0.5) ? "metadata.labels[a]=b; metadata.labels[host]=x"
                                           : "metadata.labels[host]=y");
                break;
            case 1: sched_node_remove(w.s, n); break;
            case 2:
            case 3:
            case 4: pod(&w, p, kinds[rng_below(&rng, LENGTH_OF(kinds))]); break;
            case 5: sched_pod_remove(w.s, "default", p); break;
            case 6: sched_unbound(w.s, "default", p, w.now_ms); break;
            case 7: sched_bound(w.s, "default", p); break;
            }
            if (rng_chance(&rng, 0.5)) plan(&w);
        }
        end_world(&w);
    }
    ASSERT_NO_LEAKS();
}

Test(canary, asserts_are_alive, .signal = SIGABRT)
{
    sched_t *s = sched_new("");
    sched_plan(s, 0, 0, NULL, NULL);
}
