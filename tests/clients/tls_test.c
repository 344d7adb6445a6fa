/* TLS as clients meet it: who gets in, what is refused and said, sessions that are resumed, large values, clients that
 * stall or don't read. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#ifdef SHERD_HIREDIS_SSL
#include <hiredis/hiredis.h> /* which the next needs */
#include <hiredis/hiredis_ssl.h>
#endif
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/client.h"
#include "tests/support/program.h"
#include "tests/support/tls_server.h"

enum { LARGE = 1024 * 1024, ATTEMPTS = 2000, ATTEMPT_MS = 5 };

/* ---- Who gets in ----------------------------------------------------------------------------- */

/* In TLS 1.3 a client believes itself connected before the server has looked at its certificate. */
static bool is_served(const char *name, int version) {
    SSL_CTX *context = tls_client_context(name, version);
    struct wire *wire = wire_try_connect_tls(tls_port(), context, NULL);
    SSL_CTX_free(context);
    if (wire == NULL) return false;
    char *reply = wire_try_send(wire, "PING\r\n", 6) ? wire_read_reply(wire) : NULL;
    bool is_pong = reply != NULL && strcmp(reply, "+PONG") == 0;
    free(reply);
    wire_close(wire);
    return is_pong;
}

static void both_protocols_serve_as_tcp_does(void **state) {
    (void)state;
    struct test_server *server = tls_start(NULL);
    struct wire *plain = wire_connect(server);
    struct wire *newer = tls_connect_as("client", TLS1_3_VERSION);
    struct wire *older = tls_connect_as("client", TLS1_2_VERSION);
    wire_expect(plain, "SET key value", "+OK");
    wire_expect(newer, "GET key", "\"value\"");
    wire_expect(older, "APPEND key s", ":6");
    assert_string_equal(SSL_get_version(wire_tls(older)), "TLSv1.2");
    char *info = wire_ask(newer, "INFO server"), *me = wire_ask(newer, "CLIENT INFO");
    char listener[64], peer[64];
    snprintf(listener, sizeof listener, "name=tls,bind=127.0.0.1,port=%d", tls_port());
    snprintf(peer, sizeof peer, "laddr=127.0.0.1:%d", tls_port());
    assert_non_null(strstr(info, listener));
    assert_non_null(strstr(me, peer));
    free(info);
    free(me);
    wire_close(plain);
    wire_close(newer);
    wire_close(older);
    test_server_stop(server);
}

static void only_a_tls_port_will_do(void **state) {
    (void)state;
    const char *const options[] = {"--port", "0", NULL};
    struct test_server *server = tls_start(options);
    struct wire *wire = tls_connect_as("client", 0);
    assert_int_equal(wire_ask_field(wire, "INFO server", "tcp_port"), tls_port());
    wire_close(wire);
    test_server_stop(server);
}

static void clients_must_may_or_need_not_show_a_certificate(void **state) {
    (void)state;
    /* Asked: yes (at first), optional, no. Shown: one of ours, an expired one, a stranger's, none. */
    static const char *const shown[] = {"client", "expired", "stranger", NULL};
    static const struct {
        const char *asked;
        bool served[4];
    } rows[] = {
        {"yes", {true, false, false, false}},
        {"optional", {true, false, false, true}},
        {"no", {true, true, true, true}},
    };
    struct test_server *server = tls_start(NULL);
    struct wire *plain = wire_connect(server);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char command[64];
        snprintf(command, sizeof command, "CONFIG SET tls-auth-clients %s", rows[i].asked);
        wire_expect(plain, command, "+OK");
        for (size_t j = 0; j < 4; j++) {
            for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
                if (is_served(shown[j], version) == rows[i].served[j]) continue;
                fail_msg("%s, certificate %s: served the wrong way", rows[i].asked,
                         shown[j] != NULL ? shown[j] : "none");
            }
        }
    }
    assert_int_equal(wire_ask_field(plain, "INFO sherd", "tls_handshakes_failed"), 10);
    wire_close(plain);
    test_server_await_said(server, "TLS failed: ");
    test_server_stop(server);
}

