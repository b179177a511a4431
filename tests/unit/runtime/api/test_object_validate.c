// The small kinds' validation, row by row: ConfigMap, Secret, ServiceAccount, Namespace, Node,
// Lease, Event.
#include "runtime/base/text.h"
#include "support/leaks.h"
#include "support/valid.h"

#define KEY_TEXT                                                                         \
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. " \
    "'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"

Test(object_validate, config_maps)
{
    static const char map[] = "apiVersion: v1\n"
                              "kind: ConfigMap\n"
                              "metadata: {name: c}\n"
                              "data: {a: '1'}\n";
    static const char frozen[] = "apiVersion: v1\n"
                                 "kind: ConfigMap\n"
                                 "metadata: {name: c}\n"
                                 "immutable: true\n"
                                 "data: {a: '1'}\n";
    static const valid_row_t rows[] = {
        {NULL, ""},
        {"{\"data\":{\"a b\":\"\"}}", "data[a b]: Invalid value: \"a b\": " KEY_TEXT},
        {"{\"data\":{\"..\":\"\"}}", "data[..]: Invalid value: \"..\": must not be '..'"},
        {"{\"binaryData\":{\"a\":\"eA==\"}}",
         "data[a]: Invalid value: \"a\": duplicate of key present in binaryData"},
    };
    static const valid_row_t updates[] = {
        {"{\"metadata\":{\"labels\":{\"x\":\"y\"}}}", ""},
        {"{\"immutable\":false,\"data\":{\"a\":\"2\"}}",
         "immutable: Forbidden: field is immutable when `immutable` is set\n"
         "data: Forbidden: field is immutable when `immutable` is set"},
    };
    valid_check_create(map, rows, LENGTH_OF(rows));
    valid_check_update(frozen, updates, LENGTH_OF(updates), false);
    ASSERT_NO_LEAKS();
}

Test(object_validate, a_config_map_holds_a_mebibyte)
{
    arena_t arena = {0};
    char *big = arena_alloc(&arena, (1 << 20) + 2);
    memset(big, 'x', (1 << 20) + 1);
    field_errors_t errors = {.arena = &arena};
    text_t yaml = {.arena = &arena};
    text_addf(&yaml, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: '%s'}\n",
              big);
    ProtobufCMessage *obj = valid_object(&arena, text_str(&yaml));
    kind_of(obj)->validate(obj, NULL, &errors);
    cr_assert_eq(errors.len, 1);
    cr_assert_str_eq(field_error_text(&arena, &errors.at[0]),
                     "<nil>: Too long: may not be more than 1048576 bytes");
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

Test(object_validate, secrets)
{
    static const char secret[] = "apiVersion: v1\n"
                                 "kind: Secret\n"
                                 "metadata: {name: s}\n"
                                 "data: {a: eA==}\n";
    static const valid_row_t rows[] = {
        {NULL, ""},
        {"{\"type\":\"kubernetes.io/tls\"}", "data[tls.crt]: Required value\n"
                                             "data[tls.key]: Required value"},
        {"{\"type\":\"kubernetes.io/basic-auth\"}", "data[username]: Required value\n"
                                                    "data[password]: Required value"},
        {"{\"type\":\"kubernetes.io/ssh-auth\"}", "data[ssh-privatekey]: Required value"},
        {"{\"type\":\"kubernetes.io/dockerconfigjson\",\"data\":{\".dockerconfigjson\":\"e30=\"}}",
         ""},
        {"{\"type\":\"kubernetes.io/service-account-token\"}",
         "metadata.annotations[kubernetes.io/service-account.name]: Required value"},
    };
    static const valid_row_t updates[] = {
        {"{\"type\":\"x/y\"}", "type: Invalid value: \"x/y\": field is immutable"},
    };
    valid_check_create(secret, rows, LENGTH_OF(rows));
    valid_check_update(secret, updates, LENGTH_OF(updates), false);
    ASSERT_NO_LEAKS();
}

Test(object_validate, namespaces)
{
    static const char ns[] = "apiVersion: v1\n"
                             "kind: Namespace\n"
                             "metadata: {name: shop}\n";
    static const valid_row_t rows[] = {
        {NULL, ""},
        {"{\"metadata\":{\"name\":\"a.b\"}}",
         "metadata.name: Invalid value: \"a.b\": must not contain dots"},
        {"{\"metadata\":{\"namespace\":\"x\"}}",
         "metadata.namespace: Forbidden: not allowed on this type"},
        {"{\"spec\":{\"finalizers\":[\"mine\"]}}",
         "spec.finalizers[0]: Invalid value: \"mine\": name is neither a standard finalizer name "
         "nor is it fully qualified"},
    };
    static const valid_row_t status[] = {
        {NULL, ""},
        {"{\"status\":{\"phase\":\"Terminating\"}}",
         "status.Phase: Invalid value: \"Terminating\": may only be 'Active' if "
         "`deletionTimestamp` is empty"},
    };
    valid_check_create(ns, rows, LENGTH_OF(rows));
    valid_check_update(ns, status, LENGTH_OF(status), true);
    ASSERT_NO_LEAKS();
}

