/* The index: what is found, at every size, and what a shrinking or cleared table gives back. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shards/base/hash.h"
#include "shards/base/memory.h"
#include "shards/table.h"

enum { KEYS = 20000, SEED = 42 };

struct fixture {
    struct slabs slabs;
    struct table table;
    uint32_t references[KEYS];
};

static int set_up(void **state) {
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    if (fixture == NULL || slabs_init(&fixture->slabs, (size_t)256 << 20) != STATUS_OK) return -1;
    table_init(&fixture->table, &fixture->slabs, SEED);
    *state = fixture;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *fixture = *state;
    table_release(&fixture->table);
    slabs_release(&fixture->slabs);
    free(fixture);
    return 0;
}

static struct bytes name_of(char text[32], int number) {
    return bytes_of(text, (size_t)snprintf(text, 32, "key:%d", number));
}

static uint64_t hash_of(int number) {
    char text[32];
    return hash_seeded(name_of(text, number), SEED);
}

static void insert(struct fixture *fixture, int number) {
    char text[32];
    struct entry_content content = {.key = name_of(text, number), .value = BYTES("v")};
    uint32_t reference = entry_create(&fixture->slabs, &content);
    assert_int_not_equal(reference, 0);
    assert_int_equal(table_insert(&fixture->table, reference, hash_of(number)), STATUS_OK);
    fixture->references[number] = reference;
}

static void remove_key(struct fixture *fixture, int number) {
    table_remove(&fixture->table, fixture->references[number], hash_of(number));
    entry_destroy(&fixture->slabs, fixture->references[number], NULL);
    fixture->references[number] = 0;
}

static struct entry *find(const struct fixture *fixture, int number) {
    char text[32];
    struct bytes name = name_of(text, number);
    return table_find(&fixture->table, name, hash_seeded(name, SEED));
}

static void an_unused_table_costs_nothing_and_answers(void **state) {
    struct fixture *fixture = *state;
    struct random random;
    random_init(&random, 1);
    assert_null(find(fixture, 1));
    assert_int_equal(table_take_any(&fixture->table), 0);
    assert_int_equal(table_scan(&fixture->table, 0, NULL, NULL), 0);
    assert_int_equal(table_scan(&fixture->table, 12345, NULL, NULL), 0);
    assert_null(table_random(&fixture->table, &random));
    assert_int_equal(table_footprint(&fixture->table), 0);
    table_prefetch_bucket(&fixture->table, 7);
    table_prefetch_entry(&fixture->table, 7);
    table_validate(&fixture->table);
}

static void find_sees_every_key_while_growing_and_shrinking(void **state) {
    struct fixture *fixture = *state;
    for (int i = 0; i < KEYS; i++) {
        insert(fixture, i);
        assert_ptr_equal(find(fixture, i), slabs_at(&fixture->slabs, fixture->references[i]));
        assert_non_null(find(fixture, i / 2));
        assert_non_null(find(fixture, 0));
        if (i % 1000 == 0) table_validate(&fixture->table);
    }
    table_validate(&fixture->table);
    for (int i = 0; i < KEYS; i++) {
        assert_non_null(find(fixture, KEYS - 1));
        remove_key(fixture, i);
        assert_null(find(fixture, i));
        if (i % 1000 == 0) table_validate(&fixture->table);
    }
    assert_int_equal(fixture->slabs.used_bytes, 0); /* no overflow bucket is left behind */
    assert_int_equal(atomic_load(&fixture->table.bucket_count), 1);
}

static void the_buckets_grow_by_one_at_most_an_insert(void **state) {
    struct fixture *fixture = *state;
    uint32_t before = 1;
    for (int i = 0; i < KEYS; i++) {
        insert(fixture, i);
        uint32_t count = atomic_load(&fixture->table.bucket_count);
        assert_true(count == before || count == before + 1);
        before = count;
    }
    assert_true(before > KEYS / 12);
}

