// workload_validate - Deployment and ReplicaSet (facts: k8s-validation).
#include "k8s/apps_v1.pb-c.h"
#include "runtime/api/kinds/podspec.h"
#include "runtime/api/kinds/rows.h"
#include "runtime/api/selector.h"

// ---- what both share ----------------------------------------------------------------------------
static bool matches(arena_t *arena, const Meta__LabelSelector *selector,
                    const Core__PodTemplateSpec *template) {
    const selector_t *parsed;
    const Meta__ObjectMeta *meta = object_meta_read(&template->base);
    return selector_from_message(arena, selector, &parsed, NULL) == ERR_OK &&
           selector_matches_labels(parsed, meta->labels, meta->n_labels);
}

static void check_selector(field_errors_t *e, const path_t *path,
                           const Meta__LabelSelector *selector) {
    if (!selector) {
        tell_required(e, path, NULL);
        return;
    }
    check_label_selector(e, path, selector);
    if (!selector->n_matchlabels && !selector->n_matchexpressions)
        tell_invalid_raw(e, path, go_selector(e->arena, selector),
                         "empty selector is invalid for deployment");
}

// A template that its owner's selector does not match would make pods without end.
static void check_pod_template(field_errors_t *e, const path_t *path,
                               const Meta__LabelSelector *selector,
                               const Core__PodTemplateSpec *template, int32_t replicas) {
    static const char *const policies[] = {"Always", NULL};
    if (!template) {
        tell_required(e, path, NULL);
        return;
    }
    const Meta__ObjectMeta *meta = object_meta_read(&template->base);
    bool empty = !selector || (!selector->n_matchlabels && !selector->n_matchexpressions);
    if (!empty && !matches(e->arena, selector, template))
        tell_invalid_raw(e, PATH(PATH(path, "metadata"), "labels"),
                         go_map(e->arena, meta->labels, meta->n_labels),
                         "`selector` does not match template `labels`");
    check_template(e, path, template);
    const path_t *spec = PATH(path, "spec");
    const char *policy = template->spec ? or_empty(template->spec->restartpolicy) : "";
    if (!streq(policy, "Always"))
        tell_not_supported(e, PATH(spec, "restartPolicy"), policy, policies);
    if (template->spec && template->spec->has_activedeadlineseconds)
        tell_forbidden(e, PATH(spec, "activeDeadlineSeconds"),
                       "activeDeadlineSeconds in ReplicaSet is not Supported");
}

static void check_same_selector(field_errors_t *e, const path_t *path,
                                const Meta__LabelSelector *now, const Meta__LabelSelector *old) {
    if (now && old && msg_equal(&now->base, &old->base)) return;
    if (!now && !old) return;
    tell_invalid_raw(e, path, go_selector(e->arena, now), TEXT_IMMUTABLE);
}

// ---- rolling updates ----------------------------------------------------------------------------
static bool is_percent(const char *text) {
    size_t digits = strspn(text, "0123456789");
    return digits && streq(text + digits, "%");
}

static void check_amount(field_errors_t *e, const path_t *path, const Intstr__IntOrString *v) {
    if (!v) return;
    if (!intstr_is_str(v))
        check_not_negative(e, path, v->intval);
    else if (!is_percent(or_empty(v->strval)))
        tell_invalid(e, path, v->strval,
                     "a valid percent string must be a numeric string followed by an ending '%' "
                     "(e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')");
}

// The number itself, be it of pods or of percents.
static int64_t amount_of(const Intstr__IntOrString *v) {
    if (!v) return 0;
    return intstr_is_str(v) ? strtoll(or_empty(v->strval), NULL, 10) : v->intval;
}

