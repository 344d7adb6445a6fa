/* Both engines, held to net/engine.h: every test runs on each of them, in a world of its own
 * (tests/support/engine_world.h).
 *
 * No threads but where waking is tested. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

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
#include "tests/support/engine_rows.h"
#include "tests/support/engine_world.h"

enum { TURN_LIMIT_MS = 10 * 1000 /* for a turn that must end by itself */ };

static uint64_t statistic(_Atomic uint64_t *value) {
    return atomic_load_explicit(value, memory_order_relaxed);
}

/* ---- Bytes there and back -------------------------------------------------------------------- */

static void an_echo_over_a_unix_socket_comes_back_whole(struct world *world) {
    world_open_usual(world);
    world_add_local_pair(world, 100);
    world_step_until(world, world_all_is_echoed);
    world_close(world);
}

static void an_echo_over_tcp_comes_back_whole(struct world *world) {
    world_open_usual(world);
    world_add_tcp_pair(world, 300 * 1000);
    world_step_until(world, world_all_is_echoed);
    world_close(world);
}

static void a_message_larger_than_all_buffers_arrives_in_order(struct world *world) {
    world_open(world,
               (struct engine_options){.receive_buffer_count = 2, .receive_buffer_bytes = 1024});
    world_add_local_pair(world, 1000 * 1000);
    world_step_until(world, world_all_is_echoed);
    world_close(world);
}

static void more_connections_than_buffers_all_get_their_turn(struct world *world) {
    world_open(world,
               (struct engine_options){.receive_buffer_count = 4, .receive_buffer_bytes = 1024});
    for (int i = 0; i < 64; i++) {
        world_add_local_pair(world, 20 * 1000);
    }
    world_step_until(world, world_all_is_echoed);
    if (world_is_uring(world)) assert_true(statistic(&world->engine->statistics.starved) > 0);
    world_close(world);
}

/* One connection makes do with few buffers; a crowd has the engine take more, which it keeps. */
static void memory_to_receive_into_grows_with_the_need(struct world *world) {
    enum { COUNT = 256, BYTES = 1024 };
    world_open(world, (struct engine_options){.receive_buffer_count = COUNT,
                                              .receive_buffer_bytes = BYTES});
    _Atomic uint64_t *memory = &world->engine->statistics.receive_memory;
    world_add_local_pair(world, 1000);
    world_step_until(world, world_all_is_echoed);
    uint64_t alone = statistic(memory);
    assert_in_range(alone, 1, COUNT * BYTES / 4);
    for (int i = 0; i < 64; i++) {
        world_add_local_pair(world, 64 * 1000);
    }
    world_step_until(world, world_all_is_echoed);
    assert_in_range(statistic(memory), alone + 1, COUNT * BYTES);
    world_close(world);
}

static void a_starved_connection_can_be_closed(struct world *world) {
    world_open(world,
               (struct engine_options){.receive_buffer_count = 1, .receive_buffer_bytes = 64});
    for (int i = 0; i < 32; i++) {
        struct pair *pair = world_add_local_pair(world, 10 * 1000);
        pair->closes_when_received = i % 2 == 0;
    }
    for (int i = 0; i < 10; i++) {
        world_step(world);
    }
    world_close(world);
}

static void a_small_completion_queue_loses_nothing(struct world *world) {
    world_open(world, (struct engine_options){.receive_buffer_count = 64,
                                              .receive_buffer_bytes = 1024,
                                              .completion_entries = 4});
    for (int i = 0; i < 64; i++) {
        world_add_local_pair(world, 20 * 1000);
    }
    world_step_until(world, world_all_is_echoed);
    if (world_is_uring(world)) assert_true(statistic(&world->engine->statistics.overflows) > 0);
    world_close(world);
}

static void more_sends_than_submission_entries_all_go(struct world *world) {
    world_open(world, (struct engine_options){.receive_buffer_count = 64,
                                              .receive_buffer_bytes = 1024,
                                              .completion_entries = 16});
    for (int i = 0; i < PAIRS_MAX; i++) {
        world_add_local_pair(world, 5 * 1000);
    }
    world_step_until(world, world_all_is_echoed);
    world_close(world);
}

