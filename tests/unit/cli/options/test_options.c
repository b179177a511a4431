// Flags as people type them.
#include "cli/options/options.h"
#include "support/leaks.h"
#include <criterion/criterion.h>

Test(options, parses_long_short_joined_and_flags)
{
    typedef struct {
        const char *file;
        bool all;
        int64_t count;
    } o_t;
    static const option_t table[] = {{"file", 'f', OPTION_STRING, offsetof(o_t, file), "FILE", "f"},
                                     {"all", 'a', OPTION_FLAG, offsetof(o_t, all), NULL, "a"},
                                     {"count", 0, OPTION_COUNT, offsetof(o_t, count), "N", "c"},
                                     {NULL}};
    static const struct {
        const char *args[4];
        const char *file;
        bool all;
        int64_t count;
        size_t left;
    } good[] = {
        {{"-f", "x", "-a"}, "x", true, 0, 0},
        {{"-fx", "--count=3", "y"}, "x", false, 3, 1},
        {{"--file=", "--all"}, "", true, 0, 0},
        {{"--", "-f"}, NULL, false, 0, 1},
    };
    static const struct {
        const char *args[4], *why;
    } bad[] = {
        {{"--fil", "x"}, "unknown flag: --fil; did you mean --file?"},
        {{"--file"}, "flag needs an argument: --file"},
        {{"--all=1"}, "invalid argument \"1\" for \"--all\" flag: want true or false"},
        {{"--count=x"}, "invalid argument \"x\" for \"--count\" flag: want a whole number"},
        {{"x", "y"}, "y: unexpected argument"},
    };
    for (size_t i = 0; i < LENGTH_OF(good) + LENGTH_OF(bad); i++) {
        const char *const *args =
            i < LENGTH_OF(good) ? good[i].args : bad[i - LENGTH_OF(good)].args;
        int argc = 0;
        while (argc < 4 && args[argc]) argc++;
        o_t o = {0};
        why_t why = {0};
        const char *left[1];
        size_t left_len = 0;
        err_t e = options_parse(table, argc, (char **)args, &o, left, 1, &left_len, &why);
        if (i < LENGTH_OF(good)) {
            cr_expect_eq(e, ERR_OK, "%s", why.text);
            cr_expect(good[i].file ? o.file && streq(o.file, good[i].file) : !o.file);
            cr_expect(o.all == good[i].all && o.count == good[i].count && left_len == good[i].left);
        } else {
            cr_expect_eq(e, ERR_USAGE);
            cr_expect_str_eq(why.text, bad[i - LENGTH_OF(good)].why);
        }
    }
    ASSERT_NO_LEAKS();
}
