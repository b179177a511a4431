// deployment_plan: a deployment and its sets go in, the plan comes out as text.
#include "actors/controllers/deployment_plan.h"
#include "runtime/api/kinds.h"
#include "runtime/base/rng.h"
#include "tests/support/build.h"
#include "tests/support/leaks.h"
#include <criterion/criterion.h>
#include <signal.h>

enum { NOW_S = 1000, SETS_MAX = 40 };

typedef struct {
    arena_t arena;
    Apps__Deployment *d;
    const Apps__ReplicaSet *sets[SETS_MAX];
    deployment_view_t view;
} world_t;

static world_t *new_world(int replicas, const char *more) {
    world_t *w = NEW(world_t);
    w->d = build(
        &w->arena, &apps__deployment__descriptor,
        "metadata.name=web; metadata.namespace=default; metadata.uid=u-web; metadata.generation=1;"
        "spec.selector.matchLabels[app]=web; spec.template.metadata.labels[app]=web;"
        "spec.template.spec.containers[0].name=c; spec.template.spec.containers[0].image=v2;"
        "spec.strategy.type=RollingUpdate; spec.strategy.rollingUpdate.maxSurge=25%;"
        "spec.strategy.rollingUpdate.maxUnavailable=25%; spec.revisionHistoryLimit=10;"
        "spec.progressDeadlineSeconds=600");
    build_into(&w->arena, w->d, arena_printf(&w->arena, "spec.replicas=%d; %s", replicas, more));
    w->view = (deployment_view_t){.deployment = w->d, .sets = w->sets, .now_wall_ms = NOW_S * 1000};
    return w;
}

static void end_world(world_t *w) {
    arena_done(&w->arena);
    free(w);
}

// A set of ours with so many pods wanted, present and available.
static Apps__ReplicaSet *set(world_t *w, const char *name, const char *image, int wanted,
                             int available, const char *more) {
    Apps__ReplicaSet *s =
        build(&w->arena, &apps__replica_set__descriptor,
              "metadata.namespace=default; metadata.labels[app]=web; "
              "metadata.labels[pod-template-hash]=h;"
              "metadata.ownerReferences[0].uid=u-web; metadata.ownerReferences[0].controller=true;"
              "spec.template.metadata.labels[app]=web; "
              "spec.template.metadata.labels[pod-template-hash]=h;"
              "spec.template.spec.containers[0].name=c");
    build_into(
        &w->arena, s,
        arena_printf(
            &w->arena,
            "metadata.name=%s; metadata.uid=u-%s; metadata.creationTimestamp=%zu;"
            "spec.template.spec.containers[0].image=%s; spec.replicas=%d; status.replicas=%d;"
            "status.readyReplicas=%d; status.availableReplicas=%d; %s",
            name, name, 500 + w->view.sets_len, image, wanted, wanted, available, available, more));
    w->sets[w->view.sets_len++] = s;
    return s;
}

#define SIZES(desired, maximum)                                                    \
    "metadata.annotations[deployment.kubernetes.io/desired-replicas]=" desired ";" \
    "metadata.annotations[deployment.kubernetes.io/max-replicas]=" maximum ";"
#define REV(n) "metadata.annotations[deployment.kubernetes.io/revision]=" n ";"

static void plan_to(world_t *w, text_t *text, bool actions_only) {
    deployment_plan_t out;
    deployment_plan(&w->view, &w->arena, &out);
    if (actions_only) {
        out.status = NULL;
        out.again_in_ms = INT64_MAX;
    }
    deployment_plan_print(&out, text);
}

#define EXPECT(w, actions_only, expected)                                     \
    do {                                                                      \
        text_t got_ = {.arena = &(w)->arena};                                 \
        plan_to((w), &got_, (actions_only));                                  \
        cr_assert_str_eq(text_str(&got_), (expected), "%s", text_str(&got_)); \
    } while (0)

static const char *hash_of(world_t *w, int collisions) {
    return deployment_template_hash(&w->arena, w->d->spec->template_, collisions);
}

