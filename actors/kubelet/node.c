#include "actors/kubelet/node.h"
#include "runtime/api/kinds.h"
#include "runtime/api/msg.h"
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

// ---- the machine ------------------------------------------------------------------------------
static const char *line_of(arena_t *arena, const char *path, const char *prefix) {
    FILE *file = fopen(path, "re");
    char line[512];
    const char *found = "";
    while (file && fgets(line, sizeof line, file)) {
        if (!has_prefix(line, prefix)) continue;
        line[strcspn(line, "\n")] = 0;
        found = arena_strdup(arena, line + strlen(prefix));
        break;
    }
    if (file) fclose(file);
    return found;
}

void node_facts(arena_t *arena, bool simulated, const char *node, node_facts_t *f) {
    if (simulated) {
        *f = (node_facts_t){node, node, "simulated", "simulated", 4000, 16ll << 30, 100ll << 30};
        return;
    }
    struct utsname uts = {0};
    struct sysinfo info = {0};
    struct statvfs disk = {0};
    uname(&uts);
    sysinfo(&info);
    statvfs("/", &disk);
    const char *name = line_of(arena, "/etc/os-release", "PRETTY_NAME=");
    size_t len = strlen(name);
    if (len >= 2 && name[0] == '"') name = arena_strndup(arena, name + 1, len - 2);
    *f = (node_facts_t){
        .machine_id = line_of(arena, "/etc/machine-id", ""),
        .boot_id = line_of(arena, "/proc/sys/kernel/random/boot_id", ""),
        .kernel = arena_strdup(arena, uts.release),
        .os_image = name,
        .cpu_milli = sysconf(_SC_NPROCESSORS_ONLN) * 1000,
        .memory_bytes = (int64_t)info.totalram * info.mem_unit,
        .disk_bytes = (int64_t)disk.f_blocks * (int64_t)disk.f_frsize,
    };
}

const char *node_address(arena_t *arena) {
    char text[INET_ADDRSTRLEN] = "";
    // Connecting a datagram socket sends nothing, but chooses the way out.
    struct sockaddr_in far = {.sin_family = AF_INET,
                              .sin_port = htons(53),
                              .sin_addr.s_addr = htonl(0x08080808)},
                       own = {0};
    socklen_t len = sizeof own;
    int fd CLEANUP(close_fdp) = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&far, sizeof far) == 0 &&
        getsockname(fd, (struct sockaddr *)&own, &len) == 0 &&
        inet_ntop(AF_INET, &own.sin_addr, text, sizeof text))
        return arena_strdup(arena, text);
    struct ifaddrs *all = NULL;
    if (getifaddrs(&all)) return "";
    for (const struct ifaddrs *one = all; one && !*text; one = one->ifa_next) {
        if (!one->ifa_addr || one->ifa_addr->sa_family != AF_INET ||
            (one->ifa_flags & IFF_LOOPBACK) || !(one->ifa_flags & IFF_UP))
            continue;
        inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)one->ifa_addr)->sin_addr,
                  text, sizeof text);
    }
    freeifaddrs(all);
    return arena_strdup(arena, text);
}

// ---- amounts ----------------------------------------------------------------------------------
static void add_amount(arena_t *arena, Core__NodeStatus__CapacityEntry **at, size_t *len,
                       const char *name, const char *text) {
    Core__NodeStatus__CapacityEntry *e = MSG_NEW(arena, Core__NodeStatus__CapacityEntry,
                                                 core__node_status__capacity_entry__descriptor);
    e->key = name;
    e->value = MSG_NEW(arena, Resource__Quantity, resource__quantity__descriptor);
    e->value->string = text;
    at[(*len)++] = e;
}

static void add_allocatable(arena_t *arena, Core__NodeStatus *s, const char *name,
                            const char *text) {
    Core__NodeStatus__AllocatableEntry *e =
        MSG_NEW(arena, Core__NodeStatus__AllocatableEntry,
                core__node_status__allocatable_entry__descriptor);
    e->key = name;
    e->value = MSG_NEW(arena, Resource__Quantity, resource__quantity__descriptor);
    e->value->string = text;
    s->allocatable[s->n_allocatable++] = e;
}

static const char *cpu_text(arena_t *arena, int64_t milli) {
    return milli % 1000 ? arena_printf(arena, "%lldm", (long long)milli)
                        : arena_printf(arena, "%lld", (long long)(milli / 1000));
}

static const char *kib(arena_t *arena, int64_t bytes) {
    return arena_printf(arena, "%lldKi", (long long)(bytes / 1024));
}

