// control_plane - what benchmarks of a whole cluster share: store on this disk, API server,
// informers, controllers and scheduler in one process, and a client of it over ipc.
#pragma once
#include "cli/client/client.h"
#include "runtime/actor/process.h"
#include "runtime/base/arena.h"

enum { CONTROL_PLANE_WAIT_MS = 10 * 1000 };

typedef struct {
    process_t *process;
    client_t *client;
    arena_t arena; // of texts and replies
    char folder[32];
} control_plane_t;

_Noreturn void bench_die(const char *what, const char *why);
// `alone`: without the process's informers. The dispatchers are disk, store, api, control.
void control_plane_start(control_plane_t *c, bool alone);
// Stops it and replaces this program by one that removes its folder: call last.
_Noreturn void control_plane_end(control_plane_t *c);

// JSON of an object of namespace default or none; with a subresource it is an update of that.
void control_plane_create(control_plane_t *c, const char *json, const char *subresource);
// A watch of every object of a core kind.
client_stream_t *control_plane_watch(control_plane_t *c, const char *plural, const char *ns);

double control_plane_pss_mib(void); // of this whole process, client included
