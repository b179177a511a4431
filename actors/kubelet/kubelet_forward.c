// A connection to a port of a pod, made where the pod's own processes would make it: what listens
// on the pod's 127.0.0.1 only is reached, too.
//
//     found ─► the sandbox's task ─► its process ─► socket() inside of its network ─► connect
#include "actors/kubelet/kubelet_stream.h"
#include "cri/containerd_tasks.pb-c.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static void refused(actor_t *me, stream_t *s, const char *why) {
    stream_end(me, s, ERR_UNAVAILABLE,
               arena_printf(actor_arena(me), "port %u of the pod: %s", s->port, why));
}

static void forward_found(actor_t *me, stream_t *s, const Cri__Container *c) {
    if (!c || c->state != CRI__CONTAINER_STATE__CONTAINER_RUNNING) {
        stream_end(me, s, ERR_BAD_REQUEST, "unable to forward port because pod is not running");
        return;
    }
    Containerd__GetRequest request = {.base.descriptor = &containerd__get_request__descriptor,
                                      .container_id = c->pod_sandbox_id};
    stream_ask(me, s, STEP_TASK, &request.base, KUBELET_LOOK_TIMEOUT_MS);
}

// A socket stays in the network it was made in; this thread goes there for its making only.
static err_t connect_inside(actor_t *me, stream_t *s, uint32_t pid, why_t *why) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%u/ns/net", pid);
    int home CLEANUP(close_fdp) = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    int inside CLEANUP(close_fdp) = open(path, O_RDONLY | O_CLOEXEC);
    if (home < 0 || inside < 0 || setns(inside, CLONE_NEWNET) < 0)
        return why_errno(why, errno, "%s", path);
    err_t err = connection_begin(me, &s->link, s->port, why);
    if (setns(home, CLONE_NEWNET) < 0) abort(); // a kubelet in a pod's network must not go on
    return err;
}

static void forward_heard(actor_t *me, stream_t *s, stream_step_t step, const void *body) {
    const Containerd__GetResponse *task = body;
    why_t why;
    if (step != STEP_TASK) return;
    if (!task->process || !task->process->pid)
        refused(me, s, "its sandbox has no process");
    else if (connect_inside(me, s, task->process->pid, &why))
        refused(me, s, why.text);
}

static void forward_failed(actor_t *me, stream_t *s, stream_step_t step, err_t err,
                           const char *why) {
    stream_end(me, s, err, why);
}

// Reads only what there is credit for: a slow reader slows the program in the pod.
static void pump(actor_t *me, stream_t *s) {
    connection_t *c = &s->link;
    int got = 1;
    while (got > 0 && actor_stream_credit(me, s->handle) > 0) {
        got = connection_read(c);
        if (got > 0)
            stream_say(me, s, API__EXEC_OUTPUT__CHANNEL__STDOUT, c->in.at, c->in.len, 0, "");
        text_reset(&c->in);
    }
    c->is_held = got > 0;
    if (got < 0 || !connection_pump(me, c))
        stream_end(me, s, ERR_OK, NULL);
    else if (c->is_ending && !c->out.len)
        shutdown(c->fd, SHUT_WR);
}

static void forward_input(actor_t *me, stream_t *s) {
    connection_t *c = &s->link;
    if (!c->is_open) return; // it waits in `rest`
    text_addn(&c->out, text_str(&s->rest), s->rest.len);
    text_reset(&s->rest);
    c->is_ending = s->in_ended;
    pump(me, s);
}

static void forward_fd(actor_t *me, stream_t *s, int fd, uint32_t events) {
    connection_t *c = &s->link;
    if (!c->is_open) {
        int code = 0;
        socklen_t len = sizeof code;
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &len) < 0) code = errno;
        if (code) {
            refused(me, s, strerror(code));
            return;
        }
        c->is_open = true;
        forward_input(me, s);
        return;
    }
    pump(me, s);
}

static void forward_credit(actor_t *me, stream_t *s) {
    if (s->link.is_open) pump(me, s);
}

static void forward_done(actor_t *me, stream_t *s) {
    connection_close(me, &s->link);
    free(s->argv_json);
}

const stream_kind_t stream_forward = {
    .name = "port-forward",
    .found = forward_found,
    .heard = forward_heard,
    .failed = forward_failed,
    .fd = forward_fd,
    .input = forward_input,
    .credit = forward_credit,
    .done = forward_done,
};
