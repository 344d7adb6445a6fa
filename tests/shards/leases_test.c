/* Leases: their maximum, and what of a database ends them. Their life is told by tests/models/leases_test.c. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "shards/base/hash.h"
#include "shards/base/memory.h"
#include "shards/leases.h"
#include "shards/shards.h"

enum { LEASE_MS = 100 };
static const int64_t NOW_MS = 1700000000000;

static enum status grant(struct leases *leases, struct key key, int64_t now_ms) {
    struct lease_terms terms = {.now_ms = now_ms, .lease_ms = LEASE_MS, .token = 7};
    uint64_t token;
    return leases_grant(leases, &key, &terms, &token);
}

static struct key numbered(char text[32], int number) {
    struct bytes name = bytes_of(text, (size_t)snprintf(text, 32, "key:%d", number));
    return (struct key){name, hash_seeded(name, 1)};
}

static void a_full_table_refuses_until_leases_run_out(void **state) {
    (void)state;
    struct leases *leases = leases_create();
    char text[32];
    for (int i = 0; i < LEASES_MAX; i++) {
        assert_int_equal(grant(leases, numbered(text, i), NOW_MS), STATUS_OK);
    }
    leases_validate(leases);
    assert_int_equal(grant(leases, numbered(text, LEASES_MAX), NOW_MS + LEASE_MS - 1), STATUS_FULL);
    assert_int_equal(grant(leases, numbered(text, LEASES_MAX), NOW_MS + LEASE_MS), STATUS_OK);
    assert_true(leases_count(leases) < LEASES_MAX);
    leases_destroy(leases);
    assert_int_equal(memory_used(), 0);
}

static void what_leases_take_is_bounded_and_those_that_ran_out_go_first(void **state) {
    (void)state;
    enum { MOST = 10 };
    struct leases *leases = leases_create();
    char text[32];
    struct lease_terms terms = {.now_ms = NOW_MS,
                                .lease_ms = LEASE_MS,
                                .token = 7,
                                .bytes_max = MOST * (sizeof(struct lease) + sizeof "key:0")};
    uint64_t token;
    for (int i = 0; i < MOST; i++) {
        struct key key = numbered(text, i);
        assert_int_equal(leases_grant(leases, &key, &terms, &token), STATUS_OK);
    }
    struct key key = numbered(text, MOST);
    terms.now_ms += LEASE_MS - 1;
    assert_int_equal(leases_grant(leases, &key, &terms, &token), STATUS_FULL);
    leases_validate(leases);
    terms.now_ms += LEASE_MS;
    assert_int_equal(leases_grant(leases, &key, &terms, &token), STATUS_OK);
    assert_int_equal(leases_count(leases), 1);
    leases_validate(leases);
    leases_destroy(leases);
    assert_int_equal(memory_used(), 0);
}

static void a_clock_that_is_set_back_holds_no_lease(void **state) {
    (void)state;
    enum { BACK_MS = 600000 };
    struct leases *leases = leases_create();
    char text[32];
    for (int i = 0; i < LEASES_MAX; i++) {
        assert_int_equal(grant(leases, numbered(text, i), NOW_MS), STATUS_OK);
    }
    assert_int_equal(grant(leases, numbered(text, LEASES_MAX), NOW_MS + LEASE_MS), STATUS_OK);
    struct key key = numbered(text, LEASES_MAX);
    const struct lease *lease = leases_find(leases, &key);
    assert_true(lease_is_held(lease, NOW_MS + LEASE_MS - 20)); /* another worker's turn */
    assert_false(lease_is_held(lease, NOW_MS - BACK_MS));
    for (int i = 0; i < 2 * LEASES_MAX; i++) {
        int64_t now_ms = NOW_MS - BACK_MS + i / LEASES_MAX * (LEASE_MS + 1);
        assert_int_equal(grant(leases, numbered(text, i), now_ms), STATUS_OK);
    }
    leases_validate(leases);
    leases_destroy(leases);
    assert_int_equal(memory_used(), 0);
}

