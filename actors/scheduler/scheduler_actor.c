#include "actors/scheduler/scheduler_actor.h"
#include "actors/scheduler/sched_core.h"
#include "runtime/actor/api_client.h"
#include "runtime/actor/catch_up.h"
#include "runtime/actor/election.h"
#include "runtime/actor/recorder.h"
#include "runtime/actor/workqueue.h"
#include "runtime/base/clock.h"
#include "runtime/base/log.h"

enum {
    TAG_ELECTION = 1,
    TAG_CATCH_UP,
    TAG_EVENT,
    TAG_BIND,
    TAG_CONDITION,
    TAG_LOOK, // a pod whose binding's outcome is unknown, read live
    TAG_WAKE, // timer: a back-off ends
    TAG_NODES = 100,
    TAG_PODS,
    ACTIONS_PER_SETTLE = 256, // keeps a round below its 5 ms
};

const scheduler_args_t scheduler_args_default = {
    .scheduler_name = "default-scheduler",
    .concurrent_binds_max = 1024,
};

#define FIELD(member) offsetof(scheduler_args_t, member)
const config_field_t scheduler_config[] = {
    {"schedulerName", CONFIG_STRING, FIELD(scheduler_name), 0, 0,
     "pods of this spec.schedulerName are ours"},
    {"concurrentBinds", CONFIG_INT, FIELD(concurrent_binds_max), 1, 65536,
     "bindings under way at once"},
    {0},
};

// ---- state -------------------------------------------------------------------------------------

// A binding whose outcome is not known yet.
typedef struct {
    char *namespace_, *name, *uid, *node;
} binding_t;

typedef struct {
    const scheduler_args_t *args;
    actor_t *me;
    const kind_t *pod_kind;
    sched_t *core;
    election_t election;
    informers_t informers;
    catch_up_t catch_up;
    recorder_t recorder;
    imap_t bindings;     // ask id -> binding_t
    imap_t looks;        // ask id -> key of `unknown`, owned
    workqueue_t unknown; // "ns/name": bound or not? to be read live
} scheduler_t;

static void binding_free(binding_t *b) {
    free(b->namespace_);
    free(b->name);
    free(b->uid);
    free(b->node);
    free(b);
}

// ---- what the watches say ----------------------------------------------------------------------

static void on_node(void *arg, const record_t *was, const record_t *is) {
    scheduler_t *self = arg;
    if (is)
        sched_node_set(self->core, RECORD_AS(Core__Node, is));
    else
        sched_node_remove(self->core, was->name);
}

static void on_pod(void *arg, const record_t *was, const record_t *is) {
    scheduler_t *self = arg;
    if (is)
        sched_pod_set(self->core, RECORD_AS(Core__Pod, is), actor_now_ms(self->me));
    else
        sched_pod_remove(self->core, was->namespace_, was->name);
}

static ProtobufCMessage *slim_pod(arena_t *arena, const ProtobufCMessage *pod) {
    return &sched_slim_pod(arena, (const Core__Pod *)pod)->base;
}
static ProtobufCMessage *slim_node(arena_t *arena, const ProtobufCMessage *node) {
    return &sched_slim_node(arena, (const Core__Node *)node)->base;
}

static void on_watch_events(actor_t *me, const message_t *msg, const void *body) {
    scheduler_t *self = actor_state(me);
    informers_handle(&self->informers, me, msg, body);
}

// ---- outcomes ----------------------------------------------------------------------------------

// Enough of a pod for an event about it.
static Core__Pod *pod_of(arena_t *arena, const char *ns, const char *name, const char *uid) {
    Core__Pod *pod = MSG_NEW(arena, Core__Pod, core__pod__descriptor);
    pod->metadata = MSG_NEW(arena, Meta__ObjectMeta, meta__object_meta__descriptor);
    pod->metadata->namespace_ = ns;
    pod->metadata->name = name;
    pod->metadata->uid = uid;
    return pod;
}

