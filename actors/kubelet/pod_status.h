// pod_status - what the API is told about a pod, from the same view that plans are made of.
//
// Pure: the same view and the same old status give the same new one; times of conditions move only
// with their status.
#pragma once
#include "actors/kubelet/pod_plan.h"

typedef struct {
    const char *host_ip;
    const char *pod_ip;           // "" or NULL: none yet
    const Core__PodStatus *old;   // as last written or read; NULL: none
    const char *reason, *message; // of the pod as a whole (DeadlineExceeded …); NULL: none
    bool failed;                  // the pod has failed for `reason`
} pod_facts_t;

// In the arena; shares parts with the view and `old`.
Core__PodStatus *pod_status(const pod_view_t *view, const pod_facts_t *facts, arena_t *arena);
