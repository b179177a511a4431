#include "runtime/base/err.h"
#include "runtime/base/why.h"
#include <errno.h>
#include <stdarg.h>

typedef struct {
    const char *name, *text;
    bool retryable;
    int http;
    const char *reason;
    int exit_code;
} err_row_t;

#define ERR_ROW(name, text, retry, http, reason, exit_code) \
    {#name, text, retry, http, reason, exit_code},
static const err_row_t rows[] = {ERR_LIST(ERR_ROW)};
static_assert(LENGTH_OF(rows) == ERR_MAX, "one row per error");

// A number from a peer may lie outside the table: it reads as an internal error.
static const err_row_t *row_of(err_t e) { return &rows[(unsigned)e < ERR_MAX ? e : ERR_INTERNAL]; }

const char *err_name(err_t e) { return row_of(e)->name; }
const char *err_text(err_t e) { return row_of(e)->text; }
bool err_is_retryable(err_t e) { return row_of(e)->retryable; }
int err_http(err_t e) { return row_of(e)->http; }
const char *err_reason(err_t e) { return row_of(e)->reason; }
int err_exit_code(err_t e) { return row_of(e)->exit_code; }

err_t err_from_errno(int code) {
    switch (code) {
    case 0: return ERR_OK;
    case ENOENT: return ERR_NOT_FOUND;
    case EEXIST: return ERR_EXISTS;
    case EACCES:
    case EPERM: return ERR_PERMISSION;
    case ENOSPC:
    case EDQUOT: return ERR_DISK_FULL;
    case ETIMEDOUT: return ERR_TIMEOUT;
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EPIPE:
    case ECONNRESET: return ERR_UNAVAILABLE;
    case EINVAL: return ERR_BAD_REQUEST;
    case EFBIG:
    case E2BIG:
    case ENAMETOOLONG: return ERR_TOO_LARGE;
    case ENOTSUP: return ERR_UNSUPPORTED;
    default: return ERR_IO;
    }
}

err_t why_set(why_t *why, err_t e, const char *fmt, ...) {
    if (!why) return e;
    va_list args;
    va_start(args, fmt);
    vsnprintf(why->text, sizeof why->text, fmt, args);
    va_end(args);
    return e;
}

err_t why_wrap(why_t *why, err_t e, const char *fmt, ...) {
    if (!why) return e;
    why_t inner = *why;
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(why->text, sizeof why->text, fmt, args);
    va_end(args);
    if (len >= 0 && (size_t)len < sizeof why->text)
        snprintf(why->text + len, sizeof why->text - (size_t)len, ": %s", inner.text);
    return e;
}

err_t why_errno(why_t *why, int errno_code, const char *fmt, ...) {
    err_t e = err_from_errno(errno_code);
    if (!why) return e;
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(why->text, sizeof why->text, fmt, args);
    va_end(args);
    if (len >= 0 && (size_t)len < sizeof why->text)
        snprintf(why->text + len, sizeof why->text - (size_t)len, ": %s", strerror(errno_code));
    return e;
}
