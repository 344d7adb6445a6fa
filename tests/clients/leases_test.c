/* GETLEASE, SETLEASE and DELLEASE, as applications use them. One holder after the other: lease_holders_test.c. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <sched.h>
#include <stdatomic.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/models/model.h"
#include "tests/support/client.h"
#include "tests/support/crowd.h"
#include "tests/support/lease.h"

enum { LINE_MAX = 256 };

static void the_first_that_misses_is_told_to_fill_and_the_others_are_not(void **state) {
    struct wire *first = wire_connect(*state), *other = wire_connect(*state);
    long long token = lease_ask_token(first, "GETLEASE key 60000");
    wire_expect(other, "GETLEASE key 60000", "[$-1, $-1, \"miss\"]");
    wire_expect(first, "GETLEASE key 60000", "[$-1, $-1, \"miss\"]");
    lease_ask_token(other, "GETLEASE another 60000");
    wire_expect(other, "GET key", "$-1");
    lease_expect(first, "SETLEASE key $ value", token, ":1");
    wire_expect(other, "GETLEASE key 60000", "[\"value\", $-1, \"hit\"]");
    wire_expect(other, "GET key", "\"value\"");
    lease_expect(first, "SETLEASE key $ again", token, ":0");
    wire_expect(other, "GET key", "\"value\"");
    wire_close(first);
    wire_close(other);
}

static void a_value_is_stored_only_for_the_token(void **state) {
    struct wire *wire = wire_connect(*state);
    long long token = lease_ask_token(wire, "GETLEASE key 60000");
    lease_expect(wire, "SETLEASE key $ value", token + 1, ":0");
    lease_expect(wire, "SETLEASE other $ value", token, ":0");
    wire_expect(wire, "SETLEASE key 0 value", ":0");
    wire_expect(wire, "EXISTS key other", ":0");
    wire_expect(wire, "SELECT 1", "+OK");
    lease_expect(wire, "SETLEASE key $ value", token, ":0");
    wire_expect(wire, "SELECT 0", "+OK");
    lease_expect(wire, "SETLEASE key $ value PX 60000", token, ":1");
    char *left = wire_ask(wire, "PTTL key");
    assert_in_range(atoi(left + 1), 1, 60000);
    free(left);
    wire_close(wire);
}

static void whatever_writes_the_key_makes_the_token_void(void **state) {
    static const char *const writers[] = {
        "DEL key",        "UNLINK key", "SET key other", "INCR key",         "APPEND key other",
        "MSET a 1 key 2", "GETDEL key", "SETEX key 9 v", "RENAME other key", "COPY other key",
        "FLUSHDB",        "FLUSHALL",   "SWAPDB 0 1",    "SETRANGE key 1 v"};
    struct wire *wire = wire_connect(*state), *writer = wire_connect(*state);
    for (size_t i = 0; i < sizeof writers / sizeof *writers; i++) {
        wire_expect(wire, "FLUSHALL", "+OK");
        wire_expect(wire, "SET other value", "+OK");
        long long token = lease_ask_token(wire, "GETLEASE key 60000");
        free(wire_ask(writer, writers[i]));
        lease_expect(wire, "SETLEASE key $ old", token, ":0");
    }
    wire_close(wire);
    wire_close(writer);
}

static void reading_leaves_the_token_good(void **state) {
    struct wire *wire = wire_connect(*state);
    long long token = lease_ask_token(wire, "GETLEASE key 60000");
    wire_expect(wire, "GET key", "$-1");
    wire_expect(wire, "EXISTS key", ":0");
    wire_expect(wire, "SET other value", "+OK");
    wire_expect(wire, "FLUSHDB", "+OK");
    token = lease_ask_token(wire, "GETLEASE key 60000");
    wire_expect(wire, "SELECT 1", "+OK");
    wire_expect(wire, "FLUSHDB", "+OK");
    wire_expect(wire, "SET key value", "+OK");
    wire_expect(wire, "SELECT 0", "+OK");
    lease_expect(wire, "SETLEASE key $ value", token, ":1");
    wire_close(wire);
}

static void a_lease_given_up_goes_to_the_next_at_once(void **state) {
    struct wire *wire = wire_connect(*state);
    long long token = lease_ask_token(wire, "GETLEASE key 60000");
    lease_expect(wire, "DELLEASE key $", token + 1, ":0");
    wire_expect(wire, "GETLEASE key 60000", "[$-1, $-1, \"miss\"]");
    lease_expect(wire, "DELLEASE key $", token, ":1");
    long long next = lease_ask_token(wire, "GETLEASE key 60000");
    assert_true(next != token);
    lease_expect(wire, "SETLEASE key $ old", token, ":0");
    lease_expect(wire, "SETLEASE key $ new", next, ":1");
    wire_close(wire);
}

/* ---- Replies and counts ---------------------------------------------------------------------- */

