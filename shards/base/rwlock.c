/* A phase-fair readers-writer lock in one word.
 *
 * Why our own: `pthread_rwlock_t` is 56 bytes, calls into the C library for every take, prefers readers (a stream of them starves
 * writers) unless told otherwise, and then starves readers; and it can't tell how long anybody waited. Why not a ticket for each
 * (first come, first served): readers that come while a writer waits would each wait for their place, and no longer share.
 * Phase-fair is the middle: reading and writing take turns whenever both are wanted. A reader waits for the readers that are in and
 * one writer; a writer waits for at most one batch of readers for each writer that goes before it.
 *
 * The price: fairness hands the lock to threads that may not be running. With more threads than processors, all of them doing
 * nothing but take and drop, that is a convoy: 8 threads on 2 processors, 5 % writes, one run of 0.4 s: 0.9 million takes a second,
 * where `pthread_rwlock_t`, which lets whoever runs go first, makes 42. With 2 threads it was 31 against 7 at 5 % writes, but 3
 * against 7 at half; without writes 100 against 24. Workers are as many as processors and mostly do something else.
 *
 *      31       30     29 ........ 20   19 ......... 10   9 ........ 0
 *     +--------+------+---------------+-----------------+-------------+
 *     | WRITER | PHASE| WRITERS_WAIT  |  READERS_WAIT   |   READERS   |
 *     +--------+------+---------------+-----------------+-------------+
 *
 * States, by (WRITER, READERS): free (0, 0), read (0, n), written (1, any). Transitions, each one atomic operation on the word:
 *
 *   rwlock_read_lock          READERS + 1. If no writer holds or waits, that is all: the reader is in.
 *   register_reader           READERS - 1, READERS_WAIT + 1, only while a writer holds or waits: a reader steps back and is
 *                             promised the turn after the next writer. If by then no writer is left, it is in after all.
 *   rwlock_read_unlock        READERS - 1. The last one out calls a waiting writer.
 *   rwlock_write_lock         free -> written.
 *   rwlock_write_lock_slow    WRITERS_WAIT + 1: from now on readers step back. Then free -> written, WRITERS_WAIT - 1.
 *   rwlock_write_unlock       written -> free when nobody waits, else
 *   rwlock_write_unlock_slow  written -> read by all who wait: READERS + READERS_WAIT, READERS_WAIT = 0, PHASE flips; they hold the
 *                             lock from that instant, asleep or not. With no reader waiting: written -> free, call a writer.
 *
 * Invariants:
 *   1. A reader that is in counts in READERS, and no writer takes while READERS > 0. READERS also counts readers that have asked
 *      and not yet stepped back: they can delay a writer, never let two in; who steps back as the last calls the writer.
 *   2. READERS_WAIT > 0 only while a writer holds or waits, so a turn is sure to come: every writer's drop gives it.
 *   3. PHASE flips only when waiting readers get in, and can't flip again before they have all left (a writer must have held
 *      between). So "PHASE differs from when I registered" means "I am in", and one bit is enough.
 *   4. No count passes RWLOCK_THREADS_MAX, since a thread counts in one place at a time.
 *
 * Sleeping. Both kinds spin for SPINS looks first; a hold is short (hundreds of nanoseconds), a system call isn't. Then they sleep
 * on a counter of their own, as in Drepper's event counts. The sleeper: read the counter (acquire), look at the word, announce itself
 * (`*_asleep`), sleep if the counter is still the same. The caller: change the word, raise the counter, and make the system call
 * only if somebody is announced. Nothing is lost:
 *   - the sleeper that saw the old word read the counter before the call raised it (the acquire load of the counter pairs with
 *     the caller's increment, which follows the change of the word), so the kernel's comparison fails or the wake finds it;
 *   - announcing and raising are sequentially consistent, each followed by a look at the other's word (the kernel's look is
 *     behind a full barrier), so at least one of the two sees the other.
 * No herd: readers are woken together only when all of them are already in; writers one at a time. A woken writer may find that
 * another was faster, and lines up again; that one's drop calls the next.
 *
 * The clock: only who waits reads it (twice, by the vDSO), and `rwlock_time_hold`. Nothing is decided by it. Passing the time in
 * would make every caller read a clock for the few that wait, which is why this file may read one (see style: layers).
 *
 * The order check (debug builds) keeps what the thread holds in a thread-local list, sorted because takes are ascending.
 *
 * Sources: Björn Brandenburg and James Anderson, "Spin-Based Reader-Writer Synchronization for Multiprocessor Real-Time Systems"
 * (2010), for phases; John Mellor-Crummey and Michael Scott, "Scalable Reader-Writer Synchronization" (1991); Ulrich Drepper,
 * "Futexes Are Tricky" (2011). */
#include "rwlock.h"

#include <linux/futex.h>
#include <limits.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

enum {
    SPINS = 100, /* looks, 26 ns each where measured (AMD EPYC): 2.6 microseconds */
};

void rwlock_init(struct rwlock *lock, uint32_t rank) {
    *lock = (struct rwlock){.rank = rank};
}

/* ---- Waiting -------------------------------------------------------------------------------------------------------- */

