// The kubelet's streams to the API server: a container's log, commands run in it, its own input and
// output, connections into its pod.
//
//     opening ask ─► which pod, which container? ─► ListContainers ─► the newest one (or the one
//     before)
//         log:  its file, read as credit allows; follow: inotify, until the container ends
//         exec, attach, port-forward: kubelet_{exec,attach,forward}.c
#include "actors/kubelet/kubelet_stream.h"
#include "actors/kubelet/pod_config.h"
#include "runtime/api/msg.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

enum {
    STREAMS_MAX = 256,
    FOLLOW_POLL_MS = 1000,
    INPUT_WINDOW = 16,
    INPUT_MAX_BYTES = 1 << 20, // that the other side has not read yet
};

// ---- streams ----------------------------------------------------------------------------------
uint64_t stream_tag(const stream_t *s, stream_step_t step) {
    return K_TAG_STREAM + s->number * 16 + step;
}

static stream_t *by_handle(const kubelet_t *self, uint64_t handle) {
    for (size_t i = 0; i < self->streams.len; i++)
        if (self->streams.at[i]->handle == handle) return self->streams.at[i];
    return NULL;
}

static stream_t *by_tag(const kubelet_t *self, uint64_t tag) {
    for (size_t i = 0; i < self->streams.len && tag >= K_TAG_STREAM; i++)
        if (self->streams.at[i]->number == (tag - K_TAG_STREAM) / 16) return self->streams.at[i];
    return NULL;
}

static void stream_free(actor_t *me, stream_t *s) {
    kubelet_t *self = actor_state(me);
    for (size_t i = 0; i < self->streams.len; i++) {
        if (self->streams.at[i] != s) continue;
        vec_remove(&self->streams, i);
        break;
    }
    for (int step = 0; step < STEP_MAX; step++)
        actor_timer_cancel(me, stream_tag(s, (stream_step_t)step));
    if (s->inotify >= 0) {
        actor_unwatch_fd(me, s->inotify);
        close(s->inotify);
    }
    if (s->file >= 0) close(s->file);
    if (s->kind) s->kind->done(me, s);
    text_done(&s->rest);
    free(s->container);
    free(s->id);
    free(s->path);
    free(s);
}

void stream_end(actor_t *me, stream_t *s, err_t err, const char *why) {
    if (!s->is_gone) actor_stream_end(me, s->handle, err, why);
    stream_free(me, s);
}

// The pod and the container that a request means; NULL: answered with what is wrong.
static const record_t *find_pod(actor_t *me, const message_t *msg, const char *ns, const char *name,
                                const char *container, const char **ret_container) {
    kubelet_t *self = actor_state(me);
    arena_t *arena = actor_arena(me);
    const record_t *record = informer_get(self->pods, ns, name);
    if (!record) {
        actor_fail(me, msg, ERR_NOT_FOUND, arena_printf(arena, "pods \"%s\" not found", name));
        return NULL;
    }
    const Core__PodSpec *spec = RECORD_AS(Core__Pod, record)->spec;
    text_t names = {.arena = arena};
    for (size_t i = 0; i < spec->n_containers; i++) {
        if (is_empty(container) && spec->n_containers == 1) container = spec->containers[i]->name;
        if (streq(or_empty(container), or_empty(spec->containers[i]->name)))
            *ret_container = container;
        text_addf(&names, "%s%s", names.len ? " " : "", or_empty(spec->containers[i]->name));
    }
    for (size_t i = 0; i < spec->n_initcontainers; i++)
        if (streq(or_empty(container), or_empty(spec->initcontainers[i]->name)))
            *ret_container = container;
    if (*ret_container) return record;
    actor_fail(
        me, msg, ERR_BAD_REQUEST,
        is_empty(container)
            ? arena_printf(arena,
                           "a container name must be specified for pod %s, choose one of: [%s]",
                           name, text_str(&names))
            : arena_printf(arena, "container %s is not valid for pod %s", container, name));
    return NULL;
}

static void ask_containers(actor_t *me, const stream_t *s, const char *uid) {
    kubelet_t *self = actor_state(me);
    Cri__ContainerFilter__LabelSelectorEntry of_uid = {
        .base.descriptor = &cri__container_filter__label_selector_entry__descriptor,
        .key = LABEL_POD_UID,
        .value = uid};
    Cri__ContainerFilter__LabelSelectorEntry of_name = {
        .base.descriptor = &cri__container_filter__label_selector_entry__descriptor,
        .key = LABEL_CONTAINER_NAME,
        .value = s->container};
    Cri__ContainerFilter__LabelSelectorEntry *entries[] = {&of_name, &of_uid};
    Cri__ContainerFilter filter = {.base.descriptor = &cri__container_filter__descriptor,
                                   .n_label_selector = 2,
                                   .label_selector = entries};
    Cri__ListContainersRequest request = {.base.descriptor =
                                              &cri__list_containers_request__descriptor,
                                          .filter = &filter};
    actor_ask(me, self->runtime_address, &request.base, KUBELET_LOOK_TIMEOUT_MS,
              stream_tag(s, STEP_LIST));
}

