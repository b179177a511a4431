// seeds - which seeds a simulator test runs: its own few, or those that scripts/soak and whoever
// replays a failure ask for.
//
//     for (uint64_t seed = seed_first(1), n = seeds_count(12); n--; seed++) …
//
// TROUPE_SIM_FIRST, TROUPE_SIM_SEEDS in the environment.
#pragma once
#include <stdint.h>
#include <stdlib.h>

static inline uint64_t seed_number(const char *variable, uint64_t otherwise) {
    const char *text = getenv(variable);
    return text ? strtoull(text, NULL, 10) : otherwise;
}
static inline uint64_t seed_first(uint64_t own) { return seed_number("TROUPE_SIM_FIRST", own); }
static inline uint64_t seeds_count(uint64_t own) { return seed_number("TROUPE_SIM_SEEDS", own); }
