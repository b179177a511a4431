// sched_core - where does each pod go? The scheduler's decisions, without clock, dice, log or bus.
//
// The core holds the present: nodes as columns of numbers, pods by what they need. It is told of
// each change (nodes, pods, outcomes of bindings) and asked for a plan: whom to bind where, and of
// whom to say why not.
//
//   Pods of one template are treated together: they belong to one class (sched_class.h), and what
//   the filters and scores say about a class and a node is worked out once and kept in a tournament
//   tree over the nodes. Placing a pod changes one node, so it costs each class one walk from leaf
//   to root instead of a look at all nodes.
//
//   A planned pod is *assumed* on its node until the binding's outcome is known, so that the next
//   decision counts it.
//
//   A pod that fits nowhere waits with its class. The class is looked at again when something
//   changed that may help: a node came or changed, a pod left. Why it waits is kept as data and
//   said with Kubernetes' words.
//
//      pending ──plan──► assumed ──sched_bound──► placed ──► gone
//         ▲                 │
//         └──sched_unbound──┘ (after its back-off)
#pragma once
#include "k8s/core_v1.pb-c.h"
#include "runtime/base/arena.h"
#include "runtime/base/text.h"

enum {
    SCHED_NODES_MAX = 100 * 1000,
    SCHED_RESOURCES_MAX = 16,         // cpu, memory, ephemeral-storage, pods, and twelve others
    SCHED_TREES_MAX_BYTES = 64 << 20, // trees of all shapes; 12 bytes per node each
    SCHED_BACKOFF_FIRST_MS = 1000,    // of a pod whose binding failed, as kube-scheduler's
    SCHED_BACKOFF_MAX_MS = 10 * 1000,
    SCHED_EXPLAIN_AGAIN_MS = 10 * 1000, // a class' reasons are told anew no sooner
    SCHED_EXPLAIN_MAX = 8,              // classes whose reasons are worked out in one plan
};

typedef struct sched sched_t;
// `scheduler_name`: pods of other schedulers only take room. Copied.
sched_t *sched_new(const char *scheduler_name) MUST_USE;
void sched_destroy(sched_t **s);

// ---- what is so --------------------------------------------------------------------------------
void sched_node_set(sched_t *s, const Core__Node *node); // added or changed; copied
void sched_node_remove(sched_t *s, const char *name);
// Added or changed: pending, placed (spec.nodeName), or gone (finished) as the pod says. Copied. A
// known name with another uid is another pod.
void sched_pod_set(sched_t *s, const Core__Pod *pod, int64_t now_ms);
void sched_pod_remove(sched_t *s, const char *ns, const char *name);

// ---- outcomes of planned bindings
// ----------------------------------------------------------------- The pod is on its node (the
// watch says so too, sooner or later).
void sched_bound(sched_t *s, const char *ns, const char *name);
// It is not: pending again after a back-off.
void sched_unbound(sched_t *s, const char *ns, const char *name, int64_t now_ms);

// ---- the plan ----------------------------------------------------------------------------------
typedef struct {
    enum { SCHED_BIND, SCHED_EXPLAIN } kind;
    const char *namespace_, *name, *uid; // borrowed until the pod changes
    const char *node;                    // BIND
    const char *reason;  // EXPLAIN: of condition PodScheduled: "Unschedulable", "SchedulingGated"
    bool is_first;       // EXPLAIN: nothing was said of this pod before
    const char *message; // EXPLAIN: "0/3 nodes are available: …"; in the arena
} sched_action_t;
typedef struct {
    sched_action_t *actions;
    size_t actions_len;
    bool cut;        // a limit was reached: plan again
    int64_t wake_ms; // when time alone changes something; INT64_MAX: never
} sched_plan_t;
// Highest priority first, then first come. BIND: already assumed when this returns. EXPLAIN comes
// once per pod and message.
void sched_plan(sched_t *s, int64_t now_ms, size_t actions_max, arena_t *arena,
                sched_plan_t *ret_plan);
void sched_plan_print(const sched_plan_t *plan, text_t *out);

// ---- questions ---------------------------------------------------------------------------------
const char *sched_name(const sched_t *s); // of the scheduler
size_t sched_nodes_len(const sched_t *s);
size_t sched_pending_len(const sched_t *s); // those in back-off too
// Every reason against every node, a line each, for the person at night: "node-1: Insufficient
// cpu".
void sched_explain(sched_t *s, const Core__Pod *pod, text_t *out);
// Sums hold, trees agree with a fresh look, nobody is placed twice. Asserts; for tests.
void sched_check(sched_t *s);

// What of a pod the core reads, sharing parts with `pod`: for an informer's slim.
Core__Pod *sched_slim_pod(arena_t *arena, const Core__Pod *pod);
Core__Node *sched_slim_node(arena_t *arena, const Core__Node *node);
