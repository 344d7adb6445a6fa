/* A batch gathers the requests of a whole turn, across pipelines and across connections, so that their
 * memory is fetched together (see dispatch.c), and each client's replies leave in one send.
 *
 *      view   ├── executed ──┼── in the batch ──┼── not whole yet ──┤
 *                            ▲ executed         ▲ parsed            ▲ view_size
 *
 * 1. The view is the engine's buffer, or `held` when part of a request waited there. Arguments point into it, so it
 *    neither moves nor is reused before its requests are run: input for a client that has requests in the batch runs the batch first.
 * 2. A request that may not run (paused, replies not drained, the one before it waits) is not consumed: `executed`
 *    stays before it, later ones of that client are passed over, and settling keeps everything from there for
 *    another parse.
 * 3. After settling, a client has no view; it holds exactly the bytes that are not executed, often none. */
#include "batch.h"

#include <stdio.h>
#include <string.h>

#include "access/access.h"
#include "clients_memory.h"
#include "clock.h"
#include "dispatch.h"
#include "follow.h"
#include "gate.h"
#include "log.h"
#include "monitor.h"
#include "net/address.h"
#include "server.h"
#include "shards/base/memory.h"

enum {
    HELD_MIN = 1024, /* bytes of the first allocation for what is not whole */
    /* What is kept of a client that has to wait before no more is read of it, but for what is on its way. */
    HELD_SUSPENDED_MAX = 1024 * 1024,
    /* The longest request of who has not logged in, with its headers: ten arguments of 16 KiB. */
    HELD_UNTRUSTED_MAX = RESP_ARGUMENTS_UNTRUSTED_MAX * (RESP_BULK_UNTRUSTED_MAX + 16) + 1024,
};

/* ---- Holding what is not whole --------------------------------------------------------------- */

static bool held_reserve(struct client *client, size_t capacity) {
    if (capacity <= client->held_capacity) return true;
    char *grown = memory_resize(client->held, capacity);
    if (grown == NULL) return false;
    capacity = memory_usable(grown);
    memory_account_clients((int64_t)capacity - (int64_t)client->held_capacity);
    client->held = grown;
    client->held_capacity = capacity;
    client->worker->clients_grew = true;
    return true;
}

/* Append, doubling; a request whose size is known gets its room at once, so that a large value is not
 * copied as it grows. */
static bool held_append(struct worker *worker, struct client *client, struct bytes bytes) {
    size_t needed = client->held_size + bytes.size;
    if (needed > client->held_capacity) {
        size_t capacity =
            client->held_capacity * 2 > HELD_MIN ? client->held_capacity * 2 : HELD_MIN;
        if (capacity < needed) capacity = needed;
        if (capacity < client->parser.needed_bytes) capacity = client->parser.needed_bytes;
        if (!held_reserve(client, capacity) && !held_reserve(client, needed)) {
            log_warning_limited(
                "Closing client %llu: no memory for its request of %zu bytes and more",
                (unsigned long long)client->id, needed);
            worker_close_client(worker, client);
            return false;
        }
    }
    memcpy(client->held + client->held_size, bytes.data, bytes.size);
    client->held_size = needed;
    return true;
}

static void touch(struct worker *worker, struct client *client) {
    if (client->is_touched) return;
    const struct config_buffer_limit *limits = worker->server->config->client_output_buffer_limit;
    client->connection.output.bytes_max = (size_t)config_number(&limits[CLIENTS_NORMAL].hard_bytes);
    client->is_touched = true;
    client->next_touched = worker->touched;
    worker->touched = client;
}

/* ---- Running --------------------------------------------------------------------------------- */

static void suspend_paused(struct worker *worker, struct client *client) {
    client->is_suspended = true;
    atomic_store_explicit(&client->is_paused, true, memory_order_relaxed);
    worker->has_paused = true;
}

/* What a client sends stays in its socket, and stops it there. */
static void stop_receiving(struct client *client) {
    if (!client->is_unread) engine_pause_receive(client->connection.engine, &client->connection);
    client->is_unread = true;
}

static void suspend_throttled(struct client *client) {
    if (client->is_throttled) return;
    client->is_suspended = client->is_throttled = true;
    stop_receiving(client);
}

