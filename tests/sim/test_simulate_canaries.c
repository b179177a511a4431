// Bugs planted all over the cluster (runtime/base/canary.h): each must be found by
// `troupe simulate` within so many seeds; where it shows in one way only, by the check that is
// meant to see it. Else a run without a finding says nothing.
//
//     TROUPE_SIM_SEEDS=100 build/dev/tests/test_simulate_canaries --filter '*/kubelet*'
#include "cli/troupe/simulate.h"
#include "runtime/base/canary.h"
#include "runtime/base/log.h"
#include "support/leaks.h"
#include "support/seeds.h"

#define FAULTS(...) \
    { (const char *const[]){__VA_ARGS__}, LENGTH_OF(((const char *const[]){__VA_ARGS__})) }

// What a row leaves out.
static scenario_t filled(scenario_t s) {
#define FILL(member, value) \
    if (!s.member) s.member = value
    FILL(masters, 1);
    FILL(nodes, 3);
    FILL(pods, 12);
    FILL(length_ms, 5000);
    FILL(fault_every_ms, 300);
    FILL(fault_for_ms, 2000);
    FILL(client_every_ms, 150);
    FILL(room_percent, 200);
#undef FILL
    s.settle_ms = 20 * 1000;
    return s;
}

// Runs seeds until one finds it, as `found_by` says.
static void must_be_found(canary_t canary, const scenario_t *s, uint64_t seeds_max,
                          const char *found_by) {
    if (!canary_plant(canary)) cr_skip_test("this build has no canaries");
    log_set_level(LOG_LEVEL_ERROR);
    for (uint64_t seed = 1; seed <= seeds_count(seeds_max); seed++) {
        verdict_t v;
        simulate(s, seed, NULL, NULL, &v);
        if (!v.broken[0]) continue;
        fprintf(stderr, "%s: seed %llu: %s\n", canary_name(canary), (unsigned long long)seed,
                v.broken);
        cr_assert(strstr(v.broken, found_by), "found by another check: %s", v.broken);
        return;
    }
    cr_assert(false, "%s: not within %llu seeds", canary_name(canary),
              (unsigned long long)seeds_max);
}

#define FOUND(id, seeds_max, found_by, ...)                  \
    Test(canaries, id)                                       \
    {                                                        \
        scenario_t s = filled((scenario_t){__VA_ARGS__});    \
        must_be_found(CANARY_##id, &s, seeds_max, found_by); \
    }

FOUND(DISK_ACKS_UNSYNCED, 20, "", .faults = FAULTS("crash"))
FOUND(STORE_SKIPS_FENCE, 20, "", .masters = 3, .faults = FAULTS("pause"))
FOUND(WATCH_SKIPS_EVENT, 20, "", .faults = FAULTS("kill"))
FOUND(WATCH_REPEATS_EVENT, 20, "came after", .faults = FAULTS("kill"))
FOUND(SCHEDULER_FORGETS_ASSUMED, 20, "has promised", .pods = 40, .nodes = 4, .room_percent = 100,
      .client_every_ms = 50)
FOUND(CONTROLLERS_FORGET_WRITES, 20, "pods, asked", .client_every_ms = 50)
FOUND(DEPLOYMENT_IGNORES_MINIMUM, 20, "pods serve, promised")
FOUND(ENDPOINTS_KEEP_LEAVING, 20, "is an endpoint and does not serve", .fault_every_ms = 3000,
      .fault_for_ms = 15000, .length_ms = 15000, .faults = FAULTS("crash"))
FOUND(GC_FORGETS_CHILDREN, 20, "")
FOUND(NODEIPAM_DOUBLES, 20, "both have")
FOUND(KUBELET_RESTARTS_ADOPTED, 20, "was restarted", .faults = FAULTS("kill"))
FOUND(TAKEOVER_SKIPS_CATCH_UP, 20, "", .masters = 3, .fault_every_ms = 100, .client_every_ms = 50,
      .faults = FAULTS("kill"))
FOUND(API_DENIES_OWN_WRITE, 20, "", .masters = 3, .fault_every_ms = 100, .client_every_ms = 50,
      .faults = FAULTS("drop"))
