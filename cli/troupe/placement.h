// placement - where the actors of a topology run now: those that were moved (`troupectl actors
// move`) run elsewhere than the topology says. Kept in DATA/placement.yaml, so that a restart of
// anything finds them where they were put:
//
//     kind: Placement
//     actors:
//       scheduler/m1: scheduler/m1     # a process of its own bears its actor's address
//       chaos/m1: main                 # a process of the topology
//       controllers/m1: m2             # none of this topology: another machine's
//       scheduler/m3: main             # none of this topology's actors: a guest from another
//       machine
//
// The parent alone writes the file; then each process looks what is its own (SIGHUP). An actor that
// bears no entry is at home. Pure but for load and save.
#pragma once
#include "cli/troupe/topology.h"

typedef struct {
    const char *actor, *process;
} placement_move_t;

typedef struct {
    placement_move_t *moves; // sorted by actor
    size_t len;
} placement_t;

// DATA/placement.yaml. In the arena.
const char *placement_file(arena_t *arena, const topology_vars_t *vars);
// A file that is missing moves nobody. Errors: ERR_MALFORMED, ERR_INVALID, ERR_IO, …
err_t placement_load(arena_t *arena, const char *file, placement_t *ret, why_t *why) MUST_USE;
// The whole file anew: written beside it, synced, renamed.
err_t placement_save(const char *file, const placement_t *p, why_t *why) MUST_USE;
// A copy with this actor in this process; NULL: at home. In the arena.
placement_t placement_with(arena_t *arena, const placement_t *p, const char *actor,
                           const char *process);

// What the topology says of an address: the actor, its process and its dispatcher. False: nothing.
typedef struct {
    const topology_process_t *process;
    const topology_dispatcher_t *dispatcher;
    const topology_actor_t *actor;
} home_t;
bool placement_home(const topology_t *t, const char *address, home_t *ret);

// The process that is to run this actor: where it was moved to, else home.
const char *placement_process_of(const placement_t *p, const home_t *home, const char *address);
// All actors in the order of the topology.
void placement_each(const topology_t *t, void (*each)(void *arg, const home_t *home), void *arg);

// May this actor go there ("own", or the actor's address: a process of its own; a process of the
// topology; else *ret_far: one of another machine, if it is known)? ret_process: that process'
// name. Errors, each with its reason: ERR_NOT_FOUND, ERR_FORBIDDEN (its role, or its links),
// ERR_EXISTS
// (`from`: it is there already). In the arena.
err_t placement_check(arena_t *arena, const topology_t *t, const char *address, const char *from,
                      const char *to, const char **ret_process, bool *ret_far, why_t *why) MUST_USE;
// May this process take an actor that nobody runs: its own one back, or a guest? As a peer with
// this principal asks (NULL: an administrator of this machine).
err_t placement_check_guest(const topology_t *t, const topology_process_t *of, const char *address,
                            const char *principal, why_t *why) MUST_USE;
// How a guest of this role runs in a process: as the process' own one does. False: it has none.
bool placement_host(const topology_t *t, const topology_process_t *of, const char *address,
                    home_t *ret);

// The process of its own of a moved actor: without dispatchers, linked to all sockets of this
// machine that are for parts, and to those whom its home is linked to.
void placement_own_process(arena_t *arena, const topology_t *t, const home_t *home,
                           const char *address, topology_process_t *ret);
