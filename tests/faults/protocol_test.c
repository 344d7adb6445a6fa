/* Bad requests: the client gets Redis's words and is closed; the server and its other clients don't notice. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "tests/support/server.h"
#include "tests/support/wire.h"

enum {
    INLINE_BYTES_MAX = 64 * 1024,
    MIB = 1024 * 1024,
    NOISE_SECONDS = 2,
    NOISE_BYTES_MAX = 2000,
};

/* ---- One bad request each -------------------------------------------------------------------- */

struct bad_request {
    const char *request, *error;
};

static const struct bad_request bad_requests[] = {
    {"*2147483648\r\n", "invalid multibulk length"},
    {"*99999999999999999999\r\n", "invalid multibulk length"},
    {"*abc\r\n", "invalid multibulk length"},
    {"*\r\n", "invalid multibulk length"},
    {"*1x\r\n", "invalid multibulk length"},
    {"* 1\r\n", "invalid multibulk length"},
    {"*+1\r\n", "invalid multibulk length"},
    {"*01\r\n", "invalid multibulk length"},
    {"*1.0\r\n", "invalid multibulk length"},
    {"*1\r\n$-1\r\n", "invalid bulk length"},
    {"*1\r\n$abc\r\n", "invalid bulk length"},
    {"*1\r\n$\r\n", "invalid bulk length"},
    {"*1\r\n$4x\r\nPING\r\n", "invalid bulk length"},
    {"*1\r\n$ 4\r\nPING\r\n", "invalid bulk length"},
    {"*1\r\n$536870913\r\n", "invalid bulk length"},
    {"*1\r\n$9223372036854775807\r\n", "invalid bulk length"},
    {"*1\r\n$9223372036854775808\r\n", "invalid bulk length"},
    {"*2\r\n$4\r\nECHO\r\n$-5\r\n", "invalid bulk length"},
    {"*1\r\nPING\r\n", "expected '$', got 'P'"},
    {"*1\r\n:4\r\n", "expected '$', got ':'"},
    {"*2\r\n$4\r\nECHO\r\n*1\r\n", "expected '$', got '*'"},
    {"*1\r\n\r\n", "expected '$', got ' '"},
    {"ECHO \"open\r\n", "unbalanced quotes in request"},
    {"ECHO 'open\r\n", "unbalanced quotes in request"},
    {"ECHO \"closed\"early\r\n", "unbalanced quotes in request"},
    {"\"\r\n", "unbalanced quotes in request"},
};

/* Another client, who must not notice. */
static void expect_undisturbed(struct wire *witness) {
    wire_expect(witness, "GET witness", "\"here\"");
}

static struct wire *connect_witness(const struct test_server *server) {
    struct wire *witness = wire_connect(server);
    wire_expect(witness, "SET witness here", "+OK");
    return witness;
}

static void expect_refused(const struct test_server *server, const char *request, size_t size,
                           const char *error) {
    char reply[256];
    struct wire *wire = wire_connect(server);
    snprintf(reply, sizeof reply, "-ERR Protocol error: %s\r\n", error);
    wire_send(wire, request, size);
    wire_expect_text(wire, reply);
    wire_expect_closed(wire);
    wire_close(wire);
}

static void a_bad_request_is_told_so_and_its_client_closed(void **state) {
    struct wire *witness = connect_witness(*state);
    for (size_t i = 0; i < sizeof bad_requests / sizeof *bad_requests; i++) {
        const char *request = bad_requests[i].request;
        expect_refused(*state, request, strlen(request), bad_requests[i].error);
        expect_undisturbed(witness);
    }
    wire_close(witness);
}

static void what_came_before_the_bad_request_is_answered(void **state) {
    struct wire *wire = wire_connect(*state);
    wire_send_text(wire, "PING\r\n*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\n*1\r\n$x\r\nPING\r\n");
    wire_expect_text(wire, "+PONG\r\n$2\r\nhi\r\n-ERR Protocol error: invalid bulk length\r\n");
    wire_drain(wire); /* and nothing that came behind it is run: the PING was part of no request */
    wire_close(wire);
}

static void expect_too_long(const struct test_server *server, const char *start,
                            const char *error) {
    char *request = malloc(INLINE_BYTES_MAX + 1);
    assert_non_null(request);
    memset(request, '1', INLINE_BYTES_MAX + 1);
    memcpy(request, start, strlen(start));
    expect_refused(server, request, INLINE_BYTES_MAX + 1, error);
    free(request);
}

