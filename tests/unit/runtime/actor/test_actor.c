// What actors may rely on (kit.h), on virtual time: asks and their one outcome, lives, streams,
// monitors, limits.
#include "runtime/actor/kit.h"
#include "runtime/base/text.h"
#include "runtime/base/vec.h"
#include "runtime/sim/sim.h"
#include "support/leaks.h"
#include <signal.h>

// Bodies are borrowed from the kit's own schema: KillActor carries a word, TraceQuery a number.
static Actor__KillActor word(const char *text) {
    Actor__KillActor w = {PROTOBUF_C_MESSAGE_INIT(&actor__kill_actor__descriptor)};
    w.address = (char *)text;
    w.reason = "";
    return w;
}
static Actor__TraceQuery number(uint64_t n) {
    Actor__TraceQuery q = {PROTOBUF_C_MESSAGE_INIT(&actor__trace_query__descriptor)};
    q.trace_id = n;
    return q;
}
static Actor__Done done(void) {
    return (Actor__Done){PROTOBUF_C_MESSAGE_INIT(&actor__done__descriptor)};
}

// ---- echo: answers, refuses, keeps silent, exits -----------------------------------------------
typedef struct {
    uint64_t told, settles;
    caller_t *kept;
} echo_t;

static void echo_word(actor_t *me, const message_t *msg, const void *body) {
    const Actor__KillActor *w = body;
    echo_t *self = actor_state(me);
    if (streq(w->address, "accept")) {
        uint64_t stream = actor_stream_accept(me, msg, 1);
        cr_assert_eq(stream, 0);
        cr_assert_not(actor_stream_send(me, stream, &w->base));
        actor_stream_end(me, stream, ERR_OK, NULL);
    }
    if (!msg->deadline_ms) {
        self->told++;
        return;
    }
    if (streq(w->address, "accept")) return;
    if (streq(w->address, "fail"))
        actor_fail(me, msg, ERR_CONFLICT, "because");
    else if (streq(w->address, "exit"))
        actor_exit(me, "asked to");
    else if (streq(w->address, "keep"))
        self->kept = actor_keep_caller(me, msg);
    else if (streq(w->address, "release")) {
        Actor__KillActor kept = word("kept");
        if (self->kept) caller_reply(me, &self->kept, &kept.base);
        actor_reply(me, msg, &kept.base);
    } else if (!streq(w->address, "silence"))
        actor_reply(me, msg, &w->base);
}
static void echo_number(actor_t *me, const message_t *msg, const void *body) {
    const echo_t *self = actor_state(me);
    const Actor__TraceQuery *q = body;
    uint64_t values[] = {self->told, self->settles, actor_incarnation(me)};
    Actor__TraceQuery reply = number(values[q->trace_id]);
    actor_reply(me, msg, &reply.base);
}
static void echo_settle(actor_t *me) { ((echo_t *)actor_state(me))->settles++; }
static void echo_stop(actor_t *me) { caller_drop(&((echo_t *)actor_state(me))->kept); }
static void echo_done(actor_t *me, const message_t *msg, const void *body) {
    actor_reply(me, msg, body);
}
static const handler_t echo_rows[] = {
    {&actor__kill_actor__descriptor, echo_word},
    {&actor__trace_query__descriptor, echo_number},
    {&actor__done__descriptor, echo_done, .from = "boss chief"},
    {0},
};
static const actor_def_t echo_actor = {"echo",
                                       sizeof(echo_t),
                                       .handlers = echo_rows,
                                       .settle = echo_settle,
                                       .stop = echo_stop,
                                       .mailbox_max = 8};

// ---- streams' actors, below --------------------------------------------------------------------
typedef struct {
    uint64_t count;
    err_t end;
    uint32_t window;
    bool hold;
} stream_args_t;
static const actor_def_t source_actor;

// ---- the test's own hands ----------------------------------------------------------------------
typedef struct {
    sim_t *sim;
    arena_t arena;
    why_t why;
} world_t;

static world_t world_new(uint64_t seed) {
    world_t w = {.sim = sim_new(seed)};
    cr_assert_eq(sim_spawn(w.sim, "h1", "p1", &echo_actor, "a", NULL, NULL), ERR_OK);
    return w;
}
static void world_done(world_t *w) {
    sim_destroy(&w->sim);
    arena_done(&w->arena);
}
static err_t ask_word(world_t *w, const char *to, const char *text, const char **ret_text) {
    Actor__KillActor body = word(text);
    void *reply = NULL;
    err_t err = sim_ask(w->sim, "test/me", to, &body.base, 1000, &w->arena,
                        &actor__kill_actor__descriptor, &reply, &w->why);
    if (!err && ret_text) *ret_text = ((Actor__KillActor *)reply)->address;
    return err;
}
static uint64_t ask_number(world_t *w, const char *to, uint64_t n) {
    Actor__TraceQuery body = number(n);
    void *reply = NULL;
    err_t err = sim_ask(w->sim, "test/me", to, &body.base, 1000, &w->arena,
                        &actor__trace_query__descriptor, &reply, &w->why);
    cr_assert_eq(err, ERR_OK, "%s", w->why.text);
    return ((Actor__TraceQuery *)reply)->trace_id;
}