static void replies_are_the_same_array_in_resp3(void **state) {
    struct wire *wire = wire_connect(*state);
    free(wire_ask(wire, "HELLO 3"));
    char *reply = wire_ask(wire, "GETLEASE key 60000");
    char expected[LINE_MAX];
    snprintf(expected, sizeof expected, "[_, :%lld, \"miss\"]", lease_token(reply));
    assert_string_equal(reply, expected);
    wire_expect(wire, "GETLEASE key 60000", "[_, _, \"miss\"]");
    lease_expect(wire, "SETLEASE key $ value", lease_token(reply), ":1");
    wire_expect(wire, "GETLEASE key 60000", "[\"value\", _, \"hit\"]");
    free(reply);
    wire_close(wire);
}

static void all_answers_are_the_same_array_in_resp3(void **state) {
    struct wire *wire = wire_connect(*state), *other = wire_connect(*state);
    free(wire_ask(wire, "HELLO 3"));
    wire_expect(wire, "SET key old PX 1", "+OK");
    wire_await(wire, "GET key", "_");
    char *reply = wire_ask(wire, "GETLEASE key 60000 STALE 60000"), expected[LINE_MAX];
    long long token = lease_token(reply);
    snprintf(expected, sizeof expected, "[\"old\", :%lld, \"stale\"]", token);
    assert_string_equal(reply, expected);
    free(reply);
    wire_expect(wire, "GETLEASE key 60000 STALE 60000 WAIT 60000", "[\"old\", _, \"stale\"]");
    wire_await(wire, "GETLEASE key 60000 WAIT 1", "[_, _, \"miss\"]");
    wire_send_command(wire, "GETLEASE key 60000 WAIT 60000");
    lease_await_waiting(other, 1);
    lease_expect(other, "SETLEASE key $ new", token, ":1");
    wire_expect_reply(wire, "[\"new\", _, \"hit\"]");
    wire_close(wire);
    wire_close(other);
}

/* Each answer counts once where it belongs; INFO tells. */
static void what_becomes_of_leases_is_counted(void **state) {
    static const struct {
        const char *name;
        long long count;
    } expected[] = {{"leases_granted", 3}, {"leases_early", 0},  {"leases_stale", 2},
                    {"leases_waited", 1},  {"leases_filled", 1}, {"leases_void_tokens", 2}};
    struct wire *wire = wire_connect(*state), *other = wire_connect(*state);
    long long first = lease_ask_token(wire, "GETLEASE key 60000");
    wire_expect(wire, "SET key old PX 1", "+OK");
    wire_await(wire, "GET key", "$-1");
    lease_expect(wire, "SETLEASE key $ value", first, ":0");
    char *reply = wire_ask(wire, "GETLEASE key 60000 STALE 60000");
    long long second = lease_token(reply);
    free(reply);
    wire_expect(wire, "GETLEASE key 60000 STALE 60000", "[\"old\", $-1, \"stale\"]");
    wire_send_command(wire, "GETLEASE key 60000 WAIT 60000");
    lease_await_waiting(other, 1);
    lease_expect(other, "SETLEASE key $ new", second, ":1");
    wire_expect_reply(wire, "[\"new\", $-1, \"hit\"]");
    lease_expect(other, "DELLEASE key $", second, ":0");
    lease_expect(other, "DELLEASE absent $", lease_ask_token(other, "GETLEASE absent 60000"), ":1");
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        assert_int_equal(wire_ask_field(wire, "INFO sherd", expected[i].name), expected[i].count);
    }
    wire_expect(wire, "CONFIG RESETSTAT", "+OK");
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        assert_int_equal(wire_ask_field(wire, "INFO sherd", expected[i].name), 0);
    }
    wire_close(wire);
    wire_close(other);
}

