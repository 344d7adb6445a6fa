/* CACHE PREFIXES, as an operator asks it: which part of the application asks for how much, and finds how much. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/client.h"
#include "tests/support/crowd.h"
#include "tests/support/wire.h"

static const char *const OPTIONS[] = {"--workers", "2", NULL};
static const char *const OPTIONS_OFF[] = {"--request-sampling", "no", NULL};

enum { CLIENTS = 8, ROUNDS = 150, PIPELINE = 100, TOTAL = CLIENTS * ROUNDS * PIPELINE };

/* Half of all requests read one of 64 users, who are there; a quarter reads other keys "user:...:gone", which
 * aren't; a fifth writes sessions; the rest writes keys without a delimiter. */
static bool load(void *server, size_t index) {
    redisContext *client = hiredis_open(server);
    if (client == NULL) return false;
    bool is_right = true;
    for (int user = 0; user < 64; user++) {
        is_right = is_right && hiredis_ask_status(client, "OK", "SET user:%d:name Ada", user);
    }
    for (int round = 0; round < ROUNDS && is_right; round++) {
        for (int i = 0; i < PIPELINE; i++) {
            int kind = i % 20, number = (int)index * 100000 + round * PIPELINE + i;
            if (kind < 10) {
                redisAppendCommand(client, "GET user:%d:name", number % 64);
            } else if (kind < 15) {
                redisAppendCommand(client, "GET user:%d:gone", number);
            } else if (kind < 19) {
                redisAppendCommand(client, "SET session|%d 0123456789", number);
            } else {
                redisAppendCommand(client, "SET plain%d 1", number % 10);
            }
        }
        for (int i = 0; i < PIPELINE && is_right; i++) {
            is_right = hiredis_take_any(client);
        }
    }
    redisFree(client);
    return is_right;
}

/* ---- Reading replies ------------------------------------------------------------------------- */

struct row {
    char prefix[64];
    long long reads, writes, hits, misses, bytes, samples;
    double share;
};

struct answer {
    long long seconds, requests, requests_per_sample, samples;
    struct row rows[4];
    size_t count;
};

struct field {
    const char *name;
    long long *number;
};

static void read_number(const struct field *fields, size_t count, const char *name,
                        const redisReply *value) {
    for (size_t i = 0; i < count; i++) {
        if (strcmp(name, fields[i].name) == 0) *fields[i].number = value->integer;
    }
}

static void read_row(const redisReply *reply, struct row *row) {
    const struct field fields[] = {{"reads", &row->reads}, {"writes", &row->writes},
                                   {"hits", &row->hits},   {"misses", &row->misses},
                                   {"bytes", &row->bytes}, {"samples", &row->samples}};
    assert_int_equal(reply->elements, 16);
    for (size_t i = 0; i < reply->elements; i += 2) {
        const char *name = reply->element[i]->str;
        const redisReply *value = reply->element[i + 1];
        read_number(fields, sizeof fields / sizeof *fields, name, value);
        if (strcmp(name, "prefix") == 0)
            snprintf(row->prefix, sizeof row->prefix, "%s", value->str);
        if (strcmp(name, "share") == 0) row->share = atof(value->str);
    }
}

static struct answer ask(const struct test_server *server, const char *command) {
    struct answer answer = {0};
    const struct field fields[] = {{"seconds", &answer.seconds},
                                   {"requests", &answer.requests},
                                   {"requests_per_sample", &answer.requests_per_sample},
                                   {"samples", &answer.samples}};
    redisContext *client = hiredis_expect_open(server);
    redisReply *reply = redisCommand(client, command);
    assert_non_null(reply);
    assert_int_equal(reply->type, REDIS_REPLY_ARRAY);
    assert_int_equal(reply->elements, 10);
    for (size_t i = 0; i < reply->elements; i += 2) {
        const redisReply *value = reply->element[i + 1];
        read_number(fields, sizeof fields / sizeof *fields, reply->element[i]->str, value);
        if (strcmp(reply->element[i]->str, "prefixes") != 0) continue;
        for (size_t row = 0; row < value->elements && row < 4; row++) {
            read_row(value->element[row], &answer.rows[answer.count++]);
        }
    }
    freeReplyObject(reply);
    redisFree(client);
    return answer;
}

/* ---- Tests ----------------------------------------------------------------------------------- */

