/* Slots of many sizes, and objects of any size, in slabs of 64 KiB, cut from one region.
 *
 *     slab     | slot | slot | free slot: reference of the next one | … | never touched yet … | rest |
 *
 * A slab's fresh slots are handed out in order, and only when no freed one is left, so pages are touched
 * one at a time: a store with ten keys costs ten pages, not ten slabs. (What slabs are, and where: slab.c. Objects larger
 * than a slot: slab_runs.c.)
 *
 * Why not malloc: jemalloc rounds 88 bytes up to 96, glibc adds 8 and rounds to 16, and both name memory by 64 bits,
 * which costs a bucket five of its twelve slots. What is lost here: the rest of a slab (64 of 65536 bytes
 * for slots of 88), and slots of slabs that became sparse, until they are empty or used again.
 *
 * Somewhat larger slots. Where sizes are mixed, freed slots are seldom of the size that is asked for next: a store
 * at its limit would touch a page for it, and has to evict for the page. So a freed slot up to a quarter larger is
 * taken first. What it wastes was free anyway. Mixed sizes of 64 B to 8 KiB, allkeys-adaptive at 56 MB
 * (bench/README.md): Zipf 0.7 hits 45.8 % instead of 45.1, 0.99 78.7 instead of 78.5, scans 61.7 instead of 61.5;
 * taking up to half larger ones gains another tenth of that. (Values past 2 KiB were the allocator's then.)
 *
 * A small shard with many sizes is mostly pages that were touched for a few slots each: 10,000 values of up to 512 bytes in
 * 32 shards took 8.8 MB for 2.6. So slots that were never used are taken like freed ones, of a size that is larger
 * by no more than the part of all touched pages that lies idle: a half where most of it does, nothing once a shard has
 * grown. Now 5.3 MB; 1,000 values of up to 128 bytes 1.0 MB instead of 2.1; but 100,000 of them 11.06 instead of 10.83,
 * since what was put into larger slots stays there.
 *
 * Draining. When sizes shift, slabs of the old size lose their objects here and there, and none becomes empty:
 * their memory is of no use to the new size. So where a class has as many freed slots as a slab has slots, what
 * is left in its sparsest slab fits into the holes of the others. That slab leaves its list, hands out nothing
 * any more, and gives its objects one by one to whoever can move them (they know who points to them), a few a
 * write; once it is empty it returns its pages. Nothing is evicted for the sake of a page. Which of its slots
 * are in use is found once, by walking its chain of freed ones. Sparsest means: of the SLAB_DRAIN_LOOKS_MAX first of
 * the class's list, or those with the longest free runs.
 * zsmalloc (Minchan Kim) does the same with pages of compressed memory.
 *
 * Invariants (slabs_validate):
 *   1. A slab is in exactly one state: of a class and full (in no list); of a class with room (in partial[class]); of runs
 *      (in runs[], by its longest); draining (in no list); spare; free. used = 0 only in the last two.
 *   2. In a slab of slots: slots [0, fresh) were handed out at least once; of these, `used` are in use and the others
 *      are in the free chain, each once, and marked as free.
 *   3. used_bytes, freed_bytes, freed[] and resident_bytes are the sums over the slabs.
 *
 * Under the address sanitizer whatever is not in use is poisoned, so a stale reference is caught at its first use. */
#include "slabs.h"

#include <string.h>

#include "base/check.h"
#include "slab.h"
#include "slab_runs.h"

/* Sanitizers map shadow memory of their own and leave less room to reserve. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) ||                               \
    SLABS_HAS_FEATURE(address_sanitizer) || SLABS_HAS_FEATURE(thread_sanitizer)
static const size_t RESERVE_DEFAULT = (size_t)1 << 30;
#else
static const size_t RESERVE_DEFAULT = (size_t)32 << 30;
#endif
static const size_t RESERVE_MAX = (size_t)32 << 30; /* 2^32 units */

enum {
    LARGER_DIVISOR = 4, /* a freed slot is taken that is larger by at most this part */
    DRAIN_WORDS = SLABS_SLAB_BYTES / SLABS_UNIT / 64, /* a bit a slot, of the smallest */
};

/* ---- Sizes ----------------------------------------------------------------------------------- */

static uint32_t class_of(size_t size) {
    return (uint32_t)((size + SLABS_UNIT - 1) / SLABS_UNIT - 1);
}

static size_t class_bytes(uint32_t class) {
    if (class == SLABS_CLASS_FIXED) return SLABS_FIXED_BYTES;
    return (size_t)(class + 1) * SLABS_UNIT;
}

