/* A server process for a test: sherd, or the one named by SHERD_TEST_SERVER, to hold the tests themselves to a
 * reference.
 *
 * It listens on a free port of 127.0.0.1 and on a Unix socket in a folder of its own, and dies with the test
 * program. The environment says how sherd runs, so that one program tests each engine and lock mode (see
 * tests/CMakeLists.txt):
 *   SHERD_TEST_IO         uring or epoll; where the kernel refuses io_uring, the program exits as skipped
 *   SHERD_TEST_LOCK_MODE  sharded or global
 * Everything here is called by the test program's main thread, and fails the running test when it can't be done. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

enum {
    TEST_SKIPPED =
        77, /* exit status of a test program that can't run here: ctest's SKIP_RETURN_CODE */
    SERVER_PATH_MAX = 96,
};

struct test_server {
    pid_t pid;
    int pidfd;         /* readable when the process has ended */
    int port;          /* 0: no TCP */
    bool is_reference; /* not sherd */
    char folder[SERVER_PATH_MAX / 2];
    char unix_socket[SERVER_PATH_MAX];
    char output[SERVER_PATH_MAX]; /* file of what it prints */
};

/* Start a server with more options, NULL-terminated ("--timeout", "1", NULL; NULL: none), and wait until it accepts.
 * A path before them ("/tmp/x.conf") is its configuration file. */
struct test_server *test_server_start(const char *const *options);
/* End it by SIGTERM and check that it went in good order: exit status 0 in time, no sanitizer's report. Frees
 * `server`. */
void test_server_stop(struct test_server *server);
/* The same for a server that ends by itself, or by a signal already sent. */
void test_server_await_end(struct test_server *server);

/* End it by SIGKILL, in whatever it is doing, if it hasn't ended. Frees `server`. */
void test_server_kill(struct test_server *server);

/* Start a successor in its place, with `--takeover` and these options, which should be the server's own. True: it
 * serves, `server` is now it, and the one before ended in good order. False: it gave up with an exit status of its
 * own, and `server` is as it was. What both print goes to the one file. */
bool test_server_take_over(struct test_server *server, const char *const *options);
/* Only start it; the caller's to wait for. It dies with the test program, too. */
pid_t test_server_start_successor(const struct test_server *server, const char *const *options);
/* The server was told to start its own successor: wait for it, as above. */
void test_server_follow(struct test_server *server);

/* What it has printed so far; the caller frees it. */
char *test_server_read_output(const struct test_server *server);
/* How often these words are in it; that they are; wait until they are. */
int test_server_times_said(const struct test_server *server, const char *words);
void test_server_expect_said(const struct test_server *server, const char *words);
void test_server_await_said(const struct test_server *server, const char *words);
/* Its resident set, from /proc. */
long test_server_resident_bytes(const struct test_server *server);
/* Exits as skipped when the program to be tested isn't installed; call it first in `main`. */
void test_server_require(void);
/* A TCP port of 127.0.0.1 that was free a moment ago. */
int test_server_free_port(void);

/* Fixtures for cmocka. The initial state holds options, as for `test_server_start`; the test's state is the server:
 *   cmocka_unit_test_prestate_setup_teardown(name, test_server_setup, test_server_teardown, options) */
int test_server_setup(void **state);
int test_server_teardown(void **state);

/* A row of cmocka's table: the test, with a server of its own. `options`: a `static const char *const []`, or NULL. */
#define TEST_WITH_SERVER(test, options)                                                            \
    { #test, test, test_server_setup, test_server_teardown, (void *)(uintptr_t)(options) }
