/* The hot keys of a stream whose true counts are known. A note stands for SAMPLED_WEIGHT requests: here, for
 * exactly so many. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/hotkeys.h"
#include "shards/base/hash.h"
#include "shards/base/memory.h"

enum { SKETCHES = 3, KEYS = 20000, NOTES = 200000 };

struct fixture {
    struct hotkeys *sketches[SKETCHES];
    struct hotkeys_report report;
    struct random random;
    uint64_t truth[KEYS]; /* requests of each key */
};

static int set_up(void **state) {
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    assert_non_null(fixture);
    for (size_t i = 0; i < SKETCHES; i++) {
        fixture->sketches[i] = hotkeys_create(0);
        assert_non_null(fixture->sketches[i]);
        hotkeys_validate(fixture->sketches[i]);
    }
    fixture->report.keys = calloc((size_t)SKETCHES * HOTKEYS_MAX, sizeof(struct hotkey));
    assert_non_null(fixture->report.keys);
    random_init(&fixture->random, 20261124);
    *state = fixture;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *fixture = *state;
    for (size_t i = 0; i < SKETCHES; i++) {
        hotkeys_destroy(fixture->sketches[i]);
    }
    free(fixture->report.keys);
    free(fixture);
    return 0;
}

static void note_access(struct hotkeys *hotkeys, struct bytes name, bool is_write, int64_t now_ms) {
    struct sampled sampled = {
        .key = {name, hash_seeded(name, 7)},
        .is_write = is_write,
        .bytes = 10,
    };
    assert_true(hotkeys_try_begin(hotkeys, now_ms));
    hotkeys_note(hotkeys, &sampled);
    hotkeys_end(hotkeys);
}

static void note(struct hotkeys *hotkeys, const char *name, size_t times, int64_t now_ms) {
    for (size_t i = 0; i < times; i++) {
        note_access(hotkeys, bytes_of_text(name), false, now_ms);
    }
}

static void note_number(struct fixture *fixture, size_t sketch, uint64_t number) {
    char name[32];
    int size = snprintf(name, sizeof name, "key:%llu", (unsigned long long)number);
    note_access(fixture->sketches[sketch], bytes_of(name, (size_t)size), number % 2 != 0, 0);
    fixture->truth[number] += SAMPLED_WEIGHT;
}

/* Zipf's law with exponent 1, in a continuous form: the n-th key comes about 1/n as often as the first. */
static uint64_t draw_zipf(struct fixture *fixture) {
    double uniform = (double)(random_next(&fixture->random) >> 11) * 0x1p-53;
    uint64_t number = (uint64_t)exp(uniform * log(KEYS)) - 1;
    return number < KEYS ? number : KEYS - 1;
}

static const struct hotkeys_report *ask(struct fixture *fixture, size_t sketches, int64_t now_ms) {
    fixture->report = (struct hotkeys_report){.keys = fixture->report.keys};
    for (size_t i = 0; i < sketches; i++) {
        hotkeys_collect(fixture->sketches[i], now_ms, &fixture->report);
    }
    hotkeys_rank(&fixture->report);
    return &fixture->report;
}

static uint64_t requests_of(const struct hotkey *key) {
    return key->reads + key->writes;
}

static uint64_t number_of(const struct hotkey *key) {
    char name[32] = "";
    assert_in_range(key->name_size, 5, sizeof name - 1);
    memcpy(name, key->name, key->name_size);
    return strtoull(name + strlen("key:"), NULL, 10);
}

static void expect_key(const struct hotkey *key, const char *name, uint64_t notes) {
    assert_int_equal(key->name_size, strlen(name));
    assert_memory_equal(key->name, name, strlen(name));
    assert_int_equal(requests_of(key), notes * SAMPLED_WEIGHT);
}

/* ---- One sketch ------------------------------------------------------------------------------ */

static void a_few_keys_are_counted_exactly(void **state) {
    struct fixture *fixture = *state;
    struct hotkeys *hotkeys = fixture->sketches[0];
    note(hotkeys, "a", 3, 0);
    note(hotkeys, "b", 5, 0);
    note(hotkeys, "", 1, 0);
    note_access(hotkeys, BYTES("b"), true, 0);
    const struct hotkeys_report *report = ask(fixture, 1, 0);
    assert_int_equal(report->count, 3);
    assert_int_equal(report->requests, 10 * SAMPLED_WEIGHT);
    expect_key(&report->keys[0], "b", 6);
    assert_int_equal(report->keys[0].writes, SAMPLED_WEIGHT);
    assert_int_equal(report->keys[0].bytes, 60 * SAMPLED_WEIGHT);
    expect_key(&report->keys[1], "a", 3);
    expect_key(&report->keys[2], "", 1);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(report->keys[i].unseen, 0);
    }
}

