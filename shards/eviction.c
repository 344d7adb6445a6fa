/* A hand, a pool, and a row a policy.
 *
 * The hand goes round the buckets of a shard's tables, which is to say through its keys in an order that has
 * nothing to do with their age. For each victim it meets `maxmemory-samples` entries or more, whole buckets at
 * a time (a bucket costs one cache miss, and the entries of the next are asked for meanwhile); those that score
 * highest stay in a pool of sixteen, as in Redis, and the best of the pool goes. So a victim is picked among
 * many more than were looked at for it, and, other than with random samples, no key is overlooked for longer
 * than a round. Candidates are named by hash and reference, and looked up again before they go: whatever
 * happened to them in between, nothing points astray.
 *
 * allkeys-lru, -lfu, -random and volatile-* mean what they mean in Redis. volatile-ttl also has the pool meet the
 * slab in which the next key is due (expiry.h), once in ASK_TURNS victims since that is a look at some hundred
 * entries. Where keys with a deadline are so rare that the hand finds none in SWEEP_BUCKETS_MAX buckets, the
 * other volatile policies do so, too.
 *
 * allkeys-adaptive. A shard that decides by frequency evicts whoever is worth least for the memory it takes:
 *
 *      worth  =  (uses + 1)  x  (3 + log2 of the time since the last use)  x  (1 + 200 / bytes)
 *
 * where time is in 1/256ths of a second. Of equals the one that came or was used last goes: those that have been there
 * long with as few uses are worth more than a stranger, which is what keeps scans and loops from emptying the cache.
 * The logarithm keeps that a matter of degree, so that a small stranger doesn't drive out a larger old one either. The
 * last factor is what an entry's place would bring others: small ones count for several times a large one's, large ones
 * are alike, so hits of requests are gained at little cost in hits of bytes. It is read off the entry's first line;
 * blobs aren't looked at.
 *
 * Uses are counted up to 15, halved in one round of the hand after EVICTION_HALVING_TURNS evictions a key, and kept by
 * a ghost (ghost.h, up to 13) when the key is evicted or expires, so that one that comes back again and again gets in. Where
 * what is asked for changes altogether, recency decides better: all shards decide by it while it would hit more (duel.h).
 * Both read the same 32 bits, so changing sides costs nothing.
 *
 * Hit ratio in percent, a tenth of the keys fit, after warming up; exact LRU, SIEVE and S3-FIFO are given the
 * same number of keys. (A simulation of 20,000 keys; `sherd-bench hits` replays such traces through the shards
 * themselves.)
 *
 *                      Zipf 0.7   0.99    1.2   0.99 and scans   shifting 0.99   loop of 1.1   Zipf and loop
 *     by frequency         45.0   78.8   93.8             57.4            68.1          87.0            58.8
 *     exact LRU            35.1   73.9   92.9             49.0            70.8           0.0            31.1
 *     Redis's LFU          41.1   77.1   93.6             56.2            67.7          84.9            51.3
 *     SIEVE                42.6   77.9   93.7             56.9            67.2           0.0            36.0
 *     S3-FIFO              44.0   78.3   93.6             55.9            67.8          83.1            36.0
 *
 * What lost: evicting the oldest among equals (loop: 21); no ghost (Zipf 0.7: 42.0); halving after 5 evictions
 * a key instead of 10 (Zipf 0.7: 44.0, shifting no better); aging by idle time against the expected gap (no
 * better anywhere).
 *
 * Sizes, mixed from 64 B to 8 KiB, 56 MB of 300,000 keys, in percent of requests / of bytes (`sherd-bench trace
 * --mixed-sizes --limit-bytes 56000000`, means of two or three seeds, when values past 2 KiB were the allocator's):
 *
 *                                      Zipf 0.7        0.99            0.99 and scans   ttl
 *     uses, then the newest            39.7 / 38.7     76.1 / 71.8     58.8 / 52.9      70.4 / 65.1
 *     worth                            45.1 / 37.7     78.5 / 71.9     61.4 / 53.5      72.5 / 66.0
 *     (uses + 1) x (1 + 200 / bytes)   42.8 / 35.9     77.9 / 70.9     60.2 / 52.1      73.2 / 66.4
 *     ... x (1 + 500 / bytes)          46.2 / 35.5     78.7 / 71.0     60.6 / 51.7      73.2 / 66.3
 *     (uses + 1) / bytes               49.0 / 28.9     79.8 / 69.8     60.7 / 48.5      73.3 / 66.1
 *
 * With values of one size worth decides as uses and the newest did (Zipf 0.7: 43.2 instead of 43.3, others even, loop
 * 96.6 instead of 94.9). Also without gain: more ghosts (twice and four times as many: Zipf 0.7 +0.3 and +0.6, a loop
 * -3 and -11, for their memory), weighing sizes or uses where recency decides.
 *
 * Sources: Redis's evict.c (Salvatore Sanfilippo: the pool, the logarithmic counter); TinyLFU (Einziger,
 * Friedman, Manes 2017: a memory of frequency beyond the cache, halving); frequency over size:
 * GreedyDual-Size-Frequency (Cherkasova 1998). */
