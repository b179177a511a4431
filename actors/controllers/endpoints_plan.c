#include "actors/controllers/endpoints_plan.h"
#include "actors/controllers/controller.h"
#include "actors/controllers/replicaset_plan.h"
#include "runtime/api/msg.h"
#include "runtime/base/canary.h"
#include "runtime/base/hash.h"

#define MANAGED_BY    "endpointslice.kubernetes.io/managed-by"
#define MANAGER       "endpointslice-controller.k8s.io"
#define SERVICE_NAME  "kubernetes.io/service-name"
#define HEADLESS      "service.kubernetes.io/headless"
#define OVER_CAPACITY "endpoints.kubernetes.io/over-capacity"

// A pod that serves, with its ports as they come to in it.
typedef struct {
    const Core__Pod *pod;
    const char *ip;
    const char *ports_key;           // equal for pods whose ports come to the same
    const Core__ServicePort **ports; // those that the pod has
    int32_t *numbers;
    size_t ports_len;
    bool is_ready, is_leaving, is_published; // published: ready as far as the service cares
    bool is_placed;                          // in a slice of the plan
} backend_t;

typedef struct {
    const endpoints_view_t *view;
    arena_t *arena;
    endpoints_plan_t *plan;
    backend_t *backends;
    size_t backends_len;
    uint64_t names; // seed of slice names: the same for the same service
} planning_t;

// ---- who serves --------------------------------------------------------------------------------

bool service_selects(const Core__Service *service, const ProtobufCMessage *pod) {
    const Core__ServiceSpec *spec = service->spec;
    if (!spec || !spec->n_selector || streq(or_empty(spec->type), "ExternalName")) return false;
    for (size_t i = 0; i < spec->n_selector; i++) {
        const char *value = object_label(pod, or_empty(spec->selector[i]->key));
        if (!value || !streq(value, or_empty(spec->selector[i]->value))) return false;
    }
    return true;
}

static int32_t named_port(const Core__Pod *pod, const char *name, const char *protocol) {
    for (size_t i = 0; i < pod->spec->n_containers; i++)
        for (size_t j = 0; j < pod->spec->containers[i]->n_ports; j++) {
            const Core__ContainerPort *port = pod->spec->containers[i]->ports[j];
            const char *has = is_empty(port->protocol) ? "TCP" : port->protocol;
            if (streq(or_empty(port->name), name) && streq(has, protocol))
                return port->containerport;
        }
    return 0;
}

// The port's number in this pod; 0: it has no such port.
static int32_t target_port(const Core__Pod *pod, const Core__ServicePort *port) {
    const Intstr__IntOrString *target = port->targetport;
    const char *protocol = is_empty(port->protocol) ? "TCP" : port->protocol;
    if (target && target->type) return named_port(pod, or_empty(target->strval), protocol);
    return target && target->intval ? target->intval : port->port;
}

static void find_ports(planning_t *p, backend_t *b) {
    const Core__ServiceSpec *spec = p->view->service->spec;
    text_t key = {.arena = p->arena};
    b->ports = ARENA_ARRAY(p->arena, const Core__ServicePort *, spec->n_ports + 1);
    b->numbers = ARENA_ARRAY(p->arena, int32_t, spec->n_ports + 1);
    for (size_t i = 0; i < spec->n_ports; i++) {
        int32_t number = target_port(b->pod, spec->ports[i]);
        if (!number) continue;
        b->ports[b->ports_len] = spec->ports[i];
        b->numbers[b->ports_len++] = number;
        text_addf(&key, "%zu:%d ", i, number);
    }
    b->ports_key = text_str(&key);
}

