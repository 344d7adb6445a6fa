/* Why keys are gone, against a twin that forgets nothing: keys of several databases are set, with and without a
 * deadline, deleted, evicted, flushed and swept at random.
 *
 * Ghosts are few bits, so a key may be taken for another and have its reason, and they are few, so it may be forgotten:
 * the first may happen to two keys of a hundred, the second to those only that went long ago. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>

#include "model.h"
#include "shards/base/hash.h"
#include "shards/place.h"
#include "shards/shards.h"

enum {
    SHARDS = 4,
    DATABASES = 3,
    KEYS = 1000, /* a database's */
    STEPS = 200000,
    ASK_EVERY = 10,
    WRONG_PERCENT_MAX = 2,
    LATELY = 256 / 8, /* departures of a shard, of which it has this many places at least */
};

struct twin_key {
    bool is_there;
    int64_t deadline_ms;
    enum miss_reason reason; /* of its last going */
    uint64_t departure;      /* and which of its shard's that was */
};

struct model {
    struct shards shards;
    struct twin_key twin[DATABASES][KEYS];
    struct random random;
    int64_t now_ms;
    uint64_t departures[SHARDS];
    uint64_t asked[MISS_REASONS], wrong, asked_lately, forgotten_lately;
};

static struct place find(struct model *model, uint32_t database, uint32_t number, char *text) {
    int size = snprintf(text, MODEL_KEY_MAX, "key:%u", (unsigned)number);
    struct bytes name = bytes_of(text, (size_t)size);
    struct shard *shard = shards_of(&model->shards, name);
    struct place place = {.database = shard->databases[database],
                          .key = shards_key(&model->shards, name),
                          .now_ms = model->now_ms};
    return place;
}

static void note_departure(struct model *model, uint32_t database, uint32_t number,
                           enum miss_reason reason) {
    char text[MODEL_KEY_MAX];
    struct place place = find(model, database, number, text);
    struct twin_key *twin = &model->twin[database][number];
    twin->is_there = false;
    twin->reason = reason;
    twin->departure = ++model->departures[router_shard(place.key.name, SHARDS)];
}

static void find_for_write(struct place *place) {
    place->entry = database_find_for_write(place->database, &place->key, place->now_ms, NULL, NULL);
}

static void put(struct model *model, uint32_t database, uint32_t number) {
    char text[MODEL_KEY_MAX];
    struct place place = find(model, database, number, text);
    find_for_write(&place);
    bool has_deadline = random_below(&model->random, 2) == 0;
    int64_t life_ms = (int64_t)random_below(&model->random, 2000);
    int64_t deadline_ms = has_deadline ? model->now_ms + life_ms : ENTRY_NO_EXPIRY;
    assert_int_equal(place_put(&place, &(struct entry_content){.value = BYTES("v")}, deadline_ms),
                     STATUS_OK);
    struct twin_key *twin = &model->twin[database][number];
    twin->is_there = true;
    twin->deadline_ms = deadline_ms;
}

static void delete (struct model *model, uint32_t database, uint32_t number) {
    char text[MODEL_KEY_MAX];
    struct place place = find(model, database, number, text);
    find_for_write(&place);
    if (place.entry == NULL) return;
    place_remove(&place);
    note_departure(model, database, number, MISS_DELETED);
}

/* One of a shard's keys goes; an expired one that the sweep has not seen yet may be it, which is an eviction, too. */
static void evict(struct model *model) {
    struct shard *shard = &model->shards.shards[random_below(&model->random, SHARDS)];
    struct eviction_candidate victim;
    if (!eviction_choose(&shard->eviction, shard->databases, DATABASES, model->now_ms, &victim))
        return;
    eviction_dismiss(&shard->eviction, shard->databases, &victim);
    struct entry *entry = slabs_at(&shard->slabs, victim.reference);
    struct key key = {entry_key(entry), victim.hash};
    uint32_t number = (uint32_t)strtoul(key.name.data + 4, NULL, 10);
    database_remove(shard->databases[victim.database], &key, entry, NULL);
    note_departure(model, victim.database, number, MISS_EVICTED);
}

static void flush(struct model *model, uint32_t database) {
    assert_int_equal(shards_flush(&model->shards, (int32_t)database), STATUS_OK);
    for (uint32_t i = 0; i < SHARDS; i++) {
        while (shards_upkeep(&model->shards, i, model->now_ms, 64)) {
        }
    }
    for (uint32_t number = 0; number < KEYS; number++) {
        if (model->twin[database][number].is_there)
            note_departure(model, database, number, MISS_DELETED);
    }
}

