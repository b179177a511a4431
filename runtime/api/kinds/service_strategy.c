// service_strategy - what a Service keeps over updates although the client did not send it, and
// what it loses when its type changes (facts: k8s-strategy, Service).
//
// Allocating addresses and node ports is the API server's work; here only values that are already
// allocated move, so that a PUT without clusterIP or nodePort keeps them.
#include "k8s/core_v1.pb-c.h"
#include "runtime/api/kinds/check.h"
#include "runtime/api/kinds/fill.h"
#include "runtime/api/kinds/rows.h"

// ---- what a type needs --------------------------------------------------------------------------
static bool type_is(const Core__ServiceSpec *s, const char *type) {
    return streq(or_empty(s->type), type);
}

static bool needs_cluster_ip(const Core__ServiceSpec *s) {
    return type_is(s, "ClusterIP") || type_is(s, "NodePort") || type_is(s, "LoadBalancer");
}

static bool needs_node_port(const Core__ServiceSpec *s) {
    if (type_is(s, "NodePort")) return true;
    return type_is(s, "LoadBalancer") &&
           (!s->has_allocateloadbalancernodeports || s->allocateloadbalancernodeports);
}

static bool needs_health_check_port(const Core__ServiceSpec *s) {
    return type_is(s, "LoadBalancer") && streq(or_empty(s->externaltrafficpolicy), "Local");
}

static bool needs_external_policy(const Core__ServiceSpec *s) {
    return type_is(s, "NodePort") || type_is(s, "LoadBalancer") ||
           (type_is(s, "ClusterIP") && s->n_externalips > 0);
}

// ---- comparisons --------------------------------------------------------------------------------
static bool same_strings(const char **a, size_t a_len, const char **b, size_t b_len) {
    if (a_len != b_len) return false;
    for (size_t i = 0; i < a_len; i++)
        if (!streq(a[i], b[i])) return false;
    return true;
}

static bool same_text(const char *a, const char *b) { return streq(or_empty(a), or_empty(b)); }

// Which node ports a service has: one bit each.
enum { PORT_BITS = UINT16_MAX + 1 };

static uint8_t *node_ports_of(arena_t *arena, const Core__ServiceSpec *s) {
    uint8_t *bits = arena_alloc(arena, PORT_BITS / 8);
    for (size_t i = 0; i < s->n_ports; i++) {
        int32_t port = s->ports[i]->nodeport;
        if (port > 0 && port < PORT_BITS) bits[port / 8] |= (uint8_t)(1 << port % 8);
    }
    return bits;
}

static bool has_node_port(const uint8_t *bits, int32_t port) {
    return port > 0 && port < PORT_BITS && (bits[port / 8] >> port % 8 & 1);
}

// Ports may come, go and change, as long as no node port is new.
static bool adds_no_node_port(arena_t *arena, const Core__ServiceSpec *s,
                              const Core__ServiceSpec *old) {
    const uint8_t *before = node_ports_of(arena, old);
    for (size_t i = 0; i < s->n_ports; i++)
        if (s->ports[i]->nodeport && !has_node_port(before, s->ports[i]->nodeport)) return false;
    return true;
}

// ---- what does not apply any more ---------------------------------------------------------------
// A value goes only when the type no longer needs it and the user did not touch it: what was
// touched is left for validation to refuse.
static void drop_cluster_ip(Core__ServiceSpec *s, const Core__ServiceSpec *old) {
    if (!needs_cluster_ip(old) || needs_cluster_ip(s)) return;
    bool same = same_text(s->clusterip, old->clusterip) &&
                same_strings(s->clusterips, s->n_clusterips, old->clusterips, old->n_clusterips);
    if (same) {
        s->clusterip = NULL;
        s->n_clusterips = 0;
    }
    if (same_strings(s->ipfamilies, s->n_ipfamilies, old->ipfamilies, old->n_ipfamilies))
        s->n_ipfamilies = 0;
    if (same_text(s->ipfamilypolicy, old->ipfamilypolicy)) s->ipfamilypolicy = NULL;
}

static void drop_balancer_fields(Core__ServiceSpec *s, const Core__ServiceSpec *old) {
    if (needs_health_check_port(old) && !needs_health_check_port(s) &&
        s->healthchecknodeport == old->healthchecknodeport)
        s->has_healthchecknodeport = false, s->healthchecknodeport = 0;
    if (!type_is(old, "LoadBalancer") || type_is(s, "LoadBalancer")) return;
    if (s->has_allocateloadbalancernodeports == old->has_allocateloadbalancernodeports &&
        s->allocateloadbalancernodeports == old->allocateloadbalancernodeports)
        s->has_allocateloadbalancernodeports = s->allocateloadbalancernodeports = false;
    if (same_text(s->loadbalancerclass, old->loadbalancerclass)) s->loadbalancerclass = NULL;
}

static void drop_what_no_longer_applies(arena_t *arena, Core__ServiceSpec *s,
                                        const Core__ServiceSpec *old) {
    drop_cluster_ip(s, old);
    if (needs_node_port(old) && !needs_node_port(s) && adds_no_node_port(arena, s, old))
        for (size_t i = 0; i < s->n_ports; i++)
            s->ports[i]->has_nodeport = false, s->ports[i]->nodeport = 0;
    drop_balancer_fields(s, old);
    if (needs_external_policy(old) && !needs_external_policy(s) &&
        same_text(s->externaltrafficpolicy, old->externaltrafficpolicy))
        s->externaltrafficpolicy = NULL;
}

