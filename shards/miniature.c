/* Eviction in small, so that what it decides is what the shards would.
 *
 * What has to agree, since each was seen to be worth a point of hit ratio or more: how many are looked at for a
 * victim (whole buckets of a table, LOOKS_STEP keys each on average), the pool that is carried from one victim to
 * the next, the ghost's share of the keys (its places are a power of two, in a shard as here: so a curve's rate is
 * one, too), the halving of counts, the shards that lead under allkeys-adaptive.
 *
 * What may differ is how the next to be looked at is found: by a map of the places where there is somebody, 64 in
 * a word. And nobody who is a candidate need be looked at again, nor be looked up before he goes: a member knows where
 * he is a candidate, and who leaves the miniature leaves its pool.
 *
 * A victim takes 1,350 instructions, a third of them looks. So each policy has a sweep of its own, into which its
 * score is inlined (as a call: 40 more a look), and a candidate is one word, the score above the place: a pool is
 * kept in order by a rank without branches and one move. Only the lower 50 bits of a score get into that word; no
 * two candidates differ in others. What gained little: a pool of eight (4 %). */
#include "miniature.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "base/check.h"
#include "entry.h"
#include "eviction_score.h"

enum {
    LOOKS_STEP = 8,   /* keys in a bucket of a table at the memory limit */
    VICTIMS_MAX = 64, /* for one that comes */
    PLACE_BITS = 14,  /* of a candidate; above is its score */
};

static const uint64_t PLACE_MASK = POPULATION_PLACES_MAX - 1;
static const uint64_t POOL_EMPTY = UINT64_MAX; /* scores more than anybody */
static_assert(POPULATION_PLACES_MAX == 1 << PLACE_BITS, "a candidate's place fits below its score");
static_assert(EVICTION_POOL == 16, "pool_rank halves it");

static uint32_t load(const _Atomic uint32_t *field) {
    return atomic_load_explicit(field, memory_order_relaxed);
}

static bool has_room(const struct miniature *miniature, const struct member *member) {
    return miniature->used_bytes + member->bytes <= miniature->limit_bytes;
}

/* Those that are followed have hashes that begin alike: spread them. */
static uint64_t ghost_hash(const struct member *member) {
    return population_spread(member->hash);
}

/* ---- The hand and the pool ------------------------------------------------------------------- */

static uint32_t access_of(const struct miniature *miniature, const struct member *member) {
    return member->stamp | member->uses[miniature->index];
}

static uint32_t place_of(uint64_t candidate) {
    return (uint32_t)(candidate & PLACE_MASK);
}

static struct member *pooled_at(const struct miniature *miniature, uint32_t at) {
    return population_at(miniature->population, place_of(miniature->pool[at]));
}

static void pool_leave(const struct miniature *miniature, struct member *member) {
    member->pooled &= (uint8_t)~miniature->bit;
}

/* How many of the pool score less. In four halvings, of which none has to be foretold. */
static inline uint32_t pool_rank(const struct miniature *miniature, uint64_t score) {
    const uint64_t *pool = miniature->pool;
    uint32_t rank = pool[7] < score ? 8 : 0;
    rank += pool[rank + 3] < score ? 4 : 0;
    rank += pool[rank + 1] < score ? 2 : 0;
    rank += pool[rank] < score;
    return rank + (pool[rank] < score);
}

/* Put a candidate where its score belongs, below its equals; of too many the least is dropped. */
static __attribute__((noinline)) void pool_insert(struct miniature *miniature, uint64_t score,
                                                  struct member *member) {
    uint64_t *pool = miniature->pool;
    uint32_t at = pool_rank(miniature, score);
    if (miniature->pool_count == EVICTION_POOL) {
        pool_leave(miniature, pooled_at(miniature, 0));
        memmove(pool, pool + 1, --at * sizeof(*pool));
    } else {
        memmove(pool + at + 1, pool + at, (miniature->pool_count - at) * sizeof(*pool));
        miniature->pool_count++;
    }
    pool[at] = score | population_place(miniature->population, member);
    member->pooled |= miniature->bit;
    if (miniature->pool_count == EVICTION_POOL) miniature->pool_bar = pool[0];
}

