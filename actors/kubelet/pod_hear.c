// The pod actor's ears: what each answer changes in the view.
#include "actors/kubelet/pod_state.h"
#include "actors/kubelet/registry.h"
#include "runtime/actor/api_client.h"
#include "runtime/api/msg.h"
#include "runtime/base/canary.h"
#include "troupe/api.pb-c.h"

static int64_t ms_of(int64_t ns) { return ns / 1000000; }

static void hold(actor_t *me, int64_t ms) {
    pod_t *self = actor_state(me);
    self->hold_until_ms = actor_wall_ms(me) + ms;
    actor_timer(me, POD_TAG_WAKE, ms);
}

static int64_t doubled(int64_t delay_ms, int64_t first_ms, int64_t max_ms) {
    return delay_ms == 0 ? first_ms : delay_ms * 2 > max_ms ? max_ms : delay_ms * 2;
}

static void tell_owned(actor_t *me, const char *id) {
    pod_t *self = actor_state(me);
    Node__PodOwns owns = {.base.descriptor = &node__pod_owns__descriptor,
                          .uid = self->args->uid,
                          .id = id};
    actor_tell(me, self->kubelet, &owns.base);
}

// ---- containers -------------------------------------------------------------------------------
static const char *annotation(const Cri__ContainerStatus *s, const char *key) {
    for (size_t i = 0; i < s->n_annotations; i++)
        if (streq(s->annotations[i]->key, key)) return s->annotations[i]->value;
    return "";
}

static void ask_message(actor_t *me, const pod_container_t *c, size_t member) {
    pod_t *self = actor_state(me);
    arena_t *arena = actor_arena(me);
    pod_scene_t scene = pod_scene_of(self, me);
    op_t *op = pod_op(self, OP_MESSAGE, c->id, self->more.at[member].name);
    Node__HostRead request = {.base.descriptor = &node__host_read__descriptor,
                              .path = pod_message_path(&scene, c->name, c->attempt, arena),
                              .max_bytes = POD_MESSAGE_MAX_BYTES};
    pod_ask_runtime(me, op, &request.base, POD_CALL_TIMEOUT_MS);
}

// An end is weighed once: how long it ran decides whether the next start is punished for it.
static void notice_end(actor_t *me, size_t at) {
    pod_t *self = actor_state(me);
    pod_container_t *c = &self->containers.at[at];
    if (self->containers_more.at[at].noticed_end) return;
    self->containers_more.at[at].noticed_end = true;
    size_t member = pod_member_at(self, c->name);
    if (member == SIZE_MAX) return;
    pod_member_t *m = &self->members.at[member];
    if (c->started_ms && c->finished_ms - c->started_ms >= CRASH_FORGIVEN_MS) m->crash_delay_ms = 0;
    self->more.at[member].backoff_told = false;
    if (!self->args->kubelet->simulated) ask_message(me, c, member);
}

static container_state_t state_of(Cri__ContainerState s) {
    switch (s) {
    case CRI__CONTAINER_STATE__CONTAINER_CREATED: return CONTAINER_CREATED;
    case CRI__CONTAINER_STATE__CONTAINER_RUNNING: return CONTAINER_RUNNING;
    case CRI__CONTAINER_STATE__CONTAINER_EXITED: return CONTAINER_EXITED;
    default: return CONTAINER_UNKNOWN;
    }
}

// An end that was told and does not show yet; under load, or while its output is drained, for long.
static void seek_end(actor_t *me, size_t at) {
    pod_t *self = actor_state(me);
    container_more_t *more = &self->containers_more.at[at];
    if (!more->end_look_ms) return;
    actor_timer(me, POD_TAG_LOOK, more->end_look_ms);
    more->end_look_ms = doubled(more->end_look_ms, POD_END_LOOK_MS, POD_HOLD_MS);
}

