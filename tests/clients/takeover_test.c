/* A successor takes over under load: every client counts what became of each of its requests.
 *
 * Each client has keys of its own, so it knows what must be there: what was acknowledged, and nothing else. A
 * request that was not answered, for the connection ended, was not run: it is sent again, and counters show that
 * none was run twice. So the numbers of misses, of wrong values, of refused connections and of errors must all be
 * zero. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <openssl/ssl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/certificate.h"
#include "tests/support/client.h"
#include "tests/support/crowd.h"
#include "tests/support/folder.h"
#include "tests/support/server.h"
#include "tests/support/systemd.h"
#include "tests/support/wire.h"

enum {
    SETTERS = 2,
    COUNTERS = 2, /* one of them over the Unix socket */
    CALLERS = 1,
    CLIENTS = SETTERS + COUNTERS + CALLERS,
    KEYS = 500, /* of a setter */
    PIPELINE = 16,
    HAND_OVERS = 10,
    REPLIES_BETWEEN = 200, /* of each client, between two hand-overs */
    REST_KEYS = 20000,     /* that nobody asks for meanwhile */
};

static const char *const options[] = {"--takeover-socket", "takeover", "--workers", "3", NULL};

/* ---- The clients ----------------------------------------------------------------------------- */

struct tally {
    _Atomic uint64_t replies;
    uint64_t unanswered, reconnects, refused, misses, wrong, errors;
};

struct load {
    const struct test_server *server; /* its addresses */
    _Atomic bool is_over;
    struct tally tallies[CLIENTS];
};

static bool is_over(const struct load *load) {
    return atomic_load_explicit(&load->is_over, memory_order_relaxed);
}

static void note_reply(struct tally *tally) {
    atomic_fetch_add_explicit(&tally->replies, 1, memory_order_relaxed);
}

static redisContext *connect_to(const struct load *load, struct tally *tally, bool is_unix) {
    redisContext *client = is_unix ? hiredis_open_unix(load->server) : hiredis_open(load->server);
    if (client == NULL) tally->refused++;
    return client;
}

/* The connection is gone, with so many requests under way. NULL: nobody is there. */
static redisContext *connect_again(const struct load *load, struct tally *tally,
                                   redisContext *client, uint64_t unanswered, bool is_unix) {
    tally->unanswered += unanswered;
    tally->reconnects++;
    redisFree(client);
    return connect_to(load, tally, is_unix);
}

/* What was set is there, until it is set to something else. */
static bool set_and_get(struct load *load, struct tally *tally, size_t index) {
    unsigned versions[KEYS] = {0}, seed = (unsigned)index;
    redisContext *client = connect_to(load, tally, false);
    for (unsigned step = 0; client != NULL && !is_over(load); step++) {
        unsigned key = step < KEYS ? step : (unsigned)rand_r(&seed) % KEYS;
        bool sets = step < KEYS || step % 2 == 0;
        redisReply *reply =
            sets ? redisCommand(client, "SET %u:%u %u", (unsigned)index, key, versions[key] + 1)
                 : redisCommand(client, "GET %u:%u", (unsigned)index, key);
        if (reply == NULL) {
            client = connect_again(load, tally, client, 1, false);
            if (step < KEYS) step--;
            continue;
        }
        note_reply(tally);
        if (reply->type == REDIS_REPLY_ERROR) {
            tally->errors++;
        } else if (sets) {
            versions[key]++;
        } else if (reply->type == REDIS_REPLY_NIL) {
            tally->misses++;
        } else if (strtoul(reply->str, NULL, 10) != versions[key]) {
            tally->wrong++;
        }
        freeReplyObject(reply);
    }
    if (client != NULL) redisFree(client);
    return client != NULL;
}

