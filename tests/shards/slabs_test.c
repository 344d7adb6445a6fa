/* Slots: their sizes, their alignment, and what becomes of a slab that runs empty. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "shards/base/memory.h"
#include "shards/slabs.h"

static int set_up(void **state) {
    static struct slabs slabs;
    *state = &slabs;
    return slabs_init(&slabs, (size_t)256 << 20) == STATUS_OK ? 0 : -1;
}

static int tear_down(void **state) {
    slabs_release(*state);
    return 0;
}

static void slots_come_in_steps_of_8_up_to_512_and_of_64_above(void **state) {
    (void)state;
    for (size_t size = 1; size <= 512; size++) {
        assert_int_equal(slabs_slot_bytes(size), (size + 7) / 8 * 8);
    }
    for (size_t size = 513; size <= SLABS_OBJECT_MAX; size++) {
        assert_int_equal(slabs_slot_bytes(size), (size + 63) / 64 * 64);
    }
}

static void every_size_gets_an_aligned_slot_of_its_own(void **state) {
    struct slabs *slabs = *state;
    static uint32_t references[SLABS_OBJECT_MAX + 1];
    for (size_t size = 1; size <= SLABS_OBJECT_MAX; size++) {
        uint32_t reference = slabs_allocate(slabs, size);
        assert_int_not_equal(reference, 0);
        assert_int_equal((uintptr_t)slabs_at(slabs, reference) % 8, 0);
        if (slabs_slot_bytes(size) % 64 == 0) {
            assert_int_equal((uintptr_t)slabs_at(slabs, reference) % 64, 0);
        }
        assert_int_equal(slabs_reference(slabs, slabs_at(slabs, reference)), reference);
        memset(slabs_at(slabs, reference), (int)size, size);
        references[size] = reference;
    }
    slabs_validate(slabs);
    for (size_t size = 1; size <= SLABS_OBJECT_MAX; size++) {
        const unsigned char *slot = slabs_at(slabs, references[size]);
        assert_int_equal(slot[0], (unsigned char)size);
        assert_int_equal(slot[size - 1], (unsigned char)size);
        slabs_free(slabs, references[size]);
    }
    assert_int_equal(slabs->used_bytes, 0);
    slabs_validate(slabs);
}

static void a_freed_slot_is_the_next_to_be_used(void **state) {
    struct slabs *slabs = *state;
    uint32_t first = slabs_allocate(slabs, 88);
    uint32_t second = slabs_allocate(slabs, 88);
    slabs_free(slabs, first);
    assert_int_equal(slabs_allocate(slabs, 81), first);
    slabs_free(slabs, first);
    slabs_free(slabs, second);
}

static void ten_small_keys_touch_no_more_than_two_pages(void **state) {
    struct slabs *slabs = *state;
    size_t before = memory_used();
    for (int i = 0; i < 10; i++) {
        assert_int_not_equal(slabs_allocate(slabs, 88), 0);
    }
    assert_true(slabs->resident_bytes <= 2 * 4096); /* one of slots, one of headers */
    assert_int_equal(memory_used() - before, slabs->resident_bytes);
}

/* Fills `count` slots and runs in turn and frees them all. */
static void fill_and_empty(struct slabs *slabs, uint32_t count) {
    static uint32_t references[40000];
    for (uint32_t i = 0; i < count; i++) {
        size_t size = i % 2 == 0 ? SLABS_SLOT_MAX : 3500;
        references[i] = slabs_allocate(slabs, size);
        assert_int_not_equal(references[i], 0);
        memset(slabs_at(slabs, references[i]), 1, size);
    }
    slabs_validate(slabs);
    for (uint32_t i = 0; i < count; i++) {
        slabs_free(slabs, references[i]);
    }
    slabs_validate(slabs);
}

static void empty_slabs_give_their_pages_back(void **state) {
    struct slabs *slabs = *state;
    fill_and_empty(slabs, 40000); /* 80 MiB */
    assert_int_equal(slabs->used_bytes, 0);
    assert_true(slabs->resident_bytes < 600 * 1024); /* headers, and the few spare slabs */
}

