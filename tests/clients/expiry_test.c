/* Many keys that expire: at their time, whether anybody looks or not. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/support/client.h"
#include "tests/support/server.h"
#include "tests/support/wire.h"

enum {
    KEYS = 20000,
    PIPELINE = 500,
    REMOVED_MS_MAX =
        3000, /* after the last one is due; the design promises one second on a machine of its own */
};

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void set_keys(redisContext *context, const char *format, int64_t deadline_ms) {
    for (int i = 0; i < KEYS; i += PIPELINE) {
        for (int j = i; j < i + PIPELINE; j++) {
            redisAppendCommand(context, format, j, (long long)deadline_ms);
        }
        for (int j = 0; j < PIPELINE; j++) {
            assert_true(hiredis_take(context, REDIS_REPLY_STATUS));
        }
    }
}

/* A deadline that all keys can be given in time, however slow the build and busy the machine: try it first. */
static int64_t deadline_in_reach(redisContext *context) {
    int64_t before = now_ms();
    set_keys(context, "SET rehearsal:%d value PXAT %lld", before + 3600000);
    int64_t took = now_ms() - before;
    hiredis_expect_status(context, "OK", "FLUSHALL");
    return now_ms() + 3 * took + 1000;
}

static void keys_nobody_asks_for_are_removed_soon_after_their_time(void **state) {
    redisContext *context = hiredis_expect_open(*state);
    struct wire *watcher = wire_connect(*state);
    int64_t deadline_ms = deadline_in_reach(context);
    set_keys(context, "SET expiring:%d value PXAT %lld", deadline_ms);
    hiredis_expect_status(context, "OK", "SET lasting value");
    assert_int_equal(wire_ask_integer(watcher, "DBSIZE"), KEYS + 1);
    wire_await(watcher, "DBSIZE", ":1");
    assert_true(now_ms() >= deadline_ms);
    assert_true(now_ms() - deadline_ms < REMOVED_MS_MAX);
    assert_int_equal(wire_ask_field(watcher, "INFO stats", "expired_keys"), KEYS);
    wire_expect(watcher, "GET lasting", "\"value\"");
    wire_close(watcher);
    redisFree(context);
}

static void keys_set_anew_outlive_their_old_deadline(void **state) {
    redisContext *context = hiredis_expect_open(*state);
    struct wire *watcher = wire_connect(*state);
    int64_t deadline_ms = deadline_in_reach(context);
    set_keys(context, "SET key:%d value PXAT %lld", deadline_ms);
    set_keys(context, "SET key:%d again", 0);
    hiredis_expect_status(context, "OK", "SET probe value PXAT %lld", (long long)deadline_ms + 500);
    wire_await(watcher, "EXISTS probe",
               ":0"); /* whatever was due has been removed by now, or never will be */
    wire_await(watcher, "DBSIZE", ":20000");
    wire_close(watcher);
    redisFree(context);
}

/* The longest answer while keys expire. */
static int64_t longest_answer_ms(redisContext *context, struct wire *watcher) {
    int64_t deadline_ms = deadline_in_reach(context), longest_ms = 0;
    set_keys(context, "SET expiring:%d value PXAT %lld", deadline_ms);
    for (int64_t before = now_ms(); before < deadline_ms + 1000; before = now_ms()) {
        wire_expect(watcher, "PING", "+PONG");
        int64_t took_ms = now_ms() - before;
        longest_ms = took_ms > longest_ms ? took_ms : longest_ms;
    }
    print_message("%lld ms was the longest answer while %d keys expired\n", (long long)longest_ms,
                  KEYS);
    return longest_ms;
}

/* A long sweep doesn't keep others waiting: if it did, it would each time, other than a busy machine. */
static void a_sweep_does_not_stop_the_world(void **state) {
    enum { ROUNDS = 5, LONGEST_MS = 250 /* sanitizers included */ };
    redisContext *context = hiredis_expect_open(*state);
    struct wire *watcher = wire_connect(*state);
    int64_t least_ms = INT64_MAX;
    for (int i = 0; i < ROUNDS && least_ms > LONGEST_MS; i++) {
        int64_t longest_ms = longest_answer_ms(context, watcher);
        if (longest_ms < least_ms) least_ms = longest_ms;
    }
    assert_in_range(least_ms, 0, LONGEST_MS);
    wire_close(watcher);
    redisFree(context);
}

/* Two keys whose time is over 300 ms apart, removed together. */
static void how_late_keys_are_removed_is_told(void **state) {
    struct wire *wire = wire_connect(*state);
    wire_expect(wire, "CONFIG RESETSTAT", "+OK");
    wire_expect(wire, "DEBUG SET-ACTIVE-EXPIRE 0", "+OK");
    wire_expect(wire, "SET early value PX 1", "+OK");
    wire_expect(wire, "SET late value PX 301", "+OK");
    wire_await(wire, "EXISTS late", ":0");
    assert_int_equal(wire_ask_field(wire, "INFO sherd", "expired_lateness_ms_p100"), 0);
    wire_expect(wire, "DEBUG SET-ACTIVE-EXPIRE 1", "+OK");
    wire_await(wire, "DBSIZE", ":0");
    assert_true(wire_ask_field(wire, "INFO sherd", "expired_lateness_ms_p100") >= 300);
    assert_true(wire_ask_field(wire, "INFO sherd", "expired_lateness_ms_p50") <=
                wire_ask_field(wire, "INFO sherd", "expired_lateness_ms_p99"));
    wire_close(wire);
}

