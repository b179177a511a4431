#include "cli/troupectl/make.h"
#include "runtime/api/msg.h"
#include <errno.h>

#define MAKE(type, descriptor) MSG_NEW(arena, type, descriptor)

static bool read_port(const char *text, int32_t *ret_port) {
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno || end == text || *end || value < INT32_MIN || value > INT32_MAX) return false;
    *ret_port = (int32_t)value;
    return true;
}

err_t make_labels(arena_t *arena, ProtobufCMessage *obj, const char *text, why_t *why) {
    char *list = arena_strdup(arena, text), *one;
    while ((one = strsep(&list, ","))) {
        char *equals = strchr(one, '=');
        if (!equals || equals == one)
            return why_set(why, ERR_USAGE, "label \"%s\" is not of the form key=value", one);
        *equals = 0;
        object_set_label(arena, obj, one, equals + 1);
    }
    return ERR_OK;
}

static const char **words_dup(arena_t *arena, const words_t *words) {
    return arena_dup(arena, words->at, words->len * sizeof *words->at);
}

static err_t fill_env(arena_t *arena, Core__Container *c, const words_t *envs, why_t *why) {
    c->env = ARENA_ARRAY(arena, Core__EnvVar *, envs->len);
    for (size_t i = 0; i < envs->len; i++) {
        const char *equals = strchr(envs->at[i], '=');
        if (!equals || equals == envs->at[i])
            return why_set(why, ERR_USAGE, "invalid env: %s, want NAME=VALUE", envs->at[i]);
        Core__EnvVar *env = MAKE(Core__EnvVar, core__env_var__descriptor);
        env->name = arena_strndup(arena, envs->at[i], (size_t)(equals - envs->at[i]));
        env->value = arena_strdup(arena, equals + 1);
        c->env[c->n_env++] = env;
    }
    return ERR_OK;
}

static Core__PodSpec *make_pod_spec(arena_t *arena, const char *container, const flags_t *o,
                                    const words_t *args, why_t *why) {
    if (is_empty(o->image))
        return why_set(why, ERR_USAGE, "required flag(s) \"image\" not set"), NULL;
    Core__Container *c = MAKE(Core__Container, core__container__descriptor);
    c->name = container;
    c->image = o->image;
    c->imagepullpolicy = or_empty(o->image_pull_policy);
    if (o->command)
        c->command = words_dup(arena, args), c->n_command = args->len;
    else
        c->args = words_dup(arena, args), c->n_args = args->len;
    c->has_stdin = c->has_stdinonce = c->has_tty = true;
    c->stdin = c->stdinonce = o->stdin_; // the first session's end is the end of the input
    c->tty = o->tty;
    if (fill_env(arena, c, &o->envs, why)) return NULL;
    if (o->port) {
        Core__ContainerPort *port = MAKE(Core__ContainerPort, core__container_port__descriptor);
        if (!read_port(o->port, &port->containerport))
            return why_set(why, ERR_USAGE, "invalid --port \"%s\": want a number", o->port), NULL;
        port->has_containerport = true;
        c->ports = ARENA_ARRAY(arena, Core__ContainerPort *, 1);
        c->ports[c->n_ports++] = port;
    }
    Core__PodSpec *spec = MAKE(Core__PodSpec, core__pod_spec__descriptor);
    spec->containers = ARENA_ARRAY(arena, Core__Container *, 1);
    spec->containers[spec->n_containers++] = c;
    spec->restartpolicy = or_empty(o->restart);
    return spec;
}

Core__Pod *make_pod(arena_t *arena, const char *name, const flags_t *o, const words_t *args,
                    why_t *why) {
    Core__Pod *pod = MAKE(Core__Pod, core__pod__descriptor);
    object_meta(arena, &pod->base)->name = name;
    object_set_label(arena, &pod->base, "run", name);
    if (o->labels && make_labels(arena, &pod->base, o->labels, why)) return NULL;
    pod->spec = make_pod_spec(arena, name, o, args, why);
    return pod->spec ? pod : NULL;
}

// The container of `create deployment` is named after its image: "repo/nginx:1.22" gives "nginx".
static const char *container_name(arena_t *arena, const char *image) {
    const char *slash = strrchr(image, '/'), *from = slash ? slash + 1 : image;
    return arena_strndup(arena, from, strcspn(from, ":@"));
}

