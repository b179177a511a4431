// The pod actor's hands: each action of the plan becomes a question to the runtime.
#include "actors/kubelet/pod_state.h"
#include "runtime/actor/api_client.h"
#include "runtime/api/msg.h"
#include <stdarg.h>

// ---- questions under way ----------------------------------------------------------------------
op_t *pod_op(pod_t *self, op_kind_t kind, const char *id, const char *member) {
    op_t op = {
        .number = self->op_next++, .kind = kind, .id = str_dup(id), .member = str_dup(member)};
    vec_push(&self->ops, op);
    return &self->ops.at[self->ops.len - 1];
}

void pod_op_done(op_t *op) {
    free(op->id);
    free(op->member);
    op->id = op->member = NULL;
}

bool pod_take_op(pod_t *self, uint64_t tag, op_t *ret_op) {
    for (size_t i = 0; i < self->ops.len; i++) {
        if (self->ops.at[i].number + POD_TAG_OP != tag) continue;
        *ret_op = self->ops.at[i];
        vec_remove(&self->ops, i);
        return true;
    }
    return false;
}

void pod_ask_runtime(actor_t *me, const op_t *op, const ProtobufCMessage *body,
                     int64_t timeout_ms) {
    const pod_t *self = actor_state(me);
    actor_ask(me, self->runtime, body, timeout_ms, POD_TAG_OP + op->number);
}

void pod_event(actor_t *me, const char *member, const char *type, const char *reason,
               const char *fmt, ...) {
    pod_t *self = actor_state(me);
    arena_t *arena = actor_arena(me);
    text_t text = {.arena = arena};
    va_list args;
    va_start(args, fmt);
    text_addv(&text, fmt, args);
    va_end(args);
    size_t at = member ? pod_member_at(self, member) : SIZE_MAX;
    bool is_init = at != SIZE_MAX && self->members.at[at].is_init;
    Node__PodEvent event = {
        .base.descriptor = &node__pod_event__descriptor,
        .uid = self->args->uid,
        .type = type,
        .reason = reason,
        .message = text_str(&text),
        .field_path = member ? arena_printf(arena, "spec.%s{%s}",
                                            is_init ? "initContainers" : "containers", member)
                             : ""};
    actor_tell(me, self->kubelet, &event.base);
}

// ---- looking ----------------------------------------------------------------------------------
op_t *pod_ask_container(actor_t *me, const char *id) {
    op_t *op = pod_op(actor_state(me), OP_CONTAINER_STATUS, id, NULL);
    Cri__ContainerStatusRequest request = {.base.descriptor =
                                               &cri__container_status_request__descriptor,
                                           .container_id = op->id};
    pod_ask_runtime(me, op, &request.base, POD_CALL_TIMEOUT_MS);
    return op;
}

op_t *pod_ask_sandbox(actor_t *me, const char *id) {
    op_t *op = pod_op(actor_state(me), OP_SANDBOX_STATUS, id, NULL);
    Cri__PodSandboxStatusRequest request = {.base.descriptor =
                                                &cri__pod_sandbox_status_request__descriptor,
                                            .pod_sandbox_id = op->id};
    pod_ask_runtime(me, op, &request.base, POD_CALL_TIMEOUT_MS);
    return op;
}

