/* Start in order, stop in reverse.
 *
 *      configuration ─▶ commands ─▶ shards ─▶ jobs ─▶ listeners ─▶ workers ─▶ metrics ─▶ file ─▶ (wait for a signal)
 *
 * A successor (takeover/) gets its listeners and its keys from a process that runs, and listens when it has them.
 *
 * The main thread does nothing but wait for signals (signals.h); what a last save takes of it, watchdog.h bears. */
#include "server.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "access/access.h"
#include "access/users_file.h"
#include "admission.h"
#include "clock.h"
#include "config_hooks.h"
#include "conflicts.h"
#include "cpus.h"
#include "descriptors.h"
#include "gate.h"
#include "http/http.h"
#include "limit.h"
#include "log.h"
#include "pidfile.h"
#include "reclaim.h"
#include "renames.h"
#include "shards/base/memory.h"
#include "shards/base/random.h"
#include "signals.h"
#include "supervisor.h"
#include "takeover/successor.h"
#include "watchdog.h"

enum {
    SHARDS_PER_WORKER = 16,
    SHARDS_PER_WORKER_MIN = 4, /* under a small memory limit */
    SHARD_BYTES_MIN = 2 << 20, /* of that limit, for each */
    JOBS_WAITING_MAX = 4096,
    JOBS_THREADS_MAX = 2,
    JOBS_LINGER_MS = 1000,
};

/* ---- What the configuration leaves to us ----------------------------------------------------- */

static uint32_t power_of_two_from(uint32_t number) {
    uint32_t power = 1;
    while (power < number) {
        power *= 2;
    }
    return power;
}

static uint32_t choose_workers(const struct config *config) {
    int64_t chosen = config_number(&config->workers);
    return chosen != 0 ? (uint32_t)chosen : cpus_allowed();
}

/* Each shard keeps pages for each size of its own: many small ones waste a small limit. 6.5 MB of 64 B to 8 KiB,
 * hits in percent, Zipf 0.7 / Zipf 0.99 / shifting: 48.4 / 76.5 / 86.6 with 16 shards, 50.3 / 77.6 / 87.4 with 8,
 * 50.9 / 78.4 / 87.8 with 4, where two workers would meet more often (`sherd-bench trace --mixed-sizes --keys 37500
 * --requests 400000 --warm-up 200000 --limit-bytes 6500000`). */
static uint32_t shards_for(const struct config *config, uint32_t workers) {
    uint32_t least = power_of_two_from(workers * SHARDS_PER_WORKER_MIN);
    int64_t limit = config_number(&config->maxmemory);
    uint32_t shards = power_of_two_from(workers * SHARDS_PER_WORKER);
    while (limit != 0 && shards > least && limit / shards < SHARD_BYTES_MIN) {
        shards /= 2;
    }
    return shards;
}

static uint32_t choose_shards(const struct config *config, uint32_t workers) {
    if (config_number(&config->lock_mode) == LOCK_MODE_GLOBAL) return 1;
    int64_t chosen = config_number(&config->shards);
    uint32_t shards =
        chosen != 0 ? power_of_two_from((uint32_t)chosen) : shards_for(config, workers);
    return shards < SHARDS_MAX ? shards : SHARDS_MAX;
}

/* Ask for a descriptor a client; be content with less, but say so. STATUS_REFUSED: not one can be, `error` says why. */
static enum status raise_descriptor_limit(const struct config *config, char *error) {
    int64_t wanted = config_number(&config->maxclients), possible;
    if (descriptors_raise(wanted, &possible) == STATUS_OK) return STATUS_OK;
    if (possible == 0) {
        snprintf(error, CONFIG_ERROR_MAX,
                 "The system's limit of open files allows no client: the server takes %d, and each "
                 "client one, so maxclients %lld needs %lld; raise it (ulimit -n, or LimitNOFILE "
                 "in systemd's unit)",
                 DESCRIPTORS_RESERVED, (long long)wanted,
                 (long long)(wanted + DESCRIPTORS_RESERVED));
        return STATUS_REFUSED;
    }
    enum status ignored = descriptors_raise(possible, &possible); /* refused: it says less yet */
    (void)ignored;
    log_warning("maxclients is %lld, the system's limit of open files allows %lld: further clients "
                "will be refused (ulimit -n)",
                (long long)wanted, (long long)possible);
    return STATUS_OK;
}

