#include "runtime/api/msg.h"
#include "runtime/api/msg_walk.h"

typedef const ProtobufCMessageDescriptor desc_t;
typedef const ProtobufCFieldDescriptor field_t;

// ---- making -------------------------------------------------------------------------------------
void *msg_new(arena_t *arena, desc_t *type) {
    ProtobufCMessage *msg = arena_alloc(arena, type->sizeof_message);
    if (!msg) return NULL;
    if (type->message_init) {
        protobuf_c_message_init(type, msg);
        return msg;
    }
    msg->descriptor = type;
    if (api_type_of(type)) return msg; // proto2: no default values
    // proto3 strings are never NULL.
    for (unsigned i = 0; i < type->n_fields; i++) {
        field_t *f = &type->fields[i];
        if (f->type == PROTOBUF_C_TYPE_STRING && f->label != PROTOBUF_C_LABEL_REPEATED &&
            f->default_value && !(f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF))
            FIELD_AT(msg, f->offset, const char *) = f->default_value;
    }
    return msg;
}

size_t msg_element_size(field_t *f) {
    switch (f->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_ENUM: return 4;
    case PROTOBUF_C_TYPE_BOOL: return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_BYTES: return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE: return sizeof(void *);
    default: return 8;
    }
}

bool msg_field_is_map(desc_t *owner, field_t *f) {
    if (f->label != PROTOBUF_C_LABEL_REPEATED || f->type != PROTOBUF_C_TYPE_MESSAGE) return false;
    // A map entry is nested in the message that holds the map; API messages nest nothing else.
    desc_t *entry = f->descriptor;
    if (entry->n_fields != 2 || !streq(entry->fields[0].name, "key")) return false;
    size_t len = strlen(owner->name);
    return strncmp(entry->name, owner->name, len) == 0 && entry->name[len] == '.' &&
           streq(entry->fields[1].name, "value") && has_suffix(entry->name, "Entry");
}

// ---- presence -----------------------------------------------------------------------------------
static bool scalar_is_zero(field_t *f, const void *at) {
    if (f->type == PROTOBUF_C_TYPE_STRING) return !*(char *const *)at || !**(char *const *)at;
    if (f->type == PROTOBUF_C_TYPE_BYTES) return ((const ProtobufCBinaryData *)at)->len == 0;
    if (f->type == PROTOBUF_C_TYPE_DOUBLE) return *(const double *)at == 0;
    if (f->type == PROTOBUF_C_TYPE_FLOAT) return *(const float *)at == 0;
    uint64_t bits = 0;
    memcpy(&bits, at, msg_element_size(f));
    return bits == 0;
}

bool msg_scalar_is_set(const api_type_t *type, const ProtobufCMessage *msg, field_t *f) {
    const void *at = (const char *)msg + f->offset;
    bool oneof = f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF;
    if (oneof && FIELD_IN(msg, f->quantifier_offset, uint32_t) != f->id) return false;
    if (f->type == PROTOBUF_C_TYPE_MESSAGE) return *(void *const *)at != NULL;
    if (f->type == PROTOBUF_C_TYPE_STRING) {
        if (!*(void *const *)at) return false;
    } else if (f->label == PROTOBUF_C_LABEL_OPTIONAL && !oneof &&
               !FIELD_IN(msg, f->quantifier_offset, protobuf_c_boolean)) {
        return false;
    }
    bool own_unset = oneof || f->label == PROTOBUF_C_LABEL_REQUIRED ||
                     (type ? type->pointers >> (f - msg->descriptor->fields) & 1
                           : f->label == PROTOBUF_C_LABEL_OPTIONAL);
    return own_unset || !scalar_is_zero(f, at);
}

static bool msg_is_empty(const ProtobufCMessage *msg) {
    const api_type_t *type = api_type_of(msg->descriptor);
    for (unsigned i = 0; i < msg->descriptor->n_fields; i++) {
        field_t *f = &msg->descriptor->fields[i];
        if (!msg_field_is_set(type, msg, f)) continue;
        bool plain = f->type == PROTOBUF_C_TYPE_MESSAGE && f->label != PROTOBUF_C_LABEL_REPEATED &&
                     type && !(type->pointers >> i & 1);
        if (!plain || !msg_is_empty(FIELD_IN(msg, f->offset, ProtobufCMessage *))) return false;
    }
    return true;
}

