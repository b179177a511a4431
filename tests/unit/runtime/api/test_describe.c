// describe - one object told in full, to the letter.
#include "k8s/apps_v1.pb-c.h"
#include "runtime/api/codec.h"
#include "runtime/api/describe.h"
#include "support/leaks.h"
#include "support/valid.h"

#define NOW 1700000000000 // Tue, 14 Nov 2023 22:13:20 +0000

static ProtobufCMessage *object(arena_t *arena, const char *yaml) {
    manifests_t manifests;
    why_t why = {{0}};
    err_t err = manifests_read(arena, "test", yaml, strlen(yaml), true, &manifests, &why);
    cr_assert_eq(err, ERR_OK, "%s", why.text);
    return manifests.at[0].obj;
}

static const char *described(arena_t *arena, const ProtobufCMessage *obj,
                             const Core__Event *const *events, size_t events_len,
                             const describe_extra_t *extra) {
    text_t out = {.arena = arena};
    describe_print(arena, kind_of(obj), obj, events, events_len, extra, NOW, &out);
    return text_str(&out);
}

static const char pod[] =
    "apiVersion: v1\n"
    "kind: Pod\n"
    "metadata:\n"
    "  name: web-7c5d-x2x4v\n"
    "  namespace: default\n"
    "  labels: {app: web, tier: front}\n"
    "  annotations: {note: 'a line', kubectl.kubernetes.io/last-applied-configuration: '{}'}\n"
    "  ownerReferences:\n"
    "  - {apiVersion: apps/v1, kind: ReplicaSet, name: web-7c5d, uid: u, controller: true}\n"
    "spec:\n"
    "  nodeName: node-1\n"
    "  priority: 0\n"
    "  serviceAccountName: default\n"
    "  containers:\n"
    "  - name: nginx\n"
    "    image: nginx\n"
    "    command: [sh, -c, 'sleep 1']\n"
    "    ports: [{containerPort: 80, protocol: TCP}]\n"
    "    resources: {limits: {cpu: 500m, memory: 64Mi}, requests: {cpu: 250m}}\n"
    "    livenessProbe:\n"
    "      httpGet: {path: /, port: 80, scheme: HTTP}\n"
    "      timeoutSeconds: 1\n"
    "      periodSeconds: 10\n"
    "      successThreshold: 1\n"
    "      failureThreshold: 3\n"
    "    env:\n"
    "    - {name: MODE, value: fast}\n"
    "    - {name: IP, valueFrom: {fieldRef: {apiVersion: v1, fieldPath: status.podIP}}}\n"
    "    - {name: KEY, valueFrom: {secretKeyRef: {name: s, key: k}}}\n"
    "    volumeMounts: [{name: data, mountPath: /data}, {name: conf, mountPath: /conf, readOnly: "
    "true}]\n"
    "  volumes:\n"
    "  - {name: data, emptyDir: {}}\n"
    "  - {name: conf, configMap: {name: web}}\n"
    "  tolerations:\n"
    "  - {key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, "
    "tolerationSeconds: 300}\n"
    "  - {key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute, "
    "tolerationSeconds: 300}\n"
    "status:\n"
    "  phase: Running\n"
    "  hostIP: 192.168.0.1\n"
    "  podIP: 10.244.1.3\n"
    "  podIPs: [{ip: 10.244.1.3}]\n"
    "  qosClass: Burstable\n"
    "  startTime: '2023-11-14T22:10:00Z'\n"
    "  conditions:\n"
    "  - {type: Initialized, status: 'True'}\n"
    "  - {type: Ready, status: 'True'}\n"
    "  containerStatuses:\n"
    "  - name: nginx\n"
    "    containerID: containerd://c0ffee\n"
    "    image: nginx\n"
    "    imageID: sha256:abc\n"
    "    ready: true\n"
    "    restartCount: 1\n"
    "    state: {running: {startedAt: '2023-11-14T22:11:00Z'}}\n"
    "    lastState:\n"
    "      terminated:\n"
    "        exitCode: 137\n"
    "        reason: OOMKilled\n"
    "        startedAt: '2023-11-14T22:10:05Z'\n"
    "        finishedAt: '2023-11-14T22:10:59Z'\n";

