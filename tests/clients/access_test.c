/* Users over a running server: from files and flags, over several workers, and what strangers may not. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/program.h"
#include "tests/support/server.h"
#include "tests/support/wire.h"

enum { PATH_BYTES = 128, CLIENTS = 24, OUTPUT_BYTES_MAX = 65536 };

static const char *const on_workers[] = {"--workers", "3", NULL};

/* ---- Files ----------------------------------------------------------------------------------- */

static const char *path_in(const char *folder, const char *name, char path[PATH_BYTES]) {
    snprintf(path, PATH_BYTES, "%.60s/%.60s", folder, name);
    return path;
}

static void write_file(const char *folder, const char *name, const char *text) {
    char path[PATH_BYTES];
    FILE *file = fopen(path_in(folder, name, path), "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static char *read_file(const char *folder, const char *name) {
    char path[PATH_BYTES];
    FILE *file = fopen(path_in(folder, name, path), "r");
    assert_non_null(file);
    char *text = calloc(1, OUTPUT_BYTES_MAX);
    assert_non_null(text);
    size_t size = fread(text, 1, OUTPUT_BYTES_MAX - 1, file);
    text[size] = 0;
    fclose(file);
    return text;
}

static int make_folder(void **state) {
    char *folder = strdup("/tmp/sherd-acl-XXXXXX");
    assert_non_null(mkdtemp(folder));
    *state = folder;
    return 0;
}

static int remove_folder(void **state) {
    char command[PATH_BYTES];
    snprintf(command, sizeof command, "rm -r '%s'", (char *)*state);
    int status = system(command);
    free(*state);
    return status;
}

/* ---- Servers --------------------------------------------------------------------------------- */

static struct test_server *start_with_file(const char *folder) {
    const char *const options[] = {"--dir", folder, "--aclfile", "users.acl", NULL};
    return test_server_start(options);
}

/* A server that has to end by itself, with status 1 and this said. */
static void expect_refused(const char *folder, const char *options, const char *reason) {
    char command[4 * PATH_BYTES];
    snprintf(command, sizeof command,
             "cd %s && timeout 30 " SHERD_BINARY " %s --port 0 --unixsocket %s/socket 2>&1", folder,
             options, folder);
    program_expect(command, 1, reason);
}

static void expect_in_reply(struct wire *wire, const char *line, const char *part) {
    char *reply = wire_ask(wire, line);
    if (reply == NULL || strstr(reply, part) == NULL)
        fail_msg("%s: \"%s\" is not in: %s", line, part, reply);
    free(reply);
}

/* ---- Over workers ---------------------------------------------------------------------------- */

static void open_as(struct test_server *server, const char *line, struct wire *wires[CLIENTS]) {
    for (int i = 0; i < CLIENTS; i++) {
        wires[i] = wire_connect(server);
        wire_expect(wires[i], line, "+OK");
    }
}

static void a_change_holds_for_the_next_command_on_all_workers(void **state) {
    struct wire *admin = wire_connect(*state), *wires[CLIENTS];
    wire_expect(admin, "ACL SETUSER bob on >b ~* +get", "+OK");
    open_as(*state, "AUTH bob b", wires);
    for (int round = 0; round < 20; round++) {
        bool may_set = round % 2 == 0;
        wire_expect(admin, may_set ? "ACL SETUSER bob +set" : "ACL SETUSER bob -set", "+OK");
        for (int i = 0; i < CLIENTS; i++) {
            wire_expect(wires[i], "SET k v",
                        may_set ? "+OK"
                                : "-NOPERM User bob has no permissions to run the 'set' command");
        }
    }
    for (int i = 0; i < CLIENTS; i++) {
        wire_close(wires[i]);
    }
    wire_close(admin);
}

static void a_change_holds_within_a_pipeline(void **state) {
    struct wire *wire = wire_connect(*state);
    wire_send_text(wire, "SET k v\r\nACL SETUSER default -set\r\nSET k w\r\n"
                         "ACL SETUSER default +set\r\nSET k x\r\n");
    wire_expect_text(wire, "+OK\r\n+OK\r\n"
                           "-NOPERM User default has no permissions to run the 'set' command\r\n"
                           "+OK\r\n+OK\r\n");
    wire_close(wire);
}

static void those_of_a_removed_user_are_closed_idle_or_not(void **state) {
    struct wire *admin = wire_connect(*state), *wires[CLIENTS];
    wire_expect(admin, "ACL SETUSER bob on nopass ~* +@all", "+OK");
    open_as(*state, "AUTH bob x", wires);
    /* Another bob doesn't inherit them. */
    wire_send_text(admin, "ACL DELUSER bob\r\nACL SETUSER bob on nopass ~* +@all\r\n");
    wire_expect_text(admin, ":1\r\n+OK\r\n");
    for (int i = 0; i < CLIENTS; i++) {
        wire_expect_closed(wires[i]);
        wire_close(wires[i]);
    }
    wire_expect(admin, "PING", "+PONG");
    wire_close(admin);
}

static void who_removes_itself_hears_so(void **state) {
    struct wire *admin = wire_connect(*state), *wire = wire_connect(*state);
    wire_expect(admin, "ACL SETUSER bob on nopass ~* +@all", "+OK");
    wire_expect(wire, "AUTH bob x", "+OK");
    wire_expect(wire, "ACL DELUSER bob", ":1");
    wire_expect_closed(wire);
    wire_close(wire);
    wire_close(admin);
}

/* One waits for the lease. */
static void await_blocked(struct wire *wire) {
    for (int waited_ms = 0; waited_ms < WIRE_WAIT_MS; waited_ms++) {
        if (wire_ask_field(wire, "INFO clients", "blocked_clients") == 1) return;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    fail_msg("the client doesn't wait");
}

static void a_waiting_client_of_a_removed_user_is_closed(void **state) {
    struct wire *admin = wire_connect(*state), *wire = wire_connect(*state);
    wire_expect(admin, "ACL SETUSER bob on nopass ~* +@all", "+OK");
    expect_in_reply(admin, "GETLEASE k 10000", "[");
    wire_expect(wire, "AUTH bob x", "+OK");
    wire_send_command(wire, "GETLEASE k 10000 WAIT 10000");
    await_blocked(admin);
    wire_expect(admin, "ACL DELUSER bob", ":1");
    wire_expect_closed(wire);
    wire_close(wire);
    wire_close(admin);
}

/* It is asked again when it runs again. */
static void a_waiting_client_is_judged_by_what_holds_at_the_end(void **state) {
    struct wire *admin = wire_connect(*state), *wire = wire_connect(*state);
    wire_expect(admin, "ACL SETUSER bob on nopass ~* +@all", "+OK");
    expect_in_reply(admin, "GETLEASE k 10000", "[");
    wire_expect(wire, "AUTH bob x", "+OK");
    wire_send_command(wire, "GETLEASE k 10000 WAIT 10000");
    await_blocked(admin);
    wire_expect(admin, "ACL SETUSER bob resetkeys ~other", "+OK");
    wire_expect(admin, "SET k secret", "+OK");
    wire_expect_reply(wire, "-NOPERM No permissions to access a key");
    wire_expect(wire, "PING", "+PONG");
    wire_close(wire);
    wire_close(admin);
}

/* Who is told to fill a key changes something, even though most who ask only read. */
static void leases_are_for_those_who_may_write(void **state) {
    struct wire *admin = wire_connect(*state);
    wire_expect(admin, "ACL SETUSER reader on nopass ~* +@read", "+OK");
    expect_in_reply(admin, "ACL DRYRUN reader GET k", "OK");
    expect_in_reply(admin, "ACL DRYRUN reader GETLEASE k 1000", "no permissions to run");
    wire_expect(admin, "ACL SETUSER reader +getlease", "+OK");
    expect_in_reply(admin, "ACL DRYRUN reader GETLEASE k 1000", "OK");
    wire_expect(admin, "ACL SETUSER reader resetkeys %R~*", "+OK");
    expect_in_reply(admin, "ACL DRYRUN reader GETLEASE k 1000", "no permissions to access");
    wire_expect(admin, "ACL SETUSER writer on nopass ~* +@write", "+OK");
    expect_in_reply(admin, "ACL DRYRUN writer GETLEASE k 1000", "OK");
    expect_in_reply(admin, "ACL DRYRUN writer SETLEASE k 1 v", "OK");
    expect_in_reply(admin, "ACL DRYRUN writer DELLEASE k 1", "OK");
    wire_close(admin);
}

static void new_users_begin_with_the_channels_that_the_option_says(void **state) {
    struct wire *wire = wire_connect(*state);
    wire_expect(wire, "ACL SETUSER none", "+OK");
    wire_expect(wire, "CONFIG SET acl-pubsub-default allchannels", "+OK");
    wire_expect(wire, "ACL SETUSER all (+get)", "+OK");
    wire_expect(wire, "ACL LIST",
                "[\"user all off sanitize-payload &* -@all (&* -@all +get)\", "
                "\"user default on nopass sanitize-payload ~* &* +@all\", "
                "\"user none off sanitize-payload resetchannels -@all\"]");
    wire_expect(wire, "CONFIG SET masteruser u masterauth p", "+OK");
    wire_close(wire);
}

static void only_operators_see_what_others_ask_for(void **state) {
    static const char *const lines[] = {"HOTKEYS", "CACHE PREFIXES", "CACHE CURVE",
                                        "CACHE CURVE STOP"};
    struct wire *admin = wire_connect(*state), *user = wire_connect(*state);
    wire_expect(admin, "ACL SETUSER u on nopass ~* +@all -@dangerous -@admin", "+OK");
    wire_expect(user, "AUTH u x", "+OK");
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        expect_in_reply(user, lines[i], "-NOPERM ");
    }
    expect_in_reply(user, "CACHE STATS", "misses_by_reason");
    expect_in_reply(user, "CACHE HELP", "PREFIXES");
    wire_close(admin);
    wire_close(user);
}

static void denials_are_logged_with_who_and_what(void **state) {
    struct wire *admin = wire_connect(*state), *wire = wire_connect(*state);
    wire_expect(admin, "ACL SETUSER bob on nopass ~k* +get", "+OK");
    wire_expect(admin, "ACL LOG RESET", "+OK");
    wire_expect(wire, "AUTH bob x", "+OK");
    wire_expect(wire, "GET secret", "-NOPERM No permissions to access a key");
    wire_expect(wire, "CONFIG GET x",
                "-NOPERM User bob has no permissions to run the 'config|get' command");
    expect_in_reply(admin, "ACL LOG 1",
                    "\"reason\", \"command\", \"context\", \"toplevel\", "
                    "\"object\", \"config|get\", \"username\", \"bob\"");
    expect_in_reply(admin, "ACL LOG",
                    "\"reason\", \"key\", \"context\", \"toplevel\", "
                    "\"object\", \"secret\", \"username\", \"bob\"");
    expect_in_reply(admin, "ACL LOG 1", "cmd=config|get user=bob");
    wire_expect(admin, "CONFIG SET acllog-max-len 1", "+OK");
    wire_expect(wire, "GET other", "-NOPERM No permissions to access a key");
    char *log = wire_ask(admin, "ACL LOG");
    assert_null(strstr(log, "secret"));
    assert_non_null(strstr(log, "other"));
    free(log);
    wire_close(wire);
    wire_close(admin);
}

/* ---- aclfile --------------------------------------------------------------------------------- */

static void a_file_of_users_is_read_saved_and_read_again(void **state) {
    const char *folder = *state;
    write_file(folder, "users.acl",
               "\nuser bob on >b ~b\"* +get (~x +set)\r\n\nuser eve\nuser fay off\n");
    struct test_server *server = start_with_file(folder);
    struct wire *wire = wire_connect(server);
    wire_expect(wire, "ACL USERS", "[\"bob\", \"default\", \"eve\", \"fay\"]");
    wire_expect(wire, "ACL SETUSER carl on nopass %R~c &ch +@read -@slow", "+OK");
    wire_expect(wire, "ACL SAVE", "+OK");
    char *before = wire_ask(wire, "ACL LIST");
    wire_expect(wire, "ACL LOAD", "+OK");
    wire_expect(wire, "ACL LIST", before);
    wire_close(wire);
    /* Whoever wrote "off" knows it. */
    test_server_expect_said(server, "The user 'eve' is disabled");
    assert_int_equal(test_server_times_said(server, "The user 'fay' is disabled"), 0);
    test_server_stop(server);

    char *text = read_file(folder, "users.acl");
    assert_null(strstr(text, ">b")); /* no password, but its hash */
    free(text);
    server = start_with_file(folder);
    wire = wire_connect(server);
    wire_expect(wire, "ACL LIST", before);
    free(before);
    wire_close(wire);
    test_server_stop(server);
}

static void a_broken_file_leaves_the_users_as_they_were(void **state) {
    const char *folder = *state;
    write_file(folder, "users.acl", "user bob on nopass ~* +@all\n");
    struct test_server *server = start_with_file(folder);
    struct wire *admin = wire_connect(server), *bob = wire_connect(server);
    wire_expect(bob, "AUTH bob x", "+OK");
    write_file(folder, "users.acl", "user eve on\nuser bob on +nope\n");
    wire_expect(admin, "ACL LOAD",
                "-ERR users.acl:2: user 'bob', rule '+nope': Unknown command or category name in "
                "ACL. WARNING: ACL errors detected, no change to the previously active ACL rules "
                "was performed");
    wire_expect(admin, "ACL USERS", "[\"bob\", \"default\"]");
    wire_expect(bob, "PING", "+PONG");
    char path[PATH_BYTES];
    assert_int_equal(unlink(path_in(folder, "users.acl", path)), 0);
    expect_in_reply(admin, "ACL LOAD", "opening file 'users.acl': No such file or directory");
    wire_expect(bob, "PING", "+PONG");
    wire_close(admin);
    wire_close(bob);
    test_server_stop(server);
}

static void loading_closes_those_whose_user_is_another_now(void **state) {
    const char *folder = *state;
    write_file(folder, "users.acl",
               "user same on nopass ~* +@all\nuser changed on nopass ~* +@all\n"
               "user gone on nopass ~* +@all\n");
    struct test_server *server = start_with_file(folder);
    struct wire *admin = wire_connect(server), *same = wire_connect(server);
    struct wire *changed = wire_connect(server), *gone = wire_connect(server);
    wire_expect(same, "AUTH same x", "+OK");
    wire_expect(changed, "AUTH changed x", "+OK");
    wire_expect(gone, "AUTH gone x", "+OK");
    write_file(folder, "users.acl",
               "user changed on nopass ~* +get\nuser same on nopass ~* +@all\n");
    wire_expect(admin, "ACL LOAD", "+OK");
    wire_expect_closed(changed);
    wire_expect_closed(gone);
    wire_expect(same, "PING", "+PONG");
    wire_expect(admin, "PING", "+PONG");
    wire_close(admin);
    wire_close(same);
    wire_close(changed);
    wire_close(gone);
    test_server_stop(server);
}

/* In Redis it would: its requirepass is of no effect beside an aclfile. */
static void a_file_without_the_default_user_does_not_open_the_door(void **state) {
    const char *folder = *state;
    write_file(folder, "users.acl", "user bob on nopass ~* +@all\n");
    const char *const options[] = {"--dir",         folder, "--aclfile", "users.acl",
                                   "--requirepass", "p",    NULL};
    struct test_server *server = test_server_start(options);
    struct wire *wire = wire_connect(server);
    wire_expect(wire, "PING", "-NOAUTH Authentication required.");
    wire_expect(wire, "AUTH p", "+OK");
    wire_expect(wire, "ACL LOAD", "+OK");
    wire_expect(wire, "PING", "+PONG");
    wire_close(wire);
    wire = wire_connect(server);
    wire_expect(wire, "PING", "-NOAUTH Authentication required.");
    wire_close(wire);
    test_server_stop(server);
}

static void a_file_that_cannot_be_saved_is_told_and_kept(void **state) {
    const char *folder = *state;
    char inner[PATH_BYTES], path[PATH_BYTES];
    assert_int_equal(mkdir(path_in(folder, "inner", inner), 0700), 0);
    write_file(inner, "users.acl", "user bob on\n");
    const char *const options[] = {"--dir", folder, "--aclfile", "inner/users.acl", NULL};
    struct test_server *server = test_server_start(options);
    struct wire *wire = wire_connect(server);
    assert_int_equal(unlink(path_in(inner, "users.acl", path)), 0);
    assert_int_equal(rmdir(inner), 0);
    char *reply = wire_ask(wire, "ACL SAVE");
    const char words[] = "-ERR There was an error trying to save the ACLs. Please check the server "
                         "logs for more information: ";
    assert_int_equal(strncmp(reply, words, sizeof words - 1), 0);
    assert_non_null(strstr(reply, "inner/users.acl: No such file or directory"));
    free(reply);
    test_server_expect_said(server, "inner/users.acl: No such file or directory");
    wire_close(wire);
    test_server_stop(server);
}

/* ---- The configuration ----------------------------------------------------------------------- */

static void users_of_the_configuration_are_read_and_rewritten(void **state) {
    const char *folder = *state;
    char path[PATH_BYTES];
    write_file(folder, "sherd.conf",
               "# Users.\nuser bob on \">b b\" ~b* +get\nhz 20\n"
               "user eve on nopass +@all ~*\n");
    const char *const options[] = {path_in(folder, "sherd.conf", path), NULL};
    struct test_server *server = test_server_start(options);
    struct wire *wire = wire_connect(server);
    wire_expect(wire, "AUTH bob \"b b\"", "+OK");
    wire_expect(wire, "AUTH eve x", "+OK");
    wire_expect(wire, "ACL SETUSER carl on nopass \"~c\\\"*\" \"(~d +set)\"", "+OK");
    wire_expect(wire, "ACL DELUSER bob", ":1");
    wire_expect(wire, "CONFIG REWRITE", "+OK");
    char *before = wire_ask(wire, "ACL LIST");
    wire_close(wire);
    test_server_stop(server);

    char *text = read_file(folder, "sherd.conf");
    assert_non_null(strstr(text, "# Users.\nuser carl on"));
    assert_non_null(strstr(text, "hz 20\n"));
    assert_null(strstr(text, "bob"));
    free(text);
    server = test_server_start(options);
    wire = wire_connect(server);
    wire_expect(wire, "ACL LIST", before);
    free(before);
    wire_close(wire);
    test_server_stop(server);
}

/* A line for the default user would overrule the password one day. */
static void without_users_a_rewrite_writes_none(void **state) {
    const char *folder = *state;
    char path[PATH_BYTES];
    write_file(folder, "sherd.conf", "requirepass p\n");
    const char *const options[] = {path_in(folder, "sherd.conf", path), NULL};
    struct test_server *server = test_server_start(options);
    struct wire *wire = wire_connect(server);
    wire_expect(wire, "AUTH p", "+OK");
    wire_expect(wire, "CONFIG SET requirepass q", "+OK");
    wire_expect(wire, "CONFIG REWRITE", "+OK");
    char *text = read_file(folder, "sherd.conf");
    assert_non_null(strstr(text, "requirepass q\n"));
    assert_null(strstr(text, "\nuser ")); /* a path may have the word in it */
    free(text);
    wire_close(wire);
    test_server_stop(server);
}

static void a_rewrite_does_not_define_users_twice(void **state) {
    const char *folder = *state;
    char path[PATH_BYTES];
    write_file(folder, "users.conf", "user bob on nopass\n");
    write_file(folder, "sherd.conf", "include users.conf\n");
    path_in(folder, "sherd.conf", path);
    const char *const options[] = {path, "--dir", folder, NULL};
    char before[PATH_BYTES];
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(folder), 0);
    struct test_server *server = test_server_start(options);
    assert_int_equal(chdir(before), 0);
    struct wire *wire = wire_connect(server);
    wire_expect(wire, "CONFIG REWRITE",
                "-ERR Rewriting config file: users are defined in an included "
                "file, and would be here, too");
    char *text = read_file(folder, "sherd.conf");
    assert_string_equal(text, "include users.conf\n");
    free(text);
    wire_close(wire);
    test_server_stop(server);
}

