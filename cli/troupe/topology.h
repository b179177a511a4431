// topology - which processes there are, what runs in each, and who is linked to whom.
//
//     kind: Topology
//     processes:
//     - name: main
//       dispatchers:
//       - name: control
//         actors:
//         - {role: apiserver, name: "${node}", config: apiserver.yaml, set: {dataDir: "${data}"}}
//       listen:
//       - {endpoint: "ipc://${run}/troupe.sock", mode: "0660", group: troupe, principal: admin}
//       connect:
//       - {peer: store, endpoint: "ipc://${run}/parts/store.sock"}
//       mesh:        # like connect, but all name all: of two the one whose name sorts later
//       connects
//       - {peer: m1, endpoint: "ipc://${run}/parts/m1.sock"}
//     principals:
//     - {name: node-1, roles: [kubelet/node-1, proxy/node-1]}
//
// The whole format is in docs/processes.md. Every mistake is an error with file and line. Nothing
// is started here.
#pragma once
#include "runtime/actor/process.h"
#include "runtime/io/config.h"
#include "runtime/io/config_tree.h"

// What ${…} stands for; the command line decides, defaults are in vars_defaults().
typedef struct {
    const char *data, *run, *config, *node, *node_ip;
} topology_vars_t;

typedef struct {
    const char *role, *name;
    const char *config;       // component file, absolute; NULL: CONFIG/ROLE.yaml where it exists
    const config_node_t *set; // fields of it given in the topology itself; NULL: none
    size_t line;
} topology_actor_t;

typedef struct {
    const char *name;
    topology_actor_t *actors;
    size_t actors_len;
    supervise_t strategy; // of its actors
} topology_dispatcher_t;

typedef struct {
    const char *name;
    topology_dispatcher_t *dispatchers;
    size_t dispatchers_len;
    listen_options_t *listens;
    size_t listens_len;
    connect_options_t *connects;
    size_t connects_len;
    int64_t hang_ms;         // an actor silent for so long: the process is killed; 0: never
    connect_options_t *mesh; // as written; what of it is ours to connect stands in connects
    size_t mesh_len;
    size_t line;
} topology_process_t;

typedef struct {
    const char *name;
    config_strings_t roles; // "kubelet", "kubelet/node-1", or "*": everything
} topology_principal_t;

typedef struct {
    const char *file;
    topology_vars_t vars;
    topology_process_t *processes;
    size_t processes_len;
    topology_principal_t *principals;
    size_t principals_len;
} topology_t;

enum { TOPOLOGY_PROCESSES_MAX = 256, TOPOLOGY_ACTORS_MAX = 8192 };
enum { HANG_DEFAULT_MS = 10 * 1000, HANG_MIN_MS = 100, HANG_MAX_MS = 3600 * 1000 };

// All in the arena. Errors: ERR_MALFORMED, ERR_INVALID, ERR_TOO_LARGE.
err_t topology_parse(arena_t *arena, const char *file, const char *text, size_t len,
                     const topology_vars_t *vars, topology_t *ret, why_t *why) MUST_USE;
// A file, or one of the topologies inside the program: "@all-in-one".
err_t topology_load(arena_t *arena, const char *file, const topology_vars_t *vars, topology_t *ret,
                    why_t *why) MUST_USE;
const topology_process_t *topology_process(const topology_t *t, const char *name); // NULL: none

// May this principal speak as this address ("kubelet/node-1")? "part" (a 0700 socket): as any;
// "admin" (the command line's socket): as cli/… and admin/…; others: what `principals` says, as a
// role ("kubelet": any of them) or an address.
bool topology_may_speak_as(const topology_t *t, const char *principal, const char *address);
