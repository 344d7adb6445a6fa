#include "misses.h"

#include <assert.h>
#include <stddef.h>

#include "base/check.h"
#include "base/memory.h"

enum { CACHE_LINE = 64, ROWS_A_LINE = CACHE_LINE / sizeof(struct misses) };
static_assert(CACHE_LINE % sizeof(struct misses) == 0, "rows fill whole cache lines");

static void sum_row(struct misses_sum *sum, const struct misses *row) {
    for (int reason = 0; reason < MISS_REASONS; reason++) {
        sum->by_reason[reason] +=
            atomic_load_explicit(&row->by_reason[reason], memory_order_relaxed);
    }
}

static size_t row_count(const struct misses_matrix *matrix) {
    return (size_t)matrix->worker_count * matrix->stride;
}

enum status misses_init(struct misses_matrix *matrix, uint32_t worker_count,
                        uint32_t database_count) {
    check(worker_count > 0 && database_count > 0);
    *matrix = (struct misses_matrix){
        .worker_count = worker_count,
        .database_count = database_count,
        .stride = (database_count + ROWS_A_LINE - 1) / ROWS_A_LINE * ROWS_A_LINE,
    };
    matrix->rows = memory_allocate_aligned(CACHE_LINE, row_count(matrix) * sizeof(struct misses));
    if (matrix->rows == NULL) return STATUS_NO_MEMORY;
    misses_reset(matrix);
    return STATUS_OK;
}

void misses_release(struct misses_matrix *matrix) {
    memory_free(matrix->rows);
    *matrix = (struct misses_matrix){0};
}

struct misses *misses_of_worker(const struct misses_matrix *matrix, uint32_t worker) {
    check_debug(worker < matrix->worker_count);
    return matrix->rows + (size_t)worker * matrix->stride;
}

struct misses_sum misses_sum_database(const struct misses_matrix *matrix, uint32_t database) {
    check_debug(database < matrix->database_count);
    struct misses_sum sum = {0};
    for (uint32_t worker = 0; worker < matrix->worker_count; worker++) {
        sum_row(&sum, &misses_of_worker(matrix, worker)[database]);
    }
    return sum;
}

struct misses_sum misses_sum_all(const struct misses_matrix *matrix) {
    struct misses_sum sum = {0};
    for (size_t i = 0; i < row_count(matrix); i++) {
        sum_row(&sum, &matrix->rows[i]); /* rows beyond database_count are zero for ever */
    }
    return sum;
}

void misses_reset(struct misses_matrix *matrix) {
    for (size_t i = 0; i < row_count(matrix); i++) {
        for (int reason = 0; reason < MISS_REASONS; reason++) {
            atomic_store_explicit(&matrix->rows[i].by_reason[reason], 0, memory_order_relaxed);
        }
    }
}

const char *misses_reason_name(enum miss_reason reason) {
    static const char *const names[MISS_REASONS] = {
        [MISS_UNKNOWN] = "unknown",
        [MISS_EXPIRED] = "expired",
        [MISS_EVICTED] = "evicted",
        [MISS_DELETED] = "deleted",
    };
    return names[reason];
}
