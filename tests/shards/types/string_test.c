/* Strings that grow, move out of their entry and back, and count. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "shards/base/hash.h"
#include "shards/base/memory.h"
#include "shards/types/string.h"

enum { SEED = 11, NOW_MS = 1000000, SIZE_MAX_BYTES = 1 << 20, TWIN_BYTES = 200000 };

struct fixture {
    struct slabs slabs;
    struct expiry expiry;
    struct database database;
    struct place place;
    /* What the value should be. */
    char *twin;
    size_t twin_size;
};

static int set_up(void **state) {
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    if (fixture == NULL) return -1;
    fixture->twin = calloc(1, TWIN_BYTES);
    if (fixture->twin == NULL) return -1;
    if (slabs_init(&fixture->slabs, (size_t)64 << 20) != STATUS_OK) return -1;
    expiry_init(&fixture->expiry, &fixture->slabs);
    database_init(&fixture->database, &fixture->slabs, &fixture->expiry, SEED);
    struct bytes name = BYTES("key");
    fixture->place = (struct place){
        .database = &fixture->database, .key = {name, hash_seeded(name, SEED)}, .now_ms = NOW_MS};
    *state = fixture;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *fixture = *state;
    memory_refuse_after(-1);
    database_release(&fixture->database);
    expiry_release(&fixture->expiry);
    slabs_validate(&fixture->slabs);
    assert_int_equal(fixture->slabs.used_bytes, 0);
    slabs_release(&fixture->slabs);
    free(fixture->twin);
    free(fixture);
    return 0;
}

static struct bytes value_of(const struct fixture *fixture) {
    assert_non_null(fixture->place.entry);
    return entry_value(fixture->place.entry);
}

static void assert_value(const struct fixture *fixture, struct bytes expected) {
    struct bytes value = value_of(fixture);
    assert_int_equal(value.size, expected.size);
    assert_true(bytes_equal(value, expected));
    assert_ptr_equal(database_find(&fixture->database, &fixture->place.key, NOW_MS),
                     fixture->place.entry);
    database_validate(&fixture->database);
    expiry_validate(&fixture->expiry);
}

static void assert_twin(const struct fixture *fixture) {
    assert_value(fixture, bytes_of(fixture->twin, fixture->twin_size));
}

static void put(struct fixture *fixture, struct bytes value, int64_t deadline_ms) {
    struct entry_content content = {.value = value};
    assert_int_equal(place_put(&fixture->place, &content, deadline_ms), STATUS_OK);
    memcpy(fixture->twin, value.data, value.size);
    fixture->twin_size = value.size;
}

static void append(struct fixture *fixture, struct bytes suffix) {
    uint64_t size;
    assert_int_equal(string_append(&fixture->place, suffix, SIZE_MAX_BYTES, &size), STATUS_OK);
    memcpy(fixture->twin + fixture->twin_size, suffix.data, suffix.size);
    fixture->twin_size += suffix.size;
    assert_int_equal(size, fixture->twin_size);
}

static void set_range(struct fixture *fixture, size_t offset, struct bytes bytes) {
    uint64_t size;
    assert_int_equal(string_set_range(&fixture->place, offset, bytes, SIZE_MAX_BYTES, &size),
                     STATUS_OK);
    if (offset > fixture->twin_size)
        memset(fixture->twin + fixture->twin_size, 0, offset - fixture->twin_size);
    memcpy(fixture->twin + offset, bytes.data, bytes.size);
    if (offset + bytes.size > fixture->twin_size) fixture->twin_size = offset + bytes.size;
    assert_int_equal(size, fixture->twin_size);
}

/* ---- Appending ------------------------------------------------------------------------------- */

static void a_string_grows_from_nothing_past_its_entry(void **state) {
    struct fixture *fixture = *state;
    bool was_inline = false;
    for (int i = 0; i < 9000; i++) {
        char letter = (char)('a' + i % 26);
        append(fixture, bytes_of(&letter, 1));
        if (i % 97 == 0) assert_twin(fixture);
        was_inline |= entry_blob(fixture->place.entry) == NULL;
    }
    assert_twin(fixture);
    assert_true(was_inline);
    assert_non_null(entry_blob(fixture->place.entry));
}

