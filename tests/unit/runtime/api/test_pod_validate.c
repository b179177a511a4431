// pod_validate - every row: a good pod, one change, the texts that Kubernetes would tell.
#include "support/leaks.h"
#include "support/valid.h"

static const char pod[] = "apiVersion: v1\n"
                          "kind: Pod\n"
                          "metadata: {name: p}\n"
                          "spec:\n"
                          "  containers:\n"
                          "  - name: c\n"
                          "    image: nginx\n"
                          "    ports: [{containerPort: 80}]\n"
                          "  volumes:\n"
                          "  - name: v\n"
                          "    emptyDir: {}\n";
#define C(body)    "{\"spec\":{\"containers\":[{\"name\":\"c\"," body "}]}}"
#define V(body)    "{\"spec\":{\"volumes\":[{\"name\":\"w\"," body "}]}}"
#define SPEC(body) "{\"spec\":{" body "}}"
#define META(body) "{\"metadata\":{" body "}}"
#define LABEL_TEXT                                                                               \
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and " \
    "must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex "   \
    "used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
#define SUBDOMAIN_TEXT                                                                            \
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "  \
    "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used " \
    "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
#define NAME_TEXT                                                                               \
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an " \
    "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "      \
    "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"

Test(pod_validate, metadata)
{
    static const valid_row_t rows[] = {
        {NULL, ""},
        {META("\"name\":\"Bad_Name\""),
         "metadata.name: Invalid value: \"Bad_Name\": " SUBDOMAIN_TEXT},
        {META("\"name\":null"), "metadata.name: Required value: name or generateName is required"},
        {META("\"generateName\":\"web-\""), ""},
        {META("\"generateName\":\"Web-\""),
         "metadata.generateName: Invalid value: \"Web-\": " SUBDOMAIN_TEXT},
        {META("\"namespace\":null"), "metadata.namespace: Required value"},
        {META("\"namespace\":\"a.b\""),
         "metadata.namespace: Invalid value: \"a.b\": must not contain dots"},
        {META("\"labels\":{\"a b\":\"x\"}"),
         "metadata.labels: Invalid value: \"a b\": name part " NAME_TEXT},
        {META("\"labels\":{\"/x\":\"y\"}"),
         "metadata.labels: Invalid value: \"/x\": prefix part must be non-empty"},
        {META("\"annotations\":{\"Example.COM/Fine\":\"any thing\"}"), ""},
        {META("\"finalizers\":[\"mine\"]"), "metadata.finalizers[0]: Invalid value: \"mine\": name "
                                            "is neither a standard finalizer name "
                                            "nor is it fully qualified"},
        {META("\"finalizers\":[\"a.io/b\",\"orphan\"]"), ""},
        {META("\"finalizers\":[\"orphan\",\"foregroundDeletion\"]"),
         "metadata.finalizers: Invalid value: \"orphan\": finalizer orphan and foregroundDeletion "
         "cannot be both set"},
        {META("\"ownerReferences\":[{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"name\":\"n\","
              "\"uid\":\"\"}]"),
         "metadata.ownerReferences[0].uid: Invalid value: \"\": uid must not be empty"},
        {META("\"annotations\":{\"controller.kubernetes.io/pod-deletion-cost\":\"x\"}"),
         "metadata.annotations[controller.kubernetes.io/pod-deletion-cost]: Invalid value: \"x\": "
         "must be a 32bit integer"},
        {META("\"annotations\":{\"kubernetes.io/config.mirror\":\"x\"}"),
         "metadata.annotations[kubernetes.io/config.mirror]: Invalid value: \"x\": must set "
         "spec.nodeName if mirror pod annotation is set"},
    };
    valid_check_create(pod, rows, LENGTH_OF(rows));
    ASSERT_NO_LEAKS();
}

