#include "store/mvcc/keys.h"
#include <endian.h>

enum {
    CHANGE_KEY_BYTES = 13,
    CHANGE_HEAD_BYTES = 29,
    HEAD_BYTES = 29,
    META_BYTES = 57,
};

static uint8_t *put64(uint8_t *to, uint64_t value) {
    value = htobe64(value);
    memcpy(to, &value, 8);
    return to + 8;
}
static uint8_t *put32(uint8_t *to, uint32_t value) {
    value = htobe32(value);
    memcpy(to, &value, 4);
    return to + 4;
}
static uint64_t get64(const uint8_t *from) {
    uint64_t value;
    memcpy(&value, from, 8);
    return be64toh(value);
}
static uint32_t get32(const uint8_t *from) {
    uint32_t value;
    memcpy(&value, from, 4);
    return be32toh(value);
}

// ---- keys ---------------------------------------------------------------------------------------
bytes_t keys_change(arena_t *arena, revision_t revision, uint32_t sub) {
    uint8_t *at = arena_alloc(arena, CHANGE_KEY_BYTES);
    at[0] = KEYS_CHANGES;
    put32(put64(at + 1, (uint64_t)revision), sub);
    return (bytes_t){at, CHANGE_KEY_BYTES};
}

bytes_t keys_index_prefix(arena_t *arena, bytes_t key, bool ended) {
    size_t zeros = 0;
    for (size_t i = 0; i < key.len; i++) zeros += key.at[i] == 0;
    uint8_t *at = arena_alloc(arena, 1 + key.len + zeros + 2 + 8), *to = at;
    *to++ = KEYS_INDEX;
    for (size_t i = 0; i < key.len; i++) {
        *to++ = key.at[i];
        if (key.at[i] == 0) *to++ = 0xff;
    }
    if (ended) {
        *to++ = 0;
        *to++ = 1;
    }
    return (bytes_t){at, (size_t)(to - at)};
}

bytes_t keys_index(arena_t *arena, bytes_t key, revision_t at) {
    bytes_t prefix = keys_index_prefix(arena, key, true); // has room for the revision
    put64((uint8_t *)prefix.at + prefix.len, ~(uint64_t)at);
    return (bytes_t){prefix.at, prefix.len + 8};
}

static bytes_t space_and_number(arena_t *arena, char space, int64_t number, bytes_t rest) {
    uint8_t *at = arena_alloc(arena, 9 + rest.len);
    at[0] = (uint8_t)space;
    put64(at + 1, (uint64_t)number);
    if (rest.len) memcpy(at + 9, rest.at, rest.len);
    return (bytes_t){at, 9 + rest.len};
}
bytes_t keys_lease(arena_t *arena, int64_t lease) {
    return space_and_number(arena, 'l', lease, (bytes_t){0});
}
bytes_t keys_attached(arena_t *arena, int64_t lease, bytes_t key) {
    return space_and_number(arena, 'a', lease, key);
}
bytes_t keys_meta(void) { return (bytes_t){(const uint8_t *)"m", 1}; }
bytes_t keys_installed(void) { return (bytes_t){(const uint8_t *)"s", 1}; }
bytes_t keys_config(void) { return (bytes_t){(const uint8_t *)"c", 1}; }

// ---- values -------------------------------------------------------------------------------------
bytes_t keys_put_change(arena_t *arena, const change_t *change) {
    const head_t *h = &change->head;
    size_t len = CHANGE_HEAD_BYTES + change->key.len + change->value.len;
    uint8_t *at = arena_alloc(arena, len);
    at[0] = h->deleted ? KEYS_FLAG_DELETED : 0;
    uint8_t *to =
        put64(put64(put64(at + 1, (uint64_t)h->create), (uint64_t)h->version), (uint64_t)h->lease);
    to = put32(to, (uint32_t)change->key.len);
    memcpy(to, change->key.at, change->key.len);
    if (change->value.len) memcpy(to + change->key.len, change->value.at, change->value.len);
    return (bytes_t){at, len};
}

bytes_t keys_put_head(arena_t *arena, const head_t *h) {
    uint8_t *at = arena_alloc(arena, HEAD_BYTES);
    at[0] = h->deleted ? KEYS_FLAG_DELETED : 0;
    uint8_t *to = put32(at + 1, h->sub);
    put64(put64(put64(to, (uint64_t)h->create), (uint64_t)h->version), (uint64_t)h->lease);
    return (bytes_t){at, HEAD_BYTES};
}