stream_t *stream_open(actor_t *me, const message_t *msg, const char *ns, const char *pod,
                      const char *container, uint32_t push_window) {
    kubelet_t *self = actor_state(me);
    const char *found = NULL;
    if (self->streams.len >= STREAMS_MAX) {
        actor_fail(me, msg, ERR_OVERLOADED, "too many streams on this node");
        return NULL;
    }
    const record_t *record = find_pod(me, msg, ns, pod, container, &found);
    if (!record) return NULL;
    // Of a static pod the record is its mirror: its containers bear the uid of the file.
    const char *mirrored =
        kubelet_is_mirror(record) ? object_annotation(record->object, KUBELET_MIRROR) : NULL;
    const char *uid = mirrored ? mirrored : record->uid;
    stream_t *s = NEW(stream_t);
    *s = (stream_t){.number = ++self->stream_next,
                    .handle = actor_stream_accept(me, msg, push_window),
                    .container = str_dup(found),
                    .file = -1,
                    .inotify = -1,
                    .in = -1,
                    .out = -1,
                    .err = -1,
                    .link = {.fd = -1}};
    const char *dir =
        pod_log_dir(&self->args, record->namespace_, record->name, uid, actor_arena(me));
    s->path = str_printf("%s/%s", dir, found);
    vec_push(&self->streams, s);
    ask_containers(me, s, uid);
    return s;
}

// ---- logs -------------------------------------------------------------------------------------
void kubelet_on_logs(actor_t *me, const message_t *msg, const void *body) {
    const Api__PodLogs *wanted = body;
    stream_t *s = stream_open(me, msg, wanted->namespace_, wanted->pod, wanted->container, 0);
    if (!s) return;
    s->follow = wanted->follow;
    s->previous = wanted->previous;
    s->tail = wanted->has_tail ? wanted->tail_lines : -1;
    s->limit = wanted->limit_bytes > 0 ? wanted->limit_bytes : INT64_MAX;
    s->offset = wanted->offset;
    s->filter.options.timestamps = wanted->timestamps;
    if (wanted->since_seconds > 0)
        s->filter.options.since_ms = actor_wall_ms(me) - wanted->since_seconds * 1000;
}

// The writer opens the new file a moment after the old one moved. True: it is open.
static bool follow_moved(actor_t *me, stream_t *s) {
    int file = open(s->path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        actor_timer(me, stream_tag(s, STEP_POLL), FOLLOW_POLL_MS);
        return false;
    }
    close(s->file);
    s->file = file;
    s->moved = false;
    s->offset = 0;
    text_reset(&s->rest);
    (void)inotify_add_watch(s->inotify, s->path, IN_MODIFY | IN_MOVE_SELF);
    return true;
}

// Reads and sends as long as there is credit and something to read. May end the stream.
static void pump_log(actor_t *me, stream_t *s) {
    char buf[LOG_READ_BYTES];
    while (actor_stream_credit(me, s->handle) > 0) {
        ssize_t got = pread(s->file, buf, sizeof buf, s->offset + (int64_t)s->rest.len);
        if (got <= 0 && s->moved && follow_moved(me, s)) continue;
        if (got <= 0) {
            if (s->follow && !s->ended) return;
            stream_end(me, s, ERR_OK, NULL);
            return;
        }
        text_addn(&s->rest, buf, (size_t)got);
        text_t out = {.arena = actor_arena(me)};
        size_t used = logs_filter(&s->filter, s->rest.at, s->rest.len, &out);
        if (!used && s->rest.len > LOG_LINE_BYTES_MAX)
            used = s->rest.len; // no line is that long: not a log
        memmove(s->rest.at, s->rest.at + used, s->rest.len - used + 1);
        s->rest.len -= used;
        s->offset += (int64_t)used;
        if ((int64_t)out.len > s->limit) out.len = (size_t)s->limit;
        if (out.len) {
            Api__LogChunk chunk = {.base.descriptor = &api__log_chunk__descriptor,
                                   .data = {out.len, (uint8_t *)out.at},
                                   .offset = s->offset};
            (void)actor_stream_send(me, s->handle, &chunk.base);
            s->limit -= (int64_t)out.len;
        }
        if (s->limit <= 0) {
            stream_end(me, s, ERR_OK, NULL);
            return;
        }
    }
}