Test(pod_validate, containers)
{
    static const valid_row_t rows[] = {
        {C("\"image\":null"), "spec.containers[0].image: Required value"},
        {C("\"image\":\" nginx\""),
         "spec.containers[0].image: Invalid value: \" nginx\": must not have leading or trailing "
         "whitespace"},
        {SPEC("\"containers\":[{\"$patch\":\"replace\"}]"), "spec.containers: Required value"},
        {SPEC("\"containers\":[{\"name\":\"C\",\"image\":\"x\"}]"),
         "spec.containers[0].name: Invalid value: \"C\": " LABEL_TEXT},
        {C("\"imagePullPolicy\":\"Sometimes\""),
         "spec.containers[0].imagePullPolicy: Unsupported value: \"Sometimes\": supported values: "
         "\"Always\", \"IfNotPresent\", \"Never\""},
        {C("\"terminationMessagePolicy\":\"Paper\""),
         "spec.containers[0].terminationMessagePolicy: Unsupported value: \"Paper\": supported "
         "values: \"File\", \"FallbackToLogsOnError\""},
        {C("\"restartPolicy\":\"Always\""),
         "spec.containers[0].restartPolicy: Forbidden: may not be set for non-init containers"},
        {C("\"ports\":[{\"containerPort\":70000}]"),
         "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and "
         "65535, inclusive"},
        {C("\"ports\":[{\"containerPort\":0}]"),
         "spec.containers[0].ports[0].containerPort: Required value"},
        {C("\"ports\":[{\"containerPort\":80,\"protocol\":\"HTTP\"}]"),
         "spec.containers[0].ports[0].protocol: Unsupported value: \"HTTP\": supported values: "
         "\"SCTP\", \"TCP\", \"UDP\""},
        {C("\"ports\":[{\"containerPort\":80,\"name\":\"Web--\"}]"),
         "spec.containers[0].ports[0].name: Invalid value: \"Web--\": must contain only "
         "alpha-numeric characters (a-z, 0-9), and hyphens (-)\n"
         "spec.containers[0].ports[0].name: Invalid value: \"Web--\": must not contain consecutive "
         "hyphens\n"
         "spec.containers[0].ports[0].name: Invalid value: \"Web--\": must not begin or end with a "
         "hyphen"},
        {C("\"ports\":[{\"containerPort\":80,\"hostPort\":8080},{\"containerPort\":81,\"hostPort\":"
           "8080}]"),
         "spec.containers[0].ports[1].hostPort: Duplicate value: \"TCP//8080\""},
        {C("\"env\":[{\"name\":\"A=B\",\"value\":\"x\"}]"),
         "spec.containers[0].env[0].name: Invalid value: \"A=B\": a valid environment variable "
         "name "
         "must consist only of printable ASCII characters other than '='"},
        {C("\"env\":[{\"name\":\"A\",\"valueFrom\":{}}]"),
         "spec.containers[0].env[0].valueFrom: Invalid value: \"\": must specify one of: "
         "`fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"},
        {C("\"env\":[{\"name\":\"A\",\"valueFrom\":{\"fieldRef\":{\"fieldPath\":\"status.podIP\"}}}"
           "]"),
         ""},
        {C("\"env\":[{\"name\":\"A\",\"valueFrom\":{\"fieldRef\":{\"fieldPath\":\"metadata.labels['"
           "x/y']\"}}}]"),
         ""},
        {C("\"env\":[{\"name\":\"A\",\"valueFrom\":{\"fieldRef\":{\"fieldPath\":\"spec.x\"}}}]"),
         "spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Unsupported value: \"spec.x\": "
         "supported values: \"metadata.name\", \"metadata.namespace\", \"metadata.uid\", "
         "\"spec.nodeName\", \"spec.serviceAccountName\", \"status.hostIP\", \"status.hostIPs\", "
         "\"status.podIP\", \"status.podIPs\""},
        {C("\"env\":[{\"name\":\"A\",\"value\":\"x\",\"valueFrom\":{\"secretKeyRef\":{\"name\":"
           "\"s\",\"key\":\"k\"}}}]"),
         "spec.containers[0].env[0].valueFrom: Invalid value: \"\": may not be specified when "
         "`value` is not empty"},
        {C("\"env\":[{\"name\":\"A\",\"valueFrom\":{\"resourceFieldRef\":{\"resource\":\"limits."
           "cpu\",\"divisor\":\"1m\"}}}]"),
         ""},
        {C("\"env\":[{\"name\":\"A\",\"valueFrom\":{\"resourceFieldRef\":{\"resource\":\"limits."
           "cpu\",\"divisor\":\"2\"}}}]"),
         "spec.containers[0].env[0].valueFrom.resourceFieldRef.divisor: Invalid value: "
         "\"limits.cpu\": only divisor's values 1m and 1 are supported with the cpu resource"},
        {C("\"envFrom\":[{}]"),
         "spec.containers[0].envFrom: Invalid value: \"\": must specify one of: `configMapRef` or "
         "`secretRef`"},
        {C("\"volumeMounts\":[{\"name\":\"v\",\"mountPath\":\"/data\"}]"), ""},
        {C("\"volumeMounts\":[{\"name\":\"none\",\"mountPath\":\"/data\"}]"),
         "spec.containers[0].volumeMounts[0].name: Not found: \"none\""},
        {C("\"volumeMounts\":[{\"name\":\"v\",\"mountPath\":\"/d\",\"subPath\":\"../x\"}]"),
         "spec.containers[0].volumeMounts.subPath: Invalid value: \"../x\": must not contain '..'"},
        {C("\"volumeMounts\":[{\"name\":\"v\",\"mountPath\":\"/"
           "d\",\"mountPropagation\":\"Bidirectional\"}]"),
         "spec.containers[0].volumeMounts[0].mountPropagation: Forbidden: Bidirectional mount "
         "propagation is available only to privileged containers"},
        {C("\"livenessProbe\":{}"),
         "spec.containers[0].livenessProbe: Required value: must specify a handler type"},
        {C("\"livenessProbe\":{\"tcpSocket\":{\"port\":80},\"successThreshold\":2}"),
         "spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1"},
        {C("\"readinessProbe\":{\"httpGet\":{\"port\":\"web\",\"scheme\":\"FTP\"}}"),
         "spec.containers[0].readinessProbe.httpGet.scheme: Unsupported value: \"FTP\": supported "
         "values: \"HTTP\", \"HTTPS\""},
        {C("\"readinessProbe\":{\"exec\":{},\"tcpSocket\":{\"port\":80}}"),
         "spec.containers[0].readinessProbe.exec.command: Required value\n"
         "spec.containers[0].readinessProbe.tcpSocket: Forbidden: may not specify more than 1 "
         "handler type"},
        {C("\"startupProbe\":{\"grpc\":{\"port\":0},\"periodSeconds\":-1}"),
         "spec.containers[0].startupProbe.grpc.port: Invalid value: 0: must be between 1 and "
         "65535, inclusive\n"
         "spec.containers[0].startupProbe.periodSeconds: Invalid value: -1: must be greater than "
         "or equal to 0"},
        {C("\"lifecycle\":{\"preStop\":{\"sleep\":{\"seconds\":90}}}"),
         "spec.containers[0].lifecycle.preStop.sleep: Invalid value: 90: must be non-negative and "
         "less than terminationGracePeriodSeconds (30)"},
        {C("\"resources\":{\"requests\":{\"cpu\":\"2\"},\"limits\":{\"cpu\":\"1\"}}"),
         "spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal "
         "to cpu limit of 1"},
        {C("\"resources\":{\"limits\":{\"memory\":\"-1\"},\"requests\":{\"memory\":\"-1\"}}"),
         "spec.containers[0].resources.limits[memory]: Invalid value: \"-1\": must be greater than "
         "or equal to 0\n"
         "spec.containers[0].resources.requests[memory]: Invalid value: \"-1\": must be greater "
         "than or equal to 0"},
        {C("\"resources\":{\"limits\":{\"disk\":\"1\"},\"requests\":{\"disk\":\"1\"}}"),
         "spec.containers[0].resources.limits[disk]: Invalid value: \"disk\": must be a standard "
         "resource type or fully qualified\n"
         "spec.containers[0].resources.limits[disk]: Invalid value: \"disk\": must be a standard "
         "resource for containers\n"
         "spec.containers[0].resources.requests[disk]: Invalid value: \"disk\": must be a standard "
         "resource type or fully qualified\n"
         "spec.containers[0].resources.requests[disk]: Invalid value: \"disk\": must be a standard "
         "resource for containers"},
        {C("\"resources\":{\"requests\":{\"example.com/gpu\":\"1\"}}"),
         "spec.containers[0].resources.limits: Required value: Limit must be set for non "
         "overcommitable resources"},
        {C("\"securityContext\":{\"runAsUser\":-1}"),
         "spec.containers[0].securityContext.runAsUser: Invalid value: -1: must be between 0 and "
         "2147483647, inclusive"},
        {C("\"securityContext\":{\"privileged\":true,\"allowPrivilegeEscalation\":false}"),
         "spec.containers[0].securityContext: Invalid value: {}: cannot set "
         "`allowPrivilegeEscalation` to false and `privileged` to true"},
        {SPEC("\"initContainers\":[{\"name\":\"c\",\"image\":\"x\"}]"),
         "spec.initContainers[0].name: Duplicate value: \"c\""},
        {SPEC("\"initContainers\":[{\"name\":\"i\",\"image\":\"x\",\"livenessProbe\":{"
              "\"tcpSocket\":{\"port\":1}}}]"),
         "spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers "
         "without restartPolicy=Always"},
        {SPEC("\"initContainers\":[{\"name\":\"i\",\"image\":\"x\",\"restartPolicy\":\"Always\"}]"),
         ""},
    };
    valid_check_create(pod, rows, LENGTH_OF(rows));
    ASSERT_NO_LEAKS();
}

