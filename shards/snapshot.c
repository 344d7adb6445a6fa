/* A snapshot without fork: buckets are copied before they change.
 *
 * fork() gives a point in time for nothing but copies page tables (tens of milliseconds for gigabytes, in which
 * nothing is answered), then every page that is written to; on a full machine memory may double. Here the unit
 * is a bucket chain of about eight entries, and what is copied is gone as soon as it is written out.
 *
 *      writer  ──▶ bucket not seen? copy it into a parcel, push ──▶ saved ─┐
 *                                                                          ├─▶ visit (encode, write): no lock is held
 *      owner   ──▶ read lock: copy the next SLICE_BUCKETS, mark ──▶ slice ─┘
 *
 * The copies are plain records, so a writer does no more than allocate once and copy; numbers, compression,
 * checksum and disk are the owner's. Values on the heap are not copied: a record holds a reference, and whoever
 * changes a value that is shared makes a copy anyway (blob.h).
 *
 * Marks by bucket, not by entry: a mark in an entry would have to be cleared between two snapshots, which dirties every
 * entry's cache line, and a new entry would need one, too. A bit a bucket is a bit for eight keys, and a
 * snapshot that is given up leaves no trace. The price: the first write to a bucket copies its neighbours along, eight
 * for one; but each bucket at most once, so a snapshot copies each entry once in any case.
 *
 * Memory. `saved` grows by what writers change faster than the owner writes. It can't pass what the store held
 * at the instant; who wants less pauses writers while snapshot_saved_bytes is too much (the server does). A
 * slice is bounded by SLICE_BYTES and one value.
 *
 * A flush detaches tables, and SWAPDB renumbers them: a part is bound to its table, not to its number, and a detached
 * table waits for us before it is cleared (shard.c).
 *
 * Invariants:
 *   1. A bucket of a watched table whose bit is clear is as it was at the instant (table.c).
 *   2. An entry of the instant is in `saved`, in `slice`, in a bucket whose bit is clear, or was visited: in exactly one of these.
 *
 * Threads: bits and tables under their shard's lock; `saved` is pushed to by compare-and-swap and taken whole by an
 * exchange, so there is no ABA. */
#include "snapshot.h"

#include <string.h>

#include "base/check.h"
#include "base/memory.h"

enum {
    SLICE_BUCKETS = 32,           /* copied in one hold of a read lock: some ten microseconds */
    SLICE_BYTES = 64 * 1024,      /* or so much of them, values outside included */
    PARCEL_BYTES_MIN = 16 * 1024, /* of the walk's */
    BEGIN_ATTEMPTS = 8,
};

/* Of one table. */
struct snapshot_part {
    struct table_watch watch; /* first */
    struct snapshot *snapshot;
    struct database *database; /* NULL: it was empty at the instant, or is done */
    struct shard *shard;
    uint32_t capacity; /* bits there are for it */
    uint32_t number;   /* of the database, at the instant */
};

/* Copies of entries, one record after the other. */
struct parcel {
    struct parcel *next;
    size_t size, capacity; /* of `records` */
    size_t bytes;          /* all it keeps: itself, and values outside */
    uint32_t database;
    char records[];
};

struct record {
    int64_t deadline_ms;
    struct blob *blob; /* NULL: the value follows the key */
    uint32_t key_size, value_size;
    enum entry_type type;
};

/* ---- Parcels --------------------------------------------------------------------------------- */

static size_t round_up(size_t size) {
    return (size + _Alignof(struct record) - 1) & ~(_Alignof(struct record) - 1);
}

static size_t record_bytes(const struct entry *entry) {
    size_t value = entry_blob(entry) != NULL ? 0 : entry_value(entry).size;
    return round_up(sizeof(struct record) + entry_key(entry).size + value);
}

static struct parcel *parcel_create(size_t capacity, uint32_t database) {
    struct parcel *parcel = memory_allocate(sizeof(*parcel) + capacity);
    if (parcel == NULL) return NULL;
    *parcel = (struct parcel){
        .capacity = capacity, .bytes = sizeof(*parcel) + capacity, .database = database};
    return parcel;
}

