// JSON -> message -> JSON: what was read is written as text that reads back as the same message,
// and its packed form says the same. The first byte chooses the type.
#include "k8s/apps_v1.pb-c.h"
#include "k8s/core_v1.pb-c.h"
#include "runtime/api/codec.h"

static const ProtobufCMessageDescriptor *const TYPES[] = {
    &core__pod__descriptor,    &apps__deployment__descriptor, &core__service__descriptor,
    &core__secret__descriptor, &core__event__descriptor,      &core__node__descriptor,
    &meta__status__descriptor, &core__list__descriptor,       &core__persistent_volume__descriptor,
};

static void check_round_trip(arena_t *a, const ProtobufCMessage *msg) {
    text_t json = {.arena = a};
    json_write_msg(msg, &json);
    void *again = NULL;
    why_t why = {0};
    err_t err = json_read_msg(a, msg->descriptor, json.at, json.len, true, &again, &why);
    if (err == ERR_TOO_LARGE) return; // escapes may push a text over the limit
    assert(err == ERR_OK);
    assert(msg_equal(msg, again));
    void *unpacked = NULL;
    err = msg_unpack(a, msg->descriptor, msg_pack(a, msg), &unpacked, &why);
    assert(err == ERR_OK || err == ERR_TOO_LARGE);
    assert(err || msg_equal(msg, unpacked));
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len) {
    if (len == 0) return 0;
    arena_t a = {0};
    void *msg = NULL;
    why_t why;
    const ProtobufCMessageDescriptor *type = TYPES[at[0] % LENGTH_OF(TYPES)];
    err_t err = json_read_msg(&a, type, (const char *)at + 1, len - 1, at[0] & 0x80, &msg, &why);
    if (err == ERR_OK) check_round_trip(&a, msg);
    arena_done(&a);
    return 0;
}
