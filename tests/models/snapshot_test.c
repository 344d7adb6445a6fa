/* A snapshot of a store against a copy of its slow twin, while random commands go on: every key of the instant
 * is visited once, with the value and the deadline it had then, whatever became of it since; and nothing else
 * is visited. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "model.h"
#include "shards/base/check.h"
#include "shards/base/memory.h"
#include "shards/place.h"
#include "shards/shards.h"
#include "shards/snapshot.h"
#include "shards/types/string.h"

enum {
    DATABASES = 3,
    KEYS = 4000, /* of each database */
    SHARDS = 4,
    ROUNDS = 12,
    STEPS = 12000, /* of a round, at most */
    STEPS_A_SLICE = 40,
    VALUE_MAX = 8000,
};
static const int64_t START_MS = 1700000000000;

/* A value is `size` bytes that follow from the seed; appending goes on with the same sequence. */
struct twin {
    bool is_present, is_visited;
    uint32_t seed, size;
    int64_t deadline_ms;
};

struct model {
    struct shards shards;
    struct snapshot snapshot;
    struct random random;
    int64_t now_ms;
    bool grows; /* more is put than removed, or the other way round */
    struct twin twins[DATABASES][KEYS], instant[DATABASES][KEYS];
    char value[VALUE_MAX], key_text[MODEL_KEY_MAX];
};

static struct bytes value_of(struct model *model, const struct twin *twin) {
    for (uint32_t i = 0; i < twin->size; i++) {
        model->value[i] = (char)(twin->seed * 31 + i * 7);
    }
    return bytes_of(model->value, twin->size);
}

static bool is_live(const struct twin *twin, int64_t now_ms) {
    return twin->is_present && (twin->deadline_ms == ENTRY_NO_EXPIRY || twin->deadline_ms > now_ms);
}

/* ---- Commands -------------------------------------------------------------------------------- */

static uint32_t draw(struct model *model, uint32_t below) {
    return (uint32_t)random_below(&model->random, below);
}

static uint32_t draw_size(struct model *model) {
    switch (draw(model, 12)) {
    case 0:
        return 1900 + draw(model, 300); /* about where values move out */
    case 1:
        return draw(model, VALUE_MAX - 200);
    default:
        return draw(model, 90);
    }
}

static int64_t draw_deadline(struct model *model) {
    if (draw(model, 3) != 0) return ENTRY_NO_EXPIRY;
    return model->now_ms + 1 + draw(model, 3000);
}

static void put(struct model *model, struct place *place, struct twin *twin) {
    *twin = (struct twin){.is_present = true,
                          .seed = draw(model, 1000),
                          .size = draw_size(model),
                          .deadline_ms = draw_deadline(model)};
    struct entry_content content = {.value = value_of(model, twin)};
    assert_int_equal(place_put(place, &content, twin->deadline_ms), STATUS_OK);
}

static void append(struct model *model, struct place *place, struct twin *twin) {
    uint32_t before = twin->size;
    if (before + 100 > VALUE_MAX) return;
    twin->size += 1 + draw(model, 99);
    struct bytes whole = value_of(model, twin);
    uint64_t size;
    assert_int_equal(
        string_append(place, bytes_of(whole.data + before, twin->size - before), VALUE_MAX, &size),
        STATUS_OK);
}

static void set_deadline(struct model *model, struct place *place, struct twin *twin) {
    twin->deadline_ms = draw_deadline(model);
    assert_non_null(
        database_set_deadline(place->database, &place->key, place->entry, twin->deadline_ms));
}

/* One command on one key, under its shard's lock, as dispatch would run it. */
static void change_key(struct model *model) {
    uint32_t database = draw(model, DATABASES), number = draw(model, KEYS);
    struct twin *twin = &model->twins[database][number];
    struct bytes name = model_key(model->key_text, number);
    struct shard *shard = shards_of(&model->shards, name);
    rwlock_write_lock(&shard->lock);
    struct place place = {.database = shard->databases[database],
                          .key = shards_key(&model->shards, name),
                          .now_ms = model->now_ms};
    place.entry = database_find_for_write(place.database, &place.key, model->now_ms, NULL, NULL);
    assert_int_equal(place.entry != NULL, is_live(twin, model->now_ms));
    uint32_t choice = draw(model, 10);
    if (place.entry == NULL) {
        twin->is_present = false;
        if (model->grows || choice == 0) put(model, &place, twin);
    } else if (choice < (model->grows ? 1 : 5)) {
        place_remove(&place);
        twin->is_present = false;
    } else if (choice < 6) {
        put(model, &place, twin);
    } else if (choice < 8) {
        append(model, &place, twin);
    } else {
        set_deadline(model, &place, twin);
    }
    rwlock_write_unlock(&shard->lock);
}