static void on_bound(scheduler_t *self, const binding_t *b) {
    sched_bound(self->core, b->namespace_, b->name);
    actor_count(self->me, "scheduler_pods_bound_total", 1);
    Core__Pod *pod = pod_of(actor_arena(self->me), b->namespace_, b->name, b->uid);
    recorder_event(&self->recorder, self->me, self->pod_kind, &pod->base, NULL, EVENT_NORMAL,
                   "Scheduled", "Successfully assigned %s/%s to %s", b->namespace_, b->name,
                   b->node);
}

static void on_not_bound(scheduler_t *self, const binding_t *b, const api_failure_t *failure) {
    log_debug(actor_address(self->me), "bind %s/%s to %s: %s", b->namespace_, b->name, b->node,
              failure->why);
    if (failure->err == ERR_DEPOSED) {
        actor_exit(self->me, "deposed");
        return;
    }
    actor_count(self->me, "scheduler_bindings_failed_total", 1);
    // It may be bound all the same: it goes on being counted on its node until it was looked at.
    if (failure->is_unknown)
        workqueue_add_limited(&self->unknown,
                              arena_printf(actor_arena(self->me), "%s/%s", b->namespace_, b->name),
                              actor_now_ms(self->me));
    else
        sched_unbound(self->core, b->namespace_, b->name, actor_now_ms(self->me));
}

// The live answer about a pod whose binding's outcome was unknown. NULL: it is gone.
static void on_looked(scheduler_t *self, const char *key, const Core__Pod *pod) {
    const char *slash = strchr(key, '/');
    char *ns = arena_strndup(actor_arena(self->me), key, (size_t)(slash - key));
    if (pod && pod->spec && !is_empty(pod->spec->nodename))
        sched_pod_set(self->core, pod, actor_now_ms(self->me));
    else
        sched_unbound(self->core, ns, slash + 1, actor_now_ms(self->me));
    workqueue_finish(&self->unknown, key);
    workqueue_forget(&self->unknown, key);
}

static void on_reply(actor_t *me, const message_t *msg, const void *body) {
    scheduler_t *self = actor_state(me);
    if (recorder_handle(&self->recorder, me, msg, body)) return;
    if (msg->tag == TAG_BIND) {
        binding_t *b = imap_remove(&self->bindings, msg->in_reply_to);
        if (!b) return;
        on_bound(self, b);
        binding_free(b);
    } else if (msg->tag == TAG_LOOK) {
        char *key = imap_remove(&self->looks, msg->in_reply_to);
        void *pod = NULL;
        if (!key) return;
        if (api_reply_object(actor_arena(me), body, self->pod_kind, &pod)) pod = NULL;
        on_looked(self, key, pod);
        free(key);
    }
}

static void on_look_failed(scheduler_t *self, const message_t *msg, const api_failure_t *failure) {
    char *key = imap_remove(&self->looks, msg->in_reply_to);
    if (!key) return;
    if (failure->err == ERR_NOT_FOUND) {
        on_looked(self, key, NULL);
    } else {
        workqueue_add_limited(&self->unknown, key, actor_now_ms(self->me));
        workqueue_finish(&self->unknown, key);
    }
    free(key);
}

static void on_failure(actor_t *me, const message_t *msg, const void *body) {
    scheduler_t *self = actor_state(me);
    if (informers_handle(&self->informers, me, msg, body) ||
        election_handle(&self->election, me, msg, body) ||
        catch_up_handle(&self->catch_up, me, msg, body) ||
        recorder_handle(&self->recorder, me, msg, body))
        return;
    api_failure_t failure = api_failure(actor_arena(me), body);
    if (msg->tag == TAG_BIND) {
        binding_t *b = imap_remove(&self->bindings, msg->in_reply_to);
        if (!b) return;
        on_not_bound(self, b, &failure);
        binding_free(b);
    } else if (msg->tag == TAG_LOOK) {
        on_look_failed(self, msg, &failure);
    } else if (msg->tag == TAG_CONDITION && failure.err == ERR_DEPOSED) {
        actor_exit(me, "deposed");
    }
}

