// podspec_validate - a pod's spec, alone or in a template (facts: k8s-validation, PodSpec).
#include "runtime/api/kinds/podspec.h"
#include "runtime/api/kinds/rows.h"

enum { NAMESERVERS_MAX = 3, SEARCHES_MAX = 32, SEARCHES_MAX_BYTES = 2048 };

// ---- names and networks -------------------------------------------------------------------------
static void check_dns(field_errors_t *e, const path_t *path, const Core__PodSpec *spec) {
    const Core__PodDNSConfig *dns = spec->dnsconfig;
    bool none = streq(or_empty(spec->dnspolicy), "None");
    if (none && !dns) tell_required(e, path, "must provide `dnsConfig` when `dnsPolicy` is None");
    if (!dns) return;
    const path_t *servers = PATH(path, "nameservers"), *searches = PATH(path, "searches");
    if (none && !dns->n_nameservers)
        tell_required(e, servers,
                      "must provide at least one DNS nameserver when `dnsPolicy` is None");
    if (dns->n_nameservers > NAMESERVERS_MAX)
        tell_invalid_raw(e, servers, "[]", "must not have more than 3 nameservers");
    for (size_t i = 0; i < dns->n_nameservers; i++)
        check_ip(e, PATH_AT(servers, i), dns->nameservers[i]);
    if (dns->n_searches > SEARCHES_MAX)
        tell_invalid_raw(e, searches, "[]", "must not have more than 32 search paths");
    size_t bytes = dns->n_searches ? dns->n_searches - 1 : 0;
    for (size_t i = 0; i < dns->n_searches; i++) bytes += strlen(dns->searches[i]);
    if (bytes > SEARCHES_MAX_BYTES)
        tell_invalid_raw(
            e, searches, "[]",
            "must not have more than 2048 characters (including spaces) in the search list");
    for (size_t i = 0; i < dns->n_searches; i++) {
        // One trailing dot says that the name is complete.
        const char *search = dns->searches[i];
        size_t len = strlen(search);
        bool complete = len > 1 && search[len - 1] == '.';
        check_rule(e, PATH_AT(searches, i), arena_strndup(e->arena, search, len - complete),
                   rule_dns_subdomain);
    }
    for (size_t i = 0; i < dns->n_options; i++)
        if (is_empty(dns->options[i]->name))
            tell_required(e, PATH_AT(PATH(path, "options"), i), "must not be empty");
}

static void check_host_aliases(field_errors_t *e, const path_t *path, const Core__PodSpec *spec) {
    for (size_t i = 0; i < spec->n_hostaliases; i++) {
        const Core__HostAlias *alias = spec->hostaliases[i];
        const path_t *at = PATH_AT(path, i);
        check_ip(e, PATH(at, "ip"), alias->ip);
        for (size_t j = 0; j < alias->n_hostnames; j++)
            check_rule(e, PATH_AT(PATH(at, "hostnames"), j), alias->hostnames[j],
                       rule_dns_subdomain);
    }
}

// A pod in the host's network opens its ports right there. In a template the defaults have not
// filled the host's port in yet.
static void check_host_network(const spec_check_t *c, const path_t *path,
                               Core__Container *const *at, size_t len) {
    if (!c->spec->hostnetwork) return;
    for (size_t i = 0; i < len; i++)
        for (size_t p = 0; p < at[i]->n_ports; p++) {
            const Core__ContainerPort *port = at[i]->ports[p];
            if (port->hostport == port->containerport) continue;
            if (!port->hostport && !c->is_pod) continue;
            const path_t *ports = PATH(PATH_AT(path, i), "ports");
            tell_invalid_int(c->e, PATH(PATH_AT(ports, p), "hostPort"), port->hostport,
                             "must match `containerPort` when `hostNetwork` is true");
        }
}

