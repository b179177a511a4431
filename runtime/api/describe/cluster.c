// cluster - nodes, namespaces, and what holds data: ConfigMap, Secret, ServiceAccount.
#include "runtime/api/describe/page.h"
#include "runtime/api/kinds/fill.h"
#include "runtime/api/kinds/rows.h"
#include "runtime/api/pod.h"
#include "runtime/api/quantity.h"

static void add_meta(page_t *page, const ProtobufCMessage *obj) {
    const Meta__ObjectMeta *meta = object_meta_read(obj);
    page_head(page, obj);
    page_labels(page, "Labels", meta->labels, meta->n_labels);
    page_annotations(page, "Annotations", meta);
}

// ---- Node ---------------------------------------------------------------------------------------
static void add_taints(page_t *page, const Core__NodeSpec *spec) {
    page_add(page, 0, "Taints:\t");
    if (!spec || !spec->n_taints) page_add(page, 0, "<none>\n");
    for (size_t i = 0; spec && i < spec->n_taints; i++) {
        const Core__Taint *t = spec->taints[i];
        page_add(page, 0, "%s%s%s%s:%s\n", i ? "\t" : "", or_empty(t->key),
                 is_empty(t->value) ? "" : "=", or_empty(t->value), or_empty(t->effect));
    }
}

static void add_conditions(page_t *page, const Core__NodeStatus *status) {
    if (!status->n_conditions) return;
    page_add(
        page, 0,
        "Conditions:\n  Type\tStatus\tLastHeartbeatTime\tLastTransitionTime\tReason\tMessage\n");
    page_add(page, 1, "----\t------\t-----------------\t------------------\t------\t-------\n");
    for (size_t i = 0; i < status->n_conditions; i++) {
        const Core__NodeCondition *c = status->conditions[i];
        page_add(page, 1, "%s \t%s \t%s \t%s \t%s \t%s\n", or_empty(c->type), or_empty(c->status),
                 page_time(page, time_wall_ms(c->lastheartbeattime)),
                 page_time(page, time_wall_ms(c->lasttransitiontime)), or_empty(c->reason),
                 or_empty(c->message));
    }
}

static void add_amounts(page_t *page, const char *title, const void *entries, size_t len) {
    quantity_entry_t *const *at = entries;
    if (len) page_add(page, 0, "%s:\n", title);
    for (size_t i = 0; i < len; i++)
        page_add(page, 1, "%s:\t%s\n", or_empty(at[i]->key),
                 at[i]->value ? or_empty(at[i]->value->string) : "0");
}

static void add_system(page_t *page, const Core__NodeSystemInfo *info) {
    static const Core__NodeSystemInfo none = {.base.descriptor =
                                                  &core__node_system_info__descriptor};
    if (!info) info = &none;
    page_add(page, 0, "System Info:\n");
    page_add(page, 1, "Machine ID:\t%s\n", or_empty(info->machineid));
    page_add(page, 1, "System UUID:\t%s\n", or_empty(info->systemuuid));
    page_add(page, 1, "Boot ID:\t%s\n", or_empty(info->bootid));
    page_add(page, 1, "Kernel Version:\t%s\n", or_empty(info->kernelversion));
    page_add(page, 1, "OS Image:\t%s\n", or_empty(info->osimage));
    page_add(page, 1, "Operating System:\t%s\n", or_empty(info->operatingsystem));
    page_add(page, 1, "Architecture:\t%s\n", or_empty(info->architecture));
    page_add(page, 1, "Container Runtime Version:\t%s\n", or_empty(info->containerruntimeversion));
    page_add(page, 1, "Kubelet Version:\t%s\n", or_empty(info->kubeletversion));
    page_add(page, 1, "Kube-Proxy Version:\t%s\n", or_empty(info->kubeproxyversion));
}

// ---- what the node's pods ask for ---------------------------------------------------------------
typedef struct {
    __int128 requests, limits;
} ask_t; // in nano units

static __int128 amount(const void *entries, size_t len, const char *resource) {
    const char *text = quantity_entry_find(entries, len, resource);
    quantity_t q;
    return text && quantity_parse(text, &q) == ERR_OK ? q.nano : 0;
}