static void a_key_of_another_database_is_another_key(void **state) {
    struct fixture *fixture = *state;
    struct hotkeys *hotkeys = fixture->sketches[0];
    struct sampled sampled = {.key = {BYTES("a"), 99}, .database = 1};
    note(hotkeys, "a", 2, 0);
    assert_true(hotkeys_try_begin(hotkeys, 0));
    hotkeys_note(hotkeys, &sampled);
    sampled.database = 2;
    hotkeys_note(hotkeys, &sampled);
    hotkeys_end(hotkeys);
    hotkeys_validate(hotkeys);
    assert_int_equal(ask(fixture, 1, 0)->count, 3);
}

static void long_names_are_told_apart_and_cut(void **state) {
    struct fixture *fixture = *state;
    char name[2 * HOTKEYS_NAME_MAX];
    memset(name, 'x', sizeof name);
    note_access(fixture->sketches[0], bytes_of(name, sizeof name), false, 0);
    name[sizeof name - 1] = 'y';
    note_access(fixture->sketches[0], bytes_of(name, sizeof name), false, 0);
    note_access(fixture->sketches[0], bytes_of(name, HOTKEYS_NAME_MAX), false, 0);
    const struct hotkeys_report *report = ask(fixture, 1, 0);
    assert_int_equal(report->count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(hotkey_name(&report->keys[i]).size, HOTKEYS_NAME_MAX);
    }
}

static void the_ten_hottest_of_a_zipf_stream_are_found_in_order(void **state) {
    struct fixture *fixture = *state;
    for (size_t i = 0; i < NOTES; i++) {
        note_number(fixture, 0, draw_zipf(fixture));
    }
    hotkeys_validate(fixture->sketches[0]);
    const struct hotkeys_report *report = ask(fixture, 1, 0);
    assert_int_equal(report->requests, (uint64_t)NOTES * SAMPLED_WEIGHT);
    for (uint64_t i = 0; i < 10; i++) {
        assert_int_equal(number_of(&report->keys[i]), i);
    }
}

/* Space-Saving's promise. */
static void expect_bounds(const struct fixture *fixture) {
    const struct hotkeys_report *report = &fixture->report;
    bool *is_known = calloc(KEYS, sizeof(*is_known));
    assert_non_null(is_known);
    for (uint32_t i = 0; i < report->count; i++) {
        const struct hotkey *key = &report->keys[i];
        uint64_t truth = fixture->truth[number_of(key)];
        assert_true(requests_of(key) <= truth);
        assert_true(truth <= requests_of(key) + (uint64_t)key->unseen);
        assert_false(is_known[number_of(key)]); /* merged */
        is_known[number_of(key)] = true;
    }
    for (size_t i = 0; i < KEYS; i++) {
        if (!is_known[i]) assert_true(fixture->truth[i] <= report->unseen);
    }
    free(is_known);
}

static void what_may_be_unseen_bounds_the_truth(void **state) {
    struct fixture *fixture = *state;
    for (size_t i = 0; i < NOTES; i++) {
        note_number(fixture, 0, draw_zipf(fixture));
        if (i % 10007 != 0) continue;
        hotkeys_validate(fixture->sketches[0]);
        ask(fixture, 1, 0);
        expect_bounds(fixture);
    }
    assert_true(fixture->report.unseen <= (uint64_t)NOTES * SAMPLED_WEIGHT / HOTKEYS_MAX);
}

static void a_hot_key_is_first_among_many_that_come_once(void **state) {
    struct fixture *fixture = *state;
    for (uint64_t i = 0; i < KEYS; i++) {
        note_number(fixture, 0, i);
        if (i % 100 == 0) note(fixture->sketches[0], "hot", 2, 0);
    }
    const struct hotkey *first = &ask(fixture, 1, 0)->keys[0];
    assert_memory_equal(first->name, "hot", 3);
    assert_true(requests_of(first) + (uint64_t)first->unseen >= KEYS / 50 * SAMPLED_WEIGHT);
}

static void a_stream_of_any_length_takes_no_more_memory(void **state) {
    struct fixture *fixture = *state;
    size_t before = memory_used();
    for (uint64_t i = 0; i < KEYS; i++) {
        note_number(fixture, 0, i);
    }
    assert_int_equal(memory_used(), before);
    assert_true(ask(fixture, 1, 0)->count <= HOTKEYS_MAX);
}

/* ---- Several --------------------------------------------------------------------------------- */

static void what_several_workers_know_adds_up(void **state) {
    struct fixture *fixture = *state;
    note(fixture->sketches[0], "a", 3, 0);
    note(fixture->sketches[1], "b", 4, 0);
    note(fixture->sketches[2], "a", 2, 0);
    const struct hotkeys_report *report = ask(fixture, 3, 0);
    assert_int_equal(report->count, 2);
    expect_key(&report->keys[0], "a", 5);
    expect_key(&report->keys[1], "b", 4);
}

static void merged_sketches_keep_the_bounds(void **state) {
    struct fixture *fixture = *state;
    for (size_t i = 0; i < NOTES; i++) {
        note_number(fixture, (size_t)random_below(&fixture->random, SKETCHES), draw_zipf(fixture));
    }
    const struct hotkeys_report *report = ask(fixture, SKETCHES, 0);
    expect_bounds(fixture);
    for (uint64_t i = 0; i < 10; i++) {
        assert_int_equal(number_of(&report->keys[i]), i);
    }
}

