// Commands in a container, over containerd's tasks: CRI's own exec knows no end of stdin.
//
//     find ─► spec of the container's process ─► fifos ─► Exec ─► Wait + Start ─► … ─► Wait answers
//     ─► the rest of the output ─► EXIT ─► Delete
//
// The fifos lie in RUN/exec/ID: we hold one end of each, the container's shim the other.
#include "actors/kubelet/containerd.h"
#include "actors/kubelet/kubelet_stream.h"
#include "cri/containerd_containers.pb-c.h"
#include "cri/containerd_process.pb-c.h"
#include "cri/containerd_tasks.pb-c.h"
#include "runtime/api/msg.h"
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    EXEC_READ_BYTES = 32 << 10,
    EXEC_WAIT_MS = 30ll * 24 * 3600 * 1000,
    EXEC_LINGER_MS = 500, // output that comes after the exit
};
#define PROCESS_TYPE "types.containerd.io/opencontainers/runtime-spec/1/Process"

char *exec_argv(const Api__PodExec *wanted) {
    json_t *argv = json_array();
    for (size_t i = 0; i < wanted->n_command; i++)
        json_array_append_new(argv, json_string(wanted->command[i]));
    char *text = json_dumps(argv, JSON_COMPACT);
    json_decref(argv);
    return text;
}

static void exec_found(actor_t *me, stream_t *s, const Cri__Container *c) {
    if (!c || c->state != CRI__CONTAINER_STATE__CONTAINER_RUNNING) {
        stream_end(me, s, ERR_BAD_REQUEST,
                   arena_printf(actor_arena(me), "container not found (\"%s\")", s->container));
        return;
    }
    s->id = str_dup(c->id);
    Containerd__GetContainerRequest request = {.base.descriptor =
                                                   &containerd__get_container_request__descriptor,
                                               .id = s->id};
    stream_ask(me, s, STEP_SPEC, &request.base, KUBELET_LOOK_TIMEOUT_MS);
}

// ---- fifos ------------------------------------------------------------------------------------
static char *fifo(const stream_t *s, const char *name) { return str_printf("%s/%s", s->dir, name); }

static int make_fifo(const stream_t *s, const char *name, int flags) {
    char *path CLEANUP(free_charp) = fifo(s, name);
    if (mkfifo(path, 0600)) return -1;
    // Our writing end is opened for reading too: without a reader yet, opening it would fail.
    return open(path, flags | O_NONBLOCK | O_CLOEXEC);
}

static err_t make_fifos(actor_t *me, stream_t *s, why_t *why) {
    kubelet_t *self = actor_state(me);
    s->exec_id = str_printf("troupe-%llx-%llu", (unsigned long long)actor_incarnation(me),
                            (unsigned long long)s->number);
    s->dir = str_printf("%s/exec/%s", self->args.run_dir, s->exec_id);
    err_t err = make_dirs(s->dir, 0700, why);
    if (err) return err;
    if (s->wants_in && (s->in = make_fifo(s, "stdin", O_RDWR)) < 0)
        return why_errno(why, errno, "fifo in %s", s->dir);
    if ((s->out = make_fifo(s, "stdout", O_RDONLY)) < 0)
        return why_errno(why, errno, "fifo in %s", s->dir);
    if (!s->tty && (s->err = make_fifo(s, "stderr", O_RDONLY)) < 0)
        return why_errno(why, errno, "fifo in %s", s->dir);
    return ERR_OK;
}

static void close_end(actor_t *me, int *fd) {
    if (*fd < 0) return;
    actor_unwatch_fd(me, *fd);
    close(*fd);
    *fd = -1;
}

static void exec_done(actor_t *me, stream_t *s) {
    close_end(me, &s->in);
    close_end(me, &s->out);
    close_end(me, &s->err);
    static const char *const names[] = {"stdin", "stdout", "stderr"};
    for (size_t i = 0; s->dir && i < LENGTH_OF(names); i++) {
        char *path CLEANUP(free_charp) = fifo(s, names[i]);
        unlink(path);
    }
    if (s->dir) rmdir(s->dir);
    free(s->dir);
    free(s->exec_id);
    free(s->argv_json);
}

// ---- starting ---------------------------------------------------------------------------------
// The process as the container's own one is (user, environment, capabilities), with our command.
static char *process_json(const stream_t *s, const Containerd__Container *c) {
    json_t *spec = c && c->spec
                       ? json_loadb((const char *)c->spec->value.data, c->spec->value.len, 0, NULL)
                       : NULL;
    json_t *process = json_object_get(spec, "process");
    char *text = NULL;
    if (process) {
        json_object_set_new(process, "args", json_loads(s->argv_json, 0, NULL));
        json_object_set_new(process, "terminal", json_boolean(s->tty));
        if (s->tty && s->columns)
            json_object_set_new(process, "consoleSize",
                                json_pack("{s:i, s:i}", "height", (int)s->rows, "width",
                                          (int)s->columns));
        text = json_dumps(process, JSON_COMPACT);
    }
    json_decref(spec);
    return text;
}

