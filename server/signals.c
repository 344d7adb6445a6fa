/* The watchdog: systemd kills and restarts us when it isn't told WATCHDOG=1 for so long. A main thread that only
 * waits would say so for ever, so it says it only when every worker has turned since it said it last: each does so at
 * least every half second, idle or not (worker.c), and counts its turns, unless it saves. We look four times in the time
 * there is; a worker that stands still for all of it has us restarted. So less than a second is too short to ask for. */
#include "server/signals.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "server/clock.h"
#include "server/log.h"
#include "server/server.h"
#include "server/supervisor.h"
#include "server/takeover/launch.h"
#include "shards/base/memory.h"

void signals_block(sigset_t *signals) {
    sigemptyset(signals);
    sigaddset(signals, SIGTERM);
    sigaddset(signals, SIGINT);
    sigaddset(signals, SIGHUP);
    sigaddset(signals, SIGUSR1); /* server_stop */
    sigaddset(signals, SIGUSR2);
    sigaddset(signals, SIGCHLD);
    pthread_sigmask(SIG_BLOCK, signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a limit on files is an error to whoever writes one */
}

bool signals_want_end(void) {
    sigset_t pending;
    sigpending(&pending);
    return sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGINT) == 1 ||
           sigismember(&pending, SIGUSR1) == 1;
}

/* ---- Watchdog -------------------------------------------------------------------------------- */

struct watch {
    int64_t period_ms; /* between two looks; 0: nobody asks */
    uint64_t *turns;   /* of each worker, when systemd was told last */
    uint64_t saved;    /* keys that were in the file, at the last look */
};

static void watch_begin(struct watch *watch, const struct server *server, bool is_supervised) {
    *watch = (struct watch){0};
    int64_t limit_ms = is_supervised ? supervisor_watchdog_ms() : 0;
    if (limit_ms == 0) return;
    watch->turns = memory_allocate_zeroed(server->worker_count * sizeof(*watch->turns));
    if (watch->turns == NULL) return;
    watch->period_ms = limit_ms / 4 > 0 ? limit_ms / 4 : 1;
}

static uint64_t turns_of(const struct server *server, uint32_t i) {
    return atomic_load_explicit(&server->workers[i].engine->statistics.turns, memory_order_relaxed);
}

/* SAVE and SHUTDOWN keep their worker, and others who ask for the same, as long as keys get into the file. */
static bool is_saving(struct watch *watch, const struct server *server) {
    const struct saver *saver = &server->saver;
    uint64_t saved = atomic_load_explicit(&saver->keys_done, memory_order_relaxed);
    bool goes_on = saved != watch->saved;
    watch->saved = saved;
    return goes_on && atomic_load_explicit(&saver->is_saving, memory_order_relaxed) &&
           !atomic_load_explicit(&saver->is_background, memory_order_relaxed);
}

static void look(struct watch *watch, const struct server *server) {
    bool may_stand = is_saving(watch, server);
    for (uint32_t i = 0; i < server->worker_count; i++) {
        if (turns_of(server, i) == watch->turns[i] && !may_stand) return;
    }
    for (uint32_t i = 0; i < server->worker_count; i++) {
        watch->turns[i] = turns_of(server, i);
    }
    supervisor_notify("WATCHDOG=1");
}

/* ---- Waiting --------------------------------------------------------------------------------- */

/* Their files have changed, perhaps. */
static void reload_certificates(struct server *server) {
    char error[CONFIG_ERROR_MAX];
    if (config_apply_again(server->config, "tls-cert-file", error) == STATUS_OK) return;
    log_warning("SIGHUP: the certificate stays as it was: %s", error);
}

static void reload(struct server *server, bool is_supervised) {
    char state[64];
    snprintf(state, sizeof state, "RELOADING=1\nMONOTONIC_USEC=%" PRId64,
             clock_monotonic_ns() / 1000);
    if (is_supervised) supervisor_notify(state);
    const char *path = server->config->logfile; /* immutable after start */
    if (path[0] == '\0') {
        log_notice("Received SIGHUP; there is no log file to open anew");
    } else if (log_open(path) == STATUS_OK) {
        log_notice("Received SIGHUP: this is the log file now");
    }
    reload_certificates(server);
    if (is_supervised) supervisor_notify("READY=1");
}

static void start_successor(struct server *server) {
    char error[LAUNCH_ERROR_MAX];
    if (server->predecessor.door.fd < 0) {
        log_warning("SIGUSR2: no successor can take over: the option takeover-socket isn't set");
    } else if (launch_successor(server->launch, &server->launched, error) == STATUS_OK) {
        log_notice("Received SIGUSR2: process %d is to take over", (int)server->launched.pid);
    } else {
        log_warning("SIGUSR2: %s", error);
    }
}

/* 0: the watchdog's time has come. */
static int await_one(const sigset_t *signals, const struct watch *watch) {
    int number = 0;
    if (watch->period_ms != 0) {
        struct timespec period = {.tv_sec = watch->period_ms / 1000,
                                  .tv_nsec = watch->period_ms % 1000 * 1000000};
        number = sigtimedwait(signals, NULL, &period);
        return number > 0 ? number : 0;
    }
    while (sigwait(signals, &number) != 0) {
    }
    return number;
}

int signals_await(struct server *server, const sigset_t *signals, bool is_supervised) {
    struct watch watch;
    watch_begin(&watch, server, is_supervised);
    int number;
    for (;;) {
        number = await_one(signals, &watch);
        if (number == SIGHUP) {
            reload(server, is_supervised);
        } else if (number == SIGUSR2) {
            start_successor(server);
        } else if (number == SIGCHLD) {
            launch_reap(&server->launched);
        } else if (number != 0) {
            break;
        } else {
            look(&watch, server);
        }
    }
    memory_free(watch.turns);
    return number;
}
