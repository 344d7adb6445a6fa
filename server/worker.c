/* The worker's thread: its loop and the engine's events. Its clients are in worker_clients.c, what other threads send it in
 * worker_letters.c.
 *
 * The clock is read once a turn, at its first event: everything in a turn happens at one instant. */
#include "worker.h"

#include <stdio.h>
#include <unistd.h>

#include "access/access.h"
#include "admission.h"
#include "batch.h"
#include "blocking.h"
#include "clients_memory.h"
#include "clock.h"
#include "gate.h"
#include "limit.h"
#include "log.h"
#include "metrics.h"
#include "net/tls.h"
#include "server.h"
#include "shards/base/memory.h"
#include "timeouts.h"
#include "upkeep.h"

enum {
    TICK_MS = 100,      /* between rounds of upkeep while some key has a deadline */
    TICK_IDLE_MS = 500, /* otherwise */
    PART_MS = 500,      /* clients have so long to hang up when a successor serves */
    BUFFERS_KEPT = 64,  /* chunks at rest a worker keeps: 1 MiB */
    TLS_SAID_EACH_MS = 1000,
    AWAY_MS =
        2000, /* a tick that comes so late: the machine was asleep or busy, or its clock was set */
};

/* ---- The engine's events --------------------------------------------------------------------- */

static void freshen(struct worker *worker) {
    if (!worker->now_is_stale) return;
    worker->now_ms = clock_unix_ms();
    worker->now_is_stale = false;
}

static void on_accepted(void *context, int listener_fd, int fd) {
    struct worker *worker = context;
    freshen(worker);
    struct worker *chosen = admission_accept(worker->server, listener_fd, fd);
    bool is_tls = admission_is_tls(worker->server, listener_fd);
    if (chosen == worker) {
        worker_take_in(worker, fd, is_tls);
    } else if (chosen != NULL && !worker_adopt(chosen, fd, is_tls)) {
        log_warning_limited("Refusing a connection: worker %u has too many waiting already",
                            chosen->index);
        close(fd);
        admission_leave(worker->server, chosen);
    }
}

static void on_accept_failed(void *context, int listener_fd, int error) {
    struct worker *worker = context;
    freshen(worker);
    admission_refuse_for_want(worker->server, listener_fd, error);
}

static void on_received(void *context, struct connection *connection, struct bytes bytes) {
    struct worker *worker = context;
    freshen(worker);
    worker->has_received = true;
    batch_receive(worker, (struct client *)connection, bytes);
}

/* Why TLS failed: once a second at most, for anybody who reaches the port can cause it. */
static void tell_of_tls(struct worker *worker, struct client *client) {
    struct server *server = worker->server;
    const char *complaint = tls_complaint(&client->connection);
    if (complaint == NULL) return;
    int64_t said_ms = atomic_load_explicit(&server->tls_said_ms, memory_order_relaxed);
    if (worker->now_ms - said_ms < TLS_SAID_EACH_MS ||
        !atomic_compare_exchange_strong_explicit(&server->tls_said_ms, &said_ms, worker->now_ms,
                                                 memory_order_relaxed, memory_order_relaxed)) {
        atomic_fetch_add_explicit(&server->tls_unsaid, 1, memory_order_relaxed);
        return;
    }
    char peer[ADDRESS_TEXT_MAX];
    address_of_peer(client->connection.fd, peer);
    char more[64] = "";
    uint64_t unsaid = atomic_exchange_explicit(&server->tls_unsaid, 0, memory_order_relaxed);
    if (unsaid != 0)
        snprintf(more, sizeof(more), "; %llu more such since the last message",
                 (unsigned long long)unsaid);
    log_warning("Closing client %llu (%s): TLS failed: %s%s", (unsigned long long)client->id, peer,
                complaint, more);
}

static void on_ended(void *context, struct connection *connection, int error) {
    struct worker *worker = context;
    struct client *client = (struct client *)connection;
    freshen(worker);
    if (client->batched != 0) batch_run(worker);
    if (connection->is_closing) return;
    if (error != 0) {
        tell_of_tls(worker, client);
        worker_close_client(worker, client);
        return;
    }
    /* What a throttled client sent before its end is still run as its replies drain; settling finishes it then. */
    if (!client->is_throttled) worker_finish_client(worker, client);
}

