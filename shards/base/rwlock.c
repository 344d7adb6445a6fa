/* A readers-writer lock in one word, in which running threads go first and waiting ones are not forgotten.
 *
 * Why our own: `pthread_rwlock_t` is 56 bytes, calls into the C library for every take, prefers readers (a stream of
 * them starves writers) unless told otherwise, and then starves readers; and it can't tell how long anybody waited.
 *
 * Why not strictly fair: this was a phase-fair lock (Brandenburg and Anderson), in which a writer's drop hands the
 * lock to all waiting readers, asleep or not. With more threads than processors that is a convoy: the lock is held by
 * threads that don't run, and everybody who runs has to go to sleep behind them. So now a drop frees the lock and
 * calls the waiters, and whoever runs may take it meanwhile. Only when somebody in line has waited for PATIENCE_NS do
 * the old rules hold, until one of those in line is served.
 *
 * Millions of takes a second by `sherd-bench locks` (no work while holding, none between), 2 processors of an AMD
 * EPYC, medians of five alternating rounds of 0.2 s beside other work, which moves single rounds by a factor of two.
 * "overtaking" is this lock but for the last paragraph, "pthread" its rwlock:
 *
 *                         2 threads                               8 threads                longest wait of 8, ms
 *     writes   phase-fair  overtaking  pthread     phase-fair  overtaking  pthread     phase-fair  overtaking  pthread
 *       0 %         110          95       63            120          98       51            0           0        0
 *       5 %          96          90       44             20          45       57            5          50       72
 *      50 %          56          48       30            2.2          30       32            5          60      124
 *     100 %          56          56       37             15          39       28           60          55      168
 *
 * What it costs is in the last columns: in a crowd that never sleeps, who waits needs a processor before it needs the
 * lock. Where threads are as many as processors, as workers are, the two are alike.
 *
 * Why a writer looks for a while before it lines up: while anybody is in line, every drop takes the slow way. Measured on
 * another day, on which the two processors passed a line to each other more slowly, again medians of five:
 *
 *                        2 threads                                8 threads
 *     writes   at once   after looking   pthread  mutex     at once   after looking   pthread  mutex
 *       5 %        59              53         5     36          28              29        70     37
 *      50 %        19              29        14     28          20              18        38     27
 *     100 %        20              29        34     38          20              17        19     35
 *
 * and a store under one lock, written by 2 threads, takes 0.75 of the time (median of four rounds). Pure
 * writing by 2 threads that do nothing else remains the mutex's.
 *
 *      63       62      61      60     59 .. 48   47 ........ 32   31 ........ 16   15 ........ 0
 *     +--------+-------+-------+------+----------+---------------+----------------+-------------+
 *     | WRITER | PHASE | HURRY | TURN |          | WRITERS_WAIT  |  READERS_WAIT  |   READERS   |
 *     +--------+-------+-------+------+----------+---------------+----------------+-------------+
 *
 * States, by (WRITER, READERS): free (0, 0), read (0, n), written (1, any). Transitions, each one atomic operation on
 * the word:
 *
 *   rwlock_read_lock          READERS + 1. If no writer holds or is in line, that is all: the reader is in.
 *   register_reader           READERS - 1, READERS_WAIT + 1: a reader steps back into the line, unless it `may_stay`.
 *   try_read                  READERS_WAIT - 1, READERS + 1, by a reader in line, when no writer holds, and either it is the
 *                             readers' TURN or no writer is in line. The last one ends the turn.
 *   rwlock_read_unlock        READERS - 1. The last one out calls a writer in line.
 *   rwlock_write_lock         free -> written, when nobody is in line.
 *   overtake                  free -> written, past those in line, unless somebody there is in a HURRY. A writer tries it SPINS
 *                             times before it lines up.
 *   line_up_to_write          WRITERS_WAIT + 1: from now on readers step back.
 *   try_write                 free -> written, WRITERS_WAIT - 1, by a writer in line, when it isn't the readers' TURN.
 *   rwlock_write_unlock       written -> free when nobody is in line, else
 *   rwlock_write_unlock_slow  written -> free, and the readers in line have the TURN; with none, a writer is called.
 *                             In a HURRY: written -> read by all readers in line: READERS + READERS_WAIT, READERS_WAIT = 0, PHASE
 *                             flips; they hold the lock from that instant, asleep or not.
 *   hurry_reader, await_write HURRY is set by one in line who has waited too long and is about to sleep again.
 *
 * Invariants:
 *   1. A reader that is in counts in READERS, and no writer takes while READERS > 0. READERS also counts readers that have asked
 *      and not yet stepped back: they can delay a writer, never let two in; who steps back as the last calls the writer.
 *   2. TURN only with READERS_WAIT > 0; HURRY only with somebody in line. So when nobody is, the word is free but for PHASE,
 *      and the fast paths fit.
 *   3. PHASE flips only when readers in line are given the lock, and can't flip again before they have all left (a
 *      writer must have held between). So "PHASE differs from when I lined up" means "I am in", and one bit is enough.
 *   4. No count passes RWLOCK_THREADS_MAX, since a thread counts in one place at a time.
 *
 * Nobody starves. A reader in line that hurries gets in with the next writer's drop, which gives the lock to all of
 * them; new readers step back and new writers line up until then. A writer in line that hurries stops overtaking by
 * both kinds until a writer in line gets in, and asks for it again if that was another. What remains is the
 * scheduler's: one who is called must be given a processor, which in a crowd of runnable threads takes several of its
 * slices.
 *
 * Sleeping. Both kinds spin for SPINS looks first; a hold is short (hundreds of nanoseconds), a system call isn't.
 * Then they ask to be called, look once more, and sleep on the bell, a futex word, while it is still theirs. Whoever
 * changes the word so that others could get in exchanges the bell for 0, and makes the system call only if it was 1:
 * so those who overtake again and again call once, not each time, while the sleeper is on its way. Nothing is lost,
 * since both sides exchange the bell and one of them sees the other (see `ask_to_be_called`). Of several writers one
 * is called; once in, it asks for the others, and its drop calls the next.
 *
 * The clock: only who waits reads it (before each sleep and at the end, by the vDSO), and `rwlock_time_hold`. Passing
 * the time in would make every caller read a clock for the few that wait, which is why this file may read one (see
 * style: layers).
 *
 * The order check (debug builds) keeps what the thread holds in a thread-local list, sorted because takes are
 * ascending.
 *
 * Sources: Björn Brandenburg and James Anderson, "Spin-Based Reader-Writer Synchronization for Multiprocessor
 * Real-Time Systems" (2010), for phases; John Mellor-Crummey and Michael Scott, "Scalable Reader-Writer
 * Synchronization" (1991); Ulrich Drepper, "Futexes Are Tricky" (2011). */
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
    PATIENCE_NS = 1000000,
};

