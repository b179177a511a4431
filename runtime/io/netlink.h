// netlink - the kernel's IPv4 routes, as far as we own them: marked with a protocol number of ours,
// so that we never touch anybody else's (rtnetlink(7)). Requests are answered by the kernel at
// once.
#pragma once
#include "runtime/base/arena.h"
#include "runtime/base/why.h"

enum { ROUTE_PROTOCOL = 84, ROUTES_MAX = 20000 }; // not in iproute2's rt_protos

// "10.244.1.0/24 via 172.31.0.2" or "10.96.0.0/16 dev eth0 src 172.31.0.1".
typedef struct {
    const char *dst;    // CIDR
    const char *via;    // gateway; "" when the route is on a device
    const char *device; // "" when via says it
    const char *src;    // preferred source; "" when the kernel chooses
} route_t;

typedef struct netlink netlink_t;
err_t netlink_new(netlink_t **ret_netlink, why_t *why) MUST_USE;
void netlink_destroy(netlink_t **nl);
// Our routes in the main table, in the kernel's order; strings live in the arena.
err_t netlink_routes(netlink_t *nl, arena_t *arena, route_t **ret_routes, size_t *ret_len,
                     why_t *why) MUST_USE;
err_t netlink_add_route(netlink_t *nl, const route_t *route,
                        why_t *why) MUST_USE; // replaces one to the same dst
err_t netlink_delete_route(netlink_t *nl, const route_t *route, why_t *why) MUST_USE;
// A network device, with all that is attached to it. One that is not there is no error.
err_t netlink_delete_link(netlink_t *nl, const char *name, why_t *why) MUST_USE;

// The device that has this address, "" when none has. In the arena.
const char *netlink_device_of(arena_t *arena, const char *ip);
