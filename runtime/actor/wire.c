#include "runtime/actor/wire.h"
#include "runtime/actor/kit.h"

// Field numbers of actor.Envelope.
enum {
    TO = 1,
    FROM,
    TO_INCARNATION,
    FROM_INCARNATION,
    ID,
    IN_REPLY_TO,
    TIMEOUT_MS,
    TRACE_ID,
    SEQUENCE,
    EPOCH,
    TYPE,
    STREAM_SEQ,
    STREAM_WINDOW,
    PUSH,
    PRINCIPAL,
    KITS,
    FIELDS_END,
};
enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 }; // protobuf's wire types

static_assert(2 * (ADDRESS_MAX + 4) + WIRE_TYPE_MAX + 4 + 13 * 12 <= WIRE_MAX_BYTES,
              "the largest envelope fits");

static bool is_name_char(uint8_t c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_';
}

bool wire_is_address(bytes_t text) {
    const uint8_t *slash = text.len ? memchr(text.at, '/', text.len) : NULL;
    if (!slash || slash == text.at || slash + 1 == text.at + text.len || text.len > ADDRESS_MAX)
        return false;
    for (const uint8_t *c = text.at; c < slash; c++)
        if (!is_name_char(*c)) return false;
    for (const uint8_t *c = slash + 1; c < text.at + text.len; c++)
        if (!is_name_char(*c) && *c != '/' && *c != ':') return false;
    return true;
}

static bool is_type(bytes_t text) {
    for (size_t i = 0; i < text.len; i++)
        if (!is_name_char(text.at[i])) return false;
    return text.len > 0 && text.len <= WIRE_TYPE_MAX;
}

// ---- reading ------------------------------------------------------------------------------------
typedef struct {
    const uint8_t *at, *end;
} cursor_t;

static bool take_varint(cursor_t *c, uint64_t *ret) {
    uint64_t value = 0;
    for (unsigned shift = 0; c->at < c->end && shift < 64; shift += 7) {
        uint8_t byte = *c->at++;
        if (shift == 63 && byte > 1) return false; // more than 64 bits
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *ret = value;
            return true;
        }
    }
    return false;
}

static bool take_bytes(cursor_t *c, bytes_t *ret) {
    uint64_t len;
    if (!take_varint(c, &len) || len > (uint64_t)(c->end - c->at)) return false;
    *ret = (bytes_t){c->at, (size_t)len};
    c->at += len;
    return true;
}

static bool skip(cursor_t *c, unsigned wire_type) {
    uint64_t number;
    bytes_t text;
    size_t fixed = wire_type == FIXED64 ? 8 : 4;
    switch (wire_type) {
    case VARINT: return take_varint(c, &number);
    case BYTES: return take_bytes(c, &text);
    case FIXED64:
    case FIXED32:
        if ((size_t)(c->end - c->at) < fixed) return false;
        c->at += fixed;
        return true;
    default: return false; // groups are not of this century
    }
}

static err_t malformed(why_t *why, uint64_t field, const char *what) {
    return why_set(why, ERR_MALFORMED, "envelope: field %llu: %s", (unsigned long long)field, what);
}

static err_t read_text(wire_t *w, uint64_t field, bytes_t text, why_t *why) {
    switch (field) {
    case TO:
    case FROM:
        // Links speak to each other without addresses (Hello, LaneCredit).
        if (text.len && !wire_is_address(text)) return malformed(why, field, "not an address");
        *(field == TO ? &w->to : &w->from) = text;
        return ERR_OK;
    case TYPE:
        if (!is_type(text)) return malformed(why, field, "not a message type");
        w->type = text;
        return ERR_OK;
    default: return malformed(why, field, "never sent");
    }
}

static uint64_t *number_at(wire_t *w, uint64_t field) {
    switch (field) {
    case TO_INCARNATION: return &w->to_incarnation;
    case FROM_INCARNATION: return &w->from_incarnation;
    case ID: return &w->id;
    case IN_REPLY_TO: return &w->in_reply_to;
    case TRACE_ID: return &w->trace_id;
    case SEQUENCE: return &w->sequence;
    case EPOCH: return &w->epoch;
    case STREAM_SEQ: return &w->stream_seq;
    default: return NULL;
    }
}

