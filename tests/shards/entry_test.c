/* One packed entry: keys and values on both sides of every limit, in place and moved. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "shards/base/memory.h"
#include "shards/entry.h"

static char filler[100000];

static int set_up(void **state) {
    static struct slabs slabs;
    *state = &slabs;
    for (size_t i = 0; i < sizeof(filler); i++) {
        filler[i] = (char)(i * 31 + i / 256);
    }
    return slabs_init(&slabs, (size_t)64 << 20) == STATUS_OK ? 0 : -1;
}

/* Each test must have freed all it made. */
static int tear_down(void **state) {
    struct slabs *slabs = *state;
    slabs_validate(slabs);
    assert_int_equal(slabs->used_bytes, 0);
    slabs_release(slabs);
    return 0;
}

static struct bytes key_of(size_t size) {
    return bytes_of(filler + 7, size);
}

static struct bytes value_of(size_t size) {
    return bytes_of(filler + 1000, size);
}

static uint32_t create(struct slabs *slabs, size_t key, size_t value, bool has_expiry) {
    uint32_t reference = entry_create(slabs, &(struct entry_content){
                                                 .key = key_of(key),
                                                 .value = value_of(value),
                                                 .has_expiry = has_expiry,
                                             });
    assert_int_not_equal(reference, 0);
    return reference;
}

static void assert_holds(const struct entry *entry, size_t key, size_t value) {
    assert_true(bytes_equal(entry_key(entry), key_of(key)));
    assert_true(bytes_equal(entry_value(entry), value_of(value)));
    assert_true(entry_has_key(entry, key_of(key)));
}

static const size_t KEY_SIZES[] = {0, 1, 7, 8, 9, 15, 16, 17, 253, 254, 255, 256, 5000};
/* Around SLABS_SLOT_MAX and SLABS_OBJECT_MAX, with keys and deadlines and without. */
static const size_t VALUE_SIZES[] = {0,
                                     1,
                                     64,
                                     503,
                                     504,
                                     505,
                                     1700,
                                     8192,
                                     SLABS_OBJECT_MAX - 25,
                                     SLABS_OBJECT_MAX - 24,
                                     SLABS_OBJECT_MAX - 23,
                                     SLABS_OBJECT_MAX - 8,
                                     SLABS_OBJECT_MAX - 7,
                                     90000};
enum {
    KEYS = sizeof(KEY_SIZES) / sizeof(KEY_SIZES[0]),
    VALUES = sizeof(VALUE_SIZES) / sizeof(VALUE_SIZES[0]),
};

static void keys_and_values_of_every_size_come_back(void **state) {
    struct slabs *slabs = *state;
    for (size_t k = 0; k < KEYS; k++) {
        for (size_t v = 0; v < VALUES; v++) {
            for (int has_expiry = 0; has_expiry < 2; has_expiry++) {
                uint32_t reference = create(slabs, KEY_SIZES[k], VALUE_SIZES[v], has_expiry != 0);
                const struct entry *entry = slabs_at(slabs, reference);
                assert_holds(entry, KEY_SIZES[k], VALUE_SIZES[v]);
                assert_int_equal(entry_has_expiry(entry), has_expiry);
                assert_int_equal(entry_deadline_ms(entry), ENTRY_NO_EXPIRY);
                entry_destroy(slabs, reference, NULL);
            }
        }
    }
}

static void an_entry_is_known_by_every_byte_of_its_key(void **state) {
    struct slabs *slabs = *state;
    for (size_t size = 1; size <= 300; size++) {
        uint32_t reference = create(slabs, size, 10, size % 2 == 0);
        const struct entry *entry = slabs_at(slabs, reference);
        char other[300];
        for (size_t i = 0; i < size; i++) {
            memcpy(other, key_of(size).data, size);
            other[i] ^= 64;
            assert_false(entry_has_key(entry, bytes_of(other, size)));
        }
        assert_false(entry_has_key(entry, key_of(size - 1)));
        assert_false(entry_has_key(entry, key_of(size + 1)));
        entry_destroy(slabs, reference, NULL);
    }
}

static void a_short_string_costs_eight_bytes_over_its_content(void **state) {
    struct slabs *slabs = *state;
    uint32_t reference = create(slabs, 16, 64, false);
    assert_int_equal(entry_footprint(slabs_at(slabs, reference)), 16 + 64 + 8);
    assert_int_equal(slabs->used_bytes, 88);
    entry_destroy(slabs, reference, NULL);
    reference = create(slabs, 16, 64, true);
    assert_int_equal(slabs->used_bytes, 88 + 8);
    entry_destroy(slabs, reference, NULL);
}

