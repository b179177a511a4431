// simulate_checks - what must hold of a cluster's objects at every moment, however it is hit.
//
// Fed by the client with what its informers tell. Each kind has a watch of its own, so one may lag
// behind another: what looks broken is a *suspicion* until the other watch has come as far (all
// kinds share one revision), and only then a finding.
#pragma once
#include "actors/chaos/experiment_plan.h"

typedef enum {
    PROMISE_REPLICAS,  // a replica set never has more pods than were ever asked of it
    PROMISE_RESTARTS,  // a container is started again only when its node has lost power
    PROMISE_ENDPOINTS, // while the masters are left alone a service has just the pods that serve
    PROMISE_AVAILABLE, // while all are left alone a rolling update leaves enough pods ready
    PROMISE_OWNERS,    // what a living owner owns is not collected
    PROMISE_RANGES,    // no two nodes have one pod range
    PROMISE_REVISIONS, // a write asked for after another was answered has a higher revision
    PROMISES_LEN,
} promise_t;
const char *promise_name(promise_t promise);

// Judged once the other watch is at `revision`.
typedef struct {
    char *uid, *name; // owned; of the set, the owner, the deployment
    int64_t revision, count;
} suspicion_t;
typedef VEC(suspicion_t) suspicions_t;

typedef struct {
    finding_t findings[PROMISES_LEN];
    informer_t *pods, *nodes, *sets, *deployments, *endpoints; // the client's, borrowed
    map_t power_cuts;                                          // node -> how often
    int64_t masters_until_ms, nodes_until_ms;                  // something is broken until then
    map_t asked;         // set's uid -> the most replicas that were ever asked of it
    map_t serves;        // deployment's name -> its pods that serve
    map_t floors;        // deployment's name -> how many serve at least
    map_t wrong;         // "service pod's uid" -> since when, in ms, the two are at odds
    VEC(char *) touched; // uids of sets that got a pod in this round; owned
    suspicions_t crowded, orphaned, starved;
    int64_t now_ms, endpoints_ms; // of this round; of the last look at endpoints
} checks_t;

void checks_start(checks_t *c); // once the informers are there: subscribes
void checks_done(checks_t *c);
// What the world does to it.
void checks_power_cut(checks_t *c, const char *node);
void checks_disturb(checks_t *c, bool is_node, int64_t until_ms);
void checks_settle(checks_t *c, int64_t now_ms); // once per round
void checks_look(checks_t *c);                   // now and then
// Is each service sent to just the pods that serve, as of the last look?
bool checks_endpoints_are_true(const checks_t *c);
// `before`: the highest revision that had been answered when this write was asked for.
void checks_written(checks_t *c, int64_t before, int64_t revision);