static void heard_container(actor_t *me, const op_t *op, const Cri__ContainerStatusResponse *body) {
    pod_t *self = actor_state(me);
    const Cri__ContainerStatus *s = body->status;
    size_t at = pod_container_at(self, op->id);
    if (at == SIZE_MAX || !s) return;
    pod_container_t *c = &self->containers.at[at];
    // Answers overtake each other: an older one takes no end back.
    if (c->state == CONTAINER_EXITED && s->state != CRI__CONTAINER_STATE__CONTAINER_EXITED) return;
    c->state = state_of(s->state);
    if (c->adopted && c->state == CONTAINER_CREATED) c->orphaned = true;
    if (CANARY(KUBELET_RESTARTS_ADOPTED) && c->adopted && c->state == CONTAINER_RUNNING)
        c->state = CONTAINER_UNKNOWN;
    c->created_ms = ms_of(s->created_at);
    c->started_ms = ms_of(s->started_at);
    c->finished_ms = ms_of(s->finished_at);
    c->exit_code = s->exit_code;
    if (!is_empty(s->reason)) pod_set_text(&c->reason, s->reason);
    if (!is_empty(s->message)) pod_set_text(&c->message, s->message);
    if (s->image) pod_set_text(&c->image, s->image->image);
    pod_set_text(&c->image_ref, s->image_ref);
    c->hash = (uint32_t)strtoul(annotation(s, ANNOTATION_HASH), NULL, 16);
    c->cut_off = pod_is_cut_off(c);
    if (c->state == CONTAINER_EXITED) {
        c->stopping = false;
        c->busy = false;
        if (!c->cut_off) notice_end(me, at);
    } else {
        seek_end(me, at);
    }
}

static void container_gone(actor_t *me, const char *id) {
    pod_t *self = actor_state(me);
    size_t at = pod_container_at(self, id);
    if (at != SIZE_MAX) pod_drop_container(self, at, true, actor_wall_ms(me));
}

static void heard_containers(actor_t *me, const op_t *op, const Cri__ListContainersResponse *body) {
    pod_t *self = actor_state(me);
    for (size_t i = 0; i < body->n_containers; i++) {
        const Cri__Container *seen = body->containers[i];
        if (!seen->metadata) continue;
        bool is_new = pod_container_at(self, seen->id) == SIZE_MAX;
        pod_container_t *c = pod_add_container(self, seen->id, seen->pod_sandbox_id,
                                               seen->metadata->name, seen->metadata->attempt);
        if (is_new) {
            tell_owned(me, seen->id);
            c->adopted = true;
            c->state = state_of(seen->state);
            if (c->state == CONTAINER_RUNNING) pod_adopt_health(self, c->name, c->id);
        }
        bool is_known = !is_new && c->created_ms && c->state == state_of(seen->state);
        size_t at = pod_container_at(self, seen->id);
        bool end_is_due =
            c->state != CONTAINER_EXITED && self->containers_more.at[at].end_look_ms > 0;
        if (is_known && !end_is_due) continue;
        self->looking++;
        pod_ask_container(me, seen->id)->of_look = true;
    }
    // What we knew before we asked, and is not there any more, is gone.
    for (size_t i = self->containers.len; i-- > 0;) {
        bool seen = self->containers_more.at[i].since > op->number;
        for (size_t k = 0; k < body->n_containers && !seen; k++)
            seen = streq(body->containers[k]->id, self->containers.at[i].id);
        if (!seen) pod_drop_container(self, i, true, actor_wall_ms(me));
    }
}

// ---- sandboxes --------------------------------------------------------------------------------
static void heard_sandbox(actor_t *me, const op_t *op, const Cri__PodSandboxStatusResponse *body) {
    pod_t *self = actor_state(me);
    const Cri__PodSandboxStatus *s = body->status;
    size_t at = pod_sandbox_at(self, op->id);
    if (at == SIZE_MAX || !s) return;
    pod_sandbox_t *sandbox = &self->sandboxes.at[at];
    sandbox->ready = s->state == CRI__POD_SANDBOX_STATE__SANDBOX_READY;
    sandbox->created_ms = ms_of(s->created_at);
    if (s->network && !is_empty(s->network->ip)) pod_set_text(&sandbox->ip, s->network->ip);
}

static void heard_sandboxes(actor_t *me, const op_t *op, const Cri__ListPodSandboxResponse *body) {
    pod_t *self = actor_state(me);
    for (size_t i = 0; i < body->n_items; i++) {
        const Cri__PodSandbox *seen = body->items[i];
        if (!seen->metadata) continue;
        bool ready = seen->state == CRI__POD_SANDBOX_STATE__SANDBOX_READY;
        size_t at = pod_sandbox_at(self, seen->id);
        bool is_new = at == SIZE_MAX;
        if (is_new && !ready && self->sandbox_busy) continue; // the one that we are making
        pod_sandbox_t *s = pod_add_sandbox(self, seen->id, seen->metadata->attempt);
        if (is_new) tell_owned(me, seen->id);
        bool changed = is_new || !s->created_ms || s->ready != ready;
        s->ready = ready;
        if (!changed) continue;
        self->looking++;
        pod_ask_sandbox(me, seen->id)->of_look = true;
    }
    for (size_t i = self->sandboxes.len; i-- > 0;) {
        bool seen = self->sandbox_busy || self->sandboxes.at[i].busy;
        for (size_t k = 0; k < body->n_items && !seen; k++)
            seen = streq(body->items[k]->id, self->sandboxes.at[i].id);
        if (!seen) pod_drop_sandbox(self, i);
    }
}