static void flush(struct model *model) {
    uint32_t database = draw(model, DATABASES);
    assert_int_equal(shards_flush(&model->shards, (int32_t)database), STATUS_OK);
    for (uint32_t i = 0; i < KEYS; i++) {
        model->twins[database][i].is_present = false;
    }
}

static void swap(struct model *model) {
    uint32_t a = draw(model, DATABASES), b = draw(model, DATABASES);
    shards_swap(&model->shards, a, b);
    for (uint32_t i = 0; i < KEYS; i++) {
        struct twin was = model->twins[a][i];
        model->twins[a][i] = model->twins[b][i];
        model->twins[b][i] = was;
    }
}

static void change(struct model *model) {
    if (draw(model, 20) == 0) model->now_ms += draw(model, 20);
    if (draw(model, 30) == 0)
        shards_upkeep(&model->shards, draw(model, SHARDS), model->now_ms, 1 + draw(model, 200));
    if (draw(model, 4000) == 0) flush(model);
    if (draw(model, 3000) == 0) swap(model);
    change_key(model);
}

/* ---- Visits ---------------------------------------------------------------------------------- */

static uint32_t number_of(struct model *model, struct bytes key) {
    if (key.size == 0) return 0;
    uint32_t number = 0;
    assert_true(key.size > 4 && memcmp(key.data, "key:", 4) == 0);
    for (size_t i = 4; i < key.size && key.data[i] != '.'; i++) {
        number = number * 10 + (uint32_t)(key.data[i] - '0');
    }
    assert_true(number < KEYS);
    assert_true(bytes_equal(key, model_key(model->key_text, number)));
    return number;
}

static void visit(void *context, const struct snapshot_entry *entry) {
    struct model *model = context;
    assert_true(entry->database < DATABASES);
    struct twin *twin = &model->instant[entry->database][number_of(model, entry->key)];
    assert_true(is_live(twin, model->snapshot.now_ms));
    assert_false(twin->is_visited);
    assert_int_equal(entry->deadline_ms, twin->deadline_ms);
    assert_true(bytes_equal(entry->value, value_of(model, twin)));
    twin->is_visited = true;
}

static void expect_all_visited(const struct model *model) {
    for (uint32_t database = 0; database < DATABASES; database++) {
        for (uint32_t i = 0; i < KEYS; i++) {
            const struct twin *twin = &model->instant[database][i];
            assert_int_equal(twin->is_visited, is_live(twin, model->snapshot.now_ms));
        }
    }
}

static void begin(struct model *model) {
    memcpy(model->instant, model->twins, sizeof model->instant);
    for (uint32_t i = 0; i < DATABASES * KEYS; i++) {
        model->instant[i / KEYS][i % KEYS].is_visited = false;
    }
    assert_int_equal(snapshot_begin(&model->snapshot, &model->shards, model->now_ms), STATUS_OK);
}

/* ---- Tests ----------------------------------------------------------------------------------- */

static int make_model(void **state) {
    struct model *model = calloc(1, sizeof *model);
    assert_non_null(model);
    model_seed(&model->random, "snapshot");
    model->now_ms = START_MS;
    struct shards_options options = {.shard_count = SHARDS,
                                     .database_count = DATABASES,
                                     .worker_count = 1,
                                     .seed = random_next(&model->random)};
    assert_int_equal(shards_init(&model->shards, &options), STATUS_OK);
    *state = model;
    return 0;
}

static int free_model(void **state) {
    struct model *model = *state;
    shards_release(&model->shards);
    free(model);
    return 0;
}

static void a_snapshot_is_the_store_at_its_instant(void **state) {
    struct model *model = *state;
    for (int round = 0; round < ROUNDS; round++) {
        model->grows = round % 3 != 2;
        for (uint32_t i = draw(model, STEPS); i > 0; i--) {
            change(model);
        }
        begin(model);
        model->grows = draw(model, 2) != 0;
        /* Now and then much happens before the walk comes by: chains are joined that it has not seen. */
        uint32_t pace =
            1 + draw(model, draw(model, 2) == 0 ? 2 * STEPS_A_SLICE : 20 * STEPS_A_SLICE);
        bool has_more = true;
        while (has_more) {
            for (uint32_t i = draw(model, pace); i > 0; i--) {
                change(model);
            }
            has_more = snapshot_step(&model->snapshot, visit, model);
        }
        expect_all_visited(model);
        assert_int_equal(snapshot_end(&model->snapshot), STATUS_OK);
        for (uint32_t i = 0; i < SHARDS; i++) {
            shard_validate(&model->shards.shards[i]);
        }
    }
}

