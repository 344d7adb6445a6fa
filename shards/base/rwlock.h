/* The readers-writer lock of a shard: one word, a short spin, then a futex; and it measures its own slow path.
 *
 * Running threads first: whoever comes while the lock is free takes it, though others sleep in line for it; handing it to a
 * sleeper would let everybody wait until that one runs. But nobody is starved: who has waited for a millisecond stops the overtaking, and
 * then reading and writing take turns. Uncontended: one atomic read-modify-write to take, one to drop, inlined. The profile costs
 * only those who wait: how many waited, how long in all, the longest wait (a lower bound of the longest hold that hurt somebody).
 *
 * Not recursive. Debug builds check the order: a thread takes locks by ascending `rank` only (see shards/shards.h,
 * where the order is written), and drops what it holds. At most RWLOCK_THREADS_MAX threads may use one lock. It needs no
 * release, but must outlive every call on it. One cache line of 64 bytes; embed it first in its owner. */
#pragma once

#include <assert.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { RWLOCK_THREADS_MAX = 65535 };

struct rwlock {
    alignas(64) _Atomic uint64_t word; /* who holds, who waits: see rwlock.c */
    uint32_t rank;                     /* immutable after init: the place in the lock order */
    _Atomic uint32_t
        reader_bell; /* futex word: 1 when a reader sleeps, or is about to, and wasn't called yet */
    _Atomic uint32_t writer_bell;    /* the same for writers */
    _Atomic uint32_t readers_asleep; /* atomic, relaxed: called or not, but not running again */
    _Atomic uint32_t
        writers_asleep;     /* the same for writers; while all are asleep, readers may overtake */
    _Atomic uint64_t waits; /* atomic, relaxed: a statistic, as are the next three */
    _Atomic uint64_t waited_ns;
    _Atomic uint64_t longest_wait_ns;
    _Atomic uint64_t longest_hold_ns; /* of the write holds that were timed: rwlock_time_hold */
};
static_assert(sizeof(struct rwlock) == 64, "a lock is one cache line");

struct rwlock_profile {
    uint64_t waits, waited_ns, longest_wait_ns, longest_hold_ns;
};

void rwlock_init(struct rwlock *lock, uint32_t rank);
static inline void rwlock_read_lock(struct rwlock *lock);
static inline void rwlock_read_unlock(struct rwlock *lock);
static inline void rwlock_write_lock(struct rwlock *lock);
static inline void rwlock_write_unlock(struct rwlock *lock);
/* Debug: does this thread hold it so? Always true in release builds. */
bool rwlock_is_held_for_reading(const struct rwlock *lock); /* or for writing */
bool rwlock_is_held_for_writing(const struct rwlock *lock);

/* Monotonic nanoseconds, for measuring holds and waits: the lock's own stopwatch. */
uint64_t rwlock_stopwatch_ns(void);
/* The holder reports that it held since `started_ns`; keeps the longest. Call it just before the unlock. */
void rwlock_time_hold(struct rwlock *lock, uint64_t started_ns);

/* How long this thread has waited for locks of this kind, ever. */
uint64_t rwlock_waited_ns(void);
struct rwlock_profile rwlock_profile(const struct rwlock *lock);
void rwlock_profile_reset(struct rwlock *lock);

/* ---- The fast paths; rwlock.c explains the word and has the slow ones ------------------------ */

/* Three counts of 16 bits: readers that hold, or are just asking; readers in line; writers in line. */
static const uint64_t RWLOCK_READER = UINT64_C(1);
static const uint64_t RWLOCK_READERS = UINT64_C(0xffff);
static const uint64_t RWLOCK_READER_WAITS = UINT64_C(1) << 16;
static const uint64_t RWLOCK_READERS_WAIT = UINT64_C(0xffff) << 16;
static const uint64_t RWLOCK_WRITER_WAITS = UINT64_C(1) << 32;
static const uint64_t RWLOCK_WRITERS_WAIT = UINT64_C(0xffff) << 32;
/* Four flags: a writer dropped, so readers in line go before writers in line; somebody in line has waited too long, so
 * nobody overtakes; flips whenever the readers in line are given the lock; a writer holds. */
