// sched_pairs - rules about pods beside pods: affinity and anti-affinity between them, and
// spreading over domains (nodes that share a label's value).
//
// Such a rule makes one placement change what many nodes are worth, so a class that has one (or
// that a placed pod's anti-affinity speaks about) is worked out anew for each decision: all
// classes' counts per node are summed per domain, then every node is judged. Which domain a node
// is in is looked up when nodes change, not then. Kubernetes: InterPodAffinity, PodTopologySpread.
#include "actors/scheduler/sched_state.h"
#include "runtime/api/kinds.h"
#include "runtime/api/selector.h"

enum { TOPOLOGIES_MAX = 64 }; // more come of pods long gone: all are numbered anew

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

static void topology_number(const sched_t *s, sched_topology_t *t) {
    map_t numbers = {0}; // value -> number
    t->domain = mem_resize(t->domain, s->slots_cap * sizeof *t->domain);
    memset(t->domain, 0, s->slots_cap * sizeof *t->domain);
    t->len = 0;
    for (uint32_t slot = 0; slot < s->slots_len; slot++) {
        const sched_node_t *node = &s->nodes[slot];
        const char *value = node->exists ? object_label(&node->node->base, t->key) : NULL;
        if (!value) continue;
        if (!map_get(&numbers, value)) map_put(&numbers, value, (void *)(uintptr_t)++t->len);
        t->domain[slot] = (uint32_t)(uintptr_t)map_get(&numbers, value);
    }
    map_done(&numbers);
    t->as_of = s->nodes_changed;
}

static const sched_topology_t *topology_of(sched_t *s, const char *key) {
    sched_topology_t *t = NULL;
    for (size_t i = 0; i < s->topologies.len && !t; i++)
        if (streq(s->topologies.at[i]->key, key)) t = s->topologies.at[i];
    if (!t) {
        t = NEW(sched_topology_t);
        t->key = str_dup(key);
        vec_push(&s->topologies, t);
    }
    if (t->as_of != s->nodes_changed) topology_number(s, t);
    return t;
}

void sched_topologies_done(sched_t *s) {
    for (size_t i = 0; i < s->topologies.len; i++) {
        free(s->topologies.at[i]->key);
        free(s->topologies.at[i]->domain);
        free(s->topologies.at[i]);
    }
    vec_done(&s->topologies);
}

typedef struct {
    sched_t *s;
    sched_class_t *c;
    arena_t *arena;
} judging_t;

// Pods per domain of one topology, by number; a domain without pods may be there too.
typedef struct {
    const uint32_t *of; // by slot
    size_t *kept;       // count + 1; 0: it is not there
    uint32_t len;       // numbers
    size_t there;
} domains_t;

// In the arena; holds for this judging.
static domains_t domains_new(const judging_t *j, const char *key) {
    const sched_topology_t *t = topology_of(j->s, or_empty(key));
    return (domains_t){t->domain, ARENA_ARRAY(j->arena, size_t, t->len + 1), t->len, 0};
}

static size_t domain_count(const domains_t *d, uint32_t domain) {
    return d->kept[domain] ? d->kept[domain] - 1 : 0;
}

static void domain_add(domains_t *d, uint32_t domain, size_t more) {
    assert(domain > 0 && domain <= d->len);
    if (!d->kept[domain]) d->there += d->kept[domain] = 1;
    d->kept[domain] += more;
}

// Adds the placed pods of `other` to their domains; to those that are there, or to all.
static void count_class(const sched_class_t *other, bool only_there, domains_t *d) {
    size_t at = 0;
    uint64_t slot;
    void *count;
    while (imap_next(&other->on_node, &at, &slot, &count)) {
        uint32_t domain = d->of[slot - 1];
        if (domain && (d->kept[domain] || !only_there))
            domain_add(d, domain, (size_t)(uintptr_t)count);
    }
}

static void count_term(const judging_t *j, const Core__PodAffinityTerm *term, domains_t *d) {
    size_t at = 0;
    uint64_t hash;
    void *value;
    while (imap_next(&j->s->classes, &at, &hash, &value))
        for (const sched_class_t *other = value; other; other = other->same_hash)
            if (imap_len(&other->on_node) && term_means(j->arena, j->c, other, term))
                count_class(other, false, d);
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
    domains_t *domains = ARENA_ARRAY(j->arena, domains_t, len + 1);
    bool seeks_itself = true;
    for (size_t i = 0; i < len; i++) {
        const Core__PodAffinityTerm *term =
            affinity->requiredduringschedulingignoredduringexecution[i];
        domains[i] = domains_new(j, term->topologykey);
        count_term(j, term, &domains[i]);
        found += domains[i].there;
        seeks_itself = seeks_itself && term_means(j->arena, j->c, j->c, term);
    }
    bool is_first = !found && seeks_itself;
    for (uint32_t slot = 0; len && slot < j->s->slots_len; slot++)
        for (size_t i = 0; i < len; i++) {
            uint32_t domain = domains[i].of[slot];
            if (!domain || (!is_first && !domain_count(&domains[i], domain)))
                refuse(j, slot, PAIR_NO_AFFINITY);
        }
}

static void refuse_domains(const judging_t *j, const domains_t *d, sched_pair_no_t why) {
    for (uint32_t slot = 0; slot < j->s->slots_len; slot++)
        if (d->of[slot] && domain_count(d, d->of[slot])) refuse(j, slot, why);
}

