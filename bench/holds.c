/* Which part of a long hold was ours.
 *
 * A hold of 4 ms may be four milliseconds of work, or a microsecond of work and a scheduler that gave the processor to
 * somebody else meanwhile. The clock can't tell; the thread's own processor time can, but asking for it is a system
 * call, half a microsecond where measured: as long as the hold itself. So the clock (the cycle counter) is read around
 * each hold, and processor time, switches and page faults once in HOLDS_BATCH holds. A hold then took at most
 *
 *     own = min(the hold by the clock, the batch's processor time)
 *
 * which is exact for all that were not interrupted, and too much by the rest of the batch, some ten microseconds,
 * for those that were.
 *
 * What "own" still contains though it isn't ours: interrupts, which Linux counts to whom they hit unless it was built with
 * CONFIG_IRQ_TIME_ACCOUNTING; and time in which the hypervisor ran another machine, unless it says so
 * (CONFIG_PARAVIRT_TIME_ACCOUNTING, the steal column of /proc/stat). Whoever measures puts a thread beside it that
 * does nothing but look at the clock: what that one sees is the machine's. */
#include "holds.h"

#include <sys/resource.h>
#include <time.h>

#include "server/clock.h"

static struct holds_spent spent_until_now(void) {
    struct timespec own;
    struct rusage usage = {0};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &own); /* can't fail, nor can the other */
    getrusage(RUSAGE_THREAD, &usage);
    return (struct holds_spent){
        .own_ns = (uint64_t)own.tv_sec * 1000000000u + (uint64_t)own.tv_nsec,
        .switches = (uint64_t)(usage.ru_nvcsw + usage.ru_nivcsw),
        .faults = (uint64_t)(usage.ru_minflt + usage.ru_majflt),
    };
}

void holds_begin(struct holds *holds) {
    *holds = (struct holds){.ns_per_tick = 1000 / clock_ticks_per_us()};
    holds->before = spent_until_now();
}

static void keep_worse(struct holds *holds, const struct holds_worst *seen) {
    if (seen->wall_ns > holds->slowest.wall_ns) holds->slowest = *seen;
    if (seen->own_ns > holds->costliest.own_ns) holds->costliest = *seen;
}

static struct holds_spent spent_between(struct holds_spent before, struct holds_spent after) {
    return (struct holds_spent){.own_ns = after.own_ns - before.own_ns,
                                .switches = after.switches - before.switches,
                                .faults = after.faults - before.faults};
}

static void spent_add(struct holds_spent *into, struct holds_spent more) {
    into->own_ns += more.own_ns;
    into->switches += more.switches;
    into->faults += more.faults;
}

static void count(struct holds *holds, uint64_t wall_ns, uint64_t own_ns) {
    histogram_add(&holds->wall, wall_ns, 1);
    histogram_add(&holds->own, own_ns, 1);
    holds->over_limit += wall_ns > HOLDS_LIMIT_NS;
    holds->own_over_limit += own_ns > HOLDS_LIMIT_NS;
}

void holds_settle(struct holds *holds) {
    struct holds_spent now = spent_until_now();
    struct holds_spent batch = spent_between(holds->before, now);
    struct holds_worst worst = {.switches = batch.switches, .faults = batch.faults};
    for (uint32_t i = 0; i < holds->batch_count; i++) {
        uint64_t wall_ns = (uint64_t)((double)holds->batch[i].ticks * holds->ns_per_tick);
        uint64_t own_ns = wall_ns < batch.own_ns ? wall_ns : batch.own_ns;
        count(holds, wall_ns, own_ns);
        if (wall_ns > worst.wall_ns) worst.wall_ns = wall_ns;
        if (own_ns > worst.own_ns) worst.own_ns = own_ns;
        worst.commits += holds->batch[i].has_committed;
    }
    keep_worse(holds, &worst);
    spent_add(&holds->in_all, batch);
    holds->before = now;
    holds->batch_count = 0;
}

void holds_end(struct holds *holds) {
    holds_settle(holds);
}

void holds_merge(struct holds *into, const struct holds *from) {
    histogram_merge(&into->wall, &from->wall);
    histogram_merge(&into->own, &from->own);
    into->over_limit += from->over_limit;
    into->own_over_limit += from->own_over_limit;
    keep_worse(into, &from->slowest);
    keep_worse(into, &from->costliest);
    spent_add(&into->in_all, from->in_all);
}
