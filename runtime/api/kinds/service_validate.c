// service_validate - Service (facts: k8s-validation). Node ports and addresses are checked against
// what is free by whoever allocates them.
#include "k8s/core_v1.pb-c.h"
#include "runtime/api/kinds/check.h"
#include "runtime/api/kinds/rows.h"
#include "runtime/base/text.h"

enum { AFFINITY_SECONDS_MAX = 86400, CLUSTER_IPS_MAX = 2 };

typedef struct {
    field_errors_t *e;
    const path_t *path;                  // spec
    const Core__ServiceSpec *spec, *old; // old NULL: created
} service_check_t;

static bool type_is(const Core__ServiceSpec *spec, const char *type) {
    return streq(or_empty(spec->type), type);
}

static bool is_headless(const Core__ServiceSpec *spec) {
    return spec->n_clusterips == 1 && streq(spec->clusterips[0], "None");
}

// As Go shows a []string.
static const char *go_strings(arena_t *arena, const char *const *at, size_t len) {
    field_errors_t quoting = {.arena = arena};
    if (!len) return "[]string(nil)";
    text_t out = {.arena = arena};
    text_add(&out, "[]string{");
    for (size_t i = 0; i < len; i++)
        text_addf(&out, "%s%s", i ? ", " : "", field_quoted(&quoting, at[i]));
    text_addc(&out, '}');
    return text_str(&out);
}

// ---- by type ------------------------------------------------------------------------------------
static void check_external_name(const service_check_t *c) {
    static const char text[] = "may not be set for ExternalName services";
    const Core__ServiceSpec *spec = c->spec;
    if (spec->n_clusterips) tell_forbidden(c->e, PATH(c->path, "clusterIPs"), text);
    if (spec->n_ipfamilies) tell_forbidden(c->e, PATH(c->path, "ipFamilies"), text);
    if (!is_empty(spec->ipfamilypolicy))
        tell_forbidden(c->e, PATH(c->path, "ipFamilyPolicy"), text);
    // One trailing dot says that the name is complete.
    const char *name = or_empty(spec->externalname);
    size_t len = strlen(name);
    if (len && name[len - 1] == '.') len--;
    check_required_rule(c->e, PATH(c->path, "externalName"), arena_strndup(c->e->arena, name, len),
                        rule_dns_subdomain);
}

static void check_by_type(const service_check_t *c) {
    const Core__ServiceSpec *spec = c->spec;
    bool external = type_is(spec, "ExternalName");
    if (!spec->n_ports && !is_headless(spec) && !external)
        tell_required(c->e, PATH(c->path, "ports"), NULL);
    const path_t *first_ip = PATH_AT(PATH(c->path, "clusterIPs"), 0);
    if (type_is(spec, "LoadBalancer") && is_headless(spec))
        tell_invalid(c->e, first_ip, "None", "may not be set to 'None' for LoadBalancer services");
    if (type_is(spec, "NodePort") && is_headless(spec))
        tell_invalid(c->e, first_ip, "None", "may not be set to 'None' for NodePort services");
    if (external) check_external_name(c);
}

// ---- ports --------------------------------------------------------------------------------------
static void check_service_port(const service_check_t *c, const names_t *names, size_t i) {
    const Core__ServicePort *port = c->spec->ports[i];
    const path_t *at = PATH_AT(PATH(c->path, "ports"), i);
    const char *name = or_empty(port->name);
    if (!*name && c->spec->n_ports > 1) tell_required(c->e, PATH(at, "name"), NULL);
    if (*name) {
        check_rule(c->e, PATH(at, "name"), name, rule_dns_label);
        if (names_repeat(names, i)) tell_duplicate(c->e, PATH(at, "name"), name);
    }
    check_port(c->e, PATH(at, "port"), port->port);
    check_enum(c->e, PATH(at, "protocol"), port->protocol, protocols);
    check_port_or_name(c->e, PATH(at, "targetPort"), port->targetport);
    if (port->appprotocol)
        check_rule(c->e, PATH(at, "appProtocol"), port->appprotocol, rule_qualified_name);
}

// "TCP/80" of each port, or of each node port.
static const char **port_keys(const service_check_t *c, bool node_ports) {
    const char **keys = ARENA_ARRAY(c->e->arena, const char *, c->spec->n_ports + 1);
    for (size_t i = 0; i < c->spec->n_ports; i++) {
        const Core__ServicePort *port = c->spec->ports[i];
        keys[i] = arena_printf(c->e->arena, "%s/%d", or_empty(port->protocol),
                               node_ports ? port->nodeport : port->port);
    }
    return keys;
}

