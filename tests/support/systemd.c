#include "tests/support/systemd.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

int systemd_listen(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char name[sizeof(address.sun_path) + 1] = "@";
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    socklen_t size = sizeof(sa_family_t); /* the kernel chooses an abstract name */
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    size = sizeof(address);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    memcpy(name + 1, address.sun_path + 1, size - offsetof(struct sockaddr_un, sun_path) - 1);
    assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
    return fd;
}

bool systemd_try_read(int fd, char *told) {
    ssize_t size = recv(fd, told, SYSTEMD_STATE_MAX - 1, MSG_DONTWAIT);
    told[size > 0 ? size : 0] = '\0';
    return size > 0;
}

void systemd_read(int fd, char *told) {
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    if (poll(&waiting, 1, SYSTEMD_WAIT_MS) != 1) fail_msg("systemd is told nothing");
    assert_true(systemd_try_read(fd, told));
}

static bool begins_with(const char *text, const char *words) {
    return strncmp(text, words, strlen(words)) == 0;
}

void systemd_expect(int fd, const char *expected, const char *passing) {
    for (;;) {
        char told[SYSTEMD_STATE_MAX];
        systemd_read(fd, told);
        if (begins_with(told, expected)) return;
        if (!begins_with(told, passing)) fail_msg("systemd is told %s, not %s", told, expected);
    }
}