static void a_flush_sweeps_nothing_while_nobody_is_to_sweep(void **state) {
    struct wire *wire = wire_connect(*state);
    wire_expect(wire, "DEBUG SET-ACTIVE-EXPIRE 0", "+OK");
    wire_expect(wire, "SET key value PX 1", "+OK");
    wire_await(wire, "EXISTS key", ":0");
    wire_expect(wire, "SELECT 1", "+OK");
    wire_expect(wire, "SET other value", "+OK");
    wire_expect(wire, "FLUSHDB SYNC", "+OK");
    wire_expect(wire, "DBSIZE", ":0");
    wire_expect(wire, "SELECT 0", "+OK");
    wire_expect(wire, "DBSIZE", ":1");
    wire_close(wire);
}

static void the_average_time_to_live_is_told(void **state) {
    struct wire *wire = wire_connect(*state);
    wire_expect(wire, "SET lasting value", "+OK");
    wire_expect(wire, "SET first value EX 1000", "+OK");
    wire_expect(wire, "SET second value EX 3000", "+OK");
    int64_t before_ms = now_ms();
    char *info = wire_ask(wire, "INFO keyspace");
    const char *field = strstr(info, "avg_ttl=");
    assert_non_null(field);
    long long average_ms = strtoll(field + strlen("avg_ttl="), NULL, 10);
    free(info);
    assert_in_range(average_ms, 2000000 - 2000 - (now_ms() - before_ms), 2000000 + 2000);
    wire_expect(wire, "PERSIST first", ":1");
    wire_expect(wire, "PERSIST second", ":1");
    info = wire_ask(wire, "INFO keyspace");
    assert_non_null(strstr(info, "avg_ttl=0"));
    free(info);
    wire_close(wire);
}

enum { JITTERED = 200, TTL_MS = 1000000, JITTER_PERCENT = 20 };

/* The shortest and the longest of what is left to some keys, each given its time by `command`. */
static void set_and_range(struct wire *wire, const char *command, long long *least,
                          long long *most) {
    *least = INT64_MAX;
    *most = 0;
    for (int i = 0; i < JITTERED; i++) {
        wire_expect(wire, command, "+OK");
        long long left = wire_ask_integer(wire, "PTTL jittered");
        if (left < *least) *least = left;
        if (left > *most) *most = left;
    }
}

static void a_time_to_live_is_shortened_by_chance_on_request(void **state) {
    struct wire *wire = wire_connect(*state);
    long long least, most;
    int64_t before_ms = now_ms();
    set_and_range(wire, "SET jittered value EX 1000", &least, &most);
    assert_true(most <= TTL_MS && least >= TTL_MS - (now_ms() - before_ms) - 1);

    wire_expect(wire, "CONFIG SET ttl-jitter-percent 20", "+OK");
    set_and_range(wire, "SET jittered value EX 1000", &least, &most);
    /* That 200 draws leave out a quarter of the range at either end happens once in 10^25 times. */
    long long spread = TTL_MS / 100 * JITTER_PERCENT;
    assert_true(least >= TTL_MS - spread - (now_ms() - before_ms) - 1);
    assert_true(least < TTL_MS - spread * 3 / 4);
    assert_true(most <= TTL_MS && most > TTL_MS - spread / 4 - (now_ms() - before_ms) - 1);

    wire_expect(wire, "SET jittered value PXAT 4102444800000", "+OK");
    assert_int_equal(wire_ask_integer(wire, "PEXPIRETIME jittered"), 4102444800000);
    wire_expect(wire, "CONFIG SET ttl-jitter-percent 0", "+OK");
    wire_expect(wire, "DEL jittered", ":1");
    wire_close(wire);
}

int main(void) {
    test_server_require();
    const struct CMUnitTest tests[] = {
        TEST_WITH_SERVER(keys_nobody_asks_for_are_removed_soon_after_their_time, NULL),
        TEST_WITH_SERVER(keys_set_anew_outlive_their_old_deadline, NULL),
        TEST_WITH_SERVER(a_sweep_does_not_stop_the_world, NULL),
        TEST_WITH_SERVER(how_late_keys_are_removed_is_told, NULL),
        TEST_WITH_SERVER(a_flush_sweeps_nothing_while_nobody_is_to_sweep, NULL),
        TEST_WITH_SERVER(the_average_time_to_live_is_told, NULL),
        TEST_WITH_SERVER(a_time_to_live_is_shortened_by_chance_on_request, NULL),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
