/* How long a process's threads were ready to run and had no processor, as the kernel counts it
 * (/proc/PID/task/TID/schedstat): what the machine, or a thread of its own, took from it. Hypervisors take more,
 * and don't tell. */
#pragma once

#include <stdint.h>

enum { QUEUED_THREADS_MAX = 64 };

struct queued {
    int files[QUEUED_THREADS_MAX];
    uint32_t count;
};

/* The threads it has now; none where there is no such process here, or the kernel doesn't count. */
void queued_open(struct queued *queued, long pid);
void queued_close(struct queued *queued);
/* In all, ever, of those that still run; NAN: not known. */
double queued_us(const struct queued *queued);
