// UTF-8 as RFC 3629 has it.
#include "runtime/base/utf8.h"
#include "support/leaks.h"

Test(utf8, takes_what_is_valid_and_nothing_else)
{
    static const struct {
        const char *text;
        bool valid;
    } ROWS[] = {
        {"", true},
        {"plain ASCII that is longer than eight bytes", true},
        {"ä€😀", true},
        {"12345678ä", true},
        {"\xed\x9f\xbf", true},
        {"\xee\x80\x80", true},
        {"\xf4\x8f\xbf\xbf", true},
        {"\xef\xbf\xbd", true},
        {"\x80", false},
        {"1234567\x80", false},
        {"12345678\xff", false},
        {"\xc3", false},
        {"\xc3(", false},
        {"\xc0\x80", false},
        {"\xc1\xbf", false},
        {"\xe0\x80\x80", false},
        {"\xe0\x9f\xbf", false},
        {"\xed\xa0\x80", false},
        {"\xf0\x80\x80\x80", false},
        {"\xf4\x90\x80\x80", false},
        {"\xf8\x88\x80\x80\x80", false},
        {"\xe2\x82", false},
    };
    for (size_t i = 0; i < LENGTH_OF(ROWS); i++)
        cr_expect_eq(utf8_is_valid(ROWS[i].text, strlen(ROWS[i].text)), ROWS[i].valid, "row %zu",
                     i);
    ASSERT_NO_LEAKS();
}

Test(utf8, every_character_comes_back)
{
    for (uint32_t c = 0; c <= 0x10ffff; c++) {
        if (c >= 0xd800 && c < 0xe000) continue;
        char out[4];
        size_t len = utf8_put(c, out), back;
        cr_assert_eq(utf8_at(out, len, &back), c);
        cr_assert_eq(back, len);
    }
    ASSERT_NO_LEAKS();
}
