// targets - whom a fault hits: turns what people name into rules for processes. Pure.
//
//     scheduler          every actor of this role          process/main   a process
//     scheduler/m1       an actor; '*' for any run         node/m1        all processes of a host
//     A:B                the link between two of these (faults of the bus only)
//
// Who kills a process or a node by name kills its processes; who slows the disk of an actor slows
// its process'. A process' or node's name cuts at its border: inside, it goes on speaking.
#pragma once
#include "runtime/base/arena.h"
#include "runtime/base/why.h"
#include "troupe/chaos.pb-c.h"

enum { TARGETS_MAX = 64, FAULT_FOR_MAX_MS = 3600 * 1000 };

typedef struct {
    const Actor__FaultRule *rule; // what to do, and how; its name is the id
    const char *const *targets;
    size_t targets_len;
} fault_wish_t;

// The name of a kind of fault as people write it: "disk-slow". NULL: there is no such kind.
const char *fault_kind_name(Actor__FaultRule__Kind kind);
bool fault_kind_parse(const char *name, Actor__FaultRule__Kind *ret_kind);

// The orders for the API server, in the arena. ERR_NOT_FOUND: a target is nobody. ERR_BAD_REQUEST:
// no target, a link for what is no fault of the bus, or a fault that this target cannot have.
err_t targets_resolve(arena_t *arena, const Actor__ActorInfos *actors, const fault_wish_t *wish,
                      Chaos__Inject *ret_inject, why_t *why) MUST_USE;
