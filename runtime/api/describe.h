// describe - one object told in full, as `describe` prints it: its fields by kind, then its events.
#pragma once
#include "k8s/core_v1.pb-c.h"
#include "runtime/api/kinds.h"
#include "runtime/base/text.h"

// What a kind's text needs beside the object itself; all may be NULL.
typedef struct {
    const Core__Pod *const *pods; // node: the pods on it; replica set: its pods
    size_t pods_len;
    const Core__Endpoints *endpoints;            // service
    const ProtobufCMessage *const *replica_sets; // deployment: apps/v1 sets it owns
    size_t replica_sets_len;
} describe_extra_t;

// `events`: those about this object, in any order. `extra` may be NULL.
void describe_print(arena_t *arena, const kind_t *k, const ProtobufCMessage *obj,
                    const Core__Event *const *events, size_t events_len,
                    const describe_extra_t *extra, int64_t now_wall_ms, text_t *out);
// A pod template alone, as `rollout history --revision` prints it.
void describe_template(arena_t *arena, const Core__PodTemplateSpec *template, text_t *out);
