#include "actors/kubelet/pod_status.h"
#include "runtime/api/msg.h"
#include "runtime/api/pod.h"

static Meta__Time *time_of(arena_t *arena, int64_t wall_ms) {
    Meta__Time *t = MSG_NEW(arena, Meta__Time, meta__time__descriptor);
    t->has_seconds = t->has_nanos = true;
    t->seconds = wall_ms / 1000; // the API knows whole seconds only
    return t;
}

// ---- one container ----------------------------------------------------------------------------
typedef struct {
    const pod_view_t *v;
    const pod_facts_t *facts;
    arena_t *arena;
} reporter_t;

static Core__ContainerStateTerminated *terminated_of(reporter_t *r, const pod_container_t *c) {
    Core__ContainerStateTerminated *t = MSG_NEW(r->arena, Core__ContainerStateTerminated,
                                                core__container_state_terminated__descriptor);
    t->has_exitcode = true;
    t->exitcode = c->exit_code;
    // CRI leaves the reason open where nothing special happened.
    t->reason = !is_empty(c->reason) ? c->reason : c->exit_code ? "Error" : "Completed";
    if (!is_empty(c->message)) t->message = c->message;
    if (c->started_ms) t->startedat = time_of(r->arena, c->started_ms);
    if (c->finished_ms) t->finishedat = time_of(r->arena, c->finished_ms);
    t->containerid = arena_printf(r->arena, "containerd://%s", c->id);
    return t;
}

static Core__ContainerState *state_waiting(reporter_t *r, const char *reason, const char *message) {
    Core__ContainerState *s =
        MSG_NEW(r->arena, Core__ContainerState, core__container_state__descriptor);
    s->waiting =
        MSG_NEW(r->arena, Core__ContainerStateWaiting, core__container_state_waiting__descriptor);
    s->waiting->reason = reason;
    if (!is_empty(message)) s->waiting->message = message;
    return s;
}

static const pod_container_t *previous_of(reporter_t *r, const pod_container_t *newest) {
    const pod_container_t *best = NULL;
    for (size_t i = 0; i < r->v->containers_len; i++) {
        const pod_container_t *c = &r->v->containers[i];
        if (c == newest || !streq(c->name, newest->name) || c->state != CONTAINER_EXITED) continue;
        if (!best || c->attempt > best->attempt) best = c;
    }
    return best;
}

static const char *go_seconds(arena_t *arena, int64_t ms) {
    int64_t s = ms / 1000;
    if (s >= 60) return arena_printf(arena, "%lldm%llds", (long long)(s / 60), (long long)(s % 60));
    return arena_printf(arena, "%llds", (long long)s);
}

static Core__ContainerState *state_of(reporter_t *r, const pod_member_t *m,
                                      const pod_container_t *c) {
    Core__ContainerState *s =
        MSG_NEW(r->arena, Core__ContainerState, core__container_state__descriptor);
    bool comes_back = !r->v->leaving && !r->v->final_ &&
                      (!c || c->state != CONTAINER_EXITED || pod_restarts(r->v, m, c->exit_code));
    if (c && c->state == CONTAINER_RUNNING) {
        s->running = MSG_NEW(r->arena, Core__ContainerStateRunning,
                             core__container_state_running__descriptor);
        s->running->startedat = time_of(r->arena, c->started_ms);
        return s;
    }
    // What ended with its sandbox starts anew at once: no loop of crashes.
    const pod_sandbox_t *sandbox = pod_sandbox(r->v);
    bool in_place = c && sandbox && streq(c->sandbox_id, sandbox->id);
    if (c && c->state == CONTAINER_EXITED &&
        !(comes_back && (m->waiting_reason || !in_place || m->crash_delay_ms > 0))) {
        s->terminated = terminated_of(r, c);
        return s;
    }
    if (comes_back && m->waiting_reason)
        return state_waiting(r, m->waiting_reason, m->waiting_message);
    if (c && c->state == CONTAINER_EXITED && in_place) {
        const Meta__ObjectMeta *meta = r->v->pod->metadata;
        const char *text =
            arena_printf(r->arena, "back-off %s restarting failed container=%s pod=%s_%s(%s)",
                         go_seconds(r->arena, m->crash_delay_ms), m->spec->name,
                         or_empty(meta->name), or_empty(meta->namespace_), or_empty(meta->uid));
        return state_waiting(r, "CrashLoopBackOff", text);
    }
    bool waits_for_init =
        !m->is_init && r->v->members_len && r->v->members[0].is_init && !pod_is_initialized(r->v);
    return state_waiting(r,
                         waits_for_init || (m->is_init && m != r->v->members) ? "PodInitializing"
                                                                              : "ContainerCreating",
                         NULL);
}

