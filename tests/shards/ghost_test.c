/* What a ghost remembers of keys that went, and for how long. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "shards/base/memory.h"
#include "shards/base/random.h"
#include "shards/ghost.h"

enum { KEYS = 8000 };

static struct ghost ghost_for(uint64_t keys) {
    struct ghost ghost;
    ghost_init(&ghost);
    ghost_fit(&ghost, keys);
    return ghost;
}

static void a_key_is_recalled_with_its_uses_once(void **state) {
    (void)state;
    struct ghost ghost = ghost_for(KEYS);
    ghost_remember(&ghost, 0x123456789abcdef0, 7);
    ghost_remember(&ghost, 0xfedcba9876543210, 99);
    assert_int_equal(ghost_recall(&ghost, 0x123456789abcdef0), 7);
    assert_int_equal(ghost_recall(&ghost, 0x123456789abcdef0), GHOST_ABSENT);
    assert_int_equal(ghost_recall(&ghost, 0xfedcba9876543210), GHOST_USES_MAX);
    ghost_release(&ghost);
}

static void a_ghost_without_memory_remembers_nothing(void **state) {
    (void)state;
    struct ghost ghost;
    ghost_init(&ghost);
    memory_refuse_after(0);
    ghost_fit(&ghost, KEYS);
    memory_refuse_after(-1);
    ghost_remember(&ghost, 1, 3);
    assert_int_equal(ghost_recall(&ghost, 1), GHOST_ABSENT);
    ghost_release(&ghost);
}

static void it_takes_two_bytes_a_key_at_most(void **state) {
    (void)state;
    for (uint64_t keys = GHOST_WAYS; keys < 100000; keys = keys * 3 / 2) {
        struct ghost ghost = ghost_for(keys);
        assert_true(ghost.set_count * sizeof(*ghost.sets) <= keys * 2);
        assert_true(ghost.set_count * sizeof(*ghost.sets) > keys / 2);
        ghost_release(&ghost);
    }
}

/* How many of `count` keys, drawn by `seed`, are recalled. */
static unsigned count_recalled(struct ghost *ghost, uint64_t seed, unsigned count) {
    struct random random;
    random_init(&random, seed);
    unsigned recalled = 0;
    for (unsigned i = 0; i < count; i++) {
        recalled += ghost_recall(ghost, random_next(&random)) != GHOST_ABSENT;
    }
    return recalled;
}

static void remember_some(struct ghost *ghost, uint64_t seed, unsigned count) {
    struct random random;
    random_init(&random, seed);
    for (unsigned i = 0; i < count; i++) {
        ghost_remember(ghost, random_next(&random), i % 16);
    }
}

static void most_of_the_last_keys_are_known_and_few_strangers(void **state) {
    (void)state;
    struct ghost ghost = ghost_for(KEYS);
    remember_some(&ghost, 1, KEYS * 4);
    remember_some(&ghost, 2, KEYS / 4);
    assert_in_range(count_recalled(&ghost, 3, KEYS), 0, KEYS / 100);
    assert_in_range(count_recalled(&ghost, 2, KEYS / 4), KEYS / 4 * 95 / 100, KEYS / 4);
    ghost_release(&ghost);
}

static void what_is_known_stays_known_when_it_grows(void **state) {
    (void)state;
    struct ghost ghost = ghost_for(KEYS);
    remember_some(&ghost, 1, KEYS / 4);
    ghost_fit(&ghost, KEYS * 5);
    assert_in_range(count_recalled(&ghost, 1, KEYS / 4), KEYS / 4 * 95 / 100, KEYS / 4);
    ghost_release(&ghost);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_is_recalled_with_its_uses_once),
        cmocka_unit_test(a_ghost_without_memory_remembers_nothing),
        cmocka_unit_test(it_takes_two_bytes_a_key_at_most),
        cmocka_unit_test(most_of_the_last_keys_are_known_and_few_strangers),
        cmocka_unit_test(what_is_known_stays_known_when_it_grows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
