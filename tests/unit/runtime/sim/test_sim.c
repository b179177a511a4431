// The simulator itself: a whole scenario is decided by its seed, faults do what they say, clocks
// are the process' own.
#include "runtime/base/hash.h"
#include "runtime/sim/sim.h"
#include "support/leaks.h"
#include <signal.h>

// ---- gossip: each actor passes a number on to one drawn by lot, and notes what it saw ----------
enum { GOSSIPS = 5 };
typedef struct {
    uint64_t seen, last;
} gossip_t;

static void pass_on(actor_t *me, uint64_t n) {
    char to[] = "gossip/0";
    to[7] = (char)('0' + rng_below(actor_rng(me), GOSSIPS));
    Actor__TraceQuery q = {PROTOBUF_C_MESSAGE_INIT(&actor__trace_query__descriptor)};
    q.trace_id = n;
    actor_tell(me, to, &q.base);
}
static void gossip_number(actor_t *me, const message_t *msg, const void *body) {
    gossip_t *self = actor_state(me);
    const Actor__TraceQuery *q = body;
    if (msg->deadline_ms) {
        Actor__TraceQuery reply = {PROTOBUF_C_MESSAGE_INIT(&actor__trace_query__descriptor)};
        reply.trace_id = q->last ? self->last : self->seen;
        actor_reply(me, msg, &reply.base);
        return;
    }
    self->seen++;
    self->last = q->trace_id;
    pass_on(me, q->trace_id + 1);
}
static void gossip_timer(actor_t *me, uint64_t tag) {
    pass_on(me, 1000 * tag);
    actor_timer(me, tag, rng_between(actor_rng(me), 5, 50));
}
static err_t gossip_start(actor_t *me, const void *args, why_t *why) {
    actor_timer(me, 1, 10);
    return ERR_OK;
}
static const handler_t gossip_rows[] = {{&actor__trace_query__descriptor, gossip_number}, {0}};
static const actor_def_t gossip_actor = {"gossip", sizeof(gossip_t), gossip_start, gossip_rows,
                                         .on_timer = gossip_timer};

static Actor__FaultRule fault(Actor__FaultRule__Kind kind, const char *from, const char *to) {
    Actor__FaultRule rule = {PROTOBUF_C_MESSAGE_INIT(&actor__fault_rule__descriptor)};
    rule.name = "rule";
    rule.from = (char *)from;
    rule.to = (char *)to;
    rule.type = "";
    rule.kind = kind;
    return rule;
}

static uint64_t canary(uint64_t seed) {
    static const char *const names[] = {"0", "1", "2", "3", "4"};
    sim_t *sim = sim_new(seed);
    for (int i = 0; i < GOSSIPS; i++)
        cr_assert_eq(sim_spawn(sim, "h", i % 2 ? "odd" : "even", &gossip_actor, names[i], NULL,
                               NULL),
                     ERR_OK);
    Actor__FaultRule rule = fault(ACTOR__FAULT_RULE__KIND__DELAY, "gossip/*", "gossip/3");
    rule.delay_ms = 3;
    rule.jitter_ms = 10;
    rule.probability = 0.5;
    sim_run_for(sim, 100);
    sim_set_fault(sim, &rule);
    sim_run_for(sim, 100);
    sim_kill(sim, "gossip/2", "chaos");
    sim_skew(sim, "odd", 5000, 0.01);
    sim_run_for(sim, 100);
    sim_crash_process(sim, "odd");
    sim_run_for(sim, 100);
    sim_restart_process(sim, "odd");
    sim_clear_faults(sim);
    sim_run_for(sim, 200);
    uint64_t hash = sim_trace_hash(sim);
    sim_destroy(&sim);
    return hash;
}

Test(sim, the_same_seed_gives_the_same_run_and_another_seed_another)
{
    uint64_t once = canary(42);
    cr_assert_eq(once, canary(42));
    cr_assert_neq(once, canary(43));
    ASSERT_NO_LEAKS();
}

