/* Why clients miss: CACHE STATS and INFO, for each reason there is. */
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

enum { KEYS = 120 };

static const char *const limited[] = {"--maxmemory", "12mb", "--maxmemory-policy", "allkeys-lru",
                                      NULL};

static void for_each_key(redisContext *context, const char *format, int type) {
    for (int i = 0; i < KEYS; i++) {
        assert_int_equal(redisAppendCommand(context, format, i), REDIS_OK);
    }
    for (int i = 0; i < KEYS; i++) {
        assert_true(hiredis_take(context, type));
    }
}

/* A reason's misses are most of the keys that were asked for: a few may be forgotten, and one may pass for another. */
static void expect_most(struct wire *wire, const char *reason, int count) {
    char field[64];
    snprintf(field, sizeof(field), "misses_%s", reason);
    long long misses = wire_ask_field(wire, "INFO sherd", field);
    print_message("%s: %lld of %d\n", field, misses, count);
    assert_in_range(misses, count * 9 / 10, count);
}

static void keys_that_never_were_are_unknown(void **state) {
    redisContext *context = hiredis_expect_open(*state);
    struct wire *wire = wire_connect(*state);
    for_each_key(context, "GET never:%d", REDIS_REPLY_NIL);
    assert_int_equal(wire_ask_field(wire, "INFO sherd", "misses_unknown"), KEYS);
    assert_int_equal(wire_ask_field(wire, "INFO sherd", "misses"), KEYS);
    wire_close(wire);
    redisFree(context);
}

static void deleted_keys_and_flushed_ones_are_deleted(void **state) {
    redisContext *context = hiredis_expect_open(*state);
    struct wire *wire = wire_connect(*state);
    for_each_key(context, "SET key:%d value", REDIS_REPLY_STATUS);
    for_each_key(context, "DEL key:%d", REDIS_REPLY_INTEGER);
    for_each_key(context, "GET key:%d", REDIS_REPLY_NIL);
    expect_most(wire, "deleted", KEYS);
    for_each_key(context, "SET flushed:%d value", REDIS_REPLY_STATUS);
    hiredis_expect_status(context, "OK", "FLUSHALL SYNC");
    hiredis_expect_status(context, "OK", "CONFIG RESETSTAT");
    for_each_key(context, "GET flushed:%d", REDIS_REPLY_NIL);
    expect_most(wire, "deleted", KEYS);
    wire_close(wire);
    redisFree(context);
}

/* As in Redis. */
static void what_is_looked_up_to_be_replied_hits_or_misses(void **state) {
    static const char *const commands[] = {"GETEX key",         "GETEX key EX 100",
                                           "GETDEL key",        "GETSET key other",
                                           "SET key other GET", "COPY key twin"};
    struct wire *wire = wire_connect(*state);
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        for (int is_there = 0; is_there < 2; is_there++) {
            wire_expect(wire, "FLUSHALL", "+OK");
            if (is_there) wire_expect(wire, "SET key value", "+OK");
            wire_expect(wire, "CONFIG RESETSTAT", "+OK");
            wire_send_command(wire, commands[i]);
            free(wire_read_reply(wire));
            long long hits = wire_ask_field(wire, "INFO stats", "keyspace_hits");
            long long misses = wire_ask_field(wire, "INFO stats", "keyspace_misses");
            if (hits != is_there || misses != !is_there)
                fail_msg("%s: %lld hits, %lld misses", commands[i], hits, misses);
        }
    }
    wire_close(wire);
}

/* By the reader who comes first, and by the sweep. */
static void keys_past_their_time_are_expired(void **state) {
    redisContext *context = hiredis_expect_open(*state);
    struct wire *wire = wire_connect(*state);
    wire_expect(wire, "DEBUG SET-ACTIVE-EXPIRE 0", "+OK");
    for_each_key(context, "SET key:%d value PX 1", REDIS_REPLY_STATUS);
    hiredis_expect_status(context, "OK", "SET probe value PX 20");
    wire_await(wire, "EXISTS probe", ":0");
    wire_expect(wire, "CONFIG RESETSTAT", "+OK");
    for_each_key(context, "GET key:%d", REDIS_REPLY_NIL);
    assert_int_equal(wire_ask_field(wire, "INFO sherd", "misses_expired"), KEYS);
    wire_expect(wire, "DEBUG SET-ACTIVE-EXPIRE 1", "+OK");
    wire_await(wire, "DBSIZE", ":0");
    wire_expect(wire, "CONFIG RESETSTAT", "+OK");
    for_each_key(context, "GET key:%d", REDIS_REPLY_NIL);
    expect_most(wire, "expired", KEYS);
    wire_close(wire);
    redisFree(context);
}

