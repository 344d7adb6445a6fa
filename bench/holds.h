/* How long a lock was held, told twice: by the clock, and by the processor time of the thread that held it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "bench/histogram.h"

enum {
    HOLDS_BATCH = 16,
    HOLDS_LIMIT_NS = 1000000, /* what no hold of a shard may last: ../ARCHITECTURE.md */
};

/* One hold, as it was timed inside. */
struct hold {
    uint64_t ticks;     /* of clock_ticks */
    bool has_committed; /* a region went on into more of its addresses: a system call */
};

/* What a thread has spent and suffered. */
struct holds_spent {
    uint64_t own_ns, switches, faults;
};

/* The worst hold, and what its batch met: times taken off the processor, page faults, commits of regions. */
struct holds_worst {
    uint64_t wall_ns, own_ns, switches, faults, commits;
};

/* One thread's. */
struct holds {
    struct histogram wall, own; /* nanoseconds; `own` is an upper bound */
    uint64_t over_limit, own_over_limit;
    struct holds_worst slowest, costliest; /* by the clock; by processor time */
    struct holds_spent in_all;             /* in the batches that are settled */
    struct holds_spent before;             /* by the thread, before this batch */
    double ns_per_tick;
    struct hold batch[HOLDS_BATCH];
    uint32_t batch_count;
};

/* Thread: the one that will hold. */
void holds_begin(struct holds *holds);
/* Settle the last batch, which may not be full. */
void holds_end(struct holds *holds);
void holds_merge(struct holds *into, const struct holds *from);
/* Count a batch's holds, now that it is full. */
void holds_settle(struct holds *holds);

static inline void holds_add(struct holds *holds, struct hold hold) {
    holds->batch[holds->batch_count++] = hold;
    if (holds->batch_count == HOLDS_BATCH) holds_settle(holds);
}
