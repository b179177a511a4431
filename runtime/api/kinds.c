#include "runtime/api/kinds.h"
#include "k8s/apps_v1.pb-c.h"
#include "k8s/apps_v1beta1.pb-c.h"
#include "k8s/apps_v1beta2.pb-c.h"
#include "k8s/autoscaling_v1.pb-c.h"
#include "k8s/coordination_v1.pb-c.h"
#include "k8s/core_v1.pb-c.h"
#include "k8s/discovery_v1.pb-c.h"
#include "k8s/extensions_v1beta1.pb-c.h"
#include "runtime/api/kinds/rows.h"
#include "troupe/actors.pb-c.h"
#include "troupe/experiments.pb-c.h"
#include <strings.h>

// ---- the table ----------------------------------------------------------------------------------
#define ALL_VERBS "create delete deletecollection get list patch update watch"
// What the versions of one kind share.
#define DEPLOYMENT_IN_ANY_VERSION                                                         \
    .name = "Deployment", .plural = "deployments", .singular = "deployment",              \
    .short_names = "deploy", .categories = "all", .verbs = ALL_VERBS, .namespaced = true, \
    .strategy = WORKLOAD, .storage_prefix = "deployments", .columns = deployment_columns
#define REPLICASET_IN_ANY_VERSION                                                                 \
    .name = "ReplicaSet", .plural = "replicasets", .singular = "replicaset", .short_names = "rs", \
    .categories = "all", .verbs = ALL_VERBS, .namespaced = true, .strategy = WORKLOAD,            \
    .storage_prefix = "replicasets", .selectable_fields = "status.replicas",                      \
    .columns = replicaset_columns

enum {
    // The usual strategies: see facts/k8s-strategy. Most kinds take a PUT without resourceVersion.
    PLAIN = STRATEGY_UNCONDITIONAL_UPDATE,
    WITH_STATUS = PLAIN | STRATEGY_HAS_STATUS,
    WORKLOAD = WITH_STATUS | STRATEGY_HAS_GENERATION,
};

// Rows that others are stored as; they stand in the table by their index.
enum {
    ROW_CONFIGMAP,
    ROW_ENDPOINTS,
    ROW_EVENT,
    ROW_NAMESPACE,
    ROW_NODE,
    ROW_POD,
    ROW_SECRET,
    ROW_SERVICEACCOUNT,
    ROW_SERVICE,
    ROW_DEPLOYMENT,
    ROW_REPLICASET,
    ROW_DEPLOYMENT_V1BETA2,
    ROW_REPLICASET_V1BETA2,
    ROW_DEPLOYMENT_V1BETA1,
    ROW_LEASE,
    ROW_ENDPOINTSLICE,
    ROW_DEPLOYMENT_EXTENSIONS,
    ROW_REPLICASET_EXTENSIONS,
    ROW_ACTOR,
    ROW_EXPERIMENT,
    // Bodies of requests and answers, no resources of their own: behind the others.
    ROWS_OF_RESOURCES,
    ROW_BINDING = ROWS_OF_RESOURCES,
    ROW_SCALE,
    ROW_STATUS,
    ROWS_MAX,
};

static const kind_t rows[ROWS_MAX];

