// informer: an actor that follows pods of an API server in the simulator and writes down each
// change: "+a" added, "~a" changed, "-a" gone.
#include "runtime/actor/api_client.h"
#include "runtime/actor/catch_up.h"
#include "runtime/actor/informer.h"
#include "tests/support/api_rig.h"
#include "tests/support/build.h"
#include "tests/support/leaks.h"
#include <criterion/criterion.h>

enum { TAG = 7 };

// What outlives the actor, so that tests can look at it.
typedef struct {
    informer_spec_t spec;
    text_t seen;
    informer_t *inf; // of the living actor
    actor_t *me;
} probe_t;
typedef struct {
    probe_t *probe;
    informer_t *inf;
} follower_t;

static void on_change(void *arg, const record_t *was, const record_t *is) {
    probe_t *p = arg;
    text_addf(&p->seen, "%s%s ", !was ? "+" : !is ? "-" : "~", (is ? is : was)->name);
}

static void handle(actor_t *me, const message_t *msg, const void *body) {
    follower_t *self = actor_state(me);
    cr_assert(informer_handle(self->inf, me, msg, body));
}
static void on_timer(actor_t *me, uint64_t tag) {
    follower_t *self = actor_state(me);
    cr_assert(informer_timer(self->inf, me, tag));
}
static err_t start(actor_t *me, const void *args, why_t *why) {
    follower_t *self = actor_state(me);
    self->probe = (probe_t *)args;
    self->inf = self->probe->inf = informer_new(&self->probe->spec);
    self->probe->me = me;
    informer_subscribe(self->inf, on_change, self->probe);
    informer_start(self->inf, me);
    return ERR_OK;
}
static void stop(actor_t *me) {
    follower_t *self = actor_state(me);
    self->probe->inf = NULL;
    informer_destroy(&self->inf);
}
static const handler_t handlers[] = {
    {&api__watch_events__descriptor, handle, NULL},
    {&actor__stream_end__descriptor, handle, NULL},
    {&actor__failure__descriptor, handle, NULL},
    {0},
};
static const actor_def_t follower = {.role = "test",
                                     .state_size = sizeof(follower_t),
                                     .start = start,
                                     .handlers = handlers,
                                     .on_timer = on_timer,
                                     .stop = stop};

typedef struct {
    api_rig_t *rig;
    probe_t probe;
} world_t;

static world_t *new_world(const informer_spec_t *spec) {
    world_t *w = NEW(world_t);
    w->rig = rig_new(1);
    w->probe.spec = *spec;
    w->probe.spec.kind = kind_find("", "v1", "Pod");
    w->probe.spec.tag = TAG;
    return w;
}

static void begin(world_t *w) {
    why_t why;
    cr_assert_eq(sim_spawn(w->rig->sim, "n", "n", &follower, "f", &w->probe, &why), ERR_OK, "%s",
                 why.text);
    sim_run_for(w->rig->sim, 500);
}

static void end_world(world_t *w) {
    rig_destroy(&w->rig);
    text_done(&w->probe.seen);
    free(w);
}

static void create(world_t *w, const char *name, const char *more) {
    const char *text =
        arena_printf(&w->rig->arena,
                     "{kind: Pod, apiVersion: v1, metadata: {name: %s, labels: {app: x}%s}, spec: "
                     "{containers: [{name: c, image: i}]}}",
                     name, more);
    cr_assert_str_eq(rig_create(w->rig, text), "CREATED");
}

#define EXPECT_SEEN(w, expected)                                       \
    do {                                                               \
        sim_run_for((w)->rig->sim, 500);                               \
        cr_assert_str_eq(text_str(&(w)->probe.seen), (expected), "%s", \
                         text_str(&(w)->probe.seen));                  \
        text_reset(&(w)->probe.seen);                                  \
    } while (0)