static void on_stream_end(actor_t *me, const message_t *msg, const void *body) {
    scheduler_t *self = actor_state(me);
    informers_handle(&self->informers, me, msg, body);
}

static void on_elect_reply(actor_t *me, const message_t *msg, const void *body) {
    scheduler_t *self = actor_state(me);
    bool led = self->election.leads;
    election_handle(&self->election, me, msg, body);
    if (!led && self->election.leads)
        catch_up_start(&self->catch_up, me, &self->informers, TAG_CATCH_UP);
}

static void on_current_revision(actor_t *me, const message_t *msg, const void *body) {
    scheduler_t *self = actor_state(me);
    catch_up_handle(&self->catch_up, me, msg, body);
}

static void on_timer(actor_t *me, uint64_t tag) {
    scheduler_t *self = actor_state(me);
    bool is_known = informers_timer(&self->informers, me, tag) ||
                    election_timer(&self->election, me, tag) ||
                    catch_up_timer(&self->catch_up, me, tag);
    assert(is_known || tag == TAG_WAKE);
}

// ---- effects -----------------------------------------------------------------------------------

static void bind(scheduler_t *self, const sched_action_t *action) {
    arena_t *arena = actor_arena(self->me);
    Core__Binding *binding = MSG_NEW(arena, Core__Binding, core__binding__descriptor);
    binding->metadata = MSG_NEW(arena, Meta__ObjectMeta, meta__object_meta__descriptor);
    binding->metadata->namespace_ = action->namespace_;
    binding->metadata->name = action->name;
    binding->metadata->uid = action->uid; // precondition: this pod, not another of its name
    binding->target = MSG_NEW(arena, Core__ObjectReference, core__object_reference__descriptor);
    binding->target->kind = "Node";
    binding->target->apiversion = "v1";
    binding->target->name = action->node;
    uint64_t id = api_create_sub(self->me, self->pod_kind, action->namespace_, action->name,
                                 "binding", &binding->base, TAG_BIND);
    binding_t *b = NEW(binding_t);
    *b = (binding_t){str_dup(action->namespace_), str_dup(action->name), str_dup(action->uid),
                     str_dup(action->node)};
    imap_put(&self->bindings, id, b);
}

static void explain(scheduler_t *self, const sched_action_t *action) {
    arena_t *arena = actor_arena(self->me);
    text_t json = {.arena = arena};
    text_addf(
        &json,
        "{\"metadata\":{\"uid\":\"%s\"},\"status\":{\"conditions\":[{\"type\":\"PodScheduled\","
        "\"status\":\"False\",\"reason\":\"%s\",\"message\":",
        action->uid, action->reason);
    api_json_string(&json, action->message);
    char when[TIME_TEXT_MAX];
    if (action->is_first)
        text_addf(&json, ",\"lastTransitionTime\":\"%s\"",
                  clock_rfc3339(actor_wall_ms(self->me), when));
    text_add(&json, "}]}}");
    api_patch(self->me, self->pod_kind, action->namespace_, action->name, "status",
              API__PATCH__TYPE__STRATEGIC, text_str(&json), 0, TAG_CONDITION);
    if (streq(action->reason, "SchedulingGated")) return;
    Core__Pod *pod = pod_of(arena, action->namespace_, action->name, action->uid);
    recorder_event(&self->recorder, self->me, self->pod_kind, &pod->base, NULL, EVENT_WARNING,
                   "FailedScheduling", "%s", action->message);
}

static void look_at_unknown(scheduler_t *self) {
    for (const char *key; (key = workqueue_next(&self->unknown, actor_now_ms(self->me)));) {
        const char *slash = strchr(key, '/');
        char *ns = arena_strndup(actor_arena(self->me), key, (size_t)(slash - key));
        uint64_t id = api_get(self->me, self->pod_kind, ns, slash + 1, TAG_LOOK);
        imap_put(&self->looks, id, str_dup(key));
    }
}

