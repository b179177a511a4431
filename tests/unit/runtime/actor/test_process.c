// Actors on real threads: dispatchers, bus, directory, supervision, the system actor.
#include "runtime/actor/dead_letters.h"
#include "runtime/actor/kit.h"
#include "runtime/actor/metrics.h"
#include "runtime/actor/process.h"
#include "runtime/api/msg.h"
#include "runtime/base/clock.h"
#include "support/leaks.h"
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

static Actor__TraceQuery number(uint64_t n) {
    Actor__TraceQuery q = {PROTOBUF_C_MESSAGE_INIT(&actor__trace_query__descriptor)};
    q.trace_id = n;
    return q;
}
static Actor__KillActor word(const char *text) {
    Actor__KillActor w = {PROTOBUF_C_MESSAGE_INIT(&actor__kill_actor__descriptor)};
    w.address = (char *)text;
    w.reason = "test";
    return w;
}

// What actors of a test still look at lives until its process has ended.
static arena_t memory;
static void end(process_t **p) {
    process_destroy(p);
    arena_done(&memory);
    ASSERT_NO_LEAKS();
}

// ---- bell: a test waits for it, an actor rings it ----------------------------------------------
typedef struct {
    sem_t sem;
} bell_t;
static void bell_init(bell_t *b) { sem_init(&b->sem, 0, 0); }
static void bell_wait(bell_t *b) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 30;
    cr_assert_eq(sem_timedwait(&b->sem, &until), 0, "nobody rang within 30 s");
}

// ---- echo --------------------------------------------------------------------------------------
typedef struct {
    uint64_t seen;
} echo_t;
static void echo_number(actor_t *me, const message_t *msg, const void *body) {
    echo_t *self = actor_state(me);
    self->seen++;
    actor_count(me, "echo_numbers_total", 1);
    actor_gauge(me, "echo_last{parity=\"any\"}",
                (int64_t)((const Actor__TraceQuery *)body)->trace_id);
    if (msg->deadline_ms) actor_reply(me, msg, body);
}
static void echo_word(actor_t *me, const message_t *msg, const void *body) {
    const Actor__KillActor *w = body;
    if (streq(w->address, "exit")) actor_exit(me, "asked to");
}
static const handler_t echo_rows[] = {
    {&actor__trace_query__descriptor, echo_number},
    {&actor__kill_actor__descriptor, echo_word},
    {0},
};
static const actor_def_t echo_actor = {"echo", sizeof(echo_t), .handlers = echo_rows};

// ---- driver: asks `count` times with up to `window` under way, notes outcomes, then rings ------
typedef struct {
    const char *to;
    uint64_t count, window;
    int64_t timeout_ms;
    bell_t bell;
    _Atomic uint64_t good, bad;
    _Atomic int last_err;
} drive_t;
typedef struct {
    drive_t *drive;
    uint64_t asked, outcomes;
} driver_t;

static void drive_on(actor_t *me) {
    driver_t *self = actor_state(me);
    drive_t *d = self->drive;
    while (self->asked < d->count && self->asked - self->outcomes < d->window) {
        Actor__TraceQuery q = number(++self->asked);
        actor_ask(me, d->to, &q.base, d->timeout_ms, self->asked);
    }
}
static void outcome(actor_t *me) {
    driver_t *self = actor_state(me);
    if (++self->outcomes == self->drive->count) sem_post(&self->drive->bell.sem);
}
static err_t driver_start(actor_t *me, const void *args, why_t *why) {
    ((driver_t *)actor_state(me))->drive = (drive_t *)args;
    return ERR_OK;
}
static void driver_number(actor_t *me, const message_t *msg, const void *body) {
    driver_t *self = actor_state(me);
    if (((const Actor__TraceQuery *)body)->trace_id == msg->tag) self->drive->good++;
    outcome(me);
}
static void driver_failure(actor_t *me, const message_t *msg, const void *body) {
    driver_t *self = actor_state(me);
    self->drive->bad++;
    self->drive->last_err = ((const Actor__Failure *)body)->err;
    outcome(me);
}
static const handler_t driver_rows[] = {
    {&actor__trace_query__descriptor, driver_number},
    {&actor__failure__descriptor, driver_failure},
    {0},
};
static const actor_def_t driver_actor = {"driver", sizeof(driver_t), driver_start, driver_rows,
                                         drive_on};