#include "eviction.h"

#include <stddef.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/memory.h"
#include "database.h"
#include "eviction_score.h"

enum {
    SWEEP_BUCKETS_MAX = 32, /* buckets the hand passes for one victim */
    ASK_TURNS = EVICTION_POOL / 2,
    HIDDEN_DIVISOR = 4, /* hidden bytes count up to this part of the limit */
    SAMPLES_DEFAULT = 5,
    LFU_BEGIN = 5, /* a new key's logarithmic count, so that it isn't the first to go */
    LFU_LOG_FACTOR_DEFAULT = 10,
};

static uint32_t load(const _Atomic uint32_t *field) {
    return atomic_load_explicit(field, memory_order_relaxed);
}

/* The lock is held, for writing. */
static struct database *database_at(struct database *_Atomic *databases, uint32_t index) {
    return atomic_load_explicit(&databases[index], memory_order_relaxed);
}

/* ---- Reading and writing `access` ------------------------------------------------------------ */

static uint32_t use_recent(const struct eviction_rules *rules, uint32_t access, int64_t now_ms,
                           struct random *random) {
    (void)rules, (void)access, (void)random;
    return eviction_stamp(now_ms);
}

/* Redis's logarithmic count: the n-th further one comes with a chance of 1 in n times the factor. */
static uint32_t use_logarithmic(const struct eviction_rules *rules, uint32_t access, int64_t now_ms,
                                struct random *random) {
    uint32_t count = eviction_decayed_count(rules, access, now_ms);
    uint64_t above = count > LFU_BEGIN ? count - LFU_BEGIN : 0;
    uint64_t odds = above * load(&rules->lfu_log_factor) + 1;
    if (count < EVICTION_LFU_MAX && random_below(random, odds) == 0) count++;
    return (eviction_stamp(now_ms) & ~UINT32_C(0xff)) | count;
}

static uint32_t use_counted(const struct eviction_rules *rules, uint32_t access, int64_t now_ms,
                            struct random *random) {
    (void)rules, (void)random;
    uint32_t uses = access & EVICTION_USES_MASK;
    if (uses < EVICTION_USES_MAX) uses++;
    return (eviction_stamp(now_ms) & ~(uint32_t)EVICTION_USES_MASK) | uses;
}

/* What an entry takes, read off its first bytes: a blob, which lies elsewhere, counts as one of
 * EVICTION_LARGE_BYTES. */
static uint32_t bytes_of_entry(const struct entry *entry) {
    if (entry_encoding(entry) == ENTRY_BLOB) return EVICTION_LARGE_BYTES;
    return (uint32_t)sizeof(*entry) + entry->key_size + entry->value_size;
}

static bool leans_to_recency(const struct eviction *eviction) {
    return atomic_load_explicit(&eviction->rules->prefers_recent, memory_order_relaxed);
}

/* ---- Policies -------------------------------------------------------------------------------- */

