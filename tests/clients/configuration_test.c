/* A configuration file, and the flags beside it: who wins, and what CONFIG REWRITE leaves behind. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/server.h"
#include "tests/support/wire.h"

static const char written[] = "# Our settings, and why.\n"
                              "timeout 42\n"
                              "\n"
                              "# Written by hand:\n"
                              "hz 20\n"
                              "proto-max-bulk-len 2mb\n"
                              "requirepass \"a \\x41 b\"\n"
                              "client-output-buffer-limit normal 1mb 512kb 10\n";

struct configured {
    char path[32];
    struct test_server *server;
};

static void start_configured(struct configured *configured, const char *const *flags) {
    const char *options[8] = {configured->path};
    size_t count = 1;
    for (; flags != NULL && *flags != NULL; flags++) {
        assert_true(count < 7);
        options[count++] = *flags;
    }
    configured->server = test_server_start(options);
}

static struct wire *connect_with_password(const struct configured *configured) {
    struct wire *wire = wire_connect(configured->server);
    wire_expect(wire, "AUTH \"a A b\"", "+OK");
    return wire;
}

static int write_file(void **state) {
    struct configured *configured = calloc(1, sizeof *configured);
    assert_non_null(configured);
    snprintf(configured->path, sizeof configured->path, "/tmp/sherd-conf-XXXXXX");
    int fd = mkstemp(configured->path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, written, sizeof written - 1), sizeof written - 1);
    close(fd);
    *state = configured;
    return 0;
}

static int remove_file(void **state) {
    struct configured *configured = *state;
    if (configured->server != NULL) test_server_stop(configured->server);
    unlink(configured->path);
    free(configured);
    return 0;
}

static char *read_file(const char *path) {
    FILE *file = fopen(path, "r");
    char *text = NULL;
    size_t capacity = 0;
    assert_non_null(file);
    assert_true(getdelim(&text, &capacity, '\0', file) > 0);
    fclose(file);
    return text;
}

/* The text has this line, whole. */
static void expect_line(const char *text, const char *line) {
    size_t size = strlen(line);
    for (const char *next = text; next != NULL; next = strchr(next, '\n')) {
        next += *next == '\n';
        bool is_it = strncmp(next, line, size) == 0 && (next[size] == '\n' || next[size] == '\0');
        if (is_it) return;
    }
    fail_msg("no line \"%s\" in:\n%s", line, text);
}

static void a_file_is_read_and_flags_win(void **state) {
    static const char *const flags[] = {"--timeout", "43", NULL};
    struct configured *configured = *state;
    start_configured(configured, flags);
    struct wire *wire = connect_with_password(configured);
    wire_expect(wire, "CONFIG GET timeout", "[\"timeout\", \"43\"]");
    wire_expect(wire, "CONFIG GET hz", "[\"hz\", \"20\"]");
    wire_expect(wire, "CONFIG GET proto-max-bulk-len", "[\"proto-max-bulk-len\", \"2097152\"]");
    char *limits = wire_ask(wire, "CONFIG GET client-output-buffer-limit");
    assert_non_null(strstr(limits, "normal 1048576 524288 10"));
    free(limits);
    wire_close(wire);
}

static void rewriting_keeps_comments_and_writes_what_holds(void **state) {
    struct configured *configured = *state;
    start_configured(configured, NULL);
    struct wire *wire = connect_with_password(configured);
    wire_expect(wire, "CONFIG SET timeout 44 maxclients 1000", "+OK");
    wire_expect(wire, "CONFIG REWRITE", "+OK");
    char *text = read_file(configured->path);
    expect_line(text, "# Our settings, and why.");
    expect_line(text, "# Written by hand:");
    expect_line(text, "timeout 44");
    expect_line(text, "hz 20");
    expect_line(text, "maxclients 1000");
    free(text);
    wire_close(wire);
}

static void a_rewritten_file_starts_the_same_server(void **state) {
    struct configured *configured = *state;
    start_configured(configured, NULL);
    struct wire *wire = connect_with_password(configured);
    wire_expect(wire, "CONFIG SET timeout 45", "+OK");
    wire_expect(wire, "CONFIG REWRITE", "+OK");
    wire_close(wire);
    test_server_stop(configured->server);
    configured->server = NULL;

    start_configured(configured, NULL);
    wire = connect_with_password(configured);
    wire_expect(wire, "CONFIG GET timeout", "[\"timeout\", \"45\"]");
    wire_expect(wire, "CONFIG GET hz", "[\"hz\", \"20\"]");
    wire_close(wire);
}

#define TEST_WITH_FILE(test) cmocka_unit_test_setup_teardown(test, write_file, remove_file)

static void relative_paths_start_at_dir(void **state) {
    (void)state;
    char folder[] = "/tmp/sherd-dir-XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    const char *const options[] = {"--dir", folder, "--pidfile", "sherd.pid", NULL};
    struct test_server *server = test_server_start(options);
    struct wire *wire = wire_connect(server);
    char expected[64];
    snprintf(expected, sizeof expected, "[\"dir\", \"%s\"]", folder);
    wire_expect(wire, "CONFIG GET dir", expected);
    snprintf(path, sizeof path, "%s/sherd.pid", folder);
    assert_int_equal(access(path, R_OK), 0); /* who is answered finds it */
    wire_close(wire);
    test_server_stop(server);
    assert_int_equal(rmdir(folder), 0); /* the pid file is gone */
}

int main(void) {
    test_server_require();
    const struct CMUnitTest tests[] = {
        TEST_WITH_FILE(a_file_is_read_and_flags_win),
        TEST_WITH_FILE(rewriting_keeps_comments_and_writes_what_holds),
        TEST_WITH_FILE(a_rewritten_file_starts_the_same_server),
        cmocka_unit_test(relative_paths_start_at_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
