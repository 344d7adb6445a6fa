#include "timeouts.h"

#include "client.h"
#include "config.h"
#include "log.h"
#include "net/tls.h"
#include "server.h"
#include "worker.h"

enum { HANDSHAKE_MS = 10 * 1000 /* for a TLS client's handshake; or `timeout`, if less */ };

/* A worker that was away lets the time begin again: what came meanwhile, it has not looked at. */
static bool is_stalled(const struct worker *worker, const struct client *client,
                       int64_t timeout_ms) {
    int64_t since_ms = client->created_ms > worker->back_ms ? client->created_ms : worker->back_ms;
    return worker->now_ms - since_ms > timeout_ms;
}

/* A client that waits for us, a monitor for others' commands, isn't idle. */
static bool is_idle(const struct worker *worker, const struct client *client, int64_t timeout_ms) {
    bool is_monitor = atomic_load_explicit(&client->is_monitor, memory_order_relaxed);
    if (timeout_ms == 0 || is_monitor || client_is_blocked(client)) return false;
    int64_t active_ms = atomic_load_explicit(&client->active_ms, memory_order_relaxed);
    return worker->now_ms - active_ms > timeout_ms;
}

void timeouts_close(struct worker *worker) {
    int64_t idle_ms = config_number(&worker->server->config->timeout) * 1000; /* 0: for ever */
    int64_t handshake_ms = idle_ms == 0 || idle_ms > HANDSHAKE_MS ? HANDSHAKE_MS : idle_ms;
    const _Atomic uint64_t *handshakes = &worker->engine->statistics.handshakes_open;
    bool has_handshakes = atomic_load_explicit(handshakes, memory_order_relaxed) != 0;
    if (idle_ms == 0 && !has_handshakes && !worker->has_dismissed) return;

    worker->has_dismissed = false;
    for (struct client *client = worker->clients, *next; client != NULL; client = next) {
        next = client->next;
        bool is_established = tls_is_established(&client->connection);
        if (client->gone_by_ms != 0) {
            worker->has_dismissed = true;
            if (worker->now_ms >= client->gone_by_ms) worker_close_client(worker, client);
        } else if (!is_established && is_stalled(worker, client, handshake_ms)) {
            log_verbose_limited("Closing client %llu: its TLS handshake takes longer than %lld ms",
                                (unsigned long long)client->id, (long long)handshake_ms);
            counters_add(&worker->closed_idle, 1);
            worker_close_client(worker, client);
        } else if (is_established && is_idle(worker, client, idle_ms)) {
            log_verbose_limited("Closing idle client %llu", (unsigned long long)client->id);
            counters_add(&worker->closed_idle, 1);
            worker_close_client(worker, client);
        }
    }
}
