#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shards/base/rwlock.h"

/* A thread that takes the lock once, says so, and drops it when told to. */
struct visitor {
    struct rwlock *lock;
    bool writing;
    _Atomic bool is_in;
    _Atomic bool may_leave;
    pthread_t thread;
};

static void *visit(void *argument) {
    struct visitor *visitor = argument;
    visitor->writing ? rwlock_write_lock(visitor->lock) : rwlock_read_lock(visitor->lock);
    atomic_store(&visitor->is_in, true);
    while (!atomic_load(&visitor->may_leave)) {
        sched_yield();
    }
    visitor->writing ? rwlock_write_unlock(visitor->lock) : rwlock_read_unlock(visitor->lock);
    return NULL;
}

static void visitor_start(struct visitor *visitor, struct rwlock *lock, bool writing) {
    *visitor = (struct visitor){.lock = lock, .writing = writing};
    assert_int_equal(pthread_create(&visitor->thread, NULL, visit, visitor), 0);
}

static void visitor_await(struct visitor *visitor) {
    while (!atomic_load(&visitor->is_in)) {
        sched_yield();
    }
}

static void visitor_finish(struct visitor *visitor) {
    atomic_store(&visitor->may_leave, true);
    assert_int_equal(pthread_join(visitor->thread, NULL), 0);
}

/* Until `count` threads wait in line: they then stay there until the lock changes hands. */
static void await_in_line(struct rwlock *lock, uint64_t mask, uint64_t count) {
    while ((atomic_load(&lock->word) & mask) != count) {
        sched_yield();
    }
}

static void await_asleep(_Atomic uint32_t *asleep, uint32_t count) {
    while (atomic_load(asleep) != count) {
        sched_yield();
    }
}

static void readers_share(void **state) {
    (void)state;
    struct rwlock lock;
    rwlock_init(&lock, 1);
    struct visitor other;
    rwlock_read_lock(&lock);
    visitor_start(&other, &lock, false);
    visitor_await(&other); /* while we are in, too */
    rwlock_read_unlock(&lock);
    visitor_finish(&other);
    assert_int_equal(rwlock_profile(&lock).waits, 0);
}

static void a_writer_keeps_everybody_out(void **state) {
    (void)state;
    struct rwlock lock;
    rwlock_init(&lock, 1);
    struct visitor reader, writer;
    rwlock_write_lock(&lock);
    visitor_start(&reader, &lock, false);
    visitor_start(&writer, &lock, true);
    await_in_line(&lock, RWLOCK_READERS_WAIT | RWLOCK_WRITERS_WAIT,
                  RWLOCK_READER_WAITS + RWLOCK_WRITER_WAITS);
    assert_false(atomic_load(&reader.is_in));
    assert_false(atomic_load(&writer.is_in));
    rwlock_write_unlock(&lock);
    visitor_await(&reader); /* readers first after a writer: they take turns */
    assert_false(atomic_load(&writer.is_in));
    visitor_finish(&reader);
    visitor_await(&writer);
    visitor_finish(&writer);
    assert_int_equal(rwlock_profile(&lock).waits, 2);
}

static void a_waiting_writer_stops_new_readers_and_goes_before_them(void **state) {
    (void)state;
    struct rwlock lock;
    rwlock_init(&lock, 1);
    struct visitor writer, late;
    rwlock_read_lock(&lock);
    visitor_start(&writer, &lock, true);
    await_in_line(&lock, RWLOCK_WRITERS_WAIT, RWLOCK_WRITER_WAITS);
    visitor_start(&late, &lock, false);
    await_in_line(&lock, RWLOCK_READERS_WAIT, RWLOCK_READER_WAITS);
    rwlock_read_unlock(&lock);
    visitor_await(&writer);
    assert_false(atomic_load(&late.is_in));
    visitor_finish(&writer);
    visitor_await(&late);
    visitor_finish(&late);
}

static void sleepers_of_both_kinds_are_woken(void **state) {
    (void)state;
    enum { READERS = 3, WRITERS = 2 };
    struct rwlock lock;
    rwlock_init(&lock, 1);
    struct visitor readers[READERS], writers[WRITERS];
    rwlock_write_lock(&lock);
    for (int i = 0; i < READERS; i++) {
        visitor_start(&readers[i], &lock, false);
    }
    for (int i = 0; i < WRITERS; i++) {
        visitor_start(&writers[i], &lock, true);
    }
    await_asleep(&lock.readers_asleep, READERS);
    await_asleep(&lock.writers_asleep, WRITERS);
    rwlock_write_unlock(&lock);
    for (int i = 0; i < READERS; i++) {
        visitor_await(&readers[i]);
    }
    for (int i = 0; i < READERS; i++) {
        visitor_finish(&readers[i]);
    }
    for (int i = 0; i < WRITERS; i++) {
        atomic_store(&writers[i].may_leave, true);
    }
    for (int i = 0; i < WRITERS; i++) {
        visitor_finish(&writers[i]);
    }
    assert_int_equal(atomic_load(&lock.word) & ~RWLOCK_PHASE, 0);
}

/* Threads that take and drop without a pause, for as long as they are wanted. */
struct crowd {
    struct rwlock lock;
    bool writing;
    _Atomic bool is_over;
    _Atomic uint64_t takes;
};

