#include "store/mvcc/heads.h"
#include "runtime/base/hash.h"

struct heads_entry {
    head_t head;
    uint32_t len;
    uint8_t key[];
};
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
    return slot->hash == hash && bytes_eq((bytes_t){slot->entry->key, slot->entry->len}, key);
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

// Its slot, or one for a newcomer: a free one, or, in a run too long, somebody else's.
static heads_slot_t *slot_for(heads_t *heads, uint32_t hash, bytes_t key) {
    heads_slot_t *slot = find(heads, hash, key);
    if (slot) return slot;
    heads->has_lost = true;
    return &heads->slots[hash & (heads->len - 1)];
}

static void grow(heads_t *heads) {
    heads_t larger = {.len = heads->len ? heads->len * 2 : HEADS_SLOTS_MIN,
                      .has_lost = heads->has_lost};
    larger.slots = mem_new(larger.len * sizeof *larger.slots);
    for (size_t i = 0; i < heads->len; i++) {
        heads_slot_t *from = &heads->slots[i];
        if (!from->entry) continue;
        bytes_t key = {from->entry->key, from->entry->len};
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
    heads->has_lost = true;
    while (!heads->slots[heads->hand].entry) heads->hand = (heads->hand + 1) & (heads->len - 1);
    empty_slot(heads, heads->hand);
}

void heads_put(heads_t *heads, bytes_t key, const head_t *head) {
    if (key.len > HEADS_KEY_BYTES_MAX) {
        heads->has_lost = true;
        return;
    }
    uint32_t hash = hash_of(key);
    heads_slot_t *slot = heads->slots ? find(heads, hash, key) : NULL;
    if (!slot || !slot->entry) {
        make_room(heads);
        slot = slot_for(heads, hash, key);
        heads->used += slot->entry == NULL;
    }
    if (!slot->entry || slot->entry->len != key.len)
        slot->entry = mem_resize(slot->entry, sizeof *slot->entry + key.len);
    slot->hash = hash;
    slot->entry->head = *head;
    slot->entry->len = (uint32_t)key.len;
    if (key.len) memcpy(slot->entry->key, key.at, key.len);
}

void heads_remove(heads_t *heads, bytes_t key) {
    heads_slot_t *slot = heads->slots ? find(heads, hash_of(key), key) : NULL;
    if (slot && slot->entry) empty_slot(heads, (size_t)(slot - heads->slots));
}

size_t heads_count(const heads_t *heads, bytes_t from, bytes_t end) {
    assert(!heads->has_lost);
    bool is_open = end.len == 1 && end.at[0] == 0;
    size_t count = 0;
    for (size_t i = 0; i < heads->len; i++) {
        const heads_entry_t *entry = heads->slots[i].entry;
        if (!entry || entry->head.deleted) continue;
        bytes_t key = {entry->key, entry->len};
        count += bytes_cmp(key, from) >= 0 && (is_open || bytes_cmp(key, end) < 0);
    }
    return count;
}

void heads_done(heads_t *heads) {
    for (size_t i = 0; i < heads->len; i++) free(heads->slots[i].entry);
    free(heads->slots);
    memset(heads, 0, sizeof *heads);
}
