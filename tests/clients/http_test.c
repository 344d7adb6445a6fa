/* The HTTP port of a running server, beside its clients. */
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
#include "tests/support/crowd.h"
#include "tests/support/program.h"
#include "tests/support/web.h"
#include "tests/support/wire.h"

static struct test_server *start(int *port) {
    char text[16];
    *port = test_server_free_port();
    snprintf(text, sizeof text, "%d", *port);
    const char *const options[] = {"--metrics-port", text, "--workers", "2", NULL};
    return test_server_start(options);
}

static bool load(void *server, size_t index) {
    redisContext *client = hiredis_open(server);
    if (client == NULL) return false;
    bool is_right = true;
    for (int i = 0; i < 2000 && is_right; i++) {
        is_right = hiredis_ask_status(client, "OK", "SET key:%d:%d x", (int)index, i);
    }
    redisFree(client);
    return is_right;
}

static long long number_of(const char *body, const char *series) {
    const char *at = strstr(body, series);
    assert_non_null(at);
    return atoll(at + strlen(series));
}

static void metrics_tell_what_clients_did(void **state) {
    (void)state;
    int port;
    struct test_server *server = start(&port);
    struct wire *wire = wire_connect(server);
    wire_expect(wire, "SET a 1", "+OK");
    wire_expect(wire, "GET a", "\"1\"");
    wire_expect(wire, "GET b", "$-1");
    wire_expect(wire, "INCR", "-ERR wrong number of arguments for 'incr' command");
    struct web_answer answer = web_get(port, "/metrics");
    assert_int_equal(number_of(answer.body, "\nsherd_database_keys{db=\"0\"} "), 1);
    assert_int_equal(number_of(answer.body, "\nsherd_hits_total "), 1);
    assert_int_equal(number_of(answer.body, "\nsherd_misses_total{reason=\"unknown\"} "), 1);
    assert_int_equal(number_of(answer.body, "\nsherd_command_calls_total{command=\"get\"} "), 2);
    assert_int_equal(
        number_of(answer.body, "\nsherd_command_errors_total{command=\"incr\",kind=\"rejected\"} "),
        1);
    web_answer_release(&answer);
    wire_close(wire);
    test_server_stop(server);
}

/* Prometheus's own judge of format, names and help, where it is installed. */
static void promtool_finds_nothing_to_complain_of(void **state) {
    (void)state;
    int port;
    if (system("command -v promtool > /dev/null") != 0) {
        print_message("promtool is not installed: /metrics is not shown to it.\n");
        skip();
    }
    struct test_server *server = start(&port);
    struct wire *wire = wire_connect(server);
    wire_expect(wire, "SET a 1", "+OK");
    wire_expect(wire, "GET b", "$-1");
    wire_expect(wire, "INCR", "-ERR wrong number of arguments for 'incr' command");
    struct web_answer answer = web_get(port, "/metrics");
    char path[] = "/tmp/sherd-metrics-XXXXXX", command[128];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, answer.body, answer.body_size), (ssize_t)answer.body_size);
    close(fd);
    snprintf(command, sizeof command, "promtool check metrics < %s 2>&1", path);
    program_expect(command, 0, "");
    unlink(path);
    web_answer_release(&answer);
    wire_close(wire);
    test_server_stop(server);
}

/* The scraper is the main thread; a crowd writes meanwhile. */
static void scrapes_and_clients_do_not_disturb_each_other(void **state) {
    (void)state;
    int port;
    struct test_server *server = start(&port);
    struct crowd *crowd = crowd_start(4, load, server);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(web_status(port, "/metrics"), 200);
    }
    assert_true(crowd_finish(crowd));
    struct web_answer answer = web_get(port, "/metrics");
    assert_int_equal(number_of(answer.body, "\nsherd_command_calls_total{command=\"set\"} "), 8000);
    web_answer_release(&answer);
    test_server_stop(server);
}

static void a_port_in_use_ends_the_start_with_1(void **state) {
    (void)state;
    int port;
    struct test_server *server = start(&port);
    char command[256];
    snprintf(command, sizeof command,
             SHERD_BINARY " --port 0 --unixsocket %s.2 --metrics-port %d 2>&1", server->unix_socket,
             port);
    program_expect(command, 1, "Address already in use (try --metrics-port");
    test_server_stop(server);
}

int main(void) {
    test_server_require();
    if (!web_is_built_in()) return TEST_SKIPPED;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metrics_tell_what_clients_did),
        cmocka_unit_test(promtool_finds_nothing_to_complain_of),
        cmocka_unit_test(scrapes_and_clients_do_not_disturb_each_other),
        cmocka_unit_test(a_port_in_use_ends_the_start_with_1),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
