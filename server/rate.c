/* Exponential smoothing whose weight is the time that passed, so that it does not matter how regular the looks are: what
 * is SMOOTHED_MS old or older counts for nothing. Redis averages 16 samples of 100 ms; this is as quick, in one number. */
#include "rate.h"

#include <stdbool.h>

enum { SMOOTHED_MS = 1600 };

void rate_update(struct rate *rate, uint64_t count, int64_t now_ms) {
    int64_t passed_ms = now_ms - rate->last_ms;
    bool is_first = rate->last_ms == 0;
    if (passed_ms <= 0) return;
    double events = (double)(count >= rate->last_count ? count - rate->last_count : count);
    rate->last_count = count;
    rate->last_ms = now_ms;
    if (is_first) return;
    double present = events * 1000 / (double)passed_ms;
    double weight = passed_ms < SMOOTHED_MS ? (double)passed_ms / SMOOTHED_MS : 1;
    double before = (double)rate_per_second(rate);
    double smoothed = before + (present - before) * weight;
    atomic_store_explicit(&rate->per_second, (uint64_t)(smoothed + 0.5), memory_order_relaxed);
}
