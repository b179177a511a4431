// kubelet/NODE: registers its Node, follows the pods that are bound to it, keeps one pod actor for
// each, and carries their statuses and events to the API.
//
//     pods' watch ─► entries ─► PodWish to pod/…          PodReport ─► pods/status
//     runtime/NODE's events ─► the pod that owns them     PodDone ─► delete, grace 0, UID as
//     precondition
//
// After its own death it lists the runtime once: what runs is adopted by its pod actor, what the
// API no longer knows is stopped.
#include "actors/kubelet/kubelet_state.h"
#include "actors/kubelet/logs.h"
#include "actors/kubelet/pod_config.h"
#include "cri/containerd_containers.pb-c.h"
#include "cri/containerd_tasks.pb-c.h"
#include "cri/google.pb-c.h"
#include "k8s/coordination_v1.pb-c.h"
#include "runtime/api/msg.h"
#include "runtime/base/log.h"
#include "runtime/io/logfile.h"
#include <unistd.h>

// ---- configuration ----------------------------------------------------------------------------
#define FIELD(key, type, member, low, high, help) \
    { key, type, offsetof(kubelet_args_t, member), low, high, help }
const config_field_t kubelet_config[] = {
    FIELD("nodeIP", CONFIG_STRING, node_ip, 0, 0,
          "address of this node; default: the default route's interface"),
    FIELD("hostname", CONFIG_STRING, hostname, 0, 0, "default: the node's name"),
    FIELD("dataDir", CONFIG_STRING, data_dir, 0, 0, "default /var/lib/troupe"),
    FIELD("runDir", CONFIG_STRING, run_dir, 0, 0, "default /run/troupe"),
    FIELD("imagesDir", CONFIG_STRING, images_dir, 0, 0,
          "images served without a registry; default DATA/images"),
    FIELD("containerdSocket", CONFIG_STRING, socket, 0, 0,
          "of a running containerd; default: one of our own"),
    FIELD("ociRuntime", CONFIG_STRING, oci_runtime, 0, 0, "runc, crun or auto (default)"),
    FIELD("sandboxImage", CONFIG_STRING, sandbox_image, 0, 0, "default registry.k8s.io/pause:3.9"),
    FIELD("cniBinDir", CONFIG_STRING, cni_bin_dir, 0, 0, "default /usr/lib/cni, else /opt/cni/bin"),
    FIELD("bridge", CONFIG_STRING, bridge, 0, 0, "the pods' bridge; default cni0"),
    FIELD("cgroupRoot", CONFIG_STRING, cgroup_root, 0, 0,
          "prefix of the pods' cgroups; default none"),
    FIELD("podLogDir", CONFIG_STRING, pod_log_dir, 0, 0, "default /var/log/pods"),
    FIELD("containerLogMaxSize", CONFIG_BYTES, log_max_bytes, 0, 0,
          "a container's log moves aside past it; default 10Mi"),
    FIELD("containerLogMaxFiles", CONFIG_INT, log_files_max, 2, LOG_FILES_MAX,
          "kept of one container; default 5"),
    FIELD("staticPodPath", CONFIG_STRING, manifest_dir, 0, 0,
          "folder of pods that run without the API"),
    FIELD("podCIDR", CONFIG_STRING, pod_range, 0, 0,
          "this node's pod range; default: as the controllers give it"),
    FIELD("clusterDomain", CONFIG_STRING, cluster_domain, 0, 0, "default cluster.local"),
    FIELD("clusterDNS", CONFIG_STRINGS, cluster_dns, 0, 0,
          "name servers of pods; default: the node's own"),
    FIELD("nodeLabels", CONFIG_STRINGS, labels, 0, 0, "key=value"),
    FIELD("registerWithTaints", CONFIG_STRINGS, taints, 0, 0, "key=value:Effect"),
    FIELD("maxPods", CONFIG_INT, pods_max, 1, KUBELET_PODS_MAX, "default 110"),
    FIELD("cpuMilli", CONFIG_INT, cpu_milli, 0, 0, "capacity; default: what the machine has"),
    FIELD("memory", CONFIG_BYTES, memory_bytes, 0, 0, "capacity; default: what the machine has"),
    FIELD("reservedMemory", CONFIG_BYTES, reserved_memory_bytes, 0, 0,
          "not for pods; default 100Mi"),
    FIELD("aliveInterval", CONFIG_DURATION_MS, alive_interval_ms, 0, 0,
          "how often the API server hears that the node lives; default 200ms"),
    FIELD("leaseInterval", CONFIG_DURATION_MS, lease_interval_ms, 0, 0,
          "how often the Lease object is renewed; default 10s"),
    FIELD("nodeStatusReportFrequency", CONFIG_DURATION_MS, status_interval_ms, 0, 0,
          "node status without a change; default 5m"),
    FIELD("simulated", CONFIG_BOOL, simulated, 0, 0, "a node without containers"),
    FIELD("simulatedSandbox", CONFIG_DURATION_MS, sim_sandbox_ms, 0, 0,
          "how long a simulated sandbox takes; default 120ms"),
    FIELD("simulatedCreate", CONFIG_DURATION_MS, sim_create_ms, 0, 0, "default 10ms"),
    FIELD("simulatedStart", CONFIG_DURATION_MS, sim_start_ms, 0, 0, "default 65ms"),
    FIELD("simulatedPull", CONFIG_DURATION_MS, sim_pull_ms, 0, 0, "default 30ms"),
    FIELD("simulatedStop", CONFIG_DURATION_MS, sim_stop_ms, 0, 0, "default 50ms"),
    {0},
};

static const char *or_default(const char *value, const char *other) {
    return is_empty(value) ? other : value;
}