void pod_look(actor_t *me) {
    pod_t *self = actor_state(me);
    if (self->looking) {
        // The answers that are coming may be older than what made us look again.
        actor_timer(me, POD_TAG_LOOK, POD_EXIT_LOOK_MS);
        return;
    }
    self->looking = 2;
    self->look_failed = false;
    Cri__PodSandboxFilter__LabelSelectorEntry by_uid = {
        .base.descriptor = &cri__pod_sandbox_filter__label_selector_entry__descriptor,
        .key = LABEL_POD_UID,
        .value = self->args->uid};
    Cri__PodSandboxFilter__LabelSelectorEntry *entries[] = {&by_uid};
    Cri__PodSandboxFilter filter = {.base.descriptor = &cri__pod_sandbox_filter__descriptor,
                                    .n_label_selector = 1,
                                    .label_selector = entries};
    Cri__ListPodSandboxRequest sandboxes = {.base.descriptor =
                                                &cri__list_pod_sandbox_request__descriptor,
                                            .filter = &filter};
    pod_ask_runtime(me, pod_op(self, OP_LIST_SANDBOXES, NULL, NULL), &sandboxes.base,
                    POD_CALL_TIMEOUT_MS);
    Cri__ContainerFilter__LabelSelectorEntry of_uid = {
        .base.descriptor = &cri__container_filter__label_selector_entry__descriptor,
        .key = LABEL_POD_UID,
        .value = self->args->uid};
    Cri__ContainerFilter__LabelSelectorEntry *of_entries[] = {&of_uid};
    Cri__ContainerFilter of = {.base.descriptor = &cri__container_filter__descriptor,
                               .n_label_selector = 1,
                               .label_selector = of_entries};
    Cri__ListContainersRequest containers = {.base.descriptor =
                                                 &cri__list_containers_request__descriptor,
                                             .filter = &of};
    pod_ask_runtime(me, pod_op(self, OP_LIST_CONTAINERS, NULL, NULL), &containers.base,
                    POD_CALL_TIMEOUT_MS);
}

// ---- before anything starts -------------------------------------------------------------------
void pod_fetch_objects(actor_t *me) {
    pod_t *self = actor_state(me);
    if (!self->objects_listed) {
        object_ref_t *refs;
        size_t len = pod_object_refs(self->pod, actor_arena(me), &refs);
        for (size_t i = 0; i < len; i++)
            vec_push(&self->objects, ((object_t){.kind = refs[i].kind,
                                                 .name = str_dup(refs[i].name),
                                                 // A made-up container reads no environment.
                                                 .known = self->args->kubelet->simulated &&
                                                          object_is_of_services(refs[i].kind)}));
        self->objects_listed = true;
    }
    for (size_t i = 0; i < self->objects.len; i++) {
        const object_t *o = &self->objects.at[i];
        if (o->known) continue;
        op_t *op = pod_op(self, OP_OBJECT, o->name, NULL);
        op->object = o->kind;
        bool is_list = o->kind == OBJECT_SERVICES;
        const char *kind = o->kind == OBJECT_CONFIG_MAP ? "ConfigMap"
                           : o->kind == OBJECT_SECRET   ? "Secret"
                                                        : "Service";
        const char *ns =
            o->kind == OBJECT_MASTER ? "default" : or_empty(self->pod->metadata->namespace_);
        Api__Resource resource =
            api_resource(kind_find("", "v1", kind), ns, is_list ? NULL : op->id, NULL);
        Api__Get get = {.base.descriptor = &api__get__descriptor, .resource = &resource};
        Api__List list = {.base.descriptor = &api__list__descriptor, .resource = &resource};
        // The kubelet passes it on: rights are the node's.
        actor_ask(me, self->kubelet, is_list ? &list.base : &get.base, API_TIMEOUT_MS,
                  POD_TAG_OP + op->number);
    }
}

static bool objects_are_known(const pod_t *self) {
    for (size_t i = 0; i < self->objects.len; i++)
        if (!self->objects.at[i].known) return false;
    return self->objects_listed;
}

void pod_prepare(actor_t *me) {
    pod_t *self = actor_state(me);
    if (self->prepared || self->preparing || !self->objects_listed || !objects_are_known(self))
        return;
    pod_scene_t scene = pod_scene_of(self, me);
    Node__HostPrepare *steps;
    const char *volume = "";
    why_t why;
    if (pod_host_steps(&scene, actor_arena(me), &steps, &volume, &why)) {
        pod_event(me, NULL, "Warning", "FailedMount",
                  "MountVolume.SetUp failed for volume \"%s\" : %s", volume, why.text);
        // What is missing may appear: everything is fetched again.
        for (size_t i = 0; i < self->objects.len; i++) self->objects.at[i].known = false;
        self->objects_listed = true;
        self->sandbox_delay_ms =
            self->sandbox_delay_ms ? self->sandbox_delay_ms * 2 : POD_RETRY_FIRST_MS;
        if (self->sandbox_delay_ms > POD_RETRY_MAX_MS) self->sandbox_delay_ms = POD_RETRY_MAX_MS;
        self->preparing = true;
        actor_timer(me, POD_TAG_WAKE, self->sandbox_delay_ms);
        self->hold_until_ms = actor_wall_ms(me) + self->sandbox_delay_ms;
        return;
    }
    self->preparing = true;
    pod_ask_runtime(me, pod_op(self, OP_PREPARE, NULL, NULL), &steps->base, POD_CALL_TIMEOUT_MS);
}

