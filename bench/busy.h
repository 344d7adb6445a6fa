/* Processors that are never idle, though nobody is kept off them: a thread on each one that a process may run on, that
 * computes whenever nobody else wants to (SCHED_IDLE).
 *
 * What a process loses beside them the machine takes for not having idle processors: to wake a thread on one that
 * computes, another has to interrupt it, which in a virtual machine may take fifty microseconds; an idle one looks
 * out by itself. So it is the control for whatever keeps a processor busy in the background.
 *
 * Run from the session that the process was started from: where sessions are scheduled as groups (autogroup), one's
 * idle threads are as good as another's. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { BUSY_THREADS_MAX = 64 };

struct busy {
    _Atomic bool is_over;
    uint32_t count;
    pthread_t threads[BUSY_THREADS_MAX];
};

/* False with a message: then none runs. */
bool busy_begin(struct busy *busy, pid_t process);
void busy_end(struct busy *busy);
