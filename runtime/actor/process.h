// process - one operating-system process full of actors: dispatchers (threads), the bus between
// them, the links to other processes, the directory of who is where, the root supervisor.
//
// main() builds one from a topology, waits for a signal, and stops it:
//
//     process_t *p;
//     process_new(&options, &p, &why);
//     process_add_dispatcher(p, "control");
//     process_spawn(p, "control", &apiserver_actor, "m1", &apiserver_args, &why);   // waits for
//     start process_listen(p, "ipc:///run/troupe/m1.sock", …);  process_connect(p, "m2", "tcp://…",
//     …); … process_stop(p);  process_destroy(&p);
//
// main blocks SIGINT and SIGTERM before process_new, and alone waits for them.
#pragma once
#include "runtime/actor/kit.h"

typedef struct process process_t;

typedef struct {
    const char *name; // unique in the cluster: "m1/control", "node-1"
    const char *host; // shown by `get actors`
    // May `principal` speak as `address` ("kubelet/node-1")? NULL: "part" as any, "admin" as cli/…
    // and admin/…, all others as none. Called on the link's thread.
    bool (*may_speak_as)(void *arg, const char *principal, const char *address);
    void *may_speak_as_arg;
    size_t trace_hops_max; // size of the trace ring; 0: 16384
    // How often this process has been started again, and why the last time: its actors show it.
    uint32_t restarts;
    const char *last_reason; // NULL: never
    // A word for the process above this one (child_status.h); NULL: there is none.
    void (*tell_parent)(void *arg, const char *word, const char *sentence);
    void *tell_parent_arg;
    // May an actor of this process move to `to`? The name of that process into `arena`, whether it
    // has a parent of its own (far), or an error and why. And may one come from afar, as
    // `principal` (NULL: this machine's administrator) asks? Called on the thread of
    // system/PROCESS; see moves.h for what the parent is told. NULL: nobody may.
    err_t (*may_move)(void *arg, arena_t *arena, const char *address, const char *to,
                      const char **ret_process, bool *ret_far, why_t *why);
    err_t (*may_take)(void *arg, const char *address, const char *principal, why_t *why);
    void *may_move_arg;
} process_options_t;

err_t process_new(const process_options_t *options, process_t **ret_process, why_t *why) MUST_USE;
err_t process_add_dispatcher(process_t *p, const char *dispatcher, why_t *why) MUST_USE;

// Spawn under the root supervisor; returns after its start has said how it went.
err_t process_spawn(process_t *p, const char *dispatcher, const actor_def_t *def, const char *name,
                    const void *args, const restart_policy_t *policy, why_t *why) MUST_USE;

bool process_runs(process_t *p, const char *address); // under its root supervisor
// For good. Nothing happens where it does not run.
void process_retire(process_t *p, const char *address, const char *reason);

typedef struct {
    const char *endpoint;         // ipc://PATH or tcp://ADDR:PORT
    mode_t socket_mode;           // ipc: 0600, or 0660 with group
    const char *socket_group;     // ipc: group that owns the socket; NULL: none
    const char *principal;        // ipc: what peers of this socket are taken for ("part", "admin")
    const char *key_file;         // tcp: our CURVE certificate (secret); NULL: tcp is refused
    const char *allowed_keys_dir; // tcp: one public certificate per allowed peer; its file name
                                  // without .cert is the principal
} listen_options_t;
err_t process_listen(process_t *p, const listen_options_t *options, why_t *why) MUST_USE;

typedef struct {
    const char *peer; // its process name; "": whoever answers there
    const char *endpoint;
    const char *key_file;        // tcp: our certificate
    const char *server_key_file; // tcp: its public certificate
} connect_options_t;
err_t process_connect(process_t *p, const connect_options_t *options, why_t *why) MUST_USE;

// The process ends itself (an actor used up its restarts, …): becomes readable; then ask why.
int process_exit_fd(const process_t *p);
const char *process_exit_reason(const process_t *p);
// The watchdog's look, from any thread: the role of an actor (one that may block is none) whose
// handler or settle has not returned for `hang_ms`; NULL: all is well.
const char *process_hung(const process_t *p, int64_t hang_ms);
void process_stop(process_t *p); // stops all actors, reverse order of start
void process_destroy(process_t **p);
