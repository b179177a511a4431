// informers_actor: followers of one process on an API server in the simulator, writing down each
// change as "+a", "~a", "-a"; and once more on real threads, for ThreadSanitizer.
#include "runtime/actor/informers_actor.h"
#include "runtime/actor/process.h"
#include "tests/support/api_rig.h"
#include "tests/support/build.h"
#include "tests/support/leaks.h"
#include <criterion/criterion.h>
#include <semaphore.h>
#include <time.h>

enum { TAG = 7 };

// ---- a follower --------------------------------------------------------------------------------

// What outlives the actor, so that tests can look at it.
typedef struct {
    text_t seen;
    informer_t *inf;
} probe_t;

static void on_change(void *arg, const record_t *was, const record_t *is) {
    probe_t *p = arg;
    text_addf(&p->seen, "%s%s ", !was ? "+" : !is ? "-" : "~", (is ? is : was)->name);
}
static probe_t *probe_of(actor_t *me) { return *(probe_t **)actor_state(me); }
static void handle(actor_t *me, const message_t *msg, const void *body) {
    cr_assert(informer_handle(probe_of(me)->inf, me, msg, body));
}
static void on_timer(actor_t *me, uint64_t tag) {
    cr_assert(informer_timer(probe_of(me)->inf, me, tag));
}
static err_t start(actor_t *me, const void *args, why_t *why) {
    probe_t *p = (probe_t *)args;
    *(probe_t **)actor_state(me) = p;
    p->inf = informer_new(
        &(informer_spec_t){.kind = kind_find("", "v1", "Pod"), .tag = TAG, .shared = true});
    informer_subscribe(p->inf, on_change, p);
    informer_start(p->inf, me);
    return ERR_OK;
}
static void stop(actor_t *me) { informer_destroy(&probe_of(me)->inf); }
static void refresh(actor_t *me, const message_t *msg, const void *body) {
    informer_refresh(probe_of(me)->inf, me);
}
static const handler_t rows[] = {
    {&api__current_revision__descriptor, refresh},
    {&api__watch_events__descriptor, handle},
    {&actor__stream_end__descriptor, handle},
    {&actor__failure__descriptor, handle},
    {0},
};
static const actor_def_t follower = {.role = "test",
                                     .state_size = sizeof(probe_t *),
                                     .start = start,
                                     .handlers = rows,
                                     .on_timer = on_timer,
                                     .stop = stop};

// ---- in the simulator --------------------------------------------------------------------------

typedef struct {
    api_rig_t *rig;
    probe_t a, b;
} world_t;

static void spawn(world_t *w, const actor_def_t *def, const char *name, const void *args) {
    why_t why;
    cr_assert_eq(sim_spawn(w->rig->sim, "n", "n", def, name, args, &why), ERR_OK, "%s", why.text);
}
static void create(world_t *w, const char *name) {
    const char *text = arena_printf(&w->rig->arena,
                                    "{kind: Pod, apiVersion: v1, metadata: {name: %s}, spec: "
                                    "{containers: [{name: c, image: i}]}}",
                                    name);
    cr_assert_str_eq(rig_create(w->rig, text), "CREATED");
}
static void label(world_t *w, const char *name, int n) {
    rig_patch(w->rig, "v1", "Pod", "default", name, "", API__PATCH__TYPE__MERGE,
              arena_printf(&w->rig->arena, "{\"metadata\":{\"labels\":{\"n\":\"%d\"}}}", n));
}
static world_t *new_world(void) {
    world_t *w = NEW(world_t);
    w->rig = rig_new(1);
    create(w, "x");
    spawn(w, &informers_actor, "n", NULL);
    spawn(w, &follower, "a", &w->a);
    spawn(w, &follower, "b", &w->b);
    sim_run_for(w->rig->sim, 500);
    return w;
}
static void end_world(world_t *w) {
    rig_destroy(&w->rig);
    text_done(&w->a.seen);
    text_done(&w->b.seen);
    free(w);
    ASSERT_NO_LEAKS();
}
#define EXPECT_SEEN(probe, expected)                                                          \
    do {                                                                                      \
        cr_assert_str_eq(text_str(&(probe).seen), (expected), "%s", text_str(&(probe).seen)); \
        text_reset(&(probe).seen);                                                            \
    } while (0)

