// wire - the first of a message's two frames: an actor.Envelope, read from a stranger's bytes and
// written to them. Pure.
//
// By hand instead of by protobuf-c, because every byte is a stranger's: no allocation, nothing
// kept but slices of the frame, every limit checked on the way. The format stays that of
// proto/troupe/actor.proto (a test holds the two to each other).
#pragma once
#include "runtime/base/bytes.h"
#include "runtime/base/why.h"

enum {
    WIRE_MAX_BYTES = 1536, // of a frame: two addresses, a type, eleven numbers
    WIRE_TYPE_MAX = 256,
    WIRE_UNKNOWN_MAX = 16, // fields of a newer peer are skipped; more are garbage
};

typedef struct {
    bytes_t to, from, type; // borrowed from the frame; printable ASCII
    uint64_t to_incarnation, from_incarnation;
    uint64_t id, in_reply_to;
    uint64_t trace_id, sequence, epoch;
    uint64_t stream_seq;
    uint32_t timeout_ms, stream_window;
    bool push, kits;
} wire_t;

// ERR_MALFORMED (not this protobuf, a text that is no address or type, a field twice),
// ERR_TOO_LARGE.
err_t wire_read(bytes_t frame, wire_t *ret, why_t *why) MUST_USE;
// Returns the length. The texts keep to their limits (assert).
size_t wire_write(const wire_t *w, uint8_t out[static WIRE_MAX_BYTES]);
// "role/name" with both parts of letters, digits, '-', '.', '_' (in the name also '/', ':').
bool wire_is_address(bytes_t text);
