/* Threads in the background share processors with workers, all of them on a small machine. Who asks should not
 * wait for who doesn't: such a thread gets a third of a worker's share where both are busy (nice 5), and never
 * interrupts one (SCHED_BATCH). A real-time policy that sherd was started with is for its workers only: of two
 * threads at one real-time priority the second waits until the first sleeps. Under `chrt -f`, on one processor,
 * freeing 500 MB so held a worker up for 39 ms, and a save of a million keys for 179.
 *
 * Not less than that share (SCHED_IDLE is three parts in a thousand): a save must come to its end beside busy
 * workers, and a thread that holds a shard's lock for some microseconds must come to drop it. */
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