/* ---- Sending --------------------------------------------------------------------------------- */

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
    world_open_usual(world);
    struct pair *pair = world_add_local_pair(world, 0);
    int small = 4096;
    setsockopt(pair->connection.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    pair->read_max = 1000;
    append_pattern(pair, 500 * 1000);
    engine_send(world->engine, &pair->connection);
    world_step_until(world, first_peer_has_all);
    world_step_until(world, world_all_output_is_gone);
    assert_true(pair->sent_count > 1);
    assert_int_equal(statistic(&pair->connection.sent_bytes), 500 * 1000);
    world_close(world);
}

static void count_release(void *context, void *subject) {
    (void)context;
    ++*(unsigned *)subject;
}

static void references_are_sent_in_order_and_released_once(struct world *world) {
    enum { REFERENCES = 200, SIZE = 2500 };
    static char data[REFERENCES * SIZE];
    unsigned released = 0;
    pattern_fill(data, sizeof data, 0);
    world_open_usual(world);
    struct pair *pair = world_add_local_pair(world, 0);
    for (size_t i = 0; i < REFERENCES; i++) {
        buffer_append_reference(
            &pair->connection.output, bytes_of(data + i * SIZE, SIZE),
            (struct buffer_owner){.release = count_release, .subject = &released});
    }
    engine_send(world->engine, &pair->connection);
    world_step_until(world, first_peer_has_all);
    world_step_until(world, world_all_output_is_gone);
    assert_int_equal(released, REFERENCES);
    world_close(world);
}

static void output_appended_while_a_send_waits_goes_behind_it(struct world *world) {
    world_open_usual(world);
    struct pair *pair = world_add_local_pair(world, 0);
    pair->is_reading = false;
    static char data[500 * 1000];
    pattern_fill(data, sizeof data, 0);
    for (size_t done = 0; done < sizeof data; done += 50 * 1000) {
        buffer_append(&pair->connection.output, bytes_of(data + done, 50 * 1000));
        engine_send(world->engine, &pair->connection);
        world_step(world);
    }
    assert_true(buffer_waiting(&pair->connection.output) > 0);
    pair->is_reading = true;
    world_step_until(world, first_peer_has_all);
    world_close(world);
}

/* ---- Back-pressure --------------------------------------------------------------------------- */

static void a_pause_stops_reading_and_a_resume_goes_on(struct world *world) {
    world_open_usual(world);
    struct pair *pair = world_add_local_pair(world, 1000 * 1000);
    pair->pauses_when_received = true;
    for (int i = 0; i < 20; i++) {
        world_step(world);
    }
    uint64_t before = pair->received;
    assert_true(before > 0);
    assert_true(before <= 2 * 64 * 4096); /* a turn's buffers, and what raced with the pause */
    for (int i = 0; i < 20; i++) {
        world_step(world);
    }
    assert_int_equal(pair->received, before);
    pair->pauses_when_received = false;
    engine_resume_receive(world->engine, &pair->connection);
    world_step_until(world, world_all_is_echoed);
    world_close(world);
}

static void pauses_and_resumes_in_any_rhythm_lose_nothing(struct world *world) {
    world_open_usual(world);
    struct pair *pair = world_add_local_pair(world, 1000 * 1000);
    for (unsigned i = 0; i < STEPS_MAX && !world_all_is_echoed(world); i++) {
        if (i % 3 == 0) engine_pause_receive(world->engine, &pair->connection);
        if (i % 4 == 0) engine_resume_receive(world->engine, &pair->connection);
        if (i % 5 == 0) engine_pause_receive(world->engine, &pair->connection);
        if (i % 7 == 0) engine_resume_receive(world->engine, &pair->connection);
        world_step(world);
    }
    assert_true(world_all_is_echoed(world));
    world_close(world);
}

static uint64_t no_time(void) {
    return 1;
}

