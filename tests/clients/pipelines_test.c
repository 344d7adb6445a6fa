/* Requests and values of every size, cut in every way: what arrives in pieces, or all at once, means the same. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/socket.h>

#include "tests/support/client.h"
#include "tests/support/crowd.h"
#include "tests/support/server.h"
#include "tests/support/wire.h"

enum {
    PIPELINE = 100000,
    KEYS = 1000,
    MIB = 1024 * 1024,
    VALUE_BYTES_MAX = 64 * MIB,
};

/* ---- One write of many commands -------------------------------------------------------------- */

struct outgoing {
    struct wire *wire;
    char *data;
    size_t size;
};

static bool send_all(void *shared, size_t index) {
    (void)index;
    const struct outgoing *outgoing = shared;
    for (size_t sent = 0; sent < outgoing->size;) {
        ssize_t part = send(wire_fd(outgoing->wire), outgoing->data + sent, outgoing->size - sent,
                            MSG_NOSIGNAL);
        if (part < 0) return false;
        sent += (size_t)part;
    }
    return true;
}

static struct outgoing pipeline_of_sets_and_gets(struct wire *wire) {
    struct outgoing outgoing = {.wire = wire};
    FILE *out = open_memstream(&outgoing.data, &outgoing.size);
    assert_non_null(out);
    for (int i = 0; i < PIPELINE / 2; i++) {
        fprintf(out, "*3\r\n$3\r\nSET\r\n$7\r\nkey%04d\r\n$6\r\n%06d\r\n", i % KEYS, i);
        fprintf(out, "*2\r\n$3\r\nGET\r\n$7\r\nkey%04d\r\n", i % KEYS);
    }
    fclose(out);
    return outgoing;
}

static void a_hundred_thousand_commands_are_answered_in_order(void **state) {
    struct wire *wire = wire_connect(*state);
    struct outgoing outgoing = pipeline_of_sets_and_gets(wire);
    struct crowd *sender = crowd_start(1, send_all, &outgoing);
    for (int i = 0; i < PIPELINE / 2; i++) {
        char expected[32];
        snprintf(expected, sizeof expected, "+OK\r\n$6\r\n%06d\r\n", i);
        wire_expect_text(wire, expected);
    }
    assert_true(crowd_finish(sender));
    free(outgoing.data);
    wire_close(wire);
}

/* The client sends everything before it reads anything; both directions must have room, or wait without a deadlock. */
static void a_pipeline_read_only_afterwards_is_answered(void **state) {
    enum { COMMANDS = 10000 };
    redisContext *context = hiredis_expect_open(*state);
    for (int i = 0; i < COMMANDS; i++) {
        redisAppendCommand(context, "ECHO message:%d", i);
    }
    for (int i = 0; i < COMMANDS; i++) {
        void *reply = NULL;
        char expected[32];
        snprintf(expected, sizeof expected, "message:%d", i);
        assert_int_equal(redisGetReply(context, &reply), REDIS_OK);
        assert_string_equal(((redisReply *)reply)->str, expected);
        freeReplyObject(reply);
    }
    redisFree(context);
}

/* ---- Requests in pieces ---------------------------------------------------------------------- */

struct exchange {
    const char *request, *reply;
};