/* ---- Slots ----------------------------------------------------------------------------------- */

/* The chain of freed slots runs through the slots themselves, which are poisoned while they are free. */
struct free_slot {
    uint32_t next;
    uint32_t mark; /* SLABS_FREE_MARK: told from an object by whoever walks over the slab */
};
static_assert(sizeof(struct free_slot) == SLABS_UNIT, "it fits the smallest slot");

__attribute__((no_sanitize("address"))) static uint32_t free_slot_next(const struct slabs *slabs,
                                                                       uint32_t slot) {
    return ((const struct free_slot *)slabs_at(slabs, slot))->next;
}

__attribute__((no_sanitize("address"))) static bool is_free_slot(const struct slabs *slabs,
                                                                 uint32_t slot) {
    return ((const struct free_slot *)slabs_at(slabs, slot))->mark == SLABS_FREE_MARK;
}

/* An empty slab of `class`, in its partial list. 0 when refused. */
static uint32_t slab_open(struct slabs *slabs, uint32_t class) {
    uint32_t number = slab_find(slabs);
    if (number == 0) return 0;
    struct slab *slab = slab_at(slabs, number);
    size_t bytes = class_bytes(class);
    slab->class = (uint8_t) class;
    slab->free_slot = 0;
    slab->fresh = 0;
    slab->used = 0;
    slab->capacity = (uint16_t)(SLABS_SLAB_BYTES / bytes);
    slab->slot_units = (uint32_t)(bytes / SLABS_UNIT);
    slab_list_push(slabs, number, slab);
    return number;
}

static void freed_add(struct slabs *slabs, const struct slab *slab, int32_t slots) {
    slabs->freed[slab->class] += (uint32_t)slots;
    slabs->freed_bytes += (uint64_t)((int64_t)slots * slab->slot_units * SLABS_UNIT);
}

/* The last slot was given back. */
static void slab_close(struct slabs *slabs, uint32_t number, struct slab *slab) {
    if (number == slabs->draining) {
        slabs->draining = 0;
    } else {
        slab_list_remove(slabs, slab);
    }
    freed_add(slabs, slab, -slab->fresh);
    slab_retire(slabs, number, slab);
}

static uint32_t slab_take_fresh(struct slabs *slabs, uint32_t number, struct slab *slab) {
    slab_touch(slabs, slab, ((size_t)slab->fresh + 1) * slab->slot_units * SLABS_UNIT);
    return number * SLAB_UNITS + slab->fresh++ * slab->slot_units;
}

static uint32_t slab_take(struct slabs *slabs, uint32_t number, struct slab *slab) {
    uint32_t slot = slab->free_slot;
    if (slot != 0) {
        slab->free_slot = free_slot_next(slabs, slot);
        freed_add(slabs, slab, -1);
    } else {
        slot = slab_take_fresh(slabs, number, slab);
    }
    slab->used++;
    if (slab->used == slab->capacity) slab_list_remove(slabs, slab);
    return slot;
}

/* ---- Draining -------------------------------------------------------------------------------- */

static void drain_mark_free(struct slabs *slabs, uint32_t slot) {
    slabs->drain_free[slot / 64] |= UINT64_C(1) << slot % 64;
}

static size_t freed_bytes_of(const struct slabs *slabs, uint32_t class) {
    return slabs->freed[class] * (class == SLABS_CLASS_RUNS ? RUNS_UNIT : class_bytes(class));
}

static bool class_can_drain(const struct slabs *slabs, uint32_t class) {
    if (class == SLABS_CLASS_RUNS) return slab_runs_can_drain(slabs);
    return slabs->freed[class] >= SLABS_SLAB_BYTES / class_bytes(class);
}

/* A class that would gain most: that with the most bytes given back. SLABS_CLASS_FIXED, which is never drained, for
 * none. */
static uint32_t class_to_drain(const struct slabs *slabs) {
    uint32_t best = SLABS_CLASS_FIXED;
    size_t best_bytes = 0;
    for (uint32_t class = 0; class < SLABS_CLASSES_ALL; class ++) {
        size_t bytes = freed_bytes_of(slabs, class);
        if (bytes <= best_bytes || class == SLABS_CLASS_FIXED || !class_can_drain(slabs, class))
            continue;
        best = class;
        best_bytes = bytes;
    }
    return best;
}

