// A container's own input and output, by CRI's Attach: the runtime answers with an address on
// loopback, where SPDY/3.1 carries Kubernetes' remote command protocol, v4.
//
//     found ─► Attach ─► connect ─► upgrade ─► streams error, stdin, stdout, stderr, resize
//           ─► … ─► data on the error stream (how it ended), or the connection's end
//
// The runtime may end the session before it has read all that the container wrote: then the rest
// comes with the news that the container's task is deleted (outputs.h), and is said before the end.
//
//     the session is over ─► does the task run? ─yes─► end
//                                               ─no──► wait for that news ─► the rest ─► end
//
// Ending stdin's stream ends the container's input when it is to have one session only (stdinOnce).
#include "actors/kubelet/kubelet_stream.h"
#include "cri/containerd_tasks.pb-c.h"
#include "runtime/io/spdy.h"
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum {
    UNREAD_CHUNK_BYTES = 32 << 10,
    UNREAD_WAIT_MS =
        10 * 1000, // for the news of the end; the shim may take two seconds, and is busy
};
#define PROTOCOL "v4.channel.k8s.io"
// Streams of a client have odd numbers; those that are not wanted leave a gap.
enum {
    ERROR_STREAM = 1,
    STDIN_STREAM = 3,
    STDOUT_STREAM = 5,
    STDERR_STREAM = 7,
    RESIZE_STREAM = 9
};

static void attach_found(actor_t *me, stream_t *s, const Cri__Container *c) {
    if (!c || c->state != CRI__CONTAINER_STATE__CONTAINER_RUNNING) {
        stream_end(me, s, ERR_BAD_REQUEST,
                   arena_printf(actor_arena(me),
                                "container %s is not running: there is nothing to attach to; its "
                                "output is in the log",
                                s->container));
        return;
    }
    s->id = str_dup(c->id);
    Cri__AttachRequest request = {.base.descriptor = &cri__attach_request__descriptor,
                                  .container_id = s->id,
                                  .tty = s->tty,
                                  .stdin = s->wants_in,
                                  .stdout = true,
                                  .stderr = !s->tty};
    stream_ask(me, s, STEP_ATTACH, &request.base, KUBELET_LOOK_TIMEOUT_MS);
}

// "http://127.0.0.1:PORT/attach/TOKEN"
static err_t begin(actor_t *me, stream_t *s, const char *url, why_t *why) {
    static const char scheme[] = "http://127.0.0.1:";
    const char *path = has_prefix(url, scheme) ? strchr(url + strlen(scheme), '/') : NULL;
    long port = path ? strtol(url + strlen(scheme), NULL, 10) : 0;
    if (port < 1 || port > UINT16_MAX)
        return why_set(why, ERR_MALFORMED, "the runtime's address for attach is \"%s\"", url);
    spdy_open(&s->link.out, "127.0.0.1", path, PROTOCOL);
    return connection_begin(me, &s->link, (uint16_t)port, why);
}

// ---- its end -----------------------------------------------------------------------------------
// As credit allows; at its end the stream ends.
static void say_unread(actor_t *me, stream_t *s) {
    static const Api__ExecOutput__Channel channels[OUTPUTS] = {API__EXEC_OUTPUT__CHANNEL__STDOUT,
                                                               API__EXEC_OUTPUT__CHANNEL__STDERR};
    for (int i = 0; i < OUTPUTS; i++) {
        text_t *unread = &s->unread[i];
        while (unread->len) {
            if (actor_stream_credit(me, s->handle) == 0) return;
            size_t len = unread->len < UNREAD_CHUNK_BYTES ? unread->len : UNREAD_CHUNK_BYTES;
            stream_say(me, s, channels[i], unread->at, len, 0, "");
            memmove(unread->at, unread->at + len, unread->len - len + 1);
            unread->len -= len;
        }
    }
    stream_end(me, s, ERR_OK, NULL);
}

static void session_over(actor_t *me, stream_t *s) {
    s->is_over = true;
    connection_close(me, &s->link);
    if (s->exited) {
        say_unread(me, s);
        return;
    }
    actor_timer(me, stream_tag(s, STEP_LINGER), UNREAD_WAIT_MS);
    Containerd__GetRequest request = {.base.descriptor = &containerd__get_request__descriptor,
                                      .container_id = s->id};
    stream_ask(me, s, STEP_TASK, &request.base, KUBELET_LOOK_TIMEOUT_MS);
}

static void attach_deleted(actor_t *me, stream_t *s, const Node__ContainerChange *change) {
    s->exited = true;
    text_addn(&s->unread[OUTPUT_STDOUT], (const char *)change->stdout.data, change->stdout.len);
    text_addn(&s->unread[OUTPUT_STDERR], (const char *)change->stderr.data, change->stderr.len);
    if (s->is_over) say_unread(me, s);
}

static void attach_timer(actor_t *me, stream_t *s, stream_step_t step) {
    if (step == STEP_LINGER && !s->exited) stream_end(me, s, ERR_OK, NULL);
}

static void heard_task(actor_t *me, stream_t *s, const Containerd__GetResponse *body) {
    bool runs = body->process && body->process->status == CONTAINERD__STATUS__RUNNING;
    if (runs && !s->exited) stream_end(me, s, ERR_OK, NULL);
}

