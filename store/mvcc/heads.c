#include "store/mvcc/heads.h"
#include "runtime/base/hash.h"

struct heads_entry {
    head_t head;
    uint32_t len;
    uint8_t key[];
};
static_assert((HEADS_SLOTS_MIN & (HEADS_SLOTS_MIN - 1)) == 0 && HEADS_SLOTS_MIN >= HEADS_BUCKET &&
                  (HEADS_SLOTS_MAX & (HEADS_SLOTS_MAX - 1)) == 0,
              "a bucket is found by masking");

static heads_slot_t *bucket_of(const heads_t *heads, uint32_t hash) {
    return &heads->slots[hash & (heads->len - 1) & ~(size_t)(HEADS_BUCKET - 1)];
}

static bool holds(const heads_slot_t *slot, uint32_t hash, bytes_t key) {
    return slot->entry && slot->hash == hash &&
           bytes_eq((bytes_t){slot->entry->key, slot->entry->len}, key);
}

bool heads_get(const heads_t *heads, bytes_t key, head_t *ret_head) {
    if (!heads->slots) return false;
    uint32_t hash = hash_crc32c(0, key.at, key.len);
    heads_slot_t *bucket = bucket_of(heads, hash);
    for (size_t i = 0; i < HEADS_BUCKET; i++) {
        if (!holds(&bucket[i], hash, key)) continue;
        *ret_head = bucket[i].entry->head;
        return true;
    }
    return false;
}

// Every bucket becomes two.
static void grow(heads_t *heads) {
    heads_t larger = {.len = heads->len ? heads->len * 2 : HEADS_SLOTS_MIN};
    larger.slots = mem_new(larger.len * sizeof *larger.slots);
    for (size_t i = 0; i < heads->len; i++) {
        if (!heads->slots[i].entry) continue;
        heads_slot_t *slot = bucket_of(&larger, heads->slots[i].hash);
        while (slot->entry) slot++;
        *slot = heads->slots[i];
    }
    free(heads->slots);
    *heads = larger;
}

// Where the key is, or may be put: a free slot, or at the limit somebody else's.
static heads_slot_t *place_of(heads_t *heads, bytes_t key, uint32_t hash) {
    for (;;) {
        heads_slot_t *bucket = heads->slots ? bucket_of(heads, hash) : NULL, *room = NULL;
        for (size_t i = 0; bucket && i < HEADS_BUCKET; i++) {
            if (holds(&bucket[i], hash, key)) return &bucket[i];
            if (!room && !bucket[i].entry) room = &bucket[i];
        }
        if (room) return room;
        if (heads->len == HEADS_SLOTS_MAX) return &bucket[hash % 31 % HEADS_BUCKET];
        grow(heads);
    }
}

void heads_put(heads_t *heads, bytes_t key, const head_t *head) {
    if (key.len > HEADS_KEY_BYTES_MAX) return;
    uint32_t hash = hash_crc32c(0, key.at, key.len);
    heads_slot_t *slot = place_of(heads, key, hash);
    if (!slot->entry || slot->entry->len != key.len)
        slot->entry = mem_resize(slot->entry, sizeof *slot->entry + key.len);
    slot->hash = hash;
    slot->entry->head = *head;
    slot->entry->len = (uint32_t)key.len;
    if (key.len) memcpy(slot->entry->key, key.at, key.len);
}

void heads_done(heads_t *heads) {
    for (size_t i = 0; i < heads->len; i++) free(heads->slots[i].entry);
    free(heads->slots);
    memset(heads, 0, sizeof *heads);
}
