// Requests with any body, on a present object or none: refused, answered, or a whole object to be
// written that can be read back. First four bytes: verb, kind, subresource, what is there.
#include "actors/apiserver/request.h"
#include "runtime/api/codec.h"
#include <string.h>

static const char *const subresources[] = {"",      "",        "",         "status",
                                           "scale", "binding", "eviction", "finalize"};
// What stands in the store, of every kind that has more rules than the plain ones.
static const char *const present[] = {
    "{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"x\",\"namespace\":"
    "\"default\",\"uid\":\"u\"},"
    "\"spec\":{\"nodeName\":\"n\",\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]},\"status\":{"
    "\"phase\":\"Running\"}}",
    "{\"kind\":\"Service\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"x\",\"namespace\":"
    "\"default\"},\"spec\":"
    "{\"type\":\"NodePort\",\"clusterIP\":\"10.96.0.7\",\"ports\":[{\"port\":80,\"nodePort\":30001}"
    "]}}",
    "{\"kind\":\"Deployment\",\"apiVersion\":\"apps/"
    "v1\",\"metadata\":{\"name\":\"x\",\"namespace\":\"default\"},\"spec\":"
    "{\"selector\":{\"matchLabels\":{\"a\":\"b\"}},\"template\":{\"metadata\":{\"labels\":{\"a\":"
    "\"b\"}},\"spec\":"
    "{\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}}}",
    "{\"kind\":\"Namespace\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"x\"},\"spec\":{"
    "\"finalizers\":[\"kubernetes\"]}}",
};

static void make_present(arena_t *a, const kind_t *stored, present_t *ret) {
    for (size_t i = 0; i < LENGTH_OF(present); i++) {
        const kind_t *k;
        why_t why;
        err_t err = json_read_object(a, present[i], strlen(present[i]), true, &k, &ret->obj, &why);
        assert(err == ERR_OK);
        ret->exists = k == stored;
        if (ret->exists) break;
    }
    if (!ret->exists) { // another kind: the least that can stand there
        ret->obj = msg_new(a, stored->type);
        object_meta(a, ret->obj)->name = "x";
        ret->exists = true;
    }
    ret->revision = 7;
    object_meta(a, ret->obj)->resourceversion = "7";
}

static const ProtobufCMessage *make_body(arena_t *a, uint8_t verb, Api__Resource *r,
                                         ProtobufCBinaryData data) {
    switch (verb % 8) {
    case 0:
    case 1: {
        Api__Create *create = MSG_NEW(a, Api__Create, api__create__descriptor);
        create->resource = r;
        create->object = data;
        return &create->base;
    }
    case 2:
    case 3: {
        Api__Update *update = MSG_NEW(a, Api__Update, api__update__descriptor);
        update->resource = r;
        update->object = data;
        return &update->base;
    }
    case 4: {
        Api__Delete *delete = MSG_NEW(a, Api__Delete, api__delete__descriptor);
        delete->resource = r;
        delete->has_grace = data.len > 0;
        delete->grace_seconds = data.len > 0 ? (int8_t)data.data[0] : 0;
        return &delete->base;
    }
    default: {
        Api__Patch *patch = MSG_NEW(a, Api__Patch, api__patch__descriptor);
        patch->resource = r;
        patch->type = (Api__Patch__Type)(verb % 4);
        patch->patch = data;
        return &patch->base;
    }
    }
}

static void decide(arena_t *a, request_t *r, const present_t *there) {
    allocs_t allocs = {0};
    world_t world = {.now_wall_ms = 1767225600000, .ns = {true, false, 3}, .allocs = &allocs};
    why_t why;
    err_t err = alloc_ranges_parse("10.96.0.0/16", "30000-32767", &world.ranges, &why);
    assert(err == ERR_OK);
    decision_t d = {0};
    request_decide(a, r, there, &world, &d);
    if (d.kind == DECISION_WRITE) assert(object_decode_stored(a, r->stored, blob_bytes(d.value)));
    if (d.kind != DECISION_FAIL) {
        const kind_t *k;
        const ProtobufCMessage *answer = request_answer(a, r, d.obj, &k);
        assert(answer->descriptor == k->type);
    }
    blob_unref(&d.value);
    allocs_done(&allocs);
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len) {
    if (len < 4) return 0;
    size_t kinds = 0;
    while (kind_at(kinds)) kinds++;
    const kind_t *k = kind_at(at[1] % kinds);
    arena_t a = {0};
    Api__Resource r = API__RESOURCE__INIT;
    r.group = (char *)k->group;
    r.version = (char *)k->version;
    r.plural = (char *)k->plural;
    r.namespace_ = k->namespaced ? "default" : "";
    r.name = "x";
    r.subresource = (char *)subresources[at[2] % LENGTH_OF(subresources)];
    const ProtobufCMessage *body =
        make_body(&a, at[0], &r, (ProtobufCBinaryData){len - 4, (uint8_t *)at + 4});
    identity_t who = rights_identify(&a, at[3] & 2 ? "kubelet/x" : "cli/x", NULL);
    request_t request;
    Meta__Status *status = request_read(&a, body, &who, &request);
    if (!status) status = request_name(&a, &request);
    present_t there = {.is_fresh = true};
    if (!status && at[3] & 1) make_present(&a, request.stored, &there);
    if (!status) decide(&a, &request, &there);
    arena_done(&a);
    return 0;
}
