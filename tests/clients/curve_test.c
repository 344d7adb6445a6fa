/* CACHE CURVE, as an operator asks it: it begins, tells of seven sizes, starts again, stops. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/client.h"
#include "tests/support/server.h"
#include "tests/support/wire.h"

enum { POINTS = 7, KEYS = 40000, DEPTH = 500, VALUE_BYTES = 1000 };

static const char *const limited[] = {"--maxmemory", "24mb", "--maxmemory-policy", "allkeys-lru",
                                      NULL};

static redisReply *ask(redisContext *context, const char *command) {
    redisReply *reply = redisCommand(context, command);
    assert_non_null(reply);
    if (reply->type == REDIS_REPLY_ERROR) fail_msg("%s: %s", command, reply->str);
    return reply;
}

/* Of a map in RESP2. */
static redisReply *field(const redisReply *map, const char *name) {
    for (size_t i = 0; i + 1 < map->elements; i += 2) {
        if (strcmp(map->element[i]->str, name) == 0) return map->element[i + 1];
    }
    fail_msg("no field %s", name);
    return NULL;
}

/* All keys in turn, twice, from the middle: GET, and SET what misses. */
static void loop_over_keys(redisContext *context, int keys) {
    static char value[VALUE_BYTES];
    memset(value, 'v', sizeof(value));
    for (int first = 0; first < keys; first += DEPTH) {
        int missed[DEPTH], count = 0;
        for (int i = first; i < first + DEPTH; i++) {
            redisAppendCommand(context, "GET key:%d", i);
        }
        for (int i = first; i < first + DEPTH; i++) {
            redisReply *reply = NULL;
            assert_int_equal(redisGetReply(context, (void **)&reply), REDIS_OK);
            if (reply->type == REDIS_REPLY_NIL) missed[count++] = i;
            freeReplyObject(reply);
        }
        for (int i = 0; i < count; i++) {
            redisAppendCommand(context, "SET key:%d %b", missed[i], value, sizeof(value));
        }
        for (int i = 0; i < count; i++) {
            assert_true(hiredis_take(context, REDIS_REPLY_STATUS));
        }
    }
}

static double hit_percent(const redisReply *curve, size_t point) {
    return atof(field(field(curve, "curve")->element[point], "hit_percent")->str);
}

/* 42 MB of keys in a loop: by LRU, half the limit of 24 MB hits nothing, and four times of it all, once all were seen.
 * (Twice, less what the server takes, is within three standard deviations of the weight of those that are followed.)
 * Which keys are followed is a matter of chance, but that weighs a miss only: none is none, and where all miss,
 * the estimate is brought to what this cache really hit, but for 16 misses that are thought in addition: of 1250
 * that should be seen, give or take 250 (625 keys, twice: five standard deviations), they move it by 16 * 250 /
 * (1000 * 1250), a third of a percent. */
static void it_tells_where_the_cliff_is(void **state) {
    redisContext *context = hiredis_expect_open(*state);
    freeReplyObject(ask(context, "CACHE CURVE"));
    loop_over_keys(context, KEYS);
    hiredis_expect_status(context, "OK", "CACHE CURVE RESET");
    loop_over_keys(context, KEYS);
    loop_over_keys(context, KEYS);
    redisReply *reply = ask(context, "CACHE CURVE");
    assert_int_equal(field(reply, "lookups")->integer, 2 * KEYS);
    assert_int_equal(field(reply, "curve")->elements, POINTS);
    assert_string_equal(field(reply, "policy")->str, "allkeys-lru");
    assert_true(field(reply, "bytes")->integer > 0);
    assert_true(field(reply, "bytes")->integer < 3 << 18);
    double really = atof(field(reply, "hit_percent")->str);
    for (size_t i = 0; i < POINTS; i++) {
        print_message("%s x: %.1f %%\n", field(field(reply, "curve")->element[i], "times")->str,
                      hit_percent(reply, i));
    }
    print_message("really: %.1f %%\n", really);
    assert_true(hit_percent(reply, 0) < 1);
    assert_true(fabs(hit_percent(reply, 2) - really) < 1);
    assert_true(hit_percent(reply, 6) > 99);
    freeReplyObject(reply);
    redisFree(context);
}

static void it_begins_when_asked_and_stops_when_told(void **state) {
    redisContext *context = hiredis_expect_open(*state);
    struct wire *wire = wire_connect(*state);
    redisReply *reply = ask(context, "CACHE CURVE");
    assert_int_equal(field(reply, "lookups")->integer, 0);
    assert_int_equal(field(reply, "curve")->elements, 0);
    freeReplyObject(reply);
    wire_expect(wire, "EXISTS a b", ":0");
    reply = ask(context, "CACHE CURVE");
    assert_int_equal(field(reply, "lookups")->integer, 2);
    assert_int_equal(field(reply, "curve")->elements, POINTS);
    freeReplyObject(reply);
    wire_expect(wire, "CONFIG RESETSTAT", "+OK");
    reply = ask(context, "CACHE CURVE");
    assert_int_equal(field(reply, "lookups")->integer, 0);
    assert_int_equal(field(reply, "curve")->elements, POINTS);
    freeReplyObject(reply);
    wire_expect(wire, "CACHE CURVE STOP", "+OK");
    wire_expect(wire, "CACHE CURVE STOP", "+OK");
    wire_expect(wire, "CACHE CURVE RESET", "+OK");
    reply = ask(context, "CACHE CURVE");
    assert_int_equal(field(reply, "curve")->elements, 0);
    freeReplyObject(reply);
    free(wire_ask(wire, "HELLO 3"));
    char *text = wire_ask(wire, "CACHE CURVE");
    assert_non_null(strstr(text, "{\"policy\" => \"allkeys-lru\", \"seconds\" => ,0"));
    assert_non_null(strstr(text, "\"curve\" => [{\"times\" => ,0.5, \"maxmemory\" => :12582912, "));
    free(text);
    wire_close(wire);
    redisFree(context);
}

static void a_changed_limit_begins_it_anew(void **state) {
    redisContext *context = hiredis_expect_open(*state);
    struct wire *wire = wire_connect(*state);
    free(wire_ask(wire, "CACHE CURVE"));
    wire_expect(wire, "EXISTS a b", ":0");
    wire_expect(wire, "CONFIG SET maxmemory 32mb", "+OK");
    redisReply *reply = ask(context, "CACHE CURVE");
    assert_int_equal(field(reply, "lookups")->integer, 0);
    assert_int_equal(field(field(reply, "curve")->element[0], "maxmemory")->integer, 16 << 20);
    freeReplyObject(reply);
    wire_close(wire);
    redisFree(context);
}

static void what_it_cannot_do_it_says(void **state) {
    struct wire *wire = wire_connect(*state);
    wire_expect(wire, "CACHE CURVE",
                "-ERR CACHE CURVE tells of multiples of maxmemory, which isn't set: CONFIG SET "
                "maxmemory");
    wire_expect(wire, "CACHE CURVE START", "-ERR syntax error");
    wire_expect(wire, "CACHE CURVE RESET now", "-ERR syntax error");
    wire_expect(wire, "CACHE CURVE STOP", "+OK");
    wire_close(wire);
}

int main(void) {
    test_server_require();
    const struct CMUnitTest tests[] = {
        TEST_WITH_SERVER(it_tells_where_the_cliff_is, limited),
        TEST_WITH_SERVER(it_begins_when_asked_and_stops_when_told, limited),
        TEST_WITH_SERVER(a_changed_limit_begins_it_anew, limited),
        TEST_WITH_SERVER(what_it_cannot_do_it_says, NULL),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
