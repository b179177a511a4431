// bench_bind - create to bound, as a client sees it: a whole control plane in one process (real
// store on this disk, API server, scheduler, controllers), nodes as objects, a client over ipc that
// creates one pod after another and watches for its spec.nodeName. Prints p50 and p99 against the
// target.
//
//     build/release/bin/bench_bind [PODS] [NODES] [REPLICAS] [alone]   default 500 pods, 10 nodes
//
// "alone": without the process's informers, so that scheduler and controllers each watch.
//
// With REPLICAS it then makes a Deployment of so many pods and prints how many a second are made by
// the controllers and bound.
#include "actors/apiserver/apiserver_actor.h"
#include "actors/controllers/controllers_actor.h"
#include "actors/scheduler/scheduler_actor.h"
#include "actors/store/disk_actor.h"
#include "actors/store/store_actor.h"
#include "cli/client/client.h"
#include "k8s/core_v1.pb-c.h"
#include "runtime/actor/informers_actor.h"
#include "runtime/actor/process.h"
#include "runtime/api/codec.h"
#include "runtime/base/clock.h"
#include "runtime/base/log.h"
#include <unistd.h>

enum { PODS_DEFAULT = 500, NODES_DEFAULT = 10, WAIT_MS = 10 * 1000, TARGET_P50_US = 3000 };

static client_t *client;
static arena_t arena;

static void die(const char *what, const char *why) {
    fprintf(stderr, "bench_bind: %s: %s\n", what, why);
    exit(1);
}

static void create(const char *api_version, const char *kind, const char *json,
                   const char *subresource) {
    const kind_t *k;
    ProtobufCMessage *obj;
    why_t why;
    if (json_read_object(&arena, json, strlen(json), true, &k, &obj, &why)) die(kind, why.text);
    bytes_t packed = msg_pack(&arena, obj);
    Api__Resource resource = {PROTOBUF_C_MESSAGE_INIT(&api__resource__descriptor)};
    resource.group = k->group, resource.version = k->version, resource.plural = k->plural;
    resource.namespace_ = k->namespaced ? "default" : "",
    resource.name = object_meta_read(obj)->name, resource.subresource = subresource;
    Api__Create request = {PROTOBUF_C_MESSAGE_INIT(&api__create__descriptor)};
    Api__Update update = {PROTOBUF_C_MESSAGE_INIT(&api__update__descriptor)};
    request.resource = update.resource = &resource;
    request.field_manager = update.field_manager = "";
    request.object = update.object = (ProtobufCBinaryData){packed.len, (uint8_t *)packed.at};
    if (!subresource[0]) resource.name = "";
    void *reply;
    failure_t failure;
    const ProtobufCMessage *message = subresource[0] ? &update.base : &request.base;
    if (client_call(client, &arena, "apiserver", message, &api__reply__descriptor, &reply,
                    &failure))
        die(kind, failure.message);
}

static void start_cluster(const char *folder, bool alone, process_t **ret) {
    static disk_args_t disk;
    static store_args_t store;
    static char endpoint[200];
    static controllers_args_t controllers;
    controllers = controllers_args_default;
    controllers.node_unheard_after_ms = INT32_MAX; // nobody speaks for these nodes
    controllers.pod_range = "10.0.0.0/8";          // enough for all of them
    disk = (disk_args_t){.data_dir = folder, .member = "bench"};
    store = (store_args_t){.data_dir = folder, .member = "bench"};
    snprintf(endpoint, sizeof endpoint, "ipc://%s/bench.sock", folder);
    why_t why;
    process_t *p;
    process_options_t options = {.name = "bench", .host = "bench"};
    err_t err = process_new(&options, &p, &why);
    static const char *const dispatchers[] = {"disk", "store", "api", "control"};
    for (size_t i = 0; i < LENGTH_OF(dispatchers) && !err; i++)
        err = process_add_dispatcher(p, dispatchers[i], &why);
    if (!err) err = process_spawn(p, "disk", &disk_actor, "bench", &disk, NULL, &why);
    if (!err) err = process_spawn(p, "store", &store_actor, "bench", &store, NULL, &why);
    if (!err)
        err =
            process_spawn(p, "api", &apiserver_actor, "bench", &apiserver_args_default, NULL, &why);
    if (!err && !alone)
        err = process_spawn(p, "control", &informers_actor, "bench", NULL, NULL, &why);
    if (!err)
        err = process_spawn(p, "control", &controllers_actor, "bench", &controllers, NULL, &why);
    if (!err)
        err = process_spawn(p, "control", &scheduler_actor, "bench", &scheduler_args_default, NULL,
                            &why);
    listen_options_t listen = {.endpoint = endpoint, .socket_mode = 0600, .principal = "admin"};
    if (!err) err = process_listen(p, &listen, &why);
    if (err) die("start", why.text);
    *ret = p;
}

