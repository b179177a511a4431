// columns - what `get` shows of each kind (facts: k8s-print-columns).
#include "k8s/coordination_v1.pb-c.h"
#include "k8s/core_v1.pb-c.h"
#include "k8s/discovery_v1.pb-c.h"
#include "runtime/api/kinds/fill.h"
#include "runtime/api/kinds/rows.h"
#include "runtime/api/pod.h"
#include "runtime/api/selector.h"
#include "runtime/api/table.h"
#include "troupe/actors.pb-c.h"
#include "troupe/experiments.pb-c.h"

// A cell function's head; `o` is the object as its own type.
#define CELL(name, c_type)                                                             \
    static const char *name##_of(arena_t *a, const c_type *o, int64_t now_ms);         \
    static const char *name(arena_t *a, const ProtobufCMessage *obj, int64_t now_ms) { \
        return name##_of(a, (const c_type *)obj, now_ms);                              \
    }                                                                                  \
    static const char *name##_of(arena_t *a, const c_type *o, int64_t now_ms)

enum { LISTED_MAX = 3 }; // of endpoints and ports: the others are counted

// ---- of all kinds -------------------------------------------------------------------------------
static const char *or_none(const char *s) { return is_empty(s) ? "<none>" : s; }
static const char *number(arena_t *a, int64_t n) { return arena_printf(a, "%lld", (long long)n); }

static const char *since(arena_t *a, int64_t wall_ms, int64_t now_ms) {
    return wall_ms ? human_duration(a, now_ms - wall_ms) : "<unknown>";
}

CELL(cell_name, ProtobufCMessage) { return object_meta_read(o)->name; }

CELL(cell_age, ProtobufCMessage) {
    return since(a, time_wall_ms(object_meta_read(o)->creationtimestamp), now_ms);
}

static const char *joined(arena_t *a, const char *const *at, size_t len) {
    text_t out = {.arena = a};
    for (size_t i = 0; i < len; i++) text_addf(&out, "%s%s", i ? "," : "", at[i]);
    return text_str(&out);
}

static const char *entries_text(arena_t *a, const void *entries, size_t len) {
    str_entry_t *const *at = entries;
    text_t out = {.arena = a};
    for (size_t i = 0; i < len; i++)
        text_addf(&out, "%s%s=%s", i ? "," : "", or_empty(at[i]->key), or_empty(at[i]->value));
    return or_none(text_str(&out));
}

#define COLUMN_NAME \
    { "Name", "Name must be unique within a namespace.", 0, cell_name }
#define COLUMN_AGE \
    { "Age", "Time since the object was created.", 0, cell_age }
#define COLUMNS_END \
    { 0 }

const column_t plain_columns[] = {COLUMN_NAME, COLUMN_AGE, COLUMNS_END};

// ---- Pod ----------------------------------------------------------------------------------------
CELL(pod_ready, Core__Pod) {
    pod_summary_t sum = pod_summary(a, o);
    return arena_printf(a, "%d/%d", sum.ready, sum.total);
}

CELL(pod_status, Core__Pod) { return pod_summary(a, o).status; }

CELL(pod_restarts, Core__Pod) {
    pod_summary_t sum = pod_summary(a, o);
    if (!sum.restarts || !sum.last_restart_wall_ms) return number(a, sum.restarts);
    return arena_printf(a, "%d (%s ago)", sum.restarts, since(a, sum.last_restart_wall_ms, now_ms));
}

CELL(pod_ip, Core__Pod) {
    if (o->status && o->status->n_podips) return or_none(o->status->podips[0]->ip);
    return o->status ? or_none(o->status->podip) : "<none>";
}

CELL(pod_node, Core__Pod) { return or_none(o->spec ? o->spec->nodename : NULL); }
CELL(pod_nominated, Core__Pod) { return or_none(o->status ? o->status->nominatednodename : NULL); }

CELL(pod_gates, Core__Pod) {
    if (!o->spec || !o->spec->n_readinessgates) return "<none>";
    int open = 0;
    for (size_t i = 0; i < o->spec->n_readinessgates; i++) {
        const Core__PodCondition *c =
            pod_condition(o, or_empty(o->spec->readinessgates[i]->conditiontype));
        open += c && streq(or_empty(c->status), "True");
    }
    return arena_printf(a, "%d/%zu", open, o->spec->n_readinessgates);
}