static void find_backends(planning_t *p) {
    const Core__Service *service = p->view->service;
    p->backends = ARENA_ARRAY(p->arena, backend_t, p->view->pods_len + 1);
    for (size_t i = 0; i < p->view->pods_len; i++) {
        const Core__Pod *pod = p->view->pods[i];
        const char *ip = pod->status ? or_empty(pod->status->podip) : "";
        if (!*ip || !pod->spec || pod_has_ended(pod) || !service_selects(service, &pod->base))
            continue;
        backend_t *b = &p->backends[p->backends_len++];
        *b = (backend_t){.pod = pod, .ip = ip};
        b->is_ready = pod_is_ready(pod);
        b->is_leaving = object_meta_read(&pod->base)->deletiontimestamp;
        b->is_published = service->spec->publishnotreadyaddresses ||
                          (b->is_ready && !b->is_leaving) ||
                          (CANARY(ENDPOINTS_KEEP_LEAVING) && b->is_leaving);
        find_ports(p, b);
        // A pod without any of the ports serves nobody, unless there are none to have.
        if (service->spec->n_ports && !b->ports_len) p->backends_len--;
    }
}

bool endpoints_pods_alike(const Core__Pod *a, const Core__Pod *b) {
    const Meta__ObjectMeta *ma = object_meta_read(&a->base), *mb = object_meta_read(&b->base);
    const char *ip_a = a->status ? or_empty(a->status->podip) : "",
               *ip_b = b->status ? or_empty(b->status->podip) : "";
    if (!streq(ip_a, ip_b) || pod_is_ready(a) != pod_is_ready(b) ||
        pod_has_ended(a) != pod_has_ended(b))
        return false;
    if (!ma->deletiontimestamp != !mb->deletiontimestamp ||
        !streq(or_empty(ma->uid), or_empty(mb->uid)))
        return false;
    if (!object_labels_equal(ma, mb)) return false;
    return streq(a->spec ? or_empty(a->spec->nodename) : "",
                 b->spec ? or_empty(b->spec->nodename) : "");
}

static Core__ObjectReference *reference_to(arena_t *arena, const Core__Pod *pod) {
    const Meta__ObjectMeta *meta = object_meta_read(&pod->base);
    Core__ObjectReference *ref =
        MSG_NEW(arena, Core__ObjectReference, core__object_reference__descriptor);
    ref->kind = "Pod";
    ref->namespace_ = meta->namespace_;
    ref->name = meta->name;
    ref->uid = meta->uid;
    return ref;
}

// The name under which the pod wants to be found behind a headless service.
static const char *hostname_of(const planning_t *p, const Core__Pod *pod) {
    bool asks =
        !is_empty(pod->spec->hostname) && streq(or_empty(pod->spec->subdomain), p->view->name);
    return asks ? pod->spec->hostname : NULL;
}

static void add_action(planning_t *p, endpoints_verb_t verb, const void *object) {
    p->plan->actions[p->plan->actions_len++] = (endpoints_action_t){verb, object};
}

// ---- Endpoints ---------------------------------------------------------------------------------

static Core__EndpointAddress *address_of(planning_t *p, const backend_t *b) {
    Core__EndpointAddress *a =
        MSG_NEW(p->arena, Core__EndpointAddress, core__endpoint_address__descriptor);
    a->ip = b->ip;
    a->hostname = hostname_of(p, b->pod);
    if (!is_empty(b->pod->spec->nodename)) a->nodename = b->pod->spec->nodename;
    a->targetref = reference_to(p->arena, b->pod);
    return a;
}

static Core__EndpointSubset *subset_of(planning_t *p, const backend_t *b) {
    Core__EndpointSubset *s =
        MSG_NEW(p->arena, Core__EndpointSubset, core__endpoint_subset__descriptor);
    s->ports = ARENA_ARRAY(p->arena, Core__EndpointPort *, b->ports_len + 1);
    for (size_t i = 0; i < b->ports_len; i++) {
        Core__EndpointPort *port =
            MSG_NEW(p->arena, Core__EndpointPort, core__endpoint_port__descriptor);
        port->name = b->ports[i]->name;
        port->has_port = true;
        port->port = b->numbers[i];
        port->protocol = is_empty(b->ports[i]->protocol) ? "TCP" : b->ports[i]->protocol;
        port->appprotocol = b->ports[i]->appprotocol;
        s->ports[s->n_ports++] = port;
    }
    s->addresses = ARENA_ARRAY(p->arena, Core__EndpointAddress *, p->backends_len);
    s->notreadyaddresses = ARENA_ARRAY(p->arena, Core__EndpointAddress *, p->backends_len);
    return s;
}

