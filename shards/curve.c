/* Seven caches in small (simulation.h), and what is made of their hits.
 *
 * One key in 128 of a small cache is followed, one in 256 from SMALL_KEYS on, and fewer when there are too many. With
 * 256 at 16 MiB no estimate was worse than with 128 (twelve traces, three seeds: off by 1.43 points at worst, not
 * 1.97). A small cache has half the places for members, which are fewer cache lines: 0.95 % of a busy core instead of
 * 1.1 by Zipf 0.7.
 *
 * All points count the same requests, since the last time that one of the miniatures became full (or a RESET):
 * what it missed until then only says that it began empty. Those that aren't full yet are told of: they may miss
 * more than they will.
 *
 * What it costs: seven instructions for a request that isn't followed; for one that is, 700 to tell of it, 400
 * where all miniatures have it, 10,000 for the SET of a new key that all seven have to evict for, 1,350 each: eight
 * looks and their scores 450, the pool 400, ghosts 150. Without the score inlined into the looks, and with a pool
 * in two arrays, it was 2,050 (bench/README.md has it by request).
 *
 * How right it is: bench/README.md. What made the difference: to leave the curve's own memory out of account (5 to
 * 1 points at a limit of 8 MiB). Under allkeys-adaptive all sizes decide as the cache does at the time (duel.h): one of
 * half the size that would long have decided the other way, as one may while it warms up, is told of as if it did as
 * this one does.
 *
 * Threads: a mutex, a leaf but for shards' locks for reading, once a second (measure). Workers come to it without
 * a shard's lock, with one request in 2^rate_bits or so.
 *
 * Source of the correction: SHARDS (Waldspurger, Park, Garthwaite, Ahmad 2015). */
#include "curve.h"

#include <stddef.h>
#include <string.h>

#include "appraisal.h"

enum {
    RATE_BITS_SMALL = 7,  /* one key in 128, of a small cache */
    SMALL_KEYS = 3 << 15, /* at most */
    RATE_BITS_MIN = 8,    /* of all others */
    MEASURE_EVERY_MS = 1000,
    PLACE_BITS_SMALL = 13,
    PLACE_BITS = POPULATION_PLACE_BITS_MAX,
    KEYS_AIM = (1 << PLACE_BITS) / 4 * 3 / 4,
    ANCHOR_MISSES = 16,
    POINT_TODAY = 2, /* where TIMES is 1 */
};
static const double TIMES[CURVE_POINTS] = {0.5, 0.75, 1, 1.25, 1.5, 2, 4};

static int64_t load(const _Atomic int64_t *field) {
    return atomic_load_explicit(field, memory_order_relaxed);
}

/* What all this takes itself, in bytes. */
static uint64_t own_bytes(const struct curve *curve) {
    return simulation_footprint(&curve->simulation);
}

static void measure(struct curve *curve, int64_t now_ms) {
    curve->next_measure_ms = now_ms + MEASURE_EVERY_MS;
    struct appraisal appraisal = appraise(curve->shards, curve->limit_bytes, own_bytes(curve));
    for (int i = 0; i < CURVE_POINTS; i++) {
        double limit =
            appraisal_entries(&appraisal, TIMES[i]) / simulation_keys_a_key(&curve->simulation);
        curve->simulation.miniatures[i].limit_bytes = (uint64_t)limit;
    }
}

/* ---- Counting -------------------------------------------------------------------------------- */

static uint64_t growth(uint64_t before, uint64_t after) {
    return after >= before ? after - before : after; /* the counters were reset */
}

/* Bring up to date how many lookups there were, and how many of them should have been noted. */
static void expect(struct curve *curve) {
    struct counters_sum now = counters_sum_all(&curve->shards->counters);
    uint64_t hits = growth(curve->seen.hits, now.hits);
    uint64_t lookups = hits + growth(curve->seen.misses, now.misses);
    curve->seen = now;
    curve->lookups += lookups;
    curve->real_hits += hits;
    curve->expected += (double)lookups / simulation_keys_a_key(&curve->simulation);
}

static void count_anew(struct curve *curve, int64_t now_ms) {
    curve->seen = counters_sum_all(&curve->shards->counters);
    curve->lookups = curve->real_hits = curve->noted = 0;
    curve->expected = 0;
    curve->since_ms = now_ms;
    memset(curve->hits, 0, sizeof(curve->hits));
}

/* ---- Starting and stopping ------------------------------------------------------------------- */

void curve_init(struct curve *curve, struct shards *shards) {
    *curve = (struct curve){.shards = shards};
    pthread_mutex_init(&curve->lock, NULL);
}

