// defaults - of every kind but the pod, whose defaults fill a file of their own
// (facts: k8s-defaults).
#include "k8s/apps_v1.pb-c.h"
#include "k8s/coordination_v1.pb-c.h"
#include "k8s/core_v1.pb-c.h"
#include "k8s/discovery_v1.pb-c.h"
#include "runtime/api/kinds/fill.h"
#include "runtime/api/kinds/rows.h"

// ---- Deployment and ReplicaSet, all versions ----------------------------------------------------
// What differs between the versions of a Deployment.
typedef struct {
    int rolling_step;          // maxSurge and maxUnavailable; 0: "25%"
    int revisions, deadline_s; // revisionHistoryLimit, progressDeadlineSeconds
    bool selector_from_template;
} deployment_defaults_t;

// The betas took the selector, and the labels, from the template when none were given.
static void selector_from_template(arena_t *arena, ProtobufCMessage *obj, void *spec,
                                   const Core__PodTemplateSpec *template) {
    const Meta__ObjectMeta *from = template->metadata;
    if (!from || !from->n_labels) return;
    if (!field_is_set(spec, "selector")) {
        Meta__LabelSelector *selector = fill_message(arena, spec, "selector");
        selector->matchlabels =
            ARENA_ARRAY(arena, Meta__LabelSelector__MatchLabelsEntry *, from->n_labels);
        for (size_t i = 0; i < from->n_labels; i++) {
            Meta__LabelSelector__MatchLabelsEntry *entry =
                MSG_NEW(arena, Meta__LabelSelector__MatchLabelsEntry,
                        meta__label_selector__match_labels_entry__descriptor);
            entry->key = from->labels[i]->key;
            entry->value = from->labels[i]->value;
            selector->matchlabels[selector->n_matchlabels++] = entry;
        }
    }
    Meta__ObjectMeta *meta = object_meta(arena, obj);
    if (meta->n_labels) return;
    meta->labels = arena_dup(arena, from->labels, from->n_labels * sizeof *from->labels);
    meta->n_labels = from->n_labels;
}

static void rolling_update_defaults(arena_t *arena, void *strategy, int step) {
    void *rolling = fill_message(arena, strategy, "rollingUpdate");
    static const char *const fields[] = {"maxUnavailable", "maxSurge"};
    for (size_t i = 0; i < LENGTH_OF(fields); i++)
        if (!field_is_set(rolling, fields[i]))
            field_set_message(rolling, fields[i],
                              step ? intstr_int(arena, step) : intstr_str(arena, "25%"));
}

static void deployment_fill(arena_t *arena, ProtobufCMessage *obj, const deployment_defaults_t *d) {
    object_meta(arena, obj);
    fill_message(arena, obj, "status");
    void *spec = fill_message(arena, obj, "spec");
    Core__PodTemplateSpec *template = fill_message(arena, spec, "template");
    if (d->selector_from_template) selector_from_template(arena, obj, spec, template);
    fill_int(spec, "replicas", 1);
    void *strategy = fill_message(arena, spec, "strategy");
    fill_str(strategy, "type", "RollingUpdate");
    // extensions/v1beta1 filled a given rollingUpdate whatever the type.
    bool given = d->rolling_step && field_is_set(strategy, "rollingUpdate");
    if (given || streq(field_str(strategy, "type"), "RollingUpdate"))
        rolling_update_defaults(arena, strategy, d->rolling_step);
    fill_int(spec, "revisionHistoryLimit", d->revisions);
    fill_int(spec, "progressDeadlineSeconds", d->deadline_s);
    template_defaults(arena, template);
}

void deployment_defaults(arena_t *arena, ProtobufCMessage *obj) {
    deployment_fill(arena, obj, &(deployment_defaults_t){0, 10, 600, false});
}

void deployment_v1beta1_defaults(arena_t *arena, ProtobufCMessage *obj) {
    deployment_fill(arena, obj, &(deployment_defaults_t){0, 2, 600, true});
}

void deployment_extensions_defaults(arena_t *arena, ProtobufCMessage *obj) {
    deployment_fill(arena, obj, &(deployment_defaults_t){1, INT32_MAX, INT32_MAX, true});
}