const column_t pod_columns[] = {
    COLUMN_NAME,
    {"Ready", "The aggregate readiness state of this pod for accepting traffic.", 0, pod_ready},
    {"Status", "The aggregate status of the containers in this pod.", 0, pod_status},
    {"Restarts", "The number of times the containers in this pod have been restarted.", 0,
     pod_restarts},
    COLUMN_AGE,
    {"IP", "The pod's address.", 1, pod_ip},
    {"Node", "The node that the pod is bound to.", 1, pod_node},
    {"Nominated Node", "The node that preemption makes room on.", 1, pod_nominated},
    {"Readiness Gates", "Extra conditions that the pod must meet to be ready.", 1, pod_gates},
    COLUMNS_END,
};

// ---- Deployment and ReplicaSet, of every version: their fields are found by name ----------------
static int64_t int_at(const ProtobufCMessage *obj, const char *part, const char *name) {
    const void *msg = field_message(obj, part);
    return msg ? field_int(msg, name) : 0;
}

static const Core__PodSpec *template_spec(const ProtobufCMessage *obj) {
    const Core__PodTemplateSpec *template = field_message(field_message(obj, "spec"), "template");
    return template ? template->spec : NULL;
}

static const char *containers_text(arena_t *a, const ProtobufCMessage *obj, bool images) {
    const Core__PodSpec *spec = template_spec(obj);
    text_t out = {.arena = a};
    for (size_t i = 0; spec && i < spec->n_containers; i++) {
        const Core__Container *c = spec->containers[i];
        text_addf(&out, "%s%s", i ? "," : "", or_empty(images ? c->image : c->name));
    }
    return text_str(&out);
}

CELL(cell_containers, ProtobufCMessage) { return containers_text(a, o, false); }
CELL(cell_images, ProtobufCMessage) { return containers_text(a, o, true); }

static const char *selector_of(arena_t *a, const ProtobufCMessage *obj) {
    const Meta__LabelSelector *selector = field_message(field_message(obj, "spec"), "selector");
    bool empty = !selector || (!selector->n_matchlabels && !selector->n_matchexpressions);
    return empty ? "" : or_empty(selector_text(a, selector));
}

CELL(deployment_selector, ProtobufCMessage) { return selector_of(a, o); }

CELL(deployment_ready, ProtobufCMessage) {
    return arena_printf(a, "%lld/%lld", (long long)int_at(o, "status", "readyReplicas"),
                        (long long)int_at(o, "spec", "replicas"));
}

CELL(deployment_updated, ProtobufCMessage) {
    return number(a, int_at(o, "status", "updatedReplicas"));
}

CELL(deployment_available, ProtobufCMessage) {
    return number(a, int_at(o, "status", "availableReplicas"));
}

const column_t deployment_columns[] = {
    COLUMN_NAME,
    {"Ready", "Number of the pod with ready state", 0, deployment_ready},
    {"Up-to-date", "Pods of the wanted template.", 0, deployment_updated},
    {"Available", "Pods that have been ready long enough.", 0, deployment_available},
    COLUMN_AGE,
    {"Containers", "Names of each container in the template.", 1, cell_containers},
    {"Images", "Images referenced by each container in the template.", 1, cell_images},
    {"Selector", "Label selector for pods.", 1, deployment_selector},
    COLUMNS_END,
};

CELL(replicaset_desired, ProtobufCMessage) { return number(a, int_at(o, "spec", "replicas")); }
CELL(replicaset_current, ProtobufCMessage) { return number(a, int_at(o, "status", "replicas")); }
CELL(replicaset_ready, ProtobufCMessage) { return number(a, int_at(o, "status", "readyReplicas")); }
CELL(replicaset_selector, ProtobufCMessage) { return or_none(selector_of(a, o)); }

const column_t replicaset_columns[] = {
    COLUMN_NAME,
    {"Desired", "The number of wanted pods.", 0, replicaset_desired},
    {"Current", "The number of pods that exist.", 0, replicaset_current},
    {"Ready", "The number of pods that are ready.", 0, replicaset_ready},
    COLUMN_AGE,
    {"Containers", "Names of each container in the template.", 1, cell_containers},
    {"Images", "Images referenced by each container in the template.", 1, cell_images},
    {"Selector", "Label selector for pods.", 1, replicaset_selector},
    COLUMNS_END,
};

// ---- Service ------------------------------------------------------------------------------------
CELL(service_type, Core__Service) { return o->spec ? o->spec->type : NULL; }

