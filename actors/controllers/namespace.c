// namespace - performs namespace_plan. A key is a namespace's name.
#include "actors/controllers/namespace_plan.h"
#include "actors/controllers/rows.h"

enum { PASS_MS = 300 }; // from one pass to the next: pods take their time

// A pass over all kinds of one namespace.
typedef struct {
    bool is_done;  // every collection was asked for
    int64_t found; // objects that were still there, or collections that failed
} pass_t;
typedef struct {
    map_t of;
} state_t; // namespace -> pass_t

static pass_t *pass_of(controller_t *c, const char *key) {
    state_t *state = controller_state(c);
    pass_t *pass = map_get(&state->of, key);
    if (pass) return pass;
    pass = NEW(pass_t);
    map_put(&state->of, key, pass);
    return pass;
}

static void forget(controller_t *c, const char *key) {
    free(map_remove(&((state_t *)controller_state(c))->of, key));
}

static void on_namespace(void *arg, const record_t *was, const record_t *is) {
    controller_touch_record(arg, is ? is : was);
}

static void on_account(void *arg, const record_t *was, const record_t *is) {
    if (!is && streq(was->name, "default")) controller_touch(arg, was->namespace_);
}

static void start(controller_t *c) {
    informer_subscribe(controller_follow(c, FOLLOWED_NAMESPACES), on_namespace, c);
    informer_subscribe(controller_follow(c, FOLLOWED_SERVICE_ACCOUNTS), on_account, c);
}

static void make_account(controller_t *c, const char *ns) {
    Core__ServiceAccount *account =
        MSG_NEW(controller_arena(c), Core__ServiceAccount, core__service_account__descriptor);
    account->metadata =
        MSG_NEW(controller_arena(c), Meta__ObjectMeta, meta__object_meta__descriptor);
    account->metadata->name = "default";
    account->metadata->namespace_ = ns;
    controller_create(c, followed_kind(FOLLOWED_SERVICE_ACCOUNTS), &account->base);
}

static void delete_contents(controller_t *c, const char *ns) {
    const kind_t *kind;
    for (size_t i = 0; (kind = kind_at(i)); i++)
        if (!kind->stored_as && kind->namespaced && kind_has_verb(kind, "deletecollection"))
            controller_delete_all(c, kind, ns);
}

static void finalize(controller_t *c, const Core__Namespace *ns) {
    arena_t *arena = controller_arena(c);
    Core__Namespace *changed = MSG_NEW(arena, Core__Namespace, core__namespace__descriptor);
    *changed = *ns;
    changed->spec = MSG_NEW(arena, Core__NamespaceSpec, core__namespace_spec__descriptor);
    changed->spec->finalizers = ARENA_ARRAY(arena, const char *, ns->spec->n_finalizers + 1);
    for (size_t i = 0; i < ns->spec->n_finalizers; i++)
        if (!streq(ns->spec->finalizers[i], "kubernetes"))
            changed->spec->finalizers[changed->spec->n_finalizers++] = ns->spec->finalizers[i];
    controller_update(c, followed_kind(FOLLOWED_NAMESPACES), "finalize", &changed->base);
}

static void sync(controller_t *c, const char *key) {
    const record_t *r = informer_get_key(controller_follow(c, FOLLOWED_NAMESPACES), key);
    if (!r) {
        forget(c, key);
        return;
    }
    pass_t *pass = pass_of(c, key);
    namespace_view_t view = {
        .namespace_ = RECORD_AS(Core__Namespace, r),
        .has_account =
            informer_get(controller_follow(c, FOLLOWED_SERVICE_ACCOUNTS), key, "default"),
        .pass_is_done = pass->is_done,
        .pass_found = pass->found,
    };
    switch (namespace_plan(&view)) {
    case NAMESPACE_NOTHING: break;
    case NAMESPACE_MAKE_ACCOUNT: make_account(c, key); break;
    case NAMESPACE_DELETE_CONTENTS:
        *pass = (pass_t){.is_done = true};
        delete_contents(c, key);
        controller_touch(c, key); // when every answer is there
        break;
    case NAMESPACE_WAIT:
        pass->is_done = false;
        controller_touch_after(c, key, PASS_MS);
        break;
    case NAMESPACE_FINALIZE:
        pass->is_done = false;
        finalize(c, view.namespace_);
        break;
    }
}

static void outcome(controller_t *c, const write_t *w, const ProtobufCMessage *obj,
                    const api_failure_t *failure) {
    if (w->verb == WRITE_DELETE_ALL) pass_of(c, w->key)->found += failure ? 1 : w->deleted;
}

static void stop(controller_t *c) {
    state_t *state = controller_state(c);
    size_t at = 0;
    const char *key;
    void *value;
    while (map_next(&state->of, &at, &key, &value)) free(value);
    map_done(&state->of);
}

const controller_def_t namespace_controller = {
    .name = "namespace-controller",
    .needs = NEEDS(NAMESPACES) | NEEDS(SERVICE_ACCOUNTS),
    .state_size = sizeof(state_t),
    .start = start,
    .sync = sync,
    .outcome = outcome,
    .stop = stop,
};
