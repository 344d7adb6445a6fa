/* A heap of slabs, by the time of their next sweep.
 *
 * Why by slab. Here was a hierarchical timing wheel, threaded through the entries (Varghese and Lauck 1987): exact
 * to a tick, O(1) whatever is done, but two links of four bytes each in every entry with a deadline, in the
 * cache lines of its neighbours on the wheel. An entry's slab is known by its address, so of a time kept by slab
 * each entry costs a hundredth; what is paid instead is a walk over those that are not due yet.
 *
 *                                                      by slab           the wheel
 *     bytes a deadline costs, ten million keys         7.86              15.75
 *     a million due at once are gone after, ms         232, 252, 346     352
 *     processor time a key, a million in 10 s, us      1.03, 1.27        1.13
 *
 * (sherd-bench expire, two workers on two shared cores, the time of its own questions included; single runs.)
 *
 *     setting a deadline      lowers its slab's due_ms, if it is earlier: mostly one comparison
 *     clearing, removing      nothing: due_ms may then be too early, and a sweep finds it out
 *     moving to another slab  lowers the other's
 *
 * How late. A slab's turn is at its due_ms, but not before it has rested from its last sweep. So a slab in which
 * something is due at every moment is swept twice a second, each time for half a second's worth, and the promise
 * (a second) has room for the upkeep's own pace. That is the worst there is: all of a shard's slabs, and so its
 * memory, read twice a second. Three million keys over 40 seconds, which is one a tick of 60 ms in each slab: 1.9 us
 * of processor time a key, half of them no more than 287 ms late, the last 636.
 * (An entry whose time has come, and that is moved to another slab before it was swept, may wait for that one's
 * rest.)
 *
 * A sweep takes its slab out of the heap first. What is set meanwhile puts it in again; what it walks past and is
 * not due yet it notes, and lowers the slab's time to at its end. So it may be left and resumed at any slot.
 *
 * An entry that is due but stays where it is (its database was flushed, and waits for a snapshot) is not noted: it
 * would have its slab swept again and again.
 *
 * Why a heap: there are 16384 slabs to a GiB, so a change is at most fourteen steps in some kilobytes; it happens
 * once a sweep, and otherwise only where an earlier deadline comes than any in its slab: for the n-th entry of a
 * slab, if deadlines have nothing to do with the order of their setting, with a chance of 1 in n. If time is
 * stepped back by more than the rest, all rests are over, and the heap is built anew in one go: O(slabs).
 *
 * Invariants (expiry_validate):
 *   1. A slab in the heap is due no later than any of its entries, but for those that were handed out and left.
 *      While a slab is swept this holds of it together with walk_due_ms, and not of those ahead of the walk.
 *   2. place and slab_here name each other, for 1 … heap_count, and nobody's turn is before its parent's. */
#include "expiry.h"

#include <stddef.h>

#include "base/check.h"
#include "base/memory.h"

enum { PAGE_BYTES = 4096, SOONEST_SLABS = 8 };
static const int64_t NEVER_MS = INT64_MAX;

static struct expiry_slab *slab_at(const struct expiry *expiry, uint32_t number) {
    return (struct expiry_slab *)(void *)expiry->region.base + number;
}

/* ---- The heap -------------------------------------------------------------------------------- */

/* When it is to be swept. */
static int64_t turn_of(const struct expiry *expiry, uint32_t number) {
    const struct expiry_slab *slab = slab_at(expiry, number);
    return slab->due_ms > slab->rested_ms ? slab->due_ms : slab->rested_ms;
}

static uint32_t heap_at(const struct expiry *expiry, uint32_t place) {
    return slab_at(expiry, place)->slab_here;
}

static void heap_put(struct expiry *expiry, uint32_t place, uint32_t number) {
    slab_at(expiry, place)->slab_here = number;
    slab_at(expiry, number)->place = place;
}

/* `number` belongs at `place` or above. */
static void heap_rise(struct expiry *expiry, uint32_t place, uint32_t number) {
    int64_t turn_ms = turn_of(expiry, number);
    while (place > 1 && turn_of(expiry, heap_at(expiry, place / 2)) > turn_ms) {
        heap_put(expiry, place, heap_at(expiry, place / 2));
        place /= 2;
    }
    heap_put(expiry, place, number);
}

/* `number` belongs at `place` or below. */
static void heap_sink(struct expiry *expiry, uint32_t place, uint32_t number) {
    int64_t turn_ms = turn_of(expiry, number);
    for (uint32_t child; (child = 2 * place) <= expiry->heap_count; place = child) {
        if (child < expiry->heap_count &&
            turn_of(expiry, heap_at(expiry, child + 1)) < turn_of(expiry, heap_at(expiry, child))) {
            child++;
        }
        if (turn_of(expiry, heap_at(expiry, child)) >= turn_ms) break;
        heap_put(expiry, place, heap_at(expiry, child));
    }
    heap_put(expiry, place, number);
}

