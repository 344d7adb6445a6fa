/* A slab as such: its header, its place in the region, the lists it can be in, its pages. For slabs.c, which cuts slabs
 * into slots of one size, and slab_runs.c, which puts objects of any size side by side; nobody else includes this.
 * Shard lock (write) throughout. */
#pragma once

#include <assert.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/memory.h"
#include "slabs.h"

#if defined(__has_feature)
#define SLABS_HAS_FEATURE(name) __has_feature(name)
#else
#define SLABS_HAS_FEATURE(name) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || SLABS_HAS_FEATURE(address_sanitizer)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size)   ((void)(address), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#endif

enum {
    SLAB_UNITS = SLABS_SLAB_BYTES / SLABS_UNIT,
    SLAB_NO_CLASS = 255,       /* of a free or spare slab */
    SLAB_PAGE_BYTES = 4096,    /* what touched memory is counted in, also where pages are larger */
    SLAB_SPARES_MAX = 1,       /* empty slabs that keep their pages, a shard */
    SLAB_GROUP = 2048,         /* the first of so many holds the headers of the others */
    SLAB_DRAIN_LOOKS_MAX = 32, /* at slabs, for the sparsest of a class */
};

struct slab {
    alignas(32) uint32_t next; /* in the list it is in */
    uint32_t previous;         /* in a partial list */
    uint32_t free_slot;        /* head of the chain of freed slots, 0 for none */
    uint16_t fresh;            /* slots handed out at least once */
    uint16_t used;             /* slots in use; units, of runs */
    uint16_t
        capacity; /* slots in all; of runs, the units of the longest free one, at most SLABS_RUN_MAX */
    uint8_t class;         /* or SLAB_NO_CLASS */
    uint8_t touched_pages; /* of its 16 */
    uint32_t slot_units;   /* 0: runs */
};
static_assert(sizeof(struct slab) * SLAB_GROUP == SLABS_SLAB_BYTES,
              "a group's headers fill one slab");
static_assert((int)SLABS_CLASSES_ALL < (int)SLAB_NO_CLASS, "a class fits its byte");

static inline struct slab *slab_at(const struct slabs *slabs, uint32_t number) {
    char *headers = slabs->region.base + (size_t)(number & ~(SLAB_GROUP - 1u)) * SLABS_SLAB_BYTES;
    return (struct slab *)(void *)headers + (number & (SLAB_GROUP - 1u));
}

static inline char *slab_memory(const struct slabs *slabs, uint32_t number) {
    return slabs->region.base + (size_t)number * SLABS_SLAB_BYTES;
}

/* Pages were touched, or given back: memory in use changed by so many bytes. */
static inline void slab_account(struct slabs *slabs, int64_t bytes) {
    slabs->resident_bytes = (uint64_t)((int64_t)slabs->resident_bytes + bytes);
    memory_account(bytes);
}
/* Its bytes up to `end` are to be used. */
static inline void slab_touch(struct slabs *slabs, struct slab *slab, size_t end) {
    uint32_t pages = (uint32_t)((end + SLAB_PAGE_BYTES - 1) / SLAB_PAGE_BYTES);
    if (pages <= slab->touched_pages) return;
    slab_account(slabs, (int64_t)(pages - slab->touched_pages) * SLAB_PAGE_BYTES);
    slab->touched_pages = (uint8_t)pages;
}

/* The list that a slab with room belongs into. */
static inline uint32_t *slab_list(struct slabs *slabs, const struct slab *slab) {
    if (slab->class == SLABS_CLASS_RUNS) return &slabs->runs[slab->capacity / SLABS_RUN_STEP];
    return &slabs->partial[slab->class];
}
static inline void slab_list_push(struct slabs *slabs, uint32_t number, struct slab *slab) {
    uint32_t *head = slab_list(slabs, slab);
    slab->previous = 0;
    slab->next = *head;
    if (*head != 0) slab_at(slabs, *head)->previous = number;
    *head = number;
}

static inline void slab_list_remove(struct slabs *slabs, struct slab *slab) {
    if (slab->previous != 0) {
        slab_at(slabs, slab->previous)->next = slab->next;
    } else {
        *slab_list(slabs, slab) = slab->next;
    }
    if (slab->next != 0) slab_at(slabs, slab->next)->previous = slab->previous;
}

/* An empty slab, in no list: a spare one, else one without pages, else a new one. 0 when memory is refused. */
must_use uint32_t slab_find(struct slabs *slabs);
/* It is empty and in no list: it belongs to no class, and keeps its pages only if few others do. */
void slab_retire(struct slabs *slabs, uint32_t number, struct slab *slab);
/* Does the page of headers that it is the first of count as its own? */
bool slab_starts_header_page(uint32_t number);
/* Whether the counted allocator would say yes to a slot: so that tests which refuse its allocations also refuse ours.
 * Release builds ask for each new slab only, which no measurement can see. */
#ifdef NDEBUG
static inline bool slab_grants_slot(void) {
    return true;
}
#else
bool slab_grants_slot(void);
#endif
/* Checks the lists of empty slabs; how many there are. */
uint32_t slab_validate_empty(const struct slabs *slabs);
