/* The wheel: when an entry is due, in how many steps, and what a change of plan leaves behind. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "shards/base/memory.h"
#include "shards/expiry.h"

static const int64_t START_MS = 1700000000000;

struct wheel {
    struct slabs slabs;
    struct expiry expiry;
};

static int set_up(void **state) {
    static struct wheel wheel;
    *state = &wheel;
    if (slabs_init(&wheel.slabs, (size_t)64 << 20) != STATUS_OK) return -1;
    expiry_init(&wheel.expiry, &wheel.slabs, START_MS);
    return expiry_open(&wheel.expiry) == STATUS_OK ? 0 : -1;
}

static int tear_down(void **state) {
    struct wheel *wheel = *state;
    expiry_release(&wheel->expiry);
    slabs_release(&wheel->slabs);
    return 0;
}

static uint32_t link_at_ms(struct wheel *wheel, int64_t deadline_ms) {
    struct entry_content content = {.key = BYTES("key"), .has_expiry = true};
    uint32_t reference = entry_create(&wheel->slabs, &content);
    assert_int_not_equal(reference, 0);
    expiry_link(&wheel->expiry, reference, deadline_ms);
    return reference;
}

static uint32_t take(struct wheel *wheel, int64_t now_ms) {
    uint32_t limit = 1000;
    uint32_t reference = expiry_take_due(&wheel->expiry, now_ms, &limit);
    expiry_validate(&wheel->expiry);
    return reference;
}

static void an_entry_is_due_within_a_tick_after_its_deadline_never_before(void **state) {
    struct wheel *wheel = *state;
    static const int64_t DELAYS_MS[] = {0,
                                        1,
                                        63,
                                        64,
                                        65,
                                        4095,
                                        4096,
                                        262143,
                                        262144,
                                        16777216,
                                        1073741823,
                                        1073741824,
                                        68719476735,
                                        68719476736,
                                        1000000,
                                        86400000,
                                        604800000,
                                        2592000000,
                                        31536000000LL,
                                        315360000000LL};
    int64_t now_ms = START_MS;
    for (size_t i = 0; i < sizeof(DELAYS_MS) / sizeof(DELAYS_MS[0]); i++) {
        int64_t deadline_ms = now_ms + DELAYS_MS[i];
        uint32_t reference = link_at_ms(wheel, deadline_ms);
        if (DELAYS_MS[i] > 0) assert_int_equal(take(wheel, deadline_ms - 1), 0);
        assert_int_equal(take(wheel, deadline_ms + EXPIRY_TICK_MS), reference);
        now_ms = deadline_ms + EXPIRY_TICK_MS;
        assert_int_equal(take(wheel, now_ms), 0);
    }
}

static void a_deadline_past_every_level_still_comes(void **state) {
    struct wheel *wheel = *state;
    int64_t far_ms = START_MS + 150LL * 366 * 86400 * 1000; /* beyond the era's 139 years */
    uint32_t reference = link_at_ms(wheel, far_ms);
    assert_int_equal(take(wheel, far_ms - 1), 0);
    assert_int_equal(take(wheel, far_ms + EXPIRY_TICK_MS), reference);
    reference = link_at_ms(wheel, INT64_MAX);
    assert_int_equal(take(wheel, far_ms + 1000), 0);
    expiry_unlink(&wheel->expiry, reference);
    expiry_validate(&wheel->expiry);
}

static void a_deadline_in_the_past_is_due_at_once(void **state) {
    struct wheel *wheel = *state;
    take(wheel, START_MS + 100000);
    uint32_t late = link_at_ms(wheel, START_MS);
    uint32_t ancient = link_at_ms(wheel, -5);
    int64_t now_ms = START_MS + 100000 + EXPIRY_TICK_MS;
    uint32_t first = take(wheel, now_ms);
    uint32_t second = take(wheel, now_ms);
    assert_true((first == late && second == ancient) || (first == ancient && second == late));
}

