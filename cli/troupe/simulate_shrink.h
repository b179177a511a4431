// simulate_shrink - from a run that failed to one that fails as well, with few and short faults.
//
// Delta debugging over the faults (Zeller and Hildebrandt: "Simplifying and isolating
// failure-inducing input", 2002), then each that is left is shortened, then the run.
#pragma once
#include "cli/troupe/simulate.h"

enum { SHRINK_RUNS_MAX = 200 };

// `plan` is what failed with `verdict`; both become the smallest that was found to break the same
// promise. Returns the number of runs it took.
size_t simulate_shrink(const scenario_t *scenario, uint64_t seed, int64_t within_ms,
                       fault_plan_t *plan, verdict_t *verdict);