static void close_for_output(struct worker *worker, struct client *client, const char *reason) {
    char peer[ADDRESS_TEXT_MAX];
    address_of_peer(client->connection.fd, peer);
    log_warning_limited("Closing client %llu (%s): %s", (unsigned long long)client->id, peer,
                        reason);
    counters_add(&worker->closed_output_limit, 1);
    worker_close_client(worker, client);
}

/* After a command: is the client still to be served? */
static void check_output(struct worker *worker, struct client *client) {
    struct buffer *output = &client->connection.output;
    if (__builtin_expect(output->has_failed, 0)) {
        close_for_output(worker, client,
                         output->lacks_memory
                             ? "there is no memory for its replies"
                             : "its unsent replies pass client-output-buffer-limit");
    } else if (__builtin_expect(buffer_waiting(output) > OUTPUT_THROTTLE_BYTES, 0)) {
        suspend_throttled(client);
    }
}

static bool may_run(const struct client *client) {
    return !client->is_suspended && !client->is_finishing && !client->connection.is_closing;
}

static void run_plainly(struct worker *worker, uint32_t first, uint32_t end) {
    for (uint32_t i = first; i < end; i++) {
        const struct request *request = &worker->batch[i];
        struct client *client = request->client;
        client->batched--;
        if (!may_run(client)) continue;
        if (!dispatch_run(worker, request)) {
            suspend_paused(worker, client);
            continue;
        }
        client->executed = request->end;
        check_output(worker, client);
    }
}

/* The next request that may have a key that is followed: not with one key, the first argument, that isn't. */
static inline uint32_t next_followed(const struct worker *worker, uint32_t at, uint32_t end,
                                     uint64_t below) {
    const struct request *request = worker->batch + at, *last = worker->batch + end;
    while (request < last && request->hash >= below && request->last_key <= 1) {
        request++;
    }
    return (uint32_t)(request - worker->batch);
}

/* Requests for keys that are followed part the range. The look at all others is most of what that takes where all
 * hit: so it isn't `cold`, which would have it made for size. */
__attribute__((noinline)) static void run_followed(struct worker *worker, uint32_t first,
                                                   uint32_t end, uint64_t below) {
    for (uint32_t i = first; (i = next_followed(worker, i, end, below)) < end; i++) {
        const struct request *request = &worker->batch[i];
        if (!follow_wants(worker, request, below)) continue;
        run_plainly(worker, first, i);
        struct sampler_mark before = sampler_mark(worker, request);
        run_plainly(worker, i, i + 1);
        follow_note(worker, request, &before);
        first = i + 1;
    }
    run_plainly(worker, first, end);
}

static inline void run_range(struct worker *worker, uint32_t first, uint32_t end) {
    uint64_t below = follow_below(worker);
    if (__builtin_expect(below != 0, 0)) {
        run_followed(worker, first, end, below);
    } else {
        run_plainly(worker, first, end);
    }
}

static uint64_t calls_of(const struct worker *worker, const struct request *request) {
    return atomic_load_explicit(&worker->commands[request->id].calls, memory_order_relaxed);
}

/* While somebody monitors: each request by itself. One that was refused has not counted as a call. */
__attribute__((noinline, cold)) static void run_monitored(struct worker *worker, uint32_t first,
                                                          uint32_t end) {
    for (uint32_t i = first; i < end; i++) {
        const struct request *request = &worker->batch[i];
        uint64_t calls = request->is_sound ? calls_of(worker, request) : 0;
        run_range(worker, i, i + 1);
        if (request->is_sound && calls_of(worker, request) != calls) monitor_note(worker, request);
    }
}

static inline void run_part(struct worker *worker, uint32_t first, uint32_t end,
                            bool is_monitored) {
    if (__builtin_expect(is_monitored, 0)) {
        run_monitored(worker, first, end);
    } else {
        run_range(worker, first, end);
    }
}

