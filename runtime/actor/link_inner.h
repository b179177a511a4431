// link_inner - what the two kinds of links share: connections and peers. Private to link_*.c.
#pragma once
#include "runtime/actor/lane.h"
#include "runtime/actor/link.h"
#include "runtime/actor/wire.h"
#include "runtime/base/map.h"
#include "runtime/base/vec.h"
#include <zmq.h>

typedef enum { LANE_CONTROL, LANE_BULK, LANES } lane_kind_t;

typedef struct link link_t;
typedef struct peer peer_t;

// One ZeroMQ connection, seen from our end.
typedef struct {
    link_t *link;
    peer_t *peer;  // NULL before its Hello (listening side), and after its end
    void *socket;  // borrowed
    uint8_t id[5]; // ROUTER: its routing id; DEALER: id_len is 0
    size_t id_len;
    int fd;        // ROUTER: the connection's descriptor, as the monitor names it
    uint64_t born; // ROUTER: the settle that saw it first
    lane_kind_t kind;
    lane_t lane;
    name_t *principal;        // owned; who the other side proved to be
    name_t *to, *from, *type; // owned; of the last message: the next one often has the same
    envelope_t *hello;        // owned; ours, until the socket takes it
    bool greeted;             // its Hello is here
    bool lost;                // nothing is sent on it nor taken from it any more
    bool is_blocked;          // stands in link->blocked
} conn_t;

typedef struct {
    name_t *address;
    uint64_t incarnation;
} peer_actor_t;

enum { PEER_BURIED = 256 }; // a message that its sender's end overtook is that young

struct peer {
    char *process;
    uint64_t boot_id, session;
    name_t *name, *principal; // owned
    conn_t *lanes[LANES];
    peer_actor_t buried[PEER_BURIED]; // a ring of those that were told gone; names owned
    size_t buried_at;
    map_t actors;        // address → peer_actor_t *, owned
    Actor__Hello *hello; // control lane's, until the peer is up; borrowed from hello_arena
    arena_t hello_arena;
    bool up;    // its actors are in the directory
    bool talks; // greeted on both lanes: it knows our actors, too
};

struct link {
    actor_t *me;
    const link_args_t *args;
    conn_t *own[LANES];          // connecting side: its two connections; else NULL
    map_t peers;                 // process → peer_t *, owned
    map_t carriers;              // address → peer_t *
    VEC(conn_t *) blocked;       // with a queue: tried again in each settle
    VEC(Actor__ActorEntry) news; // of this process, not told yet; addresses owned
    // A connection must end: the listening side stops hearing it, the connecting side starts anew.
    void (*lose)(link_t *l, conn_t *c);
};

void link_init(link_t *l, actor_t *me, const link_args_t *args, void (*lose)(link_t *l, conn_t *c));
void link_done(link_t *l); // every peer is gone; connections are the caller's

void conn_init(conn_t *c, link_t *l, void *socket, const char *principal);
void conn_done(conn_t *c);
// Our Hello. The control lane's lists our actors.
void conn_greet(conn_t *c, lane_kind_t kind, uint64_t session);
// Two frames arrived.
void conn_receive(conn_t *c, bytes_t head, bytes_t body);
// The connection is over, or has to be: its peer is gone.
void conn_lose(conn_t *c, const char *reason);
// As conn_lose, for a peer that breaks the rules; it is told why.
void conn_refuse(conn_t *c, const char *reason);

// Tells news, sends what waits. True: a socket did not take it; look again in LINK_STUCK_MS (the
// socket's own signal may have been read already, by another call).
bool link_settle(link_t *l);
enum { LINK_STUCK_MS = 5 };
err_t link_carry(link_t *l, envelope_t **env);
void link_changed(link_t *l, const notice_t *notice);
bool link_peer_is_up(const link_t *l, const conn_t *c);

// ---- sockets -----------------------------------------------------------------------------------
typedef struct {
    void *socket, *monitor; // monitor: the PAIR that reports the socket's events
} link_socket_t;

// Socket with limits, watched by the actor; not yet bound or connected. `domain`: who may connect.
err_t link_socket_open(actor_t *me, const link_process_t *of, int type, bool is_tcp,
                       link_socket_t *ret, why_t *why) MUST_USE;
void link_socket_close(actor_t *me, link_socket_t *s);
// One message of two frames (behind the routing id, of a ROUTER). The frames are inited, and the
// caller closes them whatever the answer is.
typedef enum { LINK_RECEIVED, LINK_NOTHING, LINK_GARBAGE } link_received_t;
typedef struct {
    zmq_msg_t id, head, body;
} link_frames_t;
void link_frames_init(link_frames_t *f);
void link_frames_done(link_frames_t *f);
link_received_t link_socket_receive(const link_socket_t *s, bool is_router, link_frames_t *ret);
bool link_socket_has_news(const link_socket_t *s); // either of the two
// The next event of the monitor: false when there is none.
bool link_socket_event(const link_socket_t *s, uint16_t *ret_event, uint32_t *ret_value);

err_t link_prepare_ipc(const listen_options_t *o, why_t *why) MUST_USE; // the folder, before bind
err_t link_open_ipc(const listen_options_t *o, why_t *why) MUST_USE; // owner and mode, after bind
err_t link_curve_server(void *socket, const listen_options_t *o, why_t *why) MUST_USE;
err_t link_curve_client(void *socket, const connect_options_t *o, why_t *why) MUST_USE;
// public-key or secret-key of a certificate file; Z85.
enum { LINK_KEY_TEXT = 41 };
err_t link_read_key(const char *path, const char *which, char ret[static LINK_KEY_TEXT],
                    why_t *why) MUST_USE;
