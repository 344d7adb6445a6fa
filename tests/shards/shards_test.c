/* The whole store: routing, locks in order, one cursor over all shards, flushes at one instant, upkeep in bounded
 * holds. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shards/base/memory.h"
#include "shards/shards.h"

enum { SHARDS = 8, DATABASES = 4, NOW_MS = 1000000, KEYS = 4000 };

static int set_up(void **state) {
    static struct shards shards;
    struct shards_options options = {
        .shard_count = SHARDS,
        .database_count = DATABASES,
        .worker_count = 2,
        .seed = 99,
        .reserve_bytes = (size_t)64 << 20,
    };
    *state = &shards;
    return shards_init(&shards, &options) == STATUS_OK ? 0 : -1;
}

static void validate(struct shards *shards) {
    for (uint32_t i = 0; i < shards->count; i++) {
        shard_validate(&shards->shards[i]);
    }
}

static int tear_down(void **state) {
    struct shards *shards = *state;
    validate(shards);
    shards_release(shards);
    return 0;
}

static enum status put_value(struct shards *shards, uint32_t database, int number,
                             struct bytes value, int64_t deadline_ms) {
    char text[32];
    struct bytes name = bytes_of(text, (size_t)snprintf(text, sizeof(text), "key:%d", number));
    struct key key = shards_key(shards, name);
    struct shard *shard = shards_of(shards, name);
    struct entry_content content = {.value = value};
    rwlock_write_lock(&shard->lock);
    struct database *in = shard->databases[database];
    struct entry *entry = database_find_for_write(in, &key, NOW_MS, NULL, NULL);
    enum status status = database_put(in, &key, &entry, &content, deadline_ms, NULL);
    rwlock_write_unlock(&shard->lock);
    return status;
}

static enum status put(struct shards *shards, uint32_t database, int number, int64_t deadline_ms) {
    return put_value(shards, database, number, BYTES("value"), deadline_ms);
}

static bool has(struct shards *shards, uint32_t database, int number, int64_t now_ms) {
    char text[32];
    struct bytes name = bytes_of(text, (size_t)snprintf(text, sizeof(text), "key:%d", number));
    struct key key = shards_key(shards, name);
    struct shard *shard = shards_of(shards, name);
    rwlock_read_lock(&shard->lock);
    bool found = database_find(shard->databases[database], &key, now_ms) != NULL;
    rwlock_read_unlock(&shard->lock);
    return found;
}

static void fill(struct shards *shards, uint32_t database, int count) {
    for (int i = 0; i < count; i++) {
        assert_int_equal(put(shards, database, i, ENTRY_NO_EXPIRY), STATUS_OK);
    }
}

static void run_upkeep(struct shards *shards, int64_t now_ms) {
    for (uint32_t i = 0; i < shards->count; i++) {
        while (shards_upkeep(shards, i, now_ms, 100)) {
            shard_validate(&shards->shards[i]);
        }
    }
}

static void what_is_inserted_is_ascending_and_there_once(void **state) {
    (void)state;
    static const uint32_t GIVEN[] = {5, 3, 5, 0, 7, 3, 3, 0, 9}, SORTED[] = {0, 3, 5, 7, 9};
    uint32_t indexes[5], count = 0;
    for (size_t i = 0; i < sizeof(GIVEN) / sizeof(GIVEN[0]); i++) {
        count = shards_insert(indexes, count, GIVEN[i]);
    }
    assert_int_equal(count, 5);
    assert_memory_equal(indexes, SORTED, sizeof(SORTED));
}

static void no_two_shards_share_a_cache_line(void **state) {
    const struct shards *shards = *state;
    for (uint32_t i = 0; i < shards->count; i++) {
        assert_int_equal((uintptr_t)&shards->shards[i] % 64, 0);
        assert_int_equal(shards->shards[i].lock.rank, i);
    }
    assert_int_equal(sizeof(struct shard) % 64, 0);
}

static void several_shards_are_locked_together(void **state) {
    struct shards *shards = *state;
    static const uint32_t INDEXES[] = {1, 4, 6};
    shards_lock(shards, INDEXES, 3, true);
    assert_true(rwlock_is_held_for_writing(&shards->shards[4].lock));
    shards_unlock(shards, INDEXES, 3, true);
    shards_lock_all(shards, false);
    assert_true(rwlock_is_held_for_reading(&shards->shards[SHARDS - 1].lock));
    shards_unlock_all(shards, false);
}

static void keys_of_one_name_in_two_databases_are_two_keys(void **state) {
    struct shards *shards = *state;
    fill(shards, 0, 100);
    fill(shards, 2, 50);
    assert_int_equal(shards_key_count(shards, 0), 100);
    assert_int_equal(shards_key_count(shards, 1), 0);
    assert_int_equal(shards_key_count(shards, 2), 50);
    assert_true(has(shards, 0, 77, NOW_MS));
    assert_false(has(shards, 2, 77, NOW_MS));
}

static void the_footprint_counts_what_is_too_large_for_slabs(void **state) {
    enum { LARGE = 1 << 20 };
    struct shards *shards = *state;
    char *large = calloc(1, LARGE);
    assert_non_null(large);
    size_t before = shards_footprint(shards);
    assert_int_equal(put_value(shards, 0, 1, bytes_of(large, LARGE), ENTRY_NO_EXPIRY), STATUS_OK);
    assert_in_range(shards_footprint(shards) - before, LARGE, LARGE * 3 / 2);
    assert_int_equal(put(shards, 0, 1, ENTRY_NO_EXPIRY), STATUS_OK);
    assert_true(shards_footprint(shards) - before < LARGE / 2);
    free(large);
}

static void a_flush_empties_one_database_and_upkeep_frees_it(void **state) {
    struct shards *shards = *state;
    fill(shards, 0, KEYS);
    fill(shards, 1, KEYS);
    size_t footprint = shards_footprint(shards);
    assert_int_equal(shards_flush(shards, 0), STATUS_OK);
    assert_int_equal(shards_key_count(shards, 0), 0);
    assert_int_equal(shards_key_count(shards, 1), KEYS);
    assert_false(has(shards, 0, 1, NOW_MS));
    fill(shards, 0, 10); /* while the old keys are still being freed */
    validate(shards);
    run_upkeep(shards, NOW_MS);
    assert_int_equal(shards_key_count(shards, 0), 10);
    assert_true(has(shards, 1, 1, NOW_MS));
    assert_true(shards_footprint(shards) < footprint);
}

