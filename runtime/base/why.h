// why - the sentence that goes with an err_t: what, where, what to do. Fixed size, on the stack.
//
//     why_t why;
//     if (store_put(s, key, &why)) return why_wrap(&why, err, "save %s", key);
//
// gives "save pods/default/web-0: disk full". Functions take `why_t *why` last and accept NULL.
#pragma once
#include "runtime/base/err.h"

enum { WHY_TEXT_MAX = 1024 }; // a sentence, not a log; longer text is cut
typedef struct {
    char text[WHY_TEXT_MAX];
} why_t;

// Set the sentence and return `e`, so that failing reads `return why_set(why, ERR_X, "...")`.
err_t why_set(why_t *why, err_t e, const char *fmt, ...) PRINTF_LIKE(3, 4);
// Put "<fmt>: " in front of what stands there and return `e`.
err_t why_wrap(why_t *why, err_t e, const char *fmt, ...) PRINTF_LIKE(3, 4);
// As why_set, with ": strerror(errno_code)" behind it and the err_t that fits the code.
err_t why_errno(why_t *why, int errno_code, const char *fmt, ...) PRINTF_LIKE(3, 4);
