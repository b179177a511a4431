// lock - files that say who is there: DATA/troupe.lock (one cluster per data folder) and
// RUN/troupe.pid (one parent per run folder).
//
// A lock is a flock(2) of an open file, never the mere presence of a file: what a killed process
// leaves behind stops nobody. Children inherit the data folder's lock, so that a new parent waits
// until the last child of a killed one is gone.
#pragma once
#include "runtime/base/why.h"
#include <sys/types.h>

// Creates the file where needed, locks it and writes our pid into it. A holder that is not a live
// process of that pid (children of a killed parent) is waited for, wait_ms at most.
// ERR_EXISTS: held; `why` names the pid.
err_t lock_take(const char *path, int64_t wait_ms, int *ret_fd, why_t *why) MUST_USE;
// Who holds it? ERR_NOT_FOUND: nobody (or no such file).
err_t lock_holder(const char *path, pid_t *ret_pid, why_t *why) MUST_USE;