void rwlock_init(struct rwlock *lock, uint32_t rank) {
    *lock = (struct rwlock){.rank = rank};
}

/* ---- Waiting --------------------------------------------------------------------------------- */

static void pause_briefly(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Both sides of a bell exchange it, so one reads what the other wrote: either the sleeper's exchange comes first, and the caller
 * sees that somebody is to be called; or the caller's, and then the sleeper's next look sees the word that the caller had changed before. */
static void ask_to_be_called(_Atomic uint32_t *bell) {
    /* Acquire; pairs with the release in `call`. Release; pairs with the acquire there. */
    atomic_exchange_explicit(bell, 1, memory_order_acq_rel);
}

/* Wake up to `count` of those that asked; the system is only troubled when somebody did since the last call. */
static void call(_Atomic uint32_t *bell, int count) {
    /* Release: the word was changed before. Acquire; see `ask_to_be_called`. */
    if (atomic_exchange_explicit(bell, 0, memory_order_acq_rel) == 0) return;
    syscall(SYS_futex, bell, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

static void call_readers(struct rwlock *lock) {
    call(&lock->reader_bell, INT_MAX);
}

static void call_writer(struct rwlock *lock) {
    call(&lock->writer_bell, 1);
}

/* Sleep until called, for PATIENCE_NS at most. May return early; the caller looks again. Errors mean just that: EAGAIN (called
 * already), EINTR, ETIMEDOUT. */
static void sleep_until_called(_Atomic uint32_t *bell, _Atomic uint32_t *asleep) {
    static const struct timespec patience = {.tv_nsec = PATIENCE_NS};
    atomic_fetch_add_explicit(asleep, 1, memory_order_relaxed);
    syscall(SYS_futex, bell, FUTEX_WAIT_PRIVATE, 1, &patience, NULL, 0);
    atomic_fetch_sub_explicit(asleep, 1, memory_order_relaxed);
}

static bool has_lost_patience(uint64_t started_ns) {
    return rwlock_stopwatch_ns() - started_ns > PATIENCE_NS;
}

static void raise_to(_Atomic uint64_t *highest, uint64_t value) {
    uint64_t seen = atomic_load_explicit(highest, memory_order_relaxed);
    while (value > seen && !atomic_compare_exchange_weak_explicit(
                               highest, &seen, value, memory_order_relaxed, memory_order_relaxed)) {
    }
}

static _Thread_local uint64_t thread_waited_ns; /* a statistic */

static void account_wait(struct rwlock *lock, uint64_t started_ns) {
    uint64_t waited_ns = rwlock_stopwatch_ns() - started_ns;
    thread_waited_ns += waited_ns;
    atomic_fetch_add_explicit(&lock->waits, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&lock->waited_ns, waited_ns, memory_order_relaxed);
    raise_to(&lock->longest_wait_ns, waited_ns);
}

static uint64_t waiting_readers(uint64_t word) {
    return (word & RWLOCK_READERS_WAIT) / RWLOCK_READER_WAITS;
}

static uint64_t waiting_writers(uint64_t word) {
    return (word & RWLOCK_WRITERS_WAIT) / RWLOCK_WRITER_WAITS;
}

/* ---- Readers --------------------------------------------------------------------------------- */

/* May a reader that counts in READERS stay in? When no writer is about; in the readers' turn; or past writers that all sleep,
 * if nobody else is reading, so that readers don't keep each other in. */
static bool may_stay(const struct rwlock *lock, uint64_t word) {
    if (word & RWLOCK_WRITER) return false;
    if ((word & RWLOCK_WRITERS_WAIT) == 0) return true;
    if (word & RWLOCK_TURN) return true; /* who lined up in it would keep it from ending */
    if (word & RWLOCK_HURRY) return false;
    bool is_alone = (word & RWLOCK_READERS) == RWLOCK_READER;
    return is_alone && waiting_writers(word) ==
                           atomic_load_explicit(&lock->writers_asleep, memory_order_relaxed);
}

/* Step back from READERS into READERS_WAIT. False when we may stay in after all. `phase` is the one in which we line up. */
static bool register_reader(struct rwlock *lock, uint64_t *phase) {
    /* Acquire; pairs with the release of the writer whose drop let us in. */
    uint64_t old = atomic_load_explicit(&lock->word, memory_order_acquire);
    uint64_t new;
    do {
        if (may_stay(lock, old)) return false;
        new = old - RWLOCK_READER + RWLOCK_READER_WAITS;
        /* No release: we held nothing that the next writer must see finished. */
    } while (!atomic_compare_exchange_weak_explicit(&lock->word, &old, new, memory_order_acquire,
                                                    memory_order_acquire));
    if ((new &(RWLOCK_WRITER | RWLOCK_READERS)) == 0) call_writer(lock);
    *phase = old & RWLOCK_PHASE;
    return true;
}

/* READERS_WAIT - 1, READERS + 1. The last of a turn ends it, and a hurry that can only have been a reader's. */
static uint64_t enter_from_line(uint64_t word) {
    word = word - RWLOCK_READER_WAITS + RWLOCK_READER;
    if (waiting_readers(word) == 0) word &= ~RWLOCK_TURN;
    if (waiting_writers(word) == 0) word &= ~RWLOCK_HURRY;
    return word;
}

/* True when a writer's drop has given us the lock, or we could take it. */
static bool try_read(struct rwlock *lock, uint64_t phase) {
    /* Acquire, here and below; pairs with the release of the last writer's drop. */
    uint64_t old = atomic_load_explicit(&lock->word, memory_order_acquire);
    while ((old & RWLOCK_PHASE) == phase) {
        bool is_allowed =
            (old & RWLOCK_WRITER) == 0 && ((old & RWLOCK_TURN) || (old & RWLOCK_WRITERS_WAIT) == 0);
        if (!is_allowed) return false;
        if (atomic_compare_exchange_weak_explicit(&lock->word, &old, enter_from_line(old),
                                                  memory_order_acquire, memory_order_acquire)) {
            return true;
        }
    }
    return true;
}

static void hurry_reader(struct rwlock *lock, uint64_t phase) {
    uint64_t old = atomic_load_explicit(&lock->word, memory_order_relaxed);
    /* Only while we are in line, so that there is somebody to end it. Relaxed: it publishes nothing. */
    while ((old & RWLOCK_PHASE) == phase &&
           !atomic_compare_exchange_weak_explicit(&lock->word, &old, old | RWLOCK_HURRY,
                                                  memory_order_relaxed, memory_order_relaxed)) {
    }
}

static void await_read(struct rwlock *lock, uint64_t phase, uint64_t started_ns) {
    for (;;) {
        for (int i = 0; i < SPINS; i++) {
            if (try_read(lock, phase)) return;
            pause_briefly();
        }
        if (has_lost_patience(started_ns)) hurry_reader(lock, phase);
        ask_to_be_called(&lock->reader_bell);
        if (try_read(lock, phase)) return;
        sleep_until_called(&lock->reader_bell, &lock->readers_asleep);
    }
}

/* The caller counts in READERS, and saw a writer hold or wait. */
void rwlock_read_lock_slow(struct rwlock *lock) {
    uint64_t phase;
    if (!register_reader(lock, &phase)) return;
    uint64_t started_ns = rwlock_stopwatch_ns();
    await_read(lock, phase, started_ns);
    account_wait(lock, started_ns);
}

void rwlock_read_unlock_slow(struct rwlock *lock) {
    call_writer(lock);
}

/* ---- Writers --------------------------------------------------------------------------------- */

/* free -> written, past all who wait in line. */
static bool overtake(struct rwlock *lock) {
    uint64_t old = atomic_load_explicit(&lock->word, memory_order_relaxed);
    while ((old & (RWLOCK_WRITER | RWLOCK_READERS | RWLOCK_HURRY)) == 0) {
        /* Acquire; pairs with the release of every reader's drop and of the last writer's. */
        if (atomic_compare_exchange_weak_explicit(&lock->word, &old, old | RWLOCK_WRITER,
                                                  memory_order_acquire, memory_order_relaxed)) {
            return true;
        }
    }
    return false;
}

/* free -> written, by a writer that counts in WRITERS_WAIT. */
static bool try_write(struct rwlock *lock) {
    uint64_t old = atomic_load_explicit(&lock->word, memory_order_relaxed);
    while ((old & (RWLOCK_WRITER | RWLOCK_READERS | RWLOCK_TURN)) == 0) {
        uint64_t new = (old | RWLOCK_WRITER) - RWLOCK_WRITER_WAITS;
        /* With readers in line it may be one of them that hurries: then our drop gives them the lock. */
        if (waiting_readers(new) == 0) new &= ~RWLOCK_HURRY;
        /* Acquire; as in `overtake`. */
        if (atomic_compare_exchange_weak_explicit(&lock->word, &old, new, memory_order_acquire,
                                                  memory_order_relaxed)) {
            /* The call that woke us may have been for several: our drop calls the next. */
            if (waiting_writers(new) > 0) ask_to_be_called(&lock->writer_bell);
            return true;
        }
    }
    return false;
}

static void await_write(struct rwlock *lock, uint64_t started_ns) {
    for (;;) {
        for (int i = 0; i < SPINS; i++) {
            if (try_write(lock)) return;
            pause_briefly();
        }
        /* Relaxed: it publishes nothing. We are in line, so there is somebody to end it. */
        if (has_lost_patience(started_ns))
            atomic_fetch_or_explicit(&lock->word, RWLOCK_HURRY, memory_order_relaxed);
        ask_to_be_called(&lock->writer_bell);
        if (try_write(lock)) return;
        sleep_until_called(&lock->writer_bell, &lock->writers_asleep);
    }
}

/* Most holds are over before a line is worth forming. */
static bool overtake_soon(struct rwlock *lock) {
    for (int i = 0; i < SPINS; i++) {
        if (overtake(lock)) return true;
        pause_briefly();
    }
    return false;
}

static void line_up_to_write(struct rwlock *lock, uint64_t started_ns) {
    /* Relaxed: it only makes readers step back. */
    uint64_t old =
        atomic_fetch_add_explicit(&lock->word, RWLOCK_WRITER_WAITS, memory_order_relaxed);
    check((old & RWLOCK_WRITERS_WAIT) != RWLOCK_WRITERS_WAIT);
    await_write(lock, started_ns);
}

void rwlock_write_lock_slow(struct rwlock *lock) {
    if (overtake(lock)) return;
    uint64_t started_ns = rwlock_stopwatch_ns();
    if (!overtake_soon(lock)) line_up_to_write(lock, started_ns);
    account_wait(lock, started_ns);
}

/* What a writer's drop leaves behind: the lock given to the readers in line, if somebody hurries; otherwise free, and their turn
 * among those in line. */
static uint64_t leave_write(uint64_t word) {
    word &= ~RWLOCK_WRITER;
    uint64_t readers = waiting_readers(word);
    if (readers == 0) return word;
    if ((word & RWLOCK_HURRY) == 0) return word | RWLOCK_TURN;
    word &= ~(RWLOCK_READERS_WAIT | RWLOCK_HURRY | RWLOCK_TURN);
    return (word + readers) ^ RWLOCK_PHASE;
}

void rwlock_write_unlock_slow(struct rwlock *lock) {
    uint64_t old = atomic_load_explicit(&lock->word, memory_order_relaxed);
    uint64_t new;
    do {
        check(old & RWLOCK_WRITER);
        new = leave_write(old);
        /* Release; pairs with the acquires in `try_read`, in `register_reader` and of the next take. */
    } while (!atomic_compare_exchange_weak_explicit(&lock->word, &old, new, memory_order_release,
                                                    memory_order_relaxed));
    if (waiting_readers(old) > 0) {
        call_readers(lock);
    } else if ((new &RWLOCK_WRITERS_WAIT) != 0 && (new &RWLOCK_READERS) == 0) {
        call_writer(lock);
    }
}

/* ---- The order check ------------------------------------------------------------------------- */

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

enum { HELD_MAX = 65536 }; /* a command over the whole store holds every shard */

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

/* ---- The profile ----------------------------------------------------------------------------- */

uint64_t rwlock_stopwatch_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now); /* can't fail: the clock exists and `now` is ours */
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void rwlock_time_hold(struct rwlock *lock, uint64_t started_ns) {
    raise_to(&lock->longest_hold_ns, rwlock_stopwatch_ns() - started_ns);
}

uint64_t rwlock_waited_ns(void) {
    return thread_waited_ns;
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
