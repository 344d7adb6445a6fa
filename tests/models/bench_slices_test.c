/* What `sherd-bench steady` reckons: medians over slices, and what of a slice its prober takes for its own fault.
 * The bench is a program and not a library, so the files under test are compiled into this one. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#include "bench/histogram.c"
#include "bench/keys.c"
#include "bench/prober.c"
#include "bench/protocol.c"
#include "bench/slices.c"
#include "bench/target.c"

/* ---- Slices ---------------------------------------------------------------------------------- */

static int slices_setup(void **state) {
    *state = calloc(1, sizeof(struct slices));
    return *state == NULL;
}

static int slices_teardown(void **state) {
    free(*state);
    return 0;
}

static void add(struct slices *slices, double p999_us, bool is_excluded) {
    struct slice slice = {.values = {[SLICE_P999_US] = p999_us, [SLICE_QUEUED_US] = NAN},
                          .is_excluded = is_excluded};
    assert_true(slices_add(slices, &slice));
}

static void a_median_is_the_middle_of_the_slices_in_any_order(void **state) {
    struct slices *slices = *state;
    add(slices, 900, false);
    add(slices, 100, false);
    add(slices, 200, false);
    assert_true(slices_median(slices, SLICE_P999_US) == 200);
    add(slices, 300, false);
    assert_true(slices_median(slices, SLICE_P999_US) == 250);
    assert_true(slices_most(slices, SLICE_P999_US) == 900);
}

static void an_excluded_slice_is_counted_and_nothing_else(void **state) {
    struct slices *slices = *state;
    add(slices, 5000, true);
    assert_true(isnan(slices_median(slices, SLICE_P999_US)));
    assert_true(isnan(slices_most(slices, SLICE_P999_US)));
    assert_true(isnan(slices_share_above(slices, SLICE_P999_US, 1000)));
    add(slices, 100, false);
    assert_int_equal(slices->count, 2);
    assert_int_equal(slices->excluded, 1);
    assert_true(slices_median(slices, SLICE_P999_US) == 100);
    assert_true(slices_most(slices, SLICE_P999_US) == 100);
    assert_true(slices_share_above(slices, SLICE_P999_US, 1000) == 0);
}

static void the_share_above_counts_slices_and_not_the_bound_itself(void **state) {
    struct slices *slices = *state;
    add(slices, 1000, false);
    add(slices, 1001, false);
    add(slices, 10, false);
    add(slices, 4000, false);
    assert_true(slices_share_above(slices, SLICE_P999_US, 1000) == 0.5);
}

static void what_a_slice_does_not_know_is_not_known_of_all(void **state) {
    struct slices *slices = *state;
    add(slices, 1, false);
    assert_true(isnan(slices_median(slices, SLICE_QUEUED_US)));
}

static void more_slices_than_there_is_room_for_are_refused(void **state) {
    struct slices *slices = *state;
    for (int i = 0; i < SLICES_MAX; i++) {
        add(slices, i, false);
    }
    struct slice more = {0};
    assert_false(slices_add(slices, &more));
    assert_true(slices_median(slices, SLICE_P999_US) == (SLICES_MAX - 1) / 2.0);
}

static void a_slice_takes_its_latencies_in_microseconds(void **state) {
    (void)state;
    static struct histogram histogram;
    histogram_add(&histogram, 20000, 990);
    histogram_add(&histogram, 7000000, 10);
    struct slice slice = {0};
    slice_take_latencies(&slice, &histogram);
    assert_true(fabs(slice.values[SLICE_P50_US] - 20) < 1);
    assert_true(fabs(slice.values[SLICE_P999_US] - 7000) < 300);
    assert_true(slice.values[SLICE_MOST_US] == 7000);
}

/* ---- The prober ------------------------------------------------------------------------------ */

enum { RATE = 1000, SENT_US = 1000000 };

/* One connection, on which three requests are under way, sent at SENT_US, + 1000, + 2000. */
struct world {
    struct target target;
    struct probed connection;
    struct prober prober;
    struct probing probing;
};

