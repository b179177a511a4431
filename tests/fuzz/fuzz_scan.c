// Packed bytes of any kind: refused, or unpacked into a message that packs canonically.
#include "k8s/apps_v1.pb-c.h"
#include "k8s/core_v1.pb-c.h"
#include "runtime/api/codec.h"
#include "troupe/api.pb-c.h"

static const ProtobufCMessageDescriptor *const TYPES[] = {
    &core__pod__descriptor,   &apps__deployment__descriptor, &core__config_map__descriptor,
    &core__event__descriptor, &api__list_reply__descriptor,  &core__node__descriptor,
};

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len) {
    if (len == 0) return 0;
    arena_t a = {0};
    void *msg = NULL, *again = NULL;
    why_t why;
    const ProtobufCMessageDescriptor *type = TYPES[at[0] % LENGTH_OF(TYPES)];
    if (msg_unpack(&a, type, (bytes_t){at + 1, len - 1}, &msg, &why) == ERR_OK) {
        bytes_t packed = msg_pack(&a, msg);
        assert(packed.len == msg_packed_size(msg));
        err_t err = msg_unpack(&a, type, packed, &again, &why);
        assert(err == ERR_OK || err == ERR_TOO_LARGE);
        assert(err || msg_equal(msg, again));
        assert(err || bytes_eq(packed, msg_pack(&a, again)));
        assert(msg_equal(msg, msg_dup(&a, msg)));
        if (type != &api__list_reply__descriptor) {
            text_t json = {.arena = &a};
            json_write_msg(msg, &json);
        }
    }
    arena_done(&a);
    return 0;
}
