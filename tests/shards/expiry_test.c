/* Expiry: when an entry is handed out, after how much looking, and what a change of plan leaves behind. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "shards/base/memory.h"
#include "shards/expiry.h"

static const int64_t START_MS = 1700000000000;
enum { SLAB_ENTRIES = SLABS_SLAB_BYTES / 24 /* of make_at's size */ };

struct fixture {
    struct slabs slabs;
    struct expiry expiry;
};

static int set_up(void **state) {
    static struct fixture fixture;
    *state = &fixture;
    if (slabs_init(&fixture.slabs, (size_t)64 << 20) != STATUS_OK) return -1;
    expiry_init(&fixture.expiry, &fixture.slabs);
    return 0;
}

static int tear_down(void **state) {
    struct fixture *fixture = *state;
    expiry_release(&fixture->expiry);
    slabs_release(&fixture->slabs);
    return 0;
}

static uint32_t make_at(struct fixture *fixture, int64_t deadline_ms) {
    struct entry_content content = {.key = BYTES("key"), .has_expiry = true};
    assert_int_equal(expiry_open(&fixture->expiry), STATUS_OK);
    uint32_t reference = entry_create(&fixture->slabs, &content);
    assert_int_not_equal(reference, 0);
    expiry_set(&fixture->expiry, reference, deadline_ms);
    return reference;
}

/* The next that is due, which is then removed; 0 for none. */
static uint32_t take(struct fixture *fixture, int64_t now_ms) {
    uint32_t looks = 100000;
    uint32_t reference = expiry_take_due(&fixture->expiry, now_ms, &looks);
    if (reference != 0) entry_destroy(&fixture->slabs, reference, NULL);
    expiry_validate(&fixture->expiry);
    return reference;
}

static void an_entry_is_due_at_its_deadline_never_before(void **state) {
    struct fixture *fixture = *state;
    static const int64_t DELAYS_MS[] = {
        0, 1, 63, 64, 4095, 4096, 262144, 86400000, 31536000000LL, 31536000000000LL};
    int64_t now_ms = START_MS;
    for (size_t i = 0; i < sizeof(DELAYS_MS) / sizeof(DELAYS_MS[0]); i++) {
        now_ms += EXPIRY_REST_MS; /* from the sweep before */
        int64_t deadline_ms = now_ms + DELAYS_MS[i];
        uint32_t reference = make_at(fixture, deadline_ms);
        if (DELAYS_MS[i] > 0) assert_int_equal(take(fixture, deadline_ms - 1), 0);
        assert_int_equal(take(fixture, deadline_ms), reference);
        assert_int_equal(take(fixture, deadline_ms), 0);
        now_ms = deadline_ms;
    }
}

static void a_deadline_in_the_past_is_due_at_once(void **state) {
    struct fixture *fixture = *state;
    uint32_t late = make_at(fixture, START_MS);
    uint32_t ancient = make_at(fixture, -5);
    uint32_t first = take(fixture, START_MS + 100000);
    uint32_t second = take(fixture, START_MS + 100000);
    assert_true((first == late && second == ancient) || (first == ancient && second == late));
}

static void a_deadline_may_be_changed_and_taken_away(void **state) {
    struct fixture *fixture = *state;
    uint32_t postponed = make_at(fixture, START_MS + 1000);
    uint32_t hastened = make_at(fixture, START_MS + 100000);
    uint32_t removed = make_at(fixture, START_MS + 500);
    expiry_set(&fixture->expiry, postponed, START_MS + 50000);
    expiry_set(&fixture->expiry, hastened, START_MS + 10000);
    entry_destroy(&fixture->slabs, removed, NULL);
    assert_int_equal(take(fixture, START_MS + 5000), 0);
    assert_int_equal(take(fixture, START_MS + 10000), hastened);
    assert_int_equal(take(fixture, START_MS + 49999), 0);
    assert_int_equal(take(fixture, START_MS + 50000), postponed);
}