static void protocols_and_ciphers_are_what_the_options_say(void **state) {
    (void)state;
    const char *const options[] = {"--tls-protocols",
                                   "TLSv1.2",
                                   "--tls-ciphers",
                                   "ECDHE-ECDSA-AES256-GCM-SHA384",
                                   "--tls-auth-clients",
                                   "no",
                                   NULL};
    struct test_server *server = tls_start(options);
    struct wire *plain = wire_connect(server);
    assert_true(is_served(NULL, TLS1_2_VERSION));
    assert_false(is_served(NULL, TLS1_3_VERSION));
    struct wire *wire = tls_connect_as(NULL, 0);
    assert_string_equal(SSL_get_cipher_name(wire_tls(wire)), "ECDHE-ECDSA-AES256-GCM-SHA384");
    wire_close(wire);
    wire_expect(plain,
                "CONFIG SET tls-protocols TLSv1.3 tls-ciphersuites TLS_CHACHA20_POLY1305_SHA256",
                "+OK");
    assert_false(is_served(NULL, TLS1_2_VERSION));
    wire = tls_connect_as(NULL, 0);
    assert_string_equal(SSL_get_cipher_name(wire_tls(wire)), "TLS_CHACHA20_POLY1305_SHA256");
    wire_close(wire);
    wire_close(plain);
    test_server_stop(server);
}

static void acl_and_passwords_hold_over_tls(void **state) {
    (void)state;
    const char *const options[] = {"--requirepass", "secret", NULL};
    struct test_server *server = tls_start(options);
    struct wire *wire = tls_connect_as("client", 0);
    wire_expect(wire, "GET key", "-NOAUTH Authentication required.");
    wire_expect(wire, "AUTH secret", "+OK");
    wire_expect(wire, "GET key", "$-1");
    wire_close(wire);
    test_server_stop(server);
}

/* ---- What travels ---------------------------------------------------------------------------- */

static char *make_value(size_t size) {
    char *value = malloc(size);
    assert_non_null(value);
    for (size_t i = 0; i < size; i++) {
        value[i] = (char)('a' + (i * 7 + i / 251) % 26);
    }
    return value;
}

static void large_values_and_pipelines_come_back(void **state) {
    (void)state;
    enum { GETS = 20, PINGS = 5000 };
    struct test_server *server = tls_start(NULL);
    struct wire *wire = tls_connect_as("client", 0);
    char *value = make_value(LARGE + 1);
    const char *const set[] = {"SET", "large", value};
    value[LARGE] = '\0';
    wire_send_arguments(wire, set, (const size_t[]){3, 5, LARGE}, 3);
    wire_expect_reply(wire, "+OK");
    for (int i = 0; i < GETS; i++) {
        wire_send_text(wire, "GET large\r\nECHO between\r\n");
    }
    for (int i = 0; i < GETS; i++) {
        wire_expect_text(wire, "$1048576\r\n");
        wire_expect_text(wire, value);
        wire_expect_text(wire, "\r\n$7\r\nbetween\r\n");
    }
    for (int i = 0; i < PINGS; i++) {
        wire_send_text(wire, "PING\r\n");
    }
    for (int i = 0; i < PINGS; i++) {
        wire_expect_text(wire, "+PONG\r\n");
    }
    wire_expect(wire, "QUIT", "+OK");
    wire_expect_closed(wire);
    wire_close(wire);
    free(value);
    test_server_stop(server);
}

/* The client may go on sending meanwhile, and finds the end of the stream said as TLS has it. */
static void whom_we_break_with_may_read_why(void **state) {
    (void)state;
    struct test_server *server =
        tls_start((const char *const[]){"--maxmemory-clients", "2mb", NULL});
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    char *more = calloc(1, LARGE);
    assert_non_null(more);
    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
        struct wire *wire = tls_connect_as("client", versions[i]);
        wire_send_text(wire, "*3\r\n$3\r\nSET\r\n$5\r\nlarge\r\n$500000000\r\n");
        for (int sent = 0; sent < 16; sent++) {
            wire_send(wire, more, LARGE);
        }
        wire_expect_reply(wire, "-ERR closed: clients' buffers pass maxmemory-clients, and this "
                                "client's were the largest");
        wire_expect_closed(wire);
        assert_true(SSL_get_shutdown(wire_tls(wire)) & SSL_RECEIVED_SHUTDOWN);
        wire_close(wire);
    }
    free(more);
    test_server_stop(server);
}

