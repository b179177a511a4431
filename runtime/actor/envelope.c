#include "runtime/actor/envelope.h"
#include "runtime/actor/kit.h"
#include "runtime/base/hash.h"

static name_t *name_of(const char *text, size_t len) {
    name_t *name = mem_resize(NULL, sizeof *name + len + 1);
    const char *slash = memchr(text, '/', len);
    atomic_init(&name->refs, 1);
    name->hash = hash_fnv32a(text, len);
    name->len = (uint16_t)len;
    name->role_len = (uint16_t)(slash ? slash - text : (ptrdiff_t)len);
    memcpy(name->text, text, len);
    name->text[len] = 0;
    return name;
}

name_t *name_new(const char *text) {
    size_t len = strlen(text);
    assert(len <= UINT16_MAX);
    return name_of(text, len);
}

name_t *name_cut(const char *text) { return name_of(text, strnlen(text, ADDRESS_MAX)); }

name_t *name_ref(name_t *name) {
    if (name) atomic_fetch_add_explicit(&name->refs, 1, memory_order_relaxed);
    return name;
}

void name_unref(name_t **name) {
    name_t *old = x_steal(name);
    if (old && atomic_fetch_sub_explicit(&old->refs, 1, memory_order_acq_rel) == 1) free(old);
}

bool name_eq(const name_t *a, const name_t *b) {
    return a == b || (a && b && a->len == b->len && memcmp(a->text, b->text, a->len) == 0);
}

envelope_t *envelope_new(void) { return NEW(envelope_t); }

void envelope_destroy(envelope_t **env) {
    envelope_t *old = x_steal(env);
    if (!old) return;
    name_unref(&old->to);
    name_unref(&old->from);
    name_unref(&old->via);
    name_unref(&old->principal);
    name_unref(&old->type_name);
    blob_unref(&old->body);
    free(old);
}

envelope_t *envelope_dup(const envelope_t *env) {
    envelope_t *copy = envelope_new();
    *copy = *env;
    copy->next = NULL;
    name_ref(copy->to);
    name_ref(copy->from);
    name_ref(copy->via);
    name_ref(copy->principal);
    name_ref(copy->type_name);
    blob_ref(copy->body);
    return copy;
}
