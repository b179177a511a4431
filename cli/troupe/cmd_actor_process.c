// One process of a topology, as the parent starts it: builds it, says "ready", waits for SIGTERM or
// for the process to give up.
#include "cli/troupe/child_status.h"
#include "cli/troupe/cmd.h"
#include "cli/troupe/placement.h"
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

// This process, and what it is to run.
typedef struct {
    process_t *p;
    const topology_t *topology;
    topology_process_t of;
    arena_t *arena; // args of its actors live here
    // of the look at hand
    placement_t placement;
    arena_t scratch;
    bool is_first;
    err_t err; // an actor that belongs here could not start
    why_t why;
} cell_t;

static err_t may_move(void *arg, arena_t *arena, const char *address, const char *to,
                      const char **ret_process, bool *ret_far, why_t *why) {
    const cell_t *cell = arg;
    return placement_check(arena, cell->topology, address, cell->of.name, to, ret_process, ret_far,
                           why);
}

static err_t may_take(void *arg, const char *address, const char *principal, why_t *why) {
    const cell_t *cell = arg;
    const topology_process_t *of = topology_process(cell->topology, cell->of.name);
    if (!of) return why_set(why, ERR_FORBIDDEN, "process %s is one actor's own", cell->of.name);
    return placement_check_guest(cell->topology, of, address, principal, why);
}

// On a dispatcher that is called as at home.
static err_t spawn_actor(cell_t *cell, const home_t *home, const char *name, why_t *why) {
    const role_t *role = role_find(home->actor->role);
    if (!role) return why_set(why, ERR_NOT_FOUND, "no role is called %s", home->actor->role);
    const void *args;
    err_t e = process_add_dispatcher(cell->p, home->dispatcher->name, why);
    if (e && e != ERR_EXISTS) return e;
    e = role_args(role, cell->topology, home->actor, cell->arena, &args, why);
    if (!e)
        e = process_spawn(cell->p, home->dispatcher->name, role->def, name, args,
                          &(restart_policy_t){.strategy = home->dispatcher->strategy}, why);
    return e ? why_wrap(why, e, "%s/%s", role->role, name) : ERR_OK;
}

// `home`: what the topology says of it, or of whom a guest is like.
static void look_at(cell_t *cell, const home_t *home, const char *address, bool is_mine) {
    if (cell->err) return;
    bool runs = !cell->is_first && process_runs(cell->p, address);
    if (runs && !is_mine) process_retire(cell->p, address, "moved");
    if (runs || !is_mine) return;
    err_t e = spawn_actor(cell, home, strchr(address, '/') + 1, &cell->why);
    if (!e) return;
    bool is_home = streq(home->process->name, cell->of.name) &&
                   streq(home->actor->name, strchr(address, '/') + 1);
    if (cell->is_first || is_home) {
        cell->err = e;
        return;
    }
    log_error("troupe", "%s", cell->why.text);
    child_status_send(CHILD_STATUS_FD, "refused",
                      arena_printf(&cell->scratch, "%s %s", address, cell->why.text));
}

static void look_at_actor(void *arg, const home_t *home) {
    cell_t *cell = arg;
    const char *address =
        arena_printf(&cell->scratch, "%s/%s", home->actor->role, home->actor->name);
    look_at(cell, home, address,
            streq(placement_process_of(&cell->placement, home, address), cell->of.name));
}

static void look_at_guests(cell_t *cell) {
    for (size_t i = 0; i < cell->placement.len; i++) {
        const placement_move_t *m = &cell->placement.moves[i];
        home_t like;
        if (streq(m->process, cell->of.name) && !placement_home(cell->topology, m->actor, &like) &&
            placement_host(cell->topology, &cell->of, m->actor, &like))
            look_at(cell, &like, m->actor, true);
    }
}

// Starts what is placed here and ends what is not.
static err_t look(cell_t *cell, bool is_first, why_t *why) {
    const char *file = placement_file(&cell->scratch, &cell->topology->vars);
    err_t e = placement_load(&cell->scratch, file, &cell->placement, why);
    cell->is_first = is_first;
    if (!e) {
        placement_each(cell->topology, look_at_actor, cell);
        look_at_guests(cell);
    }
    if (!e && cell->err) e = why_set(why, cell->err, "%s", cell->why.text);
    arena_done(&cell->scratch);
    return e;
}