/* A pipeline of INCR: each reply is the one before and one more, wherever the connection ends. */
static bool count_up(struct load *load, struct tally *tally, size_t index) {
    bool is_unix = index == SETTERS;
    long long last = 0;
    redisContext *client = connect_to(load, tally, is_unix);
    while (client != NULL && !is_over(load)) {
        for (int i = 0; i < PIPELINE; i++) {
            redisAppendCommand(client, "INCR counter:%u", (unsigned)index);
        }
        for (int i = 0; i < PIPELINE; i++) {
            redisReply *reply = NULL;
            if (redisGetReply(client, (void **)&reply) != REDIS_OK) {
                client = connect_again(load, tally, client, (uint64_t)(PIPELINE - i), is_unix);
                break;
            }
            note_reply(tally);
            if (reply->type != REDIS_REPLY_INTEGER) {
                tally->errors++;
            } else if (reply->integer != last + 1) {
                if (reply->integer == 1) tally->misses++;
                tally->wrong++;
            }
            last = reply->type == REDIS_REPLY_INTEGER ? reply->integer : last;
            freeReplyObject(reply);
        }
    }
    if (client != NULL) redisFree(client);
    return client != NULL;
}

/* Connects, asks once, hangs up. */
static bool call(struct load *load, struct tally *tally) {
    while (!is_over(load)) {
        redisContext *client = connect_to(load, tally, false);
        if (client == NULL) return false;
        redisReply *reply = redisCommand(client, "PING");
        if (reply == NULL) {
            tally->unanswered++;
            tally->reconnects++;
        } else {
            note_reply(tally);
            if (reply->type != REDIS_REPLY_STATUS) tally->errors++;
        }
        freeReplyObject(reply);
        redisFree(client);
    }
    return true;
}

static bool be_a_client(void *context, size_t index) {
    struct load *load = context;
    struct tally *tally = &load->tallies[index];
    if (index < SETTERS) return set_and_get(load, tally, index);
    if (index < SETTERS + COUNTERS) return count_up(load, tally, index);
    return call(load, tally);
}

static void await_replies(const struct load *load) {
    for (size_t i = 0; i < CLIENTS; i++) {
        const struct tally *tally = &load->tallies[i];
        uint64_t before = atomic_load_explicit(&tally->replies, memory_order_relaxed);
        for (int waited_ms = 0;
             atomic_load_explicit(&tally->replies, memory_order_relaxed) < before + REPLIES_BETWEEN;
             waited_ms++) {
            if (waited_ms > CLIENT_WAIT_MS) fail_msg("client %zu gets no replies", i);
            usleep(1000);
        }
    }
}

static void fill(const struct test_server *server, int count) {
    redisContext *client = hiredis_expect_open(server);
    for (int i = 0; i < count; i++) {
        redisAppendCommand(client, "SET rest:%d value-of-%d", i, i);
    }
    for (int i = 0; i < count; i++) {
        assert_true(hiredis_take(client, REDIS_REPLY_STATUS));
    }
    redisFree(client);
}

/* ---- The tests ------------------------------------------------------------------------------- */

static void ten_hand_overs_under_load_lose_nothing(void **state) {
    struct test_server *server = *state;
    struct load load = {.server = server};
    fill(server, REST_KEYS);
    struct crowd *crowd = crowd_start(CLIENTS, be_a_client, &load);
    await_replies(&load);
    for (int i = 0; i < HAND_OVERS; i++) {
        assert_true(test_server_take_over(server, options));
        await_replies(&load);
    }
    atomic_store_explicit(&load.is_over, true, memory_order_relaxed);
    bool all_served = crowd_finish(crowd);
    struct tally sum = {0};
    for (size_t i = 0; i < CLIENTS; i++) {
        const struct tally *tally = &load.tallies[i];
        sum.replies += tally->replies;
        sum.unanswered += tally->unanswered;
        sum.reconnects += tally->reconnects;
        sum.refused += tally->refused;
        sum.misses += tally->misses;
        sum.wrong += tally->wrong;
        sum.errors += tally->errors;
    }
    print_message(
        "%d hand-overs, %d clients: %llu replies; %llu misses, %llu wrong values, %llu "
        "errors, %llu refused connections; %llu reconnects with %llu requests sent again\n",
        HAND_OVERS, CLIENTS, (unsigned long long)sum.replies, (unsigned long long)sum.misses,
        (unsigned long long)sum.wrong, (unsigned long long)sum.errors,
        (unsigned long long)sum.refused, (unsigned long long)sum.reconnects,
        (unsigned long long)sum.unanswered);
    assert_true(all_served);
    assert_int_equal(sum.misses, 0);
    assert_int_equal(sum.wrong, 0);
    assert_int_equal(sum.errors, 0);
    assert_int_equal(sum.refused, 0);
    struct wire *wire = wire_connect(server);
    for (int i = 0; i < REST_KEYS; i += 997) {
        char line[64], expected[64];
        snprintf(line, sizeof line, "GET rest:%d", i);
        snprintf(expected, sizeof expected, "\"value-of-%d\"", i);
        wire_expect(wire, line, expected);
    }
    wire_close(wire);
}