Test(deployment_plan, a_new_deployment_makes_its_first_set)
{
    world_t *w = new_world(3, "");
    EXPECT(w, false,
           arena_printf(
               &w->arena,
               "create web-%s with 3\n"
               "annotate "
               "{\"metadata\":{\"annotations\":{\"deployment.kubernetes.io/revision\":\"1\"}}}\n"
               "status 0/0 updated, 0 ready, 0 available, 0 not; Available=False "
               "MinimumReplicasUnavailable; "
               "Progressing=True NewReplicaSetCreated\nagain in 600000 ms\n",
               hash_of(w, 0)));
    end_world(w);
    ASSERT_NO_LEAKS();
}

Test(deployment_plan, a_made_set_has_the_hash_in_name_labels_and_selector)
{
    world_t *w =
        new_world(3, "metadata.annotations[note]=x; "
                     "metadata.annotations[kubectl.kubernetes.io/last-applied-configuration]=y");
    deployment_plan_t out;
    deployment_plan(&w->view, &w->arena, &out);
    const Apps__ReplicaSet *made = out.actions[0].made;
    const char *hash = hash_of(w, 0);
    cr_assert_str_eq(made->metadata->name, arena_printf(&w->arena, "web-%s", hash));
    cr_assert_str_eq(object_label(&made->base, "pod-template-hash"), hash);
    cr_assert_str_eq(object_label(&made->base, "app"), "web");
    cr_assert_eq(made->spec->selector->n_matchlabels, 2);
    cr_assert_str_eq(made->spec->selector->matchlabels[1]->value, hash);
    cr_assert_eq(made->spec->template_->metadata->n_labels, 2);
    cr_assert_str_eq(object_annotation(&made->base, "note"), "x");
    cr_assert_null(
        object_annotation(&made->base, "kubectl.kubernetes.io/last-applied-configuration"));
    cr_assert_str_eq(object_annotation(&made->base, "deployment.kubernetes.io/revision"), "1");
    cr_assert_str_eq(object_annotation(&made->base, "deployment.kubernetes.io/desired-replicas"),
                     "3");
    cr_assert_str_eq(object_annotation(&made->base, "deployment.kubernetes.io/max-replicas"), "4");
    cr_assert_str_eq(made->metadata->ownerreferences[0]->kind, "Deployment");
    end_world(w);
    ASSERT_NO_LEAKS();
}

Test(deployment_plan, the_hash_is_words_free_and_moves_with_template_and_collisions)
{
    world_t *w = new_world(1, "");
    const char *first = hash_of(w, 0);
    cr_assert_eq(strspn(first, "bcdfghjklmnpqrstvwxz2456789"), strlen(first));
    cr_assert_str_neq(first, hash_of(w, 1));
    build_into(&w->arena, w->d, "spec.template.spec.containers[0].image=v3");
    cr_assert_str_neq(first, hash_of(w, 0));
    end_world(w);
    ASSERT_NO_LEAKS();
}

Test(deployment_plan, a_set_is_found_by_its_template_whatever_its_hash)
{
    world_t *w = new_world(3, REV("1"));
    set(w, "web-odd", "v2", 3, 3, SIZES("3", "4") REV("1"));
    EXPECT(w, true, "nothing to do\n");
    end_world(w);
    ASSERT_NO_LEAKS();
}

