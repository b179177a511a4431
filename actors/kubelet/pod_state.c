#include "actors/kubelet/pod_state.h"
#include "runtime/api/kinds.h"
#include "runtime/api/msg.h"
#include "troupe/api.pb-c.h"

void pod_set_text(const char **field, const char *value) {
    char *old = (char *)*field;
    *field = value ? str_dup(value) : NULL;
    free(old);
}

static void set_own(char **field, const char *value) {
    char *old = *field;
    *field = value ? str_dup(value) : NULL;
    free(old);
}

// ---- members ----------------------------------------------------------------------------------
size_t pod_member_at(const pod_t *self, const char *name) {
    for (size_t i = 0; i < self->more.len; i++)
        if (streq(self->more.at[i].name, name)) return i;
    return SIZE_MAX;
}

void pod_set_waiting(pod_t *self, size_t member, const char *reason, const char *message) {
    member_more_t *more = &self->more.at[member];
    set_own(&more->waiting_reason, reason);
    set_own(&more->waiting_message, message);
    self->members.at[member].waiting_reason = more->waiting_reason;
    self->members.at[member].waiting_message = more->waiting_message;
}

static void more_done(member_more_t *m) {
    free(m->name);
    free(m->image_ref);
    free(m->waiting_reason);
    free(m->waiting_message);
    free(m->unhealthy_id);
    free(m->pull_error);
    free(m->end_reason);
    free(m->end_message);
    free(m->end_id);
    for (int i = 0; i < PROBE_KINDS; i++) free(m->probes[i].container);
}

static const Core__ContainerStatus *status_of(const Core__Pod *pod, const char *name) {
    const Core__PodStatus *s = pod->status;
    for (size_t i = 0; s && i < s->n_containerstatuses; i++)
        if (streq(or_empty(s->containerstatuses[i]->name), name)) return s->containerstatuses[i];
    for (size_t i = 0; s && i < s->n_initcontainerstatuses; i++)
        if (streq(or_empty(s->initcontainerstatuses[i]->name), name))
            return s->initcontainerstatuses[i];
    return NULL;
}

// Has one of its containers run? One that was only made may be made again under the same number.
static bool has_begun(const Core__ContainerStatus *s) {
    return (s->state && (s->state->running || s->state->terminated)) ||
           (s->laststate && s->laststate->terminated);
}

void pod_adopt_health(pod_t *self, const char *name, const char *id) {
    size_t at = pod_member_at(self, name);
    const Core__ContainerStatus *known = at == SIZE_MAX ? NULL : status_of(self->pod, name);
    const char *known_id = known ? or_empty(known->containerid) : "";
    if (!has_prefix(known_id, "containerd://") || !streq(known_id + strlen("containerd://"), id))
        return;
    self->members.at[at].ready |= known->ready;
    self->members.at[at].started |= known->started;
}

static void add_member(pod_t *self, const Core__Container *c, bool is_init) {
    size_t at = pod_member_at(self, or_empty(c->name));
    if (at == SIZE_MAX) {
        at = self->members.len;
        pod_member_t fresh = {.is_init = is_init,
                              .is_sidecar = is_init && streq(or_empty(c->restartpolicy), "Always")};
        // What the API remembers is a floor: containers may have been collected since.
        const Core__ContainerStatus *known = status_of(self->pod, or_empty(c->name));
        if (known) fresh.restarts = known->restartcount > 0 ? (uint32_t)known->restartcount : 0;
        if (known && has_begun(known)) fresh.attempt_next = fresh.restarts + 1;
        fresh.ready = !c->readinessprobe;
        fresh.started = !c->startupprobe;
        vec_push(&self->members, fresh);
        vec_push(&self->more, ((member_more_t){.name = str_dup(or_empty(c->name))}));
    }
    self->members.at[at].spec = c;
    self->members.at[at].hash = container_hash(c);
}

void pod_take_spec(pod_t *self, blob_t *packed, Core__Pod *pod, arena_t *arena) {
    arena_done(&self->spec_arena);
    self->spec_arena = *arena;
    *arena = (arena_t){0};
    self->pod = pod;
    blob_unref(&self->pod_packed);
    self->pod_packed = blob_ref(packed);
    for (size_t i = 0; i < pod->spec->n_initcontainers; i++)
        add_member(self, pod->spec->initcontainers[i], true);
    for (size_t i = 0; i < pod->spec->n_containers; i++)
        add_member(self, pod->spec->containers[i], false);
}

