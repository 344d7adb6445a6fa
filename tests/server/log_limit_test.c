/* How often the same kind may be logged: a list of times. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "server/log_limit.h"

static const char one[] = "one", two[] = "two";

static int admit(struct log_limit *limit, const char *kind, int times, int64_t now_ms) {
    int admitted = 0;
    for (int i = 0; i < times; i++) {
        admitted += log_limit_admits(limit, kind, 3, now_ms);
    }
    return admitted;
}

static void a_burst_passes_and_the_rest_is_counted_by_kind(void **state) {
    (void)state;
    struct log_limit limit = {0};
    struct log_limit_rest rest;
    assert_int_equal(admit(&limit, one, 100, 5000), LOG_LIMIT_BURST);
    assert_int_equal(admit(&limit, two, 3, 5000), 3);
    assert_int_equal(admit(&limit, one, 10, 5999), 0);
    assert_false(log_limit_take(&limit, 5999, &rest));
    assert_true(log_limit_holds(&limit));
    assert_true(log_limit_take(&limit, 6000, &rest));
    assert_ptr_equal(rest.kind, one);
    assert_int_equal(rest.level, 3);
    assert_int_equal(rest.count, 110 - LOG_LIMIT_BURST);
    assert_false(log_limit_take(&limit, 6000, &rest));
    assert_false(log_limit_holds(&limit));
}

static void a_new_second_begins_when_the_rest_was_told(void **state) {
    (void)state;
    struct log_limit limit = {0};
    struct log_limit_rest rest;
    assert_int_equal(admit(&limit, one, 6, 0), LOG_LIMIT_BURST);
    /* nobody has told of the sixth: then still nothing passes, so that it isn't forgotten */
    assert_int_equal(admit(&limit, one, 1, 4000), 0);
    assert_true(log_limit_take(&limit, 4000, &rest));
    assert_int_equal(rest.count, 2);
    assert_int_equal(admit(&limit, one, 6, 4000), LOG_LIMIT_BURST);
}

static void a_few_a_second_pass_for_ever(void **state) {
    (void)state;
    struct log_limit limit = {0};
    for (int64_t now_ms = 0; now_ms < 100000; now_ms += LOG_LIMIT_WINDOW_MS) {
        assert_int_equal(admit(&limit, one, LOG_LIMIT_BURST, now_ms), LOG_LIMIT_BURST);
    }
    assert_false(log_limit_holds(&limit));
}

static void kinds_beyond_the_table_are_never_held_back(void **state) {
    (void)state;
    struct log_limit limit = {0};
    static const char names[LOG_LIMIT_KINDS + 1];
    for (int i = 0; i < LOG_LIMIT_KINDS; i++) {
        assert_int_equal(admit(&limit, &names[i], 1, 0), 1);
    }
    assert_int_equal(admit(&limit, &names[LOG_LIMIT_KINDS], 100, 0), 100);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_passes_and_the_rest_is_counted_by_kind),
        cmocka_unit_test(a_new_second_begins_when_the_rest_was_told),
        cmocka_unit_test(a_few_a_second_pass_for_ever),
        cmocka_unit_test(kinds_beyond_the_table_are_never_held_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
