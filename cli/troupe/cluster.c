#include "cli/troupe/cluster.h"
#include "cli/troupe/child_status.h"
#include "cli/troupe/lock.h"
#include "cli/troupe/notify.h"
#include "cli/troupe/parent.h"
#include "cli/troupe/role.h"
#include "runtime/base/clock.h"
#include "runtime/base/log.h"
#include "runtime/base/vec.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    LEFTOVER_WAIT_MS = 5000, // children of a killed parent are killed by the kernel: milliseconds
    READY_WAIT_S = 60,
};

static err_t make_folder(const char *path, mode_t mode, why_t *why) {
    CLEANUP(free_charp) char *copy = str_dup(path);
    for (char *at = copy + 1; *at; at++) {
        if (*at != '/') continue;
        *at = 0;
        if (mkdir(copy, 0755) < 0 && errno != EEXIST)
            return why_errno(why, errno, "make folder %s", copy);
        *at = '/';
    }
    if (mkdir(path, mode) < 0 && errno != EEXIST)
        return why_errno(why, errno, "make folder %s", path);
    if (access(path, W_OK | X_OK) < 0)
        return why_errno(why, errno, "folder %s%s", path, geteuid() ? " (not root: try sudo)" : "");
    return ERR_OK;
}

static err_t take_locks(arena_t *arena, const topology_vars_t *vars, int *ret_data_fd,
                        int *ret_pid_fd, why_t *why) {
    err_t e = make_folder(vars->data, 0700, why);
    if (!e) e = make_folder(vars->run, 0755, why);
    if (e) return e;
    e = lock_take(vars_lock_file(arena, vars), LEFTOVER_WAIT_MS, ret_data_fd, why);
    if (e) return why_wrap(why, e, "data folder %s is in use by another cluster", vars->data);
    e = lock_take(vars_pid_file(arena, vars), LEFTOVER_WAIT_MS, ret_pid_fd, why);
    if (e) return why_wrap(why, e, "run folder %s is in use by another cluster", vars->run);
    return ERR_OK;
}

// A store, hundreds of sockets, thousands of watches: the soft limit of 1024 is for select(2)
// users.
static void raise_file_limit(void) {
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) < 0) return;
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files) < 0)
        log_debug("troupe", "RLIMIT_NOFILE: %s", strerror(errno));
}

static const char *log_path(arena_t *arena, const cluster_options_t *o) {
    return o->log ? o->log : arena_printf(arena, "%s/troupe.log", o->vars.data);
}

static err_t run_here(cluster_options_t *o, arena_t *arena, why_t *why) {
    topology_t topology;
    if (o->status_fd) fcntl((int)o->status_fd, F_SETFD, FD_CLOEXEC);
    err_t e = topology_load(arena, o->topology, &o->vars, &topology, why);
    if (!e) e = role_check_topology(&topology, why);
    if (e) return e;
    CLEANUP(close_fdp) int data_fd = -1;
    CLEANUP(close_fdp) int pid_fd = -1;
    e = take_locks(arena, &o->vars, &data_fd, &pid_fd, why);
    if (e) return e;
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGINT), sigaddset(&blocked, SIGTERM), sigaddset(&blocked, SIGHUP);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    signal(SIGPIPE, SIG_IGN);
    raise_file_limit();
    notify_init();
    notify_send("STATUS=starting");
    e = parent_run(&(parent_options_t){.topology = &topology,
                                       .topology_file = o->topology,
                                       .lock_fd = data_fd,
                                       .log = o->status_fd ? log_path(arena, o) : NULL,
                                       .status_fd = o->status_fd ? (int)o->status_fd : -1},
                   why);
    unlink(vars_pid_file(arena, &o->vars)); // still under its lock
    return e;
}

// ---- in the background: the same program once more, in a session of its own --------------------
static err_t await_ready(int fd, int64_t wait_s, const char *log, why_t *why) {
    int64_t deadline_ms = clock_monotonic_ms() + (wait_s ? wait_s : READY_WAIT_S) * 1000;
    text_t heard = TEXT_HEAP, line = TEXT_HEAP;
    const char *word = "", *sentence = "";
    bool open = true, said = false;
    while (open && !said) {
        int64_t left_ms = deadline_ms - clock_monotonic_ms();
        struct pollfd news = {fd, POLLIN, 0};
        if (left_ms <= 0 || poll(&news, 1, (int)left_ms) == 0) break;
        open = child_status_read(fd, &heard);
        said = child_status_next(&heard, &line, &word, &sentence);
    }
    err_t e = ERR_OK;
    if (!said && open)
        e = why_set(why, ERR_TIMEOUT, "not ready yet; it goes on starting, its log is %s", log);
    else if (!said)
        e = why_set(why, ERR_UNAVAILABLE, "it ended without a word; its log is %s", log);
    else if (!streq(word, "ready"))
        e = why_set(why, ERR_UNAVAILABLE, "%s", sentence);
    text_done(&heard);
    text_done(&line);
    return e;
}

static err_t spawn_background(char **argv, int status_fd, const char *log, why_t *why) {
    enum { BACKGROUND_STATUS_FD = 3 };
    VEC(char *) args = {0};
    for (char **at = argv; *at; at++)
        if (!streq(*at, "-d") && !streq(*at, "--background")) vec_push(&args, *at);
    vec_push(&args, (char *)"--status-fd=3");
    vec_push(&args, NULL);
    posix_spawnattr_t attr;
    posix_spawn_file_actions_t files;
    posix_spawnattr_init(&attr);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, log, O_WRONLY | O_CREAT | O_APPEND,
                                     0640);
    posix_spawn_file_actions_adddup2(&files, STDOUT_FILENO, STDERR_FILENO);
    posix_spawn_file_actions_adddup2(&files, status_fd, BACKGROUND_STATUS_FD);
    // Whoever waits for the end of a pipe that we were given must not wait for the cluster's.
    posix_spawn_file_actions_addclosefrom_np(&files, BACKGROUND_STATUS_FD + 1);
    pid_t pid;
    int code = posix_spawn(&pid, "/proc/self/exe", &files, &attr, args.at, environ);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attr);
    vec_done(&args);
    return code ? why_errno(why, code, "start in the background (log %s)", log) : ERR_OK;
}

static err_t run_behind(cluster_options_t *o, char **argv, arena_t *arena, why_t *why) {
    const char *log = log_path(arena, o);
    err_t e = make_folder(o->vars.data, 0700, why);
    if (e) return e;
    int pipe_fds[2];
    if (pipe2(pipe_fds, O_CLOEXEC) < 0) return why_errno(why, errno, "pipe");
    CLEANUP(close_fdp) int read_fd = pipe_fds[0];
    e = spawn_background(argv, pipe_fds[1], log, why);
    close(pipe_fds[1]);
    if (e) return e;
    fcntl(read_fd, F_SETFL, O_NONBLOCK);
    return await_ready(read_fd, o->wait_s, log, why);
}

err_t cluster_start(cluster_options_t *o, char **argv, why_t *why) {
    arena_t arena = {0};
    err_t e = vars_complete(&arena, &o->vars, why);
    if (!e) e = o->background ? run_behind(o, argv, &arena, why) : run_here(o, &arena, why);
    if (e && o->status_fd) child_status_send((int)o->status_fd, "failed", why->text);
    arena_done(&arena);
    return e;
}
