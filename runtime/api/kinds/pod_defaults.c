// pod_defaults - what a pod, or the template of one, is given where its author said nothing
// (facts: k8s-defaults).
#include "k8s/core_v1.pb-c.h"
#include "runtime/api/kinds/fill.h"
#include "runtime/api/kinds/rows.h"
#include "runtime/api/quantity.h"
#include "runtime/base/text.h"

enum { FILE_MODE_DEFAULT = 0644, TOKEN_SECONDS_DEFAULT = 3600, GRACE_SECONDS_DEFAULT = 30 };

// ---- images -------------------------------------------------------------------------------------
static bool is_name_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

// One component of an image's path: lower-case words joined by '.', '_', "__" or dashes.
static bool is_path_component(const char *at, size_t len) {
    if (!len) return false;
    for (size_t i = 0; i < len; i++)
        if (!is_name_char(at[i])) return false;
    return strchr("._-", at[0]) == NULL && strchr("._-", at[len - 1]) == NULL;
}

static bool is_domain(const char *at, size_t len) {
    if (len == strlen("localhost") && memcmp(at, "localhost", len) == 0) return true;
    for (size_t i = 0; i < len; i++)
        if (at[i] == '.' || at[i] == ':' || (at[i] >= 'A' && at[i] <= 'Z')) return true;
    return false;
}

static bool is_repository(const char *at, size_t len) {
    const char *slash = memchr(at, '/', len);
    if (slash && is_domain(at, (size_t)(slash - at))) {
        len -= (size_t)(slash + 1 - at);
        at = slash + 1;
    }
    for (;;) {
        slash = memchr(at, '/', len);
        size_t part = slash ? (size_t)(slash - at) : len;
        if (!is_path_component(at, part)) return false;
        if (!slash) return true;
        at = slash + 1;
        len -= part + 1;
    }
}

// Does the reference mean the tag "latest"? That is also what neither tag nor digest means. A
// reference that cannot be parsed has no tag at all.
static bool image_is_latest(const char *image) {
    size_t len = strcspn(image, "@");
    bool has_digest = image[len] == '@';
    const char *tag = NULL;
    for (size_t i = len; i > 0 && image[i - 1] != '/'; i--)
        if (image[i - 1] == ':') {
            tag = image + i;
            break;
        }
    size_t name_len = tag ? (size_t)(tag - 1 - image) : len;
    if (!is_repository(image, name_len)) return false;
    if (!tag) return !has_digest;
    size_t tag_len = len - (size_t)(tag - image);
    return tag_len == strlen("latest") && memcmp(tag, "latest", tag_len) == 0;
}

static const char *pull_policy_of(const char *image) {
    return image_is_latest(or_empty(image)) ? "Always" : "IfNotPresent";
}

// ---- quantities ---------------------------------------------------------------------------------
enum { NANO_PER_MILLI = 1000 * 1000 };

// Amounts in resource lists have milli precision: finer ones are rounded up.
void quantity_list_round(arena_t *arena, void *entries, size_t len) {
    quantity_entry_t **at = entries;
    for (size_t i = 0; i < len; i++) {
        quantity_t q;
        if (!at[i]->value || quantity_parse(or_empty(at[i]->value->string), &q)) continue;
        if (q.nano % NANO_PER_MILLI == 0) continue;
        Resource__Quantity *rounded =
            MSG_NEW(arena, Resource__Quantity, resource__quantity__descriptor);
        const char *milli = arena_printf(arena, "%lldm", (long long)quantity_milli(q));
        rounded->string = quantity_canonical(arena, milli);
        at[i]->value = rounded;
    }
}

static void requirements_round(arena_t *arena, Core__ResourceRequirements *r) {
    if (!r) return;
    quantity_list_round(arena, r->limits, r->n_limits);
    quantity_list_round(arena, r->requests, r->n_requests);
}

// A limit without a request is its own request: of pods, not of templates. Both lists are sorted:
// one walk merges them.
static void requests_from_limits(arena_t *arena, Core__ResourceRequirements *r) {
    if (!r || !r->n_limits) return;
    typedef Core__ResourceRequirements__RequestsEntry request_t;
    request_t **merged = ARENA_ARRAY(arena, request_t *, r->n_requests + r->n_limits);
    size_t len = 0, next = 0;
    for (size_t i = 0; i < r->n_limits; i++) {
        const char *key = or_empty(r->limits[i]->key);
        while (next < r->n_requests && strcmp(or_empty(r->requests[next]->key), key) < 0)
            merged[len++] = r->requests[next++];
        if (next < r->n_requests && streq(or_empty(r->requests[next]->key), key)) continue;
        request_t *entry =
            MSG_NEW(arena, request_t, core__resource_requirements__requests_entry__descriptor);
        const Resource__Quantity *limit = r->limits[i]->value;
        entry->key = key;
        entry->value = limit ? msg_dup(arena, &limit->base) : NULL;
        merged[len++] = entry;
    }
    while (next < r->n_requests) merged[len++] = r->requests[next++];
    r->requests = merged;
    r->n_requests = len;
}

