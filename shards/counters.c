#include "counters.h"

#include <assert.h>

#include "base/check.h"
#include "base/memory.h"

enum { CACHE_LINE = 64, ROWS_A_LINE = CACHE_LINE / sizeof(struct counters) };
static_assert(CACHE_LINE % sizeof(struct counters) == 0, "rows fill whole cache lines");

static uint64_t read_counter(const _Atomic uint64_t *counter) {
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void sum_row(struct counters_sum *sum, const struct counters *row) {
    sum->hits += read_counter(&row->hits);
    sum->misses += read_counter(&row->misses);
    sum->reads += read_counter(&row->reads);
    sum->writes += read_counter(&row->writes);
}

static size_t row_count(const struct counters_matrix *matrix) {
    return (size_t)matrix->worker_count * matrix->stride;
}

enum status counters_init(struct counters_matrix *matrix, uint32_t worker_count,
                          uint32_t shard_count) {
    check(worker_count > 0 && shard_count > 0);
    *matrix = (struct counters_matrix){
        .worker_count = worker_count,
        .shard_count = shard_count,
        .stride = (shard_count + ROWS_A_LINE - 1) / ROWS_A_LINE * ROWS_A_LINE,
    };
    size_t bytes = row_count(matrix) * sizeof(struct counters);
    matrix->rows = memory_allocate_aligned(CACHE_LINE, bytes);
    if (matrix->rows == NULL) return STATUS_NO_MEMORY;
    counters_reset(matrix);
    return STATUS_OK;
}

void counters_release(struct counters_matrix *matrix) {
    memory_free(matrix->rows);
    *matrix = (struct counters_matrix){0};
}

struct counters *counters_of_worker(const struct counters_matrix *matrix, uint32_t worker) {
    check_debug(worker < matrix->worker_count);
    return matrix->rows + (size_t)worker * matrix->stride;
}

struct counters_sum counters_sum_worker(const struct counters_matrix *matrix, uint32_t worker) {
    struct counters_sum sum = {0};
    const struct counters *rows = counters_of_worker(matrix, worker);
    for (uint32_t shard = 0; shard < matrix->shard_count; shard++) {
        sum_row(&sum, &rows[shard]);
    }
    return sum;
}

struct counters_sum counters_sum_shard(const struct counters_matrix *matrix, uint32_t shard) {
    check_debug(shard < matrix->shard_count);
    struct counters_sum sum = {0};
    for (uint32_t worker = 0; worker < matrix->worker_count; worker++) {
        sum_row(&sum, &counters_of_worker(matrix, worker)[shard]);
    }
    return sum;
}

struct counters_sum counters_sum_all(const struct counters_matrix *matrix) {
    struct counters_sum sum = {0};
    for (size_t i = 0; i < row_count(matrix); i++) {
        sum_row(&sum, &matrix->rows[i]); /* rows beyond shard_count are zero for ever */
    }
    return sum;
}

void counters_reset(struct counters_matrix *matrix) {
    for (size_t i = 0; i < row_count(matrix); i++) {
        struct counters *row = &matrix->rows[i];
        atomic_store_explicit(&row->hits, 0, memory_order_relaxed);
        atomic_store_explicit(&row->misses, 0, memory_order_relaxed);
        atomic_store_explicit(&row->reads, 0, memory_order_relaxed);
        atomic_store_explicit(&row->writes, 0, memory_order_relaxed);
    }
}
