#include "runtime/base/vec.h"

void vec_reserve_(void **at, size_t *cap, size_t count, size_t elem_size) {
    if (count <= *cap) return;
    size_t grown = *cap ? *cap : 8;
    while (grown < count) grown *= 2;
    *at = mem_resize(*at, grown * elem_size);
    memset((char *)*at + *cap * elem_size, 0, (grown - *cap) * elem_size);
    *cap = grown;
}