static const char *const with_flags[] = {"--user",
                                         "bob",
                                         "on",
                                         ">b",
                                         "~*",
                                         "+get",
                                         "--user",
                                         "default",
                                         "off",
                                         "--rename-command",
                                         "FLUSHALL",
                                         "\"\"",
                                         "--rename-command",
                                         "CONFIG",
                                         "a-very-long-secret-name",
                                         NULL};

static void users_and_renames_may_be_flags(void **state) {
    struct wire *wire = wire_connect(*state);
    wire_expect(wire, "PING", "-NOAUTH Authentication required.");
    wire_expect(wire, "AUTH bob b", "+OK");
    wire_expect(wire, "GET k", "$-1");
    wire_expect(wire, "FLUSHALL", "-ERR unknown command 'FLUSHALL', with args beginning with: ");
    expect_in_reply(wire, "CONFIG GET hz", "-ERR unknown command 'CONFIG'");
    /* It is still CONFIG to users. */
    wire_expect(wire, "A-very-long-secret-NAME GET hz",
                "-NOPERM User bob has no permissions to run the 'config|get' command");
    wire_expect(wire, "A-very-long-secret-NAME foo",
                "-ERR unknown subcommand 'foo'. Try A-VERY-LONG-SECRET-NAME HELP.");
    wire_close(wire);
}

