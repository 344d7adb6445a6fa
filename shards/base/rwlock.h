/* The readers-writer lock of a shard: one word, a short spin, then a futex; and it measures its own slow path.
 *
 * Readers add and subtract; a waiting writer stops new readers, so it is not starved. Uncontended: one atomic
 * read-modify-write to take, one to drop. The profile costs only those who wait: how many waited, how long in all,
 * the longest wait (a lower bound of the longest hold that hurt somebody).
 *
 * Not recursive. Debug builds check the order: a thread takes locks by ascending `rank` only (see shards/shards.h,
 * where the order is written), and drops what it holds. One cache line of 64 bytes; embed it first in its owner. */
#pragma once

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct rwlock {
    alignas(64) _Atomic uint32_t word; /* readers, writer bit, waiting bit: see rwlock.c */
    uint32_t rank;                     /* immutable after init: the place in the lock order */
    _Atomic uint32_t wakeups;          /* futex word of the sleepers */
    _Atomic uint32_t sleepers;
    _Atomic uint64_t waits;            /* atomic, relaxed: a statistic, as are the next three */
    _Atomic uint64_t waited_ns;
    _Atomic uint64_t longest_wait_ns;
    _Atomic uint64_t longest_hold_ns;  /* of the write holds that were timed: rwlock_time_hold */
};

struct rwlock_profile {
    uint64_t waits, waited_ns, longest_wait_ns, longest_hold_ns;
};

void rwlock_init(struct rwlock *lock, uint32_t rank);
void rwlock_read_lock(struct rwlock *lock);
void rwlock_read_unlock(struct rwlock *lock);
void rwlock_write_lock(struct rwlock *lock);
void rwlock_write_unlock(struct rwlock *lock);
/* Debug: does this thread hold it so? Always true in release builds. */
bool rwlock_is_held_for_reading(const struct rwlock *lock); /* or for writing */
bool rwlock_is_held_for_writing(const struct rwlock *lock);

/* Monotonic nanoseconds, for measuring holds: the profile's own stopwatch, not a clock that decides anything. */
uint64_t rwlock_stopwatch_ns(void);
/* The holder reports that it held since `started_ns`; keeps the longest. Call it just before the unlock. */
void rwlock_time_hold(struct rwlock *lock, uint64_t started_ns);

struct rwlock_profile rwlock_profile(const struct rwlock *lock);
void rwlock_profile_reset(struct rwlock *lock);