static uint64_t ask(sim_t *sim, const char *to, bool last) {
    Actor__TraceQuery q = {PROTOBUF_C_MESSAGE_INIT(&actor__trace_query__descriptor)};
    q.last = last;
    arena_t arena = {0};
    void *reply;
    why_t why;
    err_t err = sim_ask(sim, "test/me", to, &q.base, 1000, &arena, &actor__trace_query__descriptor,
                        &reply, &why);
    cr_assert_eq(err, ERR_OK, "%s", why.text);
    uint64_t n = ((Actor__TraceQuery *)reply)->trace_id;
    arena_done(&arena);
    return n;
}

static void tell(sim_t *sim, const char *to, uint64_t n) {
    Actor__TraceQuery q = {PROTOBUF_C_MESSAGE_INIT(&actor__trace_query__descriptor)};
    q.trace_id = n;
    sim_tell(sim, "test/me", to, &q.base);
}

// ---- well: swallows numbers --------------------------------------------------------------------
static void well_number(actor_t *me, const message_t *msg, const void *body) {
    gossip_t *self = actor_state(me);
    const Actor__TraceQuery *q = body;
    if (msg->deadline_ms) {
        gossip_number(me, msg, body);
        return;
    }
    self->seen++;
    self->last = self->last * 10 + q->trace_id; // 1, 2, 3 in order read 123
}
static const handler_t well_rows[] = {{&actor__trace_query__descriptor, well_number}, {0}};
static const actor_def_t well_actor = {"well", sizeof(gossip_t), .handlers = well_rows};
static const handler_t brave_rows[] = {
    {&actor__trace_query__descriptor, well_number, .bears_reorder = true}, {0}};
static const actor_def_t brave_actor = {"brave", sizeof(gossip_t), .handlers = brave_rows};

static sim_t *well_sim(uint64_t seed) {
    sim_t *sim = sim_new(seed);
    cr_assert_eq(sim_spawn(sim, "h", "p", &well_actor, "w", NULL, NULL), ERR_OK);
    cr_assert_eq(sim_spawn(sim, "h", "p", &brave_actor, "b", NULL, NULL), ERR_OK);
    return sim;
}

Test(sim, messages_of_a_pair_keep_their_order_under_latency_and_delay)
{
    for (uint64_t seed = 1; seed < 20; seed++) {
        sim_t *sim = well_sim(seed);
        Actor__FaultRule rule = fault(ACTOR__FAULT_RULE__KIND__DELAY, "test/*", "well/*");
        rule.delay_ms = 5;
        rule.jitter_ms = 50;
        rule.probability = 0.6;
        sim_set_fault(sim, &rule);
        for (uint64_t n = 1; n <= 9; n++) tell(sim, "well/w", n);
        sim_run_for(sim, 200);
        sim_clear_faults(sim);
        cr_assert_eq(ask(sim, "well/w", true), 123456789);
        sim_destroy(&sim);
    }
    ASSERT_NO_LEAKS();
}

Test(sim, a_partition_loses_all_and_heals_when_it_is_cleared)
{
    sim_t *sim = well_sim(1);
    Actor__FaultRule rule = fault(ACTOR__FAULT_RULE__KIND__PARTITION, "well/*", "test/*");
    rule.both_ways = true;
    sim_set_fault(sim, &rule);
    for (uint64_t n = 1; n <= 9; n++) tell(sim, "well/w", n);
    sim_run_for(sim, 100);
    sim_clear_faults(sim);
    cr_assert_eq(ask(sim, "well/w", false), 0);
    tell(sim, "well/w", 1);
    sim_run_for(sim, 100);
    cr_assert_eq(ask(sim, "well/w", false), 1);
    sim_destroy(&sim);
    ASSERT_NO_LEAKS();
}