/* A measured turn makes two calls; what the first has finished must not spare it the second. */
static void a_pause_while_turns_are_measured_deafens_nobody(struct world *world) {
    world_open_usual(world);
    struct pair *paused = world_add_local_pair(world, 0), *other = world_add_local_pair(world, 0);
    world_step(world); /* both are received from */
    world->engine->stopwatch.now = no_time;
    engine_pause_receive(world->engine, &paused->connection);
    world_step(world);
    other->to_write = 1000;
    world_step_until(world, world_all_is_echoed);
    world_close(world);
}

static void an_end_that_came_during_a_pause_is_told_after_it(struct world *world) {
    world_open_usual(world);
    struct pair *pair = world_add_local_pair(world, 1000);
    engine_pause_receive(world->engine, &pair->connection);
    world_step(world);
    assert_int_equal(pair->written, 1000);
    pair_close_peer(pair);
    for (int i = 0; i < 10; i++) {
        world_turn(world, 0);
    }
    assert_int_equal(pair->received, 0);
    assert_int_equal(pair->ended_count, 0);
    pair->is_echoing = false;
    engine_resume_receive(world->engine, &pair->connection);
    world_step_until(world, world_all_have_ended);
    assert_int_equal(pair->received, 1000);
    world_close(world);
}

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

/* ---- Ends ------------------------------------------------------------------------------------ */

static void a_peer_that_stops_writing_still_gets_its_answer(struct world *world) {
    world_open_usual(world);
    struct pair *pair = world_add_tcp_pair(world, 100 * 1000);
    pair->is_echoing = false;
    world_step_until(world, world_all_is_received);
    assert_int_equal(shutdown(pair->peer, SHUT_WR), 0);
    world_step_until(world, world_all_have_ended);
    assert_int_equal(pair->end_error, 0);
    append_pattern(pair, 500 * 1000);
    engine_send(world->engine, &pair->connection);
    world_step_until(world, first_peer_has_all);
    assert_int_equal(pair->ended_count, 1);
    world_close(world);
}

static void the_last_bytes_come_before_the_end(struct world *world) {
    world_open_usual(world);
    for (int i = 0; i < 20; i++) {
        struct pair *pair = world_add_local_pair(world, 30 * 1000);
        pair->is_echoing = false;
        pair_peer_write(pair);
        assert_int_equal(pair->written, 30 * 1000);
        pair_close_peer(pair);
    }
    world_step_until(world, world_all_have_ended);
    assert_true(world_all_is_received(world));
    world_close(world);
}

