/* The table against an array that says which keys are there, through waves of growth and shrinkage. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "shards/base/hash.h"
#include "shards/table.h"
#include "model.h"

enum { KEYS = 6000, STEPS = 120000, WAVE = 15000, VALIDATE_EVERY = 4096, SEED = 77 };

struct model {
    struct slabs slabs;
    struct table table;
    struct random random;
    uint32_t references[KEYS]; /* the twin: 0 where the key is absent */
    uint32_t count;
};

static void step_insert(struct model *model, uint32_t number, struct bytes key) {
    struct entry_content content = {.key = key, .value = BYTES("value")};
    uint32_t reference = entry_create(&model->slabs, &content);
    assert_int_not_equal(reference, 0);
    assert_int_equal(table_insert(&model->table, reference, hash_seeded(key, SEED)), STATUS_OK);
    model->references[number] = reference;
    model->count++;
}

static void step_remove(struct model *model, uint32_t number, struct bytes key) {
    table_remove(&model->table, model->references[number], hash_seeded(key, SEED));
    entry_destroy(&model->slabs, model->references[number], NULL);
    model->references[number] = 0;
    model->count--;
}

static void step_replace(struct model *model, uint32_t number, struct bytes key) {
    struct entry_content content = {.key = key, .value = BYTES("another")};
    uint32_t reference = entry_create(&model->slabs, &content);
    assert_int_not_equal(reference, 0);
    table_replace(&model->table, model->references[number], reference, hash_seeded(key, SEED));
    entry_destroy(&model->slabs, model->references[number], NULL);
    model->references[number] = reference;
}

static void step_take_any(struct model *model) {
    uint32_t reference = table_take_any(&model->table);
    assert_int_equal(reference != 0, model->count > 0);
    if (reference == 0) return;
    for (uint32_t i = 0; i < KEYS; i++) {
        if (model->references[i] == reference) model->references[i] = 0;
    }
    entry_destroy(&model->slabs, reference, NULL);
    model->count--;
}

static void compare(struct model *model, uint32_t number) {
    char text[MODEL_KEY_MAX];
    struct bytes key = model_key(text, number);
    const struct entry *found = table_find(&model->table, key, hash_seeded(key, SEED));
    uint32_t expected = model->references[number];
    assert_ptr_equal(found, expected == 0 ? NULL : slabs_at(&model->slabs, expected));
    assert_int_equal(atomic_load(&model->table.key_count), model->count);
}

static void step(struct model *model, uint32_t number, bool is_growing) {
    char text[MODEL_KEY_MAX];
    struct bytes key = model_key(text, number);
    uint64_t draw = random_below(&model->random, 100);
    bool is_there = model->references[number] != 0;
    if (!is_there) {
        if (draw < (is_growing ? 90u : 15u)) step_insert(model, number, key);
    } else if (draw < (is_growing ? 10u : 80u)) {
        step_remove(model, number, key);
    } else if (draw < 90) {
        step_replace(model, number, key);
    } else if (draw == 99 && !is_growing) {
        step_take_any(model);
    }
}

static void the_table_agrees_with_an_array_at_every_step(void **state) {
    (void)state;
    static struct model model;
    model_seed(&model.random, "table");
    assert_int_equal(slabs_init(&model.slabs, (size_t)64 << 20), STATUS_OK);
    table_init(&model.table, &model.slabs, SEED);
    for (uint32_t i = 0; i < STEPS; i++) {
        uint32_t number = (uint32_t)random_below(&model.random, KEYS);
        step(&model, number, i / WAVE % 2 == 0);
        compare(&model, number);
        compare(&model, (uint32_t)random_below(&model.random, KEYS));
        if (i % VALIDATE_EVERY == 0) table_validate(&model.table);
    }
    for (uint32_t i = 0; i < KEYS; i++) {
        compare(&model, i);
    }
    slabs_validate(&model.slabs);
    while (model.count > 0) {
        step_take_any(&model);
    }
    assert_int_equal(model.slabs.used_bytes, 0);
    table_release(&model.table);
    slabs_release(&model.slabs);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_agrees_with_an_array_at_every_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
