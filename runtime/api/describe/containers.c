// containers - containers and volumes as `describe` tells them, of pods and of templates.
#include "runtime/api/describe/page.h"
#include "runtime/api/kinds/fill.h"

// ---- what a container is ------------------------------------------------------------------------
static const char *ports_text(const page_t *page, const Core__Container *c, bool host) {
    text_t out = {.arena = page->arena};
    for (size_t i = 0; i < c->n_ports; i++)
        text_addf(&out, "%s%d/%s", i ? ", " : "",
                  host ? c->ports[i]->hostport : c->ports[i]->containerport,
                  or_empty(c->ports[i]->protocol));
    return text_str(&out);
}

static void add_ports(page_t *page, const char *title, const char *ports) {
    page_add(page, 2, "%s%s:\t%s\n", title, strchr(ports, ',') ? "s" : "", or_none(ports));
}

static void add_words(page_t *page, const char *title, const char *const *at, size_t len) {
    if (!len) return;
    page_add(page, 2, "%s:\n", title);
    for (size_t i = 0; i < len; i++)
        for (const char *line = at[i];; line++) {
            size_t bytes = strcspn(line, "\n");
            page_add(page, 3, "%.*s\n", (int)bytes, line);
            line += bytes;
            if (!*line) break;
        }
}

static void add_amounts(page_t *page, int level, const char *title, const void *entries,
                        size_t len) {
    quantity_entry_t *const *at = entries;
    if (len) page_add(page, level, "%s:\n", title);
    for (size_t i = 0; i < len; i++)
        page_add(page, level + 1, "%s:\t%s\n", or_empty(at[i]->key),
                 at[i]->value ? or_empty(at[i]->value->string) : "0");
}

// ---- how it goes --------------------------------------------------------------------------------
static void add_end(page_t *page, const Core__ContainerStateTerminated *end) {
    if (!is_empty(end->reason)) page_add(page, 3, "Reason:\t%s\n", end->reason);
    if (!is_empty(end->message)) page_add(page, 3, "Message:\t%s\n", end->message);
    page_add(page, 3, "Exit Code:\t%d\n", end->exitcode);
    if (end->signal > 0) page_add(page, 3, "Signal:\t%d\n", end->signal);
    page_add(page, 3, "Started:\t%s\n", page_time(page, time_wall_ms(end->startedat)));
    page_add(page, 3, "Finished:\t%s\n", page_time(page, time_wall_ms(end->finishedat)));
}

static void add_state(page_t *page, const char *title, const Core__ContainerState *state) {
    if (state && state->running) {
        page_add(page, 2, "%s:\tRunning\n", title);
        page_add(page, 3, "Started:\t%s\n",
                 page_time(page, time_wall_ms(state->running->startedat)));
    } else if (state && state->terminated) {
        page_add(page, 2, "%s:\tTerminated\n", title);
        add_end(page, state->terminated);
    } else {
        page_add(page, 2, "%s:\tWaiting\n", title);
        if (state && state->waiting && !is_empty(state->waiting->reason))
            page_add(page, 3, "Reason:\t%s\n", state->waiting->reason);
    }
}

static void add_status(page_t *page, const Core__ContainerStatus *status) {
    add_state(page, "State", status->state);
    if (status->laststate && status->laststate->terminated)
        add_state(page, "Last State", status->laststate);
    page_add(page, 2, "Ready:\t%s\n", status->ready ? "True" : "False");
    page_add(page, 2, "Restart Count:\t%d\n", status->restartcount);
}

// ---- probes -------------------------------------------------------------------------------------
static const char *handler_text(const page_t *page, const Core__ProbeHandler *h) {
    arena_t *a = page->arena;
    if (h && h->exec)
        return arena_printf(a, "exec [%s]",
                            page_joined(page, (const char *const *)h->exec->command,
                                        h->exec->n_command, " "));
    if (h && h->httpget) {
        char *scheme = arena_strdup(a, or_empty(h->httpget->scheme));
        for (char *p = scheme; *p; p++)
            if (*p >= 'A' && *p <= 'Z') *p += 'a' - 'A';
        return arena_printf(a, "http-get %s://%s:%s%s", scheme, or_empty(h->httpget->host),
                            intstr_text(a, h->httpget->port), or_empty(h->httpget->path));
    }
    if (h && h->tcpsocket)
        return arena_printf(a, "tcp-socket %s:%s", or_empty(h->tcpsocket->host),
                            intstr_text(a, h->tcpsocket->port));
    if (h && h->grpc)
        return arena_printf(a, "grpc <pod>:%d %s", h->grpc->port, or_empty(h->grpc->service));
    return "unknown";
}

