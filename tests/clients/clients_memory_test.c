/* maxmemory-clients: what clients take has a limit of its own; the worst go, the others and the keys stay. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/client.h"
#include "tests/support/server.h"
#include "tests/support/wire.h"

enum {
    KIB = 1024,
    MIB = 1024 * KIB,
    SLOW_READERS = 16,
    REPLIES = 4000,
    VALUE = 8 * KIB,
    MARGIN = 2 * 64 * KIB, /* which two workers may be beyond the limit for a moment */
};

static const char *const limited[] = {"--maxmemory-clients", "2mb", "--workers", "2", NULL};
static const char *const limited_alone[] = {"--maxmemory-clients", "2mb", "--workers", "1", NULL};
static const char *const with_keys[] = {
    "--maxmemory-clients", "2mb",         "--workers", "2", "--maxmemory", "16mb",
    "--maxmemory-policy",  "allkeys-lru", NULL};

/* The beginning of a SET of `bytes`, and so much of its value. */
static void send_part_of_a_value(struct wire *wire, size_t bytes, size_t sent) {
    char header[96];
    snprintf(header, sizeof(header), "*3\r\n$3\r\nSET\r\n$5\r\nlarge\r\n$%zu\r\n", bytes);
    wire_send_text(wire, header);
    char *part = malloc(sent);
    assert_non_null(part);
    memset(part, 'v', sent);
    (void)wire_try_send(wire, part, sent);
    free(part);
}

static void await_evicted_clients(struct wire *wire, long long least) {
    while (wire_ask_field(wire, "INFO stats", "evicted_clients") < least) {
        /* the test's time is bounded by ctest */
    }
}

/* Readers that ask for more than sockets hold, and read nothing. */
static void ask_without_reading(struct wire *reader) {
    for (int i = 0; i < REPLIES; i++) {
        if (!wire_try_send(reader, "*2\r\n$3\r\nGET\r\n$5\r\nvalue\r\n", 24)) return;
    }
}

static void set_value(struct wire *wire) {
    char line[VALUE + 16] = "SET value ";
    size_t size = strlen(line);
    memset(line + size, 'v', VALUE);
    line[size + VALUE] = '\0';
    wire_expect(wire, line, "+OK");
}

static void a_request_too_large_is_told_so_and_closed(void **state) {
    struct wire *other = wire_connect(*state), *large = wire_connect(*state);
    wire_expect(other, "PING", "+PONG");
    send_part_of_a_value(large, 64 * MIB, 16);
    wire_expect_reply(large, "-ERR closed: clients' buffers pass maxmemory-clients, and this "
                             "client's were the largest");
    wire_expect_closed(large);
    assert_int_equal(wire_ask_field(other, "INFO stats", "evicted_clients"), 1);
    test_server_expect_said(*state, "pass maxmemory-clients (2097152 bytes)");
    wire_close(other);
    wire_close(large);
}

/* Not by a mebibyte a worker, which is what workers may keep of chunks at rest. */
static void a_request_a_little_too_large_is_closed(void **state) {
    struct wire *large = wire_connect(*state);
    send_part_of_a_value(large, 2 * MIB + 4 * KIB, 2 * MIB);
    wire_expect_reply(large, "-ERR closed: clients' buffers pass maxmemory-clients, and this "
                             "client's were the largest");
    wire_expect_closed(large);
    wire_close(large);
}

static void requests_a_little_too_large_together_cost_the_largest(void **state) {
    struct wire *other = wire_connect(*state), *small = wire_connect(*state);
    struct wire *large = wire_connect(*state);
    send_part_of_a_value(small, 900 * KIB, 16);
    while (wire_ask_field(other, "INFO memory", "mem_clients_normal") < 900 * KIB) {
        /* its input is taken in */
    }
    send_part_of_a_value(large, 1200 * KIB, 16);
    wire_expect_reply(large, "-ERR closed: clients' buffers pass maxmemory-clients, and this "
                             "client's were the largest");
    wire_expect_closed(large);
    assert_int_equal(wire_ask_field(other, "INFO stats", "evicted_clients"), 1);
    wire_close(small);
    wire_close(large);
    wire_close(other);
}

/* It is there as a whole before anybody looks at all clients. */
static void a_request_too_large_is_not_run(void **state) {
    struct wire *other = wire_connect(*state), *large = wire_connect(*state);
    wire_send_text(large, "*2\r\n$4\r\nECHO\r\n$5\r\nfirst\r\n");
    send_part_of_a_value(large, 3 * MIB, 3 * MIB);
    (void)wire_try_send(large, "\r\n", 2);
    wire_expect_reply(large, "\"first\"");
    wire_expect_reply(large, "-ERR closed: clients' buffers pass maxmemory-clients, and this "
                             "client's were the largest");
    wire_expect_closed(large);
    wire_expect(other, "EXISTS large", ":0");
    wire_close(other);
    wire_close(large);
}

