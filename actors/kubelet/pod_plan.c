#include "actors/kubelet/pod_plan.h"
#include "runtime/base/vec.h"

// ---- questions --------------------------------------------------------------------------------
const pod_sandbox_t *pod_sandbox(const pod_view_t *v) {
    const pod_sandbox_t *best = NULL;
    for (size_t i = 0; i < v->sandboxes_len; i++) {
        const pod_sandbox_t *s = &v->sandboxes[i];
        if (s->ready && !s->stopped && (!best || s->attempt > best->attempt)) best = s;
    }
    return best;
}

const pod_container_t *pod_newest(const pod_view_t *v, const pod_member_t *m) {
    const pod_container_t *best = NULL;
    for (size_t i = 0; i < v->containers_len; i++) {
        const pod_container_t *c = &v->containers[i];
        if (c->cut_off || !streq(c->name, m->spec->name)) continue;
        if (!best || c->attempt > best->attempt) best = c;
    }
    return best;
}

bool pod_is_cut_off(const pod_container_t *c) {
    if (c->state != CONTAINER_EXITED || c->started_ms) return false;
    // Swept up by a new containerd.
    if (c->orphaned || !streq(or_empty(c->reason), "StartError")) return true;
    const char *message = or_empty(c->message);
    // The second is what a start says that finds the remains of another; the third comes of a shim
    // that was being started when its caller went. Told to us, it is an end like others.
    return strstr(message, "context canceled") || has_suffix(message, ": already exists") ||
           (c->adopted && strstr(message, "failed to start shim") &&
            strstr(message, ": signal: killed"));
}

// The newest container inside the sandbox that counts: what ran in an older one does not.
static const pod_container_t *current(const pod_view_t *v, const pod_member_t *m,
                                      const pod_sandbox_t *sandbox) {
    const pod_container_t *c = pod_newest(v, m);
    return c && sandbox && streq(c->sandbox_id, sandbox->id) ? c : NULL;
}

bool pod_restarts(const pod_view_t *v, const pod_member_t *m, int exit_code) {
    if (m->is_sidecar) return true;
    const char *policy = or_empty(v->pod->spec->restartpolicy);
    if (streq(policy, "Never")) return false;
    // Init containers run once: success is their end under every policy.
    if (streq(policy, "OnFailure") || m->is_init) return exit_code != 0;
    return true;
}

int64_t pod_restart_at_ms(const pod_member_t *m, const pod_container_t *ended) {
    return ended->finished_ms + m->crash_delay_ms;
}

int64_t pod_settled_at_ms(const pod_view_t *v, const pod_member_t *m, const pod_container_t *c) {
    return m->spec->readinessprobe || !v->settle_ms ? 0 : c->started_ms + v->settle_ms;
}

static bool ended_well(const pod_container_t *c) {
    return c && c->state == CONTAINER_EXITED && c->exit_code == 0;
}

bool pod_is_initialized(const pod_view_t *v) {
    const pod_sandbox_t *sandbox = pod_sandbox(v);
    for (size_t i = 0; i < v->members_len; i++) {
        const pod_member_t *m = &v->members[i];
        if (!m->is_init) continue;
        const pod_container_t *c = sandbox ? current(v, m, sandbox) : pod_newest(v, m);
        bool through =
            m->is_sidecar ? c && c->state == CONTAINER_RUNNING && m->started : ended_well(c);
        if (!through) return false;
    }
    return true;
}

bool pod_is_over(const pod_view_t *v, bool *ret_failed) {
    bool failed = false;
    size_t mains = 0;
    for (size_t i = 0; i < v->members_len; i++) {
        const pod_member_t *m = &v->members[i];
        const pod_container_t *c = pod_newest(v, m);
        bool has_ended = c && c->state == CONTAINER_EXITED;
        if (m->is_init && !m->is_sidecar) {
            // An init container that may not run again and failed ends the pod before it began.
            if (has_ended && c->exit_code != 0 && !pod_restarts(v, m, c->exit_code)) {
                if (ret_failed) *ret_failed = true;
                return true;
            }
            continue;
        }
        if (m->is_init) continue;
        mains++;
        if (!has_ended || (pod_restarts(v, m, c->exit_code) && !v->leaving)) return false;
        failed |= c->exit_code != 0;
    }
    if (ret_failed) *ret_failed = failed;
    return mains > 0;
}

// ---- the plan ---------------------------------------------------------------------------------
typedef struct {
    const pod_view_t *v;
    arena_t *arena;
    pod_plan_t *plan;
    size_t cap;
} planner_t;

