/* What was slow is seen, though fast commands aren't timed each: the slow log, latency events, the lock profile. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/client.h"
#include "tests/support/crowd.h"

/* From 1000 us on batches are timed, and not each fast command. */
static const char *const OPTIONS[] = {
    "--workers", "2", "--slowlog-log-slower-than", "1000", "--latency-monitor-threshold",
    "1",         NULL};

enum {
    LARGE_BYTES = 64 * 1024 * 1024,
    SAVED_BYTES = 8 * 1024 * 1024, /* what takes some milliseconds, and isn't too much for a file */
    ROUNDS_MAX = 50,
    FILLERS = 5000,
};

static redisReply *ask(redisContext *client, const char *command) {
    redisReply *reply = redisCommand(client, command);
    assert_non_null(reply);
    return reply;
}

/* The first argument of the newest entry that has it begin so; the caller frees it. */
static char *find_slow(redisContext *client, const char *beginning) {
    redisReply *reply = ask(client, "SLOWLOG GET -1");
    char *found = NULL;
    for (size_t i = 0; i < reply->elements && found == NULL; i++) {
        const redisReply *entry = reply->element[i];
        assert_int_equal(entry->elements, 6);
        assert_true(entry->element[2]->integer >= 1000);
        const char *word = entry->element[3]->element[0]->str;
        if (strncmp(word, beginning, strlen(beginning)) == 0) found = strdup(word);
    }
    freeReplyObject(reply);
    return found;
}

/* A value so large that storing it takes longer than the limit, by a command that is fast (SETNX), and not the one call
 * of it that is timed for the histogram. */
static void store_large(redisContext *client, const char *value, int others) {
    redisAppendCommand(client, "SETNX large %b", value, (size_t)LARGE_BYTES);
    for (int i = 0; i < others; i++) {
        redisAppendCommand(client, "EXISTS key:%d", i);
    }
    for (int i = 0; i <= others; i++) {
        assert_true(hiredis_take(client, REDIS_REPLY_INTEGER));
    }
    hiredis_expect_integer(client, 1, "DEL large");
}

static void a_slow_batch_names_its_commands_and_then_each_is_timed(void **state) {
    redisContext *client = hiredis_expect_open(*state);
    char *value = malloc(LARGE_BYTES);
    assert_non_null(value);
    memset(value, 'v', LARGE_BYTES);
    hiredis_expect_integer(client, 1, "SETNX small 1"); /* the first calls are timed each */
    hiredis_expect_integer(client, 0, "EXISTS key");
    /* A batch may end between the value and what comes behind it; then SETNX is named at once. */
    char *batch = NULL, *single = NULL;
    for (int i = 0; i < ROUNDS_MAX && single == NULL; i++) {
        store_large(client, value, 3);
        if (batch == NULL) batch = find_slow(client, "(one of ");
        single = find_slow(client, "SETNX");
    }
    assert_non_null(single);
    if (batch != NULL) assert_non_null(strstr(batch, " commands)"));
    free(single);
    free(batch);
    free(value);
    redisFree(client);
}

static void a_lone_fast_command_is_named(void **state) {
    redisContext *client = hiredis_expect_open(*state);
    char *value = malloc(LARGE_BYTES);
    assert_non_null(value);
    memset(value, 'v', LARGE_BYTES);
    hiredis_expect_integer(client, 1, "SETNX small 1");
    store_large(client, value, 0);
    char *single = find_slow(client, "SETNX");
    assert_non_null(single);
    free(single);
    redisReply *latest = ask(client, "LATENCY HISTORY fast-command");
    assert_true(latest->elements >= 1);
    freeReplyObject(latest);
    free(value);
    redisFree(client);
}

/* ---- Locks ----------------------------------------------------------------------------------- */

struct rivals {
    const struct test_server *server;
    int bytes; /* of a value: how long it takes */
    _Atomic bool is_over;
};

/* Holds a shard's lock for some milliseconds, again and again. */
static bool hold_long(void *context, size_t index) {
    (void)index;
    struct rivals *rivals = context;
    redisContext *client = hiredis_open(rivals->server);
    bool is_right = client != NULL;
    while (is_right && !atomic_load(&rivals->is_over)) {
        redisAppendCommand(client, "SETRANGE key %d x", rivals->bytes);
        redisAppendCommand(client, "DEL key");
        is_right =
            hiredis_take(client, REDIS_REPLY_INTEGER) && hiredis_take(client, REDIS_REPLY_INTEGER);
    }
    if (client != NULL) redisFree(client);
    return is_right;
}