static void reset_by_peer(struct pair *pair) {
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    assert_int_equal(setsockopt(pair->peer, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    pair_close_peer(pair);
}

static void a_reset_ends_once_and_drops_the_output(struct world *world) {
    world_open_usual(world);
    struct pair *pair = world_add_tcp_pair(world, 0);
    pair->is_reading = false;
    append_pattern(pair, 8 * 1000 * 1000);
    engine_send(world->engine, &pair->connection);
    for (int i = 0; i < 10; i++) {
        world_step(world);
    }
    assert_true(buffer_waiting(&pair->connection.output) > 0);
    reset_by_peer(pair);
    world_step_until(world, world_all_have_ended);
    assert_true(pair->end_error == ECONNRESET || pair->end_error == EPIPE);
    world_step_until(world, world_all_output_is_gone);
    assert_int_equal(pair->ended_count, 1);
    world_close(world);
}

static void output_after_the_peer_left_is_dropped_and_said_to_be_sent(struct world *world) {
    world_open_usual(world);
    struct pair *pair = world_add_local_pair(world, 0);
    pair_close_peer(pair);
    world_step_until(world, world_all_have_ended);
    unsigned before = pair->sent_count;
    append_pattern(pair, 1000);
    engine_send(world->engine, &pair->connection);
    world_step_until(world, world_all_output_is_gone);
    assert_true(pair->sent_count > before);
    assert_int_equal(pair->ended_count, 1);
    world_close(world);
}

static void a_broken_connection_that_is_paused_costs_no_turns(struct world *world) {
    world_open_usual(world);
    struct pair *pair = world_add_tcp_pair(world, 0);
    engine_pause_receive(world->engine, &pair->connection);
    world_turn(world, 0);
    reset_by_peer(pair);
    for (int i = 0; i < 10; i++) { /* the pause's own completions, if any */
        world_turn(world, 1);
    }
    engine_wake(
        world->engine); /* so that the turn below is the last one that has anything to tell */
    world_turn(world, TURN_LIMIT_MS);
    int64_t before_ns = now_ns();
    world_turn(world, 20);
    assert_true(now_ns() - before_ns >= 19 * 1000000LL);
    world_close(world);
}

/* ---- Closing --------------------------------------------------------------------------------- */

static void a_close_with_operations_in_flight_releases_once(struct world *world) {
    world_open_usual(world);
    for (int i = 0; i < 8; i++) {
        struct pair *pair =
            i % 2 == 0 ? world_add_local_pair(world, 0) : world_add_tcp_pair(world, 0);
        pair->is_reading = false;
        append_pattern(pair, 8 * 1000 * 1000);
        engine_send(world->engine, &pair->connection);
    }
    for (int i = 0; i < 5; i++) {
        world_step(world);
    }
    for (int i = 0; i < world->pair_count; i++) {
        assert_true(buffer_waiting(&world->pairs[i].connection.output) > 0);
        engine_close(world->engine, &world->pairs[i].connection);
        assert_int_equal(world->pairs[i].released_count, 0);
    }
    world_step_until(world, world_all_are_released);
    for (int i = 0; i < world->pair_count; i++) {
        world->pairs[i].is_reading = true;
    }
    world_step_until(world, world_all_peers_see_the_end);
    world_close(world);
}

static void a_close_inside_an_event_is_the_last_event(struct world *world) {
    world_open_usual(world);
    for (int i = 0; i < 8; i++) {
        world_add_local_pair(world, 100 * 1000)->closes_when_received = true;
    }
    world_step_until(world, world_all_are_released); /* the events check that no other comes */
    for (int i = 0; i < world->pair_count; i++) {
        assert_int_equal(world->pairs[i].receive_count, 1);
    }
    world_close(world);
}

/* Whoever closes it may still have something of it in hand. */
static void who_is_closed_while_others_are_sent_is_released_in_a_later_turn(struct world *world) {
    world_open_usual(world);
    struct pair *pair = world_add_local_pair(world, 0), *other = world_add_local_pair(world, 0);
    pair->closes_when_sent = other;
    append_pattern(pair, 1000);
    append_pattern(other, 1000);
    engine_send(world->engine, &pair->connection);
    engine_send(world->engine, &other->connection);
    while (other->released_count == 0) {
        world_step(world);
    }
    assert_true(other->closed_turn != 0);
    world_close(world);
}

static void a_close_before_the_first_turn_releases_in_the_next(struct world *world) {
    world_open_usual(world);
    struct pair *pair = world_add_local_pair(world, 10);
    engine_close(world->engine, &pair->connection);
    assert_int_equal(pair->released_count, 0);
    world_step_until(world, world_all_are_released);
    assert_int_equal(pair->received, 0);
    world_close(world);
}

static void a_close_after_a_pause_and_a_resume_releases_once(struct world *world) {
    world_open_usual(world);
    struct pair *pair = world_add_local_pair(world, 0);
    world_turn(world, 0);
    engine_pause_receive(world->engine, &pair->connection);
    world_turn(world, 0);
    engine_resume_receive(world->engine, &pair->connection);
    engine_pause_receive(world->engine, &pair->connection);
    engine_close(world->engine, &pair->connection);
    world_close(world);
}

static void many_that_end_and_close_at_once_are_all_released(struct world *world) {
    world_open_usual(world);
    for (int i = 0; i < PAIRS_MAX; i++) {
        struct pair *pair = world_add_local_pair(world, 1000);
        pair->closes_when_ended = true;
    }
    world_step_until(world, world_all_is_echoed);
    for (int i = 0; i < PAIRS_MAX; i++) {
        pair_close_peer(&world->pairs[i]);
    }
    world_step_until(world, world_all_are_released);
    world_close(world);
}

/* ---- Turns and wakes ------------------------------------------------------------------------- */

static void a_turn_without_events_lasts_its_timeout(struct world *world) {
    world_open_usual(world);
    int64_t before_ns = now_ns();
    world_turn(world, 30);
    assert_true(now_ns() - before_ns >= 29 * 1000000LL);
    for (int i = 0; i < 1000; i++) {
        world_turn(world, 0);
    }
    assert_int_equal(statistic(&world->engine->statistics.turns), 1001);
    world_close(world);
}

static void wakes_before_a_turn_end_it_and_count_as_one(struct world *world) {
    world_open_usual(world);
    for (int round = 1; round <= 10; round++) {
        engine_wake(world->engine);
        engine_wake(world->engine);
        for (int i = 0; i < 10 && world->woken < (unsigned)round; i++) {
            world_turn(world, TURN_LIMIT_MS);
        }
        assert_int_equal(world->woken, round);
    }
    world_close(world);
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
    world_open_usual(world);
    struct waker waker = {.engine = world->engine};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, wake_often, &waker), 0);
    while (atomic_load(&waker.seen) < WAKES) {
        unsigned woken_before = world->woken;
        world_turn(world, TURN_LIMIT_MS);
        if (world->woken > woken_before) atomic_store(&waker.seen, atomic_load(&waker.wakes));
    }
    pthread_join(thread, NULL);
    assert_true(world->woken >= WAKES / 2);
    world_close(world);
}

