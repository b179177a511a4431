// filters - the rules that say whether a node will do, in kube-scheduler's order and words.
//
// To add one: a function that passes or not, one that says why not, a row.
#include "actors/scheduler/sched_state.h"
#include "runtime/api/kinds.h"

static void add(sched_reasons_t *reasons, const char *text, bool helped_by_leaving) {
    assert(reasons->len < SCHED_REASONS_MAX);
    reasons->at[reasons->len++] = (sched_reason_t){text, helped_by_leaving};
}

static const Core__NodeSpec *spec_of(const sched_t *s, uint32_t slot) {
    return s->nodes[slot].node->spec;
}

// ---- NodeUnschedulable -------------------------------------------------------------------------

static const Core__Taint unschedulable_taint = {
    .base.descriptor = &core__taint__descriptor,
    .key = "node.kubernetes.io/unschedulable",
    .effect = "NoSchedule",
};

static bool passes_unschedulable(const sched_t *s, const sched_class_t *c, uint32_t slot) {
    const Core__NodeSpec *spec = spec_of(s, slot);
    return !spec || !spec->unschedulable || tolerates(c, &unschedulable_taint);
}

static void explain_unschedulable(const sched_t *s, const sched_class_t *c, uint32_t slot,
                                  arena_t *arena, sched_reasons_t *reasons) {
    add(reasons, "node(s) were unschedulable", false);
}

// ---- TaintToleration ---------------------------------------------------------------------------

static const Core__Taint *untolerated(const sched_t *s, const sched_class_t *c, uint32_t slot) {
    const Core__NodeSpec *spec = spec_of(s, slot);
    for (size_t i = 0; spec && i < spec->n_taints; i++) {
        const char *effect = or_empty(spec->taints[i]->effect);
        bool hard = streq(effect, "NoSchedule") || streq(effect, "NoExecute");
        if (hard && !tolerates(c, spec->taints[i])) return spec->taints[i];
    }
    return NULL;
}

static bool passes_taints(const sched_t *s, const sched_class_t *c, uint32_t slot) {
    return !untolerated(s, c, slot);
}

static void explain_taints(const sched_t *s, const sched_class_t *c, uint32_t slot, arena_t *arena,
                           sched_reasons_t *reasons) {
    const Core__Taint *taint = untolerated(s, c, slot);
    assert(taint);
    add(reasons,
        arena_printf(arena, "node(s) had untolerated taint {%s: %s}", or_empty(taint->key),
                     or_empty(taint->value)),
        false);
}

// ---- NodeAffinity ------------------------------------------------------------------------------

bool sched_node_affinity_holds(const sched_t *s, const sched_class_t *c, uint32_t slot) {
    const Core__PodSpec *spec = c->spec->spec;
    const Core__Node *node = s->nodes[slot].node;
    for (size_t i = 0; i < spec->n_nodeselector; i++) {
        const char *has = object_label(&node->base, or_empty(spec->nodeselector[i]->key));
        if (!has || !streq(has, or_empty(spec->nodeselector[i]->value))) return false;
    }
    const Core__NodeAffinity *affinity = spec->affinity ? spec->affinity->nodeaffinity : NULL;
    const Core__NodeSelector *required =
        affinity ? affinity->requiredduringschedulingignoredduringexecution : NULL;
    if (!required) return true;
    for (size_t i = 0; i < required->n_nodeselectorterms; i++)
        if (node_term_matches(required->nodeselectorterms[i], node)) return true;
    return false;
}

static void explain_affinity(const sched_t *s, const sched_class_t *c, uint32_t slot,
                             arena_t *arena, sched_reasons_t *reasons) {
    add(reasons, "node(s) didn't match Pod's node affinity/selector", false);
}

// ---- NodePorts ---------------------------------------------------------------------------------

static bool collides(const sched_port_t *a, const sched_port_t *b) {
    if (a->port != b->port || !streq(a->protocol, b->protocol)) return false;
    return !*a->ip || !*b->ip || streq(a->ip, b->ip);
}