/* Does some row of the reply have this word? */
static bool has_word(redisContext *client, const char *command, const char *word) {
    redisReply *reply = ask(client, command);
    bool is_there = false;
    for (size_t i = 0; i < reply->elements && !is_there; i++) {
        const redisReply *row = reply->element[i];
        for (size_t j = 0; j < row->elements && !is_there; j++) {
            const redisReply *field = row->element[j];
            is_there = field->type == REDIS_REPLY_STRING && strcmp(field->str, word) == 0;
        }
    }
    freeReplyObject(reply);
    return is_there;
}

static void who_waits_for_a_lock_is_named_and_so_is_who_held_it(void **state) {
    struct rivals rivals = {.server = *state, .bytes = LARGE_BYTES};
    struct crowd *holders = crowd_start(2, hold_long, &rivals); /* one on each worker */
    redisContext *clients[2];
    for (int i = 0; i < 2; i++) {
        clients[i] = hiredis_expect_open(*state);
        hiredis_expect_integer(clients[i], 0, "EXISTS other");
    }
    char *waiter = NULL;
    bool has_waited = false, has_holder = false;
    while (waiter == NULL || !has_waited || !has_holder) { /* the test's time is limited */
        for (int i = 0; i < 2; i++) {
            redisReply *reply = ask(clients[i], "STRLEN key");
            assert_int_equal(reply->type, REDIS_REPLY_INTEGER);
            freeReplyObject(reply);
        }
        if (waiter == NULL) waiter = find_slow(clients[0], "STRLEN");
        has_waited = has_word(clients[0], "LATENCY LATEST", "lock-wait");
        has_holder = has_word(clients[0], "SHARDS", "setrange");
    }
    free(waiter);
    atomic_store(&rivals.is_over, true);
    assert_true(crowd_finish(holders));
    hiredis_expect_status(clients[0], "OK", "CONFIG RESETSTAT");
    assert_false(has_word(clients[0], "SHARDS", "setrange"));
    for (int i = 0; i < 2; i++) {
        redisFree(clients[i]);
    }
}

/* ---- Events that no command is behind -------------------------------------------------------- */

static bool has_event(redisContext *client, const char *event) {
    return has_word(client, "LATENCY LATEST", event);
}

/* All locks are taken for it, and somebody holds one. */
static void the_instant_of_a_snapshot_is_an_event(void **state) {
    struct rivals rivals = {.server = *state, .bytes = SAVED_BYTES};
    struct crowd *holders = crowd_start(2, hold_long, &rivals);
    redisContext *client = hiredis_expect_open(*state);
    assert_false(has_event(client, "snapshot"));
    while (!has_event(client, "snapshot")) { /* the test's time is limited */
        hiredis_expect_status(client, "OK", "SAVE");
    }
    atomic_store(&rivals.is_over, true);
    assert_true(crowd_finish(holders));
    redisFree(client);
}

/* What is due is in a shard that somebody holds. */
static void a_long_round_of_expiry_is_an_event(void **state) {
    struct rivals rivals = {.server = *state, .bytes = LARGE_BYTES};
    struct crowd *holders = crowd_start(2, hold_long, &rivals);
    redisContext *client = hiredis_expect_open(*state);
    assert_false(has_event(client, "expire-cycle"));
    for (int i = 0; !has_event(client, "expire-cycle"); i++) {
        hiredis_expect_status(client, "OK", "SET {key}:%d value PX 1", i);
    }
    atomic_store(&rivals.is_over, true);
    assert_true(crowd_finish(holders));
    assert_false(has_event(client, "eviction-cycle"));
    redisFree(client);
}

/* The same by reading, which needs no memory. */
static bool hold_reading(void *context, size_t index) {
    (void)index;
    struct rivals *rivals = context;
    redisContext *client = hiredis_open(rivals->server);
    bool is_right = client != NULL;
    while (is_right && !atomic_load(&rivals->is_over)) {
        redisAppendCommand(client, "LCS {key}one {key}two LEN");
        is_right = hiredis_take(client, REDIS_REPLY_INTEGER);
    }
    if (client != NULL) redisFree(client);
    return is_right;
}

