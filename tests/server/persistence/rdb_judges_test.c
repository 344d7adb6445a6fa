/* Redis judges our files, and writes files for us to read: redis-check-rdb and redis-server from the
 * distribution. Where they aren't installed this program is skipped. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/persistence/rdb_format.h"
#include "tests/support/client.h"
#include "tests/support/dump.h"
#include "tests/support/program.h"
#include "tests/support/server.h"

enum { TEXT_BYTES = 3000, NOISE_BYTES = 70000 };
static const int64_t FAR_AWAY_MS = INT64_C(4102444800123); /* in 2100 */

static char text[TEXT_BYTES + 1], noise[NOISE_BYTES];

static int fill_texts(void **state) {
    (void)state;
    for (size_t i = 0; i < TEXT_BYTES; i++) {
        text[i] = "sherd "[i % 6];
    }
    for (size_t i = 0; i < NOISE_BYTES; i++) {
        noise[i] = (char)(i * i * 2654435761u >> 13);
    }
    return 0;
}

/* What both sides are asked to keep. */
struct pair {
    int database;
    const char *key;
    struct bytes value;
    bool has_deadline;
};

static const struct pair pairs[] = {
    {0, "plain", {"value", 5}, false},
    {0, "empty", {"", 0}, false},
    {0, "int8", {"-128", 4}, true},
    {0, "int16", {"32767", 5}, false},
    {0, "int32", {"-2147483648", 11}, false},
    {0, "int64", {"9223372036854775807", 19}, false},
    {0, "12345", {"a number as a key", 17}, false},
    {1, "compressed", {text, TEXT_BYTES}, true},
    {1, "noise", {noise, NOISE_BYTES}, false},
    {9, "binary", {"\0\xff\r\n\0", 5}, true},
};
enum { PAIRS = sizeof pairs / sizeof *pairs };

/* ---- Servers and folders --------------------------------------------------------------------- */

/* A reference with this folder, which it reads the file of. */
static struct test_server *start_reference(const char *folder) {
    const char *const options[] = {"--dir", folder, "--rdbcompression", "yes", NULL};
    setenv("SHERD_TEST_SERVER", "redis-server", 1);
    struct test_server *server = test_server_start(options);
    unsetenv("SHERD_TEST_SERVER");
    return server;
}

static int make_folder(void **state) {
    char *folder = strdup("/tmp/sherd-rdb-XXXXXX");
    assert_non_null(folder);
    assert_non_null(mkdtemp(folder));
    *state = folder;
    return 0;
}

static int remove_folder(void **state) {
    char command[64];
    snprintf(command, sizeof command, "rm -r '%s'", (char *)*state);
    assert_int_equal(system(command), 0);
    free(*state);
    return 0;
}

static void path_of(const char *folder, char path[64]) {
    snprintf(path, 64, "%s/dump.rdb", folder);
}

/* ---- Ours, judged ---------------------------------------------------------------------------- */

static void write_ours(const char *folder) {
    char path[64];
    path_of(folder, path);
    struct rdb_writer writer;
    dump_start(&writer, path, true);
    rdb_write_fact(&writer, "redis-ver", BYTES("7.4.0"));
    rdb_write_fact(&writer, "redis-bits", BYTES("64"));
    rdb_write_database(&writer, 0, 7, 1);
    for (size_t i = 0; i < PAIRS; i++) {
        /* Back and forth between databases, as a snapshot may go. */
        rdb_write_selection(&writer, (uint32_t)pairs[i].database);
        rdb_write_key(&writer, bytes_of_text(pairs[i].key), pairs[i].value,
                      pairs[i].has_deadline ? FAR_AWAY_MS : RDB_NO_DEADLINE);
        rdb_write_selection(&writer, 5);
    }
    dump_finish(&writer);
}

static void redis_check_rdb_finds_our_file_sound(void **state) {
    char command[128];
    write_ours(*state);
    snprintf(command, sizeof command, "redis-check-rdb %s/dump.rdb", (char *)*state);
    program_expect(command, 0, "Checksum OK");
}

static void redis_loads_what_we_wrote(void **state) {
    write_ours(*state);
    struct test_server *server = start_reference(*state);
    redisContext *client = hiredis_expect_open(server);
    for (size_t i = 0; i < PAIRS; i++) {
        hiredis_expect_status(client, "OK", "SELECT %d", pairs[i].database);
        redisReply *reply = redisCommand(client, "GET %s", pairs[i].key);
        assert_non_null(reply);
        assert_int_equal(reply->type, REDIS_REPLY_STRING);
        assert_int_equal(reply->len, pairs[i].value.size);
        assert_memory_equal(reply->str, pairs[i].value.data, pairs[i].value.size);
        freeReplyObject(reply);
        hiredis_expect_integer(client, pairs[i].has_deadline ? FAR_AWAY_MS : -1, "PEXPIRETIME %s",
                               pairs[i].key);
    }
    hiredis_expect_status(client, "OK", "SELECT 0");
    hiredis_expect_integer(client, 7, "DBSIZE");
    redisFree(client);
    test_server_stop(server);
}