// ---- actions ----------------------------------------------------------------------------------
static void run_sandbox(actor_t *me, uint32_t attempt) {
    pod_t *self = actor_state(me);
    pod_scene_t scene = pod_scene_of(self, me);
    if (self->sandboxes.len)
        pod_event(me, NULL, "Normal", "SandboxChanged",
                  "Pod sandbox changed, it will be killed and re-created.");
    self->sandbox_busy = true;
    op_t *op = pod_op(self, OP_RUN_SANDBOX, NULL, NULL);
    op->attempt = attempt;
    Cri__RunPodSandboxRequest request = {.base.descriptor =
                                             &cri__run_pod_sandbox_request__descriptor,
                                         .config =
                                             pod_sandbox_config(&scene, attempt, actor_arena(me))};
    pod_ask_runtime(me, op, &request.base, POD_START_TIMEOUT_MS);
}

static void stop_sandbox(actor_t *me, const char *id) {
    pod_t *self = actor_state(me);
    self->sandboxes.at[pod_sandbox_at(self, id)].busy = true;
    op_t *op = pod_op(self, OP_STOP_SANDBOX, id, NULL);
    Cri__StopPodSandboxRequest request = {.base.descriptor =
                                              &cri__stop_pod_sandbox_request__descriptor,
                                          .pod_sandbox_id = op->id};
    pod_ask_runtime(me, op, &request.base, POD_START_TIMEOUT_MS);
}

static void remove_sandbox(actor_t *me, const char *id) {
    pod_t *self = actor_state(me);
    self->sandboxes.at[pod_sandbox_at(self, id)].busy = true;
    op_t *op = pod_op(self, OP_REMOVE_SANDBOX, id, NULL);
    Cri__RemovePodSandboxRequest request = {.base.descriptor =
                                                &cri__remove_pod_sandbox_request__descriptor,
                                            .pod_sandbox_id = op->id};
    pod_ask_runtime(me, op, &request.base, POD_START_TIMEOUT_MS);
}

static void ask_image(actor_t *me, op_kind_t kind, size_t member) {
    pod_t *self = actor_state(me);
    op_t *op = pod_op(self, kind, NULL, self->more.at[member].name);
    Cri__ImageSpec image = {.base.descriptor = &cri__image_spec__descriptor,
                            .image = or_empty(self->members.at[member].spec->image)};
    Cri__ImageStatusRequest request = {.base.descriptor = &cri__image_status_request__descriptor,
                                       .image = &image};
    pod_ask_runtime(me, op, &request.base, POD_CALL_TIMEOUT_MS);
}

void pod_ask_pull(actor_t *me, size_t member) {
    pod_t *self = actor_state(me);
    const char *name = or_empty(self->members.at[member].spec->image);
    pod_event(me, self->more.at[member].name, "Normal", "Pulling", "Pulling image \"%s\"", name);
    op_t *op = pod_op(self, OP_PULL, NULL, self->more.at[member].name);
    op->began_ms = actor_now_ms(me);
    Cri__ImageSpec image = {.base.descriptor = &cri__image_spec__descriptor, .image = name};
    Cri__PullImageRequest request = {.base.descriptor = &cri__pull_image_request__descriptor,
                                     .image = &image};
    pod_ask_runtime(me, op, &request.base, POD_PULL_TIMEOUT_MS);
}

static void pull(actor_t *me, size_t member) {
    pod_t *self = actor_state(me);
    pod_member_t *m = &self->members.at[member];
    m->image = IMAGE_BUSY;
    if (streq(or_empty(m->spec->imagepullpolicy), "Always"))
        pod_ask_pull(me, member);
    else
        ask_image(me, OP_IMAGE_STATUS, member);
}

