#include "actors/controllers/replicaset_plan.h"
#include "actors/controllers/controller.h"
#include "runtime/api/msg.h"
#include "runtime/api/selector.h"
#include "runtime/base/rng.h"

// ---- making a pod ------------------------------------------------------------------------------

enum { NAME_MAX_BYTES = 63, SUFFIX_LEN = 5 };

const char *generated_name(arena_t *arena, const char *base, uint64_t *seed) {
    static const char letters[] = "bcdfghjklmnpqrstvwxz2456789";
    rng_t rng;
    rng_init(&rng, *seed);
    char suffix[SUFFIX_LEN + 1] = {0};
    for (int i = 0; i < SUFFIX_LEN; i++) suffix[i] = letters[rng_below(&rng, sizeof letters - 1)];
    *seed = rng_next(&rng);
    int base_max = NAME_MAX_BYTES - SUFFIX_LEN - 1;
    return arena_printf(arena, "%.*s-%s", base_max, base, suffix);
}

static Meta__OwnerReference *owner_reference(arena_t *arena, const Apps__ReplicaSet *set) {
    Meta__OwnerReference *ref =
        MSG_NEW(arena, Meta__OwnerReference, meta__owner_reference__descriptor);
    ref->apiversion = "apps/v1";
    ref->kind = "ReplicaSet";
    ref->name = set->metadata->name;
    ref->uid = set->metadata->uid;
    ref->has_controller = ref->controller = true;
    ref->has_blockownerdeletion = ref->blockownerdeletion = true;
    return ref;
}

static Core__Pod *make_pod(arena_t *arena, const Apps__ReplicaSet *set, const char *name) {
    const Core__PodTemplateSpec *template = set->spec->template_;
    Core__Pod *pod = MSG_NEW(arena, Core__Pod, core__pod__descriptor);
    Meta__ObjectMeta *meta = MSG_NEW(arena, Meta__ObjectMeta, meta__object_meta__descriptor);
    meta->name = name;
    meta->generatename = arena_printf(arena, "%s-", set->metadata->name);
    meta->namespace_ = set->metadata->namespace_;
    if (template && template->metadata) {
        meta->n_labels = template->metadata->n_labels;
        meta->labels = template->metadata->labels;
        meta->n_annotations = template->metadata->n_annotations;
        meta->annotations = template->metadata->annotations;
        meta->n_finalizers = template->metadata->n_finalizers;
        meta->finalizers = template->metadata->finalizers;
    }
    meta->n_ownerreferences = 1;
    meta->ownerreferences = ARENA_NEW(arena, Meta__OwnerReference *);
    meta->ownerreferences[0] = owner_reference(arena, set);
    pod->metadata = meta;
    pod->spec = template ? template->spec : NULL;
    return pod;
}

// ---- choosing whom to give up ------------------------------------------------------------------

// What makes a pod the better victim, as numbers: the lower, the sooner it goes.
typedef struct {
    const Core__Pod *pod;
    bool ready, labelled; // labelled: bears all labels of the template
    int64_t ready_since_ms;
    int rank[3];    // assigned, phase, ready
    int64_t cost;   // annotation controller.kubernetes.io/pod-deletion-cost
    size_t on_node; // ready ones of the set on the same node
    int64_t restarts;
    int64_t created_ms;
} candidate_t;

static const char *node_of(const Core__Pod *pod) {
    return pod->spec ? or_empty(pod->spec->nodename) : "";
}
static const char *phase_of(const Core__Pod *pod) {
    return pod->status ? or_empty(pod->status->phase) : "";
}

static bool has_all_labels(const Core__Pod *pod, const Core__PodTemplateSpec *template) {
    const Meta__ObjectMeta *meta = template ? template->metadata : NULL;
    for (size_t i = 0; meta && i < meta->n_labels; i++) {
        const char *value = object_label(&pod->base, meta->labels[i]->key);
        if (!value || !streq(value, or_empty(meta->labels[i]->value))) return false;
    }
    return true;
}

