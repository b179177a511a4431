// endpoints_validate - Endpoints and EndpointSlice (facts: k8s-validation).
#include "k8s/core_v1.pb-c.h"
#include "k8s/discovery_v1.pb-c.h"
#include "runtime/api/kinds/check.h"
#include "runtime/api/kinds/rows.h"

enum {
    SLICE_ENDPOINTS_MAX = 1000,
    SLICE_ADDRESSES_MAX = 100,
    SLICE_PORTS_MAX = 20000,
    SLICE_HINTS_MAX = 8,
};

// ---- Endpoints ----------------------------------------------------------------------------------
static void check_addresses(field_errors_t *e, const path_t *path, Core__EndpointAddress *const *at,
                            size_t len) {
    for (size_t i = 0; i < len; i++) {
        const path_t *where = PATH_AT(path, i);
        if (ip_parse(at[i]->ip).family == IP_NONE)
            check_ip(e, PATH(where, "ip"), at[i]->ip);
        else
            check_endpoint_ip(e, PATH(where, "ip"), at[i]->ip);
        if (!is_empty(at[i]->hostname))
            check_rule(e, PATH(where, "hostname"), at[i]->hostname, rule_dns_label);
        if (at[i]->nodename)
            check_rule(e, PATH(where, "nodeName"), at[i]->nodename, rule_dns_subdomain);
    }
}

static void check_subset(field_errors_t *e, const path_t *path, const Core__EndpointSubset *s) {
    if (!s->n_addresses && !s->n_notreadyaddresses)
        tell_required(e, path, "must specify `addresses` or `notReadyAddresses`");
    check_addresses(e, PATH(path, "addresses"), s->addresses, s->n_addresses);
    check_addresses(e, PATH(path, "notReadyAddresses"), s->notreadyaddresses,
                    s->n_notreadyaddresses);
    for (size_t i = 0; i < s->n_ports; i++) {
        const Core__EndpointPort *port = s->ports[i];
        const path_t *at = PATH_AT(PATH(path, "ports"), i);
        if (s->n_ports > 1 && is_empty(port->name))
            tell_required(e, PATH(at, "name"), NULL);
        else if (!is_empty(port->name))
            check_rule(e, PATH(at, "name"), port->name, rule_dns_label);
        check_port(e, PATH(at, "port"), port->port);
        check_enum(e, PATH(at, "protocol"), port->protocol, protocols);
        if (port->appprotocol)
            check_rule(e, PATH(at, "appProtocol"), port->appprotocol, rule_qualified_name);
    }
}

void endpoints_validate(const ProtobufCMessage *obj, const ProtobufCMessage *old,
                        field_errors_t *e) {
    const Core__Endpoints *endpoints = (const Core__Endpoints *)obj;
    check_meta(e, obj, old, true, rule_dns_subdomain);
    for (size_t i = 0; i < endpoints->n_subsets; i++)
        check_subset(e, PATH_AT(PATH(ROOT, "subsets"), i), endpoints->subsets[i]);
}

// ---- EndpointSlice ------------------------------------------------------------------------------
static void check_hints(field_errors_t *e, const path_t *path, const Discovery__EndpointHints *h) {
    const path_t *zones = PATH(path, "forZones"), *nodes = PATH(path, "forNodes");
    if (h->n_forzones > SLICE_HINTS_MAX) tell_too_many(e, zones, h->n_forzones, SLICE_HINTS_MAX);
    for (size_t i = 0; i < h->n_forzones; i++)
        check_rule(e, PATH(PATH_AT(zones, i), "name"), h->forzones[i]->name, rule_label_value);
    if (h->n_fornodes > SLICE_HINTS_MAX) tell_too_many(e, nodes, h->n_fornodes, SLICE_HINTS_MAX);
    for (size_t i = 0; i < h->n_fornodes; i++)
        check_rule(e, PATH(PATH_AT(nodes, i), "name"), h->fornodes[i]->name, rule_dns_subdomain);
}

