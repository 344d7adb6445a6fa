/* Latency events: a second has one sample, its longest; the oldest seconds go. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "server/latency.h"

static void a_second_keeps_its_longest(void **state) {
    (void)state;
    struct latency latency;
    latency_init(&latency);
    latency_note(&latency, LATENCY_COMMAND, 100, 5);
    latency_note(&latency, LATENCY_COMMAND, 100, 9);
    latency_note(&latency, LATENCY_COMMAND, 100, 7);
    latency_note(&latency, LATENCY_COMMAND, 101, 3);
    latency_note(&latency, LATENCY_COMMAND, 99,
                 4); /* another worker's clock: counts as the newest */
    struct latency_series series = latency_series(&latency, LATENCY_COMMAND);
    assert_int_equal(series.count, 2);
    assert_int_equal(series.samples[0].time_s, 100);
    assert_int_equal(series.samples[0].took_ms, 9);
    assert_int_equal(series.samples[1].time_s, 101);
    assert_int_equal(series.samples[1].took_ms, 4);
    assert_int_equal(series.longest_ms, 9);
    assert_int_equal(latency_series(&latency, LATENCY_LOCK_WAIT).count, 0);
    latency_release(&latency);
}

static void the_oldest_seconds_go_but_not_the_record(void **state) {
    (void)state;
    struct latency latency;
    latency_init(&latency);
    for (int i = 0; i < LATENCY_SAMPLES + 10; i++) {
        latency_note(&latency, LATENCY_LOCK_WAIT, i, (uint64_t)(1000 - i));
    }
    struct latency_series series = latency_series(&latency, LATENCY_LOCK_WAIT);
    assert_int_equal(series.count, LATENCY_SAMPLES);
    assert_int_equal(series.samples[0].time_s, 10);
    assert_int_equal(series.samples[LATENCY_SAMPLES - 1].time_s, LATENCY_SAMPLES + 9);
    assert_int_equal(series.longest_ms, 1000);
    assert_true(latency_reset(&latency, LATENCY_LOCK_WAIT));
    assert_false(latency_reset(&latency, LATENCY_LOCK_WAIT));
    assert_int_equal(latency_series(&latency, LATENCY_LOCK_WAIT).longest_ms, 0);
    latency_release(&latency);
}

static void every_event_is_found_by_its_name(void **state) {
    (void)state;
    for (int event = 0; event < LATENCY_EVENTS; event++) {
        const char *name = latency_event_name((enum latency_event)event);
        assert_int_equal(latency_event_find(bytes_of_text(name)), event);
    }
    assert_int_equal(latency_event_find(BYTES("none")), LATENCY_EVENTS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_second_keeps_its_longest),
        cmocka_unit_test(the_oldest_seconds_go_but_not_the_record),
        cmocka_unit_test(every_event_is_found_by_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
