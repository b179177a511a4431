// strategy - what a client may not set is put right before validation: on create, on update, and on
// an update of the status alone (facts: k8s-strategy).
//
// After an update `obj` may share parts with `old`: it lives no longer than the older object.
#include "k8s/coordination_v1.pb-c.h"
#include "k8s/core_v1.pb-c.h"
#include "k8s/discovery_v1.pb-c.h"
#include "runtime/api/kinds/fill.h"
#include "runtime/api/kinds/rows.h"
#include "runtime/api/pod.h"

// ---- metadata, of every kind --------------------------------------------------------------------
void plain_prepare_create(arena_t *arena, ProtobufCMessage *obj) {
    Meta__ObjectMeta *meta = object_meta(arena, obj);
    meta->deletiontimestamp = NULL;
    meta->has_deletiongraceperiodseconds = false;
    meta->deletiongraceperiodseconds = 0;
    meta->selflink = NULL;
}

void plain_prepare_update(arena_t *arena, ProtobufCMessage *obj, const ProtobufCMessage *old) {
    Meta__ObjectMeta *meta = object_meta(arena, obj);
    const Meta__ObjectMeta *before = object_meta_read(old);
    meta->has_generation = before->has_generation;
    meta->generation = before->generation;
    meta->selflink = NULL;
    if (is_empty(meta->uid)) meta->uid = before->uid;
    if (before->creationtimestamp) meta->creationtimestamp = before->creationtimestamp;
    if (before->deletiontimestamp) meta->deletiontimestamp = before->deletiontimestamp;
    if (before->has_deletiongraceperiodseconds && !meta->has_deletiongraceperiodseconds)
        SET_NUM(meta, deletiongraceperiodseconds, before->deletiongraceperiodseconds);
}

// ---- spec, status and generation ----------------------------------------------------------------
static bool same_field(const ProtobufCMessage *a, const ProtobufCMessage *b, const char *name) {
    return msg_equal(field_message(a, name), field_message(b, name));
}

static void raise_generation(ProtobufCMessage *obj, const ProtobufCMessage *old) {
    Meta__ObjectMeta *meta = object_meta(NULL, obj);
    SET_NUM(meta, generation, object_meta_read(old)->generation + 1);
}

void workload_prepare_create(arena_t *arena, ProtobufCMessage *obj) {
    plain_prepare_create(arena, obj);
    field_set_message(obj, "status", NULL);
    fill_message(arena, obj, "status");
    SET_NUM(object_meta(arena, obj), generation, 1);
}

void keep_status(arena_t *arena, ProtobufCMessage *obj, const ProtobufCMessage *old) {
    plain_prepare_update(arena, obj, old);
    field_set_message(obj, "status", field_message(old, "status"));
}

void keep_spec(arena_t *arena, ProtobufCMessage *obj, const ProtobufCMessage *old) {
    plain_prepare_update(arena, obj, old);
    field_set_message(obj, "spec", field_message(old, "spec"));
}

void workload_prepare_update(arena_t *arena, ProtobufCMessage *obj, const ProtobufCMessage *old) {
    keep_status(arena, obj, old);
    if (!same_field(obj, old, "spec")) raise_generation(obj, old);
}

static bool same_annotations(const ProtobufCMessage *a, const ProtobufCMessage *b) {
    const Meta__ObjectMeta *x = object_meta_read(a), *y = object_meta_read(b);
    if (x->n_annotations != y->n_annotations) return false;
    for (size_t i = 0; i < x->n_annotations; i++)
        if (!streq(or_empty(x->annotations[i]->key), or_empty(y->annotations[i]->key)) ||
            !streq(or_empty(x->annotations[i]->value), or_empty(y->annotations[i]->value)))
            return false;
    return true;
}

// A Deployment's annotations count too: its ReplicaSets carry copies of them.
void deployment_prepare_update(arena_t *arena, ProtobufCMessage *obj, const ProtobufCMessage *old) {
    keep_status(arena, obj, old);
    if (!same_field(obj, old, "spec") || !same_annotations(obj, old)) raise_generation(obj, old);
}

void deployment_prepare_status(arena_t *arena, ProtobufCMessage *obj, const ProtobufCMessage *old) {
    keep_spec(arena, obj, old);
    Meta__ObjectMeta *meta = object_meta(arena, obj);
    meta->labels = object_meta_read(old)->labels;
    meta->n_labels = object_meta_read(old)->n_labels;
}

// ---- Pod ----------------------------------------------------------------------------------------
enum { TAINT_GRACE_SECONDS = 300 };

static bool tolerates(const Core__PodSpec *spec, const char *taint) {
    for (size_t i = 0; i < spec->n_tolerations; i++) {
        const Core__Toleration *t = spec->tolerations[i];
        bool key = is_empty(t->key) || streq(t->key, taint);
        bool effect = is_empty(t->effect) || streq(t->effect, "NoExecute");
        if (key && effect) return true;
    }
    return false;
}