static err_t build(cell_t *cell, why_t *why) {
    const topology_process_t *of = &cell->of;
    err_t e = look(cell, true, why);
    for (size_t i = 0; i < of->listens_len && !e; i++) {
        e = process_listen(cell->p, &of->listens[i], why);
        if (e) why_wrap(why, e, "listen on %s", of->listens[i].endpoint);
    }
    for (size_t i = 0; i < of->connects_len && !e; i++) {
        e = process_connect(cell->p, &of->connects[i], why);
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

// True: asked to stop. The other signal asks to look at the placement again.
static bool heed(cell_t *cell, int signal_fd, err_t *ret_err, why_t *why) {
    struct signalfd_siginfo info;
    if (read(signal_fd, &info, sizeof info) != (ssize_t)sizeof info) return false;
    if (info.ssi_signo != SIGHUP) return true;
    *ret_err = look(cell, false, why);
    return false;
}

// Until it is asked to stop (ERR_OK) or gives up by itself.
static err_t wait_for_end(cell_t *cell, int signal_fd, why_t *why) {
    struct pollfd fds[] = {{signal_fd, POLLIN, 0}, {process_exit_fd(cell->p), POLLIN, 0}};
    int64_t hang_ms = cell->of.hang_ms;
    bool hung = false;
    err_t e = ERR_OK;
    while (!e) {
        int n = poll(fds, LENGTH_OF(fds), hang_ms ? (int)hang_ms / REPORTS_PER_HANG : -1);
        if (n <= 0 && hang_ms) report(cell->p, hang_ms, &hung);
        if (n <= 0) continue;
        if (fds[0].revents && heed(cell, signal_fd, &e, why)) return ERR_OK;
        if (fds[1].revents)
            e = why_set(why, ERR_INTERNAL, "%s", or_empty(process_exit_reason(cell->p)));
    }
    return e;
}

// The topology's process of this name, or that of a moved actor.
static err_t find_process(const topology_t *t, const char *name, arena_t *arena,
                          topology_process_t *ret, why_t *why) {
    const topology_process_t *found = topology_process(t, name);
    home_t home;
    if (found)
        *ret = *found;
    else if (placement_home(t, name, &home))
        placement_own_process(arena, t, &home, name, ret);
    else
        return why_set(why, ERR_NOT_FOUND, "%s names no process %s", t->file, name);
    return ERR_OK;
}

static err_t open_signals(int *ret_fd, why_t *why) {
    sigset_t heeded;
    sigemptyset(&heeded);
    sigaddset(&heeded, SIGINT), sigaddset(&heeded, SIGTERM), sigaddset(&heeded, SIGHUP);
    sigprocmask(SIG_BLOCK, &heeded, NULL); // before any thread exists
    signal(SIGPIPE, SIG_IGN);
    *ret_fd = signalfd(-1, &heeded, SFD_CLOEXEC);
    return *ret_fd < 0 ? why_errno(why, errno, "signalfd") : ERR_OK;
}

static err_t run(const child_options_t *o, arena_t *arena, why_t *why) {
    topology_t topology;
    cell_t cell = {.topology = &topology, .arena = arena};
    CLEANUP(close_fdp) int signal_fd = -1;
    err_t e = topology_load(arena, o->topology, &o->vars, &topology, why);
    if (!e) e = find_process(&topology, o->process, arena, &cell.of, why);
    if (!e) e = open_signals(&signal_fd, why);
    if (!e)
        e = process_new(&(process_options_t){.name = cell.of.name,
                                             .host = o->vars.node,
                                             .may_speak_as = may_speak_as,
                                             .may_speak_as_arg = &topology,
                                             .restarts = (uint32_t)o->restarts,
                                             .last_reason = o->last_reason,
                                             .tell_parent = tell_parent,
                                             .may_move = may_move,
                                             .may_take = may_take,
                                             .may_move_arg = &cell},
                        &cell.p, why);
    if (e) return e;
    e = build(&cell, why);
    if (!e) {
        child_status_send(CHILD_STATUS_FD, "ready", NULL);
        e = wait_for_end(&cell, signal_fd, why);
        if (e) child_status_send(CHILD_STATUS_FD, "ending", why->text);
    } else {
        child_status_send(CHILD_STATUS_FD, "failed", why->text);
    }
    process_stop(cell.p);
    process_destroy(&cell.p);
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
