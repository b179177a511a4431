// Hand-made histories: good ones are believed, each sort of bad one is not, and for its own reason.
#include "runtime/base/rng.h"
#include "store/check/history.h"
#include "tests/support/leaks.h"

typedef struct {
    const char *name, *text;
    history_verdict_t verdict;
    const char *why; // must stand in the complaint
} row_t;

#define GOOD HISTORY_GOOD, NULL
#define BAD  HISTORY_BAD
static const row_t rows[] = {
    {"nothing at all", "base 7\n", GOOD},
    {"a write and a read",
     "1 10 20 ok 1 txn then put a x 0 => yes put\n"
     "2 30 40 ok 1 get a % 0 0 => got all kv a 1 1 1 0 x\n",
     GOOD},
    {"a read beside a write may see either",
     "1 10 50 ok 1 txn then put a x 0 => yes put\n"
     "2 20 30 ok 0 get a % 0 0 => got all\n"
     "3 20 30 ok 1 get a % 0 0 => got all kv a 1 1 1 0 x\n",
     GOOD},
    {"lost write: it was acknowledged, and is not there",
     "1 10 20 ok 1 txn then put a x 0 => yes put\n"
     "2 30 40 ok 1 get a % 0 0 => got all\n",
     BAD, "it saw no a where there is a = x"},
    {"lost write: its revision is another's",
     "1 10 20 ok 1 txn then put a x 0 => yes put\n"
     "2 30 40 ok 1 txn then put b y 0 => yes put\n",
     BAD, "another operation made this revision, too"},
    {"stale read",
     "1 10 20 ok 1 txn then put a x 0 => yes put\n"
     "1 30 40 ok 2 txn then put a y 0 => yes put\n"
     "2 50 60 ok 1 get a % 0 0 => got all kv a 1 1 1 0 x\n",
     BAD, "it began when this revision was known"},
    {"stale read under a new revision",
     "1 10 20 ok 1 txn then put a x 0 => yes put\n"
     "1 30 40 ok 2 txn then put a y 0 => yes put\n"
     "2 50 60 ok 2 get a % 0 0 => got all kv a 1 1 1 0 x\n",
     BAD, "it saw a = x (create 1, mod 1"},
    {"two reads in a row, the second older",
     "1 10 90 ok 1 txn then put a x 0 => yes put\n"
     "2 20 30 ok 1 get a % 0 0 => got all kv a 1 1 1 0 x\n"
     "2 40 50 ok 0 get a % 0 0 => got all\n",
     BAD, "it began when this revision was known"},
    {"a write's revision goes back",
     "1 10 20 ok 2 txn then put a x 0 => yes put\n"
     "1 30 40 ok 1 txn then put b y 0 => yes put\n",
     BAD, "it began when this revision was known"},
    {"a write seen before it began",
     "2 10 20 ok 1 get a % 0 0 => got all kv a 1 1 1 0 x\n"
     "1 30 40 ok 1 txn then put a x 0 => yes put\n",
     BAD, "it began when this revision was known"},
    {"a compare holds for every key of a range, also of an empty one",
     "1 10 20 ok 1 txn every a c mod > 5 then put a x 0 => yes put\n"
     "1 30 40 ok 2 txn every a c mod < 2 then put b x 0 => yes put\n"
     "1 50 60 ok 2 txn every a c mod < 2 then put b y 0 => no\n",
     GOOD},
    {"a compare over a range was told to hold, and one key of it had changed",
     "1 10 20 ok 1 txn then put a x 0 then put b x 0 => yes put put\n"
     "1 30 40 ok 2 txn then put b y 0 => yes put\n"
     "2 50 60 ok 3 txn every a c mod < 2 then put a z 0 => yes put\n",
     BAD, "it was told that its compares held"},
    {"torn transaction",
     "1 10 20 ok 1 txn then put a x 0 then put b x 0 => yes put put\n"
     "2 30 40 ok 1 get a c 0 0 => got all kv a 1 1 1 0 x\n",
     BAD, "it saw no b where there is b = x"},
    {"a transaction's parts under two revisions",
     "1 10 20 ok 1 txn then put a x 0 then put b x 0 => yes put put\n"
     "2 30 40 ok 2 get a c 0 0 => got all kv a 1 1 1 0 x kv b 2 2 1 0 x\n",
     BAD, "which is put by `1 10 20 ok 1"},
    {"range that mixes two revisions",
     "1 10 20 ok 1 txn then put a 1 0 then put b 1 0 => yes put put\n"
     "1 30 80 ok 2 txn then put a 2 0 then put b 2 0 => yes put put\n"
     "2 40 50 ok 2 get a c 0 0 => got all kv a 1 2 2 0 2 kv b 1 1 1 0 1\n",
     BAD, "it saw b = 1"},
    {"range with a key too many",
     "1 10 20 ok 1 txn then put a 1 0 => yes put\n"
     "2 40 50 ok 1 get a c 0 0 => got all kv a 1 1 1 0 1 kv b 1 1 1 0 1\n",
     BAD, "it saw b = 1"},
    {"range out of order",
     "1 10 20 ok 1 txn then put a 1 0 then put b 1 0 => yes put put\n"
     "2 40 50 ok 1 get a c 0 0 => got all kv b 1 1 1 0 1 kv a 1 1 1 0 1\n",
     BAD, "revision 1"},
    {"a limited range knows of more",
     "1 10 20 ok 1 txn then put a 1 0 then put b 1 0 => yes put put\n"
     "2 40 50 ok 1 get a %00 1 0 => got more kv a 1 1 1 0 1\n",
     GOOD},
    {"a limited range that denies it",
     "1 10 20 ok 1 txn then put a 1 0 then put b 1 0 => yes put put\n"
     "2 40 50 ok 1 get a %00 1 0 => got all kv a 1 1 1 0 1\n",
     BAD, "no more"},
    {"a range at an old revision",
     "1 10 20 ok 1 txn then put a 1 0 => yes put\n"
     "1 30 40 ok 2 txn then del a % => yes del 1\n"
     "2 50 60 ok 2 get a % 0 1 => got all kv a 1 1 1 0 1\n",
     GOOD},
    {"a compare that could not hold",
     "1 10 20 ok 1 txn then put a 1 0 => yes put\n"
     "2 30 40 ok 2 txn if a mod = 0 then put a 2 0 else get a % 0 0 => yes put\n",
     BAD, "it was told that its compares held"},
    {"two winners of one compare",
     "1 10 90 ok 1 txn if a create = 0 then put a 1 0 => yes put\n"
     "2 10 90 ok 2 txn if a create = 0 then put a 2 0 => yes put\n",
     BAD, "it was told that its compares held"},
    {"the loser of a compare reads the winner",
     "1 10 90 ok 1 txn if a create = 0 then put a 1 0 => yes put\n"
     "2 10 90 ok 1 txn if a create = 0 then put a 2 0 else get a % 0 0 => no got all kv a 1 1 1 0 "
     "1\n",
     GOOD},
    {"lost update: a version is skipped",
     "1 10 20 ok 1 txn then put a 1 0 => yes put\n"
     "1 30 40 ok 2 txn then put a 2 0 => yes put\n"
     "2 50 60 ok 2 get a % 0 0 => got all kv a 1 2 3 0 2\n",
     BAD, "version 3"},
    {"a deletion that found nothing to delete takes no revision",
     "1 10 20 ok 0 txn then del a % => yes del 0\n"
     "1 30 40 ok 1 txn then put a 1 0 => yes put\n",
     GOOD},
    {"a deletion that missed a key",
     "1 10 20 ok 1 txn then put a 1 0 then put b 1 0 => yes put put\n"
     "1 30 40 ok 2 txn then del a c => yes del 1\n",
     BAD, "it deleted 1 keys; there were 2"},
    // ---- unknown outcomes
    {"an unknown write that happened",
     "1 10 - unknown 0 txn then put a x 0\n"
     "2 30 40 ok 1 get a % 0 0 => got all kv a 1 1 1 0 x\n",
     GOOD},
    {"an unknown write that did not",
     "1 10 - unknown 0 txn then put a x 0\n"
     "2 30 40 ok 0 get a % 0 0 => got all\n",
     GOOD},
    {"an unknown write that happened late, between others",
     "1 10 - unknown 0 txn then put a x 0\n"
     "2 30 40 ok 1 txn then put a y 0 => yes put\n"
     "2 50 60 ok 3 txn then put b y 0 => yes put\n"
     "2 70 80 ok 3 get a c 0 0 => got all kv a 1 2 2 0 x kv b 3 3 1 0 y\n",
     GOOD},
    {"which of two unknown writes came first is found",
     "1 10 - unknown 0 txn then put a x 0\n"
     "2 10 - unknown 0 txn then put a y 0\n"
     "3 30 40 ok 3 txn then put b z 0 => yes put\n"
     "3 50 60 ok 3 get a % 0 0 => got all kv a 1 2 2 0 x\n",
     GOOD},
    {"an unknown write applied twice",
     "1 10 - unknown 0 txn then put a x 0\n"
     "3 30 40 ok 3 txn then put b z 0 => yes put\n"
     "3 50 60 ok 3 get a % 0 0 => got all kv a 1 2 2 0 x\n",
     BAD, "no operation of unknown outcome and no end of a lease explains it"},
    {"an acknowledged write applied twice",
     "1 10 20 ok 1 txn then put a x 0 => yes put\n"
     "2 30 40 ok 2 get a % 0 0 => got all kv a 1 2 2 0 x\n",
     BAD, "seen was a = x, which is put by `1 10 20 ok 1"},
    {"a refused write that happened",
     "1 10 20 failed 0 txn then put a x 0\n"
     "2 30 40 ok 1 get a % 0 0 => got all kv a 1 1 1 0 x\n",
     BAD, "which is put by `1 10 20 failed"},
    {"a value that nobody wrote",
     "1 10 - unknown 0 txn then put a x 0\n"
     "2 30 40 ok 1 get a % 0 0 => got all kv a 1 1 1 0 y\n",
     BAD, "which nobody puts"},
    {"a revision that nobody can have made", "2 30 40 ok 5 get a % 0 0 => got all\n", BAD,
     "revision 1: no operation"},
    {"an unknown write before it began",
     "2 30 40 ok 1 get a % 0 0 => got all kv a 1 1 1 0 x\n"
     "1 50 - unknown 0 txn then put a x 0\n",
     BAD, "no operation of unknown outcome"},
    // ---- leases
    {"a lease's key goes with the lease, in time",
     "1 0 10 ok 0 grant 7 100\n"
     "1 20 30 ok 1 txn if lock create = 0 then put lock one 7 => yes put\n"
     "2 100200 100300 ok 3 txn if lock create = 0 then put lock two 0 => yes put\n",
     GOOD},
    {"a lease held twice",
     "1 0 10 ok 0 grant 7 10000\n"
     "1 20 30 ok 1 txn if lock create = 0 then put lock one 7 => yes put\n"
     "1 5000000 5000100 ok 1 keep 7 10000\n"
     "2 14000000 14000100 ok 3 txn if lock create = 0 then put lock two 0 => yes put\n",
     BAD, "only the end of lease 7 explains it, 999 ms before its time"},
    {"a lock with two holders at once",
     "1 0 10 ok 0 grant 7 10000\n"
     "1 20 30 ok 1 txn if lock create = 0 then put lock one 7 => yes put\n"
     "2 40 50 ok 2 txn if lock create = 0 then put lock two 0 => yes put\n",
     BAD, "it was told that its compares held"},
    {"a lease revoked, its keys gone in one revision",
     "1 0 10 ok 0 grant 7 10000\n"
     "1 20 30 ok 1 txn then put a x 7 then put b x 7 => yes put put\n"
     "1 40 50 ok 2 revoke 7 0\n"
     "2 60 70 ok 2 get a c 0 0 => got all\n",
     GOOD},
    {"a lease revoked, one of its keys left",
     "1 0 10 ok 0 grant 7 10000\n"
     "1 20 30 ok 1 txn then put a x 7 then put b x 7 => yes put put\n"
     "1 40 50 ok 2 revoke 7 0\n"
     "2 60 70 ok 2 get a c 0 0 => got all kv b 1 1 1 7 x\n",
     BAD, "it saw b = x"},
    {"a lease used after its end",
     "1 0 10 ok 0 grant 7 10000\n"
     "1 20 30 ok 0 revoke 7 0\n"
     "1 40 50 ok 1 txn then put a x 7 => yes put\n",
     BAD, "lease 7, which was not there"},
    {"a keep-alive refused though the lease must live",
     "1 0 10 ok 0 grant 7 10000\n"
     "1 3000000 3000100 missing 0 keep 7 0\n",
     BAD, "the lease was gone before its time"},
    {"a revocation of unknown outcome",
     "1 0 10 ok 0 grant 7 10000\n"
     "1 20 30 ok 1 txn then put a x 7 => yes put\n"
     "1 40 - unknown 0 revoke 7 0\n"
     "2 60 70 ok 2 get a % 0 0 => got all\n",
     GOOD},
// ---- watches
#define THREE                                                         \
    "1 10 20 ok 1 txn then put a 1 0 => yes put\n"                    \
    "1 30 40 ok 2 txn then put a 2 0 then put b 2 0 => yes put put\n" \
    "1 50 60 ok 3 txn then del a % => yes del 1\nwatch 1 1 a c\n"
#define E1 "event 1 1 put a 1 1 0 1\n"
#define E2 "event 1 2 put a 1 2 0 2\nevent 1 2 put b 2 1 0 2\n"
#define E3 "event 1 3 del a\n"
    {"a watch sees all", THREE E1 E2 E3 "seen 1 3\n", GOOD},
    {"a watch is not yet there", THREE E1 "seen 1 1\n", GOOD},
    {"a watch over one key only",
     "1 10 20 ok 1 txn then put a 1 0 then put b 1 0 => yes put put\n"
     "watch 1 1 b %\nevent 1 1 put b 1 1 0 1\nseen 1 1\n",
     GOOD},
    {"watch: a gap", THREE E1 E3 "seen 1 3\n", BAD, "watch 1 did not see the change of a"},
    {"watch: half a revision", THREE E1 "event 1 2 put b 2 1 0 2\n" E3 "seen 1 3\n", BAD,
     "watch 1 saw another change"},
    {"watch: an event twice", THREE E1 E1 E2 E3 "seen 1 3\n", BAD, "seen twice"},
    {"watch: out of order", THREE E2 E1 E3 "seen 1 3\n", BAD, "out of order"},
    {"watch: out of order within a revision",
     THREE E1 "event 1 2 put b 2 1 0 2\nevent 1 2 put a 1 2 0 2\n" E3 "seen 1 3\n", BAD,
     "watch 1 saw another change"},
    {"watch: another value",
     THREE E1 "event 1 2 put a 1 2 0 9\nevent 1 2 put b 2 1 0 2\n" E3 "seen 1 3\n", BAD,
     "watch 1 saw another change"},
    {"watch: a change that was none", THREE E1 E2 "event 1 3 del b\n" E3 "seen 1 3\n", BAD,
     "watch 1 saw another change"},
    {"watch: older than asked for", "watch 1 5 a c\nevent 1 4 del a\nseen 1 5\n", BAD,
     "older than what was asked for"},
    {"a watch tells which unknown write happened",
     "1 10 - unknown 0 txn then put a x 0\n"
     "2 10 - unknown 0 txn then put b x 0\n"
     "watch 1 1 a c\nevent 1 1 put b 1 1 0 x\nseen 1 1\n",
     GOOD},
};

