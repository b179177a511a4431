// runtime_sim - runtime/NODE of a simulated node: sandboxes and containers that exist only here,
// with the latencies and faults of the args. Takes the same messages as runtime_cri.
//
// What it holds dies with its process, as a machine's containers die with the machine.
#include "actors/kubelet/kubelet.h"
#include "actors/kubelet/pod_config.h"
#include "runtime/api/msg.h"
#include "runtime/base/map.h"
#include "runtime/base/vec.h"
#include <arpa/inet.h>

enum {
    TAG_LATER = 1ull << 32,
    CRASH_MAX_MS = 5000,
    IMAGE_BYTES = 4 << 20,
    EXIT_KILLED = 137,
    EXIT_TERMINATED = 143
};

typedef struct {
    char *id, *name, *ns, *uid;
    uint32_t attempt, address; // the last part of its IP
    bool ready;
    int64_t created_ms;
} sandbox_t;

typedef struct {
    char *id, *sandbox, *name, *uid, *image, *hash;
    uint32_t attempt;
    Cri__ContainerState state;
    int64_t created_ms, started_ms, finished_ms;
    int exit_code;
} container_t;

typedef enum {
    LATER_SANDBOX,
    LATER_CREATE,
    LATER_START,
    LATER_STOP,
    LATER_STOP_SANDBOX,
    LATER_PULL,
    LATER_CRASH,
    LATER_EXITED
} later_kind_t;
typedef struct {
    later_kind_t kind;
    caller_t *caller; // NULL: nobody waits (a crash)
    char *id;
    bool fails;
} later_t;

typedef struct {
    const kubelet_args_t *args;
    char *kubelet;
    char *range;
    map_t sandboxes, containers; // by id, owned
    imap_t later;                // later_t by number, owned
    uint64_t next;
    uint32_t address_next;
} sim_runtime_t;

static char *new_id(actor_t *me, const char *what) {
    sim_runtime_t *self = actor_state(me);
    return str_printf("%s-%s-%llx-%llu", what, actor_name(me),
                      (unsigned long long)actor_incarnation(me), (unsigned long long)++self->next);
}

static void sandbox_free(sandbox_t *s) {
    free(s->id);
    free(s->name);
    free(s->ns);
    free(s->uid);
    free(s);
}

static void container_free(container_t *c) {
    free(c->id);
    free(c->sandbox);
    free(c->name);
    free(c->uid);
    free(c->image);
    free(c->hash);
    free(c);
}

// ---- later ------------------------------------------------------------------------------------
static void do_later(actor_t *me, const message_t *msg, later_kind_t kind, const char *id,
                     int64_t delay_ms) {
    sim_runtime_t *self = actor_state(me);
    later_t *l = NEW(later_t);
    *l = (later_t){.kind = kind,
                   .caller = msg ? actor_keep_caller(me, msg) : NULL,
                   .id = str_dup(id)};
    // A fifth around the given time, so that a thousand nodes do not step in time.
    rng_t *rng = actor_rng(me);
    int64_t jitter = delay_ms / 5;
    if (jitter > 0) delay_ms += rng_between(rng, -jitter, jitter);
    l->fails = msg && self->args->sim_fault > 0 && rng_chance(rng, self->args->sim_fault);
    imap_put(&self->later, ++self->next, l);
    actor_timer(me, TAG_LATER + self->next, delay_ms);
}

static void tell_end(actor_t *me, const char *id, int exit_code) {
    sim_runtime_t *self = actor_state(me);
    Node__ContainerChange change = {.base.descriptor = &node__container_change__descriptor,
                                    .what = NODE__CONTAINER_CHANGE__WHAT__EXITED,
                                    .id = id,
                                    .exit_code = exit_code};
    actor_tell(me, self->kubelet, &change.base);
    change.what = NODE__CONTAINER_CHANGE__WHAT__DELETED;
    actor_tell(me, self->kubelet, &change.base);
}

