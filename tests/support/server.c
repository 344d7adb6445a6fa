#include "tests/support/server.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/folder.h"

enum {
    ARGUMENTS_MAX = 64,
    START_MS_MAX = 20000, /* sanitizers start slowly */
    END_MS_MAX = 30000,
    POLL_MS = 2,
    SAID_MS_MAX = 20000,
    START_ATTEMPTS = 5, /* each with another port: somebody may take ours before the server does */
};

static const char *server_program(void) {
    const char *program = getenv("SHERD_TEST_SERVER");
    return program != NULL && *program != '\0' ? program : SHERD_BINARY;
}

static bool is_sherd(const char *program) {
    const char *slash = strrchr(program, '/');
    return strcmp(slash == NULL ? program : slash + 1, "sherd") == 0;
}

/* ---- Command line ---------------------------------------------------------------------------- */

struct arguments {
    const char *items[ARGUMENTS_MAX + 1];
    size_t count;
};

static void arguments_add(struct arguments *arguments, const char *argument) {
    assert_true(arguments->count < ARGUMENTS_MAX);
    arguments->items[arguments->count++] = argument;
}

static void arguments_add_option(struct arguments *arguments, const char *name, const char *value) {
    arguments_add(arguments, name);
    arguments_add(arguments, value);
}

static void arguments_add_environment(struct arguments *arguments, const char *name,
                                      const char *variable) {
    const char *value = getenv(variable);
    if (value != NULL && *value != '\0') arguments_add_option(arguments, name, value);
}

/* What every server is told. The tests' own options come after: the last one wins. */
static void arguments_add_defaults(struct arguments *arguments, const struct test_server *server) {
    arguments_add_option(arguments, "--unixsocket", server->unix_socket);
    arguments_add_option(arguments, "--save", "");
    arguments_add_option(arguments, "--enable-debug-command", "yes");
    if (server->is_reference) return;
    arguments_add_environment(arguments, "--io", "SHERD_TEST_IO");
    arguments_add_environment(arguments, "--lock-mode", "SHERD_TEST_LOCK_MODE");
}

static bool options_name(const char *const *options, const char *name) {
    for (; options != NULL && *options != NULL; options++) {
        if (strcmp(*options, name) == 0) return true;
    }
    return false;
}

/* ---- Skipping -------------------------------------------------------------------------------- */

/* Tried in a process of its own: the end of a ring interrupts one system call of whoever had it, some time later. */
static bool kernel_has_io_uring(void) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct io_uring_params parameters = {0};
        _exit(syscall(SYS_io_uring_setup, 1, &parameters) >= 0 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool is_installed(const char *program) {
    if (strchr(program, '/') != NULL) return access(program, X_OK) == 0;
    char command[256];
    snprintf(command, sizeof command, "command -v '%s' >/dev/null", program);
    return system(command) == 0;
}

static void exit_as_skipped(const char *reason) {
    fprintf(stderr, "Skipped: %s\n", reason);
    exit(TEST_SKIPPED);
}

void test_server_require(void) {
    const char *io = getenv("SHERD_TEST_IO");
    if (!is_installed(server_program())) {
        if (!is_sherd(server_program())) exit_as_skipped("the reference server is not installed");
        fprintf(stderr, "There is no %s to test\n", server_program());
        exit(1);
    }
    if (is_sherd(server_program()) && io != NULL && strcmp(io, "uring") == 0 &&
        !kernel_has_io_uring()) {
        exit_as_skipped("this kernel, or its seccomp filter, refuses io_uring");
    }
}

/* ---- Starting -------------------------------------------------------------------------------- */

int test_server_free_port(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    close(fd);
    return ntohs(address.sin_port);
}

/* In the child, between fork and exec: system calls only. */
static _Noreturn void become_server(const struct arguments *arguments, int output_fd,
                                    pid_t parent) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(127); /* it died before we asked */
    dup2(output_fd, STDOUT_FILENO);
    dup2(output_fd, STDERR_FILENO);
    close_range(STDERR_FILENO + 1, ~0U, 0); /* a client's sockets would be kept open */
    execvp(arguments->items[0], (char *const *)(uintptr_t)arguments->items);
    _exit(127);
}

static pid_t spawn(const struct test_server *server, const struct arguments *arguments) {
    int output_fd = open(server->output, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
    assert_true(output_fd >= 0);
    pid_t parent = getpid(), pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) become_server(arguments, output_fd, parent);
    close(output_fd);
    return pid;
}

