/* Every policy against a twin that knows of each key its last use, its uses, its deadline and its size.
 *
 * First, victims one by one: each is named by the shard and judged by the twin, who looks at all keys where the shard
 * looked at a few. Of those few none may be a better victim, so in each shard at least so many keys aren't; most of
 * the time the pool does far better, which is a matter of the mean. Then the limit: puts of all sizes under every
 * policy by turns, after which nobody is gone whose going wasn't counted, and none who may not go.
 *
 * LFU counts by chance; with lfu-log-factor 0 each use counts, and the twin counts along. Of allkeys-adaptive's worth
 * the twin knows the formula, but not what ghosts remember: a mean only. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "model.h"
#include "shards/base/memory.h"
#include "shards/duel.h"
#include "shards/note.h"
#include "shards/place.h"
#include "shards/room.h"
#include "shards/shards.h"

enum {
    SHARDS = 2,
    DATABASES = 2,
    KEYS = 1500, /* a database's */
    VALUE_MAX = 16384,
    VICTIMS = 8,
    LFU_BEGIN = 5,
    LFU_MAX = 255,
    USES_MAX = 15,
    LOOK_EVERY = 1000, /* steps */
};
static const int64_t START_MS = 1700000000000;

struct twin_key {
    bool is_there; /* or it was, and nobody looked since */
    uint8_t fill;
    uint32_t shard, uses, value_size;
    int64_t used_ms, deadline_ms;
};

struct model {
    struct shards shards;
    struct duel duel;
    struct random random;
    struct twin_key twins[DATABASES][KEYS];
    int64_t now_ms;
    uint32_t value_max, lasting_percent; /* of what is put: without a deadline */
    bool is_limited;                     /* keys are evicted without the twin being told */
    uint64_t created, deleted, found_expired, refused;
};

static uint32_t draw(struct model *model, uint32_t below) {
    return (uint32_t)random_below(&model->random, below);
}

/* Low numbers are drawn more often: some are used all the time, others hardly. */
static uint32_t draw_number(struct model *model) {
    return draw(model, draw(model, KEYS) + 1);
}

static struct eviction_rules *rules_of(struct model *model) {
    return &model->shards.eviction;
}

static enum eviction_policy policy_of(struct model *model) {
    return (enum eviction_policy)atomic_load(&rules_of(model)->policy);
}

/* ---- The store ------------------------------------------------------------------------------- */

static void init(struct model *model, const char *name) {
    *model = (struct model){.now_ms = START_MS};
    model_seed(&model->random, name);
    struct shards_options options = {.shard_count = SHARDS,
                                     .database_count = DATABASES,
                                     .worker_count = 1,
                                     .seed = random_next(&model->random),
                                     .reserve_bytes = (size_t)64 << 20};
    assert_int_equal(shards_init(&model->shards, &options), STATUS_OK);
    duel_init(&model->duel, &model->shards);
    atomic_store(&rules_of(model)->lfu_log_factor, 0);
    atomic_store(&rules_of(model)->lfu_decay_minutes, 0);
}

static void release(struct model *model) {
    duel_release(&model->duel);
    shards_release(&model->shards);
    assert_int_equal(memory_used(), 0);
}

static void validate(struct model *model) {
    duel_validate(&model->duel);
    for (uint32_t i = 0; i < SHARDS; i++) {
        shard_validate(&model->shards.shards[i]);
    }
}

static struct place place_of(struct model *model, uint32_t database, uint32_t number, char *text) {
    int size = snprintf(text, MODEL_KEY_MAX, "key:%" PRIu32, number);
    struct bytes name = bytes_of(text, (size_t)size);
    struct shard *shard = shards_of(&model->shards, name);
    model->twins[database][number].shard = shard->index;
    return (struct place){.database = shard_database(shard, database),
                          .key = shards_key(&model->shards, name),
                          .now_ms = model->now_ms};
}

static uint64_t evicted(const struct model *model) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < SHARDS; i++) {
        sum += atomic_load(&model->shards.shards[i].eviction.evicted);
    }
    return sum;
}

/* Who goes is either evicted, deleted or expired, and counted once. */
static void expect_books_kept(const struct model *model) {
    uint64_t expired = model->found_expired;
    for (uint32_t i = 0; i < SHARDS; i++) {
        expired += atomic_load(&model->shards.shards[i].expired);
    }
    assert_int_equal(model->created - evicted(model) - model->deleted - expired,
                     shards_key_count_all(&model->shards));
}

