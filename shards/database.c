/* Table and deadlines in step: whenever an entry with a deadline comes to a slot, that slot's slab is told.
 *
 * Invariants (database_validate): the table's own, and deadline_count and deadline_sum are what the entries in the table
 * say. Each change orders its steps so that what may be refused comes first: until a new entry exists nothing
 * has been touched, and from then on nothing can fail. */
#include "database.h"

#include <stddef.h>

#include "base/check.h"
#include "base/hash.h"
#include "leases.h"

enum {
    DEFERRED_BLOB_MIN = 64 * 1024
}; /* freeing this much may be a system call, and is left to others */

static struct entry *entry_at(const struct database *database, uint32_t reference) {
    return slabs_at(database->slabs, reference);
}

void reclaimer_take(const struct reclaimer *reclaimer, struct blob *blob) {
    if (reclaimer != NULL && reclaimer->defer != NULL && blob->capacity >= DEFERRED_BLOB_MIN) {
        reclaimer->defer(reclaimer->context, blob);
    } else {
        blob_release(blob);
    }
}

/* Free an entry that is in no table and not counted any more. */
static void free_entry(struct database *database, uint32_t reference,
                       const struct reclaimer *reclaimer) {
    struct blob *blob;
    entry_destroy(database->slabs, reference, &blob);
    if (blob != NULL) reclaimer_take(reclaimer, blob);
}

/* What a deadline adds to deadline_sum: clamped to 544 years, so that the sum of as many as there may be fits. */
static uint64_t sum_part(int64_t deadline_ms) {
    static const int64_t PART_MAX = INT64_C(1) << 34;
    int64_t part = deadline_ms / DATABASE_SUM_MS;
    return part < 0 ? 0 : (uint64_t)(part < PART_MAX ? part : PART_MAX);
}

static void add(_Atomic uint64_t *counter, uint64_t change) {
    uint64_t before = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, before + change, memory_order_relaxed);
}

/* The entry has no deadline yet that is counted. */
static void set_deadline(struct database *database, uint32_t reference, int64_t deadline_ms) {
    expiry_set(database->expiry, reference, deadline_ms);
    add(&database->deadline_count, 1);
    add(&database->deadline_sum, sum_part(deadline_ms));
}

/* The entry goes, or loses its deadline. */
static void forget_deadline(struct database *database, uint32_t reference) {
    const struct entry *entry = entry_at(database, reference);
    if (!entry_has_expiry(entry)) return;
    add(&database->deadline_count, UINT64_MAX);
    add(&database->deadline_sum, -sum_part(*entry_deadline(entry)));
}

/* ---- Lifetime -------------------------------------------------------------------------------- */

void database_init(struct database *database, struct slabs *slabs, struct expiry *expiry,
                   uint64_t seed) {
    *database = (struct database){.slabs = slabs, .expiry = expiry};
    table_init(&database->table, slabs, seed);
}

void database_release(struct database *database) {
    database->eviction = NULL; /* nobody will ask what became of these */
    bool is_empty = database_clear_some(database, UINT32_MAX, NULL);
    check(is_empty); /* 2^32 references can't name more entries */
    table_release(&database->table);
    leases_destroy(database->leases);
}

/* ---- Finding --------------------------------------------------------------------------------- */

struct entry *database_find(const struct database *database, const struct key *key,
                            int64_t now_ms) {
    struct entry *entry = table_find(&database->table, key->name, key->hash);
    if (entry == NULL || entry_is_expired(entry, now_ms)) return NULL;
    return entry;
}

static void remember(struct database *database, uint64_t hash, struct departure departure) {
    if (database->eviction == NULL) return;
    departure.hash = database_ghost_hash(database, hash);
    departure.keys = database_key_count(database);
    ghost_remember(&database->eviction->ghost, &departure);
}

/* Its uses are kept, too: what expires is often filled anew. */
static void remember_expired(struct database *database, uint64_t hash, const struct entry *entry) {
    remember(database, hash,
             (struct departure){.reason = MISS_EXPIRED, .uses = eviction_uses(entry)});
}

/* Not inline: it would cost every write a few instructions. */
static __attribute__((noinline)) void remove_expired(struct database *database,
                                                     const struct key *key, struct entry *entry,
                                                     const struct reclaimer *reclaimer) {
    remember_expired(database, key->hash, entry);
    database_remove(database, key, entry, reclaimer);
}

