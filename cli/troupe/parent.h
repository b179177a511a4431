// parent - the small process above the others: starts the processes of a topology, restarts those
// that die, stops them in order.
//
// It owns no ZeroMQ socket, no actor and no thread, so that little can go wrong in it; a child
// survives nothing, and need not. Children are killed by the kernel when the parent dies
// (PR_SET_PDEATHSIG), and hold the data folder's lock until they are gone.
#pragma once
#include "cli/troupe/topology.h"

typedef struct {
    const topology_t *topology; // borrowed
    const char *topology_file;  // as children are to load it: a path or "@name"
    const char *log;            // in the background: put aside when it is long; NULL: none
    int lock_fd;                // the data folder's lock, handed to every child
    int status_fd;              // told "ready" and "failed …" (child_status.h); -1: nobody
} parent_options_t;

enum { PAUSE_MAX_MS = 3600 * 1000 };

// How long a process that has died `deaths` times in a row stays dead.
int64_t parent_restart_delay_ms(unsigned deaths);
// The deaths in a row, with this one: to wait helps one that dies while it starts or soon after,
// not one that had work and was killed.
unsigned parent_deaths_in_row(unsigned before, bool was_ready, int64_t lived_ms);

// Until a signal asks to stop (ERR_OK) or the first start fails (`why`). SIGINT, SIGTERM and SIGHUP
// must be blocked in the only thread.
err_t parent_run(const parent_options_t *options, why_t *why) MUST_USE;
