// keys - how the state machine lays its data out in the kv port's one ordered space.
//
//     'C' revision(8) sub(4)      → flags(1) create(8) version(8) lease(8) key_len(4) key value
//     'i' key, 00 01, ~revision(8) → flags(1) sub(4) create(8) version(8) lease(8)
//     'l' lease(8)                → ttl_ms(8)
//     'a' lease(8) key            → (empty)
//     'm'                         → the meta record
//     's'                         → index(8) of the snapshot that this member last got
//     'c'                         → packed raft.Config, the newest applied
//
// Numbers are big-endian, so that bytes sort as numbers do. In `i` the key's bytes come first, 00
// escaped as 00 ff, ended by 00 01: index entries sort by key whatever its bytes; the inverted
// revision puts the newest of a key first, so one seek finds "the newest at or before R".
//
// Changes sort before all else, and newer ones behind older ones: what a flush of an LSM tree adds
// then overlaps no older changes, so compaction moves their tables and rewrites only the index.
#pragma once
#include "runtime/base/arena.h"
#include "runtime/base/bytes.h"
#include "store/mvcc/kv.h"

typedef int64_t revision_t; // of the store, from 1; 0: nothing was ever written

enum {
    KEYS_CHANGES = KV_GROWING,
    KEYS_INDEX = 'i',
    KEYS_FLAG_DELETED = 1,
    KEYS_META_VERSION = 3, // 1: changes under another letter; 2: all in one column family
};

// What the index knows of a key at one revision.
typedef struct {
    revision_t mod;
    uint32_t sub; // which of its revision's changes
    bool deleted;
    revision_t create;
    int64_t version;
    int64_t lease;
} head_t;

// One change, as the 'C' space keeps it.
typedef struct {
    head_t head;
    bytes_t key, value;
} change_t;

typedef struct {
    revision_t revision, compacted;
    revision_t pruned; // everything superseded at or before it is gone
    uint64_t applied_index, applied_term;
    uint64_t cluster_id;
    uint64_t config_index; // newest configuration among the applied entries
} meta_t;

bytes_t keys_change(arena_t *arena, revision_t revision, uint32_t sub);
bytes_t keys_index(arena_t *arena, bytes_t key, revision_t at);
bytes_t keys_index_prefix(arena_t *arena, bytes_t key, bool ended); // ended: only this very key
bytes_t keys_lease(arena_t *arena, int64_t lease);
bytes_t keys_attached(arena_t *arena, int64_t lease, bytes_t key);
bytes_t keys_meta(void);
bytes_t keys_config(void);
bytes_t keys_installed(void);

bytes_t keys_put_change(arena_t *arena, const change_t *change);
bytes_t keys_put_head(arena_t *arena, const head_t *head);
bytes_t keys_put_meta(arena_t *arena, const meta_t *meta);
bytes_t keys_put_ttl(arena_t *arena, int64_t ttl_ms);

// False: these bytes are not ours (wrong space, or corrupt). Results point into the input, but for
// the unescaped key of an index entry, which may be the arena's.
bool keys_get_change(bytes_t key, bytes_t value, change_t *ret_change) MUST_USE;
bool keys_get_index(arena_t *arena, bytes_t key, bytes_t value, bytes_t *ret_key,
                    head_t *ret_head) MUST_USE;
bool keys_get_meta(bytes_t value, meta_t *ret_meta) MUST_USE;
bool keys_get_lease(bytes_t key, bytes_t value, int64_t *ret_lease, int64_t *ret_ttl_ms) MUST_USE;
bool keys_get_attached(bytes_t key, int64_t *ret_lease, bytes_t *ret_key) MUST_USE;