kubelet_args_t kubelet_args_filled(arena_t *arena, const kubelet_args_t *args, const char *node) {
    kubelet_args_t a = args ? *args : (kubelet_args_t){0};
    a.hostname = or_default(a.hostname, node);
    a.data_dir = or_default(a.data_dir, "/var/lib/troupe");
    a.run_dir = or_default(a.run_dir, "/run/troupe");
    a.images_dir =
        is_empty(a.images_dir) ? arena_printf(arena, "%s/images", a.data_dir) : a.images_dir;
    a.oci_runtime = or_default(a.oci_runtime, "auto");
    a.sandbox_image = or_default(a.sandbox_image, "registry.k8s.io/pause:3.9");
    a.cni_bin_dir =
        or_default(a.cni_bin_dir,
                   access("/usr/lib/cni/bridge", X_OK) == 0 ? "/usr/lib/cni" : "/opt/cni/bin");
    a.bridge = or_default(a.bridge, "cni0");
    a.cgroup_root = or_default(a.cgroup_root, "");
    a.pod_log_dir = or_default(a.pod_log_dir, "/var/log/pods");
    a.cluster_domain = or_default(a.cluster_domain, "cluster.local");
    if (is_empty(a.node_ip)) a.node_ip = a.simulated ? "192.0.2.1" : node_address(arena);
    if (!a.log_max_bytes) a.log_max_bytes = KUBELET_LOG_MAX_BYTES;
    if (!a.log_files_max) a.log_files_max = KUBELET_LOG_FILES;
    if (!a.pods_max) a.pods_max = 110;
    if (!a.reserved_memory_bytes) a.reserved_memory_bytes = 100 << 20;
    if (!a.alive_interval_ms) a.alive_interval_ms = 200;
    if (!a.lease_interval_ms) a.lease_interval_ms = 10 * 1000;
    if (!a.status_interval_ms) a.status_interval_ms = 5 * 60 * 1000;
    if (!a.sim_sandbox_ms) a.sim_sandbox_ms = 120;
    if (!a.sim_create_ms) a.sim_create_ms = 10;
    if (!a.sim_start_ms) a.sim_start_ms = 65;
    if (!a.sim_pull_ms) a.sim_pull_ms = 30;
    if (!a.sim_stop_ms) a.sim_stop_ms = 50;
    return a;
}

static const kind_t *pod_kind(void) { return kind_find("", "v1", "Pod"); }
static const kind_t *node_kind(void) { return kind_find("", "v1", "Node"); }
static const kind_t *lease_kind(void) { return kind_find("coordination.k8s.io", "v1", "Lease"); }

// ---- entries ----------------------------------------------------------------------------------
entry_t *kubelet_entry(actor_t *me, const char *uid, const char *ns, const char *name) {
    kubelet_t *self = actor_state(me);
    entry_t *e = map_get(&self->by_uid, uid);
    if (e) return e;
    e = NEW(entry_t);
    e->number = ++self->entry_next;
    e->uid = str_dup(uid);
    e->child = str_printf("%.63s.%.180s.%.40s", ns, name, uid);
    e->address = str_printf("pod/%s", e->child);
    e->args = (pod_args_t){&self->args, actor_name(me), e->uid};
    map_put(&self->by_uid, uid, e);
    imap_put(&self->by_number, e->number, e);
    return e;
}

static void entry_drop(actor_t *me, entry_t *e) {
    kubelet_t *self = actor_state(me);
    if (e->spawned) {
        actor_demonitor(me, e->address);
        actor_stop_child(me, e->address);
    }
    size_t at = 0;
    const char *id;
    void *owner;
    while (map_next(&self->owners, &at, &id, &owner))
        if (owner == e) map_remove(&self->owners, id);
    map_remove(&self->by_uid, e->uid);
    map_remove(&self->on_runtime, e->uid);
    imap_remove(&self->by_number, e->number);
    record_unref((record_t **)&e->record);
    blob_unref(&e->packed);
    blob_unref(&e->status);
    blob_unref(&e->sent);
    free(e->uid);
    free(e->child);
    free(e->address);
    free(e);
}

static void on_pod_changed(void *arg, const record_t *was, const record_t *is) {
    actor_t *me = arg;
    kubelet_t *self = actor_state(me);
    if (kubelet_is_mirror(is ? is : was)) {
        kubelet_mirror_changed(me, was, is);
        return;
    }
    // A pod of the same name may be another one: only the UID tells.
    if (was && (!is || !streq(was->uid, is->uid))) {
        entry_t *old = map_get(&self->by_uid, was->uid);
        if (old) {
            record_unref((record_t **)&old->record);
            if (!old->packed) old->packed = msg_blob(was->object);
            old->gone = old->dirty = true;
        }
    }
    if (!is) return;
    entry_t *e = kubelet_entry(me, is->uid, is->namespace_, is->name);
    record_unref((record_t **)&e->record);
    e->record = record_ref(is);
    e->gone = false;
    e->dirty = e->doubted = true;
}

// ---- pods: wishes down ------------------------------------------------------------------------
static void tell_wish(actor_t *me, entry_t *e, bool with_pod) {
    kubelet_t *self = actor_state(me);
    arena_t *arena = actor_arena(me);
    Node__PodWish wish = {.base.descriptor = &node__pod_wish__descriptor,
                          .gone = e->gone,
                          .grace_seconds = KUBELET_ORPHAN_GRACE_S,
                          .network_ready = self->runtime.network_ready,
                          .fresh = !map_get(&self->on_runtime, e->uid)};
    bytes_t packed = {0};
    bool of_api = e->record && !e->is_static;
    if (with_pod) packed = of_api ? msg_pack(arena, e->record->object) : blob_bytes(e->packed);
    wish.pod = (ProtobufCBinaryData){packed.len, (uint8_t *)packed.at};
    actor_tell(me, e->address, &wish.base);
    // From now on the runtime may hold something of it.
    map_put(&self->on_runtime, e->uid, e);
}

static void spawn_pod(actor_t *me, entry_t *e) {
    why_t why;
    if (actor_spawn(me, &pod_actor, e->child, &e->args, &why)) {
        log_error(actor_address(me), "%s", why.text);
        actor_timer(me, K_TAG_POD_RETRY + e->number * 4, KUBELET_RETRY_MS);
        return;
    }
    e->spawned = true;
    actor_monitor(me, e->address);
}

static void sync_pod(actor_t *me, entry_t *e) {
    e->dirty = false;
    if (e->gone && !e->spawned) {
        entry_drop(me, e);
        return;
    }
    if (e->gone && e->done) {
        entry_drop(me, e);
        return;
    }
    if (!e->spawned) spawn_pod(me, e);
    if (e->spawned) tell_wish(me, e, true);
}

