// What the API server does for the other parts: elections and fences, rights, who hears the nodes,
// streams to kubelets.
#include "runtime/actor/api_client.h"
#include "runtime/actor/election.h"
#include "tests/support/api_rig.h"
#include "tests/support/leaks.h"

#define POD(name)                                        \
    "{kind: Pod, apiVersion: v1, metadata: {name: " name \
    "}, spec: {containers: [{name: c, image: nginx}]}}"

// ---- a leader-elected actor: when it leads, it writes a ConfigMap every 50 ms -------------------
typedef struct {
    text_t *story;
    bool is_mute; // stands for election, never renews
} scribe_args_t;
typedef struct {
    const scribe_args_t *args;
    election_t election;
    int written;
} scribe_t;

enum { TAG_ELECTION = 1, TAG_WRITE = 2 };

static err_t scribe_start(actor_t *me, const void *args, why_t *why) {
    scribe_t *s = actor_state(me);
    s->args = args;
    election_start(&s->election, me, "scheduler", TAG_ELECTION);
    return ERR_OK;
}

static void scribe_write(actor_t *me) {
    scribe_t *s = actor_state(me);
    Core__Event *event = MSG_NEW(actor_arena(me), Core__Event, core__event__descriptor);
    Meta__ObjectMeta *meta = object_meta(actor_arena(me), &event->base);
    meta->name = arena_printf(actor_arena(me), "%s.%llu.%d", actor_name(me),
                              (unsigned long long)s->election.epoch, s->written++);
    meta->namespace_ = "default";
    event->involvedobject =
        MSG_NEW(actor_arena(me), Core__ObjectReference, core__object_reference__descriptor);
    event->involvedobject->namespace_ = "default";
    api_create(me, kind_find("", "v1", "Event"), &event->base, TAG_WRITE);
    actor_timer(me, TAG_WRITE, 50);
}

static void scribe_on(actor_t *me, const message_t *msg, const void *body) {
    scribe_t *s = actor_state(me);
    bool led = s->election.leads;
    const ProtobufCMessage *any = body;
    if (any->descriptor == &actor__failure__descriptor && msg->tag == TAG_WRITE) {
        err_t err = (err_t)((const Actor__Failure *)body)->err;
        text_addf(s->args->story, "%s refused %s\n", actor_name(me), err_name(err));
        if (err == ERR_DEPOSED) actor_exit(me, "deposed");
        return;
    }
    if (!election_handle(&s->election, me, msg, body)) return;
    if (led || !s->election.leads) return;
    text_addf(s->args->story, "%s leads %llu\n", actor_name(me),
              (unsigned long long)s->election.epoch);
    if (s->args->is_mute) actor_timer_cancel(me, TAG_ELECTION);
    scribe_write(me);
}
static void scribe_replied(actor_t *me, const message_t *msg, const void *body) {}
static void scribe_timer(actor_t *me, uint64_t tag) {
    scribe_t *s = actor_state(me);
    if (!election_timer(&s->election, me, tag) && s->election.leads) scribe_write(me);
}
static const handler_t scribe_rows[] = {{&api__elect_reply__descriptor, scribe_on},
                                        {&api__reply__descriptor, scribe_replied},
                                        {&actor__failure__descriptor, scribe_on},
                                        {NULL}};
static const actor_def_t scribe_actor = {.role = "scheduler",
                                         .state_size = sizeof(scribe_t),
                                         .start = scribe_start,
                                         .handlers = scribe_rows,
                                         .on_timer = scribe_timer};

static void spawn(api_rig_t *rig, const char *process, const actor_def_t *def, const char *name,
                  const void *args) {
    why_t why;
    cr_assert_eq(sim_spawn(rig->sim, process, process, def, name, args, &why), ERR_OK, "%s",
                 why.text);
}

