// cluster - a whole control plane and small nodes in the simulator, for scenarios.
//
//     api_rig_t *rig = cluster_new(seed, 3);      // API server, scheduler, controllers, node-1 …
//     node-3 rig_create(rig, CLUSTER_WEB("nginx", "3")); cluster_expect_ready(rig, "web", 3);
//     rig_destroy(&rig);
#pragma once
#include "k8s/apps_v1.pb-c.h"
#include "tests/support/api_rig.h"

enum { CLUSTER_DEADLINE_MS = 60 * 1000 };

// Pods stay for one second on a node that is gone.
api_rig_t *cluster_new(uint64_t seed, int nodes) MUST_USE;
// A further master in processes of its own: scheduler and controllers, and an API server if wanted.
void cluster_add_master(api_rig_t *rig, const char *name, bool with_api);

// A deployment "web" of so many pods.
#define CLUSTER_WEB(image, replicas)                                                            \
    "{kind: Deployment, apiVersion: apps/v1, metadata: {name: web}, spec: {replicas: " replicas \
    ", selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: "  \
    "{containers: [{name: c, image: " image ", resources: {requests: {cpu: 500m}}}]}}}}"

// Looks without a message: the store's own bytes, decoded into the arena; NULL: no such key.
void *cluster_stored(api_rig_t *rig, arena_t *arena, const char *group, const char *version,
                     const char *kind, const char *key);
bool cluster_is_ready(api_rig_t *rig, const char *deployment,
                      int pods); // rolled out, all available
void cluster_expect_ready(api_rig_t *rig, const char *deployment, int pods);
// The longest back-off of a killed actor is over, and the API answers.
void cluster_all_back(api_rig_t *rig);
// No node has more on it than it can hold; a pod that exists has one node at most.
void cluster_check(api_rig_t *rig);