static void act(planner_t *p, pod_action_t action) {
    assert(p->plan->actions_len < p->cap);
    p->plan->actions[p->plan->actions_len++] = action;
}

static void wake_at(planner_t *p, int64_t at_ms) {
    if (at_ms < p->plan->wake_ms) p->plan->wake_ms = at_ms;
}

static bool is_due(planner_t *p, int64_t at_ms) {
    if (at_ms <= p->v->now_ms) return true;
    wake_at(p, at_ms);
    return false;
}

static int64_t grace_of(const pod_view_t *v) {
    if (!v->leaving) {
        const Core__PodSpec *spec = v->pod->spec;
        return spec->has_terminationgraceperiodseconds ? spec->terminationgraceperiodseconds : 30;
    }
    int64_t left_ms = v->kill_at_ms - v->now_ms;
    return left_ms <= 0 ? 0 : (left_ms + 999) / 1000;
}

static void stop_container(planner_t *p, const pod_container_t *c, const char *text) {
    if (!c->busy)
        act(p, (pod_action_t){POD_STOP, .id = c->id, .grace_s = grace_of(p->v), .text = text});
}

static bool may_run(const pod_container_t *c) {
    return c->state == CONTAINER_RUNNING || c->state == CONTAINER_UNKNOWN ||
           c->state == CONTAINER_CREATED;
}

static const char *stopping_text(planner_t *p, const char *name) {
    return arena_printf(p->arena, "Stopping container %s", name);
}

// Everything goes: containers first, sidecars after the others, then the sandbox. Returns true when
// nothing runs any more and every sandbox is stopped.
static bool wind_down(planner_t *p) {
    const pod_view_t *v = p->v;
    bool something_runs = false;
    for (int pass = 0; pass < 2 && !something_runs; pass++) {
        for (size_t i = 0; i < v->containers_len; i++) {
            const pod_container_t *c = &v->containers[i];
            bool is_sidecar = false;
            for (size_t m = 0; m < v->members_len; m++)
                is_sidecar |= v->members[m].is_sidecar && streq(v->members[m].spec->name, c->name);
            if (!may_run(c) || is_sidecar != (pass == 1)) continue;
            something_runs = true;
            // One that never ran cannot be stopped, only removed.
            if (c->state != CONTAINER_CREATED)
                stop_container(p, c, stopping_text(p, c->name));
            else if (!c->busy)
                act(p, (pod_action_t){POD_REMOVE, .id = c->id});
        }
        for (size_t m = 0; m < v->members_len; m++) something_runs |= v->members[m].busy;
    }
    if (something_runs || v->sandbox_busy) return false;
    bool all_stopped = true;
    for (size_t i = 0; i < v->sandboxes_len; i++) {
        const pod_sandbox_t *s = &v->sandboxes[i];
        if (s->stopped) continue;
        all_stopped = false;
        if (!s->busy) act(p, (pod_action_t){POD_STOP_SANDBOX, .id = s->id});
    }
    return all_stopped;
}

static void plan_leaving(planner_t *p) {
    const pod_view_t *v = p->v;
    if (!wind_down(p)) return;
    if (v->sandboxes_len) {
        for (size_t i = 0; i < v->sandboxes_len; i++)
            if (!v->sandboxes[i].busy)
                act(p, (pod_action_t){POD_REMOVE_SANDBOX, .id = v->sandboxes[i].id});
        return;
    }
    // Containers whose sandbox is gone (somebody removed it by hand) go one by one.
    if (v->containers_len) {
        for (size_t i = 0; i < v->containers_len; i++)
            if (!v->containers[i].busy)
                act(p, (pod_action_t){POD_REMOVE, .id = v->containers[i].id});
        return;
    }
    act(p, (pod_action_t){v->removed ? POD_DONE : POD_REMOVE_TRACES});
}

// A sandbox that does not count any more: what runs in it ends with it, then it is removed.
static bool clear_old_sandboxes(planner_t *p, const pod_sandbox_t *sandbox) {
    const pod_view_t *v = p->v;
    bool clear = true;
    for (size_t i = 0; i < v->sandboxes_len; i++) {
        const pod_sandbox_t *s = &v->sandboxes[i];
        if (s == sandbox) continue;
        if (!s->stopped) clear = false;
        if (s->busy) continue;
        if (!s->stopped) act(p, (pod_action_t){POD_STOP_SANDBOX, .id = s->id});
        // Its containers are kept until the new ones stand: their attempts are still counted.
        else if (sandbox)
            act(p, (pod_action_t){POD_REMOVE_SANDBOX, .id = s->id});
    }
    return clear;
}