static void a_moved_entry_is_found_where_it_is_now(void **state) {
    struct fixture *fixture = *state;
    for (int i = 0; i < 100; i++) {
        insert(fixture, i);
    }
    char text[32];
    struct entry_content content = {.key = name_of(text, 50), .value = BYTES("moved")};
    uint32_t to = entry_create(&fixture->slabs, &content);
    assert_int_not_equal(to, 0);
    table_replace(&fixture->table, fixture->references[50], to, hash_of(50));
    assert_ptr_equal(find(fixture, 50), slabs_at(&fixture->slabs, to));
    table_validate(&fixture->table);
}

/* Eight keys and no more, so that the table, which would hash them anew, never splits. */
static void keys_of_one_hash_are_told_apart(void **state) {
    struct fixture *fixture = *state;
    enum { TWINS = 8, HASH = 99 };
    char text[32];
    for (int i = 0; i < TWINS; i++) {
        struct entry_content content = {.key = name_of(text, i)};
        fixture->references[i] = entry_create(&fixture->slabs, &content);
        assert_int_not_equal(fixture->references[i], 0);
        assert_int_equal(table_insert(&fixture->table, fixture->references[i], HASH), STATUS_OK);
    }
    for (int i = 0; i < TWINS; i++) {
        assert_ptr_equal(table_find(&fixture->table, name_of(text, i), HASH),
                         slabs_at(&fixture->slabs, fixture->references[i]));
    }
    assert_null(table_find(&fixture->table, BYTES("stranger"), HASH));
    for (int i = 0; i < TWINS; i++) {
        table_remove(&fixture->table, fixture->references[i], HASH);
        assert_null(table_find(&fixture->table, name_of(text, i), HASH));
    }
}

static void taking_any_empties_a_table_and_gives_its_buckets_back(void **state) {
    struct fixture *fixture = *state;
    for (int i = 0; i < KEYS; i++) {
        insert(fixture, i);
    }
    assert_true(table_footprint(&fixture->table) > KEYS * 4);
    int taken = 0;
    for (uint32_t reference; (reference = table_take_any(&fixture->table)) != 0; taken++) {
        entry_destroy(&fixture->slabs, reference, NULL);
        if (taken % 1000 == 0) table_validate(&fixture->table);
    }
    assert_int_equal(taken, KEYS);
    assert_true(table_footprint(&fixture->table) <= 4096);
    assert_int_equal(fixture->slabs.used_bytes, 0);
    insert(fixture, 1); /* and it can be used again */
    assert_non_null(find(fixture, 1));
    table_validate(&fixture->table);
}

static void count_visit(void *context, struct entry *entry) {
    int *visits = context;
    struct bytes key = entry_key(entry);
    char text[32] = {0};
    memcpy(text, key.data, key.size);
    visits[atoi(text + 4)]++;
}

static void a_scan_at_rest_visits_each_key_once(void **state) {
    struct fixture *fixture = *state;
    static int visits[KEYS];
    for (int size = 0; size < 2000; size += 37) {
        for (int i = 0; i < 37; i++) {
            insert(fixture, size + i);
        }
        memset(visits, 0, sizeof(visits));
        uint64_t cursor = 0;
        do {
            cursor = table_scan(&fixture->table, cursor, count_visit, visits);
        } while (cursor != 0);
        for (int i = 0; i < KEYS; i++) {
            assert_int_equal(visits[i], i < size + 37);
        }
    }
}

static void any_cursor_is_taken_and_comes_to_an_end(void **state) {
    struct fixture *fixture = *state;
    static int visits[KEYS];
    for (int i = 0; i < 1000; i++) {
        insert(fixture, i);
    }
    struct random random;
    random_init(&random, 3);
    for (int i = 0; i < 100; i++) {
        uint64_t cursor = random_next(&random);
        int steps = 0;
        do {
            cursor = table_scan(&fixture->table, cursor, count_visit, visits);
            assert_true(++steps <= 1000);
        } while (cursor != 0);
    }
}

/* 200 keys drawn 200 times each: a deviation of 14, but chains skew it; a factor of two would be a bug. */
static void drawing_is_close_to_uniform(void **state) {
    struct fixture *fixture = *state;
    enum { FEW = 200, DRAWS = 200 };
    static int visits[KEYS];
    for (int i = 0; i < FEW; i++) {
        insert(fixture, i);
    }
    struct random random;
    random_init(&random, 5);
    memset(visits, 0, sizeof(visits));
    for (int i = 0; i < FEW * DRAWS; i++) {
        count_visit(visits, table_random(&fixture->table, &random));
    }
    for (int i = 0; i < FEW; i++) {
        assert_in_range(visits[i], DRAWS / 2, DRAWS * 2);
    }
}

