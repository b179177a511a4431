// Compaction: forgetting history, a slice at a time.
//
// Only the changes in (pruned, compacted] need a look. For the key of each: of its index entries at
// or before `compacted` the newest stays, unless it is a deletion; all older ones go, with their
// changes. A key that was not changed in between keeps its one old entry untouched.
#include "store/mvcc/mvcc_state.h"

err_t mvcc_compact(mvcc_t *m, revision_t revision, why_t *why) {
    if (revision > m->meta.revision)
        return why_set(why, ERR_FUTURE_REVISION, "revision %lld is in the future of %lld",
                       (long long)revision, (long long)m->meta.revision);
    if (revision <= m->meta.compacted)
        return why_set(why, ERR_COMPACTED, "revision %lld is compacted already",
                       (long long)revision);
    m->meta.compacted = revision;
    return ERR_OK;
}

static void forget(mvcc_t *m, bytes_t key, const head_t *head) {
    mvcc_delete_op(m, keys_change(&m->batch, head->mod, head->sub));
    mvcc_delete_op(m, keys_index(&m->batch, key, head->mod));
}

// Forget what is superseded of one key.
static err_t prune_key(mvcc_t *m, arena_t *arena, bytes_t key, why_t *why) {
    bytes_t at = keys_index(arena, key, m->meta.compacted), here, value, user_key;
    err_t err = kv_seek(m->kv, at, why);
    for (bool newest = true; err == ERR_OK && kv_here(m->kv, &here, &value); newest = false) {
        head_t head;
        if (here.len != at.len || memcmp(here.at, at.at, at.len - 8) != 0) break;
        if (!keys_get_index(arena, here, value, &user_key, &head))
            return why_set(why, ERR_CORRUPT, "an index entry cannot be read");
        if (!newest || head.deleted) forget(m, key, &head);
        err = kv_next(m->kv, why);
    }
    return err;
}

err_t mvcc_prune(mvcc_t *m, size_t changes_max, bool *ret_more, why_t *why) {
    assert(m->ops.len == 0 && changes_max > 0);
    *ret_more = false;
    if (m->meta.pruned >= m->meta.compacted) return ERR_OK;
    arena_t arena = {0};
    VEC(bytes_t) keys = {0};
    revision_t upto = m->meta.compacted;
    bytes_t key, value;
    err_t err = kv_seek(m->kv, keys_change(&arena, m->meta.pruned + 1, 0), why);
    while (err == ERR_OK && kv_here(m->kv, &key, &value) && key.at[0] == KEYS_CHANGES) {
        change_t change;
        if (!keys_get_change(key, value, &change)) {
            err = why_set(why, ERR_CORRUPT, "a change cannot be read");
            break;
        }
        if (change.head.mod > m->meta.compacted) break;
        if (keys.len >= changes_max && change.head.sub == 0) {
            upto = change.head.mod - 1;
            break;
        }
        change.key.at = arena_dup(&arena, change.key.at, change.key.len + 1);
        vec_push(&keys, change.key);
        err = kv_next(m->kv, why);
    }
    for (size_t i = 0; i < keys.len && err == ERR_OK; i++)
        err = prune_key(m, &arena, keys.at[i], why);
    vec_done(&keys);
    arena_done(&arena);
    if (err != ERR_OK) return err;
    *ret_more = upto < m->meta.compacted;
    m->meta.pruned = upto;
    return mvcc_commit(m, why);
}
