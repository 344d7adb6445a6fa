/* What an operator gets wrong: each is told with what, where and what to do, and nothing is started. And the
 * health check, which must tell a server that answers from one that doesn't. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/program.h"
#include "tests/support/server.h"

enum { LINE_MAX_BYTES = 1024 };

/* Run a command line, for 20 seconds at most; all it said is left in `output`, the caller's. */
static int run_command(const char *command, char **output) {
    char line[3 * LINE_MAX_BYTES];
    snprintf(line, sizeof line, "timeout 20 %s 2>&1 </dev/null", command);
    int exit_status;
    *output = program_run(line, &exit_status);
    return exit_status;
}

/* The same of sherd with these arguments. */
static int run(const char *arguments, char **output) {
    char line[2 * LINE_MAX_BYTES];
    snprintf(line, sizeof line, SHERD_BINARY " %s", arguments);
    return run_command(line, output);
}

static void expect(const char *arguments, int exit_status, const char *words) {
    char *output;
    int found = run(arguments, &output);
    if (found != exit_status || strstr(output, words) == NULL)
        fail_msg("sherd %s\nexpected %d and: %s\ngot %d: %s", arguments, exit_status, words, found,
                 output);
    free(output);
}

struct folder {
    char path[32];
};

static int set_up(void **state) {
    struct folder *folder = calloc(1, sizeof *folder);
    assert_non_null(folder);
    strcpy(folder->path, "/tmp/sherd-start-XXXXXX");
    assert_non_null(mkdtemp(folder->path));
    *state = folder;
    return 0;
}

static int tear_down(void **state) {
    struct folder *folder = *state;
    char line[64];
    snprintf(line, sizeof line, "rm -r %s", folder->path);
    assert_int_equal(system(line), 0);
    free(folder);
    return 0;
}