static void create_nodes(long nodes) {
    for (long i = 0; i < nodes; i++) {
        const char *text = arena_printf(
            &arena,
            "{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"metadata\":{\"name\":\"n%ld\"},\"status\":{"
            "\"capacity\":{\"cpu\":\"64\",\"memory\":\"256Gi\",\"pods\":\"1000\"},"
            "\"allocatable\":{\"cpu\":\"64\",\"memory\":\"256Gi\",\"pods\":\"1000\"},"
            "\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}",
            i);
        create("v1", "Node", text, "");
        create("v1", "Node", text, "status");
    }
}

// The time until the watch shows pod `name` on a node.
static void wait_bound(client_stream_t *watch, const char *name) {
    for (;;) {
        arena_t chunk_arena = {0};
        void *chunk;
        failure_t failure;
        if (client_next(watch, &chunk_arena, &api__watch_events__descriptor, WAIT_MS, &chunk,
                        &failure))
            die("watch", "no binding in time");
        const Api__WatchEvents *events = chunk;
        bool bound = false;
        for (size_t i = 0; i < events->n_events; i++) {
            if (events->events[i]->type == API__WATCH_EVENT__TYPE__BOOKMARK) continue;
            const Core__Pod *pod = msg_unpack_own(&chunk_arena, &core__pod__descriptor,
                                                  (bytes_t){events->events[i]->object.data,
                                                            events->events[i]->object.len});
            bound |= pod && streq(pod->metadata->name, name) && pod->spec &&
                     !is_empty(pod->spec->nodename);
        }
        arena_done(&chunk_arena);
        if (bound) return;
    }
}

// Pods that the watch has shown on a node, each once: the binding is the only change there is.
static long count_bound(client_stream_t *watch) {
    arena_t chunk_arena = {0};
    void *chunk;
    failure_t failure;
    long bound = 0;
    if (client_next(watch, &chunk_arena, &api__watch_events__descriptor, WAIT_MS, &chunk, &failure))
        die("watch", "no binding in time");
    const Api__WatchEvents *events = chunk;
    for (size_t i = 0; i < events->n_events; i++) {
        const Api__WatchEvent *event = events->events[i];
        if (event->type != API__WATCH_EVENT__TYPE__MODIFIED) continue;
        const Core__Pod *pod = msg_unpack_own(&chunk_arena, &core__pod__descriptor,
                                              (bytes_t){event->object.data, event->object.len});
        bound += pod && pod->spec && !is_empty(pod->spec->nodename);
    }
    arena_done(&chunk_arena);
    return bound;
}