static void mistakes_keep_the_server_from_starting(void **state) {
    const char *folder = *state;
    static const struct {
        const char *file, *reason;
    } cases[] = {
        {"hz 20\nuser bob on +nope",
         "sherd.conf:2: user 'bob', rule '+nope': Unknown command or category name in ACL"},
        {"user bob on <secret", "sherd.conf:1: user 'bob', rule '<...': The password you are "
                                "trying to remove from the user does not exist"},
        {"user bob\nuser bob on",
         "sherd.conf:2: Duplicate user found. A user can only be defined once in config files"},
        {"user", "sherd.conf:1: a user's name is missing"},
        {"user \"a b\" on", "sherd.conf:1: Usernames can't contain spaces or null characters"},
        {"user bob \"on", "sherd.conf:1: unbalanced quotes"},
        {"user bob (+get",
         "sherd.conf:1: user 'bob', rule '(+get': Unmatched parenthesis in acl selector"},
        {"user bob on\naclfile users.acl",
         "sherd.conf:1: users are defined here, and an aclfile is given, too"},
        {"aclfile missing.acl",
         "Error loading ACLs, opening file 'missing.acl': No such file or directory"},
        {"aclfile .", "Error loading ACLs, opening file '.': Is a directory"},
        {"aclfile users.acl",
         "users.acl:2: should start with user keyword followed by the username"},
        {"rename-command nope x", "sherd.conf:1: No such command in rename-command: 'nope'"},
        {"rename-command get set", "sherd.conf:1: Target command name already exists: 'set'"},
        {"rename-command get", "sherd.conf:1: rename-command takes a command and its new name"},
    };
    write_file(folder, "users.acl", "user bob on\nbob on\n");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_file(folder, "sherd.conf", cases[i].file);
        expect_refused(folder, "sherd.conf", cases[i].reason);
    }
}

