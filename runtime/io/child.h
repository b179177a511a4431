// child - a program run to its end from inside an actor: input in, output out, a deadline, no wait.
//
// One child at a time per child_t. The owner's on_fd hands its fds to child_ready, its on_timer the
// tag to child_timer; when either says CHILD_DONE, the result stands in the struct. A child past
// its deadline is killed. Programs are found by PATH; no shell is involved.
#pragma once
#include "runtime/actor/kit.h"
#include "runtime/base/text.h"

enum { CHILD_OUTPUT_MAX_BYTES = 64 << 20 }; // an iptables-save of 10,000 services is 8 MB

typedef enum { CHILD_NOT_MINE, CHILD_RUNNING, CHILD_DONE } child_state_t;
typedef struct {
    uint64_t timer_tag; // of the owner: its own for this child
    pid_t pid;          // 0: none is running
    int pid_fd, in_fd, out_fd, err_fd;
    text_t input; // what is still to be written
    size_t written;
    text_t output, errors; // what it said; valid from CHILD_DONE to the next start
    int exit_code;         // 0 well; 128 + signal when a signal ended it
    bool timed_out, output_cut;
} child_t;

void child_init(child_t *c, uint64_t timer_tag);
// argv ends with NULL. `input` is copied. Failing to start is the only error here.
err_t child_start(child_t *c, actor_t *me, const char *const *argv, bytes_t input,
                  int64_t timeout_ms, why_t *why) MUST_USE;
static inline bool child_is_running(const child_t *c) { return c->pid != 0; }
child_state_t child_ready(child_t *c, actor_t *me, int fd);
child_state_t child_timer(child_t *c, actor_t *me, uint64_t tag);
void child_done(child_t *c, actor_t *me); // kills what still runs, frees all
