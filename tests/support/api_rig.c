#include "tests/support/api_rig.h"
#include "actors/store/disk_actor.h"
#include "actors/store/store_actor.h"
#include "runtime/api/kinds.h"
#include <criterion/criterion.h>

// ---- life ---------------------------------------------------------------------------------------
static void wait_for_first_objects(api_rig_t *rig) {
    for (int i = 0; i < 100; i++) {
        rig_get(rig, "v1", "Service", "default", "kubernetes");
        if (!rig->err) return;
        sim_run_for(rig->sim, 20);
    }
    cr_assert_fail("the first objects do not come");
}

static api_rig_t *rig_begin(uint64_t seed, const apiserver_args_t *args) {
    api_rig_t *rig = NEW(api_rig_t);
    rig->sim = sim_new(seed);
    rig->args = *args;
    rig->as = "test/t";
    return rig;
}

static void spawn(api_rig_t *rig, const char *process, const actor_def_t *def, const void *args) {
    why_t why;
    cr_assert_eq(sim_spawn(rig->sim, "m1", process, def, "m1", args, &why), ERR_OK, "%s", why.text);
}

static void rig_finish(api_rig_t *rig) {
    spawn(rig, "api", &apiserver_actor, &rig->args);
    rig_wait_ready(rig);
    if (!rig->args.without_first_objects) wait_for_first_objects(rig);
}

api_rig_t *rig_new_with(uint64_t seed, const apiserver_args_t *args) {
    api_rig_t *rig = rig_begin(seed, args);
    rig->store = fake_store_new();
    spawn(rig, "store", &fake_store_actor, rig->store);
    rig_finish(rig);
    return rig;
}

api_rig_t *rig_new(uint64_t seed) { return rig_new_with(seed, &apiserver_args_default); }

// ---- the real store -----------------------------------------------------------------------------
struct rig_disk {
    files_t *files;
    kv_t *kv;
    disk_args_t disk;
    store_args_t store;
};

static void crashed(void *arg) {
    struct rig_disk *d = arg;
    files_fake_crash(d->files);
    kv_map_crash(d->kv);
}

api_rig_t *rig_new_on_real_store(uint64_t seed) {
    api_rig_t *rig = rig_begin(seed, &apiserver_args_default);
    struct rig_disk *d = rig->disk = NEW(struct rig_disk);
    d->files = files_fake_new(seed);
    d->kv = kv_map_new();
    kv_map_flush_every(d->kv, 7);
    d->disk = (disk_args_t){
        .data_dir = "/data", .member = "m1", .files = d->files, .segment_bytes = 64 << 10};
    d->store = (store_args_t){.data_dir = "/data", .member = "m1", .kv = d->kv};
    spawn(rig, "store", &disk_actor, &d->disk);
    spawn(rig, "store", &store_actor, &d->store);
    sim_on_crash(rig->sim, "store", crashed, d);
    rig_finish(rig);
    return rig;
}

void rig_destroy(api_rig_t **rig) {
    api_rig_t *one = x_steal(rig);
    sim_destroy(&one->sim);
    fake_store_destroy(&one->store);
    if (one->disk) {
        kv_destroy(&one->disk->kv);
        files_fake_destroy(&one->disk->files);
    }
    free(one->disk);
    arena_done(&one->arena);
    free(one);
}

void rig_run(api_rig_t *rig, int64_t ms) { sim_run_for(rig->sim, ms); }

void rig_wait_ready(api_rig_t *rig) {
    Api__CurrentRevision ask = API__CURRENT_REVISION__INIT;
    why_t why;
    void *reply;
    for (int i = 0; i < 200; i++) {
        if (!sim_ask(rig->sim, rig->as, "apiserver", &ask.base, 1000, &rig->arena,
                     &api__current_revision_reply__descriptor, &reply, &why))
            return;
        sim_run_for(rig->sim, 20);
    }
    cr_assert_fail("the API server does not get ready: %s", why.text);
}