static void on_sent(void *context, struct connection *connection) {
    struct worker *worker = context;
    struct client *client = (struct client *)connection;
    size_t waiting = buffer_waiting(&connection->output);
    freshen(worker);
    atomic_store_explicit(&client->active_ms, worker->now_ms, memory_order_relaxed);
    client_note_output(client);
    if (client->is_throttled && waiting <= OUTPUT_RESUME_BYTES) {
        client->is_throttled = false;
        batch_resume(worker, client);
    }
    if (client->is_finishing && !connection->is_closing && connection_is_drained(connection)) {
        worker_let_go(worker, client);
    }
}

static void on_released(void *context, struct connection *connection) {
    worker_forget_client(context, (struct client *)connection);
}

static void on_woken(void *context) {
    struct worker *worker = context;
    freshen(worker);
    mailbox_open_all(&worker->mailbox);
    access_keep_up(worker); /* after: who changes users later wakes us again */
    blocking_open_woken(worker);
}

static const struct engine_events events = {
    .accepted = on_accepted,
    .accept_failed = on_accept_failed,
    .received = on_received,
    .ended = on_ended,
    .sent = on_sent,
    .released = on_released,
    .woken = on_woken,
};

/* ---- Between turns --------------------------------------------------------------------------- */

void worker_resume_paused(struct worker *worker) {
    worker->has_paused = false;
    for (struct client *client = worker->clients, *next; client != NULL; client = next) {
        next = client->next;
        if (!atomic_load_explicit(&client->is_paused, memory_order_relaxed)) continue;
        atomic_store_explicit(&client->is_paused, false, memory_order_relaxed);
        batch_resume(worker, client);
    }
    blocking_open_woken(worker);
}

static void take_rate(struct rate *rate, const _Atomic uint64_t *counter, int64_t now_ms) {
    rate_update(rate, atomic_load_explicit(counter, memory_order_relaxed), now_ms);
}

static void take_rates(struct worker *worker) {
    const struct engine_statistics *statistics = &worker->engine->statistics;
    take_rate(&worker->command_rate, &worker->command_count, worker->now_ms);
    take_rate(&worker->received_rate, &statistics->received_bytes, worker->now_ms);
    take_rate(&worker->sent_rate, &statistics->sent_bytes, worker->now_ms);
}

/* A command a tick. */
static void carry_histogram(struct worker *worker) {
    metrics_carry(worker, worker->carried_id);
    worker->carried_id =
        (worker->carried_id + 1) % command_table_count_all(worker->server->commands);
}

/* Also when the clock was set back. */
static bool is_tick_due(const struct worker *worker) {
    return worker->now_ms >= worker->next_tick_ms ||
           worker->next_tick_ms - worker->now_ms > TICK_MS;
}

static void tick(struct worker *worker) {
    int64_t late_ms = worker->now_ms - worker->next_tick_ms;
    if (late_ms > AWAY_MS || late_ms < -TICK_MS) worker->back_ms = worker->now_ms;
    worker->next_tick_ms = worker->now_ms + TICK_MS;
    take_rates(worker);
    carry_histogram(worker);
    limit_tick(worker);
    worker->clients_grew = true;
    upkeep_begin(worker);
    upkeep_go_on(worker);
    timeouts_close(worker);
    if (worker->index != 0) return;
    gate_end_pause(worker->server, worker->now_ms);
    admission_retry(worker->server);
    saver_tick(&worker->server->saver, worker->now_ms);
    log_tell_held_back();
}

/* Until CLIENT PAUSE ends, at most a tick: another may shorten it. So it is while writers are held: who holds
 * them wakes us. */
static int pause_left_ms(const struct worker *worker) {
    if (gate_holds_writers(worker->server)) return TICK_MS;
    int64_t until_ms = atomic_load_explicit(&worker->server->pause_until_ms, memory_order_relaxed);
    int64_t left_ms = until_ms - worker->now_ms;
    return left_ms < 0 ? 0 : left_ms < TICK_MS ? (int)left_ms : TICK_MS;
}

static int upkeep_timeout_ms(const struct worker *worker) {
    const struct server *server = worker->server;
    if (worker->upkeep_left > 0) return 0;
    if (limit_is_gliding(server) && !gate_holds_writers(server)) return 0; /* else upkeep rests */
    if (worker->has_paused) return pause_left_ms(worker);
    return worker->is_stopping || upkeep_is_wanted(worker) ? TICK_MS : TICK_IDLE_MS;
}