static void the_address_space_of_one_size_serves_another(void **state) {
    struct slabs *slabs = *state;
    fill_and_empty(slabs, 40000);
    uint32_t slab_count = slabs->slab_count;
    for (int i = 0; i < 100000; i++) {
        assert_int_not_equal(slabs_allocate(slabs, 100), 0);
    }
    slabs_validate(slabs);
    assert_int_equal(slabs->slab_count, slab_count);
}

static void a_full_reservation_is_an_ordinary_refusal(void **state) {
    (void)state;
    struct slabs slabs;
    static const struct {
        size_t size;
        uint32_t a_slab;
    } rows[] = {{512, 128}, {2048, 31}, {SLABS_OBJECT_MAX, 4}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t size = rows[i].size;
        assert_int_equal(slabs_init(&slabs, 4 * SLABS_SLAB_BYTES), STATUS_OK);
        uint32_t last = 0, count = 0;
        for (uint32_t next; (next = slabs_allocate(&slabs, size)) != 0; last = next) {
            count++;
        }
        assert_int_equal(count, 3 * rows[i].a_slab); /* the first slab holds headers */
        slabs_validate(&slabs);
        slabs_free(&slabs, last);
        assert_int_equal(slabs_allocate(&slabs, size), last);
        slabs_release(&slabs);
    }
}

static void refused_memory_changes_nothing(void **state) {
    struct slabs *slabs = *state;
    memory_refuse_after(0);
    uint32_t reference = slabs_allocate(slabs, 100);
    memory_refuse_after(-1);
    assert_int_equal(reference, 0);
    slabs_validate(slabs);
    assert_int_not_equal(slabs_allocate(slabs, 100), 0);
}

static void what_was_counted_is_taken_off_at_the_release(void **state) {
    (void)state;
    struct slabs slabs;
    size_t before = memory_used();
    assert_int_equal(slabs_init(&slabs, 0), STATUS_OK);
    for (int i = 0; i < 10000; i++) {
        assert_int_not_equal(slabs_allocate(&slabs, 200), 0);
    }
    assert_true(memory_used() > before + 2000000);
    slabs_release(&slabs);
    assert_int_equal(memory_used(), before);
}

/* Every 2048th slab holds headers, of the slabs behind it: its bytes must never be handed out. */
static void slots_go_on_behind_the_headers_of_the_next_group(void **state) {
    struct slabs *slabs = *state;
    enum { GROUP_BYTES = 2048 * SLABS_SLAB_BYTES, SLOTS = GROUP_BYTES / SLABS_OBJECT_MAX + 100 };
    uint32_t reference = 0;
    for (int i = 0; i < SLOTS; i++) {
        uint32_t next = slabs_allocate(slabs, SLABS_OBJECT_MAX);
        assert_true(next > reference);
        assert_int_not_equal((uint64_t)next * SLABS_UNIT / SLABS_SLAB_BYTES % 2048, 0);
        reference = next;
    }
    memset(slabs_at(slabs, reference), 0xff, SLABS_OBJECT_MAX);
    slabs_free(slabs, reference);
    slabs_validate(slabs);
}

/* ---- Draining -------------------------------------------------------------------------------- */

enum { SIZE = 88, CAPACITY = SLABS_SLAB_BYTES / SIZE, SLABS_FILLED = 10 };

/* Fill some slabs, and free all but each `keep`-th object; returns how many are left, in `references`. */
static size_t make_sparse(struct slabs *slabs, size_t keep, uint32_t *references) {
    size_t left = 0;
    static uint32_t all[CAPACITY * SLABS_FILLED];
    for (size_t i = 0; i < CAPACITY * SLABS_FILLED; i++) {
        all[i] = slabs_allocate(slabs, SIZE);
        assert_int_not_equal(all[i], 0);
        memcpy(slabs_at(slabs, all[i]), &i, sizeof(i));
    }
    for (size_t i = 0; i < CAPACITY * SLABS_FILLED; i++) {
        if (i % keep == 0) {
            references[left++] = all[i];
        } else {
            slabs_free(slabs, all[i]);
        }
    }
    return left;
}