static bool has_deadline(const struct twin_key *twin) {
    return twin->deadline_ms != ENTRY_NO_EXPIRY;
}

static bool is_due(const struct model *model, const struct twin_key *twin) {
    return has_deadline(twin) && twin->deadline_ms <= model->now_ms;
}

/* Is it somebody whom the policy in force lets go? */
static bool may_be_evicted(struct model *model, const struct twin_key *twin) {
    enum eviction_policy policy = policy_of(model);
    return eviction_policy_evicts(policy) &&
           (!eviction_policy_is_volatile(policy) || has_deadline(twin));
}

/* A key isn't found. One that is due may be there still: who is only read isn't removed. */
static void note_gone(struct model *model, struct twin_key *twin) {
    if (!twin->is_there || is_due(model, twin)) return;
    assert_true(model->is_limited && may_be_evicted(model, twin));
    twin->is_there = false;
}

static void count_use(const struct model *model, struct twin_key *twin) {
    twin->used_ms = model->now_ms;
    twin->uses++;
}

static struct entry *find_for_write(struct model *model, struct place *place,
                                    struct twin_key *twin) {
    bool is_expired = false;
    place->entry =
        database_find_for_write(place->database, &place->key, model->now_ms, NULL, &is_expired);
    model->found_expired += is_expired;
    if (place->entry == NULL) {
        note_gone(model, twin);
        twin->is_there = false;
    }
    assert_int_equal(place->entry != NULL, twin->is_there);
    return place->entry;
}

static void expect_whole(const struct entry *entry, const struct twin_key *twin) {
    static char expected[VALUE_MAX];
    struct bytes value = entry_value(entry);
    memset(expected, twin->fill, twin->value_size);
    assert_int_equal(value.size, twin->value_size);
    assert_memory_equal(value.data, expected, value.size);
}

static void follow(struct model *model, uint32_t database, const struct key *key, bool is_lookup) {
    if (key->hash >= duel_followed_below(&model->duel)) return;
    struct note note = {.database = database, .is_lookup = is_lookup};
    note_look(&note, &model->shards, key, model->now_ms);
    duel_note(&model->duel, &note, model->now_ms);
}

/* ---- Steps ----------------------------------------------------------------------------------- */

static void get(struct model *model, uint32_t database, uint32_t number) {
    char text[MODEL_KEY_MAX];
    struct place place = place_of(model, database, number, text);
    struct twin_key *twin = &model->twins[database][number];
    struct entry *entry = database_find(place.database, &place.key, model->now_ms);
    if (entry != NULL) {
        assert_true(twin->is_there && !is_due(model, twin));
        expect_whole(entry, twin);
        database_touch(place.database, entry, model->now_ms);
        count_use(model, twin);
    } else {
        note_gone(model, twin);
    }
    follow(model, database, &place.key, true);
}

static int64_t draw_deadline(struct model *model) {
    if (draw(model, 100) < model->lasting_percent) return ENTRY_NO_EXPIRY;
    return model->now_ms + 1 + draw(model, draw(model, 8) == 0 ? 20000 : 2000000);
}

/* A shard with free slots evicts nobody, be they of the wrong size; so the last one or two may stay. */
static void expect_nobody_to_go(struct model *model) {
    enum eviction_policy policy = policy_of(model);
    if (!eviction_policy_evicts(policy)) return;
    assert_true(eviction_policy_is_volatile(policy));
    uint64_t deadlines = 0;
    for (uint32_t i = 0; i < DATABASES; i++) {
        deadlines += shards_deadline_count(&model->shards, i);
    }
    assert_true(deadlines <= VICTIMS);
}

/* As a command does before it writes. */
static bool has_room(struct model *model, struct shard *shard) {
    if (room_make(shard, model->now_ms, VICTIMS, NULL) ||
        shards_relieve(&model->shards, shard->index, model->now_ms, VICTIMS))
        return true;
    assert_true(room_is_past(rules_of(model)));
    expect_nobody_to_go(model);
    return false;
}

