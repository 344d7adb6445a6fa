/* Exact text <-> integer and double, as Redis reads and writes them. Pure; no locale; no allocation. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bytes.h"

enum {
    NUMBER_TEXT_MAX = 24,        /* bytes any 64-bit integer's text can take, and a NUL */
    NUMBER_TEXT_DOUBLE_MAX = 40, /* bytes of `number_write_double`, and a NUL */
    NUMBER_TEXT_LONG_DOUBLE_MAX = 5 * 1024, /* bytes of `number_write_long_double`, and a NUL */
};

/* Strict: an optional '-', then digits without leading zeros, spaces or '+', within int64_t. The only text that
 * `number_write` would give for the same number, so that text and integer are interchangeable. */
bool number_read(struct bytes text, int64_t *number);
bool number_read_unsigned(struct bytes text, uint64_t *number);
/* A finite or infinite double, the whole text, in any notation `strtod` takes ("inf" included); never NaN, no
 * leading or trailing space, never empty, below 5 KiB; false where the number would round to infinity or to zero. */
bool number_read_double(struct bytes text, double *number);
bool number_read_long_double(struct bytes text, long double *number);

/* Decimal text of `number` to `out` (at least NUMBER_TEXT_MAX bytes), no NUL. Returns its length. */
size_t number_write(int64_t number, char *out);
size_t number_write_unsigned(uint64_t number, char *out);
/* The digits of `number_write`, without writing them. */
size_t number_width(int64_t number);
/* The shortest digits that read back as the same double (17 at the most), in the notation of Redis 7.2 to
 * 8: "3", "0.1", "1e-7", "1e+100", "-0", "inf", "-inf", "nan"; whole numbers up to 2^62 with all their
 * digits. At least NUMBER_TEXT_DOUBLE_MAX bytes. */
size_t number_write_double(double number, char *out);
/* INCRBYFLOAT's form: fixed notation, 17 digits after the point at the most, trailing zeros cut. At least
 * NUMBER_TEXT_LONG_DOUBLE_MAX bytes. */
size_t number_write_long_double(long double number, char *out);