static struct member *pool_remove(struct miniature *miniature, uint32_t at) {
    struct member *member = pooled_at(miniature, at);
    uint64_t *pool = miniature->pool;
    pool_leave(miniature, member);
    uint32_t last = --miniature->pool_count;
    for (; at < last; at++) {
        pool[at] = pool[at + 1];
    }
    pool[last] = POOL_EMPTY;
    miniature->pool_bar = 0;
    return member;
}

static void pool_forget(struct miniature *miniature, const struct member *member) {
    uint32_t at = 0;
    while (pooled_at(miniature, at) != member) {
        at++;
    }
    pool_remove(miniature, at);
}

static void pool_clear(struct miniature *miniature) {
    while (miniature->pool_count > 0) {
        pool_remove(miniature, miniature->pool_count - 1);
    }
}

/* The hand has been everywhere. */
static void begin_round(struct miniature *miniature) {
    miniature->is_halving = miniature->policy == EVICTION_ALLKEYS_ADAPTIVE &&
                            miniature->turnover >= miniature->keys * EVICTION_HALVING_TURNS;
    if (miniature->is_halving) miniature->turnover = 0;
}

/* To the word behind that one, which may be the first again. */
static void turn_from(struct miniature *miniature, uint32_t word) {
    if (++word == miniature->population->word_count) {
        word = 0;
        begin_round(miniature);
    }
    miniature->hand = word * POPULATION_WORD;
}

static void halve(const struct miniature *miniature, struct member *member) {
    uint32_t halved = eviction_access_halved(access_of(miniature, member));
    member->uses[miniature->index] = (uint8_t)(halved & miniature->counts);
}

static uint32_t looks_wanted(const struct miniature *miniature) {
    return (load(&miniature->rules->samples) + LOOKS_STEP - 1) / LOOKS_STEP * LOOKS_STEP;
}

/* Who lies in that word and may go. */
static uint64_t evictable_in(const struct miniature *miniature, uint32_t word) {
    uint64_t here = miniature->here.words[word];
    return miniature->is_volatile ? here & miniature->population->timed.words[word] : here;
}

/* ... at the hand or behind it. */
static uint64_t ahead_of(const struct miniature *miniature, uint32_t word) {
    return evictable_in(miniature, word) & UINT64_MAX << miniature->hand % POPULATION_WORD;
}

static uint32_t first_place(uint32_t word, uint64_t ahead) {
    return word * POPULATION_WORD + (uint32_t)__builtin_ctzll(ahead);
}

/* What a candidate has in the pool, above its place: never 0. */
static inline __attribute__((always_inline)) uint64_t
candidate_score(const struct miniature *miniature, const struct eviction_view *view,
                const struct member *member, eviction_score_function *score) {
    struct eviction_subject subject = {
        .access = access_of(miniature, member),
        .bytes = member->bytes,
        .deadline_ms = population_deadline_ms(miniature->population, member),
    };
    return (score(view, &subject) + 1) << PLACE_BITS;
}

/* The hand goes on until it met enough for one victim, or once round. */
static inline __attribute__((always_inline)) void sweep(struct miniature *miniature,
                                                        const struct eviction_view *view,
                                                        eviction_score_function *score) {
    struct member *members = miniature->population->members;
    uint32_t wanted = looks_wanted(miniature);
    for (uint32_t i = 0; i <= miniature->population->word_count && wanted > 0; i++) {
        uint32_t word = miniature->hand / POPULATION_WORD, place = miniature->hand;
        uint64_t ahead = ahead_of(miniature, word);
        for (; ahead != 0 && wanted > 0; ahead &= ahead - 1, wanted--) {
            place = first_place(word, ahead);
            struct member *member = &members[place];
            if (__builtin_expect(miniature->is_halving, 0)) halve(miniature, member);
            uint64_t candidate = candidate_score(miniature, view, member, score);
            if (candidate <= miniature->pool_bar || (member->pooled & miniature->bit) != 0)
                continue;
            pool_insert(miniature, candidate, member);
        }
        miniature->hand = place + 1;
        if (ahead == 0) turn_from(miniature, word);
    }
}

