#include "runtime/actor/api_client.h"
#include "runtime/api/msg.h"
#include "runtime/base/vec.h"

Api__Resource api_resource(const kind_t *k, const char *ns, const char *name,
                           const char *subresource) {
    assert(k);
    return (Api__Resource){
        .base.descriptor = &api__resource__descriptor,
        .group = k->group,
        .version = k->version,
        .plural = k->plural,
        .namespace_ = or_empty(ns),
        .name = or_empty(name),
        .subresource = or_empty(subresource),
    };
}

// Packed into the round's arena: protobuf-c wants writable data where the message is only read.
static ProtobufCBinaryData packed(actor_t *me, const ProtobufCMessage *obj) {
    bytes_t bytes = msg_pack(actor_arena(me), obj);
    return (ProtobufCBinaryData){.len = bytes.len, .data = (uint8_t *)bytes.at};
}

static uint64_t ask(actor_t *me, const ProtobufCMessage *body, uint64_t tag) {
    return actor_ask(me, API_SERVER, body, API_TIMEOUT_MS, tag);
}

uint64_t api_get(actor_t *me, const kind_t *k, const char *ns, const char *name, uint64_t tag) {
    Api__Resource resource = api_resource(k, ns, name, NULL);
    Api__Get get = {.base.descriptor = &api__get__descriptor, .resource = &resource};
    return ask(me, &get.base, tag);
}

uint64_t api_list(actor_t *me, const kind_t *k, const char *ns, const char *label_selector,
                  const char *field_selector, int64_t limit, const char *continue_token,
                  uint64_t tag) {
    Api__Resource resource = api_resource(k, ns, NULL, NULL);
    Api__List list = {
        .base.descriptor = &api__list__descriptor,
        .resource = &resource,
        .label_selector = or_empty(label_selector),
        .field_selector = or_empty(field_selector),
        .limit = limit,
        .continue_ = or_empty(continue_token),
        .resource_version = "",
        .resource_version_match = "",
    };
    return ask(me, &list.base, tag);
}

uint64_t api_create(actor_t *me, const kind_t *k, const ProtobufCMessage *obj, uint64_t tag) {
    const Meta__ObjectMeta *meta = object_meta_read(obj);
    return api_create_sub(me, k, meta->namespace_, meta->name, NULL, obj, tag);
}

uint64_t api_create_sub(actor_t *me, const kind_t *k, const char *ns, const char *name,
                        const char *subresource, const ProtobufCMessage *body, uint64_t tag) {
    Api__Resource resource = api_resource(k, ns, name, subresource);
    Api__Create create = {
        .base.descriptor = &api__create__descriptor,
        .resource = &resource,
        .object = packed(me, body),
        .field_manager = "",
    };
    return ask(me, &create.base, tag);
}

uint64_t api_update(actor_t *me, const kind_t *k, const char *subresource,
                    const ProtobufCMessage *obj, uint64_t tag) {
    const Meta__ObjectMeta *meta = object_meta_read(obj);
    assert(!is_empty(meta->name));
    Api__Resource resource = api_resource(k, meta->namespace_, meta->name, subresource);
    Api__Update update = {
        .base.descriptor = &api__update__descriptor,
        .resource = &resource,
        .object = packed(me, obj),
        .field_manager = "",
    };
    return ask(me, &update.base, tag);
}

uint64_t api_patch(actor_t *me, const kind_t *k, const char *ns, const char *name,
                   const char *subresource, Api__Patch__Type type, const char *json,
                   int64_t expected_revision, uint64_t tag) {
    Api__Resource resource = api_resource(k, ns, name, subresource);
    Api__Patch patch = {
        .base.descriptor = &api__patch__descriptor,
        .resource = &resource,
        .type = type,
        .patch = {.len = strlen(json), .data = (uint8_t *)json},
        .field_manager = "",
        .expected_revision = expected_revision,
    };
    return ask(me, &patch.base, tag);
}

