// sched_pairs - rules about pods beside pods: affinity and anti-affinity between them, and
// spreading over domains (nodes that share a label's value).
//
// Such a rule makes one placement change what many nodes are worth, so a class that has one (or
// that a placed pod's anti-affinity speaks about) is worked out anew for each decision: all
// classes' counts per node are summed per domain, then every node is judged. Kubernetes:
// InterPodAffinity, PodTopologySpread.
#include "actors/scheduler/sched_state.h"
#include "runtime/api/kinds.h"
#include "runtime/api/selector.h"

// ---- who is meant ------------------------------------------------------------------------------

static const char *label_of(const sched_class_t *c, const char *key) {
    return object_label(&c->spec->base, key);
}

static const char *namespace_of(const sched_class_t *c) {
    return or_empty(object_meta_read(&c->spec->base)->namespace_);
}

// Labels whose value must be that of the pod that has the rule (or must not).
static bool keys_agree(const sched_class_t *owner, const sched_class_t *other,
                       const char *const *keys, size_t len, bool equal) {
    for (size_t i = 0; i < len; i++) {
        const char *mine = label_of(owner, or_empty(keys[i])),
                   *theirs = label_of(other, or_empty(keys[i]));
        if (!mine) continue;
        if ((theirs && streq(mine, theirs)) != equal) return false;
    }
    return true;
}

static bool labels_match(arena_t *arena, const Meta__LabelSelector *selector,
                         const sched_class_t *other) {
    const selector_t *parsed;
    return selector_from_message(arena, selector, &parsed, NULL) == ERR_OK &&
           selector_matches(parsed, &other->spec->base);
}

// Labels of namespaces are not known here: a selector of namespaces means all of them.
static bool namespace_matches(const sched_class_t *owner, const sched_class_t *other,
                              const Core__PodAffinityTerm *term) {
    if (term->namespaceselector) return true;
    if (!term->n_namespaces) return streq(namespace_of(owner), namespace_of(other));
    for (size_t i = 0; i < term->n_namespaces; i++)
        if (streq(or_empty(term->namespaces[i]), namespace_of(other))) return true;
    return false;
}

static bool term_means(arena_t *arena, const sched_class_t *owner, const sched_class_t *other,
                       const Core__PodAffinityTerm *term) {
    return namespace_matches(owner, other, term) &&
           labels_match(arena, term->labelselector, other) &&
           keys_agree(owner, other, term->matchlabelkeys, term->n_matchlabelkeys, true) &&
           keys_agree(owner, other, term->mismatchlabelkeys, term->n_mismatchlabelkeys, false);
}

static bool spread_means(arena_t *arena, const sched_class_t *owner, const sched_class_t *other,
                         const Core__TopologySpreadConstraint *rule) {
    return streq(namespace_of(owner), namespace_of(other)) &&
           labels_match(arena, rule->labelselector, other) &&
           keys_agree(owner, other, rule->matchlabelkeys, rule->n_matchlabelkeys, true);
}

// ---- domains -----------------------------------------------------------------------------------

static const char *domain_of(const sched_t *s, uint32_t slot, const char *key) {
    return s->nodes[slot].exists ? object_label(&s->nodes[slot].node->base, key) : NULL;
}

// Counts are kept as number + 1, so that a domain without pods is there too.
static size_t domain_count(const map_t *domains, const char *domain) {
    uintptr_t kept = (uintptr_t)map_get(domains, domain);
    return kept ? kept - 1 : 0;
}

static void domain_add(map_t *domains, const char *domain, size_t more) {
    uintptr_t kept = (uintptr_t)map_get(domains, domain);
    map_put(domains, domain, (void *)((kept ? kept : 1) + more));
}

typedef struct {
    sched_t *s;
    sched_class_t *c;
    arena_t *arena;
} judging_t;

