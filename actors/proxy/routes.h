// routes - which routes lead to the other nodes' pods (host-gw), and which are ours and lead
// nowhere any more. Pure.
#pragma once
#include "k8s/core_v1.pb-c.h"
#include "runtime/io/netlink.h"

typedef struct {
    const char *node;               // this one
    const char *node_ip;            // "" while unknown
    const char *node_device;        // which has that address; "": no service route
    const char *service_cidr;       // "" : none
    const Core__Node *const *nodes; // all, any order
    size_t nodes_len;
    const route_t *present; // ours, as the kernel has them
    size_t present_len;
} routes_view_t;
typedef struct {
    route_t *add;
    size_t add_len;
    route_t *remove;
    size_t remove_len;
} routes_plan_t;

// A service address must have some route, or the kernel refuses before it looks at the rules. It
// leads to the node's own device (over lo, or from pods over their bridge, the rejection of an
// address that no service has is not delivered); what no rule rewrote is rejected before it leaves.
void routes_plan(const routes_view_t *view, arena_t *arena, routes_plan_t *ret_plan);
void routes_plan_print(const routes_plan_t *plan, FILE *out);
