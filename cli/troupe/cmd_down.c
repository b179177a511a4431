#include "cli/troupe/cmd.h"
#include "cli/troupe/lock.h"
#include "cli/troupe/vars.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/pidfd.h>

enum { WAIT_S = 30 };

typedef struct {
    topology_vars_t vars;
    int64_t wait_s;
    bool help;
} down_t;

static const option_t options[] = {
    {"run-dir", 0, OPTION_STRING, offsetof(down_t, vars.run), "DIR",
     "sockets, pid file [/run/troupe]"},
    {"wait", 0, OPTION_COUNT, offsetof(down_t, wait_s), "SECONDS", "then it is killed [30]"},
    {"help", 'h', OPTION_FLAG, offsetof(down_t, help), NULL, "this text"},
    {NULL},
};

static err_t stop(pid_t pid, int64_t wait_s, why_t *why) {
    CLEANUP(close_fdp) int pidfd = pidfd_open(pid, 0);
    if (pidfd < 0 && errno == ESRCH) return ERR_OK;
    if (pidfd < 0 || pidfd_send_signal(pidfd, SIGTERM, NULL, 0) < 0)
        return why_errno(why, errno, "stop process %d", (int)pid);
    struct pollfd gone = {pidfd, POLLIN, 0};
    if (poll(&gone, 1, (int)(wait_s * 1000)) > 0) return ERR_OK;
    // Its children die with it, by the kernel's hand.
    pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
    if (poll(&gone, 1, WAIT_S * 1000) > 0) return ERR_OK;
    return why_set(why, ERR_TIMEOUT, "process %d does not end", (int)pid);
}

err_t cmd_down(int argc, char **argv, why_t *why) {
    down_t down = {.wait_s = WAIT_S};
    size_t positional_len;
    err_t e = options_parse(options, argc - 1, argv + 1, &down, NULL, 0, &positional_len, why);
    if (e) return e;
    if (down.help)
        return cmd_help("troupe down [OPTIONS]",
                        "Stops the cluster that `troupe up` or `troupe run` started with this run "
                        "folder. Containers\n"
                        "go on running.",
                        options);
    arena_t arena = {0};
    down.vars.node = "down", down.vars.node_ip = "127.0.0.1"; // not asked here
    e = vars_complete(&arena, &down.vars, why);
    pid_t pid;
    if (!e) e = lock_holder(vars_pid_file(&arena, &down.vars), &pid, why);
    if (e == ERR_NOT_FOUND) {
        printf("no cluster runs in %s\n", down.vars.run);
        e = ERR_OK;
    } else if (!e) {
        e = stop(pid, down.wait_s, why);
        if (!e) printf("stopped (process %d)\n", (int)pid);
    }
    arena_done(&arena);
    return e;
}