/* To be given a lease is to write; and so is to be told that there is none to be had. */
static void who_waits_waits_on_while_writers_are_paused(void **state) {
    struct wire *wire = wire_connect(*state), *waiter = wire_connect(*state);
    lease_ask_token(wire, "GETLEASE key 50");
    wire_send_command(waiter, "GETLEASE key 60000 WAIT 60000");
    lease_await_waiting(wire, 1);
    wire_expect(wire, "CLIENT PAUSE 400 WRITE", "+OK");
    int64_t begun_ms = lease_now_ms();
    lease_read_token(waiter);
    assert_true(lease_now_ms() - begun_ms >= 300);
    wire_close(wire);
    wire_close(waiter);
}

static void what_makes_no_sense_is_refused(void **state) {
    static const char *const refused[][2] = {
        {"GETLEASE key", "-ERR wrong number of arguments for 'getlease' command"},
        {"GETLEASE key 0", "-ERR lease-ms must be a number of milliseconds from 1 to 3600000"},
        {"GETLEASE key 3600001",
         "-ERR lease-ms must be a number of milliseconds from 1 to 3600000"},
        {"GETLEASE key 10 EARLY 0", "-ERR beta must be a number above 0, and 1000 at most"},
        {"GETLEASE key 10 EARLY 1e4", "-ERR beta must be a number above 0, and 1000 at most"},
        {"GETLEASE key 10 EARLY soon", "-ERR beta must be a number above 0, and 1000 at most"},
        {"GETLEASE key 10 EARLY 1 EARLY 1", "-ERR syntax error"},
        {"GETLEASE key 10 WAIT", "-ERR syntax error"},
        {"GETLEASE key 10 WAIT 10 WAIT 10", "-ERR syntax error"},
        {"GETLEASE key 10 PATIENTLY 10", "-ERR syntax error"},
        {"GETLEASE key 10 WAIT 0",
         "-ERR wait-ms must be a number of milliseconds from 1 to 3600000"},
        {"GETLEASE key soon", "-ERR lease-ms must be a number of milliseconds from 1 to 3600000"},
        {"SETLEASE key token value", "-ERR token must be an integer that GETLEASE gave"},
        {"SETLEASE key 1 value EX", "-ERR syntax error"},
        {"SETLEASE key 1 value EX 0", "-ERR invalid expire time in 'setlease' command"},
        {"SETLEASE key 1 value NX", "-ERR syntax error"},
        {"DELLEASE key -1", "-ERR token must be an integer that GETLEASE gave"},
    };
    struct wire *wire = wire_connect(*state);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        wire_expect(wire, refused[i][0], refused[i][1]);
    }
    wire_close(wire);
}

static void hits_and_misses_are_counted_once(void **state) {
    struct wire *wire = wire_connect(*state);
    long long token = lease_ask_token(wire, "GETLEASE key 60000");
    wire_expect(wire, "GETLEASE key 60000", "[$-1, $-1, \"miss\"]");
    lease_expect(wire, "SETLEASE key $ value", token, ":1");
    wire_expect(wire, "GETLEASE key 60000", "[\"value\", $-1, \"hit\"]");
    char *info = wire_ask(wire, "INFO stats");
    assert_non_null(strstr(info, "keyspace_hits:1\\r\\n"));
    assert_non_null(strstr(info, "keyspace_misses:2\\r\\n"));
    free(info);
    wire_close(wire);
}

/* ---- Stale values ---------------------------------------------------------------------------- */

static const char *const keeping_stale[] = {"--lease-stale-ms", "60000", NULL};

