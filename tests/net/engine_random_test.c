/* Both engines against what may happen to connections, in random order: peers that write, read slowly, end, reset; owners that pause,
 * resume and close. Receive buffers and completion queue are far too small, on purpose.
 *
 * Each peer writes a stream whose every byte follows from the peer and the position, and gets it back. So a byte that is lost, doubled
 * or out of order shows at once, at the owner or at the peer. A failure prints its seed; SHERD_TEST_SEED replays it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "net/engine.h"
#include "net/listener.h"
#include "shards/base/memory.h"
#include "shards/base/random.h"

enum {
    PEERS = 24,
    STEPS = 20000,
    WRITE_MAX = 5000,
    BUFFERS = 4,
    BUFFER_BYTES = 256,
    COMPLETIONS = 16,
    SLICES_MAX = 512, /* of one turn, that are looked at again */
    PATIENCE_S =
        60, /* to drain: longer means that something is lost. Not turns: the kernel needs its time */
    REFERENCE_ONE_IN = 4, /* echoes that are references, not copies */
    SOCKET_BYTES = 4096,  /* of the owner's sends: so that many are short, and wait for the peer */
    CLOSE_ONE_IN = 300,   /* of the receives */
    DEFAULT_SEED = 20251124,
};

struct owner {
    struct connection connection; /* first: events get its address */
    int peer;
    uint64_t received;
    bool has_ended;
};

struct peer {
    int fd;              /* -1: closed */
    struct owner *owner; /* NULL: released */
    unsigned stream;     /* what its bytes follow from */
    uint64_t written;
    uint64_t read;
};

struct slice {
    struct bytes bytes;
    unsigned stream;
    uint64_t position;
};

struct world {
    struct engine *engine;
    struct buffer_pool pool;
    struct random random;
    struct peer peers[PEERS];
    struct slice slices[SLICES_MAX]; /* delivered in this turn */
    int slice_count;
    unsigned streams;
    size_t references; /* queued, not released */
};

static char pattern(unsigned stream, uint64_t position) {
    return (char)((position * 7 + (position >> 8) * 13 + stream * 31) & 0xff);
}

static void assert_pattern(struct bytes bytes, unsigned stream, uint64_t position) {
    for (size_t i = 0; i < bytes.size; i++) {
        assert_int_equal(bytes.data[i], pattern(stream, position + i));
    }
}

/* --- The owner's side --- */

struct reference {
    struct world *world;
    char data[];
};

static void reference_release(void *context, void *subject) {
    (void)context;
    struct reference *reference = subject;
    reference->world->references--;
    free(reference);
}

static void echo(struct world *world, struct owner *owner, struct bytes bytes) {
    if (random_below(&world->random, REFERENCE_ONE_IN) > 0) {
        buffer_append(&owner->connection.output, bytes);
    } else {
        struct reference *reference = malloc(sizeof *reference + bytes.size);
        assert_non_null(reference);
        reference->world = world;
        memcpy(reference->data, bytes.data, bytes.size);
        world->references++;
        buffer_append_reference(
            &owner->connection.output, bytes_of(reference->data, bytes.size),
            (struct buffer_owner){.release = reference_release, .subject = reference});
    }
    engine_send(world->engine, &owner->connection);
}

static void owner_close(struct world *world, struct owner *owner) {
    if (owner != NULL && !owner->connection.is_closing) {
        engine_close(world->engine, &owner->connection);
    }
}

static void on_received(void *context, struct connection *connection, struct bytes bytes) {
    struct world *world = context;
    struct owner *owner = (struct owner *)connection;
    unsigned stream = world->peers[owner->peer].stream;
    assert_false(connection->is_closing);
    assert_false(owner->has_ended);
    assert_pattern(bytes, stream, owner->received);
    if (world->slice_count < SLICES_MAX) {
        world->slices[world->slice_count++] =
            (struct slice){.bytes = bytes, .stream = stream, .position = owner->received};
    }
    owner->received += bytes.size;
    echo(world, owner, bytes);
    /* Close anyone, whose own events may be among those of this turn that are still to come. */
    if (random_below(&world->random, CLOSE_ONE_IN) == 0) {
        owner_close(world, world->peers[random_below(&world->random, PEERS)].owner);
    }
}

