/* Whom the sampler's gaps choose. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>

#include "server/sampler.h"

enum { SAMPLES = 200000, RHYTHM_MAX = 2 * SAMPLED_WEIGHT };

static void gaps_are_as_long_as_a_sample_weighs_in_the_mean(void **state) {
    (void)state;
    struct random random;
    random_init(&random, 20261124);
    uint64_t sum = 0;
    for (size_t i = 0; i < SAMPLES; i++) {
        uint32_t gap = sampler_gap(&random);
        assert_in_range(gap, 1, 2 * SAMPLED_WEIGHT - 1);
        sum += gap;
    }
    assert_true(fabs((double)sum / SAMPLES - SAMPLED_WEIGHT) < 1);
}

/* Pipelines of `rhythm` requests: is each place in them sampled as often as the others? Within five deviations. */
static void expect_no_favourites(struct random *random, uint32_t rhythm) {
    uint32_t sampled[RHYTHM_MAX] = {0};
    uint64_t position = 0;
    for (size_t i = 0; i < SAMPLES; i++) {
        position += sampler_gap(random);
        sampled[position % rhythm]++;
    }
    double fair = (double)SAMPLES / rhythm;
    for (uint32_t place = 0; place < rhythm; place++) {
        if (fabs(sampled[place] - fair) > 5 * sqrt(fair))
            fail_msg("place %u of %u: sampled %u times, not %.0f", place, rhythm, sampled[place],
                     fair);
    }
}

static void a_load_with_a_rhythm_is_sampled_at_every_beat_alike(void **state) {
    (void)state;
    static const uint32_t rhythms[] = {2, 3, 16, 100, SAMPLED_WEIGHT, RHYTHM_MAX};
    struct random random;
    random_init(&random, 20261124);
    for (size_t i = 0; i < sizeof rhythms / sizeof *rhythms; i++) {
        expect_no_favourites(&random, rhythms[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gaps_are_as_long_as_a_sample_weighs_in_the_mean),
        cmocka_unit_test(a_load_with_a_rhythm_is_sampled_at_every_beat_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
