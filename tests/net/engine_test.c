/* Both engines, held to net/engine.h: every test runs on each of them.
 *
 * No threads but where waking is tested: a world is one engine and some pairs of a connection and its peer, and a step lets every peer
 * do what its socket allows just now, then runs a turn. So a test is: set up, step until a claim holds (within STEPS_MAX), check.
 *
 * What travels is a pattern in which every byte depends on its offset. It is checked on arrival at both ends, and what a turn
 * delivered is checked again after the turn, as it must stay valid until the next. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "net/engine.h"

enum {
    PAIRS_MAX = 128,
    LISTENS_MAX = 128,
    SLICES_KEPT_MAX = 4096,
    STEPS_MAX = 200 * 1000,
    STEP_MS = 1,
    PIECE_BYTES = 64 * 1024,   /* a peer reads and writes at most so much at once */
    TURN_LIMIT_MS = 10 * 1000, /* for a turn that must end by itself */
};

struct world;

/* A connection, and the other end of its socket. */
struct pair {
    struct connection connection; /* first: events give it back */
    struct world *world;
    bool is_open;
    /* What the connection does in its events. */
    bool is_echoing, pauses_when_received, closes_when_received, closes_when_ended;
    uint64_t received;
    unsigned receive_count, ended_count, released_count, sent_count;
    int end_error;
    /* What the peer does, and has seen. */
    int peer; /* -1: closed */
    bool is_reading;
    bool has_seen_end;
    size_t read_max;
    uint64_t to_write, written, read;
};

struct kept {
    const char *data;
    size_t size;
    uint64_t offset;
};

struct world {
    enum engine_kind kind;
    struct engine *engine;
    struct buffer_pool pool;
    char text[ENGINE_TEXT_MAX];
    struct pair pairs[PAIRS_MAX];
    int pair_count;
    int accepted[LISTENS_MAX];
    int accepted_count;
    int accept_failures, accept_error;
    unsigned woken;
    struct kept kept[SLICES_KEPT_MAX]; /* what this turn delivered */
    int kept_count;
    struct rlimit files; /* as they were before the test */
};

/* ---- The pattern ---------------------------------------------------------------------------------------------------- */

static char pattern_at(uint64_t offset) {
    return (char)(offset * 131 + (offset >> 8) * 7 + (offset >> 16));
}

static void pattern_fill(char *data, size_t size, uint64_t offset) {
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

/* ---- Events --------------------------------------------------------------------------------------------------------- */

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

static void on_sent(void *context, struct connection *connection) {
    (void)context;
    assert_false(connection->is_closing);
    ((struct pair *)connection)->sent_count++;
}

static void on_released(void *context, struct connection *connection) {
    (void)context;
    struct pair *pair = (struct pair *)connection;
    assert_true(connection->is_closing);
    pair->released_count++;
    pair->is_open = false;
    memset(connection, 0xA5,
           sizeof *connection); /* whoever still follows a pointer here is found out */
}

static void on_woken(void *context) {
    ((struct world *)context)->woken++;
}

static const struct engine_events events = {
    .accepted = on_accepted,
    .accept_failed = on_accept_failed,
    .received = on_received,
    .ended = on_ended,
    .sent = on_sent,
    .released = on_released,
    .woken = on_woken,
};

/* ---- The world ------------------------------------------------------------------------------------------------------ */

static void open_world(struct world *world, struct engine_options options) {
    options.events = &events;
    options.context = world;
    buffer_pool_init(&world->pool, 8);
    world->engine = engine_create(world->kind, &options, world->text);
    assert_non_null(world->engine);
}

static void open_usual_world(struct world *world) {
    open_world(world,
               (struct engine_options){.receive_buffer_count = 64, .receive_buffer_bytes = 4096});
}

/* What these are for is echoing `size` bytes, unless the test says otherwise. */
static struct pair *add_pair(struct world *world, int fd, int peer, uint64_t size) {
    assert_true(world->pair_count < PAIRS_MAX);
    struct pair *pair = &world->pairs[world->pair_count++];
    *pair = (struct pair){.world = world,
                          .is_open = true,
                          .is_echoing = true,
                          .peer = peer,
                          .is_reading = true,
                          .read_max = PIECE_BYTES,
                          .to_write = size};
    connection_init(&pair->connection, fd, &world->pool, 0);
    assert_int_equal(engine_attach(world->engine, &pair->connection), STATUS_OK);
    return pair;
}

static struct pair *add_local_pair(struct world *world, uint64_t size) {
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    return add_pair(world, ends[0], ends[1], size);
}

static int listen_anywhere(struct sockaddr_in *address) {
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

/* A connection in the listener's queue: loopback needs nobody to accept it. */
static int connect_to(const struct sockaddr_in *address) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)address, sizeof *address), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