static void replicaset_fill(arena_t *arena, ProtobufCMessage *obj, bool from_template) {
    object_meta(arena, obj);
    fill_message(arena, obj, "status");
    void *spec = fill_message(arena, obj, "spec");
    Core__PodTemplateSpec *template = fill_message(arena, spec, "template");
    if (from_template) selector_from_template(arena, obj, spec, template);
    fill_int(spec, "replicas", 1);
    template_defaults(arena, template);
}

void replicaset_defaults(arena_t *arena, ProtobufCMessage *obj) {
    replicaset_fill(arena, obj, false);
}

void replicaset_extensions_defaults(arena_t *arena, ProtobufCMessage *obj) {
    replicaset_fill(arena, obj, true);
}

// ---- Service ------------------------------------------------------------------------------------
enum { AFFINITY_SECONDS_DEFAULT = 10800 };

static bool service_is_any(const Core__ServiceSpec *spec, const char *a, const char *b,
                           const char *c) {
    const char *type = or_empty(spec->type);
    return streq(type, a) || streq(type, b) || (c && streq(type, c));
}

static void affinity_defaults(arena_t *arena, Core__ServiceSpec *spec) {
    FILL_STR(spec->sessionaffinity, "None");
    if (streq(spec->sessionaffinity, "None")) spec->sessionaffinityconfig = NULL;
    if (!streq(spec->sessionaffinity, "ClientIP")) return;
    FILL_MSG(arena, spec->sessionaffinityconfig, Core__SessionAffinityConfig,
             core__session_affinity_config__descriptor);
    Core__SessionAffinityConfig *config = spec->sessionaffinityconfig;
    FILL_MSG(arena, config->clientip, Core__ClientIPConfig, core__client_ipconfig__descriptor);
    FILL_PTR(config->clientip, timeoutseconds, AFFINITY_SECONDS_DEFAULT);
}

static bool has_target_port(const Intstr__IntOrString *v) {
    return v && (intstr_is_str(v) ? !is_empty(v->strval) : v->intval != 0);
}

void service_defaults(arena_t *arena, ProtobufCMessage *obj) {
    Core__Service *service = (Core__Service *)obj;
    object_meta(arena, obj);
    FILL_MSG(arena, service->spec, Core__ServiceSpec, core__service_spec__descriptor);
    FILL_MSG(arena, service->status, Core__ServiceStatus, core__service_status__descriptor);
    Core__ServiceSpec *spec = service->spec;
    affinity_defaults(arena, spec);
    FILL_STR(spec->type, "ClusterIP");
    for (size_t i = 0; i < spec->n_ports; i++) {
        Core__ServicePort *port = spec->ports[i];
        FILL_STR(port->protocol, "TCP");
        if (!has_target_port(port->targetport)) port->targetport = intstr_int(arena, port->port);
    }
    bool external = service_is_any(spec, "NodePort", "LoadBalancer", NULL) ||
                    (streq(spec->type, "ClusterIP") && spec->n_externalips > 0);
    if (external) FILL_STR(spec->externaltrafficpolicy, "Cluster");
    if (service_is_any(spec, "ClusterIP", "NodePort", "LoadBalancer"))
        FILL_STR(spec->internaltrafficpolicy, "Cluster");
    if (!streq(spec->type, "LoadBalancer")) return;
    FILL_PTR(spec, allocateloadbalancernodeports, true);
    const Core__LoadBalancerStatus *balancer = service->status->loadbalancer;
    for (size_t i = 0; balancer && i < balancer->n_ingress; i++)
        if (!is_empty(balancer->ingress[i]->ip)) FILL_STR_PTR(balancer->ingress[i]->ipmode, "VIP");
}

// ---- the small ones -----------------------------------------------------------------------------
void endpoints_defaults(arena_t *arena, ProtobufCMessage *obj) {
    Core__Endpoints *endpoints = (Core__Endpoints *)obj;
    object_meta(arena, obj);
    for (size_t i = 0; i < endpoints->n_subsets; i++)
        for (size_t j = 0; j < endpoints->subsets[i]->n_ports; j++)
            FILL_STR(endpoints->subsets[i]->ports[j]->protocol, "TCP");
}

void endpointslice_defaults(arena_t *arena, ProtobufCMessage *obj) {
    Discovery__EndpointSlice *slice = (Discovery__EndpointSlice *)obj;
    object_meta(arena, obj);
    for (size_t i = 0; i < slice->n_ports; i++) {
        FILL_STR_PTR(slice->ports[i]->name, "");
        FILL_STR_PTR(slice->ports[i]->protocol, "TCP");
    }
}

