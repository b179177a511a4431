// controllers_actor - the shell that runs all controllers (the rows of controllers.c).
//
// Role "controllers". Follows what its rows follow, stands for election, and while it leads brings
// every touched key to what is wanted. A standby keeps its caches warm and does nothing.
// Takes: WatchEvents, StreamEnd, Reply, Failure, ElectReply, CurrentRevisionReply, NodeAges and the
// replies of its asks. Sends: api.proto's verbs to "apiserver".
#pragma once
#include "runtime/actor/kit.h"
#include "runtime/io/config.h"

typedef struct {
    const char *pod_range;         // "10.244.0.0/16": cut into one range per node
    int64_t node_range_bits;       // 24: mask of a node's range
    int64_t node_silent_after_ms;  // 800: a node not heard for so long is NotReady
    int64_t node_unheard_after_ms; // 1500: a node that no API server has mentioned is given so long
    // How fast the nodes of a zone are given up (nodelife_zones.h); Kubernetes' numbers, but burst.
    int64_t eviction_rate_milli;           // 100: 0.1 nodes a second
    int64_t eviction_rate_disrupted_milli; // 10: 0.01 while most of a zone is away
    int64_t eviction_burst;                // 2: at once; fewer are no disruption
    int64_t large_zone;                    // 50 nodes: while most of a smaller one is away, none
    int64_t unhealthy_zone_percent;        // 55: "most"
    int64_t pod_gc_finished_max;           // 12500: finished pods kept
    int64_t concurrent_writes_max;         // 256: API writes under way at once
    bool allocate_node_ranges;             // true
} controllers_args_t;
extern const controllers_args_t controllers_args_default;
extern const config_field_t controllers_config[]; // kind: Controllers
extern const actor_def_t controllers_actor;       // args: controllers_args_t; NULL: the default