static void checking_a_configuration_checks_its_users(void **state) {
    write_file(*state, "sherd.conf", "user bob on +nope\n");
    expect_refused(*state, "--check-config sherd.conf",
                   "sherd.conf:1: user 'bob', rule '+nope': Unknown command or category name");
}

static void passwords_are_not_logged(void **state) {
    const char *folder = *state;
    char path[PATH_BYTES];
    write_file(folder, "sherd.conf",
               "loglevel debug\nuser bob on >s3cret-of-bob ~* +@all\nrequirepass s3cret-of-all\n");
    const char *const options[] = {path_in(folder, "sherd.conf", path), NULL};
    struct test_server *server = test_server_start(options);
    struct wire *wire = wire_connect(server);
    wire_expect(wire, "AUTH s3cret-wrong",
                "-WRONGPASS invalid username-password pair or user is disabled.");
    wire_expect(wire, "AUTH bob s3cret-of-bob", "+OK");
    wire_expect(wire, "ACL SETUSER eve on >s3cret-of-eve", "+OK");
    expect_in_reply(wire, "ACL SETUSER eve <s3cret-nobody-has", "does not exist");
    char *log = wire_ask(wire, "ACL LOG");
    assert_null(strstr(log, "s3cret"));
    free(log);
    wire_close(wire);
    assert_int_equal(test_server_times_said(server, "s3cret"), 0);
    test_server_stop(server);
}