static void *crowd_run(void *argument) {
    struct crowd *crowd = argument;
    while (!atomic_load(&crowd->is_over)) {
        crowd->writing ? rwlock_write_lock(&crowd->lock) : rwlock_read_lock(&crowd->lock);
        atomic_fetch_add(&crowd->takes, 1);
        crowd->writing ? rwlock_write_unlock(&crowd->lock) : rwlock_read_unlock(&crowd->lock);
    }
    return NULL;
}

/* One of the other kind gets in a hundred times, against a crowd that never stops. (Starved, it would never end.) */
static void assert_not_starved_by(bool crowd_writes) {
    enum { CROWD = 4, TAKES = 100 };
    struct crowd crowd = {.writing = crowd_writes};
    rwlock_init(&crowd.lock, 1);
    pthread_t threads[CROWD];
    for (int i = 0; i < CROWD; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, crowd_run, &crowd), 0);
    }
    for (int i = 0; i < TAKES; i++) {
        uint64_t before = atomic_load(&crowd.takes);
        while (atomic_load(&crowd.takes) == before) {
            sched_yield(); /* the crowd is at it */
        }
        crowd_writes ? rwlock_read_lock(&crowd.lock) : rwlock_write_lock(&crowd.lock);
        crowd_writes ? rwlock_read_unlock(&crowd.lock) : rwlock_write_unlock(&crowd.lock);
    }
    atomic_store(&crowd.is_over, true);
    for (int i = 0; i < CROWD; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
}

static void a_writer_is_not_starved_by_readers(void **state) {
    (void)state;
    assert_not_starved_by(false);
}

static void a_reader_is_not_starved_by_writers(void **state) {
    (void)state;
    assert_not_starved_by(true);
}

static void the_profile_counts_waits_and_the_longest_hold(void **state) {
    (void)state;
    struct rwlock lock;
    rwlock_init(&lock, 1);
    struct visitor reader;
    rwlock_write_lock(&lock);
    uint64_t started_ns = rwlock_stopwatch_ns();
    visitor_start(&reader, &lock, false);
    await_asleep(&lock.readers_asleep, 1);
    rwlock_time_hold(&lock, started_ns);
    rwlock_write_unlock(&lock);
    visitor_finish(&reader);
    struct rwlock_profile profile = rwlock_profile(&lock);
    assert_int_equal(profile.waits, 1);
    assert_true(profile.waited_ns > 0);
    assert_true(profile.longest_wait_ns == profile.waited_ns);
    assert_true(profile.longest_hold_ns > 0);
    rwlock_profile_reset(&lock);
    profile = rwlock_profile(&lock);
    assert_true(
        profile.waits + profile.waited_ns + profile.longest_wait_ns + profile.longest_hold_ns == 0);
}

#ifndef NDEBUG

/* Run `misuse` in a child: it must end by abort. */
static void assert_aborts(void (*misuse)(struct rwlock *low, struct rwlock *high)) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        signal(SIGABRT, SIG_DFL);
        if (freopen("/dev/null", "w", stderr) == NULL) _exit(2);
        struct rwlock low, high;
        rwlock_init(&low, 1);
        rwlock_init(&high, 2);
        misuse(&low, &high);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

static void take_descending(struct rwlock *low, struct rwlock *high) {
    rwlock_read_lock(high);
    rwlock_read_lock(low);
}

static void take_twice(struct rwlock *low, struct rwlock *high) {
    (void)high;
    rwlock_read_lock(low);
    rwlock_read_lock(low);
}

static void drop_what_is_not_held(struct rwlock *low, struct rwlock *high) {
    rwlock_read_lock(low);
    rwlock_read_unlock(high);
}

static void drop_otherwise_than_taken(struct rwlock *low, struct rwlock *high) {
    (void)high;
    rwlock_read_lock(low);
    rwlock_write_unlock(low);
}

static void misuse_aborts(void **state) {
    (void)state;
    assert_aborts(take_descending);
    assert_aborts(take_twice);
    assert_aborts(drop_what_is_not_held);
    assert_aborts(drop_otherwise_than_taken);
}

static void what_a_thread_holds_is_known(void **state) {
    (void)state;
    struct rwlock low, high;
    rwlock_init(&low, 1);
    rwlock_init(&high, 2);
    rwlock_read_lock(&low);
    rwlock_write_lock(&high);
    assert_true(rwlock_is_held_for_reading(&low));
    assert_false(rwlock_is_held_for_writing(&low));
    assert_true(rwlock_is_held_for_reading(&high));
    assert_true(rwlock_is_held_for_writing(&high));
    rwlock_read_unlock(&low); /* any order of dropping is fine */
    assert_false(rwlock_is_held_for_reading(&low));
    rwlock_write_unlock(&high);
    assert_false(rwlock_is_held_for_reading(&high));
}

#endif

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_share),
        cmocka_unit_test(a_writer_keeps_everybody_out),
        cmocka_unit_test(a_waiting_writer_stops_new_readers_and_goes_before_them),
        cmocka_unit_test(sleepers_of_both_kinds_are_woken),
        cmocka_unit_test(a_writer_is_not_starved_by_readers),
        cmocka_unit_test(a_reader_is_not_starved_by_writers),
        cmocka_unit_test(the_profile_counts_waits_and_the_longest_hold),
#ifndef NDEBUG
        cmocka_unit_test(misuse_aborts),
        cmocka_unit_test(what_a_thread_holds_is_known),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
