// runtime_cri - runtime/NODE on a real machine: CRI's messages go on to containerd as they are, and
// its answers back; events of tasks become ContainerChange for the kubelet; the host's part of a
// pod (host.h) and probes are done here too.
//
// containerd itself: found running and adopted, or started; started again when it dies.
#include "actors/kubelet/containerd.h"
#include "actors/kubelet/host.h"
#include "actors/kubelet/outputs.h"
#include "actors/kubelet/probe.h"
#include "actors/kubelet/registry.h"
#include "cri/containerd_containers.pb-c.h"
#include "cri/containerd_events.pb-c.h"
#include "cri/containerd_subscribe.pb-c.h"
#include "cri/containerd_tasks.pb-c.h"
#include "cri/cri.pb-c.h"
#include "cri/google.pb-c.h"
#include "runtime/api/msg.h"
#include "runtime/base/clock.h"
#include "runtime/base/log.h"
#include "runtime/base/map.h"
#include "runtime/base/vec.h"
#include "runtime/io/grpc.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

// Starting pods is bound by the kernel and the shims: more than four at once only wait for each
// other (measured: 8.8 pods/s with 2, 10.2 with 4, 9.8 with 24 at a time).
enum {
    HEAVY_MAX = 4,
    PULLS_MAX = 3,
    QUEUE_MAX = 2048,
    STATUS_SOON_MS = 100, // while it is not ready
    STATUS_SOON_MAX_MS = 2000,
    STATUS_LATER_MS = 30 * 1000,
    START_DELAY_FIRST_MS = 100,
    START_DELAY_MAX_MS = 5000,
    EVENTS_AGAIN_MS = 100,
    CALL_TIMEOUT_MS = 10 * 1000,
    PROBES_MAX = 512,
};
enum { TAG_GRPC = 1, TAG_REGISTRY, TAG_START, TAG_STATUS, TAG_EVENTS, TAG_PROBE = 1 << 16 };

// ---- what is passed on ------------------------------------------------------------------------
typedef enum { CALL_LIGHT, CALL_HEAVY, CALL_PULL, CALL_CLASSES } call_class_t;
typedef struct {
    const ProtobufCMessageDescriptor *request, *response;
    const char *path;
    call_class_t class;
} route_t;
#define CRI(service, name, request, class)                                             \
    {                                                                                  \
        &cri__##request##_request__descriptor, &cri__##request##_response__descriptor, \
            "/runtime.v1." service "/" name, class                                     \
    }
#define TASKS(name, request, response)                                         \
    {                                                                          \
        &containerd__##request##_request__descriptor, &response##__descriptor, \
            "/containerd.services.tasks.v1.Tasks/" name, CALL_LIGHT            \
    }
static const route_t routes[] = {
    CRI("RuntimeService", "Version", version, CALL_LIGHT),
    CRI("RuntimeService", "Status", status, CALL_LIGHT),
    CRI("RuntimeService", "RunPodSandbox", run_pod_sandbox, CALL_HEAVY),
    CRI("RuntimeService", "StopPodSandbox", stop_pod_sandbox, CALL_LIGHT),
    CRI("RuntimeService", "RemovePodSandbox", remove_pod_sandbox, CALL_LIGHT),
    CRI("RuntimeService", "PodSandboxStatus", pod_sandbox_status, CALL_LIGHT),
    CRI("RuntimeService", "ListPodSandbox", list_pod_sandbox, CALL_LIGHT),
    CRI("RuntimeService", "CreateContainer", create_container, CALL_HEAVY),
    CRI("RuntimeService", "StartContainer", start_container, CALL_HEAVY),
    CRI("RuntimeService", "StopContainer", stop_container, CALL_LIGHT),
    CRI("RuntimeService", "RemoveContainer", remove_container, CALL_LIGHT),
    CRI("RuntimeService", "ListContainers", list_containers, CALL_LIGHT),
    CRI("RuntimeService", "ContainerStatus", container_status, CALL_LIGHT),
    CRI("RuntimeService", "ExecSync", exec_sync, CALL_LIGHT),
    CRI("RuntimeService", "Attach", attach, CALL_LIGHT),
    CRI("RuntimeService", "ReopenContainerLog", reopen_container_log, CALL_LIGHT),
    CRI("RuntimeService", "ContainerStats", container_stats, CALL_LIGHT),
    CRI("ImageService", "ListImages", list_images, CALL_LIGHT),
    CRI("ImageService", "ImageStatus", image_status, CALL_LIGHT),
    CRI("ImageService", "PullImage", pull_image, CALL_PULL),
    CRI("ImageService", "RemoveImage", remove_image, CALL_LIGHT),
    {&containerd__get_container_request__descriptor,
     &containerd__get_container_response__descriptor,
     "/containerd.services.containers.v1.Containers/Get", CALL_LIGHT},
    TASKS("Get", get, containerd__get_response),
    TASKS("Exec", exec_process, google__empty),
    TASKS("Start", start, containerd__start_response),
    TASKS("Wait", wait, containerd__wait_response),
    TASKS("Kill", kill, google__empty),
    TASKS("ResizePty", resize_pty, google__empty),
    {&containerd__close_iorequest__descriptor, &google__empty__descriptor,
     "/containerd.services.tasks.v1.Tasks/CloseIO", CALL_LIGHT},
    TASKS("DeleteProcess", delete_process, containerd__delete_response),
};
static const size_t class_max[CALL_CLASSES] = {
    [CALL_LIGHT] = GRPC_CALLS_MAX, [CALL_HEAVY] = HEAVY_MAX, [CALL_PULL] = PULLS_MAX};

