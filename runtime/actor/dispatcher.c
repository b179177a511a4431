// The loop, as FIRST_POD §3 has it:
//
//   epoll (ZMQ_FD of the inbox, fds of actors, out-sockets that were full)  until the next timer
//     └► begin ─► fds ─► inbox, up to a budget ─► run ─► flush ─► is there more? then no sleep
//
// ZMQ_FD tells of commands to a socket, not of messages, and any call on the socket may swallow
// them. The inbox is only ever received from, and before a sleep until it says EAGAIN: what comes
// after that rings the fd again. Until then a counter says what has arrived, and answers that come
// within microseconds are found there: a sleep and a wake-up cost more than they do (see spin).
// (Each out-socket has commands of its own; a link's sockets, which send and receive, must look at
// ZMQ_EVENTS after every send.)
#include "runtime/actor/dispatcher.h"
#include "runtime/base/clock.h"
#include "runtime/base/log.h"
#include "runtime/base/map.h"
#include "runtime/base/vec.h"
#include <errno.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    EVENTS_MAX = 256,          // taken from epoll at once
    BUSY_ROUNDS_PER_EPOLL = 8, // while rounds follow each other, fds are looked at every so often
    SPIN_US = 15,              // about what an epoll_wait, its wake-up and the look before it cost
    SPIN_LUCK_MAX = 8,   // one more with each look that paid, halved by one that did not; at 0 …
    SPIN_TRY_EVERY = 64, // … one in so many sleeps begins with a look
};
#define EPOLL_INBOX (UINT64_MAX - 1)

// An fd that an actor watches.
typedef struct {
    actor_t *actor;
    uint32_t serial; // tells an old event from a new watch of the same number
} watch_t;

struct dispatcher {
    dispatcher_options_t options;
    char *name;
    bus_port_t *port;
    stage_t *stage;
    pthread_t thread;
    int epoll;
    imap_t watches; // fd -> watch_t
    uint32_t last_serial;
    VEC(hop_t) hops; // of this round
    unsigned spin_luck, spin_skipped;
    bool stopping; // set on its own thread
    bool joined;
};

// ---- hosting the stage -------------------------------------------------------------------------

static void host_clocks(void *arg, stage_clocks_t *ret) {
    const dispatcher_t *d = arg;
    *ret =
        (stage_clocks_t){clock_monotonic_us(), clock_wall_ms() + faults_skew_ms(d->options.faults)};
}

static int64_t host_tick(void *arg) { return clock_monotonic_us(); }
static int64_t host_boottime(void *arg) { return clock_boottime_ms(); }

static bool host_send(void *arg, uint32_t port, envelope_t **env) {
    const dispatcher_t *d = arg;
    return bus_send(d->port, port, env);
}

static void unwatch(dispatcher_t *d, int fd) {
    watch_t *w = imap_remove(&d->watches, (uint64_t)fd);
    if (!w) return;
    free(w);
    epoll_ctl(d->epoll, EPOLL_CTL_DEL, fd,
              NULL); // fails when the actor closed it first: then it is out already
}

static void host_watch_fd(void *arg, actor_t *actor, int fd, uint32_t events) {
    dispatcher_t *d = arg;
    if (!events) {
        unwatch(d, fd);
        return;
    }
    watch_t *w = imap_get(&d->watches, (uint64_t)fd);
    bool is_new = !w;
    if (is_new) {
        w = NEW(watch_t);
        imap_put(&d->watches, (uint64_t)fd, w);
    }
    w->actor = actor;
    w->serial = ++d->last_serial & INT32_MAX; // never all ones: those mean inbox and out-sockets
    struct epoll_event event = {.events = events,
                                .data.u64 = (uint64_t)w->serial << 32 | (uint32_t)fd};
    int rc = epoll_ctl(d->epoll, is_new ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &event);
    if (rc < 0 && errno == ENOENT) rc = epoll_ctl(d->epoll, EPOLL_CTL_ADD, fd, &event);
    if (rc < 0) log_error(actor_address(actor), "cannot watch fd %d: %s", fd, strerror(errno));
}

static void host_hop(void *arg, const actor_t *actor, envelope_t *env, uint64_t tag,
                     int64_t begun_us, int64_t ended_us) {
    dispatcher_t *d = arg;
    if (!env) return;
    hop_t hop = {.trace_id = env->trace_id,
                 .id = env->id,
                 .in_reply_to = env->in_reply_to,
                 .from = x_steal(&env->from),
                 .to = x_steal(&env->to),
                 .type = env->type,
                 .type_name = x_steal(&env->type_name),
                 .sent_us = env->sent_us,
                 .queued_us = begun_us - env->sent_us,
                 .handled_us = ended_us - begun_us,
                 .body_bytes = (uint32_t)envelope_bytes(env)};
    vec_push(&d->hops, hop);
}

