// Times, durations and base64, both ways.
#include "k8s/intstr.pb-c.h"
#include "runtime/api/special.h"
#include "support/leaks.h"

Test(special, times_are_rfc_3339_and_come_back_as_utc)
{
    static const struct {
        const char *given, *printed; // printed NULL: refused
        int digits;
    } ROWS[] = {
        {"1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z", 0},
        {"2026-11-22T12:34:56Z", "2026-11-22T12:34:56Z", 0},
        {"2026-11-22T00:30:00+02:00", "2026-11-21T22:30:00Z", 0},
        {"2026-12-31T23:30:00-01:00", "2027-01-01T00:30:00Z", 0},
        {"2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z", 0},
        {"2000-02-29T00:00:00Z", "2000-02-29T00:00:00Z", 0},
        {"1900-03-01T00:00:00Z", "1900-03-01T00:00:00Z", 0},
        {"1969-12-31T23:59:59Z", "1969-12-31T23:59:59Z", 0},
        {"0000-01-01T00:00:00Z", "0000-01-01T00:00:00Z", 0},
        {"9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z", 0},
        {"2026-11-22T12:34:56.7Z", "2026-11-22T12:34:56.700000Z", 6},
        {"2026-11-22T12:34:56.123456789Z", "2026-11-22T12:34:56.123456Z", 6},
        {"2026-11-22T12:34:56.1234567891Z", "2026-11-22T12:34:56.123456789Z", 9},
        {"2023-02-29T00:00:00Z", NULL, 0},
        {"1900-02-29T00:00:00Z", NULL, 0},
        {"2026-13-01T00:00:00Z", NULL, 0},
        {"2026-04-31T00:00:00Z", NULL, 0},
        {"2026-11-22T24:00:00Z", NULL, 0},
        {"2026-11-22T12:00:60Z", NULL, 0},
        {"2026-11-22 12:00:00Z", NULL, 0},
        {"2026-11-22T12:00:00", NULL, 0},
        {"2026-11-22T12:00:00.Z", NULL, 0},
        {"2026-11-22T12:00:00+0200", NULL, 0},
        {"2026-11-22T12:00:00ZZ", NULL, 0},
        {"2026-1-2T12:00:00Z", NULL, 0},
        {"", NULL, 0},
    };
    for (size_t i = 0; i < LENGTH_OF(ROWS); i++) {
        int64_t seconds;
        int32_t nanos;
        char out[SPECIAL_TEXT_MAX];
        err_t err = special_time_parse(ROWS[i].given, strlen(ROWS[i].given), &seconds, &nanos);
        cr_expect_eq(err, ROWS[i].printed ? ERR_OK : ERR_MALFORMED, "%s", ROWS[i].given);
        if (err) continue;
        size_t len = special_time_print(seconds, nanos, ROWS[i].digits, out);
        cr_expect_str_eq(out, ROWS[i].printed, "%s: %s", ROWS[i].given, out);
        cr_expect_eq(len, strlen(out));
    }
    ASSERT_NO_LEAKS();
}

Test(special, every_day_of_ten_thousand_years_comes_back)
{
    char out[SPECIAL_TEXT_MAX];
    for (int64_t day = -719528; day <= 2932896; day += 37) {
        int64_t seconds;
        int32_t nanos;
        size_t len = special_time_print(day * 86400, 0, 0, out);
        cr_assert_eq(special_time_parse(out, len, &seconds, &nanos), ERR_OK, "%s", out);
        cr_assert_eq(seconds, day * 86400, "%s", out);
    }
    special_time_print(INT64_MAX, -5, 6, out); // what no calendar holds is held inside it
    cr_assert_str_eq(out, "9999-12-31T23:59:59.000000Z");
    special_time_print(INT64_MIN, 0, 0, out);
    cr_assert_str_eq(out, "0000-01-01T00:00:00Z");
    ASSERT_NO_LEAKS();
}

Test(special, durations_are_those_of_go)
{
    static const struct {
        const char *given, *printed;
    } ROWS[] = {
        {"0", "0s"},
        {"0s", "0s"},
        {"1h30m", "1h30m0s"},
        {"90m", "1h30m0s"},
        {"1.5s", "1.5s"},
        {"1500ms", "1.5s"},
        {"100ms", "100ms"},
        {"1us", "1µs"},
        {"1µs", "1µs"},
        {"7ns", "7ns"},
        {"-2m", "-2m0s"},
        {"+3s", "3s"},
        {".5h", "30m0s"},
        {"1h1ns", "1h0m0.000000001s"},
        {"24h", "24h0m0s"},
        {"1.234567s", "1.234567s"},
        {"2562047h47m16.854775807s", "2562047h47m16.854775807s"},
        {"", NULL},
        {"1", NULL},
        {"s", NULL},
        {"1d", NULL},
        {"1h-2m", NULL},
        {"1 h", NULL},
        {"9999999999h", NULL},
        {"99999999999999999999s", NULL},
        {"-", NULL},
    };
    for (size_t i = 0; i < LENGTH_OF(ROWS); i++) {
        int64_t nanos;
        char out[SPECIAL_TEXT_MAX];
        err_t err = special_duration_parse(ROWS[i].given, strlen(ROWS[i].given), &nanos);
        cr_expect_eq(err, ROWS[i].printed ? ERR_OK : ERR_MALFORMED, "%s", ROWS[i].given);
        if (err) continue;
        cr_expect_eq(special_duration_print(nanos, out), strlen(out));
        cr_expect_str_eq(out, ROWS[i].printed, "%s: %s", ROWS[i].given, out);
    }
    char out[SPECIAL_TEXT_MAX];
    special_duration_print(INT64_MIN, out);
    cr_expect_str_eq(out, "-2562047h47m16.854775808s");
    ASSERT_NO_LEAKS();
}

Test(special, base64_is_the_standard_one_with_padding)
{
    static const struct {
        const char *plain, *letters;
    } ROWS[] = {{"", ""},
                {"f", "Zg=="},
                {"fo", "Zm8="},
                {"foo", "Zm9v"},
                {"foob", "Zm9vYg=="},
                {"fooba", "Zm9vYmE="},
                {"foobar", "Zm9vYmFy"},
                {"\xff\xef", "/+8="}};
    static const char *const BAD[] = {"Z",     "Zg",   "Zg=",      "Zg===", "=",
                                      "Zm9v=", "Zm9*", "Zg==Zg==", "Zm-v",  "Zm 9v"};
    for (size_t i = 0; i < LENGTH_OF(ROWS); i++) {
        char letters[32] = {0};
        uint8_t plain[32] = {0};
        size_t len = strlen(ROWS[i].plain), back;
        special_base64_print((const uint8_t *)ROWS[i].plain, len, letters);
        cr_expect_str_eq(letters, ROWS[i].letters);
        cr_expect_eq(special_base64_size(len), strlen(letters));
        cr_expect_eq(special_base64_parse(letters, strlen(letters), plain, &back), ERR_OK);
        cr_expect(back == len && memcmp(plain, ROWS[i].plain, len) == 0);
    }
    for (size_t i = 0; i < LENGTH_OF(BAD); i++) {
        uint8_t plain[32];
        size_t back;
        cr_expect_eq(special_base64_parse(BAD[i], strlen(BAD[i]), plain, &back), ERR_MALFORMED,
                     "%s", BAD[i]);
    }
    uint8_t plain[8];
    size_t back;
    cr_expect_eq(special_base64_parse("Zm\n9v\r\n", 7, plain, &back), ERR_OK); // lines are fine
    cr_expect_eq(back, 3);
    ASSERT_NO_LEAKS();
}