static void on_ended(void *context, struct connection *connection, int error) {
    (void)context;
    (void)error;
    struct owner *owner = (struct owner *)connection;
    assert_false(connection->is_closing);
    assert_false(owner->has_ended); /* once */
    owner->has_ended = true;
}

static void on_sent(void *context, struct connection *connection) {
    (void)context;
    assert_false(connection->is_closing);
    buffer_validate(&connection->output);
}

static void on_released(void *context, struct connection *connection) {
    struct world *world = context;
    struct owner *owner = (struct owner *)connection;
    assert_true(connection->is_closing);
    assert_ptr_equal(world->peers[owner->peer].owner, owner); /* once */
    world->peers[owner->peer].owner = NULL;
    free(owner);
}

static void on_accepted(void *context, int listener_fd, int fd) {
    (void)context;
    (void)listener_fd;
    close(fd);
    fail();
}

static void on_accept_failed(void *context, int listener_fd, int error) {
    (void)context;
    (void)listener_fd;
    (void)error;
    fail();
}

static void on_woken(void *context) {
    (void)context;
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

static void turn(struct world *world) {
    /* What the last turn delivered is valid until this one. */
    for (int i = 0; i < world->slice_count; i++) {
        struct slice *slice = &world->slices[i];
        assert_pattern(slice->bytes, slice->stream, slice->position);
    }
    world->slice_count = 0;
    assert_int_equal(engine_turn(world->engine, 0), STATUS_OK);
}

/* --- The peer's side --- */

static void open_tcp_pair(int pair[2]) {
    struct listener listener;
    char error[LISTENER_ERROR_MAX];
    assert_int_equal(listener_open_tcp(&listener, "127.0.0.1", 0, 1, error), STATUS_OK);
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    assert_int_equal(getsockname(listener.fd, (struct sockaddr *)&address, &size), 0);
    pair[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(pair[1], (struct sockaddr *)&address, size), 0);
    pair[0] = accept4(listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(pair[0] >= 0);
    listener_close(&listener);
}

static void peer_open(struct world *world, int index) {
    int pair[2];
    if (random_below(&world->random, 2) == 0) {
        open_tcp_pair(pair);
    } else {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair),
                         0);
    }
    const int bytes = SOCKET_BYTES;
    assert_int_equal(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes), 0);
    struct owner *owner = calloc(1, sizeof *owner);
    assert_non_null(owner);
    connection_init(&owner->connection, pair[0], &world->pool);
    owner->peer = index;
    world->peers[index] = (struct peer){.fd = pair[1], .owner = owner, .stream = world->streams++};
    assert_int_equal(engine_attach(world->engine, &owner->connection), STATUS_OK);
}

