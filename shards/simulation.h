/* Caches of other sizes or other minds, played in small beside the real one: what would they hit?
 *
 * Keys whose hash is below a threshold are followed, one in 2^rate_bits. Every request for one of them is played to
 * up to seven miniature caches (miniature.h), which share one population (population.h) and are scaled down by the
 * same share. Memory is bounded by the population's places.
 *
 * One thread, or its owner's lock. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "miniature.h"
#include "note.h"
#include "population.h"

enum { SIMULATION_AWAITED = 256, SIMULATION_RATE_BITS_MAX = 20 };

struct simulation {
    struct population population;
    struct miniature *miniatures; /* [count]; their limits are the owner's to set */
    uint32_t count;
    uint32_t rate_bits; /* one key in 2^rate_bits is followed */
    uint32_t next_word; /* of the population, to be looked through for what expired */
    uint64_t awaited[SIMULATION_AWAITED]; /* keys that missed, and may be filled next */
};

struct simulation_options {
    const struct eviction_rules *rules;
    const enum miniature_side *sides; /* [count] */
    uint32_t count;
    uint32_t place_bits; /* of the population */
    uint32_t rate_bits;
};

/* Without room until the owner gives the miniatures some. STATUS_NO_MEMORY leaves nothing to release. */
must_use enum status simulation_init(struct simulation *simulation,
                                     const struct simulation_options *options, int64_t now_ms);
void simulation_release(struct simulation *simulation);
/* In bytes, ghosts included. */
uint64_t simulation_footprint(const struct simulation *simulation);

/* Keys whose hash is below are followed. */
static inline uint64_t simulation_followed_below(const struct simulation *simulation) {
    return UINT64_C(1) << (64 - simulation->rate_bits);
}
/* How many keys one that is followed stands for. */
static inline double simulation_keys_a_key(const struct simulation *simulation) {
    return (double)(UINT64_C(1) << simulation->rate_bits);
}
/* The least rate, from `least_bits` on, by which at most `keys_max` of so many keys are followed. */
uint32_t simulation_rate_bits(uint64_t keys, uint32_t least_bits, uint32_t keys_max);
/* Is there no place for another? Then it is time to thin out. */
static inline bool simulation_is_crowded(const struct simulation *simulation) {
    return simulation->population.count == simulation->population.count_max;
}
/* Follow half of them from now on, and forget the others. */
void simulation_thin_out(struct simulation *simulation, int64_t now_ms);

struct simulation_outcome {
    bool is_lookup;  /* of a key that is followed */
    uint8_t had;     /* a bit for each miniature that had it before */
    bool has_filled; /* one that had room for all until now has none any more */
};
/* O(1): some 400 instructions where all seven have it, some 10,000 where all seven have to evict for it. */
struct simulation_outcome simulation_play(struct simulation *simulation, const struct note *note,
                                          int64_t now_ms);
/* Tests. */
void simulation_validate(const struct simulation *simulation);
