// heads - a cache of the newest state of keys, so that a transaction looks its keys up in memory
// and not in the kv: there a look-up is a seek through every level, as dear as all the rest of a
// put.
//
// A hash table of buckets of eight. It grows with what is put until HEADS_SLOTS_MAX; from then on a
// newcomer takes another's place in its bucket. Also knows keys that do not exist (all zeros).
// Holds only what is committed; the owner puts each change as it is committed.
#pragma once
#include "store/mvcc/keys.h"

enum {
    HEADS_SLOTS_MIN = 1024,
    HEADS_SLOTS_MAX = 128 * 1024, // about 15 MiB with keys of 60 bytes, when full
    HEADS_BUCKET = 8,
    HEADS_KEY_BYTES_MAX = 256, // longer ones are not kept
};

typedef struct heads_entry heads_entry_t;
typedef struct {
    uint32_t hash;
    heads_entry_t *entry; // owned; NULL: empty
} heads_slot_t;
typedef struct {
    heads_slot_t *slots; // owned; NULL: nothing was put yet
    size_t len;          // a power of two
} heads_t;

bool heads_get(const heads_t *heads, bytes_t key, head_t *ret_head);
void heads_put(heads_t *heads, bytes_t key, const head_t *head);
void heads_done(heads_t *heads);
