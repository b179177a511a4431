// What a stranger sent is walked once, without allocating, before protobuf-c sees it: protobuf-c
// 1.4.1 overflows the stack at depth 10,000, takes strings that are no UTF-8, and cuts them at NUL.
#include "runtime/api/msg.h"
#include "runtime/base/text.h"
#include "runtime/base/utf8.h"

typedef struct {
    const char *path[MSG_DEPTH_MAX]; // names of the fields that lead to where we are
    int depth;
    size_t elements;
    why_t *why;
} scan_t;

typedef struct {
    const uint8_t *at, *end;
} reader_t;

static err_t refuse(const scan_t *s, err_t err, const char *what) {
    char path[WHY_TEXT_MAX / 2];
    size_t len = 0;
    path[0] = 0;
    for (int i = 0; i < s->depth && len < sizeof path; i++)
        len += (size_t)snprintf(path + len, sizeof path - len, "%s%s", i ? "." : "", s->path[i]);
    return s->depth ? why_set(s->why, err, "%s: %s", path, what) : why_set(s->why, err, "%s", what);
}

static bool read_varint(reader_t *r, uint64_t *ret_v) {
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 70 && r->at < r->end; shift += 7) {
        uint8_t byte = *r->at++;
        if (shift == 63 && byte > 1) return false; // more than 64 bits
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *ret_v = v;
            return true;
        }
    }
    return false;
}

static bool skip_bytes(reader_t *r, uint64_t len) {
    if (len > (uint64_t)(r->end - r->at)) return false;
    r->at += len;
    return true;
}

static ProtobufCWireType wire_of(const ProtobufCFieldDescriptor *f) {
    switch (f->type) {
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT: return PROTOBUF_C_WIRE_TYPE_32BIT;
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE: return PROTOBUF_C_WIRE_TYPE_64BIT;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE: return PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
    default: return PROTOBUF_C_WIRE_TYPE_VARINT;
    }
}

static bool skip_wire(reader_t *r, ProtobufCWireType wire) {
    uint64_t v;
    switch (wire) {
    case PROTOBUF_C_WIRE_TYPE_VARINT: return read_varint(r, &v);
    case PROTOBUF_C_WIRE_TYPE_32BIT: return skip_bytes(r, 4);
    case PROTOBUF_C_WIRE_TYPE_64BIT: return skip_bytes(r, 8);
    case PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED: return read_varint(r, &v) && skip_bytes(r, v);
    default: return false; // groups are no part of any schema here
    }
}

static err_t count(scan_t *s) {
    return ++s->elements > MSG_ELEMENTS_MAX ? refuse(s, ERR_TOO_LARGE, "too many elements")
                                            : ERR_OK;
}

static err_t scan_message(scan_t *s, const ProtobufCMessageDescriptor *type, reader_t r);

static err_t scan_text(scan_t *s, reader_t body) {
    size_t len = (size_t)(body.end - body.at);
    if (len && memchr(body.at, 0, len)) return refuse(s, ERR_MALFORMED, "NUL inside a string");
    if (!utf8_is_valid((const char *)body.at, len))
        return refuse(s, ERR_MALFORMED, "a string that is not UTF-8");
    return ERR_OK;
}

static err_t scan_packed(scan_t *s, ProtobufCWireType wire, reader_t body) {
    while (body.at < body.end) {
        err_t err = count(s);
        if (err) return err;
        if (!skip_wire(&body, wire)) return refuse(s, ERR_MALFORMED, "a packed list is cut off");
    }
    return ERR_OK;
}

static err_t scan_field(scan_t *s, const ProtobufCFieldDescriptor *f, ProtobufCWireType wire,
                        reader_t *r) {
    ProtobufCWireType wanted = wire_of(f);
    bool packed = wire == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED && wanted != wire &&
                  f->label == PROTOBUF_C_LABEL_REPEATED;
    if (wire != wanted && !packed) return refuse(s, ERR_MALFORMED, "wrong wire type");
    if (wire != PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED)
        return skip_wire(r, wire) ? ERR_OK : refuse(s, ERR_MALFORMED, "cut off");
    uint64_t len;
    if (!read_varint(r, &len) || len > (uint64_t)(r->end - r->at))
        return refuse(s, ERR_MALFORMED, "a length beyond the end");
    reader_t body = {r->at, r->at + len};
    r->at = body.end;
    if (packed) return scan_packed(s, wanted, body);
    if (f->type == PROTOBUF_C_TYPE_STRING) return scan_text(s, body);
    if (f->type == PROTOBUF_C_TYPE_MESSAGE) return scan_message(s, f->descriptor, body);
    return ERR_OK;
}

// Recursion is as deep as the schema allows the message to be, and at most MSG_DEPTH_MAX.
static err_t scan_message(scan_t *s, const ProtobufCMessageDescriptor *type, reader_t r) {
    if (s->depth == MSG_DEPTH_MAX) return refuse(s, ERR_TOO_LARGE, "nested too deeply");
    int depth = s->depth;
    while (r.at < r.end) {
        s->depth = depth;
        uint64_t tag;
        if (!read_varint(&r, &tag) || tag >> 3 == 0 || tag >> 3 > UINT32_MAX >> 3)
            return refuse(s, ERR_MALFORMED, "a tag that is none");
        err_t err = count(s);
        if (err) return err;
        ProtobufCWireType wire = (ProtobufCWireType)(tag & 7);
        const ProtobufCFieldDescriptor *f =
            protobuf_c_message_descriptor_get_field(type, (unsigned)(tag >> 3));
        s->path[s->depth++] = f ? f->name : "(unknown field)";
        if (!f && !skip_wire(&r, wire)) return refuse(s, ERR_MALFORMED, "cut off");
        if (f && (err = scan_field(s, f, wire, &r))) return err;
    }
    s->depth = depth;
    return ERR_OK;
}

err_t msg_scan(const ProtobufCMessageDescriptor *type, bytes_t packed, why_t *why) {
    scan_t s = {.why = why};
    if (packed.len == 0) return ERR_OK; // at may be NULL, which has no end
    return scan_message(&s, type, (reader_t){packed.at, packed.at + packed.len});
}
