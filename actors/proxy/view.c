#include "actors/proxy/view.h"
#include "runtime/base/map.h"
#include "runtime/base/vec.h"
#include <arpa/inet.h>

#define SERVICE_LABEL "kubernetes.io/service-name"

typedef VEC(const Discovery__EndpointSlice *) slices_t;

static const char *service_of(const Discovery__EndpointSlice *slice) {
    for (size_t i = 0; slice->metadata && i < slice->metadata->n_labels; i++)
        if (streq(slice->metadata->labels[i]->key, SERVICE_LABEL))
            return slice->metadata->labels[i]->value;
    return NULL;
}

static const char *lower(arena_t *arena, const char *text) {
    char *copy = arena_strdup(arena, text);
    for (char *p = copy; *p; p++)
        if (*p >= 'A' && *p <= 'Z') *p = (char)(*p - 'A' + 'a');
    return copy;
}

// ---- endpoints ---------------------------------------------------------------------------------

typedef enum { USE_READY, USE_TERMINATING } use_t;

static bool gets_traffic(const Discovery__EndpointConditions *c, use_t use) {
    if (!c) return use == USE_READY; // no word about readiness means ready
    if (use == USE_READY) return !c->has_ready || c->ready;
    return c->has_serving && c->serving && c->has_terminating && c->terminating;
}

static const Discovery__EndpointPort *find_port(const Discovery__EndpointSlice *slice,
                                                const Core__ServicePort *wanted) {
    for (size_t i = 0; i < slice->n_ports; i++) {
        const Discovery__EndpointPort *p = slice->ports[i];
        const char *protocol = is_empty(p->protocol) ? "TCP" : p->protocol;
        if (streq(or_empty(p->name), or_empty(wanted->name)) &&
            streq(protocol, is_empty(wanted->protocol) ? "TCP" : wanted->protocol))
            return p;
    }
    return NULL;
}

static int endpoint_order(const void *va, const void *vb) {
    const proxy_endpoint_t *a = va, *b = vb;
    struct in_addr x, y;
    inet_pton(AF_INET, a->ip, &x);
    inet_pton(AF_INET, b->ip, &y);
    if (x.s_addr != y.s_addr) return ntohl(x.s_addr) < ntohl(y.s_addr) ? -1 : 1;
    return (a->port > b->port) - (a->port < b->port);
}

static bool is_ipv4(const char *text) {
    struct in_addr ignored;
    return text && inet_pton(AF_INET, text, &ignored) == 1;
}

static size_t collect(const proxy_objects_t *o, const slices_t *slices,
                      const Core__ServicePort *port, use_t use, arena_t *arena,
                      const proxy_endpoint_t **ret) {
    VEC(proxy_endpoint_t) found = {0};
    for (size_t s = 0; slices && s < slices->len; s++) {
        const Discovery__EndpointSlice *slice = slices->at[s];
        const Discovery__EndpointPort *target = find_port(slice, port);
        if (!target || !target->has_port || target->port < 1 || target->port > UINT16_MAX) continue;
        for (size_t e = 0; e < slice->n_endpoints; e++) {
            const Discovery__Endpoint *endpoint = slice->endpoints[e];
            if (!gets_traffic(endpoint->conditions, use) || endpoint->n_addresses == 0 ||
                !is_ipv4(endpoint->addresses[0]))
                continue;
            vec_push(&found, ((proxy_endpoint_t){endpoint->addresses[0], (uint16_t)target->port,
                                                 streq(or_empty(endpoint->nodename), o->node)}));
        }
    }
    // Slices may overlap while endpoints move from one to another: each address counts once.
    if (found.len) qsort(found.at, found.len, sizeof *found.at, endpoint_order);
    size_t len = 0;
    for (size_t i = 0; i < found.len; i++)
        if (i == 0 || endpoint_order(&found.at[i], &found.at[len - 1]) != 0)
            found.at[len++] = found.at[i];
    *ret = arena_dup(arena, found.at, len * sizeof *found.at);
    vec_done(&found);
    return len;
}

// ---- services ----------------------------------------------------------------------------------

static bool has_rules(const Core__Service *s) {
    return s->spec && s->metadata && is_ipv4(s->spec->clusterip) &&
           !streq(or_empty(s->spec->type), "ExternalName");
}