static void a_growing_blob_moves_seldom(void **state) {
    struct fixture *fixture = *state;
    static char chunk[100];
    put(fixture, bytes_of(chunk, sizeof(chunk)), ENTRY_NO_EXPIRY);
    const struct blob *last = NULL;
    int moves = 0;
    for (int i = 0; i < 1900; i++) {
        append(fixture, bytes_of(chunk, sizeof(chunk)));
        moves += entry_blob(fixture->place.entry) != last;
        last = entry_blob(fixture->place.entry);
    }
    assert_twin(fixture);
    assert_in_range(moves, 2, 15); /* half as much again each time: log(190) / log(1.5) */
}

static void an_empty_suffix_makes_an_empty_string_and_changes_no_text(void **state) {
    struct fixture *fixture = *state;
    append(fixture, BYTES(""));
    assert_twin(fixture);
    append(fixture, BYTES("12"));
    put(fixture, BYTES("12"), ENTRY_NO_EXPIRY);
    append(fixture, BYTES(""));
    assert_twin(fixture);
    assert_string_equal(string_encoding_name(fixture->place.entry), "raw"); /* as in Redis */
}

static void a_string_does_not_grow_past_its_limit(void **state) {
    struct fixture *fixture = *state;
    uint64_t size;
    put(fixture, BYTES("12345678"), ENTRY_NO_EXPIRY);
    assert_int_equal(string_append(&fixture->place, BYTES("90"), 10, &size), STATUS_OK);
    assert_int_equal(string_append(&fixture->place, BYTES("x"), 10, &size), STATUS_TOO_LONG);
    assert_int_equal(string_set_range(&fixture->place, 10, BYTES("x"), 10, &size), STATUS_TOO_LONG);
    assert_int_equal(string_set_range(&fixture->place, UINT64_MAX, BYTES("x"), 10, &size),
                     STATUS_TOO_LONG);
    assert_value(fixture, BYTES("1234567890"));
}

static void what_append_makes_is_raw_and_keeps_its_deadline(void **state) {
    struct fixture *fixture = *state;
    put(fixture, BYTES("short"), NOW_MS + 5000);
    assert_string_equal(string_encoding_name(fixture->place.entry), "embstr");
    append(fixture, BYTES("er"));
    assert_string_equal(string_encoding_name(fixture->place.entry), "raw");
    static char chunk[5000];
    append(fixture, bytes_of(chunk, sizeof(chunk)));
    assert_twin(fixture);
    assert_int_equal(entry_deadline_ms(fixture->place.entry), NOW_MS + 5000);
}

/* ---- In the entry, and out of it ------------------------------------------------------------- */

static void a_blob_becomes_short_again_when_it_is_replaced(void **state) {
    struct fixture *fixture = *state;
    static char large[3000];
    for (int i = 0; i < 3; i++) {
        put(fixture, BYTES("short"), ENTRY_NO_EXPIRY);
        assert_null(entry_blob(fixture->place.entry));
        append(fixture, bytes_of(large, sizeof(large)));
        assert_non_null(entry_blob(fixture->place.entry));
        assert_twin(fixture);
        put(fixture, BYTES("7"), ENTRY_NO_EXPIRY);
        assert_null(entry_blob(fixture->place.entry));
        int64_t result;
        assert_int_equal(string_add(&fixture->place, 1, &result), STATUS_OK);
        assert_value(fixture, BYTES("8"));
    }
}

static void a_blob_that_a_reply_holds_is_copied_not_changed(void **state) {
    struct fixture *fixture = *state;
    static char large[3000];
    memset(large, 'a', sizeof(large));
    put(fixture, bytes_of(large, sizeof(large)), ENTRY_NO_EXPIRY);
    append(fixture, BYTES("a")); /* with room to spare from here on */
    struct blob *held = blob_retain(entry_blob(fixture->place.entry));
    append(fixture, BYTES("b"));
    set_range(fixture, 0, BYTES("c"));
    assert_ptr_not_equal(entry_blob(fixture->place.entry), held);
    assert_twin(fixture);
    assert_int_equal(held->size, sizeof(large) + 1);
    assert_memory_equal(held->data, large, sizeof(large));
    assert_int_equal(held->data[sizeof(large)], 'a');
    blob_release(held);
}