static void open_log(actor_t *me, stream_t *s) {
    s->file = open(s->path, O_RDONLY | O_CLOEXEC);
    if (s->file < 0) {
        // A container that is created but has not run yet has no file.
        stream_end(me, s, s->ended ? ERR_OK : ERR_NOT_FOUND,
                   s->ended ? NULL : "the log is not there");
        return;
    }
    if (s->offset == 0 && s->tail >= 0) s->offset = logs_tail_offset(s->file, s->tail);
    if (s->follow) {
        s->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        if (s->inotify >= 0 &&
            inotify_add_watch(s->inotify, s->path, IN_MODIFY | IN_MOVE_SELF) >= 0)
            actor_watch_fd(me, s->inotify, EPOLLIN);
        else
            actor_timer(me, stream_tag(s, STEP_POLL),
                        FOLLOW_POLL_MS); // no watches left on this machine
    }
    pump_log(me, s);
}

static void log_found(actor_t *me, stream_t *s, const Cri__Container *c) {
    s->id = str_dup(c->id);
    s->ended = c->state == CRI__CONTAINER_STATE__CONTAINER_EXITED;
    char *dir = s->path;
    s->path = str_printf("%s/%u.log", dir, c->metadata->attempt);
    free(dir);
    open_log(me, s);
}

// ---- with input -------------------------------------------------------------------------------
void kubelet_on_exec(actor_t *me, const message_t *msg, const void *body) {
    const Api__PodExec *wanted = body;
    if (wanted->port > UINT16_MAX || (!wanted->port && !wanted->attach && !wanted->n_command)) {
        actor_fail(me, msg, ERR_BAD_REQUEST,
                   wanted->port ? "a port is at most 65535"
                                : "you must specify at least one command for the container");
        return;
    }
    stream_t *s =
        stream_open(me, msg, wanted->namespace_, wanted->pod, wanted->container, INPUT_WINDOW);
    if (!s) return;
    s->kind = wanted->port ? &stream_forward : wanted->attach ? &stream_attach : &stream_exec;
    s->port = (uint16_t)wanted->port;
    s->tty = wanted->tty;
    s->wants_in = wanted->stdin;
    s->columns = wanted->columns;
    s->rows = wanted->rows;
    s->argv_json = exec_argv(wanted);
}

void kubelet_on_exec_input(actor_t *me, const message_t *msg, const void *body) {
    const Api__ExecInput *input = body;
    stream_t *s = by_handle(actor_state(me), msg->stream);
    if (!s || !s->kind) return;
    s->resized = input->columns > 0;
    if (s->resized) {
        s->columns = input->columns;
        s->rows = input->rows;
    }
    if (s->rest.len + input->data.len <= INPUT_MAX_BYTES)
        text_addn(&s->rest, input->data.data, input->data.len);
    else
        s->in_ended = true; // who reads nothing while a megabyte waits gets no more
    s->in_ended |= input->end;
    s->kind->input(me, s);
}

void stream_ask(actor_t *me, stream_t *s, stream_step_t step, const ProtobufCMessage *request,
                int64_t timeout_ms) {
    kubelet_t *self = actor_state(me);
    actor_ask(me, self->runtime_address, request, timeout_ms, stream_tag(s, step));
}

void stream_say(actor_t *me, stream_t *s, Api__ExecOutput__Channel channel, const void *data,
                size_t len, int exit_code, const char *message) {
    Api__ExecOutput out = {.base.descriptor = &api__exec_output__descriptor,
                           .channel = channel,
                           .data = {len, (uint8_t *)data},
                           .exit_code = exit_code,
                           .message = message};
    if (!s->is_gone) (void)actor_stream_send(me, s->handle, &out.base);
}

// ---- answers ----------------------------------------------------------------------------------
static void listed(actor_t *me, stream_t *s, const Cri__ListContainersResponse *list) {
    const Cri__Container *newest = NULL, *before = NULL;
    for (size_t i = 0; i < list->n_containers; i++) {
        const Cri__Container *c = list->containers[i];
        if (!c->metadata || !streq(c->metadata->name, s->container)) continue;
        if (!newest || c->metadata->attempt > newest->metadata->attempt) {
            before = newest;
            newest = c;
        } else if (!before || c->metadata->attempt > before->metadata->attempt) {
            before = c;
        }
    }
    arena_t *arena = actor_arena(me);
    const Cri__Container *found = s->previous ? before : newest;
    if (s->kind)
        s->kind->found(me, s, newest);
    else if (found && found->state != CRI__CONTAINER_STATE__CONTAINER_CREATED)
        log_found(me, s, found);
    else if (s->previous)
        stream_end(me, s, ERR_BAD_REQUEST,
                   arena_printf(arena, "previous terminated container \"%s\" not found",
                                s->container));
    else
        stream_end(me, s, ERR_BAD_REQUEST,
                   arena_printf(arena, "container \"%s\" is waiting to start: ContainerCreating",
                                s->container));
}

