/* What is counted is heap memory, where it is allocated and freed (memory_account_clients): `struct client`, the input
 * it holds, and chunks of replies. A large value that is sent from where it lies is the store's. Chunks at rest in the
 * workers' pools are counted there as well, and nobody's: each worker tells how many it has, and these are taken off.
 * What a command needs while it runs (LCS, KEYS) is counted with it, for no key should go for that either, but is no
 * client's part: nobody is closed for it.
 *
 * Whom to close is found by a job, since it looks at every client of every worker. It takes those that take most, a
 * few at a time, until what the others take is within the limit. A worker that is told to close one does so in its
 * own time; the job doesn't count that one any more. Only a request that passes the limit by itself doesn't wait for
 * the job: it might be whole by then, and would be run.
 *
 * How exact that is. Input is looked at in the turn in which it grows, and so are replies that need memory from the
 * allocator. Those that take chunks from rest are once there are TAKEN_MIN of them, so 64 KiB a worker may be beyond
 * the limit, until the next tick. Less would have the memory of all summed up in nearly every turn of a busy worker.
 * What another worker says of its rest is as of its last turn: too little of it, where it has sent since, costs a job
 * that finds nobody to close.
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

enum {
    MAX_AT_LEAST = 16 * 1024 * 1024,
    PICKS = 16,
    TAKEN_MIN = 64 * 1024 / BUFFER_CHUNK_BYTES, /* chunks */
};

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

static int64_t bytes_at_rest(const struct server *server) {
    int64_t chunks = 0;
    for (uint32_t i = 0; i < server->worker_count; i++) {
        chunks += atomic_load_explicit(&server->workers[i].chunks_at_rest, memory_order_relaxed);
    }
    return chunks * BUFFER_CHUNK_BYTES;
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
 * connection, either, nor does who is to go already. Those that are being closed have left the registry. */
static int64_t look_at(struct worker *worker, struct picks *picks) {
    int64_t bytes = 0;
    pthread_mutex_lock(&worker->registry);
    for (const struct client *client = worker->clients; client != NULL; client = client->next) {
        if (atomic_load_explicit(&client->no_evict, memory_order_relaxed) ||
            atomic_load_explicit(&client->is_evicted, memory_order_relaxed))
            continue;
        struct pick candidate = {worker, client->id, (int64_t)client_memory(client)};
        bytes += candidate.bytes;
        pick(picks, candidate);
    }
    pthread_mutex_unlock(&worker->registry);
    return bytes;
}

/* What it takes is as good as given back: another look doesn't close a second one for it. */
static void mark_evicted(const struct pick *pick) {
    pthread_mutex_lock(&pick->worker->registry);
    for (struct client *client = pick->worker->clients; client != NULL; client = client->next) {
        if (client->id == pick->client_id)
            atomic_store_explicit(&client->is_evicted, true, memory_order_relaxed);
    }
    pthread_mutex_unlock(&pick->worker->registry);
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
        const struct pick *worst = &picks.list[i];
        if (!worker_evict(worst->worker, worst->client_id)) continue;
        mark_evicted(worst);
        excess -= worst->bytes;
    }
    atomic_store_explicit(&server->evicts_clients, false, memory_order_release);
}

/* Says what is at rest, too: when it has become more, and when clients have grown. */
static bool have_clients_grown(struct worker *worker) {
    uint32_t at_rest = (uint32_t)worker->buffers.free_count;
    uint32_t told = atomic_load_explicit(&worker->chunks_at_rest, memory_order_relaxed);
    bool have_grown = worker->clients_grew || worker->chunks_seen != worker->buffers.allocations ||
                      at_rest + TAKEN_MIN <= told;
    if (have_grown || at_rest > told)
        atomic_store_explicit(&worker->chunks_at_rest, at_rest, memory_order_relaxed);
    worker->clients_grew = false;
    worker->chunks_seen = worker->buffers.allocations;
    return have_grown;
}

void clients_memory_turn(struct worker *worker) {
    struct server *server = worker->server;
    if (!have_clients_grown(worker)) return;
    int64_t max = clients_memory_max(server);
    if (max == 0 || (int64_t)memory_of_clients() - bytes_at_rest(server) <= max) return;
    if (atomic_exchange_explicit(&server->evicts_clients, true, memory_order_acquire)) return;
    struct job job = {.run = evict_worst, .context = server};
    if (!jobs_try(server->jobs, job))
        atomic_store_explicit(&server->evicts_clients, false, memory_order_relaxed);
}

static void tell_of(struct worker *worker, const struct client *client) {
    log_warning_limited(
        "Closing client %llu, whose buffers take %llu bytes: those of all clients pass "
        "maxmemory-clients (%lld bytes)",
        (unsigned long long)client->id, (unsigned long long)client_memory(client),
        (long long)clients_memory_max(worker->server));
    counters_add(&worker->closed_evicted, 1);
}

/* What it was replied before goes first. */
static void dismiss(struct worker *worker, struct client *client) {
    static const char reason[] = "-ERR closed: clients' buffers pass maxmemory-clients, and this "
                                 "client's were the largest\r\n";
    buffer_append(&client->connection.output, bytes_of(reason, sizeof(reason) - 1));
    worker_dismiss_client(worker, client);
    batch_told(worker, client);
}

bool clients_memory_admit(struct worker *worker, struct client *client) {
    int64_t max = clients_memory_max(worker->server);
    if (max == 0 || (int64_t)client->held_capacity <= max) return true;
    if (atomic_load_explicit(&client->no_evict, memory_order_relaxed)) return true;
    tell_of(worker, client);
    dismiss(worker, client);
    return false;
}

void clients_memory_evict(struct worker *worker, struct client *client) {
    if (client->gone_by_ms != 0) return; /* it has let go of its buffers, and is about to hang up */
    tell_of(worker, client);
    if (buffer_is_empty(&client->connection.output)) {
        dismiss(worker, client);
    } else { /* it doesn't read: nothing more can be told */
        worker_close_client(worker, client);
    }
}
