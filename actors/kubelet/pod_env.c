#include "actors/kubelet/pod_env.h"
#include "runtime/api/kinds.h"
#include "runtime/api/msg.h"
#include "runtime/api/quantity.h"
#include "troupe/api.pb-c.h"
#include <ctype.h>

enum { ENV_MAX = 4096 };

static const char *get(const env_t *env, const char *name) {
    for (size_t i = 0; i < env->len; i++)
        if (streq(env->at[i]->key, name)) return env->at[i]->value;
    return NULL;
}

static err_t add(env_t *env, const char *name, const char *value, why_t *why) {
    if (env->len >= ENV_MAX)
        return why_set(why, ERR_INVALID,
                       "more than %d environment variables; enableServiceLinks: false leaves those "
                       "of services out",
                       ENV_MAX);
    if (env->len == env->cap) {
        size_t cap = env->cap ? env->cap * 2 : 16;
        Cri__KeyValue **grown = ARENA_ARRAY(env->arena, Cri__KeyValue *, cap);
        if (env->len) memcpy(grown, env->at, env->len * sizeof *grown);
        env->at = grown;
        env->cap = cap;
    }
    Cri__KeyValue *kv = MSG_NEW(env->arena, Cri__KeyValue, cri__key_value__descriptor);
    kv->key = name;
    kv->value = value;
    env->at[env->len++] = kv;
    return ERR_OK;
}

static err_t put(env_t *env, const char *name, const char *value, why_t *why) {
    for (size_t i = 0; i < env->len; i++) {
        if (!streq(env->at[i]->key, name)) continue;
        env->at[i]->value = value;
        return ERR_OK;
    }
    return add(env, name, value, why);
}

// ---- $(NAME) ----------------------------------------------------------------------------------
const char *expand_variables(arena_t *arena, const char *text, Cri__KeyValue *const *at,
                             size_t len) {
    if (!text || !strchr(text, '$')) return text;
    env_t env = {.at = (Cri__KeyValue **)at, .len = len};
    text_t out = {.arena = arena};
    for (const char *from = text; *from;) {
        const char *end = from[0] == '$' && from[1] == '(' ? strchr(from, ')') : NULL;
        if (from[0] == '$' && from[1] == '$') {
            text_addc(&out, '$');
            from += 2;
        } else if (end) {
            const char *value = get(&env, arena_strndup(arena, from + 2, (size_t)(end - from - 2)));
            if (value)
                text_add(&out, value);
            else
                text_addn(&out, from, (size_t)(end - from + 1));
            from = end + 1;
        } else {
            text_addc(&out, *from++);
        }
    }
    return text_str(&out);
}

// ---- amounts ----------------------------------------------------------------------------------
static const char *amount_text(const Core__ResourceRequirements *r, bool of_limits,
                               const char *resource) {
    for (size_t i = 0; r && of_limits && i < r->n_limits; i++)
        if (streq(or_empty(r->limits[i]->key), resource) && r->limits[i]->value)
            return r->limits[i]->value->string;
    for (size_t i = 0; r && !of_limits && i < r->n_requests; i++)
        if (streq(or_empty(r->requests[i]->key), resource) && r->requests[i]->value)
            return r->requests[i]->value->string;
    return NULL;
}

int64_t container_amount(const Core__Container *c, bool of_limits, const char *resource,
                         bool in_milli, int64_t fallback) {
    const char *text = amount_text(c->resources, of_limits, resource);
    quantity_t q;
    if (!text || quantity_parse(text, &q)) return fallback;
    return in_milli ? quantity_milli(q) : quantity_value(q);
}