static const route_t *route_of(const char *type) {
    for (size_t i = 0; i < LENGTH_OF(routes); i++)
        if (streq(routes[i].request->name, type)) return &routes[i];
    return NULL;
}

// ---- state ------------------------------------------------------------------------------------
typedef struct {
    actor_t *me;
    const route_t *route;
    caller_t *caller;
    blob_t *request; // while it waits for its turn
} call_t;

// A deleted container whose output has a rest: its log is asked for, then the end is told.
typedef struct {
    actor_t *me;
    char *id;
    uint32_t exit_code;
    text_t rest[OUTPUTS];
} deleted_t;

typedef struct {
    probe_t probe;
    caller_t *caller;
    uint64_t id;
} probing_t;

typedef struct {
    const kubelet_args_t *args;
    char *kubelet; // who is told
    containerd_probe_t machine;
    pid_t pid;       // containerd's; 0: none, or not ours to look after
    int pidfd;       // -1: none
    pid_t mounts_of; // containerd's, when it has a mount namespace of its own
    int64_t start_delay_ms, status_delay_ms;
    grpc_t *grpc;
    registry_t *registry;
    size_t running[CALL_CLASSES];
    VEC(call_t *) queue[CALL_CLASSES];
    imap_t calls;  // call_t by address: under way
    imap_t probes; // probing_t by fd
    uint64_t probe_next;
    outputs_t outputs;
    char *state_dir;          // containerd's
    imap_t deleted;           // deleted_t by address
    Node__RuntimeState state; // as last told; strings owned
    char *name, *version, *message, *range;
    uint64_t session;
} runtime_t;

// ---- telling ----------------------------------------------------------------------------------
static void tell_state(actor_t *me, bool ready, bool network_ready, const char *message) {
    runtime_t *self = actor_state(me);
    bool same = self->state.base.descriptor && self->state.ready == ready &&
                self->state.network_ready == network_ready &&
                self->state.session == self->session && streq(or_empty(self->message), message);
    if (same) return;
    char *kept = str_dup(message);
    free(self->message);
    self->message = kept;
    self->state = (Node__RuntimeState){.base.descriptor = &node__runtime_state__descriptor,
                                       .ready = ready,
                                       .network_ready = network_ready,
                                       .name = or_empty(self->name),
                                       .version = or_empty(self->version),
                                       .message = kept,
                                       .session = self->session};
    actor_tell(me, self->kubelet, &self->state.base);
}

static void tell_change(actor_t *me, Node__ContainerChange__What what, const char *id,
                        uint32_t exit_code) {
    runtime_t *self = actor_state(me);
    Node__ContainerChange change = {.base.descriptor = &node__container_change__descriptor,
                                    .what = what,
                                    .id = id,
                                    .exit_code = (int32_t)exit_code};
    actor_tell(me, self->kubelet, &change.base);
}

// ---- the rest of a container's output ---------------------------------------------------------
static void deleted_free(deleted_t *d) {
    for (int i = 0; i < OUTPUTS; i++) text_done(&d->rest[i]);
    free(d->id);
    free(d);
}

static void append_to_log(actor_t *me, const deleted_t *d, const char *path) {
    static const char *const names[OUTPUTS] = {"stdout", "stderr"};
    char seconds[TIME_TEXT_MAX];
    int64_t now_ms = actor_wall_ms(me);
    clock_rfc3339(now_ms, seconds);
    const char *time = arena_printf(actor_arena(me), "%.19s.%03dZ", seconds, (int)(now_ms % 1000));
    text_t lines = TEXT_HEAP;
    for (int i = 0; i < OUTPUTS; i++) outputs_log_lines(names[i], &d->rest[i], time, &lines);
    int fd = is_empty(path) ? -1 : open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (fd < 0 || write(fd, lines.at, lines.len) != (ssize_t)lines.len)
        log_warn(actor_address(me), "the end of the log of container %s is lost", d->id);
    close_fdp(&fd);
    text_done(&lines);
}

