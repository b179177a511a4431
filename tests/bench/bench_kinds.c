// What the API server spends on one pod beside reading and storing it: defaults, preparation and
// validation; then the stored form, and a line of `get`.
#include "runtime/api/codec.h"
#include "runtime/api/table.h"
#include "runtime/base/clock.h"

enum { ROUNDS = 50000 };
#define NOW 1700000000000

static const char POD[] =
    "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"web-7c79c4bf97-4x2vq\","
    "\"namespace\":\"default\",\"labels\":{\"app\":\"web\",\"pod-template-hash\":\"7c79c4bf97\"},"
    "\"ownerReferences\":[{\"apiVersion\":\"apps/v1\",\"kind\":\"ReplicaSet\",\"name\":\"web\","
    "\"uid\":\"7f4de2a6\",\"controller\":true}]},\"spec\":{\"volumes\":[{\"name\":\"html\","
    "\"configMap\":{\"name\":\"html\"}},{\"name\":\"cache\",\"emptyDir\":{}}],\"containers\":[{"
    "\"name\":\"nginx\",\"image\":\"nginx:1.25\",\"ports\":[{\"name\":\"http\",\"containerPort\":"
    "80}],\"env\":[{\"name\":\"MODE\",\"value\":\"production\"},{\"name\":\"NODE\",\"valueFrom\":{"
    "\"fieldRef\":{\"fieldPath\":\"spec.nodeName\"}}}],\"resources\":{\"limits\":{\"cpu\":\"500m\","
    "\"memory\":\"128Mi\"},\"requests\":{\"cpu\":\"100m\"}},\"volumeMounts\":[{\"name\":\"html\","
    "\"mountPath\":\"/usr/share/nginx/html\"},{\"name\":\"cache\",\"mountPath\":\"/var/cache\"}],"
    "\"livenessProbe\":{\"httpGet\":{\"path\":\"/healthz\",\"port\":\"http\"}}}]}}";

typedef struct {
    arena_t *arena;
    const kind_t *kind;
    const ProtobufCMessage *given, *whole;
} bench_t;
typedef void step_fn(bench_t *b);

static void dup_only(bench_t *b) {
    if (!msg_dup(b->arena, b->given)) abort();
}

static void admit(bench_t *b) {
    ProtobufCMessage *obj = msg_dup(b->arena, b->given);
    field_errors_t errors = {.arena = b->arena};
    b->kind->defaults(b->arena, obj);
    b->kind->prepare_create(b->arena, obj);
    b->kind->validate(obj, NULL, &errors);
    if (errors.len) abort();
}

static void validate_only(bench_t *b) {
    field_errors_t errors = {.arena = b->arena};
    b->kind->validate(b->whole, NULL, &errors);
    if (errors.len) abort();
}

static void encode(bench_t *b) {
    blob_t *blob = object_encode_stored(b->whole);
    blob_unref(&blob);
}

static void line(bench_t *b) {
    text_t out = {.arena = b->arena};
    table_print(b->arena, b->kind, &b->whole, 1, NOW, &(table_options_t){.wide = true}, &out);
}

static void measure(bench_t *b, const char *what, step_fn *step) {
    arena_t round = {0};
    arena_t *kept = b->arena;
    b->arena = &round;
    int64_t start_us = clock_monotonic_us();
    for (int i = 0; i < ROUNDS; i++) {
        step(b);
        arena_clear(&round);
    }
    double us = (double)(clock_monotonic_us() - start_us) / ROUNDS;
    printf("%-42s %7.2f us\n", what, us);
    arena_done(&round);
    b->arena = kept;
}

int main(void) {
    arena_t arena = {0};
    bench_t b = {.arena = &arena};
    ProtobufCMessage *given;
    why_t why;
    if (json_read_object(&arena, POD, sizeof POD - 1, true, &b.kind, &given, &why)) {
        fprintf(stderr, "%s\n", why.text);
        return 1;
    }
    b.given = given;
    ProtobufCMessage *whole = msg_dup(&arena, given);
    b.kind->defaults(&arena, whole);
    b.kind->prepare_create(&arena, whole);
    b.whole = whole;
    measure(&b, "deep copy", dup_only);
    measure(&b, "deep copy, defaults, prepare, validate", admit);
    measure(&b, "validate", validate_only);
    measure(&b, "stored form", encode);
    measure(&b, "one line of get -o wide, with its header", line);
    arena_done(&arena);
    return 0;
}