// ---- maps ---------------------------------------------------------------------------------------
static const char *entry_key(const ProtobufCMessage *entry) {
    return or_empty(FIELD_IN(entry, entry->descriptor->fields[0].offset, char *));
}

static int entry_cmp(const void *a, const void *b) {
    return strcmp(entry_key(*(ProtobufCMessage *const *)a),
                  entry_key(*(ProtobufCMessage *const *)b));
}

static bool map_is_sorted(ProtobufCMessage *const *entries, size_t len) {
    for (size_t i = 1; i < len; i++)
        if (entry_cmp(&entries[i - 1], &entries[i]) >= 0) return false;
    return true;
}

// Merges the sorted halves of entries[0 .. len), by way of `spare`; equal keys keep their order.
static void merge_sort(ProtobufCMessage **entries, size_t len, ProtobufCMessage **spare) {
    if (len < 2) return;
    size_t half = len / 2, i = 0, k = half, out = 0;
    merge_sort(entries, half, spare);
    merge_sort(entries + half, len - half, spare);
    memcpy(spare, entries, len * sizeof *entries);
    while (i < half || k < len) {
        bool take_left = k == len || (i < half && entry_cmp(&spare[i], &spare[k]) <= 0);
        entries[out++] = take_left ? spare[i++] : spare[k++];
    }
}

size_t msg_map_sort(ProtobufCMessage **entries, size_t len) {
    if (len < 2 || entries[0]->descriptor->fields[0].type != PROTOBUF_C_TYPE_STRING) return len;
    if (map_is_sorted(entries, len)) return len;
    ProtobufCMessage **spare = mem_new(len * sizeof *spare);
    merge_sort(entries, len, spare);
    free(spare);
    size_t kept = 0;
    for (size_t i = 0; i < len; i++) {
        bool repeats_next = i + 1 < len && entry_cmp(&entries[i], &entries[i + 1]) == 0;
        if (!repeats_next) entries[kept++] = entries[i];
    }
    return kept;
}

// After unpacking: maps sorted and unique, unknown fields forgotten (they lie in the arena).
static void settle_down(ProtobufCMessage *msg) {
    desc_t *d = msg->descriptor;
    msg->n_unknown_fields = 0;
    msg->unknown_fields = NULL;
    for (unsigned i = 0; i < d->n_fields; i++) {
        field_t *f = &d->fields[i];
        if (f->type != PROTOBUF_C_TYPE_MESSAGE) continue;
        if (f->label == PROTOBUF_C_LABEL_REPEATED) {
            size_t *len = &FIELD_AT(msg, f->quantifier_offset, size_t);
            ProtobufCMessage **list = FIELD_AT(msg, f->offset, ProtobufCMessage **);
            if (*len && msg_field_is_map(d, f)) *len = msg_map_sort(list, *len);
            for (size_t k = 0; k < *len; k++) settle_down(list[k]);
        } else if (msg_field_is_set(NULL, msg, f)) {
            settle_down(FIELD_AT(msg, f->offset, ProtobufCMessage *));
        }
    }
}

// ---- unpacking ----------------------------------------------------------------------------------
typedef struct {
    arena_t *arena;
    size_t left_bytes;
    bool refused;
} budget_t;
enum { UNPACK_FLOOR_BYTES = 64 * 1024 }; // small messages may be mostly structure

static void *budget_alloc(void *data, size_t size) {
    budget_t *b = data;
    if (size > b->left_bytes) {
        b->refused = true;
        return NULL;
    }
    b->left_bytes -= size;
    void *at = arena_alloc(b->arena, size);
    if (!at) b->refused = true;
    return at;
}

static void budget_free(void *data, void *at) {} // the arena frees as a whole

static void *unpack(budget_t *b, desc_t *type, bytes_t packed) {
    ProtobufCAllocator allocator = {budget_alloc, budget_free, b};
    ProtobufCMessage *msg = protobuf_c_message_unpack(type, &allocator, packed.len, packed.at);
    if (msg) settle_down(msg);
    return msg;
}

void *msg_unpack_own(arena_t *arena, desc_t *type, bytes_t packed) {
    budget_t budget = {arena, SIZE_MAX, false};
    return unpack(&budget, type, packed);
}

