#include "tests/support/build.h"
#include "k8s/intstr.pb-c.h"
#include "k8s/meta_v1.pb-c.h"
#include "k8s/resource.pb-c.h"
#include "runtime/api/msg.h"
#include <criterion/criterion.h>
#include <strings.h>

// "namespace_" is how C spells "namespace".
static const ProtobufCFieldDescriptor *field_of(const ProtobufCMessageDescriptor *type,
                                                const char *name) {
    for (unsigned i = 0; i < type->n_fields; i++)
        if (!strcasecmp(type->fields[i].name, name)) return &type->fields[i];
    cr_assert(false, "%s has no field %s", type->name, name);
    return NULL;
}

static void set_value(arena_t *arena, void *at, const ProtobufCFieldDescriptor *f,
                      const char *value);

static void set_leaf_message(arena_t *arena, ProtobufCMessage *msg, const char *value) {
    if (msg->descriptor == &resource__quantity__descriptor) {
        ((Resource__Quantity *)msg)->string = arena_strdup(arena, value);
    } else if (msg->descriptor == &meta__time__descriptor) {
        ((Meta__Time *)msg)->has_seconds = true;
        ((Meta__Time *)msg)->seconds = strtoll(value, NULL, 10);
    } else if (msg->descriptor == &intstr__int_or_string__descriptor) {
        Intstr__IntOrString *v = (Intstr__IntOrString *)msg;
        char *end;
        v->intval = (int32_t)strtol(value, &end, 10);
        v->has_intval = v->has_type = true;
        v->type = *end != 0;
        if (*end) {
            v->intval = 0;
            v->strval = arena_strdup(arena, value);
        }
    } else {
        cr_assert(!*value, "%s is no plain value: %s", msg->descriptor->name, value);
    }
}

static void set_value(arena_t *arena, void *at, const ProtobufCFieldDescriptor *f,
                      const char *value) {
    switch (f->type) {
    case PROTOBUF_C_TYPE_STRING: *(char **)at = arena_strdup(arena, value); break;
    case PROTOBUF_C_TYPE_BOOL: *(protobuf_c_boolean *)at = streq(value, "true"); break;
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_ENUM: *(int32_t *)at = (int32_t)strtol(value, NULL, 10); break;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT64: *(int64_t *)at = strtoll(value, NULL, 10); break;
    case PROTOBUF_C_TYPE_MESSAGE: set_leaf_message(arena, *(ProtobufCMessage **)at, value); break;
    default: cr_assert(false, "%s: not a type for tests", f->name);
    }
}

static size_t size_of(const ProtobufCFieldDescriptor *f) {
    switch (f->type) {
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE: return sizeof(void *);
    case PROTOBUF_C_TYPE_BOOL: return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT64: return 8;
    default: return 4;
    }
}

// Makes the repeated field long enough and returns where item `i` stands.
static void *item_at(arena_t *arena, void *msg, const ProtobufCFieldDescriptor *f, size_t i) {
    size_t *len = (size_t *)((char *)msg + f->quantifier_offset), size = size_of(f);
    void **list = (void **)((char *)msg + f->offset);
    if (i >= *len) {
        cr_assert_eq(i, *len, "%s: items come one after the other", f->name);
        char *more = arena_alloc(arena, (i + 1) * size);
        if (i) memcpy(more, *list, i * size);
        if (f->type == PROTOBUF_C_TYPE_MESSAGE) ((void **)more)[i] = msg_new(arena, f->descriptor);
        *list = more;
        *len = i + 1;
    }
    return (char *)*list + i * size;
}

static ProtobufCMessage *entry_at(arena_t *arena, void *msg, const ProtobufCFieldDescriptor *f,
                                  const char *key) {
    size_t len = *(size_t *)((char *)msg + f->quantifier_offset);
    const ProtobufCFieldDescriptor *key_field = field_of(f->descriptor, "key");
    ProtobufCMessage **list = *(ProtobufCMessage ***)((char *)msg + f->offset);
    for (size_t i = 0; i < len; i++)
        if (streq(*(char **)((char *)list[i] + key_field->offset), key)) return list[i];
    ProtobufCMessage *entry = *(ProtobufCMessage **)item_at(arena, msg, f, len);
    *(char **)((char *)entry + key_field->offset) = arena_strdup(arena, key);
    return entry;
}

static bool is_map(const ProtobufCFieldDescriptor *f) {
    const ProtobufCMessageDescriptor *type = f->descriptor;
    return has_suffix(type->name, "Entry");
}

static void set_path(arena_t *arena, ProtobufCMessage *msg, char *path, const char *value) {
    size_t name_len = strcspn(path, ".[");
    char *rest = path + name_len, *index = NULL;
    if (*rest == '[') {
        index = rest + 1;
        rest = strchr(index, ']');
        cr_assert_not_null(rest, "%s: no ]", path);
        *rest++ = 0;
    }
    bool is_last = !*rest;
    char *next = is_last ? rest : rest + 1;
    path[name_len] = 0;
    const ProtobufCFieldDescriptor *f = field_of(msg->descriptor, path);
    void *at = (char *)msg + f->offset;
    if (f->label == PROTOBUF_C_LABEL_REPEATED && !index) {
        cr_assert(!*value, "%s: which item?", path);
        return;
    }
    if (index && f->type == PROTOBUF_C_TYPE_MESSAGE && is_map(f)) {
        msg = entry_at(arena, msg, f, index);
        f = field_of(f->descriptor, "value");
        at = (char *)msg + f->offset;
    } else if (index) {
        at = item_at(arena, msg, f, strtoul(index, NULL, 10));
    } else if (f->label == PROTOBUF_C_LABEL_OPTIONAL && f->quantifier_offset) {
        *(protobuf_c_boolean *)((char *)msg + f->quantifier_offset) = true;
    }
    if (f->type == PROTOBUF_C_TYPE_MESSAGE && !*(void **)at)
        *(void **)at = msg_new(arena, f->descriptor);
    if (is_last)
        set_value(arena, at, f, value);
    else
        set_path(arena, *(ProtobufCMessage **)at, next, value);
}

void build_into(arena_t *arena, void *msg, const char *script) {
    for (const char *at = script; *at;) {
        at += strspn(at, " ;\n");
        size_t len = strcspn(at, ";\n");
        if (!len) break;
        char *line = arena_strndup(arena, at, len);
        char *equals = strchr(line, '=');
        // A '=' inside [key] belongs to nobody: keys have none.
        const char *value = "";
        if (equals) {
            *equals = 0;
            value = equals + 1;
        }
        for (char *end = line + strlen(line); end > line && end[-1] == ' ';) *--end = 0;
        set_path(arena, msg, line, value);
        at += len;
    }
}

void *build(arena_t *arena, const ProtobufCMessageDescriptor *type, const char *script) {
    void *msg = msg_new(arena, type);
    build_into(arena, msg, script);
    return msg;
}
