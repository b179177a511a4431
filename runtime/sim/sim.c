// One heap of events over virtual time. Each simulated process is a stage (runtime/actor/actor.h)
// with a directory and clocks of its own; what real links and sockets do between processes is here
// an event after a seeded latency, first in first out per pair of processes.
//
//   host.send ─► DELIVER after latency ─► inbox ─┐
//   directory change ─► NEWS after latency ──────┼─► RUN: begin, news, inbox, stage_run
//   stage_next_us ─► RUN ────────────────────────┘
#include "runtime/sim/sim.h"
#include "runtime/actor/actor.h"
#include "runtime/api/msg.h"
#include "runtime/base/hash.h"
#include "runtime/base/vec.h"
#include <stdarg.h>

enum {
    START_US = 1000 * 1000 * 1000, // not 0: a deadline of 0 means none
    ROUND_US = 20,                 // what a round takes; what comes meanwhile is batched
    LATENCY_LOW_US = 50,
    LATENCY_HIGH_US = 500,
    ROUNDS_PER_CALL_MAX = 10 * 1000 * 1000, // of sim_ask: a livelock ends the test, not the machine
};
static const uint64_t mix_prime = 0x9e3779b97f4a7c15; // odd, its bits well mixed
static const int64_t start_wall_ms = 1767225600000;   // 2026-01-01T00:00:00Z

typedef struct process_sim proc_t;

typedef enum { EVENT_RUN, EVENT_DELIVER, EVENT_NEWS, EVENT_DOWN } event_kind_t;

typedef struct {
    int64_t at_us;
    uint64_t order; // ties: first scheduled, first
    event_kind_t kind;
    proc_t *to, *from;
    uint64_t boot;      // of `to`: what was sent to an earlier life is lost with its connection
    envelope_t *env;    // DELIVER; owned
    int64_t timeout_us; // DELIVER: time left when sent
    notice_t notice;    // NEWS; owned names and reason
} event_t;

typedef struct {
    void (*crashed)(void *arg);
    void *arg;
} crash_hook_t;

struct process_sim {
    sim_t *sim;
    char *name, *host;
    name_t *link;  // "sim/NAME": what other directories say carries to it
    uint32_t port; // its number
    stage_t *stage;
    directory_t *directory;
    bool paused, down;
    bool gave_up; // its root supervisor has: a parent would start it anew
    uint64_t boot;
    int64_t run_at_us;  // the RUN event that counts; INT64_MAX: none
    int64_t free_at_us; // end of its last round
    // its clock: local = base + (now - since) * (1 + drift)
    int64_t base_us, since_us, wall_offset_ms;
    double drift;
    VEC(envelope_t *) inbox;
    VEC(notice_t) notices; // changes of its own directory, not yet told to its stage
    VEC(int64_t) arrivals; // by sender's port: when its last message arrives (FIFO)
    VEC(crash_hook_t) hooks;
};

// A hand of the test: an actor whose messages the test sees.
typedef struct {
    actor_def_t def;
    char *role;
} hand_def_t;
typedef struct {
    uint64_t wanted; // tag of the ask whose outcome is waited for; 0: none
    char *type;      // of the outcome; owned
    blob_t *body;    // owned
} hand_t;

struct sim {
    rng_t rng;
    int64_t now_us;
    uint64_t last_order, last_tag, hash;
    int64_t latency_low_us, latency_high_us;
    size_t given_up; // processes that gave up
    bool spawning;   // sim_spawn runs: what starts is known everywhere at once
    faults_t *faults;
    VEC(proc_t *) procs;
    VEC(event_t *) heap;
    VEC(hand_def_t *) hand_defs;
    FILE *story;
};

// ---- events ------------------------------------------------------------------------------------

