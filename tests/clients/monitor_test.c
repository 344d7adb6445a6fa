/* MONITOR over several workers: who sees what, and what becomes of those who don't read. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/client.h"
#include "tests/support/crowd.h"
#include "tests/support/wire.h"

static const char *const OPTIONS[] = {"--workers", "2", NULL};
static const char *const OPTIONS_IDLE[] = {"--workers", "1", "--timeout", "1", NULL};
static const char *const OPTIONS_SMALL[] = {"--workers", "2", "--client-output-buffer-limit",
                                            "normal 2mb 0 0", NULL};

enum { CLIENTS = 4, ROUNDS = 300, PIPELINE = 5 };

/* SET c<index> <n>, n rising. */
static bool count_up(void *server, size_t index) {
    redisContext *client = hiredis_open(server);
    bool is_right = client != NULL;
    for (int i = 0; i < ROUNDS && is_right; i += PIPELINE) {
        for (int j = 0; j < PIPELINE; j++) {
            redisAppendCommand(client, "SET c%d %d", (int)index, i + j);
        }
        for (int j = 0; j < PIPELINE && is_right; j++) {
            is_right = hiredis_take(client, REDIS_REPLY_STATUS);
        }
    }
    if (client != NULL) redisFree(client);
    return is_right;
}

/* The next line that tells of a SET by count_up. */
static void read_count(redisContext *monitor, int *index, int *count) {
    for (;;) {
        redisReply *reply = NULL;
        assert_int_equal(redisGetReply(monitor, (void **)&reply), REDIS_OK);
        assert_int_equal(reply->type, REDIS_REPLY_STATUS);
        const char *found = strstr(reply->str, "] \"SET\" \"c");
        bool is_one = found != NULL && sscanf(found, "] \"SET\" \"c%d\" \"%d\"", index, count) == 2;
        freeReplyObject(reply);
        if (is_one) return;
    }
}

/* One on each worker: each sees the clients of both, each client's commands in their order, none twice. */
static void every_monitor_sees_all_workers_in_order(void **state) {
    redisContext *monitors[2];
    for (int m = 0; m < 2; m++) {
        monitors[m] = hiredis_expect_open(*state);
        hiredis_expect_status(monitors[m], "OK", "MONITOR");
    }
    assert_true(crowd_run(CLIENTS, count_up, *state));
    for (int m = 0; m < 2; m++) {
        int next[CLIENTS] = {0};
        for (int i = 0; i < CLIENTS * ROUNDS; i++) {
            int index, count;
            read_count(monitors[m], &index, &count);
            assert_in_range(index, 0, CLIENTS - 1);
            assert_int_equal(count, next[index]++);
        }
        redisFree(monitors[m]);
    }
}

static void a_monitor_that_does_not_read_is_closed(void **state) {
    enum { VALUE_BYTES = 100 * 1000, REQUESTS_MAX = 10000 };
    redisContext *monitor = hiredis_expect_open(*state);
    hiredis_expect_status(monitor, "OK", "MONITOR");
    struct wire *wire = wire_connect(*state);
    assert_int_equal(wire_ask_field(wire, "INFO sherd", "monitors"), 1);
    redisContext *client = hiredis_expect_open(*state);
    char *value = malloc(VALUE_BYTES);
    assert_non_null(value);
    memset(value, 'v', VALUE_BYTES);
    int sent = 0;
    while (sent++ < REQUESTS_MAX && wire_ask_field(wire, "INFO sherd", "monitors") == 1) {
        redisReply *reply = redisCommand(client, "SET key %b", value, (size_t)VALUE_BYTES);
        assert_non_null(reply);
        freeReplyObject(reply);
    }
    assert_true(sent > 2 * 1024 * 1024 / VALUE_BYTES);
    assert_int_equal(wire_ask_field(wire, "INFO sherd", "monitors"), 0);
    hiredis_expect_status(client, "PONG", "PING");
    free(value);
    wire_close(wire);
    redisFree(client);
    redisFree(monitor);
}

static void many_come_and_go_under_load(void **state) {
    struct crowd *load = crowd_start(CLIENTS, count_up, *state);
    for (int i = 0; i < 30; i++) {
        redisContext *monitor = hiredis_expect_open(*state);
        hiredis_expect_status(monitor, "OK", "MONITOR");
        if (i % 2 == 0) redisAppendCommand(monitor, "PING"); /* its own commands are shown, too */
        if (i % 3 == 0) redisAppendCommand(monitor, "RESET");
        redisFree(monitor);
    }
    assert_true(crowd_finish(load));
    struct wire *wire = wire_connect(*state);
    for (int i = 0; i < 1000 && wire_ask_field(wire, "INFO sherd", "monitors") != 0; i++) {
        wire_expect(wire, "PING", "+PONG");
    }
    assert_int_equal(wire_ask_field(wire, "INFO sherd", "monitors"), 0);
    wire_close(wire);
}

static void who_has_not_logged_in_sees_nothing(void **state) {
    redisContext *client = hiredis_expect_open(*state);
    hiredis_expect_status(client, "OK", "CONFIG SET requirepass secret");
    struct wire *wire = wire_connect(*state);
    wire_expect(wire, "MONITOR", "-NOAUTH Authentication required.");
    wire_close(wire);
    redisFree(client);
}

/* One worker, which closes another that has been idle for less long: then the monitor's time was
 * over, too. */
static void a_monitor_of_a_quiet_server_is_not_idle(void **state) {
    struct wire *monitor = wire_connect(*state);
    wire_expect(monitor, "MONITOR", "+OK");
    struct wire *idle = wire_connect(*state);
    wire_expect_closed(idle);
    struct wire *other = wire_connect(*state);
    wire_expect(other, "PING", "+PONG");
    char *line = wire_read_reply(monitor);
    assert_non_null(line);
    assert_non_null(strstr(line, "PING"));
    free(line);
    wire_close(monitor);
    wire_close(idle);
    wire_close(other);
}

int main(void) {
    test_server_require();
    const struct CMUnitTest tests[] = {
        TEST_WITH_SERVER(every_monitor_sees_all_workers_in_order, OPTIONS),
        TEST_WITH_SERVER(a_monitor_that_does_not_read_is_closed, OPTIONS_SMALL),
        TEST_WITH_SERVER(many_come_and_go_under_load, OPTIONS),
        TEST_WITH_SERVER(who_has_not_logged_in_sees_nothing, OPTIONS),
        TEST_WITH_SERVER(a_monitor_of_a_quiet_server_is_not_idle, OPTIONS_IDLE),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