static void make_run_id(char out[SERVER_ID_TEXT]) {
    unsigned char bytes[SERVER_ID_TEXT / 2];
    random_system(bytes, sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++) {
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
    }
}

/* ---- Start and stop -------------------------------------------------------------------------- */

/* For CONFIG REWRITE, which holds the configuration's lock. Users who live in a file of their own are not the
 * configuration's; and where requirepass says it all, a line for the default user would only overrule it one day. */
static bool print_users(void *context, FILE *out) {
    struct server *server = context;
    struct bytes password = bytes_of_text(server->config->requirepass);
    if (server->config->aclfile[0] != 0 || users_are_initial(&server->users, password)) return true;
    return users_print(&server->users, out);
}

static void release_commands(struct server *server) {
    if (server->original_commands != server->commands && server->original_commands != NULL)
        command_table_destroy(server->original_commands);
    if (server->commands != NULL) command_table_destroy(server->commands);
}

/* False when it can't be: the log says why. */
static bool start_commands(struct server *server) {
    bool has_renames = server->config->rename_lines.count != 0;
    server->commands = command_table_create();
    server->original_commands = has_renames ? command_table_create() : server->commands;
    char error[CONFIG_ERROR_MAX] = "no memory for the commands";
    if (server->commands != NULL && server->original_commands != NULL &&
        renames_apply(server->commands, server->config, error) == STATUS_OK)
        return true;
    log_warning("%s", error);
    release_commands(server);
    return false;
}

static void release_shards(struct server *server) {
    server->shards.reclaimer =
        (struct reclaimer){NULL, NULL}; /* nothing runs in the background any more */
    duel_release(&server->duel);
    curve_release(&server->curve);
    shards_release(&server->shards);
}

static enum status init_shards(struct server *server) {
    uint64_t seed;
    random_system(&seed, sizeof(seed));
    struct shards_options options = {
        .shard_count = choose_shards(server->config, server->worker_count),
        .database_count = (uint32_t)config_number(&server->config->databases),
        .worker_count = server->worker_count,
        .seed = seed,
        .reclaimer = reclaim_in_background(server),
    };
    curve_init(&server->curve, &server->shards);
    duel_init(&server->duel, &server->shards);
    return shards_init(&server->shards, &options);
}

static enum status start_shards(struct server *server, char *error) {
    if (init_shards(server) != STATUS_OK) {
        snprintf(error, CONFIG_ERROR_MAX,
                 "No memory or address space for the shards (is RLIMIT_AS, ulimit -v, set?)");
        return STATUS_NO_MEMORY;
    }
    if (timing_start(server) == STATUS_OK) return STATUS_OK;
    release_shards(server);
    snprintf(error, CONFIG_ERROR_MAX, "No memory for the lock profile");
    return STATUS_NO_MEMORY;
}

static void stop_shards(struct server *server) {
    timing_stop(server);
    release_shards(server);
}

/* Its threads come with the work. */
static enum status start_jobs(struct server *server, char *error) {
    server->jobs = jobs_create(&(struct jobs_options){.queue_max = JOBS_WAITING_MAX,
                                                      .threads_max = JOBS_THREADS_MAX,
                                                      .linger_ms = JOBS_LINGER_MS});
    if (server->jobs != NULL) return STATUS_OK;
    snprintf(error, CONFIG_ERROR_MAX, "No memory for the queue of background jobs");
    return STATUS_NO_MEMORY;
}

static enum status create_workers(struct server *server, char *error) {
    uint32_t count = server->worker_count;
    snprintf(error, CONFIG_ERROR_MAX, "No memory for %u workers", count);
    server->workers = memory_allocate_zeroed(count * sizeof(*server->workers));
    if (server->workers == NULL) return STATUS_NO_MEMORY;
    for (uint32_t i = 0; i < count; i++) {
        if (worker_init(&server->workers[i], server, i) != STATUS_OK) return STATUS_NO_MEMORY;
    }
    return STATUS_OK;
}

