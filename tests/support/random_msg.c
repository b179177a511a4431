#include "tests/support/random_msg.h"

enum { DEPTH_MAX = 8, LIST_MAX = 3 };

static const char *const words[] = {
    "",
    "a",
    "web",
    "web-1",
    "A",
    "a.b",
    "a/b",
    "default",
    "Always",
    "Never",
    "OnFailure",
    "True",
    "Running",
    "Succeeded",
    "Exists",
    "In",
    "Equal",
    "NoExecute",
    "TCP",
    "NodePort",
    "ClusterIP",
    "LoadBalancer",
    "ExternalName",
    "None",
    "IPv4",
    "IPv6",
    "10.0.0.1",
    "fd00::1",
    "10.0.0.0/8",
    "25%",
    "100%",
    "0",
    "1",
    "500m",
    "1Gi",
    "cpu",
    "memory",
    "RollingUpdate",
    "Recreate",
    "Local",
    "../x",
    "/etc",
    "kubernetes",
    "x y",
    "metadata.labels['a']",
    "Localhost",
    "ClientIP",
    "Ready",
    "FQDN",
};

static const char *random_word(rng_t *rng) { return words[rng_below(rng, LENGTH_OF(words))]; }

static void *random_at(arena_t *arena, rng_t *rng, const ProtobufCMessageDescriptor *type,
                       double density, int depth);

static size_t size_of(const ProtobufCFieldDescriptor *f) {
    switch (f->type) {
    case PROTOBUF_C_TYPE_MESSAGE:
    case PROTOBUF_C_TYPE_STRING: return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES: return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_BOOL: return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_DOUBLE: return sizeof(int64_t);
    default: return sizeof(int32_t);
    }
}

static void put(arena_t *arena, rng_t *rng, const ProtobufCFieldDescriptor *f, void *slot,
                double density, int depth) {
    switch (f->type) {
    case PROTOBUF_C_TYPE_MESSAGE:
        *(void **)slot = random_at(arena, rng, f->descriptor, density, depth + 1);
        break;
    case PROTOBUF_C_TYPE_STRING: *(const char **)slot = random_word(rng); break;
    case PROTOBUF_C_TYPE_BYTES:
        *(ProtobufCBinaryData *)slot =
            (ProtobufCBinaryData){2, (uint8_t *)arena_strdup(arena, "{}")};
        break;
    case PROTOBUF_C_TYPE_BOOL: *(protobuf_c_boolean *)slot = rng_chance(rng, 0.5); break;
    case PROTOBUF_C_TYPE_INT64: *(int64_t *)slot = rng_between(rng, -2, 70000); break;
    default: *(int32_t *)slot = (int32_t)rng_between(rng, -2, 70000);
    }
}

static const char *key_of(const void *entry) {
    const ProtobufCMessage *m = entry;
    const char *key = *(const char *const *)((const char *)entry + m->descriptor->fields[0].offset);
    return or_empty(key);
}

static bool is_map(const ProtobufCFieldDescriptor *f) {
    if (f->type != PROTOBUF_C_TYPE_MESSAGE) return false;
    const ProtobufCMessageDescriptor *entry = f->descriptor;
    return has_suffix(entry->name, "Entry") && entry->n_fields == 2 &&
           streq(entry->fields[0].name, "key");
}

static int by_key(const void *a, const void *b) {
    return strcmp(key_of(*(void *const *)a), key_of(*(void *const *)b));
}

static void put_list(arena_t *arena, rng_t *rng, const ProtobufCFieldDescriptor *f, void *msg,
                     double density, int depth) {
    size_t len = 1 + rng_below(rng, LIST_MAX), *n = (size_t *)((char *)msg + f->quantifier_offset);
    size_t size = size_of(f);
    char *at = arena_alloc(arena, len * size);
    for (size_t i = 0; i < len; i++) put(arena, rng, f, at + i * size, density, depth);
    if (is_map(f)) {
        void **entries = (void **)(void *)at;
        size_t unique = 0;
        qsort(entries, len, sizeof *entries, by_key);
        for (size_t i = 0; i < len; i++)
            if (!unique || by_key(&entries[unique - 1], &entries[i]) != 0)
                entries[unique++] = entries[i];
        len = unique;
    }
    *(void **)((char *)msg + f->offset) = at;
    *n = len;
}

static void *random_at(arena_t *arena, rng_t *rng, const ProtobufCMessageDescriptor *type,
                       double density, int depth) {
    void *msg = msg_new(arena, type);
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &type->fields[i];
        if (!rng_chance(rng, density)) continue;
        if (f->type == PROTOBUF_C_TYPE_MESSAGE && depth >= DEPTH_MAX) continue;
        if (f->label == PROTOBUF_C_LABEL_REPEATED) {
            put_list(arena, rng, f, msg, density, depth);
            continue;
        }
        put(arena, rng, f, (char *)msg + f->offset, density, depth);
        bool has = f->type != PROTOBUF_C_TYPE_MESSAGE && f->type != PROTOBUF_C_TYPE_STRING;
        if (has && f->quantifier_offset)
            *(protobuf_c_boolean *)((char *)msg + f->quantifier_offset) = true;
    }
    return msg;
}

void *random_msg(arena_t *arena, rng_t *rng, const ProtobufCMessageDescriptor *type,
                 double density) {
    return random_at(arena, rng, type, density, 0);
}
