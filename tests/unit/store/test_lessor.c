#include "store/lessor.h"
#include "tests/support/leaks.h"

Test(lessor, the_earliest_deadline_comes_first_and_is_due_once)
{
    lessor_t l = {0};
    lessor_put(&l, 7, 300, 1000);
    lessor_put(&l, 3, 100, 1000);
    lessor_put(&l, 9, 200, 1000);
    cr_assert_eq(lessor_deadline_ms(&l), 1100);
    cr_assert_eq(lessor_due(&l, 1099), 0);
    cr_assert_eq(lessor_due(&l, 1100), 3);
    lessor_find(&l, 3)->revoking = true;
    cr_assert_eq(lessor_due(&l, 1150), 0);
    cr_assert_eq(lessor_deadline_ms(&l), 1200);
    lessor_remove(&l, 3);
    cr_assert_null(lessor_find(&l, 3));
    lessor_put(&l, 9, 200, 1150); // kept alive
    cr_assert_eq(lessor_deadline_ms(&l), 1300);
    cr_assert_eq(lessor_due(&l, 1300), 7);
    lessor_done(&l);
    cr_assert_eq(lessor_deadline_ms(&l), INT64_MAX);
    ASSERT_NO_LEAKS();
}
