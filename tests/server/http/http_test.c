/* The HTTP port of a server that runs nothing: who is answered, and what. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/gate.h"
#include "server/http/callers.h"
#include "server/http/http.h"
#include "tests/support/idle_server.h"
#include "tests/support/server.h"
#include "tests/support/web.h"
#include "tests/support/wire.h"

enum { ATTEMPTS = 5 /* each with another port: somebody may take ours */ };

struct fixture {
    struct server *server;
    struct http *http;
    int port;
};

static enum status start_at(struct fixture *fixture, int port, char *error) {
    fixture->port = port;
    atomic_store(&fixture->server->config->metrics_port, port);
    return http_start(fixture->server, &fixture->http, error);
}

static int start(void **state) {
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    fixture->server = idle_server_create();
    char error[HTTP_ERROR_MAX];
    enum status status = STATUS_REFUSED;
    for (int i = 0; i < ATTEMPTS && status == STATUS_REFUSED; i++) {
        status = start_at(fixture, test_server_free_port(), error);
    }
    if (status == STATUS_UNSUPPORTED) exit(TEST_SKIPPED);
    assert_int_equal(status, STATUS_OK);
    *state = fixture;
    return 0;
}

static int stop(void **state) {
    struct fixture *fixture = *state;
    http_stop(fixture->http);
    idle_server_destroy(fixture->server);
    free(fixture);
    return 0;
}

static void expect_status(const struct fixture *fixture, const char *request, int status) {
    struct web_answer answer = web_ask(fixture->port, request);
    if (answer.status != status) fail_msg("%s: %d, not %d", request, answer.status, status);
    web_answer_release(&answer);
}

/* ---- Starting -------------------------------------------------------------------------------- */

static void port_0_starts_nothing(void **state) {
    struct fixture *fixture = *state;
    struct http *none = fixture->http;
    char error[HTTP_ERROR_MAX];
    atomic_store(&fixture->server->config->metrics_port, 0);
    assert_int_equal(http_start(fixture->server, &none, error), STATUS_OK);
    assert_null(none);
    http_stop(none);
}

static void a_port_in_use_is_an_error_that_names_the_option(void **state) {
    struct fixture *fixture = *state;
    struct http *second;
    char error[HTTP_ERROR_MAX], expected[HTTP_ERROR_MAX];
    assert_int_equal(http_start(fixture->server, &second, error), STATUS_REFUSED);
    assert_null(second);
    snprintf(expected, sizeof expected,
             "HTTP for metrics: Could not listen on 127.0.0.1:%d: Address already in use "
             "(try --metrics-port or --metrics-bind)",
             fixture->port);
    assert_string_equal(error, expected);
}

static void an_address_that_is_not_ours_is_an_error(void **state) {
    struct fixture *fixture = *state;
    struct http *second;
    char error[HTTP_ERROR_MAX];
    snprintf(fixture->server->config->metrics_bind, CONFIG_TEXT_MAX, "192.0.2.1");
    assert_int_not_equal(http_start(fixture->server, &second, error), STATUS_OK);
    assert_null(second);
    assert_non_null(strstr(error, "192.0.2.1"));
    assert_non_null(strstr(error, "--metrics-bind"));
}

/* ---- Requests -------------------------------------------------------------------------------- */

static void health_and_metrics_are_served(void **state) {
    const struct fixture *fixture = *state;
    assert_int_equal(web_status(fixture->port, "/healthz"), 200);
    struct web_answer answer = web_get(fixture->port, "/metrics");
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.head, "Content-Type: text/plain; version=0.0.4"));
    assert_non_null(strstr(answer.body, "\nsherd_workers 2\n"));
    web_answer_release(&answer);
}

static void the_console_is_served_under_a_policy(void **state) {
    const struct fixture *fixture = *state;
    struct web_answer answer = web_get(fixture->port, "/");
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.head, "Content-Type: text/html; charset=utf-8\r\n"));
    assert_non_null(
        strstr(answer.head, "Content-Security-Policy: default-src 'none'; script-src 'sha256-"));
    assert_int_equal(strncmp(answer.body, "<!doctype html>", 15), 0);
    web_answer_release(&answer);
    answer = web_get(fixture->port, "/console.json");
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.head, "Content-Type: application/json\r\n"));
    assert_non_null(strstr(answer.body, "\"shard_count\":4,"));
    web_answer_release(&answer);
}

static void head_has_no_body(void **state) {
    const struct fixture *fixture = *state;
    struct web_answer answer =
        web_ask(fixture->port, "HEAD /healthz HTTP/1.1\r\nHost: localhost\r\n");
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.head, "Content-Length: 3\r\n"));
    assert_int_equal(answer.body_size, 0);
    web_answer_release(&answer);
}

static void unknown_paths_are_not_found(void **state) {
    const struct fixture *fixture = *state;
    assert_int_equal(web_status(fixture->port, "/metrics/"), 404);
    assert_int_equal(web_status(fixture->port, "/../etc/passwd"), 404);
}