/* Sampled requests part the batch, so that the others pay nothing (sampler.c). */
static void execute(struct worker *worker) {
    uint32_t count = worker->batch_count, first = 0;
    access_keep_up(worker);
    if (count == 0) return;
    bool is_monitored = monitor_is_wanted(worker->server);
    uint64_t begun_ticks = timing_begin_batch(worker);
    dispatch_prefetch(worker->batch, count);
    while (worker->sampler.until_next <= count - first) {
        uint32_t sampled = first + worker->sampler.until_next - 1;
        const struct request *request = &worker->batch[sampled];
        run_part(worker, first, sampled, is_monitored);
        struct sampler_mark before = sampler_mark(worker, request);
        run_part(worker, sampled, sampled + 1, is_monitored);
        sampler_note(worker, request, &before);
        first = sampled + 1;
    }
    worker->sampler.until_next -= count - first;
    run_part(worker, first, count, is_monitored);
    timing_end_batch(worker, begun_ticks);
    if (__builtin_expect(is_monitored, 0)) monitor_publish(worker);
    worker->batch_count = 0;
    resp_arguments_clear(&worker->arguments);
    counters_add(&worker->batches, 1);
}

/* Keep what was not executed, forget the view. */
static void keep_rest(struct worker *worker, struct client *client) {
    size_t rest = client->view_size - client->executed;
    bool is_held = client->view == client->held;
    if (client->executed < client->parsed) resp_parser_release(&client->parser);
    if (rest == 0 || client->is_finishing) {
        client_drop_held(client);
    } else if (is_held) {
        if (client->executed != 0) memmove(client->held, client->held + client->executed, rest);
        client->held_size = rest;
    } else {
        held_append(worker, client, bytes_of(client->view + client->executed, rest));
    }
    client->view = NULL;
    client->view_size = client->parsed = client->executed = 0;
}

/* What it holds is within the limits. False: it goes. */
static bool may_hold(struct worker *worker, struct client *client) {
    uint64_t held_max = (uint64_t)config_number(&worker->server->config->client_query_buffer_limit);
    if (!client->is_trusted && held_max > HELD_UNTRUSTED_MAX) held_max = HELD_UNTRUSTED_MAX;
    if (client->held_size <= held_max) return clients_memory_admit(worker, client);
    log_warning_limited("Closing client %llu: its unfinished request of %zu bytes passes %s",
                        (unsigned long long)client->id, client->held_size,
                        client->is_trusted ? "client-query-buffer-limit"
                                           : "what may wait of who has not logged in");
    counters_add(&worker->closed_query_limit, 1);
    worker_close_client(worker, client);
    return false;
}

static void settle(struct worker *worker, struct client *client) {
    client->is_touched = false;
    if (client->connection.is_closing) return;
    if (client->connection.has_ended && !client->is_suspended) client->is_finishing = true;
    if (client->view != NULL) keep_rest(worker, client);
    if (client->connection.is_closing) return;

    struct buffer *output = &client->connection.output;
    atomic_store_explicit(&client->active_ms, worker->now_ms, memory_order_relaxed);
    size_t held_bytes = client->held_capacity + resp_parser_bytes(&client->parser);
    atomic_store_explicit(&client->held_bytes, held_bytes, memory_order_relaxed);
    client_note_output(client);
    if (client->held_size != 0 && !may_hold(worker, client)) return;
    if (!buffer_is_empty(output)) {
        engine_send(worker->engine, &client->connection);
    } else if (client->is_finishing && connection_is_drained(&client->connection)) {
        worker_let_go(worker, client);
    }
}

void batch_run(struct worker *worker) {
    if (worker->batch_count != 0) execute(worker);
    while (worker->touched != NULL) {
        struct client *client = worker->touched;
        worker->touched = client->next_touched;
        settle(worker, client);
    }
}

/* ---- Parsing --------------------------------------------------------------------------------- */

static void add_request(struct worker *worker, struct client *client,
                        const struct resp_request *parsed) {
    struct request *request = &worker->batch[worker->batch_count++];
    *request = (struct request){
        .client = client,
        .first_argument = (uint32_t)parsed->first,
        .argument_count = parsed->count,
        .end = client->parsed,
    };
    client->batched++;
    if (client->protocol_error == NULL) dispatch_prepare(worker, request);
}

/* An inline command's quotes are decoded in place. So that it can be parsed again when it has to wait, that is a copy,
 * of which a worker has one: what came before is run first. NULL: no memory. */
static char *copy_line(struct worker *worker, const struct client *client, size_t *size) {
    execute(worker);
    if (worker->line == NULL) worker->line = memory_allocate(WORKER_LINE_BYTES);
    if (worker->line == NULL) return NULL;
    const char *line = client->view + client->parsed;
    if (*size > WORKER_LINE_BYTES) *size = WORKER_LINE_BYTES;
    const char *end = memchr(line, '\n', *size);
    if (end != NULL) *size = (size_t)(end - line) + 1;
    return memcpy(worker->line, line, *size);
}

