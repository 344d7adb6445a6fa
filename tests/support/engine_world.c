#include "tests/support/engine_world.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- The pattern ----------------------------------------------------------------------------- */

static char pattern_at(uint64_t offset) {
    return (char)(offset * 131 + (offset >> 8) * 7 + (offset >> 16));
}

void pattern_fill(char *data, size_t size, uint64_t offset) {
    for (size_t i = 0; i < size; i++) {
        data[i] = pattern_at(offset + i);
    }
}

static bool pattern_holds(const char *data, size_t size, uint64_t offset) {
    for (size_t i = 0; i < size; i++) {
        if (data[i] != pattern_at(offset + i)) return false;
    }
    return true;
}

/* ---- Events ---------------------------------------------------------------------------------- */

static void on_accepted(void *context, int listener_fd, int fd) {
    struct world *world = context;
    assert_true(listener_fd >= 0);
    assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    assert_true(world->accepted_count < LISTENS_MAX);
    world->accepted[world->accepted_count++] = fd;
}

static void on_accept_failed(void *context, int listener_fd, int error) {
    struct world *world = context;
    assert_true(listener_fd >= 0);
    world->accept_failures++;
    world->accept_error = error;
}

static void on_received(void *context, struct connection *connection, struct bytes bytes) {
    struct world *world = context;
    struct pair *pair = (struct pair *)connection;
    assert_true(bytes.size > 0);
    assert_false(connection->is_closing);
    assert_int_equal(pair->ended_count, 0);
    assert_true(pattern_holds(bytes.data, bytes.size, pair->received));
    assert_true(world->kept_count < SLICES_KEPT_MAX);
    world->kept[world->kept_count++] = (struct kept){bytes.data, bytes.size, pair->received};
    pair->received += bytes.size;
    pair->receive_count++;
    if (pair->is_echoing) {
        buffer_append(&connection->output, bytes);
        engine_send(world->engine, connection);
    }
    if (pair->pauses_when_received) engine_pause_receive(world->engine, connection);
    if (pair->closes_when_received) engine_close(world->engine, connection);
}

static void on_ended(void *context, struct connection *connection, int error) {
    struct world *world = context;
    struct pair *pair = (struct pair *)connection;
    assert_false(connection->is_closing);
    pair->ended_count++;
    pair->end_error = error;
    if (pair->closes_when_ended) engine_close(world->engine, connection);
}

static uint64_t turns_of(const struct world *world) {
    return atomic_load(&world->engine->statistics.turns);
}

static void on_sent(void *context, struct connection *connection) {
    struct world *world = context;
    struct pair *pair = (struct pair *)connection, *other = pair->closes_when_sent;
    assert_false(connection->is_closing);
    pair->sent_count++;
    if (other == NULL || !other->is_open || other->connection.is_closing) return;
    other->closed_turn = turns_of(world);
    engine_close(world->engine, &other->connection);
}

static void on_released(void *context, struct connection *connection) {
    struct pair *pair = (struct pair *)connection;
    assert_true(connection->is_closing);
    assert_true(pair->closed_turn == 0 || pair->closed_turn < turns_of(context));
    pair->released_count++;
    pair->is_open = false;
    memset(connection, 0xA5,
           sizeof *connection); /* whoever still follows a pointer here is found out */
}

static void on_woken(void *context) {
    ((struct world *)context)->woken++;
}

const struct engine_events world_events = {
    .accepted = on_accepted,
    .accept_failed = on_accept_failed,
    .received = on_received,
    .ended = on_ended,
    .sent = on_sent,
    .released = on_released,
    .woken = on_woken,
};

/* ---- The world ------------------------------------------------------------------------------- */

void world_open(struct world *world, struct engine_options options) {
    options.events = &world_events;
    options.context = world;
    buffer_pool_init(&world->pool, 8);
    world->engine = engine_create(world->kind, &options, world->text);
    assert_non_null(world->engine);
}

void world_open_usual(struct world *world) {
    world_open(world,
               (struct engine_options){.receive_buffer_count = 64, .receive_buffer_bytes = 4096});
}

struct pair *world_add_pair(struct world *world, int fd, int peer, uint64_t size) {
    assert_true(world->pair_count < PAIRS_MAX);
    struct pair *pair = &world->pairs[world->pair_count++];
    *pair = (struct pair){.world = world,
                          .is_open = true,
                          .is_echoing = true,
                          .peer = peer,
                          .is_reading = true,
                          .read_max = PIECE_BYTES,
                          .to_write = size};
    connection_init(&pair->connection, fd, &world->pool);
    if (world->tls != NULL) {
        assert_int_equal(tls_begin(&pair->connection, world->engine, world->tls), STATUS_OK);
    }
    assert_int_equal(engine_attach(world->engine, &pair->connection), STATUS_OK);
    return pair;
}

