// Is all of the state machine sound? One walk over the index, one over the changes, one over
// leases.
//
//     index entry ── same words ──► change          as many of one as of the other
//        │ of a key, newest first: versions count down by one to the creation, or to a deletion
//        └─ a live one with a lease ◄──► the lease's entry for the key ──► the lease
#include "store/mvcc/mvcc_state.h"

enum { PROGRESS_EVERY = 4096 };

typedef struct {
    mvcc_t *m;
    mvcc_tally_t tally;
    uint64_t attached; // live keys with a lease
    arena_t arena;     // of one entry
    blob_t *key;       // of the entry before, owned …
    head_t head;       // … newer than the one at hand, when the key is the same
} verify_t;

static err_t wrong(const char *what, bytes_t key, revision_t revision, why_t *why) {
    return why_set(why, ERR_CORRUPT, "%s at revision %lld of %.*s", what, (long long)revision,
                   (int)key.len, (const char *)key.at);
}

static err_t verify_change(verify_t *v, bytes_t key, const head_t *head, why_t *why) {
    bytes_t value = {0}, at = keys_change(&v->arena, head->mod, head->sub);
    change_t change;
    err_t err = kv_get(v->m->kv, at, &v->arena, &value, why);
    if (err != ERR_OK) return err;
    bool same = value.at && keys_get_change(at, value, &change) && bytes_eq(change.key, key) &&
                change.head.deleted == head->deleted && change.head.create == head->create &&
                change.head.version == head->version && change.head.lease == head->lease;
    return same ? ERR_OK : wrong("index and change disagree", key, head->mod, why);
}

static err_t verify_history(verify_t *v, bytes_t key, const head_t *head, why_t *why) {
    bool sound = head->deleted ? head->version == 0
                               : head->version > 0 && head->create > 0 && head->create <= head->mod;
    if (!sound || head->mod > v->m->meta.revision)
        return wrong("an impossible entry", key, head->mod, why);
    if (!v->key || !bytes_eq(blob_bytes(v->key), key)) return ERR_OK;
    const head_t *newer = &v->head;
    bool follows = newer->deleted ? !head->deleted
                   : head->deleted
                       ? newer->version == 1 && newer->create == newer->mod
                       : newer->version == head->version + 1 && newer->create == head->create;
    return follows ? ERR_OK : wrong("a gap in the history", key, head->mod, why);
}

static err_t verify_newest(verify_t *v, bytes_t key, const head_t *head, why_t *why) {
    if (head->deleted) return ERR_OK;
    v->tally.keys++;
    if (!head->lease) return ERR_OK;
    v->attached++;
    bytes_t value = {0};
    err_t err =
        kv_get(v->m->kv, keys_attached(&v->arena, head->lease, key), &v->arena, &value, why);
    if (err != ERR_OK || value.at) return err;
    return wrong("its lease does not know the key", key, head->mod, why);
}

static err_t verify_entry(verify_t *v, bytes_t at, bytes_t value, why_t *why) {
    bytes_t key;
    head_t head;
    arena_clear(&v->arena);
    if (!keys_get_index(&v->arena, at, value, &key, &head))
        return why_set(why, ERR_CORRUPT, "an index entry cannot be read");
    bool newest = !v->key || !bytes_eq(blob_bytes(v->key), key);
    err_t err = verify_change(v, key, &head, why);
    if (err == ERR_OK) err = verify_history(v, key, &head, why);
    if (err == ERR_OK && newest) err = verify_newest(v, key, &head, why);
    if (err != ERR_OK) return err;
    if (newest) {
        blob_unref(&v->key);
        v->key = blob_from(key.at, key.len);
    }
    v->head = head;
    if (++v->tally.changes % PROGRESS_EVERY == 0 && v->tally.progress)
        v->tally.progress(v->tally.arg, v->tally.changes);
    return ERR_OK;
}

typedef err_t step_t(verify_t *v, bytes_t at, bytes_t value, why_t *why);

static err_t each(verify_t *v, char space, step_t *step, uint64_t *ret_len, why_t *why) {
    bytes_t at, value;
    err_t err = kv_seek(v->m->kv, (bytes_t){(const uint8_t *)&space, 1}, why);
    *ret_len = 0;
    while (err == ERR_OK && kv_here(v->m->kv, &at, &value) && at.at[0] == (uint8_t)space) {
        err = step ? step(v, at, value, why) : ERR_OK;
        ++*ret_len;
        if (err == ERR_OK) err = kv_next(v->m->kv, why);
    }
    return err;
}

static err_t verify_attached(verify_t *v, bytes_t at, bytes_t value, why_t *why) {
    int64_t lease;
    bytes_t key, found = {0};
    arena_clear(&v->arena);
    if (!keys_get_attached(at, &lease, &key))
        return why_set(why, ERR_CORRUPT, "a lease's key cannot be read");
    err_t err = kv_get(v->m->kv, keys_lease(&v->arena, lease), &v->arena, &found, why);
    if (err != ERR_OK || found.at) return err;
    return why_set(why, ERR_CORRUPT, "the key %.*s has lease %lld, which is not there",
                   (int)key.len, (const char *)key.at, (long long)lease);
}

err_t mvcc_verify(mvcc_t *m, mvcc_tally_t *tally, why_t *why) {
    verify_t v = {.m = m};
    if (tally) v.tally = (mvcc_tally_t){.progress = tally->progress, .arg = tally->arg};
    uint64_t entries = 0, changes = 0, attached = 0;
    err_t err = ERR_OK;
    if (m->meta.pruned > m->meta.compacted || m->meta.compacted > m->meta.revision)
        err = why_set(why, ERR_CORRUPT, "pruned %lld, compacted %lld, revision %lld",
                      (long long)m->meta.pruned, (long long)m->meta.compacted,
                      (long long)m->meta.revision);
    if (err == ERR_OK) err = each(&v, KEYS_INDEX, verify_entry, &entries, why);
    if (err == ERR_OK) err = each(&v, KEYS_CHANGES, NULL, &changes, why);
    if (err == ERR_OK) err = each(&v, 'a', verify_attached, &attached, why);
    if (err == ERR_OK) err = each(&v, 'l', NULL, &v.tally.leases, why);
    if (err == ERR_OK && changes != entries)
        err = why_set(why, ERR_CORRUPT, "%llu changes, but %llu index entries",
                      (unsigned long long)changes, (unsigned long long)entries);
    if (err == ERR_OK && attached != v.attached)
        err = why_set(why, ERR_CORRUPT, "leases have %llu keys, but %llu keys have a lease",
                      (unsigned long long)attached, (unsigned long long)v.attached);
    if (err == ERR_OK && tally) *tally = v.tally;
    blob_unref(&v.key);
    arena_done(&v.arena);
    return err;
}