static bool passes_ports(const sched_t *s, const sched_class_t *c, uint32_t slot) {
    const sched_node_t *node = &s->nodes[slot];
    for (size_t i = 0; i < c->ports_len; i++)
        for (size_t j = 0; j < node->ports.len; j++)
            if (collides(&c->ports[i], &node->ports.at[j].port)) return false;
    return true;
}

static void explain_ports(const sched_t *s, const sched_class_t *c, uint32_t slot, arena_t *arena,
                          sched_reasons_t *reasons) {
    add(reasons, "node(s) didn't have free ports for the requested pod ports", true);
}

// ---- NodeResourcesFit --------------------------------------------------------------------------

static bool lacks(const sched_t *s, const sched_class_t *c, uint32_t slot, size_t resource) {
    int64_t want = c->request[resource];
    return want > 0 && want > s->allocatable[resource][slot] - s->used[resource][slot];
}

static bool passes_resources(const sched_t *s, const sched_class_t *c, uint32_t slot) {
    for (size_t i = 0; i < s->resources_len; i++)
        if (lacks(s, c, slot, i)) return false;
    return !c->is_beyond;
}

static void explain_resources(const sched_t *s, const sched_class_t *c, uint32_t slot,
                              arena_t *arena, sched_reasons_t *reasons) {
    if (c->is_beyond)
        add(reasons, "Insufficient resources of more kinds than can be followed", false);
    if (lacks(s, c, slot, RES_PODS)) add(reasons, "Too many pods", true);
    for (size_t i = 0; i < s->resources_len; i++) {
        if (i == RES_PODS || !lacks(s, c, slot, i)) continue;
        bool ever_fits = c->request[i] <= s->allocatable[i][slot];
        add(reasons, arena_printf(arena, "Insufficient %s", s->resource_names[i]), ever_fits);
    }
}

// ---- PodTopologySpread, InterPodAffinity (sched_pairs.c) ---------------------------------------

static sched_pair_no_t pair_no(const sched_class_t *c, uint32_t slot) {
    return c->pair_no ? (sched_pair_no_t)c->pair_no[slot] : PAIR_YES;
}

static bool is_spread_no(sched_pair_no_t no) {
    return no == PAIR_NO_SPREAD || no == PAIR_NO_SPREAD_LABEL;
}

static bool passes_spread(const sched_t *s, const sched_class_t *c, uint32_t slot) {
    return !is_spread_no(pair_no(c, slot));
}

static bool passes_pods(const sched_t *s, const sched_class_t *c, uint32_t slot) {
    sched_pair_no_t no = pair_no(c, slot);
    return no == PAIR_YES || is_spread_no(no);
}

static void explain_pair(const sched_t *s, const sched_class_t *c, uint32_t slot, arena_t *arena,
                         sched_reasons_t *reasons) {
    static const char *const texts[] = {
        [PAIR_NO_SPREAD] = "node(s) didn't match pod topology spread constraints",
        [PAIR_NO_SPREAD_LABEL] =
            "node(s) didn't match pod topology spread constraints (missing required label)",
        [PAIR_NO_AFFINITY] = "node(s) didn't match pod affinity rules",
        [PAIR_NO_ANTI_AFFINITY] = "node(s) didn't match pod anti-affinity rules",
        [PAIR_NO_OTHERS_ANTI_AFFINITY] = "node(s) didn't satisfy existing pods anti-affinity rules",
    };
    sched_pair_no_t no = pair_no(c, slot);
    assert(no != PAIR_YES);
    add(reasons, texts[no], no != PAIR_NO_SPREAD_LABEL && no != PAIR_NO_AFFINITY);
}

const sched_filter_t sched_filters[] = {
    {"NodeUnschedulable", passes_unschedulable, explain_unschedulable},
    {"TaintToleration", passes_taints, explain_taints},
    {"NodeAffinity", sched_node_affinity_holds, explain_affinity},
    {"NodePorts", passes_ports, explain_ports},
    {"NodeResourcesFit", passes_resources, explain_resources},
    {"PodTopologySpread", passes_spread, explain_pair},
    {"InterPodAffinity", passes_pods, explain_pair},
    {0},
};
