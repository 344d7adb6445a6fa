/* A shard's databases, and how they are emptied without stalling it.
 *
 * A flush puts an empty database in the place of a full one, which joins the chain `flushed`; upkeep clears it, a few
 * hundred keys a hold. A cleared one is kept for a later flush and never freed: workers follow `databases`
 * without the lock to prefetch buckets (table.h), so neither a database nor the region of its table may go
 * while the shard is in use. What stays of one is two hundred bytes, a page of buckets, and addresses.
 *
 * Three million keys were cleared in 0.18 to 0.24 s (three runs) by 23 thousand holds of up to 128 keys: ten
 * microseconds on average. The longest were 1.0 to 4.7 ms by the clock, on a machine where other work could interrupt
 * them at any time; how much of that is ours was not told apart.
 *
 * An unused database costs its two hundred bytes only, since its table is mapped at the first key and its
 * wheel made at the first deadline: 32 shards of 16 start in 0.2 ms and touch 272 KiB, where wheels alone
 * would take 768.
 *
 * A database of FLUSH_AT_ONCE_MAX keys or fewer is cleared where it is. Otherwise a client that sets one key and
 * flushes, again and again in one pipeline, would leave a chain of thousands before upkeep has its turn, each with a
 * mapping of its own, of which a process may have 65530.
 *
 * The memory limit. How much is in use is a sum over all threads, known to all a little late (`used_bytes`); who makes room is
 * whoever writes, in the shard it holds. Three rules make of this a limit that is kept, with shards that stay alike:
 *
 *   1. From a margin before the limit on, a shard has to have free slots for its share of what there is too much. In the usual
 *      case, values of one size, this is all: a write evicts about one key, and takes its slot.
 *   2. What a shard grows by in pages or on the heap is its debt, and it evicts as many bytes. Without this one, free slots of a
 *      size that nobody asks for any more let a shard grow, while others evicted for it.
 *   3. Past half the margin entries move out of sparse slabs, and past the limit larger shards ("drainers") evict until there is a slab to
 *      empty. Were it any shard, chance would let one grow at the expense of another: at 8 MiB and 32 shards one was
 *      empty after three million writes.
 *
 * All of it is bounded for a write: `victims_max` keys evicted and as many moved, more of both the further memory is past its
 * limit. It goes over the limit by what one command adds, and by what is not seen yet: LOOK_EVERY writes a shard, of slab pages only, since
 * what lies on the heap is counted at once.
 *
 * Invariants (shard_validate): every database's own; `cleared` ones are empty; has_flushed tells whether `flushed`
 * isn't. */
#include "shard.h"

#include <stddef.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/memory.h"

enum {
    FLUSH_AT_ONCE_MAX = 32,
    MARGIN_DIVISOR = 128,   /* of the limit: where making room begins before it */
    LOOK_EVERY = 16,        /* writes to a shard between two looks at the memory in use */
    PAST_LIMIT_FACTOR = 16, /* more work for a write while memory is past its limit, */
    URGENCY_MAX = 4,        /* and up to so many times that, the further it is past */
    DEFERRED_MIN =
        4 * 1024 * 1024, /* values from this size on are freed elsewhere: it takes a millisecond */
};

/* Acquire: pairs with the release in `database_set`, for those who look without the lock. */
static struct database *database_get(const struct shard *shard, uint32_t index) {
    return atomic_load_explicit(&shard->databases[index], memory_order_acquire);
}

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

