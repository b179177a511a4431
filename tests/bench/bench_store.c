// The store against Debian's etcd, one member and three, the same disk, the same run, alternating:
// puts and reads of 1 KiB, lists of 500, pages out of 100,000 keys, events to 100 watchers, memory,
// starts:
//
//     bench_store [--seconds 2] [--rounds 3] [--dir /tmp] [--only troupe|etcd] [--members 1|3]
//     bench_store --quick          one round of half a second each
//     bench_store --members 3 --lease      reads without a round of heartbeats (leaseReads: true)
//
// Both are filled with all 100,000 keys first. A watch row counts events that arrived (puts x 100);
// its latencies are the puts'. Three members are processes linked over ipc (etcd's over unix
// sockets), the leader is asked, and the client is a process of its own, too.
//
// Clients are asks under way, not threads. For Troupe they are asks of one client actor on its own
// dispatcher, to store/m1 on a second and disk/m1 on a third one: every put is a message to the
// store, a log record, an fdatasync, an answer. For etcd they are unary Put calls on one HTTP/2
// connection over a unix socket, made by runtime/io/grpc in a poll loop of its own: about as cheap
// as the actor client (see the client's CPU in the table). Keys are 24 bytes, drawn from 100,000.
// Memory and restart are measured on a process of its own (this program again, --serve).
// "floor": what the disk alone does: 1 KiB overwritten in a zeroed file and fdatasync, one by one.
#include "actors/store/disk_actor.h"
#include "actors/store/store_actor.h"
#include "runtime/actor/process.h"
#include "runtime/base/clock.h"
#include "runtime/base/log.h"
#include "runtime/base/vec.h"
#include "runtime/io/grpc.h"
#include "troupe/store.pb-c.h"
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    VALUE_BYTES = 1024,
    SMALL_BYTES = 128,
    KEYS = 100 * 1000,
    CLIENTS_MAX = 256,
    WATCHERS = 100,
    MEMBERS = 3,
    LIST_LIMIT = 500,
    TAG_WATCH = 1000, // of the first watcher's stream
    DRAIN_MS = 3000,  // for the last events
};
extern char **environ;

typedef enum {
    WORK_FILL,
    WORK_PUT,
    WORK_GET,
    WORK_LIST,       // 500 keys, all there are in the range
    WORK_PAGE,       // 500 keys of the many that follow; etcd always counts them all
    WORK_PAGE_COUNT, // and how many follow
    WORK_WATCH,
    WORK_WATCH_SMALL,
} work_t;
enum { TIMER_BEGIN = 1, TIMER_END };
static const char *const work_names[] = {"fill", "put",        "get",      "list",
                                         "page", "page+count", "watch 1K", "watch 128"};
static bool is_put(work_t work) { return work <= WORK_PUT || work >= WORK_WATCH; }
static bool is_watch(work_t work) { return work >= WORK_WATCH; }
static size_t value_bytes(work_t work) {
    return work == WORK_WATCH_SMALL ? SMALL_BYTES : VALUE_BYTES;
}

typedef struct {
    double per_second, p50_ms, p99_ms, server_us, client_us;
} figure_t;

static void must(err_t err, const why_t *why) {
    if (err == ERR_OK) return;
    fprintf(stderr, "bench_store: %s\n", why->text);
    exit(1);
}

// ---- measuring ----------------------------------------------------------------------------------
typedef struct {
    VEC(uint32_t) us;
    int64_t begun_us, until_us;
    uint64_t done;
    uint64_t events;  // of all watchers
    int64_t event_us; // the last one
} samples_t;

static int by_size(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}
static void sample(samples_t *s, int64_t since_us) {
    s->done++;
    vec_push(&s->us, (uint32_t)(clock_monotonic_us() - since_us));
}
static figure_t figure_of(samples_t *s, double server_us, double client_us) {
    double seconds = (double)(clock_monotonic_us() - s->begun_us) / 1e6;
    figure_t f = {.per_second = (double)s->done / seconds};
    if (s->done == 0) return f;
    qsort(s->us.at, s->us.len, sizeof *s->us.at, by_size);
    f.p50_ms = s->us.at[s->us.len / 2] / 1e3;
    f.p99_ms = s->us.at[s->us.len * 99 / 100] / 1e3;
    double things = (double)(s->events ? s->events : s->done);
    f.server_us = server_us / things;
    f.client_us = client_us / things;
    if (s->events) f.per_second = (double)s->events * 1e6 / (double)(s->event_us - s->begun_us);
    return f;
}

// CPU time in µs of the threads of a process; `named`: only those with this word in their name,
// or, with a leading '!', only the others.
static double cpu_us(pid_t pid, const char *named) {
    CLEANUP(free_charp) char *dir = str_printf("/proc/%d/task", pid);
    DIR *tasks = opendir(dir);
    double sum = 0;
    for (struct dirent *entry; tasks && (entry = readdir(tasks));) {
        if (entry->d_name[0] == '.') continue;
        CLEANUP(free_charp) char *comm = str_printf("%s/%s/comm", dir, entry->d_name);
        CLEANUP(free_charp) char *stat = str_printf("%s/%s/schedstat", dir, entry->d_name);
        char name[64] = "";
        double ns = 0;
        FILE *in = fopen(comm, "r");
        if (in && !fgets(name, sizeof name, in)) name[0] = 0;
        if (in) fclose(in);
        in = fopen(stat, "r");
        if (in && fscanf(in, "%lf", &ns) != 1) ns = 0;
        if (in) fclose(in);
        bool negated = named && *named == '!';
        bool matches = !named || (strstr(name, named + negated) != NULL) != negated;
        if (matches) sum += ns / 1e3;
    }
    if (tasks) closedir(tasks);
    return sum;
}

