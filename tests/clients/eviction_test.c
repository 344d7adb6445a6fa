/* The memory limit as clients meet it: what goes, what stays, what is refused, and how much the process takes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/support/client.h"
#include "tests/support/crowd.h"
#include "tests/support/server.h"
#include "tests/support/wire.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { IS_SANITIZED = true };
#else
enum { IS_SANITIZED = false };
#endif

enum {
    LIMIT = 12 * 1024 * 1024, /* as in `limited` */
    /* So many keys with values of so many bytes are about twice the limit. Sanitizers take fewer and larger ones. */
    KEYS = IS_SANITIZED ? 40000 : 200000,
    VALUE_BYTES = IS_SANITIZED ? 512 : 64,
    PIPELINE = 200,
    VALUE_MAX = 16 * 1024,
    WRITERS = 4,
};
#define OOM "-OOM command not allowed when used memory > 'maxmemory'."

static const char *const limited[] = {"--maxmemory", "12mb", NULL};
static const char *const with_64_mib[] = {"--maxmemory", "64mb", "--maxmemory-policy",
                                          "allkeys-lru", NULL};
static const char *const with_any_input[] = {"--maxmemory", "12mb", "--maxmemory-clients", "0",
                                             NULL};

struct load {
    const char *prefix;
    int keys;
    size_t size;
    bool expires; /* in 1000 seconds */
};

/* "SET prefix:number value", as bytes: hiredis's own formatting took half of a sanitized run's time. */
static size_t write_set(char *out, const struct load *load, int number) {
    char key[64], tail[32] = "";
    int key_size = snprintf(key, sizeof(key), "%s:%d", load->prefix, number);
    if (load->expires) snprintf(tail, sizeof(tail), "$2\r\nEX\r\n$4\r\n1000\r\n");
    size_t size = (size_t)sprintf(out, "*%d\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%zu\r\n",
                                  load->expires ? 5 : 3, key_size, key, load->size);
    memset(&out[size], 'v', load->size);
    size += load->size;
    return size + (size_t)sprintf(&out[size], "\r\n%s", tail);
}

/* Set the keys, a pipeline at a time; returns how many were refused. */
static int set_keys(redisContext *context, const struct load *load) {
    static char requests[PIPELINE * (VALUE_MAX + 256)];
    int refused = 0;
    for (int i = 0; i < load->keys; i += PIPELINE) {
        size_t size = 0;
        for (int j = i; j < i + PIPELINE; j++) {
            size += write_set(&requests[size], load, j);
        }
        redisAppendFormattedCommand(context, requests, size);
        for (int j = i; j < i + PIPELINE; j++) {
            redisReply *reply = NULL;
            assert_int_equal(redisGetReply(context, (void **)&reply), REDIS_OK);
            if (reply->type == REDIS_REPLY_ERROR) {
                assert_string_equal(reply->str, &OOM[1]);
                refused++;
            }
            freeReplyObject(reply);
        }
    }
    return refused;
}

static void use_policy(struct wire *wire, const char *policy) {
    char line[128];
    snprintf(line, sizeof(line), "CONFIG SET maxmemory-policy %s", policy);
    wire_expect(wire, line, "+OK");
}

/* What the limit is about: not the buffers of clients. */
static long long ask_used(struct wire *wire) {
    return wire_ask_field(wire, "INFO memory", "used_memory") -
           wire_ask_field(wire, "INFO memory", "mem_not_counted_for_evict");
}

static void expect_within_limit(struct wire *wire) {
    assert_in_range(ask_used(wire), 1, LIMIT + LIMIT / 20);
}

/* Ask until so much or less is in use, for ten seconds at most. */
static void await_used(struct wire *wire, long long most) {
    time_t begun = time(NULL);
    while (ask_used(wire) > most) {
        assert_true(time(NULL) - begun <= 10);
    }
}