// Adds the placed pods of `other` to their domains.
static void count_class(const judging_t *j, const sched_class_t *other, const char *key,
                        map_t *domains) {
    size_t at = 0;
    uint64_t slot;
    void *count;
    while (imap_next(&other->on_node, &at, &slot, &count)) {
        const char *domain = domain_of(j->s, (uint32_t)(slot - 1), key);
        if (domain) domain_add(domains, domain, (size_t)(uintptr_t)count);
    }
}

static void count_term(const judging_t *j, const Core__PodAffinityTerm *term, map_t *domains) {
    size_t at = 0;
    uint64_t hash;
    void *value;
    while (imap_next(&j->s->classes, &at, &hash, &value))
        for (const sched_class_t *other = value; other; other = other->same_hash)
            if (imap_len(&other->on_node) && term_means(j->arena, j->c, other, term))
                count_class(j, other, or_empty(term->topologykey), domains);
}

static void refuse(const judging_t *j, uint32_t slot, sched_pair_no_t why) {
    if (!j->c->pair_no[slot]) j->c->pair_no[slot] = (uint8_t)why;
}

// ---- affinity ----------------------------------------------------------------------------------

static const Core__PodAffinity *affinity_of(const sched_class_t *c) {
    return c->spec->spec->affinity ? c->spec->spec->affinity->podaffinity : NULL;
}
static const Core__PodAntiAffinity *anti_affinity_of(const sched_class_t *c) {
    return c->spec->spec->affinity ? c->spec->spec->affinity->podantiaffinity : NULL;
}

// Every term must find a pod in the node's domain. The first pod of a group that only seeks itself
// may go anywhere.
static void judge_affinity(const judging_t *j) {
    const Core__PodAffinity *affinity = affinity_of(j->c);
    size_t len = affinity ? affinity->n_requiredduringschedulingignoredduringexecution : 0,
           found = 0;
    map_t *domains = ARENA_ARRAY(j->arena, map_t, len + 1);
    bool seeks_itself = true;
    for (size_t i = 0; i < len; i++) {
        const Core__PodAffinityTerm *term =
            affinity->requiredduringschedulingignoredduringexecution[i];
        count_term(j, term, &domains[i]);
        found += map_len(&domains[i]);
        seeks_itself = seeks_itself && term_means(j->arena, j->c, j->c, term);
    }
    bool is_first = !found && seeks_itself;
    for (uint32_t slot = 0; len && slot < j->s->slots_len; slot++)
        for (size_t i = 0; i < len; i++) {
            const char *key =
                or_empty(affinity->requiredduringschedulingignoredduringexecution[i]->topologykey);
            const char *domain = domain_of(j->s, slot, key);
            if (!domain || (!is_first && !domain_count(&domains[i], domain)))
                refuse(j, slot, PAIR_NO_AFFINITY);
        }
    for (size_t i = 0; i < len; i++) map_done(&domains[i]);
}

static void refuse_domains(const judging_t *j, const map_t *domains, const char *key,
                           sched_pair_no_t why) {
    for (uint32_t slot = 0; slot < j->s->slots_len; slot++) {
        const char *domain = domain_of(j->s, slot, key);
        if (domain && domain_count(domains, domain)) refuse(j, slot, why);
    }
}

static void judge_anti_affinity(const judging_t *j) {
    const Core__PodAntiAffinity *anti = anti_affinity_of(j->c);
    for (size_t i = 0; anti && i < anti->n_requiredduringschedulingignoredduringexecution; i++) {
        const Core__PodAffinityTerm *term = anti->requiredduringschedulingignoredduringexecution[i];
        map_t domains = {0};
        count_term(j, term, &domains);
        refuse_domains(j, &domains, or_empty(term->topologykey), PAIR_NO_ANTI_AFFINITY);
        map_done(&domains);
    }
}