// One step of a rollout: what is done for a state of old and new set.
typedef struct {
    const char *name;
    int replicas;
    int old_wanted, old_available, new_wanted, new_available; // new_wanted < 0: no new set yet
    const char *expected;                                     // %s: the made set's hash
} step_t;
static const step_t steps[] = {
    {"a new template makes a new set within the surge", 4, 4, 4, -1, 0, "create web-%s with 1\n"},
    {"old pods give way for those that may be away", 4, 4, 4, 1, 0, "scale old 4 -> 3\n"},
    {"nothing goes on while the new one is not available", 4, 3, 3, 1, 0, "scale new 1 -> 2\n"},
    {"then waits", 4, 3, 3, 2, 0, "nothing to do\n"},
    {"an available new pod lets an old one go", 4, 3, 3, 2, 1, "scale old 3 -> 2\n"},
    {"and so on", 4, 2, 2, 2, 2, "scale new 2 -> 3\n"},
    {"the last old ones go", 4, 1, 1, 4, 4, "scale old 1 -> 0\n"},
    {"done", 4, 0, 0, 4, 4, "nothing to do\n"},
    {"old pods that do not serve go first", 10, 10, 6, 3, 0, "scale old 10 -> 8\n"},
    {"one replica: surge is one, unavailable none", 1, 1, 1, 1, 0, "nothing to do\n"},
    {"one replica, new available", 1, 1, 1, 1, 1, "scale old 1 -> 0\n"},
};

Test(deployment_plan, rolling_steps)
{
    for (size_t i = 0; i < LENGTH_OF(steps); i++) {
        const step_t *s = &steps[i];
        world_t *w = new_world(s->replicas, s->new_wanted < 0 ? REV("2") : REV("2"));
        int max = s->replicas + (s->replicas + 3) / 4;
        const char *sizes =
            arena_printf(&w->arena,
                         "metadata.annotations[deployment.kubernetes.io/desired-replicas]=%d;"
                         "metadata.annotations[deployment.kubernetes.io/max-replicas]=%d;",
                         s->replicas, max);
        set(w, "old", "v1", s->old_wanted, s->old_available,
            arena_printf(&w->arena, "%s" REV("1"), sizes));
        if (s->new_wanted >= 0)
            set(w, "new", "v2", s->new_wanted, s->new_available,
                arena_printf(&w->arena, "%s" REV("2"), sizes));
        text_t got = {.arena = &w->arena};
        plan_to(w, &got, true);
        const char *expected = arena_printf(&w->arena, s->expected, hash_of(w, 0));
        cr_expect_str_eq(text_str(&got), expected, "%s: %s", s->name, text_str(&got));
        end_world(w);
    }
    ASSERT_NO_LEAKS();
}

Test(deployment_plan, going_back_takes_the_old_set_and_a_new_revision)
{
    world_t *w = new_world(2, REV("2"));
    set(w, "first", "v2", 0, 0, SIZES("2", "3") REV("1"));
    set(w, "second", "v1", 2, 2, SIZES("2", "3") REV("2"));
    EXPECT(w, true,
           "scale first 0 -> 1\n"
           "annotate "
           "{\"metadata\":{\"annotations\":{\"deployment.kubernetes.io/revision\":\"3\"}}}\n");
    deployment_plan_t out;
    deployment_plan(&w->view, &w->arena, &out);
    cr_assert_str_eq(
        out.actions[0].json,
        "{\"metadata\":{\"annotations\":{\"deployment.kubernetes.io/revision-history\":\"1\","
        "\"deployment.kubernetes.io/revision\":\"3\"}},\"spec\":{\"replicas\":1}}");
    end_world(w);
    ASSERT_NO_LEAKS();
}

Test(deployment_plan, recreate_waits_for_the_last_old_pod)
{
    world_t *w = new_world(2, REV("2") "spec.strategy.type=Recreate");
    Apps__ReplicaSet *old = set(w, "old", "v1", 2, 2, SIZES("2", "2") REV("1"));
    EXPECT(w, true, "scale old 2 -> 0\n");
    old->spec->replicas = 0;
    old->status->replicas = 0;
    w->view.old_pods_len = 1;
    EXPECT(w, true, "nothing to do\n");
    w->view.old_pods_len = 0;
    EXPECT(w, true, arena_printf(&w->arena, "create web-%s with 2\n", hash_of(w, 0)));
    end_world(w);
    ASSERT_NO_LEAKS();
}

Test(deployment_plan, a_resize_in_mid_rollout_is_shared_in_proportion)
{
    world_t *w = new_world(20, REV("2"));
    set(w, "old", "v1", 8, 8, SIZES("10", "13") REV("1"));
    set(w, "new", "v2", 5, 2, SIZES("10", "13") REV("2"));
    EXPECT(w, true, "scale old 8 -> 15\nscale new 5 -> 10\n");
    end_world(w);
    ASSERT_NO_LEAKS();
}

