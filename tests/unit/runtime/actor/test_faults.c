#include "runtime/actor/faults.h"
#include "support/leaks.h"
#include <signal.h>

Test(pattern, matches_any_run_for_each_star)
{
    static const struct {
        const char *pattern, *text;
        bool matches;
    } rows[] = {
        {NULL, "a", true},
        {"", "a", true},
        {"*", "", true},
        {"store/m1", "store/m1", true},
        {"store/m1", "store/m11", false},
        {"store/m11", "store/m1", false},
        {"store/*", "store/m1", true},
        {"store/*", "stored/m1", false},
        {"*/m1", "store/m1", true},
        {"*/m1", "store/m1/m1", true},
        {"*/m1", "store/m1/m2", false},
        {"a*b*c", "aXbYc", true},
        {"a*b*c", "abbc", true},
        {"a*b*c", "acb", false},
        {"**", "anything", true},
        {"*Txn*", "troupe.store.TxnRequest", true},
    };
    for (size_t i = 0; i < LENGTH_OF(rows); i++)
        cr_assert_eq(pattern_matches(rows[i].pattern, rows[i].text), rows[i].matches, "%s on %s",
                     rows[i].pattern ? rows[i].pattern : "(null)", rows[i].text);
    ASSERT_NO_LEAKS();
}

static const fault_place_t here = {"p1", NULL, 0};

static envelope_t *envelope(const char *from, const char *to) {
    envelope_t *e = envelope_new();
    e->from = name_new(from);
    e->to = name_new(to);
    e->type = &actor__done__descriptor;
    return e;
}

static Actor__FaultRule rule(const char *name, Actor__FaultRule__Kind kind, const char *from,
                             const char *to) {
    Actor__FaultRule r = {PROTOBUF_C_MESSAGE_INIT(&actor__fault_rule__descriptor)};
    r.name = (char *)name;
    r.kind = kind;
    r.from = (char *)from;
    r.to = (char *)to;
    r.type = "";
    return r;
}

Test(faults, each_kind_acts_on_its_side_and_way)
{
    faults_t *f = faults_new();
    rng_t dice;
    rng_init(&dice, 1);
    envelope_t *there = envelope("a/1", "b/1"), *back = envelope("b/1", "a/1");
    cr_assert_not(faults_any(f));
    Actor__FaultRule r = rule("r", ACTOR__FAULT_RULE__KIND__PARTITION, "a/*", "b/*");
    cr_assert(faults_set(f, &r, 0));
    cr_assert(faults_any(f));
    cr_assert(faults_on_send(f, there, &here, &dice).drop);
    cr_assert_not(faults_on_send(f, back, &here, &dice).drop);
    cr_assert_not(faults_on_arrival(f, there, &here, &dice).drop);
    r.both_ways = true;
    cr_assert(faults_set(f, &r, 0)); // the same name: replaced
    cr_assert(faults_on_send(f, back, &here, &dice).drop);
    r.type = "*Failure";
    cr_assert(faults_set(f, &r, 0));
    cr_assert_not(faults_on_send(f, there, &here, &dice).drop);
    faults_clear(f, "other", NULL, NULL);
    cr_assert(faults_any(f));
    faults_clear(f, "r", NULL, NULL);
    cr_assert_not(faults_any(f));
    r = rule("d", ACTOR__FAULT_RULE__KIND__DUPLICATE, "", "");
    cr_assert(faults_set(f, &r, 0));
    cr_assert_not(faults_on_send(f, there, &here, &dice).duplicate);
    cr_assert(faults_on_arrival(f, there, &here, &dice).duplicate);
    envelope_destroy(&there);
    envelope_destroy(&back);
    faults_destroy(&f);
    ASSERT_NO_LEAKS();
}

Test(faults, delays_add_up_and_chances_are_kept)
{
    faults_t *f = faults_new();
    rng_t dice;
    rng_init(&dice, 1);
    envelope_t *e = envelope("a/1", "b/1");
    Actor__FaultRule one = rule("1", ACTOR__FAULT_RULE__KIND__DELAY, "a/*", ""),
                     two = rule("2", ACTOR__FAULT_RULE__KIND__DELAY, "", "b/*");
    one.delay_ms = 5;
    two.delay_ms = 7;
    two.jitter_ms = 3;
    cr_assert(faults_set(f, &one, 0) && faults_set(f, &two, 0));
    for (int i = 0; i < 100; i++) {
        int64_t delay = faults_on_send(f, e, &here, &dice).delay_us;
        cr_assert(delay >= 12000 && delay <= 15000, "%ld", delay);
    }
    faults_clear(f, NULL, NULL, NULL);
    Actor__FaultRule drop = rule("3", ACTOR__FAULT_RULE__KIND__DROP, "", "");
    drop.probability = 0.25;
    cr_assert(faults_set(f, &drop, 0));
    int dropped = 0;
    for (int i = 0; i < 10000; i++) dropped += faults_on_send(f, e, &here, &dice).drop;
    cr_assert(dropped > 2300 && dropped < 2700, "%d", dropped);
    envelope_destroy(&e);
    faults_destroy(&f);
    ASSERT_NO_LEAKS();
}

