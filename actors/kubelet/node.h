// node - what the API is told about this machine: its Node object.
//
// node_facts reads the machine once; the rest is pure.
#pragma once
#include "actors/kubelet/kubelet.h"
#include "k8s/core_v1.pb-c.h"

// Texts live in the arena they were read into.
typedef struct {
    const char *machine_id, *boot_id, *kernel, *os_image;
    int64_t cpu_milli, memory_bytes, disk_bytes;
} node_facts_t;
void node_facts(arena_t *arena, bool simulated, const char *node, node_facts_t *ret_facts);
// The address of the interface with the default route, else of the first that is up. "" if none.
const char *node_address(arena_t *arena);

typedef struct {
    bool runtime_ready, network_ready;
    const char *runtime_name, *runtime_version;
    const char *message; // why the runtime or the network is not ready
    int64_t now_ms;      // wall
} node_state_t;

// The object as it is registered: labels, taints, status.
Core__Node *node_object(const kubelet_args_t *args, const char *node, const node_facts_t *facts,
                        const node_state_t *state, arena_t *arena);
// `old`: as the API has it; times of conditions move only with their status. NULL: none.
Core__NodeStatus *node_status(const kubelet_args_t *args, const char *node,
                              const node_facts_t *facts, const node_state_t *state,
                              const Core__NodeStatus *old, arena_t *arena);
bool node_is_ready(const Core__NodeStatus *status);
