// The host's side of a pod: folders, volumes, cgroup, and the files that are made for it.
#include "actors/kubelet/pod_config.h"
#include "actors/kubelet/pod_env.h"
#include "actors/kubelet/pod_status.h"
#include "runtime/api/msg.h"
#include "runtime/api/pod.h"
#include "runtime/api/quantity.h"
#include "runtime/base/hash.h"

enum { FILE_MODE_DEFAULT = 0644, SHARES_MIN = 2, CPU_PERIOD_MS = 100 };

// ---- paths ------------------------------------------------------------------------------------
const char *pod_dir(const pod_scene_t *s, arena_t *arena) {
    return arena_printf(arena, "%s/pods/%s", s->args->data_dir, or_empty(s->pod->metadata->uid));
}

const char *pod_log_dir(const kubelet_args_t *args, const char *ns, const char *name,
                        const char *uid, arena_t *arena) {
    return arena_printf(arena, "%s/%s_%s_%s", args->pod_log_dir, ns, name, uid);
}

const char *pod_message_path(const pod_scene_t *s, const char *container, uint32_t attempt,
                             arena_t *arena) {
    return arena_printf(arena, "%s/containers/%s/%u", pod_dir(s, arena), container, attempt);
}

uint32_t container_hash(const Core__Container *c) {
    arena_t arena = {0};
    bytes_t packed = msg_pack(&arena, &c->base);
    uint32_t hash = hash_fnv32a(packed.at, packed.len);
    arena_done(&arena);
    return hash ? hash : 1; // 0 means unknown
}

// ---- steps ------------------------------------------------------------------------------------
typedef struct {
    const pod_scene_t *scene;
    arena_t *arena;
    Node__HostPrepare *out;
    size_t cap;
} steps_t;

static Node__HostStep *add(steps_t *s, Node__HostStep__Kind kind, const char *path) {
    if (s->out->n_steps == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 16;
        Node__HostStep **grown = ARENA_ARRAY(s->arena, Node__HostStep *, cap);
        if (s->cap) memcpy(grown, s->out->steps, s->out->n_steps * sizeof *grown);
        s->out->steps = grown;
        s->cap = cap;
    }
    Node__HostStep *step = MSG_NEW(s->arena, Node__HostStep, node__host_step__descriptor);
    step->kind = kind;
    step->path = path;
    s->out->steps[s->out->n_steps++] = step;
    return step;
}

static steps_t steps_new(const pod_scene_t *scene, arena_t *arena) {
    return (steps_t){scene, arena,
                     MSG_NEW(arena, Node__HostPrepare, node__host_prepare__descriptor), 0};
}

// False: the name would lead out of the folder. Names are a stranger's: the API server checks them,
// and so do we.
static bool add_file(steps_t *s, const char *dir, const char *name, const void *data, size_t len,
                     int32_t mode) {
    if (is_empty(name) || !path_stays_below(name)) return false;
    Node__HostStep *step =
        add(s, NODE__HOST_STEP__KIND__FILE, arena_printf(s->arena, "%s/%s", dir, name));
    step->data = (ProtobufCBinaryData){len, (uint8_t *)data};
    step->mode = mode > 0 ? (uint32_t)mode : FILE_MODE_DEFAULT;
    return true;
}

// ---- files from objects -----------------------------------------------------------------------
// Where a key goes: all keys under their names, or the listed ones under their paths.
static const Core__KeyToPath *item_of(Core__KeyToPath *const *items, size_t len, const char *key) {
    for (size_t i = 0; i < len; i++)
        if (streq(or_empty(items[i]->key), key)) return items[i];
    return NULL;
}

typedef struct {
    const char *dir, *name;
    Core__KeyToPath *const *items;
    size_t items_len;
    bool optional;
    int32_t mode;
} object_files_t;

static void add_key(steps_t *s, const object_files_t *o, const char *key, const void *data,
                    size_t len) {
    const Core__KeyToPath *item = item_of(o->items, o->items_len, key);
    if (o->items_len && !item) return;
    (void)add_file(s, o->dir, item ? or_empty(item->path) : key, data, len,
                   item && item->has_mode ? item->mode : o->mode);
}

