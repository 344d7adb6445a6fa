/* How much memory is in use is a sum over all threads, known to all a little late (`used_bytes`); who makes
 * room is whoever writes, in the shard it holds. Three rules make of this a limit that is kept, with shards
 * that stay alike:
 *
 *   1. From a margin before the limit on, a shard has to have free slots for its share of what there is too much. In the
 *      usual case, values of one size, this is all: a write evicts about one key, and takes its slot.
 *   2. What a shard grows by in pages or on the heap is its debt, and it evicts as many bytes. Without this one, free
 *      slots of a size that nobody asks for any more let a shard grow, while others evicted for it.
 *   3. Past half the margin entries move out of sparse slabs, and past the limit larger shards ("drainers") evict until
 *      there is a slab to empty. Were it any shard, chance would let one grow at the expense of another: at 8 MiB and 32
 *      shards one was empty after three million writes. A shard with less than a quarter of the average doesn't evict.
 *
 * All of it is bounded for a write: `victims_max` keys evicted and as many moved, more of both the further
 * memory is past its limit. (Upkeep does no more at once, however far: it comes again.) It goes over the limit
 * by what one command adds, and by what is not seen yet: LOOK_BYTES a shard, of slab pages only, since what lies
 * on the heap is counted at once. */
#include "room.h"

#include "base/check.h"
#include "base/hash.h"
#include "shard.h"

enum {
    MARGIN_DIVISOR = 128,   /* of the limit: where making room begins before it */
    LOOK_EVERY = 16,        /* writes to a shard between two looks at the memory in use, */
    LOOK_BYTES = 16 << 10,  /* or so much that its slabs have grown by */
    PAST_LIMIT_FACTOR = 16, /* more work for a write while memory is past its limit, */
    URGENCY_MAX = 4,        /* and up to so many times that, the further it is past */
    GLIDE_STEP = 8 * SLABS_SLAB_BYTES, /* towards a lowered limit: work for as many drainers */
    FREE_BYTES_MIN = 2048,             /* in a shard's free slots, beyond its share */
    MOVE_BYTES = 2048,                 /* a move is allowed to copy, on average */
    DEFERRED_MIN =
        4 << 20, /* bytes; values from this size on are freed elsewhere: it takes a millisecond */
};

static int64_t load(const _Atomic int64_t *field) {
    return atomic_load_explicit(field, memory_order_relaxed);
}

static int64_t larger(int64_t a, int64_t b) {
    return a > b ? a : b;
}