Test(actor, an_ask_has_its_answer_by_address_and_by_bare_role)
{
    world_t w = world_new(1);
    const char *text;
    cr_assert_eq(ask_word(&w, "echo/a", "hello", &text), ERR_OK);
    cr_assert_str_eq(text, "hello");
    cr_assert_eq(ask_word(&w, "echo", "again", &text), ERR_OK);
    cr_assert_str_eq(text, "again");
    world_done(&w);
    ASSERT_NO_LEAKS();
}

Test(actor, an_ask_fails_with_the_reason_of_who_noticed)
{
    world_t w = world_new(2);
    cr_assert_eq(ask_word(&w, "echo/a", "fail", NULL), ERR_CONFLICT);
    cr_assert_str_eq(w.why.text, "because");
    cr_assert_eq(ask_word(&w, "echo/nobody", "x", NULL), ERR_UNAVAILABLE);
    cr_assert_eq(ask_word(&w, "nobody", "x", NULL), ERR_UNAVAILABLE);
    char long_name[100000] = "echo/";
    memset(long_name + 5, 'a', sizeof long_name - 6);
    cr_assert_eq(ask_word(&w, long_name, "x", NULL), ERR_UNAVAILABLE);
    int64_t before = sim_now_ms(w.sim);
    cr_assert_eq(ask_word(&w, "echo/a", "silence", NULL), ERR_TIMEOUT);
    cr_assert_eq(sim_now_ms(w.sim) - before, 1000);
    cr_assert_eq(ask_word(&w, "echo/a", "exit", NULL), ERR_UNAVAILABLE);
    cr_assert_str_eq(w.why.text, "asked to");
    sim_run_for(w.sim, 10);
    Actor__ListActors list = {PROTOBUF_C_MESSAGE_INIT(&actor__list_actors__descriptor)};
    void *reply;
    cr_assert_eq(sim_ask(w.sim, "test/me", "echo/a", &list.base, 1000, &w.arena,
                         &actor__done__descriptor, &reply, &w.why),
                 ERR_UNHANDLED);
    world_done(&w);
    ASSERT_NO_LEAKS();
}

Test(actor, a_row_takes_messages_only_from_the_roles_it_names)
{
    world_t w = world_new(3);
    Actor__Done body = done();
    void *reply;
    const struct {
        const char *from;
        err_t err;
    } rows[] = {
        {"boss/1", ERR_OK},         {"chief/1", ERR_OK}, {"bos/1", ERR_FORBIDDEN},
        {"bosss/1", ERR_FORBIDDEN}, {"test/1", ERR_OK},  {"system/1", ERR_OK},
        {"chie/f", ERR_FORBIDDEN},
    };
    for (size_t i = 0; i < LENGTH_OF(rows); i++)
        cr_assert_eq(sim_ask(w.sim, rows[i].from, "echo/a", &body.base, 1000, &w.arena,
                             &actor__done__descriptor, &reply, &w.why),
                     rows[i].err, "%s", rows[i].from);
    world_done(&w);
    ASSERT_NO_LEAKS();
}

Test(actor, a_kept_caller_is_answered_later)
{
    world_t w = world_new(4);
    const char *text;
    Actor__KillActor keep = word("keep");
    sim_tell(w.sim, "test/other", "echo/a", &keep.base); // a tell: counted, not kept
    sim_run_for(w.sim, 10);
    cr_assert_eq(ask_number(&w, "echo/a", 0), 1);
    cr_assert_eq(ask_word(&w, "echo/a", "keep", NULL), ERR_TIMEOUT);
    cr_assert_eq(ask_word(&w, "echo/a", "release", &text), ERR_OK); // the late answer finds nobody
    cr_assert_str_eq(text, "kept");
    world_done(&w);
    ASSERT_NO_LEAKS();
}

Test(actor, an_answer_to_a_tell_and_a_stream_without_window_harm_nobody)
{
    world_t w = world_new(8);
    stream_args_t args = {.count = 1, .window = 1};
    cr_assert_eq(sim_spawn(w.sim, "h1", "p1", &source_actor, "s", &args, NULL), ERR_OK);
    Actor__TraceQuery q = number(0);
    sim_tell(w.sim, "test/me", "echo/a", &q.base); // its handler replies
    sim_tell(w.sim, "test/me", "source/s", &q.base);
    Actor__KillActor accept = word("accept");
    cr_assert_eq(ask_word(&w, "echo/a", "accept", NULL), ERR_BAD_REQUEST);
    sim_tell(w.sim, "test/me", "echo/a", &accept.base);
    sim_run_for(w.sim, 10);
    cr_assert_eq(ask_number(&w, "echo/a", 0), 1);
    world_done(&w);
    ASSERT_NO_LEAKS();
}

