/* Threads in the background share processors with workers, all of them on a small machine. Who asks should not
 * wait for who doesn't: such a thread gets a third of a worker's share where both are busy (nice 5), and never
 * interrupts one (SCHED_BATCH). A real-time policy that sherd was started with is for its workers only: of two
 * threads at one real-time priority the second waits until the first sleeps. Under `chrt -f`, on one processor,
 * freeing 500 MB so held a worker up for 39 ms, and a save of a million keys for 179.
 *
 * Not less than that share (SCHED_IDLE is three parts in a thousand): a save must come to its end beside busy
 * workers, and a thread that holds a shard's lock for some microseconds must come to drop it.
 *
 * Being modest is not enough. Linux shares out fairly: a worker that wakes so soon after its last turn that it is
 * still ahead of its share (less than a third of that turn after it, at nice 5) doesn't interrupt who came
 * between, and is not looked at again before the next tick, of which there may be 250 a second. The scheduler's
 * trace of a save had fifteen such waits in half a second, of up to 7 ms (Linux 6.18, no real-time policy, one
 * processor). So such a thread yields after each small piece of work: p99 beside a save was 2.9 to 3.6 ms, and is
 * 0.12 to 0.75; p99.9 was 4.0 to 4.2, and is 0.6 to 2.6 (six rounds, bench/README.md); the waits of 2 ms that the
 * trace still had are for other processes. A save takes as long as before: 0.3 to 0.9 s for a million keys; 0.6 to
 * 0.7 beside a worker that is never idle.
 *
 * Tried instead: sleeping for a moment each 0.2 ms, which did no better; a longer time slice (sched_setattr),
 * which changed nothing that could be told from noise, since it isn't what decides. */
#include "priority.h"

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

enum { BACKGROUND_NICE = 5 };

void priority_step_back(void) {
    struct sched_param none = {0};
    (void)!sched_setscheduler(0, SCHED_BATCH, &none);
    (void)!setpriority(PRIO_PROCESS, (id_t)gettid(), BACKGROUND_NICE);
}

void priority_give_way(void) {
    sched_yield();
}