/* ---- Strangers ------------------------------------------------------------------------------- */

static const char *const with_password[] = {"--requirepass", "secret", NULL};

/* Replies that nobody takes are not kept for those who haven't logged in. */
static void a_stranger_may_not_have_much_kept(void **state) {
    enum { REQUESTS = 1000 };
    struct wire *wire = wire_connect(*state);
    char *text = calloc(REQUESTS, 6);
    assert_non_null(text);
    for (int i = 0; i < REQUESTS; i++) {
        memcpy(text + 6 * i, "PING\r\n", 6);
    }
    wire_try_send(wire, text, 6 * REQUESTS);
    assert_true(wire_drain(wire) < REQUESTS * strlen("-NOAUTH Authentication required.\r\n"));
    wire_close(wire);
    wire = wire_connect(*state);
    wire_expect(wire, "AUTH secret", "+OK");
    wire_send(wire, text, 6 * REQUESTS);
    for (int i = 0; i < REQUESTS; i++) {
        wire_expect_text(wire, "+PONG\r\n");
    }
    free(text);
    wire_close(wire);
    test_server_expect_said(*state, "and it has not logged in");
}

/* Nothing of his waits for a gate to open. */
static void a_stranger_is_told_so_during_a_pause(void **state) {
    struct wire *admin = wire_connect(*state), *stranger = wire_connect(*state);
    wire_expect(admin, "AUTH secret", "+OK");
    wire_expect(admin, "CLIENT PAUSE 60000 ALL", "+OK");
    wire_expect(stranger, "SET a b", "-NOAUTH Authentication required.");
    wire_expect(stranger, "GET a", "-NOAUTH Authentication required.");
    wire_expect(admin, "CLIENT UNPAUSE", "+OK");
    wire_close(admin);
    wire_close(stranger);
}

