/* A shard's databases, and how they are emptied without stalling it.
 *
 * A flush puts an empty database in the place of a full one, which joins the chain `flushed`; upkeep clears it,
 * a few hundred keys a hold. A cleared one is kept for a later flush and never freed: workers follow
 * `databases` without the lock to prefetch buckets (table.h), so neither a database nor the region of its table
 * may go while the shard is in use. What stays of one is two hundred bytes, a page of buckets, and addresses.
 *
 * Three million keys were cleared in 0.18 to 0.24 s (three runs) by 23 thousand holds of up to 128 keys: ten
 * microseconds on average. The longest were 1.0 to 4.7 ms by the clock, on a machine where other work could
 * interrupt them at any time; how much of that is ours was not told apart.
 * Since each key's ghost is told that it was deleted (ghost.c) it is 0.26 to 0.36 s: three runs of FLUSHALL SYNC, two
 * workers, while another process unpacked files.
 *
 * A detached database that a snapshot still walks over waits until that is done with it: to clear it would be to
 * save all of it at once.
 *
 * An unused database costs its two hundred bytes only, since its table is mapped at the first key, and what expiry
 * knows of slabs at the shard's first deadline: 32 shards of 16 start in 0.2 ms and touch 272 KiB.
 *
 * Expiry is the shard's, since slabs are: the sweep finds entries that are due, whatever database they are in, and each
 * is looked for in those that have deadlines. What lies in a detached one is left there to be cleared.
 *
 * A database of FLUSH_AT_ONCE_MAX keys or fewer is cleared where it is. Otherwise a client that sets one key
 * and flushes, again and again in one pipeline, would leave a chain of thousands before upkeep has its turn,
 * each with a mapping of its own, of which a process may have 65530.
 *
 * Invariants (shard_validate): every database's own; `cleared` ones are empty; has_flushed tells whether `flushed`
 * isn't. */
#include "shard.h"

#include <stddef.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/memory.h"
#include "leases.h"

enum {
    FLUSH_AT_ONCE_MAX = 32,
    LOOKS_A_KEY = 16, /* entries the sweep looks at in the time in which one is removed */
};

/* Release: pairs with the acquire in shard_database. */
static void database_set(struct shard *shard, uint32_t index, struct database *database) {
    atomic_store_explicit(&shard->databases[index], database, memory_order_release);
}

static void chain_push(struct database **chain, struct database *database) {
    database->next_flushed = *chain;
    *chain = database;
}

static struct database *chain_pop(struct database **chain) {
    struct database *database = *chain;
    *chain = database->next_flushed;
    return database;
}

static struct database *database_create(struct shard *shard) {
    struct database *database = memory_allocate(sizeof(*database));
    if (database == NULL) return NULL;
    database_init(database, &shard->slabs, &shard->expiry, shard->seed);
    database->eviction = &shard->eviction;
    return database;
}

static void database_destroy(struct database *database) {
    if (database == NULL) return;
    database_release(database);
    memory_free(database);
}

static void chain_destroy(struct database **chain) {
    while (*chain != NULL) {
        database_destroy(chain_pop(chain));
    }
}

/* ---- Lifetime -------------------------------------------------------------------------------- */

static enum status create_databases(struct shard *shard) {
    shard->databases = memory_allocate_zeroed(shard->database_count * sizeof(*shard->databases));
    if (shard->databases == NULL) return STATUS_NO_MEMORY;
    for (uint32_t i = 0; i < shard->database_count; i++) {
        struct database *database = database_create(shard);
        if (database == NULL) return STATUS_NO_MEMORY;
        database->number = i;
        database_set(shard, i, database);
    }
    return STATUS_OK;
}

enum status shard_init(struct shard *shard, uint32_t index, uint32_t database_count, uint64_t seed,
                       size_t reserve_bytes, struct eviction_rules *rules) {
    check(database_count > 0);
    *shard = (struct shard){.seed = seed, .database_count = database_count, .index = index};
    rwlock_init(&shard->lock, index);
    eviction_init(&shard->eviction, rules, index, seed);
    enum status status = slabs_init(&shard->slabs, reserve_bytes);
    if (status != STATUS_OK) return status;
    expiry_init(&shard->expiry, &shard->slabs);
    status = create_databases(shard);
    if (status != STATUS_OK) shard_release(shard);
    return status;
}

void shard_release(struct shard *shard) {
    for (uint32_t i = 0; shard->databases != NULL && i < shard->database_count; i++) {
        database_destroy(shard_database(shard, i));
    }
    chain_destroy(&shard->flushed);
    chain_destroy(&shard->cleared);
    memory_free(shard->databases);
    shard->databases = NULL;
    eviction_release(&shard->eviction);
    expiry_release(&shard->expiry);
    slabs_release(&shard->slabs);
}

/* ---- Flushing -------------------------------------------------------------------------------- */

static bool is_flushed_at_once(const struct database *database) {
    return database_key_count(database) <= FLUSH_AT_ONCE_MAX;
}

enum status shard_prepare_flush(struct shard *shard, uint32_t first, uint32_t end) {
    uint32_t missing = 0;
    for (uint32_t i = first; i < end; i++) {
        missing += !is_flushed_at_once(shard_database(shard, i));
    }
    for (const struct database *ready = shard->cleared; ready != NULL && missing > 0;) {
        missing--;
        ready = ready->next_flushed;
    }
    for (; missing > 0; missing--) {
        struct database *database = database_create(shard);
        if (database == NULL) return STATUS_NO_MEMORY;
        chain_push(&shard->cleared, database);
    }
    return STATUS_OK;
}

