// nodelife_zones - how fast nodes may be given up when many are away at once.
//
// A dead node is dead. When most of a zone falls silent together, the fault is likelier in between:
// its nodes' pods run on, and to start all of them again elsewhere would make a small trouble a
// large one. So nodes are counted by zone (labels topology.kubernetes.io/region and zone) and given
// up as Kubernetes' node lifecycle controller does it:
//
//     zone's state         when                                       nodes given up
//     normal               else                                       `burst` at once, then `rate`
//     partial disruption   more than two are away, and at least       `rate_disrupted`; none in a
//                          `unhealthy_percent` of the zone            zone of `large_zone` or fewer
//     full disruption      all are away                               as normal: elsewhere it works
//     full, all zones      the cluster is away, or we are             none, and what had begun is
//                                                                     called off
//
// Two things are our own, because nodes are missed after 0.8 s here and after 40 s there. Whoever
// falls silent is given LOSS_SHOWS_MS before it is given up, so that those who went with it have
// been missed, too. And when a disruption lessens, those who are away since then have RETURN_MS to
// be heard. Pure: told the time.
#pragma once
#include "k8s/core_v1.pb-c.h"
#include "runtime/base/arena.h"
#include "runtime/base/map.h"

enum {
    LOSS_SHOWS_MS = 400,   // two of a node's signs of life: on a busy machine one is late
    RETURN_MS = 10 * 1000, // connections are made anew with pauses of seconds
    AWAY_IS_ORDINARY_MAX = 2,
};

// The worse, the higher.
typedef enum { ZONE_NORMAL, ZONE_PARTIAL_DISRUPTION, ZONE_FULL_DISRUPTION } zone_state_t;

typedef struct {
    int64_t rate_milli, rate_disrupted_milli; // nodes per 1000 s
    int64_t burst;
    int64_t large_zone; // nodes
    int64_t unhealthy_percent;
} zone_limits_t;

typedef struct {
    size_t nodes, away;
    int64_t next_ms;  // when the next node's turn would be, were all given up one by one
    int64_t eased_ms; // when its state last became better; 0: it did not
} zone_t;

typedef struct {
    zone_limits_t limits;
    map_t zones;      // key -> zone_t *; those that have nodes
    size_t full;      // zones in full disruption
    uint64_t turns;   // how often the state of a zone has changed
    int64_t eased_ms; // when all zones were in full disruption last; 0: they were not
} zones_t;            // zeroed, but for its limits
void zones_done(zones_t *zones);

// "REGION/ZONE", either of them may be empty.
const char *zone_key(const Core__Node *node, arena_t *arena);
// A node came (+1), left (-1) or stayed (0); it is away, or is so no more.
void zones_count(zones_t *zones, const char *key, int nodes, int away, int64_t now_ms);
zone_state_t zone_state(const zone_t *zone, const zone_limits_t *limits);

typedef enum {
    REPEL_LATER, // its pods may not be sent away yet; what had begun goes on
    REPEL_NOW,
    REPEL_OFF, // nor may what had begun go on
} repel_t;
bool zones_all_are_away(const zones_t *zones); // false while there is no node
// Is nobody of this zone given up, and what had begun called off: REPEL_OFF? Every node is away, or
// most of a small zone: those that seemed to go alone were only the first to be missed.
bool zones_hold(const zones_t *zones, const char *key);
// Else: may a node of this zone, away for so long, be given up now? REPEL_NOW uses up a turn of
// the zone. REPEL_LATER: *ret_wait_ms says when to ask again.
repel_t zones_repel(zones_t *zones, const char *key, int64_t away_for_ms, int64_t now_ms,
                    int64_t *ret_wait_ms);