/* Move what slabs_drain_next gives until there is no more; returns how many were moved. */
static size_t drain_all(struct slabs *slabs, uint32_t *references, size_t count) {
    size_t moved = 0;
    for (uint32_t from; (from = slabs_drain_next(slabs)) != 0; moved++) {
        size_t at = 0;
        while (at < count && references[at] != from) {
            at++;
        }
        assert_true(at < count); /* it is one of those in use */
        uint32_t to = slabs_allocate(slabs, SIZE);
        memcpy(slabs_at(slabs, to), slabs_at(slabs, from), SIZE);
        references[at] = to;
        slabs_free(slabs, from);
        if (moved % 100 == 0) slabs_validate(slabs);
    }
    return moved;
}

static void draining_returns_the_memory_of_sparse_slabs_and_loses_nothing(void **state) {
    struct slabs *slabs = *state;
    static uint32_t references[CAPACITY * SLABS_FILLED];
    size_t left = make_sparse(slabs, 4, references);
    uint64_t resident_before = slabs->resident_bytes;
    assert_true(slabs_can_drain(slabs));
    assert_in_range(drain_all(slabs, references, left), left / 2, left);
    slabs_trim(slabs);
    slabs_validate(slabs);
    assert_false(slabs_can_drain(slabs));
    assert_true(slabs->resident_bytes < resident_before * 4 / 10);
    assert_int_equal(slabs->used_bytes, left * SIZE);
    for (size_t i = 0; i < left; i++) {
        size_t number;
        memcpy(&number, slabs_at(slabs, references[i]), sizeof(number));
        assert_int_equal(number, i * 4);
    }
}

/* Of many sizes: nothing is lost, and what is left lies close together. */
static void draining_runs_returns_the_memory_between_them(void **state) {
    enum { COUNT = 4000 };
    struct slabs *slabs = *state;
    static uint32_t references[COUNT];
    for (uint32_t i = 0; i < COUNT; i++) {
        references[i] = slabs_allocate(slabs, 600 + i * 977 % 9000);
        assert_int_not_equal(references[i], 0);
        memcpy(slabs_at(slabs, references[i]), &i, sizeof(i));
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        if (i % 3 == 0) continue;
        slabs_free(slabs, references[i]);
        references[i] = 0;
    }
    slabs_validate(slabs);
    assert_true(slabs->resident_bytes > slabs->used_bytes * 2);
    for (uint32_t from; (from = slabs_drain_next(slabs)) != 0;) {
        uint32_t number;
        memcpy(&number, slabs_at(slabs, from), sizeof(number));
        assert_true(number < COUNT && references[number] == from);
        size_t size = 600 + number * 977 % 9000;
        uint32_t to = slabs_allocate(slabs, size);
        memcpy(slabs_at(slabs, to), slabs_at(slabs, from), size);
        references[number] = to;
        slabs_free(slabs, from);
        if (number % 64 == 0) slabs_validate(slabs);
    }
    slabs_trim(slabs);
    slabs_validate(slabs);
    assert_false(slabs_can_drain(slabs));
    assert_true(slabs->resident_bytes < slabs->used_bytes + slabs->used_bytes / 8);
    for (uint32_t i = 0; i < COUNT; i += 3) {
        assert_memory_equal(slabs_at(slabs, references[i]), &i, sizeof(i));
    }
}

static void a_walk_over_runs_meets_each_object_once(void **state) {
    enum { COUNT = 20 };
    struct slabs *slabs = *state;
    uint32_t references[COUNT], met = 0;
    for (uint32_t i = 0; i < COUNT; i++) {
        references[i] = slabs_allocate(slabs, 1000 + i * 100);
    }
    uint32_t number = slabs_number(references[0]);
    assert_int_equal(slabs_number(references[COUNT - 1]), number);
    for (uint32_t i = 0; i < COUNT; i += 2) {
        slabs_free(slabs, references[i]);
    }
    struct slabs_walk walk = slabs_walk_start(slabs, number);
    for (;;) {
        uint32_t looks = 1, reference = slabs_walk_next(slabs, &walk, &looks);
        if (reference == 0) break;
        assert_int_equal(reference, references[met * 2 + 1]);
        met++;
    }
    assert_int_equal(met, COUNT / 2);
}

