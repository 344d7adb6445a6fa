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
    CAMP_RECENCY = 0,
    CAMP_FREQUENCY = 1,
    CAMP_REST = 2,
};

static const uint64_t PLACE_MASK = POPULATION_PLACES - 1;
static const uint64_t POOL_EMPTY = UINT64_MAX; /* scores more than anybody */
static_assert(POPULATION_PLACES == 1 << PLACE_BITS, "a candidate's place fits below its score");
static_assert(EVICTION_POOL == 16, "pool_rank halves it");

static uint32_t load(const _Atomic uint32_t *field) {
    return atomic_load_explicit(field, memory_order_relaxed);
}

/* ---- Camps ----------------------------------------------------------------------------------- */

static struct miniature_camp *camp_of(struct miniature *miniature, uint64_t hash) {
    if (!miniature->has_camps) return &miniature->camps[0];
    uint32_t ward = population_ward(hash);
    return &miniature->camps[ward < CAMP_REST ? ward : CAMP_REST];
}

/* Its part of the room, as of the places. */
static uint64_t limit_of(const struct miniature *miniature, const struct miniature_camp *camp) {
    return miniature->limit_bytes * (camp->end_word - camp->first_word) / POPULATION_WORDS;
}

static bool has_room(const struct miniature *miniature, const struct miniature_camp *camp,
                     const struct member *member) {
    return camp->used_bytes + member->bytes <= limit_of(miniature, camp);
}

uint64_t miniature_used_bytes(const struct miniature *miniature) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < miniature->camp_count; i++) {
        bytes += miniature->camps[i].used_bytes;
    }
    return bytes;
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

static struct member *pooled_at(const struct miniature *miniature,
                                const struct miniature_camp *camp, uint32_t at) {
    return population_at(miniature->population, place_of(camp->pool[at]));
}

static void pool_leave(const struct miniature *miniature, struct member *member) {
    member->pooled &= (uint8_t)~miniature->bit;
}

/* How many of the pool score less. In four halvings, of which none has to be foretold. */
static inline uint32_t pool_rank(const struct miniature_camp *camp, uint64_t score) {
    const uint64_t *pool = camp->pool;
    uint32_t rank = pool[7] < score ? 8 : 0;
    rank += pool[rank + 3] < score ? 4 : 0;
    rank += pool[rank + 1] < score ? 2 : 0;
    rank += pool[rank] < score;
    return rank + (pool[rank] < score);
}

/* Put a candidate where its score belongs, below its equals; of too many the least is dropped. */
static __attribute__((noinline)) void pool_insert(const struct miniature *miniature,
                                                  struct miniature_camp *camp, uint64_t score,
                                                  struct member *member) {
    uint64_t *pool = camp->pool;
    uint32_t at = pool_rank(camp, score);
    if (camp->pool_count == EVICTION_POOL) {
        pool_leave(miniature, pooled_at(miniature, camp, 0));
        memmove(pool, pool + 1, --at * sizeof(*pool));
    } else {
        memmove(pool + at + 1, pool + at, (camp->pool_count - at) * sizeof(*pool));
        camp->pool_count++;
    }
    pool[at] = score | population_place(miniature->population, member);
    member->pooled |= miniature->bit;
    if (camp->pool_count == EVICTION_POOL) camp->pool_bar = pool[0];
}

static struct member *pool_remove(const struct miniature *miniature, struct miniature_camp *camp,
                                  uint32_t at) {
    struct member *member = pooled_at(miniature, camp, at);
    uint64_t *pool = camp->pool;
    pool_leave(miniature, member);
    uint32_t last = --camp->pool_count;
    for (; at < last; at++) {
        pool[at] = pool[at + 1];
    }
    pool[last] = POOL_EMPTY;
    camp->pool_bar = 0;
    return member;
}

static void pool_forget(const struct miniature *miniature, struct miniature_camp *camp,
                        const struct member *member) {
    uint32_t at = 0;
    while (pooled_at(miniature, camp, at) != member) {
        at++;
    }
    pool_remove(miniature, camp, at);
}

