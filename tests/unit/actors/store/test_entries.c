// The end of the log in memory: what is kept, what is dropped, what stays in step.
#include "actors/store/entries.h"
#include "support/leaks.h"

static void push(entries_t *e, raft_index_t index, size_t bytes) {
    entry_t entry = {.index = index, .term = 1, .data = bytes ? blob_new(bytes) : NULL};
    entries_push(e, &entry);
}

Test(entries, what_is_applied_is_kept_for_peers_as_long_as_it_fits)
{
    entries_t e = {0};
    for (raft_index_t i = 11; i <= 30; i++) push(&e, i, 1 << 20);
    cr_assert_eq(entries_waiting(&e), 20);
    cr_assert_eq(entries_next(&e)->index, 11);
    entries_apply(&e, 15, true);
    cr_assert_eq(entries_next(&e)->index, 26);
    cr_assert_null(entries_at(&e, 17), "8 MiB hold no more than 7 of them");
    cr_assert_not_null(entries_at(&e, 19));
    cr_assert_leq(e.kept_bytes, ENTRIES_KEPT_BYTES);
    cr_assert_not_null(entries_at(&e, 30));
    cr_assert_null(entries_at(&e, 31));
    entries_apply(&e, 5, false); // nobody to keep them for
    cr_assert_eq(entries_len(&e), 0);
    cr_assert_eq(e.kept_bytes + e.waiting_bytes, 0);
    push(&e, 31, 0);
    cr_assert_eq(entries_next(&e)->index, 31);
    entries_done(&e);
    ASSERT_NO_LEAKS();
}

Test(entries, a_truncation_drops_from_there_on_applied_or_not)
{
    entries_t e = {0};
    for (raft_index_t i = 1; i <= 10; i++) push(&e, i, 100);
    entries_apply(&e, 4, true);
    entries_truncate(&e, 8);
    cr_assert_eq(entries_waiting(&e), 3);
    entries_truncate(&e, 3); // a witness takes what it has read for applied
    cr_assert_eq(entries_len(&e), 2);
    cr_assert_eq(entries_waiting(&e), 0);
    cr_assert_eq(e.waiting_bytes, 0);
    push(&e, 3, 100);
    cr_assert_eq(entries_next(&e)->index, 3);
    entries_reset(&e);
    cr_assert_eq(e.kept_bytes + e.waiting_bytes, 0);
    entries_done(&e);
    ASSERT_NO_LEAKS();
}
