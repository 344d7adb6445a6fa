/* One partition of the keys: a lock, the memory its entries live in, and its part of every logical database. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/rwlock.h"
#include "base/status.h"
#include "database.h"
#include "slabs.h"

struct shard {
    struct rwlock lock;           /* first: alone on its cache line */
    struct slabs slabs;           /* shard lock (write) */
    struct database **databases;  /* the array: immutable after init; its pointers and what they point to: shard lock */
    struct database *flushed;     /* detached by a flush, not freed yet: a chain; shard lock (write) */
    uint64_t seed;                /* immutable after init */
    uint32_t database_count;      /* immutable after init */
    uint32_t index;               /* immutable after init: its number, and its lock's rank */
    _Atomic uint64_t expired;     /* atomic, relaxed: keys removed at their deadline, a statistic */
    _Atomic bool has_flushed;     /* atomic, relaxed: a hint that `flushed` isn't empty, to be read without the lock */
    _Atomic bool has_deadlines;   /* likewise: some database here has keys with a deadline */
};

must_use enum status shard_init(struct shard *shard, uint32_t index, uint32_t database_count, uint64_t seed,
                                size_t reserve_bytes, int64_t now_ms);
void shard_release(struct shard *shard);

/* Detach the keys of a database, which is empty from then on; O(1), whatever its size. STATUS_NO_MEMORY changes nothing. Lock: write. */
must_use enum status shard_flush(struct shard *shard, uint32_t database, int64_t now_ms);
/* Free up to `limit` detached entries; true when none are left. Lock: write. */
bool shard_reclaim_some(struct shard *shard, uint32_t limit, const struct reclaimer *reclaimer);
/* Remove what is due in all databases, about `limit` steps in all; returns the keys removed. Lock: write. */
uint64_t shard_expire_some(struct shard *shard, int64_t now_ms, uint32_t limit, bool *more,
                           const struct reclaimer *reclaimer);
/* Bytes of slabs and buckets that have memory behind them. Lock: read. */
size_t shard_footprint(const struct shard *shard);
void shard_validate(const struct shard *shard);
