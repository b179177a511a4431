// admission - what the cluster adds to objects, and what it refuses, between defaults and storage.
// Each function is a plugin of Kubernetes by the same name; pure.
#pragma once
#include "actors/apiserver/request.h"

// DefaultTolerationSeconds, with the seconds of this cluster's configuration. (What needs no
// configuration, as ServiceAccount's and Priority's defaults, the kind's strategy does.)
void admission_mutate(arena_t *arena, const world_t *world, ProtobufCMessage *obj);
// NamespaceLifecycle: may this be created in its namespace? NULL, or the Status.
Meta__Status *admission_namespace(arena_t *arena, const request_t *r, const world_t *world,
                                  const char *name);
// NodeRestriction. `obj` NULL: delete.
Meta__Status *admission_validate(arena_t *arena, const request_t *r, const ProtobufCMessage *obj,
                                 const ProtobufCMessage *old);
