/* What LATENCY GRAPH draws, letter by letter as Redis 7.0 drew the same samples. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "server/latency_graph.h"

#define LINE "--------------------------------------------------------------------------------\n"

static void add(struct latency_series *series, int64_t time_s, uint64_t took_ms) {
    assert_true(series->count < LATENCY_SAMPLES);
    series->samples[series->count++] = (struct latency_sample){time_s, took_ms};
    if (took_ms > series->longest_ms) series->longest_ms = took_ms;
}

static void assert_graph(const struct latency_series *series, int64_t now_s, const char *expected) {
    struct text text = {0};
    latency_graph_write(series, now_s, &text);
    text_add(&text, bytes_of("", 1));
    assert_string_equal(text.data, expected);
    text_release(&text);
}

static void a_row_has_three_heights(void **state) {
    (void)state;
    struct latency_series series = {0};
    static const uint64_t took_ms[] = {3, 12, 5, 44, 20, 1, 90, 30, 60, 75};
    static const int64_t ages_s[] = {11, 10, 9, 8, 7, 6, 5, 4, 2, 1};
    for (size_t i = 0; i < sizeof(took_ms) / sizeof(took_ms[0]); i++) {
        add(&series, 1000 - ages_s[i], took_ms[i]);
    }
    assert_graph(&series, 1000,
                 "high 90 ms, low 1 ms (all time high 90 ms)\n" LINE "      #  _\n"
                 "      | o|\n"
                 "   #  |_||\n"
                 "_o_|#_||||\n"
                 "          \n"
                 "1198765421\n"
                 "10ssssssss\n"
                 "ss        \n");
}

static void equal_samples_lie_on_the_ground(void **state) {
    (void)state;
    struct latency_series series = {0};
    add(&series, 50, 20);
    add(&series, 51, 20);
    series.longest_ms = 33;
    assert_graph(&series, 51,
                 "high 20 ms, low 20 ms (all time high 33 ms)\n" LINE "  \n  \n  \n__\n  \n"
                 "10\nss\n");
}

static void ages_have_the_longest_unit_that_fits(void **state) {
    (void)state;
    struct latency_series series = {0};
    static const int64_t ages_s[] = {101 * 86400, 86400, 86399, 3600, 3599, 60, 59, 0, -1};
    for (size_t i = 0; i < sizeof(ages_s) / sizeof(ages_s[0]); i++) {
        add(&series, 10000000 - ages_s[i], 1);
    }
    assert_graph(&series, 10000000,
                 "high 1 ms, low 1 ms (all time high 1 ms)\n" LINE
                 "         \n         \n         \n_________\n         \n"
                 "912151500\n9d3h9m9ss\nd h m s  \n");
}

static void what_is_wider_than_a_line_goes_on_below(void **state) {
    (void)state;
    struct latency_series series = {0};
    for (int i = 0; i < 82; i++) {
        add(&series, 100, i < 80 ? 1 : 2);
    }
    struct text text = {0};
    latency_graph_write(&series, 100, &text);
    text_add(&text, bytes_of("", 1));
    assert_non_null(strstr(text.data, "ssss\n\n##\n||\n||\n||\n  \n00\nss\n"));
    text_release(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_has_three_heights),
        cmocka_unit_test(equal_samples_lie_on_the_ground),
        cmocka_unit_test(ages_have_the_longest_unit_that_fits),
        cmocka_unit_test(what_is_wider_than_a_line_goes_on_below),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
