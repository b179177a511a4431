// replicaset_plan - which pods a ReplicaSet makes, gives up, takes in and lets go; and its status.
//
// Pure. The whole present goes in: the set, the pods it controls or might adopt, the time, a seed
// for names, and the names of earlier creations whose outcome is not known (they are used first, so
// that a retry collides with itself). The plan repairs the difference seen now.
#pragma once
#include "k8s/apps_v1.pb-c.h"
#include "runtime/base/arena.h"
#include "runtime/base/text.h"

enum {
    REPLICASET_BURST_MAX = 500
}; // creations or deletions in one plan (Kubernetes'); the next goes on

typedef struct {
    const Apps__ReplicaSet *set;
    const Core__Pod *const *pods; // of its namespace: controlled by it, or by nobody
    size_t pods_len;
    int64_t now_wall_ms;
    uint64_t seed;                 // of the names
    const char *const *names_kept; // tried before, outcome unknown
    size_t names_kept_len;
    size_t create_max;          // 1 after a failure, so that a quota is not hammered
    const char *create_failure; // why the last creation was refused; NULL: it was not
} replicaset_view_t;

typedef enum {
    REPLICASET_CREATE,  // `made`
    REPLICASET_DELETE,  // `pod`, with its uid as precondition
    REPLICASET_ADOPT,   // after a live look that the set still exists
    REPLICASET_RELEASE, // its labels no longer match
} replicaset_action_kind_t;
typedef struct {
    replicaset_action_kind_t kind;
    const Core__Pod *pod; // of the view
    Core__Pod *made;      // CREATE: the whole pod, named
} replicaset_action_t;
typedef struct {
    replicaset_action_t *actions;
    size_t actions_len;
    bool cut;                       // more is to be done than a plan may
    Apps__ReplicaSetStatus *status; // NULL: as it should be
    int64_t again_in_ms;            // a ready pod becomes available then; INT64_MAX: never
} replicaset_plan_t;

void replicaset_plan(const replicaset_view_t *view, arena_t *arena, replicaset_plan_t *ret_plan);
void replicaset_plan_print(const replicaset_plan_t *plan, text_t *out);

// Names of generated objects: "base-" and five letters or digits that make no words.
const char *generated_name(arena_t *arena, const char *base, uint64_t *seed);
