/* A hand that goes over all entries of a shard and moves what they hold on the heap out of pages that are in use in
 * part, a few buckets at a time.
 *
 * Where large values give way to small ones, the pages between those that are left are of no use to the small ones,
 * which lie in slabs: without this, 64 MiB of 2 KiB values giving way to values of 64 bytes took 92 MiB on the way, and
 * 256 MiB 327; with it 75 and 279 (sherd-bench shift). What lies idle is seen late by a hand, so some of it stays
 * until the sizes have settled. Slabs have draining (slabs.h), which needs no hand: a slab knows its objects.
 *
 * Rounds are asked for by whoever sees that much lies idle (server/limit.c), and then done by each shard's worker.
 * Source of the idea: Redis's active defragmentation, and jemalloc's utilization queries. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct shard;

/* A shard's part. Shard lock (write), but for what is atomic (relaxed). All zero to begin with. */
struct gathering {
    _Atomic uint32_t rounds;   /* of those asked for, the number of the last one that is done */
    uint32_t begun;            /* the number of the one that the hand is in */
    uint32_t database, bucket; /* where the hand is */
    _Atomic uint64_t moved;    /* values, a statistic */
};

/* Has somebody asked for more rounds than were done here? Any thread, no lock. */
bool gathering_is_wanted(const struct shard *shard);
/* Go on for so many buckets at most. Lock: write. */
void gathering_step(struct shard *shard, uint32_t buckets);
