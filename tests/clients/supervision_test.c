/* What systemd is told by a server that it supervises: we stand in its place. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/folder.h"
#include "tests/support/server.h"
#include "tests/support/systemd.h"
#include "tests/support/wire.h"

#define LIFE "WATCHDOG=1"

/* Its watchdog gives the server so long. There are save points, so it saves before it ends, into this folder. */
static struct test_server *start_watched(int *fd, const char *limit_us, const char *folder) {
    const char *const options[] = {"--supervised", "systemd", "--dir", folder,
                                   "--save",       "3600 1",  NULL};
    *fd = systemd_listen();
    setenv("WATCHDOG_USEC", limit_us, 1);
    struct test_server *server = test_server_start(options);
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    systemd_expect(*fd, "READY=1", "READY=1");
    return server;
}

static void systemd_is_told_of_start_life_reload_and_end(void **state) {
    struct place *place = *state;
    int fd;
    struct test_server *server = start_watched(&fd, "4000000", place->folder);
    systemd_expect(fd, LIFE, LIFE);
    systemd_expect(fd, LIFE, LIFE);
    kill(server->pid, SIGHUP);
    systemd_expect(fd, "RELOADING=1\nMONOTONIC_USEC=", LIFE);
    systemd_expect(fd, "READY=1", LIFE);
    kill(server->pid, SIGTERM);
    systemd_expect(fd, "STOPPING=1", LIFE);
    test_server_await_end(server);
    close(fd);
}

/* A worker sleeps for two seconds, in which a thread that never looks would say eight times that we live; once may be
 * from before, and once more if the worker turned between two looks at it. */
static void the_watchdog_is_not_told_that_we_live_while_a_worker_does_not(void **state) {
    struct place *place = *state;
    int fd;
    struct test_server *server = start_watched(&fd, "1000000", place->folder);
    struct wire *wire = wire_connect(server);
    systemd_expect(fd, LIFE, LIFE);
    wire_expect(wire, "DEBUG SLEEP 2", "+OK");
    char told[SYSTEMD_STATE_MAX];
    int count = 0;
    while (systemd_try_read(fd, told)) {
        count++;
    }
    assert_in_range(count, 0, 2);
    systemd_expect(fd, LIFE, LIFE);
    wire_close(wire);
    test_server_stop(server);
    close(fd);
}

/* The save takes many of the watchdog's looks, and one of them is enough; on a busy machine it, too, is to have its
 * turn before the save has ended. */
static void a_last_save_gets_the_time_it_takes(void **state) {
    struct place *place = *state;
    int fd;
    struct test_server *server = start_watched(&fd, "20000", place->folder);
    struct wire *wire = wire_connect(server);
    wire_set_many(wire, 400);
    wire_close(wire);
    const struct sched_param none = {0};
    assert_int_equal(sched_setscheduler(server->pid, SCHED_IDLE, &none), 0); /* the main thread */
    kill(server->pid, SIGTERM);
    systemd_expect(fd, "EXTEND_TIMEOUT_USEC=20000", LIFE);
    systemd_expect(fd, LIFE, LIFE); /* though no worker need have turned */
    char told[SYSTEMD_STATE_MAX];
    do {
        systemd_read(fd, told);
    } while (strcmp(told, LIFE) == 0 || strcmp(told, "EXTEND_TIMEOUT_USEC=20000") == 0);
    assert_string_equal(told, "STOPPING=1");
    test_server_await_end(server);
    close(fd);
}

/* Or it would kill the server TimeoutStopSec later. */
static void systemd_is_not_told_of_an_end_that_a_failed_save_prevents(void **state) {
    struct place *place = *state;
    char file[sizeof(place->folder) + 16], told[SYSTEMD_STATE_MAX];
    snprintf(file, sizeof(file), "%s/dump.rdb", place->folder);
    int fd;
    struct test_server *server = start_watched(&fd, "4000000", place->folder);
    struct wire *wire = wire_connect(server);
    wire_expect(wire, "SET key value", "+OK");
    assert_int_equal(mkdir(file, 0700), 0); /* nothing can take its place */
    kill(server->pid, SIGTERM);
    test_server_await_said(server, "can't exit");
    while (systemd_try_read(fd, told)) {
        assert_string_equal(told, LIFE);
    }
    wire_expect(wire, "SET key again", "+OK");
    systemd_expect(fd, LIFE, LIFE);
    wire_close(wire);
    assert_int_equal(rmdir(file), 0);
    kill(server->pid, SIGTERM);
    systemd_expect(fd, "STOPPING=1", LIFE);
    test_server_await_end(server);
    close(fd);
}

#define TEST_IN_PLACE(test) cmocka_unit_test_setup_teardown(test, place_set_up, place_tear_down)

int main(void) {
    test_server_require();
    const struct CMUnitTest tests[] = {
        TEST_IN_PLACE(systemd_is_told_of_start_life_reload_and_end),
        TEST_IN_PLACE(the_watchdog_is_not_told_that_we_live_while_a_worker_does_not),
        TEST_IN_PLACE(a_last_save_gets_the_time_it_takes),
        TEST_IN_PLACE(systemd_is_not_told_of_an_end_that_a_failed_save_prevents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
