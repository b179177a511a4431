// pod_validate - a pod: created, updated, its status (facts: k8s-validation, Pod).
#include "runtime/api/kinds/podspec.h"
#include "runtime/api/kinds/rows.h"
#include "runtime/api/pod.h"
#include <ctype.h>

#define ANNOTATION_MIRROR        "kubernetes.io/config.mirror"
#define ANNOTATION_DELETION_COST "controller.kubernetes.io/pod-deletion-cost"

// ---- what holds for pods, and not for templates -------------------------------------------------
static void check_pod_annotations(field_errors_t *e, const path_t *path, const Core__Pod *pod) {
    const char *cost = object_annotation(&pod->base, ANNOTATION_DELETION_COST);
    if (pod_is_mirror(&pod->base) && (!pod->spec || is_empty(pod->spec->nodename)))
        tell_invalid(e, PATH_KEY(path, ANNOTATION_MIRROR),
                     object_annotation(&pod->base, ANNOTATION_MIRROR),
                     "must set spec.nodeName if mirror pod annotation is set");
    if (!cost) return;
    char *end;
    long long value = strtoll(cost, &end, 10);
    bool digits = isdigit((unsigned char)cost[cost[0] == '-']);
    bool leading_zero = cost[cost[0] == '-'] == '0' && !streq(cost, "0");
    if (!digits || *end || leading_zero || value < INT32_MIN || value > INT32_MAX)
        tell_invalid(e, PATH_KEY(path, ANNOTATION_DELETION_COST), cost, "must be a 32bit integer");
}

static bool is_padded(const char *s) {
    size_t len = strlen(s);
    return len && (isspace((unsigned char)s[0]) || isspace((unsigned char)s[len - 1]));
}

static void check_images(field_errors_t *e, const path_t *path, Core__Container *const *at,
                         size_t len) {
    for (size_t i = 0; i < len; i++)
        if (is_padded(or_empty(at[i]->image)))
            tell_invalid(e, PATH(PATH_AT(path, i), "image"), at[i]->image,
                         "must not have leading or trailing whitespace");
}

static void check_tokens(field_errors_t *e, const path_t *path, const Core__PodSpec *spec) {
    if (!is_empty(spec->serviceaccountname)) return;
    for (size_t i = 0; i < spec->n_volumes; i++) {
        const Core__VolumeSource *source = spec->volumes[i]->volumesource;
        const Core__ProjectedVolumeSource *projected = source ? source->projected : NULL;
        const path_t *sources = PATH(PATH(PATH_AT(path, i), "projected"), "sources");
        for (size_t j = 0; projected && j < projected->n_sources; j++)
            if (projected->sources[j]->serviceaccounttoken)
                tell_forbidden(e, PATH(PATH_AT(sources, j), "serviceAccountToken"),
                               "must not be specified when serviceAccountName is not set");
    }
}

static const Core__PodSpec *spec_of(const Core__Pod *pod) {
    static const Core__PodSpec empty = {.base.descriptor = &core__pod_spec__descriptor};
    return pod->spec ? pod->spec : &empty;
}

static void check_pod(field_errors_t *e, const Core__Pod *pod) {
    const path_t *path = PATH(ROOT, "spec");
    const Core__PodSpec *spec = spec_of(pod);
    check_pod_annotations(e, PATH(PATH(ROOT, "metadata"), "annotations"), pod);
    check_podspec(e, path, spec, true);
    check_tokens(e, PATH(path, "volumes"), spec);
    check_images(e, PATH(path, "containers"), spec->containers, spec->n_containers);
    check_images(e, PATH(path, "initContainers"), spec->initcontainers, spec->n_initcontainers);
}

