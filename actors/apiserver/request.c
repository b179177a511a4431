#include "actors/apiserver/admission.h"
#include "actors/apiserver/decide.h"
#include "k8s/autoscaling_v1.pb-c.h"
#include "k8s/policy_v1.pb-c.h"
#include <stddef.h>

// ---- what is asked ------------------------------------------------------------------------------
// Version "": the first version of the group that has it.
static const kind_t *find_kind(const Api__Resource *resource) {
    if (!is_empty(resource->version))
        return kind_by_plural(or_empty(resource->group), resource->version,
                              or_empty(resource->plural));
    const kind_t *k;
    for (size_t i = 0; (k = kind_at(i)); i++)
        if (streq(k->plural, or_empty(resource->plural)) &&
            streq(k->group, or_empty(resource->group)))
            return k;
    return NULL;
}

static bool has_verb(const kind_t *k, const char *verb) {
    size_t len = strlen(verb);
    for (const char *at = k->verbs; at; at = strchr(at, ' ')) {
        at += *at == ' ';
        if (strncmp(at, verb, len) == 0 && (at[len] == ' ' || !at[len])) return true;
    }
    return false;
}

// Which subresources take which verbs.
static const struct {
    const char *sub, *verbs;
} subresources[] = {
    {"status", "get update patch"}, {"scale", "get update patch"}, {"binding", "create"},
    {"eviction", "create"},         {"finalize", "update"},
};

static bool has_subresource(const kind_t *stored, const char *sub) {
    if (streq(sub, "status")) return stored->strategy & STRATEGY_HAS_STATUS;
    if (streq(sub, "scale")) return scale_is_for(stored);
    if (streq(sub, "finalize")) return stored->type == &core__namespace__descriptor;
    return (streq(sub, "binding") || streq(sub, "eviction")) &&
           stored->type == &core__pod__descriptor;
}

static Meta__Status *not_allowed(arena_t *arena, const kind_t *k, const char *verb) {
    const char *text = arena_printf(arena, "%s is not supported on resources of kind \"%s\"", verb,
                                    kind_qualified_plural(arena, k));
    return status_new(arena, 405, "MethodNotAllowed", text);
}

static Meta__Status *check_verb(arena_t *arena, const kind_t *k, const char *sub,
                                const char *verb) {
    if (!*sub) return has_verb(k, verb) ? NULL : not_allowed(arena, k, verb);
    for (size_t i = 0; i < LENGTH_OF(subresources); i++) {
        if (!streq(subresources[i].sub, sub) || !has_subresource(kind_stored(k), sub)) continue;
        const kind_t asked = {.verbs = subresources[i].verbs};
        return has_verb(&asked, verb) ? NULL : not_allowed(arena, k, verb);
    }
    return status_new(arena, 404, "NotFound", "the server could not find the requested resource");
}

Meta__Status *request_resource(arena_t *arena, const Api__Resource *resource, const char *verb,
                               const identity_t *who, const kind_t **ret_kind) {
    const kind_t *k = resource ? find_kind(resource) : NULL;
    if (!k)
        return status_new(arena, 404, "NotFound",
                          "the server could not find the requested resource");
    const char *sub = or_empty(resource->subresource);
    access_t access = {
        verb, k->group, k->plural, sub, k->namespaced ? resource->namespace_ : "", resource->name};
    if (!rights_allow(who, &access))
        return status_forbidden(arena, k->group, k->plural, resource->name,
                                rights_refusal(arena, who, &access));
    Meta__Status *status = check_verb(arena, k, sub, verb);
    if (!status) *ret_kind = k;
    return status;
}

static const struct {
    const ProtobufCMessageDescriptor *type;
    size_t resource_at;
    verb_t verb;
    const char *name;
} verbs[] = {
    {&api__get__descriptor, offsetof(Api__Get, resource), VERB_GET, "get"},
    {&api__create__descriptor, offsetof(Api__Create, resource), VERB_CREATE, "create"},
    {&api__update__descriptor, offsetof(Api__Update, resource), VERB_UPDATE, "update"},
    {&api__patch__descriptor, offsetof(Api__Patch, resource), VERB_PATCH, "patch"},
    {&api__delete__descriptor, offsetof(Api__Delete, resource), VERB_DELETE, "delete"},
};