static void set(struct model *model, uint32_t database, uint32_t number) {
    static char data[VALUE_MAX];
    char text[MODEL_KEY_MAX];
    struct place place = place_of(model, database, number, text);
    struct twin_key *twin = &model->twins[database][number];
    if (!has_room(model, &model->shards.shards[twin->shard])) {
        model->refused++;
        return;
    }
    bool is_new = find_for_write(model, &place, twin) == NULL;
    twin->deadline_ms = draw_deadline(model);
    twin->value_size = draw(model, draw(model, model->value_max) + 1);
    twin->fill = (uint8_t)draw(model, 256);
    memset(data, twin->fill, twin->value_size);
    struct entry_content content = {.value = bytes_of(data, twin->value_size)};
    assert_int_equal(place_put(&place, &content, twin->deadline_ms), STATUS_OK);
    if (is_new) {
        model->created++;
        twin->is_there = true;
        twin->uses = 0;
    } else {
        database_touch(place.database, place.entry, model->now_ms);
    }
    count_use(model, twin);
    follow(model, database, &place.key, false);
}

static void delete (struct model *model, uint32_t database, uint32_t number) {
    char text[MODEL_KEY_MAX];
    struct place place = place_of(model, database, number, text);
    struct twin_key *twin = &model->twins[database][number];
    if (find_for_write(model, &place, twin) == NULL) return;
    place_remove(&place);
    model->deleted++;
    twin->is_there = false;
    follow(model, database, &place.key, false);
}

/* EXPIRE and PERSIST. */
static void set_deadline(struct model *model, uint32_t database, uint32_t number) {
    char text[MODEL_KEY_MAX];
    struct place place = place_of(model, database, number, text);
    struct twin_key *twin = &model->twins[database][number];
    if (find_for_write(model, &place, twin) == NULL) return;
    twin->deadline_ms = draw_deadline(model);
    assert_non_null(
        database_set_deadline(place.database, &place.key, place.entry, twin->deadline_ms));
}

static void step(struct model *model) {
    uint32_t database = draw(model, DATABASES), number = draw_number(model);
    uint32_t what = draw(model, 100);
    if (what < 50) {
        get(model, database, number);
    } else if (what < 90) {
        set(model, database, what < 75 ? draw(model, KEYS) : number);
    } else if (what < 94) {
        delete (model, database, number);
    } else if (what < 98) {
        set_deadline(model, database, number);
    } else {
        shards_upkeep(&model->shards, draw(model, SHARDS), model->now_ms, 64);
    }
    model->now_ms += draw(model, 40);
}

/* ---- Victims --------------------------------------------------------------------------------- */

static int compare(double a, double b) {
    return (a > b) - (a < b);
}

/* Positive: `a` was used longer ago than `b`, by more than `grain_ms`, to which times are kept. */
static int compare_idle(const struct twin_key *a, const struct twin_key *b, int64_t grain_ms) {
    if (llabs(a->used_ms - b->used_ms) <= grain_ms) return 0;
    return compare((double)b->used_ms, (double)a->used_ms);
}

static int compare_recency(const struct twin_key *a, const struct twin_key *b, int64_t now_ms) {
    (void)now_ms;
    return compare_idle(a, b, 4);
}

static int compare_counts(const struct twin_key *a, const struct twin_key *b, int64_t now_ms) {
    (void)now_ms;
    uint32_t most = LFU_MAX - LFU_BEGIN + 1; /* the first is what it begins with */
    int order = compare(b->uses < most ? b->uses : most, a->uses < most ? a->uses : most);
    return order != 0 ? order : compare_idle(a, b, 1000);
}

/* Those that have one. */
static int compare_deadlines(const struct twin_key *a, const struct twin_key *b, int64_t now_ms) {
    (void)now_ms;
    return compare((double)b->deadline_ms, (double)a->deadline_ms);
}

static int compare_recency_of_adaptive(const struct twin_key *a, const struct twin_key *b,
                                       int64_t now_ms) {
    (void)now_ms;
    return compare_idle(a, b, 63);
}

/* eviction.c's formula. A use is counted from the second on. */
static double worth_of(const struct twin_key *twin, int64_t now_ms) {
    double bytes = sizeof(struct entry) + 8 + twin->value_size;
    double uses = twin->uses - 1 < USES_MAX ? twin->uses - 1 : USES_MAX;
    double idle = (double)(now_ms - twin->used_ms) * 256 / 1000;
    return (uses + 1) * (3 + log2(idle > 1 ? idle : 1)) * (1 + 200 / bytes);
}

static int compare_worth(const struct twin_key *a, const struct twin_key *b, int64_t now_ms) {
    return compare(worth_of(b, now_ms), worth_of(a, now_ms));
}