static void a_class_without_a_slab_of_holes_is_left_alone(void **state) {
    struct slabs *slabs = *state;
    static uint32_t references[CAPACITY * SLABS_FILLED];
    for (size_t i = 0; i < CAPACITY * 2; i++) {
        references[i] = slabs_allocate(slabs, SIZE);
    }
    for (size_t i = 0; i < CAPACITY - 1; i++) {
        slabs_free(slabs, references[i * 2]);
    }
    assert_false(slabs_can_drain(slabs));
    assert_int_equal(slabs_drain_next(slabs), 0);
}

static void a_slab_being_drained_hands_out_nothing_and_may_lose_objects(void **state) {
    struct slabs *slabs = *state;
    static uint32_t references[CAPACITY * SLABS_FILLED];
    size_t left = make_sparse(slabs, 4, references);
    uint32_t first = slabs_drain_next(slabs);
    uint32_t units = SLABS_SLAB_BYTES / SLABS_UNIT;
    for (int i = 0; i < 100; i++) {
        assert_int_not_equal(slabs_allocate(slabs, SIZE) / units, first / units);
    }
    assert_int_equal(slabs_drain_next(slabs), first); /* until it is freed */
    size_t gone = 0;
    for (size_t i = 0; i < left; i++) {
        if (references[i] / units != first / units) continue;
        slabs_free(slabs, references[i]);
        gone++;
        slabs_validate(slabs);
    }
    assert_true(gone > 100);
    assert_int_equal(slabs->draining, 0);
}

static void a_drain_may_be_given_up(void **state) {
    struct slabs *slabs = *state;
    static uint32_t references[CAPACITY * SLABS_FILLED];
    make_sparse(slabs, 2, references);
    assert_int_not_equal(slabs_drain_next(slabs), 0);
    slabs_drain_stop(slabs);
    slabs_validate(slabs);
    assert_int_equal(slabs->draining, 0);
    assert_true(slabs_can_drain(slabs));
}

static void fixed_objects_are_never_drained(void **state) {
    struct slabs *slabs = *state;
    enum { FIXED = SLABS_SLAB_BYTES / SLABS_FIXED_BYTES * 4 };
    static uint32_t references[FIXED];
    for (size_t i = 0; i < FIXED; i++) {
        references[i] = slabs_allocate_fixed(slabs);
        assert_int_equal((uintptr_t)slabs_at(slabs, references[i]) % 64, 0);
    }
    for (size_t i = 0; i < FIXED; i++) {
        if (i % 8 != 0) slabs_free(slabs, references[i]);
    }
    assert_false(slabs_can_drain(slabs));
    slabs_validate(slabs);
}

static void a_somewhat_larger_freed_slot_is_taken_before_a_page_is_touched(void **state) {
    struct slabs *slabs = *state;
    uint32_t larger = slabs_allocate(slabs, 448);
    uint32_t kept = slabs_allocate(slabs, 448);
    slabs_free(slabs, larger);
    uint64_t resident = slabs->resident_bytes;
    assert_int_equal(slabs_allocate(slabs, 400), larger);
    assert_int_equal(slabs->resident_bytes, resident);
    assert_int_equal(slabs->freed_bytes, 0);
    slabs_validate(slabs);
    slabs_free(slabs, larger);
    slabs_free(slabs, kept);
    assert_int_equal(slabs->used_bytes, 0);
    slabs_validate(slabs);
}

