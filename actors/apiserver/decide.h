// decide - what the verbs share while they decide. Private to request.c and decide_*.c.
#pragma once
#include "actors/apiserver/keys.h"
#include "actors/apiserver/request.h"

typedef struct {
    arena_t *arena;
    const request_t *r;
    const present_t *present;
    const world_t *world;
    rng_t rng;
    decision_t *out;
} deciding_t;

// ---- the verbs: each fills d->out ---------------------------------------------------------------
void decide_create(deciding_t *d);
void decide_create_object(deciding_t *d,
                          ProtobufCMessage *obj); // asked version; also from PUT and apply
void decide_update(deciding_t *d);
void decide_patch(deciding_t *d);
void decide_delete(deciding_t *d);
void decide_bind(deciding_t *d);
void decide_evict(deciding_t *d);

// ---- outcomes -----------------------------------------------------------------------------------
void decide_fail(deciding_t *d, Meta__Status *status);
void decide_fail_err(deciding_t *d, err_t err, const char *why);
void decide_reply(deciding_t *d, ProtobufCMessage *obj, Api__Outcome outcome);
void decide_not_found(deciding_t *d);
// Write `obj` over the present state (or where there is none), or remove it; taking and giving back
// addresses. A dry run replies instead.
void decide_put(deciding_t *d, ProtobufCMessage *obj, Api__Outcome outcome,
                const alloc_plan_t *allocs);
void decide_remove(deciding_t *d, ProtobufCMessage *obj);

// ---- steps
// ------------------------------------------------------------------------------------------ The
// body of the kind, scanned and unpacked; NULL: refused.
ProtobufCMessage *decide_unpack(deciding_t *d, const kind_t *k, ProtobufCBinaryData body);
// Defaults of the asked version, conversion, defaults of the stored one.
ProtobufCMessage *decide_to_stored(deciding_t *d, ProtobufCMessage *asked);
// False: refused, with all causes.
bool decide_validate(deciding_t *d, ProtobufCMessage *obj, const ProtobufCMessage *old,
                     bool is_status);
// Addresses of a service; false: refused.
bool decide_allocate(deciding_t *d, ProtobufCMessage *obj, const ProtobufCMessage *old,
                     alloc_plan_t *ret_plan);
bool decide_is_service(const deciding_t *d);
void decide_set_deletion(deciding_t *d, ProtobufCMessage *obj, int64_t grace_s);

// ---- messages by reflection
// ------------------------------------------------------------------------- Where field `name` (a
// message) of `obj` is; NULL: it has none.
ProtobufCMessage **object_slot(ProtobufCMessage *obj, const char *name);
// A copy of the topmost struct only; the parts are shared.
void *object_shallow(arena_t *arena, const ProtobufCMessage *obj);

// ---- scale --------------------------------------------------------------------------------------
bool scale_is_for(const kind_t *stored);
ProtobufCMessage *scale_of(arena_t *arena, const ProtobufCMessage *obj);
void scale_set(arena_t *arena, ProtobufCMessage *obj, int32_t replicas);
