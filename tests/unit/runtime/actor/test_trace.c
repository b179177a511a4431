#include "runtime/actor/trace.h"
#include "support/leaks.h"

static void add(trace_t *t, uint64_t trace_id, const char *from, const char *to) {
    hop_t hop = {.trace_id = trace_id,
                 .from = name_new(from),
                 .to = name_new(to),
                 .type = &actor__done__descriptor,
                 .queued_us = 3,
                 .handled_us = 4};
    trace_add(t, &hop, 1);
}

Test(trace, tells_one_walk_and_forgets_the_oldest)
{
    trace_t *t = trace_new(4);
    arena_t arena = {0};
    Actor__TraceHops hops = {PROTOBUF_C_MESSAGE_INIT(&actor__trace_hops__descriptor)};
    trace_query(t, 0, "p", &arena, &hops);
    cr_assert_eq(hops.n_hops, 0);
    add(t, 1, "cli/1", "apiserver/m1");
    add(t, 2, "kubelet/n1", "apiserver/m1");
    add(t, 1, "apiserver/m1", "store/m1");
    trace_query(t, 0, "p", &arena, &hops); // the last that a command line began
    cr_assert_eq(hops.n_hops, 2);
    cr_assert_str_eq(hops.hops[0]->from, "cli/1");
    cr_assert_str_eq(hops.hops[1]->to, "store/m1");
    cr_assert_str_eq(hops.hops[1]->type, "troupe.actor.Done");
    cr_assert_str_eq(hops.hops[1]->process, "p");
    add(t, 3, "a/1", "b/1");
    add(t, 3, "b/1", "a/1"); // the first gives way
    trace_query(t, 1, "p", &arena, &hops);
    cr_assert_eq(hops.n_hops, 1);
    trace_query(t, 0, "p", &arena, &hops);
    cr_assert_eq(hops.n_hops, 0, "no command line is left");
    arena_done(&arena);
    trace_destroy(&t);
    ASSERT_NO_LEAKS();
}