static void on_deleted_status(void *arg, const grpc_result_t *result) {
    deleted_t *d = arg;
    actor_t *me = d->me;
    runtime_t *self = actor_state(me);
    void *unpacked;
    const char *path = NULL;
    if (!result->err && !msg_unpack(actor_arena(me), &cri__container_status_response__descriptor,
                                    result->body, &unpacked, NULL)) {
        const Cri__ContainerStatus *status =
            ((const Cri__ContainerStatusResponse *)unpacked)->status;
        if (status) path = status->log_path;
    }
    append_to_log(me, d, path);
    Node__ContainerChange change = {
        .base.descriptor = &node__container_change__descriptor,
        .what = NODE__CONTAINER_CHANGE__WHAT__DELETED,
        .id = d->id,
        .exit_code = (int32_t)d->exit_code,
        .stdout = {d->rest[OUTPUT_STDOUT].len, (uint8_t *)d->rest[OUTPUT_STDOUT].at},
        .stderr = {d->rest[OUTPUT_STDERR].len, (uint8_t *)d->rest[OUTPUT_STDERR].at}};
    actor_tell(me, self->kubelet, &change.base);
    imap_remove(&self->deleted, (uint64_t)(uintptr_t)d);
    deleted_free(d);
}

static void on_task_deleted(actor_t *me, const char *id, uint32_t exit_code) {
    runtime_t *self = actor_state(me);
    deleted_t *d = NEW(deleted_t);
    *d = (deleted_t){.me = me, .exit_code = exit_code, .rest = {TEXT_HEAP, TEXT_HEAP}};
    if (!outputs_take(&self->outputs, id, d->rest)) {
        tell_change(me, NODE__CONTAINER_CHANGE__WHAT__DELETED, id, exit_code);
        deleted_free(d);
        return;
    }
    d->id = str_dup(id);
    imap_put(&self->deleted, (uint64_t)(uintptr_t)d, d);
    Cri__ContainerStatusRequest request = {.base.descriptor =
                                               &cri__container_status_request__descriptor,
                                           .container_id = d->id};
    (void)grpc_call(self->grpc, "/runtime.v1.RuntimeService/ContainerStatus", &request.base,
                    CALL_TIMEOUT_MS, on_deleted_status, d);
}

// ---- containerd's events ----------------------------------------------------------------------
static void on_event(void *arg, bytes_t packed) {
    actor_t *me = arg;
    arena_t *arena = actor_arena(me);
    void *unpacked;
    if (msg_unpack(arena, &containerd__envelope__descriptor, packed, &unpacked, NULL)) return;
    const Containerd__Envelope *envelope = unpacked;
    if (!envelope->event) return;
    bytes_t value = {envelope->event->value.data, envelope->event->value.len};
    const char *topic = envelope->topic;
    if (streq(topic, "/tasks/exit") &&
        !msg_unpack(arena, &containerd__task_exit__descriptor, value, &unpacked, NULL)) {
        const Containerd__TaskExit *exit = unpacked;
        // An exec inside a container has an id of its own.
        if (!streq(exit->id, exit->container_id)) return;
        outputs_widen(&((runtime_t *)actor_state(me))->outputs, exit->container_id);
        tell_change(me, NODE__CONTAINER_CHANGE__WHAT__EXITED, exit->container_id,
                    exit->exit_status);
    } else if (streq(topic, "/tasks/delete") &&
               !msg_unpack(arena, &containerd__task_delete__descriptor, value, &unpacked, NULL)) {
        const Containerd__TaskDelete *gone = unpacked;
        if (is_empty(gone->id) || streq(gone->id, gone->container_id))
            on_task_deleted(me, gone->container_id, gone->exit_status);
    } else if (streq(topic, "/tasks/oom") &&
               !msg_unpack(arena, &containerd__task_oom__descriptor, value, &unpacked, NULL)) {
        tell_change(me, NODE__CONTAINER_CHANGE__WHAT__OUT_OF_MEMORY,
                    ((const Containerd__TaskOOM *)unpacked)->container_id, 0);
    } else if (streq(topic, "/containers/delete") &&
               !msg_unpack(arena, &containerd__container_delete__descriptor, value, &unpacked,
                           NULL)) {
        tell_change(me, NODE__CONTAINER_CHANGE__WHAT__DELETED,
                    ((const Containerd__ContainerDelete *)unpacked)->id, 0);
    }
}