static void add_probe(page_t *page, const char *title, const Core__Probe *probe) {
    if (!probe) return;
    page_add(page, 2, "%s:\t%s delay=%ds timeout=%ds period=%ds #success=%d #failure=%d\n", title,
             handler_text(page, probe->handler), probe->initialdelayseconds, probe->timeoutseconds,
             probe->periodseconds, probe->successthreshold, probe->failurethreshold);
}

// ---- environment --------------------------------------------------------------------------------
static const char *local_name(const Core__LocalObjectReference *reference) {
    return reference ? or_empty(reference->name) : "";
}

static const char *bool_text(bool value) { return value ? "true" : "false"; }

static void add_env_from(page_t *page, const Core__Container *c) {
    if (!c->n_envfrom) return;
    page_add(page, 2, "Environment Variables from:\n");
    for (size_t i = 0; i < c->n_envfrom; i++) {
        const Core__EnvFromSource *from = c->envfrom[i];
        const Core__LocalObjectReference *reference =
            from->configmapref ? from->configmapref->localobjectreference
            : from->secretref  ? from->secretref->localobjectreference
                               : NULL;
        bool optional = from->configmapref ? from->configmapref->optional
                                           : from->secretref && from->secretref->optional;
        page_add(page, 3, "%s\t%s", local_name(reference),
                 from->configmapref ? "ConfigMap" : "Secret");
        if (!is_empty(from->prefix)) page_add(page, 0, " with prefix '%s'", from->prefix);
        page_add(page, 0, "\tOptional: %s\n", bool_text(optional));
    }
}

static void add_env_source(page_t *page, const Core__EnvVar *env, const Core__Pod *pod) {
    const Core__EnvVarSource *from = env->valuefrom;
    const char *name = or_empty(env->name);
    if (from->fieldref) {
        const char *path = or_empty(from->fieldref->fieldpath);
        const char *value = pod ? msg_text_at(page->arena, &pod->base, path) : NULL;
        page_add(page, 3, "%s:\t%s (%s:%s)\n", name, or_empty(value),
                 or_empty(from->fieldref->apiversion), path);
    } else if (from->resourcefieldref) {
        page_add(page, 3, "%s:\t (%s)\n", name, or_empty(from->resourcefieldref->resource));
    } else if (from->secretkeyref) {
        page_add(page, 3, "%s:\t<set to the key '%s' in secret '%s'>\tOptional: %s\n", name,
                 or_empty(from->secretkeyref->key),
                 local_name(from->secretkeyref->localobjectreference),
                 bool_text(from->secretkeyref->optional));
    } else if (from->configmapkeyref) {
        page_add(page, 3, "%s:\t<set to the key '%s' of config map '%s'>\tOptional: %s\n", name,
                 or_empty(from->configmapkeyref->key),
                 local_name(from->configmapkeyref->localobjectreference),
                 bool_text(from->configmapkeyref->optional));
    }
}

static void add_env(page_t *page, const Core__Container *c, const Core__Pod *pod) {
    page_add(page, 2, "Environment:%s\n", c->n_env ? "" : "\t<none>");
    for (size_t i = 0; i < c->n_env; i++) {
        if (c->env[i]->valuefrom) {
            add_env_source(page, c->env[i], pod);
            continue;
        }
        const char *title = arena_printf(page->arena, "%s:", or_empty(c->env[i]->name));
        for (const char *line = or_empty(c->env[i]->value);; line++, title = "") {
            size_t bytes = strcspn(line, "\n");
            page_add(page, 3, "%s\t%.*s\n", title, (int)bytes, line);
            line += bytes;
            if (!*line) break;
        }
    }
}

// ---- mounts -------------------------------------------------------------------------------------
static int by_path(const void *a, const void *b) {
    const Core__VolumeMount *x = *(const Core__VolumeMount *const *)a;
    const Core__VolumeMount *y = *(const Core__VolumeMount *const *)b;
    return strcmp(or_empty(x->mountpath), or_empty(y->mountpath));
}

