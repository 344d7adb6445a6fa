/* What the two protocols put on the wire, byte for byte. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/buffer.h"
#include "net/resp_reply.h"
#include "shards/base/memory.h"

/* A reply, its buffer, and what was written: `written` gathers it. */
struct fixture {
    struct buffer_pool pool;
    struct buffer buffer;
    struct reply reply;
    char *text;
    size_t size;
};

static int set_up(void **state) {
    struct fixture *fixture = calloc(1, sizeof *fixture);
    if (fixture == NULL) return -1;
    buffer_pool_init(&fixture->pool, 4);
    buffer_init(&fixture->buffer, &fixture->pool, 0);
    fixture->reply = (struct reply){.buffer = &fixture->buffer, .protocol = 2};
    *state = fixture;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *fixture = *state;
    buffer_release(&fixture->buffer);
    buffer_pool_release(&fixture->pool);
    free(fixture->text);
    free(fixture);
    return 0;
}

/* Take all that waits out of the buffer. */
static void gather(struct fixture *fixture) {
    size_t waiting = buffer_waiting(&fixture->buffer);
    fixture->text = realloc(fixture->text, waiting + 1);
    assert_non_null(fixture->text);
    fixture->size = 0;
    while (fixture->size < waiting) {
        struct iovec slice;
        assert_int_equal(buffer_gather(&fixture->buffer, &slice, 1), 1);
        memcpy(fixture->text + fixture->size, slice.iov_base, slice.iov_len);
        fixture->size += slice.iov_len;
        buffer_consume(&fixture->buffer, slice.iov_len);
    }
    fixture->text[fixture->size] = '\0';
}

static void assert_written(struct fixture *fixture, const char *expected) {
    gather(fixture);
    assert_string_equal(fixture->text, expected);
}

/* Begin a reply in this protocol. */
static struct reply *in(struct fixture *fixture, uint8_t protocol) {
    fixture->reply.protocol = protocol;
    return &fixture->reply;
}

/* ---- Lines ----------------------------------------------------------------------------------- */

static void a_simple_string_is_a_line(void **state) {
    struct fixture *fixture = *state;
    reply_simple(in(fixture, 2), "OK");
    reply_simple(in(fixture, 3), "");
    assert_written(fixture, "+OK\r\n+\r\n");
}

static void an_error_is_a_line_and_is_counted(void **state) {
    struct fixture *fixture = *state;
    reply_error(in(fixture, 2), "ERR no");
    reply_error_format(in(fixture, 3), "ERR unknown command '%s'", "x");
    assert_written(fixture, "-ERR no\r\n-ERR unknown command 'x'\r\n");
    assert_int_equal(fixture->reply.error_count, 2);
}

static void the_code_of_the_last_error_is_kept(void **state) {
    struct fixture *fixture = *state;
    reply_error(in(fixture, 2), "ERR no");
    assert_string_equal(fixture->reply.error_code, "ERR");
    reply_error_format(in(fixture, 3), "%s with a reason", "WRONGTYPE");
    assert_string_equal(fixture->reply.error_code, "WRONGTYPE");
    reply_error(in(fixture, 2), "ALONE");
    assert_string_equal(fixture->reply.error_code, "ALONE");
    reply_error(in(fixture, 2), "ACODETHATISLONGERTHANTHEREISROOMFOR x");
    assert_string_equal(fixture->reply.error_code, "ACODETHATISLONG");
}

static void line_ends_inside_an_error_become_spaces(void **state) {
    struct fixture *fixture = *state;
    reply_error(in(fixture, 2), "ERR a\r\nb\nc\r\n");
    reply_error(in(fixture, 2), "\r\n");
    assert_written(fixture, "-ERR a  b c\r\n-\r\n");
}

static void integers_of_every_width_are_exact(void **state) {
    struct fixture *fixture = *state;
    static const int64_t numbers[] = {0, 9, 10, 99, 100, 999, 1000, -1, -10, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        char expected[32];
        reply_integer(in(fixture, 2), numbers[i]);
        snprintf(expected, sizeof expected, ":%lld\r\n", (long long)numbers[i]);
        assert_written(fixture, expected);
    }
}

static void what_resp2_lacks_is_written_as_redis_does(void **state) {
    struct fixture *fixture = *state;
    struct reply *reply = in(fixture, 2);
    reply_null(reply);
    reply_null_array(reply);
    reply_boolean(reply, true);
    reply_boolean(reply, false);
    reply_double(reply, 1.5);
    reply_big_number(reply, "12345678901234567890");
    reply_map(reply, 2);
    reply_set(reply, 3);
    reply_push(reply, 4);
    reply_verbatim(reply, "txt", BYTES("hello"));
    assert_written(fixture, "$-1\r\n*-1\r\n:1\r\n:0\r\n$3\r\n1.5\r\n$20\r\n12345678901234567890\r\n"
                            "*4\r\n*3\r\n*4\r\n$5\r\nhello\r\n");
}

static void resp3_has_a_type_for_each(void **state) {
    struct fixture *fixture = *state;
    struct reply *reply = in(fixture, 3);
    reply_null(reply);
    reply_null_array(reply);
    reply_boolean(reply, true);
    reply_boolean(reply, false);
    reply_double(reply, 1.5);
    reply_big_number(reply, "12345678901234567890");
    reply_map(reply, 2);
    reply_set(reply, 3);
    reply_push(reply, 4);
    reply_attribute(reply, 5);
    reply_verbatim(reply, "txt", BYTES("hello"));
    assert_written(fixture, "_\r\n_\r\n#t\r\n#f\r\n,1.5\r\n(12345678901234567890\r\n"
                            "%2\r\n~3\r\n>4\r\n|5\r\n=9\r\ntxt:hello\r\n");
}

