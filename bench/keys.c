/* Zipf by rejection-inversion (Hörmann and Derflinger 1996, "Rejection-inversion to generate variates from
 * monotone discrete distributions"): no table, a draw costs about one logarithm whatever the number of keys. */
#include "keys.h"

#include <math.h>
#include <string.h>

/* (exp(x) - 1) / x and log(1 + x) / x, safe near 0. */
static double expm1_ratio(double x) {
    return fabs(x) > 1e-8 ? expm1(x) / x : 1 + x / 2;
}
static double log1p_ratio(double x) {
    return fabs(x) > 1e-8 ? log1p(x) / x : 1 - x / 2;
}
static double h(const struct keys *keys, double x) {
    return exp(-keys->exponent * log(x));
}
static double h_integral(const struct keys *keys, double x) {
    double log_x = log(x);
    return expm1_ratio((1 - keys->exponent) * log_x) * log_x;
}
static double h_integral_inverse(const struct keys *keys, double x) {
    double t = x * (1 - keys->exponent);
    if (t < -1) t = -1;
    return exp(log1p_ratio(t) * x);
}

void keys_init(struct keys *keys, uint64_t count, double exponent, uint64_t seed) {
    *keys = (struct keys){.count = count, .exponent = exponent};
    random_init(&keys->random, seed);
    if (exponent <= 0) return;
    keys->h_first = h_integral(keys, 1.5) - 1;
    keys->h_last = h_integral(keys, (double)count + 0.5);
    keys->s = 2 - h_integral_inverse(keys, h_integral(keys, 2.5) - h(keys, 2));
}

static double fraction(struct random *random) {
    return (double)(random_next(random) >> 11) * 0x1p-53;
}

uint64_t keys_next(struct keys *keys) {
    if (keys->exponent <= 0) return random_below(&keys->random, keys->count);
    for (;;) {
        double u = keys->h_last + fraction(&keys->random) * (keys->h_first - keys->h_last);
        double x = h_integral_inverse(keys, u);
        uint64_t k = (uint64_t)(x + 0.5);
        if (k < 1) k = 1;
        if (k > keys->count) k = keys->count;
        if ((double)k - x <= keys->s || u >= h_integral(keys, (double)k + 0.5) - h(keys, (double)k))
            return k - 1;
    }
}

void keys_write_name(char out[KEYS_NAME_BYTES], uint64_t number) {
    memcpy(out, "key:", 4);
    for (int i = KEYS_NAME_BYTES - 1; i >= 4; i--) {
        out[i] = (char)('0' + number % 10);
        number /= 10;
    }
}
