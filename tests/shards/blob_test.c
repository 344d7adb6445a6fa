/* A counted string: who holds it, and what resizing keeps. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "shards/base/memory.h"
#include "shards/blob.h"

static void the_last_release_frees(void **state) {
    (void)state;
    size_t before = memory_used();
    struct blob *blob = blob_create(1000, 3000);
    assert_non_null(blob);
    assert_true(memory_used() >= before + 3000);
    assert_ptr_equal(blob_retain(blob), blob);
    assert_false(blob_is_unshared(blob));
    blob_release(blob);
    assert_true(blob_is_unshared(blob));
    blob_release(blob);
    assert_int_equal(memory_used(), before);
}

static void who_holds_the_last_one_is_told_and_keeps_it(void **state) {
    (void)state;
    size_t before = memory_used();
    struct blob *blob = blob_retain(blob_create(1000, 1000));
    assert_true(blob_release_shared(blob));
    assert_false(blob_release_shared(blob));
    assert_true(blob_is_unshared(blob));
    blob_release(blob);
    assert_int_equal(memory_used(), before);
}

static void count(void *pieces) {
    ++*(int *)pieces;
}

static void in_pieces_too_the_last_release_frees(void **state) {
    (void)state;
    size_t before = memory_used(), size = 20 << 20;
    struct blob *blob = blob_create(size, size);
    assert_non_null(blob);
    memset(blob->data, 'x', size);
    blob_retain(blob);
    int pieces = 0;
    blob_release_in_pieces(blob, count, &pieces);
    assert_int_equal(pieces, 0);
    assert_int_equal(blob->data[size / 2], 'x');
    blob_release_in_pieces(blob, count, &pieces);
    assert_int_equal(memory_used(), before);
    assert_in_range(pieces, 10, 12); /* of 2 MiB, the first and the last smaller */
}

static void resizing_keeps_what_was_there(void **state) {
    (void)state;
    struct blob *blob = blob_create(10, 10);
    assert_non_null(blob);
    memcpy(blob->data, "0123456789", 10);
    blob = blob_resize(blob, 5000, 100000);
    assert_non_null(blob);
    assert_int_equal(blob->size, 5000);
    assert_int_equal(blob->capacity, 100000);
    assert_memory_equal(blob->data, "0123456789", 10);
    blob = blob_resize(blob, 4, 4);
    assert_non_null(blob);
    assert_memory_equal(blob->data, "0123", 4);
    assert_true(blob_is_unshared(blob));
    blob_release(blob);
}

static void a_refused_resize_changes_nothing(void **state) {
    (void)state;
    struct blob *blob = blob_create(3, 3);
    assert_non_null(blob);
    memcpy(blob->data, "abc", 3);
    memory_refuse_after(0);
    struct blob *resized = blob_resize(blob, 100, 100);
    struct blob *created = blob_create(1, 1);
    memory_refuse_after(-1);
    assert_null(resized);
    assert_null(created);
    assert_int_equal(blob->size, 3);
    assert_memory_equal(blob->data, "abc", 3);
    blob_release(blob);
}

static void a_size_that_would_wrap_is_refused(void **state) {
    (void)state;
    assert_null(blob_create(0, SIZE_MAX - 4));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_release_frees),
        cmocka_unit_test(who_holds_the_last_one_is_told_and_keeps_it),
        cmocka_unit_test(in_pieces_too_the_last_release_frees),
        cmocka_unit_test(resizing_keeps_what_was_there),
        cmocka_unit_test(a_refused_resize_changes_nothing),
        cmocka_unit_test(a_size_that_would_wrap_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