static void free_locked(struct curve *curve) {
    atomic_store_explicit(&curve->followed_below, 0, memory_order_relaxed);
    if (curve->is_on) simulation_release(&curve->simulation);
    curve->is_on = false;
}

static void follow(struct curve *curve) {
    atomic_store_explicit(&curve->followed_below, simulation_followed_below(&curve->simulation),
                          memory_order_relaxed);
}

void curve_release(struct curve *curve) {
    free_locked(curve);
    pthread_mutex_destroy(&curve->lock);
}

/* So many that today's miniature has some 400 members or more, and the largest about as many as there can be once
 * it is full. */
static uint32_t rate_bits_for(const struct shards *shards) {
    uint64_t keys = shards_key_count_all(shards);
    if (keys <= SMALL_KEYS) return RATE_BITS_SMALL;
    return simulation_rate_bits(keys, RATE_BITS_MIN, KEYS_AIM);
}

static enum status start_locked(struct curve *curve, int64_t now_ms) {
    static const enum miniature_side sides[CURVE_POINTS] = {MINIATURE_FOLLOWS};
    uint32_t rate_bits = rate_bits_for(curve->shards);
    struct simulation_options options = {
        .rules = &curve->shards->eviction,
        .sides = sides,
        .count = CURVE_POINTS,
        .place_bits = rate_bits == RATE_BITS_SMALL ? PLACE_BITS_SMALL : PLACE_BITS,
        .rate_bits = rate_bits,
    };
    enum status status = simulation_init(&curve->simulation, &options, now_ms);
    if (status != STATUS_OK) return status;
    curve->is_on = true;
    curve->limit_bytes = load(&curve->shards->eviction.limit_bytes);
    measure(curve, now_ms);
    count_anew(curve, now_ms);
    follow(curve);
    return STATUS_OK;
}

enum status curve_start(struct curve *curve, int64_t now_ms, bool *has_begun) {
    pthread_mutex_lock(&curve->lock);
    *has_begun = !curve->is_on;
    enum status status = *has_begun ? start_locked(curve, now_ms) : STATUS_OK;
    pthread_mutex_unlock(&curve->lock);
    return status;
}

void curve_stop(struct curve *curve) {
    pthread_mutex_lock(&curve->lock);
    free_locked(curve);
    pthread_mutex_unlock(&curve->lock);
}

void curve_recount(struct curve *curve, int64_t now_ms) {
    pthread_mutex_lock(&curve->lock);
    if (curve->is_on) count_anew(curve, now_ms);
    pthread_mutex_unlock(&curve->lock);
}

/* When memory is refused it is off, and when there is no limit any more. */
static void restart_locked(struct curve *curve, int64_t now_ms) {
    free_locked(curve);
    if (load(&curve->shards->eviction.limit_bytes) == 0) return;
    enum status status = start_locked(curve, now_ms);
    (void)status;
}

void curve_empty(struct curve *curve, int64_t now_ms) {
    pthread_mutex_lock(&curve->lock);
    if (curve->is_on) restart_locked(curve, now_ms);
    pthread_mutex_unlock(&curve->lock);
}

/* Another policy, another limit: what was seen tells nothing any more. */
static bool has_other_rules(const struct curve *curve) {
    const struct eviction_rules *rules = &curve->shards->eviction;
    return load(&rules->limit_bytes) != curve->limit_bytes ||
           atomic_load_explicit(&rules->policy, memory_order_relaxed) !=
               (uint32_t)curve->simulation.miniatures[0].policy;
}

/* There are too many: follow half of them, and let what was counted stand for so much. */
static void thin_out(struct curve *curve, int64_t now_ms) {
    expect(curve);
    simulation_thin_out(&curve->simulation, now_ms);
    follow(curve);
    curve->expected /= 2;
    curve->noted /= 2;
    for (int i = 0; i < CURVE_POINTS; i++) {
        curve->hits[i] /= 2;
    }
    measure(curve, now_ms);
}

/* Once a second: the store may have grown since the curve began. */
static void keep_in_measure(struct curve *curve, int64_t now_ms) {
    if (rate_bits_for(curve->shards) > curve->simulation.rate_bits) {
        thin_out(curve, now_ms);
    } else {
        measure(curve, now_ms);
    }
}

/* ---- Notes ----------------------------------------------------------------------------------- */

