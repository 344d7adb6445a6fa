/* A worker's clients, from the first to the last. Their states, and who makes each transition:
 *
 *      taken in (worker_take_in) ─▶ serving ─▶ suspended (batch.c: paused, throttled) ─▶ serving (on_sent, turn)
 *      serving ─▶ suspended (blocking.c: its command waits) ─▶ serving (batch_answered)
 *      serving ─▶ finishing (QUIT, a protocol error, the peer's end, shutdown): runs nothing more, closes when its replies are sent
 *      finishing ─▶ told that nothing more comes (worker_let_go: dismissed, or a successor serves), until it hangs up
 *      any ─▶ closing (worker_close_client) ─▶ freed (worker_forget_client), when the engine has nothing in flight for it. */
#include <sys/socket.h>
#include <unistd.h>

#include "access/access.h"
#include "admission.h"
#include "blocking.h"
#include "log.h"
#include "net/tls.h"
#include "server.h"
#include "shards/base/check.h"
#include "shards/base/memory.h"
#include "worker.h"

enum { DISMISSAL_MS = 1000 };

static void registry_add(struct worker *worker, struct client *client) {
    pthread_mutex_lock(&worker->registry);
    client->next = worker->clients;
    if (worker->clients != NULL) worker->clients->previous = client;
    worker->clients = client;
    pthread_mutex_unlock(&worker->registry);
}

static void registry_remove(struct worker *worker, struct client *client) {
    pthread_mutex_lock(&worker->registry);
    if (client->previous != NULL) client->previous->next = client->next;
    if (client->next != NULL) client->next->previous = client->previous;
    if (worker->clients == client) worker->clients = client->next;
    pthread_mutex_unlock(&worker->registry);
}

static void free_client(struct client *client) {
    resp_parser_release(&client->parser);
    access_leave(client);
    client_drop_held(client);
    memory_account_clients(-(int64_t)memory_usable(client));
    memory_free(client->name);
    memory_free(client->library);
    memory_free(client->library_version);
    memory_free(client);
}

/* True at once without TLS. False: there is no memory for it. */
static bool begin_tls(struct worker *worker, struct client *client, bool is_tls) {
    if (!is_tls) return true;
    struct tls_context *context = certificates_take(&worker->server->certificates);
    enum status status = tls_begin(&client->connection, worker->engine, context);
    tls_context_drop(context);
    return status == STATUS_OK;
}

/* Who comes and goes, at debug: every one of them, for that is what the level is for. */
static void tell_of_arrival(const struct client *client) {
    if (!log_has(LOG_DEBUG)) return;
    char peer[ADDRESS_TEXT_MAX];
    address_of_peer(client->connection.fd, peer);
    log_debug("Accepted client %llu (%s)", (unsigned long long)client->id, peer);
}

void worker_take_in(struct worker *worker, int fd, bool is_tls) {
    struct server *server = worker->server;
    struct client *client = memory_allocate_zeroed(sizeof(*client));
    if (client == NULL) {
        log_warning_limited("Refusing a connection: no memory for a client");
        close(fd);
        admission_leave(server, worker);
        return;
    }
    memory_account_clients((int64_t)memory_usable(client));
    connection_init(&client->connection, fd, &worker->buffers);
    client->worker = worker;
    client->id = atomic_fetch_add_explicit(&server->next_client_id, 1, memory_order_relaxed);
    client->created_ms = worker->now_ms;
    client->reply.buffer = &client->connection.output;
    client_reset(client);
    atomic_store_explicit(&client->active_ms, worker->now_ms, memory_order_relaxed);
    if (!begin_tls(worker, client, is_tls) ||
        engine_attach(worker->engine, &client->connection) != STATUS_OK) {
        log_warning_limited("Refusing a connection: the engine has no room for it");
        tls_release(&client->connection);
        close(fd);
        free_client(client);
        admission_leave(server, worker);
        return;
    }
    registry_add(worker, client);
    tell_of_arrival(client);
}

void worker_forget_client(struct worker *worker, struct client *client) {
    check(!client->is_touched && client->batched == 0);
    free_client(client);
    admission_leave(worker->server, worker);
}

void worker_close_client(struct worker *worker, struct client *client) {
    if (client->connection.is_closing) return;
    log_debug("Closing client %llu", (unsigned long long)client->id);
    blocking_cancel(client);
    monitor_leave(client);
    registry_remove(worker, client);
    engine_close(worker->engine, &client->connection);
}

/* After a hand-over a client may have sent more, which nobody reads; one that is dismissed, too. To close now would have
 * the kernel say so by a reset, and a reset takes along what the client hasn't read yet. So it is told that nothing
 * more comes, and what it sends is dropped, until it hangs up. */
void worker_let_go(struct worker *worker, struct client *client) {
    bool may_send = worker->is_parting || client->gone_by_ms != 0;
    if (!may_send || client->connection.has_ended) {
        worker_close_client(worker, client);
        return;
    }
    engine_resume_receive(worker->engine, &client->connection);
    tls_bid_farewell(&client->connection);
    if (connection_is_drained(&client->connection)) {
        shutdown(client->connection.fd, SHUT_WR); /* fails when it is gone: then we are told */
    } else {
        engine_send(worker->engine, &client->connection); /* the farewell; then again */
    }
}

void worker_finish_client(struct worker *worker, struct client *client) {
    client->is_finishing = true;
    blocking_cancel(client);
    monitor_leave(client);
    if (client->is_touched) return; /* settling decides */
    if (connection_is_drained(&client->connection)) worker_let_go(worker, client);
}

void worker_dismiss_client(struct worker *worker, struct client *client) {
    client->gone_by_ms = worker->now_ms + DISMISSAL_MS;
    worker->has_dismissed = true;
    if (client->view == NULL) client_drop_held(client); /* else settling does */
    worker_finish_client(worker, client);
}

struct client *worker_find_client(struct worker *worker, uint64_t id) {
    /* Only this thread changes the list, so it reads without the lock. */
    for (struct client *client = worker->clients; client != NULL; client = client->next) {
        if (client->id == id) return client;
    }
    return NULL;
}