static void host_exhausted(void *arg, const char *reason) {
    const dispatcher_t *d = arg;
    d->options.exhausted(d->options.exhausted_arg, reason);
}

// ---- the loop ----------------------------------------------------------------------------------

// Milliseconds that epoll may sleep; rounded up, so that a timer is due when it wakes up.
static int sleep_ms(const dispatcher_t *d) {
    int64_t next = stage_next_us(d->stage);
    if (next == INT64_MAX) return -1;
    int64_t left = next - clock_monotonic_us();
    if (left <= 0) return 0;
    int64_t ms = (left + 999) / 1000;
    return ms < INT32_MAX ? (int)ms : INT32_MAX;
}

static void take_fds(dispatcher_t *d, const struct epoll_event *events, int len) {
    for (int i = 0; i < len; i++) {
        uint64_t data = events[i].data.u64;
        if (data == EPOLL_INBOX || data == BUS_EPOLL_OUT) continue; // every round looks and flushes
        int fd = (int)(uint32_t)data;
        const watch_t *w = imap_get(&d->watches, (uint64_t)fd);
        if (w && w->serial == data >> 32) stage_fd(d->stage, w->actor, fd, events[i].events);
    }
}

static void round_of(dispatcher_t *d, const struct epoll_event *events, int len) {
    stage_begin(d->stage);
    take_fds(d, events, len);
    bus_receive(d->port, d->stage, ROUND_MESSAGES_MAX);
    stage_run(d->stage);
    // Before what was sent leaves: then causes stand before their effects in the ring.
    if (d->hops.len) trace_add(d->options.trace, d->hops.at, d->hops.len);
    vec_reset(&d->hops);
    bus_flush(d->port, d->epoll);
}