static void expire(struct wire *wire, const char *key) {
    char line[LINE_MAX];
    snprintf(line, sizeof line, "SET %s old PX 1", key);
    wire_expect(wire, line, "+OK");
    snprintf(line, sizeof line, "GET %s", key);
    wire_await(wire, line, "$-1");
}

static void expect_stale_with_token(struct wire *wire, const char *line, long long *token) {
    char *reply = wire_ask(wire, line), expected[LINE_MAX];
    *token = lease_token(reply);
    snprintf(expected, sizeof expected, "[\"old\", :%lld, \"stale\"]", *token);
    assert_string_equal(reply, expected);
    free(reply);
}

static void an_expired_value_is_shown_to_those_who_take_it(void **state) {
    struct wire *wire = wire_connect(*state);
    long long token;
    expire(wire, "key");
    expect_stale_with_token(wire, "GETLEASE key 60000 STALE 60000", &token);
    wire_expect(wire, "GETLEASE key 60000 STALE 60000", "[\"old\", $-1, \"stale\"]");
    wire_expect(wire, "GETLEASE key 60000 STALE 60000 WAIT 60000", "[\"old\", $-1, \"stale\"]");
    wire_expect(wire, "GETLEASE key 60000", "[$-1, $-1, \"miss\"]");
    wire_await(wire, "GETLEASE key 60000 STALE 1 WAIT 1", "[$-1, $-1, \"miss\"]");
    wire_expect(wire, "EXISTS key", ":0");
    wire_expect(wire, "TTL key", ":-2");
    lease_expect(wire, "SETLEASE key $ new", token, ":1");
    wire_expect(wire, "GETLEASE key 60000 STALE 60000", "[\"new\", $-1, \"hit\"]");
    wire_close(wire);
}

static void a_flush_of_another_database_leaves_stale_values(void **state) {
    struct wire *wire = wire_connect(*state);
    long long token;
    expire(wire, "key");
    wire_expect(wire, "SELECT 1", "+OK");
    wire_expect(wire, "SET other value", "+OK");
    wire_expect(wire, "FLUSHDB SYNC", "+OK");
    wire_expect(wire, "SELECT 0", "+OK");
    expect_stale_with_token(wire, "GETLEASE key 60000 STALE 60000", &token);
    wire_close(wire);
}

static void what_is_deleted_is_not_stale(void **state) {
    static const char *const deletions[] = {"DEL key", "FLUSHALL", "EXPIRE key 0", "GETDEL key"};
    struct wire *wire = wire_connect(*state);
    for (size_t i = 0; i < sizeof deletions / sizeof *deletions; i++) {
        wire_expect(wire, "SET key value", "+OK");
        free(wire_ask(wire, deletions[i]));
        lease_expect(wire, "DELLEASE key $",
                     lease_ask_token(wire, "GETLEASE key 60000 STALE 60000"), ":1");
        expire(wire, "key");
        free(wire_ask(wire, deletions[i])); /* of a key that has expired, too */
        lease_expect(wire, "DELLEASE key $",
                     lease_ask_token(wire, "GETLEASE key 60000 STALE 60000"), ":1");
    }
    wire_close(wire);
}

static void expired_values_are_kept_as_long_as_the_option_says(void **state) {
    enum { KEPT_MS = 700 };
    struct wire *wire = wire_connect(*state);
    wire_expect(wire, "CONFIG SET lease-stale-ms 700", "+OK");
    int64_t before_ms = lease_now_ms();
    expire(wire, "key");
    wire_expect(wire, "GETLEASE key 10 STALE 701",
                "-ERR expired values are kept for 700 ms only: see lease-stale-ms");
    wire_await(wire, "DBSIZE", ":0");
    assert_true(lease_now_ms() - before_ms >= KEPT_MS);

    wire_expect(wire, "CONFIG SET lease-stale-ms 3600000", "+OK");
    expire(wire, "key");
    wire_expect(wire, "CONFIG SET lease-stale-ms 0", "+OK"); /* what was held back goes */
    wire_await(wire, "DBSIZE", ":0");
    wire_expect(wire, "GETLEASE key 10 STALE 1",
                "-ERR expired values are kept for 0 ms only: see lease-stale-ms");
    wire_close(wire);
}

