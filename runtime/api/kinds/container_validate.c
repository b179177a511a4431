// container_validate - the containers of a pod (facts: k8s-validation, PodSpec spec.containers).
#include "runtime/api/kinds/podspec.h"
#include "runtime/api/kinds/rows.h"
#include "runtime/api/pod.h"
#include "runtime/api/quantity.h"
#include "runtime/base/text.h"

// ---- handlers: what probes and hooks do ---------------------------------------------------------
static void check_http_get(field_errors_t *e, const path_t *path, const Core__HTTPGetAction *get) {
    static const char *const schemes[] = {"HTTP", "HTTPS", NULL};
    if (is_empty(get->path)) tell_required(e, PATH(path, "path"), NULL);
    check_port_or_name(e, PATH(path, "port"), get->port);
    if (!is_one_of(get->scheme, schemes))
        tell_not_supported(e, PATH(path, "scheme"), get->scheme, schemes);
    for (size_t i = 0; i < get->n_httpheaders; i++)
        check_rule(e, PATH(path, "httpHeaders"), get->httpheaders[i]->name, rule_http_header);
}

static void check_sleep(field_errors_t *e, const path_t *path, const Core__SleepAction *action,
                        int64_t grace_s) {
    if (action->seconds >= 0 && action->seconds <= grace_s) return;
    tell_invalid_int(e, path, action->seconds,
                     arena_printf(e->arena,
                                  "must be non-negative and less than "
                                  "terminationGracePeriodSeconds (%lld)",
                                  (long long)grace_s));
}

// The first handler counts, any further one is refused.
static bool is_first(field_errors_t *e, const path_t *path, size_t *count) {
    if ((*count)++ == 0) return true;
    tell_forbidden(e, path, "may not specify more than 1 handler type");
    return false;
}

void check_handler_sources(field_errors_t *e, const path_t *path, const Core__ExecAction *exec,
                           const Core__HTTPGetAction *http, const Core__TCPSocketAction *tcp,
                           const Core__GRPCAction *grpc, const Core__SleepAction *sleep_action,
                           int64_t grace_s) {
    size_t count = 0;
    if (exec && is_first(e, PATH(path, "exec"), &count) && !exec->n_command)
        tell_required(e, PATH(PATH(path, "exec"), "command"), NULL);
    if (http && is_first(e, PATH(path, "httpGet"), &count))
        check_http_get(e, PATH(path, "httpGet"), http);
    if (tcp && is_first(e, PATH(path, "tcpSocket"), &count))
        check_port_or_name(e, PATH(PATH(path, "tcpSocket"), "port"), tcp->port);
    if (grpc && is_first(e, PATH(path, "grpc"), &count))
        check_port(e, PATH(PATH(path, "grpc"), "port"), grpc->port);
    if (sleep_action && is_first(e, PATH(path, "sleep"), &count))
        check_sleep(e, PATH(path, "sleep"), sleep_action, grace_s);
    if (!count) tell_required(e, path, "must specify a handler type");
}

static void check_probe(field_errors_t *e, const path_t *path, const Core__Probe *probe) {
    const Core__ProbeHandler *h = probe->handler;
    check_handler_sources(e, path, h ? h->exec : NULL, h ? h->httpget : NULL,
                          h ? h->tcpsocket : NULL, h ? h->grpc : NULL, NULL, 0);
    check_not_negative(e, PATH(path, "initialDelaySeconds"), probe->initialdelayseconds);
    check_not_negative(e, PATH(path, "timeoutSeconds"), probe->timeoutseconds);
    check_not_negative(e, PATH(path, "periodSeconds"), probe->periodseconds);
    check_not_negative(e, PATH(path, "successThreshold"), probe->successthreshold);
    check_not_negative(e, PATH(path, "failureThreshold"), probe->failurethreshold);
    if (probe->has_terminationgraceperiodseconds && probe->terminationgraceperiodseconds <= 0)
        tell_invalid_int(e, PATH(path, "terminationGracePeriodSeconds"),
                         probe->terminationgraceperiodseconds, "must be greater than 0");
}