const char *pod_resource(const pod_scene_t *scene, const Core__ResourceFieldSelector *s,
                         const Core__Container *own, arena_t *arena) {
    const Core__PodSpec *spec = scene->pod->spec;
    const Core__Container *c = own;
    for (size_t i = 0; i < spec->n_containers && !is_empty(s->containername); i++)
        if (streq(or_empty(spec->containers[i]->name), s->containername)) c = spec->containers[i];
    const char *path = or_empty(s->resource);
    const char *dot = strchr(path, '.');
    if (!c || !dot) return NULL;
    bool of_limits = has_prefix(path, "limits.");
    bool is_cpu = streq(dot + 1, "cpu"), is_memory = streq(dot + 1, "memory");
    // A container without a limit may use what the node has.
    int64_t whole = !of_limits  ? 0
                    : is_cpu    ? scene->args->cpu_milli
                    : is_memory ? scene->args->memory_bytes
                                : 0;
    int64_t value = container_amount(c, of_limits, dot + 1, is_cpu, whole);
    quantity_t divisor = {.nano = 0};
    if (s->divisor && !is_empty(s->divisor->string) && quantity_parse(s->divisor->string, &divisor))
        return NULL;
    int64_t by = divisor.nano ? (is_cpu ? quantity_milli(divisor) : quantity_value(divisor))
                 : is_cpu     ? 1000
                              : 1;
    if (by < 1) by = 1;
    return arena_printf(arena, "%lld", (long long)((value + by - 1) / by));
}

// ---- the downward API -------------------------------------------------------------------------
static const char *entries_text(arena_t *arena, Meta__ObjectMeta__LabelsEntry *const *at,
                                size_t len) {
    text_t out = {.arena = arena};
    for (size_t i = 0; i < len; i++) {
        text_addf(&out, "%s%s=\"", out.len ? "\n" : "", or_empty(at[i]->key));
        for (const char *v = or_empty(at[i]->value); *v; v++) {
            if (*v == '\n')
                text_add(&out, "\\n");
            else if (*v == '"' || *v == '\\')
                text_addf(&out, "\\%c", *v);
            else
                text_addc(&out, *v);
        }
        text_addc(&out, '"');
    }
    return text_str(&out);
}

// "metadata.labels['a/b']" -> "a/b"
static const char *subscript(arena_t *arena, const char *path, const char *prefix) {
    size_t len = strlen(prefix), all = strlen(path);
    if (!has_prefix(path, prefix) || all < len + 4 || !has_prefix(path + len, "['") ||
        !has_suffix(path, "']"))
        return NULL;
    return arena_strndup(arena, path + len + 2, all - len - 4);
}

const char *pod_field(const pod_scene_t *scene, const char *path, arena_t *arena) {
    const Core__Pod *pod = scene->pod;
    const Meta__ObjectMeta *meta = pod->metadata;
    if (streq(path, "metadata.name")) return or_empty(meta->name);
    if (streq(path, "metadata.namespace")) return or_empty(meta->namespace_);
    if (streq(path, "metadata.uid")) return or_empty(meta->uid);
    if (streq(path, "metadata.labels")) return entries_text(arena, meta->labels, meta->n_labels);
    if (streq(path, "metadata.annotations"))
        return entries_text(arena, (Meta__ObjectMeta__LabelsEntry *const *)meta->annotations,
                            meta->n_annotations);
    if (streq(path, "spec.nodeName")) return scene->node;
    if (streq(path, "spec.serviceAccountName")) return or_empty(pod->spec->serviceaccountname);
    if (streq(path, "status.hostIP") || streq(path, "status.hostIPs"))
        return or_empty(scene->host_ip);
    if (streq(path, "status.podIP") || streq(path, "status.podIPs")) return or_empty(scene->pod_ip);
    const char *label = subscript(arena, path, "metadata.labels"),
               *annotation = subscript(arena, path, "metadata.annotations");
    if (label) return or_empty(object_label(&pod->base, label));
    return annotation ? or_empty(object_annotation(&pod->base, annotation)) : NULL;
}

// ---- references -------------------------------------------------------------------------------
static const char *name_of(const Core__LocalObjectReference *ref) {
    return ref ? or_empty(ref->name) : "";
}

// A value of a secret may hold any bytes; an environment ends at a NUL.
static const char *bytes_text(arena_t *arena, ProtobufCBinaryData data) {
    return arena_strndup(arena, data.data ? (const char *)data.data : "", data.len);
}