static void end_container(actor_t *me, container_t *c, int exit_code) {
    const sim_runtime_t *self = actor_state(me);
    if (c->state != CRI__CONTAINER_STATE__CONTAINER_RUNNING || c->finished_ms) return;
    c->finished_ms = actor_wall_ms(me);
    c->exit_code = exit_code;
    tell_end(me, c->id, exit_code);
    // As containerd does: told first, then written down.
    if (self->args->sim_exit_ms)
        do_later(me, NULL, LATER_EXITED, c->id, self->args->sim_exit_ms);
    else
        c->state = CRI__CONTAINER_STATE__CONTAINER_EXITED;
}

static void end_containers_of(actor_t *me, const char *sandbox) {
    sim_runtime_t *self = actor_state(me);
    size_t at = 0;
    const char *id;
    void *value;
    while (map_next(&self->containers, &at, &id, &value))
        if (streq(((container_t *)value)->sandbox, sandbox)) end_container(me, value, EXIT_KILLED);
}

static void reply_empty(actor_t *me, caller_t **caller, const ProtobufCMessageDescriptor *type) {
    ProtobufCMessage *reply = msg_new(actor_arena(me), type);
    caller_reply(me, caller, reply);
}

static void happen(actor_t *me, later_t *l) {
    sim_runtime_t *self = actor_state(me);
    container_t *c = map_get(&self->containers, l->id);
    sandbox_t *s = map_get(&self->sandboxes, l->id);
    switch (l->kind) {
    case LATER_SANDBOX: {
        if (s) s->ready = true;
        Cri__RunPodSandboxResponse reply = {.base.descriptor =
                                                &cri__run_pod_sandbox_response__descriptor,
                                            .pod_sandbox_id = l->id};
        caller_reply(me, &l->caller, &reply.base);
        break;
    }
    case LATER_CREATE: {
        Cri__CreateContainerResponse reply = {.base.descriptor =
                                                  &cri__create_container_response__descriptor,
                                              .container_id = l->id};
        caller_reply(me, &l->caller, &reply.base);
        break;
    }
    case LATER_START:
        if (!c) {
            caller_fail(me, &l->caller, ERR_NOT_FOUND, "no such container");
            break;
        }
        c->state = CRI__CONTAINER_STATE__CONTAINER_RUNNING;
        c->started_ms = actor_wall_ms(me);
        reply_empty(me, &l->caller, &cri__start_container_response__descriptor);
        if (self->args->sim_crash > 0 && rng_chance(actor_rng(me), self->args->sim_crash))
            do_later(me, NULL, LATER_CRASH, l->id, rng_between(actor_rng(me), 1, CRASH_MAX_MS));
        break;
    case LATER_STOP:
        if (c) end_container(me, c, EXIT_TERMINATED);
        reply_empty(me, &l->caller, &cri__stop_container_response__descriptor);
        break;
    case LATER_STOP_SANDBOX:
        if (s) s->ready = false;
        end_containers_of(me, l->id);
        reply_empty(me, &l->caller, &cri__stop_pod_sandbox_response__descriptor);
        break;
    case LATER_PULL: {
        Cri__PullImageResponse reply = {.base.descriptor = &cri__pull_image_response__descriptor,
                                        .image_ref = l->id};
        caller_reply(me, &l->caller, &reply.base);
        break;
    }
    case LATER_CRASH:
        if (c) end_container(me, c, 1);
        break;
    case LATER_EXITED:
        if (c) c->state = CRI__CONTAINER_STATE__CONTAINER_EXITED;
        break;
    }
}

static void on_timer(actor_t *me, uint64_t tag) {
    sim_runtime_t *self = actor_state(me);
    if (tag < TAG_LATER) return;
    later_t *l = imap_remove(&self->later, tag - TAG_LATER);
    if (!l) return;
    if (l->fails)
        caller_fail(me, &l->caller, ERR_INTERNAL, "simulated fault");
    else
        happen(me, l);
    free(l->id);
    free(l);
}

// ---- sandboxes --------------------------------------------------------------------------------
static const char *address_of(actor_t *me, const sandbox_t *s) {
    sim_runtime_t *self = actor_state(me);
    struct in_addr base = {0};
    char *net = arena_strdup(actor_arena(me), or_empty(self->range));
    net[strcspn(net, "/")] = 0;
    if (inet_pton(AF_INET, net, &base) != 1) base.s_addr = htonl(0x0af40000);
    uint32_t host = ntohl(base.s_addr) + s->address;
    return arena_printf(actor_arena(me), "%u.%u.%u.%u", host >> 24, host >> 16 & 255,
                        host >> 8 & 255, host & 255);
}