static history_verdict_t judge(const char *text, const history_options_t *options,
                               history_report_t *report) {
    history_t h = {0};
    why_t why;
    cr_assert_eq(history_parse(&h, text, &why), ERR_OK, "%s", why.text);
    history_check(&h, options, report);
    history_done(&h);
    return report->verdict;
}

Test(history, each_sort_of_bad_history_is_rejected_for_its_reason_and_good_ones_are_not)
{
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        history_report_t report;
        history_verdict_t verdict = judge(rows[i].text, NULL, &report);
        cr_expect_eq(verdict, rows[i].verdict, "%s: %s", rows[i].name, or_empty(report.why));
        if (rows[i].why)
            cr_expect(strstr(or_empty(report.why), rows[i].why), "%s: %s", rows[i].name,
                      or_empty(report.why));
        history_report_done(&report);
    }
    ASSERT_NO_LEAKS();
}

Test(history, what_is_printed_reads_back_to_the_same)
{
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        history_t h = {0}, again = {0};
        text_t first = TEXT_HEAP, second = TEXT_HEAP;
        why_t why;
        cr_assert_eq(history_parse(&h, rows[i].text, &why), ERR_OK, "%s", why.text);
        history_print(&h, &first);
        cr_assert_eq(history_parse(&again, text_str(&first), &why), ERR_OK, "%s: %s\n%s",
                     rows[i].name, why.text, text_str(&first));
        history_print(&again, &second);
        cr_assert_str_eq(text_str(&first), text_str(&second));
        text_done(&first);
        text_done(&second);
        history_done(&h);
        history_done(&again);
    }
    ASSERT_NO_LEAKS();
}