Test(informer, sees_what_is_there_then_each_change)
{
    world_t *w = new_world(&(informer_spec_t){0});
    create(w, "b", "");
    create(w, "a", "");
    begin(w);
    EXPECT_SEEN(w, "+a +b ");
    cr_assert(informer_is_synced(w->probe.inf));
    cr_assert_geq(informer_revision(w->probe.inf), w->rig->revision);
    create(w, "c", "");
    EXPECT_SEEN(w, "+c ");
    rig_patch(w->rig, "v1", "Pod", "default", "a", "", API__PATCH__TYPE__MERGE,
              "{\"metadata\":{\"labels\":{\"n\":\"1\"}}}");
    EXPECT_SEEN(w, "~a ");
    cr_assert_str_eq(object_label(informer_get(w->probe.inf, "default", "a")->object, "n"), "1");
    rig_delete(w->rig, "v1", "Pod", "default", "b");
    EXPECT_SEEN(w, "-b ");
    cr_assert_null(informer_get_key(w->probe.inf, "default/b"));
    records_t all = informer_all(w->probe.inf);
    cr_assert_eq(all.len, 2);
    cr_assert_str_eq(all.at[0]->key, "default/a");
    cr_assert_str_eq(all.at[1]->key, "default/c");
    end_world(w);
    ASSERT_NO_LEAKS();
}

Test(informer, goes_on_where_it_was_when_the_server_dies)
{
    world_t *w = new_world(&(informer_spec_t){0});
    create(w, "a", "");
    begin(w);
    EXPECT_SEEN(w, "+a ");
    sim_kill(w->rig->sim, "apiserver/m1", "test");
    rig_wait_ready(w->rig);
    create(w, "b", "");
    sim_run_for(w->rig->sim, 3000);
    EXPECT_SEEN(w, "+b ");
    end_world(w);
    ASSERT_NO_LEAKS();
}

Test(informer, lists_anew_when_its_revision_has_expired_and_tells_what_is_gone)
{
    world_t *w = new_world(&(informer_spec_t){0});
    create(w, "a", "");
    create(w, "b", "");
    begin(w);
    EXPECT_SEEN(w, "+a +b ");
    sim_pause(w->rig->sim, "n", true);
    rig_delete(w->rig, "v1", "Pod", "default", "a");
    create(w, "c", "");
    create(w, "d", "");
    fake_store_compact(w->rig->store, fake_store_revision(w->rig->store));
    sim_kill(w->rig->sim, "apiserver/m1", "test");
    sim_run_for(w->rig->sim, 1000);
    rig_wait_ready(w->rig);
    sim_pause(w->rig->sim, "n", false);
    sim_run_for(w->rig->sim, 10 * 1000);
    const char *seen = text_str(&w->probe.seen);
    cr_assert_not_null(strstr(seen, "-a "), "%s", seen);
    cr_assert_not_null(strstr(seen, "+c "), "%s", seen);
    cr_assert_not_null(strstr(seen, "+d "), "%s", seen);
    cr_assert_eq(informer_len(w->probe.inf), 3);
    end_world(w);
    ASSERT_NO_LEAKS();
}

Test(informer, follows_a_selection)
{
    world_t *w = new_world(&(informer_spec_t){.label_selector = "app=y"});
    create(w, "a", "");
    begin(w);
    EXPECT_SEEN(w, "");
    rig_patch(w->rig, "v1", "Pod", "default", "a", "", API__PATCH__TYPE__MERGE,
              "{\"metadata\":{\"labels\":{\"app\":\"y\"}}}");
    EXPECT_SEEN(w, "+a ");
    rig_patch(w->rig, "v1", "Pod", "default", "a", "", API__PATCH__TYPE__MERGE,
              "{\"metadata\":{\"labels\":{\"app\":\"x\"}}}");
    EXPECT_SEEN(w, "-a ");
    end_world(w);
    ASSERT_NO_LEAKS();
}

static ProtobufCMessage *names_alone(arena_t *arena, const ProtobufCMessage *obj) {
    ProtobufCMessage *slim = msg_new(arena, obj->descriptor);
    Meta__ObjectMeta *meta = object_meta(arena, slim);
    const Meta__ObjectMeta *from = object_meta_read(obj);
    meta->name = from->name;
    meta->namespace_ = from->namespace_;
    meta->resourceversion = from->resourceversion;
    return slim;
}