static void release_workers(struct server *server) {
    if (server->workers == NULL) return;
    for (uint32_t i = 0; i < server->worker_count; i++) {
        worker_release(&server->workers[i]);
    }
    memory_free(server->workers);
}

static void stop_workers_from(struct server *server, uint32_t first) {
    for (uint32_t i = first; i < server->worker_count; i++) {
        while (!worker_stop(&server->workers[i])) {
            usleep(1000); /* its mailbox is full for the moment */
        }
    }
    for (uint32_t i = first; i < server->worker_count; i++) {
        worker_join(&server->workers[i]);
    }
}

static void explain_worker(const struct server *server, uint32_t index, char *error) {
    bool insists = config_number(&server->config->io) == IO_URING;
    snprintf(error, CONFIG_ERROR_MAX, "Worker %u can't start: %s%s", index, server->engine_text,
             insists ? "; or take --io auto, or epoll" : "");
}

static enum status start_workers(struct server *server) {
    for (uint32_t i = server->worker_count; i-- > 0;) {
        enum status status = worker_start(&server->workers[i], server->engine_text);
        if (status == STATUS_OK) continue;
        char error[CONFIG_ERROR_MAX];
        explain_worker(server, i, error);
        log_warning("%s", error);
        stop_workers_from(server, i + 1);
        return status;
    }
    return STATUS_OK;
}

static void print_choices(const struct server *server) {
    log_notice("sherd %s, pid %d: %u worker%s, %u shard%s (%s), %d databases", SHERD_VERSION,
               (int)getpid(), server->worker_count, server->worker_count == 1 ? "" : "s",
               server->shards.count, server->shards.count == 1 ? "" : "s",
               config_number(&server->config->lock_mode) == LOCK_MODE_GLOBAL ? "lock mode global"
                                                                             : "lock mode sharded",
               (int)server->shards.database_count);
    log_notice("Engine: %s", server->engine_text);
    char limit[CONFIG_ERROR_MAX];
    limit_describe(server, limit, sizeof(limit));
    log_notice("Memory: %lld KiB used at start; %s",
               (long long)atomic_load_explicit(&server->limit.base_bytes, memory_order_relaxed) /
                   1024,
               limit);
    for (uint32_t i = 0; i < server->listener_count; i++) {
        log_notice("Listening on %s%s", server->listeners[i].text,
                   server->listeners[i].is_tls ? " (TLS)" : "");
    }
    log_notice("Ready to accept connections after %lld ms",
               (long long)(clock_unix_ms() - server->started_ms));
}

static void announce(const struct server *server, bool is_supervised) {
    print_choices(server);
    if (is_supervised) supervisor_notify("READY=1");
}

static bool is_told_to_stop(const struct server *server) {
    return atomic_load_explicit(&server->is_stopping, memory_order_relaxed);
}

/* A signal to stop is not followed when the last save fails: nothing would be left of what was written. systemd is told
 * when nothing can keep us any more, since it can't be told otherwise: it kills us TimeoutStopSec later. */
static void wait_for_end(struct server *server, const sigset_t *signals, bool is_supervised) {
    for (;;) {
        int number = signals_await(server, signals, is_supervised);
        if (number == SIGUSR1 && is_told_to_stop(server)) break;
        if (predecessor_has_handed_over(&server->predecessor)) break;
        log_notice("Received %s: stopping", strsignal(number));
        if (server_prepare_end(server, SERVER_SAVE_AS_SET) == STATUS_OK) break;
        log_warning("Error trying to save the DB, can't exit (SHUTDOWN NOSAVE does)");
    }
    atomic_store_explicit(&server->is_stopping, true, memory_order_relaxed);
    bool is_end = !predecessor_has_handed_over(&server->predecessor); /* or the successor tells */
    if (is_supervised && is_end) supervisor_notify("STOPPING=1");
}

/* No worker runs any more. A write that was on its way when the last save began is in no file yet. */
static enum status save_the_rest(struct server *server) {
    if (!atomic_load_explicit(&server->saves_at_end, memory_order_relaxed)) return STATUS_OK;
    if (saver_changes(&server->saver) == 0) return STATUS_OK;
    char error[SAVER_ERROR_MAX]; /* is in the log */
    return saver_save_last(&server->saver, error);
}