// Half a look is none: what it did not show may well be there.
static void look_step_done(pod_t *self) {
    if (self->looking && --self->looking == 0) self->looked |= !self->look_failed;
}

static void look_step_failed(actor_t *me) {
    pod_t *self = actor_state(me);
    self->look_failed = true;
    look_step_done(self);
    actor_timer(me, POD_TAG_LOOK, POD_EXIT_LOOK_MS);
}

static void heard_new_sandbox(actor_t *me, const op_t *op, const Cri__RunPodSandboxResponse *body) {
    pod_t *self = actor_state(me);
    pod_sandbox_t *s = pod_add_sandbox(self, body->pod_sandbox_id, op->attempt);
    s->ready = true;
    tell_owned(me, body->pod_sandbox_id);
    self->sandbox_delay_ms = self->sandbox_reserved_tries = 0;
    // The sandbox counts once its address is known: sandbox_busy ends with the status.
    pod_ask_sandbox(me, body->pod_sandbox_id)->of_run = true;
}

static void sandbox_failed(actor_t *me, err_t err, const char *why) {
    pod_t *self = actor_state(me);
    self->sandbox_busy = false;
    // The name is held by a call that outlived its caller: it ends in a moment.
    if (strstr(why, "reserved") && self->sandbox_reserved_tries++ < POD_RESERVED_TRIES) {
        self->sandbox_retry_ms = actor_wall_ms(me) + POD_EXIT_LOOK_MS;
        pod_look(me);
        return;
    }
    self->sandbox_delay_ms = doubled(self->sandbox_delay_ms, POD_RETRY_FIRST_MS, POD_RETRY_MAX_MS);
    self->sandbox_retry_ms = actor_wall_ms(me) + self->sandbox_delay_ms;
    pod_event(me, NULL, "Warning", "FailedCreatePodSandBox", "Failed to create pod sandbox: %s",
              why);
    // It may stand all the same (a timeout says nothing).
    pod_look(me);
}

// ---- images -----------------------------------------------------------------------------------
static const char *go_duration(arena_t *arena, int64_t ms) {
    if (ms < 1000) return arena_printf(arena, "%lldms", (long long)ms);
    if (ms % 1000 == 0) return arena_printf(arena, "%llds", (long long)(ms / 1000));
    const char *text =
        arena_printf(arena, "%lld.%03lld", (long long)(ms / 1000), (long long)(ms % 1000));
    size_t len = strlen(text);
    while (text[len - 1] == '0') len--;
    return arena_printf(arena, "%ss", arena_strndup(arena, text, len));
}

static void image_is_here(actor_t *me, size_t at, const char *ref) {
    pod_t *self = actor_state(me);
    member_more_t *more = &self->more.at[at];
    char *kept = str_dup(ref);
    free(more->image_ref);
    more->image_ref = kept;
    more->pull_delay_ms = more->pull_failed_ms = 0;
    self->members.at[at].image = IMAGE_READY;
    pod_set_waiting(self, at, NULL, NULL);
}

static void image_failed(actor_t *me, size_t at, const char *reason, const char *message) {
    pod_t *self = actor_state(me);
    member_more_t *more = &self->more.at[at];
    pod_member_t *m = &self->members.at[at];
    more->pull_delay_ms =
        doubled(more->pull_delay_ms, POD_PULL_DELAY_FIRST_MS, POD_PULL_DELAY_MAX_MS);
    m->image = IMAGE_FAILED;
    m->image_retry_ms = actor_wall_ms(me) + more->pull_delay_ms;
    more->pull_failed_ms = actor_wall_ms(me);
    char *kept = str_dup(message);
    free(more->pull_error);
    more->pull_error = kept;
    pod_set_waiting(self, at, reason, message);
    pod_event(me, more->name, "Warning", "Failed", "Error: %s", reason);
    actor_timer(me, POD_TAG_WAKE, POD_HOLD_MS);
}