/* What a miniature missed until it was full only says that it began empty: so all are counted anew then. */
static void note_locked(struct curve *curve, const struct note *note, int64_t now_ms) {
    if (now_ms >= curve->next_measure_ms) keep_in_measure(curve, now_ms);
    if (simulation_is_crowded(&curve->simulation)) thin_out(curve, now_ms);
    struct simulation_outcome outcome = simulation_play(&curve->simulation, note, now_ms);
    curve->noted += outcome.is_lookup;
    for (int i = 0; i < CURVE_POINTS && outcome.is_lookup; i++) {
        curve->hits[i] += outcome.had >> i & 1;
    }
    if (outcome.has_filled) count_anew(curve, now_ms);
}

void curve_note(struct curve *curve, const struct note *note, int64_t now_ms) {
    pthread_mutex_lock(&curve->lock);
    if (curve->is_on && has_other_rules(curve)) restart_locked(curve, now_ms);
    if (curve->is_on) note_locked(curve, note, now_ms);
    pthread_mutex_unlock(&curve->lock);
}

/* ---- Reading --------------------------------------------------------------------------------- */

/* The share of a few hot keys among those that are followed is a matter of chance. But these are found whatever
 * the size. So it is misses that are scaled up: by the share of the keys that is followed (SHARDS's correction),
 * or, once the miniatures tell of today's size, so that there they are as many as there really were. */

static double misses_of(const struct curve *curve, int point) {
    return (double)(curve->noted - curve->hits[point]);
}

/* Today's cache is smaller than its limit by what the curve takes: between two points. */
static double misses_today(const struct curve *curve) {
    double times = 1 - (double)own_bytes(curve) / (double)curve->limit_bytes;
    int next = 1;
    while (next < POINT_TODAY && TIMES[next] < times) {
        next++;
    }
    double part = (times - TIMES[next - 1]) / (TIMES[next] - TIMES[next - 1]);
    if (part < 0) part = 0;
    return misses_of(curve, next - 1) * (1 - part) + misses_of(curve, next) * part;
}

/* What a followed key's miss is of all lookups. Few misses say little of themselves: ANCHOR_MISSES of SHARDS's are
 * added. */
static double weight_of_miss(const struct curve *curve) {
    if (!curve->simulation.miniatures[POINT_TODAY].is_full) return 1 / curve->expected;
    double real = (double)(curve->lookups - curve->real_hits) / (double)curve->lookups;
    double due = real * curve->expected + ANCHOR_MISSES;
    return due / (misses_today(curve) + ANCHOR_MISSES) / curve->expected;
}

static double hit_ratio(double misses, double weight) {
    double ratio = 1 - misses * weight;
    return ratio < 0 ? 0 : ratio;
}

static void read_locked(struct curve *curve, struct curve_report *report) {
    expect(curve);
    *report = (struct curve_report){
        .lookups = curve->lookups,
        .lookups_noted = curve->noted,
        .hit_ratio = curve->lookups != 0 ? (double)curve->real_hits / (double)curve->lookups : 0,
        .keys_a_key = UINT32_C(1) << curve->simulation.rate_bits,
        .since_ms = curve->since_ms,
        .policy = curve->simulation.miniatures[0].policy,
        .bytes = own_bytes(curve),
    };
    bool has_any = curve->expected > 0;
    double weight = has_any ? weight_of_miss(curve) : 0;
    report->estimate = has_any ? hit_ratio(misses_today(curve), 1 / curve->expected) : 0;
    for (int i = 0; i < CURVE_POINTS; i++) {
        const struct miniature *miniature = &curve->simulation.miniatures[i];
        double used = (double)miniature->used_bytes;
        double limit = (double)miniature->limit_bytes;
        report->points[i] = (struct curve_point){
            .times = TIMES[i],
            .limit_bytes = (int64_t)((double)curve->limit_bytes * TIMES[i]),
            .hit_ratio = has_any ? hit_ratio(misses_of(curve, i), weight) : 0,
            .fill = miniature->is_full || used >= limit ? 1 : used / limit,
        };
        report->warming += report->points[i].fill < 1;
    }
}

bool curve_read(struct curve *curve, int64_t now_ms, struct curve_report *report) {
    pthread_mutex_lock(&curve->lock);
    if (curve->is_on && has_other_rules(curve)) restart_locked(curve, now_ms);
    bool has_read = curve->is_on;
    if (has_read) read_locked(curve, report);
    pthread_mutex_unlock(&curve->lock);
    return has_read;
}

void curve_validate(struct curve *curve) {
    pthread_mutex_lock(&curve->lock);
    if (curve->is_on) simulation_validate(&curve->simulation);
    pthread_mutex_unlock(&curve->lock);
}