/* ---- Redis's, read --------------------------------------------------------------------------- */

static const struct pair *find_pair(const struct rdb_item *item, uint64_t database) {
    for (size_t i = 0; i < PAIRS; i++) {
        if ((uint64_t)pairs[i].database != database) continue;
        if (dump_string_is(&item->key, bytes_of_text(pairs[i].key))) return &pairs[i];
    }
    return NULL;
}

/* What a file of Redis's holds: how many of our pairs, and which types that we lack. */
struct found {
    size_t pairs, strangers, compressed;
    char types[512];
};

static void look_at(void *context, const struct rdb_item *item, uint64_t database) {
    struct found *found = context;
    if (item->kind == RDB_ITEM_STRANGER) {
        found->strangers++;
        strncat(found->types, item->type, sizeof found->types - strlen(found->types) - 2);
        strcat(found->types, ";");
    }
    if (item->kind != RDB_ITEM_KEY) return;
    const struct pair *pair = find_pair(item, database);
    assert_non_null(pair);
    assert_true(dump_string_is(&item->value, pair->value));
    assert_int_equal(item->deadline_ms, pair->has_deadline ? FAR_AWAY_MS : RDB_NO_DEADLINE);
    found->compressed += item->value.form == RDB_COMPRESSED;
    found->pairs++;
}

static struct found read_theirs(const char *folder) {
    struct found found = {0};
    char path[64];
    path_of(folder, path);
    assert_in_range(dump_visit(path, look_at, &found), RDB_VERSION_WRITTEN, RDB_VERSION_READ_MAX);
    return found;
}

static void we_read_what_redis_wrote(void **state) {
    struct test_server *server = start_reference(*state);
    redisContext *client = hiredis_expect_open(server);
    for (size_t i = 0; i < PAIRS; i++) {
        hiredis_expect_status(client, "OK", "SELECT %d", pairs[i].database);
        hiredis_expect_status(client, "OK", "SET %s %b", pairs[i].key, pairs[i].value.data,
                              pairs[i].value.size);
        if (!pairs[i].has_deadline) continue;
        hiredis_expect_integer(client, 1, "PEXPIREAT %s %lld", pairs[i].key,
                               (long long)FAR_AWAY_MS);
    }
    hiredis_expect_status(client, "OK", "SAVE");
    redisFree(client);
    test_server_stop(server);
    struct found found = read_theirs(*state);
    assert_int_equal(found.pairs, PAIRS);
    assert_int_equal(found.strangers, 0);
    assert_true(found.compressed >= 1);
}

static void we_find_our_way_past_every_type_of_redis(void **state) {
    static const char *const commands[] = {
        "RPUSH list a b c",
        "SADD set a b c",
        "SADD numbers 1 2 3",
        "ZADD sorted 1.5 a 2 b",
        "HSET hash f v g w",
        "XADD stream 1-1 f v",
        "XADD stream 2-1 f v",
        "XGROUP CREATE stream g 0",
        "XREADGROUP GROUP g c COUNT 1 STREAMS stream >",
        "SET plain value",
    };
    struct test_server *server = start_reference(*state);
    redisContext *client = hiredis_expect_open(server);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        redisReply *reply = redisCommand(client, commands[i]);
        assert_non_null(reply);
        assert_int_not_equal(reply->type, REDIS_REPLY_ERROR);
        freeReplyObject(reply);
    }
    /* Too many parts for the short forms. */
    for (int i = 0; i < 1000; i++) {
        freeReplyObject(redisCommand(client, "HSET long-hash field-%d %b", i, text, (size_t)100));
        freeReplyObject(redisCommand(client, "SADD long-set member-%d", i));
        freeReplyObject(redisCommand(client, "ZADD long-sorted %d.25 member-%d", i, i));
        freeReplyObject(redisCommand(client, "RPUSH long-list %b", text, (size_t)100));
    }
    hiredis_expect_status(client, "OK", "SAVE");
    redisFree(client);
    test_server_stop(server);
    struct found found = read_theirs(*state);
    assert_int_equal(found.pairs, 1);
    assert_int_equal(found.strangers, 10);
    assert_non_null(strstr(found.types, "stream;"));
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void) {
    if (system("command -v redis-server redis-check-rdb >/dev/null") != 0) return TEST_SKIPPED;
    const struct CMUnitTest tests[] = {
        TEST(redis_check_rdb_finds_our_file_sound),
        TEST(redis_loads_what_we_wrote),
        TEST(we_read_what_redis_wrote),
        TEST(we_find_our_way_past_every_type_of_redis),
    };
    return cmocka_run_group_tests(tests, fill_texts, NULL);
}
