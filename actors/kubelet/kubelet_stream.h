// kubelet_stream - one log or exec stream of kubelet/NODE. Inside of kubelet_streams and
// kubelet_exec only.
#pragma once
#include "actors/kubelet/kubelet_state.h"
#include "actors/kubelet/logs.h"
#include "cri/cri.pb-c.h"

typedef enum {
    STEP_LIST,
    STEP_POLL,
    STEP_SPEC,
    STEP_EXEC,
    STEP_START,
    STEP_WAIT,
    STEP_KILL,
    STEP_RESIZE,
    STEP_CLOSE,
    STEP_DELETE,
    STEP_LINGER,
    STEP_MAX,
} stream_step_t;

struct stream {
    uint64_t number, handle;
    char *container, *id;  // name; the runtime's id
    bool is_exec, is_gone; // gone: the other side is not there any more
    // log
    char *path;
    int file, inotify; // -1: none
    bool follow, previous, ended;
    bool moved; // the file has moved aside: when it is read, the new one is opened
    int64_t tail, limit, offset;
    log_filter_t filter;
    text_t rest; // log: an unfinished line. exec: input that waits
    // exec
    char *exec_id, *dir;
    char *argv_json; // the command, as a JSON array
    bool tty, wants_in, in_ended, started, exited, failed;
    uint32_t columns, rows;
    int in, out, err; // our ends of the fifos; -1: closed
    int exit_code;
    int waiting; // answers to come before it can be freed
};

uint64_t stream_tag(const stream_t *s, stream_step_t step);
stream_t *stream_open(actor_t *me, const message_t *msg, const char *ns, const char *pod,
                      const char *container, uint32_t push_window);
void stream_end(actor_t *me, stream_t *s, err_t err, const char *why); // frees it

// ---- exec (kubelet_exec.c) ---------------------------------------------------------------------
void exec_found(actor_t *me, stream_t *s, const Cri__Container *c); // NULL: there is none
void exec_heard(actor_t *me, stream_t *s, stream_step_t step, const void *body);
void exec_heard_failure(actor_t *me, stream_t *s, stream_step_t step, err_t err, const char *why);
void exec_timer(actor_t *me, stream_t *s, stream_step_t step);
void exec_fd(actor_t *me, stream_t *s, int fd, uint32_t events);
void exec_credit(actor_t *me, stream_t *s);
void exec_gone(actor_t *me, stream_t *s);
void exec_done(actor_t *me, stream_t *s); // closes and removes what it had
