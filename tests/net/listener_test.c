/* Listening sockets, opened on free ports and in a directory of the test's own. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/listener.h"

enum { BACKLOG = 16 };

struct place {
    char directory[32];
    char path[64];
};

static void place_init(struct place *place) {
    strcpy(place->directory, "/tmp/listener_test.XXXXXX");
    assert_non_null(mkdtemp(place->directory));
    snprintf(place->path, sizeof place->path, "%s/sherd.sock", place->directory);
}

static void place_release(struct place *place) {
    unlink(place->path);
    assert_int_equal(rmdir(place->directory), 0);
}

static uint16_t port_of(const struct listener *listener) {
    return (uint16_t)atoi(strrchr(listener->text, ':') + 1);
}

static int connect_tcp(uint16_t port) {
    struct sockaddr_in peer = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&peer, sizeof peer), 0);
    return fd;
}

static int connect_unix(const char *path) {
    struct sockaddr_un peer = {.sun_family = AF_UNIX};
    strcpy(peer.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&peer, sizeof peer), 0);
    return fd;
}

static int option_of(int fd, int level, int option) {
    int value = -1;
    socklen_t size = sizeof value;
    assert_int_equal(getsockopt(fd, level, option, &value, &size), 0);
    return value;
}

static void open_tcp(struct listener *listener, const char *host, uint16_t port) {
    char error[LISTENER_ERROR_MAX] = "";
    if (listener_open_tcp(listener, host, port, BACKLOG, error) != STATUS_OK) fail_msg("%s", error);
}

static void open_unix(struct listener *listener, const char *path, mode_t permissions) {
    char error[LISTENER_ERROR_MAX] = "";
    if (listener_open_unix(listener, path, permissions, BACKLOG, error) != STATUS_OK) {
        fail_msg("%s", error);
    }
}

static void a_tcp_listener_takes_connections_and_knows_its_port(void **state) {
    (void)state;
    struct listener listener;
    open_tcp(&listener, "127.0.0.1", 0);
    assert_true(port_of(&listener) != 0);
    assert_true(fcntl(listener.fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(listener.fd, F_GETFD) & FD_CLOEXEC);
    int client = connect_tcp(port_of(&listener));
    int served = accept(listener.fd, NULL, NULL);
    assert_true(served >= 0);
    char peer[ADDRESS_TEXT_MAX], self[ADDRESS_TEXT_MAX];
    address_of_peer(served, peer);
    address_of_self(client, self);
    assert_string_equal(peer, self);
    close(client);
    close(served);
    listener_close(&listener);
    assert_int_equal(listener.fd, -1);
    listener_close(&listener); /* does nothing */
}

static void a_port_in_use_is_refused_with_a_way_out(void **state) {
    (void)state;
    struct listener first, second;
    open_tcp(&first, "127.0.0.1", 0);
    char error[LISTENER_ERROR_MAX], expected[LISTENER_ERROR_MAX];
    assert_int_equal(listener_open_tcp(&second, "127.0.0.1", port_of(&first), BACKLOG, error),
                     STATUS_REFUSED);
    snprintf(expected, sizeof expected,
             "Could not listen on 127.0.0.1:%u: Address already in use (is another server running? "
             "try another port)",
             port_of(&first));
    assert_string_equal(error, expected);
    assert_int_equal(second.fd, -1);
    listener_close(&first);
}

static void all_ipv4_and_all_ipv6_share_a_port(void **state) {
    (void)state;
    struct listener six, four;
    char error[LISTENER_ERROR_MAX];
    if (listener_open_tcp(&six, "::*", 0, BACKLOG, error) != STATUS_OK) {
        print_message("no IPv6 here: %s\n", error);
        skip();
    }
    assert_int_equal(option_of(six.fd, IPPROTO_IPV6, IPV6_V6ONLY), 1);
    open_tcp(&four, "*", port_of(&six));
    listener_close(&four);
    listener_close(&six);
}