// Two questions: the host's files for this container, then the container.
static void create(actor_t *me, const pod_action_t *a) {
    pod_t *self = actor_state(me);
    pod_member_t *m = &self->members.at[a->member];
    pod_scene_t scene = pod_scene_of(self, me);
    m->busy = true;
    op_t *op = pod_op(self, OP_STEPS, a->id, self->more.at[a->member].name);
    op->attempt = a->attempt;
    pod_ask_runtime(me, op, &pod_container_steps(&scene, m, a->attempt, actor_arena(me))->base,
                    POD_CALL_TIMEOUT_MS);
}

void pod_create_now(actor_t *me, size_t member, uint32_t attempt, const char *sandbox_id) {
    pod_t *self = actor_state(me);
    pod_member_t *m = &self->members.at[member];
    arena_t *arena = actor_arena(me);
    pod_scene_t scene = pod_scene_of(self, me);
    op_t *op = pod_op(self, OP_CREATE, sandbox_id, self->more.at[member].name);
    op->attempt = attempt;
    Cri__ContainerConfig *config;
    why_t why;
    const char *image = self->more.at[member].image_ref;
    if (pod_container_config(&scene, m, attempt, image ? image : or_empty(m->spec->image), arena,
                             &config, &why)) {
        op_t failed;
        bool found = pod_take_op(self, POD_TAG_OP + op->number, &failed);
        assert(found);
        pod_heard_failure(me, &failed, ERR_INVALID, why.text);
        pod_op_done(&failed);
        return;
    }
    size_t sandbox = pod_sandbox_at(self, sandbox_id);
    uint32_t sandbox_attempt = sandbox == SIZE_MAX ? 0 : self->sandboxes.at[sandbox].attempt;
    Cri__CreateContainerRequest request = {.base.descriptor =
                                               &cri__create_container_request__descriptor,
                                           .pod_sandbox_id = op->id,
                                           .config = config,
                                           .sandbox_config =
                                               pod_sandbox_config(&scene, sandbox_attempt, arena)};
    pod_ask_runtime(me, op, &request.base, POD_START_TIMEOUT_MS);
}

static void start_container(actor_t *me, const pod_action_t *a) {
    pod_t *self = actor_state(me);
    self->containers.at[pod_container_at(self, a->id)].busy = true;
    op_t *op = pod_op(self, OP_START, a->id, self->more.at[a->member].name);
    Cri__StartContainerRequest request = {.base.descriptor =
                                              &cri__start_container_request__descriptor,
                                          .container_id = op->id};
    pod_ask_runtime(me, op, &request.base, POD_START_TIMEOUT_MS);
}

void pod_stop_now(actor_t *me, const char *id, int64_t grace_s) {
    op_t *op = pod_op(actor_state(me), OP_STOP, id, NULL);
    Cri__StopContainerRequest request = {.base.descriptor =
                                             &cri__stop_container_request__descriptor,
                                         .container_id = op->id,
                                         .timeout = grace_s};
    pod_ask_runtime(me, op, &request.base, grace_s * 1000 + POD_STOP_SLACK_MS);
}

void pod_stop_drained(actor_t *me, const char *id, int64_t grace_s) {
    pod_t *self = actor_state(me);
    size_t at = pod_container_at(self, id);
    if (at == SIZE_MAX) return; // it has ended meanwhile
    const pod_container_t *c = &self->containers.at[at];
    size_t member = pod_member_at(self, c->name);
    const Core__Lifecycle *life =
        member == SIZE_MAX ? NULL : self->members.at[member].spec->lifecycle;
    const Core__LifecycleHandler *hook = life ? life->prestop : NULL;
    if (!hook || !hook->exec || grace_s <= 0) {
        pod_stop_now(me, id, grace_s);
        return;
    }
    op_t *op = pod_op(self, OP_PRE_STOP, id, c->name);
    op->grace_s = grace_s;
    op->began_ms = actor_now_ms(me);
    Cri__ExecSyncRequest request = {.base.descriptor = &cri__exec_sync_request__descriptor,
                                    .container_id = op->id,
                                    .n_cmd = hook->exec->n_command,
                                    .cmd = hook->exec->command,
                                    .timeout = grace_s};
    pod_ask_runtime(me, op, &request.base, grace_s * 1000 + POD_STOP_SLACK_MS);
}

