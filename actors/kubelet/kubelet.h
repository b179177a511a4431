// kubelet - the node's agent: kubelet/NODE, one pod actor per pod, and the runtime actor that opens
// the doors for them (containerd through CRI, files, cgroups, probes).
//
//     apiserver ◄──► kubelet/NODE ──► pod/NS.NAME.UID ──┐ asks
//                        │   ▲            │ tells       ▼
//                        └───┴────────────┴──────► runtime/NODE ──► containerd, host
//
// kubelet/NODE speaks to the API (node, pods, statuses, events), pod actors decide and drive one
// pod each, runtime/NODE carries CRI's messages. On a simulated node another actor plays
// runtime/NODE (runtime_sim.c); the rest is the same.
#pragma once
#include "runtime/actor/kit.h"
#include "runtime/io/config.h"

// Annotation of every pod that a kubelet has taken from a file: "file".
#define KUBELET_CONFIG_SOURCE "kubernetes.io/config.source"

// All configuration of a node. Strings NULL or "": the default.
typedef struct {
    const char *node_ip;    // default: the address of the default route's interface
    const char *hostname;   // default: the node's name
    const char *data_dir;   // default /var/lib/troupe
    const char *run_dir;    // default /run/troupe
    const char *images_dir; // default DATA/images
    const char *socket;     // of a running containerd; default: one of our own, started and adopted
    const char
        *oci_runtime; // "runc", "crun", "auto" (default: crun where the cgroup layout allows it)
    const char *sandbox_image;    // default registry.k8s.io/pause:3.9
    const char *cni_bin_dir;      // default /usr/lib/cni, else /opt/cni/bin
    const char *bridge;           // default cni0
    const char *cgroup_root;      // prefix of every pod's cgroup: "/h1"; default ""
    const char *pod_log_dir;      // default /var/log/pods
    int64_t log_max_bytes;        // a container's log moves aside past it; default 10 Mi; <0: never
    int64_t log_files_max;        // kept of one container, the present one included; default 5
    const char *manifest_dir;     // static pods; default: none
    const char *pod_range;        // of this node: then spec.podCIDR is not waited for
    const char *cluster_domain;   // default cluster.local
    config_strings_t cluster_dns; // name servers of pods; none: the node's own
    config_strings_t labels;      // "key=value"
    config_strings_t taints;      // "key=value:Effect"
    int64_t pods_max;             // default 110
    int64_t cpu_milli;            // capacity; 0: what the machine has
    int64_t memory_bytes;         // 0: what the machine has
    int64_t reserved_memory_bytes; // not for pods; default 100 Mi
    int64_t alive_interval_ms;     // default 200; <0: never
    int64_t lease_interval_ms;     // default 10 s
    int64_t status_interval_ms;    // node status without a change; default 5 min
    bool simulated;                // the runtime is made up (runtime_sim)
    bool has_runtime;              // somebody else runs runtime/NODE: it outlives the kubelet
    // simulated: how long things take
    int64_t sim_sandbox_ms, sim_create_ms, sim_start_ms, sim_pull_ms, sim_stop_ms;
    int64_t sim_exit_ms; // an end is written down this much later than it is told; default 0
    double sim_fault;    // probability that a call fails
    double sim_crash;    // probability per start that the container ends by itself within seconds
} kubelet_args_t;

extern const actor_def_t kubelet_actor;
extern const config_field_t kubelet_config[]; // kind: Kubelet

// The parts, for the kubelet and for tests.
extern const actor_def_t pod_actor;         // pod/…
extern const actor_def_t runtime_cri_actor; // runtime/NODE
extern const actor_def_t runtime_sim_actor; // runtime/NODE

typedef struct {
    const kubelet_args_t *kubelet;
    const char *node; // the node's name; for the others' addresses
    const char *uid;  // the pod's
} pod_args_t;

// `args` with every default filled in; new strings live in the arena.
kubelet_args_t kubelet_args_filled(arena_t *arena, const kubelet_args_t *args, const char *node);
