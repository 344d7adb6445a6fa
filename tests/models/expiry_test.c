/* The wheel against a plain list of deadlines, with small steps, jumps of years, and work cut short at any point. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "shards/expiry.h"
#include "model.h"

enum { ENTRIES = 500, STEPS = 400000 };
static const int64_t START_MS = 1700000000000;

struct model {
    struct slabs slabs;
    struct expiry expiry;
    struct random random;
    int64_t now_ms;
    uint32_t references[ENTRIES];  /* immutable: entries with room for a deadline */
    int64_t deadlines_ms[ENTRIES]; /* the twin: ENTRY_NO_EXPIRY where not linked */
    uint64_t count;
};

/* From milliseconds to centuries, and now and then in the past. */
static int64_t draw_span_ms(struct model *model) {
    uint64_t bits = random_below(&model->random, 44);
    return (int64_t)(random_next(&model->random) >> (63 - bits)) -
           (int64_t)random_below(&model->random, 2) * 100;
}

static uint32_t number_of(const struct model *model, uint32_t reference) {
    for (uint32_t i = 0; i < ENTRIES; i++) {
        if (model->references[i] == reference) return i;
    }
    fail_msg("the wheel returned what nobody linked");
    return 0;
}

static void step_link(struct model *model, uint32_t number) {
    if (model->deadlines_ms[number] != ENTRY_NO_EXPIRY) return;
    int64_t deadline_ms = model->now_ms + draw_span_ms(model);
    expiry_link(&model->expiry, model->references[number], deadline_ms);
    model->deadlines_ms[number] = deadline_ms;
    model->count++;
}

static void step_unlink(struct model *model, uint32_t number) {
    if (model->deadlines_ms[number] == ENTRY_NO_EXPIRY) return;
    expiry_unlink(&model->expiry, model->references[number]);
    model->deadlines_ms[number] = ENTRY_NO_EXPIRY;
    model->count--;
}

static void take_due(struct model *model, uint32_t limit) {
    for (uint32_t reference;
         (reference = expiry_take_due(&model->expiry, model->now_ms, &limit)) != 0;) {
        uint32_t number = number_of(model, reference);
        assert_true(model->deadlines_ms[number] != ENTRY_NO_EXPIRY);
        assert_true(model->deadlines_ms[number] <= model->now_ms); /* never before */
        model->deadlines_ms[number] = ENTRY_NO_EXPIRY;
        model->count--;
    }
}

/* Once no work is left, nothing is more than a tick late. */
static void check_nothing_is_late(const struct model *model) {
    for (uint32_t i = 0; i < ENTRIES; i++) {
        if (model->deadlines_ms[i] == ENTRY_NO_EXPIRY) continue;
        assert_true(model->deadlines_ms[i] > model->now_ms - EXPIRY_TICK_MS);
    }
}

/* Entries linked in the past wait for the next tick: look at them from there. */
static void drain(struct model *model) {
    model->now_ms += EXPIRY_TICK_MS;
    while (expiry_has_work(&model->expiry, model->now_ms)) {
        take_due(model, 1 + (uint32_t)random_below(&model->random, 50));
    }
    check_nothing_is_late(model);
}

static void step(struct model *model) {
    uint32_t number = (uint32_t)random_below(&model->random, ENTRIES);
    uint64_t draw = random_below(&model->random, 100);
    if (draw < 50) {
        step_link(model, number);
    } else if (draw < 65) {
        step_unlink(model, number);
    } else if (draw < 85) {
        model->now_ms += (int64_t)random_below(&model->random, 200);
        take_due(model, (uint32_t)random_below(&model->random, 8));
    } else if (draw < 99) {
        drain(model);
    } else {
        int64_t span_ms = draw_span_ms(model);
        if (span_ms > 0) model->now_ms += span_ms;
        take_due(model, (uint32_t)random_below(&model->random, 100));
    }
}

static void the_wheel_agrees_with_a_list_of_deadlines(void **state) {
    (void)state;
    static struct model model;
    model_seed(&model.random, "expiry");
    model.now_ms = START_MS;
    assert_int_equal(slabs_init(&model.slabs, (size_t)64 << 20), STATUS_OK);
    expiry_init(&model.expiry, &model.slabs, START_MS);
    assert_int_equal(expiry_open(&model.expiry), STATUS_OK);
    for (uint32_t i = 0; i < ENTRIES; i++) {
        struct entry_content content = {.key = BYTES("key"), .has_expiry = true};
        model.references[i] = entry_create(&model.slabs, &content);
        assert_int_not_equal(model.references[i], 0);
        model.deadlines_ms[i] = ENTRY_NO_EXPIRY;
    }
    for (uint32_t i = 0; i < STEPS; i++) {
        step(&model);
        assert_int_equal(atomic_load(&model.expiry.count), model.count);
        if (i % 16 == 0) expiry_validate(&model.expiry);
    }
    drain(&model);
    expiry_validate(&model.expiry);
    expiry_release(&model.expiry);
    slabs_release(&model.slabs);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_wheel_agrees_with_a_list_of_deadlines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
