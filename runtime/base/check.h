// check - what does not compile here, and the few macros everything uses.
//
// The functions below lead to overflows, hidden state, undefined results on bad input, or to
// waiting inside an actor. They are banned by function-like macros, as git does it: `#pragma GCC
// poison` would also hit struct members that happen to bear the name.
#pragma once
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BANNED(func) sorry_##func##_is_banned
#undef strcpy
#define strcpy(a, b) BANNED(strcpy)
#undef strcat
#define strcat(a, b) BANNED(strcat)
#undef strncpy
#define strncpy(a, b, n) BANNED(strncpy)
#undef strncat
#define strncat(a, b, n) BANNED(strncat)
#undef sprintf
#define sprintf(...) BANNED(sprintf)
#undef vsprintf
#define vsprintf(...) BANNED(vsprintf)
#undef strtok
#define strtok(a, b) BANNED(strtok)
#undef gets
#define gets(a) BANNED(gets)
#undef atoi
#define atoi(a) BANNED(atoi)
#undef atol
#define atol(a) BANNED(atol)
#undef localtime
#define localtime(a) BANNED(localtime)
#undef rand
#define rand() BANNED(rand)
#undef random
#define random() BANNED(random)
#undef system
#define system(a) BANNED(system)
#undef sleep
#define sleep(a) BANNED(sleep)
#undef usleep
#define usleep(a)                    BANNED(usleep)

#define MUST_USE                     __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt_at, args_at) __attribute__((format(printf, fmt_at, args_at)))
#define LENGTH_OF(array)             (sizeof(array) / sizeof *(array))
#define CLEANUP(fn)                  __attribute__((cleanup(fn)))

// Hand a resource over: returns *p and leaves NULL behind, so that a cleanup attribute finds
// nothing to do.
#define x_steal(p)                       \
    ({                                   \
        __typeof__(*(p)) stolen_ = *(p); \
        *(p) = NULL;                     \
        stolen_;                         \
    })

// The same for a file descriptor: -1 is left behind.
static inline int x_steal_fd(int *fd) {
    int stolen = *fd;
    *fd = -1;
    return stolen;
}

static inline bool streq(const char *a, const char *b) { return strcmp(a, b) == 0; }
static inline bool is_empty(const char *s) { return !s || !*s; }
static inline const char *or_empty(const char *s) { return s ? s : ""; }
// Does `s` start with `prefix`?
static inline bool has_prefix(const char *s, const char *prefix) {
    return strncmp(s, prefix, strlen(prefix)) == 0;
}
bool has_suffix(const char *s, const char *suffix);

// Our own small allocations: zeroed; running out of memory aborts the process, whose parent
// starts it again. Sizes that a peer controls are checked against a limit before they get here.
void *mem_new(size_t size) MUST_USE;
void *mem_resize(void *at, size_t size) MUST_USE;    // realloc; the new part is not zeroed
char *str_dup(const char *s) MUST_USE;               // *returned*; NULL stays NULL
char *str_dup_n(const char *s, size_t len) MUST_USE; // *returned*
char *str_printf(const char *fmt, ...) PRINTF_LIKE(1, 2) MUST_USE; // *returned*

void free_charp(char **at); // for CLEANUP(free_charp)
void close_fdp(int *fd);    // for CLEANUP(close_fdp); -1 is nobody
#define NEW(type) ((type *)mem_new(sizeof(type)))