static void write_file(const struct folder *folder, const char *name, const char *text) {
    char path[64];
    snprintf(path, sizeof path, "%s/%s", folder->path, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* ---- Starting -------------------------------------------------------------------------------- */

static void a_configuration_that_cannot_be_read_is_told(void **state) {
    struct folder *folder = *state;
    char line[LINE_MAX_BYTES];
    expect("/nowhere/sherd.conf", 1,
           "sherd: /nowhere/sherd.conf: cannot read the configuration: No such file or directory");
    expect(folder->path, 1, "cannot read the configuration: Is a directory");
    expect("--check /nowhere/sherd.conf", 1, "/nowhere/sherd.conf: cannot read");
    write_file(folder, "long.conf", "");
    snprintf(line, sizeof line, "%s/long.conf", folder->path);
    assert_int_equal(truncate(line, 1024 * 1024 + 1), 0);
    expect(line, 1, "it is larger than a megabyte");
}

static void a_file_that_was_written_in_part_is_told(void **state) {
    struct folder *folder = *state;
    char line[LINE_MAX_BYTES];
    write_file(folder, "half.conf", "port 0\nmaxmem");
    snprintf(line, sizeof line, "%s/half.conf", folder->path);
    expect(line, 1, "half.conf:2: unknown option 'maxmem'");
    write_file(folder, "half.conf", "port 0\nrequirepass \"sec");
    expect(line, 1, "half.conf:2: unbalanced quotes");
}

static void expect_told(const char *output, const char *text) {
    if (strstr(output, text) == NULL) fail_msg("no '%s' in: %s", text, output);
}

static void checking_tells_every_error_and_starts_nothing(void **state) {
    struct folder *folder = *state;
    char line[LINE_MAX_BYTES];
    write_file(folder, "bad.conf", "prot 1\n# fine\nport 99999\nuser x +nosuchcommand\n");
    snprintf(line, sizeof line, "--check %s/bad.conf --loglevel loud", folder->path);
    char *output;
    assert_int_equal(run(line, &output), 1);
    assert_non_null(strstr(output, "bad.conf:1: unknown option 'prot' (did you mean 'port'?)\n"));
    assert_non_null(
        strstr(output, "bad.conf:3: port: argument must be between 0 and 65535 inclusive\n"));
    assert_non_null(strstr(output, "--loglevel: argument(s) must be one of "));
    assert_non_null(strstr(output, "bad.conf:4: "));
    assert_non_null(strstr(output, "sherd: 4 errors in the configuration\n"));
    free(output);
}

/* Does the folder hold nothing but these names? */
static void expect_names(const struct folder *folder, const char *names) {
    char line[64], *output;
    snprintf(line, sizeof line, "ls -x %s", folder->path);
    assert_int_equal(run_command(line, &output), 0);
    output[strcspn(output, "\n")] = '\0';
    assert_string_equal(output, names);
    free(output);
}

static void checking_what_will_do_leaves_nothing_behind(void **state) {
    struct folder *folder = *state;
    char text[LINE_MAX_BYTES], line[LINE_MAX_BYTES];
    snprintf(text, sizeof text,
             "port 7390\ndir %s\nsave 900 1\nlogfile log\npidfile pid\nunixsocket socket\n"
             "takeover-socket door\nmaxmemory 100mb\n",
             folder->path);
    write_file(folder, "good.conf", text);
    snprintf(line, sizeof line, "--check %s/good.conf", folder->path);
    expect(line, 0, "The configuration is valid.");
    expect_names(folder, "good.conf");
}

static void checking_tells_all_that_a_start_would_fail_on(void **state) {
    struct folder *folder = *state;
    char line[LINE_MAX_BYTES], *output;
    static const char nameless[] = /* too long for a name, so nobody is asked for it */
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
    write_file(folder, "file", "");
    snprintf(line, sizeof line,
             "dir %s\nlogfile none/log\npidfile .\nunixsocket file\ntakeover-socket none/door\n"
             "bind 203.0.113.7 127.0.0.1 %s -203.0.113.8\nmetrics-port 7399\n"
             "metrics-bind 203.0.113.9\n",
             folder->path, nameless);
    write_file(folder, "bad.conf", line);
    snprintf(line, sizeof line, "--check %s/bad.conf", folder->path);
    assert_int_equal(run(line, &output), 1);
    expect_told(output, "bad.conf:2: Can't open the log file none/log (option logfile): No such ");
    expect_told(output, "bad.conf:3: Can't write the pid file . (option pidfile): Is a directory");
    expect_told(output, "bad.conf:4: Could not listen on file: File exists (it isn't a socket, ");
    expect_told(output, "bad.conf:5: takeover-socket: Could not listen on none/door: No such ");
    expect_told(output, "bad.conf:6: Could not listen on 203.0.113.7:6379: Cannot assign ");
    expect_told(output, "bad.conf:6: Could not listen on xxxxxx");
    expect_told(output, "bad.conf:7: HTTP for metrics: Could not listen on 203.0.113.9:7399: ");
    expect_told(output, "sherd: 7 errors in the configuration\n");
    free(output);
    expect_names(folder, "bad.conf  file");
    expect("--check --port 0", 1, "Configured to not listen anywhere: set port, ");
    expect("--check --bind -203.0.113.7", 1,
           "none of the addresses of 'bind' could be listened on");
    expect("--check --bind --port 7399 --tls-port 7400 --tls-auth-clients no", 1,
           "--bind: bind names no address: give it some, such as 127.0.0.1, or '*' for all (port "
           "0: not on TCP)\nsherd: 2 errors in the configuration\n");
    expect("--bind --port 7399", 1, "bind names no address: ");
    expect("--check --dir /dev/null", 1,
           "--dir: can't change to the directory '/dev/null' (option "
           "dir): Not a directory; name another");
}

/* Not as if another server were there. */
static void two_options_for_one_place_are_told_by_start_and_check(void **state) {
    const struct folder *folder = *state;
    static const struct {
        const char *options, *words;
    } examples[] = {
        {"--port 7399 --metrics-port 7399", "port and metrics-port are both 7399"},
        {"--bind '*' --port 7399 --metrics-port 7399", "port and metrics-port are both 7399"},
        {"--port 0 --unixsocket both --takeover-socket ./both",
         "unixsocket and takeover-socket are both ./both: "},
    };
    char line[LINE_MAX_BYTES];
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++) {
        snprintf(line, sizeof line, "--dir %s %s", folder->path, examples[i].options);
        expect(line, 1, examples[i].words);
        snprintf(line, sizeof line, "--check --dir %s %s", folder->path, examples[i].options);
        expect(line, 1, examples[i].words);
    }
    expect("--check --port 7399 --tls-port 7399", 1, "--tls-port: port and tls-port are both 7399");
    expect("--check --port 0 --tls-port 7399 --metrics-port 7399", 1,
           "tls-port and metrics-port are both 7399");
    expect("--check --bind 127.0.0.1 --metrics-bind 127.0.0.2 --port 7399 --metrics-port 7399", 0,
           "The configuration is valid.");
}

/* What a start says, and a check too: the bytes of a server without a key. */
static long long bytes_needed(const struct folder *folder, const char *mode, const char *place) {
    char line[LINE_MAX_BYTES], *output;
    snprintf(line, sizeof line,
             "%s --port 0 --unixsocket %s/socket --workers 2 --shards 8 --maxmemory 100kb", mode,
             folder->path);
    assert_int_equal(run(line, &output), 1);
    expect_told(output, place);
    const char *told = strstr(output, "maxmemory 102400 is less than the ");
    assert_non_null(told);
    long long bytes = atoll(told + strlen("maxmemory 102400 is less than the "));
    free(output);
    return bytes;
}

static void checking_tells_of_a_limit_that_is_too_low_to_start_with(void **state) {
    long long needed = bytes_needed(*state, "", "# maxmemory"),
              checked = bytes_needed(*state, "--check", "--maxmemory: maxmemory");
    assert_true(checked > 500000);
    assert_true(checked <= needed && needed - checked < needed / 50);
    char line[LINE_MAX_BYTES];
    snprintf(line, sizeof line, "--check --workers 2 --shards 8 --maxmemory %lld", needed);
    expect(line, 0, "The configuration is valid.");
}

static void checking_a_running_servers_configuration_disturbs_nobody(void **state) {
    (void)state;
    struct test_server *server = test_server_start(NULL);
    char line[LINE_MAX_BYTES];
    snprintf(line, sizeof line, "--check --port %d --bind 127.0.0.1 --unixsocket %s", server->port,
             server->unix_socket);
    expect(line, 0, "The configuration is valid.");
    snprintf(line, sizeof line, "--ping --unix %s --timeout-ms 10000", server->unix_socket);
    expect(line, 0, "+PONG");
    test_server_stop(server);
}

static void checking_tells_the_errors_of_the_files_named_too(void **state) {
    struct folder *folder = *state;
    char line[LINE_MAX_BYTES], *output;
    write_file(folder, "users", "user a on\nuser b +nope\nbob on\nuser a on\nuser c ~x (+get");
    write_file(folder, "key.pem", "none\n");
    snprintf(line, sizeof line,
             "prot 1\nrename-command nope x\nuser x +no\nuser y +none\nrename-command get\n"
             "dir %s\naclfile users\ntls-port 6380\ntls-cert-file missing.pem\n"
             "tls-key-file key.pem\ntls-protocols SSLv3\n",
             folder->path);
    write_file(folder, "all.conf", line);
    snprintf(line, sizeof line, "--check %s/all.conf", folder->path);
    assert_int_equal(run(line, &output), 1);
    expect_told(output, "all.conf:1: unknown option 'prot'");
    expect_told(output, "all.conf:2: No such command in rename-command: 'nope'\n");
    expect_told(output, "all.conf:3: users are defined here, and an aclfile is given, too");
    expect_told(output, "all.conf:3: user 'x', rule '+no'");
    expect_told(output, "all.conf:4: user 'y', rule '+none'");
    expect_told(output, "all.conf:5: rename-command takes a command and its new name");
    expect_told(output, "users:2: user 'b', rule '+nope': Unknown command or category name");
    expect_told(output, "users:3: should start with user keyword");
    expect_told(output, "users:4: Duplicate user found.");
    expect_told(output, "users:5: user 'c', rule '(+get': Unmatched parenthesis");
    expect_told(output, "all.conf:9: tls-cert-file: can't load the certificate from missing.pem: ");
    expect_told(output, "all.conf:10: tls-key-file: can't load the key from key.pem: ");
    expect_told(output, "all.conf:8: tls-auth-clients asks clients for a certificate");
    expect_told(output, "all.conf:11: tls-protocols: 'SSLv3' isn't one of TLSv1.2, TLSv1.3\n");
    expect_told(output, "sherd: 14 errors in the configuration\n");
    free(output);
    snprintf(line, sizeof line, "dir %s/none\naclfile users\n", folder->path);
    write_file(folder, "dir.conf", line);
    snprintf(line, sizeof line, "--check %s/dir.conf", folder->path);
    assert_int_equal(run(line, &output), 1);
    expect_told(output, "dir.conf:1: can't change to the directory");
    expect_told(output, "dir.conf:2: Error loading ACLs, opening file 'users': No such file");
    free(output);
}

static void what_cannot_be_used_is_told_and_nothing_starts(void **state) {
    struct folder *folder = *state;
    static const struct {
        const char *arguments, *words;
    } examples[] = {
        {"--port 0 --dir /nowhere",
         "can't change to the directory '/nowhere' (option dir): No such "
         "file or directory; create it, or name another"},
        {"--port 0 --unixsocket /nowhere/socket", "Could not listen on /nowhere/socket: "},
        {"--port 0 --logfile /nowhere/log", "Can't open the log file /nowhere/log (option "
                                            "logfile): No such file or directory; create its "
                                            "folder\n"},
        {"--port 0 --logfile /dev",
         "Can't open the log file /dev (option logfile): Is a directory\n"},
        {"--port 0 --dbfilename ''", "--dbfilename: dbfilename can't be empty"},
        {"--port 0 --aclfile /nowhere/users",
         "opening file '/nowhere/users': No such file or directory (make it: at first an empty "
         "one)"},
        {"--port 0 --tls-port 1 --tls-cert-file /etc/passwd",
         "tls-cert-file: can't load the certificate from /etc/passwd: it holds none in PEM's form"},
        {"--port 0", "Configured to not listen anywhere: set port, tls-port or unixsocket"},
        {"--bind 203.0.113.7 --port 0 --workers 100000", "workers: argument must be between"},
    };
    char line[LINE_MAX_BYTES];
    snprintf(line, sizeof line, "--port 0 --unixsocket %s/socket --pidfile /nowhere/pid",
             folder->path);
    expect(line, 1,
           "Can't write the pid file /nowhere/pid (option pidfile): No such file or directory");
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++) {
        expect(examples[i].arguments, 1, examples[i].words);
    }
}

