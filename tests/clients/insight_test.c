/* CONFIG WHY and WORKERS: where values come from, and where time goes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/client.h"
#include "tests/support/lease.h"
#include "tests/support/wire.h"

/* The value of a field of a map as RESP2 shows it; NULL when there is none. */
static const redisReply *field_of(const redisReply *map, const char *name) {
    for (size_t i = 0; i + 1 < map->elements; i += 2) {
        if (strcmp(map->element[i]->str, name) == 0) return map->element[i + 1];
    }
    return NULL;
}

static void expect_field(redisContext *client, const char *option, const char *field,
                         const char *beginning) {
    redisReply *reply = redisCommand(client, "CONFIG WHY %s", option);
    assert_non_null(reply);
    assert_int_equal(reply->type, REDIS_REPLY_ARRAY);
    const redisReply *value = field_of(reply, field);
    assert_non_null(value);
    if (beginning == NULL) {
        assert_int_equal(value->type, REDIS_REPLY_NIL);
    } else if (strncmp(value->str, beginning, strlen(beginning)) != 0) {
        fail_msg("%s of %s is %s, not %s", field, option, value->str, beginning);
    }
    freeReplyObject(reply);
}

static void a_value_tells_where_it_comes_from(void **state) {
    (void)state;
    char path[] = "/tmp/sherd-why-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    const char text[] = "# a comment\ntimeout 100\nmaxclients 50\n";
    assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
    close(fd);
    char from[64];
    snprintf(from, sizeof(from), "%s:2", path);
    const char *const options[] = {path, "--maxclients", "60", "--workers", "1", NULL};
    struct test_server *server = test_server_start(options);
    redisContext *client = hiredis_expect_open(server);
    expect_field(client, "timeout", "from", from);
    expect_field(client, "timeout", "value", "100");
    expect_field(client, "timeout", "default", "0");
    expect_field(client, "timeout", "at", NULL);
    expect_field(client, "MaxClients", "from", "--maxclients"); /* the later setting won */
    expect_field(client, "hz", "from", "default");
    expect_field(client, "hz", "value", "10");
    expect_field(client, "workers", "effect", "1");
    expect_field(client, "shards", "effect", "1");
    expect_field(client, "maxmemory", "effect", "no limit");
    expect_field(client, "maxmemory-samples", "effect", "5: 64 at most");
    hiredis_expect_status(client, "OK", "CONFIG SET maxmemory-samples 2147483647");
    expect_field(client, "maxmemory-samples", "value", "2147483647");
    expect_field(client, "maxmemory-samples", "effect", "64: 64 at most");
    hiredis_expect_status(client, "OK", "CONFIG SET hz 20 timeout 5");
    expect_field(client, "hz", "from", "CONFIG SET by 127.0.0.1:");
    expect_field(client, "timeout", "from", "CONFIG SET by 127.0.0.1:");
    redisReply *reply = redisCommand(client, "CONFIG WHY hz");
    assert_non_null(reply);
    assert_int_equal(field_of(reply, "at")->type, REDIS_REPLY_INTEGER);
    assert_true(field_of(reply, "at")->integer > 1700000000);
    assert_non_null(strstr(field_of(reply, "from")->str, ", user default"));
    freeReplyObject(reply);
    reply = redisCommand(client, "CONFIG SET hz 30 timeout x"); /* all or none: nothing is noted */
    assert_int_equal(reply->type, REDIS_REPLY_ERROR);
    freeReplyObject(reply);
    expect_field(client, "hz", "value", "20");
    redisFree(client);
    test_server_stop(server);
    unlink(path);
}

static void expect_list(redisContext *client, const char *word, const char *field,
                        const char *const *expected, size_t count) {
    redisReply *reply = redisCommand(client, "CONFIG WHY %s", word);
    assert_non_null(reply);
    const redisReply *list = field_of(reply, field);
    assert_non_null(list);
    assert_int_equal(list->elements, count);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(list->element[i]->str, expected[i]);
    }
    freeReplyObject(reply);
}