static void pool_clear(const struct miniature *miniature, struct miniature_camp *camp) {
    while (camp->pool_count > 0) {
        pool_remove(miniature, camp, camp->pool_count - 1);
    }
}

/* The hand has been everywhere. */
static void begin_round(const struct miniature *miniature, struct miniature_camp *camp) {
    camp->is_halving = miniature->policy == EVICTION_ALLKEYS_ADAPTIVE &&
                       camp->turnover >= camp->keys * EVICTION_HALVING_TURNS;
    if (camp->is_halving) camp->turnover = 0;
}

/* To the word behind that one, which may be the first again. */
static void turn_from(const struct miniature *miniature, struct miniature_camp *camp,
                      uint32_t word) {
    if (++word == camp->end_word) {
        word = camp->first_word;
        begin_round(miniature, camp);
    }
    camp->hand = word * POPULATION_WORD;
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
static uint64_t ahead_of(const struct miniature *miniature, const struct miniature_camp *camp,
                         uint32_t word) {
    return evictable_in(miniature, word) & UINT64_MAX << camp->hand % POPULATION_WORD;
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
                                                        struct miniature_camp *camp,
                                                        const struct eviction_view *view,
                                                        eviction_score_function *score) {
    struct member *members = miniature->population->members;
    uint32_t wanted = looks_wanted(miniature);
    for (uint32_t i = camp->first_word; i <= camp->end_word && wanted > 0; i++) {
        uint32_t word = camp->hand / POPULATION_WORD, place = camp->hand;
        uint64_t ahead = ahead_of(miniature, camp, word);
        for (; ahead != 0 && wanted > 0; ahead &= ahead - 1, wanted--) {
            place = first_place(word, ahead);
            struct member *member = &members[place];
            if (__builtin_expect(camp->is_halving, 0)) halve(miniature, member);
            uint64_t candidate = candidate_score(miniature, view, member, score);
            if (candidate <= camp->pool_bar || (member->pooled & miniature->bit) != 0) continue;
            pool_insert(miniature, camp, candidate, member);
        }
        camp->hand = place + 1;
        if (ahead == 0) turn_from(miniature, camp, word);
    }
}

/* The best of the pool, who goes; those that were used since they came to it are judged anew. */
static inline __attribute__((always_inline)) struct member *
take_from_pool(struct miniature *miniature, struct miniature_camp *camp,
               const struct eviction_view *view, eviction_score_function *score) {
    while (camp->pool_count > 0) {
        uint32_t last = camp->pool_count - 1;
        uint64_t then = camp->pool[last] & ~PLACE_MASK;
        struct member *member = pool_remove(miniature, camp, last);
        if (miniature->is_volatile && member->deadline == 0) continue;
        uint64_t now = candidate_score(miniature, view, member, score);
        bool is_best = last == 0 || now >= then || now >= (camp->pool[last - 1] & ~PLACE_MASK);
        if (is_best) return member;
        pool_insert(miniature, camp, now, member);
    }
    return NULL;
}

static bool prefers_recent(const struct miniature *miniature, const struct miniature_camp *camp) {
    if (!miniature->has_camps || camp == &miniature->camps[CAMP_REST]) {
        return atomic_load_explicit(&miniature->rules->prefers_recent, memory_order_relaxed);
    }
    return camp == &miniature->camps[CAMP_RECENCY];
}

/* With its score inlined: of what a victim takes, a third are looks. */
static inline __attribute__((always_inline)) bool evict_by(eviction_score_function *score,
                                                           struct miniature *miniature,
                                                           struct miniature_camp *camp,
                                                           int64_t now_ms) {
    const struct eviction_view view = {miniature->rules, now_ms, prefers_recent(miniature, camp)};
    if (camp->pool_is_recent != view.prefers_recent) pool_clear(miniature, camp); /* other scores */
    camp->pool_is_recent = view.prefers_recent;
    struct member *member = NULL;
    bool is_served = miniature->is_blind && camp->pool_count > 0;
    for (int i = 0; i < 2 && member == NULL; i++) {
        if (!is_served) sweep(miniature, camp, &view, score);
        member = take_from_pool(miniature, camp, &view, score);
        is_served = false;
    }
    if (member == NULL) return false;
    miniature_dismiss(miniature, member, MISS_EVICTED);
    if (member->present == 0) population_remove(miniature->population, member);
    camp->turnover++;
    return true;
}

static uint64_t score_alike(const struct eviction_view *view,
                            const struct eviction_subject *subject) {
    (void)view, (void)subject;
    return 0;
}

static bool evict_blindly(struct miniature *miniature, struct miniature_camp *camp,
                          int64_t now_ms) {
    return evict_by(score_alike, miniature, camp, now_ms);
}

static bool evict_oldest(struct miniature *miniature, struct miniature_camp *camp, int64_t now_ms) {
    return evict_by(eviction_score_recent, miniature, camp, now_ms);
}

static bool evict_rarest(struct miniature *miniature, struct miniature_camp *camp, int64_t now_ms) {
    return evict_by(eviction_score_logarithmic, miniature, camp, now_ms);
}

static bool evict_soonest(struct miniature *miniature, struct miniature_camp *camp,
                          int64_t now_ms) {
    return evict_by(eviction_score_soonest, miniature, camp, now_ms);
}

static bool evict_adaptively(struct miniature *miniature, struct miniature_camp *camp,
                             int64_t now_ms) {
    return evict_by(eviction_score_adaptive, miniature, camp, now_ms);
}

/* ---- Lifetime -------------------------------------------------------------------------------- */

static void lay_camp(struct miniature_camp *camp, uint32_t first_ward, uint32_t wards) {
    enum { WARD_WORDS = POPULATION_WORDS / POPULATION_WARDS };
    *camp = (struct miniature_camp){
        .first_word = first_ward * WARD_WORDS,
        .end_word = (first_ward + wards) * WARD_WORDS,
        .hand = first_ward * POPULATION_WARD_PLACES,
    };
    memset(camp->pool, 0xff, sizeof(camp->pool)); /* POOL_EMPTY */
}

static miniature_evict_function *const evict_functions[EVICTION_POLICIES] = {
    [EVICTION_VOLATILE_LRU] = evict_oldest,     [EVICTION_VOLATILE_LFU] = evict_rarest,
    [EVICTION_VOLATILE_RANDOM] = evict_blindly, [EVICTION_VOLATILE_TTL] = evict_soonest,
    [EVICTION_ALLKEYS_LRU] = evict_oldest,      [EVICTION_ALLKEYS_LFU] = evict_rarest,
    [EVICTION_ALLKEYS_RANDOM] = evict_blindly,  [EVICTION_ALLKEYS_ADAPTIVE] = evict_adaptively,
};

void miniature_init(struct miniature *miniature, struct population *population, uint8_t index,
                    const struct eviction_rules *rules) {
    *miniature = (struct miniature){
        .population = population,
        .rules = rules,
        .bit = (uint8_t)(1 << index),
        .index = index,
        .policy = (enum eviction_policy)load(&rules->policy),
    };
    miniature->evict = evict_functions[miniature->policy];
    miniature->is_volatile = eviction_policy_is_volatile(miniature->policy);
    miniature->is_blind = eviction_policy_is_blind(miniature->policy);
    miniature->counts = eviction_policy_counts(miniature->policy);
    miniature->recalls_uses = miniature->counts != 0 && !eviction_policy_is_lfu(miniature->policy);
    miniature->has_camps =
        miniature->policy == EVICTION_ALLKEYS_ADAPTIVE && rules->shard_count >= EVICTION_ROLE_EVERY;
    ghost_init(&miniature->ghost);
    random_init(&miniature->random, index);
    if (!miniature->has_camps) {
        lay_camp(&miniature->camps[0], 0, POPULATION_WARDS);
        miniature->camp_count = 1;
        return;
    }
    lay_camp(&miniature->camps[CAMP_RECENCY], 0, 1);
    lay_camp(&miniature->camps[CAMP_FREQUENCY], 1, 1);
    lay_camp(&miniature->camps[CAMP_REST], 2, POPULATION_WARDS - 2);
    miniature->camp_count = MINIATURE_CAMPS;
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
    const struct miniature_camp *camp = camp_of(miniature, member->hash);
    if (has_room(miniature, camp, member)) return;
    uint32_t wanted = looks_wanted(miniature), word = camp->hand / POPULATION_WORD;
    uint64_t ahead = ahead_of(miniature, camp, word);
    for (uint32_t i = camp->first_word; i <= camp->end_word && wanted > 0; i++) {
        for (; ahead != 0 && wanted > 0; ahead &= ahead - 1, wanted--) {
            __builtin_prefetch(population_at(miniature->population, first_place(word, ahead)));
        }
        if (++word == camp->end_word) word = camp->first_word;
        ahead = evictable_in(miniature, word);
    }
}

void miniature_admit(struct miniature *miniature, struct member *member, int64_t now_ms) {
    struct miniature_camp *camp = camp_of(miniature, member->hash);
    if (member->bytes > limit_of(miniature, camp)) return;
    bool is_largest = camp == &miniature->camps[miniature->camp_count - 1];
    for (uint32_t i = 0; i < VICTIMS_MAX && !has_room(miniature, camp, member); i++) {
        miniature->is_full |= is_largest;
        bool may_evict = miniature->evict != NULL;
        if (!may_evict || !miniature->evict(miniature, camp, now_ms)) return;
    }
    uint32_t access =
        eviction_access_new(miniature->rules, &miniature->ghost, ghost_hash(member), now_ms);
    member->uses[miniature->index] = (uint8_t)(access & miniature->counts);
    member->present |= miniature->bit;
    population_map_put(&miniature->here, population_place(miniature->population, member));
    camp->used_bytes += member->bytes;
    camp->keys++;
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
    struct miniature_camp *camp = camp_of(miniature, member->hash);
    miniature->keys--;
    camp->used_bytes -= member->bytes;
    camp->keys--;
    member->present &= (uint8_t)~miniature->bit;
    uint32_t place = population_place(miniature->population, member);
    population_map_take(&miniature->here, place);
    if ((member->pooled & miniature->bit) != 0) pool_forget(miniature, camp, member);
}

void miniature_resize(struct miniature *miniature, const struct member *member, uint32_t bytes) {
    struct miniature_camp *camp = camp_of(miniature, member->hash);
    camp->used_bytes = camp->used_bytes - member->bytes + bytes;
}

static void validate_camp(const struct miniature *miniature, const struct miniature_camp *camp) {
    uint64_t keys = 0, bytes = 0, pooled = 0;
    uint32_t end = camp->end_word * POPULATION_WORD;
    for (uint32_t place = camp->first_word * POPULATION_WORD; place < end; place++) {
        if (!population_map_has(&miniature->here, place)) continue;
        const struct member *member = population_at(miniature->population, place);
        check(miniature_has(miniature, member));
        keys++;
        bytes += member->bytes;
        pooled += (member->pooled & miniature->bit) != 0;
    }
    check(keys == camp->keys && bytes == camp->used_bytes && pooled == camp->pool_count);
    uint64_t before = 0;
    for (uint32_t i = 0; i < camp->pool_count; i++) {
        uint64_t candidate = camp->pool[i];
        check(population_map_has(&miniature->here, place_of(candidate)));
        check((pooled_at(miniature, camp, i)->pooled & miniature->bit) != 0);
        check(i == 0 || before <= (candidate & ~PLACE_MASK));
        before = candidate & ~PLACE_MASK;
    }
}

void miniature_validate(const struct miniature *miniature) {
    uint64_t present = 0;
    for (uint32_t place = 0; place < POPULATION_PLACES; place++) {
        if (!population_map_has(&miniature->population->taken, place)) continue;
        present += miniature_has(miniature, population_at(miniature->population, place));
    }
    check(present == miniature->keys);
    for (uint32_t i = 0; i < miniature->camp_count; i++) {
        validate_camp(miniature, &miniature->camps[i]);
    }
}