static bool is_dry_run(const request_t *r) {
    switch (r->verb) {
    case VERB_GET: return false;
    case VERB_CREATE: return r->create->dry_run;
    case VERB_UPDATE: return r->update->dry_run;
    case VERB_PATCH: return r->patch->dry_run;
    case VERB_DELETE: return r->delete_->dry_run;
    }
    return false;
}

Meta__Status *request_read(arena_t *arena, const ProtobufCMessage *body, const identity_t *who,
                           request_t *ret) {
    size_t v = 0;
    while (v < LENGTH_OF(verbs) && verbs[v].type != body->descriptor) v++;
    assert(v < LENGTH_OF(verbs));
    const Api__Resource *resource =
        *(Api__Resource *const *)((const char *)body + verbs[v].resource_at);
    const kind_t *k;
    Meta__Status *status = request_resource(arena, resource, verbs[v].name, who, &k);
    if (status) return status;
    request_t r = {.verb = verbs[v].verb, .asked = k, .stored = kind_stored(k), .who = *who};
    r.create = (const Api__Create *)body;
    r.ns = k->namespaced ? or_empty(resource->namespace_) : "";
    r.name = or_empty(resource->name);
    r.sub = or_empty(resource->subresource);
    r.dry_run = is_dry_run(&r);
    bool is_plain_create = r.verb == VERB_CREATE && !*r.sub;
    if (k->namespaced && !*r.ns)
        return status_bad_request(
            arena, "an empty namespace may not be set when a resource name is provided");
    if (!is_plain_create && !*r.name) return status_bad_request(arena, "name must be provided");
    *ret = r;
    return NULL;
}

bool request_needs_namespace(const request_t *r) {
    return r->stored->namespaced && !*r->sub && r->verb != VERB_GET && r->verb != VERB_DELETE;
}

// ---- names --------------------------------------------------------------------------------------
// As Kubernetes' name generator: 5 of these behind the base, which is cut to make room.
static const char *generate_name(arena_t *arena, const char *base, uint64_t dice) {
    static const char letters[] = "bcdfghjklmnpqrstvwxz2456789";
    enum { NAME_MAX_BYTES = 63, SUFFIX = 5 };
    rng_t rng;
    rng_init(&rng, dice);
    char suffix[SUFFIX + 1] = {0};
    for (int i = 0; i < SUFFIX; i++) suffix[i] = letters[rng_below(&rng, sizeof letters - 1)];
    return arena_printf(arena, "%.*s%s", NAME_MAX_BYTES - SUFFIX, base, suffix);
}

Meta__Status *request_name(arena_t *arena, request_t *r) {
    if (r->verb != VERB_CREATE || *r->sub) return NULL;
    decision_t decision = {0};
    deciding_t d = {.arena = arena, .r = r, .out = &decision};
    r->made = decide_unpack(&d, r->asked, r->create->object);
    if (!r->made) return decision.status;
    const Meta__ObjectMeta *meta = object_meta_read(r->made);
    if (!is_empty(meta->name))
        r->name = meta->name;
    else if (!is_empty(meta->generatename))
        r->name = generate_name(arena, meta->generatename, r->seed + r->attempt);
    return NULL;
}

// ---- messages by reflection ---------------------------------------------------------------------
ProtobufCMessage **object_slot(ProtobufCMessage *obj, const char *name) {
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(obj->descriptor, name);
    if (!field || field->type != PROTOBUF_C_TYPE_MESSAGE ||
        field->label == PROTOBUF_C_LABEL_REPEATED)
        return NULL;
    return (ProtobufCMessage **)((char *)obj + field->offset);
}

void *object_shallow(arena_t *arena, const ProtobufCMessage *obj) {
    return arena_dup(arena, obj, obj->descriptor->sizeof_message);
}