static const struct exchange exchanges[] = {
    {"*1\r\n$4\r\nPING\r\n", "+PONG\r\n"},
    {"PING\r\n", "+PONG\r\n"},
    {"PING\n", "+PONG\r\n"},
    {"\r\n\r\nPING\r\n", "+PONG\r\n"},
    {"*0\r\n*-1\r\nPING\r\n", "+PONG\r\n"},
    {"  ECHO   \"a b\\x41\\n\" \r\n", "$5\r\na bA\n\r\n"},
    {"ECHO 'it\\'s'\r\n", "$4\r\nit's\r\n"},
    {"*2\r\n$4\r\nECHO\r\n$0\r\n\r\n", "$0\r\n\r\n"},
    {"*2\r\n$4\r\nECHO\r\n$4\r\n\r\n\r\n\r\n", "$4\r\n\r\n\r\n\r\n"},
    {"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nvalue\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n",
     "+OK\r\n$5\r\nvalue\r\n"},
    {"*2\r\n$3\r\nGET\r\n$7\r\nmissing\r\nGET missing\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n",
     "$-1\r\n$-1\r\n$5\r\nvalue\r\n"},
    {"*5\r\n$4\r\nMSET\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$1\r\n2\r\n*3\r\n$4\r\nMGET\r\n$"
     "1\r\na\r\n$"
     "1\r\nb\r\n",
     "+OK\r\n*2\r\n$1\r\n1\r\n$1\r\n2\r\n"},
    {"*1\r\n$3\r\nFOO\r\n", "-ERR unknown command 'FOO', with args beginning with: \r\n"},
    {"*1\r\n$3\r\nGET\r\n", "-ERR wrong number of arguments for 'get' command\r\n"},
};
enum { EXCHANGES = sizeof exchanges / sizeof *exchanges };

static void requests_sent_byte_by_byte_are_understood(void **state) {
    struct wire *wire = wire_connect(*state);
    for (size_t i = 0; i < EXCHANGES; i++) {
        for (const char *next = exchanges[i].request; *next != '\0'; next++) {
            wire_send(wire, next, 1);
        }
        wire_expect_text(wire, exchanges[i].reply);
    }
    wire_close(wire);
}

/* Between the halves another connection asks something: the server has seen the first before the second is sent. */
static void send_in_halves(struct wire *wire, struct wire *other, const char *request, size_t cut) {
    wire_send(wire, request, cut);
    wire_send_text(other, "PING\r\n");
    wire_expect_text(other, "+PONG\r\n");
    wire_send_text(wire, request + cut);
}

static void requests_cut_in_two_anywhere_are_understood(void **state) {
    struct wire *wire = wire_connect(*state), *other = wire_connect(*state);
    for (size_t i = 0; i < EXCHANGES; i++) {
        const char *request = exchanges[i].request;
        for (size_t cut = 1; cut < strlen(request); cut++) {
            send_in_halves(wire, other, request, cut);
            wire_expect_text(wire, exchanges[i].reply);
        }
    }
    wire_close(wire);
    wire_close(other);
}

static void all_requests_in_one_write_are_understood(void **state) {
    struct wire *wire = wire_connect(*state);
    char all[4096] = "";
    for (size_t i = 0; i < EXCHANGES; i++) {
        strncat(all, exchanges[i].request, sizeof all - strlen(all) - 1);
    }
    wire_send_text(wire, all);
    for (size_t i = 0; i < EXCHANGES; i++) {
        wire_expect_text(wire, exchanges[i].reply);
    }
    wire_close(wire);
}

/* ---- Values ---------------------------------------------------------------------------------- */

/* Bytes that depend on their place, so that a lost, doubled or moved part is noticed. */
static void fill(char *value, size_t size) {
    uint64_t state = size + 1;
    for (size_t i = 0; i < size; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        value[i] = (char)(state >> 56);
    }
}

static void expect_stored(redisContext *context, const char *key, const char *value, size_t size) {
    redisReply *reply = redisCommand(context, "GET %s", key);
    assert_non_null(reply);
    assert_int_equal(reply->type, REDIS_REPLY_STRING);
    assert_int_equal(reply->len, size);
    assert_true(memcmp(reply->str, value, size) == 0);
    freeReplyObject(reply);
}

static void expect_set_and_get(redisContext *context, const char *value, size_t size) {
    hiredis_expect_status(context, "OK", "SET key %b", value, size);
    hiredis_expect_integer(context, (long long)size, "STRLEN key");
    expect_stored(context, "key", value, size);
}

