// Every child writes to one pipe: a record when a seed begins, one when it ends. A record fits into
// what a pipe takes in one piece.
#include "cli/troupe/simulate_jobs.h"
#include "runtime/base/clock.h"
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct {
    int64_t child;
    uint64_t seed;
    bool ended;
    verdict_t verdict;
} record_out_t;
static_assert(sizeof(record_out_t) <= PIPE_BUF, "written in one piece");

typedef struct {
    pid_t pid;
    bool at_work;
    uint64_t seed;
} child_job_t;

static void work(const simulate_jobs_t *jobs, int64_t child, int fd) {
    int64_t until_us = clock_monotonic_us() + jobs->within_ms * 1000;
    for (int64_t i = child; i < jobs->seeds; i += jobs->jobs) {
        if (jobs->within_ms && i >= jobs->at_least && clock_monotonic_us() > until_us) break;
        record_out_t r = {.child = child, .seed = jobs->first_seed + (uint64_t)i};
        if (write(fd, &r, sizeof r) != sizeof r) break;
        simulate(jobs->scenario, r.seed, jobs->plan, NULL, &r.verdict);
        r.ended = true;
        if (write(fd, &r, sizeof r) != sizeof r) break;
    }
}

static err_t start_children(const simulate_jobs_t *jobs, child_job_t *children, int fds[2],
                            why_t *why) {
    fflush(NULL); // what is buffered is said once
    for (int64_t i = 0; i < jobs->jobs; i++) {
        children[i].pid = fork();
        if (children[i].pid < 0) return why_set(why, ERR_EXHAUSTED, "fork: %s", strerror(errno));
        if (children[i].pid) continue;
        close(fds[0]);
        work(jobs, i, fds[1]);
        _exit(0);
    }
    return ERR_OK;
}

static bool hear(child_job_t *children, int fd, simulate_told_fn told, void *arg) {
    record_out_t r;
    ssize_t len;
    while ((len = read(fd, &r, sizeof r)) == sizeof r || (len < 0 && errno == EINTR)) {
        if (len < 0) continue;
        children[r.child].at_work = !r.ended;
        children[r.child].seed = r.seed;
        if (r.ended && !told(arg, r.seed, &r.verdict)) return false;
    }
    return true;
}

// A child that ended within a seed says by that what became of it.
static void bury(child_job_t *child, bool broken_off, simulate_told_fn told, void *arg) {
    int status = 0;
    if (child->pid <= 0) return;
    if (broken_off) kill(child->pid, SIGKILL);
    while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR) continue;
    if (broken_off || !child->at_work) return;
    verdict_t died = {.promise = SIMULATE_DIED};
    snprintf(died.broken, sizeof died.broken, "the run died: %s %d",
             WIFSIGNALED(status) ? "signal" : "exit status",
             WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    told(arg, child->seed, &died);
}

err_t simulate_jobs(const simulate_jobs_t *jobs, simulate_told_fn told, void *arg, why_t *why) {
    int fds[2];
    assert(jobs->jobs >= 1 && jobs->jobs <= SIMULATE_JOBS_MAX);
    child_job_t children[SIMULATE_JOBS_MAX] = {0};
    if (pipe(fds)) return why_set(why, ERR_EXHAUSTED, "pipe: %s", strerror(errno));
    err_t err = start_children(jobs, children, fds, why);
    close(fds[1]);
    bool broken_off = err || !hear(children, fds[0], told, arg);
    for (int64_t i = 0; i < jobs->jobs; i++) bury(&children[i], broken_off, told, arg);
    close(fds[0]);
    return err;
}
