/* Sets of eight 16-bit ghosts: [12 bits of the hash, never 0 | 4 bits of fate], the newest first.
 *
 * The fate says how a key went and one of a few use counts, in a table: eight levels for the evicted, seven for the
 * expired, one for the deleted. So one memory serves the reasons of misses and the policy that wants to know old
 * friends.
 * Counts are exact where it matters: hardly anybody is evicted with more than three. That the expired keep theirs is
 * what makes a hot key with a deadline hot again when it is filled anew (trace ttl: see eviction.c).
 *
 * A set is a first-in-first-out queue: 16 bytes, moved at once. A key that goes a second time comes to the front
 * and leaves no double behind, so nothing need be done when it comes back in between: a key that is there is never
 * looked up here, and setting one costs nothing. A key is still known after an eighth as many others went as there are
 * places but for a chance of 1 in 100,000, after half as many with 95 %, after as many with 45 %. Remembering takes 130
 * instructions (a DEL takes 1,150), a miss 40 more than it did (870), a hit and a SET none.
 *
 * Size. It follows the largest number of keys that were there while as many went as it has places: so where all
 * keys expire at once, or are deleted one by one, it isn't given up with the keys but when other things have
 * happened. Which set: hash bits from 8 up (below them lie those that number buckets in small
 * tables, above them the table's tag), masked by the count of sets. So when the count doubles, what is in a set
 * belongs into one of two, and nobody can say which, for the other bits are gone: it is copied into both, and
 * half of the copies wait in vain to be pushed out. When the count is halved, one of each two is dropped. What
 * lost: a second table for reasons alone (twice the memory, and evictions written to both).
 *
 * Growing. Up to a chunk (64 KiB) at once. Beyond, by STEP_SETS a departure, or else one that goes would hold its shard's
 * lock for the copying of megabytes:
 *
 *      sets   ├──────── set_count ────────┼── copied ──┤                     a hash's number is masked by twice the
 *             └── these have copies there ┘            └─ not yet: what       count; past the copies its set is the
 *                                                         they would be       one it would be copied from
 *
 * Linear hashing (Litwin 1980), whose split pointer this is. Chunks that a smaller one doesn't need go one a departure.
 *
 * Source of the idea: the ghost queues of ARC (Megiddo, Modha 2003) and S3-FIFO (Yang et al. 2023); that a ghost keeps
 * its count comes from TinyLFU (Einziger, Friedman, Manes 2017), whose sketch remembers more keys, less well. */
#include "ghost.h"

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/memory.h"

enum {
    SETS_MIN = 32,
    STEP_SETS = 4, /* 32 places for the one that is filled meanwhile */
    FATE_BITS = 4,
    FATE_MASK = 0xf,
    FATES = FATE_MASK + 1,
    FATE_EXPIRED = 8, /* the first */
    FINGERPRINT_MASK = 0xfff,
    SET_SHIFT = 8,
    FINGERPRINT_SHIFT = 44,
};
/* By reason, then uses. */
static const struct fate {
    enum miss_reason reason;
    uint8_t uses;
} fates[FATES] = {
    {MISS_EVICTED, 0},
    {MISS_EVICTED, 1},
    {MISS_EVICTED, 2},
    {MISS_EVICTED, 3},
    {MISS_EVICTED, 4},
    {MISS_EVICTED, 6},
    {MISS_EVICTED, 9},
    {MISS_EVICTED, GHOST_USES_MAX},
    {MISS_EXPIRED, 0},
    {MISS_EXPIRED, 1},
    {MISS_EXPIRED, 2},
    {MISS_EXPIRED, 3},
    {MISS_EXPIRED, 5},
    {MISS_EXPIRED, 8},
    {MISS_EXPIRED, GHOST_USES_MAX},
    {MISS_DELETED, 0},
};

static uint16_t fingerprint_of(uint64_t hash) {
    uint16_t fingerprint = (uint16_t)(hash >> FINGERPRINT_SHIFT & FINGERPRINT_MASK);
    return fingerprint != 0 ? fingerprint : 1;
}

