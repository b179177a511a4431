#include "store/mvcc/mvcc.h"
#include "store/mvcc/mvcc_state.h"

// ---- pending changes ----------------------------------------------------------------------------
// Position of `key`, or where it would be inserted.
static size_t place_of(const pendings_t *pendings, bytes_t key, bool *ret_found) {
    size_t low = 0, high = pendings->len;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = bytes_cmp(pendings->at[middle].change.key, key);
        if (order == 0) {
            *ret_found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_found = false;
    return low;
}

const pending_t *mvcc_pending(const pendings_t *pendings, bytes_t key) {
    bool found;
    size_t at = place_of(pendings, key, &found);
    return found ? &pendings->at[at] : NULL;
}

static void set_pending(pendings_t *pendings, const change_t *change) {
    bool found;
    size_t at = place_of(pendings, change->key, &found);
    if (found)
        pendings->at[at].change = *change;
    else
        vec_insert(pendings, at, ((pending_t){*change}));
}

void mvcc_put_op(mvcc_t *m, bytes_t key, bytes_t value) {
    vec_push(&m->ops, ((kv_op_t){key, value, false}));
}
void mvcc_delete_op(mvcc_t *m, bytes_t key) {
    vec_push(&m->ops, ((kv_op_t){.key = key, .is_delete = true}));
}

// ---- looking up ---------------------------------------------------------------------------------
static err_t head_in_kv(mvcc_t *m, arena_t *arena, bytes_t key, revision_t revision,
                        bool *ret_found, head_t *ret_head, why_t *why) {
    bytes_t at = keys_index(arena, key, revision), prefix = {at.at, at.len - 8}, here, value,
            user_key;
    err_t err = kv_seek(m->kv, at, why);
    if (err != ERR_OK) return err;
    *ret_found = false;
    if (!kv_here(m->kv, &here, &value)) return ERR_OK;
    if (here.len != at.len || memcmp(here.at, prefix.at, prefix.len) != 0) return ERR_OK;
    if (!keys_get_index(arena, here, value, &user_key, ret_head))
        return why_set(why, ERR_CORRUPT, "an index entry cannot be read");
    *ret_found = true;
    return ERR_OK;
}

// As the kv has it, through the cache; all zeros where there is nothing.
static err_t committed_head(mvcc_t *m, arena_t *arena, bytes_t key, head_t *ret_head, why_t *why) {
    if (heads_get(&m->heads, key, ret_head)) return ERR_OK;
    *ret_head = (head_t){0};
    if (!m->heads.has_lost) return ERR_OK; // what it does not know is not there
    bool found = false;
    err_t err = head_in_kv(m, arena, key, INT64_MAX, &found, ret_head, why);
    if (err != ERR_OK) return err;
    if (!found) *ret_head = (head_t){0};
    heads_put(&m->heads, key, ret_head);
    return ERR_OK;
}

err_t mvcc_head(mvcc_t *m, arena_t *arena, bytes_t key, bool *ret_found, head_t *ret_head,
                why_t *why) {
    const pending_t *pending = mvcc_pending(&m->txn, key);
    if (!pending) pending = mvcc_pending(&m->pending, key);
    err_t err = ERR_OK;
    if (pending)
        *ret_head = pending->change.head;
    else
        err = committed_head(m, arena, key, ret_head, why);
    if (err != ERR_OK) return err;
    *ret_found = ret_head->version > 0;
    if (!*ret_found) *ret_head = (head_t){0};
    return ERR_OK;
}

static err_t check_change(const change_t *wanted, bytes_t at, bytes_t record, bytes_t *ret_value,
                          why_t *why) {
    change_t found;
    if (!record.at || !keys_get_change(at, record, &found) || !bytes_eq(found.key, wanted->key))
        return why_set(why, ERR_CORRUPT, "the change of revision %lld.%u is missing",
                       (long long)wanted->head.mod, wanted->head.sub);
    *ret_value = found.value;
    return ERR_OK;
}

err_t mvcc_value(mvcc_t *m, arena_t *arena, bytes_t key, const head_t *head, bytes_t *ret_value,
                 why_t *why) {
    const pending_t *pending = mvcc_pending(&m->txn, key);
    if (!pending || pending->change.head.mod != head->mod) pending = mvcc_pending(&m->pending, key);
    if (pending && pending->change.head.mod == head->mod) {
        // The batch's memory goes with the commit, and answers are packed after it.
        bytes_t value = pending->change.value;
        *ret_value = (bytes_t){arena_dup(arena, value.at, value.len), value.len};
        return ERR_OK;
    }
    bytes_t at = keys_change(arena, head->mod, head->sub), value;
    err_t err = kv_get(m->kv, at, arena, &value, why);
    if (err != ERR_OK) return err;
    change_t wanted = {.head = *head, .key = key};
    return check_change(&wanted, at, value, ret_value, why);
}

err_t mvcc_values(mvcc_t *m, arena_t *arena, change_t *changes, size_t len, why_t *why) {
    bytes_t keys[KV_GET_MANY_MAX] = {0}, records[KV_GET_MANY_MAX];
    assert(len <= KV_GET_MANY_MAX && m->ops.len == 0);
    for (size_t i = 0; i < len; i++)
        keys[i] = keys_change(arena, changes[i].head.mod, changes[i].head.sub);
    err_t err = len == 1 ? kv_get(m->kv, keys[0], arena, records, why)
                         : kv_get_many(m->kv, keys, len, arena, records, why);
    for (size_t i = 0; err == ERR_OK && i < len; i++)
        err = check_change(&changes[i], keys[i], records[i], &changes[i].value, why);
    return err;
}

err_t mvcc_get_at(mvcc_t *m, arena_t *arena, bytes_t key, revision_t revision, bool *ret_found,
                  change_t *ret_change, why_t *why) {
    head_t head;
    err_t err = head_in_kv(m, arena, key, revision, ret_found, &head, why);
    if (err != ERR_OK || !*ret_found) return err;
    if (head.deleted) {
        *ret_found = false;
        return ERR_OK;
    }
    *ret_change = (change_t){.head = head, .key = key};
    return mvcc_value(m, arena, key, &head, &ret_change->value, why);
}

// ---- changing -----------------------------------------------------------------------------------
void mvcc_begin(mvcc_t *m) {
    assert(m->txn.len == 0);
    m->txn_ops = m->ops.len;
    m->sub = 0;
}

void mvcc_end(mvcc_t *m, bool keep) {
    if (!keep)
        m->ops.len = m->txn_ops;
    else if (m->sub)
        m->meta.revision++;
    for (size_t i = 0; keep && i < m->txn.len; i++) set_pending(&m->pending, &m->txn.at[i].change);
    vec_reset(&m->txn);
}

err_t mvcc_has_lease(mvcc_t *m, arena_t *arena, int64_t lease, bool *ret_has, why_t *why) {
    bytes_t key = keys_lease(arena, lease), value = {0};
    // The newest operation wins: a grant may still be pending.
    for (size_t i = m->ops.len; i-- > 0;) {
        if (!bytes_eq(m->ops.at[i].key, key)) continue;
        *ret_has = !m->ops.at[i].is_delete;
        return ERR_OK;
    }
    err_t err = kv_get(m->kv, key, arena, &value, why);
    *ret_has = value.at != NULL;
    return err;
}

static err_t change_key(mvcc_t *m, change_t *change, const head_t *before, why_t *why) {
    revision_t revision = m->meta.revision + 1;
    if (mvcc_pending(&m->txn, change->key))
        return why_set(why, ERR_INVALID, "a transaction changes the key %.*s twice",
                       (int)change->key.len, (const char *)change->key.at);
    change->head.mod = revision;
    change->head.sub = m->sub++;
    change->key.at = arena_dup(&m->batch, change->key.at, change->key.len);
    bytes_t record = keys_put_change(&m->batch, change);
    change->value.at = record.at + record.len - change->value.len;
    mvcc_put_op(m, keys_change(&m->batch, revision, change->head.sub), record);
    mvcc_put_op(m, keys_index(&m->batch, change->key, revision),
                keys_put_head(&m->batch, &change->head));
    if (before->lease && before->lease != change->head.lease)
        mvcc_delete_op(m, keys_attached(&m->batch, before->lease, change->key));
    if (change->head.lease && before->lease != change->head.lease)
        mvcc_put_op(m, keys_attached(&m->batch, change->head.lease, change->key), (bytes_t){0});
    set_pending(&m->txn, change);
    return ERR_OK;
}

err_t mvcc_put(mvcc_t *m, bytes_t key, bytes_t value, int64_t lease, const head_t *before,
               why_t *why) {
    change_t change = {.key = key, .value = value};
    change.head.create = before->version ? before->create : m->meta.revision + 1;
    change.head.version = before->version + 1;
    change.head.lease = lease;
    return change_key(m, &change, before, why);
}

err_t mvcc_delete(mvcc_t *m, bytes_t key, const head_t *before, why_t *why) {
    assert(before->version);
    change_t change = {.key = key, .head.deleted = true};
    return change_key(m, &change, before, why);
}

// ---- committing ---------------------------------------------------------------------------------
static void note_head(mvcc_t *m, const change_t *change) {
    if (change->head.deleted && !m->heads.has_lost)
        heads_remove(&m->heads, change->key);
    else
        heads_put(&m->heads, change->key, &change->head);
}

err_t mvcc_write_pending(mvcc_t *m, why_t *why) {
    assert(m->txn.len == 0);
    // The meta record goes with it: an entry that changed nothing moves the applied index all the
    // same.
    mvcc_put_op(m, keys_meta(), keys_put_meta(&m->batch, &m->meta));
    err_t err = kv_write(m->kv, m->ops.at, m->ops.len, why);
    if (err != ERR_OK) {
        m->ops.len--;
        return err;
    }
    for (size_t i = 0; i < m->pending.len; i++) note_head(m, &m->pending.at[i].change);
    vec_reset(&m->ops);
    vec_reset(&m->pending);
    arena_clear(&m->batch);
    m->txn_ops = 0;
    return err;
}

void mvcc_entry_done(mvcc_t *m, uint64_t index, uint64_t term) {
    assert(index > m->meta.applied_index && term >= m->meta.applied_term);
    m->meta.applied_index = index;
    m->meta.applied_term = term;
}

err_t mvcc_commit(mvcc_t *m, why_t *why) { return mvcc_write_pending(m, why); }

// ---- life ---------------------------------------------------------------------------------------
// Every key's newest entry, which comes first, as long as there is room.
static err_t load_heads(mvcc_t *m, why_t *why) {
    arena_t arena = {0}, spare = {0}; // of this key and of the one before
    bytes_t key, value, before = {0};
    err_t err = kv_seek(m->kv, keys_index_prefix(&arena, (bytes_t){0}, false), why);
    while (err == ERR_OK && !m->heads.has_lost && kv_here(m->kv, &key, &value) &&
           key.at[0] == KEYS_INDEX) {
        bytes_t user;
        head_t head;
        if (!keys_get_index(&spare, key, value, &user, &head)) {
            err = why_set(why, ERR_CORRUPT, "an index entry cannot be read");
            break;
        }
        if (!bytes_eq(user, before)) {
            if (!head.deleted) heads_put(&m->heads, user, &head);
            before = (bytes_t){arena_dup(&spare, user.at, user.len + 1), user.len};
            arena_t kept = arena;
            arena = spare;
            spare = kept;
        }
        arena_clear(&spare);
        err = kv_next(m->kv, why);
    }
    arena_done(&arena);
    arena_done(&spare);
    return err;
}

err_t mvcc_open(kv_t *kv, mvcc_t **ret_mvcc, why_t *why) {
    mvcc_t *m = NEW(mvcc_t);
    m->kv = kv;
    bytes_t value = {0};
    err_t err = kv_get(kv, keys_meta(), &m->batch, &value, why);
    if (err == ERR_OK && value.len && value.at[0] != KEYS_META_VERSION)
        err = why_set(why, ERR_UNSUPPORTED, "database format %u, this program knows %d",
                      value.at[0], KEYS_META_VERSION);
    else if (err == ERR_OK && value.at && !keys_get_meta(value, &m->meta))
        err = why_set(why, ERR_CORRUPT, "the state's meta record is damaged");
    arena_clear(&m->batch);
    if (err == ERR_OK) err = load_heads(m, why);
    if (err != ERR_OK)
        mvcc_destroy(&m);
    else
        *ret_mvcc = m;
    return err;
}

void mvcc_destroy(mvcc_t **mvcc) {
    mvcc_t *m = x_steal(mvcc);
    if (!m) return;
    vec_done(&m->ops);
    vec_done(&m->pending);
    vec_done(&m->txn);
    arena_done(&m->batch);
    heads_done(&m->heads);
    free(m);
}

const meta_t *mvcc_meta(const mvcc_t *mvcc) { return &mvcc->meta; }

void mvcc_note_config(mvcc_t *m, uint64_t index, bytes_t packed) {
    m->meta.config_index = index;
    if (packed.len == 0) return;
    uint8_t *copy = arena_dup(&m->batch, packed.at, packed.len);
    mvcc_put_op(m, keys_config(), (bytes_t){copy, packed.len});
}

err_t mvcc_config(mvcc_t *m, arena_t *arena, bytes_t *ret_packed, why_t *why) {
    return kv_get(m->kv, keys_config(), arena, ret_packed, why);
}

void mvcc_begin_anew(mvcc_t *m, const mvcc_anew_t *anew) {
    assert(anew->revision >= m->meta.revision);
    m->meta.revision = m->meta.compacted = anew->revision;
    if (anew->nothing_to_prune) m->meta.pruned = anew->revision;
    m->meta.cluster_id = anew->cluster_id;
    m->meta.applied_index = anew->index;
    m->meta.applied_term = anew->term;
    mvcc_note_config(m, anew->index, anew->config);
}

err_t mvcc_import(mvcc_t *m, const Store__KeyValue *kv, uint32_t number, why_t *why) {
    change_t change = {
        .head = {.mod = kv->mod_revision,
                 .sub = number,
                 .create = kv->create_revision,
                 .version = kv->version,
                 .lease = kv->lease},
        .key = bytes_of(kv->key),
        .value = bytes_of(kv->value),
    };
    const head_t *h = &change.head;
    if (change.key.len == 0 || change.key.len > MVCC_KEY_BYTES_MAX || h->create <= 0 ||
        h->create > h->mod || h->version <= 0)
        return why_set(why, ERR_INVALID, "no key can be like number %u", number);
    change.key.at = arena_dup(&m->batch, change.key.at, change.key.len);
    mvcc_put_op(m, keys_change(&m->batch, h->mod, number), keys_put_change(&m->batch, &change));
    mvcc_put_op(m, keys_index(&m->batch, change.key, h->mod), keys_put_head(&m->batch, h));
    if (h->lease) mvcc_put_op(m, keys_attached(&m->batch, h->lease, change.key), (bytes_t){0});
    return ERR_OK;
}

void mvcc_set_cluster_id(mvcc_t *mvcc, uint64_t cluster_id) { mvcc->meta.cluster_id = cluster_id; }

err_t mvcc_flushed(mvcc_t *m, meta_t *ret_meta, why_t *why) {
    arena_t arena = {0};
    bytes_t value = {0};
    err_t err = kv_get_flushed(m->kv, keys_meta(), &arena, &value, why);
    *ret_meta = (meta_t){0};
    if (err == ERR_OK && value.at && !keys_get_meta(value, ret_meta))
        err = why_set(why, ERR_CORRUPT, "the state's meta record is damaged");
    arena_done(&arena);
    return err;
}

bool mvcc_is_refusal(err_t err) {
    return err == ERR_DEPOSED || err == ERR_COMPACTED || err == ERR_FUTURE_REVISION ||
           err == ERR_NOT_FOUND || err == ERR_INVALID || err == ERR_EXISTS || err == ERR_TOO_LARGE;
}

// ---- changes, for watches -----------------------------------------------------------------------
err_t mvcc_changes(mvcc_t *m, arena_t *arena, revision_t from, uint32_t from_sub, size_t bytes_max,
                   changes_t *ret_changes, why_t *why) {
    if (from <= m->meta.compacted)
        return why_set(why, ERR_COMPACTED, "revision %lld is compacted; the oldest kept is %lld",
                       (long long)from, (long long)m->meta.compacted + 1);
    VEC(change_t) found = {0};
    *ret_changes = (changes_t){.next = m->meta.revision + 1};
    size_t bytes = 0;
    revision_t last = 0;
    bytes_t key, value;
    err_t err = kv_seek(m->kv, keys_change(arena, from, from_sub), why);
    while (err == ERR_OK && kv_here(m->kv, &key, &value) && key.at[0] == KEYS_CHANGES) {
        change_t change;
        if (!keys_get_change(key, value, &change)) {
            err = why_set(why, ERR_CORRUPT, "a change cannot be read");
            break;
        }
        // Stop between two revisions; within one only when it alone is too large.
        if (bytes > bytes_max && (change.head.mod != last || bytes > 2 * bytes_max)) {
            ret_changes->next = change.head.mod;
            ret_changes->next_sub = change.head.mod == last ? change.head.sub : 0;
            break;
        }
        last = change.head.mod;
        bytes += value.len;
        uint8_t *copy = arena_dup(arena, change.key.at, change.key.len + change.value.len);
        change.key.at = copy;
        change.value.at = copy + change.key.len;
        vec_push(&found, change);
        err = kv_next(m->kv, why);
    }
    if (err == ERR_OK) {
        ret_changes->changes = arena_dup(arena, found.at, found.len * sizeof *found.at);
        ret_changes->len = found.len;
    }
    vec_done(&found);
    return err;
}
