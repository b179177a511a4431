// vec - a growing array of any type: `VEC(pod_t) pods = {0}; vec_push(&pods, pod);`.
//
// Elements are `v.at[0 .. v.len)`. Pushing may move them: keep indexes, not pointers.
#pragma once
#include "runtime/base/check.h"

#define VEC(type)        \
    struct {             \
        type *at;        \
        size_t len, cap; \
    }

#define vec_push(v, value)                                                         \
    do {                                                                           \
        vec_reserve_((void **)&(v)->at, &(v)->cap, (v)->len + 1, sizeof *(v)->at); \
        (v)->at[(v)->len++] = (value);                                             \
    } while (0)
#define vec_reserve(v, count) vec_reserve_((void **)&(v)->at, &(v)->cap, (count), sizeof *(v)->at)
// Remove element i by moving the last one into its place (order is lost) …
#define vec_swap_remove(v, i) ((v)->at[i] = (v)->at[--(v)->len])
// … or by closing the gap (order is kept).
#define vec_remove(v, i) \
    (memmove(&(v)->at[i], &(v)->at[(i) + 1], ((v)->len - (i)-1) * sizeof *(v)->at), (v)->len--)
#define vec_insert(v, i, value)                                                      \
    do {                                                                             \
        vec_reserve_((void **)&(v)->at, &(v)->cap, (v)->len + 1, sizeof *(v)->at);   \
        memmove(&(v)->at[(i) + 1], &(v)->at[i], ((v)->len - (i)) * sizeof *(v)->at); \
        (v)->at[i] = (value);                                                        \
        (v)->len++;                                                                  \
    } while (0)
// The first place in a sorted vector (or anything with `at` and `len`) whose element is not before
// what is looked for; `it` names the element in the condition.
#define vec_place(v, it, is_before)                             \
    ({                                                          \
        size_t low_ = 0, high_ = (v)->len;                      \
        while (low_ < high_) {                                  \
            size_t middle_ = (low_ + high_) / 2;                \
            const __typeof__(*(v)->at) *it = &(v)->at[middle_]; \
            if (is_before)                                      \
                low_ = middle_ + 1;                             \
            else                                                \
                high_ = middle_;                                \
        }                                                       \
        low_;                                                   \
    })
#define vec_reset(v) ((v)->len = 0)
#define vec_done(v)  (free((v)->at), (v)->at = NULL, (v)->len = (v)->cap = 0)

void vec_reserve_(void **at, size_t *cap, size_t count, size_t elem_size);
