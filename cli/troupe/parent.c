#include "cli/troupe/parent.h"
#include "cli/troupe/child_status.h"
#include "cli/troupe/notify.h"
#include "cli/troupe/placement.h"
#include "runtime/base/clock.h"
#include "runtime/base/log.h"
#include "runtime/base/text.h"
#include "runtime/io/logfile.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

// Beside the topology's processes there are those of moved actors (placement.h): one each, wanted
// as long as its actor is placed there.
//
//   idle ──spawn──► starting ──"ready"──► ready
//    ▲  due              │ exit             │ exit
//    └────── dead ◄──────┴──────────────────┘          (stopping: dead stays dead)
enum {
    RESTART_FIRST_MS = 50,     // the second death in a row; the first restarts at once
    RESTART_MAX_MS = 2000,     // the cluster is to be back soon after whatever it was
    STEADY_MS = 1000,          // ready and alive for so long: whatever ends it is a new trouble
    STOP_CHILD_MS = 10 * 1000, // between SIGTERM and SIGKILL
    LATE_MS = 500,             // we were not running either: nobody's silence says anything
    LOG_MAX_BYTES = 16 << 20,  // one older log is kept
    LOG_LOOK_MS = 10 * 1000,   // at most so often, when something else woke us
    FD_FREE = 16,              // our descriptors lie above those that a child gets
};

typedef struct {
    const topology_process_t *process;
    bool is_own;                 // of a moved actor, whose address is its name
    bool unwanted;               // is to end, and stays dead
    pid_t pid;                   // 0: does not live
    int pidfd, status_fd;        // -1: none
    text_t heard;                // status bytes without a line end yet
    char *last_words;            // what it said before it ended; owned
    bool ready, hung, condemned; // condemned: the watchdog has killed it
    unsigned deaths;             // in a row
    uint32_t restarts;           // in all
    char *last_reason;           // how it ended the last time; owned
    int64_t heard_ms;            // its last word: the watchdog's
    int64_t paused_until_ms;     // stopped by a fault; 0: it runs
    int64_t started_ms, due_ms;  // due: when to start it (again); unwanted: to kill it
} child_t;

typedef struct {
    const parent_options_t *options;
    child_t *children; // room for TOPOLOGY_PROCESSES_MAX
    size_t len;
    placement_t placement;
    arena_t placed, owned; // of the placement; of the processes of moved actors
    int signal_fd;
    bool was_ready;  // all of them, once
    int64_t ping_ms; // the service manager's watchdog; INT64_MAX: it has none
    bool stopping;
    size_t stop_at;           // the child that is being stopped is children[stop_at - 1]
    int64_t log_due_ms;       // when its length is looked at next
    int64_t stop_deadline_ms; // 0: it has not got its SIGTERM yet
    err_t failed;             // the first start went wrong
    why_t why;
} parent_t;

int64_t parent_restart_delay_ms(unsigned deaths) {
    if (deaths <= 1) return 0;
    int64_t delay_ms = RESTART_FIRST_MS;
    for (unsigned i = 2; i < deaths && delay_ms < RESTART_MAX_MS; i++) delay_ms *= 2;
    return delay_ms < RESTART_MAX_MS ? delay_ms : RESTART_MAX_MS;
}

unsigned parent_deaths_in_row(unsigned before, bool was_ready, int64_t lived_ms) {
    return was_ready && lived_ms >= STEADY_MS ? 1 : before + 1;
}

// ---- starting -----------------------------------------------------------------------------------
static int move_up(int fd) {
    int high = fcntl(fd, F_DUPFD_CLOEXEC, FD_FREE);
    close(fd);
    return high;
}