/* ---- Early refresh --------------------------------------------------------------------------- */

/* A key whose last fill is known to have taken a millisecond at least, and `left` milliseconds to live. */
static void fill_timed(struct wire *wire, const char *left) {
    wire_expect(wire, "FLUSHALL", "+OK");
    long long token = lease_ask_token(wire, "GETLEASE key 60000 EARLY 1");
    char line[LINE_MAX];
    snprintf(line, sizeof line, "SETLEASE key $ value PX %s", left);
    lease_expect(wire, line, token, ":1");
}

/* With an hour to go and a fill of some milliseconds, nobody is ever drawn. */
static void one_reader_is_told_to_refresh_a_value_that_ends_soon(void **state) {
    enum { READS = 200 };
    struct wire *wire = wire_connect(*state), *other = wire_connect(*state);
    fill_timed(wire, "3600000");
    for (int i = 0; i < READS; i++) {
        wire_expect(wire, "GETLEASE key 60000 EARLY 1", "[\"value\", $-1, \"hit\"]");
    }
    /* A thousandth of a second's fill, a thousand times as early: one draw in twenty is. */
    fill_timed(wire, "3000");
    wire_expect(wire, "GETLEASE key 60000", "[\"value\", $-1, \"hit\"]");
    long long token = 0;
    while (token == 0) {
        char *reply = wire_ask(wire, "GETLEASE key 60000 EARLY 1000");
        token = lease_token(reply);
        assert_int_equal(strncmp(reply, "[\"value\", ", 10), 0);
        free(reply);
    }
    for (int i = 0; i < READS; i++) {
        wire_expect(other, "GETLEASE key 60000 EARLY 1000", "[\"value\", $-1, \"hit\"]");
    }
    lease_expect(wire, "SETLEASE key $ new PX 3600000", token, ":1");
    wire_expect(other, "GETLEASE key 60000 EARLY 1", "[\"new\", $-1, \"hit\"]");
    wire_close(wire);
    wire_close(other);
}

/* XFetch's law: with t the last fill's time and l the time left, one reader in exp(l / (beta t)) is drawn. Of t and l we
 * know bounds, as we look at the clock around what the server looks at it for; of the count, five standard deviations. */
static void readers_are_drawn_as_often_as_the_law_says(void **state) {
    enum { DRAWS = 4000, FILL_MS = 50, LEFT_MS = 50000, BETA = 1000 };
    struct wire *wire = wire_connect(*state);
    int64_t asked_ms = lease_now_ms();
    long long token = lease_ask_token(wire, "GETLEASE key 60000 EARLY 1");
    int64_t told_ms = lease_now_ms();
    while (lease_now_ms() - told_ms < FILL_MS) {
        /* the fill takes its time */
    }
    int64_t filling_ms = lease_now_ms();
    lease_expect(wire, "SETLEASE key $ value PX 50000", token, ":1");
    int64_t filled_ms = lease_now_ms();
    int drawn = 0;
    for (int i = 0; i < DRAWS; i++) {
        char *reply = wire_ask(wire, "GETLEASE key 60000 EARLY 1000");
        token = lease_token(reply);
        free(reply);
        if (token == 0) continue;
        drawn++;
        lease_expect(wire, "DELLEASE key $", token, ":1");
    }
    double passed_ms = (double)(lease_now_ms() - filling_ms);
    double fill_least = (double)(filling_ms - told_ms - 1),
           fill_most = (double)(filled_ms - asked_ms + 1);
    double least = exp(-LEFT_MS / (BETA * fill_least));
    double most = exp(-(LEFT_MS - passed_ms) / (BETA * fill_most));
    print_message("%d of %d were drawn; between %.0f and %.0f are expected\n", drawn, DRAWS,
                  least * DRAWS, most * DRAWS);
    assert_true(drawn >= DRAWS * least - 5 * sqrt(DRAWS * least * (1 - least)));
    assert_true(drawn <= DRAWS * most + 5 * sqrt(DRAWS * most * (1 - most)));
    wire_close(wire);
}

