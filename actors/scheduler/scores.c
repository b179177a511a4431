// scores - the rules that say which of the nodes that will do is the better one.
//
// Each is absolute (it looks at one node), where kube-scheduler scales some to the best node of the
// round: so that placing a pod changes the score of one node only. Weights are kube-scheduler's.
#include "actors/scheduler/sched_state.h"

// Share of `cap` that is used, in 1/SCHED_SCORE_MAX; the whole when there is none.
static int64_t share(int64_t used, int64_t cap) {
    if (cap <= 0 || used >= cap) return SCHED_SCORE_MAX;
    return used * SCHED_SCORE_MAX / cap;
}

static int64_t cpu_share(const sched_t *s, const sched_class_t *c, uint32_t slot) {
    return share(s->scored_cpu[slot] + c->scored_cpu, s->allocatable[RES_CPU][slot]);
}

// In KiB: bytes times SCHED_SCORE_MAX would overflow at 92 TB.
static int64_t memory_share(const sched_t *s, const sched_class_t *c, uint32_t slot) {
    return share((s->scored_memory[slot] + c->scored_memory) >> 10,
                 s->allocatable[RES_MEMORY][slot] >> 10);
}

static int32_t score_least_allocated(const sched_t *s, const sched_class_t *c, uint32_t slot) {
    int64_t shares = cpu_share(s, c, slot) + memory_share(s, c, slot);
    return (int32_t)(SCHED_SCORE_MAX - shares / 2);
}

// One minus the standard deviation of the two shares, which of two numbers is half their distance.
static int32_t score_balanced(const sched_t *s, const sched_class_t *c, uint32_t slot) {
    int64_t apart = cpu_share(s, c, slot) - memory_share(s, c, slot);
    return (int32_t)(SCHED_SCORE_MAX - (apart < 0 ? -apart : apart) / 2);
}

// Each untolerated taint that would rather have no pods costs a fifth.
static int32_t score_taints(const sched_t *s, const sched_class_t *c, uint32_t slot) {
    const Core__NodeSpec *spec = s->nodes[slot].node->spec;
    int32_t score = SCHED_SCORE_MAX;
    for (size_t i = 0; spec && i < spec->n_taints && score > 0; i++)
        if (streq(or_empty(spec->taints[i]->effect), "PreferNoSchedule") &&
            !tolerates(c, spec->taints[i]))
            score -= SCHED_SCORE_MAX / 5;
    return score;
}

static int32_t score_affinity(const sched_t *s, const sched_class_t *c, uint32_t slot) {
    const Core__Affinity *affinity = c->spec->spec->affinity;
    const Core__NodeAffinity *node = affinity ? affinity->nodeaffinity : NULL;
    int64_t all = 0, met = 0;
    for (size_t i = 0; node && i < node->n_preferredduringschedulingignoredduringexecution; i++) {
        const Core__PreferredSchedulingTerm *term =
            node->preferredduringschedulingignoredduringexecution[i];
        all += term->weight;
        if (term->preference && node_term_matches(term->preference, s->nodes[slot].node))
            met += term->weight;
    }
    return all > 0 ? (int32_t)(met * SCHED_SCORE_MAX / all) : 0;
}

// Pods of one template keep apart: a node that has n of them is worth 1/(n+1).
static int32_t score_spread(const sched_t *s, const sched_class_t *c, uint32_t slot) {
    return (int32_t)(SCHED_SCORE_MAX / (1 + class_count_on(c, slot)));
}

// What the pod's preferred rules about other pods make of the node (sched_pairs.c).
static int32_t score_pairs(const sched_t *s, const sched_class_t *c, uint32_t slot) {
    return c->pair_score ? c->pair_score[slot] : 0;
}

enum { SPREAD_WEIGHT = 2, PAIRS_WEIGHT = 2 };
int32_t sched_own_pods_cost(const sched_class_t *c, uint32_t slot) {
    return SPREAD_WEIGHT * (SCHED_SCORE_MAX - score_spread(NULL, c, slot));
}

int32_t sched_pairs_worth(const sched_class_t *c, uint32_t slot) {
    return PAIRS_WEIGHT * score_pairs(NULL, c, slot);
}

const sched_score_t sched_scores[] = {
    {"NodeResourcesFit", 1, score_least_allocated},
    {"NodeResourcesBalancedAllocation", 1, score_balanced},
    {"TaintToleration", 3, score_taints},
    {"NodeAffinity", 2, score_affinity},
    {"PodTopologySpread", SPREAD_WEIGHT, score_spread},
    {"InterPodAffinity", PAIRS_WEIGHT, score_pairs},
    {0},
};
