/* The background pool: it grows and shrinks as its queue says, refuses, waits, drains, and stops in good order. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "server/jobs.h"
#include "tests/support/crowd.h"

enum { QUEUE = 10, THREADS = 4, LINGER_MS = 5 };

/* Jobs that wait until the gate is opened, and count. */
struct gate {
    pthread_mutex_t lock;
    pthread_cond_t has_opened;
    bool is_open;
    _Atomic uint32_t entered, left;
    struct jobs *jobs;
};

static int set_up(void **state) {
    static struct gate gate;
    gate = (struct gate){.lock = PTHREAD_MUTEX_INITIALIZER, .has_opened = PTHREAD_COND_INITIALIZER};
    *state = &gate;
    return 0;
}

static void pass(void *context, void *subject) {
    struct gate *gate = context;
    (void)subject;
    atomic_fetch_add(&gate->entered, 1);
    pthread_mutex_lock(&gate->lock);
    while (!gate->is_open) {
        pthread_cond_wait(&gate->has_opened, &gate->lock);
    }
    pthread_mutex_unlock(&gate->lock);
    atomic_fetch_add(&gate->left, 1);
}

static void open_gate(struct gate *gate) {
    pthread_mutex_lock(&gate->lock);
    gate->is_open = true;
    pthread_cond_broadcast(&gate->has_opened);
    pthread_mutex_unlock(&gate->lock);
}

static void start(struct gate *gate, uint32_t threads_min) {
    gate->jobs = jobs_create(&(struct jobs_options){.queue_max = QUEUE,
                                                    .threads_min = threads_min,
                                                    .threads_max = THREADS,
                                                    .linger_ms = LINGER_MS});
    assert_non_null(gate->jobs);
}

static struct job job_of(struct gate *gate) {
    return (struct job){.run = pass, .context = gate};
}

static void await_entered(struct gate *gate, uint32_t count) {
    while (atomic_load(&gate->entered) < count) {
        sched_yield();
    }
}

static void await_threads(struct gate *gate, uint32_t count) {
    while (jobs_statistics(gate->jobs).threads != count) {
        sched_yield();
    }
}

/* Hold every thread the pool may have in a job, and fill the queue; returns how many jobs that took. */
static uint32_t fill(struct gate *gate) {
    uint32_t taken = 0;
    do {
        while (jobs_try(gate->jobs, job_of(gate))) {
            taken++;
        }
        struct jobs_statistics statistics = jobs_statistics(gate->jobs);
        await_entered(gate, statistics.threads);
    } while (taken < QUEUE + THREADS);
    return taken;
}

/* ---- Growing and shrinking ------------------------------------------------------------------- */

static void an_idle_pool_has_its_minimum_of_threads(void **state) {
    struct gate *gate = *state;
    start(gate, 0);
    assert_int_equal(jobs_statistics(gate->jobs).threads, 0);
    jobs_destroy(gate->jobs);
    start(gate, 2);
    assert_int_equal(jobs_statistics(gate->jobs).threads, 2);
    jobs_destroy(gate->jobs);
}

static void one_thread_serves_until_the_queue_is_80_percent_full(void **state) {
    struct gate *gate = *state;
    start(gate, 0);
    assert_true(jobs_try(gate->jobs, job_of(gate)));
    await_entered(gate, 1);
    for (int i = 0; i < QUEUE * 8 / 10 + 1; i++) {
        assert_true(jobs_try(gate->jobs, job_of(gate)));
    }
    assert_int_equal(jobs_statistics(gate->jobs).threads, 1);
    assert_true(jobs_try(gate->jobs, job_of(gate))); /* finds 9 of 10 waiting */
    assert_int_equal(jobs_statistics(gate->jobs).threads, 2);
    open_gate(gate);
    jobs_destroy(gate->jobs);
}

static void a_full_queue_brings_all_the_threads_and_no_more(void **state) {
    struct gate *gate = *state;
    start(gate, 1);
    assert_int_equal(fill(gate), QUEUE + THREADS);
    struct jobs_statistics statistics = jobs_statistics(gate->jobs);
    assert_int_equal(statistics.threads, THREADS);
    assert_int_equal(statistics.threads_peak, THREADS);
    assert_int_equal(statistics.grown, THREADS - 1);
    assert_int_equal(statistics.waiting, QUEUE);
    open_gate(gate);
    jobs_destroy(gate->jobs);
}

static void threads_without_work_end_down_to_the_minimum(void **state) {
    struct gate *gate = *state;
    start(gate, 1);
    fill(gate);
    open_gate(gate);
    jobs_drain(gate->jobs); /* the thread that stays may be the last to be done */
    await_threads(gate, 1);
    struct jobs_statistics statistics = jobs_statistics(gate->jobs);
    assert_int_equal(statistics.done, QUEUE + THREADS);
    assert_int_equal(statistics.shrunk, THREADS - 1);
    assert_int_equal(statistics.threads_peak, THREADS);
    /* And the pool is as good as new. */
    assert_true(jobs_try(gate->jobs, job_of(gate)));
    jobs_drain(gate->jobs);
    assert_int_equal(jobs_statistics(gate->jobs).done, QUEUE + THREADS + 1);
    jobs_destroy(gate->jobs);
}

