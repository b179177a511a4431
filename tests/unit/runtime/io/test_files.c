// The files port: both sides do the same, and the fake one is as unkind as a disk may be.
#include "runtime/io/files.h"
#include "tests/support/leaks.h"
#include <unistd.h>

static bytes_t bytes(const char *s) { return bytes_of_str(s); }

static file_t *opened(files_t *files, const char *path) {
    file_t *file = NULL;
    why_t why;
    cr_assert_eq(files_open(files, path, FILE_OPEN_CREATE, &file, &why), ERR_OK, "%s", why.text);
    return file;
}

static char *content(files_t *files, const char *path) {
    file_t *file = NULL;
    why_t why;
    if (files_open(files, path, FILE_OPEN_READ, &file, &why) != ERR_OK) return str_dup("(none)");
    char text[8192] = {0};
    size_t len = 0;
    cr_assert_eq(file_read_at(file, 0, text, sizeof text - 1, &len, &why), ERR_OK);
    file_close(&file);
    return str_dup_n(text, len);
}

static void same_on_both(files_t *files, const char *dir) {
    CLEANUP(free_charp) char *a = str_printf("%s/sub/a", dir);
    CLEANUP(free_charp) char *b = str_printf("%s/sub/b", dir);
    CLEANUP(free_charp) char *sub = str_printf("%s/sub", dir);
    why_t why;
    cr_assert_eq(files_make_dir(files, sub, &why), ERR_OK, "%s", why.text);
    file_t *file = opened(files, a);
    cr_assert_eq(file_allocate(file, 1000, &why), ERR_OK);
    uint64_t size = 0;
    cr_assert_eq(file_size(file, &size, &why), ERR_OK);
    cr_assert_eq(size, 1000);
    cr_assert_eq(file_write_at(file, 998, bytes("abcd"), &why), ERR_OK);
    cr_assert_eq(file_sync(file, &why), ERR_OK);
    cr_assert_eq(file_size(file, &size, &why), ERR_OK);
    cr_assert_eq(size, 1002);
    char end[8] = {0};
    size_t len = 0;
    cr_assert_eq(file_read_at(file, 996, end, sizeof end, &len, &why), ERR_OK);
    cr_assert_eq(len, 6);
    cr_assert_eq(memcmp(end, "\0\0abcd", 6), 0);
    file_close(&file);
    cr_assert_eq(files_rename(files, a, b, &why), ERR_OK);
    cr_assert_eq(files_sync_dir(files, sub, &why), ERR_OK);
    arena_t arena = {0};
    const char **names = NULL;
    cr_assert_eq(files_list(files, sub, &arena, &names, &len, &why), ERR_OK);
    cr_assert_eq(len, 1);
    cr_assert_str_eq(names[0], "b");
    arena_done(&arena);
    cr_assert_eq(files_open(files, a, FILE_OPEN_WRITE, &file, &why), ERR_NOT_FOUND);
    file_t *lock = NULL, *second = NULL;
    cr_assert_eq(files_lock(files, b, &lock, &why), ERR_OK);
    cr_assert_eq(files_lock(files, b, &second, &why), ERR_EXISTS);
    file_close(&lock);
    cr_assert_eq(files_lock(files, b, &second, &why), ERR_OK);
    file_close(&second);
    cr_assert_eq(files_remove(files, b, &why), ERR_OK);
    cr_assert_eq(files_remove(files, b, &why), ERR_NOT_FOUND);
}

Test(files, both_sides_do_the_same)
{
    char dir[] = "/tmp/store-files-XXXXXX";
    cr_assert_not_null(mkdtemp(dir));
    same_on_both(files_real(), dir);
    CLEANUP(free_charp) char *sub = str_printf("%s/sub", dir);
    rmdir(sub);
    rmdir(dir);
    files_t *fake = files_fake_new(1);
    same_on_both(fake, "/data");
    files_fake_destroy(&fake);
    ASSERT_NO_LEAKS();
}