// ---- containers ---------------------------------------------------------------------------------
static void http_get_defaults(Core__HTTPGetAction *get) {
    if (!get) return;
    FILL_STR(get->path, "/");
    FILL_STR(get->scheme, "HTTP");
}

static void probe_defaults(Core__Probe *probe) {
    if (!probe) return;
    FILL_NUM(probe, timeoutseconds, 1);
    FILL_NUM(probe, periodseconds, 10);
    FILL_NUM(probe, successthreshold, 1);
    FILL_NUM(probe, failurethreshold, 3);
    if (!probe->handler) return;
    http_get_defaults(probe->handler->httpget);
    if (probe->handler->grpc) FILL_STR_PTR(probe->handler->grpc->service, "");
}

static void env_defaults(Core__EnvVar *env) {
    if (env->valuefrom && env->valuefrom->fieldref)
        FILL_STR(env->valuefrom->fieldref->apiversion, "v1");
}

static void container_defaults(arena_t *arena, Core__Container *c) {
    FILL_STR(c->imagepullpolicy, pull_policy_of(c->image));
    FILL_STR(c->terminationmessagepath, "/dev/termination-log");
    FILL_STR(c->terminationmessagepolicy, "File");
    for (size_t i = 0; i < c->n_ports; i++) FILL_STR(c->ports[i]->protocol, "TCP");
    for (size_t i = 0; i < c->n_env; i++) env_defaults(c->env[i]);
    requirements_round(arena, c->resources);
    probe_defaults(c->livenessprobe);
    probe_defaults(c->readinessprobe);
    probe_defaults(c->startupprobe);
    if (c->lifecycle && c->lifecycle->poststart)
        http_get_defaults(c->lifecycle->poststart->httpget);
    if (c->lifecycle && c->lifecycle->prestop) http_get_defaults(c->lifecycle->prestop->httpget);
}

// An ephemeral container has a container's fields under another name: same numbers, same layout.
static_assert(sizeof(Core__Container) == sizeof(Core__EphemeralContainerCommon), "one layout");
static_assert(offsetof(Core__Container, tty) == offsetof(Core__EphemeralContainerCommon, tty),
              "one layout");

Core__Container *ephemeral_as_container(Core__EphemeralContainer *e) {
    return (Core__Container *)e->ephemeralcontainercommon;
}

// ---- volumes ------------------------------------------------------------------------------------
static bool has_source(const Core__VolumeSource *source) {
    const ProtobufCMessageDescriptor *type = source->base.descriptor;
    for (unsigned i = 0; i < type->n_fields; i++)
        if (*(void **)((char *)source + type->fields[i].offset)) return true;
    return false;
}

static void field_ref_defaults(Core__DownwardAPIVolumeFile **items, size_t len) {
    for (size_t i = 0; i < len; i++)
        if (items[i]->fieldref) FILL_STR(items[i]->fieldref->apiversion, "v1");
}

static void projected_defaults(Core__ProjectedVolumeSource *projected) {
    FILL_PTR(projected, defaultmode, FILE_MODE_DEFAULT);
    for (size_t i = 0; i < projected->n_sources; i++) {
        Core__VolumeProjection *source = projected->sources[i];
        if (source->serviceaccounttoken)
            FILL_PTR(source->serviceaccounttoken, expirationseconds, TOKEN_SECONDS_DEFAULT);
        if (source->downwardapi)
            field_ref_defaults(source->downwardapi->items, source->downwardapi->n_items);
    }
}

// Volumes that other people's drivers serve.
static void foreign_volume_defaults(Core__VolumeSource *source) {
    if (source->rbd) {
        FILL_STR(source->rbd->pool, "rbd");
        FILL_STR(source->rbd->user, "admin");
        FILL_STR(source->rbd->keyring, "/etc/ceph/keyring");
    }
    if (source->iscsi) FILL_STR(source->iscsi->iscsiinterface, "default");
    if (source->azuredisk) {
        FILL_STR_PTR(source->azuredisk->cachingmode, "ReadWrite");
        FILL_STR_PTR(source->azuredisk->fstype, "ext4");
        FILL_STR_PTR(source->azuredisk->kind, "Shared");
        FILL_PTR(source->azuredisk, readonly, false);
    }
    if (source->scaleio) {
        FILL_STR(source->scaleio->storagemode, "ThinProvisioned");
        FILL_STR(source->scaleio->fstype, "xfs");
    }
    Core__EphemeralVolumeSource *ephemeral = source->ephemeral;
    if (ephemeral && ephemeral->volumeclaimtemplate && ephemeral->volumeclaimtemplate->spec)
        FILL_STR(ephemeral->volumeclaimtemplate->spec->volumemode, "Filesystem");
}

