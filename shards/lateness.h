/* How late keys were removed: milliseconds between their deadline and the sweep that took them out, counted in buckets of
 * an eighth of their value at most.
 *
 * Written under its shard's lock, so by one thread at a time, with relaxed atomics; summed by whoever asks. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

enum { LATENESS_STEPS = 8, LATENESS_BUCKETS = 20 * LATENESS_STEPS /* the last: from 65 minutes on */ };

struct lateness {
    _Atomic uint64_t counts[LATENESS_BUCKETS]; /* atomic, relaxed */
    _Atomic uint64_t max_ms;                   /* the same */
};
/* What a sum looks like. */
struct lateness_sum {
    uint64_t counts[LATENESS_BUCKETS];
    uint64_t total, max_ms;
};

/* One thread at a time. */
void lateness_add(struct lateness *lateness, int64_t late_ms);
/* Zero all. Concurrent additions may survive or vanish. */
void lateness_reset(struct lateness *lateness);
/* Add one to a sum, which begins with zeros. */
void lateness_merge(struct lateness_sum *sum, const struct lateness *lateness);
/* So late or less were `percent` of them, at most an eighth too much; exact for 100. 0 if there were none. */
uint64_t lateness_percentile(const struct lateness_sum *sum, double percent);
