/* A cache of a given size in small: it keeps, of the keys that a simulation follows, those that a cache of that size
 * would keep, by the policy in force, and no values.
 *
 * What eviction.h and room.c do with a shard is done here with a miniature's part of the population: a hand that
 * goes round its places, a pool of candidates, a ghost of those that went.
 *
 * One thread, or its owner's lock. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/random.h"
#include "eviction.h"
#include "ghost.h"
#include "population.h"

/* How it decides under allkeys-adaptive: as the shards do at the time, or one way always. */
enum miniature_side { MINIATURE_FOLLOWS, MINIATURE_BY_RECENCY, MINIATURE_BY_FREQUENCY };

struct miniature;
/* One goes, by its policy's score; false: nobody may. */
typedef bool miniature_evict_function(struct miniature *miniature, int64_t now_ms);

struct miniature {
    struct population *population;
    const struct eviction_rules *rules;
    uint8_t bit;   /* in its members' `present` */
    uint8_t index; /* of their `uses` */
    enum miniature_side side;
    bool is_full;      /* somebody came for whom others had to go */
    bool is_volatile;  /* only who has a deadline may go */
    bool is_blind;     /* all are the same to its policy */
    bool recalls_uses; /* its policy wants to know from a ghost how often a key was used */
    enum eviction_policy policy;
    miniature_evict_function *evict; /* NULL: its policy evicts nobody */
    uint32_t counts;                 /* bits of `access` that count uses */
    uint64_t keys, used_bytes;
    uint64_t limit_bytes;
    struct population_map here; /* where its members are */
    uint32_t hand;              /* a place */
    bool is_halving;
    uint64_t turnover; /* evictions since counts were last halved */
    /* Candidates: the score, and below it the place; the one with the highest score last. */
    uint64_t pool[EVICTION_POOL];
    uint64_t pool_bar; /* who is to get in has to be above it: the least of a full pool, or 0 */
    uint32_t pool_count;
    bool pool_is_recent; /* its scores are those of allkeys-adaptive's recency */
    struct ghost ghost;
    struct random random;
};

/* Number `index` of a population's miniatures, empty and without room. */
void miniature_init(struct miniature *miniature, struct population *population, uint32_t index,
                    enum miniature_side side, const struct eviction_rules *rules);
void miniature_release(struct miniature *miniature);

static inline bool miniature_has(const struct miniature *miniature, const struct member *member) {
    return (member->present & miniature->bit) != 0;
}

/* A member that is here was used; only where the policy counts uses. The caller sets its stamp, once for all
 * miniatures. */
void miniature_use(struct miniature *miniature, struct member *member, int64_t now_ms);
/* A member that isn't here is about to come (miniature_admit): have the memory fetched that making room for it will
 * look at. To be called for all miniatures before the first one admits. */
void miniature_expect(struct miniature *miniature, const struct member *member);
/* A member comes that isn't here: make room for it, and take it in if there is some. Others may leave the
 * population. */
void miniature_admit(struct miniature *miniature, struct member *member, int64_t now_ms);
/* A member that is here goes, for that reason (MISS_UNKNOWN: it isn't to be followed any more). It stays in the
 * population. */
void miniature_dismiss(struct miniature *miniature, struct member *member, enum miss_reason reason);
/* It has another size from now on. */
void miniature_resize(struct miniature *miniature, const struct member *member, uint32_t bytes);
/* Tests: what it counts is what its members are. */
void miniature_validate(const struct miniature *miniature);