static void overwriting_keeps_to_the_slot_the_content_needs(void **state) {
    struct slabs *slabs = *state;
    uint32_t reference = create(slabs, 16, 60, false); /* 84 bytes, a slot of 88 */
    struct entry *entry = slabs_at(slabs, reference);
    assert_false(entry_overwrite(entry, value_of(56), ENTRY_INLINE)); /* would waste eight bytes */
    assert_false(entry_overwrite(entry, value_of(65), ENTRY_INLINE));
    assert_false(entry_overwrite(entry, value_of(5000), ENTRY_INLINE));
    assert_holds(entry, 16, 60);
    assert_true(entry_overwrite(entry, value_of(64), ENTRY_RAW));
    assert_holds(entry, 16, 64);
    assert_int_equal(entry_encoding(entry), ENTRY_RAW);
    assert_true(entry_overwrite(entry, value_of(57), ENTRY_INLINE));
    assert_holds(entry, 16, 57);
    assert_int_equal(entry_encoding(entry), ENTRY_INLINE);
    entry_destroy(slabs, reference, NULL);
}

static void a_blob_is_never_overwritten_in_place(void **state) {
    struct slabs *slabs = *state;
    uint32_t reference = create(slabs, 16, 50000, false);
    assert_false(entry_overwrite(slabs_at(slabs, reference), value_of(8), ENTRY_INLINE));
    assert_holds(slabs_at(slabs, reference), 16, 50000);
    entry_destroy(slabs, reference, NULL);
}

static void a_given_blob_is_taken_over_and_can_be_handed_on(void **state) {
    struct slabs *slabs = *state;
    struct blob *blob = blob_create(300, 400);
    assert_non_null(blob);
    memcpy(blob->data, value_of(300).data, 300);
    struct entry_content content = {.key = key_of(5), .blob = blob};
    uint32_t reference = entry_create(slabs, &content);
    assert_int_not_equal(reference, 0);
    assert_ptr_equal(entry_blob(slabs_at(slabs, reference)), blob);
    assert_holds(slabs_at(slabs, reference), 5, 300);
    struct blob *orphan;
    entry_destroy(slabs, reference, &orphan);
    assert_ptr_equal(orphan, blob);
    assert_true(blob_is_unshared(blob));
    blob_release(orphan);
}

/* Near SLABS_OBJECT_MAX, a value fits inline only without a deadline. */
static void reshaping_keeps_everything_but_the_slot(void **state) {
    struct slabs *slabs = *state;
    for (size_t k = 0; k < KEYS; k++) {
        for (size_t v = 0; v < VALUES; v++) {
            uint32_t from = create(slabs, KEY_SIZES[k], VALUE_SIZES[v], false);
            atomic_store(&((struct entry *)slabs_at(slabs, from))->access, 0xabcdef12);
            uint32_t with = entry_reshape(slabs, from, true);
            assert_int_not_equal(with, 0);
            slabs_free(slabs, from);
            assert_holds(slabs_at(slabs, with), KEY_SIZES[k], VALUE_SIZES[v]);
            assert_true(entry_has_expiry(slabs_at(slabs, with)));
            uint32_t without = entry_reshape(slabs, with, false);
            assert_int_not_equal(without, 0);
            slabs_free(slabs, with);
            struct entry *entry = slabs_at(slabs, without);
            assert_holds(entry, KEY_SIZES[k], VALUE_SIZES[v]);
            assert_false(entry_has_expiry(entry));
            assert_int_equal(atomic_load(&entry->access), 0xabcdef12);
            entry_destroy(slabs, without, NULL);
        }
    }
}

static void a_refusal_at_any_point_takes_nothing(void **state) {
    struct slabs *slabs = *state;
    size_t before = memory_used();
    struct entry_content content = {.key = key_of(400), .value = value_of(50000)};
    uint32_t reference = 0;
    int refusals = 0;
    for (; reference == 0; refusals++) {
        memory_refuse_after(refusals);
        reference = entry_create(slabs, &content);
        memory_refuse_after(-1);
        if (reference == 0) assert_int_equal(memory_used(), before);
    }
    assert_true(refusals > 3); /* the key, the value, the slot */
    entry_destroy(slabs, reference, NULL);
}

static void footprints_count_what_is_outside(void **state) {
    struct slabs *slabs = *state;
    uint32_t reference = create(slabs, 1000, 19000, false);
    size_t footprint = entry_footprint(slabs_at(slabs, reference));
    assert_in_range(footprint, 20000 + 24, 20000 + 24 + 4096);
    entry_destroy(slabs, reference, NULL);
}

int main(void) {
#define ENTRY_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        ENTRY_TEST(keys_and_values_of_every_size_come_back),
        ENTRY_TEST(an_entry_is_known_by_every_byte_of_its_key),
        ENTRY_TEST(a_short_string_costs_eight_bytes_over_its_content),
        ENTRY_TEST(overwriting_keeps_to_the_slot_the_content_needs),
        ENTRY_TEST(a_blob_is_never_overwritten_in_place),
        ENTRY_TEST(a_given_blob_is_taken_over_and_can_be_handed_on),
        ENTRY_TEST(reshaping_keeps_everything_but_the_slot),
        ENTRY_TEST(a_refusal_at_any_point_takes_nothing),
        ENTRY_TEST(footprints_count_what_is_outside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
