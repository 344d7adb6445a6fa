/* A hierarchical timing wheel, threaded through the entries.
 *
 * A deadline becomes a tick, rounded up: what is linked at tick t is due when t has come. Written in base
 * 64, a tick is six digits (and an era above them, of 139 years). An entry lies at the level of the
 * highest digit in which its tick differs from the wheel's, in the slot that this digit numbers:
 *
 *     the wheel's tick    0  25  17  03  60  12
 *     an entry's tick     0  25  17  05  01  44     differs first at level 2: slots[2][5]
 *
 * When the wheel's digit at a level reaches an entry's, the entry belongs further down. So the slots that the wheel's
 * own digits number are empty, or have just been reached and are being emptied: `expiry_take_due` moves one entry of
 * them down at a time, or returns one of level 0, until its limit is used up, and may be left and resumed
 * at any point in between. Where nothing is left at the tick, the occupied bits say which tick is next:
 * the wheel jumps, whatever the distance.
 *
 * Why not a heap: log n cache misses a change, and eight bytes a key more or a search to find its place in it; with a
 * million deadlines twenty misses against two. Why not Redis's sampling: it finds what is due by luck, and
 * keeps up to a quarter of it.
 *
 * Invariants (expiry_validate):
 *   1. An entry linked has a tick not before the wheel's (one due already counts as due now), and lies where the rule
 *      above says or, while its slot is being emptied, in a slot that the wheel's digits number.
 *   2. occupied has exactly the bits of the slots that are not empty.
 *   3. The wheel's tick never passes a tick at which an entry is linked.
 * Beyond the era's end: an entry waits at the era's last tick, and is linked again, a round later, from there.
 *
 * Source: George Varghese and Tony Lauck, "Hashed and hierarchical timing wheels" (1987); the bit arithmetic as in
 * Kazuho Oku's timerwheel.c of h2o. */
#include "expiry.h"

#include <stddef.h>

#include "base/check.h"
#include "base/memory.h"

enum { DIGIT_BITS = 6, DIGIT_MASK = EXPIRY_SLOTS - 1, ERA_BITS = DIGIT_BITS * EXPIRY_LEVELS };
static const uint64_t ERA_MASK = (UINT64_C(1) << ERA_BITS) - 1;

static unsigned digit_of(uint64_t tick, unsigned level) {
    return (unsigned)(tick >> DIGIT_BITS * level) & DIGIT_MASK;
}

static struct entry_expiry *link_at(const struct expiry *expiry, uint32_t reference) {
    const struct entry *entry = slabs_at(expiry->slabs, reference);
    check_debug(entry_has_expiry(entry));
    return entry_expiry(entry);
}

/* The last tick that has come. */
static uint64_t tick_of_time(int64_t now_ms) {
    return now_ms > 0 ? (uint64_t)now_ms / EXPIRY_TICK_MS : 0;
}

/* The first tick at which a deadline has passed. */
static uint64_t tick_of_deadline(int64_t deadline_ms) {
    if (deadline_ms <= 0) return 0;
    return (uint64_t)deadline_ms / EXPIRY_TICK_MS + (deadline_ms % EXPIRY_TICK_MS != 0);
}

/* Where a deadline is waited for, seen from `tick`: not before it, and not past its era. */
static uint64_t tick_to_wait_for(int64_t deadline_ms, uint64_t tick) {
    uint64_t due = tick_of_deadline(deadline_ms);
    if (due < tick) return tick;
    return due >> ERA_BITS == tick >> ERA_BITS ? due : tick | ERA_MASK;
}

static void count_add(struct expiry *expiry, int64_t change) {
    uint64_t count = atomic_load_explicit(&expiry->count, memory_order_relaxed);
    atomic_store_explicit(&expiry->count, count + (uint64_t)change, memory_order_relaxed);
}

/* ---- Slots ----------------------------------------------------------------------------------- */

/* The level of `target` seen from `tick`: that of the highest digit which differs, or 0. */
static unsigned level_of(uint64_t target, uint64_t tick) {
    uint64_t differs = target ^ tick;
    return differs == 0 ? 0 : (unsigned)(63 - __builtin_clzll(differs)) / DIGIT_BITS;
}

static void slot_push(struct expiry *expiry, uint32_t reference, uint64_t target, uint64_t tick) {
    unsigned level = level_of(target, tick);
    unsigned slot = digit_of(target, level);
    uint32_t head = expiry->slots[level][slot];
    struct entry_expiry *link = link_at(expiry, reference);
    link->previous = 0;
    link->next = head;
    if (head != 0) link_at(expiry, head)->previous = reference;
    expiry->slots[level][slot] = reference;
    expiry->occupied[level] |= UINT64_C(1) << slot;
}

static void slot_set_head(struct expiry *expiry, unsigned level, unsigned slot,
                          uint32_t reference) {
    expiry->slots[level][slot] = reference;
    if (reference == 0) expiry->occupied[level] &= ~(UINT64_C(1) << slot);
}

