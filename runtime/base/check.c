#include "runtime/base/check.h"
#include <stdarg.h>
#include <unistd.h>

bool has_suffix(const char *s, const char *suffix) {
    size_t len = strlen(s), suffix_len = strlen(suffix);
    return len >= suffix_len && streq(s + len - suffix_len, suffix);
}

static void out_of_memory(size_t size) {
    dprintf(STDERR_FILENO, "out of memory: %zu bytes asked for\n", size);
    abort();
}

void *mem_new(size_t size) {
    void *at = calloc(1, size ? size : 1);
    if (!at) out_of_memory(size);
    return at;
}

void *mem_resize(void *at, size_t size) {
    void *grown = realloc(at, size ? size : 1);
    if (!grown) out_of_memory(size);
    return grown;
}

char *str_dup(const char *s) { return s ? str_dup_n(s, strlen(s)) : NULL; }

char *str_dup_n(const char *s, size_t len) {
    char *copy = mem_new(len + 1);
    if (len) memcpy(copy, s, len);
    return copy;
}

char *str_printf(const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    char *text = NULL;
    if (vasprintf(&text, fmt, args) < 0) out_of_memory(0);
    va_end(args);
    return text;
}

void free_charp(char **at) {
    free(*at);
    *at = NULL;
}

void close_fdp(int *fd) {
    if (*fd >= 0) close(*fd);
    *fd = -1;
}