static void begin(struct test_server *server, pid_t pid) {
    server->pid = pid;
    server->pidfd = pidfd_open(pid, 0);
    assert_true(server->pidfd >= 0);
}

/* Until the server has closed its end too: what a test does next then meets no client but its own. */
static void leave(int fd) {
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    char dropped[256];
    shutdown(fd, SHUT_WR);
    while (poll(&poll_fd, 1, START_MS_MAX) > 0 && read(fd, dropped, sizeof dropped) > 0) {
        /* what it says on the way, such as that there are too many clients */
    }
}

static bool accepts(int family, const void *address, socklen_t size) {
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    bool connected = connect(fd, address, size) == 0;
    if (connected) leave(fd);
    close(fd);
    return connected;
}

static bool is_ready(const struct test_server *server) {
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    snprintf(local.sun_path, sizeof local.sun_path, "%s", server->unix_socket);
    if (!accepts(AF_UNIX, &local, sizeof local)) return false;
    struct sockaddr_in tcp = {.sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                              .sin_port = htons((uint16_t)server->port)};
    return server->port == 0 || accepts(AF_INET, &tcp, sizeof tcp);
}

static bool has_ended(const struct test_server *server, int wait_ms) {
    struct pollfd poll_fd = {.fd = server->pidfd, .events = POLLIN};
    int count;
    do {
        count = poll(&poll_fd, 1, wait_ms);
    } while (count < 0 && errno == EINTR);
    return count > 0;
}

static bool await_ready(const struct test_server *server) {
    for (int waited_ms = 0; waited_ms < START_MS_MAX; waited_ms += POLL_MS) {
        if (is_ready(server)) return true;
        if (has_ended(server, POLL_MS)) return false;
    }
    return false;
}

static int end_now(struct test_server *server) {
    int status = 0;
    kill(server->pid, SIGKILL);
    waitpid(server->pid, &status, 0);
    close(server->pidfd);
    return status;
}

static void arguments_init(struct arguments *arguments, const struct test_server *server,
                           const char *port, const char *const *options) {
    bool has_file = options != NULL && *options != NULL && **options == '/';
    *arguments = (struct arguments){.items = {server_program()}, .count = 1};
    if (has_file) { /* which may be rewritten, and then must not name a folder that is soon gone */
        arguments_add(arguments, *options++);
    } else {
        arguments_add_option(arguments, "--dir", server->folder);
    }
    arguments_add_option(arguments, "--port", port);
    arguments_add_defaults(arguments, server);
    for (; options != NULL && *options != NULL; options++) {
        arguments_add(arguments, *options);
    }
}

static bool try_start(struct test_server *server, const char *const *options) {
    char port[16];
    bool has_port = options_name(options, "--port"); /* only ever to say 0 */
    server->port = has_port ? 0 : test_server_free_port();
    snprintf(port, sizeof port, "%d", server->port);
    struct arguments arguments;
    arguments_init(&arguments, server, port, options);
    unlink(server->output); /* an attempt's before */
    begin(server, spawn(server, &arguments));
    if (await_ready(server)) return true;
    end_now(server);
    return false;
}

static void create_folder(struct test_server *server) {
    snprintf(server->folder, sizeof server->folder, "/tmp/sherd-test-XXXXXX");
    assert_non_null(mkdtemp(server->folder));
    snprintf(server->unix_socket, sizeof server->unix_socket, "%s/socket", server->folder);
    snprintf(server->output, sizeof server->output, "%s/output", server->folder);
}

static void server_free(struct test_server *server) {
    folder_remove(server->folder);
    free(server);
}

/* Fail the test, with all that the server said, and forget it. It has ended. */
static void fail_with_output(struct test_server *server, const char *what) {
    char *output = test_server_read_output(server);
    /* Not by print_error, which cuts a long text. */
    fprintf(stderr, "---- The server's output ----\n%s\n----\n", output);
    free(output);
    server_free(server);
    fail_msg("%s", what);
}

struct test_server *test_server_start(const char *const *options) {
    struct test_server *server = calloc(1, sizeof *server);
    assert_non_null(server);
    server->is_reference = !is_sherd(server_program());
    create_folder(server);
    for (int attempt = 0; attempt < START_ATTEMPTS; attempt++) {
        if (try_start(server, options)) return server;
    }
    fail_with_output(server, "the server does not start");
    return NULL;
}

/* ---- Ending ---------------------------------------------------------------------------------- */