// What the runtime holds and the API does not know: stopped and removed by a pod actor of its own.
static void take_orphans(actor_t *me) {
    kubelet_t *self = actor_state(me);
    for (size_t i = 0; i < self->orphans.len; i++) {
        arena_t *arena = actor_arena(me);
        const Core__Pod *pod =
            msg_unpack_own(arena, &core__pod__descriptor, blob_bytes(self->orphans.at[i]));
        if (pod && !map_get(&self->by_uid, pod->metadata->uid)) {
            entry_t *e = kubelet_entry(me, pod->metadata->uid, or_empty(pod->metadata->namespace_),
                                       or_empty(pod->metadata->name));
            e->packed = blob_ref(self->orphans.at[i]);
            e->gone = true;
            spawn_pod(me, e);
            if (e->spawned) tell_wish(me, e, true);
            log_info(actor_address(me), "pod %s/%s (%s) is no longer in the API: removed",
                     or_empty(pod->metadata->namespace_), or_empty(pod->metadata->name),
                     pod->metadata->uid);
        }
        blob_unref(&self->orphans.at[i]);
    }
    vec_reset(&self->orphans);
}

static void sync_pods(actor_t *me) {
    kubelet_t *self = actor_state(me);
    if (!self->known) return;
    // Static pods wait for nobody; what the API wants, and what it does not, is known only from it.
    bool is_synced = informer_is_synced(self->pods);
    if (is_synced) take_orphans(me);
    VEC(entry_t *) dirty = {0};
    size_t at = 0;
    uint64_t number;
    void *value;
    while (imap_next(&self->by_number, &at, &number, &value))
        if (((entry_t *)value)->dirty && (is_synced || ((entry_t *)value)->is_static))
            vec_push(&dirty, value);
    for (size_t i = 0; i < dirty.len; i++) sync_pod(me, dirty.at[i]);
    vec_done(&dirty);
}

// ---- pods: facts up ---------------------------------------------------------------------------
static void write_status(actor_t *me, entry_t *e) {
    arena_t *arena = actor_arena(me);
    if (e->writing || !e->status || !e->record) return;
    const Core__PodStatus *status =
        msg_unpack_own(arena, &core__pod_status__descriptor, blob_bytes(e->status));
    Core__Pod *pod = msg_dup(arena, e->record->object);
    pod->status = (Core__PodStatus *)status;
    blob_unref(&e->sent);
    e->sent = x_steal(&e->status);
    e->writing = true;
    api_update(me, pod_kind(), "status", &pod->base, K_TAG_POD_STATUS + e->number * 4);
}

static void on_report(actor_t *me, const message_t *msg, const void *body) {
    kubelet_t *self = actor_state(me);
    const Node__PodReport *report = body;
    entry_t *e = map_get(&self->by_uid, report->uid);
    if (!e) return;
    blob_unref(&e->status);
    e->status = blob_from(report->status.data, report->status.len);
    write_status(me, e);
}

static void on_pod_event(actor_t *me, const message_t *msg, const void *body) {
    kubelet_t *self = actor_state(me);
    const Node__PodEvent *event = body;
    const entry_t *e = map_get(&self->by_uid, event->uid);
    if (!e || !e->record) return;
    recorder_event(&self->recorder, me, pod_kind(), e->record->object,
                   is_empty(event->field_path) ? NULL : event->field_path, event->type,
                   event->reason, "%s", event->message);
}

static void on_owns(actor_t *me, const message_t *msg, const void *body) {
    kubelet_t *self = actor_state(me);
    const Node__PodOwns *owns = body;
    entry_t *e = map_get(&self->by_uid, owns->uid);
    if (e) map_put(&self->owners, owns->id, e);
}

static void delete_pod(actor_t *me, entry_t *e) {
    const Meta__ObjectMeta *meta = object_meta_read(e->record->object);
    if (!meta->deletiontimestamp || e->deleting || e->writing || e->status) return;
    e->deleting = true;
    api_delete_options_t options = {.uid = e->uid, .has_grace = true, .grace_seconds = 0};
    api_delete(me, pod_kind(), e->record->namespace_, e->record->name, &options,
               K_TAG_POD_DELETE + e->number * 4);
}

static void on_done(actor_t *me, const message_t *msg, const void *body) {
    kubelet_t *self = actor_state(me);
    entry_t *e = map_get(&self->by_uid, ((const Node__PodDone *)body)->uid);
    if (!e) return;
    e->done = true;
    if (e->gone || !e->record || e->is_static)
        entry_drop(me, e);
    else
        delete_pod(me, e);
}

// ---- the runtime ------------------------------------------------------------------------------
static void list_runtime(actor_t *me) {
    kubelet_t *self = actor_state(me);
    if (self->listing) { // what comes may be older than what made us look
        actor_timer(me, K_TIMER_RELIST, KUBELET_RETRY_MS);
        return;
    }
    self->listing = 2;
    self->listing_failed = false;
    Cri__ListPodSandboxRequest sandboxes = {.base.descriptor =
                                                &cri__list_pod_sandbox_request__descriptor};
    Cri__ListContainersRequest containers = {.base.descriptor =
                                                 &cri__list_containers_request__descriptor};
    actor_ask(me, self->runtime_address, &sandboxes.base, KUBELET_LOOK_TIMEOUT_MS,
              K_TAG_LIST_SANDBOXES);
    actor_ask(me, self->runtime_address, &containers.base, KUBELET_LOOK_TIMEOUT_MS,
              K_TAG_LIST_CONTAINERS);
    actor_timer(me, K_TIMER_RELIST, KUBELET_RELIST_MS);
}

