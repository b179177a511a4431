// heads - the newest state of keys in memory, so that a transaction needs no look-up in the kv:
// there it is a seek through every level, as dear as all the rest of a put.
//
// A hash table, open addressing, that grows with what is put until HEADS_SLOTS_MAX. While it has
// room for every key its owner puts, it is whole: what it does not know does not exist, so that a
// create is not looked up either. Past that a newcomer takes another's place, and it is a cache.
// While it is whole it keeps the keys in order, too, and ranges are walked and counted here.
// Holds only what is committed; the owner puts each change as it is committed.
#pragma once
#include "store/mvcc/order.h"

enum {
    HEADS_SLOTS_MIN = 1024,
    HEADS_SLOTS_MAX = 256 * 1024, // half of them used: 131,000 keys, 20 MiB with keys of 60 bytes
    HEADS_PROBES_MAX = 128,       // keys chosen to collide cost no more than this
    HEADS_KEY_BYTES_MAX = 256,    // longer ones are not kept
};

typedef struct {
    uint32_t hash;
    heads_entry_t *entry; // owned; NULL: empty
} heads_slot_t;
typedef struct {
    heads_slot_t *slots; // owned; NULL: nothing was put yet
    size_t len;          // a power of two
    size_t used;
    size_t hand;   // who goes next, when somebody must
    bool has_lost; // something was put that is no longer there: not whole
    order_t order; // of all keys, while it is whole; then empty
} heads_t;

bool heads_get(const heads_t *heads, bytes_t key, head_t *ret_head);
void heads_put(heads_t *heads, bytes_t key, const head_t *head);
void heads_remove(heads_t *heads, bytes_t key);
void heads_done(heads_t *heads);