// ---- steps --------------------------------------------------------------------------------------
ProtobufCMessage *decide_unpack(deciding_t *d, const kind_t *k, ProtobufCBinaryData body) {
    why_t why;
    void *obj;
    if (body.len > OBJECT_MAX_BYTES) {
        decide_fail(d, status_new(d->arena, 413, "RequestEntityTooLarge",
                                  arena_printf(d->arena, "Request entity too large: limit is %d",
                                               OBJECT_MAX_BYTES)));
        return NULL;
    }
    err_t err = msg_unpack(d->arena, k->type, (bytes_t){body.data, body.len}, &obj, &why);
    if (!err) return obj;
    decide_fail(d, status_bad_request(
                       d->arena,
                       arena_printf(d->arena, "%s in version \"%s\" cannot be handled as a %s: %s",
                                    k->name, k->version, k->name, why.text)));
    return NULL;
}

ProtobufCMessage *decide_to_stored(deciding_t *d, ProtobufCMessage *asked) {
    const request_t *r = d->r;
    if (r->asked->defaults) r->asked->defaults(d->arena, asked);
    if (r->asked == r->stored) return asked;
    ProtobufCMessage *obj = r->asked->to_stored(d->arena, asked);
    if (r->stored->defaults) r->stored->defaults(d->arena, obj);
    return obj;
}

bool decide_validate(deciding_t *d, ProtobufCMessage *obj, const ProtobufCMessage *old,
                     bool is_status) {
    field_errors_t errors = {.arena = d->arena};
    const kind_t *k = d->r->stored;
    if (is_status && k->validate_status)
        k->validate_status(obj, old, &errors);
    else if (!is_status && k->validate)
        k->validate(obj, old, &errors);
    if (errors.len == 0) return true;
    decide_fail(d, status_invalid(d->arena, d->r->asked->group, k->name,
                                  object_meta_read(obj)->name, &errors));
    return false;
}

bool decide_is_service(const deciding_t *d) {
    return d->r->stored->type == &core__service__descriptor;
}

bool decide_allocate(deciding_t *d, ProtobufCMessage *obj, const ProtobufCMessage *old,
                     alloc_plan_t *ret_plan) {
    field_errors_t errors = {.arena = d->arena};
    why_t why;
    err_t err =
        service_allocate(d->arena, &d->world->ranges, d->world->allocs, &d->rng,
                         (Core__Service *)obj, (const Core__Service *)old, &errors, ret_plan, &why);
    if (err) {
        decide_fail_err(d, err, why.text);
        return false;
    }
    if (errors.len == 0) return true;
    decide_fail(d, status_invalid(d->arena, d->r->asked->group, d->r->stored->name,
                                  object_meta_read(obj)->name, &errors));
    return false;
}

// ---- outcomes -----------------------------------------------------------------------------------
void decide_fail(deciding_t *d, Meta__Status *status) {
    *d->out = (decision_t){.kind = DECISION_FAIL, .status = status};
}

void decide_fail_err(deciding_t *d, err_t err, const char *why) {
    decide_fail(d, status_from_err(d->arena, err, why));
}

void decide_not_found(deciding_t *d) {
    decide_fail(d, status_not_found(d->arena, d->r->asked->group, d->r->asked->plural, d->r->name));
}

void decide_reply(deciding_t *d, ProtobufCMessage *obj, Api__Outcome outcome) {
    *d->out = (decision_t){
        .kind = DECISION_REPLY, .obj = obj, .revision = d->present->revision, .outcome = outcome};
}

// ---- transactions -------------------------------------------------------------------------------
static ProtobufCBinaryData binary(const char *text) {
    return (ProtobufCBinaryData){strlen(text), (uint8_t *)text};
}

typedef struct {
    arena_t *arena;
    Store__TxnRequest *txn;
    Store__Compare **compares;
    Store__Op **then, **otherwise;
} txn_builder_t;

static void txn_begin(arena_t *arena, size_t max, txn_builder_t *b) {
    b->arena = arena;
    b->txn = MSG_NEW(arena, Store__TxnRequest, store__txn_request__descriptor);
    b->compares = b->txn->compares = ARENA_ARRAY(arena, Store__Compare *, max);
    b->then = b->txn->then = ARENA_ARRAY(arena, Store__Op *, max);
    b->otherwise = b->txn->else_ = ARENA_ARRAY(arena, Store__Op *, max);
}

