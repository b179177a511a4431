// bench_nodes - a control plane and many simulated nodes in one process: the real kubelets, on a
// made-up runtime. How long until all nodes are Ready, until a Deployment's pods run on them, and
// how much memory that takes.
//
//     build/release/bin/bench_nodes [NODES] [PODS]        default 1000 nodes, no pods
#include "actors/kubelet/kubelet.h"
#include "k8s/core_v1.pb-c.h"
#include "runtime/api/codec.h"
#include "runtime/api/pod.h"
#include "runtime/base/clock.h"
#include "runtime/base/log.h"
#include "runtime/base/map.h"
#include "tests/bench/control_plane.h"

enum { NODES_DEFAULT = 1000, NODE_THREADS = 2 };

static control_plane_t cluster;

static double seconds_since(int64_t begun_us) {
    return (double)(clock_monotonic_us() - begun_us) / 1e6;
}

static bool node_is_ready(const ProtobufCMessage *obj) {
    const Core__NodeStatus *status = ((const Core__Node *)obj)->status;
    for (size_t i = 0; status && i < status->n_conditions; i++)
        if (streq(or_empty(status->conditions[i]->type), "Ready"))
            return streq(or_empty(status->conditions[i]->status), "True");
    return false;
}

static bool pod_runs(const ProtobufCMessage *obj) {
    const Core__PodStatus *status = ((const Core__Pod *)obj)->status;
    return status && streq(or_empty(status->phase), "Running");
}

// Until `count` objects of the watch have been `good`, each counted once.
static void wait_for(client_stream_t *watch, const ProtobufCMessageDescriptor *type, long count,
                     bool (*good)(const ProtobufCMessage *)) {
    map_t seen = {0};
    while ((long)map_len(&seen) < count) {
        arena_t arena = {0};
        void *chunk;
        failure_t failure;
        if (client_next(watch, &arena, &api__watch_events__descriptor, 6 * CONTROL_PLANE_WAIT_MS,
                        &chunk, &failure))
            bench_die("watch", failure.message);
        const Api__WatchEvents *events = chunk;
        for (size_t i = 0; i < events->n_events; i++) {
            if (events->events[i]->type == API__WATCH_EVENT__TYPE__BOOKMARK) continue;
            bytes_t raw = {events->events[i]->object.data, events->events[i]->object.len};
            const ProtobufCMessage *obj = msg_unpack_own(&arena, type, raw);
            if (obj && good(obj)) map_put(&seen, object_meta_read(obj)->name, &cluster);
        }
        arena_done(&arena);
    }
    map_done(&seen);
}

static void start_nodes(long nodes) {
    static kubelet_args_t args = {.simulated = true,
                                  .pods_max = 1000,
                                  .cpu_milli = 64000,
                                  .memory_bytes = INT64_C(256) << 30,
                                  .alive_interval_ms = 400};
    why_t why;
    for (long i = 0; i < NODE_THREADS; i++)
        if (process_add_dispatcher(cluster.process, arena_printf(&cluster.arena, "nodes-%ld", i),
                                   &why))
            bench_die("nodes", why.text);
    for (long i = 0; i < nodes; i++) {
        const char *on = arena_printf(&cluster.arena, "nodes-%ld", i % NODE_THREADS);
        const char *name = arena_printf(&cluster.arena, "n%04ld", i);
        if (process_spawn(cluster.process, on, &kubelet_actor, name, &args, NULL, &why))
            bench_die("kubelet", why.text);
    }
}

static void measure_pods(long pods) {
    client_stream_t *watch = control_plane_watch(&cluster, "pods", "default");
    const char *text = arena_printf(
        &cluster.arena,
        "{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"metadata\":{\"name\":\"web\"},"
        "\"spec\":{\"replicas\":%ld,\"selector\":{\"matchLabels\":{\"app\":\"web\"}},\"template\":"
        "{\"metadata\":{\"labels\":{\"app\":\"web\"}},\"spec\":{\"containers\":[{\"name\":\"c\","
        "\"image\":\"nginx\",\"resources\":{\"requests\":{\"cpu\":\"10m\"}}}]}}}}",
        pods);
    int64_t begun = clock_monotonic_us();
    control_plane_create(&cluster, text, "");
    wait_for(watch, &core__pod__descriptor, pods, pod_runs);
    double seconds = seconds_since(begun);
    printf("%ld pods Running in %.2f s, %.0f pods/s, %.0f MiB PSS\n", pods, seconds,
           (double)pods / seconds, control_plane_pss_mib());
    client_close(&watch);
}

int main(int argc, char **argv) {
    long nodes = argc > 1 ? strtol(argv[1], NULL, 10) : NODES_DEFAULT,
         pods = argc > 2 ? strtol(argv[2], NULL, 10) : 0;
    if (nodes < 1 || nodes > 10000 || pods < 0 || pods > 150000)
        bench_die("usage", "bench_nodes [NODES] [PODS]");
    log_set_level(LOG_LEVEL_ERROR);
    control_plane_start(&cluster, false);
    client_stream_t *watch = control_plane_watch(&cluster, "nodes", "");
    double before = control_plane_pss_mib();
    int64_t begun = clock_monotonic_us();
    start_nodes(nodes);
    printf("%ld kubelets started in %.2f s\n", nodes, seconds_since(begun));
    wait_for(watch, &core__node__descriptor, nodes, node_is_ready);
    printf("all Ready after %.2f s, %.0f MiB PSS (%.0f before)\n", seconds_since(begun),
           control_plane_pss_mib(), before);
    client_close(&watch);
    if (pods) measure_pods(pods);
    control_plane_end(&cluster);
}
