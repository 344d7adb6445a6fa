/* The tools everybody has: redis-cli and redis-benchmark, as they come, against our server. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/program.h"
#include "tests/support/server.h"
#include "tests/support/wire.h"

enum { COMMAND_BYTES_MAX = 2048 };

/* A shell command line in which $cli and $benchmark are the tools, connected to the server; $limit: 30 seconds. */
static void write_command(const struct test_server *server, const char *line,
                          char command[COMMAND_BYTES_MAX]) {
    snprintf(command, COMMAND_BYTES_MAX,
             "cli='redis-cli -p %d'; benchmark='redis-benchmark -p %d'; limit='timeout 30'; "
             "{ %s; } 2>&1 </dev/null",
             server->port, server->port, line);
}

static void expect_output(const struct test_server *server, const char *line,
                          const char *expected) {
    char command[COMMAND_BYTES_MAX];
    int status;
    write_command(server, line, command);
    char *output = program_run(command, &status);
    if (status != 0 || strcmp(output, expected) != 0) {
        fail_msg("%s\nexpected: %s\ngot (exit status %d): %s", line, expected, status, output);
    }
    free(output);
}

static void expect_in_output(const struct test_server *server, const char *line,
                             const char *expected) {
    char command[COMMAND_BYTES_MAX];
    write_command(server, line, command);
    program_expect(command, 0, expected);
}

/* ---- redis-cli ------------------------------------------------------------------------------- */

static void redis_cli_asks_one_thing(void **state) {
    expect_output(*state, "$limit $cli SET greeting 'hello, world'", "OK\n");
    expect_output(*state, "$limit $cli GET greeting", "hello, world\n");
    expect_output(*state, "$limit $cli --no-raw GET missing", "(nil)\n");
    expect_output(*state, "$limit $cli --no-raw MGET greeting missing",
                  "1) \"hello, world\"\n2) (nil)\n");
    expect_output(*state, "$limit $cli -n 3 DBSIZE", "0\n");
    expect_output(*state, "printf piped | $limit $cli -x SET from-stdin", "OK\n");
    expect_output(*state, "$limit $cli -r 3 INCR counter", "1\n2\n3\n");
    expect_output(*state, "printf 'SET a 1\\nGET a\\n' | $limit $cli", "OK\n1\n");
}

static void redis_cli_speaks_resp3(void **state) {
    expect_output(*state, "$limit $cli -3 PING", "PONG\n");
    expect_output(*state, "$limit $cli -3 --no-raw GET missing", "(nil)\n");
    expect_output(*state, "$limit $cli -3 --no-raw CONFIG GET databases",
                  "1# \"databases\" => \"16\"\n");
}

static void redis_cli_reports_errors(void **state) {
    expect_in_output(*state, "$limit $cli FOO bar", "ERR unknown command 'FOO'");
    expect_in_output(*state, "! $limit $cli -e INCRBY counter x", "ERR value is not an integer");
}

static void redis_cli_loads_by_pipe_and_scans(void **state) {
    expect_in_output(*state, "seq 1 10000 | sed 's/.*/SET pipe:& value&\\r/' | $limit $cli --pipe",
                     "errors: 0, replies: 10000");
    expect_output(*state, "$limit $cli DBSIZE", "10000\n");
    expect_output(*state, "$limit $cli --scan | sort -u | wc -l", "10000\n");
    expect_output(*state, "$limit $cli --scan --pattern 'pipe:999?' | wc -l", "10\n");
}

static void redis_cli_finds_big_keys(void **state) {
    struct wire *wire = wire_connect(*state);
    wire_expect(wire, "SET small 1", "+OK");
    wire_expect(wire, "SETRANGE biggest 99999 x", ":100000");
    wire_close(wire);
    expect_in_output(*state, "$limit $cli --bigkeys",
                     "Biggest string found '\"biggest\"' has 100000 bytes");
    expect_in_output(*state, "$limit $cli --memkeys", "Biggest string found '\"biggest\"' has");
}

