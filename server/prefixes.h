/* Who asks for what, by the beginning of its name: samples of requests, grouped. Pure; any thread. */
#pragma once

#include <stdint.h>

#include "samples.h"

/* How a prefix ends: with the delimiter, at its `depth`-th place (at least 1), or the last one where there are
 * fewer. A name without it has the empty prefix. */
struct prefixes_cut {
    struct bytes delimiter; /* not empty */
    uint32_t depth;
};

struct prefix {
    struct bytes name; /* in the samples */
    double requests;   /* as far as its samples stand for them */
    double reads, writes, hits, misses, bytes;
    uint32_t samples;
};

/* Group `samples`, whose order and names change, into `prefixes` (room for `count`), most requests first.
 * Returns how many there are. O(count log count). */
uint32_t prefixes_group(struct sample *samples, uint32_t count, const struct prefixes_cut *cut,
                        struct prefix *prefixes);