bool kubelet_stream_answer(actor_t *me, const message_t *msg, const void *body) {
    kubelet_t *self = actor_state(me);
    stream_t *s = by_tag(self, msg->tag);
    if (!s) return msg->tag >= K_TAG_STREAM; // of one that has ended meanwhile
    stream_step_t step = (stream_step_t)((msg->tag - K_TAG_STREAM) % 16);
    if (step == STEP_LIST)
        listed(me, s, body);
    else
        s->kind->heard(me, s, step, body);
    return true;
}

bool kubelet_stream_failure(actor_t *me, const message_t *msg, err_t err, const char *why) {
    kubelet_t *self = actor_state(me);
    stream_t *s = by_tag(self, msg->tag);
    if (!s) return msg->tag >= K_TAG_STREAM;
    stream_step_t step = (stream_step_t)((msg->tag - K_TAG_STREAM) % 16);
    if (step == STEP_LIST)
        stream_end(me, s, err, why);
    else
        s->kind->failed(me, s, step, err, why);
    return true;
}

bool kubelet_stream_timer(actor_t *me, uint64_t tag) {
    kubelet_t *self = actor_state(me);
    if (tag < K_TAG_STREAM) return false;
    stream_t *s = by_tag(self, tag);
    if (!s) return true;
    if ((tag - K_TAG_STREAM) % 16 == STEP_POLL) {
        if (s->inotify < 0) actor_timer(me, tag, FOLLOW_POLL_MS);
        pump_log(me, s);
    } else if (s->kind && s->kind->timer) {
        s->kind->timer(me, s, (stream_step_t)((tag - K_TAG_STREAM) % 16));
    }
    return true;
}

// The log grew, or moved aside: then the rest of the old file comes before the new one.
static void log_changed(actor_t *me, stream_t *s) {
    char buf[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    bool moved = false;
    ssize_t got;
    while ((got = read(s->inotify, buf, sizeof buf)) > 0) {
        for (ssize_t at = 0; at < got;) {
            const struct inotify_event *event =
                (const struct inotify_event *)(const void *)(buf + at);
            moved |= event->mask & IN_MOVE_SELF;
            at += (ssize_t)(sizeof *event + event->len);
        }
    }
    s->moved |= moved;
    pump_log(me, s);
}

void kubelet_stream_fd(actor_t *me, int fd, uint32_t events) {
    kubelet_t *self = actor_state(me);
    for (size_t i = 0; i < self->streams.len; i++) {
        stream_t *s = self->streams.at[i];
        if (fd == s->inotify) {
            log_changed(me, s);
            return;
        }
        if (s->kind && (fd == s->in || fd == s->out || fd == s->err || fd == s->link.fd)) {
            s->kind->fd(me, s, fd, events);
            return;
        }
    }
}

void kubelet_on_stream_credit(actor_t *me, const message_t *msg, const void *body) {
    kubelet_t *self = actor_state(me);
    stream_t *s = by_handle(self, ((const Actor__StreamCredit *)body)->stream);
    if (!s) return;
    if (s->kind)
        s->kind->credit(me, s);
    else if (s->file >= 0)
        pump_log(me, s);
}

void kubelet_on_stream_gone(actor_t *me, const message_t *msg, const void *body) {
    kubelet_t *self = actor_state(me);
    stream_t *s = by_handle(self, ((const Actor__StreamGone *)body)->stream);
    if (!s) return;
    s->is_gone = true;
    if (s->kind && s->kind->gone)
        s->kind->gone(me, s);
    else
        stream_free(me, s);
}

// A container ended: who follows its log, or has joined it, gets the rest, then the end.
void kubelet_stream_container_ended(actor_t *me, const Node__ContainerChange *deleted) {
    kubelet_t *self = actor_state(me);
    for (size_t i = self->streams.len; i-- > 0;) {
        stream_t *s = self->streams.at[i];
        if (!s->id || !streq(s->id, deleted->id)) continue;
        if (s->kind) {
            if (s->kind->deleted) s->kind->deleted(me, s, deleted);
            continue;
        }
        s->ended = true;
        if (s->file >= 0) pump_log(me, s);
    }
}

void kubelet_streams_end(actor_t *me) {
    kubelet_t *self = actor_state(me);
    while (self->streams.len) {
        self->streams.at[self->streams.len - 1]->is_gone = true;
        stream_free(me, self->streams.at[self->streams.len - 1]);
    }
}