static void on_run_sandbox(actor_t *me, const message_t *msg, const void *body) {
    sim_runtime_t *self = actor_state(me);
    const Cri__PodSandboxConfig *config = ((const Cri__RunPodSandboxRequest *)body)->config;
    if (!config || !config->metadata) {
        actor_fail(me, msg, ERR_INVALID, "no sandbox metadata");
        return;
    }
    sandbox_t *s = NEW(sandbox_t);
    *s = (sandbox_t){.id = new_id(me, "s"),
                     .name = str_dup(config->metadata->name),
                     .ns = str_dup(config->metadata->namespace_),
                     .uid = str_dup(config->metadata->uid),
                     .attempt = config->metadata->attempt,
                     .created_ms = actor_wall_ms(me),
                     .address = 2 + self->address_next++ % 250};
    map_put(&self->sandboxes, s->id, s);
    do_later(me, msg, LATER_SANDBOX, s->id, self->args->sim_sandbox_ms);
}

static void on_stop_sandbox(actor_t *me, const message_t *msg, const void *body) {
    sim_runtime_t *self = actor_state(me);
    do_later(me, msg, LATER_STOP_SANDBOX,
             ((const Cri__StopPodSandboxRequest *)body)->pod_sandbox_id, self->args->sim_stop_ms);
}

static void on_remove_sandbox(actor_t *me, const message_t *msg, const void *body) {
    sim_runtime_t *self = actor_state(me);
    const char *id = ((const Cri__RemovePodSandboxRequest *)body)->pod_sandbox_id;
    sandbox_t *s = map_get(&self->sandboxes, id);
    size_t at = 0;
    const char *key;
    void *value;
    while (s && map_next(&self->containers, &at, &key, &value)) {
        if (!streq(((container_t *)value)->sandbox, id)) continue;
        map_remove(&self->containers, key);
        container_free(value);
    }
    if (s) {
        map_remove(&self->sandboxes, id);
        sandbox_free(s);
    }
    actor_reply(me, msg, msg_new(actor_arena(me), &cri__remove_pod_sandbox_response__descriptor));
}

static Cri__PodSandboxMetadata *sandbox_metadata(arena_t *arena, const sandbox_t *s) {
    Cri__PodSandboxMetadata *m =
        MSG_NEW(arena, Cri__PodSandboxMetadata, cri__pod_sandbox_metadata__descriptor);
    m->name = s->name;
    m->namespace_ = s->ns;
    m->uid = s->uid;
    m->attempt = s->attempt;
    return m;
}

static void on_sandbox_status(actor_t *me, const message_t *msg, const void *body) {
    sim_runtime_t *self = actor_state(me);
    arena_t *arena = actor_arena(me);
    const sandbox_t *s =
        map_get(&self->sandboxes, ((const Cri__PodSandboxStatusRequest *)body)->pod_sandbox_id);
    if (!s) {
        actor_fail(me, msg, ERR_NOT_FOUND, "no such sandbox");
        return;
    }
    Cri__PodSandboxStatusResponse *reply =
        MSG_NEW(arena, Cri__PodSandboxStatusResponse, cri__pod_sandbox_status_response__descriptor);
    reply->status = MSG_NEW(arena, Cri__PodSandboxStatus, cri__pod_sandbox_status__descriptor);
    reply->status->id = s->id;
    reply->status->metadata = sandbox_metadata(arena, s);
    reply->status->state =
        s->ready ? CRI__POD_SANDBOX_STATE__SANDBOX_READY : CRI__POD_SANDBOX_STATE__SANDBOX_NOTREADY;
    reply->status->created_at = s->created_ms * 1000000;
    reply->status->network =
        MSG_NEW(arena, Cri__PodSandboxNetworkStatus, cri__pod_sandbox_network_status__descriptor);
    if (s->ready) reply->status->network->ip = address_of(me, s);
    actor_reply(me, msg, &reply->base);
}

