/* Which version is older: a successor mustn't be. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "server/takeover/version.h"

static void numbers_are_compared_from_the_left(void **state) {
    (void)state;
    assert_true(version_is_older("0.1.0", "0.2.0"));
    assert_true(version_is_older("0.9.0", "0.10.0"));
    assert_true(version_is_older("0.1.9", "1.0.0"));
    assert_false(version_is_older("1.0.0", "0.9.9"));
    assert_false(version_is_older("0.1.0", "0.1.0"));
    assert_false(version_is_older("0.2", "0.1.7"));
}

static void what_is_missing_or_no_number_is_nothing(void **state) {
    (void)state;
    assert_false(version_is_older("1.2", "1.2.0"));
    assert_true(version_is_older("1.2", "1.2.1"));
    assert_true(version_is_older("", "0.0.1"));
    assert_true(version_is_older("rubbish", "0.1.0"));
    assert_false(version_is_older("", ""));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_compared_from_the_left),
        cmocka_unit_test(what_is_missing_or_no_number_is_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
