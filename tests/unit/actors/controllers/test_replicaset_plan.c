// replicaset_plan: a set and its pods go in, the plan comes out as text.
#include "actors/controllers/replicaset_plan.h"
#include "runtime/base/rng.h"
#include "tests/support/build.h"
#include "tests/support/leaks.h"
#include <criterion/criterion.h>
#include <signal.h>

enum { NOW_S = 1000, PODS_MAX = 300 };

typedef struct {
    arena_t arena;
    Apps__ReplicaSet *set;
    const Core__Pod *pods[PODS_MAX];
    replicaset_view_t view;
} world_t;

static world_t *new_world(int replicas, const char *more) {
    world_t *w = NEW(world_t);
    w->set = build(
        &w->arena, &apps__replica_set__descriptor,
        "metadata.name=web; metadata.namespace=default; metadata.uid=u-web; metadata.generation=1;"
        "spec.selector.matchLabels[app]=web; spec.template.metadata.labels[app]=web;"
        "spec.template.spec.containers[0].name=c; spec.template.spec.containers[0].image=nginx");
    build_into(&w->arena, w->set, arena_printf(&w->arena, "spec.replicas=%d; %s", replicas, more));
    w->view = (replicaset_view_t){.set = w->set,
                                  .pods = w->pods,
                                  .now_wall_ms = NOW_S * 1000,
                                  .seed = 7,
                                  .create_max = REPLICASET_BURST_MAX};
    return w;
}

static void end_world(world_t *w) {
    arena_done(&w->arena);
    free(w);
}

#define OWNED    "metadata.ownerReferences[0].uid=u-web; metadata.ownerReferences[0].controller=true;"
#define MATCHING "metadata.labels[app]=web;"
#define READY                                                                                  \
    "status.phase=Running; status.conditions[0].type=Ready; status.conditions[0].status=True;" \
    "status.conditions[0].lastTransitionTime=900;"
#define ON(node) "spec.nodeName=" node ";"

static Core__Pod *pod(world_t *w, const char *name, const char *more) {
    Core__Pod *p = build(&w->arena, &core__pod__descriptor,
                         "metadata.namespace=default; metadata.creationTimestamp=800");
    build_into(&w->arena, p,
               arena_printf(&w->arena, "metadata.name=%s; metadata.uid=u-%s; %s", name, name,
                            more));
    w->pods[w->view.pods_len++] = p;
    return p;
}

static const char *plan(world_t *w) {
    replicaset_plan_t out;
    replicaset_plan(&w->view, &w->arena, &out);
    text_t text = {.arena = &w->arena};
    replicaset_plan_print(&out, &text);
    return text_str(&text);
}

#define EXPECT_PLAN(w, expected)                        \
    do {                                                \
        const char *got_ = plan(w);                     \
        cr_assert_str_eq(got_, (expected), "%s", got_); \
    } while (0)

Test(replicaset_plan, missing_pods_are_made_and_named)
{
    world_t *w = new_world(2, "");
    const char *names[] = {"web-aaaaa", "web-bbbbb"};
    w->view.names_kept = names;
    w->view.names_kept_len = 2;
    EXPECT_PLAN(w, "create web-aaaaa\ncreate web-bbbbb\nstatus 0 replicas, 0 labelled, 0 ready, 0 "
                   "available\n");
    end_world(w);
    ASSERT_NO_LEAKS();
}

Test(replicaset_plan, a_made_pod_has_the_templates_face_and_its_owner)
{
    world_t *w = new_world(1, "");
    replicaset_plan_t out;
    replicaset_plan(&w->view, &w->arena, &out);
    cr_assert_eq(out.actions_len, 1);
    const Core__Pod *made = out.actions[0].made;
    cr_assert_eq(strncmp(made->metadata->name, "web-", 4), 0);
    cr_assert_eq(strlen(made->metadata->name), 9);
    cr_assert_str_eq(made->metadata->generatename, "web-");
    cr_assert_str_eq(made->metadata->labels[0]->value, "web");
    cr_assert_str_eq(made->metadata->ownerreferences[0]->uid, "u-web");
    cr_assert_str_eq(made->spec->containers[0]->image, "nginx");
    end_world(w);
    ASSERT_NO_LEAKS();
}