static void on_list_sandboxes(actor_t *me, const message_t *msg, const void *body) {
    sim_runtime_t *self = actor_state(me);
    arena_t *arena = actor_arena(me);
    const Cri__PodSandboxFilter *filter = ((const Cri__ListPodSandboxRequest *)body)->filter;
    const char *uid = filter && filter->n_label_selector ? filter->label_selector[0]->value : NULL;
    Cri__ListPodSandboxResponse *reply =
        MSG_NEW(arena, Cri__ListPodSandboxResponse, cri__list_pod_sandbox_response__descriptor);
    reply->items = ARENA_ARRAY(arena, Cri__PodSandbox *, map_len(&self->sandboxes) + 1);
    size_t at = 0;
    const char *id;
    void *value;
    while (map_next(&self->sandboxes, &at, &id, &value)) {
        const sandbox_t *s = value;
        if (uid && !streq(uid, s->uid)) continue;
        Cri__PodSandbox *one = MSG_NEW(arena, Cri__PodSandbox, cri__pod_sandbox__descriptor);
        one->id = s->id;
        one->metadata = sandbox_metadata(arena, s);
        one->state = s->ready ? CRI__POD_SANDBOX_STATE__SANDBOX_READY
                              : CRI__POD_SANDBOX_STATE__SANDBOX_NOTREADY;
        reply->items[reply->n_items++] = one;
    }
    actor_reply(me, msg, &reply->base);
}

// ---- containers -------------------------------------------------------------------------------
static const char *note_of(const Cri__ContainerConfig *config, const char *key) {
    for (size_t i = 0; i < config->n_annotations; i++)
        if (streq(config->annotations[i]->key, key)) return config->annotations[i]->value;
    return "";
}

static void on_create(actor_t *me, const message_t *msg, const void *body) {
    sim_runtime_t *self = actor_state(me);
    const Cri__CreateContainerRequest *request = body;
    const sandbox_t *s = map_get(&self->sandboxes, request->pod_sandbox_id);
    if (!s || !request->config || !request->config->metadata) {
        actor_fail(me, msg, ERR_NOT_FOUND, "no such sandbox");
        return;
    }
    container_t *c = NEW(container_t);
    *c =
        (container_t){.id = new_id(me, "c"),
                      .sandbox = str_dup(s->id),
                      .name = str_dup(request->config->metadata->name),
                      .uid = str_dup(s->uid),
                      .image = str_dup(request->config->image ? request->config->image->image : ""),
                      .hash = str_dup(note_of(request->config, ANNOTATION_HASH)),
                      .attempt = request->config->metadata->attempt,
                      .state = CRI__CONTAINER_STATE__CONTAINER_CREATED,
                      .created_ms = actor_wall_ms(me)};
    map_put(&self->containers, c->id, c);
    do_later(me, msg, LATER_CREATE, c->id, self->args->sim_create_ms);
}

static void on_start(actor_t *me, const message_t *msg, const void *body) {
    sim_runtime_t *self = actor_state(me);
    do_later(me, msg, LATER_START, ((const Cri__StartContainerRequest *)body)->container_id,
             self->args->sim_start_ms);
}

static void on_stop(actor_t *me, const message_t *msg, const void *body) {
    sim_runtime_t *self = actor_state(me);
    const Cri__StopContainerRequest *request = body;
    do_later(me, msg, LATER_STOP, request->container_id,
             request->timeout > 0 ? self->args->sim_stop_ms : 1);
}

static void on_remove(actor_t *me, const message_t *msg, const void *body) {
    sim_runtime_t *self = actor_state(me);
    container_t *c =
        map_remove(&self->containers, ((const Cri__RemoveContainerRequest *)body)->container_id);
    if (c) container_free(c);
    actor_reply(me, msg, msg_new(actor_arena(me), &cri__remove_container_response__descriptor));
}

static Cri__ContainerMetadata *container_metadata(arena_t *arena, const container_t *c) {
    Cri__ContainerMetadata *m =
        MSG_NEW(arena, Cri__ContainerMetadata, cri__container_metadata__descriptor);
    m->name = c->name;
    m->attempt = c->attempt;
    return m;
}

