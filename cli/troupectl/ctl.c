#include "cli/troupectl/ctl.h"
#include "runtime/base/clock.h"
#include <stdarg.h>
#include <time.h>

enum {
    LIST_PAGE = 500,
    CHUNK_WAIT_MS = 60 * 1000,
    TIMEOUT_DEFAULT_MS = 30 * 1000,
};
#define SOCKET_DEFAULT "/run/troupe/troupe.sock"

// ---- saying no ---------------------------------------------------------------------------------

int refuse(const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    fputs("error: ", stderr);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
    return EXIT_FAILED;
}

static void print_failure(const failure_t *f, const char *where) {
    if (f->reason[0])
        fprintf(stderr, "Error from server (%s)%s%s: %s\n", f->reason,
                *where ? ": error when handling " : "", where, f->message);
    else
        fprintf(stderr, "error%s%s: %s\n", *where ? " when handling " : "", where, f->message);
}

int refuse_failure(const failure_t *f) {
    // An invalid object has a text that names itself: kubectl prints it without the prefix.
    if (streq(f->reason, "Invalid"))
        fprintf(stderr, "%s\n", f->message);
    else
        print_failure(f, "");
    return err_exit_code(f->err) ? err_exit_code(f->err) : EXIT_FAILED;
}

int refuse_file_failure(const char *file, const failure_t *f) {
    if (streq(f->reason, "Invalid")) return refuse_failure(f);
    char where[600];
    snprintf(where, sizeof where, "\"%s\"", file);
    print_failure(f, where);
    return EXIT_FAILED;
}

// ---- asking ------------------------------------------------------------------------------------

client_t *ctl_client(ctl_t *ctl) {
    if (ctl->client) return ctl->client;
    const flags_t *o = &ctl->o;
    int64_t timeout_ms = TIMEOUT_DEFAULT_MS;
    if (o->request_timeout &&
        (!parse_duration_ms(o->request_timeout, &timeout_ms) || timeout_ms <= 0)) {
        refuse("invalid --request-timeout \"%s\": want a duration such as 10s or 1m",
               o->request_timeout);
        return NULL;
    }
    const char *socket = o->socket ? o->socket : getenv("TROUPE_SOCKET");
    client_options_t options = {.socket = is_empty(socket) ? SOCKET_DEFAULT : socket,
                                .server = o->server,
                                .key = o->key,
                                .server_key = o->server_key,
                                .timeout_ms = timeout_ms};
    why_t why;
    if (client_new(&options, &ctl->client, &why)) {
        refuse("%s", why.text);
        return NULL;
    }
    return ctl->client;
}

bool ctl_is_dry(const ctl_t *ctl) { return ctl->o.dry_run && !streq(ctl->o.dry_run, "none"); }

const char *ctl_namespace(const ctl_t *ctl) {
    return ctl->o.namespace_ ? ctl->o.namespace_ : "default";
}

const char *ctl_namespace_of(const ctl_t *ctl, const kind_t *k) {
    return k->namespaced ? ctl_namespace(ctl) : "";
}

void resource_fill(Api__Resource *r, const kind_t *k, const char *ns, const char *name) {
    *r = (Api__Resource){PROTOBUF_C_MESSAGE_INIT(&api__resource__descriptor)};
    r->group = k->group;
    r->version = k->version;
    r->plural = k->plural;
    r->namespace_ = k->namespaced ? or_empty(ns) : "";
    r->name = or_empty(name);
    r->subresource = "";
}

// What reads is asked again when its server is gone: of another, or of the one that came back.
static bool is_read(const ProtobufCMessage *request) {
    return request->descriptor == &api__get__descriptor ||
           request->descriptor == &api__list__descriptor;
}

static void wait_a_moment(void) {
    struct timespec pause = {.tv_nsec = 100 * 1000 * 1000};
    nanosleep(&pause, NULL);
}

err_t ctl_ask(ctl_t *ctl, const ProtobufCMessage *request,
              const ProtobufCMessageDescriptor *reply_type, void **ret_reply,
              failure_t *ret_failure) {
    if (!ctl_client(ctl)) exit(EXIT_FAILED); // it has said why
    int64_t deadline_ms = clock_monotonic_ms() + client_timeout_ms(ctl->client);
    for (;;) {
        err_t err = client_call(ctl->client, &ctl->arena, "apiserver", request, reply_type,
                                ret_reply, ret_failure);
        if (err != ERR_UNAVAILABLE || !is_read(request) || clock_monotonic_ms() > deadline_ms)
            return err;
        wait_a_moment();
    }
}

static err_t broken_object(failure_t *ret_failure, const char *text) {
    *ret_failure = (failure_t){.err = ERR_MALFORMED};
    snprintf(ret_failure->message, sizeof ret_failure->message,
             "the server sent an object that cannot be read: %s", text);
    return ERR_MALFORMED;
}

