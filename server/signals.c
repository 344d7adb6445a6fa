#include "server/signals.h"

#include <inttypes.h>
#include <stdio.h>

#include "server/clock.h"
#include "server/log.h"
#include "server/server.h"
#include "server/supervisor.h"
#include "server/takeover/launch.h"

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

int signals_await(struct server *server, const sigset_t *signals, bool is_supervised) {
    for (;;) {
        int number = 0;
        sigwait(signals, &number);
        if (number == SIGHUP) {
            reload(server, is_supervised);
        } else if (number == SIGUSR2) {
            start_successor(server);
        } else if (number == SIGCHLD) {
            launch_reap(&server->launched);
        } else if (number != 0) {
            return number;
        }
    }
}