static void a_range_is_set_at_every_place_around_the_entrys_end(void **state) {
    struct fixture *fixture = *state;
    static const size_t SIZES[] = {0, 1, 8, 1000, 1023, 1024, 1025, 2000, 2040, 2048, 5000};
    enum { COUNT = sizeof(SIZES) / sizeof(SIZES[0]) };
    static char old[5000], patch[64];
    memset(old, 'o', sizeof(old));
    memset(patch, 'p', sizeof(patch));
    for (size_t from = 0; from < COUNT; from++) {
        for (size_t at = 0; at < COUNT; at++) {
            put(fixture, bytes_of(old, SIZES[from]), ENTRY_NO_EXPIRY);
            set_range(fixture, SIZES[at], bytes_of(patch, 1 + at * 5));
            assert_twin(fixture);
        }
    }
}

static void the_gap_before_a_range_is_zero_where_old_bytes_lay(void **state) {
    struct fixture *fixture = *state;
    static char large[4000];
    memset(large, 'x', sizeof(large));
    append(fixture, bytes_of(large, sizeof(large)));
    put(fixture, bytes_of(large, 1500), ENTRY_NO_EXPIRY);
    set_range(fixture, 3999, BYTES("y"));
    assert_twin(fixture);
    set_range(fixture, 5000, BYTES("z")); /* within the capacity */
    assert_twin(fixture);
}

static void an_empty_range_changes_nothing(void **state) {
    struct fixture *fixture = *state;
    uint64_t size;
    assert_int_equal(string_set_range(&fixture->place, 100, BYTES(""), SIZE_MAX_BYTES, &size),
                     STATUS_OK);
    assert_int_equal(size, 0);
    assert_null(fixture->place.entry);
    put(fixture, BYTES("12"), ENTRY_NO_EXPIRY);
    set_range(fixture, 1, BYTES(""));
    assert_twin(fixture);
    assert_string_equal(string_encoding_name(fixture->place.entry), "int");
}

/* ---- Numbers --------------------------------------------------------------------------------- */

static void adding_stops_at_both_ends(void **state) {
    struct fixture *fixture = *state;
    int64_t result;
    assert_int_equal(string_add(&fixture->place, INT64_MAX, &result), STATUS_OK);
    assert_int_equal(string_add(&fixture->place, 1, &result), STATUS_OVERFLOW);
    assert_value(fixture, BYTES("9223372036854775807"));
    assert_int_equal(string_add(&fixture->place, INT64_MIN, &result), STATUS_OK);
    assert_int_equal(result, -1);
    assert_int_equal(string_add(&fixture->place, INT64_MIN, &result), STATUS_OVERFLOW);
    assert_value(fixture, BYTES("-1"));
    assert_int_equal(string_add(&fixture->place, -INT64_MAX, &result), STATUS_OK);
    assert_value(fixture, BYTES("-9223372036854775808"));
}

static void adding_keeps_the_deadline(void **state) {
    struct fixture *fixture = *state;
    int64_t result;
    put(fixture, BYTES("9"), NOW_MS + 100);
    assert_int_equal(string_add(&fixture->place, 999999991, &result), STATUS_OK);
    assert_value(fixture, BYTES("1000000000"));
    assert_int_equal(entry_deadline_ms(fixture->place.entry), NOW_MS + 100);
    assert_string_equal(string_encoding_name(fixture->place.entry), "int");
}

static void only_a_number_is_added_to(void **state) {
    struct fixture *fixture = *state;
    static const char *const texts[] = {"",   "a",  " 1",  "1 ",
                                        "+1", "01", "1.5", "9223372036854775808"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        int64_t result;
        put(fixture, bytes_of_text(texts[i]), ENTRY_NO_EXPIRY);
        assert_int_equal(string_add(&fixture->place, 1, &result), STATUS_NOT_NUMBER);
        assert_twin(fixture);
    }
}

