// pod - questions about pods that several parts ask.
#pragma once
#include "k8s/core_v1.pb-c.h"
#include "runtime/api/kinds.h"

// "Guaranteed", "Burstable" or "BestEffort", by cpu and memory of all containers.
const char *pod_qos_class(const Core__PodSpec *spec);
const Core__PodCondition *pod_condition(const Core__Pod *pod, const char *type); // NULL: none
bool pod_has_ended(const Core__Pod *pod); // Succeeded or Failed: never runs again
// What the table shows of a pod: STATUS, READY and RESTARTS, as kubectl does.
typedef struct {
    const char *status; // "Running", "Init:0/2", "CrashLoopBackOff", "Terminating"
    int ready, total;   // containers
    int restarts;
    int64_t last_restart_wall_ms; // 0: none known
} pod_summary_t;
pod_summary_t pod_summary(arena_t *arena, const Core__Pod *pod);
bool pod_is_mirror(const ProtobufCMessage *obj); // stands for a file in a node's manifest folder
// An init container that goes on beside the others (restartPolicy Always).
bool container_is_sidecar(const Core__Container *init_container);
