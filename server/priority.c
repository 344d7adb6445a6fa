/* Threads in the background share processors with workers, all of them on a small machine. Who asks should not
 * wait for who doesn't: such a thread gets a third of a worker's share where both are busy (nice 5), and never
 * interrupts one (SCHED_BATCH). A real-time policy that sherd was started with is for its workers only: of two
 * threads at one real-time priority the second waits until the first sleeps. Under `chrt -f`, on one processor,
 * freeing 500 MB so held a worker up for 39 ms, and a save of a million keys for 179.
 *
 * Not less than that share (SCHED_IDLE is three parts in a thousand): a save must come to its end beside busy
 * workers, and a thread that holds a shard's lock for some microseconds must come to drop it.
 *
 * Being modest is not enough. Linux shares out by deadlines: a turn that a thread asks for is due after as much
 * time as its time slice, stretched by its nice, and a worker that wakes interrupts whom it finds only if it is due
 * before. All slices are alike unless told otherwise, so that a worker just back from a turn of its own is often
 * due after the thread that came between, and is not looked at again before the next tick, of which there may be
 * 250 a second. The scheduler's trace of a save had fifteen such waits in half a second, of up to 7 ms (Linux
 * 6.18, no real-time policy, one processor). Two things end them:
 *
 * - A background thread asks for longer slices (10 ms, where a worker's are 3): it is due late, and a worker that
 *   wakes has the processor at once. (Linux since 6.12; an older one takes no notice.)
 * - It yields after each small piece of work, which ends what is left of such waits. A long slice costs a thread
 *   that yields a whole one, though: beside a worker that is never idle it comes back after milliseconds. So it
 *   then makes up for it, and doesn't yield again before it has worked for twice as long as it waited.
 *
 * What that brings on one processor: p99 beside a save of a million keys was 120 us, and is 48; p99.9 was 301, and
 * is 213 (ten rounds in turn, bench/README.md). What a worker still waits for, 70 us at p99.9, are the kernel's own
 * stretches of the saver's system calls, which nothing interrupts under PREEMPT_NONE.
 *
 * Freeing 500 MB gives way between pieces of 2 MiB (memory.h): p99.9 beside it was 4.5 ms, and is 0.2.
 *
 * Tried instead: SCHED_IDLE (p99.9 of 131 us, but a thread can't leave it again without privilege, and it
 * starves); slices of 100 ms (a save beside a busy worker took 8 s); long slices without yields (p99.9 above
 * 2 ms); nice 10 and 19 (nothing that could be told from noise); sleeping for a moment each 0.2 ms (no better). */
#include "priority.h"

#include <sched.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "clock.h"

enum {
    BACKGROUND_NICE = 5,
    BACKGROUND_SLICE_NS = 10 * 1000 * 1000,
    WORK_PER_WAIT = 2, /* how much longer than it waited for it a thread may keep a processor */
};

/* What sched_setattr takes, in its first version: glibc before 2.41 has no name for either, and the kernel's own
 * header can't stand beside <sched.h>. */
struct scheduling {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t real_time_priority;
    uint64_t slice_ns, deadline_ns, period_ns;
};

void priority_step_back(void) {
    int nice = getpriority(PRIO_PROCESS, (id_t)gettid());
    if (nice < BACKGROUND_NICE) nice = BACKGROUND_NICE;
    struct scheduling modest = {
        .size = sizeof(modest),
        .policy = SCHED_BATCH,
        .nice = nice,
        .slice_ns = BACKGROUND_SLICE_NS,
    };
    bool is_refused = syscall(SYS_sched_setattr, 0, &modest, 0) != 0;
    if (is_refused) (void)!setpriority(PRIO_PROCESS, (id_t)gettid(), nice);
}

void priority_give_way(struct priority_turn *turn) {
    int64_t now_ns = clock_monotonic_ns();
    if (now_ns - turn->back_ns < WORK_PER_WAIT * turn->waited_ns) return;
    sched_yield();
    turn->back_ns = clock_monotonic_ns();
    turn->waited_ns = turn->back_ns - now_ns;
}