static inline struct entry *find_to_change(struct database *database, const struct key *key,
                                           int64_t now_ms, const struct reclaimer *reclaimer,
                                           bool *expired) {
    table_before_change(&database->table, key->hash);
    struct entry *entry = table_find(&database->table, key->name, key->hash);
    bool is_expired = entry != NULL && entry_is_expired(entry, now_ms);
    if (expired != NULL) *expired = is_expired;
    if (__builtin_expect(!is_expired, 1)) return entry;
    remove_expired(database, key, entry, reclaimer);
    return NULL;
}

struct entry *database_find_for_write(struct database *database, const struct key *key,
                                      int64_t now_ms, const struct reclaimer *reclaimer,
                                      bool *expired) {
    if (__builtin_expect(database->leases != NULL, 0)) leases_break(database->leases, key);
    return find_to_change(database, key, now_ms, reclaimer, expired);
}

struct entry *database_find_for_fill(struct database *database, const struct key *key,
                                     int64_t now_ms, const struct reclaimer *reclaimer,
                                     bool *expired) {
    return find_to_change(database, key, now_ms, reclaimer, expired);
}

/* An entry that is there, but wasn't found, is past its deadline. */
enum miss_reason database_miss_reason(const struct database *database, const struct key *key) {
    if (database_deadline_count(database) > 0 &&
        table_find(&database->table, key->name, key->hash) != NULL)
        return MISS_EXPIRED;
    if (database->eviction == NULL) return MISS_UNKNOWN;
    return ghost_reason(&database->eviction->ghost, database_ghost_hash(database, key->hash));
}

void database_remember_deleted(struct database *database, uint64_t hash) {
    remember(database, hash, (struct departure){.reason = MISS_DELETED});
}

/* ---- Putting --------------------------------------------------------------------------------- */

static bool overwrite(struct database *database, struct entry *old,
                      const struct entry_content *content, int64_t deadline_ms) {
    bool has_expiry = deadline_ms != ENTRY_NO_EXPIRY;
    if (content->blob != NULL || entry_type(old) != content->type) return false;
    if (entry_has_expiry(old) != has_expiry) return false;
    if (!entry_overwrite(old, content->value, content->encoding)) return false;
    if (has_expiry && entry_deadline_ms(old) != deadline_ms) {
        uint32_t reference = slabs_reference(database->slabs, old);
        forget_deadline(database, reference);
        set_deadline(database, reference, deadline_ms);
    }
    return true;
}

static enum status put_new(struct database *database, const struct key *key, uint32_t reference,
                           const struct blob *given) {
    enum status status = table_insert(&database->table, reference, key->hash);
    if (status != STATUS_OK) {
        struct blob *blob;
        entry_destroy(database->slabs, reference, &blob);
        if (blob != NULL && blob != given) blob_release(blob);
    }
    return status;
}

static void put_over(struct database *database, const struct key *key, uint32_t reference,
                     struct entry *old, const struct reclaimer *reclaimer) {
    uint32_t from = slabs_reference(database->slabs, old);
    uint32_t access = atomic_load_explicit(&old->access, memory_order_relaxed);
    atomic_store_explicit(&entry_at(database, reference)->access, access, memory_order_relaxed);
    table_replace(&database->table, from, reference, key->hash);
    forget_deadline(database, from);
    free_entry(database, from, reclaimer);
}

enum status database_put(struct database *database, const struct key *key, struct entry **entry,
                         const struct entry_content *content, int64_t deadline_ms,
                         const struct reclaimer *reclaimer) {
    bool has_expiry = deadline_ms != ENTRY_NO_EXPIRY;
    if (has_expiry && expiry_open(database->expiry) != STATUS_OK) return STATUS_NO_MEMORY;
    if (*entry != NULL && overwrite(database, *entry, content, deadline_ms)) return STATUS_OK;
    struct entry_content own = *content;
    own.key = key->name;
    own.has_expiry = has_expiry;
    uint32_t reference = entry_create(database->slabs, &own);
    if (reference == 0) return STATUS_NO_MEMORY;
    if (*entry != NULL) {
        put_over(database, key, reference, *entry, reclaimer);
    } else {
        enum status status = put_new(database, key, reference, content->blob);
        if (status != STATUS_OK) return status;
    }
    if (has_expiry) set_deadline(database, reference, deadline_ms);
    *entry = entry_at(database, reference);
    return STATUS_OK;
}