static void a_client_that_does_not_read_stops_itself_alone(void **state) {
    (void)state;
    enum { GETS = 200 };
    struct test_server *server = tls_start(NULL);
    struct wire *plain = wire_connect(server), *lazy = tls_connect_as("client", 0);
    char *value = make_value(LARGE + 1);
    value[LARGE] = '\0';
    const char *const set[] = {"SET", "large", value};
    wire_send_arguments(plain, set, (const size_t[]){3, 5, LARGE}, 3);
    wire_expect_reply(plain, "+OK");
    for (int i = 0; i < GETS; i++) {
        wire_send_text(lazy, "GET large\r\n");
    }
    /* What was asked for is 200 MiB; what waits for it is a small part, wherever the kernel's buffers end. */
    for (int i = 0; i < 50; i++) {
        wire_expect(plain, "PING", "+PONG");
        assert_true(wire_ask_field(plain, "INFO memory", "mem_clients_normal") < 8 * LARGE);
    }
    for (int i = 0; i < GETS; i++) {
        wire_expect_text(lazy, "$1048576\r\n");
        wire_expect_text(lazy, value);
        wire_expect_text(lazy, "\r\n");
    }
    wire_expect(lazy, "PING", "+PONG");
    wire_close(plain);
    wire_close(lazy);
    free(value);
    test_server_stop(server);
}

/* Run a tool as it comes, over TLS; what it prints must be `expected`. */
static void expect_tool(const char *tool, const char *arguments, const char *expected) {
    char command[1024];
    snprintf(command, sizeof command,
             "(timeout 60 %s -p %d --tls --cacert %s --cert %s --key %s %s) 2>&1 </dev/null", tool,
             tls_port(), tls_file("ca.crt"), tls_file("client.crt"), tls_file("client.key"),
             arguments);
    program_expect(command, 0, expected);
}

static void redis_cli_and_redis_benchmark_speak_tls(void **state) {
    (void)state;
    struct test_server *server = tls_start(NULL);
    expect_tool("redis-cli", "SET key value", "OK");
    expect_tool("redis-cli", "GET key", "value");
    expect_tool("redis-benchmark", "-t set -n 2000 -P 16 -d 500 -q | tr '\\r' '\\n' | tail -n 2",
                "requests per second");
    expect_tool("redis-cli", "STRLEN key:__rand_int__", "500");
    test_server_stop(server);
}

#ifdef SHERD_HIREDIS_SSL /* the installed hiredis has TLS */

static redisSSLContext *hiredis_tls(const char *certificate, const char *key) {
    redisSSLContextError error = REDIS_SSL_CTX_NONE;
    redisSSLContext *context =
        redisCreateSSLContext(tls_file("ca.crt"), NULL, certificate, key, "localhost", &error);
    if (context == NULL) fail_msg("%s", redisSSLContextGetError(error));
    return context;
}

static redisContext *hiredis_connect_tls(redisSSLContext *tls) {
    struct timeval wait = {.tv_sec = CLIENT_WAIT_MS / 1000};
    redisContext *context = redisConnectWithTimeout("127.0.0.1", tls_port(), wait);
    assert_non_null(context);
    assert_int_equal(context->err, 0);
    redisSetTimeout(context, wait);
    if (redisInitiateSSLWithContext(context, tls) == REDIS_OK) return context;
    redisFree(context);
    return NULL;
}

static void hiredis_speaks_tls(void **state) {
    (void)state;
    enum { COMMANDS = 1000 };
    struct test_server *server = tls_start(NULL);
    redisSSLContext *tls = hiredis_tls(tls_file("client.crt"), tls_file("client.key"));
    redisContext *context = hiredis_connect_tls(tls);
    assert_non_null(context);
    hiredis_expect_status(context, "OK", "SET key value");
    char *value = calloc(1, LARGE);
    assert_non_null(value);
    hiredis_expect_status(context, "OK", "SET large %b", value, (size_t)LARGE);
    hiredis_expect_integer(context, LARGE, "STRLEN large");
    free(value);
    for (int i = 0; i < COMMANDS; i++) {
        redisAppendCommand(context, "INCR counter");
        if (i % 100 == 0) redisAppendCommand(context, "GET large");
    }
    for (int i = 0; i < COMMANDS; i++) {
        assert_true(hiredis_take(context, REDIS_REPLY_INTEGER));
        if (i % 100 == 0) assert_true(hiredis_take(context, REDIS_REPLY_STRING));
    }
    hiredis_expect_integer(context, COMMANDS + 1, "INCR counter");
    redisFree(context);
    redisFreeSSLContext(tls);
    test_server_stop(server);
}

