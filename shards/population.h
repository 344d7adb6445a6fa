/* The keys that a simulation follows: one member a key, shared by all its miniature caches.
 *
 * A key that is in one miniature is mostly in the others, too, and was last used in all of them at the same
 * moment. So a member says that once, has a bit for each miniature it is in, and a use count of its own in each:
 * 32 bytes. Members lie in an array, about where their hash says, and stay there. One thread, or its owner's
 * lock. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "entry.h"

enum {
    POPULATION_MINIATURES = 7,
    POPULATION_PLACE_BITS_MAX = 14,
    POPULATION_PLACES_MAX = 1 << POPULATION_PLACE_BITS_MAX,
    POPULATION_WORD = 64, /* places in a word of a map */
    POPULATION_WORDS_MAX = POPULATION_PLACES_MAX / POPULATION_WORD,
    POPULATION_DEADLINE_MS = 16, /* the unit of deadlines */
};

struct member {
    uint64_t hash;     /* of the key, with its database in the lower bits */
    uint32_t stamp;    /* the last use: `access` as in an entry, without the bits that count */
    uint32_t bytes;    /* what it costs in a cache */
    uint32_t deadline; /* population_deadline_ms; 0: none */
    uint16_t next;     /* in its chain: a place plus 1; 0 ends */
    uint8_t present;   /* a bit a miniature */
    uint8_t pooled;    /* those in which it is a candidate */
    uint8_t uses[POPULATION_MINIATURES];
};

/* A bit a place. */
struct population_map {
    uint64_t words[POPULATION_WORDS_MAX];
};

struct population {
    uint32_t place_bits;
    uint32_t word_count;         /* of its places, in the maps */
    uint32_t count_max;          /* members: three quarters of the places */
    struct member *members;      /* a place each */
    uint16_t *chains;            /* a place each: a place plus 1 of the first member */
    struct population_map taken; /* where there are members */
    struct population_map timed; /* where those are that have a deadline */
    uint32_t count;
    uint32_t deadlines; /* members that have one */
    int64_t begun_ms;
};

/* 2^place_bits places, from a word's to the most. All the memory at once, 34 bytes a place. STATUS_NO_MEMORY leaves
 * nothing to release. */
must_use enum status population_init(struct population *population, uint32_t place_bits,
                                     int64_t now_ms);
void population_release(struct population *population);

/* A hash whose bits all count (hashes that are followed begin alike); where its member would lie. */
static inline uint64_t population_spread(uint64_t hash) {
    return hash * UINT64_C(0x9e3779b97f4a7c15);
}
static inline uint32_t population_home(const struct population *population, uint64_t hash) {
    return (uint32_t)(population_spread(hash) >> (64 - population->place_bits));
}

/* NULL when it isn't there. */
struct member *population_find(const struct population *population, uint64_t hash);
/* A new member, in no miniature yet; its hash isn't there. NULL: there are as many as may be. */
struct member *population_add(struct population *population, uint64_t hash);
/* It must have left all miniatures. */
void population_remove(struct population *population, struct member *member);

/* Unix time, to 16 ms (a 62.5th of a second); ENTRY_NO_EXPIRY for none. The farthest are 2.2 years away. */
static inline int64_t population_deadline_ms(const struct population *population,
                                             const struct member *member) {
    if (member->deadline == 0) return ENTRY_NO_EXPIRY;
    return population->begun_ms + (int64_t)member->deadline * POPULATION_DEADLINE_MS;
}
void population_set_deadline(struct population *population, struct member *member,
                             int64_t deadline_ms);

static inline struct member *population_at(const struct population *population, uint32_t place) {
    return &population->members[place];
}
static inline uint32_t population_place(const struct population *population,
                                        const struct member *member) {
    return (uint32_t)(member - population->members);
}

static inline bool population_map_has(const struct population_map *map, uint32_t place) {
    return map->words[place / POPULATION_WORD] >> place % POPULATION_WORD & 1;
}
static inline void population_map_put(struct population_map *map, uint32_t place) {
    map->words[place / POPULATION_WORD] |= UINT64_C(1) << place % POPULATION_WORD;
}
static inline void population_map_take(struct population_map *map, uint32_t place) {
    map->words[place / POPULATION_WORD] &= ~(UINT64_C(1) << place % POPULATION_WORD);
}
/* Tests: every member is in its chain, the counts are right. */
void population_validate(const struct population *population);
