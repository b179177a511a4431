// defaults and strategies - what objects are given, keep and lose.
#include "k8s/apps_v1.pb-c.h"
#include "k8s/core_v1.pb-c.h"
#include "k8s/extensions_v1beta1.pb-c.h"
#include "runtime/api/kinds.h"
#include "runtime/api/kinds/fill.h"
#include "runtime/api/pod.h"
#include "support/leaks.h"

#define NEW_MSG(arena, c_type, lower) MSG_NEW((arena), c_type, lower##__descriptor)

// ---- builders -----------------------------------------------------------------------------------
static Core__Container *container_new(arena_t *arena, const char *name, const char *image) {
    Core__Container *c = NEW_MSG(arena, Core__Container, core__container);
    c->name = name;
    c->image = image;
    return c;
}

static Core__PodSpec *spec_new(arena_t *arena, const char *image) {
    Core__PodSpec *spec = NEW_MSG(arena, Core__PodSpec, core__pod_spec);
    spec->containers = ARENA_ARRAY(arena, Core__Container *, 1);
    spec->containers[spec->n_containers++] = container_new(arena, "main", image);
    return spec;
}

static Core__Pod *pod_new(arena_t *arena, const char *image) {
    Core__Pod *pod = NEW_MSG(arena, Core__Pod, core__pod);
    object_meta(arena, &pod->base)->name = "p";
    pod->spec = spec_new(arena, image);
    return pod;
}

static const kind_t *kind_named(const char *typed) {
    const kind_t *k = kind_by_typed_name(typed);
    cr_assert_not_null(k, "%s", typed);
    return k;
}

static void expect(arena_t *arena, const ProtobufCMessage *obj, const char *path,
                   const char *want) {
    const char *got = msg_text_at(arena, obj, path);
    cr_assert_str_eq(got ? got : "(unset)", want, "%s: %s, not %s", path, got, want);
}

// ---- pods ---------------------------------------------------------------------------------------
Test(defaults, the_pull_policy_follows_the_tag)
{
    static const struct {
        const char *image, *want;
    } rows[] = {
        {"nginx", "Always"},
        {"nginx:latest", "Always"},
        {"nginx:1.25", "IfNotPresent"},
        {"registry:5000/team/nginx", "Always"},
        {"registry:5000/team/nginx:v1", "IfNotPresent"},
        {"nginx@sha256:0123456789", "IfNotPresent"},
        {"nginx:latest@sha256:0123456789", "Always"},
        {"NGINX", "IfNotPresent"},
        {"", "IfNotPresent"},
        {"Registry/nginx", "Always"},
        {"a//b", "IfNotPresent"},
    };
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        arena_t arena = {0};
        Core__Pod *pod = pod_new(&arena, rows[i].image);
        kind_named("pods")->defaults(&arena, &pod->base);
        cr_assert_str_eq(pod->spec->containers[0]->imagepullpolicy, rows[i].want, "%s",
                         rows[i].image);
        arena_done(&arena);
    }
    ASSERT_NO_LEAKS();
}