static uint64_t next_key(uint64_t *state) {
    *state = *state * 6364136223846793005ull + 1442695040888963407ull;
    return (*state >> 33) % KEYS;
}

static size_t print_key(char to[static 32], uint64_t key) {
    return (size_t)snprintf(to, 32, "/bench/key-%013llu", (unsigned long long)key);
}
// A list begins where many keys follow, whatever was drawn.
static uint64_t draw_key(uint64_t *state, work_t work, uint64_t *fill) {
    if (work == WORK_FILL) return (*fill)++;
    uint64_t key = next_key(state);
    return is_put(work) || work == WORK_GET ? key : key % (KEYS / 2);
}
// Where a range ends; "": it is no range.
static size_t print_end(char to[static 32], uint64_t key, work_t work) {
    if (work == WORK_LIST) return print_key(to, key + LIST_LIMIT);
    return work == WORK_PAGE || work == WORK_PAGE_COUNT ? (size_t)snprintf(to, 32, "z") : 0;
}
static bool goes_on(const samples_t *s, work_t work, uint64_t fill) {
    return work == WORK_FILL ? fill < KEYS : clock_monotonic_us() < s->until_us;
}

// ---- Troupe -------------------------------------------------------------------------------------
typedef struct {
    samples_t samples;
    work_t work;
    int clients;
    int64_t sent_us[CLIENTS_MAX];
    uint64_t key_state, fill;
    int open, watching; // streams that have answered
    uint64_t streams[WATCHERS];
    sem_t done;
    int failed;
} run_t;

typedef struct {
    run_t *run;
} load_t;
typedef struct {
    run_t *run;
} load_args_t;
// Nothing for a compressor to win: each value is a window of these random bytes.
static uint8_t noise[64 * 1024 + VALUE_BYTES];
static uint8_t *next_value(uint64_t *state) {
    return noise + (*state >> 20) % (sizeof noise - VALUE_BYTES);
}

static void ask_put(actor_t *me, int slot, bytes_t key, bytes_t value) {
    Store__PutOp put = {.base = PROTOBUF_C_MESSAGE_INIT(&store__put_op__descriptor)};
    put.key = (ProtobufCBinaryData){key.len, (uint8_t *)key.at};
    put.value = (ProtobufCBinaryData){value.len, (uint8_t *)value.at};
    Store__Op op = {.base = PROTOBUF_C_MESSAGE_INIT(&store__op__descriptor)};
    op.op_case = STORE__OP__OP_PUT;
    op.put = &put;
    Store__Op *ops[] = {&op};
    Store__TxnRequest txn = {.base = PROTOBUF_C_MESSAGE_INIT(&store__txn_request__descriptor)};
    txn.then = ops;
    txn.n_then = 1;
    actor_ask(me, "store", &txn.base, 30000, (uint64_t)slot);
}

static void ask_range(actor_t *me, int slot, bytes_t key, bytes_t end, bool count) {
    Store__RangeRequest range = {.base =
                                     PROTOBUF_C_MESSAGE_INIT(&store__range_request__descriptor)};
    range.key = (ProtobufCBinaryData){key.len, (uint8_t *)key.at};
    range.range_end = (ProtobufCBinaryData){end.len, (uint8_t *)end.at};
    range.limit = end.len ? LIST_LIMIT : 0;
    range.want_count = count;
    actor_ask(me, "store", &range.base, 30000, (uint64_t)slot);
}

static void ask_next(actor_t *me, int slot) {
    run_t *run = ((load_t *)actor_state(me))->run;
    char key_text[32], end_text[32];
    uint64_t number = draw_key(&run->key_state, run->work, &run->fill);
    bytes_t key = {(uint8_t *)key_text, print_key(key_text, number)};
    bytes_t end = {(uint8_t *)end_text, print_end(end_text, number, run->work)};
    run->sent_us[slot] = clock_monotonic_us();
    run->open++;
    if (is_put(run->work))
        ask_put(me, slot, key, (bytes_t){next_value(&run->key_state), value_bytes(run->work)});
    else
        ask_range(me, slot, key, end, run->work == WORK_PAGE_COUNT);
}

static void load_ends(actor_t *me) {
    run_t *run = ((load_t *)actor_state(me))->run;
    bool drained = !is_watch(run->work) || run->samples.events >= run->samples.done * WATCHERS ||
                   clock_monotonic_us() > run->samples.until_us + DRAIN_MS * 1000;
    if (!drained) {
        actor_timer(me, TIMER_END, 5);
        return;
    }
    for (size_t i = 0; i < WATCHERS; i++)
        if (run->streams[i]) actor_cancel(me, run->streams[i]);
    sem_post(&run->done);
}