static void a_value_that_expires_while_it_is_refreshed_can_still_be_filled(void **state) {
    struct wire *wire = wire_connect(*state), *other = wire_connect(*state);
    long long token = 0;
    while (token == 0) {
        fill_timed(wire, "300");
        for (int i = 0; i < 1000 && token == 0; i++) {
            char *reply = wire_ask(wire, "GETLEASE key 60000 EARLY 1000");
            if (strncmp(reply, "[\"value\"", 8) == 0) token = lease_token(reply);
            free(reply);
        }
    }
    wire_await(other, "GET key", "$-1");
    wire_expect(other, "GETLEASE key 60000", "[$-1, $-1, \"miss\"]");
    lease_expect(wire, "SETLEASE key $ new", token, ":1");
    wire_close(wire);
    wire_close(other);
}

/* There is no early without an end, and none without a time that a fill took. */
static void nobody_is_told_to_refresh_what_does_not_end_or_was_not_timed(void **state) {
    struct wire *wire = wire_connect(*state);
    long long token = lease_ask_token(wire, "GETLEASE key 60000 EARLY 1000");
    lease_expect(wire, "SETLEASE key $ value", token, ":1");
    long long untimed = lease_ask_token(wire, "GETLEASE untimed 60000");
    lease_expect(wire, "SETLEASE untimed $ value PX 20000", untimed, ":1");
    for (int i = 0; i < 200; i++) {
        wire_expect(wire, "GETLEASE key 60000 EARLY 1000", "[\"value\", $-1, \"hit\"]");
        wire_expect(wire, "GETLEASE untimed 60000 EARLY 1000", "[\"value\", $-1, \"hit\"]");
    }
    wire_close(wire);
}

/* ---- Stale fills ----------------------------------------------------------------------------- */

enum { SOURCE_KEYS = 4, CHANGERS = 2, READERS = 6, ROUNDS = 1500 };

/* A slow source of truth, and a cache of it. */
struct source {
    const struct test_server *server;
    _Atomic long long versions[SOURCE_KEYS];
};

static bool change(struct source *source, redisContext *context, int key) {
    long long deleted;
    atomic_fetch_add(&source->versions[key], 1);
    return hiredis_ask_integer(context, &deleted, "DEL cached:%d", key);
}

static bool read_through(struct source *source, redisContext *context, int key, int lease_ms) {
    redisReply *reply = redisCommand(context, "GETLEASE cached:%d %d WAIT 1000", key, lease_ms);
    if (reply == NULL || reply->type != REDIS_REPLY_ARRAY) return false;
    bool is_told = reply->element[1]->type == REDIS_REPLY_INTEGER;
    long long token = is_told ? reply->element[1]->integer : 0, stored;
    freeReplyObject(reply);
    if (!is_told) return true;
    long long version = atomic_load(&source->versions[key]);
    sched_yield();
    return hiredis_ask_integer(context, &stored, "SETLEASE cached:%d %lld %lld", key, token,
                               version);
}

static bool change_or_read(void *context, size_t index) {
    struct source *source = context;
    redisContext *connection = hiredis_open(source->server);
    bool is_well = connection != NULL;
    for (int i = 0; is_well && i < ROUNDS; i++) {
        int key = (int)((i + index) % SOURCE_KEYS);
        is_well = index < CHANGERS ? change(source, connection, key)
                                   : read_through(source, connection, key, i % 3 == 0 ? 1000 : 1);
    }
    redisFree(connection);
    return is_well;
}

/* Whoever changes the source deletes the key afterwards: then the cache never keeps what was read before. */
static void no_old_value_is_ever_left_behind(void **state) {
    struct source source = {.server = *state};
    assert_true(crowd_run(CHANGERS + READERS, change_or_read, &source));
    struct wire *wire = wire_connect(*state);
    for (int i = 0; i < SOURCE_KEYS; i++) {
        char line[LINE_MAX], expected[LINE_MAX];
        snprintf(line, sizeof line, "GET cached:%d", i);
        snprintf(expected, sizeof expected, "\"%lld\"", atomic_load(&source.versions[i]));
        char *reply = wire_ask(wire, line);
        if (strcmp(reply, "$-1") != 0) assert_string_equal(reply, expected);
        free(reply);
    }
    wire_close(wire);
}