static uint32_t next_attempt(const pod_view_t *v, const pod_member_t *m) {
    const pod_container_t *newest = pod_newest(v, m);
    uint32_t next = newest ? newest->attempt + 1 : 0;
    return next > m->attempt_next ? next : m->attempt_next;
}

static bool image_is_ready(planner_t *p, size_t at) {
    const pod_member_t *m = &p->v->members[at];
    if (m->image == IMAGE_READY) return true;
    if (m->image == IMAGE_NEEDED || (m->image == IMAGE_FAILED && is_due(p, m->image_retry_ms)))
        act(p, (pod_action_t){POD_PULL, .member = at});
    return false;
}

// Its name and number are wanted for the one that takes its place.
static bool clear_cut_off(planner_t *p, const pod_member_t *m) {
    bool clear = true;
    for (size_t i = 0; i < p->v->containers_len; i++) {
        const pod_container_t *c = &p->v->containers[i];
        if (!c->cut_off || !streq(c->name, m->spec->name)) continue;
        clear = false;
        if (!c->busy) act(p, (pod_action_t){POD_REMOVE, .id = c->id});
    }
    return clear;
}

// One step for one member. True: it stands (runs, or has ended and stays so).
static bool plan_member(planner_t *p, size_t at, const pod_sandbox_t *sandbox) {
    const pod_view_t *v = p->v;
    const pod_member_t *m = &v->members[at];
    const pod_container_t *c = current(v, m, sandbox);
    if (!clear_cut_off(p, m)) return false;
    if (m->busy || (c && c->busy && !c->stopping)) return false;
    if (c && c->stopping) return true; // the others need not wait for its grace
    if (c && c->state == CONTAINER_RUNNING) {
        if (c->hash && c->hash != m->hash)
            stop_container(p, c,
                           arena_printf(p->arena,
                                        "Container %s definition changed, will be restarted",
                                        m->spec->name));
        else if (m->unhealthy_id && streq(m->unhealthy_id, c->id))
            stop_container(p, c,
                           arena_printf(p->arena, "Container %s failed %s probe, will be restarted",
                                        m->spec->name, m->unhealthy_probe));
        return true;
    }
    if (c && c->state == CONTAINER_UNKNOWN) {
        stop_container(p, c, stopping_text(p, m->spec->name));
        return true;
    }
    if (c && c->state == CONTAINER_CREATED) {
        // Made by us before our death, or its start has just failed.
        if (is_due(p, m->retry_ms)) act(p, (pod_action_t){POD_START, .id = c->id, .member = at});
        return false;
    }
    if (c && !pod_restarts(v, m, c->exit_code)) return true;
    if (c && !is_due(p, pod_restart_at_ms(m, c))) return true;
    if (!is_due(p, m->retry_ms)) return true;
    if (!image_is_ready(p, at))
        return m->image == IMAGE_FAILED; // the others do not wait for a missing image
    act(p,
        (pod_action_t){POD_CREATE, .member = at, .attempt = next_attempt(v, m), .id = sandbox->id});
    return false;
}

static void collect_dead(planner_t *p, const pod_member_t *m) {
    const pod_view_t *v = p->v;
    const pod_container_t *newest = pod_newest(v, m);
    for (size_t i = 0; i < v->containers_len; i++) {
        const pod_container_t *c = &v->containers[i];
        if (c == newest || c->busy || c->cut_off || !streq(c->name, m->spec->name) ||
            c->state != CONTAINER_EXITED)
            continue;
        size_t younger = 0; // dead ones that are newer than this one, the newest apart
        for (size_t k = 0; k < v->containers_len; k++) {
            const pod_container_t *other = &v->containers[k];
            younger +=
                other != newest && streq(other->name, c->name) && other->attempt > c->attempt;
        }
        if (younger >= DEAD_KEPT) act(p, (pod_action_t){POD_REMOVE, .id = c->id});
    }
}

// Will it be started in this sandbox soon?
static bool needs_image(const pod_view_t *v, const pod_member_t *m, const pod_sandbox_t *sandbox) {
    const pod_container_t *c = current(v, m, sandbox);
    if (m->busy || m->image == IMAGE_READY) return false;
    if (!c) return true;
    return c->state == CONTAINER_EXITED && pod_restarts(v, m, c->exit_code) &&
           pod_restart_at_ms(m, c) <= v->now_ms;
}

static bool wants_start(const pod_view_t *v, const pod_member_t *m) {
    const pod_container_t *c = pod_newest(v, m);
    return !c || c->state != CONTAINER_EXITED || pod_restarts(v, m, c->exit_code);
}