Test(history, a_line_that_cannot_be_read_is_named)
{
    static const char *const bad[] = {
        "base\n",
        "base x\n",
        "base 1 2\n",
        "1 2 3 maybe 4 get a % 0 0\n",
        "1 2 3 ok 4 get a\n",
        "1 2 3 ok 4 get a% % 0 0\n",
        "1 2 3 ok 4 txn if a mod ~ 3\n",
        "1 2 3 ok 4 txn then put a x 0 => perhaps\n",
        "event 1 1 del a\n",
        "1 2 3 ok 4 grant 1\n",
        "nonsense\n",
    };
    for (size_t i = 0; i < LENGTH_OF(bad); i++) {
        history_t h = {0};
        why_t why;
        CLEANUP(free_charp) char *text = str_printf("# one\n%s", bad[i]);
        cr_assert_eq(history_parse(&h, text, &why), ERR_INVALID, "%s", bad[i]);
        cr_assert(has_prefix(why.text, "history: line 2: "), "%s", why.text);
        history_done(&h);
    }
    ASSERT_NO_LEAKS();
}

// A store in a few lines plays many clients' requests; a third of the answers are lost.
static char *play(uint64_t seed, int operations, int unknown_percent) {
    rng_t rng;
    rng_init(&rng, seed);
    text_t t = TEXT_HEAP;
    struct {
        int64_t create, mod, version;
        int value;
    } keys[5] = {0};
    int64_t revision = 0, now = 0;
    for (int i = 1; i <= operations; i++) {
        int k = (int)rng_below(&rng, LENGTH_OF(keys));
        int64_t begun = now += 1 + (int64_t)rng_below(&rng, 5), done = now += 3;
        bool lost = rng_below(&rng, 100) < (uint64_t)unknown_percent;
        if (rng_chance(&rng, 0.4)) {
            text_addf(&t, "%d %lld %lld ok %lld get k%d %% 0 0 => got all", i, (long long)begun,
                      (long long)done, (long long)revision, k);
            if (keys[k].version)
                text_addf(&t, " kv k%d %lld %lld %lld 0 v%d", k, (long long)keys[k].create,
                          (long long)keys[k].mod, (long long)keys[k].version, keys[k].value);
            text_addc(&t, '\n');
            continue;
        }
        if (!lost || rng_chance(&rng, 0.5)) { // a lost one happened or did not
            revision++;
            keys[k].create = keys[k].version ? keys[k].create : revision;
            keys[k].mod = revision;
            keys[k].version++;
            keys[k].value = i;
        }
        if (lost)
            text_addf(&t, "%d %lld - unknown 0 txn then put k%d v%d 0\n", i, (long long)begun, k,
                      i);
        else
            text_addf(&t, "%d %lld %lld ok %lld txn then put k%d v%d 0 => yes put\n", i,
                      (long long)begun, (long long)done, (long long)revision, k, i);
    }
    return text_steal(&t);
}