static void txn_expect(txn_builder_t *b, const char *key, Store__Compare__Target target,
                       int64_t number) {
    Store__Compare *c = MSG_NEW(b->arena, Store__Compare, store__compare__descriptor);
    c->key = binary(key);
    c->target = target;
    c->number = number;
    b->compares[b->txn->n_compares++] = c;
}

static void txn_put(txn_builder_t *b, const char *key, bytes_t value, int64_t lease) {
    Store__Op *op = MSG_NEW(b->arena, Store__Op, store__op__descriptor);
    op->op_case = STORE__OP__OP_PUT;
    op->put = MSG_NEW(b->arena, Store__PutOp, store__put_op__descriptor);
    op->put->key = binary(key);
    op->put->value = (ProtobufCBinaryData){value.len, (uint8_t *)value.at};
    op->put->lease = lease;
    b->then[b->txn->n_then++] = op;
}

static void txn_delete(txn_builder_t *b, const char *key) {
    Store__Op *op = MSG_NEW(b->arena, Store__Op, store__op__descriptor);
    op->op_case = STORE__OP__OP_DELETE;
    op->delete_ = MSG_NEW(b->arena, Store__DeleteOp, store__delete_op__descriptor);
    op->delete_->key = binary(key);
    b->then[b->txn->n_then++] = op;
}

// Lost: tell what stands there.
static void txn_else_read(txn_builder_t *b, const char *key) {
    Store__Op *op = MSG_NEW(b->arena, Store__Op, store__op__descriptor);
    op->op_case = STORE__OP__OP_RANGE;
    op->range = MSG_NEW(b->arena, Store__RangeRequest, store__range_request__descriptor);
    op->range->key = binary(key);
    b->otherwise[b->txn->n_else_++] = op;
}

// The compare and the read that every write begins with; and, when it creates, the namespace as it
// was judged: a namespace that begins to terminate meanwhile fails the compare.
static const char *txn_begin_write(deciding_t *d, ProtobufCMessage *obj, const alloc_plan_t *allocs,
                                   txn_builder_t *b) {
    size_t keys = allocs ? allocs->take_len + allocs->give_len : 0;
    txn_begin(d->arena, keys + 4, b);
    const char *key = keys_object(d->arena, d->r->stored, d->r->ns, object_meta_read(obj)->name);
    if (d->present->exists)
        txn_expect(b, key, STORE__COMPARE__TARGET__MOD, d->present->revision);
    else
        txn_expect(b, key, STORE__COMPARE__TARGET__VERSION, 0);
    txn_else_read(b, key);
    if (!d->present->exists && d->r->stored->namespaced) {
        const kind_t *namespaces = kind_find("", "v1", "Namespace");
        const char *ns = keys_object(d->arena, namespaces, "", d->r->ns);
        txn_expect(b, ns, STORE__COMPARE__TARGET__MOD, d->world->ns.revision);
        txn_else_read(b, ns);
    }
    const char *owner = keys_path(d->arena, d->r->stored, d->r->ns, object_meta_read(obj)->name);
    for (size_t i = 0; allocs && i < allocs->take_len; i++) {
        txn_expect(b, allocs->take[i], STORE__COMPARE__TARGET__VERSION, 0);
        txn_put(b, allocs->take[i], bytes_of_str(owner), 0);
        txn_else_read(b, allocs->take[i]);
    }
    for (size_t i = 0; allocs && i < allocs->give_len; i++) txn_delete(b, allocs->give[i]);
    return key;
}

static blob_t *stored_form(deciding_t *d, ProtobufCMessage *obj) {
    object_meta(d->arena, obj)->resourceversion = NULL;
    return object_encode_stored(obj);
}

void decide_put(deciding_t *d, ProtobufCMessage *obj, Api__Outcome outcome,
                const alloc_plan_t *allocs) {
    if (d->r->dry_run) {
        decide_reply(d, obj, outcome);
        return;
    }
    blob_t *value = stored_form(d, obj);
    if (value->len > OBJECT_MAX_BYTES) {
        blob_unref(&value);
        decide_fail_err(d, ERR_TOO_LARGE, arena_printf(d->arena, "limit is %d", OBJECT_MAX_BYTES));
        return;
    }
    txn_builder_t b;
    const char *key = txn_begin_write(d, obj, allocs, &b);
    bool expires = d->r->stored->type == &core__event__descriptor;
    txn_put(&b, key, blob_bytes(value), expires ? d->world->event_lease : 0);
    *d->out = (decision_t){
        .kind = DECISION_WRITE, .obj = obj, .outcome = outcome, .txn = b.txn, .value = value};
}