static int spawn(const parent_options_t *o, child_t *c, int status_write_fd) {
    const topology_vars_t *v = &o->topology->vars;
    char parent_pid[16];
    snprintf(parent_pid, sizeof parent_pid, "%d", (int)getpid());
    char restarts[16];
    snprintf(restarts, sizeof restarts, "%u", c->restarts);
    const char *argv[] = {"troupe",        "actor-process",  "--topology", o->topology_file,
                          "--process",     c->process->name, "--parent",   parent_pid,
                          "--data",        v->data,          "--run-dir",  v->run,
                          "--config-dir",  v->config,        "--node",     v->node,
                          "--node-ip",     v->node_ip,       "--restarts", restarts,
                          "--last-reason", c->last_reason,   NULL};
    if (!c->last_reason) argv[LENGTH_OF(argv) - 3] = NULL;
    posix_spawnattr_t attr;
    posix_spawn_file_actions_t files;
    sigset_t none, all;
    sigemptyset(&none);
    sigaddset(&none, SIGHUP); // until it is ready to hear: the default would kill it
    sigfillset(&all);
    posix_spawnattr_init(&attr);
    posix_spawn_file_actions_init(&files);
    // A child with SIGTERM blocked would ignore it. A process group of its own keeps the terminal's
    // Ctrl-C from it: we stop the children, in order.
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                        POSIX_SPAWN_SETPGROUP);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &all);
    posix_spawnattr_setpgroup(&attr, 0);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, o->lock_fd, CHILD_LOCK_FD);
    posix_spawn_file_actions_adddup2(&files, status_write_fd, CHILD_STATUS_FD);
    // The very program that runs, even when its file was replaced meanwhile.
    int code = posix_spawn(&c->pid, "/proc/self/exe", &files, &attr, (char *const *)argv, environ);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attr);
    return code;
}

static void died(parent_t *p, child_t *c, const char *how);

static void start_child(parent_t *p, child_t *c) {
    int pipe_fds[2];
    c->started_ms = c->heard_ms = clock_monotonic_ms();
    c->ready = c->hung = c->condemned = false;
    c->paused_until_ms = 0;
    text_reset(&c->heard);
    free_charp(&c->last_words);
    if (pipe2(pipe_fds, O_CLOEXEC) < 0) {
        died(p, c, strerror(errno));
        return;
    }
    c->status_fd = move_up(pipe_fds[0]);
    CLEANUP(close_fdp) int write_fd = move_up(pipe_fds[1]);
    fcntl(c->status_fd, F_SETFL, O_NONBLOCK);
    int code = spawn(p->options, c, write_fd);
    if (code) {
        c->pid = 0;
        died(p, c, strerror(code));
        return;
    }
    c->pidfd = pidfd_open(c->pid, 0);
    assert(c->pidfd >= 0); // it is not reaped yet, and pidfd_open(2) is older than Debian 12
    log_debug("troupe", "process %s: started, pid %d", c->process->name, (int)c->pid);
}

// ---- what children say --------------------------------------------------------------------------
static void fail_start(parent_t *p, const child_t *c, const char *sentence) {
    if (p->was_ready || p->failed || c->is_own) return;
    p->failed = ERR_UNAVAILABLE;
    why_set(&p->why, ERR_UNAVAILABLE, "process %s: %s", c->process->name, sentence);
    p->stopping = true;
}

static void all_ready(parent_t *p) {
    for (size_t i = 0; i < p->len; i++)
        if (!p->children[i].ready && !p->children[i].unwanted) return;
    if (p->was_ready || p->stopping) return;
    p->was_ready = true;
    notify_send("READY=1\nSTATUS=running");
    child_status_send(p->options->status_fd, "ready", NULL);
    log_info("troupe", "ready: %zu process%s, node %s, data in %s", p->len, p->len == 1 ? "" : "es",
             p->options->topology->vars.node, p->options->topology->vars.data);
}

static void pause_child(child_t *c, const char *sentence) {
    int64_t pause_ms = strtoll(sentence, NULL, 10);
    if (pause_ms <= 0 || pause_ms > PAUSE_MAX_MS) return;
    log_warn("troupe", "process %s: paused for %lld ms", c->process->name, (long long)pause_ms);
    c->paused_until_ms = clock_monotonic_ms() + pause_ms;
    pidfd_send_signal(c->pidfd, SIGSTOP, NULL, 0);
}

// ---- placement ----------------------------------------------------------------------------------
static child_t *child_called(parent_t *p, const char *name) {
    for (size_t i = 0; i < p->len; i++)
        if (streq(p->children[i].process->name, name)) return &p->children[i];
    return NULL;
}

static child_t *add_child(parent_t *p, const topology_process_t *process) {
    assert(p->len < TOPOLOGY_PROCESSES_MAX);
    child_t *c = &p->children[p->len++];
    *c = (child_t){process, .pidfd = -1, .status_fd = -1};
    p->stop_at = p->len;
    return c;
}