static void check_host_users(field_errors_t *e, const path_t *path, const Core__PodSpec *spec) {
    static const char text[] = "when `pod.Spec.HostUsers` is false";
    if (!spec->has_hostusers || spec->hostusers) return;
    if (spec->hostnetwork) tell_forbidden(e, PATH(path, "hostNetwork"), text);
    if (spec->hostpid) tell_forbidden(e, PATH(path, "HostPID"), text);
    if (spec->hostipc) tell_forbidden(e, PATH(path, "HostIPC"), text);
}

// ---- gates and claims ---------------------------------------------------------------------------
static void check_gates(field_errors_t *e, const path_t *path, const Core__PodSpec *spec) {
    for (size_t i = 0; i < spec->n_readinessgates; i++) {
        const path_t *at = PATH_AT(PATH(path, "readinessGates"), i);
        check_rule(e, PATH(at, "conditionType"), spec->readinessgates[i]->conditiontype,
                   rule_qualified_name);
    }
    names_t gates = NAMES(e->arena, spec->schedulinggates, spec->n_schedulinggates,
                          Core__PodSchedulingGate, name);
    for (size_t i = 0; i < spec->n_schedulinggates; i++) {
        const path_t *at = PATH_AT(PATH(path, "schedulingGates"), i);
        const char *name = or_empty(spec->schedulinggates[i]->name);
        check_rule(e, at, name, rule_qualified_name);
        if (names_repeat(&gates, i)) tell_duplicate(e, at, name);
    }
}

static void check_claims(field_errors_t *e, const path_t *path, const Core__PodSpec *spec) {
    for (size_t i = 0; i < spec->n_resourceclaims; i++) {
        const Core__PodResourceClaim *claim = spec->resourceclaims[i];
        const path_t *at = PATH_AT(path, i);
        check_required_rule(e, PATH(at, "name"), claim->name, rule_dns_label);
        if (claim->resourceclaimname && claim->resourceclaimtemplatename)
            tell_invalid_raw(e, at, "{}",
                             "at most one of `resourceClaimName` or `resourceClaimTemplateName` "
                             "may be specified");
        if (!claim->resourceclaimname && !claim->resourceclaimtemplatename)
            tell_invalid_raw(
                e, at, "{}",
                "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`");
        if (claim->resourceclaimname)
            check_rule(e, PATH(at, "resourceClaimName"), claim->resourceclaimname,
                       rule_dns_subdomain);
        if (claim->resourceclaimtemplatename)
            check_rule(e, PATH(at, "resourceClaimTemplateName"), claim->resourceclaimtemplatename,
                       rule_dns_subdomain);
    }
}

// ---- names of other objects ---------------------------------------------------------------------
static void check_names(field_errors_t *e, const path_t *path, const Core__PodSpec *spec) {
    if (!is_empty(spec->serviceaccountname))
        check_rule(e, PATH(path, "serviceAccountName"), spec->serviceaccountname,
                   rule_dns_subdomain);
    if (!is_empty(spec->nodename))
        check_rule(e, PATH(path, "nodeName"), spec->nodename, rule_dns_subdomain);
    if (spec->has_activedeadlineseconds)
        check_range(e, PATH(path, "activeDeadlineSeconds"), spec->activedeadlineseconds, 1,
                    INT32_MAX);
    if (!is_empty(spec->hostname))
        check_rule(e, PATH(path, "hostname"), spec->hostname, rule_dns_label);
    if (!is_empty(spec->subdomain))
        check_rule(e, PATH(path, "subdomain"), spec->subdomain, rule_dns_label);
    check_tolerations(e, PATH(path, "tolerations"), spec->tolerations, spec->n_tolerations);
    check_host_aliases(e, PATH(path, "hostAliases"), spec);
    if (!is_empty(spec->priorityclassname))
        check_rule(e, PATH(path, "priorityClassName"), spec->priorityclassname, rule_dns_subdomain);
    if (spec->runtimeclassname)
        check_rule(e, PATH(path, "runtimeClassName"), spec->runtimeclassname, rule_dns_subdomain);
}

