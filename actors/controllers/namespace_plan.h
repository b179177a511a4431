// namespace_plan - what a namespace needs next: its account, or its end.
//
//   living       ServiceAccount "default" is made when missing
//   to be gone   every collection is deleted (a pass), again and again until a whole pass found
//                nothing; then the finalizer "kubernetes" is taken off
//
// Pure. What a pass found is asked of the API server, which refuses anything new in a namespace
// that is to go; caches are not consulted.
#pragma once
#include "k8s/core_v1.pb-c.h"
#include "runtime/base/check.h"

typedef struct {
    const Core__Namespace *namespace_;
    bool has_account;
    bool pass_is_done;  // every collection has answered
    int64_t pass_found; // objects that were still there, and collections that failed
} namespace_view_t;

typedef enum {
    NAMESPACE_NOTHING,
    NAMESPACE_MAKE_ACCOUNT,
    NAMESPACE_DELETE_CONTENTS, // begin a pass
    NAMESPACE_WAIT,            // things take their time to go; then another pass
    NAMESPACE_FINALIZE,
} namespace_action_t;
namespace_action_t namespace_plan(const namespace_view_t *view);
const char *namespace_plan_print(namespace_action_t action);
