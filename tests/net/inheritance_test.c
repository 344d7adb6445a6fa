/* Listening sockets from elsewhere: found by address, and whose file is whose. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/inheritance.h"

enum { BACKLOG = 4, PATH_BYTES_MAX = 64 };

static char folder[] = "/tmp/sherd-inheritance-XXXXXX", path[PATH_BYTES_MAX];

static uint16_t port_of(const struct listener *listener) {
    return (uint16_t)atoi(strrchr(listener->text, ':') + 1);
}

static void open_both(struct listener *tcp, struct listener *local) {
    char error[LISTENER_ERROR_MAX];
    assert_int_equal(listener_open_tcp(tcp, "127.0.0.1", 0, BACKLOG, error), STATUS_OK);
    assert_int_equal(listener_open_unix(local, path, 0600, BACKLOG, error), STATUS_OK);
}

static int copy_of(int fd) {
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    assert_true(copy >= 0);
    return copy;
}

static bool is_there(void) {
    return access(path, F_OK) == 0;
}

static void sockets_are_taken_once_each_by_its_address(void **state) {
    (void)state;
    struct listener tcp, local, taken;
    struct inheritance inheritance = {0};
    open_both(&tcp, &local);
    uint16_t port = port_of(&tcp);
    assert_true(inheritance_add(&inheritance, copy_of(tcp.fd), ""));
    assert_true(inheritance_add(&inheritance, copy_of(local.fd), path));
    assert_false(inheritance_take_tcp(&inheritance, "127.0.0.1", (uint16_t)(port ^ 1), &taken));
    assert_false(inheritance_take_tcp(&inheritance, "::1", port, &taken));
    assert_false(inheritance_take_unix(&inheritance, "/nowhere", &taken));
    assert_true(inheritance_take_tcp(&inheritance, "127.0.0.1", port, &taken));
    assert_string_equal(taken.text, tcp.text);
    assert_int_equal(taken.path[0], '\0');
    listener_close(&taken);
    assert_false(inheritance_take_tcp(&inheritance, "127.0.0.1", port, &taken));
    assert_true(inheritance_take_unix(&inheritance, path, &taken));
    assert_string_equal(taken.path, path);
    listener_close(&taken);
    assert_true(is_there()); /* the giver's, so far */
    listener_close(&tcp);
    listener_close(&local);
    assert_false(is_there());
}

static void a_path_may_be_spelled_in_another_way(void **state) {
    (void)state;
    struct listener tcp, local, taken;
    struct inheritance inheritance = {0};
    char other[PATH_BYTES_MAX + 8];
    open_both(&tcp, &local);
    snprintf(other, sizeof other, "%s/./socket", folder);
    assert_true(inheritance_add(&inheritance, copy_of(local.fd), path));
    assert_true(inheritance_take_unix(&inheritance, other, &taken));
    assert_string_equal(taken.path, other);
    assert_int_equal(inheritance.count, 0);
    listener_close(&taken);
    listener_close(&tcp);
    listener_close(&local);
}

static void what_nobody_takes_is_closed_and_its_file_is_whose_it_is_said_to_be(void **state) {
    (void)state;
    struct listener tcp, local;
    struct inheritance inheritance = {0};
    open_both(&tcp, &local);
    assert_true(inheritance_add(&inheritance, copy_of(local.fd), path));
    inheritance_release(&inheritance, false);
    assert_true(is_there());
    assert_true(inheritance_add(&inheritance, copy_of(local.fd), path));
    inheritance_release(&inheritance, true);
    assert_false(is_there());
    assert_int_equal(inheritance.count, 0);
    listener_close(&tcp);
    listener_close(&local);
}

static void what_does_not_listen_and_what_is_too_much_is_closed(void **state) {
    (void)state;
    struct listener tcp, local;
    struct inheritance inheritance = {0};
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_false(inheritance_add(&inheritance, ends[0], ""));
    assert_int_equal(fcntl(ends[0], F_GETFD), -1);
    close(ends[1]);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_false(inheritance_add(&inheritance, fd, ""));
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    open_both(&tcp, &local);
    for (int i = 0; i < INHERITANCE_MAX; i++) {
        assert_true(inheritance_add(&inheritance, copy_of(tcp.fd), ""));
    }
    assert_false(inheritance_add(&inheritance, copy_of(tcp.fd), ""));
    inheritance_release(&inheritance, false);
    listener_close(&tcp);
    listener_close(&local);
}

int main(void) {
    if (mkdtemp(folder) == NULL) return 1;
    snprintf(path, sizeof path, "%s/socket", folder);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sockets_are_taken_once_each_by_its_address),
        cmocka_unit_test(a_path_may_be_spelled_in_another_way),
        cmocka_unit_test(what_nobody_takes_is_closed_and_its_file_is_whose_it_is_said_to_be),
        cmocka_unit_test(what_does_not_listen_and_what_is_too_much_is_closed),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(folder);
    return failed;
}
