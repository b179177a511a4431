// controllers - the table of controllers, and what several of them need.
#include "actors/controllers/rows.h"

const controller_def_t *const controller_rows[] = {
    &nodeipam_controller,   // node ranges
    &nodelife_controller,   // silent nodes, taints, evictions
    &namespace_controller,  // default accounts, emptying
    &deployment_controller, // rollouts
    &replicaset_controller, // numbers of pods
    &endpoints_controller,  // who serves a service
    &gc_controller,         // what owners left behind
    &podgc_controller,      // pods nobody else removes
    NULL,
};

const Meta__OwnerReference *owner_that_controls(const Meta__ObjectMeta *meta) {
    for (size_t i = 0; i < meta->n_ownerreferences; i++)
        if (meta->ownerreferences[i]->controller) return meta->ownerreferences[i];
    return NULL;
}

bool object_owners_equal(const Meta__ObjectMeta *a, const Meta__ObjectMeta *b) {
    if (a->n_ownerreferences != b->n_ownerreferences) return false;
    for (size_t i = 0; i < a->n_ownerreferences; i++)
        if (!msg_equal(&a->ownerreferences[i]->base, &b->ownerreferences[i]->base)) return false;
    return true;
}

bool object_labels_equal(const Meta__ObjectMeta *a, const Meta__ObjectMeta *b) {
    if (a->n_labels != b->n_labels) return false;
    for (size_t i = 0; i < a->n_labels; i++) {
        const Meta__ObjectMeta__LabelsEntry *x = a->labels[i], *y = b->labels[i];
        if (!streq(or_empty(x->key), or_empty(y->key)) ||
            !streq(or_empty(x->value), or_empty(y->value)))
            return false;
    }
    return true;
}

bool owner_is(const Meta__OwnerReference *ref, const char *group, const char *kind) {
    if (!ref || !streq(or_empty(ref->kind), kind)) return false;
    const char *version = or_empty(ref->apiversion), *slash = strchr(version, '/');
    size_t len = slash ? (size_t)(slash - version) : 0;
    return strlen(group) == len && strncmp(version, group, len) == 0;
}

bool pod_is_ready(const Core__Pod *pod) {
    const Core__PodCondition *ready = pod_condition(pod, "Ready");
    return ready && streq(or_empty(ready->status), "True");
}

int64_t pod_ready_since_ms(const Core__Pod *pod) {
    return pod_is_ready(pod) ? time_wall_ms(pod_condition(pod, "Ready")->lasttransitiontime) : 0;
}
