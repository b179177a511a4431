// nodelife_zones: nodes are counted, and asked about one after another; who may be given up, and
// when, comes out as text.
#include "actors/controllers/nodelife_zones.h"
#include "runtime/base/text.h"
#include "tests/support/build.h"
#include "tests/support/leaks.h"
#include <criterion/criterion.h>
#include <signal.h>

static const zone_limits_t limits = {.rate_milli = 100,
                                     .rate_disrupted_milli = 10,
                                     .burst = 2,
                                     .large_zone = 50,
                                     .unhealthy_percent = 55};

typedef struct {
    const char *name;
    size_t nodes, away;             // of zone a
    size_t other_nodes, other_away; // of zone b; 0 nodes: there is none
    const char *expected;           // a's state, and when each of its first nodes is given up
} row_t;

static const row_t rows[] = {
    {"one dead node goes at once, as soon as its loss has shown", 3, 1, 0, 0, "normal 0.4"},
    {"two are no disruption, however few there are", 3, 2, 0, 0, "normal 0.4 0.4"},
    {"less than 55 % is no disruption: a third waits ten seconds", 20, 10, 0, 0,
     "normal 0.4 0.4 10.4 20.4"},
    {"most of a small zone: what had begun is called off", 20, 11, 0, 0, "partial off"},
    {"of fifty, too", 50, 49, 0, 0, "partial off"},
    {"most of a large zone: one in a hundred seconds", 51, 40, 0, 0,
     "partial 0.4 100.4 200.4 300.4"},
    {"a whole zone, another one stands: as in ordinary times", 60, 60, 5, 4,
     "full 0.4 0.4 10.4 20.4"},
    {"a zone of one is a zone", 1, 1, 2, 0, "full 0.4"},
    {"another zone's trouble is not ours", 5, 1, 5, 5, "normal 0.4"},
    {"every node of all zones: what had begun is called off", 3, 3, 5, 5, "full off"},
    {"the only node", 1, 1, 0, 0, "full off"},
};

static const char *const states[] = {"normal", "partial", "full"};

// Asks for the first four nodes that are away, each as soon as it is told to ask again.
static const char *give_up(arena_t *arena, zones_t *zones, size_t nodes) {
    text_t got = {.arena = arena};
    text_add(&got, states[zone_state(map_get(&zones->zones, "/a"), &limits)]);
    int64_t now_ms = 0, wait_ms = 0;
    for (size_t i = 0; i < nodes && i < 4;) {
        if (zones_hold(zones, "/a")) {
            text_add(&got, " off");
            break;
        }
        if (zones_repel(zones, "/a", now_ms, now_ms, &wait_ms) == REPEL_NOW) {
            text_addf(&got, " %lld.%lld", (long long)now_ms / 1000, (long long)now_ms / 100 % 10);
            i++;
            continue;
        }
        cr_assert_gt(wait_ms, 0);
        now_ms += wait_ms;
    }
    return text_str(&got);
}

Test(nodelife_zones, nodes_are_given_up_as_their_zones_state_allows)
{
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        arena_t arena = {0};
        zones_t zones = {.limits = limits};
        const row_t *r = &rows[i];
        for (size_t n = 0; n < r->nodes; n++) zones_count(&zones, "/a", 1, n < r->away, 0);
        for (size_t n = 0; n < r->other_nodes; n++)
            zones_count(&zones, "/b", 1, n < r->other_away, 0);
        zones.eased_ms = 0; // while nodes were counted all were away
        ((zone_t *)map_get(&zones.zones, "/a"))->eased_ms = 0;
        const char *got = give_up(&arena, &zones, r->away);
        cr_expect_str_eq(got, r->expected, "%s: %s", r->name, got);
        zones_done(&zones);
        arena_done(&arena);
    }
    ASSERT_NO_LEAKS();
}

Test(nodelife_zones, turns_that_were_used_up_count_when_the_state_changes)
{
    zones_t zones = {.limits = limits};
    int64_t wait_ms;
    for (size_t n = 0; n < 100; n++) zones_count(&zones, "/a", 1, n >= 98, 0);
    cr_assert_eq(zones_repel(&zones, "/a", 1000, 1000, &wait_ms), REPEL_NOW);
    cr_assert_eq(zones_repel(&zones, "/a", 1000, 1000, &wait_ms), REPEL_NOW);
    for (size_t n = 0; n < 70; n++) zones_count(&zones, "/a", 0, 1, 1000);
    cr_assert_eq(zones_repel(&zones, "/a", 1000, 1100, &wait_ms), REPEL_LATER);
    cr_assert_eq(wait_ms, 19900); // two turns of ten seconds, no burst now
    cr_assert_eq(zones_repel(&zones, "/a", 1000, 21000, &wait_ms), REPEL_NOW);
    cr_assert_eq(zones_repel(&zones, "/a", 1000, 21000, &wait_ms), REPEL_LATER);
    cr_assert_eq(wait_ms, 100 * 1000);
    zones_done(&zones);
    ASSERT_NO_LEAKS();
}