static int world_setup(void **state) {
    struct world *world = calloc(1, sizeof(*world));
    if (world == NULL) return -1;
    world->target = target_default();
    world->target.protocol = protocol_named("resp");
    world->prober.connections = &world->connection;
    world->prober.options =
        (struct prober_options){.target = &world->target, .connections = 1, .rate = RATE};
    world->connection.oldest = PROBER_DEPTH_MAX - 1; /* so that the ring is gone round */
    for (; world->connection.in_flight < 3; world->connection.in_flight++) {
        uint32_t place =
            (world->connection.oldest + world->connection.in_flight) % PROBER_DEPTH_MAX;
        world->connection.sent_us[place] = SENT_US + 1000 * world->connection.in_flight;
    }
    world->probing.asked = world->probing.due = 3;
    *state = world;
    return 0;
}

static int world_teardown(void **state) {
    free(*state);
    return 0;
}

static void answer_all(struct world *world, int64_t came_us) {
    take_replies(&world->prober, &world->connection, BYTES("+OK\r\n+OK\r\n+OK\r\n"), came_us,
                 &world->probing);
}

static void a_reply_took_from_its_sending_to_its_stamp(void **state) {
    struct world *world = *state;
    answer_all(world, SENT_US + 2500);
    assert_int_equal(world->probing.latencies.total, 3);
    assert_int_equal(world->probing.latencies.max, 2500 * 1000);
    assert_int_equal(world->connection.in_flight, 0);
}

/* The machine was away from 1 ms on, the prober too: the first request had been sent before, and counts. */
static void a_gap_discounts_what_was_sent_in_its_round_and_nothing_before(void **state) {
    struct world *world = *state;
    note_gap(&world->prober, SENT_US + 1000, 5000, 8000, &world->probing);
    answer_all(world, SENT_US + 9000);
    assert_int_equal(world->probing.latencies.total, 1);
    assert_int_equal(world->probing.latencies.max, 9000 * 1000);
    assert_int_equal(world->probing.away_us, 5000);
}

static void what_is_due_in_a_gap_is_skipped(void **state) {
    struct world *world = *state;
    note_gap(&world->prober, SENT_US + 9000, 5000, 8000, &world->probing);
    assert_int_equal(world->probing.due, 9); /* 0 to 8, a millisecond each */
    assert_int_equal(world->probing.skipped, 6);
    assert_int_equal(world->probing.asked, 3);
}

static void a_round_that_is_late_by_less_is_no_gap(void **state) {
    struct world *world = *state;
    note_gap(&world->prober, SENT_US, PROBER_GAP_US - 1, 8000, &world->probing);
    answer_all(world, SENT_US + 9000);
    assert_int_equal(world->probing.latencies.total, 3);
    assert_int_equal(world->probing.away_us, 0);
    assert_int_equal(world->probing.due, 3);
}

static void requests_are_due_at_fixed_times(void **state) {
    struct world *world = *state;
    assert_int_equal(due_by(&world->prober, 0), 1);
    assert_int_equal(due_by(&world->prober, 999), 1);
    for (uint64_t number = 0; number < 1000; number++) {
        int64_t at_us = due_us(&world->prober, number);
        assert_int_equal(due_by(&world->prober, at_us), number + 1);
    }
}

#define WITH_SLICES(test) cmocka_unit_test_setup_teardown(test, slices_setup, slices_teardown)
#define WITH_WORLD(test)  cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_SLICES(a_median_is_the_middle_of_the_slices_in_any_order),
        WITH_SLICES(an_excluded_slice_is_counted_and_nothing_else),
        WITH_SLICES(the_share_above_counts_slices_and_not_the_bound_itself),
        WITH_SLICES(what_a_slice_does_not_know_is_not_known_of_all),
        WITH_SLICES(more_slices_than_there_is_room_for_are_refused),
        cmocka_unit_test(a_slice_takes_its_latencies_in_microseconds),
        WITH_WORLD(a_reply_took_from_its_sending_to_its_stamp),
        WITH_WORLD(a_gap_discounts_what_was_sent_in_its_round_and_nothing_before),
        WITH_WORLD(what_is_due_in_a_gap_is_skipped),
        WITH_WORLD(a_round_that_is_late_by_less_is_no_gap),
        WITH_WORLD(requests_are_due_at_fixed_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