static void ask_drain(actor_t *me, const char *id, const char *name, int64_t grace_s) {
    pod_t *self = actor_state(me);
    const Meta__ObjectMeta *meta = self->pod->metadata;
    op_t *op = pod_op(self, OP_DRAIN, id, name);
    op->grace_s = grace_s;
    Api__AwaitDrain await = {.base.descriptor = &api__await_drain__descriptor,
                             .namespace_ = or_empty(meta->namespace_),
                             .pod = or_empty(meta->name),
                             .uid = self->args->uid};
    actor_ask(me, self->kubelet, &await.base, POD_DRAIN_TIMEOUT_MS, POD_TAG_OP + op->number);
}

// A pod that leaves stops only when no service sends it new connections any more.
static void stop_container(actor_t *me, const pod_action_t *a) {
    pod_t *self = actor_state(me);
    pod_container_t *c = &self->containers.at[pod_container_at(self, a->id)];
    c->busy = c->stopping = true;
    pod_event(me, c->name, "Normal", "Killing", "%s", a->text);
    if (!self->leaving || self->gone || a->grace_s <= 0) {
        pod_stop_drained(me, a->id, a->grace_s);
        return;
    }
    container_more_t *more = &self->containers_more.at[pod_container_at(self, a->id)];
    more->drain_until_ms = actor_now_ms(me) + POD_DRAIN_TIMEOUT_MS;
    ask_drain(me, a->id, c->name, a->grace_s);
}

// Nobody answered: the API server is being restarted, and its successor will know. But one that
// stays away must not keep a pod alive.
void pod_drain_again(actor_t *me) {
    pod_t *self = actor_state(me);
    for (size_t i = 0; i < self->containers.len; i++) {
        container_more_t *more = &self->containers_more.at[i];
        const pod_container_t *c = &self->containers.at[i];
        int64_t grace_s = more->drain_grace_s;
        if (!grace_s || c->state == CONTAINER_EXITED) continue;
        more->drain_grace_s = 0;
        if (actor_now_ms(me) < more->drain_until_ms)
            ask_drain(me, c->id, c->name, grace_s);
        else
            pod_stop_drained(me, c->id, grace_s);
    }
}

static void remove_container(actor_t *me, const char *id) {
    pod_t *self = actor_state(me);
    self->containers.at[pod_container_at(self, id)].busy = true;
    op_t *op = pod_op(self, OP_REMOVE, id, NULL);
    Cri__RemoveContainerRequest request = {.base.descriptor =
                                               &cri__remove_container_request__descriptor,
                                           .container_id = op->id};
    pod_ask_runtime(me, op, &request.base, POD_START_TIMEOUT_MS);
}

static void remove_traces(actor_t *me) {
    pod_t *self = actor_state(me);
    if (self->removing) return;
    self->removing = true;
    pod_scene_t scene = pod_scene_of(self, me);
    pod_ask_runtime(me, pod_op(self, OP_TRACES, NULL, NULL),
                    &pod_traces(&scene, actor_arena(me))->base, POD_START_TIMEOUT_MS);
}

static void done(actor_t *me) {
    pod_t *self = actor_state(me);
    if (self->done_told) return;
    self->done_told = true;
    Node__PodDone tell = {.base.descriptor = &node__pod_done__descriptor, .uid = self->args->uid};
    actor_tell(me, self->kubelet, &tell.base);
}

void pod_perform(actor_t *me, const pod_action_t *a) {
    switch (a->kind) {
    case POD_RUN_SANDBOX: run_sandbox(me, a->attempt); break;
    case POD_STOP_SANDBOX: stop_sandbox(me, a->id); break;
    case POD_REMOVE_SANDBOX: remove_sandbox(me, a->id); break;
    case POD_PULL: pull(me, a->member); break;
    case POD_CREATE: create(me, a); break;
    case POD_START: start_container(me, a); break;
    case POD_STOP: stop_container(me, a); break;
    case POD_REMOVE: remove_container(me, a->id); break;
    case POD_REMOVE_TRACES: remove_traces(me); break;
    case POD_DONE: done(me); break;
    }
}
