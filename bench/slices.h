/* A measurement cut in slices, a quarter of a second each: what most of them saw, and how many saw something else.
 *
 * One bad moment of the machine spoils one slice and not the whole: so a median over slices of their p99.9 says
 * what the server does where a p99.9 over all says what the machine did. Two sides, measured in turn, share what
 * is left. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "bench/histogram.h"

enum { SLICES_MAX = 4096 };

/* What is known of a slice. */
enum slice_value {
    SLICE_P50_US,
    SLICE_P99_US,
    SLICE_P999_US,
    SLICE_MOST_US,
    SLICE_AWAY,      /* the share of its time in which the prober was away */
    SLICE_QUEUED_US, /* the server's threads were ready and had no processor, in all */
    SLICE_CPU_US,    /* the server's processor time a request */
    SLICE_HOLD_US,   /* the longest that it timed itself holding a lock; by the clock */
    SLICE_EVICTED,   /* keys a request */
    SLICE_VALUES,
};

struct slice {
    double values[SLICE_VALUES];
    bool is_excluded; /* what asked was away itself: see prober.h */
};

struct slices {
    struct slice slices[SLICES_MAX];
    uint32_t count, excluded;
};

/* The latencies' part of a slice, from nanoseconds. */
void slice_take_latencies(struct slice *slice, const struct histogram *latencies);
/* False: there are SLICES_MAX already, and this one is dropped. */
bool slices_add(struct slices *slices, const struct slice *slice);
/* Of the slices that aren't excluded; NAN when there are none, or where a slice doesn't know it. */
double slices_median(const struct slices *slices, enum slice_value value);
double slices_most(const struct slices *slices, enum slice_value value);
/* The share of them, 0 to 1, in which it is above `bound`. */
double slices_share_above(const struct slices *slices, enum slice_value value, double bound);
