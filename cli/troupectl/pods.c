// Which pod does a word stand for?
#include "cli/troupectl/ctl.h"
#include "k8s/apps_v1.pb-c.h"
#include "runtime/api/selector.h"

static const char *service_selector(arena_t *arena, const Core__ServiceSpec *spec) {
    text_t out = {.arena = arena};
    for (size_t i = 0; spec && i < spec->n_selector; i++)
        text_addf(&out, "%s%s=%s", i ? "," : "", spec->selector[i]->key, spec->selector[i]->value);
    return out.len ? text_str(&out) : NULL;
}

static const char *selector_of(arena_t *arena, const kind_t *k, const ProtobufCMessage *obj) {
    const Meta__LabelSelector *selector = NULL;
    if (k->type == &core__service__descriptor)
        return service_selector(arena, ((const Core__Service *)obj)->spec);
    if (k->type == &apps__deployment__descriptor)
        selector = ((const Apps__Deployment *)obj)->spec->selector;
    if (k->type == &apps__replica_set__descriptor)
        selector = ((const Apps__ReplicaSet *)obj)->spec->selector;
    return selector ? selector_text(arena, selector) : NULL;
}

static bool is_ready(const ProtobufCMessage *obj) {
    const Core__PodStatus *status = ((const Core__Pod *)obj)->status;
    for (size_t i = 0; status && i < status->n_conditions; i++)
        if (streq(or_empty(status->conditions[i]->type), "Ready"))
            return streq(or_empty(status->conditions[i]->status), "True");
    return false;
}

static const char *pod_behind(ctl_t *ctl, const target_t *target) {
    if (target->kind->type == &core__pod__descriptor) return target->name;
    const kind_t *k = kind_stored(target->kind);
    ProtobufCMessage *obj;
    failure_t failure;
    if (ctl_get(ctl, k, ctl_namespace_of(ctl, k), target->name, &obj, &failure))
        return refuse_failure(&failure), NULL;
    const char *selector = selector_of(&ctl->arena, k, obj);
    if (!selector) return refuse("%s selects no pods", object_ref(ctl, k, target->name)), NULL;
    objects_t pods;
    if (ctl_list(ctl, kind_find("", "v1", "Pod"), ctl_namespace(ctl), selector, NULL, &pods,
                 &failure))
        return refuse_failure(&failure), NULL;
    if (pods.len == 0) return refuse("%s has no pods yet", object_ref(ctl, k, target->name)), NULL;
    size_t chosen = 0;
    while (chosen < pods.len && !is_ready(pods.at[chosen])) chosen++;
    const char *name = object_meta_read(pods.at[chosen < pods.len ? chosen : 0])->name;
    if (pods.len > 1) fprintf(stderr, "Found %zu pods, using pod/%s\n", pods.len, name);
    return name;
}

const char *ctl_pod_argument(ctl_t *ctl) {
    if (ctl->words.len == 0) return refuse("expected a POD or TYPE/NAME"), NULL;
    const char *word = ctl->words.at[0];
    if (!strchr(word, '/')) return word;
    targets_t targets;
    words_t all = ctl->words;
    ctl->words.len = 1;
    bool ok = targets_parse(ctl, 0, &targets);
    ctl->words = all;
    return ok ? pod_behind(ctl, &targets.at[0]) : NULL;
}
