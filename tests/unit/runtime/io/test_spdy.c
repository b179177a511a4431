// The bytes of the specification, and frames however they are cut.
#include "runtime/io/spdy.h"
#include "support/leaks.h"
#include <criterion/criterion.h>

Test(spdy, asks_for_an_upgrade)
{
    text_t out = TEXT_HEAP;
    spdy_open(&out, "127.0.0.1", "/attach/x", "v4.channel.k8s.io");
    cr_assert(has_prefix(text_str(&out), "POST /attach/x HTTP/1.1\r\nHost: 127.0.0.1\r\n"));
    cr_assert(strstr(text_str(&out), "\r\nUpgrade: SPDY/3.1\r\n"));
    cr_assert(has_suffix(text_str(&out), "\r\n\r\n"));
    text_done(&out);
    ASSERT_NO_LEAKS();
}

Test(spdy, reads_the_answer_only_when_it_is_whole)
{
    static const struct {
        const char *answer;
        err_t err;
        size_t used;
    } rows[] = {
        {"", ERR_OK, 0},
        {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: SPDY/3.1\r\n", ERR_OK, 0},
        {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: SPDY/3.1\r\n\r\n\x80", ERR_OK, 55},
        {"HTTP/1.1 404 Not Found\r\n\r\n", ERR_IO, 0},
        {"220 mail.example ESMTP\r\n\r\n", ERR_MALFORMED, 0},
    };
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        size_t used;
        why_t why = {0};
        cr_expect_eq(spdy_opened(rows[i].answer, strlen(rows[i].answer), &used, &why), rows[i].err,
                     "%zu", i);
        cr_expect_eq(used, rows[i].used, "%zu: %zu", i, used);
        if (rows[i].err == ERR_IO) cr_expect_str_eq(why.text, "refused: 404 Not Found");
    }
    ASSERT_NO_LEAKS();
}

Test(spdy, opens_streams_with_one_zlib_stream_for_all_headers)
{
    static const char first[] = "\x80\x03\x00\x01\x00\x00\x00\x31" // SYN_STREAM, 49 bytes
                                "\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00"
                                "\x78\x01\x00\x1b\x00\xe4\xff"
                                "\x00\x00\x00\x01\x00\x00\x00\x0astreamtype\x00\x00\x00\x05stdin"
                                "\x00\x00\x00\xff\xff";
    text_t out = TEXT_HEAP;
    spdy_add_stream(&out, 1, "stdin");
    cr_assert_eq(out.len, sizeof first - 1);
    cr_assert_arr_eq(out.at, first, sizeof first - 1);
    size_t one = out.len;
    spdy_add_stream(&out, 3, "stdin");
    cr_assert_eq(out.len - one, one - 2, "no second head of the zlib stream");
    text_done(&out);
    ASSERT_NO_LEAKS();
}

Test(spdy, reads_frames_however_they_are_cut)
{
    text_t bytes = TEXT_HEAP;
    spdy_add_data(&bytes, 5, "hello", 5, false);
    size_t first = bytes.len;
    spdy_add_data(&bytes, 5, "", 0, true);
    size_t second = bytes.len;
    text_addn(&bytes, "\x80\x03\x00\x06\x00\x00\x00\x04\x00\x00\x00\x07", 12);
    for (size_t len = 0; len <= bytes.len; len++) {
        spdy_frame_t frame;
        size_t used;
        spdy_next(bytes.at, len, &frame, &used);
        cr_assert_eq(used, len < first ? 0 : first);
        if (!used) continue;
        cr_assert(frame.kind == SPDY_DATA && frame.stream == 5 && !frame.fin && frame.len == 5);
        cr_assert_arr_eq(frame.data, "hello", 5);
    }
    spdy_frame_t frame;
    size_t used;
    spdy_next(bytes.at + first, bytes.len - first, &frame, &used);
    cr_assert(frame.fin && frame.len == 0 && used == second - first);
    spdy_next(bytes.at + second, bytes.len - second, &frame, &used);
    cr_assert(frame.kind == SPDY_PING && used == 12);
    text_t pong = TEXT_HEAP;
    spdy_add_pong(&pong, &frame);
    cr_assert_eq(pong.len, 12);
    cr_assert_arr_eq(pong.at, bytes.at + second, 12, "a ping is answered with itself");
    text_done(&pong);
    text_done(&bytes);
    ASSERT_NO_LEAKS();
}
