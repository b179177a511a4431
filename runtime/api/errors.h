// errors - what the API says when it says no: field errors as validation collects them, and
// Kubernetes' Status objects, to the letter (facts: status errors, validation).
#pragma once
#include "k8s/meta_v1.pb-c.h"
#include "runtime/base/arena.h"
#include "runtime/base/why.h"

// ---- field errors -------------------------------------------------------------------------------
typedef enum {
    FIELD_REQUIRED,
    FIELD_INVALID,
    FIELD_NOT_SUPPORTED,
    FIELD_DUPLICATE,
    FIELD_FORBIDDEN,
    FIELD_TOO_LONG,
    FIELD_TOO_MANY,
    FIELD_NOT_FOUND,
    FIELD_TYPE_INVALID,
    FIELD_INTERNAL,
} field_error_kind_t;
typedef struct {
    field_error_kind_t kind;
    const char *path;
    const char *message;
} field_error_t;
typedef struct {
    arena_t *arena;
    field_error_t *at;
    size_t len, cap;
    size_t dropped; // past FIELD_ERRORS_MAX
} field_errors_t;
enum { FIELD_ERRORS_MAX = 256 }; // further ones are counted, not kept

// A path is text in the errors' arena: field_path(e, "spec.containers[%zu].name", i).
const char *field_path(field_errors_t *e, const char *fmt, ...) PRINTF_LIKE(2, 3);
void field_required(field_errors_t *e, const char *path, const char *detail);
// `value` as it is printed: quoted for strings, bare for numbers.
void field_invalid_str(field_errors_t *e, const char *path, const char *value, const char *detail);
void field_invalid_int(field_errors_t *e, const char *path, int64_t value, const char *detail);
void field_invalid_raw(field_errors_t *e, const char *path, const char *printed,
                       const char *detail);
void field_not_supported(field_errors_t *e, const char *path, const char *value,
                         const char *const *supported); // NULL-ended, printed as given
void field_duplicate(field_errors_t *e, const char *path, const char *value);
void field_duplicate_raw(field_errors_t *e, const char *path, const char *printed);
void field_forbidden(field_errors_t *e, const char *path, const char *detail);
void field_too_long(field_errors_t *e, const char *path, int max);
void field_too_many(field_errors_t *e, const char *path, int actual, int max);
void field_not_found(field_errors_t *e, const char *path, const char *value);
void field_internal(field_errors_t *e, const char *path, const char *error);
// A string value as it is printed: in quotes, with Go's escapes.
const char *field_quoted(field_errors_t *e, const char *value);
// "spec.x: Required value: detail" – one error as it is printed.
const char *field_error_text(arena_t *arena, const field_error_t *one);

// ---- Status -------------------------------------------------------------------------------------
// Each returns a Status in the arena. `resource` is the qualified plural ("deployments.apps").
Meta__Status *status_new(arena_t *arena, int code, const char *reason, const char *message);
Meta__Status *status_not_found(arena_t *arena, const char *group, const char *plural,
                               const char *name);
Meta__Status *status_already_exists(arena_t *arena, const char *group, const char *plural,
                                    const char *name);
Meta__Status *status_conflict(arena_t *arena, const char *group, const char *plural,
                              const char *name, const char *cause);
// cause NULL: the text of a stale resourceVersion ("the object has been modified; please apply …").
Meta__Status *status_invalid(arena_t *arena, const char *group, const char *kind, const char *name,
                             const field_errors_t *errors);
Meta__Status *status_bad_request(arena_t *arena, const char *message);
Meta__Status *status_forbidden(arena_t *arena, const char *group, const char *plural,
                               const char *name, const char *cause);
Meta__Status *status_from_err(arena_t *arena, err_t err,
                              const char *why); // for errors without a text of their own
// As kubectl shows it to people: an Invalid one as `The Pod "x" is invalid: …`, one cause a line;
// any other is its message.
const char *status_text(arena_t *arena, const Meta__Status *status);
err_t status_err(const Meta__Status *status); // code and reason -> err_t