static uint32_t sparsest_of(const struct slabs *slabs, uint32_t class) {
    if (class == SLABS_CLASS_RUNS) return slab_runs_sparsest(slabs);
    uint32_t best = slabs->partial[class];
    uint32_t number = best;
    for (uint32_t looks = 0; number != 0 && looks < SLAB_DRAIN_LOOKS_MAX; looks++) {
        const struct slab *slab = slab_at(slabs, number);
        if (slab->used < slab_at(slabs, best)->used) best = number;
        number = slab->next;
    }
    return best;
}

/* Note which of its slots are free, those never handed out included. */
static void drain_map(struct slabs *slabs, const struct slab *slab) {
    memset(slabs->drain_free, 0, DRAIN_WORDS * sizeof(uint64_t));
    for (uint32_t slot = slab->free_slot; slot != 0; slot = free_slot_next(slabs, slot)) {
        drain_mark_free(slabs, slot % SLAB_UNITS / slab->slot_units);
    }
    for (uint32_t slot = slab->fresh; slot < slab->capacity; slot++) {
        drain_mark_free(slabs, slot);
    }
}

static bool drain_start(struct slabs *slabs) {
    uint32_t class = class_to_drain(slabs);
    if (class == SLABS_CLASS_FIXED) return false;
    if (slabs->drain_free == NULL) {
        slabs->drain_free = memory_allocate(DRAIN_WORDS * sizeof(uint64_t));
        if (slabs->drain_free == NULL) return false;
    }
    uint32_t number = sparsest_of(slabs, class);
    struct slab *slab = slab_at(slabs, number);
    slab_list_remove(slabs, slab);
    if (class != SLABS_CLASS_RUNS) drain_map(slabs, slab);
    slabs->draining = number;
    slabs->drain_slot = 0;
    return true;
}

bool slabs_can_drain(const struct slabs *slabs) {
    if (slabs->draining != 0) return slab_at(slabs, slabs->draining)->class != SLABS_CLASS_RUNS;
    for (uint32_t class = 0; class < SLABS_CLASSES; class ++) {
        if (class_can_drain(slabs, class)) return true;
    }
    return false;
}

/* The next object; 0 when the holes were filled by others: it would open a new slab. */
static uint32_t drain_next_slot(struct slabs *slabs, const struct slab *slab) {
    if (slabs->partial[slab->class] == 0) return 0;
    while ((slabs->drain_free[slabs->drain_slot / 64] >> slabs->drain_slot % 64 & 1) != 0) {
        slabs->drain_slot++;
        check(slabs->drain_slot < slab->capacity); /* an empty slab would have been closed */
    }
    return slabs->draining * SLAB_UNITS + slabs->drain_slot * slab->slot_units;
}

uint32_t slabs_drain_next(struct slabs *slabs) {
    if (slabs->draining == 0 && !drain_start(slabs)) return 0;
    const struct slab *slab = slab_at(slabs, slabs->draining);
    uint32_t reference = slab->class == SLABS_CLASS_RUNS ? slab_runs_drain_next(slabs)
                                                         : drain_next_slot(slabs, slab);
    if (reference == 0) slabs_drain_stop(slabs);
    return reference;
}

void slabs_drain_stop(struct slabs *slabs) {
    if (slabs->draining == 0) return;
    slab_list_push(slabs, slabs->draining, slab_at(slabs, slabs->draining));
    slabs->draining = 0;
}

/* ---- Walking --------------------------------------------------------------------------------- */

struct slabs_walk slabs_walk_start(const struct slabs *slabs, uint32_t number) {
    return (struct slabs_walk){.number = number, .slot_units = slab_at(slabs, number)->slot_units};
}

uint32_t slabs_walk_next(const struct slabs *slabs, struct slabs_walk *walk, uint32_t *looks) {
    const struct slab *slab = slab_at(slabs, walk->number);
    if (slab->class == SLABS_CLASS_FIXED || slab->class == SLAB_NO_CLASS) return 0;
    if (slab->slot_units != walk->slot_units) return 0;
    if (slab->class == SLABS_CLASS_RUNS) return slab_runs_walk(slabs, walk, looks);
    uint32_t first = walk->number * SLAB_UNITS;
    while (walk->slot<slab->fresh && * looks> 0) {
        uint32_t reference = first + walk->slot++ * walk->slot_units;
        --*looks;
        if (!is_free_slot(slabs, reference)) return reference;
    }
    return 0;
}

/* ---- The interface --------------------------------------------------------------------------- */

