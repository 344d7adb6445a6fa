/* TLS as clients and operators meet it: who gets in, what is refused and said, certificates that change under
 * load, sessions that are resumed, large values, clients that stall or don't read. Certificates are made in a
 * folder of the test's own. */
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
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/certificate.h"
#include "tests/support/client.h"
#include "tests/support/folder.h"
#include "tests/support/program.h"
#include "tests/support/server.h"
#include "tests/support/wire.h"

enum { LARGE = 1024 * 1024, ATTEMPTS = 2000, ATTEMPT_MS = 5, OPTIONS_MAX = 32 };

/* ---- Certificates and servers
 * ----------------------------------------------------------------------------------- */

static char folder[64];
static char tls_port[16];

static const char *in_folder(const char *file) {
    static char paths[16][CERTIFICATE_PATH_MAX]; /* more than one line uses */
    static unsigned next;
    return certificate_path(folder, file, paths[next++ % 16]);
}

/* A server with a tls-port, and these options after: NULL-terminated. */
static struct test_server *start(const char *const *more) {
    const char *options[OPTIONS_MAX + 1] = {
        "--tls-port",         tls_port,
        "--tls-cert-file",    in_folder("server.crt"),
        "--tls-key-file",     in_folder("server.key"),
        "--tls-ca-cert-file", in_folder("ca.crt"),
    };
    size_t count = 8;
    for (; more != NULL && *more != NULL; more++) {
        assert_true(count < OPTIONS_MAX);
        options[count++] = *more;
    }
    snprintf(tls_port, sizeof tls_port, "%d", test_server_free_port());
    return test_server_start(options);
}

/* What a client brings: the name of its certificate (NULL: none), and the versions it speaks (0: any). */
static SSL_CTX *client_context(const char *name, int version) {
    char file[64];
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    assert_non_null(context);
    assert_int_equal(SSL_CTX_load_verify_file(context, in_folder("ca.crt")), 1);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(context, SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_min_proto_version(context, version);
    SSL_CTX_set_max_proto_version(context, version);
    if (name == NULL) return context;
    snprintf(file, sizeof file, "%s.crt", name);
    assert_int_equal(SSL_CTX_use_certificate_file(context, in_folder(file), SSL_FILETYPE_PEM), 1);
    snprintf(file, sizeof file, "%s.key", name);
    assert_int_equal(SSL_CTX_use_PrivateKey_file(context, in_folder(file), SSL_FILETYPE_PEM), 1);
    return context;
}

static struct wire *connect_with(SSL_CTX *context) {
    struct wire *wire = wire_try_connect_tls(atoi(tls_port), context, NULL);
    if (wire == NULL) fail_msg("the handshake fails");
    return wire;
}

static struct wire *connect_as(const char *name, int version) {
    SSL_CTX *context = client_context(name, version);
    struct wire *wire = connect_with(context);
    SSL_CTX_free(context); /* the connection holds it */
    return wire;
}

/* In TLS 1.3 a client believes itself connected before the server has looked at its certificate. */
static bool is_served(const char *name, int version) {
    SSL_CTX *context = client_context(name, version);
    struct wire *wire = wire_try_connect_tls(atoi(tls_port), context, NULL);
    SSL_CTX_free(context);
    if (wire == NULL) return false;
    char *reply = wire_try_send(wire, "PING\r\n", 6) ? wire_read_reply(wire) : NULL;
    bool is_pong = reply != NULL && strcmp(reply, "+PONG") == 0;
    free(reply);
    wire_close(wire);
    return is_pong;
}

static void await_output(const struct test_server *server, const char *text) {
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        char *output = test_server_read_output(server);
        bool is_there = strstr(output, text) != NULL;
        free(output);
        if (is_there) return;
        poll(NULL, 0, ATTEMPT_MS);
    }
    char *output = test_server_read_output(server);
    fail_msg("the server never says \"%s\":\n%s", text, output);
}

static int times_said(const struct test_server *server, const char *text) {
    char *output = test_server_read_output(server);
    int count = 0;
    for (const char *at = output; (at = strstr(at, text)) != NULL; at++)
        count++;
    free(output);
    return count;
}

/* ---- Who gets in
 * ------------------------------------------------------------------------------------------------ */

