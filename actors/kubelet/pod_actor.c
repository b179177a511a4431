// pod - one pod on its node: pod/NS.NAME.UID, a child of the kubelet.
//
//     PodWish ─► spec ┐                      ┌─► questions to runtime/NODE
//     answers ─► view ┴─► pod_plan, pod_status┴─► PodReport, PodEvent, PodDone to kubelet/NODE
//
// It knows the runtime's present only by asking; after its own death it asks again and goes on with
// what runs. It never touches the machine: so it runs the same on a simulated node.
#include "actors/kubelet/pod_state.h"
#include "cri/google.pb-c.h"
#include "runtime/actor/api_client.h"
#include "runtime/api/kinds.h"
#include "runtime/api/msg.h"
#include "runtime/base/log.h"

// ---- handlers ---------------------------------------------------------------------------------
static void take_leave(actor_t *me, const Core__Pod *pod) {
    pod_t *self = actor_state(me);
    const Meta__ObjectMeta *meta = pod->metadata;
    int64_t grace_s = meta->has_deletiongraceperiodseconds ? meta->deletiongraceperiodseconds : 30;
    // Counted from when we hear of it: the clocks of two hosts are not compared.
    int64_t kill_at_ms = actor_wall_ms(me) + grace_s * 1000;
    if (!self->leaving || kill_at_ms + POD_HOLD_MS < self->kill_at_ms) {
        // Grace has shrunk: those that are being stopped are told again.
        for (size_t i = 0; self->leaving && i < self->containers.len; i++)
            if (self->containers.at[i].stopping) self->containers.at[i].busy = false;
        self->kill_at_ms = kill_at_ms;
    }
    self->leaving = true;
}

static void on_wish(actor_t *me, const message_t *msg, const void *body) {
    pod_t *self = actor_state(me);
    const Node__PodWish *wish = body;
    bool first = !self->pod;
    self->network_ready = wish->network_ready;
    if (wish->pod.len) {
        arena_t arena = {0};
        Core__Pod *pod = msg_unpack_own(&arena, &core__pod__descriptor,
                                        (bytes_t){wish->pod.data, wish->pod.len});
        if (!pod || !pod->spec || !pod->metadata) {
            log_error(actor_address(me), "the pod's record cannot be read");
            arena_done(&arena);
            return;
        }
        blob_t *packed = blob_from(wish->pod.data, wish->pod.len);
        pod_take_spec(self, packed, pod, &arena);
        blob_unref(&packed);
    }
    if (!self->pod) return;
    if (self->pod->metadata->deletiontimestamp) take_leave(me, self->pod);
    if (wish->gone && !self->gone) {
        self->gone = true;
        self->kill_at_ms = actor_wall_ms(me) + wish->grace_seconds * 1000;
    }
    if (!first) return;
    const char *phase = self->pod->status ? or_empty(self->pod->status->phase) : "";
    self->final_ = streq(phase, "Succeeded") || streq(phase, "Failed");
    if (wish->fresh)
        self->looked = true;
    else
        pod_look(me);
}

static void on_look(actor_t *me, const message_t *msg, const void *body) { pod_look(me); }

static void on_change(actor_t *me, const message_t *msg, const void *body) {
    pod_t *self = actor_state(me);
    const Node__ContainerChange *change = body;
    if (pod_sandbox_at(self, change->id) != SIZE_MAX) {
        // The runtime notices the end of a sandbox a little after it has told of it.
        pod_ask_sandbox(me, change->id);
        actor_timer(me, POD_TAG_LOOK_SOON, POD_SANDBOX_LOOK_MS);
        actor_timer(me, POD_TAG_LOOK, POD_EXIT_LOOK_MS);
        return;
    }
    size_t at = pod_container_at(self, change->id);
    if (at == SIZE_MAX) return;
    // The runtime deletes the task some time after its exit (once its output is drained), tells of
    // that, and only then writes EXITED down: no event says that it has. So it is looked for.
    if (change->what == NODE__CONTAINER_CHANGE__WHAT__DELETED) {
        self->containers_more.at[at].end_look_ms = POD_END_LOOK_MS;
        pod_ask_container(me, change->id);
    } else if (change->what == NODE__CONTAINER_CHANGE__WHAT__EXITED) {
        self->containers_more.at[at].end_look_ms = POD_EXIT_LOOK_MS;
        actor_timer(me, POD_TAG_LOOK, POD_EXIT_LOOK_MS);
    }
}

static void on_answer(actor_t *me, const message_t *msg, const void *body) {
    pod_t *self = actor_state(me);
    op_t op;
    if (!pod_take_op(self, msg->tag, &op)) return;
    if (op.kind == OP_PROBE && streq(msg->type, node__probe_reply__descriptor.name)) {
        const Node__ProbeReply *reply = body;
        pod_probe_heard(me, &op, reply->ok, reply->output);
    } else if (op.kind == OP_PROBE) {
        const Cri__ExecSyncResponse *reply = body;
        const ProtobufCBinaryData *said = reply->stdout.len ? &reply->stdout : &reply->stderr;
        pod_probe_heard(me, &op, reply->exit_code == 0,
                        arena_strndup(actor_arena(me), said->len ? (const char *)said->data : "",
                                      said->len));
    } else {
        pod_heard(me, &op, body);
    }
    pod_op_done(&op);
}