static void check_secrets(field_errors_t *e, const path_t *path, const Core__PodSpec *spec) {
    for (size_t i = 0; i < spec->n_imagepullsecrets; i++)
        if (is_empty(spec->imagepullsecrets[i]->name))
            tell_required(e, PATH(PATH_AT(path, i), "name"), NULL);
}

// ---- the spec -----------------------------------------------------------------------------------
static const char *const restart_policies[] = {"Always", "OnFailure", "Never", NULL};
static const char *const dns_policies[] = {"ClusterFirstWithHostNet", "ClusterFirst", "Default",
                                           "None", NULL};
static const char *const preemption_policies[] = {"PreemptLowerPriority", "Never", NULL};
static const char *const systems[] = {"linux", "windows", NULL};

void check_podspec(field_errors_t *e, const path_t *path, const Core__PodSpec *given, bool is_pod) {
    static const Core__PodSpec empty = {.base.descriptor = &core__pod_spec__descriptor};
    const Core__PodSpec *spec = given ? given : &empty;
    bool *right = ARENA_ARRAY(e->arena, bool, spec->n_volumes + 1);
    spec_check_t c = {
        .e = e,
        .spec = spec,
        .volume_is_right = right,
        .volumes = NAMES(e->arena, spec->volumes, spec->n_volumes, Core__Volume, name),
        .containers = NAMES(e->arena, spec->containers, spec->n_containers, Core__Container, name),
        .init_containers =
            NAMES(e->arena, spec->initcontainers, spec->n_initcontainers, Core__Container, name),
        .is_pod = is_pod,
    };
    if (!spec->has_terminationgraceperiodseconds)
        tell_required(e, PATH(path, "terminationGracePeriodSeconds"), NULL);
    check_volumes(e, PATH(path, "volumes"), spec, right);
    check_claims(e, PATH(path, "resourceClaims"), spec);
    check_containers(&c, PATH(path, "containers"));
    check_init_containers(&c, PATH(path, "initContainers"));
    check_ephemeral_containers(&c, PATH(path, "ephemeralContainers"));
    check_host_network(&c, PATH(path, "containers"), spec->containers, spec->n_containers);
    check_enum(e, PATH(path, "restartPolicy"), spec->restartpolicy, restart_policies);
    check_enum(e, PATH(path, "dnsPolicy"), spec->dnspolicy, dns_policies);
    check_labels(e, PATH(path, "nodeSelector"), spec->nodeselector, spec->n_nodeselector);
    check_pod_security(&c, path);
    check_secrets(e, PATH(path, "imagePullSecrets"), spec);
    check_affinity(e, PATH(path, "affinity"), spec->affinity);
    check_dns(e, PATH(path, "dnsConfig"), spec);
    check_gates(e, path, spec);
    check_spread(e, PATH(path, "topologySpreadConstraints"), spec);
    check_host_users(e, path, spec);
    check_names(e, path, spec);
    if (spec->preemptionpolicy)
        check_enum(e, PATH(path, "preemptionPolicy"), spec->preemptionpolicy, preemption_policies);
    if (!spec->os) return;
    if (is_empty(spec->os->name))
        tell_required(e, PATH(PATH(path, "os"), "name"), "cannot be empty");
    else if (!is_one_of(spec->os->name, systems))
        tell_not_supported(e, PATH(path, "os"), spec->os->name, systems);
}

void check_template(field_errors_t *e, const path_t *path, const Core__PodTemplateSpec *template) {
    const Meta__ObjectMeta *meta = object_meta_read(&template->base);
    check_labels(e, PATH(path, "labels"), meta->labels, meta->n_labels);
    check_annotations(e, PATH(path, "annotations"), meta);
    check_podspec(e, PATH(path, "spec"), template->spec, false);
    if (template->spec && template->spec->n_ephemeralcontainers)
        tell_forbidden(e, PATH(PATH(path, "spec"), "ephemeralContainers"),
                       "ephemeral containers not allowed in pod template");
}