static void add_amounts(const kubelet_args_t *a, const node_facts_t *f, Core__NodeStatus *s,
                        arena_t *arena) {
    int64_t cpu = a->cpu_milli ? a->cpu_milli : f->cpu_milli,
            memory = a->memory_bytes ? a->memory_bytes : f->memory_bytes;
    int64_t left = memory - a->reserved_memory_bytes > 0 ? memory - a->reserved_memory_bytes : 0;
    const char *pods = arena_printf(arena, "%lld", (long long)a->pods_max);
    s->capacity = ARENA_ARRAY(arena, Core__NodeStatus__CapacityEntry *, 4);
    s->allocatable = ARENA_ARRAY(arena, Core__NodeStatus__AllocatableEntry *, 4);
    // Maps are kept sorted.
    add_amount(arena, s->capacity, &s->n_capacity, "cpu", cpu_text(arena, cpu));
    add_amount(arena, s->capacity, &s->n_capacity, "ephemeral-storage", kib(arena, f->disk_bytes));
    add_amount(arena, s->capacity, &s->n_capacity, "memory", kib(arena, memory));
    add_amount(arena, s->capacity, &s->n_capacity, "pods", pods);
    add_allocatable(arena, s, "cpu", cpu_text(arena, cpu));
    // A tenth of the disk is kept free: nodefs.available<10% evicts.
    add_allocatable(arena, s, "ephemeral-storage", kib(arena, f->disk_bytes / 10 * 9));
    add_allocatable(arena, s, "memory", kib(arena, left));
    add_allocatable(arena, s, "pods", pods);
}

// ---- conditions -------------------------------------------------------------------------------
static const Core__NodeCondition *old_condition(const Core__NodeStatus *old, const char *type) {
    for (size_t i = 0; old && i < old->n_conditions; i++)
        if (streq(or_empty(old->conditions[i]->type), type)) return old->conditions[i];
    return NULL;
}

static Core__NodeCondition *condition(const Core__NodeStatus *old, const node_state_t *st,
                                      arena_t *arena, const char *type, bool is_true,
                                      const char *reason, const char *message) {
    Core__NodeCondition *c = MSG_NEW(arena, Core__NodeCondition, core__node_condition__descriptor);
    const Core__NodeCondition *was = old_condition(old, type);
    c->type = type;
    c->status = is_true ? "True" : "False";
    c->reason = reason;
    c->message = message;
    c->lastheartbeattime = time_new(arena, st->now_ms);
    bool moved = !was || !streq(or_empty(was->status), c->status) || !was->lasttransitiontime;
    c->lasttransitiontime = moved ? time_new(arena, st->now_ms) : was->lasttransitiontime;
    return c;
}

static void add_conditions(const node_state_t *st, const Core__NodeStatus *old, Core__NodeStatus *s,
                           arena_t *arena) {
    bool ready = st->runtime_ready && st->network_ready;
    const char *why = !st->runtime_ready ? "container runtime not ready: %s"
                                         : "container runtime network not ready: %s";
    const char *message =
        ready ? "kubelet is posting ready status"
              : arena_printf(arena, "%s%s", arena_strndup(arena, why, strlen(why) - 2),
                             or_empty(st->message));
    s->conditions = ARENA_ARRAY(arena, Core__NodeCondition *, 4 + (old ? old->n_conditions : 0));
    Core__NodeCondition *made[] = {
        condition(old, st, arena, "MemoryPressure", false, "KubeletHasSufficientMemory",
                  "kubelet has sufficient memory available"),
        condition(old, st, arena, "DiskPressure", false, "KubeletHasNoDiskPressure",
                  "kubelet has no disk pressure"),
        condition(old, st, arena, "PIDPressure", false, "KubeletHasSufficientPID",
                  "kubelet has sufficient PID available"),
        condition(old, st, arena, "Ready", ready, ready ? "KubeletReady" : "KubeletNotReady",
                  message),
    };
    for (size_t i = 0; i < LENGTH_OF(made); i++) s->conditions[s->n_conditions++] = made[i];
    // Conditions of others (NetworkUnavailable) stay.
    for (size_t i = 0; old && i < old->n_conditions; i++) {
        bool ours = false;
        for (size_t k = 0; k < LENGTH_OF(made); k++)
            ours |= streq(or_empty(old->conditions[i]->type), made[k]->type);
        if (!ours) s->conditions[s->n_conditions++] = old->conditions[i];
    }
}