static int by_ip(const void *a, const void *b) {
    const Core__EndpointAddress *x = *(Core__EndpointAddress *const *)a,
                                *y = *(Core__EndpointAddress *const *)b;
    return strcmp(x->ip, y->ip);
}

// Subsets, one per way the ports come to; true: there were more than an object may hold.
static bool fill_subsets(planning_t *p, Core__Endpoints *e) {
    e->subsets = ARENA_ARRAY(p->arena, Core__EndpointSubset *, p->backends_len + 1);
    const char **keys = ARENA_ARRAY(p->arena, const char *, p->backends_len + 1);
    size_t addresses = 0;
    for (size_t i = 0; i < p->backends_len; i++) {
        const backend_t *b = &p->backends[i];
        if (b->is_leaving && !b->is_published) continue;
        if (addresses++ == ENDPOINTS_ADDRESSES_MAX) return true;
        size_t at = 0;
        while (at < e->n_subsets && !streq(keys[at], b->ports_key)) at++;
        if (at == e->n_subsets) {
            keys[at] = b->ports_key;
            e->subsets[e->n_subsets++] = subset_of(p, b);
        }
        Core__EndpointSubset *s = e->subsets[at];
        if (b->is_published)
            s->addresses[s->n_addresses++] = address_of(p, b);
        else
            s->notreadyaddresses[s->n_notreadyaddresses++] = address_of(p, b);
    }
    for (size_t i = 0; i < e->n_subsets; i++) {
        Core__EndpointSubset *s = e->subsets[i];
        qsort(s->addresses, s->n_addresses, sizeof *s->addresses, by_ip);
        qsort(s->notreadyaddresses, s->n_notreadyaddresses, sizeof *s->notreadyaddresses, by_ip);
    }
    return false;
}

static bool is_headless(const Core__Service *service) {
    return streq(or_empty(service->spec->clusterip), "None");
}

// Labels of the service go along; those that this controller sets stand above them.
static void label_object(planning_t *p, ProtobufCMessage *obj) {
    const Meta__ObjectMeta *meta = object_meta_read(&p->view->service->base);
    for (size_t i = 0; i < meta->n_labels; i++)
        object_set_label(p->arena, obj, meta->labels[i]->key, or_empty(meta->labels[i]->value));
    object_set_label(p->arena, obj, HEADLESS, is_headless(p->view->service) ? "" : NULL);
}

static Core__Endpoints *wanted_endpoints(planning_t *p) {
    const Meta__ObjectMeta *was = p->view->endpoints ? p->view->endpoints->metadata : NULL;
    Core__Endpoints *e = MSG_NEW(p->arena, Core__Endpoints, core__endpoints__descriptor);
    e->metadata = was ? msg_dup(p->arena, &was->base)
                      : MSG_NEW(p->arena, Meta__ObjectMeta, meta__object_meta__descriptor);
    e->metadata->namespace_ = p->view->namespace_;
    e->metadata->name = p->view->name;
    e->metadata->n_labels = 0;
    label_object(p, &e->base);
    object_set_label(p->arena, &e->base, "endpoints.kubernetes.io/managed-by",
                     "endpoint-controller");
    bool cut = fill_subsets(p, e);
    object_set_annotation(p->arena, &e->base, OVER_CAPACITY, cut ? "truncated" : NULL);
    return e;
}

static void plan_endpoints(planning_t *p) {
    const Core__Endpoints *was = p->view->endpoints;
    Core__Endpoints *wanted = wanted_endpoints(p);
    if (!was)
        add_action(p, ENDPOINTS_CREATE, wanted);
    else if (!msg_equal(&was->base, &wanted->base))
        add_action(p, ENDPOINTS_UPDATE, wanted);
}

// ---- EndpointSlices ----------------------------------------------------------------------------