static void on_events_end(void *arg, const grpc_result_t *result) {
    actor_t *me = arg;
    const runtime_t *self = actor_state(me);
    // The connection's end is met with a new session; anything else: see resubscribe.
    if (grpc_is_connected(self->grpc)) actor_timer(me, TAG_EVENTS, EVENTS_AGAIN_MS);
}

static void subscribe(actor_t *me) {
    runtime_t *self = actor_state(me);
    static const char *filters[] = {"namespace==k8s.io,topic==\"/tasks/exit\"",
                                    "namespace==k8s.io,topic==\"/tasks/delete\"",
                                    "namespace==k8s.io,topic==\"/tasks/oom\"",
                                    "namespace==k8s.io,topic==\"/containers/delete\""};
    Containerd__SubscribeRequest request = {.base.descriptor =
                                                &containerd__subscribe_request__descriptor,
                                            .n_filters = LENGTH_OF(filters),
                                            .filters = filters};
    (void)grpc_open(self->grpc, "/containerd.services.events.v1.Events/Subscribe", &request.base, 0,
                    on_event, on_events_end, me);
}

// ---- its state --------------------------------------------------------------------------------
static void on_status(void *arg, const grpc_result_t *result) {
    actor_t *me = arg;
    runtime_t *self = actor_state(me);
    bool ready = false, network = false;
    const char *message = result->message;
    void *unpacked;
    if (!result->err && !msg_unpack(actor_arena(me), &cri__status_response__descriptor,
                                    result->body, &unpacked, NULL)) {
        const Cri__RuntimeStatus *status = ((const Cri__StatusResponse *)unpacked)->status;
        for (size_t i = 0; status && i < status->n_conditions; i++) {
            const Cri__RuntimeCondition *c = status->conditions[i];
            if (streq(c->type, "RuntimeReady")) ready = c->status;
            if (streq(c->type, "NetworkReady")) network = c->status;
            if (!c->status) message = c->message;
        }
    }
    tell_state(me, ready, network, or_empty(message));
    self->status_delay_ms = self->status_delay_ms * 2 < STATUS_SOON_MAX_MS
                                ? self->status_delay_ms * 2
                                : STATUS_SOON_MAX_MS;
    actor_timer(me, TAG_STATUS, ready && network ? STATUS_LATER_MS : self->status_delay_ms);
}

static void ask_status(actor_t *me) {
    runtime_t *self = actor_state(me);
    Cri__StatusRequest request = {.base.descriptor = &cri__status_request__descriptor};
    if (grpc_is_connected(self->grpc))
        (void)grpc_call(self->grpc, "/runtime.v1.RuntimeService/Status", &request.base,
                        CALL_TIMEOUT_MS, on_status, me);
}

// The stream of events ended and its connection did not: the state that follows names a new
// session, so that everybody looks again.
static void resubscribe(actor_t *me) {
    runtime_t *self = actor_state(me);
    if (!grpc_is_connected(self->grpc)) return;
    self->session++;
    subscribe(me);
    ask_status(me);
}

static void on_version(void *arg, const grpc_result_t *result) {
    actor_t *me = arg;
    runtime_t *self = actor_state(me);
    void *unpacked;
    if (result->err || msg_unpack(actor_arena(me), &cri__version_response__descriptor, result->body,
                                  &unpacked, NULL)) {
        // CRI comes up a little after the socket does.
        actor_timer(me, TAG_STATUS, self->status_delay_ms);
        return;
    }
    const Cri__VersionResponse *v = unpacked;
    free(self->name);
    free(self->version);
    self->name = str_dup(v->runtime_name);
    self->version = str_dup(v->runtime_version);
    ask_status(me);
}

static void ask_version(actor_t *me) {
    runtime_t *self = actor_state(me);
    Cri__VersionRequest request = {.base.descriptor = &cri__version_request__descriptor,
                                   .version = "v1"};
    (void)grpc_call(self->grpc, "/runtime.v1.RuntimeService/Version", &request.base,
                    CALL_TIMEOUT_MS, on_version, me);
}

