// The connecting side: one peer, a DEALER for each lane; both new after every end of either.
#include "runtime/actor/link_inner.h"
#include "runtime/base/log.h"
#include <errno.h>

//   waiting ──timer──► open ──Hello on the control lane──► up
//      ▲                │ closed, refused, silent             │ closed
//      └── back-off ────┴─────────────────────────────────────┘
enum { TIMER_RETRY = 1, TIMER_HELLO, TIMER_STUCK };
enum { ROUND_MAX = 512 };

typedef struct {
    link_t link;
    link_socket_t sockets[LANES];
    conn_t conns[LANES];
    bool is_open;
    bool must_close;   // asked for by lose(); done in settle
    bool was_up;       // since it was opened
    bool is_told;      // this row of failures is in the log
    unsigned attempts; // in a row, without having been up
    uint64_t session;
    bool is_tcp;
} connector_t;

static const char *const end_texts[] = {"the other side closed the connection",
                                        "nobody listens there", "the handshake failed",
                                        "our key is not known there"};

static void lose(link_t *l, conn_t *c) { ((connector_t *)l)->must_close = true; }
static_assert(offsetof(connector_t, link) == 0, "the state is the link");

// ---- open and close -----------------------------------------------------------------------------
static void close_all(connector_t *self, actor_t *me, const char *reason) {
    for (int i = 0; i < LANES; i++) {
        if (!self->conns[i].link) continue;
        conn_lose(&self->conns[i], reason);
        conn_done(&self->conns[i]);
        self->conns[i] = (conn_t){0};
    }
    for (int i = 0; i < LANES; i++) link_socket_close(me, &self->sockets[i]);
    self->is_open = self->must_close = false;
    actor_timer_cancel(me, TIMER_HELLO);
}

static void try_again(connector_t *self, actor_t *me, const char *reason) {
    const connect_options_t *o = &self->link.args->connect;
    if (self->was_up) self->attempts = 0, self->is_told = false;
    if (!self->is_told && self->attempts == 3) // a peer that starts along with us is no news
        log_warn(actor_address(me), "%s (%s): %s; trying on",
                 is_empty(o->peer) ? "the peer" : o->peer, o->endpoint, reason);
    self->is_told |= self->attempts == 3;
    close_all(self, me, reason);
    actor_timer(me, TIMER_RETRY, link_retry_delay_ms(++self->attempts));
}

// The name of a certificate is the name of its owner.
static char *principal_of_server(const connector_t *self) {
    if (!self->is_tcp) return str_dup("part");
    const char *file = self->link.args->connect.server_key_file, *slash = strrchr(file, '/');
    const char *base = slash ? slash + 1 : file, *dot = strrchr(base, '.');
    return str_dup_n(base, dot ? (size_t)(dot - base) : strlen(base));
}

static err_t open_lane(connector_t *self, actor_t *me, lane_kind_t kind, why_t *why) {
    const link_args_t *args = self->link.args;
    link_socket_t *s = &self->sockets[kind];
    err_t e = link_socket_open(me, &args->of, ZMQ_DEALER, self->is_tcp, s, why);
    if (!e && self->is_tcp) e = link_curve_client(s->socket, &args->connect, why);
    if (!e && zmq_connect(s->socket, args->connect.endpoint) < 0)
        e = why_set(why, ERR_INVALID, "%s: %s", args->connect.endpoint, zmq_strerror(errno));
    if (e) return e;
    CLEANUP(free_charp) char *principal = principal_of_server(self);
    conn_init(&self->conns[kind], &self->link, s->socket, principal);
    self->link.own[kind] = &self->conns[kind];
    conn_greet(&self->conns[kind], kind, self->session);
    return ERR_OK;
}

static err_t open_all(connector_t *self, actor_t *me, why_t *why) {
    self->is_open = true;
    self->was_up = false;
    self->session = (uint64_t)actor_now_us(me) + self->attempts;
    err_t e = open_lane(self, me, LANE_CONTROL, why);
    if (!e) e = open_lane(self, me, LANE_BULK, why);
    if (!e) actor_timer(me, TIMER_HELLO, LINK_HELLO_TIMEOUT_MS);
    return e;
}