static int turn_timeout_ms(const struct worker *worker) {
    int timeout_ms = upkeep_timeout_ms(worker);
    int64_t left_ms = worker->next_look_ms - worker->now_ms;
    if (left_ms >= timeout_ms) return timeout_ms;
    return left_ms > 0 ? (int)left_ms : 0;
}

static void settle(struct worker *worker) {
    if (engine_is_accepting(worker->engine)) return; /* until its next turn, which that causes */
    sem_post(worker->settled);
    worker->settled = NULL;
}

static void turn(struct worker *worker, int timeout_ms) {
    worker->now_is_stale = true;
    worker->has_received = false;
    profile_begin(worker);
    if (engine_turn(worker->engine, timeout_ms) != STATUS_OK) {
        log_warning("Worker %u: the %s engine failed; stopping", worker->index,
                    engine_name(worker->engine));
        server_fail(worker->server);
        worker->is_stopping = true;
    }
    bool was_idle = worker->now_is_stale;
    freshen(worker);
    batch_run(worker);
    profile_note_ran(worker, was_idle);
    limit_turn(worker);
    clients_memory_turn(worker);
    if (worker->now_ms >= worker->next_look_ms) {
        blocking_open_due(worker);
        batch_run(worker); /* now, not after the next wait */
    }
    if (limit_is_gliding(worker->server)) upkeep_begin(worker);
    if (worker->upkeep_left > 0) upkeep_go_on(worker);
    if (worker->has_paused && pause_left_ms(worker) == 0) {
        worker_resume_paused(worker);
        batch_run(worker); /* now, not after the next wait */
    }
    if (is_tick_due(worker)) tick(worker);
    if (worker->settled != NULL) settle(worker);
    profile_end(worker);
}

/* ---- Stopping -------------------------------------------------------------------------------- */

/* Take in what the kernel has read for us, answer it, and let every client go once it has its replies. */
static void finish_all(struct worker *worker) {
    if (worker->index == 0) admission_unlisten(worker->server, worker->engine);
    do {
        turn(worker, 0);
    } while (worker->has_received && worker->now_ms < worker->stop_deadline_ms);
    for (struct client *client = worker->clients, *next; client != NULL; client = next) {
        next = client->next;
        engine_pause_receive(worker->engine, &client->connection);
        worker_finish_client(worker, client);
    }
    while (worker->clients != NULL && worker->now_ms < worker->stop_deadline_ms) {
        turn(worker, TICK_MS);
    }
}

static bool all_have_replies(const struct worker *worker) {
    for (const struct client *client = worker->clients; client != NULL; client = client->next) {
        if (!connection_is_drained(&client->connection)) return false;
    }
    return true;
}

/* A successor answers what comes from here on: nothing more is run. See `worker_let_go`. */
static void part_from_all(struct worker *worker) {
    int64_t parted_ms = worker->now_ms + PART_MS;
    worker->is_parting = true;
    for (struct client *client = worker->clients, *next; client != NULL; client = next) {
        next = client->next;
        batch_receive_again(client);
        worker_finish_client(worker, client);
    }
    while (worker->clients != NULL && worker->now_ms < worker->stop_deadline_ms) {
        if (worker->now_ms >= parted_ms && all_have_replies(worker)) return;
        turn(worker, TICK_MS);
    }
}

static void drain(struct worker *worker) {
    if (predecessor_has_handed_over(&worker->server->predecessor)) {
        part_from_all(worker);
    } else {
        finish_all(worker);
    }
    while (worker->clients != NULL) {
        if (!connection_is_drained(&worker->clients->connection)) worker->cut_off_count++;
        worker_close_client(worker, worker->clients);
    }
    while (atomic_load_explicit(&worker->client_count, memory_order_relaxed) != 0 &&
           worker->now_ms < worker->stop_deadline_ms + WORKER_STOP_MS) {
        turn(worker, TICK_MS);
    }
}

/* ---- The thread ------------------------------------------------------------------------------ */

