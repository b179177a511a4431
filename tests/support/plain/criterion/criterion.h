// criterion - the small part of Criterion's face that our tests use, for the tsan preset alone:
// Criterion runs tests in processes that share memory at fixed addresses, which are those of
// ThreadSanitizer's shadow, so that it dies before the first test. Here each test is a plain fork.
#pragma once
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct plain_test {
    const char *suite, *name;
    void (*body)(void);
    struct plain_test *next;
    int signal; // it must die by this one; 0: it must end well
    double timeout;
    int exit_code;
    void (*init)(void), (*fini)(void);
    bool disabled;
} plain_test_t;
void plain_add(plain_test_t *test);
void plain_fail(const char *file, int line, const char *what, const char *fmt, ...);

#define Test(s, n, ...)                                                                          \
    static void s##_##n##_body(void);                                                            \
    static plain_test_t s##_##n##_test = {                                                       \
        .suite = #s, .name = #n, .body = s##_##n##_body, ##__VA_ARGS__};                         \
    __attribute__((constructor)) static void s##_##n##_add(void) { plain_add(&s##_##n##_test); } \
    static void s##_##n##_body(void)

// The message may be left out: "" is put in front of whatever is given.
#define PLAIN_CHECK(holds, what, ...) \
    ((holds) ? (void)0 : plain_fail(__FILE__, __LINE__, what, "" __VA_ARGS__))
#define cr_assert(x, ...)           PLAIN_CHECK(x, #x, __VA_ARGS__)
#define cr_assert_not(x, ...)       PLAIN_CHECK(!(x), "!(" #x ")", __VA_ARGS__)
#define cr_assert_null(x, ...)      PLAIN_CHECK((x) == NULL, #x " is null", __VA_ARGS__)
#define cr_assert_not_null(x, ...)  PLAIN_CHECK((x) != NULL, #x " is not null", __VA_ARGS__)
#define cr_assert_eq(a, b, ...)     PLAIN_CHECK((a) == (b), #a " == " #b, __VA_ARGS__)
#define cr_assert_neq(a, b, ...)    PLAIN_CHECK((a) != (b), #a " != " #b, __VA_ARGS__)
#define cr_assert_lt(a, b, ...)     PLAIN_CHECK((a) < (b), #a " < " #b, __VA_ARGS__)
#define cr_assert_leq(a, b, ...)    PLAIN_CHECK((a) <= (b), #a " <= " #b, __VA_ARGS__)
#define cr_assert_gt(a, b, ...)     PLAIN_CHECK((a) > (b), #a " > " #b, __VA_ARGS__)
#define cr_assert_geq(a, b, ...)    PLAIN_CHECK((a) >= (b), #a " >= " #b, __VA_ARGS__)
#define cr_assert_str_eq(a, b, ...) PLAIN_CHECK(strcmp((a), (b)) == 0, #a " reads " #b, __VA_ARGS__)
#define cr_assert_str_neq(a, b, ...) \
    PLAIN_CHECK(strcmp((a), (b)) != 0, #a " reads not " #b, __VA_ARGS__)
#define cr_assert_arr_eq(a, b, size, ...) \
    PLAIN_CHECK(memcmp((a), (b), (size)) == 0, #a " equals " #b, __VA_ARGS__)
#define cr_assert_fail(...) PLAIN_CHECK(false, "never", __VA_ARGS__)
#define cr_skip_test        cr_assert_fail // where this stands in nothing is skipped
#define cr_log_warn(...)    (fprintf(stderr, __VA_ARGS__), fputc(10, stderr))
#define cr_log_info         cr_log_warn
#define cr_expect           cr_assert
#define cr_expect_not       cr_assert_not
#define cr_expect_null      cr_assert_null
#define cr_expect_not_null  cr_assert_not_null
#define cr_expect_eq        cr_assert_eq
#define cr_expect_neq       cr_assert_neq
#define cr_expect_str_eq    cr_assert_str_eq
#define cr_expect_str_neq   cr_assert_str_neq
#define cr_expect_lt        cr_assert_lt
#define cr_expect_leq       cr_assert_leq
#define cr_expect_gt        cr_assert_gt
#define cr_expect_geq       cr_assert_geq