static void check_probes(field_errors_t *e, const path_t *path, const Core__Container *c) {
    if (c->livenessprobe) {
        const path_t *at = PATH(path, "livenessProbe");
        check_probe(e, at, c->livenessprobe);
        if (c->livenessprobe->successthreshold != 1)
            tell_invalid_int(e, PATH(at, "successThreshold"), c->livenessprobe->successthreshold,
                             "must be 1");
    }
    if (c->readinessprobe) {
        const path_t *at = PATH(path, "readinessProbe");
        check_probe(e, at, c->readinessprobe);
        if (c->readinessprobe->has_terminationgraceperiodseconds)
            tell_invalid_int(e, PATH(at, "terminationGracePeriodSeconds"),
                             c->readinessprobe->terminationgraceperiodseconds,
                             "must not be set for readinessProbes");
    }
    if (c->startupprobe) {
        const path_t *at = PATH(path, "startupProbe");
        check_probe(e, at, c->startupprobe);
        if (c->startupprobe->successthreshold != 1)
            tell_invalid_int(e, PATH(at, "successThreshold"), c->startupprobe->successthreshold,
                             "must be 1");
    }
}

static void check_hook(field_errors_t *e, const path_t *path, const Core__LifecycleHandler *h,
                       int64_t grace_s) {
    if (!h) return;
    check_handler_sources(e, path, h->exec, h->httpget, h->tcpsocket, NULL, h->sleep, grace_s);
}

static void check_lifecycle(const spec_check_t *c, const path_t *path,
                            const Core__Lifecycle *lifecycle) {
    if (!lifecycle) return;
    int64_t grace_s = c->spec->terminationgraceperiodseconds;
    check_hook(c->e, PATH(path, "postStart"), lifecycle->poststart, grace_s);
    check_hook(c->e, PATH(path, "preStop"), lifecycle->prestop, grace_s);
    if (!is_empty(lifecycle->stopsignal) && (!c->spec->os || is_empty(c->spec->os->name)))
        tell_forbidden(c->e, PATH(path, "stopSignal"),
                       "may not be set for containers with empty `spec.os.name`");
}

// ---- ports --------------------------------------------------------------------------------------
static void check_port_name(field_errors_t *e, const path_t *path, const Core__Container *c,
                            const names_t *names, size_t i) {
    const char *name = or_empty(c->ports[i]->name);
    if (!*name) return;
    if (!rule_holds(rule_port_name, name)) {
        check_rule(e, path, name, rule_port_name);
        return;
    }
    if (names_repeat(names, i)) tell_duplicate(e, path, name);
}

static void check_ports(field_errors_t *e, const path_t *path, const Core__Container *c) {
    names_t names = NAMES(e->arena, c->ports, c->n_ports, Core__ContainerPort, name);
    for (size_t i = 0; i < c->n_ports; i++) {
        const Core__ContainerPort *port = c->ports[i];
        const path_t *at = PATH_AT(path, i);
        check_port_name(e, PATH(at, "name"), c, &names, i);
        if (port->containerport)
            check_port(e, PATH(at, "containerPort"), port->containerport);
        else
            tell_required(e, PATH(at, "containerPort"), NULL);
        if (port->hostport) check_port(e, PATH(at, "hostPort"), port->hostport);
        check_enum(e, PATH(at, "protocol"), port->protocol, protocols);
    }
}

// A port of the host serves one container.
static void check_host_ports(field_errors_t *e, const path_t *path, Core__Container *const *at,
                             size_t len) {
    typedef struct {
        size_t container, port;
    } place_t;
    size_t count = 0, n = 0;
    for (size_t i = 0; i < len; i++)
        for (size_t p = 0; p < at[i]->n_ports; p++) count += at[i]->ports[p]->hostport != 0;
    if (count < 2) return;
    const char **keys = ARENA_ARRAY(e->arena, const char *, count);
    place_t *places = ARENA_ARRAY(e->arena, place_t, count);
    for (size_t i = 0; i < len; i++)
        for (size_t p = 0; p < at[i]->n_ports; p++) {
            const Core__ContainerPort *port = at[i]->ports[p];
            if (!port->hostport) continue;
            places[n] = (place_t){i, p};
            keys[n++] = arena_printf(e->arena, "%s/%s/%d", or_empty(port->protocol),
                                     or_empty(port->hostip), port->hostport);
        }
    names_t names = names_of(e->arena, keys, count, NAMES_ARE_ITEMS);
    for (size_t k = 0; k < count; k++) {
        if (!names_repeat(&names, k)) continue;
        const path_t *ports = PATH(PATH_AT(path, places[k].container), "ports");
        tell_duplicate(e, PATH(PATH_AT(ports, places[k].port), "hostPort"), keys[k]);
    }
}