static process_t *two_dispatchers(void) {
    process_t *p;
    why_t why;
    cr_assert_eq(process_new(&(process_options_t){.name = "p1", .host = "h1"}, &p, &why), ERR_OK,
                 "%s", why.text);
    cr_assert_eq(process_add_dispatcher(p, "a", &why), ERR_OK);
    cr_assert_eq(process_add_dispatcher(p, "b", &why), ERR_OK);
    return p;
}
static void spawn(process_t *p, const char *at, const actor_def_t *def, const char *name,
                  const void *args) {
    why_t why;
    cr_assert_eq(process_spawn(p, at, def, name, args, NULL, &why), ERR_OK, "%s", why.text);
}
static drive_t drive(process_t *p, const char *at, drive_t d) {
    static int serial;
    char name[16];
    snprintf(name, sizeof name, "%d", ++serial);
    drive_t *shared = ARENA_NEW(&memory, drive_t);
    *shared = d;
    bell_init(&shared->bell);
    spawn(p, at, &driver_actor, name, shared);
    bell_wait(&shared->bell);
    return *shared;
}

Test(process, actors_of_two_dispatchers_answer_each_other)
{
    process_t *p = two_dispatchers();
    spawn(p, "a", &echo_actor, "e", NULL);
    drive_t d = drive(p, "b", (drive_t){"echo/e", 20000, 100, 10000});
    cr_assert_eq(d.good, 20000);
    d = drive(p, "a", (drive_t){"echo", 20000, 100, 10000});
    cr_assert_eq(d.good, 20000);
    end(&p);
}

Test(process, a_start_that_fails_is_told_and_leaves_nothing)
{
    process_t *p = two_dispatchers();
    why_t why;
    cr_assert_eq(process_spawn(p, "nowhere", &echo_actor, "e", NULL, NULL, &why), ERR_NOT_FOUND);
    spawn(p, "a", &echo_actor, "e", NULL);
    cr_assert_eq(process_spawn(p, "a", &echo_actor, "e", NULL, NULL, &why), ERR_EXISTS);
    end(&p);
}

// ---- hole: never answers -----------------------------------------------------------------------
static void hole_number(actor_t *me, const message_t *msg, const void *body) {}
static const handler_t hole_rows[] = {{&actor__trace_query__descriptor, hole_number}, {0}};
static const actor_def_t hole_actor = {"hole", 0, .handlers = hole_rows};

Test(process, an_ask_without_an_answer_times_out)
{
    process_t *p = two_dispatchers();
    spawn(p, "a", &hole_actor, "h", NULL);
    int64_t before = clock_monotonic_ms();
    drive_t d = drive(p, "b", (drive_t){"hole/h", 100, 100, 50});
    cr_assert_eq(d.bad, 100);
    cr_assert_eq(d.last_err, ERR_TIMEOUT);
    cr_assert_geq(clock_monotonic_ms() - before, 50);
    end(&p);
}

Test(process, more_than_a_mailbox_holds_is_refused_at_once)
{
    process_t *p = two_dispatchers();
    static actor_def_t small;
    small = echo_actor;
    small.mailbox_max = 10;
    spawn(p, "a", &small, "e", NULL);
    drive_t d = drive(p, "b", (drive_t){"echo/e", 5000, 5000, 10000});
    cr_assert_eq(d.good + d.bad, 5000);
    cr_assert_geq(d.good, 10);
    cr_assert_eq(d.last_err, ERR_OVERLOADED);
    end(&p);
}