static void check_created(field_errors_t *e, const Core__Pod *pod) {
    const path_t *path = PATH(ROOT, "spec");
    const Core__PodSpec *spec = spec_of(pod);
    if (spec->n_ephemeralcontainers)
        tell_forbidden(e, PATH(path, "ephemeralContainers"), "cannot be set on create");
    if (!is_empty(spec->nodename) && spec->n_schedulinggates)
        tell_forbidden(e, PATH(path, "nodeName"),
                       "cannot be set until all schedulingGates have been cleared");
}

// ---- updates ------------------------------------------------------------------------------------
static void check_mirror_update(field_errors_t *e, const Core__Pod *pod, const Core__Pod *old) {
    const path_t *path = PATH(PATH(ROOT, "metadata"), "annotations");
    const char *now = object_annotation(&pod->base, ANNOTATION_MIRROR);
    const char *before = object_annotation(&old->base, ANNOTATION_MIRROR);
    if (before && (!now || !streq(now, before)))
        tell_forbidden(e, PATH_KEY(path, ANNOTATION_MIRROR),
                       "may not remove or update mirror pod annotation");
    if (!before && now)
        tell_forbidden(e, PATH_KEY(path, ANNOTATION_MIRROR), "may not add mirror pod annotation");
}

// false: the lists differ in length; nothing further is said.
static bool check_same_count(field_errors_t *e, const path_t *path, size_t now, size_t before) {
    if (now == before) return true;
    tell_forbidden(e, path, "pod updates may not add or remove containers");
    return false;
}

// false: the deadline is wrong; nothing further is said.
static bool check_deadline(field_errors_t *e, const path_t *path, const Core__PodSpec *spec,
                           const Core__PodSpec *old) {
    int64_t now = spec->activedeadlineseconds;
    if (!spec->has_activedeadlineseconds) {
        if (old->has_activedeadlineseconds)
            tell_invalid_raw(e, path, "null",
                             "must not update from a positive integer to nil value");
        return true;
    }
    size_t before = e->len;
    check_range(e, path, now, 0, INT32_MAX);
    if (e->len == before && old->has_activedeadlineseconds && now > old->activedeadlineseconds)
        tell_invalid_int(e, path, now, "must be less than or equal to previous value");
    return e->len == before;
}

static const char **toleration_keys(arena_t *arena, const Core__PodSpec *spec) {
    const char **keys = ARENA_ARRAY(arena, const char *, spec->n_tolerations + 1);
    for (size_t i = 0; i < spec->n_tolerations; i++) {
        const Core__Toleration *t = spec->tolerations[i];
        keys[i] = arena_printf(arena, "%s %s %s %s", or_empty(t->key), or_empty(t->operator_),
                               or_empty(t->value), or_empty(t->effect));
    }
    return keys;
}

static void check_added_tolerations(field_errors_t *e, const path_t *path,
                                    const Core__PodSpec *spec, const Core__PodSpec *old) {
    const char **before = toleration_keys(e->arena, old);
    names_t now =
        names_of(e->arena, toleration_keys(e->arena, spec), spec->n_tolerations, NAMES_ARE_ITEMS);
    for (size_t i = 0; i < old->n_tolerations; i++) {
        if (names_has(&now, before[i])) continue;
        tell_forbidden(e, path,
                       "existing toleration can not be modified except its tolerationSeconds");
        return;
    }
}

static void check_removed_gates(field_errors_t *e, const path_t *path, const Core__PodSpec *spec,
                                const Core__PodSpec *old) {
    names_t before = NAMES(e->arena, old->schedulinggates, old->n_schedulinggates,
                           Core__PodSchedulingGate, name);
    for (size_t i = 0; i < spec->n_schedulinggates; i++) {
        const char *name = or_empty(spec->schedulinggates[i]->name);
        if (!names_has(&before, name))
            tell_forbidden(e, PATH(PATH_AT(path, i), "name"),
                           arena_printf(e->arena,
                                        "only deletion is allowed, but found new scheduling gate "
                                        "'%s'",
                                        name));
    }
}

