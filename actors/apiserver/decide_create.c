// Create: POST of an object, apply of one that is not there, PUT of one where the kind allows it.
#include "actors/apiserver/admission.h"
#include "actors/apiserver/decide.h"

// RFC 4122, version 4, from the request's dice.
static const char *uuid(deciding_t *d) {
    uint64_t a = rng_next(&d->rng), b = rng_next(&d->rng);
    return arena_printf(d->arena, "%08x-%04x-4%03x-%04x-%012llx", (unsigned)(a >> 32),
                        (unsigned)(a >> 16) & 0xffff, (unsigned)a & 0xfff,
                        (unsigned)(b >> 48 & 0x3fff) | 0x8000,
                        (unsigned long long)(b & 0xffffffffffff));
}

// What the server alone says about a new object.
static void fill_system_fields(deciding_t *d, ProtobufCMessage *obj) {
    Meta__ObjectMeta *meta = object_meta(d->arena, obj);
    meta->name = d->r->name;
    meta->namespace_ = d->r->stored->namespaced ? d->r->ns : NULL;
    meta->uid = uuid(d);
    meta->creationtimestamp = time_new(d->arena, d->world->now_wall_ms / 1000 * 1000);
    meta->deletiontimestamp = NULL;
    meta->has_deletiongraceperiodseconds = false;
    meta->deletiongraceperiodseconds = 0;
    meta->selflink = NULL;
    meta->n_managedfields = 0;
    meta->has_generation = false;
    meta->generation = 0;
}

// False: refused.
static bool check_metadata(deciding_t *d, const ProtobufCMessage *obj) {
    const Meta__ObjectMeta *meta = object_meta_read(obj);
    if (!is_empty(meta->resourceversion)) {
        decide_fail(d, status_new(d->arena, 500, "",
                                  "resourceVersion should not be set on objects to be created"));
        return false;
    }
    if (d->r->stored->namespaced && !is_empty(meta->namespace_) &&
        !streq(meta->namespace_, d->r->ns)) {
        decide_fail(d, status_bad_request(d->arena,
                                          "the namespace of the provided object does not match "
                                          "the namespace sent on the request"));
        return false;
    }
    return true;
}

static bool check_free(deciding_t *d) {
    if (!d->present->exists) return true;
    const request_t *r = d->r;
    Meta__Status *status =
        status_already_exists(d->arena, r->asked->group, r->asked->plural, r->name);
    if (object_meta_read(d->present->obj)->deletiontimestamp)
        status->message = arena_printf(d->arena, "object is being deleted: %s", status->message);
    decide_fail(d, status);
    return false;
}

static bool check(deciding_t *d, Meta__Status *status) {
    if (status) decide_fail(d, status);
    return !status;
}

void decide_create_object(deciding_t *d, ProtobufCMessage *obj) {
    const request_t *r = d->r;
    const kind_t *k = r->stored;
    if (!check_metadata(d, obj)) return;
    obj = decide_to_stored(d, obj);
    if (!check(d, admission_namespace(d->arena, r, d->world, r->name))) return;
    admission_mutate(d->arena, d->world, obj);
    if (k->defaults) k->defaults(d->arena, obj);
    fill_system_fields(d, obj);
    if (k->prepare_create) k->prepare_create(d->arena, obj);
    if (!decide_validate(d, obj, NULL, false)) return;
    if (!check(d, admission_validate(d->arena, r, obj, NULL))) return;
    alloc_plan_t allocs = {0};
    if (decide_is_service(d) && !decide_allocate(d, obj, NULL, &allocs)) return;
    if (!check_free(d)) return;
    decide_put(d, obj, API__OUTCOME__CREATED, &allocs);
}

void decide_create(deciding_t *d) {
    ProtobufCMessage *obj = d->r->made;
    if (!obj) obj = decide_unpack(d, d->r->asked, d->r->create->object);
    if (obj) decide_create_object(d, obj);
}