enum status worker_create_engine(struct worker *worker, char *text) {
    const struct config *config = worker->server->config;
    struct engine_options options = {
        .events = &events,
        .context = worker,
        .receive_buffer_count = (uint32_t)config_number(&config->receive_buffer_count),
        .receive_buffer_bytes = (uint32_t)config_number(&config->receive_buffer_size),
    };
    static const enum engine_kind kinds[] = {
        [IO_AUTO] = ENGINE_AUTO, [IO_URING] = ENGINE_URING, [IO_EPOLL] = ENGINE_EPOLL};
    worker->engine = engine_create(kinds[config_number(&config->io)], &options, text);
    if (worker->engine == NULL) return STATUS_UNSUPPORTED;
    enum status status = mailbox_init(&worker->mailbox, worker->engine, worker, WORKER_MAILBOX);
    if (status == STATUS_OK) return STATUS_OK;
    engine_destroy(worker->engine);
    worker->engine = NULL;
    snprintf(text, ENGINE_TEXT_MAX, "no memory for a worker's mailbox");
    return status;
}

static void *run(void *argument) {
    struct worker *worker = argument;
    enum status status = worker_create_engine(worker, worker->start_text);
    worker->now_ms = clock_unix_ms();
    worker->start_status = status;
    sem_post(&worker->has_started);
    if (status != STATUS_OK) return NULL;

    while (!worker->is_stopping) {
        turn(worker, turn_timeout_ms(worker));
    }
    drain(worker);
    return NULL;
}

enum status worker_init(struct worker *worker, struct server *server, uint32_t index) {
    *worker = (struct worker){
        .server = server, .index = index, .next_look_ms = INT64_MAX, .upkeep_shard = index};
    pthread_mutex_init(&worker->registry, NULL);
    sem_init(&worker->has_started, 0, 0);
    buffer_pool_init(&worker->buffers, BUFFERS_KEPT);
    buffer_init(&worker->discard, &worker->buffers, 0);
    resp_arguments_init(&worker->arguments);
    worker->lock_indexes = memory_allocate(server->shards.count * sizeof(*worker->lock_indexes));
    uint64_t seed;
    random_system(&seed, sizeof(seed));
    random_init(&worker->random, seed);
    worker->counters = counters_of_worker(&server->shards.counters, index);
    worker->misses = misses_of_worker(&server->shards.misses, index);
    worker->commands = memory_allocate_zeroed(command_table_count_all(server->commands) *
                                              sizeof(*worker->commands));
    worker->totals =
        memory_allocate_zeroed(command_table_count_all(server->commands) * sizeof(*worker->totals));
    if (worker->lock_indexes == NULL || worker->commands == NULL || worker->totals == NULL)
        return STATUS_NO_MEMORY;
    return sampler_init(&worker->sampler, worker);
}

static void await_started(struct worker *worker) {
    while (sem_wait(&worker->has_started) != 0) {
        /* interrupted by a signal */
    }
}

enum status worker_start(struct worker *worker, char *text) {
    worker->start_text = text;
    if (pthread_create(&worker->thread, NULL, run, worker) != 0) {
        snprintf(text, ENGINE_TEXT_MAX, "no thread for worker %u (a limit on processes?)",
                 worker->index);
        return STATUS_REFUSED;
    }
    await_started(worker);
    if (worker->start_status != STATUS_OK) pthread_join(worker->thread, NULL);
    return worker->start_status;
}

enum status worker_listen(struct worker *worker, char *text) {
    worker->start_text = text;
    if (!worker_ask_to_listen(worker)) {
        snprintf(text, ENGINE_TEXT_MAX, "no memory for a letter");
        return STATUS_NO_MEMORY;
    }
    await_started(worker);
    return worker->start_status;
}

void worker_join(struct worker *worker) {
    pthread_join(worker->thread, NULL);
}

void worker_release(struct worker *worker) {
    if (worker->engine != NULL) {
        mailbox_open_all(
            &worker->mailbox); /* letters that came after its last turn; nobody sends any more */
        mailbox_release(&worker->mailbox);
        engine_destroy(worker->engine);
    }
    buffer_release(&worker->discard);
    buffer_pool_release(&worker->buffers);
    resp_arguments_release(&worker->arguments);
    memory_free(worker->lock_indexes);
    memory_free(worker->scratch);
    memory_free(worker->line);
    memory_free(worker->commands);
    memory_free(worker->totals);
    sampler_release(&worker->sampler);
    monitors_release(&worker->monitors);
    sem_destroy(&worker->has_started);
    pthread_mutex_destroy(&worker->registry);
}
