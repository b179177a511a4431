// rng - seeded dice (xoshiro256**, Blackman & Vigna 2018, seeded by splitmix64). Same seed, same
// throws, on every machine. Not for keys: secrets come from getrandom(2).
#pragma once
#include "runtime/base/check.h"

typedef struct {
    uint64_t s[4];
} rng_t;
void rng_init(rng_t *r, uint64_t seed);
uint64_t rng_next(rng_t *r);
uint64_t rng_below(rng_t *r, uint64_t bound);             // 0 <= x < bound; bound > 0
int64_t rng_between(rng_t *r, int64_t low, int64_t high); // low <= x <= high
double rng_unit(rng_t *r);                                // 0 <= x < 1
bool rng_chance(rng_t *r, double probability);
uint64_t rng_seed_from_kernel(void); // 64 bits of getrandom(2)