static void both_protocols_serve_as_tcp_does(void **state) {
    (void)state;
    struct test_server *server = start(NULL);
    struct wire *plain = wire_connect(server);
    struct wire *newer = connect_as("client", TLS1_3_VERSION);
    struct wire *older = connect_as("client", TLS1_2_VERSION);
    wire_expect(plain, "SET key value", "+OK");
    wire_expect(newer, "GET key", "\"value\"");
    wire_expect(older, "APPEND key s", ":6");
    assert_string_equal(SSL_get_version(wire_tls(older)), "TLSv1.2");
    char *info = wire_ask(newer, "INFO server"), *me = wire_ask(newer, "CLIENT INFO");
    char listener[64], peer[64];
    snprintf(listener, sizeof listener, "name=tls,bind=127.0.0.1,port=%s", tls_port);
    snprintf(peer, sizeof peer, "laddr=127.0.0.1:%s", tls_port);
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
    struct test_server *server = start(options);
    struct wire *wire = connect_as("client", 0);
    assert_int_equal(wire_ask_field(wire, "INFO server", "tcp_port"), atoi(tls_port));
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
    struct test_server *server = start(NULL);
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
    await_output(server, "TLS failed: ");
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
    struct test_server *server = start(options);
    struct wire *plain = wire_connect(server);
    assert_true(is_served(NULL, TLS1_2_VERSION));
    assert_false(is_served(NULL, TLS1_3_VERSION));
    struct wire *wire = connect_as(NULL, 0);
    assert_string_equal(SSL_get_cipher_name(wire_tls(wire)), "ECDHE-ECDSA-AES256-GCM-SHA384");
    wire_close(wire);
    wire_expect(plain,
                "CONFIG SET tls-protocols TLSv1.3 tls-ciphersuites TLS_CHACHA20_POLY1305_SHA256",
                "+OK");
    assert_false(is_served(NULL, TLS1_2_VERSION));
    wire = connect_as(NULL, 0);
    assert_string_equal(SSL_get_cipher_name(wire_tls(wire)), "TLS_CHACHA20_POLY1305_SHA256");
    wire_close(wire);
    wire_close(plain);
    test_server_stop(server);
}

static void acl_and_passwords_hold_over_tls(void **state) {
    (void)state;
    const char *const options[] = {"--requirepass", "secret", NULL};
    struct test_server *server = start(options);
    struct wire *wire = connect_as("client", 0);
    wire_expect(wire, "GET key", "-NOAUTH Authentication required.");
    wire_expect(wire, "AUTH secret", "+OK");
    wire_expect(wire, "GET key", "$-1");
    wire_close(wire);
    test_server_stop(server);
}

/* ---- What travels
 * ------------------------------------------------------------------------------------------------ */

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
    struct test_server *server = start(NULL);
    struct wire *wire = connect_as("client", 0);
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
    struct test_server *server = start((const char *const[]){"--maxmemory-clients", "2mb", NULL});
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    char *more = calloc(1, LARGE);
    assert_non_null(more);
    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
        struct wire *wire = connect_as("client", versions[i]);
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
    struct test_server *server = start(NULL);
    struct wire *plain = wire_connect(server), *lazy = connect_as("client", 0);
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
             "(timeout 60 %s -p %s --tls --cacert %s --cert %s --key %s %s) 2>&1 </dev/null", tool,
             tls_port, in_folder("ca.crt"), in_folder("client.crt"), in_folder("client.key"),
             arguments);
    program_expect(command, 0, expected);
}

static void redis_cli_and_redis_benchmark_speak_tls(void **state) {
    (void)state;
    struct test_server *server = start(NULL);
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
        redisCreateSSLContext(in_folder("ca.crt"), NULL, certificate, key, "localhost", &error);
    if (context == NULL) fail_msg("%s", redisSSLContextGetError(error));
    return context;
}

