/* The profile of a worker.
 *
 * A turn of a busy worker is a few microseconds and one system call that sends, waits and receives. To tell sending from
 * waiting a measured turn makes two calls of it, and reads the clock five times; so most turns are not measured.
 * Turns after an idle one are all measured: they stand for themselves, the others for PROFILE_GAP each. So a
 * worker that turns twice a second is seen as soon as one that turns fifty thousand times.
 *
 * Idling is not measured but what is left of the time that passed: one wait of half a second that by chance stood for
 * PROFILE_GAP turns would outweigh everything else for a while. */
#include "server/profile.h"

#include "server/clock.h"
#include "server/worker.h"
#include "shards/counters.h"

/* Shall this turn be measured, and for how many does it stand? */
static uint32_t choose_weight(struct worker *worker) {
    struct profile *profile = &worker->profile;
    if (profile->was_idle) return 1;
    if (profile->until_next > 1) {
        profile->until_next--;
        return 0;
    }
    profile->until_next = (uint32_t)random_below(&worker->random, 2 * PROFILE_GAP - 1) + 1;
    return PROFILE_GAP;
}

void profile_begin(struct worker *worker) {
    struct profile *profile = &worker->profile;
    profile->weight = choose_weight(worker);
    worker->engine->stopwatch.now = NULL;
    if (profile->weight == 0) return;
    profile->running_ticks =
        atomic_load_explicit(&worker->timing.running_ticks, memory_order_relaxed);
    profile->waited_ns = rwlock_waited_ns();
    worker->engine->stopwatch = (struct engine_stopwatch){.now = clock_ticks};
    profile->began_ticks = clock_ticks();
}

static void add(struct profile *profile, enum profile_part part, uint64_t ticks) {
    counters_add(&profile->ticks[part], ticks * profile->weight);
}

static uint64_t less(uint64_t from, uint64_t taken) {
    return from > taken ? from - taken : 0;
}

void profile_note_ran(struct worker *worker, bool was_idle) {
    struct profile *profile = &worker->profile;
    profile->was_idle = was_idle;
    if (profile->weight == 0) return;
    const struct engine_stopwatch *stopwatch = &worker->engine->stopwatch;
    if (stopwatch->woke == 0) { /* the turn failed */
        profile->weight = 0;
        return;
    }
    profile->ran_ticks = clock_ticks();
    uint64_t running = atomic_load_explicit(&worker->timing.running_ticks, memory_order_relaxed) -
                       profile->running_ticks;
    uint64_t waited =
        (uint64_t)((double)(rwlock_waited_ns() - profile->waited_ns) * clock_ticks_per_us() / 1000);
    add(profile, PROFILE_SENDING, less(stopwatch->sent, profile->began_ticks));
    add(profile, PROFILE_RECEIVING, less(less(profile->ran_ticks, stopwatch->woke), running));
    add(profile, PROFILE_LOCKS, waited < running ? waited : running);
    add(profile, PROFILE_RUNNING, less(running, waited));
}

static void halve(struct profile *profile) {
    for (int part = 0; part < PROFILE_PARTS; part++) {
        uint64_t ticks = atomic_load_explicit(&profile->ticks[part], memory_order_relaxed);
        atomic_store_explicit(&profile->ticks[part], ticks / 2, memory_order_relaxed);
    }
    uint64_t all = atomic_load_explicit(&profile->all_ticks, memory_order_relaxed);
    atomic_store_explicit(&profile->all_ticks, all / 2, memory_order_relaxed);
}

void profile_end(struct worker *worker) {
    struct profile *profile = &worker->profile;
    if (profile->weight == 0) return;
    uint64_t now = clock_ticks();
    add(profile, PROFILE_UPKEEP, less(now, profile->ran_ticks));
    uint64_t before = profile->ended_ticks != 0 ? profile->ended_ticks : profile->began_ticks;
    counters_add(&profile->all_ticks, less(now, before));
    profile->ended_ticks = now;
    if (worker->now_ms - profile->halved_ms < PROFILE_HALVING_MS) return;
    profile->halved_ms = worker->now_ms;
    halve(profile);
}

/* What is estimated may come out longer than the time there was: then nothing is left. */
struct profile_shares profile_shares(const struct profile *profile) {
    struct profile_shares shares = {0};
    double all = (double)atomic_load_explicit(&profile->all_ticks, memory_order_relaxed), sum = 0;
    for (int part = 0; part < PROFILE_IDLE; part++) {
        shares.percent[part] =
            (double)atomic_load_explicit(&profile->ticks[part], memory_order_relaxed);
        sum += shares.percent[part];
    }
    shares.percent[PROFILE_IDLE] = all > sum ? all - sum : 0;
    if (all < sum) all = sum;
    for (int part = 0; part < PROFILE_PARTS; part++) {
        shares.percent[part] = all != 0 ? shares.percent[part] * 100 / all : 0;
    }
    return shares;
}

const char *profile_part_name(enum profile_part part) {
    static const char *const names[PROFILE_PARTS] = {
        [PROFILE_RECEIVING] = "receiving",     [PROFILE_RUNNING] = "running",
        [PROFILE_LOCKS] = "waiting_for_locks", [PROFILE_SENDING] = "sending",
        [PROFILE_UPKEEP] = "upkeep",           [PROFILE_IDLE] = "idle",
    };
    return names[part];
}