static void a_flush_of_all_leaves_nothing_used(void **state) {
    struct shards *shards = *state;
    for (uint32_t database = 0; database < DATABASES; database++) {
        fill(shards, database, KEYS / (int)(database + 1));
    }
    assert_int_equal(shards_flush(shards, SHARDS_ALL_DATABASES), STATUS_OK);
    run_upkeep(shards, NOW_MS);
    for (uint32_t i = 0; i < shards->count; i++) {
        assert_int_equal(shards->shards[i].slabs.used_bytes, 0);
        assert_false(atomic_load(&shards->shards[i].has_flushed));
    }
}

static void flushing_again_and_again_uses_the_same_databases(void **state) {
    struct shards *shards = *state;
    size_t after_two = 0;
    for (int round = 0; round < 20; round++) {
        fill(shards, 0, KEYS);
        assert_int_equal(shards_flush(shards, 0), STATUS_OK);
        run_upkeep(shards, NOW_MS);
        if (round == 1) after_two = memory_used();
    }
    assert_int_equal(memory_used(), after_two);
}

/* Before, each such flush left a database, with a mapping of its own, to be cleared later: thousands in one pipeline. */
static void flushing_a_few_keys_leaves_nothing_for_later(void **state) {
    struct shards *shards = *state;
    fill(shards, 0, 20);
    assert_int_equal(shards_flush(shards, SHARDS_ALL_DATABASES), STATUS_OK);
    for (uint32_t i = 0; i < shards->count; i++) {
        assert_false(atomic_load(&shards->shards[i].has_flushed));
        assert_int_equal(shards->shards[i].slabs.used_bytes, 0);
    }
}