/* Of a slab in which something is due at every moment. */
static void a_slab_rests_between_two_sweeps(void **state) {
    struct fixture *fixture = *state;
    for (int i = 0; i < 2000; i++) {
        make_at(fixture, START_MS + i);
    }
    unsigned sweeps = 0, taken = 0;
    for (int64_t now_ms = START_MS; now_ms <= START_MS + 2000 + EXPIRY_REST_MS; now_ms++) {
        unsigned before = taken;
        while (take(fixture, now_ms) != 0) {
            taken++;
        }
        sweeps += taken != before;
    }
    assert_int_equal(taken, 2000);
    assert_in_range(sweeps, 2000 / EXPIRY_REST_MS, 2000 / EXPIRY_REST_MS + 2);
}

static void another_slab_does_not_wait_for_it(void **state) {
    struct fixture *fixture = *state;
    for (int i = 0; i < SLAB_ENTRIES; i++) {
        make_at(fixture, START_MS + 1000 + i % 2 * 10);
    }
    uint32_t other = make_at(fixture, START_MS + 1010);
    assert_int_not_equal(slabs_number(other), 1);
    for (int i = 0; i < SLAB_ENTRIES / 2; i++) {
        assert_int_not_equal(take(fixture, START_MS + 1000), 0);
    }
    assert_int_equal(take(fixture, START_MS + 1005), 0);
    assert_int_equal(take(fixture, START_MS + 1010), other);
    assert_int_equal(take(fixture, START_MS + 1000 + EXPIRY_REST_MS - 1), 0);
    assert_int_not_equal(take(fixture, START_MS + 1000 + EXPIRY_REST_MS), 0);
}

static void looks_are_bounded_and_a_sweep_is_resumed(void **state) {
    struct fixture *fixture = *state;
    for (int i = 0; i < 1000; i++) {
        make_at(fixture, START_MS + (i % 10 == 0 ? 1000 : 1000000));
    }
    unsigned taken = 0, calls = 0;
    while (expiry_has_work(&fixture->expiry, START_MS + 1000)) {
        uint32_t looks = 50;
        uint32_t reference;
        while ((reference = expiry_take_due(&fixture->expiry, START_MS + 1000, &looks)) != 0) {
            entry_destroy(&fixture->slabs, reference, NULL);
            taken++;
        }
        assert_true(looks == 0 || !expiry_has_work(&fixture->expiry, START_MS + 1000));
        expiry_validate(&fixture->expiry);
        calls++;
    }
    assert_int_equal(taken, 100);
    assert_in_range(calls, 1000 / 50, 1000 / 50 + 1);
}

/* What comes to a slab while it is swept, ahead of the sweep or behind it. */
static void deadlines_set_during_a_sweep_are_kept(void **state) {
    struct fixture *fixture = *state;
    uint32_t references[100];
    for (int i = 0; i < 100; i++) {
        references[i] = make_at(fixture, START_MS + 1000);
    }
    uint32_t looks = 50;
    for (uint32_t reference;
         (reference = expiry_take_due(&fixture->expiry, START_MS + 1000, &looks)) != 0;) {
        expiry_set(&fixture->expiry, reference, START_MS + 3000);
    }
    expiry_set(&fixture->expiry, references[10], START_MS + 2000);
    expiry_set(&fixture->expiry, references[90], START_MS + 2500);
    expiry_validate(&fixture->expiry);
    unsigned now = 0;
    while (take(fixture, START_MS + 1000) != 0) {
        now++;
    }
    assert_int_equal(now, 49);
    assert_int_equal(take(fixture, START_MS + 2000), references[10]);
    assert_int_equal(take(fixture, START_MS + 2600), references[90]);
    while (take(fixture, START_MS + 4000) != 0) {
        now++;
    }
    assert_int_equal(now, 98);
}

/* Its database was detached, say. */
static void what_is_left_where_it_is_is_not_waited_for(void **state) {
    struct fixture *fixture = *state;
    uint32_t left = make_at(fixture, START_MS + 1000);
    uint32_t looks = 1000;
    assert_int_equal(expiry_take_due(&fixture->expiry, START_MS + 1000, &looks), left);
    assert_int_equal(take(fixture, START_MS + 1000), 0);
    assert_false(expiry_has_work(&fixture->expiry, START_MS + 1000000));
}