static const char *go_port(field_errors_t *e, const Core__ServicePort *port) {
    return arena_printf(e->arena,
                        "core.ServicePort{Name:\"\", Protocol:%s, AppProtocol:(*string)(nil), "
                        "Port:%d, TargetPort:intstr.IntOrString{Type:0, IntVal:0, StrVal:\"\"}, "
                        "NodePort:0}",
                        field_quoted(e, port->protocol), port->port);
}

static void check_unique_ports(const service_check_t *c) {
    const Core__ServiceSpec *spec = c->spec;
    const path_t *ports = PATH(c->path, "ports");
    names_t numbers = names_of(c->e->arena, port_keys(c, false), spec->n_ports, NAMES_ARE_ITEMS);
    names_t node_ports = names_of(c->e->arena, port_keys(c, true), spec->n_ports, NAMES_ARE_ITEMS);
    for (size_t i = 0; i < spec->n_ports && type_is(spec, "ClusterIP"); i++)
        if (spec->ports[i]->nodeport)
            tell_forbidden(c->e, PATH(PATH_AT(ports, i), "nodePort"),
                           "may not be used when `type` is 'ClusterIP'");
    for (size_t i = 0; i < spec->n_ports; i++)
        if (spec->ports[i]->nodeport && names_repeat(&node_ports, i))
            field_duplicate_raw(c->e, path_text(c->e, PATH(PATH_AT(ports, i), "nodePort")),
                                arena_printf(c->e->arena, "%d", spec->ports[i]->nodeport));
    for (size_t i = 0; i < spec->n_ports; i++)
        if (names_repeat(&numbers, i))
            field_duplicate_raw(c->e, path_text(c->e, PATH_AT(ports, i)),
                                go_port(c->e, spec->ports[i]));
}

// ---- addresses ----------------------------------------------------------------------------------
static void check_in_step(const service_check_t *c) {
    const Core__ServiceSpec *spec = c->spec;
    const path_t *path = PATH(c->path, "clusterIPs");
    const char *printed = go_strings(c->e->arena, spec->clusterips, spec->n_clusterips);
    if (is_empty(spec->clusterip)) {
        if (spec->n_clusterips)
            tell_invalid_raw(c->e, path, printed,
                             "must be empty when `clusterIP` is not specified");
    } else if (!spec->n_clusterips) {
        tell_required(c->e, path, NULL);
    } else if (!streq(spec->clusterips[0], spec->clusterip)) {
        tell_invalid_raw(c->e, path, printed, "first value must match `clusterIP`");
    }
}

static void check_families(const service_check_t *c) {
    static const char *const families[] = {"IPv4", "IPv6", NULL};
    static const char *const policies[] = {"PreferDualStack", "RequireDualStack", "SingleStack",
                                           NULL};
    const Core__ServiceSpec *spec = c->spec;
    names_t names = names_of(c->e->arena, spec->ipfamilies, spec->n_ipfamilies, NAMES_ARE_ITEMS);
    for (size_t i = 0; i < spec->n_ipfamilies; i++) {
        const path_t *at = PATH_AT(PATH(c->path, "ipFamilies"), i);
        if (!is_one_of(spec->ipfamilies[i], families))
            tell_not_supported(c->e, at, spec->ipfamilies[i], families);
        if (names_repeat(&names, i)) tell_duplicate(c->e, at, spec->ipfamilies[i]);
    }
    if (!is_empty(spec->ipfamilypolicy) && !is_one_of(spec->ipfamilypolicy, policies))
        tell_not_supported(c->e, PATH(c->path, "ipFamilyPolicy"), spec->ipfamilypolicy, policies);
}

static void check_families_of_ips(const service_check_t *c) {
    const Core__ServiceSpec *spec = c->spec;
    for (size_t i = 0; i < spec->n_clusterips && i < spec->n_ipfamilies; i++) {
        bool v4 = streq(spec->ipfamilies[i], "IPv4");
        if (ip_parse(spec->clusterips[i]).family == (v4 ? IP_V4 : IP_V6)) continue;
        tell_invalid(c->e, PATH_AT(PATH(c->path, "clusterIPs"), i), spec->clusterips[i],
                     arena_printf(c->e->arena,
                                  "expected an %s value as indicated by `ipFamilies[%zu]`",
                                  spec->ipfamilies[i], i));
    }
}