static void redis_cli_finds_hot_keys(void **state) {
    struct wire *wire = wire_connect(*state);
    wire_expect(wire, "CONFIG SET maxmemory-policy allkeys-lfu", "+OK");
    wire_expect(wire, "SET hot 1", "+OK");
    for (int i = 0; i < 100; i++) {
        wire_expect(wire, "GET hot", "\"1\"");
    }
    wire_close(wire);
    expect_in_output(*state, "$limit $cli --hotkeys", "keyname: \"hot\"");
}

static void redis_cli_watches_the_server(void **state) {
    expect_in_output(*state, "$limit stdbuf -oL $cli -i 0.05 --stat | head -n 4", "requests");
    expect_in_output(
        *state,
        "$limit $cli --raw --latency -i 1 | awk 'NF == 4 && $4 > 10 { print \"measured\" }'",
        "measured");
    expect_in_output(*state, "$limit $cli INFO server", "redis_version:");
    expect_in_output(*state,
                     "($limit stdbuf -oL $cli MONITOR | head -n 2) & "
                     "while kill -0 $! && $cli ECHO hello; do :; done; wait",
                     "\"ECHO\" \"hello\"");
}

/* ---- redis-benchmark ------------------------------------------------------------------------- */

#define LOAD "-n 10000 -r 1000 -P 16 -c 20"

static void redis_benchmark_runs_its_tests(void **state) {
    static const char *const tests[] = {"ping_inline", "ping_mbulk", "set", "get", "incr", "mset"};
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
        char line[256];
        snprintf(line, sizeof line, "$limit $benchmark -t %s " LOAD " -q", tests[i]);
        expect_in_output(*state, line, "requests per second");
    }
    expect_in_output(*state, "$limit $cli EXISTS mykey", "0");
}

static void redis_benchmark_runs_with_threads_and_resp3(void **state) {
    expect_in_output(*state, "$limit $benchmark -t set,get --threads 2 " LOAD " -q", "GET: ");
    expect_in_output(*state, "$limit $benchmark -3 -t get " LOAD " -q", "GET: ");
    expect_in_output(*state, "$limit $benchmark -t set -d 20000 -n 2000 -c 10 --csv", "\"SET\",");
    expect_in_output(*state, "$limit $benchmark " LOAD " -q SET key:__rand_int__ value XX",
                     "requests per second");
}

static void redis_benchmark_counts_every_command(void **state) {
    struct wire *wire = wire_connect(*state);
    expect_in_output(*state, "$limit $benchmark -n 20000 -P 16 -c 20 --threads 2 -q INCR total",
                     "requests per second");
    char *total = wire_ask(wire, "GET total");
    /* It may send a few more than it was asked to: whole pipelines of all its clients. */
    long count = strtol(total + 1, NULL, 10);
    assert_in_range(count, 20000, 20000 + 16 * 20);
    free(total);
    wire_close(wire);
}

static bool tools_are_installed(void) {
    return system("command -v redis-cli redis-benchmark >/dev/null") == 0;
}

int main(void) {
    test_server_require();
    if (!tools_are_installed()) {
        fprintf(stderr, "Skipped: redis-cli and redis-benchmark are not installed\n");
        return TEST_SKIPPED;
    }
    const struct CMUnitTest tests[] = {
        TEST_WITH_SERVER(redis_cli_asks_one_thing, NULL),
        TEST_WITH_SERVER(redis_cli_speaks_resp3, NULL),
        TEST_WITH_SERVER(redis_cli_reports_errors, NULL),
        TEST_WITH_SERVER(redis_cli_loads_by_pipe_and_scans, NULL),
        TEST_WITH_SERVER(redis_cli_finds_big_keys, NULL),
        TEST_WITH_SERVER(redis_cli_finds_hot_keys, NULL),
        TEST_WITH_SERVER(redis_cli_watches_the_server, NULL),
        TEST_WITH_SERVER(redis_benchmark_runs_its_tests, NULL),
        TEST_WITH_SERVER(redis_benchmark_runs_with_threads_and_resp3, NULL),
        TEST_WITH_SERVER(redis_benchmark_counts_every_command, NULL),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
