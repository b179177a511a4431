#include "runtime/api/pod.h"
#include "runtime/api/kinds/fill.h"
#include "runtime/api/quantity.h"

#define ANNOTATION_MIRROR "kubernetes.io/config.mirror"

// ---- quality of service -------------------------------------------------------------------------
// Sums of one resource over all containers; an amount of zero counts as none.
typedef struct {
    bool any_request, any_limit;
    bool all_limited; // every container limits it
    __int128 requests, limits;
} qos_sum_t;

static __int128 amount_of(const void *entries, size_t len, const char *resource) {
    const char *text = quantity_entry_find(entries, len, resource);
    quantity_t q;
    return text && quantity_parse(text, &q) == ERR_OK ? q.nano : 0;
}

static void qos_add(qos_sum_t *sum, const Core__Container *c, const char *resource) {
    const Core__ResourceRequirements *r = c->resources;
    __int128 request = r ? amount_of(r->requests, r->n_requests, resource) : 0;
    __int128 limit = r ? amount_of(r->limits, r->n_limits, resource) : 0;
    sum->any_request |= request > 0;
    sum->any_limit |= limit > 0;
    sum->all_limited &= limit > 0;
    sum->requests += request;
    sum->limits += limit;
}

const char *pod_qos_class(const Core__PodSpec *spec) {
    static const char *const resources[] = {"cpu", "memory"};
    bool guaranteed = true, any = false;
    for (size_t r = 0; r < LENGTH_OF(resources); r++) {
        qos_sum_t sum = {.all_limited = true};
        for (size_t i = 0; i < spec->n_containers; i++)
            qos_add(&sum, spec->containers[i], resources[r]);
        for (size_t i = 0; i < spec->n_initcontainers; i++)
            qos_add(&sum, spec->initcontainers[i], resources[r]);
        any |= sum.any_request || sum.any_limit;
        guaranteed &= sum.all_limited && sum.any_limit && sum.requests == sum.limits;
    }
    if (!any) return "BestEffort";
    return guaranteed ? "Guaranteed" : "Burstable";
}

// ---- state --------------------------------------------------------------------------------------
const Core__PodCondition *pod_condition(const Core__Pod *pod, const char *type) {
    for (size_t i = 0; pod->status && i < pod->status->n_conditions; i++)
        if (streq(or_empty(pod->status->conditions[i]->type), type))
            return pod->status->conditions[i];
    return NULL;
}

bool pod_has_ended(const Core__Pod *pod) {
    const char *phase = pod->status ? or_empty(pod->status->phase) : "";
    return streq(phase, "Succeeded") || streq(phase, "Failed");
}

bool pod_is_mirror(const ProtobufCMessage *obj) {
    return object_annotation(obj, ANNOTATION_MIRROR) != NULL;
}

bool container_is_sidecar(const Core__Container *init_container) {
    return streq(or_empty(init_container->restartpolicy), "Always");
}
