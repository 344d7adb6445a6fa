/* How often something happens: events a second, from a counter that only grows, smoothed over about two seconds.
 *
 * The counter's owner looks at it from time to time (rate_update); any thread may read the result. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

struct rate {
    uint64_t last_count;         /* the owner's: at the last look */
    int64_t last_ms;             /* the owner's: when that was; 0: never */
    _Atomic uint64_t per_second; /* atomic, relaxed */
};

/* The counter stands at `count` at the time `now_ms`. A counter that was set back starts again from there. */
void rate_update(struct rate *rate, uint64_t count, int64_t now_ms);
static inline uint64_t rate_per_second(const struct rate *rate) {
    return atomic_load_explicit(&rate->per_second, memory_order_relaxed);
}