static void check_cluster_ips(const service_check_t *c) {
    const Core__ServiceSpec *spec = c->spec;
    const path_t *path = PATH(c->path, "clusterIPs");
    if (type_is(spec, "ExternalName")) return;
    size_t before = c->e->len;
    check_in_step(c);
    check_families(c);
    const char *printed = go_strings(c->e->arena, spec->clusterips, spec->n_clusterips);
    bool right = true;
    for (size_t i = 0; i < spec->n_clusterips; i++) {
        bool none = i == 0 && streq(spec->clusterips[i], "None");
        if (none && spec->n_clusterips > 1) {
            tell_invalid_raw(c->e, path, printed, "'None' must be the first and only value");
            right = false;
        }
        if (none) continue;
        right &= ip_parse(spec->clusterips[i]).family != IP_NONE;
        check_ip(c->e, PATH_AT(path, i), spec->clusterips[i]);
    }
    if (spec->n_clusterips > CLUSTER_IPS_MAX)
        tell_invalid_raw(c->e, path, printed, "may only hold up to 2 values");
    // Wrong addresses would make what follows misleading.
    if (!right) return;
    if (spec->n_clusterips == CLUSTER_IPS_MAX &&
        ip_parse(spec->clusterips[0]).family == ip_parse(spec->clusterips[1]).family)
        tell_invalid_raw(c->e, path, printed, "may specify no more than one IP for each IP family");
    if (!is_headless(spec) && c->e->len == before) check_families_of_ips(c);
}

static void check_external_ips(const service_check_t *c) {
    for (size_t i = 0; i < c->spec->n_externalips; i++) {
        const path_t *at = PATH_AT(PATH(c->path, "externalIPs"), i);
        const char *ip = c->spec->externalips[i];
        if (ip_parse(ip).family == IP_NONE)
            check_ip(c->e, at, ip);
        else
            check_endpoint_ip(c->e, at, ip);
    }
}

// ---- affinity and policies ----------------------------------------------------------------------
static void check_affinity_config(const service_check_t *c) {
    static const char text[] = "when session affinity type is ClientIP";
    const Core__SessionAffinityConfig *config = c->spec->sessionaffinityconfig;
    const path_t *path = PATH(c->path, "sessionAffinityConfig");
    if (!config) {
        tell_required(c->e, path, text);
    } else if (!config->clientip) {
        tell_required(c->e, PATH(path, "clientIP"), text);
    } else if (!config->clientip->has_timeoutseconds) {
        tell_required(c->e, PATH(PATH(path, "clientIP"), "timeoutSeconds"), text);
    } else {
        int32_t seconds = config->clientip->timeoutseconds;
        if (seconds <= 0 || seconds > AFFINITY_SECONDS_MAX)
            tell_invalid_int(c->e, PATH(PATH(path, "clientIP"), "timeoutSeconds"), seconds,
                             "must be greater than 0 and less than 86400");
    }
}

static void check_session_affinity(const service_check_t *c) {
    static const char *const affinities[] = {"ClientIP", "None", NULL};
    const char *affinity = or_empty(c->spec->sessionaffinity);
    check_enum(c->e, PATH(c->path, "sessionAffinity"), affinity, affinities);
    if (streq(affinity, "ClientIP"))
        check_affinity_config(c);
    else if (streq(affinity, "None") && c->spec->sessionaffinityconfig)
        tell_forbidden(c->e, PATH(c->path, "sessionAffinityConfig"),
                       "must not be set when session affinity is None");
}

static void check_external_policy(const service_check_t *c) {
    static const char *const policies[] = {"Cluster", "Local", NULL};
    const Core__ServiceSpec *spec = c->spec;
    bool balanced = type_is(spec, "LoadBalancer");
    bool external = balanced || type_is(spec, "NodePort") ||
                    (type_is(spec, "ClusterIP") && spec->n_externalips);
    const char *policy = or_empty(spec->externaltrafficpolicy);
    if (external)
        check_enum(c->e, PATH(c->path, "externalTrafficPolicy"), policy, policies);
    else if (*policy)
        tell_invalid(c->e, PATH(c->path, "externalTrafficPolicy"), policy,
                     "may only be set for externally-accessible services");
    // The port itself is allocated after this: a missing one is nothing wrong.
    const path_t *port = PATH(c->path, "healthCheckNodePort");
    if (!spec->healthchecknodeport) return;
    if (balanced && streq(policy, "Local"))
        check_port(c->e, port, spec->healthchecknodeport);
    else
        tell_invalid_int(c->e, port, spec->healthchecknodeport,
                         "may only be set when `type` is 'LoadBalancer' and "
                         "`externalTrafficPolicy` is 'Local'");
}