// The runtime itself went away over it: that says nothing of the image.
static bool image_is_asked_again(actor_t *me, size_t at, err_t err) {
    pod_t *self = actor_state(me);
    if (err != ERR_UNAVAILABLE) return false;
    self->members.at[at].image = IMAGE_FAILED;
    self->members.at[at].image_retry_ms = actor_wall_ms(me) + POD_EXIT_LOOK_MS;
    return true;
}

static void heard_image(actor_t *me, const op_t *op, const Cri__ImageStatusResponse *body) {
    pod_t *self = actor_state(me);
    size_t at = pod_member_at(self, op->member);
    if (at == SIZE_MAX) return;
    pod_member_t *m = &self->members.at[at];
    const char *name = or_empty(m->spec->image);
    bool is_here = body->image && !is_empty(body->image->id);
    if (op->kind == OP_PULLED_SIZE) {
        const char *took = go_duration(actor_arena(me), op->began_ms);
        pod_event(me, op->member, "Normal", "Pulled",
                  "Successfully pulled image \"%s\" in %s (%s including waiting). Image size: %llu "
                  "bytes.",
                  name, took, took, is_here ? (unsigned long long)body->image->size : 0);
    } else if (op->kind == OP_FALLBACK) {
        if (is_here) {
            pod_event(me, op->member, "Warning", "Pulled",
                      "Image \"%s\" could not be refreshed (%s): the copy on this machine is used",
                      name, op->id);
            image_is_here(me, at, body->image->id);
        } else {
            image_failed(me, at, "ErrImagePull", op->id);
        }
    } else if (is_here) {
        pod_event(me, op->member, "Normal", "Pulled",
                  "Container image \"%s\" already present on machine", name);
        image_is_here(me, at, body->image->id);
    } else if (streq(or_empty(m->spec->imagepullpolicy), "Never")) {
        const char *text =
            arena_printf(actor_arena(me),
                         "Container image \"%s\" is not present with pull policy of Never", name);
        pod_event(me, op->member, "Warning", "ErrImageNeverPull", "%s", text);
        image_failed(me, at, "ErrImageNeverPull", text);
    } else {
        pod_ask_pull(me, at);
    }
}

static void heard_pull(actor_t *me, const op_t *op, const Cri__PullImageResponse *body) {
    pod_t *self = actor_state(me);
    size_t at = pod_member_at(self, op->member);
    if (at == SIZE_MAX) return;
    image_is_here(me, at, body->image_ref);
    // Only the event needs the size: the container does not wait for this answer.
    op_t *size = pod_op(self, OP_PULLED_SIZE, NULL, op->member);
    size->began_ms = actor_now_ms(me) - op->began_ms;
    Cri__ImageSpec image = {.base.descriptor = &cri__image_spec__descriptor,
                            .image = body->image_ref};
    Cri__ImageStatusRequest request = {.base.descriptor = &cri__image_status_request__descriptor,
                                       .image = &image};
    pod_ask_runtime(me, size, &request.base, POD_CALL_TIMEOUT_MS);
}

static void pull_failed(actor_t *me, const op_t *op, err_t err, const char *why) {
    pod_t *self = actor_state(me);
    size_t at = pod_member_at(self, op->member);
    if (at == SIZE_MAX) return;
    if (image_is_asked_again(me, at, err)) return;
    const char *name = or_empty(self->members.at[at].spec->image);
    pod_event(me, op->member, "Warning", "Failed", "Failed to pull image \"%s\": %s", name, why);
    char *whole CLEANUP(free_charp) = image_whole_name(name);
    bool is_name = whole && !strstr(why, "invalid reference format");
    if (!is_name || err == ERR_NOT_FOUND) {
        image_failed(me, at, is_name ? "ErrImagePull" : "InvalidImageName", why);
        return;
    }
    // Nobody could be asked. A copy on this machine is better than nothing.
    op_t *fallback = pod_op(self, OP_FALLBACK, why, op->member);
    Cri__ImageSpec image = {.base.descriptor = &cri__image_spec__descriptor, .image = name};
    Cri__ImageStatusRequest request = {.base.descriptor = &cri__image_status_request__descriptor,
                                       .image = &image};
    pod_ask_runtime(me, fallback, &request.base, POD_CALL_TIMEOUT_MS);
}

