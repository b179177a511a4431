// kv - the small ordered key-value port under the state machine.
//
// Two backends: RocksDB (store/rocks.h) and a sorted map (kv_map_new) for the simulator and tests.
// A write is atomic: all its operations or none, also across a crash. It is visible at once, but
// durable only after some later flush, in the order of writes: a crash leaves a first part of
// them. What was lost comes back from the log, which is kept from kv_flushed on.
// Belongs to one thread.
#pragma once
#include "runtime/base/arena.h"
#include "runtime/base/bytes.h"
#include "runtime/base/why.h"

enum { KV_GET_MANY_MAX = 128 };

typedef struct kv kv_t;
typedef struct {
    bytes_t key, value;
    bool is_delete;
} kv_op_t;

// Operations, as the backend gives them; the functions below are the port's face.
typedef struct {
    err_t (*get)(kv_t *, bytes_t key, arena_t *, bool flushed, bytes_t *ret_value, why_t *);
    err_t (*seek)(kv_t *, bytes_t key, why_t *);
    err_t (*next)(kv_t *, why_t *);
    bool (*here)(kv_t *, bytes_t *ret_key, bytes_t *ret_value);
    err_t (*write)(kv_t *, const kv_op_t *ops, size_t len, why_t *);
    err_t (*flush)(kv_t *, why_t *);
    uint64_t (*disk_bytes)(kv_t *);
    void (*destroy)(kv_t *);
    // NULL: one get after the other.
    err_t (*get_many)(kv_t *, const bytes_t *keys, size_t len, arena_t *, bytes_t *values, why_t *);
} kv_ops_t;
struct kv {
    const kv_ops_t *ops;
};

void kv_destroy(kv_t **kv); // flushes nothing by itself; of a kv_map: its owner destroys it
// The value, in the arena; ret_value->at NULL where there is none. `flushed`: as a crash would
// leave it.
err_t kv_get(kv_t *kv, bytes_t key, arena_t *arena, bytes_t *ret_value, why_t *why) MUST_USE;
// As kv_get for each of the keys, at most KV_GET_MANY_MAX, cheaper than one by one.
err_t kv_get_many(kv_t *kv, const bytes_t *keys, size_t len, arena_t *arena, bytes_t *values,
                  why_t *why) MUST_USE;
err_t kv_get_flushed(kv_t *kv, bytes_t key, arena_t *arena, bytes_t *ret_value,
                     why_t *why) MUST_USE;
err_t kv_write(kv_t *kv, const kv_op_t *ops, size_t len, why_t *why) MUST_USE;
err_t kv_flush(kv_t *kv, why_t *why) MUST_USE; // all written so far becomes durable
uint64_t kv_disk_bytes(kv_t *kv);

// The one cursor: go to the first key >= `key`, then on. It shows the state as of the seek or
// later; a write ends its walk. What kv_here gives is borrowed until the next call of the port.
err_t kv_seek(kv_t *kv, bytes_t key, why_t *why) MUST_USE;
err_t kv_next(kv_t *kv, why_t *why) MUST_USE;
bool kv_here(kv_t *kv, bytes_t *ret_key, bytes_t *ret_value); // false: past the end

// ---- the sorted map -----------------------------------------------------------------------------
kv_t *kv_map_new(void) MUST_USE;
// As a power cut would: back to the last flush. Every `writes` writes it flushes by itself; 0:
// never.
void kv_map_crash(kv_t *kv);
void kv_map_flush_every(kv_t *kv, uint64_t writes);
size_t kv_map_len(const kv_t *kv);