Test(actor, a_killed_actor_comes_back_with_a_higher_incarnation_and_empty_state)
{
    world_t w = world_new(5);
    Actor__KillActor tell = word("x");
    for (int i = 0; i < 3; i++) sim_tell(w.sim, "test/me", "echo/a", &tell.base);
    sim_run_for(w.sim, 10);
    cr_assert_eq(ask_number(&w, "echo/a", 0), 3);
    uint64_t before = ask_number(&w, "echo/a", 2);
    sim_kill(w.sim, "echo/a", "chaos");
    sim_run_for(w.sim, 10); // back within 10 ms, and known to the other process
    cr_assert_eq(ask_number(&w, "echo/a", 0), 0);
    cr_assert_gt(ask_number(&w, "echo/a", 2), before);
    world_done(&w);
    ASSERT_NO_LEAKS();
}

Test(actor, one_round_settles_once_however_many_messages_came)
{
    world_t w = world_new(6);
    sim_set_latency(w.sim, 100, 100);
    Actor__KillActor tell = word("x");
    for (int i = 0; i < 5; i++) sim_tell(w.sim, "test/me", "echo/a", &tell.base);
    sim_run_for(w.sim, 10);
    cr_assert_eq(ask_number(&w, "echo/a", 1), 2, "once after its start, once after five messages");
    world_done(&w);
    ASSERT_NO_LEAKS();
}

Test(actor, a_full_mailbox_fails_asks_at_once)
{
    world_t w = world_new(7);
    sim_set_latency(w.sim, 100, 100);
    Actor__KillActor tell = word("x");
    sim_pause(w.sim, "p1", true);
    for (int i = 0; i < 12; i++) sim_tell(w.sim, "test/me", "echo/a", &tell.base);
    sim_run_for(w.sim, 1);
    sim_pause(w.sim, "p1", false); // all twelve arrive in one round, eight fit
    sim_run_for(w.sim, 10);
    cr_assert_eq(ask_number(&w, "echo/a", 0), 8);
    world_done(&w);
    ASSERT_NO_LEAKS();
}

// ---- streams -----------------------------------------------------------------------------------
// source: counts up to args->count on each stream, as fast as credit allows; sink: opens one and
// notes what it sees.
typedef struct {
    uint64_t stream, next, pushed, gone;
} source_t;

static void source_pump(actor_t *me) {
    source_t *self = actor_state(me);
    const stream_args_t *args = *(const stream_args_t *const *)(self + 1);
    while (self->stream && self->next < args->count) {
        Actor__TraceQuery chunk = number(self->next + 1);
        if (!actor_stream_send(me, self->stream, &chunk.base)) return;
        self->next++;
    }
    if (self->stream && !args->hold) actor_stream_end(me, self->stream, args->end, "the end");
    if (!args->hold) self->stream = 0;
}
static err_t source_start(actor_t *me, const void *args, why_t *why) {
    *(const void **)((source_t *)actor_state(me) + 1) = args;
    return ERR_OK;
}
static void source_open(actor_t *me, const message_t *msg, const void *body) {
    source_t *self = actor_state(me);
    if (!msg->stream_window) {
        Actor__TraceQuery reply = number(self->pushed * 1000 + self->gone);
        if (msg->stream) {
            self->pushed++;
            cr_assert_eq(self->pushed, ((const Actor__TraceQuery *)body)->trace_id);
        } else {
            actor_reply(me, msg, &reply.base);
        }
        return;
    }
    self->stream = actor_stream_accept(me, msg, 4);
    self->next = 0;
}
static void source_credit(actor_t *me, const message_t *msg, const void *body) {
    cr_assert_eq(((const Actor__StreamCredit *)body)->stream,
                 ((source_t *)actor_state(me))->stream);
}
static void source_gone(actor_t *me, const message_t *msg, const void *body) {
    source_t *self = actor_state(me);
    cr_assert_eq(((const Actor__StreamGone *)body)->stream, msg->stream);
    self->gone++;
    self->stream = 0;
}
static const handler_t source_rows[] = {
    {&actor__trace_query__descriptor, source_open},
    {&actor__stream_credit__descriptor, source_credit},
    {&actor__stream_gone__descriptor, source_gone},
    {0},
};
static const actor_def_t source_actor = {"source", sizeof(source_t) + sizeof(void *), source_start,
                                         source_rows, source_pump};

