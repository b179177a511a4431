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

// Behind the bytes and their NUL, aligned.
typedef struct {
    void *what;
    void (*drop)(void *what);
} attached_t;

static attached_t *attached_of(const blob_t *b) {
    size_t at = (b->len + 1 + sizeof(void *) - 1) & ~(sizeof(void *) - 1);
    return (attached_t *)(b->at + at);
}

blob_t *blob_with(bytes_t bytes, void *attached, void (*drop)(void *attached)) {
    blob_t *b = blob_new(bytes.len + sizeof(void *) + sizeof(attached_t));
    b->len = bytes.len;
    b->has_attached = true;
    if (bytes.len) memcpy(b->at, bytes.at, bytes.len);
    *attached_of(b) = (attached_t){attached, drop};
    return b;
}

void *blob_attached(const blob_t *b) { return b && b->has_attached ? attached_of(b)->what : NULL; }

void blob_unref(blob_t **b) {
    blob_t *blob = x_steal(b);
    if (!blob || atomic_fetch_sub_explicit(&blob->refs, 1, memory_order_acq_rel) != 1) return;
    if (blob->has_attached) attached_of(blob)->drop(attached_of(blob)->what);
    free(blob);
}
