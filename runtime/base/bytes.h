// bytes - borrowed byte ranges, and blobs: immutable bytes that many owners share.
//
// A blob is how one packed message reaches many receivers, and how caches keep objects: made
// once, never changed, freed with its last reference. References may be taken and dropped from
// any thread.
#pragma once
#include "runtime/base/check.h"
#include <stdatomic.h>

typedef struct {
    const uint8_t *at;
    size_t len;
} bytes_t;
static inline bytes_t bytes_of_str(const char *s) {
    return (bytes_t){(const uint8_t *)s, strlen(s)};
}
int bytes_cmp(bytes_t a, bytes_t b); // memcmp order, shorter first
static inline bool bytes_eq(bytes_t a, bytes_t b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

typedef struct {
    _Atomic uint32_t refs;
    bool has_attached;
    size_t len;
    uint8_t at[]; // always followed by a NUL that len does not count
} blob_t;
blob_t *blob_new(size_t len) MUST_USE;                  // *returned*, one reference, zeroed
blob_t *blob_from(const void *at, size_t len) MUST_USE; // *returned*, a copy
blob_t *blob_ref(blob_t *b);                            // one more; returns b; NULL stays NULL
void blob_unref(blob_t **b);                            // nulls the pointer; NULL is fine
// A copy that brings something of this process along, for receivers inside it: immutable and safe
// to share between threads. `attached` is taken; the last reference drops it, wherever that
// happens.
blob_t *blob_with(bytes_t bytes, void *attached, void (*drop)(void *attached)) MUST_USE;
void *blob_attached(const blob_t *b); // *borrowed*; NULL: bytes alone
static inline bytes_t blob_bytes(const blob_t *b) {
    return b ? (bytes_t){b->at, b->len} : (bytes_t){0};
}
