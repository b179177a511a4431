// Links between processes against raw libzmq over the same transport, in one run:
//
//     build/release/bin/bench_link
//
// An echo of 64 bytes, one at a time and 256 under way: a DEALER and a ROUTER in two threads, and
// two actors in two processes (of one program) with link, envelope, directory and handlers between.
#include "runtime/actor/process.h"
#include "runtime/base/clock.h"
#include "runtime/base/log.h"
#include "troupe/api.pb-c.h"
#include <pthread.h>
#include <semaphore.h>
#include <unistd.h>
#include <zmq.h>

enum {
    ONE_BY_ONE = 20 * 1000,
    IN_FLIGHT = 256,
    PIPELINED = 300 * 1000,
    BODY_BYTES = 64,
    ROUNDS = 3
};
static char endpoint_raw[64], endpoint_own[64];
static uint8_t body[BODY_BYTES];

static void must(err_t err, const why_t *why) {
    if (!err) return;
    fprintf(stderr, "bench_link: %s\n", why->text);
    exit(1);
}

// ---- raw ---------------------------------------------------------------------------------------
static void *raw_echo(void *context) {
    void *s = zmq_socket(context, ZMQ_ROUTER);
    if (zmq_bind(s, endpoint_raw) < 0) abort();
    for (int left = ONE_BY_ONE + PIPELINED; left > 0; left--) {
        uint8_t id[16], head[80], text[BODY_BYTES];
        int id_len = zmq_recv(s, id, sizeof id, 0), head_len = zmq_recv(s, head, sizeof head, 0);
        int len = zmq_recv(s, text, sizeof text, 0);
        zmq_send(s, id, (size_t)id_len, ZMQ_SNDMORE);
        zmq_send(s, head, (size_t)head_len, ZMQ_SNDMORE);
        zmq_send(s, text, (size_t)len, 0);
    }
    zmq_close(s);
    return NULL;
}

static void raw_send(void *s) {
    static const uint8_t head[70]; // about the size of our envelope
    zmq_send(s, head, sizeof head, ZMQ_SNDMORE);
    zmq_send(s, body, sizeof body, 0);
}
static void raw_receive(void *s) {
    uint8_t frame[128];
    zmq_recv(s, frame, sizeof frame, 0);
    zmq_recv(s, frame, sizeof frame, 0);
}

static void raw(double *ret_us, double *ret_per_s) {
    void *context = zmq_ctx_new();
    pthread_t thread;
    pthread_create(&thread, NULL, raw_echo, context);
    void *s = zmq_socket(context, ZMQ_DEALER);
    if (zmq_connect(s, endpoint_raw) < 0) abort();
    int64_t begun_us = clock_monotonic_us();
    for (int i = 0; i < ONE_BY_ONE; i++) raw_send(s), raw_receive(s);
    *ret_us = (double)(clock_monotonic_us() - begun_us) / ONE_BY_ONE;
    begun_us = clock_monotonic_us();
    for (int i = 0; i < IN_FLIGHT; i++) raw_send(s);
    for (int i = 0; i < PIPELINED; i++) {
        raw_receive(s);
        if (i + IN_FLIGHT < PIPELINED) raw_send(s);
    }
    *ret_per_s = PIPELINED / ((double)(clock_monotonic_us() - begun_us) / 1e6);
    pthread_join(thread, NULL);
    zmq_close(s);
    zmq_ctx_term(context);
}

// ---- ours --------------------------------------------------------------------------------------
typedef struct {
    sem_t done;
    int64_t answers, wanted, under_way;
    int64_t ended_us, begun_us;
} asker_args_t;
typedef struct {
    asker_args_t *args;
    int64_t sent;
} asker_t;
enum { TIMER_LOOK = 1 };

static void echo_on_chunk(actor_t *me, const message_t *msg, const void *chunk) {
    actor_reply(me, msg, chunk);
}
static const handler_t echo_rows[] = {{&api__log_chunk__descriptor, echo_on_chunk, NULL, false},
                                      {0}};
static const actor_def_t echo_actor = {.role = "echo", .state_size = 1, .handlers = echo_rows};

