#include "lateness.h"

enum {
    STEP_BITS = 3,
    EXACT = 2 * LATENESS_STEPS, /* below, each value has a bucket */
};

static uint32_t bucket_of(uint64_t ms) {
    if (ms < EXACT) return (uint32_t)ms;
    uint32_t power = 63 - (uint32_t)__builtin_clzll(ms) - STEP_BITS; /* ms >> power: 8 to 15 */
    uint64_t bucket = (uint64_t)power * LATENESS_STEPS + (ms >> power);
    return bucket < LATENESS_BUCKETS ? (uint32_t)bucket : LATENESS_BUCKETS - 1;
}

/* The largest value of a bucket. */
static uint64_t bucket_end(uint32_t bucket) {
    if (bucket < EXACT) return bucket;
    uint32_t power = bucket / LATENESS_STEPS - 1;
    return ((uint64_t)(bucket % LATENESS_STEPS + LATENESS_STEPS + 1) << power) - 1;
}

static uint64_t load(const _Atomic uint64_t *counter) {
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void lateness_add(struct lateness *lateness, int64_t late_ms) {
    uint64_t ms = late_ms > 0 ? (uint64_t)late_ms : 0;
    _Atomic uint64_t *count = &lateness->counts[bucket_of(ms)];
    atomic_store_explicit(count, load(count) + 1, memory_order_relaxed);
    if (ms > load(&lateness->max_ms))
        atomic_store_explicit(&lateness->max_ms, ms, memory_order_relaxed);
}

void lateness_reset(struct lateness *lateness) {
    for (uint32_t i = 0; i < LATENESS_BUCKETS; i++) {
        atomic_store_explicit(&lateness->counts[i], 0, memory_order_relaxed);
    }
    atomic_store_explicit(&lateness->max_ms, 0, memory_order_relaxed);
}

void lateness_merge(struct lateness_sum *sum, const struct lateness *lateness) {
    for (uint32_t i = 0; i < LATENESS_BUCKETS; i++) {
        uint64_t count = load(&lateness->counts[i]);
        sum->counts[i] += count;
        sum->total += count;
    }
    uint64_t max_ms = load(&lateness->max_ms);
    if (max_ms > sum->max_ms) sum->max_ms = max_ms;
}

uint64_t lateness_percentile(const struct lateness_sum *sum, double percent) {
    uint64_t wanted = (uint64_t)((double)sum->total * percent / 100);
    uint64_t seen = 0;
    for (uint32_t i = 0; i < LATENESS_BUCKETS - 1; i++) {
        seen += sum->counts[i];
        if (seen > wanted || (seen == wanted && seen == sum->total)) {
            uint64_t end = bucket_end(i);
            return end < sum->max_ms ? end : sum->max_ms;
        }
    }
    return sum->max_ms;
}
