#include "runtime/api/kinds/fill.h"
#include "k8s/core_v1.pb-c.h"

// ---- by name ------------------------------------------------------------------------------------
static const ProtobufCFieldDescriptor *field_of(const void *msg, const char *name) {
    const ProtobufCMessage *m = msg;
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(m->descriptor, name);
    assert(field && field->label != PROTOBUF_C_LABEL_REPEATED);
    return field;
}

static void *slot_of(const void *msg, const ProtobufCFieldDescriptor *field) {
    return (char *)msg + field->offset;
}

static protobuf_c_boolean *has_of(const void *msg, const ProtobufCFieldDescriptor *field) {
    return (protobuf_c_boolean *)((char *)msg + field->quantifier_offset);
}

static bool is_pointer(const ProtobufCFieldDescriptor *field) {
    return field->type == PROTOBUF_C_TYPE_MESSAGE || field->type == PROTOBUF_C_TYPE_STRING;
}

bool field_is_set(const void *msg, const char *name) {
    const ProtobufCFieldDescriptor *field = field_of(msg, name);
    return is_pointer(field) ? *(void **)slot_of(msg, field) != NULL : *has_of(msg, field);
}

void *field_message(const void *msg, const char *name) {
    if (!msg) return NULL;
    const ProtobufCFieldDescriptor *field = field_of(msg, name);
    assert(field->type == PROTOBUF_C_TYPE_MESSAGE);
    return *(void **)slot_of(msg, field);
}

void field_set_message(void *msg, const char *name, void *child) {
    const ProtobufCFieldDescriptor *field = field_of(msg, name);
    assert(field->type == PROTOBUF_C_TYPE_MESSAGE);
    assert(!child || ((ProtobufCMessage *)child)->descriptor == field->descriptor);
    *(void **)slot_of(msg, field) = child;
}

void *fill_message(arena_t *arena, void *msg, const char *name) {
    const ProtobufCFieldDescriptor *field = field_of(msg, name);
    assert(field->type == PROTOBUF_C_TYPE_MESSAGE);
    void **slot = slot_of(msg, field);
    if (!*slot) *slot = msg_new(arena, field->descriptor);
    return *slot;
}

int64_t field_int(const void *msg, const char *name) {
    const ProtobufCFieldDescriptor *field = field_of(msg, name);
    if (field->type == PROTOBUF_C_TYPE_INT64) return *(int64_t *)slot_of(msg, field);
    assert(field->type == PROTOBUF_C_TYPE_INT32);
    return *(int32_t *)slot_of(msg, field);
}

void field_set_int(void *msg, const char *name, int64_t value) {
    const ProtobufCFieldDescriptor *field = field_of(msg, name);
    assert(field->type == PROTOBUF_C_TYPE_INT32 || field->type == PROTOBUF_C_TYPE_INT64);
    *has_of(msg, field) = true;
    if (field->type == PROTOBUF_C_TYPE_INT64)
        *(int64_t *)slot_of(msg, field) = value;
    else
        *(int32_t *)slot_of(msg, field) = (int32_t)value;
}

void fill_int(void *msg, const char *name, int64_t value) {
    if (!field_is_set(msg, name)) field_set_int(msg, name, value);
}

const char *field_str(const void *msg, const char *name) {
    const ProtobufCFieldDescriptor *field = field_of(msg, name);
    assert(field->type == PROTOBUF_C_TYPE_STRING);
    return or_empty(*(const char **)slot_of(msg, field));
}

void fill_str(void *msg, const char *name, const char *value) {
    const ProtobufCFieldDescriptor *field = field_of(msg, name);
    assert(field->type == PROTOBUF_C_TYPE_STRING);
    FILL_STR(*(const char **)slot_of(msg, field), value);
}

// ---- values -------------------------------------------------------------------------------------
Intstr__IntOrString *intstr_int(arena_t *arena, int32_t value) {
    Intstr__IntOrString *v = MSG_NEW(arena, Intstr__IntOrString, intstr__int_or_string__descriptor);
    SET_NUM(v, type, 0);
    SET_NUM(v, intval, value);
    return v;
}

Intstr__IntOrString *intstr_str(arena_t *arena, const char *text) {
    Intstr__IntOrString *v = MSG_NEW(arena, Intstr__IntOrString, intstr__int_or_string__descriptor);
    SET_NUM(v, type, 1);
    v->strval = arena_strdup(arena, text);
    return v;
}

const char *intstr_text(arena_t *arena, const Intstr__IntOrString *v) {
    if (!v) return "0";
    return intstr_is_str(v) ? or_empty(v->strval) : arena_printf(arena, "%d", v->intval);
}

static_assert(sizeof(str_entry_t) == sizeof(Core__PodSpec__NodeSelectorEntry), "one shape");
static_assert(offsetof(str_entry_t, value) == offsetof(Core__PodSpec__NodeSelectorEntry, value),
              "one shape");
static_assert(sizeof(quantity_entry_t) == sizeof(Core__ResourceRequirements__LimitsEntry),
              "one shape");
static_assert(offsetof(quantity_entry_t, value) ==
                  offsetof(Core__ResourceRequirements__LimitsEntry, value),
              "one shape");

// Entries are sorted, as every map from outside is; a short list built by hand need not be.
enum { ENTRIES_WALKED_MAX = 16 };

static size_t entry_find(const void *entries, size_t len, const char *key) {
    str_entry_t *const *at = entries; // both shapes begin alike
    size_t low = 0, high = len;
    while (high - low > ENTRIES_WALKED_MAX) {
        size_t middle = (low + high) / 2;
        if (strcmp(or_empty(at[middle]->key), key) <= 0)
            low = middle;
        else
            high = middle;
    }
    while (low < high && !streq(or_empty(at[low]->key), key)) low++;
    return low < high ? low : SIZE_MAX;
}

const char *str_entry_find(const void *entries, size_t len, const char *key) {
    size_t i = entry_find(entries, len, key);
    return i == SIZE_MAX ? NULL : or_empty(((str_entry_t *const *)entries)[i]->value);
}

const char *quantity_entry_find(const void *entries, size_t len, const char *key) {
    size_t i = entry_find(entries, len, key);
    if (i == SIZE_MAX) return NULL;
    const Resource__Quantity *value = ((quantity_entry_t *const *)entries)[i]->value;
    return value ? or_empty(value->string) : "0";
}
