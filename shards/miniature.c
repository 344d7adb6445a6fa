/* Eviction in small, so that what it decides is what the shards would.
 *
 * What has to agree, since each was seen to be worth a point of hit ratio or more: how many are looked at for a
 * victim (whole buckets of a table, LOOKS_STEP keys each on average), the pool that is carried from one victim to
 * the next, the ghost's share of the keys (its places are a power of two, in a shard as here: so a curve's rate is
 * one, too), the halving of counts, the shards that lead under allkeys-adaptive. */
#include "miniature.h"

#include <stddef.h>

#include "base/check.h"
#include "entry.h"

enum {
    LOOKS_STEP = 8, /* keys in a bucket of a table at the memory limit */
    SWEEP_BUCKETS_MAX =
        64, /* that the hand passes for one victim: in a small population most are empty */
    VICTIMS_MAX = 64, /* for one that comes */
    CAMP_RECENCY = 0,
    CAMP_FREQUENCY = 1,
    CAMP_REST = 2,
};

static uint32_t load(const _Atomic uint32_t *field) {
    return atomic_load_explicit(field, memory_order_relaxed);
}

/* ---- Lifetime -------------------------------------------------------------------------------- */

static void lay_camp(struct miniature_camp *camp, uint32_t first_ward, uint32_t wards) {
    *camp = (struct miniature_camp){.first_bucket = first_ward * POPULATION_WARD_BUCKETS,
                                    .bucket_count = wards * POPULATION_WARD_BUCKETS};
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
    miniature->counts = eviction_policy_counts(miniature->policy);
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

/* Its part of the room, as of the buckets. */
static uint64_t limit_of(const struct miniature *miniature, const struct miniature_camp *camp) {
    return miniature->limit_bytes * camp->bucket_count / POPULATION_BUCKETS;
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

static uint32_t pool_first(const struct miniature_camp *camp) {
    uint32_t first = 0;
    for (uint32_t i = 1; i < camp->pool_count; i++) {
        if (camp->pool[i].score > camp->pool[first].score) first = i;
    }
    return first;
}

/* Take in a candidate, in place of the least one if that is worth less. Most aren't worth even what is known of
 * the least. */
static void pool_offer(struct miniature_camp *camp, const struct miniature_candidate *candidate) {
    bool is_full = camp->pool_count == EVICTION_POOL;
    if (is_full && candidate->score <= camp->pool_least) return;
    uint32_t last = 0;
    for (uint32_t i = 0; i < camp->pool_count; i++) {
        if (camp->pool[i].index == candidate->index) return;
        if (camp->pool[i].score < camp->pool[last].score) last = i;
    }
    camp->pool_least = camp->pool_count > 0 ? camp->pool[last].score : 0;
    if (is_full && candidate->score <= camp->pool_least) return;
    camp->pool[is_full ? last : camp->pool_count++] = *candidate;
    if (candidate->score < camp->pool_least) camp->pool_least = candidate->score;
}

static void meet(struct miniature *miniature, struct miniature_camp *camp,
                 const struct eviction_view *view, struct member *member) {
    if (camp->is_halving) {
        uint32_t halved = eviction_access_halved(access_of(miniature, member));
        member->uses[miniature->index] = (uint8_t)(halved & miniature->counts);
    }
    struct miniature_candidate candidate = {
        .hash = member->hash,
        .score = score_of(miniature, view, member),
        .index = population_index(miniature->population, member),
    };
    pool_offer(camp, &candidate);
}

static bool may_go(const struct miniature *miniature, const struct member *member) {
    if (!miniature_has(miniature, member)) return false;
    return !eviction_policy_is_volatile(miniature->policy) || member->deadline != 0;
}

static uint32_t meet_bucket(struct miniature *miniature, struct miniature_camp *camp,
                            const struct eviction_view *view) {
    struct population *population = miniature->population;
    uint32_t met = 0;
    uint32_t index = population->buckets[camp->first_bucket + camp->hand];
    for (struct member *member; index != 0; index = member->next) {
        member = population_at(population, index);
        if (!may_go(miniature, member)) continue;
        meet(miniature, camp, view, member);
        met++;
    }
    return met;
}

/* The hand has been everywhere. */
static void begin_round(const struct miniature *miniature, struct miniature_camp *camp) {
    camp->is_halving = miniature->policy == EVICTION_ALLKEYS_ADAPTIVE &&
                       camp->turnover >= camp->keys * EVICTION_HALVING_TURNS;
    if (camp->is_halving) camp->turnover = 0;
}

static void sweep(struct miniature *miniature, struct miniature_camp *camp,
                  const struct eviction_view *view) {
    uint32_t samples = load(&miniature->rules->samples);
    uint32_t looks = (samples + LOOKS_STEP - 1) / LOOKS_STEP * LOOKS_STEP;
    uint32_t met = 0;
    for (uint32_t passed = 0; passed < SWEEP_BUCKETS_MAX && met < looks; passed++) {
        if (camp->hand == 0) begin_round(miniature, camp);
        met += meet_bucket(miniature, camp, view);
        camp->hand = (camp->hand + 1) % camp->bucket_count;
    }
}

/* The best of the pool that is still what it was; those that were used since are judged anew. */
static struct member *take_from_pool(const struct miniature *miniature, struct miniature_camp *camp,
                                     const struct eviction_view *view) {
    while (camp->pool_count > 0) {
        uint32_t first = pool_first(camp);
        struct miniature_candidate *candidate = &camp->pool[first];
        struct member *member = population_at(miniature->population, candidate->index);
        if (member->hash != candidate->hash || !may_go(miniature, member)) {
            *candidate = camp->pool[--camp->pool_count];
            continue;
        }
        uint64_t score = score_of(miniature, view, member);
        if (score < candidate->score) {
            candidate->score = score;
            if (score < camp->pool_least) camp->pool_least = score;
            if (pool_first(camp) != first) continue;
        }
        *candidate = camp->pool[--camp->pool_count];
        return member;
    }
    return NULL;
}

static bool evict_one(struct miniature *miniature, struct miniature_camp *camp,
                      const struct eviction_view *view) {
    if (camp->pool_is_recent != view->prefers_recent) camp->pool_count = 0; /* other scores */
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
    camp->used_bytes += member->bytes;
    camp->keys++;
}

void miniature_dismiss(struct miniature *miniature, struct member *member,
                       enum miss_reason reason) {
    ghost_remember(&miniature->ghost, &(struct departure){.hash = ghost_hash(member),
                                                          .keys = miniature_keys(miniature),
                                                          .reason = reason,
                                                          .uses = member->uses[miniature->index]});
    struct miniature_camp *camp = camp_of(miniature, member->hash);
    camp->used_bytes -= member->bytes;
    camp->keys--;
    member->present &= (uint8_t)~miniature->bit;
}

void miniature_resize(struct miniature *miniature, const struct member *member, uint32_t bytes) {
    struct miniature_camp *camp = camp_of(miniature, member->hash);
    camp->used_bytes = camp->used_bytes - member->bytes + bytes;
}

void miniature_validate(const struct miniature *miniature) {
    const struct population *population = miniature->population;
    for (uint32_t i = 0; i < miniature->camp_count; i++) {
        const struct miniature_camp *camp = &miniature->camps[i];
        uint64_t keys = 0, bytes = 0;
        for (uint32_t bucket = 0; bucket < camp->bucket_count; bucket++) {
            uint32_t index = population->buckets[camp->first_bucket + bucket];
            for (; index != 0; index = population->members[index].next) {
                const struct member *member = &population->members[index];
                if (!miniature_has(miniature, member)) continue;
                keys++;
                bytes += member->bytes;
            }
        }
        check(keys == camp->keys && bytes == camp->used_bytes);
    }
}