static void add_toleration(arena_t *arena, Core__PodSpec *spec, const char *taint) {
    Core__Toleration *t = MSG_NEW(arena, Core__Toleration, core__toleration__descriptor);
    t->key = taint;
    t->operator_ = "Exists";
    t->effect = "NoExecute";
    SET_NUM(t, tolerationseconds, TAINT_GRACE_SECONDS);
    Core__Toleration **next = ARENA_ARRAY(arena, Core__Toleration *, spec->n_tolerations + 1);
    if (spec->n_tolerations) memcpy(next, spec->tolerations, spec->n_tolerations * sizeof *next);
    next[spec->n_tolerations++] = t;
    spec->tolerations = next;
}

// What Kubernetes' admission plugins DefaultTolerationSeconds, ServiceAccount and Priority do
// without looking at other objects.
static void pod_admit(arena_t *arena, Core__Pod *pod) {
    static const char *const taints[] = {"node.kubernetes.io/not-ready",
                                         "node.kubernetes.io/unreachable"};
    bool lacks[LENGTH_OF(taints)];
    for (size_t i = 0; i < LENGTH_OF(taints); i++) lacks[i] = !tolerates(pod->spec, taints[i]);
    for (size_t i = 0; i < LENGTH_OF(taints); i++)
        if (lacks[i]) add_toleration(arena, pod->spec, taints[i]);
}

static void pod_admit_create(arena_t *arena, Core__Pod *pod) {
    Core__PodSpec *spec = pod->spec;
    pod_admit(arena, pod);
    if (is_empty(spec->serviceaccountname) && !pod_is_mirror(&pod->base))
        spec->serviceaccountname = "default";
    spec->serviceaccount = spec->serviceaccountname;
    if (is_empty(spec->priorityclassname)) {
        FILL_PTR(spec, priority, 0);
        FILL_STR(spec->preemptionpolicy, "PreemptLowerPriority");
    }
}

static void add_gated_condition(arena_t *arena, Core__Pod *pod) {
    Core__PodCondition *gated = MSG_NEW(arena, Core__PodCondition, core__pod_condition__descriptor);
    gated->type = "PodScheduled";
    gated->status = "False";
    gated->reason = "SchedulingGated";
    gated->message = "Scheduling is blocked due to non-empty scheduling gates";
    pod->status->conditions = ARENA_ARRAY(arena, Core__PodCondition *, 1);
    pod->status->conditions[pod->status->n_conditions++] = gated;
}

void pod_prepare_create(arena_t *arena, ProtobufCMessage *obj) {
    Core__Pod *pod = (Core__Pod *)obj;
    workload_prepare_create(arena, obj);
    FILL_MSG(arena, pod->spec, Core__PodSpec, core__pod_spec__descriptor);
    pod_admit_create(arena, pod);
    pod->status->phase = "Pending";
    pod->status->qosclass = pod_qos_class(pod->spec);
    if (pod->spec->n_schedulinggates) add_gated_condition(arena, pod);
}

void pod_prepare_update(arena_t *arena, ProtobufCMessage *obj, const ProtobufCMessage *old) {
    Core__Pod *pod = (Core__Pod *)obj;
    FILL_MSG(arena, pod->spec, Core__PodSpec, core__pod_spec__descriptor);
    pod_admit(arena, pod);
    workload_prepare_update(arena, obj, old);
}

void pod_prepare_status(arena_t *arena, ProtobufCMessage *obj, const ProtobufCMessage *old) {
    Core__Pod *pod = (Core__Pod *)obj;
    const Core__Pod *before = (const Core__Pod *)old;
    keep_spec(arena, obj, old);
    Meta__ObjectMeta *meta = object_meta(arena, obj);
    const Meta__ObjectMeta *meta_before = object_meta_read(old);
    meta->ownerreferences = meta_before->ownerreferences;
    meta->n_ownerreferences = meta_before->n_ownerreferences;
    meta->deletiontimestamp = meta_before->deletiontimestamp;
    FILL_MSG(arena, pod->status, Core__PodStatus, core__pod_status__descriptor);
    if (is_empty(pod->status->qosclass) && before->status)
        pod->status->qosclass = before->status->qosclass;
}

// ---- Namespace ----------------------------------------------------------------------------------
#define FINALIZER_KUBERNETES "kubernetes"
#define LABEL_NAMESPACE_NAME "kubernetes.io/metadata.name"

static void name_label(arena_t *arena, ProtobufCMessage *obj) {
    const char *name = object_meta(arena, obj)->name;
    if (!is_empty(name)) object_set_label(arena, obj, LABEL_NAMESPACE_NAME, name);
}

