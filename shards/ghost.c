/* Sets of eight 16-bit ghosts: [12 bits of the hash, never 0 | 4 bits of uses], the newest first.
 *
 * A set is a first-in-first-out queue: 16 bytes, moved at once. Which set: hash bits from 8 up (below them lie
 * those that number buckets in small tables, above them the table's tag), masked by the count of sets. So when
 * the count doubles, what is in a set belongs into one of two, and nobody can say which, for the other bits are
 * gone: it is copied into both, and half of the copies wait in vain to be pushed out. When the count is halved,
 * one of each two is dropped. Source of the idea: the ghost queues of ARC (Megiddo, Modha 2003) and S3-FIFO
 * (Yang et al. 2023); that a ghost keeps its count comes from TinyLFU (Einziger, Friedman, Manes 2017), whose
 * sketch remembers more keys, less well. */
#include "ghost.h"

#include <stddef.h>
#include <string.h>

#include "base/memory.h"

enum { USES_BITS = 4, FINGERPRINT_MASK = 0xfff, SET_SHIFT = 8, FINGERPRINT_SHIFT = 44 };

static uint16_t fingerprint_of(uint64_t hash) {
    uint16_t fingerprint = (uint16_t)(hash >> FINGERPRINT_SHIFT & FINGERPRINT_MASK);
    return fingerprint != 0 ? fingerprint : 1;
}

static uint16_t *set_of(const struct ghost *ghost, uint64_t hash) {
    return ghost->sets[(uint32_t)(hash >> SET_SHIFT) & (ghost->set_count - 1)];
}

void ghost_init(struct ghost *ghost) {
    *ghost = (struct ghost){0};
}

void ghost_release(struct ghost *ghost) {
    memory_free(ghost->sets);
    ghost_init(ghost);
}

/* The largest power of two of sets that stays within two bytes a key. */
static uint32_t sets_for(uint64_t keys) {
    uint64_t sets = keys / GHOST_WAYS;
    if (sets == 0) return 1;
    if (sets > UINT32_MAX / 2) sets = UINT32_MAX / 2;
    return UINT32_C(1) << (31 - __builtin_clz((uint32_t)sets));
}

void ghost_fit(struct ghost *ghost, uint64_t keys) {
    uint32_t count = sets_for(keys);
    if (count == ghost->set_count) return;
    uint16_t(*sets)[GHOST_WAYS] = memory_allocate_zeroed(count * sizeof(*sets));
    if (sets == NULL) return;
    for (uint32_t i = 0; ghost->set_count != 0 && i < count; i++) {
        memcpy(sets[i], ghost->sets[i & (ghost->set_count - 1)], sizeof(sets[i]));
    }
    memory_free(ghost->sets);
    *ghost = (struct ghost){.sets = sets, .set_count = count};
}

void ghost_remember(struct ghost *ghost, uint64_t hash, unsigned uses) {
    if (ghost->set_count == 0) return;
    uint16_t *set = set_of(ghost, hash);
    memmove(set + 1, set, (GHOST_WAYS - 1) * sizeof(*set));
    if (uses > GHOST_USES_MAX) uses = GHOST_USES_MAX;
    set[0] = (uint16_t)(fingerprint_of(hash) << USES_BITS | (uint16_t)uses);
}

int ghost_recall(struct ghost *ghost, uint64_t hash) {
    if (ghost->set_count == 0) return GHOST_ABSENT;
    uint16_t *set = set_of(ghost, hash);
    uint16_t fingerprint = fingerprint_of(hash);
    for (size_t i = 0; i < GHOST_WAYS; i++) {
        if (set[i] >> USES_BITS != fingerprint) continue;
        int uses = set[i] & GHOST_USES_MAX;
        memmove(set + i, set + i + 1, (GHOST_WAYS - 1 - i) * sizeof(*set));
        set[GHOST_WAYS - 1] = 0;
        return uses;
    }
    return GHOST_ABSENT;
}