/* A page for each of 64 sizes, and more where one is full, would be 300 KiB. */
static void few_objects_of_many_sizes_share_pages(void **state) {
    struct slabs *slabs = *state;
    uint32_t references[200];
    for (uint32_t i = 0; i < 200; i++) {
        references[i] = slabs_allocate(slabs, 1 + i * 193 % SLABS_SLOT_MAX);
        assert_int_not_equal(references[i], 0);
    }
    slabs_validate(slabs);
    assert_in_range(slabs->resident_bytes, slabs->used_bytes, 160 * 1024);
    for (uint32_t i = 0; i < 200; i++) {
        slabs_free(slabs, references[i]);
    }
}

/* Of one size as of many: a store that has grown gives each its own. */
static void many_objects_lie_in_slots_of_their_sizes(void **state) {
    struct slabs *slabs = *state;
    enum { COUNT = 50000 };
    uint32_t *references = malloc(COUNT * sizeof(*references));
    assert_non_null(references);
    uint64_t needed = 0;
    for (uint32_t i = 0; i < COUNT; i++) {
        size_t size = 1 + i * UINT64_C(7919) % 128;
        needed += slabs_slot_bytes(size);
        references[i] = slabs_allocate(slabs, size);
        assert_int_not_equal(references[i], 0);
    }
    slabs_validate(slabs);
    assert_in_range(slabs->used_bytes, needed, needed + needed / 50);
    for (uint32_t i = 0; i < COUNT; i++) {
        slabs_free(slabs, references[i]);
    }
    free(references);
}

static void a_much_larger_freed_slot_is_left_for_its_size(void **state) {
    struct slabs *slabs = *state;
    uint32_t larger = slabs_allocate(slabs, 448);
    assert_int_not_equal(slabs_allocate(slabs, 448), 0);
    slabs_free(slabs, larger);
    assert_int_not_equal(slabs_allocate(slabs, 88), larger);
    assert_int_equal(slabs_allocate(slabs, 448), larger);
    slabs_validate(slabs);
}

/* A slab with touched pages left has a slot that costs nothing. */
static void a_slot_of_a_touched_page_comes_before_a_larger_one(void **state) {
    struct slabs *slabs = *state;
    uint32_t own = slabs_allocate(slabs, 400);
    uint32_t larger = slabs_allocate(slabs, 448);
    assert_int_not_equal(slabs_allocate(slabs, 448), 0);
    slabs_free(slabs, larger);
    assert_int_equal(slabs_allocate(slabs, 400), own + 400 / SLABS_UNIT);
}

int main(void) {
#define SLABS_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_come_in_steps_of_8_up_to_512_and_of_64_above),
        SLABS_TEST(every_size_gets_an_aligned_slot_of_its_own),
        SLABS_TEST(a_freed_slot_is_the_next_to_be_used),
        SLABS_TEST(a_somewhat_larger_freed_slot_is_taken_before_a_page_is_touched),
        SLABS_TEST(few_objects_of_many_sizes_share_pages),
        SLABS_TEST(many_objects_lie_in_slots_of_their_sizes),
        SLABS_TEST(a_much_larger_freed_slot_is_left_for_its_size),
        SLABS_TEST(a_slot_of_a_touched_page_comes_before_a_larger_one),
        SLABS_TEST(ten_small_keys_touch_no_more_than_two_pages),
        SLABS_TEST(empty_slabs_give_their_pages_back),
        SLABS_TEST(the_address_space_of_one_size_serves_another),
        cmocka_unit_test(a_full_reservation_is_an_ordinary_refusal),
        SLABS_TEST(refused_memory_changes_nothing),
        SLABS_TEST(slots_go_on_behind_the_headers_of_the_next_group),
        SLABS_TEST(draining_returns_the_memory_of_sparse_slabs_and_loses_nothing),
        SLABS_TEST(draining_runs_returns_the_memory_between_them),
        SLABS_TEST(a_walk_over_runs_meets_each_object_once),
        SLABS_TEST(a_class_without_a_slab_of_holes_is_left_alone),
        SLABS_TEST(a_slab_being_drained_hands_out_nothing_and_may_lose_objects),
        SLABS_TEST(a_drain_may_be_given_up),
        SLABS_TEST(fixed_objects_are_never_drained),
        cmocka_unit_test(what_was_counted_is_taken_off_at_the_release),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