static void nothing_to_do_is_said_so(void **state) {
    struct fixture *fixture = *state;
    assert_false(expiry_has_work(&fixture->expiry, START_MS + 1000000));
    make_at(fixture, START_MS + 1000);
    assert_int_equal(take(fixture, START_MS + 100), 0);
    assert_false(expiry_has_work(&fixture->expiry, START_MS + 999));
    assert_true(expiry_has_work(&fixture->expiry, START_MS + 1000));
}

static void a_clock_that_steps_back_ends_all_rests(void **state) {
    struct fixture *fixture = *state;
    make_at(fixture, START_MS + 1000000);
    make_at(fixture, START_MS + 5000000);
    assert_int_not_equal(take(fixture, START_MS + 1000000), 0);
    assert_int_equal(take(fixture, START_MS + 1000000), 0);
    uint32_t reference = make_at(fixture, START_MS + 10000);
    assert_int_equal(take(fixture, START_MS + 9000), 0);
    assert_int_equal(take(fixture, START_MS + 10000), reference);
}

static void note_visit(void *context, struct entry *entry) {
    int64_t *soonest_ms = context;
    if (entry_deadline_ms(entry) < *soonest_ms) *soonest_ms = entry_deadline_ms(entry);
}

static void the_slab_of_the_soonest_is_visited(void **state) {
    struct fixture *fixture = *state;
    for (int i = 0; i < 3 * SLAB_ENTRIES; i++) {
        make_at(fixture, START_MS + 1000000 - i);
    }
    uint32_t soonest = make_at(fixture, START_MS + 1);
    int64_t soonest_ms = INT64_MAX;
    expiry_visit_soonest(&fixture->expiry, note_visit, &soonest_ms);
    assert_int_equal(soonest_ms, START_MS + 1);
    entry_destroy(&fixture->slabs, soonest, NULL); /* its slab is not the first any more */
    soonest_ms = INT64_MAX;
    expiry_visit_soonest(&fixture->expiry, note_visit, &soonest_ms);
    assert_int_equal(soonest_ms, START_MS + 1000000 - 3 * SLAB_ENTRIES + 1);
    expiry_validate(&fixture->expiry);
}

static void no_deadline_costs_nothing_and_a_refusal_leaves_it_so(void **state) {
    struct fixture *fixture = *state;
    size_t before = memory_used();
    assert_int_equal(expiry_footprint(&fixture->expiry), 0);
    memory_refuse_after(0);
    enum status status = expiry_open(&fixture->expiry);
    memory_refuse_after(-1);
    assert_int_equal(status, STATUS_NO_MEMORY);
    assert_int_equal(memory_used(), before);
    expiry_validate(&fixture->expiry);
    assert_int_equal(expiry_open(&fixture->expiry), STATUS_OK);
    assert_int_equal(memory_used() - before, expiry_footprint(&fixture->expiry));
    assert_in_range(expiry_footprint(&fixture->expiry), 1, 4096);
}

int main(void) {
#define EXPIRY_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        EXPIRY_TEST(an_entry_is_due_at_its_deadline_never_before),
        EXPIRY_TEST(a_deadline_in_the_past_is_due_at_once),
        EXPIRY_TEST(a_deadline_may_be_changed_and_taken_away),
        EXPIRY_TEST(a_slab_rests_between_two_sweeps),
        EXPIRY_TEST(another_slab_does_not_wait_for_it),
        EXPIRY_TEST(looks_are_bounded_and_a_sweep_is_resumed),
        EXPIRY_TEST(deadlines_set_during_a_sweep_are_kept),
        EXPIRY_TEST(what_is_left_where_it_is_is_not_waited_for),
        EXPIRY_TEST(nothing_to_do_is_said_so),
        EXPIRY_TEST(a_clock_that_steps_back_ends_all_rests),
        EXPIRY_TEST(the_slab_of_the_soonest_is_visited),
        EXPIRY_TEST(no_deadline_costs_nothing_and_a_refusal_leaves_it_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