/* ---- What a token is worth, after whatever may happen to its key ----------------------------- */

/* Each key is in a database of its own: in one, a lease that ran out may have to make room for another key's. */
enum { MODEL_KEYS = 4, MODEL_STEPS = 6000, MODEL_TOKENS = 3 };

/* The last tokens of a key, newest first, and whether each is void: since it was given, somebody wrote the key, filled
 * it for this token or a newer one, or gave the lease up. */
struct told_key {
    long long tokens[MODEL_TOKENS];
    bool is_void[MODEL_TOKENS];
    bool is_due; /* the last write set a deadline, and came after a token was given */
};

struct token_model {
    struct wire *wires[MODEL_KEYS];
    struct random random;
    struct told_key keys[MODEL_KEYS];
    uint64_t stored, former, refused, expired;
};

/* This one and all before. */
static void make_void(struct told_key *key, int newest) {
    for (int i = newest; i < MODEL_TOKENS; i++) {
        key->is_void[i] = true;
    }
}

static void note_write(struct told_key *key, bool is_due) {
    bool was_given = key->tokens[0] != 0;
    make_void(key, 0);
    key->is_due = is_due && was_given;
}

/* A lease of a minute or of a millisecond; where the last holder's token is still good, the next has one more. */
static void take_lease(struct token_model *model, int number) {
    struct told_key *key = &model->keys[number];
    char line[LINE_MAX];
    snprintf(line, sizeof line, "GETLEASE key:%d %d", number,
             random_below(&model->random, 2) == 0 ? 1 : 60000);
    char *reply = wire_ask(model->wires[number], line);
    long long token = lease_token(reply);
    free(reply);
    if (token == 0) return;
    bool is_next = key->tokens[0] != 0 && !key->is_void[0];
    assert_int_equal(token == key->tokens[0] + 1, is_next);
    memmove(key->tokens + 1, key->tokens, sizeof key->tokens - sizeof *key->tokens);
    memmove(key->is_void + 1, key->is_void, sizeof key->is_void - sizeof *key->is_void);
    key->tokens[0] = token;
    key->is_void[0] = false;
}

static void write_key(struct token_model *model, int number) {
    static const char *const writes[] = {"SET key:%d v PX %d", "SET key:%d v", "DEL key:%d",
                                         "PEXPIRE key:%d %d"};
    size_t which = (size_t)random_below(&model->random, sizeof writes / sizeof *writes);
    char line[LINE_MAX];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(line, sizeof line, writes[which], number, 1 + (int)random_below(&model->random, 3));
#pragma GCC diagnostic pop
    free(wire_ask(model->wires[number], line));
    note_write(&model->keys[number], which == 0);
}

static void use_token(struct token_model *model, int number) {
    struct told_key *key = &model->keys[number];
    int which = (int)random_below(&model->random, MODEL_TOKENS);
    if (key->tokens[which] == 0) return;
    char line[LINE_MAX];
    snprintf(line, sizeof line, "EXISTS key:%d", number);
    char *exists = wire_ask(model->wires[number], line);
    bool has_expired = key->is_due && strcmp(exists, ":0") == 0;
    free(exists);
    snprintf(line, sizeof line, "SETLEASE key:%d $ v PX %d", number,
             1 + (int)random_below(&model->random, 3));
    bool is_good = !key->is_void[which];
    lease_expect(model->wires[number], line, key->tokens[which], is_good ? ":1" : ":0");
    model->stored += is_good;
    model->refused += !is_good;
    model->expired += !is_good && has_expired;
    model->former += is_good && which > 0;
    if (!is_good) return;
    make_void(key, which);
    key->is_due = false;
}

