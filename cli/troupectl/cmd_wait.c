#include "cli/troupectl/ctl.h"
#include "cli/troupectl/jsonpath.h"
#include "runtime/api/codec.h"
#include <strings.h>

enum { WAIT_TIMEOUT_MS = 30 * 1000 };
typedef struct {
    bool for_delete;
    const char *path, *value; // JSONPath and the wanted text
    const kind_t *kind;
    const char *name, *uid;
} condition_t;

static int read_condition(ctl_t *ctl, condition_t *ret) {
    const char *text = ctl->o.for_;
    if (!text)
        return refuse("required flag(s) \"for\" not set: --for=condition=Ready, --for=delete or "
                      "--for=jsonpath='{.a}'=b");
    if (streq(text, "delete")) return ret->for_delete = true, 0;
    if (has_prefix(text, "condition=")) {
        char *type = arena_strdup(&ctl->arena, text + strlen("condition=")),
             *equals = strchr(type, '=');
        if (equals) *equals = 0;
        ret->path =
            arena_printf(&ctl->arena, "{.status.conditions[?(@.type==\"%s\")].status}", type);
        ret->value = equals ? equals + 1 : "True";
        return 0;
    }
    const char *close = has_prefix(text, "jsonpath=") ? strrchr(text, '}') : NULL;
    if (close && close[1] == '=') {
        ret->path = arena_strndup(&ctl->arena, text + strlen("jsonpath="),
                                  (size_t)(close + 1 - text) - strlen("jsonpath="));
        ret->value = close + 2;
        return 0;
    }
    return refuse("unrecognized condition: \"%s\"", text);
}

static bool is_met(const condition_t *c, const ProtobufCMessage *obj) {
    text_t json = TEXT_HEAP, found = TEXT_HEAP;
    json_write_object(c->kind, obj, &json);
    json_error_t error;
    json_t *root = json_loadb(text_str(&json), json.len, 0, &error);
    err_t err = jsonpath_value(c->path, root, " ", &found, NULL, NULL);
    bool met = !err && strcasecmp(text_str(&found), c->value) == 0;
    json_decref(root);
    text_done(&json);
    text_done(&found);
    return met;
}

static bool not_met_yet(void *arg, Api__WatchEvent__Type type, ProtobufCMessage *obj,
                        int64_t revision) {
    const condition_t *c = arg;
    if (!streq(or_empty(object_meta_read(obj)->name), c->name)) return true;
    if (type == API__WATCH_EVENT__TYPE__DELETED) return !c->for_delete;
    if (c->for_delete) return streq(or_empty(object_meta_read(obj)->uid), c->uid);
    return !is_met(c, obj);
}

static int wait_one(ctl_t *ctl, condition_t *c, const char *ns, ProtobufCMessage *obj,
                    int64_t timeout_ms) {
    const Meta__ObjectMeta *meta = object_meta_read(obj);
    int64_t revision = 0;
    failure_t failure;
    c->name = meta->name;
    c->uid = or_empty(meta->uid);
    parse_int(or_empty(meta->resourceversion), 0, INT64_MAX, &revision);
    err_t err = ERR_OK;
    if (c->for_delete || !is_met(c, obj))
        err = ctl_watch(ctl, c->kind, ns, NULL,
                        arena_printf(&ctl->arena, "metadata.name=%s", c->name), revision,
                        timeout_ms, not_met_yet, c, &failure);
    if (err == ERR_TIMEOUT)
        return refuse("timed out waiting for the condition on %s/%s", c->kind->plural, c->name);
    if (err) return refuse_failure(&failure);
    printf("%s condition met\n", object_ref(ctl, c->kind, c->name));
    return 0;
}

int cmd_wait(ctl_t *ctl) {
    condition_t condition = {0};
    targets_t targets;
    int64_t timeout_ms = WAIT_TIMEOUT_MS;
    if (ctl->o.timeout && !parse_duration_ms(ctl->o.timeout, &timeout_ms))
        return refuse("invalid --timeout \"%s\"", ctl->o.timeout);
    int worst = read_condition(ctl, &condition);
    if (worst || !targets_parse(ctl, 0, &targets)) return EXIT_FAILED;
    for (size_t i = 0; i < targets.len; i++) {
        const target_t *t = &targets.at[i];
        const char *ns = ctl->o.all_namespaces ? "" : ctl_namespace_of(ctl, t->kind);
        ProtobufCMessage *one;
        objects_t found = {&one, 1, 0};
        failure_t failure;
        condition.kind = t->kind;
        if (!t->name && !ctl->o.all && !ctl->o.selector)
            return refuse("resource(s) were provided, but no name was specified");
        err_t err = t->name ? ctl_get(ctl, t->kind, ns, t->name, &one, &failure)
                            : ctl_list(ctl, t->kind, ns, ctl->o.selector, NULL, &found, &failure);
        if (err == ERR_NOT_FOUND && condition.for_delete) continue;
        if (err) {
            worst = refuse_failure(&failure);
            continue;
        }
        if (found.len == 0 && !condition.for_delete) worst = refuse("no matching resources found");
        for (size_t n = 0; n < found.len; n++) {
            const Meta__ObjectMeta *meta = object_meta_read(found.at[n]);
            int code =
                wait_one(ctl, &condition, or_empty(meta->namespace_), found.at[n], timeout_ms);
            if (code) worst = code;
        }
    }
    return worst;
}