Test(informer, keeps_of_each_object_what_it_is_told_to)
{
    world_t *w = new_world(&(informer_spec_t){.slim = names_alone});
    create(w, "a", "");
    begin(w);
    const record_t *r = informer_get(w->probe.inf, "default", "a");
    cr_assert_null(RECORD_AS(Core__Pod, r)->spec);
    cr_assert_null(object_label(r->object, "app"));
    end_world(w);
    ASSERT_NO_LEAKS();
}

Test(informer, indexes_follow_the_objects)
{
    world_t *w =
        new_world(&(informer_spec_t){.indexes = {index_by_pod_node, index_by_controller_uid}});
    create(w, "a", "");
    create(w, "b", "");
    rig_create(w->rig, "{kind: Node, apiVersion: v1, metadata: {name: n1}}");
    begin(w);
    cr_assert_eq(informer_by(w->probe.inf, 0, "").len, 2);
    rig_bind(w->rig, "default", "a", "n1");
    sim_run_for(w->rig->sim, 500);
    records_t on = informer_by(w->probe.inf, 0, "n1");
    cr_assert_eq(on.len, 1);
    cr_assert_str_eq(on.at[0]->name, "a");
    cr_assert_eq(informer_by(w->probe.inf, 0, "").len, 1);
    cr_assert_eq(informer_by(w->probe.inf, 1, "").len, 2);
    cr_assert_eq(informer_by(w->probe.inf, 0, "n2").len, 0);
    end_world(w);
    ASSERT_NO_LEAKS();
}

// ---- own writes, by hand -----------------------------------------------------------------------

static Core__Pod *pod_at(arena_t *arena, const char *name, int revision) {
    return build(
        arena, &core__pod__descriptor,
        arena_printf(arena,
                     "metadata.name=%s; metadata.namespace=default; metadata.resourceVersion=%d",
                     name, revision));
}

