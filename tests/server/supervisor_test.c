/* server/supervisor.c against a socket of our own in systemd's place. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "server/supervisor.h"
#include "tests/support/systemd.h"

static void supervisor_sends_the_state_to_the_socket(void **state) {
    (void)state;
    int fd = systemd_listen();
    supervisor_notify("READY=1");
    char told[SYSTEMD_STATE_MAX];
    systemd_read(fd, told);
    assert_string_equal(told, "READY=1");
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
