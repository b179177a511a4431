// bus - the roads between the threads of one process: a port per thread, inproc ZeroMQ between
// them. What travels are pointers: a chain of envelopes per round and pair of ports, or an order.
//
// For links: a link to another process is an actor (runtime/actor/actor.h: gateway_t) on a
// dispatcher of its own. Its sockets' ZMQ_FDs are watched with actor_watch_fd.
//
//   they come   Hello            → directory_set(actor_directory(link), &(place_t){.address = …,
//                                   .port = actor_port(link), .link = actor_full_name(link), …})
//   out         any dispatcher   → the directory says .link → gateway.carry(link, &env) on the
//                                   link's thread, in a round; refused: an error, told to the asker
//   in          bytes            → link checks `from` against the principal (may_speak_as), fills
//   an
//                                   envelope_t (envelope_new, name_new; deadline_us = now +
//                                   timeout; is_ask if timeout or stream_window), →
//                                   actor_inject(link, &env)
//   changes     gateway.changed  → place.link == NULL and not gone: an actor of this process to
//   tell
//                                   the peer about; gone likewise
//   peer gone   directory_link_down(directory, link, reason): Down to monitors, ERR_UNAVAILABLE
//                                   to asks and streams under way, StreamGone to their servers
#pragma once
#include "runtime/actor/actor.h"

typedef struct bus bus_t;
typedef struct bus_port bus_port_t;

enum {
    BUS_PORTS_MAX = 256,
    BUS_QUEUE_MAX = 64 * 1024, // envelopes waiting in one port for a receiver that does not drain
    BUS_CHAINS_MAX = 1024,     // chains under way between two ports: the sockets' high-water mark
};
#define BUS_EPOLL_OUT UINT64_MAX // epoll's data.u64 of a socket that takes chains again

// An order to a port's thread, run there before the next round's messages. `run` owns the order:
// it frees it or hands it back. stage NULL: the port is closing, nothing can be done any more.
typedef struct bus_order {
    void (*run)(struct bus_order *order, stage_t *stage);
} bus_order_t;

bus_t *bus_new(void) MUST_USE;
// Drops what still waits in its ports. No thread uses them any more.
void bus_destroy(bus_t **bus);
void *bus_context(const bus_t *bus); // the ZeroMQ context: links open their sockets in it

// NULL: BUS_PORTS_MAX are open. The port is the bus'; it closes with it.
bus_port_t *bus_port_new(bus_t *bus) MUST_USE;
uint32_t bus_port_number(const bus_port_t *port);
int bus_port_fd(const bus_port_t *port); // ZMQ_FD of the inbox; level-triggered epoll will do

// ---- the port's own thread ---------------------------------------------------------------------
// Has anything arrived? A look at a counter: no call into ZeroMQ.
bool bus_has_mail(const bus_port_t *port);
// Hands what has arrived to the stage, up to about `envelopes_max`.
void bus_receive(bus_port_t *port, stage_t *stage, size_t envelopes_max);
// Before every wait on the fd: ZeroMQ rings it only for a reader that found nothing. False:
// something came meanwhile, bus_receive hands it over.
bool bus_may_sleep(bus_port_t *port);
// Queue for another port; leaves with bus_flush. False: BUS_QUEUE_MAX is reached, nothing taken.
bool bus_send(bus_port_t *port, uint32_t to, envelope_t **env);
// Sends the queues as far as the receivers take them. What must wait has its socket's fd put into
// `epoll` (BUS_EPOLL_OUT): flush again when it rings.
void bus_flush(bus_port_t *port, int epoll);

// ---- any thread --------------------------------------------------------------------------------
void bus_order(bus_t *bus, uint32_t to, bus_order_t *order); // *taken*
uint32_t bus_ports(bus_t *bus);                              // how many there are: 0 … n-1
