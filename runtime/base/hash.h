// hash - the small hashes: FNV-1a for names and tables, CRC-32C for what lies on disk or crosses a
// wire. Nothing here is cryptographic.
#pragma once
#include "runtime/base/check.h"

uint32_t hash_fnv32a(const void *at, size_t len);
uint64_t hash_fnv64a(const void *at, size_t len);
uint64_t hash_fnv64a_more(uint64_t state, const void *at,
                          size_t len); // start with HASH_FNV64_START
#define HASH_FNV64_START 0xcbf29ce484222325ull
uint32_t hash_crc32c(uint32_t crc, const void *at, size_t len); // RFC 3720 B.4; start with 0
