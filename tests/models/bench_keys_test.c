/* What the benchmarks draw and count, held to the law and to a sorted array: a bench that draws wrongly measures another store.
 * The bench is a program and not a library, so the two files under test are compiled into this one. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/histogram.c"
#include "bench/keys.c"

enum { KEY_COUNT = 1000, DRAWS = 2000000, SEED = 7, VALUES = 100000 };
static const double DEVIATIONS = 5; /* once in two million honest counts */

static void count_draws(double exponent, uint64_t counts[KEY_COUNT]) {
    struct keys keys;
    keys_init(&keys, KEY_COUNT, exponent, SEED);
    memset(counts, 0, KEY_COUNT * sizeof(*counts));
    for (int i = 0; i < DRAWS; i++) {
        uint64_t key = keys_next(&keys);
        assert_true(key < KEY_COUNT);
        counts[key]++;
    }
}

/* Each key's count is binomial: it may be so many standard deviations off. */
static void assert_follows_law(double exponent) {
    uint64_t counts[KEY_COUNT];
    count_draws(exponent, counts);
    double sum = 0;
    for (int key = 0; key < KEY_COUNT; key++) {
        sum += pow(key + 1, -exponent);
    }
    for (int key = 0; key < KEY_COUNT; key++) {
        double share = pow(key + 1, -exponent) / sum;
        double deviation = sqrt(DRAWS * share * (1 - share));
        assert_true(fabs((double)counts[key] - DRAWS * share) < DEVIATIONS * deviation);
    }
}

static void zipf_frequencies_follow_the_law(void **state) {
    (void)state;
    assert_follows_law(0.5);
    assert_follows_law(0.99);
    assert_follows_law(1); /* where the formulas would divide by zero */
    assert_follows_law(1.3);
}

static void uniform_covers_all_keys_alike(void **state) {
    (void)state;
    assert_follows_law(0);
}

static void the_same_seed_draws_the_same_keys(void **state) {
    (void)state;
    struct keys a, b;
    keys_init(&a, KEY_COUNT, 0.99, SEED);
    keys_init(&b, KEY_COUNT, 0.99, SEED);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(keys_next(&a), keys_next(&b));
    }
}

static void a_single_key_is_always_drawn(void **state) {
    (void)state;
    struct keys keys;
    for (double exponent = 0; exponent < 2; exponent += 0.5) {
        keys_init(&keys, 1, exponent, SEED);
        for (int i = 0; i < 100; i++) {
            assert_int_equal(keys_next(&keys), 0);
        }
    }
}

static void a_name_holds_its_number_in_sixteen_bytes(void **state) {
    (void)state;
    char name[KEYS_NAME_BYTES];
    keys_write_name(name, 1234);
    assert_memory_equal(name, "key:000000001234", KEYS_NAME_BYTES);
    keys_write_name(name, 999999999999);
    assert_memory_equal(name, "key:999999999999", KEYS_NAME_BYTES);
}

static int compare_values(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Latencies as they come: from nanoseconds to seconds, all orders of magnitude alike. */
static uint64_t *draw_values(void) {
    uint64_t *values = malloc(VALUES * sizeof(*values));
    assert_non_null(values);
    struct random random;
    random_init(&random, SEED);
    for (int i = 0; i < VALUES; i++) {
        values[i] = random_next(&random) >> (34 + random_below(&random, 30));
    }
    return values;
}

static void percentiles_are_within_a_buckets_width(void **state) {
    (void)state;
    static const double percents[] = {0, 1, 10, 25, 50, 75, 90, 99, 99.9, 99.99};
    struct histogram histogram = {0};
    uint64_t *values = draw_values();
    for (int i = 0; i < VALUES; i++) {
        histogram_add(&histogram, values[i], 1);
    }
    qsort(values, VALUES, sizeof(*values), compare_values);
    for (size_t i = 0; i < sizeof(percents) / sizeof(percents[0]); i++) {
        double exact = (double)values[(size_t)(VALUES * percents[i] / 100)];
        double told = (double)histogram_percentile(&histogram, percents[i]);
        assert_true(told <= exact && exact - told <= exact * 0.032);
    }
    assert_int_equal(histogram.max, values[VALUES - 1]);
    assert_int_equal(histogram_percentile(&histogram, 100), histogram.max);
    free(values);
}

static void small_values_are_exact(void **state) {
    (void)state;
    for (uint64_t value = 0; value < HISTOGRAM_EXACT; value++) {
        struct histogram histogram = {0};
        histogram_add(&histogram, value, 3);
        assert_int_equal(histogram_percentile(&histogram, 50), value);
    }
}

static void any_value_has_a_bucket(void **state) {
    (void)state;
    struct histogram histogram = {0};
    histogram_add(&histogram, UINT64_MAX, 1);
    assert_int_equal(histogram.total, 1);
    assert_true(histogram_bucket(UINT64_MAX) < HISTOGRAM_BUCKETS);
}

static void merging_adds_what_both_counted(void **state) {
    (void)state;
    struct histogram a = {0}, b = {0};
    histogram_add(&a, 10, 2);
    histogram_add(&b, 20, 6);
    histogram_merge(&a, &b);
    assert_int_equal(a.total, 8);
    assert_int_equal(a.max, 20);
    assert_int_equal(histogram_percentile(&a, 20), 10);
    assert_int_equal(histogram_percentile(&a, 30), 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zipf_frequencies_follow_the_law),
        cmocka_unit_test(uniform_covers_all_keys_alike),
        cmocka_unit_test(the_same_seed_draws_the_same_keys),
        cmocka_unit_test(a_single_key_is_always_drawn),
        cmocka_unit_test(a_name_holds_its_number_in_sixteen_bytes),
        cmocka_unit_test(percentiles_are_within_a_buckets_width),
        cmocka_unit_test(small_values_are_exact),
        cmocka_unit_test(any_value_has_a_bucket),
        cmocka_unit_test(merging_adds_what_both_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
