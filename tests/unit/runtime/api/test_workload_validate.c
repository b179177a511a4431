// workload_validate - Deployment and ReplicaSet, row by row.
#include "support/leaks.h"
#include "support/valid.h"

static const char deployment[] = "apiVersion: apps/v1\n"
                                 "kind: Deployment\n"
                                 "metadata: {name: web}\n"
                                 "spec:\n"
                                 "  selector: {matchLabels: {app: web}}\n"
                                 "  template:\n"
                                 "    metadata: {labels: {app: web}}\n"
                                 "    spec: {containers: [{name: c, image: nginx}]}\n";
static const char replicaset[] = "apiVersion: apps/v1\n"
                                 "kind: ReplicaSet\n"
                                 "metadata: {name: web}\n"
                                 "spec:\n"
                                 "  selector: {matchLabels: {app: web}}\n"
                                 "  template:\n"
                                 "    metadata: {labels: {app: web}}\n"
                                 "    spec: {containers: [{name: c, image: nginx}]}\n";
#define SPEC(body)     "{\"spec\":{" body "}}"
#define TEMPLATE(body) SPEC("\"template\":{\"spec\":{" body "}}")

Test(workload_validate, a_deployment)
{
    static const valid_row_t rows[] = {
        {NULL, ""},
        {SPEC("\"replicas\":-1"),
         "spec.replicas: Invalid value: -1: must be greater than or equal to 0"},
        {SPEC("\"selector\":null"), "spec.selector: Required value"},
        {SPEC("\"selector\":{\"matchLabels\":null}"),
         "spec.selector: Invalid value: v1.LabelSelector{MatchLabels:map[string]string(nil), "
         "MatchExpressions:[]v1.LabelSelectorRequirement(nil)}: empty selector is invalid for "
         "deployment"},
        {SPEC("\"selector\":{\"matchLabels\":{\"app\":\"other\"}}"),
         "spec.template.metadata.labels: Invalid value: map[string]string{\"app\":\"web\"}: "
         "`selector` does not match template `labels`"},
        {SPEC("\"selector\":{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"Is\"}]}"),
         "spec.selector.matchExpressions[0].operator: Invalid value: \"Is\": not a valid selector "
         "operator\n"
         "spec.template.metadata.labels: Invalid value: map[string]string{\"app\":\"web\"}: "
         "`selector` does not match template `labels`"},
        {SPEC("\"selector\":{\"matchExpressions\":[{\"key\":\"app\",\"operator\":\"In\",\"values\":"
              "[\"web\"]}]}"),
         ""},
        {SPEC("\"strategy\":{\"type\":\"Blue\",\"rollingUpdate\":null}"),
         "spec.strategy: Unsupported value: \"Blue\": supported values: \"Recreate\", "
         "\"RollingUpdate\""},
        {SPEC("\"strategy\":{\"type\":\"Recreate\",\"rollingUpdate\":null}"), ""},
        {SPEC("\"strategy\":{\"$retainKeys\":[\"type\",\"rollingUpdate\"],\"type\":\"Recreate\","
              "\"rollingUpdate\":{\"maxSurge\":1}}"),
         "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is "
         "'Recreate'"},
        {SPEC("\"strategy\":{\"rollingUpdate\":{\"maxSurge\":0,\"maxUnavailable\":0}}"),
         "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when "
         "`maxSurge` is 0"},
        {SPEC("\"strategy\":{\"rollingUpdate\":{\"maxSurge\":\"lots\"}}"),
         "spec.strategy.rollingUpdate.maxSurge: Invalid value: \"lots\": a valid percent string "
         "must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for "
         "validation is '[0-9]+%')"},
        {SPEC("\"strategy\":{\"rollingUpdate\":{\"maxUnavailable\":\"101%\"}}"),
         "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"101%\": must not be greater "
         "than 100%"},
        {SPEC("\"minReadySeconds\":600"),
         "spec.progressDeadlineSeconds: Invalid value: 600: must be greater than minReadySeconds"},
        {SPEC("\"revisionHistoryLimit\":-1"),
         "spec.revisionHistoryLimit: Invalid value: -1: must be greater than or equal to 0"},
        {TEMPLATE("\"restartPolicy\":\"Never\""),
         "spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: "
         "\"Always\""},
        {TEMPLATE("\"activeDeadlineSeconds\":5"),
         "spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in ReplicaSet "
         "is not Supported"},
        {TEMPLATE("\"containers\":[{\"name\":\"c\",\"image\":\"\"}]"),
         "spec.template.spec.containers[0].image: Required value"},
        {TEMPLATE("\"containers\":[{\"name\":\"c\",\"ports\":[{\"containerPort\":99999}]}]"),
         "spec.template.spec.containers[0].ports[0].containerPort: Invalid value: 99999: must be "
         "between 1 and 65535, inclusive"},
    };
    valid_check_create(deployment, rows, LENGTH_OF(rows));
    ASSERT_NO_LEAKS();
}