static void on_failure(actor_t *me, const message_t *msg, const void *body) {
    pod_t *self = actor_state(me);
    op_t op;
    if (!pod_take_op(self, msg->tag, &op)) return;
    api_failure_t failure = api_failure(actor_arena(me), body);
    pod_heard_failure(me, &op, failure.err, failure.why);
    pod_op_done(&op);
}

static void on_timer(actor_t *me, uint64_t tag) {
    pod_t *self = actor_state(me);
    if ((tag == POD_TAG_LOOK || tag == POD_TAG_LOOK_SOON) && self->pod)
        pod_look(me);
    else if (tag == POD_TAG_DRAIN)
        pod_drain_again(me);
    else if (tag >= POD_TAG_PROBE && tag < POD_TAG_OP)
        pod_probe_due(me, tag);
    // POD_TAG_WAKE has done its work by touching the actor: settle runs.
}

// ---- settle -----------------------------------------------------------------------------------
// A pull that failed a moment ago is now being waited for.
static void age_pull_failures(actor_t *me) {
    pod_t *self = actor_state(me);
    for (size_t i = 0; i < self->members.len; i++) {
        member_more_t *more = &self->more.at[i];
        if (!more->pull_failed_ms || self->members.at[i].image != IMAGE_FAILED) continue;
        if (actor_wall_ms(me) - more->pull_failed_ms < POD_HOLD_MS ||
            !streq(or_empty(more->waiting_reason), "ErrImagePull"))
            continue;
        const char *image = or_empty(self->members.at[i].spec->image);
        const char *text =
            arena_printf(actor_arena(me), "Back-off pulling image \"%s\": ErrImagePull: %s", image,
                         more->pull_error);
        pod_set_waiting(self, i, "ImagePullBackOff", text);
        pod_event(me, more->name, "Normal", "BackOff", "Back-off pulling image \"%s\"", image);
        pod_event(me, more->name, "Warning", "Failed", "Error: ImagePullBackOff");
    }
}

static void tell_backoffs(actor_t *me, const pod_view_t *view) {
    pod_t *self = actor_state(me);
    const Meta__ObjectMeta *meta = self->pod->metadata;
    const pod_sandbox_t *sandbox = pod_sandbox(view);
    for (size_t i = 0; i < self->members.len && !view->leaving && !self->final_; i++) {
        const pod_member_t *m = &self->members.at[i];
        const pod_container_t *c = pod_newest(view, m);
        if (!c || c->state != CONTAINER_EXITED || !m->crash_delay_ms ||
            self->more.at[i].backoff_told)
            continue;
        // What ended with its sandbox is not punished for it.
        if (!sandbox || !streq(sandbox->id, c->sandbox_id)) continue;
        if (!pod_restarts(view, m, c->exit_code) || pod_restart_at_ms(m, c) <= view->now_ms)
            continue;
        self->more.at[i].backoff_told = true;
        pod_event(me, m->spec->name, "Warning", "BackOff",
                  "Back-off restarting failed container %s in pod %s_%s(%s)", m->spec->name,
                  or_empty(meta->name), or_empty(meta->namespace_), or_empty(meta->uid));
    }
}

// activeDeadlineSeconds: a pod that has had its time is failed.
static void check_deadline(actor_t *me, pod_plan_t *plan) {
    pod_t *self = actor_state(me);
    const Core__PodSpec *spec = self->pod->spec;
    if (!spec->has_activedeadlineseconds || self->fail_reason || !self->status ||
        !self->status->starttime || self->final_)
        return;
    int64_t end_ms = (self->status->starttime->seconds + spec->activedeadlineseconds) * 1000;
    if (end_ms > actor_wall_ms(me)) {
        if (end_ms < plan->wake_ms) plan->wake_ms = end_ms;
        return;
    }
    self->fail_reason = "DeadlineExceeded";
    self->fail_message = str_dup("Pod was active on the node longer than the specified deadline");
    pod_event(me, NULL, "Normal", "DeadlineExceeded", "%s", self->fail_message);
    self->final_ = true;
    actor_settle_again(me);
}

