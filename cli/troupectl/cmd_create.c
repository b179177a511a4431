// create, replace, expose: objects from manifests, or from a few words.
#include "cli/troupectl/ctl.h"
#include "cli/troupectl/make.h"
#include "runtime/api/selector.h"

static int create_all(ctl_t *ctl) {
    wanteds_t wanteds = {0};
    if (!manifests_load(ctl, &wanteds)) return vec_done(&wanteds), EXIT_FAILED;
    int worst = 0;
    for (size_t i = 0; i < wanteds.len; i++) {
        const wanted_t *w = &wanteds.at[i];
        ProtobufCMessage *made;
        failure_t failure;
        object_meta(&ctl->arena, w->obj)->resourceversion = "";
        if (ctl_create(ctl, w->kind, w->ns, w->obj, &made, &failure))
            worst = refuse_file_failure(w->file, &failure);
        else if (print_done(ctl, w->kind, made, "created"))
            worst = EXIT_FAILED;
    }
    vec_done(&wanteds);
    return worst;
}

static int create_one(ctl_t *ctl, const kind_t *k, ProtobufCMessage *obj) {
    ProtobufCMessage *made;
    failure_t failure;
    if (ctl_create(ctl, k, ctl_namespace_of(ctl, k), obj, &made, &failure))
        return refuse_failure(&failure);
    return print_done(ctl, k, made, "created");
}

int cmd_create(ctl_t *ctl) {
    if (ctl->words.len == 0) return create_all(ctl);
    const char *what = ctl->words.at[0];
    if (ctl->words.len != 2)
        return refuse("exactly one NAME is required, got %zu", ctl->words.len - 1);
    const char *name = ctl->words.at[1];
    why_t why;
    if (streq(what, "namespace") || streq(what, "ns"))
        return create_one(ctl, kind_find("", "v1", "Namespace"),
                          &make_namespace(&ctl->arena, name)->base);
    if (streq(what, "deployment") || streq(what, "deploy")) {
        Apps__Deployment *d = make_deployment(&ctl->arena, name, "app", &ctl->o, &ctl->rest, &why);
        return d ? create_one(ctl, kind_find("apps", "v1", "Deployment"), &d->base)
                 : refuse("%s", why.text);
    }
    return refuse("unknown short form \"create %s\": want namespace or deployment, or -f FILE",
                  what);
}

int cmd_replace(ctl_t *ctl) {
    wanteds_t wanteds = {0};
    if (!manifests_load(ctl, &wanteds)) return vec_done(&wanteds), EXIT_FAILED;
    int worst = 0;
    for (size_t i = 0; i < wanteds.len; i++) {
        const wanted_t *w = &wanteds.at[i];
        ProtobufCMessage *made;
        failure_t failure;
        if (ctl_update(ctl, w->kind, w->ns, w->obj, "", &made, &failure))
            worst = refuse_file_failure(w->file, &failure);
        else if (print_done(ctl, w->kind, made, "replaced"))
            worst = EXIT_FAILED;
    }
    vec_done(&wanteds);
    return worst;
}

// ---- expose ------------------------------------------------------------------------------------

typedef struct {
    Meta__ObjectMeta__LabelsEntry **labels;
    size_t len;
    const Core__PodSpec *spec;
} exposed_t;

// A selector with expressions cannot stand in a Service.
static int labels_of_selector(ctl_t *ctl, const Meta__LabelSelector *s, exposed_t *ret) {
    if (!s || s->n_matchexpressions)
        return refuse(
            "couldn't convert expressions of the selector to a service's map-based selector");
    ret->labels = ARENA_ARRAY(&ctl->arena, Meta__ObjectMeta__LabelsEntry *, s->n_matchlabels);
    for (size_t i = 0; i < s->n_matchlabels; i++) {
        Meta__ObjectMeta__LabelsEntry *entry = MSG_NEW(&ctl->arena, Meta__ObjectMeta__LabelsEntry,
                                                       meta__object_meta__labels_entry__descriptor);
        entry->key = s->matchlabels[i]->key;
        entry->value = s->matchlabels[i]->value;
        ret->labels[ret->len++] = entry;
    }
    return 0;
}

static int look_behind(ctl_t *ctl, const kind_t *k, ProtobufCMessage *obj, exposed_t *ret) {
    if (k->type == &apps__deployment__descriptor) {
        const Apps__DeploymentSpec *spec = ((Apps__Deployment *)obj)->spec;
        ret->spec = spec->template_ ? spec->template_->spec : NULL;
        return labels_of_selector(ctl, spec->selector, ret);
    }
    if (k->type == &apps__replica_set__descriptor) {
        const Apps__ReplicaSetSpec *spec = ((Apps__ReplicaSet *)obj)->spec;
        ret->spec = spec->template_ ? spec->template_->spec : NULL;
        return labels_of_selector(ctl, spec->selector, ret);
    }
    if (k->type == &core__pod__descriptor) {
        const Core__Pod *pod = (Core__Pod *)obj;
        ret->spec = pod->spec;
        ret->labels = pod->metadata->labels;
        ret->len = pod->metadata->n_labels;
        return ret->len ? 0 : refuse("the pod has no labels and cannot be exposed");
    }
    return refuse("cannot expose a %s", k->name);
}

int cmd_expose(ctl_t *ctl) {
    target_t target;
    if (!target_parse_one(ctl, 0, &target)) return EXIT_FAILED;
    ProtobufCMessage *obj;
    failure_t failure;
    // Old versions of a kind are read as the stored one, whose type look_behind knows.
    const kind_t *k = kind_stored(target.kind);
    if (ctl_get(ctl, k, ctl_namespace_of(ctl, k), target.name, &obj, &failure))
        return refuse_failure(&failure);
    exposed_t behind = {0};
    int code = look_behind(ctl, k, obj, &behind);
    if (code) return code;
    why_t why;
    if (ctl->o.selector) {
        Core__Pod *carrier = MSG_NEW(&ctl->arena, Core__Pod, core__pod__descriptor);
        if (make_labels(&ctl->arena, &carrier->base, ctl->o.selector, &why))
            return refuse("%s", why.text);
        behind.labels = carrier->metadata->labels;
        behind.len = carrier->metadata->n_labels;
    }
    const char *name = ctl->o.name ? ctl->o.name : target.name;
    Core__Service *service =
        make_service(&ctl->arena, name, behind.labels, behind.len, behind.spec, &ctl->o, &why);
    if (!service) return refuse("%s", why.text);
    const Meta__ObjectMeta *from = object_meta_read(obj);
    for (size_t i = 0; i < from->n_labels; i++)
        object_set_label(&ctl->arena, &service->base, from->labels[i]->key, from->labels[i]->value);
    if (ctl->o.labels && make_labels(&ctl->arena, &service->base, ctl->o.labels, &why))
        return refuse("%s", why.text);
    ProtobufCMessage *made;
    const kind_t *service_kind = kind_find("", "v1", "Service");
    if (ctl_create(ctl, service_kind, ctl_namespace(ctl), &service->base, &made, &failure))
        return refuse_failure(&failure);
    return print_done(ctl, service_kind, made, "exposed");
}