struct pair *world_add_local_pair(struct world *world, uint64_t size) {
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    return world_add_pair(world, ends[0], ends[1], size);
}

int world_listen_anywhere(struct sockaddr_in *address) {
    *address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof *address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)address, size), 0);
    assert_int_equal(listen(fd, LISTENS_MAX), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)address, &size), 0);
    return fd;
}

int world_connect_to(const struct sockaddr_in *address) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)address, sizeof *address), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

struct pair *world_add_tcp_pair(struct world *world, uint64_t size) {
    struct sockaddr_in address;
    int listener = world_listen_anywhere(&address);
    int peer = world_connect_to(&address);
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(fd >= 0);
    close(listener);
    return world_add_pair(world, fd, peer, size);
}

void pair_peer_write(struct pair *pair) {
    char piece[PIECE_BYTES];
    uint64_t left = pair->to_write - pair->written;
    size_t size = left < sizeof piece ? (size_t)left : sizeof piece;
    if (size == 0) return;
    pattern_fill(piece, size, pair->written);
    ssize_t written = send(pair->peer, piece, size, MSG_NOSIGNAL);
    if (written > 0) pair->written += (uint64_t)written;
}

static void peer_read(struct pair *pair) {
    char piece[PIECE_BYTES];
    ssize_t size = recv(pair->peer, piece, pair->read_max, 0);
    if (size == 0) pair->has_seen_end = true;
    if (size <= 0) return;
    assert_true(pattern_holds(piece, (size_t)size, pair->read));
    pair->read += (uint64_t)size;
}

void pair_close_peer(struct pair *pair) {
    close(pair->peer);
    pair->peer = -1;
}

void world_turn(struct world *world, int timeout_ms) {
    world->kept_count = 0;
    assert_int_equal(engine_turn(world->engine, timeout_ms), STATUS_OK);
    for (int i = 0; i < world->kept_count; i++) {
        const struct kept *kept = &world->kept[i];
        assert_true(pattern_holds(kept->data, kept->size, kept->offset));
    }
}

void world_step(struct world *world) {
    for (int i = 0; i < world->pair_count; i++) {
        struct pair *pair = &world->pairs[i];
        if (pair->peer < 0) continue;
        pair_peer_write(pair);
        if (pair->is_reading) peer_read(pair);
    }
    world_turn(world, STEP_MS);
}

void world_step_until(struct world *world, bool (*holds)(const struct world *)) {
    for (int i = 0; i < STEPS_MAX && !holds(world); i++) {
        world_step(world);
    }
    assert_true(holds(world));
}

bool world_all_are_released(const struct world *world) {
    for (int i = 0; i < world->pair_count; i++) {
        if (world->pairs[i].is_open) return false;
    }
    return true;
}

bool world_all_is_echoed(const struct world *world) {
    for (int i = 0; i < world->pair_count; i++) {
        if (world->pairs[i].read < world->pairs[i].to_write) return false;
    }
    return true;
}

bool world_all_is_received(const struct world *world) {
    for (int i = 0; i < world->pair_count; i++) {
        if (world->pairs[i].received < world->pairs[i].to_write) return false;
    }
    return true;
}

bool world_all_have_ended(const struct world *world) {
    for (int i = 0; i < world->pair_count; i++) {
        if (world->pairs[i].ended_count == 0) return false;
    }
    return true;
}

bool world_all_output_is_gone(const struct world *world) {
    for (int i = 0; i < world->pair_count; i++) {
        if (buffer_waiting(&world->pairs[i].connection.output) > 0) return false;
    }
    return true;
}

bool world_all_peers_see_the_end(const struct world *world) {
    for (int i = 0; i < world->pair_count; i++) {
        if (!world->pairs[i].has_seen_end) return false;
    }
    return true;
}

static void close_pairs(struct world *world) {
    for (int i = 0; i < world->pair_count; i++) {
        struct pair *pair = &world->pairs[i];
        if (pair->is_open && !pair->connection.is_closing) {
            engine_close(world->engine, &pair->connection);
        }
    }
}

void world_close(struct world *world) {
    close_pairs(world);
    world_step_until(world, world_all_are_released);
    for (int i = 0; i < world->pair_count; i++) {
        assert_int_equal(world->pairs[i].released_count, 1);
        assert_true(world->pairs[i].ended_count <= 1);
        if (world->pairs[i].peer >= 0) pair_close_peer(&world->pairs[i]);
    }
    engine_destroy(world->engine);
    buffer_pool_release(&world->pool);
}

bool world_is_uring(const struct world *world) {
    return strcmp(engine_name(world->engine), "io_uring") == 0;
}