#define TEXT_POD_UPDATE                                                                       \
    "pod updates may not change fields other than "                                           \
    "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`," \
    "`spec.tolerations` (only additions to existing tolerations),"                            \
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"

static void take_images(Core__Container *const *now, size_t len, Core__Container *const *before) {
    for (size_t i = 0; i < len; i++) now[i]->image = before[i]->image;
}

// Is the spec the old one, but for what may change?
static bool only_mutable_changes(arena_t *arena, const Core__PodSpec *spec,
                                 const Core__PodSpec *old) {
    Core__PodSpec *munged = msg_dup(arena, &spec->base);
    take_images(munged->containers, munged->n_containers, old->containers);
    take_images(munged->initcontainers, munged->n_initcontainers, old->initcontainers);
    munged->has_activedeadlineseconds = old->has_activedeadlineseconds;
    munged->activedeadlineseconds = old->activedeadlineseconds;
    munged->tolerations = old->tolerations;
    munged->n_tolerations = old->n_tolerations;
    munged->schedulinggates = old->schedulinggates;
    munged->n_schedulinggates = old->n_schedulinggates;
    if (old->terminationgraceperiodseconds < 0 && munged->terminationgraceperiodseconds == 1)
        munged->terminationgraceperiodseconds = old->terminationgraceperiodseconds;
    if (old->n_schedulinggates) {
        // While gated a pod may still narrow where it goes.
        munged->nodeselector = old->nodeselector;
        munged->n_nodeselector = old->n_nodeselector;
        munged->affinity = old->affinity;
    }
    return msg_equal(&munged->base, &old->base);
}

static void check_narrowed(field_errors_t *e, const path_t *path, const Core__PodSpec *spec,
                           const Core__PodSpec *old) {
    for (size_t i = 0; i < old->n_nodeselector; i++) {
        const char *now = str_entry_find(spec->nodeselector, spec->n_nodeselector,
                                         or_empty(old->nodeselector[i]->key));
        if (now && streq(now, or_empty(old->nodeselector[i]->value))) continue;
        tell_invalid_raw(e, PATH(path, "nodeSelector"),
                         go_map(e->arena, spec->nodeselector, spec->n_nodeselector),
                         "only additions to spec.nodeSelector are allowed (no mutations or "
                         "deletions)");
        return;
    }
}

static void check_updated(field_errors_t *e, const Core__Pod *pod, const Core__Pod *old_pod) {
    const path_t *path = PATH(ROOT, "spec");
    const Core__PodSpec *spec = spec_of(pod), *old = spec_of(old_pod);
    check_mirror_update(e, pod, old_pod);
    if (!check_same_count(e, PATH(path, "containers"), spec->n_containers, old->n_containers))
        return;
    if (!check_same_count(e, PATH(path, "initContainers"), spec->n_initcontainers,
                          old->n_initcontainers))
        return;
    if (!check_deadline(e, PATH(path, "activeDeadlineSeconds"), spec, old)) return;
    check_added_tolerations(e, PATH(path, "tolerations"), spec, old);
    check_removed_gates(e, PATH(path, "schedulingGates"), spec, old);
    if (msg_equal(&spec->base, &old->base)) return;
    if (old->n_schedulinggates) check_narrowed(e, path, spec, old);
    if (!only_mutable_changes(e->arena, spec, old)) tell_forbidden(e, path, TEXT_POD_UPDATE);
}

void pod_validate(const ProtobufCMessage *obj, const ProtobufCMessage *old, field_errors_t *e) {
    const Core__Pod *pod = (const Core__Pod *)obj;
    check_meta(e, obj, old, true, rule_dns_subdomain);
    check_pod(e, pod);
    if (old)
        check_updated(e, pod, (const Core__Pod *)old);
    else
        check_created(e, pod);
}

