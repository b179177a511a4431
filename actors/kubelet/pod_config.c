#include "actors/kubelet/pod_config.h"
#include "actors/kubelet/pod_env.h"
#include "actors/kubelet/pod_status.h"
#include "runtime/api/msg.h"
#include "runtime/api/pod.h"
#include "runtime/api/quantity.h"

enum {
    CPU_PERIOD_US = 100 * 1000,
    QUOTA_MIN_US = 1000,
    SHARES_MIN = 2,
    HOSTNAME_MAX = 63,
    NDOTS = 5
};

// What even root inside a container shall not see, respectively not change (unless privileged).
static const char *const masked_paths[] = {"/proc/asound",
                                           "/proc/acpi",
                                           "/proc/kcore",
                                           "/proc/keys",
                                           "/proc/latency_stats",
                                           "/proc/timer_list",
                                           "/proc/timer_stats",
                                           "/proc/sched_debug",
                                           "/proc/scsi",
                                           "/sys/firmware",
                                           "/sys/devices/virtual/powercap"};
static const char *const readonly_paths[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                                             "/proc/sysrq-trigger"};

// Generated map entries all have the layout { base, key, value }: one helper for each type.
#define ADD_ENTRY(arena, owner, field, type, descriptor, k, v) \
    do {                                                       \
        type *entry_ = MSG_NEW((arena), type, descriptor);     \
        entry_->key = (k);                                     \
        entry_->value = (v);                                   \
        (owner)->field[(owner)->n_##field++] = entry_;         \
    } while (0)

static const char *str_number(arena_t *arena, int64_t n) {
    return arena_printf(arena, "%lld", (long long)n);
}

// ---- namespaces, security ---------------------------------------------------------------------
static Cri__NamespaceOption *namespaces(const Core__PodSpec *spec, arena_t *arena) {
    Cri__NamespaceOption *n =
        MSG_NEW(arena, Cri__NamespaceOption, cri__namespace_option__descriptor);
    n->network = spec->hostnetwork ? CRI__NAMESPACE_MODE__NODE : CRI__NAMESPACE_MODE__POD;
    n->ipc = spec->hostipc ? CRI__NAMESPACE_MODE__NODE : CRI__NAMESPACE_MODE__POD;
    // Never left to the enum's zero: that means a pid namespace for the whole pod.
    n->pid = spec->hostpid                 ? CRI__NAMESPACE_MODE__NODE
             : spec->shareprocessnamespace ? CRI__NAMESPACE_MODE__POD
                                           : CRI__NAMESPACE_MODE__CONTAINER;
    return n;
}

static Cri__SecurityProfile *profile_of(const Core__SeccompProfile *p, arena_t *arena) {
    Cri__SecurityProfile *s =
        MSG_NEW(arena, Cri__SecurityProfile, cri__security_profile__descriptor);
    const char *type = p ? or_empty(p->type) : "";
    s->profile_type = streq(type, "RuntimeDefault")
                          ? CRI__SECURITY_PROFILE__PROFILE_TYPE__RuntimeDefault
                      : streq(type, "Localhost") ? CRI__SECURITY_PROFILE__PROFILE_TYPE__Localhost
                                                 : CRI__SECURITY_PROFILE__PROFILE_TYPE__Unconfined;
    if (streq(type, "Localhost")) s->localhost_ref = or_empty(p->localhostprofile);
    return s;
}

static Cri__Int64Value *number(arena_t *arena, int64_t value) {
    Cri__Int64Value *v = MSG_NEW(arena, Cri__Int64Value, cri__int64_value__descriptor);
    v->value = value;
    return v;
}

static void set_user(const Core__PodSecurityContext *p, const Core__SecurityContext *c,
                     arena_t *arena, Cri__Int64Value **ret_user, Cri__Int64Value **ret_group) {
    if (c && c->has_runasuser)
        *ret_user = number(arena, c->runasuser);
    else if (p && p->has_runasuser)
        *ret_user = number(arena, p->runasuser);
    if (c && c->has_runasgroup)
        *ret_group = number(arena, c->runasgroup);
    else if (p && p->has_runasgroup)
        *ret_group = number(arena, p->runasgroup);
}

static size_t groups_of(const Core__PodSecurityContext *p, arena_t *arena, int64_t **ret_groups) {
    if (!p) return 0;
    int64_t *groups = ARENA_ARRAY(arena, int64_t, p->n_supplementalgroups + 1);
    size_t len = 0;
    for (size_t i = 0; i < p->n_supplementalgroups; i++) groups[len++] = p->supplementalgroups[i];
    if (p->has_fsgroup) groups[len++] = p->fsgroup;
    *ret_groups = groups;
    return len;
}

// ---- the sandbox ------------------------------------------------------------------------------
static bool any_privileged(const Core__PodSpec *spec) {
    for (size_t i = 0; i < spec->n_containers; i++)
        if (spec->containers[i]->securitycontext &&
            spec->containers[i]->securitycontext->privileged)
            return true;
    for (size_t i = 0; i < spec->n_initcontainers; i++)
        if (spec->initcontainers[i]->securitycontext &&
            spec->initcontainers[i]->securitycontext->privileged)
            return true;
    return false;
}

static const char *cgroup_parent(const pod_scene_t *s, arena_t *arena) {
    Node__HostRemove *traces = pod_traces(s, arena);
    return traces->cgroups[0];
}

static Cri__LinuxPodSandboxConfig *sandbox_linux(const pod_scene_t *s, arena_t *arena) {
    const Core__PodSpec *spec = s->pod->spec;
    const Core__PodSecurityContext *p = spec->securitycontext;
    Cri__LinuxPodSandboxConfig *l =
        MSG_NEW(arena, Cri__LinuxPodSandboxConfig, cri__linux_pod_sandbox_config__descriptor);
    Cri__LinuxSandboxSecurityContext *sec =
        MSG_NEW(arena, Cri__LinuxSandboxSecurityContext,
                cri__linux_sandbox_security_context__descriptor);
    l->cgroup_parent = cgroup_parent(s, arena);
    l->security_context = sec;
    sec->namespace_options = namespaces(spec, arena);
    sec->privileged = any_privileged(spec);
    sec->seccomp = profile_of(p ? p->seccompprofile : NULL, arena);
    set_user(p, NULL, arena, &sec->run_as_user, &sec->run_as_group);
    sec->n_supplemental_groups = groups_of(p, arena, &sec->supplemental_groups);
    size_t sysctls = p ? p->n_sysctls : 0;
    l->sysctls = ARENA_ARRAY(arena, Cri__LinuxPodSandboxConfig__SysctlsEntry *, sysctls + 1);
    for (size_t i = 0; i < sysctls; i++)
        ADD_ENTRY(arena, l, sysctls, Cri__LinuxPodSandboxConfig__SysctlsEntry,
                  cri__linux_pod_sandbox_config__sysctls_entry__descriptor,
                  or_empty(p->sysctls[i]->name), or_empty(p->sysctls[i]->value));
    return l;
}

static void add_string(arena_t *arena, const char ***at, size_t *len, const char *s) {
    const char **grown = ARENA_ARRAY(arena, const char *, *len + 1);
    if (*len) memcpy(grown, *at, *len * sizeof *grown);
    grown[(*len)++] = s;
    *at = grown;
}

// NULL: the node's own resolv.conf.
static Cri__DNSConfig *dns_of(const pod_scene_t *s, arena_t *arena) {
    const Core__PodSpec *spec = s->pod->spec;
    const char *policy = or_empty(spec->dnspolicy);
    bool first = (is_empty(policy) || streq(policy, "ClusterFirst")) && !spec->hostnetwork;
    bool cluster = (first || streq(policy, "ClusterFirstWithHostNet")) && s->args->cluster_dns.len;
    const Core__PodDNSConfig *own = spec->dnsconfig;
    if (!cluster && !own && !streq(policy, "None")) return NULL;
    Cri__DNSConfig *d = MSG_NEW(arena, Cri__DNSConfig, cri__dnsconfig__descriptor);
    const char *domain = s->args->cluster_domain, *ns = or_empty(s->pod->metadata->namespace_);
    if (cluster) {
        for (size_t i = 0; i < s->args->cluster_dns.len; i++)
            add_string(arena, &d->servers, &d->n_servers, s->args->cluster_dns.at[i]);
        add_string(arena, &d->searches, &d->n_searches,
                   arena_printf(arena, "%s.svc.%s", ns, domain));
        add_string(arena, &d->searches, &d->n_searches, arena_printf(arena, "svc.%s", domain));
        add_string(arena, &d->searches, &d->n_searches, domain);
        add_string(arena, &d->options, &d->n_options, arena_printf(arena, "ndots:%d", NDOTS));
    }
    for (size_t i = 0; own && i < own->n_nameservers; i++)
        add_string(arena, &d->servers, &d->n_servers, own->nameservers[i]);
    for (size_t i = 0; own && i < own->n_searches; i++)
        add_string(arena, &d->searches, &d->n_searches, own->searches[i]);
    for (size_t i = 0; own && i < own->n_options; i++) {
        const char *value = own->options[i]->value, *name = or_empty(own->options[i]->name);
        add_string(arena, &d->options, &d->n_options,
                   is_empty(value) ? name : arena_printf(arena, "%s:%s", name, value));
    }
    return d;
}

static Cri__Protocol protocol_of(const char *name) {
    return streq(or_empty(name), "UDP")    ? CRI__PROTOCOL__UDP
           : streq(or_empty(name), "SCTP") ? CRI__PROTOCOL__SCTP
                                           : CRI__PROTOCOL__TCP;
}

static void add_ports(const pod_scene_t *s, Cri__PodSandboxConfig *c, arena_t *arena) {
    const Core__PodSpec *spec = s->pod->spec;
    size_t all = 0;
    for (size_t i = 0; i < spec->n_containers; i++) all += spec->containers[i]->n_ports;
    c->port_mappings = ARENA_ARRAY(arena, Cri__PortMapping *, all + 1);
    for (size_t i = 0; i < spec->n_containers && !spec->hostnetwork; i++) {
        for (size_t k = 0; k < spec->containers[i]->n_ports; k++) {
            const Core__ContainerPort *port = spec->containers[i]->ports[k];
            if (!port->hostport) continue;
            Cri__PortMapping *m = MSG_NEW(arena, Cri__PortMapping, cri__port_mapping__descriptor);
            m->protocol = protocol_of(port->protocol);
            m->container_port = port->containerport;
            m->host_port = port->hostport;
            m->host_ip = or_empty(port->hostip);
            c->port_mappings[c->n_port_mappings++] = m;
        }
    }
}

static const char *hostname_of(const pod_scene_t *s, arena_t *arena) {
    const Core__PodSpec *spec = s->pod->spec;
    if (spec->hostnetwork) return "";
    if (!is_empty(spec->hostname)) return spec->hostname;
    const char *name = or_empty(s->pod->metadata->name);
    size_t len = strlen(name) < HOSTNAME_MAX ? strlen(name) : HOSTNAME_MAX;
    while (len > 0 && strchr("-.", name[len - 1])) len--; // a cut name must not end in a separator
    return arena_strndup(arena, name, len);
}

Cri__PodSandboxConfig *pod_sandbox_config(const pod_scene_t *s, uint32_t attempt, arena_t *arena) {
    const Meta__ObjectMeta *meta = s->pod->metadata;
    Cri__PodSandboxConfig *c =
        MSG_NEW(arena, Cri__PodSandboxConfig, cri__pod_sandbox_config__descriptor);
    c->metadata = MSG_NEW(arena, Cri__PodSandboxMetadata, cri__pod_sandbox_metadata__descriptor);
    c->metadata->name = or_empty(meta->name);
    c->metadata->namespace_ = or_empty(meta->namespace_);
    c->metadata->uid = or_empty(meta->uid);
    c->metadata->attempt = attempt;
    c->hostname = hostname_of(s, arena);
    c->log_directory = pod_log_dir(s->args, or_empty(meta->namespace_), or_empty(meta->name),
                                   or_empty(meta->uid), arena);
    c->dns_config = dns_of(s, arena);
    add_ports(s, c, arena);
    c->labels = ARENA_ARRAY(arena, Cri__PodSandboxConfig__LabelsEntry *, meta->n_labels + 3);
#define LABEL(k, v)                                                 \
    ADD_ENTRY(arena, c, labels, Cri__PodSandboxConfig__LabelsEntry, \
              cri__pod_sandbox_config__labels_entry__descriptor, k, v)
    LABEL(LABEL_POD_NAME, or_empty(meta->name));
    LABEL(LABEL_POD_NAMESPACE, or_empty(meta->namespace_));
    LABEL(LABEL_POD_UID, or_empty(meta->uid));
    for (size_t i = 0; i < meta->n_labels; i++)
        LABEL(or_empty(meta->labels[i]->key), or_empty(meta->labels[i]->value));
#undef LABEL
    c->linux = sandbox_linux(s, arena);
    return c;
}

// ---- a container ------------------------------------------------------------------------------
static int64_t oom_score(const pod_scene_t *s, const Core__Container *c) {
    const char *qos = pod_qos_class(s->pod->spec);
    if (streq(qos, "Guaranteed")) return -997;
    if (streq(qos, "BestEffort")) return 1000;
    int64_t memory = container_amount(c, false, "memory", false, 0);
    int64_t all = s->args->memory_bytes > 0 ? s->args->memory_bytes : 1;
    // The more of the node's memory was asked for, the later the container is a victim.
    int64_t score = 1000 - 1000 * memory / all;
    return score < 3 ? 3 : score > 999 ? 999 : score;
}

static Cri__LinuxContainerResources *resources_of(const pod_scene_t *s, const Core__Container *c,
                                                  arena_t *arena) {
    Cri__LinuxContainerResources *r =
        MSG_NEW(arena, Cri__LinuxContainerResources, cri__linux_container_resources__descriptor);
    int64_t limit = container_amount(c, true, "cpu", true, 0);
    int64_t shares = container_amount(c, false, "cpu", true, limit) * 1024 / 1000;
    r->cpu_shares = shares < SHARES_MIN ? SHARES_MIN : shares;
    r->cpu_period = CPU_PERIOD_US;
    if (limit > 0)
        r->cpu_quota = limit * (CPU_PERIOD_US / 1000) < QUOTA_MIN_US
                           ? QUOTA_MIN_US
                           : limit * (CPU_PERIOD_US / 1000);
    r->memory_limit_in_bytes = container_amount(c, true, "memory", false, 0);
    r->oom_score_adj = oom_score(s, c);
    return r;
}

static Cri__LinuxContainerSecurityContext *security_of(const pod_scene_t *s,
                                                       const Core__Container *c, arena_t *arena) {
    const Core__PodSecurityContext *p = s->pod->spec->securitycontext;
    const Core__SecurityContext *own = c->securitycontext;
    Cri__LinuxContainerSecurityContext *x =
        MSG_NEW(arena, Cri__LinuxContainerSecurityContext,
                cri__linux_container_security_context__descriptor);
    x->namespace_options = namespaces(s->pod->spec, arena);
    x->privileged = own && own->privileged;
    x->readonly_rootfs = own && own->readonlyrootfilesystem;
    x->no_new_privs = own && own->has_allowprivilegeescalation && !own->allowprivilegeescalation;
    set_user(p, own, arena, &x->run_as_user, &x->run_as_group);
    x->n_supplemental_groups = groups_of(p, arena, &x->supplemental_groups);
    x->seccomp = profile_of(own && own->seccompprofile ? own->seccompprofile
                            : p                        ? p->seccompprofile
                                                       : NULL,
                            arena);
    if (own && own->capabilities) {
        x->capabilities = MSG_NEW(arena, Cri__Capability, cri__capability__descriptor);
        x->capabilities->n_add_capabilities = own->capabilities->n_add;
        x->capabilities->add_capabilities = own->capabilities->add;
        x->capabilities->n_drop_capabilities = own->capabilities->n_drop;
        x->capabilities->drop_capabilities = own->capabilities->drop;
    }
    if (!x->privileged && !(own && streq(or_empty(own->procmount), "Unmasked"))) {
        x->masked_paths = (const char **)masked_paths;
        x->n_masked_paths = LENGTH_OF(masked_paths);
        x->readonly_paths = (const char **)readonly_paths;
        x->n_readonly_paths = LENGTH_OF(readonly_paths);
    }
    return x;
}

static const Core__Volume *volume_of(const Core__PodSpec *spec, const char *name) {
    for (size_t i = 0; i < spec->n_volumes; i++)
        if (streq(or_empty(spec->volumes[i]->name), name)) return spec->volumes[i];
    return NULL;
}

static void add_mount(Cri__ContainerConfig *config, arena_t *arena, const char *host,
                      const char *inside, bool readonly) {
    Cri__Mount *m = MSG_NEW(arena, Cri__Mount, cri__mount__descriptor);
    m->host_path = host;
    m->container_path = inside;
    m->readonly = readonly;
    config->mounts[config->n_mounts++] = m;
}

bool path_stays_below(const char *path) {
    return path[0] != '/' && !streq(path, "..") && !has_prefix(path, "../") &&
           !strstr(path, "/../") && !has_suffix(path, "/..");
}

static err_t add_mounts(const pod_scene_t *s, const pod_member_t *m, uint32_t attempt,
                        Cri__ContainerConfig *config, arena_t *arena, why_t *why) {
    const Core__Container *c = m->spec;
    bool has_hosts = false;
    config->mounts = ARENA_ARRAY(arena, Cri__Mount *, c->n_volumemounts + 2);
    for (size_t i = 0; i < c->n_volumemounts; i++) {
        const Core__VolumeMount *vm = c->volumemounts[i];
        const Core__Volume *v = volume_of(s->pod->spec, or_empty(vm->name));
        if (!v)
            return why_set(why, ERR_INVALID,
                           "cannot find volume \"%s\" to mount into container \"%s\"",
                           or_empty(vm->name), c->name);
        const Core__VolumeSource *src = v->volumesource;
        bool is_host = src && src->hostpath;
        const char *host = is_host
                               ? or_empty(src->hostpath->path)
                               : arena_printf(arena, "%s/volumes/%s", pod_dir(s, arena), v->name);
        const char *sub =
            !is_empty(vm->subpathexpr)
                ? expand_variables(arena, vm->subpathexpr, config->envs, config->n_envs)
                : or_empty(vm->subpath);
        if (!path_stays_below(sub))
            return why_set(why, ERR_INVALID, "subPath \"%s\" must not leave its volume", sub);
        if (*sub) host = arena_printf(arena, "%s/%s", host, sub);
        bool is_made = src && (src->configmap || src->secret || src->downwardapi || src->projected);
        add_mount(config, arena, host, or_empty(vm->mountpath), vm->readonly || is_made);
        const char *propagation = or_empty(vm->mountpropagation);
        if (streq(propagation, "HostToContainer"))
            config->mounts[config->n_mounts - 1]->propagation =
                CRI__MOUNT_PROPAGATION__PROPAGATION_HOST_TO_CONTAINER;
        if (streq(propagation, "Bidirectional"))
            config->mounts[config->n_mounts - 1]->propagation =
                CRI__MOUNT_PROPAGATION__PROPAGATION_BIDIRECTIONAL;
        has_hosts |= streq(or_empty(vm->mountpath), "/etc/hosts");
    }
    if (!has_hosts && !s->pod->spec->hostnetwork)
        add_mount(config, arena, arena_printf(arena, "%s/etc-hosts", pod_dir(s, arena)),
                  "/etc/hosts", false);
    const char *message =
        is_empty(c->terminationmessagepath) ? "/dev/termination-log" : c->terminationmessagepath;
    add_mount(config, arena, pod_message_path(s, c->name, attempt, arena), message, false);
    return ERR_OK;
}

static void add_marks(const pod_scene_t *s, const pod_member_t *m, uint32_t attempt,
                      Cri__ContainerConfig *config, arena_t *arena) {
    const Meta__ObjectMeta *meta = s->pod->metadata;
    const Core__PodSpec *spec = s->pod->spec;
    config->labels = ARENA_ARRAY(arena, Cri__ContainerConfig__LabelsEntry *, 4);
    config->annotations = ARENA_ARRAY(arena, Cri__ContainerConfig__AnnotationsEntry *, 5);
#define LABEL(k, v)                                                     \
    ADD_ENTRY(arena, config, labels, Cri__ContainerConfig__LabelsEntry, \
              cri__container_config__labels_entry__descriptor, k, v)
#define NOTE(k, v)                                                                \
    ADD_ENTRY(arena, config, annotations, Cri__ContainerConfig__AnnotationsEntry, \
              cri__container_config__annotations_entry__descriptor, k, v)
    LABEL(LABEL_CONTAINER_NAME, m->spec->name);
    LABEL(LABEL_POD_NAME, or_empty(meta->name));
    LABEL(LABEL_POD_NAMESPACE, or_empty(meta->namespace_));
    LABEL(LABEL_POD_UID, or_empty(meta->uid));
    NOTE(ANNOTATION_HASH, arena_printf(arena, "%x", m->hash));
    NOTE(ANNOTATION_RESTARTS, str_number(arena, attempt));
    NOTE(ANNOTATION_MESSAGE, is_empty(m->spec->terminationmessagepath)
                                 ? "/dev/termination-log"
                                 : m->spec->terminationmessagepath);
    NOTE(ANNOTATION_MESSAGE_POLICY,
         is_empty(m->spec->terminationmessagepolicy) ? "File" : m->spec->terminationmessagepolicy);
    NOTE(ANNOTATION_GRACE, str_number(arena, spec->has_terminationgraceperiodseconds
                                                 ? spec->terminationgraceperiodseconds
                                                 : 30));
#undef LABEL
#undef NOTE
}

static size_t expand_all(arena_t *arena, const char *const *from, size_t len,
                         const Cri__ContainerConfig *config, const char ***ret_to) {
    const char **to = ARENA_ARRAY(arena, const char *, len + 1);
    for (size_t i = 0; i < len; i++)
        to[i] = expand_variables(arena, or_empty(from[i]), config->envs, config->n_envs);
    *ret_to = to;
    return len;
}

err_t pod_container_config(const pod_scene_t *s, const pod_member_t *m, uint32_t attempt,
                           const char *image_ref, arena_t *arena, Cri__ContainerConfig **ret_config,
                           why_t *why) {
    const Core__Container *c = m->spec;
    const Core__SecurityContext *own = c->securitycontext;
    const Core__PodSecurityContext *pod = s->pod->spec->securitycontext;
    Cri__ContainerConfig *config =
        MSG_NEW(arena, Cri__ContainerConfig, cri__container_config__descriptor);
    env_t env = {.arena = arena};
    err_t err = pod_env(s, c, &env, why);
    if (err) return err;
    config->envs = env.at;
    config->n_envs = env.len;
    config->metadata = MSG_NEW(arena, Cri__ContainerMetadata, cri__container_metadata__descriptor);
    config->metadata->name = c->name;
    config->metadata->attempt = attempt;
    config->image = MSG_NEW(arena, Cri__ImageSpec, cri__image_spec__descriptor);
    config->image->image = image_ref;
    config->n_command = expand_all(arena, c->command, c->n_command, config, &config->command);
    config->n_args = expand_all(arena, c->args, c->n_args, config, &config->args);
    config->working_dir = or_empty(c->workingdir);
    err = add_mounts(s, m, attempt, config, arena, why);
    if (err) return err;
    add_marks(s, m, attempt, config, arena);
    config->log_path = arena_printf(arena, "%s/%u.log", c->name, attempt);
    config->stdin = c->stdin;
    config->stdin_once = c->stdinonce;
    config->tty = c->tty;
    config->linux =
        MSG_NEW(arena, Cri__LinuxContainerConfig, cri__linux_container_config__descriptor);
    config->linux->resources = resources_of(s, c, arena);
    config->linux->security_context = security_of(s, c, arena);
    bool not_root = own && own->has_runasnonroot ? own->runasnonroot : pod && pod->runasnonroot;
    const Cri__Int64Value *user = config->linux->security_context->run_as_user;
    if (not_root && user && user->value == 0)
        return why_set(why, ERR_INVALID,
                       "container's runAsUser breaks non-root policy (pod: \"%s\", container: %s)",
                       or_empty(s->pod->metadata->name), c->name);
    *ret_config = config;
    return ERR_OK;
}

uint32_t container_port(const Core__Container *c, const Intstr__IntOrString *port) {
    if (!port) return 0;
    if (port->type == 0) return port->intval > 0 ? (uint32_t)port->intval : 0;
    for (size_t i = 0; i < c->n_ports; i++)
        if (streq(or_empty(c->ports[i]->name), or_empty(port->strval)))
            return (uint32_t)c->ports[i]->containerport;
    return 0;
}
