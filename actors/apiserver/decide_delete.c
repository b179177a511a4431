// Delete, and what leads to it: graceful deletion of pods, finalizers, eviction; and binding, the
// other subresource of pods.
//
//     pod:        delete ──► deletionTimestamp = now + grace ──► kubelet stops it ──► delete, grace
//     0 ──► gone finalizers: delete ──► deletionTimestamp = now ──► finalizers taken one by one ──►
//     gone
#include "actors/apiserver/admission.h"
#include "actors/apiserver/decide.h"
#include "k8s/policy_v1.pb-c.h"

#define FOREGROUND "foregroundDeletion"
#define ORPHAN     "orphan"

// ---- preconditions ------------------------------------------------------------------------------
static bool check_preconditions(deciding_t *d, const Api__Delete *options) {
    const Meta__ObjectMeta *meta = object_meta_read(d->present->obj);
    const char *cause = NULL;
    if (!is_empty(options->uid) && !streq(options->uid, or_empty(meta->uid)))
        cause =
            arena_printf(d->arena,
                         "the UID in the precondition (%s) does not match the UID in record (%s). "
                         "The object might have been deleted and then recreated",
                         options->uid, or_empty(meta->uid));
    else if (!is_empty(options->resource_version) &&
             !streq(options->resource_version, or_empty(meta->resourceversion)))
        cause = arena_printf(d->arena,
                             "the ResourceVersion in the precondition (%s) does not match the "
                             "ResourceVersion in record (%s). The object might have been modified",
                             options->resource_version, or_empty(meta->resourceversion));
    if (!cause) return true;
    decide_fail(d, status_conflict(d->arena, d->r->asked->group, d->r->stored->name, d->r->name,
                                   cause));
    return false;
}

static bool check_immortal(deciding_t *d) {
    if (d->r->stored->type != &core__namespace__descriptor) return true;
    const char *name = d->r->name;
    if (!streq(name, "default") && !streq(name, "kube-system") && !streq(name, "kube-public"))
        return true;
    decide_fail(d, status_forbidden(d->arena, "", "namespaces", name,
                                    "this namespace may not be deleted"));
    return false;
}

// ---- finalizers ---------------------------------------------------------------------------------
static bool is_gc_finalizer(const char *name) {
    return streq(name, FOREGROUND) || streq(name, ORPHAN);
}

// The propagation that was asked for decides about the garbage collector's finalizers; asked for
// none, those that are there stay.
static void set_finalizers(deciding_t *d, Meta__ObjectMeta *meta, const char *propagation) {
    if (is_empty(propagation)) return;
    const char **next = ARENA_ARRAY(d->arena, const char *, meta->n_finalizers + 1);
    size_t len = 0;
    for (size_t i = 0; i < meta->n_finalizers; i++)
        if (!is_gc_finalizer(meta->finalizers[i])) next[len++] = meta->finalizers[i];
    if (streq(propagation, "Foreground")) next[len++] = FOREGROUND;
    if (streq(propagation, "Orphan")) next[len++] = ORPHAN;
    meta->finalizers = next;
    meta->n_finalizers = len;
}

void decide_set_deletion(deciding_t *d, ProtobufCMessage *obj, int64_t grace_s) {
    Meta__ObjectMeta *meta = object_meta(d->arena, obj);
    meta->deletiontimestamp =
        time_new(d->arena, d->world->now_wall_ms / 1000 * 1000 + grace_s * 1000);
    meta->has_deletiongraceperiodseconds = true;
    meta->deletiongraceperiodseconds = grace_s;
    if (meta->has_generation && meta->generation > 0) meta->generation++;
}

// ---- grace --------------------------------------------------------------------------------------
// Seconds that this deletion gives the pod; 0: none.
static int64_t pod_grace(const Core__Pod *pod, const Api__Delete *options) {
    enum { GRACE_DEFAULT_S = 30 };
    const char *phase = pod->status ? or_empty(pod->status->phase) : "";
    if (!pod->spec || is_empty(pod->spec->nodename)) return 0;
    if (streq(phase, "Succeeded") || streq(phase, "Failed")) return 0;
    int64_t grace = GRACE_DEFAULT_S;
    if (options->has_grace)
        grace = options->grace_seconds;
    else if (pod->spec->has_terminationgraceperiodseconds)
        grace = pod->spec->terminationgraceperiodseconds;
    return grace < 0 ? 1 : grace;
}