static uint16_t *set_at(const struct ghost *ghost, uint32_t number) {
    if (number < GHOST_CHUNK_SETS) return ghost->sets[number];
    return ghost->more[number / GHOST_CHUNK_SETS - 1][number % GHOST_CHUNK_SETS];
}

static uint16_t *set_of(const struct ghost *ghost, uint64_t hash) {
    uint32_t number = (uint32_t)(hash >> SET_SHIFT) & (2 * ghost->set_count - 1);
    if (number >= ghost->set_count + ghost->copied) number -= ghost->set_count;
    return set_at(ghost, number);
}

/* The last one of this reason with no more uses. Most go with none or few: look from its first. */
static uint16_t fate_of(const struct departure *departure) {
    if (departure->reason == MISS_DELETED) return FATES - 1;
    uint16_t fate = departure->reason == MISS_EVICTED ? 0 : FATE_EXPIRED;
    while (fates[fate + 1].reason == departure->reason && fates[fate + 1].uses <= departure->uses) {
        fate++;
    }
    return fate;
}

/* Where in its set a hash is; GHOST_WAYS when it isn't. */
static size_t find(const uint16_t *set, uint16_t fingerprint) {
    typedef uint16_t ways __attribute__((vector_size(GHOST_WAYS * sizeof(uint16_t))));
    ways ghosts;
    memcpy(&ghosts, set, sizeof(ghosts));
    ways differences = ghosts >> FATE_BITS ^ fingerprint; /* all compared at once */
    uint64_t equal[2];
    ways is_equal = (ways)(differences == 0);
    memcpy(equal, &is_equal, sizeof(equal));
    if ((equal[0] | equal[1]) == 0) return GHOST_WAYS;
    size_t at = 0;
    while (set[at] >> FATE_BITS != fingerprint) {
        at++;
    }
    return at;
}

void ghost_init(struct ghost *ghost) {
    *ghost = (struct ghost){0};
}

static void drop_chunk(struct ghost *ghost) {
    memory_free(ghost->more[--ghost->more_count]);
    if (ghost->more_count != 0) return;
    memory_free(ghost->more);
    ghost->more = NULL;
}

void ghost_release(struct ghost *ghost) {
    while (ghost->more_count != 0) {
        drop_chunk(ghost);
    }
    memory_free(ghost->sets);
    ghost_init(ghost);
}

/* ---- Size ------------------------------------------------------------------------------------ */

/* The largest power of two of sets that stays within two bytes a key. */
static uint32_t sets_for(uint64_t keys) {
    uint64_t sets = keys / GHOST_WAYS;
    if (sets < SETS_MIN) return SETS_MIN;
    if (sets > UINT32_MAX / 2) sets = UINT32_MAX / 2;
    return UINT32_C(1) << (31 - __builtin_clz((uint32_t)sets));
}

/* Sets of the first chunk: all there are, before or after. */
static void resize_first(struct ghost *ghost, uint32_t count) {
    ghost_set *sets = memory_allocate_zeroed(count * sizeof(*sets));
    if (sets == NULL) return;
    for (uint32_t i = 0; ghost->set_count != 0 && i < count; i++) {
        memcpy(sets[i], ghost->sets[i & (ghost->set_count - 1)], sizeof(sets[i]));
    }
    memory_free(ghost->sets);
    ghost->sets = sets;
    ghost->set_count = count;
}

/* The array of chunks doubles when its count is a power of two. */
static bool add_chunk(struct ghost *ghost) {
    uint32_t count = ghost->more_count;
    if ((count & (count - 1)) == 0) {
        ghost_set **more =
            memory_resize(ghost->more, (count == 0 ? 1 : 2 * (size_t)count) * sizeof(*more));
        if (more == NULL) return false;
        ghost->more = more;
    }
    ghost_set *chunk = memory_allocate(GHOST_CHUNK_SETS * sizeof(*chunk));
    if (chunk != NULL) {
        ghost->more[ghost->more_count++] = chunk;
    } else if (count == 0) {
        memory_free(ghost->more);
        ghost->more = NULL;
    }
    return chunk != NULL;
}

