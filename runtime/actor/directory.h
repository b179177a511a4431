// directory - who is where: the actors of this process and those that links heard of.
//
// One per process, used by all its threads (a mutex inside; nothing here waits). Every change is
// told to the subscriber, which passes it on to every dispatcher as a notice: there monitors get
// Down and Up, asks and streams under way with what is gone fail with ERR_UNAVAILABLE.
//
// An entry is a fact with a number: a higher incarnation replaces a lower one, news about a lower
// one are ignored.
#pragma once
#include "runtime/actor/envelope.h"

typedef struct directory directory_t;

// Where an actor is, and what a bare role needs to know of it.
typedef struct {
    name_t *address; // borrowed
    uint64_t incarnation;
    bool ready, leader;
    uint64_t epoch;  // of the leader
    uint32_t port;   // the dispatcher that runs it, or the one that runs its link
    name_t *link;    // borrowed; the link actor that carries to it; NULL: an actor of this process
    name_t *process; // borrowed; its process; NULL: this one
} place_t;

// One change, as dispatchers and links are told.
typedef struct {
    place_t place;      // borrowed
    bool gone;          // else: it came, or ready/leader changed
    bool came;          // a new incarnation (Up)
    const char *reason; // gone: why; borrowed
} notice_t;
typedef void (*notice_fn)(void *arg, const notice_t *notice);

directory_t *directory_new(void) MUST_USE;
void directory_destroy(directory_t **directory);
// Called after each change, on the changing thread, with the directory unlocked. Set once, at
// start.
void directory_subscribe(directory_t *d, notice_fn told, void *arg);

// The next incarnation of an address of this process: above every one seen here, and above those
// of earlier boots as long as the wall clock does not run backwards.
uint64_t directory_next_incarnation(directory_t *d, const char *address, int64_t wall_ms);
void directory_set(directory_t *d, const place_t *place);
void directory_gone(directory_t *d, const char *address, uint64_t incarnation, const char *reason);

// ---- for links ---------------------------------------------------------------------------------
// A link
// registers each ActorEntry of a Hello with directory_set (port: actor_port(link), link: its own
// name, process: the peer's) or directory_gone. A whole Hello: directory_link_begin, set each,
// directory_link_end: what was not named between the two is gone.
uint64_t directory_link_begin(directory_t *d);
void directory_link_end(directory_t *d, const name_t *link, uint64_t mark, const char *reason);
// The peer is not heard any more: all that this link carried to is gone.
void directory_link_down(directory_t *d, const name_t *link, const char *reason);

// ---- questions ---------------------------------------------------------------------------------
// Grows with
// every change: a cached answer holds as long as it stands still.
size_t directory_len(directory_t *d); // addresses known
uint64_t directory_version(const directory_t *d);
// A copy of the entry with references of its own (place_done); false: nobody known there.
bool directory_find(directory_t *d, const char *address, place_t *ret_place);
// Whom a bare role means: the leader with the highest epoch; if there is none, the nearest ready
// instances (those on `port`, else those of this process, else the others), in address order.
// Returned: an array of places with references of their own (place_done each, then free).
size_t directory_resolve(directory_t *d, const char *role, uint32_t port, place_t **ret_places);
// All entries in address order, under the lock: `each` must not call the directory.
void directory_each(directory_t *d, void (*each)(void *arg, const place_t *place), void *arg);
// The same of one role alone: its instances are found without a look at the others.
void directory_each_of(directory_t *d, const char *role,
                       void (*each)(void *arg, const place_t *place), void *arg);
void place_done(place_t *place);