static bool earlier(const event_t *a, const event_t *b) {
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

static void event_push(sim_t *sim, int64_t at_us, event_t what) {
    event_t *e = NEW(event_t);
    *e = what;
    e->at_us = at_us;
    e->order = ++sim->last_order;
    e->boot = what.to->boot;
    vec_push(&sim->heap, e);
    size_t i = sim->heap.len - 1;
    for (; i > 0 && earlier(e, sim->heap.at[(i - 1) / 2]); i = (i - 1) / 2)
        sim->heap.at[i] = sim->heap.at[(i - 1) / 2];
    sim->heap.at[i] = e;
}

static event_t *event_pop(sim_t *sim) {
    if (!sim->heap.len) return NULL;
    event_t *first = sim->heap.at[0], *last = sim->heap.at[--sim->heap.len];
    size_t i = 0;
    for (;;) {
        size_t child = i * 2 + 1;
        if (child >= sim->heap.len) break;
        if (child + 1 < sim->heap.len && earlier(sim->heap.at[child + 1], sim->heap.at[child]))
            child++;
        if (!earlier(sim->heap.at[child], last)) break;
        sim->heap.at[i] = sim->heap.at[child];
        i = child;
    }
    if (sim->heap.len) sim->heap.at[i] = last;
    return first;
}

static notice_t notice_keep(const notice_t *n) {
    notice_t kept = *n;
    name_ref(kept.place.address);
    name_ref(kept.place.link);
    name_ref(kept.place.process);
    kept.reason = n->reason ? str_dup(n->reason) : NULL;
    return kept;
}

static void notice_done(notice_t *n) {
    place_done(&n->place);
    free((char *)n->reason);
}

static void event_destroy(event_t *e) {
    envelope_destroy(&e->env);
    notice_done(&e->notice);
    free(e);
}

// ---- time --------------------------------------------------------------------------------------

static int64_t local_us(const proc_t *p, int64_t at_us) {
    return p->base_us + (int64_t)((double)(at_us - p->since_us) * (1 + p->drift));
}

// The first moment at which the process' own clock shows `local`.
static int64_t global_us(const proc_t *p, int64_t local) {
    int64_t at = p->since_us + (int64_t)((double)(local - p->base_us) / (1 + p->drift));
    while (local_us(p, at) < local) at++;
    return at;
}

static void schedule_run(proc_t *p, int64_t at_us) {
    if (at_us < p->free_at_us) at_us = p->free_at_us;
    if (at_us < p->sim->now_us) at_us = p->sim->now_us;
    if (p->run_at_us <= at_us) return;
    p->run_at_us = at_us;
    event_push(p->sim, at_us, (event_t){.kind = EVENT_RUN, .to = p});
}

static void schedule_next(proc_t *p) {
    if (p->down || p->paused) return;
    if (stage_is_busy(p->stage) || p->inbox.len || p->notices.len) {
        schedule_run(p, p->sim->now_us);
        return;
    }
    int64_t next = stage_next_us(p->stage);
    if (next != INT64_MAX) schedule_run(p, global_us(p, next));
}

// When something sent now from `from` reaches `to`: never before what was sent earlier.
static int64_t arrival(proc_t *from, proc_t *to) {
    sim_t *sim = from->sim;
    int64_t at = sim->now_us + rng_between(&sim->rng, sim->latency_low_us, sim->latency_high_us);
    while (to->arrivals.len <= from->port) vec_push(&to->arrivals, 0);
    if (at < to->arrivals.at[from->port]) at = to->arrivals.at[from->port];
    to->arrivals.at[from->port] = at;
    return at;
}

// ---- the story and its hash --------------------------------------------------------------------

// Eight bytes at a time: every body of every delivery goes through here.
static void mix(sim_t *sim, const void *at, size_t len) {
    const uint8_t *from = at;
    uint64_t word;
    for (; len >= sizeof word; from += sizeof word, len -= sizeof word) {
        memcpy(&word, from, sizeof word);
        sim->hash = (sim->hash ^ word) * mix_prime;
        sim->hash ^= sim->hash >> 32;
    }
    sim->hash = hash_fnv64a_more(sim->hash, from, len);
}
static void mix_text(sim_t *sim, const char *text) { mix(sim, text, strlen(text) + 1); }

static void tell_story(sim_t *sim, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void tell_story(sim_t *sim, const char *fmt, ...) {
    if (!sim->story) return;
    va_list args;
    va_start(args, fmt);
    fprintf(sim->story, "%12.6f ", (double)(sim->now_us - START_US) / 1e6);
    vfprintf(sim->story, fmt, args);
    fputc('\n', sim->story);
    va_end(args);
}

static void note_act(sim_t *sim, const char *act, const char *on) {
    mix(sim, &sim->now_us, sizeof sim->now_us);
    mix_text(sim, act);
    mix_text(sim, on);
    tell_story(sim, "%s %s", act, on);
}

static void on_hop(void *arg, const actor_t *actor, envelope_t *env, uint64_t tag, int64_t begun_us,
                   int64_t ended_us) {
    proc_t *p = arg;
    sim_t *sim = p->sim;
    mix(sim, &sim->now_us, sizeof sim->now_us);
    mix_text(sim, actor_address(actor));
    if (!env) {
        mix(sim, &tag, sizeof tag);
        tell_story(sim, "%s timer %llu", actor_address(actor), (unsigned long long)tag);
        return;
    }
    mix_text(sim, env->from->text);
    mix_text(sim, envelope_type(env));
    if (env->body) mix(sim, env->body->at, env->body->len);
    tell_story(sim, "%s <- %s %s %zu", actor_address(actor), env->from->text, envelope_type(env),
               envelope_bytes(env));
}

// ---- hosting a stage ---------------------------------------------------------------------------

static void host_clocks(void *arg, stage_clocks_t *ret) {
    proc_t *p = arg;
    int64_t local = local_us(p, p->sim->now_us);
    *ret = (stage_clocks_t){local, start_wall_ms + (local - START_US) / 1000 + p->wall_offset_ms};
}

static int64_t host_tick(void *arg) {
    proc_t *p = arg;
    return local_us(p, p->sim->now_us);
}

static int64_t host_boottime(void *arg) { return host_tick(arg) / 1000; }

static bool host_send(void *arg, uint32_t port, envelope_t **env) {
    proc_t *from = arg, *to = from->sim->procs.at[port];
    envelope_t *e = x_steal(env);
    name_unref(&e->via);
    int64_t left = e->deadline_us ? e->deadline_us - local_us(from, from->sim->now_us) : 0;
    if (to->down) { // its connection is gone: the news will say so
        envelope_destroy(&e);
        return true;
    }
    event_push(
        from->sim, arrival(from, to),
        (event_t){.kind = EVENT_DELIVER, .to = to, .from = from, .env = e, .timeout_us = left});
    return true;
}

static void host_watch_fd(void *arg, actor_t *actor, int fd, uint32_t events) {
    assert(!events); // no file descriptors on virtual time: ports have fake sides
}

static void host_exhausted(void *arg, const char *reason) {
    proc_t *p = arg;
    note_act(p->sim, "exhausted", p->name);
    p->sim->given_up += !p->gave_up;
    p->gave_up = true;
}

// ---- the directory's news ----------------------------------------------------------------------

static void apply_news(proc_t *to, const proc_t *from, const notice_t *n) {
    place_t place = n->place;
    name_t *process = name_new(from->name);
    place.port = from->port;
    place.link = from->link;
    place.process = process;
    if (n->gone)
        directory_gone(to->directory, place.address->text, place.incarnation, n->reason);
    else
        directory_set(to->directory, &place);
    name_unref(&process);
}

static void send_news(proc_t *from, proc_t *to, const notice_t *n) {
    if (to == from || to->down) return;
    if (from->sim->spawning) {
        apply_news(to, from, n);
        schedule_next(to);
    } else {
        event_push(from->sim, arrival(from, to),
                   (event_t){.kind = EVENT_NEWS, .to = to, .from = from, .notice = notice_keep(n)});
    }
}

// Something changed in p's directory: its own stage hears it in its next round, and of its own
// actors the other processes hear after a while.
static void on_directory(void *arg, const notice_t *n) {
    proc_t *p = arg;
    if (p->down) return;
    notice_t kept = notice_keep(n);
    vec_push(&p->notices, kept);
    if (n->place.link) return;
    for (size_t i = 0; i < p->sim->procs.len; i++) send_news(p, p->sim->procs.at[i], n);
}

typedef struct {
    proc_t *from, *to;
} introduction_t;

static void introduce_entry(void *arg, const place_t *place) {
    introduction_t *i = arg;
    if (!place->link) send_news(i->from, i->to, &(notice_t){.place = *place, .came = true});
}

static void introduce(proc_t *from, proc_t *to) {
    if (from != to && !from->down)
        directory_each(from->directory, introduce_entry, &(introduction_t){from, to});
}

// ---- processes ---------------------------------------------------------------------------------

static proc_t *proc_find(const sim_t *sim, const char *name) {
    for (size_t i = 0; i < sim->procs.len; i++)
        if (streq(sim->procs.at[i]->name, name)) return sim->procs.at[i];
    return NULL;
}

static proc_t *proc_new(sim_t *sim, const char *host, const char *name) {
    proc_t *p = NEW(proc_t);
    p->sim = sim;
    p->name = str_dup(name);
    p->host = str_dup(host);
    char *link = str_printf("sim/%s", name);
    p->link = name_new(link);
    free(link);
    p->port = (uint32_t)sim->procs.len;
    p->run_at_us = INT64_MAX;
    p->base_us = p->since_us = sim->now_us;
    p->boot = 1;
    p->directory = directory_new();
    directory_subscribe(p->directory, on_directory, p);
    p->stage =
        stage_new(&(stage_options_t){.host = {p, host_clocks, host_tick, host_boottime, host_send,
                                              host_watch_fd, on_hop, host_exhausted},
                                     .directory = p->directory,
                                     .faults = sim->faults,
                                     .port = p->port,
                                     .process = p->name,
                                     .host_name = p->host,
                                     .dispatcher = "sim",
                                     .seed = rng_next(&sim->rng)});
    vec_push(&sim->procs, p);
    for (size_t i = 0; i < sim->procs.len; i++) introduce(sim->procs.at[i], p);
    return p;
}

static void drop_waiting(proc_t *p) {
    for (size_t i = 0; i < p->inbox.len; i++) envelope_destroy(&p->inbox.at[i]);
    vec_reset(&p->inbox);
    for (size_t i = 0; i < p->notices.len; i++) notice_done(&p->notices.at[i]);
    vec_reset(&p->notices);
}

static void proc_destroy(proc_t *p) {
    p->down = true;
    stage_destroy(&p->stage);
    drop_waiting(p);
    directory_destroy(&p->directory);
    vec_done(&p->inbox);
    vec_done(&p->notices);
    vec_done(&p->arrivals);
    vec_done(&p->hooks);
    name_unref(&p->link);
    free(p->name);
    free(p->host);
    free(p);
}

// One round: what has come, then the stage's turn.
static void proc_round(proc_t *p) {
    stage_begin(p->stage);
    for (size_t i = 0; i < p->notices.len; i++) { // a notice may cause further ones
        notice_t n = p->notices.at[i];
        stage_notice(p->stage, &n);
        notice_done(&n);
    }
    vec_reset(&p->notices);
    for (size_t i = 0; i < p->inbox.len; i++) stage_deliver(p->stage, &p->inbox.at[i]);
    vec_reset(&p->inbox);
    stage_run(p->stage);
    p->free_at_us = p->sim->now_us + ROUND_US;
    schedule_next(p);
}

// An act of the test on a process, outside its rounds: the rest of a round follows at once.
static void finish_act(proc_t *p) {
    stage_run(p->stage);
    schedule_next(p);
}

static actor_t *actor_somewhere(const sim_t *sim, const char *address, proc_t **ret_proc) {
    for (size_t i = 0; i < sim->procs.len; i++) {
        actor_t *a = stage_find(sim->procs.at[i]->stage, address);
        if (!a) continue;
        *ret_proc = sim->procs.at[i];
        return a;
    }
    return NULL;
}

err_t sim_spawn(sim_t *sim, const char *host, const char *process, const actor_def_t *def,
                const char *name, const void *args, why_t *why) {
    sim->spawning = true;
    proc_t *p = proc_find(sim, process);
    if (!p) p = proc_new(sim, host, process);
    assert(!p->down);
    stage_begin(p->stage);
    err_t err = stage_spawn(p->stage, NULL, def, name, args, NULL, NULL, why);
    finish_act(p);
    sim->spawning = false;
    note_act(sim, "spawn", name);
    return err;
}

void sim_kill(sim_t *sim, const char *address, const char *reason) {
    proc_t *p;
    actor_t *a = actor_somewhere(sim, address, &p);
    if (!a || p->down) return;
    note_act(sim, "kill", address);
    stage_begin(p->stage);
    stage_kill(p->stage, a, reason);
    finish_act(p);
}

void sim_crash_process(sim_t *sim, const char *process) {
    proc_t *p = proc_find(sim, process);
    assert(p);
    if (p->down) return;
    note_act(sim, "crash", process);
    p->down = true;
    sim->given_up -= p->gave_up;
    p->gave_up = false;
    p->boot++;
    stage_begin(p->stage);
    stage_crash(p->stage);
    stage_run(p->stage);
    drop_waiting(p);
    p->run_at_us = INT64_MAX;
    for (size_t i = 0; i < sim->procs.len; i++) {
        proc_t *other = sim->procs.at[i];
        if (other == p) continue;
        directory_link_down(p->directory, other->link, "crashed");
        if (!other->down)
            event_push(sim, arrival(p, other),
                       (event_t){.kind = EVENT_DOWN, .to = other, .from = p});
    }
    for (size_t i = 0; i < p->hooks.len; i++) p->hooks.at[i].crashed(p->hooks.at[i].arg);
}

void sim_restart_process(sim_t *sim, const char *process) {
    proc_t *p = proc_find(sim, process);
    assert(p);
    if (!p->down) return;
    note_act(sim, "restart", process);
    p->down = false;
    for (size_t i = 0; i < sim->procs.len; i++) introduce(sim->procs.at[i], p);
    stage_begin(p->stage);
    stage_revive(p->stage);
    finish_act(p);
}

const char *sim_gave_up(const sim_t *sim) {
    for (size_t i = 0; sim->given_up && i < sim->procs.len; i++)
        if (sim->procs.at[i]->gave_up) return sim->procs.at[i]->name;
    return NULL;
}

void sim_pause(sim_t *sim, const char *process, bool paused) {
    proc_t *p = proc_find(sim, process);
    assert(p);
    if (p->paused == paused) return;
    note_act(sim, paused ? "pause" : "resume", process);
    p->paused = paused;
    p->run_at_us = INT64_MAX;
    schedule_next(p);
}

void sim_skew(sim_t *sim, const char *process, int64_t wall_offset_ms, double drift) {
    proc_t *p = proc_find(sim, process);
    assert(p && drift > -1);
    note_act(sim, "skew", process);
    p->base_us = local_us(p, sim->now_us);
    p->since_us = sim->now_us;
    p->drift = drift;
    p->wall_offset_ms = wall_offset_ms;
    p->run_at_us = INT64_MAX; // its timers ring at other moments now
    schedule_next(p);
}

void sim_on_crash(sim_t *sim, const char *process, void (*crashed)(void *arg), void *arg) {
    proc_t *p = proc_find(sim, process);
    assert(p);
    vec_push(&p->hooks, ((crash_hook_t){crashed, arg}));
}

// ---- running -----------------------------------------------------------------------------------

static void happen(sim_t *sim, event_t *e) {
    proc_t *p = e->to;
    if (e->kind == EVENT_RUN) {
        if (p->run_at_us != e->at_us) return; // an earlier one took its place
        p->run_at_us = INT64_MAX;
        if (!p->down && !p->paused) proc_round(p);
        return;
    }
    if (p->down || e->boot != p->boot) return; // lost with the connection
    if (e->kind == EVENT_DELIVER) {
        if (e->timeout_us) e->env->deadline_us = local_us(p, sim->now_us) + e->timeout_us;
        e->env->sent_us = local_us(p, sim->now_us);
        envelope_t *env = x_steal(&e->env);
        vec_push(&p->inbox, env);
    } else if (e->kind == EVENT_NEWS) {
        apply_news(p, e->from, &e->notice);
    } else {
        directory_link_down(p->directory, e->from->link, "its process is not heard");
    }
    schedule_next(p);
}

bool sim_step(sim_t *sim) {
    event_t *e = event_pop(sim);
    if (!e) return false;
    assert(e->at_us >= sim->now_us);
    sim->now_us = e->at_us;
    happen(sim, e);
    event_destroy(e);
    return true;
}

void sim_run_for(sim_t *sim, int64_t ms) {
    int64_t until = sim->now_us + ms * 1000;
    while (sim->heap.len && sim->heap.at[0]->at_us <= until) sim_step(sim);
    sim->now_us = until;
}

bool sim_run_until(sim_t *sim, bool (*done)(void *arg), void *arg, int64_t timeout_ms) {
    int64_t until = sim->now_us + timeout_ms * 1000;
    while (!done(arg)) {
        if (!sim->heap.len || sim->heap.at[0]->at_us > until) {
            sim->now_us = until;
            return done(arg);
        }
        sim_step(sim);
    }
    return true;
}

// ---- hands -------------------------------------------------------------------------------------

static void hand_stop(actor_t *me) {
    hand_t *hand = actor_state(me);
    free(hand->type);
    blob_unref(&hand->body);
}

static void hand_takes(actor_t *me, const message_t *msg) {
    hand_t *hand = actor_state(me);
    if (!msg->in_reply_to || msg->tag != hand->wanted || hand->type) return;
    hand->type = str_dup(msg->type);
    hand->body = blob_ref(msg->body);
}
static const gateway_t hand_gateway = {.raw = hand_takes};

static err_t hand_start(actor_t *me, const void *args, why_t *why) {
    actor_set_gateway(me, &hand_gateway);
    return ERR_OK;
}

static const actor_def_t *hand_def(sim_t *sim, const char *role, size_t len) {
    for (size_t i = 0; i < sim->hand_defs.len; i++)
        if (strlen(sim->hand_defs.at[i]->role) == len &&
            memcmp(sim->hand_defs.at[i]->role, role, len) == 0)
            return &sim->hand_defs.at[i]->def;
    hand_def_t *d = NEW(hand_def_t);
    d->role = str_dup_n(role, len);
    d->def = (actor_def_t){
        .role = d->role, .state_size = sizeof(hand_t), .start = hand_start, .stop = hand_stop};
    vec_push(&sim->hand_defs, d);
    return &d->def;
}

static actor_t *hand_of(sim_t *sim, const char *address, proc_t **ret_proc) {
    actor_t *hand = actor_somewhere(sim, address, ret_proc);
    if (!hand) {
        const char *slash = strchr(address, '/');
        assert(slash);
        const actor_def_t *def = hand_def(sim, address, (size_t)(slash - address));
        why_t why;
        err_t err = sim_spawn(sim, "hand", "hand", def, slash + 1, NULL, &why);
        assert(!err);
        hand = actor_somewhere(sim, address, ret_proc);
    }
    stage_begin((*ret_proc)->stage);
    actor_set_trace(hand, rng_next(&sim->rng));
    return hand;
}

void sim_tell(sim_t *sim, const char *from, const char *to, const ProtobufCMessage *body) {
    proc_t *p;
    actor_t *hand = hand_of(sim, from, &p);
    actor_tell(hand, to, body);
    finish_act(p);
}

static err_t read_outcome(const hand_t *hand, arena_t *arena,
                          const ProtobufCMessageDescriptor *reply_type, void **ret_reply,
                          why_t *why) {
    if (streq(hand->type, reply_type->name)) {
        void *reply = msg_unpack_own(arena, reply_type, blob_bytes(hand->body));
        if (!reply) return why_set(why, ERR_MALFORMED, "the answer does not unpack");
        *ret_reply = reply;
        return ERR_OK;
    }
    if (!streq(hand->type, actor__failure__descriptor.name))
        return why_set(why, ERR_UNHANDLED, "answered with %s", hand->type);
    const Actor__Failure *failure =
        msg_unpack_own(arena, &actor__failure__descriptor, blob_bytes(hand->body));
    if (!failure || failure->err <= ERR_OK || failure->err >= ERR_MAX)
        return why_set(why, ERR_INTERNAL, "no reason");
    return why_set(why, (err_t)failure->err, "%s", failure->why);
}

err_t sim_ask(sim_t *sim, const char *from, const char *to, const ProtobufCMessage *body,
              int64_t timeout_ms, arena_t *arena, const ProtobufCMessageDescriptor *reply_type,
              void **ret_reply, why_t *why) {
    proc_t *p;
    actor_t *me = hand_of(sim, from, &p);
    hand_t *hand = actor_state(me);
    hand->wanted = ++sim->last_tag;
    actor_ask(me, to, body, timeout_ms, hand->wanted);
    finish_act(p);
    for (size_t i = 0; !hand->type && i < ROUNDS_PER_CALL_MAX; i++)
        if (!sim_step(sim)) break;
    assert(hand->type); // its timer at the latest gives it an outcome
    err_t err = read_outcome(hand, arena, reply_type, ret_reply, why);
    free(x_steal(&hand->type));
    blob_unref(&hand->body);
    hand->wanted = 0;
    return err;
}

// ---- the rest ----------------------------------------------------------------------------------

sim_t *sim_new(uint64_t seed) {
    sim_t *sim = NEW(sim_t);
    rng_init(&sim->rng, seed);
    sim->now_us = START_US;
    sim->hash = HASH_FNV64_START;
    sim->latency_low_us = LATENCY_LOW_US;
    sim->latency_high_us = LATENCY_HIGH_US;
    sim->faults = faults_new();
    return sim;
}

void sim_destroy(sim_t **simulation) {
    sim_t *sim = x_steal(simulation);
    if (!sim) return;
    for (size_t i = 0; i < sim->procs.len; i++) sim->procs.at[i]->down = true; // no more news
    for (size_t i = sim->procs.len; i-- > 0;) proc_destroy(sim->procs.at[i]);
    for (size_t i = 0; i < sim->heap.len; i++) event_destroy(sim->heap.at[i]);
    for (size_t i = 0; i < sim->hand_defs.len; i++) {
        free(sim->hand_defs.at[i]->role);
        free(sim->hand_defs.at[i]);
    }
    vec_done(&sim->procs);
    vec_done(&sim->heap);
    vec_done(&sim->hand_defs);
    faults_destroy(&sim->faults);
    free(sim);
}

void sim_set_latency(sim_t *sim, int64_t low_us, int64_t high_us) {
    assert(0 <= low_us && low_us <= high_us);
    sim->latency_low_us = low_us;
    sim->latency_high_us = high_us;
}

void sim_set_fault(sim_t *sim, const Actor__FaultRule *rule) {
    bool fits = faults_set(sim->faults, rule, sim->now_us);
    assert(fits);
    note_act(sim, "fault", or_empty(rule->name));
}

void sim_clear_faults(sim_t *sim) {
    faults_clear(sim->faults, NULL, NULL, NULL);
    note_act(sim, "faults", "cleared");
}

int64_t sim_now_ms(const sim_t *sim) { return sim->now_us / 1000; }
rng_t *sim_rng(sim_t *sim) { return &sim->rng; }
uint64_t sim_trace_hash(const sim_t *sim) { return sim->hash; }
void sim_trace_to(sim_t *sim, FILE *out) { sim->story = out; }