static struct pair *add_tcp_pair(struct world *world, uint64_t size) {
    struct sockaddr_in address;
    int listener = listen_anywhere(&address);
    int peer = connect_to(&address);
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(fd >= 0);
    close(listener);
    return add_pair(world, fd, peer, size);
}

static void peer_write(struct pair *pair) {
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

static void close_peer(struct pair *pair) {
    close(pair->peer);
    pair->peer = -1;
}

/* One turn; then what it delivered must still be there. */
static void turn(struct world *world, int timeout_ms) {
    world->kept_count = 0;
    assert_int_equal(engine_turn(world->engine, timeout_ms), STATUS_OK);
    for (int i = 0; i < world->kept_count; i++) {
        const struct kept *kept = &world->kept[i];
        assert_true(pattern_holds(kept->data, kept->size, kept->offset));
    }
}

static void step(struct world *world) {
    for (int i = 0; i < world->pair_count; i++) {
        struct pair *pair = &world->pairs[i];
        if (pair->peer < 0) continue;
        peer_write(pair);
        if (pair->is_reading) peer_read(pair);
    }
    turn(world, STEP_MS);
}

static void step_until(struct world *world, bool (*holds)(const struct world *)) {
    for (int i = 0; i < STEPS_MAX && !holds(world); i++) {
        step(world);
    }
    assert_true(holds(world));
}

static bool all_are_released(const struct world *world) {
    for (int i = 0; i < world->pair_count; i++) {
        if (world->pairs[i].is_open) return false;
    }
    return true;
}

static bool all_is_echoed(const struct world *world) {
    for (int i = 0; i < world->pair_count; i++) {
        if (world->pairs[i].read < world->pairs[i].to_write) return false;
    }
    return true;
}

static bool all_is_received(const struct world *world) {
    for (int i = 0; i < world->pair_count; i++) {
        if (world->pairs[i].received < world->pairs[i].to_write) return false;
    }
    return true;
}

static bool all_have_ended(const struct world *world) {
    for (int i = 0; i < world->pair_count; i++) {
        if (world->pairs[i].ended_count == 0) return false;
    }
    return true;
}

static bool all_output_is_gone(const struct world *world) {
    for (int i = 0; i < world->pair_count; i++) {
        if (buffer_waiting(&world->pairs[i].connection.output) > 0) return false;
    }
    return true;
}

static bool all_peers_see_the_end(const struct world *world) {
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

/* Whatever the test was about: each connection is released once, and nothing is left. */
static void close_world(struct world *world) {
    close_pairs(world);
    step_until(world, all_are_released);
    for (int i = 0; i < world->pair_count; i++) {
        assert_int_equal(world->pairs[i].released_count, 1);
        assert_true(world->pairs[i].ended_count <= 1);
        if (world->pairs[i].peer >= 0) close_peer(&world->pairs[i]);
    }
    engine_destroy(world->engine);
    buffer_pool_release(&world->pool);
}

static uint64_t statistic(_Atomic uint64_t *value) {
    return atomic_load_explicit(value, memory_order_relaxed);
}

static bool is_uring(const struct world *world) {
    return strcmp(engine_name(world->engine), "io_uring") == 0;
}

/* ---- Bytes there and back --------------------------------------------------------------------------------------------- */

static void an_echo_over_a_unix_socket_comes_back_whole(struct world *world) {
    open_usual_world(world);
    add_local_pair(world, 100);
    step_until(world, all_is_echoed);
    close_world(world);
}

static void an_echo_over_tcp_comes_back_whole(struct world *world) {
    open_usual_world(world);
    add_tcp_pair(world, 300 * 1000);
    step_until(world, all_is_echoed);
    close_world(world);
}

static void a_message_larger_than_all_buffers_arrives_in_order(struct world *world) {
    open_world(world,
               (struct engine_options){.receive_buffer_count = 2, .receive_buffer_bytes = 1024});
    add_local_pair(world, 1000 * 1000);
    step_until(world, all_is_echoed);
    close_world(world);
}

static void more_connections_than_buffers_all_get_their_turn(struct world *world) {
    open_world(world,
               (struct engine_options){.receive_buffer_count = 4, .receive_buffer_bytes = 1024});
    for (int i = 0; i < 64; i++) {
        add_local_pair(world, 20 * 1000);
    }
    step_until(world, all_is_echoed);
    if (is_uring(world)) assert_true(statistic(&world->engine->statistics.starved) > 0);
    close_world(world);
}

static void a_starved_connection_can_be_closed(struct world *world) {
    open_world(world,
               (struct engine_options){.receive_buffer_count = 1, .receive_buffer_bytes = 64});
    for (int i = 0; i < 32; i++) {
        struct pair *pair = add_local_pair(world, 10 * 1000);
        pair->closes_when_received = i % 2 == 0;
    }
    for (int i = 0; i < 10; i++) {
        step(world);
    }
    close_world(world);
}

static void a_small_completion_queue_loses_nothing(struct world *world) {
    open_world(world, (struct engine_options){.receive_buffer_count = 64,
                                              .receive_buffer_bytes = 1024,
                                              .completion_entries = 4});
    for (int i = 0; i < 64; i++) {
        add_local_pair(world, 20 * 1000);
    }
    step_until(world, all_is_echoed);
    if (is_uring(world)) assert_true(statistic(&world->engine->statistics.overflows) > 0);
    close_world(world);
}

static void more_sends_than_submission_entries_all_go(struct world *world) {
    open_world(world, (struct engine_options){.receive_buffer_count = 64,
                                              .receive_buffer_bytes = 1024,
                                              .completion_entries = 16});
    for (int i = 0; i < PAIRS_MAX; i++) {
        add_local_pair(world, 5 * 1000);
    }
    step_until(world, all_is_echoed);
    close_world(world);
}

/* ---- Sending -------------------------------------------------------------------------------------------------------- */

static void append_pattern(struct pair *pair, size_t size) {
    char *data = malloc(size);
    assert_non_null(data);
    pattern_fill(data, size, 0);
    buffer_append(&pair->connection.output, bytes_of(data, size));
    free(data);
    pair->to_write = 0;
}

static bool first_peer_has_all(const struct world *world) {
    return world->pairs[0].read == 500 * 1000;
}

static void a_slow_reader_gets_everything_in_order(struct world *world) {
    open_usual_world(world);
    struct pair *pair = add_local_pair(world, 0);
    int small = 4096;
    setsockopt(pair->connection.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    pair->read_max = 1000;
    append_pattern(pair, 500 * 1000);
    engine_send(world->engine, &pair->connection);
    step_until(world, first_peer_has_all);
    step_until(world, all_output_is_gone);
    assert_true(pair->sent_count > 1);
    assert_int_equal(statistic(&pair->connection.sent_bytes), 500 * 1000);
    close_world(world);
}

static void count_release(void *owner) {
    ++*(unsigned *)owner;
}

static void references_are_sent_in_order_and_released_once(struct world *world) {
    enum { REFERENCES = 200, SIZE = 2500 };
    static char data[REFERENCES * SIZE];
    unsigned released = 0;
    pattern_fill(data, sizeof data, 0);
    open_usual_world(world);
    struct pair *pair = add_local_pair(world, 0);
    for (size_t i = 0; i < REFERENCES; i++) {
        buffer_append_reference(&pair->connection.output, bytes_of(data + i * SIZE, SIZE),
                                count_release, &released);
    }
    engine_send(world->engine, &pair->connection);
    step_until(world, first_peer_has_all);
    step_until(world, all_output_is_gone);
    assert_int_equal(released, REFERENCES);
    close_world(world);
}

static void output_appended_while_a_send_waits_goes_behind_it(struct world *world) {
    open_usual_world(world);
    struct pair *pair = add_local_pair(world, 0);
    pair->is_reading = false;
    static char data[500 * 1000];
    pattern_fill(data, sizeof data, 0);
    for (size_t done = 0; done < sizeof data; done += 50 * 1000) {
        buffer_append(&pair->connection.output, bytes_of(data + done, 50 * 1000));
        engine_send(world->engine, &pair->connection);
        step(world);
    }
    assert_true(buffer_waiting(&pair->connection.output) > 0);
    pair->is_reading = true;
    step_until(world, first_peer_has_all);
    close_world(world);
}

/* ---- Back-pressure ---------------------------------------------------------------------------------------------------- */

static void a_pause_stops_reading_and_a_resume_goes_on(struct world *world) {
    open_usual_world(world);
    struct pair *pair = add_local_pair(world, 1000 * 1000);
    pair->pauses_when_received = true;
    for (int i = 0; i < 20; i++) {
        step(world);
    }
    uint64_t before = pair->received;
    assert_true(before > 0);
    assert_true(before <= 2 * 64 * 4096); /* a turn's buffers, and what raced with the pause */
    for (int i = 0; i < 20; i++) {
        step(world);
    }
    assert_int_equal(pair->received, before);
    pair->pauses_when_received = false;
    engine_resume_receive(world->engine, &pair->connection);
    step_until(world, all_is_echoed);
    close_world(world);
}

static void pauses_and_resumes_in_any_rhythm_lose_nothing(struct world *world) {
    open_usual_world(world);
    struct pair *pair = add_local_pair(world, 1000 * 1000);
    for (unsigned i = 0; i < STEPS_MAX && !all_is_echoed(world); i++) {
        if (i % 3 == 0) engine_pause_receive(world->engine, &pair->connection);
        if (i % 4 == 0) engine_resume_receive(world->engine, &pair->connection);
        if (i % 5 == 0) engine_pause_receive(world->engine, &pair->connection);
        if (i % 7 == 0) engine_resume_receive(world->engine, &pair->connection);
        step(world);
    }
    assert_true(all_is_echoed(world));
    close_world(world);
}

static void an_end_that_came_during_a_pause_is_told_after_it(struct world *world) {
    open_usual_world(world);
    struct pair *pair = add_local_pair(world, 1000);
    engine_pause_receive(world->engine, &pair->connection);
    step(world);
    assert_int_equal(pair->written, 1000);
    close_peer(pair);
    for (int i = 0; i < 10; i++) {
        turn(world, 0);
    }
    assert_int_equal(pair->received, 0);
    assert_int_equal(pair->ended_count, 0);
    pair->is_echoing = false;
    engine_resume_receive(world->engine, &pair->connection);
    step_until(world, all_have_ended);
    assert_int_equal(pair->received, 1000);
    close_world(world);
}

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

/* ---- Ends ----------------------------------------------------------------------------------------------------------- */

static void a_peer_that_stops_writing_still_gets_its_answer(struct world *world) {
    open_usual_world(world);
    struct pair *pair = add_tcp_pair(world, 100 * 1000);
    pair->is_echoing = false;
    step_until(world, all_is_received);
    assert_int_equal(shutdown(pair->peer, SHUT_WR), 0);
    step_until(world, all_have_ended);
    assert_int_equal(pair->end_error, 0);
    append_pattern(pair, 500 * 1000);
    engine_send(world->engine, &pair->connection);
    step_until(world, first_peer_has_all);
    assert_int_equal(pair->ended_count, 1);
    close_world(world);
}

static void the_last_bytes_come_before_the_end(struct world *world) {
    open_usual_world(world);
    for (int i = 0; i < 20; i++) {
        struct pair *pair = add_local_pair(world, 30 * 1000);
        pair->is_echoing = false;
        peer_write(pair);
        assert_int_equal(pair->written, 30 * 1000);
        close_peer(pair);
    }
    step_until(world, all_have_ended);
    assert_true(all_is_received(world));
    close_world(world);
}

static void reset_by_peer(struct pair *pair) {
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    assert_int_equal(setsockopt(pair->peer, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    close_peer(pair);
}

static void a_reset_ends_once_and_drops_the_output(struct world *world) {
    open_usual_world(world);
    struct pair *pair = add_tcp_pair(world, 0);
    pair->is_reading = false;
    append_pattern(pair, 8 * 1000 * 1000);
    engine_send(world->engine, &pair->connection);
    for (int i = 0; i < 10; i++) {
        step(world);
    }
    assert_true(buffer_waiting(&pair->connection.output) > 0);
    reset_by_peer(pair);
    step_until(world, all_have_ended);
    assert_true(pair->end_error == ECONNRESET || pair->end_error == EPIPE);
    step_until(world, all_output_is_gone);
    assert_int_equal(pair->ended_count, 1);
    close_world(world);
}

static void output_after_the_peer_left_is_dropped_and_said_to_be_sent(struct world *world) {
    open_usual_world(world);
    struct pair *pair = add_local_pair(world, 0);
    close_peer(pair);
    step_until(world, all_have_ended);
    unsigned before = pair->sent_count;
    append_pattern(pair, 1000);
    engine_send(world->engine, &pair->connection);
    step_until(world, all_output_is_gone);
    assert_true(pair->sent_count > before);
    assert_int_equal(pair->ended_count, 1);
    close_world(world);
}

static void a_broken_connection_that_is_paused_costs_no_turns(struct world *world) {
    open_usual_world(world);
    struct pair *pair = add_tcp_pair(world, 0);
    engine_pause_receive(world->engine, &pair->connection);
    turn(world, 0);
    reset_by_peer(pair);
    for (int i = 0; i < 10; i++) { /* the pause's own completions, if any */
        turn(world, 1);
    }
    engine_wake(
        world->engine); /* so that the turn below is the last one that has anything to tell */
    turn(world, TURN_LIMIT_MS);
    int64_t before_ns = now_ns();
    turn(world, 20);
    assert_true(now_ns() - before_ns >= 19 * 1000000LL);
    close_world(world);
}

/* ---- Closing -------------------------------------------------------------------------------------------------------- */

static void a_close_with_operations_in_flight_releases_once(struct world *world) {
    open_usual_world(world);
    for (int i = 0; i < 8; i++) {
        struct pair *pair = i % 2 == 0 ? add_local_pair(world, 0) : add_tcp_pair(world, 0);
        pair->is_reading = false;
        append_pattern(pair, 8 * 1000 * 1000);
        engine_send(world->engine, &pair->connection);
    }
    for (int i = 0; i < 5; i++) {
        step(world);
    }
    for (int i = 0; i < world->pair_count; i++) {
        assert_true(buffer_waiting(&world->pairs[i].connection.output) > 0);
        engine_close(world->engine, &world->pairs[i].connection);
        assert_int_equal(world->pairs[i].released_count, 0);
    }
    step_until(world, all_are_released);
    for (int i = 0; i < world->pair_count; i++) {
        world->pairs[i].is_reading = true;
    }
    step_until(world, all_peers_see_the_end);
    close_world(world);
}

static void a_close_inside_an_event_is_the_last_event(struct world *world) {
    open_usual_world(world);
    for (int i = 0; i < 8; i++) {
        add_local_pair(world, 100 * 1000)->closes_when_received = true;
    }
    step_until(world, all_are_released); /* the events check that no other comes */
    for (int i = 0; i < world->pair_count; i++) {
        assert_int_equal(world->pairs[i].receive_count, 1);
    }
    close_world(world);
}

static void a_close_before_the_first_turn_releases_in_the_next(struct world *world) {
    open_usual_world(world);
    struct pair *pair = add_local_pair(world, 10);
    engine_close(world->engine, &pair->connection);
    assert_int_equal(pair->released_count, 0);
    step_until(world, all_are_released);
    assert_int_equal(pair->received, 0);
    close_world(world);
}

static void a_close_after_a_pause_and_a_resume_releases_once(struct world *world) {
    open_usual_world(world);
    struct pair *pair = add_local_pair(world, 0);
    turn(world, 0);
    engine_pause_receive(world->engine, &pair->connection);
    turn(world, 0);
    engine_resume_receive(world->engine, &pair->connection);
    engine_pause_receive(world->engine, &pair->connection);
    engine_close(world->engine, &pair->connection);
    close_world(world);
}

static void many_that_end_and_close_at_once_are_all_released(struct world *world) {
    open_usual_world(world);
    for (int i = 0; i < PAIRS_MAX; i++) {
        struct pair *pair = add_local_pair(world, 1000);
        pair->closes_when_ended = true;
    }
    step_until(world, all_is_echoed);
    for (int i = 0; i < PAIRS_MAX; i++) {
        close_peer(&world->pairs[i]);
    }
    step_until(world, all_are_released);
    close_world(world);
}

/* ---- Turns and wakes -------------------------------------------------------------------------------------------------- */

static void a_turn_without_events_lasts_its_timeout(struct world *world) {
    open_usual_world(world);
    int64_t before_ns = now_ns();
    turn(world, 30);
    assert_true(now_ns() - before_ns >= 29 * 1000000LL);
    for (int i = 0; i < 1000; i++) {
        turn(world, 0);
    }
    assert_int_equal(statistic(&world->engine->statistics.turns), 1001);
    close_world(world);
}

static void wakes_before_a_turn_end_it_and_count_as_one(struct world *world) {
    open_usual_world(world);
    for (int round = 1; round <= 10; round++) {
        engine_wake(world->engine);
        engine_wake(world->engine);
        for (int i = 0; i < 10 && world->woken < (unsigned)round; i++) {
            turn(world, TURN_LIMIT_MS);
        }
        assert_int_equal(world->woken, round);
    }
    close_world(world);
}

enum { WAKES = 2000 };

struct waker {
    struct engine *engine;
    _Atomic unsigned wakes; /* begun */
    _Atomic unsigned seen;  /* by the engine's thread */
};

static void *wake_often(void *argument) {
    struct waker *waker = argument;
    for (unsigned i = 1; i <= WAKES; i++) {
        atomic_store(&waker->wakes, i);
        engine_wake(waker->engine);
        while (i % 2 == 0 && atomic_load(&waker->seen) < i) { /* every other one finds it asleep */
        }
    }
    return NULL;
}

static void no_wake_from_another_thread_is_lost(struct world *world) {
    open_usual_world(world);
    struct waker waker = {.engine = world->engine};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, wake_often, &waker), 0);
    while (atomic_load(&waker.seen) < WAKES) {
        unsigned woken_before = world->woken;
        turn(world, TURN_LIMIT_MS);
        if (world->woken > woken_before) atomic_store(&waker.seen, atomic_load(&waker.wakes));
    }
    pthread_join(thread, NULL);
    assert_true(world->woken >= WAKES / 2);
    close_world(world);
}

/* ---- Accepting ------------------------------------------------------------------------------------------------------ */

static bool hundred_are_accepted(const struct world *world) {
    return world->accepted_count == 100;
}

static void everyone_who_waits_is_accepted_and_served(struct world *world) {
    open_usual_world(world);
    struct sockaddr_in address;
    int listener = listen_anywhere(&address);
    assert_int_equal(engine_listen(world->engine, listener), STATUS_OK);
    assert_int_equal(engine_listen(world->engine, listener), STATUS_OK); /* once is enough */
    int peers[100];
    for (int i = 0; i < 100; i++) {
        peers[i] = connect_to(&address);
    }
    step_until(world, hundred_are_accepted);
    for (int i = 0; i < 100; i++) { /* in the order of the queue */
        add_pair(world, world->accepted[i], peers[i], 1000);
    }
    step_until(world, all_is_echoed);
    close_world(world);
    close(listener);
}

static bool someone_is_accepted(const struct world *world) {
    return world->accepted_count > 0;
}

static bool accepting_has_failed(const struct world *world) {
    return world->accept_failures > 0;
}

static void drop_accepted(struct world *world) {
    while (world->accepted_count > 0) {
        close(world->accepted[--world->accepted_count]);
    }
}

static void nobody_is_accepted_after_unlisten(struct world *world) {
    open_usual_world(world);
    struct sockaddr_in address;
    int listener = listen_anywhere(&address);
    assert_int_equal(engine_listen(world->engine, listener), STATUS_OK);
    turn(world, 0);
    engine_unlisten(world->engine, listener);
    turn(world, 0);
    int peer = connect_to(&address);
    for (int i = 0; i < 10; i++) {
        turn(world, 1);
    }
    assert_int_equal(world->accepted_count, 0);
    assert_int_equal(engine_listen(world->engine, listener), STATUS_OK);
    step_until(world, someone_is_accepted);
    assert_int_equal(world->accepted_count, 1);
    assert_int_equal(world->accept_failures, 0);
    drop_accepted(world);
    close(peer);
    close_world(world);
    close(listener);
}

/* The next descriptor is refused; the test's teardown lifts it again, however the test ends. */
static void forbid_descriptors(const struct world *world) {
    int next = dup(0);
    assert_true(next >= 0);
    close(next);
    struct rlimit limit = {.rlim_cur = (rlim_t)next, .rlim_max = world->files.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void allow_descriptors(const struct world *world) {
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &world->files), 0);
}

static void at_the_descriptor_limit_accepting_rests_until_asked_again(struct world *world) {
    open_usual_world(world);
    struct sockaddr_in address;
    int listener = listen_anywhere(&address);
    int peer = connect_to(&address);
    forbid_descriptors(world); /* first: io_uring notes the limit when it begins to accept */
    assert_int_equal(engine_listen(world->engine, listener), STATUS_OK);
    step_until(world, accepting_has_failed);
    for (int i = 0; i < 10; i++) {
        turn(world, 1);
    }
    allow_descriptors(world);
    assert_int_equal(world->accept_failures, 1);
    assert_int_equal(world->accept_error, EMFILE);
    assert_int_equal(world->accepted_count, 0);
    /* The kernel lets go of the connection whose accept failed, or keeps it; a new one is served in either case. */
    int another_peer = connect_to(&address);
    assert_int_equal(engine_listen(world->engine, listener), STATUS_OK);
    step_until(world, someone_is_accepted);
    drop_accepted(world);
    close(peer);
    close(another_peer);
    close_world(world);
    close(listener);
}

static void a_destroyed_engine_holds_no_listener(struct world *world) {
    open_usual_world(world);
    struct sockaddr_in address;
    int listener = listen_anywhere(&address);
    assert_int_equal(engine_listen(world->engine, listener), STATUS_OK);
    turn(world, 0);
    close(listener);
    close_world(world);
    int again = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(again, (struct sockaddr *)&address, sizeof address), 0);
    close(again);
}

/* ---- What the kernel refuses ------------------------------------------------------------------------------------------ */

/* As the profiles of container runtimes do. */
static void refuse_rings(void) {
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof filter / sizeof *filter, .filter = filter};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* In a child: a filter can't be taken off. Returns what didn't hold, or 0. */
static int run_refused(void) {
    char text[ENGINE_TEXT_MAX] = "";
    struct engine_options options = {
        .events = &events, .receive_buffer_count = 4, .receive_buffer_bytes = 1024};
    refuse_rings();
    if (engine_create(ENGINE_URING, &options, text) != NULL) return 1;
    if (strstr(text, "io_uring is unavailable (") != text) return 6;
    if (strstr(text, "epoll") != NULL) return 7;
    struct engine *engine = engine_create(ENGINE_AUTO, &options, text);
    if (engine == NULL) return 2;
    if (strcmp(engine_name(engine), "epoll") != 0) return 3;
    if (strstr(text, "io_uring is unavailable (") != text) return 4;
    if (strstr(text, ": using epoll") == NULL) return 5;
    engine_destroy(engine);
    return 0;
}

static void where_rings_are_refused_auto_takes_epoll_and_says_why(void **state) {
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) _exit(run_refused());
    int result;
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_true(WIFEXITED(result));
    assert_int_equal(WEXITSTATUS(result), 0);
}

/* ---- Every test on every engine --------------------------------------------------------------------------------------- */

typedef void test(struct world *world);

static const struct row {
    const char *name;
    test *run;
} rows[] = {
#define ROW(test)                                                                                  \
    { #test, test }
    ROW(an_echo_over_a_unix_socket_comes_back_whole),
    ROW(an_echo_over_tcp_comes_back_whole),
    ROW(a_message_larger_than_all_buffers_arrives_in_order),
    ROW(more_connections_than_buffers_all_get_their_turn),
    ROW(a_starved_connection_can_be_closed),
    ROW(a_small_completion_queue_loses_nothing),
    ROW(more_sends_than_submission_entries_all_go),
    ROW(a_slow_reader_gets_everything_in_order),
    ROW(references_are_sent_in_order_and_released_once),
    ROW(output_appended_while_a_send_waits_goes_behind_it),
    ROW(a_pause_stops_reading_and_a_resume_goes_on),
    ROW(pauses_and_resumes_in_any_rhythm_lose_nothing),
    ROW(an_end_that_came_during_a_pause_is_told_after_it),
    ROW(a_peer_that_stops_writing_still_gets_its_answer),
    ROW(the_last_bytes_come_before_the_end),
    ROW(a_reset_ends_once_and_drops_the_output),
    ROW(output_after_the_peer_left_is_dropped_and_said_to_be_sent),
    ROW(a_broken_connection_that_is_paused_costs_no_turns),
    ROW(a_close_with_operations_in_flight_releases_once),
    ROW(a_close_inside_an_event_is_the_last_event),
    ROW(a_close_before_the_first_turn_releases_in_the_next),
    ROW(a_close_after_a_pause_and_a_resume_releases_once),
    ROW(many_that_end_and_close_at_once_are_all_released),
    ROW(a_turn_without_events_lasts_its_timeout),
    ROW(wakes_before_a_turn_end_it_and_count_as_one),
    ROW(no_wake_from_another_thread_is_lost),
    ROW(everyone_who_waits_is_accepted_and_served),
    ROW(nobody_is_accepted_after_unlisten),
    ROW(at_the_descriptor_limit_accepting_rests_until_asked_again),
    ROW(a_destroyed_engine_holds_no_listener),
#undef ROW
};

enum { ROWS = sizeof rows / sizeof *rows, NAME_MAX_BYTES = 128 };

struct example {
    const struct row *row;
    enum engine_kind kind;
    char name[NAME_MAX_BYTES];
    struct world *world;
};

static void run_example(void **state) {
    struct example *example = *state;
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    example->world = world;
    world->kind = example->kind;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &world->files), 0);
    example->row->run(world);
}