void namespace_prepare_create(arena_t *arena, ProtobufCMessage *obj) {
    Core__Namespace *namespace = (Core__Namespace *)obj;
    plain_prepare_create(arena, obj);
    name_label(arena, obj);
    namespace->status = MSG_NEW(arena, Core__NamespaceStatus, core__namespace_status__descriptor);
    namespace->status->phase = "Active";
    FILL_MSG(arena, namespace->spec, Core__NamespaceSpec, core__namespace_spec__descriptor);
    Core__NamespaceSpec *spec = namespace->spec;
    for (size_t i = 0; i < spec->n_finalizers; i++)
        if (streq(spec->finalizers[i], FINALIZER_KUBERNETES)) return;
    const char **next = ARENA_ARRAY(arena, const char *, spec->n_finalizers + 1);
    if (spec->n_finalizers) memcpy(next, spec->finalizers, spec->n_finalizers * sizeof *next);
    next[spec->n_finalizers++] = FINALIZER_KUBERNETES;
    spec->finalizers = next;
}

void namespace_prepare_update(arena_t *arena, ProtobufCMessage *obj, const ProtobufCMessage *old) {
    keep_status(arena, obj, old);
    field_set_message(obj, "spec", field_message(old, "spec"));
    name_label(arena, obj);
}

// ---- the small ones -----------------------------------------------------------------------------
void node_prepare_create(arena_t *arena, ProtobufCMessage *obj) {
    plain_prepare_create(arena, obj);
    Core__Node *node = (Core__Node *)obj;
    if (node->spec) node->spec->configsource = NULL;
}

void secret_prepare_update(arena_t *arena, ProtobufCMessage *obj, const ProtobufCMessage *old) {
    plain_prepare_update(arena, obj, old);
    Core__Secret *secret = (Core__Secret *)obj;
    if (is_empty(secret->type)) secret->type = ((const Core__Secret *)old)->type;
}

// Of a referenced secret only the name is kept.
static void names_only(arena_t *arena, Core__ServiceAccount *account) {
    for (size_t i = 0; i < account->n_secrets; i++) {
        Core__ObjectReference *name =
            MSG_NEW(arena, Core__ObjectReference, core__object_reference__descriptor);
        name->name = account->secrets[i]->name;
        account->secrets[i] = name;
    }
}

void serviceaccount_prepare_create(arena_t *arena, ProtobufCMessage *obj) {
    plain_prepare_create(arena, obj);
    names_only(arena, (Core__ServiceAccount *)obj);
}

void serviceaccount_prepare_update(arena_t *arena, ProtobufCMessage *obj,
                                   const ProtobufCMessage *old) {
    plain_prepare_update(arena, obj, old);
    names_only(arena, (Core__ServiceAccount *)obj);
}

// Coordinated leader election is not offered: its fields are dropped, as Kubernetes does.
static void drop_coordination(ProtobufCMessage *obj) {
    Coordination__LeaseSpec *spec = ((Coordination__Lease *)obj)->spec;
    if (spec) spec->strategy = spec->preferredholder = NULL;
}

void lease_prepare_create(arena_t *arena, ProtobufCMessage *obj) {
    plain_prepare_create(arena, obj);
    drop_coordination(obj);
}

void lease_prepare_update(arena_t *arena, ProtobufCMessage *obj, const ProtobufCMessage *old) {
    plain_prepare_update(arena, obj, old);
    drop_coordination(obj);
}

void endpointslice_prepare_create(arena_t *arena, ProtobufCMessage *obj) {
    plain_prepare_create(arena, obj);
    SET_NUM(object_meta(arena, obj), generation, 1);
    Discovery__EndpointSlice *slice = (Discovery__EndpointSlice *)obj;
    for (size_t i = 0; i < slice->n_endpoints; i++) {
        slice->endpoints[i]->deprecatedtopology = NULL;
        slice->endpoints[i]->n_deprecatedtopology = 0;
    }
}

static bool same_labels(const Meta__ObjectMeta *a, const Meta__ObjectMeta *b) {
    if (a->n_labels != b->n_labels) return false;
    for (size_t i = 0; i < a->n_labels; i++)
        if (!streq(or_empty(a->labels[i]->key), or_empty(b->labels[i]->key)) ||
            !streq(or_empty(a->labels[i]->value), or_empty(b->labels[i]->value)))
            return false;
    return true;
}

// The generation counts what traffic depends on: everything but metadata, and the labels.
void endpointslice_prepare_update(arena_t *arena, ProtobufCMessage *obj,
                                  const ProtobufCMessage *old) {
    plain_prepare_update(arena, obj, old);
    Discovery__EndpointSlice a = *(const Discovery__EndpointSlice *)obj;
    Discovery__EndpointSlice b = *(const Discovery__EndpointSlice *)old;
    bool same = same_labels(object_meta_read(obj), object_meta_read(old));
    a.metadata = b.metadata = NULL;
    if (!same || !msg_equal(&a.base, &b.base)) raise_generation(obj, old);
}