// ---- asker: one question of the test to an actor, the packed answer back -----------------------
typedef struct {
    const char *to;
    const ProtobufCMessage *body;
    bell_t bell;
    void *answer; // unpacked
    int err;
} question_t;
static err_t asker_start(actor_t *me, const void *args, why_t *why) {
    *(const void **)actor_state(me) = args;
    const question_t *q = args;
    actor_ask(me, q->to, q->body, 5000, 1);
    return ERR_OK;
}
static void asker_answer(actor_t *me, const message_t *msg, const void *body) {
    question_t *q = *(question_t **)actor_state(me);
    const ProtobufCMessage *m = body;
    q->answer = msg_dup(&memory, m); // the test waits meanwhile
    if (m->descriptor == &actor__failure__descriptor) q->err = ((const Actor__Failure *)body)->err;
    sem_post(&q->bell.sem);
}
static const handler_t asker_rows[] = {
    {&actor__actor_infos__descriptor, asker_answer},
    {&actor__dead_letters__descriptor, asker_answer},
    {&actor__faults__descriptor, asker_answer},
    {&actor__trace_hops__descriptor, asker_answer},
    {&actor__metrics__descriptor, asker_answer},
    {&actor__done__descriptor, asker_answer},
    {&actor__failure__descriptor, asker_answer},
    {0},
};
static const actor_def_t asker_actor = {"cli", sizeof(void *), asker_start, asker_rows};

static question_t *put(process_t *p, const ProtobufCMessage *body) {
    static int serial;
    char name[16];
    snprintf(name, sizeof name, "%d", ++serial);
    question_t *q = ARENA_NEW(&memory, question_t);
    q->to = "system/p1";
    q->body = body;
    bell_init(&q->bell);
    spawn(p, "b", &asker_actor, name, q);
    bell_wait(&q->bell);
    return q;
}
// The answer; NULL when it failed.
static void *say(process_t *p, const ProtobufCMessage *body) {
    const question_t *q = put(p, body);
    return q->err ? NULL : q->answer;
}
static const Actor__ActorInfo *info(const Actor__ActorInfos *infos, const char *address) {
    for (size_t i = 0; i < infos->n_actors; i++)
        if (streq(infos->actors[i]->address, address)) return infos->actors[i];
    return NULL;
}

Test(process, tells_who_runs_where_and_counts_what_they_do)
{
    process_t *p = two_dispatchers();
    spawn(p, "a", &echo_actor, "e", NULL);
    drive(p, "b", (drive_t){"echo/e", 100, 10, 10000});
    Actor__ListActors list = {PROTOBUF_C_MESSAGE_INIT(&actor__list_actors__descriptor)};
    const Actor__ActorInfos *q = say(p, &list.base);
    const Actor__ActorInfo *e = info(q, "echo/e");
    cr_assert_not_null(e);
    cr_assert_str_eq(e->process, "p1");
    cr_assert_str_eq(e->host, "h1");
    cr_assert_str_eq(e->dispatcher, "a");
    cr_assert_str_eq(e->state, "ready");
    cr_assert_eq(e->messages, 100);
    cr_assert_not_null(info(q, "system/p1"));
    Actor__GetMetrics get = {PROTOBUF_C_MESSAGE_INIT(&actor__get_metrics__descriptor)};
    const Actor__Metrics *m = say(p, &get.base);
    text_t text = TEXT_HEAP;
    metrics_print(q, m, &text);
    cr_assert_not_null(
        strstr(text.at, "# TYPE echo_numbers_total "
                        "counter\necho_numbers_total{actor=\"echo/e\",process=\"p1\"} 100\n"));
    cr_assert_not_null(
        strstr(text.at, "echo_last{actor=\"echo/e\",process=\"p1\",parity=\"any\"} 100\n"));
    cr_assert_not_null(
        strstr(text.at, "troupe_actor_messages_total{actor=\"echo/e\",process=\"p1\"} 100\n"));
    text_done(&text);
    Actor__TraceQuery last = number(0);
    last.last = true;
    const Actor__TraceHops *t = say(p, &last.base);
    cr_assert_geq(t->n_hops, 1);
    cr_assert(has_prefix(t->hops[0]->from, "cli/"));
    cr_assert_str_eq(t->hops[0]->to, "system/p1");
    end(&p);
}