static const struct policy {
    const char *name;
    bool evicts, is_volatile, is_lfu, counts_uses;
    /* What `access` becomes by a use. */
    uint32_t (*use)(const struct eviction_rules *rules, uint32_t access, int64_t now_ms,
                    struct random *random);
    eviction_score_function *score; /* NULL: all the same */
    bool asks_expiry;               /* it may know of somebody better */
} policies[EVICTION_POLICIES] = {
    [EVICTION_NONE] = {.name = "noeviction", .use = use_recent},
    [EVICTION_VOLATILE_LRU] = {.name = "volatile-lru",
                               .evicts = true,
                               .is_volatile = true,
                               .use = use_recent,
                               .score = eviction_score_recent},
    [EVICTION_VOLATILE_LFU] = {.name = "volatile-lfu",
                               .evicts = true,
                               .is_volatile = true,
                               .is_lfu = true,
                               .use = use_logarithmic,
                               .score = eviction_score_logarithmic},
    [EVICTION_VOLATILE_RANDOM] = {.name = "volatile-random",
                                  .evicts = true,
                                  .is_volatile = true,
                                  .use = use_recent},
    [EVICTION_VOLATILE_TTL] = {.name = "volatile-ttl",
                               .evicts = true,
                               .is_volatile = true,
                               .use = use_recent,
                               .score = eviction_score_soonest,
                               .asks_expiry = true},
    [EVICTION_ALLKEYS_LRU] = {.name = "allkeys-lru",
                              .evicts = true,
                              .use = use_recent,
                              .score = eviction_score_recent},
    [EVICTION_ALLKEYS_LFU] = {.name = "allkeys-lfu",
                              .evicts = true,
                              .is_lfu = true,
                              .use = use_logarithmic,
                              .score = eviction_score_logarithmic},
    [EVICTION_ALLKEYS_RANDOM] = {.name = "allkeys-random", .evicts = true, .use = use_recent},
    [EVICTION_ALLKEYS_ADAPTIVE] = {.name = "allkeys-adaptive",
                                   .evicts = true,
                                   .counts_uses = true,
                                   .use = use_counted,
                                   .score = eviction_score_adaptive},
};

static const struct policy *policy_of(const struct eviction_rules *rules) {
    return &policies[load(&rules->policy)];
}

const char *eviction_policy_name(enum eviction_policy policy) {
    return policies[policy].name;
}
bool eviction_policy_evicts(enum eviction_policy policy) {
    return policies[policy].evicts;
}
bool eviction_policy_is_lfu(enum eviction_policy policy) {
    return policies[policy].is_lfu;
}
bool eviction_policy_is_volatile(enum eviction_policy policy) {
    return policies[policy].is_volatile;
}

bool eviction_policy_is_blind(enum eviction_policy policy) {
    return policies[policy].score == NULL;
}
uint32_t eviction_policy_counts(enum eviction_policy policy) {
    if (policies[policy].is_lfu) return EVICTION_LFU_MAX;
    return policies[policy].counts_uses ? EVICTION_USES_MASK : 0;
}

/* ---- Lifetime -------------------------------------------------------------------------------- */

void eviction_rules_init(struct eviction_rules *rules, uint32_t shard_count) {
    *rules = (struct eviction_rules){
        .samples = SAMPLES_DEFAULT,
        .lfu_log_factor = LFU_LOG_FACTOR_DEFAULT,
        .lfu_decay_minutes = 1,
        .shard_count = shard_count,
    };
}

void eviction_look(struct eviction_rules *rules) {
    int64_t hidden = atomic_load_explicit(&rules->hidden_bytes, memory_order_relaxed);
    int64_t most = atomic_load_explicit(&rules->limit_bytes, memory_order_relaxed) / HIDDEN_DIVISOR;
    if (hidden > most) hidden = most;
    int64_t leaving = atomic_load_explicit(&rules->leaving_bytes, memory_order_relaxed);
    int64_t used = (int64_t)memory_besides_clients() - leaving + hidden;
    atomic_store_explicit(&rules->used_bytes, used, memory_order_relaxed);
}