/* The best of the pool, who goes; those that were used since they came to it are judged anew. */
static inline __attribute__((always_inline)) struct member *
take_from_pool(struct miniature *miniature, const struct eviction_view *view,
               eviction_score_function *score) {
    while (miniature->pool_count > 0) {
        uint32_t last = miniature->pool_count - 1;
        uint64_t then = miniature->pool[last] & ~PLACE_MASK;
        struct member *member = pool_remove(miniature, last);
        if (miniature->is_volatile && member->deadline == 0) continue;
        uint64_t now = candidate_score(miniature, view, member, score);
        bool is_best = last == 0 || now >= then || now >= (miniature->pool[last - 1] & ~PLACE_MASK);
        if (is_best) return member;
        pool_insert(miniature, now, member);
    }
    return NULL;
}

static bool prefers_recent(const struct miniature *miniature) {
    if (miniature->side != MINIATURE_FOLLOWS) return miniature->side == MINIATURE_BY_RECENCY;
    return atomic_load_explicit(&miniature->rules->prefers_recent, memory_order_relaxed);
}

/* With its score inlined: of what a victim takes, a third are looks. */
static inline __attribute__((always_inline)) bool
evict_by(eviction_score_function *score, struct miniature *miniature, int64_t now_ms) {
    const struct eviction_view view = {miniature->rules, now_ms, prefers_recent(miniature)};
    if (miniature->pool_is_recent != view.prefers_recent) pool_clear(miniature); /* other scores */
    miniature->pool_is_recent = view.prefers_recent;
    struct member *member = NULL;
    bool is_served = miniature->is_blind && miniature->pool_count > 0;
    for (int i = 0; i < 2 && member == NULL; i++) {
        if (!is_served) sweep(miniature, &view, score);
        member = take_from_pool(miniature, &view, score);
        is_served = false;
    }
    if (member == NULL) return false;
    miniature_dismiss(miniature, member, MISS_EVICTED);
    if (member->present == 0) population_remove(miniature->population, member);
    miniature->turnover++;
    return true;
}

static uint64_t score_alike(const struct eviction_view *view,
                            const struct eviction_subject *subject) {
    (void)view, (void)subject;
    return 0;
}

static bool evict_blindly(struct miniature *miniature, int64_t now_ms) {
    return evict_by(score_alike, miniature, now_ms);
}

static bool evict_oldest(struct miniature *miniature, int64_t now_ms) {
    return evict_by(eviction_score_recent, miniature, now_ms);
}

static bool evict_rarest(struct miniature *miniature, int64_t now_ms) {
    return evict_by(eviction_score_logarithmic, miniature, now_ms);
}

static bool evict_soonest(struct miniature *miniature, int64_t now_ms) {
    return evict_by(eviction_score_soonest, miniature, now_ms);
}

static bool evict_adaptively(struct miniature *miniature, int64_t now_ms) {
    return evict_by(eviction_score_adaptive, miniature, now_ms);
}

/* ---- Lifetime -------------------------------------------------------------------------------- */

static miniature_evict_function *const evict_functions[EVICTION_POLICIES] = {
    [EVICTION_VOLATILE_LRU] = evict_oldest,     [EVICTION_VOLATILE_LFU] = evict_rarest,
    [EVICTION_VOLATILE_RANDOM] = evict_blindly, [EVICTION_VOLATILE_TTL] = evict_soonest,
    [EVICTION_ALLKEYS_LRU] = evict_oldest,      [EVICTION_ALLKEYS_LFU] = evict_rarest,
    [EVICTION_ALLKEYS_RANDOM] = evict_blindly,  [EVICTION_ALLKEYS_ADAPTIVE] = evict_adaptively,
};

void miniature_init(struct miniature *miniature, struct population *population, uint32_t index,
                    enum miniature_side side, const struct eviction_rules *rules) {
    *miniature = (struct miniature){
        .population = population,
        .rules = rules,
        .bit = (uint8_t)(1 << index),
        .index = (uint8_t)index,
        .side = side,
        .policy = (enum eviction_policy)load(&rules->policy),
    };
    miniature->evict = evict_functions[miniature->policy];
    miniature->is_volatile = eviction_policy_is_volatile(miniature->policy);
    miniature->is_blind = eviction_policy_is_blind(miniature->policy);
    miniature->counts = eviction_policy_counts(miniature->policy);
    miniature->recalls_uses = miniature->counts != 0 && !eviction_policy_is_lfu(miniature->policy);
    memset(miniature->pool, 0xff, sizeof(miniature->pool)); /* POOL_EMPTY */
    ghost_init(&miniature->ghost);
    random_init(&miniature->random, index);
}