static Discovery__Endpoint *endpoint_of(planning_t *p, const backend_t *b) {
    Discovery__Endpoint *e =
        MSG_NEW(p->arena, Discovery__Endpoint, discovery__endpoint__descriptor);
    e->addresses = ARENA_NEW(p->arena, const char *);
    e->addresses[0] = b->ip;
    e->n_addresses = 1;
    Discovery__EndpointConditions *c = MSG_NEW(p->arena, Discovery__EndpointConditions,
                                               discovery__endpoint_conditions__descriptor);
    c->has_ready = c->has_serving = c->has_terminating = true;
    c->ready = b->is_published;
    c->serving = b->is_ready;
    c->terminating = b->is_leaving;
    e->conditions = c;
    e->hostname = hostname_of(p, b->pod);
    e->targetref = reference_to(p->arena, b->pod);
    if (!is_empty(b->pod->spec->nodename)) e->nodename = b->pod->spec->nodename;
    return e;
}

static Discovery__EndpointPort **slice_ports(planning_t *p, const backend_t *b, size_t *ret_len) {
    Discovery__EndpointPort **ports =
        ARENA_ARRAY(p->arena, Discovery__EndpointPort *, b->ports_len + 1);
    for (size_t i = 0; i < b->ports_len; i++) {
        ports[i] = MSG_NEW(p->arena, Discovery__EndpointPort, discovery__endpoint_port__descriptor);
        ports[i]->name = or_empty(b->ports[i]->name);
        ports[i]->protocol = is_empty(b->ports[i]->protocol) ? "TCP" : b->ports[i]->protocol;
        ports[i]->has_port = true;
        ports[i]->port = b->numbers[i];
        ports[i]->appprotocol = b->ports[i]->appprotocol;
    }
    *ret_len = b->ports_len;
    return ports;
}

static bool has_ports(const Discovery__EndpointSlice *slice, Discovery__EndpointPort *const *ports,
                      size_t len) {
    if (slice->n_ports != len) return false;
    for (size_t i = 0; i < len; i++)
        if (!msg_equal(&slice->ports[i]->base, &ports[i]->base)) return false;
    return true;
}

static bool name_is_free(const planning_t *p, const char *name) {
    for (size_t i = 0; i < p->view->slices_len; i++)
        if (streq(p->view->slices[i]->metadata->name, name)) return false;
    return true;
}

// Names come from the service's uid: a retry of a creation whose answer was lost takes the same.
static const char *slice_name(planning_t *p) {
    for (;;) {
        const char *name = generated_name(p->arena, p->view->name, &p->names);
        if (name_is_free(p, name)) return name;
    }
}

static Meta__OwnerReference **service_owner(planning_t *p) {
    Meta__OwnerReference *ref =
        MSG_NEW(p->arena, Meta__OwnerReference, meta__owner_reference__descriptor);
    ref->apiversion = "v1";
    ref->kind = "Service";
    ref->name = p->view->name;
    ref->uid = object_meta_read(&p->view->service->base)->uid;
    ref->has_controller = ref->controller = true;
    ref->has_blockownerdeletion = ref->blockownerdeletion = true;
    Meta__OwnerReference **list = ARENA_NEW(p->arena, Meta__OwnerReference *);
    list[0] = ref;
    return list;
}

// A slice that is to hold endpoints with these ports; `was` NULL: a new one.
static Discovery__EndpointSlice *slice_like(planning_t *p, const Discovery__EndpointSlice *was,
                                            Discovery__EndpointPort **ports, size_t ports_len) {
    Discovery__EndpointSlice *s =
        MSG_NEW(p->arena, Discovery__EndpointSlice, discovery__endpoint_slice__descriptor);
    s->metadata = was ? msg_dup(p->arena, &was->metadata->base)
                      : MSG_NEW(p->arena, Meta__ObjectMeta, meta__object_meta__descriptor);
    s->metadata->namespace_ = p->view->namespace_;
    if (!was) {
        s->metadata->name = slice_name(p);
        s->metadata->generatename = arena_printf(p->arena, "%s-", p->view->name);
    }
    s->metadata->n_labels = 0;
    label_object(p, &s->base);
    object_set_label(p->arena, &s->base, SERVICE_NAME, p->view->name);
    object_set_label(p->arena, &s->base, MANAGED_BY, MANAGER);
    s->metadata->ownerreferences = service_owner(p);
    s->metadata->n_ownerreferences = 1;
    s->addresstype = "IPv4";
    s->ports = ports;
    s->n_ports = ports_len;
    s->endpoints = ARENA_ARRAY(p->arena, Discovery__Endpoint *, SLICE_ENDPOINTS_MAX);
    return s;
}