// ---- containers, sandboxes --------------------------------------------------------------------
size_t pod_container_at(const pod_t *self, const char *id) {
    for (size_t i = 0; i < self->containers.len; i++)
        if (streq(self->containers.at[i].id, id)) return i;
    return SIZE_MAX;
}

size_t pod_sandbox_at(const pod_t *self, const char *id) {
    for (size_t i = 0; i < self->sandboxes.len; i++)
        if (streq(self->sandboxes.at[i].id, id)) return i;
    return SIZE_MAX;
}

pod_container_t *pod_add_container(pod_t *self, const char *id, const char *sandbox_id,
                                   const char *name, uint32_t attempt) {
    size_t at = pod_container_at(self, id);
    if (at != SIZE_MAX) return &self->containers.at[at];
    pod_container_t c = {.id = str_dup(id),
                         .sandbox_id = str_dup(sandbox_id),
                         .name = str_dup(name),
                         .attempt = attempt};
    vec_push(&self->containers, c);
    vec_push(&self->containers_more, ((container_more_t){.since = self->op_next}));
    return &self->containers.at[self->containers.len - 1];
}

pod_sandbox_t *pod_add_sandbox(pod_t *self, const char *id, uint32_t attempt) {
    size_t at = pod_sandbox_at(self, id);
    if (at != SIZE_MAX) return &self->sandboxes.at[at];
    vec_push(&self->sandboxes, ((pod_sandbox_t){.id = str_dup(id), .attempt = attempt}));
    return &self->sandboxes.at[self->sandboxes.len - 1];
}

static void container_done(pod_container_t *c) {
    const char **texts[] = {&c->id,      &c->sandbox_id, &c->name,     &c->reason,
                            &c->message, &c->image,      &c->image_ref};
    for (size_t i = 0; i < LENGTH_OF(texts); i++) pod_set_text(texts[i], NULL);
}

// The end of a container that is going is kept with its member: lastState outlives it.
static void keep_end(pod_t *self, const pod_container_t *c, bool vanished, int64_t now_ms) {
    size_t at = pod_member_at(self, c->name);
    if (at == SIZE_MAX) return;
    member_more_t *more = &self->more.at[at];
    pod_member_t *m = &self->members.at[at];
    if (c->cut_off) { // as if it had never been
        m->attempt_next = c->attempt;
        return;
    }
    if (c->attempt > m->restarts) m->restarts = c->attempt;
    if (c->attempt + 1 > m->attempt_next) m->attempt_next = c->attempt + 1;
    if (c->state != CONTAINER_EXITED && !vanished) return;
    bool was_running = c->state != CONTAINER_EXITED;
    set_own(&more->end_reason, was_running            ? "ContainerStatusUnknown"
                               : !is_empty(c->reason) ? c->reason
                               : c->exit_code         ? "Error"
                                                      : "Completed");
    set_own(&more->end_message,
            was_running ? "The container could not be located when the pod was terminated"
                        : c->message);
    free(more->end_id);
    more->end_id = str_printf("containerd://%s", c->id);
    int64_t finished_ms = c->finished_ms ? c->finished_ms : now_ms;
    more->end_started = (Meta__Time){.base.descriptor = &meta__time__descriptor,
                                     .has_seconds = true,
                                     .seconds = c->started_ms / 1000,
                                     .has_nanos = true};
    more->end_finished = (Meta__Time){.base.descriptor = &meta__time__descriptor,
                                      .has_seconds = true,
                                      .seconds = finished_ms / 1000,
                                      .has_nanos = true};
    more->last_end =
        (Core__ContainerStateTerminated){.base.descriptor =
                                             &core__container_state_terminated__descriptor,
                                         .has_exitcode = true,
                                         .exitcode = was_running ? 137 : c->exit_code,
                                         .reason = more->end_reason,
                                         .message = more->end_message,
                                         .containerid = more->end_id,
                                         .startedat = c->started_ms ? &more->end_started : NULL,
                                         .finishedat = &more->end_finished};
    more->has_end = true;
}

void pod_drop_container(pod_t *self, size_t at, bool vanished, int64_t now_ms) {
    assert(at < self->containers.len);
    keep_end(self, &self->containers.at[at], vanished, now_ms);
    container_done(&self->containers.at[at]);
    vec_remove(&self->containers, at);
    vec_remove(&self->containers_more, at);
}

