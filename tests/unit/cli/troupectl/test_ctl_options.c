// Flags as people type them.
#include "cli/troupectl/ctl.h"
#include "cli/troupectl/flags.h"
#include "support/leaks.h"
#include <criterion/parameterized.h>

static err_t parse(const char *allowed, flags_t *o, words_t *words, words_t *rest, why_t *why,
                   const char *const *argv) {
    int argc = 0;
    while (argv[argc]) argc++;
    const option_set_t sets[] = {{flags_table, allowed}, {flags_common, NULL}};
    return options_read(sets, LENGTH_OF(sets), argc - 1, argv + 1, o, words, rest, why);
}
static void done(flags_t *o, words_t *words, words_t *rest) {
    flags_done(o);
    vec_done(words);
    vec_done(rest);
}

Test(options, take_every_way_of_giving_a_value)
{
    static const char *const ways[][4] = {{"get", "-n", "test", NULL},
                                          {"get", "-ntest", NULL},
                                          {"get", "-n=test", NULL},
                                          {"get", "--namespace", "test", NULL},
                                          {"get", "--namespace=test", NULL}};
    for (size_t i = 0; i < LENGTH_OF(ways); i++) {
        flags_t o = {0};
        words_t words = {0}, rest = {0};
        why_t why = {0};
        cr_assert_eq(parse("", &o, &words, &rest, &why, ways[i]), ERR_OK, "%s", why.text);
        cr_assert_str_eq(o.namespace_, "test");
        done(&o, &words, &rest);
    }
    ASSERT_NO_LEAKS();
}

Test(options, bundle_letters_and_keep_what_stands_behind_two_dashes)
{
    flags_t o = {0};
    words_t words = {0}, rest = {0};
    why_t why;
    const char *const argv[] = {"exec", "-it", "web", "-c", "main", "--", "ls", "-l", NULL};
    cr_assert_eq(parse("container stdin tty", &o, &words, &rest, &why, argv), ERR_OK);
    cr_assert(o.stdin_ && o.tty);
    cr_assert_str_eq(o.container, "main");
    cr_assert_eq(words.len, 1);
    cr_assert_eq(rest.len, 2);
    cr_assert_str_eq(rest.at[1], "-l");
    done(&o, &words, &rest);
    ASSERT_NO_LEAKS();
}

Test(options, mean_different_things_to_different_verbs)
{
    flags_t o = {0};
    words_t words = {0}, rest = {0};
    why_t why;
    const char *const logs[] = {"logs", "-f", "web", NULL};
    cr_assert_eq(parse("container follow previous", &o, &words, &rest, &why, logs), ERR_OK);
    cr_assert(o.follow);
    const char *const apply[] = {"apply", "-f", "a.yaml", "-f", "b.yaml", NULL};
    cr_assert_eq(parse("filename", &o, &words, &rest, &why, apply), ERR_OK);
    cr_assert_eq(o.filenames.len, 2);
    done(&o, &words, &rest);
    ASSERT_NO_LEAKS();
}

struct row {
    char argument[24];
    char message[96];
};
ParameterizedTestParameters(options, refusals) {
    static struct row rows[] = {{"--frobnicate", "unknown flag: --frobnicate"},
                                {"-z", "unknown shorthand flag: 'z' in -z"},
                                {"--outptu", "unknown flag: --outptu; did you mean --output?"},
                                {"--trace=2",
                                 "invalid argument \"2\" for \"--trace\" flag: want true or false"},
                                {"--output", "flag needs an argument: --output"},
                                {"-o", "flag needs an argument: 'o' in -o"}};
    return cr_make_param_array(struct row, rows, LENGTH_OF(rows));
}
ParameterizedTest(struct row *r, options, refusals) {
    flags_t o = {0};
    words_t words = {0}, rest = {0};
    why_t why;
    const char *const argv[] = {"get", r->argument, NULL};
    cr_assert_eq(parse("output", &o, &words, &rest, &why, argv), ERR_USAGE);
    cr_assert_str_eq(why.text, r->message);
    done(&o, &words, &rest);
    ASSERT_NO_LEAKS();
}

Test(args, read_durations_and_numbers)
{
    int64_t ms, n;
    cr_assert(parse_duration_ms("1m30s", &ms) && ms == 90000);
    cr_assert(parse_duration_ms("500ms", &ms) && ms == 500);
    cr_assert(parse_duration_ms("0", &ms) && ms == 0);
    cr_assert_not(parse_duration_ms("", &ms));
    cr_assert_not(parse_duration_ms("5", &ms));
    cr_assert_not(parse_duration_ms("-5s", &ms));
    cr_assert_not(parse_duration_ms("5 s", &ms));
    cr_assert(parse_int("70000", 0, 65536, &n) == false && parse_int("80", 0, 65536, &n) &&
              n == 80);
    cr_assert_not(parse_int("8o", 0, 65536, &n));
}
