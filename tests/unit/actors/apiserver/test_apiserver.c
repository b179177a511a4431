// The API server as its clients see it, in the simulator on a store in memory.
#include "tests/support/api_rig.h"
#include "tests/support/leaks.h"

#define POD(name)                                                                \
    "{kind: Pod, apiVersion: v1, metadata: {name: " name ", labels: {app: " name \
    "}}, spec: {containers: [{name: c, image: nginx}]}}"

Test(apiserver, four_namespaces_and_the_kubernetes_service_exist_from_the_start)
{
    api_rig_t *rig = rig_new(1);
    cr_expect_str_eq(rig_list(rig, "v1", "Namespace", &(Api__List)API__LIST__INIT),
                     "default kube-node-lease kube-public kube-system");
    rig_get(rig, "v1", "Service", "default", "kubernetes");
    cr_expect_str_eq(rig_field(rig, "spec.clusterIP"), "10.96.0.1");
    cr_expect_str_eq(fake_store_value(rig->store, "/troupe/alloc/ip/10.96.0.1"),
                     "default/kubernetes");
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

Test(apiserver, a_pod_is_created_bound_reported_and_deleted_in_two_steps)
{
    api_rig_t *rig = rig_new(1);
    cr_expect_str_eq(rig_create(rig, POD("a")), "CREATED");
    cr_expect_str_eq(rig_field(rig, "status.phase"), "Pending");
    cr_expect_str_eq(rig_field(rig, "metadata.namespace"), "default");
    cr_expect_eq(strlen(rig_field(rig, "metadata.uid")), 36);
    cr_expect_str_eq(rig_bind(rig, "default", "a", "n1"), "CONFIGURED");
    cr_expect_str_eq(rig_get(rig, "v1", "Pod", "default", "a"), "UNCHANGED");
    cr_expect_str_eq(rig_field(rig, "spec.nodeName"), "n1");
    cr_expect_str_eq(rig_field(rig, "status.conditions[0].type"), "PodScheduled");
    cr_expect_str_eq(rig_delete(rig, "v1", "Pod", "default", "a"), "DELETING");
    cr_expect_str_eq(rig_field(rig, "metadata.deletionGracePeriodSeconds"), "30");
    Api__Delete now = API__DELETE__INIT;
    now.has_grace = true;
    now.uid = rig_field(rig, "metadata.uid");
    cr_expect_str_eq(rig_delete_with(rig, "v1", "Pod", "default", "a", &now), "DELETED");
    cr_expect_str_eq(rig_get(rig, "v1", "Pod", "default", "a"), "pods \"a\" not found");
    cr_expect_eq(rig->err, ERR_NOT_FOUND);
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}