// ---- environment --------------------------------------------------------------------------------
static const char *const env_fields[] = {"metadata.name",
                                         "metadata.namespace",
                                         "metadata.uid",
                                         "spec.nodeName",
                                         "spec.serviceAccountName",
                                         "status.hostIP",
                                         "status.hostIPs",
                                         "status.podIP",
                                         "status.podIPs",
                                         NULL};
static const char *const volume_fields[] = {"metadata.annotations", "metadata.labels",
                                            "metadata.name",        "metadata.namespace",
                                            "metadata.uid",         NULL};

// metadata.labels['key']: the key, or NULL when the path has no subscript.
static const char *subscript_of(arena_t *arena, const char *path, const char **ret_base) {
    const char *open = strstr(path, "['");
    if (!open || !has_suffix(path, "']")) return NULL;
    *ret_base = arena_strndup(arena, path, (size_t)(open - path));
    return arena_strndup(arena, open + 2, strlen(open) - 4);
}

void check_field_ref(field_errors_t *e, const path_t *path, const Core__ObjectFieldSelector *ref,
                     bool volume) {
    static const char *const maps[] = {"metadata.labels", "metadata.annotations", NULL};
    if (is_empty(ref->apiversion)) {
        tell_required(e, PATH(path, "apiVersion"), NULL);
        return;
    }
    if (is_empty(ref->fieldpath)) {
        tell_required(e, PATH(path, "fieldPath"), NULL);
        return;
    }
    const char *base, *key = subscript_of(e->arena, ref->fieldpath, &base);
    if (key && !is_one_of(base, maps)) {
        tell_invalid(e, path, base, "does not support subscript");
        return;
    }
    if (key) {
        check_rule(e, path, key, rule_qualified_name);
        return;
    }
    const char *const *fields = volume ? volume_fields : env_fields;
    if (!is_one_of(ref->fieldpath, fields))
        tell_not_supported(e, PATH(path, "fieldPath"), ref->fieldpath, fields);
}

// In which steps a container may be told an amount; the texts are Kubernetes'.
static void check_divisor(field_errors_t *e, const path_t *path, const char *resource,
                          const char *divisor) {
    static const char *const of_cpu[] = {"1m", "1", NULL};
    static const char *const of_bytes[] = {"1",   "1k",  "1M",  "1G",  "1T",  "1P",  "1E",
                                           "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei", NULL};
    const char *name = strchr(resource, '.') ? strchr(resource, '.') + 1 : "";
    bool cpu = streq(name, "cpu");
    const char *what = cpu                              ? "cpu"
                       : streq(name, "memory")          ? "memory"
                       : has_prefix(name, "hugepages-") ? "hugepages"
                                                        : "local ephemeral storage";
    if (is_empty(divisor) || streq(divisor, "0")) return;
    if (is_one_of(quantity_canonical(e->arena, divisor), cpu ? of_cpu : of_bytes)) return;
    const char *steps =
        cpu ? "1m and 1" : "1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei";
    tell_invalid(e, path, resource,
                 arena_printf(e->arena,
                              "only divisor's values %s are supported with the %s resource", steps,
                              what));
}

