// msg - protobuf-c messages by their descriptors: make, copy, compare, pack, and unpack what a
// stranger sent.
//
// Every message of an API object lives in an arena. Presence follows facts: only fields of kind
// "pointer" have an unset state of their own; a scalar with has_x and value zero means unset, and
// so does an empty string.
#pragma once
#include "runtime/base/arena.h"
#include "runtime/base/bytes.h"
#include "runtime/base/why.h"
#include <protobuf-c/protobuf-c.h>

// Limits on foreign bytes, checked by a scan before anything is unpacked.
enum {
    MSG_DEPTH_MAX = 64,
    MSG_ELEMENTS_MAX = 200 * 1000,  // fields and list elements of one message, in all
    OBJECT_MAX_BYTES = 1536 * 1024, // one API object, packed (etcd's own limit)
    MSG_ARENA_FACTOR_MAX = 24,      // unpacked size over packed size, plus a floor
};

// Zeroed, descriptor set, proto3 strings defaulted. NULL only past the arena's limit.
void *msg_new(arena_t *arena, const ProtobufCMessageDescriptor *type) MUST_USE;
#define MSG_NEW(arena, c_type, descriptor) ((c_type *)msg_new((arena), &(descriptor)))

// Scan (depth, counts, UTF-8, no NUL in strings, wire types), then unpack into the arena.
// ERR_MALFORMED or ERR_TOO_LARGE with a why that names the field path.
err_t msg_unpack(arena_t *arena, const ProtobufCMessageDescriptor *type, bytes_t packed,
                 void **ret_msg, why_t *why) MUST_USE;
// For bytes that we packed ourselves: unpack without the scan. NULL: corrupt.
void *msg_unpack_own(arena_t *arena, const ProtobufCMessageDescriptor *type,
                     bytes_t packed) MUST_USE;
err_t msg_scan(const ProtobufCMessageDescriptor *type, bytes_t packed, why_t *why) MUST_USE;

size_t msg_packed_size(const ProtobufCMessage *msg);
bytes_t msg_pack(arena_t *arena, const ProtobufCMessage *msg); // canonical: maps sorted by key
void *msg_dup(arena_t *arena, const ProtobufCMessage *msg) MUST_USE; // deep copy

// Equal as API objects: unset equals empty where facts say so; quantities by value are NOT
// normalised (0.5 and 500m differ as text). A null is an absent message.
bool msg_equal(const ProtobufCMessage *a, const ProtobufCMessage *b);

// ---- fields by their JSON name ("spec.nodeName"), for selectors, printing, tests ------------------
// The field's text form, or NULL when unset. Understands a dotted path, [0] indexes, and keys of
// maps: the rest of the path after a dot ("metadata.labels.app.kubernetes.io/name"), or ['key'].
const char *msg_text_at(arena_t *arena, const ProtobufCMessage *msg, const char *path);
