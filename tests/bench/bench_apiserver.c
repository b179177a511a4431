// bench_apiserver - the API server on the real store of this disk, driven by an actor of the same
// process: creates, reads, lists, and changes told to many watchers. Prints rates, latencies and
// the CPU that the API server itself spent per request. Reads and updates come a second time at
// half the rate they reached, each at its appointed moment: its latency counts from that moment.
//
//     build/release/bin/bench_apiserver [PODS] [AT ONCE] [WATCHERS]      default 10,000, 64, 100
#include "actors/apiserver/apiserver_actor.h"
#include "actors/store/disk_actor.h"
#include "actors/store/store_actor.h"
#include "k8s/core_v1.pb-c.h"
#include "runtime/actor/process.h"
#include "runtime/api/kinds.h"
#include "runtime/base/clock.h"
#include "runtime/base/log.h"
#include "runtime/base/vec.h"
#include "troupe/api.pb-c.h"
#include <limits.h>
#include <unistd.h>

enum {
    LIST_ROUNDS = 10,
    PAGE = 500,
    TAG_WATCH = 1 << 30,
    TAG_INFO = 1 << 29,
    TIMER_BEGIN = 1,
    TIMER_PACE
};

typedef enum {
    CREATE,
    GET,
    GET_HALF,
    UPDATE,
    UPDATE_HALF,
    LIST_ALL,
    LIST_PAGE,
    WATCH,
    END
} phase_t;
static const char *const phase_names[] = {"create pods",    "get",
                                          "  at half rate", "update status",
                                          "  at half rate", "list every pod",
                                          "list of 500",    "update, watched"};
static bool is_paced(phase_t phase) { return phase == GET_HALF || phase == UPDATE_HALF; }

typedef struct {
    long pods, at_once, watchers;
    int done_fd;
} bench_args_t;

typedef struct {
    const bench_args_t *args;
    phase_t phase;
    long total, sent, answered, under_way;
    int64_t begun_us;
    double rate; // a second, of the phase before
    int64_t *sent_us, *took_us;
    long events, opened;
    size_t bytes;
    uint64_t server_us; // handling time of the API server when the phase began
} bench_t;

static const char *pod_name(arena_t *arena, long i) { return arena_printf(arena, "pod-%06ld", i); }

static Core__Pod *pod(arena_t *arena, long i, long version) {
    Core__Pod *p = MSG_NEW(arena, Core__Pod, core__pod__descriptor);
    Meta__ObjectMeta *meta = object_meta(arena, &p->base);
    meta->name = pod_name(arena, i);
    meta->namespace_ = "default";
    object_set_label(arena, &p->base, "app", i % 2 ? "web" : "db");
    object_set_annotation(arena, &p->base, "note", "a pod of about a kilobyte, as they are");
    p->spec = MSG_NEW(arena, Core__PodSpec, core__pod_spec__descriptor);
    Core__Container *c = MSG_NEW(arena, Core__Container, core__container__descriptor);
    c->name = "c";
    c->image = "registry.example.com/team/service:v1.2.3";
    p->spec->containers = ARENA_ARRAY(arena, Core__Container *, 1);
    p->spec->containers[p->spec->n_containers++] = c;
    p->status = MSG_NEW(arena, Core__PodStatus, core__pod_status__descriptor);
    p->status->phase = "Running";
    p->status->message = arena_printf(arena, "version %ld", version);
    return p;
}

static Api__Resource resource(const char *name, const char *sub) {
    Api__Resource r = API__RESOURCE__INIT;
    r.version = "v1";
    r.plural = "pods";
    r.namespace_ = "default";
    r.name = (char *)name;
    r.subresource = (char *)sub;
    return r;
}

static void ask(actor_t *me, const ProtobufCMessage *body, long i) {
    bench_t *b = actor_state(me);
    b->sent_us[i] = is_paced(b->phase) ? b->begun_us + (int64_t)((double)i * 2e6 / b->rate)
                                       : clock_monotonic_us();
    actor_ask(me, "apiserver", body, 60 * 1000, (uint64_t)i);
}

static void send_write(actor_t *me, long i, bool is_update) {
    bench_t *b = actor_state(me);
    arena_t *arena = actor_arena(me);
    bytes_t packed = msg_pack(arena, &pod(arena, i, b->phase)->base);
    ProtobufCBinaryData object = {packed.len, (uint8_t *)packed.at};
    Api__Resource r = resource(is_update ? pod_name(arena, i) : "", is_update ? "status" : "");
    Api__Create create = API__CREATE__INIT;
    Api__Update update = API__UPDATE__INIT;
    create.resource = update.resource = &r;
    create.object = update.object = object;
    ask(me, is_update ? &update.base : &create.base, i);
}

