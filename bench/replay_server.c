/* A trace against a server, whose limit and policy are the server's own: this finds its hit ratio, not its speed.
 *
 * Pipelined, or a trace of millions would take minutes; but the server must see every key's requests in the trace's
 * order, and a miss's SET before the key's next GET. So a key always goes by the same connection, its hash says which,
 * and the trace is read in windows of connections x depth requests: a window is sent, each miss's SET follows
 * at once on the connection that brought the miss, and the next window begins when all of this one is answered, behind
 * those SETs. What this can't tell from the truth: a key asked for twice in one window may miss twice, as it
 * may in front of any busy cache; --connections 1 --depth 1 rules it out.
 *
 * Slowly, when the policy counts time: Redis's clock of the least recently used ticks once a second, so in a
 * trace that is over after one or two nearly all keys look alike. --rate stretches it: 100,000 requests (20 MB,
 * allkeys-lru, Redis 7.0) hit 62.3 % as fast as they went and 64.9 % at 10,000 a second.
 *
 *      window      GET a, GET b, GET c, GET d           ──▶  the server
 *      replies          hit    miss   hit   miss        ◀──
 *      window               SET b,      SET d, GET e …  ──▶ */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/replay.h"
#include "net/engine.h"
#include "server/clock.h"
#include "shards/base/hash.h"

enum { NO_SLOT = UINT32_MAX, TURN_MS = 100, BUFFERS_KEPT = 64 };

/* A request of the window, kept until it is answered. */
struct replay_slot {
    char key[REQUEST_KEY_MAX];
    struct request request;
};

struct replay_connection {
    struct connection connection; /* first */
    struct reply_reader replies;
    uint32_t
        *asked; /* a ring of `asked_max`: slots of the window; NO_SLOT for a SET after a miss */
    uint32_t asked_oldest, asked_count;
};

/* One thread's. */
struct replay_server {
    struct target target;
    struct engine *engine;
    struct buffer_pool buffers;
    struct replay_connection *connections;
    uint32_t connection_count;
    uint32_t open_count; /* connections that the engine holds */
    struct replay_slot *window;
    uint32_t window_size;
    uint32_t asked_max;   /* a window, and the SETs after the misses of the one before */
    uint32_t window_left; /* of the window, not yet answered */
    uint32_t asked_left;  /* of all requests */
    double interval_ns;   /* from one request to the next, at least */
    struct replay *replay;
    bool has_failed;
};

/* ---- Asking ---------------------------------------------------------------------------------- */

static void ask(struct replay_server *server, struct replay_connection *to,
                const struct request *request, uint32_t slot) {
    char head[REQUEST_HEAD_MAX];
    size_t size = server->target.protocol->write_head(head, request);
    buffer_append(&to->connection.output, bytes_of(head, size));
    if (request->kind == REQUEST_SET) {
        buffer_append(&to->connection.output,
                      bytes_of(server->replay->value, request->value_bytes));
        buffer_append(&to->connection.output, PROTOCOL_LINE_END);
    }
    to->asked[(to->asked_oldest + to->asked_count++) % server->asked_max] = slot;
    server->asked_left++;
    engine_send(server->engine, &to->connection);
}

static struct replay_connection *connection_of(const struct replay_server *server,
                                               struct bytes key) {
    return &server->connections[hash_fold(hash_fnv1a(key)) % server->connection_count];
}

/* Send the trace's next requests. False when there are none. */
static bool ask_window(struct replay_server *server) {
    uint32_t count = 0;
    for (; count < server->window_size; count++) {
        struct replay_slot *slot = &server->window[count];
        if (!replay_next(server->replay, &slot->request)) break;
        memcpy(slot->key, slot->request.key.data, slot->request.key.size);
        slot->request.key.data = slot->key;
        ask(server, connection_of(server, slot->request.key), &slot->request, count);
    }
    server->window_left = count;
    return count != 0;
}

/* ---- Answers --------------------------------------------------------------------------------- */

static void take_reply(struct replay_server *server, struct replay_connection *from,
                       enum reply_kind kind) {
    uint32_t asked = from->asked[from->asked_oldest];
    from->asked_oldest = (from->asked_oldest + 1) % server->asked_max;
    from->asked_count--;
    server->asked_left--;
    if (kind == REPLY_ERROR) server->replay->errors++;
    if (asked == NO_SLOT) return;
    server->window_left--;
    struct request set = server->window[asked].request;
    if (set.kind != REQUEST_GET) return;
    replay_count(server->replay, set.value_bytes, kind == REPLY_VALUE);
    if (kind != REPLY_ABSENT) return;
    set.kind = REQUEST_SET;
    ask(server, from, &set, NO_SLOT);
}

