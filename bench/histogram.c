#include "histogram.h"

void histogram_merge(struct histogram *into, const struct histogram *from) {
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        into->counts[i] += from->counts[i];
    }
    into->total += from->total;
    if (from->max > into->max) into->max = from->max;
}

/* The smallest value of a bucket: the inverse of histogram_bucket. */
static uint64_t floor_of_bucket(uint32_t bucket) {
    if (bucket < HISTOGRAM_EXACT) return bucket;
    uint32_t power = bucket / HISTOGRAM_STEPS - 1;
    return (uint64_t)(bucket - power * HISTOGRAM_STEPS) << power;
}

uint64_t histogram_percentile(const struct histogram *histogram, double percent) {
    uint64_t wanted = (uint64_t)((double)histogram->total * percent / 100.0), seen = 0;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram->counts[i];
        if (seen > wanted) return floor_of_bucket(i);
    }
    return histogram->max;
}