static err_t add_config_map(steps_t *s, const object_files_t *o, why_t *why) {
    const Core__ConfigMap *map = s->scene->find(s->scene->find_arg, false, o->name);
    if (!map)
        return o->optional ? ERR_OK
                           : why_set(why, ERR_NOT_FOUND, "configmap \"%s\" not found", o->name);
    for (size_t i = 0; i < map->n_data; i++)
        add_key(s, o, or_empty(map->data[i]->key), or_empty(map->data[i]->value),
                strlen(or_empty(map->data[i]->value)));
    for (size_t i = 0; i < map->n_binarydata; i++)
        add_key(s, o, or_empty(map->binarydata[i]->key), map->binarydata[i]->value.data,
                map->binarydata[i]->value.len);
    for (size_t i = 0; i < o->items_len && !o->optional; i++) {
        bool found = false;
        for (size_t k = 0; k < map->n_data; k++)
            found |= streq(or_empty(map->data[k]->key), or_empty(o->items[i]->key));
        for (size_t k = 0; k < map->n_binarydata; k++)
            found |= streq(or_empty(map->binarydata[k]->key), or_empty(o->items[i]->key));
        if (!found)
            return why_set(why, ERR_NOT_FOUND, "configmap references non-existent config key: %s",
                           or_empty(o->items[i]->key));
    }
    return ERR_OK;
}

static err_t add_secret(steps_t *s, const object_files_t *o, why_t *why) {
    const Core__Secret *secret = s->scene->find(s->scene->find_arg, true, o->name);
    if (!secret)
        return o->optional ? ERR_OK
                           : why_set(why, ERR_NOT_FOUND, "secret \"%s\" not found", o->name);
    for (size_t i = 0; i < secret->n_data; i++)
        add_key(s, o, or_empty(secret->data[i]->key), secret->data[i]->value.data,
                secret->data[i]->value.len);
    for (size_t i = 0; i < o->items_len && !o->optional; i++) {
        bool found = false;
        for (size_t k = 0; k < secret->n_data; k++)
            found |= streq(or_empty(secret->data[k]->key), or_empty(o->items[i]->key));
        if (!found)
            return why_set(why, ERR_NOT_FOUND, "references non-existent secret key: %s",
                           or_empty(o->items[i]->key));
    }
    return ERR_OK;
}

static err_t add_downward(steps_t *s, const char *dir, Core__DownwardAPIVolumeFile *const *items,
                          size_t len, int32_t mode, why_t *why) {
    for (size_t i = 0; i < len; i++) {
        const char *text = NULL;
        if (items[i]->fieldref)
            text = pod_field(s->scene, or_empty(items[i]->fieldref->fieldpath), s->arena);
        if (items[i]->resourcefieldref)
            text = pod_resource(s->scene, items[i]->resourcefieldref, NULL, s->arena);
        if (!text)
            return why_set(why, ERR_UNSUPPORTED, "unsupported fieldPath in %s",
                           or_empty(items[i]->path));
        (void)add_file(s, dir, or_empty(items[i]->path), text, strlen(text),
                       items[i]->has_mode ? items[i]->mode : mode);
    }
    return ERR_OK;
}

static const char *ref_name(const Core__LocalObjectReference *ref) {
    return ref ? or_empty(ref->name) : "";
}

static err_t add_projected(steps_t *s, const char *dir, const Core__ProjectedVolumeSource *p,
                           why_t *why) {
    int32_t mode = p->has_defaultmode ? p->defaultmode : FILE_MODE_DEFAULT;
    err_t err = ERR_OK;
    for (size_t i = 0; i < p->n_sources && !err; i++) {
        const Core__VolumeProjection *one = p->sources[i];
        if (one->configmap) {
            const Core__ConfigMapProjection *c = one->configmap;
            err = add_config_map(s,
                                 &(object_files_t){dir, ref_name(c->localobjectreference), c->items,
                                                   c->n_items, c->optional, mode},
                                 why);
        } else if (one->secret) {
            const Core__SecretProjection *c = one->secret;
            err = add_secret(s,
                             &(object_files_t){dir, ref_name(c->localobjectreference), c->items,
                                               c->n_items, c->optional, mode},
                             why);
        } else if (one->downwardapi) {
            err =
                add_downward(s, dir, one->downwardapi->items, one->downwardapi->n_items, mode, why);
        } else {
            err =
                why_set(why, ERR_UNSUPPORTED, "this source of a projected volume is not supported");
        }
    }
    return err;
}

