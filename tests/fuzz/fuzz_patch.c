// Patches of every sort on one object: refused, or a whole object again. First byte: the sort.
#include "runtime/api/codec.h"
#include "runtime/api/patch.h"

static const char OBJECT[] = "{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"p\","
                             "\"labels\":{\"a\":\"1\",\"b\":\"2\"},"
                             "\"finalizers\":[\"x\",\"y\"]},\"spec\":{\"containers\":[{\"name\":"
                             "\"a\",\"image\":\"i\",\"ports\":[{"
                             "\"containerPort\":80}],\"env\":[{\"name\":\"E\",\"value\":\"v\"}]},{"
                             "\"name\":\"b\"}],\"volumes\":[{\"name\":\"v\","
                             "\"emptyDir\":{}}],\"tolerations\":[{\"key\":\"k\"}]}}";

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len) {
    if (len == 0) return 0;
    arena_t a = {0};
    why_t why;
    const kind_t *k = NULL;
    ProtobufCMessage *obj = NULL, *got = NULL;
    err_t err = json_read_object(&a, OBJECT, sizeof OBJECT - 1, true, &k, &obj, &why);
    assert(err == ERR_OK);
    bytes_t patch = {at + 1, len - 1};
    switch (at[0] % 4) {
    case 0: err = patch_strategic(&a, k, obj, patch, &got, &why); break;
    case 1: err = patch_merge(&a, k, obj, patch, &got, &why); break;
    case 2: err = patch_json(&a, k, obj, patch, &got, &why); break;
    default: err = patch_apply(&a, k, obj, (bytes_t){0}, patch, &got, &why);
    }
    assert(err || got->descriptor == k->type);
    arena_done(&a);
    return 0;
}