/* An address of this host that isn't the loopback's: who comes by it counts as another host. False: there is none. */
static bool find_outer_address(char text[INET_ADDRSTRLEN]) {
    struct ifaddrs *all;
    bool is_found = false;
    assert_int_equal(getifaddrs(&all), 0);
    for (const struct ifaddrs *one = all; one != NULL && !is_found; one = one->ifa_next) {
        bool is_outer = one->ifa_addr != NULL && one->ifa_addr->sa_family == AF_INET &&
                        !(one->ifa_flags & IFF_LOOPBACK);
        if (!is_outer) continue;
        const struct sockaddr_in *address = (const void *)one->ifa_addr;
        is_found = inet_ntop(AF_INET, &address->sin_addr, text, INET_ADDRSTRLEN) != NULL;
    }
    freeifaddrs(all);
    return is_found;
}

static void expect_from_outside(const char *outer, int port, const char *answer) {
    struct wire *wire = wire_try_connect(outer, port);
    assert_non_null(wire);
    wire_try_send(wire, "PING\r\n", 6);
    char *reply = wire_read_reply(wire);
    if (reply == NULL || strncmp(reply, answer, strlen(answer)) != 0)
        fail_msg("expected %s, got %s", answer, reply);
    free(reply);
    wire_close(wire);
}

