#include "runtime/io/logfile.h"
#include "support/leaks.h"
#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static off_t size_of(const char *path) {
    struct stat st;
    return stat(path, &st) < 0 ? -1 : st.st_size;
}

Test(logfile, is_put_aside_under_the_hands_of_its_writer)
{
    char path[] = "/tmp/troupe-logfile-XXXXXX";
    int made = mkstemp(path);
    cr_assert_geq(made, 0);
    close(made);
    char *older CLEANUP(free_charp) = str_printf("%s.1", path);
    int writer CLEANUP(close_fdp) = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    why_t why = {0};
    cr_assert_eq(write(writer, "0123456789", 10), 10);
    cr_assert_eq(logfile_turn(path, 11, &why), ERR_OK);
    cr_assert(size_of(path) == 10 && size_of(older) == -1, "a short one stays");
    cr_assert_eq(logfile_turn(path, 10, &why), ERR_OK, "%s", why.text);
    cr_assert(size_of(path) == 0 && size_of(older) == 10);
    cr_assert_eq(write(writer, "abc", 3), 3);
    cr_assert_eq(size_of(path), 3, "the writer goes on at the beginning");
    cr_assert_eq(logfile_turn(path, 3, &why), ERR_OK);
    cr_assert_eq(size_of(older), 3, "one older log is kept");
    cr_assert_eq(logfile_turn("/nowhere/at/all", 1, &why), ERR_OK, "no log, nothing to do");
    unlink(path);
    unlink(older);
    ASSERT_NO_LEAKS();
}