// ---- volumes ----------------------------------------------------------------------------------
static err_t add_volume(steps_t *s, const Core__Volume *v, why_t *why) {
    const Core__VolumeSource *src = v->volumesource;
    const char *dir =
        arena_printf(s->arena, "%s/volumes/%s", pod_dir(s->scene, s->arena), or_empty(v->name));
    if (src && src->hostpath) {
        add(s, NODE__HOST_STEP__KIND__REQUIRE, or_empty(src->hostpath->path))->host_path_type =
            or_empty(src->hostpath->type);
        return ERR_OK;
    }
    const Core__PodSecurityContext *security = s->scene->pod->spec->securitycontext;
    Node__HostStep *folder = add(s, NODE__HOST_STEP__KIND__DIRECTORY, dir);
    folder->mode = 0777;
    folder->owner = security && security->has_fsgroup ? security->fsgroup : 0;
    if (!src || src->emptydir) {
        if (!src || !streq(or_empty(src->emptydir->medium), "Memory")) return ERR_OK;
        folder->kind = NODE__HOST_STEP__KIND__TMPFS;
        quantity_t limit = {0};
        const Resource__Quantity *size = src->emptydir->sizelimit;
        if (size && !is_empty(size->string) && quantity_parse(size->string, &limit) == ERR_OK)
            folder->size_limit = quantity_value(limit);
        return ERR_OK;
    }
    folder->mode = 0755;
    if (src->configmap) {
        const Core__ConfigMapVolumeSource *c = src->configmap;
        return add_config_map(
            s,
            &(object_files_t){dir, ref_name(c->localobjectreference), c->items, c->n_items,
                              c->optional, c->has_defaultmode ? c->defaultmode : FILE_MODE_DEFAULT},
            why);
    }
    if (src->secret) {
        const Core__SecretVolumeSource *c = src->secret;
        return add_secret(
            s,
            &(object_files_t){dir, or_empty(c->secretname), c->items, c->n_items, c->optional,
                              c->has_defaultmode ? c->defaultmode : FILE_MODE_DEFAULT},
            why);
    }
    if (src->downwardapi) {
        const Core__DownwardAPIVolumeSource *d = src->downwardapi;
        return add_downward(s, dir, d->items, d->n_items,
                            d->has_defaultmode ? d->defaultmode : FILE_MODE_DEFAULT, why);
    }
    if (src->projected) return add_projected(s, dir, src->projected, why);
    return why_set(why, ERR_UNSUPPORTED, "this kind of volume is not supported");
}

// ---- the pod's cgroup -------------------------------------------------------------------------
static const char *cgroup_of(const pod_scene_t *s, arena_t *arena) {
    const char *qos = pod_qos_class(s->pod->spec);
    const char *level = streq(qos, "Guaranteed")  ? ""
                        : streq(qos, "Burstable") ? "/burstable"
                                                  : "/besteffort";
    return arena_printf(arena, "%s/kubepods%s/pod%s", s->args->cgroup_root, level,
                        or_empty(s->pod->metadata->uid));
}

// The pod's limits are the sums of its containers', where each has one.
static void add_cgroup(steps_t *s) {
    const Core__PodSpec *spec = s->scene->pod->spec;
    int64_t cpu_milli = 0, request_milli = 0, memory = 0;
    for (size_t i = 0; i < spec->n_containers; i++) {
        int64_t cpu = container_amount(spec->containers[i], true, "cpu", true, -1);
        int64_t bytes = container_amount(spec->containers[i], true, "memory", false, -1);
        cpu_milli = cpu < 0 || cpu_milli < 0 ? -1 : cpu_milli + cpu;
        memory = bytes < 0 || memory < 0 ? -1 : memory + bytes;
        request_milli +=
            container_amount(spec->containers[i], false, "cpu", true, cpu < 0 ? 0 : cpu);
    }
    Node__HostStep *step = add(s, NODE__HOST_STEP__KIND__CGROUP, cgroup_of(s->scene, s->arena));
    int64_t shares = request_milli * 1024 / 1000;
    step->cpu_shares = shares < SHARES_MIN ? SHARES_MIN : shares;
    if (cpu_milli > 0) step->cpu_quota_us = cpu_milli * CPU_PERIOD_MS;
    if (memory > 0) step->memory_limit = memory;
}