static void ask(actor_t *me) {
    asker_t *self = actor_state(me);
    Api__LogChunk chunk = {PROTOBUF_C_MESSAGE_INIT(&api__log_chunk__descriptor)};
    chunk.data = (ProtobufCBinaryData){sizeof body, body};
    actor_ask(me, "echo/e", &chunk.base, 10000, 1);
    self->sent++;
}
static void on_answer(actor_t *me, const message_t *msg, const void *chunk) {
    asker_t *self = actor_state(me);
    asker_args_t *a = self->args;
    if (++a->answers == a->wanted) {
        a->ended_us = clock_monotonic_us();
        sem_post(&a->done);
    } else if (self->sent < a->wanted) {
        ask(me);
    }
}
static void on_failure(actor_t *me, const message_t *msg, const void *failure) {
    fprintf(stderr, "bench_link: %s\n", ((const Actor__Failure *)failure)->why);
    _exit(1);
}
static void on_timer(actor_t *me, uint64_t tag) {
    asker_t *self = actor_state(me);
    if (!actor_is_known(me, "echo/e")) {
        actor_timer(me, TIMER_LOOK, 1);
        return;
    }
    self->args->begun_us = clock_monotonic_us();
    for (int64_t i = 0; i < self->args->under_way; i++) ask(me);
}
static err_t start(actor_t *me, const void *args, why_t *why) {
    ((asker_t *)actor_state(me))->args = *(asker_args_t *const *)args;
    actor_timer(me, TIMER_LOOK, 0);
    return ERR_OK;
}
static const handler_t asker_rows[] = {{&api__log_chunk__descriptor, on_answer, NULL, false},
                                       {&actor__failure__descriptor, on_failure, NULL, false},
                                       {0}};
static const actor_def_t asker_actor = {.role = "asker",
                                        .state_size = sizeof(asker_t),
                                        .start = start,
                                        .handlers = asker_rows,
                                        .on_timer = on_timer};

static double own(int64_t wanted, int64_t under_way) {
    why_t why;
    process_t *a, *b;
    asker_args_t args = {.wanted = wanted, .under_way = under_way}, *at = &args;
    sem_init(&args.done, 0, 0);
    must(process_new(&(process_options_t){.name = "a"}, &a, &why), &why);
    must(process_new(&(process_options_t){.name = "b"}, &b, &why), &why);
    must(process_add_dispatcher(a, "d", &why), &why);
    must(process_add_dispatcher(b, "d", &why), &why);
    must(process_spawn(a, "d", &echo_actor, "e", NULL, NULL, &why), &why);
    must(process_listen(a, &(listen_options_t){.endpoint = endpoint_own, .principal = "part"},
                        &why),
         &why);
    must(process_connect(b, &(connect_options_t){.peer = "a", .endpoint = endpoint_own}, &why),
         &why);
    must(process_spawn(b, "d", &asker_actor, "a", &at, NULL, &why), &why);
    sem_wait(&args.done);
    process_stop(b), process_stop(a);
    process_destroy(&b), process_destroy(&a);
    sem_destroy(&args.done);
    return (double)(args.ended_us - args.begun_us);
}

int main(void) {
    char folder[] = "/tmp/troupe-bench-XXXXXX";
    if (!mkdtemp(folder)) return 1;
    snprintf(endpoint_raw, sizeof endpoint_raw, "ipc://%s/raw", folder);
    snprintf(endpoint_own, sizeof endpoint_own, "ipc://%s/own", folder);
    log_set_level(LOG_LEVEL_WARN);
    printf("ipc, 64 B                  raw libzmq      ours    ratio\n");
    for (int i = 0; i < ROUNDS; i++) {
        double raw_us, raw_per_s;
        raw(&raw_us, &raw_per_s);
        double own_us = own(ONE_BY_ONE, 1) / ONE_BY_ONE;
        double own_per_s = PIPELINED / (own(PIPELINED, IN_FLIGHT) / 1e6);
        printf("round trip, one by one   %8.1f us %8.1f us   %5.2f\n", raw_us, own_us,
               own_us / raw_us);
        printf("asks/s, %d under way    %8.0f    %8.0f      %5.2f\n", IN_FLIGHT, raw_per_s,
               own_per_s, own_per_s / raw_per_s);
    }
    unlink(endpoint_raw + 6), unlink(endpoint_own + 6), rmdir(folder);
    return 0;
}