void eviction_charge(struct eviction_rules *rules, int64_t bytes) {
    if (atomic_load_explicit(&rules->limit_bytes, memory_order_relaxed) == 0) return;
    atomic_fetch_add_explicit(&rules->used_bytes, bytes, memory_order_relaxed);
}

void eviction_init(struct eviction *eviction, struct eviction_rules *rules, uint32_t index,
                   uint64_t seed) {
    *eviction = (struct eviction){.rules = rules};
    ghost_init(&eviction->ghost);
    random_init(&eviction->random, seed + index);
}

void eviction_release(struct eviction *eviction) {
    ghost_release(&eviction->ghost);
}

/* ---- Uses ------------------------------------------------------------------------------------ */

void eviction_count_use(const struct eviction_rules *rules, struct entry *entry, int64_t now_ms,
                        struct random *random) {
    uint32_t access = atomic_load_explicit(&entry->access, memory_order_relaxed);
    uint32_t used = policy_of(rules)->use(rules, access, now_ms, random);
    if (used != access) atomic_store_explicit(&entry->access, used, memory_order_relaxed);
}

uint32_t eviction_access_new(const struct eviction_rules *rules, struct ghost *ghost,
                             uint64_t ghost_hash, int64_t now_ms) {
    uint32_t access = eviction_stamp(now_ms);
    const struct policy *policy = policy_of(rules);
    if (policy->is_lfu) return (access & ~UINT32_C(0xff)) | LFU_BEGIN;
    if (!policy->counts_uses) return access;
    int uses = ghost_recall(ghost, ghost_hash) + 1; /* this one; 0 for a stranger */
    return (access & ~(uint32_t)EVICTION_USES_MASK) | (uint32_t)uses;
}

uint32_t eviction_access_used(const struct eviction_rules *rules, uint32_t access, int64_t now_ms,
                              struct random *random) {
    return policy_of(rules)->use(rules, access, now_ms, random);
}

uint32_t eviction_access_halved(uint32_t access) {
    return access - ((access & EVICTION_USES_MASK) + 1) / 2;
}

void eviction_greet(struct eviction *eviction, struct entry *entry, uint64_t ghost_hash,
                    int64_t now_ms) {
    uint32_t access = eviction_access_new(eviction->rules, &eviction->ghost, ghost_hash, now_ms);
    atomic_store_explicit(&entry->access, access, memory_order_relaxed);
}

unsigned eviction_uses(const struct entry *entry) {
    return load(&entry->access) & EVICTION_USES_MASK;
}

uint32_t eviction_frequency(const struct eviction_rules *rules, const struct entry *entry,
                            int64_t now_ms) {
    return eviction_decayed_count(rules, load(&entry->access), now_ms);
}

/* ---- The pool -------------------------------------------------------------------------------- */

/* Scores of different policies can't be compared, nor those of adaptive's two sides. */
static void pool_check_policy(struct eviction *eviction) {
    uint32_t policy = load(&eviction->rules->policy) << 1 | leans_to_recency(eviction);
    if (eviction->pool_policy != policy) eviction->pool_count = 0;
    eviction->pool_policy = policy;
}

/* The candidate least worth its place. */
static uint32_t pool_last(const struct eviction *eviction) {
    uint32_t last = 0;
    for (uint32_t i = 1; i < eviction->pool_count; i++) {
        if (eviction->pool[i].score < eviction->pool[last].score) last = i;
    }
    return last;
}

static uint32_t pool_first(const struct eviction *eviction) {
    uint32_t first = 0;
    for (uint32_t i = 1; i < eviction->pool_count; i++) {
        if (eviction->pool[i].score > eviction->pool[first].score) first = i;
    }
    return first;
}

static void pool_remove(struct eviction *eviction, uint32_t index) {
    eviction->pool[index] = eviction->pool[--eviction->pool_count];
}

static bool pool_knows(const struct eviction *eviction, uint32_t reference) {
    for (uint32_t i = 0; i < eviction->pool_count; i++) {
        if (eviction->pool[i].reference == reference) return true;
    }
    return false;
}

/* ---- The hand -------------------------------------------------------------------------------- */

