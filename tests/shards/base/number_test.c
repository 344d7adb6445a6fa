#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "shards/base/number.h"
#include "shards/base/random.h"

static struct bytes written(int64_t number, char *out) {
    return bytes_of(out, number_write(number, out));
}

static void assert_text(const char *out, size_t size, const char *expected) {
    assert_int_equal(size, strlen(expected));
    assert_memory_equal(out, expected, size);
}

static void integers_read_back_at_every_width(void **state) {
    (void)state;
    char out[NUMBER_TEXT_MAX];
    int64_t number;
    for (uint64_t power = 1, digits = 1; digits <= 19; power *= 10, digits++) {
        for (int offset = -1; offset <= 1; offset++) {
            int64_t candidates[] = {(int64_t)power + offset, -((int64_t)power + offset)};
            for (size_t i = 0; i < 2; i++) {
                struct bytes text = written(candidates[i], out);
                char expected[NUMBER_TEXT_MAX];
                snprintf(expected, sizeof expected, "%lld", (long long)candidates[i]);
                assert_text(text.data, text.size, expected);
                assert_int_equal(number_width(candidates[i]), text.size);
                assert_true(number_read(text, &number));
                assert_true(number == candidates[i]);
            }
        }
    }
}

static void integers_reach_the_ends_of_their_range_and_no_further(void **state) {
    (void)state;
    int64_t number;
    uint64_t natural;
    assert_true(number_read(BYTES("9223372036854775807"), &number));
    assert_true(number == INT64_MAX);
    assert_true(number_read(BYTES("-9223372036854775808"), &number));
    assert_true(number == INT64_MIN);
    assert_false(number_read(BYTES("9223372036854775808"), &number));
    assert_false(number_read(BYTES("-9223372036854775809"), &number));
    assert_true(number_read_unsigned(BYTES("18446744073709551615"), &natural));
    assert_true(natural == UINT64_MAX);
    assert_false(number_read_unsigned(BYTES("18446744073709551616"), &natural));
    assert_false(number_read_unsigned(BYTES("99999999999999999999"), &natural));
    assert_false(number_read_unsigned(BYTES("100000000000000000000"), &natural));
    char out[NUMBER_TEXT_MAX];
    assert_text(out, number_write(INT64_MIN, out), "-9223372036854775808");
    assert_int_equal(number_width(INT64_MIN), 20);
    assert_text(out, number_write_unsigned(UINT64_MAX, out), "18446744073709551615");
}

static void integers_are_read_only_as_they_would_be_written(void **state) {
    (void)state;
    static const char *const refused[] = {"",   "-",   "+1",  "01",  "-01", "-0", "00", " 1",
                                          "1 ", "1.0", "0x1", "1e3", "--1", "1-", "l",  "1\n"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        int64_t number = 7;
        assert_false(number_read(bytes_of_text(refused[i]), &number));
        assert_int_equal(number, 7);
    }
    uint64_t natural;
    assert_false(number_read_unsigned(BYTES("-1"), &natural));
    int64_t zero;
    assert_true(number_read(BYTES("0"), &zero));
    assert_int_equal(zero, 0);
    assert_false(number_read(bytes_of("1\0", 2), &zero));
}

