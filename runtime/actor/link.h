// link - a road to other processes: a ZeroMQ socket, who is behind it, and what may come over it.
//
// A link is an actor (gateway_t of actor.h) on a dispatcher of its own. A listening link owns one
// ROUTER and has any number of peers; a connecting link has one peer and two DEALERs, one for each
// lane. Peers greet each other on both lanes with actor.Hello: name, boot id, actors. From then on
// the directory knows the peer's actors, until one of its connections ends: then both do, and
// everything that was under way with it fails at once.
//
//      connecting side                                   listening side
//      control  ── Hello{process, boot, session, actors} ──►
//      bulk     ── Hello{…, session} ──────────────────────►   both here: its actors are known
//               ◄── Hello{process, boot, actors} ── control
//               ◄── Hello ──────────────────────── bulk
//               ◄── messages, LaneCredit, Hello{changes} ──►
//
// What a stranger may send is limited, checked and counted: a wrong frame costs it its connection,
// never us the process. `from` must be an address that the peer's principal may speak as.
#pragma once
#include "runtime/actor/actor.h"

enum {
    LINK_PEERS_MAX = 8192,   // of one listening link
    LINK_HEARTBEAT_MS = 250, // tcp: a host that lost its power says nothing
    LINK_HEARTBEAT_TIMEOUT_MS = 750,
    LINK_HELLO_TIMEOUT_MS = 3000,
    LINK_RETRY_FIRST_MS = 10,
    LINK_RETRY_MAX_MS = 1000,
};

// What every link of a process shares.
typedef struct {
    void *context;       // ZeroMQ's
    const char *process; // our name
    uint64_t boot_id;
    bool (*may_speak_as)(void *arg, const char *principal, const char *address); // never NULL
    void *may_speak_as_arg;
} link_process_t;

typedef struct {
    link_process_t of;
    listen_options_t listen;   // link_listen_actor
    connect_options_t connect; // link_connect_actor
} link_args_t;

extern const actor_def_t link_listen_actor;  // link_args_t
extern const actor_def_t link_connect_actor; // link_args_t
// Says which CURVE keys may connect (RFC 27/ZAP): those in the `allowed` folder of the listening
// socket. One per process, before the first socket with keys. link_process_t
extern const actor_def_t link_zap_actor;

// The default of process_options_t.may_speak_as: "part" as anybody, "admin" as cli/… and admin/….
bool link_default_may_speak_as(void *arg, const char *principal, const char *address);
// How long the n-th attempt in a row waits before it connects.
int64_t link_retry_delay_ms(unsigned attempts);
