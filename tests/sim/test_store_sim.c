// One member of the store under power cuts, kills, slow disks and a bad net, in virtual time. What
// must hold: tests/support/store_world.h.
#include "runtime/base/canary.h"
#include "runtime/base/log.h"
#include "tests/support/leaks.h"
#include "tests/support/seeds.h"
#include "tests/support/store_world.h"

// ---- trouble ------------------------------------------------------------------------------------
static void bad_net(world_t *w, bool bad) {
    Actor__FaultRule rule = {.base = PROTOBUF_C_MESSAGE_INIT(&actor__fault_rule__descriptor)};
    sim_clear_faults(w->sim);
    if (!bad) return;
    rule.name = "loss";
    rule.from = "test/*";
    rule.to = "store/*";
    rule.type = "";
    rule.kind = ACTOR__FAULT_RULE__KIND__DROP;
    rule.probability = 0.05;
    rule.both_ways = true;
    sim_set_fault(w->sim, &rule);
}

static void trouble(world_t *w) {
    rng_t *rng = sim_rng(w->sim);
    switch (rng_below(rng, 6)) {
    case 0:
    case 1: files_fake_cut_after(w->hosts[0].files, rng_below(rng, 40)); break;
    case 2: world_power_cut(w, 0); break;
    case 3: sim_kill(w->sim, "store/m1", "test"); break;
    case 4: sim_kill(w->sim, "disk/m1", "test"); break;
    case 5: bad_net(w, rng_chance(rng, 0.5)); break;
    }
}

static void play(world_t *w) { world_play(w, 1500, 80, trouble); }

Test(store_sim, no_acknowledged_write_is_lost_and_watches_see_all_once)
{
    log_set_level(LOG_LEVEL_ERROR);
    size_t all = 0;
    uint64_t seeds = seeds_count(40);
    for (uint64_t seed = seed_first(1), n = seeds; n--; seed++) {
        world_t w;
        world_open(&w, seed, 1, false);
        play(&w);
        all += world_acknowledged(&w);
        cr_assert_eq(w.fault[0], 0, "seed %llu: %s", (unsigned long long)seed, w.fault);
        world_close(&w);
    }
    cr_assert_gt(all, 100 * seeds, "only %zu writes were acknowledged", all);
    ASSERT_NO_LEAKS();
}

Test(store_sim, the_same_seed_gives_the_same_run)
{
    log_set_level(LOG_LEVEL_ERROR);
    uint64_t hash[2];
    for (int i = 0; i < 2; i++) {
        world_t w;
        world_open(&w, 77, 1, false);
        play(&w);
        hash[i] = sim_trace_hash(w.sim);
        world_close(&w);
    }
    cr_assert_eq(hash[0], hash[1]);
    ASSERT_NO_LEAKS();
}

// Planted bugs must be found: else the checks above check nothing.
static bool is_caught(canary_t canary) {
    log_set_level(LOG_LEVEL_ERROR);
    if (!canary_plant(canary)) cr_skip_test("this build has no canaries");
    for (uint64_t seed = 1; seed <= 60; seed++) {
        world_t w;
        world_open(&w, seed, 1, false);
        play(&w);
        bool caught = w.fault[0];
        world_close(&w);
        if (caught) return true;
    }
    return false;
}
Test(store_sim, canary_an_answer_before_the_sync_is_caught)
{ cr_assert(is_caught(CANARY_DISK_ACKS_UNSYNCED)); }
Test(store_sim, canary_a_torn_record_taken_on_trust_is_caught)
{ cr_assert(is_caught(CANARY_DISK_TRUSTS_TORN_TAILS)); }