static uint32_t heap_pop(struct expiry *expiry) {
    uint32_t first = heap_at(expiry, 1);
    uint32_t last = heap_at(expiry, expiry->heap_count--);
    slab_at(expiry, first)->place = 0;
    if (expiry->heap_count > 0) heap_sink(expiry, 1, last);
    return first;
}

/* Something in the slab is due then. */
static void lower(struct expiry *expiry, uint32_t number, int64_t due_ms) {
    check_debug(number < expiry->known_count);
    struct expiry_slab *slab = slab_at(expiry, number);
    if (__builtin_expect(slab->place != 0 && slab->due_ms <= due_ms, 1)) return;
    slab->due_ms = due_ms;
    uint32_t place = slab->place != 0 ? slab->place : ++expiry->heap_count;
    heap_rise(expiry, place, number);
}

static void end_all_rests(struct expiry *expiry) {
    for (uint32_t number = 1; number < expiry->known_count; number++) {
        slab_at(expiry, number)->rested_ms = INT64_MIN;
    }
    for (uint32_t place = expiry->heap_count / 2; place > 0; place--) {
        heap_sink(expiry, place, heap_at(expiry, place));
    }
}

/* ---- Lifetime -------------------------------------------------------------------------------- */

void expiry_init(struct expiry *expiry, struct slabs *slabs) {
    *expiry = (struct expiry){.slabs = slabs};
}

void expiry_release(struct expiry *expiry) {
    memory_account(-(int64_t)expiry_footprint(expiry));
    region_release(&expiry->region);
    expiry_init(expiry, expiry->slabs);
}