// ---- creating, starting -----------------------------------------------------------------------
static void retry_member(actor_t *me, size_t at, const char *reason, const char *why) {
    pod_t *self = actor_state(me);
    pod_member_t *m = &self->members.at[at];
    member_more_t *more = &self->more.at[at];
    m->busy = false;
    more->retry_delay_ms = doubled(more->retry_delay_ms, POD_RETRY_FIRST_MS, POD_RETRY_MAX_MS);
    m->retry_ms = actor_wall_ms(me) + more->retry_delay_ms;
    pod_set_waiting(self, at, reason, why);
    pod_event(me, more->name, "Warning", "Failed", "Error: %s", why);
}

static void heard_create(actor_t *me, const op_t *op, const Cri__CreateContainerResponse *body) {
    pod_t *self = actor_state(me);
    size_t at = pod_member_at(self, op->member);
    if (at == SIZE_MAX) return;
    pod_member_t *m = &self->members.at[at];
    const pod_view_t view = pod_view_of(self, me);
    const pod_container_t *before = pod_newest(&view, m);
    // Each start after an end makes the next one wait longer.
    if (before && before->state == CONTAINER_EXITED && !m->is_init)
        m->crash_delay_ms = doubled(m->crash_delay_ms, CRASH_DELAY_FIRST_MS, CRASH_DELAY_MAX_MS);
    else if (before && before->state == CONTAINER_EXITED && before->exit_code != 0)
        m->crash_delay_ms = doubled(m->crash_delay_ms, CRASH_DELAY_FIRST_MS, CRASH_DELAY_MAX_MS);
    pod_container_t *c =
        pod_add_container(self, body->container_id, op->id, op->member, op->attempt);
    c->state = CONTAINER_CREATED;
    c->adopted = c->orphaned = false; // a look may have seen it before this answer
    c->hash = m->hash;
    c->created_ms = actor_wall_ms(me);
    pod_set_text(&c->image, or_empty(m->spec->image));
    pod_set_text(&c->image_ref, self->more.at[at].image_ref);
    m->busy = false;
    m->image = IMAGE_NEEDED;
    m->attempt_next = op->attempt + 1;
    m->retry_ms = 0;
    m->ready = !m->spec->readinessprobe;
    m->started = !m->spec->startupprobe;
    self->more.at[at].retry_delay_ms = 0;
    self->more.at[at].reserved_tries = 0;
    self->more.at[at].post_start_done = false;
    pod_set_waiting(self, at, NULL, NULL);
    tell_owned(me, body->container_id);
    pod_event(me, op->member, "Normal", "Created", "Created container: %s", op->member);
}

static void create_failed(actor_t *me, const op_t *op, err_t err, const char *why) {
    pod_t *self = actor_state(me);
    size_t at = pod_member_at(self, op->member);
    if (at == SIZE_MAX) return;
    // Ours to fix in the spec or its objects (INVALID), or the runtime's failure.
    bool is_config = err == ERR_INVALID;
    pod_member_t *m = &self->members.at[at];
    // The name is held by a call that outlived its caller. Its container will show, or the name
    // will be free; only a name that stays taken costs a number.
    if (strstr(why, "reserved")) {
        if (self->more.at[at].reserved_tries++ < POD_RESERVED_TRIES) {
            m->busy = false;
            m->retry_ms = actor_wall_ms(me) + POD_EXIT_LOOK_MS;
            pod_look(me);
            return;
        }
        m->attempt_next = op->attempt + 1;
    }
    retry_member(me, at, is_config ? "CreateContainerConfigError" : "CreateContainerError", why);
    if (is_config)
        for (size_t i = 0; i < self->objects.len; i++) self->objects.at[i].known = false;
    if (!is_config) pod_look(me);
}