static void an_address_of_no_interface_is_refused_by_name(void **state) {
    (void)state;
    struct listener listener;
    char error[LISTENER_ERROR_MAX];
    assert_int_equal(listener_open_tcp(&listener, "203.0.113.1", 0, BACKLOG, error),
                     STATUS_REFUSED);
    assert_non_null(strstr(error, "Could not listen on 203.0.113.1:0: "));
    assert_non_null(strstr(error, "--bind"));
    assert_int_not_equal(listener_open_tcp(&listener, "no such host", 0, BACKLOG, error),
                         STATUS_OK);
    assert_non_null(strstr(error, "Could not listen on no such host: "));
    assert_int_equal(listener.fd, -1);
}

static void accepted_tcp_sockets_are_tuned(void **state) {
    (void)state;
    struct listener listener;
    open_tcp(&listener, "127.0.0.1", 0);
    int client = connect_tcp(port_of(&listener));
    listener_tune(client, 0);
    assert_int_not_equal(option_of(client, IPPROTO_TCP, TCP_NODELAY), 0);
    assert_int_equal(option_of(client, SOL_SOCKET, SO_KEEPALIVE), 0);
    listener_tune(client, 300);
    assert_int_not_equal(option_of(client, SOL_SOCKET, SO_KEEPALIVE), 0);
    assert_int_equal(option_of(client, IPPROTO_TCP, TCP_KEEPIDLE), 300);
    assert_int_equal(option_of(client, IPPROTO_TCP, TCP_KEEPINTVL), 100);
    close(client);
    listener_close(&listener);
}

static void a_unix_listener_has_its_permissions_and_names_its_peers(void **state) {
    (void)state;
    struct place place;
    place_init(&place);
    struct listener listener;
    open_unix(&listener, place.path, 0750);
    struct stat found;
    assert_int_equal(stat(place.path, &found), 0);
    assert_int_equal(found.st_mode & 0777, 0750);
    int client = connect_unix(place.path);
    int served = accept(listener.fd, NULL, NULL);
    assert_true(served >= 0);
    char peer[ADDRESS_TEXT_MAX], expected[ADDRESS_TEXT_MAX];
    address_of_peer(served, peer);
    snprintf(expected, sizeof expected, "%s:0", place.path);
    assert_string_equal(peer, expected);
    listener_tune(served, 300); /* does nothing, and does no harm */
    close(client);
    close(served);
    listener_close(&listener);
    assert_int_equal(access(place.path, F_OK), -1);
    place_release(&place);
}

static void a_stale_socket_file_is_replaced(void **state) {
    (void)state;
    struct place place;
    place_init(&place);
    struct listener killed, listener;
    open_unix(&killed, place.path, 0);
    close(killed.fd); /* as a killed server leaves it: the file stays */
    assert_int_equal(access(place.path, F_OK), 0);
    open_unix(&listener, place.path, 0);
    close(connect_unix(place.path));
    listener_close(&listener);
    place_release(&place);
}

static void a_socket_file_in_use_is_left_to_its_server(void **state) {
    (void)state;
    struct place place;
    place_init(&place);
    struct listener first, second;
    open_unix(&first, place.path, 0);
    char error[LISTENER_ERROR_MAX];
    assert_int_equal(listener_open_unix(&second, place.path, 0, BACKLOG, error), STATUS_REFUSED);
    assert_non_null(strstr(error, "is another server running?"));
    assert_int_equal(second.fd, -1);
    close(connect_unix(place.path)); /* the first still answers */
    listener_close(&second);
    listener_close(&first);
    place_release(&place);
}

static void a_file_of_another_kind_is_left_alone(void **state) {
    (void)state;
    struct place place;
    place_init(&place);
    int fd = open(place.path, O_CREAT | O_WRONLY | O_EXCL, 0600);
    assert_int_equal(write(fd, "precious", 8), 8);
    close(fd);
    struct listener listener;
    char error[LISTENER_ERROR_MAX];
    assert_int_equal(listener_open_unix(&listener, place.path, 0, BACKLOG, error), STATUS_REFUSED);
    assert_non_null(strstr(error, place.path));
    assert_non_null(strstr(error, "it isn't a socket"));
    struct stat found;
    assert_int_equal(stat(place.path, &found), 0);
    assert_int_equal(found.st_size, 8);
    place_release(&place);
}

