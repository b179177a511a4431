// kv - the small ordered key-value port under the state machine.
//
// Two backends: RocksDB (store/rocks.h) and a sorted map (kv_map_new) for the simulator and tests.
// A write is atomic: all its operations or none, also across a crash. It is visible at once, but
// durable only after some later flush, in the order of writes: a crash leaves a first part of
// them. What was lost comes back from the log, which is kept from kv_flushed on.
// The first byte of a key names its space. Keys of the space KV_GROWING, which sorts before all
// others, are mostly written in ascending order and once: a backend may lay that space out apart.
// Belongs to one thread.
#pragma once
#include "runtime/base/arena.h"
#include "runtime/base/bytes.h"
#include "runtime/base/why.h"

enum { KV_GROWING = 'C', KV_GET_MANY_MAX = 128 };

typedef struct kv kv_t;
typedef struct kv_view kv_view_t;
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
    err_t (*view_open)(kv_t *, kv_view_t **ret_view, why_t *);
    err_t (*view_read)(kv_view_t *, bytes_t after, size_t bytes_max, arena_t *, kv_op_t **ret_pairs,
                       size_t *ret_len, why_t *);
    void (*view_close)(kv_view_t *);
    err_t (*replace_begin)(kv_t *, why_t *);
    err_t (*replace_add)(kv_t *, const kv_op_t *pairs, size_t len, why_t *);
    err_t (*replace_end)(kv_t *, why_t *);
    // NULL: one get after the other.
    err_t (*get_many)(kv_t *, const bytes_t *keys, size_t len, arena_t *, bytes_t *values, why_t *);
} kv_ops_t;
struct kv {
    const kv_ops_t *ops;
};
struct kv_view {
    const kv_ops_t *ops;
};

void kv_destroy(kv_t **kv); // flushes nothing by itself; of a kv_map: its owner destroys it
// The value, in the arena; ret_value->at NULL where there is none. `flushed`: as a crash would
// leave it.
err_t kv_get(kv_t *kv, bytes_t key, arena_t *arena, bytes_t *ret_value, why_t *why) MUST_USE;
// As kv_get for each of the keys, at most KV_GET_MANY_MAX and all of one space, cheaper than one
// by one.
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

// ---- whole copies, for a member that lags far behind or is new -----------------------------------
// All that is written now, frozen while writes go on. Closed before the kv is destroyed or
// replaced.
err_t kv_view_open(kv_t *kv, kv_view_t **ret_view, why_t *why) MUST_USE;
// The pairs behind `after` (len 0: the first ones) in key order, about bytes_max of them, at least
// one; none: that was all. The arena's.
err_t kv_view_read(kv_view_t *view, bytes_t after, size_t bytes_max, arena_t *arena,
                   kv_op_t **ret_pairs, size_t *ret_len, why_t *why) MUST_USE;
void kv_view_close(kv_view_t **view);
// Build another content beside (begin drops what an earlier try left), then let it take the place
// of the old one: durably, all or nothing, also across a crash. After an error of the end the kv
// must be opened anew.
err_t kv_replace_begin(kv_t *kv, why_t *why) MUST_USE;
err_t kv_replace_add(kv_t *kv, const kv_op_t *pairs, size_t len, why_t *why) MUST_USE;
err_t kv_replace_end(kv_t *kv, why_t *why) MUST_USE;

// ---- the sorted map -----------------------------------------------------------------------------
kv_t *kv_map_new(void) MUST_USE;
// As a power cut would: back to the last flush. Every `writes` writes it flushes by itself; 0:
// never.
void kv_map_crash(kv_t *kv);
void kv_map_flush_every(kv_t *kv, uint64_t writes);
size_t kv_map_len(const kv_t *kv);