static redisContext *hiredis_connect_tls(redisSSLContext *tls) {
    struct timeval wait = {.tv_sec = CLIENT_WAIT_MS / 1000};
    redisContext *context = redisConnectWithTimeout("127.0.0.1", atoi(tls_port), wait);
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
    struct test_server *server = start(NULL);
    redisSSLContext *tls = hiredis_tls(in_folder("client.crt"), in_folder("client.key"));
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
    struct test_server *server = start(NULL);
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

/* ---- Who misbehaves
 * ---------------------------------------------------------------------------------------------- */

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
    struct test_server *server = start(options);
    struct wire *plain = wire_connect(server);
    struct wire *wire = wire_try_connect("127.0.0.1", atoi(tls_port));
    assert_non_null(wire);
    while (wire_ask_field(plain, "INFO sherd", "tls_handshakes_open") == 0) {
        /* until it is accepted */
    }
    pid_t waker = put_to_sleep(server, 3500);
    SSL_CTX *context = client_context("client", 0);
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
    struct test_server *server = start(options);
    struct wire *silent = wire_try_connect("127.0.0.1", atoi(tls_port));
    struct wire *begun = wire_try_connect("127.0.0.1", atoi(tls_port));
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
    struct wire *wire = wire_try_connect("127.0.0.1", atoi(tls_port));
    wire_send_text(wire, text);
    assert_true(wire_drain(wire) < 32);
    wire_close(wire);
}

static void who_speaks_no_tls_is_dropped_and_told_of_now_and_then(void **state) {
    (void)state;
    struct test_server *server = start(NULL);
    for (int i = 0; i < 50; i++) {
        expect_dropped("*1\r\n$4\r\nPING\r\n");
    }
    expect_dropped("GET / HTTP/1.1\r\n\r\n");
    await_output(server, "TLS failed: it doesn't speak TLS (is it meant for 'port'?)");
    char *output = test_server_read_output(server);
    int lines = 0;
    for (const char *at = output; (at = strstr(at, "TLS failed")) != NULL; at++) {
        lines++;
    }
    assert_null(strstr(output, "; 0 more such")); /* the first has nothing before it */
    free(output);
    assert_true(lines < 25); /* one a second; a slow machine may take some */
    struct wire *plain = wire_connect(server);
    assert_int_equal(wire_ask_field(plain, "INFO sherd", "tls_handshakes_failed"), 51);
    wire_close(plain);
    test_server_stop(server);
}

static void refused_clients_are_closed_before_the_handshake(void **state) {
    (void)state;
    const char *const options[] = {"--maxclients", "1", NULL};
    struct test_server *server = start(options);
    struct wire *first = NULL;
    /* Whoever tried whether the server is ready may still be counted. */
    for (int attempt = 0; attempt < ATTEMPTS && first == NULL; attempt++) {
        SSL_CTX *context = client_context("client", 0);
        first = wire_try_connect_tls(atoi(tls_port), context, NULL);
        SSL_CTX_free(context);
        if (first == NULL) poll(NULL, 0, ATTEMPT_MS);
    }
    assert_non_null(first);
    wire_expect(first, "PING", "+PONG");
    struct wire *second = wire_try_connect("127.0.0.1", atoi(tls_port));
    wire_expect_closed(second); /* without a word in plain */
    wire_close(second);
    wire_close(first);
    test_server_stop(server);
}

/* ---- Sessions
 * ---------------------------------------------------------------------------------------------------- */

static SSL_SESSION *session_of(struct wire *wire) {
    wire_expect(wire, "PING", "+PONG"); /* in TLS 1.3 the ticket has come with it */
    SSL_SESSION *session = SSL_get1_session(wire_tls(wire));
    assert_non_null(session);
    return session;
}

static bool is_resumed(SSL_CTX *context, SSL_SESSION *session) {
    struct wire *wire = wire_try_connect_tls(atoi(tls_port), context, session);
    assert_non_null(wire);
    wire_expect(wire, "PING", "+PONG");
    bool is_reused = SSL_session_reused(wire_tls(wire));
    wire_close(wire);
    return is_reused;
}

static void sessions_are_resumed_unless_the_option_says_no(void **state) {
    (void)state;
    struct test_server *server = start(NULL);
    struct wire *plain = wire_connect(server);
    for (int round = 0; round < 3; round++) {
        /* TLS 1.3; 1.2 with tickets; 1.2 without, from our cache. */
        SSL_CTX *context = client_context("client", round == 0 ? TLS1_3_VERSION : TLS1_2_VERSION);
        if (round == 2) SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
        struct wire *wire = connect_with(context);
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
        SSL_CTX *context = client_context("client", version);
        struct wire *wire = connect_with(context);
        SSL_SESSION *session = session_of(wire);
        wire_close(wire);
        assert_false(is_resumed(context, session));
        SSL_SESSION_free(session);
        SSL_CTX_free(context);
    }
    wire_close(plain);
    test_server_stop(server);
}