/* There is room for it. */
static void parcel_add(struct parcel *parcel, const struct entry *entry) {
    struct bytes key = entry_key(entry), value = entry_value(entry);
    struct blob *blob = entry_blob(entry);
    struct record record = {
        .deadline_ms = entry_deadline_ms(entry),
        .blob = blob != NULL ? blob_retain(blob) : NULL,
        .key_size = (uint32_t)key.size,
        .value_size = blob != NULL ? 0 : (uint32_t)value.size,
        .type = entry_type(entry),
    };
    char *at = parcel->records + parcel->size;
    memcpy(at, &record, sizeof(record));
    if (key.size != 0) memcpy(at + sizeof(record), key.data, key.size);
    if (record.value_size != 0) memcpy(at + sizeof(record) + key.size, value.data, value.size);
    parcel->size += record_bytes(entry);
    if (blob != NULL) parcel->bytes += value.size;
}

/* Visit its records when `visit` isn't NULL, let go of what they hold, and leave it empty. */
static void parcel_empty(struct parcel *parcel, snapshot_visitor visit, void *context) {
    for (size_t offset = 0; offset < parcel->size;) {
        struct record record;
        const char *key = parcel->records + offset + sizeof(record);
        memcpy(&record, parcel->records + offset, sizeof(record));
        struct blob *blob = record.blob;
        struct snapshot_entry entry = {
            .key = bytes_of(key, record.key_size),
            .value = blob != NULL ? bytes_of(blob->data, blob->size)
                                  : bytes_of(key + record.key_size, record.value_size),
            .deadline_ms = record.deadline_ms,
            .database = parcel->database,
            .type = record.type,
        };
        if (visit != NULL) visit(context, &entry);
        if (blob != NULL) blob_release(blob);
        offset += round_up(sizeof(record) + record.key_size + record.value_size);
    }
    parcel->size = 0;
    parcel->bytes = sizeof(*parcel) + parcel->capacity;
}

/* ---- Writers --------------------------------------------------------------------------------- */

/* Two visits of a bucket: how large is it, then copy it. */
struct copying {
    const struct snapshot *snapshot;
    struct parcel *parcel;
    size_t bytes;
};

static void measure(void *context, struct entry *entry) {
    struct copying *copying = context;
    if (!entry_is_expired(entry, copying->snapshot->now_ms)) copying->bytes += record_bytes(entry);
}

static void copy(void *context, struct entry *entry) {
    struct copying *copying = context;
    if (!entry_is_expired(entry, copying->snapshot->now_ms)) parcel_add(copying->parcel, entry);
}

static void charge(struct snapshot *snapshot, size_t bytes) {
    size_t now = atomic_fetch_add_explicit(&snapshot->saved_bytes, bytes, memory_order_relaxed);
    now += bytes;
    size_t peak = atomic_load_explicit(&snapshot->saved_bytes_peak, memory_order_relaxed);
    while (now > peak &&
           !atomic_compare_exchange_weak_explicit(&snapshot->saved_bytes_peak, &peak, now,
                                                  memory_order_relaxed, memory_order_relaxed)) {
    }
}

static void push(struct snapshot *snapshot, struct parcel *parcel) {
    charge(snapshot, parcel->bytes);
    parcel->next = atomic_load_explicit(&snapshot->saved, memory_order_relaxed);
    /* Release: pairs with the acquire in take_saved. */
    while (!atomic_compare_exchange_weak_explicit(&snapshot->saved, &parcel->next, parcel,
                                                  memory_order_release, memory_order_relaxed)) {
    }
}

/* The table's: a bucket that nobody has seen is about to change. */
static void take(struct table_watch *watch, const struct table *table, uint32_t bucket) {
    struct snapshot_part *part = (struct snapshot_part *)watch;
    struct snapshot *snapshot = part->snapshot;
    struct copying copying = {.snapshot = snapshot};
    if (atomic_load_explicit(&snapshot->has_failed, memory_order_relaxed)) return;
    table_visit(table, bucket, measure, &copying);
    if (copying.bytes == 0) return;
    copying.parcel = parcel_create(copying.bytes, part->number);
    if (copying.parcel == NULL) {
        atomic_store_explicit(&snapshot->has_failed, true, memory_order_relaxed);
        return;
    }
    table_visit(table, bucket, copy, &copying);
    push(snapshot, copying.parcel);
}

/* ---- The instant ----------------------------------------------------------------------------- */

static uint32_t bucket_count_of(const struct database *database) {
    return atomic_load_explicit(&database->table.bucket_count, memory_order_relaxed);
}

static uint32_t part_count(const struct snapshot *snapshot) {
    return snapshot->shards->count * snapshot->shards->database_count;
}

