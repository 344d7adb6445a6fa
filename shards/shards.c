/* Work over many shards: locks in order, flushes at one instant, scans with one cursor.
 *
 * The SCAN cursor. The lowest bits number the shard, those above are its table's cursor (table.c). One
 * call visits one chain of one shard; when a table's cycle ends, the cursor names the next shard's start.
 * A key never changes its shard, so each shard's guarantee is the whole one's: what is there from the
 * first call to the last is returned at least once.
 *
 * Address space. 47 bits are there for a process; slabs and, for each database, buckets an eighth of their size
 * are reserved, not used. So a shard gets 32 GiB as long as all shards' slabs stay within RESERVE_TOTAL, and an
 * even part of it beyond that. */
#include "shards.h"

#include <string.h>

#include "base/check.h"
#include "base/memory.h"
#include "leases.h"
#include "room.h"

enum {
    RANDOM_TRIES = 100, /* draws that may hit expired keys, before the store is searched */
};
static const uint64_t RESERVE_TOTAL = UINT64_C(1)
                                      << 45;            /* of address space, by all shards' slabs */
static const uint64_t RESERVE_MAX = UINT64_C(32) << 30; /* by one: as far as references reach */

/* ---- Lifetime -------------------------------------------------------------------------------- */

static size_t reserve_of(const struct shards_options *options) {
    uint64_t share = RESERVE_TOTAL / options->shard_count;
    return options->reserve_bytes != 0 || share >= RESERVE_MAX ? options->reserve_bytes : share;
}

static void release_first(struct shards *shards, uint32_t count) {
    while (count > 0) {
        shard_release(&shards->shards[--count]);
    }
    memory_free(shards->shards);
}

static enum status create_shards(struct shards *shards, const struct shards_options *options) {
    shards->shards =
        memory_allocate_aligned(_Alignof(struct shard), shards->count * sizeof(struct shard));
    if (shards->shards == NULL) return STATUS_NO_MEMORY;
    for (uint32_t i = 0; i < shards->count; i++) {
        enum status status = shard_init(&shards->shards[i], i, options->database_count,
                                        options->seed, reserve_of(options), &shards->eviction);
        if (status != STATUS_OK) {
            release_first(shards, i);
            return status;
        }
    }
    return STATUS_OK;
}

enum status shards_init(struct shards *shards, const struct shards_options *options) {
    check(options->shard_count > 0 && options->shard_count <= SHARDS_MAX);
    check((options->shard_count & (options->shard_count - 1)) == 0);
    *shards = (struct shards){
        .count = options->shard_count,
        .database_count = options->database_count,
        .seed = options->seed,
        .reclaimer = options->reclaimer,
    };
    eviction_rules_init(&shards->eviction, options->shard_count);
    enum status status =
        counters_init(&shards->counters, options->worker_count, options->shard_count);
    if (status != STATUS_OK) return status;
    status = misses_init(&shards->misses, options->worker_count, options->database_count);
    if (status != STATUS_OK) goto release_counters;
    status = create_shards(shards, options);
    if (status == STATUS_OK) return STATUS_OK;
    misses_release(&shards->misses);
release_counters:
    counters_release(&shards->counters);
    return status;
}

void shards_release(struct shards *shards) {
    release_first(shards, shards->count);
    misses_release(&shards->misses);
    counters_release(&shards->counters);
    *shards = (struct shards){0};
}

/* ---- Locks ----------------------------------------------------------------------------------- */

static void lock_one(struct shard *shard, bool for_writing) {
    if (for_writing) {
        rwlock_write_lock(&shard->lock);
    } else {
        rwlock_read_lock(&shard->lock);
    }
}

static void unlock_one(struct shard *shard, bool for_writing) {
    if (for_writing) {
        rwlock_write_unlock(&shard->lock);
    } else {
        rwlock_read_unlock(&shard->lock);
    }
}

