/* How clients come, are told apart, are kept out, and go. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#include "tests/support/client.h"
#include "tests/support/server.h"
#include "tests/support/wire.h"

/* ---- Where ----------------------------------------------------------------------------------- */

static void the_unix_socket_serves_like_tcp(void **state) {
    struct wire *tcp = wire_connect(*state), *local = wire_connect_unix(*state);
    wire_expect(tcp, "SET key value", "+OK");
    wire_expect(local, "GET key", "\"value\"");
    char *info = wire_ask(local, "CLIENT INFO");
    assert_non_null(strstr(info, ((struct test_server *)*state)->unix_socket));
    free(info);
    wire_close(tcp);
    wire_close(local);
}

static const char *const with_relative_path[] = {"--unixsocket", "socket", "--enable-debug-command",
                                                 "local", NULL};

/* The server is in the folder of its socket. */
static void a_unix_socket_is_local_by_a_relative_path_too(void **state) {
    struct wire *monitor = wire_connect_unix(*state), *local = wire_connect_unix(*state);
    wire_expect(local, "DEBUG SLEEP 0", "+OK");
    wire_expect(monitor, "MONITOR", "+OK");
    wire_expect(local, "PING", "+PONG");
    char *line = wire_read_reply(monitor);
    assert_non_null(strstr(line, " [0 unix:socket] "));
    free(line);
    wire_close(monitor);
    wire_close(local);
}

static const char *const without_tcp[] = {"--port", "0", NULL};

static void port_zero_leaves_only_the_unix_socket(void **state) {
    struct wire *wire = wire_connect_unix(*state);
    wire_expect(wire, "PING", "+PONG");
    wire_close(wire);
}

static const char *const with_addresses[] = {"--bind", "127.0.0.1", "127.0.0.2", "::1", NULL};

static bool host_has_ipv6(void) {
    FILE *file = fopen("/proc/net/if_inet6", "r");
    if (file == NULL) return false;
    bool has_any = fgetc(file) != EOF;
    fclose(file);
    return has_any;
}

static void each_bound_address_serves(void **state) {
    static const char *const hosts[] = {"127.0.0.1", "127.0.0.2", "::1"};
    const struct test_server *server = *state;
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        struct wire *wire = wire_try_connect(hosts[i], server->port);
        if (wire == NULL) fail_msg("%s does not answer", hosts[i]);
        wire_expect(wire, "PING", "+PONG");
        wire_close(wire);
    }
    assert_null(wire_try_connect("127.0.0.3", server->port));
}

/* An address behind a '-' may be missing: 192.0.2.1 is nobody's (RFC 5737). */
static const char *const with_optional_address[] = {"--bind", "127.0.0.1", "-192.0.2.1", NULL};

static void an_optional_address_may_be_missing(void **state) {
    struct wire *wire = wire_connect(*state);
    wire_expect(wire, "PING", "+PONG");
    wire_close(wire);
}

/* ---- How many -------------------------------------------------------------------------------- */

static void await_clients(struct wire *watcher, int count) {
    for (int attempt = 0;
         wire_ask_field(watcher, "INFO clients", "connected_clients") != count && attempt < 1000;
         attempt++) {
        poll(NULL, 0, 2);
    }
    assert_int_equal(wire_ask_field(watcher, "INFO clients", "connected_clients"), count);
}

/* Connect, and wait until nobody else is connected. Whoever tried whether the server was ready came before, for each
 * listener's connections are accepted in order. */
static struct wire *connect_alone(const struct test_server *server) {
    struct wire *wire = wire_connect(server), *other = wire_connect_unix(server);
    wire_expect(other, "PING", "+PONG");
    wire_close(other);
    await_clients(wire, 1);
    return wire;
}

static void one_client_too_many_is_told_so(void **state) {
    struct wire *wires[3] = {connect_alone(*state)};
    wire_expect(wires[0], "CONFIG SET maxclients 3", "+OK");
    for (int i = 1; i < 3; i++) {
        wires[i] = wire_connect(*state);
        wire_expect(wires[i], "PING", "+PONG");
    }
    struct wire *fourth = wire_connect(*state);
    wire_expect_text(fourth, "-ERR max number of clients reached\r\n");
    wire_expect_closed(fourth);
    wire_close(fourth);
    assert_int_equal(wire_ask_field(wires[0], "INFO stats", "rejected_connections"), 1);

    wire_close(wires[2]); /* makes room */
    for (int attempt = 0; attempt < 1000; attempt++) {
        struct wire *next = wire_connect(*state);
        wire_try_send(next, "PING\r\n", 6);
        char *reply = wire_read_reply(next);
        bool served = reply != NULL && strcmp(reply, "+PONG") == 0;
        free(reply);
        wire_close(next);
        if (served) break;
        assert_int_not_equal(attempt, 999);
        poll(NULL, 0, 2);
    }
    wire_expect(wires[1], "PING", "+PONG");
    wire_close(wires[0]);
    wire_close(wires[1]);
}

