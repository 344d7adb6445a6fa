#include "busiest.h"

#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "server/access/user.h"
#include "server/client.h"
#include "server/command.h"
#include "server/server.h"

#define LOAD(field) atomic_load_explicit(&(field), memory_order_relaxed)

static uint64_t rate_of(const struct client *client, int64_t now_ms) {
    int64_t age_ms = now_ms - client->created_ms;
    return LOAD(client->command_count) * 1000 / (uint64_t)(age_ms > 0 ? age_ms + 1000 : 1000);
}

/* What only its worker's registry keeps. */
static void describe(const struct client *client, int64_t now_ms, struct busy_client *out) {
    const struct command *last = LOAD(client->last_command);
    out->id = client->id;
    out->commands = LOAD(client->command_count);
    out->bytes = client_memory(client);
    out->idle_ms = now_ms - LOAD(client->active_ms);
    out->worker = client->worker->index;
    out->database = LOAD(client->database);
    out->last_command = last != NULL ? last->name : "";
    address_of_peer(client->connection.fd, out->from);
    snprintf(out->name, sizeof(out->name), "%s", client->name != NULL ? client->name : "");
    snprintf(out->user, sizeof(out->user), "%s", client->user->name);
}

/* The busiest of one worker and of those that `out` has, which are described already; two steps, so that the kernel is
 * asked for few. */
static uint32_t add_worker(struct worker *worker, int64_t now_ms, struct busy_client *out,
                           uint32_t count) {
    const struct client *found[BUSIEST_MAX] = {NULL}; /* beside `out`; NULL: of another worker */
    pthread_mutex_lock(&worker->registry);
    for (const struct client *client = worker->clients; client != NULL; client = client->next) {
        uint64_t rate = rate_of(client, now_ms);
        if (count == BUSIEST_MAX && rate <= out[count - 1].rate) continue;
        uint32_t at = count < BUSIEST_MAX ? count++ : count - 1;
        for (; at > 0 && out[at - 1].rate < rate; at--) {
            out[at] = out[at - 1];
            found[at] = found[at - 1];
        }
        out[at].rate = rate;
        found[at] = client;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (found[i] != NULL) describe(found[i], now_ms, &out[i]);
    }
    pthread_mutex_unlock(&worker->registry);
    return count;
}

uint32_t busiest_find(const struct server *server, int64_t now_ms,
                      struct busy_client out[BUSIEST_MAX]) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < server->worker_count; i++) {
        count = add_worker(&server->workers[i], now_ms, out, count);
    }
    return count;
}
