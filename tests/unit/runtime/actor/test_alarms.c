#include "runtime/actor/alarms.h"
#include "runtime/base/rng.h"
#include "support/leaks.h"
#include <signal.h>

// Against a plain array: whatever is set, moved and cancelled, the earliest comes first, and of
// two of the same moment the one that was set first.
Test(alarms, ring_in_order_of_time_and_then_of_setting)
{
    enum { LEN = 64 };
    for (uint64_t seed = 1; seed <= 50; seed++) {
        rng_t dice;
        rng_init(&dice, seed);
        alarms_t alarms = {0};
        alarm_t all[LEN];
        for (size_t i = 0; i < LEN; i++) alarm_init(&all[i], ALARM_TIMER, NULL, i);
        for (int act = 0; act < 2000; act++) {
            alarm_t *a = &all[rng_below(&dice, LEN)];
            if (rng_chance(&dice, 0.3))
                alarms_cancel(&alarms, a);
            else
                alarms_set(&alarms, a, (int64_t)rng_below(&dice, 20));
            const alarm_t *best = NULL;
            for (size_t i = 0; i < LEN; i++) {
                if (all[i].slot == ALARM_OFF) continue;
                bool before = !best || all[i].at_us < best->at_us ||
                              (all[i].at_us == best->at_us && all[i].order < best->order);
                if (before) best = &all[i];
            }
            cr_assert_eq(alarms_first(&alarms), best);
        }
        alarms_done(&alarms);
    }
    ASSERT_NO_LEAKS();
}

Test(canary, asserts_are_alive, .signal = SIGABRT)
{
    alarms_t alarms = {0};
    alarm_t a;
    alarm_init(&a, ALARM_TIMER, NULL, 1);
    a.slot = 3; // not where it says
    alarms_cancel(&alarms, &a);
}
