// build - API objects from a line of text, for tests:
//
//     Core__Node *node = build(&arena, &core__node__descriptor,
//                              "metadata.name=n1; status.allocatable[cpu]=4;
//                              spec.taints[0].key=x");
//
// A path names fields as JSON does (case does not matter), list items by [number], map entries by
// [key]. Values: text, numbers, true/false; quantities, times (seconds) and int-or-strings as they
// read. A mistake in the text fails the test.
#pragma once
#include "runtime/base/arena.h"
#include <protobuf-c/protobuf-c.h>

void *build(arena_t *arena, const ProtobufCMessageDescriptor *type, const char *script);
// More of the same into an object that is there.
void build_into(arena_t *arena, void *msg, const char *script);
