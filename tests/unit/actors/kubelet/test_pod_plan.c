// What the plan of a pod says, row by row: a pod in a few words, its plan as text.
#include "actors/kubelet/pod_plan.h"
#include "actors/kubelet/pod_status.h"
#include "runtime/api/msg.h"
#include "support/leaks.h"

enum { NOW = 1000000, MAX = 8 };

typedef struct {
    arena_t arena;
    Core__Pod *pod;
    pod_member_t members[MAX];
    pod_container_t containers[MAX];
    pod_sandbox_t sandboxes[MAX];
    pod_view_t view;
} scene_t;

static void open_scene(scene_t *s) {
    *s = (scene_t){0};
    s->pod = MSG_NEW(&s->arena, Core__Pod, core__pod__descriptor);
    s->pod->metadata = MSG_NEW(&s->arena, Meta__ObjectMeta, meta__object_meta__descriptor);
    s->pod->metadata->name = "web";
    s->pod->spec = MSG_NEW(&s->arena, Core__PodSpec, core__pod_spec__descriptor);
    s->view = (pod_view_t){
        .pod = s->pod, .now_ms = NOW, .looked = true, .prepared = true, .may_start = true};
}
// "i:NAME" an init container, "s:NAME" a sidecar, else an ordinary one; "+" behind it: image ready.
static void add_member(scene_t *s, const char *word) {
    pod_member_t *m = &s->members[s->view.members_len++];
    bool init = has_prefix(word, "i:"), sidecar = has_prefix(word, "s:");
    Core__Container *c = MSG_NEW(&s->arena, Core__Container, core__container__descriptor);
    size_t len = strlen(word) - (init || sidecar ? 2 : 0);
    const char *name = word + (init || sidecar ? 2 : 0);
    bool ready = has_suffix(name, "+");
    c->name = arena_strndup(&s->arena, name, len - ready);
    *m = (pod_member_t){.spec = c,
                        .is_init = init || sidecar,
                        .is_sidecar = sidecar,
                        .hash = 7,
                        .ready = true,
                        .started = true,
                        .image = ready ? IMAGE_READY : IMAGE_NEEDED};
}
// "ID SANDBOX NAME ATTEMPT STATE": STATE running, created, unknown, N (exited with N a second ago),
// stopping, cut (off while it was being started).
static void add_container(scene_t *s, const char *text) {
    pod_container_t *c = &s->containers[s->view.containers_len++];
    char id[16], sandbox[16], name[16], state[16];
    unsigned attempt;
    cr_assert_eq(sscanf(text, "%15s %15s %15s %u %15s", id, sandbox, name, &attempt, state), 5);
    *c = (pod_container_t){.id = arena_strdup(&s->arena, id),
                           .sandbox_id = arena_strdup(&s->arena, sandbox),
                           .name = arena_strdup(&s->arena, name),
                           .attempt = attempt,
                           .hash = 7,
                           .started_ms = NOW - 5000};
    if (streq(state, "running") || streq(state, "stopping"))
        c->state = CONTAINER_RUNNING;
    else if (streq(state, "created"))
        c->state = CONTAINER_CREATED;
    else if (streq(state, "unknown"))
        c->state = CONTAINER_UNKNOWN;
    else
        c->state = CONTAINER_EXITED;
    if (c->state == CONTAINER_EXITED) {
        c->exit_code = (int)strtol(state, NULL, 10);
        c->finished_ms = NOW - 1000;
    }
    if (streq(state, "stopping")) c->busy = c->stopping = true;
    c->cut_off = streq(state, "cut");
}
// "ID ATTEMPT ready|dead|stopped"
static void add_sandbox(scene_t *s, const char *text) {
    pod_sandbox_t *b = &s->sandboxes[s->view.sandboxes_len++];
    char id[16], state[16];
    unsigned attempt;
    cr_assert_eq(sscanf(text, "%15s %u %15s", id, &attempt, state), 3);
    *b = (pod_sandbox_t){.id = arena_strdup(&s->arena, id),
                         .attempt = attempt,
                         .ready = streq(state, "ready"),
                         .stopped = streq(state, "stopped")};
}

