/* Clients that are many, slow, or gone in the middle: the server's memory stays bounded, and the others are served. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#include "tests/support/client.h"
#include "tests/support/server.h"
#include "tests/support/wire.h"

enum {
    KIB = 1024,
    MIB = 1024 * KIB,
    IDLE_CLIENTS = 10000,
    IDLE_BYTES_MAX = 16 * KIB, /* of the server's memory each */
    SPARE_FILES = 200,
};

/* ---- Many ------------------------------------------------------------------------------------ */

static const char *const many_clients[] = {"--maxclients", "10100", NULL};

/* How many connections this process may hold, with its limit raised as far as it goes. The server inherits it. */
static size_t raise_file_limit(void) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_max > IDLE_CLIENTS + SPARE_FILES ? IDLE_CLIENTS
                                                       : limit.rlim_max - SPARE_FILES;
}

static int raise_and_tell(void **state) {
    (void)state;
    size_t count = raise_file_limit();
    if (count < IDLE_CLIENTS) {
        print_message("RLIMIT_NOFILE allows only %zu clients instead of %d\n", count, IDLE_CLIENTS);
    }
    return 0;
}

static redisContext **connect_idle(const struct test_server *server, size_t count) {
    redisContext **contexts = calloc(count, sizeof *contexts);
    assert_non_null(contexts);
    for (size_t i = 0; i < count; i++) {
        contexts[i] = hiredis_expect_open(server);
    }
    return contexts;
}

