/* A lease that ran out and was given on: what the former holder may still do, and what only the present one may. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "tests/support/client.h"
#include "tests/support/lease.h"

/* `slow`'s lease has run out, and `next` has it for a minute. */
struct succession {
    struct wire *slow, *next;
    long long slow_token, next_token;
};

static struct succession succeed(const struct test_server *server) {
    struct succession two = {.slow = wire_connect(server), .next = wire_connect(server)};
    two.slow_token = lease_ask_token(two.slow, "GETLEASE key 20");
    two.next_token = lease_take_over(two.next, "GETLEASE key 60000");
    wire_expect(two.slow, "GETLEASE key 60000", "[$-1, $-1, \"miss\"]");
    return two;
}

static void succession_end(struct succession two) {
    wire_close(two.slow);
    wire_close(two.next);
}

static void a_former_holders_value_is_stored_and_the_present_ones_replaces_it(void **state) {
    struct succession two = succeed(*state);
    assert_int_equal(two.next_token, two.slow_token + 1);
    lease_expect(two.slow, "SETLEASE key $ slow PX 60000", two.slow_token, ":1");
    wire_expect(two.next, "GETLEASE key 60000", "[\"slow\", $-1, \"hit\"]");
    lease_expect(two.slow, "SETLEASE key $ again", two.slow_token, ":0");
    lease_expect(two.next, "SETLEASE key $ next KEEPTTL", two.next_token, ":1");
    wire_expect(two.slow, "GET key", "\"next\"");
    assert_in_range(wire_ask_integer(two.slow, "PTTL key"), 1, 60000);
    lease_expect(two.next, "SETLEASE key $ again", two.next_token, ":0");
    succession_end(two);
}

static void a_former_holders_value_does_not_replace_the_present_ones(void **state) {
    struct succession two = succeed(*state);
    lease_expect(two.next, "SETLEASE key $ next", two.next_token, ":1");
    lease_expect(two.slow, "SETLEASE key $ slow", two.slow_token, ":0");
    wire_expect(two.slow, "GET key", "\"next\"");
    succession_end(two);
}

static void a_former_holder_gives_nothing_up(void **state) {
    struct succession two = succeed(*state);
    lease_expect(two.slow, "DELLEASE key $", two.slow_token, ":0");
    wire_expect(two.slow, "GETLEASE key 60000", "[$-1, $-1, \"miss\"]");
    lease_expect(two.next, "SETLEASE key $ next", two.next_token, ":1");
    wire_expect(two.slow, "GET key", "\"next\"");
    succession_end(two);
}

static void the_present_holder_gives_the_lease_up_for_all(void **state) {
    struct succession two = succeed(*state);
    lease_expect(two.next, "DELLEASE key $", two.next_token, ":1");
    lease_expect(two.slow, "SETLEASE key $ slow", two.slow_token, ":0");
    long long token = lease_ask_token(two.slow, "GETLEASE key 60000");
    assert_true(token != two.slow_token && token != two.next_token + 1);
    succession_end(two);
}

static void a_former_holders_value_makes_older_tokens_void(void **state) {
    struct wire *wire = wire_connect(*state);
    long long first = lease_ask_token(wire, "GETLEASE key 1");
    assert_int_equal(lease_take_over(wire, "GETLEASE key 1"), first + 1);
    assert_int_equal(lease_take_over(wire, "GETLEASE key 1"), first + 2);
    lease_expect(wire, "SETLEASE key $ second", first + 1, ":1");
    lease_expect(wire, "SETLEASE key $ first", first, ":0");
    wire_expect(wire, "GET key", "\"second\"");
    lease_expect(wire, "SETLEASE key $ never", first + 3, ":0");
    lease_expect(wire, "SETLEASE key $ third", first + 2, ":1");
    wire_expect(wire, "GET key", "\"third\"");
    wire_close(wire);
}