enum status slabs_init(struct slabs *slabs, size_t reserve_bytes) {
    *slabs = (struct slabs){0};
    if (reserve_bytes == 0) reserve_bytes = RESERVE_DEFAULT;
    if (reserve_bytes > RESERVE_MAX) reserve_bytes = RESERVE_MAX;
    reserve_bytes -= reserve_bytes % SLABS_SLAB_BYTES;
    if (reserve_bytes == 0) return STATUS_NO_MEMORY;
    return region_init(&slabs->region, reserve_bytes);
}

void slabs_release(struct slabs *slabs) {
    memory_account(-(int64_t)slabs->resident_bytes);
    memory_free(slabs->drain_free);
    /* The sanitizer would still hold the range for poisoned when something else is mapped there. */
    ASAN_UNPOISON_MEMORY_REGION(slabs->region.base, slabs->region.committed_bytes);
    region_release(&slabs->region);
    *slabs = (struct slabs){0};
}

/* Would the slab's next slot touch a page? */
static bool touches_page(const struct slab *slab) {
    if (slab->free_slot != 0) return false;
    size_t end = ((size_t)slab->fresh + 1) * slab->slot_units * SLABS_UNIT;
    return end > (size_t)slab->touched_pages * SLAB_PAGE_BYTES;
}

/* How large a slot may be that is taken for one of `bytes`: the larger, the more of all touched pages lies idle. */
static size_t most_for(const struct slabs *slabs, size_t bytes) {
    uint64_t idle = slabs->resident_bytes - slabs->used_bytes;
    return bytes + bytes * idle / (slabs->resident_bytes + 1);
}

/* A slab that has a slot somewhat larger than those of `class`, and touches no page for it; 0 for none. */
static __attribute__((noinline)) uint32_t larger_at_hand(const struct slabs *slabs,
                                                         uint32_t class) {
    size_t bytes = class_bytes(class);
    size_t most_fresh = most_for(slabs, bytes), most_freed = bytes + bytes / LARGER_DIVISOR;
    size_t most = most_fresh > most_freed ? most_fresh : most_freed;
    for (class ++; class < SLABS_CLASSES && class_bytes(class) <= most; class ++) {
        uint32_t number = slabs->partial[class];
        if (number == 0) continue;
        const struct slab *slab = slab_at(slabs, number);
        if (slab->free_slot != 0) return number;
        if (class_bytes(class) <= most_fresh && !touches_page(slab)) return number;
    }
    return 0;
}

/* The slab to take a slot of `class` from. */
static inline uint32_t slab_for(struct slabs *slabs, uint32_t class) {
    uint32_t number = slabs->partial[class];
    if (__builtin_expect(number != 0 && !touches_page(slab_at(slabs, number)), 1)) return number;
    if (class < SLABS_CLASSES) {
        uint32_t larger = larger_at_hand(slabs, class);
        if (larger != 0) return larger;
    }
    return number != 0 ? number : slab_open(slabs, class);
}

static inline uint32_t allocate(struct slabs *slabs, uint32_t class) {
    if (!slab_grants_slot()) return 0;
    uint32_t number = slab_for(slabs, class);
    if (number == 0) return 0;
    struct slab *slab = slab_at(slabs, number);
    uint32_t slot = slab_take(slabs, number, slab);
    size_t bytes = (size_t)slab->slot_units * SLABS_UNIT;
    slabs->used_bytes += bytes;
    ASAN_UNPOISON_MEMORY_REGION(slabs_at(slabs, slot), bytes);
    return slot;
}

uint32_t slabs_allocate(struct slabs *slabs, size_t size) {
    check_debug(size > 0 && size <= SLABS_OBJECT_MAX);
    if (__builtin_expect(size > SLABS_SLOT_MAX, 0)) return slab_runs_allocate(slabs, size);
    return allocate(slabs, class_of(size));
}

uint32_t slabs_allocate_fixed(struct slabs *slabs) {
    return allocate(slabs, SLABS_CLASS_FIXED);
}

void slabs_free(struct slabs *slabs, uint32_t reference) {
    uint32_t number = reference / SLAB_UNITS;
    struct slab *slab = slab_at(slabs, number);
    check(slab->used > 0 && slab->class != SLAB_NO_CLASS);
    if (__builtin_expect(slab->class == SLABS_CLASS_RUNS, 0)) {
        slab_runs_free(slabs, reference);
        return;
    }
    check_debug(reference % SLAB_UNITS % slab->slot_units == 0);
    size_t bytes = (size_t)slab->slot_units * SLABS_UNIT;
    *(struct free_slot *)slabs_at(slabs, reference) =
        (struct free_slot){.next = slab->free_slot, .mark = SLABS_FREE_MARK};
    ASAN_POISON_MEMORY_REGION(slabs_at(slabs, reference), bytes);
    slab->free_slot = reference;
    slabs->used_bytes -= bytes;
    freed_add(slabs, slab, 1);
    if (number == slabs->draining) {
        drain_mark_free(slabs, reference % SLAB_UNITS / slab->slot_units);
    } else if (slab->used == slab->capacity) {
        slab_list_push(slabs, number, slab);
    }
    slab->used--;
    if (slab->used == 0) slab_close(slabs, number, slab);
}