static void doubles_are_the_shortest_that_read_back(void **state) {
    struct fixture *fixture = *state;
    static const struct {
        double number;
        const char *text;
    } examples[] = {
        {0.1, "0.1"},        {3, "3"},     {-2.5, "-2.5"},    {INFINITY, "inf"},
        {-INFINITY, "-inf"}, {NAN, "nan"}, {1e100, "1e+100"},
    };
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++) {
        char expected[64];
        const char *text = examples[i].text;
        reply_double(in(fixture, 3), examples[i].number);
        reply_double(in(fixture, 2), examples[i].number);
        snprintf(expected, sizeof expected, ",%s\r\n$%zu\r\n%s\r\n", text, strlen(text), text);
        assert_written(fixture, expected);
    }
}

/* ---- Bulk strings ---------------------------------------------------------------------------- */

static void bulk_strings_of_every_size_are_whole(void **state) {
    struct fixture *fixture = *state;
    static const size_t sizes[] = {0,    1,    9,    10,   99,   100,   999,   1000,
                                   4000, 4065, 4066, 4067, 4096, 16384, 100000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        size_t size = sizes[i];
        char *value = malloc(size + 1);
        assert_non_null(value);
        for (size_t j = 0; j < size; j++) {
            value[j] = (char)j;
        }
        char header[32];
        size_t header_size = (size_t)snprintf(header, sizeof header, "$%zu\r\n", size);
        reply_bulk(in(fixture, 2), bytes_of(value, size));
        gather(fixture);
        assert_int_equal(fixture->size, header_size + size + 2);
        assert_memory_equal(fixture->text, header, header_size);
        if (size > 0) assert_memory_equal(fixture->text + header_size, value, size);
        assert_memory_equal(fixture->text + header_size + size, "\r\n", 2);
        free(value);
    }
}

static void an_empty_slice_without_data_is_an_empty_string(void **state) {
    struct fixture *fixture = *state;
    reply_bulk(in(fixture, 2), (struct bytes){NULL, 0});
    reply_verbatim(in(fixture, 3), "mkd", (struct bytes){NULL, 0});
    assert_written(fixture, "$0\r\n\r\n=4\r\nmkd:\r\n");
}

static void numbers_and_formats_become_bulk_strings(void **state) {
    struct fixture *fixture = *state;
    reply_bulk_integer(in(fixture, 2), INT64_MIN);
    reply_bulk_format(in(fixture, 2), "%s=%d", "a", 7);
    reply_bulk_text(in(fixture, 2), "text");
    assert_written(fixture, "$20\r\n-9223372036854775808\r\n$3\r\na=7\r\n$4\r\ntext\r\n");
}

static void a_long_format_is_whole_unless_memory_is_refused(void **state) {
    struct fixture *fixture = *state;
    char name[2001];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    reply_bulk_format(in(fixture, 2), "%s!", name);
    gather(fixture);
    assert_int_equal(fixture->size, 7 + 2001 + 2);
    assert_memory_equal(fixture->text, "$2001\r\n", 7);
    reply_integer(in(fixture, 2), 1); /* so that the chunk is there already */
    memory_refuse_after(0);
    reply_bulk_format(in(fixture, 2), "%s!", name);
    memory_refuse_after(-1);
    gather(fixture);
    assert_memory_equal(fixture->text, ":1\r\n$511\r\nnnn", 13);
    assert_int_equal(fixture->size, 4 + 6 + 511 + 2);
}

static void count_release(void *context, void *subject) {
    (void)context;
    ++*(int *)subject;
}

static void a_referenced_value_is_released_once_sent(void **state) {
    struct fixture *fixture = *state;
    int released = 0;
    reply_bulk_reference(in(fixture, 2), BYTES("referenced"),
                         (struct buffer_owner){.release = count_release, .subject = &released});
    assert_int_equal(released, 0);
    assert_written(fixture, "$10\r\nreferenced\r\n");
    assert_int_equal(released, 1);
}

static void headers_tell_how_many_follow(void **state) {
    struct fixture *fixture = *state;
    reply_array(in(fixture, 2), 0);
    reply_array(in(fixture, 2), 12);
    reply_array(in(fixture, 2), 1234567);
    reply_map(in(fixture, 2), 0);
    reply_map(in(fixture, 3), 50);
    assert_written(fixture, "*0\r\n*12\r\n*1234567\r\n*0\r\n%50\r\n");
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_simple_string_is_a_line),
        TEST(an_error_is_a_line_and_is_counted),
        TEST(the_code_of_the_last_error_is_kept),
        TEST(line_ends_inside_an_error_become_spaces),
        TEST(integers_of_every_width_are_exact),
        TEST(what_resp2_lacks_is_written_as_redis_does),
        TEST(resp3_has_a_type_for_each),
        TEST(doubles_are_the_shortest_that_read_back),
        TEST(bulk_strings_of_every_size_are_whole),
        TEST(an_empty_slice_without_data_is_an_empty_string),
        TEST(numbers_and_formats_become_bulk_strings),
        TEST(a_long_format_is_whole_unless_memory_is_refused),
        TEST(a_referenced_value_is_released_once_sent),
        TEST(headers_tell_how_many_follow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