bytes_t keys_put_meta(arena_t *arena, const meta_t *meta) {
    uint8_t *at = arena_alloc(arena, META_BYTES), *to = at;
    *to++ = KEYS_META_VERSION;
    to = put64(to, (uint64_t)meta->revision);
    to = put64(to, (uint64_t)meta->compacted);
    to = put64(to, (uint64_t)meta->pruned);
    to = put64(to, meta->applied_index);
    to = put64(to, meta->applied_term);
    to = put64(to, meta->cluster_id);
    to = put64(to, meta->config_index);
    assert(to == at + META_BYTES);
    return (bytes_t){at, META_BYTES};
}

bytes_t keys_put_ttl(arena_t *arena, int64_t ttl_ms) {
    uint8_t *at = arena_alloc(arena, 8);
    put64(at, (uint64_t)ttl_ms);
    return (bytes_t){at, 8};
}

// ---- reading ------------------------------------------------------------------------------------
bool keys_get_change(bytes_t key, bytes_t value, change_t *ret_change) {
    if (key.len != CHANGE_KEY_BYTES || key.at[0] != KEYS_CHANGES || value.len < CHANGE_HEAD_BYTES)
        return false;
    uint32_t key_len = get32(value.at + 25);
    if (key_len > value.len - CHANGE_HEAD_BYTES) return false;
    *ret_change = (change_t){
        .head = {.mod = (revision_t)get64(key.at + 1),
                 .sub = get32(key.at + 9),
                 .deleted = value.at[0] & KEYS_FLAG_DELETED,
                 .create = (revision_t)get64(value.at + 1),
                 .version = (int64_t)get64(value.at + 9),
                 .lease = (int64_t)get64(value.at + 17)},
        .key = {value.at + CHANGE_HEAD_BYTES, key_len},
        .value = {value.at + CHANGE_HEAD_BYTES + key_len, value.len - CHANGE_HEAD_BYTES - key_len},
    };
    return true;
}

// The escaped key of an index entry, without space, end mark and revision.
static bool unescape(arena_t *arena, bytes_t escaped, bytes_t *ret_key) {
    if (escaped.len == 0 || !memchr(escaped.at, 0, escaped.len)) {
        *ret_key = escaped;
        return true;
    }
    uint8_t *to = arena_alloc(arena, escaped.len);
    size_t len = 0;
    for (size_t i = 0; i < escaped.len; i++) {
        to[len++] = escaped.at[i];
        if (escaped.at[i] != 0) continue;
        if (i + 1 == escaped.len || escaped.at[i + 1] != 0xff) return false;
        i++;
    }
    *ret_key = (bytes_t){to, len};
    return true;
}

bool keys_get_index(arena_t *arena, bytes_t key, bytes_t value, bytes_t *ret_key,
                    head_t *ret_head) {
    if (key.len < 11 || key.at[0] != KEYS_INDEX || value.len != HEAD_BYTES) return false;
    const uint8_t *end = key.at + key.len - 10;
    if (end[0] != 0 || end[1] != 1) return false;
    *ret_head = (head_t){
        .mod = (revision_t)~get64(end + 2),
        .sub = get32(value.at + 1),
        .deleted = value.at[0] & KEYS_FLAG_DELETED,
        .create = (revision_t)get64(value.at + 5),
        .version = (int64_t)get64(value.at + 13),
        .lease = (int64_t)get64(value.at + 21),
    };
    return unescape(arena, (bytes_t){key.at + 1, key.len - 11}, ret_key);
}

bool keys_get_meta(bytes_t value, meta_t *ret_meta) {
    if (value.len != META_BYTES || value.at[0] != KEYS_META_VERSION) return false;
    const uint8_t *at = value.at + 1;
    *ret_meta = (meta_t){
        .revision = (revision_t)get64(at),
        .compacted = (revision_t)get64(at + 8),
        .pruned = (revision_t)get64(at + 16),
        .applied_index = get64(at + 24),
        .applied_term = get64(at + 32),
        .cluster_id = get64(at + 40),
        .config_index = get64(at + 48),
    };
    return true;
}

bool keys_get_lease(bytes_t key, bytes_t value, int64_t *ret_lease, int64_t *ret_ttl_ms) {
    if (key.len != 9 || key.at[0] != 'l' || value.len != 8) return false;
    *ret_lease = (int64_t)get64(key.at + 1);
    *ret_ttl_ms = (int64_t)get64(value.at);
    return true;
}

bool keys_get_attached(bytes_t key, int64_t *ret_lease, bytes_t *ret_key) {
    if (key.len < 9 || key.at[0] != 'a') return false;
    *ret_lease = (int64_t)get64(key.at + 1);
    *ret_key = (bytes_t){key.at + 9, key.len - 9};
    return true;
}
