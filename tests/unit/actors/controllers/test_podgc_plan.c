// podgc_plan: pods go in, the names of those that go come out.
#include "actors/controllers/podgc_plan.h"
#include "k8s/core_v1.pb-c.h"
#include "runtime/base/text.h"
#include "tests/support/build.h"
#include "tests/support/leaks.h"
#include <criterion/criterion.h>
#include <signal.h>

typedef struct {
    arena_t arena;
    const record_t *pods[8];
    size_t len;
} world_t;

static const record_t *pod(world_t *w, const char *name, const char *more) {
    void *obj =
        build(&w->arena, &core__pod__descriptor,
              arena_printf(&w->arena, "metadata.name=%s; metadata.uid=%s; %s", name, name, more));
    w->pods[w->len] = record_new(obj);
    return w->pods[w->len++];
}

static records_t all(const world_t *w) { return (records_t){w->pods, w->len}; }

static const char *text_of(world_t *w, const podgc_plan_t *plan) {
    text_t out = {.arena = &w->arena};
    if (plan->look) text_add(&out, "look ");
    for (size_t i = 0; i < plan->gone_len; i++) text_addf(&out, "%s ", plan->gone[i]->name);
    return text_str(&out);
}

static void end_world(world_t *w) {
    for (size_t i = 0; i < w->len; i++) record_unref((record_t **)&w->pods[i]);
    arena_done(&w->arena);
}

Test(podgc_plan, a_node_is_looked_for_before_its_pods_go)
{
    world_t w = {0};
    pod(&w, "a", "");
    pod(&w, "b", "");
    podgc_plan_t plan;
    podgc_plan_node(all(&w), true, false, &w.arena, &plan);
    cr_assert_str_eq(text_of(&w, &plan), "");
    podgc_plan_node(all(&w), false, false, &w.arena, &plan);
    cr_assert_str_eq(text_of(&w, &plan), "look ");
    podgc_plan_node(all(&w), false, true, &w.arena, &plan);
    cr_assert_str_eq(text_of(&w, &plan), "a b ");
    podgc_plan_node(all(&w), true, true, &w.arena, &plan);
    cr_assert_str_eq(text_of(&w, &plan), "", "it came back");
    end_world(&w);
    ASSERT_NO_LEAKS();
}

Test(podgc_plan, of_the_finished_the_oldest_go)
{
    world_t w = {0};
    pod(&w, "young", "status.phase=Failed; metadata.creationTimestamp=30");
    pod(&w, "running", "status.phase=Running; metadata.creationTimestamp=1");
    pod(&w, "old", "status.phase=Succeeded; metadata.creationTimestamp=10");
    pod(&w, "middle", "status.phase=Succeeded; metadata.creationTimestamp=20");
    podgc_plan_t plan;
    podgc_plan_finished(all(&w), 1, &w.arena, &plan);
    cr_assert_str_eq(text_of(&w, &plan), "old middle ");
    podgc_plan_finished(all(&w), 3, &w.arena, &plan);
    cr_assert_str_eq(text_of(&w, &plan), "");
    podgc_plan_finished(all(&w), 0, &w.arena, &plan);
    cr_assert_str_eq(text_of(&w, &plan), "", "0 keeps any number");
    end_world(&w);
    ASSERT_NO_LEAKS();
}

Test(podgc_plan, stuck_is_who_was_never_placed_and_is_to_go)
{
    world_t w = {0};
    cr_assert(podgc_is_stuck(pod(&w, "a", "metadata.deletionTimestamp=5")));
    cr_assert_not(podgc_is_stuck(pod(&w, "b", "metadata.deletionTimestamp=5; spec.nodeName=n")));
    cr_assert_not(podgc_is_stuck(pod(&w, "c", "")));
    end_world(&w);
    ASSERT_NO_LEAKS();
}

Test(canary, asserts_are_alive, .signal = SIGABRT)
{
    record_t *nobody = record_new(NULL);
    record_unref(&nobody);
}
