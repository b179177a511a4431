// betas - the old versions of Deployment and ReplicaSet and their way to apps/v1 and back.
//
// Every field that both versions have bears the same number in both (a test holds the schemas to
// it), so packing as one and unpacking as the other is the conversion. What is left: rollbackTo
// exists only in the betas; apps/v1 keeps it as an annotation, as Kubernetes does.
#include "k8s/apps_v1.pb-c.h"
#include "k8s/apps_v1beta1.pb-c.h"
#include "k8s/apps_v1beta2.pb-c.h"
#include "k8s/extensions_v1beta1.pb-c.h"
#include "runtime/api/kinds/rows.h"

#define ROLLBACK_ANNOTATION "deprecated.deployment.rollback.to"

static void *repack(arena_t *arena, const ProtobufCMessage *obj,
                    const ProtobufCMessageDescriptor *type) {
    void *converted = msg_unpack_own(arena, type, msg_pack(arena, obj));
    assert(converted || arena->hit_limit);
    return converted;
}

// ---- rollbackTo ---------------------------------------------------------------------------------
static void rollback_to_annotation(arena_t *arena, ProtobufCMessage *obj, int64_t revision) {
    object_set_annotation(arena, obj, ROLLBACK_ANNOTATION,
                          arena_printf(arena, "%lld", (long long)revision));
}

// false: there is none, or it is no number.
static bool rollback_from_annotation(const ProtobufCMessage *obj, int64_t *ret_revision) {
    const char *text = object_annotation(obj, ROLLBACK_ANNOTATION);
    if (is_empty(text)) return false;
    char *end;
    *ret_revision = strtoll(text, &end, 10);
    return !*end;
}

// ---- extensions/v1beta1 -------------------------------------------------------------------------
ProtobufCMessage *deployment_extensions_to_stored(arena_t *arena, const ProtobufCMessage *obj) {
    ExtensionsV1beta1__Deployment old = *(const ExtensionsV1beta1__Deployment *)obj;
    ExtensionsV1beta1__DeploymentSpec spec;
    const ExtensionsV1beta1__RollbackConfig *rollback = old.spec ? old.spec->rollbackto : NULL;
    if (rollback) {
        spec = *old.spec;
        spec.rollbackto = NULL;
        old.spec = &spec;
    }
    ProtobufCMessage *now = repack(arena, &old.base, &apps__deployment__descriptor);
    if (now && rollback) rollback_to_annotation(arena, now, rollback->revision);
    return now;
}

ProtobufCMessage *deployment_extensions_from_stored(arena_t *arena, const ProtobufCMessage *obj) {
    ExtensionsV1beta1__Deployment *old =
        repack(arena, obj, &extensions_v1beta1__deployment__descriptor);
    int64_t revision;
    if (!old || !old->spec || !rollback_from_annotation(obj, &revision)) return &old->base;
    ExtensionsV1beta1__RollbackConfig *rollback =
        MSG_NEW(arena, ExtensionsV1beta1__RollbackConfig,
                extensions_v1beta1__rollback_config__descriptor);
    rollback->has_revision = true;
    rollback->revision = revision;
    old->spec->rollbackto = rollback;
    object_set_annotation(arena, &old->base, ROLLBACK_ANNOTATION, NULL);
    return &old->base;
}

ProtobufCMessage *replicaset_extensions_to_stored(arena_t *arena, const ProtobufCMessage *obj) {
    return repack(arena, obj, &apps__replica_set__descriptor);
}

ProtobufCMessage *replicaset_extensions_from_stored(arena_t *arena, const ProtobufCMessage *obj) {
    return repack(arena, obj, &extensions_v1beta1__replica_set__descriptor);
}

// ---- apps/v1beta1 -------------------------------------------------------------------------------
// But for its name the same as the version before it.
ProtobufCMessage *deployment_v1beta1_to_stored(arena_t *arena, const ProtobufCMessage *obj) {
    ProtobufCMessage *older = repack(arena, obj, &extensions_v1beta1__deployment__descriptor);
    return older ? deployment_extensions_to_stored(arena, older) : NULL;
}

ProtobufCMessage *deployment_v1beta1_from_stored(arena_t *arena, const ProtobufCMessage *obj) {
    ProtobufCMessage *older = deployment_extensions_from_stored(arena, obj);
    return older ? repack(arena, older, &apps_v1beta1__deployment__descriptor) : NULL;
}

// ---- apps/v1beta2 -------------------------------------------------------------------------------
ProtobufCMessage *deployment_v1beta2_to_stored(arena_t *arena, const ProtobufCMessage *obj) {
    return repack(arena, obj, &apps__deployment__descriptor);
}

ProtobufCMessage *deployment_v1beta2_from_stored(arena_t *arena, const ProtobufCMessage *obj) {
    return repack(arena, obj, &apps_v1beta2__deployment__descriptor);
}

ProtobufCMessage *replicaset_v1beta2_to_stored(arena_t *arena, const ProtobufCMessage *obj) {
    return repack(arena, obj, &apps__replica_set__descriptor);
}

ProtobufCMessage *replicaset_v1beta2_from_stored(arena_t *arena, const ProtobufCMessage *obj) {
    return repack(arena, obj, &apps_v1beta2__replica_set__descriptor);
}
