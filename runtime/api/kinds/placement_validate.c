// placement_validate - where a pod may go: affinity, tolerations, spreading (facts:
// k8s-validation).
#include "runtime/api/kinds/podspec.h"

// ---- node affinity ------------------------------------------------------------------------------
static void check_node_requirement(field_errors_t *e, const path_t *path,
                                   const Core__NodeSelectorRequirement *r) {
    static const char *const with_values[] = {"In", "NotIn", NULL};
    static const char *const without[] = {"Exists", "DoesNotExist", NULL};
    static const char *const with_one[] = {"Gt", "Lt", NULL};
    const path_t *values = PATH(path, "values");
    if (is_one_of(r->operator_, with_values)) {
        if (!r->n_values)
            tell_required(e, values, "must be specified when `operator` is 'In' or 'NotIn'");
    } else if (is_one_of(r->operator_, without)) {
        if (r->n_values)
            tell_forbidden(e, values,
                           "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
    } else if (is_one_of(r->operator_, with_one)) {
        if (r->n_values != 1)
            tell_required(e, values,
                          "must be specified single value when `operator` is 'Lt' or 'Gt'");
    } else {
        tell_invalid(e, PATH(path, "operator"), r->operator_, "not a valid selector operator");
    }
    check_rule(e, PATH(path, "key"), r->key, rule_qualified_name);
    for (size_t i = 0; i < r->n_values; i++)
        check_rule(e, PATH_AT(values, i), r->values[i], rule_label_value);
}

static void check_node_field(field_errors_t *e, const path_t *path,
                             const Core__NodeSelectorRequirement *r) {
    static const char *const operators[] = {"In", "NotIn", NULL};
    const path_t *values = PATH(path, "values");
    if (!is_one_of(r->operator_, operators))
        tell_invalid(e, PATH(path, "operator"), r->operator_, "not a valid selector operator");
    else if (r->n_values != 1)
        tell_required(
            e, values,
            "must be only one value when `operator` is 'In' or 'NotIn' for node field selector");
    if (!streq(or_empty(r->key), "metadata.name")) {
        tell_invalid(e, PATH(path, "key"), r->key, "not a valid field selector key");
        return;
    }
    for (size_t i = 0; i < r->n_values; i++)
        check_rule(e, PATH_AT(values, i), r->values[i], rule_dns_subdomain);
}

static void check_node_term(field_errors_t *e, const path_t *path,
                            const Core__NodeSelectorTerm *term) {
    for (size_t i = 0; term && i < term->n_matchexpressions; i++)
        check_node_requirement(e, PATH_AT(PATH(path, "matchExpressions"), i),
                               term->matchexpressions[i]);
    for (size_t i = 0; term && i < term->n_matchfields; i++)
        check_node_field(e, PATH_AT(PATH(path, "matchFields"), i), term->matchfields[i]);
}

#define REQUIRED  "requiredDuringSchedulingIgnoredDuringExecution"
#define PREFERRED "preferredDuringSchedulingIgnoredDuringExecution"

static void check_weight(field_errors_t *e, const path_t *path, int32_t weight) {
    if (weight < 1 || weight > 100)
        tell_invalid_int(e, PATH(path, "weight"), weight, "must be in the range 1-100");
}

static void check_node_affinity(field_errors_t *e, const path_t *path,
                                const Core__NodeAffinity *affinity) {
    const Core__NodeSelector *required = affinity->requiredduringschedulingignoredduringexecution;
    if (required) {
        const path_t *terms = PATH(PATH(path, REQUIRED), "nodeSelectorTerms");
        if (!required->n_nodeselectorterms)
            tell_required(e, terms, "must have at least one node selector term");
        for (size_t i = 0; i < required->n_nodeselectorterms; i++)
            check_node_term(e, PATH_AT(terms, i), required->nodeselectorterms[i]);
    }
    for (size_t i = 0; i < affinity->n_preferredduringschedulingignoredduringexecution; i++) {
        const Core__PreferredSchedulingTerm *term =
            affinity->preferredduringschedulingignoredduringexecution[i];
        const path_t *at = PATH_AT(PATH(path, PREFERRED), i);
        check_weight(e, at, term->weight);
        check_node_term(e, PATH(at, "preference"), term->preference);
    }
}

// ---- pod affinity -------------------------------------------------------------------------------
static void check_match_keys(field_errors_t *e, const path_t *path, const char *field,
                             const char **keys, size_t len, const Meta__LabelSelector *selector) {
    const path_t *at = PATH(path, field);
    if (len && !selector)
        tell_forbidden(e, at, "must not be specified when labelSelector is not set");
    for (size_t i = 0; i < len; i++) check_rule(e, PATH_AT(at, i), keys[i], rule_qualified_name);
}

static void check_pod_term(field_errors_t *e, const path_t *path,
                           const Core__PodAffinityTerm *term) {
    if (!term) {
        tell_required(e, PATH(path, "topologyKey"), "can not be empty");
        return;
    }
    check_label_selector(e, PATH(path, "labelSelector"), term->labelselector);
    check_label_selector(e, PATH(path, "namespaceSelector"), term->namespaceselector);
    for (size_t i = 0; i < term->n_namespaces; i++)
        check_rule(e, PATH(path, "namespace"), term->namespaces[i], rule_dns_label);
    check_match_keys(e, path, "matchLabelKeys", term->matchlabelkeys, term->n_matchlabelkeys,
                     term->labelselector);
    check_match_keys(e, path, "mismatchLabelKeys", term->mismatchlabelkeys,
                     term->n_mismatchlabelkeys, term->labelselector);
    if (is_empty(term->topologykey))
        tell_required(e, PATH(path, "topologyKey"), "can not be empty");
    check_rule(e, PATH(path, "topologyKey"), term->topologykey, rule_qualified_name);
}

static void check_pod_terms(field_errors_t *e, const path_t *path,
                            Core__PodAffinityTerm *const *required, size_t required_len,
                            Core__WeightedPodAffinityTerm *const *preferred, size_t preferred_len) {
    for (size_t i = 0; i < required_len; i++)
        check_pod_term(e, PATH_AT(PATH(path, REQUIRED), i), required[i]);
    for (size_t i = 0; i < preferred_len; i++) {
        const path_t *at = PATH_AT(PATH(path, PREFERRED), i);
        check_weight(e, at, preferred[i]->weight);
        check_pod_term(e, PATH(at, "podAffinityTerm"), preferred[i]->podaffinityterm);
    }
}

void check_affinity(field_errors_t *e, const path_t *path, const Core__Affinity *affinity) {
    if (!affinity) return;
    if (affinity->nodeaffinity)
        check_node_affinity(e, PATH(path, "nodeAffinity"), affinity->nodeaffinity);
    const Core__PodAffinity *to = affinity->podaffinity;
    if (to)
        check_pod_terms(e, PATH(path, "podAffinity"),
                        to->requiredduringschedulingignoredduringexecution,
                        to->n_requiredduringschedulingignoredduringexecution,
                        to->preferredduringschedulingignoredduringexecution,
                        to->n_preferredduringschedulingignoredduringexecution);
    const Core__PodAntiAffinity *from = affinity->podantiaffinity;
    if (from)
        check_pod_terms(e, PATH(path, "podAntiAffinity"),
                        from->requiredduringschedulingignoredduringexecution,
                        from->n_requiredduringschedulingignoredduringexecution,
                        from->preferredduringschedulingignoredduringexecution,
                        from->n_preferredduringschedulingignoredduringexecution);
}

// ---- tolerations --------------------------------------------------------------------------------
static void check_toleration(field_errors_t *e, const path_t *path, const Core__Toleration *t) {
    static const char *const operators[] = {"Equal", "Exists", NULL};
    static const char *const effects[] = {"NoSchedule", "PreferNoSchedule", "NoExecute", NULL};
    const path_t *operator= PATH(path, "operator");
    bool exists = streq(or_empty(t->operator_), "Exists");
    if (!is_empty(t->key)) check_rule(e, PATH(path, "key"), t->key, rule_qualified_name);
    if (is_empty(t->key) && !exists)
        tell_invalid(e, operator, t->operator_,
                     "operator must be Exists when `key` is empty, which means \"match all values "
                     "and all keys\"");
    if (t->has_tolerationseconds && !streq(or_empty(t->effect), "NoExecute"))
        tell_invalid(e, PATH(path, "effect"), t->effect,
                     "effect must be 'NoExecute' when `tolerationSeconds` is set");
    if (exists) {
        if (!is_empty(t->value))
            tell_invalid(e, operator, t->value, "value must be empty when `operator` is 'Exists'");
    } else if (is_empty(t->operator_) || streq(t->operator_, "Equal")) {
        check_rule(e, operator, t->value, rule_label_value);
    } else {
        tell_not_supported(e, operator, t->operator_, operators);
    }
    if (!is_empty(t->effect) && !is_one_of(t->effect, effects))
        tell_not_supported(e, PATH(path, "effect"), t->effect, effects);
}

void check_tolerations(field_errors_t *e, const path_t *path, Core__Toleration *const *at,
                       size_t len) {
    for (size_t i = 0; i < len; i++) check_toleration(e, PATH_AT(path, i), at[i]);
}

// ---- spreading ----------------------------------------------------------------------------------
static void check_constraint(field_errors_t *e, const path_t *path,
                             const Core__TopologySpreadConstraint *c) {
    static const char *const actions[] = {"DoNotSchedule", "ScheduleAnyway", NULL};
    static const char *const policies[] = {"Honor", "Ignore", NULL};
    if (c->maxskew <= 0)
        tell_invalid_int(e, PATH(path, "maxSkew"), c->maxskew, "must be greater than zero");
    if (is_empty(c->topologykey)) tell_required(e, PATH(path, "topologyKey"), "can not be empty");
    if (!is_one_of(c->whenunsatisfiable, actions))
        tell_not_supported(e, PATH(path, "whenUnsatisfiable"), c->whenunsatisfiable, actions);
    if (c->has_mindomains && c->mindomains <= 0)
        tell_invalid_int(e, PATH(path, "minDomains"), c->mindomains, "must be greater than zero");
    if (c->has_mindomains && !streq(or_empty(c->whenunsatisfiable), "DoNotSchedule"))
        tell_invalid_int(e, PATH(path, "minDomains"), c->mindomains,
                         arena_printf(e->arena,
                                      "can only use minDomains if "
                                      "whenUnsatisfiable=DoNotSchedule, not %s",
                                      or_empty(c->whenunsatisfiable)));
    if (c->nodeaffinitypolicy && !is_one_of(c->nodeaffinitypolicy, policies))
        tell_not_supported(e, PATH(path, "nodeAffinityPolicy"), c->nodeaffinitypolicy, policies);
    if (c->nodetaintspolicy && !is_one_of(c->nodetaintspolicy, policies))
        tell_not_supported(e, PATH(path, "nodeTaintsPolicy"), c->nodetaintspolicy, policies);
    check_match_keys(e, path, "matchLabelKeys", c->matchlabelkeys, c->n_matchlabelkeys,
                     c->labelselector);
    check_label_selector(e, PATH(path, "labelSelector"), c->labelselector);
}

void check_spread(field_errors_t *e, const path_t *path, const Core__PodSpec *spec) {
    size_t len = spec->n_topologyspreadconstraints;
    const char **keys = ARENA_ARRAY(e->arena, const char *, len + 1);
    for (size_t i = 0; i < len; i++) {
        const Core__TopologySpreadConstraint *c = spec->topologyspreadconstraints[i];
        keys[i] = arena_printf(e->arena, "{%s, %s}", or_empty(c->topologykey),
                               or_empty(c->whenunsatisfiable));
    }
    names_t names = names_of(e->arena, keys, len, NAMES_ARE_ITEMS);
    for (size_t i = 0; i < len; i++) {
        const path_t *at = PATH_AT(path, i);
        check_constraint(e, at, spec->topologyspreadconstraints[i]);
        if (names_repeat(&names, i))
            tell_duplicate(e, PATH(at, "{topologyKey, whenUnsatisfiable}"), keys[i]);
    }
}