/* Root may do everything, so then somebody else tries, who must be able to reach the program. Skips where he isn't. */
static const char *somebody_else(void) {
    const char *somebody = geteuid() == 0 ? "setpriv --reuid=65534 --clear-groups " : "";
    char line[LINE_MAX_BYTES], *output;
    snprintf(line, sizeof line, "%s" SHERD_BINARY " --version", somebody);
    bool can_run = run_command(line, &output) == 0;
    free(output);
    if (!can_run) skip();
    return somebody;
}

static void a_directory_that_cannot_be_entered_is_told_by_its_path(void **state) {
    struct folder *folder = *state;
    const char *somebody = somebody_else();
    char line[LINE_MAX_BYTES], words[LINE_MAX_BYTES], *output;
    snprintf(line, sizeof line, "sh -c 'cd %s && chmod 0 . && exec %s" SHERD_BINARY " --port 0'",
             folder->path, somebody);
    assert_int_equal(run_command(line, &output), 1);
    assert_int_equal(chmod(folder->path, 0700), 0);
    snprintf(words, sizeof words,
             "can't change to the directory '%s' (option dir): Permission denied; let this user "
             "into it and the folders above, or name another",
             folder->path);
    expect_told(output, words);
    free(output);
}

static void a_directory_to_save_to_that_is_not_writable_is_told(void **state) {
    struct folder *folder = *state;
    const char *somebody = somebody_else();
    char line[LINE_MAX_BYTES], *output;
    assert_int_equal(chmod(folder->path, 0555), 0);
    static const struct {
        const char *mode, *words;
    } ways[] = {
        {"", "sherd: can't write to the directory '/tmp/sherd-start-"},
        {"--check", "--dir: can't write to the directory '/tmp/sherd-start-"},
    };
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        snprintf(line, sizeof line, "%s" SHERD_BINARY " %s --save '1 1' --dir %s", somebody,
                 ways[i].mode, folder->path);
        assert_int_equal(run_command(line, &output), 1);
        expect_told(output, ways[i].words);
        free(output);
    }
    assert_int_equal(chmod(folder->path, 0700), 0);
}