/* No worker runs any more. */
static void say_goodbye(const struct server *server) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < server->worker_count; i++) {
        count += server->workers[i].cut_off_count;
    }
    if (count == 0) {
        log_notice("Stopped: every reply was sent; bye");
    } else {
        log_warning("Stopped: %u client%s cut off with replies unsent, not having taken them in "
                    "time; bye",
                    count, count == 1 ? " was" : "s were");
    }
}

/* False: the file there is must not be ignored, and can't be served. */
static bool load(struct server *server) {
    if (!gate_is_closed(server, GATE_LOADING)) return true;
    return loader_run(server, LOADER_BLOCK_BYTES) != STATUS_FAILED;
}

/* False: the log says why. */
static bool write_pidfile(struct server *server) {
    const struct config *config = server->config;
    if (config->pidfile[0] == 0) return true;
    char error[PIDFILE_ERROR_MAX];
    server->has_pidfile = pidfile_write(config->pidfile, error) == STATUS_OK;
    if (!server->has_pidfile) log_warning("%s", error);
    return server->has_pidfile;
}

/* Listeners may be inherited, and the socket at which they may be inherited from us. */
static enum status open_listeners(struct server *server, char *error) {
    const char *option;
    enum status status = conflicts_check(server->config, &option, error);
    if (status == STATUS_OK) status = admission_open(server, error);
    return status == STATUS_OK ? predecessor_open(&server->predecessor, error) : status;
}

/* False: the log says why. */
static bool start_http(struct server *server) {
    char error[HTTP_ERROR_MAX];
    if (http_start(server, &server->http, error) == STATUS_OK) return true;
    log_warning("%s", error);
    return false;
}

/* False: we can't listen, and the log says why. */
static bool listen_now(struct server *server) {
    char error[ENGINE_TEXT_MAX];
    if (worker_listen(&server->workers[0], error) == STATUS_OK) return true;
    log_warning("Can't listen: %s", error);
    return false;
}

/* Serve first, then load: clients are told so. Nobody is served before there is HTTP: what a client sets is not
 * what we start with. */
static bool begin_service(struct server *server) {
    return start_http(server) && listen_now(server) && load(server);
}

/* Ours is the only copy now: whatever keeps us from serving it, a signal to stop has it saved first. */
static void listen_at_last(struct server *server) {
    while (!listen_now(server) && !signals_want_end()) {
        sleep(1);
    }
}

/* Load first, then serve: until we say that all is ours the other serves. From then on nothing must end us that
 * needn't. */
static bool take_over(struct server *server, struct successor *successor) {
    char error[SUCCESSOR_ERROR_MAX];
    if (successor_load(successor, server) != STATUS_OK) return false;
    if (successor_take(successor, server, error) != STATUS_OK) {
        log_warning("%s", error);
        return false;
    }
    gate_open(server, GATE_LOADING);
    admission_keep_files(server, false);
    server->predecessor.door.keeps_file = false;
    bool is_written = write_pidfile(server), has_http = start_http(server);
    (void)is_written, (void)has_http; /* logged */
    inheritance_release(&server->inheritance, true);
    listen_at_last(server);
    return true;
}

/* As configured, with nothing started; NULL. */
static struct server *create_server(struct config *config, const struct launch *launch) {
    struct server *server = memory_allocate_zeroed(sizeof(*server));
    if (server == NULL) return NULL;
    server->config = config;
    server->launch = launch;
    server->spare_fd = -1;
    pthread_mutex_init(&server->ending, NULL);
    predecessor_init(&server->predecessor, server);
    server->started_ms = clock_unix_ms();
    server->worker_count = choose_workers(config);
    atomic_store(&server->next_client_id, 1);
    atomic_store(&server->expiry_is_active, true);
    atomic_store(&server->statistics_since_ms, server->started_ms);
    make_run_id(server->run_id);
    return server;
}

