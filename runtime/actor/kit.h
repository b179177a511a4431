// kit - what an actor is, and everything an actor can do.
//
// An actor is a value, not a thread: a role, a state, a table of handlers. Who runs it (a
// dispatcher's thread, a test by hand, the simulator) is never its business.
//
//     messages ─► handlers (change state) ─► … ─► settle (plan once, act) ─► sends leave
//                 └────────────────── one round ──────────────────┘
//
// A round drains the dispatcher's inbox into bounded mailboxes, runs the handlers, then settles
// each touched actor once, in order of first touch. What is sent inside the dispatcher is handled
// in the next round. The actor's arena lives for the round: what a handler unpacked is still there
// in settle, and gone afterwards. An actor is killed between two calls, never within one.
//
// Contract of messages: at most once, first in first out per pair, lane and connection. An ask
// gets exactly one outcome: its answer's row, or the Failure row (refused, peer gone, timed out).
#pragma once
#include "runtime/base/arena.h"
#include "runtime/base/bytes.h"
#include "runtime/base/rng.h"
#include "runtime/base/why.h"
#include "troupe/actor.pb-c.h"

enum {
    ADDRESS_MAX = 320,           // "role/name"; a node's name may have 253 bytes
    MESSAGE_MAX_BYTES = 8 << 20, // body; larger things are streamed or paged
    MAILBOX_MAX_DEFAULT = 4096,
    STREAM_WINDOW_DEFAULT = 64,
    ASK_TIMEOUT_DEFAULT_MS = 10 * 1000,
};

typedef struct actor actor_t; // one living instance, as its own functions see it

// A message as its handler sees it. All borrowed for the call.
typedef struct {
    const char *to, *from; // full addresses
    const char *type;      // full protobuf name of the body
    uint64_t id;           // the sender's number; answers refer to it
    uint64_t in_reply_to;  // 0: not an answer
    uint64_t tag;          // an answer, chunk or Failure: what actor_ask was given
    int64_t deadline_ms;   // absolute, on actor_now_ms's clock; 0: none
    uint64_t trace_id;
    uint64_t epoch;
    uint64_t from_incarnation;
    uint64_t stream;        // a pushed chunk: the stream's handle (actor_stream_accept)
    uint64_t stream_seq;    // a chunk's number, from 1; 0: not a chunk
    uint32_t stream_window; // an opening ask: > 0
    const char *principal;  // who the other process proved to be; NULL: this process
    blob_t *body;           // packed; blob_ref it to keep it
} message_t;

// One row per message the actor takes. `from` names the roles that may send it, separated by
// spaces ("apiserver admin"; a process-local "test" role exists for tests); NULL: any role.
// A message without a row is failed with ERR_UNHANDLED, one from a wrong role with ERR_FORBIDDEN.
typedef struct {
    const ProtobufCMessageDescriptor *type;
    void (*handle)(actor_t *me, const message_t *msg,
                   const void *body); // body: unpacked, in the arena
    const char *from;
    bool control;       // travels on the control lane of a link
    bool bears_reorder; // duplicate and reorder faults may reach it (raft)
} handler_t;

typedef enum {
    MAILBOX_FULL_FAIL,        // a tell is failed back to the sender's process log and counted
    MAILBOX_FULL_DROP_OLDEST, // the oldest tell gives way, counted
} mailbox_full_t;

// What happens to its siblings when an actor dies that its supervisor starts again.
typedef enum {
    SUPERVISE_ONE_FOR_ONE,  // nothing
    SUPERVISE_ONE_FOR_ALL,  // they share what it may have spoilt: all end and start again
    SUPERVISE_REST_FOR_ONE, // those started after it stand on it: they end and start again
} supervise_t;

// How often an actor that dies is started again. Past that its supervisor gives up: the parent
// crashes with it; under the root, the process ends with the reason and its own parent starts it.
typedef struct {
    uint32_t restarts_max;    // within the window; 0: 10
    int64_t window_ms;        // 0: 10,000
    int64_t backoff_first_ms; // 0: at once, then 50 ms doubling
    int64_t backoff_max_ms;   // 0: 5,000
    // Among the children of its parent; under the root, among the actors of its dispatcher that
    // name the same strategy.
    supervise_t strategy;
} restart_policy_t;