Test(process, a_killed_actor_is_back_and_its_askers_are_told)
{
    process_t *p = two_dispatchers();
    spawn(p, "a", &hole_actor, "h", NULL);
    drive_t *d = ARENA_NEW(&memory, drive_t);
    *d = (drive_t){"hole/h", 100, 100, 25000};
    bell_init(&d->bell);
    spawn(p, "b", &driver_actor, "waits", d);
    Actor__KillActor kill = word("hole/h");
    cr_assert_not_null(say(p, &kill.base));
    bell_wait(&d->bell);
    cr_assert_eq(d->bad, 100);
    cr_assert_eq(d->last_err, ERR_UNAVAILABLE);
    Actor__ListActors list = {PROTOBUF_C_MESSAGE_INIT(&actor__list_actors__descriptor)};
    const Actor__ActorInfos *q = say(p, &list.base);
    cr_assert_eq(info(q, "hole/h")->restarts, 1);
    cr_assert_str_eq(info(q, "hole/h")->state, "ready");
    Actor__KillActor nobody = word("hole/none");
    cr_assert_eq(put(p, &nobody.base)->err, ERR_NOT_FOUND);
    end(&p);
}

Test(process, kills_under_load_lose_no_outcome)
{
    process_t *p = two_dispatchers();
    spawn(p, "a", &echo_actor, "e", NULL);
    drive_t *d = ARENA_NEW(&memory, drive_t);
    *d = (drive_t){"echo/e", 100000, 50, 25000};
    bell_init(&d->bell);
    spawn(p, "b", &driver_actor, "loads", d);
    Actor__KillActor kill = word("echo/e");
    for (int i = 0; i < 20; i++) cr_assert_not_null(say(p, &kill.base));
    bell_wait(&d->bell);
    cr_assert_eq(d->good + d->bad, 100000);
    cr_assert_gt(d->good, 0);
    end(&p);
}

Test(process, faults_set_on_the_live_bus_act_and_are_cleared)
{
    process_t *p = two_dispatchers();
    spawn(p, "a", &echo_actor, "e", NULL);
    Actor__FaultRule rule = {PROTOBUF_C_MESSAGE_INIT(&actor__fault_rule__descriptor)};
    rule.name = "split";
    rule.from = "driver/*";
    rule.to = "echo/*";
    rule.type = "";
    rule.kind = ACTOR__FAULT_RULE__KIND__PARTITION;
    Actor__FaultRule *rules[] = {&rule};
    Actor__SetFaults set = {PROTOBUF_C_MESSAGE_INIT(&actor__set_faults__descriptor)};
    set.rules = rules;
    set.n_rules = 1;
    cr_assert_not_null(say(p, &set.base));
    cr_assert_eq(drive(p, "b", (drive_t){"echo/e", 10, 10, 50}).last_err, ERR_TIMEOUT);
    rule.kind = ACTOR__FAULT_RULE__KIND__DELAY;
    rule.delay_ms = 20;
    cr_assert_not_null(say(p, &set.base));
    int64_t before = clock_monotonic_ms();
    cr_assert_eq(drive(p, "b", (drive_t){"echo/e", 10, 10, 5000}).good, 10);
    cr_assert_geq(clock_monotonic_ms() - before, 20);
    Actor__ClearFaults clear = {PROTOBUF_C_MESSAGE_INIT(&actor__clear_faults__descriptor)};
    cr_assert_not_null(say(p, &clear.base));
    cr_assert_eq(drive(p, "b", (drive_t){"echo/e", 1000, 10, 5000}).good, 1000);
    end(&p);
}