typedef struct {
    const stream_args_t *args;
    uint64_t ask, seen, ends, to_push, pushed;
    int32_t err;
} sink_t;
static void sink_open(actor_t *me) {
    sink_t *self = actor_state(me);
    Actor__TraceQuery body = number(0);
    self->ask = actor_open(me, "source/s", &body.base, self->args->window, 7);
}
static err_t sink_start(actor_t *me, const void *args, why_t *why) {
    ((sink_t *)actor_state(me))->args = args;
    ((sink_t *)actor_state(me))->to_push = 20;
    sink_open(me);
    return ERR_OK;
}
static void sink_chunk(actor_t *me, const message_t *msg, const void *body) {
    sink_t *self = actor_state(me);
    if (!msg->stream_seq) { // a question of the test
        uint64_t values[] = {self->seen, self->ends, (uint64_t)self->err, self->pushed};
        Actor__TraceQuery reply = number(values[((const Actor__TraceQuery *)body)->trace_id]);
        actor_reply(me, msg, &reply.base);
        return;
    }
    cr_assert_eq(msg->tag, 7);
    cr_assert_eq(((const Actor__TraceQuery *)body)->trace_id, self->seen + 1,
                 "in order, nothing lost");
    self->seen++;
}
static void sink_end(actor_t *me, const message_t *msg, const void *body) {
    sink_t *self = actor_state(me);
    cr_assert_eq(msg->tag, 7);
    self->ends++;
    self->err = ((const Actor__StreamEnd *)body)->err;
}
static void sink_settle(actor_t *me) {
    sink_t *self = actor_state(me);
    while (self->pushed < self->to_push) {
        Actor__TraceQuery chunk = number(self->pushed + 1);
        if (!actor_push(me, self->ask, &chunk.base)) return;
        self->pushed++;
    }
}
static void sink_credit(actor_t *me, const message_t *msg, const void *body) {
    cr_assert_eq(((const Actor__StreamCredit *)body)->stream, ((sink_t *)actor_state(me))->ask);
}
static void sink_word(actor_t *me, const message_t *msg, const void *body) {
    const char *word = or_empty(((const Actor__KillActor *)body)->reason);
    if (streq(word, "hold") || streq(word, "release")) {
        actor_stream_hold(me, ((sink_t *)actor_state(me))->ask, streq(word, "hold"));
        actor_reply(me, msg, body);
        return;
    }
    actor_cancel(me, ((sink_t *)actor_state(me))->ask);
    actor_reply(me, msg, body);
}
static const handler_t sink_rows[] = {
    {&actor__trace_query__descriptor, sink_chunk},
    {&actor__stream_end__descriptor, sink_end},
    {&actor__stream_credit__descriptor, sink_credit},
    {&actor__kill_actor__descriptor, sink_word},
    {0},
};
static const actor_def_t sink_actor = {"sink", sizeof(sink_t), sink_start, sink_rows, sink_settle};

static world_t stream_world(const stream_args_t *args) {
    world_t w = {.sim = sim_new(args->count + 1)};
    cr_assert_eq(sim_spawn(w.sim, "h1", "p1", &source_actor, "s", args, NULL), ERR_OK);
    cr_assert_eq(sim_spawn(w.sim, "h2", "p2", &sink_actor, "k", args, NULL), ERR_OK);
    return w;
}

Test(stream, chunks_arrive_in_order_within_any_window_and_end)
{
    const uint32_t windows[] = {1, 2, 3, 64};
    for (size_t i = 0; i < LENGTH_OF(windows); i++) {
        stream_args_t args = {.count = 500, .window = windows[i]};
        world_t w = stream_world(&args);
        sim_run_for(w.sim, 5000);
        cr_assert_eq(ask_number(&w, "sink/k", 0), 500, "window %u", windows[i]);
        cr_assert_eq(ask_number(&w, "sink/k", 1), 1);
        cr_assert_eq(ask_number(&w, "sink/k", 2), ERR_OK);
        world_done(&w);
    }
    ASSERT_NO_LEAKS();
}

static void sink_say(world_t *w, const char *word) {
    Actor__KillActor say = {PROTOBUF_C_MESSAGE_INIT(&actor__kill_actor__descriptor)};
    say.address = "";
    say.reason = (char *)word;
    void *reply;
    why_t why;
    cr_assert_eq(sim_ask(w->sim, "test/me", "sink/k", &say.base, 1000, &w->arena,
                         &actor__kill_actor__descriptor, &reply, &why),
                 ERR_OK, "%s", why.text);
}