static void load_answered(actor_t *me, const message_t *msg, const void *body) {
    run_t *run = ((load_t *)actor_state(me))->run;
    run->open--;
    sample(&run->samples, run->sent_us[msg->tag]);
    if (goes_on(&run->samples, run->work, run->fill))
        ask_next(me, (int)msg->tag);
    else if (run->open == 0)
        load_ends(me);
}
static void load_events(actor_t *me, const message_t *msg, const void *body) {
    run_t *run = ((load_t *)actor_state(me))->run;
    const Store__WatchEvents *events = body;
    run->samples.events += events->n_events;
    if (events->n_events) run->samples.event_us = clock_monotonic_us();
    if (events->created && ++run->watching == WATCHERS) actor_timer(me, TIMER_BEGIN, 1);
}
static void open_watches(actor_t *me) {
    Store__WatchRequest watch = {.base =
                                     PROTOBUF_C_MESSAGE_INIT(&store__watch_request__descriptor)};
    watch.key = (ProtobufCBinaryData){1, (uint8_t *)"/"};
    watch.range_end = (ProtobufCBinaryData){1, (uint8_t *)"z"};
    run_t *run = ((load_t *)actor_state(me))->run;
    for (uint64_t i = 0; i < WATCHERS; i++)
        run->streams[i] =
            actor_open(me, "store", &watch.base, STREAM_WINDOW_DEFAULT, TAG_WATCH + i);
}
static void load_failed(actor_t *me, const message_t *msg, const void *body) {
    run_t *run = ((load_t *)actor_state(me))->run;
    run->open--;
    if (run->failed++ == 0)
        fprintf(stderr, "bench_store: %s\n", ((const Actor__Failure *)body)->why);
    if (run->open == 0) load_ends(me);
}
static void load_failed_watch(actor_t *me, const message_t *msg, const void *body) {
    fprintf(stderr, "bench_store: a watch ended: %s\n", ((const Actor__StreamEnd *)body)->why);
}
static void load_timer(actor_t *me, uint64_t tag) {
    run_t *run = ((load_t *)actor_state(me))->run;
    if (tag == TIMER_END) {
        load_ends(me);
        return;
    }
    int64_t window_us = run->samples.until_us - run->samples.begun_us;
    run->samples.begun_us = clock_monotonic_us();
    run->samples.until_us = run->samples.begun_us + window_us;
    for (int i = 0; i < run->clients; i++) ask_next(me, i);
}
static err_t load_start(actor_t *me, const void *args, why_t *why) {
    ((load_t *)actor_state(me))->run = ((const load_args_t *)args)->run;
    if (is_watch(((load_t *)actor_state(me))->run->work))
        open_watches(me);
    else
        actor_timer(me, TIMER_BEGIN, 1);
    return ERR_OK;
}
static const handler_t load_rows[] = {{&store__watch_events__descriptor, load_events, NULL},
                                      {&actor__stream_end__descriptor, load_failed_watch, NULL},
                                      {&store__txn_reply__descriptor, load_answered, NULL},
                                      {&store__range_reply__descriptor, load_answered, NULL},
                                      {&actor__failure__descriptor, load_failed, NULL},
                                      {0}};
static const actor_def_t load_actor = {.role = "admin",
                                       .state_size = sizeof(load_t),
                                       .start = load_start,
                                       .handlers = load_rows,
                                       .on_timer = load_timer};

typedef struct {
    sem_t ready;
} probe_args_t;
static void probe_timer(actor_t *me, uint64_t tag) {
    Store__RangeRequest range = {.base =
                                     PROTOBUF_C_MESSAGE_INIT(&store__range_request__descriptor)};
    range.key = (ProtobufCBinaryData){1, (uint8_t *)"a"};
    actor_ask(me, "store", &range.base, 1000, 0);
}
static void probe_ok(actor_t *me, const message_t *msg, const void *body) {
    sem_post(&(*(probe_args_t **)actor_state(me))->ready);
}
static void probe_again(actor_t *me, const message_t *msg, const void *body) {
    actor_timer(me, 1, 1);
}
static err_t probe_start(actor_t *me, const void *args, why_t *why) {
    *(const void **)actor_state(me) = args;
    actor_timer(me, 1, 0);
    return ERR_OK;
}
static const handler_t probe_rows[] = {{&store__range_reply__descriptor, probe_ok, NULL},
                                       {&actor__failure__descriptor, probe_again, NULL},
                                       {0}};
static const actor_def_t probe_actor = {.role = "admin",
                                        .state_size = sizeof(void *),
                                        .start = probe_start,
                                        .handlers = probe_rows,
                                        .on_timer = probe_timer};

typedef struct {
    process_t *process;
    disk_args_t disk;
    store_args_t store;
    char dir[200];
    pid_t members[MEMBERS]; // processes of their own; [0] 0: the store is in this one
} troupe_t;

static const char *const member_names[MEMBERS] = {"m1", "m2", "m3"};

static void new_process(troupe_t *t, const char *name) {
    why_t why;
    process_options_t options = {.name = name, .host = "here"};
    must(process_new(&options, &t->process, &why), &why);
}

// The store and its disk, each on a dispatcher of its own.
static void spawn_store(troupe_t *t, const char *member) {
    why_t why;
    must(process_add_dispatcher(t->process, "store", &why), &why);
    must(process_add_dispatcher(t->process, "disk", &why), &why);
    must(process_spawn(t->process, "disk", &disk_actor, member, &t->disk, NULL, &why), &why);
    must(process_spawn(t->process, "store", &store_actor, member, &t->store, NULL, &why), &why);
}

static void await_serving(troupe_t *t) {
    why_t why;
    probe_args_t probe;
    sem_init(&probe.ready, 0, 0);
    must(process_spawn(t->process, "client", &probe_actor, "probe", &probe, NULL, &why), &why);
    while (sem_wait(&probe.ready) != 0) {}
}

static void troupe_open(troupe_t *t, const char *dir) {
    why_t why;
    int64_t begun = clock_monotonic_us();
    snprintf(t->dir, sizeof t->dir, "%s/troupe", dir);
    t->disk = (disk_args_t){.data_dir = t->dir, .member = "m1"};
    t->store = (store_args_t){.data_dir = t->dir, .member = "m1"};
    new_process(t, "bench");
    spawn_store(t, "m1");
    must(process_add_dispatcher(t->process, "client", &why), &why);
    await_serving(t);
    printf("troupe: start to serving %.1f ms\n", (double)(clock_monotonic_us() - begun) / 1e3);
}

