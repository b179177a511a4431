#include "runtime/base/arena.h"
#include <stdarg.h>

enum {
    CHUNK_MIN_BYTES = 4096 - 64,  // one page with malloc's own header
    CHUNK_KEEP_BYTES = 64 * 1024, // what a cleared arena may hold on to between rounds
    ALIGN_BYTES = 16,
};

struct arena_chunk {
    arena_chunk_t *next;
    size_t len, cap;
    uint8_t at[] __attribute__((aligned(ALIGN_BYTES)));
};

static arena_chunk_t *chunk_new(size_t cap) {
    arena_chunk_t *chunk = mem_resize(NULL, sizeof *chunk + cap);
    chunk->next = NULL;
    chunk->len = 0;
    chunk->cap = cap;
    return chunk;
}

void *arena_alloc(arena_t *a, size_t size) {
    size_t need = (size + ALIGN_BYTES - 1) & ~(size_t)(ALIGN_BYTES - 1);
    if (need < size || (a->limit && (need > a->limit || a->used > a->limit - need))) {
        a->hit_limit = true;
        return NULL;
    }
    if (need == 0) need = ALIGN_BYTES;
    if (!a->head || a->head->cap - a->head->len < need) {
        // Doubling keeps the number of chunks logarithmic in what is used.
        size_t cap = a->head ? a->head->cap * 2 : CHUNK_MIN_BYTES;
        if (cap > CHUNK_KEEP_BYTES * 16) cap = CHUNK_KEEP_BYTES * 16;
        arena_chunk_t *chunk = chunk_new(need > cap ? need : cap);
        chunk->next = a->head;
        a->head = chunk;
    }
    void *at = a->head->at + a->head->len;
    a->head->len += need;
    a->used += need;
    return memset(at, 0, size);
}

void arena_reserve(arena_t *a, size_t size) {
    size_t need = (size + ALIGN_BYTES - 1) & ~(size_t)(ALIGN_BYTES - 1);
    assert(need >= size);
    if (a->head && a->head->cap - a->head->len >= need) return;
    arena_chunk_t *chunk = chunk_new(need);
    chunk->next = a->head;
    a->head = chunk;
}

void arena_clear(arena_t *a) {
    arena_chunk_t *kept = NULL;
    while (a->head) {
        arena_chunk_t *chunk = a->head;
        a->head = chunk->next;
        bool keep = chunk->cap <= CHUNK_KEEP_BYTES && (!kept || kept->cap < chunk->cap);
        if (keep) {
            free(kept);
            kept = chunk;
        } else {
            free(chunk);
        }
    }
    if (kept) {
        kept->next = NULL;
        kept->len = 0;
    }
    a->head = kept;
    a->used = 0;
    a->hit_limit = false;
}

void arena_done(arena_t *a) {
    arena_clear(a);
    free(a->head);
    a->head = NULL;
}

char *arena_strdup(arena_t *a, const char *s) { return s ? arena_strndup(a, s, strlen(s)) : NULL; }

char *arena_strndup(arena_t *a, const char *s, size_t len) {
    char *copy = arena_alloc(a, len + 1);
    if (copy && len) memcpy(copy, s, len);
    return copy;
}

void *arena_dup(arena_t *a, const void *at, size_t size) {
    void *copy = arena_alloc(a, size);
    if (copy && size) memcpy(copy, at, size);
    return copy;
}

char *arena_printf(arena_t *a, const char *fmt, ...) {
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    assert(len >= 0);
    char *text = arena_alloc(a, (size_t)len + 1);
    if (text) vsnprintf(text, (size_t)len + 1, fmt, again);
    va_end(again);
    return text;
}
