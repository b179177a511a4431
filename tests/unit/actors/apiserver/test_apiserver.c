// Writes to the API server as its clients see them, in the simulator on a store in memory. The
// lines of "Semantics that are easily got wrong" about the API server each have a test here or in
// test_apiserver_reads.c.
#include "k8s/apps_v1.pb-c.h"
#include "tests/support/api_rig.h"
#include "tests/support/leaks.h"
#include "troupe/chaos.pb-c.h"

#define POD(name)                                                                \
    "{kind: Pod, apiVersion: v1, metadata: {name: " name ", labels: {app: " name \
    "}}, spec: {containers: [{name: c, image: nginx}]}}"
#define CONFIG(name, value) \
    "{kind: ConfigMap, apiVersion: v1, metadata: {name: " name "}, data: {k: \"" value "\"}}"
#define DEPLOYMENT(name, replicas)                                                         \
    "{kind: Deployment, apiVersion: apps/v1, metadata: {name: " name                       \
    "}, spec: {replicas: " replicas                                                        \
    ", selector: {matchLabels: {app: x}}, template: {metadata: {labels: {app: x}}, spec: " \
    "{containers: [{name: c, image: nginx}]}}}}"
#define SERVICE(name, rest)                                                                      \
    "{kind: Service, apiVersion: v1, metadata: {name: " name "}, spec: {selector: {a: b}, " rest \
    "}}"
#define ANY_LIST (&(Api__List)API__LIST__INIT)

// PUT rig->obj as it stands.
static const char *put_obj(api_rig_t *rig, const char *api_version, const char *kind,
                           const char *name, const char *subresource) {
    Api__Resource resource = rig_resource(rig, api_version, kind, "default", name);
    resource.subresource = (char *)subresource;
    bytes_t packed = msg_pack(&rig->arena, rig->obj);
    Api__Update update = API__UPDATE__INIT;
    update.resource = &resource;
    update.object = (ProtobufCBinaryData){packed.len, (uint8_t *)packed.at};
    return rig_ask(rig, &update.base);
}

