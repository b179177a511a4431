#include "actors/controllers/nodelife_plan.h"
#include "actors/controllers/controller.h"
#include "runtime/api/msg.h"

#define NOT_READY   "node.kubernetes.io/not-ready"
#define UNREACHABLE "node.kubernetes.io/unreachable"

// Conditions that become taints: with this status, this taint, NoSchedule.
static const struct {
    const char *condition, *status, *taint;
} condition_taints[] = {
    {"Ready", "False", NOT_READY},
    {"Ready", "Unknown", UNREACHABLE},
    {"MemoryPressure", "True", "node.kubernetes.io/memory-pressure"},
    {"DiskPressure", "True", "node.kubernetes.io/disk-pressure"},
    {"PIDPressure", "True", "node.kubernetes.io/pid-pressure"},
    {"NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable"},
};
#define UNSCHEDULABLE "node.kubernetes.io/unschedulable"

static const Core__NodeCondition *condition_of(const Core__NodeStatus *s, const char *type) {
    for (size_t i = 0; s && i < s->n_conditions; i++)
        if (streq(or_empty(s->conditions[i]->type), type)) return s->conditions[i];
    return NULL;
}

static bool condition_is(const Core__NodeStatus *s, const char *type, const char *status) {
    const Core__NodeCondition *c = condition_of(s, type);
    return c && streq(or_empty(c->status), status);
}

bool nodelife_is_ready(const Core__Node *node) {
    return condition_is(node->status, "Ready", "True");
}

// ---- conditions of a silent node ---------------------------------------------------------------

static Core__NodeCondition *unknown_condition(const nodelife_view_t *v, arena_t *arena,
                                              const char *type) {
    const Core__NodeCondition *was = condition_of(v->node->status, type);
    Core__NodeCondition *c = MSG_NEW(arena, Core__NodeCondition, core__node_condition__descriptor);
    c->type = type;
    c->status = "Unknown";
    c->reason = was ? "NodeStatusUnknown" : "NodeStatusNeverUpdated";
    c->message = was ? "Kubelet stopped posting node status." : "Kubelet never posted node status.";
    c->lastheartbeattime = was && was->lastheartbeattime
                               ? was->lastheartbeattime
                               : object_meta_read(&v->node->base)->creationtimestamp;
    c->lasttransitiontime = time_new(arena, v->now_wall_ms);
    return c;
}

static void plan_conditions(const nodelife_view_t *v, arena_t *arena, nodelife_plan_t *plan) {
    static const char *const types[] = {"Ready", "MemoryPressure", "DiskPressure", "PIDPressure"};
    if (v->voice != NODE_SILENT || condition_is(v->node->status, "Ready", "Unknown")) return;
    const Core__NodeStatus *was = v->node->status;
    Core__NodeStatus *s = MSG_NEW(arena, Core__NodeStatus, core__node_status__descriptor);
    if (was) *s = *was;
    s->n_conditions = 0;
    s->conditions =
        ARENA_ARRAY(arena, Core__NodeCondition *, (was ? was->n_conditions : 0) + LENGTH_OF(types));
    bool done[LENGTH_OF(types)] = {0};
    for (size_t i = 0; was && i < was->n_conditions; i++) {
        Core__NodeCondition *c = was->conditions[i];
        for (size_t j = 0; j < LENGTH_OF(types); j++)
            if (streq(or_empty(c->type), types[j])) {
                done[j] = true;
                c = unknown_condition(v, arena, types[j]);
            }
        s->conditions[s->n_conditions++] = c;
    }
    for (size_t j = 0; j < LENGTH_OF(types); j++)
        if (!done[j]) s->conditions[s->n_conditions++] = unknown_condition(v, arena, types[j]);
    plan->status = s;
    plan->became_not_ready = nodelife_is_ready(v->node);
}

// ---- taints ------------------------------------------------------------------------------------

static bool is_managed(const Core__Taint *t) {
    const char *key = or_empty(t->key);
    if (streq(key, UNSCHEDULABLE)) return streq(or_empty(t->effect), "NoSchedule");
    for (size_t i = 0; i < LENGTH_OF(condition_taints); i++)
        if (streq(key, condition_taints[i].taint)) return true;
    return false;
}

static const Core__Taint *taint_of(const Core__Node *node, const char *key, const char *effect) {
    for (size_t i = 0; node->spec && i < node->spec->n_taints; i++) {
        const Core__Taint *t = node->spec->taints[i];
        if (streq(or_empty(t->key), key) && streq(or_empty(t->effect), effect)) return t;
    }
    return NULL;
}

// The taint as it stands, or a new one: since when it stands decides about evictions.
static void want_taint(const nodelife_view_t *v, arena_t *arena, nodelife_plan_t *plan,
                       const char *key, const char *effect) {
    const Core__Taint *was = taint_of(v->node, key, effect);
    Core__Taint *t = (Core__Taint *)was;
    if (!was) {
        t = MSG_NEW(arena, Core__Taint, core__taint__descriptor);
        t->key = key;
        t->effect = effect;
        t->timeadded = time_new(arena, v->now_wall_ms);
        plan->has_taints = true;
    }
    plan->taints[plan->taints_len++] = t;
}

