/* Misses by reason: one row a worker and database, on lines that no other worker writes.
 *
 * As counters.h: the row of a worker is written by that worker only, with relaxed atomics, and summed by whoever asks.
 * Over all databases and reasons they are as many as the misses there. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "base/status.h"
#include "ghost.h"

struct misses {
    _Atomic uint64_t by_reason[MISS_REASONS]; /* atomic, relaxed; one worker writes */
};
/* What a sum looks like. */
struct misses_sum {
    uint64_t by_reason[MISS_REASONS];
};

struct misses_matrix {
    struct misses *rows; /* worker by worker, each worker's part starts a cache line */
    uint32_t worker_count, database_count, stride;
};

must_use enum status misses_init(struct misses_matrix *matrix, uint32_t worker_count,
                                 uint32_t database_count);
void misses_release(struct misses_matrix *matrix);
/* The rows of one worker, indexed by database. */
struct misses *misses_of_worker(const struct misses_matrix *matrix, uint32_t worker);
struct misses_sum misses_sum_database(const struct misses_matrix *matrix, uint32_t database);
struct misses_sum misses_sum_all(const struct misses_matrix *matrix);
/* Zero all. Concurrent increments may survive or vanish. */
void misses_reset(struct misses_matrix *matrix);
/* As statistics call it: "unknown", "expired", "evicted", "deleted". */
const char *misses_reason_name(enum miss_reason reason);
