// The scheduler's core alone, on 5,000 nodes, full filter and score set (TARGETS, "API server and
// scheduler"):
//
//     build/release/bin/bench_sched [NODES [PODS [TEMPLATES [spread|apart]]]]
//
// spread: pods of a template are spread over zones (maxSkew 1); apart: no two on a node.
// Pods come as objects of so many templates, in turn; each is classed, placed and confirmed. Prints
// pods per second. Not a test: it judges nothing.
#include "actors/scheduler/sched_core.h"
#include "runtime/api/kinds.h"
#include "runtime/base/clock.h"
#include <malloc.h>

enum { BATCH = 256 };

static Resource__Quantity *quantity(arena_t *arena, const char *text) {
    Resource__Quantity *q = MSG_NEW(arena, Resource__Quantity, resource__quantity__descriptor);
    q->string = text;
    return q;
}

static Core__Node *make_node(arena_t *arena, int i, int pods_max) {
    Core__Node *node = MSG_NEW(arena, Core__Node, core__node__descriptor);
    node->metadata = MSG_NEW(arena, Meta__ObjectMeta, meta__object_meta__descriptor);
    node->metadata->name = arena_printf(arena, "node-%05d", i);
    object_set_label(arena, &node->base, "kubernetes.io/hostname", node->metadata->name);
    object_set_label(arena, &node->base, "topology.kubernetes.io/zone",
                     arena_printf(arena, "z%d", i % 3));
    node->status = MSG_NEW(arena, Core__NodeStatus, core__node_status__descriptor);
    const char *const amounts[][2] = {{"cpu", "64"},
                                      {"memory", "256Gi"},
                                      {"pods", arena_printf(arena, "%d", pods_max)}};
    node->status->allocatable =
        ARENA_ARRAY(arena, Core__NodeStatus__AllocatableEntry *, LENGTH_OF(amounts));
    for (size_t j = 0; j < LENGTH_OF(amounts); j++) {
        Core__NodeStatus__AllocatableEntry *entry =
            MSG_NEW(arena, Core__NodeStatus__AllocatableEntry,
                    core__node_status__allocatable_entry__descriptor);
        entry->key = amounts[j][0];
        entry->value = quantity(arena, amounts[j][1]);
        node->status->allocatable[node->status->n_allocatable++] = entry;
    }
    return node;
}

static void request(arena_t *arena, Core__Container *c, const char *key, const char *amount) {
    Core__ResourceRequirements *r = c->resources;
    r->requests[r->n_requests] = MSG_NEW(arena, Core__ResourceRequirements__RequestsEntry,
                                         core__resource_requirements__requests_entry__descriptor);
    r->requests[r->n_requests]->key = key;
    r->requests[r->n_requests++]->value = quantity(arena, amount);
}

static Meta__LabelSelector *of_template(arena_t *arena, int template) {
    Meta__LabelSelector *selector =
        MSG_NEW(arena, Meta__LabelSelector, meta__label_selector__descriptor);
    selector->matchlabels = ARENA_NEW(arena, Meta__LabelSelector__MatchLabelsEntry *);
    selector->n_matchlabels = 1;
    selector->matchlabels[0] = MSG_NEW(arena, Meta__LabelSelector__MatchLabelsEntry,
                                       meta__label_selector__match_labels_entry__descriptor);
    selector->matchlabels[0]->key = "app";
    selector->matchlabels[0]->value = arena_printf(arena, "app-%d", template);
    return selector;
}

static void spread(arena_t *arena, Core__PodSpec *spec, int template) {
    Core__TopologySpreadConstraint *rule = MSG_NEW(arena, Core__TopologySpreadConstraint,
                                                   core__topology_spread_constraint__descriptor);
    rule->maxskew = 1;
    rule->topologykey = "topology.kubernetes.io/zone";
    rule->whenunsatisfiable = "DoNotSchedule";
    rule->labelselector = of_template(arena, template);
    spec->topologyspreadconstraints = ARENA_NEW(arena, Core__TopologySpreadConstraint *);
    spec->topologyspreadconstraints[0] = rule;
    spec->n_topologyspreadconstraints = 1;
}