/* The first of these ascending ones that isn't less. */
static uint32_t first_from(const uint32_t *indexes, uint32_t count, uint32_t index) {
    uint32_t low = 0, high = count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (indexes[middle] < index) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

uint32_t shards_insert(uint32_t *indexes, uint32_t count, uint32_t index) {
    uint32_t at = first_from(indexes, count, index);
    if (at < count && indexes[at] == index) return count;
    memmove(&indexes[at + 1], &indexes[at], (count - at) * sizeof(*indexes));
    indexes[at] = index;
    return count + 1;
}

void shards_lock(struct shards *shards, const uint32_t *indexes, uint32_t count, bool for_writing) {
    for (uint32_t i = 0; i < count; i++) {
        lock_one(&shards->shards[indexes[i]], for_writing);
    }
}

void shards_unlock(struct shards *shards, const uint32_t *indexes, uint32_t count,
                   bool for_writing) {
    while (count > 0) {
        unlock_one(&shards->shards[indexes[--count]], for_writing);
    }
}

void shards_lock_all(struct shards *shards, bool for_writing) {
    for (uint32_t i = 0; i < shards->count; i++) {
        lock_one(&shards->shards[i], for_writing);
    }
}

void shards_unlock_all(struct shards *shards, bool for_writing) {
    for (uint32_t i = shards->count; i > 0; i--) {
        unlock_one(&shards->shards[i - 1], for_writing);
    }
}

/* ---- Counting -------------------------------------------------------------------------------- */

uint64_t shards_key_count(const struct shards *shards, uint32_t database) {
    uint64_t count = 0;
    for (uint32_t i = 0; i < shards->count; i++) {
        count += database_key_count(shard_database(&shards->shards[i], database));
    }
    return count;
}

uint64_t shards_key_count_all(const struct shards *shards) {
    uint64_t count = 0;
    for (uint32_t i = 0; i < shards->database_count; i++) {
        count += shards_key_count(shards, i);
    }
    return count;
}

uint64_t shards_deadline_count(const struct shards *shards, uint32_t database) {
    uint64_t count = 0;
    for (uint32_t i = 0; i < shards->count; i++) {
        count += database_deadline_count(shard_database(&shards->shards[i], database));
    }
    return count;
}

int64_t shards_average_ttl_ms(const struct shards *shards, uint32_t database, int64_t now_ms) {
    uint64_t count = shards_deadline_count(shards, database);
    double deadlines_ms = 0;
    for (uint32_t i = 0; i < shards->count; i++) {
        const struct database *part = shard_database(&shards->shards[i], database);
        uint64_t sum = atomic_load_explicit(&part->deadline_sum, memory_order_relaxed);
        deadlines_ms += (double)sum * DATABASE_SUM_MS;
    }
    if (count == 0) return 0;
    /* Each deadline was rounded down to a unit. */
    int64_t ttl_ms = (int64_t)(deadlines_ms / (double)count) + DATABASE_SUM_MS / 2 - now_ms;
    return ttl_ms > 0 ? ttl_ms : 0;
}

struct lateness_sum shards_lateness(const struct shards *shards) {
    struct lateness_sum sum = {0};
    for (uint32_t i = 0; i < shards->count; i++) {
        lateness_merge(&sum, &shards->shards[i].lateness);
    }
    return sum;
}

size_t shards_footprint(struct shards *shards) {
    size_t bytes = 0;
    for (uint32_t i = 0; i < shards->count; i++) {
        struct shard *shard = &shards->shards[i];
        lock_one(shard, false);
        bytes += shard_footprint(shard);
        unlock_one(shard, false);
    }
    return bytes;
}

uint64_t shards_lease_count(struct shards *shards) {
    uint64_t count = 0;
    for (uint32_t i = 0; i < shards->count; i++) {
        struct shard *shard = &shards->shards[i];
        lock_one(shard, false);
        for (uint32_t d = 0; d < shards->database_count; d++) {
            count += leases_count(shard_database(shard, d)->leases);
        }
        unlock_one(shard, false);
    }
    return count;
}

uint64_t shards_ghost_places(struct shards *shards) {
    uint64_t places = 0;
    for (uint32_t i = 0; i < shards->count; i++) {
        struct shard *shard = &shards->shards[i];
        lock_one(shard, false);
        places += ghost_places(&shard->eviction.ghost);
        unlock_one(shard, false);
    }
    return places;
}

/* ---- The whole store at one instant ---------------------------------------------------------- */

/* The databases that are meant by an index or SHARDS_ALL_DATABASES: [first, end). */
struct range {
    uint32_t first, end;
};

static struct range range_of(const struct shards *shards, int32_t database) {
    if (database == SHARDS_ALL_DATABASES) return (struct range){0, shards->database_count};
    return (struct range){(uint32_t)database, (uint32_t)database + 1};
}

/* What may fail comes first, for all shards; then nothing can. All locks are held. */
static enum status prepare_flush_all(struct shards *shards, struct range range) {
    for (uint32_t i = 0; i < shards->count; i++) {
        enum status status = shard_prepare_flush(&shards->shards[i], range.first, range.end);
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

static void flush_all(struct shards *shards, struct range range) {
    for (uint32_t i = 0; i < shards->count; i++) {
        for (uint32_t database = range.first; database < range.end; database++) {
            shard_flush(&shards->shards[i], database, &shards->reclaimer);
        }
    }
}

enum status shards_flush(struct shards *shards, int32_t database) {
    struct range range = range_of(shards, database);
    shards_lock_all(shards, true);
    enum status status = prepare_flush_all(shards, range);
    if (status == STATUS_OK) flush_all(shards, range);
    shards_unlock_all(shards, true);
    return status;
}

void shards_swap(struct shards *shards, uint32_t a, uint32_t b) {
    shards_lock_all(shards, true);
    for (uint32_t i = 0; i < shards->count; i++) {
        struct database *_Atomic *databases = shards->shards[i].databases;
        struct database *was_a = shard_database(&shards->shards[i], a);
        struct database *was_b = shard_database(&shards->shards[i], b);
        if (was_a->leases != NULL) leases_clear(was_a->leases);
        if (was_b->leases != NULL) leases_clear(was_b->leases);
        atomic_store_explicit(&databases[a], was_b, memory_order_release);
        atomic_store_explicit(&databases[b], was_a, memory_order_release);
    }
    shards_unlock_all(shards, true);
}

/* ---- Upkeep ---------------------------------------------------------------------------------- */

static bool upkeep_is_needed(struct shard *shard, int64_t now_ms) {
    if (atomic_load_explicit(&shard->has_flushed, memory_order_relaxed)) return true;
    if (!shard_has_deadlines(shard)) return false;
    lock_one(shard, false);
    bool has_due = shard_has_due(shard, now_ms);
    unlock_one(shard, false);
    return has_due;
}

bool shards_upkeep(struct shards *shards, uint32_t index, int64_t now_ms, uint32_t limit) {
    struct shard *shard = &shards->shards[index];
    if (!upkeep_is_needed(shard, now_ms)) return false;
    lock_one(shard, true);
    uint64_t started_ns = rwlock_stopwatch_ns();
    uint32_t half = (limit + 1) / 2;
    bool more;
    shard_expire_some(shard, now_ms, half, &more, &shards->reclaimer);
    bool is_reclaimed = shard_reclaim_some(shard, half, &shards->reclaimer);
    rwlock_time_hold(&shard->lock, started_ns);
    unlock_one(shard, true);
    return more || !is_reclaimed;
}

bool shards_reclaim(struct shards *shards, uint32_t index, uint32_t limit) {
    struct shard *shard = &shards->shards[index];
    if (!atomic_load_explicit(&shard->has_flushed, memory_order_relaxed)) return false;
    lock_one(shard, true);
    uint64_t started_ns = rwlock_stopwatch_ns();
    bool is_reclaimed = shard_reclaim_some(shard, limit, &shards->reclaimer);
    rwlock_time_hold(&shard->lock, started_ns);
    unlock_one(shard, true);
    return !is_reclaimed;
}

/* Keys that were evicted or moved: a sum that grows as long as something is achieved. */
static uint64_t work_done(const struct shard *shard) {
    return atomic_load_explicit(&shard->eviction.evicted, memory_order_relaxed) +
           atomic_load_explicit(&shard->room.moved, memory_order_relaxed);
}

bool shards_ease(struct shards *shards, uint32_t index, int64_t now_ms, uint32_t limit) {
    if (!room_is_short(&shards->eviction)) return false;
    struct shard *shard = &shards->shards[index];
    lock_one(shard, true);
    uint64_t started_ns = rwlock_stopwatch_ns();
    uint64_t before = work_done(shard);
    room_ease(shard, now_ms, limit, &shards->reclaimer);
    bool is_useful = work_done(shard) != before;
    rwlock_time_hold(&shard->lock, started_ns);
    unlock_one(shard, true);
    return is_useful && room_is_short(&shards->eviction);
}

/* What a flush left to be freed goes before anybody is evicted. True if some of it went. */
static bool reclaim_some(struct shards *shards, uint32_t index, uint32_t limit) {
    struct shard *shard = &shards->shards[index];
    if (!atomic_load_explicit(&shard->has_flushed, memory_order_relaxed)) return false;
    lock_one(shard, true);
    uint64_t before = shard->slabs.used_bytes;
    shard_reclaim_some(shard, limit, &shards->reclaimer);
    bool has_freed = shard->slabs.used_bytes != before;
    unlock_one(shard, true);
    return has_freed;
}

/* True if somebody went or moved. */
static bool evict_some(struct shards *shards, uint32_t index, int64_t now_ms, uint32_t limit) {
    struct shard *shard = &shards->shards[index];
    lock_one(shard, true);
    uint64_t before = work_done(shard);
    room_make(shard, now_ms, limit, &shards->reclaimer);
    bool is_useful = work_done(shard) != before;
    unlock_one(shard, true);
    return is_useful;
}

bool shards_relieve(struct shards *shards, uint32_t index, int64_t now_ms, uint32_t limit) {
    struct eviction_rules *rules = &shards->eviction;
    for (uint32_t i = 0; i < shards->count; i++) {
        if (reclaim_some(shards, (index + i) % shards->count, limit)) return true;
    }
    eviction_look(rules);
    if (!eviction_policy_evicts(atomic_load_explicit(&rules->policy, memory_order_relaxed)))
        return !room_is_past(rules);
    for (uint32_t i = 1; i < shards->count && room_is_short(rules); i++) {
        if (evict_some(shards, (index + i) % shards->count, now_ms, limit)) return true;
    }
    return !room_is_past(rules);
}

/* ---- Visiting -------------------------------------------------------------------------------- */

/* Hands on live entries only. */
struct live_visit {
    table_visitor visit;
    void *context;
    int64_t now_ms;
};

static void visit_live(void *context, struct entry *entry) {
    const struct live_visit *live = context;
    if (!entry_is_expired(entry, live->now_ms)) live->visit(live->context, entry);
}

uint64_t shards_scan(struct shards *shards, uint32_t database, uint64_t cursor, int64_t now_ms,
                     table_visitor visit, void *context) {
    unsigned shard_bits = (unsigned)__builtin_ctz(shards->count);
    uint32_t index = (uint32_t)cursor & (shards->count - 1);
    struct shard *shard = &shards->shards[index];
    struct live_visit live = {visit, context, now_ms};
    lock_one(shard, false);
    const struct table *table = &shard_database(shard, database)->table;
    uint64_t next = table_scan(table, (uint32_t)(cursor >> shard_bits), visit_live, &live);
    unlock_one(shard, false);
    if (next != 0) return next << shard_bits | index;
    return index + 1 < shards->count ? index + 1 : 0;
}

void shards_visit_all(struct shards *shards, uint32_t database, int64_t now_ms, table_visitor visit,
                      void *context) {
    struct live_visit live = {visit, context, now_ms};
    for (uint32_t i = 0; i < shards->count; i++) {
        struct shard *shard = &shards->shards[i];
        lock_one(shard, false);
        const struct table *table = &shard_database(shard, database)->table;
        uint64_t cursor = 0;
        do {
            cursor = table_scan(table, cursor, visit_live, &live);
        } while (cursor != 0);
        unlock_one(shard, false);
    }
}

/* ---- Drawing --------------------------------------------------------------------------------- */

/* The shard of the key that a number below the count of all keys falls on: each as likely as it has keys. */
static struct shard *draw_shard(struct shards *shards, uint32_t database, struct random *random) {
    uint64_t total = shards_key_count(shards, database);
    if (total == 0) return NULL;
    uint64_t pick = random_below(random, total);
    for (uint32_t i = 0; i < shards->count; i++) {
        uint64_t keys = database_key_count(shard_database(&shards->shards[i], database));
        if (pick < keys) return &shards->shards[i];
        pick -= keys;
    }
    return &shards->shards[shards->count - 1]; /* keys were removed while we counted */
}

static bool draw_live(struct shard *shard, uint32_t database, struct random *random,
                      struct live_visit *live) {
    lock_one(shard, false);
    struct entry *entry = table_random(&shard_database(shard, database)->table, random);
    bool found = entry != NULL && !entry_is_expired(entry, live->now_ms);
    if (found) live->visit(live->context, entry);
    unlock_one(shard, false);
    return found;
}

/* Passes on the first entry it sees. */
struct first_visit {
    struct live_visit live;
    bool found;
};

static void visit_first(void *context, struct entry *entry) {
    struct first_visit *first = context;
    if (!first->found) first->live.visit(first->live.context, entry);
    first->found = true;
}

bool shards_random(struct shards *shards, uint32_t database, int64_t now_ms, struct random *random,
                   table_visitor visit, void *context) {
    struct live_visit live = {visit, context, now_ms};
    for (int i = 0; i < RANDOM_TRIES; i++) {
        struct shard *shard = draw_shard(shards, database, random);
        if (shard == NULL) return false;
        if (draw_live(shard, database, random, &live)) return true;
    }
    /* Nearly all keys are expired and not swept yet: search, one chain a hold. */
    struct first_visit first = {.live = live};
    uint64_t cursor = 0;
    do {
        cursor = shards_scan(shards, database, cursor, now_ms, visit_first, &first);
    } while (cursor != 0 && !first.found);
    return first.found;
}