/* The last holder gives the lease up; a former one changes nothing. */
static void give_up(struct token_model *model, int number) {
    struct told_key *key = &model->keys[number];
    int which = (int)random_below(&model->random, MODEL_TOKENS);
    char line[LINE_MAX];
    snprintf(line, sizeof line, "DELLEASE key:%d $", number);
    bool is_good = which == 0 && key->tokens[0] != 0 && !key->is_void[0];
    lease_expect(model->wires[number], line, key->tokens[which], is_good ? ":1" : ":0");
    if (is_good) make_void(key, 0);
}

/* Neither a value's deadline nor a lease's brings a token back to life, or takes its life. */
static void a_token_is_good_until_the_key_is_written_whatever_expires(void **state) {
    struct token_model model = {0};
    for (int i = 0; i < MODEL_KEYS; i++) {
        char line[LINE_MAX];
        snprintf(line, sizeof line, "SELECT %d", i);
        model.wires[i] = wire_connect(*state);
        wire_expect(model.wires[i], line, "+OK");
    }
    model_seed(&model.random, "tokens");
    for (int i = 0; i < MODEL_STEPS; i++) {
        int number = (int)random_below(&model.random, MODEL_KEYS);
        uint64_t draw = random_below(&model.random, 20);
        if (draw < 10) {
            take_lease(&model, number);
        } else if (draw < 13) {
            write_key(&model, number);
        } else if (draw < 14) {
            give_up(&model, number);
        } else {
            use_token(&model, number);
        }
    }
    print_message(
        "%llu stored, %llu of them by former holders; %llu refused, %llu of them of a key "
        "that was set and expired\n",
        (unsigned long long)model.stored, (unsigned long long)model.former,
        (unsigned long long)model.refused, (unsigned long long)model.expired);
    assert_true(model.stored > model.former && model.former > 0 && model.expired > 0);
    for (int i = 0; i < MODEL_KEYS; i++) {
        wire_close(model.wires[i]);
    }
}

int main(void) {
    test_server_require();
    const struct CMUnitTest tests[] = {
        TEST_WITH_SERVER(the_first_that_misses_is_told_to_fill_and_the_others_are_not, NULL),
        TEST_WITH_SERVER(a_value_is_stored_only_for_the_token, NULL),
        TEST_WITH_SERVER(whatever_writes_the_key_makes_the_token_void, NULL),
        TEST_WITH_SERVER(reading_leaves_the_token_good, NULL),
        TEST_WITH_SERVER(a_lease_given_up_goes_to_the_next_at_once, NULL),
        TEST_WITH_SERVER(replies_are_the_same_array_in_resp3, NULL),
        TEST_WITH_SERVER(all_answers_are_the_same_array_in_resp3, keeping_stale),
        TEST_WITH_SERVER(what_becomes_of_leases_is_counted, keeping_stale),
        TEST_WITH_SERVER(who_waits_waits_on_while_writers_are_paused, NULL),
        TEST_WITH_SERVER(what_makes_no_sense_is_refused, NULL),
        TEST_WITH_SERVER(hits_and_misses_are_counted_once, NULL),
        TEST_WITH_SERVER(an_expired_value_is_shown_to_those_who_take_it, keeping_stale),
        TEST_WITH_SERVER(a_flush_of_another_database_leaves_stale_values, keeping_stale),
        TEST_WITH_SERVER(what_is_deleted_is_not_stale, keeping_stale),
        TEST_WITH_SERVER(expired_values_are_kept_as_long_as_the_option_says, keeping_stale),
        TEST_WITH_SERVER(one_reader_is_told_to_refresh_a_value_that_ends_soon, NULL),
        TEST_WITH_SERVER(readers_are_drawn_as_often_as_the_law_says, NULL),
        TEST_WITH_SERVER(a_value_that_expires_while_it_is_refreshed_can_still_be_filled, NULL),
        TEST_WITH_SERVER(nobody_is_told_to_refresh_what_does_not_end_or_was_not_timed, NULL),
        TEST_WITH_SERVER(no_old_value_is_ever_left_behind, NULL),
        TEST_WITH_SERVER(a_token_is_good_until_the_key_is_written_whatever_expires, NULL),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
