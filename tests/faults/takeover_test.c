/* Successors that fail, and strangers at the door: whatever they do, and wherever in the hand-over they stop, the
 * server that runs serves on, and the next successor is met as the first would have been. We play the successor,
 * step by step. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server/takeover/message.h"
#include "tests/support/server.h"
#include "tests/support/wire.h"

enum { AWAIT_MS = 20000, KEYS_BYTES = 8 << 20 /* more than a pipe holds */ };

static const char *const options[] = {"--takeover-socket", "takeover", NULL};

/* ---- A successor of ours --------------------------------------------------------------------- */

static int knock(const struct test_server *server) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/takeover", server->folder);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static struct message hear(int fd, enum message_kind kind, int *passed_fd) {
    struct message message;
    enum message_outcome outcome = message_receive(fd, AWAIT_MS, &message, passed_fd);
    if (outcome != MESSAGE_CAME) fail_msg("the server %s", message_outcome_text(outcome));
    assert_int_equal(message.kind, kind);
    return message;
}

static void say(int fd, enum message_kind kind) {
    struct message message = message_of(kind);
    message.databases = 16;
    assert_true(message_send(fd, &message, -1));
}

static void expect_hung_up(int fd) {
    struct message message;
    assert_int_equal(message_receive(fd, AWAIT_MS, &message, NULL), MESSAGE_GONE);
    close(fd);
}

static void expect_refused(int fd, const char *words) {
    struct message message = hear(fd, MESSAGE_REFUSED, NULL);
    if (strstr(message.text, words) == NULL) fail_msg("refused by: %s", message.text);
    expect_hung_up(fd);
}

static void take_sockets(int fd) {
    struct message message = hear(fd, MESSAGE_WELCOME, NULL);
    assert_in_range(message.listeners, 3, 4); /* TCP, Unix, this one */
    for (uint64_t i = 0; i < message.listeners; i++) {
        int passed_fd;
        hear(fd, MESSAGE_LISTENER, &passed_fd);
        assert_true(passed_fd >= 0);
        close(passed_fd);
    }
}

static int take_pipe(int fd) {
    int passed_fd;
    hear(fd, MESSAGE_DATA, &passed_fd);
    assert_true(passed_fd >= 0);
    return passed_fd;
}

static void drain(int fd) {
    static char dropped[1 << 16];
    while (read(fd, dropped, sizeof dropped) > 0) {
        /* until the end */
    }
}

/* Go as far as that, and no further. `*pipe_fd`: -1, or still open; NULL: it is closed. */
enum step { AT_HELLO, AT_SOCKETS, AT_PIPE, IN_DATA, AT_DATA, AT_LOADED, AT_YOURS, STEPS };

static int play(const struct test_server *server, enum step last, int *open_pipe) {
    int fd = knock(server), pipe_fd = -1;
    say(fd, MESSAGE_HELLO);
    if (last >= AT_SOCKETS) take_sockets(fd);
    if (last >= AT_PIPE) pipe_fd = take_pipe(fd);
    char part[100];
    if (last >= IN_DATA) assert_true(read(pipe_fd, part, sizeof part) > 0);
    if (last >= AT_DATA) drain(pipe_fd);
    if (last >= AT_LOADED) say(fd, MESSAGE_LOADED);
    if (last >= AT_YOURS) hear(fd, MESSAGE_YOURS, NULL);
    if (open_pipe != NULL) {
        *open_pipe = pipe_fd;
    } else if (pipe_fd >= 0) {
        close(pipe_fd);
    }
    return fd;
}

/* ---- The server ------------------------------------------------------------------------------ */

static void fill(const struct test_server *server) {
    struct wire *wire = wire_connect(server);
    char line[64];
    wire_expect(wire, "SET key value", "+OK");
    snprintf(line, sizeof line, "SETRANGE large %d x", KEYS_BYTES);
    char *reply = wire_ask(wire, line);
    free(reply);
    wire_close(wire);
}

static void expect_service(const struct test_server *server) {
    struct wire *wire = wire_connect(server);
    wire_expect(wire, "GET key", "\"value\"");
    wire_expect(wire, "SET other 1", "+OK");
    wire_expect(wire, "DEL other", ":1");
    wire_close(wire);
}

/* ---- Strangers ------------------------------------------------------------------------------- */

