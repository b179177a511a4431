// The bytes of the log.
#include "store/log/record.h"
#include "tests/support/leaks.h"

Test(record, what_is_put_is_what_is_got)
{
    const char *body = "some bytes";
    record_t in = {RECORD_ENTRY, 3, 512, 77, 5, bytes_of_str(body)}, out;
    uint8_t bytes[128];
    record_put(&in, 42, bytes);
    cr_assert(record_get((bytes_t){bytes, record_bytes(strlen(body))}, 42, &out));
    cr_assert_eq(out.kind, RECORD_ENTRY);
    cr_assert_eq(out.entry_kind, 3);
    cr_assert_eq(out.synced, 512);
    cr_assert_eq(out.index, 77);
    cr_assert_eq(out.term, 5);
    cr_assert(bytes_eq(out.body, in.body));
    ASSERT_NO_LEAKS();
}

Test(record, a_changed_bit_another_seed_and_a_cut_are_seen)
{
    record_t in = {RECORD_HARD, 0, 0, 1, 9, {0}}, out;
    uint8_t bytes[RECORD_HEADER_BYTES];
    record_put(&in, 42, bytes);
    bytes_t whole = {bytes, sizeof bytes};
    cr_assert(record_get(whole, 42, &out));
    cr_assert_not(record_get(whole, 43, &out));
    cr_assert_not(record_get((bytes_t){bytes, sizeof bytes - 1}, 42, &out));
    for (size_t bit = 0; bit < sizeof bytes * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        cr_assert_not(record_get(whole, 42, &out), "bit %zu", bit);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    ASSERT_NO_LEAKS();
}

// The format is a promise: these bytes must stay readable.
Test(record, the_layout_is_the_documented_one)
{
    record_t in = {RECORD_ENTRY,      1, 0x200, 0x0102030405060708, 0x1112131415161718,
                   bytes_of_str("ab")};
    uint8_t bytes[40];
    cr_assert_eq(record_bytes(2), sizeof bytes);
    record_put(&in, record_seed(1), bytes);
    static const uint8_t expect[40 - 4] = {2,    0,   0,    0,    1,    1,    0,    0,    0,
                                           2,    0,   0,    8,    7,    6,    5,    4,    3,
                                           2,    1,   0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12,
                                           0x11, 'a', 'b',  0,    0,    0,    0,    0,    0};
    cr_assert_eq(memcmp(bytes + 4, expect, sizeof expect), 0);
    ASSERT_NO_LEAKS();
}

Test(record, a_segment_header_is_read_back_and_a_newer_version_is_refused)
{
    segment_header_t in = {3, 4, 5, 6, 7, {8, 9}, true}, out;
    uint8_t bytes[RECORD_SEGMENT_HEADER_BYTES], again[RECORD_SEGMENT_HEADER_BYTES];
    why_t why;
    record_put_segment(&in, bytes);
    cr_assert_eq(record_get_segment(bytes, &out, &why), ERR_OK);
    cr_assert(out.begins && out.hard.vote == 9 && out.prev_term == 7);
    record_put_segment(&out, again);
    cr_assert_eq(memcmp(bytes, again, sizeof bytes), 0);
    bytes[100] ^= 1;
    cr_assert_eq(record_get_segment(bytes, &out, &why), ERR_CORRUPT);
    bytes[0] = 'x';
    cr_assert_eq(record_get_segment(bytes, &out, &why), ERR_CORRUPT);
    ASSERT_NO_LEAKS();
}