static void databases_deadlines_and_every_form_of_a_value_go_along(void **state) {
    struct test_server *server = *state;
    struct wire *wire = wire_connect(server);
    wire_expect(wire, "SET number 12345", "+OK");
    wire_expect(wire, "SET soon x EX 1000", "+OK");
    wire_expect(wire, "SETRANGE large 300000 x", ":300001");
    wire_expect(wire, "SET \"\" empty", "+OK");
    wire_expect(wire, "SELECT 15", "+OK");
    wire_expect(wire, "SET number 15", "+OK");
    wire_expect(wire, "PEXPIREAT number 99999999999999", ":1");
    wire_close(wire);
    assert_true(test_server_take_over(server, options));
    wire = wire_connect(server);
    wire_expect(wire, "DBSIZE", ":4");
    wire_expect(wire, "GET number", "\"12345\"");
    wire_expect(wire, "GET \"\"", "\"empty\"");
    wire_expect(wire, "STRLEN large", ":300001");
    assert_in_range(wire_ask_integer(wire, "TTL soon"), 900, 1000);
    wire_expect(wire, "SELECT 15", "+OK");
    wire_expect(wire, "PEXPIRETIME number", ":99999999999999");
    wire_expect(wire, "GET number", "\"15\"");
    wire_close(wire);
}

/* Who waits or is held when the other takes over is let go, and finds all when it comes back. */
static void clients_that_wait_are_let_go(void **state) {
    struct test_server *server = *state;
    struct wire *holder = wire_connect(server), *waiter = wire_connect(server),
                *idle = wire_connect_unix(server), *monitor = wire_connect(server);
    wire_expect(monitor, "MONITOR", "+OK");
    char *lease = wire_ask(holder, "GETLEASE missing 10000");
    free(lease);
    wire_send_command(waiter, "GETLEASE missing 10000 WAIT 60000");
    wire_expect(idle, "PING", "+PONG");
    assert_true(test_server_take_over(server, options));
    wire_expect_closed(holder);
    wire_expect_closed(waiter);
    wire_expect_closed(idle);
    wire_drain(monitor);
    wire_close(holder);
    wire_close(waiter);
    wire_close(idle);
    wire_close(monitor);
}