void check_resource_ref(field_errors_t *e, const path_t *path,
                        const Core__ResourceFieldSelector *ref, bool volume) {
    static const char *const resources[] = {"limits.cpu",
                                            "limits.ephemeral-storage",
                                            "limits.memory",
                                            "requests.cpu",
                                            "requests.ephemeral-storage",
                                            "requests.memory",
                                            NULL};
    if (volume && is_empty(ref->containername)) {
        tell_required(e, PATH(path, "containerName"), NULL);
        return;
    }
    const char *resource = or_empty(ref->resource);
    if (!*resource)
        tell_required(e, PATH(path, "resource"), NULL);
    else if (!is_one_of(resource, resources) && !has_prefix(resource, "limits.hugepages-") &&
             !has_prefix(resource, "requests.hugepages-"))
        tell_not_supported(e, PATH(path, "resource"), resource, resources);
    else if (ref->divisor)
        check_divisor(e, PATH(path, "divisor"), resource, ref->divisor->string);
}

static void check_key_ref(field_errors_t *e, const path_t *path,
                          const Core__LocalObjectReference *reference, const char *key) {
    const char *name = reference ? or_empty(reference->name) : "";
    if (*name) check_rule(e, PATH(path, "name"), name, rule_dns_subdomain);
    check_required_rule(e, PATH(path, "key"), key, rule_config_key);
}

static void check_env_source(field_errors_t *e, const path_t *path, const Core__EnvVar *env) {
    const Core__EnvVarSource *from = env->valuefrom;
    size_t count = 0;
    if (from->fieldref) {
        count++;
        check_field_ref(e, PATH(path, "fieldRef"), from->fieldref, false);
    }
    if (from->resourcefieldref) {
        count++;
        check_resource_ref(e, PATH(path, "resourceFieldRef"), from->resourcefieldref, false);
    }
    if (from->configmapkeyref) {
        count++;
        check_key_ref(e, PATH(path, "configMapKeyRef"), from->configmapkeyref->localobjectreference,
                      from->configmapkeyref->key);
    }
    if (from->secretkeyref) {
        count++;
        check_key_ref(e, PATH(path, "secretKeyRef"), from->secretkeyref->localobjectreference,
                      from->secretkeyref->key);
    }
    if (!count)
        tell_invalid(e, path, "",
                     "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or "
                     "`secretKeyRef`");
    else if (!is_empty(env->value))
        tell_invalid(e, path, "", "may not be specified when `value` is not empty");
    else if (count > 1)
        tell_invalid(e, path, "", "may not have more than one field specified at a time");
}

static void check_env(field_errors_t *e, const path_t *path, const Core__Container *c) {
    for (size_t i = 0; i < c->n_env; i++) {
        const path_t *at = PATH_AT(path, i);
        check_required_rule(e, PATH(at, "name"), c->env[i]->name, rule_env_name);
        if (c->env[i]->valuefrom) check_env_source(e, PATH(at, "valueFrom"), c->env[i]);
    }
}

static void check_env_from(field_errors_t *e, const path_t *path, const Core__Container *c) {
    for (size_t i = 0; i < c->n_envfrom; i++) {
        const Core__EnvFromSource *from = c->envfrom[i];
        const path_t *at = PATH_AT(path, i);
        if (!is_empty(from->prefix)) check_rule(e, PATH(at, "prefix"), from->prefix, rule_env_name);
        const Core__LocalObjectReference *map =
            from->configmapref ? from->configmapref->localobjectreference : NULL;
        const Core__LocalObjectReference *secret =
            from->secretref ? from->secretref->localobjectreference : NULL;
        if (from->configmapref)
            check_required_rule(e, PATH(PATH(at, "configMapRef"), "name"), map ? map->name : NULL,
                                rule_dns_subdomain);
        if (from->secretref)
            check_required_rule(e, PATH(PATH(at, "secretRef"), "name"),
                                secret ? secret->name : NULL, rule_dns_subdomain);
        if (!from->configmapref && !from->secretref)
            tell_invalid(e, path, "", "must specify one of: `configMapRef` or `secretRef`");
        if (from->configmapref && from->secretref)
            tell_invalid(e, path, "", "may not have more than one field specified at a time");
    }
}

// ---- mounts -------------------------------------------------------------------------------------
static const Core__Volume *find_volume(const spec_check_t *c, const char *name) {
    size_t i = names_find(&c->volumes, name);
    return i != SIZE_MAX && c->volume_is_right[i] ? c->spec->volumes[i] : NULL;
}