static void pause_cpu(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

// Waits a moment for mail without sleeping, as long as that keeps paying: two threads that answer
// each other never sleep, one that hears something now and then sleeps at once.
static bool spin(dispatcher_t *d) {
    if (!d->spin_luck && ++d->spin_skipped < SPIN_TRY_EVERY) return false;
    d->spin_skipped = 0;
    int64_t until_us = clock_monotonic_us() + SPIN_US;
    do {
        for (int i = 0; i < 32; i++) {
            if (bus_has_mail(d->port)) {
                if (d->spin_luck < SPIN_LUCK_MAX) d->spin_luck++;
                return true;
            }
            pause_cpu();
        }
    } while (clock_monotonic_us() < until_us);
    d->spin_luck /= 2;
    return false;
}

static bool has_work(dispatcher_t *d) {
    return bus_has_mail(d->port) || stage_is_busy(d->stage) || spin(d) || !bus_may_sleep(d->port);
}

static void *run(void *arg) {
    dispatcher_t *d = arg;
    char thread_name[16];
    snprintf(thread_name, sizeof thread_name, "%s", d->name);
    pthread_setname_np(pthread_self(), thread_name);
    struct epoll_event events[EVENTS_MAX];
    for (size_t round = 0; !d->stopping; round++) {
        bool busy = has_work(d);
        int len = 0;
        if (!busy || round % BUSY_ROUNDS_PER_EPOLL == 0)
            len = epoll_wait(d->epoll, events, EVENTS_MAX, busy ? 0 : sleep_ms(d));
        round_of(d, events, len > 0 ? len : 0);
    }
    stage_destroy(&d->stage);
    bus_flush(d->port, d->epoll);
    return NULL;
}

// ---- calls from outside ------------------------------------------------------------------------

typedef struct {
    bus_order_t order;
    void (*fn)(stage_t *stage, void *arg);
    void *arg;
    pthread_mutex_t lock;
    pthread_cond_t done;
    bool is_done;
} call_t;

static void run_call(bus_order_t *order, stage_t *stage) {
    call_t *call = (call_t *)order; // its first member
    if (stage) call->fn(stage, call->arg);
    pthread_mutex_lock(&call->lock);
    call->is_done = true;
    pthread_cond_signal(&call->done);
    pthread_mutex_unlock(&call->lock);
}

void dispatcher_call(dispatcher_t *d, void (*fn)(stage_t *stage, void *arg), void *arg) {
    call_t call = {.order = {run_call}, .fn = fn, .arg = arg};
    pthread_mutex_init(&call.lock, NULL);
    pthread_cond_init(&call.done, NULL);
    bus_order(d->options.bus, dispatcher_port(d), &call.order);
    pthread_mutex_lock(&call.lock);
    while (!call.is_done) pthread_cond_wait(&call.done, &call.lock);
    pthread_mutex_unlock(&call.lock);
    pthread_cond_destroy(&call.done);
    pthread_mutex_destroy(&call.lock);
}

// ---- life --------------------------------------------------------------------------------------

const char *dispatcher_name(const dispatcher_t *d) { return d->name; }
uint32_t dispatcher_port(const dispatcher_t *d) { return bus_port_number(d->port); }

const char *dispatcher_hung(const dispatcher_t *d, int64_t hang_ms) {
    int64_t since_us;
    const actor_def_t *called = stage_at_work(d->stage, &since_us);
    if (!called || called->may_block) return NULL;
    return clock_monotonic_us() - since_us >= hang_ms * 1000 ? called->role : NULL;
}

static err_t thread_start(dispatcher_t *d, why_t *why) {
    int code = pthread_create(&d->thread, NULL, run, d);
    return code ? why_errno(why, code, "thread of dispatcher %s", d->name) : ERR_OK;
}

static err_t open_all(dispatcher_t *d, why_t *why) {
    d->port = bus_port_new(d->options.bus);
    if (!d->port)
        return why_set(why, ERR_EXHAUSTED, "dispatcher %s: too many dispatchers", d->name);
    d->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (d->epoll < 0) return why_errno(why, errno, "epoll of dispatcher %s", d->name);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = EPOLL_INBOX};
    if (epoll_ctl(d->epoll, EPOLL_CTL_ADD, bus_port_fd(d->port), &event) < 0)
        return why_errno(why, errno, "inbox of dispatcher %s", d->name);
    d->stage =
        stage_new(&(stage_options_t){.host = {d, host_clocks, host_tick, host_boottime, host_send,
                                              host_watch_fd, host_hop, host_exhausted},
                                     .directory = d->options.directory,
                                     .faults = d->options.faults,
                                     .port = dispatcher_port(d),
                                     .process = d->options.process,
                                     .host_name = d->options.host,
                                     .dispatcher = d->name,
                                     .restarts = d->options.restarts,
                                     .last_reason = d->options.last_reason,
                                     .dead_letters = d->options.dead_letters,
                                     .seed = rng_seed_from_kernel()});
    return thread_start(d, why);
}

err_t dispatcher_new(const dispatcher_options_t *options, dispatcher_t **ret_dispatcher,
                     why_t *why) {
    dispatcher_t *d = NEW(dispatcher_t);
    d->options = *options;
    d->name = str_dup(options->name);
    d->epoll = -1;
    d->joined = true;
    err_t err = open_all(d, why);
    if (err) {
        dispatcher_destroy(&d);
        return err;
    }
    d->joined = false;
    *ret_dispatcher = d;
    return ERR_OK;
}

typedef struct {
    bus_order_t order;
    dispatcher_t *d;
} stop_t;

static void run_stop(bus_order_t *order, stage_t *stage) {
    stop_t *stop = (stop_t *)order;
    if (stage) stop->d->stopping = true;
    free(stop);
}

void dispatcher_stop(dispatcher_t *d) {
    if (d->joined) return;
    stop_t *stop = NEW(stop_t);
    *stop = (stop_t){{run_stop}, d};
    bus_order(d->options.bus, dispatcher_port(d), &stop->order);
    pthread_join(d->thread, NULL);
    d->joined = true;
}

void dispatcher_destroy(dispatcher_t **dispatcher) {
    dispatcher_t *d = x_steal(dispatcher);
    if (!d) return;
    dispatcher_stop(d);
    if (d->stage) stage_destroy(&d->stage); // its thread never started
    size_t at = 0;
    void *watch;
    while (imap_next(&d->watches, &at, NULL, &watch)) free(watch);
    imap_done(&d->watches);
    for (size_t i = 0; i < d->hops.len; i++) {
        name_unref(&d->hops.at[i].from);
        name_unref(&d->hops.at[i].to);
        name_unref(&d->hops.at[i].type_name);
    }
    vec_done(&d->hops);
    if (d->epoll >= 0) close(d->epoll);
    free(d->name);
    free(d);
}
