#include "runtime/base/text.h"

enum { TEXT_FIRST_BYTES = 128 };

// Room for `more` bytes and the NUL. Over an arena with a limit the text stops growing: what was
// added before stays whole, the arena's hit_limit says so.
static bool text_room(text_t *t, size_t more) {
    if (t->cap - t->len > more) return true;
    size_t cap = t->cap ? t->cap : TEXT_FIRST_BYTES;
    while (cap - t->len <= more) cap *= 2;
    if (t->arena) {
        char *grown = arena_alloc(t->arena, cap);
        if (!grown) return false;
        if (t->len) memcpy(grown, t->at, t->len + 1);
        t->at = grown;
    } else {
        t->at = mem_resize(t->at, cap);
        t->at[t->len] = 0;
    }
    t->cap = cap;
    return true;
}

void text_addn(text_t *t, const void *bytes, size_t len) {
    if (!text_room(t, len)) return;
    if (len) memcpy(t->at + t->len, bytes, len);
    t->len += len;
    t->at[t->len] = 0;
}

void text_add(text_t *t, const char *s) { text_addn(t, s, strlen(s)); }

void text_addc(text_t *t, char c) { text_addn(t, &c, 1); }

void text_addv(text_t *t, const char *fmt, va_list args) {
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, fmt, args);
    assert(len >= 0);
    if (text_room(t, (size_t)len)) {
        vsnprintf(t->at + t->len, (size_t)len + 1, fmt, again);
        t->len += (size_t)len;
    }
    va_end(again);
}

void text_addf(text_t *t, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    text_addv(t, fmt, args);
    va_end(args);
}

void text_pad(text_t *t, size_t column, size_t line_start) {
    assert(line_start <= t->len);
    while (t->len - line_start < column) text_addc(t, ' ');
}

void text_reset(text_t *t) {
    t->len = 0;
    if (t->at) t->at[0] = 0;
}

void text_done(text_t *t) {
    if (!t->arena) free(t->at);
    *t = (text_t){.arena = t->arena};
}

char *text_steal(text_t *t) {
    assert(!t->arena);
    char *at = t->at ? t->at : str_dup("");
    *t = TEXT_HEAP;
    return at;
}