// The processes of moved actors, as the placement has them now.
static void want_own_processes(parent_t *p) {
    const topology_t *t = p->options->topology;
    for (size_t i = 0; i < p->len; i++) p->children[i].unwanted = p->children[i].is_own;
    for (size_t i = 0; i < p->placement.len; i++) {
        const placement_move_t *m = &p->placement.moves[i];
        home_t home;
        if (!streq(m->actor, m->process) || !placement_home(t, m->actor, &home)) continue;
        child_t *c = child_called(p, m->actor);
        if (!c) {
            topology_process_t *own = ARENA_NEW(&p->owned, topology_process_t);
            placement_own_process(&p->owned, t, &home, m->actor, own);
            c = add_child(p, own);
            c->is_own = true;
        }
        if (!c->pid) c->due_ms = 0;
        c->unwanted = false;
    }
    for (size_t i = 0; i < p->len; i++) {
        child_t *c = &p->children[i];
        if (!c->unwanted || !c->pid || c->due_ms > c->started_ms) continue;
        pidfd_send_signal(c->pidfd, SIGTERM, NULL, 0);
        c->due_ms = clock_monotonic_ms() + STOP_CHILD_MS;
    }
}

// Remembered first, then told: each child looks what is its own. A guest that leaves is forgotten.
static void place(parent_t *p, const char *actor, const char *process) {
    const topology_t *t = p->options->topology;
    home_t home;
    arena_t arena = {0};
    why_t why;
    bool is_ours = placement_home(t, actor, &home);
    bool forget = is_ours ? streq(home.process->name, process) : !topology_process(t, process);
    bool is_more = is_ours && streq(actor, process) && !child_called(p, process);
    placement_t next = placement_with(&arena, &p->placement, actor, forget ? NULL : process);
    err_t e = is_more && p->len == TOPOLOGY_PROCESSES_MAX
                  ? why_set(&why, ERR_TOO_LARGE, "more than %d processes", TOPOLOGY_PROCESSES_MAX)
                  : placement_save(placement_file(&arena, &t->vars), &next, &why);
    if (e) {
        log_error("troupe", "%s: not moved: %s", actor, why.text);
        arena_done(&arena);
    } else {
        log_info("troupe", "%s: runs in process %s from now on", actor, process);
        arena_done(&p->placed);
        p->placed = arena;
        p->placement = next;
        want_own_processes(p);
    }
    for (size_t i = 0; i < p->len; i++)
        if (p->children[i].pid && !p->children[i].unwanted)
            pidfd_send_signal(p->children[i].pidfd, SIGHUP, NULL, 0);
}

// It could not start where it was moved to.
static void place_home(parent_t *p, const char *actor, const char *why) {
    home_t home;
    bool is_ours = placement_home(p->options->topology, actor, &home);
    log_error("troupe", "%s: could not start where it was moved to%s: %s", actor,
              is_ours ? ", and goes home" : "", why);
    place(p, actor, is_ours ? home.process->name : "");
}

static void hear_of_actor(parent_t *p, const char *word, const char *sentence) {
    CLEANUP(free_charp) char *actor = str_dup(sentence);
    char *space = strchr(actor, ' ');
    if (!space) return;
    *space = 0;
    if (streq(word, "place"))
        place(p, actor, space + 1);
    else
        place_home(p, actor, space + 1);
}

static void hear(parent_t *p, child_t *c) {
    bool open = child_status_read(c->status_fd, &c->heard);
    c->heard_ms = clock_monotonic_ms();
    text_t line = TEXT_HEAP;
    const char *word, *sentence;
    while (child_status_next(&c->heard, &line, &word, &sentence)) {
        if (streq(word, "ready")) {
            c->ready = true;
            log_info("troupe", "process %s: ready, pid %d, %lld ms", c->process->name, (int)c->pid,
                     (long long)(clock_monotonic_ms() - c->started_ms));
            all_ready(p);
        } else if (streq(word, "pause")) {
            pause_child(c, sentence);
        } else if (streq(word, "place") || streq(word, "refused")) {
            hear_of_actor(p, word, sentence);
        } else if (!streq(word, "alive")) {
            c->hung |= streq(word, "hung");
            free_charp(&c->last_words);
            c->last_words = str_dup(sentence);
            if (streq(word, "failed")) fail_start(p, c, sentence);
        }
    }
    text_done(&line);
    if (!open) close_fdp(&c->status_fd);
}

// ---- death --------------------------------------------------------------------------------------
static void died(parent_t *p, child_t *c, const char *how) {
    int64_t now_ms = clock_monotonic_ms();
    close_fdp(&c->status_fd);
    if (p->stopping || c->unwanted) {
        log_debug("troupe", "process %s: %s", c->process->name, how);
        return;
    }
    if (c->is_own && !c->ready) {
        place_home(p, c->process->name, c->last_words ? c->last_words : how);
        return;
    }
    c->deaths = parent_deaths_in_row(c->deaths, c->ready, now_ms - c->started_ms);
    c->restarts++;
    free_charp(&c->last_reason);
    c->last_reason =
        str_printf("process %s%s%s", how, c->last_words ? ": " : "", or_empty(c->last_words));
    int64_t delay_ms = parent_restart_delay_ms(c->deaths);
    c->due_ms = now_ms + delay_ms;
    c->ready = false;
    log_error("troupe", "process %s: %s%s%s; starts again in %lld ms", c->process->name, how,
              c->last_words ? ": " : "", or_empty(c->last_words), (long long)delay_ms);
}