err_t pod_host_steps(const pod_scene_t *scene, arena_t *arena, Node__HostPrepare **ret_steps,
                     const char **ret_volume, why_t *why) {
    steps_t s = steps_new(scene, arena);
    const Core__PodSpec *spec = scene->pod->spec;
    const Meta__ObjectMeta *meta = scene->pod->metadata;
    add(&s, NODE__HOST_STEP__KIND__DIRECTORY, pod_dir(scene, arena))->mode = 0750;
    const char *logs = pod_log_dir(scene->args, or_empty(meta->namespace_), or_empty(meta->name),
                                   or_empty(meta->uid), arena);
    for (size_t i = 0; i < spec->n_initcontainers; i++)
        add(&s, NODE__HOST_STEP__KIND__DIRECTORY,
            arena_printf(arena, "%s/%s", logs, or_empty(spec->initcontainers[i]->name)));
    for (size_t i = 0; i < spec->n_containers; i++)
        add(&s, NODE__HOST_STEP__KIND__DIRECTORY,
            arena_printf(arena, "%s/%s", logs, or_empty(spec->containers[i]->name)));
    add_cgroup(&s);
    for (size_t i = 0; i < spec->n_volumes; i++) {
        err_t err = add_volume(&s, spec->volumes[i], why);
        *ret_volume = or_empty(spec->volumes[i]->name);
        if (err) return err;
    }
    *ret_steps = s.out;
    return ERR_OK;
}

// ---- /etc/hosts, last words -------------------------------------------------------------------
static const char *hosts_text(const pod_scene_t *scene, arena_t *arena) {
    const Core__PodSpec *spec = scene->pod->spec;
    const char *name =
        !is_empty(spec->hostname) ? spec->hostname : or_empty(scene->pod->metadata->name);
    text_t t = {.arena = arena};
    text_add(&t, "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost "
                 "ip6-localhost ip6-loopback\n"
                 "fe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::"
                 "2\tip6-allrouters\n");
    if (!is_empty(scene->pod_ip) && !is_empty(spec->subdomain))
        text_addf(&t, "%s\t%s.%s.%s.svc.%s\t%s\n", scene->pod_ip, name, spec->subdomain,
                  or_empty(scene->pod->metadata->namespace_), scene->args->cluster_domain, name);
    else if (!is_empty(scene->pod_ip))
        text_addf(&t, "%s\t%s\n", scene->pod_ip, name);
    if (spec->n_hostaliases) text_add(&t, "\n# Entries added by HostAliases.\n");
    for (size_t i = 0; i < spec->n_hostaliases; i++) {
        text_add(&t, or_empty(spec->hostaliases[i]->ip));
        for (size_t k = 0; k < spec->hostaliases[i]->n_hostnames; k++)
            text_addf(&t, "\t%s", spec->hostaliases[i]->hostnames[k]);
        text_addc(&t, '\n');
    }
    return text_str(&t);
}

// A sub-path that is missing becomes a folder; what is there stays what it is.
static void add_subpath(steps_t *s, const Core__VolumeMount *mount, const env_t *env) {
    const Core__PodSpec *spec = s->scene->pod->spec;
    const char *sub = !is_empty(mount->subpathexpr)
                          ? expand_variables(s->arena, mount->subpathexpr, env->at, env->len)
                          : mount->subpath;
    for (size_t k = 0; k < spec->n_volumes && !is_empty(sub); k++) {
        const Core__VolumeSource *src = spec->volumes[k]->volumesource;
        if (!streq(or_empty(spec->volumes[k]->name), or_empty(mount->name)) ||
            (src && !src->emptydir && !src->hostpath))
            continue;
        const char *base = src && src->hostpath
                               ? or_empty(src->hostpath->path)
                               : arena_printf(s->arena, "%s/volumes/%s",
                                              pod_dir(s->scene, s->arena), or_empty(mount->name));
        add(s, NODE__HOST_STEP__KIND__SUBPATH, base)->below = sub;
    }
}

Node__HostPrepare *pod_container_steps(const pod_scene_t *scene, const pod_member_t *m,
                                       uint32_t attempt, arena_t *arena) {
    steps_t s = steps_new(scene, arena);
    if (!scene->pod->spec->hostnetwork) {
        const char *hosts = hosts_text(scene, arena);
        (void)add_file(&s, pod_dir(scene, arena), "etc-hosts", hosts, strlen(hosts),
                       FILE_MODE_DEFAULT);
    }
    add(&s, NODE__HOST_STEP__KIND__FILE, pod_message_path(scene, m->spec->name, attempt, arena))
        ->mode = 0666;
    env_t env = {.arena = arena};
    // What is wrong with the environment is said when the container is made.
    if (pod_env(scene, m->spec, &env, NULL)) env.len = 0;
    for (size_t i = 0; i < m->spec->n_volumemounts; i++)
        add_subpath(&s, m->spec->volumemounts[i], &env);
    return s.out;
}