// ---- asking -------------------------------------------------------------------------------------
static const char *outcome_text(Api__Outcome outcome) {
    return protobuf_c_enum_descriptor_get_value(&api__outcome__descriptor, outcome)->name;
}

const char *rig_ask(api_rig_t *rig, const ProtobufCMessage *request) {
    why_t why = {0};
    void *body;
    rig->obj = NULL;
    rig->err = sim_ask(rig->sim, rig->as, "apiserver", request, 60 * 1000, &rig->arena,
                       &api__reply__descriptor, &body, &why);
    if (rig->err) return arena_strdup(&rig->arena, why.text);
    const Api__Reply *reply = body;
    rig->revision = reply->revision;
    rig->kind = kind_by_api_version(reply->object->api_version, reply->object->kind);
    cr_assert_not_null(rig->kind, "%s %s", reply->object->api_version, reply->object->kind);
    rig->obj = msg_unpack_own(&rig->arena, rig->kind->type,
                              (bytes_t){reply->object->raw.data, reply->object->raw.len});
    cr_assert_not_null(rig->obj);
    return outcome_text(reply->outcome);
}

Api__Resource rig_resource(api_rig_t *rig, const char *api_version, const char *kind,
                           const char *ns, const char *name) {
    const kind_t *k = kind_by_api_version(api_version, kind);
    cr_assert_not_null(k, "%s %s", api_version, kind);
    Api__Resource r = API__RESOURCE__INIT;
    r.group = k->group;
    r.version = k->version;
    r.plural = k->plural;
    r.namespace_ = k->namespaced ? or_empty(ns) : "";
    r.name = or_empty(name);
    return r;
}

// The object of the text, and its resource.
static const ProtobufCMessage *read_object(api_rig_t *rig, const char *text, Api__Resource *ret) {
    why_t why;
    manifests_t all;
    err_t err = manifests_read(&rig->arena, "test", text, strlen(text), false, &all, &why);
    cr_assert_eq(err, ERR_OK, "%s", why.text);
    cr_assert_eq(all.len, 1);
    const Meta__ObjectMeta *meta = object_meta_read(all.at[0].obj);
    const char *ns = is_empty(meta->namespace_) ? "default" : meta->namespace_;
    *ret = rig_resource(rig, kind_api_version(&rig->arena, all.at[0].kind), all.at[0].kind->name,
                        ns, meta->name);
    return all.at[0].obj;
}

static ProtobufCBinaryData packed(api_rig_t *rig, const ProtobufCMessage *msg) {
    bytes_t bytes = msg_pack(&rig->arena, msg);
    return (ProtobufCBinaryData){bytes.len, (uint8_t *)bytes.at};
}

const char *rig_create(api_rig_t *rig, const char *text) {
    Api__Resource resource;
    Api__Create create = API__CREATE__INIT;
    create.object = packed(rig, read_object(rig, text, &resource));
    resource.name = "";
    create.resource = &resource;
    return rig_ask(rig, &create.base);
}

const char *rig_update(api_rig_t *rig, const char *text, const char *subresource) {
    Api__Resource resource;
    Api__Update update = API__UPDATE__INIT;
    update.object = packed(rig, read_object(rig, text, &resource));
    resource.subresource = or_empty(subresource);
    update.resource = &resource;
    return rig_ask(rig, &update.base);
}

const char *rig_apply(api_rig_t *rig, const char *text) {
    why_t why;
    manifests_t all;
    err_t err = manifests_read(&rig->arena, "test", text, strlen(text), false, &all, &why);
    cr_assert_eq(err, ERR_OK, "%s", why.text);
    Api__Resource resource;
    read_object(rig, text, &resource);
    Api__Patch patch = API__PATCH__INIT;
    patch.resource = &resource;
    patch.type = API__PATCH__TYPE__APPLY;
    patch.patch = (ProtobufCBinaryData){all.at[0].json.len, (uint8_t *)all.at[0].json.at};
    return rig_ask(rig, &patch.base);
}

