/* Exact text <-> number.
 *
 * Integers: reading is strict, because a string that reads as an integer is *stored* as one, and must come
 * back as the very bytes that were sent. Writing goes two digits at a time through a table of the hundred
 * pairs: one division for two digits, and the length is known beforehand, so that the text is written
 * where it belongs.
 *
 * Doubles: what a client sees (ZSCORE, INCRBYFLOAT's siblings, RESP3's `,`) must be what Redis 7.2 to 8
 * shows. There the digits are the shortest that read back as the same double, and the notation follows
 * `fpconv`: plain for what is short so, an exponent otherwise ("1e-7", "1.5e+300": no padding of the
 * exponent). The digits are found by trying: any decimal of up to 15 digits survives a double, so "%.14e"
 * gives the shortest whenever one that short exists; else 16, else 17. Only subnormal numbers, which carry
 * fewer digits, must be tried from one. Ryu or Grisu would be ten times as fast and ten times as long;
 * whole numbers, by far the most common scores, don't come here at all. Redis's Grisu2 gives another text
 * for one random double in a thousand (453 of 600,000), a digit longer or less near; both read back the same.
 *
 * Long doubles: INCRBYFLOAT's own, fixed notation with 17 digits after the point, as Redis's `ld2string` ("human").
 *
 * The C library's formatter and `strtod` follow the locale; nothing in sherd calls `setlocale`, so it is "C".
 *
 * Sources: Redis, util.c (what is accepted and shown); Andreas Samoljuk's fpconv (the notation's limits); Andrei
 * Alexandrescu, "Three Optimization Tips for C++" (2012), for the table of pairs. */
#include "number.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "check.h"

enum {
    DIGITS_CERTAIN = 19, /* that many decimal digits fit any uint64_t; a twentieth may not */
    DIGITS_MAX = 20,
    DOUBLE_DIGITS_MAX = 17,    /* always enough to read back the same double */
    DOUBLE_DIGITS_KEPT = 15,   /* always survive the way through a double */
    FLOAT_TEXT_MAX = 5 * 1024, /* longest text read as a floating-point number, as in Redis */
};

/* ---- Integers: reading ----------------------------------------------------------------------- */

bool number_read_unsigned(struct bytes text, uint64_t *number) {
    if (text.size == 0 || text.size > DIGITS_MAX) return false;
    if (text.data[0] == '0' && text.size > 1) return false;
    uint64_t sum = 0;
    for (size_t i = 0; i < text.size; i++) {
        unsigned digit = (unsigned char)text.data[i] - (unsigned)'0';
        if (digit > 9) return false;
        if (i < DIGITS_CERTAIN) {
            sum = sum * 10 + digit;
        } else if (__builtin_mul_overflow(sum, 10, &sum) ||
                   __builtin_add_overflow(sum, digit, &sum)) {
            return false;
        }
    }
    *number = sum;
    return true;
}

bool number_read(struct bytes text, int64_t *number) {
    bool is_negative = text.size > 1 && text.data[0] == '-';
    if (is_negative) text = bytes_of(text.data + 1, text.size - 1);
    uint64_t magnitude;
    if (!number_read_unsigned(text, &magnitude)) return false;
    if (is_negative) {
        if (magnitude == 0 || magnitude > (uint64_t)INT64_MAX + 1)
            return false; /* "-0" isn't what we would write */
        *number = (int64_t)-magnitude;
        return true;
    }
    if (magnitude > INT64_MAX) return false;
    *number = (int64_t)magnitude;
    return true;
}

/* ---- Integers: writing ----------------------------------------------------------------------- */

static const char digit_pairs[] =
    "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
    "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
    "8081828384858687888990919293949596979899";

static size_t width_unsigned(uint64_t number) {
    size_t width = 1;
    while (number >= 10000) {
        number /= 10000;
        width += 4;
    }
    return width + (number >= 10) + (number >= 100) + (number >= 1000);
}

static uint64_t magnitude_of(int64_t number) {
    return number < 0 ? -(uint64_t)number : (uint64_t)number;
}

size_t number_width(int64_t number) {
    return width_unsigned(magnitude_of(number)) + (number < 0);
}

size_t number_write_unsigned(uint64_t number, char *out) {
    size_t width = width_unsigned(number);
    char *end = out + width;
    while (number >= 100) {
        end -= 2;
        memcpy(end, digit_pairs + 2 * (number % 100), 2);
        number /= 100;
    }
    if (number >= 10) {
        memcpy(out, digit_pairs + 2 * number, 2);
    } else {
        *out = (char)('0' + number);
    }
    return width;
}

size_t number_write(int64_t number, char *out) {
    if (number >= 0) return number_write_unsigned((uint64_t)number, out);
    *out = '-';
    return 1 + number_write_unsigned(magnitude_of(number), out + 1);
}

/* ---- Floating point: reading ----------------------------------------------------------------- */

/* Copy and terminate what may be a number: not empty, not too long, not led by space. */
static bool float_text_copy(struct bytes text, char copy[FLOAT_TEXT_MAX]) {
    if (text.size == 0 || text.size >= FLOAT_TEXT_MAX) return false;
    if (text.data[0] == ' ' || (text.data[0] >= '\t' && text.data[0] <= '\r')) return false;
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    return true;
}

/* Redis refuses NaN, and a text whose number is too large or too small to be told from infinity or zero.
 * `errno` is the one that `strtod` left; a double loses nothing by becoming a long double. */
static bool is_refused(long double value) {
    return isnan(value) || (errno == ERANGE && (isinf(value) || value == 0));
}