static void send_one(actor_t *me, long i) {
    bench_t *b = actor_state(me);
    Api__Resource r =
        resource(b->phase == GET || b->phase == GET_HALF ? pod_name(actor_arena(me), i) : "", "");
    Api__Get get = API__GET__INIT;
    Api__List list = API__LIST__INIT;
    get.resource = list.resource = &r;
    list.limit = b->phase == LIST_PAGE ? PAGE : 0;
    switch (b->phase) {
    case CREATE: send_write(me, i, false); break;
    case UPDATE:
    case UPDATE_HALF:
    case WATCH: send_write(me, i, true); break;
    case GET:
    case GET_HALF: ask(me, &get.base, i); break;
    default: ask(me, &list.base, i); break;
    }
}

static void ask_server_time(actor_t *me) {
    Actor__ListActors list = {PROTOBUF_C_MESSAGE_INIT(&actor__list_actors__descriptor)};
    actor_ask(me, "system/bench", &list.base, 5000, TAG_INFO);
}

static void begin(actor_t *me) {
    bench_t *b = actor_state(me);
    bool is_list = b->phase == LIST_ALL || b->phase == LIST_PAGE;
    b->total = is_list ? LIST_ROUNDS : b->args->pods;
    b->sent = b->answered = b->under_way = b->events = 0;
    b->bytes = 0;
    b->begun_us = clock_monotonic_us();
}