static void list_done(actor_t *me) {
    kubelet_t *self = actor_state(me);
    assert(self->listing);
    if (--self->listing) return;
    if (self->listing_failed) { // half a look is none: what it did not show may well be there
        actor_timer(me, K_TIMER_RELIST, KUBELET_RETRY_MS);
        return;
    }
    if (!self->known) {
        self->known = true;
        return;
    }
    // A later look: every pod that stands compares for itself.
    size_t at = 0;
    uint64_t number;
    void *value;
    Node__PodLook look = {.base.descriptor = &node__pod_look__descriptor};
    while (imap_next(&self->by_number, &at, &number, &value))
        if (((entry_t *)value)->spawned) actor_tell(me, ((entry_t *)value)->address, &look.base);
}

// A pod made of what its sandbox says of it: enough to find and remove everything.
static blob_t *pod_of_labels(arena_t *arena, const char *ns, const char *name, const char *uid) {
    Core__Pod *pod = MSG_NEW(arena, Core__Pod, core__pod__descriptor);
    Meta__ObjectMeta *meta = object_meta(arena, &pod->base);
    meta->name = name;
    meta->namespace_ = ns;
    meta->uid = uid;
    pod->spec = MSG_NEW(arena, Core__PodSpec, core__pod_spec__descriptor);
    return msg_blob(&pod->base);
}

static void on_list_sandboxes(actor_t *me, const message_t *msg, const void *body) {
    kubelet_t *self = actor_state(me);
    if (kubelet_stream_answer(me, msg, body)) return;
    const Cri__ListPodSandboxResponse *list = body;
    bool orphans_wanted = !self->known;
    for (size_t i = 0; i < list->n_items; i++) {
        const Cri__PodSandboxMetadata *m = list->items[i]->metadata;
        if (!m || is_empty(m->uid)) continue;
        if (!map_get(&self->on_runtime, m->uid)) {
            map_put(&self->on_runtime, m->uid, self);
            if (orphans_wanted)
                vec_push(&self->orphans,
                         pod_of_labels(actor_arena(me), m->namespace_, m->name, m->uid));
        }
    }
    list_done(me);
}

static const char *label_of(const Cri__Container *c, const char *key) {
    for (size_t i = 0; i < c->n_labels; i++)
        if (streq(c->labels[i]->key, key)) return c->labels[i]->value;
    return "";
}

static void rotate_runtime_log(actor_t *me) {
    kubelet_t *self = actor_state(me);
    why_t why;
    if (logfile_turn(arena_printf(actor_arena(me), "%s/containerd.log", self->args.data_dir),
                     self->args.log_max_bytes, &why))
        log_warn(actor_address(me), "%s", why.text);
}

// The runtime's list comes every two minutes: that is when logs are weighed.
static void rotate_log(actor_t *me, const Cri__Container *c) {
    kubelet_t *self = actor_state(me);
    arena_t *arena = actor_arena(me);
    if (c->state != CRI__CONTAINER_STATE__CONTAINER_RUNNING || !c->metadata) return;
    const char *dir = pod_log_dir(&self->args, label_of(c, LABEL_POD_NAMESPACE),
                                  label_of(c, LABEL_POD_NAME), label_of(c, LABEL_POD_UID), arena);
    const char *path =
        arena_printf(arena, "%s/%s/%u.log", dir, c->metadata->name, c->metadata->attempt);
    if (!logs_rotate(path, self->args.log_max_bytes, self->args.log_files_max)) return;
    Cri__ReopenContainerLogRequest reopen = {.base.descriptor =
                                                 &cri__reopen_container_log_request__descriptor,
                                             .container_id = c->id};
    actor_ask(me, self->runtime_address, &reopen.base, KUBELET_LOOK_TIMEOUT_MS, K_TAG_REOPEN);
}

static void on_reopened(actor_t *me, const message_t *msg, const void *body) {}

static void on_list_containers(actor_t *me, const message_t *msg, const void *body) {
    kubelet_t *self = actor_state(me);
    if (kubelet_stream_answer(me, msg, body)) return;
    const Cri__ListContainersResponse *list = body;
    for (size_t i = 0; i < list->n_containers; i++) {
        const char *uid = label_of(list->containers[i], LABEL_POD_UID);
        if (!is_empty(uid) && !map_get(&self->on_runtime, uid))
            map_put(&self->on_runtime, uid, self);
        if (!is_empty(uid) && !self->args.simulated) rotate_log(me, list->containers[i]);
    }
    if (!self->args.simulated) rotate_runtime_log(me);
    list_done(me);
}

static void on_runtime_state(actor_t *me, const message_t *msg, const void *body) {
    kubelet_t *self = actor_state(me);
    const Node__RuntimeState *now = body;
    bool network_changed = now->network_ready != self->runtime.network_ready,
         session_changed = now->session != self->runtime.session;
    bool was_ready = self->runtime.ready;
    if (now->ready)
        self->runtime_lost_ms = 0;
    else if (was_ready)
        self->runtime_lost_ms = actor_now_ms(me);
    char *name = str_dup(now->name), *version = str_dup(now->version),
         *message = str_dup(now->message);
    free(self->runtime_name);
    free(self->runtime_version);
    free(self->runtime_message);
    self->runtime = *now;
    self->runtime.name = self->runtime_name = name;
    self->runtime.version = self->runtime_version = version;
    self->runtime.message = self->runtime_message = message;
    if (self->runtime_lost_ms)
        actor_timer(me, K_TIMER_STATUS, KUBELET_RUNTIME_GRACE_MS);
    else
        self->node_dirty = true;
    if (now->ready && (session_changed || !was_ready)) {
        list_runtime(me);
        // An end that came while pods had not named their containers yet has no owner: once more.
        actor_timer(me, K_TIMER_RELIST, KUBELET_SECOND_LOOK_MS);
    }
    if (!network_changed) return;
    size_t at = 0;
    uint64_t number;
    void *value;
    while (imap_next(&self->by_number, &at, &number, &value))
        if (((entry_t *)value)->spawned) tell_wish(me, value, false);
}

static void on_change(actor_t *me, const message_t *msg, const void *body) {
    kubelet_t *self = actor_state(me);
    const Node__ContainerChange *change = body;
    const entry_t *e = map_get(&self->owners, change->id);
    Node__ContainerChange news = *change;
    news.stdout = news.stderr = (ProtobufCBinaryData){0}; // for streams only
    if (e && e->spawned) actor_tell(me, e->address, &news.base);
    if (change->what == NODE__CONTAINER_CHANGE__WHAT__DELETED)
        kubelet_stream_container_ended(me, change);
}

