#include "server/monitor.h"

#include <stdio.h>
#include <string.h>

#include "net/address.h"
#include "server/batch.h"
#include "server/clock.h"
#include "server/peer.h"
#include "server/redaction.h"
#include "server/server.h"
#include "shards/base/memory.h"

void monitors_release(struct monitors *monitors) {
    text_release(&monitors->lines);
}

/* ---- Who monitors ---------------------------------------------------------------------------- */

void monitor_join(struct client *client) {
    struct worker *worker = client->worker;
    if (client->is_monitor) return;
    atomic_store_explicit(&client->is_monitor, true, memory_order_relaxed);
    client->next_monitor = worker->monitors.first;
    worker->monitors.first = client;
    atomic_fetch_add_explicit(&worker->monitors.count, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&worker->server->monitor_count, 1, memory_order_relaxed);
}

void monitor_leave(struct client *client) {
    struct worker *worker = client->worker;
    if (!client->is_monitor) return;
    struct client **link = &worker->monitors.first;
    while (*link != client) {
        link = &(*link)->next_monitor;
    }
    *link = client->next_monitor;
    atomic_store_explicit(&client->is_monitor, false, memory_order_relaxed);
    atomic_fetch_sub_explicit(&worker->monitors.count, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&worker->server->monitor_count, 1, memory_order_relaxed);
}

bool monitor_is_wanted(const struct server *server) {
    return atomic_load_explicit(&server->monitor_count, memory_order_relaxed) != 0;
}

/* ---- A line ---------------------------------------------------------------------------------- */

/* As Redis quotes: what doesn't print is escaped. */
static void add_quoted(struct text *out, struct bytes bytes) {
    static const char escaped[] = "\\\"\n\r\t\a\b", letters[] = "\\\"nrtab";
    text_add(out, BYTES(" \""));
    for (size_t i = 0, plain = 0; i <= bytes.size; i++) {
        unsigned char byte = i < bytes.size ? (unsigned char)bytes.data[i] : 0;
        const char *found = byte != 0 ? strchr(escaped, byte) : NULL;
        if (found == NULL && byte >= ' ' && byte <= '~') continue;
        if (i > plain) text_add(out, bytes_of(bytes.data + plain, i - plain));
        plain = i + 1;
        if (i == bytes.size) break;
        if (found != NULL) {
            text_format(out, "\\%c", letters[found - escaped]);
        } else {
            text_format(out, "\\x%02x", byte);
        }
    }
    text_add(out, BYTES("\""));
}

static void add_client(struct text *out, const struct client *client) {
    char peer[ADDRESS_TEXT_MAX];
    size_t size = address_of_peer(client->connection.fd, peer);
    uint32_t database = atomic_load_explicit(&client->database, memory_order_relaxed);
    if (peer_is_unix(client->connection.fd)) {
        text_format(out, " [%u unix:%.*s]", database, (int)size - 2, peer); /* without ":0" */
    } else {
        text_format(out, " [%u %s]", database, peer);
    }
}

static void count_lost(struct worker *worker) {
    counters_add(&worker->monitors.lost, 1);
}

void monitor_note(struct worker *worker, const struct request *request) {
    const struct command *row = request->row;
    const struct bytes *args = &worker->arguments.data[request->first_argument];
    struct text *lines = &worker->monitors.lines;
    if (row->flags & COMMAND_ADMIN) return;
    size_t size = lines->size, needed = 0;
    for (uint32_t i = 0; i < request->argument_count; i++) {
        needed += args[i].size + 3;
    }
    if (size + needed > MONITOR_BATCH_BYTES) {
        count_lost(worker);
        return;
    }
    int64_t now_us = clock_unix_us();
    text_format(lines, "+%lld.%06d", (long long)(now_us / 1000000), (int)(now_us % 1000000));
    add_client(lines, request->client);
    for (uint32_t i = 0; i < request->argument_count; i++) {
        add_quoted(lines, redaction_hides(row, args, i) ? BYTES(REDACTION_TEXT) : args[i]);
    }
    text_add(lines, BYTES("\r\n"));
}

/* ---- Handing out ----------------------------------------------------------------------------- */

static void show(struct worker *worker, struct bytes lines) {
    for (struct client *client = worker->monitors.first, *next; client != NULL; client = next) {
        next = client->next_monitor; /* it may be closed for its output */
        buffer_append(&client->connection.output, lines);
        batch_told(worker, client);
    }
}

struct monitor_letter {
    struct letter letter; /* first */
    size_t size;
    char lines[];
};

static void open_lines(void *context, struct letter *letter) {
    struct monitor_letter *lines = (struct monitor_letter *)letter;
    show(context, bytes_of(lines->lines, lines->size));
    memory_free(letter);
}

static bool post(struct worker *worker, struct bytes lines) {
    struct monitor_letter *letter = memory_allocate(sizeof(*letter) + lines.size);
    if (letter == NULL) return false;
    letter->letter = (struct letter){.open = open_lines};
    letter->size = lines.size;
    memcpy(letter->lines, lines.data, lines.size);
    if (mailbox_post(&worker->mailbox, &letter->letter)) return true;
    memory_free(letter);
    return false;
}

void monitor_publish(struct worker *worker) {
    struct server *server = worker->server;
    struct text *lines = &worker->monitors.lines;
    if (lines->has_failed) count_lost(worker);
    if (lines->has_failed || lines->size == 0) {
        text_release(lines);
        return;
    }
    for (uint32_t i = 0; i < server->worker_count; i++) {
        struct worker *other = &server->workers[i];
        if (other == worker) {
            show(worker, text_bytes(lines));
        } else if (atomic_load_explicit(&other->monitors.count, memory_order_relaxed) != 0 &&
                   !post(other, text_bytes(lines))) {
            count_lost(worker);
        }
    }
    text_release(lines);
}