struct sweep {
    struct eviction *eviction;
    const struct policy *policy;
    struct database *_Atomic *databases;
    uint32_t first, end; /* the databases it may be in */
    struct eviction_view view;
    uint32_t looked;
};

static struct eviction_view view_of(const struct eviction *eviction, int64_t now_ms) {
    return (struct eviction_view){eviction->rules, now_ms, leans_to_recency(eviction)};
}

static uint64_t score_of(const struct policy *policy, const struct eviction_view *view,
                         const struct entry *entry) {
    if (policy->score == NULL) return 0;
    struct eviction_subject subject = {
        .access = load(&entry->access),
        .bytes = policy->counts_uses ? bytes_of_entry(entry) : 0,
        .deadline_ms = policy->asks_expiry ? entry_deadline_ms(entry) : ENTRY_NO_EXPIRY,
    };
    return policy->score(view, &subject);
}

static void halve_uses(struct entry *entry) {
    uint32_t halved = eviction_access_halved(load(&entry->access));
    atomic_store_explicit(&entry->access, halved, memory_order_relaxed);
}

/* It is known where the hand is; who is met by way of his slab is looked for. */
static bool find_database(const struct sweep *sweep, struct eviction_candidate *candidate) {
    if (sweep->end - sweep->first == 1) return true;
    for (uint32_t i = sweep->first; i < sweep->end; i++) {
        const struct table *table = &database_at(sweep->databases, i)->table;
        candidate->database = i;
        if (table_holds(table, candidate->reference, candidate->hash)) return true;
    }
    return false; /* it was detached */
}

static void meet(void *context, struct entry *entry) {
    struct sweep *sweep = context;
    struct eviction *eviction = sweep->eviction;
    if (sweep->policy->is_volatile && !entry_has_expiry(entry)) return;
    sweep->looked++;
    if (sweep->policy->counts_uses && eviction->is_halving) halve_uses(entry);
    uint64_t score = score_of(sweep->policy, &sweep->view, entry);
    uint32_t at = eviction->pool_count;
    if (at == EVICTION_POOL) {
        at = pool_last(eviction);
        if (score <= eviction->pool[at].score) return;
    }
    const struct database *database = database_at(sweep->databases, sweep->first);
    struct eviction_candidate candidate = {
        .hash = hash_seeded(entry_key(entry), database->table.seed),
        .score = score,
        .reference = slabs_reference(database->slabs, entry),
        .database = sweep->first,
    };
    if (pool_knows(eviction, candidate.reference) || !find_database(sweep, &candidate)) return;
    eviction->pool[at] = candidate;
    if (at == eviction->pool_count) eviction->pool_count++;
}

/* The hand has been everywhere. */
static void begin_round(struct eviction *eviction, struct database *_Atomic *databases,
                        uint32_t database_count) {
    uint64_t keys = 0;
    for (uint32_t i = 0; i < database_count; i++) {
        keys += database_key_count(database_at(databases, i));
    }
    eviction->is_halving = eviction->turnover >= keys * EVICTION_HALVING_TURNS;
    if (eviction->is_halving) eviction->turnover = 0;
}

static void sweep(struct eviction *eviction, struct database *_Atomic *databases,
                  uint32_t database_count, int64_t now_ms) {
    struct sweep sweep = {.eviction = eviction,
                          .policy = policy_of(eviction->rules),
                          .databases = databases,
                          .view = view_of(eviction, now_ms)};
    uint32_t samples = load(&eviction->rules->samples);
    uint32_t buckets_max = SWEEP_BUCKETS_MAX + database_count; /* an empty database is one */
    for (uint32_t passed = 0; passed < buckets_max && sweep.looked < samples; passed++) {
        if (eviction->hand_database == 0 && eviction->hand_bucket == 0) {
            begin_round(eviction, databases, database_count);
        }
        sweep.first = eviction->hand_database;
        sweep.end = sweep.first + 1;
        const struct table *table = &database_at(databases, sweep.first)->table;
        eviction->hand_bucket = table_sweep(table, eviction->hand_bucket, meet, &sweep);
        if (eviction->hand_bucket != 0) continue;
        eviction->hand_database = (eviction->hand_database + 1) % database_count;
    }
}