static void write_text(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void lines_that_are_no_options_tell_where_they_are(void **state) {
    (void)state;
    char folder[] = "/tmp/sherd-why-XXXXXX", path[64], more[64], text[256];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/a", folder);
    snprintf(more, sizeof more, "%s/b", folder);
    snprintf(text, sizeof text,
             "# users\nuser bob on >secret\nrename-command KEYS \"\"\ninclude %s\n", more);
    write_text(path, text);
    write_text(more, "USER eve on\n");
    const char *const options[] = {path, "--rename-command", "GET", "fetch", NULL};
    struct test_server *server = test_server_start(options);
    redisContext *client = hiredis_expect_open(server);
    char bob[80], eve[80], rename[80], include[80];
    snprintf(bob, sizeof bob, "%s:2", path);
    snprintf(rename, sizeof rename, "%s:3", path);
    snprintf(include, sizeof include, "%s:4", path);
    snprintf(eve, sizeof eve, "%s:1", more);
    expect_list(client, "user", "from", (const char *[]){bob, eve}, 2);
    expect_list(client, "Rename-Command", "from", (const char *[]){rename, "--rename-command"}, 2);
    expect_list(client, "include", "from", (const char *[]){include}, 1);
    expect_list(client, "include", "files", (const char *[]){more}, 1);
    redisReply *reply = redisCommand(client, "CONFIG WHY USER"); /* nothing of what they say */
    assert_int_equal(reply->elements, 4);
    assert_string_equal(field_of(reply, "name")->str, "user");
    freeReplyObject(reply);
    redisFree(client);
    test_server_stop(server);
    unlink(path);
    unlink(more);
    rmdir(folder);
}

static void wrong_words_are_refused(void **state) {
    redisContext *client = hiredis_expect_open(*state);
    redisReply *reply = redisCommand(client, "CONFIG WHY nothing");
    assert_string_equal(reply->str, "ERR Unknown option 'nothing'");
    freeReplyObject(reply);
    reply = redisCommand(client, "CONFIG WHY maxmemroy");
    assert_string_equal(reply->str, "ERR Unknown option 'maxmemroy' (did you mean 'maxmemory'?)");
    freeReplyObject(reply);
    reply = redisCommand(client, "CONFIG WHY rename-comand");
    assert_string_equal(reply->str,
                        "ERR Unknown option 'rename-comand' (did you mean 'rename-command'?)");
    freeReplyObject(reply);
    reply = redisCommand(client, "CONFIG WHY");
    assert_string_equal(reply->str, "ERR wrong number of arguments for 'config|why' command");
    freeReplyObject(reply);
    reply = redisCommand(client, "WORKERS now");
    assert_string_equal(reply->str, "ERR wrong number of arguments for 'workers' command");
    freeReplyObject(reply);
    redisFree(client);
}

/* ---- WORKERS --------------------------------------------------------------------------------- */

static const char *const TWO_WORKERS[] = {"--workers", "2", NULL};

static long long sum_of(const redisReply *workers, const char *field) {
    long long sum = 0;
    for (size_t i = 0; i < workers->elements; i++) {
        const redisReply *value = field_of(workers->element[i], field);
        assert_non_null(value);
        sum += value->integer;
    }
    return sum;
}

static double percent_of(const redisReply *worker) {
    const redisReply *parts = field_of(worker, "time_percent");
    assert_non_null(parts);
    assert_int_equal(parts->elements, 12);
    double sum = 0;
    for (size_t i = 1; i < parts->elements; i += 2) {
        double percent = atof(parts->element[i]->str);
        assert_true(percent >= 0);
        sum += percent;
    }
    return sum;
}

static void workers_tell_what_they_did(void **state) {
    enum { REQUESTS = 1000 };
    redisContext *clients[2];
    for (int c = 0; c < 2; c++) {
        clients[c] = hiredis_expect_open(*state);
    }
    for (int i = 0; i < REQUESTS; i++) {
        for (int c = 0; c < 2; c++) {
            hiredis_expect_status(clients[c], "OK", "SET key value");
        }
    }
    redisReply *reply = redisCommand(clients[0], "WORKERS");
    assert_non_null(reply);
    assert_int_equal(reply->elements, 2);
    assert_true(sum_of(reply, "clients") >= 2);
    assert_true(sum_of(reply, "commands") >= 2 * REQUESTS);
    assert_true(sum_of(reply, "batches") >= 2 * REQUESTS);
    assert_true(sum_of(reply, "turns") >= 2 * REQUESTS);
    assert_true(sum_of(reply, "received_bytes") >= 2 * REQUESTS * 33);
    assert_true(sum_of(reply, "sent_bytes") >= 2 * REQUESTS * 5 - 5);
    assert_int_equal(sum_of(reply, "worker"), 1);
    for (size_t i = 0; i < reply->elements; i++) {
        double sum = percent_of(reply->element[i]);
        assert_true(sum > 99 && sum < 101); /* both have turned often enough to be measured */
        assert_true(atof(field_of(reply->element[i], "commands_per_batch")->str) >= 0.9);
    }
    freeReplyObject(reply);
    for (int c = 0; c < 2; c++) {
        redisFree(clients[c]);
    }
}

/* ---- MEMORY USAGE ---------------------------------------------------------------------------- */

enum { KEYS_OF_A_SIZE = 2000 };

static void store_values(struct wire *wire, size_t size) {
    char key[32], *value = malloc(size);
    assert_non_null(value);
    memset(value, 'v', size);
    for (int i = 0; i < KEYS_OF_A_SIZE; i++) {
        snprintf(key, sizeof key, "%zu:%08d", size, i);
        const char *const arguments[] = {"SET", key, value};
        const size_t sizes[] = {3, strlen(key), size};
        wire_send_arguments(wire, arguments, sizes, 3);
        wire_expect_reply(wire, "+OK");
    }
    free(value);
}

static long long sum_usage(struct wire *wire, size_t size) {
    long long sum = 0;
    for (int i = 0; i < KEYS_OF_A_SIZE; i++) {
        char line[64];
        snprintf(line, sizeof line, "MEMORY USAGE %zu:%08d", size, i);
        sum += wire_ask_integer(wire, line);
    }
    return sum;
}

static void memory_usage_of_all_keys_is_what_memory_grew_by(void **state) {
    static const size_t sizes[] = {1, 8, 40, 100, 1000, 5000};
    enum { SIZES = sizeof sizes / sizeof sizes[0] };
    struct wire *wire = wire_connect(*state);
    for (size_t i = 0; i < SIZES; i++) { /* what is allocated once, is: buffers, statistics */
        store_values(wire, sizes[i]);
    }
    wire_expect(wire, "FLUSHALL SYNC", "+OK");
    long long before = wire_ask_field(wire, "INFO memory", "used_memory");
    for (size_t i = 0; i < SIZES; i++) {
        store_values(wire, sizes[i]);
    }
    long long grown = wire_ask_field(wire, "INFO memory", "used_memory") - before, told = 0;
    for (size_t i = 0; i < SIZES; i++) {
        told += sum_usage(wire, sizes[i]);
    }
    assert_in_range(told, grown - grown / 20, grown + grown / 20);
    wire_close(wire);
}

/* Values that are too large for slabs, too. */
static void memory_is_told_by_what_it_is_for(void **state) {
    enum { VALUES = 8, VALUE_BYTES = 1 << 20 };
    struct wire *wire = wire_connect(*state);
    long long startup = wire_ask_field(wire, "INFO memory", "used_memory_startup");
    long long overhead = wire_ask_field(wire, "INFO memory", "used_memory_overhead");
    long long dataset = wire_ask_field(wire, "INFO memory", "used_memory_dataset");
    char line[64];
    for (int i = 0; i < VALUES; i++) {
        snprintf(line, sizeof line, "SETRANGE large:%d %d x", i, VALUE_BYTES - 1);
        char *reply = wire_ask(wire, line);
        free(reply);
    }
    long long used = wire_ask_field(wire, "INFO memory", "used_memory");
    long long grown = wire_ask_field(wire, "INFO memory", "used_memory_dataset") - dataset;
    assert_in_range(grown, VALUES * VALUE_BYTES, 2 * VALUES * VALUE_BYTES);
    assert_in_range(startup, 1, used - grown);
    assert_in_range(wire_ask_field(wire, "INFO memory", "used_memory_overhead"), 1,
                    overhead + VALUE_BYTES);
    /* What COPY shares. */
    for (int i = 0; i < 4 * VALUES; i++) {
        snprintf(line, sizeof line, "COPY large:0 copy:%d", i);
        wire_expect(wire, line, ":1");
    }
    assert_in_range(wire_ask_field(wire, "INFO memory", "used_memory_overhead"), 0, overhead);
    wire_close(wire);
}

static void an_allocator_that_can_be_asked_is(void **state) {
    struct wire *wire = wire_connect(*state);
    char *text = wire_ask(wire, "INFO memory");
    bool is_there = strstr(text, "allocator_allocated:") != NULL;
    assert_int_equal(is_there, strstr(text, "mem_allocator:jemalloc") != NULL);
    free(text);
    if (is_there) {
        long long allocated = wire_ask_field(wire, "INFO memory", "allocator_allocated");
        long long active = wire_ask_field(wire, "INFO memory", "allocator_active");
        assert_in_range(allocated, 1, active);
        assert_in_range(wire_ask_field(wire, "INFO memory", "allocator_resident"), active,
                        INT64_MAX);
    }
    wire_close(wire);
}

static void expect_shards(const char *limit, const char *workers, const char *shards) {
    const char *const options[] = {"--maxmemory", limit,     "--workers", workers,
                                   "--lock-mode", "sharded", NULL};
    struct test_server *server = test_server_start(options);
    redisContext *client = hiredis_expect_open(server);
    expect_field(client, "shards", "effect", shards);
    redisFree(client);
    test_server_stop(server);
}

static void a_small_limit_is_cut_into_fewer_shards(void **state) {
    (void)state;
    expect_shards("0", "2", "32:");
    expect_shards("1gb", "2", "32:");
    expect_shards("32mb", "2", "16:");
    expect_shards("40mb", "2", "16:");
    expect_shards("12mb", "2", "8:");
    expect_shards("12mb", "3", "16:");
    expect_shards("60mb", "3", "16:");
    expect_shards("1gb", "3", "64:");
}

static void info_counts_the_leases_there_are(void **state) {
    struct wire *wire = wire_connect(*state);
    assert_int_equal(wire_ask_field(wire, "INFO sherd", "leases_open"), 0);
    long long first = lease_ask_token(wire, "GETLEASE first 60000");
    lease_ask_token(wire, "GETLEASE second 60000");
    wire_expect(wire, "SELECT 1", "+OK");
    lease_ask_token(wire, "GETLEASE second 60000");
    assert_int_equal(wire_ask_field(wire, "INFO sherd", "leases_open"), 3);
    wire_expect(wire, "CONFIG RESETSTAT", "+OK");
    wire_expect(wire, "SELECT 0", "+OK");
    lease_expect(wire, "SETLEASE first $ value", first, ":1");
    assert_int_equal(wire_ask_field(wire, "INFO sherd", "leases_open"), 2);
    wire_expect(wire, "FLUSHALL", "+OK");
    assert_int_equal(wire_ask_field(wire, "INFO sherd", "leases_open"), 0);
    wire_close(wire);
}

static void info_has_a_line_for_each_worker_and_shard(void **state) {
    struct wire *wire = wire_connect(*state);
    wire_expect(wire, "SET key value", "+OK");
    long long count = wire_ask_field(wire, "INFO sherd", "shards"), lines = 0;
    char *text = wire_ask(wire, "INFO shards");
    for (const char *at = text; (at = strstr(at, ",lock_longest_hold_by=")) != NULL; at++) {
        lines++;
    }
    assert_int_equal(lines, count);
    assert_non_null(strstr(text, ":keys=1,bytes="));
    free(text);
    text = wire_ask(wire, "INFO");
    assert_non_null(strstr(text, "worker0:clients="));
    assert_non_null(strstr(text, ",idle_percent="));
    assert_null(strstr(text, "shard0:")); /* there may be thousands */
    free(text);
    wire_close(wire);
}

int main(void) {
    test_server_require();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_tells_where_it_comes_from),
        cmocka_unit_test(lines_that_are_no_options_tell_where_they_are),
        cmocka_unit_test(a_small_limit_is_cut_into_fewer_shards),
        TEST_WITH_SERVER(memory_usage_of_all_keys_is_what_memory_grew_by, NULL),
        TEST_WITH_SERVER(wrong_words_are_refused, NULL),
        TEST_WITH_SERVER(workers_tell_what_they_did, TWO_WORKERS),
        TEST_WITH_SERVER(memory_is_told_by_what_it_is_for, NULL),
        TEST_WITH_SERVER(an_allocator_that_can_be_asked_is, NULL),
        TEST_WITH_SERVER(info_counts_the_leases_there_are, NULL),
        TEST_WITH_SERVER(info_has_a_line_for_each_worker_and_shard, NULL),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
