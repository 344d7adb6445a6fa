/* The shard of a key, as anybody can compute it, and the counters of shards, which add up to what was sent. */
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

enum { SHARDS = 8 };
static const char *const OPTIONS[] = {"--shards", "8", "--workers", "2", "--enable-debug-command",
                                      "yes",      NULL};

/* ---- Where a key is -------------------------------------------------------------------------- */

/* FNV-1a of 64 bits, folded to 32 and to 16, cut to the number of shards: as shards/router.h promises, written anew. */
static unsigned shard_of(const char *hashed, size_t size) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < size; i++) {
        hash = (hash ^ (unsigned char)hashed[i]) * UINT64_C(0x100000001b3);
    }
    hash ^= hash >> 32;
    hash ^= (hash & UINT32_MAX) >> 16;
    return (unsigned)(hash % SHARDS);
}

static void expect_shard(struct wire *wire, const char *key, const char *hashed) {
    char line[256], expected[16];
    snprintf(line, sizeof line, "DEBUG SHARD \"%s\"", key);
    snprintf(expected, sizeof expected, ":%u", shard_of(hashed, strlen(hashed)));
    wire_expect(wire, line, expected);
}

static void a_key_is_on_the_shard_that_fnv_1a_says(void **state) {
    struct wire *wire = wire_connect(*state);
    bool is_used[SHARDS] = {false};
    for (int i = 0; i < 200; i++) {
        char key[64];
        snprintf(key, sizeof key, "%.*skey:%d", i % 40,
                 "a-long-prefix-for-some-of-the-keys-to-have", i);
        expect_shard(wire, key, key);
        is_used[shard_of(key, strlen(key))] = true;
    }
    for (size_t i = 0; i < SHARDS; i++) {
        assert_true(is_used[i]);
    }
    expect_shard(wire, "", "");
    wire_close(wire);
}

static void a_hash_tag_alone_is_hashed(void **state) {
    static const char *const keys[][2] = {
        {"{user:1}:name", "user:1"},
        {"{user:1}:mail", "user:1"},
        {"before{user:1}after", "user:1"},
        {"{a}{b}", "a"},
        {"x{}y{z}", "x{}y{z}"},
        {"{}", "{}"},
        {"{open", "{open"},
        {"shut}", "shut}"},
        {"}{tag}", "tag"},
        {"{{tag}}", "{tag"},
    };
    struct wire *wire = wire_connect(*state);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        expect_shard(wire, keys[i][0], keys[i][1]);
    }
    wire_close(wire);
}

/* ---- Counters -------------------------------------------------------------------------------- */

enum field { KEYS, READS, WRITES, HITS, MISSES, FIELDS };
static const char *const FIELD_NAMES[FIELDS] = {"keys", "reads", "writes", "hits", "misses"};

struct tally {
    long long fields[FIELDS];
};

/* What SHARDS tells: each shard's tally, and their sum is returned. */
static struct tally ask_shards(redisContext *context, struct tally tallies[SHARDS]) {
    struct tally sum = {{0}};
    redisReply *reply = redisCommand(context, "SHARDS");
    assert_non_null(reply);
    assert_int_equal(reply->type, REDIS_REPLY_ARRAY);
    assert_int_equal(reply->elements, SHARDS);
    for (size_t shard = 0; shard < SHARDS; shard++) {
        const redisReply *map = reply->element[shard];
        for (size_t i = 0; i + 1 < map->elements; i += 2) {
            long long number = map->element[i + 1]->integer;
            if (strcmp(map->element[i]->str, "shard") == 0) assert_int_equal(number, shard);
            for (size_t field = 0; field < FIELDS; field++) {
                if (strcmp(map->element[i]->str, FIELD_NAMES[field]) != 0) continue;
                tallies[shard].fields[field] = number;
                sum.fields[field] += number;
            }
        }
        assert_int_equal(tallies[shard].fields[HITS] + tallies[shard].fields[MISSES],
                         tallies[shard].fields[READS]);
    }
    freeReplyObject(reply);
    return sum;
}

static void expect_tally(const struct test_server *server, struct tally expected) {
    redisContext *context = hiredis_expect_open(server);
    struct tally tallies[SHARDS];
    struct tally sum = ask_shards(context, tallies);
    redisFree(context);
    struct wire *wire = wire_connect(server);
    for (size_t field = 0; field < FIELDS; field++) {
        assert_int_equal(sum.fields[field], expected.fields[field]);
        if (field == KEYS) continue;
        assert_int_equal(wire_ask_field(wire, "INFO sherd", FIELD_NAMES[field]),
                         expected.fields[field]);
    }
    assert_int_equal(wire_ask_field(wire, "INFO stats", "keyspace_hits"), expected.fields[HITS]);
    assert_int_equal(wire_ask_field(wire, "INFO stats", "keyspace_misses"),
                     expected.fields[MISSES]);
    assert_int_equal(wire_ask_integer(wire, "DBSIZE"), expected.fields[KEYS]);
    wire_close(wire);
}

