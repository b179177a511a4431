// make - objects that short commands build: pods, deployments, services, namespaces. Pure: words
// in, object out; what is wrong with the words is said through why.
#pragma once
#include "cli/troupectl/flags.h"
#include "k8s/apps_v1.pb-c.h"
#include "k8s/core_v1.pb-c.h"
#include "runtime/api/kinds.h"

Core__Pod *make_pod(arena_t *arena, const char *name, const flags_t *o, const words_t *args,
                    why_t *why);
// `label_key`: "run" for run --replicas, "app" for create deployment, as kubectl has it.
Apps__Deployment *make_deployment(arena_t *arena, const char *name, const char *label_key,
                                  const flags_t *o, const words_t *args, why_t *why);
Core__Namespace *make_namespace(arena_t *arena, const char *name);
// A service in front of what `selector` selects; ports from --port or the containers.
Core__Service *make_service(arena_t *arena, const char *name,
                            Meta__ObjectMeta__LabelsEntry *const *selector, size_t selector_len,
                            const Core__PodSpec *pod_spec, const flags_t *o, why_t *why);
// "a=b,c=d" into labels of the object.
err_t make_labels(arena_t *arena, ProtobufCMessage *obj, const char *text, why_t *why) MUST_USE;