/* In TLS 1.3 the handshake is over for the client before the server has looked. */
static void hiredis_without_a_certificate_is_not_served(void **state) {
    (void)state;
    struct test_server *server = tls_start(NULL);
    redisSSLContext *tls = hiredis_tls(NULL, NULL);
    redisContext *context = hiredis_connect_tls(tls);
    if (context != NULL) {
        assert_false(hiredis_ask_status(context, "PONG", "PING"));
        redisFree(context);
    }
    redisFreeSSLContext(tls);
    test_server_stop(server);
}

#endif

/* ---- Who misbehaves -------------------------------------------------------------------------- */

/* Stop the server, and let another process wake it after `ms`. */
static pid_t put_to_sleep(const struct test_server *server, int ms) {
    assert_int_equal(kill(server->pid, SIGSTOP), 0);
    pid_t waker = fork();
    assert_true(waker >= 0);
    if (waker != 0) return waker;
    poll(NULL, 0, ms);
    kill(server->pid, SIGCONT);
    _exit(0);
}

/* As on a machine that is suspended, or has no processor for it, for longer than a handshake may take. */
static void a_server_that_slept_closes_no_handshake_for_it(void **state) {
    (void)state;
    const char *const options[] = {"--timeout", "1", NULL};
    struct test_server *server = tls_start(options);
    struct wire *plain = wire_connect(server);
    struct wire *wire = wire_try_connect("127.0.0.1", tls_port());
    assert_non_null(wire);
    while (wire_ask_field(plain, "INFO sherd", "tls_handshakes_open") == 0) {
        /* until it is accepted */
    }
    pid_t waker = put_to_sleep(server, 3500);
    SSL_CTX *context = tls_client_context("client", 0);
    SSL *session = SSL_new(context);
    assert_non_null(session);
    assert_int_equal(SSL_set_fd(session, wire_fd(wire)), 1);
    assert_int_equal(SSL_connect(session), 1); /* it is answered once the server wakes */
    assert_int_equal(waitpid(waker, NULL, 0), waker);
    SSL_free(session);
    SSL_CTX_free(context);
    wire_close(wire);
    wire_close(plain);
    test_server_stop(server);
}

static void a_stalled_handshake_is_closed(void **state) {
    (void)state;
    const char *const options[] = {"--timeout", "1", NULL};
    struct test_server *server = tls_start(options);
    struct wire *silent = wire_try_connect("127.0.0.1", tls_port());
    struct wire *begun = wire_try_connect("127.0.0.1", tls_port());
    wire_send(begun, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11);
    wire_expect_closed(silent);
    wire_expect_closed(begun);
    wire_close(silent);
    wire_close(begun);
    struct wire *plain = wire_connect(server);
    assert_int_equal(wire_ask_field(plain, "INFO sherd", "tls_handshakes_open"), 0);
    wire_close(plain);
    test_server_stop(server);
}

/* An alert may come before the end. */
static void expect_dropped(const char *text) {
    struct wire *wire = wire_try_connect("127.0.0.1", tls_port());
    wire_send_text(wire, text);
    assert_true(wire_drain(wire) < 32);
    wire_close(wire);
}

static void who_speaks_no_tls_is_dropped_and_told_of_now_and_then(void **state) {
    (void)state;
    struct test_server *server = tls_start(NULL);
    for (int i = 0; i < 50; i++) {
        expect_dropped("*1\r\n$4\r\nPING\r\n");
    }
    expect_dropped("GET / HTTP/1.1\r\n\r\n");
    test_server_await_said(server, "TLS failed: it doesn't speak TLS (is it meant for 'port'?)");
    /* The first has nothing before it. */
    assert_int_equal(test_server_times_said(server, "; 0 more such"), 0);
    /* One a second; a slow machine may take some. */
    assert_true(test_server_times_said(server, "TLS failed") < 25);
    struct wire *plain = wire_connect(server);
    assert_int_equal(wire_ask_field(plain, "INFO sherd", "tls_handshakes_failed"), 51);
    wire_close(plain);
    test_server_stop(server);
}

