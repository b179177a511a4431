// Watchers by hand: what each is sent of the changes of a cache.
#include "actors/apiserver/watchers.h"
#include "k8s/core_v1.pb-c.h"
#include "runtime/base/text.h"
#include "tests/support/leaks.h"

typedef struct {
    cache_t cache;
    watchers_t watchers;
    arena_t arena;
    uint64_t last_stream;
} desk_t;

static const kind_t *maps(void) { return kind_find("", "v1", "ConfigMap"); }

static void desk_init(desk_t *d) {
    *d = (desk_t){0};
    cache_init(&d->cache);
    cache_reset(&d->cache, 1);
}

static void desk_done(desk_t *d) {
    watchers_done(&d->watchers);
    cache_done(&d->cache);
    arena_done(&d->arena);
}

// ConfigMap default/NAME with label l=LABEL; label NULL: deleted.
static void change(desk_t *d, const char *name, const char *label) {
    arena_t arena = {0};
    int64_t revision = d->cache.revision + 1;
    bytes_t path = bytes_of_str(arena_printf(&arena, "default/%s", name));
    change_t *ch;
    if (label) {
        Core__ConfigMap *map = MSG_NEW(&arena, Core__ConfigMap, core__config_map__descriptor);
        Meta__ObjectMeta *meta = object_meta(&arena, &map->base);
        meta->name = name;
        meta->namespace_ = "default";
        object_set_label(&arena, &map->base, "l", label);
        blob_t *value = object_encode_stored(&map->base);
        ch = cache_put(&d->cache, maps(), path, blob_bytes(value), revision);
        blob_unref(&value);
    } else {
        ch = cache_remove(&d->cache, maps(), path, revision);
    }
    watchers_offer(&d->watchers, maps(), ch);
    cache_advance(&d->cache, revision);
    arena_done(&arena);
}

static watcher_t *watch_fields(desk_t *d, const char *labels, const char *fields) {
    arena_t arena = {0};
    selection_t selection;
    why_t why;
    cr_assert_eq(selection_parse(&arena, maps(), "default", "", labels, fields, &selection, &why),
                 ERR_OK, "%s", why.text);
    return watchers_add(&d->watchers, ++d->last_stream, &arena, &selection, true);
}

static watcher_t *watch(desk_t *d, const char *labels, int64_t after) {
    watcher_t *one = watch_fields(d, labels, "");
    if (after < 0)
        watcher_start_now(&d->watchers, one, &d->cache);
    else
        cr_assert_eq(watcher_start_after(&d->watchers, one, &d->cache, after, false), ERR_OK);
    return one;
}

static const char type_letter[] = {'+', '~', '-', '*'};

// The chunks that the watcher has coming, one a line: "+a@2 ~a@3 | 3".
static const char *chunks(desk_t *d, watcher_t *one, size_t budget) {
    text_t out = {.arena = &d->arena};
    while (watcher_has_work(one) && !one->given_up) {
        size_t looked_at;
        blob_t *blob = watcher_fill(&d->watchers, one, budget, &looked_at);
        cr_expect_leq(looked_at, budget + 1);
        if (!blob) continue;
        const Api__WatchEvents *events =
            msg_unpack_own(&d->arena, &api__watch_events__descriptor, blob_bytes(blob));
        for (size_t i = 0; i < events->n_events; i++) {
            const Api__WatchEvent *e = events->events[i];
            const Core__ConfigMap *map =
                msg_unpack_own(&d->arena, maps()->type, (bytes_t){e->object.data, e->object.len});
            text_addf(&out, "%c%s@%lld ", type_letter[e->type], or_empty(map->metadata->name),
                      (long long)e->revision);
        }
        text_addf(&out, "| %lld\n", (long long)events->revision);
        blob_unref(&blob);
    }
    return text_str(&out);
}

Test(watchers, each_is_sent_what_it_selects_as_it_comes_and_goes)
{
    desk_t d;
    desk_init(&d);
    change(&d, "a", "x");
    watcher_t *all = watch(&d, "", -1), *xs = watch(&d, "l=x", -1), *ys = watch(&d, "l=y", -1);
    change(&d, "b", "x");
    change(&d, "a", "y");
    change(&d, "a", "x");
    change(&d, "a", NULL);
    cr_expect_str_eq(chunks(&d, all, 100), "+a@2 *@2 +b@3 ~a@4 ~a@5 -a@6 | 6\n");
    cr_expect_str_eq(chunks(&d, xs, 100), "+a@2 *@2 +b@3 -a@4 +a@5 -a@6 | 6\n");
    cr_expect_str_eq(chunks(&d, ys, 100), "*@2 +a@4 -a@5 | 6\n");
    desk_done(&d);
    ASSERT_NO_LEAKS();
}

