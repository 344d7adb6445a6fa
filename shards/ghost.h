/* What was evicted lately, and how often it had been used: two bytes a key, the key itself is not kept.
 *
 * A key that comes back is recognised by 12 bits of its hash and goes on with the use count it left with. Bounded: as
 * many ghosts as half the shard's keys to all of them; in a set of eight the newest pushes out the oldest. One in 500
 * strangers is taken for a ghost, which does no harm. Lock: the shard's, for writing. */
#pragma once

#include <stdint.h>

enum { GHOST_WAYS = 8, GHOST_USES_MAX = 15, GHOST_ABSENT = -1 };

struct ghost {
    uint16_t (*sets)[GHOST_WAYS]; /* newest first; 0: empty. NULL before the first ghost_fit */
    uint32_t set_count;           /* a power of two, or 0 */
};

/* A ghost without memory: nothing is remembered. */
void ghost_init(struct ghost *ghost);
void ghost_release(struct ghost *ghost);
/* Make it as large as a shard of `keys` deserves, keeping what is remembered; when memory is refused it stays as it
 * was. Cheap where nothing is to be done; otherwise O(keys) once in a doubling. */
void ghost_fit(struct ghost *ghost, uint64_t keys);
/* A key was evicted after so many uses (at most GHOST_USES_MAX). */
void ghost_remember(struct ghost *ghost, uint64_t hash, unsigned uses);
/* A key came: its uses when it was evicted, or GHOST_ABSENT. It is forgotten. */
int ghost_recall(struct ghost *ghost, uint64_t hash);
