// service - Service and Endpoints.
#include "runtime/api/describe/page.h"
#include "runtime/api/kinds/fill.h"

enum { LISTED_MAX = 3 }; // addresses behind a port: the others are counted

// The addresses behind one port of the service, by the port's name.
static const char *endpoints_text(const page_t *page, const char *port_name) {
    const Core__Endpoints *endpoints = page->extra->endpoints;
    text_t out = {.arena = page->arena};
    size_t count = 0;
    for (size_t i = 0; endpoints && i < endpoints->n_subsets; i++) {
        const Core__EndpointSubset *subset = endpoints->subsets[i];
        for (size_t p = 0; p < subset->n_ports; p++) {
            if (!streq(or_empty(subset->ports[p]->name), port_name)) continue;
            for (size_t a = 0; a < subset->n_addresses; a++) {
                const char *ip = or_empty(subset->addresses[a]->ip);
                if (count++ >= LISTED_MAX) continue;
                text_addf(&out, strchr(ip, ':') ? "%s[%s]:%d" : "%s%s:%d", count > 1 ? "," : "", ip,
                          subset->ports[p]->port);
            }
        }
    }
    if (count > LISTED_MAX) text_addf(&out, " + %zu more...", count - LISTED_MAX);
    return or_none(text_str(&out));
}

static void add_port(page_t *page, const Core__ServicePort *port) {
    const char *name = is_empty(port->name) ? "<unset>" : port->name;
    const char *protocol = or_empty(port->protocol);
    page_add(page, 0, "Port:\t%s\t%d/%s\n", name, port->port, protocol);
    page_add(page, 0, "TargetPort:\t%s/%s\n", intstr_text(page->arena, port->targetport), protocol);
    if (port->nodeport) page_add(page, 0, "NodePort:\t%s\t%d/%s\n", name, port->nodeport, protocol);
    page_add(page, 0, "Endpoints:\t%s\n", endpoints_text(page, or_empty(port->name)));
}

static void add_addresses(page_t *page, const Core__Service *service) {
    const Core__ServiceSpec *spec = service->spec;
    if (!is_empty(spec->ipfamilypolicy))
        page_add(page, 0, "IP Family Policy:\t%s\n", spec->ipfamilypolicy);
    page_add(page, 0, "IP Families:\t%s\n",
             or_none(page_joined(page, spec->ipfamilies, spec->n_ipfamilies, ",")));
    page_add(page, 0, "IP:\t%s\n", or_empty(spec->clusterip));
    page_add(page, 0, "IPs:\t%s\n",
             or_none(page_joined(page, spec->clusterips, spec->n_clusterips, ",")));
    if (spec->n_externalips)
        page_add(page, 0, "External IPs:\t%s\n",
                 page_joined(page, spec->externalips, spec->n_externalips, ","));
    if (!is_empty(spec->loadbalancerip))
        page_add(page, 0, "Desired LoadBalancer IP:\t%s\n", spec->loadbalancerip);
    if (!is_empty(spec->externalname))
        page_add(page, 0, "External Name:\t%s\n", spec->externalname);
    const Core__LoadBalancerStatus *balancer =
        service->status ? service->status->loadbalancer : NULL;
    for (size_t i = 0; balancer && i < balancer->n_ingress; i++)
        page_add(page, 0, "%s\t%s\n", i ? "" : "LoadBalancer Ingress:",
                 is_empty(balancer->ingress[i]->ip) ? or_empty(balancer->ingress[i]->hostname)
                                                    : balancer->ingress[i]->ip);
}

void describe_service(page_t *page, const ProtobufCMessage *obj) {
    static const Core__ServiceSpec no_spec = {.base.descriptor = &core__service_spec__descriptor};
    Core__Service whole = *(const Core__Service *)obj;
    if (!whole.spec) whole.spec = (Core__ServiceSpec *)&no_spec;
    const Core__ServiceSpec *spec = whole.spec;
    const Meta__ObjectMeta *meta = object_meta_read(obj);
    page_head(page, obj);
    page_labels(page, "Labels", meta->labels, meta->n_labels);
    page_annotations(page, "Annotations", meta);
    text_t selector = {.arena = page->arena};
    for (size_t i = 0; i < spec->n_selector; i++)
        text_addf(&selector, "%s%s=%s", i ? "," : "", or_empty(spec->selector[i]->key),
                  or_empty(spec->selector[i]->value));
    page_add(page, 0, "Selector:\t%s\n", or_none(text_str(&selector)));
    page_add(page, 0, "Type:\t%s\n", or_empty(spec->type));
    add_addresses(page, &whole);
    for (size_t i = 0; i < spec->n_ports; i++) add_port(page, spec->ports[i]);
    page_add(page, 0, "Session Affinity:\t%s\n", or_empty(spec->sessionaffinity));
    if (!is_empty(spec->externaltrafficpolicy))
        page_add(page, 0, "External Traffic Policy:\t%s\n", spec->externaltrafficpolicy);
    if (!is_empty(spec->internaltrafficpolicy))
        page_add(page, 0, "Internal Traffic Policy:\t%s\n", spec->internaltrafficpolicy);
    if (spec->healthchecknodeport)
        page_add(page, 0, "HealthCheck NodePort:\t%d\n", spec->healthchecknodeport);
    if (spec->n_loadbalancersourceranges)
        page_add(page, 0, "LoadBalancer Source Ranges:\t%s\n",
                 page_joined(page, spec->loadbalancersourceranges, spec->n_loadbalancersourceranges,
                             ","));
    page_events(page);
}

// ---- Endpoints ----------------------------------------------------------------------------------
static const char *addresses_text(const page_t *page, Core__EndpointAddress *const *at,
                                  size_t len) {
    text_t out = {.arena = page->arena};
    for (size_t i = 0; i < len; i++) text_addf(&out, "%s%s", i ? "," : "", or_empty(at[i]->ip));
    return or_none(text_str(&out));
}

void describe_endpoints(page_t *page, const ProtobufCMessage *obj) {
    const Core__Endpoints *endpoints = (const Core__Endpoints *)obj;
    const Meta__ObjectMeta *meta = object_meta_read(obj);
    page_head(page, obj);
    page_labels(page, "Labels", meta->labels, meta->n_labels);
    page_annotations(page, "Annotations", meta);
    page_add(page, 0, "Subsets:\n");
    for (size_t i = 0; i < endpoints->n_subsets; i++) {
        const Core__EndpointSubset *subset = endpoints->subsets[i];
        page_add(page, 1, "Addresses:\t%s\n",
                 addresses_text(page, subset->addresses, subset->n_addresses));
        page_add(page, 1, "NotReadyAddresses:\t%s\n",
                 addresses_text(page, subset->notreadyaddresses, subset->n_notreadyaddresses));
        if (subset->n_ports) {
            page_add(page, 1, "Ports:\n");
            page_add(page, 2, "Name\tPort\tProtocol\n");
            page_add(page, 2, "----\t----\t--------\n");
        }
        for (size_t p = 0; p < subset->n_ports; p++) {
            const Core__EndpointPort *port = subset->ports[p];
            page_add(page, 2, "%s\t%d\t%s\n", is_empty(port->name) ? "<unset>" : port->name,
                     port->port, or_empty(port->protocol));
        }
        page_add(page, 0, "\n");
    }
    page_events(page);
}
