// random_msg - messages of any type, filled at random by their descriptors: what no hand writes.
#pragma once
#include "runtime/api/msg.h"
#include "runtime/base/rng.h"

// Each field is set with `density` (0-1); lists have up to three elements; map keys are sorted and
// unique. Strings come from a few that matter somewhere ("Always", "10.0.0.1", "a/b", "", …).
void *random_msg(arena_t *arena, rng_t *rng, const ProtobufCMessageDescriptor *type,
                 double density);
