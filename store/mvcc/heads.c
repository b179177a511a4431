#include "store/mvcc/heads.h"
#include "runtime/base/hash.h"

static_assert((HEADS_SLOTS_MIN & (HEADS_SLOTS_MIN - 1)) == 0 &&
                  (HEADS_SLOTS_MAX & (HEADS_SLOTS_MAX - 1)) == 0 &&
                  HEADS_PROBES_MAX < HEADS_SLOTS_MIN / 4,
              "slots are found by masking, and some are always free");

// A checksum keeps the likeness of like keys; mixed (MurmurHash3's finalizer), runs stay short.
static uint32_t hash_of(bytes_t key) {
    uint32_t hash = hash_crc32c(0, key.at, key.len);
    hash = (hash ^ hash >> 16) * 0x85ebca6b;
    hash = (hash ^ hash >> 13) * 0xc2b2ae35;
    return hash ^ hash >> 16;
}

static bool holds(const heads_slot_t *slot, uint32_t hash, bytes_t key) {
    return slot->hash == hash && bytes_eq(heads_entry_key(slot->entry), key);
}

// Where the key is, else the free slot that ends its run; NULL: neither within the limit.
static heads_slot_t *find(const heads_t *heads, uint32_t hash, bytes_t key) {
    for (size_t i = 0; i < HEADS_PROBES_MAX; i++) {
        heads_slot_t *slot = &heads->slots[(hash + i) & (heads->len - 1)];
        if (!slot->entry || holds(slot, hash, key)) return slot;
    }
    return NULL;
}

bool heads_get(const heads_t *heads, bytes_t key, head_t *ret_head) {
    if (!heads->slots) return false;
    heads_slot_t *slot = find(heads, hash_of(key), key);
    if (!slot || !slot->entry) return false;
    *ret_head = slot->entry->head;
    return true;
}

// Not whole any more.
static void lose(heads_t *heads) {
    heads->has_lost = true;
    order_done(&heads->order);
}

// Its slot, or one for a newcomer: a free one, or, in a run too long, somebody else's.
static heads_slot_t *slot_for(heads_t *heads, uint32_t hash, bytes_t key) {
    heads_slot_t *slot = find(heads, hash, key);
    if (slot) return slot;
    lose(heads);
    return &heads->slots[hash & (heads->len - 1)];
}

static void grow(heads_t *heads) {
    heads_t larger = {.len = heads->len ? heads->len * 2 : HEADS_SLOTS_MIN,
                      .has_lost = heads->has_lost,
                      .order = heads->order};
    larger.slots = mem_new(larger.len * sizeof *larger.slots);
    for (size_t i = 0; i < heads->len; i++) {
        heads_slot_t *from = &heads->slots[i];
        if (!from->entry) continue;
        bytes_t key = heads_entry_key(from->entry);
        heads_slot_t *to = slot_for(&larger, from->hash, key);
        larger.used += to->entry == NULL;
        free(to->entry);
        *to = *from;
    }
    free(heads->slots);
    *heads = larger;
}

// Those behind the gap that could not be found any more move up (Knuth, volume 3, 6.4, algorithm
// R).
static void empty_slot(heads_t *heads, size_t gap) {
    free(heads->slots[gap].entry);
    heads->used--;
    size_t mask = heads->len - 1;
    for (size_t at = (gap + 1) & mask; heads->slots[at].entry; at = (at + 1) & mask) {
        size_t home = heads->slots[at].hash & mask;
        if (((at - home) & mask) < ((at - gap) & mask)) continue; // found from its home without gap
        heads->slots[gap] = heads->slots[at];
        gap = at;
    }
    heads->slots[gap] = (heads_slot_t){0};
}

// Room for one more: a larger table, or at the limit somebody goes, all in turn.
static void make_room(heads_t *heads) {
    if (heads->used < heads->len / 2) return;
    if (heads->len < HEADS_SLOTS_MAX) {
        grow(heads);
        return;
    }
    lose(heads);
    while (!heads->slots[heads->hand].entry) heads->hand = (heads->hand + 1) & (heads->len - 1);
    empty_slot(heads, heads->hand);
}

void heads_put(heads_t *heads, bytes_t key, const head_t *head) {
    if (key.len > HEADS_KEY_BYTES_MAX) {
        lose(heads);
        return;
    }
    uint32_t hash = hash_of(key);
    heads_slot_t *slot = heads->slots ? find(heads, hash, key) : NULL;
    if (slot && slot->entry) {
        slot->entry->head = *head;
        return;
    }
    make_room(heads);
    slot = slot_for(heads, hash, key);
    heads->used += slot->entry == NULL;
    slot->entry = mem_resize(slot->entry, sizeof *slot->entry + key.len);
    slot->hash = hash;
    slot->entry->head = *head;
    slot->entry->len = (uint32_t)key.len;
    if (key.len) memcpy(slot->entry->key, key.at, key.len);
    if (!heads->has_lost) order_put(&heads->order, slot->entry);
}

void heads_remove(heads_t *heads, bytes_t key) {
    heads_slot_t *slot = heads->slots ? find(heads, hash_of(key), key) : NULL;
    if (!slot || !slot->entry) return;
    if (!heads->has_lost) order_remove(&heads->order, key);
    empty_slot(heads, (size_t)(slot - heads->slots));
}

void heads_done(heads_t *heads) {
    for (size_t i = 0; i < heads->len; i++) free(heads->slots[i].entry);
    free(heads->slots);
    order_done(&heads->order);
    memset(heads, 0, sizeof *heads);
}
