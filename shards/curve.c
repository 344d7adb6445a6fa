/* Miniature simulation.
 *
 *      requests ──▶ hash < threshold? ──▶ member of the population ──┬─▶ 0.5 x ┐
 *                   (one key in 2^rate_bits)                         ├─▶ …     ├─▶ hits of each
 *                                                                    └─▶ 4 x   ┘
 *
 * Why not one stack of keys by recency, from which all sizes could be read at once: only LRU has one. Miniatures
 * run by eviction.c's own rules, whichever policy is in force.
 *
 * One key in a power of two is followed, so that a miniature's ghost is as large a part of its keys as a shard's
 * is: one in 128 of a small cache, one in 256 from SMALL_KEYS on, and fewer when there are too many. With 256 at
 * 16 MiB no estimate was worse than with 128 (twelve traces, three seeds: off by 1.43 points at worst, not 1.97).
 *
 * What a request tells. A lookup is a hit in those miniatures that have the key. Where one hasn't, the client of a
 * cache of that size would have filled it in: if the real cache has it, it is taken in at once; if not, by the
 * SET that follows. Such a SET would not have come where the key was there: it is no use of it.
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
 * 1 points at a limit of 8 MiB), and wards that decide one way always, as an eighth of the shards do. A duel of
 * its own for each miniature lost: with so few keys in a ward chance decides it (off by 2.9 points). So a cache of
 * half the size that would long have decided the other way, as one may while it warms up, is told of as if it
 * decided as this one does.
 *
 * Threads: a mutex, a leaf but for shards' locks for reading, once a second (measure). Workers come to it without
 * a shard's lock, with one request in 2^rate_bits or so.
 *
 * Sources: SHARDS (Waldspurger, Park, Garthwaite, Ahmad 2015: spatial sampling by hash, a bounded sample, the
 * correction); miniature simulation for policies that aren't LRU (Waldspurger, Saemundsson, Ahmad, Park 2017). */
#include "curve.h"

#include <stddef.h>
#include <string.h>

#include "base/check.h"
#include "base/memory.h"
#include "eviction_score.h"

enum {
    RATE_BITS_SMALL = 7,  /* one key in 128, of a small cache */
    SMALL_KEYS = 3 << 15, /* at most */
    RATE_BITS_MIN = 8,    /* of all others */
    RATE_BITS_MAX = 20,
    MEASURE_EVERY_MS = 1000,
    MARGIN_DIVISOR = 128, /* of the limit: a full cache stays so much below it, as in room.c */
    KEYS_AIM = POPULATION_MAX / 4,
    GHOST_BYTES = 2,
    ANCHOR_MISSES = 16,
    POINT_TODAY = 2, /* where TIMES is 1 */
};
static const double TIMES[CURVE_POINTS] = {0.5, 0.75, 1, 1.25, 1.5, 2, 4};

static int64_t load(const _Atomic int64_t *field) {
    return atomic_load_explicit(field, memory_order_relaxed);
}

static bool is_on(const struct curve *curve) {
    return curve->miniatures != NULL;
}

static uint64_t threshold_of(uint32_t rate_bits) {
    return UINT64_C(1) << (64 - rate_bits);
}

/* What all this takes itself, in bytes. */
static uint64_t own_bytes(const struct curve *curve) {
    uint64_t bytes = memory_usable(curve->population.members) +
                     memory_usable(curve->population.chains) + memory_usable(curve->miniatures);
    for (int i = 0; i < CURVE_POINTS; i++) {
        bytes += memory_usable(curve->miniatures[i].ghost.sets);
    }
    return bytes;
}

/* ---- How large the miniatures are ------------------------------------------------------------ */

/* What the shards hold, in bytes. */
struct holdings {
    int64_t entries, index; /* entries with their slots; buckets and ghosts, which grow with them */
};

static struct holdings holdings_of(struct shards *shards) {
    struct holdings sum = {0};
    for (uint32_t i = 0; i < shards->count; i++) {
        struct shard *shard = &shards->shards[i];
        rwlock_read_lock(&shard->lock);
        size_t slabs = (size_t)shard->slabs.resident_bytes;
        sum.entries += (int64_t)(shard->slabs.used_bytes + shard->slabs.outside_bytes);
        sum.index += (int64_t)(shard_footprint(shard) - slabs) +
                     (int64_t)ghost_places(&shard->eviction.ghost) * GHOST_BYTES;
        rwlock_read_unlock(&shard->lock);
    }
    return sum;
}