Test(replicaset_plan, a_kept_name_that_is_there_by_now_is_not_used_again)
{
    world_t *w = new_world(2, "");
    const char *names[] = {"web-aaaaa", "web-bbbbb"};
    w->view.names_kept = names;
    w->view.names_kept_len = 2;
    pod(w, "web-aaaaa", OWNED MATCHING);
    EXPECT_PLAN(w, "create web-bbbbb\nstatus 1 replicas, 1 labelled, 0 ready, 0 available\n");
    end_world(w);
    ASSERT_NO_LEAKS();
}

Test(replicaset_plan, orphans_that_match_are_adopted_and_counted)
{
    world_t *w = new_world(1, "");
    pod(w, "stray", MATCHING);
    pod(w, "other", "metadata.labels[app]=other");
    pod(w, "leaving", MATCHING "metadata.deletionTimestamp=900");
    EXPECT_PLAN(w, "adopt stray\nstatus 1 replicas, 1 labelled, 0 ready, 0 available\n");
    end_world(w);
    ASSERT_NO_LEAKS();
}

Test(replicaset_plan, pods_that_no_longer_match_are_released_and_replaced)
{
    world_t *w = new_world(1, "");
    const char *names[] = {"web-new"};
    w->view.names_kept = names;
    w->view.names_kept_len = 1;
    pod(w, "renamed", OWNED "metadata.labels[app]=debug");
    EXPECT_PLAN(
        w,
        "release renamed\ncreate web-new\nstatus 0 replicas, 0 labelled, 0 ready, 0 available\n");
    end_world(w);
    ASSERT_NO_LEAKS();
}

Test(replicaset_plan, a_set_that_leaves_does_nothing_but_tell_its_status)
{
    world_t *w = new_world(3, "metadata.deletionTimestamp=900");
    pod(w, "a", OWNED MATCHING READY);
    pod(w, "stray", MATCHING);
    EXPECT_PLAN(w, "status 1 replicas, 1 labelled, 1 ready, 1 available\n");
    end_world(w);
    ASSERT_NO_LEAKS();
}

Test(replicaset_plan, a_leaving_pod_is_replaced_and_is_no_victim)
{
    world_t *w = new_world(1, "");
    pod(w, "a", OWNED MATCHING READY);
    pod(w, "b", OWNED MATCHING READY "metadata.deletionTimestamp=900");
    pod(w, "c", OWNED MATCHING "status.phase=Failed");
    EXPECT_PLAN(w, "status 1 replicas, 1 labelled, 1 ready, 1 available\n");
    end_world(w);
    ASSERT_NO_LEAKS();
}

// Two pods, one must go: which?
typedef struct {
    const char *name, *goes, *stays;
} rank_row_t;
static const rank_row_t ranks[] = {
    {"unassigned before assigned", "", ON("n")},
    {"pending before running", ON("n") "status.phase=Pending", ON("n") "status.phase=Running"},
    {"not ready before ready", ON("n") "status.phase=Running", ON("n") READY},
    {"cheaper before dearer",
     ON("n") READY "metadata.annotations[controller.kubernetes.io/pod-deletion-cost]=-1",
     ON("n") READY},
    {"ready for a shorter time first",
     ON("n") "status.phase=Running; status.conditions[0].type=Ready;"
             "status.conditions[0].status=True; status.conditions[0].lastTransitionTime=950",
     ON("n") READY},
    {"more restarts first", ON("n") READY "status.containerStatuses[0].restartCount=3",
     ON("n") READY},
    {"younger before older", ON("n") READY "metadata.creationTimestamp=850", ON("n") READY},
};

Test(replicaset_plan, victims_are_ranked)
{
    for (size_t i = 0; i < LENGTH_OF(ranks); i++) {
        for (int turned = 0; turned < 2; turned++) {
            world_t *w = new_world(1, "");
            if (turned)
                pod(w, "stays", arena_printf(&w->arena, OWNED MATCHING "%s", ranks[i].stays));
            pod(w, "goes", arena_printf(&w->arena, OWNED MATCHING "%s", ranks[i].goes));
            if (!turned)
                pod(w, "stays", arena_printf(&w->arena, OWNED MATCHING "%s", ranks[i].stays));
            cr_expect_eq(strncmp(plan(w), "delete goes\n", 12), 0, "%s: %s", ranks[i].name,
                         plan(w));
            end_world(w);
        }
    }
    ASSERT_NO_LEAKS();
}

