/* One logical database's part in one shard: its table and its deadlines, kept in step.
 *
 * The level at which keys are found, put, moved and removed: whatever deadline an entry gets, keeps or loses is told to
 * expiry, and counted, here and nowhere else. What the values mean is the types' business (shards/types/).
 * Lock: the shard's, for reading by the functions that take a const database, for writing by the others. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"
#include "entry.h"
#include "eviction.h"
#include "expiry.h"
#include "table.h"

struct leases;

struct database {
    struct table table;
    struct expiry *expiry;           /* its shard's. Immutable after init */
    _Atomic uint64_t deadline_count; /* entries with a deadline; as table.key_count */
    _Atomic uint64_t deadline_sum;   /* of their deadlines, in units of DATABASE_SUM_MS; likewise */
    struct leases *leases;           /* NULL until the first is given; shard lock (write) */
    struct slabs *slabs;
    struct eviction *eviction; /* its shard's; NULL: a database on its own. Immutable after init */
    uint32_t number; /* tells its ghosts from those of others in the shard; shard lock (write) */
    struct database
        *next_flushed; /* in its shard's chain of detached databases; shard lock (write) */
};

/* A key with its hash already taken: hashing happens once, when the request is read. */
struct key {
    struct bytes name;
    uint64_t hash; /* hash_seeded(name, seed of the store) */
};

/* Where freed blobs too large to be freed under the lock go; `defer` may be NULL: free at once. */
struct reclaimer {
    void (*defer)(void *context, struct blob *blob);
    void *context;
};
/* Give up a reference, to `reclaimer` if the blob is large. It may be NULL. */
void reclaimer_take(const struct reclaimer *reclaimer, struct blob *blob);

enum { DATABASE_SUM_MS = 1024 };

void database_init(struct database *database, struct slabs *slabs, struct expiry *expiry,
                   uint64_t seed);
/* Frees every entry. For small databases and the end of the process; see database_clear_some. */
void database_release(struct database *database);

/* The live entry of `key`, or NULL when it is absent or past its deadline. Lock: read. */
struct entry *database_find(const struct database *database, const struct key *key, int64_t now_ms);
/* The same for a writer, which removes an expired entry on the way (`*expired`, may be NULL, tells) and ends the key's
 * lease, since the key may be about to change. Lock: write. */
struct entry *database_find_for_write(struct database *database, const struct key *key,
                                      int64_t now_ms, const struct reclaimer *reclaimer,
                                      bool *expired);
/* The same for whoever fills the key (leases_fill has said that he may): the lease stays as he left it. Lock: write. */
struct entry *database_find_for_fill(struct database *database, const struct key *key,
                                     int64_t now_ms, const struct reclaimer *reclaimer,
                                     bool *expired);

/* Put a new entry in place of `*entry` (as found by database_find_for_write; NULL when absent), which then is the new
 * one. `deadline_ms` may be ENTRY_NO_EXPIRY. Writes in place when the slot allows. On STATUS_NO_MEMORY the
 * old entry is as it was, and a given blob still the caller's. `content->key` and `has_expiry` are ignored
 * (they follow from the others). */
must_use enum status database_put(struct database *database, const struct key *key,
                                  struct entry **entry, const struct entry_content *content,
                                  int64_t deadline_ms, const struct reclaimer *reclaimer);
/* Remove a found entry. Whoever removes it by a command also says so: database_remember_deleted. */
void database_remove(struct database *database, const struct key *key, struct entry *entry,
                     const struct reclaimer *reclaimer);
/* A command removes a key, or did: remember that, for those who ask for it later. */
void database_remember_deleted(struct database *database, uint64_t hash);
/* The hash of a key among its shard's ghosts. */
static inline uint64_t database_ghost_hash(const struct database *database, uint64_t hash) {
    return hash ^ database->number * UINT64_C(0x9e3779b97f4a7c15);
}
/* Why database_find doesn't find `key`. Lock: read. */
enum miss_reason database_miss_reason(const struct database *database, const struct key *key);
/* Give a found entry a deadline, change it, or take it away (ENTRY_NO_EXPIRY). May move the entry; returns
 * where it is now, or NULL on refused memory (then nothing changed). */
must_use struct entry *database_set_deadline(struct database *database, const struct key *key,
                                             struct entry *entry, int64_t deadline_ms);

/* Is there an entry at `reference`, with this hash? It need not be an entry at all. */
bool database_holds(const struct database *database, uint32_t reference, uint64_t hash);
/* Move the entry at `reference`, which is here, into another slot. False when memory is refused. Lock: write. */
must_use bool database_move(struct database *database, uint32_t reference, uint64_t hash);
/* Note a use of an entry here; or that it is new. Lock: write. */
static inline void database_touch(struct database *database, struct entry *entry, int64_t now_ms) {
    struct eviction *eviction = database->eviction;
    if (eviction == NULL) {
        entry_touch(entry, now_ms);
    } else {
        eviction_touch(eviction->rules, entry, now_ms, &eviction->random);
    }
}
void database_greet(struct database *database, struct entry *entry, uint64_t hash, int64_t now_ms);
/* What was put here lies on the heap: too much to wait until the memory in use is looked at again. */
void database_charge(struct database *database, const struct entry *entry);

/* Remove the entry at `reference`, which is here and due. */
void database_expire(struct database *database, uint32_t reference, uint64_t hash,
                     const struct reclaimer *reclaimer);
/* Remove up to `limit` keys, any; true when the database is now empty (and its buckets given back). For flushing in
 * bounded holds. */
bool database_clear_some(struct database *database, uint32_t limit,
                         const struct reclaimer *reclaimer);
/* Keys that are there, the expired but not yet removed included (as Redis counts them). */
uint64_t database_key_count(const struct database *database);
/* Those with a deadline; relaxed, takes no lock. */
static inline uint64_t database_deadline_count(const struct database *database) {
    return atomic_load_explicit(&database->deadline_count, memory_order_relaxed);
}
void database_validate(const struct database *database);
