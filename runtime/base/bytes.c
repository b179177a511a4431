#include "runtime/base/bytes.h"

int bytes_cmp(bytes_t a, bytes_t b) {
    size_t shared = a.len < b.len ? a.len : b.len;
    int order = shared ? memcmp(a.at, b.at, shared) : 0;
    if (order) return order;
    return (a.len > b.len) - (a.len < b.len);
}

blob_t *blob_new(size_t len) {
    blob_t *b = mem_new(sizeof *b + len + 1);
    atomic_init(&b->refs, 1);
    b->len = len;
    return b;
}

blob_t *blob_from(const void *at, size_t len) {
    blob_t *b = blob_new(len);
    if (len) memcpy(b->at, at, len);
    return b;
}

blob_t *blob_ref(blob_t *b) {
    if (b) atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
    return b;
}

void blob_unref(blob_t **b) {
    blob_t *blob = x_steal(b);
    if (blob && atomic_fetch_sub_explicit(&blob->refs, 1, memory_order_acq_rel) == 1) free(blob);
}