Test(informers_actor, followers_see_the_same_records)
{
    world_t *w = new_world();
    create(w, "u");
    sim_run_for(w->rig->sim, 500);
    EXPECT_SEEN(w->a, "+x +u ");
    EXPECT_SEEN(w->b, "+x +u ");
    cr_assert(informer_is_synced(w->b.inf));
    cr_assert_geq(informer_revision(w->b.inf), w->rig->revision);
    cr_assert_eq(informer_get(w->a.inf, "default", "u"), informer_get(w->b.inf, "default", "u"));
    label(w, "x", 1);
    rig_delete(w->rig, "v1", "Pod", "default", "u");
    sim_run_for(w->rig->sim, 500);
    EXPECT_SEEN(w->a, "~x -u ");
    EXPECT_SEEN(w->b, "~x -u ");
    end_world(w);
}

Test(informers_actor, killed_they_cost_their_followers_only_the_wait)
{
    world_t *w = new_world();
    create(w, "u");
    sim_run_for(w->rig->sim, 500);
    text_reset(&w->a.seen);
    sim_kill(w->rig->sim, "informers/n", "test");
    rig_delete(w->rig, "v1", "Pod", "default", "x");
    create(w, "z");
    sim_run_for(w->rig->sim, 3000);
    EXPECT_SEEN(w->a, "+z -x ");
    cr_assert_eq(informer_get(w->a.inf, "default", "u"), informer_get(w->b.inf, "default", "u"),
                 "records of before are the process's again");
    end_world(w);
}

Test(informers_actor, a_deletion_takes_what_a_follower_knows_newer)
{
    world_t *w = new_world();
    label(w, "x", 1);
    informer_learn(w->a.inf, w->rig->obj); // before the watch brings it
    rig_delete(w->rig, "v1", "Pod", "default", "x");
    sim_run_for(w->rig->sim, 500);
    EXPECT_SEEN(w->a, "+x ~x -x ");
    end_world(w);
}

Test(informers_actor, they_go_on_where_they_were_when_the_server_dies)
{
    world_t *w = new_world();
    sim_kill(w->rig->sim, "apiserver/m1", "test");
    rig_wait_ready(w->rig);
    create(w, "u");
    sim_run_for(w->rig->sim, 3000);
    EXPECT_SEEN(w->a, "+x +u ");
    EXPECT_SEEN(w->b, "+x +u ");
    end_world(w);
}

Test(informers_actor, what_the_store_forgot_is_told_as_gone)
{
    world_t *w = new_world();
    const char *ghost =
        arena_printf(&w->rig->arena,
                     "metadata.name=g; metadata.namespace=default; metadata.resourceVersion=%lld",
                     (long long)informer_revision(w->a.inf) + 1);
    informer_learn(w->a.inf, build(&w->rig->arena, &core__pod__descriptor, ghost));
    sim_pause(w->rig->sim, "n", true);
    rig_delete(w->rig, "v1", "Pod", "default", "x");
    create(w, "u");
    fake_store_compact(w->rig->store, fake_store_revision(w->rig->store));
    sim_kill(w->rig->sim, "apiserver/m1", "test");
    sim_run_for(w->rig->sim, 1000);
    rig_wait_ready(w->rig);
    sim_pause(w->rig->sim, "n", false);
    sim_run_for(w->rig->sim, 10 * 1000);
    EXPECT_SEEN(w->a, "+x +g +u -g -x ");
    cr_assert_eq(informer_len(w->b.inf), 1);
    end_world(w);
}

static void delay(world_t *w, int64_t ms) {
    Actor__FaultRule rule = ACTOR__FAULT_RULE__INIT;
    rule.kind = ACTOR__FAULT_RULE__KIND__DELAY;
    rule.from = "informers/n";
    rule.to = "test/b";
    rule.probability = 1;
    rule.delay_ms = ms;
    sim_set_fault(w->rig->sim, &rule);
}