static void values_of_every_size_come_back(void **state) {
    char *value = malloc(VALUE_BYTES_MAX);
    assert_non_null(value);
    redisContext *context = hiredis_expect_open(*state);
    for (size_t size = 0; size < 300; size++) { /* every form an entry has */
        fill(value, size);
        expect_set_and_get(context, value, size);
    }
    for (size_t size = 256; size <= VALUE_BYTES_MAX; size *= 4) { /* and about each power of four */
        for (size_t around = size - 1; around <= size + 1 && around <= VALUE_BYTES_MAX; around++) {
            if (around != size && size >= 16 * MIB) continue;
            fill(value, around);
            expect_set_and_get(context, value, around);
        }
    }
    redisFree(context);
    free(value);
}

/* A large value that is being sent is not what a later write changes. */
static void a_reply_is_as_of_its_command_whatever_is_written_next(void **state) {
    enum { SIZE = 4 * MIB };
    static char first[SIZE], second[SIZE];
    fill(first, SIZE);
    memset(second, 'x', SIZE);
    redisContext *context = hiredis_expect_open(*state);
    redisAppendCommand(context, "SET key %b", first, (size_t)SIZE);
    redisAppendCommand(context, "GET key");
    redisAppendCommand(context, "SET key %b", second, (size_t)SIZE);
    redisAppendCommand(context, "GET key");
    redisAppendCommand(context, "SETRANGE key 0 changed");
    redisAppendCommand(context, "DEL key");
    assert_true(hiredis_take(context, REDIS_REPLY_STATUS));
    for (int i = 0; i < 2; i++) {
        void *answer = NULL;
        assert_int_equal(redisGetReply(context, &answer), REDIS_OK);
        redisReply *reply = answer;
        assert_int_equal(reply->len, SIZE);
        assert_true(memcmp(reply->str, i == 0 ? first : second, SIZE) == 0);
        freeReplyObject(reply);
        if (i == 0) assert_true(hiredis_take(context, REDIS_REPLY_STATUS));
    }
    assert_true(hiredis_take(context, REDIS_REPLY_INTEGER));
    assert_true(hiredis_take(context, REDIS_REPLY_INTEGER));
    redisFree(context);
}

static void a_large_value_can_be_appended_to_and_cut(void **state) {
    struct wire *wire = wire_connect(*state);
    wire_expect(wire, "SETRANGE key 1048575 x", ":1048576");
    wire_expect(wire, "APPEND key yz", ":1048578");
    wire_expect(wire, "GETRANGE key -4 -1", "\"\\x00xyz\"");
    wire_expect(wire, "SETRANGE key 1048576 Y", ":1048578");
    wire_expect(wire, "GETRANGE key 1048574 -1", "\"\\x00xYz\"");
    wire_expect(wire, "COPY key copy", ":1");
    wire_expect(wire, "DEL key", ":1");
    wire_expect(wire, "STRLEN copy", ":1048578");
    wire_expect(wire, "UNLINK copy", ":1");
    wire_close(wire);
}

/* Keys may be as odd and as large as values. */
static void await_jobs_done(struct wire *wire, long long count) {
    for (int attempt = 0; wire_ask_field(wire, "INFO sherd", "jobs_done") < count; attempt++) {
        assert_true(attempt < 2000);
        poll(NULL, 0, 2);
    }
}

/* DEL has a job of its own, which finds that the reply still holds the value. */
static void a_value_deleted_while_it_is_sent_is_freed_in_the_background(void **state) {
    struct wire *reader = wire_connect(*state), *other = wire_connect(*state);
    long long before = wire_ask_field(other, "INFO sherd", "jobs_done");
    wire_expect(other, "SETRANGE sent 33554431 x", ":33554432");
    wire_send_command(reader, "GET sent");
    wire_send_command(reader, "QUIT");
    wire_expect_text(reader, "$33554432\r\n");
    wire_expect(other, "DEL sent", ":1");
    await_jobs_done(other, before + 1);
    wire_drain(reader);
    await_jobs_done(other, before + 2);
    wire_close(reader);
    wire_close(other);
}