static void pause_briefly(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Sleep until `calls` is no longer `seen`. May return early; the caller looks again. Errors (EAGAIN: it has changed already;
 * EINTR) mean just that. */
static void sleep_until_called(_Atomic uint32_t *calls, uint32_t seen, _Atomic uint32_t *asleep) {
    /* Sequentially consistent; its partner is the increment in `call`. */
    atomic_fetch_add_explicit(asleep, 1, memory_order_seq_cst);
    syscall(SYS_futex, calls, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
    atomic_fetch_sub_explicit(asleep, 1, memory_order_relaxed);
}

static void call(_Atomic uint32_t *calls, _Atomic uint32_t *asleep, int count) {
    /* Sequentially consistent; its partner is the increment in `sleep_until_called`. Also the release that the sleeper's acquire
     * of `calls` pairs with. */
    atomic_fetch_add_explicit(calls, 1, memory_order_seq_cst);
    if (atomic_load_explicit(asleep, memory_order_seq_cst) == 0) return;
    syscall(SYS_futex, calls, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

static void call_readers(struct rwlock *lock) {
    call(&lock->reader_calls, &lock->readers_asleep, INT_MAX);
}

static void call_writer(struct rwlock *lock) {
    call(&lock->writer_calls, &lock->writers_asleep, 1);
}

static void raise_to(_Atomic uint64_t *highest, uint64_t value) {
    uint64_t seen = atomic_load_explicit(highest, memory_order_relaxed);
    while (value > seen && !atomic_compare_exchange_weak_explicit(
                               highest, &seen, value, memory_order_relaxed, memory_order_relaxed)) {
    }
}

static void account_wait(struct rwlock *lock, uint64_t started_ns) {
    uint64_t waited_ns = rwlock_stopwatch_ns() - started_ns;
    atomic_fetch_add_explicit(&lock->waits, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&lock->waited_ns, waited_ns, memory_order_relaxed);
    raise_to(&lock->longest_wait_ns, waited_ns);
}

/* ---- Readers -------------------------------------------------------------------------------------------------------- */

/* Step back from READERS into READERS_WAIT. False when no writer holds or waits any more: then we are in. Otherwise `phase` is the
 * one that must end before we are. */
static bool register_reader(struct rwlock *lock, uint32_t *phase) {
    /* Acquire; pairs with the release of the writer whose drop let us in. */
    uint32_t old = atomic_load_explicit(&lock->word, memory_order_acquire);
    uint32_t new;
    do {
        if ((old & (RWLOCK_WRITER | RWLOCK_WRITERS_WAIT)) == 0) return false;
        new = old - RWLOCK_READER + RWLOCK_READER_WAITS;
        /* No release: we held nothing that the next writer must see finished. */
    } while (!atomic_compare_exchange_weak_explicit(&lock->word, &old, new, memory_order_acquire,
                                                    memory_order_acquire));
    if ((new &(RWLOCK_WRITER | RWLOCK_READERS)) == 0) call_writer(lock);
    *phase = old & RWLOCK_PHASE;
    return true;
}

static bool has_turn(const struct rwlock *lock, uint32_t phase) {
    /* Acquire; pairs with the release in `rwlock_write_unlock_slow`, which flipped the phase. */
    return (atomic_load_explicit(&lock->word, memory_order_acquire) & RWLOCK_PHASE) != phase;
}

static void await_turn(struct rwlock *lock, uint32_t phase) {
    for (int i = 0; i < SPINS; i++) {
        if (has_turn(lock, phase)) return;
        pause_briefly();
    }
    for (;;) {
        /* Acquire; pairs with the increment in `call`: whoever sees it sees the phase that has flipped before. */
        uint32_t seen = atomic_load_explicit(&lock->reader_calls, memory_order_acquire);
        if (has_turn(lock, phase)) return;
        sleep_until_called(&lock->reader_calls, seen, &lock->readers_asleep);
    }
}

/* The caller counts in READERS, and saw a writer hold or wait. */
void rwlock_read_lock_slow(struct rwlock *lock) {
    uint32_t phase;
    if (!register_reader(lock, &phase)) return;
    uint64_t started_ns = rwlock_stopwatch_ns();
    await_turn(lock, phase);
    account_wait(lock, started_ns);
}

void rwlock_read_unlock_slow(struct rwlock *lock) {
    call_writer(lock);
}

/* ---- Writers -------------------------------------------------------------------------------------------------------- */

/* free -> written, by a writer that counts in WRITERS_WAIT. */
static bool try_write(struct rwlock *lock) {
    uint32_t old = atomic_load_explicit(&lock->word, memory_order_relaxed);
    while ((old & (RWLOCK_WRITER | RWLOCK_READERS)) == 0) {
        uint32_t new = (old | RWLOCK_WRITER) - RWLOCK_WRITER_WAITS;
        /* Acquire; pairs with the release of every reader's drop and of the last writer's. */
        if (atomic_compare_exchange_weak_explicit(&lock->word, &old, new, memory_order_acquire,
                                                  memory_order_relaxed)) {
            return true;
        }
    }
    return false;
}

static void await_write(struct rwlock *lock) {
    for (int i = 0; i < SPINS; i++) {
        if (try_write(lock)) return;
        pause_briefly();
    }
    for (;;) {
        /* Acquire; pairs with the increment in `call`: whoever sees it sees the word that was freed before. */
        uint32_t seen = atomic_load_explicit(&lock->writer_calls, memory_order_acquire);
        if (try_write(lock)) return;
        sleep_until_called(&lock->writer_calls, seen, &lock->writers_asleep);
    }
}

void rwlock_write_lock_slow(struct rwlock *lock) {
    uint64_t started_ns = rwlock_stopwatch_ns();
    /* Relaxed: it only makes readers step back. */
    uint32_t old =
        atomic_fetch_add_explicit(&lock->word, RWLOCK_WRITER_WAITS, memory_order_relaxed);
    check((old & RWLOCK_WRITERS_WAIT) != RWLOCK_WRITERS_WAIT);
    await_write(lock);
    account_wait(lock, started_ns);
}

static uint32_t waiting_readers(uint32_t word) {
    return (word & RWLOCK_READERS_WAIT) / RWLOCK_READER_WAITS;
}

void rwlock_write_unlock_slow(struct rwlock *lock) {
    uint32_t old = atomic_load_explicit(&lock->word, memory_order_relaxed);
    uint32_t new;
    do {
        check(old & RWLOCK_WRITER);
        new = old & ~(RWLOCK_WRITER | RWLOCK_READERS_WAIT);
        if (waiting_readers(old) > 0) new = (new + waiting_readers(old)) ^ RWLOCK_PHASE;
        /* Release; pairs with the acquires in `has_turn`, in `register_reader` and of the next take. */
    } while (!atomic_compare_exchange_weak_explicit(&lock->word, &old, new, memory_order_release,
                                                    memory_order_relaxed));
    if (waiting_readers(old) > 0) {
        call_readers(lock);
    } else if ((new &RWLOCK_WRITERS_WAIT) != 0 && (new &RWLOCK_READERS) == 0) {
        call_writer(lock);
    }
}

/* ---- The order check ------------------------------------------------------------------------------------------------ */

#ifdef NDEBUG

bool rwlock_is_held_for_reading(const struct rwlock *lock) {
    (void)lock;
    return true;
}

bool rwlock_is_held_for_writing(const struct rwlock *lock) {
    (void)lock;
    return true;
}

#else

enum { HELD_MAX = 4096 }; /* a command over the whole store holds every shard */

struct held {
    const struct rwlock *lock;
    bool writing;
};

/* This thread's locks by ascending rank. */
static _Thread_local struct held held[HELD_MAX];
static _Thread_local size_t held_count;

static const struct held *held_find(const struct rwlock *lock) {
    for (size_t i = held_count; i > 0; i--) {
        if (held[i - 1].lock == lock) return &held[i - 1];
    }
    return NULL;
}

void rwlock_note_take(const struct rwlock *lock, bool writing) {
    check(held_count < HELD_MAX);
    bool is_ascending = held_count == 0 || held[held_count - 1].lock->rank < lock->rank;
    check(is_ascending);
    held[held_count++] = (struct held){lock, writing};
}

void rwlock_note_drop(const struct rwlock *lock, bool writing) {
    const struct held *found = held_find(lock);
    check(found != NULL && found->writing == writing);
    held_count--;
    for (size_t i = (size_t)(found - held); i < held_count; i++) {
        held[i] = held[i + 1];
    }
}

bool rwlock_is_held_for_reading(const struct rwlock *lock) {
    return held_find(lock) != NULL;
}

bool rwlock_is_held_for_writing(const struct rwlock *lock) {
    const struct held *found = held_find(lock);
    return found != NULL && found->writing;
}

#endif

/* ---- The profile ---------------------------------------------------------------------------------------------------- */

uint64_t rwlock_stopwatch_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now); /* can't fail: the clock exists and `now` is ours */
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void rwlock_time_hold(struct rwlock *lock, uint64_t started_ns) {
    raise_to(&lock->longest_hold_ns, rwlock_stopwatch_ns() - started_ns);
}

struct rwlock_profile rwlock_profile(const struct rwlock *lock) {
    return (struct rwlock_profile){
        .waits = atomic_load_explicit(&lock->waits, memory_order_relaxed),
        .waited_ns = atomic_load_explicit(&lock->waited_ns, memory_order_relaxed),
        .longest_wait_ns = atomic_load_explicit(&lock->longest_wait_ns, memory_order_relaxed),
        .longest_hold_ns = atomic_load_explicit(&lock->longest_hold_ns, memory_order_relaxed),
    };
}

void rwlock_profile_reset(struct rwlock *lock) {
    atomic_store_explicit(&lock->waits, 0, memory_order_relaxed);
    atomic_store_explicit(&lock->waited_ns, 0, memory_order_relaxed);
    atomic_store_explicit(&lock->longest_wait_ns, 0, memory_order_relaxed);
    atomic_store_explicit(&lock->longest_hold_ns, 0, memory_order_relaxed);
}
