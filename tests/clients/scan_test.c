/* SCAN's promise: a key that is there from beginning to end is returned, whatever else comes and goes. */
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

enum {
    LASTING = 5000,
    PASSING = 20000, /* enough to make the tables grow and shrink while they are scanned */
    PIPELINE = 500,
    SCANS = 5,
    STEPS_MAX = 1000000,
};

struct churn {
    struct test_server *server;
    atomic_bool is_over;
};

/* ---- The keys that come and go --------------------------------------------------------------- */

static bool change_keys(redisContext *context, const char *format, size_t count) {
    for (size_t i = 0; i < count; i += PIPELINE) {
        for (size_t j = i; j < i + PIPELINE; j++) {
            redisAppendCommand(context, format, j);
        }
        for (size_t j = 0; j < PIPELINE; j++) {
            void *reply = NULL;
            if (redisGetReply(context, &reply) != REDIS_OK) return false;
            freeReplyObject(reply);
        }
    }
    return true;
}

static bool insert_and_delete(void *shared, size_t index) {
    (void)index;
    struct churn *churn = shared;
    redisContext *context = hiredis_open(churn->server);
    bool done = context != NULL;
    while (done && !atomic_load(&churn->is_over)) {
        done = change_keys(context, "SET passing:%lu value", PASSING) &&
               change_keys(context, "DEL passing:%lu", PASSING);
    }
    if (context != NULL) redisFree(context);
    return done;
}

/* ---- Scanning -------------------------------------------------------------------------------- */

static void mark_seen(const redisReply *keys, bool seen[LASTING]) {
    for (size_t i = 0; i < keys->elements; i++) {
        size_t number;
        if (sscanf(keys->element[i]->str, "lasting:%zu", &number) != 1) continue;
        assert_true(number < LASTING);
        seen[number] = true;
    }
}

/* One whole iteration, `COUNT` and other options in `options`; returns the keys that were returned. */
static size_t scan_all(redisContext *context, const char *options, bool seen[LASTING]) {
    char cursor[32] = "0", command[128];
    size_t returned = 0;
    for (size_t step = 0; step < STEPS_MAX; step++) {
        snprintf(command, sizeof command, "SCAN %s %s", cursor, options);
        redisReply *reply = redisCommand(context, command);
        assert_non_null(reply);
        assert_int_equal(reply->type, REDIS_REPLY_ARRAY);
        assert_int_equal(reply->elements, 2);
        mark_seen(reply->element[1], seen);
        returned += reply->element[1]->elements;
        snprintf(cursor, sizeof cursor, "%s", reply->element[0]->str);
        freeReplyObject(reply);
        if (strcmp(cursor, "0") == 0) return returned;
    }
    fail_msg("the scan does not end");
    return 0;
}

static void expect_all_seen(redisContext *context, const char *options) {
    static bool seen[LASTING];
    memset(seen, 0, sizeof seen);
    scan_all(context, options, seen);
    for (size_t i = 0; i < LASTING; i++) {
        if (!seen[i]) fail_msg("SCAN ... %s has not returned lasting:%zu", options, i);
    }
}

static void scan_returns_every_lasting_key_while_others_come_and_go(void **state) {
    struct churn churn = {.server = *state, .is_over = false};
    redisContext *context = hiredis_expect_open(*state);
    assert_true(change_keys(context, "SET lasting:%lu value", LASTING));
    struct crowd *crowd = crowd_start(2, insert_and_delete, &churn);
    for (size_t i = 0; i < SCANS; i++) {
        expect_all_seen(context, "COUNT 100");
    }
    expect_all_seen(context, "COUNT 1000 MATCH lasting:*");
    atomic_store(&churn.is_over, true);
    assert_true(crowd_finish(crowd));
    redisFree(context);
}

static void scan_of_a_quiet_database_returns_each_key_once(void **state) {
    static bool seen[LASTING];
    redisContext *context = hiredis_expect_open(*state);
    assert_true(change_keys(context, "SET lasting:%lu value", LASTING));
    assert_int_equal(scan_all(context, "COUNT 7", seen), LASTING);
    assert_int_equal(scan_all(context, "COUNT 100000", seen), LASTING);
    assert_int_equal(scan_all(context, "MATCH lasting:4999 COUNT 50", seen), 1);
    redisFree(context);
}

static void scan_sees_only_its_own_database(void **state) {
    static bool seen[LASTING];
    redisContext *context = hiredis_expect_open(*state);
    assert_true(change_keys(context, "SET lasting:%lu value", 500));
    hiredis_expect_status(context, "OK", "SELECT 1");
    assert_int_equal(scan_all(context, "COUNT 100", seen), 0);
    redisFree(context);
}

int main(void) {
    test_server_require();
    const struct CMUnitTest tests[] = {
        TEST_WITH_SERVER(scan_returns_every_lasting_key_while_others_come_and_go, NULL),
        TEST_WITH_SERVER(scan_of_a_quiet_database_returns_each_key_once, NULL),
        TEST_WITH_SERVER(scan_sees_only_its_own_database, NULL),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
