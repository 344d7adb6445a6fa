/* Telling systemd that we live, as long as we do; a thread of its own, for the main thread may be saving.
 *
 * It looks each second, and four times in the time that systemd's watchdog gives (WatchdogSec), and says WATCHDOG=1 when all workers have
 * turned since it said so last. A last save gets the time it takes (EXTEND_TIMEOUT_USEC), as long as keys get into the
 * file, whatever TimeoutStopSec is. */
#pragma once

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>

struct server;

struct watchdog {
    struct server *server;
    pthread_t thread;
    bool has_thread;
    sem_t end;         /* it is to end */
    bool is_asked_for; /* by WatchdogSec; immutable after start, as are the next */
    int64_t limit_ms;  /* what systemd waits for a sign of life */
    uint64_t *turns;   /* of each worker, when systemd was told last; the thread */
    uint64_t saved;    /* keys that were in the file, at the last look; the thread */
};

/* Workers run. Where there is no memory or no thread for it, the log and systemd are told to do without. */
void watchdog_start(struct watchdog *watchdog, struct server *server);
/* Workers are still there. Also when it wasn't started, if `watchdog` is zeroed. */
void watchdog_stop(struct watchdog *watchdog);
