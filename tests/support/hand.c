#include "tests/support/hand.h"
#include "runtime/base/clock.h"
#include "tests/support/leaks.h"
#include "troupe/api.pb-c.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

typedef struct {
    hand_t *hand;
} hand_state_t;
typedef struct {
    hand_t *hand;
} hand_args_t;

static hand_t *hand_of(actor_t *me) { return ((hand_state_t *)actor_state(me))->hand; }

static void hear(actor_t *me, const message_t *msg, heard_t what) {
    hand_t *h = hand_of(me);
    pthread_mutex_lock(&h->lock);
    if (h->heard_len < HAND_HEARD_MAX) {
        what.tag = msg->tag;
        what.type = strrchr(msg->type, '.') + 1;
        snprintf(what.principal, sizeof what.principal, "%s", or_empty(msg->principal));
        h->heard[h->heard_len++] = what;
    }
    pthread_cond_broadcast(&h->news);
    pthread_mutex_unlock(&h->lock);
}

static heard_t text_of(const char *text, size_t len) {
    heard_t what = {0};
    snprintf(what.text, sizeof what.text, "%.*s", (int)len, text);
    return what;
}

static void on_chunk(actor_t *me, const message_t *msg, const void *body) {
    const Api__LogChunk *chunk = body;
    heard_t what = text_of((char *)chunk->data.data, chunk->data.len);
    what.number = chunk->offset;
    hear(me, msg, what);
}
static void on_failure(actor_t *me, const message_t *msg, const void *body) {
    const Actor__Failure *f = body;
    heard_t what = text_of(f->why, strlen(f->why));
    what.err = (err_t)f->err;
    hear(me, msg, what);
}
static void on_end(actor_t *me, const message_t *msg, const void *body) {
    const Actor__StreamEnd *end = body;
    heard_t what = text_of(end->why, strlen(end->why));
    what.err = (err_t)end->err;
    hear(me, msg, what);
}
static void on_down(actor_t *me, const message_t *msg, const void *body) {
    const Actor__Down *down = body;
    heard_t what = text_of(down->address, strlen(down->address));
    snprintf(what.reason, sizeof what.reason, "%s", down->reason);
    hear(me, msg, what);
}
static void on_up(actor_t *me, const message_t *msg, const void *body) {
    const Actor__Up *up = body;
    hear(me, msg, text_of(up->address, strlen(up->address)));
}

static void on_done(actor_t *me, const message_t *msg, const void *body) {}

static void on_fd(actor_t *me, int fd, uint32_t events) {
    hand_t *h = hand_of(me);
    uint64_t count;
    ssize_t n = read(fd, &count, sizeof count);
    (void)n;
    pthread_mutex_lock(&h->lock);
    void (*wish)(actor_t *, void *) = h->wish;
    void *arg = h->wish_arg;
    pthread_mutex_unlock(&h->lock);
    if (!wish) return;
    wish(me, arg);
    pthread_mutex_lock(&h->lock);
    h->wish = NULL;
    pthread_cond_broadcast(&h->news);
    pthread_mutex_unlock(&h->lock);
}

static err_t start(actor_t *me, const void *args, why_t *why) {
    hand_state_t *self = actor_state(me);
    self->hand = ((const hand_args_t *)args)->hand;
    actor_watch_fd(me, self->hand->wake_fd, EPOLLIN);
    return ERR_OK;
}

static const handler_t hand_handlers[] = {
    {&api__log_chunk__descriptor, on_chunk, NULL, false},
    {&actor__failure__descriptor, on_failure, NULL, false},
    {&actor__stream_end__descriptor, on_end, NULL, false},
    {&actor__down__descriptor, on_down, NULL, false},
    {&actor__up__descriptor, on_up, NULL, false},
    {&actor__done__descriptor, on_done, NULL, false},
    {NULL, NULL, NULL, false},
};

