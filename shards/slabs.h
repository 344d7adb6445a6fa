/* The memory of one shard's small objects: entries and overflow buckets, named by 32-bit references.
 *
 * A shard reserves one range of addresses (region) and cuts it into slabs of 64 KiB; a slab holds slots of one size.
 * A reference counts units of 8 bytes from the start of the region, so 32 bits reach 32 GiB a shard, a bucket holds
 * twelve references in a cache line where pointers would leave room for seven, and turning one into an address is an
 * addition. Slots come in steps of 8 bytes up to 512 and of 64 up to SLABS_OBJECT_MAX, so little is lost to rounding;
 * a general allocator's size classes alone would lose 15 bytes a key.
 *
 * Memory that was once handed out stays mapped, so a stale reference never faults (prefetching without the
 * lock relies on that); an empty slab's pages go back to the system. Threads: all functions that change
 * need the shard's lock for writing; `slabs_at` needs none. Source of the idea: Bonwick's slab allocator
 * (1994); pogocache and the JVM's compressed pointers for small references. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/region.h"
#include "base/status.h"

enum {
    SLABS_UNIT = 8, /* bytes a reference step */
    SLABS_SLAB_BYTES = 64 * 1024,
    SLABS_OBJECT_MAX = 2048, /* bytes the largest slot holds */
    SLABS_CLASSES = 512 / 8 + (SLABS_OBJECT_MAX - 512) / 64,
};

/* Shard lock (write), but for `region.base`, which is immutable after init. Lists hold slab numbers, 0 ends them. */
struct slabs {
    struct region region;
    uint64_t used_bytes;             /* in slots that are handed out, rounding included */
    uint64_t resident_bytes;         /* in pages that were touched and not given back */
    uint32_t slab_count;             /* slabs ever cut from the region, headers' slabs included */
    uint32_t free_slabs;             /* empty slabs whose pages were given back */
    uint32_t spare_slabs;            /* empty slabs that kept their pages */
    uint32_t spare_count;            /* how many of those */
    uint32_t partial[SLABS_CLASSES]; /* slabs of a class with room */
};

/* `reserve_bytes` is rounded down to whole slabs, at most 32 GiB; 0 asks for as much as references reach. */
must_use enum status slabs_init(struct slabs *slabs, size_t reserve_bytes);
void slabs_release(struct slabs *slabs);

/* A slot of at least `size` bytes (1 … SLABS_OBJECT_MAX), uninitialised, aligned to 8 (and to 64 when the slot's size
 * is a multiple of 64). Returns 0 when memory or the reservation is exhausted. O(1). */
must_use uint32_t slabs_allocate(struct slabs *slabs, size_t size);
/* Give back what `slabs_allocate` gave. O(1). */
void slabs_free(struct slabs *slabs, uint32_t reference);
/* The bytes a slot for `size` really has: what may be used without moving, and what it costs. */
size_t slabs_slot_bytes(size_t size);

/* The address of a reference; any thread, any time. */
static inline void *slabs_at(const struct slabs *slabs, uint32_t reference) {
    return slabs->region.base + (size_t)reference * SLABS_UNIT;
}
/* The reference of an address inside the region. */
static inline uint32_t slabs_reference(const struct slabs *slabs, const void *object) {
    return (uint32_t)((size_t)((const char *)object - slabs->region.base) / SLABS_UNIT);
}

/* Tests and debug builds: walk every slab and free list; aborts when one of slabs.c's invariants is broken. */
void slabs_validate(const struct slabs *slabs);