Test(replicaset_plan, of_pods_alike_the_doubled_up_one_goes)
{
    world_t *w = new_world(2, "");
    pod(w, "a", OWNED MATCHING READY ON("n1"));
    pod(w, "b", OWNED MATCHING READY ON("n2"));
    pod(w, "c", OWNED MATCHING READY ON("n2"));
    cr_assert_eq(strncmp(plan(w), "delete b\n", 9), 0, "%s", plan(w));
    end_world(w);
    ASSERT_NO_LEAKS();
}

Test(replicaset_plan, a_ready_pod_is_available_after_its_time)
{
    world_t *w = new_world(1, "spec.minReadySeconds=130");
    pod(w, "a", OWNED MATCHING READY);
    EXPECT_PLAN(w, "status 1 replicas, 1 labelled, 1 ready, 0 available\nagain in 30000 ms\n");
    w->view.now_wall_ms += 30000;
    EXPECT_PLAN(w, "status 1 replicas, 1 labelled, 1 ready, 1 available\n");
    end_world(w);
    ASSERT_NO_LEAKS();
}

Test(replicaset_plan, a_refused_creation_is_told_in_the_status_and_tried_one_at_a_time)
{
    world_t *w = new_world(3, "");
    w->view.create_max = 1;
    w->view.create_failure = "exceeded quota";
    const char *names[] = {"web-x"};
    w->view.names_kept = names;
    w->view.names_kept_len = 1;
    EXPECT_PLAN(w, "create web-x\nand more\nstatus 0 replicas, 0 labelled, 0 ready, 0 available, "
                   "ReplicaFailure: "
                   "exceeded quota\n");
    end_world(w);
    ASSERT_NO_LEAKS();
}

Test(replicaset_plan, a_plan_is_bounded)
{
    world_t *w = new_world(100000, "");
    replicaset_plan_t out;
    replicaset_plan(&w->view, &w->arena, &out);
    cr_assert_eq(out.actions_len, REPLICASET_BURST_MAX);
    cr_assert(out.cut);
    end_world(w);
    ASSERT_NO_LEAKS();
}

// Whatever the start, obeying reaches the wish, and then the plan is empty.
Test(replicaset_plan, obeying_converges)
{
    static const char *const kinds[] = {OWNED MATCHING,
                                        OWNED MATCHING READY ON("n1"),
                                        MATCHING,
                                        OWNED,
                                        "metadata.labels[app]=x;",
                                        OWNED MATCHING "status.phase=Failed;",
                                        OWNED MATCHING "metadata.deletionTimestamp=900;"};
    for (uint64_t seed = 1; seed <= 200; seed++) {
        rng_t rng;
        rng_init(&rng, seed);
        world_t *w = new_world((int)rng_below(&rng, 12), "");
        size_t len = rng_below(&rng, 20);
        for (size_t i = 0; i < len; i++)
            pod(w, arena_printf(&w->arena, "p%02zu", i), kinds[rng_below(&rng, LENGTH_OF(kinds))]);
        const char *last = "";
        for (int round = 0; round < 6; round++) {
            replicaset_plan_t out;
            w->view.seed = rng_next(&rng);
            replicaset_plan(&w->view, &w->arena, &out);
            for (size_t i = 0; i < out.actions_len; i++) {
                Core__Pod *p = (Core__Pod *)out.actions[i].pod;
                switch (out.actions[i].kind) {
                case REPLICASET_CREATE: w->pods[w->view.pods_len++] = out.actions[i].made; break;
                case REPLICASET_DELETE:
                    build_into(&w->arena, p, "metadata.deletionTimestamp=950");
                    break;
                case REPLICASET_ADOPT: build_into(&w->arena, p, OWNED); break;
                case REPLICASET_RELEASE: p->metadata->n_ownerreferences = 0; break;
                }
            }
            if (out.status) w->set->status = out.status;
            last = plan(w);
        }
        cr_assert_str_eq(last, "nothing to do\n", "seed %llu: %s", (unsigned long long)seed, last);
        cr_assert_eq(w->set->status->replicas, w->set->spec->replicas);
        end_world(w);
    }
    ASSERT_NO_LEAKS();
}

Test(canary, asserts_are_alive, .signal = SIGABRT)
{ replicaset_plan(&(replicaset_view_t){0}, NULL, NULL); }
