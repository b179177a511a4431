// Objects that no hand writes, through everything that a kind does with them: nothing falls over,
// and what must hold of every object holds.
#include "runtime/api/describe.h"
#include "runtime/api/table.h"
#include "support/leaks.h"
#include "support/random_msg.h"

enum { SEEDS = 200 };
#define NOW 1700000000000

typedef void check_fn(arena_t *arena, rng_t *rng, const kind_t *k, ProtobufCMessage *obj,
                      uint64_t seed);

static void for_objects(check_fn *check) {
    static const double densities[] = {0.1, 0.3, 0.6};
    for (size_t i = 0; kind_at(i); i++)
        for (uint64_t seed = 1; seed <= SEEDS; seed++) {
            arena_t arena = {0};
            rng_t rng;
            rng_init(&rng, seed * 1000 + i);
            const kind_t *k = kind_at(i);
            check(&arena, &rng, k, random_msg(&arena, &rng, k->type, densities[seed % 3]), seed);
            arena_done(&arena);
        }
}

static void pass_through(arena_t *arena, rng_t *rng, const kind_t *k, ProtobufCMessage *obj,
                         uint64_t seed) {
    const kind_t *stored = kind_stored(k);
    k->defaults(arena, obj);
    if (k->to_stored) obj = k->to_stored(arena, obj);
    stored->defaults(arena, obj);
    stored->prepare_create(arena, obj);
    field_errors_t errors = {.arena = arena};
    if (stored->validate) stored->validate(obj, NULL, &errors);
    ProtobufCMessage *next = random_msg(arena, rng, stored->type, 0.3);
    stored->defaults(arena, next);
    stored->prepare_update(arena, next, obj);
    if (stored->validate) stored->validate(next, obj, &errors);
    if (stored->prepare_status) stored->prepare_status(arena, next, obj);
    if (stored->validate_status) stored->validate_status(next, obj, &errors);
    for (size_t i = 0; i < errors.len; i++) {
        cr_assert(*errors.at[i].path, "%s seed=%llu", k->name, (unsigned long long)seed);
        cr_assert_null(strstr(errors.at[i].message, "(null)"), "%s", errors.at[i].message);
    }
    if (errors.len)
        cr_assert_eq(status_err(status_invalid(arena, k->group, k->name, "x", &errors)),
                     ERR_INVALID);
}

Test(kinds_random, any_object_is_prepared_and_validated)
{
    for_objects(pass_through);
    ASSERT_NO_LEAKS();
}

static void show(arena_t *arena, rng_t *rng, const kind_t *k, ProtobufCMessage *obj,
                 uint64_t seed) {
    text_t out = {.arena = arena};
    table_options_t options = {
        .wide = true, .with_namespace = true, .show_labels = true, .show_kind = true};
    table_print(arena, k, (const ProtobufCMessage *const *)&obj, 1, NOW, &options, &out);
    describe_print(arena, k, obj, NULL, 0, NULL, NOW, &out);
    cr_assert_null(strstr(text_str(&out), "(null)"), "%s seed=%llu:\n%s", k->name,
                   (unsigned long long)seed, text_str(&out));
}

Test(kinds_random, any_object_is_shown)
{
    for_objects(show);
    ASSERT_NO_LEAKS();
}

static void round_trip(arena_t *arena, rng_t *rng, const kind_t *k, ProtobufCMessage *obj,
                       uint64_t seed) {
    if (!k->to_stored) return;
    ProtobufCMessage *stored = k->to_stored(arena, obj);
    ProtobufCMessage *again = k->to_stored(arena, k->from_stored(arena, stored));
    cr_assert(msg_equal(stored, again), "%s/%s seed=%llu", k->version, k->name,
              (unsigned long long)seed);
}

// Nothing of what is stored is lost on the way to an old version and back.
Test(kinds_random, old_versions_lose_nothing)
{
    for_objects(round_trip);
    ASSERT_NO_LEAKS();
}

static void twice(arena_t *arena, rng_t *rng, const kind_t *k, ProtobufCMessage *obj,
                  uint64_t seed) {
    k->defaults(arena, obj);
    ProtobufCMessage *once = msg_dup(arena, obj);
    k->defaults(arena, obj);
    cr_assert(msg_equal(once, obj), "%s seed=%llu", k->name, (unsigned long long)seed);
}

Test(kinds_random, defaults_are_filled_in_once)
{
    for_objects(twice);
    ASSERT_NO_LEAKS();
}

static void unchanged(arena_t *arena, rng_t *rng, const kind_t *k, ProtobufCMessage *obj,
                      uint64_t seed) {
    if (k->stored_as) return;
    k->defaults(arena, obj);
    k->prepare_create(arena, obj);
    ProtobufCMessage *same = msg_dup(arena, obj);
    k->prepare_update(arena, same, obj);
    // Tolerations of a lost node may be added to a pod that had others of them.
    cr_assert(msg_equal(same, obj), "%s seed=%llu", k->name, (unsigned long long)seed);
}

// A PUT of what is there changes nothing, generation and allocated values included.
Test(kinds_random, an_update_to_the_same_is_no_change)
{
    for_objects(unchanged);
    ASSERT_NO_LEAKS();
}

static void store_and_load(arena_t *arena, rng_t *rng, const kind_t *k, ProtobufCMessage *obj,
                           uint64_t seed) {
    if (k->stored_as) return;
    blob_t *blob = object_encode_stored(obj);
    const ProtobufCMessage *back = object_decode_stored(arena, k, blob_bytes(blob));
    cr_assert(back && msg_equal(back, obj), "%s seed=%llu", k->name, (unsigned long long)seed);
    blob_unref(&blob);
}

Test(kinds_random, what_is_stored_is_loaded)
{
    for_objects(store_and_load);
    ASSERT_NO_LEAKS();
}