Apps__Deployment *make_deployment(arena_t *arena, const char *name, const char *label_key,
                                  const flags_t *o, const words_t *args, why_t *why) {
    int32_t replicas = 1;
    if (o->replicas && (!read_port(o->replicas, &replicas) || replicas < 0))
        return why_set(why, ERR_USAGE, "invalid --replicas \"%s\": want a number of 0 or more",
                       o->replicas),
               NULL;
    if (!is_empty(o->restart) && !streq(o->restart, "Always"))
        return why_set(why, ERR_USAGE,
                       "a deployment's pods are always restarted: --restart=%s needs a pod (leave "
                       "--replicas out)",
                       o->restart),
               NULL;
    Apps__Deployment *d = MAKE(Apps__Deployment, apps__deployment__descriptor);
    object_meta(arena, &d->base)->name = name;
    Core__PodTemplateSpec *template =
        MAKE(Core__PodTemplateSpec, core__pod_template_spec__descriptor);
    object_set_label(arena, &d->base, label_key, name);
    object_set_label(arena, &template->base, label_key, name);
    if (o->labels && (make_labels(arena, &d->base, o->labels, why) ||
                      make_labels(arena, &template->base, o->labels, why)))
        return NULL;
    bool by_name = streq(label_key, "run");
    template->spec =
        make_pod_spec(arena, by_name || is_empty(o->image) ? name : container_name(arena, o->image),
                      o, args, why);
    if (!template->spec) return NULL;
    d->spec = MAKE(Apps__DeploymentSpec, apps__deployment_spec__descriptor);
    d->spec->has_replicas = true;
    d->spec->replicas = replicas;
    d->spec->template_ = template;
    d->spec->selector = MAKE(Meta__LabelSelector, meta__label_selector__descriptor);
    d->spec->selector->matchlabels = ARENA_ARRAY(arena, Meta__LabelSelector__MatchLabelsEntry *, 1);
    Meta__LabelSelector__MatchLabelsEntry *entry =
        MAKE(Meta__LabelSelector__MatchLabelsEntry,
             meta__label_selector__match_labels_entry__descriptor);
    entry->key = label_key;
    entry->value = name;
    d->spec->selector->matchlabels[d->spec->selector->n_matchlabels++] = entry;
    return d;
}

Core__Namespace *make_namespace(arena_t *arena, const char *name) {
    Core__Namespace *ns = MAKE(Core__Namespace, core__namespace__descriptor);
    object_meta(arena, &ns->base)->name = name;
    return ns;
}

// ---- services ----------------------------------------------------------------------------------

static Intstr__IntOrString *make_target(arena_t *arena, const char *text, int32_t number) {
    Intstr__IntOrString *target = MAKE(Intstr__IntOrString, intstr__int_or_string__descriptor);
    int32_t parsed = number;
    bool is_number = !text || read_port(text, &parsed);
    target->has_type = true;
    target->type = is_number ? 0 : 1;
    if (is_number)
        target->has_intval = true, target->intval = parsed;
    else
        target->strval = text;
    return target;
}

static err_t add_service_port(arena_t *arena, Core__Service *s, int32_t number, const char *name,
                              const flags_t *o, why_t *why) {
    Core__ServicePort *port = MAKE(Core__ServicePort, core__service_port__descriptor);
    port->name = or_empty(name);
    port->has_port = true;
    port->port = number;
    port->protocol = o->protocol ? o->protocol : "TCP";
    port->targetport = make_target(arena, o->target_port, number);
    if (o->node_port) {
        if (!read_port(o->node_port, &port->nodeport))
            return why_set(why, ERR_USAGE, "invalid --node-port \"%s\": want a number",
                           o->node_port);
        port->has_nodeport = true;
    }
    s->spec->ports[s->spec->n_ports++] = port;
    return ERR_OK;
}

static size_t count_ports(const Core__PodSpec *spec) {
    size_t len = 0;
    for (size_t i = 0; spec && i < spec->n_containers; i++) len += spec->containers[i]->n_ports;
    return len;
}

static err_t add_container_ports(arena_t *arena, Core__Service *s, const Core__PodSpec *spec,
                                 const flags_t *o, why_t *why) {
    size_t all = count_ports(spec);
    if (all == 0)
        return why_set(why, ERR_USAGE, "couldn't find port via --port flag or introspection");
    for (size_t i = 0; i < spec->n_containers; i++)
        for (size_t p = 0; p < spec->containers[i]->n_ports; p++) {
            const Core__ContainerPort *from = spec->containers[i]->ports[p];
            const char *name =
                all == 1 ? "" : arena_printf(arena, "port-%zu", s->spec->n_ports + 1);
            err_t err = add_service_port(arena, s, from->containerport, name, o, why);
            if (err) return err;
        }
    return ERR_OK;
}

Core__Service *make_service(arena_t *arena, const char *name,
                            Meta__ObjectMeta__LabelsEntry *const *selector, size_t selector_len,
                            const Core__PodSpec *pod_spec, const flags_t *o, why_t *why) {
    Core__Service *s = MAKE(Core__Service, core__service__descriptor);
    object_meta(arena, &s->base)->name = name;
    s->spec = MAKE(Core__ServiceSpec, core__service_spec__descriptor);
    s->spec->type = or_empty(o->type);
    s->spec->selector = ARENA_ARRAY(arena, Core__ServiceSpec__SelectorEntry *, selector_len);
    for (size_t i = 0; i < selector_len; i++) {
        Core__ServiceSpec__SelectorEntry *entry =
            MAKE(Core__ServiceSpec__SelectorEntry, core__service_spec__selector_entry__descriptor);
        entry->key = selector[i]->key;
        entry->value = selector[i]->value;
        s->spec->selector[s->spec->n_selector++] = entry;
    }
    s->spec->ports = ARENA_ARRAY(arena, Core__ServicePort *, count_ports(pod_spec) + 1);
    int32_t number;
    if (o->port && !read_port(o->port, &number))
        return why_set(why, ERR_USAGE, "invalid --port \"%s\": want a number", o->port), NULL;
    err_t err = o->port ? add_service_port(arena, s, number, "", o, why)
                        : add_container_ports(arena, s, pod_spec, o, why);
    return err ? NULL : s;
}
