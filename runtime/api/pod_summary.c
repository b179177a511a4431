// pod_summary - what a person is told about a pod in one word, told as kubectl tells it
// (facts: k8s-print-columns, Pod).
#include "runtime/api/pod.h"

typedef struct {
    arena_t *arena;
    const Core__Pod *pod;
    const Core__PodSpec *spec;
    const Core__PodStatus *status;
    pod_summary_t sum;
} teller_t;

// ---- pieces -------------------------------------------------------------------------------------
static const Core__ContainerStateTerminated *terminated_of(const Core__ContainerState *state) {
    return state ? state->terminated : NULL;
}

static const char *waiting_reason(const Core__ContainerStatus *c) {
    return c->state && c->state->waiting ? or_empty(c->state->waiting->reason) : "";
}

// "OOMKilled", "Signal:9" or "ExitCode:1".
static const char *end_text(arena_t *arena, const Core__ContainerStateTerminated *end) {
    if (!is_empty(end->reason)) return end->reason;
    if (end->signal) return arena_printf(arena, "Signal:%d", end->signal);
    return arena_printf(arena, "ExitCode:%d", end->exitcode);
}

// Counts a container's restarts, and remembers the latest one.
static void count_restarts(const Core__ContainerStatus *c, int *restarts, int64_t *last_ms) {
    *restarts += c->restartcount;
    const Core__ContainerStateTerminated *end = terminated_of(c->laststate);
    int64_t at = end ? time_wall_ms(end->finishedat) : 0;
    if (at > *last_ms) *last_ms = at;
}

static bool is_sidecar(const teller_t *t, const char *name) {
    for (size_t i = 0; i < t->spec->n_initcontainers; i++)
        if (streq(or_empty(t->spec->initcontainers[i]->name), or_empty(name)))
            return container_is_sidecar(t->spec->initcontainers[i]);
    return false;
}

static bool has_condition(const teller_t *t, const char *type) {
    const Core__PodCondition *c = pod_condition(t->pod, type);
    return c && streq(or_empty(c->status), "True");
}

// ---- init containers ----------------------------------------------------------------------------
// Tells of the first init container that has not done its work; false: all have.
static bool tell_init(teller_t *t, int *sidecar_restarts, int64_t *sidecar_last_ms) {
    for (size_t i = 0; i < t->status->n_initcontainerstatuses; i++) {
        const Core__ContainerStatus *c = t->status->initcontainerstatuses[i];
        bool sidecar = is_sidecar(t, c->name);
        count_restarts(c, &t->sum.restarts, &t->sum.last_restart_wall_ms);
        if (sidecar) count_restarts(c, sidecar_restarts, sidecar_last_ms);
        const Core__ContainerStateTerminated *end = terminated_of(c->state);
        if (end && end->exitcode == 0) continue;
        if (sidecar && c->started) {
            t->sum.ready += c->ready ? 1 : 0;
            continue;
        }
        const char *waiting = waiting_reason(c);
        if (end)
            t->sum.status = arena_printf(t->arena, "Init:%s", end_text(t->arena, end));
        else if (*waiting && !streq(waiting, "PodInitializing"))
            t->sum.status = arena_printf(t->arena, "Init:%s", waiting);
        else
            t->sum.status = arena_printf(t->arena, "Init:%zu/%zu", i, t->spec->n_initcontainers);
        return true;
    }
    return false;
}

// ---- the pod's own containers -------------------------------------------------------------------
static void tell_containers(teller_t *t) {
    bool running = false;
    for (size_t i = t->status->n_containerstatuses; i-- > 0;) {
        const Core__ContainerStatus *c = t->status->containerstatuses[i];
        count_restarts(c, &t->sum.restarts, &t->sum.last_restart_wall_ms);
        const Core__ContainerStateTerminated *end = terminated_of(c->state);
        if (*waiting_reason(c)) {
            t->sum.status = waiting_reason(c);
        } else if (end) {
            t->sum.status = end_text(t->arena, end);
        } else if (c->ready && c->state && c->state->running) {
            running = true;
            t->sum.ready++;
        }
    }
    if (streq(t->sum.status, "Completed") && running)
        t->sum.status = has_condition(t, "Ready") ? "Running" : "NotReady";
}

static void tell_phase(teller_t *t) {
    const Core__PodStatus *status = t->status;
    t->sum.status = is_empty(status->reason) ? or_empty(status->phase) : status->reason;
    const Core__PodCondition *scheduled = pod_condition(t->pod, "PodScheduled");
    if (scheduled && streq(or_empty(scheduled->reason), "SchedulingGated"))
        t->sum.status = "SchedulingGated";
}

pod_summary_t pod_summary(arena_t *arena, const Core__Pod *pod) {
    static const Core__PodSpec no_spec = {.base.descriptor = &core__pod_spec__descriptor};
    static const Core__PodStatus no_status = {.base.descriptor = &core__pod_status__descriptor};
    teller_t t = {.arena = arena,
                  .pod = pod,
                  .spec = pod->spec ? pod->spec : &no_spec,
                  .status = pod->status ? pod->status : &no_status};
    t.sum.total = (int)t.spec->n_containers;
    for (size_t i = 0; i < t.spec->n_initcontainers; i++)
        t.sum.total += container_is_sidecar(t.spec->initcontainers[i]);
    tell_phase(&t);

    int sidecar_restarts = 0;
    int64_t sidecar_last_ms = 0;
    bool initializing = tell_init(&t, &sidecar_restarts, &sidecar_last_ms);
    if (!initializing || has_condition(&t, "Initialized")) {
        t.sum.restarts = sidecar_restarts;
        t.sum.last_restart_wall_ms = sidecar_last_ms;
        tell_containers(&t);
    }
    if (object_meta_read(&pod->base)->deletiontimestamp) {
        if (streq(or_empty(t.status->reason), "NodeLost"))
            t.sum.status = "Unknown";
        else if (!pod_has_ended(pod))
            t.sum.status = "Terminating";
    }
    return t.sum;
}