uint64_t api_delete(actor_t *me, const kind_t *k, const char *ns, const char *name,
                    const api_delete_options_t *options, uint64_t tag) {
    Api__Resource resource = api_resource(k, ns, name, NULL);
    api_delete_options_t none = {0};
    if (!options) options = &none;
    Api__Delete delete = {
        .base.descriptor = &api__delete__descriptor,
        .resource = &resource,
        .has_grace = options->has_grace,
        .grace_seconds = options->grace_seconds,
        .uid = or_empty(options->uid),
        .resource_version = "",
        .propagation = or_empty(options->propagation),
    };
    if (options->revision)
        delete.resource_version =
            arena_printf(actor_arena(me), "%lld", (long long)options->revision);
    return ask(me, &delete.base, tag);
}

uint64_t api_current_revision(actor_t *me, uint64_t tag) {
    Api__CurrentRevision current = {.base.descriptor = &api__current_revision__descriptor};
    return ask(me, &current.base, tag);
}

typedef struct {
    actor_t *me;
    VEC(const char *) servers;
} servers_t;

static void add_server(void *arg, const char *address, const char *process) {
    servers_t *known = arg;
    vec_push(&known->servers, arena_strdup(actor_arena(known->me), address));
}

void api_tell_alive(actor_t *me, uint64_t *turn) {
    Api__NodeAlive alive = {.base.descriptor = &api__node_alive__descriptor,
                            .node = actor_name(me),
                            .incarnation = actor_incarnation(me)};
    servers_t known = {.me = me};
    actor_each_known(me, API_SERVER, add_server, &known);
    size_t len = known.servers.len;
    actor_tell(me, len ? known.servers.at[(*turn)++ % len] : API_SERVER, &alive.base);
    vec_done(&known.servers);
}

void api_tell_all(actor_t *me, const ProtobufCMessage *body) {
    servers_t known = {.me = me};
    actor_each_known(me, API_SERVER, add_server, &known);
    blob_t *packed = msg_blob(body);
    for (size_t i = 0; i < known.servers.len; i++)
        actor_tell_blob(me, known.servers.at[i], body->descriptor, packed);
    blob_unref(&packed);
    vec_done(&known.servers);
}

// ---- answers -----------------------------------------------------------------------------------

err_t api_reply_object(arena_t *arena, const Api__Reply *reply, const kind_t *k, void **ret_obj) {
    const Api__Object *object = reply->object;
    if (!object || is_empty(object->kind)) return ERR_NOT_FOUND;
    if (!streq(object->kind, k->name)) return ERR_MALFORMED;
    return msg_unpack(arena, k->type, (bytes_t){object->raw.data, object->raw.len}, ret_obj, NULL);
}

int64_t object_revision(const ProtobufCMessage *obj) {
    const char *text = object_meta_read(obj)->resourceversion;
    return is_empty(text) ? 0 : strtoll(text, NULL, 10);
}

int64_t api_reply_revision(const Api__Reply *reply, const kind_t *k) {
    arena_t arena = {0};
    void *obj = NULL;
    int64_t revision = 0;
    if (api_reply_object(&arena, reply, k, &obj) == ERR_OK) revision = object_revision(obj);
    arena_done(&arena);
    return revision ? revision : reply->revision;
}

api_failure_t api_failure(arena_t *arena, const Actor__Failure *failure) {
    api_failure_t out = {.err = (err_t)failure->err, .why = or_empty(failure->why)};
    if (failure->err <= ERR_OK || failure->err >= ERR_MAX) out.err = ERR_INTERNAL;
    void *status = NULL;
    bytes_t raw = {failure->status.data, failure->status.len};
    if (raw.len && msg_unpack(arena, &meta__status__descriptor, raw, &status, NULL) == ERR_OK) {
        out.status = status;
        if (!is_empty(out.status->message)) out.why = out.status->message;
    }
    out.why = arena_strdup(arena, *out.why ? out.why : err_text(out.err));
    out.is_unknown = out.err == ERR_TIMEOUT || out.err == ERR_UNAVAILABLE || out.err == ERR_GAP ||
                     out.err == ERR_INTERNAL;
    return out;
}

// RFC 8259 §7.
void api_json_string(text_t *out, const char *s) {
    text_addc(out, '"');
    for (const char *at = or_empty(s); *at; at++) {
        unsigned char c = (unsigned char)*at;
        if (c == '"' || c == '\\')
            text_addf(out, "\\%c", c);
        else if (c < 0x20)
            text_addf(out, "\\u%04x", c);
        else
            text_addc(out, *at);
    }
    text_addc(out, '"');
}
