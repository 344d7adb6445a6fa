#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>

#include "shards/base/random.h"

static void one_seed_gives_one_sequence_and_another_another(void **state) {
    (void)state;
    struct random a, b, c;
    random_init(&a, 7);
    random_init(&b, 7);
    random_init(&c, 8);
    bool differs = false;
    for (int i = 0; i < 1000; i++) {
        uint64_t drawn = random_next(&a);
        assert_true(drawn == random_next(&b));
        differs |= drawn != random_next(&c);
    }
    assert_true(differs);
}

/* The first outputs of the authors' xoshiro256** for the state {1, 2, 3, 4}. */
static void the_sequence_is_xoshiro256starstar(void **state) {
    (void)state;
    struct random random = {.state = {1, 2, 3, 4}};
    static const uint64_t expected[] = {11520, 0, 1509978240, 1215971899390074240};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        assert_true(random_next(&random) == expected[i]);
    }
}

static void draws_stay_below_their_bound(void **state) {
    (void)state;
    struct random random;
    random_init(&random, 1);
    static const uint64_t bounds[] = {
        1, 2, 3, 1000, UINT64_C(1) << 63, (UINT64_C(1) << 63) + 1, UINT64_MAX};
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
        for (int draw = 0; draw < 1000; draw++) {
            assert_true(random_below(&random, bounds[i]) < bounds[i]);
        }
    }
}

static void draws_are_roughly_uniform(void **state) {
    (void)state;
    enum { BOUND = 10, DRAWS = 100000, EXPECTED = DRAWS / BOUND };
    struct random random;
    random_init(&random, 42);
    int counts[BOUND] = {0};
    for (int i = 0; i < DRAWS; i++) {
        counts[random_below(&random, BOUND)]++;
    }
    for (int i = 0; i < BOUND; i++) {
        assert_in_range(counts[i], EXPECTED - 500, EXPECTED + 500); /* five deviations of 95 */
    }
}

static void the_systems_bytes_differ_each_time(void **state) {
    (void)state;
    char a[512], b[512];
    random_system(a, sizeof a);
    random_system(b, sizeof b);
    assert_memory_not_equal(a, b, sizeof a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_seed_gives_one_sequence_and_another_another),
        cmocka_unit_test(the_sequence_is_xoshiro256starstar),
        cmocka_unit_test(draws_stay_below_their_bound),
        cmocka_unit_test(draws_are_roughly_uniform),
        cmocka_unit_test(the_systems_bytes_differ_each_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