/* It stays in the list for as long as it may read why; what it held is gone. */
static void a_client_that_was_evicted_takes_nothing_more(void **state) {
    struct wire *other = wire_connect(*state), *large = wire_connect(*state);
    send_part_of_a_value(large, 3 * MIB, 16);
    await_evicted_clients(other, 1);
    assert_in_range(wire_ask_field(other, "INFO memory", "mem_clients_normal"), 1, 64 * KIB);
    wire_close(other);
    wire_close(large);
}

/* The client is still sending when we break with it: it may go on to, and reads why, where redis-cli would show
 * nothing but the reset that its next write met. */
static void a_client_that_goes_on_sending_reads_why_it_is_closed(void **state) {
    struct wire *large = wire_connect(*state);
    send_part_of_a_value(large, 512 * MIB, 16);
    char *more = calloc(1, MIB);
    assert_non_null(more);
    for (int i = 0; i < 16; i++) {
        wire_send(large, more, MIB);
    }
    free(more);
    wire_expect_reply(large, "-ERR closed: clients' buffers pass maxmemory-clients, and this "
                             "client's were the largest");
    wire_expect_closed(large);
    wire_close(large);
}

/* And should it neither read nor hang up, it is closed within some seconds. */
static void a_client_that_does_not_hang_up_is_closed(void **state) {
    struct wire *other = wire_connect(*state), *large = wire_connect(*state);
    send_part_of_a_value(large, 64 * MIB, 16);
    await_evicted_clients(other, 1);
    while (wire_ask_field(other, "INFO clients", "connected_clients") != 1) {
        /* the test's time is bounded by ctest */
    }
    wire_close(large);
    wire_close(other);
}

static void slow_readers_are_closed_until_the_rest_is_within_the_limit(void **state) {
    struct wire *readers[SLOW_READERS];
    struct wire *other = wire_connect(*state);
    set_value(other);
    for (int i = 0; i < SLOW_READERS; i++) {
        readers[i] = wire_connect(*state);
        ask_without_reading(readers[i]);
    }
    await_evicted_clients(other, 1);
    while (wire_ask_field(other, "INFO memory", "mem_clients_normal") > 2 * MIB + MARGIN) {
        /* closing goes on */
    }
    assert_in_range(wire_ask_field(other, "INFO stats", "evicted_clients"), 1, SLOW_READERS - 1);
    wire_expect(other, "STRLEN value", ":8192");
    for (int i = 0; i < SLOW_READERS; i++) {
        wire_close(readers[i]);
    }
    wire_close(other);
}

static void a_client_that_must_not_be_evicted_stays(void **state) {
    struct wire *other = wire_connect(*state), *chosen = wire_connect(*state);
    wire_expect(chosen, "CLIENT NO-EVICT on", "+OK");
    size_t bytes = 8 * MIB;
    send_part_of_a_value(chosen, bytes, bytes);
    wire_send_text(chosen, "\r\n");
    wire_expect_reply(chosen, "+OK");
    wire_expect(other, "STRLEN large", ":8388608");
    assert_int_equal(wire_ask_field(other, "INFO stats", "evicted_clients"), 0);
    wire_close(other);
    wire_close(chosen);
}

/* Those of a command that waits, too: here a megabyte each, of clients that wait for a lease. */
static void what_waits_is_its_clients(void **state) {
    enum { WAITERS = 8 };
    struct wire *wire = wire_connect(*state), *waiters[WAITERS];
    char *key = malloc(MIB + 1);
    assert_non_null(key);
    memset(key, 'k', MIB);
    key[MIB] = '\0';
    const char *const arguments[] = {"GETLEASE", key, "60000", "WAIT", "60000", NULL};
    const size_t sizes[] = {8, MIB, 5, 4, 5};
    for (int i = 0; i < WAITERS; i++) {
        waiters[i] = wire_connect(*state);
        wire_send_arguments(waiters[i], arguments, sizes, 5);
    }
    await_evicted_clients(wire, WAITERS - 2); /* one has the lease, and for one there is room */
    for (int i = 0; i < WAITERS; i++) {
        wire_close(waiters[i]);
    }
    free(key);
    wire_close(wire);
}