/* What a cache with another limit would hold in entries. At today's limit it is, once that is reached, what is
 * really there: what is in use beside them (workers, buffers, half empty slabs; not the curve itself, which is to
 * be stopped again) is taken as it is now, for any size; what indexes them grows with them. */
static void measure(struct curve *curve, int64_t now_ms) {
    curve->next_measure_ms = now_ms + MEASURE_EVERY_MS;
    struct shards *shards = curve->shards;
    struct holdings held = holdings_of(shards);
    eviction_look(&shards->eviction);
    int64_t used = load(&shards->eviction.used_bytes);
    int64_t full = curve->limit_bytes - curve->limit_bytes / MARGIN_DIVISOR;
    int64_t beside = used - held.entries - held.index - (int64_t)own_bytes(curve);
    double share =
        held.entries > 0 ? (double)held.entries / (double)(held.entries + held.index) : 1;
    if (used > full) full = used;
    for (int i = 0; i < CURVE_POINTS; i++) {
        double bytes = ((double)full * TIMES[i] - (double)beside) * share;
        double limit = bytes > 0 ? bytes / (double)(UINT64_C(1) << curve->rate_bits) : 0;
        curve->miniatures[i].limit_bytes = (uint64_t)limit;
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
    curve->expected += (double)lookups / (double)(UINT64_C(1) << curve->rate_bits);
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
    if (!is_on(curve)) return;
    for (int i = 0; i < CURVE_POINTS; i++) {
        miniature_release(&curve->miniatures[i]);
    }
    memory_free(curve->miniatures);
    curve->miniatures = NULL;
    population_release(&curve->population);
}

void curve_release(struct curve *curve) {
    free_locked(curve);
    pthread_mutex_destroy(&curve->lock);
}

/* So many that today's miniature has some 400 members or more, and the largest about as many as there can be once
 * it is full. */
static uint32_t rate_bits_for(const struct shards *shards) {
    uint64_t keys = 0;
    for (uint32_t i = 0; i < shards->database_count; i++) {
        keys += shards_key_count(shards, i);
    }
    if (keys <= SMALL_KEYS) return RATE_BITS_SMALL;
    uint32_t bits = RATE_BITS_MIN;
    while (bits < RATE_BITS_MAX && keys >> bits > KEYS_AIM) {
        bits++;
    }
    return bits;
}

static enum status start_locked(struct curve *curve, int64_t now_ms) {
    struct miniature *miniatures = memory_allocate(CURVE_POINTS * sizeof(*miniatures));
    if (miniatures == NULL) return STATUS_NO_MEMORY;
    enum status status = population_init(&curve->population, now_ms);
    if (status != STATUS_OK) {
        memory_free(miniatures);
        return status;
    }
    curve->miniatures = miniatures;
    for (int i = 0; i < CURVE_POINTS; i++) {
        miniature_init(&curve->miniatures[i], &curve->population, (uint8_t)i,
                       &curve->shards->eviction);
    }
    memset(curve->awaited, 0, sizeof(curve->awaited));
    curve->limit_bytes = load(&curve->shards->eviction.limit_bytes);
    curve->rate_bits = rate_bits_for(curve->shards);
    curve->next_word = 0;
    measure(curve, now_ms);
    count_anew(curve, now_ms);
    atomic_store_explicit(&curve->followed_below, threshold_of(curve->rate_bits),
                          memory_order_relaxed);
    return STATUS_OK;
}

enum status curve_start(struct curve *curve, int64_t now_ms, bool *has_begun) {
    pthread_mutex_lock(&curve->lock);
    *has_begun = !is_on(curve);
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
    if (is_on(curve)) count_anew(curve, now_ms);
    pthread_mutex_unlock(&curve->lock);
}

/* When memory is refused it is off. */
static void restart_locked(struct curve *curve, int64_t now_ms) {
    free_locked(curve);
    enum status status = start_locked(curve, now_ms);
    (void)status;
}

void curve_empty(struct curve *curve, int64_t now_ms) {
    pthread_mutex_lock(&curve->lock);
    if (is_on(curve)) restart_locked(curve, now_ms);
    pthread_mutex_unlock(&curve->lock);
}

/* Another policy, another limit: what was seen tells nothing any more. */
static bool has_other_rules(const struct curve *curve) {
    const struct eviction_rules *rules = &curve->shards->eviction;
    return load(&rules->limit_bytes) != curve->limit_bytes ||
           atomic_load_explicit(&rules->policy, memory_order_relaxed) !=
               (uint32_t)curve->miniatures[0].policy;
}

/* ---- The population -------------------------------------------------------------------------- */

/* For that reason it is in no cache of any size any more. */
static void remove_member(struct curve *curve, struct member *member, enum miss_reason reason) {
    for (int i = 0; i < CURVE_POINTS; i++) {
        if (miniature_has(&curve->miniatures[i], member)) {
            miniature_dismiss(&curve->miniatures[i], member, reason);
        }
    }
    population_remove(&curve->population, member);
}

/* Go through those places of a word, removing who isn't followed any more, or is past its deadline. */
static void weed(struct curve *curve, uint32_t word, uint64_t places, int64_t now_ms) {
    struct population *population = &curve->population;
    uint64_t below = threshold_of(curve->rate_bits);
    for (; places != 0; places &= places - 1) {
        uint32_t place = word * POPULATION_WORD + (uint32_t)__builtin_ctzll(places);
        struct member *member = population_at(population, place);
        if (member->hash >= below) {
            remove_member(curve, member, MISS_UNKNOWN);
        } else if (member->deadline != 0 && population_deadline_ms(population, member) <= now_ms) {
            remove_member(curve, member, MISS_EXPIRED);
        }
    }
}

/* There are too many: follow half of them, and let what was counted stand for so much. */
static void thin_out(struct curve *curve, int64_t now_ms) {
    expect(curve);
    curve->rate_bits++;
    atomic_store_explicit(&curve->followed_below, threshold_of(curve->rate_bits),
                          memory_order_relaxed);
    for (uint32_t word = 0; word < POPULATION_WORDS; word++) {
        weed(curve, word, curve->population.taken.words[word], now_ms);
    }
    curve->expected /= 2;
    curve->noted /= 2;
    for (int i = 0; i < CURVE_POINTS; i++) {
        curve->hits[i] /= 2;
    }
    measure(curve, now_ms);
}

/* Once a second: the store may have grown since the curve began. */
static void keep_in_measure(struct curve *curve, int64_t now_ms) {
    if (rate_bits_for(curve->shards) > curve->rate_bits) {
        thin_out(curve, now_ms);
    } else {
        measure(curve, now_ms);
    }
}

/* ---- Notes ----------------------------------------------------------------------------------- */

/* The first bits stay: by them a key is followed. */
static uint64_t hash_of(const struct curve_note *note) {
    return note->hash ^ (note->database * UINT64_C(0x9e3779b97f4a7c15) >> RATE_BITS_MAX);
}

static uint64_t *awaited(struct curve *curve, uint64_t hash) {
    return &curve->awaited[population_spread(hash) >> 32 & (CURVE_AWAITED - 1)];
}

static void count_lookup(struct curve *curve, const struct member *member) {
    curve->noted++;
    if (member == NULL) return;
    for (int i = 0; i < CURVE_POINTS; i++) {
        curve->hits[i] += miniature_has(&curve->miniatures[i], member);
    }
}

/* Miniatures that counted as many uses so far count as many now: that is reckoned once. */
static void count_use(struct curve *curve, struct member *member, int64_t now_ms) {
    int known = -1;
    uint8_t before = 0;
    for (uint32_t present = member->present; present != 0; present &= present - 1) {
        int i = __builtin_ctz(present);
        uint8_t *uses = &member->uses[i];
        if (known >= 0 && *uses == before) {
            *uses = member->uses[known];
            continue;
        }
        before = *uses;
        miniature_use(&curve->miniatures[i], member, now_ms);
        known = i;
    }
}

static uint32_t stamp_of(const struct curve *curve, int64_t now_ms) {
    return eviction_stamp(now_ms) & ~curve->miniatures[0].counts;
}

/* Once the uses are counted: a count may fall with the time since the last one. */
static void use(struct curve *curve, struct member *member, int64_t now_ms) {
    if (curve->miniatures[0].counts != 0) count_use(curve, member, now_ms);
    member->stamp = stamp_of(curve, now_ms);
}

static void resize(struct curve *curve, struct member *member, uint32_t bytes) {
    if (member->bytes == bytes) return;
    for (int i = 0; i < CURVE_POINTS; i++) {
        if (miniature_has(&curve->miniatures[i], member)) {
            miniature_resize(&curve->miniatures[i], member, bytes);
        }
    }
    member->bytes = bytes;
}

/* What a miniature missed until it was full only says that it began empty: so all are counted anew. */
static void admit(struct curve *curve, struct member *member, int64_t now_ms) {
    uint32_t missing = ~(uint32_t)member->present & ((1 << CURVE_POINTS) - 1);
    for (uint32_t left = missing; left != 0; left &= left - 1) {
        miniature_expect(&curve->miniatures[__builtin_ctz(left)], member);
    }
    bool has_filled = false;
    for (uint32_t left = missing; left != 0; left &= left - 1) {
        struct miniature *miniature = &curve->miniatures[__builtin_ctz(left)];
        bool was_full = miniature->is_full;
        miniature_admit(miniature, member, now_ms);
        has_filled |= miniature->is_full != was_full;
    }
    if (has_filled) count_anew(curve, now_ms);
}

/* It is there afterwards. Where it isn't in a miniature, that missed, and the client would have filled it: now,
 * or, where the cache missed, too, by the write that comes next. Such a write doesn't count as a use where there
 * was no miss. */
static void note_presence(struct curve *curve, struct member *member, uint64_t hash,
                          const struct curve_note *note, int64_t now_ms) {
    uint64_t *place = awaited(curve, hash);
    bool is_fill = !note->is_lookup && *place == hash;
    if (is_fill) *place = 0;
    if (member == NULL) {
        member = population_add(&curve->population, hash);
        if (member == NULL) return;
    }
    if (is_fill) {
        member->stamp = stamp_of(curve, now_ms);
    } else {
        use(curve, member, now_ms);
    }
    resize(curve, member, note->bytes);
    if (population_deadline_ms(&curve->population, member) != note->deadline_ms)
        population_set_deadline(&curve->population, member, note->deadline_ms);
    if (member->present != (1 << CURVE_POINTS) - 1) admit(curve, member, now_ms);
    if (member->present == 0) population_remove(&curve->population, member);
}

static void note_locked(struct curve *curve, const struct curve_note *note, int64_t now_ms) {
    if (curve->population.count == POPULATION_MAX) thin_out(curve, now_ms);
    uint64_t hash = hash_of(note);
    if (hash >= threshold_of(curve->rate_bits)) return;
    struct member *member = population_find(&curve->population, hash);
    if (member != NULL && member->deadline != 0 &&
        population_deadline_ms(&curve->population, member) <= now_ms) {
        remove_member(curve, member, MISS_EXPIRED);
        member = NULL;
    }
    if (note->is_lookup) count_lookup(curve, member);
    if (note->leaves_no_trace) return;
    if (note->is_there) {
        note_presence(curve, member, hash, note, now_ms);
    } else if (note->is_deletion) {
        if (member != NULL) remove_member(curve, member, MISS_DELETED);
    } else if (note->is_lookup) {
        *awaited(curve, hash) = hash;
        if (member != NULL) use(curve, member, now_ms);
    }
}

void curve_note(struct curve *curve, const struct curve_note *note, int64_t now_ms) {
    pthread_mutex_lock(&curve->lock);
    if (is_on(curve) && has_other_rules(curve)) restart_locked(curve, now_ms);
    if (is_on(curve)) {
        if (now_ms >= curve->next_measure_ms) keep_in_measure(curve, now_ms);
        note_locked(curve, note, now_ms);
        if (curve->population.deadlines != 0) {
            uint64_t timed = curve->population.timed.words[curve->next_word];
            weed(curve, curve->next_word, timed, now_ms);
            curve->next_word = (curve->next_word + 1) % POPULATION_WORDS;
        }
    }
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
    if (!curve->miniatures[POINT_TODAY].is_full) return 1 / curve->expected;
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
        .keys_a_key = UINT32_C(1) << curve->rate_bits,
        .since_ms = curve->since_ms,
        .policy = curve->miniatures[0].policy,
        .bytes = own_bytes(curve),
    };
    bool has_any = curve->expected > 0;
    double weight = has_any ? weight_of_miss(curve) : 0;
    report->estimate = has_any ? hit_ratio(misses_today(curve), 1 / curve->expected) : 0;
    for (int i = 0; i < CURVE_POINTS; i++) {
        const struct miniature *miniature = &curve->miniatures[i];
        double used = (double)miniature_used_bytes(miniature);
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
    if (is_on(curve) && has_other_rules(curve)) restart_locked(curve, now_ms);
    bool has_read = is_on(curve);
    if (has_read) read_locked(curve, report);
    pthread_mutex_unlock(&curve->lock);
    return has_read;
}

void curve_validate(struct curve *curve) {
    pthread_mutex_lock(&curve->lock);
    if (is_on(curve)) {
        population_validate(&curve->population);
        for (int i = 0; i < CURVE_POINTS; i++) {
            miniature_validate(&curve->miniatures[i]);
        }
    }
    pthread_mutex_unlock(&curve->lock);
}