// Images are fetched while the sandbox is being made: both take their time.
static void pull_ahead(planner_t *p) {
    for (size_t i = 0; i < p->v->members_len; i++) {
        const pod_member_t *m = &p->v->members[i];
        if (wants_start(p->v, m)) (void)image_is_ready(p, i);
        if (m->is_init && !m->is_sidecar) return; // later ones are not needed soon
    }
}

static void plan_running(planner_t *p) {
    const pod_view_t *v = p->v;
    const pod_sandbox_t *sandbox = pod_sandbox(v);
    bool clear = clear_old_sandboxes(p, sandbox);
    if (!sandbox) {
        bool any = false;
        for (size_t i = 0; i < v->members_len; i++) any |= wants_start(v, &v->members[i]);
        if (!any || !clear || !v->may_start || v->sandbox_busy) return;
        if (!v->prepared || !is_due(p, v->sandbox_retry_ms)) return;
        uint32_t attempt = 0;
        for (size_t i = 0; i < v->sandboxes_len; i++)
            if (v->sandboxes[i].attempt >= attempt) attempt = v->sandboxes[i].attempt + 1;
        act(p, (pod_action_t){POD_RUN_SANDBOX, .attempt = attempt});
        pull_ahead(p);
        return;
    }
    if (v->sandbox_busy) {
        // It stands, but its address is not known yet: containers are told of it when they begin.
        pull_ahead(p);
        return;
    }
    bool initialized = true;
    for (size_t i = 0; i < v->members_len; i++) {
        const pod_member_t *m = &v->members[i];
        if (!m->is_init && !initialized) continue;
        // Init containers that are through are not looked at again, whatever became of them.
        bool stands = m->is_init && !m->is_sidecar && ended_well(current(v, m, sandbox))
                          ? true
                          : plan_member(p, i, sandbox);
        collect_dead(p, m);
        if (m->is_init) {
            const pod_container_t *c = current(v, m, sandbox);
            bool through =
                m->is_sidecar ? c && c->state == CONTAINER_RUNNING && m->started : ended_well(c);
            if (!through) initialized = false;
            if (!initialized) return;
        } else if (!stands) {
            // One after the other, as they are listed; the rest get their images meanwhile.
            for (size_t k = i + 1; k < v->members_len; k++)
                if (needs_image(v, &v->members[k], sandbox)) (void)image_is_ready(p, k);
            return;
        }
    }
}

void pod_plan(const pod_view_t *view, arena_t *arena, pod_plan_t *ret_plan) {
    assert(view->pod && view->pod->spec);
    size_t cap = 8 + 4 * view->members_len + 2 * (view->containers_len + view->sandboxes_len);
    *ret_plan =
        (pod_plan_t){.actions = ARENA_ARRAY(arena, pod_action_t, cap), .wake_ms = INT64_MAX};
    planner_t p = {view, arena, ret_plan, cap};
    if (!view->looked) return;
    if (view->leaving) {
        plan_leaving(&p);
        return;
    }
    if (view->final_ || pod_is_over(view, NULL)) {
        (void)wind_down(&p); // dead containers stay for their logs until the pod is deleted
        return;
    }
    plan_running(&p);
}

void pod_plan_print(const pod_plan_t *plan, text_t *out) {
    static const char *const names[] = {
        [POD_RUN_SANDBOX] = "run-sandbox",
        [POD_STOP_SANDBOX] = "stop-sandbox",
        [POD_REMOVE_SANDBOX] = "remove-sandbox",
        [POD_PULL] = "pull",
        [POD_CREATE] = "create",
        [POD_START] = "start",
        [POD_STOP] = "stop",
        [POD_REMOVE] = "remove",
        [POD_REMOVE_TRACES] = "remove-traces",
        [POD_DONE] = "done",
    };
    for (size_t i = 0; i < plan->actions_len; i++) {
        const pod_action_t *a = &plan->actions[i];
        text_add(out, names[a->kind]);
        if (a->kind == POD_RUN_SANDBOX) text_addf(out, " #%u", a->attempt);
        if (a->kind == POD_PULL || a->kind == POD_START) text_addf(out, " member=%zu", a->member);
        if (a->kind == POD_CREATE)
            text_addf(out, " member=%zu #%u in %s", a->member, a->attempt, a->id);
        else if (a->id)
            text_addf(out, " %s", a->id);
        if (a->kind == POD_STOP)
            text_addf(out, " grace=%llds \"%s\"", (long long)a->grace_s, a->text);
        text_addc(out, '\n');
    }
    if (plan->wake_ms != INT64_MAX) text_addf(out, "wake at %lld\n", (long long)plan->wake_ms);
}