// ---- three members, each a process of its own, linked over ipc ----------------------------------
// Our parent kills us, or takes us with it.
static _Noreturn void wait_for_the_end(void) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) pause();
}

static char *socket_of(const char *dir, size_t member) {
    return str_printf("ipc://%s/%s.sock", dir, member_names[member]);
}

static void connect_member(troupe_t *t, const char *dir, size_t member) {
    why_t why;
    CLEANUP(free_charp) char *endpoint = socket_of(dir, member);
    connect_options_t options = {.peer = member_names[member], .endpoint = endpoint};
    must(process_connect(t->process, &options, &why), &why);
}

static int serve_member(const char *dir, size_t number, bool lease) {
    static const config_strings_t all = {member_names, MEMBERS};
    troupe_t t = {0};
    why_t why;
    const char *name = member_names[number];
    snprintf(t.dir, sizeof t.dir, "%s/%s", dir, name);
    t.disk = (disk_args_t){.data_dir = t.dir, .member = name, .cluster = "bench"};
    t.store =
        (store_args_t){.data_dir = t.dir, .member = name, .members = all, .lease_reads = lease};
    new_process(&t, name);
    spawn_store(&t, name);
    CLEANUP(free_charp) char *endpoint = socket_of(dir, number);
    listen_options_t listen = {.endpoint = endpoint, .socket_mode = 0600, .principal = "part"};
    must(process_listen(t.process, &listen, &why), &why);
    for (size_t i = 0; i < number; i++) connect_member(&t, dir, i);
    wait_for_the_end();
}

static void troupe_open_three(troupe_t *t, const char *dir, bool lease) {
    why_t why;
    int64_t begun = clock_monotonic_us();
    for (size_t i = 0; i < MEMBERS; i++) {
        CLEANUP(free_charp) char *number = str_printf("%zu", i);
        const char *mode = lease ? "--lease-member" : "--member";
        const char *argv[] = {"bench_store", mode, dir, number, NULL};
        if (posix_spawn(&t->members[i], "/proc/self/exe", NULL, NULL, (char **)argv, environ))
            fprintf(stderr, "bench_store: cannot start a member\n");
    }
    new_process(t, "bench");
    must(process_add_dispatcher(t->process, "client", &why), &why);
    for (size_t i = 0; i < MEMBERS; i++) connect_member(t, dir, i);
    await_serving(t);
    printf("troupe: start of three to serving %.1f ms\n",
           (double)(clock_monotonic_us() - begun) / 1e3);
}

static void troupe_close(troupe_t *t) {
    if (!t->process) return;
    process_stop(t->process);
    process_destroy(&t->process);
    for (size_t i = 0; i < MEMBERS && t->members[i]; i++) {
        kill(t->members[i], SIGKILL);
        waitpid(t->members[i], NULL, 0);
    }
}

static double server_cpu_us(const troupe_t *t) {
    if (!t->members[0]) return cpu_us(getpid(), "!bench_store") - cpu_us(getpid(), "client");
    double sum = 0;
    for (size_t i = 0; i < MEMBERS; i++) sum += cpu_us(t->members[i], NULL);
    return sum;
}

static figure_t troupe_run(troupe_t *t, work_t work, int clients, double seconds) {
    static int number;
    run_t *run = NEW(run_t);
    run->clients = clients;
    run->work = work;
    run->key_state = (uint64_t)++number;
    sem_init(&run->done, 0, 0);
    char name[32];
    snprintf(name, sizeof name, "load-%d", number);
    load_args_t *args = NEW(load_args_t); // outlives the actor: kept to the end
    args->run = run;
    double client = cpu_us(getpid(), "client"), server = server_cpu_us(t);
    run->samples.begun_us = clock_monotonic_us();
    run->samples.until_us = run->samples.begun_us + (int64_t)(seconds * 1e6);
    why_t why;
    must(process_spawn(t->process, "client", &load_actor, name, args, NULL, &why), &why);
    while (sem_wait(&run->done) != 0) {}
    client = cpu_us(getpid(), "client") - client;
    server = server_cpu_us(t) - server;
    figure_t f = figure_of(&run->samples, server, client);
    vec_done(&run->samples.us);
    return f;
}

// ---- etcd ---------------------------------------------------------------------------------------
typedef struct {
    pid_t pid;             // the one that is asked
    pid_t others[MEMBERS]; // 0: none
    char socket[200];
    grpc_t *grpc;
    int fd;
    uint32_t events;
    int64_t timer_at_ms;
    bool connected;
    samples_t samples;
    int64_t sent_us[CLIENTS_MAX];
    work_t work;
    uint64_t key_state, fill;
    int open, failed, watching;
} etcd_t;
typedef struct {
    etcd_t *etcd;
    int slot;
} call_t;
static call_t calls[CLIENTS_MAX];

static void loop_watch(void *arg, int fd, uint32_t events) {
    ((etcd_t *)arg)->fd = fd;
    ((etcd_t *)arg)->events = events;
}
static void loop_unwatch(void *arg, int fd) { ((etcd_t *)arg)->fd = -1; }
static void loop_timer(void *arg, int64_t delay_ms) {
    ((etcd_t *)arg)->timer_at_ms = delay_ms < 0 ? INT64_MAX : clock_monotonic_ms() + delay_ms;
}
static int64_t loop_now(void *arg) { return clock_monotonic_ms(); }
static void loop_connection(void *arg, bool connected) { ((etcd_t *)arg)->connected = connected; }