static void each_command_counts_each_of_its_keys(void **state) {
    static const struct {
        const char *line;
        long long reads, writes, hits;
    } steps[] = {
        {"GET a", 1, 0, 0},        {"SET a 1", 0, 1, 0},
        {"GET a", 1, 0, 1},        {"MSET a 1 b 2 c 3", 0, 3, 0},
        {"MGET a b c d", 4, 0, 3}, {"INCR a", 0, 1, 0},
        {"EXISTS a a x", 3, 0, 2}, {"STRLEN b", 1, 0, 1},
        {"APPEND b x", 0, 1, 0},   {"DEL a b x", 0, 3, 0},
        {"TTL c", 1, 0, 1},        {"PING", 0, 0, 0},
        {"GET", 0, 0, 0},          {"NOTHING a", 0, 0, 0},
        {"DBSIZE", 0, 0, 0},
    };
    redisContext *context = hiredis_expect_open(*state);
    struct tally tallies[SHARDS];
    struct tally before = ask_shards(context, tallies);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        freeReplyObject(redisCommand(context, steps[i].line));
        struct tally after = ask_shards(context, tallies);
        if (after.fields[READS] - before.fields[READS] != steps[i].reads ||
            after.fields[WRITES] - before.fields[WRITES] != steps[i].writes ||
            after.fields[HITS] - before.fields[HITS] != steps[i].hits) {
            fail_msg("%s: %lld reads, %lld writes, %lld hits", steps[i].line,
                     after.fields[READS] - before.fields[READS],
                     after.fields[WRITES] - before.fields[WRITES],
                     after.fields[HITS] - before.fields[HITS]);
        }
        before = after;
    }
    redisFree(context);
}

static void a_key_counts_on_its_own_shard(void **state) {
    redisContext *context = hiredis_expect_open(*state);
    struct tally before[SHARDS], after[SHARDS];
    for (int i = 0; i < 20; i++) {
        char key[16];
        int size = snprintf(key, sizeof key, "key:%d", i);
        unsigned own = shard_of(key, (size_t)size);
        ask_shards(context, before);
        hiredis_expect_status(context, "OK", "SET %s value", key);
        ask_shards(context, after);
        for (unsigned shard = 0; shard < SHARDS; shard++) {
            int is_own = shard == own;
            assert_int_equal(after[shard].fields[WRITES] - before[shard].fields[WRITES], is_own);
            assert_int_equal(after[shard].fields[KEYS] - before[shard].fields[KEYS], is_own);
            assert_int_equal(after[shard].fields[READS], before[shard].fields[READS]);
        }
    }
    redisFree(context);
}

enum { CLIENTS = 8, ROUNDS = 400 };

/* A key written, read twice, a missing one read, and the key removed in every second round. */
static bool operate(void *context, size_t index) {
    redisContext *client = hiredis_open(context);
    if (client == NULL) return false;
    bool is_right = true;
    for (int round = 0; round < ROUNDS && is_right; round++) {
        int number = (int)index * ROUNDS + round;
        redisAppendCommand(client, "SET k:%d value", number);
        redisAppendCommand(client, "GET k:%d", number);
        redisAppendCommand(client, "GET missing:%d", number);
        redisAppendCommand(client, "MGET k:%d missing:%d", number, number);
        redisAppendCommand(client, round % 2 == 0 ? "DEL k:%d" : "APPEND k:%d x", number);
        is_right =
            hiredis_take(client, REDIS_REPLY_STATUS) && hiredis_take(client, REDIS_REPLY_STRING) &&
            hiredis_take(client, REDIS_REPLY_NIL) && hiredis_take(client, REDIS_REPLY_ARRAY) &&
            hiredis_take(client, REDIS_REPLY_INTEGER);
    }
    redisFree(client);
    return is_right;
}

static void counters_add_up_to_exactly_what_many_clients_sent(void **state) {
    enum { TOTAL = CLIENTS * ROUNDS };
    assert_true(crowd_run(CLIENTS, operate, *state));
    expect_tally(*state, (struct tally){{[KEYS] = TOTAL / 2,
                                         [READS] = 4 * TOTAL,
                                         [WRITES] = 2 * TOTAL,
                                         [HITS] = 2 * TOTAL,
                                         [MISSES] = 2 * TOTAL}});
}

static void config_resetstat_sets_them_to_zero(void **state) {
    struct wire *wire = wire_connect(*state);
    wire_expect(wire, "SET k 1", "+OK");
    wire_expect(wire, "GET k", "\"1\"");
    wire_expect(wire, "GET missing", "$-1");
    wire_expect(wire, "CONFIG RESETSTAT", "+OK");
    wire_close(wire);
    expect_tally(*state, (struct tally){{[KEYS] = 1}});
}

int main(void) {
    test_server_require();
    const struct CMUnitTest tests[] = {
        TEST_WITH_SERVER(a_key_is_on_the_shard_that_fnv_1a_says, OPTIONS),
        TEST_WITH_SERVER(a_hash_tag_alone_is_hashed, OPTIONS),
        TEST_WITH_SERVER(each_command_counts_each_of_its_keys, OPTIONS),
        TEST_WITH_SERVER(a_key_counts_on_its_own_shard, OPTIONS),
        TEST_WITH_SERVER(counters_add_up_to_exactly_what_many_clients_sent, OPTIONS),
        TEST_WITH_SERVER(config_resetstat_sets_them_to_zero, OPTIONS),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