enum { FEW = 20, MANY = 120, FILES_FEW = 100, FILES_MAX = 300 };
static const char *const few_clients[] = {"--maxclients", "20", "--workers", "1", NULL};

/* It starts with a low limit of files, which it may raise somewhat. */
static int setup_with_few_files(void **state) {
    struct rlimit mine, few, bounded = {FILES_FEW, FILES_MAX};
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &mine), 0);
    few = (struct rlimit){FILES_FEW, mine.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    int failed = test_server_setup(state);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &mine), 0);
    if (failed == 0) {
        const struct test_server *server = *state;
        assert_int_equal(prlimit(server->pid, RLIMIT_NOFILE, &bounded, NULL), 0);
    }
    return failed;
}

static void maxclients_set_later_gets_its_descriptors(void **state) {
    struct wire *admin = wire_connect(*state), *wires[MANY];
    char line[64];
    snprintf(line, sizeof line, "CONFIG SET maxclients %d", MANY + 50);
    wire_expect(admin, line, "+OK");
    for (int i = 0; i < MANY; i++) {
        wires[i] = wire_connect(*state);
        wire_expect(wires[i], "PING", "+PONG");
    }
    assert_int_equal(wire_ask_field(admin, "INFO stats", "rejected_connections"), 0);
    for (int i = 0; i < MANY; i++) {
        wire_close(wires[i]);
    }
    wire_close(admin);
}

static void maxclients_beyond_what_the_system_allows_is_refused(void **state) {
    struct wire *wire = wire_connect(*state);
    char *refusal = wire_ask(wire, "CONFIG SET maxclients 2000000000"), line[64];
    const char *advice = strstr(refusal, "The operating system is not able to handle the specified "
                                         "number of clients, try with ");
    if (advice == NULL) fail_msg("%s", refusal);
    int possible = 0;
    assert_int_equal(sscanf(strrchr(advice, ' '), " %d", &possible), 1);
    free(refusal);
    assert_true(possible > FEW);
    wire_expect(wire, "CONFIG GET maxclients", "[\"maxclients\", \"20\"]");
    snprintf(line, sizeof line, "CONFIG SET maxclients %d", possible);
    wire_expect(wire, line, "+OK");
    wire_expect(wire, "CONFIG SET maxclients 10", "+OK");
    wire_close(wire);
}

static void closed_clients_are_no_longer_counted(void **state) {
    struct wire *watcher = connect_alone(*state), *others[50];
    for (int i = 0; i < 50; i++) {
        others[i] = wire_connect(*state);
        wire_expect(others[i], "PING", "+PONG");
    }
    assert_int_equal(wire_ask_field(watcher, "INFO clients", "connected_clients"), 51);
    for (int i = 0; i < 50; i++) {
        wire_close(others[i]);
    }
    await_clients(watcher, 1);
    wire_close(watcher);
}

/* ---- How long -------------------------------------------------------------------------------- */

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static const char *const one_second[] = {"--timeout", "1", NULL};

static void an_idle_client_is_closed_and_a_busy_one_is_not(void **state) {
    struct wire *idle = wire_connect(*state), *busy = wire_connect(*state);
    int64_t begun_ms = now_ms();
    wire_expect(idle, "PING", "+PONG");
    struct pollfd idle_end = {.fd = wire_fd(idle), .events = POLLIN};
    while (poll(&idle_end, 1, 50) == 0 && now_ms() < begun_ms + WIRE_WAIT_MS) {
        wire_expect(busy, "PING", "+PONG");
    }
    wire_expect_closed(idle);
    assert_true(now_ms() - begun_ms >= 999);
    wire_expect(busy, "PING", "+PONG");
    wire_close(idle);
    wire_close(busy);
}

static void a_timeout_set_later_holds_for_clients_already_here(void **state) {
    struct wire *idle = wire_connect(*state), *busy = wire_connect(*state);
    wire_expect(idle, "PING", "+PONG");
    wire_expect(busy, "CONFIG SET timeout 1", "+OK");
    wire_close(busy);
    wire_expect_closed(idle);
    wire_close(idle);
}

