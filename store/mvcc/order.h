// order - the keys that heads know, sorted: ranges are walked and counted in memory.
//
// A tree of two levels: a list of chunks, each a sorted array of pointers. 8 to 16 bytes a key;
// finding is two binary searches, putting moves half a chunk, counting adds up the lengths of the
// chunks in between (a thousand for 260,000 keys: a microsecond).
#pragma once
#include "runtime/base/vec.h"
#include "store/mvcc/keys.h"

enum { ORDER_CHUNK_MAX = 512 };

// A key and its newest state; of one allocation, whose place does not change.
typedef struct heads_entry {
    head_t head;
    uint32_t len;
    uint8_t key[];
} heads_entry_t;

typedef struct {
    const heads_entry_t **at; // owned array of ORDER_CHUNK_MAX; entries borrowed
    size_t len;               // > 0
} order_chunk_t;
typedef struct {
    VEC(order_chunk_t) chunks;
} order_t;

typedef struct {
    size_t chunk, at; // chunk == chunks.len: the end
} order_place_t;

static inline bytes_t heads_entry_key(const heads_entry_t *entry) {
    return (bytes_t){entry->key, entry->len};
}
// The first key at or behind `key`. A place holds until something is put or removed.
order_place_t order_seek(const order_t *order, bytes_t key);
const heads_entry_t *order_at(const order_t *order, order_place_t place); // NULL: the end
order_place_t order_next(const order_t *order, order_place_t place);
// How many keys lie in [from, end); end "\0": from `from` on.
size_t order_count(const order_t *order, bytes_t from, bytes_t end);

void order_put(order_t *order, const heads_entry_t *entry); // its key is not there yet
void order_remove(order_t *order, bytes_t key);             // it is there
void order_done(order_t *order);
