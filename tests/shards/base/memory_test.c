#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include "shards/base/memory.h"

static void what_is_freed_was_counted(void **state) {
    (void)state;
    size_t before = memory_used();
    char *data = memory_allocate(1000);
    assert_non_null(data);
    assert_in_range(memory_usable(data), 1000, 2000);
    assert_int_equal(memory_used(), before + memory_usable(data));
    data = memory_resize(data, 100000);
    assert_non_null(data);
    assert_int_equal(memory_used(), before + memory_usable(data));
    data = memory_resize(data, 10);
    assert_non_null(data);
    assert_int_equal(memory_used(), before + memory_usable(data));
    memory_free(data);
    assert_int_equal(memory_used(), before);
}

static void between_pieces(void *context) {
    (void)context;
}

static void what_is_freed_in_pieces_was_counted_and_harms_no_neighbour(void **state) {
    (void)state;
    static const size_t sizes[] = {1, 5000, (8 << 20) - 1, (8 << 20) + 1};
    size_t before = memory_used();
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        char *left = memory_allocate(sizes[i]), *freed = memory_allocate(sizes[i]),
             *right = memory_allocate(sizes[i]);
        memset(left, 'l', sizes[i]);
        memset(freed, 'f', sizes[i]);
        memset(right, 'r', sizes[i]);
        memory_free_in_pieces(freed, between_pieces, NULL);
        for (size_t j = 0; j < sizes[i]; j += 509) {
            if (left[j] != 'l' || right[j] != 'r') fail_msg("byte %zu of %zu", j, sizes[i]);
        }
        memory_free_in_pieces(left, between_pieces, NULL);
        memory_free(right);
    }
    memory_free_in_pieces(NULL, between_pieces, NULL);
    assert_int_equal(memory_used(), before);
}

static void allocations_are_aligned_and_zeroed_as_asked(void **state) {
    (void)state;
    for (size_t size = 0; size <= 64; size++) {
        void *plain = memory_allocate(size);
        void *line = memory_allocate_aligned(64, size);
        char *zeroed = memory_allocate_zeroed(size);
        assert_non_null(plain);
        assert_non_null(line);
        assert_non_null(zeroed);
        assert_int_equal((uintptr_t)plain % 16, 0);
        assert_int_equal((uintptr_t)line % 64, 0);
        for (size_t i = 0; i < size; i++) {
            assert_int_equal(zeroed[i], 0);
        }
        memory_free(plain);
        memory_free(line);
        memory_free(zeroed);
    }
    memory_free(NULL);
    assert_int_equal(memory_usable(NULL), 0);
}

static void resizing_nothing_allocates(void **state) {
    (void)state;
    size_t before = memory_used();
    void *data = memory_resize(NULL, 50);
    assert_non_null(data);
    assert_true(memory_used() > before);
    memory_free(data);
}

static void reported_bytes_count_and_the_peak_stays(void **state) {
    (void)state;
    size_t before = memory_used();
    memory_account(1 << 30);
    assert_int_equal(memory_used(), before + (1 << 30));
    memory_account(-(1 << 30));
    assert_int_equal(memory_used(), before);
    assert_true(memory_used_peak() >= before + (1 << 30));
}

static void what_is_a_clients_is_not_besides_them(void **state) {
    (void)state;
    size_t before = memory_used(), besides = memory_besides_clients();
    assert_int_equal(besides, before - memory_of_clients());
    char *data = memory_resize_for_client(NULL, 1000);
    data = memory_resize_for_client(data, 100000);
    assert_non_null(data);
    assert_int_equal(memory_used(), before + memory_usable(data));
    assert_int_equal(memory_besides_clients(), besides);
    memory_refuse_after(0);
    assert_null(memory_resize_for_client(data, 200000));
    memory_refuse_after(-1);
    assert_int_equal(memory_besides_clients(), besides);
    memory_free_for_client(data);
    memory_free_for_client(NULL);
    assert_int_equal(memory_used(), before);
    assert_int_equal(memory_besides_clients(), besides);
}

static void the_nth_allocation_is_refused_whatever_its_kind(void **state) {
    (void)state;
    size_t before = memory_used();
    for (int64_t n = 0; n < 4; n++) {
        memory_refuse_after(n);
        void *got[] = {memory_allocate(10), memory_allocate_zeroed(10),
                       memory_allocate_aligned(64, 10), memory_resize(NULL, 10)};
        memory_refuse_after(-1);
        for (int64_t i = 0; i < 4; i++) {
            assert_true((got[i] != NULL) == (i < n));
            memory_free(got[i]);
        }
    }
    assert_int_equal(memory_used(), before);
}

static void a_refused_resize_leaves_the_block_alone(void **state) {
    (void)state;
    char *data = memory_allocate(4);
    assert_non_null(data);
    memcpy(data, "abc", 4);
    size_t before = memory_used();
    memory_refuse_after(0);
    assert_null(memory_resize(data, 1000));
    memory_refuse_after(-1);
    assert_string_equal(data, "abc");
    assert_int_equal(memory_used(), before);
    memory_free(data);
}

enum { THREADS = 8, ROUNDS = 2000 };

static void *allocate_and_pass_on(void *argument) {
    void **slot = argument;
    for (int i = 0; i < ROUNDS; i++) {
        void *data = memory_allocate(64);
        if (i + 1 < ROUNDS) memory_free(data);
        if (i + 1 == ROUNDS) *slot = data;
    }
    return NULL;
}

static void blocks_freed_by_another_thread_add_up_to_nothing(void **state) {
    (void)state;
    size_t before = memory_used();
    pthread_t threads[THREADS];
    void *left[THREADS] = {0};
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, allocate_and_pass_on, &left[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_true(memory_used() >= before + THREADS * 64);
    for (size_t i = 0; i < THREADS; i++) {
        memory_free(left[i]);
    }
    assert_int_equal(memory_used(), before);
}

static void *allocate_while_main_refuses(void *argument) {
    bool *succeeded = argument;
    void *data = memory_allocate(1);
    *succeeded = data != NULL;
    memory_free(data);
    return NULL;
}

static void refusing_concerns_one_thread(void **state) {
    (void)state;
    bool succeeded = false;
    pthread_t thread;
    memory_refuse_after(0);
    assert_int_equal(pthread_create(&thread, NULL, allocate_while_main_refuses, &succeeded), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    memory_refuse_after(-1);
    assert_true(succeeded);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_freed_was_counted),
        cmocka_unit_test(what_is_freed_in_pieces_was_counted_and_harms_no_neighbour),
        cmocka_unit_test(allocations_are_aligned_and_zeroed_as_asked),
        cmocka_unit_test(resizing_nothing_allocates),
        cmocka_unit_test(reported_bytes_count_and_the_peak_stays),
        cmocka_unit_test(what_is_a_clients_is_not_besides_them),
        cmocka_unit_test(the_nth_allocation_is_refused_whatever_its_kind),
        cmocka_unit_test(a_refused_resize_leaves_the_block_alone),
        cmocka_unit_test(blocks_freed_by_another_thread_add_up_to_nothing),
        cmocka_unit_test(refusing_concerns_one_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