static void loop_turn(etcd_t *e) {
    int64_t wait = e->timer_at_ms == INT64_MAX ? 1000 : e->timer_at_ms - clock_monotonic_ms();
    struct pollfd fd = {.fd = e->fd, .events = (short)e->events};
    poll(&fd, e->fd >= 0 ? 1 : 0, wait < 0 ? 0 : (int)(wait > 1000 ? 1000 : wait));
    if (fd.revents && e->fd >= 0) grpc_on_fd(e->grpc, e->fd, (uint32_t)fd.revents);
    if (clock_monotonic_ms() >= e->timer_at_ms) {
        e->timer_at_ms = INT64_MAX;
        grpc_on_timer(e->grpc);
    }
}

static void call_next(etcd_t *e, int slot);
static void call_done(void *arg, const grpc_result_t *result) {
    call_t *call = arg;
    etcd_t *e = call->etcd;
    e->open--;
    if (result->err != ERR_OK) {
        if (e->failed++ == 0) fprintf(stderr, "bench_store: etcd: %s\n", result->message);
    } else
        sample(&e->samples, e->sent_us[call->slot]);
    if (goes_on(&e->samples, e->work, e->fill)) call_next(e, call->slot);
}

// Protobuf: a field of bytes, and one of a number.
static uint8_t *add_number(uint8_t *to, uint64_t number) {
    for (; number >= 0x80; number >>= 7) *to++ = (uint8_t)(number | 0x80);
    *to++ = (uint8_t)number;
    return to;
}
static uint8_t *add_bytes(uint8_t *to, uint8_t tag, const void *at, size_t len) {
    *to++ = tag;
    to = add_number(to, len);
    memcpy(to, at, len);
    return to + len;
}

// etcdserverpb.PutRequest: key = 1, value = 2; RangeRequest: key = 1, range_end = 2, limit = 3.
static void call_next(etcd_t *e, int slot) {
    uint8_t body[VALUE_BYTES + 128], *to = body;
    char key[32], end[32];
    uint64_t number = draw_key(&e->key_state, e->work, &e->fill);
    to = add_bytes(to, 0x0a, key, print_key(key, number));
    size_t end_len = print_end(end, number, e->work);
    if (is_put(e->work)) {
        to = add_bytes(to, 0x12, next_value(&e->key_state), value_bytes(e->work));
    } else if (end_len) {
        to = add_bytes(to, 0x12, end, end_len);
        *to++ = 0x18;
        to = add_number(to, LIST_LIMIT);
    }
    e->sent_us[slot] = clock_monotonic_us();
    e->open++;
    grpc_send(e->grpc, is_put(e->work) ? "/etcdserverpb.KV/Put" : "/etcdserverpb.KV/Range",
              (bytes_t){body, (size_t)(to - body)}, 30000, NULL, call_done, &calls[slot]);
}

// etcdserverpb.WatchResponse: created = 3, events = 11.
static void watch_item(void *arg, bytes_t item) {
    etcd_t *e = arg;
    for (size_t at = 0; at < item.len;) {
        uint8_t tag = item.at[at++];
        uint64_t number = 0;
        for (int shift = 0; at < item.len; shift += 7) {
            number |= (uint64_t)(item.at[at] & 0x7f) << shift;
            if (!(item.at[at++] & 0x80)) break;
        }
        if (tag == 0x18) e->watching++;
        if (tag == 0x5a) e->samples.events++, e->samples.event_us = clock_monotonic_us();
        if ((tag & 7) == 2) at += number;
    }
}
static void watch_done(void *arg, const grpc_result_t *result) {
    fprintf(stderr, "bench_store: an etcd watch ended: %s\n", result->message);
}

// WatchRequest.create_request = 1; WatchCreateRequest: key = 1, range_end = 2.
static void etcd_watch(etcd_t *e, uint64_t streams[WATCHERS]) {
    static const uint8_t request[] = {0x0a, 6, 0x0a, 1, '/', 0x12, 1, 'z'};
    e->watching = 0;
    for (size_t i = 0; i < WATCHERS; i++)
        streams[i] = grpc_send(e->grpc, "/etcdserverpb.Watch/Watch",
                               (bytes_t){request, sizeof request}, 0, watch_item, watch_done, e);
    int64_t until = clock_monotonic_ms() + DRAIN_MS;
    while (e->watching < WATCHERS && clock_monotonic_ms() < until) loop_turn(e);
}

// Unix sockets of etcd 3.4 have names of the form host:port, in its working folder.
static pid_t etcd_spawn(const char *dir, size_t member, const char *cluster) {
    const char *name = member_names[member];
    CLEANUP(free_charp) char *log = str_printf("%s/etcd-%s.log", dir, name);
    CLEANUP(free_charp) char *data = str_printf("etcd-%s", name);
    CLEANUP(free_charp) char *client = str_printf("unix://client:%zu", member + 1);
    CLEANUP(free_charp) char *peer = str_printf("unix://peer:%zu", member + 1);
    const char *urls[] = {client, peer}; // what a killed one left behind
    for (size_t i = 0; i < LENGTH_OF(urls); i++) {
        CLEANUP(free_charp) char *path = str_printf("%s/%s", dir, urls[i] + strlen("unix://"));
        unlink(path);
    }
    // It must not outlive us, however we end.
    const char *argv[] = {"setpriv",
                          "--pdeathsig",
                          "KILL",
                          "etcd",
                          "--name",
                          name,
                          "--data-dir",
                          data,
                          "--listen-client-urls",
                          client,
                          "--advertise-client-urls",
                          client,
                          "--listen-peer-urls",
                          peer,
                          "--initial-advertise-peer-urls",
                          peer,
                          "--initial-cluster",
                          cluster,
                          "--quota-backend-bytes",
                          "8000000000",
                          NULL};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addchdir_np(&actions, dir);
    posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT, 0600);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    pid_t pid = 0;
    if (posix_spawnp(&pid, "setpriv", &actions, NULL, (char **)argv, environ) != 0) {
        fprintf(stderr, "bench_store: cannot start etcd\n");
        exit(1);
    }
    posix_spawn_file_actions_destroy(&actions);
    return pid;
}

