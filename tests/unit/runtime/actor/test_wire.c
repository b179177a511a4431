// The envelope on the wire: agrees with protobuf, and takes nothing from strangers.
#include "runtime/actor/lane.h"
#include "runtime/actor/wire.h"
#include "runtime/base/rng.h"
#include "support/leaks.h"
#include "troupe/actor.pb-c.h"

static bytes_t text_of(const char *s) { return bytes_of_str(s); }

static wire_t random_wire(rng_t *r) {
    static const char *const addresses[] = {"", "store/m1", "kubelet/node-1.example",
                                            "system/m1/control"};
    wire_t w = {
        .to = text_of(addresses[rng_below(r, 4)]),
        .from = text_of(addresses[rng_below(r, 4)]),
        .type = text_of("troupe.store.TxnRequest"),
        .to_incarnation = rng_next(r) >> rng_below(r, 64),
        .from_incarnation = rng_chance(r, 0.5) ? UINT64_MAX : 0,
        .id = rng_next(r) >> rng_below(r, 64),
        .in_reply_to = rng_below(r, 3),
        .trace_id = rng_next(r),
        .sequence = 1 + rng_below(r, 1000),
        .epoch = rng_below(r, 200),
        .stream_seq = rng_below(r, 2),
        .timeout_ms = (uint32_t)rng_below(r, INT32_MAX),
        .stream_window = (uint32_t)rng_below(r, 65),
        .push = rng_chance(r, 0.5),
        .kits = rng_chance(r, 0.5),
    };
    return w;
}

static bool text_is(bytes_t text, const char *s) {
    return bytes_eq(text, bytes_of_str(or_empty(s)));
}

Test(wire, agrees_with_protobuf_both_ways)
{
    rng_t r;
    rng_init(&r, 7);
    for (int i = 0; i < 2000; i++) {
        wire_t w = random_wire(&r), back;
        uint8_t frame[WIRE_MAX_BYTES], packed[WIRE_MAX_BYTES];
        why_t why = {0};
        size_t len = wire_write(&w, frame);
        Actor__Envelope *env =
            (Actor__Envelope *)protobuf_c_message_unpack(&actor__envelope__descriptor, NULL, len,
                                                         frame);
        cr_assert_not_null(env);
        cr_assert(text_is(w.to, env->to) && text_is(w.from, env->from) &&
                  text_is(w.type, env->type));
        cr_assert(env->id == w.id && env->sequence == w.sequence && env->push == w.push &&
                  env->kits == w.kits && env->timeout_ms == w.timeout_ms && env->epoch == w.epoch);
        cr_assert_eq(env->base.n_unknown_fields, 0);
        cr_assert_eq(protobuf_c_message_pack(&env->base, packed), len);
        cr_assert_eq(memcmp(packed, frame, len), 0);
        protobuf_c_message_free_unpacked(&env->base, NULL);
        cr_assert_eq(wire_read((bytes_t){frame, len}, &back, &why), ERR_OK, "%s", why.text);
        cr_assert(bytes_eq(back.to, w.to) && bytes_eq(back.from, w.from) &&
                  back.to_incarnation == w.to_incarnation &&
                  back.from_incarnation == w.from_incarnation &&
                  back.in_reply_to == w.in_reply_to && back.trace_id == w.trace_id &&
                  back.stream_seq == w.stream_seq && back.stream_window == w.stream_window);
        // Cut short anywhere: refused, or read as far as it goes.
        for (size_t cut = 0; cut < len; cut++) (void)!wire_read((bytes_t){frame, cut}, &back, NULL);
    }
    ASSERT_NO_LEAKS();
}

Test(wire, refuses_what_is_no_envelope)
{
#define TYPE_AND_SEQ "\x48\x01\x5a\x01T"
    static const struct {
        const char *bytes;
        size_t len;
        const char *why;
    } rows[] = {
        {"", 0, "envelope: field 11: missing"},
        {"\x5a\x01T", 3, "envelope: field 9: missing"},
        {"\x48\x01", 2, "envelope: field 11: missing"},
        {"\x48", 1, "envelope: field 9: cut short"},
        {"\x4a\x01\x01", 3, "envelope: field 9: wrong wire type"},
        {"\x0a\x7f"
         "a",
         3, "envelope: field 1: cut short"},
        {"\x0a\x03"
         "a/b\x0a\x03"
         "a/b",
         10, "envelope: field 1: given twice"},
        {"\x0a\x01"
         "a",
         3, "envelope: field 1: not an address"},
        {"\x0a\x04"
         "a/\0b",
         6, "envelope: field 1: not an address"},
        {"\x0a\x04"
         "a/ b",
         6, "envelope: field 1: not an address"},
        {"\x5a\x00", 2, "envelope: field 11: not a message type"},
        {"\x7a\x01p", 3, "envelope: field 15: never sent"},
        {"\x70\x02", 2, "envelope: field 14: not a boolean"},
        {"\x38\xff\xff\xff\xff\x0f", 6, "envelope: field 7: out of range"},
        {"\x48\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 11, "envelope: field 9: cut short"},
        {"\x00", 1, "envelope: field 0: cut short"},
        {"\x83\x02", 2, "envelope: field 32: cut short"},
    };
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        wire_t w;
        why_t why = {0};
        cr_expect_eq(wire_read((bytes_t){(const uint8_t *)rows[i].bytes, rows[i].len}, &w, &why),
                     ERR_MALFORMED, "row %zu", i);
        cr_expect_str_eq(why.text, rows[i].why);
    }
    uint8_t big[WIRE_MAX_BYTES + 1] = {0};
    wire_t w;
    cr_expect_eq(wire_read((bytes_t){big, sizeof big}, &w, NULL), ERR_TOO_LARGE);
    ASSERT_NO_LEAKS();
}

