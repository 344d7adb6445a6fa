/* The keys that a curve follows: one member a key, shared by all its miniature caches.
 *
 * A key that is in one miniature is mostly in the larger ones, too, and was last used in all of them at the same
 * moment. So a member says that once, has a bit for each miniature it is in, and a use count of its own in each:
 * 32 bytes.
 *
 * Members lie in buckets, a sixteenth of them a "ward" (by hash): allkeys-adaptive lets some wards decide by other
 * rules, as it does with shards. One thread, or its owner's lock. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

enum {
    POPULATION_MINIATURES = 7,
    POPULATION_MAX = 32768, /* members */
    POPULATION_WARDS = 16,
    POPULATION_WARD_BUCKETS = 64,
    POPULATION_BUCKETS = POPULATION_WARDS * POPULATION_WARD_BUCKETS,
};

struct member {
    uint64_t hash;     /* of the key, with its database in the lower bits */
    uint32_t stamp;    /* the last use: `access` as in an entry, without the bits that count */
    uint32_t bytes;    /* what it costs in a cache */
    uint32_t deadline; /* population_deadline_ms; 0: none */
    uint32_t next;     /* in its bucket, or among the free; 0 ends */
    uint8_t present;   /* a bit a miniature */
    uint8_t uses[POPULATION_MINIATURES];
};

struct population {
    struct member *members; /* [POPULATION_MAX + 1]; the first is nobody */
    uint32_t *buckets;      /* [POPULATION_BUCKETS]: the first member of each */
    uint32_t free;
    uint32_t count;
    uint32_t deadlines; /* members that have one */
    int64_t begun_ms;
};

/* All the memory at once, a little over a megabyte. STATUS_NO_MEMORY leaves nothing to release. */
must_use enum status population_init(struct population *population, int64_t now_ms);
void population_release(struct population *population);

/* A hash whose bits all count (hashes that are followed begin alike); its bucket, and its ward. */
static inline uint64_t population_spread(uint64_t hash) {
    return hash * UINT64_C(0x9e3779b97f4a7c15);
}
static inline uint32_t population_bucket(uint64_t hash) {
    return (uint32_t)(population_spread(hash) >> 54);
}
static inline uint32_t population_ward(uint64_t hash) {
    return population_bucket(hash) / POPULATION_WARD_BUCKETS;
}

/* NULL when it isn't there. */
struct member *population_find(const struct population *population, uint64_t hash);
/* A new member, in no miniature yet; its hash isn't there. NULL: there are POPULATION_MAX. */
struct member *population_add(struct population *population, uint64_t hash);
/* It must have left all miniatures. */
void population_remove(struct population *population, struct member *member);

/* Unix time, to a 64th of a second; ENTRY_NO_EXPIRY for none. The farthest are some eight years away. */
int64_t population_deadline_ms(const struct population *population, const struct member *member);
void population_set_deadline(struct population *population, struct member *member,
                             int64_t deadline_ms);

static inline struct member *population_at(const struct population *population, uint32_t index) {
    return &population->members[index];
}
static inline uint32_t population_index(const struct population *population,
                                        const struct member *member) {
    return (uint32_t)(member - population->members);
}
/* Tests: every member is in its bucket, the counts are right. */
void population_validate(const struct population *population);