static err_t from_config_map(const pod_scene_t *scene, const Core__ConfigMapKeySelector *ref,
                             const char **ret_value, why_t *why) {
    const char *name = name_of(ref->localobjectreference);
    const Core__ConfigMap *map = scene->find(scene->find_arg, OBJECT_CONFIG_MAP, name);
    for (size_t i = 0; map && i < map->n_data; i++)
        if (streq(or_empty(map->data[i]->key), or_empty(ref->key))) {
            *ret_value = or_empty(map->data[i]->value);
            return ERR_OK;
        }
    if (ref->has_optional && ref->optional) return ERR_OK;
    const char *ns = or_empty(scene->pod->metadata->namespace_);
    return map ? why_set(why, ERR_INVALID, "couldn't find key %s in ConfigMap %s/%s",
                         or_empty(ref->key), ns, name)
               : why_set(why, ERR_INVALID, "configmap \"%s\" not found", name);
}

static err_t from_secret(const pod_scene_t *scene, const Core__SecretKeySelector *ref,
                         arena_t *arena, const char **ret_value, why_t *why) {
    const char *name = name_of(ref->localobjectreference);
    const Core__Secret *secret = scene->find(scene->find_arg, OBJECT_SECRET, name);
    for (size_t i = 0; secret && i < secret->n_data; i++)
        if (streq(or_empty(secret->data[i]->key), or_empty(ref->key))) {
            *ret_value = bytes_text(arena, secret->data[i]->value);
            return ERR_OK;
        }
    if (ref->has_optional && ref->optional) return ERR_OK;
    const char *ns = or_empty(scene->pod->metadata->namespace_);
    return secret ? why_set(why, ERR_INVALID, "couldn't find key %s in Secret %s/%s",
                            or_empty(ref->key), ns, name)
                  : why_set(why, ERR_INVALID, "secret \"%s\" not found", name);
}

static err_t add_source(const pod_scene_t *scene, const Core__EnvFromSource *from, env_t *env,
                        why_t *why) {
    const char *prefix = or_empty(from->prefix);
    err_t err = ERR_OK;
    if (from->configmapref) {
        const char *name = name_of(from->configmapref->localobjectreference);
        const Core__ConfigMap *map = scene->find(scene->find_arg, OBJECT_CONFIG_MAP, name);
        if (!map && !from->configmapref->optional)
            return why_set(why, ERR_INVALID, "configmap \"%s\" not found", name);
        for (size_t i = 0; map && !err && i < map->n_data; i++)
            err = put(env, arena_printf(env->arena, "%s%s", prefix, or_empty(map->data[i]->key)),
                      or_empty(map->data[i]->value), why);
    }
    if (from->secretref && !err) {
        const char *name = name_of(from->secretref->localobjectreference);
        const Core__Secret *secret = scene->find(scene->find_arg, OBJECT_SECRET, name);
        if (!secret && !from->secretref->optional)
            return why_set(why, ERR_INVALID, "secret \"%s\" not found", name);
        for (size_t i = 0; secret && !err && i < secret->n_data; i++)
            err = put(env, arena_printf(env->arena, "%s%s", prefix, or_empty(secret->data[i]->key)),
                      bytes_text(env->arena, secret->data[i]->value), why);
    }
    return err;
}

static err_t value_of(const pod_scene_t *scene, const Core__Container *c, const Core__EnvVar *var,
                      const env_t *env, const char **ret_value, why_t *why) {
    const Core__EnvVarSource *from = var->valuefrom;
    *ret_value = NULL;
    if (!from) {
        *ret_value = expand_variables(env->arena, or_empty(var->value), env->at, env->len);
        return ERR_OK;
    }
    if (from->configmapkeyref) return from_config_map(scene, from->configmapkeyref, ret_value, why);
    if (from->secretkeyref)
        return from_secret(scene, from->secretkeyref, env->arena, ret_value, why);
    if (from->fieldref)
        *ret_value = pod_field(scene, or_empty(from->fieldref->fieldpath), env->arena);
    if (from->resourcefieldref)
        *ret_value = pod_resource(scene, from->resourcefieldref, c, env->arena);
    return *ret_value
               ? ERR_OK
               : why_set(why, ERR_INVALID, "unsupported fieldPath of environment variable %s",
                         or_empty(var->name));
}

// ---- services ---------------------------------------------------------------------------------
// "my-web" -> "MY_WEB"
static const char *variable_name(arena_t *arena, const char *name) {
    char *out = arena_strdup(arena, name);
    for (char *p = out; *p; p++) *p = *p == '-' ? '_' : (char)toupper((unsigned char)*p);
    return out;
}

