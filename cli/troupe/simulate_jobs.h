// simulate_jobs - seeds of a simulated cluster, spread over child processes: a run is one thread,
// and a run that dies by an assert is a failed seed, not the end of all.
#pragma once
#include "cli/troupe/simulate.h"

enum { SIMULATE_JOBS_MAX = 64, SIMULATE_DIED = -2 };

typedef struct {
    const scenario_t *scenario;
    const fault_plan_t *plan; // NULL: each seed's own
    uint64_t first_seed;
    int64_t seeds, jobs;
    int64_t within_ms, at_least; // past this time no seed begins beyond so many; 0: no such time
} simulate_jobs_t;

// Told of each seed as it ends, in any order; false: enough, the others are broken off.
typedef bool (*simulate_told_fn)(void *arg, uint64_t seed, const verdict_t *verdict);
err_t simulate_jobs(const simulate_jobs_t *jobs, simulate_told_fn told, void *arg,
                    why_t *why) MUST_USE;