static void on_received(void *context, struct connection *connection, struct bytes bytes) {
    struct replay_server *server = context;
    struct replay_connection *from = (struct replay_connection *)connection;
    enum reply_kind kind;
    while (!server->has_failed &&
           reply_next(&from->replies, server->target.protocol, &bytes, &kind)) {
        server->has_failed = from->asked_count == 0;
        if (!server->has_failed) take_reply(server, from, kind);
    }
}

static void on_ended(void *context, struct connection *connection, int error) {
    struct replay_server *server = context;
    (void)connection;
    if (!server->has_failed) target_complain_ended(error);
    server->has_failed = true;
}

static void on_released(void *context, struct connection *connection) {
    struct replay_server *server = context;
    (void)connection;
    server->open_count--;
}

static void on_sent(void *context, struct connection *connection) {
    (void)context, (void)connection;
}
static void on_woken(void *context) {
    (void)context;
}

static const struct engine_events events = {.received = on_received,
                                            .ended = on_ended,
                                            .sent = on_sent,
                                            .released = on_released,
                                            .woken = on_woken};

static void wait_until_none(struct replay_server *server, const uint32_t *left) {
    while (!server->has_failed && *left != 0) {
        if (engine_turn(server->engine, TURN_MS) != STATUS_OK) server->has_failed = true;
    }
}

/* Sleep until so many requests may have been sent since then. */
static void keep_pace(const struct replay_server *server, int64_t begun_ns) {
    double due_ns = (double)begun_ns + (double)server->replay->requests * server->interval_ns;
    double early_ns = due_ns - (double)clock_monotonic_ns();
    if (early_ns > 0) usleep((useconds_t)(early_ns / 1000));
}

bool replay_on_server(struct replay *replay, struct replay_server *server) {
    server->replay = replay;
    ask(server, &server->connections[0], &(struct request){.kind = REQUEST_FLUSH}, NO_SLOT);
    wait_until_none(server, &server->asked_left);
    int64_t begun_ns = clock_monotonic_ns();
    while (!server->has_failed && ask_window(server)) {
        wait_until_none(server, &server->window_left);
        keep_pace(server, begun_ns);
    }
    wait_until_none(server, &server->asked_left);
    return !server->has_failed;
}

/* ---- Connecting ------------------------------------------------------------------------------ */

static bool connect_one(struct replay_server *server, struct replay_connection *made) {
    made->asked = calloc(server->asked_max, sizeof(*made->asked));
    if (made->asked == NULL ||
        !target_attach(&server->target, server->engine, &server->buffers, &made->connection))
        return false;
    server->open_count++;
    return true;
}

static bool connect_all(struct replay_server *server) {
    server->window = calloc(server->window_size, sizeof(*server->window));
    server->connections = calloc(server->connection_count, sizeof(*server->connections));
    if (server->window == NULL || server->connections == NULL) return false;
    for (uint32_t i = 0; i < server->connection_count; i++) {
        if (!connect_one(server, &server->connections[i])) return false;
    }
    return true;
}

struct replay_server *replay_server_create(const struct replay_server_options *options) {
    struct replay_server *server = calloc(1, sizeof(*server));
    if (server == NULL) return NULL;
    server->target = options->target;
    server->connection_count = (uint32_t)options->connections;
    server->window_size = (uint32_t)(options->connections * options->depth);
    server->interval_ns = options->rate > 0 ? 1e9 / options->rate : 0;
    server->asked_max = 2 * server->window_size;
    buffer_pool_init(&server->buffers, BUFFERS_KEPT);
    server->engine = target_engine(&events, server);
    if (server->engine != NULL && connect_all(server)) return server;
    replay_server_destroy(server);
    return NULL;
}

void replay_server_destroy(struct replay_server *server) {
    for (uint32_t i = 0, open = server->open_count; i < open; i++) {
        engine_close(server->engine, &server->connections[i].connection);
    }
    server->has_failed = false; /* whatever broke before, wait for the last operations */
    wait_until_none(server, &server->open_count);
    for (uint32_t i = 0; server->connections != NULL && i < server->connection_count; i++) {
        free(server->connections[i].asked);
    }
    if (server->engine != NULL) engine_destroy(server->engine);
    buffer_pool_release(&server->buffers);
    free(server->connections);
    free(server->window);
    free(server);
}
