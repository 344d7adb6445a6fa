/* Addresses and their texts. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/address.h"

static void assert_parses(const char *host, uint16_t port, const char *expected) {
    struct address address;
    char text[ADDRESS_TEXT_MAX] = "";
    assert_int_equal(address_parse(&address, host, port, text), STATUS_OK);
    size_t length = address_write(&address, text);
    assert_string_equal(text, expected);
    assert_int_equal(length, strlen(expected));
}

static void address_reads_numeric_hosts(void **state) {
    (void)state;
    assert_parses("127.0.0.1", 6379, "127.0.0.1:6379");
    assert_parses("0.0.0.0", 0, "0.0.0.0:0");
    assert_parses("::1", 65535, "[::1]:65535");
    assert_parses("2001:db8:0:0::1", 1, "[2001:db8::1]:1");
}

static void address_reads_all_interfaces(void **state) {
    (void)state;
    assert_parses("*", 6379, "0.0.0.0:6379");
    assert_parses("::*", 6379, "[::]:6379");
}

static void address_says_which_host_is_unknown(void **state) {
    (void)state;
    const char *wrong[] = {"300.1.2.3:x", ":::", "no such host", ""};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct address address;
        char error[ADDRESS_TEXT_MAX] = "";
        assert_int_not_equal(address_parse(&address, wrong[i], 1, error), STATUS_OK);
        assert_memory_equal(error, wrong[i], strlen(wrong[i]));
        assert_non_null(strstr(error, ": "));
    }
}

static void address_error_fits_its_place_for_a_long_host(void **state) {
    (void)state;
    char host[400];
    memset(host, '%', sizeof host - 1);
    host[sizeof host - 1] = '\0';
    struct address address;
    char error[ADDRESS_TEXT_MAX];
    assert_int_not_equal(address_parse(&address, host, 1, error), STATUS_OK);
    assert_true(strnlen(error, sizeof error) < sizeof error);
}

static void a_descriptor_that_is_no_socket_has_no_address(void **state) {
    (void)state;
    char text[ADDRESS_TEXT_MAX];
    assert_int_equal(address_of_peer(-1, text), 3);
    assert_string_equal(text, "?:0");
    address_of_self(-1, text);
    assert_string_equal(text, "?:0");
}

static void an_unnamed_unix_socket_has_no_address(void **state) {
    (void)state;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    char text[ADDRESS_TEXT_MAX];
    address_of_peer(pair[0], text);
    assert_string_equal(text, "?:0");
    close(pair[0]);
    close(pair[1]);
}

static void the_longest_unix_path_fits_a_text(void **state) {
    (void)state;
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    memset(local.sun_path, 'p', sizeof local.sun_path); /* no NUL: as long as the kernel allows */
    struct address address = {.size = sizeof local};
    memcpy(&address.storage, &local, sizeof local);
    char text[ADDRESS_TEXT_MAX];
    assert_int_equal(address_write(&address, text), sizeof local.sun_path + 2);
    assert_string_equal(text + sizeof local.sun_path, ":0");
}

static bool overlap(const char *one, const char *other, uint16_t other_port) {
    struct address a, b;
    char error[ADDRESS_TEXT_MAX];
    assert_int_equal(address_parse(&a, one, 6379, error), STATUS_OK);
    assert_int_equal(address_parse(&b, other, other_port, error), STATUS_OK);
    assert_int_equal(address_overlaps(&a, &b), address_overlaps(&b, &a));
    return address_overlaps(&a, &b);
}

static void addresses_overlap_where_both_cannot_be_listened_on(void **state) {
    (void)state;
    assert_true(overlap("127.0.0.1", "127.0.0.1", 6379));
    assert_true(overlap("*", "127.0.0.1", 6379));
    assert_true(overlap("::1", "::*", 6379));
    assert_true(overlap("::1", "0:0::1", 6379));
    assert_false(overlap("127.0.0.1", "127.0.0.1", 6380));
    assert_false(overlap("127.0.0.1", "127.0.0.2", 6379));
    assert_false(overlap("*", "::*", 6379));
    assert_false(overlap("::1", "::2", 6379));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(address_reads_numeric_hosts),
        cmocka_unit_test(address_reads_all_interfaces),
        cmocka_unit_test(address_says_which_host_is_unknown),
        cmocka_unit_test(address_error_fits_its_place_for_a_long_host),
        cmocka_unit_test(a_descriptor_that_is_no_socket_has_no_address),
        cmocka_unit_test(an_unnamed_unix_socket_has_no_address),
        cmocka_unit_test(the_longest_unix_path_fits_a_text),
        cmocka_unit_test(addresses_overlap_where_both_cannot_be_listened_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
