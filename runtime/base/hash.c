#include "runtime/base/hash.h"

uint32_t hash_fnv32a(const void *at, size_t len) {
    uint32_t h = 0x811c9dc5u;
    for (const uint8_t *p = at; len--; p++) h = (h ^ *p) * 0x01000193u;
    return h;
}

uint64_t hash_fnv64a_more(uint64_t h, const void *at, size_t len) {
    for (const uint8_t *p = at; len--; p++) h = (h ^ *p) * 0x100000001b3ull;
    return h;
}

uint64_t hash_fnv64a(const void *at, size_t len) {
    return hash_fnv64a_more(HASH_FNV64_START, at, len);
}

// CRC-32C, reflected polynomial 0x82f63b78. The processor's own instruction where there is one,
// else eight bits a step from a table: both give the same number.
static uint32_t crc_table[256];

__attribute__((constructor)) static void crc_table_fill(void) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int bit = 0; bit < 8; bit++) c = (c & 1) ? (c >> 1) ^ 0x82f63b78u : c >> 1;
        crc_table[i] = c;
    }
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc_fast(uint32_t c, const uint8_t *p,
                                                           size_t len) {
    uint64_t wide = c;
    for (; len >= 8; p += 8, len -= 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        wide = __builtin_ia32_crc32di(wide, word);
    }
    c = (uint32_t)wide;
    while (len--) c = __builtin_ia32_crc32qi(c, *p++);
    return c;
}
#endif

uint32_t hash_crc32c(uint32_t crc, const void *at, size_t len) {
    const uint8_t *p = at;
    uint32_t c = ~crc;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2")) return ~crc_fast(c, p, len);
#endif
    while (len--) c = crc_table[(c ^ *p++) & 0xff] ^ (c >> 8);
    return ~c;
}
