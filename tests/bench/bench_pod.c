// Starting pods through Troupe, against the bare CRI calls on the same containerd, in turns:
//
//     build/release/bin/bench_pod RUN-DIR NODE [ROUNDS]       (a cluster runs there: troupe up)
//
// Prints medians and ratios for 1, 10 and 30 pods. Not a test: it judges nothing. A pod counts as
// started once StartContainer has answered, or once the API shows its container running.
#include "actors/kubelet/host.h"
#include "actors/kubelet/pod_config.h"
#include "runtime/actor/api_client.h"
#include "runtime/actor/informer.h"
#include "runtime/actor/process.h"
#include "runtime/api/msg.h"
#include "runtime/base/clock.h"
#include "runtime/base/log.h"
#include "runtime/io/grpc.h"
#include <poll.h>
#include <signal.h>
#include <unistd.h>

enum {
    PODS_MAX = 30,
    ROUNDS_MAX = 50,
    AT_ONCE = 4,
    TAG_PODS = 1,
    TAG_GRPC,
    TAG_GO,
    CALL_MS = 120 * 1000,
    KNOWN_RETRY_MS = 20
};
#define CGROUP_ROOT "/bench-pod"
#define IMAGE       "busybox"
#define RUNTIME     "/runtime.v1.RuntimeService/"

typedef struct {
    const char *run_dir, *node;
    int rounds;
    int done_fd;
} bench_args_t;

typedef struct {
    actor_t *me;
    int number;
    char *sandbox, *container;
    int64_t began_us;
} direct_t;

typedef struct {
    const bench_args_t *args;
    grpc_t *grpc;
    informer_t *pods;
    direct_t direct[PODS_MAX];
    int wanted, begun, started, removed; // of the batch that runs
    bool of_troupe, removing;
    int64_t began_us;
    int round, size_at;
    uint64_t pod_next;
    double ms[2][3][ROUNDS_MAX]; // [direct, troupe][size][round]
} bench_t;
static const int sizes[] = {1, 10, 30};

static void next_batch(actor_t *me);

// ---- the pod ----------------------------------------------------------------------------------
static Core__Pod *pod_new(actor_t *me, const char *name) {
    bench_t *b = actor_state(me);
    arena_t *arena = actor_arena(me);
    Core__Pod *pod = MSG_NEW(arena, Core__Pod, core__pod__descriptor);
    Meta__ObjectMeta *meta = object_meta(arena, &pod->base);
    meta->name = name;
    meta->namespace_ = "default";
    object_set_label(arena, &pod->base, "bench", "pod");
    pod->spec = MSG_NEW(arena, Core__PodSpec, core__pod_spec__descriptor);
    pod->spec->nodename = b->args->node;
    pod->spec->has_terminationgraceperiodseconds = true;
    Core__Container *c = MSG_NEW(arena, Core__Container, core__container__descriptor);
    c->name = "c";
    c->image = IMAGE;
    c->imagepullpolicy = "IfNotPresent";
    c->command = ARENA_ARRAY(arena, const char *, 2);
    c->command[c->n_command++] = "sleep";
    c->command[c->n_command++] = "1000";
    pod->spec->containers = ARENA_ARRAY(arena, Core__Container *, 1);
    pod->spec->containers[pod->spec->n_containers++] = c;
    return pod;
}

// ---- the bare calls ---------------------------------------------------------------------------
static void must(const char *what, const grpc_result_t *result) {
    if (!result->err) return;
    fprintf(stderr, "bench: %s: %s\n", what, result->message);
    _exit(1);
}

static void batch_started(actor_t *me) {
    bench_t *b = actor_state(me);
    b->ms[b->of_troupe][b->size_at][b->round] = (double)(clock_monotonic_us() - b->began_us) / 1e3;
    b->removing = true;
}

