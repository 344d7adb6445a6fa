/* Every command against every other, from many connections: what the thread sanitizer should see, and what must stay
 * true whatever the order was. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/support/client.h"
#include "tests/support/crowd.h"
#include "tests/support/server.h"
#include "tests/support/wire.h"

enum {
    CLIENTS = 8,
    SECONDS = 2,
    KEYS = 8,
    ROUNDS = 1500,
};

/* ---- Everything at once ---------------------------------------------------------------------- */

/* %d are keys out of a few, so that they meet. Replies and errors are anything; that there is one is the point. */
static const char *const anything[] = {
    "SET k%d value",
    "SET k%d 17 PX 5",
    "GET k%d",
    "SET k%d value NX GET",
    "INCR k%d",
    "APPEND k%d more",
    "SETRANGE k%d 20000 x",
    "GETRANGE k%d 0 100",
    "DEL k%d k%d",
    "UNLINK k%d",
    "MSET k%d 1 k%d 2 k%d 3",
    "MSETNX k%d 1 k%d 2",
    "MGET k%d k%d k%d k%d",
    "RENAME k%d k%d",
    "RENAMENX k%d k%d",
    "COPY k%d k%d REPLACE",
    "COPY k%d k%d DB 1 REPLACE",
    "MOVE k%d 1",
    "EXPIRE k%d 100",
    "PEXPIRE k%d 2",
    "PERSIST k%d",
    "TTL k%d",
    "LCS k%d k%d LEN",
    "GETDEL k%d",
    "GETEX k%d PX 3",
    "OBJECT ENCODING k%d",
    "MEMORY USAGE k%d",
    "TOUCH k%d k%d",
    "EXISTS k%d k%d k%d",
    "SCAN 0 COUNT 100",
    "KEYS k*",
    "RANDOMKEY",
    "DBSIZE",
    "FLUSHDB",
    "FLUSHALL ASYNC",
    "SWAPDB 0 1",
    "SELECT 1",
    "SELECT 0",
    "INFO everything",
    "CLIENT LIST",
    "CLIENT SETNAME racer",
    "CLIENT KILL TYPE pubsub",
    "CONFIG SET hz 11",
    "CONFIG GET *",
    "CONFIG RESETSTAT",
    "CACHE CURVE",
    "CACHE CURVE STOP",
    "CACHE CURVE RESET",
    "CONFIG SET maxmemory 100mb",
    "CONFIG SET maxmemory 0",
    "MEMORY STATS",
    "LATENCY HISTOGRAM",
    "COMMAND COUNT",
};

static int random_key(unsigned *seed) {
    return rand_r(seed) % (2 * KEYS);
}

static bool ask_anything(redisContext *context, unsigned *seed) {
    const char *format = anything[(size_t)rand_r(seed) % (sizeof anything / sizeof *anything)];
    redisReply *reply = redisCommand(context, format, random_key(seed), random_key(seed),
                                     random_key(seed), random_key(seed));
    bool answered = reply != NULL;
    freeReplyObject(reply);
    return answered;
}

/* Connections come and go meanwhile. */
static bool ask_anything_for_seconds(void *server, size_t index) {
    unsigned seed = (unsigned)index + 1;
    for (time_t end = time(NULL) + SECONDS; time(NULL) < end;) {
        redisContext *context = index % 2 == 0 ? hiredis_open(server) : hiredis_open_unix(server);
        bool answered = context != NULL;
        for (int i = 0; i < 200 && answered; i++) {
            answered = ask_anything(context, &seed);
        }
        if (context != NULL) redisFree(context);
        if (!answered) return false;
    }
    return true;
}

static size_t count_elements(redisContext *context, const char *command) {
    redisReply *reply = redisCommand(context, command);
    assert_non_null(reply);
    assert_int_equal(reply->type, REDIS_REPLY_ARRAY);
    size_t count = reply->elements;
    freeReplyObject(reply);
    return count;
}

static void any_commands_may_meet(void **state) {
    assert_true(crowd_run(CLIENTS, ask_anything_for_seconds, *state));
    redisContext *context = hiredis_expect_open(*state);
    for (int i = 0; i < 2 * KEYS; i++) { /* nothing is about to expire */
        hiredis_expect_status(context, "OK", "SET k%d last", i);
    }
    hiredis_expect_integer(context, 2 * KEYS, "DBSIZE");
    assert_int_equal(count_elements(context, "KEYS *"), 2 * KEYS);
    hiredis_expect_status(context, "OK", "FLUSHALL");
    hiredis_expect_integer(context, 0, "DBSIZE");
    redisFree(context);
}

/* ---- What takes the whole store is one step, too --------------------------------------------- */

struct contest {
    struct test_server *server;
    const char *disturbance; /* what the first member does, again and again */
    atomic_bool is_over;
};

static bool disturb(struct contest *contest) {
    redisContext *context = hiredis_open(contest->server);
    bool done = context != NULL;
    while (done && !atomic_load(&contest->is_over)) {
        done = hiredis_ask_status(context, "OK", contest->disturbance);
    }
    if (context != NULL) redisFree(context);
    return done;
}

static bool is_one_moment(const redisReply *reply) {
    if (reply == NULL || reply->type != REDIS_REPLY_ARRAY) return false;
    const redisReply *first = reply->element[0];
    for (size_t i = 1; i < reply->elements; i++) {
        const redisReply *value = reply->element[i];
        if (value->type != first->type) return false;
        if (value->type == REDIS_REPLY_STRING && strcmp(value->str, first->str) != 0) return false;
    }
    return true;
}