Test(informers_actor, a_delay_is_one_followers_alone)
{
    world_t *w = new_world();
    delay(w, 5000);
    create(w, "u");
    sim_run_for(w->rig->sim, 1000);
    EXPECT_SEEN(w->a, "+x +u ");
    EXPECT_SEEN(w->b, "+x ");
    sim_run_for(w->rig->sim, 5000);
    EXPECT_SEEN(w->b, "+u ");
    end_world(w);
}

Test(informers_actor, who_falls_behind_is_sent_the_whole_anew)
{
    world_t *w = new_world();
    create(w, "u");
    delay(w, 600 * 1000); // its credit runs out, then its changes pile up
    for (int i = 0; i < INFORMERS_BEHIND_MAX + 200; i++) label(w, "x", i);
    rig_delete(w->rig, "v1", "Pod", "default", "u");
    sim_run_for(w->rig->sim, 1000);
    sim_clear_faults(w->rig->sim);
    sim_run_for(w->rig->sim, 700 * 1000);
    cr_assert_eq(informer_len(w->b.inf), 1);
    cr_assert_eq(informer_get(w->a.inf, "default", "x"), informer_get(w->b.inf, "default", "x"));
    cr_assert_eq(informer_revision(w->a.inf), informer_revision(w->b.inf));
    end_world(w);
}

Test(informers_actor, a_refreshed_follower_hears_how_far_the_store_is)
{
    world_t *w = new_world();
    // Nothing of its kind happens, and the next mark is seconds away.
    rig_create(w->rig, "{kind: Node, apiVersion: v1, metadata: {name: n1}}");
    cr_assert_lt(informer_revision(w->a.inf), w->rig->revision);
    Api__CurrentRevision refresh = API__CURRENT_REVISION__INIT;
    sim_tell(w->rig->sim, "test/t", "test/a", &refresh.base);
    sim_run_for(w->rig->sim, 200);
    cr_assert_geq(informer_revision(w->a.inf), w->rig->revision);
    cr_assert_geq(informer_revision(w->b.inf), w->rig->revision);
    EXPECT_SEEN(w->a, "+x ");
    end_world(w);
}

Test(informers_actor, who_does_not_take_a_stream_is_refused)
{
    world_t *w = new_world();
    Api__Resource resource = rig_resource(w->rig, "v1", "Pod", "", "");
    Api__Watch watch = API__WATCH__INIT;
    watch.resource = &resource;
    why_t why;
    void *reply;
    err_t err = sim_ask(w->rig->sim, "test/t", "informers/n", &watch.base, 1000, &w->rig->arena,
                        &api__watch_events__descriptor, &reply, &why);
    cr_assert_eq(err, ERR_FORBIDDEN);
    end_world(w);
}

// ---- on threads --------------------------------------------------------------------------------

enum { PODS = 2000, PODS_PER_CHUNK = 20 };

// An API server that sends PODS pods, then waits.
typedef struct {
    uint64_t stream;
    int sent;
} source_t;
static void source_send(actor_t *me) {
    source_t *self = actor_state(me);
    arena_t *arena = actor_arena(me);
    while (self->stream && self->sent < PODS && actor_stream_credit(me, self->stream)) {
        Api__WatchEvent *events[PODS_PER_CHUNK + 1];
        for (int i = 0; i < PODS_PER_CHUNK; i++) {
            int n = ++self->sent;
            const ProtobufCMessage *pod =
                build(arena, &core__pod__descriptor,
                      arena_printf(arena,
                                   "metadata.name=p%d; metadata.namespace=default; "
                                   "metadata.resourceVersion=%d",
                                   n, n));
            bytes_t packed = msg_pack(arena, pod);
            events[i] = MSG_NEW(arena, Api__WatchEvent, api__watch_event__descriptor);
            events[i]->object = (ProtobufCBinaryData){packed.len, (uint8_t *)packed.at};
        }
        Api__WatchEvents chunk = API__WATCH_EVENTS__INIT;
        chunk.n_events = PODS_PER_CHUNK;
        chunk.events = events;
        if (self->sent == PODS_PER_CHUNK) { // the listing is over, changes follow
            events[chunk.n_events] = MSG_NEW(arena, Api__WatchEvent, api__watch_event__descriptor);
            events[chunk.n_events]->type = API__WATCH_EVENT__TYPE__BOOKMARK;
            events[chunk.n_events++]->revision = self->sent;
        }
        chunk.revision = self->sent;
        actor_stream_send(me, self->stream, &chunk.base);
    }
}
static void source_open(actor_t *me, const message_t *msg, const void *body) {
    source_t *self = actor_state(me);
    self->stream = actor_stream_accept(me, msg, 0);
    self->sent = (int)((const Api__Watch *)body)->from_revision;
    source_send(me);
}
static void source_credit(actor_t *me, const message_t *msg, const void *body) { source_send(me); }
static void source_gone(actor_t *me, const message_t *msg, const void *body) {
    ((source_t *)actor_state(me))->stream = 0;
}
static const handler_t source_rows[] = {
    {&api__watch__descriptor, source_open},
    {&actor__stream_credit__descriptor, source_credit},
    {&actor__stream_gone__descriptor, source_gone},
    {0},
};
static const actor_def_t source_actor = {"apiserver", sizeof(source_t), .handlers = source_rows};