typedef enum { GRACE_NONE, GRACE_BEGINS, GRACE_SHRINKS, GRACE_UNCHANGED } grace_step_t;

static grace_step_t grace_step(const deciding_t *d, const Api__Delete *options,
                               int64_t *ret_grace_s) {
    if (!(d->r->stored->strategy & STRATEGY_GRACEFUL_DELETE)) return GRACE_NONE;
    const Core__Pod *pod = (const Core__Pod *)d->present->obj;
    const Meta__ObjectMeta *meta = object_meta_read(&pod->base);
    if (!meta->deletiontimestamp) {
        *ret_grace_s = pod_grace(pod, options);
        return *ret_grace_s > 0 ? GRACE_BEGINS : GRACE_NONE;
    }
    if (!meta->deletiongraceperiodseconds) return GRACE_NONE;
    int64_t grace = options->has_grace ? options->grace_seconds : meta->deletiongraceperiodseconds;
    if (grace < 0) grace = 1;
    *ret_grace_s = grace;
    if (grace >= meta->deletiongraceperiodseconds) return GRACE_UNCHANGED;
    return grace > 0 ? GRACE_SHRINKS : GRACE_NONE;
}

// The clock has run since the first deletion: the shorter period counts from then, not from now.
static void shrink_grace(deciding_t *d, ProtobufCMessage *obj, int64_t grace_s) {
    Meta__ObjectMeta *meta = object_meta(d->arena, obj);
    int64_t began_ms =
        time_wall_ms(meta->deletiontimestamp) - meta->deletiongraceperiodseconds * 1000;
    int64_t end_ms = began_ms + grace_s * 1000, now_ms = d->world->now_wall_ms / 1000 * 1000;
    meta->deletiontimestamp = time_new(d->arena, end_ms < now_ms ? now_ms : end_ms);
    meta->deletiongraceperiodseconds = grace_s;
    if (meta->generation > 0) meta->generation++;
}

// ---- delete -------------------------------------------------------------------------------------
static bool must_wait(const ProtobufCMessage *obj) {
    if (object_meta_read(obj)->n_finalizers > 0) return true;
    if (obj->descriptor != &core__namespace__descriptor) return false;
    const Core__Namespace *ns = (const Core__Namespace *)obj;
    return ns->spec && ns->spec->n_finalizers > 0;
}

static void mark_terminating(deciding_t *d, ProtobufCMessage *obj) {
    if (obj->descriptor != &core__namespace__descriptor) return;
    Core__Namespace *ns = (Core__Namespace *)obj;
    Core__NamespaceStatus *next =
        MSG_NEW(d->arena, Core__NamespaceStatus, core__namespace_status__descriptor);
    if (ns->status) {
        next->n_conditions = ns->status->n_conditions;
        next->conditions = ns->status->conditions;
    }
    next->phase = "Terminating";
    ns->status = next;
}

static void put_or_leave(deciding_t *d, ProtobufCMessage *obj) {
    if (msg_equal(obj, d->present->obj))
        decide_reply(d, d->present->obj, API__OUTCOME__DELETING);
    else
        decide_put(d, obj, API__OUTCOME__DELETING, NULL);
}

// `obj`: a copy of the present object that may already bear more (a condition of an eviction).
static void delete_object(deciding_t *d, ProtobufCMessage *obj, const Api__Delete *options) {
    if (!check_preconditions(d, options) || !check_immortal(d)) return;
    Meta__Status *refused = admission_validate(d->arena, d->r, NULL, d->present->obj);
    if (refused) {
        decide_fail(d, refused);
        return;
    }
    Meta__ObjectMeta *meta = object_meta(d->arena, obj);
    set_finalizers(d, meta, options->propagation);
    int64_t grace_s = 0;
    switch (grace_step(d, options, &grace_s)) {
    case GRACE_BEGINS:
        decide_set_deletion(d, obj, grace_s);
        put_or_leave(d, obj);
        return;
    case GRACE_SHRINKS:
        shrink_grace(d, obj, grace_s);
        put_or_leave(d, obj);
        return;
    case GRACE_UNCHANGED: put_or_leave(d, obj); return;
    case GRACE_NONE: break;
    }
    if (!must_wait(obj)) {
        decide_remove(d, obj);
        return;
    }
    if (!meta->deletiontimestamp || meta->deletiongraceperiodseconds > 0)
        decide_set_deletion(d, obj, 0);
    mark_terminating(d, obj);
    put_or_leave(d, obj);
}

