// rocks - the kv port on RocksDB: a column family for what grows and one for the rest, flushed
// together or not at all; no write-ahead log of its own (the member's log is that), little memory.
//
// For each a memtable of ROCKS_MEMTABLE_BYTES, its successor while it is flushed, and a block cache
// are all it holds; index and filter blocks stay outside the cache (in a tiny cache they push each
// other out, and reads crawl at a million keys).
#pragma once
#include "store/mvcc/kv.h"

enum {
    ROCKS_MEMTABLE_BYTES = 4 << 20,
    ROCKS_CACHE_BYTES = 4 << 20,
};

// Opens or makes the database in the folder `path`. ERR_CORRUPT, ERR_IO, ERR_EXISTS (held by
// another process), ERR_UNSUPPORTED (another format; nothing is changed).
err_t rocks_open(const char *path, kv_t **ret_kv, why_t *why) MUST_USE;
// To look at only; changes nothing, takes no lock. ERR_NOT_FOUND: there is no database.
err_t rocks_open_read_only(const char *path, kv_t **ret_kv, why_t *why) MUST_USE;
// A copy in the folder `path`, which is made: files are shared (hard links) where both are on one
// file system. What was not flushed is flushed first.
err_t rocks_checkpoint(kv_t *kv, const char *path, why_t *why) MUST_USE;
