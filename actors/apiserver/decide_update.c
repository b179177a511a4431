// Update and patch: of an object, of its status, of its scale, of a namespace's finalizers.
#include "actors/apiserver/admission.h"
#include "actors/apiserver/decide.h"
#include "k8s/apps_v1.pb-c.h"
#include "k8s/autoscaling_v1.pb-c.h"
#include "runtime/api/patch.h"
#include "runtime/api/selector.h"

// ---- preconditions ------------------------------------------------------------------------------
static void conflict(deciding_t *d, const char *cause) {
    decide_fail(d, status_conflict(d->arena, d->r->asked->group, d->r->asked->plural, d->r->name,
                                   cause));
}

static void refuse_unconditional(deciding_t *d) {
    field_errors_t errors = {.arena = d->arena};
    field_invalid_raw(&errors, "metadata.resourceVersion", "0x0",
                      "must be specified for an update");
    decide_fail(d, status_invalid(d->arena, d->r->asked->group, d->r->asked->plural, d->r->name,
                                  &errors));
}

static void refuse_revision(deciding_t *d, const char *text) {
    field_errors_t errors = {.arena = d->arena};
    const char *detail =
        arena_printf(d->arena, "strconv.ParseUint: parsing \"%s\": invalid syntax", text);
    field_invalid_str(&errors, "metadata.resourceVersion", text, detail);
    decide_fail(d, status_invalid(d->arena, d->r->asked->group, d->r->stored->name, d->r->name,
                                  &errors));
}

// Does what the client says about the object's identity hold? False: refused.
static bool check_preconditions(deciding_t *d, const Meta__ObjectMeta *meta) {
    const Meta__ObjectMeta *old = object_meta_read(d->present->obj);
    int64_t revision;
    if (revision_parse(meta->resourceversion, &revision)) {
        refuse_revision(d, meta->resourceversion);
        return false;
    }
    if (!revision && !(d->r->stored->strategy & STRATEGY_UNCONDITIONAL_UPDATE)) {
        refuse_unconditional(d);
        return false;
    }
    if (!is_empty(meta->uid) && !streq(meta->uid, or_empty(old->uid))) {
        const char *key = keys_object(d->arena, d->r->stored, d->r->ns, d->r->name);
        conflict(d,
                 arena_printf(d->arena,
                              "StorageError: invalid object, Code: 4, Key: %s, ResourceVersion: 0, "
                              "AdditionalErrorMsg: Precondition failed: UID in precondition: %s, "
                              "UID in object meta: %s",
                              key, meta->uid, or_empty(old->uid)));
        return false;
    }
    if (revision && revision != d->present->revision) {
        conflict(d, NULL);
        return false;
    }
    return true;
}

static bool check_names(deciding_t *d, const Meta__ObjectMeta *meta) {
    const request_t *r = d->r;
    if (!streq(or_empty(meta->name), r->name)) {
        decide_fail(d, status_bad_request(d->arena,
                                          arena_printf(d->arena,
                                                       "the name of the object (%s) does not "
                                                       "match the name on the URL (%s)",
                                                       or_empty(meta->name), r->name)));
        return false;
    }
    if (r->stored->namespaced && !is_empty(meta->namespace_) && !streq(meta->namespace_, r->ns)) {
        decide_fail(d,
                    status_bad_request(d->arena,
                                       arena_printf(d->arena,
                                                    "the namespace of the object (%s) does "
                                                    "not match the namespace on the request (%s)",
                                                    meta->namespace_, r->ns)));
        return false;
    }
    return true;
}

// ---- what stays as it was -----------------------------------------------------------------------
static void keep_system_fields(deciding_t *d, ProtobufCMessage *obj) {
    const Meta__ObjectMeta *old = object_meta_read(d->present->obj);
    Meta__ObjectMeta *meta = object_meta(d->arena, obj);
    meta->name = old->name;
    meta->namespace_ = old->namespace_;
    meta->generatename = old->generatename;
    meta->uid = old->uid;
    meta->resourceversion = old->resourceversion;
    meta->creationtimestamp = old->creationtimestamp;
    meta->deletiontimestamp = old->deletiontimestamp;
    meta->has_deletiongraceperiodseconds = old->has_deletiongraceperiodseconds;
    meta->deletiongraceperiodseconds = old->deletiongraceperiodseconds;
    meta->has_generation = old->has_generation;
    meta->generation = old->generation;
    meta->selflink = NULL;
    meta->n_managedfields = 0;
}

static bool is_kind(const deciding_t *d, const ProtobufCMessageDescriptor *type) {
    return d->r->stored->type == type;
}

// An update that takes the last finalizer of an object that waits for it is its deletion.
static bool is_end_of_deletion(deciding_t *d, const ProtobufCMessage *obj) {
    const Meta__ObjectMeta *meta = object_meta_read(obj);
    if (!meta->deletiontimestamp || meta->n_finalizers > 0) return false;
    if (is_kind(d, &core__namespace__descriptor)) {
        const Core__Namespace *ns = (const Core__Namespace *)obj;
        return !ns->spec || ns->spec->n_finalizers == 0;
    }
    return !meta->deletiongraceperiodseconds;
}