/* ---- Killed ---------------------------------------------------------------------------------- */

static void client_kill_ends_every_other_connection(void **state) {
    struct wire *killer = wire_connect(*state), *victims[20];
    for (int i = 0; i < 20; i++) {
        victims[i] = i % 2 == 0 ? wire_connect(*state) : wire_connect_unix(*state);
        wire_expect(victims[i], "PING", "+PONG");
    }
    wire_expect(killer, "CLIENT KILL TYPE normal SKIPME yes", ":20");
    for (int i = 0; i < 20; i++) {
        wire_expect_closed(victims[i]);
        wire_close(victims[i]);
    }
    wire_expect(killer, "PING", "+PONG");
    wire_close(killer);
}

enum { MULTITUDE = 8400, MULTITUDE_FILES = MULTITUDE + 200 };
static const char *const two_workers[] = {"--workers", "2", "--maxclients", "8500", NULL};

static bool may_open_files(rlim_t count) {
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_cur >= count) return true;
    if (limit.rlim_max < count) return false;
    limit.rlim_cur = count;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

/* The other worker had a letter for each: 4,096 fit its mailbox, and the rest lived on. */
static void client_kill_ends_more_of_another_worker_than_its_mailbox_has_places(void **state) {
    static struct wire *victims[MULTITUDE];
    if (!may_open_files(MULTITUDE_FILES)) skip();
    struct wire *killer = connect_alone(*state);
    for (int i = 0; i < MULTITUDE; i++) {
        victims[i] = wire_connect_unix(*state);
    }
    await_clients(killer, MULTITUDE + 1);
    wire_expect(killer, "CLIENT KILL TYPE normal SKIPME yes", ":8400");
    for (int i = 0; i < MULTITUDE; i++) {
        wire_expect_closed(victims[i]);
        wire_close(victims[i]);
    }
    wire_close(killer);
}

static void client_kill_by_address_ends_that_one(void **state) {
    struct wire *killer = wire_connect(*state), *victim = wire_connect(*state);
    char address[64], line[128];
    char *info = wire_ask(victim, "CLIENT INFO");
    assert_int_equal(sscanf(strstr(info, " addr="), " addr=%63s", address), 1);
    free(info);
    snprintf(line, sizeof line, "CLIENT KILL %s", address);
    wire_expect(killer, line, "+OK");
    wire_expect_closed(victim);
    wire_expect(killer, line, "-ERR No such client");
    wire_close(victim);
    wire_close(killer);
}

static void a_client_that_kills_itself_is_answered_first(void **state) {
    struct wire *wire = wire_connect(*state);
    char line[64];
    snprintf(line, sizeof line, "CLIENT KILL ID %lld SKIPME no",
             wire_ask_integer(wire, "CLIENT ID"));
    wire_expect(wire, line, ":1");
    wire_expect_closed(wire);
    wire_close(wire);
}

/* ---- Told of in the log ---------------------------------------------------------------------- */

/* "client 7 (127.0.0.1:12345)" */
static void name_client(struct wire *wire, char *name, size_t room) {
    char address[64];
    char *info = wire_ask(wire, "CLIENT INFO");
    long long id = wire_ask_integer(wire, "CLIENT ID");
    assert_int_equal(sscanf(strstr(info, " addr="), " addr=%63s", address), 1);
    free(info);
    snprintf(name, room, "client %lld (%s)", id, address);
}

static const char *const talkative[] = {"--loglevel", "verbose", NULL};

static void a_broken_protocol_is_told_at_verbose(void **state) {
    char name[128], line[256];
    struct wire *wire = wire_connect(*state);
    name_client(wire, name, sizeof name);
    wire_send_text(wire, "*1\r\n\x1b[2J\r\n");
    wire_drain(wire);
    wire_close(wire);
    snprintf(line, sizeof line, " - Breaking with %s: Protocol error: expected '$', got '.'\n",
             name);
    test_server_await_said(*state, line);
}

static const char *const more_talkative[] = {"--loglevel", "debug", NULL};

static void who_comes_and_goes_is_told_at_debug(void **state) {
    char name[128], line[256];
    struct wire *wire = wire_connect(*state);
    name_client(wire, name, sizeof name);
    long long id = wire_ask_integer(wire, "CLIENT ID");
    snprintf(line, sizeof line, " . Accepted %s\n", name);
    test_server_await_said(*state, line);
    wire_close(wire);
    snprintf(line, sizeof line, " . Closing client %lld\n", id);
    test_server_await_said(*state, line);
}