typedef struct actor_def {
    const char *role;
    size_t state_size; // zeroed before start
    // Start failed: fill why, return an error; stop is called on the half-started state. `args` is
    // borrowed from whoever spawned the actor and outlives it (restarts get the same args).
    err_t (*start)(actor_t *me, const void *args, why_t *why);
    const handler_t *handlers;   // ends with a row whose type is NULL
    void (*settle)(actor_t *me); // once per round in which the actor was touched; may be NULL
    void (*on_timer)(actor_t *me, uint64_t tag);
    void (*on_fd)(actor_t *me, int fd, uint32_t epoll_events);
    void (*stop)(actor_t *me); // frees the state; not called with a flush in mind: a kill is a kill
    size_t mailbox_max;        // 0: MAILBOX_MAX_DEFAULT
    mailbox_full_t when_full;
    bool starts_unready;       // a bare role does not reach it until actor_set_ready
    bool may_block;            // it waits for a disk: no watchdog takes that for a hang
    restart_policy_t children; // how it supervises what it spawns
} actor_def_t;

// ---- itself ------------------------------------------------------------------------------------
void *actor_state(actor_t *me);
arena_t *actor_arena(actor_t *me);            // cleared after each round of this actor
const char *actor_address(const actor_t *me); // "kubelet/node-1"
const char *actor_name(const actor_t *me);    // "node-1"
uint64_t actor_incarnation(const actor_t *me);
int64_t
actor_now_ms(const actor_t *me); // monotonic, frozen for the round; virtual in the simulator
int64_t actor_now_us(const actor_t *me);
// CLOCK_BOOTTIME, read for this call: not frozen, so that who was stopped within a round knows.
int64_t actor_boottime_ms(const actor_t *me);
int64_t actor_wall_ms(const actor_t *me);
rng_t *actor_rng(actor_t *me);                 // seeded by the kernel, or by the simulator's seed
void actor_set_ready(actor_t *me, bool ready); // may a bare role reach it?
void actor_set_leader(actor_t *me, bool leader,
                      uint64_t epoch); // bare role -> this one; epoch rides on its sends
void actor_exit(actor_t *me,
                const char *reason); // ends after this call; the supervisor decides what then

// ---- messages ----------------------------------------------------------------------------------
// `to`: "role/name", or a bare role (its leader, else any ready instance). Bodies are borrowed and
// packed before the call returns.
void actor_tell(actor_t *me, const char *to, const ProtobufCMessage *body);
// The same packed bytes to many receivers: pack once (msg_blob), tell each. `type` as in message_t.
void actor_tell_blob(actor_t *me, const char *to, const ProtobufCMessageDescriptor *type,
                     blob_t *body);
// Returns the ask's id. The answer arrives at the row of its type, a failure at the row of
// actor.Failure, both with msg->tag == tag. timeout_ms > 0 always: no wait is without a deadline.
uint64_t actor_ask(actor_t *me, const char *to, const ProtobufCMessage *body, int64_t timeout_ms,
                   uint64_t tag);
uint64_t actor_ask_blob(actor_t *me, const char *to, const ProtobufCMessageDescriptor *type,
                        blob_t *body, int64_t timeout_ms, uint64_t tag);
void actor_forget(actor_t *me, uint64_t ask_id); // its outcome will not be delivered

// Answer the message at hand. To a tell nothing is sent: whether a request comes as an ask is up to
// its sender.
void actor_reply(actor_t *me, const message_t *msg, const ProtobufCMessage *body);
void actor_fail(actor_t *me, const message_t *msg, err_t err, const char *why);
void actor_fail_status(actor_t *me, const message_t *msg, err_t err, const char *why,
                       bytes_t status);

// To answer later: keep the caller (*returned*), answer once, which takes it.
typedef struct caller caller_t;
caller_t *actor_keep_caller(actor_t *me, const message_t *msg) MUST_USE;
void caller_reply(actor_t *me, caller_t **caller, const ProtobufCMessage *body);
void caller_reply_blob(actor_t *me, caller_t **caller, const ProtobufCMessageDescriptor *type,
                       blob_t *body);
void caller_fail(actor_t *me, caller_t **caller, err_t err, const char *why);
void caller_fail_status(actor_t *me, caller_t **caller, err_t err, const char *why, bytes_t status);
void caller_drop(caller_t **caller); // no answer: the asker's timer will speak
int64_t caller_deadline_ms(const caller_t *caller);
const char *caller_address(const caller_t *caller);
const char *caller_principal(const caller_t *caller); // NULL: this process
uint64_t caller_trace_id(const caller_t *caller);
uint64_t caller_epoch(const caller_t *caller);
// From here to the end of the call, sends belong to this trace (an answer of the store goes on
// with the trace of the request that waits for it).
void actor_set_trace(actor_t *me, uint64_t trace_id);

