#include "actors/apiserver/admission.h"
#include "k8s/coordination_v1.pb-c.h"

#define TAINT_NOT_READY   "node.kubernetes.io/not-ready"
#define TAINT_UNREACHABLE "node.kubernetes.io/unreachable"
#define MIRROR_ANNOTATION "kubernetes.io/config.mirror"

// ---- what is added ------------------------------------------------------------------------------
static bool tolerates(const Core__PodSpec *spec, const char *taint) {
    for (size_t i = 0; i < spec->n_tolerations; i++) {
        const Core__Toleration *t = spec->tolerations[i];
        bool key = is_empty(t->key) || streq(t->key, taint);
        if (key && (is_empty(t->effect) || streq(t->effect, "NoExecute"))) return true;
    }
    return false;
}

static void tolerate(arena_t *arena, Core__PodSpec *spec, const char *taint, int64_t seconds) {
    if (tolerates(spec, taint)) return;
    Core__Toleration *t = MSG_NEW(arena, Core__Toleration, core__toleration__descriptor);
    t->key = taint;
    t->operator_ = "Exists";
    t->effect = "NoExecute";
    t->has_tolerationseconds = true;
    t->tolerationseconds = seconds;
    Core__Toleration **more = ARENA_ARRAY(arena, Core__Toleration *, spec->n_tolerations + 1);
    if (spec->n_tolerations) memcpy(more, spec->tolerations, spec->n_tolerations * sizeof *more);
    more[spec->n_tolerations++] = t;
    spec->tolerations = more;
}

void admission_mutate(arena_t *arena, const world_t *world, ProtobufCMessage *obj) {
    if (obj->descriptor != &core__pod__descriptor) return;
    Core__PodSpec *spec = ((Core__Pod *)obj)->spec;
    if (!spec) return;
    tolerate(arena, spec, TAINT_NOT_READY, world->not_ready_toleration_s);
    tolerate(arena, spec, TAINT_UNREACHABLE, world->unreachable_toleration_s);
}

// ---- what is refused ----------------------------------------------------------------------------
Meta__Status *admission_namespace(arena_t *arena, const request_t *r, const world_t *world,
                                  const char *name) {
    if (!r->stored->namespaced) return NULL;
    if (!world->ns.exists) return status_not_found(arena, "", "namespaces", r->ns);
    if (!world->ns.is_terminating) return NULL;
    const char *why = arena_printf(arena,
                                   "unable to create new content in namespace %s because it is "
                                   "being terminated",
                                   r->ns);
    Meta__Status *status = status_forbidden(arena, r->asked->group, r->asked->plural, name, why);
    Meta__StatusCause *cause = MSG_NEW(arena, Meta__StatusCause, meta__status_cause__descriptor);
    cause->reason = "NamespaceTerminating";
    cause->message = arena_printf(arena, "namespace %s is being terminated", r->ns);
    cause->field = "metadata.namespace";
    status->details->causes = ARENA_ARRAY(arena, Meta__StatusCause *, 1);
    status->details->causes[status->details->n_causes++] = cause;
    return status;
}

static const char *pod_node(const ProtobufCMessage *obj) {
    const Core__Pod *pod = (const Core__Pod *)obj;
    return pod->spec ? or_empty(pod->spec->nodename) : "";
}

static const char *pod_refusal(arena_t *arena, const request_t *r, const ProtobufCMessage *obj,
                               const ProtobufCMessage *old) {
    const char *node = r->who.node;
    if (old && streq(pod_node(old), node)) return NULL;
    if (old)
        return arena_printf(arena, "node \"%s\" can only %s pods with spec.nodeName set to itself",
                            node, obj ? "update" : "delete");
    if (!object_annotation(obj, MIRROR_ANNOTATION))
        return arena_printf(arena,
                            "pod does not have \"" MIRROR_ANNOTATION "\" annotation, node \"%s\" "
                            "can only create mirror pods",
                            node);
    if (!streq(pod_node(obj), node))
        return arena_printf(arena,
                            "node \"%s\" can only create pods with spec.nodeName set to itself",
                            node);
    return NULL;
}

Meta__Status *admission_validate(arena_t *arena, const request_t *r, const ProtobufCMessage *obj,
                                 const ProtobufCMessage *old) {
    if (!streq(r->who.role, "kubelet")) return NULL;
    const ProtobufCMessageDescriptor *type = r->stored->type;
    const char *why = NULL;
    if (type == &core__pod__descriptor) why = pod_refusal(arena, r, obj, old);
    bool by_name = type == &core__node__descriptor || type == &coordination__lease__descriptor;
    if (by_name && !streq(r->name, r->who.node))
        why = arena_printf(arena, "node \"%s\" is not allowed to modify %s \"%s\"", r->who.node,
                           r->stored->singular, r->name);
    return why ? status_forbidden(arena, r->asked->group, r->asked->plural, r->name, why) : NULL;
}
