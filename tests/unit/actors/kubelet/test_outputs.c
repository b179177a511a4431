// The second reading end of a container's output: what a runtime that stopped reading left behind.
#include "actors/kubelet/containerd.h"
#include "actors/kubelet/logs.h"
#include "actors/kubelet/outputs.h"
#include "support/leaks.h"
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
    char state[64];
    outputs_t outputs;
    int reads, writes; // the runtime's end of stdout, the shim's
} world_t;

static void world_open(world_t *w) {
    *w = (world_t){.state = "/tmp/outputs-XXXXXX"};
    cr_assert_not_null(mkdtemp(w->state));
    why_t why;
    char path[256];
    const char *dir = "io.containerd.grpc.v1.cri/containers/c1/io/123";
    snprintf(path, sizeof path, "%s/%s", w->state, dir);
    cr_assert_eq(make_dirs(path, 0700, &why), ERR_OK, "%s", why.text);
    for (int i = 0; i < OUTPUTS; i++) {
        snprintf(path, sizeof path, "%s/%s/c1-%s", w->state, dir, i ? "stderr" : "stdout");
        cr_assert_eq(mkfifo(path, 0600), 0);
    }
    snprintf(path, sizeof path, "%s/%s/c1-stdout", w->state, dir);
    w->reads = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    w->writes = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    return remove(path);
}
static void world_close(world_t *w) {
    outputs_done(&w->outputs);
    close(w->writes);
    nftw(w->state, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    ASSERT_NO_LEAKS();
}

Test(outputs, what_the_runtime_has_not_read_is_kept)
{
    world_t w;
    char buf[8];
    text_t rest[OUTPUTS] = {TEXT_HEAP, TEXT_HEAP};
    world_open(&w);
    outputs_open(&w.outputs, w.state, "c1");
    cr_assert_eq(write(w.writes, "read\nrest\n", 10), 10);
    cr_assert_eq(read(w.reads, buf, 5), 5);
    close(w.reads); // as containerd 1.6.20 does
    cr_expect(outputs_take(&w.outputs, "c1", rest));
    cr_expect_str_eq(text_str(&rest[OUTPUT_STDOUT]), "rest\n");
    cr_expect_eq(rest[OUTPUT_STDERR].len, 0);
    cr_expect_eq(map_len(&w.outputs.by_id), 0);
    for (int i = 0; i < OUTPUTS; i++) text_done(&rest[i]);
    world_close(&w);
}

Test(outputs, at_its_end_a_full_fifo_gets_room_for_what_the_shim_holds)
{
    world_t w;
    char block[4096] = {0};
    size_t before = 0, after = 0;
    world_open(&w);
    outputs_open_all(&w.outputs, w.state); // as after a start of our own
    cr_assert_eq(map_len(&w.outputs.by_id), 1);
    while (write(w.writes, block, sizeof block) > 0) before += sizeof block;
    outputs_widen(&w.outputs, "c1");
    while (write(w.writes, block, sizeof block) > 0) after += sizeof block;
    cr_expect_geq(after, (size_t)160 << 10, "%zu, then %zu more", before, after);
    close(w.reads);
    text_t rest[OUTPUTS] = {TEXT_HEAP, TEXT_HEAP};
    cr_expect(outputs_take(&w.outputs, "c1", rest));
    cr_expect_eq(rest[OUTPUT_STDOUT].len, before + after);
    for (int i = 0; i < OUTPUTS; i++) text_done(&rest[i]);
    world_close(&w);
}

Test(outputs, a_container_that_is_not_there_has_none)
{
    world_t w;
    text_t rest[OUTPUTS] = {TEXT_HEAP, TEXT_HEAP};
    world_open(&w);
    outputs_open(&w.outputs, w.state, "c2");
    outputs_widen(&w.outputs, "c2");
    cr_expect_not(outputs_take(&w.outputs, "c2", rest));
    cr_expect_eq(map_len(&w.outputs.by_id), 0);
    close(w.reads);
    world_close(&w);
}

// The log as people see it: what containerd has written, and the rest behind it.
Test(outputs, the_rest_goes_on_with_the_line_that_the_log_ends_in)
{
    text_t rest = TEXT_HEAP, log = TEXT_HEAP, seen = TEXT_HEAP;
    text_add(&log, "2026-11-22T08:00:00Z stdout F one\n2026-11-22T08:00:00Z stdout P tw\n");
    text_add(&rest, "o\n\nthree\nunfinished");
    outputs_log_lines("stdout", &rest, "2026-11-22T08:00:01.250Z", &log);
    cr_expect_str_eq(log.at, "2026-11-22T08:00:00Z stdout F one\n"
                             "2026-11-22T08:00:00Z stdout P tw\n"
                             "2026-11-22T08:00:01.250Z stdout F o\n"
                             "2026-11-22T08:00:01.250Z stdout F \n"
                             "2026-11-22T08:00:01.250Z stdout F three\n"
                             "2026-11-22T08:00:01.250Z stdout P unfinished\n");
    log_filter_t filter = {0};
    (void)logs_filter(&filter, log.at, log.len, &seen);
    cr_expect_str_eq(seen.at, "one\ntwo\n\nthree\nunfinished");
    text_done(&rest);
    text_done(&log);
    text_done(&seen);
    ASSERT_NO_LEAKS();
}

Test(outputs, a_line_longer_than_the_log_takes_comes_in_parts)
{
    text_t rest = TEXT_HEAP, log = TEXT_HEAP, seen = TEXT_HEAP;
    for (int i = 0; i < 40000; i++) text_addc(&rest, 'x');
    text_addc(&rest, '\n');
    outputs_log_lines("stderr", &rest, "2026-11-22T08:00:01Z", &log);
    log_filter_t filter = {0};
    (void)logs_filter(&filter, log.at, log.len, &seen);
    cr_expect_eq(seen.len, rest.len);
    cr_expect_str_eq(seen.at, rest.at);
    text_done(&rest);
    text_done(&log);
    text_done(&seen);
    ASSERT_NO_LEAKS();
}