/* Bits for twice as many buckets as there are now, which no table reaches in the moment until the instant. */
static enum status prepare(struct snapshot *snapshot) {
    struct shards *shards = snapshot->shards;
    size_t words = 0;
    for (uint32_t i = 0; i < part_count(snapshot); i++) {
        struct snapshot_part *part = &snapshot->parts[i];
        *part = (struct snapshot_part){
            .watch = {.take = take},
            .snapshot = snapshot,
            .shard = &shards->shards[i % shards->count],
            .number = i / shards->count,
        };
        uint64_t wanted = 2 * (uint64_t)bucket_count_of(shard_database(part->shard, part->number));
        size_t part_words = wanted / TABLE_WATCH_BITS + 1;
        part->capacity = (uint32_t)(part_words * TABLE_WATCH_BITS);
        words += part_words;
    }
    memory_free(snapshot->seen);
    snapshot->seen = memory_allocate_zeroed(words * sizeof(*snapshot->seen));
    if (snapshot->seen == NULL) return STATUS_NO_MEMORY;
    uint64_t *seen = snapshot->seen;
    for (uint32_t i = 0; i < part_count(snapshot); i++) {
        snapshot->parts[i].watch.seen = seen;
        seen += snapshot->parts[i].capacity / TABLE_WATCH_BITS;
    }
    return STATUS_OK;
}

/* All locks are held. */
static bool fits_locked(const struct snapshot *snapshot) {
    for (uint32_t i = 0; i < part_count(snapshot); i++) {
        const struct snapshot_part *part = &snapshot->parts[i];
        if (bucket_count_of(shard_database(part->shard, part->number)) > part->capacity)
            return false;
    }
    return true;
}

static void watch_all_locked(struct snapshot *snapshot) {
    for (uint32_t i = 0; i < part_count(snapshot); i++) {
        struct snapshot_part *part = &snapshot->parts[i];
        struct database *database = shard_database(part->shard, part->number);
        uint64_t keys = database_key_count(database);
        if (keys == 0) continue;
        snapshot->keys[part->number] += keys;
        snapshot->deadlines[part->number] += database_deadline_count(database);
        part->database = database;
        table_watch_start(&database->table, &part->watch);
    }
}

static bool try_begin(struct snapshot *snapshot) {
    shards_lock_all(snapshot->shards, true);
    bool fits = fits_locked(snapshot);
    if (fits) watch_all_locked(snapshot);
    shards_unlock_all(snapshot->shards, true);
    return fits;
}

static void free_all(struct snapshot *snapshot) {
    memory_free(snapshot->parts);
    memory_free(snapshot->seen);
    memory_free(snapshot->keys);
    memory_free(snapshot->deadlines);
    memory_free(snapshot->slice);
}

/* Field by field: who looks at the byte counts needn't know that there is no snapshot at the moment. */
static void start_anew(struct snapshot *snapshot, struct shards *shards, int64_t now_ms) {
    snapshot->shards = shards;
    snapshot->now_ms = now_ms;
    snapshot->seen = NULL;
    snapshot->part = snapshot->bucket = 0;
    atomic_store_explicit(&snapshot->saved, NULL, memory_order_relaxed);
    atomic_store_explicit(&snapshot->saved_bytes, 0, memory_order_relaxed);
    atomic_store_explicit(&snapshot->saved_bytes_peak, 0, memory_order_relaxed);
    atomic_store_explicit(&snapshot->has_failed, false, memory_order_relaxed);
}

enum status snapshot_begin(struct snapshot *snapshot, struct shards *shards, int64_t now_ms) {
    start_anew(snapshot, shards, now_ms);
    size_t count_bytes = shards->database_count * sizeof(uint64_t);
    snapshot->parts = memory_allocate(part_count(snapshot) * sizeof(*snapshot->parts));
    snapshot->keys = memory_allocate_zeroed(count_bytes);
    snapshot->deadlines = memory_allocate_zeroed(count_bytes);
    snapshot->slice = parcel_create(PARCEL_BYTES_MIN, 0);
    bool has_begun = false;
    if (snapshot->parts != NULL && snapshot->keys != NULL && snapshot->deadlines != NULL &&
        snapshot->slice != NULL) {
        for (int i = 0; i < BEGIN_ATTEMPTS && !has_begun; i++) {
            if (prepare(snapshot) != STATUS_OK) break;
            has_begun = try_begin(snapshot);
        }
    }
    if (has_begun) return STATUS_OK;
    free_all(snapshot);
    return STATUS_NO_MEMORY;
}

/* ---- The walk -------------------------------------------------------------------------------- */

