/* Eviction in small, so that what it decides is what the shards would.
 *
 * What has to agree, since each was seen to be worth a point of hit ratio or more: how many are looked at for a
 * victim (whole buckets of a table, LOOKS_STEP keys each on average), the pool that is carried from one victim to
 * the next, the ghost's share of the keys (its places are a power of two, in a shard as here: so a curve's rate is
 * one, too), the halving of counts, the shards that lead under allkeys-adaptive.
 *
 * What may differ is how the next to be looked at is found: by a map of the places where there is somebody, 64 in
 * a word. And nobody who is a candidate need be looked at again, nor be looked up before he goes: who leaves the
 * miniature leaves its pool. */
#include "miniature.h"

#include <stddef.h>
#include <string.h>

#include "base/check.h"
#include "entry.h"

enum {
    LOOKS_STEP = 8,       /* keys in a bucket of a table at the memory limit */
    SWEEP_KEYS_MAX = 256, /* met for one victim, at most: volatile-* may find few of theirs */
    VICTIMS_MAX = 64,     /* for one that comes */
    CAMP_RECENCY = 0,
    CAMP_FREQUENCY = 1,
    CAMP_REST = 2,
};

static uint32_t load(const _Atomic uint32_t *field) {
    return atomic_load_explicit(field, memory_order_relaxed);
}

/* ---- Lifetime -------------------------------------------------------------------------------- */

static void lay_camp(struct miniature_camp *camp, uint32_t first_ward, uint32_t wards) {
    enum { WARD_WORDS = POPULATION_WORDS / POPULATION_WARDS };
    *camp = (struct miniature_camp){
        .first_word = first_ward * WARD_WORDS,
        .end_word = (first_ward + wards) * WARD_WORDS,
        .hand = first_ward * POPULATION_WARD_PLACES,
    };
}

void miniature_init(struct miniature *miniature, struct population *population, uint8_t index,
                    const struct eviction_rules *rules) {
    *miniature = (struct miniature){
        .population = population,
        .rules = rules,
        .bit = (uint8_t)(1 << index),
        .index = index,
        .policy = (enum eviction_policy)load(&rules->policy),
    };
    miniature->is_volatile = eviction_policy_is_volatile(miniature->policy);
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

static bool prefers_recent(const struct miniature *miniature, const struct miniature_camp *camp) {
    if (!miniature->has_camps || camp == &miniature->camps[CAMP_REST]) {
        return atomic_load_explicit(&miniature->rules->prefers_recent, memory_order_relaxed);
    }
    return camp == &miniature->camps[CAMP_RECENCY];
}

uint64_t miniature_used_bytes(const struct miniature *miniature) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < miniature->camp_count; i++) {
        bytes += miniature->camps[i].used_bytes;
    }
    return bytes;
}

uint64_t miniature_keys(const struct miniature *miniature) {
    uint64_t keys = 0;
    for (uint32_t i = 0; i < miniature->camp_count; i++) {
        keys += miniature->camps[i].keys;
    }
    return keys;
}

/* Those that are followed have hashes that begin alike: spread them. */
static uint64_t ghost_hash(const struct member *member) {
    return population_spread(member->hash);
}

/* ---- The hand and the pool ------------------------------------------------------------------- */

static uint32_t access_of(const struct miniature *miniature, const struct member *member) {
    return member->stamp | member->uses[miniature->index];
}

static uint64_t score_of(const struct miniature *miniature, const struct eviction_view *view,
                         const struct member *member) {
    struct eviction_subject subject = {
        .access = access_of(miniature, member),
        .bytes = member->bytes,
        .deadline_ms = population_deadline_ms(miniature->population, member),
    };
    return eviction_score(view, &subject);
}

/* Open a place in the pool for a candidate of that score, or have the least one leave its own. What comes is
 * mostly gladder to go than what has been known for a while: look from the end. */
static void pool_insert(struct miniature *miniature, struct miniature_camp *camp, uint64_t score,
                        uint32_t place) {
    uint64_t *scores = camp->pool_scores;
    uint16_t *places = camp->pool_places;
    bool is_full = camp->pool_count == EVICTION_POOL;
    uint32_t at = camp->pool_count;
    while (at > is_full && scores[at - 1] >= score) {
        at--;
    }
    if (is_full) {
        population_map_take(&miniature->pooled, places[0]);
        at--;
        memmove(scores, scores + 1, at * sizeof(*scores));
        memmove(places, places + 1, at * sizeof(*places));
    } else {
        memmove(scores + at + 1, scores + at, (camp->pool_count - at) * sizeof(*scores));
        memmove(places + at + 1, places + at, (camp->pool_count - at) * sizeof(*places));
        camp->pool_count++;
    }
    scores[at] = score;
    places[at] = (uint16_t)place;
    population_map_put(&miniature->pooled, place);
}

