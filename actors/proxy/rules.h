// rules - what services should look like in iptables. Pure: a view in, chains out.
//
// The chains are kube-proxy's, by name and comment (SEMANTICS: routing):
//
//     nat: PREROUTING, OUTPUT ─► KUBE-SERVICES ─► KUBE-SVC-x ─► KUBE-SEP-y ─► DNAT to a pod
//                                      │             ▲ each with probability 1/n, 1/(n-1), …, 1
//                                      └► KUBE-NODEPORTS ─► KUBE-EXT-x (masquerade) ─┘
//     nat: POSTROUTING ─► KUBE-POSTROUTING: masquerade what KUBE-MARK-MASQ marked
//     filter: services without endpoints are rejected, as is what no service owns in the range
//
// One set of chains is one canonical text, byte for byte the same for the same view. Chains are
// kept apart so that a change of one service touches its chains and the two that list services.
#pragma once
#include "runtime/base/arena.h"
#include "runtime/base/text.h"

typedef struct {
    const char *ip;
    uint16_t port;
    bool is_local;
} proxy_endpoint_t;
typedef enum { AFFINITY_NONE, AFFINITY_CLIENT_IP } affinity_t;
typedef struct {
    const char *ns, *service, *port_name; // port_name "" when the service has one port
    const char *protocol;                 // "tcp", "udp", "sctp"
    const char *cluster_ip;               // dotted
    const char *const *external_ips;      // external IPs and load balancer IPs
    size_t external_ips_len;
    uint16_t port, node_port; // node_port 0: none
    bool local_external;      // externalTrafficPolicy: Local
    bool local_internal;      // internalTrafficPolicy: Local
    affinity_t affinity;
    int32_t affinity_seconds;
    const proxy_endpoint_t *endpoints; // those that get traffic, sorted by ip and port
    size_t endpoints_len;
} proxy_port_t;

typedef struct {
    const char *cluster_cidr;  // pods: traffic from elsewhere is masqueraded; "" : none is known
    const char *service_cidr;  // "" : nothing is rejected for having no service
    const proxy_port_t *ports; // sorted by ns, service, port_name, protocol
    size_t ports_len;
} proxy_view_t;

typedef enum { TABLE_NAT, TABLE_FILTER, TABLE_COUNT } table_t;
extern const char *const table_names[TABLE_COUNT];
typedef struct {
    table_t table;
    const char *name;
    const char *rules; // "-A NAME …\n" lines
} chain_t;
typedef struct {
    chain_t *at; // sorted by table and name
    size_t len;
} chains_t;

enum { PROXY_PORTS_MAX = 50000, PROXY_ENDPOINTS_MAX = 250000 };

// Chains live in the arena. Endpoints past the limits are left out: *ret_left_out counts them.
void proxy_rules(const proxy_view_t *view, arena_t *arena, chains_t *ret_chains,
                 size_t *ret_left_out);
// Input for iptables-restore --noflush: everything. The chains of `stale` (KUBE- chains that exist
// and are not wanted; NULL: none) are emptied and deleted; of proxy_jumps, those whose bit is set
// in `missing_jumps` are inserted.
void chains_print(const chains_t *chains, const chains_t *stale, uint32_t missing_jumps,
                  text_t *out);
// Only what differs between two sets. False: they are equal and nothing was printed.
bool chains_print_change(const chains_t *was, const chains_t *is, text_t *out);
// The jumps from the built-in chains into ours. Each is inserted first in its chain, in this order:
// of several in one chain, a packet meets the last row first.
typedef struct {
    table_t table;
    const char *chain, *match, *target;
} jump_t;
extern const jump_t proxy_jumps[];
extern const size_t proxy_jumps_len;

// "KUBE-SVC-XXXXXXXXXXXXXXXX": prefix + 16 characters of base32(sha256(text)), as kube-proxy has
// it.
const char *chain_name(arena_t *arena, const char *prefix, const char *text);
