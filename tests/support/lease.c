#include "tests/support/lease.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LINE_MAX = 256 };

long long lease_token(const char *reply) {
    const char *colon = strstr(reply, ", :");
    return colon != NULL ? atoll(colon + 3) : 0;
}

long long lease_read_token(struct wire *wire) {
    char *reply = wire_read_reply(wire);
    assert_non_null(reply);
    long long token = lease_token(reply);
    char expected[LINE_MAX];
    const char *null = reply[1] == '_' ? "_" : "$-1"; /* RESP3's, RESP2's */
    snprintf(expected, sizeof expected, "[%s, :%lld, \"miss\"]", null, token);
    assert_string_equal(reply, expected);
    free(reply);
    assert_in_range(token, 1, INT64_C(1) << 53);
    return token;
}

long long lease_ask_token(struct wire *wire, const char *line) {
    wire_send_command(wire, line);
    return lease_read_token(wire);
}

long long lease_take_over(struct wire *wire, const char *line) {
    int64_t give_up_ms = lease_now_ms() + WIRE_WAIT_MS;
    long long token = 0;
    while (token == 0) {
        assert_true(lease_now_ms() < give_up_ms);
        char *reply = wire_ask(wire, line);
        token = lease_token(reply);
        free(reply);
    }
    return token;
}

void lease_expect(struct wire *wire, const char *line, long long token, const char *expected) {
    const char *dollar = strchr(line, '$');
    char text[LINE_MAX];
    snprintf(text, sizeof text, "%.*s%lld%s", (int)(dollar - line), line, token, dollar + 1);
    wire_expect(wire, text, expected);
}

void lease_await_waiting(struct wire *wire, long long count) {
    int64_t give_up_ms = lease_now_ms() + WIRE_WAIT_MS;
    while (wire_ask_field(wire, "INFO clients", "blocked_clients") != count) {
        assert_true(lease_now_ms() < give_up_ms);
    }
}

int64_t lease_now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