bool number_read_double(struct bytes text, double *number) {
    int64_t whole;
    if (number_read(text, &whole)) { /* most scores; the conversion rounds as strtod would */
        *number = (double)whole;
        return true;
    }
    char copy[FLOAT_TEXT_MAX];
    if (!float_text_copy(text, copy)) return false;
    char *end;
    errno = 0;
    double value = strtod(copy, &end);
    if (end != copy + text.size || is_refused(value)) return false;
    *number = value;
    return true;
}

bool number_read_long_double(struct bytes text, long double *number) {
    char copy[FLOAT_TEXT_MAX];
    if (!float_text_copy(text, copy)) return false;
    char *end;
    errno = 0;
    long double value = strtold(copy, &end);
    if (end != copy + text.size || is_refused(value)) return false;
    *number = value;
    return true;
}

/* ---- Floating point: writing ----------------------------------------------------------------- */

/* digits x 10^scale, digits being `count` decimal digits, the first and the last not '0'. */
struct decimal {
    char digits[DOUBLE_DIGITS_MAX];
    int count;
    int scale;
};

/* Take apart what "%e" wrote: "d.ddde-NN", the point missing when there is one digit. */
static struct decimal decimal_parse(const char *text) {
    struct decimal decimal = {0};
    for (; *text != 'e'; text++) {
        if (*text != '.') decimal.digits[decimal.count++] = *text;
    }
    int exponent = atoi(text + 1);
    while (decimal.count > 1 && decimal.digits[decimal.count - 1] == '0') {
        decimal.count--;
    }
    decimal.scale = exponent - (decimal.count - 1);
    return decimal;
}

/* The shortest decimal that reads back as `number`, which is finite and above zero. */
static struct decimal decimal_of(double number) {
    char text[NUMBER_TEXT_DOUBLE_MAX];
    for (int digits = isnormal(number) ? DOUBLE_DIGITS_KEPT : 1; digits <= DOUBLE_DIGITS_MAX;
         digits++) {
        snprintf(text, sizeof text, "%.*e", digits - 1, number);
        if (strtod(text, NULL) == number) break;
    }
    return decimal_parse(text);
}

static char *put(char *out, const char *from, int size) {
    memcpy(out, from, (size_t)size);
    return out + size;
}

static char *put_zeros(char *out, int count) {
    memset(out, '0', (size_t)count);
    return out + count;
}

/* "0.00123" or "12.3": `scale` is below zero. */
static char *put_fraction(char *out, const struct decimal *decimal) {
    int before_point = decimal->count + decimal->scale;
    if (before_point <= 0) {
        out = put_zeros(put(out, "0.", 2), -before_point);
        return put(out, decimal->digits, decimal->count);
    }
    out = put(out, decimal->digits, before_point);
    *out++ = '.';
    return put(out, decimal->digits + before_point, decimal->count - before_point);
}

static char *put_scientific(char *out, const struct decimal *decimal, int exponent) {
    *out++ = decimal->digits[0];
    if (decimal->count > 1) {
        *out++ = '.';
        out = put(out, decimal->digits + 1, decimal->count - 1);
    }
    *out++ = 'e';
    *out++ = exponent < 0 ? '-' : '+';
    return out + number_write_unsigned((uint64_t)abs(exponent), out);
}

static char *put_decimal(char *out, const struct decimal *decimal) {
    int exponent = decimal->scale + decimal->count - 1;
    if (decimal->scale >= 0 && decimal->scale <= 7) {
        return put_zeros(put(out, decimal->digits, decimal->count), decimal->scale);
    }
    bool is_short_fraction = decimal->scale > -7 || abs(exponent) < 4;
    if (decimal->scale < 0 && is_short_fraction) return put_fraction(out, decimal);
    return put_scientific(out, decimal, exponent);
}

/* Infinities and NaN have one name each, whatever the C library would print. Returns 0 for a finite number. */
static size_t write_special(bool is_nan, bool is_infinite, bool is_negative, char *out) {
    const char *name = is_nan ? "nan" : !is_infinite ? "" : is_negative ? "-inf" : "inf";
    size_t size = strlen(name);
    memcpy(out, name, size);
    return size;
}

/* Whole numbers that Redis writes with all their digits: half of the 64-bit range, either side. */
static bool is_written_whole(double number) {
    static const double limit = 4611686018427387904.0; /* 2^62 */
    return number >= -limit && number <= limit && number == (double)(int64_t)number &&
           !(number == 0 && signbit(number));
}

size_t number_write_double(double number, char *out) {
    size_t special = write_special(isnan(number), isinf(number), signbit(number), out);
    if (special > 0) return special;
    if (is_written_whole(number)) return number_write((int64_t)number, out);
    char *next = out;
    if (signbit(number)) *next++ = '-';
    if (number == 0) {
        *next++ = '0';
        return (size_t)(next - out);
    }
    struct decimal decimal = decimal_of(fabs(number));
    return (size_t)(put_decimal(next, &decimal) - out);
}

size_t number_write_long_double(long double number, char *out) {
    size_t special = write_special(isnan(number), isinf(number), signbit(number), out);
    if (special > 0) return special;
    int printed = snprintf(out, NUMBER_TEXT_LONG_DOUBLE_MAX, "%.17Lf", number);
    check(printed > 0 &&
          printed < NUMBER_TEXT_LONG_DOUBLE_MAX); /* the largest has 4933 digits and 18 more */
    size_t size = (size_t)printed;
    while (out[size - 1] == '0') {
        size--;
    }
    if (out[size - 1] == '.') size--;
    if (size == 2 && memcmp(out, "-0", 2) == 0) {
        out[0] = '0';
        size = 1;
    }
    return size;
}
