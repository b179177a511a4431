// stage_inner - what stage.c (rounds), life.c (birth, death, supervision), actor.c (messages) and
// stream.c (streams) share. Nobody else includes it.
#pragma once
#include "runtime/actor/actor.h"
#include "runtime/actor/alarms.h"
#include "runtime/base/map.h"

typedef enum {
    LIFE_STARTING, // its start function runs
    LIFE_ALIVE,
    LIFE_STOPPING, // its stop function runs: what it sends goes nowhere
    LIFE_BACKOFF,  // dead, to be started again
    LIFE_DONE,     // ended for good; freed at the round's end
} life_t;

typedef struct {
    alarm_t alarm; // its deadline; streams: of the opening only
    uint64_t id, tag, trace_id;
    name_t *to; // owned; resolved: never a bare role
    uint64_t to_incarnation;
    uint64_t led_epoch; // a bare role's leader was asked, of this epoch; 0: not so
    bool is_stream, accepted;
    bool expired;     // its deadline has rung
    size_t stream_at; // accepted: its place in the stage's list of streams
    uint32_t window;
    uint64_t next_seq;           // of the chunk that must come next
    uint64_t credited;           // highest chunk number that the server may send
    bool held;                   // handled chunks give no credit back
    uint64_t pushed, push_up_to; // chunks sent towards the server, and how far it takes them
} ask_t;

typedef struct stream {
    struct stream *next;  // same key
    uint64_t handle, key; // key: hash of opener, incarnation and ask id
    name_t *opener;       // owned
    uint64_t opener_incarnation, ask_id, trace_id;
    uint64_t sent, up_to; // chunks sent, and how far the opener takes them
    uint32_t push_window;
    uint64_t push_next, push_credited;
    bool pushes_held;
} stream_t;

typedef struct {
    char *metric; // owned
    bool is_gauge;
    int64_t value;
} counter_t;

typedef struct {
    int fd;
    uint32_t events;
} watched_fd_t;

// What only some actors need; made on first use, so that an idle actor stays small.
typedef struct {
    imap_t asks;           // id -> ask_t
    imap_t timers;         // tag -> alarm_t
    imap_t streams;        // handle -> stream_t
    imap_t streams_by_key; // key -> first stream_t
    uint64_t last_stream;
    VEC(name_t *) watched; // addresses it monitors; owned
    VEC(counter_t) counters;
    VEC(watched_fd_t) fds;
} desk_t;

typedef struct actor_list {
    actor_t *first, *last;
} actor_list_t;

struct actor {
    stage_t *stage;
    const actor_def_t *def;
    const void *args;
    name_t *name;             // owned
    void *state;              // owned; NULL while dead
    arena_t *arena;           // lent by the stage for the round; NULL: not touched
    desk_t *desk;             // owned; NULL: none needed yet
    const gateway_t *gateway; // borrowed; NULL: an ordinary actor
    uint64_t incarnation;
    uint64_t last_id;  // of its messages
    uint64_t trace_id; // of what it handled last
    uint64_t epoch;
    life_t life;
    bool ready, leader, paused;
    bool touched;      // in this round: settle is due
    bool again;        // settle in the next round
    bool exiting;      // actor_exit was called; the reason is exit_reason (NULL: done)
    char *exit_reason; // owned; afterwards the last reason
    // mailbox
    envelope_t *first, *last;
    uint32_t depth, bounded, due; // all; tells and asks among them; those of this round
    // the queue of a round that it stands in
    actor_t *queue_prev, *queue_next;
    actor_list_t *queue;
    // family
    actor_t *parent, *child_last;
    actor_t *sibling_prev, *sibling_next;
    // supervision
    restart_policy_t policy;
    alarm_t restart;
    size_t order_at;            // its place in the stage's order of start
    int64_t born_us, window_us; // start of this life; of the window that restarts are counted in
    uint32_t window_restarts, streak; // restarts in the window; crashes in a row
    // counts
    uint32_t restarts, overruns, dead_letters;
    uint64_t messages, handling_us, wait_us; // wait: moving mean
    int64_t started_wall_ms;
};

// Whom a text means, cached until the directory or the stage changes.
typedef struct {
    uint64_t directory_version, stage_version;
    actor_t *local;   // on this stage
    place_t place;    // owned references; address NULL: unknown
    place_t *choices; // bare role; owned
    size_t choices_len, turn;
    bool is_role;
} route_t;

typedef struct {
    actor_t *actor;
    uint64_t up;
} watcher_t; // up: highest incarnation it was told of
typedef struct {
    VEC(watcher_t) watchers;
} watchers_t;

enum { AWAITED_SLOTS = 4096 };

