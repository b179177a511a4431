#include "actors/apiserver/fate.h"
#include "runtime/api/packed.h"

enum { OBJECT_METADATA = 1, METADATA_UID = 5 };

static bytes_t packed_uid(bytes_t packed) {
    return packed_at(packed_at(packed, OBJECT_METADATA), METADATA_UID);
}

bytes_t fate_uid(const blob_t *value) {
    return packed_uid(object_stored_packed(blob_bytes(value)));
}

fate_t fate_of_creation(const kind_cache_t *kc, const char *path, const blob_t *value,
                        int64_t after, int64_t *ret_revision) {
    bytes_t uid = fate_uid(value);
    if (kc->window_after > after) return FATE_UNKNOWN;
    for (size_t i = cache_first_after(kc, after); i < kc->window_len; i++) {
        const change_t *ch = cache_change(kc, i);
        if (ch->was || !streq(ch->now->path, path) || !uid.len ||
            !bytes_eq(packed_uid(blob_bytes(ch->now->blob)), uid))
            continue;
        *ret_revision = ch->revision;
        return FATE_DONE;
    }
    return FATE_NOT_DONE;
}
