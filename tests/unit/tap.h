/*
 * tap - the smallest test harness that prints TAP.
 *
 *     static void ids_sort_by_time(void) { CHECK(...); }
 *     TESTS(ids_sort_by_time, ...)
 *
 * A test is a function whose name is a sentence. A failed CHECK prints where and what, ends that
 * test, and the next one runs.
 */
#pragma once

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"

struct tap_test {
    const char *name;
    void (*fn)(void);
};

int tap_run(const struct tap_test *tests, unsigned n, int argc, char **argv);
void tap_fail(const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4), noreturn));
void tap_skip(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

/* Whole file below tests/data (or ../shared/fixtures, when that is there); NUL-terminated; caller
 * frees. */
char *test_data(const char *path, size_t *n);
char *test_fixture(const char *path, size_t *n); /* skips the test when fixtures are absent */
bool test_fixtures_present(void);
/* An empty directory, removed at exit. Borrowed. */
const char *test_dir(void);
/* The stand-in for a tool (tests/tools), where any user can run it. Borrowed. */
const char *test_standin(void);

#define CHECK(cond)                                              \
    do {                                                         \
        if (!(cond)) {                                           \
            tap_fail(__FILE__, __LINE__, "not true: %s", #cond); \
        }                                                        \
    } while (0)

#define CHECK_INT(got, want)                                                                    \
    do {                                                                                        \
        int64_t got_ = (int64_t)(got), want_ = (int64_t)(want);                                 \
        if (got_ != want_) {                                                                    \
            tap_fail(__FILE__, __LINE__, "%s is %" PRId64 ", not %" PRId64, #got, got_, want_); \
        }                                                                                       \
    } while (0)

#define CHECK_STR(got, want)                                                                   \
    do {                                                                                       \
        const char *got_ = (got), *want_ = (want);                                             \
        if (!str_eq(got_, want_)) {                                                            \
            tap_fail(__FILE__, __LINE__, "%s is '%s', not '%s'", #got, got_ ? got_ : "(null)", \
                     want_ ? want_ : "(null)");                                                \
        }                                                                                      \
    } while (0)

/* Runs `call`, which must return 0. A variable `struct err e` may be used in it; see ERR. */
extern struct err tap_err;
#define CHECK_OK(call)                                                                     \
    do {                                                                                   \
        int rc_;                                                                           \
        tap_err = (struct err){0};                                                         \
        rc_ = (call);                                                                      \
        if (rc_ != 0) {                                                                    \
            tap_fail(__FILE__, __LINE__, "%s: %s: %s", #call, err_name(rc_), tap_err.msg); \
        }                                                                                  \
    } while (0)
/* Pass this as the err argument inside CHECK_OK and CHECK_ERR. */
#define ERR (&tap_err)
#define CHECK_ERR(call, want)                                                        \
    do {                                                                             \
        int rc_;                                                                     \
        tap_err = (struct err){0};                                                   \
        rc_ = (call);                                                                \
        if (rc_ != (want)) {                                                         \
            tap_fail(__FILE__, __LINE__, "%s gave %s, not %s", #call, err_name(rc_), \
                     err_name(want));                                                \
        }                                                                            \
    } while (0)

#define TAP_ROW_(f) {#f, f},
#define TESTS(...)                                                                        \
    static const struct tap_test tap_tests_[] = {TAP_EACH_(__VA_ARGS__)};                 \
    int main(int argc, char **argv)                                                       \
    {                                                                                     \
        return tap_run(tap_tests_, sizeof tap_tests_ / sizeof tap_tests_[0], argc, argv); \
    }

/* Applies TAP_ROW_ to up to 256 arguments. */
#define TAP_PARENS_       ()
#define TAP_EXPAND_(...)  TAP_E4_(TAP_E4_(TAP_E4_(TAP_E4_(__VA_ARGS__))))
#define TAP_E4_(...)      TAP_E3_(TAP_E3_(TAP_E3_(TAP_E3_(__VA_ARGS__))))
#define TAP_E3_(...)      TAP_E2_(TAP_E2_(TAP_E2_(TAP_E2_(__VA_ARGS__))))
#define TAP_E2_(...)      TAP_E1_(TAP_E1_(TAP_E1_(TAP_E1_(__VA_ARGS__))))
#define TAP_E1_(...)      __VA_ARGS__
#define TAP_EACH_(...)    __VA_OPT__(TAP_EXPAND_(TAP_STEP_(__VA_ARGS__)))
#define TAP_STEP_(f, ...) TAP_ROW_(f) __VA_OPT__(TAP_AGAIN_ TAP_PARENS_(__VA_ARGS__))
#define TAP_AGAIN_()      TAP_STEP_