CELL(service_cluster_ip, Core__Service) {
    if (!o->spec) return "<none>";
    if (o->spec->n_clusterips) return or_none(o->spec->clusterips[0]);
    return or_none(o->spec->clusterip);
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

// Where a load balancer lets traffic in, each once and sorted; "" when it has not said yet.
static const char *balancer_text(arena_t *a, const Core__Service *service) {
    const Core__LoadBalancerStatus *balancer =
        service->status ? service->status->loadbalancer : NULL;
    if (!balancer || !balancer->n_ingress) return "";
    const char **at = ARENA_ARRAY(a, const char *, balancer->n_ingress);
    size_t len = 0, unique = 0;
    for (size_t i = 0; i < balancer->n_ingress; i++) {
        const Core__LoadBalancerIngress *in = balancer->ingress[i];
        const char *text = is_empty(in->ip) ? or_empty(in->hostname) : in->ip;
        if (*text) at[len++] = text;
    }
    if (len) qsort(at, len, sizeof *at, by_text);
    for (size_t i = 0; i < len; i++)
        if (!unique || !streq(at[unique - 1], at[i])) at[unique++] = at[i];
    return joined(a, at, unique);
}

CELL(service_external_ip, Core__Service) {
    const Core__ServiceSpec *spec = o->spec;
    const char *type = spec ? or_empty(spec->type) : "";
    if (streq(type, "ExternalName")) return or_empty(spec->externalname);
    bool balanced = streq(type, "LoadBalancer");
    if (!balanced && !streq(type, "ClusterIP") && !streq(type, "NodePort")) return "<unknown>";
    const char *given = joined(a, spec->externalips, spec->n_externalips);
    if (!balanced) return or_none(given);
    const char *in = balancer_text(a, o);
    if (*in && *given) return arena_printf(a, "%s,%s", in, given);
    if (*in || *given) return *in ? in : given;
    return "<pending>";
}

CELL(service_ports, Core__Service) {
    text_t out = {.arena = a};
    for (size_t i = 0; o->spec && i < o->spec->n_ports; i++) {
        const Core__ServicePort *port = o->spec->ports[i];
        text_addf(&out, "%s%d", i ? "," : "", port->port);
        if (port->nodeport) text_addf(&out, ":%d", port->nodeport);
        text_addf(&out, "/%s", or_empty(port->protocol));
    }
    return or_none(text_str(&out));
}

CELL(service_selector, Core__Service) {
    return o->spec ? entries_text(a, o->spec->selector, o->spec->n_selector) : "<none>";
}

const column_t service_columns[] = {
    COLUMN_NAME,
    {"Type", "How the service is exposed.", 0, service_type},
    {"Cluster-IP", "The service's address inside the cluster.", 0, service_cluster_ip},
    {"External-IP", "Addresses from outside of the cluster.", 0, service_external_ip},
    {"Port(s)", "Ports, with their node ports.", 0, service_ports},
    COLUMN_AGE,
    {"Selector", "Labels of the pods behind the service.", 1, service_selector},
    COLUMNS_END,
};

// ---- Endpoints and EndpointSlice ----------------------------------------------------------------
// A list that shows the first few and counts the others.
typedef struct {
    text_t text;
    size_t shown, count;
} listing_t;

static void list_add(listing_t *list, const char *item) {
    list->count++;
    if (list->shown == LISTED_MAX) return;
    text_addf(&list->text, "%s%s", list->shown++ ? "," : "", item);
}

static const char *list_text(listing_t *list, const char *when_empty) {
    if (!list->count) return when_empty;
    if (list->count > list->shown)
        text_addf(&list->text, " + %zu more...", list->count - list->shown);
    return text_str(&list->text);
}

static const char *host_port(arena_t *a, const char *ip, int port) {
    return arena_printf(a, strchr(ip, ':') ? "[%s]:%d" : "%s:%d", ip, port);
}

static void list_subset(arena_t *a, listing_t *list, const Core__EndpointSubset *subset) {
    for (size_t i = 0; i < subset->n_addresses && !subset->n_ports; i++)
        list_add(list, or_empty(subset->addresses[i]->ip));
    for (size_t p = 0; p < subset->n_ports; p++)
        for (size_t i = 0; i < subset->n_addresses; i++)
            list_add(list,
                     host_port(a, or_empty(subset->addresses[i]->ip), subset->ports[p]->port));
}

CELL(endpoints_list, Core__Endpoints) {
    if (!o->n_subsets) return "<none>";
    listing_t list = {.text.arena = a};
    for (size_t i = 0; i < o->n_subsets; i++) list_subset(a, &list, o->subsets[i]);
    return list_text(&list, "");
}

const column_t endpoints_columns[] = {
    COLUMN_NAME,
    {"Endpoints", "Addresses and ports behind the service.", 0, endpoints_list},
    COLUMN_AGE,
    COLUMNS_END,
};

CELL(slice_type, Discovery__EndpointSlice) { return o->addresstype; }

CELL(slice_ports, Discovery__EndpointSlice) {
    listing_t list = {.text.arena = a};
    for (size_t i = 0; i < o->n_ports; i++) {
        const Discovery__EndpointPort *port = o->ports[i];
        const char *name = is_empty(port->name) ? "*" : port->name;
        list_add(&list, port->has_port ? number(a, port->port) : name);
    }
    return list_text(&list, "<unset>");
}

CELL(slice_endpoints, Discovery__EndpointSlice) {
    listing_t list = {.text.arena = a};
    for (size_t i = 0; i < o->n_endpoints; i++)
        for (size_t j = 0; j < o->endpoints[i]->n_addresses; j++)
            list_add(&list, o->endpoints[i]->addresses[j]);
    return list_text(&list, "<unset>");
}

const column_t endpointslice_columns[] = {
    COLUMN_NAME,
    {"AddressType", "The kind of address that the slice carries.", 0, slice_type},
    {"Ports", "Ports of each endpoint.", 0, slice_ports},
    {"Endpoints", "Addresses of the endpoints.", 0, slice_endpoints},
    COLUMN_AGE,
    COLUMNS_END,
};

// ---- Node ---------------------------------------------------------------------------------------
CELL(node_status, Core__Node) {
    const char *status = "Unknown";
    for (size_t i = 0; o->status && i < o->status->n_conditions; i++)
        if (streq(or_empty(o->status->conditions[i]->type), "Ready"))
            status =
                streq(or_empty(o->status->conditions[i]->status), "True") ? "Ready" : "NotReady";
    bool cordoned = o->spec && o->spec->unschedulable;
    return cordoned ? arena_printf(a, "%s,SchedulingDisabled", status) : status;
}

#define LABEL_ROLE_PREFIX "node-role.kubernetes.io/"
#define LABEL_ROLE        "kubernetes.io/role"

const char *node_roles_text(arena_t *a, const Core__Node *node) {
    const Meta__ObjectMeta *meta = object_meta_read(&node->base);
    const char **roles = ARENA_ARRAY(a, const char *, meta->n_labels + 1);
    size_t len = 0, unique = 0;
    for (size_t i = 0; i < meta->n_labels; i++) {
        const char *key = or_empty(meta->labels[i]->key), *role = "";
        if (has_prefix(key, LABEL_ROLE_PREFIX)) role = key + strlen(LABEL_ROLE_PREFIX);
        if (streq(key, LABEL_ROLE)) role = or_empty(meta->labels[i]->value);
        if (*role) roles[len++] = role;
    }
    if (len) qsort(roles, len, sizeof *roles, by_text);
    for (size_t i = 0; i < len; i++)
        if (!unique || !streq(roles[unique - 1], roles[i])) roles[unique++] = roles[i];
    return or_none(joined(a, roles, unique));
}

CELL(node_roles, Core__Node) { return node_roles_text(a, o); }

static const char *node_address(const Core__Node *node, const char *type) {
    for (size_t i = 0; node->status && i < node->status->n_addresses; i++)
        if (streq(or_empty(node->status->addresses[i]->type), type))
            return or_none(node->status->addresses[i]->address);
    return "<none>";
}

static const Core__NodeSystemInfo *node_info(const Core__Node *node) {
    static const Core__NodeSystemInfo none = {.base.descriptor =
                                                  &core__node_system_info__descriptor};
    return node->status && node->status->nodeinfo ? node->status->nodeinfo : &none;
}

static const char *or_unknown(const char *s) { return is_empty(s) ? "<unknown>" : s; }

CELL(node_version, Core__Node) { return node_info(o)->kubeletversion; }
CELL(node_internal_ip, Core__Node) { return node_address(o, "InternalIP"); }
CELL(node_external_ip, Core__Node) { return node_address(o, "ExternalIP"); }
CELL(node_os, Core__Node) { return or_unknown(node_info(o)->osimage); }
CELL(node_kernel, Core__Node) { return or_unknown(node_info(o)->kernelversion); }
CELL(node_runtime, Core__Node) { return or_unknown(node_info(o)->containerruntimeversion); }

const column_t node_columns[] = {
    COLUMN_NAME,
    {"Status", "Whether the node takes and runs pods.", 0, node_status},
    {"Roles", "The roles of the node.", 0, node_roles},
    COLUMN_AGE,
    {"Version", "The version of the node's agent.", 0, node_version},
    {"Internal-IP", "The node's address inside the cluster.", 1, node_internal_ip},
    {"External-IP", "The node's address from outside.", 1, node_external_ip},
    {"OS-Image", "The operating system.", 1, node_os},
    {"Kernel-Version", "The kernel's version.", 1, node_kernel},
    {"Container-Runtime", "The container runtime and its version.", 1, node_runtime},
    COLUMNS_END,
};

// ---- Event --------------------------------------------------------------------------------------
CELL(event_first_seen, Core__Event) {
    int64_t first = time_wall_ms(o->firsttimestamp);
    return since(a, first ? first : microtime_wall_ms(o->eventtime), now_ms);
}

CELL(event_last_seen, Core__Event) {
    if (o->series) return since(a, microtime_wall_ms(o->series->lastobservedtime), now_ms);
    int64_t last = time_wall_ms(o->lasttimestamp);
    return last ? since(a, last, now_ms) : event_first_seen_of(a, o, now_ms);
}

CELL(event_type, Core__Event) { return o->type; }
CELL(event_reason, Core__Event) { return o->reason; }

CELL(event_object, Core__Event) {
    const Core__ObjectReference *about = o->involvedobject;
    if (!about) return "";
    char *kind = arena_strdup(a, or_empty(about->kind));
    for (char *p = kind; *p; p++)
        if (*p >= 'A' && *p <= 'Z') *p += 'a' - 'A';
    return is_empty(about->name) ? kind : arena_printf(a, "%s/%s", kind, about->name);
}

CELL(event_subobject, Core__Event) {
    return o->involvedobject ? o->involvedobject->fieldpath : NULL;
}

CELL(event_source, Core__Event) {
    const char *component = o->source ? or_empty(o->source->component) : "";
    const char *host = o->source ? or_empty(o->source->host) : "";
    if (!*component) component = or_empty(o->reportingcomponent);
    if (!*host) host = or_empty(o->reportinginstance);
    return *host ? arena_printf(a, "%s, %s", component, host) : component;
}

CELL(event_message, Core__Event) {
    const char *message = or_empty(o->message);
    message += strspn(message, " \t\n\r");
    size_t len = strlen(message);
    while (len && strchr(" \t\n\r", message[len - 1])) len--;
    return arena_strndup(a, message, len);
}

CELL(event_count, Core__Event) {
    if (o->series) return number(a, o->series->count);
    return number(a, o->count ? o->count : 1);
}

const column_t event_columns[] = {
    {"Last Seen", "Time since this happened last.", 0, event_last_seen},
    {"Type", "Normal or Warning.", 0, event_type},
    {"Reason", "What happened, in one word.", 0, event_reason},
    {"Object", "The object that this is about.", 0, event_object},
    {"Subobject", "The part of the object that this is about.", 1, event_subobject},
    {"Source", "Who reports it.", 1, event_source},
    {"Message", "What happened, as a sentence.", 0, event_message},
    {"First Seen", "Time since this happened first.", 1, event_first_seen},
    {"Count", "How often it happened.", 1, event_count},
    {"Name", "Name must be unique within a namespace.", 1, cell_name},
    COLUMNS_END,
};

// ---- the small ones -----------------------------------------------------------------------------
CELL(namespace_status, Core__Namespace) { return o->status ? o->status->phase : NULL; }
const column_t namespace_columns[] = {
    COLUMN_NAME,
    {"Status", "The status of the namespace", 0, namespace_status},
    COLUMN_AGE,
    COLUMNS_END,
};

CELL(configmap_data, Core__ConfigMap) { return number(a, (int64_t)(o->n_data + o->n_binarydata)); }
const column_t configmap_columns[] = {
    COLUMN_NAME,
    {"Data", "The number of keys.", 0, configmap_data},
    COLUMN_AGE,
    COLUMNS_END,
};

CELL(secret_type, Core__Secret) { return o->type; }
CELL(secret_data, Core__Secret) { return number(a, (int64_t)o->n_data); }
const column_t secret_columns[] = {
    COLUMN_NAME,
    {"Type", "What the secret is for.", 0, secret_type},
    {"Data", "The number of keys.", 0, secret_data},
    COLUMN_AGE,
    COLUMNS_END,
};

CELL(serviceaccount_secrets, Core__ServiceAccount) { return number(a, (int64_t)o->n_secrets); }
const column_t serviceaccount_columns[] = {
    COLUMN_NAME,
    {"Secrets", "The number of secrets.", 0, serviceaccount_secrets},
    COLUMN_AGE,
    COLUMNS_END,
};

CELL(lease_holder, Coordination__Lease) { return o->spec ? o->spec->holderidentity : NULL; }
const column_t lease_columns[] = {
    COLUMN_NAME,
    {"Holder", "Who holds the lease.", 0, lease_holder},
    COLUMN_AGE,
    COLUMNS_END,
};

CELL(actor_role, Actors__Actor) { return o->spec ? o->spec->role : NULL; }
CELL(actor_state, Actors__Actor) { return or_unknown(o->status ? o->status->state : NULL); }
CELL(actor_host, Actors__Actor) { return or_none(o->status ? o->status->host : NULL); }
CELL(actor_process, Actors__Actor) { return or_none(o->spec ? o->spec->process : NULL); }
CELL(actor_dispatcher, Actors__Actor) { return or_none(o->spec ? o->spec->dispatcher : NULL); }
CELL(actor_messages, Actors__Actor) { return number(a, o->status ? o->status->messages : 0); }

CELL(actor_restarts, Actors__Actor) {
    if (!o->status) return "0";
    int64_t last = time_wall_ms(o->status->lastrestarttime);
    if (!o->status->restarts || !last) return number(a, o->status->restarts);
    return arena_printf(a, "%d (%s ago)", o->status->restarts, since(a, last, now_ms));
}

CELL(actor_mailbox, Actors__Actor) {
    if (!o->status) return "0";
    return arena_printf(a, "%d/%d", o->status->mailbox, o->status->mailboxmax);
}

CELL(actor_age, Actors__Actor) {
    int64_t started = o->status ? time_wall_ms(o->status->starttime) : 0;
    return started ? since(a, started, now_ms) : cell_age_of(a, &o->base, now_ms);
}

CELL(actor_epoch, Actors__Actor) {
    return o->status && o->status->epoch ? number(a, o->status->epoch) : "";
}
CELL(actor_reason, Actors__Actor) { return o->status ? o->status->reason : NULL; }
CELL(actor_rate, Actors__Actor) {
    int64_t started = o->status ? time_wall_ms(o->status->starttime) : 0;
    int64_t lived_ms = started && now_ms > started ? now_ms - started : 1;
    int64_t per_s = o->status ? o->status->messages * 1000 / lived_ms : 0;
    return arena_printf(a, "%lld/s", (long long)per_s);
}

const column_t actor_columns[] = {
    COLUMN_NAME,
    {"Role", "What the actor does.", 0, actor_role},
    {"State", "Whether it runs.", 0, actor_state},
    {"Process", "The process it runs in.", 0, actor_process},
    {"Host", "The machine it runs on.", 0, actor_host},
    {"Epoch", "The leader's, of roles that have one.", 0, actor_epoch},
    {"Mailbox", "Messages waiting, of how many that fit.", 0, actor_mailbox},
    {"Rate", "Messages handled in a second, on average of its life.", 0, actor_rate},
    {"Restarts", "How often its supervisor started it again.", 0, actor_restarts},
    {"Last Reason", "Why it ended the last time.", 0, actor_reason},
    {"Age", "Time since it was started.", 0, actor_age},
    {"Dispatcher", "The thread it runs on.", 1, actor_dispatcher},
    {"Messages", "Messages handled since it was started.", 1, actor_messages},
    COLUMNS_END,
};

CELL(experiment_phase, Experiments__Experiment) {
    return o->status && !is_empty(o->status->phase) ? o->status->phase : "Pending";
}
CELL(experiment_verdict, Experiments__Experiment) { return o->status ? o->status->verdict : NULL; }
CELL(experiment_faults, Experiments__Experiment) {
    return number(a, o->status ? (int64_t)o->status->n_faults : 0);
}
CELL(experiment_message, Experiments__Experiment) { return o->status ? o->status->message : NULL; }
const column_t experiment_columns[] = {
    COLUMN_NAME,
    {"Phase", "How far it is.", 0, experiment_phase},
    {"Verdict", "How the cluster fared.", 0, experiment_verdict},
    {"Faults", "Faults set by now.", 0, experiment_faults},
    COLUMN_AGE,
    {"Message", "What is to be said of it.", 1, experiment_message},
    COLUMNS_END,
};
