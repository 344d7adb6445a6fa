/* The background pool: work that must not hold up a worker, such as freeing a large value.
 *
 * A bounded queue and an adaptive number of threads: one more when the queue is over 80 % full (up to the
 * maximum), one less when it has stayed under 20 % (down to the minimum, which may be 0: then the first
 * job starts a thread). A full queue is an ordinary answer to jobs_try; the caller then does the work
 * itself. Any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "shards/base/status.h"

struct jobs;

struct job {
    void (*run)(void *context, void *subject);
    void *context, *subject;
};

struct jobs_options {
    uint32_t queue_max; /* jobs that may wait */
    uint32_t threads_min;
    uint32_t threads_max; /* at least 1 */
    uint32_t linger_ms;   /* a thread above the minimum ends after so long without work */
};

struct jobs_statistics {
    uint64_t done, refused, grown, shrunk;
    uint32_t waiting, threads, threads_peak;
};

/* NULL when memory or threads are refused. */
struct jobs *jobs_create(const struct jobs_options *options);
/* Runs what is queued, then stops all threads and frees. */
void jobs_destroy(struct jobs *jobs);
/* False when full (or stopping): the job is not taken. */
must_use bool jobs_try(struct jobs *jobs, struct job job);
/* Waits for room. False only when stopping. */
must_use bool jobs_submit(struct jobs *jobs, struct job job);
/* Waits until everything that was submitted before has run. */
void jobs_drain(struct jobs *jobs);
struct jobs_statistics jobs_statistics(struct jobs *jobs);