static void grow(struct ghost *ghost) {
    if (ghost->set_count < GHOST_CHUNK_SETS) {
        resize_first(ghost, ghost->target < GHOST_CHUNK_SETS ? ghost->target : GHOST_CHUNK_SETS);
        return;
    }
    for (int step = 0; step < STEP_SETS && ghost->set_count < ghost->target; step++) {
        uint32_t number = ghost->set_count + ghost->copied;
        if (number / GHOST_CHUNK_SETS > ghost->more_count && !add_chunk(ghost)) return;
        memcpy(set_at(ghost, number), set_at(ghost, ghost->copied), sizeof(ghost_set));
        if (++ghost->copied < ghost->set_count) continue;
        ghost->set_count *= 2;
        ghost->copied = 0;
    }
}

static void shrink(struct ghost *ghost) {
    ghost->copied = 0;
    if (ghost->target < GHOST_CHUNK_SETS) {
        resize_first(ghost, ghost->target);
    } else {
        ghost->set_count = ghost->target;
    }
}

/* Chunks behind those that are in use. */
static bool has_spare(const struct ghost *ghost) {
    uint32_t used = ghost->set_count + ghost->copied;
    return ghost->more_count > (used - (used != 0)) / GHOST_CHUNK_SETS;
}

/* Grow, and shrink when as many keys went as there are places. */
static void fit(struct ghost *ghost, uint64_t keys) {
    bool is_over = ghost->remembered++ >= ghost_places(ghost);
    if (keys > ghost->keys_peak) ghost->keys_peak = keys;
    if (is_over || ghost->keys_peak == keys) {
        uint32_t count = sets_for(ghost->keys_peak);
        if (is_over || count > ghost->target) ghost->target = count;
    }
    if (ghost->set_count < ghost->target) {
        grow(ghost);
    } else if (ghost->set_count > ghost->target) {
        shrink(ghost);
    } else if (has_spare(ghost)) {
        drop_chunk(ghost);
    }
    if (!is_over) return;
    ghost->remembered = 0;
    ghost->keys_peak = keys;
}

uint64_t ghost_places(const struct ghost *ghost) {
    return (uint64_t)ghost->set_count * GHOST_WAYS;
}

size_t ghost_bytes(const struct ghost *ghost) {
    size_t chunk = ghost->more_count != 0 ? memory_usable(ghost->more[0]) : 0;
    return memory_usable(ghost->sets) + memory_usable(ghost->more) + ghost->more_count * chunk;
}

/* ---- Remembering ----------------------------------------------------------------------------- */

void ghost_remember(struct ghost *ghost, const struct departure *departure) {
    fit(ghost, departure->keys);
    if (ghost->set_count == 0) return;
    uint16_t *set = set_of(ghost, departure->hash);
    uint16_t fingerprint = fingerprint_of(departure->hash);
    size_t at = find(set, fingerprint);
    if (at == GHOST_WAYS) {
        memmove(set + 1, set,
                (GHOST_WAYS - 1) * sizeof(*set)); /* two instructions, of known size */
    } else {
        memmove(set + 1, set, at * sizeof(*set));
    }
    set[0] = (uint16_t)(fingerprint << FATE_BITS | fate_of(departure));
}

enum miss_reason ghost_reason(const struct ghost *ghost, uint64_t hash) {
    if (ghost->set_count == 0) return MISS_UNKNOWN;
    const uint16_t *set = set_of(ghost, hash);
    size_t at = find(set, fingerprint_of(hash));
    if (at == GHOST_WAYS) return MISS_UNKNOWN;
    return fates[set[at] & FATE_MASK].reason;
}

int ghost_recall(struct ghost *ghost, uint64_t hash) {
    if (ghost->set_count == 0) return GHOST_ABSENT;
    uint16_t *set = set_of(ghost, hash);
    size_t at = find(set, fingerprint_of(hash));
    if (at == GHOST_WAYS) return GHOST_ABSENT;
    unsigned fate = set[at] & FATE_MASK;
    memmove(set + at, set + at + 1, (GHOST_WAYS - 1 - at) * sizeof(*set));
    set[GHOST_WAYS - 1] = 0;
    return fates[fate].reason != MISS_DELETED ? fates[fate].uses : GHOST_ABSENT;
}
