#include "runtime/api/packed.h"
#include <stdio.h>

enum {
    TAG_METADATA = 1 << 3 | 2, // field 1 of every kind
    RESOURCE_VERSION = 6,      // of metadata
    TAG_RESOURCE_VERSION = RESOURCE_VERSION << 3 | 2,
    VARINT_MAX_BYTES = 10,
};

static bool take_varint(bytes_t *from, uint64_t *ret) {
    uint64_t value = 0;
    for (size_t i = 0; i < from->len && i < VARINT_MAX_BYTES; i++) {
        value |= (uint64_t)(from->at[i] & 0x7f) << (7 * i);
        if (from->at[i] & 0x80) continue;
        *from = (bytes_t){from->at + i + 1, from->len - i - 1};
        *ret = value;
        return true;
    }
    return false;
}

bool packed_next(bytes_t *rest, packed_field_t *ret_field) {
    bytes_t from = *rest;
    uint64_t tag, len = 0;
    if (!take_varint(&from, &tag) || tag >> 3 == 0 || tag >> 3 > UINT32_MAX) return false;
    bool is_bytes = (tag & 7) == 2;
    switch (tag & 7) {
    case 0:
        if (!take_varint(&from, &len)) return false;
        len = 0;
        break;
    case 1: len = 8; break;
    case 2:
        if (!take_varint(&from, &len)) return false;
        break;
    case 5: len = 4; break;
    default: return false;
    }
    if (len > from.len) return false;
    *ret_field = (packed_field_t){
        .number = (uint32_t)(tag >> 3),
        .payload = is_bytes ? (bytes_t){from.at, (size_t)len} : (bytes_t){0},
        .at = rest->at,
        .end = from.at + len,
    };
    *rest = (bytes_t){from.at + len, from.len - (size_t)len};
    return true;
}

bytes_t packed_at(bytes_t packed, uint32_t number) {
    packed_field_t field;
    while (packed_next(&packed, &field))
        if (field.number == number) return field.payload;
    return (bytes_t){0};
}

static uint8_t *put(uint8_t *to, const uint8_t *from, size_t len) {
    if (len) memcpy(to, from, len);
    return to + len;
}

static uint8_t *put_varint(uint8_t *to, uint64_t value) {
    for (; value >= 0x80; value >>= 7) *to++ = (uint8_t)value | 0x80;
    *to++ = (uint8_t)value;
    return to;
}

//    0a LEN [ name … uid | 32 LEN revision | generation … ] rest
//            ^ meta.at     ^ at        end ^              ^ rest
blob_t *packed_with_revision(bytes_t packed, int64_t revision) {
    bytes_t rest = packed;
    packed_field_t meta, field;
    if (!packed.len || packed.at[0] != TAG_METADATA || !packed_next(&rest, &meta)) return NULL;
    bytes_t fields = meta.payload;
    const uint8_t *at = fields.at, *end = at, *meta_end = at + fields.len;
    while (packed_next(&fields, &field) && field.number <= RESOURCE_VERSION) {
        end = field.end;
        if (field.number < RESOURCE_VERSION) at = end;
    }
    char text[24];
    size_t text_len = (size_t)snprintf(text, sizeof text, "%lld", (long long)revision);
    size_t before = (size_t)(at - meta.payload.at), after = (size_t)(meta_end - end);
    size_t meta_len = before + 2 + text_len + after;
    uint8_t head[1 + VARINT_MAX_BYTES] = {TAG_METADATA};
    size_t head_len = (size_t)(put_varint(head + 1, meta_len) - head);
    blob_t *blob = blob_new(head_len + meta_len + rest.len);
    uint8_t *to = put(blob->at, head, head_len);
    to = put(to, meta.payload.at, before);
    *to++ = TAG_RESOURCE_VERSION;
    *to++ = (uint8_t)text_len;
    to = put(to, (const uint8_t *)text, text_len);
    to = put(to, end, after);
    to = put(to, rest.at, rest.len);
    assert(to == blob->at + blob->len);
    return blob;
}
