/* Keys, values and deadlines together: putting, finding, moving, expiring, clearing. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "shards/base/hash.h"
#include "shards/base/memory.h"
#include "shards/database.h"

enum { SEED = 11, NOW_MS = 1000000 };

struct fixture {
    struct slabs slabs;
    struct expiry expiry;
    struct database database;
    int deferred; /* blobs that the reclaimer was given */
};

static void defer(void *context, struct blob *blob) {
    struct fixture *fixture = context;
    fixture->deferred++;
    blob_release(blob);
}

static int set_up(void **state) {
    static struct fixture fixture;
    fixture.deferred = 0;
    if (slabs_init(&fixture.slabs, (size_t)64 << 20) != STATUS_OK) return -1;
    expiry_init(&fixture.expiry, &fixture.slabs);
    database_init(&fixture.database, &fixture.slabs, &fixture.expiry, SEED);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *fixture = *state;
    database_validate(&fixture->database);
    expiry_validate(&fixture->expiry);
    database_release(&fixture->database);
    expiry_release(&fixture->expiry);
    slabs_validate(&fixture->slabs);
    assert_int_equal(fixture->slabs.used_bytes, 0);
    slabs_release(&fixture->slabs);
    return 0;
}

static struct key key_of(const char *name) {
    struct bytes bytes = bytes_of_text(name);
    return (struct key){bytes, hash_seeded(bytes, SEED)};
}

static struct entry *put(struct fixture *fixture, const char *name, struct bytes value,
                         int64_t deadline_ms) {
    struct key key = key_of(name);
    struct reclaimer reclaimer = {defer, fixture};
    struct entry *entry =
        database_find_for_write(&fixture->database, &key, NOW_MS, &reclaimer, NULL);
    struct entry_content content = {.value = value};
    assert_int_equal(
        database_put(&fixture->database, &key, &entry, &content, deadline_ms, &reclaimer),
        STATUS_OK);
    assert_ptr_equal(database_find(&fixture->database, &key, INT64_MIN), entry);
    assert_true(bytes_equal(entry_value(entry), value));
    assert_int_equal(entry_deadline_ms(entry), deadline_ms);
    return entry;
}

static struct entry *find(const struct fixture *fixture, const char *name, int64_t now_ms) {
    struct key key = key_of(name);
    return database_find(&fixture->database, &key, now_ms);
}

static void a_value_is_replaced_whatever_its_size_before_and_after(void **state) {
    struct fixture *fixture = *state;
    static const size_t SIZES[] = {
        0, 8, 9, 64, 500, 2000, 3000, SLABS_OBJECT_MAX - 18, SLABS_OBJECT_MAX - 8, 100000};
    static char data[100000];
    memset(data, 'x', sizeof(data));
    for (size_t from = 0; from < sizeof(SIZES) / sizeof(SIZES[0]); from++) {
        for (size_t to = 0; to < sizeof(SIZES) / sizeof(SIZES[0]); to++) {
            put(fixture, "key", bytes_of(data, SIZES[from]),
                from % 2 == 0 ? ENTRY_NO_EXPIRY : NOW_MS + 5000);
            put(fixture, "key", bytes_of(data, SIZES[to]),
                to % 3 == 0 ? ENTRY_NO_EXPIRY : NOW_MS + 9000);
            database_validate(&fixture->database);
        }
    }
    assert_int_equal(database_key_count(&fixture->database), 1);
}

static void a_key_past_its_deadline_is_absent_before_it_is_removed(void **state) {
    struct fixture *fixture = *state;
    put(fixture, "key", BYTES("value"), NOW_MS + 100);
    assert_non_null(find(fixture, "key", NOW_MS + 99));
    assert_null(find(fixture, "key", NOW_MS + 100));
    assert_int_equal(database_key_count(&fixture->database), 1);
    struct key key = key_of("key");
    bool expired;
    assert_null(database_find_for_write(&fixture->database, &key, NOW_MS + 100, NULL, &expired));
    assert_true(expired);
    assert_int_equal(database_key_count(&fixture->database), 0);
    assert_null(database_find_for_write(&fixture->database, &key, NOW_MS + 100, NULL, &expired));
    assert_false(expired);
}

static void a_deadline_is_given_changed_and_taken_away(void **state) {
    struct fixture *fixture = *state;
    struct key key = key_of("key");
    static const int64_t DEADLINES_MS[] = {ENTRY_NO_EXPIRY,    NOW_MS + 1000,  NOW_MS + 1000,
                                           NOW_MS + 900000000, NOW_MS + 5,     ENTRY_NO_EXPIRY,
                                           NOW_MS + 64,        ENTRY_NO_EXPIRY};
    struct entry *entry = put(fixture, "key", BYTES("value"), ENTRY_NO_EXPIRY);
    for (size_t i = 0; i < sizeof(DEADLINES_MS) / sizeof(DEADLINES_MS[0]); i++) {
        entry = database_set_deadline(&fixture->database, &key, entry, DEADLINES_MS[i]);
        assert_non_null(entry);
        assert_ptr_equal(find(fixture, "key", NOW_MS), entry);
        assert_int_equal(entry_deadline_ms(entry), DEADLINES_MS[i]);
        assert_true(bytes_equal(entry_value(entry), BYTES("value")));
        database_validate(&fixture->database);
    }
}