static Core__Event *event(arena_t *arena, const char *type, const char *reason, const char *from,
                          const char *message, int64_t age_ms, int count) {
    Core__Event *e = MSG_NEW(arena, Core__Event, core__event__descriptor);
    e->type = type;
    e->reason = reason;
    e->message = message;
    e->source = MSG_NEW(arena, Core__EventSource, core__event_source__descriptor);
    e->source->component = from;
    e->firsttimestamp = time_new(arena, NOW - age_ms);
    e->lasttimestamp = time_new(arena, NOW - (count > 1 ? 5000 : age_ms));
    e->has_count = true;
    e->count = count;
    return e;
}

Test(describe, a_pod)
{
    arena_t arena = {0};
    const Core__Event *events[] = {
        event(&arena, "Warning", "BackOff", "kubelet", "Back-off restarting\n", 100000, 3),
        event(&arena, "Normal", "Scheduled", "default-scheduler",
              "Successfully assigned default/web to node-1", 200000, 1),
    };
    cr_assert_str_eq(
        described(&arena, object(&arena, pod), events, 2, NULL),
        "Name:             web-7c5d-x2x4v\n"
        "Namespace:        default\n"
        "Priority:         0\n"
        "Service Account:  default\n"
        "Node:             node-1/192.168.0.1\n"
        "Start Time:       Tue, 14 Nov 2023 22:10:00 +0000\n"
        "Labels:           app=web\n"
        "                  tier=front\n"
        "Annotations:      note: a line\n"
        "Status:           Running\n"
        "IP:               10.244.1.3\n"
        "IPs:\n"
        "  IP:           10.244.1.3\n"
        "Controlled By:  ReplicaSet/web-7c5d\n"
        "Containers:\n"
        "  nginx:\n"
        "    Container ID:  containerd://c0ffee\n"
        "    Image:         nginx\n"
        "    Image ID:      sha256:abc\n"
        "    Port:          80/TCP\n"
        "    Host Port:     0/TCP\n"
        "    Command:\n"
        "      sh\n"
        "      -c\n"
        "      sleep 1\n"
        "    State:          Running\n"
        "      Started:      Tue, 14 Nov 2023 22:11:00 +0000\n"
        "    Last State:     Terminated\n"
        "      Reason:       OOMKilled\n"
        "      Exit Code:    137\n"
        "      Started:      Tue, 14 Nov 2023 22:10:05 +0000\n"
        "      Finished:     Tue, 14 Nov 2023 22:10:59 +0000\n"
        "    Ready:          True\n"
        "    Restart Count:  1\n"
        "    Limits:\n"
        "      cpu:     500m\n"
        "      memory:  64Mi\n"
        "    Requests:\n"
        "      cpu:     250m\n"
        "    Liveness:  http-get http://:80/ delay=0s timeout=1s period=10s #success=1 #failure=3\n"
        "    Environment:\n"
        "      MODE:  fast\n"
        "      IP:    10.244.1.3 (v1:status.podIP)\n"
        "      KEY:   <set to the key 'k' in secret 's'>  Optional: false\n"
        "    Mounts:\n"
        "      /conf from conf (ro)\n"
        "      /data from data (rw)\n"
        "Conditions:\n"
        "  Type          Status\n"
        "  Initialized   True \n"
        "  Ready         True \n"
        "Volumes:\n"
        "  data:\n"
        "    Type:       EmptyDir (a temporary directory that shares a pod's lifetime)\n"
        "    Medium:     \n"
        "    SizeLimit:  <unset>\n"
        "  conf:\n"
        "    Type:        ConfigMap (a volume populated by a ConfigMap)\n"
        "    Name:        web\n"
        "    Optional:    false\n"
        "QoS Class:       Burstable\n"
        "Node-Selectors:  <none>\n"
        "Tolerations:     node.kubernetes.io/not-ready:NoExecute op=Exists for 300s\n"
        "                 node.kubernetes.io/unreachable:NoExecute op=Exists for 300s\n"
        "Events:\n"
        "  Type     Reason     Age                From               Message\n"
        "  ----     ------     ----               ----               -------\n"
        "  Normal   Scheduled  3m20s              default-scheduler  Successfully assigned "
        "default/web to node-1\n"
        "  Warning  BackOff    5s (x3 over 100s)  kubelet            Back-off restarting\n");
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

static const char deployment[] =
    "apiVersion: apps/v1\n"
    "kind: Deployment\n"
    "metadata:\n"
    "  name: web\n"
    "  namespace: default\n"
    "  creationTimestamp: '2023-11-14T22:10:00Z'\n"
    "  annotations: {deployment.kubernetes.io/revision: '2'}\n"
    "spec:\n"
    "  replicas: 2\n"
    "  selector: {matchLabels: {app: web}}\n"
    "  template:\n"
    "    metadata: {labels: {app: web}}\n"
    "    spec: {containers: [{name: c, image: nginx}]}\n"
    "status:\n"
    "  replicas: 2\n"
    "  updatedReplicas: 2\n"
    "  availableReplicas: 1\n"
    "  unavailableReplicas: 1\n"
    "  conditions: [{type: Available, status: 'True', reason: MinimumReplicasAvailable}]\n";

static ProtobufCMessage *replica_set(arena_t *arena, const char *name, const char *revision) {
    Apps__ReplicaSet *set = MSG_NEW(arena, Apps__ReplicaSet, apps__replica_set__descriptor);
    object_meta(arena, &set->base)->name = name;
    object_set_annotation(arena, &set->base, "deployment.kubernetes.io/revision", revision);
    return &set->base;
}

Test(describe, a_deployment)
{
    arena_t arena = {0};
    const ProtobufCMessage *sets[] = {replica_set(&arena, "web-1", "1"),
                                      replica_set(&arena, "web-2", "2")};
    describe_extra_t extra = {.replica_sets = sets, .replica_sets_len = 2};
    cr_assert_str_eq(
        described(&arena, valid_object(&arena, deployment), NULL, 0, &extra),
        "Name:                   web\n"
        "Namespace:              default\n"
        "CreationTimestamp:      Tue, 14 Nov 2023 22:10:00 +0000\n"
        "Labels:                 <none>\n"
        "Annotations:            deployment.kubernetes.io/revision: 2\n"
        "Selector:               app=web\n"
        "Replicas:               2 desired | 2 updated | 2 total | 1 available | 1 unavailable\n"
        "StrategyType:           RollingUpdate\n"
        "MinReadySeconds:        0\n"
        "RollingUpdateStrategy:  25% max unavailable, 25% max surge\n"
        "Pod Template:\n"
        "  Labels:  app=web\n"
        "  Containers:\n"
        "   c:\n"
        "    Image:         nginx\n"
        "    Port:          <none>\n"
        "    Host Port:     <none>\n"
        "    Environment:   <none>\n"
        "    Mounts:        <none>\n"
        "  Volumes:         <none>\n"
        "  Node-Selectors:  <none>\n"
        "  Tolerations:     <none>\n"
        "Conditions:\n"
        "  Type           Status  Reason\n"
        "  ----           ------  ------\n"
        "  Available      True    MinimumReplicasAvailable\n"
        "OldReplicaSets:  web-1 (0/0 replicas created)\n"
        "NewReplicaSet:   web-2 (0/0 replicas created)\n"
        "Events:          <none>\n");
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

Test(describe, a_service)
{
    static const char service[] = "apiVersion: v1\n"
                                  "kind: Service\n"
                                  "metadata: {name: myweb, namespace: default}\n"
                                  "spec:\n"
                                  "  type: NodePort\n"
                                  "  clusterIP: 10.96.0.7\n"
                                  "  clusterIPs: [10.96.0.7]\n"
                                  "  ipFamilies: [IPv4]\n"
                                  "  ipFamilyPolicy: SingleStack\n"
                                  "  selector: {app: web}\n"
                                  "  ports: [{port: 80, nodePort: 30080}]\n";
    static const char endpoints[] = "apiVersion: v1\n"
                                    "kind: Endpoints\n"
                                    "metadata: {name: myweb, namespace: default}\n"
                                    "subsets:\n"
                                    "- addresses: [{ip: 10.244.0.2}, {ip: 10.244.0.3}]\n"
                                    "  ports: [{port: 80}]\n";
    arena_t arena = {0};
    describe_extra_t extra = {.endpoints = (Core__Endpoints *)object(&arena, endpoints)};
    cr_assert_str_eq(described(&arena, valid_object(&arena, service), NULL, 0, &extra),
                     "Name:                     myweb\n"
                     "Namespace:                default\n"
                     "Labels:                   <none>\n"
                     "Annotations:              <none>\n"
                     "Selector:                 app=web\n"
                     "Type:                     NodePort\n"
                     "IP Family Policy:         SingleStack\n"
                     "IP Families:              IPv4\n"
                     "IP:                       10.96.0.7\n"
                     "IPs:                      10.96.0.7\n"
                     "Port:                     <unset>  80/TCP\n"
                     "TargetPort:               80/TCP\n"
                     "NodePort:                 <unset>  30080/TCP\n"
                     "Endpoints:                10.244.0.2:80,10.244.0.3:80\n"
                     "Session Affinity:         None\n"
                     "External Traffic Policy:  Cluster\n"
                     "Internal Traffic Policy:  Cluster\n"
                     "Events:                   <none>\n");
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

Test(describe, a_node_and_what_its_pods_ask_for)
{
    static const char node[] =
        "apiVersion: v1\n"
        "kind: Node\n"
        "metadata:\n"
        "  name: node-1\n"
        "  creationTimestamp: '2023-11-14T22:10:00Z'\n"
        "  labels: {node-role.kubernetes.io/control-plane: ''}\n"
        "spec: {podCIDR: 10.244.0.0/24, taints: [{key: a, value: b, effect: NoSchedule}]}\n"
        "status:\n"
        "  capacity: {cpu: '2', memory: 4Gi, pods: '110'}\n"
        "  allocatable: {cpu: '2', memory: 4Gi, pods: '110'}\n"
        "  addresses: [{type: InternalIP, address: 192.168.0.1}]\n"
        "  conditions:\n"
        "  - {type: Ready, status: 'True', reason: KubeletReady, message: fine,\n"
        "     lastHeartbeatTime: '2023-11-14T22:13:00Z', lastTransitionTime: "
        "'2023-11-14T22:11:00Z'}\n"
        "  nodeInfo: {kubeletVersion: v1.33.0, osImage: Debian}\n";
    arena_t arena = {0};
    const Core__Pod *pods[] = {(Core__Pod *)object(&arena, pod)};
    describe_extra_t extra = {.pods = pods, .pods_len = 1};
    cr_assert_str_eq(
        described(&arena, object(&arena, node), NULL, 0, &extra),
        "Name:               node-1\n"
        "Roles:              control-plane\n"
        "Labels:             node-role.kubernetes.io/control-plane=\n"
        "Annotations:        <none>\n"
        "CreationTimestamp:  Tue, 14 Nov 2023 22:10:00 +0000\n"
        "Taints:             a=b:NoSchedule\n"
        "Unschedulable:      false\n"
        "Conditions:\n"
        "  Type    Status  LastHeartbeatTime                 LastTransitionTime                "
        "Reason         Message\n"
        "  ----    ------  -----------------                 ------------------                "
        "------         -------\n"
        "  Ready   True    Tue, 14 Nov 2023 22:13:00 +0000   Tue, 14 Nov 2023 22:11:00 +0000   "
        "KubeletReady   fine\n"
        "Addresses:\n"
        "  InternalIP:  192.168.0.1\n"
        "Capacity:\n"
        "  cpu:     2\n"
        "  memory:  4Gi\n"
        "  pods:    110\n"
        "Allocatable:\n"
        "  cpu:     2\n"
        "  memory:  4Gi\n"
        "  pods:    110\n"
        "System Info:\n"
        "  Machine ID:                 \n"
        "  System UUID:                \n"
        "  Boot ID:                    \n"
        "  Kernel Version:             \n"
        "  OS Image:                   Debian\n"
        "  Operating System:           \n"
        "  Architecture:               \n"
        "  Container Runtime Version:  \n"
        "  Kubelet Version:            v1.33.0\n"
        "  Kube-Proxy Version:         \n"
        "PodCIDR:                      10.244.0.0/24\n"
        "Non-terminated Pods:          (1 in total)\n"
        "  Namespace                   Name              CPU Requests  CPU Limits  Memory "
        "Requests  Memory Limits  Age\n"
        "  ---------                   ----              ------------  ----------  "
        "---------------  -------------  ---\n"
        "  default                     web-7c5d-x2x4v    250m (12%)    500m (25%)  0 (0%)          "
        " "
        "64Mi (1%)      <unknown>\n"
        "Allocated resources:\n"
        "  (Total limits may be over 100 percent, i.e., overcommitted.)\n"
        "  Resource           Requests    Limits\n"
        "  --------           --------    ------\n"
        "  cpu                250m (12%)  500m (25%)\n"
        "  memory             0 (0%)      64Mi (1%)\n"
        "  ephemeral-storage  0 (0%)      0 (0%)\n"
        "Events:              <none>\n");
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

Test(describe, data_is_shown_and_secrets_are_counted)
{
    arena_t arena = {0};
    cr_assert_str_eq(described(&arena,
                               object(&arena,
                                      "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, "
                                      "namespace: default}\ndata: {a: one}\n"),
                               NULL, 0, NULL),
                     "Name:         c\n"
                     "Namespace:    default\n"
                     "Labels:       <none>\n"
                     "Annotations:  <none>\n"
                     "\n"
                     "Data\n"
                     "====\n"
                     "a:\n"
                     "----\n"
                     "one\n"
                     "\n"
                     "\n"
                     "BinaryData\n"
                     "====\n"
                     "\n"
                     "Events:  <none>\n");
    cr_assert_str_eq(described(&arena,
                               object(&arena, "apiVersion: v1\nkind: Secret\nmetadata: {name: s, "
                                              "namespace: default}\ntype: Opaque\ndata: {key: "
                                              "c2VjcmV0}\n"),
                               NULL, 0, NULL),
                     "Name:         s\n"
                     "Namespace:    default\n"
                     "Labels:       <none>\n"
                     "Annotations:  <none>\n"
                     "\n"
                     "Type:  Opaque\n"
                     "\n"
                     "Data\n"
                     "====\n"
                     "key:  6 bytes\n");
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

Test(describe, a_kind_without_a_text_of_its_own_tells_its_fields)
{
    arena_t arena = {0};
    cr_assert_str_eq(
        described(&arena,
                  object(&arena,
                         "apiVersion: coordination.k8s.io/v1\nkind: Lease\nmetadata: {name: "
                         "l, namespace: kube-system, uid: u1}\nspec: {holderIdentity: m1, "
                         "leaseDurationSeconds: 15}\n"),
                  NULL, 0, NULL),
        "Name:         l\n"
        "Namespace:    kube-system\n"
        "Labels:       <none>\n"
        "Annotations:  <none>\n"
        "API Version:  coordination.k8s.io/v1\n"
        "Kind:         Lease\n"
        "Metadata:\n"
        "  UID:  u1\n"
        "Spec:\n"
        "  Holder Identity:         m1\n"
        "  Lease Duration Seconds:  15\n"
        "Events:                    <none>\n");
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

// No kind's description stumbles over an empty object.
Test(describe, an_empty_object_of_each_kind)
{
    for (size_t i = 0; kind_at(i); i++) {
        arena_t arena = {0};
        cr_assert(has_prefix(described(&arena, msg_new(&arena, kind_at(i)->type), NULL, 0, NULL),
                             "Name:"),
                  "%s", kind_at(i)->name);
        arena_done(&arena);
    }
    ASSERT_NO_LEAKS();
}