// In discovery order: a bare name means the first row that bears it.
static const kind_t rows[ROWS_MAX] = {
    [ROW_CONFIGMAP] =
        {
            .group = "",
            .version = "v1",
            .name = "ConfigMap",
            .plural = "configmaps",
            .singular = "configmap",
            .short_names = "cm",
            .verbs = ALL_VERBS,
            .namespaced = true,
            .strategy = PLAIN,
            .type = &core__config_map__descriptor,
            .list_type = &core__config_map_list__descriptor,
            .storage_prefix = "configmaps",
            .defaults = meta_defaults,
            .prepare_create = plain_prepare_create,
            .prepare_update = plain_prepare_update,
            .columns = configmap_columns,
            .validate = configmap_validate,
        },
    [ROW_ENDPOINTS] =
        {
            .group = "",
            .version = "v1",
            .name = "Endpoints",
            .plural = "endpoints",
            .singular = "endpoints",
            .short_names = "ep",
            .verbs = ALL_VERBS,
            .namespaced = true,
            .strategy = PLAIN | STRATEGY_CREATE_ON_UPDATE,
            .type = &core__endpoints__descriptor,
            .list_type = &core__endpoints_list__descriptor,
            .storage_prefix = "endpoints",
            .defaults = endpoints_defaults,
            .prepare_create = plain_prepare_create,
            .prepare_update = plain_prepare_update,
            .columns = endpoints_columns,
            .validate = endpoints_validate,
        },
    [ROW_EVENT] =
        {
            .group = "",
            .version = "v1",
            .name = "Event",
            .plural = "events",
            .singular = "event",
            .short_names = "ev",
            .verbs = ALL_VERBS,
            .namespaced = true,
            .strategy = PLAIN | STRATEGY_CREATE_ON_UPDATE,
            .type = &core__event__descriptor,
            .list_type = &core__event_list__descriptor,
            .storage_prefix = "events",
            .defaults = event_defaults,
            .prepare_create = plain_prepare_create,
            .prepare_update = plain_prepare_update,
            .selectable_fields =
                "involvedObject.kind involvedObject.namespace involvedObject.name "
                "involvedObject.uid involvedObject.apiVersion involvedObject.resourceVersion "
                "involvedObject.fieldPath reason reportingComponent source.component type",
            .columns = event_columns,
            .validate = event_validate,
        },
    [ROW_NAMESPACE] =
        {
            .group = "",
            .version = "v1",
            .name = "Namespace",
            .plural = "namespaces",
            .singular = "namespace",
            .short_names = "ns",
            .verbs = "create delete get list patch update watch",
            .strategy = WITH_STATUS,
            .type = &core__namespace__descriptor,
            .list_type = &core__namespace_list__descriptor,
            .storage_prefix = "namespaces",
            .defaults = namespace_defaults,
            .prepare_create = namespace_prepare_create,
            .prepare_update = namespace_prepare_update,
            .prepare_status = keep_spec,
            .selectable_fields = "status.phase",
            .columns = namespace_columns,
            .validate = namespace_validate,
            .validate_status = namespace_validate_status,
        },
    [ROW_NODE] =
        {
            .group = "",
            .version = "v1",
            .name = "Node",
            .plural = "nodes",
            .singular = "node",
            .short_names = "no",
            .verbs = ALL_VERBS,
            .strategy = WITH_STATUS,
            .type = &core__node__descriptor,
            .list_type = &core__node_list__descriptor,
            .storage_prefix = "nodes",
            .defaults = node_defaults,
            .prepare_create = node_prepare_create,
            .prepare_update = keep_status,
            .prepare_status = keep_spec,
            .selectable_fields = "spec.unschedulable",
            .columns = node_columns,
            .validate = node_validate,
            .validate_status = node_validate,
        },
    [ROW_POD] =
        {
            .group = "",
            .version = "v1",
            .name = "Pod",
            .plural = "pods",
            .singular = "pod",
            .short_names = "po",
            .categories = "all",
            .verbs = ALL_VERBS,
            .namespaced = true,
            .strategy = WORKLOAD | STRATEGY_GRACEFUL_DELETE,
            .type = &core__pod__descriptor,
            .list_type = &core__pod_list__descriptor,
            .storage_prefix = "pods",
            .defaults = pod_defaults,
            .prepare_create = pod_prepare_create,
            .prepare_update = pod_prepare_update,
            .prepare_status = pod_prepare_status,
            .selectable_fields = "spec.nodeName spec.restartPolicy spec.schedulerName "
                                 "spec.serviceAccountName spec.hostNetwork status.phase "
                                 "status.podIP status.nominatedNodeName",
            .columns = pod_columns,
            .validate = pod_validate,
            .validate_status = pod_validate_status,
        },
    [ROW_SECRET] =
        {
            .group = "",
            .version = "v1",
            .name = "Secret",
            .plural = "secrets",
            .singular = "secret",
            .verbs = ALL_VERBS,
            .namespaced = true,
            .strategy = PLAIN,
            .type = &core__secret__descriptor,
            .list_type = &core__secret_list__descriptor,
            .storage_prefix = "secrets",
            .defaults = secret_defaults,
            .prepare_create = plain_prepare_create,
            .prepare_update = secret_prepare_update,
            .selectable_fields = "type",
            .columns = secret_columns,
            .validate = secret_validate,
        },
    [ROW_SERVICEACCOUNT] =
        {
            .group = "",
            .version = "v1",
            .name = "ServiceAccount",
            .plural = "serviceaccounts",
            .singular = "serviceaccount",
            .short_names = "sa",
            .verbs = ALL_VERBS,
            .namespaced = true,
            .strategy = PLAIN,
            .type = &core__service_account__descriptor,
            .list_type = &core__service_account_list__descriptor,
            .storage_prefix = "serviceaccounts",
            .defaults = meta_defaults,
            .prepare_create = serviceaccount_prepare_create,
            .prepare_update = serviceaccount_prepare_update,
            .columns = serviceaccount_columns,
            .validate = serviceaccount_validate,
        },
    [ROW_SERVICE] =
        {
            .group = "",
            .version = "v1",
            .name = "Service",
            .plural = "services",
            .singular = "service",
            .short_names = "svc",
            .categories = "all",
            .verbs = ALL_VERBS,
            .namespaced = true,
            .strategy = WITH_STATUS | STRATEGY_CREATE_ON_UPDATE,
            .type = &core__service__descriptor,
            .list_type = &core__service_list__descriptor,
            .storage_prefix = "services",
            .defaults = service_defaults,
            .prepare_create = service_prepare_create,
            .prepare_update = service_prepare_update,
            .prepare_status = keep_spec,
            .selectable_fields = "spec.clusterIP spec.type",
            .columns = service_columns,
            .validate = service_validate,
            .validate_status = service_validate_status,
        },
    [ROW_DEPLOYMENT] =
        {
            DEPLOYMENT_IN_ANY_VERSION,
            .group = "apps",
            .version = "v1",
            .type = &apps__deployment__descriptor,
            .list_type = &apps__deployment_list__descriptor,
            .defaults = deployment_defaults,
            .prepare_create = workload_prepare_create,
            .prepare_update = deployment_prepare_update,
            .prepare_status = deployment_prepare_status,
            .validate = deployment_validate,
            .validate_status = deployment_validate_status,
        },
    [ROW_REPLICASET] =
        {
            REPLICASET_IN_ANY_VERSION,
            .group = "apps",
            .version = "v1",
            .type = &apps__replica_set__descriptor,
            .list_type = &apps__replica_set_list__descriptor,
            .defaults = replicaset_defaults,
            .prepare_create = workload_prepare_create,
            .prepare_update = workload_prepare_update,
            .prepare_status = keep_spec,
            .validate = replicaset_validate,
            .validate_status = replicaset_validate_status,
        },
    [ROW_DEPLOYMENT_V1BETA2] =
        {
            DEPLOYMENT_IN_ANY_VERSION,
            .group = "apps",
            .version = "v1beta2",
            .type = &apps_v1beta2__deployment__descriptor,
            .list_type = &apps_v1beta2__deployment_list__descriptor,
            .stored_as = &rows[ROW_DEPLOYMENT],
            .to_stored = deployment_v1beta2_to_stored,
            .from_stored = deployment_v1beta2_from_stored,
            .defaults = deployment_defaults,
        },
    [ROW_REPLICASET_V1BETA2] =
        {
            REPLICASET_IN_ANY_VERSION,
            .group = "apps",
            .version = "v1beta2",
            .type = &apps_v1beta2__replica_set__descriptor,
            .list_type = &apps_v1beta2__replica_set_list__descriptor,
            .stored_as = &rows[ROW_REPLICASET],
            .to_stored = replicaset_v1beta2_to_stored,
            .from_stored = replicaset_v1beta2_from_stored,
            .defaults = replicaset_defaults,
        },
    [ROW_DEPLOYMENT_V1BETA1] =
        {
            DEPLOYMENT_IN_ANY_VERSION,
            .group = "apps",
            .version = "v1beta1",
            .type = &apps_v1beta1__deployment__descriptor,
            .list_type = &apps_v1beta1__deployment_list__descriptor,
            .stored_as = &rows[ROW_DEPLOYMENT],
            .to_stored = deployment_v1beta1_to_stored,
            .from_stored = deployment_v1beta1_from_stored,
            .defaults = deployment_v1beta1_defaults,
        },
    [ROW_LEASE] =
        {
            .group = "coordination.k8s.io",
            .version = "v1",
            .name = "Lease",
            .plural = "leases",
            .singular = "lease",
            .verbs = ALL_VERBS,
            .namespaced = true,
            .strategy = STRATEGY_CREATE_ON_UPDATE,
            .type = &coordination__lease__descriptor,
            .list_type = &coordination__lease_list__descriptor,
            .storage_prefix = "leases",
            .defaults = lease_defaults,
            .prepare_create = lease_prepare_create,
            .prepare_update = lease_prepare_update,
            .columns = lease_columns,
            .validate = lease_validate,
        },
    [ROW_ENDPOINTSLICE] =
        {
            .group = "discovery.k8s.io",
            .version = "v1",
            .name = "EndpointSlice",
            .plural = "endpointslices",
            .singular = "endpointslice",
            .verbs = ALL_VERBS,
            .namespaced = true,
            .strategy = PLAIN | STRATEGY_HAS_GENERATION,
            .type = &discovery__endpoint_slice__descriptor,
            .list_type = &discovery__endpoint_slice_list__descriptor,
            .storage_prefix = "endpointslices",
            .defaults = endpointslice_defaults,
            .prepare_create = endpointslice_prepare_create,
            .prepare_update = endpointslice_prepare_update,
            .columns = endpointslice_columns,
            .validate = endpointslice_validate,
        },
    [ROW_DEPLOYMENT_EXTENSIONS] =
        {
            DEPLOYMENT_IN_ANY_VERSION,
            .group = "extensions",
            .version = "v1beta1",
            .type = &extensions_v1beta1__deployment__descriptor,
            .list_type = &extensions_v1beta1__deployment_list__descriptor,
            .stored_as = &rows[ROW_DEPLOYMENT],
            .to_stored = deployment_extensions_to_stored,
            .from_stored = deployment_extensions_from_stored,
            .defaults = deployment_extensions_defaults,
        },
    [ROW_REPLICASET_EXTENSIONS] =
        {
            REPLICASET_IN_ANY_VERSION,
            .group = "extensions",
            .version = "v1beta1",
            .type = &extensions_v1beta1__replica_set__descriptor,
            .list_type = &extensions_v1beta1__replica_set_list__descriptor,
            .stored_as = &rows[ROW_REPLICASET],
            .to_stored = replicaset_extensions_to_stored,
            .from_stored = replicaset_extensions_from_stored,
            .defaults = replicaset_extensions_defaults,
        },
    [ROW_ACTOR] =
        {
            .group = "actors.troupe.io",
            .version = "v1",
            .name = "Actor",
            .plural = "actors",
            .singular = "actor",
            .verbs = "delete get list watch",
            .strategy = WITH_STATUS,
            .type = &actors__actor__descriptor,
            .list_type = &actors__actor_list__descriptor,
            .storage_prefix = "actors",
            .defaults = meta_defaults,
            .prepare_create = plain_prepare_create,
            .prepare_update = keep_status,
            .prepare_status = keep_spec,
            .columns = actor_columns,
        },
    [ROW_EXPERIMENT] =
        {
            .group = "chaos.troupe.io",
            .version = "v1",
            .name = "Experiment",
            .plural = "experiments",
            .singular = "experiment",
            .short_names = "exp",
            .verbs = ALL_VERBS,
            .strategy = WITH_STATUS,
            .type = &experiments__experiment__descriptor,
            .list_type = &experiments__experiment_list__descriptor,
            .storage_prefix = "chaos.troupe.io/experiments",
            .defaults = experiment_defaults,
            .prepare_create = plain_prepare_create,
            .prepare_update = keep_status,
            .prepare_status = keep_spec,
            .columns = experiment_columns,
            .validate = experiment_validate,
        },
    [ROW_BINDING] =
        {
            .group = "",
            .version = "v1",
            .name = "Binding",
            .singular = "binding",
            .namespaced = true,
            .type = &core__binding__descriptor,
        },
    [ROW_SCALE] =
        {
            .group = "autoscaling",
            .version = "v1",
            .name = "Scale",
            .singular = "scale",
            .namespaced = true,
            .type = &autoscaling__scale__descriptor,
        },
    [ROW_STATUS] =
        {
            .group = "",
            .version = "v1",
            .name = "Status",
            .singular = "status",
            .type = &meta__status__descriptor,
        },
};

