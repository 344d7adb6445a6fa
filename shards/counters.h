/* Hits, misses, reads and writes: one row of counters a worker and shard, on lines no other worker writes.
 *
 * The row of (worker, shard) is written by that worker only, with relaxed atomics (plain instructions on every
 * machine), and summed by whoever asks: exact once the writers rest, never a shared cache line on the hot
 * path. A read is one key looked up by a reading command: it is a hit or a miss, so reads = hits + misses.
 * A write is one key looked up by a writing command. */
#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct counters {
    _Atomic uint64_t hits, misses, reads, writes; /* atomic, relaxed; one worker writes */
};
/* What a sum looks like. */
struct counters_sum {
    uint64_t hits, misses, reads, writes;
};

struct counters_matrix {
    struct counters *rows; /* worker by worker, each worker's part starts a cache line */
    uint32_t worker_count, shard_count, stride;
};

must_use enum status counters_init(struct counters_matrix *matrix, uint32_t worker_count,
                                   uint32_t shard_count);
void counters_release(struct counters_matrix *matrix);
/* The rows of one worker, indexed by shard. */
struct counters *counters_of_worker(const struct counters_matrix *matrix, uint32_t worker);
struct counters_sum counters_sum_worker(const struct counters_matrix *matrix, uint32_t worker);
struct counters_sum counters_sum_shard(const struct counters_matrix *matrix, uint32_t shard);
struct counters_sum counters_sum_all(const struct counters_matrix *matrix);
/* Zero all. Concurrent increments may survive or vanish. */
void counters_reset(struct counters_matrix *matrix);

/* The single writer's increment: load and store, not a locked addition. */
static inline void counters_add(_Atomic uint64_t *counter, uint64_t amount) {
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + amount,
                          memory_order_relaxed);
}