static bool is_ready(reporter_t *r, const pod_member_t *m, const pod_container_t *c) {
    if (!c) return false;
    if (m->is_init && !m->is_sidecar) return c->state == CONTAINER_EXITED && c->exit_code == 0;
    return c->state == CONTAINER_RUNNING && m->ready &&
           pod_settled_at_ms(r->v, m, c) <= r->v->now_ms;
}

static Core__ContainerStatus *container_status(reporter_t *r, const pod_member_t *m) {
    const pod_container_t *c = pod_newest(r->v, m);
    Core__ContainerStatus *s =
        MSG_NEW(r->arena, Core__ContainerStatus, core__container_status__descriptor);
    s->name = m->spec->name;
    s->image = c && !is_empty(c->image) ? c->image : m->spec->image;
    s->imageid = c ? or_empty(c->image_ref) : "";
    if (c) s->containerid = arena_printf(r->arena, "containerd://%s", c->id);
    s->has_restartcount = s->has_ready = s->has_started = true;
    s->restartcount = (int32_t)(c && c->attempt > m->restarts ? c->attempt : m->restarts);
    s->state = state_of(r, m, c);
    s->ready = is_ready(r, m, c);
    s->started = c && c->state == CONTAINER_RUNNING && m->started;
    s->laststate = MSG_NEW(r->arena, Core__ContainerState, core__container_state__descriptor);
    if (!s->state->terminated) {
        const pod_container_t *ended = c && c->state == CONTAINER_EXITED ? c
                                       : c                               ? previous_of(r, c)
                                                                         : NULL;
        if (ended)
            s->laststate->terminated = terminated_of(r, ended);
        else if (m->last_end)
            s->laststate->terminated = (Core__ContainerStateTerminated *)m->last_end;
    } else if (c && previous_of(r, c)) {
        s->laststate->terminated = terminated_of(r, previous_of(r, c));
    }
    return s;
}

// ---- phase and conditions ---------------------------------------------------------------------
static bool has_begun(reporter_t *r, const pod_member_t *m) {
    const pod_container_t *c = pod_newest(r->v, m);
    return m->last_end || (c && (c->state == CONTAINER_RUNNING || c->state == CONTAINER_EXITED));
}

static const char *phase_of(reporter_t *r) {
    const char *old = r->facts->old ? or_empty(r->facts->old->phase) : "";
    if (streq(old, "Succeeded") || streq(old, "Failed")) return old; // a phase never goes back
    if (r->facts->failed) return "Failed";
    bool failed = false;
    if (pod_is_over(r->v, &failed)) return failed ? "Failed" : "Succeeded";
    if (streq(old, "Running")) return old;
    if (!pod_is_initialized(r->v)) return "Pending";
    for (size_t i = 0; i < r->v->members_len; i++)
        if (!r->v->members[i].is_init && !has_begun(r, &r->v->members[i])) return "Pending";
    return "Running";
}

static const Core__PodCondition *old_condition(reporter_t *r, const char *type) {
    const Core__PodStatus *old = r->facts->old;
    for (size_t i = 0; old && i < old->n_conditions; i++)
        if (streq(or_empty(old->conditions[i]->type), type)) return old->conditions[i];
    return NULL;
}

static Core__PodCondition *condition(reporter_t *r, const char *type, bool is_true,
                                     const char *reason, const char *message) {
    Core__PodCondition *c = MSG_NEW(r->arena, Core__PodCondition, core__pod_condition__descriptor);
    const Core__PodCondition *old = old_condition(r, type);
    c->type = type;
    c->status = is_true ? "True" : "False";
    if (reason) c->reason = reason;
    if (message) c->message = message;
    bool moved = !old || !streq(or_empty(old->status), c->status) || !old->lasttransitiontime;
    c->lasttransitiontime = moved ? time_of(r->arena, r->v->now_ms) : old->lasttransitiontime;
    return c;
}

// "containers with unready status: [a b]" of those for which `good` is false; NULL: all are good.
static const char *names_without(reporter_t *r, bool of_init, const char *prefix) {
    text_t names = {.arena = r->arena};
    for (size_t i = 0; i < r->v->members_len; i++) {
        const pod_member_t *m = &r->v->members[i];
        if (of_init ? !m->is_init : m->is_init && !m->is_sidecar) continue;
        const pod_container_t *c = pod_newest(r->v, m);
        bool good = of_init && m->is_sidecar ? c && c->state == CONTAINER_RUNNING && m->started
                                             : is_ready(r, m, c);
        if (!good) text_addf(&names, "%s%s", names.len ? " " : "", m->spec->name);
    }
    return names.len ? arena_printf(r->arena, "%s: [%s]", prefix, names.at) : NULL;
}

static bool gates_are_open(reporter_t *r) {
    const Core__PodSpec *spec = r->v->pod->spec;
    for (size_t i = 0; i < spec->n_readinessgates; i++) {
        const Core__PodCondition *c =
            old_condition(r, or_empty(spec->readinessgates[i]->conditiontype));
        if (!c || !streq(or_empty(c->status), "True")) return false;
    }
    return true;
}