static void an_unlinked_entry_never_comes(void **state) {
    struct wheel *wheel = *state;
    uint32_t references[5];
    for (int i = 0; i < 5; i++) {
        references[i] = link_at_ms(wheel, START_MS + 5000);
    }
    expiry_unlink(&wheel->expiry, references[4]); /* the list's first, a middle one, the last */
    expiry_unlink(&wheel->expiry, references[2]);
    expiry_unlink(&wheel->expiry, references[0]);
    expiry_validate(&wheel->expiry);
    uint32_t first = take(wheel, START_MS + 6000); /* in which order is the wheel's affair */
    uint32_t second = take(wheel, START_MS + 6000);
    assert_true(first == references[1] || first == references[3]);
    assert_int_equal(second, references[1] + references[3] - first);
    assert_int_equal(take(wheel, START_MS + 6000), 0);
    assert_int_equal(atomic_load(&wheel->expiry.count), 0);
}

static void work_is_handed_out_within_its_limit(void **state) {
    struct wheel *wheel = *state;
    for (int i = 0; i < 1000; i++) {
        link_at_ms(wheel, START_MS + 3600000);
    }
    int64_t now_ms = START_MS + 3700000;
    int taken = 0, calls = 0;
    while (expiry_has_work(&wheel->expiry, now_ms)) {
        uint32_t limit = 10;
        while (expiry_take_due(&wheel->expiry, now_ms, &limit) != 0) {
            taken++;
        }
        expiry_validate(&wheel->expiry);
        calls++;
    }
    assert_int_equal(taken, 1000);
    assert_in_range(calls, 100, 100 * EXPIRY_LEVELS);
}

/* A wheel that had to pass every slot would need 15 million steps for a month. */
static void a_long_idle_time_is_passed_in_a_few_steps(void **state) {
    struct wheel *wheel = *state;
    int64_t deadline_ms = START_MS + 30LL * 86400 * 1000;
    uint32_t reference = link_at_ms(wheel, deadline_ms);
    uint32_t limit = 16;
    assert_int_equal(expiry_take_due(&wheel->expiry, deadline_ms + 64, &limit), reference);
}

static void nothing_to_do_is_said_so(void **state) {
    struct wheel *wheel = *state;
    assert_false(expiry_has_work(&wheel->expiry, START_MS + 1000000));
    link_at_ms(wheel, START_MS + 1000);
    take(wheel, START_MS + 100);
    assert_false(expiry_has_work(&wheel->expiry, START_MS + 900));
    assert_true(expiry_has_work(&wheel->expiry, START_MS + 1064));
}

static void a_clock_that_steps_back_harms_nothing(void **state) {
    struct wheel *wheel = *state;
    take(wheel, START_MS + 1000000);
    uint32_t reference = link_at_ms(wheel, START_MS + 10000);
    assert_int_equal(take(wheel, START_MS + 20000), 0); /* the wheel has been further already */
    assert_int_equal(take(wheel, START_MS + 1000064), reference);
}

static void an_unused_wheel_has_no_slots_and_a_refusal_leaves_it_so(void **state) {
    struct wheel *wheel = *state;
    struct expiry unused;
    size_t before = memory_used();
    expiry_init(&unused, &wheel->slabs, START_MS);
    assert_int_equal(memory_used(), before);
    memory_refuse_after(0);
    enum status status = expiry_open(&unused);
    memory_refuse_after(-1);
    assert_int_equal(status, STATUS_NO_MEMORY);
    uint32_t limit = 10;
    assert_int_equal(expiry_take_due(&unused, START_MS + 100000, &limit), 0);
    assert_false(expiry_has_work(&unused, START_MS + 100000));
    expiry_validate(&unused);
    expiry_release(&unused);
}

int main(void) {
#define EXPIRY_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        EXPIRY_TEST(an_entry_is_due_within_a_tick_after_its_deadline_never_before),
        EXPIRY_TEST(a_deadline_past_every_level_still_comes),
        EXPIRY_TEST(a_deadline_in_the_past_is_due_at_once),
        EXPIRY_TEST(an_unlinked_entry_never_comes),
        EXPIRY_TEST(work_is_handed_out_within_its_limit),
        EXPIRY_TEST(a_long_idle_time_is_passed_in_a_few_steps),
        EXPIRY_TEST(nothing_to_do_is_said_so),
        EXPIRY_TEST(a_clock_that_steps_back_harms_nothing),
        EXPIRY_TEST(an_unused_wheel_has_no_slots_and_a_refusal_leaves_it_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
