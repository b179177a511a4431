// packed - looks into packed messages without unpacking them, and sets a packed object's revision.
//
// For objects that this cluster's own API servers packed: canonical, fields in the order of their
// numbers, metadata first. Anything else is answered with "not there", never with a crash.
#pragma once
#include "runtime/base/bytes.h"

typedef struct {
    uint32_t number;
    bytes_t payload;         // of a length-delimited field; else at NULL
    const uint8_t *at, *end; // the whole field
} packed_field_t;
// Takes the next field off the front of *rest. False: the end, or no field.
bool packed_next(bytes_t *rest, packed_field_t *ret_field);
// The payload of the first field of this number; at NULL: none.
bytes_t packed_at(bytes_t packed, uint32_t number);

// The object as unpacking it, setting metadata.resourceVersion and packing it would have it.
// *returned*; NULL: it does not begin with metadata.
blob_t *packed_with_revision(bytes_t packed, int64_t revision) MUST_USE;