// Names and paths that the mounts and devices of one container take.
typedef struct {
    names_t mounts, mount_paths, devices, device_paths;
} taken_t;

static taken_t taken_of(arena_t *arena, const Core__Container *c) {
    return (taken_t){
        NAMES(arena, c->volumemounts, c->n_volumemounts, Core__VolumeMount, name),
        NAMES(arena, c->volumemounts, c->n_volumemounts, Core__VolumeMount, mountpath),
        NAMES(arena, c->volumedevices, c->n_volumedevices, Core__VolumeDevice, name),
        NAMES(arena, c->volumedevices, c->n_volumedevices, Core__VolumeDevice, devicepath),
    };
}

static void check_recursive(field_errors_t *e, const path_t *path, const Core__VolumeMount *mount) {
    static const char *const modes[] = {"Disabled", "Enabled", "IfPossible", NULL};
    if (!mount->recursivereadonly || streq(mount->recursivereadonly, "Disabled")) return;
    if (!is_one_of(mount->recursivereadonly, modes)) {
        tell_not_supported(e, path, mount->recursivereadonly, modes);
        return;
    }
    if (!mount->readonly) tell_forbidden(e, path, "may only be specified when readOnly is true");
    if (mount->mountpropagation && !streq(mount->mountpropagation, "None"))
        tell_forbidden(e, path,
                       "may only be specified when mountPropagation is None or not specified");
}

static void check_mount_options(field_errors_t *e, const path_t *path, const path_t *at,
                                const Core__Container *c, const Core__VolumeMount *mount) {
    static const char *const propagations[] = {"Bidirectional", "HostToContainer", "None", NULL};
    // The paths below a mount are told without its index, as Kubernetes tells them.
    if (!is_empty(mount->subpath)) check_relative_path(e, PATH(path, "subPath"), mount->subpath);
    if (!is_empty(mount->subpathexpr)) {
        if (!is_empty(mount->subpath))
            tell_invalid(e, PATH(at, "subPathExpr"), mount->subpathexpr,
                         "subPathExpr and subPath are mutually exclusive");
        check_relative_path(e, PATH(path, "subPathExpr"), mount->subpathexpr);
    }
    if (mount->mountpropagation) {
        const path_t *propagation = PATH(at, "mountPropagation");
        if (!is_one_of(mount->mountpropagation, propagations))
            tell_not_supported(e, propagation, mount->mountpropagation, propagations);
        bool privileged = c->securitycontext && c->securitycontext->privileged;
        if (streq(mount->mountpropagation, "Bidirectional") && !privileged)
            tell_forbidden(e, propagation,
                           "Bidirectional mount propagation is available only to privileged "
                           "containers");
    }
    check_recursive(e, PATH(at, "recursiveReadOnly"), mount);
}

static void check_mounts(const spec_check_t *s, const path_t *path, const Core__Container *c,
                         const taken_t *taken) {
    field_errors_t *e = s->e;
    for (size_t i = 0; i < c->n_volumemounts; i++) {
        const Core__VolumeMount *mount = c->volumemounts[i];
        const char *name = or_empty(mount->name), *where = or_empty(mount->mountpath);
        const path_t *at = PATH_AT(path, i);
        if (!*name) tell_required(e, PATH(at, "name"), NULL);
        if (!find_volume(s, name)) tell_not_found(e, PATH(at, "name"), name);
        if (!*where) tell_required(e, PATH(at, "mountPath"), NULL);
        if (names_repeat(&taken->mount_paths, i))
            tell_invalid(e, PATH(at, "mountPath"), where, "must be unique");
        if (names_has(&taken->devices, name))
            tell_invalid(e, PATH(at, "name"), name, "must not already exist in volumeDevices");
        if (names_has(&taken->device_paths, where))
            tell_invalid(e, PATH(at, "mountPath"), where,
                         "must not already exist as a path in volumeDevices");
        check_mount_options(e, path, at, c, mount);
    }
}

static bool is_block_source(const Core__VolumeSource *source) {
    return source && (source->persistentvolumeclaim || source->ephemeral);
}