err_t msg_unpack(arena_t *arena, desc_t *type, bytes_t packed, void **ret_msg, why_t *why) {
    err_t err = msg_scan(type, packed, why);
    if (err) return err;
    budget_t budget = {arena, packed.len * MSG_ARENA_FACTOR_MAX + UNPACK_FLOOR_BYTES, false};
    void *msg = unpack(&budget, type, packed);
    if (!msg && budget.refused)
        return why_set(why, ERR_TOO_LARGE, "%s: %zu bytes unpack into too much memory",
                       type->short_name, packed.len);
    if (!msg) return why_set(why, ERR_MALFORMED, "%s: does not unpack", type->short_name);
    *ret_msg = msg;
    return ERR_OK;
}

// ---- packing: back to front, so that each length is known when it is written --------------------
typedef struct {
    uint8_t *end;    // behind the last byte of the buffer
    size_t len, cap; // past `cap` it only counts
} packer_t;

static void put_bytes(packer_t *p, const void *bytes, size_t len) {
    p->len += len;
    if (p->len <= p->cap && len) memcpy(p->end - p->len, bytes, len);
}

static void put_varint(packer_t *p, uint64_t v) {
    if (v < 0x80) {
        if (++p->len <= p->cap) p->end[-(ptrdiff_t)p->len] = (uint8_t)v;
        return;
    }
    uint8_t out[10];
    size_t len = 0;
    do {
        out[len++] = (uint8_t)(v & 0x7f) | (v > 0x7f ? 0x80 : 0);
        v >>= 7;
    } while (v);
    put_bytes(p, out, len);
}

static void put_message(packer_t *p, const ProtobufCMessage *msg);

// A value without its tag; returns its wire type.
static ProtobufCWireType put_value(packer_t *p, field_t *f, const void *at) {
    switch (f->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_ENUM: put_varint(p, (uint64_t)(int64_t) * (const int32_t *)at); return 0;
    case PROTOBUF_C_TYPE_UINT32: put_varint(p, *(const uint32_t *)at); return 0;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT64: put_varint(p, *(const uint64_t *)at); return 0;
    case PROTOBUF_C_TYPE_SINT32: {
        uint32_t v = *(const uint32_t *)at;
        put_varint(p, v << 1 ^ (v >> 31 ? UINT32_MAX : 0));
        return 0;
    }
    case PROTOBUF_C_TYPE_SINT64: {
        uint64_t v = *(const uint64_t *)at;
        put_varint(p, v << 1 ^ (v >> 63 ? UINT64_MAX : 0));
        return 0;
    }
    case PROTOBUF_C_TYPE_BOOL: put_varint(p, *(const protobuf_c_boolean *)at != 0); return 0;
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT: put_bytes(p, at, 4); return PROTOBUF_C_WIRE_TYPE_32BIT;
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE: put_bytes(p, at, 8); return PROTOBUF_C_WIRE_TYPE_64BIT;
    case PROTOBUF_C_TYPE_STRING: {
        const char *s = or_empty(*(char *const *)at);
        size_t len = strlen(s);
        put_bytes(p, s, len);
        put_varint(p, len);
        return PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
    }
    case PROTOBUF_C_TYPE_BYTES: {
        const ProtobufCBinaryData *b = at;
        put_bytes(p, b->data, b->len);
        put_varint(p, b->len);
        return PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
    }
    case PROTOBUF_C_TYPE_MESSAGE: {
        size_t before = p->len;
        put_message(p, *(ProtobufCMessage *const *)at);
        put_varint(p, p->len - before);
        return PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
    }
    }
    assert(!"a field of unknown type");
    return 0;
}

static void put_tag(packer_t *p, field_t *f, ProtobufCWireType wire) {
    put_varint(p, (uint64_t)f->id << 3 | wire);
}

static void put_list(packer_t *p, desc_t *owner, field_t *f, const void *list, size_t len) {
    size_t step = msg_element_size(f), before = p->len;
    if (f->type == PROTOBUF_C_TYPE_MESSAGE && msg_field_is_map(owner, f) &&
        !map_is_sorted(list, len)) {
        ProtobufCMessage **copy = mem_new(len * sizeof *copy);
        memcpy(copy, list, len * sizeof *copy);
        len = msg_map_sort(copy, len);
        for (size_t i = len; i > 0; i--) put_tag(p, f, put_value(p, f, &copy[i - 1]));
        free(copy);
        return;
    }
    bool packed = f->flags & PROTOBUF_C_FIELD_FLAG_PACKED;
    for (size_t i = len; i > 0; i--) {
        ProtobufCWireType wire = put_value(p, f, (const char *)list + (i - 1) * step);
        if (!packed) put_tag(p, f, wire);
    }
    if (packed) {
        put_varint(p, p->len - before);
        put_tag(p, f, PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED);
    }
}