Test(wire, skips_a_few_fields_of_a_newer_peer)
{
    uint8_t frame[256] = TYPE_AND_SEQ;
    size_t len = 5;
    wire_t w;
    for (int i = 0; i < WIRE_UNKNOWN_MAX; i++)
        frame[len++] = 0xf8, frame[len++] = 0x02, frame[len++] = 1;
    cr_assert_eq(wire_read((bytes_t){frame, len}, &w, NULL), ERR_OK);
    cr_assert_eq(w.sequence, 1);
    frame[len++] = 0xf8, frame[len++] = 0x02, frame[len++] = 1;
    cr_assert_eq(wire_read((bytes_t){frame, len}, &w, NULL), ERR_MALFORMED);
    ASSERT_NO_LEAKS();
}

Test(wire, random_bytes_never_crash_it)
{
    rng_t r;
    rng_init(&r, 11);
    for (int i = 0; i < 200000; i++) {
        uint8_t frame[64];
        size_t len = rng_below(&r, sizeof frame);
        for (size_t k = 0; k < len; k++) frame[k] = (uint8_t)rng_next(&r);
        wire_t w;
        why_t why;
        if (wire_read((bytes_t){frame, len}, &w, &why) == ERR_OK) cr_assert_gt(w.sequence, 0);
    }
    ASSERT_NO_LEAKS();
}

Test(lane, stops_at_its_credit_and_goes_on_when_more_comes)
{
    lane_t a, b;
    lane_init(&a), lane_init(&b);
    uint64_t up_to, granted = 0;
    for (int i = 0; i < 10 * LANE_WINDOW; i++) {
        if (!lane_may_send(&a)) cr_assert(lane_credit(&a, granted));
        cr_assert(lane_may_send(&a));
        cr_assert_eq(lane_receive(&b, lane_next(&a)), LANE_IN_ORDER);
        if (lane_grant(&b, &up_to)) granted = up_to;
    }
    // Without credit it ends within one window of the last grant.
    int more = 0;
    for (; lane_may_send(&a); more++) lane_next(&a);
    cr_assert_leq(more, LANE_WINDOW);
    cr_assert_not(lane_credit(&a, a.sent + LANE_WINDOW + 1));
    lane_done(&a), lane_done(&b);
    ASSERT_NO_LEAKS();
}

Test(lane, tells_repeats_gaps_and_overruns_apart)
{
    lane_t l;
    lane_init(&l);
    cr_assert_eq(lane_receive(&l, 1), LANE_IN_ORDER);
    cr_assert_eq(lane_receive(&l, 1), LANE_REPEATED);
    cr_assert_eq(lane_receive(&l, 3), LANE_AFTER_GAP);
    cr_assert_eq(lane_receive(&l, 2), LANE_REPEATED);
    cr_assert_eq(lane_receive(&l, LANE_WINDOW + LANE_SLACK + 1), LANE_OVERRUN);
    cr_assert_eq(lane_receive(&l, UINT64_MAX), LANE_OVERRUN);
    cr_assert_eq(lane_receive(&l, 4), LANE_IN_ORDER);
    ASSERT_NO_LEAKS();
}

Test(lane, refuses_what_its_queue_cannot_hold)
{
    lane_t l;
    lane_init(&l);
    for (int i = 0; i < LANE_QUEUE_MAX; i++) {
        envelope_t *env = envelope_new();
        env->id = (uint64_t)i;
        cr_assert_eq(lane_queue(&l, &env), ERR_OK);
        cr_assert_null(env);
    }
    envelope_t *one_more = envelope_new();
    cr_assert_eq(lane_queue(&l, &one_more), ERR_OVERLOADED);
    cr_assert_not_null(one_more);
    envelope_t *first = lane_pop(&l);
    cr_assert_eq(first->id, 0);
    envelope_destroy(&first);
    cr_assert_eq(lane_queue(&l, &one_more), ERR_OK);
    lane_done(&l);
    cr_assert_eq(l.queued_bytes, 0);
    ASSERT_NO_LEAKS();
}
