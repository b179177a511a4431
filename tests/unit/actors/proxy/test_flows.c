// Which remembered UDP flows lead nowhere any more.
#include "actors/proxy/flows.h"
#include "support/leaks.h"
#include <arpa/inet.h>

static uint32_t ip(const char *text) { return ntohl(inet_addr(text)); }

Test(flows, a_flow_is_stale_when_nobody_of_its_service_answers_it)
{
    static const proxy_endpoint_t ends[] = {{"10.244.0.5", 5353, true}, {"10.244.0.6", 5353, true}};
    static const char *const external[] = {"192.0.2.9"};
    static const proxy_port_t ports[] = {
        {.protocol = "udp",
         .cluster_ip = "10.96.0.10",
         .port = 53,
         .node_port = 30053,
         .external_ips = external,
         .external_ips_len = 1,
         .endpoints = ends,
         .endpoints_len = 2},
        {.protocol = "udp", .cluster_ip = "10.96.0.11", .port = 53},
        {.protocol = "tcp",
         .cluster_ip = "10.96.0.12",
         .port = 53,
         .endpoints = ends,
         .endpoints_len = 2},
    };
    static const struct {
        const char *what, *dst;
        uint16_t port;
        const char *server;
        uint16_t server_port;
        bool stale;
    } rows[] = {
        {"to an endpoint", "10.96.0.10", 53, "10.244.0.6", 5353, false},
        {"to one that is gone", "10.96.0.10", 53, "10.244.0.7", 5353, true},
        {"to another port of one", "10.96.0.10", 53, "10.244.0.6", 53, true},
        {"untranslated to a service that has endpoints", "10.96.0.10", 53, "10.96.0.10", 53, true},
        {"by an external address", "192.0.2.9", 53, "10.244.0.7", 5353, true},
        {"by the node port", "172.31.0.1", 30053, "10.244.0.7", 5353, true},
        {"by the node port, well", "172.31.0.1", 30053, "10.244.0.5", 5353, false},
        {"to that port of a stranger", "198.51.100.1", 30053, "198.51.100.1", 30053, false},
        {"to a service that has lost its last endpoint", "10.96.0.11", 53, "10.244.0.5", 5353,
         true},
        {"to a service of tcp", "10.96.0.12", 53, "10.244.0.7", 5353, false},
        {"to nobody we know", "10.96.0.99", 53, "10.244.0.7", 5353, false},
        {"to another port of the service's address", "10.96.0.10", 54, "10.244.0.7", 5353, false},
    };
    arena_t arena = {0};
    flow_roads_t roads, none;
    flow_roads(&(proxy_view_t){.ports = ports, .ports_len = LENGTH_OF(ports)}, &arena, &roads);
    flow_roads(&(proxy_view_t){0}, &arena, &none);
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        udp_flow_t flow = {ip(rows[i].dst), ip(rows[i].server), rows[i].port, rows[i].server_port};
        cr_expect_eq(flow_is_stale(&roads, &flow), rows[i].stale, "%s", rows[i].what);
        cr_expect_not(flow_is_stale(&none, &flow), "%s, without services", rows[i].what);
    }
    cr_expect(flow_roads_equal(&roads, &roads));
    cr_expect_not(flow_roads_equal(&roads, &none));
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}
