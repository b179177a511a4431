#include "store/mvcc/kv.h"

void kv_destroy(kv_t **kv) {
    kv_t *k = x_steal(kv);
    if (k) k->ops->destroy(k);
}
err_t kv_get(kv_t *kv, bytes_t key, arena_t *arena, bytes_t *ret_value, why_t *why) {
    return kv->ops->get(kv, key, arena, false, ret_value, why);
}
err_t kv_get_many(kv_t *kv, const bytes_t *keys, size_t len, arena_t *arena, bytes_t *values,
                  why_t *why) {
    assert(len <= KV_GET_MANY_MAX);
    if (kv->ops->get_many) return kv->ops->get_many(kv, keys, len, arena, values, why);
    err_t err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < len; i++)
        err = kv->ops->get(kv, keys[i], arena, false, &values[i], why);
    return err;
}
err_t kv_get_flushed(kv_t *kv, bytes_t key, arena_t *arena, bytes_t *ret_value, why_t *why) {
    return kv->ops->get(kv, key, arena, true, ret_value, why);
}
err_t kv_write(kv_t *kv, const kv_op_t *ops, size_t len, why_t *why) {
    assert(ops || len == 0);
    return kv->ops->write(kv, ops, len, why);
}
err_t kv_flush(kv_t *kv, why_t *why) { return kv->ops->flush(kv, why); }
uint64_t kv_disk_bytes(kv_t *kv) { return kv->ops->disk_bytes(kv); }
err_t kv_seek(kv_t *kv, bytes_t key, why_t *why) { return kv->ops->seek(kv, key, why); }
err_t kv_next(kv_t *kv, why_t *why) { return kv->ops->next(kv, why); }
bool kv_here(kv_t *kv, bytes_t *ret_key, bytes_t *ret_value) {
    return kv->ops->here(kv, ret_key, ret_value);
}

err_t kv_view_open(kv_t *kv, kv_view_t **ret_view, why_t *why) {
    return kv->ops->view_open(kv, ret_view, why);
}
err_t kv_view_read(kv_view_t *view, bytes_t after, size_t bytes_max, arena_t *arena,
                   kv_op_t **ret_pairs, size_t *ret_len, why_t *why) {
    return view->ops->view_read(view, after, bytes_max, arena, ret_pairs, ret_len, why);
}
void kv_view_close(kv_view_t **view) {
    kv_view_t *v = x_steal(view);
    if (v) v->ops->view_close(v);
}
err_t kv_replace_begin(kv_t *kv, why_t *why) { return kv->ops->replace_begin(kv, why); }
err_t kv_replace_add(kv_t *kv, const kv_op_t *pairs, size_t len, why_t *why) {
    return kv->ops->replace_add(kv, pairs, len, why);
}
err_t kv_replace_end(kv_t *kv, why_t *why) { return kv->ops->replace_end(kv, why); }
