// packed: against unpacking, setting and packing, for objects filled at random.
#include "k8s/core_v1.pb-c.h"
#include "runtime/api/kinds.h"
#include "runtime/api/packed.h"
#include "tests/support/leaks.h"
#include "tests/support/random_msg.h"
#include <criterion/criterion.h>

Test(packed, a_revision_is_set_as_if_the_object_were_unpacked)
{
    rng_t rng;
    rng_init(&rng, 7);
    const kind_t *k;
    for (size_t i = 0; (k = kind_at(i)); i++) {
        arena_t arena = {0};
        ProtobufCMessage *obj = random_msg(&arena, &rng, k->type, 0.3);
        Meta__ObjectMeta *meta = object_meta(&arena, obj);
        meta->name = k->name; // what has none is never stored
        if (i % 3) meta->resourceversion = NULL;
        int64_t revision = (int64_t)(rng_next(&rng) >> rng_below(&rng, 64) >> 1);
        bytes_t before = msg_pack(&arena, obj);
        blob_t *got = packed_with_revision(before, revision);
        meta->resourceversion = arena_printf(&arena, "%lld", (long long)revision);
        bytes_t want = msg_pack(&arena, obj);
        cr_assert(got && bytes_eq(blob_bytes(got), want), "%s", k->name);
        blob_unref(&got);
        arena_done(&arena);
    }
    ASSERT_NO_LEAKS();
}

Test(packed, fields_are_found_by_number)
{
    arena_t arena = {0};
    Core__Pod *pod = MSG_NEW(&arena, Core__Pod, core__pod__descriptor);
    object_meta(&arena, &pod->base)->name = "a";
    pod->spec = MSG_NEW(&arena, Core__PodSpec, core__pod_spec__descriptor);
    bytes_t packed = msg_pack(&arena, &pod->base);
    cr_assert_null(packed_at(packed_at(packed, 2), 10).at);
    pod->spec->nodename = "node-1";
    packed = msg_pack(&arena, &pod->base);
    cr_assert(bytes_eq(packed_at(packed_at(packed, 2), 10), bytes_of_str("node-1")));
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

Test(packed, what_is_no_object_is_refused)
{
    static const struct {
        const char *bytes;
        size_t len;
    } rows[] = {
        {"", 0},
        {"\x0a", 1},       // a length is missing
        {"\x0a\x05xy", 4}, // and is too long here
        {"\x12\x01x", 3},  // no metadata in front
        {"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12},
        {"\x00\x00", 2},
    };
    for (size_t i = 0; i < LENGTH_OF(rows); i++)
        cr_assert_null(packed_with_revision((bytes_t){(const uint8_t *)rows[i].bytes, rows[i].len},
                                            1),
                       "row %zu", i);
    ASSERT_NO_LEAKS();
}