static struct database *database_create(struct shard *shard, int64_t now_ms) {
    struct database *database = memory_allocate(sizeof(*database));
    if (database == NULL) return NULL;
    database_init(database, &shard->slabs, shard->seed, now_ms);
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

static enum status create_databases(struct shard *shard, int64_t now_ms) {
    shard->databases = memory_allocate_zeroed(shard->database_count * sizeof(*shard->databases));
    if (shard->databases == NULL) return STATUS_NO_MEMORY;
    for (uint32_t i = 0; i < shard->database_count; i++) {
        struct database *database = database_create(shard, now_ms);
        if (database == NULL) return STATUS_NO_MEMORY;
        database_set(shard, i, database);
    }
    return STATUS_OK;
}

enum status shard_init(struct shard *shard, uint32_t index, uint32_t database_count, uint64_t seed,
                       size_t reserve_bytes, int64_t now_ms, struct eviction_rules *rules) {
    check(database_count > 0);
    *shard = (struct shard){.seed = seed, .database_count = database_count, .index = index};
    rwlock_init(&shard->lock, index);
    eviction_init(&shard->eviction, rules, index, seed);
    enum status status = slabs_init(&shard->slabs, reserve_bytes);
    if (status != STATUS_OK) return status;
    status = create_databases(shard, now_ms);
    if (status != STATUS_OK) shard_release(shard);
    return status;
}

void shard_release(struct shard *shard) {
    for (uint32_t i = 0; shard->databases != NULL && i < shard->database_count; i++) {
        database_destroy(database_get(shard, i));
    }
    chain_destroy(&shard->flushed);
    chain_destroy(&shard->cleared);
    memory_free(shard->databases);
    shard->databases = NULL;
    eviction_release(&shard->eviction);
    slabs_release(&shard->slabs);
}

/* ---- Flushing -------------------------------------------------------------------------------- */

static bool is_flushed_at_once(const struct database *database) {
    return database_key_count(database) <= FLUSH_AT_ONCE_MAX;
}

enum status shard_prepare_flush(struct shard *shard, uint32_t first, uint32_t end) {
    uint32_t missing = 0;
    for (uint32_t i = first; i < end; i++) {
        missing += !is_flushed_at_once(database_get(shard, i));
    }
    for (const struct database *ready = shard->cleared; ready != NULL && missing > 0;) {
        missing--;
        ready = ready->next_flushed;
    }
    for (; missing > 0; missing--) {
        struct database *database = database_create(shard, 0);
        if (database == NULL) return STATUS_NO_MEMORY;
        chain_push(&shard->cleared, database);
    }
    return STATUS_OK;
}

void shard_flush(struct shard *shard, uint32_t database, int64_t now_ms,
                 const struct reclaimer *reclaimer) {
    struct database *full = database_get(shard, database);
    if (is_flushed_at_once(full)) {
        database_clear_some(full, UINT32_MAX, reclaimer);
        return;
    }
    check(shard->cleared != NULL);
    struct database *empty = chain_pop(&shard->cleared);
    expiry_restart(&empty->expiry, now_ms);
    database_set(shard, database, empty);
    chain_push(&shard->flushed, full);
    atomic_store_explicit(&shard->has_flushed, true, memory_order_relaxed);
}

bool shard_reclaim_some(struct shard *shard, uint32_t limit, const struct reclaimer *reclaimer) {
    while (limit > 0 && shard->flushed != NULL) {
        struct database *database = shard->flushed;
        uint64_t before = database_key_count(database);
        bool is_empty = database_clear_some(database, limit, reclaimer);
        limit -= (uint32_t)(before - database_key_count(database));
        if (is_empty) chain_push(&shard->cleared, chain_pop(&shard->flushed));
    }
    if (shard->flushed == NULL) {
        atomic_store_explicit(&shard->has_flushed, false, memory_order_relaxed);
    }
    return shard->flushed == NULL;
}

/* ---- Expiry ---------------------------------------------------------------------------------- */

bool shard_has_deadlines(const struct shard *shard) {
    for (uint32_t i = 0; i < shard->database_count; i++) {
        const struct database *database = database_get(shard, i);
        if (atomic_load_explicit(&database->expiry.count, memory_order_relaxed) > 0) return true;
    }
    return false;
}

static uint32_t count_due_databases(const struct shard *shard, int64_t now_ms) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < shard->database_count; i++) {
        count += expiry_has_work(&database_get(shard, i)->expiry, now_ms);
    }
    return count;
}

bool shard_has_due(const struct shard *shard, int64_t now_ms) {
    return count_due_databases(shard, now_ms) > 0;
}

/* The limit is shared evenly, so that a database with much that is due does not starve the others. */
uint64_t shard_expire_some(struct shard *shard, int64_t now_ms, uint32_t limit, bool *more,
                           const struct reclaimer *reclaimer) {
    uint32_t due = count_due_databases(shard, now_ms);
    uint32_t share = due == 0 || limit <= due ? 1 : limit / due;
    uint64_t removed = 0;
    *more = false;
    for (uint32_t i = 0; i < shard->database_count; i++) {
        struct database *database = database_get(shard, i);
        if (!expiry_has_work(&database->expiry, now_ms)) continue;
        bool has_left;
        removed += database_expire_some(database, now_ms, share, &has_left, reclaimer);
        *more |= has_left;
    }
    atomic_fetch_add_explicit(&shard->expired, removed, memory_order_relaxed);
    return removed;
}

/* ---- The memory limit ------------------------------------------------------------------------ */

static int64_t load(const _Atomic int64_t *field) {
    return atomic_load_explicit(field, memory_order_relaxed);
}

/* From here on room is made: a little before the limit, so that what is seen late, and what is freed but not yet of
 * use, stays below it. */
static int64_t margin_of(int64_t limit) {
    return limit / MARGIN_DIVISOR;
}