typedef struct {
    const char *story;
    const char *members[MAX], *sandboxes[MAX], *containers[MAX];
    const char *policy; // NULL: Always
    bool leaving, unprepared, no_network, unseen;
    int64_t crash_delay_ms;
    const char *plan;
} row_t;

static const row_t rows[] = {
    {"a new pod gets its sandbox and its image at once",
     {"a"},
     .plan = "run-sandbox #0\npull member=0\n"},
    {"nothing is done before the runtime was looked at", {"a"}, .unseen = true, .plan = ""},
    {"no sandbox before the volumes stand", {"a"}, .unprepared = true, .plan = ""},
    {"no sandbox before the network is there", {"a"}, .no_network = true, .plan = ""},
    {"with sandbox and image a container is created",
     {"a+"},
     {"s0 0 ready"},
     .plan = "create member=0 #0 in s0\n"},
    {"without its image it is pulled first", {"a"}, {"s0 0 ready"}, .plan = "pull member=0\n"},
    {"what is created is started",
     {"a"},
     {"s0 0 ready"},
     {"c0 s0 a 0 created"},
     .plan = "start member=0 c0\n"},
    {"what runs is left alone", {"a"}, {"s0 0 ready"}, {"c0 s0 a 0 running"}, .plan = ""},
    {"containers start in order, later images are fetched meanwhile",
     {"a+", "b"},
     {"s0 0 ready"},
     .plan = "create member=0 #0 in s0\npull member=1\n"},
    {"an end is followed by the next attempt",
     {"a+"},
     {"s0 0 ready"},
     {"c0 s0 a 0 1"},
     .plan = "create member=0 #1 in s0\n"},
    {"one whose start was cut off is cleared away first: it never ran, and costs no attempt",
     {"a+"},
     {"s0 0 ready"},
     {"c0 s0 a 0 cut"},
     .plan = "remove c0\n"},
    {"and is not what a restart is counted from",
     {"a+"},
     {"s0 0 ready"},
     {"c0 s0 a 0 1", "c1 s0 a 1 cut"},
     .crash_delay_ms = 10000,
     .plan = "remove c1\n"},
    {"success too, when it is to run always",
     {"a+"},
     {"s0 0 ready"},
     {"c0 s0 a 0 0"},
     .plan = "create member=0 #1 in s0\n"},
    {"after a crash loop's step it waits",
     {"a+"},
     {"s0 0 ready"},
     {"c0 s0 a 1 1"},
     .crash_delay_ms = 10000,
     .plan = "wake at 1009000\n"},
    {"OnFailure: success is the end, the sandbox goes",
     {"a+"},
     {"s0 0 ready"},
     {"c0 s0 a 0 0"},
     .policy = "OnFailure",
     .plan = "stop-sandbox s0\n"},
    {"OnFailure: failure is not",
     {"a+"},
     {"s0 0 ready"},
     {"c0 s0 a 0 2"},
     .policy = "OnFailure",
     .plan = "create member=0 #1 in s0\n"},
    {"Never: any end is the end",
     {"a+"},
     {"s0 0 ready"},
     {"c0 s0 a 0 2"},
     .policy = "Never",
     .plan = "stop-sandbox s0\n"},
    {"Never: what is over gets no new sandbox",
     {"a+"},
     {"s0 0 stopped"},
     {"c0 s0 a 0 0"},
     .policy = "Never",
     .plan = ""},
    {"a dead sandbox is stopped before another one is made",
     {"a"},
     {"s0 0 dead"},
     {"c0 s0 a 0 running"},
     .plan = "stop-sandbox s0\n"},
    {"then the next one is made",
     {"a"},
     {"s0 0 stopped"},
     {"c0 s0 a 0 137"},
     .plan = "run-sandbox #1\npull member=0\n"},
    {"then the old one is removed and everything starts anew",
     {"a+"},
     {"s0 0 stopped", "s1 1 ready"},
     {"c0 s0 a 3 137"},
     .plan = "remove-sandbox s0\ncreate member=0 #4 in s1\n"},
    {"init containers come one after the other",
     {"i:x+", "i:y+", "a+"},
     {"s0 0 ready"},
     .plan = "create member=0 #0 in s0\n"},
    {"the second when the first is through",
     {"i:x+", "i:y+", "a+"},
     {"s0 0 ready"},
     {"c0 s0 x 0 0"},
     .plan = "create member=1 #0 in s0\n"},
    {"containers when all are through",
     {"i:x", "a+"},
     {"s0 0 ready"},
     {"c0 s0 x 0 0"},
     .plan = "create member=1 #0 in s0\n"},
    {"a failed init container is tried again",
     {"i:x+", "a"},
     {"s0 0 ready"},
     {"c0 s0 x 0 1"},
     .plan = "create member=0 #1 in s0\n"},
    {"Never: a failed init container ends the pod",
     {"i:x+", "a"},
     {"s0 0 ready"},
     {"c0 s0 x 0 1"},
     .policy = "Never",
     .plan = "stop-sandbox s0\n"},
    {"a sidecar that runs lets the others start",
     {"s:x", "a+"},
     {"s0 0 ready"},
     {"c0 s0 x 0 running"},
     .plan = "create member=1 #0 in s0\n"},
    {"dead containers are kept but for one",
     {"a"},
     {"s0 0 ready"},
     {"c0 s0 a 0 1", "c1 s0 a 1 1", "c2 s0 a 2 running"},
     .plan = "remove c0\n"},
    {"an unknown container is stopped",
     {"a"},
     {"s0 0 ready"},
     {"c0 s0 a 0 unknown"},
     .plan = "stop c0 grace=30s \"Stopping container a\"\n"},
    {"a leaving pod stops its containers within its grace",
     {"a"},
     {"s0 0 ready"},
     {"c0 s0 a 0 running"},
     .leaving = true,
     .plan = "stop c0 grace=10s \"Stopping container a\"\n"},
    {"the sandbox waits for them",
     {"a"},
     {"s0 0 ready"},
     {"c0 s0 a 0 stopping"},
     .leaving = true,
     .plan = ""},
    {"sidecars go after the others",
     {"s:x", "a"},
     {"s0 0 ready"},
     {"c0 s0 x 0 running", "c1 s0 a 0 running"},
     .leaving = true,
     .plan = "stop c1 grace=10s \"Stopping container a\"\n"},
    {"what never ran is removed",
     {"a"},
     {"s0 0 ready"},
     {"c0 s0 a 0 created"},
     .leaving = true,
     .plan = "remove c0\n"},
    {"then the sandbox is stopped",
     {"a"},
     {"s0 0 ready"},
     {"c0 s0 a 0 143"},
     .leaving = true,
     .plan = "stop-sandbox s0\n"},
    {"and removed",
     {"a"},
     {"s0 0 stopped"},
     {"c0 s0 a 0 143"},
     .leaving = true,
     .plan = "remove-sandbox s0\n"},
    {"containers without a sandbox too",
     {"a"},
     {},
     {"c0 s0 a 0 143"},
     .leaving = true,
     .plan = "remove c0\n"},
    {"then the host's traces", {"a"}, .leaving = true, .plan = "remove-traces\n"},
};

