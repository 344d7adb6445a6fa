/* HOTKEYS, as an operator asks it: one key that many ask for, among many that few ask for. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/client.h"
#include "tests/support/crowd.h"
#include "tests/support/wire.h"

static const char *const OPTIONS[] = {"--workers", "2", NULL};
static const char *const OPTIONS_OFF[] = {"--request-sampling", "no", NULL};
#define SAMPLING_IS_OFF                                                                            \
    "-ERR requests are not noted: request-sampling is off. CONFIG SET request-sampling yes, and "  \
    "ask again a little later"

enum { CLIENTS = 8, ROUNDS = 60, PIPELINE = 100, TOTAL = CLIENTS * ROUNDS * PIPELINE };

/* Every third request is for one key, a tenth of those write it; the others are for as many keys as there are
 * requests. */
static bool load(void *server, size_t index) {
    redisContext *client = hiredis_open(server);
    if (client == NULL) return false;
    bool is_right = true;
    for (int round = 0; round < ROUNDS && is_right; round++) {
        for (int i = 0; i < PIPELINE; i++) {
            if (i % 30 == 0) {
                redisAppendCommand(client, "SET hot 0123456789");
            } else if (i % 3 == 0) {
                redisAppendCommand(client, "GET hot");
            } else {
                redisAppendCommand(client, "GET cold:%d:%d", (int)index, round * PIPELINE + i);
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

struct hot {
    char key[64];
    long long reads, writes, bytes, unseen, db;
    double share;
};

static void read_field(const char *name, const redisReply *value, struct hot *hot) {
    const struct {
        const char *name;
        long long *number;
    } numbers[] = {{"reads", &hot->reads},
                   {"writes", &hot->writes},
                   {"bytes", &hot->bytes},
                   {"unseen", &hot->unseen},
                   {"db", &hot->db}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        if (strcmp(name, numbers[i].name) == 0) *numbers[i].number = value->integer;
    }
    if (strcmp(name, "key") == 0) snprintf(hot->key, sizeof hot->key, "%s", value->str);
    if (strcmp(name, "share") == 0) hot->share = atof(value->str);
}

/* Row `index` of HOTKEYS; false when there are fewer. */
static bool ask_row(const struct test_server *server, size_t index, struct hot *hot) {
    redisContext *client = hiredis_expect_open(server);
    redisReply *reply = redisCommand(client, "HOTKEYS COUNT %d", (int)index + 1);
    assert_non_null(reply);
    assert_int_equal(reply->type, REDIS_REPLY_ARRAY);
    bool is_there = reply->elements > index;
    *hot = (struct hot){.reads = -1, .writes = -1, .bytes = -1, .unseen = -1, .db = -1};
    for (size_t i = 0; is_there && i + 1 < reply->element[index]->elements; i += 2) {
        const redisReply *row = reply->element[index];
        read_field(row->element[i]->str, row->element[i + 1], hot);
    }
    freeReplyObject(reply);
    redisFree(client);
    return is_there;
}

/* ---- Tests ----------------------------------------------------------------------------------- */

static void a_hot_key_among_many_cold_ones_is_first(void **state) {
    assert_true(crowd_run(CLIENTS, load, *state));
    struct hot hot, next;
    assert_true(ask_row(*state, 0, &hot));
    assert_true(ask_row(*state, 1, &next));
    assert_string_equal(hot.key, "hot");
    assert_int_equal(hot.db, 0);
    /* 16,320 of 48,000 requests; the sample's deviation is about 1,300. */
    assert_in_range(hot.reads + hot.writes, 16320 - 8000, 16320 + 8000);
    assert_true(hot.share > 0.17 && hot.share < 0.51);
    assert_in_range(hot.writes, 1, hot.reads / 3);
    assert_in_range(hot.unseen, 0, TOTAL / 50);
    /* "*2 $3 GET $3 hot" and "$10 0123456789": 39 bytes; SET and OK: 42. */
    assert_in_range(hot.bytes / (hot.reads + hot.writes), 38, 42);
    assert_int_equal(strncmp(next.key, "cold:", 5), 0);
    assert_true(next.reads + next.writes < hot.reads / 4);
}

static void every_key_of_a_request_is_noted(void **state) {
    struct wire *wire = wire_connect(*state);
    struct hot hot = {.key = ""};
    for (int i = 0; i < 10000 && !ask_row(*state, 2, &hot); i++) {
        for (int j = 0; j < 100; j++) {
            wire_expect(wire, "MGET a b c", "[$-1, $-1, $-1]");
        }
    }
    assert_int_equal(strlen(hot.key), 1);
    assert_in_range(hot.key[0], 'a', 'c');
    assert_int_equal(hot.reads % 128, 0);
    assert_int_equal(hot.bytes / hot.reads, (35 + 19) / 3); /* request and reply */
    wire_close(wire);
}

static void keys_show_their_database_and_writes(void **state) {
    struct wire *wire = wire_connect(*state);
    struct hot hot = {.key = ""};
    wire_expect(wire, "SELECT 3", "+OK");
    for (int i = 0; i < 10000 && !ask_row(*state, 0, &hot); i++) {
        for (int j = 0; j < 100; j++) {
            wire_expect(wire, "SET key value", "+OK");
        }
    }
    assert_string_equal(hot.key, "key");
    assert_int_equal(hot.db, 3);
    assert_int_equal(hot.reads, 0);
    assert_true(hot.writes > 0);
    assert_true(hot.share > 0.99);
    wire_close(wire);
}

static void a_reset_forgets(void **state) {
    assert_true(crowd_run(CLIENTS, load, *state));
    struct wire *wire = wire_connect(*state);
    wire_expect(wire, "HOTKEYS RESET", "+OK");
    wire_expect(wire, "HOTKEYS", "[]");
    wire_close(wire);
}

static void nothing_is_noted_while_it_is_off(void **state) {
    assert_true(crowd_run(CLIENTS, load, *state));
    struct wire *wire = wire_connect(*state);
    wire_expect(wire, "HOTKEYS", SAMPLING_IS_OFF);
    wire_expect(wire, "HOTKEYS COUNT 0", "-ERR COUNT must be an integer, 1 at least");
    wire_expect(wire, "CONFIG SET request-sampling yes", "+OK");
    wire_expect(wire, "HOTKEYS", "[]");
    assert_true(crowd_run(CLIENTS, load, *state));
    struct hot hot;
    assert_true(ask_row(*state, 0, &hot));
    assert_string_equal(hot.key, "hot");
    wire_expect(wire, "CONFIG SET request-sampling no", "+OK");
    assert_true(ask_row(*state, 0, &hot)); /* what was noted may still be asked for */
    wire_close(wire);
}

struct asking {
    const struct test_server *server;
    _Atomic bool is_over;
};

static bool ask_all_the_time(void *context, size_t index) {
    (void)index;
    struct asking *asking = context;
    redisContext *client = hiredis_open(asking->server);
    bool is_right = client != NULL;
    while (is_right && !atomic_load(&asking->is_over)) {
        redisAppendCommand(client, "HOTKEYS COUNT 1000");
        redisAppendCommand(client, "HOTKEYS RESET");
        is_right =
            hiredis_take(client, REDIS_REPLY_ARRAY) && hiredis_take(client, REDIS_REPLY_STATUS);
    }
    if (client != NULL) redisFree(client);
    return is_right;
}

static void asking_under_load_disturbs_nobody(void **state) {
    struct asking asking = {.server = *state};
    struct crowd *askers = crowd_start(2, ask_all_the_time, &asking);
    bool is_right = crowd_run(CLIENTS, load, *state);
    atomic_store(&asking.is_over, true);
    assert_true(crowd_finish(askers));
    assert_true(is_right);
}

static void wrong_words_are_refused(void **state) {
    struct wire *wire = wire_connect(*state);
    wire_expect(wire, "HOTKEYS COUNT", "-ERR syntax error");
    wire_expect(wire, "HOTKEYS COUNT 5 6", "-ERR syntax error");
    wire_expect(wire, "HOTKEYS COUNT 0", "-ERR COUNT must be an integer, 1 at least");
    wire_expect(wire, "HOTKEYS COUNT -1", "-ERR COUNT must be an integer, 1 at least");
    wire_expect(wire, "HOTKEYS COUNT x", "-ERR COUNT must be an integer, 1 at least");
    wire_expect(wire, "HOTKEYS RESET now",
                "-ERR wrong number of arguments for 'hotkeys|reset' command");
    wire_expect(wire, "HOTKEYS START METRICS 1 NET",
                "-ERR unknown subcommand 'START'. Try HOTKEYS HELP.");
    wire_expect(wire, "HOTKEYS GET", "-ERR unknown subcommand 'GET'. Try HOTKEYS HELP.");
    wire_close(wire);
}

int main(void) {
    test_server_require();
    const struct CMUnitTest tests[] = {
        TEST_WITH_SERVER(a_hot_key_among_many_cold_ones_is_first, OPTIONS),
        TEST_WITH_SERVER(every_key_of_a_request_is_noted, OPTIONS),
        TEST_WITH_SERVER(keys_show_their_database_and_writes, OPTIONS),
        TEST_WITH_SERVER(a_reset_forgets, OPTIONS),
        TEST_WITH_SERVER(nothing_is_noted_while_it_is_off, OPTIONS_OFF),
        TEST_WITH_SERVER(asking_under_load_disturbs_nobody, OPTIONS),
        TEST_WITH_SERVER(wrong_words_are_refused, OPTIONS),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