Test(stream, a_held_stream_sends_no_more_than_its_window_until_it_is_released)
{
    stream_args_t args = {.count = 500, .window = 8};
    world_t w = stream_world(&args);
    sink_say(&w, "hold");
    uint64_t seen = ask_number(&w, "sink/k", 0);
    sim_run_for(w.sim, 1000);
    cr_assert_leq(ask_number(&w, "sink/k", 0), seen + 2 * 8, "what was credited comes, no more");
    uint64_t held = ask_number(&w, "sink/k", 0);
    sim_run_for(w.sim, 1000);
    cr_assert_eq(ask_number(&w, "sink/k", 0), held);
    cr_assert_lt(held, 500);
    sink_say(&w, "release");
    sim_run_for(w.sim, 1000);
    cr_assert_eq(ask_number(&w, "sink/k", 0), 500);
    world_done(&w);
    ASSERT_NO_LEAKS();
}

Test(stream, pushes_go_the_other_way_under_their_own_credit)
{
    stream_args_t args = {.count = 3, .window = 4, .hold = true};
    world_t w = stream_world(&args);
    sim_run_for(w.sim, 1000);
    cr_assert_eq(ask_number(&w, "sink/k", 3), 20);
    cr_assert_eq(ask_number(&w, "source/s", 0), 20000);
    world_done(&w);
    ASSERT_NO_LEAKS();
}

Test(stream, outlives_the_deadline_of_its_opening)
{
    stream_args_t args = {.count = 0, .window = 4, .hold = true};
    world_t w = stream_world(&args);
    sim_run_for(w.sim, 10 * ASK_TIMEOUT_DEFAULT_MS);
    cr_assert_eq(ask_number(&w, "sink/k", 1), 0);
    world_done(&w);
    ASSERT_NO_LEAKS();
}

Test(stream, a_lost_chunk_is_a_gap_and_both_sides_hear_of_it)
{
    stream_args_t args = {.count = 500, .window = 8, .hold = true};
    world_t w = stream_world(&args);
    Actor__FaultRule rule = {PROTOBUF_C_MESSAGE_INIT(&actor__fault_rule__descriptor)};
    rule.name = "lose";
    rule.from = "source/*";
    rule.to = "sink/*";
    rule.type = "*TraceQuery";
    rule.probability = 0.05;
    sim_set_fault(w.sim, &rule);
    sim_run_for(w.sim, 2000);
    sim_clear_faults(w.sim);
    cr_assert_eq(ask_number(&w, "sink/k", 2), ERR_GAP);
    cr_assert_eq(ask_number(&w, "sink/k", 1), 1);
    cr_assert_eq(ask_number(&w, "source/s", 0) % 1000, 1);
    world_done(&w);
    ASSERT_NO_LEAKS();
}

Test(stream, the_death_of_one_side_reaches_the_other)
{
    stream_args_t args = {.count = 5, .window = 8, .hold = true};
    world_t w = stream_world(&args);
    sim_run_for(w.sim, 100);
    sim_kill(w.sim, "source/s", "chaos");
    sim_run_for(w.sim, 100);
    cr_assert_eq(ask_number(&w, "sink/k", 2), ERR_UNAVAILABLE);
    world_done(&w);
    w = stream_world(&args);
    sim_run_for(w.sim, 100);
    sim_crash_process(w.sim, "p2");
    sim_run_for(w.sim, 100);
    cr_assert_eq(ask_number(&w, "source/s", 0) % 1000, 1);
    world_done(&w);
    ASSERT_NO_LEAKS();
}

Test(stream, a_cancelled_stream_is_gone_for_its_server_and_has_no_end)
{
    stream_args_t args = {.count = 5, .window = 8, .hold = true};
    world_t w = stream_world(&args);
    sim_run_for(w.sim, 100);
    cr_assert_eq(ask_word(&w, "sink/k", "cancel", NULL), ERR_OK);
    sim_run_for(w.sim, 100);
    cr_assert_eq(ask_number(&w, "source/s", 0) % 1000, 1);
    cr_assert_eq(ask_number(&w, "sink/k", 1), 0);
    world_done(&w);
    ASSERT_NO_LEAKS();
}

// ---- what is lost on a connection that stands --------------------------------------------------
enum { HOP_MS = 5, LOSING_MS = 1000, HEAL_MS = 5 * 1000 };

typedef struct {
    const char *what, *from, *to, *type;
    stream_args_t args;
    int64_t begin_ms; // of the loss; the opening arrives at once, the acceptance after a hop
    uint64_t seen, ends, err, pushed, gone;
    int64_t heal_ms; // 0: HEAL_MS
} loss_t;