// ---- the node ---------------------------------------------------------------------------------
// A node that was ready stays so while the runtime starts again, or while we do and have not heard
// of it yet. `known`: as the API has the node; NULL: it is new.
static node_state_t node_state(actor_t *me, const Core__NodeStatus *known) {
    const kubelet_t *self = actor_state(me);
    bool blinks = known && node_is_ready(known) && self->runtime_lost_ms &&
                  actor_now_ms(me) - self->runtime_lost_ms < KUBELET_RUNTIME_GRACE_MS;
    return (node_state_t){.runtime_ready = self->runtime.ready || blinks,
                          .network_ready = self->runtime.network_ready || blinks,
                          .runtime_name = self->runtime_name,
                          .runtime_version = self->runtime_version,
                          .message = self->runtime_message,
                          .now_ms = actor_wall_ms(me)};
}

// At our birth the API server is often being born too.
static void register_later(actor_t *me) {
    kubelet_t *self = actor_state(me);
    int64_t delay_ms = self->register_delay_ms ? self->register_delay_ms : KUBELET_REGISTER_MS;
    self->register_delay_ms = delay_ms * 2 < KUBELET_RETRY_MS ? delay_ms * 2 : KUBELET_RETRY_MS;
    actor_timer(me, K_TIMER_REGISTER, delay_ms);
}

static void register_node(actor_t *me) {
    api_get(me, node_kind(), NULL, actor_name(me), K_TAG_GET_NODE);
}

static void create_node(actor_t *me) {
    kubelet_t *self = actor_state(me);
    node_state_t state = node_state(me, NULL);
    Core__Node *node =
        node_object(&self->args, actor_name(me), &self->facts, &state, actor_arena(me));
    api_create(me, node_kind(), &node->base, K_TAG_CREATE_NODE);
}

static void node_is_known(actor_t *me, const Core__Node *node) {
    kubelet_t *self = actor_state(me);
    if (self->registered) return;
    self->registered = self->node_dirty = true;
    informer_learn(self->node, &node->base);
    actor_timer(me, K_TIMER_LEASE, 1);
    recorder_event(&self->recorder, me, node_kind(), &node->base, NULL, EVENT_NORMAL, "Starting",
                   "Starting kubelet.");
    log_info(actor_address(me), "node is registered");
}

static void tell_ready(actor_t *me, const Core__Node *node, bool ready) {
    kubelet_t *self = actor_state(me);
    if (ready == self->was_ready) return;
    self->was_ready = ready;
    recorder_event(&self->recorder, me, node_kind(), &node->base, NULL, EVENT_NORMAL,
                   ready ? "NodeReady" : "NodeNotReady", "Node %s status is now: %s",
                   actor_name(me), ready ? "NodeReady" : "NodeNotReady");
}

static void write_node(actor_t *me) {
    kubelet_t *self = actor_state(me);
    if (!self->registered || !self->node_dirty || self->node_writing) return;
    const record_t *record = informer_get(self->node, NULL, actor_name(me));
    if (!record) return;
    arena_t *arena = actor_arena(me);
    Core__Node *node = msg_dup(arena, record->object);
    node_state_t state = node_state(me, RECORD_AS(Core__Node, record)->status);
    node->status = node_status(&self->args, actor_name(me), &self->facts, &state,
                               RECORD_AS(Core__Node, record)->status, arena);
    self->node_dirty = false;
    self->node_writing = true;
    tell_ready(me, node, node_is_ready(node->status));
    api_update(me, node_kind(), "status", &node->base, K_TAG_NODE_STATUS);
    actor_timer(me, K_TIMER_STATUS, self->args.status_interval_ms);
}

static void tell_range(actor_t *me) {
    kubelet_t *self = actor_state(me);
    const record_t *record = informer_get(self->node, NULL, actor_name(me));
    const Core__NodeSpec *spec = record ? RECORD_AS(Core__Node, record)->spec : NULL;
    const char *range = !is_empty(self->args.pod_range) ? self->args.pod_range
                        : spec                          ? or_empty(spec->podcidr)
                                                        : "";
    if (is_empty(range) || streq(or_empty(self->range), range)) return;
    free(self->range);
    self->range = str_dup(range);
    Node__SetPodRange tell = {.base.descriptor = &node__set_pod_range__descriptor,
                              .pod_range = range};
    actor_tell(me, self->runtime_address, &tell.base);
}

// While the node was not ready its pods were marked so, too: nobody but us can take that back.
static void doubt_all(kubelet_t *self) {
    size_t at = 0;
    uint64_t number;
    void *value;
    while (imap_next(&self->by_number, &at, &number, &value)) ((entry_t *)value)->doubted = true;
}

// The registration is lost when somebody deletes the Node object: it is made anew. And when the
// controllers gave the node up for silent, who is back says so soon, not at the next report; not at
// once, lest the two contradict each other without end while only our signs of life are lost.
static void on_node_changed(void *arg, const record_t *was, const record_t *is) {
    enum { CONTRADICT_MS = 500 };
    actor_t *me = arg;
    kubelet_t *self = actor_state(me);
    if (is && node_is_ready(RECORD_AS(Core__Node, is)->status) &&
        !(was && node_is_ready(RECORD_AS(Core__Node, was)->status)))
        doubt_all(self);
    if (!self->registered) return;
    if (is) {
        bool doubted = self->was_ready && !node_is_ready(RECORD_AS(Core__Node, is)->status);
        if (doubted && !self->node_writing) actor_timer(me, K_TIMER_STATUS, CONTRADICT_MS);
        return;
    }
    self->registered = false;
    actor_timer(me, K_TIMER_REGISTER, KUBELET_RETRY_MS);
}

