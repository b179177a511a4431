#include "cli/troupe/lock.h"
#include "runtime/base/clock.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

enum { WAIT_STEP_MS = 10, PID_TEXT_MAX = 32 };

static pid_t read_pid(int fd) {
    char text[PID_TEXT_MAX] = "";
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    return n > 0 ? (pid_t)strtol(text, NULL, 10) : 0;
}

static err_t write_pid(int fd, const char *path, why_t *why) {
    char text[PID_TEXT_MAX];
    int len = snprintf(text, sizeof text, "%d\n", (int)getpid());
    if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)len, 0) != len)
        return why_errno(why, errno, "write %s", path);
    return ERR_OK;
}

err_t lock_take(const char *path, int64_t wait_ms, int *ret_fd, why_t *why) {
    CLEANUP(close_fdp) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) return why_errno(why, errno, "%s", path);
    int64_t deadline_ms = clock_monotonic_ms() + wait_ms;
    while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK && errno != EINTR) return why_errno(why, errno, "lock %s", path);
        pid_t pid = read_pid(fd);
        bool alive = pid > 0 && (kill(pid, 0) == 0 || errno == EPERM);
        if (alive || clock_monotonic_ms() >= deadline_ms)
            return why_set(why, ERR_EXISTS, "%s is held by process %d", path, (int)pid);
        poll(NULL, 0, WAIT_STEP_MS);
    }
    err_t e = write_pid(fd, path, why);
    if (e) return e;
    *ret_fd = fd;
    fd = -1;
    return ERR_OK;
}

err_t lock_holder(const char *path, pid_t *ret_pid, why_t *why) {
    CLEANUP(close_fdp) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) return why_set(why, ERR_NOT_FOUND, "%s: no such file", path);
    if (fd < 0) return why_errno(why, errno, "%s", path);
    if (flock(fd, LOCK_SH | LOCK_NB) == 0)
        return why_set(why, ERR_NOT_FOUND, "%s: nobody holds it", path);
    pid_t pid = read_pid(fd);
    if (pid <= 0) return why_set(why, ERR_NOT_FOUND, "%s: no process id in it", path);
    *ret_pid = pid;
    return ERR_OK;
}
