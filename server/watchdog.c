/* systemd kills and restarts us when it isn't told WATCHDOG=1 for so long. A thread that only waits would say so for
 * ever, so it says it only when every worker has turned since it said it last: each does so at least every half second,
 * idle or not (worker.c), and counts its turns, unless it saves. A worker that stands still for all of the time has us
 * restarted. So less than a second is too short to ask for. */
#include "server/watchdog.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "server/clock.h"
#include "server/log.h"
#include "server/server.h"
#include "server/supervisor.h"
#include "shards/base/memory.h"

enum {
    LOOKS = 4,               /* in the time there is, at least */
    LOOK_MS_MAX = 1000,      /* a last save asks for time before a short TimeoutStopSec is over */
    UNASKED_LIMIT_MS = 60000 /* no WatchdogSec: how much longer a last save is given at a time */
};

/* ---- A look ---------------------------------------------------------------------------------- */

/* SAVE and SHUTDOWN keep their worker, and others who ask for the same, as long as keys get into the file. */
static bool saves_in_front(struct watchdog *watchdog) {
    const struct saver *saver = &watchdog->server->saver;
    uint64_t saved = atomic_load_explicit(&saver->keys_done, memory_order_relaxed);
    bool goes_on = saved != watchdog->saved;
    watchdog->saved = saved;
    return goes_on && atomic_load_explicit(&saver->is_saving, memory_order_relaxed) &&
           !atomic_load_explicit(&saver->is_background, memory_order_relaxed);
}

static uint64_t turns_of(const struct server *server, uint32_t i) {
    return atomic_load_explicit(&server->workers[i].engine->statistics.turns, memory_order_relaxed);
}

static bool all_have_turned(const struct watchdog *watchdog) {
    for (uint32_t i = 0; i < watchdog->server->worker_count; i++) {
        if (turns_of(watchdog->server, i) == watchdog->turns[i]) return false;
    }
    return true;
}

static void tell_life(struct watchdog *watchdog) {
    for (uint32_t i = 0; i < watchdog->server->worker_count; i++) {
        watchdog->turns[i] = turns_of(watchdog->server, i);
    }
    supervisor_notify("WATCHDOG=1");
}

static void ask_for_time(const struct watchdog *watchdog) {
    char state[64];
    snprintf(state, sizeof(state), "EXTEND_TIMEOUT_USEC=%" PRId64, watchdog->limit_ms * 1000);
    supervisor_notify(state);
}

static void look(struct watchdog *watchdog) {
    struct server *server = watchdog->server;
    if (predecessor_has_handed_over(&server->predecessor)) return; /* who serves now tells */
    bool saves = saves_in_front(watchdog);
    if (saves && atomic_load_explicit(&server->saves_at_end, memory_order_relaxed))
        ask_for_time(watchdog);
    if (watchdog->is_asked_for && (saves || all_have_turned(watchdog))) tell_life(watchdog);
}

/* ---- Its thread ------------------------------------------------------------------------------ */

static void *run(void *argument) {
    struct watchdog *watchdog = argument;
    int64_t period_ns = watchdog->limit_ms * 1000000 / LOOKS;
    if (period_ns > LOOK_MS_MAX * INT64_C(1000000)) period_ns = LOOK_MS_MAX * INT64_C(1000000);
    for (int64_t due_ns = clock_monotonic_ns() + period_ns;; due_ns += period_ns) {
        struct timespec due = {.tv_sec = due_ns / 1000000000, .tv_nsec = due_ns % 1000000000};
        int answer;
        while ((answer = sem_clockwait(&watchdog->end, CLOCK_MONOTONIC, &due)) != 0 &&
               errno == EINTR) {
        }
        if (answer == 0) return NULL;
        look(watchdog);
    }
}

void watchdog_start(struct watchdog *watchdog, struct server *server) {
    int64_t limit_ms = supervisor_watchdog_ms();
    *watchdog = (struct watchdog){
        .server = server,
        .is_asked_for = limit_ms != 0,
        .limit_ms = limit_ms != 0 ? limit_ms : UNASKED_LIMIT_MS,
        .turns = memory_allocate_zeroed(server->worker_count * sizeof(*watchdog->turns)),
    };
    sem_init(&watchdog->end, 0, 0);
    if (watchdog->turns != NULL) {
        watchdog->has_thread = pthread_create(&watchdog->thread, NULL, run, watchdog) == 0;
    }
    if (watchdog->has_thread) return;
    log_warning("No memory or no thread to watch workers with: systemd's watchdog is switched off");
    supervisor_notify("WATCHDOG_USEC=0");
}

void watchdog_stop(struct watchdog *watchdog) {
    if (watchdog->has_thread) {
        sem_post(&watchdog->end);
        pthread_join(watchdog->thread, NULL);
    }
    if (watchdog->server != NULL) sem_destroy(&watchdog->end);
    memory_free(watchdog->turns);
    *watchdog = (struct watchdog){0};
}