static void check_devices(const spec_check_t *s, const path_t *path, const Core__Container *c,
                          const taken_t *taken) {
    field_errors_t *e = s->e;
    for (size_t i = 0; i < c->n_volumedevices; i++) {
        const char *name = or_empty(c->volumedevices[i]->name);
        const char *where = or_empty(c->volumedevices[i]->devicepath);
        const path_t *at = PATH_AT(path, i);
        const Core__Volume *volume = find_volume(s, name);
        if (!*name) tell_required(e, PATH(at, "name"), NULL);
        if (names_repeat(&taken->devices, i))
            tell_invalid(e, PATH(at, "name"), name, "must be unique");
        if (volume && !is_block_source(volume->volumesource))
            tell_invalid(e, PATH(at, "name"), name,
                         "can only use volume source type of PersistentVolumeClaim or Ephemeral "
                         "for block mode");
        if (!volume) tell_not_found(e, PATH(at, "name"), name);
        if (!*where) tell_required(e, PATH(at, "devicePath"), NULL);
        if (names_repeat(&taken->device_paths, i))
            tell_invalid(e, PATH(at, "devicePath"), where, "must be unique");
        check_no_backsteps(e, PATH(path, "devicePath"), where);
        if (names_has(&taken->mounts, name))
            tell_invalid(e, PATH(at, "name"), name, "must not already exist in volumeMounts");
        if (names_has(&taken->mount_paths, where))
            tell_invalid(e, PATH(at, "devicePath"), where,
                         "must not already exist as a path in volumeMounts");
    }
}

// ---- a container --------------------------------------------------------------------------------
static void check_resize(const spec_check_t *s, const path_t *path, const Core__Container *c) {
    static const char *const resources[] = {"cpu", "memory", NULL};
    static const char *const policies[] = {"NotRequired", "RestartContainer", NULL};
    names_t names = NAMES(s->e->arena, c->resizepolicy, c->n_resizepolicy,
                          Core__ContainerResizePolicy, resourcename);
    for (size_t i = 0; i < c->n_resizepolicy; i++) {
        const Core__ContainerResizePolicy *policy = c->resizepolicy[i];
        if (names_repeat(&names, i)) tell_duplicate(s->e, PATH_AT(path, i), policy->resourcename);
        check_enum(s->e, path, policy->resourcename, resources);
        check_enum(s->e, path, policy->restartpolicy, policies);
        if (streq(or_empty(s->spec->restartpolicy), "Never") &&
            !streq(or_empty(policy->restartpolicy), "NotRequired"))
            tell_invalid(s->e, path, policy->restartpolicy,
                         "must be 'NotRequired' when `restartPolicy` is 'Never'");
    }
}

// What holds for every container, whatever its role.
static void check_common(const spec_check_t *s, const path_t *path, const Core__Container *c) {
    static const char *const message_policies[] = {"File", "FallbackToLogsOnError", NULL};
    static const char *const pull_policies[] = {"Always", "IfNotPresent", "Never", NULL};
    field_errors_t *e = s->e;
    check_required_rule(e, PATH(path, "name"), c->name, rule_dns_label);
    if (is_empty(c->image)) tell_required(e, PATH(path, "image"), NULL);
    check_enum(e, PATH(path, "terminationMessagePolicy"), c->terminationmessagepolicy,
               message_policies);
    check_ports(e, PATH(path, "ports"), c);
    check_env(e, PATH(path, "env"), c);
    check_env_from(e, PATH(path, "envFrom"), c);
    taken_t taken = taken_of(e->arena, c);
    check_mounts(s, PATH(path, "volumeMounts"), c, &taken);
    check_devices(s, PATH(path, "volumeDevices"), c, &taken);
    check_enum(e, PATH(path, "imagePullPolicy"), c->imagepullpolicy, pull_policies);
    if (c->resources) check_requirements(e, PATH(path, "resources"), c->resources);
    check_resize(s, PATH(path, "resizePolicy"), c);
    if (c->securitycontext)
        check_container_security(s, PATH(path, "securityContext"), c->securitycontext);
}

