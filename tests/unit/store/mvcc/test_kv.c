// Both backends of the kv port against each other, under dice.
#include "runtime/base/rng.h"
#include "store/mvcc/kv.h"
#include "store/rocks.h"
#include "tests/support/leaks.h"
#include <unistd.h>

static bytes_t key_of(char to[static 8], rng_t *rng) {
    char space = rng_chance(rng, 0.3) ? KV_GROWING : (char)('a' + rng_below(rng, 3));
    int len = snprintf(to, 8, "%c%d", space, (int)rng_below(rng, 60));
    return (bytes_t){(const uint8_t *)to, (size_t)len};
}

static void same_walk(kv_t *a, kv_t *b, bytes_t from) {
    why_t why;
    bytes_t ak, av, bk, bv;
    cr_assert_eq(kv_seek(a, from, &why), ERR_OK);
    cr_assert_eq(kv_seek(b, from, &why), ERR_OK);
    for (;;) {
        bool more = kv_here(a, &ak, &av);
        cr_assert_eq(kv_here(b, &bk, &bv), more);
        if (!more) return;
        cr_assert(bytes_eq(ak, bk));
        cr_assert(bytes_eq(av, bv));
        cr_assert_eq(kv_next(a, &why), ERR_OK);
        cr_assert_eq(kv_next(b, &why), ERR_OK);
    }
}

Test(kv, the_sorted_map_and_rocksdb_agree)
{
    char dir[] = "/tmp/store-kv-XXXXXX";
    cr_assert_not_null(mkdtemp(dir));
    why_t why;
    kv_t *map = kv_map_new(), *rocks = NULL;
    cr_assert_eq(rocks_open(dir, &rocks, &why), ERR_OK, "%s", why.text);
    rng_t rng;
    rng_init(&rng, 5);
    arena_t arena = {0};
    for (int step = 0; step < 400; step++) {
        char names[5][8];
        kv_op_t ops[5];
        size_t len = 1 + rng_below(&rng, 5);
        for (size_t i = 0; i < len; i++) {
            ops[i] = (kv_op_t){.key = key_of(names[i], &rng), .is_delete = rng_chance(&rng, 0.3)};
            if (!ops[i].is_delete) ops[i].value = ops[i].key;
        }
        cr_assert_eq(kv_write(map, ops, len, &why), ERR_OK);
        cr_assert_eq(kv_write(rocks, ops, len, &why), ERR_OK);
        char name[8];
        bytes_t key = key_of(name, &rng), a, b;
        cr_assert_eq(kv_get(map, key, &arena, &a, &why), ERR_OK);
        cr_assert_eq(kv_get(rocks, key, &arena, &b, &why), ERR_OK);
        cr_assert_eq(a.at == NULL, b.at == NULL);
        cr_assert(bytes_eq(a, b));
        if (step % 20 == 0) same_walk(map, rocks, key);
        if (step % 90 == 0) cr_assert_eq(kv_flush(rocks, &why), ERR_OK);
        arena_clear(&arena);
    }
    same_walk(map, rocks, (bytes_t){0});
    arena_done(&arena);
    kv_destroy(&map);
    kv_destroy(&rocks);
    CLEANUP(free_charp) char *command = str_printf("rm -r '%s'", dir);
    FILE *p = popen(command, "r");
    if (p) pclose(p);
    ASSERT_NO_LEAKS();
}