char *test_server_read_output(const struct test_server *server) {
    FILE *file = fopen(server->output, "r");
    char *text = NULL;
    size_t capacity = 0;
    assert_non_null(file);
    if (getdelim(&text, &capacity, '\0', file) < 0) {
        free(text);
        text = strdup("");
    }
    fclose(file);
    assert_non_null(text);
    return text;
}

int test_server_times_said(const struct test_server *server, const char *words) {
    char *output = test_server_read_output(server);
    int times = 0;
    for (const char *at = output; (at = strstr(at, words)) != NULL; at++) {
        times++;
    }
    free(output);
    return times;
}

void test_server_expect_said(const struct test_server *server, const char *words) {
    if (test_server_times_said(server, words) > 0) return;
    char *output = test_server_read_output(server);
    fail_msg("\"%s\" is not in the server's output:\n%s", words, output);
}

void test_server_await_said(const struct test_server *server, const char *words) {
    for (int waited_ms = 0; waited_ms < SAID_MS_MAX; waited_ms++) {
        if (test_server_times_said(server, words) > 0) return;
        poll(NULL, 0, 1);
    }
    test_server_expect_said(server, words);
}

static bool output_has_report(const struct test_server *server) {
    char *output = test_server_read_output(server);
    bool has_report =
        strstr(output, "Sanitizer") != NULL || strstr(output, "runtime error:") != NULL;
    free(output);
    return has_report;
}

static void await_good_end(struct test_server *server) {
    if (!has_ended(server, END_MS_MAX)) {
        end_now(server);
        fail_with_output(server, "the server did not end in time, and was killed");
    }
    int status = 0;
    waitpid(server->pid, &status, 0);
    close(server->pidfd);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        char what[64];
        snprintf(what, sizeof what, "the server ended with wait status 0x%x", status);
        fail_with_output(server, what);
    }
    if (output_has_report(server)) fail_with_output(server, "a sanitizer has something to say");
}

void test_server_await_end(struct test_server *server) {
    await_good_end(server);
    server_free(server);
}

void test_server_stop(struct test_server *server) {
    kill(server->pid, SIGTERM);
    test_server_await_end(server);
}

void test_server_kill(struct test_server *server) {
    end_now(server);
    server_free(server);
}

/* ---- Successors ------------------------------------------------------------------------------ */

pid_t test_server_start_successor(const struct test_server *server, const char *const *options) {
    char port[16];
    snprintf(port, sizeof port, "%d", server->port);
    struct arguments arguments;
    arguments_init(&arguments, server, port, options);
    arguments_add(&arguments, NULL);
    memmove(&arguments.items[2], &arguments.items[1],
            (arguments.count - 1) * sizeof arguments.items[0]);
    arguments.items[1] = "--takeover";
    return spawn(server, &arguments);
}

bool test_server_take_over(struct test_server *server, const char *const *options) {
    pid_t pid = test_server_start_successor(server, options);
    int pidfd = pidfd_open(pid, 0);
    assert_true(pidfd >= 0);
    struct pollfd ends[] = {{.fd = server->pidfd, .events = POLLIN},
                            {.fd = pidfd, .events = POLLIN}};
    int count;
    do {
        count = poll(ends, 2, END_MS_MAX);
    } while (count < 0 && errno == EINTR);
    if (count == 0) fail_with_output(server, "a successor neither takes over nor gives up");
    if (ends[1].revents != 0) {
        int status = 0;
        waitpid(pid, &status, 0);
        close(pidfd);
        if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_FAILURE) return false;
        fail_with_output(server, "a successor ended, but not by giving up");
    }
    await_good_end(server);
    server->pid = pid;
    server->pidfd = pidfd;
    return true;
}

void test_server_follow(struct test_server *server) {
    char text[32];
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0); /* what it leaves is ours */
    await_good_end(server);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    FILE *children = fopen(path, "r");
    assert_non_null(children);
    assert_non_null(fgets(text, sizeof text, children));
    fclose(children);
    begin(server, (pid_t)strtol(text, NULL, 10));
    if (!await_ready(server)) fail_with_output(server, "the successor does not serve");
}

long test_server_resident_bytes(const struct test_server *server) {
    char path[64];
    long pages = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", server->pid);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%*d %ld", &pages), 1);
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

int test_server_setup(void **state) {
    *state = test_server_start(*state);
    return 0;
}

int test_server_teardown(void **state) {
    if (*state != NULL) test_server_stop(*state);
    return 0;
}