/* ---- Accepting ------------------------------------------------------------------------------- */

static bool hundred_are_accepted(const struct world *world) {
    return world->accepted_count == 100;
}

static void everyone_who_waits_is_accepted_and_served(struct world *world) {
    world_open_usual(world);
    struct sockaddr_in address;
    int listener = world_listen_anywhere(&address);
    assert_int_equal(engine_listen(world->engine, listener), STATUS_OK);
    assert_int_equal(engine_listen(world->engine, listener), STATUS_OK); /* once is enough */
    int peers[100];
    for (int i = 0; i < 100; i++) {
        peers[i] = world_connect_to(&address);
    }
    world_step_until(world, hundred_are_accepted);
    for (int i = 0; i < 100; i++) { /* in the order of the queue */
        world_add_pair(world, world->accepted[i], peers[i], 1000);
    }
    world_step_until(world, world_all_is_echoed);
    world_close(world);
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
    world_open_usual(world);
    struct sockaddr_in address;
    int listener = world_listen_anywhere(&address);
    assert_int_equal(engine_listen(world->engine, listener), STATUS_OK);
    world_turn(world, 0);
    engine_unlisten(world->engine, listener);
    world_turn(world, 0);
    int peer = world_connect_to(&address);
    for (int i = 0; i < 10; i++) {
        world_turn(world, 1);
    }
    assert_int_equal(world->accepted_count, 0);
    assert_int_equal(engine_listen(world->engine, listener), STATUS_OK);
    world_step_until(world, someone_is_accepted);
    assert_int_equal(world->accepted_count, 1);
    assert_int_equal(world->accept_failures, 0);
    drop_accepted(world);
    close(peer);
    world_close(world);
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
    world_open_usual(world);
    struct sockaddr_in address;
    int listener = world_listen_anywhere(&address);
    int peer = world_connect_to(&address);
    forbid_descriptors(world); /* first: io_uring notes the limit when it begins to accept */
    assert_int_equal(engine_listen(world->engine, listener), STATUS_OK);
    world_step_until(world, accepting_has_failed);
    for (int i = 0; i < 10; i++) {
        world_turn(world, 1);
    }
    allow_descriptors(world);
    assert_int_equal(world->accept_failures, 1);
    assert_int_equal(world->accept_error, EMFILE);
    assert_int_equal(world->accepted_count, 0);
    /* The kernel lets go of the connection whose accept failed, or keeps it; a new one is served in either case. */
    int another_peer = world_connect_to(&address);
    assert_int_equal(engine_listen(world->engine, listener), STATUS_OK);
    world_step_until(world, someone_is_accepted);
    drop_accepted(world);
    close(peer);
    close(another_peer);
    world_close(world);
    close(listener);
}

