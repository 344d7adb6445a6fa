/* A ring of jobs under one mutex, and as many threads as the queue's fill calls for.
 *
 * A mutex and condition variables are right here: jobs are few and large (a value of megabytes to free),
 * so what a lock-free queue would save is nothing beside one of them, and a bounded queue that can be
 * waited on is what a mutex gives.
 *
 * Growing is decided by whoever submits (over 80 % full, or no thread at all), shrinking by a thread
 * itself: one above the minimum ends when it has found nothing to do for `linger_ms` while the queue is
 * under 20 % full. Threads are detached; destroying waits until their count is 0. With a minimum of 0 an
 * idle server has no background thread. */
#include "jobs.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "clock.h"
#include "priority.h"
#include "shards/base/memory.h"

enum { GROW_ABOVE_PERCENT = 80, SHRINK_BELOW_PERCENT = 20 };

struct jobs {
    struct jobs_options options; /* immutable */
    struct job *ring;            /* immutable; what it holds: lock */
    pthread_mutex_t lock; /* guards all below; a leaf lock but for the jobs, which run without it */
    pthread_cond_t has_job;     /* a job was queued, or stopping began */
    pthread_cond_t has_changed; /* a job was taken or done, or a thread ended */
    uint32_t head, running, threads;
    bool is_stopping;
    struct jobs_statistics statistics;
};

static bool is_fuller_than(const struct jobs *jobs, uint32_t percent) {
    return (uint64_t)jobs->statistics.waiting * 100 > (uint64_t)jobs->options.queue_max * percent;
}

/* False when it waited for the time a thread lingers, and nothing came. */
static bool await_job_locked(struct jobs *jobs) {
    int64_t deadline_ns = clock_monotonic_ns() + (int64_t)jobs->options.linger_ms * 1000000;
    struct timespec deadline = {.tv_sec = deadline_ns / 1000000000,
                                .tv_nsec = deadline_ns % 1000000000};
    while (jobs->statistics.waiting == 0 && !jobs->is_stopping) {
        if (pthread_cond_clockwait(&jobs->has_job, &jobs->lock, CLOCK_MONOTONIC, &deadline) ==
            ETIMEDOUT) {
            return jobs->statistics.waiting != 0;
        }
    }
    return true;
}

static bool may_shrink_locked(const struct jobs *jobs) {
    return jobs->threads > jobs->options.threads_min && !is_fuller_than(jobs, SHRINK_BELOW_PERCENT);
}

static void run_one_locked(struct jobs *jobs) {
    struct job job = jobs->ring[jobs->head];
    jobs->head = (jobs->head + 1) % jobs->options.queue_max;
    jobs->statistics.waiting--;
    jobs->running++;
    pthread_cond_broadcast(&jobs->has_changed);
    pthread_mutex_unlock(&jobs->lock);
    job.run(job.context, job.subject);
    pthread_mutex_lock(&jobs->lock);
    jobs->running--;
    jobs->statistics.done++;
    pthread_cond_broadcast(&jobs->has_changed);
}

static void *serve(void *argument) {
    struct jobs *jobs = argument;
    priority_step_back();
    pthread_mutex_lock(&jobs->lock);
    for (;;) {
        bool has_come = await_job_locked(jobs);
        if (jobs->statistics.waiting != 0) {
            run_one_locked(jobs);
        } else if (jobs->is_stopping) {
            break;
        } else if (!has_come && may_shrink_locked(jobs)) {
            jobs->statistics.shrunk++;
            break;
        }
    }
    jobs->threads--;
    pthread_cond_broadcast(&jobs->has_changed);
    pthread_mutex_unlock(&jobs->lock); /* jobs_destroy may free right after */
    return NULL;
}

static bool add_thread_locked(struct jobs *jobs) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, serve, jobs) != 0) return false;
    pthread_detach(thread);
    jobs->threads++;
    if (jobs->threads > jobs->statistics.threads_peak)
        jobs->statistics.threads_peak = jobs->threads;
    return true;
}

/* A queue that fills gets one more thread. Without any, one is needed; if the system has none, the job is refused. */
static bool grow_locked(struct jobs *jobs) {
    bool is_wanted = jobs->threads == 0 || is_fuller_than(jobs, GROW_ABOVE_PERCENT);
    if (!is_wanted || jobs->threads == jobs->options.threads_max) return true;
    if (add_thread_locked(jobs)) {
        jobs->statistics.grown++;
        return true;
    }
    return jobs->threads != 0;
}

static bool push_locked(struct jobs *jobs, struct job job) {
    if (jobs->is_stopping || jobs->statistics.waiting == jobs->options.queue_max ||
        !grow_locked(jobs)) {
        jobs->statistics.refused++;
        return false;
    }
    jobs->ring[(jobs->head + jobs->statistics.waiting) % jobs->options.queue_max] = job;
    jobs->statistics.waiting++;
    pthread_cond_signal(&jobs->has_job);
    return true;
}

bool jobs_try(struct jobs *jobs, struct job job) {
    pthread_mutex_lock(&jobs->lock);
    bool is_taken = push_locked(jobs, job);
    pthread_mutex_unlock(&jobs->lock);
    return is_taken;
}

bool jobs_submit(struct jobs *jobs, struct job job) {
    pthread_mutex_lock(&jobs->lock);
    while (!jobs->is_stopping && jobs->statistics.waiting == jobs->options.queue_max) {
        pthread_cond_wait(&jobs->has_changed, &jobs->lock);
    }
    bool is_taken = push_locked(jobs, job);
    pthread_mutex_unlock(&jobs->lock);
    return is_taken;
}

void jobs_drain(struct jobs *jobs) {
    pthread_mutex_lock(&jobs->lock);
    while (jobs->statistics.waiting != 0 || jobs->running != 0) {
        pthread_cond_wait(&jobs->has_changed, &jobs->lock);
    }
    pthread_mutex_unlock(&jobs->lock);
}

struct jobs_statistics jobs_statistics(struct jobs *jobs) {
    pthread_mutex_lock(&jobs->lock);
    struct jobs_statistics statistics = jobs->statistics;
    statistics.threads = jobs->threads;
    pthread_mutex_unlock(&jobs->lock);
    return statistics;
}

struct jobs *jobs_create(const struct jobs_options *options) {
    struct jobs *jobs = memory_allocate_zeroed(sizeof(*jobs));
    if (jobs == NULL) return NULL;
    jobs->options = *options;
    pthread_mutex_init(&jobs->lock, NULL);
    pthread_cond_init(&jobs->has_job, NULL);
    pthread_cond_init(&jobs->has_changed, NULL);
    jobs->ring = memory_allocate(options->queue_max * sizeof(*jobs->ring));
    pthread_mutex_lock(&jobs->lock);
    bool is_whole = jobs->ring != NULL;
    while (is_whole && jobs->threads < options->threads_min) {
        is_whole = add_thread_locked(jobs);
    }
    pthread_mutex_unlock(&jobs->lock);
    if (is_whole) return jobs;
    jobs_destroy(jobs);
    return NULL;
}

void jobs_destroy(struct jobs *jobs) {
    pthread_mutex_lock(&jobs->lock);
    jobs->is_stopping = true;
    pthread_cond_broadcast(&jobs->has_job);
    while (jobs->threads != 0) {
        pthread_cond_wait(&jobs->has_changed, &jobs->lock);
    }
    pthread_mutex_unlock(&jobs->lock);
    pthread_cond_destroy(&jobs->has_job);
    pthread_cond_destroy(&jobs->has_changed);
    pthread_mutex_destroy(&jobs->lock);
    memory_free(jobs->ring);
    memory_free(jobs);
}