/* ---- Certificates that change
 * ------------------------------------------------------------------------------------- */

static void copy_file(const char *from, const char *to) {
    char bytes[8192];
    FILE *in = fopen(in_folder(from), "r"), *out = fopen(in_folder(to), "w");
    assert_non_null(in);
    assert_non_null(out);
    size_t size = fread(bytes, 1, sizeof bytes, in);
    assert_int_equal(fwrite(bytes, 1, size, out), size);
    fclose(in);
    fclose(out);
}

static void put_certificate(const char *name) {
    char file[64];
    snprintf(file, sizeof file, "%s.crt", name);
    copy_file(file, "now.crt");
    snprintf(file, sizeof file, "%s.key", name);
    copy_file(file, "now.key");
}

/* The common name of the certificate that a new client is shown. */
static void expect_shown(const char *name) {
    char shown[64] = "";
    struct wire *wire = connect_as("client", 0);
    X509 *certificate = SSL_get1_peer_certificate(wire_tls(wire));
    assert_non_null(certificate);
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, shown,
                              sizeof shown);
    X509_free(certificate);
    wire_close(wire);
    assert_string_equal(shown, name);
}

/* A client of a thread of its own, which neither asserts nor stops until it is told. */
struct load {
    pthread_t thread;
    SSL_CTX *context;
    struct wire *wire;
    _Atomic bool is_over, has_failed;
    _Atomic long rounds;
};

static void *run_load(void *argument) {
    struct load *load = argument;
    SSL *tls = wire_tls(load->wire);
    while (!load->is_over) {
        char reply[5];
        int size = 0;
        bool is_sent = SSL_write(tls, "INCR n\r\n", 8) == 8;
        do {
            size = is_sent ? SSL_read(tls, reply, sizeof reply) : 0;
        } while (size > 0 && memchr(reply, '\n', (size_t)size) == NULL);
        if (size <= 0) break;
        load->rounds++;
    }
    load->has_failed = !load->is_over;
    return NULL;
}

static void certificates_change_and_nobody_is_dropped(void **state) {
    (void)state;
    enum { LOADS = 4, CHANGES = 10 };
    put_certificate("server");
    const char *const options[] = {"--tls-cert-file", in_folder("now.crt"), "--tls-key-file",
                                   in_folder("now.key"), NULL};
    struct test_server *server = start(options);
    struct wire *plain = wire_connect(server);
    struct load loads[LOADS] = {0};
    for (int i = 0; i < LOADS; i++) {
        loads[i].wire = connect_as("client", 0);
        assert_int_equal(pthread_create(&loads[i].thread, NULL, run_load, &loads[i]), 0);
    }
    for (int i = 0; i < CHANGES; i++) {
        const char *name = i % 2 == 0 ? "second" : "server";
        long before = loads[0].rounds;
        char command[2 * CERTIFICATE_PATH_MAX + 64];
        put_certificate(name);
        snprintf(command, sizeof command, "CONFIG SET tls-cert-file %s tls-key-file %s",
                 in_folder("now.crt"), in_folder("now.key"));
        wire_expect(plain, command, "+OK");
        expect_shown(name);
        while (loads[0].rounds == before && !loads[0].has_failed) {
            poll(NULL, 0, 1);
        }
    }
    for (int i = 0; i < LOADS; i++) {
        loads[i].is_over = true;
        pthread_join(loads[i].thread, NULL);
        assert_false(loads[i].has_failed);
        wire_close(loads[i].wire);
    }
    wire_close(plain);
    test_server_stop(server);
}

