#include "actors/proxy/flows.h"
#include <arpa/inet.h>

static uint32_t ip_of(const char *text) {
    struct in_addr address;
    return inet_pton(AF_INET, text, &address) == 1 ? ntohl(address.s_addr) : 0;
}

static int compare(uint64_t a, uint64_t b) { return a < b ? -1 : a > b; }
static int by_way_in(const void *a, const void *b) {
    const flow_road_t *x = a, *y = b;
    int order = compare(x->ip, y->ip);
    if (!order) order = compare(x->port, y->port);
    if (!order) order = compare(x->server, y->server);
    return order ? order : compare(x->server_port, y->server_port);
}

static void add_way_in(flow_roads_t *roads, const proxy_port_t *port, uint32_t ip,
                       uint16_t number) {
    if (!port->endpoints_len) roads->at[roads->len++] = (flow_road_t){ip, number, 0, 0};
    for (size_t i = 0; i < port->endpoints_len; i++)
        roads->at[roads->len++] =
            (flow_road_t){ip, number, ip_of(port->endpoints[i].ip), port->endpoints[i].port};
}

void flow_roads(const proxy_view_t *view, arena_t *arena, flow_roads_t *ret_roads) {
    size_t cap = 0;
    for (size_t i = 0; i < view->ports_len; i++) {
        const proxy_port_t *p = &view->ports[i];
        size_t each = p->endpoints_len ? p->endpoints_len : 1;
        if (streq(p->protocol, "udp")) cap += (2 + p->external_ips_len) * each;
    }
    *ret_roads = (flow_roads_t){.at = ARENA_ARRAY(arena, flow_road_t, cap + 1)};
    for (size_t i = 0; i < view->ports_len; i++) {
        const proxy_port_t *p = &view->ports[i];
        if (!streq(p->protocol, "udp")) continue;
        if (ip_of(p->cluster_ip)) add_way_in(ret_roads, p, ip_of(p->cluster_ip), p->port);
        for (size_t k = 0; k < p->external_ips_len; k++)
            if (ip_of(p->external_ips[k]))
                add_way_in(ret_roads, p, ip_of(p->external_ips[k]), p->port);
        if (p->node_port) add_way_in(ret_roads, p, 0, p->node_port);
    }
    assert(ret_roads->len <= cap);
    if (ret_roads->len > 1) qsort(ret_roads->at, ret_roads->len, sizeof *ret_roads->at, by_way_in);
}

// The first row of this way in; len when there is none.
static size_t find(const flow_roads_t *roads, uint32_t ip, uint16_t port) {
    size_t low = 0, high = roads->len;
    flow_road_t first = {ip, port, 0, 0};
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (by_way_in(&roads->at[middle], &first) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    bool found = low < roads->len && roads->at[low].ip == ip && roads->at[low].port == port;
    return found ? low : roads->len;
}

bool flow_is_stale(const flow_roads_t *roads, const udp_flow_t *flow) {
    size_t at = find(roads, flow->dst, flow->dst_port);
    bool translated = flow->server != flow->dst || flow->server_port != flow->dst_port;
    // What only passes by to the same port number elsewhere is not ours.
    if (at == roads->len && translated) at = find(roads, 0, flow->dst_port);
    if (at == roads->len) return false;
    uint32_t ip = roads->at[at].ip;
    for (; at < roads->len && roads->at[at].ip == ip && roads->at[at].port == flow->dst_port; at++)
        if (roads->at[at].server == flow->server && roads->at[at].server_port == flow->server_port)
            return false;
    return true;
}

bool flow_roads_equal(const flow_roads_t *a, const flow_roads_t *b) {
    if (a->len != b->len) return false;
    for (size_t i = 0; i < a->len; i++)
        if (by_way_in(&a->at[i], &b->at[i])) return false;
    return true;
}