// ---- the lease --------------------------------------------------------------------------------
static void write_lease(actor_t *me) {
    kubelet_t *self = actor_state(me);
    actor_timer(me, K_TIMER_LEASE, self->args.lease_interval_ms);
    if (self->lease_writing || !self->registered) return;
    arena_t *arena = actor_arena(me);
    Coordination__Lease *lease =
        self->lease
            ? msg_unpack_own(arena, &coordination__lease__descriptor, blob_bytes(self->lease))
            : NULL;
    bool exists = lease != NULL;
    if (!exists) lease = MSG_NEW(arena, Coordination__Lease, coordination__lease__descriptor);
    Meta__ObjectMeta *meta = object_meta(arena, &lease->base);
    meta->name = actor_name(me);
    meta->namespace_ = "kube-node-lease";
    if (!lease->spec)
        lease->spec = MSG_NEW(arena, Coordination__LeaseSpec, coordination__lease_spec__descriptor);
    lease->spec->holderidentity = actor_name(me);
    lease->spec->has_leasedurationseconds = true;
    lease->spec->leasedurationseconds = (int32_t)(self->args.lease_interval_ms * 4 / 1000);
    lease->spec->renewtime = MSG_NEW(arena, Meta__MicroTime, meta__micro_time__descriptor);
    lease->spec->renewtime->has_seconds = lease->spec->renewtime->has_nanos = true;
    lease->spec->renewtime->seconds = actor_wall_ms(me) / 1000;
    lease->spec->renewtime->nanos = (int32_t)(actor_wall_ms(me) % 1000 * 1000000);
    self->lease_writing = true;
    if (exists)
        api_update(me, lease_kind(), NULL, &lease->base, K_TAG_LEASE);
    else
        api_create(me, lease_kind(), &lease->base, K_TAG_LEASE);
}

// ---- answers of the API server ----------------------------------------------------------------
static entry_t *entry_of_tag(kubelet_t *self, uint64_t tag) {
    return tag >= K_TAG_POD_STATUS && tag < K_TAG_STREAM
               ? imap_get(&self->by_number, (tag - K_TAG_POD_STATUS) / 4)
               : NULL;
}

static void on_pod_reply(actor_t *me, entry_t *e, uint64_t what, const Api__Reply *reply) {
    kubelet_t *self = actor_state(me);
    void *pod;
    if (what == K_TAG_POD_STATUS) {
        e->writing = false;
        if (api_reply_object(actor_arena(me), reply, pod_kind(), &pod) == ERR_OK)
            informer_learn(self->pods, pod);
        e->doubted = true;
        write_status(me, e);
        if (e->done && e->record) delete_pod(me, e);
    }
    // A deletion is seen in the watch: the entry goes with it.
}

static void on_reply(actor_t *me, const message_t *msg, const void *body) {
    kubelet_t *self = actor_state(me);
    if (recorder_handle(&self->recorder, me, msg, body) ||
        kubelet_relay_answer(me, msg, &api__reply__descriptor))
        return;
    entry_t *e = entry_of_tag(self, msg->tag);
    if (e) {
        on_pod_reply(me, e, K_TAG_POD_STATUS + (msg->tag - K_TAG_POD_STATUS) % 4, body);
        return;
    }
    void *object;
    if ((msg->tag == K_TAG_GET_NODE || msg->tag == K_TAG_CREATE_NODE ||
         msg->tag == K_TAG_NODE_STATUS) &&
        api_reply_object(actor_arena(me), body, node_kind(), &object) == ERR_OK) {
        if (msg->tag == K_TAG_NODE_STATUS) {
            self->node_writing = false;
            informer_learn(self->node, object);
        } else {
            node_is_known(me, object);
        }
    } else if (msg->tag == K_TAG_LEASE) {
        self->lease_writing = false;
        const Api__Reply *reply = body;
        blob_unref(&self->lease);
        if (reply->object) self->lease = blob_from(reply->object->raw.data, reply->object->raw.len);
    }
}

static void on_pod_failure(actor_t *me, entry_t *e, uint64_t what, const api_failure_t *failure) {
    kubelet_t *self = actor_state(me);
    if (what == K_TAG_POD_STATUS) {
        e->writing = false;
        // From the newest object, unless something newer is to be said anyway.
        if (!e->status) e->status = x_steal(&e->sent);
        if (failure->err == ERR_NOT_FOUND) return;
        if (failure->err == ERR_INVALID || failure->err == ERR_BAD_REQUEST) {
            // Told again it would be refused again.
            log_warn(actor_address(me), "status of %s is refused: %s", e->address, failure->why);
            blob_unref(&e->status);
            if (e->done && e->record) delete_pod(me, e);
            return;
        }
        log_debug(actor_address(me), "status of %s: %s", e->address, failure->why);
        actor_timer(me, K_TAG_POD_RETRY + e->number * 4,
                    failure->err == ERR_CONFLICT ? 20 : KUBELET_RETRY_MS);
    } else if (what == K_TAG_POD_DELETE) {
        e->deleting = false;
        if (failure->err == ERR_NOT_FOUND || failure->err == ERR_CONFLICT) {
            // Gone, or another pod of that name: the watch says which.
            if (!informer_get(self->pods, e->record->namespace_, e->record->name))
                entry_drop(me, e);
            return;
        }
        actor_timer(me, K_TAG_POD_RETRY + e->number * 4, KUBELET_RETRY_MS);
    } else if (what == K_TAG_POD_MIRROR) {
        log_debug(actor_address(me), "mirror of %s: %s", e->address, failure->why);
        actor_timer(me, K_TAG_POD_MIRROR + e->number * 4, KUBELET_RETRY_MS);
    }
}