// Away: how many of zone a's six nodes are, of four in zone b; one of a is back. Its others wait?
Test(nodelife_zones, who_went_with_many_has_time_to_be_heard_when_they_return)
{
    static const struct {
        const char *name;
        size_t away, other_away;
        repel_t others;
    } returns[] = {{"from most of a zone", 4, 0, REPEL_LATER}, // 3 of 6
                   {"from a whole zone", 6, 0, REPEL_OFF},     // 5 of 6: none goes in a small zone
                   {"from two of a zone", 2, 0, REPEL_NOW},
                   {"from everywhere", 6, 4, REPEL_LATER}};
    for (size_t i = 0; i < LENGTH_OF(returns); i++) {
        zones_t zones = {.limits = limits};
        int64_t wait_ms;
        for (size_t n = 6; n-- > 0;) zones_count(&zones, "/a", 1, n < returns[i].away, 0);
        for (size_t n = 4; n-- > 0;) zones_count(&zones, "/b", 1, n < returns[i].other_away, 0);
        zones_count(&zones, "/a", 0, -1, 60 * 1000);
        // From everywhere: b's nodes, whose zone is whole still, wait as well.
        const char *whose = returns[i].other_away ? "/b" : "/a";
        repel_t repel = zones_hold(&zones, whose)
                            ? REPEL_OFF
                            : zones_repel(&zones, whose, 60000, 60100, &wait_ms);
        cr_expect_eq(repel, returns[i].others, "%s", returns[i].name);
        if (repel == REPEL_LATER)
            cr_expect_eq(wait_ms, 9900, "%s: %lld", returns[i].name, (long long)wait_ms);
        zones_done(&zones);
    }
    ASSERT_NO_LEAKS();
}

Test(nodelife_zones, who_dies_after_a_disruption_was_not_of_it)
{
    zones_t zones = {.limits = limits};
    int64_t wait_ms;
    for (size_t n = 6; n-- > 0;) zones_count(&zones, "/a", 1, n < 4, 0);
    for (size_t n = 0; n < 4; n++) zones_count(&zones, "/a", 0, -1, 60 * 1000);
    zones_count(&zones, "/a", 0, 1, 61 * 1000);
    cr_assert_eq(zones_repel(&zones, "/a", 500, 61500, &wait_ms), REPEL_NOW);
    zones_done(&zones);
    ASSERT_NO_LEAKS();
}

Test(nodelife_zones, a_zone_is_its_region_and_its_name)
{
    static const struct {
        const char *labels, *key;
    } keys[] = {
        {"", "/"},
        {"metadata.labels[topology.kubernetes.io/zone]=a", "/a"},
        {"metadata.labels[topology.kubernetes.io/region]=r", "r/"},
        {"metadata.labels[topology.kubernetes.io/region]=r; "
         "metadata.labels[topology.kubernetes.io/zone]=a",
         "r/a"},
    };
    arena_t arena = {0};
    for (size_t i = 0; i < LENGTH_OF(keys); i++) {
        Core__Node *node = build(&arena, &core__node__descriptor, "metadata.name=n");
        build_into(&arena, node, keys[i].labels);
        cr_expect_str_eq(zone_key(node, &arena), keys[i].key);
    }
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

Test(nodelife_zones, a_zone_without_nodes_is_forgotten)
{
    zones_t zones = {.limits = limits};
    zones_count(&zones, "/a", 1, 1, 0);
    zones_count(&zones, "/b", 1, 0, 0);
    cr_assert_not(zones_all_are_away(&zones));
    zones_count(&zones, "/b", -1, 0, 0);
    cr_assert(zones_all_are_away(&zones));
    zones_count(&zones, "/a", -1, -1, 0);
    cr_assert_not(zones_all_are_away(&zones));
    cr_assert_eq(map_len(&zones.zones), 0);
    zones_done(&zones);
    ASSERT_NO_LEAKS();
}

Test(canary, asserts_are_alive, .signal = SIGABRT)
{
    zones_t zones = {.limits = limits};
    int64_t wait_ms;
    (void)zones_repel(&zones, "/a", 0, 0, &wait_ms);
}
