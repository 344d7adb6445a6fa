/* All shards: how a key finds its own, how several are locked at once, and what is done over the whole store.
 *
 * THE LOCK ORDER. Shard locks are taken by ascending index, all of a command's before its first effect; while one is
 * held, no lock of a lower or equal index is taken, and no lock of another kind is waited for, but leaf locks that
 * protect a few instructions (a client registry, the log). So no two commands can deadlock, and every command is
 * atomic: the server is strictly serialisable. Debug builds check the order (rwlock.h).
 *
 * `--lock-mode global` is this same code with one shard. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/random.h"
#include "base/status.h"
#include "counters.h"
#include "database.h"
#include "eviction.h"
#include "misses.h"
#include "router.h"
#include "shard.h"

enum { SHARDS_MAX = 65536, SHARDS_ALL_DATABASES = -1 };

struct shards_options {
    uint32_t shard_count; /* a power of two; 1 is the single global map */
    uint32_t database_count;
    uint32_t worker_count; /* how many write counters */
    uint64_t seed;         /* of the tables' hash */
    size_t
        reserve_bytes; /* address space a shard; 0: as much as references reach and the system gives */
    struct reclaimer reclaimer;
};

struct shards {
    struct shard *shards;    /* an array, each on its own cache lines; immutable after init */
    uint32_t count;          /* immutable after init */
    uint32_t database_count; /* immutable after init */
    uint64_t seed;           /* immutable after init */
    struct reclaimer reclaimer;
    struct counters_matrix counters;
    struct misses_matrix misses;
    struct eviction_rules eviction; /* atomics; see there */
};

must_use enum status shards_init(struct shards *shards, const struct shards_options *options);
void shards_release(struct shards *shards);

static inline struct shard *shards_of(const struct shards *shards, struct bytes name) {
    return &shards->shards[router_shard(name, shards->count)];
}
static inline struct key shards_key(const struct shards *shards, struct bytes name) {
    return (struct key){name, hash_seeded(name, shards->seed)};
}

/* Add a shard's index to `count` ascending ones, all different, with room for one more unless it is among them; returns how
 * many there are now. */
uint32_t shards_insert(uint32_t *indexes, uint32_t count, uint32_t index);
/* Lock or unlock the shards of sorted, distinct `indexes`; or all of them. */
void shards_lock(struct shards *shards, const uint32_t *indexes, uint32_t count, bool for_writing);
void shards_unlock(struct shards *shards, const uint32_t *indexes, uint32_t count,
                   bool for_writing);
void shards_lock_all(struct shards *shards, bool for_writing);
void shards_unlock_all(struct shards *shards, bool for_writing);

/* Keys in a database over all shards; relaxed, takes no lock. */
uint64_t shards_key_count(const struct shards *shards, uint32_t database);
/* ... in all databases; likewise. */
uint64_t shards_key_count_all(const struct shards *shards);
/* Those with a deadline; likewise. */
uint64_t shards_deadline_count(const struct shards *shards, uint32_t database);
/* The mean of what those have left, to a second; 0 if there are none. Likewise. */
int64_t shards_average_ttl_ms(const struct shards *shards, uint32_t database, int64_t now_ms);
/* How late upkeep removed those whose time was over. Likewise. */
struct lateness_sum shards_lateness(const struct shards *shards);
/* Empty one database, or SHARDS_ALL_DATABASES, at one instant (takes all locks); freed later by
 * shards_upkeep. STATUS_NO_MEMORY changes nothing. */
must_use enum status shards_flush(struct shards *shards, int32_t database);
/* Exchange two databases at one instant (takes all locks). Their leases end. */
void shards_swap(struct shards *shards, uint32_t a, uint32_t b);
/* Upkeep of one shard in bounded holds: free what was flushed, remove what was due by `now_ms`. About `limit` steps;
 * takes the lock only when there is work. True when more is left. */
bool shards_upkeep(struct shards *shards, uint32_t index, int64_t now_ms, uint32_t limit);
/* The first of these alone: what is due stays. */
bool shards_reclaim(struct shards *shards, uint32_t index, uint32_t limit);

/* The memory limit in one shard, beforehand: evict and compact where there is too much in use, by up to `limit` keys.
 * Takes the lock only when there is work. True when more is left. */
bool shards_ease(struct shards *shards, uint32_t index, int64_t now_ms, uint32_t limit);
/* Shard `index` can't find room: look for it in all others. True when somebody went for it, or some of what a
 * flush left was freed, or memory is within its limit meanwhile. No lock may be held. O(shards). */
bool shards_relieve(struct shards *shards, uint32_t index, int64_t now_ms, uint32_t limit);

/* SCAN over the whole store with one cursor: the shard in its low bits, the table's cursor above. Visits one bucket
 * chain under that shard's read lock; expired entries are skipped. 0 starts, 0 ends. The guarantee is
 * table_scan's. */
uint64_t shards_scan(struct shards *shards, uint32_t database, uint64_t cursor, int64_t now_ms,
                     table_visitor visit, void *context);
/* Visit every live entry, one shard after the other, each under its read lock in one hold (KEYS: as long as the shard
 * is large). */
void shards_visit_all(struct shards *shards, uint32_t database, int64_t now_ms, table_visitor visit,
                      void *context);
/* A random live key, copied to `name` by `visit` under the lock; false when there is none. */
bool shards_random(struct shards *shards, uint32_t database, int64_t now_ms, struct random *random,
                   table_visitor visit, void *context);
/* Leases of all databases, those that have run out but are still good included. Locks one after the other for
 * reading. */
uint64_t shards_lease_count(struct shards *shards);
/* How many keys that went are remembered with the reason, at most. Locks one after the other for reading. */
uint64_t shards_ghost_places(struct shards *shards);
/* shard_footprint of all. Locks one after the other for reading. */
size_t shards_footprint(struct shards *shards);