static bool check_propagation(deciding_t *d, const char *propagation) {
    if (is_empty(propagation) || streq(propagation, "Background") ||
        streq(propagation, "Foreground") || streq(propagation, "Orphan"))
        return true;
    static const char *const known[] = {"Foreground", "Background", "Orphan", NULL};
    field_errors_t errors = {.arena = d->arena};
    field_not_supported(&errors, "propagationPolicy", propagation, known);
    decide_fail(d, status_invalid(d->arena, "meta.k8s.io", "DeleteOptions", "", &errors));
    return false;
}

void decide_delete(deciding_t *d) {
    if (!check_propagation(d, d->r->delete_->propagation)) return;
    if (!d->present->exists) {
        decide_not_found(d);
        return;
    }
    ProtobufCMessage *obj = msg_dup(d->arena, d->present->obj);
    delete_object(d, obj, d->r->delete_);
}

// ---- conditions of pods -------------------------------------------------------------------------
// Changes copies: the present state may be shared with `pod`.
static void set_condition(deciding_t *d, Core__Pod *pod, const char *type, const char *reason,
                          const char *message) {
    pod->status = pod->status ? object_shallow(d->arena, &pod->status->base)
                              : MSG_NEW(d->arena, Core__PodStatus, core__pod_status__descriptor);
    Core__PodStatus *status = pod->status;
    Core__PodCondition **conditions =
        ARENA_ARRAY(d->arena, Core__PodCondition *, status->n_conditions + 1);
    size_t at = status->n_conditions;
    for (size_t i = 0; i < status->n_conditions; i++) {
        conditions[i] = status->conditions[i];
        if (streq(or_empty(conditions[i]->type), type)) at = i;
    }
    Core__PodCondition *condition =
        at < status->n_conditions
            ? object_shallow(d->arena, &conditions[at]->base)
            : MSG_NEW(d->arena, Core__PodCondition, core__pod_condition__descriptor);
    conditions[at] = condition;
    if (at == status->n_conditions) status->n_conditions++;
    status->conditions = conditions;
    if (!streq(or_empty(condition->status), "True"))
        condition->lasttransitiontime = time_new(d->arena, d->world->now_wall_ms / 1000 * 1000);
    condition->type = type;
    condition->status = "True";
    condition->reason = reason;
    condition->message = message;
}

// ---- eviction -----------------------------------------------------------------------------------
void decide_evict(deciding_t *d) {
    arena_t *arena = d->arena;
    void *body;
    why_t why;
    bytes_t packed = {d->r->create->object.data, d->r->create->object.len};
    if (msg_unpack(arena, &policy__eviction__descriptor, packed, &body, &why)) {
        decide_fail_err(d, ERR_BAD_REQUEST, why.text);
        return;
    }
    const Policy__Eviction *eviction = body;
    if (!is_empty(object_meta_read(&eviction->base)->name) &&
        !streq(eviction->metadata->name, d->r->name)) {
        decide_fail(d, status_bad_request(arena,
                                          "name in URL does not match name in Eviction object"));
        return;
    }
    if (!d->present->exists) {
        decide_not_found(d);
        return;
    }
    Api__Delete *options = MSG_NEW(arena, Api__Delete, api__delete__descriptor);
    const Meta__DeleteOptions *given = eviction->deleteoptions;
    if (given) {
        options->has_grace = given->has_graceperiodseconds;
        options->grace_seconds = given->graceperiodseconds;
        if (given->preconditions) options->uid = or_empty(given->preconditions->uid);
        if (given->preconditions)
            options->resource_version = or_empty(given->preconditions->resourceversion);
    }
    ProtobufCMessage *obj = msg_dup(arena, d->present->obj);
    if (!object_meta_read(obj)->deletiontimestamp)
        set_condition(d, (Core__Pod *)obj, "DisruptionTarget", "EvictionByEvictionAPI",
                      "Eviction API: evicting");
    delete_object(d, obj, options);
}

