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
#include "k8s/core_v1.pb-c.h"
#include "runtime/api/codec.h"
#include "runtime/base/clock.h"
#include "runtime/base/log.h"
#include "tests/bench/control_plane.h"

enum { PODS_DEFAULT = 500, NODES_DEFAULT = 10, TARGET_P50_US = 3000 };

static control_plane_t cluster;

static void create_nodes(long nodes) {
    for (long i = 0; i < nodes; i++) {
        const char *text = arena_printf(
            &cluster.arena,
            "{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"metadata\":{\"name\":\"n%ld\"},\"status\":{"
            "\"capacity\":{\"cpu\":\"64\",\"memory\":\"256Gi\",\"pods\":\"1000\"},"
            "\"allocatable\":{\"cpu\":\"64\",\"memory\":\"256Gi\",\"pods\":\"1000\"},"
            "\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}",
            i);
        control_plane_create(&cluster, text, "");
        control_plane_create(&cluster, text, "status");
    }
}

// The time until the watch shows pod `name` on a node.
static void wait_bound(client_stream_t *watch, const char *name) {
    for (;;) {
        arena_t chunk_arena = {0};
        void *chunk;
        failure_t failure;
        if (client_next(watch, &chunk_arena, &api__watch_events__descriptor, CONTROL_PLANE_WAIT_MS,
                        &chunk, &failure))
            bench_die("watch", "no binding in time");
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
    if (client_next(watch, &chunk_arena, &api__watch_events__descriptor, CONTROL_PLANE_WAIT_MS,
                    &chunk, &failure))
        bench_die("watch", "no binding in time");
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
        arena_printf(&cluster.arena,
                     "{\"apiVersion\":\"apps/"
                     "v1\",\"kind\":\"Deployment\",\"metadata\":{\"name\":\"web\"},\"spec\":{"
                     "\"replicas\":%ld,\"selector\":{\"matchLabels\":{\"app\":\"web\"}},"
                     "\"template\":{\"metadata\":{"
                     "\"labels\":{\"app\":\"web\"}},\"spec\":{\"containers\":[{\"name\":\"c\","
                     "\"image\":\"nginx\","
                     "\"resources\":{\"requests\":{\"cpu\":\"10m\",\"memory\":\"16Mi\"}}}]}}}}",
                     replicas);
    int64_t begun = clock_monotonic_us();
    control_plane_create(&cluster, text, "");
    for (long bound = 0; bound < replicas;) bound += count_bound(watch);
    double seconds = (double)(clock_monotonic_us() - begun) / 1e6;
    printf("a deployment of %ld, %ld nodes: made and bound in %.2f s, %.0f pods/s, %.0f MiB "
           "PSS\n",
           replicas, nodes, seconds, (double)replicas / seconds, control_plane_pss_mib());
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
        bench_die("usage", "bench_bind [PODS] [NODES] [REPLICAS] [alone]");
    log_set_level(LOG_LEVEL_ERROR);
    control_plane_start(&cluster, argc > 4);
    create_nodes(nodes);
    client_stream_t *stream = control_plane_watch(&cluster, "pods", "default");
    int64_t *times = mem_new((size_t)pods * sizeof *times), begun = clock_monotonic_us();
    for (long i = 0; i < pods; i++) {
        const char *name = arena_printf(&cluster.arena, "p%ld", i);
        const char *text =
            arena_printf(&cluster.arena,
                         "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"%s\"},"
                         "\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"nginx\","
                         "\"resources\":{\"requests\":{\"cpu\":\"10m\",\"memory\":\"16Mi\"}}}]}}",
                         name);
        int64_t sent = clock_monotonic_us();
        control_plane_create(&cluster, text, "");
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
    control_plane_end(&cluster);
}
