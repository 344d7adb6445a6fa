/* What is counted is heap memory, where it is allocated and freed (memory_account_clients): `struct client`, the input
 * it holds, and chunks of replies, those at rest in the workers' pools included, which the limit therefore grants on
 * top. A large value that is sent from where it lies is the store's. What a command needs while it runs (LCS, KEYS) is
 * counted with it, for no key should go for that either, but is no client's part: nobody is closed for it.
 *
 * Whom to close is found by a job, since it looks at every client of every worker. It takes those that take most, a
 * few at a time, until what the others take is within the limit. A worker that is told to close one does so in its
 * own time; should the job look again before that, it picks the same ones.
 *
 * A percentage is of maxmemory; without one, of what the machine or its control group has. It never means
 * less than MAX_AT_LEAST: a tenth of a small cache would not carry a hundred clients. */
#include "clients_memory.h"

#include <string.h>

#include "batch.h"
#include "log.h"
#include "machine_memory.h"
#include "server.h"
#include "shards/base/memory.h"

enum { MAX_AT_LEAST = 16 * 1024 * 1024, PICKS = 16 };

struct pick {
    struct worker *worker;
    uint64_t client_id;
    int64_t bytes;
};

/* The largest first. */
struct picks {
    struct pick list[PICKS];
    uint32_t count;
};

static int64_t max_of(const struct config *config) {
    int64_t max = config_number(&config->maxmemory_clients);
    if (max >= 0) return max;
    int64_t whole = config_number(&config->maxmemory);
    if (whole == 0) whole = (int64_t)machine_memory().bytes;
    int64_t part = whole / 100 * -max;
    return part < MAX_AT_LEAST ? MAX_AT_LEAST : part;
}

void clients_memory_apply(struct server *server) {
    atomic_store_explicit(&server->clients_memory_max, max_of(server->config),
                          memory_order_relaxed);
}

static int64_t clients_memory_max(const struct server *server) {
    return atomic_load_explicit(&server->clients_memory_max, memory_order_relaxed);
}

static int64_t at_rest_max(const struct server *server) {
    return (int64_t)(server->worker_count * server->workers[0].buffers.free_max *
                     BUFFER_CHUNK_BYTES);
}

static void pick(struct picks *picks, struct pick candidate) {
    uint32_t place = picks->count;
    while (place > 0 && picks->list[place - 1].bytes < candidate.bytes) {
        place--;
    }
    if (place == PICKS) return;
    if (picks->count < PICKS) picks->count++;
    memmove(&picks->list[place + 1], &picks->list[place],
            (picks->count - place - 1) * sizeof(candidate));
    picks->list[place] = candidate;
}

/* Returns the bytes of all its clients that may be closed: who is exempt (CLIENT NO-EVICT) doesn't cost others their
 * connection, either. Those that are being closed have left the registry. */
static int64_t look_at(struct worker *worker, struct picks *picks) {
    int64_t bytes = 0;
    pthread_mutex_lock(&worker->registry);
    for (const struct client *client = worker->clients; client != NULL; client = client->next) {
        if (atomic_load_explicit(&client->no_evict, memory_order_relaxed)) continue;
        struct pick candidate = {worker, client->id, (int64_t)client_memory(client)};
        bytes += candidate.bytes;
        pick(picks, candidate);
    }
    pthread_mutex_unlock(&worker->registry);
    return bytes;
}

static void evict_worst(void *context, void *subject) {
    (void)subject;
    struct server *server = context;
    struct picks picks = {.count = 0};
    int64_t excess = -clients_memory_max(server);
    for (uint32_t i = 0; i < server->worker_count; i++) {
        excess += look_at(&server->workers[i], &picks);
    }
    for (uint32_t i = 0; i < picks.count && excess > 0; i++) {
        if (worker_evict(picks.list[i].worker, picks.list[i].client_id))
            excess -= picks.list[i].bytes;
    }
    atomic_store_explicit(&server->evicts_clients, false, memory_order_release);
}

void clients_memory_turn(struct worker *worker) {
    struct server *server = worker->server;
    if (!worker->clients_grew && worker->chunks_seen == worker->buffers.allocations) return;
    worker->clients_grew = false;
    worker->chunks_seen = worker->buffers.allocations;
    int64_t max = clients_memory_max(server);
    if (max == 0 || (int64_t)memory_of_clients() <= max + at_rest_max(server)) return;
    if (atomic_exchange_explicit(&server->evicts_clients, true, memory_order_acquire)) return;
    struct job job = {.run = evict_worst, .context = server};
    if (!jobs_try(server->jobs, job))
        atomic_store_explicit(&server->evicts_clients, false, memory_order_relaxed);
}

void clients_memory_evict(struct worker *worker, struct client *client) {
    static const char reason[] = "-ERR closed: clients' buffers pass maxmemory-clients, and this "
                                 "client's were the largest\r\n";
    struct buffer *output = &client->connection.output;
    if (client->gone_by_ms != 0) return; /* it has let go of its buffers, and is about to hang up */
    log_warning_limited(
        "Closing client %llu, whose buffers take %llu bytes: those of all clients pass "
        "maxmemory-clients (%lld bytes)",
        (unsigned long long)client->id, (unsigned long long)client_memory(client),
        (long long)clients_memory_max(worker->server));
    counters_add(&worker->closed_evicted, 1);
    if (!buffer_is_empty(output)) { /* it doesn't read: nothing more can be told */
        worker_close_client(worker, client);
        return;
    }
    buffer_append(output, bytes_of(reason, sizeof(reason) - 1));
    worker_dismiss_client(worker, client);
    batch_told(worker, client);
}