static void attach_heard(actor_t *me, stream_t *s, stream_step_t step, const void *body) {
    why_t why;
    if (step == STEP_TASK) heard_task(me, s, body);
    if (step != STEP_ATTACH) return; // resized
    err_t err = begin(me, s, ((const Cri__AttachResponse *)body)->url, &why);
    if (err) stream_end(me, s, err, why.text);
}

static void attach_failed(actor_t *me, stream_t *s, stream_step_t step, err_t err,
                          const char *why) {
    if (step != STEP_RESIZE && step != STEP_TASK) stream_end(me, s, err, why);
}

static void resize(actor_t *me, stream_t *s) {
    Containerd__ResizePtyRequest request = {.base.descriptor =
                                                &containerd__resize_pty_request__descriptor,
                                            .container_id = s->id,
                                            .width = s->columns,
                                            .height = s->rows};
    if (s->tty && s->columns)
        stream_ask(me, s, STEP_RESIZE, &request.base, KUBELET_LOOK_TIMEOUT_MS);
}

// ---- the session -------------------------------------------------------------------------------
static void queue_input(stream_t *s) {
    connection_t *c = &s->link;
    if (!c->is_open || !s->wants_in || c->is_ending) return; // it waits in `rest`, or is unwanted
    if (s->rest.len || s->in_ended)
        spdy_add_data(&c->out, STDIN_STREAM, text_str(&s->rest), s->rest.len, s->in_ended);
    c->is_ending = s->in_ended;
    text_reset(&s->rest);
}

static void open_streams(actor_t *me, stream_t *s) {
    text_t *out = &s->link.out;
    s->link.is_open = true;
    spdy_add_stream(out, ERROR_STREAM, "error");
    if (s->wants_in) spdy_add_stream(out, STDIN_STREAM, "stdin");
    spdy_add_stream(out, STDOUT_STREAM, "stdout");
    if (!s->tty) spdy_add_stream(out, STDERR_STREAM, "stderr");
    if (s->tty) spdy_add_stream(out, RESIZE_STREAM, "resize"); // expected; sizes go by the task
    resize(me, s);
    queue_input(s);
}

// One frame; false: it was the last.
static bool hear(actor_t *me, stream_t *s, const spdy_frame_t *frame) {
    if (frame->kind == SPDY_PING) spdy_add_pong(&s->link.out, frame);
    if (frame->kind == SPDY_GOAWAY) return false;
    if (frame->kind != SPDY_DATA) return true;
    if (frame->stream == ERROR_STREAM) return false;
    if (frame->len)
        stream_say(me, s,
                   frame->stream == STDERR_STREAM ? API__EXEC_OUTPUT__CHANNEL__STDERR
                                                  : API__EXEC_OUTPUT__CHANNEL__STDOUT,
                   frame->data, frame->len, 0, "");
    return true;
}

// What is whole of what has been read, as credit allows. False: the session is over.
static bool hear_all(actor_t *me, stream_t *s, err_t *ret_err, why_t *why) {
    connection_t *c = &s->link;
    size_t at = 0, used = 1;
    bool goes_on = true;
    if (!c->is_open) {
        *ret_err = spdy_opened(text_str(&c->in), c->in.len, &at, why);
        if (at) open_streams(me, s);
    }
    while (c->is_open && goes_on && used && actor_stream_credit(me, s->handle) > 0) {
        spdy_frame_t frame;
        spdy_next(text_str(&c->in) + at, c->in.len - at, &frame, &used);
        if (used) goes_on = hear(me, s, &frame);
        at += used;
    }
    if (at) memmove(c->in.at, c->in.at + at, c->in.len - at + 1);
    c->in.len -= at;
    return goes_on && !*ret_err;
}

static void pump(actor_t *me, stream_t *s) {
    if (s->is_over) return;
    connection_t *c = &s->link;
    why_t why = {0};
    err_t err = ERR_OK;
    int got = 1;
    bool goes_on = hear_all(me, s, &err, &why);
    while (goes_on && got > 0 && actor_stream_credit(me, s->handle) > 0) {
        got = connection_read(c);
        if (got > 0) goes_on = hear_all(me, s, &err, &why);
    }
    c->is_held = got > 0;
    if (err)
        stream_end(me, s, err, why.text);
    else if (!goes_on || got < 0 || !connection_pump(me, c))
        session_over(me, s);
}

static void attach_input(actor_t *me, stream_t *s) {
    if (s->resized) resize(me, s);
    queue_input(s);
    if (s->link.is_open) pump(me, s);
}

static void attach_fd(actor_t *me, stream_t *s, int fd, uint32_t events) { pump(me, s); }
static void attach_credit(actor_t *me, stream_t *s) {
    if (s->link.fd >= 0)
        pump(me, s);
    else if (s->is_over && s->exited)
        say_unread(me, s);
}

static void attach_done(actor_t *me, stream_t *s) {
    connection_close(me, &s->link);
    for (int i = 0; i < OUTPUTS; i++) text_done(&s->unread[i]);
    free(s->argv_json);
}

const stream_kind_t stream_attach = {
    .name = "attach",
    .found = attach_found,
    .heard = attach_heard,
    .failed = attach_failed,
    .fd = attach_fd,
    .timer = attach_timer,
    .input = attach_input,
    .credit = attach_credit,
    .deleted = attach_deleted,
    .done = attach_done,
};
