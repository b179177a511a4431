// errors - texts to the letter.
#include "runtime/api/errors.h"
#include "support/leaks.h"

static field_errors_t three_errors(arena_t *arena) {
    field_errors_t e = {.arena = arena};
    field_required(&e, field_path(&e, "spec.containers[%d].image", 0), NULL);
    field_invalid_int(&e, "spec.ports[0].port", 70000, "must be between 1 and 65535, inclusive");
    field_required(&e, "spec.containers[0].image", NULL);
    return e;
}

Test(errors, each_kind_prints_as_kubernetes_prints_it)
{
    arena_t arena = {0};
    field_errors_t e = {.arena = &arena};
    static const char *const policies[] = {"Always", "OnFailure", "Never", NULL};
    field_required(&e, "a", "why");
    field_invalid_str(&e, "b", "x\"\n", "must be fine");
    field_invalid_int(&e, "c", -1, NULL);
    field_invalid_raw(&e, "d", "null", "field is immutable");
    field_not_supported(&e, "spec.restartPolicy", "Sometimes", policies);
    field_duplicate(&e, "f", "n");
    field_forbidden(&e, "g", "no");
    field_too_long(&e, "h", 63);
    field_too_many(&e, "i", 5, 3);
    field_not_found(&e, "j", "vol");
    field_internal(&e, "k", "boom");
    static const char *const want[] = {
        "a: Required value: why",
        "b: Invalid value: \"x\\\"\\n\": must be fine",
        "c: Invalid value: -1",
        "d: Invalid value: null: field is immutable",
        "spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", "
        "\"OnFailure\", \"Never\"",
        "f: Duplicate value: \"n\"",
        "g: Forbidden: no",
        "h: Too long: may not be more than 63 bytes",
        "i: Too many: 5: must have at most 3 items",
        "j: Not found: \"vol\"",
        "k: Internal error: boom",
    };
    cr_assert_eq(e.len, LENGTH_OF(want));
    for (size_t i = 0; i < e.len; i++)
        cr_assert_str_eq(field_error_text(&arena, &e.at[i]), want[i]);
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

Test(errors, invalid_tells_equal_texts_once_and_keeps_every_cause)
{
    arena_t arena = {0};
    field_errors_t e = three_errors(&arena);
    Meta__Status *s = status_invalid(&arena, "", "Pod", "x", &e);
    cr_assert_str_eq(s->message,
                     "Pod \"x\" is invalid: [spec.containers[0].image: Required value, "
                     "spec.ports[0].port: Invalid value: 70000: must be between 1 and 65535, "
                     "inclusive]");
    cr_assert_eq(s->code, 422);
    cr_assert_eq(s->details->n_causes, 3);
    cr_assert_str_eq(s->details->causes[1]->reason, "FieldValueInvalid");
    cr_assert_str_eq(s->details->causes[1]->field, "spec.ports[0].port");
    cr_assert_str_eq(s->details->kind, "Pod");
    e.len = 1;
    s = status_invalid(&arena, "apps", "Deployment", "d", &e);
    cr_assert_str_eq(s->message, "Deployment.apps \"d\" is invalid: spec.containers[0].image: "
                                 "Required value");
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

Test(errors, people_read_an_invalid_status_cause_by_cause)
{
    arena_t arena = {0};
    field_errors_t e = three_errors(&arena);
    cr_assert_str_eq(status_text(&arena, status_invalid(&arena, "apps", "Deployment", "d", &e)),
                     "The Deployment \"d\" is invalid: \n"
                     "* spec.containers[0].image: Required value\n"
                     "* spec.ports[0].port: Invalid value: 70000: must be between 1 and 65535, "
                     "inclusive");
    e.len = 1;
    cr_assert_str_eq(status_text(&arena, status_invalid(&arena, "", "Pod", "x", &e)),
                     "The Pod \"x\" is invalid: spec.containers[0].image: Required value");
    cr_assert_str_eq(status_text(&arena, status_not_found(&arena, "", "pods", "x")),
                     "pods \"x\" not found");
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

Test(errors, statuses_say_what_clients_grep_for)
{
    arena_t arena = {0};
    cr_assert_str_eq(status_not_found(&arena, "apps", "deployments", "x")->message,
                     "deployments.apps \"x\" not found");
    cr_assert_str_eq(status_already_exists(&arena, "", "pods", "a")->message,
                     "pods \"a\" already exists");
    cr_assert_str_eq(status_conflict(&arena, "", "configmaps", "c", NULL)->message,
                     "Operation cannot be fulfilled on configmaps \"c\": the object has been "
                     "modified; please apply your changes to the latest version and try again");
    cr_assert_str_eq(status_forbidden(&arena, "", "pods", "", "no")->message,
                     "pods is forbidden: no");
    cr_assert_str_eq(status_forbidden(&arena, "", "namespaces", "default",
                                      "this namespace may not be deleted")
                         ->message,
                     "namespaces \"default\" is forbidden: this namespace may not be deleted");
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

Test(errors, a_status_reads_back_as_its_error)
{
    arena_t arena = {0};
    static const err_t plain[] = {ERR_NOT_FOUND, ERR_EXISTS,    ERR_CONFLICT,   ERR_INVALID,
                                  ERR_FORBIDDEN, ERR_EXPIRED,   ERR_OVERLOADED, ERR_TIMEOUT,
                                  ERR_INTERNAL,  ERR_TOO_LARGE, ERR_UNAVAILABLE};
    for (size_t i = 0; i < LENGTH_OF(plain); i++)
        cr_assert_eq(status_err(status_from_err(&arena, plain[i], "x")), plain[i], "%s",
                     err_name(plain[i]));
    cr_assert_eq(status_err(status_bad_request(&arena, "x")), ERR_BAD_REQUEST);
    cr_assert_eq(status_err(status_new(&arena, 200, "", "")), ERR_OK);
    cr_assert_eq(status_err(status_new(&arena, 500, "", "odd")), ERR_INTERNAL);
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

Test(errors, past_the_limit_errors_are_counted_not_kept)
{
    arena_t arena = {0};
    field_errors_t e = {.arena = &arena};
    for (int i = 0; i < FIELD_ERRORS_MAX + 5; i++) field_required(&e, "x", NULL);
    cr_assert_eq(e.len, FIELD_ERRORS_MAX);
    cr_assert_eq(e.dropped, 5);
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}