static void a_limit_of_open_files_without_room_for_a_client_is_told(void **state) {
    (void)state;
    static const char words[] =
        "The system's limit of open files allows no client: the server takes 64, and each client "
        "one, so maxclients 10 needs 74; raise it (ulimit -n, or LimitNOFILE in systemd's unit)";
    static const char *const modes[] = {"", "--check"};
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        char line[LINE_MAX_BYTES], *output;
        snprintf(line, sizeof line,
                 "sh -c 'ulimit -n 64; exec " SHERD_BINARY " %s --maxclients 10 --workers 1'",
                 modes[i]);
        assert_int_equal(run_command(line, &output), 1);
        expect_told(output, words);
        free(output);
    }
}

/* Where io_uring is allowed the workers run out of descriptors for it. */
static void who_insists_on_io_uring_is_told_what_to_take_instead(void **state) {
    struct folder *folder = *state;
    char line[LINE_MAX_BYTES], *output;
    snprintf(line, sizeof line,
             "sh -c 'ulimit -n 66; exec " SHERD_BINARY " --port 0 --unixsocket %s/socket "
             "--maxclients 2 --workers 64 --io uring'",
             folder->path);
    assert_int_equal(run_command(line, &output), 1);
    expect_told(output, "can't start: io_uring is unavailable (");
    expect_told(output, "); or take --io auto, or epoll");
    free(output);
}

