// The listening side: one ROUTER, any number of peers.
#include "runtime/actor/link_inner.h"
#include <endian.h>
#include <errno.h>

// ---- state --------------------------------------------------------------------------------------
enum { TIMER_STUCK = 1 };
enum { ROUND_MAX = 512 }; // messages of one settle: the dispatcher's other links wait meanwhile

typedef struct {
    link_t link;
    link_socket_t socket;
    imap_t conns; // routing id → conn_t *, owned
    uint64_t settles;
    bool is_tcp;
} listener_t;

typedef struct {
    uint16_t event;
    uint32_t fd;
} fd_event_t;

// ---- connections --------------------------------------------------------------------------------
// A ROUTER cannot close a single connection: what still comes on it is not heard.
static void lose(link_t *l, conn_t *c) {}

static void remove_conn(listener_t *self, conn_t *c, uint64_t key) {
    conn_lose(c, "it closed the connection");
    imap_remove(&self->conns, key);
    conn_done(c);
    free(c);
}

// libzmq's own routing ids are a zero byte and a number; a peer that chose one is no link.
static bool key_of(zmq_msg_t *id, uint64_t *ret_key) {
    uint32_t number;
    const uint8_t *at = zmq_msg_data(id);
    if (zmq_msg_size(id) != 5 || at[0] != 0) return false;
    memcpy(&number, at + 1, sizeof number);
    *ret_key = (uint64_t)be32toh(number) + 1;
    return true;
}

static conn_t *conn_of(listener_t *self, link_frames_t *f) {
    uint64_t key;
    if (!key_of(&f->id, &key)) return NULL;
    conn_t *c = imap_get(&self->conns, key);
    if (c) return c;
    if (imap_len(&self->conns) >= LANES * LINK_PEERS_MAX) return NULL;
    const char *principal =
        self->is_tcp ? zmq_msg_gets(&f->head, "User-Id") : self->link.args->listen.principal;
    if (is_empty(principal)) return NULL; // ZAP names everybody whom it lets in
    c = NEW(conn_t);
    conn_init(c, &self->link, self->socket.socket, principal);
    memcpy(c->id, zmq_msg_data(&f->id), sizeof c->id);
    c->id_len = sizeof c->id;
    c->fd = zmq_msg_get(&f->head, ZMQ_SRCFD);
    c->born = self->settles;
    imap_put(&self->conns, key, c);
    return c;
}

static void receive(listener_t *self) {
    for (int i = 0; i < ROUND_MAX; i++) {
        link_frames_t f;
        link_frames_init(&f);
        link_received_t got = link_socket_receive(&self->socket, true, &f);
        if (got != LINK_NOTHING) {
            conn_t *c = conn_of(self, &f);
            if (!c)
                actor_count(self->link.me, "link_strangers_total", 1);
            else if (got == LINK_GARBAGE)
                conn_refuse(c, "not a message of two frames");
            else
                conn_receive(c, (bytes_t){zmq_msg_data(&f.head), zmq_msg_size(&f.head)},
                             (bytes_t){zmq_msg_data(&f.body), zmq_msg_size(&f.body)});
        }
        link_frames_done(&f);
        if (got == LINK_NOTHING) return;
    }
}

// ---- the monitor: which connection ended
// --------------------------------------------------------- Descriptors are used again, but events
// come in order. A connection that spoke before this settle is the older user of its descriptor;
// one that spoke first in this settle may be the newer one, when an ACCEPTED follows the
// DISCONNECTED.
static void end_conn_with_fd(listener_t *self, uint32_t fd, bool used_again) {
    conn_t *oldest = NULL;
    uint64_t oldest_key = 0, key;
    size_t at = 0;
    void *value;
    while (imap_next(&self->conns, &at, &key, &value)) {
        conn_t *c = value;
        if (c->fd == (int)fd && (!oldest || c->born < oldest->born)) oldest = c, oldest_key = key;
    }
    if (!oldest || (used_again && oldest->born == self->settles)) return;
    remove_conn(self, oldest, oldest_key);
}

static void watch(listener_t *self) {
    VEC(fd_event_t) events = {0};
    fd_event_t e;
    while (link_socket_event(&self->socket, &e.event, &e.fd)) {
        if (e.event == ZMQ_EVENT_ACCEPTED || e.event == ZMQ_EVENT_DISCONNECTED)
            vec_push(&events, e);
    }
    for (size_t i = 0; i < events.len; i++) {
        if (events.at[i].event != ZMQ_EVENT_DISCONNECTED) continue;
        bool used_again = false;
        for (size_t k = i + 1; k < events.len && !used_again; k++)
            used_again =
                events.at[k].event == ZMQ_EVENT_ACCEPTED && events.at[k].fd == events.at[i].fd;
        end_conn_with_fd(self, events.at[i].fd, used_again);
    }
    vec_done(&events);
}

static void settle(actor_t *me) {
    listener_t *self = actor_state(me);
    self->settles++;
    receive(self);
    watch(self);
    if (link_settle(&self->link)) actor_timer(me, TIMER_STUCK, LINK_STUCK_MS);
    // Sending reads the socket's signals as well: what came meanwhile wakes nobody.
    if (link_socket_has_news(&self->socket)) actor_settle_again(me);
}

// ---- life ---------------------------------------------------------------------------------------
static err_t carry(actor_t *me, envelope_t **env) { return link_carry(actor_state(me), env); }
static void changed(actor_t *me, const notice_t *notice) { link_changed(actor_state(me), notice); }
static const gateway_t gateway = {.carry = carry, .changed = changed};
static_assert(offsetof(listener_t, link) == 0, "the state is the link");

static err_t bind_socket(listener_t *self, const listen_options_t *o, why_t *why) {
    err_t e =
        self->is_tcp ? link_curve_server(self->socket.socket, o, why) : link_prepare_ipc(o, why);
    if (e) return e;
    if (zmq_bind(self->socket.socket, o->endpoint) < 0)
        return why_set(why, errno == EADDRINUSE ? ERR_EXISTS : err_from_errno(errno), "%s: %s",
                       o->endpoint, zmq_strerror(errno));
    return self->is_tcp ? ERR_OK : link_open_ipc(o, why);
}

static err_t start(actor_t *me, const void *args_at, why_t *why) {
    listener_t *self = actor_state(me);
    const link_args_t *args = args_at;
    self->is_tcp = has_prefix(args->listen.endpoint, "tcp:");
    link_init(&self->link, me, args, lose);
    actor_set_gateway(me, &gateway);
    err_t e = link_socket_open(me, &args->of, ZMQ_ROUTER, self->is_tcp, &self->socket, why);
    if (!e) e = bind_socket(self, &args->listen, why);
    if (!e) actor_settle_again(me);
    return e;
}

static void on_fd(actor_t *me, int fd, uint32_t events) {} // settle looks at all of them
static void on_timer(actor_t *me, uint64_t tag) {}         // … and sends what waits

static void stop(actor_t *me) {
    listener_t *self = actor_state(me);
    uint64_t key;
    size_t at = 0;
    void *value;
    link_done(&self->link);
    while (imap_next(&self->conns, &at, &key, &value)) {
        conn_done(value);
        free(value);
    }
    imap_done(&self->conns);
    link_socket_close(me, &self->socket);
}

const actor_def_t link_listen_actor = {
    .role = "link",
    .state_size = sizeof(listener_t),
    .start = start,
    .settle = settle,
    .on_timer = on_timer,
    .on_fd = on_fd,
    .stop = stop,
};
