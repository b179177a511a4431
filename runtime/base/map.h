// map - hash map from a string, or from a 64-bit number, to a pointer.
//
// Open addressing; keys of a `map_t` are copied. Values are borrowed: the map never frees them.
// Iteration order is the hash's: sort before it can reach an output (STYLE 19). Removing during a
// walk is allowed for the entry just returned.
#pragma once
#include "runtime/base/check.h"

typedef struct map_slot map_slot_t;
typedef struct {
    map_slot_t *slots;
    size_t len, used, cap;
} map_t;

void *map_get(const map_t *m, const char *key); // NULL: not there
void *map_get_n(const map_t *m, const char *key, size_t len);
void *map_put(map_t *m, const char *key, void *value); // value not NULL; returns the old one
void *map_remove(map_t *m, const char *key);           // returns what stood there, or NULL
void map_done(map_t *m); // values must be gone by then, or owned elsewhere
static inline size_t map_len(const map_t *m) { return m->len; }
// Walk: size_t at = 0; const char *k; void *v; while (map_next(&m, &at, &k, &v)) …
bool map_next(const map_t *m, size_t *at, const char **ret_key, void **ret_value);
// All keys in byte order; the array is *returned* (free it), the strings stay the map's.
const char **map_sorted_keys(const map_t *m) MUST_USE;

typedef struct imap_slot imap_slot_t;
typedef struct {
    imap_slot_t *slots;
    size_t len, used, cap;
} imap_t;
void *imap_get(const imap_t *m, uint64_t key);
void *imap_put(imap_t *m, uint64_t key, void *value);
void *imap_remove(imap_t *m, uint64_t key);
void imap_done(imap_t *m);
static inline size_t imap_len(const imap_t *m) { return m->len; }
bool imap_next(const imap_t *m, size_t *at, uint64_t *ret_key, void **ret_value);
