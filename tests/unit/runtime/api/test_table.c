// table - what `get` prints, to the letter.
#include "k8s/apps_v1.pb-c.h"
#include "k8s/core_v1.pb-c.h"
#include "k8s/extensions_v1beta1.pb-c.h"
#include "runtime/api/kinds/fill.h"
#include "runtime/api/pod.h"
#include "runtime/api/table.h"
#include "support/leaks.h"

#define NOW                           1700000000000
#define NEW_MSG(arena, c_type, lower) MSG_NEW((arena), c_type, lower##__descriptor)
enum { SECOND = 1000, MINUTE = 60 * SECOND };

Test(table, durations_read_as_kubectl_writes_them)
{
    static const struct {
        int64_t seconds;
        const char *want;
    } rows[] = {
        {-5, "<invalid>"},  {-1, "0s"},        {0, "0s"},         {119, "119s"},
        {120, "2m"},        {313, "5m13s"},    {600, "10m"},      {10799, "179m"},
        {10800, "3h"},      {11100, "3h5m"},   {28800, "8h"},     {172799, "47h"},
        {172800, "2d"},     {176400, "2d1h"},  {691200, "8d"},    {63072000, "2y"},
        {63158400, "2y1d"}, {252288000, "8y"}, {300000000, "9y"},
    };
    arena_t arena = {0};
    for (size_t i = 0; i < LENGTH_OF(rows); i++)
        cr_assert_str_eq(human_duration(&arena, rows[i].seconds * SECOND), rows[i].want, "%lld",
                         (long long)rows[i].seconds);
    cr_assert_str_eq(human_duration(&arena, -900), "0s");
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

// ---- pods ---------------------------------------------------------------------------------------
// A container's state in one word: "run", "ready", "wait:Reason", "end:CODE[:Reason]", "sig:N".
static Core__ContainerStatus *container_status(arena_t *arena, const char *name, const char *word) {
    Core__ContainerStatus *c = NEW_MSG(arena, Core__ContainerStatus, core__container_status);
    c->name = name;
    c->state = NEW_MSG(arena, Core__ContainerState, core__container_state);
    const char *reason = strchr(word, ':') ? strchr(word, ':') + 1 : "";
    if (has_prefix(word, "wait")) {
        c->state->waiting =
            NEW_MSG(arena, Core__ContainerStateWaiting, core__container_state_waiting);
        c->state->waiting->reason = reason;
    } else if (has_prefix(word, "end") || has_prefix(word, "sig")) {
        Core__ContainerStateTerminated *end =
            NEW_MSG(arena, Core__ContainerStateTerminated, core__container_state_terminated);
        int number = (int)strtol(reason, NULL, 10);
        SET_NUM(end, exitcode, has_prefix(word, "sig") ? 128 + number : number);
        if (has_prefix(word, "sig")) SET_NUM(end, signal, number);
        end->reason = strchr(reason, ':') ? strchr(reason, ':') + 1 : NULL;
        c->state->terminated = end;
    } else {
        c->state->running =
            NEW_MSG(arena, Core__ContainerStateRunning, core__container_state_running);
        SET_NUM(c, ready, streq(word, "ready"));
        SET_NUM(c, started, true);
    }
    return c;
}

typedef struct {
    const char *phase, *reason;
    const char *init[3], *main[3]; // states in one word; an init "sidecar:…" goes on
    const char *conditions[3];     // types that are True
    bool leaving;
    const char *want_status, *want_ready;
} pod_row_t;

static void add_init(arena_t *arena, Core__Pod *pod, const char *word) {
    Core__Container *c = NEW_MSG(arena, Core__Container, core__container);
    c->name = arena_printf(arena, "init-%zu", pod->spec->n_initcontainers);
    if (has_prefix(word, "sidecar:")) {
        c->restartpolicy = "Always";
        word += strlen("sidecar:");
    }
    pod->spec->initcontainers[pod->spec->n_initcontainers++] = c;
    if (streq(word, "none")) return;
    pod->status->initcontainerstatuses[pod->status->n_initcontainerstatuses++] =
        container_status(arena, c->name, word);
}

static Core__Pod *pod_of_row(arena_t *arena, const pod_row_t *row) {
    Core__Pod *pod = NEW_MSG(arena, Core__Pod, core__pod);
    Meta__ObjectMeta *meta = object_meta(arena, &pod->base);
    meta->name = "p";
    if (row->leaving) meta->deletiontimestamp = time_new(arena, NOW);
    pod->spec = NEW_MSG(arena, Core__PodSpec, core__pod_spec);
    pod->status = NEW_MSG(arena, Core__PodStatus, core__pod_status);
    pod->status->phase = row->phase;
    pod->status->reason = row->reason;
    pod->spec->initcontainers = ARENA_ARRAY(arena, Core__Container *, 3);
    pod->spec->containers = ARENA_ARRAY(arena, Core__Container *, 3);
    pod->status->initcontainerstatuses = ARENA_ARRAY(arena, Core__ContainerStatus *, 3);
    pod->status->containerstatuses = ARENA_ARRAY(arena, Core__ContainerStatus *, 3);
    pod->status->conditions = ARENA_ARRAY(arena, Core__PodCondition *, 3);
    for (size_t i = 0; i < 3 && row->init[i]; i++) add_init(arena, pod, row->init[i]);
    for (size_t i = 0; i < 3 && row->main[i]; i++) {
        Core__Container *c = NEW_MSG(arena, Core__Container, core__container);
        c->name = arena_printf(arena, "main-%zu", i);
        pod->spec->containers[pod->spec->n_containers++] = c;
        if (streq(row->main[i], "none")) continue;
        pod->status->containerstatuses[pod->status->n_containerstatuses++] =
            container_status(arena, c->name, row->main[i]);
    }
    for (size_t i = 0; i < 3 && row->conditions[i]; i++) {
        Core__PodCondition *c = NEW_MSG(arena, Core__PodCondition, core__pod_condition);
        c->type = row->conditions[i];
        c->status = "True";
        pod->status->conditions[pod->status->n_conditions++] = c;
    }
    return pod;
}

Test(table, a_pods_status_is_kubectls)
{
    static const pod_row_t rows[] = {
        {"Pending", NULL, {0}, {"none"}, {0}, false, "Pending", "0/1"},
        {"Pending", NULL, {0}, {"wait:ContainerCreating"}, {0}, false, "ContainerCreating", "0/1"},
        {"Running", NULL, {0}, {"ready"}, {"Ready"}, false, "Running", "1/1"},
        {"Running", NULL, {0}, {"ready", "run"}, {0}, false, "Running", "1/2"},
        {"Running", NULL, {0}, {"wait:CrashLoopBackOff"}, {0}, false, "CrashLoopBackOff", "0/1"},
        {"Pending", NULL, {0}, {"wait:ImagePullBackOff"}, {0}, false, "ImagePullBackOff", "0/1"},
        {"Succeeded", NULL, {0}, {"end:0:Completed"}, {0}, false, "Completed", "0/1"},
        {"Failed", NULL, {0}, {"end:1:Error"}, {0}, false, "Error", "0/1"},
        {"Failed", NULL, {0}, {"end:3"}, {0}, false, "ExitCode:3", "0/1"},
        {"Failed", NULL, {0}, {"sig:9"}, {0}, false, "Signal:9", "0/1"},
        {"Failed", "Evicted", {0}, {"none"}, {0}, false, "Evicted", "0/1"},
        {"Running", NULL, {0}, {"end:0:Completed", "ready"}, {"Ready"}, false, "Running", "1/2"},
        {"Running", NULL, {0}, {"end:0:Completed", "ready"}, {0}, false, "NotReady", "1/2"},
        {"Running",
         NULL,
         {0},
         {"ready", "wait:CrashLoopBackOff"},
         {0},
         false,
         "CrashLoopBackOff",
         "1/2"},
        {"Pending", NULL, {"run", "none"}, {"wait:PodInitializing"}, {0}, false, "Init:0/2", "0/1"},
        {"Pending",
         NULL,
         {"end:0:Completed", "run"},
         {"wait:PodInitializing"},
         {0},
         false,
         "Init:1/2",
         "0/1"},
        {"Pending",
         NULL,
         {"wait:PodInitializing"},
         {"wait:PodInitializing"},
         {0},
         false,
         "Init:0/1",
         "0/1"},
        {"Pending",
         NULL,
         {"wait:CrashLoopBackOff"},
         {"none"},
         {0},
         false,
         "Init:CrashLoopBackOff",
         "0/1"},
        {"Pending", NULL, {"end:1:Error"}, {"none"}, {0}, false, "Init:Error", "0/1"},
        {"Pending", NULL, {"end:2"}, {"none"}, {0}, false, "Init:ExitCode:2", "0/1"},
        {"Pending", NULL, {"sig:11"}, {"none"}, {0}, false, "Init:Signal:11", "0/1"},
        {"Running",
         NULL,
         {"sidecar:ready"},
         {"ready"},
         {"Ready", "Initialized"},
         false,
         "Running",
         "2/2"},
        {"Running",
         NULL,
         {"sidecar:wait:CrashLoopBackOff"},
         {"ready"},
         {"Initialized"},
         false,
         "Init:CrashLoopBackOff",
         "1/2"},
        {"Running", NULL, {0}, {"ready"}, {"Ready"}, true, "Terminating", "1/1"},
        {"Succeeded", NULL, {0}, {"end:0:Completed"}, {0}, true, "Completed", "0/1"},
        {"Running", "NodeLost", {0}, {"ready"}, {0}, true, "Unknown", "1/1"},
    };
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        arena_t arena = {0};
        pod_summary_t sum = pod_summary(&arena, pod_of_row(&arena, &rows[i]));
        cr_assert_str_eq(sum.status, rows[i].want_status, "row %zu: %s, not %s", i, sum.status,
                         rows[i].want_status);
        cr_assert_str_eq(arena_printf(&arena, "%d/%d", sum.ready, sum.total), rows[i].want_ready,
                         "row %zu", i);
        arena_done(&arena);
    }
    ASSERT_NO_LEAKS();
}

