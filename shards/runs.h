/* Objects of any size side by side in one slab: which of its units are in use, and where an object begins.
 *
 * Two bits a unit, which lie in the slab's first units. An object takes the shortest run of free units that holds it.
 * Everything is O(runs in the slab), of which there are a few dozen. Threads: the slab's. */
#pragma once

#include <stdint.h>

enum {
    RUNS_SLAB_BYTES = 64 * 1024,
    RUNS_UNIT = 64, /* bytes */
    RUNS_UNITS = RUNS_SLAB_BYTES / RUNS_UNIT,
    RUNS_WORDS = RUNS_UNITS / 64,
};

struct runs {
    uint64_t used[RUNS_WORDS];   /* a bit for each unit of an object, and of this */
    uint64_t starts[RUNS_WORDS]; /* for the first of each object */
};
enum { RUNS_OWN_UNITS = sizeof(struct runs) / RUNS_UNIT };

/* No objects. */
void runs_init(struct runs *runs);
/* Units of the longest run of free ones. */
uint32_t runs_longest(const struct runs *runs);
/* An object of so many units, at most the longest run: its first unit. */
uint32_t runs_take(struct runs *runs, uint32_t units);
/* The units of the object that begins there. */
uint32_t runs_units(const struct runs *runs, uint32_t unit);
/* The object that begins there is gone: its units. */
uint32_t runs_give(struct runs *runs, uint32_t unit);
/* Where the first object at or after `unit` begins; RUNS_UNITS for none. */
uint32_t runs_next(const struct runs *runs, uint32_t unit);
/* Units of all objects. */
uint32_t runs_used(const struct runs *runs);