static void other_methods_are_not_allowed(void **state) {
    const struct fixture *fixture = *state;
    static const char *const methods[] = {"POST", "PUT", "DELETE", "OPTIONS", "get", "NONSENSE"};
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        char request[128];
        snprintf(request, sizeof request, "%s /metrics HTTP/1.1\r\nHost: localhost\r\n",
                 methods[i]);
        struct web_answer answer = web_ask(fixture->port, request);
        if (answer.status != 405) fail_msg("%s: %d", methods[i], answer.status);
        assert_non_null(strstr(answer.head, "Allow: GET, HEAD\r\n"));
        web_answer_release(&answer);
    }
}

static void another_sites_name_is_forbidden_on_loopback(void **state) {
    const struct fixture *fixture = *state;
    expect_status(fixture, "GET /metrics HTTP/1.1\r\nHost: evil.example\r\n", 403);
    expect_status(fixture, "GET /metrics HTTP/1.1\r\nHost: localhost.evil.example:80\r\n", 403);
    expect_status(fixture, "GET /metrics HTTP/1.1\r\nHost: LOCALHOST:9121\r\n", 200);
    expect_status(fixture, "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:9121\r\n", 200);
    expect_status(fixture, "GET /metrics HTTP/1.1\r\nHost: [::1]:9121\r\n", 200);
}

static void garbage_ends_its_connection_only(void **state) {
    const struct fixture *fixture = *state;
    struct wire *wire = wire_try_connect("127.0.0.1", fixture->port);
    assert_non_null(wire);
    wire_send_text(wire, "*1\r\n$4\r\nPING\r\n\r\n\r\n");
    wire_drain(wire); /* until it is closed */
    wire_close(wire);
    assert_int_equal(web_status(fixture->port, "/healthz"), 200);
}

static void a_head_without_end_is_refused(void **state) {
    const struct fixture *fixture = *state;
    struct wire *wire = wire_try_connect("127.0.0.1", fixture->port);
    assert_non_null(wire);
    wire_send_text(wire, "GET /metrics HTTP/1.1\r\n");
    char line[1024];
    memset(line, 'x', sizeof line);
    memcpy(line + sizeof line - 3, "\r\n", 3);
    memcpy(line, "x: ", 3);
    for (int i = 0; i < 64 && wire_try_send(wire, line, sizeof line - 1); i++) {
    }
    wire_close(wire);
    assert_int_equal(web_status(fixture->port, "/healthz"), 200);
}

/* More than there are places, each with a head that never ends. */
static void slow_callers_take_nobodys_place(void **state) {
    const struct fixture *fixture = *state;
    enum { SLOW = CALLERS_MAX + 20 };
    struct wire *slow[SLOW];
    for (int i = 0; i < SLOW; i++) {
        slow[i] = wire_try_connect("127.0.0.1", fixture->port);
        assert_non_null(slow[i]);
        wire_send_text(slow[i], "GET /metrics HTTP/1.1\r\nX: ");
    }
    for (int round = 0; round < 3; round++) {
        assert_int_equal(web_status(fixture->port, "/healthz"), 200);
        for (int i = 0; i < SLOW; i++) {
            wire_try_send(slow[i], "x", 1);
        }
    }
    for (int i = 0; i < SLOW; i++) {
        wire_close(slow[i]);
    }
}

/* ---- Readiness ------------------------------------------------------------------------------- */

static void it_is_ready_unless_it_loads_or_stops(void **state) {
    const struct fixture *fixture = *state;
    struct server *server = fixture->server;
    assert_int_equal(web_status(fixture->port, "/readyz"), 200);
    atomic_store(&server->gates, GATE_LOADING);
    assert_int_equal(web_status(fixture->port, "/readyz"), 503);
    assert_int_equal(web_status(fixture->port, "/healthz"), 200);
    atomic_store(&server->gates, GATE_STOPPING);
    assert_int_equal(web_status(fixture->port, "/readyz"), 503);
    atomic_store(&server->gates, GATE_SAVING | GATE_MISCONF | GATE_PAUSE);
    assert_int_equal(web_status(fixture->port, "/readyz"), 200);
    atomic_store(&server->gates, 0);
    atomic_store(&server->is_stopping, true);
    assert_int_equal(web_status(fixture->port, "/readyz"), 503);
    assert_int_equal(web_status(fixture->port, "/healthz"), 200);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(port_0_starts_nothing),
        TEST(a_port_in_use_is_an_error_that_names_the_option),
        TEST(an_address_that_is_not_ours_is_an_error),
        TEST(health_and_metrics_are_served),
        TEST(the_console_is_served_under_a_policy),
        TEST(head_has_no_body),
        TEST(unknown_paths_are_not_found),
        TEST(other_methods_are_not_allowed),
        TEST(another_sites_name_is_forbidden_on_loopback),
        TEST(garbage_ends_its_connection_only),
        TEST(a_head_without_end_is_refused),
        TEST(slow_callers_take_nobodys_place),
        TEST(it_is_ready_unless_it_loads_or_stops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