const char *rig_patch(api_rig_t *rig, const char *api_version, const char *kind, const char *ns,
                      const char *name, const char *subresource, Api__Patch__Type type,
                      const char *json) {
    Api__Resource resource = rig_resource(rig, api_version, kind, ns, name);
    resource.subresource = or_empty(subresource);
    Api__Patch patch = API__PATCH__INIT;
    patch.resource = &resource;
    patch.type = type;
    patch.patch = (ProtobufCBinaryData){strlen(json), (uint8_t *)json};
    return rig_ask(rig, &patch.base);
}

const char *rig_get(api_rig_t *rig, const char *api_version, const char *kind, const char *ns,
                    const char *name) {
    Api__Resource resource = rig_resource(rig, api_version, kind, ns, name);
    Api__Get get = API__GET__INIT;
    get.resource = &resource;
    return rig_ask(rig, &get.base);
}

const char *rig_delete_with(api_rig_t *rig, const char *api_version, const char *kind,
                            const char *ns, const char *name, const Api__Delete *options) {
    Api__Resource resource = rig_resource(rig, api_version, kind, ns, name);
    Api__Delete delete = *options;
    delete.resource = &resource;
    return rig_ask(rig, &delete.base);
}

const char *rig_delete(api_rig_t *rig, const char *api_version, const char *kind, const char *ns,
                       const char *name) {
    static const Api__Delete plain = API__DELETE__INIT;
    return rig_delete_with(rig, api_version, kind, ns, name, &plain);
}

const char *rig_bind(api_rig_t *rig, const char *ns, const char *pod, const char *node) {
    Core__ObjectReference target = CORE__OBJECT_REFERENCE__INIT;
    target.kind = "Node";
    target.name = node;
    Core__Binding binding = CORE__BINDING__INIT;
    binding.target = &target;
    Api__Resource resource = rig_resource(rig, "v1", "Pod", ns, pod);
    resource.subresource = "binding";
    Api__Create create = API__CREATE__INIT;
    create.resource = &resource;
    create.object = packed(rig, &binding.base);
    return rig_ask(rig, &create.base);
}

const char *rig_list(api_rig_t *rig, const char *api_version, const char *kind,
                     const Api__List *options) {
    const kind_t *k = kind_by_api_version(api_version, kind);
    Api__List list = *options;
    Api__Resource resource =
        rig_resource(rig, api_version, kind, list.resource ? list.resource->namespace_ : "", "");
    list.resource = &resource;
    why_t why = {0};
    void *body;
    rig->list = NULL;
    rig->err = sim_ask(rig->sim, rig->as, "apiserver", &list.base, 60 * 1000, &rig->arena,
                       &api__list_reply__descriptor, &body, &why);
    if (rig->err) return arena_strdup(&rig->arena, why.text);
    rig->list = body;
    rig->revision = rig->list->revision;
    text_t names = {.arena = &rig->arena};
    for (size_t i = 0; i < rig->list->n_items; i++) {
        ProtobufCMessage *obj =
            msg_unpack_own(&rig->arena, k->type,
                           (bytes_t){rig->list->items[i].data, rig->list->items[i].len});
        cr_assert_not_null(obj);
        text_addf(&names, "%s%s", i ? " " : "", object_meta_read(obj)->name);
    }
    return text_str(&names);
}

const char *rig_field(api_rig_t *rig, const char *path) {
    cr_assert_not_null(rig->obj);
    return or_empty(msg_text_at(&rig->arena, rig->obj, path));
}

// ---- watching -----------------------------------------------------------------------------------
struct rig_watcher {
    rig_watch_t watch;
    const kind_t *kind;
    int64_t revision;
    bool resumed_once;
    text_t seen;
    arena_t arena;
};