static void on_container_status(actor_t *me, const message_t *msg, const void *body) {
    sim_runtime_t *self = actor_state(me);
    arena_t *arena = actor_arena(me);
    const container_t *c =
        map_get(&self->containers, ((const Cri__ContainerStatusRequest *)body)->container_id);
    if (!c) {
        actor_fail(me, msg, ERR_NOT_FOUND, "no such container");
        return;
    }
    Cri__ContainerStatusResponse *reply =
        MSG_NEW(arena, Cri__ContainerStatusResponse, cri__container_status_response__descriptor);
    Cri__ContainerStatus *s =
        MSG_NEW(arena, Cri__ContainerStatus, cri__container_status__descriptor);
    reply->status = s;
    s->id = c->id;
    s->metadata = container_metadata(arena, c);
    s->state = c->state;
    s->created_at = c->created_ms * 1000000;
    s->started_at = c->started_ms * 1000000;
    s->finished_at = c->finished_ms * 1000000;
    s->exit_code = c->exit_code;
    s->image = MSG_NEW(arena, Cri__ImageSpec, cri__image_spec__descriptor);
    s->image->image = c->image;
    s->image_ref = c->image;
    s->annotations = ARENA_ARRAY(arena, Cri__ContainerStatus__AnnotationsEntry *, 1);
    s->annotations[0] = MSG_NEW(arena, Cri__ContainerStatus__AnnotationsEntry,
                                cri__container_status__annotations_entry__descriptor);
    s->annotations[0]->key = ANNOTATION_HASH;
    s->annotations[0]->value = c->hash;
    s->n_annotations = 1;
    actor_reply(me, msg, &reply->base);
}

static void on_list_containers(actor_t *me, const message_t *msg, const void *body) {
    sim_runtime_t *self = actor_state(me);
    arena_t *arena = actor_arena(me);
    const Cri__ContainerFilter *filter = ((const Cri__ListContainersRequest *)body)->filter;
    const char *uid = NULL;
    for (size_t i = 0; filter && i < filter->n_label_selector; i++)
        if (streq(filter->label_selector[i]->key, LABEL_POD_UID))
            uid = filter->label_selector[i]->value;
    Cri__ListContainersResponse *reply =
        MSG_NEW(arena, Cri__ListContainersResponse, cri__list_containers_response__descriptor);
    reply->containers = ARENA_ARRAY(arena, Cri__Container *, map_len(&self->containers) + 1);
    size_t at = 0;
    const char *id;
    void *value;
    while (map_next(&self->containers, &at, &id, &value)) {
        const container_t *c = value;
        if (uid && !streq(uid, c->uid)) continue;
        Cri__Container *one = MSG_NEW(arena, Cri__Container, cri__container__descriptor);
        one->id = c->id;
        one->pod_sandbox_id = c->sandbox;
        one->metadata = container_metadata(arena, c);
        one->state = c->state;
        one->labels = ARENA_ARRAY(arena, Cri__Container__LabelsEntry *, 1);
        one->labels[0] =
            MSG_NEW(arena, Cri__Container__LabelsEntry, cri__container__labels_entry__descriptor);
        one->labels[0]->key = LABEL_POD_UID;
        one->labels[0]->value = c->uid;
        one->n_labels = 1;
        reply->containers[reply->n_containers++] = one;
    }
    actor_reply(me, msg, &reply->base);
}

// ---- images, host, the rest -------------------------------------------------------------------
static void on_pull(actor_t *me, const message_t *msg, const void *body) {
    sim_runtime_t *self = actor_state(me);
    const Cri__PullImageRequest *request = body;
    do_later(me, msg, LATER_PULL, request->image ? request->image->image : "",
             self->args->sim_pull_ms);
}

static void on_image_status(actor_t *me, const message_t *msg, const void *body) {
    arena_t *arena = actor_arena(me);
    const Cri__ImageStatusRequest *request = body;
    Cri__ImageStatusResponse *reply =
        MSG_NEW(arena, Cri__ImageStatusResponse, cri__image_status_response__descriptor);
    reply->image = MSG_NEW(arena, Cri__Image, cri__image__descriptor);
    reply->image->id = request->image ? request->image->image : "";
    reply->image->size = IMAGE_BYTES;
    actor_reply(me, msg, &reply->base);
}

