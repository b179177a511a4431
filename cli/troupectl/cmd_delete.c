#include "cli/troupectl/ctl.h"
#include "runtime/base/clock.h"

enum { GONE_TIMEOUT_MS = 5 * 60 * 1000 };
typedef struct {
    const kind_t *kind;
    const char *ns, *name, *uid;
    int64_t revision;
} doomed_t;
typedef VEC(doomed_t) doomed_vec_t;

static int fill_delete(ctl_t *ctl, Api__Delete *request) {
    const flags_t *o = &ctl->o;
    request->uid = request->resource_version = request->propagation = "";
    request->dry_run = ctl_is_dry(ctl);
    int64_t grace = -1;
    if (o->grace_period && !parse_int(o->grace_period, -1, INT32_MAX, &grace))
        return refuse("invalid --grace-period \"%s\": want seconds, or -1 for the object's own",
                      o->grace_period);
    if (o->now) grace = 1;
    if (o->force && grace < 0) grace = 0;
    if (grace == 0 && !o->force)
        grace = 1; // at once means: without asking the node, hence --force only
    request->has_grace = grace >= 0;
    request->grace_seconds = grace;
    if (o->cascade) {
        static const char *const how[][2] = {{"background", "Background"},
                                             {"foreground", "Foreground"},
                                             {"orphan", "Orphan"}};
        for (size_t i = 0; i < LENGTH_OF(how); i++)
            if (streq(o->cascade, how[i][0])) request->propagation = how[i][1];
        if (!request->propagation[0])
            return refuse(
                "invalid cascade value (%s). Must be \"background\", \"foreground\", or \"orphan\"",
                o->cascade);
    }
    return 0;
}

static int delete_one(ctl_t *ctl, const kind_t *k, const char *ns, const char *name,
                      doomed_vec_t *doomed) {
    Api__Delete request = {PROTOBUF_C_MESSAGE_INIT(&api__delete__descriptor)};
    int code = fill_delete(ctl, &request);
    if (code) return code;
    Api__Resource resource;
    resource_fill(&resource, k, ns, name);
    request.resource = &resource;
    void *answer;
    failure_t failure;
    err_t err = ctl_ask(ctl, &request.base, &api__reply__descriptor, &answer, &failure);
    if (err == ERR_NOT_FOUND && ctl->o.ignore_not_found) return 0;
    if (err) return refuse_failure(&failure);
    const Api__Reply *reply = answer;
    if (ctl->o.output && streq(ctl->o.output, "name"))
        printf("%s\n", object_ref(ctl, k, name));
    else
        printf("%s%s%s \"%s\" %sdeleted%s\n", k->singular, k->group[0] ? "." : "", k->group, name,
               ctl->o.force ? "force " : "", ctl_is_dry(ctl) ? " (server dry run)" : "");
    if (reply->outcome == API__OUTCOME__DELETED || ctl_is_dry(ctl)) return 0;
    ProtobufCMessage *obj = ctl_unpack(ctl, k, reply->object, &failure);
    vec_push(doomed,
             ((doomed_t){k, ns, name, obj ? object_meta_read(obj)->uid : "", reply->revision}));
    return 0;
}

// ---- waiting until they are gone ---------------------------------------------------------------

static bool is_gone_yet(void *arg, Api__WatchEvent__Type type, ProtobufCMessage *obj,
                        int64_t revision) {
    const doomed_t *d = arg;
    const Meta__ObjectMeta *meta = object_meta_read(obj);
    if (!streq(or_empty(meta->name), d->name)) return true;
    bool is_another = !is_empty(d->uid) && !streq(or_empty(meta->uid), d->uid);
    return type != API__WATCH_EVENT__TYPE__DELETED && !is_another;
}

