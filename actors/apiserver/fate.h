// fate - of a creation whose answer was lost: what the window of the watch cache says of it.
//
// A fresh read alone does not tell: an object that is not there was never made, or made and deleted
// since, and made again it would be another life of the same uid. The changes since the write was
// sent do tell, once the cache has come as far as the read. Pure.
#pragma once
#include "actors/apiserver/cache.h"

typedef enum {
    FATE_NOT_DONE, // up to the cache's revision
    FATE_DONE,
    FATE_UNKNOWN, // the window does not reach back that far
} fate_t;

bytes_t fate_uid(const blob_t *value); // of an object in stored form; at NULL: none

// `value`: what was to be made, in stored form; `after`: the cache's revision when it was first
// sent. FATE_DONE: at *ret_revision.
fate_t fate_of_creation(const kind_cache_t *kc, const char *path, const blob_t *value,
                        int64_t after, int64_t *ret_revision);