// What was synced is there; what was not is whole, gone or torn, and over many seeds all three.
Test(files, a_crash_loses_keeps_and_tears_what_was_not_synced)
{
    enum { LEN = 4 * FILES_SECTOR_BYTES };
    size_t whole = 0, gone = 0, torn = 0;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        files_t *files = files_fake_new(seed);
        why_t why;
        file_t *file = opened(files, "/d/f");
        cr_assert_eq(file_allocate(file, 2 * LEN, &why), ERR_OK);
        cr_assert_eq(file_write_at(file, 0, bytes("synced"), &why), ERR_OK);
        cr_assert_eq(file_sync(file, &why), ERR_OK);
        cr_assert_eq(files_sync_dir(files, "/d", &why), ERR_OK);
        uint8_t more[LEN];
        memset(more, 'x', sizeof more);
        cr_assert_eq(file_write_at(file, LEN, (bytes_t){more, LEN}, &why), ERR_OK);
        files_fake_crash(files);
        cr_assert_eq(file_sync(file, &why), ERR_IO); // a handle of before the crash
        file_close(&file);
        CLEANUP(free_charp) char *start = content(files, "/d/f");
        cr_assert_eq(memcmp(start, "synced", 6), 0);
        file = opened(files, "/d/f");
        uint8_t back[LEN];
        size_t len = 0, kept = 0;
        cr_assert_eq(file_read_at(file, LEN, back, LEN, &len, &why), ERR_OK);
        for (size_t i = 0; i < len; i++) kept += back[i] == 'x';
        whole += kept == LEN;
        gone += kept == 0;
        torn += kept > 0 && kept < LEN;
        file_close(&file);
        files_fake_destroy(&files);
    }
    cr_assert(whole > 5 && gone > 5 && torn > 5, "%zu whole, %zu gone, %zu torn", whole, gone,
              torn);
    ASSERT_NO_LEAKS();
}

Test(files, a_rename_that_was_not_synced_is_undone_as_a_whole_or_not_at_all)
{
    size_t undone = 0;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        files_t *files = files_fake_new(seed);
        why_t why;
        file_t *file = opened(files, "/d/a");
        cr_assert_eq(file_write_at(file, 0, bytes("a"), &why), ERR_OK);
        cr_assert_eq(file_sync(file, &why), ERR_OK);
        file_close(&file);
        cr_assert_eq(files_sync_dir(files, "/d", &why), ERR_OK);
        cr_assert_eq(files_rename(files, "/d/a", "/d/b", &why), ERR_OK);
        files_fake_crash(files);
        CLEANUP(free_charp) char *a = content(files, "/d/a");
        CLEANUP(free_charp) char *b = content(files, "/d/b");
        cr_assert(streq(a, "a") != streq(b, "a"), "a is %s, b is %s", a, b);
        undone += streq(a, "a");
        files_fake_destroy(&files);
    }
    cr_assert(undone > 5 && undone < 35, "%zu", undone);
    ASSERT_NO_LEAKS();
}

Test(files, a_full_disk_refuses_and_takes_again_when_there_is_room)
{
    files_t *files = files_fake_new(1);
    files_fake_set_capacity(files, 1000);
    why_t why;
    file_t *a = opened(files, "/d/a"), *b = opened(files, "/d/b");
    cr_assert_eq(file_allocate(a, 900, &why), ERR_OK);
    cr_assert_eq(file_allocate(b, 200, &why), ERR_DISK_FULL);
    cr_assert_eq(file_write_at(b, 0, bytes("ok"), &why), ERR_OK);
    cr_assert_eq(files_remove(files, "/d/a", &why), ERR_OK);
    cr_assert_eq(file_allocate(b, 200, &why), ERR_OK);
    file_close(&a);
    file_close(&b);
    files_fake_destroy(&files);
    ASSERT_NO_LEAKS();
}

Test(files, the_power_goes_at_the_wanted_write)
{
    files_t *files = files_fake_new(1);
    why_t why;
    file_t *file = opened(files, "/d/a");
    files_fake_cut_after(files, 2);
    cr_assert_eq(file_write_at(file, 0, bytes("1"), &why), ERR_OK);
    cr_assert_eq(file_sync(file, &why), ERR_OK);
    cr_assert_eq(file_write_at(file, 1, bytes("2"), &why), ERR_IO);
    cr_assert(files_fake_is_cut(files));
    files_fake_crash(files);
    cr_assert_not(files_fake_is_cut(files));
    file_close(&file);
    files_fake_destroy(&files);
    ASSERT_NO_LEAKS();
}

Test(files, a_slow_disk_says_how_long_it_took)
{
    files_t *files = files_fake_new(1);
    files_fake_set_delay(files, 100, 200);
    why_t why;
    file_t *file = opened(files, "/d/a");
    cr_assert_eq(file_sync(file, &why), ERR_OK);
    int64_t delay = files_take_delay_us(files);
    cr_assert(delay >= 100 && delay <= 200);
    cr_assert_eq(files_take_delay_us(files), 0);
    file_close(&file);
    files_fake_destroy(&files);
    ASSERT_NO_LEAKS();
}