static void swap(struct model *model, uint32_t a, uint32_t b) {
    shards_swap(&model->shards, a, b);
    struct twin_key kept[KEYS];
    memcpy(kept, model->twin[a], sizeof(kept));
    memmove(model->twin[a], model->twin[b], sizeof(kept));
    memcpy(model->twin[b], kept, sizeof(kept));
}

/* The twin of a key, with what time did to it. */
static struct twin_key *twin_now(struct model *model, uint32_t database, uint32_t number) {
    struct twin_key *twin = &model->twin[database][number];
    bool has_deadline = twin->deadline_ms != ENTRY_NO_EXPIRY;
    if (twin->is_there && has_deadline && twin->deadline_ms <= model->now_ms)
        note_departure(model, database, number, MISS_EXPIRED);
    return twin;
}

static void ask(struct model *model, uint32_t database, uint32_t number) {
    char text[MODEL_KEY_MAX];
    struct place place = find(model, database, number, text);
    bool is_there = database_find(place.database, &place.key, model->now_ms) != NULL;
    const struct twin_key *twin = twin_now(model, database, number);
    assert_int_equal(is_there, twin->is_there);
    if (is_there) return;
    model->asked[twin->reason]++;
    enum miss_reason reason = database_miss_reason(place.database, &place.key);
    model->wrong += reason != twin->reason && reason != MISS_UNKNOWN;
    if (twin->reason == MISS_UNKNOWN) return;
    if (twin->reason == MISS_EXPIRED) return; /* the sweep was there who knows when */
    uint32_t shard = router_shard(place.key.name, SHARDS);
    if (model->departures[shard] - twin->departure > LATELY) return;
    model->asked_lately++;
    model->forgotten_lately += reason == MISS_UNKNOWN;
}

static void step(struct model *model) {
    uint32_t database = (uint32_t)random_below(&model->random, DATABASES);
    uint32_t number = (uint32_t)random_below(&model->random, KEYS);
    uint64_t what = random_below(&model->random, 10000);
    twin_now(model, database, number);
    if (what < 6000) {
        put(model, database, number);
    } else if (what < 7500) {
        delete (model, database, number);
    } else if (what < 9000) {
        evict(model);
    } else if (what < 9990) {
        uint32_t shard = (uint32_t)random_below(&model->random, SHARDS);
        shards_upkeep(&model->shards, shard, model->now_ms, 64);
    } else if (what < 9992) {
        flush(model, database);
    } else {
        swap(model, database, (uint32_t)random_below(&model->random, DATABASES));
    }
    if (random_below(&model->random, 8) == 0) model->now_ms++;
}

static void misses_have_the_reasons_of_a_twin_that_forgets_nothing(void **state) {
    (void)state;
    static struct model model;
    model = (struct model){.now_ms = 1000000};
    model_seed(&model.random, "misses_test");
    struct shards_options options = {.shard_count = SHARDS,
                                     .database_count = DATABASES,
                                     .worker_count = 1,
                                     .seed = random_next(&model.random),
                                     .reserve_bytes = (size_t)16 << 20};
    assert_int_equal(shards_init(&model.shards, &options), STATUS_OK);
    atomic_store(&model.shards.eviction.policy, EVICTION_ALLKEYS_RANDOM);
    for (int i = 0; i < STEPS; i++) {
        step(&model);
        if (i % ASK_EVERY != 0) continue;
        ask(&model, (uint32_t)random_below(&model.random, DATABASES),
            (uint32_t)random_below(&model.random, KEYS));
    }
    uint64_t asked = 0;
    for (int reason = 0; reason < MISS_REASONS; reason++) {
        print_message("%s: %llu\n", misses_reason_name((enum miss_reason)reason),
                      (unsigned long long)model.asked[reason]);
        asked += model.asked[reason];
    }
    print_message("wrong: %llu of %llu, forgotten of the last %d: %llu of %llu\n",
                  (unsigned long long)model.wrong, (unsigned long long)asked, LATELY,
                  (unsigned long long)model.forgotten_lately,
                  (unsigned long long)model.asked_lately);
    assert_true(model.asked[MISS_EXPIRED] > 0 && model.asked[MISS_EVICTED] > 0);
    assert_true(model.asked[MISS_DELETED] > 0);
    assert_true(model.wrong * 100 <= asked * WRONG_PERCENT_MAX);
    assert_true(model.asked_lately > 500);
    assert_true(model.forgotten_lately * 100 <= model.asked_lately * 3);
    shards_release(&model.shards);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(misses_have_the_reasons_of_a_twin_that_forgets_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