static void report(actor_t *me, const pod_view_t *view) {
    pod_t *self = actor_state(me);
    pod_scene_t scene = pod_scene_of(self, me);
    pod_facts_t facts = {.host_ip = scene.host_ip,
                         .pod_ip = scene.pod_ip,
                         .old = self->status ? self->status : self->pod->status,
                         .reason = self->fail_reason,
                         .message = self->fail_message,
                         .failed = self->fail_reason != NULL};
    Core__PodStatus *status = pod_status(view, &facts, actor_arena(me));
    bool is_over = streq(status->phase, "Succeeded") || streq(status->phase, "Failed");
    if (is_over && !self->final_) {
        self->final_ = true;
        actor_settle_again(me);
    }
    if (self->status && msg_equal(&self->status->base, &status->base)) return;
    arena_t kept = {0};
    Core__PodStatus *copy = msg_dup(&kept, &status->base);
    arena_done(&self->status_arena);
    self->status_arena = kept;
    self->status = copy;
    bytes_t packed = msg_pack(actor_arena(me), &copy->base);
    Node__PodReport tell = {.base.descriptor = &node__pod_report__descriptor,
                            .uid = self->args->uid,
                            .status = {packed.len, (uint8_t *)packed.at}};
    actor_tell(me, self->kubelet, &tell.base);
}

// When a container that has just begun will be ready.
static void wake_when_settled(const pod_view_t *view, pod_plan_t *plan) {
    for (size_t i = 0; i < view->members_len; i++) {
        const pod_container_t *c = pod_newest(view, &view->members[i]);
        if (!c || c->state != CONTAINER_RUNNING) continue;
        int64_t at_ms = pod_settled_at_ms(view, &view->members[i], c);
        if (at_ms > view->now_ms && at_ms < plan->wake_ms) plan->wake_ms = at_ms;
    }
}

static void settle(actor_t *me) {
    pod_t *self = actor_state(me);
    if (!self->pod) return;
    int64_t now_ms = actor_wall_ms(me);
    age_pull_failures(me);
    bool held = now_ms < self->hold_until_ms;
    if (!held) {
        if (self->preparing && !self->prepared && !self->looking) {
            bool asked = false;
            for (size_t i = 0; i < self->ops.len; i++) asked |= self->ops.at[i].kind == OP_PREPARE;
            self->preparing = asked; // the hold after a failure is over
        }
        bool wants_life = self->looked && !self->leaving && !self->gone && !self->final_;
        bool fetching = false;
        for (size_t i = 0; i < self->ops.len; i++) fetching |= self->ops.at[i].kind == OP_OBJECT;
        if (wants_life && !fetching) pod_fetch_objects(me);
        if (wants_life) pod_prepare(me);
    }
    pod_view_t view = pod_view_of(self, me);
    pod_plan_t plan = {.wake_ms = INT64_MAX};
    if (!held) pod_plan(&view, actor_arena(me), &plan);
    for (size_t i = 0; i < plan.actions_len; i++) pod_perform(me, &plan.actions[i]);
    view = pod_view_of(self, me);
    if (self->looked) {
        tell_backoffs(me, &view);
        pod_probes_arm(me);
        report(me, &view);
        check_deadline(me, &plan);
        wake_when_settled(&view, &plan);
    }
    if (held) plan.wake_ms = self->hold_until_ms;
    if (plan.wake_ms != INT64_MAX)
        actor_timer(me, POD_TAG_WAKE, plan.wake_ms > now_ms ? plan.wake_ms - now_ms : 1);
}

// ---- life -------------------------------------------------------------------------------------
static err_t start(actor_t *me, const void *args, why_t *why) {
    pod_t *self = actor_state(me);
    self->args = args;
    self->kubelet = str_printf("kubelet/%s", self->args->node);
    self->runtime = str_printf("runtime/%s", self->args->node);
    self->op_next = 1;
    return ERR_OK;
}

static void stop(actor_t *me) { pod_clear(actor_state(me)); }

#define ANSWER(response) \
    { &cri__##response##_response__descriptor, on_answer, NULL, false }
static const handler_t handlers[] = {
    {&node__pod_wish__descriptor, on_wish, "kubelet test", false},
    {&node__pod_look__descriptor, on_look, "kubelet test", false},
    {&node__container_change__descriptor, on_change, "kubelet test", false},
    ANSWER(run_pod_sandbox),
    ANSWER(stop_pod_sandbox),
    ANSWER(remove_pod_sandbox),
    ANSWER(pod_sandbox_status),
    ANSWER(list_pod_sandbox),
    ANSWER(create_container),
    ANSWER(start_container),
    ANSWER(stop_container),
    ANSWER(remove_container),
    ANSWER(list_containers),
    ANSWER(container_status),
    ANSWER(exec_sync),
    ANSWER(image_status),
    ANSWER(pull_image),
    {&node__host_prepare_reply__descriptor, on_answer, NULL, false},
    {&node__host_remove_reply__descriptor, on_answer, NULL, false},
    {&node__host_read_reply__descriptor, on_answer, NULL, false},
    {&node__probe_reply__descriptor, on_answer, NULL, false},
    {&api__reply__descriptor, on_answer, NULL, false},
    {&api__list_reply__descriptor, on_answer, NULL, false},
    {&api__await_drain_reply__descriptor, on_answer, NULL, false},
    {&actor__failure__descriptor, on_failure, NULL, false},
    {0},
};

const actor_def_t pod_actor = {
    .role = "pod",
    .state_size = sizeof(pod_t),
    .start = start,
    .handlers = handlers,
    .settle = settle,
    .on_timer = on_timer,
    .stop = stop,
};
