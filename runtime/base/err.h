// err - what went wrong, as one word from one table.
//
// Every function that can fail returns err_t; at module borders it also fills an optional why_t
// (why.h) with a sentence for people. The table gives each error its text, whether trying again
// may help, the HTTP status and Kubernetes reason it answers with, and a command's exit code.
#pragma once
#include "runtime/base/check.h"

//      name               text                            retry  http reason                exit
#define ERR_LIST(X)                                                                      \
    X(OK, "ok", false, 200, "", 0)                                                       \
    X(INTERNAL, "internal error", false, 500, "InternalError", 1)                        \
    X(MALFORMED, "malformed input", false, 400, "BadRequest", 1)                         \
    X(BAD_REQUEST, "bad request", false, 400, "BadRequest", 1)                           \
    X(INVALID, "invalid", false, 422, "Invalid", 1)                                      \
    X(UNAUTHENTICATED, "not authenticated", false, 401, "Unauthorized", 1)               \
    X(FORBIDDEN, "forbidden", false, 403, "Forbidden", 1)                                \
    X(NOT_FOUND, "not found", false, 404, "NotFound", 1)                                 \
    X(NOT_ALLOWED, "method not allowed", false, 405, "MethodNotAllowed", 1)              \
    X(EXISTS, "already exists", false, 409, "AlreadyExists", 1)                          \
    X(CONFLICT, "conflict", false, 409, "Conflict", 1)                                   \
    X(EXPIRED, "expired", false, 410, "Expired", 1)                                      \
    X(COMPACTED, "revision is compacted", false, 410, "Expired", 1)                      \
    X(FUTURE_REVISION, "revision is in the future", true, 504, "Timeout", 1)             \
    X(TOO_LARGE, "size limit exceeded", false, 413, "RequestEntityTooLarge", 1)          \
    X(OVERLOADED, "too many requests, try again later", true, 429, "TooManyRequests", 1) \
    X(UNSUPPORTED, "not supported", false, 415, "UnsupportedMediaType", 1)               \
    X(TIMEOUT, "timed out", true, 504, "Timeout", 1)                                     \
    X(UNAVAILABLE, "peer not reachable", true, 503, "ServiceUnavailable", 1)             \
    X(NOT_LEADER, "not the leader", true, 503, "ServiceUnavailable", 1)                  \
    X(DEPOSED, "epoch is no longer current", false, 409, "Conflict", 1)                  \
    X(CANCELLED, "cancelled", false, 499, "", 1)                                         \
    X(UNHANDLED, "no handler for this message", false, 501, "MethodNotAllowed", 1)       \
    X(GAP, "stream lost a chunk", true, 503, "ServiceUnavailable", 1)                    \
    X(DISK_FULL, "disk full", true, 507, "InternalError", 1)                             \
    X(IO, "input/output error", false, 500, "InternalError", 1)                          \
    X(CORRUPT, "data is corrupt", false, 500, "InternalError", 1)                        \
    X(PERMISSION, "permission denied", false, 403, "Forbidden", 1)                       \
    X(USAGE, "usage error", false, 400, "BadRequest", 1)                                 \
    X(EXHAUSTED, "no free value left", false, 500, "InternalError", 1)

#define ERR_ENUM(name, text, retry, http, reason, exit_code) ERR_##name,
typedef enum { ERR_LIST(ERR_ENUM) ERR_MAX } err_t;

const char *err_name(err_t e); // "NOT_FOUND"
const char *err_text(err_t e); // "not found"
bool err_is_retryable(err_t e);
int err_http(err_t e);
const char *err_reason(err_t e); // Kubernetes' Status.reason; "" when it has none
int err_exit_code(err_t e);
err_t err_from_errno(int code); // errno -> the closest row
