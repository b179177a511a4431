// arena - many allocations, one release.
//
// Memory is zeroed and 16-byte aligned. `limit` bounds what a peer can make us allocate: past it
// arena_alloc returns NULL and `hit_limit` stays set (0 means no limit). Running out of real
// memory aborts. Not thread-safe; belongs to one actor, one round (ARCHITECTURE: rounds).
#pragma once
#include "runtime/base/check.h"

typedef struct arena_chunk arena_chunk_t;
typedef struct {
    arena_chunk_t *head; // newest chunk, the one we allocate from
    size_t used;         // bytes handed out since the last clear
    size_t limit;        // 0: none
    bool hit_limit;
} arena_t;

void *arena_alloc(arena_t *a, size_t size);
// The next `size` bytes come from one chunk of just that size, where that is more than is left: for
// many small arenas that each hold one object of known size.
void arena_reserve(arena_t *a, size_t size);
// Releases everything; keeps one chunk of moderate size so that the next round allocates nothing.
void arena_clear(arena_t *a);
void arena_done(arena_t *a); // releases everything, the kept chunk too

// These return NULL only past `limit`. Results belong to the arena.
char *arena_strdup(arena_t *a, const char *s); // NULL stays NULL
char *arena_strndup(arena_t *a, const char *s, size_t len);
void *arena_dup(arena_t *a, const void *at, size_t size);
char *arena_printf(arena_t *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
#define ARENA_NEW(arena, type)        ((type *)arena_alloc((arena), sizeof(type)))
#define ARENA_ARRAY(arena, type, len) ((type *)arena_alloc((arena), sizeof(type) * (len)))