/* A request of 32 KiB in records of 16384, 8000 and the other bytes, as they travel; the caller frees them. */
static char *seal_large_set(struct wire *wire, size_t *size) {
    enum { RECORD_MAX = 16 * 1024, HEAD = 28, VALUE = 2 * RECORD_MAX - HEAD - 2 };
    static char request[2 * RECORD_MAX];
    int head =
        snprintf(request, sizeof request, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n", (int)VALUE);
    assert_int_equal(head, HEAD);
    memset(request + HEAD, 'v', VALUE);
    memcpy(request + HEAD + VALUE, "\r\n", 2);
    BIO *memory = BIO_new(BIO_s_mem());
    SSL_set0_wbio(wire_tls(wire), memory);
    static const int records[] = {RECORD_MAX, 8000, RECORD_MAX - 8000};
    for (int i = 0, at = 0; i < 3; at += records[i++]) {
        assert_int_equal(SSL_write(wire_tls(wire), request + at, records[i]), records[i]);
    }
    char *data;
    *size = (size_t)BIO_get_mem_data(memory, &data);
    char *sealed = malloc(*size);
    assert_non_null(sealed);
    return memcpy(sealed, data, *size);
}

/* As many as a turn receives from, each with all of a record but its last byte; then, in one turn, each with that byte, a
 * second record and the beginning of a third: the area for what is decrypted has to have room for it all. */
static void records_that_are_cut_fit_into_the_smallest_area(void **state) {
    (void)state;
    enum { CLIENTS = 8, MORE = 8192 };
    static const char *const options[] = {"--receive-buffer-count", "8", "--workers", "1", NULL};
    struct test_server *server = tls_start(options);
    struct wire *plain = wire_connect(server), *wires[CLIENTS];
    char *sealed[CLIENTS];
    size_t sizes[CLIENTS], firsts[CLIENTS], due = 0;
    for (int i = 0; i < CLIENTS; i++) {
        wires[i] = tls_connect_as("client", 0);
        wire_expect(wires[i], "PING", "+PONG");
    }
    long long before = wire_ask_field(plain, "INFO stats", "total_net_input_bytes");
    for (int i = 0; i < CLIENTS; i++) {
        sealed[i] = seal_large_set(wires[i], &sizes[i]);
        const unsigned char *header = (const unsigned char *)sealed[i];
        firsts[i] = 5 + (size_t)(header[3] << 8 | header[4]) - 1;
        assert_true(send(wire_fd(wires[i]), sealed[i], firsts[i], 0) == (ssize_t)firsts[i]);
        due += firsts[i];
    }
    while (wire_ask_field(plain, "INFO stats", "total_net_input_bytes") < before + (long long)due) {
    }
    assert_int_equal(kill(server->pid, SIGSTOP), 0);
    for (int i = 0; i < CLIENTS; i++) {
        assert_int_equal(send(wire_fd(wires[i]), sealed[i] + firsts[i], MORE, 0), MORE);
    }
    assert_int_equal(kill(server->pid, SIGCONT), 0);
    for (int i = 0; i < CLIENTS; i++) {
        size_t sent = firsts[i] + MORE, rest = sizes[i] - sent;
        assert_true(send(wire_fd(wires[i]), sealed[i] + sent, rest, 0) == (ssize_t)rest);
        wire_expect_reply(wires[i], "+OK");
        free(sealed[i]);
        wire_close(wires[i]);
    }
    wire_close(plain);
    test_server_stop(server);
}

static void refused_clients_are_closed_before_the_handshake(void **state) {
    (void)state;
    const char *const options[] = {"--maxclients", "1", NULL};
    struct test_server *server = tls_start(options);
    struct wire *first = NULL;
    /* Whoever tried whether the server is ready may still be counted. */
    for (int attempt = 0; attempt < ATTEMPTS && first == NULL; attempt++) {
        SSL_CTX *context = tls_client_context("client", 0);
        first = wire_try_connect_tls(tls_port(), context, NULL);
        SSL_CTX_free(context);
        if (first == NULL) poll(NULL, 0, ATTEMPT_MS);
    }
    assert_non_null(first);
    wire_expect(first, "PING", "+PONG");
    struct wire *second = wire_try_connect("127.0.0.1", tls_port());
    wire_expect_closed(second); /* without a word in plain */
    wire_close(second);
    wire_close(first);
    test_server_stop(server);
}

/* ---- Sessions -------------------------------------------------------------------------------- */

static SSL_SESSION *session_of(struct wire *wire) {
    wire_expect(wire, "PING", "+PONG"); /* in TLS 1.3 the ticket has come with it */
    SSL_SESSION *session = SSL_get1_session(wire_tls(wire));
    assert_non_null(session);
    return session;
}

static bool is_resumed(SSL_CTX *context, SSL_SESSION *session) {
    struct wire *wire = wire_try_connect_tls(tls_port(), context, session);
    assert_non_null(wire);
    wire_expect(wire, "PING", "+PONG");
    bool is_reused = SSL_session_reused(wire_tls(wire));
    wire_close(wire);
    return is_reused;
}

static void sessions_are_resumed_unless_the_option_says_no(void **state) {
    (void)state;
    struct test_server *server = tls_start(NULL);
    struct wire *plain = wire_connect(server);
    for (int round = 0; round < 3; round++) {
        /* TLS 1.3; 1.2 with tickets; 1.2 without, from our cache. */
        SSL_CTX *context =
            tls_client_context("client", round == 0 ? TLS1_3_VERSION : TLS1_2_VERSION);
        if (round == 2) SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
        struct wire *wire = tls_connect_with(context);
        SSL_SESSION *session = session_of(wire);
        wire_close(wire);
        wire_expect(plain, "CONFIG SET tls-session-caching yes", "+OK"); /* nothing changes */
        assert_true(is_resumed(context, session));
        assert_int_equal(wire_ask_field(plain, "INFO sherd", "tls_sessions_resumed"), round + 1);
        SSL_SESSION_free(session);
        SSL_CTX_free(context);
    }
    wire_expect(plain, "CONFIG SET tls-session-caching no", "+OK");
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        SSL_CTX *context = tls_client_context("client", version);
        struct wire *wire = tls_connect_with(context);
        SSL_SESSION *session = session_of(wire);
        wire_close(wire);
        assert_false(is_resumed(context, session));
        SSL_SESSION_free(session);
        SSL_CTX_free(context);
    }
    wire_close(plain);
    test_server_stop(server);
}