static backend_t *backend_in(planning_t *p, const Discovery__Endpoint *e, const char *ports_key) {
    const char *uid = e->targetref ? or_empty(e->targetref->uid) : "";
    for (size_t i = 0; i < p->backends_len; i++) {
        backend_t *b = &p->backends[i];
        if (!b->is_placed && streq(b->ports_key, ports_key) &&
            streq(or_empty(object_meta_read(&b->pod->base)->uid), uid))
            return b;
    }
    return NULL;
}

static void put(planning_t *p, Discovery__EndpointSlice *slice, backend_t *b) {
    assert(slice->n_endpoints < SLICE_ENDPOINTS_MAX && !b->is_placed);
    b->is_placed = true;
    slice->endpoints[slice->n_endpoints++] = endpoint_of(p, b);
}

typedef struct {
    const Discovery__EndpointSlice *was;
    Discovery__EndpointSlice *wanted; // NULL: it goes
    bool is_used;                     // belongs to a group of the plan
} slice_plan_t;

// All backends whose ports come to the same: those that are in a slice stay there, the others fill
// the room that is left, then new slices.
static void plan_group(planning_t *p, slice_plan_t *slices, size_t *len, const backend_t *like) {
    size_t ports_len;
    Discovery__EndpointPort **ports = slice_ports(p, like, &ports_len);
    for (size_t i = 0; i < p->view->slices_len; i++) {
        slice_plan_t *sp = &slices[i];
        if (sp->is_used || !streq(or_empty(sp->was->addresstype), "IPv4") ||
            !has_ports(sp->was, ports, ports_len))
            continue;
        sp->is_used = true;
        sp->wanted = slice_like(p, sp->was, ports, ports_len);
        for (size_t j = 0;
             j < sp->was->n_endpoints && sp->wanted->n_endpoints < SLICE_ENDPOINTS_MAX; j++) {
            backend_t *b = backend_in(p, sp->was->endpoints[j], like->ports_key);
            if (b) put(p, sp->wanted, b);
        }
    }
    size_t at = 0;
    for (size_t i = 0; i < p->backends_len; i++) {
        backend_t *b = &p->backends[i];
        if (b->is_placed || !streq(b->ports_key, like->ports_key)) continue;
        while (at < *len &&
               (!slices[at].wanted || !has_ports(slices[at].wanted, ports, ports_len) ||
                slices[at].wanted->n_endpoints == SLICE_ENDPOINTS_MAX))
            at++;
        if (at == *len)
            slices[(*len)++] = (slice_plan_t){NULL, slice_like(p, NULL, ports, ports_len), true};
        put(p, slices[at].wanted, b);
    }
}

static void plan_slices(planning_t *p) {
    const endpoints_view_t *v = p->view;
    slice_plan_t *slices = ARENA_ARRAY(p->arena, slice_plan_t, v->slices_len + p->backends_len + 1);
    size_t len = v->slices_len;
    for (size_t i = 0; i < len; i++) slices[i].was = v->slices[i];
    for (size_t i = 0; i < p->backends_len; i++)
        if (!p->backends[i].is_placed) plan_group(p, slices, &len, &p->backends[i]);
    if (!p->backends_len) { // one empty slice stays, so that a service always has one
        if (len)
            slices[0].wanted = slice_like(p, slices[0].was, NULL, 0);
        else
            slices[len++] = (slice_plan_t){NULL, slice_like(p, NULL, NULL, 0), true};
    }
    for (size_t i = 0; i < len; i++) {
        const slice_plan_t *sp = &slices[i];
        bool is_empty_one = sp->wanted && !sp->wanted->n_endpoints && p->backends_len;
        if (!sp->was)
            add_action(p, ENDPOINTS_CREATE, sp->wanted);
        else if (!sp->wanted || is_empty_one)
            add_action(p, ENDPOINTS_DELETE, sp->was);
        else if (!msg_equal(&sp->was->base, &sp->wanted->base))
            add_action(p, ENDPOINTS_UPDATE, sp->wanted);
    }
}

