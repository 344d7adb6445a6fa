/* Latencies in nanoseconds, counted in buckets of constant relative width: 32 to a power of two, so at
 * most 3 % wide (Gil Tene's HdrHistogram). */
#pragma once

#include <stdint.h>

enum {
    HISTOGRAM_STEPS = 32,
    HISTOGRAM_EXACT = 2 * HISTOGRAM_STEPS,
    HISTOGRAM_BUCKETS = 48 * HISTOGRAM_STEPS
};

struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t total, max;
};

static inline uint32_t histogram_bucket(uint64_t value) {
    if (value < HISTOGRAM_EXACT) return (uint32_t)value;
    uint32_t power =
        63 - (uint32_t)__builtin_clzll(value) - 5; /* value >> power is a step: 32 to 63 */
    uint32_t bucket = power * HISTOGRAM_STEPS + (uint32_t)(value >> power);
    return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}
static inline void histogram_add(struct histogram *histogram, uint64_t value, uint64_t times) {
    histogram->counts[histogram_bucket(value)] += times;
    histogram->total += times;
    if (value > histogram->max) histogram->max = value;
}
void histogram_merge(struct histogram *into, const struct histogram *from);
/* The value below which `percent` of the counts lie, up to a bucket's width. */
uint64_t histogram_percentile(const struct histogram *histogram, double percent);
