// What one pod costs: JSON both ways (ours, straight from descriptors, against jansson's tree of
// the same text in the same run) and the packed form.
#include "k8s/core_v1.pb-c.h"
#include "runtime/api/codec.h"
#include "runtime/base/clock.h"
#ifdef HAVE_JANSSON
#include <jansson.h>
#endif

enum { ROUNDS = 20000, REPEATS = 5 };

// A running pod as a server returns it: some 1.4 KiB packed.
static const char POD[] =
    "{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"nginx-deploy-7c79c4bf97-"
    "4x2vq\",\"generateName\":\"nginx-deploy-7c79c4bf97-\","
    "\"namespace\":\"default\",\"uid\":\"0b1f6e0a-5a34-4d5a-9c1e-2f7a0b9be0a1\","
    "\"resourceVersion\":\"1043\",\"creationTimestamp\":\"2026-11-22T10:00:00Z\","
    "\"labels\":{\"app\":\"nginx\",\"pod-template-hash\":\"7c79c4bf97\",\"tier\":\"front\"},"
    "\"annotations\":{\"example.com/note\":\"a note of some length that stands here\"},"
    "\"ownerReferences\":[{\"apiVersion\":\"apps/"
    "v1\",\"kind\":\"ReplicaSet\",\"name\":\"nginx-deploy-7c79c4bf97\",\"uid\":\"7f4de2a6-7b6f-"
    "4a0c-8d62-5d1f0c3e9a10\","
    "\"controller\":true,\"blockOwnerDeletion\":true}]},\"spec\":{\"volumes\":[{\"name\":\"html\","
    "\"configMap\":{\"name\":\"html\",\"defaultMode\":420}},"
    "{\"name\":\"cache\",\"emptyDir\":{}}],\"containers\":[{\"name\":\"nginx\",\"image\":\"nginx:1."
    "25\",\"ports\":[{\"name\":\"http\",\"containerPort\":80,"
    "\"protocol\":\"TCP\"}],\"env\":[{\"name\":\"MODE\",\"value\":\"production\"},{\"name\":"
    "\"NODE\",\"valueFrom\":{\"fieldRef\":{\"apiVersion\":\"v1\","
    "\"fieldPath\":\"spec.nodeName\"}}}],\"resources\":{\"limits\":{\"cpu\":\"500m\",\"memory\":"
    "\"128Mi\"},\"requests\":{\"cpu\":\"100m\",\"memory\":\"64Mi\"}},"
    "\"volumeMounts\":[{\"name\":\"html\",\"readOnly\":true,\"mountPath\":\"/usr/share/nginx/"
    "html\"},{\"name\":\"cache\",\"mountPath\":\"/var/cache/nginx\"}],"
    "\"livenessProbe\":{\"httpGet\":{\"path\":\"/"
    "healthz\",\"port\":\"http\",\"scheme\":\"HTTP\"},\"initialDelaySeconds\":3,\"timeoutSeconds\":"
    "1,"
    "\"periodSeconds\":10,\"successThreshold\":1,\"failureThreshold\":3},"
    "\"terminationMessagePath\":\"/dev/termination-log\","
    "\"terminationMessagePolicy\":\"File\",\"imagePullPolicy\":\"IfNotPresent\"}],"
    "\"restartPolicy\":\"Always\",\"terminationGracePeriodSeconds\":30,"
    "\"dnsPolicy\":\"ClusterFirst\",\"serviceAccountName\":\"default\",\"serviceAccount\":"
    "\"default\",\"nodeName\":\"node-1\",\"securityContext\":{},"
    "\"schedulerName\":\"default-scheduler\",\"tolerations\":[{\"key\":\"node.kubernetes.io/"
    "not-ready\",\"operator\":\"Exists\",\"effect\":\"NoExecute\","
    "\"tolerationSeconds\":300},{\"key\":\"node.kubernetes.io/"
    "unreachable\",\"operator\":\"Exists\",\"effect\":\"NoExecute\",\"tolerationSeconds\":300}],"
    "\"priority\":0,\"enableServiceLinks\":true,\"preemptionPolicy\":\"PreemptLowerPriority\"},"
    "\"status\":{\"phase\":\"Running\",\"conditions\":["
    "{\"type\":\"Initialized\",\"status\":\"True\",\"lastProbeTime\":null,\"lastTransitionTime\":"
    "\"2026-11-22T10:00:00Z\"},"
    "{\"type\":\"Ready\",\"status\":\"True\",\"lastProbeTime\":null,\"lastTransitionTime\":\"2026-"
    "11-22T10:00:02Z\"},"
    "{\"type\":\"ContainersReady\",\"status\":\"True\",\"lastProbeTime\":null,"
    "\"lastTransitionTime\":\"2026-11-22T10:00:02Z\"},"
    "{\"type\":\"PodScheduled\",\"status\":\"True\",\"lastProbeTime\":null,\"lastTransitionTime\":"
    "\"2026-11-22T10:00:00Z\"}],"
    "\"hostIP\":\"10.0.0.7\",\"podIP\":\"10.244.1.12\",\"podIPs\":[{\"ip\":\"10.244.1.12\"}],"
    "\"startTime\":\"2026-11-22T10:00:00Z\","
    "\"containerStatuses\":[{\"name\":\"nginx\",\"state\":{\"running\":{\"startedAt\":\"2026-11-"
    "22T10:00:01Z\"}},\"lastState\":{},\"ready\":true,"
    "\"restartCount\":0,\"image\":\"docker.io/library/"
    "nginx:1.25\",\"imageID\":\"sha256:"
    "2b7d6430f78d432f89109b29d88d4c36c868cdbf15dc31d2132ceaa02b993763\","
    "\"containerID\":\"containerd://"
    "8a2d2a2a7c9b6c0c2a9e0e0f9d0b8f7e6d5c4b3a29181706f5e4d3c2b1a09f8e\",\"started\":true}],"
    "\"qosClass\":\"Burstable\"}}";