static void put_message(packer_t *p, const ProtobufCMessage *msg) {
    desc_t *d = msg->descriptor;
    const api_type_t *type = api_type_of(d);
    for (unsigned i = d->n_fields; i > 0; i--) {
        field_t *f = &d->fields[i - 1];
        if (!msg_field_is_set(type, msg, f)) continue;
        const void *at = (const char *)msg + f->offset;
        if (f->label == PROTOBUF_C_LABEL_REPEATED) {
            put_list(p, d, f, *(void *const *)at, FIELD_IN(msg, f->quantifier_offset, size_t));
            continue;
        }
        packer_t before = *p;
        ProtobufCWireType wire = put_value(p, f, at);
        // A struct that is not a pointer in Go and came out empty is the same as none: length 0.
        bool plain = f->type == PROTOBUF_C_TYPE_MESSAGE && type && !(type->pointers >> (i - 1) & 1);
        if (plain && p->len == before.len + 1)
            *p = before;
        else
            put_tag(p, f, wire);
    }
}

size_t msg_packed_size(const ProtobufCMessage *msg) {
    packer_t p = {0};
    put_message(&p, msg);
    return p.len;
}

enum { SCRATCH_BYTES = 8192 }; // most objects fit and are packed in one pass

bytes_t msg_pack(arena_t *arena, const ProtobufCMessage *msg) {
    uint8_t scratch[SCRATCH_BYTES];
    packer_t p = {scratch + sizeof scratch, 0, sizeof scratch};
    put_message(&p, msg);
    size_t size = p.len;
    uint8_t *start = arena_alloc(arena, size);
    if (!start) return (bytes_t){0};
    if (size <= sizeof scratch) {
        memcpy(start, p.end - size, size);
        return (bytes_t){start, size};
    }
    p = (packer_t){start + size, 0, size};
    put_message(&p, msg);
    assert(p.len == size);
    return (bytes_t){start, size};
}

// ---- copying ------------------------------------------------------------------------------------
static bool dup_value(arena_t *arena, field_t *f, void *to, const void *from) {
    switch (f->type) {
    case PROTOBUF_C_TYPE_STRING: {
        const char *s = *(char *const *)from;
        // A default value is shared by all messages; it is recognised by its address.
        *(const char **)to = s == f->default_value ? s : arena_strdup(arena, s);
        return !s || *(char **)to;
    }
    case PROTOBUF_C_TYPE_BYTES: {
        const ProtobufCBinaryData *b = from;
        *(ProtobufCBinaryData *)to =
            (ProtobufCBinaryData){b->len, b->len ? arena_dup(arena, b->data, b->len) : NULL};
        return !b->len || ((ProtobufCBinaryData *)to)->data;
    }
    case PROTOBUF_C_TYPE_MESSAGE: {
        const ProtobufCMessage *m = *(ProtobufCMessage *const *)from;
        *(void **)to = m ? msg_dup(arena, m) : NULL;
        return !m || *(void **)to;
    }
    default: memcpy(to, from, msg_element_size(f)); return true;
    }
}

static bool dup_list(arena_t *arena, field_t *f, ProtobufCMessage *to,
                     const ProtobufCMessage *from) {
    size_t len = FIELD_IN(from, f->quantifier_offset, size_t), step = msg_element_size(f);
    char *list = len ? arena_alloc(arena, len * step) : NULL;
    if (len && !list) return false;
    FIELD_AT(to, f->offset, void *) = list;
    FIELD_AT(to, f->quantifier_offset, size_t) = len;
    const char *old = FIELD_IN(from, f->offset, char *);
    for (size_t i = 0; i < len; i++)
        if (!dup_value(arena, f, list + i * step, old + i * step)) return false;
    return true;
}

