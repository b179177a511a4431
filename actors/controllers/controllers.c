// controllers - the table of controllers, and what several of them need.
#include "actors/controllers/rows.h"

const controller_def_t *const controller_rows[] = {
    &nodeipam_controller,
    NULL,
};

const Meta__OwnerReference *owner_that_controls(const Meta__ObjectMeta *meta) {
    for (size_t i = 0; i < meta->n_ownerreferences; i++)
        if (meta->ownerreferences[i]->controller) return meta->ownerreferences[i];
    return NULL;
}

bool owner_is(const Meta__OwnerReference *ref, const char *group, const char *kind) {
    if (!ref || !streq(or_empty(ref->kind), kind)) return false;
    const char *version = or_empty(ref->apiversion), *slash = strchr(version, '/');
    size_t len = slash ? (size_t)(slash - version) : 0;
    return strlen(group) == len && strncmp(version, group, len) == 0;
}

static const Core__PodCondition *condition_of(const Core__Pod *pod, const char *type) {
    for (size_t i = 0; pod->status && i < pod->status->n_conditions; i++)
        if (streq(or_empty(pod->status->conditions[i]->type), type))
            return pod->status->conditions[i];
    return NULL;
}

bool pod_is_ready(const Core__Pod *pod) {
    const Core__PodCondition *ready = condition_of(pod, "Ready");
    return ready && streq(or_empty(ready->status), "True");
}

int64_t pod_ready_since_ms(const Core__Pod *pod) {
    const Core__PodCondition *ready = condition_of(pod, "Ready");
    if (!ready || !streq(or_empty(ready->status), "True")) return 0;
    return time_wall_ms(ready->lasttransitiontime);
}

bool pod_is_finished(const Core__Pod *pod) {
    const char *phase = pod->status ? or_empty(pod->status->phase) : "";
    return streq(phase, "Succeeded") || streq(phase, "Failed");
}
