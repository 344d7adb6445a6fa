/* Expiry against a plain list of deadlines: entries that come, go, move and change their deadline, in slabs of many sizes;
 * time that passes in small steps, jumps years and steps back; sweeps cut short at any point. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "model.h"
#include "shards/base/memory.h"
#include "shards/expiry.h"

enum { ENTRIES = 4000, STEPS = 300000, STEPS_A_VALIDATION = 500, VALUE_MAX = 1500 };
static const int64_t START_MS = 1700000000000;

struct twin {
    uint32_t reference; /* 0: there is none */
    int64_t deadline_ms;
    int64_t set_ms;   /* when it got it, or came to another slab with it */
    bool is_detached; /* it stays when its time has come */
};

struct model {
    struct slabs slabs;
    struct expiry expiry;
    struct random random;
    int64_t now_ms;
    uint64_t taken, moved;
    struct twin twins[ENTRIES];
};

static uint32_t draw(struct model *model, uint32_t below) {
    return (uint32_t)random_below(&model->random, below);
}

/* From milliseconds to centuries, and now and then in the past. */
static int64_t draw_deadline(struct model *model) {
    uint64_t bits = random_below(&model->random, 44);
    return model->now_ms + (int64_t)(random_next(&model->random) >> (63 - bits)) -
           (int64_t)draw(model, 2) * 100;
}

static void set(struct model *model, struct twin *twin) {
    twin->deadline_ms = draw_deadline(model);
    twin->set_ms = model->now_ms;
    expiry_set(&model->expiry, twin->reference, twin->deadline_ms);
}

/* Half of what is there has no deadline, and is only in the way. */
static void create(struct model *model, uint32_t number) {
    static const size_t SIZES[] = {10, 300, 700, VALUE_MAX};
    static char value
        [SLABS_OBJECT_MAX]; /* more than is drawn: gcc warns of the branch that would read so much */
    char key[16];
    int size = snprintf(key, sizeof key, "%u", number);
    bool has_expiry = number % 2 == 0;
    struct entry_content content = {
        .key = bytes_of(key, (size_t)size),
        .value = bytes_of(value, SIZES[draw(model, 4)]),
        .has_expiry = has_expiry,
    };
    if (has_expiry) assert_int_equal(expiry_open(&model->expiry), STATUS_OK);
    struct twin *twin = &model->twins[number];
    *twin = (struct twin){.reference = entry_create(&model->slabs, &content)};
    assert_int_not_equal(twin->reference, 0);
    twin->is_detached = draw(model, 50) == 0;
    if (has_expiry) set(model, twin);
}

static void destroy(struct model *model, struct twin *twin) {
    entry_destroy(&model->slabs, twin->reference, NULL);
    twin->reference = 0;
}

static uint32_t number_of(const struct model *model, uint32_t reference) {
    struct bytes key = entry_key(slabs_at(&model->slabs, reference));
    uint32_t number = 0;
    for (size_t i = 0; i < key.size; i++) {
        number = number * 10 + (uint32_t)(key.data[i] - '0');
    }
    assert_true(number < ENTRIES);
    return number;
}

/* As room.c does it, out of sparse slabs. */
static void move(struct model *model) {
    uint32_t from = slabs_drain_next(&model->slabs);
    if (from == 0) return;
    struct twin *twin = &model->twins[number_of(model, from)];
    assert_int_equal(twin->reference, from);
    bool has_expiry = entry_has_expiry(slabs_at(&model->slabs, from));
    if (has_expiry) assert_int_equal(expiry_open(&model->expiry), STATUS_OK);
    twin->reference = entry_move(&model->slabs, from);
    assert_int_not_equal(twin->reference, 0);
    if (has_expiry) expiry_follow(&model->expiry, twin->reference);
    twin->set_ms = model->now_ms;
    slabs_free(&model->slabs, from);
    model->moved++;
}

static void take_due(struct model *model, uint32_t looks) {
    for (uint32_t reference;
         (reference = expiry_take_due(&model->expiry, model->now_ms, &looks)) != 0;) {
        struct twin *twin = &model->twins[number_of(model, reference)];
        assert_int_equal(twin->reference, reference);
        assert_true(entry_has_expiry(slabs_at(&model->slabs, reference)));
        assert_true(twin->deadline_ms <= model->now_ms); /* never before */
        if (!twin->is_detached) destroy(model, twin);
        model->taken++;
    }
}