static void a_wrong_certificate_leaves_the_old_one(void **state) {
    (void)state;
    put_certificate("server");
    const char *const options[] = {"--tls-cert-file", in_folder("now.crt"), "--tls-key-file",
                                   in_folder("now.key"), NULL};
    struct test_server *server = start(options);
    struct wire *plain = wire_connect(server);
    char command[2 * CERTIFICATE_PATH_MAX + 64], expected[3 * CERTIFICATE_PATH_MAX + 200];
    wire_expect(plain, "CONFIG SET tls-ca-cert-dir /nowhere",
                "-ERR CONFIG SET failed (possibly related to argument 'tls-ca-cert-dir') - "
                "tls-ca-cert-dir: can't use /nowhere: No such file or directory");
    wire_expect(plain, "CONFIG SET tls-cert-file /nowhere/a.crt",
                "-ERR CONFIG SET failed (possibly related to argument 'tls-cert-file') - "
                "tls-cert-file: can't load the certificate from /nowhere/a.crt: No such file or "
                "directory");
    snprintf(command, sizeof command, "CONFIG SET tls-key-file %s", in_folder("second.key"));
    snprintf(expected, sizeof expected,
             "-ERR CONFIG SET failed (possibly related to argument 'tls-key-file') - tls-key-file: "
             "the key in %s isn't that of the certificate in %s",
             in_folder("second.key"), in_folder("now.crt"));
    wire_expect(plain, command, expected);
    char *shown = wire_ask(plain, "CONFIG GET tls-key-file");
    assert_non_null(strstr(shown, in_folder("now.key")));
    free(shown);
    snprintf(command, sizeof command, "CONFIG SET tls-cert-file %s", in_folder("."));
    snprintf(expected, sizeof expected,
             "-ERR CONFIG SET failed (possibly related to argument 'tls-cert-file') - "
             "tls-cert-file: can't load the certificate from %s: it is a folder; name the file",
             in_folder("."));
    wire_expect(plain, command, expected);
    expect_shown("server");
    assert_int_equal(times_said(server, "new clients get the certificate of"), 1);
    snprintf(command, sizeof command, "CONFIG SET tls-cert-file %s tls-key-file %s",
             in_folder("now.crt"), in_folder("now.key"));
    wire_expect(plain, command, "+OK");
    assert_int_equal(times_said(server, "new clients get the certificate of"), 2);

    copy_file("second.crt", "now.crt"); /* its key isn't there yet */
    kill(server->pid, SIGHUP);
    await_output(server, "SIGHUP: the certificate stays as it was: tls-key-file: the key in");
    expect_shown("server");
    copy_file("second.key", "now.key");
    kill(server->pid, SIGHUP);
    await_output(server, "new clients get the certificate of CN = second");
    expect_shown("second");
    wire_close(plain);
    test_server_stop(server);
}

/* ---- Starts that fail ------------------------------------------------------------------------ */

enum { ARGUMENTS_MAX = 1024 };

/* Run sherd with these arguments: it ends with status 1, having said `text`. */
static void expect_refusal(const char *options, const char *text) {
    char command[ARGUMENTS_MAX + sizeof SHERD_BINARY " 2>&1"];
    snprintf(command, sizeof command, SHERD_BINARY " %s 2>&1", options);
    program_expect(command, 1, text);
}

static void expect_no_start(const char *options, const char *text) {
    char arguments[ARGUMENTS_MAX];
    snprintf(arguments, sizeof arguments, "--port 0 --save '' --tls-port %s %s", tls_port, options);
    expect_refusal(arguments, text);
}

static void a_checked_configuration_has_a_certificate_that_will_do(void **state) {
    (void)state;
    char arguments[CERTIFICATE_PATH_MAX + 32];
    FILE *file = fopen(in_folder("sherd.conf"), "w");
    assert_non_null(file);
    fprintf(file, "tls-port 6380\ntls-auth-clients no\ntls-cert-file %s\n",
            in_folder("server.crt"));
    assert_int_equal(fclose(file), 0);
    snprintf(arguments, sizeof arguments, "--check-config %s", in_folder("sherd.conf"));
    expect_refusal(arguments, "sherd.conf:1: tls-key-file: can't load the key from");
    file = fopen(in_folder("sherd.conf"), "a");
    assert_non_null(file);
    fprintf(file, "tls-key-file %s\n", in_folder("ca.key"));
    assert_int_equal(fclose(file), 0);
    expect_refusal(arguments, "sherd.conf:4: tls-key-file: the key in");
    expect_refusal(arguments, "isn't that of the certificate");
}

