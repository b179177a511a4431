// gc_plan: objects and what happens to them go in as a story, the plan comes out as text.
#include "actors/controllers/gc_plan.h"
#include "k8s/apps_v1.pb-c.h"
#include "k8s/core_v1.pb-c.h"
#include "runtime/base/rng.h"
#include "tests/support/build.h"
#include "tests/support/leaks.h"
#include <criterion/criterion.h>
#include <signal.h>

typedef struct {
    arena_t arena;
    gc_graph_t g;
    map_t records; // name -> record_t, as the cache has it
    text_t touched;
    int64_t revision;
} world_t;

static void note_touch(void *arg, const char *uid) {
    text_addf(&((world_t *)arg)->touched, "%s ", uid);
}

// A ReplicaSet (rs…) or Pod named like its uid; `more` as in build.
static void put(world_t *w, const char *name, const char *more) {
    bool is_set = has_prefix(name, "rs");
    const kind_t *k = is_set ? kind_find("apps", "v1", "ReplicaSet") : kind_find("", "v1", "Pod");
    void *obj = build(&w->arena, k->type, "metadata.namespace=default");
    build_into(&w->arena, obj,
               arena_printf(&w->arena,
                            "metadata.name=%s; metadata.uid=%s; metadata.resourceVersion=%lld; %s",
                            name, name, (long long)++w->revision, more));
    record_t *was = map_get(&w->records, name), *is = record_new(obj);
    map_put(&w->records, name, is);
    gc_graph_change(&w->g, k, was, is, note_touch, w);
    record_unref(&was);
}

static void gone(world_t *w, const char *name) {
    record_t *was = map_remove(&w->records, name);
    gc_graph_change(&w->g,
                    has_prefix(name, "rs") ? kind_find("apps", "v1", "ReplicaSet")
                                           : kind_find("", "v1", "Pod"),
                    was, NULL, note_touch, w);
    record_unref(&was);
}

static const char *plan(world_t *w, const char *uid) {
    gc_plan_t out;
    gc_plan(&w->g, uid, &w->arena, &out);
    text_t text = {.arena = &w->arena};
    gc_plan_print(&out, &text);
    return text_str(&text);
}

#define EXPECT(w, uid, expected)                        \
    do {                                                \
        const char *got_ = plan((w), (uid));            \
        cr_assert_str_eq(got_, (expected), "%s", got_); \
    } while (0)

static void end_world(world_t *w) {
    size_t at = 0;
    const char *name;
    void *r;
    while (map_next(&w->records, &at, &name, &r)) record_unref((record_t **)&r);
    map_done(&w->records);
    gc_graph_done(&w->g);
    text_done(&w->touched);
    arena_done(&w->arena);
}

#define OWNED_BY(i, name)                                                                        \
    "metadata.ownerReferences[" #i "].apiVersion=apps/v1; metadata.ownerReferences[" #i          \
    "].kind=ReplicaSet;"                                                                         \
    "metadata.ownerReferences[" #i "].name=" name "; metadata.ownerReferences[" #i "].uid=" name \
    ";"                                                                                          \
    "metadata.ownerReferences[" #i "].blockOwnerDeletion=true;"
#define DELETING(finalizer) "metadata.deletionTimestamp=5; metadata.finalizers[0]=" finalizer ";"

Test(gc_plan, with_its_owner_there_nothing_is_done)
{
    world_t w = {0};
    put(&w, "rs1", "");
    put(&w, "p1", OWNED_BY(0, "rs1"));
    EXPECT(&w, "p1", "nothing to do\n");
    end_world(&w);
    ASSERT_NO_LEAKS();
}

Test(gc_plan, a_missing_owner_is_looked_for_before_anything_is_collected)
{
    world_t w = {0};
    put(&w, "p1", OWNED_BY(0, "rs1"));
    EXPECT(&w, "p1", "look for ReplicaSet rs1\n");
    gc_graph_set_absent(&w.g, "rs1");
    EXPECT(&w, "p1", "delete p1 Background\n");
    end_world(&w);
    ASSERT_NO_LEAKS();
}

Test(gc_plan, dependents_are_touched_when_their_owner_goes)
{
    world_t w = {0};
    put(&w, "rs1", "");
    put(&w, "p1", OWNED_BY(0, "rs1"));
    put(&w, "p2", OWNED_BY(0, "rs1"));
    text_reset(&w.touched);
    gone(&w, "rs1");
    cr_assert_str_eq(text_str(&w.touched), "p1 p2 ");
    end_world(&w);
    ASSERT_NO_LEAKS();
}

Test(gc_plan, one_owner_left_is_enough_and_the_dead_reference_goes)
{
    world_t w = {0};
    put(&w, "rs2", "");
    put(&w, "p1", OWNED_BY(0, "rs1") OWNED_BY(1, "rs2"));
    gc_graph_set_absent(&w.g, "rs1");
    EXPECT(
        &w, "p1",
        "patch p1 "
        "{\"metadata\":{\"ownerReferences\":[{\"apiVersion\":\"apps/v1\",\"kind\":\"ReplicaSet\","
        "\"name\":\"rs2\",\"uid\":\"rs2\",\"blockOwnerDeletion\":true}]}}\n");
    end_world(&w);
    ASSERT_NO_LEAKS();
}

Test(gc_plan, an_owner_in_another_namespace_is_no_owner)
{
    world_t w = {0};
    put(&w, "rs1", "metadata.namespace=elsewhere");
    put(&w, "p1", OWNED_BY(0, "rs1"));
    EXPECT(&w, "p1", "look for ReplicaSet rs1\n");
    end_world(&w);
    ASSERT_NO_LEAKS();
}