static void a_line_without_an_end_is_refused_at_64_kib(void **state) {
    struct wire *witness = connect_witness(*state);
    expect_too_long(*state, "ECHO ", "too big inline request");
    expect_too_long(*state, "*", "too big mbulk count string");
    expect_undisturbed(witness);
    wire_close(witness);
}

static void an_inline_request_of_nearly_64_kib_is_served(void **state) {
    enum { SIZE = 60000 };
    static char line[SIZE + 16], expected[SIZE + 32];
    memset(line, 'x', SIZE);
    memcpy(line, "ECHO ", 5);
    snprintf(expected, sizeof expected, "$%d\r\n%s\r\n", SIZE - 5, line + 5);
    snprintf(line + SIZE, 3, "\r\n");
    struct wire *wire = wire_connect(*state);
    wire_send_text(wire, line);
    wire_expect_text(wire, expected);
    wire_close(wire);
}

/* ---- Limits ---------------------------------------------------------------------------------- */

static const char *const small_bulks[] = {"--proto-max-bulk-len", "1mb", NULL};

static void an_argument_over_the_limit_is_refused_by_its_length(void **state) {
    struct wire *witness = connect_witness(*state);
    static const char too_large[] = "*2\r\n$4\r\nECHO\r\n$1048577\r\n";
    expect_refused(*state, too_large, strlen(too_large), "invalid bulk length");
    expect_undisturbed(witness);
    wire_expect(witness, "SETRANGE key 1048575 x", ":1048576");
    wire_expect(witness, "APPEND key x",
                "-ERR string exceeds maximum allowed size (proto-max-bulk-len)");
    wire_expect(witness, "SETRANGE key 1048576 x",
                "-ERR string exceeds maximum allowed size (proto-max-bulk-len)");
    wire_close(witness);
}

static const char *const small_queries[] = {"--client-query-buffer-limit", "1mb", NULL};

static void an_unfinished_request_over_the_limit_closes_its_client(void **state) {
    struct wire *witness = connect_witness(*state), *wire = wire_connect(*state);
    char *data = calloc(1, 4 * MIB);
    assert_non_null(data);
    wire_send_text(wire, "*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$8388608\r\n");
    wire_try_send(wire, data, 4 * MIB);
    assert_int_equal(wire_drain(wire), 0);
    free(data);
    expect_undisturbed(witness);
    wire_expect(witness, "EXISTS key", ":0");
    wire_close(wire);
    wire_close(witness);
}

static const char *const with_password[] = {"--requirepass", "secret", NULL};

static void a_stranger_may_not_send_much(void **state) {
    static const char many[] = "*11\r\n", large[] = "*2\r\n$4\r\nAUTH\r\n$16385\r\n";
    expect_refused(*state, many, strlen(many), "unauthenticated multibulk length");
    expect_refused(*state, large, strlen(large), "unauthenticated bulk length");
    struct wire *wire = wire_connect(*state);
    wire_expect(wire, "AUTH secret", "+OK");
    wire_expect(wire, "DEL a b c d e f g h i j k", ":0");
    wire_close(wire);
}

/* ---- Requests that are never finished -------------------------------------------------------- */