static void an_expired_certificate_is_warned_of(void **state) {
    (void)state;
    char line[512];
    const char *const options[] = {"--tls-cert-file", in_folder("expired.crt"), "--tls-key-file",
                                   in_folder("expired.key"), NULL};
    struct test_server *server = start(options);
    await_output(server, " # TLS: new clients get the certificate of CN = expired, valid until ");
    test_server_stop(server);
    snprintf(line, sizeof line,
             SHERD_BINARY " --check --tls-port 6380 --tls-auth-clients no --tls-cert-file %s "
                          "--tls-key-file %s 2>&1",
             in_folder("expired.crt"), in_folder("expired.key"));
    program_expect(line, 0, "--tls-cert-file: warning: the certificate of CN = expired");
    program_expect(line, 0, "The configuration is valid.");
    snprintf(line, sizeof line,
             SHERD_BINARY " --check --tls-port 6380 --tls-auth-clients no --tls-cert-file %s "
                          "--tls-key-file %s 2>&1 | grep -c warning",
             in_folder("server.crt"), in_folder("server.key"));
    program_expect(line, 1, "0");
}

static void what_cannot_work_is_said_at_the_start(void **state) {
    (void)state;
    char options[512];
    snprintf(tls_port, sizeof tls_port, "%d", test_server_free_port());
    expect_no_start("", "tls-port needs a certificate: set tls-cert-file and tls-key-file");
    expect_no_start("--tls-cert-file /nowhere/x.crt", "/nowhere/x.crt: No such file or directory");
    expect_no_start("--tls-cert-file /tmp",
                    "can't load the certificate from /tmp: it is a folder; name the file");
    snprintf(options, sizeof options, "--tls-cert-file %s --tls-key-file %s",
             in_folder("server.crt"), in_folder("ca.key"));
    expect_no_start(options, "isn't that of the certificate");
    snprintf(options, sizeof options, "--tls-cert-file %s --tls-key-file %s",
             in_folder("server.crt"), in_folder("server.key"));
    expect_no_start(options, "tls-auth-clients asks clients for a certificate");
    snprintf(options, sizeof options, "--tls-cert-file %s --tls-key-file /tmp",
             in_folder("server.crt"));
    expect_no_start(options, "can't load the key from /tmp: it is a folder; name the file");
    snprintf(options, sizeof options,
             "--tls-cert-file %s --tls-key-file %s --tls-ca-cert-file /tmp",
             in_folder("server.crt"), in_folder("server.key"));
    expect_no_start(options, "can't load the authorities from /tmp: it is a folder");
    snprintf(options, sizeof options,
             "--tls-cert-file %s --tls-key-file %s --tls-auth-clients no --tls-protocols SSLv3",
             in_folder("server.crt"), in_folder("server.key"));
    expect_no_start(options, "tls-protocols: 'SSLv3' isn't one of TLSv1.2, TLSv1.3");
    snprintf(options, sizeof options,
             "--tls-cert-file %s --tls-key-file %s --tls-auth-clients no --tls-ciphers no-such",
             in_folder("server.crt"), in_folder("server.key"));
    expect_no_start(options, "tls-ciphers: 'no-such': no cipher match");
    struct test_server *server = start(NULL);
    snprintf(options, sizeof options, "--tls-cert-file %s --tls-key-file %s --tls-auth-clients no",
             in_folder("server.crt"), in_folder("server.key"));
    expect_no_start(options, "Address already in use");
    test_server_stop(server);
}

/* ---- Running
 * ------------------------------------------------------------------------------------------------------- */

static int make_folder(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/sherd-tls-XXXXXX");
    assert_non_null(mkdtemp(folder));
    certificate_make(folder, (struct certificate_wish){.name = "ca"});
    certificate_make(folder, (struct certificate_wish){.name = "server", .issuer = "ca"});
    certificate_make(folder, (struct certificate_wish){.name = "second", .issuer = "ca"});
    certificate_make(folder, (struct certificate_wish){.name = "client", .issuer = "ca"});
    certificate_make(
        folder, (struct certificate_wish){.name = "expired", .issuer = "ca", .is_expired = true});
    certificate_make(folder, (struct certificate_wish){.name = "stranger"});
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    return folder_remove(folder);
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
        cmocka_unit_test(refused_clients_are_closed_before_the_handshake),
        cmocka_unit_test(sessions_are_resumed_unless_the_option_says_no),
        cmocka_unit_test(certificates_change_and_nobody_is_dropped),
        cmocka_unit_test(a_wrong_certificate_leaves_the_old_one),
        cmocka_unit_test(a_checked_configuration_has_a_certificate_that_will_do),
        cmocka_unit_test(an_expired_certificate_is_warned_of),
        cmocka_unit_test(what_cannot_work_is_said_at_the_start),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