static void open_watch(actor_t *me) {
    rig_watcher_t *w = *(rig_watcher_t **)actor_state(me);
    Api__Resource resource = API__RESOURCE__INIT;
    resource.group = w->kind->group;
    resource.version = w->kind->version;
    resource.plural = w->kind->plural;
    resource.namespace_ = or_empty(w->watch.ns);
    Api__Watch watch = API__WATCH__INIT;
    watch.resource = &resource;
    watch.label_selector = or_empty(w->watch.label_selector);
    watch.field_selector = or_empty(w->watch.field_selector);
    watch.from_revision = w->revision;
    watch.bookmarks = true;
    actor_open(me, "apiserver", &watch.base, w->watch.window ? w->watch.window : 64, 1);
}

static err_t watcher_start(actor_t *me, const void *args, why_t *why) {
    *(rig_watcher_t **)actor_state(me) = (rig_watcher_t *)args;
    open_watch(me);
    return ERR_OK;
}

static void on_events(actor_t *me, const message_t *msg, const void *body) {
    rig_watcher_t *w = *(rig_watcher_t **)actor_state(me);
    const Api__WatchEvents *events = body;
    for (size_t i = 0; i < events->n_events; i++) {
        const Api__WatchEvent *event = events->events[i];
        const char *type =
            protobuf_c_enum_descriptor_get_value(&api__watch_event__type__descriptor, event->type)
                ->name;
        if (event->type == API__WATCH_EVENT__TYPE__BOOKMARK) {
            text_add(&w->seen, "MARK\n");
            continue;
        }
        ProtobufCMessage *obj = msg_unpack_own(actor_arena(me), w->kind->type,
                                               (bytes_t){event->object.data, event->object.len});
        const Meta__ObjectMeta *meta = object_meta_read(obj);
        cr_assert_str_eq(meta->resourceversion,
                         arena_printf(actor_arena(me), "%lld", (long long)event->revision));
        text_addf(&w->seen, "%s %s%s%s", type, or_empty(meta->namespace_),
                  is_empty(meta->namespace_) ? "" : "/", meta->name);
        if (w->watch.shows)
            text_addf(&w->seen, " %s", or_empty(msg_text_at(actor_arena(me), obj, w->watch.shows)));
        text_addc(&w->seen, '\n');
    }
    if (events->revision) w->revision = events->revision;
}

static void on_end(actor_t *me, const message_t *msg, const void *body) {
    rig_watcher_t *w = *(rig_watcher_t **)actor_state(me);
    err_t err = (err_t)((const Actor__StreamEnd *)body)->err;
    if (!w->watch.resumes || err == ERR_EXPIRED) text_addf(&w->seen, "END %s\n", err_name(err));
    if (err == ERR_EXPIRED) w->revision = 0;
    if (w->watch.resumes) actor_timer(me, 1, 20);
}

static void on_timer(actor_t *me, uint64_t tag) { open_watch(me); }

static const handler_t watcher_rows[] = {{&api__watch_events__descriptor, on_events},
                                         {&actor__stream_end__descriptor, on_end},
                                         {NULL}};
static const actor_def_t watcher_actor = {.role = "test",
                                          .state_size = sizeof(rig_watcher_t *),
                                          .start = watcher_start,
                                          .handlers = watcher_rows,
                                          .on_timer = on_timer};

rig_watcher_t *rig_watch(api_rig_t *rig, const char *name, const rig_watch_t *watch) {
    rig_watcher_t *w = NEW(rig_watcher_t);
    w->watch = *watch;
    w->kind = kind_by_api_version(watch->api_version, watch->kind);
    cr_assert_not_null(w->kind);
    w->revision = watch->from_revision;
    why_t why;
    cr_assert_eq(sim_spawn(rig->sim, "client", "client", &watcher_actor, name, w, &why), ERR_OK,
                 "%s", why.text);
    sim_run_for(rig->sim, 50);
    return w;
}

const char *rig_seen(rig_watcher_t *w) {
    const char *all = arena_strdup(&w->arena, text_str(&w->seen));
    text_reset(&w->seen);
    return all;
}

int64_t rig_seen_revision(const rig_watcher_t *w) { return w->revision; }

void rig_watcher_free(rig_watcher_t **w) {
    rig_watcher_t *one = x_steal(w);
    text_done(&one->seen);
    arena_done(&one->arena);
    free(one);
}