static void heard_start(actor_t *me, const op_t *op) {
    pod_t *self = actor_state(me);
    size_t at = pod_container_at(self, op->id);
    if (at == SIZE_MAX) return;
    pod_container_t *c = &self->containers.at[at];
    c->busy = false;
    // It may have ended before its start was answered.
    if (c->state == CONTAINER_CREATED) {
        c->state = CONTAINER_RUNNING;
        c->started_ms = actor_wall_ms(me);
    }
    pod_event(me, op->member, "Normal", "Started", "Started container %s", op->member);
    pod_ask_container(me, op->id);
    size_t member = pod_member_at(self, op->member);
    const Core__Lifecycle *life =
        member == SIZE_MAX ? NULL : self->members.at[member].spec->lifecycle;
    if (!life || !life->poststart || !life->poststart->exec) return;
    op_t *hook = pod_op(self, OP_POST_START, op->id, op->member);
    Cri__ExecSyncRequest request = {.base.descriptor = &cri__exec_sync_request__descriptor,
                                    .container_id = hook->id,
                                    .n_cmd = life->poststart->exec->n_command,
                                    .cmd = life->poststart->exec->command,
                                    .timeout = POD_START_TIMEOUT_MS / 1000};
    pod_ask_runtime(me, hook, &request.base, POD_START_TIMEOUT_MS + POD_STOP_SLACK_MS);
}

static void start_failed(actor_t *me, const op_t *op, err_t err, const char *why) {
    pod_t *self = actor_state(me);
    size_t at = pod_container_at(self, op->id);
    if (at == SIZE_MAX) return;
    self->containers.at[at].busy = false;
    if (err == ERR_UNAVAILABLE || err == ERR_TIMEOUT) self->containers.at[at].orphaned = true;
    size_t member = pod_member_at(self, op->member);
    if (member != SIZE_MAX)
        self->members.at[member].retry_ms = actor_wall_ms(me) + POD_RETRY_FIRST_MS;
    pod_event(me, op->member, "Warning", "Failed", "Error: %s", why);
    // A container that could not start has EXITED with a StartError: it crash-loops like others.
    pod_ask_container(me, op->id);
}

static void post_start_ended(actor_t *me, const op_t *op, bool failed) {
    pod_t *self = actor_state(me);
    size_t at = pod_container_at(self, op->id);
    if (!failed || at == SIZE_MAX) return;
    pod_event(me, op->member, "Warning", "FailedPostStartHook", "PostStartHook failed");
    pod_container_t *c = &self->containers.at[at];
    if (c->busy || c->state != CONTAINER_RUNNING) return;
    c->busy = c->stopping = true;
    pod_event(me, op->member, "Normal", "Killing", "FailedPostStartHook");
    pod_stop_now(me, op->id, 0);
}

static void heard_message(actor_t *me, const op_t *op, const Node__HostReadReply *body) {
    pod_t *self = actor_state(me);
    size_t at = pod_container_at(self, op->id);
    if (at == SIZE_MAX || self->containers_more.at[at].message_read) return;
    pod_container_t *c = &self->containers.at[at];
    char *text CLEANUP(free_charp) =
        str_dup_n(body->data.data ? (const char *)body->data.data : "", body->data.len);
    if (!*text) {
        // With FallbackToLogsOnError the end of the log speaks for a container that said nothing.
        size_t member = pod_member_at(self, op->member);
        const Core__Container *spec = member == SIZE_MAX ? NULL : self->members.at[member].spec;
        self->containers_more.at[at].message_read = op->attempt == 1;
        if (op->attempt || !spec || c->exit_code == 0 ||
            !streq(or_empty(spec->terminationmessagepolicy), "FallbackToLogsOnError"))
            return;
        const Meta__ObjectMeta *meta = self->pod->metadata;
        const char *dir = pod_log_dir(self->args->kubelet, or_empty(meta->namespace_),
                                      or_empty(meta->name), or_empty(meta->uid), actor_arena(me));
        op_t *tail = pod_op(self, OP_MESSAGE, op->id, op->member);
        tail->attempt = 1;
        Node__HostRead request = {.base.descriptor = &node__host_read__descriptor,
                                  .path = arena_printf(actor_arena(me), "%s/%s/%u.log", dir,
                                                       c->name, c->attempt),
                                  .max_bytes = POD_LOG_TAIL_BYTES,
                                  .tail = true};
        pod_ask_runtime(me, tail, &request.base, POD_CALL_TIMEOUT_MS);
        return;
    }
    self->containers_more.at[at].message_read = true;
    pod_set_text(&c->message, text);
}

// ---- stopping ---------------------------------------------------------------------------------
static void heard_removed_sandbox(actor_t *me, const char *id) {
    pod_t *self = actor_state(me);
    for (size_t i = self->containers.len; i-- > 0;)
        if (streq(self->containers.at[i].sandbox_id, id))
            pod_drop_container(self, i, false, actor_wall_ms(me));
    size_t at = pod_sandbox_at(self, id);
    if (at != SIZE_MAX) pod_drop_sandbox(self, at);
}

