/* Events a second, as they were counted. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "server/rate.h"

static void a_steady_stream_shows_its_rate_however_irregular_the_looks(void **state) {
    (void)state;
    struct rate rate = {0};
    int64_t now_ms = 5000;
    rate_update(&rate, 700, now_ms); /* what came before the first look has no rate */
    assert_int_equal(rate_per_second(&rate), 0);
    for (int i = 1; i < 200; i++) {
        now_ms += i % 7 == 0 ? 500 : 100;
        rate_update(&rate, (uint64_t)(700 + (now_ms - 5000) * 3), now_ms);
    }
    assert_in_range(rate_per_second(&rate), 2990, 3010);
}

static void a_stream_that_ends_is_forgotten_within_seconds(void **state) {
    (void)state;
    struct rate rate = {0};
    rate_update(&rate, 0, 1000);
    rate_update(&rate, 100000, 3000);
    assert_int_equal(rate_per_second(&rate), 50000);
    for (int64_t now_ms = 3100; now_ms <= 13000; now_ms += 100) {
        rate_update(&rate, 100000, now_ms);
    }
    assert_in_range(rate_per_second(&rate), 0, 200);
    rate_update(&rate, 100000, 15000);
    assert_int_equal(rate_per_second(&rate), 0);
}

static void a_counter_that_was_reset_counts_from_there(void **state) {
    (void)state;
    struct rate rate = {0};
    rate_update(&rate, 1000000, 1000);
    rate_update(&rate, 4000, 3000);
    assert_int_equal(rate_per_second(&rate), 2000);
}

static void a_second_look_at_the_same_time_changes_nothing(void **state) {
    (void)state;
    struct rate rate = {0};
    rate_update(&rate, 0, 1000);
    rate_update(&rate, 1000, 3000);
    rate_update(&rate, 2000, 3000);
    assert_int_equal(rate_per_second(&rate), 500);
    rate_update(&rate, 3000, 5000);
    assert_int_equal(rate_per_second(&rate), 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_steady_stream_shows_its_rate_however_irregular_the_looks),
        cmocka_unit_test(a_stream_that_ends_is_forgotten_within_seconds),
        cmocka_unit_test(a_counter_that_was_reset_counts_from_there),
        cmocka_unit_test(a_second_look_at_the_same_time_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