static void check_rolling(field_errors_t *e, const path_t *path,
                          const Apps__RollingUpdateDeployment *rolling) {
    const path_t *unavailable = PATH(path, "maxUnavailable");
    check_amount(e, unavailable, rolling->maxunavailable);
    check_amount(e, PATH(path, "maxSurge"), rolling->maxsurge);
    const char *text = intstr_text(e->arena, rolling->maxunavailable);
    const char *printed = intstr_is_str(rolling->maxunavailable) ? field_quoted(e, text) : text;
    if (!amount_of(rolling->maxunavailable) && !amount_of(rolling->maxsurge))
        tell_invalid_raw(e, unavailable, printed, "may not be 0 when `maxSurge` is 0");
    if (intstr_is_str(rolling->maxunavailable) && is_percent(text) &&
        amount_of(rolling->maxunavailable) > 100)
        tell_invalid_raw(e, unavailable, printed, "must not be greater than 100%");
}

static void check_strategy(field_errors_t *e, const path_t *path,
                           const Apps__DeploymentStrategy *strategy) {
    static const char *const types[] = {"Recreate", "RollingUpdate", NULL};
    const char *type = strategy ? or_empty(strategy->type) : "";
    const Apps__RollingUpdateDeployment *rolling = strategy ? strategy->rollingupdate : NULL;
    if (streq(type, "Recreate")) {
        if (rolling)
            tell_forbidden(e, PATH(path, "rollingUpdate"),
                           "may not be specified when strategy `type` is 'Recreate'");
    } else if (streq(type, "RollingUpdate")) {
        if (!rolling)
            tell_required(e, PATH(path, "rollingUpdate"),
                          "this should be defaulted and never be nil");
        else
            check_rolling(e, PATH(path, "rollingUpdate"), rolling);
    } else {
        tell_not_supported(e, path, type, types);
    }
}

// ---- Deployment ---------------------------------------------------------------------------------
static void check_deployment_spec(field_errors_t *e, const path_t *path,
                                  const Apps__DeploymentSpec *spec) {
    check_not_negative(e, PATH(path, "replicas"), spec->replicas);
    check_selector(e, PATH(path, "selector"), spec->selector);
    check_pod_template(e, PATH(path, "template"), spec->selector, spec->template_, spec->replicas);
    check_strategy(e, PATH(path, "strategy"), spec->strategy);
    check_not_negative(e, PATH(path, "minReadySeconds"), spec->minreadyseconds);
    if (spec->has_revisionhistorylimit)
        check_not_negative(e, PATH(path, "revisionHistoryLimit"), spec->revisionhistorylimit);
    if (!spec->has_progressdeadlineseconds) return;
    const path_t *deadline = PATH(path, "progressDeadlineSeconds");
    check_not_negative(e, deadline, spec->progressdeadlineseconds);
    if (spec->progressdeadlineseconds <= spec->minreadyseconds)
        tell_invalid_int(e, deadline, spec->progressdeadlineseconds,
                         "must be greater than minReadySeconds");
}

static const Apps__DeploymentSpec *deployment_spec(const ProtobufCMessage *obj) {
    static const Apps__DeploymentSpec empty = {.base.descriptor =
                                                   &apps__deployment_spec__descriptor};
    const Apps__DeploymentSpec *spec = ((const Apps__Deployment *)obj)->spec;
    return spec ? spec : &empty;
}

void deployment_validate(const ProtobufCMessage *obj, const ProtobufCMessage *old,
                         field_errors_t *e) {
    const path_t *path = PATH(ROOT, "spec");
    check_meta(e, obj, old, true, rule_dns_subdomain);
    check_deployment_spec(e, path, deployment_spec(obj));
    if (old)
        check_same_selector(e, PATH(path, "selector"), deployment_spec(obj)->selector,
                            deployment_spec(old)->selector);
}

static void check_at_most(field_errors_t *e, const path_t *path, int64_t value, int64_t max,
                          const char *of) {
    if (value > max)
        tell_invalid_int(e, path, value, arena_printf(e->arena, "cannot be greater than %s", of));
}

static void check_ready_counts(field_errors_t *e, const path_t *path, int64_t replicas,
                               int64_t ready, int64_t available) {
    check_at_most(e, PATH(path, "readyReplicas"), ready, replicas, "status.replicas");
    check_at_most(e, PATH(path, "availableReplicas"), available, replicas, "status.replicas");
    check_at_most(e, PATH(path, "availableReplicas"), available, ready, "readyReplicas");
}