static const char *const small_output[] = {
    "--client-output-buffer-limit", "normal", "16kb", "0", "0", NULL};

static void a_client_beyond_its_output_limit_is_named(void **state) {
    char name[128], line[256];
    struct wire *wire = wire_connect(*state);
    name_client(wire, name, sizeof name);
    wire_expect(wire, "SETRANGE key 99999 x", ":100000");
    free(wire_ask(wire, "GET key")); /* sent from where it lies: no memory of its own */
    wire_send_command(wire, "COMMAND");
    wire_drain(wire);
    wire_close(wire);
    snprintf(line, sizeof line, "Closing %s: its unsent replies pass client-output-buffer-limit\n",
             name);
    test_server_await_said(*state, line);
}

static void an_output_limit_is_of_those_who_are_connected_too(void **state) {
    struct wire *wire = wire_connect(*state);
    free(wire_ask(wire, "COMMAND"));
    wire_expect(wire, "CONFIG SET client-output-buffer-limit \"normal 16kb 0 0\"", "+OK");
    wire_send_command(wire, "COMMAND");
    wire_drain(wire);
    wire_close(wire);
}

/* ---- Paused ---------------------------------------------------------------------------------- */

static bool is_silent(const struct wire *wire, int wait_ms) {
    struct pollfd answer = {.fd = wire_fd(wire), .events = POLLIN};
    return poll(&answer, 1, wait_ms) == 0;
}

/* Until so many clients' commands are held. */
static void await_blocked(struct wire *admin, int64_t count) {
    int64_t give_up_ms = now_ms() + WIRE_WAIT_MS;
    while (wire_ask_field(admin, "INFO clients", "blocked_clients") != count)
        assert_true(now_ms() < give_up_ms);
}

static void client_pause_holds_writes_back_and_lets_reads_pass(void **state) {
    struct wire *admin = wire_connect(*state), *writer = wire_connect(*state);
    wire_expect(admin, "CLIENT PAUSE 60000 WRITE", "+OK");
    wire_send_command(writer, "SET key paused");
    wire_send_command(writer, "GET key"); /* behind it: the order of one connection holds */
    await_blocked(admin, 1);
    wire_expect(admin, "GET key", "$-1");
    wire_expect(admin, "CLIENT UNPAUSE", "+OK");
    wire_expect_reply(writer, "+OK");
    wire_expect_reply(writer, "\"paused\"");
    await_blocked(admin, 0);
    wire_close(admin);
    wire_close(writer);
}

/* Inline, too: a load balancer's PING is answered, and a quoted argument that had to wait is read as it was sent. */
static void client_pause_tells_inline_commands_apart(void **state) {
    struct wire *admin = wire_connect(*state), *writer = wire_connect(*state);
    wire_expect(admin, "CLIENT PAUSE 60000 WRITE", "+OK");
    wire_send_text(writer, "PING\r\nSET key \"a \\x62\"\r\nGET key\r\n");
    wire_expect_reply(writer, "+PONG");
    await_blocked(admin, 1);
    wire_send_text(admin, "CLIENT UNPAUSE\r\n");
    wire_expect_reply(admin, "+OK");
    wire_expect_reply(writer, "+OK");
    wire_expect_reply(writer, "\"a b\"");
    wire_close(admin);
    wire_close(writer);
}

/* As much as it sends stays with its socket, and so with it: nobody is closed for having been paused by us. */
static void who_is_paused_is_not_read_without_end(void **state) {
    enum { VALUE = 64 * 1024, VALUES = 512, ROUNDS = 100 };
    struct wire *admin = wire_connect(*state), *writer = wire_connect(*state);
    static char request[VALUE + 64];
    int size = snprintf(request, sizeof request, "*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$%d\r\n", VALUE);
    memset(request + size, 'v', VALUE);
    memcpy(request + size + VALUE, "\r\n", 2);
    wire_expect(admin, "CLIENT PAUSE 60000 WRITE", "+OK");
    size_t sent = 0, all = (size_t)size + VALUE + 2;
    for (int round = 0; round < ROUNDS;) { /* as much as goes, and then some time for more */
        ssize_t taken = send(wire_fd(writer), request + sent % all, all - sent % all, MSG_DONTWAIT);
        if (taken > 0) sent += (size_t)taken;
        if (taken < 0) round++, poll(NULL, 0, 2);
        assert_true(sent < (size_t)VALUES * VALUE);
    }
    assert_in_range(wire_ask_field(admin, "INFO memory", "mem_clients_normal"), 1024 * 1024,
                    8 * 1024 * 1024);
    wire_expect(admin, "CLIENT UNPAUSE", "+OK");
    wire_send(writer, request + sent % all, all - sent % all);
    for (size_t i = 0; i <= sent / all; i++) {
        wire_expect_reply(writer, "+OK");
    }
    wire_close(admin);
    wire_close(writer);
}