bool node_is_ready(const Core__NodeStatus *status) {
    const Core__NodeCondition *c = old_condition(status, "Ready");
    return c && streq(or_empty(c->status), "True");
}

// ---- the object -------------------------------------------------------------------------------
static Core__NodeAddress *address(arena_t *arena, const char *type, const char *value) {
    Core__NodeAddress *a = MSG_NEW(arena, Core__NodeAddress, core__node_address__descriptor);
    a->type = type;
    a->address = value;
    return a;
}

static Core__NodeSystemInfo *system_info(const node_facts_t *f, const node_state_t *st,
                                         arena_t *arena) {
    Core__NodeSystemInfo *i =
        MSG_NEW(arena, Core__NodeSystemInfo, core__node_system_info__descriptor);
    i->machineid = f->machine_id;
    i->systemuuid = f->machine_id;
    i->bootid = f->boot_id;
    i->kernelversion = f->kernel;
    i->osimage = f->os_image;
    i->containerruntimeversion =
        is_empty(st->runtime_name)
            ? ""
            : arena_printf(arena, "%s://%s", st->runtime_name, st->runtime_version);
    i->kubeletversion = "v1.33.0+troupe-" TROUPE_VERSION;
    i->kubeproxyversion = "v1.33.0+troupe-" TROUPE_VERSION;
    i->operatingsystem = "linux";
#if defined(__aarch64__)
    i->architecture = "arm64";
#else
    i->architecture = "amd64";
#endif
    return i;
}

Core__NodeStatus *node_status(const kubelet_args_t *a, const char *node, const node_facts_t *f,
                              const node_state_t *st, const Core__NodeStatus *old, arena_t *arena) {
    Core__NodeStatus *s = MSG_NEW(arena, Core__NodeStatus, core__node_status__descriptor);
    add_amounts(a, f, s, arena);
    add_conditions(st, old, s, arena);
    s->addresses = ARENA_ARRAY(arena, Core__NodeAddress *, 2);
    if (!is_empty(a->node_ip))
        s->addresses[s->n_addresses++] = address(arena, "InternalIP", a->node_ip);
    s->addresses[s->n_addresses++] = address(arena, "Hostname", a->hostname);
    s->nodeinfo = system_info(f, st, arena);
    if (old) {
        s->n_images = old->n_images;
        s->images = old->images;
    }
    return s;
}

static void add_taint(Core__Node *n, arena_t *arena, const char *text) {
    // key[=value]:Effect
    const char *colon = strrchr(text, ':');
    if (!colon) return;
    const char *equals = memchr(text, '=', (size_t)(colon - text));
    Core__Taint *t = MSG_NEW(arena, Core__Taint, core__taint__descriptor);
    t->key = arena_strndup(arena, text, (size_t)((equals ? equals : colon) - text));
    if (equals) t->value = arena_strndup(arena, equals + 1, (size_t)(colon - equals - 1));
    t->effect = colon + 1;
    n->spec->taints[n->spec->n_taints++] = t;
}

Core__Node *node_object(const kubelet_args_t *a, const char *node, const node_facts_t *f,
                        const node_state_t *st, arena_t *arena) {
    Core__Node *n = MSG_NEW(arena, Core__Node, core__node__descriptor);
    Meta__ObjectMeta *meta = object_meta(arena, &n->base);
    meta->name = node;
    n->spec = MSG_NEW(arena, Core__NodeSpec, core__node_spec__descriptor);
    n->status = node_status(a, node, f, st, NULL, arena);
    object_set_label(arena, &n->base, "kubernetes.io/hostname", a->hostname);
    object_set_label(arena, &n->base, "kubernetes.io/os", "linux");
    object_set_label(arena, &n->base, "kubernetes.io/arch", n->status->nodeinfo->architecture);
    for (size_t i = 0; i < a->labels.len; i++) {
        const char *equals = strchr(a->labels.at[i], '=');
        if (equals)
            object_set_label(arena, &n->base,
                             arena_strndup(arena, a->labels.at[i],
                                           (size_t)(equals - a->labels.at[i])),
                             equals + 1);
    }
    n->spec->taints = ARENA_ARRAY(arena, Core__Taint *, a->taints.len + 1);
    for (size_t i = 0; i < a->taints.len; i++) add_taint(n, arena, a->taints.at[i]);
    if (!is_empty(a->pod_range)) {
        n->spec->podcidr = a->pod_range;
        n->spec->podcidrs = ARENA_ARRAY(arena, const char *, 1);
        n->spec->podcidrs[n->spec->n_podcidrs++] = a->pod_range;
    }
    return n;
}
