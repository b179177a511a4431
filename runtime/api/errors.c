#include "runtime/api/errors.h"
#include "runtime/api/msg.h"
#include "runtime/base/text.h"

// ---- field errors -------------------------------------------------------------------------------
static const struct {
    const char *reason; // Status.details.causes[].reason
    const char *text;   // how the printed error begins
    bool has_value;     // the offending value stands between the text and the detail
} kinds[] = {
    [FIELD_REQUIRED] = {"FieldValueRequired", "Required value", false},
    [FIELD_INVALID] = {"FieldValueInvalid", "Invalid value", true},
    [FIELD_NOT_SUPPORTED] = {"FieldValueNotSupported", "Unsupported value", true},
    [FIELD_DUPLICATE] = {"FieldValueDuplicate", "Duplicate value", true},
    [FIELD_FORBIDDEN] = {"FieldValueForbidden", "Forbidden", false},
    [FIELD_TOO_LONG] = {"FieldValueTooLong", "Too long", false},
    [FIELD_TOO_MANY] = {"FieldValueTooMany", "Too many", true},
    [FIELD_NOT_FOUND] = {"FieldValueNotFound", "Not found", true},
    [FIELD_TYPE_INVALID] = {"FieldValueTypeInvalid", "Invalid value", true},
    [FIELD_INTERNAL] = {"InternalError", "Internal error", false},
};

// A string as Go's %q prints it; bytes of UTF-8 sequences pass as they are.
static void add_quoted(text_t *out, const char *s) {
    text_addc(out, '"');
    for (const unsigned char *p = (const unsigned char *)or_empty(s); *p; p++) {
        switch (*p) {
        case '"': text_add(out, "\\\""); break;
        case '\\': text_add(out, "\\\\"); break;
        case '\a': text_add(out, "\\a"); break;
        case '\b': text_add(out, "\\b"); break;
        case '\f': text_add(out, "\\f"); break;
        case '\n': text_add(out, "\\n"); break;
        case '\r': text_add(out, "\\r"); break;
        case '\t': text_add(out, "\\t"); break;
        case '\v': text_add(out, "\\v"); break;
        default:
            if (*p < 0x20 || *p == 0x7f)
                text_addf(out, "\\x%02x", *p);
            else
                text_addc(out, (char)*p);
        }
    }
    text_addc(out, '"');
}

const char *field_quoted(field_errors_t *e, const char *value) {
    text_t out = {.arena = e->arena};
    add_quoted(&out, value);
    return text_str(&out);
}

const char *field_path(field_errors_t *e, const char *fmt, ...) {
    text_t out = {.arena = e->arena};
    va_list args;
    va_start(args, fmt);
    text_addv(&out, fmt, args);
    va_end(args);
    return text_str(&out);
}

// `value` is printed already, or NULL for the kinds that show none.
static void add_error(field_errors_t *e, field_error_kind_t kind, const char *path,
                      const char *value, const char *detail) {
    assert(e->arena && path);
    if (e->len >= FIELD_ERRORS_MAX) {
        e->dropped++;
        return;
    }
    if (e->len == e->cap) {
        size_t cap = e->cap ? e->cap * 2 : 8;
        field_error_t *at = ARENA_ARRAY(e->arena, field_error_t, cap);
        if (!at) {
            e->dropped++;
            return;
        }
        if (e->len) memcpy(at, e->at, e->len * sizeof *at);
        e->at = at;
        e->cap = cap;
    }
    text_t message = {.arena = e->arena};
    text_add(&message, kinds[kind].text);
    if (kinds[kind].has_value) text_addf(&message, ": %s", or_empty(value));
    if (!is_empty(detail)) text_addf(&message, ": %s", detail);
    e->at[e->len++] = (field_error_t){kind, path, text_str(&message)};
}

void field_required(field_errors_t *e, const char *path, const char *detail) {
    add_error(e, FIELD_REQUIRED, path, NULL, detail);
}

void field_invalid_str(field_errors_t *e, const char *path, const char *value, const char *detail) {
    add_error(e, FIELD_INVALID, path, field_quoted(e, value), detail);
}

void field_invalid_int(field_errors_t *e, const char *path, int64_t value, const char *detail) {
    add_error(e, FIELD_INVALID, path, arena_printf(e->arena, "%lld", (long long)value), detail);
}

void field_invalid_raw(field_errors_t *e, const char *path, const char *printed,
                       const char *detail) {
    add_error(e, FIELD_INVALID, path, printed, detail);
}

void field_not_supported(field_errors_t *e, const char *path, const char *value,
                         const char *const *supported) {
    text_t detail = {.arena = e->arena};
    for (size_t i = 0; supported[i]; i++) {
        text_add(&detail, i ? ", " : "supported values: ");
        add_quoted(&detail, supported[i]);
    }
    add_error(e, FIELD_NOT_SUPPORTED, path, field_quoted(e, value), text_str(&detail));
}