static void etcd_connect(etcd_t *e, const char *dir, size_t member) {
    snprintf(e->socket, sizeof e->socket, "%s/client:%zu", dir, member + 1);
    grpc_loop_t loop = {e, loop_watch, loop_unwatch, loop_timer, loop_now, loop_connection};
    e->grpc = grpc_new(e->socket, &loop, 0);
    for (int i = 0; i < CLIENTS_MAX; i++) calls[i] = (call_t){e, i};
}

static void etcd_open(etcd_t *e, const char *dir) {
    *e = (etcd_t){.fd = -1, .timer_at_ms = INT64_MAX, .work = WORK_PUT};
    int64_t begun = clock_monotonic_us();
    e->pid = etcd_spawn(dir, 0, "m1=unix://peer:1");
    etcd_connect(e, dir, 0);
    // The first put tells when it serves.
    e->samples.begun_us = begun;
    call_next(e, 0);
    while (e->open) loop_turn(e);
    printf("etcd: start to first put %.0f ms\n", (double)(clock_monotonic_us() - begun) / 1e3);
    vec_done(&e->samples.us);
}

// ---- three etcd: the one that leads is asked ----------------------------------------------------
typedef struct {
    bool done;
    uint64_t member, leader;
} status_t;

// etcdserverpb.StatusResponse: header = 1 (member_id = 2), leader = 4.
static void status_done(void *arg, const grpc_result_t *result) {
    status_t *s = arg;
    s->done = true;
    bytes_t b = result->body;
    bool in_header = false;
    size_t header_end = 0;
    for (size_t at = 0; result->err == ERR_OK && at < b.len;) {
        in_header = at < header_end;
        uint8_t tag = b.at[at++];
        uint64_t number = 0;
        for (int shift = 0; at < b.len; shift += 7) {
            number |= (uint64_t)(b.at[at] & 0x7f) << shift;
            if (!(b.at[at++] & 0x80)) break;
        }
        if (!in_header && tag == 0x0a)
            header_end = at + number; // go on inside it
        else if ((tag & 7) == 2)
            at += number;
        if (in_header && tag == 0x10) s->member = number;
        if (!in_header && tag == 0x20) s->leader = number;
    }
}

static bool etcd_leads(etcd_t *e) {
    status_t status = {0};
    grpc_send(e->grpc, "/etcdserverpb.Maintenance/Status", (bytes_t){0}, 2000, NULL, status_done,
              &status);
    while (!status.done) loop_turn(e);
    return status.leader && status.leader == status.member;
}

static void etcd_open_three(etcd_t *e, const char *dir) {
    *e = (etcd_t){.fd = -1, .timer_at_ms = INT64_MAX, .work = WORK_PUT};
    int64_t begun = clock_monotonic_us();
    for (size_t i = 0; i < MEMBERS; i++)
        e->others[i] = etcd_spawn(dir, i, "m1=unix://peer:1,m2=unix://peer:2,m3=unix://peer:3");
    for (size_t i = 0;; i = (i + 1) % MEMBERS) {
        etcd_connect(e, dir, i);
        e->pid = e->others[i];
        if (etcd_leads(e)) break;
        grpc_destroy(&e->grpc);
        if (clock_monotonic_us() > begun + 30 * 1000 * 1000) {
            fprintf(stderr, "bench_store: no etcd leads\n");
            exit(1);
        }
    }
    printf("etcd: start of three to a known leader %.0f ms\n",
           (double)(clock_monotonic_us() - begun) / 1e3);
}

static double etcd_cpu_us(const etcd_t *e) {
    if (!e->others[0]) return cpu_us(e->pid, NULL);
    double sum = 0;
    for (size_t i = 0; i < MEMBERS; i++) sum += cpu_us(e->others[i], NULL);
    return sum;
}

static figure_t etcd_run(etcd_t *e, work_t work, int clients, double seconds) {
    static uint64_t number;
    e->samples = (samples_t){0};
    e->work = work;
    e->key_state = ++number;
    uint64_t streams[WATCHERS] = {0};
    if (is_watch(work)) etcd_watch(e, streams);
    double server = etcd_cpu_us(e), client = cpu_us(getpid(), "bench_store");
    e->samples.begun_us = clock_monotonic_us();
    e->samples.until_us = e->samples.begun_us + (int64_t)(seconds * 1e6);
    for (int i = 0; i < clients; i++) call_next(e, i);
    while (e->open) loop_turn(e);
    while (is_watch(work) && e->samples.events < e->samples.done * WATCHERS &&
           clock_monotonic_us() < e->samples.until_us + DRAIN_MS * 1000)
        loop_turn(e);
    for (size_t i = 0; is_watch(work) && i < WATCHERS; i++) grpc_cancel(e->grpc, streams[i]);
    server = etcd_cpu_us(e) - server;
    client = cpu_us(getpid(), "bench_store") - client;
    figure_t f = figure_of(&e->samples, server, client);
    vec_done(&e->samples.us);
    return f;
}

