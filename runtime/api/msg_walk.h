// msg_walk - what code needs that walks messages field by field (msg, json, yaml, explain); others
// use msg.h.
#pragma once
#include "runtime/api/fields.h"
#include "runtime/api/msg.h"

#define FIELD_AT(msg, offset, type) (*(__typeof__(type) *)((char *)(msg) + (offset)))
#define FIELD_IN(msg, offset, type) (*(__typeof__(type) const *)((const char *)(msg) + (offset)))

size_t
msg_element_size(const ProtobufCFieldDescriptor *f); // bytes of one value in a struct or list
bool msg_field_is_map(const ProtobufCMessageDescriptor *owner, const ProtobufCFieldDescriptor *f);
// As API objects mean it: a scalar that is no pointer in Go is unset when it is zero. `type` is
// api_type_of the message; NULL: protobuf's own presence.
bool msg_scalar_is_set(const api_type_t *type, const ProtobufCMessage *msg,
                       const ProtobufCFieldDescriptor *f);
static inline bool msg_field_is_set(const api_type_t *type, const ProtobufCMessage *msg,
                                    const ProtobufCFieldDescriptor *f) {
    // Lists and messages are most of what is asked about, and easy.
    if (f->label == PROTOBUF_C_LABEL_REPEATED)
        return FIELD_IN(msg, f->quantifier_offset, size_t) > 0;
    if (f->type == PROTOBUF_C_TYPE_MESSAGE && !(f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF))
        return FIELD_IN(msg, f->offset, void *) != NULL;
    return msg_scalar_is_set(type, msg, f);
}
// Sorts map entries by key, the last of equal keys stays; returns how many are left.
size_t msg_map_sort(ProtobufCMessage **entries, size_t len);
// Follows a row of the side table to the message that holds the field: through inlined messages,
// NULL when one of them is unset. `ret_f` is the field's descriptor in either case.
const ProtobufCMessage *msg_holder(const ProtobufCMessage *msg,
                                   const ProtobufCMessageDescriptor *type, const api_field_t *row,
                                   const ProtobufCFieldDescriptor **ret_f);
// The same, making what is missing. NULL past the arena's limit.
ProtobufCMessage *msg_holder_make(arena_t *arena, ProtobufCMessage *msg, const api_field_t *row,
                                  const ProtobufCFieldDescriptor **ret_f);