static void check_internal_policy(const service_check_t *c) {
    static const char *const policies[] = {"Cluster", "Local", NULL};
    static const char *const distributions[] = {"PreferClose", "PreferSameZone", "PreferSameNode",
                                                NULL};
    const Core__ServiceSpec *spec = c->spec;
    const path_t *path = PATH(c->path, "internalTrafficPolicy");
    if (spec->internaltrafficpolicy) {
        if (!is_one_of(spec->internaltrafficpolicy, policies))
            tell_not_supported(c->e, path, spec->internaltrafficpolicy, policies);
    } else if (!type_is(spec, "ExternalName")) {
        tell_required(c->e, path, NULL);
    }
    if (spec->trafficdistribution && !is_one_of(spec->trafficdistribution, distributions))
        tell_not_supported(c->e, PATH(c->path, "trafficDistribution"), spec->trafficdistribution,
                           distributions);
}

// ---- load balancers -----------------------------------------------------------------------------
static void check_balancer(const service_check_t *c) {
    static const char text[] = "may only be used when `type` is 'LoadBalancer'";
    const Core__ServiceSpec *spec = c->spec;
    bool balanced = type_is(spec, "LoadBalancer");
    const path_t *ranges = PATH(c->path, "loadBalancerSourceRanges");
    if (spec->n_loadbalancersourceranges && !balanced) tell_forbidden(c->e, ranges, text);
    for (size_t i = 0; i < spec->n_loadbalancersourceranges && balanced; i++)
        if (cidr_family(spec->loadbalancersourceranges[i]) == IP_NONE)
            tell_invalid(c->e, PATH_AT(ranges, i), spec->loadbalancersourceranges[i], TEXT_CIDR);
    if (balanced && !spec->has_allocateloadbalancernodeports)
        tell_required(c->e, PATH(ROOT, "allocateLoadBalancerNodePorts"), NULL);
    if (!balanced && spec->has_allocateloadbalancernodeports)
        tell_forbidden(c->e, PATH(c->path, "allocateLoadBalancerNodePorts"), text);
    const path_t *class = PATH(c->path, "loadBalancerClass");
    if (!spec->loadbalancerclass) return;
    if (balanced)
        check_rule(c->e, class, spec->loadbalancerclass, rule_qualified_name);
    else
        tell_forbidden(c->e, class, text);
}

// ---- updates ------------------------------------------------------------------------------------
static void check_kept_ips(const service_check_t *c) {
    const Core__ServiceSpec *spec = c->spec, *old = c->old;
    const path_t *path = PATH(c->path, "clusterIPs");
    const char *printed = go_strings(c->e->arena, spec->clusterips, spec->n_clusterips);
    if (type_is(spec, "ExternalName") || type_is(old, "ExternalName") || !old->n_clusterips) return;
    if (!spec->n_clusterips)
        tell_invalid_raw(c->e, PATH_AT(path, 0), printed, "primary clusterIP can not be unset");
    for (size_t i = 0; i < spec->n_clusterips && i < old->n_clusterips; i++)
        if (!streq(spec->clusterips[i], old->clusterips[i]))
            tell_invalid_raw(c->e, PATH_AT(path, i), printed, "may not change once set");
    bool released = old->n_clusterips == CLUSTER_IPS_MAX && spec->n_clusterips == 1;
    if (released && !streq(or_empty(spec->ipfamilypolicy), "SingleStack"))
        tell_invalid(c->e, PATH(c->path, "ipFamilyPolicy"), spec->ipfamilypolicy,
                     "must be set to 'SingleStack' when releasing the secondary clusterIP");
}

static void check_kept_families(const service_check_t *c) {
    const Core__ServiceSpec *spec = c->spec, *old = c->old;
    const path_t *first = PATH_AT(PATH(c->path, "ipFamilies"), 0);
    const char *printed = go_strings(c->e->arena, spec->ipfamilies, spec->n_ipfamilies);
    if (type_is(spec, "ExternalName") || type_is(old, "ExternalName") || !old->n_ipfamilies) return;
    if (!spec->n_ipfamilies)
        tell_invalid_raw(c->e, first, printed, "primary ipFamily can not be unset");
    else if (!streq(spec->ipfamilies[0], old->ipfamilies[0]))
        tell_invalid_raw(c->e, first, printed, "may not change once set");
    bool released = old->n_ipfamilies == CLUSTER_IPS_MAX && spec->n_ipfamilies == 1;
    if (released && !streq(or_empty(spec->ipfamilypolicy), "SingleStack"))
        tell_invalid(c->e, PATH(c->path, "ipFamilyPolicy"), spec->ipfamilypolicy,
                     "must be set to 'SingleStack' when releasing the secondary ipFamily");
}