int main(void) {
    test_server_require();
    signal(SIGPIPE, SIG_IGN); /* OpenSSL writes to sockets without MSG_NOSIGNAL */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_protocols_serve_as_tcp_does),
        cmocka_unit_test(only_a_tls_port_will_do),
        cmocka_unit_test(clients_must_may_or_need_not_show_a_certificate),
        cmocka_unit_test(protocols_and_ciphers_are_what_the_options_say),
        cmocka_unit_test(acl_and_passwords_hold_over_tls),
        cmocka_unit_test(large_values_and_pipelines_come_back),
        cmocka_unit_test(whom_we_break_with_may_read_why),
        cmocka_unit_test(a_client_that_does_not_read_stops_itself_alone),
        cmocka_unit_test(redis_cli_and_redis_benchmark_speak_tls),
#ifdef SHERD_HIREDIS_SSL
        cmocka_unit_test(hiredis_speaks_tls),
        cmocka_unit_test(hiredis_without_a_certificate_is_not_served),
#endif
        cmocka_unit_test(a_server_that_slept_closes_no_handshake_for_it),
        cmocka_unit_test(a_stalled_handshake_is_closed),
        cmocka_unit_test(who_speaks_no_tls_is_dropped_and_told_of_now_and_then),
        cmocka_unit_test(records_that_are_cut_fit_into_the_smallest_area),
        cmocka_unit_test(refused_clients_are_closed_before_the_handshake),
        cmocka_unit_test(sessions_are_resumed_unless_the_option_says_no),
    };
    return cmocka_run_group_tests(tests, tls_make_folder, tls_remove_folder);
}