// ---- binding ------------------------------------------------------------------------------------
static const char *binding_refusal(deciding_t *d, const Core__Binding *binding) {
    const Core__Pod *pod = (const Core__Pod *)d->present->obj;
    const Meta__ObjectMeta *old = object_meta_read(&pod->base),
                           *meta = object_meta_read(&binding->base);
    if (!is_empty(meta->uid) && !streq(meta->uid, or_empty(old->uid)))
        return arena_printf(d->arena,
                            "Precondition failed: UID in precondition: %s, UID in object meta: %s",
                            meta->uid, or_empty(old->uid));
    if (!is_empty(meta->resourceversion) &&
        !streq(meta->resourceversion, or_empty(old->resourceversion)))
        return arena_printf(
            d->arena,
            "Precondition failed: ResourceVersion in precondition: %s, ResourceVersion "
            "in object meta: %s",
            meta->resourceversion, or_empty(old->resourceversion));
    if (old->deletiontimestamp)
        return arena_printf(d->arena, "pod %s is being deleted, cannot be assigned to a host",
                            d->r->name);
    if (pod->spec && !is_empty(pod->spec->nodename))
        return arena_printf(d->arena, "pod %s is already assigned to node \"%s\"", d->r->name,
                            pod->spec->nodename);
    if (pod->spec && pod->spec->n_schedulinggates > 0)
        return arena_printf(d->arena, "pod %s has non-empty .spec.schedulingGates", d->r->name);
    return NULL;
}

// False: refused.
static bool check_binding(deciding_t *d, const Core__Binding *binding) {
    const Meta__ObjectMeta *meta = object_meta_read(&binding->base);
    if (!is_empty(meta->name) && !streq(meta->name, d->r->name)) {
        decide_fail(d, status_bad_request(d->arena,
                                          "name in URL does not match name in Binding object"));
        return false;
    }
    field_errors_t errors = {.arena = d->arena};
    static const char *const kinds[] = {"Node", "<empty>", NULL};
    const Core__ObjectReference *target = binding->target;
    if (target && !is_empty(target->kind) && !streq(target->kind, "Node"))
        field_not_supported(&errors, "target.kind", target->kind, kinds);
    if (!target || is_empty(target->name)) field_required(&errors, "target.name", "");
    if (errors.len == 0) return true;
    decide_fail(d, status_invalid(d->arena, "", "Binding", d->r->name, &errors));
    return false;
}

void decide_bind(deciding_t *d) {
    ProtobufCMessage *body = decide_unpack(d, kind_find("", "v1", "Binding"), d->r->create->object);
    if (!body) return;
    const Core__Binding *binding = (const Core__Binding *)body;
    if (!check_binding(d, binding)) return;
    if (!d->present->exists) {
        decide_not_found(d);
        return;
    }
    const char *cause = binding_refusal(d, binding);
    if (cause) {
        decide_fail(d, status_conflict(d->arena, "", "pods/binding", d->r->name, cause));
        return;
    }
    // What does not change is shared with the present state; annotations do.
    const Meta__ObjectMeta *meta = object_meta_read(&binding->base);
    Core__Pod *pod = meta->n_annotations ? msg_dup(d->arena, d->present->obj)
                                         : object_shallow(d->arena, d->present->obj);
    pod->metadata = object_shallow(d->arena, &pod->metadata->base);
    pod->spec = pod->spec ? object_shallow(d->arena, &pod->spec->base)
                          : MSG_NEW(d->arena, Core__PodSpec, core__pod_spec__descriptor);
    pod->spec->nodename = binding->target->name;
    for (size_t i = 0; i < meta->n_annotations; i++)
        object_set_annotation(d->arena, &pod->base, meta->annotations[i]->key,
                              or_empty(meta->annotations[i]->value));
    set_condition(d, pod, "PodScheduled", NULL, NULL);
    decide_put(d, &pod->base, API__OUTCOME__CONFIGURED, NULL);
}