static void check_kept_balancer(const service_check_t *c) {
    const Core__ServiceSpec *spec = c->spec, *old = c->old;
    if (!type_is(spec, "LoadBalancer") || !type_is(old, "LoadBalancer")) return;
    if (old->loadbalancerclass && !streq(or_empty(spec->loadbalancerclass), old->loadbalancerclass))
        tell_invalid(c->e, PATH(c->path, "loadBalancerClass"), spec->loadbalancerclass,
                     "may not change once set");
    bool needed = streq(or_empty(spec->externaltrafficpolicy), "Local") &&
                  streq(or_empty(old->externaltrafficpolicy), "Local");
    if (needed && old->healthchecknodeport && spec->healthchecknodeport != old->healthchecknodeport)
        tell_forbidden(c->e, PATH(c->path, "healthCheckNodePort"), TEXT_IMMUTABLE);
}

// ---- the service --------------------------------------------------------------------------------
static const Core__ServiceSpec *spec_of(const ProtobufCMessage *obj) {
    static const Core__ServiceSpec empty = {.base.descriptor = &core__service_spec__descriptor};
    const Core__ServiceSpec *spec = ((const Core__Service *)obj)->spec;
    return spec ? spec : &empty;
}

void service_validate(const ProtobufCMessage *obj, const ProtobufCMessage *old, field_errors_t *e) {
    static const char *const types[] = {"ClusterIP", "ExternalName", "LoadBalancer", "NodePort",
                                        NULL};
    const path_t *path = PATH(ROOT, "spec");
    service_check_t c = {e, path, spec_of(obj), old ? spec_of(old) : NULL};
    check_meta(e, obj, old, true, rule_dns1035_label);
    if (c.old) {
        check_kept_ips(&c);
        check_kept_families(&c);
        check_kept_balancer(&c);
    }
    check_by_type(&c);
    names_t names = NAMES(e->arena, c.spec->ports, c.spec->n_ports, Core__ServicePort, name);
    for (size_t i = 0; i < c.spec->n_ports; i++) check_service_port(&c, &names, i);
    check_labels(e, PATH(path, "selector"), c.spec->selector, c.spec->n_selector);
    check_session_affinity(&c);
    check_cluster_ips(&c);
    check_external_ips(&c);
    check_enum(e, PATH(path, "type"), c.spec->type, types);
    check_unique_ports(&c);
    check_balancer(&c);
    check_external_policy(&c);
    check_internal_policy(&c);
}

static void check_ingress(field_errors_t *e, const path_t *at,
                          const Core__LoadBalancerIngress *in) {
    static const char *const modes[] = {"Proxy", "VIP", NULL};
    if (!is_empty(in->ip)) {
        check_ip(e, PATH(at, "ip"), in->ip);
        if (!in->ipmode) tell_required(e, PATH(at, "ipMode"), "must be specified when `ip` is set");
    } else if (in->ipmode) {
        tell_forbidden(e, PATH(at, "ipMode"), "may not be specified when `ip` is not set");
    }
    if (in->ipmode && !is_one_of(in->ipmode, modes))
        tell_not_supported(e, PATH(at, "ipMode"), in->ipmode, modes);
    if (is_empty(in->hostname)) return;
    check_rule(e, PATH(at, "hostname"), in->hostname, rule_dns_subdomain);
    if (ip_parse(in->hostname).family != IP_NONE)
        tell_invalid(e, PATH(at, "hostname"), in->hostname,
                     "must be a DNS name, not an IP address");
}

void service_validate_status(const ProtobufCMessage *obj, const ProtobufCMessage *old,
                             field_errors_t *e) {
    const Core__ServiceStatus *status = ((const Core__Service *)obj)->status;
    const Core__LoadBalancerStatus *balancer = status ? status->loadbalancer : NULL;
    const path_t *path = PATH(PATH(PATH(ROOT, "status"), "loadBalancer"), "ingress");
    check_meta(e, obj, old, true, rule_dns1035_label);
    if (!balancer || !balancer->n_ingress) return;
    if (!type_is(spec_of(obj), "LoadBalancer"))
        tell_forbidden(e, path, "may only be used when `spec.type` is 'LoadBalancer'");
    for (size_t i = 0; i < balancer->n_ingress; i++)
        check_ingress(e, PATH_AT(path, i), balancer->ingress[i]);
}