static void begin_direct(actor_t *me);
static void direct_removed(void *arg, const grpc_result_t *result) {
    direct_t *d = arg;
    bench_t *b = actor_state(d->me);
    must("RemovePodSandbox", result);
    free(d->sandbox);
    free(d->container);
    if (++b->removed == b->wanted) next_batch(d->me);
}
static void direct_stopped(void *arg, const grpc_result_t *result) {
    direct_t *d = arg;
    bench_t *b = actor_state(d->me);
    must("StopPodSandbox", result);
    Cri__RemovePodSandboxRequest remove = {.base.descriptor =
                                               &cri__remove_pod_sandbox_request__descriptor,
                                           .pod_sandbox_id = d->sandbox};
    (void)grpc_call(b->grpc, RUNTIME "RemovePodSandbox", &remove.base, CALL_MS, direct_removed, d);
}
static void direct_started(void *arg, const grpc_result_t *result) {
    direct_t *d = arg;
    bench_t *b = actor_state(d->me);
    must("StartContainer", result);
    if (++b->started < b->wanted) {
        begin_direct(d->me);
        return;
    }
    batch_started(d->me);
    for (int i = 0; i < b->wanted; i++) {
        Cri__StopPodSandboxRequest stop = {.base.descriptor =
                                               &cri__stop_pod_sandbox_request__descriptor,
                                           .pod_sandbox_id = b->direct[i].sandbox};
        (void)grpc_call(b->grpc, RUNTIME "StopPodSandbox", &stop.base, CALL_MS, direct_stopped,
                        &b->direct[i]);
    }
}
static void direct_created(void *arg, const grpc_result_t *result) {
    direct_t *d = arg;
    bench_t *b = actor_state(d->me);
    must("CreateContainer", result);
    const Cri__CreateContainerResponse *reply =
        msg_unpack_own(actor_arena(d->me), &cri__create_container_response__descriptor,
                       result->body);
    d->container = str_dup(reply->container_id);
    Cri__StartContainerRequest start = {.base.descriptor =
                                            &cri__start_container_request__descriptor,
                                        .container_id = d->container};
    (void)grpc_call(b->grpc, RUNTIME "StartContainer", &start.base, CALL_MS, direct_started, d);
}

static const void *find_nothing(void *arg, object_kind_t kind, const char *name) { return NULL; }
static pod_scene_t scene_of(actor_t *me, const direct_t *d, kubelet_args_t *args) {
    const bench_t *b = actor_state(me);
    arena_t *arena = actor_arena(me);
    *args = kubelet_args_filled(
        arena, &(kubelet_args_t){.cgroup_root = CGROUP_ROOT, .pod_log_dir = "/tmp"}, b->args->node);
    Core__Pod *pod = pod_new(me, arena_printf(arena, "direct-%d", d->number));
    pod->metadata->uid = arena_printf(arena, "direct-%d-%lld", d->number, (long long)d->began_us);
    return (pod_scene_t){.args = args,
                         .node = b->args->node,
                         .pod = pod,
                         .pod_ip = "",
                         .host_ip = "",
                         .find = find_nothing};
}
static void direct_ran(void *arg, const grpc_result_t *result) {
    direct_t *d = arg;
    actor_t *me = d->me;
    bench_t *b = actor_state(me);
    arena_t *arena = actor_arena(me);
    must("RunPodSandbox", result);
    const Cri__RunPodSandboxResponse *reply =
        msg_unpack_own(arena, &cri__run_pod_sandbox_response__descriptor, result->body);
    d->sandbox = str_dup(reply->pod_sandbox_id);
    kubelet_args_t args;
    pod_scene_t scene = scene_of(me, d, &args);
    pod_member_t member = {.spec = scene.pod->spec->containers[0], .hash = 1};
    Cri__ContainerConfig *config;
    why_t why;
    if (pod_container_config(&scene, &member, 0, IMAGE, arena, &config, &why)) abort();
    config->n_mounts = 0; // the host's files are not there
    config->log_path = "";
    Cri__CreateContainerRequest create = {.base.descriptor =
                                              &cri__create_container_request__descriptor,
                                          .pod_sandbox_id = d->sandbox,
                                          .config = config,
                                          .sandbox_config = pod_sandbox_config(&scene, 0, arena)};
    (void)grpc_call(b->grpc, RUNTIME "CreateContainer", &create.base, CALL_MS, direct_created, d);
}
static void begin_direct(actor_t *me) {
    bench_t *b = actor_state(me);
    if (b->begun == b->wanted) return;
    direct_t *d = &b->direct[b->begun];
    *d = (direct_t){.me = me, .number = b->begun, .began_us = clock_monotonic_us()};
    b->begun++;
    kubelet_args_t args;
    pod_scene_t scene = scene_of(me, d, &args);
    Cri__RunPodSandboxRequest run = {.base.descriptor = &cri__run_pod_sandbox_request__descriptor,
                                     .config = pod_sandbox_config(&scene, 0, actor_arena(me))};
    (void)grpc_call(b->grpc, RUNTIME "RunPodSandbox", &run.base, CALL_MS, direct_ran, d);
}

