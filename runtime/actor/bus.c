// A parcel is 16 bytes through ZeroMQ: a kind and a pointer whose ownership goes with it.
//
//   port A: out[B] chain ─► PUSH ─► inproc://port-B ─► PULL (port B) ─► stage_deliver, one by one
//   any thread: bus_order ─► the bus' own PUSH per port, under a mutex ─► the same PULL
//
// Ports send with DONTWAIT below a high-water mark and keep what is refused, so that two
// dispatchers that flood each other never wait for each other. Orders are few and must not fail:
// their sockets have no mark.
#include "runtime/actor/bus.h"
#include "runtime/base/vec.h"
#include <errno.h>
#include <pthread.h>
#include <stdalign.h>
#include <sys/epoll.h>
#include <zmq.h>

// TSan does not see the fences inside libzmq: say that what was written before a send is seen
// after its receive.
#ifdef __SANITIZE_THREAD__
void __tsan_release(void *at);
void __tsan_acquire(void *at);
#define HAND_OVER(at) __tsan_release(at)
#define TAKE_OVER(at) __tsan_acquire(at)
#else
#define HAND_OVER(at) ((void)0)
#define TAKE_OVER(at) ((void)0)
#endif

typedef enum { PARCEL_CHAIN, PARCEL_ORDER } parcel_kind_t;
typedef struct {
    uint64_t kind;
    void *at;
} parcel_t;

// What one port has for another.
typedef struct {
    void *socket;             // PUSH; NULL: not connected yet
    envelope_t *first, *last; // owned
    size_t len;
    bool dirty; // in the port's list
    bool in_epoll;
} out_t;

struct bus_port {
    bus_t *bus;
    uint32_t number;
    void *inbox; // PULL
    int fd;
    out_t *out;          // [BUS_PORTS_MAX]
    VEC(uint32_t) dirty; // those with a chain to send
    uint64_t received;   // parcels
    bool has_held;
    parcel_t held;                        // received by bus_may_sleep, for the next bus_receive
    _Alignas(64) _Atomic uint64_t pushed; // parcels sent here; a line of its own: others write it
};

struct bus {
    void *context;
    pthread_mutex_t lock; // of all below
    bus_port_t *ports[BUS_PORTS_MAX];
    void *order_sockets[BUS_PORTS_MAX];
    _Atomic uint32_t len;
};

// ---- life --------------------------------------------------------------------------------------

bus_t *bus_new(void) {
    bus_t *bus = NEW(bus_t);
    bus->context = zmq_ctx_new();
    assert(bus->context);
    zmq_ctx_set(bus->context, ZMQ_MAX_SOCKETS, 1 << 16);
    pthread_mutex_init(&bus->lock, NULL);
    return bus;
}

void *bus_context(const bus_t *bus) { return bus->context; }
uint32_t bus_ports(bus_t *bus) { return atomic_load(&bus->len); }

// An inproc socket that nobody waits for at its end.
static void *socket_new(const bus_t *bus, int type, int high_water) {
    void *socket = zmq_socket(bus->context, type);
    assert(socket); // out of sockets or memory: nothing can go on
    int zero = 0;
    zmq_setsockopt(socket, ZMQ_LINGER, &zero, sizeof zero);
    zmq_setsockopt(socket, ZMQ_SNDHWM, &high_water, sizeof high_water);
    zmq_setsockopt(socket, ZMQ_RCVHWM, &high_water, sizeof high_water);
    return socket;
}

static void *connect_to(const bus_t *bus, uint32_t port, int high_water) {
    void *socket = socket_new(bus, ZMQ_PUSH, high_water);
    char endpoint[32];
    snprintf(endpoint, sizeof endpoint, "inproc://port-%u", port);
    int rc = zmq_connect(socket, endpoint);
    assert(rc == 0);
    return socket;
}

bus_port_t *bus_port_new(bus_t *bus) {
    pthread_mutex_lock(&bus->lock);
    uint32_t number = atomic_load(&bus->len);
    bus_port_t *port = NULL;
    if (number < BUS_PORTS_MAX) {
        port = aligned_alloc(alignof(bus_port_t), sizeof *port);
        assert(port);
        *port = (bus_port_t){0};
        port->bus = bus;
        port->number = number;
        port->out = mem_new(BUS_PORTS_MAX * sizeof *port->out);
        port->inbox = socket_new(bus, ZMQ_PULL, BUS_CHAINS_MAX);
        char endpoint[32];
        snprintf(endpoint, sizeof endpoint, "inproc://port-%u", number);
        int rc = zmq_bind(port->inbox, endpoint);
        assert(rc == 0);
        size_t size = sizeof port->fd;
        zmq_getsockopt(port->inbox, ZMQ_FD, &port->fd, &size);
        bus->ports[number] = port;
        bus->order_sockets[number] = connect_to(bus, number, 0);
        atomic_store(&bus->len, number + 1);
    }
    pthread_mutex_unlock(&bus->lock);
    return port;
}

uint32_t bus_port_number(const bus_port_t *port) { return port->number; }
int bus_port_fd(const bus_port_t *port) { return port->fd; }

static void chain_destroy(envelope_t *first) {
    while (first) {
        envelope_t *env = first;
        first = env->next;
        envelope_destroy(&env);
    }
}

static bool receive(bus_port_t *port, parcel_t *ret) {
    int size = zmq_recv(port->inbox, ret, sizeof *ret, ZMQ_DONTWAIT);
    if (size < 0) return false; // EAGAIN; ETERM cannot be: the context outlives the ports
    assert(size == sizeof *ret);
    TAKE_OVER(ret->at);
    port->received++;
    return true;
}

static bool take(bus_port_t *port, parcel_t *ret);