static void add_mounts(page_t *page, const Core__Container *c) {
    page_add(page, 2, "Mounts:%s\n", c->n_volumemounts ? "" : "\t<none>");
    if (!c->n_volumemounts) return;
    Core__VolumeMount **sorted =
        arena_dup(page->arena, c->volumemounts, c->n_volumemounts * sizeof *c->volumemounts);
    qsort(sorted, c->n_volumemounts, sizeof *sorted, by_path);
    for (size_t i = 0; i < c->n_volumemounts; i++) {
        page_add(page, 3, "%s from %s (%s", or_empty(sorted[i]->mountpath),
                 or_empty(sorted[i]->name), sorted[i]->readonly ? "ro" : "rw");
        if (!is_empty(sorted[i]->subpath)) page_add(page, 0, ",path=\"%s\"", sorted[i]->subpath);
        page_add(page, 0, ")\n");
    }
}

// ---- containers ---------------------------------------------------------------------------------
static const Core__ContainerStatus *status_named(Core__ContainerStatus *const *at, size_t len,
                                                 const char *name) {
    for (size_t i = 0; i < len; i++)
        if (streq(or_empty(at[i]->name), name)) return at[i];
    return NULL;
}

static void add_container(page_t *page, const Core__Container *c,
                          const Core__ContainerStatus *status, const Core__Pod *pod,
                          const char *indent) {
    page_add(page, 1, "%s%s:\n", *indent ? " " : "", or_empty(c->name));
    if (status) page_add(page, 2, "Container ID:\t%s\n", or_empty(status->containerid));
    page_add(page, 2, "Image:\t%s\n", or_empty(c->image));
    if (status) page_add(page, 2, "Image ID:\t%s\n", or_empty(status->imageid));
    add_ports(page, "Port", ports_text(page, c, false));
    add_ports(page, "Host Port", ports_text(page, c, true));
    add_words(page, "Command", (const char *const *)c->command, c->n_command);
    add_words(page, "Args", (const char *const *)c->args, c->n_args);
    if (status) add_status(page, status);
    if (c->resources) {
        add_amounts(page, 2, "Limits", c->resources->limits, c->resources->n_limits);
        add_amounts(page, 2, "Requests", c->resources->requests, c->resources->n_requests);
    }
    add_probe(page, "Liveness", c->livenessprobe);
    add_probe(page, "Readiness", c->readinessprobe);
    add_probe(page, "Startup", c->startupprobe);
    add_env_from(page, c);
    add_env(page, c, pod);
    add_mounts(page, c);
}

void page_containers(page_t *page, const char *label, Core__Container *const *at, size_t len,
                     Core__ContainerStatus *const *statuses, size_t statuses_len,
                     const Core__Pod *pod, const char *indent) {
    page_add(page, 0, "%s%s:%s\n", indent, label, len ? "" : " <none>");
    for (size_t i = 0; i < len; i++)
        add_container(page, at[i], status_named(statuses, statuses_len, or_empty(at[i]->name)), pod,
                      indent);
}

// ---- volumes ------------------------------------------------------------------------------------
static void add_projection(page_t *page, const Core__VolumeProjection *source) {
    if (source->secret) {
        page_add(page, 2, "SecretName:\t%s\n", local_name(source->secret->localobjectreference));
        page_add(page, 2, "Optional:\t%s\n", bool_text(source->secret->optional));
    } else if (source->downwardapi) {
        page_add(page, 2, "DownwardAPI:\ttrue\n");
    } else if (source->configmap) {
        page_add(page, 2, "ConfigMapName:\t%s\n",
                 local_name(source->configmap->localobjectreference));
        page_add(page, 2, "Optional:\t%s\n", bool_text(source->configmap->optional));
    } else if (source->serviceaccounttoken) {
        page_add(page, 2, "TokenExpirationSeconds:\t%lld\n",
                 (long long)source->serviceaccounttoken->expirationseconds);
    }
}

static void add_downward(page_t *page, const Core__DownwardAPIVolumeSource *source) {
    page_add(page, 2, "Type:\tDownwardAPI (a volume populated by information about the pod)\n");
    page_add(page, 2, "Items:\n");
    for (size_t i = 0; i < source->n_items; i++) {
        const Core__DownwardAPIVolumeFile *item = source->items[i];
        const char *what = item->fieldref           ? or_empty(item->fieldref->fieldpath)
                           : item->resourcefieldref ? or_empty(item->resourcefieldref->resource)
                                                    : "";
        page_add(page, 3, "%s -> %s\n", what, or_empty(item->path));
    }
}

