// service_validate, endpoints_validate - row by row.
#include "support/leaks.h"
#include "support/valid.h"

static const char service[] = "apiVersion: v1\n"
                              "kind: Service\n"
                              "metadata: {name: web}\n"
                              "spec:\n"
                              "  selector: {app: web}\n"
                              "  ports: [{port: 80}]\n";
static const char balancer[] = "apiVersion: v1\n"
                               "kind: Service\n"
                               "metadata: {name: web}\n"
                               "spec:\n"
                               "  type: LoadBalancer\n"
                               "  ports: [{port: 80}]\n";
static const char allocated[] = "apiVersion: v1\n"
                                "kind: Service\n"
                                "metadata: {name: web}\n"
                                "spec:\n"
                                "  type: NodePort\n"
                                "  clusterIP: 10.96.0.7\n"
                                "  clusterIPs: [10.96.0.7]\n"
                                "  ports: [{port: 80, nodePort: 30080}]\n";
#define SPEC(body) "{\"spec\":{" body "}}"

Test(service_validate, created)
{
    static const valid_row_t rows[] = {
        {NULL, ""},
        {"{\"metadata\":{\"name\":\"1web\"}}",
         "metadata.name: Invalid value: \"1web\": a DNS-1035 label must consist of lower case "
         "alphanumeric characters or '-', start with an alphabetic character, and end with an "
         "alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
         "'[a-z]([-a-z0-9]*[a-z0-9])?')"},
        {SPEC("\"ports\":null"), "spec.ports: Required value"},
        {SPEC("\"ports\":null,\"clusterIP\":\"None\""), ""},
        {SPEC("\"ports\":[{\"$patch\":\"replace\"},{\"port\":0}]"),
         "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive\n"
         "spec.ports[0].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive"},
        {SPEC("\"ports\":[{\"port\":80,\"targetPort\":\"a_b\"}]"),
         "spec.ports[0].targetPort: Invalid value: \"a_b\": must contain only alpha-numeric "
         "characters (a-z, 0-9), and hyphens (-)"},
        {SPEC("\"ports\":[{\"port\":81}]"), "spec.ports[0].name: Required value\n"
                                            "spec.ports[1].name: Required value"},
        {SPEC("\"ports\":[{\"port\":80,\"name\":\"Web\"}]"),
         "spec.ports[0].name: Invalid value: \"Web\": a lowercase RFC 1123 label must consist of "
         "lower case alphanumeric characters or '-', and must start and end with an alphanumeric "
         "character (e.g. 'my-name',  or '123-abc', regex used for validation is "
         "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"},
        {SPEC("\"ports\":[{\"port\":80,\"protocol\":\"HTTP\"}]"),
         "spec.ports[0].protocol: Unsupported value: \"HTTP\": supported values: \"SCTP\", "
         "\"TCP\", \"UDP\""},
        {SPEC("\"ports\":[{\"port\":80,\"nodePort\":30080}]"),
         "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"},
        {SPEC("\"type\":\"Magic\""),
         "spec.type: Unsupported value: \"Magic\": supported values: \"ClusterIP\", "
         "\"ExternalName\", \"LoadBalancer\", \"NodePort\""},
        {SPEC("\"type\":\"NodePort\",\"clusterIP\":\"None\""),
         "spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort "
         "services"},
        {SPEC("\"type\":\"ExternalName\""), "spec.externalName: Required value"},
        {SPEC("\"type\":\"ExternalName\",\"externalName\":\"example.com.\""), ""},
        {SPEC("\"clusterIP\":\"10.96.0.300\""),
         "spec.clusterIPs[0]: Invalid value: \"10.96.0.300\": must be a valid IP address, (e.g. "
         "10.9.8.7 or 2001:db8::ffff)"},
        {SPEC("\"clusterIP\":\"10.96.0.3\",\"clusterIPs\":[\"10.96.0.4\"]"),
         "spec.clusterIPs: Invalid value: []string{\"10.96.0.4\"}: first value must match "
         "`clusterIP`"},
        {SPEC("\"clusterIP\":\"fd00::1\",\"ipFamilies\":[\"IPv4\"]"),
         "spec.clusterIPs[0]: Invalid value: \"fd00::1\": expected an IPv4 value as indicated by "
         "`ipFamilies[0]`"},
        {SPEC("\"ipFamilies\":[\"IPv4\",\"IPv4\"]"),
         "spec.ipFamilies[1]: Duplicate value: \"IPv4\""},
        {SPEC("\"sessionAffinity\":\"Cookie\""),
         "spec.sessionAffinity: Unsupported value: \"Cookie\": supported values: \"ClientIP\", "
         "\"None\""},
        {SPEC("\"sessionAffinity\":\"ClientIP\",\"sessionAffinityConfig\":{\"clientIP\":{"
              "\"timeoutSeconds\":0}}"),
         "spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 0: must be greater "
         "than 0 and less than 86400"},
        {SPEC("\"externalIPs\":[\"127.0.0.1\"]"),
         "spec.externalIPs[0]: Invalid value: \"127.0.0.1\": may not be in the loopback range "
         "(127.0.0.0/8, ::1/128)"},
        {SPEC("\"externalTrafficPolicy\":\"Local\""),
         "spec.externalTrafficPolicy: Invalid value: \"Local\": may only be set for "
         "externally-accessible services"},
        {SPEC("\"loadBalancerSourceRanges\":[\"10.0.0.0/8\"]"),
         "spec.loadBalancerSourceRanges: Forbidden: may only be used when `type` is "
         "'LoadBalancer'"},
        {SPEC("\"healthCheckNodePort\":1234"),
         "spec.healthCheckNodePort: Invalid value: 1234: may only be set when `type` is "
         "'LoadBalancer' and `externalTrafficPolicy` is 'Local'"},
        {SPEC("\"internalTrafficPolicy\":\"Near\""),
         "spec.internalTrafficPolicy: Unsupported value: \"Near\": supported values: \"Cluster\", "
         "\"Local\""},
        {SPEC("\"selector\":{\"a\":\"!\"}"),
         "spec.selector: Invalid value: \"!\": a valid label must be an empty string or consist of "
         "alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
         "character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
         "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"},
    };
    static const valid_row_t of_balancer[] = {
        {NULL, ""},
        {SPEC("\"loadBalancerSourceRanges\":[\"10.0.0.0/40\"]"),
         "spec.loadBalancerSourceRanges[0]: Invalid value: \"10.0.0.0/40\": must be a valid CIDR "
         "value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"},
        {SPEC("\"ports\":[{\"port\":80,\"name\":\"a\",\"nodePort\":30001},"
              "{\"port\":81,\"name\":\"b\",\"nodePort\":30001}]"),
         "spec.ports[1].nodePort: Duplicate value: 30001"},
    };
    valid_check_create(service, rows, LENGTH_OF(rows));
    valid_check_create(balancer, of_balancer, LENGTH_OF(of_balancer));
    ASSERT_NO_LEAKS();
}