int server_run(struct config *config, const struct launch *launch) {
    int exit_status = EXIT_FAILURE;
    struct successor successor = {.fd = -1};
    char limit_error[CONFIG_ERROR_MAX];
    if (raise_descriptor_limit(config, limit_error) != STATUS_OK) {
        log_warning("%s", limit_error);
        return exit_status;
    }
    struct server *server = create_server(config, launch);
    if (server == NULL) {
        log_warning("No memory to start with");
        return exit_status;
    }
    clock_ticks_per_us();
    config_hooks_attach(server);

    sigset_t signals;
    signals_block(&signals);

    acl_log_init(&server->acl_log);
    certificates_init(&server->certificates);
    slowlog_init(&server->slowlog);
    latency_init(&server->latency);
    if (!start_commands(server)) goto no_commands;
    char access_error[CONFIG_ERROR_MAX];
    if (access_open(&server->users, server->original_commands, config, access_error) != STATUS_OK) {
        log_warning("Aborting because of ACL errors: %s", access_error);
        goto no_users;
    }
    config->print_users = print_users;
    char memory_error[CONFIG_ERROR_MAX];
    if (start_shards(server, memory_error) != STATUS_OK) {
        log_warning("%s", memory_error);
        goto no_shards;
    }
    if (start_jobs(server, memory_error) != STATUS_OK) {
        log_warning("%s", memory_error);
        goto no_jobs;
    }
    char tls_error[CONFIG_ERROR_MAX];
    if (certificates_load(&server->certificates, config, tls_error) != STATUS_OK) {
        log_warning("%s", tls_error);
        goto no_listeners;
    }
    char takeover_error[SUCCESSOR_ERROR_MAX];
    if (launch->takes_over && successor_begin(&successor, server, takeover_error) != STATUS_OK) {
        log_warning("%s", takeover_error);
        goto no_listeners;
    }
    char error[LISTENER_ERROR_MAX];
    if (open_listeners(server, error) != STATUS_OK) {
        log_warning("%s", error);
        goto no_listeners;
    }
    /* The address is ours, and nobody is answered yet: who is, finds the file. */
    if (!launch->takes_over && !write_pidfile(server)) goto no_listeners;
    if (create_workers(server, memory_error) != STATUS_OK) {
        log_warning("%s", memory_error);
        goto no_workers;
    }
    saver_init(&server->saver, server);
    loader_prepare(server, launch->takes_over);
    if (start_workers(server) != STATUS_OK) goto no_file;
    if (limit_start(server, limit_error) != STATUS_OK) {
        log_warning("%s", limit_error);
        stop_workers_from(server, 0);
        goto no_file;
    }
    bool serves = launch->takes_over ? take_over(server, &successor) : begin_service(server);
    if (!serves) {
        stop_workers_from(server, 0);
        goto no_service;
    }

    predecessor_start(&server->predecessor);
    bool is_supervised = supervisor_is_wanted(config);
    if (!gate_is_closed(server, GATE_LOADING)) /* else a signal to stop came first */
        announce(server, is_supervised);
    struct watchdog watchdog = {0};
    if (is_supervised) watchdog_start(&watchdog, server);
    wait_for_end(server, &signals, is_supervised);
    predecessor_stop(&server->predecessor);
    stop_workers_from(server, 0);
    bool has_failed = atomic_load_explicit(&server->has_failed, memory_order_relaxed);
    if (save_the_rest(server) == STATUS_OK && !has_failed) exit_status = EXIT_SUCCESS;
    watchdog_stop(&watchdog);
    say_goodbye(server);

no_service:
    http_stop(server->http);
no_file:
    jobs_drain(server->jobs); /* some look at workers */
    saver_release(&server->saver);
no_workers:
    if (server->has_pidfile && !predecessor_has_handed_over(&server->predecessor))
        unlink(config->pidfile);
    release_workers(server);
no_listeners:
    admission_close(server);
    predecessor_close(&server->predecessor);
    inheritance_release(&server->inheritance, false);
    successor_release(&successor);
    launched_release(&server->launched);
    jobs_destroy(server->jobs);
no_jobs:
    stop_shards(server);
no_shards:
    config->print_users = NULL;
    users_release(&server->users);
no_users:
    release_commands(server);
no_commands:
    latency_release(&server->latency);
    slowlog_release(&server->slowlog);
    certificates_release(&server->certificates);
    acl_log_release(&server->acl_log);
    pthread_mutex_destroy(&server->ending);
    memory_free(server);
    return exit_status;
}