static void whatever_writes_the_key_makes_former_tokens_void_too(void **state) {
    struct succession two = succeed(*state);
    lease_expect(two.slow, "SETLEASE key $ slow", two.slow_token, ":1");
    wire_expect(two.slow, "DEL key", ":1");
    lease_expect(two.next, "SETLEASE key $ next", two.next_token, ":0");
    succession_end(two);
    two = succeed(*state);
    wire_expect(two.slow, "DEL key", ":0");
    lease_expect(two.slow, "SETLEASE key $ slow", two.slow_token, ":0");
    lease_expect(two.next, "SETLEASE key $ next", two.next_token, ":0");
    succession_end(two);
}

/* The value of a former holder expires, and the lease that stayed is as good as before: held, run out, given on. */
static void an_expired_value_of_a_former_holder_leaves_the_lease(void **state) {
    struct wire *wire = wire_connect(*state);
    long long first = lease_ask_token(wire, "GETLEASE key 1");
    lease_take_over(wire, "GETLEASE key 50");
    lease_expect(wire, "SETLEASE key $ first PX 1", first, ":1");
    wire_await(wire, "GET key", "$-1");
    assert_int_equal(lease_take_over(wire, "GETLEASE key 60000"), first + 2);
    lease_expect(wire, "SETLEASE key $ second PX 1", first + 1, ":1");
    wire_await(wire, "GET key", "$-1");
    wire_expect(wire, "GETLEASE key 60000", "[$-1, $-1, \"miss\"]");
    lease_expect(wire, "SETLEASE key $ third", first + 2, ":1");
    wire_expect(wire, "GETLEASE key 60000", "[\"third\", $-1, \"hit\"]");
    wire_close(wire);
}

/* The key has a value and a known time of its fill, and would be refreshed by one in a few: but it is being. */
static void nobody_refreshes_early_what_the_present_holder_brings(void **state) {
    enum { READS = 200 };
    struct wire *wire = wire_connect(*state);
    long long token = lease_ask_token(wire, "GETLEASE key 60000 EARLY 1");
    lease_expect(wire, "SETLEASE key $ value PX 1", token, ":1");
    wire_await(wire, "GET key", "$-1");
    long long first = lease_ask_token(wire, "GETLEASE key 1");
    long long second = lease_take_over(wire, "GETLEASE key 60000");
    lease_expect(wire, "SETLEASE key $ first PX 3000", first, ":1");
    for (int i = 0; i < READS; i++) {
        wire_expect(wire, "GETLEASE key 60000 EARLY 1000", "[\"first\", $-1, \"hit\"]");
    }
    lease_expect(wire, "SETLEASE key $ second PX 3000", second, ":1");
    token = 0;
    while (token == 0) {
        char *reply = wire_ask(wire, "GETLEASE key 60000 EARLY 1000");
        assert_int_equal(strncmp(reply, "[\"second\", ", 11), 0);
        token = lease_token(reply);
        free(reply);
    }
    wire_close(wire);
}

int main(void) {
    test_server_require();
    const struct CMUnitTest tests[] = {
        TEST_WITH_SERVER(a_former_holders_value_is_stored_and_the_present_ones_replaces_it, NULL),
        TEST_WITH_SERVER(a_former_holders_value_does_not_replace_the_present_ones, NULL),
        TEST_WITH_SERVER(a_former_holder_gives_nothing_up, NULL),
        TEST_WITH_SERVER(the_present_holder_gives_the_lease_up_for_all, NULL),
        TEST_WITH_SERVER(a_former_holders_value_makes_older_tokens_void, NULL),
        TEST_WITH_SERVER(whatever_writes_the_key_makes_former_tokens_void_too, NULL),
        TEST_WITH_SERVER(an_expired_value_of_a_former_holder_leaves_the_lease, NULL),
        TEST_WITH_SERVER(nobody_refreshes_early_what_the_present_holder_brings, NULL),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