static const char *printed(arena_t *arena, const char *typed, const ProtobufCMessage *const *objs,
                           size_t len, table_options_t options) {
    text_t out = {.arena = arena};
    table_print(arena, kind_by_typed_name(typed), objs, len, NOW, &options, &out);
    return text_str(&out);
}

Test(table, pods_stand_in_columns)
{
    arena_t arena = {0};
    pod_row_t row = {"Running", NULL, {0}, {"ready"}, {"Ready"}, false, NULL, NULL};
    Core__Pod *a = pod_of_row(&arena, &row), *b = pod_of_row(&arena, &row);
    a->metadata->name = "nginx-deploy-7c5ddbdf54-abcde";
    a->metadata->namespace_ = "default";
    a->metadata->creationtimestamp = time_new(&arena, NOW - 313 * SECOND);
    a->status->containerstatuses[0]->has_restartcount = true;
    a->status->containerstatuses[0]->restartcount = 2;
    Core__ContainerStatus *before = container_status(&arena, "x", "end:1");
    before->state->terminated->finishedat = time_new(&arena, NOW - 5 * MINUTE);
    a->status->containerstatuses[0]->laststate = before->state;
    a->spec->nodename = "node-1";
    a->status->podip = "10.244.1.3";
    object_set_label(&arena, &a->base, "app", "web");
    b->metadata->name = "b";
    b->metadata->namespace_ = "kube-system";
    const ProtobufCMessage *objs[] = {&a->base, &b->base};
    cr_assert_str_eq(printed(&arena, "po", objs, 2, (table_options_t){0}),
                     "NAME                            READY   STATUS    RESTARTS     AGE\n"
                     "nginx-deploy-7c5ddbdf54-abcde   1/1     Running   2 (5m ago)   5m13s\n"
                     "b                               1/1     Running   0            <unknown>\n");
    cr_assert_str_eq(
        printed(&arena, "po", objs, 1, (table_options_t){.wide = true, .with_namespace = true}),
        "NAMESPACE   NAME                            READY   STATUS    RESTARTS     AGE     IP"
        "           NODE     NOMINATED NODE   READINESS GATES\n"
        "default     nginx-deploy-7c5ddbdf54-abcde   1/1     Running   2 (5m ago)   5m13s   "
        "10.244.1.3   node-1   <none>           <none>\n");
    cr_assert_str_eq(
        printed(&arena, "po", objs, 2,
                (table_options_t){.no_headers = true, .show_kind = true, .show_labels = true}),
        "pod/nginx-deploy-7c5ddbdf54-abcde   1/1   Running   2 (5m ago)   5m13s       "
        "app=web\n"
        "pod/b                               1/1   Running   0            <unknown>   "
        "<none>\n");
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

// ---- deployments, of every version --------------------------------------------------------------
static ProtobufCMessage *deployment(arena_t *arena, const char *typed) {
    const kind_t *k = kind_by_typed_name(typed);
    ProtobufCMessage *obj = msg_new(arena, k->type);
    Meta__ObjectMeta *meta = object_meta(arena, obj);
    meta->name = "nginx-deploy";
    meta->creationtimestamp = time_new(arena, NOW - 30 * SECOND);
    void *spec = fill_message(arena, obj, "spec"), *status = fill_message(arena, obj, "status");
    field_set_int(spec, "replicas", 2);
    field_set_int(status, "replicas", 2);
    field_set_int(status, "readyReplicas", 2);
    if (strstr(typed, "deploy")) {
        field_set_int(status, "updatedReplicas", 2);
        field_set_int(status, "availableReplicas", 1);
    }
    Core__PodTemplateSpec *template = fill_message(arena, spec, "template");
    template->spec = NEW_MSG(arena, Core__PodSpec, core__pod_spec);
    template->spec->containers = ARENA_ARRAY(arena, Core__Container *, 2);
    for (int i = 0; i < 2; i++) {
        Core__Container *c = NEW_MSG(arena, Core__Container, core__container);
        c->name = i ? "log" : "nginx";
        c->image = i ? "busybox" : "nginx:1.25";
        template->spec->containers[template->spec->n_containers++] = c;
    }
    Meta__LabelSelector *selector = fill_message(arena, spec, "selector");
    selector->matchlabels = ARENA_ARRAY(arena, Meta__LabelSelector__MatchLabelsEntry *, 1);
    Meta__LabelSelector__MatchLabelsEntry *entry =
        NEW_MSG(arena, Meta__LabelSelector__MatchLabelsEntry,
                meta__label_selector__match_labels_entry);
    entry->key = "run";
    entry->value = "nginx-deploy";
    selector->matchlabels[selector->n_matchlabels++] = entry;
    return obj;
}

Test(table, deployments_print_alike_in_every_version)
{
    static const char *const versions[] = {"deployments.", "deployments.extensions",
                                           "deployments.v1beta1.apps", "deployments.v1beta2.apps"};
    for (size_t i = 0; i < LENGTH_OF(versions); i++) {
        arena_t arena = {0};
        const ProtobufCMessage *objs[] = {deployment(&arena, versions[i])};
        cr_assert_str_eq(
            printed(&arena, versions[i], objs, 1, (table_options_t){.wide = true}),
            "NAME           READY   UP-TO-DATE   AVAILABLE   AGE   CONTAINERS   IMAGES            "
            "   SELECTOR\n"
            "nginx-deploy   2/2     2            1           30s   nginx,log    "
            "nginx:1.25,busybox   run=nginx-deploy\n");
        arena_done(&arena);
    }
    arena_t arena = {0};
    const ProtobufCMessage *objs[] = {deployment(&arena, "rs")};
    cr_assert_str_eq(printed(&arena, "rs", objs, 1, (table_options_t){.show_kind = true}),
                     "NAME                           DESIRED   CURRENT   READY   AGE\n"
                     "replicaset.apps/nginx-deploy   2         2         2       30s\n");
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

// ---- services, endpoints, nodes -----------------------------------------------------------------
static Core__Service *service(arena_t *arena, const char *name, const char *type, int port,
                              int node_port) {
    Core__Service *s = NEW_MSG(arena, Core__Service, core__service);
    object_meta(arena, &s->base)->name = name;
    s->metadata->creationtimestamp = time_new(arena, NOW - MINUTE);
    s->spec = NEW_MSG(arena, Core__ServiceSpec, core__service_spec);
    s->spec->type = type;
    s->spec->clusterip = "10.96.0.1";
    if (!port) return s;
    s->spec->ports = ARENA_ARRAY(arena, Core__ServicePort *, 1);
    Core__ServicePort *p = NEW_MSG(arena, Core__ServicePort, core__service_port);
    SET_NUM(p, port, port);
    SET_NUM(p, nodeport, node_port);
    p->protocol = "TCP";
    s->spec->ports[s->spec->n_ports++] = p;
    return s;
}

Test(table, services_show_where_they_are_reached)
{
    arena_t arena = {0};
    Core__Service *external = service(&arena, "ext", "ExternalName", 0, 0);
    external->spec->externalname = "example.com";
    external->spec->clusterip = NULL;
    const ProtobufCMessage *objs[] = {
        &service(&arena, "kubernetes", "ClusterIP", 443, 0)->base,
        &service(&arena, "myweb", "NodePort", 80, 30080)->base,
        &service(&arena, "lb", "LoadBalancer", 80, 30081)->base,
        &external->base,
    };
    cr_assert_str_eq(printed(&arena, "svc", objs, 4, (table_options_t){0}),
                     "NAME         TYPE           CLUSTER-IP   EXTERNAL-IP   PORT(S)        AGE\n"
                     "kubernetes   ClusterIP      10.96.0.1    <none>        443/TCP        60s\n"
                     "myweb        NodePort       10.96.0.1    <none>        80:30080/TCP   60s\n"
                     "lb           LoadBalancer   10.96.0.1    <pending>     80:30081/TCP   60s\n"
                     "ext          ExternalName   <none>       example.com   <none>         60s\n");
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

Test(table, endpoints_beyond_three_are_counted)
{
    arena_t arena = {0};
    Core__Endpoints *e = NEW_MSG(&arena, Core__Endpoints, core__endpoints);
    object_meta(&arena, &e->base)->name = "web";
    const ProtobufCMessage *objs[] = {&e->base};
    cr_assert_str_eq(printed(&arena, "ep", objs, 1, (table_options_t){.no_headers = true}),
                     "web   <none>   <unknown>\n");
    e->subsets = ARENA_ARRAY(&arena, Core__EndpointSubset *, 1);
    e->subsets[e->n_subsets++] = NEW_MSG(&arena, Core__EndpointSubset, core__endpoint_subset);
    Core__EndpointSubset *subset = e->subsets[0];
    subset->ports = ARENA_ARRAY(&arena, Core__EndpointPort *, 1);
    subset->ports[subset->n_ports++] = NEW_MSG(&arena, Core__EndpointPort, core__endpoint_port);
    SET_NUM(subset->ports[0], port, 80);
    subset->addresses = ARENA_ARRAY(&arena, Core__EndpointAddress *, 5);
    for (int i = 0; i < 5; i++) {
        Core__EndpointAddress *at = NEW_MSG(&arena, Core__EndpointAddress, core__endpoint_address);
        at->ip = i ? arena_printf(&arena, "10.0.0.%d", i) : "fd00::1";
        subset->addresses[subset->n_addresses++] = at;
    }
    cr_assert_str_eq(printed(&arena, "ep", objs, 1, (table_options_t){.no_headers = true}),
                     "web   [fd00::1]:80,10.0.0.1:80,10.0.0.2:80 + 2 more...   <unknown>\n");
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

Test(table, nodes_show_state_and_roles)
{
    arena_t arena = {0};
    Core__Node *n = NEW_MSG(&arena, Core__Node, core__node);
    object_meta(&arena, &n->base)->name = "m1";
    object_set_label(&arena, &n->base, "node-role.kubernetes.io/control-plane", "");
    object_set_label(&arena, &n->base, "kubernetes.io/role", "edge");
    n->spec = NEW_MSG(&arena, Core__NodeSpec, core__node_spec);
    SET_NUM(n->spec, unschedulable, true);
    n->status = NEW_MSG(&arena, Core__NodeStatus, core__node_status);
    n->status->conditions = ARENA_ARRAY(&arena, Core__NodeCondition *, 1);
    Core__NodeCondition *ready = NEW_MSG(&arena, Core__NodeCondition, core__node_condition);
    ready->type = "Ready";
    ready->status = "True";
    n->status->conditions[n->status->n_conditions++] = ready;
    const ProtobufCMessage *objs[] = {&n->base};
    cr_assert_str_eq(printed(&arena, "nodes", objs, 1, (table_options_t){0}),
                     "NAME   STATUS                     ROLES                AGE         VERSION\n"
                     "m1     Ready,SchedulingDisabled   control-plane,edge   <unknown>   \n");
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

Test(table, an_events_message_is_one_tame_line)
{
    arena_t arena = {0};
    Core__Event *e = NEW_MSG(&arena, Core__Event, core__event);
    e->type = "Warning";
    e->reason = "BackOff";
    e->message = "  first\x1b[31m\nsecond ";
    e->lasttimestamp = time_new(&arena, NOW - 10 * SECOND);
    e->involvedobject = NEW_MSG(&arena, Core__ObjectReference, core__object_reference);
    e->involvedobject->kind = "Pod";
    e->involvedobject->name = "web";
    const ProtobufCMessage *objs[] = {&e->base};
    cr_assert_str_eq(printed(&arena, "ev", objs, 1, (table_options_t){0}),
                     "LAST SEEN   TYPE      REASON    OBJECT    MESSAGE\n"
                     "10s         Warning   BackOff   pod/web   first^[[31m...\n");
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

// No kind's cells stumble over an empty object.
Test(table, an_empty_object_of_each_kind_prints)
{
    for (size_t i = 0; kind_at(i); i++) {
        arena_t arena = {0};
        const ProtobufCMessage *objs[] = {msg_new(&arena, kind_at(i)->type)};
        text_t out = {.arena = &arena};
        table_print(&arena, kind_at(i), objs, 1, NOW, &(table_options_t){.wide = true}, &out);
        cr_assert_not_null(strchr(text_str(&out), '\n'));
        arena_done(&arena);
    }
    ASSERT_NO_LEAKS();
}
