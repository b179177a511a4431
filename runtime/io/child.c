#include "runtime/io/child.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
enum { READ_BYTES = 64 * 1024 };

void child_init(child_t *c, uint64_t timer_tag) {
    *c = (child_t){.timer_tag = timer_tag, .pid_fd = -1, .in_fd = -1, .out_fd = -1, .err_fd = -1};
}

// ---- starting ----------------------------------------------------------------------------------

static bool make_pipe(int ends[2], int ours) {
    if (pipe2(ends, O_CLOEXEC) != 0) return false;
    fcntl(ends[ours], F_SETFL, O_NONBLOCK);
    return true;
}

static void close_pair(int ends[2]) {
    close_fdp(&ends[0]);
    close_fdp(&ends[1]);
}

// An actor's thread may block signals; the child must not inherit that.
static int spawn(pid_t *pid, const char *const *argv, int in, int out, int err) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, defaults;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, err, STDERR_FILENO);
    int code =
        posix_spawnp(pid, argv[0], &actions, &attributes, (char *const *)(void *)argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return code;
}

err_t child_start(child_t *c, actor_t *me, const char *const *argv, bytes_t input,
                  int64_t timeout_ms, why_t *why) {
    assert(!child_is_running(c) && timeout_ms > 0);
    text_reset(&c->output);
    text_reset(&c->errors);
    text_reset(&c->input);
    c->written = 0;
    c->timed_out = c->output_cut = false;
    int in[2] = {-1, -1}, out[2] = {-1, -1}, err[2] = {-1, -1};
    int code = make_pipe(in, 1) && make_pipe(out, 0) && make_pipe(err, 0)
                   ? spawn(&c->pid, argv, in[0], out[1], err[1])
                   : errno;
    if (!code) {
        c->pid_fd = (int)syscall(SYS_pidfd_open, c->pid, 0);
        if (c->pid_fd < 0) { // without it nobody would reap the child
            code = errno;
            kill(c->pid, SIGKILL);
            waitpid(c->pid, NULL, 0);
        }
    }
    if (code) {
        c->pid = 0;
        close_pair(in), close_pair(out), close_pair(err);
        return why_errno(why, code, "run %s", argv[0]);
    }
    c->in_fd = x_steal_fd(&in[1]);
    c->out_fd = x_steal_fd(&out[0]);
    c->err_fd = x_steal_fd(&err[0]);
    close_pair(in), close_pair(out), close_pair(err);
    text_addn(&c->input, input.at, input.len);
    actor_watch_fd(me, c->in_fd, EPOLLOUT);
    actor_watch_fd(me, c->out_fd, EPOLLIN);
    actor_watch_fd(me, c->err_fd, EPOLLIN);
    actor_watch_fd(me, c->pid_fd, EPOLLIN);
    actor_timer(me, c->timer_tag, timeout_ms);
    return ERR_OK;
}

// ---- running -----------------------------------------------------------------------------------

static void drop_fd(actor_t *me, int *fd) {
    if (*fd < 0) return;
    actor_unwatch_fd(me, *fd);
    close_fdp(fd);
}

static void feed(child_t *c, actor_t *me) {
    while (c->written < c->input.len) {
        ssize_t put = write(c->in_fd, c->input.at + c->written, c->input.len - c->written);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0 && errno == EAGAIN) return;
        if (put < 0) break; // it reads no more: its exit code tells why
        c->written += (size_t)put;
    }
    drop_fd(me, &c->in_fd);
}

static void drain(child_t *c, actor_t *me, int *fd, text_t *into) {
    char buf[READ_BYTES];
    while (*fd >= 0) {
        ssize_t got = read(*fd, buf, sizeof buf);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && errno == EAGAIN) return;
        if (got <= 0) {
            drop_fd(me, fd);
            return;
        }
        size_t room = CHILD_OUTPUT_MAX_BYTES - into->len;
        if ((size_t)got > room) c->output_cut = true;
        text_addn(into, buf, (size_t)got < room ? (size_t)got : room);
    }
}

static child_state_t finish(child_t *c, actor_t *me) {
    int status = 0;
    if (waitpid(c->pid, &status, WNOHANG) == 0) return CHILD_RUNNING;
    // What it wrote before it ended is still in the pipes; a grandchild that holds them open is not
    // waited for.
    drain(c, me, &c->out_fd, &c->output);
    drain(c, me, &c->err_fd, &c->errors);
    drop_fd(me, &c->in_fd);
    drop_fd(me, &c->out_fd);
    drop_fd(me, &c->err_fd);
    drop_fd(me, &c->pid_fd);
    actor_timer_cancel(me, c->timer_tag);
    c->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    c->pid = 0;
    return CHILD_DONE;
}

child_state_t child_ready(child_t *c, actor_t *me, int fd) {
    if (!child_is_running(c) || fd < 0) return CHILD_NOT_MINE;
    if (fd == c->in_fd) return feed(c, me), CHILD_RUNNING;
    if (fd == c->out_fd) return drain(c, me, &c->out_fd, &c->output), CHILD_RUNNING;
    if (fd == c->err_fd) return drain(c, me, &c->err_fd, &c->errors), CHILD_RUNNING;
    return fd == c->pid_fd ? finish(c, me) : CHILD_NOT_MINE;
}

child_state_t child_timer(child_t *c, actor_t *me, uint64_t tag) {
    if (tag != c->timer_tag) return CHILD_NOT_MINE;
    if (!child_is_running(c)) return CHILD_NOT_MINE;
    c->timed_out = true;
    kill(c->pid, SIGKILL); // its end comes through pid_fd
    return CHILD_RUNNING;
}

void child_done(child_t *c, actor_t *me) {
    if (child_is_running(c)) {
        kill(c->pid, SIGKILL);
        waitpid(c->pid, NULL, 0);
        drop_fd(me, &c->in_fd);
        drop_fd(me, &c->out_fd);
        drop_fd(me, &c->err_fd);
        drop_fd(me, &c->pid_fd);
        c->pid = 0;
    }
    text_done(&c->input);
    text_done(&c->output);
    text_done(&c->errors);
}