static void port_drain(bus_port_t *port) {
    parcel_t parcel;
    while (take(port, &parcel)) {
        bus_order_t *order = parcel.at;
        if (parcel.kind == PARCEL_CHAIN)
            chain_destroy(parcel.at);
        else
            order->run(order, NULL);
    }
}

static void port_destroy(bus_port_t *port) {
    for (size_t i = 0; i < BUS_PORTS_MAX; i++) {
        chain_destroy(port->out[i].first);
        if (port->out[i].socket) zmq_close(port->out[i].socket);
    }
    zmq_close(port->inbox);
    vec_done(&port->dirty);
    free(port->out);
    free(port);
}

void bus_destroy(bus_t **bus) {
    bus_t *b = x_steal(bus);
    if (!b) return;
    uint32_t len = bus_ports(b);
    for (uint32_t i = 0; i < len; i++) port_drain(b->ports[i]); // all, before any is closed
    for (uint32_t i = 0; i < len; i++) zmq_close(b->order_sockets[i]);
    for (uint32_t i = 0; i < len; i++) port_destroy(b->ports[i]);
    zmq_ctx_term(b->context);
    pthread_mutex_destroy(&b->lock);
    free(b);
}

// ---- in ----------------------------------------------------------------------------------------

static size_t deliver_chain(stage_t *stage, envelope_t *first) {
    size_t len = 0;
    for (; first; len++) {
        envelope_t *env = first;
        first = env->next;
        env->next = NULL;
        stage_deliver(stage, &env);
    }
    return len;
}

// The sender counts after it has sent, so it may be behind what was received, never ahead of it: a
// sender that the kernel holds up in between keeps nobody busy.
bool bus_has_mail(const bus_port_t *port) {
    uint64_t pushed = atomic_load_explicit(&port->pushed, memory_order_acquire);
    return port->has_held || (int64_t)(pushed - port->received) > 0;
}

bool bus_may_sleep(bus_port_t *port) {
    assert(!port->has_held);
    port->has_held = receive(port, &port->held);
    return !port->has_held;
}

static bool take(bus_port_t *port, parcel_t *ret) {
    if (!port->has_held) return receive(port, ret);
    *ret = port->held;
    port->has_held = false;
    return true;
}

static size_t deliver(const parcel_t *parcel, stage_t *stage) {
    if (parcel->kind == PARCEL_CHAIN) return deliver_chain(stage, parcel->at);
    bus_order_t *order = parcel->at;
    order->run(order, stage);
    return 1;
}

void bus_receive(bus_port_t *port, stage_t *stage, size_t envelopes_max) {
    parcel_t parcel;
    for (size_t done = 0; done < envelopes_max && bus_has_mail(port);) {
        if (!take(port, &parcel)) return;
        done += deliver(&parcel, stage);
    }
}

// ---- out ---------------------------------------------------------------------------------------

bool bus_send(bus_port_t *port, uint32_t to, envelope_t **env) {
    assert(to < BUS_PORTS_MAX && to != port->number);
    out_t *out = &port->out[to];
    if (out->len >= BUS_QUEUE_MAX) return false;
    envelope_t *e = x_steal(env);
    e->next = NULL;
    *(out->last ? &out->last->next : &out->first) = e;
    out->last = e;
    out->len++;
    if (!out->dirty) {
        out->dirty = true;
        vec_push(&port->dirty, to);
    }
    return true;
}

static bool push(bus_t *bus, uint32_t to, void *socket, parcel_t parcel) {
    HAND_OVER(parcel.at);
    int rc;
    do rc = zmq_send(socket, &parcel, sizeof parcel, ZMQ_DONTWAIT);
    while (rc < 0 && errno == EINTR);
    if (rc < 0) return false;
    atomic_fetch_add_explicit(&bus->ports[to]->pushed, 1, memory_order_release);
    return true;
}

static void ring_when_free(out_t *out, int epoll) {
    if (out->in_epoll) return;
    int fd;
    size_t size = sizeof fd;
    zmq_getsockopt(out->socket, ZMQ_FD, &fd, &size);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = BUS_EPOLL_OUT};
    out->in_epoll = epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

static bool is_writable(const out_t *out) {
    int events = 0;
    size_t size = sizeof events;
    zmq_getsockopt(out->socket, ZMQ_EVENTS, &events, &size);
    return events & ZMQ_POLLOUT;
}

static bool flush_one(bus_port_t *port, uint32_t to, int epoll) {
    out_t *out = &port->out[to];
    if (!out->socket) out->socket = connect_to(port->bus, to, BUS_CHAINS_MAX);
    parcel_t parcel = {PARCEL_CHAIN, out->first};
    while (!push(port->bus, to, out->socket, parcel)) {
        ring_when_free(out, epoll);
        // The fd rings on an edge: look once more, it may be behind us already.
        if (!is_writable(out)) return false;
    }
    out->first = out->last = NULL;
    out->len = 0;
    return true;
}

void bus_flush(bus_port_t *port, int epoll) {
    size_t kept = 0;
    for (size_t i = 0; i < port->dirty.len; i++) {
        uint32_t to = port->dirty.at[i];
        if (flush_one(port, to, epoll))
            port->out[to].dirty = false;
        else
            port->dirty.at[kept++] = to;
    }
    port->dirty.len = kept;
}

void bus_order(bus_t *bus, uint32_t to, bus_order_t *order) {
    pthread_mutex_lock(&bus->lock);
    assert(to < atomic_load(&bus->len));
    bool sent = push(bus, to, bus->order_sockets[to], (parcel_t){PARCEL_ORDER, order});
    pthread_mutex_unlock(&bus->lock);
    assert(sent); // no high-water mark, and the receiver is bound as long as the bus lives
}
