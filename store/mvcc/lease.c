// Leases as the state machine knows them: a number, a time to live, keys. When one ends is for the
// leader to say, by an entry.
#include "store/mvcc/mvcc_state.h"

err_t mvcc_lease_grant(mvcc_t *m, int64_t lease, int64_t ttl_ms, why_t *why) {
    bool has = false;
    err_t err = mvcc_has_lease(m, &m->batch, lease, &has, why);
    if (err != ERR_OK) return err;
    if (has) return why_set(why, ERR_EXISTS, "lease %lld exists", (long long)lease);
    mvcc_put_op(m, keys_lease(&m->batch, lease), keys_put_ttl(&m->batch, ttl_ms));
    return ERR_OK;
}

err_t mvcc_lease_revoke(mvcc_t *m, int64_t lease, why_t *why) {
    err_t err = mvcc_write_pending(m, why); // its keys are found by walking
    bool has = false;
    if (err == ERR_OK) err = mvcc_has_lease(m, &m->batch, lease, &has, why);
    if (err == ERR_OK && !has)
        err = why_set(why, ERR_NOT_FOUND, "there is no lease %lld", (long long)lease);
    if (err != ERR_OK) return err;
    arena_t arena = {0};
    bytes_t *keys = NULL;
    size_t len = 0;
    err = mvcc_lease_keys(m, &arena, lease, &keys, &len, why);
    mvcc_begin(m);
    mvcc_delete_op(m, keys_lease(&m->batch, lease));
    for (size_t i = 0; i < len && err == ERR_OK; i++) {
        head_t head;
        bool found;
        err = mvcc_head(m, &arena, keys[i], &found, &head, why);
        if (err == ERR_OK && found && head.lease == lease)
            err = mvcc_delete(m, keys[i], &head, why);
    }
    mvcc_end(m, err == ERR_OK);
    arena_done(&arena);
    return err;
}

err_t mvcc_leases(mvcc_t *m, arena_t *arena, lease_info_t **ret_leases, size_t *ret_len,
                  why_t *why) {
    VEC(lease_info_t) found = {0};
    bytes_t key, value;
    err_t err = kv_seek(m->kv, keys_lease(arena, 0), why);
    while (err == ERR_OK && kv_here(m->kv, &key, &value) && key.at[0] == 'l') {
        lease_info_t lease;
        if (!keys_get_lease(key, value, &lease.id, &lease.ttl_ms))
            err = why_set(why, ERR_CORRUPT, "a lease cannot be read");
        else {
            vec_push(&found, lease);
            err = kv_next(m->kv, why);
        }
    }
    if (err == ERR_OK) {
        *ret_leases = arena_dup(arena, found.at, found.len * sizeof *found.at);
        *ret_len = found.len;
    }
    vec_done(&found);
    return err;
}

err_t mvcc_lease_keys(mvcc_t *m, arena_t *arena, int64_t lease, bytes_t **ret_keys, size_t *ret_len,
                      why_t *why) {
    VEC(bytes_t) found = {0};
    bytes_t key, value;
    err_t err = kv_seek(m->kv, keys_attached(arena, lease, (bytes_t){0}), why);
    while (err == ERR_OK && kv_here(m->kv, &key, &value)) {
        int64_t id;
        bytes_t attached;
        if (!keys_get_attached(key, &id, &attached) || id != lease) break;
        attached.at = arena_dup(arena, attached.at, attached.len);
        vec_push(&found, attached);
        err = kv_next(m->kv, why);
    }
    if (err == ERR_OK) {
        *ret_keys = arena_dup(arena, found.at, found.len * sizeof *found.at);
        *ret_len = found.len;
    }
    vec_done(&found);
    return err;
}