static void keep_apart(arena_t *arena, Core__PodSpec *spec, int template) {
    Core__PodAffinityTerm *term =
        MSG_NEW(arena, Core__PodAffinityTerm, core__pod_affinity_term__descriptor);
    term->topologykey = "kubernetes.io/hostname";
    term->labelselector = of_template(arena, template);
    Core__PodAntiAffinity *anti =
        MSG_NEW(arena, Core__PodAntiAffinity, core__pod_anti_affinity__descriptor);
    anti->requiredduringschedulingignoredduringexecution =
        ARENA_NEW(arena, Core__PodAffinityTerm *);
    anti->requiredduringschedulingignoredduringexecution[0] = term;
    anti->n_requiredduringschedulingignoredduringexecution = 1;
    spec->affinity = MSG_NEW(arena, Core__Affinity, core__affinity__descriptor);
    spec->affinity->podantiaffinity = anti;
}

static Core__Pod *make_pod(arena_t *arena, int i, int template) {
    Core__Pod *pod = MSG_NEW(arena, Core__Pod, core__pod__descriptor);
    pod->metadata = MSG_NEW(arena, Meta__ObjectMeta, meta__object_meta__descriptor);
    pod->metadata->name = arena_printf(arena, "pod-%07d", i);
    pod->metadata->namespace_ = "default";
    pod->metadata->uid = arena_printf(arena, "uid-%d", i);
    object_set_label(arena, &pod->base, "app", arena_printf(arena, "app-%d", template));
    pod->spec = MSG_NEW(arena, Core__PodSpec, core__pod_spec__descriptor);
    pod->spec->containers = ARENA_NEW(arena, Core__Container *);
    pod->spec->n_containers = 1;
    Core__Container *c = pod->spec->containers[0] =
        MSG_NEW(arena, Core__Container, core__container__descriptor);
    c->name = "c";
    c->image = "nginx";
    c->resources =
        MSG_NEW(arena, Core__ResourceRequirements, core__resource_requirements__descriptor);
    c->resources->requests = ARENA_ARRAY(arena, Core__ResourceRequirements__RequestsEntry *, 2);
    request(arena, c, "cpu", arena_printf(arena, "%dm", 100 + template % 50));
    request(arena, c, "memory", "128Mi");
    pod->spec->tolerations = ARENA_NEW(arena, Core__Toleration *);
    pod->spec->n_tolerations = 1;
    Core__Toleration *t = pod->spec->tolerations[0] =
        MSG_NEW(arena, Core__Toleration, core__toleration__descriptor);
    t->key = "node.kubernetes.io/not-ready";
    t->operator_ = "Exists";
    t->effect = "NoExecute";
    return pod;
}

int main(int argc, char **argv) {
    int nodes = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 5000;
    int pods = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 150 * 1000;
    int templates = argc > 3 ? (int)strtol(argv[3], NULL, 10) : 10;
    const char *rule = argc > 4 ? argv[4] : "";
    sched_t *s = sched_new(NULL);
    arena_t arena = {0};
    for (int i = 0; i < nodes; i++) {
        sched_node_set(s, make_node(&arena, i, pods / nodes * 2 + 10));
        arena_clear(&arena);
    }
    // What is measured begins with a pod as an object and ends with its confirmed place.
    Core__Pod **made = malloc((size_t)pods * sizeof *made);
    arena_t pod_arena = {0};
    for (int i = 0; i < pods; i++) {
        made[i] = make_pod(&pod_arena, i, i % templates);
        if (streq(rule, "spread")) spread(&pod_arena, made[i]->spec, i % templates);
        if (streq(rule, "apart")) keep_apart(&pod_arena, made[i]->spec, i % templates);
    }
    int64_t start_us = clock_monotonic_us();
    size_t bound = 0, failed = 0;
    for (int i = 0; i < pods; i += BATCH) {
        for (int j = i; j < i + BATCH && j < pods; j++) sched_pod_set(s, made[j], 0);
        sched_plan_t plan;
        do {
            sched_plan(s, 0, BATCH, &arena, &plan);
            for (size_t k = 0; k < plan.actions_len; k++) {
                bool is_bind = plan.actions[k].kind == SCHED_BIND;
                bound += is_bind;
                failed += !is_bind;
                if (is_bind) sched_bound(s, plan.actions[k].namespace_, plan.actions[k].name);
            }
            arena_clear(&arena);
        } while (plan.cut);
    }
    double seconds = (double)(clock_monotonic_us() - start_us) / 1e6;
    printf("%d nodes, %d pods of %d templates: %zu bound, %zu not, %.3f s, %.0f pods/s, %.2f us "
           "each\n",
           nodes, pods, templates, bound, failed, seconds, pods / seconds, seconds * 1e6 / pods);
    sched_destroy(&s);
    arena_done(&pod_arena);
    arena_done(&arena);
    free(made);
    return 0;
}