// ---- questions ----------------------------------------------------------------------------------
const kind_t *kind_at(size_t i) { return i < ROWS_OF_RESOURCES ? &rows[i] : NULL; }

const kind_t *kind_find(const char *group, const char *version, const char *name) {
    for (size_t i = 0; i < ROWS_MAX; i++)
        if (streq(rows[i].name, or_empty(name)) && streq(rows[i].group, or_empty(group)) &&
            streq(rows[i].version, or_empty(version)))
            return &rows[i];
    return NULL;
}

const kind_t *kind_by_plural(const char *group, const char *version, const char *plural) {
    for (size_t i = 0; i < ROWS_OF_RESOURCES; i++)
        if (streq(rows[i].plural, or_empty(plural)) && streq(rows[i].group, or_empty(group)) &&
            streq(rows[i].version, or_empty(version)))
            return &rows[i];
    return NULL;
}

const kind_t *kind_by_api_version(const char *api_version, const char *name) {
    if (!api_version || !name) return NULL;
    const char *slash = strchr(api_version, '/');
    if (!slash) return kind_find("", api_version, name);
    if (strchr(slash + 1, '/')) return NULL;
    for (size_t i = 0; i < ROWS_MAX; i++)
        if (streq(rows[i].name, name) && streq(rows[i].version, slash + 1) &&
            strlen(rows[i].group) == (size_t)(slash - api_version) &&
            has_prefix(api_version, rows[i].group))
            return &rows[i];
    return NULL;
}