static void volume_defaults(arena_t *arena, Core__Volume *volume) {
    FILL_MSG(arena, volume->volumesource, Core__VolumeSource, core__volume_source__descriptor);
    Core__VolumeSource *source = volume->volumesource;
    if (!has_source(source))
        source->emptydir =
            MSG_NEW(arena, Core__EmptyDirVolumeSource, core__empty_dir_volume_source__descriptor);
    if (source->hostpath) FILL_STR_PTR(source->hostpath->type, "");
    if (source->secret) FILL_PTR(source->secret, defaultmode, FILE_MODE_DEFAULT);
    if (source->configmap) FILL_PTR(source->configmap, defaultmode, FILE_MODE_DEFAULT);
    if (source->downwardapi) {
        FILL_PTR(source->downwardapi, defaultmode, FILE_MODE_DEFAULT);
        field_ref_defaults(source->downwardapi->items, source->downwardapi->n_items);
    }
    if (source->projected) projected_defaults(source->projected);
    if (source->image)
        FILL_STR(source->image->pullpolicy, pull_policy_of(source->image->reference));
    foreign_volume_defaults(source);
}

// ---- the spec -----------------------------------------------------------------------------------
void podspec_defaults(arena_t *arena, Core__PodSpec *spec) {
    FILL_STR(spec->dnspolicy, "ClusterFirst");
    FILL_STR(spec->restartpolicy, "Always");
    FILL_STR(spec->schedulername, "default-scheduler");
    FILL_PTR(spec, terminationgraceperiodseconds, GRACE_SECONDS_DEFAULT);
    FILL_MSG(arena, spec->securitycontext, Core__PodSecurityContext,
             core__pod_security_context__descriptor);
    // serviceAccount is the old name of serviceAccountName: both are written, the new one counts.
    if (is_empty(spec->serviceaccountname)) spec->serviceaccountname = spec->serviceaccount;
    spec->serviceaccount = spec->serviceaccountname;
    for (size_t i = 0; i < spec->n_volumes; i++) volume_defaults(arena, spec->volumes[i]);
    for (size_t i = 0; i < spec->n_initcontainers; i++)
        container_defaults(arena, spec->initcontainers[i]);
    for (size_t i = 0; i < spec->n_containers; i++) container_defaults(arena, spec->containers[i]);
    for (size_t i = 0; i < spec->n_ephemeralcontainers; i++)
        if (spec->ephemeralcontainers[i]->ephemeralcontainercommon)
            container_defaults(arena, ephemeral_as_container(spec->ephemeralcontainers[i]));
    quantity_list_round(arena, spec->overhead, spec->n_overhead);
    requirements_round(arena, spec->resources);
}

void template_defaults(arena_t *arena, Core__PodTemplateSpec *template) {
    FILL_MSG(arena, template->metadata, Meta__ObjectMeta, meta__object_meta__descriptor);
    FILL_MSG(arena, template->spec, Core__PodSpec, core__pod_spec__descriptor);
    podspec_defaults(arena, template->spec);
}

static void host_ports(Core__Container *c) {
    for (size_t i = 0; i < c->n_ports; i++)
        if (!c->ports[i]->hostport) SET_NUM(c->ports[i], hostport, c->ports[i]->containerport);
}

void pod_defaults(arena_t *arena, ProtobufCMessage *obj) {
    Core__Pod *pod = (Core__Pod *)obj;
    object_meta(arena, obj);
    FILL_MSG(arena, pod->spec, Core__PodSpec, core__pod_spec__descriptor);
    FILL_MSG(arena, pod->status, Core__PodStatus, core__pod_status__descriptor);
    Core__PodSpec *spec = pod->spec;
    podspec_defaults(arena, spec);
    FILL_PTR(spec, enableservicelinks, true);
    for (size_t i = 0; i < spec->n_initcontainers; i++) {
        requests_from_limits(arena, spec->initcontainers[i]->resources);
        if (spec->hostnetwork) host_ports(spec->initcontainers[i]);
    }
    for (size_t i = 0; i < spec->n_containers; i++) {
        requests_from_limits(arena, spec->containers[i]->resources);
        if (spec->hostnetwork) host_ports(spec->containers[i]);
    }
}
