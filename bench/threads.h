/* Threads that start together and stop together, and the time between: what every measurement here is taken in. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { THREADS_MAX = 256 };

/* What one of them does. `is_over` turns true when the time is up: atomic, relaxed. */
typedef void threads_body(void *context, uint32_t index, const _Atomic bool *is_over);

struct threads_plan {
    uint32_t count;
    double seconds; /* 0: until all have returned of themselves */
    threads_body *body;
    void *context; /* shared by all */
};

/* Returns the seconds from the start to the end of time, or to the last return; 0 when the system refused
 * a thread (told on standard error), and then nothing was measured. Thread: the one that measures. */
double threads_run(const struct threads_plan *plan);

static inline bool threads_over(const _Atomic bool *is_over) {
    return atomic_load_explicit(is_over, memory_order_relaxed);
}
/* Never inlined: copies of so short a loop run twice as fast or slow by where they happen to lie. `cycles` > 0. */
void threads_spin(uint64_t cycles);
/* Keep the processor busy for about so many cycles, without touching memory. */
static inline void threads_work(uint64_t cycles) {
    if (cycles > 0) threads_spin(cycles);
}
