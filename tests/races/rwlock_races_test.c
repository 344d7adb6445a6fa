/* The lock against the thread sanitizer: plain fields that only the lock guards, many threads, and sleepers. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <sched.h>

#include "shards/base/random.h"
#include "shards/base/rwlock.h"

enum { THREADS = 8, ROUNDS = 5000 };

struct guarded {
    struct rwlock lock;
    uint64_t first, second; /* the lock; equal whenever no writer is in */
};

struct participant {
    struct guarded *guarded;
    uint64_t writes_in_256; /* how often it writes rather than reads */
    uint64_t written;
    bool has_seen_halves;
    struct random random;
    pthread_t thread;
};

/* Some give up the processor while they hold, so that others have to wait, and to sleep. */
static void linger(struct participant *participant) {
    if (random_below(&participant->random, 64) == 0) sched_yield();
}

static void write_once(struct participant *participant) {
    struct guarded *guarded = participant->guarded;
    rwlock_write_lock(&guarded->lock);
    guarded->first++;
    linger(participant);
    guarded->second++;
    rwlock_write_unlock(&guarded->lock);
    participant->written++;
}

static void read_once(struct participant *participant) {
    struct guarded *guarded = participant->guarded;
    rwlock_read_lock(&guarded->lock);
    uint64_t first = guarded->first;
    linger(participant);
    if (first != guarded->second) participant->has_seen_halves = true;
    rwlock_read_unlock(&guarded->lock);
}

static void *participate(void *argument) {
    struct participant *participant = argument;
    for (int i = 0; i < ROUNDS; i++) {
        if (random_below(&participant->random, 256) < participant->writes_in_256) {
            write_once(participant);
        } else {
            read_once(participant);
        }
    }
    return NULL;
}

static void run_mix(uint64_t writes_in_256) {
    struct guarded guarded = {0};
    rwlock_init(&guarded.lock, 1);
    struct participant participants[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        participants[i] = (struct participant){.guarded = &guarded, .writes_in_256 = writes_in_256};
        random_init(&participants[i].random, i);
        assert_int_equal(
            pthread_create(&participants[i].thread, NULL, participate, &participants[i]), 0);
    }
    uint64_t written = 0;
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(participants[i].thread, NULL), 0);
        assert_false(participants[i].has_seen_halves);
        written += participants[i].written;
    }
    assert_true(guarded.first == written && guarded.second == written);
    assert_int_equal(atomic_load(&guarded.lock.word) & ~RWLOCK_PHASE, 0);
    assert_int_equal(atomic_load(&guarded.lock.readers_asleep), 0);
    assert_int_equal(atomic_load(&guarded.lock.writers_asleep), 0);
}

static void no_write_is_lost_or_seen_half_done_among_readers(void **state) {
    (void)state;
    run_mix(8);
}

static void no_write_is_lost_or_seen_half_done_half_and_half(void **state) {
    (void)state;
    run_mix(128);
}

static void no_write_is_lost_among_writers(void **state) {
    (void)state;
    run_mix(256);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_write_is_lost_or_seen_half_done_among_readers),
        cmocka_unit_test(no_write_is_lost_or_seen_half_done_half_and_half),
        cmocka_unit_test(no_write_is_lost_among_writers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