/* ---- Validation ------------------------------------------------------------------------------ */

static void slab_validate(const struct slabs *slabs, uint32_t number) {
    const struct slab *slab = slab_at(slabs, number);
    if (slab->class == SLAB_NO_CLASS) return;
    check(slab->class < SLABS_CLASSES_ALL);
    if (slab->class == SLABS_CLASS_RUNS) {
        slab_runs_validate(slabs, number);
        return;
    }
    check(slab->slot_units * SLABS_UNIT == class_bytes(slab->class));
    check(slab->capacity == SLABS_SLAB_BYTES / class_bytes(slab->class));
    check(slab->used > 0 && slab->used <= slab->fresh && slab->fresh <= slab->capacity);
    uint32_t freed = 0;
    for (uint32_t slot = slab->free_slot; slot != 0; slot = free_slot_next(slabs, slot)) {
        check(slot / SLAB_UNITS == number);
        check(slot % SLAB_UNITS % slab->slot_units == 0);
        check(slot % SLAB_UNITS / slab->slot_units < slab->fresh);
        check(is_free_slot(slabs, slot));
        freed++;
        check(freed <= slab->fresh); /* a chain that runs in a circle */
    }
    check(freed + slab->used == slab->fresh);
}

/* Returns how many slabs of `class` have room, having checked their list. */
static uint32_t partial_validate(const struct slabs *slabs, uint32_t class) {
    uint32_t length = 0;
    uint32_t previous = 0;
    for (uint32_t number = slabs->partial[class]; number != 0;) {
        const struct slab *slab = slab_at(slabs, number);
        check(slab->class == class && slab->used < slab->capacity && slab->previous == previous);
        previous = number;
        number = slab->next;
        length++;
        check(length <= slabs->slab_count);
    }
    return length;
}

void slabs_validate(const struct slabs *slabs) {
    uint64_t used_bytes = 0;
    uint64_t freed_bytes = 0;
    uint64_t resident_bytes = 0;
    uint32_t freed[SLABS_CLASSES_ALL] = {0};
    uint32_t with_room = 0, run_slabs = 0;
    uint32_t empty = 0;
    for (uint32_t number = 1; number < slabs->slab_count; number++) {
        if (number % SLAB_GROUP == 0) continue;
        const struct slab *slab = slab_at(slabs, number);
        slab_validate(slabs, number);
        if (slab_starts_header_page(number)) resident_bytes += SLAB_PAGE_BYTES;
        resident_bytes += (uint64_t)slab->touched_pages * SLAB_PAGE_BYTES;
        if (slab->class == SLAB_NO_CLASS) {
            empty++;
            continue;
        }
        if (slab->class == SLABS_CLASS_RUNS) {
            run_slabs++;
            used_bytes += (uint64_t)slab->used * RUNS_UNIT;
            freed[SLABS_CLASS_RUNS] += slab_runs_freed(slab);
            freed_bytes += (uint64_t)slab_runs_freed(slab) * RUNS_UNIT;
            continue;
        }
        used_bytes += (uint64_t)slab->used * slab->slot_units * SLABS_UNIT;
        freed[slab->class] += slab->fresh - slab->used;
        freed_bytes += (uint64_t)(slab->fresh - slab->used) * slab->slot_units * SLABS_UNIT;
        check(number != slabs->draining || slab->used < slab->capacity);
        with_room += slab->used < slab->capacity && number != slabs->draining;
    }
    for (uint32_t class = 0; class < SLABS_CLASSES_ALL; class ++) {
        check(freed[class] == slabs->freed[class]);
        with_room -= partial_validate(slabs, class);
    }
    check(empty == slab_validate_empty(slabs));
    check(with_room == 0 && run_slabs == slabs->run_slabs);
    bool drains_runs =
        slabs->draining != 0 && slab_at(slabs, slabs->draining)->class == SLABS_CLASS_RUNS;
    check(run_slabs == slab_runs_validate_lists(slabs) + drains_runs);
    check(used_bytes == slabs->used_bytes && freed_bytes == slabs->freed_bytes);
    check(resident_bytes == slabs->resident_bytes);
}
