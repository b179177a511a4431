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
    cr_assert(faults_set(f, &r));
    cr_assert(faults_any(f));
    cr_assert(faults_on_send(f, there, &dice).drop);
    cr_assert_not(faults_on_send(f, back, &dice).drop);
    cr_assert_not(faults_on_arrival(f, there, &dice).drop);
    r.both_ways = true;
    cr_assert(faults_set(f, &r)); // the same name: replaced
    cr_assert(faults_on_send(f, back, &dice).drop);
    r.type = "*Failure";
    cr_assert(faults_set(f, &r));
    cr_assert_not(faults_on_send(f, there, &dice).drop);
    faults_clear(f, "other");
    cr_assert(faults_any(f));
    faults_clear(f, "r");
    cr_assert_not(faults_any(f));
    r = rule("d", ACTOR__FAULT_RULE__KIND__DUPLICATE, "", "");
    cr_assert(faults_set(f, &r));
    cr_assert_not(faults_on_send(f, there, &dice).duplicate);
    cr_assert(faults_on_arrival(f, there, &dice).duplicate);
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
    cr_assert(faults_set(f, &one) && faults_set(f, &two));
    for (int i = 0; i < 100; i++) {
        int64_t delay = faults_on_send(f, e, &dice).delay_us;
        cr_assert(delay >= 12000 && delay <= 15000, "%ld", delay);
    }
    faults_clear(f, NULL);
    Actor__FaultRule drop = rule("3", ACTOR__FAULT_RULE__KIND__DROP, "", "");
    drop.probability = 0.25;
    cr_assert(faults_set(f, &drop));
    int dropped = 0;
    for (int i = 0; i < 10000; i++) dropped += faults_on_send(f, e, &dice).drop;
    cr_assert(dropped > 2300 && dropped < 2700, "%d", dropped);
    envelope_destroy(&e);
    faults_destroy(&f);
    ASSERT_NO_LEAKS();
}

Test(faults, holds_no_more_rules_than_its_limit)
{
    faults_t *f = faults_new();
    Actor__FaultRule r = rule("", ACTOR__FAULT_RULE__KIND__DROP, "a", "b");
    for (int i = 0; i < FAULT_RULES_MAX; i++) cr_assert(faults_set(f, &r));
    cr_assert_not(faults_set(f, &r));
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
