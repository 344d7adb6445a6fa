/* GETLEASE with WAIT: who waits for a fill gets it, or the lease, or is told that the wait is over; and never
 * waits longer. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "shards/base/random.h"
#include "tests/support/client.h"
#include "tests/support/crowd.h"
#include "tests/support/lease.h"

enum {
    HERD = 1000,
    LATE_MS = 3000, /* a busy machine and sanitizers included */
    LINE_MAX = 256,
};

/* Every other one speaks RESP3, in which a null looks otherwise. */
static struct wire *connect_one(const struct test_server *server, int index) {
    struct wire *wire = wire_connect(server);
    if (index % 2 != 0) free(wire_ask(wire, "HELLO 3"));
    return wire;
}

static const char *value_reply(int index) {
    return index % 2 != 0 ? "[\"value\", _, \"hit\"]" : "[\"value\", $-1, \"hit\"]";
}

static const char *nothing_reply(int index) {
    return index % 2 != 0 ? "[_, _, \"miss\"]" : "[$-1, $-1, \"miss\"]";
}

/* Connections enough that every worker has some. */
enum { FEW = 8 };

static void connect_few(const struct test_server *server, struct wire *wires[FEW]) {
    for (int i = 0; i < FEW; i++) {
        wires[i] = connect_one(server, i);
    }
}

static void close_few(struct wire *wires[FEW]) {
    for (int i = 0; i < FEW; i++) {
        wire_close(wires[i]);
    }
}

static void send_to_few(struct wire *wires[FEW], const char *line) {
    for (int i = 0; i < FEW; i++) {
        wire_send_command(wires[i], line);
    }
}

static void expect_of_few(struct wire *wires[FEW], const char *(*reply)(int index)) {
    for (int i = 0; i < FEW; i++) {
        wire_expect_reply(wires[i], reply(i));
    }
}

/* The one of them that has been answered. */
static struct wire *find_answered(struct wire **wires, int count) {
    struct pollfd *polls = calloc((size_t)count, sizeof *polls);
    assert_non_null(polls);
    for (int i = 0; i < count; i++) {
        polls[i] = (struct pollfd){.fd = wire_fd(wires[i]), .events = POLLIN};
    }
    assert_int_equal(poll(polls, (nfds_t)count, WIRE_WAIT_MS), 1);
    struct wire *answered = NULL;
    for (int i = 0; i < count; i++) {
        if (polls[i].revents != 0) answered = wires[i];
    }
    free(polls);
    return answered;
}

static void a_thousand_clients_on_a_missing_key_make_one_fill(void **state) {
    struct wire *herd[HERD], *watcher = wire_connect(*state);
    for (int i = 0; i < HERD; i++) {
        herd[i] = connect_one(*state, i);
    }
    for (int i = 0; i < HERD; i++) {
        wire_send_command(herd[i], "GETLEASE key 60000 WAIT 60000");
    }
    lease_await_waiting(watcher, HERD - 1);
    struct wire *holder = find_answered(herd, HERD);
    lease_expect(holder, "SETLEASE key $ value", lease_read_token(holder), ":1");
    for (int i = 0; i < HERD; i++) {
        if (herd[i] != holder) wire_expect_reply(herd[i], value_reply(i));
    }
    lease_await_waiting(watcher, 0);
    for (int i = 0; i < HERD; i++) {
        wire_close(herd[i]);
    }
    wire_close(watcher);
}

static void whoever_writes_the_value_ends_the_wait(void **state) {
    struct wire *few[FEW], *other = wire_connect(*state);
    connect_few(*state, few);
    long long token = lease_ask_token(other, "GETLEASE key 60000");
    send_to_few(few, "GETLEASE key 60000 WAIT 60000");
    lease_await_waiting(other, FEW);
    wire_expect(other, "SET key value", "+OK");
    expect_of_few(few, value_reply);
    lease_expect(other, "SETLEASE key $ old", token, ":0");
    close_few(few);
    wire_close(other);
}

static void a_waiting_client_is_given_the_lease_of_a_holder_that_died(void **state) {
    enum { LEASE_MS = 300 };
    struct wire *few[FEW], *holder = wire_connect(*state), *watcher = wire_connect(*state);
    connect_few(*state, few);
    int64_t before_ms = lease_now_ms();
    long long token = lease_ask_token(holder, "GETLEASE key 300");
    wire_close(holder);
    send_to_few(few, "GETLEASE key 60000 WAIT 60000");
    struct wire *next = find_answered(few, FEW);
    assert_in_range(lease_now_ms() - before_ms, LEASE_MS - 1, LEASE_MS + LATE_MS);
    assert_int_equal(lease_read_token(next), token + 1);
    lease_await_waiting(watcher, FEW - 1);
    lease_expect(next, "SETLEASE key $ value", token + 1, ":1");
    for (int i = 0; i < FEW; i++) {
        if (few[i] != next) wire_expect_reply(few[i], value_reply(i));
    }
    close_few(few);
    wire_close(watcher);
}