// ---- the gRPC client's loop is this actor's ---------------------------------------------------
static void loop_watch(void *arg, int fd, uint32_t events) { actor_watch_fd(arg, fd, events); }
static void loop_unwatch(void *arg, int fd) { actor_unwatch_fd(arg, fd); }
static int64_t loop_now(void *arg) { return actor_now_ms(arg); }
static void loop_timer(void *arg, int64_t delay_ms) {
    if (delay_ms < 0)
        actor_timer_cancel(arg, TAG_GRPC);
    else
        actor_timer(arg, TAG_GRPC, delay_ms);
}
static void loop_connection(void *arg, bool connected) {
    actor_t *me = arg;
    runtime_t *self = actor_state(me);
    if (!connected) {
        tell_state(me, false, false, "container runtime is down");
        return;
    }
    self->session++;
    self->status_delay_ms = STATUS_SOON_MS;
    self->start_delay_ms = START_DELAY_FIRST_MS;
    actor_timer_cancel(me, TAG_EVENTS);
    // Subscribe first: what changes from here on is told, what was before is found by looking.
    subscribe(me);
    ask_version(me);
    outputs_open_all(&self->outputs, self->state_dir);
}

// ---- calls of others --------------------------------------------------------------------------
static void begin(actor_t *me, call_t *call);

static void call_done(call_t **call_p) {
    call_t *call = *call_p;
    if (call->caller) caller_drop(&call->caller);
    blob_unref(&call->request);
    free(call);
    *call_p = NULL;
}

static void on_answer(void *arg, const grpc_result_t *result) {
    call_t *call = arg;
    actor_t *me = call->me;
    runtime_t *self = actor_state(me);
    imap_remove(&self->calls, (uint64_t)(uintptr_t)call);
    const route_t *route = call->route;
    if (result->err) {
        caller_fail(me, &call->caller, result->err, result->message);
    } else {
        blob_t *body = blob_from(result->body.at, result->body.len);
        caller_reply_blob(me, &call->caller, route->response, body);
        blob_unref(&body);
    }
    call_done(&call);
    assert(self->running[route->class] > 0);
    self->running[route->class]--;
    if (self->queue[route->class].len) {
        call_t *next = self->queue[route->class].at[0];
        vec_remove(&self->queue[route->class], 0);
        begin(me, next);
    }
}

// The second reading end of a container's output lives from before its start until it is removed.
static void mind_outputs(actor_t *me, const route_t *route, bytes_t request) {
    runtime_t *self = actor_state(me);
    arena_t *arena = actor_arena(me);
    void *unpacked;
    bool starts = route->request == &cri__start_container_request__descriptor,
         removes = route->request == &cri__remove_container_request__descriptor;
    if ((!starts && !removes) || msg_unpack(arena, route->request, request, &unpacked, NULL))
        return;
    if (starts)
        outputs_open(&self->outputs, self->state_dir,
                     ((const Cri__StartContainerRequest *)unpacked)->container_id);
    else
        outputs_close(&self->outputs,
                      ((const Cri__RemoveContainerRequest *)unpacked)->container_id);
}

static void begin(actor_t *me, call_t *call) {
    runtime_t *self = actor_state(me);
    int64_t deadline_ms = caller_deadline_ms(call->caller);
    int64_t timeout_ms = deadline_ms ? deadline_ms - actor_now_ms(me) : CALL_TIMEOUT_MS;
    self->running[call->route->class]++;
    imap_put(&self->calls, (uint64_t)(uintptr_t)call, call);
    blob_t *request = x_steal(&call->request);
    mind_outputs(me, call->route, blob_bytes(request));
    (void)grpc_send(self->grpc, call->route->path, blob_bytes(request),
                    timeout_ms < 1 ? 1 : timeout_ms, NULL, on_answer, call);
    blob_unref(&request);
}

static void on_cri(actor_t *me, const message_t *msg, const void *body) {
    runtime_t *self = actor_state(me);
    const route_t *route = route_of(msg->type);
    assert(route);
    if (self->queue[route->class].len >= QUEUE_MAX) {
        actor_fail(me, msg, ERR_OVERLOADED, "too many calls of the container runtime are waiting");
        return;
    }
    call_t *call = NEW(call_t);
    *call = (call_t){.me = me,
                     .route = route,
                     .caller = actor_keep_caller(me, msg),
                     .request = blob_ref(msg->body)};
    if (self->running[route->class] < class_max[route->class])
        begin(me, call);
    else
        vec_push(&self->queue[route->class], call);
}

// ---- the host's part --------------------------------------------------------------------------
static void on_host_prepare(actor_t *me, const message_t *msg, const void *body) {
    runtime_t *self = actor_state(me);
    why_t why = {0};
    err_t err = host_prepare(body, self->mounts_of, &why);
    if (err) {
        actor_fail(me, msg, err, why.text);
        return;
    }
    Node__HostPrepareReply reply = {.base.descriptor = &node__host_prepare_reply__descriptor};
    actor_reply(me, msg, &reply.base);
}

