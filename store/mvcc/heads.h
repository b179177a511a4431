// heads - a small cache of the newest state of keys, so that a transaction which compares a key and
// then writes it looks it up in the kv once, and one that is written again and again not at all.
//
// Direct-mapped: a key has one slot, and the newest there wins. Also knows keys that do not exist
// (all zeros). Holds only what is committed; the owner puts each change as it is committed.
#pragma once
#include "store/mvcc/keys.h"

enum {
    HEADS_SLOTS = 4096,        // about 0.6 MiB with keys of 60 bytes
    HEADS_KEY_BYTES_MAX = 256, // longer ones are not kept
};

typedef struct {
    uint8_t *key; // owned; NULL: empty
    uint32_t len, cap;
    head_t head;
} heads_slot_t;
typedef struct {
    heads_slot_t slots[HEADS_SLOTS];
} heads_t;

bool heads_get(const heads_t *heads, bytes_t key, head_t *ret_head);
void heads_put(heads_t *heads, bytes_t key, const head_t *head);
void heads_done(heads_t *heads);