// ---- the new state ------------------------------------------------------------------------------
static void finish(deciding_t *d, ProtobufCMessage *obj) {
    const ProtobufCMessage *old = d->present->obj;
    if (is_end_of_deletion(d, obj) && !is_end_of_deletion(d, old)) {
        decide_remove(d, obj);
        return;
    }
    if (msg_equal(obj, old)) {
        decide_reply(d, d->present->obj, API__OUTCOME__UNCHANGED);
        return;
    }
    alloc_plan_t allocs = {0};
    if (decide_is_service(d) && !decide_allocate(d, obj, old, &allocs)) return;
    decide_put(d, obj, API__OUTCOME__CONFIGURED, &allocs);
}

static bool admit(deciding_t *d, ProtobufCMessage *obj) {
    Meta__Status *status = admission_validate(d->arena, d->r, obj, d->present->obj);
    if (status) decide_fail(d, status);
    return !status;
}

static void update_main(deciding_t *d, ProtobufCMessage *obj) {
    const kind_t *k = d->r->stored;
    ProtobufCMessage *old = d->present->obj;
    keep_system_fields(d, obj);
    admission_mutate(d->arena, d->world, obj);
    if (k->defaults) k->defaults(d->arena, obj);
    if (k->prepare_update) k->prepare_update(d->arena, obj, old);
    if (!decide_validate(d, obj, old, false) || !admit(d, obj)) return;
    finish(d, obj);
}

static void update_status(deciding_t *d, ProtobufCMessage *obj) {
    const kind_t *k = d->r->stored;
    assert(k->prepare_status); // every kind with a status subresource has it
    keep_system_fields(d, obj);
    k->prepare_status(d->arena, obj, d->present->obj);
    if (!decide_validate(d, obj, d->present->obj, true) || !admit(d, obj)) return;
    finish(d, obj);
}

static void update_finalize(deciding_t *d, ProtobufCMessage *wanted) {
    ProtobufCMessage *obj = object_shallow(d->arena, d->present->obj);
    *object_slot(obj, "spec") = *object_slot(wanted, "spec");
    finish(d, obj);
}

// `wanted`: the asked version, as the client sent it or as a patch made it.
static void update_to(deciding_t *d, ProtobufCMessage *wanted) {
    if (!check_preconditions(d, object_meta_read(wanted))) return;
    ProtobufCMessage *obj = decide_to_stored(d, wanted);
    if (streq(d->r->sub, "status"))
        update_status(d, obj);
    else if (streq(d->r->sub, "finalize"))
        update_finalize(d, obj);
    else
        update_main(d, obj);
}

// ---- scale --------------------------------------------------------------------------------------
bool scale_is_for(const kind_t *stored) {
    return stored->type == &apps__deployment__descriptor ||
           stored->type == &apps__replica_set__descriptor;
}

ProtobufCMessage *scale_of(arena_t *arena, const ProtobufCMessage *obj) {
    const Meta__ObjectMeta *meta = object_meta_read(obj);
    Autoscaling__Scale *scale = MSG_NEW(arena, Autoscaling__Scale, autoscaling__scale__descriptor);
    scale->metadata = MSG_NEW(arena, Meta__ObjectMeta, meta__object_meta__descriptor);
    scale->metadata->name = meta->name;
    scale->metadata->namespace_ = meta->namespace_;
    scale->metadata->uid = meta->uid;
    scale->metadata->resourceversion = meta->resourceversion;
    scale->metadata->creationtimestamp = meta->creationtimestamp;
    scale->spec = MSG_NEW(arena, Autoscaling__ScaleSpec, autoscaling__scale_spec__descriptor);
    scale->status = MSG_NEW(arena, Autoscaling__ScaleStatus, autoscaling__scale_status__descriptor);
    scale->spec->has_replicas = scale->status->has_replicas = true;
    const Meta__LabelSelector *selector = NULL;
    if (obj->descriptor == &apps__deployment__descriptor) {
        const Apps__Deployment *one = (const Apps__Deployment *)obj;
        scale->spec->replicas = one->spec ? one->spec->replicas : 0;
        scale->status->replicas = one->status ? one->status->replicas : 0;
        selector = one->spec ? one->spec->selector : NULL;
    } else {
        const Apps__ReplicaSet *one = (const Apps__ReplicaSet *)obj;
        scale->spec->replicas = one->spec ? one->spec->replicas : 0;
        scale->status->replicas = one->status ? one->status->replicas : 0;
        selector = one->spec ? one->spec->selector : NULL;
    }
    scale->status->selector = selector ? selector_text(arena, selector) : NULL;
    return &scale->base;
}

void scale_set(arena_t *arena, ProtobufCMessage *obj, int32_t replicas) {
    if (obj->descriptor == &apps__deployment__descriptor) {
        Apps__Deployment *one = (Apps__Deployment *)obj;
        if (!one->spec)
            one->spec = MSG_NEW(arena, Apps__DeploymentSpec, apps__deployment_spec__descriptor);
        one->spec->has_replicas = true;
        one->spec->replicas = replicas;
    } else {
        Apps__ReplicaSet *one = (Apps__ReplicaSet *)obj;
        if (!one->spec)
            one->spec = MSG_NEW(arena, Apps__ReplicaSetSpec, apps__replica_set_spec__descriptor);
        one->spec->has_replicas = true;
        one->spec->replicas = replicas;
    }
}

