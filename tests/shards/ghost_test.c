/* What a ghost remembers of keys that went, why they went, and for how long. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>

#include "shards/base/memory.h"
#include "shards/base/random.h"
#include "shards/ghost.h"

enum { KEYS = 8000, CHUNK_BYTES = GHOST_CHUNK_SETS * sizeof(ghost_set) };

static void remember(struct ghost *ghost, uint64_t hash, enum miss_reason reason, unsigned uses) {
    struct departure departure = {.hash = hash, .keys = KEYS, .reason = reason, .uses = uses};
    ghost_remember(ghost, &departure);
}

static void an_evicted_key_is_recalled_with_its_uses_once(void **state) {
    (void)state;
    struct ghost ghost;
    ghost_init(&ghost);
    remember(&ghost, 0x123456789abcdef0, MISS_EVICTED, 2);
    remember(&ghost, 0xfedcba9876543210, MISS_EVICTED, 99);
    assert_int_equal(ghost_recall(&ghost, 0x123456789abcdef0), 2);
    assert_int_equal(ghost_recall(&ghost, 0x123456789abcdef0), GHOST_ABSENT);
    assert_int_equal(ghost_recall(&ghost, 0xfedcba9876543210), GHOST_USES_MAX);
    ghost_release(&ghost);
}

/* Small counts exactly, larger ones rounded down; never more for fewer uses. */
static void check_levels(enum miss_reason reason) {
    struct ghost ghost;
    ghost_init(&ghost);
    int before = 0;
    for (int uses = 0; uses <= 20; uses++) {
        remember(&ghost, 1, reason, (unsigned)uses);
        assert_int_equal(ghost_reason(&ghost, 1), reason);
        int recalled = ghost_recall(&ghost, 1);
        assert_in_range(recalled, before, uses);
        if (uses <= 3) assert_int_equal(recalled, uses);
        if (uses >= GHOST_USES_MAX) assert_int_equal(recalled, GHOST_USES_MAX);
        before = recalled;
    }
    ghost_release(&ghost);
}

static void the_evicted_and_the_expired_come_back_with_about_their_uses(void **state) {
    (void)state;
    check_levels(MISS_EVICTED);
    check_levels(MISS_EXPIRED);
}

static void each_key_has_the_reason_it_went_for_last(void **state) {
    (void)state;
    struct ghost ghost;
    ghost_init(&ghost);
    for (unsigned uses = 0; uses < 20; uses++) {
        remember(&ghost, 1, MISS_EXPIRED, 0);
        assert_int_equal(ghost_reason(&ghost, 1), MISS_EXPIRED);
        remember(&ghost, 1, MISS_EVICTED, uses);
        assert_int_equal(ghost_reason(&ghost, 1), MISS_EVICTED);
        remember(&ghost, 1, MISS_DELETED, 0);
        assert_int_equal(ghost_reason(&ghost, 1), MISS_DELETED);
    }
    assert_int_equal(ghost_recall(&ghost, 1), GHOST_ABSENT);
    assert_int_equal(ghost_reason(&ghost, 1), MISS_UNKNOWN);
    ghost_release(&ghost);
}

static void a_key_that_goes_again_and_again_pushes_nobody_out(void **state) {
    (void)state;
    struct ghost ghost;
    ghost_init(&ghost);
    remember(&ghost, UINT64_C(1) << 50, MISS_EVICTED, 3);
    for (int i = 0; i < 20; i++) {
        remember(&ghost, UINT64_C(1) << 51, MISS_EXPIRED, 0);
    }
    assert_int_equal(ghost_reason(&ghost, UINT64_C(1) << 50), MISS_EVICTED);
    ghost_release(&ghost);
}

static void a_ghost_without_memory_remembers_nothing(void **state) {
    (void)state;
    struct ghost ghost;
    ghost_init(&ghost);
    memory_refuse_after(0);
    remember(&ghost, 1, MISS_EVICTED, 3);
    memory_refuse_after(-1);
    assert_int_equal(ghost_recall(&ghost, 1), GHOST_ABSENT);
    assert_int_equal(ghost_places(&ghost), 0);
    ghost_release(&ghost);
}

static void it_takes_two_bytes_a_key_at_most(void **state) {
    (void)state;
    for (uint64_t keys = 256; keys < 100000; keys = keys * 3 / 2) {
        struct ghost ghost;
        ghost_init(&ghost);
        do {
            ghost_remember(&ghost, &(struct departure){.keys = keys, .reason = MISS_DELETED});
            assert_true(ghost_bytes(&ghost) <= keys * 2 + CHUNK_BYTES);
        } while (ghost.set_count < ghost.target);
        assert_true(ghost.set_count * sizeof(*ghost.sets) <= keys * 2);
        assert_true(ghost_places(&ghost) > keys / 2);
        ghost_release(&ghost);
    }
}

/* How many of `count` keys, drawn by `seed`, are known. */
static unsigned count_known(const struct ghost *ghost, uint64_t seed, unsigned count) {
    struct random random;
    random_init(&random, seed);
    unsigned known = 0;
    for (unsigned i = 0; i < count; i++) {
        known += ghost_reason(ghost, random_next(&random)) != MISS_UNKNOWN;
    }
    return known;
}

/* `count` keys go, drawn by `seed`, of `keys`, or of so many that are there at first and fewer with each. */
static void remember_some(struct ghost *ghost, uint64_t seed, unsigned count, uint64_t keys,
                          bool is_shrinking) {
    struct random random;
    random_init(&random, seed);
    for (unsigned i = 0; i < count; i++) {
        ghost_remember(ghost, &(struct departure){.hash = random_next(&random),
                                                  .keys = is_shrinking ? keys - i : keys,
                                                  .reason = MISS_EVICTED,
                                                  .uses = i % 16});
    }
}

