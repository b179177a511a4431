// resource_validate - requests and limits of containers (facts: k8s-validation, resources).
#include "runtime/api/kinds/podspec.h"
#include "runtime/api/quantity.h"

#define HUGEPAGES "hugepages-"

static bool is_extended(const char *name) {
    return strchr(name, '/') && !strstr(name, "kubernetes.io/") && !has_prefix(name, "requests.");
}

// More of these may be promised than there is.
static bool may_overcommit(const char *name) {
    bool native = !strchr(name, '/') || strstr(name, "kubernetes.io/");
    return native && !has_prefix(name, HUGEPAGES);
}

static void check_resource_name(field_errors_t *e, const path_t *path, const char *name) {
    static const char *const of_containers[] = {"cpu", "memory", "ephemeral-storage", NULL};
    static const char *const standard[] = {"cpu",
                                           "memory",
                                           "ephemeral-storage",
                                           "storage",
                                           "pods",
                                           "services",
                                           "secrets",
                                           "configmaps",
                                           "resourcequotas",
                                           "replicationcontrollers",
                                           "persistentvolumeclaims",
                                           "requests.cpu",
                                           "requests.memory",
                                           "requests.storage",
                                           "requests.ephemeral-storage",
                                           "limits.cpu",
                                           "limits.memory",
                                           "limits.ephemeral-storage",
                                           "services.nodeports",
                                           "services.loadbalancers",
                                           NULL};
    size_t before = e->len;
    check_rule(e, path, name, rule_qualified_name);
    if (e->len != before) return;
    if (strchr(name, '/')) {
        if (!strstr(name, "kubernetes.io/") && !is_extended(name))
            tell_invalid(e, path, name, "doesn't follow extended resource name standard");
        return;
    }
    if (has_prefix(name, HUGEPAGES)) return;
    if (!is_one_of(name, standard))
        tell_invalid(e, path, name, "must be a standard resource type or fully qualified");
    if (!is_one_of(name, of_containers))
        tell_invalid(e, path, name, "must be a standard resource for containers");
}

static const char *amount(const quantity_entry_t *entry) {
    return entry->value ? or_empty(entry->value->string) : "0";
}

// false: not a quantity at all; such texts are refused when they are read.
static bool check_amount(field_errors_t *e, const path_t *path, const quantity_entry_t *entry,
                         quantity_t *ret_q) {
    static const quantity_t none = {0};
    if (quantity_parse(amount(entry), ret_q)) return false;
    if (quantity_cmp(*ret_q, none) < 0) tell_invalid(e, path, amount(entry), TEXT_NOT_NEGATIVE);
    if (is_extended(or_empty(entry->key)) && quantity_milli(*ret_q) % 1000 != 0)
        tell_invalid(e, path, amount(entry), "must be an integer");
    return true;
}

static void check_request(field_errors_t *e, const path_t *path,
                          const Core__ResourceRequirements *r, const quantity_entry_t *entry) {
    const path_t *requests = PATH(path, "requests");
    const char *name = or_empty(entry->key);
    quantity_t request, limit;
    check_resource_name(e, PATH_KEY(requests, name), name);
    if (!check_amount(e, PATH_KEY(requests, name), entry, &request)) return;
    const char *limit_text = quantity_entry_find(r->limits, r->n_limits, name);
    if (!limit_text) {
        if (!may_overcommit(name))
            tell_required(e, PATH(path, "limits"),
                          "Limit must be set for non overcommitable resources");
        return;
    }
    if (quantity_parse(limit_text, &limit)) return;
    int order = quantity_cmp(request, limit);
    if (order && !may_overcommit(name))
        tell_invalid(e, requests, amount(entry),
                     arena_printf(e->arena, "must be equal to %s limit of %s", name, limit_text));
    else if (order > 0)
        tell_invalid(e, requests, amount(entry),
                     arena_printf(e->arena, "must be less than or equal to %s limit of %s", name,
                                  limit_text));
}

static bool has_compute(const void *entries, size_t len) {
    return quantity_entry_find(entries, len, "cpu") || quantity_entry_find(entries, len, "memory");
}

static bool has_hugepages(const void *entries, size_t len) {
    quantity_entry_t *const *at = entries;
    for (size_t i = 0; i < len; i++)
        if (has_prefix(or_empty(at[i]->key), HUGEPAGES)) return true;
    return false;
}

void check_requirements(field_errors_t *e, const path_t *path,
                        const Core__ResourceRequirements *r) {
    quantity_t q;
    for (size_t i = 0; i < r->n_limits; i++) {
        const char *name = or_empty(r->limits[i]->key);
        const path_t *at = PATH_KEY(PATH(path, "limits"), name);
        check_resource_name(e, at, name);
        check_amount(e, at, (const quantity_entry_t *)r->limits[i], &q);
    }
    for (size_t i = 0; i < r->n_requests; i++)
        check_request(e, path, r, (const quantity_entry_t *)r->requests[i]);
    bool huge = has_hugepages(r->limits, r->n_limits) || has_hugepages(r->requests, r->n_requests);
    if (huge && !has_compute(r->limits, r->n_limits) && !has_compute(r->requests, r->n_requests))
        tell_forbidden(e, path, "HugePages require cpu or memory");
}