/* Once no work is left, nothing is later than a rest; and half of one more, by which time is stepped back unnoticed. */
static void take_all(struct model *model) {
    while (expiry_has_work(&model->expiry, model->now_ms)) {
        take_due(model, 1 + draw(model, 300));
    }
    int64_t late_ms = model->now_ms - EXPIRY_REST_MS - EXPIRY_REST_MS / 2;
    for (uint32_t i = 0; i < ENTRIES; i += 2) {
        const struct twin *twin = &model->twins[i];
        if (twin->reference == 0 || twin->is_detached) continue;
        assert_true(twin->deadline_ms > late_ms || twin->set_ms > late_ms);
    }
}

/* Detached ones are cleared in the end. */
static void clear(struct model *model) {
    for (uint32_t i = 0; i < ENTRIES; i++) {
        if (model->twins[i].reference != 0 && model->twins[i].is_detached)
            destroy(model, &model->twins[i]);
    }
}

/* By what it sees, in however many steps: half a rest at most, or so much that it notices. In between, an entry that is
 * set waits for the step, too, and then for its slab's rest. */
static void step_back(struct model *model, int64_t by_ms) {
    int64_t seen_ms = model->expiry.now_ms, now_ms = model->now_ms - by_ms;
    bool is_between = now_ms < seen_ms - EXPIRY_REST_MS / 2 && now_ms >= seen_ms - EXPIRY_REST_MS;
    model->now_ms = is_between ? seen_ms - EXPIRY_REST_MS / 2 : now_ms;
}

static void pass_time(struct model *model) {
    switch (draw(model, 40)) {
    case 0:
        model->now_ms += (int64_t)(random_next(&model->random) >> (20 + draw(model, 43)));
        break;
    case 1:
        step_back(model, draw(model, EXPIRY_REST_MS / 2));
        break;
    case 2:
        if (draw(model, 20) != 0) break;
        clear(model); /* what was left because it was due isn't any more */
        step_back(model, draw(model, 1000000));
        break;
    default:
        model->now_ms += draw(model, 200);
    }
}

static void count_visit(void *context, struct entry *entry) {
    uint32_t *visits = context;
    assert_true(entry_has_expiry(entry));
    ++*visits;
}

static void step(struct model *model, bool is_growing) {
    uint32_t number = draw(model, ENTRIES);
    struct twin *twin = &model->twins[number];
    uint32_t visits = 0;
    switch (draw(model, 20)) {
    case 0:
        pass_time(model);
        break;
    case 1:
        take_due(model, draw(model, 400));
        break;
    case 2:
        if (draw(model, 20) == 0) take_all(model);
        break;
    case 3:
        if (draw(model, 500) == 0) clear(model);
        if (draw(model, 50) == 0) expiry_visit_soonest(&model->expiry, count_visit, &visits);
        break;
    case 4:
        move(model);
        break;
    default:
        if (twin->reference == 0) {
            if (is_growing) create(model, number);
        } else if (!is_growing || draw(model, 2) == 0) {
            destroy(model, twin);
        } else if (number % 2 == 0) {
            set(model, twin);
        }
    }
}

static void expiry_agrees_with_a_list_of_deadlines(void **state) {
    (void)state;
    static struct model model;
    model_seed(&model.random, "expiry");
    model.now_ms = START_MS;
    assert_int_equal(slabs_init(&model.slabs, (size_t)64 << 20), STATUS_OK);
    expiry_init(&model.expiry, &model.slabs);
    for (uint32_t i = 0; i < STEPS; i++) {
        step(&model, i / 20000 % 3 != 2);
        if (i % STEPS_A_VALIDATION != 0) continue;
        expiry_validate(&model.expiry);
        slabs_validate(&model.slabs);
    }
    model.now_ms += 2 * EXPIRY_REST_MS;
    take_all(&model);
    assert_true(model.taken > 1000 && model.moved > 100);
    for (uint32_t i = 0; i < ENTRIES; i++) {
        if (model.twins[i].reference != 0) destroy(&model, &model.twins[i]);
    }
    assert_int_equal(model.slabs.used_bytes, 0);
    expiry_release(&model.expiry);
    slabs_release(&model.slabs);
    assert_int_equal(memory_used(), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expiry_agrees_with_a_list_of_deadlines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