void *msg_dup(arena_t *arena, const ProtobufCMessage *msg) {
    desc_t *d = msg->descriptor;
    ProtobufCMessage *copy = arena_dup(arena, msg, d->sizeof_message);
    if (!copy) return NULL;
    copy->n_unknown_fields = 0;
    copy->unknown_fields = NULL;
    for (unsigned i = 0; i < d->n_fields; i++) {
        field_t *f = &d->fields[i];
        bool whole =
            f->label == PROTOBUF_C_LABEL_REPEATED ? dup_list(arena, f, copy, msg)
            : (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) &&
                    FIELD_IN(msg, f->quantifier_offset, uint32_t) != f->id
                ? true
                : dup_value(arena, f, (char *)copy + f->offset, (const char *)msg + f->offset);
        if (!whole) return NULL;
    }
    return copy;
}

// ---- comparing ----------------------------------------------------------------------------------
static bool value_equal(field_t *f, const void *a, const void *b) {
    switch (f->type) {
    case PROTOBUF_C_TYPE_STRING:
        return streq(or_empty(*(char *const *)a), or_empty(*(char *const *)b));
    case PROTOBUF_C_TYPE_BYTES: {
        const ProtobufCBinaryData *x = a, *y = b;
        return x->len == y->len && (x->len == 0 || memcmp(x->data, y->data, x->len) == 0);
    }
    case PROTOBUF_C_TYPE_MESSAGE:
        return msg_equal(*(ProtobufCMessage *const *)a, *(ProtobufCMessage *const *)b);
    case PROTOBUF_C_TYPE_BOOL:
        return !*(const protobuf_c_boolean *)a == !*(const protobuf_c_boolean *)b;
    case PROTOBUF_C_TYPE_DOUBLE: return *(const double *)a == *(const double *)b;
    case PROTOBUF_C_TYPE_FLOAT: return *(const float *)a == *(const float *)b;
    default: return memcmp(a, b, msg_element_size(f)) == 0;
    }
}

static bool map_equal(ProtobufCMessage *const *a, ProtobufCMessage *const *b, size_t len) {
    if (map_is_sorted(a, len) && map_is_sorted(b, len)) {
        for (size_t i = 0; i < len; i++)
            if (!msg_equal(a[i], b[i])) return false;
        return true;
    }
    for (size_t i = 0; i < len; i++) { // built by hand, unsorted: short ones
        size_t k = 0;
        while (k < len && !msg_equal(a[i], b[k])) k++;
        if (k == len) return false;
    }
    return true;
}

static bool list_equal(desc_t *owner, field_t *f, const ProtobufCMessage *a,
                       const ProtobufCMessage *b) {
    size_t len = FIELD_IN(a, f->quantifier_offset, size_t), step = msg_element_size(f);
    if (len != FIELD_IN(b, f->quantifier_offset, size_t)) return false;
    const char *x = FIELD_IN(a, f->offset, char *), *y = FIELD_IN(b, f->offset, char *);
    if (len && msg_field_is_map(owner, f))
        return map_equal((ProtobufCMessage *const *)x, (ProtobufCMessage *const *)y, len);
    for (size_t i = 0; i < len; i++)
        if (!value_equal(f, x + i * step, y + i * step)) return false;
    return true;
}

static bool field_equal(const api_type_t *type, field_t *f, const ProtobufCMessage *a,
                        const ProtobufCMessage *b) {
    if (f->label == PROTOBUF_C_LABEL_REPEATED) return list_equal(a->descriptor, f, a, b);
    bool in_a = msg_field_is_set(type, a, f), in_b = msg_field_is_set(type, b, f);
    const void *x = (const char *)a + f->offset, *y = (const char *)b + f->offset;
    if (in_a && in_b) return value_equal(f, x, y);
    if (in_a == in_b) return true;
    // One is unset: the same only as an empty struct that is no pointer in Go.
    if (f->type != PROTOBUF_C_TYPE_MESSAGE || !type) return false;
    if (type->pointers >> (f - a->descriptor->fields) & 1) return false;
    return msg_is_empty(*(ProtobufCMessage *const *)(in_a ? x : y));
}

bool msg_equal(const ProtobufCMessage *a, const ProtobufCMessage *b) {
    if (a == b) return true;
    if (!a || !b) return msg_is_empty(a ? a : b);
    if (a->descriptor != b->descriptor) return false;
    const api_type_t *type = api_type_of(a->descriptor);
    for (unsigned i = 0; i < a->descriptor->n_fields; i++)
        if (!field_equal(type, &a->descriptor->fields[i], a, b)) return false;
    return true;
}