static void a_destroyed_engine_holds_no_listener(struct world *world) {
    world_open_usual(world);
    struct sockaddr_in address;
    int listener = world_listen_anywhere(&address);
    assert_int_equal(engine_listen(world->engine, listener), STATUS_OK);
    world_turn(world, 0);
    close(listener);
    world_close(world);
    int again = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(again, (struct sockaddr *)&address, sizeof address), 0);
    close(again);
}

/* ---- What the kernel refuses ----------------------------------------------------------------- */

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
        .events = &world_events, .receive_buffer_count = 4, .receive_buffer_bytes = 1024};
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

/* ---- Every test on every engine -------------------------------------------------------------- */

static const struct engine_row rows[] = {
    ENGINE_ROW(an_echo_over_a_unix_socket_comes_back_whole),
    ENGINE_ROW(an_echo_over_tcp_comes_back_whole),
    ENGINE_ROW(a_message_larger_than_all_buffers_arrives_in_order),
    ENGINE_ROW(more_connections_than_buffers_all_get_their_turn),
    ENGINE_ROW(memory_to_receive_into_grows_with_the_need),
    ENGINE_ROW(a_starved_connection_can_be_closed),
    ENGINE_ROW(a_small_completion_queue_loses_nothing),
    ENGINE_ROW(more_sends_than_submission_entries_all_go),
    ENGINE_ROW(a_slow_reader_gets_everything_in_order),
    ENGINE_ROW(references_are_sent_in_order_and_released_once),
    ENGINE_ROW(output_appended_while_a_send_waits_goes_behind_it),
    ENGINE_ROW(a_pause_stops_reading_and_a_resume_goes_on),
    ENGINE_ROW(pauses_and_resumes_in_any_rhythm_lose_nothing),
    ENGINE_ROW(a_pause_while_turns_are_measured_deafens_nobody),
    ENGINE_ROW(an_end_that_came_during_a_pause_is_told_after_it),
    ENGINE_ROW(a_peer_that_stops_writing_still_gets_its_answer),
    ENGINE_ROW(the_last_bytes_come_before_the_end),
    ENGINE_ROW(a_reset_ends_once_and_drops_the_output),
    ENGINE_ROW(output_after_the_peer_left_is_dropped_and_said_to_be_sent),
    ENGINE_ROW(a_broken_connection_that_is_paused_costs_no_turns),
    ENGINE_ROW(a_close_with_operations_in_flight_releases_once),
    ENGINE_ROW(a_close_inside_an_event_is_the_last_event),
    ENGINE_ROW(who_is_closed_while_others_are_sent_is_released_in_a_later_turn),
    ENGINE_ROW(a_close_before_the_first_turn_releases_in_the_next),
    ENGINE_ROW(a_close_after_a_pause_and_a_resume_releases_once),
    ENGINE_ROW(many_that_end_and_close_at_once_are_all_released),
    ENGINE_ROW(a_turn_without_events_lasts_its_timeout),
    ENGINE_ROW(wakes_before_a_turn_end_it_and_count_as_one),
    ENGINE_ROW(no_wake_from_another_thread_is_lost),
    ENGINE_ROW(everyone_who_waits_is_accepted_and_served),
    ENGINE_ROW(nobody_is_accepted_after_unlisten),
    ENGINE_ROW(at_the_descriptor_limit_accepting_rests_until_asked_again),
    ENGINE_ROW(a_destroyed_engine_holds_no_listener),
};

int main(void) {
    const struct CMUnitTest others[] = {
        cmocka_unit_test(where_rings_are_refused_auto_takes_epoll_and_says_why),
    };
    int failed = engine_rows_run("engines", rows, sizeof rows / sizeof *rows, NULL, NULL);
    return failed + cmocka_run_group_tests(others, NULL, NULL);
}