/* Who hasn't logged in may not have much kept. */
static void check_stranger(struct worker *worker, struct client *client) {
    if (client->is_trusted || client->connection.is_closing ||
        buffer_waiting(&client->connection.output) <= OUTPUT_UNTRUSTED_BYTES)
        return;
    char reason[96];
    snprintf(reason, sizeof(reason), "its unsent replies pass %d bytes, and it has not logged in",
             OUTPUT_UNTRUSTED_BYTES);
    close_for_output(worker, client, reason);
}

static void parse(struct worker *worker, struct client *client) {
    struct resp_limits limits = {
        .bulk_bytes_max = (uint64_t)config_number(&worker->server->config->proto_max_bulk_len),
        .is_trusted = client->is_trusted,
    };
    while (client->parsed < client->view_size) {
        /* What comes after AUTH is held to other limits, so until a client is trusted its requests run one by one. */
        if (worker->batch_count == BATCH_MAX || !limits.is_trusted) {
            execute(worker);
            limits.is_trusted = client->is_trusted;
            check_stranger(worker, client);
        }
        if (!may_run(client)) return;
        char *input = client->view + client->parsed;
        size_t size = client->view_size - client->parsed;
        if (*input != '*') {
            input = copy_line(worker, client, &size);
            if (!may_run(client)) return;
        }
        struct resp_request request;
        enum resp_outcome outcome = RESP_NO_MEMORY;
        if (input != NULL)
            outcome =
                resp_parse(&client->parser, input, size, &limits, &worker->arguments, &request);
        if (outcome == RESP_INCOMPLETE) return;
        if (outcome == RESP_NO_MEMORY) {
            log_warning_limited("Closing client %llu: no memory for its request's arguments",
                                (unsigned long long)client->id);
            worker_close_client(worker, client);
            return;
        }
        if (outcome == RESP_INVALID) {
            execute(worker); /* what came before is answered first, under its own name */
            if (!may_run(client)) return;
            memcpy(client->protocol_error_text, request.error, sizeof(client->protocol_error_text));
            client->protocol_error = client->protocol_error_text;
            client->parsed = client->view_size;
            request.first = worker->arguments.count;
            request.count = 0;
            add_request(worker, client, &request);
            return;
        }
        client->parsed += request.size;
        if (request.count != 0) {
            add_request(worker, client, &request);
        } else if (client->batched == 0) {
            client->executed = client->parsed;
        }
    }
}

void batch_receive(struct worker *worker, struct client *client, struct bytes bytes) {
    if (client->is_finishing || client->connection.is_closing) return;
    if (client->view != NULL) batch_run(worker);
    if (client->connection.is_closing) return;
    touch(worker, client);
    if (client->held_size == 0 && !client->is_suspended) {
        client->view = (char *)(uintptr_t)bytes.data;
        client->view_size = bytes.size;
    } else {
        if (!held_append(worker, client, bytes)) return;
        if (client->is_suspended) {
            if (client->held_size > HELD_SUSPENDED_MAX) stop_receiving(client);
            return;
        }
        client->view = client->held;
        client->view_size = client->held_size;
    }
    parse(worker, client);
}

void batch_receive_again(struct client *client) {
    if (client->is_unread) engine_resume_receive(client->connection.engine, &client->connection);
    client->is_unread = false;
}

void batch_resume(struct worker *worker, struct client *client) {
    if (client->view != NULL) batch_run(worker);
    client->is_suspended = client->is_throttled || client_is_blocked(client);
    if (client->is_finishing || client->connection.is_closing || client->is_throttled) return;
    if (client->is_unread && (!client->is_suspended || client->held_size <= HELD_SUSPENDED_MAX))
        batch_receive_again(client);
    if (client->is_suspended) return;
    touch(worker, client);
    if (client->held_size == 0) return;
    client->view = client->held;
    client->view_size = client->held_size;
    parse(worker, client);
}

void batch_told(struct worker *worker, struct client *client) {
    touch(worker, client);
    check_output(worker, client);
}

void batch_answered(struct worker *worker, struct client *client) {
    touch(worker, client);
    check_output(worker, client);
    if (!client->connection.is_closing) batch_resume(worker, client);
}