static void paths_that_cannot_be_are_refused_with_a_reason(void **state) {
    (void)state;
    struct listener listener;
    char error[LISTENER_ERROR_MAX], path[LISTENER_PATH_MAX + 1];
    memset(path, 'p', LISTENER_PATH_MAX);
    path[LISTENER_PATH_MAX] = '\0';
    assert_int_equal(listener_open_unix(&listener, path, 0, BACKLOG, error), STATUS_TOO_LONG);
    assert_int_equal(listener_open_unix(&listener, "", 0, BACKLOG, error), STATUS_TOO_LONG);
    struct place place;
    place_init(&place);
    snprintf(path, sizeof path, "%s/missing/sherd.sock", place.directory);
    assert_int_equal(listener_open_unix(&listener, path, 0, BACKLOG, error), STATUS_REFUSED);
    assert_non_null(strstr(error, "create the directory"));
    place_release(&place);
}

static void a_check_tells_what_opening_would(void **state) {
    (void)state;
    char error[LISTENER_ERROR_MAX], opened[LISTENER_ERROR_MAX], path[LISTENER_PATH_MAX];
    struct listener listener;
    static const char *const hosts[] = {"203.0.113.1", "no such host"};
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        assert_int_equal(listener_check_tcp(hosts[i], 1, error), STATUS_REFUSED);
        assert_int_equal(listener_open_tcp(&listener, hosts[i], 1, BACKLOG, opened),
                         STATUS_REFUSED);
        assert_string_equal(error, opened);
    }
    struct place place;
    place_init(&place);
    snprintf(path, sizeof path, "%s/missing/sherd.sock", place.directory);
    const char *const paths[] = {path, place.directory, "/dev/null/sherd.sock"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        assert_int_equal(listener_check_unix(paths[i], error), STATUS_REFUSED);
        assert_int_equal(listener_open_unix(&listener, paths[i], 0, BACKLOG, opened),
                         STATUS_REFUSED);
        assert_string_equal(error, opened);
    }
    assert_int_equal(listener_check_unix("", error), STATUS_TOO_LONG);
    place_release(&place);
}

static void a_check_changes_nothing(void **state) {
    (void)state;
    char error[LISTENER_ERROR_MAX];
    struct place place;
    place_init(&place);
    assert_int_equal(listener_check_unix(place.path, error), STATUS_OK);
    assert_int_equal(access(place.path, F_OK), -1);
    struct listener listener;
    open_unix(&listener, place.path, 0);
    assert_int_equal(listener_check_unix(place.path, error), STATUS_OK); /* perhaps it is ours */
    close(connect_unix(place.path));
    listener_close(&listener);
    place_release(&place);

    open_tcp(&listener, "127.0.0.1", 0);
    uint16_t port = port_of(&listener);
    assert_int_equal(listener_check_tcp("127.0.0.1", port, error), STATUS_OK);
    close(connect_tcp(port));
    listener_close(&listener);
    assert_int_equal(listener_check_tcp("127.0.0.1", port, error), STATUS_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tcp_listener_takes_connections_and_knows_its_port),
        cmocka_unit_test(a_port_in_use_is_refused_with_a_way_out),
        cmocka_unit_test(all_ipv4_and_all_ipv6_share_a_port),
        cmocka_unit_test(an_address_of_no_interface_is_refused_by_name),
        cmocka_unit_test(accepted_tcp_sockets_are_tuned),
        cmocka_unit_test(a_unix_listener_has_its_permissions_and_names_its_peers),
        cmocka_unit_test(a_stale_socket_file_is_replaced),
        cmocka_unit_test(a_socket_file_in_use_is_left_to_its_server),
        cmocka_unit_test(a_file_of_another_kind_is_left_alone),
        cmocka_unit_test(paths_that_cannot_be_are_refused_with_a_reason),
        cmocka_unit_test(a_check_tells_what_opening_would),
        cmocka_unit_test(a_check_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