static void the_last_fills_are_remembered(void **state) {
    (void)state;
    struct leases *leases = leases_create();
    struct key one = {BYTES("one"), 1}, other = {BYTES("other"), 2},
               rival = {BYTES("rival"), 1 + (UINT64_C(1) << 12)}; /* in the place of `one` */
    struct lease_terms terms = {
        .now_ms = NOW_MS, .lease_ms = LEASE_MS, .is_timed = true, .token = 7};
    uint64_t token;
    assert_int_equal(leases_grant(leases, &one, &terms, &token), STATUS_OK);
    assert_int_equal(leases_fill_ms(leases, &one), 0);
    assert_true(leases_fill(leases, &one, token, NOW_MS + 30));
    assert_int_equal(leases_fill_ms(leases, &one), 30);
    assert_int_equal(leases_fill_ms(leases, &rival), 0);
    assert_int_equal(leases_grant(leases, &rival, &terms, &token), STATUS_OK);
    assert_true(leases_fill(leases, &rival, token, NOW_MS));
    assert_int_equal(leases_fill_ms(leases, &rival), 1);
    assert_int_equal(leases_fill_ms(leases, &one), 0);

    assert_int_equal(leases_grant(leases, &other, &terms, &token), STATUS_OK);
    assert_true(leases_give_up(leases, &other, token));
    terms.is_timed = false;
    assert_int_equal(leases_grant(leases, &other, &terms, &token), STATUS_OK);
    assert_true(leases_fill(leases, &other, token, NOW_MS + 5));
    assert_int_equal(leases_fill_ms(leases, &other), 0);
    leases_destroy(leases);
    assert_int_equal(memory_used(), 0);
}

static void open_shards(struct shards *shards) {
    struct shards_options options = {.shard_count = 2,
                                     .database_count = 2,
                                     .worker_count = 1,
                                     .seed = 1,
                                     .reserve_bytes = (size_t)1 << 24};
    assert_int_equal(shards_init(shards, &options), STATUS_OK);
}

static struct database *database_of(const struct shards *shards, struct key key, uint32_t index) {
    return shards_of(shards, key.name)->databases[index];
}

static void lease(const struct shards *shards, struct key key, uint32_t index) {
    struct database *database = database_of(shards, key, index);
    if (database->leases == NULL) database->leases = leases_create();
    assert_int_equal(grant(database->leases, key, NOW_MS), STATUS_OK);
}

static bool is_leased(const struct shards *shards, struct key key, uint32_t index) {
    return leases_find(database_of(shards, key, index)->leases, &key) != NULL;
}

static void a_look_by_a_writer_ends_the_lease_of_that_key_only(void **state) {
    (void)state;
    struct shards shards;
    open_shards(&shards);
    struct key written = shards_key(&shards, BYTES("{x}written")),
               other = shards_key(&shards, BYTES("{x}other"));
    lease(&shards, written, 0);
    lease(&shards, other, 0);
    lease(&shards, written, 1);
    database_find(database_of(&shards, written, 0), &written, NOW_MS);
    assert_true(is_leased(&shards, written, 0));
    database_find_for_write(database_of(&shards, written, 0), &written, NOW_MS, NULL, NULL);
    assert_false(is_leased(&shards, written, 0));
    assert_true(is_leased(&shards, other, 0) && is_leased(&shards, written, 1));
    shards_release(&shards);
    assert_int_equal(memory_used(), 0);
}

static void who_fills_a_key_leaves_its_lease_as_it_is(void **state) {
    (void)state;
    struct shards shards;
    open_shards(&shards);
    struct key key = shards_key(&shards, BYTES("key"));
    struct database *database = database_of(&shards, key, 0);
    lease(&shards, key, 0);
    struct entry *entry = database_find_for_fill(database, &key, NOW_MS, NULL, NULL);
    struct entry_content content = {.value = BYTES("value"), .type = ENTRY_STRING};
    assert_int_equal(database_put(database, &key, &entry, &content, NOW_MS + 1, NULL), STATUS_OK);
    bool expired = false;
    assert_null(database_find_for_fill(database, &key, NOW_MS + 1, NULL, &expired));
    assert_true(expired && database_key_count(database) == 0);
    assert_true(is_leased(&shards, key, 0));
    shards_release(&shards);
    assert_int_equal(memory_used(), 0);
}

static void flushing_and_swapping_end_the_leases_of_their_databases(void **state) {
    (void)state;
    struct shards shards;
    open_shards(&shards);
    struct key key = shards_key(&shards, BYTES("key"));
    lease(&shards, key, 0);
    lease(&shards, key, 1);
    assert_int_equal(shards_flush(&shards, 0), STATUS_OK);
    assert_true(!is_leased(&shards, key, 0) && is_leased(&shards, key, 1));
    shards_swap(&shards, 0, 1);
    assert_true(!is_leased(&shards, key, 0) && !is_leased(&shards, key, 1));
    shards_release(&shards);
    assert_int_equal(memory_used(), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_table_refuses_until_leases_run_out),
        cmocka_unit_test(what_leases_take_is_bounded_and_those_that_ran_out_go_first),
        cmocka_unit_test(a_clock_that_is_set_back_holds_no_lease),
        cmocka_unit_test(the_last_fills_are_remembered),
        cmocka_unit_test(a_look_by_a_writer_ends_the_lease_of_that_key_only),
        cmocka_unit_test(who_fills_a_key_leaves_its_lease_as_it_is),
        cmocka_unit_test(flushing_and_swapping_end_the_leases_of_their_databases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