/* The limit is lowered to what there is without the keys that may go, and these are in a shard that somebody holds. */
static void a_long_round_of_eviction_is_an_event(void **state) {
    redisContext *client = hiredis_expect_open(*state);
    hiredis_expect_status(client, "OK", "CONFIG SET maxmemory-policy volatile-random");
    hiredis_expect_status(client, "OK", "SET {key}one %01500d", 1);
    hiredis_expect_status(client, "OK", "SET {key}two %01500d", 2);
    assert_false(has_event(client, "eviction-cycle"));
    while (!has_event(client, "eviction-cycle")) { /* the test's time is limited */
        hiredis_expect_status(client, "OK", "CONFIG SET maxmemory 0");
        for (int i = 0; i < FILLERS; i++) {
            redisAppendCommand(client, "SET {key}:%d %02000d EX 1000", i, i);
        }
        for (int i = 0; i < FILLERS; i++) {
            assert_true(hiredis_take(client, REDIS_REPLY_STATUS));
        }
        struct rivals rivals = {.server = *state};
        struct crowd *holders = crowd_start(2, hold_reading, &rivals);
        hiredis_expect_status(client, "OK", "CONFIG SET maxmemory 8mb");
        for (long long keys = FILLERS; keys > FILLERS * 3 / 4;) {
            assert_true(hiredis_ask_integer(client, &keys, "DBSIZE"));
        }
        atomic_store(&rivals.is_over, true);
        assert_true(crowd_finish(holders));
    }
    redisFree(client);
}

/* ---- Under load, for the thread sanitizer ---------------------------------------------------- */

static bool be_slow(void *context, size_t index) {
    const char *const commands[] = {"SET key value",
                                    "GET key",
                                    "SLOWLOG GET -1",
                                    "SLOWLOG LEN",
                                    "LATENCY LATEST",
                                    "LATENCY DOCTOR",
                                    "MGET key a b c",
                                    "SLOWLOG RESET",
                                    "LATENCY RESET",
                                    "SHARDS",
                                    "CONFIG SET slowlog-log-slower-than 1",
                                    "CONFIG SET slowlog-log-slower-than 0 slowlog-max-len 5"};
    enum { COUNT = sizeof(commands) / sizeof(commands[0]), REQUESTS = 3000 };
    redisContext *client = hiredis_open(context);
    bool is_right = client != NULL;
    for (size_t i = 0; i < REQUESTS && is_right; i++) {
        redisAppendCommand(client, commands[(i * (index + 1)) % COUNT]);
        is_right = hiredis_take_any(client);
    }
    if (client != NULL) redisFree(client);
    return is_right;
}

static void asking_while_others_are_slow_disturbs_nobody(void **state) {
    assert_true(crowd_run(4, be_slow, *state));
    redisContext *client = hiredis_expect_open(*state);
    hiredis_expect_status(client, "OK", "CONFIG SET slowlog-log-slower-than 0 slowlog-max-len 5");
    for (int i = 0; i < 6; i++) {
        hiredis_expect_status(client, "PONG", "PING");
    }
    hiredis_expect_integer(client, 5, "SLOWLOG LEN");
    redisFree(client);
}

int main(void) {
    test_server_require();
    const struct CMUnitTest tests[] = {
        TEST_WITH_SERVER(a_slow_batch_names_its_commands_and_then_each_is_timed, OPTIONS),
        TEST_WITH_SERVER(a_lone_fast_command_is_named, OPTIONS),
        TEST_WITH_SERVER(who_waits_for_a_lock_is_named_and_so_is_who_held_it, OPTIONS),
        TEST_WITH_SERVER(the_instant_of_a_snapshot_is_an_event, OPTIONS),
        TEST_WITH_SERVER(a_long_round_of_expiry_is_an_event, OPTIONS),
        TEST_WITH_SERVER(a_long_round_of_eviction_is_an_event, OPTIONS),
        TEST_WITH_SERVER(asking_while_others_are_slow_disturbs_nobody, OPTIONS),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