// ---- status -------------------------------------------------------------------------------------
static const Core__PodStatus *status_of(const Core__Pod *pod) {
    static const Core__PodStatus empty = {.base.descriptor = &core__pod_status__descriptor};
    return pod->status ? pod->status : &empty;
}

// What has ended for good does not come back: with restartPolicy Never any container, with
// OnFailure one that ended well.
static void check_no_resurrection(field_errors_t *e, const path_t *path, const char *policy,
                                  Core__ContainerStatus *const *now, size_t now_len,
                                  Core__ContainerStatus *const *old, size_t old_len) {
    if (streq(policy, "Always") || !*policy) return;
    names_t names = NAMES(e->arena, now, now_len, Core__ContainerStatus, name);
    for (size_t i = 0; i < old_len; i++) {
        const Core__ContainerStateTerminated *end =
            old[i]->state ? old[i]->state->terminated : NULL;
        if (!end || (end->exitcode != 0 && streq(policy, "OnFailure"))) continue;
        size_t at = names_find(&names, old[i]->name);
        if (at != SIZE_MAX && (!now[at]->state || !now[at]->state->terminated))
            tell_forbidden(e, PATH(PATH_AT(path, i), "state"),
                           "may not be transitioned to non-terminated state");
    }
}

// At most one address for each family.
static void check_pod_ips(field_errors_t *e, const path_t *path, const Core__PodStatus *status) {
    size_t counts[IP_V6 + 1] = {0};
    for (size_t i = 0; i < status->n_podips; i++) {
        check_ip(e, PATH_AT(path, i), status->podips[i]->ip);
        counts[ip_parse(status->podips[i]->ip).family]++;
    }
    if (counts[IP_V4] > 1 || counts[IP_V6] > 1)
        tell_invalid_raw(e, path, "[]", "may specify no more than one IP for each IP family");
}

static void check_host_ips(field_errors_t *e, const path_t *path, const Core__PodStatus *status) {
    if (status->n_hostips && !streq(or_empty(status->hostips[0]->ip), or_empty(status->hostip)))
        tell_invalid(e, PATH(PATH_AT(path, 0), "ip"), status->hostips[0]->ip,
                     "must be equal to `hostIP`");
    for (size_t i = 0; i < status->n_hostips; i++)
        check_ip(e, PATH_AT(path, i), status->hostips[i]->ip);
}

void pod_validate_status(const ProtobufCMessage *obj, const ProtobufCMessage *old,
                         field_errors_t *e) {
    const Core__Pod *pod = (const Core__Pod *)obj, *before = (const Core__Pod *)old;
    const Core__PodStatus *status = status_of(pod), *was = status_of(before);
    const path_t *path = PATH(ROOT, "status");
    const char *policy = or_empty(spec_of(pod)->restartpolicy);
    check_meta(e, obj, old, true, rule_dns_subdomain);
    if (!streq(or_empty(spec_of(pod)->nodename), or_empty(spec_of(before)->nodename)))
        tell_forbidden(e, PATH(path, "nodeName"), "may not be changed directly");
    if (!is_empty(status->nominatednodename))
        check_rule(e, PATH(path, "nominatedNodeName"), status->nominatednodename,
                   rule_dns_subdomain);
    if (!is_empty(was->qosclass) && !streq(or_empty(status->qosclass), was->qosclass))
        tell_invalid(e, PATH(path, "qosClass"), status->qosclass, TEXT_IMMUTABLE);
    check_no_resurrection(e, PATH(path, "containerStatuses"), policy, status->containerstatuses,
                          status->n_containerstatuses, was->containerstatuses,
                          was->n_containerstatuses);
    for (size_t i = 0; i < status->n_conditions; i++)
        check_rule(e, PATH(PATH_AT(PATH(path, "conditions"), i), "Type"),
                   status->conditions[i]->type, rule_qualified_name);
    check_pod_ips(e, PATH(path, "podIPs"), status);
    check_host_ips(e, PATH(path, "hostIPs"), status);
}