/* ---- Choosing -------------------------------------------------------------------------------- */

/* The best of the pool that is still what it was; those that were used since are judged anew. */
static bool take_from_pool(struct eviction *eviction, struct database *_Atomic *databases,
                           int64_t now_ms, struct eviction_candidate *victim) {
    const struct policy *policy = policy_of(eviction->rules);
    struct eviction_view view = view_of(eviction, now_ms);
    while (eviction->pool_count > 0) {
        uint32_t first = pool_first(eviction);
        struct eviction_candidate *candidate = &eviction->pool[first];
        const struct database *database = database_at(databases, candidate->database);
        if (!table_holds(&database->table, candidate->reference, candidate->hash)) {
            pool_remove(eviction, first);
            continue;
        }
        const struct entry *entry = slabs_at(database->slabs, candidate->reference);
        if (policy->is_volatile && !entry_has_expiry(entry)) {
            pool_remove(eviction, first);
            continue;
        }
        uint64_t score = score_of(policy, &view, entry);
        if (score < candidate->score) {
            candidate->score = score;
            if (pool_first(eviction) != first) continue;
        }
        *victim = *candidate;
        pool_remove(eviction, first);
        return true;
    }
    return false;
}

static bool has_deadlines(struct database *_Atomic *databases, uint32_t database_count) {
    for (uint32_t i = 0; i < database_count; i++) {
        if (database_deadline_count(database_at(databases, i)) > 0) return true;
    }
    return false;
}

/* Whoever is due soonest, over all databases, comes to the pool. */
static void meet_soonest(struct eviction *eviction, struct database *_Atomic *databases,
                         uint32_t database_count, int64_t now_ms) {
    struct sweep sweep = {.eviction = eviction,
                          .policy = policy_of(eviction->rules),
                          .databases = databases,
                          .end = database_count,
                          .view = view_of(eviction, now_ms)};
    eviction->asked_ago = 0;
    expiry_visit_soonest(database_at(databases, 0)->expiry, meet, &sweep);
}

bool eviction_choose(struct eviction *eviction, struct database *_Atomic *databases,
                     uint32_t database_count, int64_t now_ms, struct eviction_candidate *victim) {
    const struct policy *policy = policy_of(eviction->rules);
    if (!policy->evicts) return false;
    if (policy->is_volatile && !has_deadlines(databases, database_count)) return false;
    pool_check_policy(eviction);
    bool is_served = policy->score == NULL && eviction->pool_count > 0;
    if (!is_served) sweep(eviction, databases, database_count, now_ms);
    if (policy->asks_expiry && ++eviction->asked_ago >= ASK_TURNS)
        meet_soonest(eviction, databases, database_count, now_ms);
    if (take_from_pool(eviction, databases, now_ms, victim)) return true;
    /* They were all gone, and had kept others out: now the pool is empty. */
    sweep(eviction, databases, database_count, now_ms);
    if (take_from_pool(eviction, databases, now_ms, victim)) return true;
    if (!policy->is_volatile) return false;
    meet_soonest(eviction, databases, database_count, now_ms);
    return take_from_pool(eviction, databases, now_ms, victim);
}

void eviction_follow(struct eviction *eviction, uint32_t from, uint32_t to) {
    for (uint32_t i = 0; i < eviction->pool_count; i++) {
        if (eviction->pool[i].reference == from) eviction->pool[i].reference = to;
    }
}

void eviction_dismiss(struct eviction *eviction, struct database *_Atomic *databases,
                      const struct eviction_candidate *victim) {
    const struct database *database = database_at(databases, victim->database);
    const struct entry *entry = slabs_at(database->slabs, victim->reference);
    ghost_remember(&eviction->ghost,
                   &(struct departure){.hash = database_ghost_hash(database, victim->hash),
                                       .keys = database_key_count(database),
                                       .reason = MISS_EVICTED,
                                       .uses = eviction_uses(entry)});
    eviction->turnover++;
    atomic_fetch_add_explicit(&eviction->evicted, 1, memory_order_relaxed);
}