static void a_refused_flush_changes_nothing(void **state) {
    struct shards *shards = *state;
    fill(shards, 0, KEYS);
    for (int64_t allowed = 0;; allowed++) {
        memory_refuse_after(allowed);
        enum status status = shards_flush(shards, SHARDS_ALL_DATABASES);
        memory_refuse_after(-1);
        validate(shards);
        if (status == STATUS_OK) break;
        assert_int_equal(shards_key_count(shards, 0), KEYS);
        assert_true(has(shards, 0, (int)allowed, NOW_MS));
    }
    assert_int_equal(shards_key_count(shards, 0), 0);
}

static void a_swap_exchanges_two_databases(void **state) {
    struct shards *shards = *state;
    fill(shards, 0, 100);
    fill(shards, 3, 10);
    shards_swap(shards, 0, 3);
    assert_int_equal(shards_key_count(shards, 0), 10);
    assert_int_equal(shards_key_count(shards, 3), 100);
    shards_swap(shards, 3, 3);
    assert_true(has(shards, 3, 99, NOW_MS));
}

static void upkeep_removes_what_is_due_and_nothing_else(void **state) {
    struct shards *shards = *state;
    for (int i = 0; i < KEYS; i++) {
        int64_t deadline_ms = i % 2 == 0 ? NOW_MS + i : NOW_MS + 1000000000;
        assert_int_equal(put(shards, (uint32_t)i % DATABASES, i, deadline_ms), STATUS_OK);
    }
    assert_int_equal(shards_deadline_count(shards, 0), KEYS / DATABASES);
    run_upkeep(shards, NOW_MS + KEYS + 100);
    uint64_t left = 0, expired = 0;
    for (uint32_t i = 0; i < DATABASES; i++) {
        left += shards_key_count(shards, i);
    }
    for (uint32_t i = 0; i < shards->count; i++) {
        expired += atomic_load(&shards->shards[i].expired);
        assert_false(shards_upkeep(shards, i, NOW_MS + KEYS + 200, 100));
        assert_true(shards->shards[i].lock.longest_hold_ns > 0);
    }
    assert_int_equal(left, KEYS / 2);
    assert_int_equal(expired, KEYS / 2);
}

static void count_visit(void *context, struct entry *entry) {
    int *visits = context;
    struct bytes key = entry_key(entry);
    char text[32] = {0};
    memcpy(text, key.data, key.size);
    visits[atoi(text + 4)]++;
}

static void one_cursor_visits_every_live_key_of_all_shards(void **state) {
    struct shards *shards = *state;
    static int visits[KEYS];
    for (int i = 0; i < KEYS; i++) {
        assert_int_equal(put(shards, 1, i, i % 5 == 0 ? NOW_MS + 10 : ENTRY_NO_EXPIRY), STATUS_OK);
    }
    memset(visits, 0, sizeof(visits));
    uint64_t cursor = 0;
    do {
        cursor = shards_scan(shards, 1, cursor, NOW_MS + 10, count_visit, visits);
    } while (cursor != 0);
    shards_visit_all(shards, 1, NOW_MS + 10, count_visit, visits);
    for (int i = 0; i < KEYS; i++) {
        assert_int_equal(visits[i], i % 5 == 0 ? 0 : 2);
    }
}

static void any_cursor_a_client_sends_is_taken(void **state) {
    struct shards *shards = *state;
    static int visits[KEYS];
    fill(shards, 0, 500);
    struct random random;
    random_init(&random, 1);
    for (int i = 0; i < 100; i++) {
        uint64_t cursor = random_next(&random);
        do {
            cursor = shards_scan(shards, 0, cursor, NOW_MS, count_visit, visits);
        } while (cursor != 0);
    }
}

