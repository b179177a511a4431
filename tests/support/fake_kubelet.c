#include "tests/support/fake_kubelet.h"
#include "k8s/core_v1.pb-c.h"
#include "runtime/actor/api_client.h"
#include "runtime/actor/informer.h"
#include "runtime/actor/workqueue.h"
#include "runtime/api/pod.h"
#include "runtime/base/clock.h"
#include "tests/support/build.h"

enum {
    TAG_NODE = 1,
    TAG_PODS,
    TAG_SELF,
    TAG_WRITE,
    TAG_ALIVE,
    TAG_QUEUE,
    ALIVE_MS = 200,
    NODE_RETRY_MS = 100
};

#define SELF "the node itself"

typedef struct {
    fake_kubelet_args_t args;
    actor_t *me;
    informer_t *pods;
    informer_t *self; // the node's own object
    char *self_selector;
    workqueue_t due; // "ns/name": something is to be done about the pod
    char *selector;
    uint64_t alive_turn;
    bool registered;
} fake_kubelet_t;

static const kind_t *pod_kind(void) { return kind_find("", "v1", "Pod"); }
static const kind_t *node_kind(void) { return kind_find("", "v1", "Node"); }

static void register_node(fake_kubelet_t *self) {
    arena_t *arena = actor_arena(self->me);
    Core__Node *node = build(arena, &core__node__descriptor,
                             "status.capacity[memory]=8Gi; status.capacity[pods]=110;"
                             "status.allocatable[memory]=8Gi; status.allocatable[pods]=110;"
                             "status.conditions[0].type=Ready; status.conditions[0].status=True; "
                             "status.conditions[0].reason=KubeletReady");
    build_into(arena, node,
               arena_printf(arena,
                            "metadata.name=%s; status.capacity[cpu]=%s; status.allocatable[cpu]=%s",
                            actor_name(self->me), self->args.cpu, self->args.cpu));
    api_create(self->me, node_kind(), &node->base, TAG_NODE);
}

static void say_alive(fake_kubelet_t *self) {
    api_tell_alive(self->me, &self->alive_turn);
    actor_timer(self->me, TAG_ALIVE, ALIVE_MS);
}

// Running and ready: else somebody (a controller that could not hear the node) has said otherwise.
static bool is_running(const record_t *r) {
    const Core__Pod *pod = RECORD_AS(Core__Pod, r);
    const Core__PodCondition *ready = pod_condition(pod, "Ready");
    return pod->status && streq(or_empty(pod->status->phase), "Running") && ready &&
           streq(or_empty(ready->status), "True");
}

static bool is_ready(const Core__Node *node) {
    for (size_t i = 0; node->status && i < node->status->n_conditions; i++)
        if (streq(or_empty(node->status->conditions[i]->type), "Ready"))
            return streq(or_empty(node->status->conditions[i]->status), "True");
    return false;
}

static void say_ready(fake_kubelet_t *self) {
    char when[TIME_TEXT_MAX];
    const char *json = arena_printf(
        actor_arena(self->me),
        "{\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\",\"reason\":"
        "\"KubeletReady\",\"lastTransitionTime\":\"%s\"}]}}",
        clock_rfc3339(actor_wall_ms(self->me), when));
    api_patch(self->me, node_kind(), "", actor_name(self->me), "status",
              API__PATCH__TYPE__STRATEGIC, json, 0, TAG_WRITE);
}

// A node that was given up while it was not heard says that it is there; again and again until the
// watch shows it.
static void on_self(void *arg, const record_t *was, const record_t *is) {
    fake_kubelet_t *self = arg;
    if (is && !is_ready(RECORD_AS(Core__Node, is)))
        workqueue_add_after(&self->due, SELF, actor_now_ms(self->me), 100);
}

static void on_pod(void *arg, const record_t *was, const record_t *is) {
    fake_kubelet_t *self = arg;
    if (!is) return;
    bool is_leaving = object_meta_read(is->object)->deletiontimestamp;
    int64_t wait_ms = is_leaving ? self->args.stop_ms : self->args.start_ms;
    if (is_leaving || !is_running(is))
        workqueue_add_after(&self->due, is->key, actor_now_ms(self->me), wait_ms);
}

static void let_go(fake_kubelet_t *self, const record_t *r) {
    api_delete(self->me, pod_kind(), r->namespace_, r->name,
               &(api_delete_options_t){.uid = r->uid, .has_grace = true}, TAG_WRITE);
}

static void run(fake_kubelet_t *self, const record_t *r) {
    char when[TIME_TEXT_MAX];
    const char *json =
        arena_printf(actor_arena(self->me),
                     "{\"status\":{\"phase\":\"Running\",\"podIP\":\"10.244.%u.%u\",\"conditions\":"
                     "[{\"type\":\"Ready\","
                     "\"status\":\"True\",\"lastTransitionTime\":\"%s\"}]}}",
                     (unsigned)(r->revision >> 8 & 255), (unsigned)(r->revision & 255),
                     clock_rfc3339(actor_wall_ms(self->me), when));
    api_patch(self->me, pod_kind(), r->namespace_, r->name, "status", API__PATCH__TYPE__STRATEGIC,
              json, 0, TAG_WRITE);
}

