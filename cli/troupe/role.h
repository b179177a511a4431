// role - what a topology may put into a process: the actor behind a role, and its configuration.
#pragma once
#include "cli/troupe/topology.h"
#include "runtime/actor/kit.h"
#include "runtime/base/text.h"
#include "runtime/io/config.h"

typedef struct {
    const char *role; // as topologies and addresses say it; NULL ends the table
    const actor_def_t *def;
    size_t args_size;        // of the struct its start() gets; 0: none
    const void *defaults;    // args before any file is read; NULL: zeroes
    const char *config_kind; // `kind:` of its component file; NULL: it has none
    const config_field_t *config;
    bool needs_root; // mounts, network rules, other users' processes
    // Where it may be moved (placement.h): roles it must be linked to, separated by spaces ("*":
    // all, "cli": command lines); and why it may not be moved at all, NULL: it may.
    const char *speaks_with, *stays;
    bool roams; // also to another machine, to a process that runs one of its own
} role_t;

extern const role_t roles[]; // roles.c

const role_t *role_find(const char *role); // NULL: no such role
// The actor's args: defaults, then its component file, then the topology's `set:`. In the arena,
// which must outlive the actor.
err_t role_args(const role_t *role, const topology_t *t, const topology_actor_t *actor,
                arena_t *arena, const void **ret_args, why_t *why) MUST_USE;
// Every role known, every component file right, root where it is needed: what can be said before
// anything is started.
err_t role_check_topology(const topology_t *t, why_t *why) MUST_USE;
// Its component file with every field as a comment: meaning, range, default. The role has one.
void role_print_config(text_t *out, const role_t *role);