// ---- streams -----------------------------------------------------------------------------------
// Opener: an ask whose answers are numbered chunks, at most `window` of them unhandled. Each chunk
// arrives at the row of its type with msg->tag; handling it gives credit back. The end arrives at
// the row of actor.StreamEnd (err 0: all is well; ERR_GAP: a chunk or the end was lost, seen within
// seconds also where nothing came behind it; ERR_UNAVAILABLE: the other side is gone). A stream has
// no deadline of its own; opening has the ask's default.
uint64_t actor_open(actor_t *me, const char *to, const ProtobufCMessage *body, uint32_t window,
                    uint64_t tag);
void actor_cancel(actor_t *me, uint64_t stream_ask_id); // no StreamEnd will come
// Opener to server (stdin): false when the server's window is used up; a StreamCredit row, if the
// actor has one, is called when there is room again (body->stream == ask id).
bool actor_push(actor_t *me, uint64_t stream_ask_id, const ProtobufCMessage *body);
// Held: handled chunks give no credit back, so at most `window` more arrive; released, they do at
// once. For whoever passes chunks on to somebody slower.
void actor_stream_hold(actor_t *me, uint64_t stream_ask_id, bool held);
// Server: turn an opening ask into a stream; returns its handle (0, and the ask is failed, when it
// came without a window: every call with 0 does nothing). push_window: chunks the opener may
// push (0: none); they arrive at their row with msg->stream == handle. StreamGone (row) says that
// the opener cancelled or died: the handle is then invalid.
uint64_t actor_stream_accept(actor_t *me, const message_t *msg, uint32_t push_window);
void actor_push_hold(actor_t *me, uint64_t stream,
                     bool held); // the same for what the opener pushes
uint32_t actor_stream_credit(const actor_t *me, uint64_t stream); // chunks that may be sent now
// False, and nothing sent, when there is no credit. A StreamCredit row (body->stream == handle) is
// called when credit returns.
bool actor_stream_send(actor_t *me, uint64_t stream, const ProtobufCMessage *body);
bool actor_stream_send_blob(actor_t *me, uint64_t stream, const ProtobufCMessageDescriptor *type,
                            blob_t *body);
void actor_stream_end(actor_t *me, uint64_t stream, err_t err, const char *why);
void actor_stream_end_status(actor_t *me, uint64_t stream, err_t err, const char *why,
                             bytes_t status);

// ---- time, files -------------------------------------------------------------------------------
// on_timer(tag) once, at or after now + delay_ms. One timer per tag: setting it again moves it.
void actor_timer(actor_t *me, uint64_t tag, int64_t delay_ms);
// The same at the next multiple of period_ms on the clock: what beats alike wakes its thread, and
// those whom it tells, once and not each for itself.
void actor_beat(actor_t *me, uint64_t tag, int64_t period_ms);
void actor_timer_cancel(actor_t *me, uint64_t tag);
void actor_settle_again(actor_t *me); // one more settle next round, even with no message
// Level-triggered EPOLLIN/EPOLLOUT; on_fd is called in rounds. Unwatch before closing the fd.
// In the simulator there are no fds: ports (runtime/io) have fake sides instead.
void actor_watch_fd(actor_t *me, int fd, uint32_t epoll_events);
void actor_unwatch_fd(actor_t *me, int fd);

// ---- others ------------------------------------------------------------------------------------
// A child of this actor, on its dispatcher, ended with it. Restarted by the kit after a crash
// (actor_exit with a reason, a kill) with back-off; a child that exits with reason NULL is done.
err_t actor_spawn(actor_t *me, const actor_def_t *def, const char *name, const void *args,
                  why_t *why);
void actor_stop_child(actor_t *me, const char *address);
// Down (row) now or when it dies or its process is not heard; Up (row) when it is there (again).
// Works for addresses that do not exist yet. Ends with the actor.
void actor_monitor(actor_t *me, const char *address);
void actor_demonitor(actor_t *me, const char *address);
// Is there anybody at this address, or any ready one of this role, as far as this process knows?
bool actor_is_known(const actor_t *me, const char *address);
// Every address of this role that this process has heard of, in address order, with the process
// that runs it ("": this one). Borrowed for the call; `each` must not send.
void actor_each_known(const actor_t *me, const char *role,
                      void (*each)(void *arg, const char *address, const char *process), void *arg);

// ---- counting ----------------------------------------------------------------------------------
// Counters of this actor, shown by metrics: name as in Prometheus ("apiserver_requests_total").
void actor_count(actor_t *me, const char *metric, int64_t add);
void actor_gauge(actor_t *me, const char *metric, int64_t value);

// Packed once, for actor_*_blob. *returned*.
blob_t *msg_blob(const ProtobufCMessage *body) MUST_USE;