void deployment_validate_status(const ProtobufCMessage *obj, const ProtobufCMessage *old,
                                field_errors_t *e) {
    const Apps__DeploymentStatus *s = ((const Apps__Deployment *)obj)->status;
    const Apps__DeploymentStatus *was = ((const Apps__Deployment *)old)->status;
    const path_t *path = PATH(ROOT, "status");
    check_meta(e, obj, old, true, rule_dns_subdomain);
    if (!s) return;
    check_not_negative(e, PATH(path, "observedGeneration"), s->observedgeneration);
    check_not_negative(e, PATH(path, "replicas"), s->replicas);
    check_not_negative(e, PATH(path, "updatedReplicas"), s->updatedreplicas);
    check_not_negative(e, PATH(path, "readyReplicas"), s->readyreplicas);
    check_not_negative(e, PATH(path, "availableReplicas"), s->availablereplicas);
    check_not_negative(e, PATH(path, "unavailableReplicas"), s->unavailablereplicas);
    check_not_negative(e, PATH(path, "terminatingReplicas"), s->terminatingreplicas);
    check_not_negative(e, PATH(path, "collisionCount"), s->collisioncount);
    check_at_most(e, PATH(path, "updatedReplicas"), s->updatedreplicas, s->replicas,
                  "status.replicas");
    check_ready_counts(e, path, s->replicas, s->readyreplicas, s->availablereplicas);
    if (was && was->has_collisioncount && s->collisioncount < was->collisioncount)
        tell_invalid_int(e, PATH(path, "collisionCount"), s->collisioncount,
                         "cannot be decremented");
}

// ---- ReplicaSet ---------------------------------------------------------------------------------
static const Apps__ReplicaSetSpec *replicaset_spec(const ProtobufCMessage *obj) {
    static const Apps__ReplicaSetSpec empty = {.base.descriptor =
                                                   &apps__replica_set_spec__descriptor};
    const Apps__ReplicaSetSpec *spec = ((const Apps__ReplicaSet *)obj)->spec;
    return spec ? spec : &empty;
}

void replicaset_validate(const ProtobufCMessage *obj, const ProtobufCMessage *old,
                         field_errors_t *e) {
    const Apps__ReplicaSetSpec *spec = replicaset_spec(obj);
    const path_t *path = PATH(ROOT, "spec");
    check_meta(e, obj, old, true, rule_dns_subdomain);
    check_not_negative(e, PATH(path, "replicas"), spec->replicas);
    check_not_negative(e, PATH(path, "minReadySeconds"), spec->minreadyseconds);
    check_selector(e, PATH(path, "selector"), spec->selector);
    check_pod_template(e, PATH(path, "template"), spec->selector, spec->template_, spec->replicas);
    if (old)
        check_same_selector(e, PATH(path, "selector"), spec->selector,
                            replicaset_spec(old)->selector);
}

void replicaset_validate_status(const ProtobufCMessage *obj, const ProtobufCMessage *old,
                                field_errors_t *e) {
    const Apps__ReplicaSetStatus *s = ((const Apps__ReplicaSet *)obj)->status;
    const path_t *path = PATH(ROOT, "status");
    check_meta(e, obj, old, true, rule_dns_subdomain);
    if (!s) return;
    check_not_negative(e, PATH(path, "replicas"), s->replicas);
    check_not_negative(e, PATH(path, "fullyLabeledReplicas"), s->fullylabeledreplicas);
    check_not_negative(e, PATH(path, "readyReplicas"), s->readyreplicas);
    check_not_negative(e, PATH(path, "availableReplicas"), s->availablereplicas);
    check_not_negative(e, PATH(path, "observedGeneration"), s->observedgeneration);
    check_not_negative(e, PATH(path, "terminatingReplicas"), s->terminatingreplicas);
    check_at_most(e, PATH(path, "fullyLabeledReplicas"), s->fullylabeledreplicas, s->replicas,
                  "status.replicas");
    check_ready_counts(e, path, s->replicas, s->readyreplicas, s->availablereplicas);
}
