#include "runtime/base/check.h"
#include "store/mvcc/heads.h"
#include "tests/support/leaks.h"

Test(heads, knows_what_was_put_last_or_nothing)
{
    heads_t cache = {0}, *heads = &cache;
    enum { KEYS = 2 * HEADS_SLOTS_MAX };
    char key[32];
    head_t head = {0}, got;
    for (int i = 0; i < KEYS; i++) {
        bytes_t at = {(const uint8_t *)key, (size_t)snprintf(key, sizeof key, "key-%d", i)};
        head.mod = i;
        heads_put(heads, at, &head);
        cr_assert(heads_get(heads, at, &got));
        cr_assert_eq(got.mod, i);
    }
    size_t kept = 0;
    for (int i = 0; i < KEYS; i++) {
        bytes_t at = {(const uint8_t *)key, (size_t)snprintf(key, sizeof key, "key-%d", i)};
        if (!heads_get(heads, at, &got)) continue;
        cr_assert_eq(got.mod, i);
        kept++;
    }
    cr_assert(kept > HEADS_SLOTS_MAX * 9 / 10 && kept <= HEADS_SLOTS_MAX);
    char giant[HEADS_KEY_BYTES_MAX + 1] = "giant";
    bytes_t at = {(const uint8_t *)giant, sizeof giant};
    heads_put(heads, at, &head);
    cr_assert_not(heads_get(heads, at, &got));
    heads_done(heads);
    ASSERT_NO_LEAKS();
}
