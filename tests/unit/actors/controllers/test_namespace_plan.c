// namespace_plan: a namespace and what a pass found go in, a word comes out.
#include "actors/controllers/namespace_plan.h"
#include "tests/support/build.h"
#include "tests/support/leaks.h"
#include <criterion/criterion.h>
#include <signal.h>

#define OURS  "spec.finalizers[0]=kubernetes;"
#define GOING "metadata.deletionTimestamp=5;"
static const struct {
    const char *name, *namespace_;
    bool has_account, pass_is_done;
    int64_t pass_found;
    const char *expected;
} rows[] = {
    {"a new one gets its account", OURS, false, false, 0, "make account"},
    {"with its account it is left alone", OURS, true, false, 0, "nothing to do"},
    {"one that is to go is emptied", OURS GOING, true, false, 0, "delete contents"},
    {"and gets no account any more", OURS GOING, false, false, 0, "delete contents"},
    {"while something was found it waits", OURS GOING, true, true, 3, "wait"},
    {"a whole pass without a find ends it", OURS GOING, false, true, 0, "finalize"},
    {"others' finalizers are their care", GOING "spec.finalizers[0]=mine", false, true, 0,
     "nothing to do"},
};

Test(namespace_plan, table)
{
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        arena_t arena = {0};
        namespace_view_t view = {.namespace_ = build(&arena, &core__namespace__descriptor,
                                                     rows[i].namespace_),
                                 .has_account = rows[i].has_account,
                                 .pass_is_done = rows[i].pass_is_done,
                                 .pass_found = rows[i].pass_found};
        cr_expect_str_eq(namespace_plan_print(namespace_plan(&view)), rows[i].expected, "%s",
                         rows[i].name);
        arena_done(&arena);
    }
    ASSERT_NO_LEAKS();
}

Test(canary, asserts_are_alive, .signal = SIGABRT)
{ namespace_plan(&(namespace_view_t){0}); }