static void unwatch(struct snapshot_part *part) {
    rwlock_write_lock(&part->shard->lock);
    part->database->table.watch = NULL;
    rwlock_write_unlock(&part->shard->lock);
    part->database = NULL;
}

/* Room for `more` bytes of records; what is there stays. */
static bool reserve_slice(struct snapshot *snapshot, size_t more) {
    struct parcel *slice = snapshot->slice;
    if (more <= slice->capacity - slice->size) return true;
    size_t capacity =
        slice->capacity * 2 > slice->size + more ? slice->capacity * 2 : slice->size + more;
    struct parcel *grown = memory_resize(slice, sizeof(*slice) + capacity);
    if (grown == NULL) return false;
    grown->bytes += capacity - grown->capacity;
    grown->capacity = capacity;
    snapshot->slice = grown;
    return true;
}

/* One bucket into the slice. The read lock is held. */
static bool copy_bucket(struct snapshot *snapshot, const struct table *table, uint32_t bucket) {
    struct copying copying = {.snapshot = snapshot};
    table_visit(table, bucket, measure, &copying);
    if (!reserve_slice(snapshot, copying.bytes)) return false;
    copying.parcel = snapshot->slice;
    table_visit(table, bucket, copy, &copying);
    return true;
}

static size_t slice_bytes(const struct parcel *slice) {
    return slice->bytes - slice->capacity + slice->size;
}

/* The next few buckets of a part into the slice; true when it has no more. */
static bool copy_slice(struct snapshot *snapshot, struct snapshot_part *part) {
    const struct table *table = &part->database->table;
    snapshot->slice->database = part->number;
    rwlock_read_lock(&part->shard->lock);
    uint32_t end = part->watch.bucket_count;
    for (int i = 0; i < SLICE_BUCKETS && snapshot->bucket < end; i++) {
        if (slice_bytes(snapshot->slice) > SLICE_BYTES) break;
        uint32_t bucket = snapshot->bucket++;
        if (!table_watch_mark(table, bucket) || copy_bucket(snapshot, table, bucket)) continue;
        atomic_store_explicit(&snapshot->has_failed, true, memory_order_relaxed);
        break;
    }
    rwlock_read_unlock(&part->shard->lock);
    return snapshot->bucket == end;
}

/* True when there is more to walk over. */
static bool walk(struct snapshot *snapshot, snapshot_visitor visit, void *context) {
    uint32_t count = part_count(snapshot);
    while (snapshot->part < count && snapshot->parts[snapshot->part].database == NULL) {
        snapshot->part++;
    }
    if (snapshot->part == count) return false;
    struct snapshot_part *part = &snapshot->parts[snapshot->part];
    if (copy_slice(snapshot, part)) {
        unwatch(part);
        snapshot->part++;
        snapshot->bucket = 0;
    }
    parcel_empty(snapshot->slice, visit, context);
    return true;
}

/* Visit what writers saved, or only free it. */
static void take_saved(struct snapshot *snapshot, snapshot_visitor visit, void *context) {
    /* Acquire: pairs with the release in push. */
    struct parcel *parcel = atomic_exchange_explicit(&snapshot->saved, NULL, memory_order_acquire);
    while (parcel != NULL) {
        struct parcel *next = parcel->next;
        size_t bytes = parcel->bytes;
        parcel_empty(parcel, visit, context);
        memory_free(parcel);
        atomic_fetch_sub_explicit(&snapshot->saved_bytes, bytes, memory_order_relaxed);
        parcel = next;
    }
}

bool snapshot_step(struct snapshot *snapshot, snapshot_visitor visit, void *context) {
    take_saved(snapshot, visit, context);
    bool has_more = walk(snapshot, visit, context);
    /* Nothing is watched any more, so nobody saves: this is the last of it. */
    if (!has_more) take_saved(snapshot, visit, context);
    return has_more && !atomic_load_explicit(&snapshot->has_failed, memory_order_relaxed);
}

enum status snapshot_end(struct snapshot *snapshot) {
    for (uint32_t i = 0; i < part_count(snapshot); i++) {
        if (snapshot->parts[i].database != NULL) unwatch(&snapshot->parts[i]);
    }
    take_saved(snapshot, NULL, NULL);
    check(snapshot_saved_bytes(snapshot) == 0);
    free_all(snapshot);
    bool has_failed = atomic_load_explicit(&snapshot->has_failed, memory_order_relaxed);
    return has_failed ? STATUS_NO_MEMORY : STATUS_OK;
}