static const char *plan_of(scene_t *s, const row_t *row) {
    open_scene(s);
    for (size_t i = 0; i < MAX && row->members[i]; i++) add_member(s, row->members[i]);
    for (size_t i = 0; i < MAX && row->containers[i]; i++) add_container(s, row->containers[i]);
    for (size_t i = 0; i < MAX && row->sandboxes[i]; i++) add_sandbox(s, row->sandboxes[i]);
    s->members[0].crash_delay_ms = row->crash_delay_ms;
    s->pod->spec->restartpolicy = row->policy ? row->policy : "Always";
    s->view.members = s->members;
    s->view.containers = s->containers;
    s->view.sandboxes = s->sandboxes;
    s->view.leaving = row->leaving;
    s->view.kill_at_ms = NOW + 10000;
    s->view.prepared = !row->unprepared;
    s->view.may_start = !row->no_network;
    s->view.looked = !row->unseen;
    pod_plan_t plan;
    pod_plan(&s->view, &s->arena, &plan);
    text_t out = {.arena = &s->arena};
    pod_plan_print(&plan, &out);
    return text_str(&out);
}

#define SHIM_KILLED                                                                            \
    "failed to create containerd task: failed to start shim: start failed: : signal: killed: " \
    "unknown"
#define NO_SANDBOX                                                                  \
    "failed to create shim task: OCI runtime create failed: namespace path: lstat " \
    "/proc/0/ns/ipc: "                                                              \
    "no such file or directory: unknown"
