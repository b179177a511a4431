// dispatcher - a thread that runs a stage of actors: one ZeroMQ inbox, one epoll, rounds.
//
// It sleeps in epoll until a message, a registered fd or the next timer; when nothing is due it
// does not wake up at all.
#pragma once
#include "runtime/actor/bus.h"
#include "runtime/actor/trace.h"

typedef struct dispatcher dispatcher_t;

typedef struct {
    const char *name;           // copied
    const char *process, *host; // borrowed, outlive it
    bus_t *bus;
    directory_t *directory;
    faults_t *faults;
    trace_t *trace;
    dead_letters_t *dead_letters;
    uint32_t restarts;       // of the process
    const char *last_reason; // borrowed, outlives it
    // An actor under the root used up its restarts; called on the dispatcher's thread.
    void (*exhausted)(void *arg, const char *reason);
    void *exhausted_arg;
} dispatcher_options_t;

err_t dispatcher_new(const dispatcher_options_t *options, dispatcher_t **ret_dispatcher,
                     why_t *why) MUST_USE;
// Ends its thread after the round at hand; its actors must have been stopped (dispatcher_call).
void dispatcher_stop(dispatcher_t *d);
void dispatcher_destroy(dispatcher_t **d); // stops it first
const char *dispatcher_name(const dispatcher_t *d);
uint32_t dispatcher_port(const dispatcher_t *d);
// Any thread: as process_hung.
const char *dispatcher_hung(const dispatcher_t *d, int64_t hang_ms);

// Runs fn on the dispatcher's thread, between two rounds' messages, and waits until it has
// returned. From a thread that is no dispatcher (two dispatchers that call each other would wait
// for ever).
void dispatcher_call(dispatcher_t *d, void (*fn)(stage_t *stage, void *arg), void *arg);