Test(history, long_histories_with_many_unknown_outcomes_are_believed)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        CLEANUP(free_charp) char *text = play(seed, 2000, 5);
        history_report_t report;
        cr_assert_eq(judge(text, NULL, &report), HISTORY_GOOD, "seed %llu: %s",
                     (unsigned long long)seed, or_empty(report.why));
        cr_assert(report.unknown_applied > 0 && report.unknown_applied < report.unknown);
        history_report_done(&report);
    }
    ASSERT_NO_LEAKS();
}

Test(history, a_change_of_any_answer_in_a_long_history_is_found)
{
    CLEANUP(free_charp) char *text = play(1, 300, 0);
    size_t tried = 0;
    for (char *at = text; (at = strstr(at, " kv k")); at++) {
        char *value = strstr(at, " 0 v") + 4, kept = *value;
        *value = kept == '9' ? '8' : (char)(kept + 1);
        history_report_t report;
        cr_assert_eq(judge(text, NULL, &report), HISTORY_BAD, "at %ld", (long)(value - text));
        history_report_done(&report);
        *value = kept;
        tried++;
    }
    cr_assert(tried > 50);
    ASSERT_NO_LEAKS();
}

Test(history, a_search_too_long_gives_up_and_says_so)
{
    // Twenty unknown writes of one value, nineteen revisions, and a last one that nobody made.
    text_t t = TEXT_HEAP;
    for (int i = 0; i < 20; i++) text_addf(&t, "%d 10 - unknown 0 txn then put k%d v 0\n", i, i);
    text_add(&t, "99 20 30 ok 25 get x % 0 0 => got all\n");
    history_options_t options = {.steps_max = 10000};
    history_report_t report;
    cr_assert_eq(judge(text_str(&t), &options, &report), HISTORY_UNDECIDED);
    cr_assert(strstr(report.why, "gave up after 10000 steps"), "%s", report.why);
    history_report_done(&report);
    text_done(&t);
    ASSERT_NO_LEAKS();
}