static void on_host_remove(actor_t *me, const message_t *msg, const void *body) {
    runtime_t *self = actor_state(me);
    host_remove(body, self->mounts_of);
    Node__HostRemoveReply reply = {.base.descriptor = &node__host_remove_reply__descriptor};
    actor_reply(me, msg, &reply.base);
}

static void on_host_read(actor_t *me, const message_t *msg, const void *body) {
    const Node__HostRead *wanted = body;
    text_t data = {.arena = actor_arena(me)};
    err_t err = host_read(wanted->path, wanted->max_bytes, wanted->tail, &data);
    if (err) {
        actor_fail(me, msg, err, wanted->path);
        return;
    }
    Node__HostReadReply reply = {.base.descriptor = &node__host_read_reply__descriptor,
                                 .data = {data.len, (uint8_t *)data.at}};
    actor_reply(me, msg, &reply.base);
}

static void on_set_pod_range(actor_t *me, const message_t *msg, const void *body) {
    runtime_t *self = actor_state(me);
    const Node__SetPodRange *wanted = body;
    why_t why;
    if (self->range && streq(self->range, wanted->pod_range)) return;
    // An existing containerd has a network of its own making.
    if (!is_empty(self->args->socket)) return;
    if (cni_write(self->args, wanted->pod_range, &why)) {
        log_error(actor_address(me), "%s", why.text);
        return;
    }
    free(self->range);
    self->range = str_dup(wanted->pod_range);
    self->status_delay_ms = STATUS_SOON_MS / 4; // containerd reads the file within milliseconds
    actor_timer(me, TAG_STATUS, 10);
}

// ---- probes -----------------------------------------------------------------------------------
static void probing_end(actor_t *me, probing_t *probing, int fd, bool ok, const char *output) {
    runtime_t *self = actor_state(me);
    if (fd >= 0) imap_remove(&self->probes, (uint64_t)fd);
    actor_timer_cancel(me, TAG_PROBE + probing->id);
    Node__ProbeReply reply = {.base.descriptor = &node__probe_reply__descriptor,
                              .ok = ok,
                              .output = output};
    caller_reply(me, &probing->caller, &reply.base);
    probe_done(&probing->probe);
    free(probing);
}

static void on_probe(actor_t *me, const message_t *msg, const void *body) {
    runtime_t *self = actor_state(me);
    if (imap_len(&self->probes) >= PROBES_MAX) {
        actor_fail(me, msg, ERR_OVERLOADED, "too many probes at once");
        return;
    }
    probing_t *probing = NEW(probing_t);
    probing->caller = actor_keep_caller(me, msg);
    probing->id = self->probe_next++;
    if (!probe_start(&probing->probe, body)) {
        probing_end(me, probing, -1, probing->probe.ok, probing->probe.output);
        return;
    }
    imap_put(&self->probes, (uint64_t)probing->probe.fd, probing);
    actor_watch_fd(me, probing->probe.fd, probe_events(&probing->probe));
    int64_t left_ms = msg->deadline_ms ? msg->deadline_ms - actor_now_ms(me) : CALL_TIMEOUT_MS;
    actor_timer(me, TAG_PROBE + probing->id, left_ms > 20 ? left_ms - 10 : left_ms);
}

static void probe_timed_out(actor_t *me, uint64_t id) {
    runtime_t *self = actor_state(me);
    size_t at = 0;
    uint64_t fd;
    void *value;
    while (imap_next(&self->probes, &at, &fd, &value)) {
        probing_t *probing = value;
        if (probing->id != id) continue;
        actor_unwatch_fd(me, (int)fd);
        probing_end(me, probing, (int)fd, false, "context deadline exceeded");
        return;
    }
}

static void probe_ready(actor_t *me, probing_t *probing, int fd, uint32_t events) {
    uint32_t before = probe_events(&probing->probe);
    // The descriptor is closed when the probe is over, so it leaves the loop first.
    actor_unwatch_fd(me, fd);
    if (probe_on_fd(&probing->probe, events))
        probing_end(me, probing, fd, probing->probe.ok, or_empty(probing->probe.output));
    else
        actor_watch_fd(me, fd,
                       before == probe_events(&probing->probe) ? before
                                                               : probe_events(&probing->probe));
}

// ---- containerd's life ------------------------------------------------------------------------
static bool has_other_mounts(pid_t pid) {
    char path[64];
    struct stat ours, theirs;
    snprintf(path, sizeof path, "/proc/%d/ns/mnt", (int)pid);
    return stat("/proc/self/ns/mnt", &ours) == 0 && stat(path, &theirs) == 0 &&
           ours.st_ino != theirs.st_ino;
}

