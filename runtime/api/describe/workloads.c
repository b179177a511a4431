// workloads - Deployment and ReplicaSet, in every version: their fields are found by name.
#include "k8s/apps_v1.pb-c.h"
#include "runtime/api/describe/page.h"
#include "runtime/api/kinds/fill.h"
#include "runtime/api/selector.h"

#define ANNOTATION_REVISION "deployment.kubernetes.io/revision"

static int number(const void *msg, const char *name) { return msg ? (int)field_int(msg, name) : 0; }

static void add_conditions(page_t *page, const void *obj) {
    // Deployment and ReplicaSet conditions differ in type only; both are told by three fields.
    const ProtobufCMessage *status = field_message(obj, "status");
    if (!status) return;
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(status->descriptor, "conditions");
    size_t len = *(const size_t *)((const char *)status + field->quantifier_offset);
    ProtobufCMessage *const *at =
        *(ProtobufCMessage *const *const *)((const char *)status + field->offset);
    if (!len) return;
    page_add(page, 0, "Conditions:\n  Type\tStatus\tReason\n");
    page_add(page, 1, "----\t------\t------\n");
    for (size_t i = 0; i < len; i++)
        page_add(page, 1, "%s \t%s\t%s\n", field_str(at[i], "type"), field_str(at[i], "status"),
                 field_str(at[i], "reason"));
}

static const char *set_text(const page_t *page, const ProtobufCMessage *set) {
    return arena_printf(page->arena, "%s (%d/%d replicas created)",
                        or_empty(object_meta_read(set)->name),
                        number(field_message(set, "status"), "replicas"),
                        number(field_message(set, "spec"), "replicas"));
}

static long long revision_of(const ProtobufCMessage *obj) {
    return strtoll(or_empty(object_annotation(obj, ANNOTATION_REVISION)), NULL, 10);
}

// The new set is the one of the deployment's revision; all others are old.
static void add_sets(page_t *page, const ProtobufCMessage *obj) {
    const describe_extra_t *extra = page->extra;
    text_t old = {.arena = page->arena};
    const char *newest = "";
    if (!extra->replica_sets_len) return;
    for (size_t i = 0; i < extra->replica_sets_len; i++) {
        const ProtobufCMessage *set = extra->replica_sets[i];
        if (revision_of(set) == revision_of(obj))
            newest = set_text(page, set);
        else
            text_addf(&old, "%s%s", old.len ? ", " : "", set_text(page, set));
    }
    page_add(page, 0, "OldReplicaSets:\t%s\n", or_none(text_str(&old)));
    page_add(page, 0, "NewReplicaSet:\t%s\n", or_none(newest));
}

void describe_deployment(page_t *page, const ProtobufCMessage *obj) {
    const Meta__ObjectMeta *meta = object_meta_read(obj);
    const void *spec = field_message(obj, "spec"), *status = field_message(obj, "status");
    const void *strategy = spec ? field_message(spec, "strategy") : NULL;
    const void *rolling = strategy ? field_message(strategy, "rollingUpdate") : NULL;
    page_head(page, obj);
    page_add(page, 0, "CreationTimestamp:\t%s\n",
             page_time(page, time_wall_ms(meta->creationtimestamp)));
    page_labels(page, "Labels", meta->labels, meta->n_labels);
    page_annotations(page, "Annotations", meta);
    page_add(page, 0, "Selector:\t%s\n",
             selector_text(page->arena, spec ? field_message(spec, "selector") : NULL));
    page_add(page, 0,
             "Replicas:\t%d desired | %d updated | %d total | %d available | %d unavailable\n",
             number(spec, "replicas"), number(status, "updatedReplicas"),
             number(status, "replicas"), number(status, "availableReplicas"),
             number(status, "unavailableReplicas"));
    page_add(page, 0, "StrategyType:\t%s\n", strategy ? field_str(strategy, "type") : "");
    page_add(page, 0, "MinReadySeconds:\t%d\n", number(spec, "minReadySeconds"));
    if (rolling)
        page_add(page, 0, "RollingUpdateStrategy:\t%s max unavailable, %s max surge\n",
                 intstr_text(page->arena, field_message(rolling, "maxUnavailable")),
                 intstr_text(page->arena, field_message(rolling, "maxSurge")));
    page_template(page, spec ? field_message(spec, "template") : NULL);
    add_conditions(page, obj);
    add_sets(page, obj);
    page_events(page);
}

// ---- ReplicaSet ---------------------------------------------------------------------------------
static void add_pods(page_t *page, const ProtobufCMessage *obj) {
    static const char *const phases[] = {"Running", "Pending", "Succeeded", "Failed"};
    int counts[LENGTH_OF(phases)] = {0};
    const char *uid = or_empty(object_meta_read(obj)->uid);
    for (size_t i = 0; i < page->extra->pods_len; i++) {
        const Core__Pod *pod = page->extra->pods[i];
        const Meta__OwnerReference *owner = object_controller(&pod->base);
        if (!owner || !streq(or_empty(owner->uid), uid)) continue;
        for (size_t p = 0; p < LENGTH_OF(phases); p++)
            counts[p] += pod->status && streq(or_empty(pod->status->phase), phases[p]);
    }
    page_add(page, 0, "Pods Status:\t%d Running / %d Waiting / %d Succeeded / %d Failed\n",
             counts[0], counts[1], counts[2], counts[3]);
}

void describe_replicaset(page_t *page, const ProtobufCMessage *obj) {
    const Meta__ObjectMeta *meta = object_meta_read(obj);
    const void *spec = field_message(obj, "spec"), *status = field_message(obj, "status");
    const Meta__OwnerReference *owner = object_controller(obj);
    page_head(page, obj);
    page_add(page, 0, "Selector:\t%s\n",
             selector_text(page->arena, spec ? field_message(spec, "selector") : NULL));
    page_labels(page, "Labels", meta->labels, meta->n_labels);
    page_annotations(page, "Annotations", meta);
    if (owner)
        page_add(page, 0, "Controlled By:\t%s/%s\n", or_empty(owner->kind), or_empty(owner->name));
    page_add(page, 0, "Replicas:\t%d current / %d desired\n", number(status, "replicas"),
             number(spec, "replicas"));
    add_pods(page, obj);
    page_template(page, spec ? field_message(spec, "template") : NULL);
    add_conditions(page, obj);
    page_events(page);
}