static void reap(parent_t *p, child_t *c) {
    siginfo_t info = {0};
    if (waitid(P_PIDFD, (id_t)c->pidfd, &info, WEXITED | WNOHANG) < 0 || info.si_pid == 0) return;
    if (c->status_fd >= 0) hear(p, c); // its last words
    close_fdp(&c->pidfd);
    c->pid = 0;
    char how[128];
    if (info.si_code == CLD_EXITED)
        snprintf(how, sizeof how, "ended with status %d", info.si_status);
    else
        snprintf(how, sizeof how, "killed by signal %d (%s)%s", info.si_status,
                 strsignal(info.si_status), info.si_code == CLD_DUMPED ? ", core dumped" : "");
    died(p, c, how);
}

// ---- the watchdog -------------------------------------------------------------------------------
// A child that says nothing, or only that it hangs, is killed at its deadline; reaped as any other.
static int64_t watch_child(child_t *c, int64_t now_ms) {
    if (!c->pid) return INT64_MAX;
    if (c->unwanted) {
        if (now_ms >= c->due_ms) pidfd_send_signal(c->pidfd, SIGKILL, NULL, 0);
        return now_ms < c->due_ms ? c->due_ms : INT64_MAX;
    }
    if (c->paused_until_ms) {
        if (now_ms < c->paused_until_ms) return c->paused_until_ms;
        c->paused_until_ms = 0;
        c->heard_ms = now_ms;
        pidfd_send_signal(c->pidfd, SIGCONT, NULL, 0);
    }
    if (!c->ready || c->condemned || !c->process->hang_ms) return INT64_MAX;
    int64_t due_ms = c->heard_ms + c->process->hang_ms;
    if (!c->hung && now_ms < due_ms) return due_ms;
    if (!c->last_words) c->last_words = str_dup("hung: no sign of life");
    pidfd_send_signal(c->pidfd, SIGKILL, NULL, 0);
    c->condemned = true;
    return INT64_MAX;
}

static int64_t watch_children(parent_t *p) {
    int64_t now_ms = clock_monotonic_ms(), next_ms = p->ping_ms;
    for (size_t i = 0; i < p->len && !p->stopping; i++) {
        int64_t due_ms = watch_child(&p->children[i], now_ms);
        if (due_ms < next_ms) next_ms = due_ms;
    }
    if (now_ms < p->ping_ms) return next_ms;
    notify_send("WATCHDOG=1");
    p->ping_ms = now_ms + notify_watchdog_ms();
    return p->ping_ms < next_ms ? p->ping_ms : next_ms;
}

static void weigh_log(parent_t *p) {
    int64_t now_ms = clock_monotonic_ms();
    why_t why;
    if (!p->options->log || now_ms < p->log_due_ms) return;
    p->log_due_ms = now_ms + LOG_LOOK_MS;
    if (logfile_turn(p->options->log, LOG_MAX_BYTES, &why)) log_warn("troupe", "%s", why.text);
}

static void forgive_silence(parent_t *p) {
    for (size_t i = 0; i < p->len; i++) p->children[i].heard_ms = clock_monotonic_ms();
}

// ---- stopping: the last started first -----------------------------------------------------------
static bool stop_next(parent_t *p) {
    int64_t now_ms = clock_monotonic_ms();
    while (p->stop_at > 0) {
        child_t *c = &p->children[p->stop_at - 1];
        if (!c->pid) {
            p->stop_at--;
            p->stop_deadline_ms = 0;
        } else if (!p->stop_deadline_ms) {
            pidfd_send_signal(c->pidfd, SIGTERM, NULL, 0);
            pidfd_send_signal(c->pidfd, SIGCONT, NULL, 0); // it may be paused
            p->stop_deadline_ms = now_ms + STOP_CHILD_MS;
            return false;
        } else if (now_ms >= p->stop_deadline_ms) {
            log_warn("troupe", "process %s: not gone %d s after SIGTERM, killing it",
                     c->process->name, STOP_CHILD_MS / 1000);
            pidfd_send_signal(c->pidfd, SIGKILL, NULL, 0);
            p->stop_deadline_ms = INT64_MAX;
            return false;
        } else {
            return false;
        }
    }
    return true;
}