// ---- the whole ---------------------------------------------------------------------------------

static void remove_all(planning_t *p) {
    if (p->view->endpoints) add_action(p, ENDPOINTS_DELETE, p->view->endpoints);
    for (size_t i = 0; i < p->view->slices_len; i++)
        add_action(p, ENDPOINTS_DELETE, p->view->slices[i]);
}

void endpoints_plan(const endpoints_view_t *view, arena_t *arena, endpoints_plan_t *ret_plan) {
    assert(view->name && view->namespace_);
    *ret_plan = (endpoints_plan_t){0};
    ret_plan->actions =
        ARENA_ARRAY(arena, endpoints_action_t, view->slices_len + view->pods_len + 3);
    planning_t p = {.view = view, .arena = arena, .plan = ret_plan};
    if (!view->service) {
        remove_all(&p);
        return;
    }
    const Meta__ObjectMeta *meta = object_meta_read(&view->service->base);
    const Core__ServiceSpec *spec = view->service->spec;
    // Without a selector its endpoints are somebody else's care.
    if (!spec || !spec->n_selector || streq(or_empty(spec->type), "ExternalName") ||
        meta->deletiontimestamp)
        return;
    p.names = hash_fnv64a(or_empty(meta->uid), strlen(or_empty(meta->uid)));
    find_backends(&p);
    plan_endpoints(&p);
    plan_slices(&p);
}

static void print_subsets(const Core__Endpoints *e, text_t *out) {
    for (size_t i = 0; i < e->n_subsets; i++) {
        const Core__EndpointSubset *s = e->subsets[i];
        for (size_t j = 0; j < s->n_addresses; j++) text_addf(out, " %s", s->addresses[j]->ip);
        for (size_t j = 0; j < s->n_notreadyaddresses; j++)
            text_addf(out, " (%s)", s->notreadyaddresses[j]->ip);
        for (size_t j = 0; j < s->n_ports; j++) text_addf(out, " :%d", s->ports[j]->port);
    }
}

static void print_slice(const Discovery__EndpointSlice *s, text_t *out) {
    for (size_t i = 0; i < s->n_endpoints; i++) {
        const Discovery__EndpointConditions *c = s->endpoints[i]->conditions;
        text_addf(out, " %s%s%s%s", s->endpoints[i]->addresses[0], c->ready ? "+ready" : "",
                  c->serving ? "+serving" : "", c->terminating ? "+terminating" : "");
    }
    for (size_t i = 0; i < s->n_ports; i++) text_addf(out, " :%d", s->ports[i]->port);
}

void endpoints_plan_print(const endpoints_plan_t *plan, text_t *out) {
    static const char *const verbs[] = {"create", "update", "delete"};
    if (!plan->actions_len) text_add(out, "nothing to do\n");
    for (size_t i = 0; i < plan->actions_len; i++) {
        const endpoints_action_t *a = &plan->actions[i];
        bool is_slice = a->object->descriptor == &discovery__endpoint_slice__descriptor;
        text_addf(out, "%s %s", verbs[a->verb], is_slice ? "slice" : "endpoints");
        if (a->verb != ENDPOINTS_DELETE && is_slice)
            print_slice((const Discovery__EndpointSlice *)a->object, out);
        else if (a->verb != ENDPOINTS_DELETE)
            print_subsets((const Core__Endpoints *)a->object, out);
        text_add(out, "\n");
    }
}