static void fill_external_ips(const Core__Service *s, arena_t *arena, proxy_port_t *port) {
    const Core__LoadBalancerStatus *balancer = s->status ? s->status->loadbalancer : NULL;
    size_t ingress_len = balancer ? balancer->n_ingress : 0;
    const char **ips = ARENA_ARRAY(arena, const char *, s->spec->n_externalips + ingress_len);
    for (size_t i = 0; i < s->spec->n_externalips; i++)
        if (is_ipv4(s->spec->externalips[i]))
            ips[port->external_ips_len++] = s->spec->externalips[i];
    for (size_t i = 0; i < ingress_len; i++)
        if (is_ipv4(balancer->ingress[i]->ip))
            ips[port->external_ips_len++] = balancer->ingress[i]->ip;
    port->external_ips = ips;
}

static proxy_port_t view_port(const proxy_objects_t *o, const Core__Service *s,
                              const Core__ServicePort *p, const slices_t *slices, arena_t *arena) {
    enum { AFFINITY_DEFAULT_SECONDS = 10800 };
    const Core__ServiceSpec *spec = s->spec;
    proxy_port_t port = {.ns = s->metadata->namespace_,
                         .service = s->metadata->name,
                         .port_name = or_empty(p->name),
                         .protocol = lower(arena, is_empty(p->protocol) ? "TCP" : p->protocol),
                         .cluster_ip = spec->clusterip,
                         .port = (uint16_t)p->port,
                         .node_port = p->nodeport > 0 && p->nodeport <= UINT16_MAX
                                          ? (uint16_t)p->nodeport
                                          : 0};
    port.local_external = streq(or_empty(spec->externaltrafficpolicy), "Local");
    port.local_internal = streq(or_empty(spec->internaltrafficpolicy), "Local");
    if (streq(or_empty(spec->sessionaffinity), "ClientIP")) {
        const Core__ClientIPConfig *config =
            spec->sessionaffinityconfig ? spec->sessionaffinityconfig->clientip : NULL;
        port.affinity = AFFINITY_CLIENT_IP;
        port.affinity_seconds = config && config->has_timeoutseconds ? config->timeoutseconds
                                                                     : AFFINITY_DEFAULT_SECONDS;
    }
    fill_external_ips(s, arena, &port);
    port.endpoints_len = collect(o, slices, p, USE_READY, arena, &port.endpoints);
    if (!port.endpoints_len)
        port.endpoints_len = collect(o, slices, p, USE_TERMINATING, arena, &port.endpoints);
    return port;
}

static int port_order(const void *va, const void *vb) {
    const proxy_port_t *a = va, *b = vb;
    int order = strcmp(a->ns, b->ns);
    if (!order) order = strcmp(a->service, b->service);
    if (!order) order = strcmp(a->port_name, b->port_name);
    return order ? order : strcmp(a->protocol, b->protocol);
}

static void group_slices(const proxy_objects_t *o, arena_t *arena, map_t *groups) {
    for (size_t i = 0; i < o->slices_len; i++) {
        const Discovery__EndpointSlice *slice = o->slices[i];
        const char *service = service_of(slice);
        if (!service || !streq(or_empty(slice->addresstype), "IPv4")) continue;
        const char *key = arena_printf(arena, "%s/%s", slice->metadata->namespace_, service);
        slices_t *group = map_get(groups, key);
        if (!group) map_put(groups, key, group = ARENA_NEW(arena, slices_t));
        vec_push(group, slice);
    }
}

void proxy_view(const proxy_objects_t *o, arena_t *arena, proxy_view_t *ret_view) {
    map_t groups = {0};
    VEC(proxy_port_t) ports = {0};
    group_slices(o, arena, &groups);
    for (size_t i = 0; i < o->services_len; i++) {
        const Core__Service *s = o->services[i];
        if (!has_rules(s)) continue;
        const slices_t *slices =
            map_get(&groups,
                    arena_printf(arena, "%s/%s", s->metadata->namespace_, s->metadata->name));
        for (size_t p = 0; p < s->spec->n_ports; p++)
            if (s->spec->ports[p]->port > 0 && s->spec->ports[p]->port <= UINT16_MAX)
                vec_push(&ports, view_port(o, s, s->spec->ports[p], slices, arena));
    }
    if (ports.len) qsort(ports.at, ports.len, sizeof *ports.at, port_order);
    *ret_view = (proxy_view_t){or_empty(o->cluster_cidr), or_empty(o->service_cidr),
                               arena_dup(arena, ports.at, ports.len * sizeof *ports.at), ports.len};
    vec_done(&ports);
    size_t at = 0;
    void *group;
    while (map_next(&groups, &at, NULL, &group)) vec_done((slices_t *)group);
    map_done(&groups);
}