Test(informer, own_writes_are_seen_at_once_and_older_news_do_not_undo_them)
{
    arena_t arena = {0};
    probe_t probe = {0};
    informer_t *inf =
        informer_new(&(informer_spec_t){.kind = kind_find("", "v1", "Pod"), .tag = TAG});
    informer_subscribe(inf, on_change, &probe);
    informer_learn(inf, &pod_at(&arena, "a", 5)->base);
    informer_learn(inf, &pod_at(&arena, "a", 4)->base);
    informer_learn(inf, &pod_at(&arena, "a", 5)->base);
    cr_assert_str_eq(text_str(&probe.seen), "+a ");
    cr_assert_eq(informer_get(inf, "default", "a")->revision, 5);
    informer_learn_deleted(inf, "default", "a", 7);
    informer_learn(inf, &pod_at(&arena, "a", 6)->base); // an event from before the deletion
    cr_assert_str_eq(text_str(&probe.seen), "+a -a ");
    informer_learn(inf, &pod_at(&arena, "a", 9)->base); // made anew
    cr_assert_str_eq(text_str(&probe.seen), "+a -a +a ");
    informer_learn_deleted(inf, "default", "a", 8); // told late: it is about the older one
    cr_assert_eq(informer_len(inf), 1);
    informer_destroy(&inf);
    text_done(&probe.seen);
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

Test(informer, an_answer_that_comes_after_the_watch_brings_no_deleted_object_back)
{
    world_t *w = new_world(&(informer_spec_t){0});
    begin(w);
    create(w, "a", "");
    int64_t made = w->rig->revision;
    EXPECT_SEEN(w, "+a ");
    rig_delete(w->rig, "v1", "Pod", "default", "a");
    EXPECT_SEEN(w, "-a ");
    informer_learn(w->probe.inf, &pod_at(&w->rig->arena, "a", (int)made)->base);
    cr_assert_eq(informer_len(w->probe.inf), 0);
    end_world(w);
    ASSERT_NO_LEAKS();
}

Test(informer, a_record_outlives_its_place_in_the_cache)
{
    arena_t arena = {0};
    informer_t *inf =
        informer_new(&(informer_spec_t){.kind = kind_find("", "v1", "Pod"), .tag = TAG});
    informer_learn(inf, &pod_at(&arena, "a", 5)->base);
    record_t *kept = record_ref(informer_get(inf, "default", "a"));
    informer_learn(inf, &pod_at(&arena, "a", 6)->base);
    informer_destroy(&inf);
    cr_assert_eq(kept->revision, 5);
    cr_assert_str_eq(kept->key, "default/a");
    record_unref(&kept);
    cr_assert_null(kept);
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

// ---- a kind that nobody may watch -----------------------------------------------------------------

typedef struct {
    bool bears_refusals, is_done, pods_synced, bindings_refused;
} heir_args_t;
typedef struct {
    heir_args_t *args;
    informers_t informers;
    informer_t *pods, *bindings;
    catch_up_t catch_up;
} heir_t;

static err_t heir_start(actor_t *me, const void *args, why_t *why) {
    heir_t *self = actor_state(me);
    self->args = (heir_args_t *)args;
    self->pods = informers_add(&self->informers,
                               &(informer_spec_t){.kind = kind_find("", "v1", "Pod"), .tag = TAG});
    self->bindings =
        informers_add(&self->informers,
                      &(informer_spec_t){.kind = kind_find("", "v1", "Binding"), .tag = TAG + 1});
    self->catch_up.bears_refusals = self->args->bears_refusals;
    informers_start(&self->informers, me);
    catch_up_start(&self->catch_up, me, &self->informers, TAG + 2);
    return ERR_OK;
}
static void heir_hear(actor_t *me, const message_t *msg, const void *body) {
    heir_t *self = actor_state(me);
    cr_expect(informers_handle(&self->informers, me, msg, body) ||
              catch_up_handle(&self->catch_up, me, msg, body));
}
static void heir_on_timer(actor_t *me, uint64_t tag) {
    heir_t *self = actor_state(me);
    cr_expect(informers_timer(&self->informers, me, tag) ||
              catch_up_timer(&self->catch_up, me, tag));
}
static void heir_settle(actor_t *me) {
    heir_t *self = actor_state(me);
    self->args->is_done = catch_up_is_done(&self->catch_up);
    self->args->pods_synced = informer_is_synced(self->pods);
    self->args->bindings_refused = informer_is_refused(self->bindings);
}
static void heir_stop(actor_t *me) { informers_done(&((heir_t *)actor_state(me))->informers); }
static const handler_t heir_rows[] = {{&api__watch_events__descriptor, heir_hear, NULL},
                                      {&actor__stream_end__descriptor, heir_hear, NULL},
                                      {&api__current_revision_reply__descriptor, heir_hear, NULL},
                                      {&actor__failure__descriptor, heir_hear, NULL},
                                      {0}};
static const actor_def_t heir = {.role = "test",
                                 .state_size = sizeof(heir_t),
                                 .start = heir_start,
                                 .handlers = heir_rows,
                                 .settle = heir_settle,
                                 .on_timer = heir_on_timer,
                                 .stop = heir_stop};

Test(informer, who_bears_refusals_waits_for_the_kinds_that_may_be_watched)
{
    for (int bears = 0; bears < 2; bears++) {
        api_rig_t *rig = rig_new(1);
        heir_args_t args = {.bears_refusals = bears};
        why_t why;
        cr_assert_eq(sim_spawn(rig->sim, "n", "n", &heir, "h", &args, &why), ERR_OK, "%s",
                     why.text);
        sim_run_for(rig->sim, 3000);
        cr_expect(args.bindings_refused);
        cr_expect(args.pods_synced);
        cr_expect_eq(args.is_done, bears);
        rig_destroy(&rig);
    }
    ASSERT_NO_LEAKS();
}