/* ---- Time ------------------------------------------------------------------------------------ */

static void everything_halves_when_its_time_has_passed(void **state) {
    struct fixture *fixture = *state;
    note(fixture->sketches[0], "a", 8, 0);
    expect_key(&ask(fixture, 1, HOTKEYS_HALVING_MS - 1)->keys[0], "a", 8);
    const struct hotkeys_report *report = ask(fixture, 1, HOTKEYS_HALVING_MS);
    expect_key(&report->keys[0], "a", 4);
    assert_int_equal(report->keys[0].bytes, 40 * SAMPLED_WEIGHT);
    assert_int_equal(report->requests, 4 * SAMPLED_WEIGHT);
    expect_key(&ask(fixture, 1, 3 * HOTKEYS_HALVING_MS + 1)->keys[0], "a", 1);
    hotkeys_validate(fixture->sketches[0]);
}

static void a_key_that_rests_is_overtaken_and_then_forgotten(void **state) {
    struct fixture *fixture = *state;
    note(fixture->sketches[0], "old", 1000, 0);
    note(fixture->sketches[0], "new", 10, 10 * HOTKEYS_HALVING_MS);
    const struct hotkeys_report *report = ask(fixture, 1, 10 * HOTKEYS_HALVING_MS);
    expect_key(&report->keys[0], "new", 10);
    assert_int_equal(report->count, 2);
    assert_int_equal(ask(fixture, 1, 1000 * HOTKEYS_HALVING_MS)->count, 0);
    hotkeys_validate(fixture->sketches[0]);
}

static void ageing_keeps_the_bounds(void **state) {
    struct fixture *fixture = *state;
    for (size_t i = 0; i < NOTES; i++) {
        note_number(fixture, 0, draw_zipf(fixture));
    }
    ask(fixture, 1, HOTKEYS_HALVING_MS);
    hotkeys_validate(fixture->sketches[0]);
    for (size_t i = 0; i < KEYS; i++) {
        fixture->truth[i] /= 2; /* SAMPLED_WEIGHT is even */
    }
    expect_bounds(fixture);
}

static void a_clock_that_is_set_back_loses_nothing(void **state) {
    struct fixture *fixture = *state;
    hotkeys_reset(fixture->sketches[0], 100 * HOTKEYS_HALVING_MS);
    note(fixture->sketches[0], "a", 8, 100 * HOTKEYS_HALVING_MS);
    note(fixture->sketches[0], "a", 8, 0);
    expect_key(&ask(fixture, 1, 1)->keys[0], "a", 16);
    expect_key(&ask(fixture, 1, HOTKEYS_HALVING_MS)->keys[0], "a", 8);
}

/* ---- The rest -------------------------------------------------------------------------------- */

static void a_reset_forgets_everything(void **state) {
    struct fixture *fixture = *state;
    for (uint64_t i = 0; i < KEYS; i++) {
        note_number(fixture, 0, i);
    }
    hotkeys_reset(fixture->sketches[0], 0);
    hotkeys_validate(fixture->sketches[0]);
    const struct hotkeys_report *report = ask(fixture, 1, 0);
    assert_int_equal(report->count, 0);
    assert_int_equal(report->requests, 0);
    assert_int_equal(report->unseen, 0);
    note(fixture->sketches[0], "a", 1, 0);
    expect_key(&ask(fixture, 1, 0)->keys[0], "a", 1);
}

static void a_worker_does_not_wait_for_who_holds_the_sketch(void **state) {
    struct fixture *fixture = *state;
    assert_true(hotkeys_try_begin(fixture->sketches[0], 0));
    assert_false(hotkeys_try_begin(fixture->sketches[0], 0));
    hotkeys_end(fixture->sketches[0]);
    assert_true(hotkeys_try_begin(fixture->sketches[0], 0));
    hotkeys_end(fixture->sketches[0]);
}

static void refused_memory_is_no_sketch(void **state) {
    (void)state;
    memory_refuse_after(0);
    assert_null(hotkeys_create(0));
    memory_refuse_after(-1);
    hotkeys_destroy(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_few_keys_are_counted_exactly),
        TEST(a_key_of_another_database_is_another_key),
        TEST(long_names_are_told_apart_and_cut),
        TEST(the_ten_hottest_of_a_zipf_stream_are_found_in_order),
        TEST(what_may_be_unseen_bounds_the_truth),
        TEST(a_hot_key_is_first_among_many_that_come_once),
        TEST(a_stream_of_any_length_takes_no_more_memory),
        TEST(what_several_workers_know_adds_up),
        TEST(merged_sketches_keep_the_bounds),
        TEST(everything_halves_when_its_time_has_passed),
        TEST(a_key_that_rests_is_overtaken_and_then_forgotten),
        TEST(ageing_keeps_the_bounds),
        TEST(a_clock_that_is_set_back_loses_nothing),
        TEST(a_reset_forgets_everything),
        TEST(a_worker_does_not_wait_for_who_holds_the_sketch),
        TEST(refused_memory_is_no_sketch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