// ---- rounds -------------------------------------------------------------------------------------
static void receive(connector_t *self, lane_kind_t kind) {
    conn_t *c = &self->conns[kind];
    for (int i = 0; i < ROUND_MAX && !c->lost; i++) {
        link_frames_t f;
        link_frames_init(&f);
        link_received_t got = link_socket_receive(&self->sockets[kind], false, &f);
        if (got == LINK_GARBAGE)
            conn_refuse(c, "not a message of two frames");
        else if (got == LINK_RECEIVED)
            conn_receive(c, (bytes_t){zmq_msg_data(&f.head), zmq_msg_size(&f.head)},
                         (bytes_t){zmq_msg_data(&f.body), zmq_msg_size(&f.body)});
        link_frames_done(&f);
        if (got == LINK_NOTHING) return;
    }
}

// Why the connection ended; NULL: it has not.
static const char *watch(const connector_t *self, lane_kind_t kind) {
    uint16_t event;
    uint32_t value;
    const char *ended = NULL;
    while (link_socket_event(&self->sockets[kind], &event, &value)) {
        if (event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH) ended = end_texts[3];
        if (ended) continue;
        if (event == ZMQ_EVENT_DISCONNECTED) ended = end_texts[0];
        if (event == ZMQ_EVENT_CLOSED) ended = end_texts[1];
        if (event == ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL ||
            event == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL)
            ended = end_texts[2];
    }
    return ended;
}

static void read_lanes(connector_t *self) {
    receive(self, LANE_CONTROL);
    // Not before its actors are known: see raise_if_ready.
    if (link_peer_is_up(&self->link, &self->conns[LANE_CONTROL])) receive(self, LANE_BULK);
}

static bool has_news(const connector_t *self) {
    bool control = link_socket_has_news(&self->sockets[LANE_CONTROL]);
    bool bulk = link_socket_has_news(&self->sockets[LANE_BULK]);
    return control || (bulk && self->was_up);
}

static void settle(actor_t *me) {
    connector_t *self = actor_state(me);
    if (!self->is_open) {
        link_settle(&self->link); // nobody to tell: forgets the news
        return;
    }
    read_lanes(self);
    bool was_up = self->was_up;
    self->was_up |= link_peer_is_up(&self->link, &self->conns[LANE_CONTROL]);
    if (self->was_up && !was_up) actor_timer_cancel(me, TIMER_HELLO);
    const char *ended = watch(self, LANE_CONTROL), *bulk_ended = watch(self, LANE_BULK);
    if (!ended) ended = bulk_ended;
    if (!ended && self->must_close) ended = "it was given up";
    if (!ended && link_settle(&self->link) && self->was_up)
        actor_timer(me, TIMER_STUCK, LINK_STUCK_MS);
    if (!ended && self->must_close) ended = "it was given up";
    if (ended)
        try_again(self, me, ended);
    else if (has_news(self))
        actor_settle_again(me);
}

static void on_fd(actor_t *me, int fd, uint32_t events) {} // settle looks at all of them

static void on_timer(actor_t *me, uint64_t tag) {
    connector_t *self = actor_state(me);
    why_t why;
    if (tag == TIMER_HELLO) {
        if (self->is_open && !self->was_up) try_again(self, me, "nobody answers the Hello");
    } else if (tag == TIMER_RETRY && !self->is_open && open_all(self, me, &why)) {
        try_again(self, me, why.text);
    }
}

// ---- life ---------------------------------------------------------------------------------------
static err_t carry(actor_t *me, envelope_t **env) { return link_carry(actor_state(me), env); }
static void changed(actor_t *me, const notice_t *notice) { link_changed(actor_state(me), notice); }
static const gateway_t gateway = {.carry = carry, .changed = changed};

static err_t start(actor_t *me, const void *args_at, why_t *why) {
    connector_t *self = actor_state(me);
    const link_args_t *args = args_at;
    self->is_tcp = has_prefix(args->connect.endpoint, "tcp:");
    link_init(&self->link, me, args, lose);
    actor_set_gateway(me, &gateway);
    err_t e = open_all(self, me, why); // wrong keys and endpoints are the start's failure
    if (!e) actor_settle_again(me);
    return e;
}

static void stop(actor_t *me) {
    connector_t *self = actor_state(me);
    close_all(self, me, "the link has ended");
    link_done(&self->link);
}

const actor_def_t link_connect_actor = {
    .role = "link",
    .state_size = sizeof(connector_t),
    .start = start,
    .settle = settle,
    .on_timer = on_timer,
    .on_fd = on_fd,
    .stop = stop,
};
