/* What the benchmarks say and hear: a load that miscounts replies measures another server.
 * The bench is a program and not a library, so the file under test is compiled into this one. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "bench/protocol.c"

enum { REPLIES_MAX = 16 };

/* Read `text` in pieces that end at `cut`, and at the end. Every piece has its own allocation, so that a sanitizer sees
 * a read past it. */
static size_t read_cut(const struct protocol *protocol, struct bytes text, size_t cut,
                       enum reply_kind kinds[REPLIES_MAX]) {
    struct reply_reader reader = {0};
    size_t count = 0;
    const size_t ends[] = {0, cut, text.size};
    for (size_t i = 0; i < 2; i++) {
        size_t size = ends[i + 1] - ends[i];
        char *piece = malloc(size + (size == 0));
        assert_non_null(piece);
        memcpy(piece, text.data + ends[i], size);
        struct bytes bytes = bytes_of(piece, size);
        while (count < REPLIES_MAX && reply_next(&reader, protocol, &bytes, &kinds[count])) {
            count++;
        }
        assert_int_equal(bytes.size, 0);
        free(piece);
    }
    return count;
}

static void check_everywhere(const char *name, struct bytes text, const enum reply_kind *expected,
                             size_t count) {
    const struct protocol *protocol = protocol_named(name);
    assert_non_null(protocol);
    for (size_t cut = 0; cut <= text.size; cut++) {
        enum reply_kind kinds[REPLIES_MAX];
        assert_int_equal(read_cut(protocol, text, cut, kinds), count);
        assert_memory_equal(kinds, expected, count * sizeof(kinds[0]));
    }
}

static void resp_replies_are_counted_wherever_they_are_cut(void **state) {
    (void)state;
    static const enum reply_kind expected[] = {REPLY_DONE,  REPLY_VALUE, REPLY_ABSENT, REPLY_VALUE,
                                               REPLY_ERROR, REPLY_DONE,  REPLY_VALUE};
    check_everywhere("resp",
                     BYTES("+OK\r\n$3\r\nabc\r\n$-1\r\n$0\r\n\r\n-OOM no room\r\n:1\r\n"
                           "$7\r\n$3\r\n\r\n+\r\n"),
                     expected, sizeof(expected) / sizeof(expected[0]));
}

static void memcached_replies_are_counted_wherever_they_are_cut(void **state) {
    (void)state;
    static const enum reply_kind expected[] = {REPLY_DONE,  REPLY_VALUE, REPLY_ABSENT,
                                               REPLY_VALUE, REPLY_ERROR, REPLY_DONE,
                                               REPLY_DONE,  REPLY_VALUE, REPLY_ERROR};
    check_everywhere(
        "memcached",
        BYTES("STORED\r\nVALUE k 0 3\r\nabc\r\nEND\r\nEND\r\nVALUE k 0 0\r\n\r\nEND\r\n"
              "SERVER_ERROR out of memory storing object\r\nDELETED\r\nNOT_FOUND\r\n"
              "VALUE key 0 5\r\nEND\r\n\r\nEND\r\nERROR\r\n"),
        expected, sizeof(expected) / sizeof(expected[0]));
}

static void a_header_line_too_long_is_one_reply(void **state) {
    (void)state;
    char text[2 * REPLY_HEAD_MAX];
    memset(text, 'x', sizeof(text));
    text[0] = '-';
    memcpy(text + sizeof(text) - 2, "\r\n", 2);
    static const enum reply_kind expected[] = {REPLY_ERROR};
    check_everywhere("resp", bytes_of(text, sizeof(text)), expected, 1);
}

static void requests_are_what_the_protocols_say(void **state) {
    (void)state;
    static const struct {
        const char *protocol;
        enum request_kind kind;
        const char *head;
        uint32_t ttl_s;
    } rows[] = {
        {"resp", REQUEST_GET, "*2\r\n$3\r\nGET\r\n$2\r\nab\r\n", 0},
        {"resp", REQUEST_SET, "*3\r\n$3\r\nSET\r\n$2\r\nab\r\n$64\r\n", 0},
        {"resp", REQUEST_SET, "*4\r\n$5\r\nSETEX\r\n$2\r\nab\r\n$2\r\n12\r\n$64\r\n", 12},
        {"resp", REQUEST_DELETE, "*2\r\n$3\r\nDEL\r\n$2\r\nab\r\n", 0},
        {"resp", REQUEST_FLUSH, "*1\r\n$8\r\nFLUSHALL\r\n", 0},
        {"memcached", REQUEST_GET, "get ab\r\n", 0},
        {"memcached", REQUEST_SET, "set ab 0 0 64\r\n", 0},
        {"memcached", REQUEST_SET, "set ab 0 12 64\r\n", 12},
        {"memcached", REQUEST_DELETE, "delete ab\r\n", 0},
        {"memcached", REQUEST_FLUSH, "flush_all\r\n", 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char out[REQUEST_HEAD_MAX];
        struct request request = {
            .kind = rows[i].kind, .key = BYTES("ab"), .value_bytes = 64, .ttl_s = rows[i].ttl_s};
        size_t size = protocol_named(rows[i].protocol)->write_head(out, &request);
        assert_int_equal(size, strlen(rows[i].head));
        assert_memory_equal(out, rows[i].head, size);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resp_replies_are_counted_wherever_they_are_cut),
        cmocka_unit_test(memcached_replies_are_counted_wherever_they_are_cut),
        cmocka_unit_test(a_header_line_too_long_is_one_reply),
        cmocka_unit_test(requests_are_what_the_protocols_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