Test(apiserver_roles, one_leads_and_the_next_takes_over_when_it_is_killed)
{
    api_rig_t *rig = rig_new(1);
    text_t story = TEXT_HEAP;
    scribe_args_t args = {&story};
    spawn(rig, "a", &scribe_actor, "a", &args);
    rig_run(rig, 100);
    spawn(rig, "b", &scribe_actor, "b", &args);
    rig_run(rig, 3000);
    cr_expect_str_eq(text_str(&story), "a leads 1\n");
    rig_get(rig, "coordination.k8s.io/v1", "Lease", "kube-system", "scheduler");
    cr_expect_str_eq(rig_field(rig, "spec.holderIdentity"), "scheduler/a");
    sim_crash_process(rig->sim, "a");
    rig_run(rig, 1000);
    cr_expect_str_eq(text_str(&story), "a leads 1\nb leads 2\n");
    rig_get(rig, "coordination.k8s.io/v1", "Lease", "kube-system", "scheduler");
    cr_expect_str_eq(rig_field(rig, "spec.holderIdentity"), "scheduler/b");
    cr_expect_str_eq(fake_store_value(rig->store, "/troupe/epoch/scheduler"), "2");
    rig_destroy(&rig);
    text_done(&story);
    ASSERT_NO_LEAKS();
}

Test(apiserver_roles, a_leader_that_is_not_heard_is_replaced_and_its_next_write_refused)
{
    api_rig_t *rig = rig_new(1);
    text_t story = TEXT_HEAP;
    scribe_args_t mute = {&story, .is_mute = true}, args = {&story};
    spawn(rig, "a", &scribe_actor, "a", &mute);
    rig_run(rig, 100);
    spawn(rig, "b", &scribe_actor, "b", &args);
    rig_run(rig, 1000);
    cr_expect_str_eq(text_str(&story), "a leads 1\nb leads 2\na refused DEPOSED\n");
    rig_destroy(&rig);
    text_done(&story);
    ASSERT_NO_LEAKS();
}

Test(apiserver_roles, the_leader_stays_when_the_api_server_is_replaced)
{
    api_rig_t *rig = rig_new(1);
    text_t story = TEXT_HEAP;
    scribe_args_t args = {&story};
    spawn(rig, "a", &scribe_actor, "a", &args);
    spawn(rig, "b", &scribe_actor, "b", &args);
    rig_run(rig, 500);
    for (int i = 0; i < 3; i++) {
        sim_kill(rig->sim, "apiserver/m1", "test");
        rig_run(rig, 2000);
    }
    cr_expect_str_eq(fake_store_value(rig->store, "/troupe/epoch/scheduler"), "1", "%s",
                     text_str(&story));
    rig_destroy(&rig);
    text_done(&story);
    ASSERT_NO_LEAKS();
}

