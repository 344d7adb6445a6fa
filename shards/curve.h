/* The hit ratio that this cache would have with less memory, and with more: estimated live, while it serves.
 *
 * A simulation (simulation.h) of seven caches of 0.5 to 4 times the memory limit, by the policy in force, that follows
 * one key in 128, of a cache of a hundred thousand keys one in 256. The share is halved whenever there are too many,
 * so the memory is bounded: CURVE_BYTES_MAX (half of it in a small cache), some 1536 to 3072 keys at today's size of a large cache.
 *
 * Nothing is followed, and no memory taken, until it is started. Any thread; a lock over what is behind
 * `followed_below`, a leaf but for shards' locks, which are taken under it for reading. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "shards.h"
#include "simulation.h"

enum {
    CURVE_POINTS = POPULATION_MINIATURES,
    CURVE_BYTES_MAX = 3 << 18, /* 768 KiB, ghosts included */
};

struct curve {
    /* Atomic, relaxed: keys whose hash is below are followed; 0: nothing is. */
    _Atomic uint64_t followed_below;
    struct shards *shards; /* immutable after init */

    pthread_mutex_t lock; /* over everything below */
    bool is_on;
    struct simulation simulation; /* zeroed while it is off */
    uint64_t hits[CURVE_POINTS];  /* of keys that are followed */
    uint64_t noted;               /* lookups of keys that are followed */
    double expected;              /* how many there should have been, going by all lookups */
    struct counters_sum seen;     /* when `expected` was last brought up to date */
    uint64_t lookups, real_hits;  /* of all keys, as far as seen */
    int64_t
        since_ms; /* that all the above is counted: the last miniature that got full, or later */
    int64_t next_measure_ms;
    int64_t limit_bytes; /* under which it began */
};

void curve_init(struct curve *curve, struct shards *shards);
void curve_release(struct curve *curve);

/* Begin, if it hasn't yet. False in `*has_begun`: it was on already. STATUS_NO_MEMORY. Needs a memory limit. */
must_use enum status curve_start(struct curve *curve, int64_t now_ms, bool *has_begun);
/* Free everything. */
void curve_stop(struct curve *curve);
/* Count anew; what the miniatures hold stays. */
void curve_recount(struct curve *curve, int64_t now_ms);
/* All keys were deleted. */
void curve_empty(struct curve *curve, int64_t now_ms);

/* Is that key followed? One comparison; never when it is off. */
static inline uint64_t curve_followed_below(const struct curve *curve) {
    return atomic_load_explicit(&curve->followed_below, memory_order_relaxed);
}

/* What was done with a key that is followed. No shard's lock is held. Cost: simulation_play. */
void curve_note(struct curve *curve, const struct note *note, int64_t now_ms);

struct curve_point {
    double times; /* the limit */
    int64_t limit_bytes;
    double hit_ratio; /* 0 to 1 */
    double fill;      /* of the miniature: below 1 it isn't full yet, and misses what comes first */
};
struct curve_report {
    struct curve_point points[CURVE_POINTS];
    uint64_t lookups;       /* of all keys, since it began to count */
    uint64_t lookups_noted; /* of keys that are followed */
    double hit_ratio;       /* that there really was */
    double estimate;        /* of the same by the miniatures alone: how far they can be trusted */
    uint32_t warming;       /* points whose miniature isn't full yet */
    uint32_t keys_a_key;    /* one in so many is followed */
    uint64_t bytes;         /* that all this takes */
    int64_t since_ms;
    enum eviction_policy policy;
};
/* False when it is off. */
bool curve_read(struct curve *curve, int64_t now_ms, struct curve_report *report);
void curve_validate(struct curve *curve);
