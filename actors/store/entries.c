#include "actors/store/entries.h"

static uint64_t bytes_of(const entry_t *entry) {
    return ENTRY_OVERHEAD_BYTES + (entry->data ? entry->data->len : 0);
}

void entry_done(entry_t *entry) {
    caller_drop(&entry->caller);
    blob_unref(&entry->data);
}

void entries_reset(entries_t *e) {
    for (size_t i = e->head; i < e->ring.len; i++) entry_done(&e->ring.at[i]);
    vec_reset(&e->ring);
    e->head = e->applied_len = 0;
    e->waiting_bytes = e->kept_bytes = 0;
}

void entries_done(entries_t *e) {
    entries_reset(e);
    vec_done(&e->ring);
}

entry_t *entries_at(const entries_t *e, raft_index_t index) {
    if (entries_len(e) == 0) return NULL;
    raft_index_t first = e->ring.at[e->head].index;
    if (index < first || index - first >= entries_len(e)) return NULL;
    return &e->ring.at[e->head + (index - first)];
}

entry_t *entries_next(const entries_t *e) {
    return entries_waiting(e) ? &e->ring.at[e->head + e->applied_len] : NULL;
}

void entries_push(entries_t *e, const entry_t *entry) {
    assert(entries_len(e) == 0 || entry->index == e->ring.at[e->ring.len - 1].index + 1);
    e->waiting_bytes += bytes_of(entry);
    vec_push(&e->ring, *entry);
}

void entries_truncate(entries_t *e, raft_index_t from) {
    while (entries_len(e) && e->ring.at[e->ring.len - 1].index >= from) {
        bool waits = entries_waiting(e) > 0;
        entry_t *last = &e->ring.at[--e->ring.len];
        *(waits ? &e->waiting_bytes : &e->kept_bytes) -= bytes_of(last);
        e->applied_len -= !waits;
        entry_done(last);
    }
}

static void drop_first(entries_t *e) {
    entry_t *first = &e->ring.at[e->head++];
    e->kept_bytes -= bytes_of(first);
    e->applied_len--;
    entry_done(first);
}

void entries_apply(entries_t *e, size_t count, bool kept) {
    assert(count <= entries_waiting(e));
    for (size_t i = 0; i < count; i++) {
        const entry_t *entry = entries_next(e);
        e->waiting_bytes -= bytes_of(entry);
        e->kept_bytes += bytes_of(entry);
        e->applied_len++;
    }
    while (e->applied_len &&
           (!kept || e->kept_bytes > ENTRIES_KEPT_BYTES || e->applied_len > ENTRIES_KEPT_MAX))
        drop_first(e);
    if (entries_len(e) == 0) e->head = e->ring.len = 0;
    if (e->head < 1024 || e->head < e->ring.len / 2) return;
    e->ring.len -= e->head;
    memmove(e->ring.at, e->ring.at + e->head, e->ring.len * sizeof *e->ring.at);
    e->head = 0;
}