void check_containers(const spec_check_t *c, const path_t *path) {
    const Core__PodSpec *spec = c->spec;
    if (!spec->n_containers) {
        tell_required(c->e, path, NULL);
        return;
    }
    for (size_t i = 0; i < spec->n_containers; i++) {
        const Core__Container *container = spec->containers[i];
        const path_t *at = PATH_AT(path, i);
        check_common(c, at, container);
        if (names_repeat(&c->containers, i))
            tell_duplicate(c->e, PATH(at, "name"), container->name);
        check_lifecycle(c, PATH(at, "lifecycle"), container->lifecycle);
        check_probes(c->e, at, container);
        if (container->restartpolicy)
            tell_forbidden(c->e, PATH(at, "restartPolicy"),
                           "may not be set for non-init containers");
    }
    check_host_ports(c->e, path, spec->containers, spec->n_containers);
}

// A plain init container runs to its end: nothing probes it, nothing hooks into it.
static void check_plain_init(field_errors_t *e, const path_t *at, const Core__Container *c) {
    static const char text[] = "may not be set for init containers without restartPolicy=Always";
    if (c->lifecycle) tell_forbidden(e, PATH(at, "lifecycle"), text);
    if (c->livenessprobe) tell_forbidden(e, PATH(at, "livenessProbe"), text);
    if (c->readinessprobe) tell_forbidden(e, PATH(at, "readinessProbe"), text);
    if (c->startupprobe) tell_forbidden(e, PATH(at, "startupProbe"), text);
    if (c->n_resizepolicy)
        tell_invalid_raw(e, PATH(at, "resizePolicy"), "[]", "must not be set for init containers");
}

void check_init_containers(const spec_check_t *c, const path_t *path) {
    static const char *const policies[] = {"Always", NULL};
    const Core__PodSpec *spec = c->spec;
    for (size_t i = 0; i < spec->n_initcontainers; i++) {
        const Core__Container *container = spec->initcontainers[i];
        const path_t *at = PATH_AT(path, i);
        check_common(c, at, container);
        if (names_has(&c->containers, container->name) || names_repeat(&c->init_containers, i))
            tell_duplicate(c->e, PATH(at, "name"), container->name);
        check_host_ports(c->e, path, (Core__Container *const[]){spec->initcontainers[i]}, 1);
        if (container->restartpolicy && !container_is_sidecar(container))
            tell_not_supported(c->e, PATH(at, "restartPolicy"), container->restartpolicy, policies);
        if (!container_is_sidecar(container)) {
            check_plain_init(c->e, at, container);
            continue;
        }
        check_lifecycle(c, PATH(at, "lifecycle"), container->lifecycle);
        check_probes(c->e, at, container);
    }
}

// Ephemeral containers come by their own subresource; what stands is checked as a container that
// may not hold on to anything.
void check_ephemeral_containers(const spec_check_t *c, const path_t *path) {
    static const char text[] = "cannot be set for an Ephemeral Container";
    const Core__PodSpec *spec = c->spec;
    for (size_t i = 0; i < spec->n_ephemeralcontainers; i++) {
        const Core__Container *container = ephemeral_as_container(spec->ephemeralcontainers[i]);
        const path_t *at = PATH_AT(path, i);
        if (!container) {
            tell_required(c->e, PATH(at, "name"), NULL);
            continue;
        }
        check_common(c, at, container);
        if (names_has(&c->containers, container->name) ||
            names_has(&c->init_containers, container->name))
            tell_duplicate(c->e, PATH(at, "name"), container->name);
        const char *target = or_empty(spec->ephemeralcontainers[i]->targetcontainername);
        if (*target && !names_has(&c->containers, target))
            tell_not_found(c->e, PATH(at, "targetContainerName"), target);
        if (container->n_ports) tell_forbidden(c->e, PATH(at, "ports"), text);
        if (container->livenessprobe) tell_forbidden(c->e, PATH(at, "livenessProbe"), text);
        if (container->readinessprobe) tell_forbidden(c->e, PATH(at, "readinessProbe"), text);
        if (container->startupprobe) tell_forbidden(c->e, PATH(at, "startupProbe"), text);
        if (container->lifecycle) tell_forbidden(c->e, PATH(at, "lifecycle"), text);
    }
}