static uint32_t slot_pop(struct expiry *expiry, unsigned level, unsigned slot) {
    uint32_t reference = expiry->slots[level][slot];
    uint32_t next = link_at(expiry, reference)->next;
    if (next != 0) link_at(expiry, next)->previous = 0;
    slot_set_head(expiry, level, slot, next);
    return reference;
}

/* The first of a slot's list doesn't say which slot; its tick does, up to the level. Put `to` there. */
static void head_replace(struct expiry *expiry, uint32_t reference, int64_t deadline_ms,
                         uint32_t to) {
    uint64_t target = tick_to_wait_for(deadline_ms, expiry->tick);
    unsigned level = 0;
    while (level < EXPIRY_LEVELS && expiry->slots[level][digit_of(target, level)] != reference) {
        level++;
    }
    check(level < EXPIRY_LEVELS);
    slot_set_head(expiry, level, digit_of(target, level), to);
}

/* ---- The interface --------------------------------------------------------------------------- */

void expiry_init(struct expiry *expiry, struct slabs *slabs, int64_t now_ms) {
    *expiry = (struct expiry){.slabs = slabs, .tick = tick_of_time(now_ms)};
}

void expiry_restart(struct expiry *expiry, int64_t now_ms) {
    check(atomic_load_explicit(&expiry->count, memory_order_relaxed) == 0);
    expiry->tick = tick_of_time(now_ms);
}

void expiry_release(struct expiry *expiry) {
    memory_free(expiry->slots);
    *expiry = (struct expiry){.slabs = expiry->slabs, .tick = expiry->tick};
}

enum status expiry_open(struct expiry *expiry) {
    if (__builtin_expect(expiry->slots != NULL, 1)) return STATUS_OK;
    expiry->slots = memory_allocate_zeroed(EXPIRY_LEVELS * sizeof(*expiry->slots));
    return expiry->slots != NULL ? STATUS_OK : STATUS_NO_MEMORY;
}

void expiry_link(struct expiry *expiry, uint32_t reference, int64_t deadline_ms) {
    link_at(expiry, reference)->deadline_ms = deadline_ms;
    slot_push(expiry, reference, tick_to_wait_for(deadline_ms, expiry->tick), expiry->tick);
    count_add(expiry, 1);
}

void expiry_unlink(struct expiry *expiry, uint32_t reference) {
    struct entry_expiry *link = link_at(expiry, reference);
    if (link->previous != 0) {
        link_at(expiry, link->previous)->next = link->next;
    } else {
        head_replace(expiry, reference, link->deadline_ms, link->next);
    }
    if (link->next != 0) link_at(expiry, link->next)->previous = link->previous;
    count_add(expiry, -1);
}

void expiry_replace(struct expiry *expiry, uint32_t from, uint32_t to) {
    const struct entry_expiry *link = link_at(expiry, to);
    if (link->previous != 0) {
        link_at(expiry, link->previous)->next = to;
    } else {
        head_replace(expiry, from, link->deadline_ms, to);
    }
    if (link->next != 0) link_at(expiry, link->next)->previous = to;
}

/* ---- Advancing ------------------------------------------------------------------------------- */

/* The highest level above 0 whose slot at the wheel's digit waits to be emptied; 0 when none does. */
static unsigned level_to_empty(const struct expiry *expiry) {
    for (unsigned level = EXPIRY_LEVELS - 1; level > 0; level--) {
        if ((expiry->occupied[level] >> digit_of(expiry->tick, level) & 1) != 0) return level;
    }
    return 0;
}

/* The next tick at which there is something to do, when nothing is left at this one: the first of the next occupied
 * slot, of the lowest level that has one (a level's slots ahead all come before the next slot of the level above). */
static uint64_t next_tick(const struct expiry *expiry) {
    for (unsigned level = 0; level < EXPIRY_LEVELS; level++) {
        unsigned digit = digit_of(expiry->tick, level);
        uint64_t ahead = digit == DIGIT_MASK ? 0 : expiry->occupied[level] >> (digit + 1);
        if (ahead == 0) continue;
        uint64_t slot = digit + 1 + (unsigned)__builtin_ctzll(ahead);
        unsigned shift = DIGIT_BITS * level;
        return (expiry->tick >> shift >> DIGIT_BITS << DIGIT_BITS | slot) << shift;
    }
    return (expiry->tick | ERA_MASK) + 1;
}

/* The head of the slot that comes first: one that waits to be emptied, else the next of the lowest level that has one.
 * 0 when nothing is linked. */
static uint32_t first_head(const struct expiry *expiry) {
    unsigned waiting = level_to_empty(expiry);
    if (waiting > 0) return expiry->slots[waiting][digit_of(expiry->tick, waiting)];
    for (unsigned level = 0; level < EXPIRY_LEVELS; level++) {
        uint64_t ahead = expiry->occupied[level] >> digit_of(expiry->tick, level);
        if (ahead == 0) continue;
        unsigned slot = digit_of(expiry->tick, level) + (unsigned)__builtin_ctzll(ahead);
        return expiry->slots[level][slot];
    }
    return 0;
}