// ---- through Troupe ---------------------------------------------------------------------------
static void begin_troupe(actor_t *me) {
    bench_t *b = actor_state(me);
    const kind_t *kind = kind_find("", "v1", "Pod");
    for (int i = 0; i < b->wanted; i++) {
        Core__Pod *pod = pod_new(me, arena_printf(actor_arena(me), "bench-%llu",
                                                  (unsigned long long)b->pod_next++));
        api_create(me, kind, &pod->base, 0);
    }
}

static bool runs(const record_t *record) {
    const Core__PodStatus *s = RECORD_AS(Core__Pod, record)->status;
    return s && s->n_containerstatuses && s->containerstatuses[0]->state &&
           s->containerstatuses[0]->state->running;
}

static void look(actor_t *me) {
    bench_t *b = actor_state(me);
    if (!b->of_troupe || !informer_is_synced(b->pods)) return;
    records_t all = informer_all(b->pods);
    int running = 0;
    for (size_t i = 0; i < all.len; i++) running += runs(all.at[i]);
    if (!b->removing && running == b->wanted) {
        batch_started(me);
        for (size_t i = 0; i < all.len; i++)
            api_delete(me, informer_kind(b->pods), all.at[i]->namespace_, all.at[i]->name, NULL, 0);
    } else if (b->removing && all.len == 0) {
        next_batch(me);
    }
}

// ---- turns ------------------------------------------------------------------------------------
static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void report(bench_t *b) {
    printf("%d rounds, in turns; milliseconds until all run: median (min-max)\n", b->args->rounds);
    for (size_t s = 0; s < LENGTH_OF(sizes); s++) {
        double median[2];
        printf("%2d pods:", sizes[s]);
        for (int t = 0; t < 2; t++) {
            double *ms = b->ms[t][s];
            qsort(ms, (size_t)b->args->rounds, sizeof *ms, by_value);
            median[t] = ms[b->args->rounds / 2];
            printf("  %s %.0f (%.0f-%.0f), %.1f/s", t ? "troupe" : "calls alone", median[t], ms[0],
                   ms[b->args->rounds - 1], sizes[s] * 1000 / median[t]);
        }
        printf("  ratio %.2f\n", median[1] / median[0]);
    }
}

static void begin_batch(actor_t *me) {
    bench_t *b = actor_state(me);
    b->wanted = sizes[b->size_at];
    b->begun = b->started = b->removed = 0;
    b->removing = false;
    b->began_us = clock_monotonic_us();
    if (b->of_troupe) begin_troupe(me);
    for (int i = 0; i < AT_ONCE && !b->of_troupe; i++) begin_direct(me);
}

static void next_batch(actor_t *me) {
    bench_t *b = actor_state(me);
    b->of_troupe = !b->of_troupe;
    if (!b->of_troupe && ++b->size_at == (int)LENGTH_OF(sizes)) {
        b->size_at = 0;
        if (++b->round == b->args->rounds) {
            report(b);
            const char *cgroups[] = {CGROUP_ROOT};
            host_remove(&(Node__HostRemove){.base.descriptor = &node__host_remove__descriptor,
                                            .n_cgroups = 1,
                                            .cgroups = cgroups},
                        0);
            if (write(b->args->done_fd, "x", 1) != 1) abort();
            return;
        }
    }
    begin_batch(me);
}

static void pulled(void *arg, const grpc_result_t *result) {
    must("PullImage", result);
    begin_batch(arg);
}

static void loop_watch(void *arg, int fd, uint32_t events) { actor_watch_fd(arg, fd, events); }
static void loop_unwatch(void *arg, int fd) { actor_unwatch_fd(arg, fd); }
static int64_t loop_now(void *arg) { return actor_now_ms(arg); }
static void loop_timer(void *arg, int64_t delay_ms) {
    if (delay_ms < 0)
        actor_timer_cancel(arg, TAG_GRPC);
    else
        actor_timer(arg, TAG_GRPC, delay_ms);
}