void field_duplicate(field_errors_t *e, const char *path, const char *value) {
    add_error(e, FIELD_DUPLICATE, path, field_quoted(e, value), NULL);
}

void field_duplicate_raw(field_errors_t *e, const char *path, const char *printed) {
    add_error(e, FIELD_DUPLICATE, path, printed, NULL);
}

void field_forbidden(field_errors_t *e, const char *path, const char *detail) {
    add_error(e, FIELD_FORBIDDEN, path, NULL, detail);
}

void field_too_long(field_errors_t *e, const char *path, int max) {
    add_error(e, FIELD_TOO_LONG, path, NULL,
              arena_printf(e->arena, "may not be more than %d bytes", max));
}

void field_too_many(field_errors_t *e, const char *path, int actual, int max) {
    add_error(e, FIELD_TOO_MANY, path, arena_printf(e->arena, "%d", actual),
              arena_printf(e->arena, "must have at most %d items", max));
}

void field_not_found(field_errors_t *e, const char *path, const char *value) {
    add_error(e, FIELD_NOT_FOUND, path, field_quoted(e, value), NULL);
}

void field_internal(field_errors_t *e, const char *path, const char *error) {
    add_error(e, FIELD_INTERNAL, path, NULL, error);
}

const char *field_error_text(arena_t *arena, const field_error_t *one) {
    text_t out = {.arena = arena};
    text_addf(&out, "%s: %s", one->path, one->message);
    return text_str(&out);
}

// ---- Status -------------------------------------------------------------------------------------
Meta__Status *status_new(arena_t *arena, int code, const char *reason, const char *message) {
    Meta__Status *status = MSG_NEW(arena, Meta__Status, meta__status__descriptor);
    status->metadata = MSG_NEW(arena, Meta__ListMeta, meta__list_meta__descriptor);
    status->status = arena_strdup(arena, code < 400 ? "Success" : "Failure");
    status->message = arena_strdup(arena, or_empty(message));
    status->reason = arena_strdup(arena, or_empty(reason));
    status->has_code = true;
    status->code = code;
    return status;
}

static Meta__StatusDetails *add_details(arena_t *arena, Meta__Status *status, const char *group,
                                        const char *kind, const char *name) {
    Meta__StatusDetails *details =
        MSG_NEW(arena, Meta__StatusDetails, meta__status_details__descriptor);
    details->name = arena_strdup(arena, or_empty(name));
    details->group = arena_strdup(arena, or_empty(group));
    details->kind = arena_strdup(arena, or_empty(kind));
    status->details = details;
    return details;
}

// "deployments.apps", or the bare plural for the core group.
static const char *qualified(arena_t *arena, const char *group, const char *plural) {
    return is_empty(group) ? plural : arena_printf(arena, "%s.%s", plural, group);
}

Meta__Status *status_not_found(arena_t *arena, const char *group, const char *plural,
                               const char *name) {
    const char *message =
        arena_printf(arena, "%s \"%s\" not found", qualified(arena, group, plural), or_empty(name));
    Meta__Status *status = status_new(arena, 404, "NotFound", message);
    add_details(arena, status, group, plural, name);
    return status;
}

Meta__Status *status_already_exists(arena_t *arena, const char *group, const char *plural,
                                    const char *name) {
    const char *message = arena_printf(arena, "%s \"%s\" already exists",
                                       qualified(arena, group, plural), or_empty(name));
    Meta__Status *status = status_new(arena, 409, "AlreadyExists", message);
    add_details(arena, status, group, plural, name);
    return status;
}

Meta__Status *status_conflict(arena_t *arena, const char *group, const char *plural,
                              const char *name, const char *cause) {
    if (!cause)
        cause = "the object has been modified; please apply your changes to the latest version and "
                "try again";
    const char *message = arena_printf(arena, "Operation cannot be fulfilled on %s \"%s\": %s",
                                       qualified(arena, group, plural), or_empty(name), cause);
    Meta__Status *status = status_new(arena, 409, "Conflict", message);
    add_details(arena, status, group, plural, name);
    return status;
}

// Equal texts are told once: has one of the first `i` errors said the same?
static bool was_said(const field_errors_t *errors, size_t i) {
    for (size_t j = 0; j < i; j++)
        if (streq(errors->at[j].path, errors->at[i].path) &&
            streq(errors->at[j].message, errors->at[i].message))
            return true;
    return false;
}

static const char *all_errors_text(arena_t *arena, const field_errors_t *errors) {
    text_t out = {.arena = arena};
    size_t told = 0;
    for (size_t i = 0; i < errors->len; i++) {
        if (was_said(errors, i)) continue;
        if (told++) text_add(&out, ", ");
        text_addf(&out, "%s: %s", errors->at[i].path, errors->at[i].message);
    }
    return told > 1 ? arena_printf(arena, "[%s]", text_str(&out)) : text_str(&out);
}

