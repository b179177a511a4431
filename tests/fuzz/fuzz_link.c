// Any frames as what a peer sends over a link: the whole path from bytes to an actor of this
// process, Hello and credits included, on a stage without threads.
//
// An input is a row of messages: length (2 bytes, little endian), head, length, body.
#include "runtime/actor/link_inner.h"
#include "runtime/base/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bytes_t input;
static void *near_end, *far_end; // of an inproc pair: what the link answers goes there

// ---- the stage's host: nothing happens outside --------------------------------------------------
static void clocks(void *arg, stage_clocks_t *ret) { *ret = (stage_clocks_t){1000000, 1000}; }
static int64_t tick_us(void *arg) { return 1000000; }
static bool send_away(void *arg, uint32_t port, envelope_t **env) {
    envelope_destroy(env);
    return true;
}
static void watch_fd(void *arg, actor_t *actor, int fd, uint32_t events) {}
static void hop(void *arg, const actor_t *actor, envelope_t *env, uint64_t tag, int64_t begun_us,
                int64_t ended_us) {}
static void exhausted(void *arg, const char *reason) {}

// ---- a link that reads the input ----------------------------------------------------------------
typedef struct {
    link_t link;
    conn_t conns[LANES];
} reader_t;

static bool take(bytes_t *from, bytes_t *ret) {
    if (from->len < 2) return false;
    size_t len = (size_t)(from->at[0] | from->at[1] << 8);
    if (len > from->len - 2) len = from->len - 2;
    *ret = (bytes_t){from->at + 2, len};
    from->at += 2 + len, from->len -= 2 + len;
    return true;
}

static void drain(void) {
    char byte[16];
    while (zmq_recv(far_end, byte, sizeof byte, ZMQ_DONTWAIT) >= 0) {}
}

static void lose(link_t *l, conn_t *c) {}
static err_t carry(actor_t *me, envelope_t **env) { return link_carry(actor_state(me), env); }
static void changed(actor_t *me, const notice_t *notice) { link_changed(actor_state(me), notice); }
static const gateway_t gateway = {.carry = carry, .changed = changed};

static err_t start(actor_t *me, const void *args, why_t *why) {
    reader_t *self = actor_state(me);
    link_init(&self->link, me, args, lose);
    actor_set_gateway(me, &gateway);
    for (int i = 0; i < LANES; i++) {
        conn_init(&self->conns[i], &self->link, near_end, "part");
        self->conns[i].id_len = 1; // as a listening link's
    }
    actor_settle_again(me);
    return ERR_OK;
}
static void settle(actor_t *me) {
    reader_t *self = actor_state(me);
    bytes_t head, body;
    for (size_t i = 0; take(&input, &head) && take(&input, &body); i++) {
        conn_receive(&self->conns[head.len ? head.at[head.len - 1] % LANES : 0], head, body);
        drain();
    }
    link_settle(&self->link);
    drain();
}
static void stop(actor_t *me) {
    reader_t *self = actor_state(me);
    for (int i = 0; i < LANES; i++) conn_lose(&self->conns[i], "the end");
    link_done(&self->link);
    for (int i = 0; i < LANES; i++) conn_done(&self->conns[i]);
}
static const actor_def_t reader = {
    .role = "link", .state_size = sizeof(reader_t), .start = start, .settle = settle, .stop = stop};

static void on_any(actor_t *me, const message_t *msg, const void *body) {}
static const handler_t handlers[] = {{&actor__list_actors__descriptor, on_any}, {0}};
static const actor_def_t sink = {.role = "sink", .state_size = 1, .handlers = handlers};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static link_args_t args;
    if (!args.of.context) {
        log_set_level(LOG_LEVEL_ERROR);
        args.of = (link_process_t){.context = zmq_ctx_new(),
                                   .process = "here",
                                   .boot_id = 1,
                                   .may_speak_as = link_default_may_speak_as};
        near_end = zmq_socket(args.of.context, ZMQ_PAIR),
        far_end = zmq_socket(args.of.context, ZMQ_PAIR);
        if (zmq_bind(near_end, "inproc://pair") < 0 || zmq_connect(far_end, "inproc://pair") < 0)
            abort();
    }
    directory_t *directory = directory_new();
    faults_t *faults = faults_new();
    stage_t *stage = stage_new(&(stage_options_t){.host = {.clocks = clocks,
                                                           .tick_us = tick_us,
                                                           .send = send_away,
                                                           .watch_fd = watch_fd,
                                                           .hop = hop,
                                                           .exhausted = exhausted},
                                                  .directory = directory,
                                                  .faults = faults,
                                                  .process = "here",
                                                  .host_name = "h",
                                                  .dispatcher = "d",
                                                  .seed = 1});
    why_t why;
    input = (bytes_t){data, size};
    stage_begin(stage);
    if (stage_spawn(stage, NULL, &sink, "s", NULL, NULL, NULL, &why)) abort();
    if (stage_spawn(stage, NULL, &reader, "r", &args, NULL, NULL, &why)) abort();
    for (int i = 0; i < 8; i++) {
        stage_run(stage);
        stage_begin(stage);
    }
    stage_stop_all(stage, "the end");
    stage_destroy(&stage);
    faults_destroy(&faults);
    directory_destroy(&directory);
    return 0;
}