Test(gc_plan, an_owner_of_a_kind_nobody_knows_is_left_in_peace)
{
    world_t w = {0};
    put(&w, "p1", OWNED_BY(0, "x") "metadata.ownerReferences[0].apiVersion=foo.io/v1");
    EXPECT(&w, "p1", "nothing to do\n");
    end_world(&w);
    ASSERT_NO_LEAKS();
}

Test(gc_plan, foreground_waits_for_those_that_block)
{
    world_t w = {0};
    put(&w, "rs1", DELETING("foregroundDeletion"));
    put(&w, "p1", OWNED_BY(0, "rs1"));
    EXPECT(&w, "rs1", "nothing to do\n");
    EXPECT(&w, "p1", "delete p1 Background\n");
    text_reset(&w.touched);
    gone(&w, "p1");
    cr_assert_str_eq(text_str(&w.touched), "rs1 ");
    EXPECT(&w, "rs1", "patch rs1 {\"metadata\":{\"finalizers\":[]}}\n");
    end_world(&w);
    ASSERT_NO_LEAKS();
}

Test(gc_plan, a_dependent_with_dependents_goes_foreground_too)
{
    world_t w = {0};
    put(&w, "rs1", DELETING("foregroundDeletion"));
    put(&w, "rs2", OWNED_BY(0, "rs1"));
    put(&w, "p1", OWNED_BY(0, "rs2"));
    EXPECT(&w, "rs2", "delete rs2 Foreground\n");
    end_world(&w);
    ASSERT_NO_LEAKS();
}

Test(gc_plan, a_circle_of_waiting_owners_is_cut)
{
    world_t w = {0};
    put(&w, "rs1", DELETING("foregroundDeletion") OWNED_BY(0, "rs2"));
    put(&w, "rs2", DELETING("foregroundDeletion") OWNED_BY(0, "rs1"));
    EXPECT(&w, "rs1", "patch rs1 {\"metadata\":{\"finalizers\":[]}}\n");
    end_world(&w);
    ASSERT_NO_LEAKS();
}

Test(gc_plan, orphaning_frees_the_dependents_first)
{
    world_t w = {0};
    put(&w, "rs1", DELETING("orphan"));
    put(&w, "p1", OWNED_BY(0, "rs1"));
    EXPECT(&w, "rs1", "patch p1 {\"metadata\":{\"ownerReferences\":[]}}\n");
    text_reset(&w.touched);
    put(&w, "p1", "");
    cr_assert_str_eq(text_str(&w.touched), "rs1 ");
    EXPECT(&w, "rs1", "patch rs1 {\"metadata\":{\"finalizers\":[]}}\n");
    end_world(&w);
    ASSERT_NO_LEAKS();
}

Test(gc_plan, a_name_made_anew_is_another_object)
{
    world_t w = {0};
    put(&w, "rs1", "");
    put(&w, "p1", OWNED_BY(0, "rs1"));
    put(&w, "rs1", "metadata.uid=rs1-new");
    EXPECT(&w, "p1", "look for ReplicaSet rs1\n");
    end_world(&w);
    ASSERT_NO_LEAKS();
}

// Whatever comes and goes, obeying the plans leaves nobody whose owners are all gone.
Test(gc_plan, obeying_converges)
{
    for (uint64_t seed = 1; seed <= 100; seed++) {
        rng_t rng;
        rng_init(&rng, seed);
        world_t w = {0};
        for (int i = 0; i < 30; i++) {
            const char *name = arena_printf(&w.arena, rng_chance(&rng, 0.4) ? "rs%llu" : "p%llu",
                                            (unsigned long long)rng_below(&rng, 12));
            unsigned long long owner = rng_below(&rng, 12);
            if (rng_chance(&rng, 0.2) && map_get(&w.records, name))
                gone(&w, name);
            else if (!map_get(&w.records, name))
                put(&w, name,
                    rng_chance(&rng, 0.6)
                        ? arena_printf(&w.arena, OWNED_BY(0, "rs%llu"), owner, owner)
                        : "");
        }
        for (int round = 0; round < 40; round++) {
            const char **names = map_sorted_keys(&w.records);
            size_t len = map_len(&w.records);
            char **copies = ARENA_ARRAY(&w.arena, char *, len + 1);
            for (size_t i = 0; i < len; i++) copies[i] = arena_strdup(&w.arena, names[i]);
            free(names);
            for (size_t i = 0; i < len; i++) {
                gc_plan_t out;
                gc_plan(&w.g, copies[i], &w.arena, &out);
                for (size_t j = 0; j < out.actions_len; j++) {
                    if (out.actions[j].verb == GC_LOOK)
                        gc_graph_set_absent(&w.g, out.actions[j].owner->uid);
                    if (out.actions[j].verb == GC_DELETE) gone(&w, copies[i]);
                }
            }
        }
        size_t at = 0;
        const char *name;
        void *r;
        while (map_next(&w.records, &at, &name, &r)) {
            const Meta__ObjectMeta *meta = object_meta_read(((record_t *)r)->object);
            if (meta->n_ownerreferences)
                cr_assert_not_null(map_get(&w.records, meta->ownerreferences[0]->name),
                                   "seed %llu: %s", (unsigned long long)seed, name);
        }
        end_world(&w);
    }
    ASSERT_NO_LEAKS();
}

Test(canary, asserts_are_alive, .signal = SIGABRT)
{ gc_plan(NULL, NULL, NULL, NULL); }
