/* One row a worker and shard, summed three ways. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "shards/base/memory.h"
#include "shards/counters.h"

/* Worker w counts 100 w + s hits in shard s, and twice as many writes. */
static void count_everywhere(const struct counters_matrix *matrix) {
    for (uint32_t w = 0; w < matrix->worker_count; w++) {
        for (uint32_t s = 0; s < matrix->shard_count; s++) {
            struct counters *row = &counters_of_worker(matrix, w)[s];
            counters_add(&row->hits, 100 * w + s);
            counters_add(&row->reads, 100 * w + s);
            counters_add(&row->writes, 200 * w + 2 * s);
        }
    }
}

static void sums_are_taken_by_worker_by_shard_and_over_all(void **state) {
    (void)state;
    struct counters_matrix matrix;
    assert_int_equal(counters_init(&matrix, 3, 5), STATUS_OK);
    count_everywhere(&matrix);
    struct counters_sum worker = counters_sum_worker(&matrix, 2);
    assert_int_equal(worker.hits, 5 * 200 + 10);
    assert_int_equal(worker.writes, 2 * worker.hits);
    struct counters_sum shard = counters_sum_shard(&matrix, 4);
    assert_int_equal(shard.hits, 300 + 3 * 4);
    struct counters_sum all = counters_sum_all(&matrix);
    assert_int_equal(all.hits, 5 * 300 + 3 * 10);
    assert_int_equal(all.reads, all.hits + all.misses);
    counters_release(&matrix);
}

static void two_workers_never_share_a_cache_line(void **state) {
    (void)state;
    for (uint32_t shards = 1; shards <= 9; shards++) {
        struct counters_matrix matrix;
        assert_int_equal(counters_init(&matrix, 4, shards), STATUS_OK);
        for (uint32_t w = 0; w < 4; w++) {
            assert_int_equal((uintptr_t)counters_of_worker(&matrix, w) % 64, 0);
        }
        assert_true(counters_of_worker(&matrix, 1) - counters_of_worker(&matrix, 0) >=
                    (ptrdiff_t)shards);
        counters_release(&matrix);
    }
}

static void a_reset_leaves_nothing(void **state) {
    (void)state;
    struct counters_matrix matrix;
    assert_int_equal(counters_init(&matrix, 2, 3), STATUS_OK);
    count_everywhere(&matrix);
    counters_reset(&matrix);
    struct counters_sum all = counters_sum_all(&matrix);
    assert_int_equal(all.hits + all.misses + all.reads + all.writes, 0);
    counters_release(&matrix);
}

static void refused_memory_is_reported(void **state) {
    (void)state;
    struct counters_matrix matrix;
    memory_refuse_after(0);
    enum status status = counters_init(&matrix, 2, 3);
    memory_refuse_after(-1);
    assert_int_equal(status, STATUS_NO_MEMORY);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_taken_by_worker_by_shard_and_over_all),
        cmocka_unit_test(two_workers_never_share_a_cache_line),
        cmocka_unit_test(a_reset_leaves_nothing),
        cmocka_unit_test(refused_memory_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