void hand_init(hand_t *h) {
    pthread_condattr_t monotonic;
    *h = (hand_t){.wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    h->heard = mem_new(HAND_HEARD_MAX * sizeof *h->heard);
    pthread_mutex_init(&h->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&h->news, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

void hand_done(hand_t *h) {
    close(h->wake_fd);
    free(h->heard);
    pthread_mutex_destroy(&h->lock);
    pthread_cond_destroy(&h->news);
}

void hand_spawn(hand_t *h, process_t *p, const char *dispatcher, const char *role,
                const char *name) {
    static actor_def_t defs[16]; // one per role: a role's name lies in its definition
    static hand_args_t args[16];
    static size_t len;
    why_t why;
    cr_assert_lt(len, LENGTH_OF(defs));
    defs[len] = (actor_def_t){.role = role ? role : "hand",
                              .state_size = sizeof(hand_state_t),
                              .start = start,
                              .handlers = hand_handlers,
                              .on_fd = on_fd,
                              .mailbox_max = HAND_HEARD_MAX};
    args[len] = (hand_args_t){h};
    cr_assert_eq(process_spawn(p, dispatcher, &defs[len], name, &args[len], NULL, &why), ERR_OK,
                 "%s", why.text);
    len++;
}

static struct timespec in_ten_seconds(void) {
    int64_t at_us = clock_monotonic_us() + 10 * 1000 * 1000;
    return (struct timespec){.tv_sec = at_us / 1000000, .tv_nsec = at_us % 1000000 * 1000};
}

void hand_do(hand_t *h, void (*fn)(actor_t *me, void *arg), void *arg) {
    struct timespec deadline = in_ten_seconds();
    int code = 0;
    uint64_t one = 1;
    pthread_mutex_lock(&h->lock);
    h->wish = fn, h->wish_arg = arg;
    cr_assert_eq(write(h->wake_fd, &one, sizeof one), sizeof one);
    while (h->wish && code == 0) code = pthread_cond_timedwait(&h->news, &h->lock, &deadline);
    pthread_mutex_unlock(&h->lock);
    cr_assert_eq(code, 0, "the actor does not move");
}

typedef struct {
    const char *to, *data;
    int64_t number;
    uint64_t tag;
} words_t;
static Api__LogChunk chunk_of(const words_t *w) {
    Api__LogChunk chunk = {PROTOBUF_C_MESSAGE_INIT(&api__log_chunk__descriptor)};
    chunk.data = (ProtobufCBinaryData){strlen(w->data), (uint8_t *)w->data};
    chunk.offset = w->number;
    return chunk;
}
static void do_ask(actor_t *me, void *arg) {
    const words_t *w = arg;
    Api__LogChunk chunk = chunk_of(w);
    actor_ask(me, w->to, &chunk.base, 8000, w->tag);
}
static void do_tell(actor_t *me, void *arg) {
    const words_t *w = arg;
    Api__LogChunk chunk = chunk_of(w);
    actor_tell(me, w->to, &chunk.base);
}
static void do_monitor(actor_t *me, void *arg) { actor_monitor(me, arg); }
static void do_open(actor_t *me, void *arg) {
    const words_t *w = arg;
    Api__PodLogs logs = {PROTOBUF_C_MESSAGE_INIT(&api__pod_logs__descriptor)};
    logs.tail_lines = w->number;
    actor_open(me, w->to, &logs.base, STREAM_WINDOW_DEFAULT, w->tag);
}

void hand_ask(hand_t *h, const char *to, const char *data, int64_t number, uint64_t tag) {
    hand_do(h, do_ask, &(words_t){to, data, number, tag});
}
void hand_tell(hand_t *h, const char *to, const char *data, int64_t number) {
    hand_do(h, do_tell, &(words_t){to, data, number, 0});
}
void hand_monitor(hand_t *h, const char *address) { hand_do(h, do_monitor, (void *)address); }
void hand_open(hand_t *h, const char *to, int64_t chunks, uint64_t tag) {
    hand_do(h, do_open, &(words_t){to, "", chunks, tag});
}

const heard_t *hand_heard(hand_t *h, size_t n) {
    struct timespec deadline = in_ten_seconds();
    int code = 0;
    pthread_mutex_lock(&h->lock);
    while (h->heard_len <= n && code == 0)
        code = pthread_cond_timedwait(&h->news, &h->lock, &deadline);
    const heard_t *heard = h->heard_len > n ? &h->heard[n] : NULL;
    pthread_mutex_unlock(&h->lock);
    return heard;
}

void hand_forget(hand_t *h) {
    pthread_mutex_lock(&h->lock);
    h->heard_len = 0;
    pthread_mutex_unlock(&h->lock);
}

typedef struct {
    const char *address;
    bool known;
} known_t;
static void do_look(actor_t *me, void *arg) {
    known_t *k = arg;
    k->known = actor_is_known(me, k->address);
}
bool hand_reaches(hand_t *h, const char *to) {
    known_t k = {to, false};
    int64_t deadline_ms = clock_monotonic_ms() + 10 * 1000;
    while (!k.known && clock_monotonic_ms() < deadline_ms) {
        hand_do(h, do_look, &k);
        if (!k.known) sched_yield();
    }
    return k.known;
}

// ---- echo --------------------------------------------------------------------------------------
typedef struct {
    uint64_t stream;
    int64_t left, sent;
} echo_t;

static void echo_on_chunk(actor_t *me, const message_t *msg, const void *body) {
    const Api__LogChunk *chunk = body;
    if (msg->deadline_ms == 0) return; // a tell
    Api__LogChunk answer = {PROTOBUF_C_MESSAGE_INIT(&api__log_chunk__descriptor)};
    const char *text =
        arena_printf(actor_arena(me), "%.*s by %s for %s", (int)chunk->data.len, chunk->data.data,
                     actor_name(me), msg->principal ? msg->principal : "nobody");
    answer.data = (ProtobufCBinaryData){strlen(text), (uint8_t *)text};
    answer.offset = chunk->offset;
    actor_reply(me, msg, &answer.base);
}

static void pour(actor_t *me) {
    echo_t *self = actor_state(me);
    Api__LogChunk chunk = {PROTOBUF_C_MESSAGE_INIT(&api__log_chunk__descriptor)};
    while (self->left > 0) {
        chunk.offset = self->sent + 1;
        if (!actor_stream_send(me, self->stream, &chunk.base)) return;
        self->sent++, self->left--;
    }
    if (self->left == 0 && self->stream) {
        actor_stream_end(me, self->stream, ERR_OK, "");
        self->stream = 0;
    }
}
static void echo_on_logs(actor_t *me, const message_t *msg, const void *body) {
    echo_t *self = actor_state(me);
    const Api__PodLogs *logs = body;
    self->stream = actor_stream_accept(me, msg, 0);
    self->sent = 0;
    self->left = logs->tail_lines;
    pour(me);
}
static void echo_on_credit(actor_t *me, const message_t *msg, const void *body) { pour(me); }
static void echo_on_gone(actor_t *me, const message_t *msg, const void *body) {
    ((echo_t *)actor_state(me))->stream = 0;
}

static const handler_t echo_handlers[] = {
    {&api__log_chunk__descriptor, echo_on_chunk, NULL, false},
    {&api__pod_logs__descriptor, echo_on_logs, NULL, false},
    {&actor__stream_credit__descriptor, echo_on_credit, NULL, false},
    {&actor__stream_gone__descriptor, echo_on_gone, NULL, false},
    {NULL, NULL, NULL, false},
};
const actor_def_t echo_actor = {.role = "echo",
                                .state_size = sizeof(echo_t),
                                .handlers = echo_handlers,
                                .mailbox_max = HAND_HEARD_MAX};
