/* The memory limit's rules, and who goes first when it is reached.
 *
 * `struct eviction_rules` is what the configuration says and what memory is used, once for the whole store;
 * `struct eviction` is a shard's part: the hand that goes round its buckets, the candidates it has met, the
 * ghosts of those that went. When to evict, and how much, is room.c's business; here it is decided whom.
 *
 * An entry pays nothing beyond the 32 bits of `access`, which policies read in their own ways:
 *      all policies but the following             32 bits: 1/256ths of a second, of the last use
 *      *-lfu                                      24 bits: seconds, of the last use; 8: logarithmic count, as in Redis
 *      allkeys-adaptive                           28 bits: 1/16ths of a second;      4: uses, up to 15
 * In all of them the upper 24 bits are seconds. Readers change it under the read lock: one relaxed store at
 * most. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/random.h"
#include "entry.h"
#include "ghost.h"

/* In the order of the names, which are Redis's but for the last, ours and recommended. */
enum eviction_policy {
    EVICTION_NONE,
    EVICTION_VOLATILE_LRU,
    EVICTION_VOLATILE_LFU,
    EVICTION_VOLATILE_RANDOM,
    EVICTION_VOLATILE_TTL,
    EVICTION_ALLKEYS_LRU,
    EVICTION_ALLKEYS_LFU,
    EVICTION_ALLKEYS_RANDOM,
    EVICTION_ALLKEYS_ADAPTIVE,
    EVICTION_POLICIES,
};

enum {
    EVICTION_POOL = 16,
    EVICTION_HALVING_TURNS = 8, /* evictions a key between two rounds that halve the counts */
    EVICTION_SAMPLES_MAX = 64,  /* entries looked at for a victim: some microseconds */
};

/* Atomic, relaxed: each is read alone, and a change may be seen a little late. */
struct eviction_rules {
    _Atomic uint32_t policy;
    _Atomic uint32_t samples;        /* entries looked at for a victim, at least; 1 to their max */
    _Atomic uint32_t lfu_log_factor; /* how much harder each further count is to get */
    _Atomic uint32_t lfu_decay_minutes; /* a count is lost for so many without use; 0: never */
    _Atomic int64_t limit_bytes;        /* of memory_besides_clients(); 0: none */
    _Atomic int64_t grace_bytes;        /* allowed beyond it for now: room.h */
    _Atomic int64_t used_bytes;         /* when somebody last looked, less what was freed since */
    _Atomic int64_t hidden_bytes;       /* not in memory_used(), but counted as used: see limit.c */
    _Atomic int64_t leaving_bytes;      /* in memory_used(), but on its way out in the background */
    _Atomic int64_t value_max;          /* bytes; a larger value has no room here at all; 0: none */
    _Atomic int64_t returned_bytes;     /* that evictions gave back to the heap, ever */
    _Atomic int64_t told_bytes;         /* what all shards take, as they last told */
    _Atomic uint32_t drainers;          /* shards that evict to empty a slab: see room.c */
    _Atomic bool prefers_recent;        /* which way allkeys-adaptive leans: duel.h */
    uint32_t shard_count;               /* immutable after init */
};

/* Somebody who may go; it may have gone or moved since. */
struct eviction_candidate {
    uint64_t hash;
    uint64_t score; /* the higher, the sooner it goes; of the moment when it was met */
    uint32_t reference;
    uint32_t database;
};

/* A shard's. Shard lock (write), but for `evicted`. */
struct eviction {
    struct eviction_rules *rules; /* the pointer is immutable after init */
    struct eviction_candidate pool[EVICTION_POOL];
    uint32_t pool_count;
    uint32_t pool_policy;   /* under which it was filled */
    uint32_t hand_database; /* where the hand is */
    uint32_t hand_bucket;
    uint32_t asked_ago; /* victims since expiry was asked for the soonest */
    uint64_t turnover;  /* evictions since counts were last halved */
    bool is_halving;    /* in this round the hand halves the counts it meets */
    struct ghost ghost; /* of all keys that went, for whatever reason */
    struct random random;
    _Atomic uint64_t evicted; /* atomic, relaxed: keys, a statistic */
};