Test(pod_validate, volumes)
{
    static const valid_row_t rows[] = {
        {V("\"hostPath\":{\"path\":\"/var/lib\",\"type\":\"Directory\"}"), ""},
        {V("\"hostPath\":{\"path\":\"\"}"), "spec.volumes[0].hostPath.path: Required value"},
        {V("\"hostPath\":{\"path\":\"/a/../b\"}"),
         "spec.volumes[0].hostPath.path: Invalid value: \"/a/../b\": must not contain '..'"},
        {V("\"hostPath\":{\"path\":\"/a\",\"type\":\"Disk\"}"),
         "spec.volumes[0].hostPath.type: Unsupported value: \"Disk\": supported values: \"\", "
         "\"BlockDevice\", \"CharDevice\", \"Directory\", \"DirectoryOrCreate\", \"File\", "
         "\"FileOrCreate\", \"Socket\""},
        {V("\"hostPath\":{\"path\":\"/a\"},\"configMap\":{\"name\":\"x\"}"),
         "spec.volumes[0].configMap: Forbidden: may not specify more than 1 volume type"},
        {V("\"configMap\":{}"), "spec.volumes[0].configMap.name: Required value"},
        {V("\"configMap\":{\"name\":\"x\",\"defaultMode\":512}"),
         "spec.volumes[0].configMap.defaultMode: Invalid value: 512: must be a number between 0 "
         "and 0777 (octal), both inclusive"},
        {V("\"secret\":{\"items\":[{\"key\":\"k\",\"path\":\"/abs\"}]}"),
         "spec.volumes[0].secret.secretName: Required value\n"
         "spec.volumes[0].secret.items[0].path: Invalid value: \"/abs\": must be a relative path"},
        {V("\"secret\":{\"secretName\":\"s\",\"items\":[{\"key\":\"\",\"path\":\"..x\"}]}"),
         "spec.volumes[0].secret.items[0].key: Required value\n"
         "spec.volumes[0].secret.items[0].path: Invalid value: \"..x\": must not start with '..'"},
        {V("\"downwardAPI\":{\"items\":[{\"path\":\"labels\",\"fieldRef\":{\"fieldPath\":"
           "\"metadata.labels\"}}]}"),
         ""},
        {V("\"downwardAPI\":{\"items\":[{\"path\":\"x\"}]}"),
         "spec.volumes[0].downwardAPI.items[0]: Required value: one of fieldRef and "
         "resourceFieldRef is required"},
        {V("\"projected\":{\"sources\":[{\"serviceAccountToken\":{\"path\":\"t\","
           "\"expirationSeconds\":5}}]}"),
         "spec.volumes[0].projected.sources[0].serviceAccountToken.expirationSeconds: Invalid "
         "value: 5: may not specify a duration less than 10 minutes"},
        {V("\"projected\":{\"sources\":[{\"secret\":{\"name\":\"a\"},\"configMap\":{\"name\":\"b\"}"
           "}]}"),
         "spec.volumes[0].projected.sources[0].configMap: Forbidden: may not specify more than 1 "
         "volume type\n"
         "spec.volumes[0].projected.sources[0]: Forbidden: may not specify more than 1 volume type "
         "per source"},
        {V("\"persistentVolumeClaim\":{\"claimName\":\"\"}"),
         "spec.volumes[0].persistentVolumeClaim.claimName: Required value"},
        {V("\"nfs\":{\"server\":\"s\",\"path\":\"rel\"}"),
         "spec.volumes[0].nfs.path: Invalid value: \"rel\": must be an absolute path"},
        {V("\"csi\":{\"driver\":\"\"}"), "spec.volumes[0].csi.driver: Required value"},
        {V("\"emptyDir\":{\"sizeLimit\":\"-1\"}"),
         "spec.volumes[0].emptyDir.sizeLimit: Forbidden: SizeLimit field must be a valid resource "
         "quantity"},
    };
    valid_check_create(pod, rows, LENGTH_OF(rows));
    ASSERT_NO_LEAKS();
}