void miniature_release(struct miniature *miniature) {
    ghost_release(&miniature->ghost);
}

/* ---- What befalls a member ------------------------------------------------------------------- */

void miniature_use(struct miniature *miniature, struct member *member, int64_t now_ms) {
    uint32_t access = eviction_access_used(miniature->rules, access_of(miniature, member), now_ms,
                                           &miniature->random);
    member->uses[miniature->index] = (uint8_t)(access & miniature->counts);
}

/* As sweep goes, without doing anything. */
void miniature_expect(struct miniature *miniature, const struct member *member) {
    if (has_room(miniature, member)) return;
    uint32_t wanted = looks_wanted(miniature), word = miniature->hand / POPULATION_WORD;
    uint64_t ahead = ahead_of(miniature, word);
    for (uint32_t i = 0; i <= miniature->population->word_count && wanted > 0; i++) {
        for (; ahead != 0 && wanted > 0; ahead &= ahead - 1, wanted--) {
            __builtin_prefetch(population_at(miniature->population, first_place(word, ahead)));
        }
        if (++word == miniature->population->word_count) word = 0;
        ahead = evictable_in(miniature, word);
    }
}

void miniature_admit(struct miniature *miniature, struct member *member, int64_t now_ms) {
    if (member->bytes > miniature->limit_bytes) return;
    for (uint32_t i = 0; i < VICTIMS_MAX && !has_room(miniature, member); i++) {
        miniature->is_full = true;
        bool may_evict = miniature->evict != NULL;
        if (!may_evict || !miniature->evict(miniature, now_ms)) return;
    }
    uint32_t access =
        eviction_access_new(miniature->rules, &miniature->ghost, ghost_hash(member), now_ms);
    member->uses[miniature->index] = (uint8_t)(access & miniature->counts);
    member->present |= miniature->bit;
    population_map_put(&miniature->here, population_place(miniature->population, member));
    miniature->used_bytes += member->bytes;
    miniature->keys++;
}

/* Who isn't followed any more is no loss of the cache's. */
static void remember(struct miniature *miniature, const struct member *member,
                     enum miss_reason reason) {
    ghost_remember(&miniature->ghost, &(struct departure){.hash = ghost_hash(member),
                                                          .keys = miniature->keys,
                                                          .reason = reason,
                                                          .uses = member->uses[miniature->index]});
}

void miniature_dismiss(struct miniature *miniature, struct member *member,
                       enum miss_reason reason) {
    if (miniature->recalls_uses && reason != MISS_UNKNOWN) remember(miniature, member, reason);
    miniature->keys--;
    miniature->used_bytes -= member->bytes;
    member->present &= (uint8_t)~miniature->bit;
    uint32_t place = population_place(miniature->population, member);
    population_map_take(&miniature->here, place);
    if ((member->pooled & miniature->bit) != 0) pool_forget(miniature, member);
}

void miniature_resize(struct miniature *miniature, const struct member *member, uint32_t bytes) {
    miniature->used_bytes = miniature->used_bytes - member->bytes + bytes;
}

void miniature_validate(const struct miniature *miniature) {
    const struct population *population = miniature->population;
    uint64_t keys = 0, bytes = 0, pooled = 0;
    for (uint32_t place = 0; place < population->word_count * POPULATION_WORD; place++) {
        bool is_here = population_map_has(&miniature->here, place);
        if (!population_map_has(&population->taken, place)) {
            check(!is_here);
            continue;
        }
        const struct member *member = population_at(population, place);
        check(miniature_has(miniature, member) == is_here);
        if (!is_here) continue;
        keys++;
        bytes += member->bytes;
        pooled += (member->pooled & miniature->bit) != 0;
    }
    check(keys == miniature->keys && bytes == miniature->used_bytes);
    check(pooled == miniature->pool_count);
    uint64_t before = 0;
    for (uint32_t i = 0; i < miniature->pool_count; i++) {
        uint64_t candidate = miniature->pool[i];
        check(population_map_has(&miniature->here, place_of(candidate)));
        check((pooled_at(miniature, i)->pooled & miniature->bit) != 0);
        check(i == 0 || before <= (candidate & ~PLACE_MASK));
        before = candidate & ~PLACE_MASK;
    }
}
