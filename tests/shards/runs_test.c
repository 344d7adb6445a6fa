/* Objects side by side in a slab: the shortest run that will do, and what becomes of a run that is given back. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "shards/runs.h"

enum { FREE_UNITS = RUNS_UNITS - RUNS_OWN_UNITS };

static int set_up(void **state) {
    static struct runs runs;
    runs_init(&runs);
    *state = &runs;
    return 0;
}

static void an_empty_slab_is_one_run_behind_its_own_bits(void **state) {
    struct runs *runs = *state;
    assert_int_equal(runs_longest(runs), FREE_UNITS);
    assert_int_equal(runs_used(runs), 0);
    assert_int_equal(runs_next(runs, 0), RUNS_UNITS);
    assert_int_equal(runs_take(runs, FREE_UNITS), RUNS_OWN_UNITS);
    assert_int_equal(runs_longest(runs), 0);
    assert_int_equal(runs_give(runs, RUNS_OWN_UNITS), FREE_UNITS);
    assert_int_equal(runs_longest(runs), FREE_UNITS);
}

static void neighbours_are_told_apart(void **state) {
    struct runs *runs = *state;
    uint32_t a = runs_take(runs, 100), b = runs_take(runs, 1), c = runs_take(runs, 64);
    assert_int_equal(b, a + 100);
    assert_int_equal(c, b + 1);
    assert_int_equal(runs_next(runs, 0), a);
    assert_int_equal(runs_next(runs, a + 1), b);
    assert_int_equal(runs_next(runs, b + 1), c);
    assert_int_equal(runs_next(runs, c + 1), RUNS_UNITS);
    assert_int_equal(runs_give(runs, b), 1);
    assert_int_equal(runs_give(runs, a), 100);
    assert_int_equal(runs_give(runs, c), 64);
    assert_int_equal(runs_used(runs), 0);
}

static void an_object_takes_the_shortest_run_that_holds_it(void **state) {
    struct runs *runs = *state;
    uint32_t wide = runs_take(runs, 70);
    runs_take(runs, 1);
    uint32_t narrow = runs_take(runs, 30);
    runs_take(runs, FREE_UNITS - 101);
    runs_give(runs, wide);
    runs_give(runs, narrow);
    assert_int_equal(runs_longest(runs), 70);
    assert_int_equal(runs_take(runs, 29), narrow);
    assert_int_equal(runs_take(runs, 40), wide);
    assert_int_equal(runs_take(runs, 30), wide + 40);
    assert_int_equal(runs_longest(runs), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_empty_slab_is_one_run_behind_its_own_bits, set_up),
        cmocka_unit_test_setup(neighbours_are_told_apart, set_up),
        cmocka_unit_test_setup(an_object_takes_the_shortest_run_that_holds_it, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
