#include "runtime/base/rng.h"
#include <sys/random.h>

static uint64_t rotl(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

void rng_init(rng_t *r, uint64_t seed) {
    for (int i = 0; i < 4; i++) { // splitmix64: never leaves all four words zero
        uint64_t z = (seed += 0x9e3779b97f4a7c15ull);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
        r->s[i] = z ^ (z >> 31);
    }
}

uint64_t rng_next(rng_t *r) {
    uint64_t *s = r->s, result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

// Lemire's multiply-shift; the bias is below 2^-32 for the bounds we use and the same everywhere.
uint64_t rng_below(rng_t *r, uint64_t bound) {
    assert(bound > 0);
    return (uint64_t)(((unsigned __int128)rng_next(r) * bound) >> 64);
}

int64_t rng_between(rng_t *r, int64_t low, int64_t high) {
    assert(low <= high);
    return low + (int64_t)rng_below(r, (uint64_t)(high - low) + 1);
}

double rng_unit(rng_t *r) { return (double)(rng_next(r) >> 11) * 0x1.0p-53; }

bool rng_chance(rng_t *r, double probability) { return rng_unit(r) < probability; }

uint64_t rng_seed_from_kernel(void) {
    uint64_t seed = 0;
    if (getrandom(&seed, sizeof seed, 0) != sizeof seed) abort(); // cannot fail for 8 bytes
    return seed;
}