bool shard_is_pressed(const struct eviction_rules *rules) {
    int64_t limit = load(&rules->limit_bytes);
    return limit != 0 && load(&rules->used_bytes) > limit - margin_of(limit);
}

/* The total is a sum over all threads' counters; a write looks at it now and then. */
static void look(struct shard *shard) {
    if (--shard->eviction.look_in > 0) return;
    shard->eviction.look_in = LOOK_EVERY;
    eviction_look(shard->eviction.rules);
}

/* Remove one key, whom the policy wants, and return its bytes; 0 when there is nobody. What that frees outside of the slabs
 * is taken off the total at once, so that others don't evict for it, too. */
static size_t evict_one(struct shard *shard, int64_t now_ms, const struct reclaimer *reclaimer) {
    struct eviction_candidate victim;
    if (!eviction_choose(&shard->eviction, shard->databases, shard->database_count, now_ms,
                         &victim)) {
        return 0;
    }
    struct entry *entry = slabs_at(&shard->slabs, victim.reference);
    size_t bytes = entry_footprint(entry);
    size_t outside = entry_footprint_outside(entry);
    eviction_dismiss(&shard->eviction, &victim, entry);
    if (outside != 0) {
        struct eviction_rules *rules = shard->eviction.rules;
        atomic_fetch_sub_explicit(&rules->used_bytes, (int64_t)outside, memory_order_relaxed);
        atomic_fetch_add_explicit(&rules->returned_bytes, (int64_t)outside, memory_order_relaxed);
    }
    struct key key = {entry_key(entry), victim.hash};
    database_remove(database_get(shard, victim.database), &key, entry,
                    outside >= DEFERRED_MIN ? reclaimer : NULL);
    return bytes;
}

/* The database that an entry is in: nearly always the first. */
static struct database *database_holding(struct shard *shard, uint32_t reference, uint64_t hash) {
    for (uint32_t i = 0; i < shard->database_count; i++) {
        struct database *database = database_get(shard, i);
        if (database_holds(database, reference, hash)) return database;
    }
    struct database *database = shard->flushed;
    while (database != NULL && !database_holds(database, reference, hash)) {
        database = database->next_flushed;
    }
    check(database != NULL); /* between commands, every entry is in a table */
    return database;
}

static int64_t bytes_of_shard(const struct shard *shard) {
    return (int64_t)(shard->slabs.resident_bytes + shard->slabs.outside_bytes);
}

/* Tell what this shard takes, and return by how much that has changed. */
static int64_t tell(struct shard *shard) {
    struct eviction *eviction = &shard->eviction;
    int64_t change = bytes_of_shard(shard) - eviction->bytes_told;
    eviction->bytes_told += change;
    if (change != 0)
        atomic_fetch_add_explicit(&eviction->rules->told_bytes, change, memory_order_relaxed);
    return change;
}

/* Does it take more than the average shard? */
static bool is_large(const struct shard *shard) {
    const struct eviction_rules *rules = shard->eviction.rules;
    return shard->eviction.bytes_told * rules->shard_count >= load(&rules->told_bytes);
}

/* What the shard has grown by since there is too much in use is its debt: so many bytes it has to evict. Free slots are no
 * excuse, they may be of the wrong size. */
static void charge(struct shard *shard, int64_t grown) {
    struct eviction *eviction = &shard->eviction;
    eviction->debt_bytes = eviction->is_charged ? eviction->debt_bytes + grown : 0;
    if (eviction->debt_bytes < 0) eviction->debt_bytes = 0;
    eviction->is_charged = true;
}

/* Memory is past its limit. A slab has to be emptied: as long as no class has holes enough, that means to evict a slab's
 * worth of keys, which is much for a small shard. So no more shards set out to than there are slabs to be gained. */
static void join_drainers(struct shard *shard, int64_t past) {
    struct eviction *eviction = &shard->eviction;
    uint32_t drainers = atomic_load_explicit(&eviction->rules->drainers, memory_order_relaxed);
    if (eviction->is_draining || drainers > past / SLABS_SLAB_BYTES) return;
    atomic_fetch_add_explicit(&eviction->rules->drainers, 1, memory_order_relaxed);
    eviction->is_draining = true;
    eviction->debt_bytes += SLABS_SLAB_BYTES;
}

static void leave_drainers(struct shard *shard) {
    if (!shard->eviction.is_draining) return;
    atomic_fetch_sub_explicit(&shard->eviction.rules->drainers, 1, memory_order_relaxed);
    shard->eviction.is_draining = false;
}

