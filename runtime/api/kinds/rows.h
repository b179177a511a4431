// rows - what the rows of the kinds table point at: one block for each kind. Only kinds.c and the
// files of this folder include it.
#pragma once
#include "runtime/api/kinds.h"

// ---- conversions (betas.c): the version a client speaks, and the one that is stored
// --------------
#define CONVERSIONS(name)                                                            \
    ProtobufCMessage *name##_to_stored(arena_t *arena, const ProtobufCMessage *obj); \
    ProtobufCMessage *name##_from_stored(arena_t *arena, const ProtobufCMessage *obj);
CONVERSIONS(deployment_extensions)
CONVERSIONS(deployment_v1beta1)
CONVERSIONS(deployment_v1beta2)
CONVERSIONS(replicaset_extensions)
CONVERSIONS(replicaset_v1beta2)
#undef CONVERSIONS