static int64_t smaller(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* From here on room is made: a little before the limit, so that what is seen late, and what is freed but not yet
 * of use, stays below it. */
static int64_t margin_of(int64_t limit) {
    return limit / MARGIN_DIVISOR;
}

/* 0: none. */
static int64_t limit_of(const struct eviction_rules *rules) {
    int64_t limit = load(&rules->limit_bytes);
    return limit != 0 ? limit + load(&rules->grace_bytes) : 0;
}

bool room_glide(struct eviction_rules *rules) {
    eviction_look(rules);
    int64_t limit = load(&rules->limit_bytes), grace = load(&rules->grace_bytes);
    int64_t past = load(&rules->used_bytes) - limit;
    int64_t step = larger(margin_of(limit) / 2, smaller(GLIDE_STEP, past / 2));
    int64_t next = larger(past - step, 0);
    if (next >= grace) return false;
    atomic_store_explicit(&rules->grace_bytes, next, memory_order_relaxed);
    return true;
}

/* It is past its limit by no more than upkeep is to evict next: that is no business of a write's. */
static bool is_gliding(const struct eviction_rules *rules, int64_t past, int64_t limit) {
    return load(&rules->grace_bytes) != 0 && past <= larger(margin_of(limit), 2 * GLIDE_STEP);
}

bool room_is_short(const struct eviction_rules *rules) {
    int64_t limit = limit_of(rules);
    return limit != 0 && load(&rules->used_bytes) > limit - margin_of(limit);
}

bool room_is_past(const struct eviction_rules *rules) {
    int64_t limit = limit_of(rules);
    return limit != 0 && load(&rules->used_bytes) > limit;
}

int64_t room_margins_past(const struct eviction_rules *rules) {
    int64_t limit = limit_of(rules), margin = margin_of(limit);
    int64_t past = load(&rules->used_bytes) - limit;
    return margin != 0 && past > 0 ? past / margin : 0;
}

/* The total is a sum over all threads' counters; a write looks at it now and then. */
static void look(struct shard *shard) {
    struct room *room = &shard->room;
    uint64_t resident = shard->slabs.resident_bytes;
    bool has_grown = resident > room->looked_bytes + LOOK_BYTES;
    if (room->unseen_writes++ % LOOK_EVERY != 0 && !has_grown) return;
    room->looked_bytes = resident;
    eviction_look(shard->eviction.rules);
}

/* Remove one key, whom the policy wants, and return its bytes; 0 when there is nobody. What that frees outside
 * of the slabs is taken off the total at once, so that others don't evict for it, too. */
static size_t evict_one(struct shard *shard, int64_t now_ms, const struct reclaimer *reclaimer) {
    struct eviction_candidate victim;
    if (!eviction_choose(&shard->eviction, shard->databases, shard->database_count, now_ms,
                         &victim)) {
        return 0;
    }
    struct entry *entry = slabs_at(&shard->slabs, victim.reference);
    size_t bytes = entry_footprint(entry);
    size_t outside = entry_footprint_outside(entry);
    eviction_dismiss(&shard->eviction, shard->databases, &victim);
    if (outside != 0) {
        struct eviction_rules *rules = shard->eviction.rules;
        atomic_fetch_sub_explicit(&rules->used_bytes, (int64_t)outside, memory_order_relaxed);
        atomic_fetch_add_explicit(&rules->returned_bytes, (int64_t)outside, memory_order_relaxed);
    }
    struct key key = {entry_key(entry), victim.hash};
    database_remove(shard_database(shard, victim.database), &key, entry,
                    outside >= DEFERRED_MIN ? reclaimer : NULL);
    return bytes;
}

/* The database that an entry is in, detached ones included. */
static struct database *database_holding(struct shard *shard, uint32_t reference, uint64_t hash) {
    struct database *database = shard_database_holding(shard, reference, hash);
    if (database != NULL) return database;
    database = shard->flushed;
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
    struct room *room = &shard->room;
    int64_t change = bytes_of_shard(shard) - room->told_bytes;
    room->told_bytes += change;
    if (change != 0)
        atomic_fetch_add_explicit(&shard->eviction.rules->told_bytes, change, memory_order_relaxed);
    return change;
}

/* Does it take more than the average shard? */
static bool is_large(const struct shard *shard) {
    const struct eviction_rules *rules = shard->eviction.rules;
    return shard->room.told_bytes * rules->shard_count >= load(&rules->told_bytes);
}

/* Less than a quarter of the average: it leaves evicting to others, or chance might leave it with nobody. */
static bool is_tiny(const struct shard *shard) {
    const struct eviction_rules *rules = shard->eviction.rules;
    return shard->room.told_bytes * rules->shard_count * 4 < load(&rules->told_bytes);
}

/* What the shard has grown by since there is too much in use is its debt: so many bytes it has to evict. Free
 * slots are no excuse, they may be of the wrong size. */
static void charge(struct shard *shard, int64_t grown) {
    struct room *room = &shard->room;
    room->debt_bytes = room->is_charged ? room->debt_bytes + grown : 0;
    if (room->debt_bytes < 0) room->debt_bytes = 0;
    room->is_charged = true;
}

/* Memory is past its limit. A slab has to be emptied: as long as no class has holes enough, that means to evict
 * a slab's worth of keys, which is much for a small shard. So no more shards set out to than there are slabs to
 * be gained. */
static void join_drainers(struct shard *shard, int64_t past) {
    struct room *room = &shard->room;
    struct eviction_rules *rules = shard->eviction.rules;
    uint32_t drainers = atomic_load_explicit(&rules->drainers, memory_order_relaxed);
    if (room->is_draining || drainers > past / SLABS_SLAB_BYTES) return;
    atomic_fetch_add_explicit(&rules->drainers, 1, memory_order_relaxed);
    room->is_draining = true;
    room->debt_bytes += SLABS_SLAB_BYTES;
}

static void leave_drainers(struct shard *shard) {
    if (!shard->room.is_draining) return;
    atomic_fetch_sub_explicit(&shard->eviction.rules->drainers, 1, memory_order_relaxed);
    shard->room.is_draining = false;
}

/* Move entries out of sparse slabs; a slab that became empty gives its memory back. */
static void compact(struct shard *shard, uint32_t moves_max) {
    struct slabs *slabs = &shard->slabs;
    uint64_t resident_before = slabs->resident_bytes;
    uint64_t bytes = 0, bytes_max = (uint64_t)moves_max * MOVE_BYTES;
    uint32_t moves = 0;
    for (; moves < moves_max && bytes < bytes_max; moves++) {
        uint32_t reference = slabs_drain_next(slabs);
        if (reference == 0) break;
        const struct entry *entry = slabs_at(slabs, reference);
        uint64_t hash = hash_seeded(entry_key(entry), shard->seed);
        bytes += entry_bytes(entry);
        if (database_move(database_holding(shard, reference, hash), reference, hash)) continue;
        slabs_drain_stop(slabs);
        break;
    }
    slabs_trim(slabs);
    atomic_fetch_add_explicit(&shard->room.moved, moves, memory_order_relaxed);
    if (slabs->resident_bytes < resident_before) leave_drainers(shard);
    int64_t gained = (int64_t)(resident_before - slabs->resident_bytes);
    atomic_fetch_sub_explicit(&shard->eviction.rules->used_bytes, gained, memory_order_relaxed);
}

/* Evict as long as more than `target` is in use, until there are free slots for this shard's share of what
 * there is too much (or as much went from the heap), and its debt is paid, or there is a slab to drain instead.
 * False when there is nobody left who may go. */
static bool evict_some(struct shard *shard, int64_t target, int64_t now_ms, uint32_t victims_max,
                       const struct reclaimer *reclaimer) {
    const struct eviction_rules *rules = shard->eviction.rules;
    struct room *room = &shard->room;
    int64_t evicted = 0;
    for (; victims_max > 0; victims_max--) {
        int64_t over = load(&rules->used_bytes) - target;
        int64_t share = over / rules->shard_count + FREE_BYTES_MIN;
        int64_t free_bytes = (int64_t)shard->slabs.freed_bytes;
        bool has_share = free_bytes >= share || evicted >= share;
        bool is_paid = room->debt_bytes <= 0 || slabs_can_drain(&shard->slabs);
        if (over <= 0 || (has_share && is_paid)) break;
        size_t bytes = evict_one(shard, now_ms, reclaimer);
        if (bytes == 0) return false;
        evicted += (int64_t)bytes;
        room->debt_bytes -= (int64_t)bytes;
    }
    if (room->debt_bytes <= 0) leave_drainers(shard);
    return true;
}

/* How much more work a write has to do that far past the limit: where small entries give way to large values, a
 * slab's worth of them for each few writes. */
static uint32_t urgency_of(int64_t past, int64_t margin) {
    int64_t margins = margin != 0 ? past / margin : URGENCY_MAX;
    return margins < URGENCY_MAX ? 1 + (uint32_t)margins : URGENCY_MAX;
}

/* Shards that are larger than others make room from the margin on, and drain slabs; the small ones leave it to
 * them a little longer. Otherwise chance would let one shard grow at the expense of another until that is
 * empty. */
static bool make_room(struct shard *shard, int64_t now_ms, uint32_t victims_max, bool is_upkeep,
                      const struct reclaimer *reclaimer) {
    const struct eviction_rules *rules = shard->eviction.rules;
    int64_t limit = limit_of(rules);
    if (limit == 0) return true;
    look(shard);
    int64_t past = load(&rules->used_bytes) - limit;
    if (past <= 0) leave_drainers(shard);
    if (!room_is_short(rules)) {
        shard->room.is_charged = false;
        return true;
    }
    charge(shard, tell(shard));
    bool is_larger = is_large(shard);
    if (past > 0) {
        if (is_larger || past > margin_of(limit)) join_drainers(shard, past);
        if (!is_upkeep && !is_gliding(rules, past, limit))
            victims_max *= PAST_LIMIT_FACTOR * urgency_of(past, margin_of(limit));
    }
    int64_t target = limit - (is_larger ? margin_of(limit) : margin_of(limit) / 2);
    bool is_evicting = !is_tiny(shard) && evict_some(shard, target, now_ms, victims_max, reclaimer);
    if (!is_evicting) leave_drainers(shard);
    if (past > -margin_of(limit) / 2) compact(shard, victims_max);
    tell(shard);
    past = load(&rules->used_bytes) - limit;
    return past <= 0 || is_evicting || (int64_t)shard->slabs.freed_bytes >= past;
}

bool room_make(struct shard *shard, int64_t now_ms, uint32_t victims_max,
               const struct reclaimer *reclaimer) {
    return make_room(shard, now_ms, victims_max, false, reclaimer);
}

void room_ease(struct shard *shard, int64_t now_ms, uint32_t victims_max,
               const struct reclaimer *reclaimer) {
    make_room(shard, now_ms, victims_max, true, reclaimer);
}