Test(workload_validate, a_selector_stays)
{
    static const valid_row_t rows[] = {
        {SPEC("\"replicas\":5"), ""},
        {SPEC("\"selector\":{\"matchLabels\":{\"app\":\"web2\"}},\"template\":{\"metadata\":{"
              "\"labels\":{\"app\":\"web2\"}}}"),
         "spec.selector: Invalid value: "
         "v1.LabelSelector{MatchLabels:map[string]string{\"app\":\"web2\"}, "
         "MatchExpressions:[]v1.LabelSelectorRequirement(nil)}: field is immutable"},
    };
    valid_check_update(deployment, rows, LENGTH_OF(rows), false);
    valid_check_update(replicaset, rows, LENGTH_OF(rows), false);
    ASSERT_NO_LEAKS();
}

Test(workload_validate, counts_of_a_status_fit_each_other)
{
    static const valid_row_t of_deployment[] = {
        {"{\"status\":{\"replicas\":2,\"readyReplicas\":2,\"availableReplicas\":1}}", ""},
        {"{\"status\":{\"replicas\":1,\"updatedReplicas\":2}}",
         "status.updatedReplicas: Invalid value: 2: cannot be greater than status.replicas"},
        {"{\"status\":{\"replicas\":2,\"readyReplicas\":1,\"availableReplicas\":2}}",
         "status.availableReplicas: Invalid value: 2: cannot be greater than readyReplicas"},
        {"{\"status\":{\"unavailableReplicas\":-1}}",
         "status.unavailableReplicas: Invalid value: -1: must be greater than or equal to 0"},
    };
    static const valid_row_t of_replicaset[] = {
        {"{\"status\":{\"replicas\":1,\"fullyLabeledReplicas\":2}}",
         "status.fullyLabeledReplicas: Invalid value: 2: cannot be greater than status.replicas"},
    };
    valid_check_update(deployment, of_deployment, LENGTH_OF(of_deployment), true);
    valid_check_update(replicaset, of_replicaset, LENGTH_OF(of_replicaset), true);
    ASSERT_NO_LEAKS();
}

Test(workload_validate, a_replica_set)
{
    static const valid_row_t rows[] = {
        {NULL, ""},
        {SPEC("\"minReadySeconds\":-1"),
         "spec.minReadySeconds: Invalid value: -1: must be greater than or equal to 0"},
        {SPEC("\"selector\":{\"matchLabels\":{\"app\":\"other\"}}"),
         "spec.template.metadata.labels: Invalid value: map[string]string{\"app\":\"web\"}: "
         "`selector` does not match template `labels`"},
    };
    valid_check_create(replicaset, rows, LENGTH_OF(rows));
    ASSERT_NO_LEAKS();
}

// The main job's file: no selector, an old group.
Test(workload_validate, an_old_deployment_without_a_selector_is_right)
{
    static const char old[] = "kind: Deployment\n"
                              "apiVersion: extensions/v1beta1\n"
                              "metadata: {name: nginx-deploy}\n"
                              "spec:\n"
                              "  replicas: 3\n"
                              "  template:\n"
                              "    metadata: {labels: {app: web-server}}\n"
                              "    spec: {containers: [{name: nginx, image: nginx}]}\n";
    static const valid_row_t rows[] = {{NULL, ""}};
    valid_check_create(old, rows, 1);
    ASSERT_NO_LEAKS();
}