static void on_failure(actor_t *me, const message_t *msg, const void *body) {
    kubelet_t *self = actor_state(me);
    if (informers_handle(&self->informers, me, msg, body) ||
        recorder_handle(&self->recorder, me, msg, body))
        return;
    api_failure_t failure = api_failure(actor_arena(me), body);
    if (kubelet_relay_failure(me, msg, failure.err, failure.why) ||
        kubelet_stream_failure(me, msg, failure.err, failure.why))
        return;
    entry_t *e = entry_of_tag(self, msg->tag);
    if (e) {
        on_pod_failure(me, e, K_TAG_POD_STATUS + (msg->tag - K_TAG_POD_STATUS) % 4, &failure);
        return;
    }
    switch (msg->tag) {
    case K_TAG_GET_NODE:
        if (failure.err == ERR_NOT_FOUND)
            create_node(me);
        else
            register_later(me);
        break;
    case K_TAG_CREATE_NODE:
        if (failure.err != ERR_EXISTS)
            log_warn(actor_address(me), "cannot register the node: %s", failure.why);
        register_later(me);
        break;
    case K_TAG_NODE_STATUS:
        self->node_writing = false;
        self->node_dirty = true;
        actor_timer(me, K_TIMER_STATUS, KUBELET_RETRY_MS / 5);
        break;
    case K_TAG_LEASE:
        self->lease_writing = false;
        // Written by another hand, or there already: read anew by creating (EXISTS) or by nothing.
        blob_unref(&self->lease);
        if (failure.err == ERR_EXISTS)
            api_get(me, lease_kind(), "kube-node-lease", actor_name(me), K_TAG_LEASE);
        else
            actor_timer(me, K_TIMER_LEASE, KUBELET_RETRY_MS);
        break;
    case K_TAG_LIST_SANDBOXES:
    case K_TAG_LIST_CONTAINERS:
        self->listing_failed = true;
        list_done(me);
        break;
    default: break;
    }
}

static void on_watch(actor_t *me, const message_t *msg, const void *body) {
    kubelet_t *self = actor_state(me);
    (void)informers_handle(&self->informers, me, msg, body);
}

// ---- children ---------------------------------------------------------------------------------
static void on_up(actor_t *me, const message_t *msg, const void *body) {
    kubelet_t *self = actor_state(me);
    const Actor__Up *up = body;
    if (streq(up->address, self->runtime_address)) {
        // It was born with us; when it comes again it has forgotten the range, and its sessions.
        if (self->runtime_seen) {
            free(self->range);
            self->range = NULL;
            self->runtime.session = 0;
        }
        self->runtime_seen = true;
        return;
    }
    size_t at = 0;
    uint64_t number;
    void *value;
    while (imap_next(&self->by_number, &at, &number, &value)) {
        entry_t *e = value;
        if (!streq(e->address, up->address)) continue;
        // The first one is its birth: it has its wish. Later ones have forgotten everything.
        if (e->up_seen) tell_wish(me, e, true);
        e->up_seen = true;
        return;
    }
}

static void on_down(actor_t *me, const message_t *msg, const void *body) {
} // the kit starts it again

static void on_timer(actor_t *me, uint64_t tag) {
    kubelet_t *self = actor_state(me);
    if (informers_timer(&self->informers, me, tag) || kubelet_stream_timer(me, tag)) return;
    entry_t *e = entry_of_tag(self, tag);
    if (e && (tag - K_TAG_POD_STATUS) % 4 == K_TAG_POD_MIRROR - K_TAG_POD_STATUS) {
        e->mirroring = false;
        return;
    }
    if (e) {
        e->dirty |= !e->spawned;
        write_status(me, e);
        if (e->done && e->record) delete_pod(me, e);
        return;
    }
    if (tag == K_TIMER_ALIVE) {
        if (self->registered) api_tell_alive(me, &self->alive_turn);
        actor_timer(me, K_TIMER_ALIVE, self->args.alive_interval_ms);
    } else if (tag == K_TIMER_LEASE) {
        write_lease(me);
    } else if (tag == K_TIMER_STATUS) {
        self->node_dirty = true;
    } else if (tag == K_TIMER_MANIFESTS) {
        kubelet_static_read(me);
    } else if (tag == K_TIMER_RELIST) {
        list_runtime(me);
    } else if (tag == K_TIMER_REGISTER) {
        register_node(me);
    }
}

static void on_fd(actor_t *me, int fd, uint32_t events) {
    const kubelet_t *self = actor_state(me);
    if (fd == self->manifests_fd)
        kubelet_static_fd(me);
    else
        kubelet_stream_fd(me, fd, events);
}

static bool says_ready(const Core__PodStatus *s) {
    for (size_t i = 0; s && i < s->n_conditions; i++)
        if (streq(or_empty(s->conditions[i]->type), "Ready"))
            return streq(or_empty(s->conditions[i]->status), "True");
    return false;
}

// Somebody else (the node controller, while the node was silent) said otherwise of this pod. Taken
// back once the node is ready again, else the two would contradict each other without end.
static bool is_contradicted(actor_t *me, const entry_t *e) {
    const kubelet_t *self = actor_state(me);
    const record_t *node = informer_get(self->node, NULL, actor_name(me));
    if (!e->sent || e->writing || !e->record || !node) return false;
    if (!node_is_ready(RECORD_AS(Core__Node, node)->status)) return false;
    const Core__PodStatus *said =
        msg_unpack_own(actor_arena(me), &core__pod_status__descriptor, blob_bytes(e->sent));
    return says_ready(said) != says_ready(RECORD_AS(Core__Pod, e->record)->status);
}

// A mirror that has just appeared shows what its pod last said; a doubted record is put right.
static void retell_statuses(actor_t *me) {
    kubelet_t *self = actor_state(me);
    size_t at = 0;
    uint64_t number;
    void *value;
    while (imap_next(&self->by_number, &at, &number, &value)) {
        entry_t *e = value;
        bool again = e->mirror_dirty || (e->doubted && is_contradicted(me, e));
        e->mirror_dirty = e->doubted = false;
        if (!again) continue;
        if (!e->status && e->sent) e->status = blob_ref(e->sent);
        write_status(me, e);
    }
}

static void settle(actor_t *me) {
    tell_range(me);
    write_node(me);
    retell_statuses(me);
    kubelet_mirrors_sync(me);
    sync_pods(me);
}