Test(deployment_plan, paused_it_scales_but_does_not_roll)
{
    world_t *w = new_world(5, REV("1") "spec.paused=true");
    set(w, "old", "v1", 3, 3, SIZES("3", "4") REV("1"));
    EXPECT(w, false,
           "scale old 3 -> 5\nstatus 0/3 updated, 3 ready, 3 available, 0 not; "
           "Available=False MinimumReplicasUnavailable; Progressing=Unknown DeploymentPaused\n");
    end_world(w);
    ASSERT_NO_LEAKS();
}

Test(deployment_plan, scaled_to_zero_and_back)
{
    world_t *w = new_world(0, REV("1"));
    set(w, "new", "v2", 3, 3, SIZES("3", "4") REV("1"));
    EXPECT(w, true, "scale new 3 -> 0\n");
    end_world(w);
    ASSERT_NO_LEAKS();
}

Test(deployment_plan, spent_history_goes_oldest_first)
{
    world_t *w = new_world(
        1,
        REV("4") "spec.revisionHistoryLimit=1; status.updatedReplicas=1; status.replicas=1; "
                 "status.availableReplicas=1; status.readyReplicas=1; status.observedGeneration=1");
    set(w, "c", "v1c", 0, 0, REV("3"));
    set(w, "a", "v1a", 0, 0, REV("1"));
    set(w, "b", "v1b", 0, 0, REV("2"));
    set(w, "new", "v2", 1, 1, SIZES("1", "2") REV("4"));
    EXPECT(w, true, "delete a\ndelete b\n");
    end_world(w);
    ASSERT_NO_LEAKS();
}

Test(deployment_plan, a_collision_changes_the_name_and_is_counted)
{
    world_t *w = new_world(1, REV("1"));
    w->view.collisions = 1;
    deployment_plan_t out;
    deployment_plan(&w->view, &w->arena, &out);
    cr_assert_str_eq(out.actions[0].made->metadata->name,
                     arena_printf(&w->arena, "web-%s", hash_of(w, 1)));
    cr_assert_eq(out.status->collisioncount, 1);
    end_world(w);
    ASSERT_NO_LEAKS();
}

Test(deployment_plan, an_empty_selector_is_said_and_nothing_done)
{
    world_t *w = new_world(1, "");
    w->d->spec->selector->n_matchlabels = 0;
    EXPECT(w, false, "selects everything\n");
    end_world(w);
    ASSERT_NO_LEAKS();
}

Test(deployment_plan, a_rollout_that_does_not_move_is_told_after_its_deadline)
{
    world_t *w = new_world(
        1, REV("1") "status.replicas=1; status.updatedReplicas=1; status.unavailableReplicas=1; "
                    "status.observedGeneration=1;"
                    "status.conditions[0].type=Available; status.conditions[0].status=False;"
                    "status.conditions[0].reason=MinimumReplicasUnavailable;"
                    "status.conditions[1].type=Progressing; status.conditions[1].status=True;"
                    "status.conditions[1].reason=ReplicaSetUpdated; "
                    "status.conditions[1].lastUpdateTime=500");
    set(w, "new", "v2", 1, 0, SIZES("1", "2") REV("1"));
    EXPECT(w, false, "again in 100000 ms\n");
    w->view.now_wall_ms += 100000;
    EXPECT(w, false,
           "status 1/1 updated, 0 ready, 0 available, 1 not; Available=False "
           "MinimumReplicasUnavailable; "
           "Progressing=False ProgressDeadlineExceeded\n");
    end_world(w);
    ASSERT_NO_LEAKS();
}