static void peer_write(struct world *world, struct peer *peer) {
    char bytes[WRITE_MAX];
    size_t size = 1 + random_below(&world->random, sizeof bytes);
    for (size_t i = 0; i < size; i++) {
        bytes[i] = pattern(peer->stream, peer->written + i);
    }
    ssize_t written = send(peer->fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (written > 0) peer->written += (uint64_t)written;
}

static void peer_read(struct world *world, struct peer *peer) {
    char bytes[WRITE_MAX];
    size_t size = 1 + random_below(&world->random, sizeof bytes);
    ssize_t count = recv(peer->fd, bytes, size, MSG_DONTWAIT);
    if (count <= 0) return;
    assert_pattern(bytes_of(bytes, (size_t)count), peer->stream, peer->read);
    peer->read += (uint64_t)count;
}

static void peer_close(struct peer *peer, bool with_reset) {
    const struct linger now = {.l_onoff = 1, .l_linger = 0};
    if (with_reset) setsockopt(peer->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(peer->fd);
    peer->fd = -1;
}

/* --- Steps --- */

static void step_owner(struct world *world, struct owner *owner) {
    if (owner == NULL || owner->connection.is_closing) return;
    switch (random_below(&world->random, 40)) {
    case 0:
        owner_close(world, owner);
        break;
    case 1 ... 8:
        engine_pause_receive(world->engine, &owner->connection);
        break;
    case 9 ... 20:
        engine_resume_receive(world->engine, &owner->connection);
        break;
    default:
        break;
    }
}

static void step_peer(struct world *world, struct peer *peer) {
    switch (random_below(&world->random, 100)) {
    case 0:
        shutdown(peer->fd, SHUT_WR);
        break;
    case 1:
        peer_close(peer, false);
        break;
    case 2:
        peer_close(peer, true);
        break;
    case 3 ... 50:
        peer_write(world, peer);
        break;
    default:
        peer_read(world, peer);
        break;
    }
}

static void step(struct world *world) {
    int index = (int)random_below(&world->random, PEERS);
    struct peer *peer = &world->peers[index];
    step_owner(world, peer->owner);
    if (peer->fd >= 0) step_peer(world, peer);
    if (peer->fd < 0) owner_close(world, peer->owner);
    if (peer->fd < 0 && peer->owner == NULL) peer_open(world, index);
    if (random_below(&world->random, 3) == 0) turn(world);
}

/* --- The end: all that was written comes back, but where a side closed --- */

static bool is_drained(const struct peer *peer) {
    bool is_open = peer->fd >= 0 && peer->owner != NULL && !peer->owner->connection.is_closing;
    return !is_open || peer->read == peer->written;
}

static void drain(struct world *world) {
    int left = PEERS;
    for (int i = 0; i < PEERS; i++) {
        struct owner *owner = world->peers[i].owner;
        bool is_open = owner != NULL && !owner->connection.is_closing;
        if (is_open) engine_resume_receive(world->engine, &owner->connection);
    }
    for (time_t begun = time(NULL); left > 0;) {
        assert_true(time(NULL) - begun <= PATIENCE_S);
        left = 0;
        for (int i = 0; i < PEERS; i++) {
            struct peer *peer = &world->peers[i];
            if (is_drained(peer)) continue;
            peer_read(world, peer);
            left++;
        }
        turn(world);
    }
}

static void close_all(struct world *world) {
    int left = PEERS;
    for (int i = 0; i < PEERS; i++) {
        owner_close(world, world->peers[i].owner);
    }
    for (time_t begun = time(NULL); left > 0;) {
        assert_true(time(NULL) - begun <= PATIENCE_S);
        turn(world);
        left = 0;
        for (int i = 0; i < PEERS; i++) {
            if (world->peers[i].owner != NULL) left++;
        }
    }
    for (int i = 0; i < PEERS; i++) {
        if (world->peers[i].fd >= 0) close(world->peers[i].fd);
    }
}

static uint64_t choose_seed(void) {
    const char *given = getenv("SHERD_TEST_SEED");
    return given != NULL ? strtoull(given, NULL, 10) : DEFAULT_SEED;
}

static void run(enum engine_kind kind) {
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    const struct engine_options options = {
        .events = &events,
        .context = world,
        .receive_buffer_count = BUFFERS,
        .receive_buffer_bytes = BUFFER_BYTES,
        .completion_entries = COMPLETIONS,
    };
    char text[ENGINE_TEXT_MAX];
    world->engine = engine_create(kind, &options, text);
    if (world->engine == NULL) {
        print_message("skipped: %s\n", text);
        free(world);
        skip();
    }
    uint64_t seed = choose_seed();
    print_message("SHERD_TEST_SEED=%llu\n", (unsigned long long)seed);
    random_init(&world->random, seed);
    buffer_pool_init(&world->pool, PEERS);
    for (int i = 0; i < PEERS; i++) {
        peer_open(world, i);
    }
    for (int i = 0; i < STEPS; i++) {
        step(world);
    }
    drain(world);
    close_all(world);
    assert_int_equal(world->references, 0);
    engine_destroy(world->engine);
    buffer_pool_release(&world->pool);
    free(world);
    assert_int_equal(memory_used(), 0);
}

static void ring_loses_and_swaps_nothing_whatever_happens(void **state) {
    (void)state;
    run(ENGINE_URING);
}

static void poll_loses_and_swaps_nothing_whatever_happens(void **state) {
    (void)state;
    run(ENGINE_EPOLL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ring_loses_and_swaps_nothing_whatever_happens),
        cmocka_unit_test(poll_loses_and_swaps_nothing_whatever_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