/* SIGUSR2: the server starts its successor itself, as it was started; and that one its own. */
static void write_text(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void a_signal_starts_a_successor(void **state) {
    struct test_server *server = *state;
    struct wire *wire = wire_connect(server);
    wire_expect(wire, "SET key value", "+OK");
    wire_close(wire);
    for (int i = 0; i < 2; i++) {
        pid_t before = server->pid;
        kill(server->pid, SIGUSR2);
        test_server_follow(server);
        assert_int_not_equal(server->pid, before);
        wire = wire_connect(server);
        wire_expect(wire, "GET key", "\"value\"");
        assert_int_equal(wire_ask_field(wire, "INFO server", "process_id"), server->pid);
        wire_close(wire);
        struct stat file;
        char path[SERVER_PATH_MAX];
        snprintf(path, sizeof path, "%s/takeover", server->folder);
        assert_int_equal(stat(path, &file), 0);
        assert_int_equal(file.st_mode & 0777, 0600);
    }
}

static void a_broken_configuration_is_told_in_the_log(void **state) {
    (void)state;
    char folder[] = "/tmp/sherd-broken-XXXXXX", path[SERVER_PATH_MAX];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/sherd.conf", folder);
    write_text(path, "takeover-socket takeover\n");
    const char *const with_file[] = {path, "--dir", folder, NULL};
    struct test_server *server = test_server_start(with_file);
    write_text(path, "takeover-socket takeover\nnosuch 1\n");
    kill(server->pid, SIGUSR2);
    test_server_await_said(server, ", gave up (exit status 1): /tmp/sherd-broken-");
    test_server_await_said(server, "/sherd.conf:2: ");
    struct wire *wire = wire_connect(server);
    wire_expect(wire, "PING", "+PONG");
    wire_close(wire);
    write_text(path, "takeover-socket takeover\n");
    kill(server->pid, SIGUSR2);
    test_server_follow(server);
    test_server_stop(server);
    folder_remove(folder);
}

/* Neither the file of keys nor the Unix socket's nor the pid file is the old one's any more. */
static void files_are_the_successors(void **state) {
    (void)state;
    static const char *const saving[] = {"--takeover-socket", "takeover", "--save", "3600 1",
                                         "--pidfile",         "pid",      NULL};
    struct test_server *server = test_server_start(saving);
    struct wire *wire = wire_connect(server);
    char path[SERVER_PATH_MAX];
    struct stat file;
    snprintf(path, sizeof path, "%s/dump.rdb", server->folder);
    wire_expect(wire, "SET key old", "+OK");
    assert_true(test_server_take_over(server, saving));
    wire_close(wire);
    assert_int_equal(stat(path, &file), -1);
    wire = wire_connect_unix(server);
    assert_true(wire_ask_field(wire, "INFO persistence", "rdb_changes_since_last_save") > 0);
    wire_expect(wire, "SET key new", "+OK");
    wire_close(wire);
    snprintf(path, sizeof path, "%s/pid", server->folder);
    FILE *pidfile = fopen(path, "r");
    int pid = 0;
    assert_non_null(pidfile);
    assert_int_equal(fscanf(pidfile, "%d", &pid), 1);
    fclose(pidfile);
    assert_int_equal(pid, server->pid);
    test_server_stop(server);
}

static void paths_may_be_spelled_in_another_way(void **state) {
    (void)state;
    static const char *const relative[] = {"--takeover-socket", "takeover", NULL};
    struct test_server *server = test_server_start(relative);
    char door[SERVER_PATH_MAX], around[2 * SERVER_PATH_MAX];
    struct stat file;
    snprintf(door, sizeof door, "%s/takeover", server->folder);
    snprintf(around, sizeof around, "%s/./socket", server->folder);
    const char *const whole[] = {"--takeover-socket", door,   "--dir", "/tmp",
                                 "--unixsocket",      around, NULL};
    assert_true(test_server_take_over(server, whole));
    assert_int_equal(stat(server->unix_socket, &file), 0);
    assert_true(test_server_take_over(server, relative));
    struct wire *wire = wire_connect_unix(server);
    wire_expect(wire, "PING", "+PONG");
    wire_close(wire);
    test_server_stop(server);
}

/* A client that speaks TLS is told the end as TLS tells it, and not cut off; and the port of metrics goes
 * along. */
static void the_ports_of_tls_and_metrics_go_along(void **state) {
    (void)state;
    enum { TIMES = 2 };
    char folder[] = "/tmp/sherd-takeover-XXXXXX", tls_port[16], metrics_port[16];
    char certificate[CERTIFICATE_PATH_MAX], key[CERTIFICATE_PATH_MAX];
    assert_non_null(mkdtemp(folder));
    certificate_make(folder, (struct certificate_wish){.name = "server"});
    certificate_path(folder, "server.crt", certificate);
    certificate_path(folder, "server.key", key);
    snprintf(tls_port, sizeof tls_port, "%d", test_server_free_port());
    snprintf(metrics_port, sizeof metrics_port, "%d", test_server_free_port());
    const char *const both[] = {"--takeover-socket",
                                "takeover",
                                "--tls-port",
                                tls_port,
                                "--tls-cert-file",
                                certificate,
                                "--tls-key-file",
                                key,
                                "--tls-auth-clients",
                                "no",
                                "--metrics-port",
                                metrics_port,
                                NULL};
    struct test_server *server = test_server_start(both);
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    for (int i = 0; i < TIMES; i++) {
        struct wire *wire = wire_try_connect_tls(atoi(tls_port), context, NULL);
        assert_non_null(wire);
        wire_expect(wire, "INCR count", i == 0 ? ":1" : ":2");
        assert_true(test_server_take_over(server, both));
        wire_expect_closed(wire);
        assert_int_equal(SSL_get_shutdown(wire_tls(wire)) & SSL_RECEIVED_SHUTDOWN,
                         SSL_RECEIVED_SHUTDOWN);
        wire_close(wire);
        wire = wire_try_connect("127.0.0.1", atoi(metrics_port));
        assert_non_null(wire);
        wire_send_text(wire,
                       "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        wire_expect_text(wire, "HTTP/1.1 200 OK\r\n");
        wire_close(wire);
    }
    SSL_CTX_free(context);
    test_server_stop(server);
    assert_int_equal(folder_remove(folder), 0);
}

/* systemd is told that the main process is another, and not that anybody stops. */
static void systemd_is_told_who_serves(void **state) {
    (void)state;
    static const char *const supervised[] = {"--takeover-socket", "takeover", "--supervised",
                                             "systemd", NULL};
    char told[SYSTEMD_STATE_MAX], expected[64];
    int fd = systemd_listen();
    struct test_server *server = test_server_start(supervised);
    assert_true(test_server_take_over(server, supervised));
    unsetenv("NOTIFY_SOCKET");
    snprintf(expected, sizeof expected, "MAINPID=%d", (int)server->pid);
    bool is_told = false;
    for (int count = 0; count < 3; count++) { /* READY=1 of both besides */
        systemd_read(fd, told);
        is_told = is_told || strcmp(told, expected) == 0;
        if (strcmp(told, expected) != 0) assert_string_equal(told, "READY=1");
    }
    assert_true(is_told);
    close(fd);
    test_server_stop(server);
}

/* A successor with less memory keeps what fits, as loading a file does. */
static void a_successor_with_less_memory_evicts(void **state) {
    struct test_server *server = *state;
    static const char *const less[] = {"--takeover-socket",  "takeover",    "--maxmemory", "24mb",
                                       "--maxmemory-policy", "allkeys-lru", NULL};
    redisContext *client = hiredis_expect_open(server);
    enum { LARGE = 3000 };
    for (int i = 0; i < LARGE; i++) {
        redisAppendCommand(client, "SETRANGE large:%d 16000 x", i);
    }
    for (int i = 0; i < LARGE; i++) {
        assert_true(hiredis_take(client, REDIS_REPLY_INTEGER));
    }
    redisFree(client);
    assert_true(test_server_take_over(server, less));
    struct wire *wire = wire_connect(server);
    assert_in_range(wire_ask_integer(wire, "DBSIZE"), 1, LARGE - 1);
    assert_true(wire_ask_field(wire, "INFO stats", "evicted_keys") > 0);
    wire_close(wire);
}

int main(void) {
    test_server_require();
    signal(SIGPIPE, SIG_IGN); /* OpenSSL writes to sockets without MSG_NOSIGNAL */
    const struct CMUnitTest tests[] = {
        TEST_WITH_SERVER(ten_hand_overs_under_load_lose_nothing, options),
        TEST_WITH_SERVER(databases_deadlines_and_every_form_of_a_value_go_along, options),
        TEST_WITH_SERVER(clients_that_wait_are_let_go, options),
        TEST_WITH_SERVER(a_signal_starts_a_successor, options),
        cmocka_unit_test(a_broken_configuration_is_told_in_the_log),
        cmocka_unit_test(files_are_the_successors),
        cmocka_unit_test(paths_may_be_spelled_in_another_way),
        cmocka_unit_test(the_ports_of_tls_and_metrics_go_along),
        cmocka_unit_test(systemd_is_told_who_serves),
        TEST_WITH_SERVER(a_successor_with_less_memory_evicts, options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
