/* allkeys-adaptive's judge: does recency or frequency miss less? Both are tried all the time, by shards that
 * always decide one way (eviction.h); whoever misses more loses.
 *
 * Misses are compared, not hit ratios: a key that is asked for all the time makes its shard's ratio look good,
 * and never misses. One thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct duel {
    uint64_t seen_recency, seen_frequency; /* misses ever, at the last judgement */
    uint64_t recency, frequency;           /* misses that count, the older the less */
    bool prefers_recent;
};

/* Both sides' misses since the start (after a reset: since then). Returns whether recency is the better side now. */
bool duel_judge(struct duel *duel, uint64_t recency_misses, uint64_t frequency_misses);