// Volumes that have lines of their own; false: some other kind.
static bool add_local_source(page_t *page, const Core__VolumeSource *s) {
    if (s->hostpath) {
        page_add(page, 2, "Type:\tHostPath (bare host directory volume)\n");
        page_add(page, 2, "Path:\t%s\n", or_empty(s->hostpath->path));
        page_add(page, 2, "HostPathType:\t%s\n", s->hostpath->type ? s->hostpath->type : "<none>");
    } else if (s->emptydir) {
        page_add(page, 2, "Type:\tEmptyDir (a temporary directory that shares a pod's lifetime)\n");
        page_add(page, 2, "Medium:\t%s\n", or_empty(s->emptydir->medium));
        page_add(page, 2, "SizeLimit:\t%s\n",
                 s->emptydir->sizelimit ? or_empty(s->emptydir->sizelimit->string) : "<unset>");
    } else if (s->secret) {
        page_add(page, 2, "Type:\tSecret (a volume populated by a Secret)\n");
        page_add(page, 2, "SecretName:\t%s\n", or_empty(s->secret->secretname));
        page_add(page, 2, "Optional:\t%s\n", bool_text(s->secret->optional));
    } else if (s->configmap) {
        page_add(page, 2, "Type:\tConfigMap (a volume populated by a ConfigMap)\n");
        page_add(page, 2, "Name:\t%s\n", local_name(s->configmap->localobjectreference));
        page_add(page, 2, "Optional:\t%s\n", bool_text(s->configmap->optional));
    } else if (s->downwardapi) {
        add_downward(page, s->downwardapi);
    } else if (s->projected) {
        page_add(page, 2,
                 "Type:\tProjected (a volume that contains injected data from multiple sources)\n");
        for (size_t i = 0; i < s->projected->n_sources; i++)
            add_projection(page, s->projected->sources[i]);
    } else {
        return false;
    }
    return true;
}

static void add_remote_source(page_t *page, const Core__VolumeSource *s) {
    if (s->nfs) {
        page_add(page, 2, "Type:\tNFS (an NFS mount that lasts the lifetime of a pod)\n");
        page_add(page, 2, "Server:\t%s\n", or_empty(s->nfs->server));
        page_add(page, 2, "Path:\t%s\n", or_empty(s->nfs->path));
        page_add(page, 2, "ReadOnly:\t%s\n", bool_text(s->nfs->readonly));
    } else if (s->persistentvolumeclaim) {
        page_add(page, 2,
                 "Type:\tPersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same "
                 "namespace)\n");
        page_add(page, 2, "ClaimName:\t%s\n", or_empty(s->persistentvolumeclaim->claimname));
        page_add(page, 2, "ReadOnly:\t%s\n", bool_text(s->persistentvolumeclaim->readonly));
    } else {
        page_add(page, 1, "<unknown>\n");
    }
}

void page_volumes(page_t *page, Core__Volume *const *at, size_t len, const char *indent) {
    page_add(page, 0, "%sVolumes:%s\n", indent, len ? "" : "\t<none>");
    for (size_t i = 0; i < len; i++) {
        page_add(page, 1, "%s%s:\n", *indent ? " " : "", or_empty(at[i]->name));
        const Core__VolumeSource *source = at[i]->volumesource;
        if (source && !add_local_source(page, source)) add_remote_source(page, source);
    }
}

void page_template(page_t *page, const Core__PodTemplateSpec *template) {
    page_add(page, 0, "Pod Template:\n");
    if (!template || !template->spec) {
        page_add(page, 1, "<unset>\n");
        return;
    }
    const Meta__ObjectMeta *meta = object_meta_read(&template->base);
    const Core__PodSpec *spec = template->spec;
    page_labels(page, "  Labels", meta->labels, meta->n_labels);
    if (meta->n_annotations) page_annotations(page, "  Annotations", meta);
    if (!is_empty(spec->serviceaccountname))
        page_add(page, 1, "Service Account:\t%s\n", spec->serviceaccountname);
    if (spec->n_initcontainers)
        page_containers(page, "Init Containers", spec->initcontainers, spec->n_initcontainers, NULL,
                        0, NULL, "  ");
    page_containers(page, "Containers", spec->containers, spec->n_containers, NULL, 0, NULL, "  ");
    page_volumes(page, spec->volumes, spec->n_volumes, "  ");
    if (!is_empty(spec->priorityclassname))
        page_add(page, 1, "Priority Class Name:\t%s\n", spec->priorityclassname);
    page_labels(page, "  Node-Selectors", spec->nodeselector, spec->n_nodeselector);
    page_tolerations(page, "  Tolerations", spec->tolerations, spec->n_tolerations);
}