static void etcd_close(etcd_t *e, int signal_number) {
    if (!e->pid) return;
    grpc_destroy(&e->grpc);
    for (size_t i = 0; i < MEMBERS; i++) {
        pid_t pid = e->others[0] ? e->others[i] : i == 0 ? e->pid : 0;
        if (!pid) continue;
        kill(pid, signal_number);
        waitpid(pid, NULL, 0);
    }
    e->pid = 0;
}

// ---- the disk alone -----------------------------------------------------------------------------
static void print_floor(const char *dir, double seconds) {
    CLEANUP(free_charp) char *path = str_printf("%s/floor", dir);
    file_t *file = NULL;
    why_t why;
    samples_t s = {0};
    must(files_open(files_real(), path, FILE_OPEN_CREATE, &file, &why), &why);
    must(file_allocate(file, 8 << 20, &why), &why);
    must(file_sync(file, &why), &why);
    s.begun_us = clock_monotonic_us();
    for (uint64_t at = 0; clock_monotonic_us() - s.begun_us < (int64_t)(seconds * 1e6);
         at += 1096) {
        int64_t since = clock_monotonic_us();
        must(file_write_at(file, at % (7 << 20), (bytes_t){noise, VALUE_BYTES}, &why), &why);
        must(file_sync(file, &why), &why);
        sample(&s, since);
    }
    figure_t f = figure_of(&s, 0, 0);
    printf("floor: one write of 1 KiB and fdatasync: %.0f/s, p50 %.3f ms, p99 %.3f ms\n",
           f.per_second, f.p50_ms, f.p99_ms);
    vec_done(&s.us);
    file_close(&file);
    must(files_remove(files_real(), path, &why), &why);
}

// ---- the table ----------------------------------------------------------------------------------
typedef struct {
    work_t work;
    int clients;
} row_t;
static const row_t rows[] = {
    {WORK_PUT, 1},  {WORK_PUT, 16},   {WORK_PUT, 64},         {WORK_PUT, 256},
    {WORK_GET, 16}, {WORK_GET, 64},   {WORK_LIST, 4},         {WORK_PAGE_COUNT, 4},
    {WORK_PAGE, 4}, {WORK_WATCH, 16}, {WORK_WATCH_SMALL, 64},
};
enum { ROWS = LENGTH_OF(rows), ROWS_OF_THREE = 6, ROUNDS_MAX = 20 };

static void print_row(const char *who, const row_t *row, const figure_t *f) {
    printf("%-7s %-10s %3d clients  %8.0f/s  p50 %7.2f ms  p99 %7.2f ms  CPU server %6.1f us, "
           "client %5.1f us\n",
           who, work_names[row->work], row->clients, f->per_second, f->p50_ms, f->p99_ms,
           f->server_us, f->client_us);
    fflush(stdout);
}

static void print_ratios(figure_t troupe[ROWS][ROUNDS_MAX], figure_t etcd[ROWS][ROUNDS_MAX],
                         int rounds, size_t len) {
    printf("\nTroupe against etcd, worst .. best of %d rounds\n", rounds);
    for (size_t i = 0; i < len; i++) {
        double low[4] = {1e9, 1e9, 1e9, 1e9}, high[4] = {0};
        for (int round = 0; round < rounds; round++) {
            const figure_t *t = &troupe[i][round], *e = &etcd[i][round];
            double now[4] = {t->per_second / e->per_second, e->p50_ms / t->p50_ms,
                             e->p99_ms / t->p99_ms, e->server_us / t->server_us};
            for (int k = 0; k < 4; k++) {
                if (now[k] < low[k]) low[k] = now[k];
                if (now[k] > high[k]) high[k] = now[k];
            }
        }
        printf(
            "%-10s %3d clients  per second %.1f .. %.1f x   p50 1/%.1f .. 1/%.1f   p99 1/%.1f .. "
            "1/%.1f   "
            "server CPU 1/%.1f .. 1/%.1f\n",
            work_names[rows[i].work], rows[i].clients, low[0], high[0], low[1], high[1], low[2],
            high[2], low[3], high[3]);
    }
}

static double resident_mib(pid_t pid) {
    CLEANUP(free_charp) char *path = str_printf("/proc/%d/status", pid);
    FILE *in = fopen(path, "r");
    char line[256];
    double kib = 0;
    while (in && fgets(line, sizeof line, in))
        if (has_prefix(line, "VmRSS:")) kib = strtod(line + strlen("VmRSS:"), NULL);
    if (in) fclose(in);
    return kib / 1024;
}

// ---- memory and restart -------------------------------------------------------------------------
// The store alone in a process: fills, says so, and waits to be killed.
static int serve(const char *dir, bool fill) {
    troupe_t t = {0};
    troupe_open(&t, dir);
    if (fill) troupe_run(&t, WORK_FILL, 64, 1e6);
    puts("filled");
    fflush(stdout);
    wait_for_the_end();
}

