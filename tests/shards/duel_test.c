/* Who wins, when, and that chance doesn't. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "shards/duel.h"

static void little_evidence_changes_nothing(void **state) {
    (void)state;
    struct duel duel = {0};
    assert_false(duel_judge(&duel, 10, 1000));
    assert_false(duel_judge(&duel, 20, 1900));
}

static void whoever_misses_less_wins(void **state) {
    (void)state;
    struct duel duel = {0};
    assert_true(duel_judge(&duel, 4000, 5000));
    assert_false(duel_judge(&duel, 30000, 20000));
}

static void recency_needs_more_than_a_narrow_lead(void **state) {
    (void)state;
    struct duel duel = {0};
    assert_false(duel_judge(&duel, 10000, 10300));
    duel = (struct duel){0};
    assert_true(duel_judge(&duel, 10000, 10400));
}

/* Shards aren't quite alike, so it may have got there by chance. */
static void recency_stays_only_as_long_as_it_leads(void **state) {
    (void)state;
    struct duel duel = {.prefers_recent = true};
    assert_true(duel_judge(&duel, 10000, 10100));
    duel = (struct duel){.prefers_recent = true};
    assert_false(duel_judge(&duel, 10100, 10000));
}

static void the_past_is_outweighed_by_the_present(void **state) {
    (void)state;
    struct duel duel = {0};
    uint64_t recency = 0, frequency = 0;
    for (int i = 0; i < 1000; i++) {
        assert_true(duel_judge(&duel, recency += 1500, frequency += 2000) || i < 1);
    }
    int judgements = 0;
    while (duel_judge(&duel, recency += 2000, frequency += 1500)) {
        judgements++;
    }
    assert_in_range(judgements, 1, 12);
}

static void counters_that_start_again_are_taken_as_new(void **state) {
    (void)state;
    struct duel duel = {0};
    assert_true(duel_judge(&duel, 4000, 5000));
    assert_true(duel_judge(&duel, 10, 20));
    assert_int_equal(duel.seen_recency, 10);
    assert_in_range(duel.recency, 4000, 4010);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(little_evidence_changes_nothing),
        cmocka_unit_test(whoever_misses_less_wins),
        cmocka_unit_test(recency_needs_more_than_a_narrow_lead),
        cmocka_unit_test(recency_stays_only_as_long_as_it_leads),
        cmocka_unit_test(the_past_is_outweighed_by_the_present),
        cmocka_unit_test(counters_that_start_again_are_taken_as_new),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