static void most_of_the_last_keys_are_known_and_few_strangers(void **state) {
    (void)state;
    struct ghost ghost;
    ghost_init(&ghost);
    remember_some(&ghost, 1, KEYS * 4, KEYS, false);
    unsigned places = (unsigned)ghost_places(&ghost);
    remember_some(&ghost, 2, places / 2, KEYS, false);
    assert_in_range(count_known(&ghost, 3, KEYS), 0, KEYS / 100);
    assert_in_range(count_known(&ghost, 2, places / 2), places / 2 * 94 / 100, places / 2);
    ghost_release(&ghost);
}

static void what_is_known_stays_known_when_it_grows(void **state) {
    (void)state;
    struct ghost ghost;
    ghost_init(&ghost);
    remember_some(&ghost, 1, KEYS / 4, KEYS, false);
    remember_some(&ghost, 2, 1, KEYS * 5, false);
    assert_true(ghost_places(&ghost) > KEYS * 5 / 2);
    assert_in_range(count_known(&ghost, 1, KEYS / 4), KEYS / 4 * 95 / 100, KEYS / 4);
    ghost_release(&ghost);
}

/* A lock is held meanwhile. */
static void a_large_one_grows_and_shrinks_by_steps(void **state) {
    (void)state;
    enum { MANY = KEYS * 250, LATE = 2000 };
    struct ghost ghost;
    ghost_init(&ghost);
    remember_some(&ghost, 1, KEYS, GHOST_CHUNK_SETS * GHOST_WAYS, false);
    assert_int_equal(ghost.set_count, GHOST_CHUNK_SETS);
    unsigned departures = 0;
    do {
        size_t before = ghost_bytes(&ghost);
        remember_some(&ghost, 2 + departures, 1, MANY, false);
        assert_true(ghost_bytes(&ghost) <= before + CHUNK_BYTES + 4096);
        if (departures == LATE)
            assert_in_range(count_known(&ghost, 1, KEYS), KEYS * 95 / 100, KEYS);
        departures++;
    } while (ghost.set_count < ghost.target);
    assert_true(departures > LATE && ghost_places(&ghost) > MANY / 2);
    unsigned known = 0;
    for (unsigned i = departures - LATE; i < departures; i++) {
        known += count_known(&ghost, 2 + i, 1);
    }
    assert_in_range(known, LATE * 99 / 100, LATE);
    while (ghost.set_count > KEYS) {
        size_t before = ghost_bytes(&ghost);
        remember_some(&ghost, 1, 1, KEYS, false);
        assert_true(ghost_bytes(&ghost) + CHUNK_BYTES + 4096 >= before);
    }
    remember_some(&ghost, 1, 500, KEYS, false);
    assert_true(ghost_bytes(&ghost) <= CHUNK_BYTES + 4096);
    ghost_release(&ghost);
    assert_int_equal(memory_used(), 0);
}

/* Whatever is refused on the way, it goes on with what it has. */
static void refused_memory_only_delays_growth(void **state) {
    (void)state;
    enum { MANY = GHOST_CHUNK_SETS * GHOST_WAYS * 4 };
    struct ghost ghost;
    ghost_init(&ghost);
    remember_some(&ghost, 1, 1, MANY, false);
    for (int allowed = 0; ghost.set_count < ghost.target; allowed = (allowed + 1) % 3) {
        memory_refuse_after(allowed);
        remember_some(&ghost, 2, 5, MANY, false);
        memory_refuse_after(-1);
        remember_some(&ghost, 3, 1, MANY, false);
        assert_int_equal(count_known(&ghost, 3, 1), 1);
    }
    ghost_release(&ghost);
    assert_int_equal(memory_used(), 0);
}

static void it_stays_large_while_all_keys_go(void **state) {
    (void)state;
    struct ghost ghost;
    ghost_init(&ghost);
    remember_some(&ghost, 1, KEYS, KEYS, true);
    assert_true(ghost_places(&ghost) > KEYS / 2);
    ghost_release(&ghost);
}

static void it_gives_its_memory_back_when_there_are_few_keys_for_long(void **state) {
    (void)state;
    struct ghost ghost;
    ghost_init(&ghost);
    remember_some(&ghost, 1, KEYS, KEYS, false);
    remember_some(&ghost, 2, KEYS * 3, KEYS / 16, false);
    assert_true(ghost_places(&ghost) <= KEYS / 16);
    ghost_release(&ghost);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_evicted_key_is_recalled_with_its_uses_once),
        cmocka_unit_test(the_evicted_and_the_expired_come_back_with_about_their_uses),
        cmocka_unit_test(each_key_has_the_reason_it_went_for_last),
        cmocka_unit_test(a_key_that_goes_again_and_again_pushes_nobody_out),
        cmocka_unit_test(a_ghost_without_memory_remembers_nothing),
        cmocka_unit_test(it_takes_two_bytes_a_key_at_most),
        cmocka_unit_test(most_of_the_last_keys_are_known_and_few_strangers),
        cmocka_unit_test(what_is_known_stays_known_when_it_grows),
        cmocka_unit_test(a_large_one_grows_and_shrinks_by_steps),
        cmocka_unit_test(refused_memory_only_delays_growth),
        cmocka_unit_test(it_stays_large_while_all_keys_go),
        cmocka_unit_test(it_gives_its_memory_back_when_there_are_few_keys_for_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