static void run_served(const char *dir, const char *mode, const char *when) {
    int out[2];
    if (pipe(out) != 0) return;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    posix_spawn_file_actions_addclose(&actions, out[0]);
    const char *argv[] = {"bench_store", mode, dir, NULL};
    pid_t pid = 0;
    int code = posix_spawn(&pid, "/proc/self/exe", &actions, NULL, (char **)argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(out[1]);
    FILE *in = fdopen(out[0], "r");
    char line[200] = "";
    while (code == 0 && in && fgets(line, sizeof line, in) && !has_prefix(line, "filled"))
        fputs(line, stdout);
    if (code == 0) {
        printf("troupe: resident %.0f MiB %s\n", resident_mib(pid), when);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    if (in) fclose(in);
}

static void troupe_memory(const char *dir) {
    CLEANUP(free_charp) char *alone = str_printf("%s/alone", dir);
    if (mkdir(alone, 0700) != 0) return;
    run_served(alone, "--fill", "after 100,000 keys");
    run_served(alone, "--serve", "after kill -9 and restart");
}

static void etcd_memory(etcd_t *e, const char *dir) {
    printf("etcd: resident %.0f MiB after the run\n", resident_mib(e->pid));
    etcd_close(e, SIGKILL);
    etcd_open(e, dir);
    printf("etcd: resident %.0f MiB after kill -9 and restart\n", resident_mib(e->pid));
}

static void remove_tree(const char *dir) {
    CLEANUP(free_charp) char *command = str_printf("rm -r '%s'", dir);
    FILE *p = popen(command, "r");
    if (p) pclose(p);
}

typedef struct {
    double seconds;
    int rounds;
    const char *dir, *only;
    int members; // 1 or 3; 0: both
    bool lease;  // three members: lease reads
} wish_t;

static wish_t read_wish(int argc, char **argv) {
    wish_t w = {.seconds = 2, .rounds = 3, .dir = "/tmp", .only = ""};
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (streq(argv[i], "--quick"))
            w.seconds = 0.5, w.rounds = 1;
        else if (streq(argv[i], "--lease"))
            w.lease = true;
        else if (streq(argv[i], "--seconds"))
            w.seconds = strtod(value, NULL), i++;
        else if (streq(argv[i], "--rounds"))
            w.rounds = (int)strtol(value, NULL, 10), i++;
        else if (streq(argv[i], "--dir"))
            w.dir = value, i++;
        else if (streq(argv[i], "--members"))
            w.members = (int)strtol(value, NULL, 10), i++;
        else if (streq(argv[i], "--only"))
            w.only = value, i++;
    }
    if (w.rounds < 1 || w.rounds > ROUNDS_MAX) w.rounds = 3;
    return w;
}

static void run_rows(const wish_t *wish, troupe_t *t, etcd_t *e, size_t len) {
    static figure_t troupe[ROWS][ROUNDS_MAX], etcd[ROWS][ROUNDS_MAX];
    const row_t fill = {WORK_FILL, 64};
    figure_t filled;
    if (t->process) filled = troupe_run(t, WORK_FILL, 64, 0), print_row("troupe", &fill, &filled);
    if (e->pid) filled = etcd_run(e, WORK_FILL, 64, 0), print_row("etcd", &fill, &filled);
    if (t->members[0])
        printf("troupe: resident %.0f MiB of one member after 100,000 keys\n",
               resident_mib(t->members[0]));
    if (e->pid) printf("etcd: resident %.0f MiB after 100,000 keys\n", resident_mib(e->pid));
    for (int round = 0; round < wish->rounds; round++) {
        for (size_t i = 0; i < len; i++) {
            const row_t *row = &rows[i];
            if (t->process)
                troupe[i][round] = troupe_run(t, row->work, row->clients, wish->seconds);
            if (t->process) print_row("troupe", row, &troupe[i][round]);
            if (e->pid) etcd[i][round] = etcd_run(e, row->work, row->clients, wish->seconds);
            if (e->pid) print_row("etcd", row, &etcd[i][round]);
        }
    }
    if (t->process && e->pid) print_ratios(troupe, etcd, wish->rounds, len);
}

static void run_one(const wish_t *wish, const char *dir) {
    troupe_t t = {0};
    etcd_t e = {0};
    printf("one member\n");
    if (!streq(wish->only, "etcd")) troupe_open(&t, dir);
    if (!streq(wish->only, "troupe")) etcd_open(&e, dir);
    run_rows(wish, &t, &e, ROWS);
    if (t.process) troupe_memory(dir);
    if (e.pid) etcd_memory(&e, dir);
    etcd_close(&e, SIGTERM);
    troupe_close(&t);
}

// Puts and reads, asked of the leader. CPU is that of all members together.
static void run_three(const wish_t *wish, const char *dir) {
    troupe_t t = {0};
    etcd_t e = {0};
    if (mkdir(dir, 0700) != 0) return;
    printf("\nthree members, server CPU of all of them together\n");
    if (!streq(wish->only, "etcd")) troupe_open_three(&t, dir, wish->lease);
    if (!streq(wish->only, "troupe")) etcd_open_three(&e, dir);
    run_rows(wish, &t, &e, ROWS_OF_THREE);
    etcd_close(&e, SIGTERM);
    troupe_close(&t);
}

int main(int argc, char **argv) {
    wish_t wish = read_wish(argc, argv);
    log_set_level(LOG_LEVEL_WARN);
    rng_t rng;
    rng_init(&rng, 1);
    for (size_t i = 0; i < sizeof noise; i++) noise[i] = (uint8_t)rng_next(&rng);
    if (argc == 3 && streq(argv[1], "--fill")) return serve(argv[2], true);
    if (argc == 3 && streq(argv[1], "--serve")) return serve(argv[2], false);
    bool is_lease_member = argc == 4 && streq(argv[1], "--lease-member");
    if (is_lease_member || (argc == 4 && streq(argv[1], "--member")))
        return serve_member(argv[2], strtoul(argv[3], NULL, 10) % MEMBERS, is_lease_member);
    CLEANUP(free_charp) char *dir = str_printf("%s/store-bench-XXXXXX", wish.dir);
    if (!mkdtemp(dir)) {
        fprintf(stderr, "bench_store: cannot make %s\n", dir);
        return 1;
    }
    CLEANUP(free_charp) char *three = str_printf("%s/three", dir);
    print_floor(dir, 1);
    if (wish.members != 3) run_one(&wish, dir);
    if (wish.members != 1) run_three(&wish, three);
    remove_tree(dir);
    return 0;
}
