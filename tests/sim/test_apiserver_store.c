// The API server on the real store, both killed and crashed at random: what was answered stays,
// what was not may be asked again, a watch sees each change once and in order.
#include "tests/support/api_rig.h"
#include "tests/support/leaks.h"

enum { SEEDS = 12, WRITES = 60 };

static void hurt_somebody(api_rig_t *rig) {
    switch (rng_below(sim_rng(rig->sim), 5)) {
    case 0: sim_kill(rig->sim, "apiserver/m1", "chaos"); break;
    case 1: sim_kill(rig->sim, "store/m1", "chaos"); break;
    case 2:
        sim_crash_process(rig->sim, "store");
        sim_run_for(rig->sim, 30);
        sim_restart_process(rig->sim, "store");
        break;
    case 3:
        sim_crash_process(rig->sim, "api");
        sim_run_for(rig->sim, 30);
        sim_restart_process(rig->sim, "api");
        break;
    default: break;
    }
}

// Asks until it is answered. What was not answered may have happened: then it exists.
static void create_surely(api_rig_t *rig, int i) {
    const char *text =
        arena_printf(&rig->arena, "{kind: ConfigMap, apiVersion: v1, metadata: {name: c%02d}}", i);
    const char *says = "";
    for (int tries = 0; tries < 20; tries++) {
        says = rig_create(rig, text);
        if (!rig->err || rig->err == ERR_EXISTS) return;
        sim_run_for(rig->sim, 100);
    }
    cr_assert_fail("write %d is never answered: %s", i, says);
}

Test(apiserver_store, nothing_answered_is_lost_and_watches_see_everything_once)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        api_rig_t *rig = rig_new_on_real_store(seed);
        sim_set_latency(rig->sim, 50, 1500);
        rig_watch_t watch = {"v1", "ConfigMap", .resumes = true};
        rig_watcher_t *w = rig_watch(rig, "w", &watch);
        rig_run(rig, 100);
        rig_seen(w);
        text_t want = TEXT_HEAP, names = TEXT_HEAP;
        for (int i = 0; i < WRITES; i++) {
            if (rng_chance(sim_rng(rig->sim), 0.3)) hurt_somebody(rig);
            create_surely(rig, i);
            text_addf(&want, "ADDED default/c%02d\n", i);
            text_addf(&names, "%sc%02d", i ? " " : "", i);
        }
        rig_wait_ready(rig);
        rig_run(rig, 3000);
        const char *listed = rig_list(rig, "v1", "ConfigMap", &(Api__List)API__LIST__INIT);
        cr_expect_str_eq(listed, text_str(&names), "seed %d: %s", (int)seed, listed);
        const char *seen = rig_seen(w);
        cr_expect_str_eq(seen, text_str(&want), "seed %d: %s", (int)seed, seen);
        text_done(&want);
        text_done(&names);
        rig_destroy(&rig);
        rig_watcher_free(&w);
    }
    ASSERT_NO_LEAKS();
}