static void every_policy_that_may_evict_all_keeps_the_limit(void **state) {
    static const char *const policies[] = {"allkeys-lru", "allkeys-lfu", "allkeys-random",
                                           "allkeys-adaptive"};
    redisContext *context = hiredis_expect_open(*state);
    struct wire *wire = wire_connect(*state);
    for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++) {
        use_policy(wire, policies[i]);
        long long before = wire_ask_field(wire, "INFO stats", "evicted_keys");
        struct load load = {policies[i], KEYS, VALUE_BYTES, false};
        assert_int_equal(set_keys(context, &load), 0);
        expect_within_limit(wire);
        long long evicted = wire_ask_field(wire, "INFO stats", "evicted_keys") - before;
        long long keys = wire_ask_integer(wire, "DBSIZE");
        assert_in_range(evicted, KEYS / 4, KEYS * 2);
        assert_in_range(keys, KEYS / 10, KEYS * 3 / 4);
    }
    wire_close(wire);
    redisFree(context);
}

static void every_policy_that_may_evict_the_volatile_spares_the_others(void **state) {
    static const char *const policies[] = {"volatile-lru", "volatile-lfu", "volatile-random",
                                           "volatile-ttl"};
    redisContext *context = hiredis_expect_open(*state);
    struct wire *wire = wire_connect(*state);
    for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++) {
        wire_expect(wire, "FLUSHALL", "+OK");
        use_policy(wire, policies[i]);
        struct load lasting = {"lasting", KEYS / 10, VALUE_BYTES, false};
        assert_int_equal(set_keys(context, &lasting), 0);
        struct load passing = {"passing", KEYS * 3 / 4, VALUE_BYTES, true};
        assert_int_equal(set_keys(context, &passing), 0);
        expect_within_limit(wire);
        for (int j = 0; j < lasting.keys; j += 97) {
            hiredis_expect_integer(context, 1, "EXISTS lasting:%d", j);
        }
    }
    wire_close(wire);
    redisFree(context);
}

static void with_nothing_to_evict_writes_are_refused_and_the_rest_goes_on(void **state) {
    static const char *const policies[] = {"noeviction", "volatile-lru", "volatile-ttl"};
    redisContext *context = hiredis_expect_open(*state);
    struct wire *wire = wire_connect(*state);
    for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++) {
        wire_expect(wire, "FLUSHALL", "+OK");
        use_policy(wire, policies[i]);
        long long before = wire_ask_field(wire, "INFO stats", "evicted_keys");
        struct load load = {"key", KEYS, VALUE_BYTES, false};
        assert_in_range(set_keys(context, &load), KEYS / 4, KEYS * 9 / 10);
        expect_within_limit(wire);
        assert_int_equal(wire_ask_field(wire, "INFO stats", "evicted_keys"), before);
        long long keys = wire_ask_integer(wire, "DBSIZE");
        assert_in_range(keys, KEYS / 10, KEYS * 3 / 4);
        assert_int_equal(wire_ask_integer(wire, "STRLEN key:0"), VALUE_BYTES);
        wire_expect(wire, "EXPIRE key:0 100000", ":1");
        wire_expect(wire, "PERSIST key:0", ":1");
        wire_expect(wire, "DEL key:0", ":1");
        assert_int_equal(wire_ask_integer(wire, "DBSIZE"), keys - 1);
    }
    wire_close(wire);
    redisFree(context);
}

static void a_refused_command_counts_as_rejected_and_does_nothing(void **state) {
    redisContext *context = hiredis_expect_open(*state);
    struct wire *wire = wire_connect(*state);
    use_policy(wire, "noeviction");
    struct load load = {"key", KEYS, VALUE_BYTES, false};
    set_keys(context, &load);
    wire_expect(wire, "CONFIG SET maxmemory 1mb", "+OK");
    wire_expect(wire, "CONFIG RESETSTAT", "+OK");
    wire_expect(wire, "SET new value", OOM);
    wire_expect(wire, "APPEND key:1 value", OOM);
    wire_expect(wire, "MSET a 1 b 2 c 3 d 4", OOM);
    wire_expect(wire, "INCR counter", OOM);
    wire_expect(wire, "EXISTS new counter a b c d", ":0");
    assert_int_equal(wire_ask_integer(wire, "STRLEN key:1"), VALUE_BYTES);
    wire_send_command(wire, "INFO commandstats");
    char *text = wire_read_reply(wire);
    assert_non_null(strstr(text, "cmdstat_set:calls=0,"));
    assert_non_null(strstr(text, "rejected_calls=1,failed_calls=0"));
    free(text);
    wire_expect(wire, "CONFIG SET maxmemory 0", "+OK");
    wire_expect(wire, "SET new value", "+OK");
    wire_close(wire);
    redisFree(context);
}