static const char *const on_all_addresses[] = {"--bind", "0.0.0.0", NULL};

static void protected_mode_lets_in_where_a_password_is_asked_for(void **state) {
    const struct test_server *server = *state;
    char outer[INET_ADDRSTRLEN];
    if (!find_outer_address(outer)) skip();
    struct wire *wire = wire_connect(server);
    expect_from_outside(outer, server->port, "-DENIED ");
    wire_expect(wire, "ACL SETUSER default >p", "+OK");
    expect_from_outside(outer, server->port, "-NOAUTH ");
    wire_expect(wire, "ACL SETUSER default nopass", "+OK");
    expect_from_outside(outer, server->port, "-DENIED ");
    wire_expect(wire, "ACL SETUSER default off", "+OK");
    expect_from_outside(outer, server->port, "-NOAUTH ");
    wire_expect(wire, "ACL SETUSER default on", "+OK");
    wire_expect(wire, "CONFIG SET protected-mode no", "+OK");
    expect_from_outside(outer, server->port, "+PONG");
    wire_close(wire);
}

static void a_browser_is_cut_off(void **state) {
    static const char *const starts[] = {"POST / HTTP/1.1\r\nHost: x\r\n\r\nSET pwned 1\r\n",
                                         "Host: x\r\nSET pwned 1\r\n",
                                         "*1\r\n$4\r\npost\r\nSET pwned 1\r\n"};
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        struct wire *wire = wire_connect(*state);
        wire_send_text(wire, starts[i]);
        wire_expect_closed(wire);
        wire_close(wire);
    }
    struct wire *wire = wire_connect(*state);
    wire_expect(wire, "EXISTS pwned", ":0");
    wire_expect(wire, "INFO errorstats", "\"# Errorstats\\r\\n\""); /* nobody was told one */
    wire_close(wire);
    assert_int_equal(test_server_times_said(*state, "Possible SECURITY ATTACK detected"),
                     1); /* once a minute */
}