static void who_waits_is_woken_by_a_former_holders_value(void **state) {
    struct wire *few[FEW], *slow = wire_connect(*state), *next = wire_connect(*state);
    connect_few(*state, few);
    long long token = lease_ask_token(slow, "GETLEASE key 20");
    assert_int_equal(lease_take_over(next, "GETLEASE key 60000"), token + 1);
    send_to_few(few, "GETLEASE key 60000 WAIT 60000");
    lease_await_waiting(next, FEW);
    lease_expect(slow, "SETLEASE key $ value", token, ":1");
    expect_of_few(few, value_reply);
    lease_expect(next, "SETLEASE key $ newer", token + 1, ":1");
    wire_expect(slow, "GET key", "\"newer\"");
    close_few(few);
    wire_close(slow);
    wire_close(next);
}

static void a_former_holder_ends_no_wait_by_giving_up(void **state) {
    struct wire *few[FEW], *slow = wire_connect(*state), *next = wire_connect(*state);
    connect_few(*state, few);
    long long token = lease_ask_token(slow, "GETLEASE key 20");
    lease_take_over(next, "GETLEASE key 60000");
    send_to_few(few, "GETLEASE key 60000 WAIT 60000");
    lease_await_waiting(next, FEW);
    lease_expect(slow, "DELLEASE key $", token, ":0");
    lease_await_waiting(slow, FEW);
    lease_expect(next, "SETLEASE key $ value", token + 1, ":1");
    expect_of_few(few, value_reply);
    close_few(few);
    wire_close(slow);
    wire_close(next);
}

/* Given up, or made void by a DEL. */
static void a_lease_that_ends_without_a_value_goes_to_one_of_those_who_wait(void **state) {
    static const char *const ends[] = {"DELLEASE key $", "DEL key $", "FLUSHALL SYNC",
                                       "SWAPDB 0 1"};
    struct wire *few[FEW], *other = wire_connect(*state);
    connect_few(*state, few);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        long long token = lease_ask_token(other, "GETLEASE key 60000");
        send_to_few(few, "GETLEASE key 60000 WAIT 60000");
        lease_await_waiting(other, FEW);
        if (strchr(ends[i], '$') != NULL) {
            lease_expect(other, ends[i], token, i == 0 ? ":1" : ":0");
        } else {
            wire_expect(other, ends[i], "+OK");
        }
        struct wire *next = find_answered(few, FEW);
        long long given = lease_read_token(next);
        assert_true(given != token);
        lease_await_waiting(other, FEW - 1);
        lease_expect(next, "SETLEASE key $ value", given, ":1");
        for (int j = 0; j < FEW; j++) {
            if (few[j] != next) wire_expect_reply(few[j], value_reply(j));
        }
        wire_expect(other, "DEL key", ":1");
    }
    close_few(few);
    wire_close(other);
}

static void nobody_waits_past_his_wait(void **state) {
    enum { WAIT_MS = 200 };
    struct wire *few[FEW], *holder = wire_connect(*state);
    connect_few(*state, few);
    lease_ask_token(holder, "GETLEASE key 60000");
    int64_t before_ms = lease_now_ms();
    send_to_few(few, "GETLEASE key 60000 WAIT 200");
    expect_of_few(few, nothing_reply);
    assert_in_range(lease_now_ms() - before_ms, WAIT_MS - 1, WAIT_MS + LATE_MS);
    lease_await_waiting(holder, 0);
    close_few(few);
    wire_close(holder);
}

static void what_was_sent_behind_waits_too_and_is_answered_in_order(void **state) {
    struct wire *wire = wire_connect(*state), *holder = wire_connect(*state);
    long long token = lease_ask_token(holder, "GETLEASE key 60000");
    wire_send_text(wire, "PING before\r\nGETLEASE key 60000 WAIT 60000\r\nPING behind\r\n"
                         "GETLEASE key 60000 WAIT 60000\r\nSET beh");
    wire_expect_reply(wire, "\"before\"");
    lease_await_waiting(holder, 1);
    wire_send_text(wire, "ind \"x y\"\r\nGET behind\r\n");
    wire_expect(holder, "EXISTS behind", ":0");
    lease_expect(holder, "SETLEASE key $ value", token, ":1");
    wire_expect_reply(wire, "[\"value\", $-1, \"hit\"]");
    wire_expect_reply(wire, "\"behind\"");
    wire_expect_reply(wire, "[\"value\", $-1, \"hit\"]");
    wire_expect_reply(wire, "+OK");
    wire_expect_reply(wire, "\"x y\"");
    wire_close(wire);
    wire_close(holder);
}

