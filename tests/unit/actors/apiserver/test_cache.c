// The watch cache by hand: objects, the window of changes, the state as of a revision.
#include "actors/apiserver/cache.h"
#include "actors/apiserver/selection.h"
#include "k8s/core_v1.pb-c.h"
#include "runtime/base/text.h"
#include "tests/support/leaks.h"

static const kind_t *pods(void) { return kind_find("", "v1", "Pod"); }

static blob_t *pod_value(const char *name, const char *node) {
    arena_t arena = {0};
    Core__Pod *pod = MSG_NEW(&arena, Core__Pod, core__pod__descriptor);
    Meta__ObjectMeta *meta = object_meta(&arena, &pod->base);
    meta->name = name;
    meta->namespace_ = "default";
    pod->spec = MSG_NEW(&arena, Core__PodSpec, core__pod_spec__descriptor);
    pod->spec->nodename = node;
    blob_t *value = object_encode_stored(&pod->base);
    arena_done(&arena);
    return value;
}

static change_t *put(cache_t *c, const char *path, const char *node, int64_t revision) {
    blob_t *value = pod_value(strchr(path, '/') + 1, node);
    change_t *ch = cache_put(c, pods(), bytes_of_str(path), blob_bytes(value), revision);
    blob_unref(&value);
    cache_advance(c, revision);
    return ch;
}

static change_t *drop(cache_t *c, const char *path, int64_t revision) {
    change_t *ch = cache_remove(c, pods(), bytes_of_str(path), revision);
    cache_advance(c, revision);
    return ch;
}

// "path@revision …"
static const char *print(arena_t *arena, const cached_list_t *list) {
    text_t out = {.arena = arena};
    for (size_t i = 0; i < list->len; i++)
        text_addf(&out, "%s%s@%lld", i ? " " : "", list->at[i]->path,
                  (long long)list->at[i]->revision);
    return text_str(&out);
}

static const char *as_of(arena_t *arena, const cache_t *c, const char *prefix, const char *after,
                         int64_t revision, size_t max) {
    cached_list_t list = {0};
    err_t err = cache_snapshot(c, pods(), prefix, after, revision, max, &list);
    const char *text = err ? err_name(err) : print(arena, &list);
    cached_list_done(&list);
    return text;
}

Test(cache, tells_the_state_as_of_every_revision_in_its_window)
{
    cache_t c;
    arena_t arena = {0};
    cache_init(&c);
    cache_reset(&c, 10);
    put(&c, "default/b", "n1", 11);
    put(&c, "default/a", "n1", 12);
    put(&c, "other/c", "n2", 13);
    drop(&c, "default/b", 14);
    put(&c, "default/b", "n3", 15);
    put(&c, "default/a", "n2", 16);
    static const struct {
        int64_t revision;
        const char *prefix, *after, *says;
        size_t max;
    } rows[] = {
        {9, "", NULL, "EXPIRED", 0},
        {10, "", NULL, "", 0},
        {11, "", NULL, "default/b@11", 0},
        {12, "", NULL, "default/a@12 default/b@11", 0},
        {13, "", NULL, "default/a@12 default/b@11 other/c@13", 0},
        {13, "default/", NULL, "default/a@12 default/b@11", 0},
        {13, "", "default/a", "default/b@11 other/c@13", 0},
        {13, "", NULL, "default/a@12 default/b@11", 2},
        {14, "", NULL, "default/a@12 other/c@13", 0},
        {15, "", NULL, "default/a@12 default/b@15 other/c@13", 0},
        {16, "", NULL, "default/a@16 default/b@15 other/c@13", 0},
        {0, "", NULL, "default/a@16 default/b@15 other/c@13", 0},
        {0, "other/", NULL, "other/c@13", 0},
        {0, "othe/", NULL, "", 0},
    };
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        const char *says =
            as_of(&arena, &c, rows[i].prefix, rows[i].after, rows[i].revision, rows[i].max);
        cr_expect_str_eq(says, rows[i].says, "row %zu: %s", i, says);
    }
    cache_done(&c);
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

Test(cache, finds_the_pods_of_a_node_as_they_move)
{
    cache_t c;
    arena_t arena = {0};
    cache_init(&c);
    cache_reset(&c, 1);
    put(&c, "default/a", "", 2);
    put(&c, "default/b", "n1", 3);
    put(&c, "default/a", "n1", 4);
    static const struct {
        const char *node, *says;
    } rows[] = {{"n1", "default/a@4 default/b@3"}, {"n2", ""}};
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        cached_list_t list = {0};
        cache_snapshot_node(&c, pods(), rows[i].node, &list);
        cr_expect_str_eq(print(&arena, &list), rows[i].says);
        cached_list_done(&list);
    }
    drop(&c, "default/a", 5);
    drop(&c, "default/b", 6);
    cr_expect_eq(map_len(&cache_of(&c, pods())->by_node), 0);
    cache_done(&c);
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

Test(cache, drops_the_oldest_changes_and_says_from_where_on_it_knows_all)
{
    cache_t c;
    cache_init(&c);
    cache_reset(&c, 0);
    for (int64_t i = 1; i <= CACHE_WINDOW_MAX + 100; i++) put(&c, "default/a", "n", i);
    const kind_cache_t *kc = cache_of(&c, pods());
    cr_expect_eq(kc->window_len, CACHE_WINDOW_MAX);
    cr_expect_eq(kc->window_after, 100);
    cr_expect_eq(cache_change(kc, 0)->revision, 101);
    cr_expect_eq(cache_first_after(kc, 100), 0);
    cr_expect_eq(cache_first_after(kc, 101), 1);
    cache_done(&c);
    ASSERT_NO_LEAKS();
}

Test(cache, what_went_is_shown_as_it_was_with_the_revision_of_its_going)
{
    cache_t c;
    arena_t arena = {0};
    cache_init(&c);
    cache_reset(&c, 0);
    put(&c, "default/a", "n1", 1);
    change_t *ch = drop(&c, "default/a", 2);
    const Core__Pod *gone = cached_object(&arena, change_gone(ch));
    cr_expect_str_eq(gone->metadata->resourceversion, "2");
    cr_expect_str_eq(gone->spec->nodename, "n1");
    cr_expect_null(drop(&c, "default/a", 3));
    cache_done(&c);
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

Test(cache, leaves_the_old_state_when_a_value_is_not_readable)
{
    cache_t c;
    cache_init(&c);
    cache_reset(&c, 0);
    put(&c, "default/a", "n1", 1);
    cr_expect_null(cache_put(&c, pods(), bytes_of_str("default/a"), bytes_of_str("nonsense"), 2));
    cr_expect_eq(cache_get(&c, pods(), "default/a")->revision, 1);
    cache_done(&c);
    ASSERT_NO_LEAKS();
}