/* What a policy is held to. */
struct promise {
    enum eviction_policy policy;
    bool prefers_recent;
    /* Positive: `a` is to go rather than `b`. Blind policies are measured by recency, which must be nothing to them. */
    int (*compare)(const struct twin_key *a, const struct twin_key *b, int64_t now_ms);
    bool is_exact;             /* the twin knows all that is decided by */
    double mean_min, mean_max; /* of the share of keys that are to go no sooner than the victim */
};

struct ranks {
    uint64_t count;
    double sum;
};

static struct twin_key *twin_of(struct model *model, const struct eviction_candidate *victim,
                                struct bytes name) {
    char text[16] = "";
    assert_in_range(name.size, 5, sizeof(text) - 1);
    memcpy(text, name.data, name.size);
    return &model->twins[victim->database][strtoul(text + 4, NULL, 10)];
}

/* Could it be chosen in that shard? Who is due may be gone. */
static bool is_eligible(struct model *model, const struct twin_key *twin, uint32_t shard) {
    return twin->is_there && twin->shard == shard && may_be_evicted(model, twin);
}

static uint32_t count_eligible(struct model *model, uint32_t shard) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < DATABASES * KEYS; i++) {
        const struct twin_key *twin = &model->twins[i / KEYS][i % KEYS];
        count += is_eligible(model, twin, shard) && !is_due(model, twin);
    }
    return count;
}

static void judge(struct model *model, const struct promise *promise, const struct twin_key *victim,
                  struct ranks *ranks) {
    uint32_t there = 0, behind = 0, at_most_behind = 0;
    for (uint32_t i = 0; i < DATABASES * KEYS; i++) {
        const struct twin_key *twin = &model->twins[i / KEYS][i % KEYS];
        if (!is_eligible(model, twin, victim->shard)) continue;
        bool is_behind = promise->compare(twin, victim, model->now_ms) <= 0;
        at_most_behind += is_behind;
        if (is_due(model, twin)) continue;
        there++;
        behind += is_behind;
    }
    uint32_t samples = atomic_load(&rules_of(model)->samples);
    if (promise->is_exact) assert_true(at_most_behind >= (there < samples ? there : samples));
    if (there == 0) return;
    ranks->sum += (double)behind / there;
    ranks->count++;
}

static void evict(struct model *model, const struct promise *promise, struct ranks *ranks) {
    struct shard *shard = &model->shards.shards[draw(model, SHARDS)];
    struct eviction_candidate victim;
    if (!eviction_choose(&shard->eviction, shard->databases, DATABASES, model->now_ms, &victim)) {
        assert_int_equal(count_eligible(model, shard->index), 0);
        return;
    }
    struct entry *entry = slabs_at(&shard->slabs, victim.reference);
    struct key key = {entry_key(entry), victim.hash};
    struct twin_key *twin = twin_of(model, &victim, key.name);
    assert_true(is_eligible(model, twin, shard->index));
    assert_int_equal(entry_deadline_ms(entry), twin->deadline_ms);
    judge(model, promise, twin, ranks);
    eviction_dismiss(&shard->eviction, shard->databases, &victim);
    database_remove(shard_database(shard, victim.database), &key, entry, NULL);
    twin->is_there = false;
}

static void expect_promise_kept(const struct promise *promise) {
    enum {
        STEPS = 15000,
        EVICT_EVERY = 6,
        WARM_UP = 5000,
        VALUE = 600,
        SAMPLES = 48,
        LASTING = 30
    };
    static struct model model;
    const char *name = eviction_policy_name(promise->policy);
    init(&model, name);
    model.value_max = VALUE;
    model.lasting_percent = LASTING;
    atomic_store(&rules_of(&model)->policy, promise->policy);
    atomic_store(&rules_of(&model)->prefers_recent, promise->prefers_recent);
    atomic_store(&rules_of(&model)->samples, SAMPLES);
    struct ranks ranks = {0};
    for (uint32_t i = 0; i < STEPS; i++) {
        step(&model);
        if (i % LOOK_EVERY == 0) validate(&model);
        if (i >= WARM_UP && i % EVICT_EVERY == 0) evict(&model, promise, &ranks);
    }
    expect_books_kept(&model);
    validate(&model);
    double mean = ranks.count != 0 ? ranks.sum / (double)ranks.count : 0;
    print_message("%s: %" PRIu64 " victims, at %.3f in the mean\n", name, ranks.count, mean);
    assert_int_equal(ranks.count != 0, eviction_policy_evicts(promise->policy));
    assert_true(mean >= promise->mean_min && mean <= promise->mean_max);
    release(&model);
}