static void drawing_finds_the_last_key_of_a_sparse_table(void **state) {
    struct fixture *fixture = *state;
    struct random random;
    random_init(&random, 7);
    insert(fixture, 0);
    for (int i = 0; i < 100; i++) {
        assert_ptr_equal(table_random(&fixture->table, &random), find(fixture, 0));
    }
}

static void a_refused_insert_leaves_the_table_as_it_was(void **state) {
    struct fixture *fixture = *state;
    int refused = 0;
    for (int i = 0; i < 3000; i++) {
        char text[32];
        struct entry_content content = {.key = name_of(text, i)};
        uint32_t reference = entry_create(&fixture->slabs, &content);
        assert_int_not_equal(reference, 0);
        memory_refuse_after(0);
        enum status status = table_insert(&fixture->table, reference, hash_of(i));
        memory_refuse_after(-1);
        if (status != STATUS_OK) {
            refused++;
            assert_null(find(fixture, i));
            assert_int_equal(table_insert(&fixture->table, reference, hash_of(i)), STATUS_OK);
        }
        assert_non_null(find(fixture, i));
        if (i % 100 == 0) table_validate(&fixture->table);
    }
#ifndef NDEBUG /* release builds ask for slabs only */
    assert_true(refused > 0);
#endif
    table_validate(&fixture->table);
}

static void prefetching_is_only_a_hint(void **state) {
    struct fixture *fixture = *state;
    for (int i = 0; i < 1000; i++) {
        insert(fixture, i);
    }
    for (int i = 0; i < 2000; i++) {
        table_prefetch_bucket(&fixture->table, hash_of(i));
        table_prefetch_entry(&fixture->table, hash_of(i));
        assert_int_equal(find(fixture, i) != NULL, i < 1000);
    }
}

static size_t resident_pages(const struct region *region) {
    static unsigned char pages[4096];
    size_t count = region->committed_bytes / (size_t)sysconf(_SC_PAGESIZE);
    assert_true(count <= sizeof(pages));
    assert_int_equal(mincore(region->base, region->committed_bytes, pages), 0);
    size_t resident = 0;
    for (size_t i = 0; i < count; i++) {
        resident += pages[i] & 1;
    }
    return resident;
}

static void pages_of_buckets_that_are_given_up_go_back_to_the_system(void **state) {
    struct fixture *fixture = *state;
    for (int i = 0; i < KEYS; i++) {
        insert(fixture, i);
    }
    size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    assert_true(resident_pages(&fixture->table.buckets) * page_bytes >=
                table_footprint(&fixture->table));
    for (int i = 0; i < KEYS; i++) {
        remove_key(fixture, i);
    }
    if (page_bytes == 4096) assert_int_equal(resident_pages(&fixture->table.buckets), 1);
    assert_int_equal(table_footprint(&fixture->table), 4096);
}

int main(void) {
#define TABLE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TABLE_TEST(an_unused_table_costs_nothing_and_answers),
        TABLE_TEST(find_sees_every_key_while_growing_and_shrinking),
        TABLE_TEST(the_buckets_grow_by_one_at_most_an_insert),
        TABLE_TEST(a_moved_entry_is_found_where_it_is_now),
        TABLE_TEST(keys_of_one_hash_are_told_apart),
        TABLE_TEST(taking_any_empties_a_table_and_gives_its_buckets_back),
        TABLE_TEST(a_scan_at_rest_visits_each_key_once),
        TABLE_TEST(any_cursor_is_taken_and_comes_to_an_end),
        TABLE_TEST(drawing_is_close_to_uniform),
        TABLE_TEST(drawing_finds_the_last_key_of_a_sparse_table),
        TABLE_TEST(a_refused_insert_leaves_the_table_as_it_was),
        TABLE_TEST(prefetching_is_only_a_hint),
        TABLE_TEST(pages_of_buckets_that_are_given_up_go_back_to_the_system),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