static void adopt(actor_t *me, pid_t pid) {
    runtime_t *self = actor_state(me);
    self->pid = pid;
    self->pidfd = pidfd_open(pid, 0);
    if (self->pidfd >= 0)
        actor_watch_fd(me, self->pidfd, EPOLLIN);
    else
        actor_timer(me, TAG_START, START_DELAY_FIRST_MS);
}

static void start_containerd(actor_t *me) {
    runtime_t *self = actor_state(me);
    why_t why;
    pid_t pid = containerd_find(self->args);
    if (pid) {
        log_info(actor_address(me), "containerd (pid %d) is running: adopted", (int)pid);
        adopt(me, pid);
        return;
    }
    if (containerd_start(self->args, &self->machine, &pid, &why)) {
        log_error(actor_address(me), "%s", why.text);
        self->start_delay_ms = self->start_delay_ms * 2 < START_DELAY_MAX_MS
                                   ? self->start_delay_ms * 2
                                   : START_DELAY_MAX_MS;
        actor_timer(me, TAG_START, self->start_delay_ms);
        return;
    }
    log_info(actor_address(me), "containerd started (pid %d, %s)", (int)pid,
             containerd_oci_runtime(self->args, &self->machine));
    adopt(me, pid);
}

static void containerd_died(actor_t *me) {
    runtime_t *self = actor_state(me);
    siginfo_t info = {0};
    (void)waitid(P_PID, (id_t)self->pid, &info,
                 WEXITED | WNOHANG); // not our child when it was adopted
    actor_unwatch_fd(me, self->pidfd);
    close(self->pidfd);
    self->pidfd = -1;
    self->pid = self->mounts_of = 0;
    log_warn(actor_address(me), "containerd died; containers go on; starting it again in %lld ms",
             (long long)self->start_delay_ms);
    actor_timer(me, TAG_START, self->start_delay_ms);
    self->start_delay_ms = self->start_delay_ms * 2 < START_DELAY_MAX_MS ? self->start_delay_ms * 2
                                                                         : START_DELAY_MAX_MS;
}

static void serve_registry(actor_t *me) {
    runtime_t *self = actor_state(me);
    registry_serve(self->registry);
    int64_t wait_ms = registry_timeout_ms(self->registry);
    if (wait_ms >= 0)
        actor_timer(me, TAG_REGISTRY, wait_ms);
    else
        actor_timer_cancel(me, TAG_REGISTRY);
}

static void on_timer(actor_t *me, uint64_t tag) {
    runtime_t *self = actor_state(me);
    if (tag == TAG_GRPC)
        grpc_on_timer(self->grpc);
    else if (tag == TAG_REGISTRY)
        serve_registry(me);
    else if (tag == TAG_START)
        start_containerd(me);
    else if (tag == TAG_EVENTS)
        resubscribe(me);
    else if (tag == TAG_STATUS && !self->name && grpc_is_connected(self->grpc))
        ask_version(me);
    else if (tag == TAG_STATUS)
        ask_status(me);
    else if (tag >= TAG_PROBE)
        probe_timed_out(me, tag - TAG_PROBE);
}

static void on_fd(actor_t *me, int fd, uint32_t events) {
    runtime_t *self = actor_state(me);
    if (self->pidfd >= 0 && fd == self->pidfd)
        containerd_died(me);
    else if (self->registry && fd == registry_fd(self->registry))
        serve_registry(me);
    else if (imap_get(&self->probes, (uint64_t)fd))
        probe_ready(me, imap_get(&self->probes, (uint64_t)fd), fd, events);
    else
        grpc_on_fd(self->grpc, fd, events);
}

// The mount namespace is containerd's own only once `unshare` has run; asked anew in each round.
static void settle(actor_t *me) {
    runtime_t *self = actor_state(me);
    if (self->pid) self->mounts_of = has_other_mounts(self->pid) ? self->pid : 0;
}

static err_t start_own(actor_t *me, why_t *why) {
    runtime_t *self = actor_state(me);
    const kubelet_args_t *a = self->args;
    containerd_probe(&self->machine);
    const containerd_probe_t *m = &self->machine;
    log_info(actor_address(me),
             "machine: cgroup %s%s, / %s, CAP_SYS_RESOURCE %s, runc %s, crun %s; taken: %s",
             m->cgroup_v2 ? "v2" : "v1", m->cgroup_hybrid ? " (hybrid)" : "",
             m->root_is_shared ? "shared" : "not shared",
             m->lacks_sys_resource ? "missing" : "there", m->has_runc ? "there" : "missing",
             m->has_crun ? "there" : "missing", containerd_oci_runtime(a, m));
    err_t err = containerd_prepare(a, m, why);
    if (err) return err;
    err = registry_new(a->images_dir, 0, &self->registry, why);
    if (!err) err = containerd_write_hosts(a, registry_port(self->registry), why);
    if (err) return err;
    actor_watch_fd(me, registry_fd(self->registry), EPOLLIN);
    start_containerd(me);
    return ERR_OK;
}

