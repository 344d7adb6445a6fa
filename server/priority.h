/* Whose turn it is on a processor, as far as a process may say. */
#pragma once

/* The calling thread works behind the workers' backs: let it be in their way as little as it can. Where the system
 * refuses that, it goes on as it is. */
void priority_step_back(void);