Test(sim, only_who_bears_it_sees_duplicates_and_wrong_order)
{
    sim_t *sim = well_sim(1);
    Actor__FaultRule rule = fault(ACTOR__FAULT_RULE__KIND__DUPLICATE, "test/*", "*");
    sim_set_fault(sim, &rule);
    for (uint64_t n = 1; n <= 5; n++) tell(sim, "well/w", n), tell(sim, "brave/b", n);
    sim_run_for(sim, 100);
    sim_clear_faults(sim);
    cr_assert_eq(ask(sim, "well/w", false), 5, "a duplicate is nothing");
    cr_assert_eq(ask(sim, "brave/b", false), 10);
    sim_destroy(&sim);
    sim = well_sim(2);
    rule.kind = ACTOR__FAULT_RULE__KIND__REORDER;
    rule.probability = 0.5;
    sim_set_fault(sim, &rule);
    for (uint64_t n = 1; n <= 9; n++) tell(sim, "well/w", n), tell(sim, "brave/b", n);
    sim_run_for(sim, 100);
    sim_clear_faults(sim);
    cr_assert_lt(ask(sim, "well/w", false), 9, "what is overtaken is lost");
    cr_assert_eq(ask(sim, "brave/b", false), 9);
    cr_assert_neq(ask(sim, "brave/b", true), 123456789);
    sim_destroy(&sim);
    ASSERT_NO_LEAKS();
}

Test(sim, a_paused_process_stands_still_and_then_catches_up)
{
    sim_t *sim = well_sim(1);
    sim_pause(sim, "p", true);
    for (uint64_t n = 1; n <= 9; n++) tell(sim, "well/w", n);
    sim_run_for(sim, 1000);
    sim_pause(sim, "p", false);
    sim_run_for(sim, 10);
    cr_assert_eq(ask(sim, "well/w", true), 123456789);
    sim_destroy(&sim);
    ASSERT_NO_LEAKS();
}

static int crashes;
static void on_crash(void *arg) { crashes++; }

Test(sim, a_crashed_process_loses_its_state_and_its_mail)
{
    sim_t *sim = well_sim(1);
    sim_on_crash(sim, "p", on_crash, NULL);
    tell(sim, "well/w", 1);
    sim_run_for(sim, 10);
    tell(sim, "well/w", 2);
    sim_crash_process(sim, "p"); // 2 is on its way
    cr_assert_eq(crashes, 1);
    sim_restart_process(sim, "p");
    sim_run_for(sim, 100);
    cr_assert_eq(ask(sim, "well/w", false), 0);
    sim_destroy(&sim);
    ASSERT_NO_LEAKS();
}

// ---- clock: says what time it is ---------------------------------------------------------------
static void clock_asked(actor_t *me, const message_t *msg, const void *body) {
    Actor__TraceQuery reply = {PROTOBUF_C_MESSAGE_INIT(&actor__trace_query__descriptor)};
    const Actor__TraceQuery *q = body;
    reply.trace_id = (uint64_t)(q->last ? actor_wall_ms(me) : actor_now_ms(me));
    actor_reply(me, msg, &reply.base);
}
static const handler_t clock_rows[] = {{&actor__trace_query__descriptor, clock_asked}, {0}};
static const actor_def_t clock_actor = {"clock", 0, .handlers = clock_rows};

Test(sim, a_skewed_clock_is_off_and_drifts)
{
    sim_t *sim = sim_new(1);
    cr_assert_eq(sim_spawn(sim, "h1", "good", &clock_actor, "good", NULL, NULL), ERR_OK);
    cr_assert_eq(sim_spawn(sim, "h2", "bad", &clock_actor, "bad", NULL, NULL), ERR_OK);
    sim_skew(sim, "bad", -60000, 0.5);
    sim_run_for(sim, 10000);
    int64_t good = (int64_t)ask(sim, "clock/good", false),
            bad = (int64_t)ask(sim, "clock/bad", false);
    cr_assert(bad - good > 4990 && bad - good < 5010, "%ld", bad - good);
    good = (int64_t)ask(sim, "clock/good", true);
    bad = (int64_t)ask(sim, "clock/bad", true);
    cr_assert(bad - good > -55010 && bad - good < -54990, "%ld", bad - good);
    sim_destroy(&sim);
    ASSERT_NO_LEAKS();
}

Test(canary, asserts_are_alive, .signal = SIGABRT)
{
    sim_t *sim = sim_new(1);
    sim_crash_process(sim, "nobody");
}