// All that is read of each pod is read here: thousands of them do not stay in the processor's
// cache.
static candidate_t candidate_of(const Core__Pod *pod, const Core__PodTemplateSpec *template) {
    int64_t since_ms = pod_ready_since_ms(pod);
    return (candidate_t){.pod = pod,
                         .ready = since_ms || pod_is_ready(pod),
                         .labelled = has_all_labels(pod, template),
                         .ready_since_ms = since_ms};
}

// What only the choice of victims asks for: most plans choose none.
static void rank(candidate_t *c) {
    const Core__Pod *pod = c->pod;
    const char *phase = phase_of(pod);
    const char *cost = object_annotation(&pod->base, "controller.kubernetes.io/pod-deletion-cost");
    c->cost = cost ? strtoll(cost, NULL, 10) : 0;
    c->created_ms = time_wall_ms(object_meta_read(&pod->base)->creationtimestamp);
    c->rank[0] = *node_of(pod) != 0;
    c->rank[1] = streq(phase, "Running") ? 2 : streq(phase, "Unknown") ? 1 : 0;
    c->rank[2] = c->ready;
    for (size_t i = 0; pod->status && i < pod->status->n_containerstatuses; i++)
        c->restarts += pod->status->containerstatuses[i]->restartcount;
}

// Kubernetes' order (controller_utils.go, ActivePodsWithRanks), then the name, so that it is total.
static int by_dispensability(const void *va, const void *vb) {
    const candidate_t *a = va, *b = vb;
    for (size_t i = 0; i < LENGTH_OF(a->rank); i++)
        if (a->rank[i] != b->rank[i]) return a->rank[i] - b->rank[i];
    if (a->cost != b->cost) return a->cost < b->cost ? -1 : 1;
    if (a->on_node != b->on_node) return a->on_node > b->on_node ? -1 : 1;
    if (a->ready && a->ready_since_ms != b->ready_since_ms)
        return a->ready_since_ms > b->ready_since_ms ? -1 : 1;
    if (a->restarts != b->restarts) return a->restarts > b->restarts ? -1 : 1;
    if (a->created_ms != b->created_ms) return a->created_ms > b->created_ms ? -1 : 1;
    return strcmp(object_meta_read(&a->pod->base)->name, object_meta_read(&b->pod->base)->name);
}

static void count_neighbours(candidate_t *all, size_t len) {
    map_t counts = {0};
    for (size_t i = 0; i < len; i++) {
        if (!all[i].ready || !all[i].rank[0]) continue;
        uintptr_t count = (uintptr_t)map_get(&counts, node_of(all[i].pod));
        map_put(&counts, node_of(all[i].pod), (void *)(count + 1));
    }
    for (size_t i = 0; i < len; i++)
        if (all[i].rank[0])
            all[i].on_node = (size_t)(uintptr_t)map_get(&counts, node_of(all[i].pod));
    map_done(&counts);
}

// ---- whose is what -----------------------------------------------------------------------------

typedef struct {
    const replicaset_view_t *view;
    arena_t *arena;
    replicaset_plan_t *plan;
    const selector_t *selector;
    bool set_is_leaving;
    candidate_t *active; // pods that count
    size_t active_len;
} planning_t;

static void add_action(planning_t *p, replicaset_action_kind_t kind, const Core__Pod *pod,
                       Core__Pod *made) {
    p->plan->actions[p->plan->actions_len++] = (replicaset_action_t){kind, pod, made};
}