static bool eq_n(const char *s, const char *word, size_t len) {
    return strlen(s) == len && memcmp(s, word, len) == 0;
}

static bool has_word_n(const char *list, const char *word, size_t len) {
    if (!len) return false;
    for (const char *at = or_empty(list); *at;) {
        size_t word_len = strcspn(at, " ");
        if (word_len == len && memcmp(at, word, len) == 0) return true;
        at += word_len;
        at += strspn(at, " ");
    }
    return false;
}

bool kind_has_word(const char *list, const char *word) {
    return has_word_n(list, word, strlen(word));
}

// The resource part as a person types it: case does not matter for the kind's own name only.
static bool is_called(const kind_t *k, const char *word, size_t len) {
    if (eq_n(k->plural, word, len) || eq_n(k->singular, word, len)) return true;
    if (has_word_n(k->short_names, word, len)) return true;
    return strlen(k->name) == len && strncasecmp(k->name, word, len) == 0;
}

const kind_t *kind_by_typed_name(const char *typed) {
    size_t len = strcspn(or_empty(typed), ".");
    if (!len) return NULL;
    const char *rest = typed[len] == '.' ? typed + len + 1 : "";
    for (size_t i = 0; i < ROWS_OF_RESOURCES; i++) {
        const kind_t *k = &rows[i];
        if (!is_called(k, typed, len)) continue;
        if (!*rest || streq(rest, k->group)) return k;
        size_t version_len = strlen(k->version);
        bool has_version = strncmp(rest, k->version, version_len) == 0 && rest[version_len] == '.';
        if (has_version && streq(rest + version_len + 1, k->group)) return k;
    }
    return NULL;
}

const kind_t *kind_of(const ProtobufCMessage *obj) {
    for (size_t i = 0; i < ROWS_MAX; i++)
        if (rows[i].type == obj->descriptor) return &rows[i];
    return NULL;
}

const column_t *kind_columns(const kind_t *k) { return k->columns ? k->columns : plain_columns; }

// ---- names --------------------------------------------------------------------------------------
const char *kind_api_version(arena_t *arena, const kind_t *k) {
    return *k->group ? arena_printf(arena, "%s/%s", k->group, k->version) : k->version;
}

const char *kind_qualified_plural(arena_t *arena, const kind_t *k) {
    assert(k->plural);
    return *k->group ? arena_printf(arena, "%s.%s", k->plural, k->group) : k->plural;
}

const char *kind_qualified_singular(arena_t *arena, const kind_t *k) {
    return *k->group ? arena_printf(arena, "%s.%s", k->singular, k->group) : k->singular;
}