Test(deployment_plan, done_it_says_so_and_keeps_saying_so)
{
    world_t *w = new_world(1, REV("1"));
    set(w, "new", "v2", 1, 1, SIZES("1", "2") REV("1"));
    deployment_plan_t out;
    deployment_plan(&w->view, &w->arena, &out);
    w->d->status = out.status;
    EXPECT(w, false, "nothing to do\n");
    cr_assert_str_eq(out.status->conditions[1]->reason, "NewReplicaSetAvailable");
    cr_assert_str_eq(out.status->conditions[1]->message,
                     "ReplicaSet \"new\" has successfully progressed.");
    end_world(w);
    ASSERT_NO_LEAKS();
}

// Whatever the start, obeying reaches one set of the wanted size, and on the way there are never
// fewer available pods than promised, nor more pods than allowed.
Test(deployment_plan, obeying_converges_within_its_fences)
{
    for (uint64_t seed = 1; seed <= 120; seed++) {
        rng_t rng;
        rng_init(&rng, seed);
        int wanted = (int)rng_below(&rng, 12);
        world_t *w = new_world(wanted, "");
        int surge = (wanted + 3) / 4, away = wanted / 4;
        if (!surge && !away) away = 1;
        set(w, "old", "v1", wanted, wanted,
            arena_printf(&w->arena, SIZES("%d", "%d") REV("1"), wanted, wanted + surge));
        bool settled = false, changed = true;
        for (int round = 0; round < 200 && !settled; round++) {
            deployment_plan_t out;
            deployment_plan(&w->view, &w->arena, &out);
            settled = !changed && !out.actions_len && !out.status;
            changed = false;
            for (size_t i = 0; i < out.actions_len; i++) {
                const deployment_action_t *a = &out.actions[i];
                Apps__ReplicaSet *s =
                    a->kind == DEPLOYMENT_CREATE ? a->made : (Apps__ReplicaSet *)a->set;
                if (a->kind == DEPLOYMENT_CREATE) {
                    s->metadata->ownerreferences[0]->uid = "u-web";
                    s->metadata->uid = "u-new";
                    s->status = msg_new(&w->arena, &apps__replica_set_status__descriptor);
                    s->metadata->creationtimestamp = time_new(&w->arena, 900 * 1000);
                    w->sets[w->view.sets_len++] = s;
                } else if (a->kind == DEPLOYMENT_PATCH) {
                    s->spec->replicas = a->to;
                    if (s->status->availablereplicas > a->to) s->status->availablereplicas = a->to;
                    if (s->status->readyreplicas > a->to) s->status->readyreplicas = a->to;
                    if (s->metadata->name[0] == 'w') {
                        object_set_annotation(&w->arena, &s->base,
                                              "deployment.kubernetes.io/revision", "2");
                    }
                } else if (a->kind == DEPLOYMENT_ANNOTATE) {
                    object_set_annotation(&w->arena, &w->d->base,
                                          "deployment.kubernetes.io/revision", "2");
                }
            }
            if (out.status) w->d->status = out.status;
            // Some of the pods that are missing come up.
            int pods = 0, available = 0;
            for (size_t i = 0; i < w->view.sets_len; i++) {
                Apps__ReplicaSet *s = (Apps__ReplicaSet *)w->sets[i];
                s->status->replicas = s->spec->replicas;
                if (s->status->availablereplicas < s->spec->replicas) {
                    changed = true;
                    s->status->availablereplicas += rng_chance(&rng, 0.6);
                }
                s->status->readyreplicas = s->status->availablereplicas;
                pods += s->spec->replicas;
                available += s->status->availablereplicas;
            }
            cr_assert_leq(pods, wanted + surge, "seed %llu", (unsigned long long)seed);
            cr_assert_geq(available, wanted - away, "seed %llu", (unsigned long long)seed);
        }
        cr_assert(settled, "seed %llu", (unsigned long long)seed);
        cr_assert_eq(w->sets[0]->spec->replicas, 0);
        cr_assert_eq(w->sets[1]->spec->replicas, wanted);
        end_world(w);
    }
    ASSERT_NO_LEAKS();
}

Test(canary, asserts_are_alive, .signal = SIGABRT)
{ deployment_plan(&(deployment_view_t){0}, NULL, NULL); }
