#include "runtime/actor/directory.h"
#include "runtime/base/text.h"
#include "support/leaks.h"
#include <signal.h>

// The story of a directory: every notice, a line each.
static void note(void *arg, const notice_t *n) {
    text_addf(arg, "%s %s.%lu%s%s%s\n",
              n->gone   ? "gone"
              : n->came ? "came"
                        : "changed",
              n->place.address->text, n->place.incarnation, n->place.ready ? " ready" : "",
              n->place.leader ? " leader" : "", n->gone ? n->reason : "");
}

typedef struct {
    directory_t *d;
    text_t story;
} world_t;

static void begin(world_t *w) {
    *w = (world_t){directory_new(), TEXT_HEAP};
    directory_subscribe(w->d, note, &w->story);
}
static void finish(world_t *w) {
    directory_destroy(&w->d);
    text_done(&w->story);
    ASSERT_NO_LEAKS();
}

typedef struct {
    const char *address;
    uint64_t incarnation;
    bool ready, leader;
    uint64_t epoch;
    uint32_t port;
    const char *link;
} row_t;
static void set(world_t *w, row_t r) {
    name_t *address = name_new(r.address), *link = r.link ? name_new(r.link) : NULL;
    directory_set(w->d, &(place_t){address, r.incarnation, r.ready, r.leader, r.epoch, r.port, link,
                                   NULL});
    name_unref(&address);
    name_unref(&link);
}
// Whom a role means, as "a/1 a/2".
static const char *means(world_t *w, const char *role, uint32_t port, text_t *out) {
    place_t *places;
    text_reset(out);
    size_t len = directory_resolve(w->d, role, port, &places);
    for (size_t i = 0; i < len; i++) {
        text_addf(out, "%s%s", i ? " " : "", places[i].address->text);
        place_done(&places[i]);
    }
    free(places);
    return text_str(out);
}

Test(directory, a_higher_incarnation_wins_and_old_news_are_nothing)
{
    world_t w;
    begin(&w);
    set(&w, (row_t){"a/1", 5, true});
    set(&w, (row_t){"a/1", 5, true});  // nothing new
    set(&w, (row_t){"a/1", 4, false}); // late
    set(&w, (row_t){"a/1", 5, false});
    directory_gone(w.d, "a/1", 4, " late");
    set(&w, (row_t){"a/1", 7, true});
    directory_gone(w.d, "a/1", 7, " died");
    directory_gone(w.d, "a/1", 7, " twice");
    cr_assert_str_eq(w.story.at,
                     "came a/1.5 ready\nchanged a/1.5\ncame a/1.7 ready\ngone a/1.7 died\n");
    finish(&w);
}

Test(directory, incarnations_grow_even_when_the_clock_runs_back)
{
    world_t w;
    begin(&w);
    uint64_t first = directory_next_incarnation(w.d, "a/1", 1000000);
    cr_assert_gt(directory_next_incarnation(w.d, "a/1", 1000000), first);
    cr_assert_gt(directory_next_incarnation(w.d, "a/1", 5), first);
    set(&w, (row_t){"b/1", UINT64_C(1) << 60, true}); // heard of from elsewhere
    cr_assert_gt(directory_next_incarnation(w.d, "b/1", 5), UINT64_C(1) << 60);
    finish(&w);
}

Test(directory, a_bare_role_means_its_leader_or_the_nearest_ready_ones)
{
    world_t w;
    begin(&w);
    text_t out = TEXT_HEAP;
    cr_assert_str_eq(means(&w, "s", 1, &out), "");
    set(&w, (row_t){"s/far", 1, true, .port = 9, .link = "link/x"});
    set(&w, (row_t){"s/not-ready", 2, false, .port = 1});
    cr_assert_str_eq(means(&w, "s", 1, &out), "s/far");
    set(&w, (row_t){"s/here2", 3, true, .port = 1});
    set(&w, (row_t){"s/here1", 4, true, .port = 1});
    set(&w, (row_t){"s/there", 5, true, .port = 2});
    cr_assert_str_eq(means(&w, "s", 1, &out), "s/here1 s/here2");
    cr_assert_str_eq(means(&w, "s", 2, &out), "s/there");
    cr_assert_str_eq(means(&w, "s", 3, &out), "s/here1 s/here2 s/there");
    set(&w, (row_t){"s/far", 1, false, true, 7, 9, "link/x"});
    cr_assert_str_eq(means(&w, "s", 1, &out), "s/far");
    set(&w, (row_t){"s/there", 5, true, true, 8, 2});
    cr_assert_str_eq(means(&w, "s", 1, &out), "s/there", "the higher epoch");
    cr_assert_str_eq(means(&w, "sx", 1, &out), "");
    text_done(&out);
    finish(&w);
}

Test(directory, a_link_takes_along_what_it_carried_to)
{
    world_t w;
    begin(&w);
    name_t *x = name_new("link/x");
    set(&w, (row_t){"a/mine", 1, true});
    set(&w, (row_t){"a/x1", 2, true, .link = "link/x"});
    set(&w, (row_t){"a/x2", 3, true, .link = "link/x"});
    set(&w, (row_t){"a/y", 4, true, .link = "link/y"});
    text_reset(&w.story);
    uint64_t mark = directory_link_begin(w.d); // a whole Hello that names x2 alone
    set(&w, (row_t){"a/x2", 3, true, .link = "link/x"});
    directory_link_end(w.d, x, mark, " unnamed");
    cr_assert_str_eq(w.story.at, "gone a/x1.2 unnamed\n");
    text_reset(&w.story);
    directory_link_down(w.d, x, " down");
    cr_assert_str_eq(w.story.at, "gone a/x2.3 down\n");
    place_t place;
    cr_assert(directory_find(w.d, "a/y", &place));
    place_done(&place);
    cr_assert_not(directory_find(w.d, "a/x2", &place));
    name_unref(&x);
    finish(&w);
}

Test(canary, asserts_are_alive, .signal = SIGABRT)
{
    world_t w;
    begin(&w);
    set(&w, (row_t){"no-name", 1, true});
}