static void on_signal(parent_t *p) {
    struct signalfd_siginfo info;
    if (read(p->signal_fd, &info, sizeof info) != (ssize_t)sizeof info) return;
    if (p->stopping) { // asked twice: no more patience
        for (size_t i = 0; i < p->len; i++)
            if (p->children[i].pid) pidfd_send_signal(p->children[i].pidfd, SIGKILL, NULL, 0);
        return;
    }
    log_info("troupe", "%s: stopping", strsignal((int)info.ssi_signo));
    notify_send("STOPPING=1");
    p->stopping = true;
}

// ---- the loop -----------------------------------------------------------------------------------
static int64_t start_due(parent_t *p) {
    int64_t next_ms = INT64_MAX;
    for (size_t i = 0; i < p->len && !p->stopping; i++) {
        child_t *c = &p->children[i];
        if (c->unwanted) continue;
        if (!c->pid && c->due_ms <= clock_monotonic_ms()) start_child(p, c);
        if (!c->pid && c->due_ms < next_ms) next_ms = c->due_ms;
    }
    return next_ms;
}

static void wait_for_news(parent_t *p, int64_t until_ms) {
    struct pollfd fds[1 + 2 * TOPOLOGY_PROCESSES_MAX] = {{p->signal_fd, POLLIN, 0}};
    for (size_t i = 0; i < p->len; i++) { // poll(2) skips negative descriptors
        fds[1 + 2 * i] = (struct pollfd){p->children[i].status_fd, POLLIN, 0};
        fds[2 + 2 * i] = (struct pollfd){p->children[i].pidfd, POLLIN, 0};
    }
    int64_t left_ms = until_ms == INT64_MAX ? -1 : until_ms - clock_monotonic_ms();
    if (until_ms != INT64_MAX && left_ms < 0) left_ms = 0;
    int n = poll(fds, 1 + 2 * p->len, left_ms > INT32_MAX ? INT32_MAX : (int)left_ms);
    if (clock_monotonic_ms() - LATE_MS > until_ms) forgive_silence(p);
    if (n <= 0) return;
    for (size_t i = 0; i < p->len; i++) {
        if (fds[1 + 2 * i].revents) hear(p, &p->children[i]);
        if (fds[2 + 2 * i].revents) reap(p, &p->children[i]);
    }
    if (fds[0].revents) on_signal(p);
}

err_t parent_run(const parent_options_t *options, why_t *why) {
    sigset_t watched;
    sigemptyset(&watched);
    sigaddset(&watched, SIGINT), sigaddset(&watched, SIGTERM), sigaddset(&watched, SIGHUP);
    const topology_t *t = options->topology;
    parent_t p = {.options = options};
    err_t e = placement_load(&p.placed, placement_file(&p.placed, &t->vars), &p.placement, why);
    if (!e) {
        p.signal_fd = signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK);
        if (p.signal_fd < 0) e = why_errno(why, errno, "signalfd");
    }
    if (e) {
        arena_done(&p.placed);
        return e;
    }
    p.children = mem_new(TOPOLOGY_PROCESSES_MAX * sizeof *p.children);
    for (size_t i = 0; i < t->processes_len; i++) add_child(&p, &t->processes[i]);
    want_own_processes(&p);
    p.ping_ms = notify_watchdog_ms() ? clock_monotonic_ms() : INT64_MAX;
    for (;;) {
        int64_t until_ms = start_due(&p), watch_ms = watch_children(&p);
        if (watch_ms < until_ms) until_ms = watch_ms;
        if (p.stopping) {
            if (stop_next(&p)) break;
            if (p.stop_deadline_ms < until_ms) until_ms = p.stop_deadline_ms;
        }
        weigh_log(&p);
        wait_for_news(&p, until_ms);
    }
    for (size_t i = 0; i < p.len; i++) {
        text_done(&p.children[i].heard);
        free_charp(&p.children[i].last_words);
        free_charp(&p.children[i].last_reason);
    }
    free(p.children);
    arena_done(&p.placed);
    arena_done(&p.owned);
    close(p.signal_fd);
    if (p.failed) {
        child_status_send(options->status_fd, "failed", p.why.text);
        return why_set(why, p.failed, "%s", p.why.text);
    }
    log_info("troupe", "stopped");
    return ERR_OK;
}
