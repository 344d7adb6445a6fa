#include "client.h"

#include <stdio.h>
#include <string.h>

#include "net/address.h"
#include "net/tls.h"
#include "server/access/access.h"
#include "shards/base/memory.h"
#include "worker.h"

void client_reset(struct client *client) {
    client->reply.protocol = 2;
    atomic_store_explicit(&client->protocol, 2, memory_order_relaxed);
    atomic_store_explicit(&client->database, 0, memory_order_relaxed);
    atomic_store_explicit(&client->no_evict, false, memory_order_relaxed);
    client->reply_mode = CLIENT_REPLY_ON;
    client->no_touch = false;
    access_enter(client);
}

void client_drop_held(struct client *client) {
    memory_account_clients(-(int64_t)client->held_capacity);
    memory_free(client->held);
    client->held = NULL;
    client->held_size = client->held_capacity = 0;
}

void client_note_output(struct client *client) {
    const struct buffer *output = &client->connection.output;
    atomic_store_explicit(&client->output_bytes, buffer_waiting(output), memory_order_relaxed);
    size_t footprint = buffer_footprint(output);
    if (__builtin_expect(client->connection.tls != NULL, 0))
        footprint += buffer_footprint(client->connection.wire) + tls_footprint(&client->connection);
    atomic_store_explicit(&client->output_memory, footprint, memory_order_relaxed);
}

bool client_is_blocked(const struct client *client) {
    return atomic_load_explicit(&client->waiting_bytes, memory_order_relaxed) != 0 ||
           atomic_load_explicit(&client->is_paused, memory_order_relaxed);
}

uint64_t client_memory(const struct client *client) {
    return sizeof(*client) + atomic_load_explicit(&client->held_bytes, memory_order_relaxed) +
           atomic_load_explicit(&client->output_memory, memory_order_relaxed) +
           atomic_load_explicit(&client->waiting_bytes, memory_order_relaxed);
}

enum status client_set_text(struct client *client, char **field, struct bytes text) {
    char *copy = NULL;
    if (text.size != 0) {
        copy = memory_allocate(text.size + 1);
        if (copy == NULL) return STATUS_NO_MEMORY;
        memcpy(copy, text.data, text.size);
        copy[text.size] = 0;
    }
    pthread_mutex_lock(&client->worker->registry);
    char *before = *field;
    *field = copy;
    pthread_mutex_unlock(&client->worker->registry);
    memory_free(before);
    return STATUS_OK;
}

static const char *or_empty(const char *text) {
    return text != NULL ? text : "";
}

/* Redis's letters; those that can be true here. */
static size_t write_flags(const struct client *client, char *out) {
    size_t size = 0;
    if (client_is_blocked(client)) out[size++] = 'b';
    if (atomic_load_explicit(&client->is_killed, memory_order_relaxed)) out[size++] = 'A';
    if (atomic_load_explicit(&client->no_evict, memory_order_relaxed)) out[size++] = 'e';
    if (atomic_load_explicit(&client->is_monitor, memory_order_relaxed)) out[size++] = 'O';
    if (size == 0) out[size++] = 'N';
    out[size] = 0;
    return size;
}

size_t client_describe(const struct client *client, int64_t now_ms, char *out) {
    char peer[ADDRESS_TEXT_MAX], self[ADDRESS_TEXT_MAX], flags[8];
    address_of_peer(client->connection.fd, peer);
    address_of_self(client->connection.fd, self);
    write_flags(client, flags);
    const struct command *last = atomic_load_explicit(&client->last_command, memory_order_relaxed);
    int size = snprintf(
        out, CLIENT_LINE_MAX,
        "id=%llu addr=%s laddr=%s fd=%d name=%s age=%lld idle=%lld flags=%s db=%u sub=0 psub=0 "
        "ssub=0 multi=-1 watch=0 "
        "qbuf=%llu qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=%llu oll=0 omem=%llu "
        "tot-mem=%llu events=r cmd=%s "
        "user=%s redir=-1 resp=%u lib-name=%s lib-ver=%s tot-net-in=%llu tot-net-out=%llu "
        "tot-cmds=%llu io-thread=%u\n",
        (unsigned long long)client->id, peer, self, client->connection.fd, or_empty(client->name),
        (long long)((now_ms - client->created_ms) / 1000),
        (long long)((now_ms - atomic_load_explicit(&client->active_ms, memory_order_relaxed)) /
                    1000),
        flags, atomic_load_explicit(&client->database, memory_order_relaxed),
        (unsigned long long)atomic_load_explicit(&client->held_bytes, memory_order_relaxed),
        (unsigned long long)atomic_load_explicit(&client->output_bytes, memory_order_relaxed),
        (unsigned long long)atomic_load_explicit(&client->output_memory, memory_order_relaxed),
        (unsigned long long)client_memory(client), last != NULL ? last->name : "NULL",
        client->user->name, atomic_load_explicit(&client->protocol, memory_order_relaxed),
        or_empty(client->library), or_empty(client->library_version),
        (unsigned long long)atomic_load_explicit(&client->connection.received_bytes,
                                                 memory_order_relaxed),
        (unsigned long long)atomic_load_explicit(&client->connection.sent_bytes,
                                                 memory_order_relaxed),
        (unsigned long long)atomic_load_explicit(&client->command_count, memory_order_relaxed),
        client->worker->index);
    if (size < CLIENT_LINE_MAX) return (size_t)size;
    out[CLIENT_LINE_MAX - 2] = '\n'; /* cut, it is still one line */
    return CLIENT_LINE_MAX - 1;
}