static bool set_and_look(struct contest *contest, size_t index) {
    redisContext *context = hiredis_open(contest->server);
    bool is_whole = context != NULL;
    for (int i = 0; i < ROUNDS && is_whole; i++) {
        int value = i * CLIENTS + (int)index;
        is_whole = hiredis_ask_status(context, "OK", "MSET a %d b %d c %d d %d e %d f %d", value,
                                      value, value, value, value, value);
        redisReply *reply = redisCommand(context, "MGET f a e b d c");
        is_whole = is_whole && is_one_moment(reply);
        freeReplyObject(reply);
    }
    if (context != NULL) redisFree(context);
    return is_whole;
}

static bool contend(void *shared, size_t index) {
    struct contest *contest = shared;
    if (index == 0) return disturb(contest);
    bool is_whole = set_and_look(contest, index);
    if (index == 1) atomic_store(&contest->is_over, true);
    return is_whole;
}

static void expect_one_moment_despite(void **state, const char *disturbance) {
    struct contest contest = {.server = *state, .disturbance = disturbance, .is_over = false};
    assert_true(crowd_run(4, contend, &contest));
}

static void flushall_is_seen_whole_or_not_at_all(void **state) {
    expect_one_moment_despite(state, "FLUSHALL");
}

static void flushdb_async_is_seen_whole_or_not_at_all(void **state) {
    expect_one_moment_despite(state, "FLUSHDB ASYNC");
}

static void swapdb_is_seen_whole_or_not_at_all(void **state) {
    expect_one_moment_despite(state, "SWAPDB 0 1");
}

/* ---- Only one wins --------------------------------------------------------------------------- */

struct race {
    struct test_server *server;
    atomic_int wins;
};

static bool try_to_win(void *shared, size_t index) {
    struct race *race = shared;
    redisContext *context = hiredis_open(race->server);
    bool answered = context != NULL;
    for (int i = 0; i < ROUNDS && answered; i++) {
        redisReply *reply = redisCommand(context, "SET prize:%d %d NX", i, (int)index);
        answered = reply != NULL;
        if (answered && reply->type == REDIS_REPLY_STATUS) atomic_fetch_add(&race->wins, 1);
        freeReplyObject(reply);
    }
    if (context != NULL) redisFree(context);
    return answered;
}

static void each_set_nx_has_one_winner(void **state) {
    struct race race = {.server = *state, .wins = 0};
    assert_true(crowd_run(CLIENTS, try_to_win, &race));
    assert_int_equal(atomic_load(&race.wins), ROUNDS);
}

static bool take_once(void *shared, size_t index) {
    (void)index;
    struct race *race = shared;
    redisContext *context = hiredis_open(race->server);
    bool answered = context != NULL;
    for (int i = 0; i < ROUNDS && answered; i++) {
        redisReply *reply = redisCommand(context, "GETDEL prize:%d", i);
        answered = reply != NULL;
        if (answered && reply->type == REDIS_REPLY_STRING) atomic_fetch_add(&race->wins, 1);
        freeReplyObject(reply);
    }
    if (context != NULL) redisFree(context);
    return answered;
}

static void each_getdel_has_one_taker(void **state) {
    struct race race = {.server = *state, .wins = 0};
    assert_true(try_to_win(&race, 0)); /* puts them there */
    atomic_store(&race.wins, 0);
    assert_true(crowd_run(CLIENTS, take_once, &race));
    assert_int_equal(atomic_load(&race.wins), ROUNDS);
}

/* ---- Large values, which are sent from where they lie ---------------------------------------- */

enum { LARGE_BYTES = 100000, LARGE_ROUNDS = 400 };

static bool write_large(redisContext *context, size_t index) {
    char *value = malloc(LARGE_BYTES);
    bool done = value != NULL;
    for (int i = 0; i < LARGE_ROUNDS && done; i++) {
        memset(value, 'a' + (i + (int)index) % 26, LARGE_BYTES);
        done = hiredis_ask_status(context, "OK", "SET large %b", value, (size_t)LARGE_BYTES);
    }
    free(value);
    return done;
}

static bool is_uniform(const redisReply *reply) {
    if (reply == NULL || reply->type != REDIS_REPLY_STRING || reply->len != LARGE_BYTES)
        return false;
    return memcmp(reply->str, reply->str + 1, LARGE_BYTES - 1) == 0;
}

static bool read_large(redisContext *context) {
    bool is_whole = true;
    for (int i = 0; i < LARGE_ROUNDS && is_whole; i++) {
        redisReply *reply = redisCommand(context, "GET large");
        is_whole = is_uniform(reply);
        freeReplyObject(reply);
    }
    return is_whole;
}

static bool write_or_read_large(void *server, size_t index) {
    redisContext *context = hiredis_open(server);
    if (context == NULL) return false;
    bool done = index % 2 == 0 ? write_large(context, index) : read_large(context);
    redisFree(context);
    return done;
}

static void a_large_value_is_never_read_by_halves(void **state) {
    redisContext *context = hiredis_expect_open(*state);
    assert_true(write_large(context, 0)); /* there is always one */
    redisFree(context);
    assert_true(crowd_run(CLIENTS, write_or_read_large, *state));
}

int main(void) {
    test_server_require();
    const struct CMUnitTest tests[] = {
        TEST_WITH_SERVER(any_commands_may_meet, NULL),
        TEST_WITH_SERVER(flushall_is_seen_whole_or_not_at_all, NULL),
        TEST_WITH_SERVER(flushdb_async_is_seen_whole_or_not_at_all, NULL),
        TEST_WITH_SERVER(swapdb_is_seen_whole_or_not_at_all, NULL),
        TEST_WITH_SERVER(each_set_nx_has_one_winner, NULL),
        TEST_WITH_SERVER(each_getdel_has_one_taker, NULL),
        TEST_WITH_SERVER(a_large_value_is_never_read_by_halves, NULL),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