// Pods that are there keep away those whom their own anti-affinity means.
static void judge_others_anti_affinity(const judging_t *j) {
    for (size_t i = 0; i < j->s->anti.len; i++) {
        const sched_class_t *other = j->s->anti.at[i];
        const Core__PodAntiAffinity *anti = anti_affinity_of(other);
        for (size_t k = 0; imap_len(&other->on_node) &&
                           k < anti->n_requiredduringschedulingignoredduringexecution;
             k++) {
            const Core__PodAffinityTerm *term =
                anti->requiredduringschedulingignoredduringexecution[k];
            if (!term_means(j->arena, other, j->c, term)) continue;
            map_t domains = {0};
            count_class(j, other, or_empty(term->topologykey), &domains);
            refuse_domains(j, &domains, or_empty(term->topologykey), PAIR_NO_OTHERS_ANTI_AFFINITY);
            map_done(&domains);
        }
    }
}

// ---- spreading ---------------------------------------------------------------------------------

static bool is_hard(const Core__TopologySpreadConstraint *rule) {
    return !streq(or_empty(rule->whenunsatisfiable), "ScheduleAnyway");
}

// Pods per domain, over the nodes that the pod might go to by its own node affinity.
static void count_spread(const judging_t *j, const Core__TopologySpreadConstraint *rule,
                         map_t *domains) {
    const char *key = or_empty(rule->topologykey);
    bool honors = !streq(or_empty(rule->nodeaffinitypolicy), "Ignore");
    for (uint32_t slot = 0; slot < j->s->slots_len; slot++) {
        const char *domain = domain_of(j->s, slot, key);
        if (domain && (!honors || sched_node_affinity_holds(j->s, j->c, slot)))
            domain_add(domains, domain, 0);
    }
    size_t at = 0;
    uint64_t hash;
    void *value;
    while (imap_next(&j->s->classes, &at, &hash, &value))
        for (const sched_class_t *other = value; other; other = other->same_hash)
            if (imap_len(&other->on_node) && spread_means(j->arena, j->c, other, rule)) {
                map_t own = {0};
                count_class(j, other, key, &own);
                size_t i = 0;
                const char *domain;
                void *kept;
                while (map_next(&own, &i, &domain, &kept))
                    if (map_get(domains, domain))
                        domain_add(domains, domain, domain_count(&own, domain));
                map_done(&own);
            }
}

static size_t least(const map_t *domains, const Core__TopologySpreadConstraint *rule) {
    if (rule->mindomains > 0 && map_len(domains) < (size_t)rule->mindomains) return 0;
    size_t min = SIZE_MAX, at = 0;
    const char *domain;
    void *kept;
    while (map_next(domains, &at, &domain, &kept))
        if ((uintptr_t)kept - 1 < min) min = (uintptr_t)kept - 1;
    return min == SIZE_MAX ? 0 : min;
}

static void judge_spread(const judging_t *j) {
    const Core__PodSpec *spec = j->c->spec->spec;
    for (size_t i = 0; i < spec->n_topologyspreadconstraints; i++) {
        const Core__TopologySpreadConstraint *rule = spec->topologyspreadconstraints[i];
        if (!is_hard(rule)) continue;
        map_t domains = {0};
        count_spread(j, rule, &domains);
        size_t min = least(&domains, rule), self = spread_means(j->arena, j->c, j->c, rule);
        size_t max = (size_t)(rule->maxskew > 0 ? rule->maxskew : 1);
        for (uint32_t slot = 0; slot < j->s->slots_len; slot++) {
            const char *domain = domain_of(j->s, slot, or_empty(rule->topologykey));
            if (!domain)
                refuse(j, slot, PAIR_NO_SPREAD_LABEL);
            else if (domain_count(&domains, domain) + self > min + max)
                refuse(j, slot, PAIR_NO_SPREAD);
        }
        map_done(&domains);
    }
}

// ---- wishes ------------------------------------------------------------------------------------

