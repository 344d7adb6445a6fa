/* Signals to a server that runs. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/server.h"
#include "tests/support/wire.h"

enum { PATH_BYTES_MAX = 96, AWAIT_MS = 20000 };

static char *read_file(const char *path) {
    FILE *file = fopen(path, "r");
    char *text = NULL;
    size_t capacity = 0;
    if (file == NULL || getdelim(&text, &capacity, '\0', file) < 0) {
        free(text);
        text = strdup("");
    }
    if (file != NULL) fclose(file);
    assert_non_null(text);
    return text;
}

static void await_in_file(const char *path, const char *words) {
    for (int waited_ms = 0;; waited_ms++) {
        char *text = read_file(path);
        bool is_there = strstr(text, words) != NULL;
        if (!is_there && waited_ms == AWAIT_MS) fail_msg("no \"%s\" in %s: %s", words, path, text);
        free(text);
        if (is_there) return;
        usleep(1000);
    }
}

static void a_hangup_opens_the_log_anew(void **state) {
    (void)state;
    char folder[] = "/tmp/sherd-signals-XXXXXX", log[PATH_BYTES_MAX], moved[PATH_BYTES_MAX];
    assert_non_null(mkdtemp(folder));
    snprintf(log, sizeof log, "%s/log", folder);
    snprintf(moved, sizeof moved, "%s/log.1", folder);
    const char *const options[] = {"--dir",        folder, "--logfile", "log",
                                   "--log-format", "json", NULL};
    struct test_server *server = test_server_start(options);
    await_in_file(log, "\"message\":\"Ready to accept connections");
    assert_int_equal(rename(log, moved), 0);
    kill(server->pid, SIGHUP);
    await_in_file(log, "\"level\":\"notice\"");
    await_in_file(log, "this is the log file now\"}\n");
    struct wire *wire = wire_connect(server);
    wire_expect(wire, "CONFIG SET log-format redis", "+OK");
    wire_close(wire);
    test_server_stop(server);
    await_in_file(log, " * Stopped: every reply was sent; bye\n");
    unlink(log);
    unlink(moved);
    assert_int_equal(rmdir(folder), 0);
}

static void a_hangup_without_a_log_file_changes_nothing(void **state) {
    (void)state;
    struct test_server *server = test_server_start(NULL);
    kill(server->pid, SIGHUP);
    await_in_file(server->output, "Received SIGHUP; there is no log file to open anew");
    struct wire *wire = wire_connect(server);
    wire_expect(wire, "PING", "+PONG");
    wire_close(wire);
    test_server_stop(server);
}

/* ---- The end --------------------------------------------------------------------------------- */

static void who_did_not_take_its_replies_is_told_of_at_the_end(void **state) {
    (void)state;
    enum { VALUE_BYTES = 10 * 1024 * 1024 };
    char folder[] = "/tmp/sherd-signals-XXXXXX", log[PATH_BYTES_MAX];
    assert_non_null(mkdtemp(folder));
    snprintf(log, sizeof log, "%s/log", folder);
    const char *const options[] = {"--dir", folder, "--logfile", "log", "--save", "", NULL};
    struct test_server *server = test_server_start(options);
    struct wire *unread[2], *wire = wire_connect(server);
    char line[64];
    snprintf(line, sizeof line, "SETRANGE large %d x", VALUE_BYTES - 1);
    free(wire_ask(wire, line));
    for (int i = 0; i < 2; i++) {
        unread[i] = wire_connect(server);
        wire_send_text(unread[i], "GET large\r\n");
        wire_expect_text(unread[i], "$10485760\r\n");
    }
    test_server_stop(server);
    await_in_file(log, "# Stopped: 2 clients were cut off with replies unsent, ");
    for (int i = 0; i < 2; i++) {
        wire_close(unread[i]);
    }
    wire_close(wire);
    unlink(log);
    assert_int_equal(rmdir(folder), 0);
}

int main(void) {
    test_server_require();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hangup_opens_the_log_anew),
        cmocka_unit_test(a_hangup_without_a_log_file_changes_nothing),
        cmocka_unit_test(who_did_not_take_its_replies_is_told_of_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