// Reads every record, keeps some, and posts when it has seen the last.
typedef struct {
    probe_t probe; // first: a follower's args
    size_t bytes;
    sem_t done;
    record_t *kept;
} reader_t;
static void read_change(void *arg, const record_t *was, const record_t *is) {
    reader_t *r = arg;
    r->bytes += strlen(RECORD_AS(Core__Pod, is)->metadata->name);
    if (is->revision == PODS / 2) r->kept = record_ref(is);
    if (is->revision == PODS) sem_post(&r->done);
}
static err_t reader_start(actor_t *me, const void *args, why_t *why) {
    err_t err = start(me, args, why);
    informer_subscribe(probe_of(me)->inf, read_change, (void *)args);
    return err;
}
static const actor_def_t reader_actor = {.role = "test",
                                         .state_size = sizeof(probe_t *),
                                         .start = reader_start,
                                         .handlers = rows,
                                         .on_timer = on_timer,
                                         .stop = stop};

static void reader_wait(reader_t *r) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 30;
    cr_assert_eq(sem_timedwait(&r->done, &until), 0, "not all pods came within 30 s");
}

Test(informers_actor, records_cross_threads_and_outlive_their_informers)
{
    process_t *p;
    why_t why;
    cr_assert_eq(process_new(&(process_options_t){.name = "p", .host = "h"}, &p, &why), ERR_OK);
    static const char *const threads[] = {"source", "hub", "one", "two"};
    for (size_t i = 0; i < LENGTH_OF(threads); i++)
        cr_assert_eq(process_add_dispatcher(p, threads[i], &why), ERR_OK);
    reader_t readers[3] = {0};
    cr_assert_eq(process_spawn(p, "source", &source_actor, "s", NULL, NULL, &why), ERR_OK);
    cr_assert_eq(process_spawn(p, "hub", &informers_actor, "p", NULL, NULL, &why), ERR_OK);
    static const char *const names[] = {"hub", "one", "two"};
    for (size_t i = 0; i < LENGTH_OF(names); i++) {
        sem_init(&readers[i].done, 0, 0);
        cr_assert_eq(process_spawn(p, names[i], &reader_actor, names[i], &readers[i], NULL, &why),
                     ERR_OK);
    }
    for (size_t i = 0; i < LENGTH_OF(names); i++) reader_wait(&readers[i]);
    process_stop(p);
    process_destroy(&p);
    for (size_t i = 0; i < LENGTH_OF(names); i++) {
        cr_assert_eq(readers[i].bytes, readers[0].bytes);
        cr_assert_eq(readers[i].kept, readers[0].kept, "one record for all");
    }
    cr_assert_str_eq(readers[1].kept->key, "default/p1000");
    for (size_t i = 0; i < LENGTH_OF(names); i++) {
        record_unref(&readers[i].kept);
        text_done(&readers[i].probe.seen);
    }
    ASSERT_NO_LEAKS();
}