static void expect_healed(const loss_t *l) {
    world_t w = stream_world(&l->args);
    sim_set_latency(w.sim, HOP_MS * 1000, HOP_MS * 1000);
    sim_run_for(w.sim, l->begin_ms);
    Actor__FaultRule rule = {PROTOBUF_C_MESSAGE_INIT(&actor__fault_rule__descriptor)};
    rule.name = "lose";
    rule.from = (char *)l->from;
    rule.to = (char *)l->to;
    rule.type = (char *)l->type;
    sim_set_fault(w.sim, &rule);
    sim_run_for(w.sim, LOSING_MS);
    sim_clear_faults(w.sim);
    sim_run_for(w.sim, l->heal_ms ? l->heal_ms : HEAL_MS);
    cr_assert_eq(ask_number(&w, "sink/k", 0), l->seen, "%s: chunks", l->what);
    cr_assert_eq(ask_number(&w, "sink/k", 1), l->ends, "%s: ends", l->what);
    cr_assert_eq(ask_number(&w, "sink/k", 2), l->err, "%s: error", l->what);
    cr_assert_eq(ask_number(&w, "sink/k", 3), l->pushed, "%s: pushes", l->what);
    cr_assert_eq(ask_number(&w, "source/s", 0) % 1000, l->gone, "%s: gone", l->what);
    world_done(&w);
}

Test(stream, whatever_message_was_the_last_one_its_loss_is_healed)
{
    static const char *const opener = "sink/*", *const server = "source/*";
    const stream_args_t whole = {.count = 500, .window = 8}, held = {.window = 8, .hold = true},
                        some = {.count = 3, .window = 8, .hold = true};
    const loss_t losses[] = {
        {"a credit", opener, server, "*StreamCredit", whole, 0, .seen = 500, .ends = 1,
         .pushed = 20},
        {"the end", server, opener, "*StreamEnd", whole, 0, 500, 1, ERR_GAP, 20},
        {"all chunks", server, opener, "*TraceQuery", some, 0, 0, 1, ERR_GAP, 20, .gone = 1},
        {"the first pushes", opener, server, "*TraceQuery", held, HOP_MS / 2, 0, 1, ERR_GAP, 4, 1},
        {"a push credit", server, opener, "*StreamCredit", held, HOP_MS * 3 / 2, .pushed = 20},
        {"the acceptance", server, opener, "*StreamCredit", held, 0, 0, 1, ERR_TIMEOUT, 0, 1,
         .heal_ms = ASK_TIMEOUT_DEFAULT_MS},
    };
    for (size_t i = 0; i < LENGTH_OF(losses); i++) expect_healed(&losses[i]);
    ASSERT_NO_LEAKS();
}

Test(stream, a_lost_cancel_is_repeated_at_the_next_chunk)
{
    stream_args_t args = {.count = 5, .window = 8, .hold = true};
    world_t w = stream_world(&args);
    sim_run_for(w.sim, 100);
    Actor__FaultRule rule = {PROTOBUF_C_MESSAGE_INIT(&actor__fault_rule__descriptor)};
    rule.name = "lose";
    rule.type = "*StreamCancel";
    sim_set_fault(w.sim, &rule);
    cr_assert_eq(ask_word(&w, "sink/k", "cancel", NULL), ERR_OK);
    sim_run_for(w.sim, 100);
    sim_clear_faults(w.sim);
    cr_assert_eq(ask_number(&w, "source/s", 0) % 1000, 0, "it was lost");
    args.count = 6;
    ask_number(&w, "source/s", 0); // touched, it sends the sixth
    sim_run_for(w.sim, 100);
    cr_assert_eq(ask_number(&w, "source/s", 0) % 1000, 1);
    world_done(&w);
    ASSERT_NO_LEAKS();
}

// ---- families, monitors, timers ----------------------------------------------------------------
typedef struct {
    uint64_t ups, downs, ticks, children;
} boss_t;
static const actor_def_t child_actor;

static err_t boss_start(actor_t *me, const void *args, why_t *why) {
    actor_monitor(me, "child/c");
    actor_monitor(me, "child/c");
    char long_name[1000] = "child/";
    memset(long_name + 6, 'c', sizeof long_name - 7);
    actor_monitor(me, long_name);
    actor_demonitor(me, long_name);
    actor_timer(me, 1, 100);
    actor_timer(me, 2, 50);
    actor_timer(me, 2, 150); // moved
    actor_timer(me, 3, 60);
    actor_timer_cancel(me, 3);
    return actor_spawn(me, &child_actor, "c", NULL, why);
}
static void boss_timer(actor_t *me, uint64_t tag) {
    boss_t *self = actor_state(me);
    self->ticks = self->ticks * 10 + tag;
}
static void boss_up(actor_t *me, const message_t *msg, const void *body) {
    ((boss_t *)actor_state(me))->ups++;
}
static void boss_down(actor_t *me, const message_t *msg, const void *body) {
    ((boss_t *)actor_state(me))->downs++;
}
static void boss_ask(actor_t *me, const message_t *msg, const void *body) {
    const boss_t *self = actor_state(me);
    uint64_t values[] = {self->ups, self->downs, self->ticks};
    Actor__TraceQuery reply = number(values[((const Actor__TraceQuery *)body)->trace_id]);
    actor_reply(me, msg, &reply.base);
}
static const handler_t boss_rows[] = {
    {&actor__up__descriptor, boss_up},
    {&actor__down__descriptor, boss_down},
    {&actor__trace_query__descriptor, boss_ask},
    {0},
};
static const actor_def_t boss_actor = {"boss", sizeof(boss_t), boss_start, boss_rows,
                                       .on_timer = boss_timer};
