#include "store/mvcc/heads.h"
#include "runtime/base/hash.h"

static size_t place_of(bytes_t key) { return hash_crc32c(0, key.at, key.len) % HEADS_SLOTS; }

bool heads_get(const heads_t *heads, bytes_t key, head_t *ret_head) {
    const heads_slot_t *slot = &heads->slots[place_of(key)];
    if (!slot->key || !bytes_eq((bytes_t){slot->key, slot->len}, key)) return false;
    *ret_head = slot->head;
    return true;
}

void heads_put(heads_t *heads, bytes_t key, const head_t *head) {
    if (key.len > HEADS_KEY_BYTES_MAX) return;
    heads_slot_t *slot = &heads->slots[place_of(key)];
    if (slot->cap < key.len + 1) {
        slot->cap = (uint32_t)key.len + 1;
        slot->key = mem_resize(slot->key, slot->cap);
    }
    if (key.len) memcpy(slot->key, key.at, key.len);
    slot->len = (uint32_t)key.len;
    slot->head = *head;
}

void heads_done(heads_t *heads) {
    for (size_t i = 0; i < HEADS_SLOTS; i++) free(heads->slots[i].key);
    memset(heads, 0, sizeof *heads);
}