static void victims_are_who_the_policy_names(void **state) {
    static const struct promise promises[] = {
        {EVICTION_NONE, false, NULL, false, 0, 0},
        {EVICTION_VOLATILE_LRU, false, compare_recency, true, 0.95, 1},
        {EVICTION_VOLATILE_LFU, false, compare_counts, true, 0.95, 1},
        {EVICTION_VOLATILE_RANDOM, false, compare_recency, false, 0.4, 0.6},
        {EVICTION_VOLATILE_TTL, false, compare_deadlines, true, 0.98, 1},
        {EVICTION_ALLKEYS_LRU, false, compare_recency, true, 0.95, 1},
        {EVICTION_ALLKEYS_LFU, false, compare_counts, true, 0.95, 1},
        {EVICTION_ALLKEYS_RANDOM, false, compare_recency, false, 0.4, 0.6},
        {EVICTION_ALLKEYS_ADAPTIVE, false, compare_worth, false, 0.95, 1},
        {EVICTION_ALLKEYS_ADAPTIVE, true, compare_recency_of_adaptive, true, 0.95, 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(promises) / sizeof(promises[0]); i++) {
        expect_promise_kept(&promises[i]);
    }
}

/* ---- The limit ------------------------------------------------------------------------------- */

/* Whom the twin thinks there, and isn't, may be gone; everybody else is as he was. */
static void expect_all_accounted_for(struct model *model) {
    for (uint32_t i = 0; i < DATABASES * KEYS; i++) {
        get(model, i / KEYS, i % KEYS);
    }
}

/* Nobody writes, and upkeep comes until nothing is left to do. */
static void rest(struct model *model) {
    for (uint32_t i = 0; i < SHARDS; i++) {
        while (shards_upkeep(&model->shards, i, model->now_ms, 64)) {
            /* what is due goes */
        }
    }
    for (bool has_more = true; has_more;) {
        has_more = false;
        eviction_look(rules_of(model));
        for (uint32_t i = 0; i < SHARDS; i++) {
            has_more |= shards_ease(&model->shards, i, model->now_ms, VICTIMS);
        }
    }
}

static void spend_time_under(struct model *model, enum eviction_policy policy, int64_t limit) {
    enum { STEPS = 6000, TEND_EVERY = 100 };
    static const uint32_t LASTING[] = {10, 30, 60};
    struct eviction_rules *rules = rules_of(model);
    atomic_store(&rules->policy, policy);
    atomic_store(&rules->samples, 1 + draw(model, EVICTION_SAMPLES_MAX));
    model->lasting_percent = LASTING[draw(model, 3)];
    uint64_t evicted_before = evicted(model);
    for (uint32_t i = 0; i < STEPS; i++) {
        step(model);
        assert_true((int64_t)memory_used() < limit + limit / 10); /* free slots of many sizes */
        if (i % TEND_EVERY == 0) duel_tend(&model->duel, model->now_ms);
        if (i % LOOK_EVERY != 0) continue;
        expect_books_kept(model);
        validate(model);
    }
    rest(model);
    assert_int_equal(evicted(model) != evicted_before, eviction_policy_evicts(policy));
    bool spares_some = !eviction_policy_evicts(policy) || eviction_policy_is_volatile(policy);
    assert_true(spares_some || (int64_t)memory_used() <= limit);
    expect_all_accounted_for(model);
    expect_books_kept(model);
    validate(model);
}

static void nobody_is_gone_whose_going_is_not_counted(void **state) {
    enum { ROUNDS = 2 };
    static const int64_t LIMIT = 4 << 20;
    (void)state;
    static struct model model;
    init(&model, "eviction under a limit");
    model.is_limited = true;
    model.value_max = VALUE_MAX;
    atomic_store(&rules_of(&model)->limit_bytes, LIMIT);
    for (int i = 0; i < ROUNDS * EVICTION_POLICIES; i++) {
        print_message("%s\n", eviction_policy_name((enum eviction_policy)(i % EVICTION_POLICIES)));
        spend_time_under(&model, (enum eviction_policy)(i % EVICTION_POLICIES), LIMIT);
    }
    assert_true(model.refused > 0);
    release(&model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(victims_are_who_the_policy_names),
        cmocka_unit_test(nobody_is_gone_whose_going_is_not_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
