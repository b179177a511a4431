// `troupe simulate`: seeds pass, the same seed gives the same run.
#include "cli/troupe/simulate.h"
#include "runtime/base/log.h"
#include "runtime/io/config_tree.h"
#include "support/leaks.h"
#include "support/seeds.h"

static scenario_t small(int64_t masters) {
    scenario_t s = scenario_standard;
    s.masters = masters;
    s.nodes = 3;
    s.pods = 12;
    s.length_ms = 10 * 1000;
    s.fault_every_ms = 500;
    log_set_level(LOG_LEVEL_ERROR);
    return s;
}

static void expect_passed(const scenario_t *s, uint64_t seeds) {
    int64_t promised[PROMISES_LEN] = {0};
    for (uint64_t seed = seed_first(1), left = seeds_count(seeds); left--; seed++) {
        verdict_t v;
        simulate(s, seed, NULL, NULL, &v);
        cr_assert_eq(v.broken[0], 0, "%d masters, seed %llu: %s", (int)s->masters,
                     (unsigned long long)seed, v.broken);
        cr_assert_gt(v.operations, 20, "seed %llu: the client was not served",
                     (unsigned long long)seed);
        for (int i = 0; i < INVARIANTS_LEN; i++)
            cr_assert_gt(v.checked[i], 0, "seed %llu: %s was never checked",
                         (unsigned long long)seed, invariant_name(i));
        for (int i = 0; i < PROMISES_LEN; i++) promised[i] += v.promised[i];
    }
    for (int i = 0; i < PROMISES_LEN; i++)
        cr_assert(promised[i] || i == PROMISE_AVAILABLE, "%s was never checked", promise_name(i));
}

Test(simulate, one_master_keeps_every_promise)
{
    scenario_t s = small(1);
    expect_passed(&s, 4);
    ASSERT_NO_LEAKS();
}

Test(simulate, three_masters_keep_every_promise)
{
    scenario_t s = small(3);
    expect_passed(&s, 2);
    ASSERT_NO_LEAKS();
}

// Where nothing is hit there is no excuse.
Test(simulate, rolling_updates_of_a_calm_cluster_keep_serving)
{
    scenario_t s = small(1);
    s.faults.len = 0;
    verdict_t v;
    simulate(&s, 1, NULL, NULL, &v);
    cr_assert_eq(v.broken[0], 0, "%s", v.broken);
    cr_assert_gt(v.promised[PROMISE_AVAILABLE], 0);
    ASSERT_NO_LEAKS();
}

Test(simulate, the_same_seed_gives_the_same_run_and_another_seed_another)
{
    scenario_t s = small(1);
    s.length_ms = 4000;
    verdict_t one, two, other;
    simulate(&s, 77, NULL, NULL, &one);
    simulate(&s, 77, NULL, NULL, &two);
    simulate(&s, 78, NULL, NULL, &other);
    cr_assert_eq(one.hash, two.hash);
    cr_assert_neq(one.hash, other.hash);
    ASSERT_NO_LEAKS();
}

Test(simulate, the_standard_scenario_is_what_its_file_says)
{
    CLEANUP(free_charp) char *text = NULL;
    size_t len;
    why_t why;
    const char *file = SOURCE_DIR "/configs/scenarios/standard.yaml";
    cr_assert_eq(config_load_file(file, &text, &len, &why), ERR_OK, "%s", why.text);
    scenario_t read = {0};
    arena_t arena = {0};
    cr_assert_eq(config_read(&arena, file, text, len, "Scenario", scenario_config, &read, &why),
                 ERR_OK, "%s", why.text);
    cr_assert_eq(scenario_check(&read, &why), ERR_OK, "%s", why.text);
    cr_assert_eq(read.faults.len, scenario_standard.faults.len);
    read.faults = scenario_standard.faults;
    cr_assert_eq(memcmp(&read, &scenario_standard, sizeof read), 0);
    read.masters = 2;
    cr_assert_eq(scenario_check(&read, &why), ERR_INVALID);
    arena_done(&arena);
}
