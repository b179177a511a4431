// workqueue: which key comes out, and when. The test holds the clock.
#include "runtime/actor/workqueue.h"
#include "runtime/base/rng.h"
#include "tests/support/leaks.h"
#include <criterion/criterion.h>
#include <signal.h>

static workqueue_t new_queue(void) {
    workqueue_t q;
    workqueue_init(&q, 0, 0);
    return q;
}

Test(workqueue, a_key_comes_once_however_often_it_is_added)
{
    workqueue_t q = new_queue();
    workqueue_add(&q, "a");
    workqueue_add(&q, "b");
    workqueue_add(&q, "a");
    cr_assert_str_eq(workqueue_next(&q, 0), "a");
    cr_assert_str_eq(workqueue_next(&q, 0), "b");
    cr_assert_null(workqueue_next(&q, 0));
    workqueue_finish(&q, "a");
    workqueue_finish(&q, "b");
    cr_assert_null(workqueue_next(&q, 0));
    cr_assert_eq(map_len(&q.items), 0);
    workqueue_done_all(&q);
    ASSERT_NO_LEAKS();
}

Test(workqueue, what_is_added_while_processed_comes_again_when_done)
{
    workqueue_t q = new_queue();
    workqueue_add(&q, "a");
    workqueue_next(&q, 0);
    workqueue_add(&q, "a");
    cr_assert_null(workqueue_next(&q, 0));
    workqueue_finish(&q, "a");
    cr_assert_str_eq(workqueue_next(&q, 0), "a");
    workqueue_finish(&q, "a");
    cr_assert_null(workqueue_next(&q, 0));
    workqueue_done_all(&q);
    ASSERT_NO_LEAKS();
}

Test(workqueue, the_earlier_of_two_delays_wins)
{
    workqueue_t q = new_queue();
    workqueue_add_after(&q, "a", 100, 50);
    workqueue_add_after(&q, "a", 100, 20);
    workqueue_add_after(&q, "a", 100, 70);
    cr_assert_eq(workqueue_deadline_ms(&q), 120);
    cr_assert_null(workqueue_next(&q, 119));
    cr_assert_str_eq(workqueue_next(&q, 120), "a");
    workqueue_finish(&q, "a");
    cr_assert_eq(workqueue_deadline_ms(&q), INT64_MAX);
    workqueue_done_all(&q);
    ASSERT_NO_LEAKS();
}

Test(workqueue, an_undelayed_add_takes_a_waiting_key_out_of_its_wait)
{
    workqueue_t q = new_queue();
    workqueue_add_after(&q, "a", 0, 1000);
    workqueue_add(&q, "a");
    cr_assert_eq(workqueue_deadline_ms(&q), 0);
    cr_assert_str_eq(workqueue_next(&q, 0), "a");
    workqueue_finish(&q, "a");
    cr_assert_null(workqueue_next(&q, 5000));
    workqueue_done_all(&q);
    ASSERT_NO_LEAKS();
}

Test(workqueue, failing_keys_wait_twice_as_long_each_time_up_to_the_limit)
{
    workqueue_t q = new_queue();
    workqueue_init(&q, 10, 100);
    int64_t now = 0;
    static const int64_t waits[] = {10, 20, 40, 80, 100, 100};
    for (size_t i = 0; i < LENGTH_OF(waits); i++) {
        workqueue_add_limited(&q, "a", now);
        cr_assert_eq(workqueue_deadline_ms(&q), now + waits[i], "step %zu", i);
        now += waits[i];
        cr_assert_str_eq(workqueue_next(&q, now), "a");
        workqueue_finish(&q, "a");
    }
    cr_assert_eq(workqueue_failures(&q, "a"), LENGTH_OF(waits));
    workqueue_forget(&q, "a");
    workqueue_add_limited(&q, "a", now);
    cr_assert_eq(workqueue_deadline_ms(&q), now + 10);
    workqueue_done_all(&q);
    ASSERT_NO_LEAKS();
}

Test(workqueue, a_delay_asked_for_while_processing_starts_when_done)
{
    workqueue_t q = new_queue();
    workqueue_add(&q, "a");
    workqueue_next(&q, 0);
    workqueue_add_after(&q, "a", 0, 30);
    workqueue_finish(&q, "a");
    cr_assert_eq(workqueue_deadline_ms(&q), 30);
    workqueue_done_all(&q);
    ASSERT_NO_LEAKS();
}

// Whatever is asked, nothing is lost and nothing comes early.
Test(workqueue, random_adds_all_come_out_in_time)
{
    for (uint64_t seed = 1; seed <= 50; seed++) {
        rng_t rng;
        rng_init(&rng, seed);
        workqueue_t q = new_queue();
        int64_t due[26];
        for (int i = 0; i < 26; i++) due[i] = INT64_MAX;
        for (int64_t now = 0; now < 400; now++) {
            char key[2] = {(char)('a' + rng_below(&rng, 26)), 0};
            if (now < 200) {
                int64_t delay = rng_between(&rng, 0, 50);
                int64_t *slot = &due[key[0] - 'a'];
                workqueue_add_after(&q, key, now, delay);
                if (now + delay < *slot) *slot = now + delay;
            }
            for (const char *next; (next = workqueue_next(&q, now));) {
                cr_assert_eq(due[next[0] - 'a'], now, "seed %llu", (unsigned long long)seed);
                due[next[0] - 'a'] = INT64_MAX;
                workqueue_finish(&q, next);
            }
        }
        for (int i = 0; i < 26; i++) cr_assert_eq(due[i], INT64_MAX);
        workqueue_done_all(&q);
    }
    ASSERT_NO_LEAKS();
}

Test(canary, asserts_are_alive, .signal = SIGABRT)
{
    workqueue_t q = new_queue();
    workqueue_finish(&q, "never taken");
}