static void a_value_with_no_room_beside_the_deadline_moves_out(void **state) {
    struct fixture *fixture = *state;
    static char data[SLABS_OBJECT_MAX - 18];
    memset(data, 'y', sizeof(data));
    struct key key = key_of("key");
    struct entry *entry = put(fixture, "key", bytes_of(data, sizeof(data)), ENTRY_NO_EXPIRY);
    entry = database_set_deadline(&fixture->database, &key, entry, NOW_MS + 1000);
    assert_non_null(entry);
    assert_non_null(entry_blob(entry));
    assert_true(bytes_equal(entry_value(entry), bytes_of(data, sizeof(data))));
    assert_ptr_equal(find(fixture, "key", NOW_MS), entry);
}

static void what_is_due_is_removed_and_nothing_else(void **state) {
    struct fixture *fixture = *state;
    char name[32];
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "mortal:%d", i);
        put(fixture, name, BYTES("value"), NOW_MS + 1000 + i % 7);
        snprintf(name, sizeof(name), "immortal:%d", i);
        put(fixture, name, BYTES("value"), ENTRY_NO_EXPIRY);
    }
    uint64_t removed = 0;
    for (uint32_t looks = UINT32_MAX, reference;
         (reference = expiry_take_due(&fixture->expiry, NOW_MS + 2000, &looks)) != 0; removed++) {
        struct key key = {.name = entry_key(slabs_at(&fixture->slabs, reference))};
        key.hash = hash_seeded(key.name, SEED);
        assert_true(database_holds(&fixture->database, reference, key.hash));
        database_expire(&fixture->database, reference, key.hash, NULL);
        if (removed % 20 == 0) database_validate(&fixture->database);
    }
    assert_int_equal(removed, 1000);
    assert_int_equal(database_key_count(&fixture->database), 1000);
}

static void a_large_blob_is_handed_to_the_reclaimer(void **state) {
    struct fixture *fixture = *state;
    static char data[200000];
    struct reclaimer reclaimer = {defer, fixture};
    struct key key = key_of("large");
    put(fixture, "large", bytes_of(data, sizeof(data)), ENTRY_NO_EXPIRY);
    put(fixture, "large", bytes_of(data, sizeof(data) - 1), ENTRY_NO_EXPIRY);
    assert_int_equal(fixture->deferred, 1);
    database_remove(&fixture->database, &key, find(fixture, "large", NOW_MS), &reclaimer);
    assert_int_equal(fixture->deferred, 2);
    put(fixture, "small", bytes_of(data, 3000), ENTRY_NO_EXPIRY);
    put(fixture, "small", BYTES(""), ENTRY_NO_EXPIRY);
    assert_int_equal(fixture->deferred, 2); /* freed at once */
}

static void a_replaced_entry_keeps_its_access_history(void **state) {
    struct fixture *fixture = *state;
    struct entry *entry = put(fixture, "key", BYTES("short"), ENTRY_NO_EXPIRY);
    atomic_store(&entry->access, 0x12345678);
    entry = put(fixture, "key", BYTES("a value that needs a larger slot"), NOW_MS + 1000);
    assert_int_equal(atomic_load(&entry->access), 0x12345678);
}

static void clearing_in_steps_frees_everything(void **state) {
    struct fixture *fixture = *state;
    char name[32];
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "key:%d", i);
        put(fixture, name, BYTES("value"), i % 2 == 0 ? ENTRY_NO_EXPIRY : NOW_MS + i);
    }
    int steps = 0;
    while (!database_clear_some(&fixture->database, 64, NULL)) {
        steps++;
        database_validate(&fixture->database);
    }
    assert_int_equal(steps, 1000 / 64);
    assert_int_equal(fixture->slabs.used_bytes, 0);
}

int main(void) {
#define DATABASE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        DATABASE_TEST(a_value_is_replaced_whatever_its_size_before_and_after),
        DATABASE_TEST(a_key_past_its_deadline_is_absent_before_it_is_removed),
        DATABASE_TEST(a_deadline_is_given_changed_and_taken_away),
        DATABASE_TEST(a_value_with_no_room_beside_the_deadline_moves_out),
        DATABASE_TEST(what_is_due_is_removed_and_nothing_else),
        DATABASE_TEST(a_large_blob_is_handed_to_the_reclaimer),
        DATABASE_TEST(a_replaced_entry_keeps_its_access_history),
        DATABASE_TEST(clearing_in_steps_frees_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