static void the_last_thread_ends_too_and_the_next_job_starts_one(void **state) {
    struct gate *gate = *state;
    start(gate, 0);
    open_gate(gate);
    for (uint32_t i = 1; i <= 3; i++) {
        assert_true(jobs_try(gate->jobs, job_of(gate)));
        await_threads(gate, 0);
        assert_int_equal(atomic_load(&gate->left), i);
        assert_int_equal(jobs_statistics(gate->jobs).grown, i);
        assert_int_equal(jobs_statistics(gate->jobs).shrunk, i);
    }
    jobs_destroy(gate->jobs);
}

/* ---- Full ------------------------------------------------------------------------------------ */

static void a_full_queue_refuses_and_counts_it(void **state) {
    struct gate *gate = *state;
    start(gate, 0);
    fill(gate);
    uint64_t refused = jobs_statistics(gate->jobs).refused;
    assert_false(jobs_try(gate->jobs, job_of(gate)));
    assert_false(jobs_try(gate->jobs, job_of(gate)));
    assert_int_equal(jobs_statistics(gate->jobs).refused, refused + 2);
    open_gate(gate);
    jobs_drain(gate->jobs);
    assert_int_equal(atomic_load(&gate->left), QUEUE + THREADS); /* what was refused did not run */
    assert_true(jobs_try(gate->jobs, job_of(gate)));
    jobs_destroy(gate->jobs);
}

static bool submit_one(void *context, size_t index) {
    struct gate *gate = context;
    (void)index;
    return jobs_submit(gate->jobs, job_of(gate));
}

static void submitting_to_a_full_queue_waits_for_room(void **state) {
    struct gate *gate = *state;
    start(gate, 0);
    fill(gate);
    struct crowd *crowd = crowd_start(3, submit_one, gate);
    assert_int_equal(jobs_statistics(gate->jobs).waiting, QUEUE);
    open_gate(gate);
    assert_true(crowd_finish(crowd));
    jobs_drain(gate->jobs);
    assert_int_equal(atomic_load(&gate->left), QUEUE + THREADS + 3);
    jobs_destroy(gate->jobs);
}

/* ---- Ends ------------------------------------------------------------------------------------ */

static void draining_waits_for_what_runs_and_what_waits(void **state) {
    struct gate *gate = *state;
    start(gate, 0);
    jobs_drain(gate->jobs); /* nothing to wait for */
    fill(gate);
    open_gate(gate);
    jobs_drain(gate->jobs);
    assert_int_equal(atomic_load(&gate->left), QUEUE + THREADS);
    assert_int_equal(jobs_statistics(gate->jobs).waiting, 0);
    jobs_destroy(gate->jobs);
}

static void stopping_runs_what_is_queued(void **state) {
    struct gate *gate = *state;
    start(gate, 0);
    fill(gate);
    open_gate(gate);
    jobs_destroy(gate->jobs);
    assert_int_equal(atomic_load(&gate->left), QUEUE + THREADS);
}

enum { CROWD = 6, EACH = 500 };

static bool submit_many(void *context, size_t index) {
    struct gate *gate = context;
    for (int i = 0; i < EACH; i++) {
        bool is_taken = (index + (size_t)i) % 2 == 0 ? jobs_submit(gate->jobs, job_of(gate))
                                                     : jobs_try(gate->jobs, job_of(gate));
        if (!is_taken) pass(gate, NULL); /* as callers do */
    }
    return true;
}

static void many_threads_submit_while_the_pool_breathes(void **state) {
    struct gate *gate = *state;
    start(gate, 0);
    open_gate(gate);
    assert_true(crowd_run(CROWD, submit_many, gate));
    jobs_drain(gate->jobs);
    struct jobs_statistics statistics = jobs_statistics(gate->jobs);
    assert_int_equal(atomic_load(&gate->left), CROWD * EACH);
    assert_int_equal(statistics.done + statistics.refused, CROWD * EACH);
    assert_in_range(statistics.threads_peak, 1, THREADS);
    jobs_destroy(gate->jobs);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_idle_pool_has_its_minimum_of_threads, set_up),
        cmocka_unit_test_setup(one_thread_serves_until_the_queue_is_80_percent_full, set_up),
        cmocka_unit_test_setup(a_full_queue_brings_all_the_threads_and_no_more, set_up),
        cmocka_unit_test_setup(threads_without_work_end_down_to_the_minimum, set_up),
        cmocka_unit_test_setup(the_last_thread_ends_too_and_the_next_job_starts_one, set_up),
        cmocka_unit_test_setup(a_full_queue_refuses_and_counts_it, set_up),
        cmocka_unit_test_setup(submitting_to_a_full_queue_waits_for_room, set_up),
        cmocka_unit_test_setup(draining_waits_for_what_runs_and_what_waits, set_up),
        cmocka_unit_test_setup(stopping_runs_what_is_queued, set_up),
        cmocka_unit_test_setup(many_threads_submit_while_the_pool_breathes, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
