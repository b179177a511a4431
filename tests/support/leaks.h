// leaks - a leak check that fails the test. Criterion counts a leaking test as passed unless the
// body itself asks, so each body asks last.
#pragma once
#include <criterion/criterion.h>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#define ASSERT_NO_LEAKS() \
    cr_assert_eq(__lsan_do_recoverable_leak_check(), 0, "the test left memory behind")
#else
#define ASSERT_NO_LEAKS() ((void)0)
#endif