Test(process, a_fault_of_an_actor_or_the_clock_ends_by_itself)
{
    process_t *p = two_dispatchers();
    spawn(p, "a", &echo_actor, "e", NULL);
    Actor__FaultRule pause = {PROTOBUF_C_MESSAGE_INIT(&actor__fault_rule__descriptor)};
    pause.name = "f/1", pause.target = "echo/e";
    pause.kind = ACTOR__FAULT_RULE__KIND__PAUSE;
    pause.for_ms = 1000;
    Actor__FaultRule skew = pause;
    skew.name = "f/2", skew.target = "", skew.kind = ACTOR__FAULT_RULE__KIND__SKEW;
    skew.skew_ms = 5000;
    Actor__FaultRule *rules[] = {&pause, &skew};
    Actor__SetFaults set = {PROTOBUF_C_MESSAGE_INIT(&actor__set_faults__descriptor)};
    set.rules = rules, set.n_rules = 2;
    cr_assert_not_null(say(p, &set.base));
    Actor__ListFaults list = {PROTOBUF_C_MESSAGE_INIT(&actor__list_faults__descriptor)};
    const Actor__Faults *on = say(p, &list.base);
    cr_assert_eq(on->n_rules, 2);
    cr_assert_str_eq(on->rules[0]->process, "p1");
    cr_assert_eq(drive(p, "b", (drive_t){"echo/e", 10, 10, 25000}).good, 10, "it runs again");
    on = say(p, &list.base);
    cr_assert_eq(on->n_rules, 0);
    pause.for_ms = 60 * 1000;
    set.n_rules = 1;
    cr_assert_not_null(say(p, &set.base));
    Actor__ClearFaults clear = {PROTOBUF_C_MESSAGE_INIT(&actor__clear_faults__descriptor)};
    const char *ids[] = {"f"};
    clear.names = ids, clear.n_names = 1;
    cr_assert_not_null(say(p, &clear.base));
    cr_assert_eq(drive(p, "b", (drive_t){"echo/e", 10, 10, 25000}).good, 10, "so it does at once");
    end(&p);
}

Test(process, a_paused_actor_keeps_its_mail)
{
    process_t *p = two_dispatchers();
    spawn(p, "a", &echo_actor, "e", NULL);
    Actor__PauseActor pause = {PROTOBUF_C_MESSAGE_INIT(&actor__pause_actor__descriptor)};
    pause.address = "echo/e";
    cr_assert_not_null(say(p, &pause.base));
    drive_t *d = ARENA_NEW(&memory, drive_t);
    *d = (drive_t){"echo/e", 100, 100, 25000};
    bell_init(&d->bell);
    spawn(p, "b", &driver_actor, "waits", d);
    Actor__ListActors list = {PROTOBUF_C_MESSAGE_INIT(&actor__list_actors__descriptor)};
    const Actor__ActorInfos *q = say(p, &list.base);
    cr_assert_str_eq(info(q, "echo/e")->state, "paused");
    pause.resume = true;
    cr_assert_not_null(say(p, &pause.base));
    bell_wait(&d->bell);
    cr_assert_eq(d->good, 100);
    end(&p);
}

// ---- an actor leaves for another process -------------------------------------------------------
static bell_t left;
static char left_for[64];
static void note_word(void *arg, const char *word, const char *sentence) {
    snprintf(left_for, sizeof left_for, "%s %s", word, sentence);
    sem_post(&left.sem);
}
static err_t to_elsewhere_only(void *arg, arena_t *arena, const char *address, const char *to,
                               const char **ret_process, bool *ret_far, why_t *why) {
    *ret_process = "elsewhere";
    return streq(to, "own") ? ERR_OK : why_set(why, ERR_FORBIDDEN, "not there");
}

