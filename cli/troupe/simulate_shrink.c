#include "cli/troupe/simulate_shrink.h"
#include "runtime/base/clock.h"

enum { SHORTEST_MS = 10 };

typedef struct {
    const scenario_t *scenario;
    uint64_t seed;
    int64_t until_us;
    fault_plan_t *plan; // the smallest that fails
    verdict_t *verdict; // its
    size_t runs;
} shrink_t;

static bool is_over(const shrink_t *s) {
    return s->runs >= SHRINK_RUNS_MAX || clock_monotonic_us() > s->until_us;
}

// Does this one break the same promise? Then it is the smallest. *Taken*.
static bool attempt(shrink_t *s, fault_plan_t *plan) {
    verdict_t verdict = {0};
    if (!is_over(s)) {
        s->runs++;
        simulate(s->scenario, s->seed, plan, NULL, &verdict);
    }
    bool fails = verdict.broken[0] && verdict.promise == s->verdict->promise;
    if (fails) {
        fault_plan_t old = *s->plan;
        *s->plan = *plan;
        *plan = old;
        *s->verdict = verdict;
    }
    fault_plan_done(plan);
    return fails;
}

static fault_plan_t without(const fault_plan_t *plan, size_t from, size_t len) {
    fault_plan_t less = {.length_ms = plan->length_ms};
    for (size_t i = 0; i < plan->faults.len; i++)
        if (i < from || i >= from + len) vec_push(&less.faults, plan->faults.at[i]);
    return less;
}

static void drop_faults(shrink_t *s) {
    size_t len = s->plan->faults.len;
    while (len && s->plan->faults.len && !is_over(s)) {
        bool any = false;
        for (size_t from = 0; from < s->plan->faults.len && !is_over(s);) {
            fault_plan_t less = without(s->plan, from, len);
            bool fails = attempt(s, &less);
            any |= fails;
            if (!fails) from += len; // what stood behind it has moved here
        }
        if (len == 1 && !any) return;
        len = any && len == 1 ? 1 : len / 2;
    }
}

static void shorten_faults(shrink_t *s) {
    for (size_t i = 0; i < s->plan->faults.len; i++) {
        while (s->plan->faults.at[i].for_ms > SHORTEST_MS && !is_over(s)) {
            fault_plan_t shorter;
            fault_plan_dup(s->plan, &shorter);
            shorter.faults.at[i].for_ms /= 2;
            if (!attempt(s, &shorter)) break;
        }
    }
}

// To where the last fault ends, or half of what is left behind it.
static void shorten_run(shrink_t *s) {
    int64_t end_ms = 1;
    for (size_t i = 0; i < s->plan->faults.len; i++) {
        const fault_t *f = &s->plan->faults.at[i];
        if (f->at_ms + f->for_ms > end_ms) end_ms = f->at_ms + f->for_ms;
    }
    while (s->plan->length_ms > end_ms && !is_over(s)) {
        fault_plan_t shorter;
        fault_plan_dup(s->plan, &shorter);
        shorter.length_ms = end_ms;
        if (attempt(s, &shorter)) return;
        end_ms += (s->plan->length_ms - end_ms) / 2 + 1;
    }
}

size_t simulate_shrink(const scenario_t *scenario, uint64_t seed, int64_t within_ms,
                       fault_plan_t *plan, verdict_t *verdict) {
    shrink_t s = {.scenario = scenario,
                  .seed = seed,
                  .until_us = clock_monotonic_us() + within_ms * 1000,
                  .plan = plan,
                  .verdict = verdict};
    drop_faults(&s);
    shorten_faults(&s);
    shorten_run(&s);
    return s.runs;
}
