/* Both sides are played the same requests, so most of what is chance in a sample falls on both alike. What tells them
 * apart are the lookups that one would have hit and the other not: if neither were better, either would win as many,
 * but for the root of their number or so (McNemar's test). The other side has to lead by DEVIATIONS of that, and at
 * EVIDENCE_MAX all is halved, so that the last few hundred decide. With three deviations instead of two a shifting hot
 * set hit 73.8 instead of 73.9 % (LRU: 74.1; `sherd-bench trace --only shifting --keys 750000 --requests 2000000
 * --limit-bytes 9000000`), all else the same; with twice as many keys followed 74.0, and 0.05 less
 * elsewhere, for their memory.
 *
 * Before, one shard in sixteen decided by recency always and one by frequency, and the others followed whichever
 * missed less (set dueling, Qureshi et al. 2007). A sixteenth of the cache so missed what the worse side misses, for
 * good; two shards have different keys, so it took 2,048 to 16,384 misses to tell them apart; and it took sixteen
 * shards, whose half empty pages are much of a small limit. Hits in percent, in process, values of 64 B to 8 KiB
 * (`sherd-bench trace --mixed-sizes`, 37,500 keys and 6.5 MB with 16 shards before and 8 now; 300,000 and 56 MB):
 *
 *                   Zipf 0.7   0.99    scans   shifting   loop
 *     6.5 MB, before    47.5   76.0     59.8       85.5   29.0
 *                now    50.1   77.7     61.1       87.4   32.6
 *     56 MB,  before    47.4   79.3     62.0       62.9   19.6
 *                now    48.2   79.6     62.4       63.3   20.9
 *
 * What it takes: 19 user instructions of a GET's 1,100 (callgrind, depth 16), some 20 more where both sides have to
 * evict for a new key; 80 KB.
 *
 * Source of the idea: policies compared by miniature caches that are fed the same sample (Waldspurger et al. 2017). */
#include "duel.h"

#include "appraisal.h"

enum {
    RATE_BITS_MIN = 7,
    PLACE_BITS = 11,
    MEASURE_EVERY_MS = 1000,
    KEYS_AIM = 384, /* of today's cache, at most, are followed */
    EVIDENCE_MAX = 512,
    DEVIATIONS = 2,
};

static int64_t load(const _Atomic int64_t *field) {
    return atomic_load_explicit(field, memory_order_relaxed);
}

static void set_side(struct duel *duel, enum duel_side side) {
    atomic_store_explicit(&duel->shards->eviction.prefers_recent, side == DUEL_RECENCY,
                          memory_order_relaxed);
}

static enum duel_side side_of(const struct duel *duel) {
    bool prefers_recent =
        atomic_load_explicit(&duel->shards->eviction.prefers_recent, memory_order_relaxed);
    return prefers_recent ? DUEL_RECENCY : DUEL_FREQUENCY;
}

/* ---- Beginning and ending -------------------------------------------------------------------- */

void duel_init(struct duel *duel, struct shards *shards) {
    *duel = (struct duel){.shards = shards};
    pthread_mutex_init(&duel->lock, NULL);
}

static void stop_locked(struct duel *duel) {
    atomic_store_explicit(&duel->followed_below, 0, memory_order_relaxed);
    if (duel->is_on) simulation_release(&duel->simulation);
    duel->is_on = false;
}

void duel_release(struct duel *duel) {
    stop_locked(duel);
    pthread_mutex_destroy(&duel->lock);
}

static uint32_t rate_bits_for(const struct shards *shards) {
    return simulation_rate_bits(shards_key_count_all(shards), RATE_BITS_MIN, KEYS_AIM);
}

static void measure(struct duel *duel, int64_t now_ms) {
    duel->next_measure_ms = now_ms + MEASURE_EVERY_MS;
    struct appraisal appraisal = appraise(duel->shards, duel->limit_bytes, 0);
    double limit = appraisal_entries(&appraisal, 1) / simulation_keys_a_key(&duel->simulation);
    for (int i = 0; i < DUEL_SIDES; i++) {
        duel->simulation.miniatures[i].limit_bytes = (uint64_t)limit;
    }
}

static void follow(struct duel *duel) {
    atomic_store_explicit(&duel->followed_below, simulation_followed_below(&duel->simulation),
                          memory_order_relaxed);
}

