// The floor: arena, text, maps, blobs, errors, dice.
#include "runtime/base/arena.h"
#include "runtime/base/bytes.h"
#include "runtime/base/hash.h"
#include "runtime/base/map.h"
#include "runtime/base/rng.h"
#include "runtime/base/text.h"
#include "runtime/base/vec.h"
#include "runtime/base/why.h"
#include "support/leaks.h"
#include <errno.h>
#include <signal.h>

Test(arena, refuses_past_its_limit_and_recovers_when_cleared)
{
    arena_t a = {.limit = 4096};
    cr_assert_not_null(arena_alloc(&a, 4000));
    cr_assert_null(arena_alloc(&a, 4000));
    cr_assert(a.hit_limit);
    cr_assert_null(arena_alloc(&a, SIZE_MAX));
    arena_clear(&a);
    cr_assert_not(a.hit_limit);
    char *zeroed = arena_alloc(&a, 4000);
    for (int i = 0; i < 4000; i++) cr_assert_eq(zeroed[i], 0);
    arena_done(&a);
    ASSERT_NO_LEAKS();
}

Test(text, grows_on_heap_and_arena_alike)
{
    arena_t a = {0};
    text_t heap = TEXT_HEAP, inside = {.arena = &a};
    for (int i = 0; i < 1000; i++) text_addf(&heap, "%d,", i), text_addf(&inside, "%d,", i);
    cr_assert_str_eq(heap.at, inside.at);
    cr_assert_eq(heap.len, strlen(heap.at));
    text_done(&heap);
    arena_done(&a);
    ASSERT_NO_LEAKS();
}

Test(map, holds_what_was_put_through_growth_and_removal)
{
    map_t m = {0};
    imap_t im = {0};
    static int values[5000];
    char key[16];
    for (int i = 0; i < 5000; i++) {
        snprintf(key, sizeof key, "k%d", i);
        cr_assert_null(map_put(&m, key, &values[i]));
        cr_assert_null(imap_put(&im, (uint64_t)i, &values[i]));
    }
    for (int i = 0; i < 5000; i += 2) {
        snprintf(key, sizeof key, "k%d", i);
        cr_assert_eq(map_remove(&m, key), &values[i]);
        cr_assert_eq(imap_remove(&im, (uint64_t)i), &values[i]);
    }
    for (int i = 0; i < 5000; i++) {
        snprintf(key, sizeof key, "k%d", i);
        cr_assert_eq(map_get(&m, key), i % 2 ? &values[i] : NULL);
        cr_assert_eq(imap_get(&im, (uint64_t)i), i % 2 ? &values[i] : NULL);
    }
    cr_assert_eq(map_len(&m), 2500);
    const char **keys = map_sorted_keys(&m);
    for (size_t i = 1; i < 2500; i++) cr_assert_lt(strcmp(keys[i - 1], keys[i]), 0);
    free(keys);
    map_done(&m);
    imap_done(&im);
    ASSERT_NO_LEAKS();
}

Test(bytes, a_blob_lives_until_its_last_reference)
{
    blob_t *b = blob_from("abc", 3), *c = blob_ref(b);
    blob_unref(&b);
    cr_assert_null(b);
    cr_assert_str_eq((char *)c->at, "abc");
    blob_unref(&c);
    cr_assert_lt(bytes_cmp(bytes_of_str("ab"), bytes_of_str("abc")), 0);
    ASSERT_NO_LEAKS();
}

Test(hash, agrees_with_published_values)
{
    cr_assert_eq(hash_crc32c(0, "123456789", 9), 0xe3069283u); // RFC 3720
    cr_assert_eq(hash_crc32c(hash_crc32c(0, "1234", 4), "56789", 5), 0xe3069283u);
    cr_assert_eq(hash_fnv32a("a", 1), 0xe40c292cu);
}

Test(rng, throws_the_same_dice_for_the_same_seed)
{
    rng_t a, b;
    rng_init(&a, 7);
    rng_init(&b, 7);
    for (int i = 0; i < 1000; i++) {
        cr_assert_eq(rng_next(&a), rng_next(&b));
        cr_assert_lt(rng_below(&a, 10), 10);
        rng_below(&b, 10);
    }
}

Test(err, a_why_reads_from_the_outside_in)
{
    why_t why;
    err_t e = why_errno(&why, ENOSPC, "write segment 3");
    cr_assert_eq(e, ERR_DISK_FULL);
    why_wrap(&why, e, "store");
    cr_assert_str_eq(why.text, "store: write segment 3: No space left on device");
    cr_assert_eq(err_http(ERR_NOT_FOUND), 404);
    cr_assert_str_eq(err_name((err_t)9999), "INTERNAL");
}

Test(vec, keeps_order_when_asked)
{
    VEC(int) v = {0};
    for (int i = 0; i < 100; i++) vec_push(&v, i);
    vec_remove(&v, 0);
    cr_assert_eq(v.at[0], 1);
    vec_insert(&v, 0, 42);
    cr_assert_eq(v.at[0], 42);
    cr_assert_eq(v.at[99], 99);
    vec_done(&v);
    ASSERT_NO_LEAKS();
}

Test(canary, asserts_are_alive, .signal = SIGABRT)
{ map_put(&(map_t){0}, "k", NULL); }