Test(defaults, a_pod_is_filled_in)
{
    arena_t arena = {0};
    Core__Pod *pod = pod_new(&arena, "nginx");
    Core__Container *c = pod->spec->containers[0];
    c->ports = ARENA_ARRAY(&arena, Core__ContainerPort *, 1);
    c->ports[c->n_ports++] = NEW_MSG(&arena, Core__ContainerPort, core__container_port);
    c->livenessprobe = NEW_MSG(&arena, Core__Probe, core__probe);
    c->livenessprobe->handler = NEW_MSG(&arena, Core__ProbeHandler, core__probe_handler);
    c->livenessprobe->handler->httpget = NEW_MSG(&arena, Core__HTTPGetAction, core__httpget_action);
    pod->spec->volumes = ARENA_ARRAY(&arena, Core__Volume *, 1);
    pod->spec->volumes[pod->spec->n_volumes++] = NEW_MSG(&arena, Core__Volume, core__volume);
    kind_named("pods")->defaults(&arena, &pod->base);
    static const struct {
        const char *path, *want;
    } rows[] = {
        {"spec.dnsPolicy", "ClusterFirst"},
        {"spec.restartPolicy", "Always"},
        {"spec.schedulerName", "default-scheduler"},
        {"spec.terminationGracePeriodSeconds", "30"},
        {"spec.enableServiceLinks", "true"},
        {"spec.containers[0].terminationMessagePath", "/dev/termination-log"},
        {"spec.containers[0].terminationMessagePolicy", "File"},
        {"spec.containers[0].ports[0].protocol", "TCP"},
        {"spec.containers[0].livenessProbe.periodSeconds", "10"},
        {"spec.containers[0].livenessProbe.failureThreshold", "3"},
        {"spec.containers[0].livenessProbe.httpGet.path", "/"},
        {"spec.containers[0].livenessProbe.httpGet.scheme", "HTTP"},
    };
    for (size_t i = 0; i < LENGTH_OF(rows); i++)
        expect(&arena, &pod->base, rows[i].path, rows[i].want);
    cr_assert_not_null(pod->spec->securitycontext);
    cr_assert_not_null(pod->spec->volumes[0]->volumesource->emptydir);
    // Filling in twice changes nothing.
    ProtobufCMessage *once = msg_dup(&arena, &pod->base);
    kind_named("pods")->defaults(&arena, &pod->base);
    cr_assert(msg_equal(once, &pod->base));
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

static void add_amount(arena_t *arena, Core__Container *c, bool limit, const char *key,
                       const char *text) {
    if (!c->resources)
        c->resources = NEW_MSG(arena, Core__ResourceRequirements, core__resource_requirements);
    Core__ResourceRequirements__LimitsEntry *entry =
        msg_new(arena, limit ? &core__resource_requirements__limits_entry__descriptor
                             : &core__resource_requirements__requests_entry__descriptor);
    entry->key = key;
    entry->value = NEW_MSG(arena, Resource__Quantity, resource__quantity);
    entry->value->string = text;
    size_t *len = limit ? &c->resources->n_limits : &c->resources->n_requests;
    void **next = ARENA_ARRAY(arena, void *, *len + 1);
    void *at = limit ? (void *)c->resources->limits : (void *)c->resources->requests;
    if (*len) memcpy(next, at, *len * sizeof *next);
    next[(*len)++] = entry;
    if (limit)
        c->resources->limits = (void *)next;
    else
        c->resources->requests = (void *)next;
}

Test(defaults, a_limit_is_its_own_request_and_amounts_have_milli_precision)
{
    arena_t arena = {0};
    Core__Pod *pod = pod_new(&arena, "nginx");
    Core__Container *c = pod->spec->containers[0];
    add_amount(&arena, c, true, "cpu", "100u");
    add_amount(&arena, c, true, "memory", "64Mi");
    add_amount(&arena, c, false, "memory", "32Mi");
    kind_named("pods")->defaults(&arena, &pod->base);
    cr_assert_eq(c->resources->n_requests, 2);
    cr_assert_str_eq(c->resources->requests[0]->key, "cpu");
    cr_assert_str_eq(c->resources->requests[0]->value->string, "1m");
    cr_assert_str_eq(c->resources->requests[1]->value->string, "32Mi");
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

Test(defaults, quality_of_service_comes_from_requests_and_limits)
{
    static const struct {
        const char *cpu_request, *cpu_limit, *memory_request, *memory_limit, *want;
    } rows[] = {
        {NULL, NULL, NULL, NULL, "BestEffort"},
        {"0", "0", NULL, NULL, "BestEffort"},
        {"1", NULL, NULL, NULL, "Burstable"},
        {NULL, "1", NULL, "1Gi", "Burstable"}, // filled in, its requests are its limits
        {"1", "1", "1Gi", "1Gi", "Guaranteed"},
        {"0", "1", "1Gi", "1Gi", "Burstable"},
        {"1000m", "1", "1Gi", "1024Mi", "Guaranteed"},
        {"500m", "1", "1Gi", "1Gi", "Burstable"},
        {NULL, "1", NULL, NULL, "Burstable"},
    };
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        arena_t arena = {0};
        Core__Pod *pod = pod_new(&arena, "nginx");
        Core__Container *c = pod->spec->containers[0];
        if (rows[i].cpu_request) add_amount(&arena, c, false, "cpu", rows[i].cpu_request);
        if (rows[i].memory_request) add_amount(&arena, c, false, "memory", rows[i].memory_request);
        if (rows[i].cpu_limit) add_amount(&arena, c, true, "cpu", rows[i].cpu_limit);
        if (rows[i].memory_limit) add_amount(&arena, c, true, "memory", rows[i].memory_limit);
        cr_assert_str_eq(pod_qos_class(pod->spec), rows[i].want, "row %zu", i);
        arena_done(&arena);
    }
    ASSERT_NO_LEAKS();
}

Test(defaults, a_created_pod_is_pending_and_tolerates_a_lost_node_for_a_while)
{
    arena_t arena = {0};
    const kind_t *k = kind_named("pods");
    Core__Pod *pod = pod_new(&arena, "nginx");
    k->defaults(&arena, &pod->base);
    pod->status->phase = "Running";
    pod->metadata->deletiontimestamp = time_new(&arena, 1000);
    k->prepare_create(&arena, &pod->base);
    cr_assert_str_eq(pod->status->phase, "Pending");
    cr_assert_str_eq(pod->status->qosclass, "BestEffort");
    cr_assert_null(pod->metadata->deletiontimestamp);
    cr_assert_eq(pod->metadata->generation, 1);
    cr_assert_eq(pod->spec->n_tolerations, 2);
    cr_assert_str_eq(pod->spec->tolerations[1]->key, "node.kubernetes.io/unreachable");
    cr_assert_str_eq(pod->spec->serviceaccountname, "default");

    Core__Pod *next = msg_dup(&arena, &pod->base);
    next->status->phase = "Failed";
    next->metadata->generation = 99;
    k->prepare_update(&arena, &next->base, &pod->base);
    cr_assert_str_eq(next->status->phase, "Pending");
    cr_assert_eq(next->metadata->generation, 1);
    next->spec->nodename = "n1";
    k->prepare_update(&arena, &next->base, &pod->base);
    cr_assert_eq(next->metadata->generation, 2);

    Core__Pod *told = msg_dup(&arena, &pod->base);
    told->status->phase = "Running";
    told->status->qosclass = NULL;
    told->spec = NULL;
    k->prepare_status(&arena, &told->base, &pod->base);
    cr_assert_eq(told->spec, pod->spec);
    cr_assert_str_eq(told->status->phase, "Running");
    cr_assert_str_eq(told->status->qosclass, "BestEffort");
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

// ---- deployments --------------------------------------------------------------------------------
Test(defaults, each_version_of_a_deployment_has_its_own)
{
    static const struct {
        const char *typed, *surge, *history, *deadline;
        bool selector;
    } rows[] = {
        {"deployments.v1.apps", "25%", "10", "600", false},
        {"deployments.v1beta2.apps", "25%", "10", "600", false},
        {"deployments.v1beta1.apps", "25%", "2", "600", true},
        {"deployments.extensions", "1", "2147483647", "2147483647", true},
    };
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        arena_t arena = {0};
        const kind_t *k = kind_named(rows[i].typed);
        ProtobufCMessage *obj = msg_new(&arena, k->type);
        void *spec = fill_message(&arena, obj, "spec");
        Core__PodTemplateSpec *template = fill_message(&arena, spec, "template");
        template->spec = spec_new(&arena, "nginx");
        object_set_label(&arena, &template->base, "app", "web");
        k->defaults(&arena, obj);
        expect(&arena, obj, "spec.replicas", "1");
        expect(&arena, obj, "spec.strategy.type", "RollingUpdate");
        expect(&arena, obj, "spec.strategy.rollingUpdate.maxSurge", rows[i].surge);
        expect(&arena, obj, "spec.strategy.rollingUpdate.maxUnavailable", rows[i].surge);
        expect(&arena, obj, "spec.revisionHistoryLimit", rows[i].history);
        expect(&arena, obj, "spec.progressDeadlineSeconds", rows[i].deadline);
        expect(&arena, obj, "spec.template.spec.dnsPolicy", "ClusterFirst");
        const Meta__LabelSelector *selector = field_message(spec, "selector");
        cr_assert_eq(selector != NULL, rows[i].selector);
        if (selector) cr_assert_str_eq(selector->matchlabels[0]->value, "web");
        cr_assert_eq(object_label(obj, "app") != NULL, rows[i].selector);
        arena_done(&arena);
    }
    ASSERT_NO_LEAKS();
}

Test(defaults, a_generation_counts_changes_of_the_wish_only)
{
    arena_t arena = {0};
    const kind_t *k = kind_named("deploy");
    Apps__Deployment *old = NEW_MSG(&arena, Apps__Deployment, apps__deployment);
    k->defaults(&arena, &old->base);
    k->prepare_create(&arena, &old->base);
    cr_assert_eq(old->metadata->generation, 1);
    Apps__Deployment *next = msg_dup(&arena, &old->base);
    object_set_label(&arena, &next->base, "a", "b");
    next->status->has_replicas = true;
    next->status->replicas = 5;
    k->prepare_update(&arena, &next->base, &old->base);
    cr_assert_eq(next->metadata->generation, 1);
    cr_assert_eq(next->status->replicas, 0);
    object_set_annotation(&arena, &next->base, "a", "b");
    k->prepare_update(&arena, &next->base, &old->base);
    cr_assert_eq(next->metadata->generation, 2);
    next = msg_dup(&arena, &old->base);
    next->spec->replicas = 4;
    k->prepare_update(&arena, &next->base, &old->base);
    cr_assert_eq(next->metadata->generation, 2);
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

// ---- services -----------------------------------------------------------------------------------
static Core__Service *service_new(arena_t *arena, const char *type) {
    Core__Service *s = NEW_MSG(arena, Core__Service, core__service);
    s->spec = NEW_MSG(arena, Core__ServiceSpec, core__service_spec);
    s->spec->type = type;
    s->spec->ports = ARENA_ARRAY(arena, Core__ServicePort *, 1);
    Core__ServicePort *port = NEW_MSG(arena, Core__ServicePort, core__service_port);
    SET_NUM(port, port, 80);
    s->spec->ports[s->spec->n_ports++] = port;
    kind_named("svc")->defaults(arena, &s->base);
    return s;
}

Test(defaults, a_service_is_filled_in_and_its_target_is_its_port)
{
    arena_t arena = {0};
    Core__Service *s = service_new(&arena, NULL);
    kind_named("svc")->prepare_create(&arena, &s->base);
    expect(&arena, &s->base, "spec.type", "ClusterIP");
    expect(&arena, &s->base, "spec.sessionAffinity", "None");
    expect(&arena, &s->base, "spec.ports[0].targetPort", "80");
    expect(&arena, &s->base, "spec.ports[0].protocol", "TCP");
    expect(&arena, &s->base, "spec.internalTrafficPolicy", "Cluster");
    expect(&arena, &s->base, "spec.ipFamilyPolicy", "SingleStack");
    cr_assert_eq(s->spec->n_ipfamilies, 1);
    cr_assert(is_empty(s->spec->externaltrafficpolicy));
    s = service_new(&arena, "NodePort");
    expect(&arena, &s->base, "spec.externalTrafficPolicy", "Cluster");
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

Test(defaults, a_put_without_the_allocated_values_keeps_them_and_a_new_type_drops_them)
{
    arena_t arena = {0};
    const kind_t *k = kind_named("svc");
    Core__Service *old = service_new(&arena, "NodePort");
    old->spec->clusterip = "10.96.0.7";
    k->prepare_create(&arena, &old->base);
    cr_assert_eq(old->spec->n_clusterips, 1);
    SET_NUM(old->spec->ports[0], nodeport, 30080);

    Core__Service *next = service_new(&arena, "NodePort");
    k->prepare_update(&arena, &next->base, &old->base);
    cr_assert_str_eq(next->spec->clusterip, "10.96.0.7");
    cr_assert_str_eq(next->spec->clusterips[0], "10.96.0.7");
    cr_assert_eq(next->spec->ports[0]->nodeport, 30080);

    Core__Service *plain = msg_dup(&arena, &old->base);
    plain->spec->type = "ClusterIP";
    k->prepare_update(&arena, &plain->base, &old->base);
    cr_assert_eq(plain->spec->ports[0]->nodeport, 0);
    cr_assert_str_eq(plain->spec->clusterip, "10.96.0.7");
    cr_assert(is_empty(plain->spec->externaltrafficpolicy));

    Core__Service *name = msg_dup(&arena, &old->base);
    name->spec->type = "ExternalName";
    k->prepare_update(&arena, &name->base, &old->base);
    cr_assert(is_empty(name->spec->clusterip));
    cr_assert_eq(name->spec->n_clusterips, 0);
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

// ---- the small ones -----------------------------------------------------------------------------
Test(defaults, a_namespace_bears_its_name_as_a_label)
{
    arena_t arena = {0};
    const kind_t *k = kind_named("ns");
    Core__Namespace *ns = NEW_MSG(&arena, Core__Namespace, core__namespace);
    object_meta(&arena, &ns->base)->name = "shop";
    k->defaults(&arena, &ns->base);
    k->prepare_create(&arena, &ns->base);
    cr_assert_str_eq(object_label(&ns->base, "kubernetes.io/metadata.name"), "shop");
    cr_assert_str_eq(ns->status->phase, "Active");
    cr_assert_str_eq(ns->spec->finalizers[0], "kubernetes");
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

// Every stored kind prepares, and the empty object passes through all of it.
Test(defaults, an_empty_object_of_each_kind_passes)
{
    for (size_t i = 0; kind_at(i); i++) {
        arena_t arena = {0};
        const kind_t *k = kind_at(i), *stored = kind_stored(k);
        ProtobufCMessage *obj = msg_new(&arena, k->type);
        k->defaults(&arena, obj);
        if (k->to_stored) obj = k->to_stored(&arena, obj);
        stored->prepare_create(&arena, obj);
        ProtobufCMessage *next = msg_dup(&arena, obj);
        stored->prepare_update(&arena, next, obj);
        if (stored->prepare_status) stored->prepare_status(&arena, next, obj);
        cr_assert(msg_equal(next, obj), "%s", k->name);
        arena_done(&arena);
    }
    ASSERT_NO_LEAKS();
}
