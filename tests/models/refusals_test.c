/* Every allocation of every change refused, one after the other: nothing is lost, nothing half done, nothing leaks. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "shards/base/memory.h"
#include "shards/shards.h"
#include "model.h"

enum { KEYS = 600, ROUNDS = 10, NOW_MS = 1000000 };

struct twin {
    bool is_there;
    char fill;
    uint32_t size;
    int64_t deadline_ms;
};

struct model {
    struct shards shards;
    struct random random;
    struct twin twins[KEYS];
    uint64_t refusals;
};

static struct shard *only_shard(const struct model *model) {
    return &model->shards.shards[0];
}

static struct database *only_database(const struct model *model) {
    return only_shard(model)->databases[0];
}

static struct key key_of(const struct model *model, char text[MODEL_KEY_MAX], uint32_t number) {
    return shards_key(&model->shards, model_key(text, number));
}

static void compare(const struct model *model, uint32_t number) {
    char text[MODEL_KEY_MAX];
    struct key key = key_of(model, text, number);
    const struct entry *entry = database_find(only_database(model), &key, NOW_MS);
    const struct twin *twin = &model->twins[number];
    assert_int_equal(entry != NULL, twin->is_there);
    if (entry == NULL) return;
    struct bytes value = entry_value(entry);
    assert_int_equal(value.size, twin->size);
    for (size_t i = 0; i < value.size; i++) {
        if (value.data[i] != twin->fill) fail_msg("byte %zu of a value is wrong", i);
    }
    assert_int_equal(entry_deadline_ms(entry), twin->deadline_ms);
}

/* Tries until the change is granted, with one allocation more allowed each time. */
static void put(struct model *model, uint32_t number) {
    static char value[4000];
    char text[MODEL_KEY_MAX];
    struct key key = key_of(model, text, number);
    struct twin twin = {true, (char)random_next(&model->random),
                        (uint32_t)random_below(&model->random, 4000),
                        random_below(&model->random, 2) == 0 ? ENTRY_NO_EXPIRY : NOW_MS + 100000};
    if (random_below(&model->random, 2) == 0) twin.size %= 100;
    memset(value, twin.fill, twin.size);
    struct entry_content content = {.value = bytes_of(value, twin.size)};
    for (int64_t allowed = 0;; allowed++) {
        struct entry *entry =
            database_find_for_write(only_database(model), &key, NOW_MS, NULL, NULL);
        memory_refuse_after(allowed);
        enum status status =
            database_put(only_database(model), &key, &entry, &content, twin.deadline_ms, NULL);
        memory_refuse_after(-1);
        if (status == STATUS_OK) break;
        model->refusals++;
        compare(model, number);
    }
    model->twins[number] = twin;
    compare(model, number);
}

/* The blob that a refused put was given stays the caller's. */
static void put_blob(struct model *model, uint32_t number) {
    char text[MODEL_KEY_MAX];
    struct key key = key_of(model, text, number);
    struct blob *blob = blob_create(50, 60);
    assert_non_null(blob);
    memset(blob->data, 'b', 50);
    struct entry_content content = {.blob = blob};
    for (int64_t allowed = 0;; allowed++) {
        struct entry *entry =
            database_find_for_write(only_database(model), &key, NOW_MS, NULL, NULL);
        memory_refuse_after(allowed);
        enum status status =
            database_put(only_database(model), &key, &entry, &content, ENTRY_NO_EXPIRY, NULL);
        memory_refuse_after(-1);
        if (status == STATUS_OK) break;
        model->refusals++;
        assert_true(blob_is_unshared(blob));
        compare(model, number);
    }
    model->twins[number] = (struct twin){true, 'b', 50, ENTRY_NO_EXPIRY};
    compare(model, number);
}

static void set_deadline(struct model *model, uint32_t number) {
    if (!model->twins[number].is_there) return;
    char text[MODEL_KEY_MAX];
    struct key key = key_of(model, text, number);
    int64_t deadline_ms =
        model->twins[number].deadline_ms == ENTRY_NO_EXPIRY ? NOW_MS + 5000 : ENTRY_NO_EXPIRY;
    for (int64_t allowed = 0;; allowed++) {
        struct entry *entry = database_find(only_database(model), &key, NOW_MS);
        memory_refuse_after(allowed);
        entry = database_set_deadline(only_database(model), &key, entry, deadline_ms);
        memory_refuse_after(-1);
        if (entry != NULL) break;
        model->refusals++;
        compare(model, number);
    }
    model->twins[number].deadline_ms = deadline_ms;
    compare(model, number);
}

/* Removing never needs memory: where joining two buckets would, it is left for later. */
static void remove_refused(struct model *model, uint32_t number) {
    char text[MODEL_KEY_MAX];
    struct key key = key_of(model, text, number);
    memory_refuse_after(0);
    struct entry *entry = database_find_for_write(only_database(model), &key, NOW_MS, NULL, NULL);
    if (entry != NULL) database_remove(only_database(model), &key, entry, NULL);
    memory_refuse_after(-1);
    model->twins[number].is_there = false;
    compare(model, number);
}

static void flush(struct model *model) {
    for (int64_t allowed = 0;; allowed++) {
        memory_refuse_after(allowed);
        enum status status = shards_flush(&model->shards, SHARDS_ALL_DATABASES);
        memory_refuse_after(-1);
        if (status == STATUS_OK) break;
        model->refusals++;
        for (uint32_t i = 0; i < KEYS; i++) {
            compare(model, i);
        }
    }
    memset(model->twins, 0, sizeof(model->twins));
    memory_refuse_after(0);
    while (shards_upkeep(&model->shards, 0, NOW_MS, 100)) {
    }
    memory_refuse_after(-1);
    assert_int_equal(only_shard(model)->slabs.used_bytes, 0);
}

static void run_round(struct model *model) {
    static void (*const CHANGES[])(struct model *, uint32_t) = {put, put, put_blob, set_deadline};
    for (uint32_t i = 0; i < 3 * KEYS; i++) {
        CHANGES[random_below(&model->random, 4)](model,
                                                 (uint32_t)random_below(&model->random, KEYS));
        if (i % 64 == 0) shard_validate(only_shard(model));
    }
    for (uint32_t i = 0; i < KEYS; i += 2) {
        remove_refused(model, i);
        if (i % 64 == 0) shard_validate(only_shard(model));
    }
    flush(model);
    shard_validate(only_shard(model));
}

static void no_refusal_loses_a_key(void **state) {
    (void)state;
    static struct model model;
    model_seed(&model.random, "refusals");
    struct shards_options options = {.shard_count = 1,
                                     .database_count = 2,
                                     .worker_count = 1,
                                     .seed = random_next(&model.random),
                                     .reserve_bytes = (size_t)64 << 20};
    size_t before = memory_used();
    assert_int_equal(shards_init(&model.shards, &options), STATUS_OK);
    for (int round = 0; round < ROUNDS; round++) {
        run_round(&model);
    }
    assert_true(model.refusals > KEYS);
    shards_release(&model.shards);
    assert_int_equal(memory_used(), before);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_refusal_loses_a_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