Test(pod_plan, an_end_without_a_start_counts_unless_its_maker_died_over_it)
{
    const struct {
        const char *story;
        pod_container_t c;
        bool cut_off;
    } cases[] = {
        {"it ran", {.started_ms = 1, .reason = "Error"}, false},
        {"it cannot start", {.reason = "StartError", .message = "no such command"}, false},
        {"an older life of ours says the same",
         {.reason = "StartError", .message = "no such command", .adopted = true},
         false},
        {"a new containerd swept it up", {.reason = "Unknown"}, true},
        {"the call was given up",
         {.reason = "StartError", .message = "x: context canceled: y"},
         true},
        {"another start was quicker",
         {.reason = "StartError", .message = "task c1: already exists"},
         true},
        {"its shim died with who started it",
         {.reason = "StartError", .message = SHIM_KILLED, .adopted = true},
         true},
        {"its shim was killed, and we were told",
         {.reason = "StartError", .message = SHIM_KILLED},
         false},
        {"it was half made by a predecessor",
         {.reason = "StartError", .message = NO_SANDBOX, .adopted = true, .orphaned = true},
         true},
        {"it does not fit, and we made it", {.reason = "StartError", .message = NO_SANDBOX}, false},
    };
    for (size_t i = 0; i < LENGTH_OF(cases); i++) {
        pod_container_t c = cases[i].c;
        c.state = CONTAINER_EXITED;
        cr_expect_eq(pod_is_cut_off(&c), cases[i].cut_off, "%s", cases[i].story);
        c.state = CONTAINER_CREATED;
        cr_expect(!pod_is_cut_off(&c), "%s: before its start", cases[i].story);
    }
    ASSERT_NO_LEAKS();
}

Test(pod_plan, says_what_the_table_says)
{
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        scene_t s;
        const char *plan = plan_of(&s, &rows[i]);
        cr_expect_str_eq(plan, rows[i].plan, "%s:\n%s", rows[i].story, plan);
        arena_done(&s.arena);
    }
    ASSERT_NO_LEAKS();
}

Test(pod_plan, is_the_same_for_the_same_view)
{
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        scene_t a, b;
        cr_expect_str_eq(plan_of(&a, &rows[i]), plan_of(&b, &rows[i]));
        arena_done(&a.arena);
        arena_done(&b.arena);
    }
    ASSERT_NO_LEAKS();
}

Test(pod_plan, is_done_once_the_traces_are_gone)
{
    scene_t s;
    open_scene(&s);
    add_member(&s, "a");
    s.view.members = s.members;
    s.view.leaving = s.view.removed = true;
    pod_plan_t plan;
    pod_plan(&s.view, &s.arena, &plan);
    cr_assert_eq(plan.actions_len, 1);
    cr_assert_eq(plan.actions[0].kind, POD_DONE);
    arena_done(&s.arena);
    ASSERT_NO_LEAKS();
}