Test(faults, a_rule_ends_by_itself_and_by_its_id)
{
    faults_t *f = faults_new();
    rng_t dice;
    rng_init(&dice, 1);
    arena_t arena = {0};
    envelope_t *e = envelope("a/1", "b/1");
    Actor__FaultRule brief = rule("x/1", ACTOR__FAULT_RULE__KIND__DROP, "a/*", ""),
                     part = rule("y/1", ACTOR__FAULT_RULE__KIND__DROP, "c/*", ""),
                     other = rule("yy", ACTOR__FAULT_RULE__KIND__PAUSE, "", "");
    brief.for_ms = 5;
    cr_assert(faults_set(f, &brief, 1000) && faults_set(f, &part, 0) && faults_set(f, &other, 0));
    fault_place_t before = {"p1", NULL, 5999}, after = {"p1", NULL, 6000};
    cr_assert(faults_on_send(f, e, &before, &dice).drop);
    cr_assert_not(faults_on_send(f, e, &after, &dice).drop);
    Actor__Faults on = {PROTOBUF_C_MESSAGE_INIT(&actor__faults__descriptor)};
    faults_list(f, 2500, &arena, &on);
    cr_assert_eq(on.n_rules, 3);
    cr_assert_eq(on.rules[0]->for_ms, 4);
    cr_assert_eq(faults_expire(f, 2500, NULL, NULL), 6000);
    cr_assert_eq(faults_expire(f, 6000, NULL, NULL), INT64_MAX);
    faults_clear(f, "y", NULL, NULL);
    faults_list(f, 6000, &arena, &on);
    cr_assert_eq(on.n_rules, 1);
    cr_assert_str_eq(on.rules[0]->name, "yy");
    cr_assert_not(faults_any(f), "a pause is not the bus'");
    envelope_destroy(&e);
    faults_destroy(&f);
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

typedef struct {
    faults_t *faults;
    envelope_t *sent;
    int told, dropped;
} listener_t;

// Whoever hears of an end sends messages, as the system actor does to stewards.
static void hear_and_send(void *arg, const Actor__FaultRule *ended) {
    listener_t *l = arg;
    rng_t dice;
    rng_init(&dice, 1);
    l->told++;
    l->dropped += faults_on_send(l->faults, l->sent, &here, &dice).drop;
}

Test(faults, who_is_told_of_an_end_may_send_under_another_rule, .timeout = 10)
{
    faults_t *f = faults_new();
    listener_t l = {f, envelope("a/1", "b/1"), 0, 0};
    Actor__FaultRule pause = rule("p", ACTOR__FAULT_RULE__KIND__PAUSE, "", ""),
                     drop = rule("d", ACTOR__FAULT_RULE__KIND__DROP, "a/1", "");
    faults_set(f, &drop, 0);
    faults_set(f, &pause, 0);
    faults_clear(f, "p", hear_and_send, &l);
    pause.for_ms = 5;
    faults_set(f, &pause, 0);
    cr_assert_eq(faults_expire(f, 6000, hear_and_send, &l), INT64_MAX);
    cr_assert_eq(l.told, 2);
    cr_assert_eq(l.dropped, 2);
    envelope_destroy(&l.sent);
    faults_destroy(&f);
    ASSERT_NO_LEAKS();
}

Test(faults, the_roads_of_administration_are_spared_unless_forced)
{
    static const char *const roads[][2] = {{"cli/1", "apiserver/m1"},
                                           {"apiserver/m1", "cli/1"},
                                           {"apiserver/m1", "system/p2"},
                                           {"chaos/m1", "apiserver/m1"},
                                           {"system/p1", "steward/p1/d"}};
    faults_t *f = faults_new();
    rng_t dice;
    rng_init(&dice, 1);
    for (size_t i = 0; i < LENGTH_OF(roads); i++)
        for (int forced = 0; forced < 2; forced++) {
            Actor__FaultRule all = rule("all", ACTOR__FAULT_RULE__KIND__PARTITION, "", "");
            all.forced = forced;
            cr_assert(faults_set(f, &all, 0));
            envelope_t *e = envelope(roads[i][0], roads[i][1]);
            cr_expect_eq(faults_on_send(f, e, &here, &dice).drop, forced, "row %zu", i);
            envelope_destroy(&e);
        }
    faults_destroy(&f);
    ASSERT_NO_LEAKS();
}

Test(faults, a_process_is_cut_off_at_its_border_both_ways)
{
    static const struct {
        const char *here, *to;
        bool drop;
    } rows[] = {{"p1", NULL, false}, {"p1", "p2", true}, {"p2", "p1", true}, {"p2", "p3", false}};
    faults_t *f = faults_new();
    rng_t dice;
    rng_init(&dice, 1);
    Actor__FaultRule cut = rule("cut", ACTOR__FAULT_RULE__KIND__PARTITION, "process/p1", "");
    cut.both_ways = cut.border = true;
    cr_assert(faults_set(f, &cut, 0));
    envelope_t *e = envelope("a/1", "b/1");
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        fault_place_t at = {rows[i].here, rows[i].to, 0};
        cr_expect_eq(faults_on_send(f, e, &at, &dice).drop, rows[i].drop, "row %zu", i);
    }
    envelope_destroy(&e);
    faults_destroy(&f);
    ASSERT_NO_LEAKS();
}

Test(faults, holds_no_more_rules_than_its_limit)
{
    faults_t *f = faults_new();
    Actor__FaultRule r = rule("", ACTOR__FAULT_RULE__KIND__DROP, "a", "b");
    for (int i = 0; i < FAULT_RULES_MAX; i++) cr_assert(faults_set(f, &r, 0));
    cr_assert_not(faults_set(f, &r, 0));
    faults_destroy(&f);
    ASSERT_NO_LEAKS();
}

Test(canary, asserts_are_alive, .signal = SIGABRT)
{
    char long_name[1 << 17];
    memset(long_name, 'x', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = 0;
    name_t *name = name_new(long_name);
    name_unref(&name);
}
