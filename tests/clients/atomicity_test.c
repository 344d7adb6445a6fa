/* Many clients at once: nothing is lost, nothing is seen by halves, and the counters know of everything. */
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
#include "tests/support/server.h"
#include "tests/support/wire.h"

enum {
    CLIENTS = 8,
    INCREMENTS = 4000, /* of each client */
    PIPELINE = 50,
    SETS = 1500,
    KEYS = 8,
    READS = 3000,
};

/* ---- INCR ------------------------------------------------------------------------------------ */

static bool increment_in_pipelines(redisContext *context) {
    for (size_t i = 0; i < INCREMENTS / PIPELINE; i++) {
        for (size_t j = 0; j < PIPELINE; j++) {
            redisAppendCommand(context, "INCR counter");
        }
        for (size_t j = 0; j < PIPELINE; j++) {
            if (!hiredis_take(context, REDIS_REPLY_INTEGER)) return false;
        }
    }
    return true;
}

static bool increment(void *server, size_t index) {
    (void)index;
    redisContext *context = hiredis_open(server);
    if (context == NULL) return false;
    bool done = increment_in_pipelines(context);
    redisFree(context);
    return done;
}

static void increments_of_many_clients_add_up(void **state) {
    char total[32];
    assert_true(crowd_run(CLIENTS, increment, *state));
    struct wire *wire = wire_connect(*state);
    snprintf(total, sizeof total, "\"%d\"", CLIENTS * INCREMENTS);
    wire_expect(wire, "GET counter", total);
    wire_close(wire);
}

/* ---- MSET and MGET --------------------------------------------------------------------------- */

/* The keys fall on different shards, and the writers name them in opposite orders. */
static bool set_all_alike(redisContext *context, size_t writer) {
    for (size_t i = 0; i < SETS; i++) {
        size_t value = writer * SETS + i;
        bool forward = writer % 2 == 0;
        bool done =
            hiredis_ask_status(context, "OK",
                               forward ? "MSET a %lu b %lu c %lu d %lu e %lu f %lu g %lu h %lu"
                                       : "MSET h %lu g %lu f %lu e %lu d %lu c %lu b %lu a %lu",
                               value, value, value, value, value, value, value, value);
        if (!done) return false;
    }
    return true;
}

static bool is_all_alike(const redisReply *reply) {
    if (reply == NULL || reply->type != REDIS_REPLY_ARRAY || reply->elements != KEYS) return false;
    for (size_t i = 0; i < KEYS; i++) {
        const redisReply *value = reply->element[i], *first = reply->element[0];
        if (value->type != REDIS_REPLY_STRING || strcmp(value->str, first->str) != 0) return false;
    }
    return true;
}

static bool read_all_alike(redisContext *context) {
    for (size_t i = 0; i < READS; i++) {
        redisReply *reply = redisCommand(context, "MGET d a h b g c f e");
        bool alike = is_all_alike(reply);
        freeReplyObject(reply);
        if (!alike) return false;
    }
    return true;
}

static bool write_or_read(void *server, size_t index) {
    redisContext *context = hiredis_open(server);
    if (context == NULL) return false;
    bool is_writer = index < CLIENTS / 2;
    bool done = is_writer ? set_all_alike(context, index) : read_all_alike(context);
    redisFree(context);
    return done;
}

static void mset_is_seen_whole_or_not_at_all(void **state) {
    struct wire *wire = wire_connect(*state);
    wire_expect(wire, "MSET a 0 b 0 c 0 d 0 e 0 f 0 g 0 h 0", "+OK");
    assert_true(crowd_run(CLIENTS, write_or_read, *state));
    wire_close(wire);
}

/* ---- MSETNX and RENAME ----------------------------------------------------------------------- */

/* One token is passed between two names; it is never absent from both, nor present in both. */
static bool pass_token(redisContext *context, bool is_passer) {
    for (size_t i = 0; i < READS; i++) {
        long long count = 0;
        if (is_passer) {
            bool done = hiredis_ask_status(context, "OK", "RENAME here there") &&
                        hiredis_ask_status(context, "OK", "RENAME there here");
            if (!done) return false;
        } else if (!hiredis_ask_integer(context, &count, "EXISTS here there") || count != 1) {
            return false;
        }
    }
    return true;
}

static bool pass_or_watch(void *server, size_t index) {
    redisContext *context = hiredis_open(server);
    if (context == NULL) return false;
    bool done = pass_token(context, index == 0);
    redisFree(context);
    return done;
}

static void rename_never_shows_both_names_nor_neither(void **state) {
    struct wire *wire = wire_connect(*state);
    wire_expect(wire, "SET here token", "+OK");
    assert_true(crowd_run(4, pass_or_watch, *state));
    wire_close(wire);
}

/* ---- Counters -------------------------------------------------------------------------------- */

static bool hit_and_miss(void *server, size_t index) {
    redisContext *context = hiredis_open(server);
    if (context == NULL) return false;
    for (size_t i = 0; i < READS / PIPELINE; i++) {
        for (size_t j = 0; j < PIPELINE; j++) {
            redisAppendCommand(context, j % 2 == 0 ? "GET present:%lu" : "GET absent:%lu", index);
        }
        for (size_t j = 0; j < PIPELINE; j++) {
            if (hiredis_take(context, j % 2 == 0 ? REDIS_REPLY_STRING : REDIS_REPLY_NIL)) continue;
            redisFree(context);
            return false;
        }
    }
    redisFree(context);
    return true;
}

static void hits_and_misses_are_counted_exactly(void **state) {
    struct wire *wire = wire_connect(*state);
    for (size_t i = 0; i < CLIENTS; i++) {
        char line[64];
        snprintf(line, sizeof line, "SET present:%zu value", i);
        wire_expect(wire, line, "+OK");
    }
    long long hits = wire_ask_field(wire, "INFO stats", "keyspace_hits");
    long long misses = wire_ask_field(wire, "INFO stats", "keyspace_misses");
    assert_true(crowd_run(CLIENTS, hit_and_miss, *state));
    hits = wire_ask_field(wire, "INFO stats", "keyspace_hits") - hits;
    misses = wire_ask_field(wire, "INFO stats", "keyspace_misses") - misses;
    assert_int_equal(hits, CLIENTS * READS / 2);
    assert_int_equal(misses, CLIENTS * READS / 2);
    wire_close(wire);
}

static void commands_are_counted_exactly(void **state) {
    struct wire *wire = wire_connect(*state);
    long long before = wire_ask_field(wire, "INFO stats", "total_commands_processed");
    assert_true(crowd_run(CLIENTS, increment, *state));
    long long after = wire_ask_field(wire, "INFO stats", "total_commands_processed");
    assert_int_equal(after - before, CLIENTS * INCREMENTS + 1); /* and the first INFO */
    wire_close(wire);
}

int main(void) {
    test_server_require();
    const struct CMUnitTest tests[] = {
        TEST_WITH_SERVER(increments_of_many_clients_add_up, NULL),
        TEST_WITH_SERVER(mset_is_seen_whole_or_not_at_all, NULL),
        TEST_WITH_SERVER(rename_never_shows_both_names_nor_neither, NULL),
        TEST_WITH_SERVER(hits_and_misses_are_counted_exactly, NULL),
        TEST_WITH_SERVER(commands_are_counted_exactly, NULL),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
