// canary - bugs planted on purpose, each of which a simulator must find: a checker that cannot see
// them checks nothing.
//
//     if (CANARY(STORE_SKIPS_FENCE)) return ERR_OK;
//
// Each breaks one promise at one place, and at most one is planted in a process. They exist where
// there is a sanitizer (the dev and tsan presets); everywhere else CANARY() is the constant false:
// what it guards is not compiled, and no option, file or message can plant one.
//
// To add one: a row here, its place in the product, a row in tests/sim/test_simulate_canaries.c
// with the seeds within which it is found, a row in docs/simulator.md.
#pragma once
#include "runtime/base/check.h"

#define CANARY_ROWS(ROW)                                                                          \
    ROW(DISK_ACKS_UNSYNCED, "disk-acks-unsynced", "a disk answers before it has synced")          \
    ROW(DISK_TRUSTS_TORN_TAILS, "disk-trusts-torn-tails", "a torn record passes for a whole one") \
    ROW(STORE_SKIPS_FENCE, "store-skips-fence", "the write of a deposed leader is taken")         \
    ROW(WATCH_SKIPS_EVENT, "watch-skips-event", "a watch resumes one change too late")            \
    ROW(WATCH_REPEATS_EVENT, "watch-repeats-event", "a watch resumes one change too early")       \
    ROW(API_DENIES_OWN_WRITE, "api-denies-own-write",                                             \
        "a creation of unknown outcome finds itself and says AlreadyExists")                      \
    ROW(SCHEDULER_FORGETS_ASSUMED, "scheduler-forgets-assumed",                                   \
        "pods that are being bound take no room")                                                 \
    ROW(CONTROLLERS_FORGET_WRITES, "controllers-forget-writes",                                   \
        "a controller acts again on a cache without what it has just written")                    \
    ROW(TAKEOVER_SKIPS_CATCH_UP, "takeover-skips-catch-up",                                       \
        "a new leader acts on what its cache was before it took over")                            \
    ROW(DEPLOYMENT_IGNORES_MINIMUM, "deployment-ignores-minimum",                                 \
        "a rolling update takes old pods before new ones serve")                                  \
    ROW(ENDPOINTS_KEEP_LEAVING, "endpoints-keep-leaving",                                         \
        "a pod that leaves (its node is dead) is still sent to")                                  \
    ROW(GC_FORGETS_CHILDREN, "gc-forgets-children", "what a deleted object owned stays")          \
    ROW(NODEIPAM_DOUBLES, "nodeipam-doubles", "two nodes are given one range")                    \
    ROW(KUBELET_RESTARTS_ADOPTED, "kubelet-restarts-adopted",                                     \
        "containers that ran before the kubelet are started anew")
typedef enum {
    CANARY_NONE,
#define ROW(id, name, what) CANARY_##id,
    CANARY_ROWS(ROW)
#undef ROW
        CANARIES_LEN,
} canary_t;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CANARY_EXISTS
#define CANARY(id) (canary_planted == CANARY_##id)
extern canary_t canary_planted; // set before the first actor runs, by a test or `troupe simulate`
#else
#define CANARY(id) false
#endif

// False: this build has none. CANARY_NONE is planted everywhere.
bool canary_plant(canary_t canary) MUST_USE;
const char *canary_name(canary_t canary);
const char *canary_what(canary_t canary);