Test(apiserver_roles, an_elected_role_without_an_epoch_may_not_write)
{
    api_rig_t *rig = rig_new(1);
    rig->as = "scheduler/x";
    const char *event = "{kind: Event, apiVersion: v1, metadata: {name: a}, involvedObject: "
                        "{namespace: default}}";
    rig_create(rig, event);
    cr_expect_eq(rig->err, ERR_DEPOSED);
    cr_expect_str_eq(rig_get(rig, "v1", "Namespace", "", "default"), "UNCHANGED");
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

// ---- rights -------------------------------------------------------------------------------------
Test(apiserver_roles, a_node_acts_for_itself_only)
{
    api_rig_t *rig = rig_new(1);
    rig_create(rig, "{kind: Node, apiVersion: v1, metadata: {name: n2}}");
    rig_create(rig, POD("a"));
    rig_bind(rig, "default", "a", "n2");
    rig->as = "kubelet/n1";
    cr_expect_str_eq(rig_create(rig, "{kind: Node, apiVersion: v1, metadata: {name: n1}}"),
                     "CREATED");
    cr_expect_str_eq(rig_create(rig, "{kind: Node, apiVersion: v1, metadata: {name: n3}}"),
                     "nodes \"n3\" is forbidden: node \"n1\" is not allowed to modify node \"n3\"");
    cr_expect_str_eq(rig_update(rig, "{kind: Node, apiVersion: v1, metadata: {name: n2}}", ""),
                     "nodes \"n2\" is forbidden: User \"system:node:n1\" cannot update resource "
                     "\"nodes\" in API group \"\" at the cluster scope");
    cr_expect_str_eq(rig_delete(rig, "v1", "Pod", "default", "a"),
                     "pods \"a\" is forbidden: node \"n1\" can only delete pods with spec.nodeName "
                     "set to itself");
    cr_expect_str_eq(rig_create(rig, POD("b")),
                     "pods \"b\" is forbidden: pod does not have \"kubernetes.io/config.mirror\" "
                     "annotation, node \"n1\" can only create mirror pods");
    cr_expect_str_eq(rig_delete(rig, "apps/v1", "Deployment", "default", "d"),
                     "deployments.apps \"d\" is forbidden: User \"system:node:n1\" cannot delete "
                     "resource \"deployments\" in API group \"apps\" in the namespace \"default\"");
    rig->as = "kubelet/n2";
    cr_expect_str_eq(rig_delete(rig, "v1", "Pod", "default", "a"), "DELETING");
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

// ---- nodes --------------------------------------------------------------------------------------
typedef struct {
    text_t *story;
} ear_args_t;
static err_t ear_start(actor_t *me, const void *args, why_t *why) {
    *(const ear_args_t **)actor_state(me) = args;
    Api__WatchNodeAges open = API__WATCH_NODE_AGES__INIT;
    open.silent_after_ms = 800;
    actor_open(me, "apiserver", &open.base, 8, 1);
    return ERR_OK;
}
static void ear_on_ages(actor_t *me, const message_t *msg, const void *body) {
    const ear_args_t *args = *(const ear_args_t **)actor_state(me);
    const Api__NodeAges *ages = body;
    for (size_t i = 0; i < ages->n_ages; i++)
        text_addf(args->story, "%s %s\n", ages->ages[i]->node,
                  ages->ages[i]->silent ? "silent" : "alive");
}
static const handler_t ear_rows[] = {{&api__node_ages__descriptor, ear_on_ages}, {NULL}};
static const actor_def_t ear_actor = {
    .role = "test", .state_size = sizeof(void *), .start = ear_start, .handlers = ear_rows};

static void say_alive(api_rig_t *rig, const char *node) {
    Api__NodeAlive alive = API__NODE_ALIVE__INIT;
    alive.node = (char *)node;
    alive.incarnation = 1;
    sim_tell(rig->sim, "test/t", "apiserver", &alive.base);
}

Test(apiserver_roles, who_listens_hears_of_nodes_falling_silent_and_coming_back)
{
    api_rig_t *rig = rig_new(1);
    text_t story = TEXT_HEAP;
    ear_args_t args = {&story};
    say_alive(rig, "n1");
    say_alive(rig, "n2");
    rig_run(rig, 10);
    spawn(rig, "ear", &ear_actor, "ear", &args);
    for (int i = 0; i < 20; i++) {
        rig_run(rig, 100);
        say_alive(rig, "n1");
    }
    cr_expect_str_eq(text_str(&story), "n1 alive\nn2 alive\nn2 silent\n");
    text_reset(&story);
    say_alive(rig, "n2");
    rig_run(rig, 500);
    cr_expect_str_eq(text_str(&story), "n2 alive\n");
    text_reset(&story);
    rig_run(rig, 10 * 1000);
    cr_expect_str_eq(text_str(&story), "n1 silent\nn2 silent\n");
    rig_destroy(&rig);
    text_done(&story);
    ASSERT_NO_LEAKS();
}

// ---- pods that wait until nobody sends to them ----------------------------------------------------
#define SLICE(ready)                                                                           \
    "{kind: EndpointSlice, apiVersion: discovery.k8s.io/v1, metadata: {name: web}, "           \
    "addressType: IPv4, endpoints: [{addresses: [10.244.0.9], conditions: {ready: " ready "}," \
    " targetRef: {kind: Pod, name: a, uid: u}}]}"

typedef struct {
    text_t *story;
    int64_t asked_ms;
} stopper_args_t;
static err_t stopper_start(actor_t *me, const void *args, why_t *why) {
    stopper_args_t *a = *(stopper_args_t **)actor_state(me) = (stopper_args_t *)args;
    Api__AwaitDrain await = API__AWAIT_DRAIN__INIT;
    await.namespace_ = "default";
    await.pod = "a";
    await.uid = "u";
    a->asked_ms = actor_now_ms(me);
    actor_ask(me, "apiserver", &await.base, 2500, 1);
    return ERR_OK;
}
static void stopper_on(actor_t *me, const message_t *msg, const void *body) {
    const stopper_args_t *a = *(stopper_args_t **)actor_state(me);
    int64_t took_ms = actor_now_ms(me) - a->asked_ms;
    text_addf(a->story, "%s after %s\n",
              ((const Api__AwaitDrainReply *)body)->drained ? "drained" : "given up",
              took_ms < 150    ? "nothing"
              : took_ms < 450  ? "the linger"
              : took_ms < 1700 ? "a second"
                               : "its time");
}
static const handler_t stopper_rows[] = {{&api__await_drain_reply__descriptor, stopper_on}, {NULL}};
static const actor_def_t stopper_actor = {
    .role = "pod", .state_size = sizeof(void *), .start = stopper_start, .handlers = stopper_rows};
static const handler_t no_rows[] = {{NULL}};
static const actor_def_t dumb_proxy_actor = {.role = "proxy", .handlers = no_rows};

static void say_synced(api_rig_t *rig, const char *proxy, int64_t revision) {
    Api__EndpointsSynced synced = API__ENDPOINTS_SYNCED__INIT;
    synced.node = (char *)proxy + strlen("proxy/");
    synced.revision = revision;
    sim_tell(rig->sim, proxy, "apiserver", &synced.base);
    rig_run(rig, 20);
}

Test(apiserver_roles, a_pod_stops_when_no_proxy_sends_to_it_any_more)
{
    enum { KNOWN_TO_NONE, STILL_READY, ONE_BEHIND, ALL_THERE, ONE_SILENT, ONE_JUST_DIED, CASES };
    static const char *const wanted[CASES] = {
        [KNOWN_TO_NONE] = "drained after nothing\n", [STILL_READY] = "given up after its time\n",
        [ONE_BEHIND] = "given up after its time\n",  [ALL_THERE] = "drained after the linger\n",
        [ONE_SILENT] = "given up after its time\n",  [ONE_JUST_DIED] = "drained after a second\n"};
    for (int which = 0; which < CASES; which++) {
        api_rig_t *rig = rig_new(1);
        text_t story = TEXT_HEAP;
        stopper_args_t args = {&story};
        spawn(rig, "n1", &dumb_proxy_actor, "n1", NULL);
        spawn(rig, "n2", &dumb_proxy_actor, "n2", NULL);
        rig_run(rig, 2000); // the server's own first second is over
        if (which != KNOWN_TO_NONE)
            cr_assert_str_eq(rig_create(rig, which == STILL_READY ? SLICE("true") : SLICE("false")),
                             "CREATED");
        int64_t revision = rig->revision;
        say_synced(rig, "proxy/n1", revision);
        if (which != ONE_SILENT)
            say_synced(rig, "proxy/n2", which == ALL_THERE ? revision : revision - 1);
        if (which == ONE_JUST_DIED) sim_crash_process(rig->sim, "n2");
        spawn(rig, "p", &stopper_actor, "a", &args);
        rig_run(rig, 3000);
        cr_expect_str_eq(text_str(&story), wanted[which], "case %d: %s", which, text_str(&story));
        rig_destroy(&rig);
        text_done(&story);
    }
    ASSERT_NO_LEAKS();
}

// ---- streams to a kubelet -----------------------------------------------------------------------
// A kubelet that answers logs with ten chunks and echoes what is typed into an exec.
static void chatty_on_logs(actor_t *me, const message_t *msg, const void *body) {
    const Api__PodLogs *logs = body;
    uint64_t stream = actor_stream_accept(me, msg, 0);
    Api__LogChunk chunk = API__LOG_CHUNK__INIT;
    chunk.data = (ProtobufCBinaryData){strlen(logs->container), (uint8_t *)logs->container};
    for (int i = 0; i < 10 && actor_stream_credit(me, stream); i++) {
        chunk.offset = i;
        actor_stream_send(me, stream, &chunk.base);
    }
    actor_stream_end(me, stream, ERR_OK, NULL);
}
static void chatty_on_exec(actor_t *me, const message_t *msg, const void *body) {
    actor_stream_accept(me, msg, 4);
}
static void chatty_on_input(actor_t *me, const message_t *msg, const void *body) {
    const Api__ExecInput *input = body;
    Api__ExecOutput output = API__EXEC_OUTPUT__INIT;
    output.data = input->data;
    actor_stream_send(me, msg->stream, &output.base);
    if (input->end) actor_stream_end(me, msg->stream, ERR_OK, NULL);
}
static void ignore(actor_t *me, const message_t *msg, const void *body) {}
static const handler_t chatty_rows[] = {{&api__pod_logs__descriptor, chatty_on_logs},
                                        {&api__pod_exec__descriptor, chatty_on_exec},
                                        {&api__exec_input__descriptor, chatty_on_input},
                                        {&actor__stream_gone__descriptor, ignore},
                                        {NULL}};
static const actor_def_t chatty_kubelet = {.role = "kubelet", .handlers = chatty_rows};

typedef struct {
    text_t *story;
    const ProtobufCMessage *open;
    int inputs;
} reader_args_t;
static err_t reader_start(actor_t *me, const void *args, why_t *why) {
    *(const reader_args_t **)actor_state(me) = args;
    const reader_args_t *a = args;
    actor_open(me, "apiserver", a->open, 16, 1);
    return ERR_OK;
}
static void reader_on_chunk(actor_t *me, const message_t *msg, const void *body) {
    const Api__LogChunk *chunk = body;
    text_addf((*(const reader_args_t **)actor_state(me))->story, "%.*s %lld\n",
              (int)chunk->data.len, (const char *)chunk->data.data, (long long)chunk->offset);
}
static void reader_on_output(actor_t *me, const message_t *msg, const void *body) {
    const Api__ExecOutput *output = body;
    text_addf((*(const reader_args_t **)actor_state(me))->story, "said %.*s\n",
              (int)output->data.len, (const char *)output->data.data);
}
static void reader_on_end(actor_t *me, const message_t *msg, const void *body) {
    const Actor__StreamEnd *end = body;
    text_addf((*(const reader_args_t **)actor_state(me))->story, "END %s %s\n",
              err_name((err_t)end->err), or_empty(end->why));
}
// Room to push: type three lines, the last one ends.
static void reader_on_credit(actor_t *me, const message_t *msg, const void *body) {
    reader_args_t *args = *(reader_args_t **)actor_state(me);
    uint64_t stream = ((const Actor__StreamCredit *)body)->stream;
    for (; args->inputs < 3; args->inputs++) {
        char line[] = "line0";
        line[4] = (char)('0' + args->inputs);
        Api__ExecInput input = API__EXEC_INPUT__INIT;
        input.data = (ProtobufCBinaryData){5, (uint8_t *)line};
        input.end = args->inputs == 2;
        if (!actor_push(me, stream, &input.base)) return;
    }
}
static const handler_t reader_rows[] = {{&api__log_chunk__descriptor, reader_on_chunk},
                                        {&api__exec_output__descriptor, reader_on_output},
                                        {&actor__stream_end__descriptor, reader_on_end},
                                        {&actor__stream_credit__descriptor, reader_on_credit},
                                        {NULL}};
static const actor_def_t reader_actor = {
    .role = "test", .state_size = sizeof(void *), .start = reader_start, .handlers = reader_rows};

Test(apiserver_roles, logs_come_from_the_pods_node)
{
    api_rig_t *rig = rig_new(1);
    rig_create(rig, POD("a"));
    rig_create(rig, POD("unbound"));
    rig_create(rig, POD("gone"));
    rig_bind(rig, "default", "a", "n1");
    rig_bind(rig, "default", "gone", "n9");
    spawn(rig, "n1", &chatty_kubelet, "n1", NULL);
    static const struct {
        const char *pod, *container, *says;
    } rows[] = {
        {"a", "", "c 0\nc 1\nc 2\nc 3\nc 4\nc 5\nc 6\nc 7\nc 8\nc 9\nEND OK \n"},
        {"a", "x", "END BAD_REQUEST container x is not valid for pod a\n"},
        {"b", "", "END NOT_FOUND pods \"b\" not found\n"},
        {"unbound", "", "END BAD_REQUEST pod unbound does not have a host assigned\n"},
        {"gone", "", "END UNAVAILABLE nobody is known at this address\n"},
    };
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        text_t story = TEXT_HEAP;
        Api__PodLogs logs = API__POD_LOGS__INIT;
        logs.namespace_ = "default";
        logs.pod = (char *)rows[i].pod;
        logs.container = (char *)rows[i].container;
        reader_args_t args = {&story, &logs.base};
        spawn(rig, "reader", &reader_actor, arena_printf(&rig->arena, "r%zu", i), &args);
        rig_run(rig, 200);
        cr_expect_str_eq(text_str(&story), rows[i].says, "row %zu: %s", i, text_str(&story));
        text_done(&story);
    }
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

Test(apiserver_roles, what_is_typed_reaches_the_container_and_its_answer_comes_back)
{
    api_rig_t *rig = rig_new(1);
    rig_create(rig, POD("a"));
    rig_bind(rig, "default", "a", "n1");
    spawn(rig, "n1", &chatty_kubelet, "n1", NULL);
    text_t story = TEXT_HEAP;
    Api__PodExec exec = API__POD_EXEC__INIT;
    exec.namespace_ = "default";
    exec.pod = "a";
    reader_args_t args = {&story, &exec.base};
    spawn(rig, "reader", &reader_actor, "r", &args);
    rig_run(rig, 500);
    cr_expect_str_eq(text_str(&story), "said line0\nsaid line1\nsaid line2\nEND OK \n");
    rig_destroy(&rig);
    text_done(&story);
    ASSERT_NO_LEAKS();
}

// ---- actors as objects --------------------------------------------------------------------------
static void registrar_list(actor_t *me, const message_t *msg, const void *body) {
    Actor__ActorInfo info = {PROTOBUF_C_MESSAGE_INIT(&actor__actor_info__descriptor)};
    info.address = arena_printf(actor_arena(me), "kubelet/%s", actor_name(me));
    info.role = "kubelet";
    info.process = (char *)actor_name(me);
    info.host = "h";
    info.state = "ready";
    info.last_reason = info.dispatcher = "";
    info.restarts = 2;
    Actor__ActorInfo *all[1] = {&info};
    Actor__ActorInfos infos = {PROTOBUF_C_MESSAGE_INIT(&actor__actor_infos__descriptor)};
    infos.n_actors = 1;
    infos.actors = all;
    actor_reply(me, msg, &infos.base);
}
static void registrar_kill(actor_t *me, const message_t *msg, const void *body) {
    Actor__Done done = {PROTOBUF_C_MESSAGE_INIT(&actor__done__descriptor)};
    cr_expect(has_suffix(((const Actor__KillActor *)body)->address, actor_name(me)));
    actor_reply(me, msg, &done.base);
}
static const handler_t registrar_rows[] = {{&actor__list_actors__descriptor, registrar_list},
                                           {&actor__kill_actor__descriptor, registrar_kill},
                                           {NULL}};
static const actor_def_t registrar_actor = {.role = "system", .handlers = registrar_rows};

Test(apiserver_roles, actors_are_objects_and_deleting_one_kills_it)
{
    api_rig_t *rig = rig_new(1);
    spawn(rig, "p2", &registrar_actor, "p2", NULL);
    spawn(rig, "p1", &registrar_actor, "p1", NULL);
    rig_run(rig, 20);
    cr_expect_str_eq(rig_list(rig, "actors.troupe.io/v1", "Actor", &(Api__List)API__LIST__INIT),
                     "kubelet/p1 kubelet/p2");
    rig_get(rig, "actors.troupe.io/v1", "Actor", "", "kubelet/p2");
    cr_expect_str_eq(rig_field(rig, "status.restarts"), "2");
    cr_expect_str_eq(rig_delete(rig, "actors.troupe.io/v1", "Actor", "", "kubelet/p1"), "DELETED");
    cr_expect_str_eq(rig_get(rig, "actors.troupe.io/v1", "Actor", "", "kubelet/p3"),
                     "actors.actors.troupe.io \"kubelet/p3\" not found");
    sim_crash_process(rig->sim, "p2");
    rig_run(rig, 20);
    cr_expect_str_eq(rig_list(rig, "actors.troupe.io/v1", "Actor", &(Api__List)API__LIST__INIT),
                     "kubelet/p1");
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

// ---- several API servers ------------------------------------------------------------------------
static void second_server(api_rig_t *rig) {
    why_t why;
    cr_assert_eq(sim_spawn(rig->sim, "m2", "api2", &apiserver_actor, "m2", &rig->args, &why),
                 ERR_OK, "%s", why.text);
    rig_run(rig, 100);
}

Test(apiserver_roles, a_leader_heard_by_one_api_server_is_heard_by_all)
{
    api_rig_t *rig = rig_new(1);
    text_t story = TEXT_HEAP;
    scribe_args_t args = {&story};
    spawn(rig, "api", &scribe_actor, "a", &args); // with apiserver/m1
    rig_run(rig, 100);
    second_server(rig);
    spawn(rig, "api2", &scribe_actor, "b", &args); // with apiserver/m2
    rig_run(rig, 3000);
    cr_expect_str_eq(text_str(&story), "a leads 1\n");
    sim_crash_process(rig->sim, "api");
    rig_run(rig, 1500);
    cr_expect_str_eq(text_str(&story), "a leads 1\nb leads 2\n");
    rig_destroy(&rig);
    text_done(&story);
    ASSERT_NO_LEAKS();
}

Test(apiserver_roles, a_node_heard_by_one_api_server_is_heard_by_all)
{
    api_rig_t *rig = rig_new(1);
    second_server(rig);
    text_t story = TEXT_HEAP;
    ear_args_t args = {&story};
    spawn(rig, "api2", &ear_actor, "ear", &args);
    Api__NodeAlive alive = API__NODE_ALIVE__INIT;
    alive.node = "n1";
    alive.incarnation = 1;
    for (int i = 0; i < 20; i++) {
        sim_tell(rig->sim, "test/t", "apiserver/m1", &alive.base);
        rig_run(rig, 200);
    }
    cr_expect_str_eq(text_str(&story), "n1 alive\n");
    rig_run(rig, 2000);
    cr_expect_str_eq(text_str(&story), "n1 alive\nn1 silent\n");
    rig_destroy(&rig);
    text_done(&story);
    ASSERT_NO_LEAKS();
}

Test(apiserver_roles, two_api_servers_give_no_address_twice)
{
    api_rig_t *rig = rig_new(1);
    second_server(rig);
    for (int i = 0; i < 20; i++) {
        Api__Resource resource = rig_resource(rig, "v1", "Service", "default", "");
        Core__Service svc = CORE__SERVICE__INIT;
        object_meta(&rig->arena, &svc.base)->name = arena_printf(&rig->arena, "s%d", i);
        Core__ServiceSpec spec = CORE__SERVICE_SPEC__INIT;
        Core__ServicePort port = CORE__SERVICE_PORT__INIT, *ports[1] = {&port};
        port.has_port = true;
        port.port = 80;
        spec.type = "NodePort";
        spec.n_ports = 1;
        spec.ports = ports;
        svc.spec = &spec;
        bytes_t packed = msg_pack(&rig->arena, &svc.base);
        Api__Create create = API__CREATE__INIT;
        create.resource = &resource;
        create.object = (ProtobufCBinaryData){packed.len, (uint8_t *)packed.at};
        void *reply;
        why_t why;
        cr_assert_eq(sim_ask(rig->sim, "test/t", i % 2 ? "apiserver/m1" : "apiserver/m2",
                             &create.base, 5000, &rig->arena, &api__reply__descriptor, &reply,
                             &why),
                     ERR_OK, "%s", why.text);
    }
    cr_expect_eq(fake_store_count(rig->store, "/troupe/alloc/port/"), 20);
    cr_expect_eq(fake_store_count(rig->store, "/troupe/alloc/ip/"), 21);
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}
