// Lists and watches of the API server, and what holds when it is killed.
#include "tests/support/api_rig.h"
#include "tests/support/leaks.h"

#define POD(name)                                        \
    "{kind: Pod, apiVersion: v1, metadata: {name: " name \
    ", labels: {app: x}}, spec: {containers: [{name: c, image: nginx}]}}"
#define CONFIG(name, value) \
    "{kind: ConfigMap, apiVersion: v1, metadata: {name: " name "}, data: {k: \"" value "\"}}"
#define ANY_LIST (&(Api__List)API__LIST__INIT)

static void make_configs(api_rig_t *rig, int count) {
    for (int i = 0; i < count; i++) {
        char text[160];
        snprintf(
            text, sizeof text,
            "{kind: ConfigMap, apiVersion: v1, metadata: {name: c%02d, labels: {half: \"%d\"}}}", i,
            i % 2);
        cr_assert_str_eq(rig_create(rig, text), "CREATED");
    }
}

// ---- lists --------------------------------------------------------------------------------------
Test(apiserver_reads, a_list_sees_every_write_that_was_answered)
{
    api_rig_t *rig = rig_new(1);
    make_configs(rig, 3);
    int64_t written = rig->revision;
    cr_expect_str_eq(rig_list(rig, "v1", "ConfigMap", ANY_LIST), "c00 c01 c02");
    cr_expect_geq(rig->revision, written);
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

Test(apiserver_reads, selectors_choose)
{
    api_rig_t *rig = rig_new(1);
    make_configs(rig, 4);
    static const struct {
        const char *labels, *fields, *names;
    } rows[] = {
        {"half=1", "", "c01 c03"},
        {"half!=1", "", "c00 c02"},
        {"half in (0,1)", "metadata.name=c02", "c02"},
        {"", "metadata.name!=c02", "c00 c01 c03"},
        {"", "metadata.name=c01,metadata.namespace=default", "c01"},
        {"", "metadata.name=nope", ""},
        {"half in", "", NULL},
        {"", "spec.color=red", NULL},
    };
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        Api__List list = API__LIST__INIT;
        list.label_selector = (char *)rows[i].labels;
        list.field_selector = (char *)rows[i].fields;
        const char *names = rig_list(rig, "v1", "ConfigMap", &list);
        if (rows[i].names)
            cr_expect_str_eq(names, rows[i].names, "row %zu: %s", i, names);
        else
            cr_expect_eq(rig->err, ERR_BAD_REQUEST, "row %zu: %s", i, names);
    }
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

Test(apiserver_reads, pages_are_of_one_revision)
{
    api_rig_t *rig = rig_new(1);
    make_configs(rig, 5);
    Api__List list = API__LIST__INIT;
    list.limit = 2;
    cr_expect_str_eq(rig_list(rig, "v1", "ConfigMap", &list), "c00 c01");
    cr_expect_eq(rig->list->remaining, 3);
    int64_t revision = rig->revision;
    list.continue_ = rig->list->continue_;
    // Between the pages one goes, one comes, one changes.
    rig_delete(rig, "v1", "ConfigMap", "default", "c02");
    rig_create(rig, CONFIG("c021", "1"));
    rig_update(rig, CONFIG("c03", "changed"), "");
    cr_expect_str_eq(rig_list(rig, "v1", "ConfigMap", &list), "c02 c03");
    cr_expect_eq(rig->revision, revision);
    list.continue_ = rig->list->continue_;
    cr_expect_str_eq(rig_list(rig, "v1", "ConfigMap", &list), "c04");
    cr_expect_str_eq(rig->list->continue_, "");
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

Test(apiserver_reads, each_meaning_of_resource_version_holds)
{
    api_rig_t *rig = rig_new(1);
    make_configs(rig, 1);
    int64_t first = rig->revision;
    make_configs(rig, 0);
    rig_create(rig, CONFIG("d", "1"));
    char at_first[32], future[32];
    snprintf(at_first, sizeof at_first, "%lld", (long long)first);
    snprintf(future, sizeof future, "%lld", (long long)first + 1000);
    char too_new[128];
    snprintf(too_new, sizeof too_new, "Timeout: Too large resource version: %s, current: %lld",
             future, (long long)first + 1);
    const struct {
        const char *version, *match, *continue_, *says;
    } rows[] = {
        {"", "", "", "c00 d"},
        {"0", "", "", "c00 d"},
        {at_first, "", "", "c00 d"},
        {at_first, "NotOlderThan", "", "c00 d"},
        {at_first, "Exact", "", "c00"},
        {future, "", "", too_new},
        {"0", "Exact", "",
         "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: "
         "resourceVersionMatch "
         "\"exact\" is forbidden for resourceVersion \"0\""},
        {"", "Exact", "",
         "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: "
         "resourceVersionMatch is "
         "forbidden unless resourceVersion is provided"},
        {at_first, "", "1:default/x",
         "specifying resource version is not allowed when using continue"},
        {"", "", "garbage", "invalid continue token: continue key is not valid"},
        {"x", "", "", "invalid resource version: \"x\""},
    };
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        Api__List list = API__LIST__INIT;
        list.resource_version = (char *)rows[i].version;
        list.resource_version_match = (char *)rows[i].match;
        list.continue_ = (char *)rows[i].continue_;
        const char *says = rig_list(rig, "v1", "ConfigMap", &list);
        cr_expect_str_eq(says, rows[i].says, "row %zu: %s", i, says);
    }
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

Test(apiserver_reads, an_expired_token_gives_one_that_goes_on_inconsistently)
{
    apiserver_args_t args = apiserver_args_default;
    args.history_revisions = 0;
    api_rig_t *rig = rig_new_with(1, &args);
    make_configs(rig, 3);
    Api__List list = API__LIST__INIT;
    list.limit = 1;
    rig_list(rig, "v1", "ConfigMap", &list);
    list.continue_ = rig->list->continue_;
    rig_create(rig, CONFIG("z", "1"));
    sim_kill(rig->sim, "apiserver/m1", "test"); // a new one has no window
    rig_wait_ready(rig);
    const char *says = rig_list(rig, "v1", "ConfigMap", &list);
    cr_expect_eq(rig->err, ERR_EXPIRED);
    cr_expect(
        has_prefix(
            says,
            "The provided continue parameter is too old to display a consistent list result."),
        "%s", says);
    list.continue_ = "0:default/c00";
    list.limit = 0;
    cr_expect_str_eq(rig_list(rig, "v1", "ConfigMap", &list), "c01 c02 z");
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

// ---- watches ------------------------------------------------------------------------------------
Test(apiserver_reads, a_watch_starts_with_what_is_there_then_tells_changes)
{
    api_rig_t *rig = rig_new(1);
    make_configs(rig, 2);
    rig_watcher_t *w = rig_watch(rig, "w", &(rig_watch_t){"v1", "ConfigMap"});
    cr_expect_str_eq(rig_seen(w), "ADDED default/c00\nADDED default/c01\nMARK\n");
    rig_create(rig, CONFIG("new", "1"));
    rig_update(rig, CONFIG("new", "2"), "");
    rig_delete(rig, "v1", "ConfigMap", "default", "new");
    rig_run(rig, 50);
    cr_expect_str_eq(rig_seen(w), "ADDED default/new\nMODIFIED default/new\nDELETED default/new\n");
    rig_destroy(&rig);
    rig_watcher_free(&w);
    ASSERT_NO_LEAKS();
}

Test(apiserver_reads, what_stops_matching_is_deleted_and_what_starts_is_added)
{
    api_rig_t *rig = rig_new(1);
    rig_watcher_t *by_label =
        rig_watch(rig, "l", &(rig_watch_t){"v1", "Pod", .label_selector = "app=x"});
    rig_watcher_t *by_node =
        rig_watch(rig, "n", &(rig_watch_t){"v1", "Pod", .field_selector = "spec.nodeName=n1"});
    rig_watcher_t *unbound =
        rig_watch(rig, "u", &(rig_watch_t){"v1", "Pod", .field_selector = "spec.nodeName="});
    rig_seen(by_label), rig_seen(by_node), rig_seen(unbound);
    rig_create(rig, POD("a"));
    rig_bind(rig, "default", "a", "n1");
    rig_get(rig, "v1", "Pod", "default", "a");
    object_set_label(&rig->arena, rig->obj, "app", "y");
    bytes_t packed = msg_pack(&rig->arena, rig->obj);
    Api__Resource resource = rig_resource(rig, "v1", "Pod", "default", "a");
    Api__Update update = API__UPDATE__INIT;
    update.resource = &resource;
    update.object = (ProtobufCBinaryData){packed.len, (uint8_t *)packed.at};
    cr_expect_str_eq(rig_ask(rig, &update.base), "CONFIGURED");
    rig_run(rig, 50);
    cr_expect_str_eq(rig_seen(by_label),
                     "ADDED default/a\nMODIFIED default/a\nDELETED default/a\n");
    cr_expect_str_eq(rig_seen(by_node), "ADDED default/a\nMODIFIED default/a\n");
    cr_expect_str_eq(rig_seen(unbound), "ADDED default/a\nDELETED default/a\n");
    rig_destroy(&rig);
    rig_watcher_free(&by_label), rig_watcher_free(&by_node), rig_watcher_free(&unbound);
    ASSERT_NO_LEAKS();
}

Test(apiserver_reads, a_watch_resumes_behind_the_revision_it_names)
{
    api_rig_t *rig = rig_new(1);
    make_configs(rig, 3);
    rig_watcher_t *w =
        rig_watch(rig, "w", &(rig_watch_t){"v1", "ConfigMap", .from_revision = rig->revision - 1});
    cr_expect_str_eq(rig_seen(w), "ADDED default/c02\n");
    rig_destroy(&rig);
    rig_watcher_free(&w);
    ASSERT_NO_LEAKS();
}

Test(apiserver_reads, a_watch_from_before_the_window_is_expired)
{
    apiserver_args_t args = apiserver_args_default;
    args.history_revisions = 0;
    api_rig_t *rig = rig_new_with(1, &args);
    make_configs(rig, 3);
    sim_kill(rig->sim, "apiserver/m1", "test");
    rig_wait_ready(rig);
    rig_watcher_t *w = rig_watch(rig, "w", &(rig_watch_t){"v1", "ConfigMap", .from_revision = 2});
    cr_expect_str_eq(rig_seen(w), "END EXPIRED\n");
    rig_destroy(&rig);
    rig_watcher_free(&w);
    ASSERT_NO_LEAKS();
}

Test(apiserver_reads, an_idle_watch_is_told_how_far_it_has_come)
{
    api_rig_t *rig = rig_new(1);
    rig_watcher_t *w = rig_watch(rig, "w", &(rig_watch_t){"v1", "ConfigMap"});
    cr_expect_str_eq(rig_seen(w), "MARK\n");
    rig_create(rig, POD("a"));
    rig_run(rig, 16 * 1000);
    cr_expect_str_eq(rig_seen(w), "MARK\n");
    cr_expect_eq(rig_seen_revision(w), rig->revision);
    rig_run(rig, 60 * 1000);
    cr_expect_str_eq(rig_seen(w), "", "nothing happened: nothing is told");
    rig_destroy(&rig);
    rig_watcher_free(&w);
    ASSERT_NO_LEAKS();
}

Test(apiserver_reads, a_watcher_with_a_small_window_gets_everything_in_order)
{
    api_rig_t *rig = rig_new(1);
    sim_set_latency(rig->sim, 1000, 5000);
    rig_watcher_t *w = rig_watch(rig, "w", &(rig_watch_t){"v1", "ConfigMap", .window = 1});
    rig_seen(w);
    make_configs(rig, 12);
    rig_run(rig, 1000);
    text_t want = TEXT_HEAP;
    for (int i = 0; i < 12; i++) text_addf(&want, "ADDED default/c%02d\n", i);
    cr_expect_str_eq(rig_seen(w), text_str(&want));
    text_done(&want);
    rig_destroy(&rig);
    rig_watcher_free(&w);
    ASSERT_NO_LEAKS();
}

// ---- killed -------------------------------------------------------------------------------------
Test(apiserver_reads, killed_under_load_it_loses_nothing_and_watches_see_everything_once)
{
    for (uint64_t seed = 1; seed <= 5; seed++) {
        api_rig_t *rig = rig_new(seed);
        sim_set_latency(rig->sim, 50, 2000);
        rig_watcher_t *w = rig_watch(rig, "w", &(rig_watch_t){"v1", "ConfigMap", .resumes = true});
        rig_run(rig, 100);
        rig_seen(w);
        text_t want = TEXT_HEAP;
        for (int i = 0; i < 60; i++) {
            char text[160];
            snprintf(text, sizeof text,
                     "{kind: ConfigMap, apiVersion: v1, metadata: {name: c%02d}}", i);
            if (rng_chance(sim_rng(rig->sim), 0.2))
                sim_kill(rig->sim, i % 2 ? "apiserver/m1" : "store/m1", "test");
            const char *says = rig_create(rig, text);
            if (rig->err && rig->err != ERR_EXISTS) { // not answered: it may or may not be there
                rig_wait_ready(rig);
                says = rig_create(rig, text);
            }
            cr_assert(!rig->err || rig->err == ERR_EXISTS, "seed %d: %s", (int)seed, says);
            text_addf(&want, "ADDED default/c%02d\n", i);
        }
        rig_run(rig, 2000);
        cr_expect_eq(fake_store_count(rig->store, "/registry/configmaps/"), 60);
        const char *seen = rig_seen(w);
        cr_expect_str_eq(seen, text_str(&want), "seed %d: %s", (int)seed, seen);
        text_done(&want);
        rig_destroy(&rig);
        rig_watcher_free(&w);
    }
    ASSERT_NO_LEAKS();
}

Test(apiserver_reads, a_write_whose_answer_was_lost_is_not_done_twice)
{
    api_rig_t *rig = rig_new(1);
    fake_store_lose_answers(rig->store, 1);
    cr_expect_str_eq(rig_create(rig, CONFIG("a", "1")), "CREATED");
    fake_store_lose_answers(rig->store, 1);
    cr_expect_str_eq(rig_update(rig, CONFIG("a", "2"), ""), "CONFIGURED");
    fake_store_lose_answers(rig->store, 1);
    cr_expect_str_eq(rig_delete(rig, "v1", "ConfigMap", "default", "a"), "DELETED");
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

// Somebody deletes what was made before the API server asks for it: it is not made again.
Test(apiserver_reads, a_write_whose_answer_was_lost_does_not_come_back_from_the_dead)
{
    api_rig_t *rig = rig_new(1);
    fake_store_lose_and_delete(rig->store, 1);
    cr_expect_str_eq(rig_create(rig, CONFIG("a", "1")), "CREATED");
    cr_expect_eq(fake_store_count(rig->store, "/registry/configmaps/"), 0);
    cr_expect_str_eq(rig_create(rig, CONFIG("a", "1")), "CREATED");
    cr_expect_eq(fake_store_count(rig->store, "/registry/configmaps/"), 1);
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}

// ---- limits -------------------------------------------------------------------------------------
Test(apiserver_reads, past_its_limits_it_says_so)
{
    apiserver_args_t args = apiserver_args_default;
    args.watchers_max = 1;
    api_rig_t *rig = rig_new_with(1, &args);
    rig_watcher_t *a = rig_watch(rig, "a", &(rig_watch_t){"v1", "Pod"});
    rig_watcher_t *b = rig_watch(rig, "b", &(rig_watch_t){"v1", "Pod"});
    cr_expect_str_eq(rig_seen(a), "MARK\n");
    cr_expect_str_eq(rig_seen(b), "END OVERLOADED\n");
    rig_destroy(&rig);
    rig_watcher_free(&a), rig_watcher_free(&b);
    ASSERT_NO_LEAKS();
}

Test(apiserver_reads, a_list_past_four_megabytes_comes_in_pages)
{
    api_rig_t *rig = rig_new(1);
    char *big = mem_new(1000 * 1000 + 1);
    memset(big, 'x', 1000 * 1000);
    for (int i = 0; i < 6; i++) {
        char *text = str_printf(
            "{kind: ConfigMap, apiVersion: v1, metadata: {name: b%d}, data: {k: \"%s\"}}", i, big);
        cr_assert_str_eq(rig_create(rig, text), "CREATED");
        free(text);
    }
    free(big);
    Api__List list = API__LIST__INIT;
    cr_expect_str_eq(rig_list(rig, "v1", "ConfigMap", &list), "b0 b1 b2 b3");
    list.continue_ = rig->list->continue_;
    cr_expect_str_eq(rig_list(rig, "v1", "ConfigMap", &list), "b4 b5");
    rig_destroy(&rig);
    ASSERT_NO_LEAKS();
}