static void doubles_are_written_as_redis_shows_them(void **state) {
    (void)state;
    static const struct {
        double number;
        const char *text;
    } cases[] = {
        {0, "0"},
        {-0.0, "-0"},
        {3, "3"},
        {-17, "-17"},
        {0.1, "0.1"},
        {0.1 + 0.2, "0.30000000000000004"},
        {1.5, "1.5"},
        {-2.25, "-2.25"},
        {123456.789, "123456.789"},
        {0.001, "0.001"},
        {0.000001, "0.000001"},
        {1e-7, "1e-7"},
        {1.5e-7, "1.5e-7"},
        {1e15, "1000000000000000"},
        {1e17, "100000000000000000"},
        {1e19, "1e+19"},
        {1e100, "1e+100"},
        {-1.5e300, "-1.5e+300"},
        {1.7976931348623157e308, "1.7976931348623157e+308"},
        {5e-324, "5e-324"},
        {2.2250738585072014e-308, "2.2250738585072014e-308"},
        {INFINITY, "inf"},
        {-INFINITY, "-inf"},
        {NAN, "nan"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[NUMBER_TEXT_DOUBLE_MAX];
        assert_text(out, number_write_double(cases[i].number, out), cases[i].text);
    }
}

static void any_double_reads_back_as_itself(void **state) {
    (void)state;
    struct random random;
    random_init(&random, 20);
    for (int i = 0; i < 50000; i++) {
        uint64_t bits = random_next(&random);
        double number, back;
        memcpy(&number, &bits, sizeof number);
        if (isnan(number)) continue;
        char out[NUMBER_TEXT_DOUBLE_MAX];
        size_t size = number_write_double(number, out);
        assert_in_range(size, 1, NUMBER_TEXT_DOUBLE_MAX - 1);
        assert_true(number_read_double(bytes_of(out, size), &back));
        assert_memory_equal(&number, &back, sizeof number);
    }
}

static void doubles_are_read_whole_or_not_at_all(void **state) {
    (void)state;
    static const char *const refused[] = {"",   " 1", "1 ",    "\t1",    "1x",     "nan", "-nan",
                                          "1e", ".",  "1e400", "-1e400", "1e-400", "1,5", "e1"};
    double number;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        assert_false(number_read_double(bytes_of_text(refused[i]), &number));
    }
    assert_false(number_read_double(bytes_of("1\0", 2), &number));
    assert_true(number_read_double(BYTES("inf"), &number) && number > 0 && isinf(number));
    assert_true(number_read_double(BYTES("-Infinity"), &number) && number < 0 && isinf(number));
    assert_true(number_read_double(BYTES("+1.50"), &number) && number == 1.5);
    assert_true(number_read_double(BYTES("-0"), &number) && number == 0 && signbit(number));
    assert_true(number_read_double(BYTES("9007199254740993"), &number));
    assert_true(number == 9007199254740992.0);
}

static void a_text_too_long_to_be_copied_is_no_number(void **state) {
    (void)state;
    enum { SIZE = 6 * 1024 };
    char *text = malloc(SIZE);
    assert_non_null(text);
    memset(text, '0', SIZE);
    double number;
    long double precise;
    assert_false(number_read_double(bytes_of(text, SIZE), &number));
    assert_false(number_read_long_double(bytes_of(text, SIZE), &precise));
    assert_true(number_read_double(bytes_of(text, 5 * 1024 - 1), &number) && number == 0);
    free(text);
}

static void long_doubles_are_written_as_incrbyfloat_does(void **state) {
    (void)state;
    static const struct {
        const char *number, *text;
    } cases[] = {
        {"0", "0"},
        {"-0", "0"},
        {"3.0e3", "3000"},
        {"10.50", "10.5"},
        {"0.1", "0.1"},
        {"-5.25", "-5.25"},
        {"5.0e-20", "0"},
        {"-5.0e-20", "0"},
        {"inf", "inf"},
        {"-inf", "-inf"},
        {"1e20", "100000000000000000000"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        long double number;
        assert_true(number_read_long_double(bytes_of_text(cases[i].number), &number));
        char out[NUMBER_TEXT_LONG_DOUBLE_MAX];
        assert_text(out, number_write_long_double(number, out), cases[i].text);
    }
    long double number;
    assert_false(number_read_long_double(BYTES("nan"), &number));
    assert_false(number_read_long_double(BYTES("1e5000"), &number));
}

static void the_largest_long_double_fits(void **state) {
    (void)state;
    char out[NUMBER_TEXT_LONG_DOUBLE_MAX];
    long double number;
    assert_true(number_read_long_double(BYTES("-1.18973149535723176502e+4932"), &number));
    assert_int_equal(number_write_long_double(number, out), 4934);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_read_back_at_every_width),
        cmocka_unit_test(integers_reach_the_ends_of_their_range_and_no_further),
        cmocka_unit_test(integers_are_read_only_as_they_would_be_written),
        cmocka_unit_test(doubles_are_written_as_redis_shows_them),
        cmocka_unit_test(any_double_reads_back_as_itself),
        cmocka_unit_test(doubles_are_read_whole_or_not_at_all),
        cmocka_unit_test(a_text_too_long_to_be_copied_is_no_number),
        cmocka_unit_test(long_doubles_are_written_as_incrbyfloat_does),
        cmocka_unit_test(the_largest_long_double_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
