// containerd - a container runtime of our own: its configuration, its start, its adoption.
//
// containerd runs in a session of its own under Troupe's folders and survives us; whoever starts
// next finds it by its pidfile and goes on with it. Containers never depend on our life.
#pragma once
#include "actors/kubelet/kubelet.h"
#include "runtime/base/text.h"
#include <sys/types.h>

// What the machine allows, found out at start and said in the log.
typedef struct {
    bool lacks_sys_resource; // oom_score_adj below 0 cannot be set: every sandbox would fail
    bool root_is_shared;     // mounts below / propagate
    bool cgroup_v2;          // the unified layout
    bool cgroup_hybrid;      // v1 with a unified hierarchy beside it: crun 1.8 refuses that
    bool has_runc, has_crun;
} containerd_probe_t;
void containerd_probe(containerd_probe_t *ret_probe);

// Which OCI runtime: "runc" or "crun".
const char *containerd_oci_runtime(const kubelet_args_t *args, const containerd_probe_t *probe);
// Texts of the files; pure.
void containerd_config(const kubelet_args_t *args, const containerd_probe_t *probe, text_t *out);
void containerd_hosts(uint16_t registry_port, text_t *out); // hosts.toml
void cni_config(const kubelet_args_t *args, const char *pod_range, int mtu, text_t *out);

// Folders, config.toml, and the kernel's switches for pod networks. Repeated without harm.
err_t containerd_prepare(const kubelet_args_t *args, const containerd_probe_t *probe,
                         why_t *why) MUST_USE;
err_t containerd_write_hosts(const kubelet_args_t *args, uint16_t registry_port,
                             why_t *why) MUST_USE;
err_t cni_write(const kubelet_args_t *args, const char *pod_range, why_t *why) MUST_USE;

// The running one, by pidfile: its pid, or 0.
pid_t containerd_find(const kubelet_args_t *args);
// Starts one and writes the pidfile.
err_t containerd_start(const kubelet_args_t *args, const containerd_probe_t *probe, pid_t *ret_pid,
                       why_t *why) MUST_USE;

char *containerd_socket(const kubelet_args_t *args) MUST_USE; // *returned*

// Whole or not at all: written beside and renamed.
err_t file_replace(const char *path, const void *data, size_t len, mode_t mode,
                   why_t *why) MUST_USE;
err_t make_dirs(const char *path, mode_t mode, why_t *why) MUST_USE; // with parents