uint32_t expiry_soonest(const struct expiry *expiry, uint32_t looks) {
    if (atomic_load_explicit(&expiry->count, memory_order_relaxed) == 0) return 0;
    uint32_t best = first_head(expiry);
    uint32_t reference = best;
    for (; reference != 0 && looks > 0; looks--) {
        const struct entry_expiry *link = link_at(expiry, reference);
        if (link->deadline_ms < link_at(expiry, best)->deadline_ms) best = reference;
        reference = link->next;
    }
    return best;
}

static void move_down(struct expiry *expiry, unsigned level) {
    uint32_t reference = slot_pop(expiry, level, digit_of(expiry->tick, level));
    int64_t deadline_ms = link_at(expiry, reference)->deadline_ms;
    slot_push(expiry, reference, tick_to_wait_for(deadline_ms, expiry->tick), expiry->tick);
}

static bool is_due(const struct expiry *expiry, uint32_t reference) {
    return tick_of_deadline(link_at(expiry, reference)->deadline_ms) <= expiry->tick;
}

/* All that is linked at the era's last tick and not due is due in a later one: take the lot over. */
static void enter_next_era(struct expiry *expiry) {
    uint32_t reference = expiry->slots[0][DIGIT_MASK];
    slot_set_head(expiry, 0, DIGIT_MASK, 0);
    expiry->tick++;
    while (reference != 0) {
        uint32_t next = link_at(expiry, reference)->next;
        int64_t deadline_ms = link_at(expiry, reference)->deadline_ms;
        slot_push(expiry, reference, tick_to_wait_for(deadline_ms, expiry->tick), expiry->tick);
        reference = next;
    }
}

/* One step at the wheel's tick, which has come. Returns an entry that is due, or 0. */
static uint32_t step(struct expiry *expiry, uint64_t now) {
    unsigned level = level_to_empty(expiry);
    if (level > 0) {
        move_down(expiry, level);
        return 0;
    }
    unsigned slot = digit_of(expiry->tick, 0);
    uint32_t head = expiry->slots[0][slot];
    if (head == 0) {
        uint64_t next = next_tick(expiry);
        expiry->tick = next <= now ? next : now + 1;
        return 0;
    }
    if (is_due(expiry, head)) return slot_pop(expiry, 0, slot);
    enter_next_era(expiry);
    return 0;
}

uint32_t expiry_take_due(struct expiry *expiry, int64_t now_ms, uint32_t *limit) {
    uint64_t now = tick_of_time(now_ms);
    if (atomic_load_explicit(&expiry->count, memory_order_relaxed) == 0) {
        if (now >= expiry->tick) expiry->tick = now + 1;
        return 0;
    }
    while (expiry->tick <= now && *limit > 0) {
        --*limit;
        uint32_t reference = step(expiry, now);
        if (reference != 0) {
            count_add(expiry, -1);
            return reference;
        }
    }
    return 0;
}

bool expiry_has_work(const struct expiry *expiry, int64_t now_ms) {
    uint64_t now = tick_of_time(now_ms);
    if (atomic_load_explicit(&expiry->count, memory_order_relaxed) == 0) return false;
    if (expiry->tick > now) return false;
    bool is_at_work =
        level_to_empty(expiry) > 0 || expiry->slots[0][digit_of(expiry->tick, 0)] != 0;
    return is_at_work || next_tick(expiry) <= now;
}

/* ---- Validation ------------------------------------------------------------------------------ */

static uint64_t slot_validate(const struct expiry *expiry, unsigned level, unsigned slot) {
    uint32_t reference = expiry->slots[level][slot];
    check((reference != 0) == (expiry->occupied[level] >> slot & 1));
    uint64_t count = 0;
    for (uint32_t previous = 0; reference != 0;
         previous = reference, reference = link_at(expiry, previous)->next) {
        const struct entry_expiry *link = link_at(expiry, reference);
        uint64_t target = tick_to_wait_for(link->deadline_ms, expiry->tick);
        check(link->previous == previous);
        check(digit_of(target, level) == slot);
        bool is_being_emptied = slot == digit_of(expiry->tick, level);
        check(level == level_of(target, expiry->tick) || is_being_emptied);
        count++;
    }
    return count;
}

void expiry_validate(const struct expiry *expiry) {
    uint64_t count = 0;
    for (unsigned level = 0; expiry->slots != NULL && level < EXPIRY_LEVELS; level++) {
        for (unsigned slot = 0; slot < EXPIRY_SLOTS; slot++) {
            count += slot_validate(expiry, level, slot);
        }
    }
    check(count == atomic_load_explicit(&expiry->count, memory_order_relaxed));
}