static int order(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void report(bench_t *b, uint64_t server_us) {
    double seconds = (double)(clock_monotonic_us() - b->begun_us) / 1e6;
    b->rate = (double)b->total / seconds;
    qsort(b->took_us, (size_t)b->total, sizeof *b->took_us, order);
    printf("%-16s %7ld   %8.0f/s   p50 %8.2f ms   p99 %8.2f ms   server CPU %7.1f us each",
           phase_names[b->phase], b->total, b->rate, (double)b->took_us[b->total / 2] / 1e3,
           (double)b->took_us[b->total * 99 / 100] / 1e3,
           (double)(server_us - b->server_us) / (double)b->total);
    if (b->bytes) printf("   %.1f MiB", (double)b->bytes / (1 << 20));
    if (b->events)
        printf("   %.0f events/s to %ld watchers, %.2f us each", (double)b->events / seconds,
               b->args->watchers, (double)(server_us - b->server_us) / (double)b->events);
    printf("\n");
    fflush(stdout);
}

static bool is_over(const bench_t *b) {
    bool told = b->phase != WATCH || b->events >= b->args->watchers * b->total;
    return b->answered == b->total && told;
}

// Paced: as many as are due by now, and the next ones in a millisecond.
static long sent_by_now(actor_t *me) {
    bench_t *b = actor_state(me);
    double seconds = (double)(clock_monotonic_us() - b->begun_us) / 1e6;
    long due = (long)(seconds * b->rate / 2) + 1;
    if (due < b->total) actor_timer(me, TIMER_PACE, 1);
    return due < b->total ? due : b->total;
}

static void go_on(actor_t *me) {
    bench_t *b = actor_state(me);
    bool paced = is_paced(b->phase);
    long window = paced                                           ? LONG_MAX
                  : b->phase == LIST_ALL || b->phase == LIST_PAGE ? 1
                                                                  : b->args->at_once;
    long until = paced ? sent_by_now(me) : b->total;
    while (b->under_way < window && b->sent < until) {
        b->under_way++;
        send_one(me, b->sent++);
    }
    if (is_over(b)) {
        b->answered++; // once
        ask_server_time(me);
    }
}

static void open_watches(actor_t *me) {
    bench_t *b = actor_state(me);
    Api__Resource r = resource("", "");
    Api__Watch watch = API__WATCH__INIT;
    watch.resource = &r;
    for (long i = 0; i < b->args->watchers; i++)
        actor_open(me, "apiserver", &watch.base, 64, TAG_WATCH);
}

// The API server's own time: between the phases.
static void on_infos(actor_t *me, const message_t *msg, const void *body) {
    bench_t *b = actor_state(me);
    const Actor__ActorInfos *infos = body;
    uint64_t server_us = 0;
    for (size_t i = 0; i < infos->n_actors; i++)
        if (streq(infos->actors[i]->role, "apiserver")) server_us = infos->actors[i]->handling_us;
    if (b->total) {
        report(b, server_us);
        b->phase++;
    }
    b->server_us = server_us;
    if (b->phase == END) {
        ssize_t written = write(b->args->done_fd, "x", 1);
        assert(written == 1);
        return;
    }
    begin(me);
    if (b->phase == WATCH && b->opened < b->args->watchers)
        open_watches(me);
    else
        go_on(me);
}

static void on_answer(actor_t *me, const message_t *msg, const void *body) {
    bench_t *b = actor_state(me);
    b->took_us[b->answered++] = clock_monotonic_us() - b->sent_us[msg->tag];
    b->under_way--;
    if (((const ProtobufCMessage *)body)->descriptor == &api__list_reply__descriptor)
        b->bytes += msg->body->len;
    go_on(me);
}

// First the present pods and a mark, then the changes that are counted.
static void on_events(actor_t *me, const message_t *msg, const void *body) {
    bench_t *b = actor_state(me);
    const Api__WatchEvents *events = body;
    for (size_t i = 0; i < events->n_events; i++) {
        if (events->events[i]->type == API__WATCH_EVENT__TYPE__MODIFIED) b->events++;
        if (events->events[i]->type != API__WATCH_EVENT__TYPE__BOOKMARK) continue;
        if (++b->opened < b->args->watchers) continue;
        b->total = 0;
        ask_server_time(me);
        return;
    }
    if (b->opened >= b->args->watchers && b->total) go_on(me);
}

static void on_failure(actor_t *me, const message_t *msg, const void *body) {
    fprintf(stderr, "bench_apiserver: %s\n", or_empty(((const Actor__Failure *)body)->why));
    _exit(1);
}

static err_t start(actor_t *me, const void *args, why_t *why) {
    bench_t *b = actor_state(me);
    b->args = args;
    b->sent_us = mem_new((size_t)b->args->pods * sizeof *b->sent_us);
    b->took_us = mem_new((size_t)b->args->pods * sizeof *b->took_us);
    actor_timer(me, TIMER_BEGIN, 2000); // the first objects are made meanwhile
    return ERR_OK;
}
static void on_timer(actor_t *me, uint64_t tag) {
    if (tag == TIMER_PACE)
        go_on(me);
    else
        ask_server_time(me);
}
static void stop(actor_t *me) {
    bench_t *b = actor_state(me);
    free(b->sent_us);
    free(b->took_us);
}

static const handler_t rows[] = {
    {&actor__actor_infos__descriptor, on_infos}, {&api__reply__descriptor, on_answer},
    {&api__list_reply__descriptor, on_answer},   {&api__watch_events__descriptor, on_events},
    {&actor__failure__descriptor, on_failure},   {NULL}};
static const actor_def_t bench_actor = {.role = "cli",
                                        .state_size = sizeof(bench_t),
                                        .start = start,
                                        .handlers = rows,
                                        .on_timer = on_timer,
                                        .stop = stop,
                                        .mailbox_max = 64 * 1024};

int main(int argc, char **argv) {
    int done[2];
    if (pipe(done)) return 1;
    bench_args_t args = {.pods = argc > 1 ? strtol(argv[1], NULL, 10) : 10000,
                         .at_once = argc > 2 ? strtol(argv[2], NULL, 10) : 64,
                         .watchers = argc > 3 ? strtol(argv[3], NULL, 10) : 100,
                         .done_fd = done[1]};
    if (args.pods < LIST_ROUNDS || args.at_once < 1 || args.watchers < 1) return 1;
    log_set_level(LOG_LEVEL_ERROR);
    char folder[] = "/tmp/bench-apiserver-XXXXXX";
    if (!mkdtemp(folder)) return 1;
    disk_args_t disk = {.data_dir = folder, .member = "bench"};
    store_args_t store = {.data_dir = folder, .member = "bench"};
    process_options_t options = {.name = "bench", .host = "bench"};
    process_t *p;
    why_t why;
    err_t err = process_new(&options, &p, &why);
    static const char *const dispatchers[] = {"disk", "store", "control", "bench"};
    for (size_t i = 0; i < LENGTH_OF(dispatchers) && !err; i++)
        err = process_add_dispatcher(p, dispatchers[i], &why);
    if (!err) err = process_spawn(p, "disk", &disk_actor, "bench", &disk, NULL, &why);
    if (!err) err = process_spawn(p, "store", &store_actor, "bench", &store, NULL, &why);
    if (!err)
        err = process_spawn(p, "control", &apiserver_actor, "bench", &apiserver_args_default, NULL,
                            &why);
    if (!err) err = process_spawn(p, "bench", &bench_actor, "bench", &args, NULL, &why);
    if (err) {
        fprintf(stderr, "bench_apiserver: %s\n", why.text);
        return 1;
    }
    char byte;
    if (read(done[0], &byte, 1) != 1) return 1;
    process_stop(p);
    process_destroy(&p);
    execl("/bin/rm", "rm", "-rf", folder, NULL);
    return 1; // rm could not be run
}
