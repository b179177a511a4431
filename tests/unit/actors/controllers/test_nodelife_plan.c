// nodelife_plan: a node, its voice and its pods go in, the plan comes out as text.
#include "actors/controllers/nodelife_plan.h"
#include "tests/support/build.h"
#include "tests/support/leaks.h"
#include <criterion/criterion.h>
#include <signal.h>

enum { NOW_S = 1000 };

#define TRUE_READY    "status.conditions[0].type=Ready; status.conditions[0].status=True;"
#define FALSE_READY   "status.conditions[0].type=Ready; status.conditions[0].status=False;"
#define UNKNOWN_READY "status.conditions[0].type=Ready; status.conditions[0].status=Unknown;"
#define TAINT(i, k, e)                                                                 \
    "spec.taints[" #i "].key=" k "; spec.taints[" #i "].effect=" e "; spec.taints[" #i \
    "].timeAdded=990;"
#define UNREACHABLE_BOTH                                     \
    TAINT(0, "node.kubernetes.io/unreachable", "NoSchedule") \
    TAINT(1, "node.kubernetes.io/unreachable", "NoExecute")
#define TOLERATE(seconds)                                                                          \
    "spec.tolerations[0].key=node.kubernetes.io/unreachable; spec.tolerations[0].operator=Exists;" \
    "spec.tolerations[0].effect=NoExecute; spec.tolerations[0].tolerationSeconds=" seconds ";"

typedef struct {
    const char *name;
    node_voice_t voice;
    repel_t repel;
    const char *node, *pod, *expected;
} row_t;

static const row_t rows[] = {
    {"a node that is heard and ready is left alone", NODE_HEARD, REPEL_NOW, TRUE_READY, "",
     "nothing to do\n"},
    {"a silent node is of unknown condition and takes no more pods", NODE_SILENT, REPEL_LATER,
     TRUE_READY, "", "not heard any more\ntaints node.kubernetes.io/unreachable:NoSchedule\n"},
    {"it sends its pods away when that may be", NODE_SILENT, REPEL_NOW,
     UNKNOWN_READY TAINT(0, "node.kubernetes.io/unreachable", "NoSchedule"), TOLERATE("300"),
     "taints node.kubernetes.io/unreachable:NoSchedule "
     "node.kubernetes.io/unreachable:NoExecute\nagain in 300000 ms\n"},
    {"a pod without toleration goes at once", NODE_SILENT, REPEL_NOW,
     UNKNOWN_READY UNREACHABLE_BOTH, "", "evict p\n"},
    {"a pod that tolerates goes when its time is up", NODE_SILENT, REPEL_NOW,
     UNKNOWN_READY UNREACHABLE_BOTH, TOLERATE("10"), "evict p\n"},
    {"and not before", NODE_SILENT, REPEL_NOW, UNKNOWN_READY UNREACHABLE_BOTH, TOLERATE("11"),
     "again in 1000 ms\n"},
    {"what had begun goes on while no other node may be given up", NODE_SILENT, REPEL_LATER,
     UNKNOWN_READY UNREACHABLE_BOTH, TOLERATE("10"), "evict p\n"},
    {"unless every node is away: then it is called off", NODE_SILENT, REPEL_OFF,
     UNKNOWN_READY UNREACHABLE_BOTH, TOLERATE("10") TRUE_READY,
     "taints node.kubernetes.io/unreachable:NoSchedule\nmark p not ready\n"},
    {"a taint of people sends pods away even then", NODE_SILENT, REPEL_OFF,
     UNKNOWN_READY TAINT(0, "mine", "NoExecute")
         TAINT(1, "node.kubernetes.io/unreachable", "NoSchedule"),
     "", "evict p\n"},
    {"a pod that tolerates for ever stays", NODE_SILENT, REPEL_NOW, UNKNOWN_READY UNREACHABLE_BOTH,
     "spec.tolerations[0].operator=Exists;", "nothing to do\n"},
    {"a pod that leaves already is not sent away again", NODE_SILENT, REPEL_NOW,
     UNKNOWN_READY UNREACHABLE_BOTH, "metadata.deletionTimestamp=995", "nothing to do\n"},
    {"nobody vouches for a ready pod on such a node", NODE_SILENT, REPEL_NOW,
     UNKNOWN_READY UNREACHABLE_BOTH, TOLERATE("300") TRUE_READY,
     "mark p not ready\nagain in 290000 ms\n"},
    {"a node that says itself that it is not ready", NODE_HEARD, REPEL_LATER, FALSE_READY, "",
     "taints node.kubernetes.io/not-ready:NoSchedule\n"},
    {"back again, its taints go and nobody is sent away", NODE_HEARD, REPEL_NOW,
     TRUE_READY UNREACHABLE_BOTH, "", "taints none\n"},
    {"taints of people stay", NODE_HEARD, REPEL_NOW,
     TRUE_READY TAINT(0, "mine", "NoSchedule")
         TAINT(1, "node.kubernetes.io/not-ready", "NoExecute"),
     "", "taints mine:NoSchedule\n"},
    {"a taint of people sends pods away too", NODE_HEARD, REPEL_NOW,
     TRUE_READY TAINT(0, "mine", "NoExecute"), "", "evict p\n"},
    {"pressure becomes a taint", NODE_HEARD, REPEL_NOW,
     TRUE_READY "status.conditions[1].type=MemoryPressure; status.conditions[1].status=True", "",
     "taints node.kubernetes.io/memory-pressure:NoSchedule\n"},
    {"a cordoned node is tainted", NODE_HEARD, REPEL_NOW, TRUE_READY "spec.unschedulable=true", "",
     "taints node.kubernetes.io/unschedulable:NoSchedule\n"},
    {"a cordoned node that is freed is not", NODE_HEARD, REPEL_NOW,
     TRUE_READY TAINT(0, "node.kubernetes.io/unschedulable", "NoSchedule"), "", "taints none\n"},
    {"a finished pod is nobody's care", NODE_SILENT, REPEL_NOW, UNKNOWN_READY UNREACHABLE_BOTH,
     "status.phase=Succeeded", "nothing to do\n"},
};