static void keys_of_every_size_are_told_apart(void **state) {
    enum { SIZE = 100000 };
    static char key[SIZE];
    fill(key, SIZE);
    redisContext *context = hiredis_expect_open(*state);
    for (size_t size = 0; size < 600; size++) {
        hiredis_expect_status(context, "OK", "SET %b %d", key, size, (int)size);
    }
    hiredis_expect_status(context, "OK", "SET %b large", key, (size_t)SIZE);
    hiredis_expect_integer(context, 601, "DBSIZE");
    for (size_t size = 0; size < 600; size++) {
        hiredis_expect_integer(context, (long long)size + 1, "INCR %b", key, size);
    }
    hiredis_expect_integer(context, 1, "DEL %b", key, (size_t)SIZE);
    redisFree(context);
}

/* What it takes to be answered behind a mebibyte of this; the best of some. */
static int64_t behind_us(struct test_server *server, const char *filler) {
    enum { ROUNDS = 5 };
    static char request[MIB + 16];
    size_t size = strlen(filler);
    int64_t best_us = INT64_MAX;
    for (size_t at = 0; at < MIB; at += size) {
        memcpy(request + at, filler, size);
    }
    for (int round = 0; round < ROUNDS; round++) {
        struct wire *wire = wire_connect(server);
        struct timespec begun, ended;
        clock_gettime(CLOCK_MONOTONIC, &begun);
        wire_send(wire, request, MIB);
        wire_expect(wire, "PING", "+PONG");
        clock_gettime(CLOCK_MONOTONIC, &ended);
        int64_t us = (ended.tv_sec - begun.tv_sec) * INT64_C(1000000) +
                     (ended.tv_nsec - begun.tv_nsec) / 1000;
        if (us < best_us) best_us = us;
        wire_close(wire);
    }
    return best_us;
}

/* A short line takes what it has, not what lies behind it: then this took fifty times as long. */
static void empty_lines_cost_about_what_empty_requests_do(void **state) {
    int64_t requests_us = behind_us(*state, "*0\r\n"), lines_us = behind_us(*state, "\n\n\n\n");
    if (lines_us > 12 * requests_us + 2000)
        fail_msg("a mebibyte of lines took %lld us, of requests %lld", (long long)lines_us,
                 (long long)requests_us);
}

static void info_tells_how_many_commands_run_a_second(void **state) {
    enum { ASKED_MAX = 1000000 };
    struct wire *wire = wire_connect(*state);
    long long per_second = 0;
    for (int i = 0; i < ASKED_MAX && per_second == 0; i++) {
        per_second = wire_ask_field(wire, "INFO stats", "instantaneous_ops_per_sec");
    }
    assert_true(per_second > 0);
    wire_close(wire);
}

int main(void) {
    test_server_require();
    const struct CMUnitTest tests[] = {
        TEST_WITH_SERVER(a_hundred_thousand_commands_are_answered_in_order, NULL),
        TEST_WITH_SERVER(a_pipeline_read_only_afterwards_is_answered, NULL),
        TEST_WITH_SERVER(requests_sent_byte_by_byte_are_understood, NULL),
        TEST_WITH_SERVER(requests_cut_in_two_anywhere_are_understood, NULL),
        TEST_WITH_SERVER(all_requests_in_one_write_are_understood, NULL),
        TEST_WITH_SERVER(values_of_every_size_come_back, NULL),
        TEST_WITH_SERVER(a_reply_is_as_of_its_command_whatever_is_written_next, NULL),
        TEST_WITH_SERVER(a_large_value_can_be_appended_to_and_cut, NULL),
        TEST_WITH_SERVER(a_value_deleted_while_it_is_sent_is_freed_in_the_background, NULL),
        TEST_WITH_SERVER(keys_of_every_size_are_told_apart, NULL),
        TEST_WITH_SERVER(empty_lines_cost_about_what_empty_requests_do, NULL),
        TEST_WITH_SERVER(info_tells_how_many_commands_run_a_second, NULL),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