Node__HostRemove *pod_traces(const pod_scene_t *scene, arena_t *arena) {
    Node__HostRemove *r = MSG_NEW(arena, Node__HostRemove, node__host_remove__descriptor);
    const Meta__ObjectMeta *meta = scene->pod->metadata;
    r->paths = ARENA_ARRAY(arena, const char *, 2);
    r->paths[r->n_paths++] = pod_dir(scene, arena);
    r->paths[r->n_paths++] = pod_log_dir(scene->args, or_empty(meta->namespace_),
                                         or_empty(meta->name), or_empty(meta->uid), arena);
    r->cgroups = ARENA_ARRAY(arena, const char *, 1);
    r->cgroups[r->n_cgroups++] = cgroup_of(scene, arena);
    return r;
}

// ---- what must be fetched first ---------------------------------------------------------------
typedef struct {
    arena_t *arena;
    object_ref_t *at;
    size_t len, cap;
} refs_t;

static void want(refs_t *r, object_kind_t kind, const char *name) {
    for (size_t i = 0; i < r->len; i++)
        if (r->at[i].kind == kind && streq(r->at[i].name, name)) return;
    if (is_empty(name)) return;
    if (r->len == r->cap) {
        object_ref_t *grown = ARENA_ARRAY(r->arena, object_ref_t, r->cap ? r->cap * 2 : 8);
        if (r->len) memcpy(grown, r->at, r->len * sizeof *grown);
        r->at = grown;
        r->cap = r->cap ? r->cap * 2 : 8;
    }
    r->at[r->len++] = (object_ref_t){kind, name};
}

static void want_of_container(refs_t *r, const Core__Container *c) {
    for (size_t i = 0; i < c->n_envfrom; i++) {
        if (c->envfrom[i]->configmapref)
            want(r, OBJECT_CONFIG_MAP, ref_name(c->envfrom[i]->configmapref->localobjectreference));
        if (c->envfrom[i]->secretref)
            want(r, OBJECT_SECRET, ref_name(c->envfrom[i]->secretref->localobjectreference));
    }
    for (size_t i = 0; i < c->n_env; i++) {
        const Core__EnvVarSource *from = c->env[i]->valuefrom;
        if (from && from->configmapkeyref)
            want(r, OBJECT_CONFIG_MAP, ref_name(from->configmapkeyref->localobjectreference));
        if (from && from->secretkeyref)
            want(r, OBJECT_SECRET, ref_name(from->secretkeyref->localobjectreference));
    }
}

size_t pod_object_refs(const Core__Pod *pod, arena_t *arena, object_ref_t **ret_refs) {
    const Core__PodSpec *spec = pod->spec;
    refs_t r = {.arena = arena};
    const char *ns = or_empty(pod->metadata->namespace_);
    bool has_links = !spec->has_enableservicelinks || spec->enableservicelinks;
    if (has_links) want(&r, OBJECT_SERVICES, ns);
    if (!has_links || !streq(ns, "default")) want(&r, OBJECT_MASTER, "kubernetes");
    for (size_t i = 0; i < spec->n_initcontainers; i++)
        want_of_container(&r, spec->initcontainers[i]);
    for (size_t i = 0; i < spec->n_containers; i++) want_of_container(&r, spec->containers[i]);
    for (size_t i = 0; i < spec->n_volumes; i++) {
        const Core__VolumeSource *src = spec->volumes[i]->volumesource;
        if (src && src->configmap)
            want(&r, OBJECT_CONFIG_MAP, ref_name(src->configmap->localobjectreference));
        if (src && src->secret) want(&r, OBJECT_SECRET, or_empty(src->secret->secretname));
        for (size_t k = 0; src && src->projected && k < src->projected->n_sources; k++) {
            const Core__VolumeProjection *one = src->projected->sources[k];
            if (one->configmap)
                want(&r, OBJECT_CONFIG_MAP, ref_name(one->configmap->localobjectreference));
            if (one->secret) want(&r, OBJECT_SECRET, ref_name(one->secret->localobjectreference));
        }
    }
    for (size_t i = 0; i < spec->n_imagepullsecrets; i++)
        want(&r, OBJECT_SECRET, ref_name(spec->imagepullsecrets[i]));
    *ret_refs = r.at;
    return r.len;
}