static void check_slice_address(field_errors_t *e, const path_t *list, size_t i, const char *text,
                                const char *type) {
    const path_t *at = PATH_AT(list, i);
    ip_family_t family = ip_parse(text).family;
    if (streq(type, "FQDN")) {
        check_rule(e, at, text, rule_dns_subdomain);
        return;
    }
    if (family == IP_NONE) {
        check_ip(e, at, text);
        return;
    }
    if (streq(type, "IPv4") && family != IP_V4)
        tell_invalid(e, list, text, "must be an IPv4 address");
    if (streq(type, "IPv6") && family != IP_V6)
        tell_invalid(e, list, text, "must be an IPv6 address");
    check_endpoint_ip(e, at, text);
}

static void check_endpoint(field_errors_t *e, const path_t *path, const Discovery__Endpoint *p,
                           const char *type) {
    const path_t *addresses = PATH(path, "addresses");
    if (!p->n_addresses) tell_required(e, addresses, "must contain at least 1 address");
    if (p->n_addresses > SLICE_ADDRESSES_MAX)
        tell_too_many(e, addresses, p->n_addresses, SLICE_ADDRESSES_MAX);
    for (size_t i = 0; i < p->n_addresses; i++)
        check_slice_address(e, addresses, i, p->addresses[i], type);
    if (p->nodename) check_rule(e, PATH(path, "nodeName"), p->nodename, rule_dns_subdomain);
    if (p->hints) check_hints(e, PATH(path, "hints"), p->hints);
    if (p->hostname) check_rule(e, PATH(path, "hostname"), p->hostname, rule_dns_label);
}

static void check_slice_ports(field_errors_t *e, const Discovery__EndpointSlice *slice) {
    const path_t *ports = PATH(ROOT, "ports");
    if (slice->n_ports > SLICE_PORTS_MAX) {
        tell_too_many(e, ports, slice->n_ports, SLICE_PORTS_MAX);
        return;
    }
    names_t names = NAMES(e->arena, slice->ports, slice->n_ports, Discovery__EndpointPort, name);
    for (size_t i = 0; i < slice->n_ports; i++) {
        const Discovery__EndpointPort *port = slice->ports[i];
        const path_t *at = PATH_AT(ports, i);
        if (!is_empty(port->name)) check_rule(e, PATH(at, "name"), port->name, rule_dns_label);
        if (names_repeat(&names, i)) tell_duplicate(e, PATH(at, "name"), port->name);
        check_enum(e, PATH(at, "protocol"), port->protocol, protocols);
        if (port->appprotocol)
            check_rule(e, PATH(at, "appProtocol"), port->appprotocol, rule_qualified_name);
    }
}

void endpointslice_validate(const ProtobufCMessage *obj, const ProtobufCMessage *old,
                            field_errors_t *e) {
    static const char *const types[] = {"FQDN", "IPv4", "IPv6", NULL};
    const Discovery__EndpointSlice *slice = (const Discovery__EndpointSlice *)obj;
    const char *type = or_empty(slice->addresstype);
    check_meta(e, obj, old, true, rule_dns_subdomain);
    check_enum(e, PATH(ROOT, "addressType"), type, types);
    const path_t *endpoints = PATH(ROOT, "endpoints");
    if (slice->n_endpoints > SLICE_ENDPOINTS_MAX)
        tell_too_many(e, endpoints, slice->n_endpoints, SLICE_ENDPOINTS_MAX);
    else
        for (size_t i = 0; i < slice->n_endpoints; i++)
            check_endpoint(e, PATH_AT(endpoints, i), slice->endpoints[i], type);
    check_slice_ports(e, slice);
    const char *before =
        old ? or_empty(((const Discovery__EndpointSlice *)old)->addresstype) : type;
    if (!streq(type, before)) tell_invalid(e, PATH(ROOT, "addressType"), type, TEXT_IMMUTABLE);
}