static err_t start(actor_t *me, const void *args, why_t *why) {
    bench_t *b = actor_state(me);
    b->args = args;
    char *socket CLEANUP(free_charp) = str_printf("%s/containerd.sock", b->args->run_dir);
    grpc_loop_t loop = {me, loop_watch, loop_unwatch, loop_timer, loop_now, NULL};
    b->grpc = grpc_new(socket, &loop, 0);
    b->pods = informer_new(&(informer_spec_t){
        .kind = kind_find("", "v1", "Pod"), .label_selector = "bench=pod", .tag = TAG_PODS});
    actor_timer(me, TAG_GO, KNOWN_RETRY_MS);
    return ERR_OK;
}
static void stop(actor_t *me) {
    bench_t *b = actor_state(me);
    grpc_destroy(&b->grpc);
    informer_destroy(&b->pods);
}
static void on_timer(actor_t *me, uint64_t tag) {
    bench_t *b = actor_state(me);
    if (informer_timer(b->pods, me, tag)) return;
    if (tag == TAG_GRPC) grpc_on_timer(b->grpc);
    if (tag != TAG_GO) return;
    if (!actor_is_known(me, API_SERVER)) {
        actor_timer(me, TAG_GO, KNOWN_RETRY_MS);
        return;
    }
    informer_start(b->pods, me);
    Cri__ImageSpec image = {.base.descriptor = &cri__image_spec__descriptor, .image = IMAGE};
    Cri__PullImageRequest pull = {.base.descriptor = &cri__pull_image_request__descriptor,
                                  .image = &image};
    (void)grpc_call(b->grpc, "/runtime.v1.ImageService/PullImage", &pull.base, CALL_MS, pulled, me);
}
static void on_fd(actor_t *me, int fd, uint32_t events) {
    grpc_on_fd(((bench_t *)actor_state(me))->grpc, fd, events);
}
static void on_message(actor_t *me, const message_t *msg, const void *body) {
    bench_t *b = actor_state(me);
    if (!informer_handle(b->pods, me, msg, body))
        fprintf(stderr, "bench: %s\n", api_failure(actor_arena(me), body).why);
}
static void on_reply(actor_t *me, const message_t *msg, const void *body) {}

static const handler_t handlers[] = {
    {&api__watch_events__descriptor, on_message, NULL, false},
    {&actor__stream_end__descriptor, on_message, NULL, false},
    {&actor__failure__descriptor, on_message, NULL, false},
    {&api__reply__descriptor, on_reply, NULL, false},
    {0},
};
static const actor_def_t bench_actor = {.role = "cli",
                                        .state_size = sizeof(bench_t),
                                        .start = start,
                                        .handlers = handlers,
                                        .settle = look,
                                        .on_timer = on_timer,
                                        .on_fd = on_fd,
                                        .stop = stop};

int main(int argc, char **argv) {
    int done[2];
    if (argc < 3 || pipe(done)) {
        fprintf(stderr, "usage: bench_pod RUN-DIR NODE [ROUNDS]\n");
        return 2;
    }
    log_set_level(LOG_LEVEL_ERROR);
    bench_args_t args = {.run_dir = argv[1],
                         .node = argv[2],
                         .rounds = argc > 3 ? (int)strtol(argv[3], NULL, 10) : 5,
                         .done_fd = done[1]};
    if (args.rounds < 1 || args.rounds > ROUNDS_MAX) args.rounds = 5;
    char name[64];
    snprintf(name, sizeof name, "bench-%d", (int)getpid());
    process_t *p;
    why_t why;
    char *endpoint CLEANUP(free_charp) = str_printf("ipc://%s/troupe.sock", args.run_dir);
    if (process_new(&(process_options_t){.name = name, .host = "bench"}, &p, &why) ||
        process_add_dispatcher(p, "main", &why) ||
        process_spawn(p, "main", &bench_actor, name, &args, NULL, &why) ||
        process_connect(p, &(connect_options_t){.endpoint = endpoint}, &why)) {
        fprintf(stderr, "bench: %s\n", why.text);
        return 1;
    }
    struct pollfd fd = {.fd = done[0], .events = POLLIN};
    (void)poll(&fd, 1, -1);
    process_stop(p);
    process_destroy(&p);
    return 0;
}
