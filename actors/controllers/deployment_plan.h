// deployment_plan - which ReplicaSets a Deployment makes, resizes and gives up; and its status.
//
// Pure. Kubernetes' deployment controller as one decision: the whole present goes in, everything
// that is to be done now comes out. A ReplicaSet is the new one if its template equals the
// Deployment's but for the hash label: never by computing the hash again, so that a new default
// does not roll every Deployment.
#pragma once
#include "k8s/apps_v1.pb-c.h"
#include "runtime/base/arena.h"
#include "runtime/base/text.h"

typedef struct {
    const Apps__Deployment *deployment;
    const Apps__ReplicaSet *const *sets; // of its namespace: controlled by it, or by nobody
    size_t sets_len;
    size_t old_pods_len; // not finished pods of sets other than the new one: Recreate waits
    int32_t collisions;  // names found taken by strangers since the status was written
    int64_t now_wall_ms;
} deployment_view_t;

typedef enum {
    DEPLOYMENT_ADOPT, // after a live look that the deployment still exists
    DEPLOYMENT_RELEASE,
    DEPLOYMENT_CREATE,   // `made`
    DEPLOYMENT_PATCH,    // `json` to `set`, at the set's revision
    DEPLOYMENT_DELETE,   // `set`, past the history limit
    DEPLOYMENT_ANNOTATE, // `json` to the deployment: its revision
} deployment_action_kind_t;
typedef struct {
    deployment_action_kind_t kind;
    const Apps__ReplicaSet *set; // of the view
    Apps__ReplicaSet *made;
    const char *json; // merge patch
    int32_t from, to; // CREATE, PATCH: pods wanted before and after
} deployment_action_t;
typedef struct {
    deployment_action_t *actions;
    size_t actions_len;
    Apps__DeploymentStatus *status; // NULL: as it should be
    bool selects_all;               // an empty selector: nothing is done but said
    int64_t again_in_ms;            // the progress deadline; INT64_MAX: nothing is waited for
} deployment_plan_t;

void deployment_plan(const deployment_view_t *view, arena_t *arena, deployment_plan_t *ret_plan);
void deployment_plan_print(const deployment_plan_t *plan, text_t *out);

// Is this the set that the deployment's template asks for?
bool deployment_templates_equal(const Core__PodTemplateSpec *a, const Core__PodTemplateSpec *b);
const char *deployment_template_hash(arena_t *arena, const Core__PodTemplateSpec *template,
                                     int32_t collisions);