static void heard_spec(actor_t *me, stream_t *s, const Containerd__GetContainerResponse *body) {
    char *json CLEANUP(free_charp) = process_json(s, body->container);
    why_t why;
    err_t err = json ? make_fifos(me, s, &why)
                     : why_set(&why, ERR_CORRUPT, "the container's spec cannot be read");
    if (err) {
        stream_end(me, s, err, why.text);
        return;
    }
    char *in CLEANUP(free_charp) = fifo(s, "stdin"), *out CLEANUP(free_charp) = fifo(s, "stdout"),
             *errors CLEANUP(free_charp) = fifo(s, "stderr");
    Google__Any spec = {.base.descriptor = &google__any__descriptor,
                        .type_url = PROCESS_TYPE,
                        .value = {strlen(json), (uint8_t *)json}};
    Containerd__ExecProcessRequest request = {.base.descriptor =
                                                  &containerd__exec_process_request__descriptor,
                                              .container_id = s->id,
                                              .stdin = s->wants_in ? in : "",
                                              .stdout = out,
                                              .stderr = s->tty ? "" : errors,
                                              .terminal = s->tty,
                                              .spec = &spec,
                                              .exec_id = s->exec_id};
    stream_ask(me, s, STEP_EXEC, &request.base, KUBELET_LOOK_TIMEOUT_MS);
}

static void heard_exec(actor_t *me, stream_t *s) {
    Containerd__WaitRequest wait = {.base.descriptor = &containerd__wait_request__descriptor,
                                    .container_id = s->id,
                                    .exec_id = s->exec_id};
    stream_ask(me, s, STEP_WAIT, &wait.base, EXEC_WAIT_MS);
    Containerd__StartRequest start = {.base.descriptor = &containerd__start_request__descriptor,
                                      .container_id = s->id,
                                      .exec_id = s->exec_id};
    stream_ask(me, s, STEP_START, &start.base, KUBELET_LOOK_TIMEOUT_MS);
}

static void resize(actor_t *me, stream_t *s) {
    Containerd__ResizePtyRequest request = {.base.descriptor =
                                                &containerd__resize_pty_request__descriptor,
                                            .container_id = s->id,
                                            .exec_id = s->exec_id,
                                            .width = s->columns,
                                            .height = s->rows};
    if (s->tty && s->columns)
        stream_ask(me, s, STEP_RESIZE, &request.base, KUBELET_LOOK_TIMEOUT_MS);
}

// ---- its end ----------------------------------------------------------------------------------
// Everything has been said once the process is gone and both of its outputs are at their end.
static bool finish(actor_t *me, stream_t *s) {
    if (!s->exited || ((s->out >= 0 || s->err >= 0) && !s->is_gone)) return false;
    if (!s->is_gone && actor_stream_credit(me, s->handle) == 0) return false;
    stream_say(me, s, API__EXEC_OUTPUT__CHANNEL__EXIT, NULL, 0, s->exit_code, "");
    kubelet_t *self = actor_state(me);
    Containerd__DeleteProcessRequest request = {.base.descriptor =
                                                    &containerd__delete_process_request__descriptor,
                                                .container_id = s->id,
                                                .exec_id = s->exec_id};
    actor_ask(me, self->runtime_address, &request.base, KUBELET_LOOK_TIMEOUT_MS,
              stream_tag(s, STEP_DELETE));
    stream_end(me, s, ERR_OK, NULL);
    return true;
}

// Reads what there is while there is credit. Returns false when the stream is gone.
static bool pump_out(actor_t *me, stream_t *s, int *fd, Api__ExecOutput__Channel channel) {
    char buf[EXEC_READ_BYTES];
    while (*fd >= 0) {
        if (!s->is_gone && actor_stream_credit(me, s->handle) == 0) {
            actor_unwatch_fd(me, *fd); // until credit comes
            return true;
        }
        ssize_t got = read(*fd, buf, sizeof buf);
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) return true;
        if (got <= 0) {
            if (got == 0 && !s->exited && !s->started) return true; // nobody has opened it yet
            close_end(me, fd);
            break;
        }
        stream_say(me, s, channel, buf, (size_t)got, 0, "");
    }
    return !finish(me, s);
}

static void heard_exit(actor_t *me, stream_t *s) {
    // A child that outlives the command keeps the outputs open: it is not waited for.
    actor_timer(me, stream_tag(s, STEP_LINGER), EXEC_LINGER_MS);
    if (!pump_out(me, s, &s->out, API__EXEC_OUTPUT__CHANNEL__STDOUT)) return;
    if (s->err >= 0) (void)pump_out(me, s, &s->err, API__EXEC_OUTPUT__CHANNEL__STDERR);
}

static void heard_wait(actor_t *me, stream_t *s, const Containerd__WaitResponse *body) {
    s->exited = true;
    s->exit_code = (int)body->exit_status;
    // A command that could not start has "ended" too: only the start's answer says which it was.
    if (s->started) heard_exit(me, s);
}