static void heard_stopped_sandbox(actor_t *me, const char *id) {
    pod_t *self = actor_state(me);
    size_t at = pod_sandbox_at(self, id);
    if (at == SIZE_MAX) return;
    self->sandboxes.at[at].busy = self->sandboxes.at[at].ready = false;
    self->sandboxes.at[at].stopped = true;
    for (size_t i = 0; i < self->containers.len; i++)
        if (streq(self->containers.at[i].sandbox_id, id) &&
            self->containers.at[i].state != CONTAINER_EXITED)
            pod_ask_container(me, self->containers.at[i].id);
}

static void pre_stop_ended(actor_t *me, const op_t *op, bool failed) {
    if (failed) pod_event(me, op->member, "Warning", "FailedPreStopHook", "PreStopHook failed");
    int64_t left_s = op->grace_s - (actor_now_ms(me) - op->began_ms) / 1000;
    // A hook that used all of the grace leaves the container a moment all the same.
    pod_stop_now(me, op->id, left_s < 2 ? 2 : left_s);
}

static blob_t *packed_object(const op_t *op, const void *body) {
    if (op->object == OBJECT_SERVICES) return msg_blob(body);
    const Api__Reply *reply = body;
    return reply->object ? blob_from(reply->object->raw.data, reply->object->raw.len) : NULL;
}

static void heard_object(actor_t *me, const op_t *op, const void *body) { // NULL: it is not there
    pod_t *self = actor_state(me);
    for (size_t i = 0; i < self->objects.len; i++) {
        object_t *o = &self->objects.at[i];
        if (o->kind != op->object || !streq(o->name, op->id)) continue;
        o->known = true;
        blob_unref(&o->packed);
        if (body) o->packed = packed_object(op, body);
    }
}

// Pods of files start without an API server: what services it would tell of, they go without.
static bool goes_without(const pod_t *self, object_kind_t kind) {
    return object_is_of_services(kind) &&
           streq(or_empty(object_annotation(&self->pod->base, KUBELET_CONFIG_SOURCE)), "file");
}

static void status_failed(actor_t *me, const op_t *op) {
    if (op->of_look)
        look_step_failed(me);
    else
        actor_timer(me, POD_TAG_LOOK, POD_HOLD_MS);
}

// ---- the two doors ----------------------------------------------------------------------------
void pod_heard(actor_t *me, const op_t *op, const void *body) {
    pod_t *self = actor_state(me);
    switch (op->kind) {
    case OP_LIST_SANDBOXES:
        heard_sandboxes(me, op, body);
        look_step_done(self);
        break;
    case OP_LIST_CONTAINERS:
        heard_containers(me, op, body);
        look_step_done(self);
        break;
    case OP_SANDBOX_STATUS:
        heard_sandbox(me, op, body);
        if (op->of_run) self->sandbox_busy = false;
        if (op->of_look) look_step_done(self);
        break;
    case OP_CONTAINER_STATUS:
        heard_container(me, op, body);
        if (op->of_look) look_step_done(self);
        break;
    case OP_OBJECT: heard_object(me, op, body); break;
    case OP_PREPARE:
        self->prepared = true;
        self->preparing = false;
        self->sandbox_delay_ms = 0;
        break;
    case OP_RUN_SANDBOX: heard_new_sandbox(me, op, body); break;
    case OP_STOP_SANDBOX: heard_stopped_sandbox(me, op->id); break;
    case OP_REMOVE_SANDBOX: heard_removed_sandbox(me, op->id); break;
    case OP_IMAGE_STATUS:
    case OP_PULLED_SIZE:
    case OP_FALLBACK: heard_image(me, op, body); break;
    case OP_PULL: heard_pull(me, op, body); break;
    case OP_STEPS: {
        size_t member = pod_member_at(self, op->member);
        if (member != SIZE_MAX) pod_create_now(me, member, op->attempt, op->id);
        break;
    }
    case OP_CREATE: heard_create(me, op, body); break;
    case OP_START: heard_start(me, op); break;
    case OP_DRAIN: pod_stop_drained(me, op->id, op->grace_s); break;
    case OP_PRE_STOP:
        pre_stop_ended(me, op, ((const Cri__ExecSyncResponse *)body)->exit_code != 0);
        break;
    case OP_POST_START:
        post_start_ended(me, op, ((const Cri__ExecSyncResponse *)body)->exit_code != 0);
        break;
    case OP_STOP: pod_ask_container(me, op->id); break;
    case OP_REMOVE: {
        size_t at = pod_container_at(self, op->id);
        if (at != SIZE_MAX) pod_drop_container(self, at, false, actor_wall_ms(me));
        break;
    }
    case OP_TRACES:
        self->removing = false;
        self->removed = true;
        break;
    case OP_MESSAGE: heard_message(me, op, body); break;
    case OP_PROBE: break; // its two kinds of answers are told apart by the actor
    }
}

