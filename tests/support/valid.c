#include "tests/support/valid.h"
#include "runtime/api/codec.h"
#include "runtime/api/patch.h"
#include <criterion/criterion.h>

ProtobufCMessage *valid_object(arena_t *arena, const char *yaml) {
    manifests_t manifests;
    why_t why = {{0}};
    err_t err = manifests_read(arena, "test", yaml, strlen(yaml), true, &manifests, &why);
    cr_assert_eq(err, ERR_OK, "%s", why.text);
    cr_assert_eq(manifests.len, 1);
    const kind_t *k = manifests.at[0].kind;
    ProtobufCMessage *obj = manifests.at[0].obj;
    if (k->namespaced && is_empty(object_meta(arena, obj)->namespace_))
        object_meta(arena, obj)->namespace_ = "default";
    if (k->defaults) k->defaults(arena, obj);
    return k->to_stored ? k->to_stored(arena, obj) : obj;
}

static ProtobufCMessage *patched(arena_t *arena, const kind_t *k, const ProtobufCMessage *obj,
                                 const char *patch) {
    if (!patch) return msg_dup(arena, obj);
    ProtobufCMessage *next;
    why_t why = {{0}};
    err_t err = patch_strategic(arena, k, obj, bytes_of_str(patch), &next, &why);
    cr_assert_eq(err, ERR_OK, "%s: %s", patch, why.text);
    if (k->defaults) k->defaults(arena, next);
    return next;
}

static void check_texts(const field_errors_t *errors, const valid_row_t *row) {
    text_t got = {.arena = errors->arena};
    for (size_t i = 0; i < errors->len; i++)
        text_addf(&got, "%s%s", i ? "\n" : "", field_error_text(errors->arena, &errors->at[i]));
    cr_expect_str_eq(text_str(&got), row->want, "%s\n  got:  %s\n  want: %s",
                     row->patch ? row->patch : "(as it is)", text_str(&got), row->want);
}

void valid_check_create(const char *good, const valid_row_t *rows, size_t len) {
    for (size_t i = 0; i < len; i++) {
        arena_t arena = {0};
        ProtobufCMessage *obj = valid_object(&arena, good);
        const kind_t *k = kind_of(obj);
        obj = patched(&arena, k, obj, rows[i].patch);
        k->prepare_create(&arena, obj);
        field_errors_t errors = {.arena = &arena};
        k->validate(obj, NULL, &errors);
        check_texts(&errors, &rows[i]);
        arena_done(&arena);
    }
}

void valid_check_update(const char *good, const valid_row_t *rows, size_t len, bool status) {
    for (size_t i = 0; i < len; i++) {
        arena_t arena = {0};
        ProtobufCMessage *old = valid_object(&arena, good);
        const kind_t *k = kind_of(old);
        k->prepare_create(&arena, old);
        object_meta(&arena, old)->resourceversion = "7";
        ProtobufCMessage *next = patched(&arena, k, old, rows[i].patch);
        if (status && k->prepare_status)
            k->prepare_status(&arena, next, old);
        else
            k->prepare_update(&arena, next, old);
        field_errors_t errors = {.arena = &arena};
        (status ? k->validate_status : k->validate)(next, old, &errors);
        check_texts(&errors, &rows[i]);
        arena_done(&arena);
    }
}
