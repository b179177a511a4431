// text - a growing text (or byte) buffer, always NUL-terminated, over an arena or the heap.
//
//     text_t t = TEXT_HEAP;                 // or { .arena = a }
//     text_addf(&t, "pod-%d", 7);
//     puts(t.at);
//     text_done(&t);                        // a no-op over an arena
//
// `at` is NULL until the first byte is added; text_str() gives "" then.
#pragma once
#include "runtime/base/arena.h"
#include <stdarg.h>

typedef struct {
    arena_t *arena; // NULL: heap
    char *at;
    size_t len, cap;
} text_t;
#define TEXT_HEAP ((text_t){0})

void text_add(text_t *t, const char *s);
void text_addn(text_t *t, const void *bytes, size_t len);
void text_addc(text_t *t, char c);
void text_addf(text_t *t, const char *fmt, ...) PRINTF_LIKE(2, 3);
void text_addv(text_t *t, const char *fmt, va_list args) __attribute__((format(printf, 2, 0)));
void text_pad(text_t *t, size_t column, size_t line_start); // spaces until `column` of the line
void text_reset(text_t *t);                                 // empty again, memory kept
void text_done(text_t *t);
char *text_steal(text_t *t); // *returned*; heap only; never NULL
static inline const char *text_str(const text_t *t) { return t->at ? t->at : ""; }
