#include "store/mvcc/order.h"

// ---- finding ------------------------------------------------------------------------------------
// How many of the chunk's keys are less than `key`.
static size_t less_in(const order_chunk_t *chunk, bytes_t key) {
    size_t low = 0, high = chunk->len;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (bytes_cmp(heads_entry_key(chunk->at[middle]), key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

// The last chunk that begins at or before `key`, or the first one.
static size_t chunk_for(const order_t *order, bytes_t key) {
    size_t low = 0, high = order->chunks.len;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (bytes_cmp(heads_entry_key(order->chunks.at[middle].at[0]), key) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low ? low - 1 : 0;
}

order_place_t order_seek(const order_t *order, bytes_t key) {
    order_place_t place = {.chunk = chunk_for(order, key)};
    if (place.chunk == order->chunks.len) return place;
    place.at = less_in(&order->chunks.at[place.chunk], key);
    if (place.at == order->chunks.at[place.chunk].len) place = (order_place_t){place.chunk + 1, 0};
    return place;
}

const heads_entry_t *order_at(const order_t *order, order_place_t place) {
    return place.chunk < order->chunks.len ? order->chunks.at[place.chunk].at[place.at] : NULL;
}

order_place_t order_next(const order_t *order, order_place_t place) {
    assert(place.chunk < order->chunks.len);
    if (++place.at == order->chunks.at[place.chunk].len)
        place = (order_place_t){place.chunk + 1, 0};
    return place;
}

static size_t rank(const order_t *order, order_place_t place) {
    size_t sum = place.at;
    for (size_t i = 0; i < place.chunk; i++) sum += order->chunks.at[i].len;
    return sum;
}

size_t order_count(const order_t *order, bytes_t from, bytes_t end) {
    bool is_open = end.len == 1 && end.at[0] == 0;
    order_place_t last = {.chunk = order->chunks.len};
    if (!is_open) last = order_seek(order, end);
    size_t before = rank(order, order_seek(order, from)), upto = rank(order, last);
    return upto > before ? upto - before : 0;
}

// ---- changing -----------------------------------------------------------------------------------
static void insert_chunk(order_t *order, size_t index, const heads_entry_t *const *from,
                         size_t len) {
    order_chunk_t chunk = {mem_new(ORDER_CHUNK_MAX * sizeof *chunk.at), len};
    memcpy(chunk.at, from, len * sizeof *from);
    vec_insert(&order->chunks, index, chunk);
}

void order_put(order_t *order, const heads_entry_t *entry) {
    bytes_t key = heads_entry_key(entry);
    if (order->chunks.len == 0) {
        insert_chunk(order, 0, &entry, 1);
        return;
    }
    size_t index = chunk_for(order, key);
    order_chunk_t *chunk = &order->chunks.at[index];
    size_t at = less_in(chunk, key);
    assert(at == chunk->len || !bytes_eq(heads_entry_key(chunk->at[at]), key));
    if (chunk->len == ORDER_CHUNK_MAX && at == chunk->len) { // ascending keys fill whole chunks
        insert_chunk(order, index + 1, &entry, 1);
        return;
    }
    if (chunk->len == ORDER_CHUNK_MAX) {
        chunk->len = ORDER_CHUNK_MAX / 2;
        insert_chunk(order, index + 1, chunk->at + chunk->len, ORDER_CHUNK_MAX - chunk->len);
        if (at > ORDER_CHUNK_MAX / 2) at -= ORDER_CHUNK_MAX / 2, index++;
        chunk = &order->chunks.at[index];
    }
    memmove(chunk->at + at + 1, chunk->at + at, (chunk->len - at) * sizeof *chunk->at);
    chunk->at[at] = entry;
    chunk->len++;
}

static void remove_chunk(order_t *order, size_t index) {
    free(order->chunks.at[index].at);
    vec_remove(&order->chunks, index);
}

// Two neighbours that have become small are one.
static void merge(order_t *order, size_t index) {
    order_chunk_t *chunk = &order->chunks.at[index], *next = chunk + 1;
    if (index + 1 >= order->chunks.len || chunk->len + next->len > ORDER_CHUNK_MAX / 2) return;
    memcpy(chunk->at + chunk->len, next->at, next->len * sizeof *next->at);
    chunk->len += next->len;
    remove_chunk(order, index + 1);
}

void order_remove(order_t *order, bytes_t key) {
    order_place_t place = order_seek(order, key);
    assert(order_at(order, place) && bytes_eq(heads_entry_key(order_at(order, place)), key));
    order_chunk_t *chunk = &order->chunks.at[place.chunk];
    chunk->len--;
    memmove(chunk->at + place.at, chunk->at + place.at + 1,
            (chunk->len - place.at) * sizeof *chunk->at);
    if (chunk->len == 0)
        remove_chunk(order, place.chunk);
    else
        merge(order, place.chunk);
}

void order_done(order_t *order) {
    for (size_t i = 0; i < order->chunks.len; i++) free(order->chunks.at[i].at);
    vec_done(&order->chunks);
}