void pod_heard_failure(actor_t *me, const op_t *op, err_t err, const char *why) {
    pod_t *self = actor_state(me);
    switch (op->kind) {
    case OP_LIST_SANDBOXES:
    case OP_LIST_CONTAINERS: look_step_failed(me); break;
    case OP_SANDBOX_STATUS: {
        size_t at = pod_sandbox_at(self, op->id);
        if (op->of_run) self->sandbox_busy = false;
        if (err != ERR_NOT_FOUND) {
            status_failed(me, op);
            break;
        }
        if (at != SIZE_MAX) pod_drop_sandbox(self, at);
        if (op->of_look) look_step_done(self);
        break;
    }
    case OP_CONTAINER_STATUS:
        if (err != ERR_NOT_FOUND) {
            status_failed(me, op);
            break;
        }
        container_gone(me, op->id);
        if (op->of_look) look_step_done(self);
        break;
    case OP_OBJECT:
        if (err == ERR_NOT_FOUND || goes_without(self, op->object))
            heard_object(me, op, NULL);
        else
            actor_timer(me, POD_TAG_WAKE, POD_HOLD_MS);
        break;
    case OP_PREPARE:
        pod_event(me, NULL, "Warning", "FailedMount", "error making pod data directories: %s", why);
        hold(me, POD_HOLD_MS * 2);
        break;
    case OP_RUN_SANDBOX: sandbox_failed(me, err, why); break;
    case OP_STOP_SANDBOX:
    case OP_REMOVE_SANDBOX: {
        size_t at = pod_sandbox_at(self, op->id);
        if (err == ERR_NOT_FOUND)
            heard_removed_sandbox(me, op->id);
        else if (at != SIZE_MAX) {
            self->sandboxes.at[at].busy = false;
            pod_event(me, NULL, "Warning", "FailedKillPod", "error killing pod: %s", why);
            hold(me, POD_HOLD_MS);
        }
        break;
    }
    case OP_IMAGE_STATUS: {
        size_t at = pod_member_at(self, op->member);
        if (at != SIZE_MAX && !image_is_asked_again(me, at, err))
            image_failed(me, at,
                         strstr(why, "invalid reference format") ? "InvalidImageName"
                                                                 : "ImageInspectError",
                         why);
        break;
    }
    case OP_FALLBACK: {
        size_t at = pod_member_at(self, op->member);
        if (at != SIZE_MAX && !image_is_asked_again(me, at, err))
            image_failed(me, at, "ErrImagePull", op->id);
        break;
    }
    case OP_PULL: pull_failed(me, op, err, why); break;
    case OP_STEPS:
    case OP_CREATE: create_failed(me, op, err, why); break;
    case OP_START: start_failed(me, op, err, why); break;
    case OP_DRAIN: {
        size_t at = pod_container_at(self, op->id);
        if (at != SIZE_MAX) self->containers_more.at[at].drain_grace_s = op->grace_s;
        actor_timer(me, POD_TAG_DRAIN, POD_DRAIN_AGAIN_MS);
        break;
    }
    case OP_PRE_STOP: pre_stop_ended(me, op, true); break;
    case OP_POST_START: post_start_ended(me, op, true); break;
    case OP_STOP:
    case OP_REMOVE: {
        size_t at = pod_container_at(self, op->id);
        if (err == ERR_NOT_FOUND)
            container_gone(me, op->id);
        else if (at != SIZE_MAX) {
            self->containers.at[at].busy = self->containers.at[at].stopping = false;
            pod_ask_container(me, op->id);
            hold(me, POD_HOLD_MS);
        }
        break;
    }
    case OP_TRACES:
        self->removing = false;
        hold(me, POD_HOLD_MS);
        break;
    case OP_PROBE: pod_probe_heard(me, op, false, why); break;
    case OP_PULLED_SIZE:
    case OP_MESSAGE: break;
    }
}