static ask_t pod_asks(const Core__Pod *pod, const char *resource) {
    ask_t sum = {0};
    for (size_t i = 0; pod->spec && i < pod->spec->n_containers; i++) {
        const Core__ResourceRequirements *r = pod->spec->containers[i]->resources;
        if (!r) continue;
        sum.requests += amount(r->requests, r->n_requests, resource);
        sum.limits += amount(r->limits, r->n_limits, resource);
    }
    return sum;
}

enum { PERCENT = 100 };
#define NANO_PER_UNIT  ((__int128)1000 * 1000 * 1000)
#define NANO_PER_MILLI ((__int128)1000 * 1000)

// "250m (12%)", "64Mi (3%)": the canonical text, and how much of the node that is.
static const char *share(const page_t *page, __int128 nano, __int128 whole, bool binary) {
    long long percent = whole ? (long long)(nano * PERCENT / whole) : 0;
    const char *text;
    if (binary) {
        long long bytes = (long long)(nano / NANO_PER_UNIT);
        bool kilo = bytes % 1024 == 0 && bytes;
        text = kilo ? arena_printf(page->arena, "%lldKi", bytes / 1024)
                    : arena_printf(page->arena, "%lld", bytes);
    } else {
        text = arena_printf(page->arena, "%lldm", (long long)(nano / NANO_PER_MILLI));
    }
    return arena_printf(page->arena, "%s (%lld%%)", quantity_canonical(page->arena, text), percent);
}

static void add_pods(page_t *page, const Core__NodeStatus *status) {
    static const char *const resources[] = {"cpu", "memory", "ephemeral-storage"};
    const void *room =
        status->n_allocatable ? (const void *)status->allocatable : (const void *)status->capacity;
    size_t room_len = status->n_allocatable ? status->n_allocatable : status->n_capacity;
    __int128 cpu = amount(room, room_len, "cpu"), memory = amount(room, room_len, "memory");
    ask_t sums[LENGTH_OF(resources)] = {0};
    size_t count = 0;
    for (size_t i = 0; i < page->extra->pods_len; i++)
        count += !pod_has_ended(page->extra->pods[i]);
    page_add(page, 0, "Non-terminated Pods:\t(%zu in total)\n", count);
    page_add(page, 1,
             "Namespace\tName\t\tCPU Requests\tCPU Limits\tMemory Requests\tMemory "
             "Limits\tAge\n");
    page_add(page, 1,
             "---------\t----\t\t------------\t----------\t---------------\t"
             "-------------\t---\n");
    for (size_t i = 0; i < page->extra->pods_len; i++) {
        const Core__Pod *pod = page->extra->pods[i];
        if (pod_has_ended(pod)) continue;
        const Meta__ObjectMeta *meta = object_meta_read(&pod->base);
        ask_t c = pod_asks(pod, "cpu"), m = pod_asks(pod, "memory");
        page_add(page, 1, "%s\t%s\t\t%s\t%s\t%s\t%s\t%s\n", or_empty(meta->namespace_),
                 or_empty(meta->name), share(page, c.requests, cpu, false),
                 share(page, c.limits, cpu, false), share(page, m.requests, memory, true),
                 share(page, m.limits, memory, true),
                 page_since(page, time_wall_ms(meta->creationtimestamp)));
        for (size_t r = 0; r < LENGTH_OF(resources); r++) {
            ask_t one = pod_asks(pod, resources[r]);
            sums[r].requests += one.requests;
            sums[r].limits += one.limits;
        }
    }
    page_add(page, 0,
             "Allocated resources:\n  (Total limits may be over 100 percent, i.e., "
             "overcommitted.)\n");
    page_add(page, 1, "Resource\tRequests\tLimits\n");
    page_add(page, 1, "--------\t--------\t------\n");
    for (size_t r = 0; r < LENGTH_OF(resources); r++) {
        __int128 whole = amount(room, room_len, resources[r]);
        page_add(page, 1, "%s\t%s\t%s\n", resources[r], share(page, sums[r].requests, whole, r > 0),
                 share(page, sums[r].limits, whole, r > 0));
    }
}