/* Every worker has had its shards give as much as others. */
static void expect_even_shards(struct wire *wire) {
    long long least = LLONG_MAX, most = 0;
    char *reply = wire_ask(wire, "SHARDS");
    for (const char *at = reply; (at = strstr(at, "\"keys\", :")) != NULL;) {
        at += sizeof("\"keys\", :") - 1;
        long long keys = strtoll(at, NULL, 10);
        if (keys < least) least = keys;
        if (keys > most) most = keys;
    }
    free(reply);
    assert_in_range(most, least, least * 2);
}

static void a_lowered_limit_is_reached_without_a_write(void **state) {
    redisContext *context = hiredis_expect_open(*state);
    struct wire *wire = wire_connect(*state);
    use_policy(wire, "allkeys-lru");
    wire_expect(wire, "CONFIG SET maxmemory 64mb", "+OK");
    struct load load = {"key", KEYS, VALUE_BYTES, false};
    assert_int_equal(set_keys(context, &load), 0);
    assert_int_equal(wire_ask_integer(wire, "DBSIZE"), KEYS);
    wire_expect(wire, "CONFIG SET maxmemory 12mb", "+OK");
    await_used(wire, LIMIT);
    assert_in_range(wire_ask_integer(wire, "DBSIZE"), KEYS / 4, KEYS * 3 / 4);
    expect_even_shards(wire);
    wire_close(wire);
    redisFree(context);
}

static void the_limit_holds_when_sizes_shift(void **state) {
    enum { SMALL = IS_SANITIZED ? 100000 : 200000 };
    static const struct load loads[] = {{"small", SMALL, 64, false}, {"large", 5000, 8192, false},
                                        {"small", SMALL, 64, false}, {"middle", 30000, 1000, false},
                                        {"odd", 20000, 3000, false}, {"large", 5000, 8192, false},
                                        {"small", SMALL, 64, false}};
    redisContext *context = hiredis_expect_open(*state);
    struct wire *wire = wire_connect(*state);
    use_policy(wire, "allkeys-adaptive");
    for (size_t i = 0; i < sizeof(loads) / sizeof(loads[0]); i++) {
        assert_int_equal(set_keys(context, &loads[i]), 0);
        expect_within_limit(wire);
    }
    wire_close(wire);
    redisFree(context);
}

/* The promise about the process, in megabytes: 1.05 times the limit, and what it takes at any limit. Sanitizers keep
 * freed memory, and a shadow of it. */
static void the_process_stays_within_its_limit_when_sizes_shift(void **state) {
    enum { LARGE_LIMIT = 64 * 1024 * 1024, BEYOND = 12 * 1024 * 1024, PART = 2000 };
    static const struct load loads[] = {
        {"large", 20000, 8192, false},
        {"small", 800000, 64, false},
        {"middle", 60000, 2048, false},
        {"small", 800000, 64, false},
    };
    if (IS_SANITIZED) skip();
    redisContext *context = hiredis_expect_open(*state);
    long peak = 0;
    for (size_t i = 0; i < sizeof(loads) / sizeof(loads[0]); i++) {
        for (int done = 0; done < loads[i].keys; done += PART) {
            char prefix[32];
            snprintf(prefix, sizeof(prefix), "%zu:%d", i, done);
            struct load part = loads[i];
            part.prefix = prefix;
            part.keys = PART;
            assert_int_equal(set_keys(context, &part), 0);
            long resident = test_server_resident_bytes(*state);
            if (resident > peak) peak = resident;
        }
    }
    print_message("%ld MiB at most\n", peak / (1024 * 1024));
    assert_in_range(peak, 1, LARGE_LIMIT + LARGE_LIMIT / 20 + BEYOND);
    redisFree(context);
}