static void who_goes_away_while_waiting_is_forgotten(void **state) {
    struct wire *few[FEW], *holder = wire_connect(*state);
    connect_few(*state, few);
    long long token = lease_ask_token(holder, "GETLEASE key 60000");
    send_to_few(few, "GETLEASE key 60000 WAIT 60000");
    lease_await_waiting(holder, FEW);
    shutdown(wire_fd(few[0]), SHUT_WR);
    lease_await_waiting(holder, FEW - 1);
    wire_expect_closed(few[0]);
    close_few(few);
    lease_await_waiting(holder, 0);
    lease_expect(holder, "SETLEASE key $ value", token, ":1");
    wire_close(holder);
}

static long long ask_id(struct wire *wire) {
    return wire_ask_integer(wire, "CLIENT ID");
}

static void client_unblock_and_kill_end_a_wait(void **state) {
    struct wire *few[FEW], *holder = wire_connect(*state);
    connect_few(*state, few);
    long long token = lease_ask_token(holder, "GETLEASE key 60000");
    for (int i = 0; i < FEW; i++) {
        long long id = ask_id(few[i]);
        lease_expect(holder, "CLIENT UNBLOCK $", id, ":0");
        wire_send_command(few[i], "GETLEASE key 60000 WAIT 60000");
        lease_await_waiting(holder, 1);
        char line[LINE_MAX];
        snprintf(line, sizeof line, "CLIENT LIST ID %lld", id);
        char *list = wire_ask(holder, line);
        assert_non_null(strstr(list, " flags=b "));
        free(list);
        lease_expect(holder, i % 2 ? "CLIENT UNBLOCK $" : "CLIENT UNBLOCK $ TIMEOUT", id, ":1");
        wire_expect_reply(few[i], nothing_reply(i));
        wire_send_command(few[i], "GETLEASE key 60000 WAIT 60000");
        lease_await_waiting(holder, 1);
        lease_expect(holder, "CLIENT UNBLOCK $ ERROR", id, ":1");
        wire_expect_reply(few[i], "-UNBLOCKED client unblocked via CLIENT UNBLOCK");
        wire_expect(few[i], "PING", "+PONG");
        wire_send_command(few[i], "GETLEASE key 60000 WAIT 60000");
        lease_await_waiting(holder, 1);
        lease_expect(holder, "CLIENT KILL ID $", id, ":1");
        wire_expect_closed(few[i]);
        lease_await_waiting(holder, 0);
    }
    wire_expect(holder, "CLIENT UNBLOCK 1 NOW",
                "-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
    wire_expect(holder, "CLIENT UNBLOCK me", "-ERR value is not an integer or out of range");
    lease_expect(holder, "SETLEASE key $ value", token, ":1");
    close_few(few);
    wire_close(holder);
}

/* The server's own patience with idle clients doesn't count while it keeps them waiting. */
static void a_waiting_client_is_not_idle(void **state) {
    struct wire *wire = wire_connect(*state), *holder = wire_connect(*state);
    wire_expect(holder, "CONFIG SET timeout 1", "+OK");
    long long token = lease_ask_token(holder, "GETLEASE key 60000");
    wire_send_command(wire, "GETLEASE key 60000 WAIT 2000");
    wire_expect_reply(wire, "[$-1, $-1, \"miss\"]");
    wire_expect_closed(holder);
    struct wire *other = wire_connect(*state);
    lease_expect(other, "SETLEASE key $ value", token, ":1");
    wire_close(other);
    wire_close(wire);
    wire_close(holder);
}

static void who_hears_no_replies_does_not_wait(void **state) {
    struct wire *wire = wire_connect(*state), *holder = wire_connect(*state);
    lease_ask_token(holder, "GETLEASE key 60000");
    wire_send_command(wire, "CLIENT REPLY OFF");
    wire_send_command(wire, "GETLEASE key 60000 WAIT 60000");
    wire_expect(wire, "CLIENT REPLY ON", "+OK");
    wire_expect(wire, "PING", "+PONG");
    wire_close(wire);
    wire_close(holder);
}

static void a_server_stops_though_clients_wait(void **state) {
    struct wire *few[FEW], *holder = wire_connect(*state);
    connect_few(*state, few);
    lease_ask_token(holder, "GETLEASE key 60000");
    send_to_few(few, "GETLEASE key 60000 WAIT 60000");
    lease_await_waiting(holder, FEW);
    wire_send_command(holder, "SHUTDOWN");
    for (int i = 0; i < FEW; i++) {
        wire_expect_closed(few[i]);
    }
    close_few(few);
    wire_close(holder);
    test_server_await_end(*state);
    *state = NULL;
}

/* ---- All at once ----------------------------------------------------------------------------- */

enum { CROWD = 12, ROUNDS = 400, CROWD_KEYS = 3 };

/* Every way into a wait and out of it, at random moments. */
static bool do_anything(const struct test_server *server, struct random *random,
                        redisContext **context) {
    int key = (int)random_below(random, CROWD_KEYS);
    redisReply *reply = NULL;
    switch (random_below(random, 12)) {
    case 0:
        reply = redisCommand(*context, "DEL crowded:%d", key);
        break;
    case 1:
        reply = redisCommand(*context, "SET crowded:%d value PX 3", key);
        break;
    case 2: { /* gone while it waits, perhaps */
        redisAppendCommand(*context, "GETLEASE crowded:%d 5 WAIT 5", key);
        int done = 0;
        while (!done && redisBufferWrite(*context, &done) == REDIS_OK) {
        }
        redisFree(*context);
        *context = hiredis_open(server);
        return *context != NULL;
    }
    case 3:
        reply = redisCommand(*context, "CLIENT UNBLOCK %d", 1 + (int)random_below(random, 40));
        break;
    default:
        reply = redisCommand(*context, "GETLEASE crowded:%d 2 WAIT %d", key,
                             1 + (int)random_below(random, 8));
        if (reply != NULL && reply->type == REDIS_REPLY_ARRAY &&
            reply->element[1]->type == REDIS_REPLY_INTEGER && random_below(random, 4) != 0) {
            long long token = reply->element[1]->integer, stored;
            freeReplyObject(reply);
            if (random_below(random, 8) == 0)
                return hiredis_ask_integer(*context, &stored, "DELLEASE crowded:%d %lld", key,
                                           token);
            return hiredis_ask_integer(*context, &stored, "SETLEASE crowded:%d %lld v PX 2", key,
                                       token);
        }
    }
    bool is_well = reply != NULL && reply->type != REDIS_REPLY_ERROR;
    freeReplyObject(reply);
    return is_well;
}

static bool be_one_of_the_crowd(void *state, size_t index) {
    const struct test_server *server = state;
    struct random random;
    random_init(&random, index);
    redisContext *context = hiredis_open(server);
    bool is_well = context != NULL;
    for (int i = 0; is_well && i < ROUNDS; i++) {
        is_well = do_anything(server, &random, &context);
    }
    redisFree(context);
    return is_well;
}

static void every_request_of_a_crowd_is_answered(void **state) {
    assert_true(crowd_run(CROWD, be_one_of_the_crowd, *state));
    struct wire *watcher = wire_connect(*state);
    lease_await_waiting(watcher, 0);
    wire_close(watcher);
}

static int tear_down_what_is_left(void **state) {
    return *state != NULL ? test_server_teardown(state) : 0;
}

int main(void) {
    test_server_require();
    const struct CMUnitTest tests[] = {
        TEST_WITH_SERVER(a_thousand_clients_on_a_missing_key_make_one_fill, NULL),
        TEST_WITH_SERVER(whoever_writes_the_value_ends_the_wait, NULL),
        TEST_WITH_SERVER(a_waiting_client_is_given_the_lease_of_a_holder_that_died, NULL),
        TEST_WITH_SERVER(who_waits_is_woken_by_a_former_holders_value, NULL),
        TEST_WITH_SERVER(a_former_holder_ends_no_wait_by_giving_up, NULL),
        TEST_WITH_SERVER(a_lease_that_ends_without_a_value_goes_to_one_of_those_who_wait, NULL),
        TEST_WITH_SERVER(nobody_waits_past_his_wait, NULL),
        TEST_WITH_SERVER(what_was_sent_behind_waits_too_and_is_answered_in_order, NULL),
        TEST_WITH_SERVER(who_goes_away_while_waiting_is_forgotten, NULL),
        TEST_WITH_SERVER(client_unblock_and_kill_end_a_wait, NULL),
        TEST_WITH_SERVER(a_waiting_client_is_not_idle, NULL),
        TEST_WITH_SERVER(who_hears_no_replies_does_not_wait, NULL),
        cmocka_unit_test_setup_teardown(a_server_stops_though_clients_wait, test_server_setup,
                                        tear_down_what_is_left),
        TEST_WITH_SERVER(every_request_of_a_crowd_is_answered, NULL),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