ProtobufCMessage *ctl_unpack(ctl_t *ctl, const kind_t *k, const Api__Object *object,
                             failure_t *ret_failure) {
    void *obj = NULL;
    why_t why = {.text = "it is missing"};
    if (!object || msg_unpack(&ctl->arena, k->type, (bytes_t){object->raw.data, object->raw.len},
                              &obj, &why)) {
        broken_object(ret_failure, why.text);
        return NULL;
    }
    return obj;
}

err_t ctl_get(ctl_t *ctl, const kind_t *k, const char *ns, const char *name,
              ProtobufCMessage **ret_obj, failure_t *ret_failure) {
    Api__Resource resource;
    resource_fill(&resource, k, ns, name);
    Api__Get get = {PROTOBUF_C_MESSAGE_INIT(&api__get__descriptor)};
    get.resource = &resource;
    void *reply;
    err_t err = ctl_ask(ctl, &get.base, &api__reply__descriptor, &reply, ret_failure);
    if (err) return err;
    *ret_obj = ctl_unpack(ctl, k, ((Api__Reply *)reply)->object, ret_failure);
    return *ret_obj ? ERR_OK : ret_failure->err;
}

err_t ctl_list(ctl_t *ctl, const kind_t *k, const char *ns, const char *label_selector,
               const char *field_selector, objects_t *ret_objects, failure_t *ret_failure) {
    Api__Resource resource;
    resource_fill(&resource, k, ns, "");
    Api__List list = {PROTOBUF_C_MESSAGE_INIT(&api__list__descriptor)};
    list.resource = &resource;
    list.label_selector = or_empty(label_selector);
    list.field_selector = or_empty(field_selector);
    list.limit = LIST_PAGE;
    list.continue_ = "";
    list.resource_version = list.resource_version_match = "";
    VEC(ProtobufCMessage *) found = {0};
    int64_t revision = 0;
    err_t err = ERR_OK;
    do {
        void *answer;
        err = ctl_ask(ctl, &list.base, &api__list_reply__descriptor, &answer, ret_failure);
        if (err) break;
        Api__ListReply *reply = answer;
        revision = reply->revision;
        for (size_t i = 0; i < reply->n_items && !err; i++) {
            void *obj;
            why_t why;
            err = msg_unpack(&ctl->arena, k->type,
                             (bytes_t){reply->items[i].data, reply->items[i].len}, &obj, &why);
            if (err)
                broken_object(ret_failure, why.text);
            else
                vec_push(&found, obj);
        }
        list.continue_ = or_empty(reply->continue_);
    } while (!err && list.continue_[0]);
    if (!err)
        *ret_objects = (objects_t){arena_dup(&ctl->arena, found.at, found.len * sizeof *found.at),
                                   found.len, revision};
    vec_done(&found);
    return err;
}

static err_t ask_with_object(ctl_t *ctl, const kind_t *k, const ProtobufCMessage *request,
                             ProtobufCMessage **ret_obj, failure_t *ret_failure) {
    void *reply;
    err_t err = ctl_ask(ctl, request, &api__reply__descriptor, &reply, ret_failure);
    if (err) return err;
    *ret_obj = ctl_unpack(ctl, k, ((Api__Reply *)reply)->object, ret_failure);
    return *ret_obj ? ERR_OK : ret_failure->err;
}

err_t ctl_create(ctl_t *ctl, const kind_t *k, const char *ns, ProtobufCMessage *obj,
                 ProtobufCMessage **ret_obj, failure_t *ret_failure) {
    Api__Resource resource;
    resource_fill(&resource, k, ns, "");
    bytes_t packed = msg_pack(&ctl->arena, obj);
    Api__Create create = {PROTOBUF_C_MESSAGE_INIT(&api__create__descriptor)};
    create.resource = &resource;
    create.object = (ProtobufCBinaryData){packed.len, (uint8_t *)packed.at};
    create.dry_run = ctl_is_dry(ctl);
    create.field_manager = "troupectl";
    return ask_with_object(ctl, k, &create.base, ret_obj, ret_failure);
}

err_t ctl_update(ctl_t *ctl, const kind_t *k, const char *ns, ProtobufCMessage *obj,
                 const char *subresource, ProtobufCMessage **ret_obj, failure_t *ret_failure) {
    Api__Resource resource;
    resource_fill(&resource, k, ns, object_meta_read(obj)->name);
    resource.subresource = or_empty(subresource);
    bytes_t packed = msg_pack(&ctl->arena, obj);
    Api__Update update = {PROTOBUF_C_MESSAGE_INIT(&api__update__descriptor)};
    update.resource = &resource;
    update.object = (ProtobufCBinaryData){packed.len, (uint8_t *)packed.at};
    update.dry_run = ctl_is_dry(ctl);
    update.field_manager = "troupectl";
    return ask_with_object(ctl, k, &update.base, ret_obj, ret_failure);
}