/* For each of these ten thousand of those have to go: more than a write pays for before it runs. */
static void large_values_push_small_ones_out_within_the_limit(void **state) {
    enum { LARGE_LIMIT = 64 * 1024 * 1024, BEYOND = 16 * 1024 * 1024, LARGE = 1000 * 1000 };
    struct load small = {"small", 500000, 64, false};
    if (IS_SANITIZED) skip();
    char *value = calloc(1, LARGE);
    assert_non_null(value);
    redisContext *context = hiredis_expect_open(*state);
    assert_int_equal(set_keys(context, &small), 0);
    long long peak = 0;
    for (int i = 0; i < 100; i++) {
        hiredis_expect_status(context, "OK", "SET large:%d %b", i, value, (size_t)LARGE);
        long long used = test_server_resident_bytes(*state);
        if (used > peak) peak = used;
    }
    print_message("%lld MiB at most\n", peak / (1024 * 1024));
    assert_in_range(peak, 1, LARGE_LIMIT + LARGE_LIMIT / 20 + BEYOND);
    redisFree(context);
    free(value);
}

/* Writes, reads, deletes and overwrites by several at once. */
static bool mix(void *context, size_t index) {
    redisContext *client = hiredis_open(context);
    if (client == NULL) return false;
    static const char *const commands[] = {"SET k:%d %b", "GET k:%d",       "SET k:%d %b EX 1",
                                           "DEL k:%d",    "APPEND k:%d %b", "GET k:%d"};
    char value[3000] = {0};
    bool is_good = true;
    unsigned seed = (unsigned)index + 1;
    for (int i = 0; is_good && i < (IS_SANITIZED ? 150 : 300); i++) {
        for (int j = 0; j < PIPELINE; j++) {
            seed = seed * 1103515245 + 12345;
            unsigned kind = seed >> 16 & 7;
            int key = (int)(seed >> 8 & 0xffff);
            size_t size = 20 + (seed >> 20) % (i % 3 == 0 ? 3000 - 20 : 100);
            if (kind < 6) {
                redisAppendCommand(client, commands[kind], key, value, size);
            } else {
                redisAppendCommand(client, "SET k:%d %b", key, value, size);
            }
        }
        for (int j = 0; is_good && j < PIPELINE; j++) {
            is_good = hiredis_take_any(client);
        }
        if (index == 0 && i % 100 == 50)
            is_good = is_good && hiredis_ask_status(client, "OK", "FLUSHALL");
    }
    redisFree(client);
    return is_good;
}

static void many_clients_at_the_limit_do_no_harm(void **state) {
    struct wire *wire = wire_connect(*state);
    static const char *const policies[] = {"allkeys-adaptive", "allkeys-lfu"};
    for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++) {
        use_policy(wire, policies[i]);
        assert_true(crowd_run(WRITERS, mix, *state));
        expect_within_limit(wire);
    }
    wire_close(wire);
}

static void object_tells_what_the_policy_tracks(void **state) {
    struct wire *wire = wire_connect(*state);
    use_policy(wire, "allkeys-lru");
    wire_expect(wire, "SET key value", "+OK");
    wire_expect(wire, "OBJECT IDLETIME key", ":0");
    wire_expect(wire, "OBJECT FREQ key",
                "-ERR An LFU maxmemory policy is not selected, access frequency not tracked. "
                "Please note that when switching between policies at runtime LRU and LFU data will "
                "take some time to adjust.");
    use_policy(wire, "allkeys-lfu");
    wire_expect(wire, "SET other value", "+OK");
    wire_expect(wire, "OBJECT FREQ other", ":5");
    wire_expect(wire, "GET other", "\"value\"");
    wire_expect(wire, "OBJECT FREQ other", ":6");
    wire_expect(wire, "OBJECT FREQ absent", "$-1");
    wire_expect(wire, "OBJECT IDLETIME other",
                "-ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that "
                "when switching between policies at runtime LRU and LFU data will take some time "
                "to adjust.");
    wire_close(wire);
}