// For a port of protocol TCP: WEB_PORT_80_TCP=tcp://IP:80, …_PROTO, …_PORT, …_ADDR; as Docker's
// links were, and the first port's as WEB_PORT, too.
static err_t add_link(env_t *env, const char *prefix, const char *ip, const Core__ServicePort *p,
                      bool is_first, why_t *why) {
    const char *protocol = is_empty(p->protocol) ? "TCP" : p->protocol;
    char *lower = arena_strdup(env->arena, protocol);
    for (char *at = lower; *at; at++) *at = (char)tolower((unsigned char)*at);
    const char *number = arena_printf(env->arena, "%d", p->port);
    const char *url = arena_printf(env->arena, strchr(ip, ':') ? "%s://[%s]:%s" : "%s://%s:%s",
                                   lower, ip, number);
    const char *name = arena_printf(env->arena, "%s_PORT_%s_%s", prefix, number, protocol);
    const struct {
        const char *suffix, *value;
    } rows[] = {{"", url}, {"_PROTO", lower}, {"_PORT", number}, {"_ADDR", ip}};
    err_t err = is_first ? add(env, arena_printf(env->arena, "%s_PORT", prefix), url, why) : ERR_OK;
    for (size_t i = 0; i < LENGTH_OF(rows) && !err; i++)
        err = add(env, arena_printf(env->arena, "%s%s", name, rows[i].suffix), rows[i].value, why);
    return err;
}

static err_t add_service(env_t *env, const Core__Service *service, why_t *why) {
    const Core__ServiceSpec *spec = service->spec;
    const char *ip = spec ? or_empty(spec->clusterip) : "";
    if (!*ip || streq(ip, "None") || !spec->n_ports) return ERR_OK;
    arena_t *arena = env->arena;
    const char *prefix = variable_name(arena, or_empty(service->metadata->name));
    err_t err = add(env, arena_printf(arena, "%s_SERVICE_HOST", prefix), ip, why);
    if (!err)
        err = add(env, arena_printf(arena, "%s_SERVICE_PORT", prefix),
                  arena_printf(arena, "%d", spec->ports[0]->port), why);
    for (size_t i = 0; i < spec->n_ports && !err; i++)
        if (!is_empty(spec->ports[i]->name))
            err = add(env,
                      arena_printf(arena, "%s_SERVICE_PORT_%s", prefix,
                                   variable_name(arena, spec->ports[i]->name)),
                      arena_printf(arena, "%d", spec->ports[i]->port), why);
    for (size_t i = 0; i < spec->n_ports && !err; i++)
        err = add_link(env, prefix, ip, spec->ports[i], i == 0, why);
    return err;
}

// As the kubelet of Kubernetes: default/kubernetes always, those of the pod's namespace with
// enableServiceLinks; one of the namespace that is called kubernetes takes its place.
static err_t add_services(const pod_scene_t *scene, env_t *env, why_t *why) {
    const Api__ListReply *list =
        scene->find(scene->find_arg, OBJECT_SERVICES, or_empty(scene->pod->metadata->namespace_));
    const Core__Service *master = scene->find(scene->find_arg, OBJECT_MASTER, "kubernetes");
    err_t err = ERR_OK;
    for (size_t i = 0; list && i < list->n_items && !err; i++) {
        const Core__Service *one =
            msg_unpack_own(env->arena, &core__service__descriptor,
                           (bytes_t){list->items[i].data, list->items[i].len});
        if (!one || !one->metadata) continue;
        if (streq(or_empty(one->metadata->name), "kubernetes")) master = NULL;
        err = add_service(env, one, why);
    }
    return err || !master ? err : add_service(env, master, why);
}

err_t pod_env(const pod_scene_t *scene, const Core__Container *c, env_t *env, why_t *why) {
    err_t none = add_services(scene, env, why);
    if (none) return none;
    for (size_t i = 0; i < c->n_envfrom; i++) {
        err_t err = add_source(scene, c->envfrom[i], env, why);
        if (err) return err;
    }
    for (size_t i = 0; i < c->n_env; i++) {
        const char *value;
        err_t err = value_of(scene, c, c->env[i], env, &value, why);
        if (!err && value) err = put(env, or_empty(c->env[i]->name), value, why);
        if (err) return err;
    }
    return ERR_OK;
}