Test(service_validate, updated)
{
    static const valid_row_t rows[] = {
        {NULL, ""},
        {SPEC("\"clusterIP\":null,\"clusterIPs\":null"), ""},
        {SPEC("\"clusterIP\":\"10.96.0.8\""),
         "spec.clusterIPs[0]: Invalid value: []string{\"10.96.0.8\"}: may not change once set"},
        {SPEC("\"type\":\"ClusterIP\""), ""},
        {SPEC("\"type\":\"ExternalName\",\"externalName\":\"a.b\""), ""},
        {SPEC("\"ipFamilies\":[\"IPv6\"]"),
         "spec.ipFamilies[0]: Invalid value: []string{\"IPv6\"}: may not change once set\n"
         "spec.clusterIPs[0]: Invalid value: \"10.96.0.7\": expected an IPv6 value as indicated by "
         "`ipFamilies[0]`"},
    };
    static const valid_row_t status[] = {
        {NULL, ""},
        {"{\"status\":{\"loadBalancer\":{\"ingress\":[{\"hostname\":\"1.2.3.4\"}]}}}",
         "status.loadBalancer.ingress: Forbidden: may only be used when `spec.type` is "
         "'LoadBalancer'\n"
         "status.loadBalancer.ingress[0].hostname: Invalid value: \"1.2.3.4\": must be a DNS name, "
         "not an IP address"},
    };
    valid_check_update(allocated, rows, LENGTH_OF(rows), false);
    valid_check_update(allocated, status, LENGTH_OF(status), true);
    ASSERT_NO_LEAKS();
}