Test(process, an_actor_that_moves_handles_what_it_has_in_its_mailbox_first)
{
    process_t *p;
    why_t why;
    cr_assert_eq(process_new(&(process_options_t){.name = "p1",
                                                  .may_move = to_elsewhere_only,
                                                  .tell_parent = note_word},
                             &p, &why),
                 ERR_OK);
    cr_assert_eq(process_add_dispatcher(p, "a", &why), ERR_OK);
    cr_assert_eq(process_add_dispatcher(p, "b", &why), ERR_OK);
    bell_init(&left);
    spawn(p, "a", &echo_actor, "e", NULL);
    Actor__PauseActor pause = {PROTOBUF_C_MESSAGE_INIT(&actor__pause_actor__descriptor)};
    pause.address = "echo/e";
    cr_assert_not_null(say(p, &pause.base));
    drive_t *d = ARENA_NEW(&memory, drive_t);
    *d = (drive_t){"echo/e", 1000, 1000, 25000};
    bell_init(&d->bell);
    spawn(p, "b", &driver_actor, "asks", d);
    Actor__ListActors list = {PROTOBUF_C_MESSAGE_INIT(&actor__list_actors__descriptor)};
    while (info(say(p, &list.base), "echo/e")->mailbox_depth < 1000) continue;
    Actor__MoveActor move = {PROTOBUF_C_MESSAGE_INIT(&actor__move_actor__descriptor)};
    move.address = "echo/e";
    move.from = "p1";
    move.to = "main";
    cr_assert_eq(put(p, &move.base)->err, ERR_FORBIDDEN);
    move.to = "own";
    cr_assert_not_null(say(p, &move.base)); // told before it has gone
    for (int i = 0; i < 20; i++) cr_assert_not_null(info(say(p, &list.base), "echo/e"));
    pause.resume = true;
    cr_assert_not_null(say(p, &pause.base));
    bell_wait(&d->bell);
    cr_assert_eq(d->good, 1000);
    bell_wait(&left);
    cr_assert_str_eq(left_for, "place echo/e elsewhere");
    cr_assert_not(process_runs(p, "echo/e"));
    cr_assert_eq(process_spawn(p, "b", &echo_actor, "e", NULL, NULL, &why), ERR_OK); // and back
    cr_assert(process_runs(p, "echo/e"));
    end(&p);
}

// ---- giving up ---------------------------------------------------------------------------------
static void mayfly_timer(actor_t *me, uint64_t tag) { actor_exit(me, "short life"); }
static err_t mayfly_start(actor_t *me, const void *args, why_t *why) {
    actor_timer(me, 1, 0);
    return ERR_OK;
}
static const actor_def_t mayfly_actor = {"mayfly", 0, mayfly_start, .on_timer = mayfly_timer};

Test(process, ends_itself_when_an_actor_used_up_its_restarts)
{
    process_t *p = two_dispatchers();
    why_t why;
    restart_policy_t policy = {.restarts_max = 3, .backoff_max_ms = 1};
    cr_assert_eq(process_spawn(p, "a", &mayfly_actor, "m", NULL, &policy, &why), ERR_OK);
    struct pollfd fd = {process_exit_fd(p), POLLIN, 0};
    cr_assert_eq(poll(&fd, 1, 30000), 1);
    cr_assert_str_eq(process_exit_reason(p), "mayfly/m used up its restarts: short life");
    end(&p);
}

Test(process, tells_its_last_end_and_how_often_it_was_started_again)
{
    process_t *p;
    why_t why;
    process_options_t options = {.name = "p1", .restarts = 3, .last_reason = "killed by signal 11"};
    cr_assert_eq(process_new(&options, &p, &why), ERR_OK);
    cr_assert_eq(process_add_dispatcher(p, "a", &why), ERR_OK);
    cr_assert_eq(process_add_dispatcher(p, "b", &why), ERR_OK);
    spawn(p, "a", &echo_actor, "e", NULL);
    Actor__ListActors list = {PROTOBUF_C_MESSAGE_INIT(&actor__list_actors__descriptor)};
    const Actor__ActorInfo *e = info(say(p, &list.base), "echo/e");
    cr_assert_eq(e->restarts, 3);
    cr_assert_str_eq(e->last_reason, "killed by signal 11");
    end(&p);
}

