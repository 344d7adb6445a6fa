/* server/supervisor.c against a socket of our own in systemd's place. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "server/supervisor.h"

/* A bound datagram socket with an abstract name, which NOTIFY_SOCKET then bears. */
static int listen_as_systemd(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int size = snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1,
                        "sherd-supervisor-test-%d", (int)getpid());
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)size);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, length), 0);
    char name[sizeof(address.sun_path) + 1];
    snprintf(name, sizeof(name), "@%s", address.sun_path + 1);
    assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
    return fd;
}

static void supervisor_sends_the_state_to_the_socket(void **state) {
    (void)state;
    int fd = listen_as_systemd();
    supervisor_notify("READY=1");
    char got[32] = "";
    assert_int_equal(recv(fd, got, sizeof(got) - 1, 0), 7);
    assert_string_equal(got, "READY=1");
    close(fd);
}

static void supervisor_is_wanted_as_the_option_says(void **state) {
    (void)state;
    struct config *config = config_create();
    assert_non_null(config);
    unsetenv("NOTIFY_SOCKET");
    static const struct {
        const char *word;
        bool with_socket;
    } cases[] = {{"no", false}, {"auto", true}, {"systemd", true}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char flag[] = "--supervised", word[16], error[CONFIG_ERROR_MAX];
        snprintf(word, sizeof(word), "%s", cases[i].word);
        char *flags[] = {flag, word};
        assert_int_equal(config_load_flags(config, 2, flags, error), STATUS_OK);
        assert_false(supervisor_is_wanted(config));
        setenv("NOTIFY_SOCKET", "@sherd-nobody", 1);
        assert_int_equal(supervisor_is_wanted(config), cases[i].with_socket);
        unsetenv("NOTIFY_SOCKET");
    }
    config_destroy(config);
}

static void the_watchdog_is_ours_when_it_says_so(void **state) {
    (void)state;
    char pid[32];
    static const struct {
        const char *usec;
        int64_t ms;
    } cases[] = {{"3000000", 3000}, {"0", 0}, {"x", 0}, {"-1", 0}};
    unsetenv("WATCHDOG_PID");
    unsetenv("WATCHDOG_USEC");
    assert_int_equal(supervisor_watchdog_ms(), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        setenv("WATCHDOG_USEC", cases[i].usec, 1);
        assert_int_equal(supervisor_watchdog_ms(), cases[i].ms);
    }
    setenv("WATCHDOG_USEC", "3000000", 1);
    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    setenv("WATCHDOG_PID", pid, 1);
    assert_int_equal(supervisor_watchdog_ms(), 3000);
    setenv("WATCHDOG_PID", "1", 1);
    assert_int_equal(supervisor_watchdog_ms(), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(supervisor_sends_the_state_to_the_socket),
        cmocka_unit_test(supervisor_is_wanted_as_the_option_says),
        cmocka_unit_test(the_watchdog_is_ours_when_it_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
