/* The memory of one shard's small objects: entries and overflow buckets, named by 32-bit references.
 *
 * A shard reserves one range of addresses (region) and cuts it into slabs of 64 KiB; a slab holds slots of one size.
 * A reference counts units of 8 bytes from the start of the region, so 32 bits reach 32 GiB a shard, a bucket holds
 * twelve references in a cache line where pointers would leave room for seven, and turning one into an address is an
 * addition. Slots come in steps of 8 bytes, so little is lost to rounding; a general allocator's size classes
 * alone would lose 15 bytes a key. Objects larger than SLABS_SLOT_MAX lie side by side in slabs of any size (runs.h).
 *
 * Memory that was once handed out stays mapped, so a stale reference never faults (prefetching without the lock
 * relies on that); an empty slab's pages go back to the system, and a sparse one can be drained: its owner
 * moves what is left in it elsewhere (room.c). Threads: all functions that change need the shard's lock for
 * writing; `slabs_at` needs none. Source of the idea: Bonwick's slab allocator (1994); pogocache and the JVM's
 * compressed pointers for small references. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/region.h"
#include "base/status.h"
#include "runs.h"

enum {
    SLABS_UNIT = 8, /* bytes a reference step */
    SLABS_SLAB_BYTES = RUNS_SLAB_BYTES,
    SLABS_SLOT_MAX = 512,        /* bytes the largest slot holds */
    SLABS_OBJECT_MAX = 57 * 256, /* bytes of the largest object: a fourth of a slab, nearly */
    SLABS_FIXED_BYTES = 64,      /* of an object that never moves */
    SLABS_CLASSES = SLABS_SLOT_MAX / SLABS_UNIT,
    SLABS_CLASS_FIXED = SLABS_CLASSES, /* beside them: objects that never move, */
    SLABS_CLASS_RUNS,                  /* and those larger than a slot */
    SLABS_CLASSES_ALL,
    SLABS_RUN_MAX = SLABS_OBJECT_MAX / RUNS_UNIT, /* longer runs are of no use to one object */
    SLABS_RUN_STEP = 3, /* units; a list for each would cost a shard 900 bytes */
    SLABS_RUN_LISTS = SLABS_RUN_MAX / SLABS_RUN_STEP + 1,
};

/* Shard lock (write), but for `region.base`, which is immutable after init. Lists hold slab numbers, 0 ends them. */
struct slabs {
    struct region region;
    uint64_t used_bytes;     /* in slots that are handed out, rounding included */
    uint64_t resident_bytes; /* in pages that were touched and not given back */
    uint64_t freed_bytes;    /* in slots given back: the next ones touch no page */
    uint64_t outside_bytes; /* that the objects hold on the heap: counted by their owner, entry.c */
    uint32_t slab_count;    /* slabs ever cut from the region, headers' slabs included */
    uint32_t free_slabs;    /* empty slabs whose pages were given back */
    uint32_t spare_slabs;   /* empty slabs that kept their pages */
    uint32_t spare_count;   /* how many of those */
    uint32_t partial[SLABS_CLASSES_ALL]; /* slabs of a class with room; none of SLABS_CLASS_RUNS */
    uint32_t runs[SLABS_RUN_LISTS]; /* its slabs, by their longest run of free units, in steps */
    uint32_t run_slabs;             /* how many */
    bool runs_are_packed; /* since one was last freed, draining found no hole for another */
    uint32_t freed
        [SLABS_CLASSES_ALL]; /* slots of a class given back, over its slabs; of runs, units that are free and
                                          lie in touched pages */
    uint32_t draining;    /* the slab that is being emptied and hands out nothing; 0 for none */
    uint32_t drain_slot;  /* its slots before this one are done */
    uint64_t *drain_free; /* a bit for each of its slots that isn't in use; made at need */
};

/* `reserve_bytes` is rounded down to whole slabs, at most 32 GiB; 0 asks for as much as references reach. */
must_use enum status slabs_init(struct slabs *slabs, size_t reserve_bytes);
void slabs_release(struct slabs *slabs);

/* A slot of at least `size` bytes (1 … SLABS_OBJECT_MAX), uninitialised, aligned to 8 (and to 64 when the slot's size
 * is a multiple of 64). Before it touches a page it takes a somewhat larger slot that is at hand (slabs.c). Returns 0
 * when memory or the reservation is exhausted. O(1), or a look at each larger class in question; past SLABS_SLOT_MAX a
 * look at the lists of runs and at the bits of one slab. */
must_use uint32_t slabs_allocate(struct slabs *slabs, size_t size);
/* The same for an object of SLABS_FIXED_BYTES that its owner can't move: it never lies in a slab that is drained. */
must_use uint32_t slabs_allocate_fixed(struct slabs *slabs);
/* Give back what either gave. O(1); of a run O(runs in its slab). */
void slabs_free(struct slabs *slabs, uint32_t reference);
/* The bytes a slot for `size` has at least: what may be used without moving. */
static inline size_t slabs_slot_bytes(size_t size) {
    size_t step = size <= SLABS_SLOT_MAX ? (size_t)SLABS_UNIT : (size_t)RUNS_UNIT;
    return (size + step - 1) & ~(step - 1);
}

/* Empty slabs that keep their pages for the next need give them back, too. */
void slabs_trim(struct slabs *slabs);

/* Draining. Is there a class whose given back slots would hold all that is in one of its slabs? Of runs that is known
 * only when it is tried: they don't count. */
bool slabs_can_drain(const struct slabs *slabs);
/* An object in the slab that is being drained (a sparse one is chosen when none is), for the caller to move: allocate
 * anew, copy, tell whoever points to it, free. 0 when there is nothing (more) to gain; then no slab is being drained.
 * Cost: O(1), and a look at each slot of a slab when it is chosen. */
uint32_t slabs_drain_next(struct slabs *slabs);
/* The object that slabs_drain_next returned can't be moved: the slab is used like any other again. */
void slabs_drain_stop(struct slabs *slabs);

/* Walking over the objects of one slab, in as many steps as the caller likes. */
struct slabs_walk {
    uint32_t number; /* of the slab */
    uint32_t slot;   /* the next to look at; a unit, of runs */
    uint32_t slot_units;
};
/* A slot that was given back reads so in its second four bytes. No object that may be walked over does. */
static const uint32_t SLABS_FREE_MARK = UINT32_MAX;

/* Objects that never move are not walked over. */
struct slabs_walk slabs_walk_start(const struct slabs *slabs, uint32_t number);
/* The next object in use, having looked at no more than `*looks` slots, which are subtracted from it. 0 when `*looks`
 * is used up or, if it isn't, at the end. What is allocated meanwhile may be met or not; a slab that was emptied and is
 * cut anew has come to its end. */
uint32_t slabs_walk_next(const struct slabs *slabs, struct slabs_walk *walk, uint32_t *looks);

/* The address of a reference; any thread, any time. */
static inline void *slabs_at(const struct slabs *slabs, uint32_t reference) {
    return slabs->region.base + (size_t)reference * SLABS_UNIT;
}
/* The slab that an object lies in: below `slab_count`. */
static inline uint32_t slabs_number(uint32_t reference) {
    return reference / (SLABS_SLAB_BYTES / SLABS_UNIT);
}
/* The reference of an address inside the region. */
static inline uint32_t slabs_reference(const struct slabs *slabs, const void *object) {
    return (uint32_t)((size_t)((const char *)object - slabs->region.base) / SLABS_UNIT);
}

/* Tests and debug builds: walk every slab and free list; aborts when one of slabs.c's invariants is broken. */
void slabs_validate(const struct slabs *slabs);