static void child_word(actor_t *me, const message_t *msg, const void *body) {
    const Actor__KillActor *w = body;
    if (streq(w->address, "crash")) actor_exit(me, "crash");
    if (streq(w->address, "leave")) actor_exit(me, NULL);
}
static const handler_t child_rows[] = {{&actor__kill_actor__descriptor, child_word}, {0}};
static const actor_def_t child_actor = {"child", 0, .handlers = child_rows};

Test(family, a_child_that_crashes_is_started_again_and_its_monitor_hears_all)
{
    world_t w = {.sim = sim_new(9)};
    cr_assert_eq(sim_spawn(w.sim, "h", "p", &boss_actor, "b", NULL, NULL), ERR_OK);
    sim_run_for(w.sim, 200);
    cr_assert_eq(ask_number(&w, "boss/b", 0), 1);
    cr_assert_eq(ask_number(&w, "boss/b", 2), 12, "timer 1, then 2; 3 was cancelled");
    uint64_t downs = ask_number(&w, "boss/b", 1); // 0 or 1: nobody was there when it began
    Actor__KillActor crash = word("crash"), leave = word("leave");
    sim_tell(w.sim, "test/me", "child/c", &crash.base);
    sim_run_for(w.sim, 200);
    cr_assert_eq(ask_number(&w, "boss/b", 0), 2);
    cr_assert_eq(ask_number(&w, "boss/b", 1), downs + 1);
    sim_tell(w.sim, "test/me", "child/c", &leave.base);
    sim_run_for(w.sim, 10000);
    cr_assert_eq(ask_number(&w, "boss/b", 0), 2, "a child that is done stays away");
    cr_assert_eq(ask_number(&w, "boss/b", 1), downs + 2);
    world_done(&w);
    ASSERT_NO_LEAKS();
}

Test(family, children_die_with_their_parent_and_return_with_it)
{
    world_t w = {.sim = sim_new(10)};
    cr_assert_eq(sim_spawn(w.sim, "h", "p", &boss_actor, "b", NULL, NULL), ERR_OK);
    cr_assert_eq(sim_spawn(w.sim, "h", "p", &echo_actor, "a", NULL, NULL), ERR_OK);
    sim_run_for(w.sim, 10);
    sim_kill(w.sim, "boss/b", "chaos");
    sim_run_for(w.sim, 50);
    cr_assert_eq(ask_number(&w, "boss/b", 0), 1);
    Actor__KillActor crash = word("crash");
    for (int i = 0; i < 40; i++) { // its back-off grows, its budget (10 in 10 s) never ends it
        sim_tell(w.sim, "test/me", "child/c", &crash.base);
        sim_run_for(w.sim, 1000);
    }
    sim_run_for(w.sim, 10000);
    cr_assert_geq(ask_number(&w, "boss/b", 0), 1);
    world_done(&w);
    ASSERT_NO_LEAKS();
}

// ---- strategies --------------------------------------------------------------------------------
static text_t diary; // who started and who stopped, in order

static err_t limb_start(actor_t *me, const void *args, why_t *why) {
    text_addf(&diary, "+%s ", actor_name(me));
    return ERR_OK;
}
static void limb_stop(actor_t *me) { text_addf(&diary, "-%s ", actor_name(me)); }
static const actor_def_t limb_actor = {"limb", 0, limb_start, child_rows, .stop = limb_stop};

static err_t body_start(actor_t *me, const void *args, why_t *why) {
    err_t err = ERR_OK;
    if (diary.len) text_addf(&diary, "+!%s ", actor_name(me));
    for (const char *c = "abc"; *c && !err; c++)
        err = actor_spawn(me, &limb_actor, (char[]){*c, 0}, NULL, why);
    return err;
}
static const actor_def_t bodies[] = {
    [SUPERVISE_ONE_FOR_ONE] = {"body", 0, body_start},
    [SUPERVISE_ONE_FOR_ALL] = {"body", 0, body_start, .children.strategy = SUPERVISE_ONE_FOR_ALL,
                               .children.restarts_max = 3},
    [SUPERVISE_REST_FOR_ONE] = {"body", 0, body_start, .children.strategy = SUPERVISE_REST_FOR_ONE},
};

