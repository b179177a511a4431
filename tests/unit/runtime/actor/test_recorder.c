// recorder: an actor that tells what it is told to tell; the events lie in the API server.
#include "k8s/core_v1.pb-c.h"
#include "runtime/actor/recorder.h"
#include "tests/support/api_rig.h"
#include "tests/support/build.h"
#include "tests/support/leaks.h"
#include <criterion/criterion.h>

typedef struct {
    recorder_t recorder;
} teller_t;

static Core__Pod *pod_called(arena_t *arena, const char *name) {
    return build(arena, &core__pod__descriptor,
                 arena_printf(arena,
                              "metadata.namespace=default; metadata.name=%s; metadata.uid=u-%s",
                              name, name));
}

// Each KillActor{address: pod, reason: message} is told as an event.
static void on_tell(actor_t *me, const message_t *msg, const void *body) {
    teller_t *self = actor_state(me);
    const Actor__KillActor *what = body;
    recorder_event(&self->recorder, me, kind_find("", "v1", "Pod"),
                   &pod_called(actor_arena(me), what->address)->base, NULL, EVENT_NORMAL, "Told",
                   "%s", what->reason);
}
static void on_outcome(actor_t *me, const message_t *msg, const void *body) {
    teller_t *self = actor_state(me);
    cr_assert(recorder_handle(&self->recorder, me, msg, body));
}
static err_t start(actor_t *me, const void *args, why_t *why) {
    recorder_init(&((teller_t *)actor_state(me))->recorder, "teller", "host-1", 9);
    return ERR_OK;
}
static void stop(actor_t *me) { recorder_done(&((teller_t *)actor_state(me))->recorder); }
static const handler_t handlers[] = {
    {&actor__kill_actor__descriptor, on_tell, NULL},
    {&api__reply__descriptor, on_outcome, NULL},
    {&actor__failure__descriptor, on_outcome, NULL},
    {0},
};
static const actor_def_t teller = {.role = "test",
                                   .state_size = sizeof(teller_t),
                                   .start = start,
                                   .handlers = handlers,
                                   .stop = stop};

static api_rig_t *new_world(void) {
    api_rig_t *rig = rig_new(1);
    why_t why;
    cr_assert_eq(sim_spawn(rig->sim, "n", "n", &teller, "teller", NULL, &why), ERR_OK);
    return rig;
}

static void tell(api_rig_t *rig, const char *pod, const char *message) {
    Actor__KillActor what = ACTOR__KILL_ACTOR__INIT;
    what.address = pod;
    what.reason = message;
    sim_tell(rig->sim, "test/t", "test/teller", &what.base);
    sim_run_for(rig->sim, 50);
}

static size_t events(api_rig_t *rig) {
    return fake_store_count(rig->store, "/registry/events/default/");
}

// The name of the only event.
static const char *only_event(api_rig_t *rig) {
    Api__List all = API__LIST__INIT;
    Api__Resource resource = rig_resource(rig, "v1", "Event", "default", "");
    all.resource = &resource;
    return arena_strdup(&rig->arena, rig_list(rig, "v1", "Event", &all));
}

Test(recorder, an_event_says_who_what_and_when)
{
    api_rig_t *rig = new_world();
    tell(rig, "a", "hello");
    const char *name = only_event(rig);
    cr_assert_eq(strncmp(name, "a.", 2), 0, "%s", name);
    cr_assert_str_eq(rig_get(rig, "v1", "Event", "default", name), "UNCHANGED");
    cr_assert_str_eq(rig_field(rig, "involvedObject.kind"), "Pod");
    cr_assert_str_eq(rig_field(rig, "involvedObject.name"), "a");
    cr_assert_str_eq(rig_field(rig, "involvedObject.uid"), "u-a");
    cr_assert_str_eq(rig_field(rig, "reason"), "Told");
    cr_assert_str_eq(rig_field(rig, "message"), "hello");
    cr_assert_str_eq(rig_field(rig, "source.component"), "teller");
    cr_assert_str_eq(rig_field(rig, "source.host"), "host-1");
    cr_assert_str_eq(rig_field(rig, "count"), "1");
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

Test(recorder, a_repeat_is_counted_not_made_again)
{
    api_rig_t *rig = new_world();
    for (int i = 0; i < 5; i++) tell(rig, "a", "hello");
    cr_assert_eq(events(rig), 1);
    rig_get(rig, "v1", "Event", "default", only_event(rig));
    cr_assert_str_eq(rig_field(rig, "count"), "5");
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

Test(recorder, many_that_differ_by_message_alone_are_combined)
{
    api_rig_t *rig = new_world();
    for (int i = 0; i < 20; i++) tell(rig, "a", arena_printf(&rig->arena, "attempt %d", i));
    cr_assert_eq(events(rig), RECORDER_SIMILAR_MAX + 1);
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

Test(recorder, one_object_may_not_flood_but_others_go_on)
{
    api_rig_t *rig = new_world();
    for (int i = 0; i < 40; i++) tell(rig, "a", "again");
    rig_get(rig, "v1", "Event", "default", only_event(rig));
    cr_assert_str_eq(rig_field(rig, "count"), "25");
    tell(rig, "b", "first");
    cr_assert_eq(events(rig), 2);
    sim_run_for(rig->sim, RECORDER_REFILL_MS);
    tell(rig, "a", "again");
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

Test(recorder, an_event_that_has_expired_is_made_anew)
{
    api_rig_t *rig = new_world();
    tell(rig, "a", "hello");
    rig_delete(rig, "v1", "Event", "default", only_event(rig));
    tell(rig, "a", "hello"); // counts up what is not there
    tell(rig, "a", "hello");
    cr_assert_eq(events(rig), 1);
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}