void pod_drop_sandbox(pod_t *self, size_t at) {
    assert(at < self->sandboxes.len);
    pod_set_text(&self->sandboxes.at[at].id, NULL);
    pod_set_text(&self->sandboxes.at[at].ip, NULL);
    vec_remove(&self->sandboxes, at);
}

// ---- views ------------------------------------------------------------------------------------
pod_view_t pod_view_of(pod_t *self, actor_t *me) {
    for (size_t i = 0; i < self->members.len; i++) {
        member_more_t *more = &self->more.at[i];
        pod_member_t *m = &self->members.at[i];
        m->last_end = more->has_end ? &more->last_end : NULL;
        m->image_ref = more->image_ref;
        m->unhealthy_id = more->unhealthy_id;
        m->unhealthy_probe = more->unhealthy_probe;
    }
    return (pod_view_t){
        .pod = self->pod,
        .now_ms = actor_wall_ms(me),
        .looked = self->looked,
        .leaving = self->leaving || self->gone,
        .kill_at_ms = self->kill_at_ms,
        .prepared = self->prepared,
        .may_start = self->network_ready || self->pod->spec->hostnetwork,
        .sandbox_busy = self->sandbox_busy,
        .sandbox_retry_ms = self->sandbox_retry_ms,
        .removed = self->removed,
        .settle_ms = self->args->kubelet->simulated ? 0 : POD_SETTLE_MS,
        .final_ = self->final_,
        .members = self->members.at,
        .members_len = self->members.len,
        .containers = self->containers.at,
        .containers_len = self->containers.len,
        .sandboxes = self->sandboxes.at,
        .sandboxes_len = self->sandboxes.len,
    };
}

typedef struct {
    pod_t *self;
    arena_t *arena;
} finder_t;
static const void *find_object(void *arg, object_kind_t kind, const char *name) {
    static const ProtobufCMessageDescriptor *const types[] = {
        [OBJECT_CONFIG_MAP] = &core__config_map__descriptor,
        [OBJECT_SECRET] = &core__secret__descriptor,
        [OBJECT_MASTER] = &core__service__descriptor,
        [OBJECT_SERVICES] = &api__list_reply__descriptor,
    };
    finder_t *f = arg;
    for (size_t i = 0; i < f->self->objects.len; i++) {
        const object_t *o = &f->self->objects.at[i];
        if (o->kind != kind || !streq(o->name, name) || !o->packed) continue;
        return msg_unpack_own(f->arena, types[kind], blob_bytes(o->packed));
    }
    return NULL;
}

pod_scene_t pod_scene_of(pod_t *self, actor_t *me) {
    const pod_view_t view = pod_view_of(self, me);
    const pod_sandbox_t *sandbox = pod_sandbox(&view);
    const kubelet_args_t *a = self->args->kubelet;
    finder_t *finder = ARENA_NEW(actor_arena(me), finder_t);
    *finder = (finder_t){self, actor_arena(me)};
    return (pod_scene_t){
        .args = a,
        .node = self->args->node,
        .pod = self->pod,
        .pod_ip = self->pod->spec->hostnetwork ? or_empty(a->node_ip)
                  : sandbox                    ? or_empty(sandbox->ip)
                                               : "",
        .host_ip = or_empty(a->node_ip),
        .find = find_object,
        .find_arg = finder,
    };
}

void pod_clear(pod_t *self) {
    while (self->containers.len) {
        container_done(&self->containers.at[self->containers.len - 1]);
        self->containers.len--;
    }
    vec_done(&self->containers);
    vec_done(&self->containers_more);
    while (self->sandboxes.len) pod_drop_sandbox(self, self->sandboxes.len - 1);
    vec_done(&self->sandboxes);
    for (size_t i = 0; i < self->more.len; i++) more_done(&self->more.at[i]);
    vec_done(&self->more);
    vec_done(&self->members);
    for (size_t i = 0; i < self->ops.len; i++) pod_op_done(&self->ops.at[i]);
    vec_done(&self->ops);
    for (size_t i = 0; i < self->objects.len; i++) {
        free(self->objects.at[i].name);
        blob_unref(&self->objects.at[i].packed);
    }
    vec_done(&self->objects);
    blob_unref(&self->pod_packed);
    arena_done(&self->spec_arena);
    arena_done(&self->status_arena);
    free(self->fail_message);
    free(self->kubelet);
    free(self->runtime);
}