void decide_remove(deciding_t *d, ProtobufCMessage *obj) {
    if (d->r->dry_run) {
        decide_reply(d, obj, API__OUTCOME__DELETED);
        return;
    }
    alloc_plan_t allocs = {0};
    if (decide_is_service(d)) service_release(d->arena, (const Core__Service *)obj, &allocs);
    txn_builder_t b;
    const char *key = txn_begin_write(d, obj, &allocs, &b);
    txn_delete(&b, key);
    *d->out = (decision_t){.kind = DECISION_WRITE,
                           .obj = obj,
                           .outcome = API__OUTCOME__DELETED,
                           .txn = b.txn,
                           .value = stored_form(d, obj)};
}

// ---- the decision -------------------------------------------------------------------------------
static void decide_get(deciding_t *d) {
    if (d->present->exists)
        decide_reply(d, d->present->obj, API__OUTCOME__UNCHANGED);
    else
        decide_not_found(d);
}

void request_decide(arena_t *arena, const request_t *r, const present_t *present,
                    const world_t *world, decision_t *ret) {
    assert(!present->exists || present->obj);
    deciding_t d = {.arena = arena, .r = r, .present = present, .world = world, .out = ret};
    rng_init(&d.rng, r->seed + r->attempt);
    switch (r->verb) {
    case VERB_GET: decide_get(&d); break;
    case VERB_CREATE:
        if (streq(r->sub, "binding"))
            decide_bind(&d);
        else if (streq(r->sub, "eviction"))
            decide_evict(&d);
        else
            decide_create(&d);
        break;
    case VERB_UPDATE: decide_update(&d); break;
    case VERB_PATCH: decide_patch(&d); break;
    case VERB_DELETE: decide_delete(&d); break;
    }
    assert(ret->kind != DECISION_FAIL || ret->status);
    assert(ret->kind != DECISION_WRITE || (ret->txn && ret->value));
}

const ProtobufCMessage *request_answer(arena_t *arena, const request_t *r, ProtobufCMessage *obj,
                                       const kind_t **ret_kind) {
    if (streq(r->sub, "scale")) {
        *ret_kind = kind_find("autoscaling", "v1", "Scale");
        return scale_of(arena, obj);
    }
    *ret_kind = r->asked;
    return r->asked == r->stored ? obj : r->asked->from_stored(arena, obj);
}

// ---- printing -----------------------------------------------------------------------------------
static const char *outcome_name(Api__Outcome outcome) {
    const ProtobufCEnumValue *value =
        protobuf_c_enum_descriptor_get_value(&api__outcome__descriptor, outcome);
    return value ? value->name : "?";
}

static void print_key(ProtobufCBinaryData key, text_t *out) { text_addn(out, key.data, key.len); }

void decision_print(const decision_t *d, text_t *out) {
    if (d->kind == DECISION_FAIL) {
        text_addf(out, "fail %d %s\n", d->status->code, or_empty(d->status->message));
        return;
    }
    text_addf(out, "%s %s\n", d->kind == DECISION_REPLY ? "reply" : "write",
              outcome_name(d->outcome));
    for (size_t i = 0; d->txn && i < d->txn->n_compares; i++) {
        const Store__Compare *c = d->txn->compares[i];
        text_addf(out, "  if %s of ",
                  c->target == STORE__COMPARE__TARGET__MOD ? "revision" : "version");
        print_key(c->key, out);
        text_addf(out, " is %lld\n", (long long)c->number);
    }
    for (size_t i = 0; d->txn && i < d->txn->n_then; i++) {
        const Store__Op *op = d->txn->then[i];
        bool is_put = op->op_case == STORE__OP__OP_PUT;
        text_add(out, is_put ? "  put " : "  delete ");
        print_key(is_put ? op->put->key : op->delete_->key, out);
        if (is_put && op->put->lease) text_addf(out, " lease %lld", (long long)op->put->lease);
        text_addc(out, '\n');
    }
}
