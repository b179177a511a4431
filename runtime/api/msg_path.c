// Fields by path: through inlined messages, lists and maps, to the text of what stands there.
#include "runtime/api/msg_walk.h"
#include "runtime/api/special.h"
#include <inttypes.h>

const ProtobufCMessage *msg_holder(const ProtobufCMessage *msg,
                                   const ProtobufCMessageDescriptor *type, const api_field_t *row,
                                   const ProtobufCFieldDescriptor **ret_f) {
    for (size_t i = 0; i < LENGTH_OF(row->via) && row->via[i]; i++) {
        const ProtobufCFieldDescriptor *f = &type->fields[row->via[i] - 1];
        msg = msg ? FIELD_IN(msg, f->offset, ProtobufCMessage *) : NULL;
        type = f->descriptor;
    }
    *ret_f = &type->fields[row->at];
    return msg;
}

ProtobufCMessage *msg_holder_make(arena_t *arena, ProtobufCMessage *msg, const api_field_t *row,
                                  const ProtobufCFieldDescriptor **ret_f) {
    for (size_t i = 0; i < LENGTH_OF(row->via) && row->via[i]; i++) {
        const ProtobufCFieldDescriptor *f = &msg->descriptor->fields[row->via[i] - 1];
        void **slot = &FIELD_AT(msg, f->offset, void *);
        if (!*slot && !(*slot = msg_new(arena, f->descriptor))) return NULL;
        msg = *slot;
    }
    *ret_f = &msg->descriptor->fields[row->at];
    return msg;
}

static const char *value_text(arena_t *arena, const ProtobufCFieldDescriptor *f, const void *at) {
    switch (f->type) {
    case PROTOBUF_C_TYPE_STRING: return *(char *const *)at;
    case PROTOBUF_C_TYPE_BOOL: return *(const protobuf_c_boolean *)at ? "true" : "false";
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_ENUM: return arena_printf(arena, "%" PRId32, *(const int32_t *)at);
    case PROTOBUF_C_TYPE_INT64: return arena_printf(arena, "%" PRId64, *(const int64_t *)at);
    case PROTOBUF_C_TYPE_UINT32: return arena_printf(arena, "%" PRIu32, *(const uint32_t *)at);
    case PROTOBUF_C_TYPE_UINT64: return arena_printf(arena, "%" PRIu64, *(const uint64_t *)at);
    case PROTOBUF_C_TYPE_DOUBLE: return arena_printf(arena, "%.17g", *(const double *)at);
    case PROTOBUF_C_TYPE_MESSAGE: {
        const ProtobufCMessage *msg = *(ProtobufCMessage *const *)at;
        const api_type_t *type = msg ? api_type_of(msg->descriptor) : NULL;
        return type ? special_text(arena, type->special, msg) : NULL;
    }
    default: return NULL;
    }
}

typedef struct {
    const char *at;
    size_t len;
} part_t;

// The next name: up to a dot or a bracket; the separator before it is passed over.
static part_t next_name(const char **path) {
    if (**path == '.') (*path)++;
    size_t len = strcspn(*path, ".[");
    part_t part = {*path, len};
    *path += len;
    return part;
}

// "['key']", "[key]" or ".the rest"
static part_t next_key(const char **path) {
    if (**path != '[') {
        part_t part = {*path + (**path == '.'), 0};
        part.len = strlen(part.at);
        *path = part.at + part.len;
        return part;
    }
    const char *end = strchr(*path, ']');
    part_t part = {*path + 1, end ? (size_t)(end - *path - 1) : strlen(*path + 1)};
    *path = end ? end + 1 : part.at + part.len;
    if (part.len >= 2 && part.at[0] == '\'' && part.at[part.len - 1] == '\'')
        part.at++, part.len -= 2;
    return part;
}

static const ProtobufCMessage *map_entry(const ProtobufCMessage *msg,
                                         const ProtobufCFieldDescriptor *f, part_t key) {
    ProtobufCMessage *const *entries = FIELD_IN(msg, f->offset, ProtobufCMessage **);
    for (size_t i = 0; i < FIELD_IN(msg, f->quantifier_offset, size_t); i++) {
        const char *have =
            or_empty(FIELD_IN(entries[i], entries[i]->descriptor->fields[0].offset, char *));
        if (strlen(have) == key.len && memcmp(have, key.at, key.len) == 0) return entries[i];
    }
    return NULL;
}

const char *msg_text_at(arena_t *arena, const ProtobufCMessage *msg, const char *path) {
    while (msg) {
        const api_type_t *type = api_type_of(msg->descriptor);
        part_t name = next_name(&path);
        const api_field_t *row = type ? api_field_find(type, name.at, name.len, SIZE_MAX) : NULL;
        if (!row) return NULL;
        const ProtobufCFieldDescriptor *f;
        msg = msg_holder(msg, msg->descriptor, row, &f);
        if (!msg || !msg_field_is_set(api_type_of(msg->descriptor), msg, f)) return NULL;
        const char *at = (const char *)msg + f->offset;
        if (row->flags & API_MAP) {
            msg = map_entry(msg, f, next_key(&path));
            if (!msg) return NULL;
            f = &msg->descriptor->fields[1];
            at = (const char *)msg + f->offset;
        } else if (f->label == PROTOBUF_C_LABEL_REPEATED) {
            if (*path != '[') return NULL;
            char *end;
            unsigned long i = strtoul(path + 1, &end, 10);
            if (end == path + 1 || *end != ']' || i >= FIELD_IN(msg, f->quantifier_offset, size_t))
                return NULL;
            path = end + 1;
            at = *(const char *const *)at + i * msg_element_size(f);
        }
        if (!*path) return value_text(arena, f, at);
        if (f->type != PROTOBUF_C_TYPE_MESSAGE) return NULL;
        msg = *(ProtobufCMessage *const *)at;
    }
    return NULL;
}