static void await_connected(struct wire *witness, long long count) {
    for (int waited_ms = 0; waited_ms < WIRE_WAIT_MS; waited_ms++) {
        if (wire_ask_field(witness, "INFO clients", "connected_clients") == count) return;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    assert_int_equal(wire_ask_field(witness, "INFO clients", "connected_clients"), count);
}

static void ten_thousand_idle_clients_cost_little_and_slow_nobody(void **state) {
    size_t count = raise_file_limit();
    struct wire *witness = wire_connect(*state);
    wire_expect(witness, "PING", "+PONG");
    long before = test_server_resident_bytes(*state);
    redisContext **contexts = connect_idle(*state, count);
    await_connected(witness, (long long)count + 1);
    for (size_t i = 0; i < count; i += 97) {
        hiredis_expect_status(contexts[i], "PONG", "PING");
    }
    long each = (test_server_resident_bytes(*state) - before) / (long)count;
    print_message("%ld bytes of resident memory an idle client\n", each);
    assert_in_range(each, 0, IDLE_BYTES_MAX);
    for (size_t i = 0; i < count; i++) {
        redisFree(contexts[i]);
    }
    free(contexts);
    await_connected(witness, 1);
    wire_close(witness);
}

/* ---- Slow ------------------------------------------------------------------------------------ */

static const char *const small_outputs[] = {
    "--client-output-buffer-limit", "normal", "16mb", "0", "0", NULL,
};

enum {
    REPLY_BYTES = MIB,
    REPLIES = 1000,
    HELD_BYTES_MAX = 100 * MIB, /* a tenth of what is asked for */
};

/* It asks for a gigabyte in one write, and reads nothing. Redis closes it at the limit; holding it back is as good. */
static void a_client_that_does_not_read_is_bounded(void **state) {
    struct wire *witness = wire_connect(*state), *slow = wire_connect(*state);
    char requests[REPLIES * 8 + 1];
    wire_expect(witness, "SETRANGE key 1048575 x", ":1048576");
    long before = test_server_resident_bytes(*state);
    size_t size = 0;
    for (int i = 0; i < REPLIES; i++) {
        size += (size_t)snprintf(requests + size, sizeof requests - size, "GET key\n");
    }
    wire_try_send(slow, requests, size);
    for (int i = 0; i < 1000; i++) { /* meanwhile the server has filled whatever it fills */
        assert_int_equal(wire_ask_integer(witness, "INCR counter"), i + 1);
    }
    long held = test_server_resident_bytes(*state) - before;
    print_message("%ld MiB held for a client that doesn't read\n", held / MIB);
    assert_true(held < HELD_BYTES_MAX);
    wire_close(slow);
    wire_close(witness);
}

/* Held back or not, a reader that does go on gets all of it, in order. */
static void a_slow_reader_gets_everything_in_the_end(void **state) {
    enum { COUNT = 100 };
    struct wire *witness = wire_connect(*state);
    redisContext *slow = hiredis_expect_open(*state);
    wire_expect(witness, "SETRANGE key 1048575 x", ":1048576");
    for (int i = 0; i < COUNT; i++) {
        redisAppendCommand(slow, "GET key");
        redisAppendCommand(slow, "ECHO %d", i);
    }
    for (int i = 0; i < COUNT; i++) {
        void *answer = NULL;
        wire_expect(witness, "GET absent", "$-1");
        assert_int_equal(redisGetReply(slow, &answer), REDIS_OK);
        assert_int_equal(((redisReply *)answer)->len, REPLY_BYTES);
        freeReplyObject(answer);
        assert_int_equal(redisGetReply(slow, &answer), REDIS_OK);
        assert_int_equal(atoi(((redisReply *)answer)->str), i);
        freeReplyObject(answer);
    }
    redisFree(slow);
    wire_close(witness);
}

/* ---- Gone ------------------------------------------------------------------------------------ */

/* As when its process is killed with unread replies: the connection is reset, not closed. */
static void wire_reset(struct wire *wire) {
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    setsockopt(wire_fd(wire), SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    wire_close(wire);
}

static char *pipeline_of_increments(size_t count, size_t *size) {
    char *text;
    FILE *out = open_memstream(&text, size);
    assert_non_null(out);
    for (size_t i = 0; i < count; i++) {
        fprintf(out, "INCR counter\r\nGET large\r\n");
    }
    fclose(out);
    return text;
}

static void clients_reset_in_the_middle_leave_the_others_alone(void **state) {
    struct wire *witness = wire_connect(*state);
    size_t size;
    char *pipeline = pipeline_of_increments(2000, &size);
    wire_expect(witness, "SETRANGE large 99999 x", ":100000");
    for (int i = 0; i < 100; i++) {
        struct wire *wire = i % 2 == 0 ? wire_connect(*state) : wire_connect_unix(*state);
        wire_send(wire, pipeline, (size_t)(i + 1) * size / 100 / 4);
        if (i % 3 == 0) wire_expect_text(wire, ":");
        wire_reset(wire);
        wire_expect(witness, "PING", "+PONG");
    }
    free(pipeline);
    await_connected(witness, 1);
    wire_close(witness);
}

static void clients_killed_in_the_middle_leave_the_others_alone(void **state) {
    struct wire *witness = wire_connect(*state);
    size_t size;
    char *pipeline = pipeline_of_increments(500, &size), line[64];
    wire_expect(witness, "SETRANGE large 99999 x", ":100000");
    for (int i = 0; i < 30; i++) {
        struct wire *wire = wire_connect(*state);
        snprintf(line, sizeof line, "CLIENT KILL ID %lld", wire_ask_integer(wire, "CLIENT ID"));
        wire_send(wire, pipeline, size);
        wire_expect_text(wire, ":");
        wire_expect(witness, line, ":1");
        wire_drain(wire);
        wire_close(wire);
    }
    free(pipeline);
    await_connected(witness, 1);
    wire_close(witness);
}

int main(void) {
    test_server_require();
    const struct CMUnitTest tests[] = {
        TEST_WITH_SERVER(ten_thousand_idle_clients_cost_little_and_slow_nobody, many_clients),
        TEST_WITH_SERVER(a_client_that_does_not_read_is_bounded, small_outputs),
        TEST_WITH_SERVER(a_slow_reader_gets_everything_in_the_end, NULL),
        TEST_WITH_SERVER(clients_reset_in_the_middle_leave_the_others_alone, NULL),
        TEST_WITH_SERVER(clients_killed_in_the_middle_leave_the_others_alone, NULL),
    };
    return cmocka_run_group_tests(tests, raise_and_tell, NULL);
}
