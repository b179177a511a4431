// A failing schedule of faults is shrunk, and what is left fails again by its printed line.
#include "cli/troupe/simulate_shrink.h"
#include "runtime/base/canary.h"
#include "runtime/base/log.h"
#include "support/leaks.h"

enum { SEEDS_MAX = 10, WITHIN_MS = 600 * 1000 };

// Crashes alone break it: the disk answers before it has synced.
static scenario_t broken_scenario(void) {
    static const char *const faults[] = {"crash", "skew"};
    scenario_t s = scenario_standard;
    s.nodes = 2;
    s.pods = 8;
    s.length_ms = 8 * 1000;
    s.fault_every_ms = 400;
    s.settle_ms = 20 * 1000;
    s.faults = (config_strings_t){faults, LENGTH_OF(faults)};
    log_set_level(LOG_LEVEL_ERROR);
    return s;
}

Test(simulate_shrink, what_is_left_of_a_failing_schedule_fails_as_it_did)
{
    if (!canary_plant(CANARY_DISK_ACKS_UNSYNCED)) cr_skip_test("this build has no canaries");
    scenario_t s = broken_scenario();
    verdict_t found = {.broken = ""}, again;
    uint64_t seed = 0;
    while (!found.broken[0] && seed < SEEDS_MAX) simulate(&s, ++seed, NULL, NULL, &found);
    cr_assert_neq(found.broken[0], 0, "not within %d seeds", SEEDS_MAX);
    int promise = found.promise;
    fault_plan_t plan, replayed;
    simulate_plan(&s, seed, &plan);
    size_t drawn = plan.faults.len;
    simulate_shrink(&s, seed, WITHIN_MS, &plan, &found);
    cr_assert_lt(plan.faults.len, drawn);
    cr_assert_leq(plan.faults.len, 3);
    for (size_t i = 0; i < plan.faults.len; i++)
        cr_assert_eq(plan.faults.at[i].kind, ACTOR__FAULT_RULE__KIND__CRASH);
    text_t only = TEXT_HEAP;
    why_t why;
    fault_plan_print(&plan, &only);
    simulate_plan(&s, seed, &replayed);
    cr_assert_eq(fault_plan_choose(&replayed, text_str(&only), &why), ERR_OK, "%s", why.text);
    simulate(&s, seed, &replayed, NULL, &again);
    cr_assert_eq(again.promise, promise);
    cr_assert_eq(again.hash, found.hash, "%s", text_str(&only));
    text_done(&only);
    fault_plan_done(&plan);
    fault_plan_done(&replayed);
}

Test(simulate_shrink, a_schedule_is_chosen_by_number_and_said_what_is_wrong_with_a_text)
{
    const struct {
        const char *text, *chosen; // chosen NULL: an error
    } rows[] = {
        {"", "/8000"},  {"1", "1:7/8000"}, {"2:5", "2:5/8000"}, {"1:1,3/900", "1:1,3:9/900"},
        {"/10", "/10"}, {"3,2", NULL},     {"4", NULL},         {"0", NULL},
        {"1:", NULL},   {"1/", NULL},      {"1/5x", NULL},      {"x", NULL},
    };
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        fault_plan_t plan = {.length_ms = 8000};
        for (size_t n = 1; n <= 3; n++)
            vec_push(&plan.faults, ((fault_t){.number = n, .for_ms = 6 + (int64_t)n}));
        text_t out = TEXT_HEAP;
        why_t why;
        err_t err = fault_plan_choose(&plan, rows[i].text, &why);
        if (!err) fault_plan_print(&plan, &out);
        cr_expect_eq(err, rows[i].chosen ? ERR_OK : ERR_INVALID, "\"%s\"", rows[i].text);
        if (rows[i].chosen && !err) cr_expect_str_eq(text_str(&out), rows[i].chosen);
        text_done(&out);
        fault_plan_done(&plan);
    }
    ASSERT_NO_LEAKS();
}