Test(process, keeps_the_newest_letters_that_reached_nobody)
{
    process_t *p = two_dispatchers();
    spawn(p, "a", &hole_actor, "h", NULL);
    drive_t *d = ARENA_NEW(&memory, drive_t);
    *d = (drive_t){"hole/h", 2, 2, 25000};
    bell_init(&d->bell);
    spawn(p, "b", &driver_actor, "waits", d);
    Actor__PauseActor pause = {PROTOBUF_C_MESSAGE_INIT(&actor__pause_actor__descriptor)};
    pause.address = "hole/h";
    cr_assert_not_null(say(p, &pause.base));
    Actor__KillActor kill = word("hole/h");
    cr_assert_not_null(say(p, &kill.base));
    bell_wait(&d->bell);
    Actor__ListDeadLetters ask = {PROTOBUF_C_MESSAGE_INIT(&actor__list_dead_letters__descriptor)};
    const Actor__DeadLetters *dead = say(p, &ask.base);
    for (size_t i = 0; i < dead->n_letters; i++) {
        cr_expect_str_eq(dead->letters[i]->to, "hole/h");
        cr_expect_str_eq(dead->letters[i]->why, "its receiver died");
        cr_expect_str_eq(dead->letters[i]->process, "p1");
    }
    dead_letters_t *ring = dead_letters_new();
    envelope_t *env = envelope_new();
    env->from = name_new("a/1"), env->to = name_new("b/1");
    for (int i = 0; i < DEAD_LETTERS_MAX + 3; i++) dead_letters_add(ring, env, "why", i);
    Actor__DeadLetters all = {PROTOBUF_C_MESSAGE_INIT(&actor__dead_letters__descriptor)};
    dead_letters_list(ring, "p", &memory, &all);
    cr_assert_eq(all.n_letters, DEAD_LETTERS_MAX);
    cr_assert_eq(all.letters[0]->wall_ms, 3);
    cr_assert_eq(all.letters[all.n_letters - 1]->wall_ms, DEAD_LETTERS_MAX + 2);
    envelope_destroy(&env);
    dead_letters_destroy(&ring);
    end(&p);
}

Test(process, roots_of_one_strategy_fall_together)
{
    process_t *p = two_dispatchers();
    why_t why;
    restart_policy_t all = {.strategy = SUPERVISE_ONE_FOR_ALL};
    cr_assert_eq(process_spawn(p, "a", &echo_actor, "1", NULL, &all, &why), ERR_OK);
    cr_assert_eq(process_spawn(p, "a", &echo_actor, "2", NULL, &all, &why), ERR_OK);
    spawn(p, "a", &echo_actor, "3", NULL);
    Actor__KillActor kill = word("echo/2");
    cr_assert_not_null(say(p, &kill.base));
    Actor__ListActors list = {PROTOBUF_C_MESSAGE_INIT(&actor__list_actors__descriptor)};
    const Actor__ActorInfos *q = say(p, &list.base);
    cr_assert_eq(info(q, "echo/1")->restarts, 1);
    cr_assert_eq(info(q, "echo/2")->restarts, 1);
    cr_assert_eq(info(q, "echo/3")->restarts, 0);
    cr_assert_eq(info(q, "steward/p1/a")->restarts, 0);
    cr_assert_str_eq(info(q, "echo/1")->last_reason, "echo/2 died");
    end(&p);
}

// ---- files -------------------------------------------------------------------------------------
typedef struct {
    int fd;
    bell_t bell;
} fd_args_t;
static err_t fd_start(actor_t *me, const void *args, why_t *why) {
    *(const void **)actor_state(me) = args;
    actor_watch_fd(me, ((const fd_args_t *)args)->fd, POLLIN);
    return ERR_OK;
}
static void fd_ready(actor_t *me, int fd, uint32_t events) {
    fd_args_t *args = *(fd_args_t **)actor_state(me);
    eventfd_t value;
    cr_assert_eq(eventfd_read(fd, &value), 0);
    sem_post(&args->bell.sem);
    if (value > 1) actor_exit(me, "asked to");
}
static const actor_def_t fd_actor = {"fd", sizeof(void *), fd_start, .on_fd = fd_ready};