static void drawing_finds_live_keys_only_even_when_they_are_rare(void **state) {
    struct shards *shards = *state;
    static int visits[KEYS];
    struct random random;
    random_init(&random, 2);
    assert_false(shards_random(shards, 0, NOW_MS, &random, count_visit, visits));
    for (int i = 0; i < KEYS; i++) {
        assert_int_equal(put(shards, 0, i, i == 1234 ? ENTRY_NO_EXPIRY : NOW_MS + 10), STATUS_OK);
    }
    memset(visits, 0, sizeof(visits));
    for (int i = 0; i < 20; i++) {
        assert_true(shards_random(shards, 0, NOW_MS + 10, &random, count_visit, visits));
    }
    assert_int_equal(visits[1234], 20);
}

static void drawing_reaches_every_shard(void **state) {
    struct shards *shards = *state;
    static int visits[KEYS];
    struct random random;
    random_init(&random, 3);
    memset(visits, 0, sizeof(visits));
    fill(shards, 0, 64);
    for (int i = 0; i < 64 * 100; i++) {
        assert_true(shards_random(shards, 0, NOW_MS, &random, count_visit, visits));
    }
    for (int i = 0; i < 64; i++) {
        assert_in_range(visits[i], 40, 250);
    }
}

static void an_idle_store_of_32_shards_and_16_databases_is_small(void **state) {
    (void)state;
    struct shards shards;
    struct shards_options options = {.shard_count = 32,
                                     .database_count = 16,
                                     .worker_count = 4,
                                     .reserve_bytes = (size_t)64 << 20};
    size_t before = memory_used();
    assert_int_equal(shards_init(&shards, &options), STATUS_OK);
    assert_in_range(memory_used() - before, 0, 200 * 1024);
    shards_release(&shards);
    assert_int_equal(memory_used(), before);
}

static void a_refusal_at_start_gives_everything_back(void **state) {
    (void)state;
    struct shards_options options = {.shard_count = 4,
                                     .database_count = 3,
                                     .worker_count = 2,
                                     .reserve_bytes = (size_t)64 << 20};
    size_t before = memory_used();
    for (int64_t allowed = 0;; allowed++) {
        struct shards shards;
        memory_refuse_after(allowed);
        enum status status = shards_init(&shards, &options);
        memory_refuse_after(-1);
        if (status == STATUS_OK) {
            shards_release(&shards);
            break;
        }
        assert_int_equal(memory_used(), before);
    }
    assert_int_equal(memory_used(), before);
}

int main(void) {
#define SHARDS_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_inserted_is_ascending_and_there_once),
        SHARDS_TEST(no_two_shards_share_a_cache_line),
        SHARDS_TEST(several_shards_are_locked_together),
        SHARDS_TEST(keys_of_one_name_in_two_databases_are_two_keys),
        SHARDS_TEST(the_footprint_counts_what_is_too_large_for_slabs),
        SHARDS_TEST(a_flush_empties_one_database_and_upkeep_frees_it),
        SHARDS_TEST(a_flush_of_all_leaves_nothing_used),
        SHARDS_TEST(flushing_again_and_again_uses_the_same_databases),
        SHARDS_TEST(flushing_a_few_keys_leaves_nothing_for_later),
        SHARDS_TEST(a_refused_flush_changes_nothing),
        SHARDS_TEST(a_swap_exchanges_two_databases),
        SHARDS_TEST(upkeep_removes_what_is_due_and_nothing_else),
        SHARDS_TEST(one_cursor_visits_every_live_key_of_all_shards),
        SHARDS_TEST(any_cursor_a_client_sends_is_taken),
        SHARDS_TEST(drawing_finds_live_keys_only_even_when_they_are_rare),
        SHARDS_TEST(drawing_reaches_every_shard),
        cmocka_unit_test(an_idle_store_of_32_shards_and_16_databases_is_small),
        cmocka_unit_test(a_refusal_at_start_gives_everything_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
