// entries - the end of the log as a member holds it in memory.
//
//     first            applied           last
//       [ kept for peers ][ not yet applied ]
//
// Without gaps. What is not applied stays; what is stays as long as it fits ENTRIES_KEPT_BYTES, so
// that a follower that is a little behind needs nothing from the disk.
#pragma once
#include "runtime/actor/kit.h"
#include "runtime/base/vec.h"
#include "store/raft/trail.h"

enum {
    ENTRIES_KEPT_BYTES = 8 << 20,
    ENTRIES_KEPT_MAX = 8 * 1024,
    ENTRY_OVERHEAD_BYTES = 64, // counted for each beside its data
};

// Something to be put into the log, or an entry of it.
typedef struct {
    raft_index_t index;
    raft_term_t term;
    uint8_t kind;     // machine_kind_t
    blob_t *data;     // owned reference; NULL: none
    caller_t *caller; // owned; NULL: nobody waits
} entry_t;

typedef struct {
    VEC(entry_t) ring; // from head on
    size_t head;
    size_t applied_len; // of those, how many are applied
    uint64_t waiting_bytes, kept_bytes;
} entries_t;

void entries_done(entries_t *e); // drops callers: nobody is answered
void entries_reset(entries_t *e);
void entry_done(entry_t *entry);

static inline size_t entries_len(const entries_t *e) { return e->ring.len - e->head; }
static inline size_t entries_waiting(const entries_t *e) { return entries_len(e) - e->applied_len; }
entry_t *entries_at(const entries_t *e, raft_index_t index); // NULL: not held
entry_t *entries_next(const entries_t *e);                   // first not applied; NULL: none

void entries_push(entries_t *e, const entry_t *entry); // *taken*; the index after the last
// Drops from..last. Their callers must have been answered.
void entries_truncate(entries_t *e, raft_index_t from);
// The next `count` are applied. kept: peers may need them.
void entries_apply(entries_t *e, size_t count, bool kept);
