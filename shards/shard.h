/* One partition of the keys: a lock, the memory its entries live in, and its part of every logical database. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/rwlock.h"
#include "base/status.h"
#include "database.h"
#include "eviction.h"
#include "expiry.h"
#include "lateness.h"
#include "room.h"
#include "slabs.h"

struct shard {
    struct rwlock lock;   /* first: alone on its cache line */
    struct slabs slabs;   /* shard lock (write) */
    struct expiry expiry; /* the same: of all its databases */
    /* The array is immutable after init. Its pointers change under the lock (write), and are atomic, so that a
     * worker may look without it for a bucket to prefetch: a database stays in memory until the shard's
     * release. */
    struct database *_Atomic *databases;
    struct database *flushed; /* chain: detached, not cleared yet; shard lock (write) */
    struct database
        *cleared; /* chain: empty, to be put in place of flushed ones; shard lock (write) */
    struct eviction eviction; /* shard lock (write), but for its statistics */
    struct room room;         /* the same */
    uint64_t seed;            /* immutable after init */
    uint32_t database_count;  /* immutable after init */
    uint32_t index;           /* immutable after init: its number, and its lock's rank */
    _Atomic uint64_t expired; /* atomic, relaxed: keys removed at their deadline, a statistic */
    struct lateness lateness; /* of those that upkeep removed; shard lock (write) */
    _Atomic bool has_flushed; /* atomic, relaxed: a hint that `flushed` isn't empty */
};

/* The database of that number, now: a flush or a swap puts another in its place. Acquire: pairs with the release of
 * whoever does, for those who look without the lock; what is found is not freed while the shard is in use. */
static inline struct database *shard_database(const struct shard *shard, uint32_t number) {
    return atomic_load_explicit(&shard->databases[number], memory_order_acquire);
}

must_use enum status shard_init(struct shard *shard, uint32_t index, uint32_t database_count,
                                uint64_t seed, size_t reserve_bytes, struct eviction_rules *rules);
void shard_release(struct shard *shard);

/* The database that an entry is in, other than those detached; NULL if none. Lock: read. */
struct database *shard_database_holding(const struct shard *shard, uint32_t reference,
                                        uint64_t hash);

/* Make sure that shard_flush of each of the databases [first, end) finds an empty one to put in place.
 * STATUS_NO_MEMORY changes nothing that shows. Lock: write. */
must_use enum status shard_prepare_flush(struct shard *shard, uint32_t first, uint32_t end);
/* Empty a database in bounded time: a small one on the spot, a large one by detaching it, for
 * shard_reclaim_some. It must have been prepared. Lock: write. */
void shard_flush(struct shard *shard, uint32_t database, const struct reclaimer *reclaimer);
/* Free up to `limit` detached entries; true when none are left, but what a snapshot still needs. Lock: write. */
bool shard_reclaim_some(struct shard *shard, uint32_t limit, const struct reclaimer *reclaimer);
/* Remove what is due in all databases, up to `limit` keys, or look at a few times as many; returns the keys removed.
 * Lock: write. */
uint64_t shard_expire_some(struct shard *shard, int64_t now_ms, uint32_t limit, bool *more,
                           const struct reclaimer *reclaimer);
/* Has any key here a deadline? Relaxed and without the lock, so that it needn't be taken in vain. */
bool shard_has_deadlines(const struct shard *shard);
/* Would shard_expire_some find something to do? Lock: read. */
bool shard_has_due(const struct shard *shard, int64_t now_ms);
/* Bytes of slabs and buckets that have memory behind them, and of the values and keys that are too large for slabs (one
 * that COPY made of another as often as it is there). Lock: read. */
size_t shard_footprint(const struct shard *shard);
void shard_validate(const struct shard *shard);
