// vars - the options that every cluster verb has: where things lie, and which node this is.
#pragma once
#include "cli/options/options.h"
#include "cli/troupe/topology.h"

// Rows of an option table whose struct holds a topology_vars_t called `member`.
#define VARS_OPTIONS(type, member)                                         \
    {                                                                      \
        "data",        0,                                                  \
        OPTION_STRING, offsetof(type, member.data),                        \
        "DIR",         "data folder [/var/lib/troupe]"},                   \
        {"run-dir",     0,                                                 \
         OPTION_STRING, offsetof(type, member.run),                        \
         "DIR",         "sockets, pid file [/run/troupe]"},                \
        {"config-dir",  0,                                                 \
         OPTION_STRING, offsetof(type, member.config),                     \
         "DIR",         "component files [/etc/troupe]"},                  \
        {"node",        0,                                                 \
         OPTION_STRING, offsetof(type, member.node),                       \
         "NAME",        "this node's name [host name]"},                   \
    {                                                                      \
        "node-ip", 0, OPTION_STRING, offsetof(type, member.node_ip), "IP", \
            "this node's address [that of the default route]"              \
    }

// Fills in what was not given, makes paths absolute, checks name and address. In the arena.
err_t vars_complete(arena_t *arena, topology_vars_t *vars, why_t *why) MUST_USE;
// RUN/troupe.pid, DATA/troupe.lock. In the arena.
const char *vars_pid_file(arena_t *arena, const topology_vars_t *vars);
const char *vars_lock_file(arena_t *arena, const topology_vars_t *vars);
