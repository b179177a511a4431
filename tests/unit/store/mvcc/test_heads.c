#include "runtime/base/rng.h"
#include "store/mvcc/heads.h"
#include "tests/support/leaks.h"

static bytes_t key_of(char to[static 32], uint64_t number) {
    return (bytes_t){(const uint8_t *)to,
                     (size_t)snprintf(to, 32, "key-%llu", (unsigned long long)number)};
}

Test(heads, knows_all_or_says_that_it_does_not)
{
    heads_t heads = {0};
    enum { KEYS = HEADS_SLOTS_MAX, ROOM = HEADS_SLOTS_MAX / 2 };
    char key[32];
    head_t head = {0}, got;
    for (int i = 0; i < KEYS; i++) {
        head.mod = i;
        heads_put(&heads, key_of(key, (uint64_t)i), &head);
        cr_assert(heads_get(&heads, key_of(key, (uint64_t)i), &got));
        cr_assert_eq(got.mod, i);
        if (i == ROOM - 1) cr_assert_not(heads.has_lost);
    }
    cr_assert(heads.has_lost);
    size_t kept = 0;
    for (int i = 0; i < KEYS; i++) {
        if (!heads_get(&heads, key_of(key, (uint64_t)i), &got)) continue;
        cr_assert_eq(got.mod, i);
        kept++;
    }
    cr_assert_eq(kept, ROOM);
    heads_done(&heads);
    char giant[HEADS_KEY_BYTES_MAX + 1] = "giant";
    bytes_t at = {(const uint8_t *)giant, sizeof giant};
    heads_put(&heads, at, &head);
    cr_assert_not(heads_get(&heads, at, &got));
    cr_assert(heads.has_lost);
    heads_done(&heads);
    ASSERT_NO_LEAKS();
}

static int by_key(const void *a, const void *b) {
    const heads_entry_t *x = *(const heads_entry_t *const *)a,
                        *y = *(const heads_entry_t *const *)b;
    return bytes_cmp(heads_entry_key(x), heads_entry_key(y));
}

// The order has just the keys there are, sorted, and counts any range of them.
static void check_order(const heads_t *heads, uint64_t keys, rng_t *rng) {
    VEC(const heads_entry_t *) sorted = {0};
    for (size_t i = 0; i < heads->len; i++)
        if (heads->slots[i].entry) vec_push(&sorted, heads->slots[i].entry);
    qsort(sorted.at, sorted.len, sizeof *sorted.at, by_key);
    order_place_t place = order_seek(&heads->order, (bytes_t){0});
    for (size_t i = 0; i < sorted.len; i++, place = order_next(&heads->order, place))
        cr_assert_eq(order_at(&heads->order, place), sorted.at[i]);
    cr_assert_null(order_at(&heads->order, place));
    for (int i = 0; i < 1000; i++) {
        char a[32], b[32];
        bytes_t from = key_of(a, rng_below(rng, keys)), end = key_of(b, rng_below(rng, keys));
        if (i % 10 == 0) end = (bytes_t){(const uint8_t *)"", 1};
        size_t count = 0;
        for (size_t j = 0; j < sorted.len; j++) {
            bytes_t key = heads_entry_key(sorted.at[j]);
            count += bytes_cmp(key, from) >= 0 && (i % 10 == 0 || bytes_cmp(key, end) < 0);
        }
        cr_assert_eq(order_count(&heads->order, from, end), count);
        const heads_entry_t *first = order_at(&heads->order, order_seek(&heads->order, from));
        cr_assert(!first || bytes_cmp(heads_entry_key(first), from) >= 0);
    }
    vec_done(&sorted);
}

Test(heads, keys_come_and_go_and_the_others_are_found)
{
    enum { KEYS = 5000, STEPS = 100 * 1000 };
    heads_t heads = {0};
    int64_t *truth = mem_new(KEYS * sizeof *truth); // 0: removed
    rng_t rng;
    rng_init(&rng, 1);
    char key[32];
    head_t head = {0}, got;
    for (int64_t step = 1; step <= STEPS; step++) {
        uint64_t i = rng_below(&rng, KEYS);
        if (rng_chance(&rng, 0.5)) {
            truth[i] = head.mod = step;
            heads_put(&heads, key_of(key, i), &head);
        } else {
            truth[i] = 0;
            heads_remove(&heads, key_of(key, i));
        }
    }
    check_order(&heads, KEYS, &rng);
    for (uint64_t i = 0; i < KEYS; i++) {
        bool found = heads_get(&heads, key_of(key, i), &got);
        cr_assert_eq(found, truth[i] != 0);
        if (found) cr_assert_eq(got.mod, truth[i]);
    }
    cr_assert_not(heads.has_lost);
    free(truth);
    heads_done(&heads);
    ASSERT_NO_LEAKS();
}
