// flows - which UDP flows that the kernel remembers lead to an endpoint that is no longer one.
// Pure.
//
// A flow is a service's when it was sent to one of its addresses and ports, or was translated on
// its way to its node port. It is stale when who answers it is not among the service's endpoints:
// the client would go on speaking to nobody for as long as it speaks. (kube-proxy's rule, too.)
#pragma once
#include "actors/proxy/rules.h"
#include "runtime/io/conntrack.h"

typedef struct {
    uint32_t ip; // host order; 0: any, a node port
    uint16_t port;
    uint32_t server; // 0: there is none
    uint16_t server_port;
} flow_road_t;
typedef struct {
    flow_road_t *at; // sorted; one row per way in and endpoint, at least one per way in
    size_t len;
} flow_roads_t;

void flow_roads(const proxy_view_t *view, arena_t *arena, flow_roads_t *ret_roads); // of UDP
bool flow_is_stale(const flow_roads_t *roads, const udp_flow_t *flow);
bool flow_roads_equal(const flow_roads_t *a, const flow_roads_t *b);