/* Nothing else happens meanwhile: the pause's end alone must move what waits for it. Never early; and as a
 * machine may be busy, the least of several is what tells how late. */
static void client_pause_ends_by_itself_and_on_time(void **state) {
    enum { PAUSE_MS = 100, ROUNDS = 10, LATE_MS_MAX = 50 };
    struct wire *admin = wire_connect(*state), *other = wire_connect(*state);
    int64_t least_ms = INT64_MAX;
    for (int round = 0; round < ROUNDS && least_ms > PAUSE_MS + LATE_MS_MAX; round++) {
        int64_t begun_ms = now_ms();
        wire_expect(admin, "CLIENT PAUSE 100", "+OK");
        wire_expect(other, "PING", "+PONG");
        int64_t took_ms = now_ms() - begun_ms;
        assert_true(took_ms >= PAUSE_MS - 1); /* the server's clock counts whole milliseconds */
        if (took_ms < least_ms) least_ms = took_ms;
    }
    assert_true(least_ms <= PAUSE_MS + LATE_MS_MAX);
    wire_close(admin);
    wire_close(other);
}

static void a_paused_client_is_not_idle(void **state) {
    struct wire *admin = wire_connect(*state), *other = wire_connect(*state);
    wire_expect(admin, "CLIENT PAUSE 2000 WRITE", "+OK");
    wire_send_command(other, "SET key value");
    wire_expect_reply(other, "+OK");
    wire_close(admin);
    wire_close(other);
}

static void a_paused_client_may_leave(void **state) {
    struct wire *admin = wire_connect(*state), *leaver = wire_connect(*state);
    wire_expect(admin, "CLIENT PAUSE 60000 WRITE", "+OK");
    wire_send_command(leaver, "SET key value");
    await_blocked(admin, 1);
    wire_close(leaver);
    await_blocked(admin, 0);
    wire_expect(admin, "CLIENT UNPAUSE", "+OK");
    wire_expect(admin, "PING", "+PONG");
    wire_close(admin);
}

/* ---- The end --------------------------------------------------------------------------------- */

/* State is dropped, since the server has been stopped and freed by the test: the fixture has nothing left to do. */
static void sigterm_answers_what_was_sent_before(void **state) {
    enum { COMMANDS = 5000 };
    struct test_server *server = *state;
    redisContext *context = hiredis_expect_open(server);
    for (int i = 0; i < COMMANDS; i++) {
        redisAppendCommand(context, "INCR counter");
    }
    assert_true(
        hiredis_take(context, REDIS_REPLY_INTEGER)); /* all are sent; the first is answered */
    kill(server->pid, SIGTERM);
    int answered = 1;
    while (answered < COMMANDS && hiredis_take(context, REDIS_REPLY_INTEGER)) {
        answered++;
    }
    assert_int_equal(answered, COMMANDS);
    redisFree(context);
    *state = NULL;
    test_server_await_end(server);
}

static void shutdown_ends_the_server(void **state) {
    struct test_server *server = *state;
    struct wire *wire = wire_connect(server), *other = wire_connect(server);
    wire_expect(wire, "SHUTDOWN FOO", "-ERR syntax error");
    wire_expect(wire, "SHUTDOWN NOSAVE SAVE", "-ERR syntax error");
    wire_expect(wire, "SHUTDOWN ABORT", "-ERR No shutdown in progress.");
    wire_expect(other, "PING", "+PONG");
    wire_send_command(wire, "SHUTDOWN NOSAVE");
    wire_expect_closed(wire);
    wire_expect_closed(other);
    wire_close(wire);
    wire_close(other);
    *state = NULL;
    test_server_await_end(server);
}

static void sigint_ends_the_server_too(void **state) {
    struct test_server *server = *state;
    struct wire *wire = wire_connect(server);
    wire_expect(wire, "PING", "+PONG");
    kill(server->pid, SIGINT);
    wire_expect_closed(wire);
    wire_close(wire);
    *state = NULL;
    test_server_await_end(server);
}