static int wait_gone(ctl_t *ctl, const doomed_t *d, int64_t timeout_ms) {
    ProtobufCMessage *obj;
    failure_t failure;
    err_t err = ctl_get(ctl, d->kind, d->ns, d->name, &obj, &failure);
    if (err == ERR_NOT_FOUND) return 0;
    if (err) return refuse_failure(&failure);
    if (!is_empty(d->uid) && !streq(or_empty(object_meta_read(obj)->uid), d->uid)) return 0;
    const char *selector = arena_printf(&ctl->arena, "metadata.name=%s", d->name);
    int64_t revision = d->revision;
    parse_int(or_empty(object_meta_read(obj)->resourceversion), 0, INT64_MAX, &revision);
    err = ctl_watch(ctl, d->kind, d->ns, NULL, selector, revision, timeout_ms, is_gone_yet,
                    (void *)d, &failure);
    if (err == ERR_TIMEOUT)
        return refuse("timed out waiting for %s \"%s\" to go; it is still being deleted",
                      d->kind->singular, d->name);
    return err ? refuse_failure(&failure) : 0;
}

static int wait_all_gone(ctl_t *ctl, const doomed_vec_t *doomed) {
    if (ctl->o.for_ && streq(ctl->o.for_, "false")) return 0;
    int64_t timeout_ms = GONE_TIMEOUT_MS;
    if (ctl->o.timeout && !parse_duration_ms(ctl->o.timeout, &timeout_ms))
        return refuse("invalid --timeout \"%s\"", ctl->o.timeout);
    int worst = 0;
    for (size_t i = 0; i < doomed->len; i++) {
        int code = wait_gone(ctl, &doomed->at[i], timeout_ms);
        if (code) worst = code;
    }
    return worst;
}

// ---- what to delete ----------------------------------------------------------------------------

static int delete_listed(ctl_t *ctl, const kind_t *k, doomed_vec_t *doomed, size_t *ret_count) {
    objects_t found;
    failure_t failure;
    const char *ns = ctl->o.all_namespaces ? "" : ctl_namespace_of(ctl, k);
    if (ctl_list(ctl, k, ns, ctl->o.selector, ctl->o.field_selector, &found, &failure))
        return refuse_failure(&failure);
    int worst = 0;
    for (size_t i = 0; i < found.len; i++) {
        const Meta__ObjectMeta *meta = object_meta_read(found.at[i]);
        int code = delete_one(ctl, k, or_empty(meta->namespace_), meta->name, doomed);
        if (code) worst = code;
    }
    *ret_count += found.len;
    return worst;
}

static int delete_typed(ctl_t *ctl, doomed_vec_t *doomed) {
    targets_t targets;
    if (!targets_parse(ctl, 0, &targets)) return EXIT_FAILED;
    int worst = 0;
    size_t listed = 0;
    bool lists = ctl->o.selector || ctl->o.field_selector || ctl->o.all;
    for (size_t i = 0; i < targets.len; i++) {
        const target_t *t = &targets.at[i];
        if (!t->name && !lists)
            return refuse("resource(s) were provided, but no name was specified");
        if (t->name && lists)
            return refuse("name cannot be provided when a selector or --all is specified");
        int code = t->name
                       ? delete_one(ctl, t->kind, ctl_namespace_of(ctl, t->kind), t->name, doomed)
                       : delete_listed(ctl, t->kind, doomed, &listed);
        if (code) worst = code;
    }
    if (lists && listed == 0 && !worst) fprintf(stderr, "No resources found\n");
    return worst;
}

static int delete_files(ctl_t *ctl, doomed_vec_t *doomed) {
    wanteds_t wanteds = {0};
    int worst = manifests_load(ctl, &wanteds) ? 0 : EXIT_FAILED;
    for (size_t i = 0; !worst && i < wanteds.len; i++) {
        const wanted_t *w = &wanteds.at[i];
        int code =
            delete_one(ctl, w->kind, w->ns, or_empty(object_meta_read(w->obj)->name), doomed);
        if (code) worst = code;
    }
    vec_done(&wanteds);
    return worst;
}

int ctl_delete(ctl_t *ctl, const kind_t *k, const char *ns, const char *name) {
    doomed_vec_t doomed = {0};
    int code = delete_one(ctl, k, ns, name, &doomed), waited = wait_all_gone(ctl, &doomed);
    vec_done(&doomed);
    return code ? code : waited;
}

int cmd_delete(ctl_t *ctl) {
    doomed_vec_t doomed = {0};
    int code = ctl->o.filenames.len ? delete_files(ctl, &doomed) : delete_typed(ctl, &doomed);
    int waited = wait_all_gone(ctl, &doomed);
    vec_done(&doomed);
    return code ? code : waited;
}