static void await_alone(struct wire *witness) {
    for (int waited_ms = 0; waited_ms < WIRE_WAIT_MS; waited_ms++) {
        if (wire_ask_field(witness, "INFO clients", "connected_clients") == 1) return;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    fail_msg("clients that have left are still counted");
}

static void half_requests_leave_nothing_behind(void **state) {
    static const char request[] = "*3\r\n$3\r\nSET\r\n$4\r\nhalf\r\n$10\r\n0123456789\r\n";
    struct wire *witness = connect_witness(*state);
    for (int round = 0; round < 10; round++) {
        for (size_t size = 0; size < sizeof request - 1; size++) {
            struct wire *wire = wire_connect(*state);
            wire_send(wire, request, size);
            wire_close(wire);
        }
    }
    await_alone(witness);
    wire_expect(witness, "EXISTS half", ":0");
    wire_close(witness);
}

/* The client has no more to send, but it still reads: its whole requests are answered. */
static void a_half_closed_client_is_answered(void **state) {
    struct wire *wire = wire_connect(*state);
    wire_send_text(wire, "SET key value\r\nGET key\r\nGET k");
    shutdown(wire_fd(wire), SHUT_WR);
    wire_expect_text(wire, "+OK\r\n$5\r\nvalue\r\n");
    wire_expect_closed(wire);
    wire_close(wire);
}

/* Its replies are held back at a megabyte, so its end is seen long before its last request can run. */
static void a_half_closed_client_is_answered_however_much_it_asked(void **state) {
    enum { VALUE_BYTES = 300000, COUNT = 40 };
    struct wire *witness = wire_connect(*state), *wire = wire_connect(*state);
    wire_expect(witness, "SETRANGE key 299999 x", ":300000");
    for (int i = 0; i < COUNT; i++) {
        wire_send_text(wire, "GET key\r\n");
    }
    wire_send_text(wire, "SET last run\r\n");
    shutdown(wire_fd(wire), SHUT_WR);
    size_t framing = strlen("$300000\r\n\r\n");
    assert_int_equal(wire_drain(wire), COUNT * (VALUE_BYTES + framing) + strlen("+OK\r\n"));
    wire_expect(witness, "GET last", "\"run\"");
    wire_close(wire);
    wire_close(witness);
}

/* ---- Noise ----------------------------------------------------------------------------------- */

struct noise {
    uint64_t state;
};

/* SplitMix64 (Steele, Lea, Flood, 2014). */
static uint64_t noise_next(struct noise *noise) {
    uint64_t z = noise->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static size_t noise_below(struct noise *noise, size_t bound) {
    return noise_next(noise) % bound;
}

/* Nothing but random bytes is refused at once; broken requests get further. */
static const char *const phrases[] = {
    "*1\r\n$4\r\nPING\r\n",
    "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n",
    "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$3\r\nabc\r\n",
    "*2\r\n",
    "$4\r\n",
    "$-1\r\n",
    "*-1\r\n",
    "*0\r\n",
    "\r\n",
    "\n",
    "\"",
    "'",
    "PING\r\n",
    "GET k\r\n",
    "SET k v EX 100\r\n",
    "HELLO 3\r\n",
    "MGET a b c\r\n",
    "$1000000\r\n",
    "*1000\r\n",
    "\\x",
    "SCAN 0\r\n",
};

static size_t make_noise(struct noise *noise, char data[NOISE_BYTES_MAX]) {
    size_t size = 0, wanted = 1 + noise_below(noise, NOISE_BYTES_MAX - 100);
    while (size < wanted) {
        if (noise_below(noise, 4) == 0) {
            data[size++] = (char)noise_next(noise);
            continue;
        }
        const char *phrase = phrases[noise_below(noise, sizeof phrases / sizeof *phrases)];
        memcpy(data + size, phrase, strlen(phrase));
        size_t broken = noise_below(noise, strlen(phrase) * 20); /* about one phrase in twenty */
        if (broken < strlen(phrase)) data[size + broken] = (char)noise_next(noise);
        size += strlen(phrase);
    }
    return size;
}

static uint64_t noise_seed(void) {
    const char *given = getenv("SHERD_TEST_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    print_message("SHERD_TEST_SEED=%llu makes the same noise\n", (unsigned long long)seed);
    return seed;
}

static void noise_hurts_nobody_else(void **state) {
    struct noise noise = {.state = noise_seed()};
    struct wire *witness = connect_witness(*state);
    char data[NOISE_BYTES_MAX];
    for (time_t end = time(NULL) + NOISE_SECONDS; time(NULL) < end;) {
        struct wire *wire = wire_connect(*state);
        wire_try_send(wire, data, make_noise(&noise, data));
        shutdown(wire_fd(wire), SHUT_WR);
        if (noise_below(&noise, 8) != 0) wire_drain(wire); /* some leave without listening */
        wire_close(wire);
        expect_undisturbed(witness);
    }
    await_alone(witness);
    wire_close(witness);
}

int main(void) {
    test_server_require();
    const struct CMUnitTest tests[] = {
        TEST_WITH_SERVER(a_bad_request_is_told_so_and_its_client_closed, NULL),
        TEST_WITH_SERVER(what_came_before_the_bad_request_is_answered, NULL),
        TEST_WITH_SERVER(a_line_without_an_end_is_refused_at_64_kib, NULL),
        TEST_WITH_SERVER(an_inline_request_of_nearly_64_kib_is_served, NULL),
        TEST_WITH_SERVER(an_argument_over_the_limit_is_refused_by_its_length, small_bulks),
        TEST_WITH_SERVER(an_unfinished_request_over_the_limit_closes_its_client, small_queries),
        TEST_WITH_SERVER(a_stranger_may_not_send_much, with_password),
        TEST_WITH_SERVER(half_requests_leave_nothing_behind, NULL),
        TEST_WITH_SERVER(a_half_closed_client_is_answered, NULL),
        TEST_WITH_SERVER(a_half_closed_client_is_answered_however_much_it_asked, NULL),
        TEST_WITH_SERVER(noise_hurts_nobody_else, NULL),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