static void keys_that_had_to_go_are_evicted(void **state) {
    redisContext *context = hiredis_expect_open(*state);
    struct wire *wire = wire_connect(*state);
    static char value[1000];
    memset(value, 'v', sizeof(value));
    int keys = 0;
    while (wire_ask_field(wire, "INFO stats", "evicted_keys") < 1000) {
        for (int i = 0; i < KEYS; i++, keys++) {
            redisAppendCommand(context, "SET key:%d %b", keys, value, sizeof(value));
        }
        for (int i = 0; i < KEYS; i++) {
            assert_true(hiredis_take(context, REDIS_REPLY_STATUS));
        }
    }
    for (int i = 0; i < keys; i++) {
        redisAppendCommand(context, "EXISTS key:%d", i);
    }
    long long misses = 0;
    for (int i = 0; i < keys; i++) {
        redisReply *reply = NULL;
        assert_int_equal(redisGetReply(context, (void **)&reply), REDIS_OK);
        misses += reply->integer == 0;
        freeReplyObject(reply);
    }
    expect_most(wire, "evicted", (int)misses);
    wire_close(wire);
    redisFree(context);
}

/* As many places as one shard remembers at least: only one has lost a key. */
static void statistics_are_told_in_all_and_for_each_database(void **state) {
    struct wire *wire = wire_connect(*state);
    wire_expect(wire, "MSET a 1 b 1", "+OK");
    wire_expect(wire, "EXISTS a b", ":2");
    wire_expect(wire, "DEL a", ":1");
    wire_expect(wire, "EXISTS a b never", ":1");
    wire_expect(wire, "EXISTS a", ":0");
    wire_expect(wire, "SELECT 5", "+OK");
    wire_expect(wire, "EXISTS a b", ":0");
    wire_expect(wire, "CACHE STATS",
                "[\"hits\", :3, \"misses\", :5, \"hit_percent\", \"37.5\", \"misses_by_reason\", "
                "[\"unknown\", :3, \"expired\", :0, \"evicted\", :0, \"deleted\", :2], "
                "\"gone_keys_remembered_max\", :256, \"databases\", "
                "[\"db0\", [\"unknown\", :1, \"expired\", :0, \"evicted\", :0, \"deleted\", :2], "
                "\"db5\", [\"unknown\", :2, \"expired\", :0, \"evicted\", :0, \"deleted\", :0]]]");
    wire_expect(wire, "CONFIG RESETSTAT", "+OK");
    free(wire_ask(wire, "HELLO 3"));
    wire_expect(wire, "EXISTS a", ":0");
    wire_expect(wire, "CACHE STATS",
                "{\"hits\" => :0, \"misses\" => :1, \"hit_percent\" => ,0, \"misses_by_reason\" => "
                "{\"unknown\" => :1, \"expired\" => :0, \"evicted\" => :0, \"deleted\" => :0}, "
                "\"gone_keys_remembered_max\" => :256, \"databases\" => "
                "{\"db5\" => {\"unknown\" => :1, \"expired\" => :0, \"evicted\" => :0, \"deleted\" "
                "=> :0}}}");
    wire_expect(wire, "CACHE NONE", "-ERR unknown subcommand 'NONE'. Try CACHE HELP.");
    wire_close(wire);
}

static void a_key_that_is_set_again_is_simply_there(void **state) {
    redisContext *context = hiredis_expect_open(*state);
    for_each_key(context, "SET key:%d value", REDIS_REPLY_STATUS);
    for_each_key(context, "DEL key:%d", REDIS_REPLY_INTEGER);
    for_each_key(context, "SET key:%d value", REDIS_REPLY_STATUS);
    for_each_key(context, "GET key:%d", REDIS_REPLY_STRING);
    struct wire *wire = wire_connect(*state);
    assert_int_equal(wire_ask_field(wire, "INFO sherd", "misses"), 0);
    wire_close(wire);
    redisFree(context);
}

int main(void) {
    test_server_require();
    const struct CMUnitTest tests[] = {
        TEST_WITH_SERVER(keys_that_never_were_are_unknown, NULL),
        TEST_WITH_SERVER(deleted_keys_and_flushed_ones_are_deleted, NULL),
        TEST_WITH_SERVER(keys_past_their_time_are_expired, NULL),
        TEST_WITH_SERVER(what_is_looked_up_to_be_replied_hits_or_misses, NULL),
        TEST_WITH_SERVER(keys_that_had_to_go_are_evicted, limited),
        TEST_WITH_SERVER(statistics_are_told_in_all_and_for_each_database, NULL),
        TEST_WITH_SERVER(a_key_that_is_set_again_is_simply_there, NULL),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
