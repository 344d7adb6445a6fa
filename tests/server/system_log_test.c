/* What syslogd gets: a daemon of our own, in a /dev of our own. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server/log.h"

enum { HEARD_MAX = 2048, NO_NAMESPACE = 77, NO_SOCKET = 78, MESSAGES = 4 };

/* A /dev that no other process sees, with nothing in it. */
static bool have_own_folder(void) {
    if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
    return mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("none", "/dev", "tmpfs", 0, NULL) == 0;
}

static int listen_as_daemon(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0) return -1;
    return fd;
}

static void log_some(void) {
    log_open_system("sherd-test", SYSTEM_LOG_LOCAL0 + 3);
    log_set_level(LOG_DEBUG);
    log_debug("to be debugged");
    log_verbose("told at length");
    log_notice("noticed: 100 %%s");
    log_warning("warned of");
}

/* The child: everything the daemon hears, a message a line, goes to `out`. */
static int hear(int out) {
    if (!have_own_folder()) return NO_NAMESPACE;
    int fd = listen_as_daemon();
    if (fd < 0) return NO_SOCKET;
    log_some();
    for (int i = 0; i < MESSAGES; i++) {
        char message[HEARD_MAX];
        ssize_t size = recv(fd, message, sizeof(message) - 1, MSG_DONTWAIT);
        if (size < 0) break;
        message[size] = '\n';
        if (write(out, message, (size_t)size + 1) != size + 1) break;
    }
    return 0;
}

static size_t read_all(int fd, char *text, size_t room) {
    size_t size = 0;
    for (ssize_t got; size < room && (got = read(fd, text + size, room - size)) > 0;) {
        size += (size_t)got;
    }
    return size;
}

/* "<priority>time ident[pid]: message", where the priority is eight times the facility (local3 is 19) and the severity. */
static void expect_line(const char *heard, int priority, int pid, const char *message) {
    char begin[16], end[128];
    snprintf(begin, sizeof begin, "<%d>", priority);
    snprintf(end, sizeof end, " sherd-test[%d]: %s\n", pid, message);
    const char *line = strstr(heard, begin);
    if (line == NULL) fail_msg("no message of priority %d in:\n%s", priority, heard);
    const char *found = strstr(line, end);
    if (found == NULL || found + strlen(end) != strchr(line, '\n') + 1)
        fail_msg("\"%s\" isn't what \"%s\" has in:\n%s", end, begin, heard);
}

static void each_level_has_its_severity_in_the_facility(void **state) {
    (void)state;
    int pipe_fds[2], exit_status;
    char heard[HEARD_MAX * 2];
    assert_int_equal(pipe(pipe_fds), 0);
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int quiet = open("/dev/null", O_WRONLY);
        dup2(quiet, STDOUT_FILENO);
        _exit(hear(pipe_fds[1]));
    }
    close(pipe_fds[1]);
    heard[read_all(pipe_fds[0], heard, sizeof heard - 1)] = 0;
    close(pipe_fds[0]);
    assert_int_equal(waitpid(pid, &exit_status, 0), pid);
    assert_true(WIFEXITED(exit_status));
    if (WEXITSTATUS(exit_status) == NO_NAMESPACE) {
        print_message("This system gives no /dev of one's own: syslog is not tested.\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(exit_status), 0);
    expect_line(heard, 19 * 8 + 7, pid, "to be debugged");
    expect_line(heard, 19 * 8 + 6, pid, "told at length");
    expect_line(heard, 19 * 8 + 5, pid, "noticed: 100 %s");
    expect_line(heard, 19 * 8 + 4, pid, "warned of");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_level_has_its_severity_in_the_facility),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