static void a_bench_without_a_server_is_told_where_there_is_none(void **state) {
    (void)state;
    char line[LINE_MAX_BYTES], words[64], *output;
    int port = test_server_free_port();
    snprintf(line, sizeof line, SHERD_BENCH_BINARY " load --port %d", port);
    snprintf(words, sizeof words, "can't connect to 127.0.0.1:%d: Connection refused", port);
    assert_int_equal(run_command(line, &output), 1);
    expect_told(output, words);
    free(output);
}

static void a_port_in_use_is_told(void **state) {
    (void)state;
    struct test_server *server = test_server_start(NULL);
    char line[LINE_MAX_BYTES], words[64];
    snprintf(line, sizeof line, "--port %d --bind 127.0.0.1", server->port);
    snprintf(words, sizeof words, "Could not listen on 127.0.0.1:%d: Address already in use (",
             server->port);
    expect(line, 1, words);
    snprintf(line, sizeof line, "--port 0 --unixsocket %s", server->unix_socket);
    expect(line, 1, "Address already in use (is another server running? try another path)");
    test_server_stop(server);
}

/* ---- sherd --ping ---------------------------------------------------------------------------- */

/* A name, where there is one: a bare system has no /etc/hosts that knows this. */
static const char *own_host(void) {
    struct addrinfo *found;
    if (getaddrinfo("localhost", NULL, NULL, &found) != 0) return "127.0.0.1";
    freeaddrinfo(found);
    return "localhost";
}

static void a_ping_finds_a_server_that_answers(void **state) {
    (void)state;
    static const char *const options[] = {"--requirepass", "secret", NULL};
    char line[LINE_MAX_BYTES];
    struct test_server *server = test_server_start(NULL);
    snprintf(line, sizeof line, "--ping --port %d --timeout-ms 10000", server->port);
    expect(line, 0, "+PONG");
    snprintf(line, sizeof line, "--ping --unix %s --ready --timeout-ms 10000", server->unix_socket);
    expect(line, 0, "+PONG");
    test_server_stop(server);
    server = test_server_start(options);
    snprintf(line, sizeof line, "--ping --host %s --port %d --timeout-ms 10000", own_host(),
             server->port);
    expect(line, 0, "-NOAUTH");
    test_server_stop(server);
}

static void a_ping_tells_why_nobody_answers(void **state) {
    (void)state;
    char line[LINE_MAX_BYTES];
    snprintf(line, sizeof line, "--ping --port %d", test_server_free_port());
    expect(line, 1, "Connection refused (does a server run there?");
    expect("--ping --unix /nowhere/socket", 1, "/nowhere/socket: No such file or directory");
    expect("--ping --timeout-ms 0", 1, "not a number from 1 to");
    expect("--ping --prot 1", 1, "--prot: --ping takes --host HOST, --port NUMBER");
    expect("--ping --port", 1, "--port: --ping takes");
}