static int end_example(void **state) {
    struct example *example = *state;
    if (example->world == NULL) return 0;
    setrlimit(RLIMIT_NOFILE, &example->world->files);
    free(example->world);
    return 0;
}

static bool is_available(enum engine_kind kind) {
    char text[ENGINE_TEXT_MAX];
    struct engine_options options = {
        .events = &events, .receive_buffer_count = 4, .receive_buffer_bytes = 1024};
    struct engine *engine = engine_create(kind, &options, text);
    print_message("%s\n", text);
    if (engine != NULL) engine_destroy(engine);
    return engine != NULL;
}

int main(void) {
    static const enum engine_kind kinds[] = {ENGINE_EPOLL, ENGINE_URING};
    static struct example examples[2 * ROWS];
    static struct CMUnitTest tests[2 * ROWS];
    size_t count = 0;
    for (size_t i = 0; i < 2; i++) {
        if (!is_available(kinds[i])) continue; /* its text was printed */
        for (size_t j = 0; j < ROWS; j++, count++) {
            struct example *example = &examples[count];
            *example = (struct example){.row = &rows[j], .kind = kinds[i]};
            snprintf(example->name, sizeof example->name, "%s: %s",
                     kinds[i] == ENGINE_URING ? "io_uring" : "epoll", rows[j].name);
            tests[count] = (struct CMUnitTest){.name = example->name,
                                               .test_func = run_example,
                                               .teardown_func = end_example,
                                               .initial_state = example};
        }
    }
    const struct CMUnitTest others[] = {
        cmocka_unit_test(where_rings_are_refused_auto_takes_epoll_and_says_why),
    };
    int failed = _cmocka_run_group_tests("engines", tests, count, NULL, NULL);
    return failed + cmocka_run_group_tests(others, NULL, NULL);
}
