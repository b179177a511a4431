// pod_env - a container's environment, and the downward API: facts about the pod as text.
#pragma once
#include "actors/kubelet/pod_config.h"

// Ordered as given; a later name replaces the value of an earlier one.
typedef struct {
    arena_t *arena;
    Cri__KeyValue **at;
    size_t len, cap;
} env_t;

err_t pod_env(const pod_scene_t *scene, const Core__Container *c, env_t *env, why_t *why) MUST_USE;
// metadata.name, metadata.labels['x'], status.podIP, … NULL: not a field that is served.
const char *pod_field(const pod_scene_t *scene, const char *path, arena_t *arena);
// limits.cpu, requests.memory, … of a container, divided and rounded up. NULL: not served.
const char *pod_resource(const pod_scene_t *scene, const Core__ResourceFieldSelector *selector,
                         const Core__Container *own, arena_t *arena);

// Amounts of a container; `fallback` when the spec names none.
int64_t container_amount(const Core__Container *c, bool of_limits, const char *resource,
                         bool in_milli, int64_t fallback);