static void exec_timer(actor_t *me, stream_t *s, stream_step_t step) {
    if (step != STEP_LINGER) return;
    if (!s->is_gone && actor_stream_credit(me, s->handle) == 0) {
        actor_timer(me, stream_tag(s, STEP_LINGER),
                    EXEC_LINGER_MS); // the reader is slow, not the command
        return;
    }
    close_end(me, &s->out);
    close_end(me, &s->err);
    (void)finish(me, s);
}

// ---- input ------------------------------------------------------------------------------------
static void pump_in(actor_t *me, stream_t *s) {
    while (s->in >= 0 && s->rest.len) {
        ssize_t put = write(s->in, s->rest.at, s->rest.len);
        if (put < 0 && (errno == EAGAIN || errno == EINTR)) {
            actor_watch_fd(me, s->in, EPOLLOUT);
            return;
        }
        if (put <= 0) {
            close_end(me, &s->in);
            return;
        }
        memmove(s->rest.at, s->rest.at + put, s->rest.len - (size_t)put + 1);
        s->rest.len -= (size_t)put;
    }
    if (s->in < 0) return;
    actor_unwatch_fd(me, s->in);
    if (!s->in_ended) return;
    close_end(me, &s->in);
    Containerd__CloseIORequest request = {.base.descriptor =
                                              &containerd__close_iorequest__descriptor,
                                          .container_id = s->id,
                                          .exec_id = s->exec_id,
                                          .stdin = true};
    stream_ask(me, s, STEP_CLOSE, &request.base, KUBELET_LOOK_TIMEOUT_MS);
}

static void exec_input(actor_t *me, stream_t *s) {
    if (!s->started) return;
    if (s->resized) resize(me, s);
    pump_in(me, s);
}

static void exec_fd(actor_t *me, stream_t *s, int fd, uint32_t events) {
    if (fd >= 0 && fd == s->out)
        (void)pump_out(me, s, &s->out, API__EXEC_OUTPUT__CHANNEL__STDOUT);
    else if (fd >= 0 && fd == s->err)
        (void)pump_out(me, s, &s->err, API__EXEC_OUTPUT__CHANNEL__STDERR);
    else if (fd >= 0 && fd == s->in)
        pump_in(me, s);
}

static void exec_credit(actor_t *me, stream_t *s) {
    if (!s->started) return;
    if (s->out >= 0) actor_watch_fd(me, s->out, EPOLLIN);
    if (s->err >= 0) actor_watch_fd(me, s->err, EPOLLIN);
    (void)finish(me, s);
}

// Nobody listens any more: the command goes too.
static void exec_gone(actor_t *me, stream_t *s) {
    if (!s->started || s->exited) {
        if (s->exited) (void)finish(me, s);
        return; // not started: its start's answer leads here again
    }
    Containerd__KillRequest request = {.base.descriptor = &containerd__kill_request__descriptor,
                                       .container_id = s->id,
                                       .exec_id = s->exec_id,
                                       .signal = SIGKILL};
    stream_ask(me, s, STEP_KILL, &request.base, KUBELET_LOOK_TIMEOUT_MS);
}

static void heard_start(actor_t *me, stream_t *s) {
    s->started = true;
    if (s->out >= 0) actor_watch_fd(me, s->out, EPOLLIN);
    if (s->err >= 0) actor_watch_fd(me, s->err, EPOLLIN);
    resize(me, s);
    if (s->is_gone)
        exec_gone(me, s);
    else
        exec_fd(me, s, s->in, EPOLLOUT);
}

// ---- answers ----------------------------------------------------------------------------------
static void exec_heard(actor_t *me, stream_t *s, stream_step_t step, const void *body) {
    switch (step) {
    case STEP_SPEC: heard_spec(me, s, body); break;
    case STEP_EXEC: heard_exec(me, s); break;
    case STEP_START: heard_start(me, s); break;
    case STEP_WAIT: heard_wait(me, s, body); break;
    default: break; // resized, closed, killed
    }
}

static void exec_heard_failure(actor_t *me, stream_t *s, stream_step_t step, err_t err,
                               const char *why) {
    if (step == STEP_SPEC || step == STEP_EXEC || step == STEP_START) {
        // A command that is not there: as a shell says it, 126 or 127 with the runtime's words.
        if (step == STEP_START && !s->is_gone) {
            stream_say(me, s, API__EXEC_OUTPUT__CHANNEL__EXIT, NULL, 0,
                       strstr(why, "not found") || strstr(why, "no such file") ? 127 : 126, why);
            stream_end(me, s, ERR_OK, NULL);
            return;
        }
        stream_end(me, s, err, why);
    } else if (step == STEP_WAIT) {
        stream_end(me, s, err, why);
    }
}

const stream_kind_t stream_exec = {
    .name = "exec",
    .found = exec_found,
    .heard = exec_heard,
    .failed = exec_heard_failure,
    .timer = exec_timer,
    .fd = exec_fd,
    .input = exec_input,
    .credit = exec_credit,
    .gone = exec_gone,
    .done = exec_done,
};