static void update_scale(deciding_t *d, const Autoscaling__Scale *scale) {
    if (!check_preconditions(d, object_meta_read(&scale->base))) return;
    int32_t replicas = scale->spec ? scale->spec->replicas : 0;
    if (replicas < 0) {
        field_errors_t errors = {.arena = d->arena};
        field_invalid_int(&errors, "spec.replicas", replicas, "must be greater than or equal to 0");
        decide_fail(d, status_invalid(d->arena, "autoscaling", "Scale", d->r->name, &errors));
        return;
    }
    ProtobufCMessage *obj = msg_dup(d->arena, d->present->obj);
    scale_set(d->arena, obj, replicas);
    d->r->stored->prepare_update(d->arena, obj, d->present->obj);
    if (decide_validate(d, obj, d->present->obj, false)) finish(d, obj);
}

// ---- the verbs ----------------------------------------------------------------------------------
void decide_update(deciding_t *d) {
    const request_t *r = d->r;
    bool is_scale = streq(r->sub, "scale");
    const kind_t *k = is_scale ? kind_find("autoscaling", "v1", "Scale") : r->asked;
    ProtobufCMessage *wanted = decide_unpack(d, k, r->update->object);
    if (!wanted || !check_names(d, object_meta_read(wanted))) return;
    if (d->present->exists && is_scale) {
        update_scale(d, (Autoscaling__Scale *)wanted);
    } else if (d->present->exists) {
        update_to(d, wanted);
    } else if (!*r->sub && (r->stored->strategy & STRATEGY_CREATE_ON_UPDATE)) {
        // A revision names an object that was there: it is gone.
        if (is_empty(object_meta_read(wanted)->resourceversion))
            decide_create_object(d, wanted);
        else
            decide_not_found(d);
    } else {
        decide_not_found(d);
    }
}

static err_t patched(deciding_t *d, const kind_t *k, ProtobufCMessage *base, ProtobufCMessage **ret,
                     why_t *why) {
    const Api__Patch *patch = d->r->patch;
    bytes_t json = {patch->patch.data, patch->patch.len};
    switch (patch->type) {
    case API__PATCH__TYPE__JSON: return patch_json(d->arena, k, base, json, ret, why);
    case API__PATCH__TYPE__MERGE: return patch_merge(d->arena, k, base, json, ret, why);
    case API__PATCH__TYPE__STRATEGIC: return patch_strategic(d->arena, k, base, json, ret, why);
    case API__PATCH__TYPE__APPLY: {
        const char *last = object_annotation(base, LAST_APPLIED_ANNOTATION);
        return patch_apply(d->arena, k, base, bytes_of_str(or_empty(last)), json, ret, why);
    }
    default: return why_set(why, ERR_UNSUPPORTED, "unknown type of patch");
    }
}

static void fail_patch(deciding_t *d, err_t err, const char *why) {
    if (err != ERR_INVALID) {
        decide_fail_err(d, err == ERR_MALFORMED ? ERR_BAD_REQUEST : err, why);
        return;
    }
    decide_fail(d, status_new(d->arena, 422, "Invalid", why));
}

// Apply of what is not there: the manifest over nothing, under the asked name.
static void apply_new(deciding_t *d) {
    why_t why;
    ProtobufCMessage *obj;
    err_t err = patched(d, d->r->asked, msg_new(d->arena, d->r->asked->type), &obj, &why);
    if (err) {
        fail_patch(d, err, why.text);
        return;
    }
    const Meta__ObjectMeta *meta = object_meta_read(obj);
    if (!is_empty(meta->uid)) {
        conflict(d,
                 arena_printf(d->arena,
                              "uid mismatch: the provided object specified uid %s, and no existing "
                              "object was found",
                              meta->uid));
        return;
    }
    if (check_names(d, meta)) decide_create_object(d, obj);
}

void decide_patch(deciding_t *d) {
    const request_t *r = d->r;
    if (!d->present->exists) {
        if (r->patch->type == API__PATCH__TYPE__APPLY && !*r->sub)
            apply_new(d);
        else
            decide_not_found(d);
        return;
    }
    if (r->patch->expected_revision && r->patch->expected_revision != d->present->revision) {
        conflict(d, NULL);
        return;
    }
    const kind_t *k;
    const ProtobufCMessage *base = request_answer(d->arena, r, d->present->obj, &k);
    why_t why;
    ProtobufCMessage *wanted;
    err_t err = patched(d, k, (ProtobufCMessage *)base, &wanted, &why);
    if (err) {
        fail_patch(d, err, why.text);
        return;
    }
    if (!check_names(d, object_meta_read(wanted))) return;
    if (streq(r->sub, "scale"))
        update_scale(d, (Autoscaling__Scale *)wanted);
    else
        update_to(d, wanted);
}
