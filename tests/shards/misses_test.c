/* One row a worker and database, summed two ways. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>

#include "shards/base/memory.h"
#include "shards/counters.h"
#include "shards/misses.h"

/* Worker w counts 100 w + 10 d + reason misses in database d. */
static void count_everywhere(const struct misses_matrix *matrix) {
    for (uint32_t w = 0; w < matrix->worker_count; w++) {
        for (uint32_t d = 0; d < matrix->database_count; d++) {
            struct misses *row = &misses_of_worker(matrix, w)[d];
            for (uint32_t reason = 0; reason < MISS_REASONS; reason++) {
                counters_add(&row->by_reason[reason], 100 * w + 10 * d + reason);
            }
        }
    }
}

static void sums_are_taken_by_database_and_over_all(void **state) {
    (void)state;
    struct misses_matrix matrix;
    assert_int_equal(misses_init(&matrix, 3, 5), STATUS_OK);
    count_everywhere(&matrix);
    struct misses_sum database = misses_sum_database(&matrix, 4);
    assert_int_equal(database.by_reason[MISS_UNKNOWN], 300 + 3 * 40);
    assert_int_equal(database.by_reason[MISS_DELETED], 300 + 3 * 43);
    struct misses_sum all = misses_sum_all(&matrix);
    assert_int_equal(all.by_reason[MISS_EVICTED], 5 * 300 + 3 * 100 + 15 * 2);
    misses_release(&matrix);
}

static void two_workers_never_share_a_cache_line(void **state) {
    (void)state;
    for (uint32_t databases = 1; databases <= 9; databases++) {
        struct misses_matrix matrix;
        assert_int_equal(misses_init(&matrix, 4, databases), STATUS_OK);
        for (uint32_t w = 0; w < 4; w++) {
            assert_int_equal((uintptr_t)misses_of_worker(&matrix, w) % 64, 0);
        }
        assert_true(misses_of_worker(&matrix, 1) - misses_of_worker(&matrix, 0) >=
                    (ptrdiff_t)databases);
        misses_release(&matrix);
    }
}

static void a_reset_leaves_nothing(void **state) {
    (void)state;
    struct misses_matrix matrix;
    assert_int_equal(misses_init(&matrix, 2, 3), STATUS_OK);
    count_everywhere(&matrix);
    misses_reset(&matrix);
    struct misses_sum all = misses_sum_all(&matrix);
    for (int reason = 0; reason < MISS_REASONS; reason++) {
        assert_int_equal(all.by_reason[reason], 0);
    }
    misses_release(&matrix);
}

static void refused_memory_is_reported(void **state) {
    (void)state;
    struct misses_matrix matrix;
    memory_refuse_after(0);
    enum status status = misses_init(&matrix, 2, 3);
    memory_refuse_after(-1);
    assert_int_equal(status, STATUS_NO_MEMORY);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_taken_by_database_and_over_all),
        cmocka_unit_test(two_workers_never_share_a_cache_line),
        cmocka_unit_test(a_reset_leaves_nothing),
        cmocka_unit_test(refused_memory_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
