#include "runtime/api/pod.h"
#include "runtime/api/describe/page.h"

static void add_conditions(page_t *page, const Core__Pod *pod) {
    const Core__PodSpec *spec = pod->spec;
    if (spec->n_readinessgates) page_add(page, 0, "Readiness Gates:\n  Type\tStatus\n");
    for (size_t i = 0; i < spec->n_readinessgates; i++) {
        const char *type = or_empty(spec->readinessgates[i]->conditiontype);
        const Core__PodCondition *c = pod_condition(pod, type);
        page_add(page, 1, "%s \t%s \n", type, c ? or_empty(c->status) : "<none>");
    }
    if (!pod->status->n_conditions) return;
    page_add(page, 0, "Conditions:\n  Type\tStatus\n");
    for (size_t i = 0; i < pod->status->n_conditions; i++)
        page_add(page, 1, "%s \t%s \n", or_empty(pod->status->conditions[i]->type),
                 or_empty(pod->status->conditions[i]->status));
}

static void add_place(page_t *page, const Core__Pod *pod) {
    const Core__PodSpec *spec = pod->spec;
    if (spec->has_priority) page_add(page, 0, "Priority:\t%d\n", spec->priority);
    if (!is_empty(spec->priorityclassname))
        page_add(page, 0, "Priority Class Name:\t%s\n", spec->priorityclassname);
    if (!is_empty(spec->runtimeclassname))
        page_add(page, 0, "Runtime Class Name:\t%s\n", spec->runtimeclassname);
    if (!is_empty(spec->serviceaccountname))
        page_add(page, 0, "Service Account:\t%s\n", spec->serviceaccountname);
    if (is_empty(spec->nodename))
        page_add(page, 0, "Node:\t<none>\n");
    else
        page_add(page, 0, "Node:\t%s/%s\n", spec->nodename, or_empty(pod->status->hostip));
    if (pod->status->starttime)
        page_add(page, 0, "Start Time:\t%s\n",
                 page_time(page, time_wall_ms(pod->status->starttime)));
}

static void add_state(page_t *page, const Core__Pod *pod) {
    const Meta__ObjectMeta *meta = object_meta_read(&pod->base);
    const Core__PodStatus *status = pod->status;
    if (meta->deletiontimestamp && !pod_has_ended(pod)) {
        page_add(page, 0, "Status:\tTerminating (lasts %s)\n",
                 page_since(page, time_wall_ms(meta->deletiontimestamp)));
        page_add(page, 0, "Termination Grace Period:\t%llds\n",
                 (long long)meta->deletiongraceperiodseconds);
    } else {
        page_add(page, 0, "Status:\t%s\n", or_empty(status->phase));
    }
    if (!is_empty(status->reason)) page_add(page, 0, "Reason:\t%s\n", status->reason);
    if (!is_empty(status->message)) page_add(page, 0, "Message:\t%s\n", status->message);
    page_add(page, 0, "IP:\t%s\n", or_empty(status->podip));
    page_add(page, 0, "IPs:%s\n", status->n_podips ? "" : "\t<none>");
    for (size_t i = 0; i < status->n_podips; i++)
        page_add(page, 1, "IP:\t%s\n", or_empty(status->podips[i]->ip));
    const Meta__OwnerReference *owner = object_controller(&pod->base);
    if (owner)
        page_add(page, 0, "Controlled By:\t%s/%s\n", or_empty(owner->kind), or_empty(owner->name));
    if (!is_empty(status->nominatednodename))
        page_add(page, 0, "NominatedNodeName:\t%s\n", status->nominatednodename);
}

void describe_pod(page_t *page, const ProtobufCMessage *obj) {
    static const Core__PodSpec no_spec = {.base.descriptor = &core__pod_spec__descriptor};
    static const Core__PodStatus no_status = {.base.descriptor = &core__pod_status__descriptor};
    Core__Pod whole = *(const Core__Pod *)obj;
    if (!whole.spec) whole.spec = (Core__PodSpec *)&no_spec;
    if (!whole.status) whole.status = (Core__PodStatus *)&no_status;
    const Core__Pod *pod = &whole;
    const Meta__ObjectMeta *meta = object_meta_read(obj);
    const Core__PodSpec *spec = pod->spec;
    const Core__PodStatus *status = pod->status;
    page_head(page, obj);
    add_place(page, pod);
    page_labels(page, "Labels", meta->labels, meta->n_labels);
    page_annotations(page, "Annotations", meta);
    add_state(page, pod);
    if (spec->n_initcontainers)
        page_containers(page, "Init Containers", spec->initcontainers, spec->n_initcontainers,
                        status->initcontainerstatuses, status->n_initcontainerstatuses, pod, "");
    page_containers(page, "Containers", spec->containers, spec->n_containers,
                    status->containerstatuses, status->n_containerstatuses, pod, "");
    add_conditions(page, pod);
    page_volumes(page, spec->volumes, spec->n_volumes, "");
    page_add(page, 0, "QoS Class:\t%s\n",
             is_empty(status->qosclass) ? pod_qos_class(spec) : status->qosclass);
    page_labels(page, "Node-Selectors", spec->nodeselector, spec->n_nodeselector);
    page_tolerations(page, "Tolerations", spec->tolerations, spec->n_tolerations);
    page_events(page);
}