static void measure_deployment(client_stream_t *watch, long replicas, long nodes) {
    const char *text =
        arena_printf(&arena,
                     "{\"apiVersion\":\"apps/"
                     "v1\",\"kind\":\"Deployment\",\"metadata\":{\"name\":\"web\"},\"spec\":{"
                     "\"replicas\":%ld,\"selector\":{\"matchLabels\":{\"app\":\"web\"}},"
                     "\"template\":{\"metadata\":{"
                     "\"labels\":{\"app\":\"web\"}},\"spec\":{\"containers\":[{\"name\":\"c\","
                     "\"image\":\"nginx\","
                     "\"resources\":{\"requests\":{\"cpu\":\"10m\",\"memory\":\"16Mi\"}}}]}}}}",
                     replicas);
    int64_t begun = clock_monotonic_us();
    create("apps/v1", "Deployment", text, "");
    for (long bound = 0; bound < replicas;) bound += count_bound(watch);
    double seconds = (double)(clock_monotonic_us() - begun) / 1e6;
    printf("a deployment of %ld, %ld nodes: made and bound in %.2f s, %.0f pods/s\n", replicas,
           nodes, seconds, (double)replicas / seconds);
}

static int order(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    long pods = argc > 1 ? strtol(argv[1], NULL, 10) : PODS_DEFAULT,
         nodes = argc > 2 ? strtol(argv[2], NULL, 10) : NODES_DEFAULT,
         replicas = argc > 3 ? strtol(argv[3], NULL, 10) : 0;
    if (pods < 1 || pods > 100000 || nodes < 1 || nodes > 5000 || replicas < 0)
        die("usage", "bench_bind [PODS] [NODES] [REPLICAS] [alone]");
    log_set_level(LOG_LEVEL_ERROR);
    char folder[] = "/tmp/bench-bind-XXXXXX";
    if (!mkdtemp(folder)) die("folder", folder);
    process_t *cluster;
    start_cluster(folder, argc > 4, &cluster);
    why_t why;
    char *socket = str_printf("%s/bench.sock", folder);
    client_options_t options = {.socket = socket, .timeout_ms = WAIT_MS};
    if (client_new(&options, &client, &why)) die("connect", why.text);
    create_nodes(nodes);
    Api__Resource resource = {PROTOBUF_C_MESSAGE_INIT(&api__resource__descriptor)};
    resource.group = "", resource.version = "v1", resource.plural = "pods",
    resource.namespace_ = "default", resource.name = resource.subresource = "";
    Api__Watch watch = {PROTOBUF_C_MESSAGE_INIT(&api__watch__descriptor)};
    watch.resource = &resource, watch.label_selector = watch.field_selector = "";
    client_stream_t *stream = client_open(client, "apiserver", &watch.base);
    int64_t *times = mem_new((size_t)pods * sizeof *times), begun = clock_monotonic_us();
    for (long i = 0; i < pods; i++) {
        const char *name = arena_printf(&arena, "p%ld", i);
        const char *text =
            arena_printf(&arena,
                         "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"%s\"},"
                         "\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"nginx\","
                         "\"resources\":{\"requests\":{\"cpu\":\"10m\",\"memory\":\"16Mi\"}}}]}}",
                         name);
        int64_t sent = clock_monotonic_us();
        create("v1", "Pod", text, "");
        wait_bound(stream, name);
        times[i] = clock_monotonic_us() - sent;
    }
    double seconds = (double)(clock_monotonic_us() - begun) / 1e6;
    qsort(times, (size_t)pods, sizeof *times, order);
    int64_t p50 = times[pods / 2], p99 = times[pods * 99 / 100];
    printf("create -> bound, one at a time, %ld nodes: p50 %.2f ms, p99 %.2f ms, %.0f pods/s (p50 "
           "against 3 ms: %.2fx)\n",
           nodes, (double)p50 / 1e3, (double)p99 / 1e3, (double)pods / seconds,
           (double)p50 / TARGET_P50_US);
    if (replicas) measure_deployment(stream, replicas, nodes);
    client_close(&stream);
    client_destroy(&client);
    process_stop(cluster);
    process_destroy(&cluster);
    fflush(stdout);
    execl("/bin/rm", "rm", "-rf", folder, NULL);
    return 1; // rm could not be run
}