static void a_snapshot_may_be_given_up(void **state) {
    struct model *model = *state;
    model->grows = true;
    for (int i = 0; i < STEPS; i++) {
        change(model);
    }
    size_t before = memory_used();
    for (int steps = 0; steps < 5; steps++) {
        begin(model);
        flush(model); /* what is detached is let go again */
        for (int i = 0; i < steps; i++) {
            if (!snapshot_step(&model->snapshot, visit, model)) break;
            change(model);
        }
        assert_int_equal(snapshot_end(&model->snapshot), STATUS_OK);
    }
    for (uint32_t i = 0; i < SHARDS; i++) {
        while (shards_upkeep(&model->shards, i, model->now_ms, 1000)) {
        }
        assert_null(model->shards.shards[i].flushed);
    }
    assert_true(memory_used() <= before);
}

static void a_detached_database_waits_for_the_snapshot(void **state) {
    struct model *model = *state;
    model->grows = true;
    for (int i = 0; i < STEPS; i++) {
        change(model);
    }
    begin(model);
    assert_int_equal(shards_flush(&model->shards, SHARDS_ALL_DATABASES), STATUS_OK);
    model->now_ms += 10000; /* what it holds may fall due */
    while (shards_upkeep(&model->shards, 0, model->now_ms, 1000)) {
    }
    assert_non_null(model->shards.shards[0].flushed);
    while (snapshot_step(&model->snapshot, visit, model)) {
    }
    expect_all_visited(model);
    assert_int_equal(snapshot_saved_bytes(&model->snapshot), 0);
    assert_int_equal(snapshot_end(&model->snapshot), STATUS_OK);
    while (shards_upkeep(&model->shards, 0, model->now_ms, 1000)) {
    }
    assert_null(model->shards.shards[0].flushed);
}

/* Such a one is emptied where it is, without looking for its keys. */
static void a_small_database_flushed_meanwhile_is_seen(void **state) {
    struct model *model = *state;
    model->grows = true;
    for (int i = 0; i < 60; i++) {
        change_key(model);
    }
    begin(model);
    assert_int_equal(shards_flush(&model->shards, SHARDS_ALL_DATABASES), STATUS_OK);
    for (uint32_t i = 0; i < SHARDS; i++) {
        assert_null(model->shards.shards[i].flushed);
    }
    while (snapshot_step(&model->snapshot, visit, model)) {
    }
    expect_all_visited(model);
    assert_int_equal(snapshot_end(&model->snapshot), STATUS_OK);
}

static void what_writers_save_is_counted_and_given_back(void **state) {
    struct model *model = *state;
    model->grows = true;
    for (int i = 0; i < STEPS; i++) {
        change(model);
    }
    begin(model);
    model->grows = false;
    for (int i = 0; i < STEPS; i++) {
        change_key(model);
    }
    assert_true(snapshot_saved_bytes(&model->snapshot) > STEPS);
    while (snapshot_step(&model->snapshot, visit, model)) {
    }
    expect_all_visited(model);
    assert_int_equal(snapshot_saved_bytes(&model->snapshot), 0);
    assert_int_equal(snapshot_end(&model->snapshot), STATUS_OK);
}

static void refused_memory_fails_the_snapshot_and_nothing_else(void **state) {
    struct model *model = *state;
    model->grows = true;
    for (int i = 0; i < STEPS; i++) {
        change(model);
    }
    for (int64_t granted = 0; granted < 5; granted++) {
        memory_refuse_after(granted);
        assert_int_equal(snapshot_begin(&model->snapshot, &model->shards, model->now_ms),
                         STATUS_NO_MEMORY);
        memory_refuse_after(-1);
    }
    begin(model);
    struct bytes name = model_key(model->key_text, 7);
    struct shard *shard = shards_of(&model->shards, name);
    struct key key = shards_key(&model->shards, name);
    rwlock_write_lock(&shard->lock);
    memory_refuse_after(0);
    struct entry *entry =
        database_find_for_write(shard->databases[0], &key, model->now_ms, NULL, NULL);
    memory_refuse_after(-1);
    assert_int_equal(entry != NULL, is_live(&model->twins[0][7], model->now_ms));
    if (entry == NULL) model->twins[0][7].is_present = false;
    rwlock_write_unlock(&shard->lock);
    while (snapshot_step(&model->snapshot, visit, model)) {
    }
    assert_int_equal(snapshot_end(&model->snapshot), STATUS_NO_MEMORY);
    begin(model); /* the next one succeeds */
    while (snapshot_step(&model->snapshot, visit, model)) {
    }
    expect_all_visited(model);
    assert_int_equal(snapshot_end(&model->snapshot), STATUS_OK);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, make_model, free_model)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_snapshot_is_the_store_at_its_instant),
        TEST(a_snapshot_may_be_given_up),
        TEST(a_detached_database_waits_for_the_snapshot),
        TEST(a_small_database_flushed_meanwhile_is_seen),
        TEST(what_writers_save_is_counted_and_given_back),
        TEST(refused_memory_fails_the_snapshot_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
