/* How late: buckets and percentiles. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "shards/lateness.h"

static void a_percentile_is_an_eighth_too_much_at_most(void **state) {
    (void)state;
    static struct lateness lateness;
    for (int64_t ms = 0; ms < 100000; ms = ms * 9 / 8 + 1) {
        lateness_reset(&lateness);
        lateness_add(&lateness, ms);
        lateness_add(&lateness, ms);
        lateness_add(&lateness, INT64_MAX);
        struct lateness_sum sum = {0};
        lateness_merge(&sum, &lateness);
        assert_in_range(lateness_percentile(&sum, 50), ms, ms + ms / 8);
        assert_int_equal(lateness_percentile(&sum, 100), INT64_MAX);
    }
}

static void sums_are_over_all_that_are_merged(void **state) {
    (void)state;
    static struct lateness early, late;
    struct lateness_sum sum = {0};
    lateness_reset(&early);
    lateness_reset(&late);
    lateness_merge(&sum, &early);
    assert_int_equal(lateness_percentile(&sum, 50), 0);
    for (int i = 0; i < 98; i++) {
        lateness_add(&early, -3); /* as good as in time */
    }
    lateness_add(&late, 700);
    lateness_add(&late, 900);
    lateness_merge(&sum, &early);
    lateness_merge(&sum, &late);
    assert_int_equal(sum.total, 100);
    assert_int_equal(lateness_percentile(&sum, 50), 0);
    assert_int_equal(lateness_percentile(&sum, 97), 0);
    assert_in_range(lateness_percentile(&sum, 98.5), 700, 900);
    assert_int_equal(lateness_percentile(&sum, 100), 900);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_percentile_is_an_eighth_too_much_at_most),
        cmocka_unit_test(sums_are_over_all_that_are_merged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
