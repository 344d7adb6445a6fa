/* Whose turn it is on a processor, as far as a process may say. */
#pragma once

#include <stdint.h>

/* The calling thread works behind the workers' backs: let it be in their way as little as it can. Where the system
 * refuses that, it goes on as it is. */
void priority_step_back(void);

/* When such a thread last let others have its processor. Zeroed at first; one thread's own. */
struct priority_turn {
    int64_t waited_ns; /* how long the others kept it */
    int64_t back_ns;   /* when it was ours again */
};

/* Between two pieces of such a thread's work, of some tens of microseconds: whoever waits for the processor has it
 * now, unless the thread had to wait for its own turn so long that it is still making up for that. Costs less than
 * a microsecond where nobody waits. */
void priority_give_way(struct priority_turn *turn);
