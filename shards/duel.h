/* allkeys-adaptive's judge: does recency or frequency miss less?
 *
 * Two caches of this one's size are played in small beside it (simulation.h), of which one always decides by recency
 * and one by frequency (eviction.h). All shards decide as the one that hits more: `rules->prefers_recent`.
 *
 * It is on while that policy and a limit are in force. Any thread; a lock over what is behind `followed_below`, a leaf
 * but for shards' locks, which are taken under it for reading. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "shards.h"
#include "simulation.h"

enum duel_side { DUEL_RECENCY, DUEL_FREQUENCY, DUEL_SIDES };

struct duel {
    /* Atomic, relaxed: keys whose hash is below are followed; 0: nothing is. */
    _Atomic uint64_t followed_below;
    struct shards *shards; /* immutable after init */

    pthread_mutex_t lock; /* over everything below */
    bool is_on;
    struct simulation simulation; /* zeroed while it is off; its miniatures are the sides */
    uint64_t wins[DUEL_SIDES]; /* lookups that only this side would have hit; the older the less */
    int64_t limit_bytes;       /* under which it began */
    int64_t next_measure_ms;
};

void duel_init(struct duel *duel, struct shards *shards);
void duel_release(struct duel *duel);

/* Begin and end it as the rules say; once a second, keep it in measure with the store, for which each shard's lock is
 * taken in turn, for reading. To be called now and then. Refused memory leaves it off: the shards go on deciding as they
 * did. */
void duel_tend(struct duel *duel, int64_t now_ms);
/* All keys were deleted. */
void duel_empty(struct duel *duel, int64_t now_ms);

/* Is that key followed? One comparison; never when it is off. */
static inline uint64_t duel_followed_below(const struct duel *duel) {
    return atomic_load_explicit(&duel->followed_below, memory_order_relaxed);
}
/* What was done with a key that is followed. No shard's lock is held. Cost: simulation_play, of two. */
void duel_note(struct duel *duel, const struct note *note, int64_t now_ms);
/* Tests. */
void duel_validate(struct duel *duel);