static void pool_remove(struct miniature *miniature, struct miniature_camp *camp, uint32_t at) {
    uint64_t *scores = camp->pool_scores;
    uint16_t *places = camp->pool_places;
    population_map_take(&miniature->pooled, places[at]);
    uint32_t behind = --camp->pool_count - at;
    if (behind == 0) return;
    memmove(scores + at, scores + at + 1, behind * sizeof(*scores));
    memmove(places + at, places + at + 1, behind * sizeof(*places));
}

static void pool_forget(struct miniature *miniature, struct miniature_camp *camp, uint32_t place) {
    uint32_t at = 0;
    while (camp->pool_places[at] != place) {
        at++;
    }
    pool_remove(miniature, camp, at);
}

static void pool_clear(struct miniature *miniature, struct miniature_camp *camp) {
    while (camp->pool_count > 0) {
        pool_remove(miniature, camp, camp->pool_count - 1);
    }
}

static bool may_go(const struct miniature *miniature, const struct member *member) {
    return !miniature->is_volatile || member->deadline != 0;
}

/* Whether he counts as one that was looked at. */
static bool meet(struct miniature *miniature, struct miniature_camp *camp,
                 const struct eviction_view *view, uint32_t place) {
    struct member *member = population_at(miniature->population, place);
    if (!may_go(miniature, member)) return false;
    if (camp->is_halving) {
        uint32_t halved = eviction_access_halved(access_of(miniature, member));
        member->uses[miniature->index] = (uint8_t)(halved & miniature->counts);
    }
    if (population_map_has(&miniature->pooled, place)) return true;
    uint64_t score = score_of(miniature, view, member);
    if (camp->pool_count < EVICTION_POOL || score > camp->pool_scores[0])
        pool_insert(miniature, camp, score, place);
    return true;
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

static void sweep(struct miniature *miniature, struct miniature_camp *camp,
                  const struct eviction_view *view) {
    uint32_t samples = load(&miniature->rules->samples);
    uint32_t looks = (samples + LOOKS_STEP - 1) / LOOKS_STEP * LOOKS_STEP;
    uint32_t met = 0, passed = 0;
    for (uint32_t i = camp->first_word; i <= camp->end_word && met < looks; i++) {
        uint32_t word = camp->hand / POPULATION_WORD;
        uint64_t ahead = miniature->here.words[word] & UINT64_MAX << camp->hand % POPULATION_WORD;
        for (; ahead != 0 && met < looks; ahead &= ahead - 1) {
            uint32_t place = word * POPULATION_WORD + (uint32_t)__builtin_ctzll(ahead);
            if (passed++ == SWEEP_KEYS_MAX) return;
            met += meet(miniature, camp, view, place);
            camp->hand = place + 1;
        }
        if (ahead == 0) turn_from(miniature, camp, word);
    }
}

/* The best of the pool, who goes; those that were used since they came to it are judged anew. */
static struct member *take_from_pool(struct miniature *miniature, struct miniature_camp *camp,
                                     const struct eviction_view *view) {
    while (camp->pool_count > 0) {
        uint32_t last = camp->pool_count - 1, place = camp->pool_places[last];
        uint64_t then = camp->pool_scores[last];
        struct member *member = population_at(miniature->population, place);
        pool_remove(miniature, camp, last);
        if (!may_go(miniature, member)) continue;
        uint64_t score = score_of(miniature, view, member);
        bool is_best = last == 0 || score >= then || score >= camp->pool_scores[last - 1];
        if (is_best) return member;
        pool_insert(miniature, camp, score, place);
    }
    return NULL;
}

static bool evict_one(struct miniature *miniature, struct miniature_camp *camp,
                      const struct eviction_view *view) {
    if (camp->pool_is_recent != view->prefers_recent) {
        pool_clear(miniature, camp); /* other scores */
    }
    camp->pool_is_recent = view->prefers_recent;
    bool is_served = eviction_policy_is_blind(miniature->policy) && camp->pool_count > 0;
    if (!is_served) sweep(miniature, camp, view);
    struct member *member = take_from_pool(miniature, camp, view);
    if (member == NULL) {
        sweep(miniature, camp, view);
        member = take_from_pool(miniature, camp, view);
    }
    if (member == NULL) return false;
    miniature_dismiss(miniature, member, MISS_EVICTED);
    if (member->present == 0) population_remove(miniature->population, member);
    camp->turnover++;
    return true;
}

/* ---- What befalls a member ------------------------------------------------------------------- */

void miniature_use(struct miniature *miniature, struct member *member, int64_t now_ms) {
    if (miniature->counts == 0) return;
    uint32_t access = eviction_access_used(miniature->rules, access_of(miniature, member), now_ms,
                                           &miniature->random);
    member->uses[miniature->index] = (uint8_t)(access & miniature->counts);
}

void miniature_admit(struct miniature *miniature, struct member *member, int64_t now_ms) {
    struct miniature_camp *camp = camp_of(miniature, member->hash);
    uint64_t limit = limit_of(miniature, camp);
    if (member->bytes > limit) return;
    struct eviction_view view = {miniature->rules, now_ms, prefers_recent(miniature, camp)};
    bool is_largest = camp == &miniature->camps[miniature->camp_count - 1];
    for (uint32_t i = 0; i < VICTIMS_MAX && camp->used_bytes + member->bytes > limit; i++) {
        miniature->is_full |= is_largest;
        bool may_evict = eviction_policy_evicts(miniature->policy);
        if (!may_evict || !evict_one(miniature, camp, &view)) return;
    }
    uint32_t access =
        eviction_access_new(miniature->rules, &miniature->ghost, ghost_hash(member), now_ms);
    member->uses[miniature->index] = (uint8_t)(access & miniature->counts);
    member->present |= miniature->bit;
    population_map_put(&miniature->here, population_place(miniature->population, member));
    camp->used_bytes += member->bytes;
    camp->keys++;
}

/* Who isn't followed any more is no loss of the cache's. */
static void remember(struct miniature *miniature, const struct member *member,
                     enum miss_reason reason) {
    ghost_remember(&miniature->ghost, &(struct departure){.hash = ghost_hash(member),
                                                          .keys = miniature_keys(miniature),
                                                          .reason = reason,
                                                          .uses = member->uses[miniature->index]});
}

void miniature_dismiss(struct miniature *miniature, struct member *member,
                       enum miss_reason reason) {
    if (miniature->recalls_uses && reason != MISS_UNKNOWN) remember(miniature, member, reason);
    struct miniature_camp *camp = camp_of(miniature, member->hash);
    camp->used_bytes -= member->bytes;
    camp->keys--;
    member->present &= (uint8_t)~miniature->bit;
    uint32_t place = population_place(miniature->population, member);
    population_map_take(&miniature->here, place);
    if (population_map_has(&miniature->pooled, place)) pool_forget(miniature, camp, place);
}

void miniature_resize(struct miniature *miniature, const struct member *member, uint32_t bytes) {
    struct miniature_camp *camp = camp_of(miniature, member->hash);
    camp->used_bytes = camp->used_bytes - member->bytes + bytes;
}

static void validate_camp(const struct miniature *miniature, const struct miniature_camp *camp) {
    uint64_t keys = 0, bytes = 0, pooled = 0;
    uint32_t end = camp->end_word * POPULATION_WORD;
    for (uint32_t place = camp->first_word * POPULATION_WORD; place < end; place++) {
        pooled += population_map_has(&miniature->pooled, place);
        if (!population_map_has(&miniature->here, place)) continue;
        const struct member *member = population_at(miniature->population, place);
        check(miniature_has(miniature, member));
        keys++;
        bytes += member->bytes;
    }
    check(keys == camp->keys && bytes == camp->used_bytes && pooled == camp->pool_count);
    for (uint32_t i = 0; i < camp->pool_count; i++) {
        check(population_map_has(&miniature->here, camp->pool_places[i]));
        check(population_map_has(&miniature->pooled, camp->pool_places[i]));
        check(i == 0 || camp->pool_scores[i - 1] <= camp->pool_scores[i]);
    }
}

void miniature_validate(const struct miniature *miniature) {
    uint64_t present = 0;
    for (uint32_t place = 0; place < POPULATION_PLACES; place++) {
        if (!population_map_has(&miniature->population->taken, place)) continue;
        present += miniature_has(miniature, population_at(miniature->population, place));
    }
    check(present == miniature_keys(miniature));
    for (uint32_t i = 0; i < miniature->camp_count; i++) {
        validate_camp(miniature, &miniature->camps[i]);
    }
}