static void strangers_are_refused_and_change_nothing(void **state) {
    struct test_server *server = *state;
    fill(server);
    static const char http[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    char noise[4 * MESSAGE_BYTES];
    for (size_t i = 0; i < sizeof noise; i++) {
        noise[i] = (char)(i * 7919 >> 3);
    }
    int fd = knock(server);
    assert_int_equal(send(fd, noise, sizeof noise, MSG_NOSIGNAL), sizeof noise);
    struct message message;
    hear(fd, MESSAGE_REFUSED, NULL);
    close(fd);
    fd = knock(server);
    assert_int_equal(send(fd, http, sizeof http - 1, MSG_NOSIGNAL), sizeof http - 1);
    shutdown(fd, SHUT_WR);
    expect_refused(fd, "hung up");
    fd = knock(server); /* who says nothing is left standing */
    expect_refused(fd, "says nothing");
    close(knock(server));
    fd = knock(server);
    say(fd, MESSAGE_MINE);
    expect_refused(fd, "unexpected");
    fd = knock(server);
    message = message_of(MESSAGE_HELLO);
    message.format = MESSAGE_FORMAT + 1;
    assert_true(message_send(fd, &message, -1));
    expect_refused(fd, "another protocol");
    expect_service(server);
    assert_true(test_server_take_over(server, options));
    expect_service(server);
}

static void an_older_version_and_other_databases_are_refused(void **state) {
    struct test_server *server = *state;
    fill(server);
    int fd = knock(server);
    struct message message = message_of(MESSAGE_HELLO);
    message.databases = 16;
    snprintf(message.version, sizeof message.version, "0.0.99");
    assert_true(message_send(fd, &message, -1));
    expect_refused(fd, "it is sherd 0.0.99, older than the running ");
    static const char *const fewer[] = {"--takeover-socket", "takeover", "--databases", "8", NULL};
    assert_false(test_server_take_over(server, fewer));
    test_server_expect_said(server,
                            "refuses: it has 8 databases, the running server 16 (start it with "
                            "--databases 16)");
    expect_service(server);
}

static void other_users_are_refused(void **state) {
    struct test_server *server = *state;
    enum { NOBODY = 65534 };
    if (geteuid() != 0) skip(); /* nobody else's name to come in */
    char path[SERVER_PATH_MAX];
    snprintf(path, sizeof path, "%s/takeover", server->folder);
    fill(server);
    assert_int_equal(chmod(server->folder, 0755), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) { /* the permissions keep it out */
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        if (setuid(NOBODY) != 0) _exit(2);
        _exit(connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(chmod(path, 0666), 0);
    assert_int_equal(seteuid(NOBODY),
                     0); /* and the kernel's word does, when somebody opened the door */
    int fd = knock(server);
    assert_int_equal(seteuid(0), 0);
    expect_refused(fd, "another user's");
    expect_service(server);
}

/* ---- Successors that fail -------------------------------------------------------------------- */

/* The writer that it held up goes on when it hangs up. */
static void a_successor_may_die_at_any_step(void **state) {
    struct test_server *server = *state;
    fill(server);
    for (enum step step = AT_HELLO; step < STEPS; step++) {
        struct wire *wire = wire_connect(server);
        int pipe_fd, fd = play(server, step, &pipe_fd);
        wire_send_command(wire, "SET held 1");
        wire_send_command(wire, "GET key");
        if (pipe_fd >= 0) close(pipe_fd);
        close(fd);
        wire_expect_reply(wire, "+OK");
        wire_expect_reply(wire, "\"value\"");
        wire_close(wire);
        expect_service(server);
    }
    test_server_expect_said(server, "did not take over: it hung up; going on as before");
    assert_true(test_server_take_over(server, options));
    expect_service(server);
}

/* One that stalls is given up, and one that comes back to its senses then is told so: it must not serve. */
static void a_successor_that_comes_too_late_gets_nothing(void **state) {
    struct test_server *server = *state;
    fill(server);
    struct wire *wire = wire_connect(server);
    int fd = play(server, AT_YOURS, NULL);
    wire_expect(wire, "SET held 1", "+OK"); /* once it is given up */
    struct message mine = message_of(MESSAGE_MINE);
    assert_false(message_send(fd, &mine, -1));
    close(fd);
    wire_close(wire);
    expect_service(server);
}

static void a_second_successor_is_refused_while_one_is_at_it(void **state) {
    struct test_server *server = *state;
    fill(server);
    int pipe_fd, fd = play(server, IN_DATA, &pipe_fd);
    assert_false(test_server_take_over(server, options));
    test_server_expect_said(server, "refuses: another takeover is under way");
    close(pipe_fd);
    close(fd);
    expect_service(server);
    assert_true(test_server_take_over(server, options));
    expect_service(server);
}

/* A signal to stop is followed at once, and what is saved is whole. */
static void the_end_does_not_wait_for_a_successor(void **state) {
    (void)state;
    struct test_server *server = test_server_start(options);
    fill(server);
    int pipe_fd, fd = play(server, IN_DATA, &pipe_fd);
    kill(server->pid, SIGTERM);
    test_server_await_end(server);
    close(pipe_fd);
    close(fd);
}

static void a_takeover_of_nobody_says_what_to_do(void **state) {
    struct test_server *server = *state;
    static const char *const elsewhere[] = {"--takeover-socket", "elsewhere", NULL};
    fill(server);
    assert_false(test_server_take_over(server, elsewhere));
    test_server_expect_said(
        server, "--takeover: can't connect to elsewhere: No such file or directory (does a "
                "server run with this takeover-socket? else start without --takeover)");
    assert_false(test_server_take_over(server, NULL));
    test_server_expect_said(server, "--takeover needs the option takeover-socket");
    expect_service(server);
}

/* The signal, where there is nothing to take over by. */
static void a_signal_without_the_option_is_only_logged(void **state) {
    struct test_server *server = *state;
    fill(server);
    kill(server->pid, SIGUSR2);
    test_server_await_said(server, "SIGUSR2: no successor can take over");
    expect_service(server);
}

int main(void) {
    test_server_require();
    const struct CMUnitTest tests[] = {
        TEST_WITH_SERVER(strangers_are_refused_and_change_nothing, options),
        TEST_WITH_SERVER(an_older_version_and_other_databases_are_refused, options),
        TEST_WITH_SERVER(other_users_are_refused, options),
        TEST_WITH_SERVER(a_successor_may_die_at_any_step, options),
        TEST_WITH_SERVER(a_successor_that_comes_too_late_gets_nothing, options),
        TEST_WITH_SERVER(a_second_successor_is_refused_while_one_is_at_it, options),
        cmocka_unit_test(the_end_does_not_wait_for_a_successor),
        TEST_WITH_SERVER(a_takeover_of_nobody_says_what_to_do, options),
        TEST_WITH_SERVER(a_signal_without_the_option_is_only_logged, NULL),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
