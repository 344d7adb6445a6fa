/* Values on the heap that lie scattered are gathered: pages come back, and every value stays what it was. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "shards/base/memory.h"
#include "shards/place.h"
#include "shards/shards.h"

enum { SHARDS = 2, NOW_MS = 100000000, KEYS = 20000, VALUE = 2100, STEPS_MAX = 100000 };

static int set_up(void **state) {
    static struct shards shards;
    struct shards_options options = {.shard_count = SHARDS,
                                     .database_count = 2,
                                     .worker_count = 1,
                                     .seed = 7,
                                     .reserve_bytes = (size_t)256 << 20};
    if (shards_init(&shards, &options) != STATUS_OK) return -1;
    *state = &shards;
    return 0;
}

static int tear_down(void **state) {
    struct shards *shards = *state;
    for (uint32_t i = 0; i < SHARDS; i++) {
        shard_validate(&shards->shards[i]);
    }
    shards_release(shards);
    return 0;
}

/* The place of a key: in the first database, or, one in seven, in the second. */
static struct place place_of(struct shards *shards, unsigned number, char text[32]) {
    int size = snprintf(text, 32, "key:%u", number);
    struct key key = shards_key(shards, bytes_of(text, (size_t)size));
    struct shard *shard = shards_of(shards, key.name);
    struct database *database = shard_database(shard, number % 7 == 0);
    struct place place = {.database = database, .key = key, .now_ms = NOW_MS};
    place.entry = database_find_for_write(database, &place.key, NOW_MS, NULL, NULL);
    return place;
}

static void put(struct shards *shards, unsigned number) {
    char text[32], value[VALUE];
    struct place place = place_of(shards, number, text);
    memset(value, (char)('a' + number % 26), sizeof(value));
    struct entry_content content = {.value = bytes_of(value, sizeof(value))};
    assert_int_equal(place_put(&place, &content, ENTRY_NO_EXPIRY), STATUS_OK);
}

static void expect(struct shards *shards, unsigned number) {
    char text[32];
    struct place place = place_of(shards, number, text);
    assert_non_null(place.entry);
    struct bytes value = entry_value(place.entry);
    assert_int_equal(value.size, VALUE);
    for (size_t i = 0; i < value.size; i++) {
        assert_int_equal(value.data[i], (char)('a' + number % 26));
    }
}

static void delete (struct shards *shards, unsigned number) {
    char text[32];
    struct place place = place_of(shards, number, text);
    assert_non_null(place.entry);
    database_remove(place.database, &place.key, place.entry, NULL);
}

static bool is_kept(unsigned number) {
    return number % 8 == 3;
}

/* Many values, and of them every eighth is left. */
static void scatter(struct shards *shards) {
    for (unsigned i = 0; i < KEYS; i++) {
        put(shards, i);
    }
    for (unsigned i = 0; i < KEYS; i++) {
        if (!is_kept(i)) delete (shards, i);
    }
}

static void gather_all(struct shards *shards) {
    atomic_fetch_add(&shards->eviction.gatherings, 1);
    assert_true(shards_are_gathering(shards));
    for (uint32_t i = 0; i < SHARDS; i++) {
        unsigned steps = 0;
        while (shards_gather(shards, i)) {
            assert_true(++steps < STEPS_MAX);
        }
    }
    assert_false(shards_are_gathering(shards));
}

static void expect_kept(struct shards *shards) {
    for (unsigned i = 0; i < KEYS; i++) {
        if (is_kept(i)) expect(shards, i);
    }
}

static void scattered_values_are_gathered(void **state) {
    struct shards *shards = *state;
    scatter(shards);
    size_t before = memory_scattered(), used = memory_used();
    gather_all(shards);
    expect_kept(shards);
    assert_int_equal(memory_used(), used);
    if (before == 0) skip(); /* an allocator that doesn't tell */
    assert_true(before > (size_t)KEYS / 2 * VALUE);
    assert_true(memory_scattered() < before / 4);
    assert_true(shards_gathered(shards) > 0);
}

static void a_value_that_a_reply_sends_from_stays(void **state) {
    struct shards *shards = *state;
    scatter(shards);
    struct blob *held[KEYS / 8];
    char text[32];
    unsigned count = 0;
    for (unsigned i = 0; i < KEYS; i++) {
        if (is_kept(i)) held[count++] = blob_retain(entry_blob(place_of(shards, i, text).entry));
    }
    gather_all(shards);
    assert_int_equal(shards_gathered(shards), 0);
    count = 0;
    for (unsigned i = 0; i < KEYS; i++) {
        if (!is_kept(i)) continue;
        assert_ptr_equal(held[count], entry_blob(place_of(shards, i, text).entry));
        blob_release(held[count++]);
    }
}

static void refused_memory_leaves_values_where_they_are(void **state) {
    struct shards *shards = *state;
    scatter(shards);
    memory_refuse_after(0);
    gather_all(shards);
    memory_refuse_after(-1);
    assert_int_equal(shards_gathered(shards), 0);
    expect_kept(shards);
}

static void nothing_asked_for_nothing_done(void **state) {
    struct shards *shards = *state;
    scatter(shards);
    assert_false(shards_are_gathering(shards));
    assert_false(shards_gather(shards, 0));
    assert_int_equal(shards_gathered(shards), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(scattered_values_are_gathered, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_value_that_a_reply_sends_from_stays, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refused_memory_leaves_values_where_they_are, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(nothing_asked_for_nothing_done, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
