/* Whose turn it is on a processor, as far as a process may say. */
#pragma once

/* The calling thread works behind the workers' backs: let it be in their way as little as it can. Where the system
 * refuses that, it goes on as it is. */
void priority_step_back(void);
/* Between two pieces of such a thread's work, of a tenth of a millisecond or so: let whoever waits for the
 * processor have it now. Costs less than a microsecond where nobody does. */
void priority_give_way(void);