struct database;

void eviction_rules_init(struct eviction_rules *rules, uint32_t shard_count);
/* Look at the memory in use. Any thread. */
void eviction_look(struct eviction_rules *rules);
/* So much was added: count it until somebody looks again. Any thread. */
void eviction_charge(struct eviction_rules *rules, int64_t bytes);
/* A name as in maxmemory-policy. */
const char *eviction_policy_name(enum eviction_policy policy);
/* Does it ever evict? Does it count uses as *-lfu do (OBJECT FREQ)? */
bool eviction_policy_evicts(enum eviction_policy policy);
bool eviction_policy_is_lfu(enum eviction_policy policy);
/* Is it only keys with a deadline that go? */
bool eviction_policy_is_volatile(enum eviction_policy policy);
/* Are all keys the same to it? */
bool eviction_policy_is_blind(enum eviction_policy policy);
/* Which bits of `access` count uses; 0: none. (EVICTION_ALLKEYS_ADAPTIVE's are halved now and then.) */
uint32_t eviction_policy_counts(enum eviction_policy policy);

void eviction_init(struct eviction *eviction, struct eviction_rules *rules, uint32_t index,
                   uint64_t seed);
void eviction_release(struct eviction *eviction);

/* Note a use of `entry` now. Lock: read. */
void eviction_count_use(const struct eviction_rules *rules, struct entry *entry, int64_t now_ms,
                        struct random *random);
static inline void eviction_touch(const struct eviction_rules *rules, struct entry *entry,
                                  int64_t now_ms, struct random *random) {
    uint32_t policy = atomic_load_explicit(&rules->policy, memory_order_relaxed);
    if (__builtin_expect(policy == EVICTION_NONE, 1)) {
        entry_touch(entry, now_ms);
    } else {
        eviction_count_use(rules, entry, now_ms, random);
    }
}
/* A key that is new in the table begins to be counted, from where its ghost left. Its hash is that of
 * database_ghost_hash. Lock: write. */
void eviction_greet(struct eviction *eviction, struct entry *entry, uint64_t ghost_hash,
                    int64_t now_ms);

/* Who goes next among the databases of a shard: in `victim`, by reference, hash and database; it is there.
 * False when the policy finds nobody. Looks at a bounded number of entries. Lock: write. */
bool eviction_choose(struct eviction *eviction, struct database *_Atomic *databases,
                     uint32_t database_count, int64_t now_ms, struct eviction_candidate *victim);
/* An entry moved. Lock: write. */
void eviction_follow(struct eviction *eviction, uint32_t from, uint32_t to);
/* Who was chosen among them is about to go: remember it. Lock: write. */
void eviction_dismiss(struct eviction *eviction, struct database *_Atomic *databases,
                      const struct eviction_candidate *victim);

/* What a ghost remembers of an entry that goes: its uses, where they are counted. */
unsigned eviction_uses(const struct entry *entry);
/* The same rules over an `access` that is no entry's: for miniatures (miniature.h). What becomes of it by a use, by a
 * key's coming (where the policy counts uses, its ghost is recalled), in a round that halves. Pure but for `random`
 * and `ghost`. Scores: eviction_score.h. */
uint32_t eviction_access_used(const struct eviction_rules *rules, uint32_t access, int64_t now_ms,
                              struct random *random);
uint32_t eviction_access_new(const struct eviction_rules *rules, struct ghost *ghost,
                             uint64_t ghost_hash, int64_t now_ms);
uint32_t eviction_access_halved(uint32_t access);

/* OBJECT FREQ: the count under *-lfu, with what it has lost by now. Lock: read. */
uint32_t eviction_frequency(const struct eviction_rules *rules, const struct entry *entry,
                            int64_t now_ms);
