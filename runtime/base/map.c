#include "runtime/base/map.h"
#include "runtime/base/hash.h"

// Both maps are open-addressed with linear probing, at most 3/4 full. A removed slot becomes a
// tombstone (value NULL, key kept marked) until the next growth sweeps it out.
enum { CAP_MIN = 16 };

struct map_slot {
    char *key; // owned; NULL: never used. TOMB: removed
    uint64_t hash;
    void *value;
};
struct imap_slot {
    uint64_t key;
    uint8_t state; // 0 never used, 1 taken, 2 removed
    void *value;
};
static char tomb_mark;
#define TOMB (&tomb_mark)

// ---- string keys --------------------------------------------------------------------------------

static map_slot_t *find(const map_t *m, const char *key, size_t len, uint64_t hash) {
    if (!m->cap) return NULL;
    for (size_t i = hash & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
        map_slot_t *slot = &m->slots[i];
        if (!slot->key) return NULL;
        if (slot->key != TOMB && slot->hash == hash && strncmp(slot->key, key, len) == 0 &&
            slot->key[len] == 0)
            return slot;
    }
}

static void place(map_t *m, map_slot_t filled) {
    for (size_t i = filled.hash & (m->cap - 1);; i = (i + 1) & (m->cap - 1))
        if (!m->slots[i].key) {
            m->slots[i] = filled;
            m->used++;
            return;
        }
}

static void grow(map_t *m) {
    if (m->cap && m->used + 1 <= m->cap / 4 * 3) return;
    map_t bigger = {.len = m->len,
                    .cap = m->cap ? (m->len * 2 >= m->cap ? m->cap * 2 : m->cap) : CAP_MIN};
    bigger.slots = mem_new(bigger.cap * sizeof *bigger.slots);
    for (size_t i = 0; i < m->cap; i++)
        if (m->slots[i].key && m->slots[i].key != TOMB) place(&bigger, m->slots[i]);
    free(m->slots);
    *m = bigger;
}

void *map_get_n(const map_t *m, const char *key, size_t len) {
    map_slot_t *slot = find(m, key, len, hash_fnv64a(key, len));
    return slot ? slot->value : NULL;
}

void *map_get(const map_t *m, const char *key) { return map_get_n(m, key, strlen(key)); }

void *map_put(map_t *m, const char *key, void *value) {
    assert(value);
    size_t len = strlen(key);
    uint64_t hash = hash_fnv64a(key, len);
    map_slot_t *slot = find(m, key, len, hash);
    if (slot) {
        void *old = slot->value;
        slot->value = value;
        return old;
    }
    grow(m);
    place(m, (map_slot_t){str_dup_n(key, len), hash, value});
    m->len++;
    return NULL;
}

void *map_remove(map_t *m, const char *key) {
    size_t len = strlen(key);
    map_slot_t *slot = find(m, key, len, hash_fnv64a(key, len));
    if (!slot) return NULL;
    void *old = slot->value;
    free(slot->key);
    *slot = (map_slot_t){.key = TOMB};
    m->len--;
    return old;
}

void map_done(map_t *m) {
    for (size_t i = 0; i < m->cap; i++)
        if (m->slots[i].key != TOMB) free(m->slots[i].key);
    free(m->slots);
    *m = (map_t){0};
}

bool map_next(const map_t *m, size_t *at, const char **ret_key, void **ret_value) {
    for (; *at < m->cap; (*at)++) {
        const map_slot_t *slot = &m->slots[*at];
        if (!slot->key || slot->key == TOMB) continue;
        if (ret_key) *ret_key = slot->key;
        if (ret_value) *ret_value = slot->value;
        (*at)++;
        return true;
    }
    return false;
}

static int key_order(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

const char **map_sorted_keys(const map_t *m) {
    const char **keys = mem_new((m->len + 1) * sizeof *keys);
    size_t at = 0, len = 0;
    while (map_next(m, &at, &keys[len], NULL)) len++;
    qsort(keys, len, sizeof *keys, key_order);
    return keys;
}

// ---- number keys --------------------------------------------------------------------------------

// Numbers are often consecutive: spread them (the finaliser of splitmix64).
static uint64_t mix(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

static imap_slot_t *ifind(const imap_t *m, uint64_t key) {
    if (!m->cap) return NULL;
    for (size_t i = mix(key) & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
        imap_slot_t *slot = &m->slots[i];
        if (slot->state == 0) return NULL;
        if (slot->state == 1 && slot->key == key) return slot;
    }
}

static void iplace(imap_t *m, uint64_t key, void *value) {
    for (size_t i = mix(key) & (m->cap - 1);; i = (i + 1) & (m->cap - 1))
        if (m->slots[i].state == 0) {
            m->slots[i] = (imap_slot_t){key, 1, value};
            m->used++;
            return;
        }
}

void *imap_get(const imap_t *m, uint64_t key) {
    imap_slot_t *slot = ifind(m, key);
    return slot ? slot->value : NULL;
}

void *imap_put(imap_t *m, uint64_t key, void *value) {
    assert(value);
    imap_slot_t *slot = ifind(m, key);
    if (slot) {
        void *old = slot->value;
        slot->value = value;
        return old;
    }
    if (!m->cap || m->used + 1 > m->cap / 4 * 3) {
        imap_t bigger = {.len = m->len,
                         .cap = m->cap ? (m->len * 2 >= m->cap ? m->cap * 2 : m->cap) : CAP_MIN};
        bigger.slots = mem_new(bigger.cap * sizeof *bigger.slots);
        for (size_t i = 0; i < m->cap; i++)
            if (m->slots[i].state == 1) iplace(&bigger, m->slots[i].key, m->slots[i].value);
        free(m->slots);
        *m = bigger;
    }
    iplace(m, key, value);
    m->len++;
    return NULL;
}

void *imap_remove(imap_t *m, uint64_t key) {
    imap_slot_t *slot = ifind(m, key);
    if (!slot) return NULL;
    void *old = slot->value;
    *slot = (imap_slot_t){.state = 2};
    m->len--;
    return old;
}

void imap_done(imap_t *m) {
    free(m->slots);
    *m = (imap_t){0};
}

bool imap_next(const imap_t *m, size_t *at, uint64_t *ret_key, void **ret_value) {
    for (; *at < m->cap; (*at)++) {
        const imap_slot_t *slot = &m->slots[*at];
        if (slot->state != 1) continue;
        if (ret_key) *ret_key = slot->key;
        if (ret_value) *ret_value = slot->value;
        (*at)++;
        return true;
    }
    return false;
}