static void settle(actor_t *me) {
    fake_kubelet_t *self = actor_state(me);
    for (const char *key; (key = workqueue_next(&self->due, actor_now_ms(me)));) {
        if (streq(key, SELF)) {
            const record_t *node = informer_get(self->self, "", actor_name(me));
            if (node && !is_ready(RECORD_AS(Core__Node, node))) {
                say_ready(self);
                workqueue_add_after(&self->due, key, actor_now_ms(me), 1000);
            }
            workqueue_finish(&self->due, key);
            continue;
        }
        const record_t *r = informer_get_key(self->pods, key);
        bool is_leaving = r && object_meta_read(r->object)->deletiontimestamp;
        if (is_leaving)
            let_go(self, r);
        else if (r && !is_running(r))
            run(self, r);
        // Until the watch shows that it worked, it is tried again.
        if (r && (is_leaving || !is_running(r)))
            workqueue_add_after(&self->due, key, actor_now_ms(me), 1000);
        workqueue_finish(&self->due, key);
    }
    int64_t next_ms = workqueue_deadline_ms(&self->due);
    if (next_ms < INT64_MAX) actor_timer(me, TAG_QUEUE, next_ms - actor_now_ms(me));
}

static void on_reply(actor_t *me, const message_t *msg, const void *body) {
    fake_kubelet_t *self = actor_state(me);
    if (msg->tag == TAG_NODE) self->registered = true;
}

static void on_failure(actor_t *me, const message_t *msg, const void *body) {
    fake_kubelet_t *self = actor_state(me);
    if (informer_handle(self->pods, me, msg, body) || informer_handle(self->self, me, msg, body) ||
        msg->tag != TAG_NODE)
        return;
    api_failure_t failure = api_failure(actor_arena(me), body);
    if (failure.err == ERR_EXISTS)
        self->registered = true;
    else
        actor_timer(me, TAG_NODE, NODE_RETRY_MS);
}

static void on_stream(actor_t *me, const message_t *msg, const void *body) {
    fake_kubelet_t *self = actor_state(me);
    if (!informer_handle(self->pods, me, msg, body)) informer_handle(self->self, me, msg, body);
}

static void on_timer(actor_t *me, uint64_t tag) {
    fake_kubelet_t *self = actor_state(me);
    if (informer_timer(self->pods, me, tag) || informer_timer(self->self, me, tag)) return;
    if (tag == TAG_NODE) register_node(self);
    if (tag == TAG_ALIVE) say_alive(self);
}

static err_t start(actor_t *me, const void *args, why_t *why) {
    fake_kubelet_t *self = actor_state(me);
    self->me = me;
    if (args) self->args = *(const fake_kubelet_args_t *)args;
    if (!self->args.start_ms) self->args.start_ms = 30;
    if (!self->args.stop_ms) self->args.stop_ms = 20;
    if (!self->args.cpu) self->args.cpu = "4";
    self->selector = str_printf("spec.nodeName=%s", actor_name(me));
    workqueue_init(&self->due, 0, 0);
    self->pods = informer_new(
        &(informer_spec_t){.kind = pod_kind(), .field_selector = self->selector, .tag = TAG_PODS});
    informer_subscribe(self->pods, on_pod, self);
    informer_start(self->pods, me);
    self->self_selector = str_printf("metadata.name=%s", actor_name(me));
    self->self = informer_new(&(informer_spec_t){
        .kind = node_kind(), .field_selector = self->self_selector, .tag = TAG_SELF});
    informer_subscribe(self->self, on_self, self);
    informer_start(self->self, me);
    register_node(self);
    say_alive(self);
    return ERR_OK;
}

static void stop(actor_t *me) {
    fake_kubelet_t *self = actor_state(me);
    informer_destroy(&self->pods);
    informer_destroy(&self->self);
    free(self->self_selector);
    workqueue_done_all(&self->due);
    free(self->selector);
}

static const handler_t handlers[] = {
    {&api__watch_events__descriptor, on_stream, NULL},
    {&actor__stream_end__descriptor, on_stream, NULL},
    {&api__reply__descriptor, on_reply, NULL},
    {&actor__failure__descriptor, on_failure, NULL},
    {0},
};

const actor_def_t fake_kubelet_actor = {
    .role = "kubelet",
    .state_size = sizeof(fake_kubelet_t),
    .start = start,
    .handlers = handlers,
    .settle = settle,
    .on_timer = on_timer,
    .stop = stop,
};