static void settle(actor_t *me) {
    scheduler_t *self = actor_state(me);
    if (!self->election.leads || !catch_up_is_done(&self->catch_up)) return;
    look_at_unknown(self);
    size_t under_way = imap_len(&self->bindings), max = (size_t)self->args->concurrent_binds_max;
    if (under_way >= max) return; // the next outcome settles again
    size_t actions_max =
        max - under_way < ACTIONS_PER_SETTLE ? max - under_way : ACTIONS_PER_SETTLE;
    sched_plan_t plan;
    sched_plan(self->core, actor_now_ms(me), actions_max, actor_arena(me), &plan);
    for (size_t i = 0; i < plan.actions_len; i++) {
        if (plan.actions[i].kind == SCHED_BIND)
            bind(self, &plan.actions[i]);
        else
            explain(self, &plan.actions[i]);
    }
    actor_gauge(me, "scheduler_pending_pods", (int64_t)sched_pending_len(self->core));
    if (plan.cut) actor_settle_again(me);
    int64_t wake_ms = workqueue_deadline_ms(&self->unknown);
    if (plan.wake_ms < wake_ms) wake_ms = plan.wake_ms;
    if (wake_ms < INT64_MAX) {
        int64_t delay_ms = wake_ms - actor_now_ms(me);
        actor_timer(me, TAG_WAKE, delay_ms > 0 ? delay_ms : 0);
    }
}

// ---- life --------------------------------------------------------------------------------------

static err_t start(actor_t *me, const void *args, why_t *why) {
    scheduler_t *self = actor_state(me);
    self->me = me;
    self->args = args ? args : &scheduler_args_default;
    self->core = sched_new(self->args->scheduler_name);
    self->pod_kind = kind_find("", "v1", "Pod");
    assert(self->pod_kind);
    recorder_init(&self->recorder, sched_name(self->core), NULL, TAG_EVENT);
    workqueue_init(&self->unknown, 200, 0);
    informer_spec_t nodes = {
        .kind = kind_find("", "v1", "Node"), .tag = TAG_NODES, .slim = slim_node, .shared = true};
    informer_spec_t pods = {
        .kind = self->pod_kind, .tag = TAG_PODS, .slim = slim_pod, .shared = true};
    informer_subscribe(informers_add(&self->informers, &nodes), on_node, self);
    informer_subscribe(informers_add(&self->informers, &pods), on_pod, self);
    informers_start(&self->informers, me);
    election_start(&self->election, me, "scheduler", TAG_ELECTION);
    return ERR_OK;
}

static void stop(actor_t *me) {
    scheduler_t *self = actor_state(me);
    size_t at = 0;
    uint64_t id;
    void *value;
    while (imap_next(&self->bindings, &at, &id, &value)) binding_free(value);
    imap_done(&self->bindings);
    at = 0;
    while (imap_next(&self->looks, &at, &id, &value)) free(value);
    imap_done(&self->looks);
    workqueue_done_all(&self->unknown);
    recorder_done(&self->recorder);
    informers_done(&self->informers);
    sched_destroy(&self->core);
}

static const handler_t handlers[] = {
    {&api__watch_events__descriptor, on_watch_events, "apiserver informers"},
    {&actor__stream_end__descriptor, on_stream_end, NULL},
    {&api__reply__descriptor, on_reply, "apiserver"},
    {&api__elect_reply__descriptor, on_elect_reply, "apiserver"},
    {&api__current_revision_reply__descriptor, on_current_revision, "apiserver"},
    {&actor__failure__descriptor, on_failure, NULL},
    {0},
};

const actor_def_t scheduler_actor = {
    .role = "scheduler",
    .state_size = sizeof(scheduler_t),
    .start = start,
    .handlers = handlers,
    .settle = settle,
    .on_timer = on_timer,
    .stop = stop,
};
