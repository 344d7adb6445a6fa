/* What is kept of a stream of sampled requests, and for how long. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/samples.h"
#include "shards/base/memory.h"

enum { WINDOW_MAX = 100, STARTED_MS = 1000000 };

struct fixture {
    struct samples *samples;
    struct sample kept[2 * WINDOW_MAX];
    struct random random;
};

static int set_up(void **state) {
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    assert_non_null(fixture);
    fixture->samples = samples_create(WINDOW_MAX, STARTED_MS);
    assert_non_null(fixture->samples);
    random_init(&fixture->random, 20261124);
    *state = fixture;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *fixture = *state;
    samples_destroy(fixture->samples);
    free(fixture);
    return 0;
}

static void note(struct fixture *fixture, struct bytes name, int64_t now_ms) {
    struct sampled sampled = {.key = {name, 0}, .bytes = 10, .hits = 1};
    assert_true(samples_try_begin(fixture->samples, now_ms));
    samples_note(fixture->samples, &sampled, &fixture->random);
    samples_end(fixture->samples);
}

/* The name is the number's bytes. */
static void note_numbers(struct fixture *fixture, uint32_t count, int64_t now_ms) {
    for (uint32_t i = 0; i < count; i++) {
        note(fixture, bytes_of(&i, sizeof i), now_ms);
    }
}

static struct samples_report collect(struct fixture *fixture, int64_t now_ms) {
    struct samples_report report = {.kept = fixture->kept, .since_ms = INT64_MAX};
    assert_int_equal(samples_room(fixture->samples), 2 * WINDOW_MAX);
    samples_collect(fixture->samples, now_ms, &report);
    return report;
}

static double stood_for(const struct samples_report *report) {
    double sum = 0;
    for (uint32_t i = 0; i < report->count; i++) {
        sum += report->kept[i].stands_for;
    }
    return sum;
}

/* ---- What is kept ---------------------------------------------------------------------------- */

static void a_few_are_all_kept(void **state) {
    struct fixture *fixture = *state;
    struct sampled write = {.key = {BYTES("user:7"), 0}, .is_write = true, .bytes = 77};
    struct sampled read = {.key = {BYTES(""), 0}, .bytes = 5, .hits = 0.25f, .misses = 0.5f};
    assert_true(samples_try_begin(fixture->samples, STARTED_MS));
    samples_note(fixture->samples, &write, &fixture->random);
    samples_note(fixture->samples, &read, &fixture->random);
    samples_end(fixture->samples);
    struct samples_report report = collect(fixture, STARTED_MS);
    assert_int_equal(report.count, 2);
    assert_int_equal(report.noted, 2);
    const struct sample *first = &report.kept[0], *second = &report.kept[1];
    assert_int_equal(first->name_size, 6);
    assert_memory_equal(first->name, "user:7", 6);
    assert_true(first->is_write && !second->is_write);
    assert_int_equal(first->bytes, 77);
    assert_true(first->stands_for == SAMPLED_WEIGHT && second->stands_for == SAMPLED_WEIGHT);
    assert_int_equal(second->name_size, 0);
    assert_true(second->hits == 0.25f && second->misses == 0.5f);
}

static void long_names_are_cut(void **state) {
    struct fixture *fixture = *state;
    char name[300];
    memset(name, 'x', sizeof name);
    note(fixture, bytes_of(name, sizeof name), STARTED_MS);
    struct samples_report report = collect(fixture, STARTED_MS);
    assert_int_equal(report.kept[0].name_size, SAMPLES_NAME_MAX);
    assert_memory_equal(report.kept[0].name, name, SAMPLES_NAME_MAX);
}

static void many_take_no_more_memory_and_are_all_stood_for(void **state) {
    struct fixture *fixture = *state;
    size_t before = memory_used();
    note_numbers(fixture, 77777, STARTED_MS);
    assert_int_equal(memory_used(), before);
    struct samples_report report = collect(fixture, STARTED_MS);
    assert_int_equal(report.count, WINDOW_MAX);
    assert_int_equal(report.noted, 77777);
    assert_true(fabs(stood_for(&report) / SAMPLED_WEIGHT - 77777) < 1);
}