static void on_exec(actor_t *me, const message_t *msg, const void *body) {
    actor_reply(me, msg, msg_new(actor_arena(me), &cri__exec_sync_response__descriptor));
}
static void on_host_prepare(actor_t *me, const message_t *msg, const void *body) {
    actor_reply(me, msg, msg_new(actor_arena(me), &node__host_prepare_reply__descriptor));
}
static void on_host_remove(actor_t *me, const message_t *msg, const void *body) {
    actor_reply(me, msg, msg_new(actor_arena(me), &node__host_remove_reply__descriptor));
}
static void on_host_read(actor_t *me, const message_t *msg, const void *body) {
    actor_reply(me, msg, msg_new(actor_arena(me), &node__host_read_reply__descriptor));
}
static void on_probe(actor_t *me, const message_t *msg, const void *body) {
    Node__ProbeReply reply = {.base.descriptor = &node__probe_reply__descriptor, .ok = true};
    actor_reply(me, msg, &reply.base);
}

static void tell_state(actor_t *me) {
    sim_runtime_t *self = actor_state(me);
    Node__RuntimeState state = {.base.descriptor = &node__runtime_state__descriptor,
                                .ready = true,
                                .network_ready = self->range != NULL,
                                .name = "sim",
                                .version = TROUPE_VERSION,
                                .message = self->range ? "" : "no pod range yet",
                                .session = 1};
    actor_tell(me, self->kubelet, &state.base);
}

static void on_set_pod_range(actor_t *me, const message_t *msg, const void *body) {
    sim_runtime_t *self = actor_state(me);
    free(self->range);
    self->range = str_dup(((const Node__SetPodRange *)body)->pod_range);
    tell_state(me);
}

// ---- life -------------------------------------------------------------------------------------
static err_t start(actor_t *me, const void *args, why_t *why) {
    sim_runtime_t *self = actor_state(me);
    self->args = args;
    self->kubelet = str_printf("kubelet/%s", actor_name(me));
    tell_state(me);
    return ERR_OK;
}

static void stop(actor_t *me) {
    sim_runtime_t *self = actor_state(me);
    size_t at = 0;
    const char *id;
    void *value;
    uint64_t number;
    while (map_next(&self->sandboxes, &at, &id, &value)) sandbox_free(value);
    at = 0;
    while (map_next(&self->containers, &at, &id, &value)) container_free(value);
    at = 0;
    while (imap_next(&self->later, &at, &number, &value)) {
        later_t *l = value;
        if (l->caller) caller_drop(&l->caller);
        free(l->id);
        free(l);
    }
    map_done(&self->sandboxes);
    map_done(&self->containers);
    imap_done(&self->later);
    free(self->kubelet);
    free(self->range);
}

#define ROW(request, handler) \
    { &cri__##request##_request__descriptor, handler, "kubelet pod test", false }
static const handler_t handlers[] = {
    ROW(run_pod_sandbox, on_run_sandbox),
    ROW(stop_pod_sandbox, on_stop_sandbox),
    ROW(remove_pod_sandbox, on_remove_sandbox),
    ROW(pod_sandbox_status, on_sandbox_status),
    ROW(list_pod_sandbox, on_list_sandboxes),
    ROW(create_container, on_create),
    ROW(start_container, on_start),
    ROW(stop_container, on_stop),
    ROW(remove_container, on_remove),
    ROW(container_status, on_container_status),
    ROW(list_containers, on_list_containers),
    ROW(pull_image, on_pull),
    ROW(image_status, on_image_status),
    ROW(exec_sync, on_exec),
    {&node__host_prepare__descriptor, on_host_prepare, "kubelet pod test", false},
    {&node__host_remove__descriptor, on_host_remove, "kubelet pod test", false},
    {&node__host_read__descriptor, on_host_read, "kubelet pod test", false},
    {&node__probe__descriptor, on_probe, "kubelet pod test", false},
    {&node__set_pod_range__descriptor, on_set_pod_range, "kubelet test", false},
    {0},
};

const actor_def_t runtime_sim_actor = {
    .role = "runtime",
    .state_size = sizeof(sim_runtime_t),
    .start = start,
    .handlers = handlers,
    .on_timer = on_timer,
    .stop = stop,
};