Test(family, siblings_fall_and_rise_as_their_supervisor_says)
{
    static const struct {
        supervise_t strategy;
        const char *dies, *diary;
    } rows[] = {
        {SUPERVISE_ONE_FOR_ONE, "limb/b", "-b +b "},
        {SUPERVISE_ONE_FOR_ALL, "limb/b", "-b -c -a +a +b +c "},
        {SUPERVISE_REST_FOR_ONE, "limb/b", "-b -c +b +c "},
        {SUPERVISE_REST_FOR_ONE, "limb/c", "-c +c "},
        {SUPERVISE_REST_FOR_ONE, "limb/a", "-a -c -b +a +b +c "},
    };
    diary = TEXT_HEAP;
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        for (int killed = 0; killed < 2; killed++) {
            world_t w = {.sim = sim_new(11)};
            const actor_def_t *body = &bodies[rows[i].strategy];
            cr_assert_eq(sim_spawn(w.sim, "h", "p", body, "x", NULL, NULL), ERR_OK);
            cr_assert_str_eq(text_str(&diary), "+a +b +c ");
            text_reset(&diary);
            Actor__KillActor crash = word("crash");
            if (killed)
                sim_kill(w.sim, rows[i].dies, "chaos");
            else
                sim_tell(w.sim, "test/me", rows[i].dies, &crash.base);
            sim_run_for(w.sim, 200);
            cr_expect_str_eq(text_str(&diary), rows[i].diary, "row %zu", i);
            world_done(&w);
            text_reset(&diary);
        }
    }
    text_done(&diary);
    ASSERT_NO_LEAKS();
}

Test(family, more_crashes_than_the_budget_reach_the_supervisor)
{
    diary = TEXT_HEAP;
    world_t w = {.sim = sim_new(12)};
    const actor_def_t *body = &bodies[SUPERVISE_ONE_FOR_ALL];
    cr_assert_eq(sim_spawn(w.sim, "h", "p", body, "x", NULL, NULL), ERR_OK);
    Actor__KillActor crash = word("crash");
    for (int i = 0; i < 4; i++) {
        sim_tell(w.sim, "test/me", "limb/a", &crash.base);
        sim_run_for(w.sim, 800);
    }
    cr_assert(has_suffix(text_str(&diary), "+!x +a +b +c "), "%s", text_str(&diary));
    world_done(&w);
    text_done(&diary);
    ASSERT_NO_LEAKS();
}

static void forgetful(actor_t *me, const message_t *msg, const void *body) {
    actor_ask(me, msg->from, body, 0, 1); // no wait is without a deadline
}
static const handler_t forgetful_rows[] = {{&actor__done__descriptor, forgetful}, {0}};
static const actor_def_t forgetful_actor = {"forgetful", 0, .handlers = forgetful_rows};
// ---- beats -------------------------------------------------------------------------------------
static int64_t beats[2][8];
static size_t beats_len[2];
static err_t drum_start(actor_t *me, const void *args, why_t *why) {
    actor_beat(me, 7, 100);
    return ERR_OK;
}
static void drum_timer(actor_t *me, uint64_t tag) {
    size_t i = streq(actor_name(me), "b");
    if (beats_len[i] < LENGTH_OF(beats[i])) beats[i][beats_len[i]++] = actor_now_ms(me);
    actor_beat(me, tag, 100);
}
static const actor_def_t drum_actor = {"drum", 0, drum_start, .on_timer = drum_timer};

Test(actor, what_beats_alike_beats_at_once_whenever_it_began)
{
    world_t w = world_new(1);
    cr_assert_eq(sim_spawn(w.sim, "h1", "p1", &drum_actor, "a", NULL, NULL), ERR_OK);
    sim_run_for(w.sim, 137);
    cr_assert_eq(sim_spawn(w.sim, "h1", "p1", &drum_actor, "b", NULL, NULL), ERR_OK);
    sim_run_for(w.sim, 500);
    cr_assert_geq(beats_len[0], 5);
    cr_assert_geq(beats_len[1], 4);
    size_t earlier = beats_len[0] - beats_len[1];
    for (size_t i = 0; i < beats_len[1]; i++) {
        cr_assert_eq(beats[1][i] % 100, 0);
        cr_assert_eq(beats[1][i], beats[0][earlier + i]);
    }
    world_done(&w);
    ASSERT_NO_LEAKS();
}

Test(canary, asserts_are_alive, .signal = SIGABRT)
{
    sim_t *sim = sim_new(1);
    why_t why;
    if (sim_spawn(sim, "h", "p", &forgetful_actor, "f", NULL, &why)) return;
    Actor__Done body = done();
    sim_tell(sim, "test/me", "forgetful/f", &body.base);
    sim_run_for(sim, 10);
}