static void fractions_are_added_and_stay_finite(void **state) {
    struct fixture *fixture = *state;
    char text[NUMBER_TEXT_LONG_DOUBLE_MAX];
    size_t size;
    assert_int_equal(string_add_fraction(&fixture->place, 0.5L, text, &size), STATUS_OK);
    assert_int_equal(string_add_fraction(&fixture->place, 0.25L, text, &size), STATUS_OK);
    assert_true(bytes_equal(bytes_of(text, size), BYTES("0.75")));
    assert_value(fixture, BYTES("0.75"));
    put(fixture, BYTES("1e4932"), ENTRY_NO_EXPIRY);
    assert_int_equal(string_add_fraction(&fixture->place, 1e4932L, text, &size), STATUS_OVERFLOW);
    put(fixture, BYTES("abc"), ENTRY_NO_EXPIRY);
    assert_int_equal(string_add_fraction(&fixture->place, 1, text, &size), STATUS_NOT_NUMBER);
    assert_twin(fixture);
}

/* ---- Refused memory -------------------------------------------------------------------------- */

enum { CHANGES = 2 };

static enum status change(struct fixture *fixture, int which, struct bytes bytes) {
    uint64_t size;
    if (which == 0) return string_append(&fixture->place, bytes, SIZE_MAX_BYTES, &size);
    return string_set_range(&fixture->place, 3500, bytes, SIZE_MAX_BYTES, &size);
}

static void refused_memory_leaves_the_value(void **state) {
    struct fixture *fixture = *state;
    static const size_t SIZES[] = {5, 900, 2000, 3000, 20000};
    static char old[20000], more[20000];
    memset(old, 'o', sizeof(old));
    memset(more, 'm', sizeof(more));
    for (size_t i = 0; i < sizeof(SIZES) / sizeof(SIZES[0]) * CHANGES; i++) {
        put(fixture, bytes_of(old, SIZES[i / CHANGES]), NOW_MS + 5000);
        size_t used = memory_used();
        memory_refuse_after(0);
        enum status status = change(fixture, (int)(i % CHANGES), bytes_of(more, sizeof(more)));
        memory_refuse_after(-1);
        assert_int_equal(status, STATUS_NO_MEMORY);
        assert_twin(fixture);
        assert_int_equal(entry_deadline_ms(fixture->place.entry), NOW_MS + 5000);
        assert_int_equal(memory_used(), used);
    }
}

/* ---- Slices ---------------------------------------------------------------------------------- */

static void a_slice_is_cut_to_what_is_there(void **state) {
    (void)state;
    static const struct {
        int64_t start, end;
        const char *slice;
    } cases[] = {
        {0, -1, "appendix"},
        {0, 3, "appe"},
        {-3, -1, "dix"},
        {3, 1, ""},
        {-1, -3, ""},
        {7, 100, "x"},
        {8, 100, ""},
        {-100, 1, "ap"},
        {-1000, -1000, ""}, /* before the beginning: Redis to 7.4 gave the first byte */
        {-1000, -8, "a"},
        {INT64_MIN, INT64_MAX, "appendix"},
        {INT64_MAX, INT64_MIN, ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bytes slice = string_slice(BYTES("appendix"), cases[i].start, cases[i].end);
        assert_true(bytes_equal(slice, bytes_of_text(cases[i].slice)));
    }
    assert_int_equal(string_slice(BYTES(""), 0, -1).size, 0);
    assert_int_equal(string_slice(BYTES(""), INT64_MIN, INT64_MAX).size, 0);
}

int main(void) {
#define STRING_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        STRING_TEST(a_string_grows_from_nothing_past_its_entry),
        STRING_TEST(a_growing_blob_moves_seldom),
        STRING_TEST(an_empty_suffix_makes_an_empty_string_and_changes_no_text),
        STRING_TEST(a_string_does_not_grow_past_its_limit),
        STRING_TEST(what_append_makes_is_raw_and_keeps_its_deadline),
        STRING_TEST(a_blob_becomes_short_again_when_it_is_replaced),
        STRING_TEST(a_blob_that_a_reply_holds_is_copied_not_changed),
        STRING_TEST(a_range_is_set_at_every_place_around_the_entrys_end),
        STRING_TEST(the_gap_before_a_range_is_zero_where_old_bytes_lay),
        STRING_TEST(an_empty_range_changes_nothing),
        STRING_TEST(adding_stops_at_both_ends),
        STRING_TEST(adding_keeps_the_deadline),
        STRING_TEST(only_a_number_is_added_to),
        STRING_TEST(fractions_are_added_and_stay_finite),
        STRING_TEST(refused_memory_leaves_the_value),
        cmocka_unit_test(a_slice_is_cut_to_what_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
