/* `sherd-bench steady` against a running server: each disturbance happens, ends, and is reported. How long
 * anything takes is not asked here: it is for a quiet machine. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/client.h"
#include "tests/support/program.h"
#include "tests/support/server.h"

/* Small numbers: two turns of slices of 20 ms. What it prints, standard error included; the caller frees it. */
static char *run(const struct test_server *server, const char *options, int *exit_status) {
    char command[1024];
    snprintf(command, sizeof(command),
             "exec timeout 100 " SHERD_BENCH_BINARY
             " steady --port %d --json --turns 2 --slice-ms 20 --rate 2000 --connections 2"
             " --keys 5000 --limit-bytes 33554432 --huge-bytes 20000000 --connects 100 %s 2>&1",
             server->port, options);
    return program_run(command, exit_status);
}

static void expect_both_sides(const struct test_server *server, const char *name,
                              const char *slices_without) {
    char options[64], without[128], with[128];
    int status;
    snprintf(options, sizeof(options), "--only %s", name);
    snprintf(without, sizeof(without),
             "{\"disturbance\":\"%s\",\"side\":\"without\",\"slices\":%s,", name, slices_without);
    snprintf(with, sizeof(with), "{\"disturbance\":\"%s\",\"side\":\"with\",\"slices\":", name);
    char *output = run(server, options, &status);
    if (status != 0 || strstr(output, without) != output || strstr(output, with) == NULL)
        fail_msg("%s: exit status %d: %s", options, status, output);
    free(output);
}

static void each_disturbance_is_measured_in_turn_with_its_absence(void **state) {
    static const char *const names[][2] = {
        {"nothing", "2"},     {"limit", "2"},   {"lower", "4"},  {"del", "2"},
        {"unlink", "2"},      {"replace", "2"}, {"expire", "4"}, {"save", "6"},
        {"save-writes", "6"}, {"busy", "2"},    {"storm", "2"},
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        expect_both_sides(*state, names[i][0], names[i][1]);
    }
}

static void the_server_is_left_empty_and_without_a_limit(void **state) {
    const struct test_server *server = *state;
    expect_both_sides(server, "lower", "4");
    redisContext *client = hiredis_expect_open(server);
    hiredis_expect_integer(client, 1000, "DBSIZE"); /* what is probed */
    redisReply *reply = redisCommand(client, "CONFIG GET maxmemory");
    assert_non_null(reply);
    assert_string_equal(reply->element[1]->str, "0");
    freeReplyObject(reply);
    redisFree(client);
}

static void what_it_does_not_know_is_said(void **state) {
    int status;
    char *output = run(*state, "--only weather", &status);
    assert_int_equal(status, EXIT_FAILURE);
    assert_non_null(strstr(output, "no disturbance 'weather'"));
    free(output);
}

/* A server that refuses to write: errors are no measurement. */
static void errors_in_reply_end_it(void **state) {
    int status;
    char *output = run(*state, "--only limit --policy noeviction", &status);
    assert_int_equal(status, EXIT_FAILURE);
    assert_non_null(strstr(output, "OOM command not allowed"));
    free(output);
}

int main(void) {
    test_server_require();
    const struct CMUnitTest tests[] = {
        TEST_WITH_SERVER(each_disturbance_is_measured_in_turn_with_its_absence, NULL),
        TEST_WITH_SERVER(the_server_is_left_empty_and_without_a_limit, NULL),
        TEST_WITH_SERVER(what_it_does_not_know_is_said, NULL),
        TEST_WITH_SERVER(errors_in_reply_end_it, NULL),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
