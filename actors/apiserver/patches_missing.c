// Stands in for runtime/api/patch.c until that is there; goes with its landing.
#include "runtime/api/patch.h"

#define MISSING __attribute__((weak))
MISSING err_t patch_strategic(arena_t *arena, const kind_t *k, const ProtobufCMessage *obj,
                              bytes_t patch_json, ProtobufCMessage **ret_obj, why_t *why) {
    return why_set(why, ERR_UNSUPPORTED, "patches are not built in");
}
MISSING err_t patch_merge(arena_t *arena, const kind_t *k, const ProtobufCMessage *obj,
                          bytes_t patch_json, ProtobufCMessage **ret_obj, why_t *why) {
    return why_set(why, ERR_UNSUPPORTED, "patches are not built in");
}
MISSING err_t patch_json(arena_t *arena, const kind_t *k, const ProtobufCMessage *obj,
                         bytes_t patch, ProtobufCMessage **ret_obj, why_t *why) {
    return why_set(why, ERR_UNSUPPORTED, "patches are not built in");
}
MISSING err_t patch_apply(arena_t *arena, const kind_t *k, const ProtobufCMessage *obj,
                          bytes_t last_json, bytes_t wanted_json, ProtobufCMessage **ret_obj,
                          why_t *why) {
    return why_set(why, ERR_UNSUPPORTED, "patches are not built in");
}
