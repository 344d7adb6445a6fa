/* The whole store as it is at one instant, seen while it goes on changing.
 *
 *      snapshot_begin ─▶ snapshot_step … until it says that nothing is left ─▶ snapshot_end
 *
 * Nothing is copied at the instant itself. From then on a bucket is copied before it is changed for the first
 * time, by whoever changes it, and otherwise when the walk comes to it; either way each entry of that instant
 * is visited exactly once. One snapshot at a time. All functions are its one owner's, holding no lock, but for
 * the two that say otherwise. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"
#include "entry.h"
#include "shards.h"

struct snapshot_part;
struct parcel;

struct snapshot {
    struct shards *shards;       /* immutable */
    int64_t now_ms;              /* immutable: the instant */
    uint64_t *keys, *deadlines;  /* immutable: at the instant, by database; the expired included */
    struct snapshot_part *parts; /* a table each: by database, then by shard */
    uint64_t *seen;              /* the parts' bits */
    struct parcel *slice;        /* the walk's own copy; reused */
    uint32_t part, bucket;       /* where the walk is */
    _Atomic(struct parcel *)
        saved; /* what writers copied: a stack; released by a push, acquired by the owner */
    _Atomic size_t saved_bytes,
        saved_bytes_peak;    /* atomic, relaxed: what it holds, values outside included */
    _Atomic bool has_failed; /* atomic, relaxed: a copy was refused memory */
};

/* An entry as it was; valid during the visit. */
struct snapshot_entry {
    struct bytes key, value;
    int64_t deadline_ms; /* or ENTRY_NO_EXPIRY */
    uint32_t database;
    enum entry_type type;
};
typedef void (*snapshot_visitor)(void *context, const struct snapshot_entry *entry);

/* The instant: takes all locks for the time of some assignments a table. STATUS_NO_MEMORY: nothing began. */
must_use enum status snapshot_begin(struct snapshot *snapshot, struct shards *shards,
                                    int64_t now_ms);
/* Visit what writers copied meanwhile, and the next few buckets; with no lock held, so a visit may take its
 * time. False when nothing is left, or it failed. */
bool snapshot_step(struct snapshot *snapshot, snapshot_visitor visit, void *context);
/* At any time: forget what is left, and free everything. STATUS_NO_MEMORY: it failed, and what was visited
 * isn't all. */
must_use enum status snapshot_end(struct snapshot *snapshot);
/* Any thread while it lasts. Bytes that are held for writers' sake. */
static inline size_t snapshot_saved_bytes(const struct snapshot *snapshot) {
    return atomic_load_explicit(&snapshot->saved_bytes, memory_order_relaxed);
}