static void wish_terms(const judging_t *j, Core__WeightedPodAffinityTerm *const *terms, size_t len,
                       int sign, int64_t *sums) {
    for (size_t i = 0; i < len; i++) {
        const Core__PodAffinityTerm *term = terms[i]->podaffinityterm;
        if (!term) continue;
        map_t domains = {0};
        count_term(j, term, &domains);
        for (uint32_t slot = 0; slot < j->s->slots_len; slot++) {
            const char *domain = domain_of(j->s, slot, or_empty(term->topologykey));
            if (domain)
                sums[slot] +=
                    sign * (int64_t)terms[i]->weight * (int64_t)domain_count(&domains, domain);
        }
        map_done(&domains);
    }
}

static void wish_spread(const judging_t *j, int64_t *sums) {
    const Core__PodSpec *spec = j->c->spec->spec;
    for (size_t i = 0; i < spec->n_topologyspreadconstraints; i++) {
        const Core__TopologySpreadConstraint *rule = spec->topologyspreadconstraints[i];
        if (is_hard(rule)) continue;
        map_t domains = {0};
        count_spread(j, rule, &domains);
        for (uint32_t slot = 0; slot < j->s->slots_len; slot++) {
            const char *domain = domain_of(j->s, slot, or_empty(rule->topologykey));
            sums[slot] -= domain ? (int64_t)domain_count(&domains, domain) : 1 << 20;
        }
        map_done(&domains);
    }
}

// Sums become scores between the worst node and the best.
static void score_sums(const judging_t *j, const int64_t *sums) {
    int64_t low = INT64_MAX, high = INT64_MIN;
    for (uint32_t slot = 0; slot < j->s->slots_len; slot++) {
        if (!j->s->nodes[slot].exists) continue;
        if (sums[slot] < low) low = sums[slot];
        if (sums[slot] > high) high = sums[slot];
    }
    for (uint32_t slot = 0; slot < j->s->slots_len; slot++)
        j->c->pair_score[slot] =
            high > low ? (int32_t)((sums[slot] - low) * SCHED_SCORE_MAX / (high - low)) : 0;
}

// ---- the whole ---------------------------------------------------------------------------------

bool sched_class_keeps_away(const sched_class_t *c) {
    const Core__PodAntiAffinity *anti = anti_affinity_of(c);
    return anti && anti->n_requiredduringschedulingignoredduringexecution > 0;
}

bool sched_class_has_rules(const sched_class_t *c) {
    return affinity_of(c) || anti_affinity_of(c) || c->spec->spec->n_topologyspreadconstraints;
}

bool sched_class_has_pairs(const sched_t *s, const sched_class_t *c) {
    return s->anti.len || c->has_rules;
}

void sched_class_forget_pairs(sched_class_t *c) {
    free(c->pair_no);
    free(c->pair_score);
    c->pair_no = NULL;
    c->pair_score = NULL;
}

void sched_class_judge_pairs(sched_t *s, sched_class_t *c) {
    size_t size = s->slots_cap;
    c->pair_no = mem_resize(c->pair_no, size * sizeof *c->pair_no);
    c->pair_score = mem_resize(c->pair_score, size * sizeof *c->pair_score);
    memset(c->pair_no, 0, size * sizeof *c->pair_no);
    memset(c->pair_score, 0, size * sizeof *c->pair_score);
    arena_t arena = {0};
    judging_t j = {s, c, &arena};
    judge_spread(&j); // before affinity: the order of kube-scheduler's plugins decides what is said
    judge_affinity(&j);
    judge_anti_affinity(&j);
    judge_others_anti_affinity(&j);
    int64_t *sums = ARENA_ARRAY(&arena, int64_t, size + 1);
    const Core__PodAffinity *affinity = affinity_of(c);
    const Core__PodAntiAffinity *anti = anti_affinity_of(c);
    if (affinity)
        wish_terms(&j, affinity->preferredduringschedulingignoredduringexecution,
                   affinity->n_preferredduringschedulingignoredduringexecution, 1, sums);
    if (anti)
        wish_terms(&j, anti->preferredduringschedulingignoredduringexecution,
                   anti->n_preferredduringschedulingignoredduringexecution, -1, sums);
    wish_spread(&j, sums);
    score_sums(&j, sums);
    arena_done(&arena);
}