/* Also of commands that put no value: a session that only ever gets another deadline is used. */
static void whoever_looks_a_key_up_to_write_uses_it(void **state) {
    static const char *const commands[] = {
        "GETEX key",        "EXPIRE key 100",       "PERSIST key",     "SETNX key other",
        "SET key other NX", "SET key other",        "APPEND key x",    "COPY key twin",
        "GETSET key other", "MSETNX key a other b", "SETRANGE key 1 x"};
    struct wire *wire = wire_connect(*state);
    use_policy(wire, "allkeys-lfu");
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        wire_expect(wire, "FLUSHALL", "+OK");
        wire_expect(wire, "SET key 1", "+OK");
        wire_expect(wire, "OBJECT FREQ key", ":5");
        wire_send_command(wire, commands[i]);
        free(wire_read_reply(wire));
        wire_send_command(wire, "OBJECT FREQ key");
        char *count = wire_read_reply(wire);
        if (strcmp(count, ":6") != 0) fail_msg("%s: %s", commands[i], count);
        free(count);
    }
    wire_close(wire);
}

static void a_limit_below_what_is_needed_is_refused_where_it_would_cost_all_keys(void **state) {
    struct wire *wire = wire_connect(*state);
    use_policy(wire, "noeviction");
    wire_expect(wire, "CONFIG SET maxmemory 1", "+OK");
    wire_send_command(wire, "CONFIG SET maxmemory-policy allkeys-lru");
    char *text = wire_read_reply(wire);
    assert_non_null(strstr(text, "maxmemory 1 is less than"));
    free(text);
    wire_expect(wire, "CONFIG GET maxmemory-policy", "[\"maxmemory-policy\", \"noeviction\"]");
    wire_expect(wire, "CONFIG SET maxmemory 12mb maxmemory-policy allkeys-lru", "+OK");
    wire_send_command(wire, "CONFIG SET maxmemory 1");
    text = wire_read_reply(wire);
    assert_non_null(strstr(text, "maxmemory 1 is less than"));
    free(text);
    wire_expect(wire, "CONFIG GET maxmemory", "[\"maxmemory\", \"12582912\"]");
    wire_expect(wire, "CONFIG SET maxmemory 101%",
                "-ERR CONFIG SET failed (possibly related to argument 'maxmemory') - percentage "
                "argument must be less or equal to 100");
    wire_close(wire);
}

static void expect_no_room(redisContext *context, const char *format, const char *value,
                           size_t size) {
    redisReply *reply = redisCommand(context, format, value, size);
    assert_non_null(reply);
    assert_int_equal(reply->type, REDIS_REPLY_ERROR);
    assert_string_equal(reply->str, "OOM value is larger than 'maxmemory' has room for");
    freeReplyObject(reply);
}

static void a_value_larger_than_the_limit_is_refused_and_nothing_lost(void **state) {
    redisContext *context = hiredis_expect_open(*state);
    struct wire *wire = wire_connect(*state);
    use_policy(wire, "allkeys-lru");
    static char value[LIMIT + 1];
    struct load load = {"key", 1000, 64, false};
    assert_int_equal(set_keys(context, &load), 0);
    hiredis_expect_status(context, "OK", "SET huge old");
    static const char *const formats[] = {"SET huge %b", "SET huge %b GET", "GETSET huge %b",
                                          "MSET other 1 huge %b", "APPEND huge %b"};
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        expect_no_room(context, formats[i], value, sizeof value);
    }
    wire_expect(wire, "SETRANGE huge 400000000 x",
                "-OOM value is larger than 'maxmemory' has room for");
    wire_expect(wire, "GET huge", "\"old\"");
    hiredis_expect_integer(context, 1001, "DBSIZE");
    assert_int_equal(wire_ask_field(wire, "INFO stats", "evicted_keys"), 0);
    wire_close(wire);
    redisFree(context);
}

/* Ten of 30 MB, one after the other, each with a small one behind it. */
static bool push_out(void *server, size_t index) {
    enum { VALUES = 10, BYTES_EACH = 30000000 };
    redisContext *client = hiredis_open(server);
    bool is_good = client != NULL;
    for (int i = 0; is_good && i < VALUES; i++) {
        redisAppendCommand(client, "SETRANGE large:%d:%d %d x", (int)index, i, BYTES_EACH - 1);
        redisAppendCommand(client, "SET small:%d:%d x", (int)index, i);
        is_good = hiredis_take(client, REDIS_REPLY_INTEGER);
        is_good = is_good && hiredis_take(client, REDIS_REPLY_STATUS);
    }
    redisFree(client);
    return is_good;
}

