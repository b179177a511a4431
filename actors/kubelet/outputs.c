#include "actors/kubelet/outputs.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <unistd.h>

enum {
    WIDE_BYTES = 256 << 10,   // the fifo's 64 KiB, as much in the shim's pipe, and what it carries
    LINE_BYTES_MAX = 16 << 10 // of one line of the log, as containerd.toml says
};
#define CONTAINERS "io.containerd.grpc.v1.cri/containers"

typedef struct {
    int fds[OUTPUTS]; // -1: none
} ends_t;

static int open_fifo(const char *state_dir, const char *id, const char *name) {
    char *pattern CLEANUP(free_charp) =
        str_printf("%s/" CONTAINERS "/%s/io/*/%s-%s", state_dir, id, id, name);
    glob_t found;
    int fd = -1;
    if (glob(pattern, 0, NULL, &found)) return -1;
    if (found.gl_pathc == 1) fd = open(found.gl_pathv[0], O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    globfree(&found);
    return fd;
}

void outputs_open(outputs_t *o, const char *state_dir, const char *id) {
    if (map_get(&o->by_id, id)) return;
    const ends_t ends = {{open_fifo(state_dir, id, "stdout"), open_fifo(state_dir, id, "stderr")}};
    if (ends.fds[OUTPUT_STDOUT] < 0 && ends.fds[OUTPUT_STDERR] < 0) return;
    ends_t *kept = NEW(ends_t);
    *kept = ends;
    map_put(&o->by_id, id, kept);
}

void outputs_open_all(outputs_t *o, const char *state_dir) {
    char *path CLEANUP(free_charp) = str_printf("%s/" CONTAINERS, state_dir);
    DIR *dir = opendir(path);
    const struct dirent *entry;
    while (dir && (entry = readdir(dir)))
        if (entry->d_name[0] != '.') outputs_open(o, state_dir, entry->d_name);
    if (dir) closedir(dir);
}

void outputs_widen(outputs_t *o, const char *id) {
    const ends_t *ends = map_get(&o->by_id, id);
    // Where the kernel refuses, what has room is saved.
    for (int i = 0; ends && i < OUTPUTS; i++)
        if (ends->fds[i] >= 0) (void)fcntl(ends->fds[i], F_SETPIPE_SZ, (int)WIDE_BYTES);
}

static void read_rest(int fd, text_t *out) {
    char buf[16 << 10];
    // A writer that is still there (a shim that has given up) cannot make it endless.
    for (size_t all = 0; fd >= 0 && all < 2 * WIDE_BYTES;) {
        ssize_t got = read(fd, buf, sizeof buf);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return;
        text_addn(out, buf, (size_t)got);
        all += (size_t)got;
    }
}

bool outputs_take(outputs_t *o, const char *id, text_t ret_rest[static OUTPUTS]) {
    const ends_t *ends = map_get(&o->by_id, id);
    bool any = false;
    for (int i = 0; ends && i < OUTPUTS; i++) {
        read_rest(ends->fds[i], &ret_rest[i]);
        any |= ret_rest[i].len > 0;
    }
    outputs_close(o, id);
    return any;
}

void outputs_close(outputs_t *o, const char *id) {
    ends_t *ends = map_remove(&o->by_id, id);
    for (int i = 0; ends && i < OUTPUTS; i++)
        if (ends->fds[i] >= 0) close(ends->fds[i]);
    free(ends);
}

void outputs_done(outputs_t *o) {
    size_t at = 0;
    const char *id;
    void *value;
    while (map_next(&o->by_id, &at, &id, &value)) outputs_close(o, id);
    map_done(&o->by_id);
}

void outputs_log_lines(const char *stream, const text_t *rest, const char *time, text_t *out) {
    for (size_t at = 0; at < rest->len;) {
        const char *from = rest->at + at, *end = memchr(from, '\n', rest->len - at);
        size_t len = end ? (size_t)(end - from) : rest->len - at;
        bool is_whole = end && len <= LINE_BYTES_MAX;
        if (len > LINE_BYTES_MAX) len = LINE_BYTES_MAX;
        text_addf(out, "%s %s %c ", time, stream, is_whole ? 'F' : 'P');
        text_addn(out, from, len);
        text_addc(out, '\n');
        at += len + is_whole;
    }
}