// stringData is for writing only: its values become data, over what stands there.
static void merge_string_data(arena_t *arena, Core__Secret *secret) {
    size_t most = secret->n_data + secret->n_stringdata;
    Core__Secret__DataEntry **data = ARENA_ARRAY(arena, Core__Secret__DataEntry *, most + 1);
    for (size_t i = 0; i < secret->n_data; i++) data[i] = secret->data[i];
    for (size_t i = 0; i < secret->n_stringdata; i++) {
        const char *key = or_empty(secret->stringdata[i]->key);
        const char *value = or_empty(secret->stringdata[i]->value);
        Core__Secret__DataEntry *entry =
            MSG_NEW(arena, Core__Secret__DataEntry, core__secret__data_entry__descriptor);
        entry->key = key;
        entry->has_value = true;
        entry->value = (ProtobufCBinaryData){strlen(value), (uint8_t *)arena_strdup(arena, value)};
        size_t at = 0; // maps are kept sorted and unique
        while (at < secret->n_data && strcmp(or_empty(data[at]->key), key) < 0) at++;
        bool replaces = at < secret->n_data && streq(or_empty(data[at]->key), key);
        if (!replaces) memmove(&data[at + 1], &data[at], (secret->n_data++ - at) * sizeof *data);
        data[at] = entry;
    }
    secret->data = data;
    secret->n_stringdata = 0;
}

void secret_defaults(arena_t *arena, ProtobufCMessage *obj) {
    object_meta(arena, obj);
    FILL_STR(((Core__Secret *)obj)->type, "Opaque");
    if (((Core__Secret *)obj)->n_stringdata) merge_string_data(arena, (Core__Secret *)obj);
}

#define LABEL_NAMESPACE_NAME "kubernetes.io/metadata.name"

void namespace_defaults(arena_t *arena, ProtobufCMessage *obj) {
    Core__Namespace *namespace = (Core__Namespace *)obj;
    const char *name = object_meta(arena, obj)->name;
    if (!is_empty(name)) object_set_label(arena, obj, LABEL_NAMESPACE_NAME, name);
    FILL_MSG(arena, namespace->spec, Core__NamespaceSpec, core__namespace_spec__descriptor);
    FILL_MSG(arena, namespace->status, Core__NamespaceStatus, core__namespace_status__descriptor);
    FILL_STR(namespace->status->phase, "Active");
}

void node_defaults(arena_t *arena, ProtobufCMessage *obj) {
    Core__Node *node = (Core__Node *)obj;
    object_meta(arena, obj);
    FILL_MSG(arena, node->spec, Core__NodeSpec, core__node_spec__descriptor);
    FILL_MSG(arena, node->status, Core__NodeStatus, core__node_status__descriptor);
    Core__NodeStatus *status = node->status;
    quantity_list_round(arena, status->capacity, status->n_capacity);
    quantity_list_round(arena, status->allocatable, status->n_allocatable);
    if (status->n_allocatable || !status->n_capacity) return;
    status->allocatable =
        ARENA_ARRAY(arena, Core__NodeStatus__AllocatableEntry *, status->n_capacity);
    for (size_t i = 0; i < status->n_capacity; i++) {
        Core__NodeStatus__AllocatableEntry *entry =
            MSG_NEW(arena, Core__NodeStatus__AllocatableEntry,
                    core__node_status__allocatable_entry__descriptor);
        entry->key = status->capacity[i]->key;
        entry->value = status->capacity[i]->value;
        status->allocatable[status->n_allocatable++] = entry;
    }
}

void event_defaults(arena_t *arena, ProtobufCMessage *obj) {
    Core__Event *event = (Core__Event *)obj;
    object_meta(arena, obj);
    FILL_MSG(arena, event->involvedobject, Core__ObjectReference,
             core__object_reference__descriptor);
    FILL_MSG(arena, event->source, Core__EventSource, core__event_source__descriptor);
}

void lease_defaults(arena_t *arena, ProtobufCMessage *obj) {
    object_meta(arena, obj);
    FILL_MSG(arena, ((Coordination__Lease *)obj)->spec, Coordination__LeaseSpec,
             coordination__lease_spec__descriptor);
}

void meta_defaults(arena_t *arena, ProtobufCMessage *obj) { object_meta(arena, obj); }