/* A socket that takes connections, and answers what the test says, or, with NULL, dies of the question; the child ends
 * with its only client. */
struct impostor {
    char path[64];
    int fd;
    pid_t pid;
};

static void begin_impostor(struct impostor *impostor, const struct folder *folder,
                           const char *answer) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(impostor->path, sizeof impostor->path, "%s/impostor", folder->path);
    strcpy(address.sun_path, impostor->path);
    impostor->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(impostor->fd >= 0);
    assert_int_equal(bind(impostor->fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(impostor->fd, 4), 0);
    impostor->pid = fork();
    assert_true(impostor->pid >= 0);
    if (impostor->pid != 0) return;
    char dropped[64];
    int fd = accept(impostor->fd, NULL, NULL);
    while (read(fd, dropped, sizeof dropped) > 0 && answer != NULL) {
        if (write(fd, answer, strlen(answer)) < 0) break;
    }
    _exit(0);
}

static void end_impostor(struct impostor *impostor) {
    int status;
    assert_int_equal(waitpid(impostor->pid, &status, 0), impostor->pid);
    close(impostor->fd);
    unlink(impostor->path);
}

static void a_ping_takes_loading_and_a_full_disk_for_life_but_not_for_readiness(void **state) {
    struct folder *folder = *state;
#define MISCONF                                                                                    \
    "-MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to " \
    "disk. Commands that may modify the data set are disabled, because this instance is "          \
    "configured to report errors during writes if RDB snapshotting fails "                         \
    "(stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB " \
    "error.\r\n"
    static const struct {
        const char *answer, *flag;
        int exit_status;
        const char *words;
    } examples[] = {
        {"-LOADING sherd is loading\r\n", "--timeout-ms 10000", 0, "-LOADING"},
        {"-LOADING sherd is loading\r\n", "--ready --timeout-ms 10000", 1, "-LOADING"},
        {MISCONF, "--timeout-ms 10000", 0, "-MISCONF"},
        {MISCONF, "--ready --timeout-ms 10000", 1, "-MISCONF"},
        {"-ERR max number of clients reached\r\n", "--timeout-ms 10000", 1, "-ERR max number"},
        {"+PON", "--timeout-ms 100", 1, "(no answer within --timeout-ms)"},
        {NULL, "--timeout-ms 10000", 1, "Connection reset by peer (did the server end just now?)"},
    };
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++) {
        struct impostor impostor;
        char line[LINE_MAX_BYTES];
        begin_impostor(&impostor, folder, examples[i].answer);
        snprintf(line, sizeof line, "--ping --unix %s %s", impostor.path, examples[i].flag);
        expect(line, examples[i].exit_status, examples[i].words);
        end_impostor(&impostor);
    }
}

int main(void) {
    test_server_require();
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_configuration_that_cannot_be_read_is_told),
        TEST(a_file_that_was_written_in_part_is_told),
        TEST(checking_tells_every_error_and_starts_nothing),
        TEST(checking_what_will_do_leaves_nothing_behind),
        TEST(checking_tells_all_that_a_start_would_fail_on),
        TEST(two_options_for_one_place_are_told_by_start_and_check),
        TEST(checking_tells_of_a_limit_that_is_too_low_to_start_with),
        TEST(checking_a_running_servers_configuration_disturbs_nobody),
        TEST(checking_tells_the_errors_of_the_files_named_too),
        TEST(what_cannot_be_used_is_told_and_nothing_starts),
        TEST(a_directory_that_cannot_be_entered_is_told_by_its_path),
        TEST(a_directory_to_save_to_that_is_not_writable_is_told),
        TEST(a_limit_of_open_files_without_room_for_a_client_is_told),
        TEST(who_insists_on_io_uring_is_told_what_to_take_instead),
        TEST(a_bench_without_a_server_is_told_where_there_is_none),
        TEST(a_port_in_use_is_told),
        TEST(a_ping_finds_a_server_that_answers),
        TEST(a_ping_tells_why_nobody_answers),
        TEST(a_ping_takes_loading_and_a_full_disk_for_life_but_not_for_readiness),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
