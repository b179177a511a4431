// One process of a topology, as the parent starts it: builds it, says "ready", waits for SIGTERM or
// for the process to give up.
#include "cli/troupe/child_status.h"
#include "cli/troupe/cmd.h"
#include "cli/troupe/role.h"
#include "cli/troupe/vars.h"
#include "runtime/base/log.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { REPORTS_PER_HANG = 4 };

typedef struct {
    topology_vars_t vars;
    const char *topology, *process;
    int64_t parent, restarts;
    const char *last_reason;
} child_options_t;

static const option_t options[] = {
    VARS_OPTIONS(child_options_t, vars),
    {"topology", 0, OPTION_STRING, offsetof(child_options_t, topology), "FILE", NULL},
    {"process", 0, OPTION_STRING, offsetof(child_options_t, process), "NAME", NULL},
    {"parent", 0, OPTION_COUNT, offsetof(child_options_t, parent), "PID", NULL},
    {"restarts", 0, OPTION_COUNT, offsetof(child_options_t, restarts), "N", NULL},
    {"last-reason", 0, OPTION_STRING, offsetof(child_options_t, last_reason), "TEXT", NULL},
    {NULL},
};

// The kernel kills us when the parent's (only) thread ends; it may have ended before we asked.
static err_t tie_to_parent(int64_t parent, why_t *why) {
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) return why_errno(why, errno, "PR_SET_PDEATHSIG");
    if (getppid() != parent) return why_set(why, ERR_UNAVAILABLE, "the parent is gone");
    // What we start ourselves (containerd) outlives us and must hold neither lock nor pipe.
    fcntl(CHILD_LOCK_FD, F_SETFD, FD_CLOEXEC);
    fcntl(CHILD_STATUS_FD, F_SETFD, FD_CLOEXEC);
    return ERR_OK;
}

static bool may_speak_as(void *arg, const char *principal, const char *address) {
    return topology_may_speak_as(arg, principal, address);
}

static void tell_parent(void *arg, const char *word, const char *sentence) {
    child_status_send(CHILD_STATUS_FD, word, sentence);
}

static err_t spawn_actors(process_t *p, const topology_t *t, const topology_process_t *of,
                          arena_t *arena, why_t *why) {
    err_t e = ERR_OK;
    for (size_t d = 0; d < of->dispatchers_len && !e; d++) {
        const topology_dispatcher_t *at = &of->dispatchers[d];
        e = process_add_dispatcher(p, at->name, why);
        for (size_t a = 0; a < at->actors_len && !e; a++) {
            const topology_actor_t *actor = &at->actors[a];
            const role_t *role = role_find(actor->role);
            const void *args;
            if (!role)
                e = why_set(why, ERR_NOT_FOUND, "no role is called %s", actor->role);
            else
                e = role_args(role, t, actor, arena, &args, why);
            if (!e) {
                e = process_spawn(p, at->name, role->def, actor->name, args,
                                  &(restart_policy_t){.strategy = at->strategy}, why);
                if (e) why_wrap(why, e, "%s/%s", actor->role, actor->name);
            }
        }
    }
    return e;
}

static err_t build(process_t *p, const topology_t *t, const topology_process_t *of, arena_t *arena,
                   why_t *why) {
    err_t e = spawn_actors(p, t, of, arena, why);
    for (size_t i = 0; i < of->listens_len && !e; i++) {
        e = process_listen(p, &of->listens[i], why);
        if (e) why_wrap(why, e, "listen on %s", of->listens[i].endpoint);
    }
    for (size_t i = 0; i < of->connects_len && !e; i++) {
        e = process_connect(p, &of->connects[i], why);
        if (e) why_wrap(why, e, "connect to %s", of->connects[i].endpoint);
    }
    return e;
}

// The watchdog: the parent hears that all is well, once what hangs, and from then on nothing.
static void report(const process_t *p, int64_t hang_ms, bool *hung) {
    const char *role = process_hung(p, hang_ms);
    if (!role) {
        child_status_send(CHILD_STATUS_FD, "alive", NULL);
    } else if (!*hung) {
        CLEANUP(free_charp)
        char *sentence =
            str_printf("hung: a call of %s has not returned for %lld ms", role, (long long)hang_ms);
        child_status_send(CHILD_STATUS_FD, "hung", sentence);
    }
    *hung = role;
}

// True: asked to stop; false: the process gives up.
static bool wait_for_end(const process_t *p, int signal_fd, int64_t hang_ms) {
    struct pollfd fds[] = {{signal_fd, POLLIN, 0}, {process_exit_fd(p), POLLIN, 0}};
    bool hung = false;
    while (poll(fds, LENGTH_OF(fds), hang_ms ? (int)hang_ms / REPORTS_PER_HANG : -1) <= 0)
        if (hang_ms) report(p, hang_ms, &hung);
    return fds[0].revents != 0;
}

static err_t run(const child_options_t *o, arena_t *arena, why_t *why) {
    topology_t topology;
    err_t e = topology_load(arena, o->topology, &o->vars, &topology, why);
    if (e) return e;
    const topology_process_t *of = topology_process(&topology, o->process);
    if (!of) return why_set(why, ERR_NOT_FOUND, "%s names no process %s", o->topology, o->process);
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGINT), sigaddset(&stop, SIGTERM);
    sigprocmask(SIG_BLOCK, &stop, NULL); // before any thread exists
    signal(SIGPIPE, SIG_IGN);
    CLEANUP(close_fdp) int signal_fd = signalfd(-1, &stop, SFD_CLOEXEC);
    if (signal_fd < 0) return why_errno(why, errno, "signalfd");
    process_t *p = NULL;
    e = process_new(&(process_options_t){.name = of->name,
                                         .host = o->vars.node,
                                         .may_speak_as = may_speak_as,
                                         .may_speak_as_arg = &topology,
                                         .restarts = (uint32_t)o->restarts,
                                         .last_reason = o->last_reason,
                                         .tell_parent = tell_parent},
                    &p, why);
    if (e) return e;
    e = build(p, &topology, of, arena, why);
    if (!e) {
        child_status_send(CHILD_STATUS_FD, "ready", NULL);
        if (!wait_for_end(p, signal_fd, of->hang_ms)) {
            e = why_set(why, ERR_INTERNAL, "%s", or_empty(process_exit_reason(p)));
            child_status_send(CHILD_STATUS_FD, "ending", why->text);
        }
    } else {
        child_status_send(CHILD_STATUS_FD, "failed", why->text);
    }
    process_stop(p);
    process_destroy(&p);
    return e;
}

err_t cmd_actor_process(int argc, char **argv, why_t *why) {
    child_options_t o = {0};
    size_t positional_len;
    err_t e = options_parse(options, argc - 1, argv + 1, &o, NULL, 0, &positional_len, why);
    if (!e && (!o.topology || !o.process || !o.parent))
        e = why_set(why, ERR_USAGE, "internal: started by troupe up and troupe run");
    if (!e) e = tie_to_parent(o.parent, why);
    if (e) return e;
    CLEANUP(free_charp) char *title = str_printf("troupe:%s", o.process);
    prctl(PR_SET_NAME, title);
    arena_t arena = {0};
    e = vars_complete(&arena, &o.vars, why);
    if (!e) e = run(&o, &arena, why);
    arena_done(&arena);
    return e;
}