Test(kv, a_crash_of_the_map_goes_back_to_the_last_flush)
{
    kv_t *map = kv_map_new();
    arena_t arena = {0};
    why_t why;
    bytes_t value;
    kv_op_t one[] = {{bytes_of_str("a"), bytes_of_str("1"), false},
                     {bytes_of_str("b"), bytes_of_str("1"), false}};
    kv_op_t two[] = {{bytes_of_str("a"), bytes_of_str("2"), false},
                     {.key = bytes_of_str("b"), .is_delete = true},
                     {bytes_of_str("c"), bytes_of_str("2"), false}};
    cr_assert_eq(kv_write(map, one, 2, &why), ERR_OK);
    cr_assert_eq(kv_flush(map, &why), ERR_OK);
    cr_assert_eq(kv_write(map, two, 3, &why), ERR_OK);
    cr_assert_eq(kv_get_flushed(map, bytes_of_str("a"), &arena, &value, &why), ERR_OK);
    cr_assert_eq(value.at[0], '1');
    cr_assert_eq(kv_map_len(map), 2);
    kv_map_crash(map);
    cr_assert_eq(kv_map_len(map), 2);
    cr_assert_eq(kv_get(map, bytes_of_str("a"), &arena, &value, &why), ERR_OK);
    cr_assert_eq(value.at[0], '1');
    cr_assert_eq(kv_get(map, bytes_of_str("c"), &arena, &value, &why), ERR_OK);
    cr_assert_null(value.at);
    arena_done(&arena);
    kv_destroy(&map);
    ASSERT_NO_LEAKS();
}

// From one backend to the other, in pieces, while the source goes on being written.
static void copy(kv_t *from, kv_t *to, bool finish) {
    why_t why;
    kv_view_t *view = NULL;
    cr_assert_eq(kv_view_open(from, &view, &why), ERR_OK, "%s", why.text);
    cr_assert_eq(kv_replace_begin(to, &why), ERR_OK, "%s", why.text);
    arena_t arena = {0};
    bytes_t after = {0};
    for (size_t len = 1; len;) {
        kv_op_t *pairs = NULL;
        cr_assert_eq(kv_view_read(view, after, 40, &arena, &pairs, &len, &why), ERR_OK);
        if (len) after = pairs[len - 1].key;
        cr_assert_eq(kv_replace_add(to, pairs, len, &why), ERR_OK);
        kv_op_t late = {bytes_of_str("zz"), bytes_of_str("late"), false};
        cr_assert_eq(kv_write(from, &late, 1, &why), ERR_OK);
    }
    kv_view_close(&view);
    if (finish) cr_assert_eq(kv_replace_end(to, &why), ERR_OK, "%s", why.text);
    kv_op_t undo = {.key = bytes_of_str("zz"), .is_delete = true};
    cr_assert_eq(kv_write(from, &undo, 1, &why), ERR_OK);
    arena_done(&arena);
}

Test(kv, a_frozen_view_replaces_another_kv_whole)
{
    char folder[] = "/tmp/store-kv-XXXXXX";
    cr_assert_not_null(mkdtemp(folder));
    CLEANUP(free_charp) char *dir = str_printf("%s/db", folder);
    why_t why;
    kv_t *map = kv_map_new(), *rocks = NULL;
    cr_assert_eq(rocks_open(dir, &rocks, &why), ERR_OK, "%s", why.text);
    rng_t rng;
    rng_init(&rng, 6);
    for (int i = 0; i < 100; i++) {
        char name[8];
        kv_op_t op = {.key = key_of(name, &rng)};
        op.value = op.key;
        cr_assert_eq(kv_write(map, &op, 1, &why), ERR_OK);
        op.key = bytes_of_str("old");
        cr_assert_eq(kv_write(rocks, &op, 1, &why), ERR_OK);
    }
    copy(map, rocks, false); // given up half-way: all is as it was
    bytes_t old;
    arena_t arena = {0};
    cr_assert_eq(kv_get(rocks, bytes_of_str("old"), &arena, &old, &why), ERR_OK);
    cr_assert_not_null(old.at);
    copy(map, rocks, true);
    same_walk(map, rocks, (bytes_t){0});
    kv_destroy(&rocks);
    cr_assert_eq(rocks_open(dir, &rocks, &why), ERR_OK, "%s", why.text);
    same_walk(map, rocks, (bytes_t){0});
    kv_t *third = kv_map_new();
    copy(rocks, third, true);
    same_walk(third, rocks, (bytes_t){0});
    kv_map_crash(third);
    same_walk(third, rocks, (bytes_t){0});
    kv_destroy(&rocks);
    kv_destroy(&third);
    kv_destroy(&map);
    arena_done(&arena);
    CLEANUP(free_charp) char *command = str_printf("rm -r '%s'", folder);
    FILE *p = popen(command, "r");
    if (p) pclose(p);
    ASSERT_NO_LEAKS();
}
