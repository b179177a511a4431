// The actor runtime against raw libzmq of the same run and machine (TARGETS, "Actor runtime"):
//
//     build/release/bin/bench_actor [inside|between|asks|kills|actors]
//
// Prints each figure with its ratio to raw ZeroMQ or to its limit. Not a test: it judges nothing.
#include "runtime/actor/kit.h"
#include "runtime/actor/process.h"
#include "runtime/base/clock.h"
#include "runtime/base/log.h"
#include <malloc.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <time.h>
#include <zmq.h>

enum {
    INSIDE_MESSAGES = 6 * 1000 * 1000,
    BETWEEN_MESSAGES = 3 * 1000 * 1000,
    ROUND_TRIPS = 50 * 1000,
    ACTORS = 100 * 1000,
    KILLS = 200,
    WINDOW = 1024,
};
// With its two tags and lengths a body of 64 bytes.
#define BODY_ADDRESS "0123456789012345678901234567890123456789"
#define BODY_REASON  "01234567890123456789"

static double seconds(int64_t since_us) { return (double)(clock_monotonic_us() - since_us) / 1e6; }

// CPU time of the whole process: what a busy machine does not change.
static double cpu_seconds(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static Actor__KillActor body64(void) {
    Actor__KillActor b = {PROTOBUF_C_MESSAGE_INIT(&actor__kill_actor__descriptor)};
    b.address = BODY_ADDRESS;
    b.reason = BODY_REASON;
    return b;
}

static void must(err_t err, const why_t *why) {
    if (!err) return;
    fprintf(stderr, "bench: %s\n", why->text);
    exit(1);
}

// ---- ball: bounces bodies back until enough have been seen -------------------------------------
typedef struct {
    const char *other;
    bool serves;
    uint64_t until;
    sem_t *done;
} ball_args_t;
typedef struct {
    const ball_args_t *args;
    uint64_t seen;
} ball_t;

static err_t ball_start(actor_t *me, const void *args, why_t *why) {
    ((ball_t *)actor_state(me))->args = args;
    if (((const ball_args_t *)args)->serves) actor_timer(me, 1, 20);
    return ERR_OK;
}
static void ball_timer(actor_t *me, uint64_t tag) {
    const ball_t *self = actor_state(me);
    Actor__KillActor body = body64();
    for (int i = 0; i < WINDOW; i++) actor_tell(me, self->args->other, &body.base);
}
static void ball_body(actor_t *me, const message_t *msg, const void *body) {
    ball_t *self = actor_state(me);
    if (++self->seen == self->args->until) sem_post(self->args->done);
    if (self->seen < self->args->until) actor_tell(me, self->args->other, body);
}
static const handler_t ball_rows[] = {{&actor__kill_actor__descriptor, ball_body}, {0}};
static const actor_def_t ball_actor = {"ball", sizeof(ball_t), ball_start, ball_rows,
                                       .on_timer = ball_timer};

static double inside(process_t *p) {
    sem_t done;
    sem_init(&done, 0, 0);
    ball_args_t x = {"ball/in-y", false, INSIDE_MESSAGES / 2, &done},
                y = {"ball/in-x", true, INSIDE_MESSAGES, &done};
    why_t why;
    must(process_spawn(p, "a", &ball_actor, "in-x", &x, NULL, &why), &why);
    int64_t began = clock_monotonic_us();
    must(process_spawn(p, "a", &ball_actor, "in-y", &y, NULL, &why), &why);
    sem_wait(&done);
    return INSIDE_MESSAGES / (seconds(began) - 0.02);
}

// ---- source and drain: one way, between threads ------------------------------------------------
// The drain says how far it is every quarter
// of a window: no more than two windows are under way.
typedef struct {
    uint64_t count;
    sem_t *done;
    int64_t began_us;
} flow_args_t;
typedef struct {
    flow_args_t *args;
    uint64_t sent, seen, allowed;
} flow_t;

static void pump(actor_t *me) {
    flow_t *self = actor_state(me);
    Actor__KillActor body = body64();
    for (; self->sent < self->allowed && self->sent < self->args->count; self->sent++)
        actor_tell(me, "drain/d", &body.base);
}
static err_t source_start(actor_t *me, const void *args, why_t *why) {
    flow_t *self = actor_state(me);
    self->args = (flow_args_t *)args;
    self->allowed = 2 * WINDOW;
    return ERR_OK;
}
static void source_credit(actor_t *me, const message_t *msg, const void *body) {
    ((flow_t *)actor_state(me))->allowed = ((const Actor__TraceQuery *)body)->trace_id + 2 * WINDOW;
}
static const handler_t source_rows[] = {{&actor__trace_query__descriptor, source_credit}, {0}};
static const actor_def_t source_actor = {"source", sizeof(flow_t), source_start, source_rows, pump};

static err_t drain_start(actor_t *me, const void *args, why_t *why) {
    ((flow_t *)actor_state(me))->args = (flow_args_t *)args;
    return ERR_OK;
}
static void drain_body(actor_t *me, const message_t *msg, const void *body) {
    flow_t *self = actor_state(me);
    if (++self->seen == self->args->count) sem_post(self->args->done);
    if (self->seen % WINDOW) return;
    Actor__TraceQuery credit = {PROTOBUF_C_MESSAGE_INIT(&actor__trace_query__descriptor)};
    credit.trace_id = self->seen;
    actor_tell(me, "source/s", &credit.base);
}
static const handler_t drain_rows[] = {{&actor__kill_actor__descriptor, drain_body}, {0}};
static const actor_def_t drain_actor = {"drain", sizeof(flow_t), drain_start, drain_rows};

static double between(process_t *p) {
    sem_t done;
    sem_init(&done, 0, 0);
    flow_args_t args = {BETWEEN_MESSAGES, &done, 0};
    why_t why;
    must(process_spawn(p, "b", &drain_actor, "d", &args, NULL, &why), &why);
    int64_t began = clock_monotonic_us();
    must(process_spawn(p, "a", &source_actor, "s", &args, NULL, &why), &why);
    sem_wait(&done);
    return BETWEEN_MESSAGES / seconds(began);
}

// ---- raw libzmq --------------------------------------------------------------------------------
static void *raw_context;
static void *raw_push(void *arg) {
    void *push = zmq_socket(raw_context, ZMQ_PUSH);
    zmq_connect(push, "inproc://raw");
    char body[64] = {0};
    for (int i = 0; i < BETWEEN_MESSAGES; i++) zmq_send(push, body, sizeof body, 0);
    zmq_close(push);
    return NULL;
}
static double raw_between(void) {
    void *pull = zmq_socket(raw_context, ZMQ_PULL);
    zmq_bind(pull, "inproc://raw");
    pthread_t thread;
    int64_t began = clock_monotonic_us();
    pthread_create(&thread, NULL, raw_push, NULL);
    char body[64];
    for (int i = 0; i < BETWEEN_MESSAGES; i++) zmq_recv(pull, body, sizeof body, 0);
    double rate = BETWEEN_MESSAGES / seconds(began);
    pthread_join(thread, NULL);
    zmq_close(pull);
    return rate;
}
static void *raw_echo(void *arg) {
    void *pair = zmq_socket(raw_context, ZMQ_PAIR);
    zmq_connect(pair, "inproc://pair");
    char body[64];
    for (int i = 0; i < ROUND_TRIPS; i++) {
        zmq_recv(pair, body, sizeof body, 0);
        zmq_send(pair, body, sizeof body, 0);
    }
    zmq_close(pair);
    return NULL;
}
static double raw_round_trip_us(void) {
    void *pair = zmq_socket(raw_context, ZMQ_PAIR);
    zmq_bind(pair, "inproc://pair");
    pthread_t thread;
    pthread_create(&thread, NULL, raw_echo, NULL);
    char body[64] = {0};
    int64_t began = clock_monotonic_us();
    for (int i = 0; i < ROUND_TRIPS; i++) {
        zmq_send(pair, body, sizeof body, 0);
        zmq_recv(pair, body, sizeof body, 0);
    }
    double us = seconds(began) * 1e6 / ROUND_TRIPS;
    pthread_join(thread, NULL);
    zmq_close(pair);
    return us;
}

// ---- ask round trips ---------------------------------------------------------------------------
static void echo_body(actor_t *me, const message_t *msg, const void *body) {
    actor_reply(me, msg, body);
}
static const handler_t echo_rows[] = {{&actor__kill_actor__descriptor, echo_body}, {0}};
static const actor_def_t echo_actor = {"echo", 0, .handlers = echo_rows};

static void ask(actor_t *me) {
    Actor__KillActor body = body64();
    actor_ask(me, "echo/e", &body.base, 10000, 1);
}
static err_t asker_start(actor_t *me, const void *args, why_t *why) {
    ((flow_t *)actor_state(me))->args = (flow_args_t *)args;
    ask(me);
    return ERR_OK;
}
static void asker_answer(actor_t *me, const message_t *msg, const void *body) {
    flow_t *self = actor_state(me);
    if (++self->seen == self->args->count)
        sem_post(self->args->done);
    else
        ask(me);
}
static const handler_t asker_rows[] = {{&actor__kill_actor__descriptor, asker_answer}, {0}};
static const actor_def_t asker_actor = {"asker", sizeof(flow_t), asker_start, asker_rows};

static double round_trip_us(process_t *p, const char *at, const char *name) {
    sem_t done;
    sem_init(&done, 0, 0);
    static flow_args_t args[2];
    flow_args_t *mine = &args[streq(at, "a")];
    *mine = (flow_args_t){ROUND_TRIPS, &done, 0};
    why_t why;
    int64_t began = clock_monotonic_us();
    must(process_spawn(p, at, &asker_actor, name, mine, NULL, &why), &why);
    sem_wait(&done);
    return seconds(began) * 1e6 / ROUND_TRIPS;
}

// ---- restarts ----------------------------------------------------------------------------------
typedef struct {
    sem_t *done;
    int64_t killed_us, total_us, worst_us;
    int kills;
} killer_t;
static killer_t *killer(actor_t *me) { return *(killer_t **)actor_state(me); }
static void kill_once(actor_t *me) {
    Actor__KillActor kill = {PROTOBUF_C_MESSAGE_INIT(&actor__kill_actor__descriptor)};
    kill.address = "echo/e";
    kill.reason = "bench";
    killer(me)->killed_us = clock_monotonic_us();
    actor_tell(me, "steward/bench/a", &kill.base);
}
static err_t killer_start(actor_t *me, const void *args, why_t *why) {
    *(const void **)actor_state(me) = args;
    actor_monitor(me, "echo/e");
    return ERR_OK;
}
static void killer_up(actor_t *me, const message_t *msg, const void *body) {
    killer_t *k = killer(me);
    if (k->killed_us) {
        int64_t took = clock_monotonic_us() - k->killed_us;
        k->total_us += took;
        if (took > k->worst_us) k->worst_us = took;
        k->kills++;
    }
    if (k->kills == KILLS)
        sem_post(k->done);
    else
        kill_once(me);
}
static void ignore(actor_t *me, const message_t *msg, const void *body) {}
static const handler_t killer_rows[] = {{&actor__up__descriptor, killer_up},
                                        {&actor__down__descriptor, ignore},
                                        {0}};
static const actor_def_t killer_actor = {"system", sizeof(void *), killer_start, killer_rows};

static void restarts(process_t *p, double *ret_mean_us, double *ret_worst_us) {
    sem_t done;
    sem_init(&done, 0, 0);
    static killer_t k;
    k.done = &done;
    why_t why;
    must(process_spawn(p, "b", &killer_actor, "killer", &k, NULL, &why), &why);
    sem_wait(&done);
    *ret_mean_us = (double)k.total_us / KILLS;
    *ret_worst_us = (double)k.worst_us;
}

// ---- many actors -------------------------------------------------------------------------------
typedef struct {
    uint64_t a, b;
} small_t;
static const actor_def_t small_actor = {"small", sizeof(small_t), .handlers = echo_rows};
static err_t nest_start(actor_t *me, const void *args, why_t *why) {
    for (int i = 0; i < ACTORS; i++) {
        char name[16];
        snprintf(name, sizeof name, "node-%d", i);
        err_t err = actor_spawn(me, &small_actor, name, NULL, why);
        if (err) return err;
    }
    return ERR_OK;
}
static const actor_def_t nest_actor = {"nest", 0, nest_start};

static size_t heap_bytes(void) {
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
}
static double actor_bytes(process_t *p, double *ret_spawn_us) {
    why_t why;
    size_t before = heap_bytes();
    int64_t began = clock_monotonic_us();
    must(process_spawn(p, "b", &nest_actor, "n", NULL, NULL, &why), &why);
    *ret_spawn_us = seconds(began) * 1e6 / ACTORS;
    struct timespec settle = {.tv_nsec = 500 * 1000 * 1000}; // the directory's news drain
    nanosleep(&settle, NULL);
    return (double)(heap_bytes() - before) / ACTORS;
}

// ---- the sections -------------------------------------------------------------------------------

static void print_inside(process_t *p) {
    printf("%-44s %10.2f M %12s\n", "inside a dispatcher, 64 B, messages/s", inside(p) / 1e6,
           ">= 2 M");
}

static void print_between(process_t *p) {
    double cpu = cpu_seconds(), raw = raw_between(), raw_cpu = cpu_seconds() - cpu;
    cpu = cpu_seconds();
    double ours = between(p), our_cpu = cpu_seconds() - cpu;
    printf("%-44s %10.2f M\n", "raw PUSH/PULL inproc, 64 B, messages/s", raw / 1e6);
    printf("%-44s %10.2f M\n", "between dispatchers, 64 B, messages/s", ours / 1e6);
    printf("%-44s %10.2f x %12s\n", "  against raw", ours / raw, ">= 0.5 x");
    printf("%-44s %9.0f ns\n", "  CPU per message, raw", raw_cpu * 1e9 / BETWEEN_MESSAGES);
    printf("%-44s %9.0f ns\n", "  CPU per message, ours", our_cpu * 1e9 / BETWEEN_MESSAGES);
}

static void print_asks(process_t *p) {
    double cpu = cpu_seconds(), raw_us = raw_round_trip_us(), raw_cpu = cpu_seconds() - cpu;
    cpu = cpu_seconds();
    double ours_us = round_trip_us(p, "b", "far"), our_cpu = cpu_seconds() - cpu;
    printf("%-44s %9.2f us\n", "raw PAIR inproc round trip", raw_us);
    printf("%-44s %9.2f us\n", "ask round trip between dispatchers", ours_us);
    printf("%-44s %10.2f x %12s\n", "  against raw", ours_us / raw_us, "<= 1.5 x");
    printf("%-44s %9.2f us\n", "  CPU per round trip, raw", raw_cpu * 1e6 / ROUND_TRIPS);
    printf("%-44s %9.2f us\n", "  CPU per round trip, ours", our_cpu * 1e6 / ROUND_TRIPS);
    printf("%-44s %9.2f us\n", "ask round trip inside a dispatcher", round_trip_us(p, "a", "near"));
}

static void print_kills(process_t *p) {
    double mean, worst;
    restarts(p, &mean, &worst);
    printf("%-44s %9.0f us\n", "killed actor up again and known, mean", mean);
    printf("%-44s %9.0f us %12s\n", "  worst of 200", worst, "<= 10000 us");
}

static void print_actors(process_t *p) {
    double spawn_us, bytes = actor_bytes(p, &spawn_us);
    printf("%-44s %10.0f B %12s\n", "100,000 actors, heap each", bytes, "<= 1024 B");
    printf("%-44s %9.2f us\n", "  spawned in, each", spawn_us);
}

static const struct {
    const char *name;
    void (*print)(process_t *p);
} sections[] = {{"inside", print_inside},
                {"between", print_between},
                {"asks", print_asks},
                {"kills", print_kills},
                {"actors", print_actors}};

int main(int argc, char **argv) {
    why_t why;
    process_t *p;
    log_set_level(LOG_LEVEL_ERROR);
    setvbuf(stdout, NULL, _IOLBF, 0);
    raw_context = zmq_ctx_new();
    must(process_new(&(process_options_t){.name = "bench", .host = "here"}, &p, &why), &why);
    must(process_add_dispatcher(p, "a", &why), &why);
    must(process_add_dispatcher(p, "b", &why), &why);
    must(process_spawn(p, "a", &echo_actor, "e", NULL, NULL, &why), &why);
    printf("%-44s %12s %12s\n", "", "measured", "wanted");
    for (size_t i = 0; i < LENGTH_OF(sections); i++)
        if (argc < 2 || streq(argv[1], sections[i].name)) sections[i].print(p);
    process_destroy(&p);
    zmq_ctx_term(raw_context);
    return 0;
}