struct stage {
    stage_options_t options;
    stage_clocks_t clocks; // frozen for the round
    int64_t tick_us;       // end of the last call
    actor_t *running;      // whose function runs
    // The watchdog's view of the round: its start (0: between rounds), and who was called last.
    _Atomic int64_t round_since_us;
    _Atomic(const actor_def_t *) called;
    uint64_t trace_id;    // of the sends of the call that runs
    map_t actors;         // address -> actor_t
    VEC(actor_t *) order; // in order of start; NULL where one is gone
    uint64_t version;     // grows when an actor comes or goes
    map_t routes;         // text -> route_t
    size_t routes_max;    // looked at when there are so many
    map_t watchers;       // address -> watchers_t
    VEC(actor_t *) gateways;
    // How many asks and streams wait for an address with this hash: a death that nobody here waits
    // for, as nearly all are, costs one look instead of one through every actor's tables.
    uint32_t awaited[AWAITED_SLOTS];
    alarms_t alarms;
    VEC(ask_t *) streams;        // accepted ones that actors of this stage opened
    alarm_t ping;                // set while there are any
    actor_list_t ready, serving; // with something to do: next round; this round, not yet served
    VEC(actor_t *) touched;
    VEC(actor_t *) buried; // to be freed at the round's end
    VEC(arena_t *) arenas; // free ones
    map_t delays;          // "from to" -> int64_t *: nothing of that pair may arrive before
    size_t delayed;        // envelopes that faults hold back
    rng_t rng;
    stage_counts_t counts;
    size_t dead_order; // NULLs in `order`
};

// ---- stage.c -----------------------------------------------------------------------------------
bool is_worth_a_line(uint32_t count);
void stage_touch(stage_t *s, actor_t *a);   // it runs in this round: give it an arena
void stage_enqueue(stage_t *s, actor_t *a); // it has something to do in the next round
void stage_route(stage_t *s, actor_t *from, const char *to, envelope_t **env); // *taken*
void stage_place(stage_t *s, actor_t *a, envelope_t **env);            // into its mailbox; *taken*
void stage_dead_letter(stage_t *s, envelope_t **env, const char *why); // *taken*
void stage_refuse(stage_t *s, envelope_t **env, err_t err, const char *why); // *taken*
// A message from the kit to `a` itself, as if `from` had answered `in_reply_to` (0: a tell).
void stage_self(stage_t *s, actor_t *a, name_t *from, uint64_t in_reply_to,
                const ProtobufCMessage *body);
void stage_call_begin(stage_t *s, actor_t *a, uint64_t trace_id);
void stage_call_end(stage_t *s, actor_t *a); // counts, and buries an actor that wants to exit
static inline uint32_t *stage_awaited(stage_t *s, const name_t *name) {
    return &s->awaited[name->hash % AWAITED_SLOTS];
}
const route_t *stage_resolve(stage_t *s, const char *to);
bool route_known(const route_t *route);
void queue_remove(actor_t *a);
uint64_t stage_new_trace(stage_t *s);

// ---- life.c ------------------------------------------------------------------------------------
void life_restart(stage_t *s, actor_t *a); // its back-off is over
void life_end(stage_t *s, actor_t *a);     // as actor_exit asked, after its call
void life_sweep(stage_t *s);               // frees what was buried

// ---- actor.c -----------------------------------------------------------------------------------
desk_t *actor_desk(actor_t *a);                             // made when it is not there yet
void actor_handle(stage_t *s, actor_t *a, envelope_t *env); // borrowed
void actor_alarm(stage_t *s, actor_t *a, alarm_t *alarm);   // a timer or an ask's deadline
void actor_pause_fds(actor_t *a, bool paused);
void actor_resume_timers(stage_t *s, actor_t *a); // after a pause
// `gone` does not live any more: fail what this actor waits for from it.
void actor_notice(stage_t *s, actor_t *a, const notice_t *gone);
void *actor_unpack_kits(actor_t *a,
                        const envelope_t *env); // a kit's message, in the arena; NULL: malformed
void actor_clear_desk(stage_t *s, actor_t *a);  // drops asks, timers, streams, monitors, counters
void ask_destroy(stage_t *s, ask_t *ask);
envelope_t *envelope_from(actor_t *me, const ProtobufCMessageDescriptor *type,
                          blob_t *body) MUST_USE;
// Calls the row for this message; false: there is none, or it was refused (*ret_err then).
bool actor_bears_reorder(const actor_def_t *def, const envelope_t *env);
bool actor_call_row(stage_t *s, actor_t *a, const envelope_t *env, uint64_t tag, uint64_t stream,
                    err_t *ret_err);

// ---- stream.c ----------------------------------------------------------------------------------
void stream_on_answer(stage_t *s, actor_t *a, ask_t *ask, const envelope_t *env);
// The opening failed and there is no Failure row: the StreamEnd row hears of it.
void stream_refused(stage_t *s, actor_t *a, const envelope_t *failure, uint64_t tag);
void stream_on_push(stage_t *s, actor_t *a, const envelope_t *env);
void stream_on_credit(stage_t *s, actor_t *a, const envelope_t *env);
void stream_on_cancel(stage_t *s, actor_t *a, const envelope_t *env);
void stream_on_ping(stage_t *s, actor_t *a, const envelope_t *env);
// A chunk of a stream that its opener has given up: the server has not heard of it.
void stream_on_unwanted(actor_t *a, const envelope_t *env);
void stream_tell_cancel(actor_t *me, const ask_t *ask);
void stream_forget(stage_t *s, ask_t *ask); // no more pings
void stream_ping_all(stage_t *s);           // the stage's alarm has rung
void stream_on_gone(stage_t *s, actor_t *a, const notice_t *gone);
void stream_clear(actor_t *a); // no goodbyes: notices of its death say them