/* Each tenth of a stream has a tenth of the places, within five deviations. */
static void early_and_late_ones_are_kept_with_the_same_chance(void **state) {
    struct fixture *fixture = *state;
    enum { STREAMS = 300, LENGTH = 1000, PARTS = 10 };
    uint32_t kept[PARTS] = {0};
    for (int64_t stream = 0; stream < STREAMS; stream++) {
        int64_t now_ms = STARTED_MS + 2 * stream * SAMPLES_WINDOW_MS;
        note_numbers(fixture, LENGTH, now_ms);
        struct samples_report report = collect(fixture, now_ms);
        assert_int_equal(report.count, WINDOW_MAX);
        for (uint32_t i = 0; i < report.count; i++) {
            uint32_t number;
            memcpy(&number, report.kept[i].name, sizeof number);
            kept[number * PARTS / LENGTH]++;
        }
    }
    double fair = (double)STREAMS * WINDOW_MAX / PARTS;
    for (size_t i = 0; i < PARTS; i++) {
        if (fabs(kept[i] - fair) > 5 * sqrt(fair))
            fail_msg("part %zu: kept %u, not %.0f", i, kept[i], fair);
    }
}

/* ---- Time ------------------------------------------------------------------------------------ */

static void a_window_is_kept_until_the_next_is_over(void **state) {
    struct fixture *fixture = *state;
    note_numbers(fixture, 1000, STARTED_MS);
    int64_t second_ms = STARTED_MS + SAMPLES_WINDOW_MS;
    note_numbers(fixture, 10, second_ms);
    struct samples_report report = collect(fixture, second_ms + SAMPLES_WINDOW_MS - 1);
    assert_int_equal(report.count, WINDOW_MAX + 10);
    assert_int_equal(report.noted, 1010);
    assert_int_equal(report.since_ms, STARTED_MS);
    assert_true(fabs(stood_for(&report) / SAMPLED_WEIGHT - 1010) < 1);
    report = collect(fixture, second_ms + SAMPLES_WINDOW_MS);
    assert_int_equal(report.count, 10);
    assert_int_equal(report.since_ms, second_ms);
    report = collect(fixture, second_ms + 2 * SAMPLES_WINDOW_MS);
    assert_int_equal(report.count, 0);
}

static void a_long_rest_forgets_both_windows(void **state) {
    struct fixture *fixture = *state;
    note_numbers(fixture, 10, STARTED_MS);
    note_numbers(fixture, 10, STARTED_MS + SAMPLES_WINDOW_MS);
    note_numbers(fixture, 1, STARTED_MS + 1000 * (int64_t)SAMPLES_WINDOW_MS);
    struct samples_report report = collect(fixture, STARTED_MS + 1000 * (int64_t)SAMPLES_WINDOW_MS);
    assert_int_equal(report.count, 1);
    assert_int_equal(report.since_ms, STARTED_MS + 999 * (int64_t)SAMPLES_WINDOW_MS);
}

static void a_clock_that_is_set_back_loses_nothing(void **state) {
    struct fixture *fixture = *state;
    note_numbers(fixture, 10, STARTED_MS);
    note_numbers(fixture, 5, 0);
    struct samples_report report = collect(fixture, 1);
    assert_int_equal(report.count, 15);
    assert_int_equal(report.since_ms, 0);
    assert_int_equal(collect(fixture, 2 * SAMPLES_WINDOW_MS).count, 0);
}

/* ---- The rest -------------------------------------------------------------------------------- */

static void a_worker_does_not_wait_for_who_holds_the_samples(void **state) {
    struct fixture *fixture = *state;
    assert_true(samples_try_begin(fixture->samples, STARTED_MS));
    assert_false(samples_try_begin(fixture->samples, STARTED_MS));
    samples_end(fixture->samples);
    assert_true(samples_try_begin(fixture->samples, STARTED_MS));
    samples_end(fixture->samples);
}

static void refused_memory_is_no_samples(void **state) {
    (void)state;
    memory_refuse_after(0);
    assert_null(samples_create(WINDOW_MAX, 0));
    memory_refuse_after(-1);
    samples_destroy(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_few_are_all_kept),
        TEST(long_names_are_cut),
        TEST(many_take_no_more_memory_and_are_all_stood_for),
        TEST(early_and_late_ones_are_kept_with_the_same_chance),
        TEST(a_window_is_kept_until_the_next_is_over),
        TEST(a_long_rest_forgets_both_windows),
        TEST(a_clock_that_is_set_back_loses_nothing),
        TEST(a_worker_does_not_wait_for_who_holds_the_samples),
        TEST(refused_memory_is_no_samples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