/* Room in pages; beyond what there is, memory is zero: slabs without deadlines. */
static __attribute__((noinline)) enum status grow(struct expiry *expiry, uint32_t count) {
    if (expiry->region.base == NULL) {
        size_t slabs_max = expiry->slabs->region.reserved_bytes / SLABS_SLAB_BYTES + 1;
        enum status status = region_init(&expiry->region, slabs_max * sizeof(struct expiry_slab));
        if (status != STATUS_OK) return status;
    }
    size_t before = expiry_footprint(expiry);
    size_t bytes = (count * sizeof(struct expiry_slab) + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
    void *probe = memory_allocate(1); /* is refused where a test refuses allocations */
    if (probe == NULL) return STATUS_NO_MEMORY;
    memory_free(probe);
    if (region_commit(&expiry->region, bytes) != STATUS_OK) return STATUS_NO_MEMORY;
    expiry->known_count = (uint32_t)(bytes / sizeof(struct expiry_slab));
    memory_account((int64_t)(bytes - before));
    return STATUS_OK;
}

/* The next slab to be cut is number slab_count, or the one behind it. */
enum status expiry_open(struct expiry *expiry) {
    uint32_t count = expiry->slabs->slab_count + 2;
    if (__builtin_expect(count <= expiry->known_count, 1)) return STATUS_OK;
    return grow(expiry, count);
}

/* ---- Deadlines ------------------------------------------------------------------------------- */

/* What its slab is to know of it: the last moment there is isn't never. */
static int64_t due_of(const struct entry *entry) {
    int64_t deadline_ms = *entry_deadline(entry);
    return deadline_ms < NEVER_MS ? deadline_ms : NEVER_MS - 1;
}

void expiry_follow(struct expiry *expiry, uint32_t reference) {
    const struct entry *entry = slabs_at(expiry->slabs, reference);
    check_debug(entry_has_expiry(entry));
    lower(expiry, slabs_number(reference), due_of(entry));
}

void expiry_set(struct expiry *expiry, uint32_t reference, int64_t deadline_ms) {
    *entry_deadline(slabs_at(expiry->slabs, reference)) = deadline_ms;
    expiry_follow(expiry, reference);
}

/* ---- Sweeping -------------------------------------------------------------------------------- */

bool expiry_has_work(const struct expiry *expiry, int64_t now_ms) {
    if (expiry->is_sweeping) return true;
    if (expiry->heap_count == 0) return false;
    return turn_of(expiry, heap_at(expiry, 1)) <= now_ms ||
           now_ms < expiry->now_ms - EXPIRY_REST_MS;
}

static bool sweep_start(struct expiry *expiry, int64_t now_ms) {
    bool has_stepped_back = now_ms < expiry->now_ms - EXPIRY_REST_MS;
    if (has_stepped_back) end_all_rests(expiry);
    if (has_stepped_back || now_ms > expiry->now_ms) expiry->now_ms = now_ms;
    if (!expiry_has_work(expiry, now_ms)) return false;
    uint32_t number = heap_pop(expiry);
    slab_at(expiry, number)->rested_ms = now_ms + EXPIRY_REST_MS;
    expiry->walk = slabs_walk_start(expiry->slabs, number);
    expiry->walk_due_ms = NEVER_MS;
    expiry->is_sweeping = true;
    return true;
}

static void sweep_end(struct expiry *expiry) {
    expiry->is_sweeping = false;
    if (expiry->walk_due_ms == NEVER_MS) return;
    lower(expiry, expiry->walk.number, expiry->walk_due_ms);
}

/* The next entry of the slab that is due; 0 at its end, or when `*looks` is used up. */
static uint32_t sweep_on(struct expiry *expiry, int64_t now_ms, uint32_t *looks) {
    uint32_t reference;
    while ((reference = slabs_walk_next(expiry->slabs, &expiry->walk, looks)) != 0) {
        const struct entry *entry = slabs_at(expiry->slabs, reference);
        if (!entry_has_expiry(entry)) continue;
        int64_t due_ms = due_of(entry);
        if (due_ms <= now_ms) {
            if (due_ms > expiry->handed_ms) expiry->handed_ms = due_ms;
            return reference;
        }
        if (due_ms < expiry->walk_due_ms) expiry->walk_due_ms = due_ms;
    }
    return 0;
}

uint32_t expiry_take_due(struct expiry *expiry, int64_t now_ms, uint32_t *looks) {
    while (*looks > 0 && (expiry->is_sweeping || sweep_start(expiry, now_ms))) {
        uint32_t reference = sweep_on(expiry, now_ms, looks);
        if (reference != 0) return reference;
        if (*looks == 0) break;
        --*looks; /* for the slab */
        sweep_end(expiry);
    }
    return 0;
}

/* ---- Who is due soonest ---------------------------------------------------------------------- */

/* Reckon the first slab of the heap anew; true when it stays the first. A sweep that is under way does no harm: it
 * will lower what we find here to what it has noted, at most. */
static bool reckon_first(struct expiry *expiry) {
    uint32_t number = heap_at(expiry, 1);
    struct slabs_walk walk = slabs_walk_start(expiry->slabs, number);
    int64_t due_ms = NEVER_MS;
    uint32_t looks = UINT32_MAX, reference;
    while ((reference = slabs_walk_next(expiry->slabs, &walk, &looks)) != 0) {
        const struct entry *entry = slabs_at(expiry->slabs, reference);
        if (entry_has_expiry(entry) && due_of(entry) < due_ms) due_ms = due_of(entry);
    }
    if (due_ms == NEVER_MS) {
        heap_pop(expiry);
        return false;
    }
    slab_at(expiry, number)->due_ms = due_ms;
    heap_sink(expiry, 1, number);
    return heap_at(expiry, 1) == number;
}

void expiry_visit_soonest(struct expiry *expiry, void (*visit)(void *, struct entry *),
                          void *context) {
    for (int i = 0; i < SOONEST_SLABS && expiry->heap_count > 0; i++) {
        if (reckon_first(expiry)) break;
    }
    if (expiry->heap_count == 0) return;
    struct slabs_walk walk = slabs_walk_start(expiry->slabs, heap_at(expiry, 1));
    uint32_t looks = UINT32_MAX, reference;
    while ((reference = slabs_walk_next(expiry->slabs, &walk, &looks)) != 0) {
        struct entry *entry = slabs_at(expiry->slabs, reference);
        if (entry_has_expiry(entry)) visit(context, entry);
    }
}

/* ---- Accounting and validation --------------------------------------------------------------- */

size_t expiry_footprint(const struct expiry *expiry) {
    size_t bytes = expiry->known_count * sizeof(struct expiry_slab);
    return (bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
}

/* Whether an entry with this deadline, in the slab that is being swept, at `slot`, is taken care of. */
static bool sweep_knows(const struct expiry *expiry, uint32_t number, uint32_t slot,
                        int64_t deadline_ms) {
    if (!expiry->is_sweeping || expiry->walk.number != number) return false;
    return slot >= expiry->walk.slot || deadline_ms >= expiry->walk_due_ms;
}

static void slab_validate(const struct expiry *expiry, uint32_t number) {
    static const struct expiry_slab unknown = {0};
    const struct expiry_slab *slab =
        number < expiry->known_count ? slab_at(expiry, number) : &unknown;
    check(slab->place <= expiry->heap_count);
    check(slab->place == 0 || heap_at(expiry, slab->place) == number);
    struct slabs_walk walk = slabs_walk_start(expiry->slabs, number);
    uint32_t looks = UINT32_MAX, reference;
    while ((reference = slabs_walk_next(expiry->slabs, &walk, &looks)) != 0) {
        const struct entry *entry = slabs_at(expiry->slabs, reference);
        if (!entry_has_expiry(entry)) continue;
        int64_t deadline_ms = *entry_deadline(entry);
        if (slab->place != 0 && slab->due_ms <= deadline_ms) continue;
        if (sweep_knows(expiry, number, walk.slot - 1, deadline_ms)) continue;
        check(deadline_ms <= expiry->handed_ms); /* it was handed out, and left */
    }
}

void expiry_validate(const struct expiry *expiry) {
    check(expiry->heap_count == 0 || expiry->heap_count < expiry->known_count);
    for (uint32_t place = 1; place <= expiry->heap_count; place++) {
        uint32_t number = heap_at(expiry, place);
        check(slab_at(expiry, number)->place == place);
        check(place == 1 || turn_of(expiry, heap_at(expiry, place / 2)) <= turn_of(expiry, number));
    }
    for (uint32_t number = 1; number < expiry->slabs->slab_count; number++) {
        slab_validate(expiry, number);
    }
}