/* Of 938 samples: within five deviations of what was done. */
static void prefixes_show_their_reads_hits_misses_and_writes(void **state) {
    assert_true(crowd_run(CLIENTS, load, *state));
    struct answer answer = ask(*state, "CACHE PREFIXES");
    assert_int_equal(answer.requests_per_sample, 128);
    assert_in_range(answer.requests, TOTAL - TOTAL / 5, TOTAL + TOTAL / 5);
    assert_int_equal(answer.requests, answer.samples * 128);
    assert_int_equal(answer.count, 2);
    const struct row *user = &answer.rows[0], *rest = &answer.rows[1];
    assert_string_equal(user->prefix, "user:");
    assert_true(user->share > 0.68 && user->share < 0.82);
    assert_int_equal(user->reads, user->hits + user->misses);
    assert_true(user->hits > user->misses * 3 / 2 && user->hits < user->misses * 3);
    assert_in_range(user->writes, 0, TOTAL / 50); /* the few of the beginning */
    /* GET user:7:name and its value: 39 bytes; GET user:100000:gone and null: 44. */
    assert_in_range(user->bytes / (user->reads + user->writes), 35, 50);
    assert_string_equal(rest->prefix, "");
    assert_int_equal(rest->reads, 0);
    assert_int_equal(rest->writes, rest->samples * 128);
}

static void any_delimiter_and_depth_may_be_asked_for(void **state) {
    assert_true(crowd_run(CLIENTS, load, *state));
    struct answer answer = ask(*state, "CACHE PREFIXES DELIMITER | COUNT 4");
    assert_int_equal(answer.count, 2);
    assert_string_equal(answer.rows[0].prefix, "");
    assert_string_equal(answer.rows[1].prefix, "session|");
    answer = ask(*state, "CACHE PREFIXES DEPTH 2 COUNT 4");
    assert_int_equal(answer.count, 4);
    assert_string_equal(answer.rows[0].prefix, "");
    assert_int_equal(strncmp(answer.rows[1].prefix, "user:", 5), 0);
    assert_true(strlen(answer.rows[1].prefix) > 5);
    answer = ask(*state, "CACHE PREFIXES COUNT 1 DELIMITER er:");
    assert_int_equal(answer.count, 1);
    assert_string_equal(answer.rows[0].prefix, "user:");
}

static void the_keys_of_a_request_share_its_hits(void **state) {
    struct wire *wire = wire_connect(*state);
    wire_expect(wire, "SET a:1 x", "+OK");
    struct answer answer = {0};
    for (int i = 0; i < 10000 && answer.count < 2; i++) {
        for (int j = 0; j < 100; j++) {
            wire_expect(wire, "MGET a:1 b:1 a:1 b:1", "[\"x\", $-1, \"x\", $-1]");
        }
        answer = ask(*state, "CACHE PREFIXES");
    }
    assert_int_equal(answer.count, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(answer.rows[i].hits, answer.rows[i].misses);
        assert_int_equal(answer.rows[i].hits * 2, answer.rows[i].reads);
    }
    wire_close(wire);
}

static void nothing_is_noted_while_it_is_off(void **state) {
    assert_true(crowd_run(CLIENTS, load, *state));
    struct wire *wire = wire_connect(*state);
    wire_expect(wire, "CACHE PREFIXES",
                "-ERR requests are not noted: request-sampling is off. CONFIG SET "
                "request-sampling yes, and ask again a little later");
    wire_expect(wire, "CONFIG SET request-sampling yes", "+OK");
    wire_close(wire);
    struct answer answer = ask(*state, "CACHE PREFIXES");
    assert_int_equal(answer.count, 0);
    assert_int_equal(answer.requests, 0);
}

static void wrong_words_are_refused(void **state) {
    struct wire *wire = wire_connect(*state);
    wire_expect(wire, "CACHE PREFIXES COUNT", "-ERR syntax error");
    wire_expect(wire, "CACHE PREFIXES COUNT 0", "-ERR COUNT must be an integer, 1 at least");
    wire_expect(wire, "CACHE PREFIXES COUNT x", "-ERR COUNT must be an integer, 1 at least");
    wire_expect(wire, "CACHE PREFIXES DEPTH 0", "-ERR DEPTH must be an integer, 1 at least");
    wire_expect(wire, "CACHE PREFIXES LIMIT 5", "-ERR syntax error");
    wire_expect(wire, "CACHE PREFIXES COUNT 1 DELIMITER", "-ERR syntax error");
    wire_expect(wire, "CACHE PREFIXES DELIMITER \"\"", "-ERR DELIMITER must not be empty");
    wire_expect(wire, "CACHE NOTHING", "-ERR unknown subcommand 'NOTHING'. Try CACHE HELP.");
    wire_close(wire);
}

int main(void) {
    test_server_require();
    const struct CMUnitTest tests[] = {
        TEST_WITH_SERVER(prefixes_show_their_reads_hits_misses_and_writes, OPTIONS),
        TEST_WITH_SERVER(any_delimiter_and_depth_may_be_asked_for, OPTIONS),
        TEST_WITH_SERVER(the_keys_of_a_request_share_its_hits, OPTIONS),
        TEST_WITH_SERVER(nothing_is_noted_while_it_is_off, OPTIONS_OFF),
        TEST_WITH_SERVER(wrong_words_are_refused, OPTIONS),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