static void judge_anti_affinity(const judging_t *j) {
    const Core__PodAntiAffinity *anti = anti_affinity_of(j->c);
    for (size_t i = 0; anti && i < anti->n_requiredduringschedulingignoredduringexecution; i++) {
        const Core__PodAffinityTerm *term = anti->requiredduringschedulingignoredduringexecution[i];
        domains_t domains = domains_new(j, term->topologykey);
        count_term(j, term, &domains);
        refuse_domains(j, &domains, PAIR_NO_ANTI_AFFINITY);
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
            domains_t domains = domains_new(j, term->topologykey);
            count_class(other, false, &domains);
            refuse_domains(j, &domains, PAIR_NO_OTHERS_ANTI_AFFINITY);
        }
    }
}

// ---- spreading ---------------------------------------------------------------------------------

static bool is_hard(const Core__TopologySpreadConstraint *rule) {
    return !streq(or_empty(rule->whenunsatisfiable), "ScheduleAnyway");
}

// Pods per domain, over the nodes that the pod might go to by its own node affinity.
static domains_t count_spread(const judging_t *j, const Core__TopologySpreadConstraint *rule) {
    domains_t d = domains_new(j, rule->topologykey);
    bool honors = !streq(or_empty(rule->nodeaffinitypolicy), "Ignore");
    for (uint32_t slot = 0; slot < j->s->slots_len; slot++)
        if (d.of[slot] && (!honors || sched_node_affinity_holds(j->s, j->c, slot)))
            domain_add(&d, d.of[slot], 0);
    size_t at = 0;
    uint64_t hash;
    void *value;
    while (imap_next(&j->s->classes, &at, &hash, &value))
        for (const sched_class_t *other = value; other; other = other->same_hash)
            if (imap_len(&other->on_node) && spread_means(j->arena, j->c, other, rule))
                count_class(other, true, &d);
    return d;
}

static size_t least(const domains_t *d, const Core__TopologySpreadConstraint *rule) {
    if (rule->mindomains > 0 && d->there < (size_t)rule->mindomains) return 0;
    size_t min = SIZE_MAX;
    for (uint32_t i = 1; i <= d->len; i++)
        if (d->kept[i] && d->kept[i] - 1 < min) min = d->kept[i] - 1;
    return min == SIZE_MAX ? 0 : min;
}

static void judge_spread(const judging_t *j) {
    const Core__PodSpec *spec = j->c->spec->spec;
    for (size_t i = 0; i < spec->n_topologyspreadconstraints; i++) {
        const Core__TopologySpreadConstraint *rule = spec->topologyspreadconstraints[i];
        if (!is_hard(rule)) continue;
        domains_t domains = count_spread(j, rule);
        size_t min = least(&domains, rule), self = spread_means(j->arena, j->c, j->c, rule);
        size_t max = (size_t)(rule->maxskew > 0 ? rule->maxskew : 1);
        for (uint32_t slot = 0; slot < j->s->slots_len; slot++) {
            uint32_t domain = domains.of[slot];
            if (!domain)
                refuse(j, slot, PAIR_NO_SPREAD_LABEL);
            else if (domain_count(&domains, domain) + self > min + max)
                refuse(j, slot, PAIR_NO_SPREAD);
        }
    }
}

// ---- wishes ------------------------------------------------------------------------------------

static void wish_terms(const judging_t *j, Core__WeightedPodAffinityTerm *const *terms, size_t len,
                       int sign, int64_t *sums) {
    for (size_t i = 0; i < len; i++) {
        const Core__PodAffinityTerm *term = terms[i]->podaffinityterm;
        if (!term) continue;
        domains_t domains = domains_new(j, term->topologykey);
        count_term(j, term, &domains);
        for (uint32_t slot = 0; slot < j->s->slots_len; slot++)
            if (domains.of[slot])
                sums[slot] += sign * (int64_t)terms[i]->weight *
                              (int64_t)domain_count(&domains, domains.of[slot]);
    }
}

static void wish_spread(const judging_t *j, int64_t *sums) {
    const Core__PodSpec *spec = j->c->spec->spec;
    for (size_t i = 0; i < spec->n_topologyspreadconstraints; i++) {
        const Core__TopologySpreadConstraint *rule = spec->topologyspreadconstraints[i];
        if (is_hard(rule)) continue;
        domains_t domains = count_spread(j, rule);
        for (uint32_t slot = 0; slot < j->s->slots_len; slot++) {
            uint32_t domain = domains.of[slot];
            sums[slot] -= domain ? (int64_t)domain_count(&domains, domain) : 1 << 20;
        }
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
    if (s->topologies.len > TOPOLOGIES_MAX) sched_topologies_done(s);
    size_t size = s->slots_cap;
    c->pair_no = mem_resize(c->pair_no, size * sizeof *c->pair_no);
    c->pair_score = mem_resize(c->pair_score, size * sizeof *c->pair_score);
    memset(c->pair_no, 0, size * sizeof *c->pair_no);
    memset(c->pair_score, 0, size * sizeof *c->pair_score);
    judging_t j = {s, c, &s->judging};
    judge_spread(&j); // before affinity: the order of kube-scheduler's plugins decides what is said
    judge_affinity(&j);
    judge_anti_affinity(&j);
    judge_others_anti_affinity(&j);
    int64_t *sums = ARENA_ARRAY(&s->judging, int64_t, size + 1);
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
    arena_clear(&s->judging);
}
