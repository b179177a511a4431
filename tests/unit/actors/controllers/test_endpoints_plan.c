// endpoints_plan: a service and its pods go in, endpoints and slices come out as text.
#include "actors/controllers/endpoints_plan.h"
#include "runtime/api/kinds.h"
#include "runtime/base/rng.h"
#include "tests/support/build.h"
#include "tests/support/leaks.h"
#include <criterion/criterion.h>
#include <signal.h>

enum { PODS_MAX = 400, SLICES_MAX = 20 };

typedef struct {
    arena_t arena;
    Core__Service *service;
    const Core__Pod *pods[PODS_MAX];
    const Discovery__EndpointSlice *slices[SLICES_MAX];
    endpoints_view_t view;
} world_t;

static world_t *new_world(const char *more) {
    world_t *w = NEW(world_t);
    w->service = build(
        &w->arena, &core__service__descriptor,
        "metadata.name=web; metadata.namespace=default; metadata.uid=u-svc; spec.selector[app]=web;"
        "spec.ports[0].port=80; spec.ports[0].protocol=TCP; spec.ports[0].targetPort=8080; "
        "spec.clusterIP=10.96.0.9");
    build_into(&w->arena, w->service, more);
    w->view = (endpoints_view_t){.namespace_ = "default",
                                 .name = "web",
                                 .service = w->service,
                                 .pods = w->pods,
                                 .slices = w->slices};
    return w;
}

static void end_world(world_t *w) {
    arena_done(&w->arena);
    free(w);
}

#define READY   "status.conditions[0].type=Ready; status.conditions[0].status=True;"
#define LEAVING "metadata.deletionTimestamp=5;"

static Core__Pod *pod(world_t *w, const char *name, const char *ip, const char *more) {
    Core__Pod *p = build(&w->arena, &core__pod__descriptor,
                         "metadata.namespace=default; metadata.labels[app]=web; spec.nodeName=n1; "
                         "spec.containers[0].name=c");
    build_into(&w->arena, p,
               arena_printf(&w->arena, "metadata.name=%s; metadata.uid=u-%s; status.podIP=%s; %s",
                            name, name, ip, more));
    w->pods[w->view.pods_len++] = p;
    return p;
}

static const char *plan(world_t *w, bool obey) {
    endpoints_plan_t out;
    endpoints_plan(&w->view, &w->arena, &out);
    text_t text = {.arena = &w->arena};
    endpoints_plan_print(&out, &text);
    for (size_t i = 0; obey && i < out.actions_len; i++) {
        const endpoints_action_t *a = &out.actions[i];
        if (a->object->descriptor == &core__endpoints__descriptor) {
            w->view.endpoints =
                a->verb == ENDPOINTS_DELETE ? NULL : (const Core__Endpoints *)a->object;
            continue;
        }
        const char *name = object_meta_read(a->object)->name;
        size_t at = 0;
        while (at < w->view.slices_len && !streq(w->slices[at]->metadata->name, name)) at++;
        if (a->verb == ENDPOINTS_DELETE) {
            memmove(&w->slices[at], &w->slices[at + 1],
                    (w->view.slices_len - at - 1) * sizeof w->slices[0]);
            w->view.slices_len--;
        } else {
            w->slices[at] = (const Discovery__EndpointSlice *)a->object;
            if (a->verb == ENDPOINTS_CREATE) w->view.slices_len++;
        }
    }
    return text_str(&text);
}

#define EXPECT_PLAN(w, expected)                                                \
    do {                                                                        \
        const char *got_ = plan((w), true);                                     \
        cr_assert_str_eq(got_, (expected), "%s", got_);                         \
        const char *again_ = plan((w), false);                                  \
        cr_assert_str_eq(again_, "nothing to do\n", "not settled: %s", again_); \
    } while (0)

Test(endpoints_plan, a_service_without_pods_has_empty_ones)
{
    world_t *w = new_world("");
    EXPECT_PLAN(w, "create endpoints\ncreate slice\n");
    end_world(w);
    ASSERT_NO_LEAKS();
}

Test(endpoints_plan, pods_count_by_what_they_are)
{
    world_t *w = new_world("");
    pod(w, "a", "10.1.0.1", READY);
    pod(w, "b", "10.1.0.2", "");
    pod(w, "c", "10.1.0.3", READY LEAVING);
    pod(w, "d", "10.1.0.4", LEAVING);
    pod(w, "e", "", READY);
    pod(w, "f", "10.1.0.6", READY "status.phase=Succeeded");
    pod(w, "g", "10.1.0.7", READY "metadata.labels[app]=other");
    EXPECT_PLAN(w, "create endpoints 10.1.0.1 (10.1.0.2) :8080\n"
                   "create slice 10.1.0.1+ready+serving 10.1.0.2 10.1.0.3+serving+terminating "
                   "10.1.0.4+terminating :8080\n");
    end_world(w);
    ASSERT_NO_LEAKS();
}

Test(endpoints_plan, a_service_may_publish_those_that_are_not_ready)
{
    world_t *w = new_world("spec.publishNotReadyAddresses=true");
    pod(w, "a", "10.1.0.1", "");
    pod(w, "b", "10.1.0.2", LEAVING);
    EXPECT_PLAN(w, "create endpoints 10.1.0.1 10.1.0.2 :8080\ncreate slice 10.1.0.1+ready "
                   "10.1.0.2+ready+terminating :8080\n");
    end_world(w);
    ASSERT_NO_LEAKS();
}

