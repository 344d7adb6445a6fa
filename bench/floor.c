/* The floor: a server that parses nothing and stores nothing. It knows the requests of sherd-bench load by
 * their first byte, and answers each with the same canned reply, over the very engine and buffers that
 * sherd uses: what is left between this and sherd is what parsing, locking, looking up and copying cost. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/options.h"
#include "net/engine.h"
#include "net/listener.h"
#include "server/clock.h"
#include "shards/base/memory.h"

struct floor {
    struct engine *engine;
    struct buffer_pool buffers;
    char *get_reply;
    size_t get_reply_size;
};

struct floor_connection {
    struct connection connection; /* first */
};

/* As in server/call.c: a large value is sent from where it lies. */
enum { REFERENCE_MIN = 16 * 1024 };

static void keep_reply(void *context, void *reply) {
    (void)context;
    (void)reply;
}

static void answer_get(const struct floor *floor, struct buffer *output) {
    struct bytes reply = bytes_of(floor->get_reply, floor->get_reply_size);
    if (reply.size >= REFERENCE_MIN) {
        buffer_append_reference(output, reply, (struct buffer_owner){.release = keep_reply});
    } else {
        buffer_append(output, reply);
    }
}

/* A request of sherd-bench load begins with '*', and nothing else in it is one: requests are counted
 * by that byte. */
static void on_received(void *context, struct connection *connection, struct bytes bytes) {
    struct floor *floor = context;
    const char *at = bytes.data, *end = bytes.data + bytes.size;
    while (at < end && (at = memchr(at, '*', (size_t)(end - at))) != NULL) {
        bool is_set = at + 1 < end && at[1] == '3';
        if (is_set) {
            buffer_append(&connection->output, BYTES("+OK\r\n"));
        } else {
            answer_get(floor, &connection->output);
        }
        at += 24; /* the shortest request is longer */
    }
    if (!buffer_is_empty(&connection->output)) engine_send(floor->engine, connection);
}

static void on_accepted(void *context, int listener_fd, int fd) {
    struct floor *floor = context;
    (void)listener_fd;
    listener_tune(fd, 0);
    struct floor_connection *made = memory_allocate_zeroed(sizeof(*made));
    if (made == NULL) return;
    connection_init(&made->connection, fd, &floor->buffers);
    if (engine_attach(floor->engine, &made->connection) != STATUS_OK) memory_free(made);
}

static void on_accept_failed(void *context, int listener_fd, int error) {
    (void)context, (void)listener_fd;
    fprintf(stderr, "sherd-bench: accept: %s\n", strerror(error));
}
static void on_ended(void *context, struct connection *connection, int error) {
    struct floor *floor = context;
    (void)error;
    engine_close(floor->engine, connection);
}
static void on_sent(void *context, struct connection *connection) {
    (void)context, (void)connection;
}
static void on_released(void *context, struct connection *connection) {
    (void)context;
    memory_free(connection);
}
static void on_woken(void *context) {
    (void)context;
}

static const struct engine_events events = {.accepted = on_accepted,
                                            .accept_failed = on_accept_failed,
                                            .received = on_received,
                                            .ended = on_ended,
                                            .sent = on_sent,
                                            .released = on_released,
                                            .woken = on_woken};

static bool listen_on(struct floor *floor, long long port, const char *path,
                      struct listener listeners[2]) {
    char error[LISTENER_ERROR_MAX];
    if (listener_open_tcp(&listeners[0], "127.0.0.1", (uint16_t)port, 511, error) != STATUS_OK ||
        (path != NULL && listener_open_unix(&listeners[1], path, 0, 511, error) != STATUS_OK)) {
        fprintf(stderr, "sherd-bench: %s\n", error);
        return false;
    }
    return engine_listen(floor->engine, listeners[0].fd) == STATUS_OK &&
           (path == NULL || engine_listen(floor->engine, listeners[1].fd) == STATUS_OK);
}

int floor_run(int argc, char **argv) {
    const char *path = NULL, *io = "auto";
    long long port = 6400, value_bytes = 64, seconds = 600;
    const struct option_row rows[] = {
        {"--port", OPTION_NUMBER, &port},
        {"--unix", OPTION_TEXT, &path},
        {"--io", OPTION_TEXT, &io},
        {"--value-bytes", OPTION_COUNT, &value_bytes},
        {"--seconds", OPTION_NUMBER, &seconds},
    };
    if (!options_read(argc, argv, rows, sizeof(rows) / sizeof(rows[0]))) return EXIT_FAILURE;
    struct floor floor = {0};
    buffer_pool_init(&floor.buffers, 64);
    floor.get_reply = malloc((size_t)value_bytes + 32);
    if (floor.get_reply == NULL) return EXIT_FAILURE;
    size_t head = (size_t)sprintf(floor.get_reply, "$%lld\r\n", value_bytes);
    memset(floor.get_reply + head, 'v', (size_t)value_bytes);
    memcpy(floor.get_reply + head + value_bytes, "\r\n", 2);
    floor.get_reply_size = head + (size_t)value_bytes + 2;

    char text[ENGINE_TEXT_MAX];
    struct engine_options options = {.events = &events,
                                     .context = &floor,
                                     .receive_buffer_count = 256,
                                     .receive_buffer_bytes = 8 * 1024};
    enum engine_kind kind = strcmp(io, "epoll") == 0   ? ENGINE_EPOLL
                            : strcmp(io, "uring") == 0 ? ENGINE_URING
                                                       : ENGINE_AUTO;
    floor.engine = engine_create(kind, &options, text);
    struct listener listeners[2] = {{.fd = -1}, {.fd = -1}};
    if (floor.engine == NULL || !listen_on(&floor, port, path, listeners)) {
        fprintf(stderr, "sherd-bench: %s\n", text);
        return EXIT_FAILURE;
    }
    int64_t end_ns = clock_monotonic_ns() + seconds * INT64_C(1000000000);
    printf("floor: %s, ready on port %lld\n", text, port);
    fflush(stdout);
    while (clock_monotonic_ns() < end_ns && engine_turn(floor.engine, 1000) == STATUS_OK) {
    }
    if (path != NULL) listener_close(&listeners[1]);
    return EXIT_SUCCESS;
}
