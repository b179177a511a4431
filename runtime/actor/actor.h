// actor - what runs actors: instances, and the stage they stand on. Private to runtime/ (whoever
// runs actors: dispatcher, simulator, links); actors themselves see kit.h only.
//
// A stage is a set of actors that share one thread, and everything about running them that does
// not depend on the thread: mailboxes, rounds, asks with deadlines, timers, streams, monitors,
// children, restarts, counters. Threads, sockets and clocks are its host's: a dispatcher hosts a
// stage on a ZeroMQ inbox and epoll, the simulator hosts one per process on virtual time. So both
// run the very same code.
//
//        stage_begin   clocks are frozen
//        stage_deliver stage_fd stage_notice stage_spawn …   the host's news, in any number
//        stage_run     timers due ─► handlers ─► settle, in order of first touch ─► sends left
#pragma once
#include "runtime/actor/dead_letters.h"
#include "runtime/actor/directory.h"
#include "runtime/actor/envelope.h"
#include "runtime/actor/faults.h"
#include "runtime/actor/kit.h"
#include "runtime/actor/process.h"

typedef struct stage stage_t;

enum {
    ROUND_MESSAGES_MAX = 1024, // of one round; what is left waits for the next
    ROUND_US_MAX = 1000,
    CALL_US_MAX = 5000, // a handler or settle over this is an overrun
};

typedef struct {
    int64_t monotonic_us, wall_ms;
} stage_clocks_t;

typedef struct {
    void *arg;
    void (*clocks)(void *arg, stage_clocks_t *ret_clocks);
    int64_t (*tick_us)(void *arg);     // monotonic, not frozen: measures calls
    int64_t (*boottime_ms)(void *arg); // not frozen either
    // To a dispatcher (or simulated process) other than this one; *taken*. Leaves at the round's
    // end. False, and nothing taken: too much is waiting for that one.
    bool (*send)(void *arg, uint32_t port, envelope_t **env);
    void (*watch_fd)(void *arg, actor_t *actor, int fd, uint32_t epoll_events); // 0: no longer
    // A message was handled (`env` set; the host may steal its names) or a timer ran (NULL).
    void (*hop)(void *arg, const actor_t *actor, envelope_t *env, uint64_t tag, int64_t begun_us,
                int64_t ended_us);
    // An actor under the root used up its restarts.
    void (*exhausted)(void *arg, const char *reason);
} stage_host_t;

typedef struct {
    stage_host_t host;
    directory_t *directory; // borrowed, outlives the stage
    faults_t *faults;       // borrowed, outlives the stage; shared by the process
    uint32_t port;          // this stage's number in the directory
    const char *process, *host_name, *dispatcher; // for `get actors`; borrowed
    uint32_t restarts; // of the process: where the count of its root actors begins
    const char *last_reason;
    dead_letters_t *dead_letters; // borrowed; NULL: they are counted only
    uint64_t seed;                // of actor_rng and of trace ids
} stage_options_t;

stage_t *stage_new(const stage_options_t *options) MUST_USE;
void stage_destroy(stage_t **stage); // stops what still runs

// ---- a round -----------------------------------------------------------------------------------
void stage_begin(stage_t *s);
void stage_deliver(stage_t *s, envelope_t **env); // *taken*; from another dispatcher or process
void stage_notice(stage_t *s, const notice_t *notice);
void stage_fd(stage_t *s, actor_t *actor, int fd, uint32_t epoll_events);
void stage_run(stage_t *s);
// From any thread: since when, on the host's clock, the round at hand runs, and an actor of which
// kind; NULL: none does.
const actor_def_t *stage_at_work(const stage_t *s, int64_t *ret_since_us);
bool stage_is_busy(const stage_t *s);    // another round has work at once
int64_t stage_next_us(const stage_t *s); // when a timer is due; INT64_MAX: never

// ---- life --------------------------------------------------------------------------------------
// Under
// the root (parent NULL) or under an actor of this stage. The policy is copied; NULL: defaults.
err_t stage_spawn(stage_t *s, actor_t *parent, const actor_def_t *def, const char *name,
                  const void *args, const restart_policy_t *policy, actor_t **ret_actor,
                  why_t *why) MUST_USE;
actor_t *stage_find(const stage_t *s, const char *address);
// Between two calls: mailbox dropped, state destroyed; the supervisor brings it back at once. A
// kill is an order from outside, hence neither a restart of the budget nor a reason for back-off.
void stage_kill(stage_t *s, actor_t *actor, const char *reason);
void stage_pause(stage_t *s, actor_t *actor, bool paused);
void stage_hang(stage_t *s, actor_t *actor); // a fault: a call of it that never returns
void stage_stop(stage_t *s, actor_t *actor, const char *reason); // for good, children first
bool stage_drained(const actor_t *actor);                        // its mailbox is empty
void stage_stop_all(stage_t *s, const char *reason);             // reverse order of start
// Every instance ends at once, as a crash ends them (the host keeps what the directory says to
// itself). stage_revive starts those under the root again, in their old order.
void stage_crash(stage_t *s);
void stage_revive(stage_t *s);

// ---- for links and other parts of the runtime that are actors ----------------------------------
// An actor that sees envelopes instead of unpacked messages.
typedef struct {
    // An envelope for an actor behind this link. *Taken* on ERR_OK; else the sender's ask fails
    // with this error (ERR_OVERLOADED: the lane is full; ERR_UNAVAILABLE: not connected), a tell is
    // counted as a dead letter. Called in rounds, like a handler.
    err_t (*carry)(actor_t *link, envelope_t **env);
    // The directory changed. Called in rounds.
    void (*changed)(actor_t *link, const notice_t *notice);
    // Every message to this very actor, answers and failures included, instead of its table.
    void (*raw)(actor_t *me, const message_t *msg);
} gateway_t;
void actor_set_gateway(actor_t *me, const gateway_t *gateway); // in start; borrowed
// A message that came over a link: stamped with its principal, `from` checked by the link. *Taken*.
// Routed to its actor in this process; duplicate and reorder faults apply here.
void actor_inject(actor_t *link, envelope_t **env);
// Answer an ask that could not be passed on. *Taken*; anything but an ask is a dead letter.
void actor_fail_back(actor_t *me, envelope_t **env, err_t err, const char *why);
uint32_t actor_port(const actor_t *me);
name_t *actor_full_name(const actor_t *me); // borrowed
directory_t *actor_directory(const actor_t *me);
stage_t *actor_stage(const actor_t *me);

// ---- seen from outside -------------------------------------------------------------------------
typedef struct {
    uint64_t dead_letters, refused, overruns, messages;
} stage_counts_t;
stage_counts_t stage_counts(const stage_t *s);
// All actors in order of start, into `arena`.
void stage_list(const stage_t *s, arena_t *arena, Actor__ActorInfos *ret_infos);
typedef void (*metric_fn)(void *arg, const char *address, const char *metric, bool is_gauge,
                          int64_t value);
void stage_each_metric(const stage_t *s, metric_fn each, void *arg);