static void claim(planning_t *p, const Core__Pod *pod) {
    const Meta__ObjectMeta *meta = object_meta_read(&pod->base);
    const Meta__OwnerReference *owner = owner_that_controls(meta);
    bool matches = selector_matches(p->selector, &pod->base), is_leaving = meta->deletiontimestamp;
    if (owner) {
        if (!streq(or_empty(owner->uid), or_empty(p->view->set->metadata->uid))) return;
        if (!matches) {
            if (!is_leaving && !p->set_is_leaving) add_action(p, REPLICASET_RELEASE, pod, NULL);
            return;
        }
    } else {
        if (!matches || is_leaving || p->set_is_leaving || pod_has_ended(pod)) return;
        add_action(p, REPLICASET_ADOPT, pod, NULL);
    }
    if (!is_leaving && !pod_has_ended(pod))
        p->active[p->active_len++] = candidate_of(pod, p->view->set->spec->template_);
}

static bool is_taken(const planning_t *p, const char *name) {
    for (size_t i = 0; i < p->view->pods_len; i++)
        if (streq(or_empty(object_meta_read(&p->view->pods[i]->base)->name), name)) return true;
    return false;
}

static void make_up_difference(planning_t *p) {
    const replicaset_view_t *view = p->view;
    size_t wanted = view->set->spec->replicas > 0 ? (size_t)view->set->spec->replicas : 0;
    if (p->active_len < wanted) {
        size_t missing = wanted - p->active_len, kept = 0;
        size_t max =
            view->create_max < REPLICASET_BURST_MAX ? view->create_max : REPLICASET_BURST_MAX;
        p->plan->cut = missing > max;
        uint64_t seed = view->seed;
        for (size_t i = 0; i < missing && i < max; i++) {
            while (kept < view->names_kept_len && is_taken(p, view->names_kept[kept])) kept++;
            const char *name = kept < view->names_kept_len
                                   ? view->names_kept[kept++]
                                   : generated_name(p->arena, view->set->metadata->name, &seed);
            add_action(p, REPLICASET_CREATE, NULL, make_pod(p->arena, view->set, name));
        }
    } else if (p->active_len > wanted) {
        size_t surplus = p->active_len - wanted;
        p->plan->cut = surplus > REPLICASET_BURST_MAX;
        if (p->plan->cut) surplus = REPLICASET_BURST_MAX;
        for (size_t i = 0; i < p->active_len; i++) rank(&p->active[i]);
        count_neighbours(p->active, p->active_len);
        qsort(p->active, p->active_len, sizeof *p->active, by_dispensability);
        for (size_t i = 0; i < surplus; i++)
            add_action(p, REPLICASET_DELETE, p->active[i].pod, NULL);
    }
}

// ---- status ------------------------------------------------------------------------------------

static void set_conditions(planning_t *p, Apps__ReplicaSetStatus *status, size_t wanted) {
    const Apps__ReplicaSetStatus *was = p->view->set->status;
    size_t len = was ? was->n_conditions : 0;
    status->conditions = ARENA_ARRAY(p->arena, Apps__ReplicaSetCondition *, len + 1);
    const Apps__ReplicaSetCondition *failed = NULL;
    for (size_t i = 0; i < len; i++) {
        if (streq(or_empty(was->conditions[i]->type), "ReplicaFailure"))
            failed = was->conditions[i];
        else
            status->conditions[status->n_conditions++] = was->conditions[i];
    }
    // Told again only once the pods are there: a retry that is under way does not make it blink.
    bool still_failing = p->view->create_failure || (failed && p->active_len < wanted);
    if (!still_failing) return;
    Apps__ReplicaSetCondition *c =
        MSG_NEW(p->arena, Apps__ReplicaSetCondition, apps__replica_set_condition__descriptor);
    c->type = "ReplicaFailure";
    c->status = "True";
    c->reason = "FailedCreate";
    c->message = p->view->create_failure ? p->view->create_failure : failed->message;
    c->lasttransitiontime =
        failed ? failed->lasttransitiontime : time_new(p->arena, p->view->now_wall_ms);
    status->conditions[status->n_conditions++] = c;
}

