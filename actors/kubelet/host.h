// host - what a pod needs of its machine beside the runtime: folders, files, memory-backed folders,
// cgroups; and their removal.
#pragma once
#include "runtime/base/text.h"
#include "runtime/base/why.h"
#include "troupe/node.pb-c.h"
#include <sys/types.h>

// `mounts_of`: a process in whose mount namespace file systems are mounted (containerd's, when it
// has one of its own); 0: ours. Steps are done in order; the first failure ends it.
err_t host_prepare(const Node__HostPrepare *wanted, pid_t mounts_of, why_t *why) MUST_USE;
// Mounts below the paths first, then the trees; cgroups deepest first, in every hierarchy.
void host_remove(const Node__HostRemove *wanted, pid_t mounts_of);
// At most `max_bytes` of the file, from its start or its end. ERR_NOT_FOUND.
err_t host_read(const char *path, size_t max_bytes, bool tail, text_t *out) MUST_USE;
bool host_has_cgroup_v2(void);