void describe_node(page_t *page, const ProtobufCMessage *obj) {
    static const Core__NodeStatus no_status = {.base.descriptor = &core__node_status__descriptor};
    const Core__Node *node = (const Core__Node *)obj;
    const Core__NodeStatus *status = node->status ? node->status : &no_status;
    const Meta__ObjectMeta *meta = object_meta_read(obj);
    page_add(page, 0, "Name:\t%s\n", or_empty(meta->name));
    page_add(page, 0, "Roles:\t%s\n", node_roles_text(page->arena, node));
    page_labels(page, "Labels", meta->labels, meta->n_labels);
    page_annotations(page, "Annotations", meta);
    page_add(page, 0, "CreationTimestamp:\t%s\n",
             page_time(page, time_wall_ms(meta->creationtimestamp)));
    add_taints(page, node->spec);
    page_add(page, 0, "Unschedulable:\t%s\n",
             node->spec && node->spec->unschedulable ? "true" : "false");
    add_conditions(page, status);
    page_add(page, 0, "Addresses:\n");
    for (size_t i = 0; i < status->n_addresses; i++)
        page_add(page, 1, "%s:\t%s\n", or_empty(status->addresses[i]->type),
                 or_empty(status->addresses[i]->address));
    add_amounts(page, "Capacity", status->capacity, status->n_capacity);
    add_amounts(page, "Allocatable", status->allocatable, status->n_allocatable);
    add_system(page, status->nodeinfo);
    const Core__NodeSpec *spec = node->spec;
    if (spec && !is_empty(spec->podcidr)) page_add(page, 0, "PodCIDR:\t%s\n", spec->podcidr);
    if (spec && spec->n_podcidrs)
        page_add(page, 0, "PodCIDRs:\t%s\n",
                 page_joined(page, spec->podcidrs, spec->n_podcidrs, ","));
    if (spec && !is_empty(spec->providerid))
        page_add(page, 0, "ProviderID:\t%s\n", spec->providerid);
    if (page->extra->pods) add_pods(page, status);
    page_events(page);
}

// ---- Namespace ----------------------------------------------------------------------------------
void describe_namespace(page_t *page, const ProtobufCMessage *obj) {
    const Core__Namespace *namespace = (const Core__Namespace *)obj;
    add_meta(page, obj);
    page_add(page, 0, "Status:\t%s\n", namespace->status ? or_empty(namespace->status->phase) : "");
    page_add(page, 0, "\nNo resource quota.\n\nNo LimitRange resource.\n");
}

// ---- ConfigMap, Secret, ServiceAccount ----------------------------------------------------------
void describe_configmap(page_t *page, const ProtobufCMessage *obj) {
    const Core__ConfigMap *map = (const Core__ConfigMap *)obj;
    add_meta(page, obj);
    page_add(page, 0, "\nData\n====\n");
    for (size_t i = 0; i < map->n_data; i++)
        page_add(page, 0, "%s:\n----\n%s\n\n", or_empty(map->data[i]->key),
                 or_empty(map->data[i]->value));
    page_add(page, 0, "\nBinaryData\n====\n");
    for (size_t i = 0; i < map->n_binarydata; i++)
        page_add(page, 0, "%s: %zu bytes\n", or_empty(map->binarydata[i]->key),
                 map->binarydata[i]->value.len);
    page_add(page, 0, "\n");
    page_events(page);
}

void describe_secret(page_t *page, const ProtobufCMessage *obj) {
    const Core__Secret *secret = (const Core__Secret *)obj;
    add_meta(page, obj);
    page_add(page, 0, "\nType:\t%s\n", or_empty(secret->type));
    page_add(page, 0, "\nData\n====\n");
    // A secret's values are counted, never shown.
    for (size_t i = 0; i < secret->n_data; i++)
        page_add(page, 0, "%s:\t%zu bytes\n", or_empty(secret->data[i]->key),
                 secret->data[i]->value.len);
}

void describe_serviceaccount(page_t *page, const ProtobufCMessage *obj) {
    const Core__ServiceAccount *account = (const Core__ServiceAccount *)obj;
    add_meta(page, obj);
    for (size_t i = 0; i < account->n_imagepullsecrets; i++)
        page_add(page, 0, "%s\t%s\n",
                 i ? "" : "Image pull secrets:", or_empty(account->imagepullsecrets[i]->name));
    if (!account->n_imagepullsecrets) page_add(page, 0, "Image pull secrets:\t<none>\n");
    for (size_t i = 0; i < account->n_secrets; i++)
        page_add(page, 0, "%s\t%s\n",
                 i ? "" : "Mountable secrets:", or_empty(account->secrets[i]->name));
    if (!account->n_secrets) page_add(page, 0, "Mountable secrets:\t<none>\n");
    page_add(page, 0, "Tokens:\t<none>\n");
    page_events(page);
}