static void no_key_is_evicted_for_clients(void **state) {
    redisContext *context = hiredis_expect_open(*state);
    struct wire *wire = wire_connect(*state), *chosen = wire_connect(*state);
    set_value(wire);
    wire_expect(chosen, "CLIENT NO-EVICT on", "+OK");
    send_part_of_a_value(chosen, 64 * MIB, 48);
    while (wire_ask_field(wire, "INFO memory", "mem_clients_normal") < 64 * MIB) {
        /* its input is taken in */
    }
    assert_in_range(wire_ask_field(wire, "INFO memory", "used_memory"), 64 * MIB, 96 * MIB);
    for (int i = 0; i < 1000; i++) {
        hiredis_expect_status(context, "OK", "SET key:%d value", i);
    }
    hiredis_expect_integer(context, 1001, "DBSIZE");
    assert_int_equal(wire_ask_field(wire, "INFO stats", "evicted_keys"), 0);
    redisFree(context);
    wire_close(wire);
    wire_close(chosen);
}

/* Nor for what a worker took to run a request of very many arguments, during or after it. */
static void no_key_is_evicted_for_many_arguments(void **state) {
    enum { KEYS = 1000000, ROUNDS = 4 };
    redisContext *context = hiredis_expect_open(*state);
    for (int i = 0; i < 2000; i++) {
        hiredis_expect_status(context, "OK", "SET key:%d %04096d", i, 0);
    }
    hiredis_expect_integer(context, 2000, "DBSIZE");
    static const char *arguments[KEYS] = {"DEL"};
    static size_t sizes[KEYS] = {3};
    for (int i = 1; i < KEYS; i++) {
        arguments[i] = "k";
        sizes[i] = 1;
    }
    struct wire *wire = wire_connect(*state);
    wire_expect(wire, "CONFIG SET maxmemory-clients 0", "+OK");
    for (int i = 0; i < ROUNDS; i++) {
        struct wire *one = wire_connect(*state);
        wire_send_arguments(one, arguments, sizes, KEYS);
        wire_expect_reply(one, ":0");
        wire_close(one);
        hiredis_expect_status(context, "OK", "SET key:0 again");
    }
    hiredis_expect_integer(context, 2000, "DBSIZE");
    assert_int_equal(wire_ask_field(wire, "INFO stats", "evicted_keys"), 0);
    while (wire_ask_field(wire, "INFO memory", "mem_clients_normal") > MIB) {
        /* the last one is freed */
    }
    wire_close(wire);
    redisFree(context);
}

static void the_limit_is_bytes_or_a_percentage(void **state) {
    struct wire *wire = wire_connect(*state);
    wire_expect(wire, "CONFIG GET maxmemory-clients", "[\"maxmemory-clients\", \"10%\"]");
    wire_expect(wire, "CONFIG SET maxmemory-clients 5%", "+OK");
    wire_expect(wire, "CONFIG GET maxmemory-clients", "[\"maxmemory-clients\", \"5%\"]");
    wire_expect(wire, "CONFIG SET maxmemory-clients 3mb", "+OK");
    wire_expect(wire, "CONFIG GET maxmemory-clients", "[\"maxmemory-clients\", \"3145728\"]");
    wire_expect(wire, "CONFIG SET maxmemory-clients 0%", "+OK");
    wire_expect(wire, "CONFIG GET maxmemory-clients", "[\"maxmemory-clients\", \"0\"]");
    wire_close(wire);
}

static void a_limit_of_zero_is_none(void **state) {
    struct wire *wire = wire_connect(*state);
    wire_expect(wire, "CONFIG SET maxmemory-clients 0", "+OK");
    size_t bytes = 8 * MIB;
    send_part_of_a_value(wire, bytes, bytes);
    wire_send_text(wire, "\r\n");
    wire_expect_reply(wire, "+OK");
    wire_close(wire);
}

int main(void) {
    test_server_require();
    const struct CMUnitTest tests[] = {
        TEST_WITH_SERVER(a_request_too_large_is_told_so_and_closed, limited),
        TEST_WITH_SERVER(a_request_a_little_too_large_is_closed, limited),
        TEST_WITH_SERVER(requests_a_little_too_large_together_cost_the_largest, limited),
        TEST_WITH_SERVER(a_request_too_large_is_not_run, limited),
        TEST_WITH_SERVER(a_client_that_was_evicted_takes_nothing_more, limited_alone),
        TEST_WITH_SERVER(a_client_that_goes_on_sending_reads_why_it_is_closed, limited),
        TEST_WITH_SERVER(a_client_that_does_not_hang_up_is_closed, limited),
        TEST_WITH_SERVER(slow_readers_are_closed_until_the_rest_is_within_the_limit, limited),
        TEST_WITH_SERVER(a_client_that_must_not_be_evicted_stays, limited),
        TEST_WITH_SERVER(what_waits_is_its_clients, limited),
        TEST_WITH_SERVER(no_key_is_evicted_for_clients, with_keys),
        TEST_WITH_SERVER(no_key_is_evicted_for_many_arguments, with_keys),
        TEST_WITH_SERVER(the_limit_is_bytes_or_a_percentage, NULL),
        TEST_WITH_SERVER(a_limit_of_zero_is_none, limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