err_t ctl_patch(ctl_t *ctl, const kind_t *k, const char *ns, const char *name,
                Api__Patch__Type type, bytes_t patch, Api__Reply **ret_reply,
                ProtobufCMessage **ret_obj, failure_t *ret_failure) {
    Api__Resource resource;
    resource_fill(&resource, k, ns, name);
    resource.subresource = or_empty(ctl->o.subresource);
    Api__Patch request = {PROTOBUF_C_MESSAGE_INIT(&api__patch__descriptor)};
    request.resource = &resource;
    request.type = type;
    request.patch = (ProtobufCBinaryData){patch.len, (uint8_t *)patch.at};
    request.dry_run = ctl_is_dry(ctl);
    request.field_manager = "troupectl";
    void *reply;
    err_t err = ctl_ask(ctl, &request.base, &api__reply__descriptor, &reply, ret_failure);
    if (err) return err;
    if (ret_reply) *ret_reply = reply;
    *ret_obj = ctl_unpack(ctl, k, ((Api__Reply *)reply)->object, ret_failure);
    return *ret_obj ? ERR_OK : ret_failure->err;
}

// One pass over an open watch. Returns ERR_OK when `changed` said stop.
static err_t watch_stream(client_stream_t *stream, const kind_t *k, int64_t *revision,
                          int64_t deadline_ms, watch_fn *changed, void *arg,
                          failure_t *ret_failure) {
    arena_t arena = {0};
    err_t err = ERR_OK;
    for (bool goes_on = true; goes_on && !err;) {
        arena_clear(&arena);
        int64_t left_ms = deadline_ms ? deadline_ms - clock_monotonic_ms() : CHUNK_WAIT_MS;
        if (left_ms <= 0) {
            err = ERR_TIMEOUT;
            break;
        }
        void *chunk;
        err = client_next(stream, &arena, &api__watch_events__descriptor, left_ms, &chunk,
                          ret_failure);
        if (err == ERR_TIMEOUT && !deadline_ms)
            err = ERR_OK;
        else if (!err) {
            const Api__WatchEvents *events = chunk;
            for (size_t i = 0; i < events->n_events && goes_on && !err; i++) {
                const Api__WatchEvent *event = events->events[i];
                if (event->type == API__WATCH_EVENT__TYPE__BOOKMARK) continue;
                void *obj;
                why_t why;
                err = msg_unpack(&arena, k->type, (bytes_t){event->object.data, event->object.len},
                                 &obj, &why);
                if (err)
                    broken_object(ret_failure, why.text);
                else
                    goes_on = changed(arg, event->type, obj, event->revision);
            }
            if (events->revision > *revision) *revision = events->revision;
        }
    }
    arena_done(&arena);
    return err;
}

err_t ctl_watch(ctl_t *ctl, const kind_t *k, const char *ns, const char *label_selector,
                const char *field_selector, int64_t revision, int64_t timeout_ms, watch_fn *changed,
                void *arg, failure_t *ret_failure) {
    if (!ctl_client(ctl)) exit(EXIT_FAILED);
    int64_t deadline_ms = timeout_ms ? clock_monotonic_ms() + timeout_ms : 0;
    enum { RESUMES_MAX = 20 };
    int64_t resumed_at = -1;
    int fruitless = 0;
    for (;;) {
        Api__Resource resource;
        resource_fill(&resource, k, ns, "");
        Api__Watch watch = {PROTOBUF_C_MESSAGE_INIT(&api__watch__descriptor)};
        watch.resource = &resource;
        watch.label_selector = or_empty(label_selector);
        watch.field_selector = or_empty(field_selector);
        watch.from_revision = revision;
        watch.bookmarks = true;
        client_stream_t *stream = client_open(ctl->client, "apiserver", &watch.base);
        err_t err = watch_stream(stream, k, &revision, deadline_ms, changed, arg, ret_failure);
        client_close(&stream);
        // A lost or ended stream goes on from the last revision, or with the present state when
        // that is too old; one that never gets anywhere does not.
        bool resumable = err == ERR_GAP || err == ERR_UNAVAILABLE || err == ERR_CANCELLED ||
                         err == ERR_OVERLOADED || err == ERR_EXPIRED;
        fruitless = revision == resumed_at ? fruitless + 1 : 0;
        if (!resumable || fruitless > RESUMES_MAX) return err;
        resumed_at = revision;
        if (err == ERR_EXPIRED) revision = 0;
        wait_a_moment();
    }
}
