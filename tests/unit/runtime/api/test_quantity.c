// Texts and values as resource.Quantity has them.
#include "runtime/api/quantity.h"
#include "support/leaks.h"

Test(quantity, is_printed_as_go_prints_it)
{
    static const struct {
        const char *given, *canonical;
    } ROWS[] = {
        {"0", "0"},
        {"0Gi", "0"},
        {"-0", "0"},
        {"0.0m", "0"},
        {"1", "1"},
        {"0.5", "500m"},
        {".5", "500m"},
        {"5.", "5"},
        {"500m", "500m"},
        {"1000m", "1"},
        {"1500m", "1500m"},
        {"1000", "1k"},
        {"1024", "1024"},
        {"1e3", "1e3"},
        {"1E3", "1e3"},
        {"1e0", "1"},
        {"12e2", "1200"},
        {"1e-3", "1e-3"},
        {"1E", "1E"},
        {"1024Mi", "1Gi"},
        {"1.5Gi", "1536Mi"},
        {"0.5Gi", "512Mi"},
        {"1Ki", "1Ki"},
        {"0.5Ki", "512"},
        {"1023Ki", "1023Ki"},
        {"128Mi", "128Mi"},
        {"1.1Ki", "1126400m"},
        {"100u", "100u"},
        {"1n", "1n"},
        {"0.1n", "1n"},
        {"3644555555.5555555555555551M", "3644555555555555555555556n"},
        {"1.0000000001", "1000000001n"},
        {"-1.5", "-1500m"},
        {"+3", "3"},
        {"007", "7"},
        {"9223372036854775807", "9223372036854775807"},
        {"99999999999999999999", "9223372036854775807"},
        {"100Ei", "9223372036854775807"},
        {"1e1000", "9223372036854775807"},
        {"1.00000000000000000000000000000000000000000000000Ki", "1Ki"},
        {"8Ei", "9223372036854775807"},
        {"0.00000000000000000000000000000000000000000000000001", "1n"},
    };
    arena_t a = {0};
    for (size_t i = 0; i < LENGTH_OF(ROWS); i++) {
        const char *canonical = quantity_canonical(&a, ROWS[i].given);
        cr_expect_str_eq(canonical ? canonical : "(malformed)", ROWS[i].canonical, "%s: %s, not %s",
                         ROWS[i].given, canonical, ROWS[i].canonical);
        const char *again = canonical ? quantity_canonical(&a, canonical) : NULL;
        cr_expect(again && streq(again, canonical), "%s does not stay %s", ROWS[i].given,
                  canonical);
    }
    arena_done(&a);
    ASSERT_NO_LEAKS();
}

Test(quantity, refuses_what_is_none)
{
    static const char *const ROWS[] = {"",   "m",   "Gi",    "1 Gi", "1g",   "1K",   "1mi", "1ki",
                                       "1e", "1e+", "1.2.3", "--1",  "0x10", "1Gib", "NaN", "."};
    arena_t a = {0};
    for (size_t i = 0; i < LENGTH_OF(ROWS); i++) {
        quantity_t q;
        cr_expect_eq(quantity_parse(ROWS[i], &q), ERR_MALFORMED, "%s", ROWS[i]);
        cr_expect_null(quantity_canonical(&a, ROWS[i]));
    }
    arena_done(&a);
    ASSERT_NO_LEAKS();
}

Test(quantity, is_a_number_of_milli_and_of_whole_units)
{
    static const struct {
        const char *text;
        int64_t milli, value;
    } ROWS[] = {
        {"100m", 100, 1},
        {"1", 1000, 1},
        {"1.5", 1500, 2},
        {"1Gi", 1073741824000, 1073741824},
        {"1n", 1, 1},
        {"-1500m", -1500, -1},
        {"9223372036854775807", INT64_MAX, INT64_MAX},
        {"1k", 1000000, 1000},
    };
    for (size_t i = 0; i < LENGTH_OF(ROWS); i++) {
        quantity_t q;
        cr_assert_eq(quantity_parse(ROWS[i].text, &q), ERR_OK);
        cr_expect_eq(quantity_milli(q), ROWS[i].milli, "%s", ROWS[i].text);
        cr_expect_eq(quantity_value(q), ROWS[i].value, "%s", ROWS[i].text);
    }
    quantity_t half, milli;
    cr_assert_eq(quantity_parse("0.5", &half), ERR_OK);
    cr_assert_eq(quantity_parse("500m", &milli), ERR_OK);
    cr_assert_eq(quantity_cmp(half, milli), 0);
    ASSERT_NO_LEAKS();
}
