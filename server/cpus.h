/* How many processors this process may use: the default number of workers. */
#pragma once

#include <stdint.h>

/* The affinity mask's count, or the control group's quota rounded up where that is less; at least 1. Reads
 * /sys once. */
uint32_t cpus_allowed(void);