// ---- what is kept -------------------------------------------------------------------------------
static const char **port_keys(arena_t *arena, const Core__ServiceSpec *s) {
    const char **keys = ARENA_ARRAY(arena, const char *, s->n_ports + 1);
    for (size_t i = 0; i < s->n_ports; i++)
        keys[i] = arena_printf(arena, "%s/%d", or_empty(s->ports[i]->protocol), s->ports[i]->port);
    return keys;
}

// A port that names no node port keeps the one that its number and protocol had, unless another
// port claims that now.
static void keep_node_ports(arena_t *arena, Core__ServiceSpec *s, const Core__ServiceSpec *old) {
    names_t before = names_of(arena, port_keys(arena, old), old->n_ports, NAMES_ARE_ITEMS);
    const char **keys = port_keys(arena, s);
    uint8_t *taken = node_ports_of(arena, s);
    for (size_t i = 0; i < s->n_ports; i++) {
        size_t at = s->ports[i]->nodeport ? SIZE_MAX : names_find(&before, keys[i]);
        int32_t kept = at == SIZE_MAX ? 0 : old->ports[at]->nodeport;
        if (kept <= 0 || kept >= PORT_BITS || has_node_port(taken, kept)) continue;
        SET_NUM(s->ports[i], nodeport, kept);
        taken[kept / 8] |= (uint8_t)(1 << kept % 8);
    }
}

static void keep_allocated(arena_t *arena, Core__ServiceSpec *s, const Core__ServiceSpec *old) {
    if (needs_cluster_ip(old) && needs_cluster_ip(s)) {
        if (is_empty(s->clusterip)) s->clusterip = old->clusterip;
        if (!s->n_clusterips && same_text(s->clusterip, old->clusterip)) {
            s->clusterips = old->clusterips;
            s->n_clusterips = old->n_clusterips;
        }
    }
    if (needs_node_port(old) && needs_node_port(s)) keep_node_ports(arena, s, old);
    if (needs_health_check_port(old) && needs_health_check_port(s) && !s->healthchecknodeport)
        SET_NUM(s, healthchecknodeport, old->healthchecknodeport);
}

// ---- clusterIP and clusterIPs, one thing under two names ----------------------------------------
static void set_cluster_ips(arena_t *arena, Core__ServiceSpec *s, const char *ip) {
    s->clusterips = ARENA_ARRAY(arena, const char *, 1);
    s->clusterips[0] = ip;
    s->n_clusterips = 1;
}

// A client that knows only clusterIP changed it: clusterIPs follows.
static void follow_cluster_ip(arena_t *arena, Core__ServiceSpec *s, const Core__ServiceSpec *old) {
    if (same_text(s->clusterip, old->clusterip)) return;
    if (!same_strings(s->clusterips, s->n_clusterips, old->clusterips, old->n_clusterips)) {
        if (!s->n_clusterips && !is_empty(s->clusterip)) set_cluster_ips(arena, s, s->clusterip);
        return;
    }
    if (is_empty(s->clusterip))
        s->n_clusterips = 0;
    else
        set_cluster_ips(arena, s, s->clusterip);
}

// The families of this cluster: IPv4 only. A headless service without a selector is the exception
// that Kubernetes makes: somebody else fills in its endpoints, of any family.
static void fill_families(arena_t *arena, Core__ServiceSpec *s) {
    if (!needs_cluster_ip(s)) return;
    bool any_family = streq(or_empty(s->clusterip), "None") && !s->n_selector;
    FILL_STR(s->ipfamilypolicy, any_family ? "RequireDualStack" : "SingleStack");
    if (s->n_ipfamilies) return;
    s->ipfamilies = ARENA_ARRAY(arena, const char *, 2);
    s->ipfamilies[s->n_ipfamilies++] = "IPv4";
    if (any_family && streq(s->ipfamilypolicy, "RequireDualStack"))
        s->ipfamilies[s->n_ipfamilies++] = "IPv6";
}

// ---- the strategy -------------------------------------------------------------------------------
void service_prepare_create(arena_t *arena, ProtobufCMessage *obj) {
    Core__Service *service = (Core__Service *)obj;
    plain_prepare_create(arena, obj);
    service->status = MSG_NEW(arena, Core__ServiceStatus, core__service_status__descriptor);
    FILL_MSG(arena, service->spec, Core__ServiceSpec, core__service_spec__descriptor);
    Core__ServiceSpec *spec = service->spec;
    if (!is_empty(spec->clusterip) && !spec->n_clusterips)
        set_cluster_ips(arena, spec, spec->clusterip);
    fill_families(arena, spec);
}

void service_prepare_update(arena_t *arena, ProtobufCMessage *obj, const ProtobufCMessage *old) {
    Core__Service *service = (Core__Service *)obj;
    const Core__ServiceSpec *before = ((const Core__Service *)old)->spec;
    keep_status(arena, obj, old);
    FILL_MSG(arena, service->spec, Core__ServiceSpec, core__service_spec__descriptor);
    if (!before) return;
    keep_allocated(arena, service->spec, before);
    follow_cluster_ip(arena, service->spec, before);
    drop_what_no_longer_applies(arena, service->spec, before);
    if (!needs_cluster_ip(service->spec)) return;
    if (!service->spec->n_ipfamilies && needs_cluster_ip(before)) {
        service->spec->ipfamilies = before->ipfamilies;
        service->spec->n_ipfamilies = before->n_ipfamilies;
    }
    if (needs_cluster_ip(before)) FILL_STR(service->spec->ipfamilypolicy, before->ipfamilypolicy);
    fill_families(arena, service->spec);
}