/* Frequency is where we begin: it is the better side more often. */
static void start_locked(struct duel *duel, int64_t limit_bytes, int64_t now_ms) {
    static const enum miniature_side sides[DUEL_SIDES] = {
        [DUEL_RECENCY] = MINIATURE_BY_RECENCY, [DUEL_FREQUENCY] = MINIATURE_BY_FREQUENCY};
    struct simulation_options options = {.rules = &duel->shards->eviction,
                                         .sides = sides,
                                         .count = DUEL_SIDES,
                                         .place_bits = PLACE_BITS,
                                         .rate_bits = rate_bits_for(duel->shards)};
    if (simulation_init(&duel->simulation, &options, now_ms) != STATUS_OK) return;
    duel->is_on = true;
    duel->limit_bytes = limit_bytes;
    duel->wins[DUEL_RECENCY] = duel->wins[DUEL_FREQUENCY] = 0;
    set_side(duel, DUEL_FREQUENCY);
    measure(duel, now_ms);
    follow(duel);
}

static void thin_out(struct duel *duel, int64_t now_ms) {
    simulation_thin_out(&duel->simulation, now_ms);
    follow(duel);
    measure(duel, now_ms);
}

/* The limit, if there is something to be decided under it, or 0. */
static int64_t limit_wanted(const struct duel *duel) {
    const struct eviction_rules *rules = &duel->shards->eviction;
    uint32_t policy = atomic_load_explicit(&rules->policy, memory_order_relaxed);
    return policy == EVICTION_ALLKEYS_ADAPTIVE ? load(&rules->limit_bytes) : 0;
}

static void tend_locked(struct duel *duel, int64_t now_ms) {
    int64_t limit_bytes = limit_wanted(duel);
    if (duel->is_on && limit_bytes != duel->limit_bytes) stop_locked(duel);
    if (limit_bytes == 0) return;
    if (!duel->is_on) {
        start_locked(duel, limit_bytes, now_ms);
    } else if (now_ms < duel->next_measure_ms) {
        return;
    } else if (rate_bits_for(duel->shards) > duel->simulation.rate_bits) {
        thin_out(duel, now_ms);
    } else {
        measure(duel, now_ms);
    }
}

void duel_tend(struct duel *duel, int64_t now_ms) {
    pthread_mutex_lock(&duel->lock);
    tend_locked(duel, now_ms);
    pthread_mutex_unlock(&duel->lock);
}

void duel_empty(struct duel *duel, int64_t now_ms) {
    pthread_mutex_lock(&duel->lock);
    stop_locked(duel);
    tend_locked(duel, now_ms);
    pthread_mutex_unlock(&duel->lock);
}

/* ---- Judging --------------------------------------------------------------------------------- */

static void judge(struct duel *duel) {
    enum duel_side side = side_of(duel),
                   other = side == DUEL_RECENCY ? DUEL_FREQUENCY : DUEL_RECENCY;
    uint64_t sum = duel->wins[side] + duel->wins[other];
    if (duel->wins[other] > duel->wins[side]) {
        uint64_t lead = duel->wins[other] - duel->wins[side];
        if (lead * lead > DEVIATIONS * DEVIATIONS * sum) set_side(duel, other);
    }
    if (sum < EVIDENCE_MAX) return;
    duel->wins[side] /= 2;
    duel->wins[other] /= 2;
}

static void note_locked(struct duel *duel, const struct note *note, int64_t now_ms) {
    if (simulation_is_crowded(&duel->simulation)) thin_out(duel, now_ms);
    struct simulation_outcome outcome = simulation_play(&duel->simulation, note, now_ms);
    if (!outcome.is_lookup || __builtin_popcount(outcome.had) != 1) return;
    duel->wins[__builtin_ctz(outcome.had)]++;
    judge(duel);
}

void duel_note(struct duel *duel, const struct note *note, int64_t now_ms) {
    pthread_mutex_lock(&duel->lock);
    if (duel->is_on) note_locked(duel, note, now_ms);
    pthread_mutex_unlock(&duel->lock);
}

void duel_validate(struct duel *duel) {
    pthread_mutex_lock(&duel->lock);
    if (duel->is_on) simulation_validate(&duel->simulation);
    pthread_mutex_unlock(&duel->lock);
}