#define TEST_IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void) {
    test_server_require();
    const struct CMUnitTest tests[] = {
        TEST_WITH_SERVER(a_change_holds_for_the_next_command_on_all_workers, on_workers),
        TEST_WITH_SERVER(a_change_holds_within_a_pipeline, on_workers),
        TEST_WITH_SERVER(those_of_a_removed_user_are_closed_idle_or_not, on_workers),
        TEST_WITH_SERVER(who_removes_itself_hears_so, on_workers),
        TEST_WITH_SERVER(a_waiting_client_of_a_removed_user_is_closed, on_workers),
        TEST_WITH_SERVER(a_waiting_client_is_judged_by_what_holds_at_the_end, on_workers),
        TEST_WITH_SERVER(leases_are_for_those_who_may_write, on_workers),
        TEST_WITH_SERVER(new_users_begin_with_the_channels_that_the_option_says, NULL),
        TEST_WITH_SERVER(only_operators_see_what_others_ask_for, NULL),
        TEST_WITH_SERVER(denials_are_logged_with_who_and_what, on_workers),
        TEST_IN_FOLDER(a_file_of_users_is_read_saved_and_read_again),
        TEST_IN_FOLDER(a_broken_file_leaves_the_users_as_they_were),
        TEST_IN_FOLDER(loading_closes_those_whose_user_is_another_now),
        TEST_IN_FOLDER(a_file_without_the_default_user_does_not_open_the_door),
        TEST_IN_FOLDER(a_file_that_cannot_be_saved_is_told_and_kept),
        TEST_IN_FOLDER(users_of_the_configuration_are_read_and_rewritten),
        TEST_IN_FOLDER(without_users_a_rewrite_writes_none),
        TEST_IN_FOLDER(a_rewrite_does_not_define_users_twice),
        TEST_WITH_SERVER(users_and_renames_may_be_flags, with_flags),
        TEST_IN_FOLDER(mistakes_keep_the_server_from_starting),
        TEST_IN_FOLDER(checking_a_configuration_checks_its_users),
        TEST_IN_FOLDER(passwords_are_not_logged),
        TEST_WITH_SERVER(a_stranger_may_not_have_much_kept, with_password),
        TEST_WITH_SERVER(a_stranger_is_told_so_during_a_pause, with_password),
        TEST_WITH_SERVER(protected_mode_lets_in_where_a_password_is_asked_for, on_all_addresses),
        TEST_WITH_SERVER(a_browser_is_cut_off, NULL),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