Test(watchers, one_that_wants_one_name_is_found_by_it)
{
    desk_t d;
    desk_init(&d);
    change(&d, "a", "x");
    watcher_t *one = watch_fields(&d, "", "metadata.name=b");
    watcher_start_now(&d.watchers, one, &d.cache);
    change(&d, "a", "y");
    change(&d, "b", "x");
    change(&d, "b", NULL);
    cr_expect_str_eq(chunks(&d, one, 100), "*@2 +b@4 -b@5 | 5\n");
    desk_done(&d);
    ASSERT_NO_LEAKS();
}

Test(watchers, a_fresh_one_is_marked_behind_what_it_missed)
{
    desk_t d;
    desk_init(&d);
    change(&d, "a", "x");
    change(&d, "a", "y");
    change(&d, "b", "x");
    watcher_t *one = watch_fields(&d, "", "");
    cr_assert_eq(watcher_start_after(&d.watchers, one, &d.cache, 2, true), ERR_OK);
    change(&d, "c", "x");
    cr_expect_str_eq(chunks(&d, one, 100), "~a@3 +b@4 *@4 +c@5 | 5\n");
    desk_done(&d);
    ASSERT_NO_LEAKS();
}

Test(watchers, a_budget_cuts_the_work_and_no_revision_counts_until_all_of_it_is_sent)
{
    desk_t d;
    desk_init(&d);
    for (int i = 0; i < 5; i++) change(&d, arena_printf(&d.arena, "m%d", i), "x");
    cr_expect_str_eq(chunks(&d, watch(&d, "", -1), 2), "+m0@2 +m1@3 | 0\n"
                                                       "+m2@4 +m3@5 | 0\n"
                                                       "+m4@6 *@6 | 6\n");
    desk_done(&d);
    ASSERT_NO_LEAKS();
}

Test(watchers, one_that_resumes_gets_what_came_behind_its_revision)
{
    desk_t d;
    desk_init(&d);
    for (int i = 0; i < 4; i++) change(&d, arena_printf(&d.arena, "m%d", i), "x");
    cr_expect_str_eq(chunks(&d, watch(&d, "", 3), 100), "+m2@4 +m3@5 | 5\n");
    cr_expect_str_eq(chunks(&d, watch(&d, "", 5), 100), "");
    desk_done(&d);
    ASSERT_NO_LEAKS();
}

Test(watchers, equal_wishes_share_the_bytes)
{
    desk_t d;
    desk_init(&d);
    watcher_t *one = watch(&d, "", 1), *two = watch(&d, "", 1), *other = watch(&d, "l=x", 1);
    change(&d, "a", "x");
    size_t looked_at;
    blob_t *first = watcher_fill(&d.watchers, one, 100, &looked_at);
    blob_t *second = watcher_fill(&d.watchers, two, 100, &looked_at);
    blob_t *third = watcher_fill(&d.watchers, other, 100, &looked_at);
    cr_expect_eq(first, second);
    cr_expect_neq(first, third);
    cr_expect(bytes_eq(blob_bytes(first), blob_bytes(third)));
    cr_expect(!watcher_has_work(one) && !watcher_has_work(two));
    blob_unref(&first);
    blob_unref(&second);
    blob_unref(&third);
    desk_done(&d);
    ASSERT_NO_LEAKS();
}

Test(watchers, one_that_takes_nothing_is_given_up_and_the_others_go_on)
{
    desk_t d;
    desk_init(&d);
    watcher_t *slow = watch(&d, "", 1), *fast = watch(&d, "", 1);
    for (int i = 0; i <= WATCHER_QUEUE_MAX; i++) {
        change(&d, "a", i % 2 ? "x" : "y");
        arena_clear(&d.arena);
        chunks(&d, fast, 100);
    }
    cr_expect(slow->given_up);
    cr_expect(!fast->given_up);
    cr_expect_eq(fast->sent, d.cache.revision);
    watchers_remove(&d.watchers, slow->stream);
    desk_done(&d);
    ASSERT_NO_LEAKS();
}

Test(watchers, an_idle_one_is_marked_as_far_as_the_cache_has_come)
{
    desk_t d;
    desk_init(&d);
    watcher_t *one = watch(&d, "l=nobody", -1);
    cr_expect_str_eq(chunks(&d, one, 100), "*@1 | 1\n");
    change(&d, "a", "x");
    cr_expect_str_eq(chunks(&d, one, 100), "");
    blob_t *mark = watcher_mark(one, d.cache.revision);
    const Api__WatchEvents *events =
        msg_unpack_own(&d.arena, &api__watch_events__descriptor, blob_bytes(mark));
    cr_expect_eq(events->revision, 2);
    cr_expect_eq(events->n_events, 1);
    cr_expect_eq(events->events[0]->type, API__WATCH_EVENT__TYPE__BOOKMARK);
    blob_unref(&mark);
    desk_done(&d);
    ASSERT_NO_LEAKS();
}