Test(pod_validate, the_rest_of_the_spec)
{
    static const valid_row_t rows[] = {
        {SPEC("\"restartPolicy\":\"Sometimes\""),
         "spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", "
         "\"OnFailure\", \"Never\""},
        {SPEC("\"dnsPolicy\":\"X\""),
         "spec.dnsPolicy: Unsupported value: \"X\": supported values: \"ClusterFirstWithHostNet\", "
         "\"ClusterFirst\", \"Default\", \"None\""},
        {SPEC("\"dnsPolicy\":\"None\""),
         "spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None"},
        {SPEC("\"dnsConfig\":{\"nameservers\":[\"1.2.3\"]}"),
         "spec.dnsConfig.nameservers[0]: Invalid value: \"1.2.3\": must be a valid IP address, "
         "(e.g. 10.9.8.7 or 2001:db8::ffff)"},
        {SPEC("\"nodeSelector\":{\"a\":\"b c\"}"),
         "spec.nodeSelector: Invalid value: \"b c\": a valid label must be an empty string or "
         "consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
         "alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for "
         "validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"},
        {SPEC("\"activeDeadlineSeconds\":0"), "spec.activeDeadlineSeconds: Invalid value: 0: must "
                                              "be between 1 and 2147483647, inclusive"},
        {SPEC("\"hostname\":\"a.b\""),
         "spec.hostname: Invalid value: \"a.b\": must not contain dots"},
        {SPEC("\"nodeName\":\"N1\""), "spec.nodeName: Invalid value: \"N1\": " SUBDOMAIN_TEXT},
        {SPEC("\"nodeName\":\"n1\",\"schedulingGates\":[{\"name\":\"a.io/x\"}]"),
         "spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared"},
        {SPEC("\"hostNetwork\":true,\"containers\":[{\"name\":\"c\",\"ports\":[{\"containerPort\":"
              "80,\"hostPort\":81}]}]"),
         "spec.containers[0].ports[0].hostPort: Invalid value: 81: must match `containerPort` when "
         "`hostNetwork` is true"},
        {SPEC("\"hostNetwork\":true"), ""},
        {SPEC("\"hostNetwork\":true,\"hostUsers\":false"),
         "spec.hostNetwork: Forbidden: when `pod.Spec.HostUsers` is false"},
        {SPEC("\"tolerations\":[{\"value\":\"x\"}]"),
         "spec.tolerations[0].operator: Invalid value: \"\": operator must be Exists when `key` is "
         "empty, which means \"match all values and all keys\""},
        {SPEC("\"tolerations\":[{\"key\":\"a\",\"operator\":\"Exists\",\"value\":\"x\"}]"),
         "spec.tolerations[0].operator: Invalid value: \"x\": value must be empty when `operator` "
         "is "
         "'Exists'"},
        {SPEC("\"tolerations\":[{\"key\":\"a\",\"operator\":\"Like\"}]"),
         "spec.tolerations[0].operator: Unsupported value: \"Like\": supported values: \"Equal\", "
         "\"Exists\""},
        {SPEC("\"tolerations\":[{\"key\":\"a\",\"effect\":\"Evict\"}]"),
         "spec.tolerations[0].effect: Unsupported value: \"Evict\": supported values: "
         "\"NoSchedule\", \"PreferNoSchedule\", \"NoExecute\""},
        {SPEC("\"tolerations\":[{\"key\":\"a\",\"tolerationSeconds\":5}]"),
         "spec.tolerations[0].effect: Invalid value: \"\": effect must be 'NoExecute' when "
         "`tolerationSeconds` is set"},
        {SPEC("\"affinity\":{\"nodeAffinity\":{\"requiredDuringSchedulingIgnoredDuringExecution\":{"
              "\"nodeSelectorTerms\":[]}}}"),
         "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution."
         "nodeSelectorTerms: Required value: must have at least one node selector term"},
        {SPEC("\"affinity\":{\"podAntiAffinity\":{"
              "\"requiredDuringSchedulingIgnoredDuringExecution\":[{\"topologyKey\":\"kubernetes."
              "io/hostname\"}]}}"),
         ""},
        {SPEC("\"topologySpreadConstraints\":[{\"maxSkew\":0,\"topologyKey\":\"zone\","
              "\"whenUnsatisfiable\":\"Perhaps\"}]"),
         "spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero\n"
         "spec.topologySpreadConstraints[0].whenUnsatisfiable: Unsupported value: \"Perhaps\": "
         "supported values: \"DoNotSchedule\", \"ScheduleAnyway\""},
        {SPEC("\"securityContext\":{\"sysctls\":[{\"name\":\"net.core.somaxconn\",\"value\":\"1\"}]"
              "}"),
         ""},
        {SPEC("\"securityContext\":{\"seccompProfile\":{\"type\":\"Localhost\"}}"),
         "spec.securityContext.seccompProfile.localhostProfile: Required value: must be set when "
         "seccomp type is Localhost"},
        {SPEC("\"hostAliases\":[{\"ip\":\"x\",\"hostnames\":[\"h\"]}]"),
         "spec.hostAliases[0].ip: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 "
         "or 2001:db8::ffff)"},
        {SPEC("\"os\":{\"name\":\"beos\"}"),
         "spec.os: Unsupported value: \"beos\": supported values: \"linux\", \"windows\""},
    };
    valid_check_create(pod, rows, LENGTH_OF(rows));
    ASSERT_NO_LEAKS();
}