/* ---- Removing and deadlines ------------------------------------------------------------------ */

void database_remove(struct database *database, const struct key *key, struct entry *entry,
                     const struct reclaimer *reclaimer) {
    uint32_t reference = slabs_reference(database->slabs, entry);
    table_remove(&database->table, reference, key->hash);
    forget_deadline(database, reference);
    free_entry(database, reference, reclaimer);
}

struct entry *database_set_deadline(struct database *database, const struct key *key,
                                    struct entry *entry, int64_t deadline_ms) {
    bool has_expiry = deadline_ms != ENTRY_NO_EXPIRY;
    if (!has_expiry && !entry_has_expiry(entry)) return entry;
    if (has_expiry && expiry_open(database->expiry) != STATUS_OK) return NULL;
    uint32_t from = slabs_reference(database->slabs, entry);
    uint32_t to = from;
    if (entry_has_expiry(entry) != has_expiry) {
        to = entry_reshape(database->slabs, from, has_expiry);
        if (to == 0) return NULL;
    }
    forget_deadline(database, from);
    if (has_expiry) set_deadline(database, to, deadline_ms);
    if (to != from) {
        table_replace(&database->table, from, to, key->hash);
        slabs_free(database->slabs, from);
    }
    return entry_at(database, to);
}

bool database_holds(const struct database *database, uint32_t reference, uint64_t hash) {
    return table_holds(&database->table, reference, hash);
}

bool database_move(struct database *database, uint32_t reference, uint64_t hash) {
    bool has_expiry = entry_has_expiry(entry_at(database, reference));
    if (has_expiry && expiry_open(database->expiry) != STATUS_OK) return false;
    uint32_t to = entry_move(database->slabs, reference);
    if (to == 0) return false;
    if (has_expiry) expiry_follow(database->expiry, to);
    table_replace(&database->table, reference, to, hash);
    slabs_free(database->slabs, reference);
    if (database->eviction != NULL) eviction_follow(database->eviction, reference, to);
    return true;
}

void database_greet(struct database *database, struct entry *entry, uint64_t hash, int64_t now_ms) {
    if (database->eviction == NULL) {
        entry_touch(entry, now_ms);
    } else {
        eviction_greet(database->eviction, entry, database_ghost_hash(database, hash), now_ms);
    }
}

void database_charge(struct database *database, const struct entry *entry) {
    if (database->eviction == NULL) return;
    eviction_charge(database->eviction->rules, (int64_t)entry_footprint_outside(entry));
}

void database_expire(struct database *database, uint32_t reference, uint64_t hash,
                     const struct reclaimer *reclaimer) {
    remember_expired(database, hash, entry_at(database, reference));
    table_remove(&database->table, reference, hash);
    forget_deadline(database, reference);
    free_entry(database, reference, reclaimer);
}

static void remember_cleared(struct database *database, uint32_t reference) {
    if (database->eviction == NULL) return;
    struct bytes name = entry_key(entry_at(database, reference));
    database_remember_deleted(database, hash_seeded(name, database->table.seed));
}

bool database_clear_some(struct database *database, uint32_t limit,
                         const struct reclaimer *reclaimer) {
    uint32_t reference;
    while (limit > 0 && (reference = table_take_any(&database->table)) != 0) {
        remember_cleared(database, reference);
        forget_deadline(database, reference);
        free_entry(database, reference, reclaimer);
        limit--;
    }
    return database_key_count(database) == 0;
}

uint64_t database_key_count(const struct database *database) {
    return atomic_load_explicit(&database->table.key_count, memory_order_relaxed);
}

/* ---- Validation ------------------------------------------------------------------------------ */

struct deadlines {
    uint64_t count, sum;
};

static void count_deadline(void *context, struct entry *entry) {
    struct deadlines *deadlines = context;
    if (!entry_has_expiry(entry)) return;
    deadlines->count++;
    deadlines->sum += sum_part(*entry_deadline(entry));
}

void database_validate(const struct database *database) {
    table_validate(&database->table);
    leases_validate(database->leases);
    struct deadlines deadlines = {0};
    uint64_t cursor = 0;
    do {
        cursor = table_scan(&database->table, cursor, count_deadline, &deadlines);
    } while (cursor != 0);
    check(deadlines.count == database_deadline_count(database));
    check(deadlines.sum == atomic_load_explicit(&database->deadline_sum, memory_order_relaxed));
}