static const uint64_t RWLOCK_TURN = UINT64_C(1) << 60;
static const uint64_t RWLOCK_HURRY = UINT64_C(1) << 61;
static const uint64_t RWLOCK_PHASE = UINT64_C(1) << 62;
static const uint64_t RWLOCK_WRITER = UINT64_C(1) << 63;

void rwlock_read_lock_slow(struct rwlock *lock);
void rwlock_read_unlock_slow(struct rwlock *lock);
void rwlock_write_lock_slow(struct rwlock *lock);
void rwlock_write_unlock_slow(struct rwlock *lock);

/* The order check: it aborts when this thread may not take `lock` now, or drops what it doesn't hold. */
#ifdef NDEBUG
static inline void rwlock_note_take(const struct rwlock *lock, bool writing) {
    (void)lock, (void)writing;
}
static inline void rwlock_note_drop(const struct rwlock *lock, bool writing) {
    (void)lock, (void)writing;
}
#else
void rwlock_note_take(const struct rwlock *lock, bool writing);
void rwlock_note_drop(const struct rwlock *lock, bool writing);
#endif

/* The take in two steps, for whoever wants to know that he waits: true, and it is taken; false, and the taker must go on with
 * rwlock_read_lock_slow, or rwlock_write_lock_slow. */
static inline bool rwlock_read_lock_begin(struct rwlock *lock) {
    rwlock_note_take(lock, false);
    /* Acquire; pairs with the release of the last writer's drop. */
    uint64_t old = atomic_fetch_add_explicit(&lock->word, RWLOCK_READER, memory_order_acquire);
    return __builtin_expect((old & (RWLOCK_WRITER | RWLOCK_WRITERS_WAIT)) == 0, 1);
}

static inline void rwlock_read_lock(struct rwlock *lock) {
    if (!rwlock_read_lock_begin(lock)) rwlock_read_lock_slow(lock);
}

static inline void rwlock_read_unlock(struct rwlock *lock) {
    rwlock_note_drop(lock, false);
    /* Release; pairs with the acquire of the next writer's take: our reads come before its writes. */
    uint64_t old = atomic_fetch_sub_explicit(&lock->word, RWLOCK_READER, memory_order_release);
    bool is_last = (old & RWLOCK_READERS) == RWLOCK_READER;
    if (__builtin_expect(is_last && (old & RWLOCK_WRITERS_WAIT) != 0, 0))
        rwlock_read_unlock_slow(lock);
}

static inline bool rwlock_write_lock_begin(struct rwlock *lock) {
    rwlock_note_take(lock, true);
    uint64_t free = atomic_load_explicit(&lock->word, memory_order_relaxed) & RWLOCK_PHASE;
    /* Acquire; pairs with the release of every reader's drop and of the last writer's. */
    return __builtin_expect(
        atomic_compare_exchange_strong_explicit(&lock->word, &free, free | RWLOCK_WRITER,
                                                memory_order_acquire, memory_order_relaxed),
        1);
}

static inline void rwlock_write_lock(struct rwlock *lock) {
    if (!rwlock_write_lock_begin(lock)) rwlock_write_lock_slow(lock);
}

static inline void rwlock_write_unlock(struct rwlock *lock) {
    rwlock_note_drop(lock, true);
    uint64_t phase = atomic_load_explicit(&lock->word, memory_order_relaxed) & RWLOCK_PHASE;
    uint64_t held_alone = phase | RWLOCK_WRITER;
    /* Release; pairs with the acquire of the next take, a reader's or a writer's. */
    if (__builtin_expect(!atomic_compare_exchange_strong_explicit(&lock->word, &held_alone, phase,
                                                                  memory_order_release,
                                                                  memory_order_relaxed),
                         0)) {
        rwlock_write_unlock_slow(lock);
    }
}