static void check_workers(struct server *server) {
    struct config *config = server->config;
    char error[CONFIG_ERROR_MAX];
    if (create_workers(server, error) != STATUS_OK) {
        config_tells_of(config, "workers", error);
        return;
    }
    for (uint32_t i = 0; i < server->worker_count; i++) {
        if (worker_create_engine(&server->workers[i], server->engine_text) == STATUS_OK) continue;
        explain_worker(server, i, error);
        config_tells_of(config, "io", error);
        return;
    }
    if (limit_measure(server, error) != STATUS_OK) config_tells_of(config, "maxmemory", error);
}

/* Users, certificates and renamed commands, some tens of kilobytes, aren't there. */
void server_check(struct config *config) {
    char error[CONFIG_ERROR_MAX] = "No memory to start with";
    struct server *server = create_server(config, NULL);
    if (server != NULL) server->commands = server->original_commands = command_table_create();
    if (server == NULL || server->commands == NULL) {
        config_tells(config, error);
        goto no_commands;
    }
    if (raise_descriptor_limit(config, error) != STATUS_OK)
        config_tells_of(config, "maxclients", error);
    if (start_shards(server, error) != STATUS_OK) {
        config_tells_of(config, "shards", error);
        goto no_shards;
    }
    if (start_jobs(server, error) != STATUS_OK) {
        config_tells(config, error);
        goto no_jobs;
    }
    check_workers(server);
    release_workers(server);
    jobs_destroy(server->jobs);
no_jobs:
    stop_shards(server);
no_shards:
    release_commands(server);
no_commands:
    if (server != NULL) pthread_mutex_destroy(&server->ending);
    memory_free(server);
}

void server_stop(struct server *server) {
    if (!atomic_exchange_explicit(&server->is_stopping, true, memory_order_relaxed))
        kill(getpid(), SIGUSR1);
}

void server_fail(struct server *server) {
    atomic_store_explicit(&server->has_failed, true, memory_order_relaxed);
    kill(getpid(), SIGTERM);
}

/* Only who closes the gate opens it again. */
static enum status save_last(struct server *server) {
    atomic_store_explicit(&server->saves_at_end, true, memory_order_relaxed);
    log_notice("Saving the final RDB snapshot before exiting.");
    gate_close(server, GATE_STOPPING);
    predecessor_interrupt(&server->predecessor);
    char error[SAVER_ERROR_MAX]; /* is in the log */
    enum status status = saver_save_last(&server->saver, error);
    if (status == STATUS_OK) return STATUS_OK;
    atomic_store_explicit(&server->saves_at_end, false, memory_order_relaxed);
    gate_open(server, GATE_STOPPING);
    return STATUS_FAILED;
}

enum status server_prepare_end(struct server *server, enum server_save save) {
    bool saves =
        save == SERVER_SAVE_YES || (save == SERVER_SAVE_AS_SET && saver_has_points(&server->saver));
    if (gate_is_closed(server, GATE_LOADING))
        saves = false; /* what is loaded by now is less than the file has */
    if (!saves) {
        atomic_store_explicit(&server->saves_at_end, false, memory_order_relaxed);
        return STATUS_OK;
    }
    /* Another may ask for the same meanwhile (SHUTDOWN, then SIGTERM): it waits, and needs no file of its own. */
    pthread_mutex_lock(&server->ending);
    enum status status = server->has_saved_last ? STATUS_OK : save_last(server);
    server->has_saved_last = status == STATUS_OK;
    pthread_mutex_unlock(&server->ending);
    return status;
}

void server_unpause(struct server *server) {
    atomic_store_explicit(&server->pause_until_ms, 0, memory_order_relaxed);
    gate_end_pause(server, 0);
}

void server_wake_paused(struct server *server) {
    for (uint32_t i = 0; i < server->worker_count; i++) {
        /* A full mailbox only delays it: the worker's next turn resumes paused clients, too. */
        bool is_posted = worker_unpause(&server->workers[i]);
        (void)is_posted;
    }
}