// ---- status -----------------------------------------------------------------------------------
static Core__PodStatus *status_of(scene_t *s, const Core__PodStatus *old) {
    s->view.members = s->members;
    s->view.containers = s->containers;
    s->view.sandboxes = s->sandboxes;
    pod_facts_t facts = {.host_ip = "10.0.0.1", .pod_ip = "10.244.0.2", .old = old};
    return pod_status(&s->view, &facts, &s->arena);
}

Test(pod_status, follows_a_container_through_its_life)
{
    struct {
        const char *container, *phase, *ready, *reason;
    } table[] = {
        {NULL, "Pending", "False", "ContainerCreating"},
        {"c0 s0 a 0 created", "Pending", "False", "ContainerCreating"},
        {"c0 s0 a 0 running", "Running", "True", NULL},
        {"c0 s0 a 1 1", "Running", "False", NULL},
    };
    for (size_t i = 0; i < LENGTH_OF(table); i++) {
        scene_t s;
        open_scene(&s);
        add_member(&s, "a");
        add_sandbox(&s, "s0 0 ready");
        if (table[i].container) add_container(&s, table[i].container);
        const Core__PodStatus *status = status_of(&s, NULL);
        cr_expect_str_eq(status->phase, table[i].phase, "row %zu", i);
        cr_expect_str_eq(status->conditions[2]->status, table[i].ready, "row %zu", i);
        const Core__ContainerState *state = status->containerstatuses[0]->state;
        if (table[i].reason)
            cr_expect_str_eq(state->waiting->reason, table[i].reason, "row %zu", i);
        arena_done(&s.arena);
    }
    ASSERT_NO_LEAKS();
}

Test(pod_status, a_condition_keeps_its_time_while_it_keeps_its_status)
{
    scene_t s;
    open_scene(&s);
    add_member(&s, "a");
    add_sandbox(&s, "s0 0 ready");
    add_container(&s, "c0 s0 a 0 running");
    Core__PodStatus *first = status_of(&s, NULL);
    s.view.now_ms += 60000;
    Core__PodStatus *second = status_of(&s, first);
    cr_assert(msg_equal(&first->base, &second->base),
              "nothing changed, so nothing is to be written");
    s.containers[0].state = CONTAINER_EXITED;
    Core__PodStatus *third = status_of(&s, second);
    cr_assert_eq(third->conditions[2]->lasttransitiontime->seconds, (NOW + 60000) / 1000);
    cr_assert_eq(third->conditions[4]->lasttransitiontime->seconds, NOW / 1000);
    arena_done(&s.arena);
    ASSERT_NO_LEAKS();
}

Test(pod_status, a_container_without_a_probe_is_ready_once_it_has_settled)
{
    scene_t s;
    open_scene(&s);
    add_member(&s, "a");
    add_sandbox(&s, "s0 0 ready");
    add_container(&s, "c0 s0 a 0 running");
    s.view.settle_ms = 100;
    s.containers[0].started_ms = NOW - 99;
    cr_expect_not(status_of(&s, NULL)->containerstatuses[0]->ready);
    s.containers[0].started_ms = NOW - 100;
    cr_expect(status_of(&s, NULL)->containerstatuses[0]->ready);
    s.view.settle_ms = 0;
    s.containers[0].started_ms = NOW + 3000;
    cr_expect(status_of(&s, NULL)->containerstatuses[0]->ready, "the clock was set back since");
    arena_done(&s.arena);
    ASSERT_NO_LEAKS();
}

Test(pod_status, a_phase_never_goes_back)
{
    scene_t s;
    open_scene(&s);
    add_member(&s, "a");
    Core__PodStatus old = {.base.descriptor = &core__pod_status__descriptor};
    const char *phases[] = {"Running", "Succeeded", "Failed"};
    for (size_t i = 0; i < LENGTH_OF(phases); i++) {
        old.phase = phases[i];
        cr_expect_str_eq(status_of(&s, &old)->phase, phases[i]);
    }
    arena_done(&s.arena);
    ASSERT_NO_LEAKS();
}