static const char *const one_worker[] = {"--workers", "1", NULL};

/* A client that takes its replies slowly keeps the server from ending; who connects now must not be let in. */
static void a_stopping_server_lets_nobody_in(void **state) {
    struct test_server *server = *state;
    struct wire *slow = wire_connect(server), *leaving = wire_connect(server);
    wire_expect(leaving, "SETRANGE key 67108863 x", ":67108864");
    wire_send_command(slow, "GET key");
    wire_expect_text(slow, "$67108864\r\n");
    assert_int_equal(kill(server->pid, SIGTERM), 0);
    wire_expect_closed(leaving);
    struct wire *late = wire_try_connect("127.0.0.1", server->port);
    if (late != NULL) {
        bool is_sent = wire_try_send(late, "PING\r\n", strlen("PING\r\n"));
        assert_true(!is_sent || is_silent(late, 300));
        wire_close(late);
    }
    wire_close(slow);
    wire_close(leaving);
    *state = NULL;
    test_server_await_end(server);
}

int main(void) {
    test_server_require();
    const struct CMUnitTest tests[] = {
        TEST_WITH_SERVER(the_unix_socket_serves_like_tcp, NULL),
        TEST_WITH_SERVER(a_unix_socket_is_local_by_a_relative_path_too, with_relative_path),
        TEST_WITH_SERVER(port_zero_leaves_only_the_unix_socket, without_tcp),
        TEST_WITH_SERVER(an_optional_address_may_be_missing, with_optional_address),
        TEST_WITH_SERVER(one_client_too_many_is_told_so, NULL),
        {"maxclients_set_later_gets_its_descriptors", maxclients_set_later_gets_its_descriptors,
         setup_with_few_files, test_server_teardown, (void *)(uintptr_t)few_clients},
        {"maxclients_beyond_what_the_system_allows_is_refused",
         maxclients_beyond_what_the_system_allows_is_refused, setup_with_few_files,
         test_server_teardown, (void *)(uintptr_t)few_clients},
        TEST_WITH_SERVER(closed_clients_are_no_longer_counted, NULL),
        TEST_WITH_SERVER(an_idle_client_is_closed_and_a_busy_one_is_not, one_second),
        TEST_WITH_SERVER(a_timeout_set_later_holds_for_clients_already_here, NULL),
        TEST_WITH_SERVER(client_kill_ends_every_other_connection, NULL),
        TEST_WITH_SERVER(client_kill_ends_more_of_another_worker_than_its_mailbox_has_places,
                         two_workers),
        TEST_WITH_SERVER(client_kill_by_address_ends_that_one, NULL),
        TEST_WITH_SERVER(a_client_that_kills_itself_is_answered_first, NULL),
        TEST_WITH_SERVER(a_broken_protocol_is_told_at_verbose, talkative),
        TEST_WITH_SERVER(who_comes_and_goes_is_told_at_debug, more_talkative),
        TEST_WITH_SERVER(a_client_beyond_its_output_limit_is_named, small_output),
        TEST_WITH_SERVER(an_output_limit_is_of_those_who_are_connected_too, NULL),
        TEST_WITH_SERVER(client_pause_holds_writes_back_and_lets_reads_pass, NULL),
        TEST_WITH_SERVER(client_pause_tells_inline_commands_apart, NULL),
        TEST_WITH_SERVER(who_is_paused_is_not_read_without_end, NULL),
        TEST_WITH_SERVER(client_pause_ends_by_itself_and_on_time, NULL),
        TEST_WITH_SERVER(a_paused_client_is_not_idle, one_second),
        TEST_WITH_SERVER(a_paused_client_may_leave, NULL),
        TEST_WITH_SERVER(sigterm_answers_what_was_sent_before, NULL),
        TEST_WITH_SERVER(shutdown_ends_the_server, NULL),
        TEST_WITH_SERVER(sigint_ends_the_server_too, NULL),
        TEST_WITH_SERVER(a_stopping_server_lets_nobody_in, one_worker),
    };
    const struct CMUnitTest ipv6_tests[] = {
        TEST_WITH_SERVER(each_bound_address_serves, with_addresses),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    if (host_has_ipv6()) return failed + cmocka_run_group_tests(ipv6_tests, NULL, NULL);
    print_message("This host has no IPv6: ::1 is not tested.\n");
    return failed;
}