static void plan_taints(const nodelife_view_t *v, arena_t *arena, nodelife_plan_t *plan) {
    const Core__NodeStatus *status = plan->status ? plan->status : v->node->status;
    size_t had = v->node->spec ? v->node->spec->n_taints : 0;
    plan->taints = ARENA_ARRAY(arena, Core__Taint *, had + 2 * LENGTH_OF(condition_taints) + 1);
    for (size_t i = 0; i < had; i++)
        if (!is_managed(v->node->spec->taints[i]))
            plan->taints[plan->taints_len++] = v->node->spec->taints[i];
    if (v->node->spec && v->node->spec->unschedulable)
        want_taint(v, arena, plan, UNSCHEDULABLE, "NoSchedule");
    for (size_t i = 0; i < LENGTH_OF(condition_taints); i++) {
        const char *key = condition_taints[i].taint;
        if (!condition_is(status, condition_taints[i].condition, condition_taints[i].status))
            continue;
        want_taint(v, arena, plan, key, "NoSchedule");
        if (!streq(condition_taints[i].condition, "Ready")) continue;
        bool stands = v->repel == REPEL_LATER && taint_of(v->node, key, "NoExecute");
        if (v->repel == REPEL_NOW || stands)
            want_taint(v, arena, plan, key, "NoExecute");
        else
            plan->wants_to_repel = true;
    }
    plan->has_taints |= plan->taints_len != had;
}

// ---- pods --------------------------------------------------------------------------------------

static bool tolerates_taint(const Core__Toleration *t, const Core__Taint *taint) {
    bool exists = streq(or_empty(t->operator_), "Exists");
    if (!is_empty(t->effect) && !streq(t->effect, or_empty(taint->effect))) return false;
    if (is_empty(t->key) ? !exists : !streq(t->key, or_empty(taint->key))) return false;
    return exists || streq(or_empty(t->value), or_empty(taint->value));
}

// When this taint sends the pod away, in wall time; INT64_MAX: never.
static int64_t leaves_at_ms(const nodelife_view_t *v, const Core__Pod *pod,
                            const Core__Taint *taint) {
    int64_t since_ms = time_wall_ms(taint->timeadded), at_ms = -1;
    // Stored times are cut to seconds: a toleration of one would be none.
    if (is_managed(taint) && v->repelled_ms > since_ms) since_ms = v->repelled_ms;
    for (size_t i = 0; pod->spec && i < pod->spec->n_tolerations; i++) {
        const Core__Toleration *t = pod->spec->tolerations[i];
        if (!tolerates_taint(t, taint)) continue;
        int64_t until_ms = INT64_MAX;
        if (t->has_tolerationseconds)
            until_ms = since_ms + (t->tolerationseconds > 0 ? t->tolerationseconds * 1000 : 0);
        if (at_ms < 0 || until_ms < at_ms) at_ms = until_ms;
    }
    return at_ms < 0 ? since_ms : at_ms;
}

static void plan_pods(const nodelife_view_t *v, arena_t *arena, nodelife_plan_t *plan) {
    const Core__NodeStatus *status = plan->status ? plan->status : v->node->status;
    const Core__NodeCondition *ready = condition_of(status, "Ready");
    bool unready = ready && !streq(or_empty(ready->status), "True");
    plan->unready = ARENA_ARRAY(arena, const Core__Pod *, v->pods_len + 1);
    plan->evicted = ARENA_ARRAY(arena, const Core__Pod *, v->pods_len + 1);
    for (size_t i = 0; i < v->pods_len; i++) {
        const Core__Pod *pod = v->pods[i];
        if (pod_has_ended(pod)) continue;
        if (unready && pod_is_ready(pod)) plan->unready[plan->unready_len++] = pod;
        if (object_meta_read(&pod->base)->deletiontimestamp) continue;
        int64_t at_ms = INT64_MAX;
        for (size_t j = 0; j < plan->taints_len; j++) {
            const Core__Taint *taint = plan->taints[j];
            if (!streq(or_empty(taint->effect), "NoExecute")) continue;
            int64_t one_ms = leaves_at_ms(v, pod, taint);
            if (one_ms < at_ms) at_ms = one_ms;
        }
        if (at_ms <= v->now_wall_ms)
            plan->evicted[plan->evicted_len++] = pod;
        else if (at_ms < INT64_MAX && at_ms - v->now_wall_ms < plan->again_in_ms)
            plan->again_in_ms = at_ms - v->now_wall_ms;
    }
}

void nodelife_plan(const nodelife_view_t *view, arena_t *arena, nodelife_plan_t *ret_plan) {
    assert(view->node);
    *ret_plan = (nodelife_plan_t){.again_in_ms = INT64_MAX};
    plan_conditions(view, arena, ret_plan);
    plan_taints(view, arena, ret_plan);
    plan_pods(view, arena, ret_plan);
}

void nodelife_plan_print(const nodelife_plan_t *plan, text_t *out) {
    size_t start = out->len;
    if (plan->status)
        text_add(out, plan->became_not_ready ? "not heard any more\n" : "not heard\n");
    if (plan->has_taints) {
        text_add(out, "taints");
        for (size_t i = 0; i < plan->taints_len; i++)
            text_addf(out, " %s:%s", plan->taints[i]->key, plan->taints[i]->effect);
        text_add(out, plan->taints_len ? "\n" : " none\n");
    }
    for (size_t i = 0; i < plan->unready_len; i++)
        text_addf(out, "mark %s not ready\n", object_meta_read(&plan->unready[i]->base)->name);
    for (size_t i = 0; i < plan->evicted_len; i++)
        text_addf(out, "evict %s\n", object_meta_read(&plan->evicted[i]->base)->name);
    if (plan->again_in_ms < INT64_MAX)
        text_addf(out, "again in %lld ms\n", (long long)plan->again_in_ms);
    if (out->len == start) text_add(out, "nothing to do\n");
}