static err_t read_number(wire_t *w, uint64_t field, uint64_t value, why_t *why) {
    uint64_t *at = number_at(w, field);
    if (at) {
        *at = value;
        return ERR_OK;
    }
    if (field == PUSH || field == KITS) {
        if (value > 1) return malformed(why, field, "not a boolean");
        *(field == PUSH ? &w->push : &w->kits) = value;
        return ERR_OK;
    }
    if (value > INT32_MAX) return malformed(why, field, "out of range");
    *(field == TIMEOUT_MS ? &w->timeout_ms : &w->stream_window) = (uint32_t)value;
    return ERR_OK;
}

err_t wire_read(bytes_t frame, wire_t *ret, why_t *why) {
    if (frame.len > WIRE_MAX_BYTES)
        return why_set(why, ERR_TOO_LARGE, "envelope of %zu bytes; at most %d are read", frame.len,
                       WIRE_MAX_BYTES);
    wire_t w = {0};
    cursor_t c = {frame.at, frame.at + frame.len};
    uint32_t seen = 0, unknown = 0;
    while (c.at < c.end) {
        uint64_t key, number;
        bytes_t text;
        if (!take_varint(&c, &key)) return malformed(why, 0, "cut short");
        uint64_t field = key >> 3;
        unsigned wire_type = key & 7;
        if (field == 0 || field >= FIELDS_END) {
            if (field == 0 || !skip(&c, wire_type)) return malformed(why, field, "cut short");
            if (++unknown > WIRE_UNKNOWN_MAX)
                return malformed(why, field, "too many unknown fields");
            continue;
        }
        if (seen & 1u << field) return malformed(why, field, "given twice");
        seen |= 1u << field;
        bool is_text = field == TO || field == FROM || field == TYPE || field == PRINCIPAL;
        if (wire_type != (is_text ? BYTES : VARINT))
            return malformed(why, field, "wrong wire type");
        if (is_text ? !take_bytes(&c, &text) : !take_varint(&c, &number))
            return malformed(why, field, "cut short");
        err_t e = is_text ? read_text(&w, field, text, why) : read_number(&w, field, number, why);
        if (e) return e;
    }
    if (!w.type.len) return malformed(why, TYPE, "missing");
    if (!w.sequence) return malformed(why, SEQUENCE, "missing");
    *ret = w;
    return ERR_OK;
}

// ---- writing: fields in number order, zero values left out, as protobuf does -------------------
static uint8_t *put_varint(uint8_t *at, uint64_t value) {
    for (; value >= 0x80; value >>= 7) *at++ = (uint8_t)(value | 0x80);
    *at++ = (uint8_t)value;
    return at;
}

static uint8_t *put_number(uint8_t *at, unsigned field, uint64_t value) {
    if (!value) return at;
    return put_varint(put_varint(at, field << 3 | VARINT), value);
}

static uint8_t *put_text(uint8_t *at, unsigned field, bytes_t text, size_t max) {
    assert(text.len <= max);
    if (!text.len) return at;
    at = put_varint(put_varint(at, field << 3 | BYTES), text.len);
    memcpy(at, text.at, text.len);
    return at + text.len;
}

size_t wire_write(const wire_t *w, uint8_t out[static WIRE_MAX_BYTES]) {
    uint8_t *at = out;
    at = put_text(at, TO, w->to, ADDRESS_MAX);
    at = put_text(at, FROM, w->from, ADDRESS_MAX);
    at = put_number(at, TO_INCARNATION, w->to_incarnation);
    at = put_number(at, FROM_INCARNATION, w->from_incarnation);
    at = put_number(at, ID, w->id);
    at = put_number(at, IN_REPLY_TO, w->in_reply_to);
    at = put_number(at, TIMEOUT_MS, w->timeout_ms);
    at = put_number(at, TRACE_ID, w->trace_id);
    at = put_number(at, SEQUENCE, w->sequence);
    at = put_number(at, EPOCH, w->epoch);
    at = put_text(at, TYPE, w->type, WIRE_TYPE_MAX);
    at = put_number(at, STREAM_SEQ, w->stream_seq);
    at = put_number(at, STREAM_WINDOW, w->stream_window);
    at = put_number(at, PUSH, w->push);
    at = put_number(at, KITS, w->kits);
    assert(at <= out + WIRE_MAX_BYTES);
    return (size_t)(at - out);
}