Test(process, calls_an_actor_for_its_files_across_its_lives)
{
    process_t *p = two_dispatchers();
    fd_args_t args = {.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    bell_init(&args.bell);
    spawn(p, "a", &fd_actor, "f", &args);
    for (int i = 0; i < 5; i++) {
        eventfd_write(args.fd, 1 + i % 2);
        bell_wait(&args.bell);
    }
    end(&p);
    close(args.fd);
}

Test(process, a_paused_actor_is_not_called_for_its_files)
{
    process_t *p = two_dispatchers();
    fd_args_t args = {.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    bell_init(&args.bell);
    spawn(p, "a", &fd_actor, "f", &args);
    Actor__PauseActor pause = {PROTOBUF_C_MESSAGE_INIT(&actor__pause_actor__descriptor)};
    pause.address = "fd/f";
    cr_assert_not_null(say(p, &pause.base));
    eventfd_write(args.fd, 1);
    Actor__ListActors list = {PROTOBUF_C_MESSAGE_INIT(&actor__list_actors__descriptor)};
    cr_assert_not_null(say(p, &list.base)); // its dispatcher has been round since
    cr_assert_neq(sem_trywait(&args.bell.sem), 0);
    pause.resume = true;
    cr_assert_not_null(say(p, &pause.base));
    bell_wait(&args.bell);
    end(&p);
    close(args.fd);
}

// ---- early: asks without a deadline ------------------------------------------------------------
static err_t early_start(actor_t *me, const void *args, why_t *why) {
    Actor__TraceQuery q = number(1);
    actor_ask(me, "echo/e", &q.base, 0, 1);
    return ERR_OK;
}

// ---- flood: both sides send without reading ----------------------------------------------------
typedef struct {
    const char *to;
    uint64_t count;
    bell_t bell;
} flood_args_t;
typedef struct {
    const flood_args_t *args;
    uint64_t sent, seen;
} flood_t;
static err_t flood_start(actor_t *me, const void *args, why_t *why) {
    ((flood_t *)actor_state(me))->args = args;
    actor_timer(me, 1, 50);
    return ERR_OK;
}
static void flood_timer(actor_t *me, uint64_t tag) { actor_settle_again(me); }
static void flood_settle(actor_t *me) {
    flood_t *self = actor_state(me);
    if (!actor_is_known(me, self->args->to)) {
        actor_timer(me, 1, 5);
        return;
    }
    for (int i = 0; i < 1000 && self->sent < self->args->count; i++) {
        Actor__TraceQuery q = number(++self->sent);
        actor_tell(me, self->args->to, &q.base);
    }
    if (self->sent < self->args->count) actor_settle_again(me);
}
static void flood_number(actor_t *me, const message_t *msg, const void *body) {
    flood_t *self = actor_state(me);
    uint64_t n = ((const Actor__TraceQuery *)body)->trace_id;
    cr_assert_gt(n, self->seen, "in order, never repeated");
    self->seen = n;
    if (n == self->args->count) sem_post(&((flood_args_t *)self->args)->bell.sem);
}
static const handler_t flood_rows[] = {{&actor__trace_query__descriptor, flood_number}, {0}};
static const actor_def_t flood_actor = {
    "flood",      sizeof(flood_t), flood_start,           flood_rows,
    flood_settle, flood_timer,     .mailbox_max = 1 << 20};

Test(process, two_dispatchers_that_flood_each_other_never_lock_up)
{
    process_t *p = two_dispatchers();
    flood_args_t x = {"flood/y", 300000}, y = {"flood/x", 300000};
    bell_init(&x.bell), bell_init(&y.bell);
    spawn(p, "a", &flood_actor, "x", &x);
    spawn(p, "b", &flood_actor, "y", &y);
    bell_wait(&x.bell);
    bell_wait(&y.bell);
    end(&p);
}

Test(canary, asserts_are_alive, .signal = SIGABRT)
{
    static const actor_def_t early_actor = {"early", 0, early_start};
    process_t *p = two_dispatchers();
    spawn(p, "a", &early_actor, "e", NULL);
}