Test(object_validate, nodes)
{
    static const char node[] = "apiVersion: v1\n"
                               "kind: Node\n"
                               "metadata: {name: n1}\n"
                               "spec: {podCIDR: 10.244.0.0/24, podCIDRs: [10.244.0.0/24]}\n";
    static const valid_row_t rows[] = {
        {NULL, ""},
        {"{\"spec\":{\"taints\":[{\"key\":\"a\",\"effect\":\"Never\"}]}}",
         "metadata.taints[0].effect: Unsupported value: \"Never\": supported values: "
         "\"NoSchedule\", \"PreferNoSchedule\", \"NoExecute\""},
        {"{\"spec\":{\"taints\":[{\"key\":\"a\",\"effect\":\"NoSchedule\"},{\"key\":\"a\","
         "\"effect\":\"NoSchedule\"}]}}",
         "metadata.taints[1]: Duplicate value: \"a\""},
        {"{\"spec\":{\"podCIDRs\":[\"10.244.0.0\"]}}",
         "spec.podCIDRs[0]: Invalid value: \"10.244.0.0\": must be a valid CIDR value, (e.g. "
         "10.9.8.0/24 or 2001:db8::/64)"},
    };
    static const valid_row_t updates[] = {
        {"{\"spec\":{\"unschedulable\":true}}", ""},
        {"{\"spec\":{\"podCIDRs\":null}}",
         "spec.podCIDRs: Forbidden: node updates may not change podCIDR except from \"\" to valid"},
        {"{\"spec\":{\"providerID\":\"x\"}}", ""},
    };
    valid_check_create(node, rows, LENGTH_OF(rows));
    valid_check_update(node, updates, LENGTH_OF(updates), false);
    ASSERT_NO_LEAKS();
}

Test(object_validate, experiments)
{
    static const char good[] = "apiVersion: chaos.troupe.io/v1\n"
                               "kind: Experiment\n"
                               "metadata: {name: x}\n"
                               "spec: {faults: [{action: kill, targets: [scheduler]}]}\n";
    static const valid_row_t rows[] = {
        {"{\"spec\":{\"duration\":\"soon\"}}",
         "spec.duration: Invalid value: \"soon\": must be a duration such as 500ms, 5s or 1m"},
        {"{\"spec\":{\"duration\":\"25h\"}}",
         "spec.duration: Invalid value: \"25h\": must be above 0 and at most 24h"},
        {"{\"spec\":{\"faults\":[{\"action\":\"rain\",\"targets\":[\"a\"]}]}}",
         "spec.faults[0].action: Unsupported value: \"rain\": supported values: \"cpu\", "
         "\"crash\", "
         "\"delay\", \"disk-full\", \"disk-slow\", \"drop\", \"duplicate\", \"hang\", \"kill\", "
         "\"partition\", \"pause\", \"reorder\", \"skew\""},
        {"{\"spec\":{\"faults\":[{\"action\":\"kill\"}]}}",
         "spec.faults[0].targets: Required value"},
        {"{\"spec\":{\"faults\":[{\"action\":\"drop\",\"targets\":[\"a\"],\"probability\":2}]}}",
         "spec.faults[0].probability: Invalid value: 2: must be above 0 and at most 1"},
        {"{\"spec\":{\"steadyState\":[{\"type\":\"HTTP\"}]}}",
         "spec.steadyState[0].address: Required value: the ADDRESS:PORT that must answer"},
    };
    valid_check_create(good, rows, LENGTH_OF(rows));
    ASSERT_NO_LEAKS();
}

Test(object_validate, leases_and_service_accounts)
{
    static const char lease[] = "apiVersion: coordination.k8s.io/v1\n"
                                "kind: Lease\n"
                                "metadata: {name: l}\n"
                                "spec: {holderIdentity: m1, leaseDurationSeconds: 15}\n";
    static const char account[] = "apiVersion: v1\n"
                                  "kind: ServiceAccount\n"
                                  "metadata: {name: default}\n";
    static const valid_row_t rows[] = {
        {NULL, ""},
        {"{\"spec\":{\"leaseDurationSeconds\":0,\"leaseTransitions\":-1}}",
         "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0\n"
         "spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0"},
    };
    static const valid_row_t of_account[] = {{NULL, ""}};
    valid_check_create(lease, rows, LENGTH_OF(rows));
    valid_check_create(account, of_account, 1);
    ASSERT_NO_LEAKS();
}

Test(object_validate, events)
{
    static const char event[] = "apiVersion: v1\n"
                                "kind: Event\n"
                                "metadata: {name: web.17a}\n"
                                "involvedObject: {kind: Pod, namespace: default, name: web}\n"
                                "reason: Started\n"
                                "type: Normal\n";
    static const valid_row_t rows[] = {
        {NULL, ""},
        {"{\"involvedObject\":{\"namespace\":\"other\"}}",
         "involvedObject.namespace: Invalid value: \"other\": does not match event.namespace"},
        {"{\"involvedObject\":{\"namespace\":null}}", ""},
        {"{\"eventTime\":\"2023-11-14T22:10:00.000000Z\"}",
         "reportingController: Required value\n"
         "reportingController: Invalid value: \"\": name part must be non-empty\n"
         "reportingController: Invalid value: \"\": name part must consist of alphanumeric "
         "characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. "
         "'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
         "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')\n"
         "reportingInstance: Required value\n"
         "action: Required value"},
    };
    valid_check_create(event, rows, LENGTH_OF(rows));
    ASSERT_NO_LEAKS();
}