/* What is freed in the background is as good as gone: nobody is refused, or evicted, for it. */
static void large_values_that_push_each_other_out_are_all_taken(void **state) {
    struct wire *wire = wire_connect(*state);
    use_policy(wire, "allkeys-lru");
    assert_true(crowd_run(WRITERS, push_out, *state));
    wire_close(wire);
}

/* Set a key until the reply to the command, which is dropped, begins to come. */
static void set_while(redisContext *context, struct wire *wire, const char *command) {
    struct pollfd answer = {.fd = wire_fd(wire), .events = POLLIN};
    wire_send_command(wire, command);
    while (poll(&answer, 1, 0) == 0) {
        for (int i = 0; i < PIPELINE; i++) {
            redisAppendCommand(context, "SET c value");
        }
        for (int i = 0; i < PIPELINE; i++) {
            assert_true(hiredis_take(context, REDIS_REPLY_STATUS));
        }
    }
    free(wire_read_reply(wire));
}

static const char *const half_empty[] = {"--maxmemory", "32mb", "--workers",          "2",
                                         "--shards",    "8",    "--maxmemory-policy", "allkeys-lru",
                                         NULL};

/* It takes memory only for some milliseconds, but the other worker looks at what is in use meanwhile. `a`, `b` and `c`
 * are in shards of their own. */
static void expect_to_cost_no_key(const struct test_server *server, const char *command) {
    enum { LONG_KEYS = 10000 };
    struct wire *wire = wire_connect(server);
    redisContext *context = hiredis_expect_open(server);
    for (int i = 0; i < LONG_KEYS; i++) {
        hiredis_expect_status(context, "OK", "SET %01500d value", i);
    }
    wire_expect(wire, "SETRANGE a 5999 x", ":6000");
    wire_expect(wire, "SETRANGE b 5999 x", ":6000");
    set_while(context, wire, command);
    assert_int_equal(wire_ask_field(wire, "INFO stats", "evicted_keys"), 0);
    redisFree(context);
    wire_close(wire);
}

static void the_table_of_lcs_costs_no_key(void **state) {
    expect_to_cost_no_key(*state, "LCS a b"); /* 144 MB */
}

static void the_names_of_keys_cost_no_key(void **state) {
    expect_to_cost_no_key(*state, "KEYS 0*"); /* 15 MB, in a block that was doubled */
}

int main(void) {
    test_server_require();
    const struct CMUnitTest tests[] = {
        TEST_WITH_SERVER(every_policy_that_may_evict_all_keeps_the_limit, limited),
        TEST_WITH_SERVER(every_policy_that_may_evict_the_volatile_spares_the_others, limited),
        TEST_WITH_SERVER(with_nothing_to_evict_writes_are_refused_and_the_rest_goes_on, limited),
        TEST_WITH_SERVER(a_refused_command_counts_as_rejected_and_does_nothing, limited),
        TEST_WITH_SERVER(a_lowered_limit_is_reached_without_a_write, limited),
        TEST_WITH_SERVER(the_limit_holds_when_sizes_shift, limited),
        TEST_WITH_SERVER(the_process_stays_within_its_limit_when_sizes_shift, with_64_mib),
        TEST_WITH_SERVER(large_values_push_small_ones_out_within_the_limit, with_64_mib),
        TEST_WITH_SERVER(many_clients_at_the_limit_do_no_harm, limited),
        TEST_WITH_SERVER(object_tells_what_the_policy_tracks, NULL),
        TEST_WITH_SERVER(whoever_looks_a_key_up_to_write_uses_it, NULL),
        TEST_WITH_SERVER(a_limit_below_what_is_needed_is_refused_where_it_would_cost_all_keys,
                         limited),
        TEST_WITH_SERVER(a_value_larger_than_the_limit_is_refused_and_nothing_lost, with_any_input),
        TEST_WITH_SERVER(large_values_that_push_each_other_out_are_all_taken, with_64_mib),
        TEST_WITH_SERVER(the_table_of_lcs_costs_no_key, half_empty),
        TEST_WITH_SERVER(the_names_of_keys_cost_no_key, half_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
