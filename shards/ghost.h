/* What became of keys that are gone, and about how often those that were evicted or expired had been used: two bytes a
 * key, the key itself is not kept.
 *
 * A key that is asked for again is recognised by 12 bits of its hash: then a miss has a reason, and a key that
 * comes back after its eviction or expiry goes on with the use count it left with. Bounded: as many ghosts as half the
 * keys there are to all of them (256 at least, none before the first key goes); in a set of eight the newest
 * pushes out the oldest. One in 500 strangers is taken for a ghost. Lock: the shard's, for writing;
 * ghost_reason for reading. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { GHOST_WAYS = 8, GHOST_USES_MAX = 13, GHOST_ABSENT = -1, GHOST_CHUNK_SETS = 4096 };

/* Why a key that is asked for isn't there. */
enum miss_reason {
    MISS_UNKNOWN, /* it never was, or so long ago that its ghost is gone, too */
    MISS_EXPIRED,
    MISS_EVICTED,
    MISS_DELETED, /* by a command; FLUSHALL is one */
    MISS_REASONS,
};

typedef uint16_t ghost_set[GHOST_WAYS]; /* newest first; 0: empty */

struct ghost {
    ghost_set *sets;  /* the first, GHOST_CHUNK_SETS at most. NULL until something is remembered */
    ghost_set **more; /* chunks of so many each; NULL: none */
    uint32_t more_count; /* chunks; in an array of the next power of two */
    uint32_t set_count;  /* a power of two, or 0 */
    uint32_t target;     /* as many are wanted */
    uint32_t copied;     /* on its way there: so many of the next set_count are there already */
    uint32_t remembered; /* since its size was last looked at */
    uint64_t keys_peak;  /* the most keys since then */
};

/* One that goes. */
struct departure {
    uint64_t hash;
    uint64_t keys; /* that are there, this one included: by them the ghost is measured */
    enum miss_reason reason;
    unsigned uses; /* of an evicted or expired one; GHOST_USES_MAX or more are the same */
};

/* A ghost without memory: nothing is remembered. */
void ghost_init(struct ghost *ghost);
void ghost_release(struct ghost *ghost);
/* A key goes. O(1), for growing and shrinking go by steps; when memory is refused it is forgotten, or pushes out
 * another. */
void ghost_remember(struct ghost *ghost, const struct departure *departure);
/* Why is a key gone? Changes nothing. */
enum miss_reason ghost_reason(const struct ghost *ghost, uint64_t hash);
/* A key came: its uses when it was evicted or expired, rounded down to what a ghost can tell (0, 1, 2 and 3 are exact),
 * or GHOST_ABSENT. It is forgotten. */
int ghost_recall(struct ghost *ghost, uint64_t hash);
/* How many keys it can remember. */
uint64_t ghost_places(const struct ghost *ghost);
/* What it takes. */
size_t ghost_bytes(const struct ghost *ghost);