Test(nodelife_plan, table)
{
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        arena_t arena = {0};
        Core__Node *node = build(&arena, &core__node__descriptor, "metadata.name=n");
        build_into(&arena, node, rows[i].node);
        Core__Pod *pod = build(&arena, &core__pod__descriptor, "metadata.name=p; spec.nodeName=n");
        build_into(&arena, pod, rows[i].pod);
        const Core__Pod *pods[] = {pod};
        bool with_pod = *rows[i].pod || strstr(rows[i].expected, "evict");
        nodelife_view_t view = {.node = node,
                                .voice = rows[i].voice,
                                .repel = rows[i].repel,
                                .pods = pods,
                                .pods_len = with_pod,
                                .now_wall_ms = NOW_S * 1000};
        nodelife_plan_t plan;
        nodelife_plan(&view, &arena, &plan);
        text_t got = {.arena = &arena};
        nodelife_plan_print(&plan, &got);
        cr_expect_str_eq(text_str(&got), rows[i].expected, "%s: %s", rows[i].name, text_str(&got));
        arena_done(&arena);
    }
    ASSERT_NO_LEAKS();
}

Test(nodelife_plan, unknown_conditions_keep_the_last_sign_of_life)
{
    arena_t arena = {0};
    Core__Node *node = build(&arena, &core__node__descriptor,
                             "metadata.name=n; status.conditions[0].type=NetworkUnavailable; "
                             "status.conditions[0].status=False;"
                             "status.conditions[1].type=Ready; status.conditions[1].status=True; "
                             "status.conditions[1].lastHeartbeatTime=900");
    nodelife_view_t view = {.node = node, .voice = NODE_SILENT, .now_wall_ms = NOW_S * 1000};
    nodelife_plan_t plan;
    nodelife_plan(&view, &arena, &plan);
    cr_assert_eq(plan.status->n_conditions, 5);
    cr_assert_str_eq(plan.status->conditions[0]->type, "NetworkUnavailable");
    cr_assert_str_eq(plan.status->conditions[0]->status, "False");
    cr_assert_str_eq(plan.status->conditions[1]->status, "Unknown");
    cr_assert_str_eq(plan.status->conditions[1]->reason, "NodeStatusUnknown");
    cr_assert_eq(plan.status->conditions[1]->lastheartbeattime->seconds, 900);
    cr_assert_eq(plan.status->conditions[1]->lasttransitiontime->seconds, NOW_S);
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

Test(canary, asserts_are_alive, .signal = SIGABRT)
{ nodelife_plan(&(nodelife_view_t){0}, NULL, NULL); }