static err_t start(actor_t *me, const void *args, why_t *why) {
    runtime_t *self = actor_state(me);
    self->args = args;
    self->pidfd = -1;
    self->start_delay_ms = START_DELAY_FIRST_MS;
    self->status_delay_ms = STATUS_SOON_MS;
    self->kubelet = str_printf("kubelet/%s", actor_name(me));
    self->state_dir = is_empty(self->args->socket)
                          ? str_printf("%s/containerd", self->args->run_dir)
                          : str_dup("/run/containerd");
    if (is_empty(self->args->socket)) {
        err_t err = start_own(me, why);
        if (err) return err;
    }
    char *socket CLEANUP(free_charp) = containerd_socket(self->args);
    grpc_loop_t loop = {me, loop_watch, loop_unwatch, loop_timer, loop_now, loop_connection};
    self->grpc = grpc_new(socket, &loop, 0);
    grpc_set_header(self->grpc, "containerd-namespace", "k8s.io");
    return ERR_OK;
}

static void stop(actor_t *me) {
    runtime_t *self = actor_state(me);
    grpc_destroy(&self->grpc);
    size_t at = 0;
    uint64_t key;
    void *value;
    while (imap_next(&self->calls, &at, &key, &value)) {
        call_t *call = value;
        call_done(&call);
    }
    imap_done(&self->calls);
    at = 0;
    while (imap_next(&self->deleted, &at, &key, &value)) deleted_free(value);
    imap_done(&self->deleted);
    outputs_done(&self->outputs);
    free(self->state_dir);
    for (int class = 0; class < CALL_CLASSES; class ++) {
        for (size_t i = 0; i < self->queue[class].len; i++) call_done(&self->queue[class].at[i]);
        vec_done(&self->queue[class]);
    }
    at = 0;
    while (imap_next(&self->probes, &at, &key, &value)) {
        probing_t *probing = value;
        actor_unwatch_fd(me, probing->probe.fd);
        probe_done(&probing->probe);
        caller_drop(&probing->caller);
        free(probing);
    }
    imap_done(&self->probes);
    if (self->registry) actor_unwatch_fd(me, registry_fd(self->registry));
    registry_destroy(&self->registry);
    if (self->pidfd >= 0) {
        actor_unwatch_fd(me, self->pidfd);
        close(self->pidfd);
    }
    free(self->kubelet);
    free(self->name);
    free(self->version);
    free(self->message);
    free(self->range);
}

#define FROM "kubelet pod cli test"
#define PASS(request) \
    { &cri__##request##_request__descriptor, on_cri, FROM, false }
#define TASK(request) \
    { &containerd__##request##_request__descriptor, on_cri, FROM, false }
static const handler_t handlers[] = {
    PASS(version),
    PASS(status),
    PASS(run_pod_sandbox),
    PASS(stop_pod_sandbox),
    PASS(remove_pod_sandbox),
    PASS(pod_sandbox_status),
    PASS(list_pod_sandbox),
    PASS(create_container),
    PASS(start_container),
    PASS(stop_container),
    PASS(remove_container),
    PASS(list_containers),
    PASS(container_status),
    PASS(exec_sync),
    PASS(attach),
    PASS(reopen_container_log),
    PASS(container_stats),
    PASS(list_images),
    PASS(image_status),
    PASS(pull_image),
    PASS(remove_image),
    TASK(get_container),
    TASK(get),
    TASK(exec_process),
    TASK(start),
    TASK(wait),
    TASK(kill),
    TASK(resize_pty),
    {&containerd__close_iorequest__descriptor, on_cri, FROM, false},
    TASK(delete_process),
    {&node__set_pod_range__descriptor, on_set_pod_range, FROM, false},
    {&node__host_prepare__descriptor, on_host_prepare, FROM, false},
    {&node__host_remove__descriptor, on_host_remove, FROM, false},
    {&node__host_read__descriptor, on_host_read, FROM, false},
    {&node__probe__descriptor, on_probe, FROM, false},
    {0},
};

const actor_def_t runtime_cri_actor = {
    .role = "runtime",
    .state_size = sizeof(runtime_t),
    .start = start,
    .handlers = handlers,
    .settle = settle,
    .on_timer = on_timer,
    .on_fd = on_fd,
    .stop = stop,
};