// ---- the start ----------------------------------------------------------------------------------
Test(apiserver, four_namespaces_and_the_kubernetes_service_exist_from_the_start)
{
    api_rig_t *rig = rig_new(1);
    cr_expect_str_eq(rig_list(rig, "v1", "Namespace", ANY_LIST),
                     "default kube-node-lease kube-public kube-system");
    rig_get(rig, "v1", "Service", "default", "kubernetes");
    cr_expect_str_eq(rig_field(rig, "spec.clusterIP"), "10.96.0.1");
    cr_expect_str_eq(fake_store_value(rig->store, "/troupe/alloc/ip/10.96.0.1"),
                     "default/kubernetes");
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

Test(apiserver, the_kubernetes_service_comes_back_when_it_is_deleted)
{
    api_rig_t *rig = rig_new(1);
    cr_expect_str_eq(rig_delete(rig, "v1", "Service", "default", "kubernetes"), "DELETED");
    rig_run(rig, 200);
    rig_get(rig, "v1", "Service", "default", "kubernetes");
    cr_expect_str_eq(rig_field(rig, "spec.clusterIP"), "10.96.0.1");
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

// ---- create -------------------------------------------------------------------------------------
Test(apiserver, a_new_object_gets_uid_time_namespace_and_revision)
{
    api_rig_t *rig = rig_new(1);
    cr_expect_str_eq(rig_create(rig, POD("a")), "CREATED");
    cr_expect_str_eq(rig_field(rig, "status.phase"), "Pending");
    cr_expect_str_eq(rig_field(rig, "metadata.namespace"), "default");
    cr_expect_eq(strlen(rig_field(rig, "metadata.uid")), 36);
    cr_expect_str_neq(rig_field(rig, "metadata.creationTimestamp"), "");
    cr_expect_eq(strtoll(rig_field(rig, "metadata.resourceVersion"), NULL, 10), rig->revision);
    cr_expect_str_eq(rig_field(rig, "spec.serviceAccountName"), "default");
    cr_expect_str_eq(rig_field(rig, "spec.tolerations[0].tolerationSeconds"), "300");
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

Test(apiserver, a_pod_tolerates_a_lost_node_for_as_long_as_the_cluster_says)
{
    apiserver_args_t args = apiserver_args_default;
    args.default_toleration_seconds = 1;
    api_rig_t *rig = rig_new_with(1, &args);
    rig_create(rig, POD("a"));
    cr_expect_str_eq(rig_field(rig, "spec.tolerations[0].key"), "node.kubernetes.io/not-ready");
    cr_expect_str_eq(rig_field(rig, "spec.tolerations[0].tolerationSeconds"), "1");
    cr_expect_str_eq(rig_field(rig, "spec.tolerations[1].key"), "node.kubernetes.io/unreachable");
    cr_expect_str_eq(rig_field(rig, "spec.tolerations[1].tolerationSeconds"), "1");
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

Test(apiserver, a_generated_name_is_new_each_time)
{
    api_rig_t *rig = rig_new(1);
    for (int i = 0; i < 3; i++) {
        const char *text = "{kind: ConfigMap, apiVersion: v1, metadata: {generateName: cm-}}";
        cr_expect_str_eq(rig_create(rig, text), "CREATED");
        cr_expect(has_prefix(rig_field(rig, "metadata.name"), "cm-"));
        cr_expect_eq(strlen(rig_field(rig, "metadata.name")), 8);
    }
    cr_expect_eq(fake_store_count(rig->store, "/registry/configmaps/default/cm-"), 3);
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

Test(apiserver, bad_creates_are_refused_to_the_letter_and_change_nothing)
{
    static const struct {
        const char *object, *says;
    } rows[] = {
        {CONFIG("there", "1"), "configmaps \"there\" already exists"},
        {"{kind: ConfigMap, apiVersion: v1, metadata: {name: a, resourceVersion: \"7\"}}",
         "resourceVersion should not be set on objects to be created"},
        {"{kind: ConfigMap, apiVersion: v1, metadata: {name: a, namespace: nowhere}}",
         "namespaces \"nowhere\" not found"},
        {SERVICE("x", "type: NodePort, ports: [{port: 80, nodePort: 80}]"),
         "Service \"x\" is invalid: spec.ports[0].nodePort: Invalid value: 80: provided port is "
         "not in the valid range. The range of valid ports is 30000-32767"},
        {SERVICE("x", "clusterIP: 10.96.0.1, ports: [{port: 80}]"),
         "Service \"x\" is invalid: spec.clusterIPs: Invalid value: []string{\"10.96.0.1\"}: "
         "failed to allocate IP 10.96.0.1: provided IP is already allocated"},
        {SERVICE("x", "clusterIP: 10.97.0.1, ports: [{port: 80}]"),
         "Service \"x\" is invalid: spec.clusterIPs: Invalid value: []string{\"10.97.0.1\"}: "
         "failed to allocate IP 10.97.0.1: the provided network does not match the current range"},
    };
    api_rig_t *rig = rig_new(1);
    rig_create(rig, CONFIG("there", "1"));
    int64_t before = fake_store_revision(rig->store);
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        const char *says = rig_create(rig, rows[i].object);
        cr_expect_str_eq(says, rows[i].says, "row %zu: %s", i, says);
    }
    cr_expect_eq(fake_store_revision(rig->store), before);
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

Test(apiserver, what_does_not_exist_is_named_as_kubernetes_names_it)
{
    api_rig_t *rig = rig_new(1);
    cr_expect_str_eq(rig_get(rig, "apps/v1", "Deployment", "default", "x"),
                     "deployments.apps \"x\" not found");
    cr_expect_str_eq(rig_get(rig, "v1", "Node", "", "x"), "nodes \"x\" not found");
    cr_expect_str_eq(rig_delete(rig, "v1", "Pod", "default", "x"), "pods \"x\" not found");
    cr_expect_str_eq(rig_update(rig, POD("x"), ""), "pods \"x\" not found");
    cr_expect_eq(rig->err, ERR_NOT_FOUND);
    Api__Resource resource = API__RESOURCE__INIT;
    resource.version = "v1";
    resource.plural = "nonsense";
    resource.name = "x";
    Api__Get get = API__GET__INIT;
    get.resource = &resource;
    cr_expect_str_eq(rig_ask(rig, &get.base), "the server could not find the requested resource");
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

Test(apiserver, a_body_that_cannot_be_read_is_a_bad_request)
{
    api_rig_t *rig = rig_new(1);
    Api__Resource resource = rig_resource(rig, "v1", "Pod", "default", "");
    Api__Create create = API__CREATE__INIT;
    create.resource = &resource;
    create.object = (ProtobufCBinaryData){3, (uint8_t *)"\x0a\x7f\x01"};
    const char *says = rig_ask(rig, &create.base);
    cr_expect(has_prefix(says, "Pod in version \"v1\" cannot be handled as a Pod: "), "%s", says);
    cr_expect_eq(rig->err, ERR_BAD_REQUEST);
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

Test(apiserver, a_dry_run_answers_and_writes_nothing)
{
    api_rig_t *rig = rig_new(1);
    int64_t before = fake_store_revision(rig->store);
    Api__Resource resource = rig_resource(rig, "v1", "Service", "default", "");
    Core__Service svc = CORE__SERVICE__INIT;
    object_meta(&rig->arena, &svc.base)->name = "s";
    Core__ServiceSpec spec = CORE__SERVICE_SPEC__INIT;
    Core__ServicePort port = CORE__SERVICE_PORT__INIT, *ports[1] = {&port};
    port.has_port = true;
    port.port = 80;
    spec.n_ports = 1;
    spec.ports = ports;
    svc.spec = &spec;
    bytes_t packed = msg_pack(&rig->arena, &svc.base);
    Api__Create create = API__CREATE__INIT;
    create.resource = &resource;
    create.object = (ProtobufCBinaryData){packed.len, (uint8_t *)packed.at};
    create.dry_run = true;
    cr_expect_str_eq(rig_ask(rig, &create.base), "CREATED");
    cr_expect(has_prefix(rig_field(rig, "spec.clusterIP"), "10.96."));
    cr_expect_eq(fake_store_revision(rig->store), before);
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

// ---- update -------------------------------------------------------------------------------------
Test(apiserver, an_update_that_changes_nothing_writes_nothing)
{
    api_rig_t *rig = rig_new(1);
    rig_create(rig, CONFIG("a", "1"));
    int64_t made = rig->revision;
    rig_watcher_t *w = rig_watch(rig, "w", &(rig_watch_t){"v1", "ConfigMap"});
    rig_seen(w);
    cr_expect_str_eq(rig_update(rig, CONFIG("a", "1"), ""), "UNCHANGED");
    cr_expect_eq(rig->revision, made);
    cr_expect_eq(fake_store_revision(rig->store), made);
    cr_expect_str_eq(rig_update(rig, CONFIG("a", "2"), ""), "CONFIGURED");
    cr_expect_eq(rig->revision, made + 1);
    rig_run(rig, 50);
    cr_expect_str_eq(rig_seen(w), "MODIFIED default/a\n");
    rig_destroy(&rig);
    rig_watcher_free(&w);
    ASSERT_NO_LEAKS();
}

Test(apiserver, an_update_holds_to_the_revision_it_names)
{
    api_rig_t *rig = rig_new(1);
    rig_create(rig, CONFIG("a", "1"));
    const char *text = arena_printf(&rig->arena,
                                    "{kind: ConfigMap, apiVersion: v1, metadata: {name: a, "
                                    "resourceVersion: \"%lld\"}, data: {k: b}}",
                                    (long long)rig->revision);
    cr_expect_str_eq(rig_update(rig, text, ""), "CONFIGURED");
    cr_expect_str_eq(rig_update(rig, text, ""),
                     "Operation cannot be fulfilled on configmaps \"a\": the object has been "
                     "modified; please apply your changes to the latest version and try again");
    cr_expect_eq(rig->err, ERR_CONFLICT);
    text = "{kind: ConfigMap, apiVersion: v1, metadata: {name: a, resourceVersion: x}}";
    cr_expect_str_eq(rig_update(rig, text, ""),
                     "ConfigMap \"a\" is invalid: metadata.resourceVersion: Invalid value: \"x\": "
                     "strconv.ParseUint: parsing \"x\": invalid syntax");
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

Test(apiserver, a_lease_must_say_which_revision_it_updates)
{
    api_rig_t *rig = rig_new(1);
    const char *lease = "{kind: Lease, apiVersion: coordination.k8s.io/v1, metadata: {name: a}, "
                        "spec: {holderIdentity: x, leaseDurationSeconds: 40}}";
    cr_expect_str_eq(rig_update(rig, lease, ""), "CREATED", "PUT of what is not there makes it");
    cr_expect_str_eq(rig_update(rig, lease, ""),
                     "leases.coordination.k8s.io \"a\" is invalid: metadata.resourceVersion: "
                     "Invalid value: 0x0: must be specified for an update");
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

Test(apiserver, the_generation_moves_with_the_wish_only)
{
    api_rig_t *rig = rig_new(1);
    rig_create(rig, DEPLOYMENT("d", "2"));
    cr_expect_str_eq(rig_field(rig, "metadata.generation"), "1");
    rig_update(rig, DEPLOYMENT("d", "3"), "");
    cr_expect_str_eq(rig_field(rig, "metadata.generation"), "2");
    Apps__Deployment *d = (Apps__Deployment *)rig->obj;
    d->metadata->resourceversion = "";
    d->status = msg_new(&rig->arena, &apps__deployment_status__descriptor);
    d->status->has_replicas = true;
    d->status->replicas = 3;
    d->spec->replicas = 7;
    cr_expect_str_eq(put_obj(rig, "apps/v1", "Deployment", "d", "status"), "CONFIGURED");
    cr_expect_str_eq(rig_field(rig, "metadata.generation"), "2");
    cr_expect_str_eq(rig_field(rig, "status.replicas"), "3");
    cr_expect_str_eq(rig_field(rig, "spec.replicas"), "3", "PUT of the status ignores the spec");
    cr_expect_str_eq(rig_update(rig, DEPLOYMENT("d", "3"), ""), "UNCHANGED",
                     "PUT of the rest ignores the status");
    cr_expect_str_eq(rig_field(rig, "status.replicas"), "3");
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

Test(apiserver, an_update_must_name_its_object)
{
    api_rig_t *rig = rig_new(1);
    rig_create(rig, CONFIG("a", "1"));
    cr_expect_str_eq(put_obj(rig, "v1", "ConfigMap", "b", ""),
                     "the name of the object (a) does not match the name on the URL (b)");
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

Test(apiserver, a_write_behind_the_caches_back_is_written_upon_not_over)
{
    api_rig_t *rig = rig_new(1);
    rig_create(rig, CONFIG("a", "1"));
    // The feed is held back: the cache does not see what is written.
    Actor__FaultRule rule = {PROTOBUF_C_MESSAGE_INIT(&actor__fault_rule__descriptor)};
    rule.name = "hold";
    rule.from = "store/*";
    rule.to = "apiserver/*";
    rule.type = "troupe.store.WatchEvents";
    rule.kind = ACTOR__FAULT_RULE__KIND__DELAY;
    rule.delay_ms = 1000;
    sim_set_fault(rig->sim, &rule);
    for (int i = 0; i < 4; i++) {
        const char *text =
            arena_printf(&rig->arena,
                         "{kind: ConfigMap, apiVersion: v1, metadata: {name: a}, data: {k: v%d}}",
                         i);
        cr_expect_str_eq(rig_update(rig, text, ""), "CONFIGURED");
    }
    cr_expect_str_eq(rig_field(rig, "data[k]"), "v3");
    cr_expect_str_eq(rig_delete(rig, "v1", "ConfigMap", "default", "a"), "DELETED");
    cr_expect_str_eq(rig_delete(rig, "v1", "ConfigMap", "default", "a"),
                     "configmaps \"a\" not found");
    cr_expect_str_eq(rig_create(rig, CONFIG("a", "new")), "CREATED");
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

// ---- patch --------------------------------------------------------------------------------------
Test(apiserver, patches_of_all_kinds_are_taken)
{
    static const struct {
        Api__Patch__Type type;
        const char *json, *says, *image, *replicas;
    } rows[] = {
        {API__PATCH__TYPE__MERGE, "{\"spec\":{\"replicas\":4}}", "CONFIGURED", "nginx", "4"},
        {API__PATCH__TYPE__JSON, "[{\"op\":\"replace\",\"path\":\"/spec/replicas\",\"value\":5}]",
         "CONFIGURED", "nginx", "5"},
        {API__PATCH__TYPE__STRATEGIC,
         "{\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"b\"}]}}}}",
         "CONFIGURED", "b", "2"},
        {API__PATCH__TYPE__MERGE, "{\"spec\":{\"replicas\":2}}", "UNCHANGED", "nginx", "2"},
    };
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        api_rig_t *rig = rig_new(1);
        rig_create(rig, DEPLOYMENT("d", "2"));
        const char *says =
            rig_patch(rig, "apps/v1", "Deployment", "default", "d", "", rows[i].type, rows[i].json);
        cr_expect_str_eq(says, rows[i].says, "row %zu: %s", i, says);
        if (!rig->err) {
            cr_expect_str_eq(rig_field(rig, "spec.template.spec.containers[0].image"),
                             rows[i].image, "row %zu", i);
            cr_expect_str_eq(rig_field(rig, "spec.replicas"), rows[i].replicas, "row %zu", i);
        }
        rig_destroy(&rig);
    }
    ASSERT_NO_LEAKS();
}

Test(apiserver, apply_creates_then_configures_then_leaves_alone)
{
    api_rig_t *rig = rig_new(1);
    const char *file = "{kind: Deployment, apiVersion: extensions/v1beta1, metadata: {name: d}, "
                       "spec: {replicas: 3, template: {metadata: {labels: {app: w}}, spec: "
                       "{containers: [{name: nginx, image: nginx}]}}}}";
    cr_expect_str_eq(rig_apply(rig, file), "CREATED");
    cr_expect_str_eq(rig->kind->group, "extensions");
    cr_expect_str_eq(rig_apply(rig, file), "UNCHANGED");
    // What somebody else set stays.
    rig_patch(rig, "apps/v1", "Deployment", "default", "d", "", API__PATCH__TYPE__MERGE,
              "{\"metadata\":{\"labels\":{\"mine\":\"1\"}}}");
    cr_expect_str_eq(rig_apply(rig, file), "UNCHANGED");
    const char *more = "{kind: Deployment, apiVersion: extensions/v1beta1, metadata: {name: d}, "
                       "spec: {replicas: 5, template: {metadata: {labels: {app: w}}, spec: "
                       "{containers: [{name: nginx, image: nginx}]}}}}";
    cr_expect_str_eq(rig_apply(rig, more), "CONFIGURED");
    cr_expect_str_eq(rig_field(rig, "spec.replicas"), "5");
    cr_expect_str_eq(rig_field(rig, "metadata.labels[mine]"), "1");
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

// ---- versions -----------------------------------------------------------------------------------
Test(apiserver, the_answer_is_in_the_version_that_was_asked_for)
{
    api_rig_t *rig = rig_new(1);
    const char *old = "{kind: Deployment, apiVersion: extensions/v1beta1, metadata: {name: "
                      "nginx-deploy}, spec: {replicas: 3, template: {metadata: {labels: {app: "
                      "web-server}}, spec: {containers: [{name: nginx, image: nginx}]}}}}";
    cr_expect_str_eq(rig_create(rig, old), "CREATED");
    cr_expect_str_eq(rig->kind->group, "extensions");
    rig_get(rig, "apps/v1", "Deployment", "default", "nginx-deploy");
    cr_expect_str_eq(rig->kind->group, "apps");
    cr_expect_str_eq(rig_field(rig, "spec.selector.matchLabels[app]"), "web-server");
    rig_watch_t watch = {"extensions/v1beta1", "Deployment", .shows = "spec.replicas"};
    rig_watcher_t *w = rig_watch(rig, "w", &watch);
    cr_expect_str_eq(rig_seen(w), "ADDED default/nginx-deploy 3\nMARK\n");
    rig_destroy(&rig);
    rig_watcher_free(&w);
    ASSERT_NO_LEAKS();
}

// ---- pods: binding, deletion --------------------------------------------------------------------
Test(apiserver, a_pod_is_bound_once)
{
    api_rig_t *rig = rig_new(1);
    rig_create(rig, POD("a"));
    cr_expect_str_eq(rig_bind(rig, "default", "a", "n1"), "CONFIGURED");
    cr_expect_str_eq(rig_field(rig, "spec.nodeName"), "n1");
    cr_expect_str_eq(rig_field(rig, "status.conditions[0].type"), "PodScheduled");
    cr_expect_str_eq(rig_field(rig, "status.conditions[0].status"), "True");
    cr_expect_str_eq(rig_bind(rig, "default", "a", "n2"),
                     "Operation cannot be fulfilled on pods/binding \"a\": pod a is already "
                     "assigned to node \"n1\"");
    cr_expect_str_eq(rig_bind(rig, "default", "b", "n2"), "pods \"b\" not found");
    cr_expect_str_eq(rig_bind(rig, "default", "a", ""),
                     "Binding \"a\" is invalid: target.name: Required value");
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

Test(apiserver, a_bound_pod_is_deleted_in_two_steps)
{
    api_rig_t *rig = rig_new(1);
    rig_create(rig, POD("a"));
    rig_bind(rig, "default", "a", "n1");
    cr_expect_str_eq(rig_delete(rig, "v1", "Pod", "default", "a"), "DELETING");
    cr_expect_str_eq(rig_field(rig, "metadata.deletionGracePeriodSeconds"), "30");
    cr_expect_str_neq(rig_field(rig, "metadata.deletionTimestamp"), "");
    int64_t marked = rig->revision;
    const char *uid = rig_field(rig, "metadata.uid");
    cr_expect_str_eq(rig_delete(rig, "v1", "Pod", "default", "a"), "DELETING");
    cr_expect_eq(rig->revision, marked, "again: nothing changes");
    Api__Delete options = API__DELETE__INIT;
    options.has_grace = true;
    options.grace_seconds = 60;
    rig_delete_with(rig, "v1", "Pod", "default", "a", &options);
    cr_expect_eq(rig->revision, marked, "grace does not grow");
    options.grace_seconds = 5;
    cr_expect_str_eq(rig_delete_with(rig, "v1", "Pod", "default", "a", &options), "DELETING");
    cr_expect_str_eq(rig_field(rig, "metadata.deletionGracePeriodSeconds"), "5", "it shrinks");
    options.grace_seconds = 0;
    options.uid = "another";
    cr_expect(has_prefix(rig_delete_with(rig, "v1", "Pod", "default", "a", &options),
                         "Operation cannot be fulfilled on Pod \"a\": the UID in the precondition "
                         "(another) does not"));
    options.uid = (char *)uid;
    cr_expect_str_eq(rig_delete_with(rig, "v1", "Pod", "default", "a", &options), "DELETED");
    cr_expect_str_eq(rig_get(rig, "v1", "Pod", "default", "a"), "pods \"a\" not found");
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

Test(apiserver, a_pod_without_a_node_or_a_finished_one_goes_at_once)
{
    api_rig_t *rig = rig_new(1);
    rig_create(rig, POD("unbound"));
    cr_expect_str_eq(rig_delete(rig, "v1", "Pod", "default", "unbound"), "DELETED");
    rig_create(rig, POD("done"));
    rig_bind(rig, "default", "done", "n1");
    ((Core__Pod *)rig->obj)->status->phase = "Succeeded";
    cr_expect_str_eq(put_obj(rig, "v1", "Pod", "done", "status"), "CONFIGURED");
    cr_expect_str_eq(rig_delete(rig, "v1", "Pod", "default", "done"), "DELETED");
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

Test(apiserver, finalizers_hold_an_object_until_the_last_is_taken)
{
    api_rig_t *rig = rig_new(1);
    rig_create(rig, "{kind: ConfigMap, apiVersion: v1, metadata: {name: a, finalizers: "
                    "[example.com/x]}}");
    cr_expect_str_eq(rig_delete(rig, "v1", "ConfigMap", "default", "a"), "DELETING");
    cr_expect_str_eq(rig_field(rig, "metadata.deletionGracePeriodSeconds"), "0");
    cr_expect_str_eq(rig_create(rig, CONFIG("a", "1")),
                     "object is being deleted: configmaps \"a\" already exists");
    cr_expect_str_eq(rig_update(rig, "{kind: ConfigMap, apiVersion: v1, metadata: {name: a}}", ""),
                     "DELETED");
    cr_expect_eq(fake_store_count(rig->store, "/registry/configmaps/"), 0);
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

Test(apiserver, propagation_leaves_its_finalizer)
{
    static const struct {
        const char *propagation, *finalizer, *says;
    } rows[] = {
        {"Foreground", "foregroundDeletion", "DELETING"},
        {"Orphan", "orphan", "DELETING"},
        {"Background", NULL, "DELETED"},
        {"Sideways", NULL,
         "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: "
         "\"Sideways\": supported values: \"Foreground\", \"Background\", \"Orphan\""},
    };
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        api_rig_t *rig = rig_new(1);
        rig_create(rig, DEPLOYMENT("d", "1"));
        Api__Delete options = API__DELETE__INIT;
        options.propagation = (char *)rows[i].propagation;
        const char *says = rig_delete_with(rig, "apps/v1", "Deployment", "default", "d", &options);
        cr_expect_str_eq(says, rows[i].says, "row %zu: %s", i, says);
        if (rows[i].finalizer)
            cr_expect_str_eq(rig_field(rig, "metadata.finalizers[0]"), rows[i].finalizer);
        rig_destroy(&rig);
    }
    ASSERT_NO_LEAKS();
}

Test(apiserver, a_collection_is_deleted_as_selected)
{
    api_rig_t *rig = rig_new(1);
    for (int i = 0; i < 40; i++)
        rig_create(rig, arena_printf(&rig->arena,
                                     "{kind: ConfigMap, apiVersion: v1, metadata: {name: c%02d, "
                                     "labels: {last: \"%d\"}}}",
                                     i, i % 10));
    Api__Resource resource = rig_resource(rig, "v1", "ConfigMap", "default", "");
    Api__DeleteCollection sweep = API__DELETE_COLLECTION__INIT;
    sweep.resource = &resource;
    sweep.label_selector = "last!=3";
    void *reply;
    why_t why;
    cr_assert_eq(sim_ask(rig->sim, "test/t", "apiserver", &sweep.base, 5000, &rig->arena,
                         &api__delete_collection_reply__descriptor, &reply, &why),
                 ERR_OK, "%s", why.text);
    cr_expect_eq(((Api__DeleteCollectionReply *)reply)->deleted, 36);
    cr_expect_str_eq(rig_list(rig, "v1", "ConfigMap", ANY_LIST), "c03 c13 c23 c33");
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

Test(apiserver, only_administrators_set_and_clear_faults)
{
    api_rig_t *rig = rig_new(1);
    Chaos__Order order = {PROTOBUF_C_MESSAGE_INIT(&chaos__order__descriptor)};
    order.process = "nowhere";
    Chaos__Order *orders[] = {&order};
    Chaos__Inject inject = {PROTOBUF_C_MESSAGE_INIT(&chaos__inject__descriptor)};
    inject.orders = orders, inject.n_orders = 1;
    Actor__ClearFaults clear = {PROTOBUF_C_MESSAGE_INIT(&actor__clear_faults__descriptor)};
    static const char *const strangers[] = {"kubelet/n1", "scheduler/m1", "proxy/n1"};
    void *reply;
    why_t why;
    for (size_t i = 0; i < LENGTH_OF(strangers); i++) {
        cr_expect_eq(sim_ask(rig->sim, strangers[i], "apiserver", &inject.base, 5000, &rig->arena,
                             &chaos__injected__descriptor, &reply, &why),
                     ERR_FORBIDDEN);
        cr_expect_eq(sim_ask(rig->sim, strangers[i], "apiserver", &clear.base, 5000, &rig->arena,
                             &actor__done__descriptor, &reply, &why),
                     ERR_FORBIDDEN);
    }
    cr_assert_eq(sim_ask(rig->sim, "cli/1", "apiserver", &inject.base, 5000, &rig->arena,
                         &chaos__injected__descriptor, &reply, &why),
                 ERR_OK);
    const Chaos__Injected *done = reply; // a process that is not there is named
    cr_assert_eq(done->n_failed, 1);
    cr_assert_str_eq(done->failed[0]->process, "nowhere");
    cr_assert_eq(done->failed[0]->err, ERR_UNAVAILABLE);
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

// ---- namespaces ---------------------------------------------------------------------------------
Test(apiserver, a_namespace_terminates_then_is_finalized)
{
    api_rig_t *rig = rig_new(1);
    const char *team = "{kind: Namespace, apiVersion: v1, metadata: {name: team}}";
    rig_create(rig, team);
    cr_expect_str_eq(rig_field(rig, "status.phase"), "Active");
    cr_expect_str_eq(rig_field(rig, "spec.finalizers[0]"), "kubernetes");
    cr_expect_str_eq(rig_delete(rig, "v1", "Namespace", "", "team"), "DELETING");
    cr_expect_str_eq(rig_field(rig, "status.phase"), "Terminating");
    cr_expect_str_eq(
        rig_create(rig, "{kind: ConfigMap, apiVersion: v1, metadata: {name: a, namespace: team}}"),
        "configmaps \"a\" is forbidden: unable to create new content in namespace team because it "
        "is being terminated");
    cr_expect_str_eq(rig_update(rig, team, "finalize"), "DELETED");
    cr_expect_str_eq(rig_get(rig, "v1", "Namespace", "", "team"), "namespaces \"team\" not found");
    cr_expect_str_eq(rig_delete(rig, "v1", "Namespace", "", "default"),
                     "namespaces \"default\" is forbidden: this namespace may not be deleted");
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

// ---- services -----------------------------------------------------------------------------------
Test(apiserver, a_service_keeps_what_a_put_leaves_out)
{
    api_rig_t *rig = rig_new(1);
    const char *text = SERVICE("s", "type: NodePort, ports: [{port: 80}]");
    cr_expect_str_eq(rig_create(rig, text), "CREATED");
    const char *ip = rig_field(rig, "spec.clusterIP");
    const char *port = rig_field(rig, "spec.ports[0].nodePort");
    cr_expect(has_prefix(ip, "10.96."));
    cr_expect_geq(strtol(port, NULL, 10), 30000);
    cr_expect_str_eq(rig_update(rig, text, ""), "UNCHANGED");
    text = SERVICE("s", "type: NodePort, ports: [{port: 80, targetPort: 8080}]");
    cr_expect_str_eq(rig_update(rig, text, ""), "CONFIGURED");
    cr_expect_str_eq(rig_field(rig, "spec.clusterIP"), ip);
    cr_expect_str_eq(rig_field(rig, "spec.ports[0].nodePort"), port);
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

Test(apiserver, addresses_of_services_neither_leak_nor_double)
{
    api_rig_t *rig = rig_new(1);
    const char *fixed = "type: NodePort, ports: [{port: 80, nodePort: 30000}]";
    const char *t = arena_printf(&rig->arena, SERVICE("t", "%s"), fixed);
    size_t before = fake_store_count(rig->store, "/troupe/alloc/");
    rig_create(rig, arena_printf(&rig->arena, SERVICE("s", "%s"), fixed));
    cr_expect_eq(fake_store_count(rig->store, "/troupe/alloc/"), before + 2);
    cr_expect_str_eq(fake_store_value(rig->store, "/troupe/alloc/port/30000"), "default/s");
    cr_expect_str_eq(rig_create(rig, t),
                     "Service \"t\" is invalid: spec.ports[0].nodePort: Invalid value: 30000: "
                     "provided port is already allocated");
    cr_expect_str_eq(rig_update(rig, SERVICE("s", "type: ClusterIP, ports: [{port: 80}]"), ""),
                     "CONFIGURED");
    cr_expect_eq(fake_store_count(rig->store, "/troupe/alloc/"), before + 1,
                 "the type's change gave the port back");
    cr_expect_str_eq(rig_create(rig, t), "CREATED");
    rig_delete(rig, "v1", "Service", "default", "t");
    rig_delete(rig, "v1", "Service", "default", "s");
    cr_expect_eq(fake_store_count(rig->store, "/troupe/alloc/"), before);
    rig_create(rig, SERVICE("h", "clusterIP: None, ports: [{port: 80}]"));
    cr_expect_eq(fake_store_count(rig->store, "/troupe/alloc/"), before,
                 "a headless one holds none");
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

Test(apiserver, an_address_taken_behind_the_caches_back_is_not_given_twice)
{
    api_rig_t *rig = rig_new(1);
    fake_store_put(rig->store, "/troupe/alloc/port/30001", "default/other");
    cr_expect_str_eq(
        rig_create(rig, SERVICE("t", "type: NodePort, ports: [{port: 80, nodePort: 30001}]")),
        "Service \"t\" is invalid: spec.ports[0].nodePort: Invalid value: 30001: provided port is "
        "already allocated");
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

// ---- scale --------------------------------------------------------------------------------------
Test(apiserver, the_scale_of_a_deployment_is_read_and_written)
{
    api_rig_t *rig = rig_new(1);
    rig_create(rig, DEPLOYMENT("d", "2"));
    Api__Resource resource = rig_resource(rig, "apps/v1", "Deployment", "default", "d");
    resource.subresource = "scale";
    Api__Get get = API__GET__INIT;
    get.resource = &resource;
    rig_ask(rig, &get.base);
    cr_expect_str_eq(rig->kind->name, "Scale");
    cr_expect_str_eq(rig_field(rig, "spec.replicas"), "2");
    cr_expect_str_eq(rig_field(rig, "status.selector"), "app=x");
    cr_expect_str_eq(put_obj(rig, "apps/v1", "Deployment", "d", "scale"), "UNCHANGED");
    cr_expect_str_eq(rig_patch(rig, "apps/v1", "Deployment", "default", "d", "scale",
                               API__PATCH__TYPE__MERGE, "{\"spec\":{\"replicas\":6}}"),
                     "CONFIGURED");
    rig_get(rig, "apps/v1", "Deployment", "default", "d");
    cr_expect_str_eq(rig_field(rig, "spec.replicas"), "6");
    cr_expect_str_eq(rig_field(rig, "metadata.generation"), "2");
    cr_expect_str_eq(rig_patch(rig, "apps/v1", "Deployment", "default", "d", "scale",
                               API__PATCH__TYPE__MERGE, "{\"spec\":{\"replicas\":-1}}"),
                     "Scale.autoscaling \"d\" is invalid: spec.replicas: Invalid value: -1: must "
                     "be greater than or equal to 0");
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

// ---- events -------------------------------------------------------------------------------------
Test(apiserver, events_are_kept_for_their_time_only)
{
    apiserver_args_t args = apiserver_args_default;
    args.event_ttl_ms = 60 * 1000;
    api_rig_t *rig = rig_new_with(1, &args);
    const char *event = "{kind: Event, apiVersion: v1, metadata: {name: a.1}, involvedObject: "
                        "{kind: Pod, name: a, namespace: default}, reason: R, type: Normal}";
    cr_expect_str_eq(rig_create(rig, event), "CREATED");
    rig_run(rig, 59 * 1000);
    cr_expect_eq(fake_store_count(rig->store, "/registry/events/"), 1);
    rig_run(rig, 10 * 1000);
    cr_expect_eq(fake_store_count(rig->store, "/registry/events/"), 0);
    cr_expect_str_eq(rig_list(rig, "v1", "Event", ANY_LIST), "");
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}