Test(endpoints_plan, a_change_of_one_pod_is_one_update_each)
{
    world_t *w = new_world("");
    Core__Pod *a = pod(w, "a", "10.1.0.1", READY);
    pod(w, "b", "10.1.0.2", READY);
    plan(w, true);
    build_into(&w->arena, a, "status.conditions[0].status=False");
    EXPECT_PLAN(w, "update endpoints 10.1.0.2 (10.1.0.1) :8080\nupdate slice 10.1.0.1 "
                   "10.1.0.2+ready+serving :8080\n");
    end_world(w);
    ASSERT_NO_LEAKS();
}

Test(endpoints_plan, named_ports_come_to_what_each_pod_calls_so)
{
    world_t *w = new_world("spec.ports[0].targetPort=http");
    pod(w, "a", "10.1.0.1",
        READY
        "spec.containers[0].ports[0].name=http; spec.containers[0].ports[0].containerPort=80");
    pod(w, "b", "10.1.0.2",
        READY
        "spec.containers[0].ports[0].name=http; spec.containers[0].ports[0].containerPort=81");
    pod(w, "c", "10.1.0.3", READY);
    EXPECT_PLAN(
        w, "create endpoints 10.1.0.1 :80 10.1.0.2 :81\ncreate slice 10.1.0.1+ready+serving :80\n"
           "create slice 10.1.0.2+ready+serving :81\n");
    end_world(w);
    ASSERT_NO_LEAKS();
}

Test(endpoints_plan, slices_hold_a_hundred_and_endpoints_stay_where_they_are)
{
    world_t *w = new_world("");
    for (int i = 0; i < 150; i++)
        pod(w, arena_printf(&w->arena, "p%03d", i), arena_printf(&w->arena, "10.1.1.%d", i), READY);
    plan(w, true);
    cr_assert_eq(w->view.slices_len, 2);
    cr_assert_eq(w->slices[0]->n_endpoints, SLICE_ENDPOINTS_MAX);
    cr_assert_eq(w->slices[1]->n_endpoints, 50);
    const char *first = w->slices[0]->metadata->name;
    // One leaves the first slice: the second is not touched.
    memmove(&w->pods[3], &w->pods[4], (w->view.pods_len - 4) * sizeof w->pods[0]);
    w->view.pods_len--;
    endpoints_plan_t out;
    endpoints_plan(&w->view, &w->arena, &out);
    cr_assert_eq(out.actions_len, 2);
    cr_assert_str_eq(object_meta_read(out.actions[1].object)->name, first);
    end_world(w);
    ASSERT_NO_LEAKS();
}

Test(endpoints_plan, a_retry_takes_the_same_name)
{
    world_t *w = new_world("");
    pod(w, "a", "10.1.0.1", READY);
    endpoints_plan_t one, two;
    endpoints_plan(&w->view, &w->arena, &one);
    endpoints_plan(&w->view, &w->arena, &two);
    cr_assert_str_eq(object_meta_read(one.actions[1].object)->name,
                     object_meta_read(two.actions[1].object)->name);
    end_world(w);
    ASSERT_NO_LEAKS();
}

Test(endpoints_plan, a_service_without_selector_is_left_alone)
{
    world_t *w = new_world("");
    w->service->spec->n_selector = 0;
    pod(w, "a", "10.1.0.1", READY);
    EXPECT_PLAN(w, "nothing to do\n");
    end_world(w);
    ASSERT_NO_LEAKS();
}

Test(endpoints_plan, what_belongs_to_a_gone_service_goes)
{
    world_t *w = new_world("");
    pod(w, "a", "10.1.0.1", READY);
    plan(w, true);
    w->view.service = NULL;
    EXPECT_PLAN(w, "delete endpoints\ndelete slice\n");
    end_world(w);
    ASSERT_NO_LEAKS();
}

Test(endpoints_plan, labels_of_the_service_go_along)
{
    world_t *w = new_world("metadata.labels[team]=x; spec.clusterIP=None");
    plan(w, true);
    cr_assert_str_eq(object_label(&w->view.endpoints->base, "team"), "x");
    cr_assert_str_eq(object_label(&w->view.endpoints->base, "service.kubernetes.io/headless"), "");
    cr_assert_str_eq(object_label(&w->slices[0]->base, "kubernetes.io/service-name"), "web");
    cr_assert_str_eq(w->slices[0]->metadata->ownerreferences[0]->uid, "u-svc");
    end_world(w);
    ASSERT_NO_LEAKS();
}

// Whatever comes and goes: obeying settles at once, and every slice endpoint is a pod that counts.
Test(endpoints_plan, obeying_converges)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        rng_t rng;
        rng_init(&rng, seed);
        world_t *w = new_world(rng_chance(&rng, 0.3) ? "spec.ports[0].targetPort=http" : "");
        for (int round = 0; round < 8; round++) {
            w->view.pods_len = 0;
            size_t len = rng_below(&rng, 240), counted = 0;
            for (size_t i = 0; i < len; i++) {
                bool ready = rng_chance(&rng, 0.7);
                counted++;
                pod(w, arena_printf(&w->arena, "p%03zu", i),
                    arena_printf(&w->arena, "10.2.%zu.%zu", i / 250, i % 250),
                    arena_printf(&w->arena,
                                 "%s spec.containers[0].ports[0].name=http; "
                                 "spec.containers[0].ports[0].containerPort=%d",
                                 ready ? READY : "", 80 + (int)rng_below(&rng, 2)));
            }
            plan(w, true);
            const char *again = plan(w, false);
            cr_assert_str_eq(again, "nothing to do\n", "seed %llu: %s", (unsigned long long)seed,
                             again);
            size_t held = 0;
            for (size_t i = 0; i < w->view.slices_len; i++) held += w->slices[i]->n_endpoints;
            cr_assert_eq(held, counted);
        }
        end_world(w);
    }
    ASSERT_NO_LEAKS();
}

Test(canary, asserts_are_alive, .signal = SIGABRT)
{ endpoints_plan(&(endpoints_view_t){0}, NULL, NULL); }
