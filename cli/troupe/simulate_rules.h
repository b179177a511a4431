// simulate_rules - do the nodes' rules lead to the pods that serve, and to no others?
//
// The truth is what the client's caches say of services and pods; the controllers and the proxies
// that are between the two are what is judged. What differs for longer than RULES_BOUND_MS, however
// the cluster is hit meanwhile, is a finding: a pod that serves and is not reached, or a road to
// one that does not, of a node that was declared dead among them.
#pragma once
#include "actors/chaos/experiment_plan.h"
#include "actors/proxy/tables_fake.h"

enum { RULES_BOUND_MS = 20 * 1000, RULES_LOOK_MS = 1000 };

typedef struct {
    const char *node;
    tables_fake_t *tables;
} rules_node_t;

typedef struct {
    uint64_t version; // of the tables when they were read
    table_roads_t roads;
    arena_t arena; // the roads'
} rules_read_t;

typedef struct {
    finding_t finding;
    map_t wrong; // "node road" -> wrong_t: since when
    uint64_t looks;
    int64_t looked_ms;
    VEC(rules_read_t) read; // by node
} rules_check_t;
void rules_check_done(rules_check_t *c);
void rules_look(rules_check_t *c, arena_t *arena, const rules_node_t *nodes, size_t nodes_len,
                records_t services, records_t pods, int64_t now_ms);
// What was wrong at the last look, be it for a moment only; NULL: nothing. In the arena.
const char *rules_missing(const rules_check_t *c, arena_t *arena);