static void plan_status(planning_t *p) {
    const Apps__ReplicaSet *set = p->view->set;
    Apps__ReplicaSetStatus *status =
        MSG_NEW(p->arena, Apps__ReplicaSetStatus, apps__replica_set_status__descriptor);
    int64_t settle_ms = (int64_t)set->spec->minreadyseconds * 1000;
    int32_t labelled = 0, ready = 0, available = 0;
    p->plan->again_in_ms = INT64_MAX;
    for (size_t i = 0; i < p->active_len; i++) {
        const candidate_t *c = &p->active[i];
        labelled += c->labelled;
        if (!c->ready) continue;
        ready++;
        int64_t left_ms = settle_ms ? c->ready_since_ms + settle_ms - p->view->now_wall_ms : 0;
        if (left_ms <= 0)
            available++;
        else if (left_ms < p->plan->again_in_ms)
            p->plan->again_in_ms = left_ms;
    }
    status->has_replicas = status->has_fullylabeledreplicas = status->has_readyreplicas =
        status->has_availablereplicas = status->has_observedgeneration = true;
    status->replicas = (int32_t)p->active_len;
    status->fullylabeledreplicas = labelled;
    status->readyreplicas = ready;
    status->availablereplicas = available;
    status->observedgeneration = set->metadata->generation;
    set_conditions(p, status, set->spec->replicas > 0 ? (size_t)set->spec->replicas : 0);
    const Apps__ReplicaSetStatus *was = set->status ? set->status
                                                    : MSG_NEW(p->arena, Apps__ReplicaSetStatus,
                                                              apps__replica_set_status__descriptor);
    if (!msg_equal(&was->base, &status->base)) p->plan->status = status;
}

void replicaset_plan(const replicaset_view_t *view, arena_t *arena, replicaset_plan_t *ret_plan) {
    assert(view->set && view->set->spec && view->set->metadata);
    *ret_plan = (replicaset_plan_t){.again_in_ms = INT64_MAX};
    ret_plan->actions =
        ARENA_ARRAY(arena, replicaset_action_t, view->pods_len + 2 * REPLICASET_BURST_MAX);
    planning_t p = {.view = view, .arena = arena, .plan = ret_plan};
    p.set_is_leaving = view->set->metadata->deletiontimestamp;
    p.active = ARENA_ARRAY(arena, candidate_t, view->pods_len + 1);
    // A selector that cannot be read was refused by validation; if it is here all the same, nothing
    // is touched.
    if (selector_from_message(arena, view->set->spec->selector, &p.selector, NULL)) return;
    for (size_t i = 0; i < view->pods_len; i++) claim(&p, view->pods[i]);
    plan_status(&p);
    if (!p.set_is_leaving) make_up_difference(&p);
}

void replicaset_plan_print(const replicaset_plan_t *plan, text_t *out) {
    static const char *const verbs[] = {[REPLICASET_DELETE] = "delete",
                                        [REPLICASET_ADOPT] = "adopt",
                                        [REPLICASET_RELEASE] = "release"};
    for (size_t i = 0; i < plan->actions_len; i++) {
        const replicaset_action_t *a = &plan->actions[i];
        if (a->kind == REPLICASET_CREATE)
            text_addf(out, "create %s\n", a->made->metadata->name);
        else
            text_addf(out, "%s %s\n", verbs[a->kind], object_meta_read(&a->pod->base)->name);
    }
    if (plan->cut) text_add(out, "and more\n");
    const Apps__ReplicaSetStatus *s = plan->status;
    if (s) {
        text_addf(out, "status %d replicas, %d labelled, %d ready, %d available", s->replicas,
                  s->fullylabeledreplicas, s->readyreplicas, s->availablereplicas);
        for (size_t i = 0; i < s->n_conditions; i++)
            text_addf(out, ", %s: %s", s->conditions[i]->type, or_empty(s->conditions[i]->message));
        text_add(out, "\n");
    }
    if (plan->again_in_ms < INT64_MAX)
        text_addf(out, "again in %lld ms\n", (long long)plan->again_in_ms);
    if (!plan->actions_len && !s && plan->again_in_ms == INT64_MAX)
        text_add(out, "nothing to do\n");
}
