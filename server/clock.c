/* Clocks. The kernel's are read through the vDSO: no system call, 20 to 25 ns.
 *
 * That is too dear to time a command that takes 100 ns itself. Where the processor's time-stamp counter is
 * invariant (it counts at one rate through every sleep and frequency change, alike on all cores; the processor says
 * so), the counter is read directly instead. Elsewhere clock_ticks is clock_monotonic_ns. The rate is measured
 * against the monotonic clock once: 2 ms are enough for an error below 0.1 %.
 *
 * What is remembered (whether, and how fast) is the same for every thread that finds it out, so that threads racing
 * to be first do no harm: relaxed atomics suffice. */
#include "server/clock.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <x86intrin.h>
#endif

enum { NS_PER_S = 1000 * 1000 * 1000 };

static int64_t read_ns(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now); /* cannot fail for the clocks we name */
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

int64_t clock_unix_ms(void) {
    return read_ns(CLOCK_REALTIME) / (1000 * 1000);
}

int64_t clock_unix_us(void) {
    return read_ns(CLOCK_REALTIME) / 1000;
}

int64_t clock_monotonic_ns(void) {
    return read_ns(CLOCK_MONOTONIC);
}

/* ---- Ticks ----------------------------------------------------------------------------------- */

#if defined(__x86_64__)

enum counter { COUNTER_UNKNOWN, COUNTER_INVARIANT, COUNTER_UNUSABLE };

static enum counter probe_counter(void) {
    static const unsigned leaf = 0x80000007, invariant_bit = 1u << 8;
    unsigned a, b, c, d;
    if (!__get_cpuid(leaf, &a, &b, &c, &d)) return COUNTER_UNUSABLE;
    return (d & invariant_bit) != 0 ? COUNTER_INVARIANT : COUNTER_UNUSABLE;
}

static bool is_counter_invariant(void) {
    static _Atomic int known = COUNTER_UNKNOWN; /* atomic, relaxed: every thread finds the same */
    int counter = atomic_load_explicit(&known, memory_order_relaxed);
    if (counter == COUNTER_UNKNOWN) {
        counter = (int)probe_counter();
        atomic_store_explicit(&known, counter, memory_order_relaxed);
    }
    return counter == COUNTER_INVARIANT;
}

uint64_t clock_ticks(void) {
    return is_counter_invariant() ? __rdtsc() : (uint64_t)clock_monotonic_ns();
}

#else

uint64_t clock_ticks(void) {
    return (uint64_t)clock_monotonic_ns();
}

#endif

static double measure_ticks_per_us(void) {
    (void)
        clock_ticks(); /* its first call probes the processor, which in a virtual machine takes microseconds */
    int64_t start_ns = clock_monotonic_ns();
    uint64_t start = clock_ticks();
    int64_t passed_ns;
    do {
        passed_ns = clock_monotonic_ns() - start_ns;
    } while (passed_ns < CLOCK_CALIBRATION_US * 1000);
    return (double)(clock_ticks() - start) * 1000 / (double)passed_ns;
}

double clock_ticks_per_us(void) {
    static _Atomic double known; /* atomic, relaxed: 0 before it was measured */
    double rate = atomic_load_explicit(&known, memory_order_relaxed);
    if (rate == 0) {
        rate = measure_ticks_per_us();
        atomic_store_explicit(&known, rate, memory_order_relaxed);
    }
    return rate;
}

/* ---- Text ------------------------------------------------------------------------------------ */

void clock_local_text(int64_t unix_ms, char out[CLOCK_TEXT_MAX]) {
    time_t seconds = (time_t)(unix_ms / 1000);
    struct tm local;
    out[0] = '\0';
    if (localtime_r(&seconds, &local) == NULL) return;
    size_t size = strftime(out, CLOCK_TEXT_MAX, "%d %b %Y %H:%M:%S", &local);
    snprintf(out + size, CLOCK_TEXT_MAX - size, ".%03d", (int)(unix_ms % 1000));
}

void clock_utc_text(int64_t unix_ms, char out[CLOCK_TEXT_MAX]) {
    time_t seconds = (time_t)(unix_ms / 1000);
    struct tm utc;
    out[0] = '\0';
    if (gmtime_r(&seconds, &utc) == NULL) return;
    size_t size = strftime(out, CLOCK_TEXT_MAX, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(out + size, CLOCK_TEXT_MAX - size, ".%03dZ", (int)(unix_ms % 1000));
}