typedef struct {
    arena_t arena;
    text_t text;
    const kind_t *kind;
    ProtobufCMessage *pod;
    bytes_t packed;
} state_t;

static void read_json(state_t *s) {
    const kind_t *k;
    ProtobufCMessage *pod;
    why_t why;
    err_t err = json_read_object(&s->arena, POD, sizeof POD - 1, true, &k, &pod, &why);
    assert(err == ERR_OK);
}
static void write_json(state_t *s) {
    text_reset(&s->text);
    json_write_object(s->kind, s->pod, &s->text);
}
static void pack(state_t *s) { assert(msg_pack(&s->arena, s->pod).len == s->packed.len); }
static void unpack(state_t *s) {
    void *pod = NULL;
    err_t err = msg_unpack(&s->arena, s->kind->type, s->packed, &pod, NULL);
    assert(err == ERR_OK);
}
static void unpack_own(state_t *s) { assert(msg_unpack_own(&s->arena, s->kind->type, s->packed)); }
static void dup(state_t *s) { assert(msg_dup(&s->arena, s->pod)); }
static void equal(state_t *s) {
    assert(msg_equal(s->pod, s->pod) && msg_packed_size(s->pod) == s->packed.len);
}
static void print_yaml(state_t *s) {
    text_reset(&s->text);
    yaml_write_object(s->kind, s->pod, &s->text);
}
#ifdef HAVE_JANSSON
static void jansson_read(state_t *s) {
    json_t *tree = json_loadb(POD, sizeof POD - 1, 0, NULL);
    assert(tree);
    json_decref(tree);
}
static json_t *jansson_tree;
static void jansson_write(state_t *s) {
    char *text = json_dumps(jansson_tree, JSON_COMPACT);
    assert(text);
    free(text);
}
#endif

// The best of several runs: what the work costs when nobody disturbs it. Nanoseconds.
static const char *only = ""; // argv[1]: measure only what has this in its name

static double measure(const char *what, void (*work)(state_t *), state_t *s, double against) {
    if (!strstr(what, only)) return 0;
    double best = 1e18;
    for (int repeat = 0; repeat < REPEATS; repeat++) {
        int64_t start = clock_monotonic_us();
        for (int i = 0; i < ROUNDS; i++) {
            work(s);
            arena_clear(&s->arena);
        }
        double each = (double)(clock_monotonic_us() - start) * 1000 / ROUNDS;
        if (each < best) best = each;
    }
    printf("%-28s %8.2f us", what, best / 1000);
    if (against > 0) printf("   %5.2f x", best / against);
    putchar('\n');
    return best;
}

int main(int argc, char **argv) {
    if (argc > 1) only = argv[1];
    arena_t keep = {0};
    state_t s = {0};
    why_t why;
    err_t err = json_read_object(&keep, POD, sizeof POD - 1, true, &s.kind, &s.pod, &why);
    if (err) return fprintf(stderr, "%s\n", why.text), 1;
    s.packed = msg_pack(&keep, s.pod);
    write_json(&s);
    printf("one pod: JSON %zu bytes, packed %zu bytes\n", s.text.len, s.packed.len);
    double base_read = 0, base_write = 0;
#ifdef HAVE_JANSSON
    jansson_tree = json_loadb(POD, sizeof POD - 1, 0, NULL);
    base_read = measure("jansson parse", jansson_read, &s, 0);
    base_write = measure("jansson dump", jansson_write, &s, 0);
#endif
    measure("JSON -> message", read_json, &s, base_read);
    measure("message -> JSON", write_json, &s, base_write);
    measure("message -> YAML, sorted", print_yaml, &s, 0);
    double packing = measure("pack, canonical", pack, &s, 0);
    measure("unpack, scanned", unpack, &s, packing);
    measure("unpack, our own bytes", unpack_own, &s, packing);
    measure("copy", dup, &s, packing);
    measure("packed size", equal, &s, packing);
#ifdef HAVE_JANSSON
    json_decref(jansson_tree);
#endif
    text_done(&s.text);
    arena_done(&s.arena);
    arena_done(&keep);
    return 0;
}