/* Move entries out of sparse slabs; a slab that became empty gives its memory back. */
static void compact(struct shard *shard, uint32_t moves_max) {
    struct slabs *slabs = &shard->slabs;
    uint64_t resident_before = slabs->resident_bytes;
    uint32_t moves = 0;
    for (uint32_t reference; moves < moves_max && (reference = slabs_drain_next(slabs)) != 0;
         moves++) {
        uint64_t hash = hash_seeded(entry_key(slabs_at(slabs, reference)), shard->seed);
        if (database_move(database_holding(shard, reference, hash), reference, hash)) continue;
        slabs_drain_stop(slabs);
        break;
    }
    slabs_trim(slabs);
    atomic_fetch_add_explicit(&shard->eviction.moved, moves, memory_order_relaxed);
    if (slabs->resident_bytes < resident_before) leave_drainers(shard);
    int64_t gained = (int64_t)(resident_before - slabs->resident_bytes);
    atomic_fetch_sub_explicit(&shard->eviction.rules->used_bytes, gained, memory_order_relaxed);
}

/* Evict as long as more than `target` is in use, until there are free slots for this shard's share of what there is too
 * much (or as much went from the heap), and its debt is paid, or there is a slab to drain instead. False when there is
 * nobody left who may go. */
static bool evict_some(struct shard *shard, int64_t target, int64_t now_ms, uint32_t victims_max,
                       const struct reclaimer *reclaimer) {
    struct eviction *eviction = &shard->eviction;
    int64_t evicted = 0;
    for (; victims_max > 0; victims_max--) {
        int64_t over = load(&eviction->rules->used_bytes) - target;
        int64_t share = over / eviction->rules->shard_count + SLABS_OBJECT_MAX;
        int64_t free_bytes = (int64_t)shard->slabs.freed_bytes;
        bool has_share = free_bytes >= share || evicted >= share;
        bool is_paid = eviction->debt_bytes <= 0 || slabs_can_drain(&shard->slabs);
        if (over <= 0 || (has_share && is_paid)) break;
        size_t bytes = evict_one(shard, now_ms, reclaimer);
        if (bytes == 0) return false;
        evicted += (int64_t)bytes;
        eviction->debt_bytes -= (int64_t)bytes;
    }
    if (eviction->debt_bytes <= 0) leave_drainers(shard);
    return true;
}

/* How much more work a write has to do that far past the limit: where small entries give way to large values, a slab's
 * worth of them for each few writes. */
static uint32_t urgency_of(int64_t past, int64_t margin) {
    int64_t margins = margin != 0 ? past / margin : URGENCY_MAX;
    return margins < URGENCY_MAX ? 1 + (uint32_t)margins : URGENCY_MAX;
}

/* Shards that are larger than others make room from the margin on, and drain slabs; the small ones leave it to them a
 * little longer. Otherwise chance would let one shard grow at the expense of another until that is empty. */
bool shard_make_room(struct shard *shard, int64_t now_ms, uint32_t victims_max,
                     const struct reclaimer *reclaimer) {
    const struct eviction_rules *rules = shard->eviction.rules;
    int64_t limit = load(&rules->limit_bytes);
    if (limit == 0) return true;
    look(shard);
    int64_t past = load(&rules->used_bytes) - limit;
    if (past <= 0) leave_drainers(shard);
    if (!shard_is_pressed(rules)) {
        shard->eviction.is_charged = false;
        return true;
    }
    charge(shard, tell(shard));
    bool is_larger = is_large(shard);
    if (past > 0) {
        if (is_larger || past > margin_of(limit)) join_drainers(shard, past);
        victims_max *= PAST_LIMIT_FACTOR * urgency_of(past, margin_of(limit));
    }
    int64_t target = limit - (is_larger ? margin_of(limit) : margin_of(limit) / 2);
    bool is_evicting = evict_some(shard, target, now_ms, victims_max, reclaimer);
    if (!is_evicting) leave_drainers(shard);
    if (past > -margin_of(limit) / 2) compact(shard, victims_max);
    tell(shard);
    past = load(&rules->used_bytes) - limit;
    return past <= 0 || is_evicting || (int64_t)shard->slabs.freed_bytes >= past;
}

/* ---- Accounting and validation --------------------------------------------------------------- */

size_t shard_footprint(const struct shard *shard) {
    size_t bytes = (size_t)shard->slabs.resident_bytes;
    for (uint32_t i = 0; i < shard->database_count; i++) {
        bytes += table_footprint(&database_get(shard, i)->table);
    }
    for (const struct database *database = shard->flushed; database != NULL;) {
        bytes += table_footprint(&database->table);
        database = database->next_flushed;
    }
    return bytes;
}

void shard_validate(const struct shard *shard) {
    slabs_validate(&shard->slabs);
    for (uint32_t i = 0; i < shard->database_count; i++) {
        database_validate(database_get(shard, i));
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
