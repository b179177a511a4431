// nodeipam_plan: nodes go in, ranges come out as text.
#include "actors/controllers/nodeipam_plan.h"
#include "tests/support/leaks.h"
#include <criterion/criterion.h>
#include <signal.h>

static const char *plan_of(arena_t *arena, const char *range, int node_bits,
                           const nodeipam_node_t *nodes, size_t len) {
    nodeipam_view_t view = {.node_bits = node_bits, .nodes = nodes, .nodes_len = len};
    cr_assert_eq(range4_parse(range, &view.range, NULL), ERR_OK);
    nodeipam_plan_t plan;
    nodeipam_plan(&view, arena, &plan);
    text_t out = {.arena = arena};
    nodeipam_plan_print(&plan, &out);
    return text_str(&out);
}

typedef struct {
    const char *name, *range;
    int node_bits;
    nodeipam_node_t nodes[4];
    const char *expected;
} row_t;

static const row_t rows[] = {
    {"no nodes: nothing to do", "10.244.0.0/16", 24, {{0}}, "nothing to do\n"},
    {"the first node gets the first part",
     "10.244.0.0/16",
     24,
     {{"n1", ""}},
     "n1: 10.244.0.0/24\n"},
    {"what others hold is passed over",
     "10.244.0.0/16",
     24,
     {{"n1", "10.244.0.0/24"}, {"n2", "10.244.2.0/24"}, {"n3", ""}, {"n4", ""}},
     "n3: 10.244.1.0/24\nn4: 10.244.3.0/24\n"},
    {"a wider range of old covers all its parts",
     "10.244.0.0/16",
     24,
     {{"n1", "10.244.0.0/23"}, {"n2", ""}},
     "n2: 10.244.2.0/24\n"},
    {"a range from elsewhere is kept and takes nothing",
     "10.244.0.0/16",
     24,
     {{"n1", "192.168.0.0/24"}, {"n2", ""}},
     "n2: 10.244.0.0/24\n"},
    {"when all is given out, it says so",
     "10.244.0.0/24",
     25,
     {{"n1", ""}, {"n2", ""}, {"n3", ""}},
     "n1: 10.244.0.0/25\nn2: 10.244.0.128/25\nn3: nothing left\n"},
    {"nonsense in a node takes nothing",
     "10.244.0.0/16",
     24,
     {{"n1", "fd00::/64"}, {"n2", ""}},
     "n2: 10.244.0.0/24\n"},
};

Test(nodeipam_plan, table)
{
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        arena_t arena = {0};
        size_t len = 0;
        while (len < 4 && rows[i].nodes[len].name) len++;
        const char *plan = plan_of(&arena, rows[i].range, rows[i].node_bits, rows[i].nodes, len);
        cr_expect_str_eq(plan, rows[i].expected, "%s: %s", rows[i].name, plan);
        arena_done(&arena);
    }
    ASSERT_NO_LEAKS();
}

Test(nodeipam_plan, a_plan_is_bounded_and_says_that_there_is_more)
{
    arena_t arena = {0};
    static nodeipam_node_t nodes[NODEIPAM_BURST_MAX + 1];
    for (size_t i = 0; i < LENGTH_OF(nodes); i++)
        nodes[i] = (nodeipam_node_t){arena_printf(&arena, "n%04zu", i), ""};
    nodeipam_view_t view = {.range = {UINT32_C(10) << 24, 8},
                            .node_bits = 24,
                            .nodes = nodes,
                            .nodes_len = LENGTH_OF(nodes)};
    nodeipam_plan_t plan;
    nodeipam_plan(&view, &arena, &plan);
    cr_assert_eq(plan.actions_len, NODEIPAM_BURST_MAX);
    cr_assert(plan.cut);
    // Nothing is left to give: planning again would change nothing.
    view.range = (range4_t){UINT32_C(10) << 24, 23};
    nodeipam_plan(&view, &arena, &plan);
    cr_assert_not(plan.cut);
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

Test(nodeipam_plan, ranges_are_read_strictly)
{
    static const char *const bad[] = {"",   "10.0.0.0", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8x",
                                      "/8", "x/8"};
    range4_t range;
    for (size_t i = 0; i < LENGTH_OF(bad); i++)
        cr_expect_eq(range4_parse(bad[i], &range, NULL), ERR_MALFORMED, "%s", bad[i]);
    cr_assert_eq(range4_parse("10.1.2.3/16", &range, NULL), ERR_OK);
    cr_assert_eq(range.base, UINT32_C(0x0a010000));
    ASSERT_NO_LEAKS();
}

Test(canary, asserts_are_alive, .signal = SIGABRT)
{ nodeipam_plan(&(nodeipam_view_t){0}, NULL, NULL); }