void shard_flush(struct shard *shard, uint32_t database, const struct reclaimer *reclaimer) {
    struct database *full = shard_database(shard, database);
    if (full->leases != NULL) leases_clear(full->leases);
    if (is_flushed_at_once(full)) {
        database_clear_some(full, UINT32_MAX, reclaimer);
        return;
    }
    check(shard->cleared != NULL);
    struct database *empty = chain_pop(&shard->cleared);
    empty->number =
        full->number; /* as its keys are cleared their ghosts are found in the new one */
    database_set(shard, database, empty);
    chain_push(&shard->flushed, full);
    atomic_store_explicit(&shard->has_flushed, true, memory_order_relaxed);
}

/* The link to the first detached database that no snapshot needs any more; to NULL when there is none. */
static struct database **find_reclaimable(struct shard *shard) {
    struct database **link = &shard->flushed;
    while (*link != NULL && (*link)->table.watch != NULL) {
        link = &(*link)->next_flushed;
    }
    return link;
}

bool shard_reclaim_some(struct shard *shard, uint32_t limit, const struct reclaimer *reclaimer) {
    struct database **link;
    while (*(link = find_reclaimable(shard)) != NULL && limit > 0) {
        struct database *database = *link;
        uint64_t before = database_key_count(database);
        bool is_empty = database_clear_some(database, limit, reclaimer);
        limit -= (uint32_t)(before - database_key_count(database));
        if (is_empty) chain_push(&shard->cleared, chain_pop(link));
    }
    if (shard->flushed == NULL) {
        atomic_store_explicit(&shard->has_flushed, false, memory_order_relaxed);
    }
    return *link == NULL;
}

/* ---- Expiry ---------------------------------------------------------------------------------- */

bool shard_has_deadlines(const struct shard *shard) {
    for (uint32_t i = 0; i < shard->database_count; i++) {
        if (database_deadline_count(shard_database(shard, i)) > 0) return true;
    }
    return false;
}

bool shard_has_due(const struct shard *shard, int64_t now_ms) {
    return expiry_has_work(&shard->expiry, now_ms);
}

/* Nearly always the first. */
struct database *shard_database_holding(const struct shard *shard, uint32_t reference,
                                        uint64_t hash) {
    for (uint32_t i = 0; i < shard->database_count; i++) {
        struct database *database = shard_database(shard, i);
        if (database_holds(database, reference, hash)) return database;
    }
    return NULL;
}

/* False for one whose database was detached: it stays. */
static bool expire_one(struct shard *shard, uint32_t reference, int64_t now_ms,
                       const struct reclaimer *reclaimer) {
    const struct entry *entry = slabs_at(&shard->slabs, reference);
    uint64_t hash = hash_seeded(entry_key(entry), shard->seed);
    struct database *database = shard_database_holding(shard, reference, hash);
    if (database == NULL) return false;
    lateness_add(&shard->lateness, now_ms - *entry_deadline(entry));
    database_expire(database, reference, hash, reclaimer);
    return true;
}

uint64_t shard_expire_some(struct shard *shard, int64_t now_ms, uint32_t limit, bool *more,
                           const struct reclaimer *reclaimer) {
    uint32_t looks = limit * LOOKS_A_KEY;
    uint64_t removed = 0;
    uint32_t reference;
    *more = false;
    if (!shard_has_deadlines(shard)) return 0;
    while ((reference = expiry_take_due(&shard->expiry, now_ms, &looks)) != 0) {
        removed += expire_one(shard, reference, now_ms, reclaimer);
        looks -= looks < LOOKS_A_KEY - 1 ? looks : LOOKS_A_KEY - 1;
    }
    *more = expiry_has_work(&shard->expiry, now_ms);
    atomic_fetch_add_explicit(&shard->expired, removed, memory_order_relaxed);
    return removed;
}

/* ---- Accounting and validation --------------------------------------------------------------- */

size_t shard_footprint(const struct shard *shard) {
    size_t bytes = (size_t)(shard->slabs.resident_bytes + shard->slabs.outside_bytes) +
                   expiry_footprint(&shard->expiry);
    for (uint32_t i = 0; i < shard->database_count; i++) {
        bytes += table_footprint(&shard_database(shard, i)->table);
    }
    for (const struct database *database = shard->flushed; database != NULL;) {
        bytes += table_footprint(&database->table);
        database = database->next_flushed;
    }
    return bytes;
}

void shard_validate(const struct shard *shard) {
    slabs_validate(&shard->slabs);
    expiry_validate(&shard->expiry);
    for (uint32_t i = 0; i < shard->database_count; i++) {
        database_validate(shard_database(shard, i));
    }
    for (const struct database *database = shard->flushed; database != NULL;) {
        database_validate(database);
        database = database->next_flushed;
    }
    for (const struct database *database = shard->cleared; database != NULL;) {
        database_validate(database);
        check(database_key_count(database) == 0);
        database = database->next_flushed;
    }
    check((shard->flushed != NULL) ==
          atomic_load_explicit(&shard->has_flushed, memory_order_relaxed));
}