Meta__Status *status_invalid(arena_t *arena, const char *group, const char *kind, const char *name,
                             const field_errors_t *errors) {
    assert(errors->len > 0);
    const char *message =
        arena_printf(arena, "%s \"%s\" is invalid: %s", qualified(arena, group, kind),
                     or_empty(name), all_errors_text(arena, errors));
    Meta__Status *status = status_new(arena, 422, "Invalid", message);
    Meta__StatusDetails *details = add_details(arena, status, group, kind, name);
    details->causes = ARENA_ARRAY(arena, Meta__StatusCause *, errors->len);
    for (size_t i = 0; i < errors->len; i++) {
        Meta__StatusCause *cause =
            MSG_NEW(arena, Meta__StatusCause, meta__status_cause__descriptor);
        cause->reason = arena_strdup(arena, kinds[errors->at[i].kind].reason);
        cause->message = arena_strdup(arena, errors->at[i].message);
        cause->field = arena_strdup(arena, errors->at[i].path);
        details->causes[details->n_causes++] = cause;
    }
    return status;
}

Meta__Status *status_bad_request(arena_t *arena, const char *message) {
    return status_new(arena, 400, "BadRequest", message);
}

Meta__Status *status_forbidden(arena_t *arena, const char *group, const char *plural,
                               const char *name, const char *cause) {
    const char *resource = qualified(arena, group, plural);
    const char *message =
        is_empty(name) ? arena_printf(arena, "%s is forbidden: %s", resource, cause)
                       : arena_printf(arena, "%s \"%s\" is forbidden: %s", resource, name, cause);
    Meta__Status *status = status_new(arena, 403, "Forbidden", message);
    add_details(arena, status, group, plural, name);
    return status;
}

// How Kubernetes begins the message of each reason that carries a foreign text.
static const char *message_of(arena_t *arena, err_t err, const char *why) {
    switch (err) {
    case ERR_INTERNAL:
    case ERR_IO:
    case ERR_CORRUPT:
    case ERR_EXHAUSTED:
    case ERR_DISK_FULL: return arena_printf(arena, "Internal error occurred: %s", why);
    case ERR_TIMEOUT:
    case ERR_FUTURE_REVISION: return arena_printf(arena, "Timeout: %s", why);
    case ERR_TOO_LARGE: return arena_printf(arena, "Request entity too large: %s", why);
    default: return why;
    }
}

Meta__Status *status_from_err(arena_t *arena, err_t err, const char *why) {
    assert(err != ERR_OK);
    const char *text = is_empty(why) ? err_text(err) : why;
    Meta__Status *status =
        status_new(arena, err_http(err), err_reason(err), message_of(arena, err, text));
    if (err_is_retryable(err)) {
        Meta__StatusDetails *details = add_details(arena, status, NULL, NULL, NULL);
        details->has_retryafterseconds = true;
        details->retryafterseconds = 1;
    }
    return status;
}

static bool was_cause(const Meta__StatusDetails *details, size_t i) {
    for (size_t j = 0; j < i; j++)
        if (streq(or_empty(details->causes[j]->field), or_empty(details->causes[i]->field)) &&
            streq(or_empty(details->causes[j]->message), or_empty(details->causes[i]->message)))
            return true;
    return false;
}

const char *status_text(arena_t *arena, const Meta__Status *status) {
    const Meta__StatusDetails *details = status->details;
    if (!streq(or_empty(status->reason), "Invalid") || !details || !details->n_causes)
        return or_empty(status->message);
    size_t count = 0;
    for (size_t i = 0; i < details->n_causes; i++) count += !was_cause(details, i);
    text_t out = {.arena = arena};
    if (is_empty(details->kind) && is_empty(details->name))
        text_add(&out, "The request is invalid: ");
    else
        text_addf(&out, "The %s \"%s\" is invalid: ", or_empty(details->kind),
                  or_empty(details->name));
    for (size_t i = 0; i < details->n_causes; i++) {
        const Meta__StatusCause *cause = details->causes[i];
        if (was_cause(details, i)) continue;
        text_addf(&out, "%s%s: %s", count > 1 ? "\n* " : "", or_empty(cause->field),
                  or_empty(cause->message));
    }
    return text_str(&out);
}

err_t status_err(const Meta__Status *status) {
    if (status->code < 400 && !streq(or_empty(status->status), "Failure")) return ERR_OK;
    // Several errors share a reason; the first row of the table that bears it is the general one,
    // except where the code tells them apart.
    const char *reason = or_empty(status->reason);
    if (*reason) {
        if (streq(reason, "BadRequest")) return ERR_BAD_REQUEST;
        if (streq(reason, "Timeout") || streq(reason, "ServerTimeout")) return ERR_TIMEOUT;
        if (streq(reason, "Gone")) return ERR_EXPIRED;
        for (err_t e = ERR_OK + 1; e < ERR_MAX; e++)
            if (streq(reason, err_reason(e))) return e;
    }
    for (err_t e = ERR_OK + 1; e < ERR_MAX; e++)
        if (err_http(e) == status->code) return e;
    return ERR_INTERNAL;
}