// ---- life -------------------------------------------------------------------------------------
static err_t start(actor_t *me, const void *args, why_t *why) {
    kubelet_t *self = actor_state(me);
    self->manifests_fd = -1;
    self->runtime_lost_ms = actor_now_ms(me) > 0 ? actor_now_ms(me) : 1;
    self->args = kubelet_args_filled(&self->arena, args, actor_name(me));
    self->runtime_address = str_printf("runtime/%s", actor_name(me));
    node_facts(&self->arena, self->args.simulated, actor_name(me), &self->facts);
    // A container's resources are judged by what the node has.
    if (!self->args.memory_bytes) self->args.memory_bytes = self->facts.memory_bytes;
    if (!self->args.cpu_milli) self->args.cpu_milli = self->facts.cpu_milli;
    recorder_init(&self->recorder, "kubelet", actor_name(me), K_TAG_RECORDER);
    self->pods = informers_add(&self->informers,
                               &(informer_spec_t){.kind = pod_kind(),
                                                  .field_selector =
                                                      arena_printf(&self->arena, "spec.nodeName=%s",
                                                                   actor_name(me)),
                                                  .tag = K_TAG_PODS});
    self->node = informers_add(&self->informers,
                               &(informer_spec_t){.kind = node_kind(),
                                                  .field_selector =
                                                      arena_printf(&self->arena, "metadata.name=%s",
                                                                   actor_name(me)),
                                                  .tag = K_TAG_NODE});
    informer_subscribe(self->pods, on_pod_changed, me);
    informer_subscribe(self->node, on_node_changed, me);
    const actor_def_t *runtime = self->args.simulated ? &runtime_sim_actor : &runtime_cri_actor;
    if (!self->args.has_runtime) {
        err_t err = actor_spawn(me, runtime, actor_name(me), &self->args, why);
        if (err) return err;
    }
    actor_monitor(me, self->runtime_address);
    kubelet_static_start(me);
    informers_start(&self->informers, me);
    register_node(me);
    if (self->args.alive_interval_ms > 0) actor_timer(me, K_TIMER_ALIVE, 1);
    return ERR_OK;
}

static void stop(actor_t *me) {
    kubelet_t *self = actor_state(me);
    kubelet_streams_end(me);
    kubelet_relays_end(me);
    kubelet_static_end(me);
    size_t at = 0;
    uint64_t number;
    void *value;
    VEC(entry_t *) all = {0};
    while (imap_next(&self->by_number, &at, &number, &value)) vec_push(&all, value);
    for (size_t i = 0; i < all.len; i++) {
        all.at[i]->spawned = false; // children end with us: nothing is asked of them any more
        entry_drop(me, all.at[i]);
    }
    vec_done(&all);
    map_done(&self->by_uid);
    imap_done(&self->by_number);
    map_done(&self->owners);
    map_done(&self->on_runtime);
    for (size_t i = 0; i < self->orphans.len; i++) blob_unref(&self->orphans.at[i]);
    vec_done(&self->orphans);
    vec_done(&self->streams);
    informers_done(&self->informers);
    recorder_done(&self->recorder);
    blob_unref(&self->lease);
    free(self->runtime_name);
    free(self->runtime_version);
    free(self->runtime_message);
    free(self->runtime_address);
    free(self->range);
    arena_done(&self->arena);
}

static void on_stream_reply(actor_t *me, const message_t *msg, const void *body) {
    (void)kubelet_stream_answer(me, msg, body);
}

static void on_drain_reply(actor_t *me, const message_t *msg, const void *body) {
    (void)kubelet_relay_answer(me, msg, &api__await_drain_reply__descriptor);
}

static void on_list_reply(actor_t *me, const message_t *msg, const void *body) {
    (void)kubelet_relay_answer(me, msg, &api__list_reply__descriptor);
}

static const handler_t handlers[] = {
    {&api__watch_events__descriptor, on_watch, NULL, false},
    {&actor__stream_end__descriptor, on_watch, NULL, false},
    {&actor__failure__descriptor, on_failure, NULL, false},
    {&api__reply__descriptor, on_reply, NULL, false},
    {&api__await_drain_reply__descriptor, on_drain_reply, NULL, false},
    {&api__list_reply__descriptor, on_list_reply, NULL, false},
    {&api__get__descriptor, kubelet_on_get, "pod", false},
    {&api__list__descriptor, kubelet_on_list, "pod", false},
    {&api__await_drain__descriptor, kubelet_on_await_drain, "pod", false},
    {&actor__up__descriptor, on_up, NULL, false},
    {&actor__down__descriptor, on_down, NULL, false},
    {&node__pod_report__descriptor, on_report, "pod test", false},
    {&node__pod_event__descriptor, on_pod_event, "pod test", false},
    {&node__pod_owns__descriptor, on_owns, "pod test", false},
    {&node__pod_done__descriptor, on_done, "pod test", false},
    {&node__runtime_state__descriptor, on_runtime_state, "runtime test", false},
    {&node__container_change__descriptor, on_change, "runtime test", false},
    {&cri__list_pod_sandbox_response__descriptor, on_list_sandboxes, NULL, false},
    {&cri__list_containers_response__descriptor, on_list_containers, NULL, false},
    {&cri__reopen_container_log_response__descriptor, on_reopened, NULL, false},
    {&cri__container_status_response__descriptor, on_stream_reply, NULL, false},
    {&cri__attach_response__descriptor, on_stream_reply, NULL, false},
    {&containerd__get_response__descriptor, on_stream_reply, NULL, false},
    {&containerd__get_container_response__descriptor, on_stream_reply, NULL, false},
    {&containerd__start_response__descriptor, on_stream_reply, NULL, false},
    {&containerd__wait_response__descriptor, on_stream_reply, NULL, false},
    {&containerd__delete_response__descriptor, on_stream_reply, NULL, false},
    {&google__empty__descriptor, on_stream_reply, NULL, false},
    {&api__pod_logs__descriptor, kubelet_on_logs, "apiserver test", false},
    {&api__pod_exec__descriptor, kubelet_on_exec, "apiserver test", false},
    {&api__exec_input__descriptor, kubelet_on_exec_input, "apiserver test", false},
    {&actor__stream_credit__descriptor, kubelet_on_stream_credit, NULL, false},
    {&actor__stream_gone__descriptor, kubelet_on_stream_gone, NULL, false},
    {0},
};

const actor_def_t kubelet_actor = {
    .role = "kubelet",
    .state_size = sizeof(kubelet_t),
    .start = start,
    .handlers = handlers,
    .settle = settle,
    .on_timer = on_timer,
    .on_fd = on_fd,
    .stop = stop,
};
