/* The index of a shard's keys: linear hashing over 64-byte buckets; it grows and shrinks one bucket at a time.
 *
 *      ┌─ bucket: one cache line ──────────────────────────────────────────┐
 *      │ 12 tags of 8 bits │ overflow, 32 bits │ 12 references of 32 bits   │
 *      └───────────────────────────────────────────────────────────────────┘
 *
 * A lookup compares twelve tags at once, and touches an entry only on a match: one miss for the bucket, one for the
 * entry. All buckets lie in one region that grows in place, so there is no directory, no second table, no moment of
 * rehash: a write that adds a key may split one bucket (about twelve keys), a write that removes one may
 * join two. That is the whole cost of a growth to any size (Litwin 1980, "Linear hashing"), and why no
 * operation can stall its shard.
 *
 * The table borrows keys from entries and never owns their values: callers create and destroy entries.
 * Lock: as each function says. `hash` is always `hash_seeded(key)` under the one seed of the store. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/random.h"
#include "base/region.h"
#include "base/status.h"
#include "entry.h"
#include "slabs.h"

struct table_bucket;
struct table_watch;

struct table {
    struct region buckets; /* reserved at the first insert, once: an unused table costs nothing */
    _Atomic uint32_t bucket_count; /* lock (write); without it: acquire, by table_prefetch_* only */
    _Atomic uint64_t key_count;    /* lock (write); read without it as a statistic, relaxed */
    uint64_t overflow_count;       /* overflow buckets; lock (write) */
    uint64_t seed;                 /* immutable after init */
    struct slabs *slabs;       /* immutable after init: where entries and overflow buckets live */
    struct table_watch *watch; /* NULL: nobody watches; lock (write) */
};

void table_init(struct table *table, struct slabs *slabs, uint64_t seed);
/* The entries must have been removed, or die with their slabs. Nobody may be prefetching any more. */
void table_release(struct table *table);

/* Find `key`. O(1), changes nothing, never allocates. NULL when there is none. Lock: read. */
struct entry *table_find(const struct table *table, struct bytes key, uint64_t hash);
/* Add an entry whose key is known to be absent; may split one bucket. STATUS_NO_MEMORY leaves the table as it was.
 * Lock: write. */
must_use enum status table_insert(struct table *table, uint32_t reference, uint64_t hash);
/* Take out the entry at `reference`, which is in the table; may join two buckets. Lock: write. */
void table_remove(struct table *table, uint32_t reference, uint64_t hash);
/* The entry moved: its bucket now points to `to`. Never fails. Lock: write. */
void table_replace(struct table *table, uint32_t from, uint32_t to, uint64_t hash);

/* Take out some entry, whichever is cheapest, and give back its bucket when it was the last there; 0 when
 * the table is empty. No hash is needed: for clearing a table. Lock: write. */
uint32_t table_take_any(struct table *table);

/* Visit the entries of the cursor's bucket and return the next cursor; 0 starts and 0 ends. A key that is
 * in the table throughout a full cycle is visited at least once, however the table grows or shrinks in
 * between (reverse-binary increments, Pieter Noordhuis's idea in Redis). `visit` must not change the
 * table. Lock: read. */
typedef void (*table_visitor)(void *context, struct entry *entry);
uint64_t table_scan(const struct table *table, uint64_t cursor, table_visitor visit, void *context);
/* Visit the entries of bucket `index` and ask for those of the next, whose index is returned; 0 after the last. For a
 * hand that goes round and round: no guarantee while the table grows. Lock: read. */
uint32_t table_sweep(const struct table *table, uint32_t index, table_visitor visit, void *context);
/* Is there an entry at `reference`, with this hash? It need not be an entry at all. Lock: read. */
bool table_holds(const struct table *table, uint32_t reference, uint64_t hash);
/* Some entry, close to uniformly; NULL when empty. Lock: read. */
struct entry *table_random(const struct table *table, struct random *random);

/* Visit the entries of one bucket, below `bucket_count`. Lock: read. */
void table_visit(const struct table *table, uint32_t bucket, table_visitor visit, void *context);

/* A watch sees every bucket as it was when the watch began: whoever is about to change a bucket gives it to
 * `take` first. Each bucket is seen once; `seen` has a bit for each there was, and what comes to be later holds
 * nothing unseen. */
struct table_watch {
    uint64_t *seen;        /* lock (write), or its one walker's with the lock (read) */
    uint32_t bucket_count; /* when the watch began */
    /* The lock is held for writing; changes nothing. */
    void (*take)(struct table_watch *watch, const struct table *table, uint32_t bucket);
};
enum { TABLE_WATCH_BITS = 64 /* of a word of `seen` */ };

/* Begin: `seen` is zero, and has a bit a bucket. Lock: write. */
void table_watch_start(struct table *table, struct table_watch *watch);
/* For the one who walks over the buckets: mark one as seen; false when it was, or is no more. Lock: read. */
bool table_watch_mark(const struct table *table, uint32_t bucket);
/* Before the entries of this hash's bucket are changed where they lie (the table itself looks after its own
 * changes). */
void table_watch_hand_over(const struct table *table, uint64_t hash);
static inline void table_before_change(const struct table *table, uint64_t hash) {
    if (__builtin_expect(table->watch != NULL, 0)) table_watch_hand_over(table, hash);
}

/* Ask for the bucket's cache line, then (a little later) for the lines of the entry whose tag matches. Hints: any
 * thread, no lock; a race yields a useless prefetch, nothing else (see region.h). */
void table_prefetch_bucket(const struct table *table, uint64_t hash);
void table_prefetch_entry(const struct table *table, uint64_t hash);

/* Bytes of buckets that have memory behind them; overflow buckets are the slabs'. Lock: read. */
size_t table_footprint(const struct table *table);
/* Tests, debug: every entry is where its hash says, counts add up, chains end. Lock: read. */
void table_validate(const struct table *table);
