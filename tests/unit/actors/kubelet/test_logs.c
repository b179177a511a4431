// The log reader: CRI's lines in, people's lines out.
#include "actors/kubelet/logs.h"
#include "support/leaks.h"
#include <fcntl.h>
#include <unistd.h>

static const char file_text[] = "2026-11-22T08:00:00.1Z stdout F one\n"
                                "2026-11-22T08:00:01.2Z stderr F two words\n"
                                "2026-11-22T08:00:02.3Z stdout P thr\n"
                                "2026-11-22T08:00:02.4Z stdout F ee\n"
                                "2026-11-22T08:00:03.5Z stdout F \n";

Test(logs, lines_lose_their_heads_and_parts_are_joined)
{
    log_filter_t filter = {0};
    text_t out = TEXT_HEAP;
    cr_assert_eq(logs_filter(&filter, file_text, strlen(file_text), &out), strlen(file_text));
    cr_assert_str_eq(out.at, "one\ntwo words\nthree\n\n");
    text_done(&out);
    ASSERT_NO_LEAKS();
}

Test(logs, an_unfinished_line_waits)
{
    log_filter_t filter = {0};
    text_t out = TEXT_HEAP;
    size_t used = logs_filter(&filter, file_text, 50, &out);
    cr_assert_eq(used, 36);
    cr_assert_str_eq(out.at, "one\n");
    (void)logs_filter(&filter, file_text + used, strlen(file_text) - used, &out);
    cr_assert_str_eq(out.at, "one\ntwo words\nthree\n\n");
    text_done(&out);
    ASSERT_NO_LEAKS();
}

Test(logs, timestamps_stand_before_each_line)
{
    log_filter_t filter = {.options.timestamps = true};
    text_t out = TEXT_HEAP;
    (void)logs_filter(&filter, file_text, strlen(file_text), &out);
    cr_assert_str_eq(out.at, "2026-11-22T08:00:00.1Z one\n2026-11-22T08:00:01.2Z two "
                             "words\n2026-11-22T08:00:02.3Z three\n2026-11-22T08:00:03.5Z \n");
    text_done(&out);
    ASSERT_NO_LEAKS();
}

Test(logs, since_passes_over_whole_lines)
{
    log_filter_t filter = {.options.since_ms = logs_time_ms("2026-11-22T08:00:02Z", 20)};
    text_t out = TEXT_HEAP;
    (void)logs_filter(&filter, file_text, strlen(file_text), &out);
    cr_assert_str_eq(out.at, "three\n\n");
    text_done(&out);
    ASSERT_NO_LEAKS();
}

Test(logs, torn_lines_are_passed_over)
{
    log_filter_t filter = {0};
    text_t out = TEXT_HEAP;
    const char torn[] = "2026-11-2\n\nx y\n2026-11-22T08:00:00Z stdout F whole\n";
    cr_assert_eq(logs_filter(&filter, torn, strlen(torn), &out), strlen(torn));
    cr_assert_str_eq(text_str(&out), "whole\n");
    text_done(&out);
    ASSERT_NO_LEAKS();
}

Test(logs, the_tail_begins_where_the_last_lines_begin)
{
    char path[] = "/tmp/kubelet-logs-XXXXXX";
    int fd = mkstemp(path);
    cr_assert_eq(write(fd, file_text, strlen(file_text)), (ssize_t)strlen(file_text));
    struct {
        int64_t lines;
        const char *from;
    } table[] = {
        {0, ""},
        {1, "2026-11-22T08:00:03.5Z stdout F \n"},
        {2, "2026-11-22T08:00:02.4Z"},
        {5, "2026-11-22T08:00:00.1Z"},
        {99, "2026-11-22T08:00:00.1Z"},
    };
    for (size_t i = 0; i < LENGTH_OF(table); i++) {
        int64_t at = logs_tail_offset(fd, table[i].lines);
        cr_expect(has_prefix(file_text + at, table[i].from), "%lld lines",
                  (long long)table[i].lines);
    }
    close(fd);
    unlink(path);
    ASSERT_NO_LEAKS();
}

static void write_file(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

Test(logs, a_log_that_is_too_long_moves_aside)
{
    char dir[] = "/tmp/kubelet-rotate-XXXXXX", path[64], old[80], older[80], oldest[80];
    cr_assert_not_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/0.log", dir);
    snprintf(old, sizeof old, "%s.1", path);
    snprintf(older, sizeof older, "%s.2", path);
    snprintf(oldest, sizeof oldest, "%s.3", path);
    cr_expect_not(logs_rotate(path, 5, 3), "there is none yet");
    for (int i = 0; i < 4; i++) {
        write_file(path, "12345");
        cr_expect_not(logs_rotate(path, 5, 3));
        write_file(path, "123456");
        cr_expect(logs_rotate(path, 5, 3));
        cr_expect(access(path, F_OK) < 0 && access(old, F_OK) == 0);
    }
    cr_expect_eq(access(older, F_OK), 0);
    cr_expect(access(oldest, F_OK) < 0);
    write_file(path, "123456");
    cr_expect_not(logs_rotate(path, -1, 3), "never");
    unlink(path);
    unlink(old);
    unlink(older);
    cr_expect_eq(rmdir(dir), 0);
    ASSERT_NO_LEAKS();
}

Test(logs, times_are_read_with_their_zone)
{
    struct {
        const char *text;
        int64_t ms;
    } table[] = {
        {"1970-01-01T00:00:01Z", 1000},
        {"1970-01-01T00:00:01.250Z", 1250},
        {"1970-01-01T01:00:00+01:00", 0},
        {"1970-01-01T00:00:00-00:30", 1800000},
        {"yesterday", -1},
        {"1970-01-01T00:00:01", -1},
        {"", -1},
    };
    for (size_t i = 0; i < LENGTH_OF(table); i++)
        cr_expect_eq(logs_time_ms(table[i].text, strlen(table[i].text)), table[i].ms, "%s",
                     table[i].text);
    ASSERT_NO_LEAKS();
}