static void add_conditions(reporter_t *r, Core__PodStatus *status) {
    static const char *const ours[] = {"PodReadyToStartContainers", "Initialized", "Ready",
                                       "ContainersReady", "PodScheduled"};
    const Core__PodStatus *old = r->facts->old;
    status->conditions = ARENA_ARRAY(r->arena, Core__PodCondition *,
                                     LENGTH_OF(ours) + (old ? old->n_conditions : 0));
    bool is_done = streq(status->phase, "Succeeded"), has_failed = streq(status->phase, "Failed");
    const char *over = is_done ? "PodCompleted" : has_failed ? "PodFailed" : NULL;
    const char *unready = names_without(r, false, "containers with unready status");
    const char *incomplete = names_without(r, true, "containers with incomplete status");
    bool ready = !unready && !over;
    const char *why_not = over ? over : "ContainersNotReady";
    Core__PodCondition *made[] = {
        condition(r, ours[0], pod_sandbox(r->v) != NULL, NULL, NULL),
        condition(r, ours[1], !incomplete || is_done,
                  incomplete && !is_done ? "ContainersNotInitialized"
                  : is_done              ? over
                                         : NULL,
                  is_done ? NULL : incomplete),
        condition(r, ours[2], ready && gates_are_open(r),
                  ready ? (gates_are_open(r) ? NULL : "ReadinessGatesNotReady") : why_not,
                  ready || over ? NULL : unready),
        condition(r, ours[3], ready, ready ? NULL : why_not, ready || over ? NULL : unready),
        condition(r, ours[4], true, NULL, NULL),
    };
    for (size_t i = 0; i < LENGTH_OF(made); i++)
        status->conditions[status->n_conditions++] = made[i];
    for (size_t i = 0; old && i < old->n_conditions; i++) {
        bool is_ours = false;
        for (size_t k = 0; k < LENGTH_OF(ours); k++)
            is_ours |= streq(or_empty(old->conditions[i]->type), ours[k]);
        if (!is_ours) status->conditions[status->n_conditions++] = old->conditions[i];
    }
}

// ---- all of it --------------------------------------------------------------------------------
static void add_addresses(reporter_t *r, Core__PodStatus *status) {
    const pod_facts_t *f = r->facts;
    if (!is_empty(f->host_ip)) {
        status->hostip = f->host_ip;
        status->hostips = ARENA_ARRAY(r->arena, Core__HostIP *, 1);
        status->hostips[0] = MSG_NEW(r->arena, Core__HostIP, core__host_ip__descriptor);
        status->hostips[0]->ip = f->host_ip;
        status->n_hostips = 1;
    }
    // A pod that is over keeps showing the address it had.
    bool is_over = streq(status->phase, "Succeeded") || streq(status->phase, "Failed");
    const char *old_ip = is_over && f->old ? f->old->podip : NULL;
    const char *pod_ip = !is_empty(f->pod_ip) ? f->pod_ip : old_ip;
    if (!is_empty(pod_ip)) {
        status->podip = pod_ip;
        status->podips = ARENA_ARRAY(r->arena, Core__PodIP *, 1);
        status->podips[0] = MSG_NEW(r->arena, Core__PodIP, core__pod_ip__descriptor);
        status->podips[0]->ip = pod_ip;
        status->n_podips = 1;
    }
}

Core__PodStatus *pod_status(const pod_view_t *view, const pod_facts_t *facts, arena_t *arena) {
    reporter_t r = {view, facts, arena};
    Core__PodStatus *s = MSG_NEW(arena, Core__PodStatus, core__pod_status__descriptor);
    s->phase = phase_of(&r);
    if (!is_empty(facts->reason)) s->reason = facts->reason;
    if (!is_empty(facts->message)) s->message = facts->message;
    add_addresses(&r, s);
    const Core__PodStatus *old = facts->old;
    s->starttime = old && old->starttime ? old->starttime : time_of(arena, view->now_ms);
    if (old && old->nominatednodename) s->nominatednodename = old->nominatednodename;
    s->qosclass = pod_qos_class(view->pod->spec);
    s->initcontainerstatuses = ARENA_ARRAY(arena, Core__ContainerStatus *, view->members_len);
    s->containerstatuses = ARENA_ARRAY(arena, Core__ContainerStatus *, view->members_len);
    for (size_t i = 0; i < view->members_len; i++) {
        Core__ContainerStatus *one = container_status(&r, &view->members[i]);
        if (view->members[i].is_init)
            s->initcontainerstatuses[s->n_initcontainerstatuses++] = one;
        else
            s->containerstatuses[s->n_containerstatuses++] = one;
    }
    add_conditions(&r, s);
    return s;
}