Test(service_validate, endpoints)
{
    static const char endpoints[] = "apiVersion: v1\n"
                                    "kind: Endpoints\n"
                                    "metadata: {name: web}\n"
                                    "subsets:\n"
                                    "- addresses: [{ip: 10.244.0.2, nodeName: n1}]\n"
                                    "  ports: [{port: 80}]\n";
    static const valid_row_t rows[] = {
        {NULL, ""},
        {"{\"subsets\":[{\"ports\":[{\"port\":1}]}]}",
         "subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`"},
        {"{\"subsets\":[{\"addresses\":[{\"ip\":\"x\"}]}]}",
         "subsets[0].addresses[0].ip: Invalid value: \"x\": must be a valid IP address, (e.g. "
         "10.9.8.7 or 2001:db8::ffff)"},
        {"{\"subsets\":[{\"addresses\":[{\"ip\":\"169.254.1.1\",\"hostname\":\"A\"}]}]}",
         "subsets[0].addresses[0].ip: Invalid value: \"169.254.1.1\": may not be in the link-local "
         "range (169.254.0.0/16, fe80::/10)\n"
         "subsets[0].addresses[0].hostname: Invalid value: \"A\": a lowercase RFC 1123 label must "
         "consist of lower case alphanumeric characters or '-', and must start and end with an "
         "alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
         "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"},
        {"{\"subsets\":[{\"addresses\":[{\"ip\":\"0.0.0.0\"}],\"ports\":[{\"port\":1},{\"port\":2}]"
         "}]}",
         "subsets[0].addresses[0].ip: Invalid value: \"0.0.0.0\": may not be unspecified "
         "(0.0.0.0)\n"
         "subsets[0].ports[0].name: Required value\n"
         "subsets[0].ports[1].name: Required value"},
    };
    valid_check_create(endpoints, rows, LENGTH_OF(rows));
    ASSERT_NO_LEAKS();
}

Test(service_validate, endpoint_slices)
{
    static const char slice[] = "apiVersion: discovery.k8s.io/v1\n"
                                "kind: EndpointSlice\n"
                                "metadata: {name: web-abc}\n"
                                "addressType: IPv4\n"
                                "endpoints: [{addresses: [10.244.0.2]}]\n"
                                "ports: [{port: 80}]\n";
    static const valid_row_t rows[] = {
        {NULL, ""},
        {"{\"addressType\":null}", "addressType: Required value"},
        {"{\"addressType\":\"MAC\"}",
         "addressType: Unsupported value: \"MAC\": supported values: \"FQDN\", \"IPv4\", \"IPv6\""},
        {"{\"addressType\":\"IPv6\"}",
         "endpoints[0].addresses: Invalid value: \"10.244.0.2\": must be an IPv6 address"},
        {"{\"endpoints\":[{\"addresses\":[]}]}",
         "endpoints[0].addresses: Required value: must contain at least 1 address"},
        {"{\"ports\":[{\"port\":80},{\"port\":81}]}", "ports[1].name: Duplicate value: \"\""},
    };
    static const valid_row_t updates[] = {
        {"{\"addressType\":\"FQDN\",\"endpoints\":[{\"addresses\":[\"a.b\"]}]}",
         "addressType: Invalid value: \"FQDN\": field is immutable"},
    };
    valid_check_create(slice, rows, LENGTH_OF(rows));
    valid_check_update(slice, updates, LENGTH_OF(updates), false);
    ASSERT_NO_LEAKS();
}