#define POD_UPDATE                                                                            \
    "spec: Forbidden: pod updates may not change fields other than "                          \
    "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`," \
    "`spec.tolerations` (only additions to existing tolerations),"                            \
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"

Test(pod_validate, updates_change_little)
{
    static const valid_row_t rows[] = {
        {NULL, ""},
        {META("\"labels\":{\"a\":\"b\"}"), ""},
        {C("\"image\":\"nginx:2\",\"imagePullPolicy\":\"Always\""), ""},
        {C("\"image\":\"\""), "spec.containers[0].image: Required value"},
        {C("\"command\":[\"x\"]"), POD_UPDATE},
        {SPEC("\"nodeName\":\"n1\""), POD_UPDATE},
        {SPEC("\"activeDeadlineSeconds\":10"), ""},
        {SPEC("\"tolerations\":[{\"key\":\"node.kubernetes.io/"
              "not-ready\",\"operator\":\"Exists\"}]"),
         "spec.tolerations: Forbidden: existing toleration can not be modified except its "
         "tolerationSeconds"},
        {SPEC("\"containers\":[{\"name\":\"d\",\"image\":\"x\"}]"),
         "spec.containers: Forbidden: pod updates may not add or remove containers"},
        {META("\"name\":\"q\""), "metadata.name: Invalid value: \"q\": field is immutable"},
        {META("\"uid\":\"q\""), "metadata.uid: Invalid value: \"q\": field is immutable"},
    };
    valid_check_update(pod, rows, LENGTH_OF(rows), false);
    ASSERT_NO_LEAKS();
}

Test(pod_validate, a_status_tells_only_what_can_be)
{
    static const valid_row_t rows[] = {
        {"{\"status\":{\"phase\":\"Running\",\"podIP\":\"10.0.0.1\",\"podIPs\":[{\"ip\":\"10.0.0."
         "1\"}]}}",
         ""},
        {"{\"status\":{\"podIPs\":[{\"ip\":\"x\"}]}}",
         "status.podIPs[0]: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 or "
         "2001:db8::ffff)"},
        {"{\"status\":{\"podIPs\":[{\"ip\":\"10.0.0.1\"},{\"ip\":\"10.0.0.2\"}]}}",
         "status.podIPs: Invalid value: []: may specify no more than one IP for each IP family"},
        {"{\"status\":{\"qosClass\":\"Guaranteed\"}}",
         "status.qosClass: Invalid value: \"Guaranteed\": field is immutable"},
        {"{\"status\":{\"nominatedNodeName\":\"N\"}}",
         "status.nominatedNodeName: Invalid value: \"N\": " SUBDOMAIN_TEXT},
    };
    valid_check_update(pod, rows, LENGTH_OF(rows), true);
    ASSERT_NO_LEAKS();
}
